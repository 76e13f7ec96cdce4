# SPDX-License-Identifier: Apache-2.0
"""The strip below a live run: its button, its time and the legend of the colours."""

from __future__ import annotations

from typing import Any

import numpy as np

from .fields import Scale
from .flat import Polygon, box, disc, draw, write
from .strip import Strip

_BUTTON, _SIGN = (234, 239, 244), (44, 111, 179)


class LiveStrip(Strip):
    """Without a timeline, as what comes is not known and what was is not kept."""

    time = 0.0
    """Of the run [s]."""
    status = ""
    """What goes on."""

    @property
    def height(self) -> int:
        """In screen pixels."""
        return self._size[1]

    def frame_at(self, x: int, y: int) -> None:
        """None: there is no timeline."""

    def show(self, frame: int, scale: Scale) -> None:
        """Show the time, what goes on, and the legend of a scale."""
        unit, height = self._pixels, self._size[1]
        left = 66 * unit
        write(self._time, f"{self.time:.3f} s", left, 0.53 * height)
        write(self._count, self.status, left, 0.24 * height)
        draw(self._timeline, self._sign())
        if self._shown is None or scale is not self._shown[0]:
            self.span = ""  # it follows the present
            self._shown = (scale, self.span)
            self._show_legend(scale)

    def _sign(self) -> list[Polygon]:
        """The button: two posts while the run goes on, a triangle while it is paused."""
        unit, middle = self._pixels, 0.5 * self._size[1]
        x, size = 34 * unit, 9 * unit
        shapes: list[Any] = [(disc(x, middle, 19 * unit), _BUTTON)]
        if not self.playing:
            corners = np.array([(-0.6, -0.9), (1.0, 0.0), (-0.6, 0.9)])
            return [*shapes, (size * corners + np.array([x, middle]), _SIGN)]
        for side in (-1, 1):
            post = box(x + side * 0.5 * size - 2.2 * unit, middle - 0.8 * size, 4.4 * unit)
            post[2:, 1] = middle + 0.8 * size
            shapes.append((post, _SIGN))
        return shapes
