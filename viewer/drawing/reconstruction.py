# SPDX-License-Identifier: Apache-2.0
"""A smooth skin around particles, found anew at every frame.

On a grid about as wide as particles lie apart, the number of particles at each node is smoothed by
a binomial filter; the skin is where it falls below a share of what it is inside at the first frame.
Each body has a skin of its own. Where particles lie too far apart for one, as in spray, they are
told of, to be drawn on their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp

from rheograd.kernels.dtypes import building
from rheograd.kernels.points.density import density_kernels

from ..fields import Scale
from ..looks import Clip
from ..source import Source
from .section import plane_of
from .shading import coloured, light

_SHARE = 0.42
"""Of the density inside, at the skin: a layer of single particles still has one."""
_NODES = 3_000_000
_MOST_BODIES = 64
_MARGIN = 4
"""Nodes beyond the outermost points: as far as a point is felt, and one."""
_ROUNDS = 2
_SPARSE = 2.0
_TOUCH = 1.3
"""Distance of particles that touch, by the width of the grid: as drawn they are 1.24 wide."""
_AROUND = np.stack(np.meshgrid(*3 * [[-1, 0, 1]]), -1).reshape(-1, 3)
_KEY = np.array([1, 1 << 20, 1 << 40])
"""One number for a cell of three."""
_INWARD = 1e-3
"""How far a cap lies behind the plane, by the width of the grid, not to be clipped by it too."""


@dataclass(frozen=True)
class _Grid:
    """Nodes around some points."""

    origin: np.ndarray
    """Of the first node [m], (3,)."""
    width: float
    """From node to node [m]."""
    size: tuple[int, int, int]
    """Nodes along x, y and z."""


@dataclass(frozen=True)
class _Density:
    """What nodes (k, j, i) know of points, on the device of Warp."""

    grid: _Grid
    x: Any
    """The points [m], (n,)."""
    weight: Any
    """Points, smoothed."""
    known: Any
    """Those with a value, smoothed."""
    total: Any
    """Their values, summed and smoothed; empty where there are none."""

    def levels(self, inside: float) -> tuple[np.ndarray, np.ndarray]:
        """Share of the density inside, less that at the skin, and the mean value, NaN if unknown.

        Both (k, j, i).
        """
        total, known = self.total.numpy(), self.known.numpy()
        mean = np.full_like(total, np.nan)
        np.divide(total, known, out=mean, where=known > 1e-6)
        return self.weight.numpy() / np.float32(inside) - np.float32(_SHARE), mean


class Reconstruction:
    """The skin of the particles of one source.

    Args:
        source: of the particles.
    """

    actor: Any
    """What VTK draws."""

    def __init__(self, source: Source) -> None:
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

        self.source = source
        self._device = "cuda:0" if wp.is_cuda_available() else "cpu"
        self._mapper = vtkPolyDataMapper()
        self.actor = vtkActor()
        self.actor.SetMapper(self._mapper)
        light(self.actor)
        bodies = np.unique(source.body)
        alone = 1 < len(bodies) <= _MOST_BODIES
        self._parts = (
            [np.flatnonzero(source.body == body) for body in bodies] if alone else [slice(None)]
        )
        self._rests = [self._rest(part) for part in self._parts]

    def _rest(self, part: Any) -> tuple[float, float]:
        """Width of the grid for a part [m], and the density inside, from the first frame."""
        x = self.source.positions(0)[part]
        width = self.source.spacing or 0.01
        for _ in range(2):
            found = self._density(x, None, width)
            inside, _ = self._sampled(found)
            density = float(np.median(inside[np.isfinite(x).all(-1)])) if len(inside) else 1.0
            if density > 0.6:
                break
            # fewer than one particle in a cell, as of those put anywhere by chance
            width *= min((0.8 / max(density, 1e-3)) ** (1 / 3), _SPARSE)
        return width, max(density, 1e-3)

    def show(self, frame: int, scale: Scale, clip: Clip | None) -> np.ndarray:
        """Make the skin at a frame; which particles it covers, shape (n,).

        Where a clip plane cuts it, it is closed along the plane.
        """
        from vtkmodules.vtkFiltersCore import vtkAppendPolyData

        x = self.source.positions(frame)
        values = scale.field.values(self.source, frame)
        covered = np.zeros(len(x), bool)
        joined = vtkAppendPolyData()
        for part, (width, inside) in zip(self._parts, self._rests, strict=True):
            found = self._density(x[part], values[part], width)
            _, around = self._sampled(found)
            # the skin passes within a cell, if not beyond
            covered[part] = _with_neighbours(x[part], around > _SHARE * inside, width)
            nodes = found.levels(inside)
            joined.AddInputData(_contour(found.grid, *nodes))
            if clip is not None and (cap := _cap(found.grid, *nodes, clip)) is not None:
                joined.AddInputData(cap)
        joined.Update()
        self._mapper.RemoveAllClippingPlanes()
        if clip is not None:
            self._mapper.AddClippingPlane(plane_of(clip))
        self._mapper.SetInputData(joined.GetOutput())
        coloured(self._mapper, scale, on_cells=False)
        return covered

    def _density(self, x: np.ndarray, values: np.ndarray | None, width: float) -> _Density:
        """Of points x (n, 3) [m] with values (n,), on nodes so far apart."""
        grid = _around(x, width)
        self._dtype = wp.float64 if x.dtype == np.float64 else wp.float32
        shape, points = grid.size[::-1], self._points(x)
        told = np.zeros(0, np.float32) if values is None else np.asarray(values, np.float32)
        all_known = bool(np.isfinite(told).all())
        needed = (shape, (0, 0, 0) if all_known else shape, shape if len(told) else (0, 0, 0))
        arrays = [wp.zeros(one, dtype=wp.float32, device=self._device) for one in needed]
        with building:
            wp.launch(
                density_kernels(self._dtype).gather, len(x),
                [points, wp.array(told, dtype=wp.float32, device=self._device),
                 *self._of(grid), *arrays],
                device=self._device,
            )  # fmt: skip
        weight, known, total = (self._smoothed(array) for array in arrays)
        return _Density(grid, points, weight, weight if len(told) and all_known else known, total)

    def _smoothed(self, nodes: Any) -> Any:
        """Nodes (k, j, i) after a binomial filter along each axis, some rounds.

        They stay on their device; on a CPU NumPy, which shares their memory, takes a fifth of the
        kernel's time.
        """
        if nodes.size and nodes.device.is_cuda:
            return self._filtered(nodes)
        _smooth(nodes.numpy())
        return nodes

    def _filtered(self, nodes: Any) -> Any:
        """The same by the kernel, on any device."""
        other = wp.empty_like(nodes)
        for axis in _ROUNDS * [wp.vec3i(1, 0, 0), wp.vec3i(0, 1, 0), wp.vec3i(0, 0, 1)]:
            with building:
                wp.launch(
                    density_kernels(self._dtype).smooth, nodes.shape, [nodes, axis, other],
                    device=nodes.device,
                )  # fmt: skip
            nodes, other = other, nodes
        return nodes

    def _sampled(self, density: _Density) -> tuple[np.ndarray, np.ndarray]:
        """The density at its points, and the largest at nodes around, each (n,)."""
        count = len(density.x)
        out = [wp.zeros(count, dtype=wp.float32, device=self._device) for _ in range(2)]
        with building:
            wp.launch(
                density_kernels(self._dtype).sample, count,
                [density.x, density.weight, *self._of(density.grid), *out], device=self._device,
            )  # fmt: skip
        return out[0].numpy(), out[1].numpy()

    def _points(self, x: np.ndarray) -> Any:
        double = self._dtype is wp.float64
        x = np.ascontiguousarray(x, np.float64 if double else np.float32)
        return wp.array(x, dtype=wp.vec3d if double else wp.vec3f, device=self._device)

    def _of(self, grid: _Grid) -> tuple[Any, Any, Any]:
        """A grid as kernels take it."""
        vec3 = wp.vec3d if self._dtype is wp.float64 else wp.vec3f
        return vec3(*grid.origin), self._dtype(grid.width), wp.vec3i(*grid.size)


def _around(x: np.ndarray, width: float) -> _Grid:
    """Nodes around the points x (n, 3) [m]; the few farthest stay off a grid too large for them.

    They stand at whole numbers of widths, so that a skin at rest does not flicker.
    """
    columns = np.ascontiguousarray(x.T)  # a tenth of the time of rows
    if len(x) and not np.isfinite([columns.min(1), columns.max(1)]).all():
        columns = columns[:, np.isfinite(x).all(-1)]
    if not columns.size:
        return _Grid(np.zeros(3), width, (2, 2, 2))
    low, high = columns.min(1).astype(float), columns.max(1).astype(float)
    if np.prod((high - low) / width + 2 * _MARGIN) > _NODES:
        whole = low, high
        low, high = np.percentile(columns, (0.5, 99.5), axis=1)
        rim = 0.2 * (high - low)
        low, high = np.maximum(low - rim, whole[0]), np.minimum(high + rim, whole[1])
        width = max(width, float(np.prod(np.maximum(high - low, width)) / _NODES) ** (1 / 3))
    first = np.floor(low / width) - _MARGIN
    size = np.floor(high / width) + _MARGIN + 2 - first
    return _Grid(first * width, width, (int(size[0]), int(size[1]), int(size[2])))


def _with_neighbours(x: np.ndarray, covered: np.ndarray, width: float) -> np.ndarray:
    """Those of x (n, 3) [m] that are covered (n,) or touch one that is: at corners a skin is round.

    A sphere of its own there would look like one that has left the body.
    """
    from scipy.spatial import KDTree

    lone = np.flatnonzero(~covered & np.isfinite(x).all(-1))
    if not len(lone) or not covered.any():
        return covered
    reach = _TOUCH * width
    cell = np.floor((x[covered] - x[lone].min(0)) / reach).astype(np.int64)
    own = np.floor((x[lone] - x[lone].min(0)) / reach).astype(np.int64)
    around = np.unique((own[:, None] + _AROUND).reshape(-1, 3) @ _KEY)
    near = x[covered][np.isin(cell @ _KEY, around)]
    if len(near):
        far, _ = KDTree(near).query(x[lone], distance_upper_bound=reach)
        covered = covered.copy()
        covered[lone[np.isfinite(far)]] = True
    return covered


def _smooth(nodes: np.ndarray) -> None:
    """Filter nodes (k, j, i) in place."""
    for axis in range(3):
        moved = np.moveaxis(nodes, axis, 0)
        for _ in range(_ROUNDS):
            pairs = moved[:-1] + moved[1:]  # twice the mean, half a cell further on
            moved[1:-1] = pairs[:-1] + pairs[1:]
            moved[1:-1] *= 0.25


def _contour(grid: _Grid, levels: np.ndarray, means: np.ndarray) -> Any:
    """The skin (vtkPolyData) with normals and values: where the level is 0."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D

    image = vtkImageData()
    image.SetDimensions(*grid.size)
    image.SetSpacing(grid.width, grid.width, grid.width)
    image.SetOrigin(*grid.origin)
    for name, values in (("level", levels), ("value", means)):
        array = numpy_to_vtk(values.reshape(-1), deep=False)
        array.SetName(name)
        image.GetPointData().AddArray(array)
    image.GetPointData().SetActiveScalars("level")
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.0)
    edges.ComputeNormalsOn()
    edges.ComputeGradientsOff()
    edges.ComputeScalarsOff()
    edges.InterpolateAttributesOn()
    edges.Update()
    skin = edges.GetOutput()
    skin.GetPointData().SetActiveScalars("value")
    return skin


def _cap(grid: _Grid, levels: np.ndarray, means: np.ndarray, clip: Clip) -> Any:
    """What closes the skin along a plane (vtkPolyData), or None where that is off the grid."""
    import pyvista
    from vtkmodules.vtkFiltersCore import vtkClipPolyData

    axis = clip.axis
    place = clip.place - _INWARD * clip.sense * grid.width
    layer = (place - grid.origin[axis]) / grid.width
    first = int(np.floor(layer))
    if not 0 <= first < grid.size[axis] - 1:
        return None
    share = np.float32(layer - first)
    level, values = (
        (1 - share) * np.take(nodes, first, 2 - axis) + share * np.take(nodes, first + 1, 2 - axis)
        for nodes in (levels, means)
    )
    rows, columns = level.shape  # along the later and the earlier of the other axes
    others = [other for other in range(3) if other != axis]
    points = np.full((rows, columns, 3), place, np.float32)
    for other, line in zip(
        others, (np.arange(columns)[None], np.arange(rows)[:, None]), strict=True
    ):
        points[..., other] = grid.origin[other] + grid.width * line
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    quads = corner[:, None] + np.array([0, 1, columns + 1, columns])
    if (clip.sense < 0) != (axis == 1):  # seen from what is left out, counter-clockwise
        quads = quads[:, ::-1]
    sheet = pyvista.PolyData(points.reshape(-1, 3), faces=np.insert(quads, 0, 4, axis=1).ravel())
    sheet.point_data["value"] = values.ravel()
    sheet.point_data["level"] = level.ravel()
    normals = np.tile(clip.normal.astype(np.float32), (rows * columns, 1))
    sheet.point_data.set_array(normals, "Normals")  # as the skin has them, or they are not joined
    sheet.point_data.active_normals_name = "Normals"
    sheet.set_active_scalars("level")
    cutter = vtkClipPolyData()
    cutter.SetInputData(sheet)
    cutter.SetValue(0.0)
    cutter.Update()
    cap = cutter.GetOutput()
    cap.GetPointData().SetActiveScalars("value")
    return cap
