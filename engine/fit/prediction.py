# SPDX-License-Identifier: Apache-2.0
"""The latest predicted motion of a fit, and what was seen, as files for those who watch it."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..cells import Cells
from ..description import surroundings
from ..errors import SimulationError
from ..observations.markers import Markers
from ..observations.observation import Observation, Positions
from ..observations.pixel_tracks import PixelTracks
from ..observations.point_clouds import PointClouds
from ..scene import Scene
from ..trajectory import Trajectory

PREDICTED, OBSERVED = "predicted.vtkhdf", "observed.vtkhdf"
INTERVAL = 5.0
"""Between two predictions unless told otherwise [s]."""
COSTLY = 20.0
"""How many times as long as a prediction took the next one is put off, at least."""
MOST = 64e6
"""Positions in the file of a prediction [bytes]; of longer motions every other frame is left out.
"""
POINTS = 2000
"""Of a cloud that are shown in a frame."""


class Predictions:
    """Writes the latest prediction to the folder of a fit, each file replaced in one go.

    A simulation of the whole motion costs time: it is made at most every so often, and takes a
    twentieth of the time at most.

    Args:
        folder: Of the fit.
        every: Seconds between two of them at least; 0 writes none.
    """

    def __init__(self, folder: Path, every: float) -> None:
        self._folder, self._every = folder, every
        self._next = 0.0
        self._written: Any = None

    def offer(
        self, epoch: int, predict: Callable[[], tuple[Scene, Trajectory, Observation, Any]],
        *, last: bool = False,
    ) -> bool:  # fmt: skip
        """Write a prediction if one is due; whether it was.

        Args:
            epoch: Number of epochs before it.
            predict: Gives the scene, its motion at the observed times, what was seen, and the
                solver's model; a SimulationError in it writes nothing.
            last: Whether none follows: it is due unless that of this epoch is there.
        """
        began = time.monotonic()
        if not self._every > 0 or not (began >= self._next or last) or self._written == epoch:
            return False
        try:
            with torch.no_grad():
                self._write(epoch, *predict())
        except SimulationError:
            return False
        finally:
            now = time.monotonic()
            self._next = now + max(self._every, COSTLY * (now - began))
        self._written = epoch
        return True

    def _write(
        self, epoch: int, scene: Scene, motion: Trajectory, seen: Observation, model: Any
    ) -> None:
        cells = getattr(model, "cells", None)
        kept = _thinned(motion)
        described = surroundings(scene, float(model.dt), motion.step[kept].tolist())
        about = {
            "scene": scene.name, "title": scene.name, "epoch": str(epoch), "units": "SI",
            **{name: described[name] for name in ("domain", "gravity", "bodies", "colliders")},
        }  # fmt: skip
        ghost = observed(seen, motion, cells)
        if ghost is not None:
            _replace(self._folder / OBSERVED, ghost.pick(_thinned(ghost)))
        own = Trajectory(
            motion.time[kept].cpu(), motion.x[kept].cpu(), motion.step[kept].cpu(),
            body=motion.body.cpu(), metadata=about, cells=cells,
        )  # fmt: skip
        _replace(self._folder / PREDICTED, own)


def observed(
    seen: Observation, motion: Trajectory, cells: Cells | None = None
) -> Trajectory | None:
    """What was seen as points in the scene, NaN where nothing was; None of what has no points.

    Tracks in pixels tell no depth: each point is the one on its ray that is next to where the
    motion has it. Of several kinds that were seen together the first that has points is shown.

    Args:
        seen: What was seen.
        motion: Simulated, at the same times.
        cells: Of the model of the motion.
    """
    for part, own in seen.split(motion):
        found = _points(part, own)
        if found is None:
            continue
        about = {"markers": json.dumps([str(k) for k in range(found.shape[1])])}
        whole = isinstance(part, Positions)
        return Trajectory(
            part.time.double().cpu(), found.float().cpu(),
            metadata={} if whole else about, cells=cells if whole else None,
        )  # fmt: skip
    return None


def _points(part: Observation, motion: Trajectory) -> Tensor | None:
    """Points in the scene [m], shape (t, k, 3)."""
    if isinstance(part, Positions):
        return part.trajectory.x.detach()
    if isinstance(part, Markers):
        return part.in_scene(part.pose(motion))
    if isinstance(part, PixelTracks):
        return _on_rays(part.rebound(motion), motion)
    if isinstance(part, PointClouds):
        clouds = [cloud[:: math.ceil(len(cloud) / POINTS) or 1] for cloud in part.clouds]
        rows = max(len(cloud) for cloud in clouds)
        blank = torch.full((rows, 3), math.nan, dtype=torch.float64)
        return torch.stack([torch.cat([c.double(), blank[len(c) :]]) for c in clouds])
    return None


def _on_rays(part: PixelTracks, motion: Trajectory) -> Tensor:
    seen = part.seen()
    pixels = torch.from_numpy(part.tracks.pixels)[:, part.bound].double()
    rays = part.camera.rays(torch.where(seen[..., None], pixels, pixels.new_zeros(())))
    arms = part.carried.at(motion.x.cpu().double()) - part.camera.position
    along = (arms * rays).sum(-1, keepdim=True)
    blank = pixels.new_full((), math.nan)
    return torch.where(seen[..., None], part.camera.position + along * rays, blank)


def _thinned(motion: Trajectory) -> slice:
    """Every so many frames, so that they are not too many."""
    size = 12.0 * motion.particles * len(motion)
    return slice(None, None, max(1, math.ceil(size / MOST)))


def _replace(path: Path, motion: Trajectory) -> None:
    draft = path.with_name(f"{path.stem}.draft{path.suffix}")
    try:
        motion.save(draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
