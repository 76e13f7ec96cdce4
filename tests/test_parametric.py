# SPDX-License-Identifier: Apache-2.0
"""Learned cells with parameters of their phases: law, training, gradients, identification."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import vmap

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.fit.experiment import Experiment
from rheograd.engine.fit.least_squares import fit_parameters
from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.homogenize import parametric
from rheograd.engine.homogenize.cell import Cell, mean_strain
from rheograd.engine.homogenize.embedding import embedded
from rheograd.engine.homogenize.fe2 import FE2
from rheograd.engine.homogenize.hybrid import Hybrid
from rheograd.engine.homogenize.levenberg_marquardt import levenberg_marquardt
from rheograd.engine.homogenize.load_space import LoadSpace
from rheograd.engine.homogenize.microstructures import round_inclusion
from rheograd.engine.homogenize.training import Recipe, minimise
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.generators import box
from rheograd.engine.observations.force_curve import ForceCurve
from rheograd.engine.scene import Body, Scene
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint
from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.homogenized.phase_parameters import (
    DEGREE,
    PhaseParameter,
    laws_of,
    polynomials,
    powers,
)
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.small_strain import Hyperbolic, LinearElastic

SMALL = LoadSpace.cube(2, 0.04, small=True)
VARIED = (
    PhaseParameter("fibre", "young", 10e9, 30e9),
    PhaseParameter("matrix", "limit", 35e6, 70e6),
)
RECIPE = Recipe(modes=12, cases=250, widths=(8, 8), branch=(8,), steps=30, iterations=100)
LABELS = ("fibre.young", "matrix.limit")
PLACE = {"fibre.young": 24e9, "matrix.limit": 42e6}


def cell(young: float = 20e9, limit: float = 50e6) -> Cell:
    mesh = round_inclusion(0.25, (2, 1, 1), element="quad4")
    return Cell(
        mesh, {"matrix": Hyperbolic(4.78e9, limit, 0.06), "fibre": LinearElastic(young, 0.22)}
    )


class Made:
    """A family of cells, and the law that was trained of it."""

    def __init__(self) -> None:
        self.cell = cell()
        self.family = parametric.Family(self.cell, VARIED)
        train, held = (parametric.solve(self.family, SMALL, *k) for k in ((40, 0), (15, 1)))
        self.test = parametric.solve(self.family, SMALL, 20, 2)
        self.law = parametric.train(self.family, SMALL, train, held, RECIPE).law


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


def untrained(small: bool) -> EquiNO:
    """Two phases and random weights, in plane strain or under finite strain in space."""
    kind = "linear-elastic" if small else "neo-hookean"
    phases = [[name, kind, {"young": E, "poisson": 0.3}] for name, E in (("a", 2e6), ("b", 9e6))]
    d = 3 if small else 6
    law = EquiNO(
        small, (-0.1,) * d, (0.1,) * d, 1e6, (6, 5), (4,), (2, 2), (7, 3),
        cell=["quad4", "", phases], varied=[("a", "young", 1e6, 4e6), ("b", "poisson", -0.1, 0.4)],
    )  # fmt: skip
    for name, buffer in law.named_buffers():
        if buffer.is_floating_point() and buffer.ndim > 1 and not name.endswith("metrics"):
            buffer.copy_(buffer + 0.1 * torch.randn_like(buffer))
    C = law.potential.rest_tangent
    C.copy_(C + C.mT)
    C[0] += 40.0 * torch.eye(d).double()
    C.mul_(1e5)
    law.potential.rest_slopes.mul_(1e5)
    return law


def strained(law: EquiNO, count: int, size: float = 0.03) -> Tensor:
    F = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    F[:, : law.dim, : law.dim] += size * torch.randn(count, law.dim, law.dim).double()
    return F


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).detach().norm() / expected.detach().norm())


def sides(of: Callable[[], Tensor], parameter: Tensor, h: float) -> Tensor:
    """A central difference by a parameter."""
    values = []
    for step in (h, -h):
        with torch.no_grad():
            parameter += step
            values.append(of().detach().clone())
            parameter -= step
    return (values[0] - values[1]) / (2 * h)


class TestPhaseParameter:
    def test_scaled_by_logarithm_where_positive(self) -> None:
        young, poisson = PhaseParameter("f", "E", 1e9, 4e9), PhaseParameter("f", "nu", -0.2, 0.4)
        assert young.value(0.0) == pytest.approx(2e9)
        assert poisson.value(0.5) == pytest.approx(0.25)
        for v in (young, poisson):
            for x in (-1.0, 0.3, 1.0, 1.2):
                found = v.scaled(torch.tensor(v.value(x), dtype=torch.float64))
                assert float(found) == pytest.approx(x)

    def test_polynomials_are_those_of_chebyshev(self) -> None:
        x = torch.tensor([0.3, -0.8, 0.95], dtype=torch.float64)
        each = np.polynomial.chebyshev.chebvander(x.numpy(), DEGREE)
        known = powers(3)
        assert len(known) == len(set(known)) == 56  # (5 + 3)! / (5! 3!)
        expected = [np.prod([each[k, a] for k, a in enumerate(p)]) for p in known]
        assert np.allclose(polynomials(x).numpy(), expected, atol=1e-14)

    def test_refused(self) -> None:
        with pytest.raises(ValueError, match="the lower end first"):
            PhaseParameter("fibre", "young", 2.0, 1.0)
        with pytest.raises(ValueError, match="a phase among matrix, fibre"):
            parametric.Family(cell(), [PhaseParameter("fiber", "young", 1e9, 2e9)])
        with pytest.raises(ValueError, match="of LinearElastic: young, poisson"):
            parametric.Family(cell(), [PhaseParameter("fibre", "bulk", 1e9, 2e9)])
        with pytest.raises(ValueError, match="one or more PhaseParameter"):
            parametric.Family(cell(), [])
        with pytest.raises(ValueError, match="not made of numbers alone"):
            EquiNO(True, (-1,) * 3, (1,) * 3, 1.0, cell=["quad4", "", []], varied=[VARIED_ROW])


VARIED_ROW = ("fibre", "young", 1e9, 2e9)


@pytest.mark.parametrize("small", [True, False], ids=["small", "finite"])
class TestLaw:
    def test_its_parameters_are_those_of_the_phases(self, small: bool) -> None:
        law = untrained(small)
        names = [name for name, _ in law.named_parameters()]
        assert names == ["phases.a.young", "phases.b.poisson"]
        assert law.wave_modulus() > 0

    def test_rest_is_free_of_stress_and_has_its_tangent(self, small: bool) -> None:
        law = untrained(small)
        eye = torch.eye(3, dtype=torch.float64)[None]
        for values in ({}, {"a.young": 1.2e6, "b.poisson": 0.35}):
            own = law.at(values)
            tau, D = own.linearize(eye, eye.new_zeros(1, 0), 1.0)
            assert float(tau.tau.abs().max()) < 1e-8
            x = own.phase_inputs()
            assert x is not None
            C = torch.einsum("t,tij->ij", polynomials(x), own.potential.rest_tangent)
            expected = 0.5 * (C + C.mT)
            assert D[0, 0, 0, 0, 0].item() == pytest.approx(expected[0, 0].item())
            assert D[0, 0, 1, 0, 1].item() == pytest.approx(expected[-1, -1].item())

    def test_stress_is_the_gradient_of_the_energy(self, small: bool) -> None:
        law, h = untrained(small), 1e-6
        F = strained(law, 4)
        tau = law.stress(F, F.new_zeros(4, 0)).detach()
        P = tau if small else tau @ torch.linalg.inv(F).mT
        for i in range(law.dim):
            for j in range(law.dim):
                step = torch.zeros(3, 3, dtype=torch.float64)
                step[i, j] = h
                up, down = (law.energy(F + s * step, F.new_zeros(4, 0)) for s in (1, -1))
                assert relative((up - down) / (2 * h), P[:, i, j]) < 1e-6

    def test_gradients_against_central_differences(self, small: bool) -> None:
        """By strain and by parameters; the tangent in closed form is that of differences."""
        law = untrained(small)
        F = strained(law, 5)
        none, bar = F.new_zeros(5, 0), torch.randn(5, 3, 3, dtype=torch.float64)
        bars = torch.zeros_like(F), none
        found = law.pullback(F, none, 1.0, bar, *bars)
        D = law.linearize(F, none, 1.0)[1]
        # autograd and closed form are two ways to one derivative
        assert relative(torch.einsum("pij,pijkl->pkl", bar, D), found.F_trial) < 1e-12
        step = torch.zeros_like(F)
        step[:, : law.dim, : law.dim] = torch.randn(5, law.dim, law.dim).double()
        up, down = (law.stress(F + s * 1e-6 * step, none) for s in (1, -1))
        assert relative(torch.einsum("pijkl,pkl->pij", D, step), (up - down) / 2e-6) < 1e-7
        for parameter, slope in zip(law.parameters(), found.parameters, strict=True):
            h = 1e-5 * float(parameter.detach())
            expected = sides(lambda: (bar * law.stress(F, none)).sum(), parameter, h)
            assert float(slope) == pytest.approx(float(expected), rel=1e-7)

    def test_modes_follow_the_parameters(self, small: bool) -> None:
        law = untrained(small)
        z = 0.05 * torch.randn(2, len(law.lower), dtype=torch.float64)
        for parameter in law.parameters():
            total = torch.stack([t.square().sum() for t in law.mode_coefficients(z)]).sum()
            (slope,) = torch.autograd.grad(total, parameter)
            expected = sides(
                lambda: sum(t.square().sum() for t in law.mode_coefficients(z)),  # type: ignore[arg-type,return-value]
                parameter, 1e-5 * float(parameter.detach()),
            )  # fmt: skip
            assert float(slope) == pytest.approx(float(expected), rel=1e-6)

    def test_a_law_of_other_parameters_shares_the_networks(self, small: bool) -> None:
        law = untrained(small)
        other = law.at({"a.young": 3e6})
        assert other.potential.network.weights[0] is law.potential.network.weights[0]
        assert [p.item() for p in other.parameters()] == [3e6, 0.3]
        assert [p.item() for p in law.parameters()] == [2e6, 0.3]
        assert "a.young=3e+06 (1e+06 to 4e+06)" in repr(other)
        with pytest.raises(ValueError, match=r"expected parameters .* a\.young, b\.poisson"):
            law.at({"a.poisson": 0.1})

    def test_out_of_range(self, small: bool) -> None:
        law = untrained(small)
        F = strained(law, 2, 0.001)
        assert float(law.outside(F).max()) < 0
        beyond = law.at({"b.poisson": 0.45})  # by 0.2 of a half-width of 0.25
        marks = beyond.marks(F, F.new_zeros(2, 0))
        assert torch.allclose(marks["outside_box"], torch.full((2,), 0.2).double())
        assert torch.allclose(marks["outside_parameters"], torch.full((2,), 0.2).double())
        for value in (-1.0, float("nan")):
            with pytest.raises(ValueError, match=r"a\.young = .*from 1e\+06 to 4e\+06"):
                law.at({"a.young": value}).stress(F, F.new_zeros(2, 0))


class TestTrained:
    def test_errors(self, made: Made) -> None:
        """Over strains and parameters that were not seen; a small training of a coarse cell."""
        found = parametric.errors(made.law, made.family, SMALL, made.test)
        assert float(found.mean.median()) < 5e-3
        assert float(found.tangent.median()) < 2e-2
        assert float(found.displacement["u_x"].median()) < 5e-2
        assert len(found.mean) == 20

    def test_it_has_learned_the_parameters(self, made: Made) -> None:
        """Without them it is off by far more than it is."""
        test, F = made.test, SMALL.deformation(made.test.cells.strain)
        fixed = made.law.stress(F, F.new_zeros(20, 0)).detach()
        gap = (fixed - test.cells.stress).flatten(1).norm(dim=1)
        assert float((gap / test.cells.stress.flatten(1).norm(dim=1)).median()) > 0.03

    def test_tangent_at_rest(self, made: Made) -> None:
        F = torch.eye(3, dtype=torch.float64)[None]
        for values in ({}, PLACE):
            law = made.law.at(values)
            cell = embedded(law)
            assert cell is not None
            expected = FE2(cell).linearize(F, F.new_zeros(1, 0), 1.0)[1]
            D = law.linearize(F, F.new_zeros(1, 0), 1.0)[1]
            assert relative(D[:, :2, :2], expected[:, :2, :2]) < 2e-4

    def test_given_laws_stay_as_they_are(self, made: Made) -> None:
        laws = made.cell.laws
        assert [p.item() for law in laws.values() for p in law.parameters()] == [
            4.78e9, 50e6, 0.06, 20e9, 0.22,
        ]  # fmt: skip

    def test_derivative_of_stress_by_parameters_is_that_of_the_cell(self, made: Made) -> None:
        law = made.law.at(PLACE)
        exact = FE2(embedded(law))  # type: ignore[arg-type]
        F = torch.stack(
            [mean_strain(xx=0.02, yy=-0.01, gamma_xy=0.02), mean_strain(yy=0.015, gamma_xy=0.03)]
        )
        none = F.new_zeros(2, 0)

        def by_parameters(law: ConstitutiveLaw) -> Tensor:
            """Of each component of the stress, shape (components, parameters)."""
            rows = []
            for place in ((0, 0, 0), (0, 1, 1), (0, 0, 1), (1, 0, 0), (1, 1, 1), (1, 0, 1)):
                bar = torch.zeros_like(F)
                bar[place] = 1.0
                slopes = law.pullback(F, none, 1.0, bar, torch.zeros_like(F), none).parameters
                rows.append(torch.stack(slopes))
            return torch.stack(rows)

        found, expected = by_parameters(law), by_parameters(exact)
        # the very same parameters, in the order of the phases
        assert [id(p) for p in law.parameters()] == [id(p) for p in exact.parameters()]
        for column in range(2):
            assert relative(found[:, column], expected[:, column]) < 0.05

    def test_file(self, made: Made, tmp_path: Path) -> None:
        law = made.law.at(PLACE)
        law.save(tmp_path / "law.safetensors")
        again = ConstitutiveLaw.load(tmp_path / "law.safetensors")
        assert isinstance(again, EquiNO)
        assert [(n, p.item()) for n, p in again.named_parameters()] == [
            (n, p.item()) for n, p in law.named_parameters()
        ]
        F = SMALL.deformation(SMALL.sample(3, 5))
        none = F.new_zeros(3, 0)
        assert torch.equal(again.stress(F, none), law.stress(F, none))
        assert not torch.equal(again.stress(F, none), made.law.stress(F, none))
        kept = embedded(again)
        assert kept is not None
        exact = FE2(cell(PLACE["fibre.young"], PLACE["matrix.limit"]))
        assert torch.allclose(FE2(kept).stress(F, none), exact.stress(F, none), rtol=1e-12)

    def test_beyond_the_range_cells_are_solved(self, made: Made) -> None:
        """With the parameters of the law itself, and gradients by them."""
        law = made.law.at({"fibre.young": 45e9})
        hybrid = Hybrid(law)
        F = SMALL.deformation(0.5 * SMALL.sample(2, 3))
        none = F.new_zeros(2, 0)
        expected = FE2(cell(45e9, law.phases["matrix"].limit.item()))  # type: ignore[union-attr,operator]
        assert torch.allclose(hybrid.stress(F, none), expected.stress(F, none), rtol=1e-10)
        assert hybrid.exact.solved == 2
        assert len(list(hybrid.parameters())) == 2
        young = law.phases["fibre"].young
        assert isinstance(young, Tensor)
        (slope,) = torch.autograd.grad(hybrid.stress(F, none)[:, 0, 0].sum(), young)
        h = 1e-5 * 45e9
        wanted = sides(lambda: hybrid.stress(F, none)[:, 0, 0].sum(), young, h)
        assert float(slope) == pytest.approx(float(wanted), rel=1e-5)


def pulled(law: ConstitutiveLaw, move: Any) -> Scene:
    """Two elements held on the left, moved on the right."""
    mesh = box((2.0, 1.0), (2, 1), element="quad4", corner=(0.0, 0.0))
    return Scene([Body(mesh, law, 1e3)], [Fixed("x-"), Displacement("x+", move, "xy")], (0, 0, 0))


def right(x: Tensor) -> Tensor:
    return x[:, 0] > 2.0 - 1e-6


class TestBody:
    def test_gradients_of_a_reaction(self, made: Made) -> None:
        """By load and parameters: its own differences, and FE²."""
        law = made.law.at(PLACE)
        exact = FE2(embedded(law))  # type: ignore[arg-type]
        solver = FESolver(integrator=Static(2), tolerance=1e-11)
        move = torch.tensor(0.03, dtype=torch.float64, requires_grad=True)

        def reaction(law: ConstitutiveLaw) -> Tensor:
            scene = pulled(law, torch.stack([move, -0.5 * move, 0.0 * move]))
            found = simulate(scene, solver, frames=1, adjoint=Checkpoint())
            return found.fields["reaction"][-1][right(found.x[0]), 0].sum()

        by = [move, *law.parameters()]
        found = torch.autograd.grad(reaction(law), by)
        expected = torch.autograd.grad(reaction(exact), by)
        for parameter, slope, true in zip(by, found, expected, strict=True):
            difference = sides(lambda: reaction(law), parameter, 1e-5 * float(parameter.detach()))
            assert float(slope) == pytest.approx(float(difference), rel=1e-6)
            assert float(slope) == pytest.approx(float(true), rel=0.04)

    def test_parameters_from_reactions_of_fe2(self, made: Made) -> None:
        """Of another fibre and another resin, through the surrogate alone."""
        truth = cell(PLACE["fibre.young"], PLACE["matrix.limit"])
        solver = FESolver(integrator=Static(2))
        experiments = []
        for name, move in (("pull", (0.04, 0.0, 0.0)), ("shear", (0.0, 0.06, 0.0))):
            seen = simulate(pulled(FE2(truth), move), solver, frames=2)
            force = seen.fields["reaction"][:, right(seen.x[0])].sum(1)
            along = torch.nn.functional.normalize(torch.tensor(move).double(), dim=0)
            curve = ForceCurve.bind(
                seen.time, force @ along, seen.x[0], right, axis=move, noise=1e3
            )
            experiments.append(Experiment(curve, {"move": move}, name))

        def build(*, young: float, limit: float, move: tuple[float, ...] = (0.0,) * 3) -> Scene:
            return pulled(made.law.at(dict(zip(LABELS, (young, limit), strict=True))), move)

        fitted = fit_parameters(
            build, solver, experiments,
            {
                "young": Parameter(15e9, 10e9, 30e9, unit="Pa"),
                "limit": Parameter(60e6, 35e6, 70e6, unit="Pa"),
            },
            search=0,
        )  # fmt: skip
        assert fitted.values["young"] == pytest.approx(PLACE["fibre.young"], rel=0.05)
        assert fitted.values["limit"] == pytest.approx(PLACE["matrix.limit"], rel=0.02)


def test_many_parameters_at_once_are_those_one_by_one() -> None:
    """As the training asks for them."""
    law = untrained(True)
    z, x = 0.03 * torch.randn(4, 3).double(), 2 * torch.rand(4, 2).double() - 1
    together = vmap(lambda z, x: law.potential.stress(z[None], False, x)[0][0])(z, x)
    for k in range(4):
        values = {v.label: v.value(float(c)) for v, c in zip(law.inputs, x[k], strict=True)}
        F = SMALL.deformation(z[k : k + 1])
        s = law.at(values).stress(F, F.new_zeros(1, 0))[0]
        assert torch.allclose(together[k], torch.stack([s[0, 0], s[1, 1], s[0, 1]]), rtol=1e-9)


def test_constants_of_laws_with_a_device_form() -> None:
    """What does not vary is no parameter, of a cell that is solved either."""
    described = [
        ["matrix", "neo-hookean", {"young": 1e6, "poisson": 0.4}],
        ["fibre", "neo-hookean", {"young": 5e6, "poisson": 0.3}],
    ]
    laws = laws_of(described, [PhaseParameter("fibre", "young", 2e6, 2e7)])
    mesh = round_inclusion(0.25, (2, 1, 1), element="quad4")
    law = FE2(Cell(mesh, dict(laws.items())))  # type: ignore[arg-type]
    (young,) = law.parameters()
    F = mean_strain(xx=0.1, yy=-0.05)[None]
    none = F.new_zeros(1, 0)
    (slope,) = torch.autograd.grad(law.stress(F, none)[0, 0, 0], young)
    expected = sides(lambda: law.stress(F, none)[0, 0, 0], young, 50.0)
    assert float(slope) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("method", ["levenberg-marquardt", "l-bfgs"])
@pytest.mark.parametrize("worse", [True, False])
def test_weights_of_the_least_error_held_out_are_kept(method: str, worse: bool) -> None:
    """Of a line through y = 3 x; with an error that grows those from the start."""
    line = torch.nn.Linear(1, 1, dtype=torch.float64)
    start = line.weight.item()
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    asked = iter(range(1000))

    def check() -> float:
        return float(next(asked) if worse else -next(asked))

    if method == "l-bfgs":
        minimise(
            line, lambda: (line(x) - 3 * x).square().mean(), check, 100, lambda done, error: None
        )
    else:
        levenberg_marquardt(
            line, lambda model, x, y: model(x) - y, (x, 3 * x), check, 20, lambda done, error: None
        )
    assert line.weight.item() == pytest.approx(start if worse else 3.0, rel=1e-6)
