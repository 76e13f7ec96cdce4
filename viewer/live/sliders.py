# SPDX-License-Identifier: Apache-2.0
"""Sliders in a column beside the picture, one for each number that can be changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rheograd.engine.fit.quantity import quantity
from rheograd.engine.live.knobs import Knob

from ..drawing.flat import INK, PALE, Polygon, disc, draw, drawing, rounded, text, write

_TRACK = (221, 226, 231)
_DONE = (44, 111, 179)
_TICK = (150, 160, 170)
_LINE = (221, 226, 231)
_ROW, _GAP, _TOP, _SIDE, _BELOW = 40, 14, 14, 22, 30


class _Row(NamedTuple):
    """One slider as drawn."""

    knob: Knob
    label: Any
    value: Any


class Sliders:
    """A column of sliders: name and value, and below them the range with a mark at the start.

    Args:
        renderer: that of the column.
        knobs: what can be changed.
        pixels: screen pixels for one pixel of text and lines.
    """

    WIDTH = 272
    """In pixels of text."""

    def __init__(self, renderer: Any, knobs: Mapping[str, Knob], pixels: int = 1) -> None:
        self.renderer, self._pixels = renderer, pixels
        renderer.SetBackground(1.0, 1.0, 1.0)
        renderer.InteractiveOff()
        self._drawing = drawing(renderer)
        self._rows = []
        for knob in knobs.values():
            label, value = (text(renderer, pixels, 13, colour) for colour in (INK, PALE))
            value.GetTextProperty().SetJustificationToRight()
            label.SetInput(knob.name)
            self._rows.append(_Row(knob, label, value))
        self._more = text(renderer, pixels, 12, PALE, centred=True)
        self._size = (1, 1)
        self._first = 0
        self._shown: object = None

    def lay_out(self, width: int, height: int) -> None:
        """Fit to a size in screen pixels."""
        self._size = (width, height)
        self._first = min(self._first, self._last_first)
        self._shown = None

    @property
    def _heights(self) -> list[int]:
        """Of the rows, the gap above those that begin a group included [screen pixels]."""
        kinds = [_group(row.knob) for row in self._rows]
        gaps = [k > 0 and kinds[k] != kinds[k - 1] for k in range(len(kinds))]
        return [(_ROW + _GAP * gap) * self._pixels for gap in gaps]

    def _fitting(self, first: int) -> int:
        """How many rows fit from one on."""
        room = self._size[1] - (_TOP + _BELOW) * self._pixels
        used = np.cumsum(self._heights[first:])
        return int((used <= room).sum())

    @property
    def _last_first(self) -> int:
        """The last row that it makes sense to begin with."""
        count = len(self._rows)
        return next(k for k in range(count + 1) if k + self._fitting(k) >= count or k >= count - 1)

    def _places(self) -> dict[str, float]:
        """Height of the track of each slider that is seen [screen pixels]."""
        y, found = self._size[1] - _TOP * self._pixels, {}
        heights = self._heights
        for k in range(self._first, self._first + self._fitting(self._first)):
            y -= heights[k]
            found[self._rows[k].knob.name] = y + 0.24 * _ROW * self._pixels
        return found

    @property
    def _ends(self) -> tuple[float, float]:
        return _SIDE * self._pixels, self._size[0] - _SIDE * self._pixels

    def at(self, x: float, y: float) -> Knob | None:
        """The slider at a place in the column [screen pixels], None beside them."""
        reach = 0.5 * _ROW * self._pixels
        if not 0 <= x <= self._size[0]:
            return None
        for row in self._rows:
            middle = self._places().get(row.knob.name, -np.inf)
            if -0.4 * reach <= y - middle < 1.4 * reach:
                return row.knob
        return None

    def value_at(self, knob: Knob, x: float) -> float:
        """What a slider is set to by a horizontal place, wherever that is."""
        left, right = self._ends
        return knob.value((x - left) / max(right - left, 1.0))

    def scroll(self, rows: int) -> None:
        """Show others where not all fit."""
        self._first = min(max(self._first + rows, 0), self._last_first)
        self._shown = None

    def show(self, values: Mapping[str, float], held: str = "") -> None:
        """Draw all of them; the one that is held stands out."""
        if self._shown == (shown := (tuple(values.items()), held)):
            return
        self._shown = shown
        unit, (width, height) = self._pixels, self._size
        left, right = self._ends
        places = self._places()
        shapes: list[Polygon] = [
            (np.array([(0, 0), (unit, 0), (unit, height), (0, height)], float), _LINE)
        ]
        for knob, label, value in self._rows:
            seen = knob.name in places
            label.SetVisibility(seen)
            value.SetVisibility(seen)
            if not seen:
                continue
            y = places[knob.name]
            above = y + 11 * unit
            label.SetPosition(left, above)
            words = quantity(values[knob.name], knob.unit).replace("−", "-")
            write(value, words, right, above)
            value.GetTextProperty().SetColor(*(INK if knob.name == held else PALE))
            shapes += self._track(knob, values[knob.name], y, knob.name == held)
        missing = len(self._rows) - len(places)
        write(self._more, f"{missing} more: turn the wheel here" if missing else "", width / 2,
              9 * unit)  # fmt: skip
        draw(self._drawing, shapes)

    def _track(self, knob: Knob, value: float, y: float, held: bool) -> list[Polygon]:
        """The range of a slider, filled from where the scene has it to where it is."""
        left, right = self._ends
        unit = self._pixels
        start, at = (left + knob.share(v) * (right - left) for v in (knob.start, value))
        mark = np.array([(-0.75, -5), (0.75, -5), (0.75, 5), (-0.75, 5)]) * unit + (start, y)
        return [
            *rounded(left, right, y, 1.75 * unit, _TRACK),
            (mark, _TICK),
            *rounded(min(start, at), max(start, at), y, 1.75 * unit, _DONE),
            (disc(at, y, (8 if held else 6.5) * unit), _DONE),
            (disc(at, y, 3.5 * unit), (255, 255, 255)),
        ]


def _group(knob: Knob) -> object:
    """What is listed together: gravity, each material, walls, each collider."""
    if knob.kind in ("friction", "place"):
        return ("collider", knob.index)
    return knob.kind
