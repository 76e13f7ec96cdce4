# SPDX-License-Identifier: Apache-2.0
"""The strip below a live run: its button, its time and the legend of the colours."""

from __future__ import annotations

from ..drawing.flat import draw, write
from ..drawing.strip import Strip
from ..fields import Scale


class LiveStrip(Strip):
    """Without a timeline, as what comes is not known and what was is not kept."""

    time = 0.0
    """Of the run [s]."""
    status = ""
    """What goes on."""

    def show(self, frame: int, scale: Scale) -> None:
        """Show the time, what goes on, and the legend of a scale, whichever the frame."""
        unit, height = self._pixels, self._size[1]
        left = 66 * unit
        write(self._time, f"{self.time:.3f} s", left, 0.53 * height)
        write(self._count, self.status, left, 0.24 * height)
        draw(self._middle, self._button())
        self.span = ""  # it follows the present
        self._explain(scale)
