# SPDX-License-Identifier: Apache-2.0
"""From snapshots to an `EquiNO`: modes, magic points, load cases without number, two networks.

The snapshots of the full cell give the modes. In the modes, at magic points, the cell is solved in
microseconds, so that thousands of load cases teach the networks: the potential by mean stresses,
the branch by coefficients. The full cell is asked again for the errors alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rheograd.materials.equino import EquiNO
from rheograd.materials.potential import Potential
from rheograd.materials.strain_vectors import NAMES, PAIRS, stress_vector, tensor_of_strain

from .embedding import embed
from .levenberg_marquardt import levenberg_marquardt
from .load_space import LoadSpace
from .magic_points import MagicPoints, magic_points
from .modes import Modes, modes
from .problem import CellProblem, Micro
from .reduced import ReducedProblem
from .snapshots import Snapshots

Told = Callable[[str, int, int, float], None]
SLIGHT = 1e-2
"""Of the typical stress, which is added to that of a load case by which its error counts."""
NEAREST = 0.02
"""Size by the box of the smallest load cases in the modes."""


@dataclass(frozen=True)
class Recipe:
    """Choices of a training."""

    modes: int = 16
    """Of strain and of stress."""
    cases: int = 1500
    """Load cases solved in the modes."""
    widths: tuple[int, ...] = (32,)
    """Of the potential."""
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


@dataclass(frozen=True, eq=False)
class Labels:
    """Cells solved in modes."""

    z: Tensor
    """Mean strains, shape (k, d)."""
    stress: Tensor
    """Their stresses as vectors, and the one out of the plane [Pa], shape (k, d + m)."""
    tangent: Tensor
    """Derivatives of those by z [Pa], shape (k, d + m, d)."""
    coefficients: Tensor
    """Of strain and of stress, shape (k, r + s)."""


def labels(
    reduced: ReducedProblem, own: Modes, magic: MagicPoints | None, space: LoadSpace, z: Tensor
) -> Labels:
    """Solve load cases in the modes.

    The coefficients of stress are those nearest to the stresses at the points, in the mean over the
    cell or, at magic points, by least squares there.
    """
    F = space.deformation(z)
    micro = reduced.solve(F, reduced.rest_internal(len(F), F), 1.0)
    stress, tangent = conjugate(F, micro, space)
    P = micro.point_stress.flatten(2)[..., reduced.points.row]
    if magic is None:
        b = own.stress_coefficients(P)
    else:
        scale = reduced.points.weight.sqrt()[:, None, None]
        basis = (scale * own.stress[magic.index]).flatten(0, 1)
        b = torch.linalg.lstsq(basis, (scale * P.permute(1, 2, 0)).flatten(0, 1)).solution.T
    return Labels(z, stress, tangent, torch.cat([micro.fluctuation, b], 1))


def conjugate(F: Tensor, micro: Micro, space: LoadSpace) -> tuple[Tensor, Tensor]:
    """Stresses that go with z, then the one out of the plane, and their derivatives by z."""
    dim = space.dim
    S, A = micro.stress, micro.tangent
    assert A is not None
    if not space.small:
        inverse = torch.linalg.inv(F)
        S = inverse @ S
    s = stress_vector(S, dim)
    if dim == 2:
        s = torch.cat([s, S[:, 2:, 2]], 1)
    if space.small:
        i, j = torch.tensor(PAIRS[dim]).T
        rows = A[:, i, j][:, :, i, j]
        if dim == 2:
            rows = torch.cat([rows, A[:, 2, 2][:, i, j][:, None]], 1)
        return s, rows
    return s, _by_strain(F, S, A, dim)


def _by_strain(F: Tensor, S: Tensor, A: Tensor, dim: int) -> Tensor:
    """dS/dz for finite strains, of A = dP/dF at F without rotation (F = U, U² = 1 + 2E)."""
    d = len(NAMES[dim])
    inverse = torch.linalg.inv(F)
    rows = []
    squares, axes = torch.linalg.eigh(F)
    for c in range(d):
        unit = F.new_zeros(1, d)
        unit[0, c] = 1.0
        dE = tensor_of_strain(unit).expand_as(F)
        # dU of d(U²) = 2 dE, in the axes of U
        turned = axes.mT @ (2 * dE) @ axes
        dU = axes @ (turned / (squares[:, :, None] + squares[:, None, :])) @ axes.mT
        dP = torch.einsum("pijkl,pkl->pij", A, dU)
        dS = inverse @ (dP - dU @ S)
        row = stress_vector(0.5 * (dS + dS.mT), dim)
        rows.append(torch.cat([row, dS[:, 2:, 2]], 1) if dim == 2 else row)
    return torch.stack(rows, 2)


def train(
    problem: CellProblem,
    space: LoadSpace,
    snapshots: dict[str, Snapshots],
    recipe: Recipe,
    told: Told = lambda what, done, total, error: None,
) -> Trained:
    """Make a law of a cell.

    Args:
        problem: The cell.
        space: The box that it is for.
        snapshots: Sets "training" and "validation".
        recipe: Choices.
        told: Called with what is done, how far it is, of how much, and an error [-].
    """
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(what: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[what] = now - clock
        clock = now

    own = modes(problem, snapshots["training"], recipe.modes)
    magic = None
    if recipe.cubature > 0:
        magic = magic_points(problem, own, snapshots["training"], tolerance=recipe.cubature)
    lap("modes and magic points")
    reduced = ReducedProblem(problem, own, magic)
    z = load_cases(space, recipe.cases, recipe.seed)
    taught = labels(reduced, own, magic, space, z)
    held = labels(reduced, own, magic, space, snapshots["validation"].strain)
    rest = labels(reduced, own, magic, space, torch.zeros_like(z[:1]))
    lap("load cases in the modes")
    law = blank(problem, space, recipe, own, rest, taught)
    fit_potential(law, taught, held, recipe, told)
    lap("potential")
    fit_branch(law, taught, held, recipe, told)
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
    problem: CellProblem, space: LoadSpace, recipe: Recipe, own: Modes, rest: Labels, taught: Labels
) -> EquiNO:
    """A law whose networks are not trained yet, exact at rest."""
    mesh, layout = problem.cell.mesh, problem.layout
    d = len(space.lower)
    law = EquiNO(
        space.small, space.lower, space.upper, float(taught.stress.std()), recipe.widths,
        recipe.branch, modes=(own.strain.shape[2], own.stress.shape[2]),
        sizes=(layout.size, len(problem.points)), mesh=(len(mesh.nodes), *mesh.cells.shape),
    )  # fmt: skip
    embed(law, problem.cell)
    law.potential.rest_tangent.copy_(0.5 * (rest.tangent[0, :d] + rest.tangent[0, :d].T))
    law.potential.rest_slopes.copy_(rest.tangent[0, d:])
    law.rest_slopes.copy_(torch.linalg.lstsq(taught.z, taught.coefficients).solution.T)
    linear = taught.z @ law.rest_slopes.T
    law.sizes_of_modes.copy_((taught.coefficients - linear).std(0).clamp_min(1e-12))
    for name, value in (
        ("fluctuation_modes", own.fluctuation), ("strain_modes", own.strain),
        ("stress_modes", own.stress), ("mean_modes", own.mean_stress),
    ):  # fmt: skip
        getattr(law, name).copy_(value)
    return law


def fit_potential(law: EquiNO, taught: Labels, held: Labels, recipe: Recipe, told: Told) -> None:
    """Teach the potential mean stresses, each by its own size."""
    scale = taught.stress.norm(dim=1)
    typical = scale.square().mean().sqrt()
    factor = 1.0 / (scale + SLIGHT * typical)[:, None]

    def residual(model: Potential, z: Tensor, stress: Tensor, factor: Tensor) -> Tensor:
        s, more, _, _ = model.stress(z, tangent=False)
        return factor * (torch.cat([s, more], 1) - stress)

    def check() -> float:
        with torch.no_grad():
            s, more, _, _ = law.potential.stress(held.z, tangent=False)
            error = (torch.cat([s, more], 1) - held.stress).norm(dim=1) / held.stress.norm(dim=1)
        return float(error.median())

    data = (taught.z, taught.stress, factor)
    levenberg_marquardt(
        law.potential, residual, data, check, recipe.steps,
        lambda done, error: told("potential", done, recipe.steps, error),
    )  # fmt: skip


def fit_branch(law: EquiNO, taught: Labels, held: Labels, recipe: Recipe, told: Told) -> None:
    """Teach the other network the coefficients of the modes, by L-BFGS."""
    pieces = taught.coefficients.split(list(law.modes), 1)
    sizes = torch.cat([part.std(0).norm().expand(part.shape[1]) for part in pieces])

    def loss_of(data: Labels) -> Tensor:
        found = law.learned_coefficients(data.z)
        return ((found - data.coefficients) / sizes).square().sum(1).mean()

    def check() -> float:
        with torch.no_grad():
            return float(loss_of(held).sqrt())

    network = law.coefficients_of
    minimise(network, lambda: loss_of(taught), check, recipe.iterations, told, "branch")


def minimise(
    network: torch.nn.Module,
    objective: Callable[[], Tensor],
    check: Callable[[], float],
    iterations: int,
    told: Told,
    what: str,
) -> None:
    """L-BFGS over all load cases; the weights of the least error on those held out are kept."""
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
        told(what, done + 50, iterations, now)
        if not now < float("inf"):
            break
        if now < best:
            best, kept = now, [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for parameter, value in zip(parameters, kept, strict=True):
            parameter.copy_(value)
