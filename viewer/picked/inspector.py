# SPDX-License-Identifier: Apache-2.0
"""What is picked: marked where it is, told in words, and charted in the corner of the picture."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..drawing.bodies import Body
from ..drawing.flat import INK, PALE
from ..drawing.sprites import Canvas, Sprite
from ..fields import Scale
from ..view import View
from .chart import Chart, Words, dashes_of
from .history import Histories
from .marks import Marks, colour_of
from .picking import Finder, Pick, name_of, panels_of

_WIDTH, _LEAST, _PAD, _ABOVE = 372, 248, 14, 46
_PART, _LESS, _CHART = 0.56, 0.42, 0.33
_LOW, _HIGH = 128, 184
_NOW_AND_THEN = 0.2
_TALL, _SHORT = 37, 19
_HELP = 520
_LETTERS = 3
"""The fewest of a name that are still shown."""
_PLATE, _EDGE = (255, 255, 255, 240), (196, 204, 213, 255)


class Inspector:
    """Marks, words and chart of what is picked, over the panels of a window.

    Args:
        plotter: with one renderer for each panel.
        view: what is to be seen.
        bodies: what is drawn in each panel.
        pixels: screen pixels for one pixel of text and lines.
    """

    def __init__(self, plotter: Any, view: View, bodies: Sequence[Body], pixels: int) -> None:
        self.picked: tuple[Pick, ...] = ()
        """What is to be marked and told."""
        self.charted = True
        """Whether the chart is to be shown, if anything is picked."""
        self.covered = False
        """Whether the keys are listed at the left, which narrow windows have no room for beside."""
        self._view, self._pixels, self._plotter = view, pixels, plotter
        self._finder = Finder(plotter, view, bodies)
        self._marks = [
            Marks(panel, plotter.renderers[panel], view, body, pixels)
            for panel, body in enumerate(bodies)
        ]
        self._histories = Histories(view)
        self._above = _over_all(plotter.render_window)
        self._card = Sprite(self._above)
        self._words = Words(self._above, pixels)
        self._chart = Chart(self._above, view, pixels)
        self._frame = 0
        self._scale: Scale | None = None
        self._asked: tuple[Pick, ...] = ()
        self._version = view.version
        self._shown, self._done = 0.0, 1.0
        self._place = (0, 0, 0, 0)
        self._painted: Any = None

    def dress(self, skinned: bool) -> None:
        """Take note whether particles are drawn as a skin."""
        self._finder.skinned = skinned

    def end(self) -> None:
        """Take it out of the window."""
        self._plotter.render_window.RemoveRenderer(self._above)

    def find(self, x: int, y: int) -> Pick | None:
        """What is at a pixel of the picture drawn last, from its lower left; None for nothing."""
        return self._finder.find(x, y, self._frame)

    def covers(self, x: float, y: float) -> bool:
        """Whether a pixel is on the card of words and chart."""
        left, low, wide, high = self._place
        return left <= x < left + wide and low <= y < low + high

    def frame_at(self, x: float, y: float) -> int | None:
        """The frame that a place in the chart stands for, None away from it."""
        return self._chart.frame_at(x, y) if self.covers(x, y) else None

    def frame_near(self, x: float) -> int:
        """The frame of the chart nearest to a horizontal place."""
        return self._chart.frame_near(x)

    def table(self) -> str:
        """What is charted as CSV.

        Raises:
            ValueError: Nothing is picked.
        """
        return self._histories.table()

    def lay_out(self) -> None:
        """Fit to another size of the window."""
        self._painted = None

    def show(self, frame: int, scale: Scale) -> None:
        """Show what is picked at a place of the timeline, by a scale."""
        self._frame = frame
        if self._version != self._view.version:  # what was read is of other frames
            self._version, self._asked, self._painted = self._view.version, (), None
            self._histories = Histories(self._view)
        if scale is not self._scale or self.picked != self._asked:
            self._scale, self._asked = scale, self.picked
            self._histories.ask(scale.field.name, self.picked)
            self._done = self._histories.done
        for panel, marks in enumerate(self._marks):
            marks.show(self.picked, int(self._view.frames[panel][frame]), scale.field.on_cells)
        if self.picked or self._place[2]:
            self._show()

    def read(self, seconds: float) -> bool:
        """Read on for about some seconds, and show it now and then; whether it is shown."""
        if not (self.picked and self.charted and self._histories.read(seconds)):
            return False
        now, done = time.perf_counter(), self._histories.done
        if done < 1 and now - self._shown < _NOW_AND_THEN:
            return False
        self._shown, self._done = now, done
        self._show()
        return True

    def finish(self) -> None:
        """Read all there is to chart."""
        if self._histories.done < 1:
            self._histories.finish()
            self._done = 1.0
            self._show()

    def _rows(self, room: float) -> tuple[list[tuple[Pick, int]], bool]:
        """What is told, a pick in a panel each, and whether there is room for two lines each."""
        every = [(pick, panel) for pick in self.picked for panel in panels_of(self._view, pick)]
        own = [(pick, pick.panel) for pick in self.picked]
        for height in (_TALL, _SHORT):
            if len(every) * height * self._pixels <= room:
                return every, height == _TALL
        return own, False

    def _show(self) -> None:
        """Draw the card."""
        narrow = self._left() < _HELP * self._pixels
        if not self.picked or self._scale is None or (self.covered and narrow):
            self._card.hide()
            self._chart.hide()
            self._words.start()
            self._words.end()
            self._place, self._painted = (0, 0, 0, 0), None
            return
        u, (_, high) = self._pixels, self._size
        upper = max(renderer.viewport[1] for renderer in self._renderers)
        self._chart.height = round(min(max(_CHART * (1 - upper) * high / u, _LOW), _HIGH))
        chart = self._chart.height * u if self.charted else 0
        part = _PART if len(self._marks) == 1 else _LESS  # what is beside matters more
        rows, tall = self._rows(part * (1 - upper) * high - chart)
        pitch = (_TALL if tall else _SHORT) * u
        height = len(rows) * pitch + (2 * _PAD - 4) * u + max(chart - 14 * u, 0)
        left, wide = self._left(), self._width
        self._place = (left, high - _ABOVE * u - height, wide, height)
        self._paint(rows, pitch, tall)
        self._tell(rows, pitch, tall)
        self._chart.point(self._frame)

    @property
    def _size(self) -> tuple[int, int]:
        return tuple(self._plotter.render_window.GetSize())

    @property
    def _renderers(self) -> list[Any]:
        return [self._plotter.renderers[panel] for panel in range(len(self._marks))]

    def _corner(self) -> tuple[float, float]:
        """Left and right end of the panel in the upper right corner [screen pixels]."""
        sides = [renderer.viewport for renderer in self._renderers]
        upper = [side for side in sides if side[3] > 1 - 1e-6]
        left, _, right, _ = max(upper, key=lambda side: side[2])
        return left * self._size[0], right * self._size[0]

    @property
    def _width(self) -> int:
        left, right = self._corner()
        u, panel = self._pixels, right - left
        wide = min(_WIDTH * u, max(_LESS * panel, _LEAST * u), panel - 32 * u)
        return int(min(max(wide, _LEAST * u), self._size[0]))

    def _left(self) -> int:
        return max(int(self._corner()[1]) - 16 * self._pixels - self._width, 0)

    def _paint(self, rows: Sequence[tuple[Pick, int]], pitch: int, tall: bool) -> None:
        """Draw the plate, the keys of the lines, and the chart, where these are others."""
        scale: Any = self._scale
        state = (
            self._place, rows, tall, self.charted, scale.field.name, scale.limits,
            self._done,
        )  # fmt: skip
        if state == self._painted:
            return
        self._painted = state
        left, low, wide, high = self._place
        u = self._pixels
        canvas = Canvas(wide, high)
        canvas.plate(8 * u, _PLATE, _EDGE, u)
        for row, (pick, panel) in enumerate(rows):
            y = (_PAD + 6) * u + row * pitch
            key = np.array([(_PAD * u, y), ((_PAD + 20) * u, y)], float)
            canvas.dashed(key, (*colour_of(pick.colour), 255), 2.4 * u, dashes_of(panel, u))
        if self.charted:
            lines, done = self._histories.lines, self._done
            runs = {line.panel: self._view.sources[line.panel].title for line in lines}
            told = len(rows) < len(lines)
            self._chart.draw(canvas, (left, low), (wide, high), lines, scale, done)
            if told and done == 1:
                self._chart.name(canvas, (left, low), (wide, high), runs)
        else:
            self._chart.hide()
        self._card.paint(canvas.picture())
        self._card.place(left, low)

    def _tell(self, rows: Sequence[tuple[Pick, int]], pitch: int, tall: bool) -> None:
        """Write what is picked, where it is, and the value of the field."""
        left, low, wide, high = self._place
        u, words, scale = self._pixels, self._words, self._scale
        assert scale is not None
        words.start()
        several = len(self._view.sources) > 1
        every = len(rows) >= len(self._histories.lines)
        for row, (pick, panel) in enumerate(rows):
            source, y = self._view.sources[panel], low + high - (_PAD + 11) * u - row * pitch
            others = [panel] if every else panels_of(self._view, pick)
            values = [self._value(pick, other) for other in others]
            unit = f" {scale.unit}"
            told = " / ".join([*(v.removesuffix(unit) for v in values[:-1]), values[-1]])
            name = name_of(source, pick, self._on_cells)
            body, run = self._body(pick, panel), source.title if several and every else ""
            right = left + wide - _PAD * u
            space = wide - (2 * _PAD + 30 + 12) * u - words.width(told, 13)
            beside = self._words.width(f"{name}, {body}", 13) <= space or not tall
            parts = [name, body if beside else "", "" if tall else run]
            words.put(told, right, y, 13, INK, "r")
            words.put(self._fitted(parts, space, 13), left + (_PAD + 30) * u, y, 13, INK)
            if tall:
                space = wide - (2 * _PAD + 30) * u
                below = [self._where(pick, panel), "" if beside else body, run]
                where = self._fitted(below, space, 11)
                words.put(where, left + (_PAD + 30) * u, y - 16 * u, 11, PALE)
        words.end()

    def _fitted(self, parts: Sequence[str], space: float, size: int) -> str:
        """The parts, the longest of the names after the first cut where there is no space for all.

        Args:
            parts: What is told, then names; empty ones are left out.
            space: For all of it [screen pixels].
            size: Of the letters.
        """
        parts = [part for part in parts if part]
        while self._words.width(", ".join(parts), size) > space:
            longest = max(range(1, len(parts)), key=lambda k: len(parts[k]), default=0)
            if not longest:
                break
            kept = parts[longest].removesuffix("...")[:-1].rstrip()
            if len(kept) < _LETTERS:
                del parts[longest]
            else:
                parts[longest] = f"{kept}..."
        return ", ".join(parts)

    @property
    def _on_cells(self) -> bool:
        return self._scale is not None and self._scale.field.on_cells

    def _value(self, pick: Pick, panel: int) -> str:
        """The value of the field at the frame shown, in words with its unit."""
        scale: Any = self._scale
        value = self._histories.value(pick, panel, int(self._view.frames[panel][self._frame]))
        if value is None:
            return "loading"
        if not math.isfinite(value):
            return "no value"
        if scale.field.labels:
            return scale.field.labels[int(value)]
        unit = "" if scale.unit in ("", "-") else f" {scale.unit}"
        return f"{value * scale.factor + 0.0:.4g}{unit}"

    def _where(self, pick: Pick, panel: int) -> str:
        """Where it is, in words with a unit."""
        place = self._marks[panel].where(pick)
        if not np.isfinite(place).all():
            return "not seen"
        low, high = self._view.motion
        size = float(np.linalg.norm(high - low)) or 1.0
        digits = min(max(math.ceil(3 - math.log10(size)), 0), 7)
        return "at (" + ", ".join(f"{c + 0.0:.{digits}f}" for c in place) + ") m"

    def _body(self, pick: Pick, panel: int) -> str:
        """The name of the body it belongs to."""
        source = self._view.sources[panel]
        number, field = int(source.body[pick.point]), self._view.fields.get("body")
        if field is not None and field.labels:
            return field.labels[number]
        named = source.described("bodies", "a JSON list of names") or []
        known = isinstance(named, list) and 0 <= number < len(named)
        return str(named[number]) if known else f"body {number}"


def _over_all(window: Any) -> Any:
    """A viewport over the whole window, whatever is drawn below."""
    from vtkmodules.vtkRenderingCore import vtkRenderer

    renderer = vtkRenderer()
    renderer.SetLayer(1)
    renderer.InteractiveOff()
    renderer.PreserveDepthBufferOn()  # that of the panels, by which one picks
    window.SetNumberOfLayers(max(window.GetNumberOfLayers(), 2))
    window.AddRenderer(renderer)
    return renderer
