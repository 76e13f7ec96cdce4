# SPDX-License-Identifier: Apache-2.0
"""Cells in space under finite strain, in modes, at magic points, and learned."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rheograd.engine.fem.solver import FESolver
from rheograd.engine.homogenize.fe2 import FE2
from rheograd.engine.homogenize.load_space import LoadSpace
from rheograd.engine.homogenize.magic_points import magic_points
from rheograd.engine.homogenize.modes import modes
from rheograd.engine.homogenize.paths import follow, snapshots_of
from rheograd.engine.homogenize.problem import CellProblem
from rheograd.engine.homogenize.training import Recipe, train
from rheograd.engine.homogenize.validation import errors
from rheograd.materials.homogenized.strain_vectors import tensor_of_stress

LIKE = torch.zeros((), dtype=torch.float64)
BOX = LoadSpace.cube(3, 0.15, small=False)
SETS = {"training": (40, 0), "validation": (8, 1), "test": (12, 2)}


class Made:
    """A cell of rubber with a stiff corner, its snapshots, modes and points."""

    def __init__(self) -> None:
        self.cell = FE2.example().cell
        self.problem = CellProblem(self.cell, LIKE, tolerance=1e-12)
        self.sets = {}
        for name, (count, seed) in SETS.items():
            z = BOX.sample(count, seed)[:, None]
            self.sets[name] = snapshots_of(self.problem, z, follow(self.problem, BOX, z))
        self.modes = modes(self.problem, self.sets["training"], 9)
        self.magic = magic_points(self.problem, self.modes, self.sets["training"], tolerance=1e-4)


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def turned(F: Tensor) -> Tensor:
    A = torch.randn_like(F)
    return torch.matrix_exp(A - A.mT) @ F


class TestMagicPoints:
    def test_the_cell_is_kept(self, made: Made) -> None:
        """At half of its points, turned or not."""
        assert len(made.magic.index) < len(made.problem.points) / 2
        law, exact = FE2(made.cell, modes=made.modes, magic=made.magic), FE2(made.cell)
        F = turned(BOX.deformation(made.sets["test"].strain))
        none = F.new_zeros(len(F), 0)
        (found, D), (expected, C) = (each.linearize(F, none, 1.0) for each in (law, exact))
        assert relative(found.tau, expected.tau) < 1e-3
        assert relative(D, C) < 1e-3

    def test_tangent_and_gradients(self, made: Made) -> None:
        """Against central differences: by F, and by the moduli of the phases."""
        law = FE2(made.cell, FESolver(tolerance=1e-13), modes=made.modes, magic=made.magic)
        F = turned(BOX.deformation(BOX.sample(3, 5)))
        none, bar = F.new_zeros(3, 0), torch.randn_like(F)
        step, h = torch.randn_like(F), 1e-6
        with torch.no_grad():
            up, down = (law.update(F + s * h * step, none, 1.0).tau for s in (1, -1))
        slope = (up - down) / (2 * h)
        D = law.linearize(F, none, 1.0)[1]
        assert relative(torch.einsum("pijkl,pkl->pij", D, step), slope) < 1e-7
        found = law.pullback(F, none, 1.0, bar, torch.zeros_like(F), none)
        assert float((found.F_trial * step).sum()) == pytest.approx(
            float((bar * slope).sum()), rel=1e-6
        )
        for weight, got in zip(law.parameters(), found.parameters, strict=True):
            before, values = weight.detach().clone(), []
            h = 1e-5 * float(before)
            for sign in (1, -1):
                with torch.no_grad():
                    weight.copy_(before + sign * h)
                    values.append(float((bar * law.update(F, none, 1.0).tau).sum()))
                    weight.copy_(before)
            expected = (values[0] - values[1]) / (2 * h)
            assert float(got) == pytest.approx(expected, rel=1e-6)


def test_a_learned_cell(made: Made) -> None:
    """A small training: stress, tangent and fields of load cases that were not seen, and turned."""
    recipe = Recipe(
        modes=9, cases=300, widths=(16,), branch=(16,), steps=20, iterations=100, cubature=1e-4
    )
    law = train(made.problem, BOX, made.sets, recipe).law
    test = made.sets["test"]
    found = errors(law, made.problem, BOX, test).median()
    F = BOX.deformation(test.strain)
    none = F.new_zeros(len(F), 0)
    # what stays of the error of a law that is linear between S and E
    linear = F @ tensor_of_stress(test.strain @ law.potential.rest_tangent)
    expected = relative(linear, test.stress)
    assert found["mean stress"] < 100 * expected / 10
    assert found["tangent"] < 10.0  # percent
    assert found["u_x"] < 10.0
    assert found["P_xx"] < 10.0
    A = torch.randn_like(F)
    Q = torch.matrix_exp(A - A.mT)
    with torch.no_grad():
        tau, spun = law.stress(F, none), law.stress(Q @ F, none)
    assert relative(spun, Q @ tau @ Q.mT) < 1e-12
