# SPDX-License-Identifier: Apache-2.0
"""An `EquiNO` of a cell whose phases have parameters that vary: `train` makes one.

Load cases are drawn over mean strains and parameters together, as one Latin hypercube; the modes
and the magic points are those of all of them. Macroscopic results may then be differentiated by
parameters of the phases, and these be fitted to macroscopic measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.homogenized.phase_parameters import PhaseParameter, powers

from . import validation
from .cell import Cell
from .labels import Labels
from .load_space import LoadSpace, latin_hypercube
from .problem import CellProblem
from .snapshots import Snapshots, solved
from .training import Cases, Labeller, Recipe, Told, Trained, load_cases, quiet, teach

AT_REST = 4
"""Cells at rest that are solved for each polynomial of the tangent there."""
RECIPE = Recipe(modes=20, cases=2000, widths=(20, 16), steps=25, iterations=500)
"""More modes and load cases than without parameters."""


class Family:
    """One cell under values of parameters of its phases that are set from case to case."""

    def __init__(self, cell: Cell, varied: Sequence[PhaseParameter]) -> None:
        """Take a cell, whose laws stay as they are, and what varies.

        Raises:
            ValueError: A phase has no such parameter, or nothing varies.
        """
        if not varied:
            raise ValueError("got no parameters of phases, expected one or more PhaseParameter")
        self.varied = tuple(varied)
        self.cell = replace(cell, laws={name: deepcopy(law) for name, law in cell.laws.items()})
        self.problem = CellProblem(self.cell, torch.zeros((), dtype=torch.float64))
        self.own = [v.of(self.cell.laws) for v in varied]

    def put(self, x: Tensor) -> None:
        """Set the parameters to scaled ones, shape (n,)."""
        for parameter, v, value in zip(self.own, self.varied, x.tolist(), strict=True):
            parameter.data.fill_(v.value(value))

    def sample(self, count: int, seed: int) -> Tensor:
        """Scaled parameters by a Latin hypercube, shape (count, n)."""
        n = len(self.varied)
        return torch.from_numpy(2.0 * latin_hypercube(count, n, [seed, n]) - 1.0)


@dataclass(frozen=True, eq=False)
class ParametricSnapshots:
    """Cells in balance, each under a load case and parameters of its own."""

    inputs: Tensor
    """Parameters scaled to -1 to 1, shape (k, n)."""
    cells: Snapshots


def solve(
    family: Family, space: LoadSpace, count: int, seed: int, told: Told = quiet
) -> ParametricSnapshots:
    """Solve a cell under load cases and parameters from their boxes.

    Args:
        family: The cell.
        space: The box of mean strains.
        count: Load cases.
        seed: Of the Latin hypercube over both.
        told: See `training.Told`.

    Raises:
        NewtonFailure: A cell finds no balance: make the boxes smaller.
    """
    z, x = space.sample(count, seed), family.sample(count, seed)
    F = space.deformation(z)
    rows = []
    for k in range(count):
        family.put(x[k])
        rows.append(solved(family.problem, z[k : k + 1], F[k : k + 1]))
        told("snapshots", k + 1, count, 0.0)
    return ParametricSnapshots(x, Snapshots.joined(rows))


def train(
    family: Family,
    space: LoadSpace,
    training: ParametricSnapshots,
    held: ParametricSnapshots,
    recipe: Recipe = RECIPE,
    told: Told = quiet,
) -> Trained:
    """Make a law of a cell with parameters.

    Args:
        family: The cell and what varies.
        space: The box of mean strains that it is for.
        training: Gives modes and magic points.
        held: Whose load cases tell which weights are best.
        recipe: Choices.
        told: See `training.Told`.
    """
    z = load_cases(space, recipe.cases, recipe.seed)
    count = AT_REST * len(powers(len(family.varied)))

    def each(labeller: Labeller, cases: Cases) -> Labels:
        rows = []
        for k, x in enumerate(cases.inputs):
            family.put(x)
            rows.append(labeller(cases.z[k : k + 1], x))
            told("load cases", k + 1, len(cases.z), 0.0)
        family.put(torch.zeros_like(x))
        return Labels.joined(rows)

    return teach(
        family.problem, space, training.cells,
        Cases(z, family.sample(recipe.cases, recipe.seed + 1000)),
        Cases(held.cells.strain, held.inputs),
        Cases(z.new_zeros(count, z.shape[1]), family.sample(count, recipe.seed + 2000)),
        each, recipe, told, family.varied,
    )  # fmt: skip


@torch.no_grad()
def errors(
    law: EquiNO, family: Family, space: LoadSpace, held: ParametricSnapshots
) -> validation.Errors:
    """Of a law, against cells that were solved, each with the parameters of that case."""
    rows = []
    for k, x in enumerate(held.inputs):
        values = {v.label: v.value(float(c)) for v, c in zip(family.varied, x, strict=True)}
        one = held.cells.pick(slice(k, k + 1))
        rows.append(validation.errors(law.at(values), family.problem, space, one))
    return validation.Errors.joined(rows)
