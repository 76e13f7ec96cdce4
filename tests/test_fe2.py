# SPDX-License-Identifier: Apache-2.0
"""FE²: bodies whose law is a cell, against the law itself and against a mesh that resolves all."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from processes import ends, start
from torch import Tensor

from rheograd.engine.fem import marks
from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.newton import NewtonFailure
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.homogenize import adjoint
from rheograd.engine.homogenize.cell import Cell, mean_strain, quadrature
from rheograd.engine.homogenize.fe2 import FE2
from rheograd.engine.homogenize.microstructures import repeated, round_inclusion
from rheograd.engine.homogenize.problem import CellProblem
from rheograd.engine.loads import Displacement, Fixed, Traction
from rheograd.engine.mesh.generators import box
from rheograd.engine.mesh.volume_mesh import VolumeMesh
from rheograd.engine.mpm.solver import MPMSolver
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Hencky, NeoHookean
from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import VonMises
from rheograd.materials.small_strain import Hyperbolic, LinearElastic

EYE = torch.eye(3, dtype=torch.float64)
MESH = round_inclusion(0.25, (2, 1, 1), element="quad4")


def cell(matrix: ConstitutiveLaw, fibre: ConstitutiveLaw, mesh: VolumeMesh = MESH) -> Cell:
    return Cell(mesh, {"matrix": matrix, "fibre": fibre})


def small_cell() -> Cell:
    return cell(Hyperbolic(4.78e3, 50.0, 0.06), LinearElastic(73e3, 0.22))


def finite_cell() -> Cell:
    return cell(NeoHookean(1e3, 0.4), NeoHookean(1e4, 0.3))


def plate(law: ConstitutiveLaw, pull: float, divisions: tuple[int, int] = (3, 2)) -> Scene:
    """A plate of 3 by 2 m held on the left and pulled aslant on the right."""
    mesh = box((3.0, 2.0), divisions, element="quad4", corner=(0.0, 0.0))
    boundaries = [Fixed("x-"), Traction("x+", (pull, -0.3 * pull, 0.0))]
    return Scene([Body(mesh, law, 1e3, name="plate")], boundaries, (0.0, 0.0, 0.0))


def pulled(law: ConstitutiveLaw, pull: float, **numerics: Any) -> Trajectory:
    solver = FESolver(integrator=Static(2), **numerics)
    return simulate(plate(law, pull), solver, frames=2)


@pytest.mark.parametrize(
    ("law", "pull"),
    [(Hyperbolic(4.78e3, 50.0, 0.06), 30.0), (NeoHookean(1e3, 0.4), 120.0)],
    ids=["small", "finite"],
)
def test_a_cell_of_one_phase_is_its_law(law: ConstitutiveLaw, pull: float) -> None:
    expected = pulled(law, pull, tolerance=1e-11)
    found = pulled(FE2(cell(law, law)), pull, tolerance=1e-11)
    assert float((expected.x[-1] - expected.x[0]).abs().max()) > 0.05
    assert torch.allclose(found.x, expected.x, rtol=0, atol=1e-9)
    a, b = (t.fields["reaction"][-1] for t in (found, expected))
    assert float((a - b).abs().max() / b.abs().max()) < 1e-8


@pytest.mark.parametrize("kind", ["small", "finite"])
def test_newton_converges_quadratically(kind: str) -> None:
    """With the consistent tangent the last steps square the residual."""
    law = FE2(small_cell() if kind == "small" else finite_cell())
    solver = FESolver(integrator=Static(1), tolerance=1e-11)
    model = solver.discretize(plate(law, 60.0 if kind == "small" else 150.0))
    advance = solver.advance(model)
    norms: list[float] = []
    solve = advance.newton.solve

    def spied(*arguments: Any, **named: Any) -> Any:
        x, found, report = solve(*arguments, **named)
        norms.extend(report.norms)
        return x, found, report

    advance.newton.solve = spied  # type: ignore[method-assign]
    advance.step(solver.start(model))
    assert 3 <= len(norms) <= 7
    falls = [b / a for a, b in pairwise(norms)]
    assert falls[-1] < 1e-3 or norms[-2] < 1e2
    assert falls[-2] < 0.05
    assert falls[-2] < falls[-3] / 3


def test_cells_start_from_the_last_iterate_and_go_back_on_a_cut() -> None:
    law = FE2(small_cell())
    solver = FESolver(integrator=Static(2))
    model = solver.discretize(plate(law, 60.0))
    seen: list[tuple[float, int]] = []
    micro = law.micro

    def spied(
        F: Tensor, internal: Tensor, dt: float, guess: Any = None, tangent: bool = True
    ) -> Any:
        found = micro(F, internal, dt, guess, tangent)
        seen.append((0.0 if guess is None else float(guess.norm()), int(found.iterations.max())))
        return found

    law.micro = spied  # type: ignore[method-assign]
    advance = solver.advance(model)
    state = advance.step(solver.start(model))
    kept = advance.assembler.kept[0, 0].norm()
    asked = [guess for guess, _ in seen if guess]
    assert asked  # later iterates start from earlier ones,
    assert seen[-1][1] <= 2  # and are done at once
    seen.clear()
    advance.step(state)
    assert seen[0][0] == pytest.approx(float(kept), rel=1e-12)
    advance.assembler.guesses[0, 0] = advance.assembler.guesses[0, 0] * 7.0  # as a step that failed
    advance.assembler.begin(advance.assembler.start, advance.assembler.laws, 1.0)
    assert torch.equal(advance.assembler.guesses[0, 0], advance.assembler.kept[0, 0])
    advance.forget()
    assert not advance.assembler.kept


def test_gradients_through_two_scales() -> None:
    """Of a macroscopic displacement by the pull and by the laws of the phases."""
    matrix, fibre = Hyperbolic(4.78e3, 50.0, 0.06), LinearElastic(73e3, 0.22)
    law = FE2(cell(matrix, fibre))
    solver = FESolver(integrator=Static(2), tolerance=1e-11)

    def moved(pull: Tensor) -> Tensor:
        scene = plate(law, 0.0, (2, 1))
        load = Traction("x+", torch.stack([pull, -0.3 * pull, 0.0 * pull]))
        scene = Scene(scene.bodies, [scene.boundaries[0], load], (0.0, 0.0, 0.0))
        trajectory = simulate(scene, solver, frames=1, adjoint=Checkpoint())
        return trajectory.x[-1, :, :2].square().sum()

    pull = torch.tensor(60.0, dtype=torch.float64, requires_grad=True)
    parameters = [pull, *law.parameters()]
    found = torch.autograd.grad(moved(pull), parameters)
    for parameter, gradient in zip(parameters, found, strict=True):
        h = 1e-5 * float(parameter.detach())
        values = []
        for step in (h, -h):
            with torch.no_grad():
                parameter += step
                values.append(float(moved(pull)))
                parameter -= step
        expected = (values[0] - values[1]) / (2 * h)
        assert float(gradient) == pytest.approx(expected, rel=2e-6)


def test_gradients_of_cells_that_flow() -> None:
    """Of stress and history by deformation, history and every parameter."""
    metal = cell(ElastoPlastic(Hencky(10.0, 0.3), VonMises(0.2)), Hencky(50.0, 0.2))
    law = FE2(metal, FESolver(tolerance=1e-12))
    turn = torch.zeros(3, 3, 3, dtype=torch.float64)
    turn[:, :2, :2] = 0.05 * torch.randn(3, 2, 2, dtype=torch.float64)
    F = EYE + turn
    with torch.no_grad():
        internal = law.update(EYE + 0.6 * turn, law.rest_internal(3, F), 1.0).internal
    tau_bar, history_bar = torch.randn_like(F), 0.01 * torch.randn_like(internal)
    found = law.pullback(F, internal, 1.0, tau_bar, torch.zeros_like(F), history_bar)

    def value(F: Tensor, internal: Tensor) -> Tensor:
        with torch.no_grad():
            out = law.update(F, internal, 1.0)
        return (tau_bar * out.tau).sum() + (history_bar * out.internal).sum()

    h = 1e-6
    dF = torch.zeros_like(F)
    dF[:, :2, :2] = torch.randn(3, 2, 2, dtype=torch.float64)
    dh = 0.1 * torch.randn_like(internal)
    for slope, a, b in (
        ((found.F_trial * dF).sum(), dF, torch.zeros_like(dh)),
        ((found.internal * dh).sum(), torch.zeros_like(dF), dh),
    ):
        expected = (value(F + h * a, internal + h * b) - value(F - h * a, internal - h * b)) / (
            2 * h
        )
        assert float(slope) == pytest.approx(float(expected), rel=1e-6)
    for parameter, slope in zip(law.parameters(), found.parameters, strict=True):
        h = 1e-6 * float(parameter.detach())
        values = []
        for step in (h, -h):
            with torch.no_grad():
                parameter += step
                values.append(value(F, internal))
                parameter -= step
        expected = (values[0] - values[1]) / (2 * h)
        assert float(slope) == pytest.approx(float(expected), rel=1e-5)


def test_gradients_of_a_cell_without_an_energy() -> None:
    """Its matrix is not symmetric, and the adjoint's is the transpose."""
    resin = Hyperbolic(4.78e3, 50.0, 0.06, norm="plane")
    law = FE2(cell(resin, LinearElastic(73e3, 0.22)), FESolver(tolerance=1e-13))
    F = torch.stack([mean_strain(xx=0.03, yy=-0.02, xy=0.02), mean_strain(yy=0.04, xy=-0.01)])
    none, bar = F.new_zeros(2, 0), torch.randn_like(F)
    back = law.pullback(F, none, 1.0, bar, torch.zeros_like(F), none)
    D = law.linearize(F, none, 1.0)[1]
    through = torch.einsum("pij,pijkl->pkl", bar, D)
    assert torch.allclose(back.F_trial[:, :2, :2], through[:, :2, :2], rtol=1e-9, atol=1e-9)
    for parameter, slope in zip(law.parameters(), back.parameters, strict=True):
        h, values = 1e-5 * float(parameter.detach()), []
        for step in (h, -h):
            with torch.no_grad():
                parameter += step
                values.append(float((bar * law.update(F, none, 1.0).tau).sum()))
                parameter -= step
        assert float(slope) == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-6)


def test_gradients_of_cells_in_parts_are_those_of_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    law = FE2(small_cell())
    F = mean_strain(xx=0.03, yy=-0.02, xy=0.02).repeat(3, 1, 1)
    F[1, 0, 0], F[2, 1, 1] = 0.99, 1.03
    none, bar = F.new_zeros(3, 0), torch.randn_like(F)
    whole = law.pullback(F, none, 1.0, bar, torch.zeros_like(F), none)
    monkeypatch.setattr(adjoint, "POINTS", 2 * len(law.problem(F).points))
    parts = law.pullback(F, none, 1.0, bar, torch.zeros_like(F), none)
    assert torch.allclose(parts.F_trial, whole.F_trial, rtol=1e-9)
    for a, b in zip(parts.parameters, whole.parameters, strict=True):
        assert float(a) == pytest.approx(float(b), rel=1e-9)


def test_a_block_of_ten_by_ten_cells_resolved_in_full() -> None:
    """Finite strain: each cell amid the block answers as a periodic one under its own mean F.

    Near the sides of the block cells are not periodic; the error falls by the distance from them.
    """
    own = finite_cell()
    block = repeated(MESH, (10, 10))
    x = block.nodes

    def bent(X: Tensor) -> Tensor:
        """A displacement of the sides that no two cells see alike."""
        s = (X[:, 0] - 5.0) / 10.0
        return torch.stack([1.5 * s * (1 + 0.2 * X[:, 1] / 10), -1.0 * s * s, 0.0 * s], 1)

    edge = ((x[:, :2] + 0.5) % 10 < 1e-9).any(1) | ((x[:, :2] - 9.5).abs() < 1e-9).any(1)
    body = VolumeMesh("quad4", x, block.cells, {}, {"edge": edge.nonzero()[:, 0]}, block.regions)
    e = len(MESH.cells)
    matrix, fibre = own.laws["matrix"], own.laws["fibre"]
    problem = direct(body, matrix, fibre, bent)
    F, P = problem
    weight = quadrature(MESH).weight.reshape(-1)
    periodic = CellProblem(own, torch.zeros((), dtype=torch.float64))
    errors: dict[int, list[float]] = {}
    for number in range(100):
        i, j = divmod(number, 10)
        ring = min(i, j, 9 - i, 9 - j)
        rows = slice(number * e * 4, (number + 1) * e * 4)
        mean_F = torch.einsum("p,pij->ij", weight, F[rows])
        mean_P = torch.einsum("p,pij->ij", weight, P[rows])
        found = periodic.solve(mean_F[None], mean_F.new_zeros(1, 0), 1.0)
        scale = float(mean_P[:2, :2].norm())
        error = float((found.stress[0] - mean_P)[:2, :2].norm()) / scale
        errors.setdefault(ring, []).append(error)
    middle = median([*errors[3], *errors[4]])
    assert middle < 5e-5
    assert median(errors[0]) > 10 * middle


def direct(
    mesh: VolumeMesh, matrix: ConstitutiveLaw, fibre: ConstitutiveLaw, moved: Any
) -> tuple[Tensor, Tensor]:
    """F and first Piola stress at all points of a body whose edge is moved."""
    nodes = mesh.nodes
    parts = []
    for name, law in (("matrix", matrix), ("fibre", fibre)):
        cells = mesh.cells[mesh.regions[name]]
        used, local = torch.unique(cells, return_inverse=True)
        on = torch.zeros(len(nodes), dtype=torch.bool)
        on[mesh.points["edge"]] = True
        points = {"edge": on[used].nonzero()[:, 0]} if bool(on[used].any()) else {}
        part = VolumeMesh(mesh.element, nodes[used], local, {}, points)
        parts.append(Body(part, law, 1e3, name=name))
    edge = nodes[mesh.points["edge"]]
    boundaries = [
        Displacement(where(place), (dx, dy, dz), body="matrix")
        for place, (dx, dy, dz) in zip(edge, moved(edge).tolist(), strict=True)
    ]
    scene = Scene(parts, boundaries, (0.0, 0.0, 0.0))
    solver = FESolver(integrator=Static(3))
    model = solver.discretize(scene)
    state = solver.rollout(model, solver.start(model), 3).last
    F, tau = state.F, state.carry["tau"]
    P = tau @ torch.linalg.inv(F).mT
    # from the order of bodies to that of the mesh
    order = torch.cat([mesh.regions["matrix"], mesh.regions["fibre"]])
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    q = len(F) // len(order)
    return tuple(t.unflatten(0, (-1, q))[place].flatten(0, 1) for t in (F, P))  # type: ignore[return-value]


def where(place: Tensor) -> Any:
    return lambda x: (x - place).norm(dim=1) < 1e-9


SHARED = """
import torch, torch.distributed as dist
from rheograd.engine.fem.newton import NewtonFailure
from rheograd.engine.homogenize.fe2 import FE2

dist.init_process_group("gloo")
torch.set_num_threads(1)
alone, shared = FE2.example(), None
shared = FE2(alone.cell, share=True)
torch.manual_seed(3)
F = torch.eye(3, dtype=torch.float64) + 0.05 * torch.randn(5, 3, 3, dtype=torch.float64)
none = F.new_zeros(5, 0)
a, b = (law.linearize(F, none, 1.0) for law in (alone, shared))
same = lambda a, b: torch.allclose(a, b, rtol=1e-11, atol=1e-11 * float(a.abs().max()))
print(shared.solved, same(a[0].tau, b[0].tau), same(a[1], b[1]))
bars = torch.randn_like(F), torch.zeros_like(F), none
a, b = (law.pullback(F, none, 1.0, *bars) for law in (alone, shared))
print(same(a.F_trial, b.F_trial), same(*(torch.stack(g.parameters) for g in (a, b))))
F[4, 0, 0] = -0.5
try:
    shared.linearize(F, none, 1.0)
except NewtonFailure as error:
    print(error)
dist.destroy_process_group()
"""


def test_processes_divide_the_cells(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(SHARED)
    first, second = ends(start(program, 2))
    assert (first.code, second.code) == (0, 0), first.err + second.err
    for ended, count in ((first, 2), (second, 3)):
        assert ended.out.splitlines()[0] == f"{count} True True"
        assert ended.out.splitlines()[1] == "True True"
    assert "of another process" in first.out
    assert "turns inside out" in second.out or "inside out" in second.out


def test_marks_and_accounts_of_two_bodies() -> None:
    """What laws have done is summed; the places told are those that are farthest out."""
    laws = [EquiNO(True, (-0.01,) * 3, (0.01,) * 3, 1e6), FE2(small_cell()), FE2(small_cell())]
    meshes = [box((4.0, 1.0), (4, 1), element="quad4", corner=(0.0, 3.0 * k)) for k in range(3)]
    bodies = [Body(mesh, law, 1e3, name=f"{k}")
              for k, (mesh, law) in enumerate(zip(meshes, laws, strict=True))]  # fmt: skip
    solver = FESolver(integrator=Static(1))
    model = solver.discretize(Scene(bodies, [Fixed("x-")], (0.0, 0.0, 0.0)))
    state = solver.start(model)
    centres = model.x0[model.nodes].mean(1)
    (third,) = ((centres - torch.tensor([2.5, 0.5, 0.0])).norm(dim=1) < 1e-6).nonzero()[:, 0]
    F = state.F.clone().unflatten(0, (len(model.nodes), -1))
    F[third, 0, 0, 0] += 0.04
    F[third - 1, :2, 0, 0] += 0.02
    for law, solved in zip(laws[1:], (3, 4), strict=True):
        assert isinstance(law, FE2)
        law.solved = solved
    moved = replace(state, F=F.flatten(0, 1))
    told = marks.summary(model, moved)["micro"]
    assert told["cells_solved"] == 7
    assert told["outside_box"]["points"] == 3
    assert told["outside_box"]["largest"] == pytest.approx(3.0)
    assert told["outside_box"]["where"] == [[2.5, 0.5, 0.0], [1.5, 0.5, 0.0]]
    most = marks.of_elements(model, moved)["outside_box"]
    assert most[[int(third), int(third) - 1]].tolist() == pytest.approx([3.0, 1.0])


class TestRefusals:
    @pytest.mark.parametrize(("i", "j"), [(0, 2), (1, 2), (2, 0), (2, 1), (2, 2)])
    def test_each_way_out_of_the_plane(self, i: int, j: int) -> None:
        F = EYE.repeat(2, 1, 1)
        F[1, i, j] += 0.01
        with pytest.raises(ValueError, match=r"out of the plane of up to 0\.01"):
            FE2(small_cell()).update(F, F.new_zeros(2, 0), 1.0)

    def test_plane_and_space(self) -> None:
        law = FE2(small_cell())
        body = Body(Box((0.5, 0.5, 0.5), (1.0, 1.0, 1.0)), law, 1e3)
        scene = Scene([body], [], (0.0, 0.0, 0.0), domain=Domain((0, 0, 0), (1, 1, 1)))
        with pytest.raises(ValueError, match="for bodies in the plane"):
            FESolver(size=0.5).discretize(scene)
        with pytest.raises(ValueError, match="which is for small strains, expected one of finite"):
            MPMSolver(cell=0.1).discretize(scene)
        with pytest.raises(ValueError, match="for bodies in plane strain"):
            flat = Scene([Body(body.shape, FE2(finite_cell()), 1e3)], [], domain=scene.domain)
            MPMSolver(cell=0.1).discretize(flat)
        with pytest.raises(ValueError, match="strain out of the plane"):
            law.update(mean_strain(zz=0.01)[None], torch.zeros(1, 0), 1.0)

    def test_a_cell_without_balance(self) -> None:
        law = FE2(finite_cell(), FESolver(iterations=1))
        with pytest.raises(NewtonFailure, match="found no balance"):
            law.update(
                EYE[None] + torch.diag(torch.tensor([0.3, 0, 0])), torch.zeros(1, 0).double(), 1.0
            )
