# SPDX-License-Identifier: Apache-2.0
"""What moves: particles as lit spheres, few or very many, and the surface of a mesh."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..display import without_gpu
from ..fields import Scale
from ..source import Source, numpy_of
from .shading import coloured, light, outline
from .skin import Skin, skin

_SEED = 7
_SHADOW = 20_000
_MANY = 2_000
_CLOSED = 0.62
_MOST_EDGES = 30_000


class Body(ABC):
    """What one source shows."""

    actors: tuple[Any, ...]
    """What VTK draws."""
    radius: float
    """Of the discs that cast its shadow [m]."""
    share: float = 1.0
    """Of what there is, how much is drawn."""
    drawn: np.ndarray | None = None
    """Which of its particles are drawn, shape (n,); None for all."""
    grain: float = 1.0
    """Times their radius particles are drawn with."""
    tint: tuple[int, int, int] | None = None
    """The one colour it has [of 255], None where it is coloured by a field."""

    @abstractmethod
    def show(self, frame: int, scale: Scale) -> np.ndarray:
        """Move and colour it; returns the centres (m, 3) [m] of the discs that cast its shadow."""


class Particles(Body):
    """The particles of one source as lit spheres."""

    def __init__(self, source: Source, radius: float, most: int | None) -> None:
        from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
        from vtkmodules.vtkCommonCore import VTK_UNSIGNED_CHAR, vtkPoints
        from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
        from vtkmodules.vtkRenderingCore import vtkActor
        from vtkmodules.vtkRenderingOpenGL2 import vtkOpenGLSphereMapper

        self.source = source
        self.kept = slice(None)
        self.radius = radius
        count = source.particles
        if most is not None and count > most:
            generator = np.random.default_rng(_SEED)
            self.kept = np.sort(generator.choice(count, most, replace=False))
            self.radius = radius * (count / most) ** (1 / 3)
            self.share = most / count
            count = most
        self._points = vtkPoints()
        self._points.SetData(numpy_to_vtk(np.zeros((count, 3), np.float32), deep=True))
        colours = numpy_to_vtk(
            np.zeros((count, 3), np.uint8), deep=True, array_type=VTK_UNSIGNED_CHAR
        )
        colours.SetName("colour")
        sizes = numpy_to_vtk(np.full(count, self.radius, np.float32), deep=True)
        sizes.SetName("radius")
        self._held = [vtk_to_numpy(a) for a in (self._points.GetData(), colours, sizes)]
        self._arrays = (self._points.GetData(), colours, sizes)
        self._data = vtkPolyData()
        self._data.SetPoints(self._points)
        vertices = vtkCellArray()
        vertices.InsertNextCell(count, range(count))
        self._data.SetVerts(vertices)
        self._data.GetPointData().SetScalars(colours)
        self._data.GetPointData().AddArray(sizes)
        mapper = vtkOpenGLSphereMapper()
        mapper.SetInputData(self._data)
        mapper.SetScaleArray("radius")
        mapper.SetColorModeToDirectScalars()
        actor = vtkActor()
        actor.SetMapper(mapper)
        light(actor)
        self.actors = (actor,)

    def show(self, frame: int, scale: Scale) -> np.ndarray:
        """Move and colour them; returns the positions drawn (m, 3) [m]."""
        x = self.source.positions(frame)[self.kept]
        seen = np.asarray(np.isfinite(x).all(-1))
        if self.drawn is not None:
            seen = seen & self.drawn[self.kept]
        points, colours, sizes = self._held
        points[:] = np.where(seen[:, None], x, x[seen].mean(0) if seen.any() else 0.0)
        colours[:] = scale.colours(self.source, frame)[self.kept]
        sizes[:] = np.where(seen, self.grain * self.radius, 0.0)
        for array in self._arrays:
            array.Modified()
        self._points.Modified()
        self._data.Modified()
        return x[seen]


class Cloud(Body):
    """All particles of one source, of which there are many, drawn without a GPU.

    Args:
        source: of the particles.
        radius: of each [m].
        renderer: of VTK, for which they are drawn.
    """

    def __init__(self, source: Source, radius: float, renderer: Any) -> None:
        from .splatter import Splatter

        self.source, self._radius = source, radius
        self.splatter = Splatter(renderer)
        light(self.splatter.actor)
        self.actors = (self.splatter.actor,)
        count = source.particles
        generator = np.random.default_rng(_SEED)
        self._shadow = np.sort(generator.choice(count, min(_SHADOW, count), replace=False))
        self.radius = radius * (count / len(self._shadow)) ** 0.5  # as much shade in all

    def show(self, frame: int, scale: Scale) -> np.ndarray:
        """Move and colour them; returns the positions of those that cast the shadow (m, 3) [m]."""
        x = self.source.positions(frame)
        if self.drawn is not None:
            x = np.where(self.drawn[:, None], x, x.dtype.type(np.nan))
        self.splatter.place(x, self.grain * self._radius)
        field = scale.field
        if self.tint is not None:
            self.splatter.paint(np.broadcast_to(np.array(self.tint, np.uint8), x.shape))
        else:
            self.splatter.paint_by(field.values(self.source, frame), field.table, scale.limits)
        some = x[self._shadow]
        return some[np.isfinite(some).all(-1)]


def particles(source: Source, radius: float, renderer: Any, most: int | None) -> Body:
    """The particles of a source: where OpenGL has no GPU, many of them are a cloud.

    Args:
        source: of the particles.
        radius: of each [m].
        renderer: of VTK, for which they are drawn.
        most: the most drawn as spheres of VTK, which leave the others out; None for all.
    """
    many = _MANY if most is None else min(most, _MANY)
    if source.particles > many and without_gpu():
        return Cloud(source, radius, renderer)
    return Particles(source, radius, most)


class Surface(Body):
    """The deformed surface of a mesh, its higher-order sides in flat parts, with their edges.

    Args:
        source: of the mesh.
        cells: kind and nodes of its cells.
        pixels: screen pixels for one pixel of lines.
    """

    def __init__(self, source: Source, cells: Any, pixels: int) -> None:
        import pyvista
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

        self.source = source
        self._skin = skin(cells.kind, numpy_of(cells.nodes))
        x = self._where(source.positions(0))
        seen = np.isfinite(x).all(-1)
        x[~seen] = x[seen].mean(0)
        rows = [np.insert(part, 0, part.shape[1], axis=1).ravel() for part in self._skin.facets]
        self._data = pyvista.PolyData(x, faces=np.concatenate(rows))
        self._data.point_data["value"] = np.zeros(len(x), np.float32)
        self._data.cell_data["value"] = np.zeros(len(self._skin.owners), np.float32)
        self._points: Any = self._data.points
        self._values: Any = (self._data.point_data["value"], self._data.cell_data["value"])
        self._scale: Scale | None = None
        self._mapper = vtkPolyDataMapper()
        self._mapper.SetInputData(self._data)
        actor = vtkActor()
        actor.SetMapper(self._mapper)
        light(actor)
        self.actors = (actor,)
        if len(self._skin.edges) <= _MOST_EDGES:
            self.actors += (self._edges(pixels),)
        self._sample(x)

    @property
    def skin(self) -> Skin:
        """The facets that are drawn, and whose they are."""
        return self._skin

    def _edges(self, pixels: int) -> Any:
        """The edges of the cells as an actor, which move with the points of the surface."""
        import pyvista
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

        self._lines = pyvista.PolyData(
            self._data.points, lines=np.insert(self._skin.edges, 0, 2, axis=1).ravel()
        )
        self._lines.SetPoints(self._data.GetPoints())
        mapper, actor = vtkPolyDataMapper(), vtkActor()
        mapper.SetInputData(self._lines)
        actor.SetMapper(mapper)
        outline(actor, pixels)
        return actor

    def _sample(self, x: np.ndarray) -> None:
        """Choose points on the surface, evenly at x (m, 3) [m], to cast its shadow."""
        triangles = self._skin.triangles
        a, b, c = np.moveaxis(x[triangles], 1, 0)
        areas = np.linalg.norm(np.cross(b - a, c - a), axis=-1) / 2 + np.finfo(float).tiny
        generator = np.random.default_rng(_SEED)
        chosen = generator.choice(len(areas), _SHADOW, p=areas / areas.sum())
        self._corners = triangles[chosen]
        self._weights = generator.dirichlet((1.0, 1.0, 1.0), _SHADOW)
        self.radius = _CLOSED * float(np.sqrt(areas.sum() / _SHADOW))

    def _where(self, x: np.ndarray) -> np.ndarray:
        """Positions [m] of the points of the surface, among those of all nodes (n, 3)."""
        return x[self._skin.points].astype(np.float32)

    def show(self, frame: int, scale: Scale) -> np.ndarray:
        """Move and colour it; returns points on it (m, 3) [m]. A node not seen stays put."""
        self._colour_by(scale)
        x = self._where(self.source.positions(frame))
        seen = np.isfinite(x).all(-1)
        self._points[seen] = x[seen]
        self._data.GetPoints().Modified()
        values, on_cells = scale.field.values(self.source, frame), scale.field.on_cells
        shown = self._skin.owners if on_cells else self._skin.points
        self._values[on_cells][:] = values[shown]
        self._data.Modified()
        return np.einsum("sk,ski->si", self._weights, np.asarray(self._points)[self._corners])

    def _colour_by(self, scale: Scale) -> None:
        """Take the colours of a scale."""
        if scale is not self._scale:
            self._scale = scale
            coloured(self._mapper, scale, on_cells=scale.field.on_cells)
