# SPDX-License-Identifier: Apache-2.0
"""A small cross in the corner of a panel that shows where the axes point."""

from __future__ import annotations

from typing import Any

import numpy as np

from .flat import disc, draw, drawing, text, write

_COLOURS = ((192, 57, 43), (46, 125, 50), (44, 111, 179))
_PALE = 0.45
_ARM = 34
_LETTER = 11
_PLACE = 62
_WIDTH = 2.4
_SIZE = 13


class Cross:
    """Arms along x, y and z as the camera of a panel sees them, with letters at their ends.

    Args:
        renderer: of the panel, whose lower left corner it is in.
        pixels: screen pixels for one pixel of text and lines.
    """

    def __init__(self, renderer: Any, pixels: int) -> None:
        self._renderer, self._pixels = renderer, pixels
        self._drawing = drawing(renderer)
        self._letters = [
            text(renderer, pixels, _SIZE, [part / 255 for part in colour], centred=True)
            for colour in _COLOURS
        ]
        for letter in self._letters:
            letter.GetTextProperty().SetVerticalJustificationToCentered()
            letter.GetTextProperty().BoldOn()
        self._arms: np.ndarray | None = None
        self.show(False)
        renderer.AddObserver("StartEvent", self._turn)

    def show(self, shown: bool) -> None:
        """Show it, or do not."""
        self.shown = shown
        for actor in (self._drawing.actor, *self._letters):
            actor.SetVisibility(shown)

    def _turn(self, *_: Any) -> None:
        """Follow the camera."""
        if not self.shown:
            return
        matrix = self._renderer.GetActiveCamera().GetViewTransformMatrix()
        arms = np.array([[matrix.GetElement(row, axis) for row in range(3)] for axis in range(3)])
        if self._arms is not None and np.allclose(arms, self._arms, atol=1e-6):
            return
        self._arms = arms
        unit, shapes = self._pixels, []
        centre = np.full(2, float(_PLACE * unit))
        for axis in np.argsort(arms[:, 2]):  # the farthest first
            along = arms[axis, :2]
            tip = centre + _ARM * unit * along
            # what points away is paler
            share = 1.0 if arms[axis, 2] > -0.2 else _PALE
            colour = tuple(int(255 + share * (part - 255)) for part in _COLOURS[axis])
            length = float(np.linalg.norm(along))
            if length > 1e-3:
                across = np.array([-along[1], along[0]]) / length * _WIDTH / 2 * unit
                corners = np.array([centre - across, tip - across, tip + across, centre + across])
                shapes.append((corners, colour))
            shapes.append((disc(tip[0], tip[1], 1.6 * _WIDTH / 2 * unit), colour))
            end = tip + _LETTER * unit * (along / length if length > 0.15 else np.array([0.7, 0.7]))
            write(self._letters[axis], "xyz"[axis], *end)
            self._letters[axis].GetTextProperty().SetColor(*(part / 255 for part in colour))
        draw(self._drawing, shapes)
