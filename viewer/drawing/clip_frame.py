# SPDX-License-Identifier: Apache-2.0
"""Where a clip plane is: its outline in the scene, and its place as a number."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..looks import Clip, beside
from ..view import View
from .flat import text

_COLOUR = (0.80, 0.16, 0.42)
_OPACITY = 0.85
_WIDTH = 1.6
_EDGE = 24
_BEYOND = 0.04
"""How far it goes beyond what is framed, by the size of that."""


class ClipFrame:
    """A rectangle across what the cameras frame, in one panel.

    Args:
        renderer: of the panel.
        pixels: screen pixels for one pixel of lines.
    """

    def __init__(self, renderer: Any, pixels: int) -> None:
        import pyvista
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

        self._data = pyvista.lines_from_points(np.zeros((5, 3)))
        mapper, self.actor = vtkPolyDataMapper(), vtkActor()
        mapper.SetInputData(self._data)
        self.actor.SetMapper(mapper)
        style = self.actor.GetProperty()
        style.SetColor(*_COLOUR)
        style.SetOpacity(_OPACITY)
        style.SetLineWidth(_WIDTH * pixels)
        style.LightingOff()
        self.actor.PickableOff()
        self.actor.VisibilityOff()
        renderer.AddActor(self.actor)
        self._renderer, self._pixels = renderer, pixels
        self._words = text(renderer, pixels, 12, _COLOUR)
        self._words.GetTextProperty().SetJustificationToRight()

    def show(self, clip: Clip | None, view: View) -> None:
        """Draw it across what the cameras of a view frame, or nothing without a clip."""
        self.actor.SetVisibility(clip is not None)
        self._words.SetVisibility(clip is not None)
        if clip is None:
            return
        self._place(clip, view.extent)
        self._tell(clip, beside(clip, view))

    def _tell(self, clip: Clip, more: str) -> None:
        """Say where it is at the lower right, and what is odd about that if there is room."""
        width, size = self._renderer.GetSize()[0] - 2 * _EDGE * self._pixels, [0.0, 0.0]
        what = more.partition(":")[0]
        for words in (f"{clip.told}, {more}" if more else clip.told, what, clip.told):
            self._words.SetInput(words)
            self._words.GetSize(self._renderer, size)
            if words and size[0] <= width:
                break
        self._words.SetPosition(width + _EDGE * self._pixels, 12 * self._pixels)

    def _place(self, clip: Clip, extent: np.ndarray) -> None:
        """Put its corners beyond a box (2, 3) [m]."""
        size = float(np.linalg.norm(extent[1] - extent[0]))
        ends = extent + _BEYOND * size * np.array([[-1.0], [1.0]])
        corners = np.full((5, 3), clip.place)
        one, other = (axis for axis in range(3) if axis != clip.axis)
        corners[:, one] = ends[[0, 1, 1, 0, 0], one]
        corners[:, other] = ends[[0, 0, 1, 1, 0], other]
        self._data.points = corners.astype(np.float32)
        self._data.Modified()
