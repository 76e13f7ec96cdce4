# SPDX-License-Identifier: Apache-2.0
"""Bodies of two scales: by FE², by the learned cell, by both; and cells that fail within a step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks import two_scales
from benchmarks.two_scales import bent, coarse, holed, off, resolved, run, scipy_solution
from torch import Tensor

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.newton import NewtonFailure
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.homogenize.cell import Cell, mean_strain
from rheograd.engine.homogenize.fe2 import FE2
from rheograd.engine.homogenize.hybrid import Hybrid
from rheograd.engine.homogenize.microstructures import round_inclusion
from rheograd.engine.homogenize.problem import CellProblem
from rheograd.engine.homogenize.training import Recipe
from rheograd.engine.mesh.probe import imbalance, node_at
from rheograd.engine.simulate import simulate
from rheograd.materials.homogenized.equino import EquiNO
from rheograd.scenes import rve

RECIPE = Recipe(modes=8, cases=200, widths=(12, 12), branch=(8,), steps=25, iterations=30)


class Learned:
    """A coarse cell, and its law over a box that the bracket leaves."""

    def __init__(self) -> None:
        self.cell: Cell = coarse()
        self.law: EquiNO = two_scales.learned(self.cell, 0.01, RECIPE)


@pytest.fixture(scope="module")
def learned() -> Learned:
    return Learned()


@pytest.mark.parametrize(("build", "load"), [(bent, 2e-3), (holed, 1e7)])
def test_laws_agree_on_bodies(learned: Learned, build: Any, load: float) -> None:
    """Displacement, stress and force, in no more iterations."""
    exact, fast = (run(build(law, 2, "quad4", load), 2) for law in (FE2(learned.cell), learned.law))
    assert fast.outside == 0
    assert off(fast.x, exact.x) < 5e-3
    assert off(fast.stress, exact.stress) < 2e-2
    assert fast.force == pytest.approx(exact.force, rel=2e-2)
    assert 2 <= fast.iterations <= exact.iterations
    assert exact.solved > exact.points * exact.iterations
    assert fast.solved == 0


def test_beyond_the_box_the_hybrid_is_nearer(learned: Learned) -> None:
    exact, fast, hybrid = (
        run(bent(law, 2, "quad4", 6e-3), 2)
        for law in (FE2(learned.cell), learned.law, Hybrid(learned.law))
    )
    assert 0 < hybrid.outside < hybrid.points
    assert 0 < hybrid.solved < exact.solved
    assert off(hybrid.stress, exact.stress) < 0.7 * off(fast.stress, exact.stress)
    assert hybrid.iterations <= exact.iterations + 1  # the two laws meet with a jump


def test_scipy_finds_the_same_cell() -> None:
    problem = CellProblem(coarse(), torch.zeros((), dtype=torch.float64))
    F = mean_strain(xx=0.02, yy=-0.01, gamma_xy=0.03)
    found = problem.solve(F[None], F.new_zeros(1, 0), 1.0)
    stress, C = scipy_solution(problem, F)
    assert found.tangent is not None
    row, column = problem.points.row, problem.points.column
    own = found.tangent[0].reshape(9, 9)[row][:, column]
    assert np.allclose(found.stress[0].flatten()[row], stress, rtol=1e-9, atol=1e-3)
    assert np.allclose(own, C, rtol=1e-8, atol=1e-8 * float(own.abs().max()))


def test_the_body_in_full_is_in_balance() -> None:
    """And stiffer than its matrix, softer than its fibres."""
    cell = coarse()
    forces = []
    for laws in (("matrix", "matrix"), ("matrix", "fibre"), ("fibre", "fibre")):
        chosen = {name: cell.laws[law] for name, law in zip(("matrix", "fibre"), laws, strict=True)}
        forces.append(run(resolved(replace(cell, laws=chosen), 2), 1).force)
    assert 0 < forces[0] < forces[1] < forces[2]


def test_a_cell_that_fails_halves_the_step_of_the_body() -> None:
    """The whole load fails as a step; what follows starts from what converged."""
    law = FE2(coarse())
    solver = FESolver(integrator=Static(1), tolerance=1e-10)
    model = solver.discretize(bent(law, 1, "quad4", 2e-3))
    advance = solver.advance(model)
    micro = law.micro
    failing = 0
    begun: list[tuple[float, dict[Any, Tensor]]]

    def failing_as_a_whole(
        F: Tensor, internal: Tensor, dt: float, guess: Tensor | None = None, tangent: bool = True
    ) -> Any:
        nonlocal failing
        far = float((F - torch.eye(3, dtype=F.dtype)).abs().max()) > limit
        if far and len(begun) == 1:
            failing += 1
            raise NewtonFailure("a cell found no balance")
        return micro(F, internal, dt, guess, tangent)

    limit, begun = float("inf"), []
    law.micro = failing_as_a_whole  # type: ignore[method-assign]
    expected = advance.step(solver.start(model))
    whole = float((expected.F.detach() - torch.eye(3, dtype=torch.float64)).abs().max())

    advance.forget()
    limit = 0.6 * whole
    begin = advance.assembler.begin

    def noted(*arguments: Any) -> None:
        begin(*arguments)
        begun.append((arguments[2], {k: g.clone() for k, g in advance.assembler.guesses.items()}))

    advance.assembler.begin = noted  # type: ignore[method-assign]
    kept, keep = [], advance.assembler.keep

    def noted_too() -> None:
        keep()
        kept.append({k: g.clone() for k, g in advance.assembler.kept.items()})

    advance.assembler.keep = noted_too  # type: ignore[method-assign]
    found = advance.step(solver.start(model))
    assert failing > 0
    lengths = [length for length, _ in begun]
    assert lengths[1] == pytest.approx(0.5 * lengths[0])  # the step was halved,
    assert begun[1][1] == {}  # and starts from nothing, as the first did;
    assert torch.equal(begun[2][1][0, 0], kept[0][0, 0])  # the next one from its end
    assert torch.allclose(found.x, expected.x, rtol=0, atol=1e-9)


def test_the_scene_of_cells_bears_what_one_periodic_cell_does() -> None:
    """Straight sides are planes of mirrors for each cell: both problems have one solution."""
    scene = rve.build(kind="quad4", across=2)
    mesh = round_inclusion(0.3, (4, 2, 3), element="quad4")
    own = Cell(mesh, {body.name: body.law for body in scene.bodies})
    problem = CellProblem(own, torch.zeros((), dtype=torch.float64))
    F = mean_strain(xx=0.02, yy=-0.01)[None]
    expected = problem.solve(F, F.new_zeros(1, 0), 1.0, tangent=False).stress[0]
    trajectory = simulate(scene, rve.solver(), steps=2, frames=1)
    rve.check(trajectory)
    found = rve.results(trajectory)
    for name, value in (("stress_xx", expected[0, 0]), ("stress_yy", expected[1, 1])):
        assert float(found[name]) == pytest.approx(float(value), rel=1e-6)


def test_imbalance() -> None:
    """Two forces that cancel leave their moment; one of them alone leaves itself."""
    scene = rve.build(kind="quad4", across=1)
    trajectory = simulate(scene, rve.solver(), steps=2, frames=1)
    forces = torch.zeros_like(trajectory.fields["reaction"])
    right, left = (node_at(trajectory, (x, 0.0, 0.0)) for x in (rve.SIDE, 0.0))
    forces[-1, right, 1] = 3.0
    alone = replace(trajectory, fields={"reaction": forces.clone()})
    assert imbalance(alone) == pytest.approx((1.0, 1.0))
    forces[-1, left, 1] = -3.0
    assert imbalance(replace(trajectory, fields={"reaction": forces})) == pytest.approx((0.0, 0.5))
