# SPDX-License-Identifier: Apache-2.0
"""A trajectory as the viewer reads it: NumPy arrays, one frame at a time."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

_KEPT = 4
_NEIGHBOURS_OF = 400


def numpy_of(values: Any) -> np.ndarray:
    """The values of a tensor on any device, or of anything else array-like, as a NumPy array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


class Source:
    """Frames of one trajectory, in memory or read from the disk as they are asked for.

    Args:
        trajectory: a Trajectory, a TrajectoryReader, the path of a file, or anything with `x`
            (t, n, 3) [m]; `time`, `v`, `fields`, `body`, `metadata`, `cells` and `cell_fields`
            are used if it has them.
        title: name shown above it.
    """

    title: str
    """Name shown above the panel."""
    count: int
    """Number of frames t."""
    particles: int
    """Number of particles n."""
    times: np.ndarray
    """Time of each frame [s], shape (t,)."""
    body: np.ndarray
    """Body of each particle, shape (n,)."""
    shapes: Mapping[str, tuple[int, ...]]
    """Recorded fields beside x and v: shape per particle by name."""
    cells: Any
    """Kind and nodes of the cells of a mesh, None for particles."""
    cell_shapes: Mapping[str, tuple[int, ...]]
    """Recorded fields of the cells: shape per cell by name."""
    metadata: Mapping[str, str]
    """What the file or solver says of the scene."""
    has_velocity: bool
    """Whether velocities are recorded."""
    remark: str = ""
    """What is said of it beside its title, such as that its file is being written."""
    ghost: Any
    """What was observed of the run, see `ghosts`, or None."""
    film: Any
    """The film of which the points are tracks, see `tracked_film`, or None."""

    def __init__(self, trajectory: Any, title: str = "") -> None:
        if isinstance(trajectory, str | Path):
            from rheograd.engine.trajectory import open_trajectory

            title = title or Path(trajectory).stem
            trajectory = open_trajectory(trajectory)
        self._recent: dict[int, Mapping[str, Any]] = {}
        self._trajectory = trajectory
        self._on_disk = not hasattr(trajectory, "x") and callable(
            getattr(trajectory, "frame", None)
        )
        fields, cell_fields = (
            dict(getattr(trajectory, name, None) or {}) for name in ("fields", "cell_fields")
        )
        self.cells = getattr(trajectory, "cells", None)
        self.ghost = getattr(trajectory, "ghost", None)
        self.film = getattr(trajectory, "film", None)
        if self._on_disk:
            shape = (len(trajectory), trajectory.particles, 3)
            self.shapes = {name: tuple(one) for name, one in fields.items()}
            self.cell_shapes = {name: tuple(one) for name, one in cell_fields.items()}
        else:
            shape = tuple(getattr(getattr(trajectory, "x", None), "shape", ()))
            self.shapes = {name: tuple(one.shape[2:]) for name, one in fields.items()}
            self.cell_shapes = {name: tuple(one.shape[2:]) for name, one in cell_fields.items()}
        if len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise ValueError(
                f"a trajectory to look at: got {type(trajectory).__name__} with x of shape "
                f"{shape}, expected x of shape (frames, particles, 3), none of them zero; pass "
                "a Trajectory or the path of one"
            )
        self.count, self.particles = shape[:2]
        self.has_velocity = "v" in fields or getattr(trajectory, "v", None) is not None
        self.shapes.pop("v", None)
        times = getattr(trajectory, "time", None)
        self.times = np.arange(self.count) * 1.0 if times is None else numpy_of(times) * 1.0
        body = getattr(trajectory, "body", None)
        self.body = np.zeros(self.particles, int) if body is None else numpy_of(body).astype(int)
        self.metadata = dict(getattr(trajectory, "metadata", None) or {})
        self.title = title or self.metadata.get("title", self.metadata.get("scene", ""))
        self._check()

    def _check(self) -> None:
        """Refuse what cannot be seen."""
        if not np.isfinite(self.positions(0)).all(-1).any():
            raise ValueError(
                f"a trajectory to look at: got {self.title or 'one'} whose first frame has no "
                "finite position, expected at least one particle; see what wrote it"
            )
        if not (np.diff(self.times) > 0).all():
            raise ValueError(
                f"a trajectory to look at: got {self.title or 'one'} with times that do not "
                "increase from frame to frame; see what wrote it"
            )

    def _read(self, name: str, frame: int) -> np.ndarray:
        """An array of a frame, (n, ...) or (e, ...); the last read from a disk are kept."""
        own = self._trajectory
        if not self._on_disk:
            if name in ("x", "v"):
                return numpy_of(getattr(own, name)[frame])
            return numpy_of(
                (own.cell_fields if name in self.cell_shapes else own.fields)[name][frame]
            )
        if frame not in self._recent:
            while len(self._recent) >= _KEPT:
                self._recent.pop(next(iter(self._recent)))
            self._recent[frame] = own.frame(frame)
        return numpy_of(self._recent[frame][name])

    @property
    def reader(self) -> Any:
        """What reads it from a file that may be written to meanwhile; None for all else."""
        return self._trajectory if self._on_disk and hasattr(self._trajectory, "capacity") else None

    def follow(self, trajectory: Any) -> None:
        """Show a trajectory of the same particles and fields instead: more frames, or others."""
        self._trajectory = trajectory
        self._recent.clear()
        self.count = len(trajectory)
        self.times = numpy_of(trajectory.time) * 1.0

    def positions(self, frame: int) -> np.ndarray:
        """Positions [m], shape (n, 3); NaN where a particle is not seen."""
        return self._read("x", frame)

    def velocity(self, frame: int) -> np.ndarray:
        """Velocities [m/s], shape (n, 3), by differences of positions where none are recorded."""
        if self.has_velocity:
            return self._read("v", frame)
        before, after = max(frame - 1, 0), min(frame + 1, self.count - 1)
        lapse = self.times[after] - self.times[before]
        moved = self.positions(after).astype(float) - self.positions(before)
        return moved / lapse if lapse > 0 else 0 * moved

    def recorded(self, name: str, frame: int) -> np.ndarray:
        """A recorded field at a frame, shape (n, ...), or (e, ...) of the cells."""
        return self._read(name, frame)

    def rows(self, name: str, rows: np.ndarray, frames: range) -> np.ndarray:
        """What is recorded of a few points or cells over frames that follow one another.

        Args:
            name: `x`, `v` or a recorded field.
            rows: numbers of the points or cells, shape (m,).
            frames: which.

        Returns:
            Shape (frames, m, ...).
        """
        own = self._trajectory
        if self._on_disk:
            if hasattr(own, "rows"):
                return own.rows(name, rows, frames)
            return np.stack([numpy_of(own.frame(k)[name])[rows] for k in frames])
        if name in ("x", "v"):
            values = getattr(own, name)
        else:
            values = (own.cell_fields if name in self.cell_shapes else own.fields)[name]
        return numpy_of(values[frames.start : frames.stop][:, rows.tolist()])

    def totals(self, frame: int) -> dict[str, float]:
        """Numbers of the whole scene at a frame, such as energies [J], by name."""
        held = getattr(self._trajectory, "totals", None) or {}
        return {name: float(values[frame]) for name, values in held.items()}

    def sampled(self, count: int) -> np.ndarray:
        """At most `count` frames, spread evenly from the first to the last."""
        return np.unique(np.linspace(0, self.count - 1, min(count, self.count)).astype(int))

    @cached_property
    def spacing(self) -> float:
        """Distance of neighbours [m]: as told, or the median at the first frame; 0 of one point."""
        told = self.described("spacing", "a length in metres such as 0.02", ())
        return _spacing(self.positions(0)) if told is None else float(told)

    def described(self, name: str, expected: str, shape: tuple[int, ...] | None = None) -> Any:
        """What the metadata says under `name` (JSON), or None where it says nothing usable.

        With `shape`, an array of that shape. A value that cannot be read is left out with a
        warning: a picture without a box is better than none.
        """
        text = self.metadata.get(name)
        if text is None:
            return None
        try:
            value = json.loads(text)
            if shape is None:
                return value
            array = np.array(value, float)
            if array.shape == shape and np.isfinite(array).all():
                return array
        except (ValueError, TypeError):
            pass
        warnings.warn(
            f"metadata {name!r} is left out of the picture: got {text[:60]!r}, expected {expected}",
            stacklevel=2,
        )
        return None


def between(times: np.ndarray, read: Callable[[int], np.ndarray], time: float) -> np.ndarray | None:
    """What `read` gives of frames, at a time [s] along straight lines from one to the next.

    None before the first of `times` (t,) and after the last; at a frame, what is read of it alone.
    """
    slack = 1e-6 * max(float(times[-1] - times[0]), 1e-9)
    if not times[0] - slack <= time <= times[-1] + slack:
        return None
    if len(times) == 1:
        return read(0)
    after = int(np.clip(np.searchsorted(times, time), 1, len(times) - 1))
    lapse = float(times[after] - times[after - 1])
    part = float(np.clip((time - times[after - 1]) / lapse, 0.0, 1.0))
    if part in (0.0, 1.0):
        return read(after - 1 + round(part))
    return (1 - part) * read(after - 1) + part * read(after)


def sources_of(trajectories: Any, titles: Sequence[str] | None = None) -> tuple[Source, ...]:
    """One for each of a trajectory, a path, or a sequence of these.

    Raises:
        ValueError: There is none, or there are not as many titles.
    """
    several = isinstance(trajectories, Sequence) and not isinstance(trajectories, str | Path)
    listed = list(trajectories) if several else [trajectories]
    if not listed:
        raise ValueError("trajectories to look at: got none, expected at least one")
    if titles is not None and len(titles) != len(listed):
        raise ValueError(
            f"titles: got {len(titles)}, expected one for each of the {len(listed)} trajectories"
        )
    return tuple(Source(one, titles[k] if titles else "") for k, one in enumerate(listed))


def _spacing(x: np.ndarray) -> float:
    """Median distance [m] to the nearest neighbour in x (n, 3), of those that are seen."""
    from scipy.spatial import KDTree

    x = x[np.isfinite(x).all(-1)].astype(float)
    if len(x) < 2:
        return 0.0
    some = x[:: max(1, len(x) // _NEIGHBOURS_OF)]
    distance, _ = KDTree(x).query(some, k=2)
    return float(np.median(distance[:, 1]))
