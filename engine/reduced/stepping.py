# SPDX-License-Identifier: Apache-2.0
"""One step of sparse points: who are neighbours, what the network says, where they are next.

Training, validation and the solver step by the same functions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .neighbours import neighbours
from .network import Architecture, SparsePoints, TimeStepper


def graph(shape: Architecture, points: SparsePoints, x: Tensor) -> Tensor:
    """Neighbours of sparse points at x, shape (n, k), -1 in an empty slot.

    Those of a body where the shape at rest is known, of a world where it is not.

    Args:
        shape: Says how many and how far.
        points: Which points these are.
        x: Where they are [m], shape (n, 3).
    """
    x = x.detach()
    group = points.body if shape.reference else points.world
    found = neighbours(
        x, x, shape.reach * points.widest, shape.neighbours, query_group=group, point_group=group,
        leave_out_self=True,
    )  # fmt: skip
    if points.worlds == 1:
        return found
    apart = (x[found.clamp(min=0)] - x[:, None]).norm(dim=2)
    return torch.where(apart <= shape.reach * points.spacing, found, -1)


def advance(
    stepper: TimeStepper,
    points: SparsePoints,
    at_rest: Tensor,
    recent: Tensor,
    *,
    spun: Tensor | None = None,
) -> Tensor:
    """Positions a frame later, by the semi-implicit Euler method, shape (n, 3).

    Walls do not hold them yet: see `roll`.

    Args:
        stepper: What gives the acceleration.
        points: Which points these are.
        at_rest: Their neighbours at rest, shape (n, k).
        recent: The last positions, the present one last [m], shape (history + 1, n, 3).
        spun: Orientations in which the stepper sees the worlds, shape (worlds, 3, 3).
    """
    shape = stepper.shape
    told = at_rest if shape.reference else graph(shape, points, recent[-1])
    return 2.0 * recent[-1] - recent[-2] + stepper(recent, points, told, spun)


def roll(stepper: TimeStepper, points: SparsePoints, at_rest: Tensor, recent: Tensor) -> Tensor:
    """The last positions a frame later, inside the walls, shape (history + 1, n, 3).

    Arguments are those of `advance`.
    """
    x = points.walls.inside(advance(stepper, points, at_rest, recent))
    return torch.cat([recent[1:], x[None]])
