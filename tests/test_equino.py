# SPDX-License-Identifier: Apache-2.0
"""Learned cells: modes, magic points, reduced cells, the trained law, and its guard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.homogenize.cell import Cell, mean_strain
from rheograd.engine.homogenize.embedding import check_mesh, embedded
from rheograd.engine.homogenize.fe2 import FE2
from rheograd.engine.homogenize.hybrid import Hybrid, trusted
from rheograd.engine.homogenize.labels import conjugate
from rheograd.engine.homogenize.load_space import LoadSpace
from rheograd.engine.homogenize.magic_points import magic_points
from rheograd.engine.homogenize.microstructures import round_inclusion
from rheograd.engine.homogenize.modes import modes
from rheograd.engine.homogenize.problem import CellProblem
from rheograd.engine.homogenize.reduced import ReducedProblem
from rheograd.engine.homogenize.residual import ConstitutiveResidual
from rheograd.engine.homogenize.snapshots import Snapshots, key, make
from rheograd.engine.homogenize.training import Recipe, train
from rheograd.engine.homogenize.validation import displacement_errors
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.generators import box
from rheograd.engine.scene import Body, Scene
from rheograd.engine.simulate import simulate
from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.homogenized.potential import SmoothPerceptron, norms
from rheograd.materials.homogenized.strain_vectors import (
    strain_vector,
    stress_vector,
    tensor_of_strain,
    tensor_of_stress,
)
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantSmooth
from rheograd.materials.small_strain import Hyperbolic, LinearElastic

LIKE = torch.zeros((), dtype=torch.float64)
SMALL = LoadSpace.cube(2, 0.04, small=True)
SETS = {"training": (24, 0), "validation": (6, 1), "test": (10, 2)}
RECIPE = Recipe(modes=8, cases=300, widths=(12, 12), branch=(16,), steps=30, iterations=300)


def small_cell(element: str = "quad8") -> Cell:
    mesh = round_inclusion(0.25, (2, 1, 1), element=element)
    return Cell(
        mesh, {"matrix": Hyperbolic(4.78e9, 50e6, 0.06), "fibre": LinearElastic(73e9, 0.22)}
    )


class Made:
    """A cell, its snapshots, and the law that was trained of them."""

    def __init__(self, folder: Path) -> None:
        self.cell = small_cell()
        self.problem = CellProblem(self.cell, LIKE)
        self.file = folder / "snapshots.h5"
        self.sets = make(self.problem, SMALL, self.file, sets=SETS)
        self.modes = modes(self.problem, self.sets["training"], 8)
        self.law = train(self.problem, SMALL, self.sets, RECIPE).law


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("cell"))


def relative(found: Tensor, expected: Tensor) -> Tensor:
    """Of each row."""
    gap = (found - expected).flatten(1).norm(dim=1)
    return gap / expected.flatten(1).norm(dim=1)


@pytest.mark.parametrize("d", [3, 6])
def test_vectors_of_strain_and_stress_are_conjugate(d: int) -> None:
    dim = 2 if d == 3 else 3
    z, s = torch.randn(4, d), torch.randn(4, d)
    E, S = tensor_of_strain(z), tensor_of_stress(s)
    assert torch.allclose((E * S).sum((1, 2)), (z * s).sum(1))
    assert torch.equal(strain_vector(E, dim), z)
    assert torch.equal(stress_vector(S, dim), s)
    assert float(E[0, 0, 1]) == pytest.approx(float(z[0, -1]) / 2)


class TestLoadSpace:
    def test_green_lagrange(self) -> None:
        space = LoadSpace.cube(3, 0.3, small=False)
        z = space.sample(20, 3)
        F = space.deformation(z)
        E = 0.5 * (F.mT @ F - torch.eye(3))
        assert torch.allclose(strain_vector(E, 3), z, atol=1e-14)
        assert torch.allclose(F, F.mT, atol=1e-14)
        assert torch.allclose(SMALL.deformation(torch.tensor([[0.1, 0.2, 0.06]])).double()[0],
                              mean_strain(xx=0.1, yy=0.2, gamma_xy=0.06), atol=1e-7)  # fmt: skip

    def test_latin_hypercube(self) -> None:
        z = SMALL.sample(50, 0)
        for column in z.T:
            slots = ((column + 0.04) / 0.08 * 50).floor().long().sort().values
            assert torch.equal(slots, torch.arange(50))
        assert torch.equal(z, SMALL.sample(50, 0))
        assert not torch.equal(z, SMALL.sample(50, 1))

    def test_refused(self) -> None:
        with pytest.raises(ValueError, match="rest inside"):
            LoadSpace((0.0, -1, -1), (1, 1, 1), True)
        with pytest.raises(ValueError, match="expected 3 in the plane"):
            LoadSpace((-1,) * 4, (1,) * 4, True)
        with pytest.raises(ValueError, match="below -1/2"):
            LoadSpace.cube(3, 0.6, small=False).deformation(torch.full((1, 6), -0.6).double())


class TestModes:
    def test_orthonormal_periodic_and_in_balance(self, made: Made) -> None:
        own, problem = made.modes, made.problem
        gram = torch.einsum("p,c,pcr,pcs->rs", own.weight, own.metric, own.strain, own.strain)
        assert torch.allclose(gram, torch.eye(8).double(), atol=1e-9)
        gram = torch.einsum("p,pcr,pcs->rs", own.weight, own.stress, own.stress)
        assert torch.allclose(gram, torch.eye(8).double(), atol=1e-9)
        assert torch.allclose(problem.strain(own.fluctuation.T), own.strain.permute(2, 0, 1))
        full = torch.zeros(8, len(own.weight), 9, dtype=torch.float64)
        full[..., problem.points.row] = own.stress.permute(2, 0, 1)
        force, scale = problem.forces(full.unflatten(2, (3, 3)))
        assert float((force.norm(dim=1) / scale).max()) < 1e-7

    def test_of_unit_norm_as_tensors(self, made: Made) -> None:
        """A shear counts twice, once above and once below the diagonal."""
        T = tensor_of_strain(made.modes.strain.mT)  # (p, r, 3, 3)
        gram = torch.einsum("p,prij,psij->rs", made.modes.weight, T, T)
        assert torch.allclose(gram, torch.eye(len(gram)).double(), rtol=0, atol=1e-9)

    def test_coefficients_reproduce_snapshots(self, made: Made) -> None:
        """As many modes as snapshots leave nothing out."""
        own = modes(made.problem, made.sets["training"], 24)
        snapshots = made.sets["training"]
        a = own.strain_coefficients(made.problem.strain(snapshots.fluctuation))
        assert float(relative(a @ own.fluctuation.T, snapshots.fluctuation).max()) < 1e-5
        b = own.stress_coefficients(snapshots.point_stress)
        assert (
            float(
                relative(torch.einsum("kr,psr->kps", b, own.stress), snapshots.point_stress).max()
            )
            < 1e-5
        )
        assert float(relative(b @ own.mean_stress.T, _rows(made, snapshots.stress)).max()) < 1e-6

    def test_refused(self, made: Made) -> None:
        with pytest.raises(ValueError, match="got 25 modes of 24 snapshots"):
            modes(made.problem, made.sets["training"], 25)


def _rows(made: Made, stress: Tensor) -> Tensor:
    return stress.flatten(1)[:, made.problem.points.row]


class TestReduced:
    def test_all_modes_are_the_cell(self, made: Made) -> None:
        """In the span of the snapshots the reduced cell finds them, tangent and all."""
        own = modes(made.problem, made.sets["training"], 24)
        reduced = ReducedProblem(made.problem, own)
        snapshots = made.sets["training"]
        F = SMALL.deformation(snapshots.strain)
        found = reduced.solve(F, reduced.rest_internal(24, F), 1.0)
        assert float(relative(found.stress, snapshots.stress).max()) < 1e-5
        assert found.tangent is not None
        assert float(relative(found.tangent, snapshots.tangent).max()) < 1e-2

    def test_tangent(self, made: Made) -> None:
        reduced = ReducedProblem(made.problem, made.modes)
        F = SMALL.deformation(SMALL.sample(3, 9))
        none = F.new_zeros(3, 0)
        found = reduced.solve(F, none, 1.0)
        assert found.tangent is not None
        for i, j in reduced.points.columns:
            step = torch.zeros(3, 3, dtype=torch.float64)
            step[i, j] += 0.5e-6
            step[j, i] += 0.5e-6
            up, down = (reduced.solve(F + s * step, none, 1.0).stress for s in (1, -1))
            expected = (up - down) / 2e-6
            assert float(relative(found.tangent[..., i, j], expected).max()) < 1e-7

    def test_magic_points(self, made: Made) -> None:
        """Fewer points, all weights positive, nearly the same answer."""
        snapshots = made.sets["training"]
        coarse, fine = (
            magic_points(made.problem, made.modes, snapshots, tolerance=t) for t in (1e-2, 1e-4)
        )
        assert len(coarse.index) < len(fine.index) < len(made.problem.points)
        errors = []
        F = SMALL.deformation(made.sets["test"].strain)
        none = F.new_zeros(len(F), 0)
        whole = ReducedProblem(made.problem, made.modes).solve(F, none, 1.0)
        for magic, tolerance in ((coarse, 1e-2), (fine, 1e-4)):
            assert bool((magic.weight > 0).all())
            assert abs(float(magic.weight.sum()) - 1.0) < tolerance  # the volume, too
            found = ReducedProblem(made.problem, made.modes, magic).solve(F, none, 1.0)
            errors.append(float(relative(found.stress, whole.stress).median()))
        assert errors[1] < 1e-3
        assert errors[1] < errors[0]

    def test_finite_strain_in_space(self) -> None:
        cell = FE2.example().cell
        problem = CellProblem(cell, LIKE)
        space = LoadSpace.cube(3, 0.1, small=False)
        z = space.sample(40, 0)
        F = space.deformation(z)
        micro = problem.solve(F, F.new_zeros(40, 0), 1.0)
        assert micro.tangent is not None
        flat = micro.point_stress.flatten(2)[..., problem.points.row]
        shots = Snapshots(z, micro.stress, micro.tangent, micro.fluctuation, flat)
        own = modes(problem, shots, 20)
        assert own.strain.shape[2] == 9  # by symmetry the fluctuations have no more dimensions
        reduced = ReducedProblem(problem, own)
        found = reduced.solve(F, F.new_zeros(40, 0), 1.0)
        assert float(relative(found.stress, micro.stress).max()) < 1e-8
        S, C = conjugate(F, micro, space)  # the derivative by Green and Lagrange's strain
        h = 1e-6
        for c in range(6):
            step = torch.zeros(6, dtype=torch.float64)
            step[c] = h
            sides = []
            for sign in (1, -1):
                moved = space.deformation(z[:3] + sign * step)
                P = problem.solve(moved, F.new_zeros(3, 0), 1.0).stress
                sides.append(stress_vector(torch.linalg.inv(moved) @ P, 3))
            assert float(relative(C[:3, :, c], (sides[0] - sides[1]) / (2 * h)).max()) < 1e-6
        assert float((C - C.mT).abs().max() / C.abs().max()) < 1e-9
        assert S.shape == (40, 6)


@pytest.mark.parametrize("cubes", [True, False])
@pytest.mark.parametrize("d", [3, 6])
def test_derivatives_of_the_network(d: int, cubes: bool) -> None:
    """First and second derivatives in closed form against automatic ones."""
    scale = torch.rand(d, dtype=torch.float64) + 0.5
    network = SmoothPerceptron(d, 2, (7, 5), norms(scale), cubes=cubes, seed=3)
    x = torch.randn(4, d, dtype=torch.float64)
    value, first, second = network.derivatives(x)
    assert first is not None
    assert second is not None
    assert torch.equal(value, network(x))
    for k in range(4):
        J = torch.autograd.functional.jacobian(lambda y: network(y[None])[0], x[k])
        assert torch.allclose(first[k].T, J, atol=1e-13)
        for n in range(2):
            H: Any = torch.autograd.functional.hessian(lambda y, n=n: network(y[None])[0, n], x[k])
            found = torch.stack([H[i, j] for i, j in network.places])
            assert torch.allclose(second[k, :, n], found, atol=1e-12)


def test_displacements_are_compared_from_the_middle_of_the_cell() -> None:
    """Of a cell that lies anywhere; fluctuations by themselves."""
    mesh = round_inclusion(0.25, (2, 1, 1), element="quad4")
    steel = LinearElastic(2.0, 0.3)
    nodes = mesh.nodes + torch.tensor([5.0, -3.0, 0.0])
    problem = CellProblem(Cell(replace(mesh, nodes=nodes), {"matrix": steel, "fibre": steel}), LIKE)
    F = mean_strain(xx=0.02, yy=-0.01, gamma_xy=0.03)[None]
    w = 1e-3 * torch.randn(1, problem.size, dtype=torch.float64)
    off = displacement_errors(problem, F, 1.1 * w, w)
    own = problem.layout.displacement(w)[0]
    u = (mesh.nodes - 0.5 * (mesh.nodes.amin(0) + mesh.nodes.amax(0))) @ (F[0] - torch.eye(3)).T
    for d, name in enumerate("xy"):
        assert float(off[f"w_{name}"]) == pytest.approx(0.1, rel=1e-9)
        expected = 0.1 * own[:, d].norm() / (u + own)[:, d].norm()
        assert float(off[f"u_{name}"]) == pytest.approx(float(expected), rel=1e-9)


class TestTrained:
    def test_errors(self, made: Made) -> None:
        """On load cases that were not seen; a small training of a coarse cell."""
        test = made.sets["test"]
        F = SMALL.deformation(test.strain)
        response, D = made.law.linearize(F, F.new_zeros(len(F), 0), 1.0)
        assert float(relative(response.tau, test.stress).median()) < 5e-3
        assert float(relative(D, test.tangent).median()) < 2e-2
        C = D.reshape(-1, 9, 9)
        i = torch.tensor([0, 4, 1])
        assert torch.equal(C[:, i][:, :, i], C[:, i][:, :, i].mT)  # to the last bit
        with torch.no_grad():
            w, _, s = made.law.local_fields(test.strain)
        assert float(relative(w, test.fluctuation).median()) < 5e-2
        assert float(relative(s, test.point_stress).median()) < 3e-2

    def test_residual(self, made: Made) -> None:
        """What the laws make of the learned strains, less the learned stresses; it tells errors."""
        z = made.sets["test"].strain
        own = ConstitutiveResidual(made.law, made.cell, None)
        found = own(z)
        with torch.no_grad():
            _, strain, stress = made.law.local_fields(z)
        points = made.problem.points
        F = points.deformation(strain, SMALL.deformation(z))
        P, _ = points.respond(F, F.new_zeros(len(z), 0), 1.0)
        local = P.flatten(2)[..., points.row]
        scale = points.weight.sqrt()[:, None]
        expected = relative(scale * stress, scale * local)
        assert torch.allclose(found, expected, rtol=1e-10)
        some = ConstitutiveResidual(made.law, made.cell, 40)(z)
        assert 0.5 < float((some / found).median()) < 2.0
        far = float(own(4.0 * z).median())
        assert far > 3.0 * float(found.median())  # it tells that the law is asked beyond its box
        test = made.sets["test"]
        off = relative(scale * stress, scale * test.point_stress)
        assert float((found / off).median()) > 0.5  # an error of stress shows in it

    def test_fields_have_the_mean_of_the_law(self, made: Made) -> None:
        z = SMALL.sample(7, 5)
        s = made.law.local_fields(z)[2].detach()
        mean = torch.einsum("p,kps->ks", made.modes.weight, s)
        tau = made.law.stress(SMALL.deformation(z), z.new_zeros(7, 0)).detach()
        assert torch.allclose(mean, _rows(made, tau), rtol=1e-9, atol=1e-6 * float(tau.abs().max()))

    def test_rest(self, made: Made) -> None:
        F = torch.eye(3, dtype=torch.float64)[None]
        response, D = made.law.linearize(F, F.new_zeros(1, 0), 1.0)
        assert float(response.tau.abs().max()) < 1e-3
        exact = made.problem.solve(F, F.new_zeros(1, 0), 1.0).tangent
        assert exact is not None
        assert float(relative(D, exact)) < 1e-4  # of the modes alone: the network has no part in it
        with torch.no_grad():
            a, b = made.law.mode_coefficients(torch.zeros(1, 3, dtype=torch.float64))
        assert float(a.abs().max()) < 1e-12
        assert float(b.abs().max()) < 1e-3

    def test_small_strains_are_as_exact_as_large_ones(self, made: Made) -> None:
        """Bodies strain most of their points little."""
        for share in (0.1, 0.01):
            F = SMALL.deformation(share * SMALL.sample(20, 11))
            none = F.new_zeros(20, 0)
            expected = made.problem.solve(F, none, 1.0).stress
            found = made.law.stress(F, none).detach()
            assert float(relative(found, expected).median()) < 5e-3

    def test_file_keeps_law_and_cell(self, made: Made, tmp_path: Path) -> None:
        made.law.save(tmp_path / "law.safetensors")
        again = ConstitutiveLaw.load(tmp_path / "law.safetensors")
        assert isinstance(again, EquiNO)
        F = SMALL.deformation(SMALL.sample(3, 5))
        none = F.new_zeros(3, 0)
        assert torch.equal(again.stress(F, none), made.law.stress(F, none))
        cell = embedded(again)
        assert cell is not None
        exact, kept = FE2(made.cell), FE2(cell)
        assert torch.equal(kept.stress(F, none), exact.stress(F, none))
        check_mesh(again, made.cell.mesh)
        with pytest.raises(ValueError, match="trained on another mesh"):
            check_mesh(again, round_inclusion(0.26, (2, 1, 1), element="quad8"))
        again.nodes[5, 0] += 1e-3
        with pytest.raises(ValueError, match="not the one it was trained on"):
            embedded(again)

    def test_snapshots_go_on_where_they_were(
        self, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import h5py

        file: Any
        with h5py.File(made.file, "a") as file:
            file["test"]["done"][4] = False
            file["test"]["stress"][4] = 0.0
        solved = []
        solve = CellProblem.solve

        def spied(self: CellProblem, F: Tensor, *more: object, **named: object) -> object:
            solved.append(len(F))
            return solve(self, F, *more, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(CellProblem, "solve", spied)
        again = make(made.problem, SMALL, made.file, sets=SETS)
        assert solved == [1]
        assert torch.allclose(again["test"].stress, made.sets["test"].stress, rtol=1e-12)
        other = CellProblem(small_cell("quad4"), LIKE)
        with pytest.raises(ValueError, match="of another cell"):
            make(other, SMALL, made.file, sets=SETS)
        with pytest.raises(ValueError, match="of other load cases"):
            make(made.problem, SMALL, made.file, sets={"test": (9, 2)})


def test_snapshots_tell_laws_apart() -> None:
    """Of numbers, of words, and of weights that are not printed."""
    mesh, fibre = small_cell("quad4").mesh, LinearElastic(73e9, 0.22)
    taught = InvariantSmooth()
    with torch.no_grad():
        for weight in taught.parameters():
            weight.mul_(1.01)
    laws = [{"matrix": Hyperbolic(4.78e9, 50e6, 0.06, kind), "fibre": fibre}
            for kind in ("3d", "plane")]  # fmt: skip
    laws.append({"matrix": Hyperbolic(4.78e9, 51e6, 0.06), "fibre": fibre})
    laws += [{"matrix": law, "fibre": law} for law in (InvariantSmooth(), taught)]
    keys = [key(CellProblem(Cell(mesh, own), LIKE), SMALL) for own in laws]
    assert len(set(keys)) == len(laws)
    assert key(CellProblem(Cell(mesh, laws[0]), LIKE), SMALL) == keys[0]


def pulled(law: ConstitutiveLaw, amount: float) -> Scene:
    mesh = box((2.0, 1.0), (2, 1), element="quad4", corner=(0.0, 0.0))
    boundaries = [Fixed("x-"), Displacement("x+", (2 * amount, 0.0, 0.0))]
    return Scene([Body(mesh, law, 1e3)], boundaries, (0.0, 0.0, 0.0))


class TestGuard:
    def test_within_the_box_no_cell_is_solved(self, made: Made) -> None:
        law = trusted(made.law)
        assert isinstance(law, Hybrid)
        simulate(pulled(law, 0.01), FESolver(integrator=Static(1)), frames=1)
        assert law.exact.solved == 0
        assert law.asked > 0

    def test_beyond_it_cells_are_solved_and_told(self, made: Made) -> None:
        solver = FESolver(integrator=Static(2))
        hybrid, exact = Hybrid(made.law), FE2(made.cell)
        found, states = {}, {}
        for name, law in (("hybrid", hybrid), ("exact", exact), ("alone", made.law)):
            model = solver.discretize(pulled(law, 0.06))
            states[name] = solver.rollout(model, solver.start(model), 2).last
            found[name] = (model, solver.summary(model, states[name])["micro"])
        assert hybrid.exact.solved > 0
        told = found["hybrid"][1]
        assert told["cells_solved"] == hybrid.exact.solved
        assert told["outside_box"]["points"] == told["outside_box"]["of"] == 8
        assert told["outside_box"]["largest"] > 0.3
        assert len(told["outside_box"]["where"]) == 2
        assert 0 < told["outside_box"]["where"][0][0] < 2
        assert found["alone"][1]["outside_box"]["points"] == 8
        fields = solver.cell_fields(found["hybrid"][0], states["hybrid"])
        assert float(fields["outside_box"].min()) > 0.3
        # every point is outside at the end, so the end is that of FE²
        assert torch.allclose(states["hybrid"].x, states["exact"].x, atol=1e-9)

    def test_how_far_out_is_by_the_half_width(self) -> None:
        """Of a box whose middle is not rest."""
        law = EquiNO(True, (-0.01, -0.02, -0.03), (0.03, 0.02, 0.09), 1e6)
        strains = [(0.03, 0.0, 0.0), (-0.01, 0.0, 0.03), (0.05, 0.0, 0.0), (0.01, 0.0, -0.09),
                   (0.01, 0.0, 0.03), (0.01, 0.01, 0.03)]  # fmt: skip
        F = torch.stack([mean_strain(xx=x, yy=y, gamma_xy=g) for x, y, g in strains])
        expected = torch.tensor([0.0, 0.0, 1.0, 1.0, -1.0, -0.5], dtype=torch.float64)
        assert torch.allclose(law.outside(F), expected, rtol=0, atol=1e-12)
        marked = law.marks(F, F.new_zeros(6, 0))["outside_box"]
        assert torch.allclose(marked, expected.clamp_min(0.0), rtol=0, atol=1e-12)

    def test_a_margin_within_the_box(self, made: Made) -> None:
        F = torch.stack([mean_strain(xx=0.038), mean_strain(gamma_xy=0.035)])
        with torch.no_grad():
            exact, learned = (
                law.stress(F, F.new_zeros(2, 0)) for law in (FE2(made.cell), made.law)
            )
            found = Hybrid(made.law, margin=0.1).stress(F, F.new_zeros(2, 0))
        assert not torch.allclose(exact, learned, rtol=1e-6)
        assert torch.allclose(found[0], exact[0], rtol=1e-9)
        assert torch.equal(found[1], learned[1])

    def test_gradients_pass_through_both(self, made: Made) -> None:
        law = Hybrid(made.law)
        F = torch.stack([mean_strain(xx=0.01, yy=0.02), mean_strain(xx=0.06, gamma_xy=0.01)])
        bar = torch.randn_like(F)
        parameters = list(law.exact.parameters())
        F1 = F.clone().requires_grad_()
        total = (bar * law.update(F1, F.new_zeros(2, 0), 1.0).tau).sum()
        grads = torch.autograd.grad(total, [F1, *parameters], allow_unused=True)
        step = torch.zeros_like(F)
        step[:, :2, :2] = torch.randn(2, 2, 2, dtype=torch.float64)
        with torch.no_grad():
            up, down = (
                (bar * law.update(F + s * 1e-6 * step, F.new_zeros(2, 0), 1.0).tau).sum()
                for s in (1, -1)
            )
        assert float((grads[0] * step).sum()) == pytest.approx(float((up - down) / 2e-6), rel=1e-6)
        assert all(g is not None for g in grads[1:])

    def test_refused(self, made: Made) -> None:
        with pytest.raises(ValueError, match="margin = 1"):
            Hybrid(made.law, margin=1.0)
        with pytest.raises(ValueError, match="expected both alike"):
            Hybrid(made.law, FE2.example())
        other = Cell(round_inclusion(0.26, (2, 1, 1), element="quad8"), made.cell.laws)
        with pytest.raises(ValueError, match="trained on another mesh"):
            Hybrid(made.law, FE2(other))
        bare = EquiNO.example()
        assert embedded(bare) is None
        assert trusted(bare) is bare
        with pytest.raises(ValueError, match="keeps no cell to fall back on"):
            Hybrid(bare)
