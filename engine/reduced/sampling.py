# SPDX-License-Identifier: Apache-2.0
"""Which particles carry the motion: those that cover the body most evenly."""

from __future__ import annotations

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.points.farthest_points import farthest_kernels
from rheograd.materials.arrays import Launcher, view

from ..mpm.model import MPMModel

LANES = 256
"""Threads that share the points on a GPU; a CPU takes one."""
FEWEST_A_BODY = 30
"""Sparse points that a body has at least, if it has as many particles."""


def farthest_points(x: Tensor, count: int, *, first: int = 0) -> Tensor:
    """Points of which each is the farthest from those before it; ties go to the lowest index.

    Where no two distances are equal the order of `x` does not matter, but for the first point.

    Args:
        x: Positions [m], shape (n, 3).
        count: How many to choose.
        first: Index of the first one.

    Returns:
        Indices, shape (count,), int64, all different, on the device of `x`. The first c of them
        are what a smaller count c gives.

    Raises:
        ValueError: x has another shape or is not finite, count is not between 1 and n, or first
            is none of the points.
    """
    if x.ndim != 2 or x.shape[1] != 3:
        raise ValueError(f"x has shape {tuple(x.shape)}, expected (points, 3)")
    n = len(x)
    if not 1 <= count <= n:
        raise ValueError(f"cannot choose {count} of {n} points: expected a count from 1 to {n}")
    if not 0 <= first < n:
        raise ValueError(f"the first point is {first}, expected an index from 0 to {n - 1}")
    x = x.detach().to(torch.float64).contiguous()
    if not bool(torch.isfinite(x).all()):
        bad = int((~torch.isfinite(x).all(1)).nonzero()[0])
        raise ValueError(f"point {bad} is at {x[bad].tolist()}: expected finite positions")
    lanes = 1 if x.device.type == "cpu" else LANES
    distance = torch.full((n,), torch.inf, dtype=torch.float64, device=x.device)
    best = distance.new_empty(2, lanes)
    best_index = torch.empty(2, lanes, dtype=torch.int32, device=x.device)
    chosen = torch.full((count,), first, dtype=torch.int64, device=x.device)
    held = [
        view(x, wp.vec3d), lanes, view(distance, wp.float64), view(best, wp.float64),
        view(best_index, wp.int32), view(chosen, wp.int64),
    ]  # fmt: skip
    launch, kernel = Launcher(x), farthest_kernels().advance
    for round in range(1, count + 1):
        launch(kernel, lanes, [held[0], round, *held[1:]])
    return chosen


def sparse_points(full: MPMModel, number: Tensor, count: int, *, seed: int = 0) -> Tensor:
    """Particles that carry the motion: of each world `count`, shared among bodies by volume.

    Args:
        full: The particles.
        number: Body of each over all worlds, shape (p,), int64.
        count: Sparse points of a world.
        seed: Of the direction in which the first point of each body lies.

    Raises:
        ValueError: A body has too few particles, or all in one plane.
    """
    chosen = []
    # one for all, so that a world is what it is alone
    direction = torch.randn(3, generator=torch.Generator().manual_seed(seed)).to(full.x0)
    volume = full.volume.detach().double()
    for body in range(int(number.max()) + 1):
        index = (number == body).nonzero()[:, 0]
        world = full.world == full.world[index[0]]
        share = float(volume[index].sum() / volume[world].sum())
        wanted = min(len(index), max(FEWEST_A_BODY, round(count * share)))
        x = full.x0.detach()[index]
        if wanted < 4 or _flat(x):
            raise ValueError(
                f"{full.describe(int(index[0]))}: its body has {len(index)} particles, all but in "
                "one plane, and a reduced motion needs a solid one: take a smaller --cell"
            )
        chosen.append(index[farthest_points(x, wanted, first=int((x @ direction).argmax()))])
    return torch.cat(chosen)


def _flat(x: Tensor) -> bool:
    y = (x - x.mean(0)).double()
    size = torch.linalg.eigvalsh(y.T @ y)
    return float(size[0]) < 1e-8 * float(size[2])
