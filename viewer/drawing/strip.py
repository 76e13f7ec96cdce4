# SPDX-License-Identifier: Apache-2.0
"""The strip below the panels: time, timeline and the legend of the colours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..fields import Scale
from ..view import View
from .flat import INK, PALE, Polygon, box, disc, draw, drawing, rounded, text, write, write_beside

_TRACK = (221, 226, 231)
_DONE = (44, 111, 179)
_BUTTON = (234, 239, 244)
_LEFT, _RIGHT, _EDGE = 236, 300, 26
_BANDS = 128


class Strip(ABC):
    """Time on the left, the legend on the right; what is between them is for others to say.

    Args:
        renderer: the lowest viewport.
        view: what is to be seen.
        pixels: screen pixels for one pixel of text and lines.
    """

    HEIGHT = 84
    """Height in pixels of text."""

    def __init__(self, renderer: Any, view: View, pixels: int) -> None:
        self._renderer, self._view, self._pixels = renderer, view, pixels
        self.playing: bool | None = None
        """Whether time runs, None where there is no button to show it."""
        self.note = ""
        """A remark after the frame number."""
        self.span = ""
        """Whose values the range of the colours is, in words."""
        renderer.set_background("white")
        renderer.InteractiveOff()
        self._middle, self._legend = (drawing(renderer) for _ in range(2))
        self._time, self._count = (
            text(self._renderer, self._pixels, 19, INK),
            text(self._renderer, self._pixels, 12, PALE),
        )
        self._heading = text(self._renderer, self._pixels, 13, INK, centred=True)
        self._ticks: list[Any] = []
        self._size = (1, 1)
        self._span = text(self._renderer, self._pixels, 12, PALE)
        self._shown: tuple[Scale, str] | None = None

    def lay_out(self, width: int, height: int) -> None:
        """Fit to a size in screen pixels."""
        self._size = (width, height)
        self._shown = None

    def on_button(self, x: int, y: int) -> bool:
        """Whether a place is on the button that plays and pauses."""
        return x < 56 * self._pixels and self.covers(y)

    def covers(self, y: int) -> bool:
        """Whether a height is in the strip."""
        return y < self._size[1]

    @abstractmethod
    def show(self, frame: int, scale: Scale) -> None:
        """Show the time of a frame, and the legend of a scale."""

    @property
    def height(self) -> int:
        """In screen pixels."""
        return self._size[1]

    def _explain(self, scale: Scale) -> None:
        """Draw the legend of a scale, where it is another than before."""
        if self._shown is None or scale is not self._shown[0] or self.span != self._shown[1]:
            self._shown = (scale, self.span)
            self._show_legend(scale)

    def _button(self) -> list[Polygon]:
        """Two posts while time runs, a triangle while it stands still."""
        unit, middle = self._pixels, 0.5 * self._size[1]
        x, size = 34 * unit, 9 * unit
        shapes: list[Polygon] = [(disc(x, middle, 19 * unit), _BUTTON)]
        if not self.playing:
            corners = np.array([(-0.6, -0.9), (1.0, 0.0), (-0.6, 0.9)])
            return [*shapes, (corners * size + (x, middle), _DONE)]
        for side in (-1, 1):
            post = box(x + side * 0.5 * size - 2.2 * unit, middle - 0.8 * size, 4.4 * unit)
            post[2:, 1] = middle + 0.8 * size
            shapes.append((post, _DONE))
        return shapes

    def _show_legend(self, scale: Scale) -> None:
        """Draw the bar of colours with its heading and ticks."""
        width, height = self._size
        unit = self._pixels * min(1.0, width / (800 * self._pixels))
        left, right = width - (_RIGHT + _EDGE) * unit, width - _EDGE * unit
        bottom, top = 0.42 * height, 0.58 * height
        write(self._heading, scale.label, (left + right) / 2, 0.68 * height)
        write_beside(self._heading, self._span, self.span, self._renderer, 7 * unit)
        for actor in self._ticks:
            self._renderer.RemoveViewProp(actor)
        self._ticks = []
        low, high = scale.limits
        table = scale.field.table
        bands = len(table) if scale.field.labels else _BANDS if scale.only is None else 1
        gap = 0.06 if scale.field.labels else 0.0
        shapes = []
        for band in range(bands):
            ends = left + (right - left) * np.array([band + gap, band + 1 - gap]) / bands
            share = (band + 0.5) / bands
            if scale.only is not None:
                share = (scale.only - low) / (high - low)
            colour = table[min(max(round(share * len(table) - 0.5), 0), len(table) - 1)]
            corners = np.array(
                [(ends[0], bottom), (ends[1], bottom), (ends[1], top), (ends[0], top)]
            )
            shapes.append((corners, tuple(int(c) for c in colour)))
        for tick, label in zip(scale.ticks, scale.tick_labels, strict=True):
            part = 0.5 if scale.only is not None else (tick - low) / (high - low)
            x = left + (right - left) * part
            if not scale.field.labels:
                mark = box(x - 0.5 * unit, bottom - 4 * unit, unit)
                mark[2:, 1] = bottom
                shapes.append((mark, (120, 132, 145)))
            actor = text(self._renderer, self._pixels, 12, PALE, centred=True)
            write(actor, label, x, 0.17 * height)
            self._ticks.append(actor)
        draw(self._legend, shapes)


class TimeStrip(Strip):
    """With the timeline in the middle, and the button that plays where `playing` is set.

    Args:
        renderer: the lowest viewport.
        view: what is to be seen.
        pixels: screen pixels for one pixel of text and lines.
        timeline: whether the timeline is drawn.
    """

    def __init__(self, renderer: Any, view: View, pixels: int, timeline: bool = True) -> None:
        super().__init__(renderer, view, pixels)
        self._has_timeline = timeline

    def tell_time(self, told: bool) -> None:
        """Whether to write the time."""
        for actor in (self._time, self._count):
            actor.SetVisibility(told)

    @property
    def _track(self) -> tuple[float, float, float]:
        """Left end, right end and height of the timeline [screen pixels]."""
        width, height = self._size
        unit = self._pixels * min(1.0, width / (800 * self._pixels))
        return (_LEFT * unit, width - (_RIGHT + 2 * _EDGE) * unit, 0.5 * height)

    def frame_at(self, x: int, y: int) -> int | None:
        """The frame that a place on the timeline stands for, None away from it."""
        left, right, middle = self._track
        reach = 14 * self._pixels
        if abs(y - middle) > reach or not left - reach <= x <= right + reach:
            return None
        return self.frame_near(x)

    def frame_near(self, x: int) -> int:
        """The frame nearest to a horizontal place, wherever that is."""
        left, right, _ = self._track
        return self._view.place_at((x - left) / max(right - left, 1))

    def show(self, frame: int, scale: Scale) -> None:
        """See `Strip.show`."""
        view, unit, height = self._view, self._pixels, self._size[1]
        left = (60 if self.playing is not None else _EDGE) * unit
        digits = view.decimals
        write(self._time, f"{view.times[frame]:.{digits}f} s", left, 0.53 * height)
        count = f"of {view.times[-1]:.{digits}f} s,  {frame + 1} / {len(view.times)}{self.note}"
        write(self._count, count, left, 0.24 * height)
        if self._has_timeline:
            draw(self._middle, self._bar(frame))
        self._explain(scale)

    def _bar(self, frame: int) -> list[Polygon]:
        """The timeline, filled up to a frame, and the button."""
        left, right, middle = self._track
        times, unit = self._view.times, self._pixels
        part = (times[frame] - times[0]) / ((times[-1] - times[0]) or 1.0)
        at, half = left + part * (right - left), 2.5 * unit
        shapes = [
            *rounded(left, right, middle, half, _TRACK),
            *rounded(left, at, middle, half, _DONE),
            (disc(at, middle, 7 * unit), _DONE),
            (disc(at, middle, 4 * unit), (255, 255, 255)),
        ]
        return shapes if self.playing is None else [*shapes, *self._button()]
