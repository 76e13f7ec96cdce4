# SPDX-License-Identifier: Apache-2.0
"""How far roll-outs are off the motions that were simulated."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .motions import Motion
from .network import TimeStepper
from .stepping import roll

GIVEN = 6
"""Frames that every method is given, as many of the last of them as it needs: the five velocities
of the published network. Errors are of all frames after them."""
NAIVE = " constant acceleration"
"""After the name of an error, that of a constant acceleration on the same motions."""


@torch.no_grad()
def roll_out(stepper: TimeStepper, motion: Motion, first: int = GIVEN) -> Tensor:
    """Frames of a motion from number `first` on, those before alone being taken from it.

    Returns:
        Positions [m], shape (frames - first, n, 3).
    """
    recent, points = motion.x[first - stepper.shape.history - 1 : first], motion.points
    out = []
    for _ in range(len(motion.x) - first):
        recent = roll(stepper, points, motion.graph, recent)
        out.append(recent[-1])
    return torch.stack(out)


def error(stepper: TimeStepper, motion: Motion) -> float:
    """Of a roll-out over all frames, relative to the distance travelled."""
    return relative_error(roll_out(stepper, motion), motion.x, GIVEN)


def naive_error(motion: Motion) -> float:
    """That of a constant acceleration, stopped by the walls."""
    x = extrapolated(motion.x[:GIVEN], len(motion.x) - GIVEN)
    return relative_error(motion.points.walls.inside(x), motion.x, GIVEN)


def extrapolated(x: Tensor, frames: int) -> Tensor:
    """What constant acceleration makes of the first frames: x of (h, n, 3), h at least 3."""
    last, v = x[-1], x[-1] - x[-2]
    a = v - (x[-2] - x[-3])
    k = torch.arange(1, frames + 1, dtype=x.dtype, device=x.device)[:, None, None]
    return last + v * k + 0.5 * a * k * (k + 1)


def relative_error(x: Tensor, truth: Tensor, first: int) -> float:
    """Mean distance from the truth over the mean distance travelled by then.

    Args:
        x: Positions from frame `first` on [m], shape (f, n, 3).
        truth: Positions from frame 0 on, shape (first + f, n, 3).
        first: The first frame that was not given.
    """
    off = (x - truth[first:]).norm(dim=2).mean()
    travelled = (truth[1:] - truth[:-1]).norm(dim=2).mean(1).cumsum(0)[first - 1 :].mean()
    return float(off / travelled) if bool(torch.isfinite(off)) else math.inf
