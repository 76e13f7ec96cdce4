# SPDX-License-Identifier: Apache-2.0
"""Which particle, node or element lies under a pixel, and those that are picked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..drawing.bodies import Body, Particles, Surface
from ..drawing.camera import clip_matrix
from ..source import Source, numpy_of
from ..view import View

MOST = 6
"""The most that are picked at once."""
_REACH = 4
_SKIN, _OFF = 1.1, 3.0
_PIXELS = 2.0
_DEPTH = 2e-3


@dataclass(frozen=True)
class Pick:
    """A particle, or a node of a mesh and an element that it belongs to."""

    panel: int
    """Where it was picked."""
    point: int
    """Number of the particle or node."""
    cell: int = -1
    """Number of the element, -1 where there is none."""
    colour: int = 0
    """Place of its colour, 0 to 5, that of no other."""

    def number(self, on_cells: bool) -> int:
        """That of the element where a field of elements is shown, or else of the point."""
        return self.cell if on_cells else self.point


def repicked(before: Sequence[Pick], found: Pick | None, add: bool) -> tuple[Pick, ...]:
    """What is picked after a click.

    Args:
        before: what was picked.
        found: what was clicked on, None for nothing.
        add: whether the others stay; one of them is dropped if it is clicked on again, and the
            oldest if there are too many.
    """
    if found is None:
        return tuple(before) if add else ()
    kept = list(before) if add else []
    same = [one for one in kept if (one.point, one.cell) == (found.point, found.cell)]
    if same:
        return tuple(one for one in kept if one not in same)
    kept = kept[max(len(kept) - MOST + 1, 0) :]
    free = min(set(range(MOST)) - {one.colour for one in kept})
    return (*kept, replace(found, colour=free))


def picks_of(view: View, numbers: Sequence[int]) -> tuple[Pick, ...]:
    """Particles, or nodes or elements of the first panel, by their numbers.

    Args:
        view: what is to be seen; numbers are those of elements where its field is one of these.
        numbers: from 0.

    Raises:
        ValueError: There are too many, or one twice, or none of that number.
    """
    source, on_cells = view.sources[0], view.fields[view.field].on_cells
    nodes = None if source.cells is None else numpy_of(source.cells.nodes)
    count = len(nodes) if on_cells and nodes is not None else source.particles
    what = noun(source, on_cells)
    wrong = [number for number in numbers if not 0 <= number < count]
    if wrong:
        raise ValueError(
            f"what to pick: got {what} {wrong[0]}, expected numbers from 0 to {count - 1}"
        )
    if len(numbers) > MOST or len(set(numbers)) < len(numbers):
        raise ValueError(
            f"what to pick: got {len(numbers)} numbers ({', '.join(map(str, numbers))}), expected"
            f" up to {MOST}, each once"
        )
    picks = []
    for colour, number in enumerate(numbers):
        point, cell = number, -1
        if nodes is not None and on_cells:
            point, cell = int(nodes[number, 0]), number
        elif nodes is not None:
            held = np.nonzero((nodes == number).any(1))[0]
            cell = int(held[0]) if len(held) else -1
        picks.append(Pick(0, point, cell, colour))
    return tuple(picks)


def noun(source: Source, on_cells: bool) -> str:
    """What a source is made of."""
    if source.cells is not None:
        return "element" if on_cells else "node"
    return "marker" if "markers" in source.metadata else "particle"


def name_of(source: Source, pick: Pick, on_cells: bool) -> str:
    """What was picked and its number, such as ``particle 12``; of a marker its name."""
    number = pick.number(on_cells)
    if source.cells is None and "markers" in source.metadata:
        names = json.loads(source.metadata["markers"])
        if isinstance(names, list) and number < len(names):
            return f"marker {names[number]}"
    return f"{noun(source, on_cells)} {number}"


def panels_of(view: View, pick: Pick) -> list[int]:
    """Panels whose numbers agree with those of the panel where something was picked."""
    own = _counts(view.sources[pick.panel])
    return [panel for panel, source in enumerate(view.sources) if _counts(source) == own]


def _counts(source: Source) -> tuple[int, int]:
    return source.particles, 0 if source.cells is None else len(source.cells.nodes)


class Finder:
    """Finds what a picture shows at a pixel, by the depth that was drawn there.

    Whatever hides something, a collider or a nearer body, hides it here too; whoever draws the
    bodies needs to know nothing of it.

    Args:
        plotter: with one renderer for each panel.
        view: what is seen.
        bodies: what is drawn in each panel.
    """

    def __init__(self, plotter: Any, view: View, bodies: Sequence[Body]) -> None:
        self._plotter, self._view, self._bodies = plotter, view, bodies
        self.skinned = False
        """Whether particles are drawn as a skin, which lies off their centres."""

    def find(self, x: int, y: int, frame: int) -> Pick | None:
        """What is at or next to a pixel of the picture drawn last, from its lower left.

        Args:
            x: pixels from the left.
            y: pixels from below.
            frame: place on the timeline that it shows.
        """
        panel = next((k for k in range(len(self._bodies)) if self._holds(k, x, y)), None)
        if panel is None:
            return None
        beam = self._beam(panel, x, y)
        if not len(beam.spots):
            return None
        body, source = self._bodies[panel], self._view.sources[panel]
        positions = source.positions(int(self._view.frames[panel][frame]))
        if isinstance(body, Surface):
            return _on_surface(panel, body, positions, beam)
        radius, kept = self._view.radii[panel], None
        if isinstance(body, Particles):
            radius = body.radius
            kept = None if isinstance(body.kept, slice) else body.kept
        reach = radius * (_OFF if self.skinned else _SKIN)
        number = _sphere(positions if kept is None else positions[kept], reach, beam)
        if number is None:
            return None
        return Pick(panel, number if kept is None else int(kept[number]))

    def _holds(self, panel: int, x: int, y: int) -> bool:
        left, low, right, high = self._plotter.renderers[panel].viewport
        width, height = self._plotter.render_window.GetSize()
        return left * width <= x < right * width and low * height <= y < high * height

    def _beam(self, panel: int, x: int, y: int) -> _Beam:
        """Lines of sight of a pixel and of those around it, as far as what was drawn there."""
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkFloatArray

        renderer = self._plotter.renderers[panel]
        window = self._plotter.render_window
        corner, size = np.array(renderer.GetOrigin()), np.array(renderer.GetSize())
        low = np.maximum(np.array([x, y]) - _REACH, corner)
        top = np.minimum(np.array([x, y]) + _REACH, corner + size - 1)
        depths = vtkFloatArray()
        window.GetZbufferData(*low.tolist(), *top.tolist(), depths)
        depth = vtk_to_numpy(depths).astype(float)
        across, above = np.meshgrid(np.arange(low[0], top[0] + 1), np.arange(low[1], top[1] + 1))
        off = np.hypot(across - x, above - y).ravel()
        order = np.argsort(off, kind="stable")
        order = order[(depth[order] < 1.0) & (off[order] <= _REACH)]
        back = np.linalg.inv(clip_matrix(renderer))

        def world(px: Any, py: Any, z: Any) -> np.ndarray:
            flat = [
                2 * (p - at + 0.5) / n - 1 for p, at, n in zip((px, py), corner, size, strict=True)
            ]
            clip = np.stack(np.broadcast_arrays(*flat, 2 * np.asarray(z) - 1, 1.0), -1)
            place = clip @ back.T
            return place[..., :3] / place[..., 3:]

        start, end, beside = (world(px, y, z) for px, z in ((x, 0.0), (x, 1.0), (x + 1, 1.0)))
        along = (end - start) / np.linalg.norm(end - start)
        spots = world(across.ravel()[order], above.ravel()[order], depth[order])
        return _Beam(start, along, float(np.linalg.norm(beside - end)), spots)


@dataclass(frozen=True)
class _Beam:
    """Lines of sight of a pixel and those around it."""

    start: np.ndarray
    along: np.ndarray
    pixel: float
    """Distance of pixels where it ends [m]."""
    spots: np.ndarray
    """Where lines of sight end, that of the pixel first if it ends at all (m, 3) [m]."""

    def near(self, x: np.ndarray, reach: float | np.ndarray) -> np.ndarray:
        """Which of x (n, 3) are within a reach [m] and some pixels of the line."""
        x = x - self.start.astype(x.dtype)
        along = self.along.astype(x.dtype)
        ahead = x @ along
        far = np.einsum("ij,ij->i", x, x) - ahead * ahead
        return np.nonzero(far <= (reach + (_REACH + 1) * self.pixel) ** 2)[0]


def _sphere(x: np.ndarray, reach: float, beam: _Beam) -> int | None:
    """The one of x (n, 3) that is nearest to where a line of sight ends, within a reach [m]."""
    near = beam.near(x, reach)
    if not len(near):
        return None
    centres = x[near].astype(float)
    for spot in beam.spots:
        far = np.linalg.norm(centres - spot, axis=-1)
        best = int(far.argmin())
        if far[best] <= max(reach, _PIXELS * beam.pixel):
            return int(near[best])
    return None


def _on_surface(panel: int, body: Surface, x: np.ndarray, beam: _Beam) -> Pick | None:
    """The element on whose surface a line of sight ends, and its node next to that place."""
    skin = body.skin
    x, triangles = x[skin.points], skin.triangles
    a, b, c = (x[triangles[:, k]] for k in range(3))
    middle = (a + b + c) / 3
    reach = np.sqrt(np.max([((corner - middle) ** 2).sum(-1) for corner in (a, b, c)], axis=0))
    near = beam.near(middle, reach)
    if not len(near):
        return None
    a, b, c = (corner[near].astype(float) for corner in (a, b, c))
    normal = np.cross(b - a, c - a)
    for spot in beam.spots:
        eye = beam.start - beam.pixel * beam.along
        along = spot - eye
        with np.errstate(divide="ignore", invalid="ignore"):
            t = ((a - eye) * normal).sum(-1) / (normal @ along)
            hit = eye + t[:, None] * along
            inside = np.stack([
                (np.cross(q - p, hit - p) * normal).sum(-1) for p, q in ((a, b), (b, c), (c, a))
            ])  # fmt: skip
            size = (normal**2).sum(-1)
            met = (inside >= -1e-4 * size).all(0) & (np.abs(t - 1) <= _DEPTH)
        if not met.any():
            continue
        chosen = int(near[np.argmin(np.where(met, np.abs(t - 1), np.inf))])
        facet, owner = _facet(body, chosen)
        corners = x[facet].astype(float)
        node = facet[int(np.linalg.norm(corners - spot, axis=-1).argmin())]
        return Pick(panel, int(skin.points[node]), owner)
    return None


def _facet(body: Surface, triangle: int) -> tuple[np.ndarray, int]:
    """The corners of the facet that a triangle is part of, and the element that has it."""
    first = 0
    for facets in body.skin.facets:
        count = len(facets) * (facets.shape[1] - 2)
        if triangle < count:
            number = triangle % len(facets)
            return facets[number], int(body.skin.owners[first + number])
        triangle -= count
        first += len(facets)
    raise IndexError(triangle)
