# SPDX-License-Identifier: Apache-2.0
"""A mesh cut open by a plane: what lies beyond is left out; the cut shows the inside of cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..fields import Scale
from ..looks import Clip
from ..source import Source, numpy_of
from .shading import coloured, light, outline
from .skin import walls

_MOST = 30_000


def plane_of(clip: Clip) -> Any:
    """The plane of a clip (vtkPlane), for mappers to clip by."""
    from vtkmodules.vtkCommonDataModel import vtkPlane

    plane = vtkPlane()
    turn(plane, clip)
    return plane


def turn(plane: Any, clip: Clip) -> None:
    """Put a vtkPlane where a clip is; its normal points to what is kept."""
    plane.SetNormal(*-clip.normal)
    plane.SetOrigin(*(clip.place * np.abs(clip.normal)))


class Section:
    """The cut through the cells of a volume mesh.

    Args:
        source: of the mesh.
        pixels: screen pixels for one pixel of lines.
    """

    actor: Any
    """What VTK draws of the cut."""
    edges: Any
    """The outlines of the cells on it; None of very many."""
    plane: Any
    """The plane (vtkPlane), whose normal points to what is kept; for mappers to clip by."""

    def __init__(self, source: Source, pixels: int) -> None:
        import pyvista
        from vtkmodules.vtkCommonDataModel import vtkPlane
        from vtkmodules.vtkFiltersCore import vtkCutter
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

        from rheograd.engine.cells import KINDS

        self.source = source
        kind, nodes = source.cells.kind, numpy_of(source.cells.nodes)
        x = np.array(source.positions(0), np.float32)
        x[~np.isfinite(x).all(-1)] = np.nanmean(x, 0)
        self._grid = pyvista.UnstructuredGrid({int(KINDS[kind].vtk): nodes}, x)
        self.plane = vtkPlane()
        self._cutter = vtkCutter()
        self._cutter.SetInputData(self._grid)
        self._cutter.SetCutFunction(self.plane)
        self._cutter.GenerateTrianglesOff()
        self._mapper = vtkPolyDataMapper()
        self._mapper.SetInputConnection(self._cutter.GetOutputPort())
        self.actor = vtkActor()
        self.actor.SetMapper(self._mapper)
        light(self.actor)
        self.edges = self._outlines(kind, nodes, pixels) if len(nodes) <= _MOST else None

    def _outlines(self, kind: str, nodes: np.ndarray, pixels: int) -> Any:
        """Where the plane cuts the sides of cells, as an actor."""
        import pyvista
        from vtkmodules.vtkFiltersCore import vtkCutter
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

        rows = [np.insert(part, 0, part.shape[1], axis=1).ravel() for part in walls(kind, nodes)]
        self._walls = pyvista.PolyData(self._grid.points, faces=np.concatenate(rows))
        self._walls.SetPoints(self._grid.GetPoints())
        cutter, mapper, actor = vtkCutter(), vtkPolyDataMapper(), vtkActor()
        cutter.SetInputData(self._walls)
        cutter.SetCutFunction(self.plane)
        mapper.SetInputConnection(cutter.GetOutputPort())
        actor.SetMapper(mapper)
        outline(actor, pixels)
        return actor

    def place(self, clip: Clip) -> None:
        """Put the plane where a clip has it."""
        turn(self.plane, clip)

    def show(self, frame: int, scale: Scale) -> None:
        """Cut the mesh at a frame; a node not seen stays put."""
        x = self.source.positions(frame)
        seen = np.isfinite(x).all(-1)
        points: Any = self._grid.points
        points[seen] = x[seen]
        self._grid.GetPoints().Modified()
        on_cells = scale.field.on_cells
        data = self._grid.cell_data if on_cells else self._grid.point_data
        values = np.asarray(scale.field.values(self.source, frame), np.float32)
        data["value"] = values
        self._grid.set_active_scalars("value", preference="cell" if on_cells else "point")
        coloured(self._mapper, scale, on_cells=on_cells)
        self._grid.Modified()
        if self.edges is not None:
            self._walls.Modified()
