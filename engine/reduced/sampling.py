# SPDX-License-Identifier: Apache-2.0
"""Which particles carry the motion: those that cover the body most evenly."""

from __future__ import annotations

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.farthest_points import farthest_kernels
from rheograd.materials.arrays import Launcher, view

LANES = 256
"""Threads that share the points on a GPU; a CPU takes one."""


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
