# SPDX-License-Identifier: Apache-2.0
"""From snapshots to an `EquiNO`: modes, magic points, many load cases, two networks.

The snapshots of the full cell give the modes. In the modes, at magic points, a cell costs so little
that thousands of load cases teach the networks: the potential by mean stresses, the branch by
coefficients. The full cell is asked again for the errors alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.homogenized.phase_parameters import PhaseParameter, polynomials
from rheograd.materials.homogenized.potential import Potential

from .embedding import described, embed
from .labels import Labels, labels
from .levenberg_marquardt import levenberg_marquardt
from .load_space import LoadSpace
from .magic_points import MagicPoints, magic_points
from .modes import Modes, modes
from .problem import CellProblem
from .reduced import ReducedProblem
from .snapshots import Snapshots

Told = Callable[[str, int, int, float], None]
"""Called with what is done, how far it is, of how much, and an error [-]."""
SLIGHT = 1e-2
"""Of the typical stress, which is added to that of a load case by which its error counts."""
NEAREST = 0.02
"""Size by the box of the smallest load cases in the modes."""


def quiet(what: str, done: int, total: int, error: float) -> None:
    """Tell no one."""


@dataclass(frozen=True)
class Recipe:
    """Choices of a training."""

    modes: int = 16
    """Of strain and of stress."""
    cases: int = 1500
    """Load cases solved in the modes."""
    widths: tuple[int, ...] | None = None
    """Of the potential; None: one layer of 32 in the plane, two in space."""
    steps: int = 60
    """Of Levenberg and Marquardt's method, for the potential."""
    branch: tuple[int, ...] = (64, 64)
    """Of the network for the coefficients."""
    iterations: int = 4000
    """Of the quasi-Newton method, for the branch."""
    cubature: float = 2e-5
    """Tolerance of the magic points; 0: all points."""
    seed: int = 0


class Trained(NamedTuple):
    """What a training gives."""

    law: EquiNO
    modes: Modes
    magic: MagicPoints | None
    """None: all points were used."""
    seconds: dict[str, float]
    """How long each part took."""


def train(
    problem: CellProblem,
    space: LoadSpace,
    snapshots: dict[str, Snapshots],
    recipe: Recipe,
    told: Told = quiet,
) -> Trained:
    """Make a law of a cell.

    Args:
        problem: The cell.
        space: The box that it is for.
        snapshots: Sets "training" and "validation".
        recipe: Choices.
        told: See `Told`.
    """
    none = torch.zeros(len(snapshots["validation"]), 0, dtype=torch.float64)
    z = load_cases(space, recipe.cases, recipe.seed)
    return teach(
        problem, space, snapshots["training"], Cases(z, none.new_zeros(len(z), 0)),
        Cases(snapshots["validation"].strain, none), Cases(torch.zeros_like(z[:1]), none[:1]),
        lambda labeller, cases: labeller(cases.z, None), recipe, told,
    )  # fmt: skip


class Cases(NamedTuple):
    """Load cases, each with scaled parameters of the phases."""

    z: Tensor
    """Mean strains, shape (k, d)."""
    inputs: Tensor
    """Shape (k, n); n is 0 where nothing varies."""


Labeller = Callable[[Tensor, Tensor | None], Labels]
"""Solves mean strains (k, d) in the modes with parameters (n,), which the phases have already."""


def teach(
    problem: CellProblem, space: LoadSpace, snapshots: Snapshots, cases: Cases, held: Cases,
    rest: Cases, solve: Callable[[Labeller, Cases], Labels], recipe: Recipe, told: Told,
    varied: Sequence[PhaseParameter] = (),
) -> Trained:  # fmt: skip
    """Modes of snapshots, load cases solved in them, and both networks.

    Args:
        problem: The cell.
        space: The box.
        snapshots: Give modes and magic points.
        cases: To be taught.
        held: Tell which weights are best.
        rest: Unstrained, as many as the tangent there needs.
        solve: Solves load cases, setting the parameters of the phases where they vary.
        recipe: Choices.
        told: See `Told`.
        varied: Parameters of the phases that are inputs.
    """
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(what: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[what] = now - clock
        clock = now

    own = modes(problem, snapshots, recipe.modes)
    magic = None
    if recipe.cubature > 0:
        magic = magic_points(problem, own, snapshots, tolerance=recipe.cubature)
    lap("modes and magic points")
    reduced = ReducedProblem(problem, own, magic)

    def labeller(z: Tensor, inputs: Tensor | None) -> Labels:
        return labels(reduced, own, magic, space, z, inputs)

    taught, kept, still = (solve(labeller, each) for each in (cases, held, rest))
    lap("load cases in the modes")
    law = blank(problem, space, recipe, own, still, taught, varied)
    fit_potential(law, taught, kept, recipe, told)
    lap("potential")
    fit_branch(law, taught, kept, recipe, told)
    lap("branch")
    return Trained(law, own, magic, seconds)


def load_cases(space: LoadSpace, count: int, seed: int) -> Tensor:
    """Mean strains to be taught, shape (count, d): a third of them drawn towards rest.

    Bodies strain most of their points little, where the relative error counts as much.
    """
    z = space.sample(count, seed + 1000)
    near = count // 3
    generator = torch.Generator().manual_seed(seed)
    share = NEAREST ** torch.rand(near, 1, generator=generator, dtype=torch.float64)
    return torch.cat([share * z[:near], z[near:]])


def blank(
    problem: CellProblem, space: LoadSpace, recipe: Recipe, own: Modes, rest: Labels,
    taught: Labels, varied: Sequence[PhaseParameter],
) -> EquiNO:  # fmt: skip
    """A law whose networks are not trained yet, exact at rest.

    Where parameters vary, the tangent at rest and the linear part of the coefficients are
    polynomials of them, fitted.
    """
    mesh, d = problem.cell.mesh, len(space.lower)
    widths = recipe.widths or ((32,) if problem.cell.dim == 2 else (32, 32))
    law = EquiNO(
        space.small, space.lower, space.upper, float(taught.stress.std()), widths,
        recipe.branch, modes=(own.strain.shape[2], own.stress.shape[2]),
        sizes=(problem.layout.size, len(problem.points)), mesh=(len(mesh.nodes), *mesh.cells.shape),
        cell=described(problem.cell) if varied else (),
        varied=[(v.phase, v.name, v.lower, v.upper) for v in varied],
    )  # fmt: skip
    embed(law, problem.cell)
    C = torch.linalg.lstsq(vmap(polynomials)(rest.inputs), rest.tangent.flatten(1)).solution
    C = C.unflatten(1, rest.tangent.shape[1:])
    terms = vmap(polynomials)(taught.inputs)
    columns = (terms[:, :, None] * taught.z[:, None]).flatten(1)
    slopes = torch.linalg.lstsq(columns, taught.coefficients).solution
    left = taught.coefficients - columns @ slopes
    law.sizes_of_modes.copy_(left.std(0).clamp_min(1e-12))
    for buffer, value in (
        (law.potential.rest_tangent, 0.5 * (C[:, :d] + C[:, :d].mT)),
        (law.potential.rest_slopes, C[:, d:]),
        (law.rest_slopes, slopes.unflatten(0, (-1, d)).mT),
        (law.fluctuation_modes, own.fluctuation), (law.strain_modes, own.strain),
        (law.stress_modes, own.stress), (law.mean_modes, own.mean_stress),
    ):  # fmt: skip
        buffer.copy_(value.reshape(buffer.shape))
    return law


def fit_potential(law: EquiNO, taught: Labels, held: Labels, recipe: Recipe, told: Told) -> None:
    """Teach the potential mean stresses, each by its own size."""
    scale = taught.stress.norm(dim=1)
    typical = scale.square().mean().sqrt()
    factor = 1.0 / (scale + SLIGHT * typical)[:, None]

    def stress(model: Potential, z: Tensor, x: Tensor) -> Tensor:
        s, more, _, _ = model.stress(z, False, x if len(x) else None)
        return torch.cat([s, more], 1)

    def residual(model: Potential, z: Tensor, x: Tensor, known: Tensor, factor: Tensor) -> Tensor:
        return factor * (stress(model, z, x[0]) - known)

    def check() -> float:
        with torch.no_grad():
            found = vmap(lambda z, x: stress(law.potential, z[None], x)[0])(held.z, held.inputs)
            error = (found - held.stress).norm(dim=1) / held.stress.norm(dim=1)
        return float(error.median())

    data = (taught.z, taught.inputs, taught.stress, factor)
    with law.potential.network.learning():
        levenberg_marquardt(
            law.potential, residual, data, check, recipe.steps,
            lambda done, error: told("potential", done, recipe.steps, error),
        )  # fmt: skip


def fit_branch(law: EquiNO, taught: Labels, held: Labels, recipe: Recipe, told: Told) -> None:
    """Teach the other network the coefficients of the modes, by L-BFGS."""
    pieces = taught.coefficients.split(list(law.modes), 1)
    sizes = torch.cat([part.std(0).norm().expand(part.shape[1]) for part in pieces])

    def one(z: Tensor, x: Tensor) -> Tensor:
        return law.learned_coefficients(z[None], x)[0]

    def loss_of(data: Labels) -> Tensor:
        own = data.inputs.shape[1]
        found = vmap(one)(data.z, data.inputs) if own else law.learned_coefficients(data.z)
        return ((found - data.coefficients) / sizes).square().sum(1).mean()

    def check() -> float:
        with torch.no_grad():
            return float(loss_of(held).sqrt())

    network = law.coefficients_of
    with network.learning():
        minimise(
            network, lambda: loss_of(taught), check, recipe.iterations,
            lambda done, error: told("branch", done, recipe.iterations, error),
        )  # fmt: skip


def minimise(
    network: torch.nn.Module,
    objective: Callable[[], Tensor],
    check: Callable[[], float],
    iterations: int,
    told: Callable[[int, float], None],
) -> None:
    """L-BFGS over all load cases; the weights of the least error on those held out are kept.

    Args:
        network: Its parameters are changed.
        objective: What is minimised.
        check: The error on what is held out.
        iterations: At most.
        told: Called now and then with the iterations that are done and that error.
    """
    parameters = list(network.parameters())
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=50, history_size=50, line_search_fn="strong_wolfe",
        tolerance_grad=0.0, tolerance_change=0.0,
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    best, kept = check(), [p.detach().clone() for p in parameters]
    for done in range(0, iterations, 50):
        optimizer.step(closure)  # type: ignore[arg-type]
        now = check()
        told(done + 50, now)
        if not now < float("inf"):
            break
        if now < best:
            best, kept = now, [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for parameter, value in zip(parameters, kept, strict=True):
            parameter.copy_(value)
