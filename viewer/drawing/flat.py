# SPDX-License-Identifier: Apache-2.0
"""Flat drawing in the pixels of a viewport: text, bars and discs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

INK = (0.15, 0.19, 0.23)
"""Colour of text."""
PALE = (0.42, 0.47, 0.52)
"""Colour of text that matters less."""

Polygon = tuple[np.ndarray, tuple[int, int, int]]
"""Corners (k, 2) in pixels, and a colour."""


def text(
    renderer: Any, pixels: int, size: int, colour: Sequence[float], *, centred: bool = False
) -> Any:
    """A line of text, still empty, `size` times `pixels` high."""
    from vtkmodules.vtkRenderingCore import vtkTextActor

    actor = vtkTextActor()
    style = actor.GetTextProperty()
    style.SetFontSize(size * pixels)
    style.SetColor(*colour)
    style.SetFontFamilyToArial()
    if centred:
        style.SetJustificationToCentered()
    renderer.AddViewProp(actor)
    return actor


def write(actor: Any, words: str, x: float, y: float) -> None:
    """Put words into a text with their lower left corner (or lower middle) at x, y."""
    actor.SetInput(words)
    actor.SetPosition(x, y)


def write_beside(first: Any, second: Any, words: str, renderer: Any, gap: float) -> None:
    """Put words into a text right of a centred one, so that both together are centred there.

    Where there is no place for both up to the right end of the viewport they are left out.
    """
    sizes = [[0.0, 0.0], [0.0, 0.0]]
    second.SetInput(words)
    for actor, size in zip((first, second), sizes, strict=True):
        actor.GetSize(renderer, size)
    x, y = first.GetPosition()
    (own, _), (other, _) = sizes
    half = (own + gap + other) / 2
    second.SetVisibility(bool(words) and x + half < renderer.GetSize()[0])
    if not second.GetVisibility():
        return
    left = x - half
    first.SetPosition(left + own / 2, y)
    second.SetPosition(left + own + gap, y)


class Drawing(NamedTuple):
    """Polygons in a viewport."""

    actor: Any
    mapper: Any


def drawing(renderer: Any) -> Drawing:
    """An empty drawing."""
    from vtkmodules.vtkCommonDataModel import vtkPolyData
    from vtkmodules.vtkRenderingCore import vtkActor2D, vtkPolyDataMapper2D

    mapper = vtkPolyDataMapper2D()
    mapper.SetInputData(vtkPolyData())
    mapper.SetScalarModeToUseCellData()
    actor = vtkActor2D()
    actor.SetMapper(mapper)
    renderer.AddViewProp(actor)
    return Drawing(actor, mapper)


def draw(flat: Drawing, shapes: Sequence[Polygon]) -> None:
    """Fill a drawing with polygons, the later over the earlier."""
    import pyvista

    counts = [len(corners) for corners, _ in shapes]
    points = np.zeros((sum(counts), 3))
    points[:, :2] = np.concatenate([corners for corners, _ in shapes])
    starts = np.cumsum([0, *counts])
    faces = np.concatenate(
        [[n, *range(start, start + n)] for n, start in zip(counts, starts[:-1], strict=True)]
    )
    data = pyvista.PolyData(points, faces=faces)
    data.cell_data["colour"] = np.array([colour for _, colour in shapes], np.uint8)
    data.set_active_scalars("colour", preference="cell")
    flat.mapper.SetInputData(data)


def box(x: float, y: float, width: float) -> np.ndarray:
    """A square (4, 2) with its lower left corner at x, y."""
    return np.array([(x, y), (x + width, y), (x + width, y + width), (x, y + width)], float)


def disc(x: float, y: float, radius: float) -> np.ndarray:
    """A disc (32, 2) about x, y."""
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], -1)


def rounded(left: float, right: float, y: float, half: float, colour: tuple) -> list[Polygon]:
    """A bar with round ends."""
    corners = np.array([(left, y - half), (right, y - half), (right, y + half), (left, y + half)])
    return [(shape, colour) for shape in (corners, disc(left, y, half), disc(right, y, half))]
