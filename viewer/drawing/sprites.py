# SPDX-License-Identifier: Apache-2.0
"""Small pictures with smooth edges over a viewport: what polygons of a few pixels cannot be."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .images import fill

_FINER = 3
_MANY = 40
WHITE = (255, 255, 255)


class Sprite:
    """A picture in a viewport, empty at first.

    Args:
        renderer: of the viewport.
    """

    def __init__(self, renderer: Any) -> None:
        from vtkmodules.vtkCommonDataModel import vtkImageData
        from vtkmodules.vtkRenderingCore import (
            vtkPolyDataMapper2D,
            vtkTexture,
            vtkTexturedActor2D,
        )

        self._image = vtkImageData()
        self._mapper = vtkPolyDataMapper2D()
        self._texture = vtkTexture()
        self._texture.SetInputData(self._image)
        self._texture.SetColorModeToDirectScalars()
        self._texture.InterpolateOff()
        self._texture.MipmapOff()
        self.actor: Any = vtkTexturedActor2D()
        self.actor.SetMapper(self._mapper)
        self.actor.SetTexture(self._texture)
        self.actor.VisibilityOff()
        self._painted: np.ndarray | None = None
        renderer.AddViewProp(self.actor)

    def paint(self, picture: np.ndarray) -> None:
        """Show a picture (height, width, 4), uint8, its top row first."""
        import pyvista
        from vtkmodules.util.numpy_support import numpy_to_vtk

        if picture is self._painted:
            return
        self._painted = picture
        high, wide, _ = picture.shape
        fill(self._image, picture)
        corners = np.array([(0, 0, 0), (wide, 0, 0), (wide, high, 0), (0, high, 0)], float)
        quad = pyvista.PolyData(corners, faces=[4, 0, 1, 2, 3])
        places = numpy_to_vtk(np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32), deep=True)
        quad.GetPointData().SetTCoords(places)
        self._mapper.SetInputData(quad)

    def place(self, x: float, y: float) -> None:
        """Put the lower left corner to a pixel, and let it be seen."""
        self.actor.SetPosition(round(x), round(y))
        self.actor.VisibilityOn()

    def hide(self) -> None:
        """Show nothing."""
        self.actor.VisibilityOff()


class Canvas:
    """A picture to draw on, in pixels from its upper left corner, with smooth edges.

    Args:
        width: [pixels].
        height: [pixels].
    """

    def __init__(self, width: int, height: int) -> None:
        from PIL import Image, ImageDraw

        # transparent white, so that edges do not darken
        self._image = Image.new("RGBA", (_FINER * width, _FINER * height), (*WHITE, 0))
        self._draw = ImageDraw.Draw(self._image)

    def plate(
        self, radius: float, fill: Sequence[int], edge: Sequence[int], width: float = 1.0
    ) -> None:
        """Fill all of it but for round corners."""
        right, low = (side - 1 for side in self._image.size)
        self._draw.rounded_rectangle(
            (0, 0, right, low), _FINER * radius, tuple(fill), tuple(edge), round(_FINER * width)
        )

    def line(self, points: np.ndarray, colour: Sequence[int], width: float) -> None:
        """Draw straight parts between points (k, 2)."""
        if len(points) == 1:
            self.dot(points[0], width, colour)
            return
        at = [tuple(point) for point in (_FINER * np.asarray(points, float)).tolist()]
        joint = "curve" if len(at) < _MANY else None  # of many points the corners are not seen
        self._draw.line(at, tuple(colour), max(round(_FINER * width), 1), joint=joint)

    def dashed(
        self, points: np.ndarray, colour: Sequence[int], width: float, dashes: Sequence[float]
    ) -> None:
        """Draw points (k, 2) joined by a line with dashes and gaps of these lengths."""
        if not dashes or len(points) < 2:
            self.line(points, colour, width)
            return
        along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        start = 0.0
        while start < along[-1]:
            end = min(start + dashes[0], float(along[-1]))
            at = np.concatenate([[start], along[(along > start) & (along < end)], [end]])
            part = np.stack([np.interp(at, along, points[:, k]) for k in range(2)], -1)
            self.line(part, colour, width)
            start = end + dashes[1]

    def dot(self, centre: Sequence[float], radius: float, colour: Sequence[int]) -> None:
        """Draw a disc."""
        x, y = (_FINER * float(place) for place in centre)
        r = _FINER * radius
        self._draw.ellipse((x - r, y - r, x + r, y + r), tuple(colour))

    def ring(
        self, centre: Sequence[float], radius: float, width: float, colour: Sequence[int]
    ) -> None:
        """Draw a circle."""
        x, y = (_FINER * float(place) for place in centre)
        r = _FINER * (radius + width / 2)
        self._draw.ellipse(
            (x - r, y - r, x + r, y + r), None, tuple(colour), max(round(_FINER * width), 1)
        )

    def picture(self) -> np.ndarray:
        """What was drawn, (height, width, 4), uint8."""
        return np.asarray(self._image.reduce(_FINER))


@functools.lru_cache(256)
def ring(colour: tuple[int, int, int], radius: int, pixels: int, pale: bool = False) -> np.ndarray:
    """A ring with a light rim on both sides, seen on any ground (side, side, 4), uint8.

    Args:
        colour: of it.
        radius: [screen pixels].
        pixels: screen pixels for one pixel of lines.
        pale: for what lies behind what is seen.
    """
    side = 2 * (radius + 3 * pixels) + 1
    canvas, centre = Canvas(side, side), (side / 2, side / 2)
    canvas.ring(centre, radius, 5 * pixels, (*WHITE, 80 if pale else 225))
    canvas.ring(centre, radius, 2.4 * pixels, (*colour, 130 if pale else 255))
    return canvas.picture()
