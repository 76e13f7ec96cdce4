# SPDX-License-Identifier: Apache-2.0
"""How far the material points of a run are from where another run has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .source import Source, sources_of

ERROR = "error"
"""Name of the field."""
_ALIKE = 0.03
"""Part of a body's size by which its bounds at rest may differ."""
_SAME_TIME = 1e-6
"""Part of a frame's length below which two times are one."""


class Comparison:
    """The error of every source against the first, its reference.

    That of a material point is the distance between where the two have it at the same time. Where
    both hold the same points at rest, frame 0, it is that of the positions. Otherwise it is that of
    the displacements: those of the reference are carried to the points of the other by moving least
    squares at rest, exact for affine motions, from points of the same body only. Between frames the
    reference moves along straight lines, and on along the last until its next frame would be due;
    before and after, and of points not seen, the error is NaN. Weights are made when first needed.

    Args:
        sources: The reference, then what is compared with it.
        same_points: Whether point i is the same one in all, as who made them knows, wherever they
            are at first.

    Raises:
        ValueError: There is one source only, or they do not show the same bodies at rest.
    """

    def __init__(self, sources: Sequence[Source], *, same_points: bool = False) -> None:
        if len(sources) < 2:
            raise ValueError(
                "a comparison: got one trajectory, expected two or more: the first is what the"
                " others are compared with"
            )
        self.reference, *self._others = sources
        self._paired = [same_points or paired(self.reference, other) for other in self._others]
        for other, same in zip(self._others, self._paired, strict=True):
            if not same:
                alike(self.reference, other)
            _require_common_time(self.reference, other)
        self._carried: dict[int, _Carried] = {}

    def values(self, source: Source, frame: int) -> np.ndarray:
        """Errors [m], shape (n,), at a frame of one of the sources; 0 of the reference."""
        if source is self.reference:
            return np.zeros(source.particles)
        number = next(k for k, other in enumerate(self._others) if other is source)
        x = source.positions(frame).astype(float)
        there = self._positions(float(source.times[frame]))
        if there is None:
            return np.full(len(x), np.nan)
        if self._paired[number]:
            return np.linalg.norm(there - x, axis=-1)
        if number not in self._carried:
            self._carried[number] = _Carried(self.reference, source)
        moved = self._carried[number].displacement(there - self.reference.positions(0))
        return np.linalg.norm(moved - (x - source.positions(0)), axis=-1)

    def _positions(self, time: float) -> np.ndarray | None:
        """Of the reference at a time [m], shape (n, 3); None where nothing is known."""
        place = _place(self.reference.times, time)
        if place is None:
            return None
        frame, part = place
        start = self.reference.positions(frame).astype(float)
        if part == 0.0:
            return start
        return start + part * (self.reference.positions(frame + 1) - start)


@dataclass(frozen=True)
class ErrorTotal:
    """The error of a run against the first, over all its frames in the time of both."""

    title: str
    """Of the run."""
    mean: float
    """Over all points and frames [m]."""
    largest: float
    """Of any point at any frame [m]."""
    when: float
    """Time of the largest [s]."""
    relative: float
    """The mean over the mean distance that the points of the first have travelled by then."""


def error_totals(trajectories: Any, *, titles: Sequence[str] | None = None) -> list[ErrorTotal]:
    """Errors of all trajectories but the first against the first.

    Args:
        trajectories: Two or more trajectories or paths.
        titles: Of all of them.

    Raises:
        ValueError: They do not show the same bodies at rest.
    """
    comparison = Comparison(sources := sources_of(trajectories, titles))
    travelled = _travelled(sources[0])
    return [_total(comparison, source, travelled) for source in sources[1:]]


def _total(comparison: Comparison, source: Source, travelled: np.ndarray) -> ErrorTotal:
    means, largest, times = [], [], []
    for frame in range(source.count):
        error = comparison.values(source, frame)
        error = error[np.isfinite(error)]
        if len(error):
            means.append(error.mean())
            largest.append(error.max())
            times.append(source.times[frame])
    if not means:
        return ErrorTotal(source.title, *4 * [np.nan])
    mean, worst = float(np.mean(means)), int(np.argmax(largest))
    by_then = float(np.mean(np.interp(times, comparison.reference.times, travelled)))
    relative = mean / by_then if by_then > 0 else np.nan
    return ErrorTotal(source.title, mean, float(largest[worst]), float(times[worst]), relative)


def _travelled(source: Source) -> np.ndarray:
    """Mean length of the paths of all points up to each frame [m], shape (t,)."""
    paths, before = [0.0], source.positions(0).astype(float)
    for frame in range(1, source.count):
        x = source.positions(frame).astype(float)
        step = np.linalg.norm(x - before, axis=-1)
        step = step[np.isfinite(step)]
        paths.append(paths[-1] + (float(step.mean()) if len(step) else 0.0))
        before = x
    return np.array(paths)


class _Carried:
    """Displacements of a reference at the points of another source."""

    def __init__(self, reference: Source, other: Source) -> None:
        import torch

        from rheograd.engine.reduced.full_order import FullOrderMap

        self._from, self._to = _seen(reference), _seen(other)
        self._count = other.particles
        points, queries = (
            torch.from_numpy(source.positions(0)[seen].astype(float))
            for source, seen in ((reference, self._from), (other, self._to))
        )
        bodies = [
            torch.from_numpy(_numbered(source)[seen])
            for source, seen in ((other, self._to), (reference, self._from))
        ]
        self._map = FullOrderMap(queries, points, query_body=bodies[0], point_body=bodies[1])

    def displacement(self, u: np.ndarray) -> np.ndarray:
        """Of the other's points [m], shape (m, 3), from the reference's u (n, 3); NaN: unknown."""
        import torch

        out = np.full((self._count, 3), np.nan)
        with torch.no_grad():
            out[self._to] = self._map.displacement(torch.from_numpy(u[self._from])).numpy()
        return out


def _seen(source: Source) -> np.ndarray:
    """Which points are seen at rest, shape (n,)."""
    return np.asarray(np.isfinite(source.positions(0)).all(-1))


def _numbered(source: Source) -> np.ndarray:
    """Bodies by rank, 0, 1, ... of those with a point that is seen at rest, shape (n,)."""
    return np.searchsorted(np.unique(source.body[_seen(source)]), source.body)


def paired(first: Source, other: Source) -> bool:
    """Whether point i of both is the same one: at rest none is half a spacing off."""
    if first.particles != other.particles:
        return False
    off = np.linalg.norm(first.positions(0).astype(float) - other.positions(0), axis=-1)
    off = off[np.isfinite(off)]
    if not len(off) or not np.array_equal(first.body, other.body):
        return False
    return bool(off.max() <= 0.5 * first.spacing)


def alike(first: Source, other: Source) -> None:
    """Refuse other bodies than those of the first."""
    names = first.title or "the first", other.title or "another"
    told = "compare runs of the same bodies, whose first frames show them at rest in one place"
    numbers = [_numbered(source)[_seen(source)] for source in (first, other)]
    counts = [1 + int(number.max()) for number in numbers]
    if counts[0] != counts[1]:
        raise ValueError(
            f"comparison with {names[0]}: got {names[1]} with bodies: {counts[1]}, expected"
            f" {counts[0]} as in {names[0]}; {told}"
        )
    for body in range(counts[0]):
        mine, theirs = (
            _bounds(source.positions(0)[_seen(source)][number == body])
            for source, number in zip((first, other), numbers, strict=True)
        )
        # points lie about half a spacing inside of what they fill
        margin = 0.5 * max(first.spacing, other.spacing)
        margin += _ALIKE * float((mine[1] - mine[0]).max())
        if np.abs(mine - theirs).max() > margin:
            where = f" where body {body} is" if counts[0] > 1 else ""
            raise ValueError(
                f"comparison with {names[0]}: got {names[1]}{where} from {_written(theirs)} m at"
                f" rest, expected from {_written(mine)} m, within {margin:.2g} m, as in {names[0]};"
                f" {told}"
            )


def _require_common_time(first: Source, other: Source) -> None:
    """Refuse a run without a frame at a time at which the first is known."""
    if not any(_place(first.times, float(time)) for time in other.times):
        raise ValueError(
            f"comparison with {first.title or 'the first'}: got {other.title or 'another'} with"
            f" frames from {other.times[0]:.4g} to {other.times[-1]:.4g} s, expected some from"
            f" {first.times[0]:.4g} to {first.times[-1]:.4g} s; compare runs of the same time"
        )


def _place(times: np.ndarray, time: float) -> tuple[int, float] | None:
    """A frame and the part of the way to the next, from 0 to below 1, or on from the last but one.

    None before the first, and from when a frame after the last would be due.
    """
    last = len(times) - 1
    if last == 0:
        return (0, 0.0) if np.isclose(time, times[0]) else None
    before = int(np.clip(np.searchsorted(times, time, side="right") - 1, 0, last - 1))
    part = float((time - times[before]) / (times[before + 1] - times[before]))
    if part < -_SAME_TIME or part >= 2.0 - _SAME_TIME:
        return None
    if abs(part - round(part)) < _SAME_TIME:
        return before + round(part), 0.0
    return before, part


def _bounds(x: np.ndarray) -> np.ndarray:
    """Lowest and highest corner [m], shape (2, 3)."""
    return np.stack([x.min(0), x.max(0)]).astype(float)


def _written(bounds: np.ndarray) -> str:
    corners = ["(" + ", ".join(f"{value:.3g}" for value in corner) + ")" for corner in bounds]
    return " to ".join(corners)
