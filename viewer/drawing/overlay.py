# SPDX-License-Identifier: Apache-2.0
"""Runs laid over the first in its panel, each as a ghost of one colour."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..fields import Scale
from ..looks import Looks
from ..view import View
from .figure import Figure, ghost
from .flat import text

COLOURS = ((213, 94, 0), (204, 121, 167), (90, 90, 90), (140, 86, 40))
"""Of the second run, the third and so on [of 255]: none is in the palette of sequential fields."""
_GAP = 22


class Overlay:
    """All runs but the first, in the first panel; made when they are first asked for.

    Args:
        renderer: of the first panel.
        view: what is seen.
        pixels: screen pixels for one pixel of text.
    """

    def __init__(self, renderer: Any, view: View, pixels: int) -> None:
        self._renderer, self._view, self._pixels = renderer, view, pixels
        self._figures: list[Figure] = []
        self._names: list[Any] = []

    def show(self, place: int, scale: Scale, looks: Looks) -> None:
        """Draw all at a place of the timeline, or none where runs are side by side."""
        if not looks.overlay:
            for figure in self._figures:
                figure.hide()
            for name in self._names:
                name.SetVisibility(False)
            return
        if not self._figures:
            self._make()
        for panel, figure in enumerate(self._figures, 1):
            figure.show(int(self._view.frames[panel][place]), scale, looks)

    def head(self, first: Any, width: float, place: int) -> None:
        """Write the names after the title of the first panel, a text; as many as fit a width."""
        size = [0.0, 0.0]
        first.GetSize(self._renderer, size)
        x, y = first.GetPosition()
        right = x + width
        x += size[0] + (_GAP * self._pixels if size[0] else 0)
        for panel, name in enumerate(self._names, 1):
            words = (self._view.sources[panel].title, self._view.ended(panel, place))
            name.SetInput(", ".join(filter(None, words)))
            name.GetSize(self._renderer, size)
            name.SetVisibility(x + size[0] <= right)
            name.SetPosition(x, y)
            x += size[0] + _GAP * self._pixels

    def _make(self) -> None:
        view = self._view
        for panel in range(1, len(view.sources)):
            colour = COLOURS[(panel - 1) % len(COLOURS)]
            source, radius = view.sources[panel], view.radii[panel]
            self._figures.append(ghost(source, radius, self._renderer, self._pixels, colour))
            ink = np.array(colour) / 255
            self._names.append(text(self._renderer, self._pixels, 17, tuple(ink)))
