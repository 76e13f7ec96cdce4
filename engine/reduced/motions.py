# SPDX-License-Identifier: Apache-2.0
"""Simulated motions as the network is taught them: some of their particles, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..mpm.model import MPMModel
from ..scene import Scene
from ..trajectory import Trajectory
from .model import numbered, points_of
from .network import Architecture, SparsePoints
from .sampling import sparse_points
from .scope import Scope
from .stepping import graph


class Motion(NamedTuple):
    """Sparse points of one or several worlds in motion."""

    x: Tensor
    """Positions [m], shape (frames, n, 3)."""
    points: SparsePoints
    graph: Tensor
    """Neighbours at rest, -1 in an empty slot, shape (n, k)."""

    def window(self, first: int, frames: int) -> Motion:
        """Some frames of it."""
        return self._replace(x=self.x[first : first + frames])

    def spins(self, generator: torch.Generator) -> Tensor:
        """A random orthogonal matrix for each world, shape (worlds, 3, 3)."""
        A = torch.randn(self.points.worlds, 3, 3, generator=generator, dtype=self.x.dtype)
        return torch.linalg.qr(A.to(self.x.device))[0]


def motion(
    shape: Architecture, scope: Scope, scene: Scene, full: MPMModel, trajectory: Trajectory,
    sparse: int, *, seed: int = 0,
) -> Motion:  # fmt: skip
    """Of a trajectory of a scene's particles.

    Args:
        shape: Of the network that is taught.
        scope: Of the data.
        scene: That was simulated.
        full: Its particles, as they were simulated.
        trajectory: Of them.
        sparse: Points to choose.
        seed: By which the first of them is chosen.

    Raises:
        ValueError: The trajectory is not one of the scene.
    """
    if trajectory.particles != full.n:
        raise ValueError(
            f"a trajectory of {trajectory.particles} particles is not of the scene {scene.name},"
            f" which has {full.n}: make the data set again"
        )
    number = numbered(full.world, full.body)
    chosen = sparse_points(full, number, sparse, seed=seed)
    points = points_of(shape, scope, [scene], full, number, chosen)
    x = trajectory.x.to(full.x0)[:, chosen].contiguous()
    return Motion(x, points, graph(shape, points, points.rest))


def joined(motions: Sequence[Motion]) -> Motion:
    """Several motions of as many frames, side by side as worlds of one."""
    shifts, n, bodies, worlds = [], 0, 0, 0
    for m in motions:
        shifts.append((n, bodies, worlds))
        n, bodies, worlds = n + len(m.graph), bodies + m.points.bodies, worlds + m.points.worlds
    parts = [m.points for m in motions]
    both = zip(parts, shifts, strict=True)
    body, world = zip(*((p.body + s[1], p.world + s[2]) for p, s in both), strict=True)
    cat = {
        name: torch.cat([getattr(p, name) for p in parts])
        for name in ("rest", "spacing", "mass", "code", "gravity")
    }
    points = SparsePoints(
        body=torch.cat(body), bodies=bodies, world=torch.cat(world), worlds=worlds,
        widest=max(p.widest for p in parts), walls=parts[0].walls, **cat,
    )  # fmt: skip
    graphs = [
        torch.where(m.graph >= 0, m.graph + s[0], -1) for m, s in zip(motions, shifts, strict=True)
    ]
    return Motion(torch.cat([m.x for m in motions], 1), points, torch.cat(graphs))
