# SPDX-License-Identifier: Apache-2.0
"""A stiffness field found from displacements: an inverse problem that needs a regularization.

The factor on the stress of each element is exp(theta). With noise of standard deviation s, theta
minimizes

    sum (u - u_seen)^2 / s^2  +  w sum over sides (sqrt((theta_i - theta_j)^2 + e^2) - e) l

a total variation over the sides that elements i and j share, of length (area) l relative to the
mean: edges of an inclusion stay sharp (Rudin, Osher and Fatemi 1992, "Nonlinear total variation
based noise removal algorithms"). The weight w is the largest of a falling sequence for which the
residual is no more than the noise (Morozov's discrepancy principle).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..mesh.elements import Element
from ..mesh.sides import corners, neighbours
from ..mesh.volume_mesh import VolumeMesh
from ..scene import Scene
from ..simulate import simulate
from ..solver import Checkpoint, Solver
from ..trajectory import Trajectory
from .descent import descend

EDGE = 0.05
"""e: differences of theta below which the penalty is quadratic."""
FACTOR = 10.0 ** (-1 / 2)
"""From one weight to the next."""


@dataclass(frozen=True)
class FieldFit:
    """What came out."""

    stiffness: Tensor
    """Factor on the stress of each element [-], shape (e,)."""
    weight: float
    """w of the penalty."""
    residual: float
    """Root mean square of residuals by the noise [-]; 1 is what noise alone leaves."""
    losses: tuple[tuple[float, ...], ...]
    """For each weight, over its iterations."""


def variation(mesh: VolumeMesh) -> Callable[[Tensor], Tensor]:
    """The penalty above as a function of theta (e,), for a mesh."""
    pairs, nodes = neighbours(mesh.kind, mesh.cells.numpy())
    own = torch.from_numpy(pairs)
    length = _lengths(mesh.kind, mesh.nodes.detach()[torch.from_numpy(nodes)])
    share = length / length.mean()

    def penalty(theta: Tensor) -> Tensor:
        step = theta[own[:, 0]] - theta[own[:, 1]]
        return (share * ((step.square() + EDGE**2).sqrt() - EDGE)).sum()

    return penalty


def _lengths(kind: Element, x: Tensor) -> Tensor:
    """Of sides with corners x (f, c, 3) [m], in space their areas [m²]."""
    if kind.dim == 2:
        return (x[:, 1] - x[:, 0]).norm(dim=1)
    first = torch.linalg.cross(x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]).norm(dim=1)
    if corners(kind.facet) == 3:
        return 0.5 * first
    return 0.5 * (first + torch.linalg.cross(x[:, 2] - x[:, 0], x[:, 3] - x[:, 0]).norm(dim=1))


def fit_stiffness(
    scene: Scene,
    solver: Solver,
    residual: Callable[[Trajectory], Tensor],
    noise: float,
    *,
    weight: float = 100.0,
    weights: int = 8,
    iterations: int = 60,
    tell: Callable[[float, float], None] = lambda weight, residual: None,
) -> FieldFit:
    """Find the stiffness of each element of the one body of a scene.

    Args:
        scene: With one body whose shape is a VolumeMesh; its law has the modulus of factor 1.
        solver: How it is simulated.
        residual: Differences between the simulated motion and what was seen [m], any shape.
        noise: Their standard deviation where the field is right [m].
        weight: Of the penalty, at first.
        weights: How often it is lowered at most.
        iterations: Of the descent, for each weight.
        tell: Is given each weight and the residual by the noise that it left.

    Raises:
        ValueError: The scene has several bodies or no mesh, or the noise is not positive.
    """
    if len(scene.bodies) != 1 or not isinstance(scene.bodies[0].shape, VolumeMesh):
        raise ValueError(
            f"got {len(scene.bodies)} bodies, the first a {type(scene.bodies[0].shape).__name__}, "
            "expected one body on a VolumeMesh, whose elements get a stiffness each"
        )
    if not noise > 0.0:
        raise ValueError(f"got noise={noise:g}, expected a positive standard deviation [m]")
    body = scene.bodies[0]
    mesh = scene.bodies[0].shape
    penalty = variation(mesh)

    def misfit(theta: Tensor) -> Tensor:
        changed = replace(scene, bodies=[replace(body, stiffness=theta.exp())])
        moved = simulate(changed, solver, adjoint=Checkpoint())
        return (residual(moved) / noise).square()

    theta = torch.zeros(len(mesh.cells), dtype=torch.float64)
    losses, left = [], float("inf")
    for _ in range(weights):

        def loss(theta: Tensor, w: float = weight) -> Tensor:
            return misfit(theta).sum() + w * penalty(theta)

        found = descend(loss, theta, iterations=iterations)
        theta = found.values
        losses.append(found.losses)
        left = float(misfit(theta).mean().detach().sqrt())
        tell(weight, left)
        if left <= 1.0:
            break
        weight *= FACTOR
    return FieldFit(theta.exp(), weight, left, tuple(losses))
