# SPDX-License-Identifier: Apache-2.0
"""The arrays of a scene that a thousand points carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from ..mpm.discretize import initial_velocity
from ..mpm.model import MPMModel
from ..scene import Scene, typed
from .features import WallGroups
from .full_order import FullOrderMap
from .neighbours import neighbours
from .network import Architecture, SparsePoints
from .scope import Scope


@dataclass(frozen=True)
class ReducedModel:
    """Immutable arrays of one or several worlds; float arrays may carry gradients."""

    dt: float
    """A step: the time between frames of the training data [s]."""
    x0: Tensor
    """Rest positions of the points asked for [m], shape (q, 3)."""
    v0: Tensor
    """Their initial velocities [m/s], shape (q, 3)."""
    world: Tensor
    """Of each, shape (q,), int32."""
    body: Tensor
    """Within its world, shape (q,), int32."""
    full: MPMModel
    """The particles of the first frames."""
    steps_a_frame: int
    """Of those."""
    chosen: Tensor
    """Which of them are the sparse points, shape (n,), int64."""
    points: SparsePoints
    """The sparse points."""
    rest_graph: Tensor
    """Neighbours of the sparse points at rest, -1 in an empty slot, shape (n, k)."""
    map: FullOrderMap
    """From the sparse points to those asked for."""
    laws: Sequence[tuple[ConstitutiveLaw, Tensor]]
    """Of each body, and which of the points asked for are its own, shape (m,), int64."""

    @property
    def n(self) -> int:
        """Points asked for."""
        return len(self.x0)

    @property
    def noun(self) -> str:
        """What `n` counts, and what carries it."""
        return f"points that follow {len(self.chosen)} sparse ones"

    @property
    def worlds(self) -> int:
        """Independent worlds."""
        return self.full.worlds

    @property
    def spacing(self) -> float:
        """Length that the sparse points resolve [m]."""
        return float(self.points.spacing.min())


def numbered(world: Tensor, body: Tensor) -> Tensor:
    """Number of each point's body over all worlds, counted without gaps, shape (n,), int64."""
    key = world.long() * (int(body.max()) + 1) + body.long()
    return key.unique(return_inverse=True)[1]


def points_of(
    shape: Architecture,
    scope: Scope,
    scenes: Sequence[Scene],
    full: MPMModel,
    number: Tensor,
    chosen: Tensor,
) -> SparsePoints:
    """What the network is told of the sparse points that stays as it is.

    Args:
        shape: Of the network.
        scope: What it is trained for.
        scenes: What is simulated.
        full: The particles.
        number: Body of each over all worlds, shape (p,), int64.
        chosen: Which are the sparse points, shape (n,), int64.
    """
    like = full.x0
    world = full.world[chosen].long()
    volume = torch.zeros(full.worlds, dtype=like.dtype, device=like.device)
    volume = volume.index_add(0, full.world.long(), full.volume.detach())
    spacing = (volume / world.bincount(minlength=full.worlds)).pow(1 / 3)
    nearest = _nearest(like.detach(), number, chosen, 4.0 * float(spacing.max()))
    mass = torch.zeros_like(like[:, 0][chosen]).index_add(
        0, nearest, (full.volume * full.density).detach()
    )
    codes = [scope.code(body.law, like) for scene in scenes for body in scene.bodies]
    first = scenes[0].domain
    return SparsePoints(
        rest=full.x0[chosen],
        body=number[chosen],
        bodies=int(number.max()) + 1,
        world=world,
        worlds=full.worlds,
        spacing=spacing[world, None],
        widest=float(spacing.max()),
        mass=mass[:, None],
        code=torch.stack(codes)[number[chosen]],
        gravity=full.gravity[world] * scope.frame**2,
        walls=WallGroups(
            typed(first.lower, like), typed(first.upper, like),
            torch.tensor(scope.groups(scenes[0]), device=like.device), shape.wall_groups,
        ),
    )  # fmt: skip


def _nearest(x: Tensor, number: Tensor, chosen: Tensor, radius: float) -> Tensor:
    """Which of the chosen points of its body is nearest to each particle, shape (p,)."""
    while True:
        found = neighbours(
            x, x[chosen], radius, 1, query_group=number, point_group=number[chosen]
        )[:, 0]  # fmt: skip
        if bool((found >= 0).all()):
            return found
        radius *= 2.0  # thin bodies have points farther apart than their volume tells


def laws_of(
    scenes: Sequence[Scene], world: Tensor, body: Tensor
) -> list[tuple[ConstitutiveLaw, Tensor]]:
    """Of each body its law and its points, by their worlds and bodies, shape (q,)."""
    return [
        (held.law, ((world == w) & (body == b)).nonzero()[:, 0])
        for w, scene in enumerate(scenes)
        for b, held in enumerate(scene.bodies)
    ]


def asked_for(
    scenes: Sequence[Scene], full: MPMModel, count: int | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rest positions, velocities, worlds and bodies of the points asked for.

    Args:
        scenes: What is simulated.
        full: Its particles.
        count: Points of each world, about; None takes the particles.

    Raises:
        ValueError: None are asked for.
    """
    if count is None:
        return full.x0, full.v0, full.world, full.body
    if count < 1:
        raise ValueError(f"at least one point must be asked for; got {count}")
    parts = []
    for world, scene in enumerate(scenes):
        volume = sum(body.shape.volume for body in scene.bodies)
        spacing = (volume / count) ** (1 / 3)
        for number, body in enumerate(scene.bodies):
            x = body.shape.sample(spacing).points.to(full.x0)
            own = torch.full((2, len(x)), world, dtype=torch.int32, device=x.device)
            own[1] = number
            parts.append((x, initial_velocity(body, x), *own))
    x, v, world, body = (torch.cat(values) for values in zip(*parts, strict=True))
    return x, v, world, body
