# SPDX-License-Identifier: Apache-2.0
"""What was observed of a run, over it: hollow rings, each with a line to where the run has it.

Rings stand over all else, at one size on the screen, so that bodies do not hide what lies in them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..comparison import alike, paired
from ..drawing.camera import projected
from ..drawing.flat import INK, text, write
from ..source import Source, between

if TYPE_CHECKING:
    from rheograd.engine.observations.markers import Markers

_MOST = 100
_SEED = 7
_RING = (1.0, 0.69, 0.0)
_RIM = (0.10, 0.13, 0.16)
_RADIUS, _SMALLER, _FEW = 6.0, 4.0, 32
_CORNERS = 24


@dataclass(frozen=True)
class Ghost:
    """Points that were observed, in the axes and by the clock of a run."""

    title: str
    """What they are, in words."""
    times: np.ndarray
    """Of the observed frames [s], increasing, shape (t,)."""
    observed: Callable[[int], np.ndarray]
    """Where they were at an observed frame [m], shape (k, 3); NaN where one was not seen."""
    places: Callable[[np.ndarray], np.ndarray] | None
    """Where a run has them [m], (k, 3), given its particles (n, 3); None where that is unknown."""

    def at(self, time: float) -> np.ndarray | None:
        """Where they were at a time [s], shape (k, 3), along straight lines between frames.

        None before the first frame and after the last.
        """
        return between(self.times, self.observed, time)


class Observed:
    """A run with what was observed of it; to be looked at in place of the run.

    Args:
        trajectory: a Trajectory, a TrajectoryReader, or anything else that `Source` takes.
        ghost: what was observed.
    """

    def __init__(self, trajectory: Any, ghost: Ghost) -> None:
        self._trajectory, self.ghost = trajectory, ghost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trajectory, name)

    def __len__(self) -> int:
        return len(self._trajectory)


def ghost_of_run(observed: Source, run: Source, title: str) -> Ghost:
    """Particles, or nodes, that were observed of a run; no more than can be told apart.

    Args:
        observed: what was seen, in the axes of the run and by its clock.
        run: what they are held against.
        title: of what was seen.

    Raises:
        ValueError: They have no time in common, or show other bodies.
    """
    _require_common_time(observed.times, run, title)
    count, same = observed.particles, paired(run, observed)
    kept = _some(count)
    if not same:
        alike(run, observed)
    words = f"{title}, {len(kept)} of {count} points" if len(kept) < count else title
    words += "" if same else ", which are others than the run has"
    return Ghost(
        words, observed.times, lambda frame: observed.positions(frame)[kept].astype(float),
        (lambda x: x[kept].astype(float)) if same else None,
    )  # fmt: skip


def ghost_of_fit(observed: Source, run: Source) -> Ghost:
    """What a fit is to reach, in the axes of its scene and by its clock, over its prediction.

    Args:
        observed: the particles or nodes of the run, or markers and tracks, whose places in it
            nothing tells.
        run: the prediction.
    """
    kept, same = _some(observed.particles), of_points(observed, run)
    return Ghost(
        "observed", observed.times, lambda frame: observed.positions(frame)[kept].astype(float),
        (lambda x: x[kept].astype(float)) if same else None,
    )  # fmt: skip


def of_points(observed: Source, run: Source) -> bool:
    """Whether a fit observed the particles or nodes of its model, not markers or tracks on it."""
    return "markers" not in observed.metadata and observed.particles == run.particles


def _some(count: int) -> np.ndarray:
    """Numbers of points, no more than can be told apart, (k,)."""
    if count <= _MOST:
        return np.arange(count)
    return np.sort(np.random.default_rng(_SEED).choice(count, _MOST, replace=False))


def ghost_of_points(observed: Source, run: Source, title: str) -> Ghost:
    """Points of which it is not known what they are tied to, in the axes of the file.

    Raises:
        ValueError: They have no time in common with the run.
    """
    _require_common_time(observed.times, run, title)
    return Ghost(
        f"{title}, in the axes of the file", observed.times,
        lambda frame: observed.positions(frame).astype(float), None,
    )  # fmt: skip


def ghost_of_markers(markers: Markers, run: Source, title: str) -> Ghost:
    """Markers of a motion capture that are bound to a run; its motion tells pose and clock.

    Raises:
        ValueError: They have no time in common with the run.
    """
    import torch

    times = markers.time.numpy()
    _require_common_time(times, run, title)
    inside = np.flatnonzero((times >= run.times[0]) & (times <= run.times[-1]))
    first, last = int(inside[0]), int(inside[-1]) + 1
    if last - first < 2:
        raise ValueError(
            f"{title}: got {last - first} frame in the time of {run.title or 'the run'}, expected"
            " two or more; simulate for as long as was recorded"
        )
    seen = markers.window(first, last)
    pose = seen.pose(_resampled(run, seen.time.numpy()))
    x = markers.in_scene(pose).numpy()
    return Ghost(
        title, times + float(pose.clock), lambda frame: x[frame],
        lambda at: markers.places(torch.from_numpy(at), pose).numpy(),
    )  # fmt: skip


def _resampled(run: Source, times: np.ndarray) -> Any:
    """A run at other times within its own (k,) [s], along cubics through its frames."""
    import torch
    from scipy.interpolate import CubicHermiteSpline

    from rheograd.engine.trajectory import Trajectory

    a = np.clip(np.searchsorted(run.times, times) - 1, 0, run.count - 2)
    x, v = [], []
    for k, time in zip(a, times, strict=True):
        pair = (int(k), int(k) + 1)
        spline = CubicHermiteSpline(
            run.times[list(pair)], np.stack([run.positions(i).astype(float) for i in pair]),
            np.stack([run.velocity(i).astype(float) for i in pair]),
        )  # fmt: skip
        x.append(spline(time))
        v.append(spline(time, 1))
    return Trajectory(
        torch.from_numpy(times), torch.from_numpy(np.stack(x)), v=torch.from_numpy(np.stack(v))
    )


def _require_common_time(times: np.ndarray, run: Source, title: str) -> None:
    if times[-1] < run.times[0] or times[0] > run.times[-1]:
        raise ValueError(
            f"{title}: got frames from {times[0]:.4g} to {times[-1]:.4g} s, expected some of the"
            f" time of {run.title or 'the run'}, {run.times[0]:.4g} to {run.times[-1]:.4g} s: they"
            " are of another clock, or of another run"
        )


class Rings:
    """The ghost of a run in its panel: rings and lines in pixels, and a line of words.

    Args:
        source: the run; its ghost may become another one.
        renderer: of the panel.
        pixels: screen pixels for one pixel of lines.
    """

    def __init__(self, source: Source, renderer: Any, pixels: int) -> None:
        self.source, self._renderer, self._pixels = source, renderer, pixels
        self._seen = self._there = np.zeros((0, 3))
        self._layers = [_layer(renderer, *style) for style in (
            (_RIM, 0.55, 3.6 * pixels), (_RING, 1.0, 1.8 * pixels)
        )]  # fmt: skip
        self._words = caption(renderer, pixels)
        renderer.AddObserver("StartEvent", self._place)

    @property
    def gap(self) -> float:
        """Root mean square distance from where the run has them [m]; NaN where that is unknown."""
        off = np.linalg.norm(self._there - self._seen, axis=-1)
        off = off[np.isfinite(off)]
        return float(np.sqrt((off**2).mean())) if len(off) else np.nan

    def show(self, frame: int) -> None:
        """Put them where they were at the time of a frame of the run."""
        ghost: Ghost = self.source.ghost
        seen = ghost.at(float(self.source.times[frame]))
        if seen is None:
            self._seen = self._there = np.zeros((0, 3))
            self._words.SetInput(f"o  {ghost.title}: not observed at this time")
            return
        self._seen, places = seen, ghost.places
        unknown = np.full_like(seen, np.nan)
        self._there = places(self.source.positions(frame)) if places else unknown
        shown, gap = int(np.isfinite(seen).all(-1).sum()), self.gap
        words = [f"o  {ghost.title}"]
        words += [f"{shown} of {len(seen)} in sight"] if shown < len(seen) else []
        words += [f"{1e3 * gap:.3g} mm from the run (RMS)"] if np.isfinite(gap) else []
        self._words.SetInput(", ".join(words))

    def _place(self, *_: Any) -> None:
        """Draw them as the camera of the panel sees them."""
        radius = self._pixels * (_RADIUS if len(self._seen) < _FEW else _SMALLER)
        rings, lines = rings_and_lines(
            projected(self._renderer, self._seen), projected(self._renderer, self._there), radius
        )
        for points, cells in self._layers:
            _fill(points, cells, rings, lines)


def rings_and_lines(
    seen: np.ndarray, there: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Corners of rings (k, c, 2) about places (n, 2), and ends (l, 2, 2) from rings to others.

    A line starts at the rim of its ring; one that would end within it is left out.
    """
    known = np.isfinite(seen).all(-1)
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    circle = radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    rings = seen[known][:, None] + circle
    away = there - seen
    length = np.linalg.norm(away, axis=-1)
    far = known & np.isfinite(length) & (length > radius)
    start = seen[far] + away[far] * (radius / length[far, None])
    return rings, np.stack([start, there[far]], 1)


def caption(renderer: Any, pixels: int, words: str = "") -> Any:
    """A line of words at the lower left of a panel."""
    actor = text(renderer, pixels, 12, INK)
    write(actor, words, 24 * pixels, 12 * pixels)
    return actor


def _layer(renderer: Any, colour: tuple[float, ...], opacity: float, width: float) -> Any:
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkPolyData
    from vtkmodules.vtkRenderingCore import vtkActor2D, vtkPolyDataMapper2D

    points, data, mapper, actor = vtkPoints(), vtkPolyData(), vtkPolyDataMapper2D(), vtkActor2D()
    data.SetPoints(points)
    mapper.SetInputData(data)
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(*colour)
    actor.GetProperty().SetOpacity(opacity)
    actor.GetProperty().SetLineWidth(width)
    renderer.AddViewProp(actor)
    return points, data


def _fill(points: Any, data: Any, rings: np.ndarray, lines: np.ndarray) -> None:
    """Fill a layer with closed rings (k, c, 2) and lines (l, 2, 2)."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
    from vtkmodules.vtkCommonDataModel import vtkCellArray

    flat = np.concatenate([rings.reshape(-1, 2), lines.reshape(-1, 2)])
    points.SetData(numpy_to_vtk(np.c_[flat, np.zeros(len(flat))], deep=True))
    count, corners = rings.shape[:2] if len(rings) else (0, _CORNERS)
    closed = np.r_[np.arange(corners), 0] + corners * np.arange(count)[:, None]
    ends = count * corners + np.arange(2 * len(lines)).reshape(-1, 2)
    offsets = np.concatenate([
        (corners + 1) * np.arange(count + 1),
        (corners + 1) * count + 2 * np.arange(1, len(lines) + 1),
    ])  # fmt: skip
    cells = vtkCellArray()
    cells.SetData(
        numpy_to_vtkIdTypeArray(offsets.astype(np.int64), deep=True),
        numpy_to_vtkIdTypeArray(np.r_[closed.ravel(), ends.ravel()].astype(np.int64), deep=True),
    )
    data.SetLines(cells)
    data.Modified()
