# SPDX-License-Identifier: Apache-2.0
"""A chart of a field over time, drawn into a corner of the picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..drawing.flat import INK, PALE, Polygon, disc, draw, drawing, text
from ..drawing.sprites import WHITE, Canvas
from ..fields import Scale, plain_step
from ..view import View
from .history import Line
from .marks import colour_of

_GRID = (226, 231, 236, 255)
_AXIS = (150, 160, 170, 255)
_CURSOR = (44, 111, 179)
_DASHES = ((), (6.0, 3.0), (2.0, 2.5), (10.0, 2.5), (4.0, 5.0))
_ROOM = 0.08
_LONGEST = 12


def dashes_of(run: int, pixels: int) -> tuple[float, ...]:
    """Lengths of dashes and gaps of the lines of a run [screen pixels]; none of the first."""
    return tuple(pixels * length for length in _DASHES[run % len(_DASHES)])


class Words:
    """Lines of text that are put in place anew each time."""

    def __init__(self, renderer: Any, pixels: int) -> None:
        self._renderer, self._pixels = renderer, pixels
        self._actors: list[Any] = []
        self._used = 0

    def start(self) -> None:
        """Forget what was written."""
        self._used = 0

    def put(
        self, words: str, x: float, y: float, size: int, colour: Sequence[float], align: str = "l"
    ) -> None:
        """Write words with their lower left (l), middle (c) or right (r) corner at a pixel."""
        if self._used == len(self._actors):
            self._actors.append(text(self._renderer, self._pixels, size, colour))
        actor = self._actors[self._used]
        self._used += 1
        style = actor.GetTextProperty()
        style.SetFontSize(size * self._pixels)
        style.SetColor(*colour)
        style.SetJustification("lcr".index(align))
        actor.SetInput(words)
        actor.SetPosition(round(x), round(y))
        actor.VisibilityOn()

    def width(self, words: str, size: int) -> float:
        """Of a line of text [screen pixels]."""
        self.put(words, 0, 0, size, INK)
        self._used -= 1
        actor, found = self._actors[self._used], [0.0, 0.0]
        actor.GetSize(self._renderer, found)
        actor.VisibilityOff()
        return found[0]

    def end(self) -> None:
        """Hide what is left over."""
        for actor in self._actors[self._used :]:
            actor.VisibilityOff()


class Chart:
    """Axes, lines, and a mark at the time shown.

    Args:
        renderer: of the whole window.
        view: what is to be seen.
        pixels: screen pixels for one pixel of text and lines.
    """

    def __init__(self, renderer: Any, view: View, pixels: int) -> None:
        self._view, self._pixels = view, pixels
        self.words = Words(renderer, pixels)
        self._cursor = drawing(renderer)
        self._box = (0.0, 0.0, 1.0, 1.0)
        self._range = (0.0, 1.0)
        self._lines: list[Line] = []
        self._scale_label = ""
        self.height = 184
        """In pixels of text."""
        self.shown = False
        """Whether it is to be seen."""

    def hide(self) -> None:
        """Show nothing."""
        self.shown = False
        self.words.start()
        self.words.end()
        self._cursor.actor.VisibilityOff()

    def draw(
        self, canvas: Canvas, corner: tuple[float, float], size: tuple[float, float],
        lines: Sequence[Line], scale: Scale, done: float,
    ) -> None:  # fmt: skip
        """Draw axes and lines.

        Args:
            canvas: on which there is room for it at the bottom.
            corner: lower left of that in the window [screen pixels].
            size: width and height of the canvas [screen pixels].
            lines: what is known.
            scale: units.
            done: part of it that has been read.
        """
        u, words, self.shown, self._lines = self._pixels, self.words, True, list(lines)
        low, high = self._range = _range(lines, scale)
        ticks = _ticks(low, high, scale)
        words.start()
        margin = max([words.width(label, 11) for _, label in ticks], default=0.0)
        left, right = corner[0] + 20 * u + margin, corner[0] + size[0] - 18 * u
        bottom = corner[1] + 44 * u
        top = corner[1] + (self.height - 34) * u
        self._box = (left, bottom, right, top)
        self._scale_label = scale.label
        words.put(scale.label, corner[0] + 14 * u, top + 12 * u, 12, INK)
        if done < 1:
            words.put(f"loading {done:.0%}", right, top + 12 * u, 12, PALE, "r")

        def place(x: float, y: float) -> tuple[float, float]:
            return x - corner[0], size[1] - (y - corner[1])

        for value, label in ticks:
            y = round(self._y(value))
            canvas.line(np.array([place(left, y), place(right, y)]), _GRID, u)
            words.put(label, left - 7 * u, y - 4 * u, 11, PALE, "r")
        canvas.line(np.array([place(left, bottom), place(right, bottom)]), _AXIS, u)
        for value, label in self._times(right - left):
            x = round(self._x(value))
            canvas.line(np.array([place(x, bottom), place(x, bottom - 4 * u)]), _AXIS, u)
            words.put(label, x, bottom - 18 * u, 11, PALE, "c")
        words.put("time [s]", (left + right) / 2, corner[1] + 9 * u, 11, PALE, "c")
        words.end()
        for line in reversed(lines):
            self._draw(canvas, line, place)

    def name(
        self, canvas: Canvas, corner: tuple[float, float], size: tuple[float, float],
        runs: Mapping[int, str],
    ) -> None:  # fmt: skip
        """Say which run each kind of line is of, where the rows above do not; after `draw`."""
        u, words, right = self._pixels, self.words, self._box[2]
        y = corner[1] + (self.height - 22) * u
        start = self._box[0] + words.width(self._scale_label, 12)
        for panel, title in reversed(list(runs.items())):
            wide = words.width(title, 11)
            if right - wide - 40 * u < start:
                break
            words.put(title, right, y, 11, PALE, "r")
            across = np.array([right - wide - 26 * u, right - wide - 6 * u]) - corner[0]
            height = size[1] - (y + 4 * u - corner[1])
            key = np.stack([across, np.full(2, height)], -1)
            canvas.dashed(key, (110, 120, 130, 255), 1.8 * u, dashes_of(panel, u))
            right -= wide + 38 * u
        words.end()

    def _draw(self, canvas: Canvas, line: Line, place: Any) -> None:
        """Draw a line with a gap wherever it has no finite value."""
        seen = np.isfinite(line.values)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]])))
        colour, u = (*colour_of(line.pick.colour), 255), self._pixels
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            x, y = self._x(line.times[start:stop]), self._y(line.values[start:stop])
            points = _thinned(np.stack(place(x, y), -1))
            canvas.dashed(points, colour, 1.8 * u, dashes_of(line.panel, u))

    def point(self, frame: int) -> None:
        """Mark the time of a frame, and the values at it."""
        if not self.shown:
            return
        left, bottom, right, top = self._box
        u = self._pixels
        x = round(float(np.clip(self._x(self._view.times[frame]), left, right)))
        half = max(u // 2, 0.5)
        bar = [(x - half, bottom), (x + half, bottom), (x + half, top), (x - half, top)]
        shapes: list[Polygon] = [(np.array(bar, float), _CURSOR)]
        for line in reversed(self._lines):
            own = int(self._view.frames[line.panel][frame])
            value = line.values[own]
            if np.isfinite(value) and not self._view.ended(line.panel, frame):
                at = self._x(line.times[own]), self._y(value)
                shapes += [
                    (disc(*at, 4.5 * u), WHITE),
                    (disc(*at, 3.2 * u), colour_of(line.pick.colour)),
                ]
        draw(self._cursor, shapes)
        self._cursor.actor.VisibilityOn()

    def frame_at(self, x: float, y: float) -> int | None:
        """The frame that a place in the chart stands for, None away from it."""
        left, bottom, right, top = self._box
        reach = 8 * self._pixels
        inside = left - reach <= x <= right + reach and bottom - reach <= y <= top + reach
        return self.frame_near(x) if self.shown and inside else None

    def frame_near(self, x: float) -> int:
        """The frame nearest to a horizontal place, wherever that is."""
        left, _, right, _ = self._box
        return self._view.place_at((x - left) / max(right - left, 1))

    def _x(self, time: Any) -> Any:
        left, _, right, _ = self._box
        first, last = self._view.times[0], self._view.times[-1]
        return left + (np.asarray(time, float) - first) / ((last - first) or 1.0) * (right - left)

    def _y(self, value: Any) -> Any:
        _, bottom, _, top = self._box
        low, high = self._range
        return bottom + (np.asarray(value, float) - low) / (high - low) * (top - bottom)

    def _times(self, width: float) -> list[tuple[float, str]]:
        first, last = float(self._view.times[0]), float(self._view.times[-1])
        if last <= first:
            return [(first, f"{first:.6g}")]
        return [(t, f"{t:.6g}") for t in _plain(first, last, width / (70 * self._pixels))]


def _range(lines: Sequence[Line], scale: Scale) -> tuple[float, float]:
    """Lower and upper end of the axis of values, in SI units."""
    if scale.field.labels:
        return -0.5, len(scale.field.labels) - 0.5
    values = np.concatenate([line.values for line in lines]) if lines else np.zeros(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return scale.limits
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high))
    if high - low <= 1e-6 * size + 1e-300:
        low, high = low - (0.1 * size or 1.0), high + (0.1 * size or 1.0)
    room = _ROOM * (high - low)
    from_zero = scale.field.floor == 0 and 0 <= low < 0.5 * high
    return 0.0 if from_zero else low - room, high + room


def _ticks(low: float, high: float, scale: Scale) -> list[tuple[float, str]]:
    """Values in SI units to be labelled, and what is written there."""
    if scale.field.labels:
        named = enumerate(scale.field.labels)
        return [(k, f"{n[: _LONGEST - 1]}." if len(n) > _LONGEST else n) for k, n in named]
    factor = scale.factor
    if scale.only is not None:
        return [(scale.only, f"{scale.only * factor + 0.0:.6g}")]
    found = _plain(low * factor, high * factor, 4)
    return [(value / factor, f"{value:.6g}") for value in found]


def _plain(low: float, high: float, count: float) -> list[float]:
    """Plain numbers between two, about so many."""
    step = plain_step((high - low) / max(count, 1.5))
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [step * k + 0.0 for k in range(first, last + 1)]


def _thinned(points: np.ndarray) -> np.ndarray:
    """Of points (k, 2) in the order of x, the lowest and highest of each pixel: all that shows."""
    columns = np.floor(points[:, 0]).astype(int)
    if len(points) <= 4 * (columns[-1] - columns[0] + 1):
        return points
    starts = np.flatnonzero(np.diff(columns, prepend=columns[0] - 1))
    kept = {0, len(points) - 1}
    for start, stop in zip(starts, [*starts[1:], len(points)], strict=True):
        part = points[start:stop, 1]
        kept |= {int(start + part.argmin()), int(start + part.argmax())}
    return points[sorted(kept)]
