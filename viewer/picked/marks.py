# SPDX-License-Identifier: Apache-2.0
"""Marks on what is picked: a ring that can be seen from afar, and the outline of an element."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..drawing.bodies import Body, Particles, Surface
from ..drawing.camera import clip_matrix
from ..drawing.sprites import Sprite, ring
from ..palettes import categories
from ..source import numpy_of
from ..view import View
from .picking import MOST, Pick, panels_of

_LEAST, _MARGIN, _LARGEST = 8, 4, 80


@functools.cache
def colour_of(place: int) -> tuple[int, int, int]:
    """The colour of what was picked, by its place among the six."""
    return tuple(int(c) for c in categories(MOST)[(3, 0, 5, 1, 2, 4)[place]])  # type: ignore[return-value]


class Marks:
    """The marks in one panel; they follow what is picked, and the camera.

    Args:
        panel: its number.
        renderer: of that panel.
        view: what is seen.
        body: what is drawn there.
        pixels: screen pixels for one pixel of lines.
    """

    def __init__(self, panel: int, renderer: Any, view: View, body: Body, pixels: int) -> None:
        self._panel, self._renderer, self._view = panel, renderer, view
        self._body, self._pixels = body, pixels
        self._sprites = [Sprite(renderer) for _ in range(MOST)]
        self._outlines: list[Any] = []
        self._at: list[tuple[Pick, np.ndarray, np.ndarray]] = []
        self._centres: dict[Pick, np.ndarray] = {}
        renderer.AddObserver("StartEvent", self._follow)

    def show(self, picks: Sequence[Pick], frame: int, on_cells: bool) -> None:
        """Mark what is picked at a frame of this panel's run.

        Args:
            picks: all of them; those that are not here are left out.
            frame: of the run.
            on_cells: whether elements are marked, not nodes.
        """
        here = [pick for pick in picks if self._panel in panels_of(self._view, pick)]
        if not here and not self._at:
            return
        x = self._view.sources[self._panel].positions(frame) if here else np.zeros((0, 3))
        self._at, self._centres = [], {}
        for outline in self._outlines:
            outline.VisibilityOff()
        for pick in here:
            if on_cells and pick.cell >= 0:
                cells: Any = self._view.sources[self._panel].cells
                self._centres[pick] = centre = x[numpy_of(cells.nodes)[pick.cell]].mean(0)
                self._at.append((pick, *self._sides(pick.cell, x, centre)))
                self._outline(pick, x)
            else:
                self._centres[pick] = x[pick.point]
                self._at.append((pick, x[pick.point][None].astype(float), np.zeros((1, 3))))

    def where(self, pick: Pick) -> np.ndarray:
        """Where something picked is at the frame shown [m], shape (3,)."""
        return self._centres[pick]

    def _facets(self, cell: int) -> list[np.ndarray]:
        """Places in the skin of the corners of each facet of an element that is drawn."""
        found: list[np.ndarray] = []
        if isinstance(self._body, Surface):
            skin, first = self._body.skin, 0
            for facets in skin.facets:
                found += list(facets[skin.owners[first : first + len(facets)] == cell])
                first += len(facets)
        return found

    def _sides(self, cell: int, x: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Middles [m] of the facets of an element that are drawn, or else its own, and normals.

        Both (k, 3). A normal is 0 where it does not matter from which side one looks,
        and NaN where no side can be seen.
        """
        body, facets = self._body, self._facets(cell)
        if not facets or not isinstance(body, Surface):
            return centre[None].astype(float), np.full((1, 3), np.nan)
        corners = [x[body.skin.points[facet]].astype(float) for facet in facets]
        normals = np.array([np.cross(c[1] - c[0], c[2] - c[0]) for c in corners])
        cells: Any = self._view.sources[self._panel].cells
        flat = cells.kind.startswith(("tri", "quad"))
        return np.array([c.mean(0) for c in corners]), 0 * normals if flat else normals

    def _outline(self, pick: Pick, x: np.ndarray) -> None:
        """Draw the edges of an element's facets that can be seen."""
        import pyvista
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

        skin = self._body.skin if isinstance(self._body, Surface) else None
        lines = [np.stack([f, np.roll(f, -1)], -1) for f in self._facets(pick.cell)]
        if skin is None or not lines:
            return
        while len(self._outlines) <= pick.colour:
            actor = vtkActor()
            actor.SetMapper(vtkPolyDataMapper())
            actor.GetProperty().LightingOff()
            actor.GetProperty().SetLineWidth(3 * self._pixels)
            actor.PickableOff()
            actor.VisibilityOff()
            self._renderer.AddActor(actor)
            self._outlines.append(actor)
        ends = np.concatenate(lines)
        used, places = np.unique(ends, return_inverse=True)
        data = pyvista.PolyData(
            x[skin.points[used]].astype(np.float32),
            lines=np.insert(places.reshape(-1, 2), 0, 2, axis=1).ravel(),
        )
        actor = self._outlines[pick.colour]
        actor.GetMapper().SetInputData(data)
        actor.GetProperty().SetColor(*(c / 255 for c in colour_of(pick.colour)))
        actor.VisibilityOn()

    def _follow(self, *_: Any) -> None:
        """Put the rings to where the camera sees what is picked."""
        for sprite in self._sprites[len(self._at) :]:
            sprite.hide()
        if not self._at:
            return
        matrix, size = clip_matrix(self._renderer), np.array(self._renderer.GetSize())
        eye = np.array(self._renderer.GetActiveCamera().GetPosition())
        metre = float(np.linalg.norm(matrix[1, :3])) * size[1] / 2
        for (pick, places, normals), sprite in zip(self._at, self._sprites, strict=False):
            facing = ((eye - places) * normals).sum(-1) >= 0
            far = np.linalg.norm(places - eye, axis=-1)
            place = places[int(np.where(facing | ~facing.any(), far, np.inf).argmin())]
            clip = matrix @ [*place, 1.0]
            if not np.isfinite(clip).all() or clip[3] <= 0 or (abs(clip[:2]) > clip[3]).any():
                sprite.hide()
                continue
            at = (clip[:2] / clip[3] + 1) / 2 * size
            radius = self._radius(metre / clip[3])
            sprite.paint(ring(colour_of(pick.colour), radius, self._pixels, not facing.any()))
            half = radius + 3 * self._pixels + 0.5
            sprite.place(at[0] - half, at[1] - half)

    def _radius(self, slope: float) -> int:
        """Of a ring [screen pixels], where a metre has `slope` of them across."""
        radius = self._view.radii[self._panel]
        if isinstance(self._body, Particles):
            radius = self._body.radius
        shown = radius * slope + _MARGIN * self._pixels
        return math.ceil(min(max(shown, _LEAST * self._pixels), _LARGEST * self._pixels))
