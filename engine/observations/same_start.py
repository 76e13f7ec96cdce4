# SPDX-License-Identifier: Apache-2.0
"""Where the points of an observation start, kept for when other particles shall carry them."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ..carrying import Carried
from ..moving_surface import MovingSurface
from ..trajectory import Trajectory

NEAR = 1e-4
"""How far apart two boxes about the same bodies may be, in the length of their diagonal."""


def started(carried: Carried, trajectory: Trajectory) -> Carried:
    """The same points, their places at rest those in the first frame of a motion."""
    rest = carried.at(trajectory.x[0].detach().cpu().double())
    return replace(carried, rest=rest.to(carried.rest))


def starts(trajectory: Trajectory) -> bool:
    """Whether the first frame of a motion shows where bodies start."""
    return float(trajectory.time[0]) <= 0.0


def check_same(was: MovingSurface, now: MovingSurface) -> None:
    """Refuse bodies that start elsewhere than points were bound, by the boxes about each.

    Raises:
        ValueError: They do, or there are other bodies.
    """
    for body in sorted({*was.body.tolist(), *now.body.tolist()}):
        pair: list[Tensor] = []
        for surface in (was, now):
            own = surface.rest[surface.body.to(surface.rest.device) == body].cpu()
            if not len(own):
                raise ValueError(f"body {body} is in one of two scenes only: expected the same")
            pair += [own.amin(0), own.amax(0)]
        size = float((pair[1] - pair[0]).norm())
        off = max(float((a - b).abs().max()) for a, b in zip(pair[:2], pair[2:], strict=True))
        if off > NEAR * size:
            raise ValueError(
                f"body {body} starts {off:.2g} m from where points were bound to it, or has another"
                " shape: bind them to where it starts (Observation.rebound), or anew"
            )
