# SPDX-License-Identifier: Apache-2.0
"""An `EquiNO` of a cell whose phases have parameters that vary: `train` makes one.

Load cases are drawn over mean strains and parameters together, as one Latin hypercube; the modes
and the magic points are those of all of them. Macroscopic results may then be differentiated by
parameters of the phases, and these be fitted to macroscopic measurements.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from rheograd.materials.equino import EquiNO
from rheograd.materials.phase_parameters import PhaseParameter, polynomials, powers
from rheograd.materials.potential import Potential

from . import validation
from .cell import Cell
from .embedding import described, embed
from .levenberg_marquardt import levenberg_marquardt
from .load_space import LoadSpace
from .magic_points import MagicPoints, magic_points
from .modes import Modes, modes
from .problem import CellProblem
from .reduced import ReducedProblem
from .snapshots import Snapshots
from .training import SLIGHT, Labels, Recipe, Told, Trained, labels, load_cases, minimise

AT_REST = 4
"""Cells at rest that are solved for each polynomial of the tangent there."""
T = TypeVar("T", Snapshots, Labels)
INTEGRATED = 50
"""Snapshots for whose stresses the magic points are made; the work grows by their cube."""
RECIPE = Recipe(modes=20, cases=2000, widths=(20, 16), steps=25, iterations=500)
"""More modes and load cases than without parameters."""


def quiet(what: str, done: int, total: int, error: float) -> None:
    """Tell no one."""


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
        from scipy.stats import qmc

        rng = np.random.default_rng([seed, len(self.varied)])
        unit = qmc.LatinHypercube(len(self.varied), rng=rng).random(count)
        return torch.from_numpy(2.0 * unit - 1.0)


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
        told: See `training.train`.

    Raises:
        NewtonFailure: A cell finds no balance: make the boxes smaller.
    """
    z, x = space.sample(count, seed), family.sample(count, seed)
    F = space.deformation(z)
    rows = []
    for k in range(count):
        family.put(x[k])
        own = slice(k, k + 1)
        micro = family.problem.solve(F[own], family.problem.rest_internal(1, F), 1.0)
        assert micro.tangent is not None
        flat = micro.point_stress.flatten(2)[..., family.problem.points.row]
        rows.append(Snapshots(z[own], micro.stress, micro.tangent, micro.fluctuation, flat))
        told("snapshots", k + 1, count, 0.0)
    return ParametricSnapshots(x, joined(rows))


def joined(rows: Sequence[T]) -> T:
    """Several, one after the other."""
    names = [field.name for field in fields(rows[0])]
    return type(rows[0])(*(torch.cat([getattr(row, name) for row in rows]) for name in names))


def _rows(cells: Snapshots, own: slice) -> Snapshots:
    """Some of them."""
    return Snapshots(*(getattr(cells, field.name)[own] for field in fields(cells)))


@dataclass(frozen=True, eq=False)
class _Taught:
    """Cells solved in modes, each with its scaled parameters."""

    x: Tensor
    """Shape (k, n)."""
    own: Labels


def _labels(
    family: Family, reduced: ReducedProblem, own: Modes, magic: MagicPoints | None,
    space: LoadSpace, z: Tensor, x: Tensor, told: Told = quiet,
) -> _Taught:  # fmt: skip
    rows = []
    for k in range(len(z)):
        family.put(x[k])
        rows.append(labels(reduced, own, magic, space, z[k : k + 1]))
        told("load cases", k + 1, len(z), 0.0)
    return _Taught(x, joined(rows))


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
        told: See `training.train`.
    """
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(what: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[what] = now - clock
        clock = now

    own = modes(family.problem, training.cells, recipe.modes)
    magic = None
    if recipe.cubature > 0:
        some = _rows(training.cells, slice(INTEGRATED))
        magic = magic_points(family.problem, own, some, tolerance=recipe.cubature)
    lap("modes and magic points")
    reduced = ReducedProblem(family.problem, own, magic)

    def taught_by(z: Tensor, x: Tensor) -> _Taught:
        return _labels(family, reduced, own, magic, space, z, x, told)

    z = load_cases(space, recipe.cases, recipe.seed)
    taught = taught_by(z, family.sample(recipe.cases, recipe.seed + 1000))
    kept = taught_by(held.cells.strain, held.inputs)
    count = AT_REST * len(powers(len(family.varied)))
    rest = taught_by(z.new_zeros(count, z.shape[1]), family.sample(count, recipe.seed + 2000))
    lap("load cases in the modes")
    law = blank(family, space, recipe, own, rest, taught)
    fit_potential(law, taught, kept, recipe, told)
    lap("potential")
    fit_branch(law, taught, kept, recipe, told)
    lap("branch")
    return Trained(law, own, magic, seconds)


def blank(
    family: Family, space: LoadSpace, recipe: Recipe, own: Modes, rest: _Taught, taught: _Taught
) -> EquiNO:
    """A law whose networks are not trained yet, with the tangent at rest of any parameters."""
    problem, mesh, d = family.problem, family.cell.mesh, len(space.lower)
    family.put(torch.zeros(len(family.varied)))
    law = EquiNO(
        space.small, space.lower, space.upper, float(taught.own.stress.std()), recipe.widths,
        recipe.branch, modes=(own.strain.shape[2], own.stress.shape[2]),
        sizes=(problem.layout.size, len(problem.points)),
        mesh=(len(mesh.nodes), *mesh.cells.shape), cell=described(family.cell),
        varied=[(v.phase, v.name, v.lower, v.upper) for v in family.varied],
    )  # fmt: skip
    embed(law, family.cell)
    terms = vmap(polynomials)(rest.x)
    C = torch.linalg.lstsq(terms, rest.own.tangent.flatten(1)).solution
    C = C.unflatten(1, rest.own.tangent.shape[1:])
    law.potential.rest_tangent.copy_(0.5 * (C[:, :d] + C[:, :d].mT))
    law.potential.rest_slopes.copy_(C[:, d:])
    columns = (vmap(polynomials)(taught.x)[:, :, None] * taught.own.z[:, None]).flatten(1)
    slopes = torch.linalg.lstsq(columns, taught.own.coefficients).solution
    law.rest_slopes.copy_(slopes.unflatten(0, (-1, d)).mT)
    left = taught.own.coefficients - columns @ slopes
    law.sizes_of_modes.copy_(left.std(0).clamp_min(1e-12))
    for name, value in (
        ("fluctuation_modes", own.fluctuation), ("strain_modes", own.strain),
        ("stress_modes", own.stress), ("mean_modes", own.mean_stress),
    ):  # fmt: skip
        getattr(law, name).copy_(value)
    return law


def fit_potential(law: EquiNO, taught: _Taught, held: _Taught, recipe: Recipe, told: Told) -> None:
    """As in training.py; each load case with its own parameters."""
    scale = taught.own.stress.norm(dim=1)
    typical = scale.square().mean().sqrt()
    factor = 1.0 / (scale + SLIGHT * typical)[:, None]

    def stress(model: Potential, z: Tensor, x: Tensor) -> Tensor:
        s, more, _, _ = model.stress(z, False, x)
        return torch.cat([s, more], 1)

    def residual(model: Potential, z: Tensor, x: Tensor, stress_: Tensor, factor: Tensor) -> Tensor:
        return factor * (stress(model, z, x[0]) - stress_)

    def check() -> float:
        with torch.no_grad():
            found = vmap(lambda z, x: stress(law.potential, z[None], x)[0])(held.own.z, held.x)
            error = (found - held.own.stress).norm(dim=1) / held.own.stress.norm(dim=1)
        return float(error.median())

    law.potential.network.freeze(False)
    levenberg_marquardt(
        law.potential, residual, (taught.own.z, taught.x, taught.own.stress, factor), check,
        recipe.steps, lambda done, error: told("potential", done, recipe.steps, error),
    )  # fmt: skip
    law.potential.network.freeze()


def fit_branch(law: EquiNO, taught: _Taught, held: _Taught, recipe: Recipe, told: Told) -> None:
    """As in training.py; each load case with its own parameters."""
    pieces = taught.own.coefficients.split(list(law.modes), 1)
    sizes = torch.cat([part.std(0).norm().expand(part.shape[1]) for part in pieces])

    def loss_of(data: _Taught) -> Tensor:
        found = vmap(lambda z, x: law.learned_coefficients(z[None], x)[0])(data.own.z, data.x)
        return ((found - data.own.coefficients) / sizes).square().sum(1).mean()

    def check() -> float:
        with torch.no_grad():
            return float(loss_of(held).sqrt())

    network = law.coefficients_of
    network.freeze(False)
    minimise(network, lambda: loss_of(taught), check, recipe.iterations, told, "branch")
    network.freeze()


@torch.no_grad()
def errors(
    law: EquiNO, family: Family, space: LoadSpace, held: ParametricSnapshots
) -> validation.Errors:
    """Of a law, against cells that were solved, each with the parameters of that case."""
    rows = []
    for k, x in enumerate(held.inputs):
        values = {v.label: v.value(float(c)) for v, c in zip(family.varied, x, strict=True)}
        one = _rows(held.cells, slice(k, k + 1))
        rows.append(validation.errors(law.at(values), family.problem, space, one))

    def together(name: str) -> dict[str, Tensor]:
        return {key: torch.cat([getattr(row, name)[key] for row in rows])
                for key in getattr(rows[0], name)}  # fmt: skip

    return validation.Errors(
        together("displacement"), together("stress"), torch.cat([row.mean for row in rows]),
        torch.cat([row.tangent for row in rows]),
    )  # fmt: skip
