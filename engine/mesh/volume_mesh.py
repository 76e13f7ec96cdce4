# SPDX-License-Identifier: Apache-2.0
"""Volume meshes: a body cut into elements of one kind, with named groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..shapes import Pattern, Sample, Solid, Surface, Vector
from ..suggestion import did_you_mean
from . import sides
from .elements import Element, element, side

FLAT = 1e-14
"""Of det J by the dim-th power of a cell's width, at and below which it is degenerate [-]."""
BATCH = 65_536
"""Cells looked at together."""
SPLITS = {
    "tri3": [(0, 1, 2)],
    "tri6": [(0, 3, 5), (3, 1, 4), (4, 2, 5), (3, 4, 5)],
    "quad4": [(0, 1, 2), (0, 2, 3)],
    "quad8": [(0, 4, 7), (4, 1, 5), (5, 2, 6), (6, 3, 7), (4, 5, 6), (4, 6, 7)],
    "quad9": [(0, 4, 8), (4, 1, 8), (1, 5, 8), (5, 2, 8),
              (2, 6, 8), (6, 3, 8), (3, 7, 8), (7, 0, 8)],
}  # fmt: skip
"""Triangles that a flat element is drawn with."""


@dataclass(frozen=True, eq=False)
class VolumeMesh(Solid):
    """A body cut into elements; a shape that finite elements and particles both can fill.

    A mesh of the plane (tri, quad) is a slice 1 m thick of a body in plane strain: its volume is
    area times 1 m, its surface the plane seen from +z, and it has no particles.
    """

    element: str
    """Kind of its cells; one of `elements.SOLIDS`."""
    nodes: Tensor
    """Positions [m], shape (n, 3), float64; may carry a gradient. z = 0 in the plane."""
    cells: Tensor
    """Nodes of each cell in VTK's order, shape (e, a), int64."""
    facets: Mapping[str, Tensor] = field(default_factory=dict)
    """Named groups of sides: their nodes in the order of the side's element, outward, shape
    (f, b), int64. Corners in any order will do, shape (f, c): they are looked up."""
    points: Mapping[str, Tensor] = field(default_factory=dict)
    """Named groups of nodes: shape (k,), int64."""
    regions: Mapping[str, Tensor] = field(default_factory=dict)
    """Named groups of cells: shape (k,), int64."""

    def __post_init__(self) -> None:
        """Refuse a mesh that cannot be computed with."""
        kind = element(self.element)
        self._set("nodes", torch.as_tensor(self.nodes, dtype=torch.float64))
        self._set("cells", _numbers("cells", self.cells))
        self._check_nodes(kind)
        self._check_cells(kind)
        refuse_inverted(self.element, self._positions, self._cells)
        for name in ("points", "regions"):
            count = len(self.nodes if name == "points" else self.cells)
            groups = {key: _numbers(f"{name} {key!r}", v) for key, v in getattr(self, name).items()}
            for key, group in groups.items():
                if group.ndim != 1:
                    shape = tuple(group.shape)
                    raise ValueError(f"got {name} {key!r} of shape {shape}, expected (k,)")
                _refuse_beyond(f"{name} {key!r}", group, count)
            self._set(name, groups)
        self._set("facets", {key: self._matched(key, v) for key, v in self.facets.items()})

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_nodes(self, kind: Element) -> None:
        shape = tuple(self.nodes.shape)
        if len(shape) != 2 or shape[1] != 3 or not shape[0]:
            raise ValueError(f"got nodes of shape {shape}, expected (n, 3) with n > 0")
        bad = ~np.isfinite(self._positions).all(1)
        if bad.any():
            raise ValueError(
                f"got {int(bad.sum())} nodes with positions that are not finite, the first is "
                f"node {int(bad.argmax())}, expected finite numbers of metres"
            )
        if kind.dim == 2 and np.any(self._positions[:, 2] != 0):
            raise ValueError(
                f"got {kind.name} nodes with z up to {np.abs(self._positions[:, 2]).max():.3g} m, "
                "expected z = 0: a mesh of the plane lies in it; for a curved surface fill it with "
                'tetrahedra: mesh_shape(MeshShape(path), "tet4", size)'
            )

    def _check_cells(self, kind: Element) -> None:
        shape, width = tuple(self.cells.shape), len(kind.nodes)
        if len(shape) != 2 or shape[1] != width or not shape[0]:
            raise ValueError(
                f"got {kind.name} cells of shape {shape}, expected (e, {width}) with e > 0"
            )
        _refuse_beyond("cells", self.cells, len(self.nodes))
        used = np.zeros(len(self.nodes), bool)
        used[self._cells] = True
        if not used.all():
            raise ValueError(
                f"got {int((~used).sum())} nodes that belong to no cell, the first is node "
                f"{int(used.argmin())}, expected none: leave them out and renumber, as "
                "VolumeMesh.load does"
            )

    def _matched(self, name: str, group: Tensor) -> Tensor:
        rows = _numbers(f"facets {name!r}", group)
        count, width = sides.corners(self.kind.facet), len(side(self.kind).nodes)
        if rows.ndim != 2 or rows.shape[1] not in (count, width):
            widths = " or ".join(f"(f, {w})" for w in sorted({count, width}))
            raise ValueError(
                f"got facets {name!r} of shape {tuple(rows.shape)}, expected {widths} for "
                f"{self.element}"
            )
        _refuse_beyond(f"facets {name!r}", rows, len(self.nodes))
        wanted = rows[:, :count].numpy()
        found, on = sides.matched(self.kind, self._cells, wanted)
        if not on.all():
            raise ValueError(
                f"got {int((~on).sum())} of {len(on)} facets {name!r} that are no side of a cell, "
                f"the first of nodes {wanted[on.argmin()].tolist()}, expected corners of sides: "
                "take the group from the same mesh as the cells"
            )
        return torch.from_numpy(found)

    @property
    def kind(self) -> Element:
        """The element of its cells."""
        return element(self.element)

    @property
    def dim(self) -> int:
        """3, or 2 for a mesh of the plane."""
        return self.kind.dim

    @property
    def _positions(self) -> np.ndarray:
        return self.nodes.detach().cpu().numpy()

    @property
    def _cells(self) -> np.ndarray:
        return self.cells.numpy()

    @cached_property
    def _moments(self) -> tuple[float, np.ndarray]:
        """Volume and centre of volume."""
        kind, total, first = self.kind, 0.0, np.zeros(3)
        weights, shape = kind.mass.weights, kind.shape(kind.mass.points)
        for cells in _batches(self._cells):
            at = self._positions[cells]
            each = jacobians(kind, at, kind.mass.points) * weights
            total += float(each.sum())
            first += np.einsum("eq,qa,eai->i", each, shape, at, optimize=True)
        return total, first / total

    @property
    def volume(self) -> float:
        """Volume [m³]; of a mesh of the plane that of a slice 1 m thick."""
        return self._moments[0]

    @property
    def centroid(self) -> Tensor:
        """Centre of volume [m], shape (3,)."""
        return torch.from_numpy(self._moments[1].copy())

    @property
    def turn(self) -> Vector:
        """None."""
        return (0.0, 0.0, 0.0)

    @property
    def extent(self) -> Vector:
        """Half-lengths of a box about the nodes, centred at the centre of volume [m]."""
        a, b, c = np.abs(self._positions - self._moments[1]).max(0).tolist()
        return a, b, c

    def sample(self, spacing: float, *, pattern: Pattern = "lattice", seed: int = 0) -> Sample:
        """Fill the boundary with particles; see `Solid.sample`. Refused in the plane."""
        if self.dim == 2:
            raise ValueError(
                f"got a mesh of the plane ({self.element}) to fill with particles, expected one in "
                "space: the particle solver has no plane strain; take tet or hex elements"
            )
        return super().sample(spacing, pattern=pattern, seed=seed)

    def surface(self) -> Surface:
        """Its boundary in triangles, of a mesh of the plane the plane itself."""
        vertices, triangles = self._skin
        return Surface(torch.from_numpy(vertices), torch.from_numpy(triangles))

    @cached_property
    def _skin(self) -> tuple[np.ndarray, np.ndarray]:
        flat = self.element if self.dim == 2 else self.kind.facet
        faces = self._cells if self.dim == 2 else self.boundary().numpy()
        triangles = faces[:, SPLITS[flat]].reshape(-1, 3)
        kept, corner = np.unique(triangles, return_inverse=True)
        return self._positions[kept], corner.reshape(-1, 3).astype(np.int64)

    def _inside(self, points: np.ndarray) -> np.ndarray:
        from ..meshes import inside

        return inside(points, *self._surface())

    def _surface(self) -> tuple[np.ndarray, np.ndarray]:
        vertices, triangles = self._skin
        return vertices - self._moments[1], triangles

    @cached_property
    def _boundary(self) -> Tensor:
        return torch.from_numpy(sides.boundary(self.kind, self._cells))

    def boundary(self) -> Tensor:
        """Every side that belongs to one cell: nodes in the side's order, outward, shape (f, b).

        Raises:
            ValueError: Three or more cells share a side.
        """
        return self._boundary

    def facets_of(self, name: str) -> Tensor:
        """The sides of a named group, shape (f, b).

        Of a group of nodes they are those on the boundary with every node in it.

        Raises:
            ValueError: No group of sides has the name; says which have one.
        """
        if name not in self.facets and name in self.points:
            on = torch.zeros(len(self.nodes), dtype=torch.bool)
            on[self.points[name]] = True
            within = self.boundary()[on[self.boundary()].all(1)]
            if len(within):
                return within
        return _named(self.facets, name, "group of sides")

    def cells_of(self, name: str) -> Tensor:
        """The cells of a named region, shape (k,).

        Raises:
            ValueError: No region has the name; says which there are.
        """
        return _named(self.regions, name, "region")

    def nodes_of(self, name: str) -> Tensor:
        """The nodes of a named group of nodes, sides or cells, each once, ascending, shape (k,).

        Raises:
            ValueError: No group has the name; says which have one.
        """
        cells = {key: self.cells[which] for key, which in self.regions.items()}
        return _named({**cells, **self.facets, **self.points}, name, "group").unique()

    @classmethod
    def load(
        cls, path: str | Path, *, scale: float = 1.0, element: str | None = None
    ) -> VolumeMesh:
        """Read a mesh by meshio: .msh, .vtu, .vtk, .inp, .bdf, .med, ...; see `files`.

        Args:
            path: The file.
            scale: Metres per unit of the file: 1e-3 for one in mm.
            element: Kind that is wanted; a first-order mesh gets mid-side nodes for one of second.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is unreadable, holds no solid or one that cannot be computed with.
        """
        from .files import load

        return load(Path(path), scale=scale, kind=element)

    def save(self, path: str | Path) -> Path:
        """Write the mesh with its groups in the format of the suffix; see `files`.

        Raises:
            ValueError: If the format is unknown or cannot hold it.
        """
        from .files import save

        return save(self, Path(path))


def jacobians(kind: Element, positions: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Determinants of the Jacobian of cells.

    Args:
        kind: Of the cells.
        positions: Of their nodes [m], shape (e, a, 3).
        points: Reference coordinates, shape (q, dim).

    Returns:
        [m³], in the plane [m²], shape (e, q).
    """
    slopes = kind.gradients(points)
    frames = np.einsum("qad,eai->eqid", slopes, positions[..., : kind.dim], optimize=True)
    if kind.dim == 2:
        return frames[..., 0, 0] * frames[..., 1, 1] - frames[..., 0, 1] * frames[..., 1, 0]
    cross = np.cross(frames[..., 1], frames[..., 2])
    return np.einsum("eqi,eqi->eq", frames[..., 0], cross)


def worst_jacobians(name: str, nodes: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Smallest det J of each cell at its quadrature points by its width's power, shape (e,)."""
    kind = element(name)
    points = np.unique(np.concatenate([kind.stiffness.points, kind.mass.points]), axis=0)
    lowest = []
    for batch in _batches(cells):
        at = nodes[batch]
        width = np.maximum(np.ptp(at, axis=1).max(1), np.finfo(float).tiny)
        lowest.append(jacobians(kind, at / width[:, None, None], points).min(1))
    return np.concatenate(lowest)


def refuse_inverted(name: str, nodes: np.ndarray, cells: np.ndarray) -> None:
    """Raise ValueError if a cell has det J <= 0 at a quadrature point.

    Args:
        name: Kind of the cells.
        nodes: [m], shape (n, 3).
        cells: Shape (e, a).
    """
    bad = worst_jacobians(name, nodes, cells) <= FLAT
    if not bad.any():
        return
    first = int(bad.argmax())
    spot = ", ".join(f"{c:.4g}" for c in nodes[cells[first]].mean(0))
    if bad.all() and len(bad) > 1:
        remedy = "number the nodes of each as VTK does, or mirror the mesh by VolumeMesh.load"
    else:
        remedy = "remesh there, straighten curved sides (element of first order) or move nodes less"
    raise ValueError(
        f"got {int(bad.sum())} of {len(cells)} {name} cells that are inverted or flat (det J <= 0 "
        f"at a quadrature point), the first is cell {first} at ({spot}) m, expected none: {remedy}"
    )


def _batches(cells: np.ndarray) -> list[np.ndarray]:
    return [cells[start : start + BATCH] for start in range(0, len(cells), BATCH)]


def _numbers(name: str, value: Tensor) -> Tensor:
    given = torch.as_tensor(value).detach().cpu()
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise ValueError(f"got {name} of type {given.dtype}, expected whole numbers (int64)")
    return given.to(torch.int64)


def _refuse_beyond(name: str, numbers: Tensor, count: int) -> None:
    if numbers.numel() and not 0 <= int(numbers.min()) <= int(numbers.max()) < count:
        raise ValueError(
            f"got {name} with numbers from {int(numbers.min())} to {int(numbers.max())}, expected "
            f"0 to {count - 1}: count from zero"
        )


def _named(groups: Mapping[str, Tensor], name: str, what: str) -> Tensor:
    if name not in groups:
        known = ", ".join(sorted(groups)) or "none"
        raise ValueError(
            f"got {what} {name!r}, expected one of the mesh: {known}{did_you_mean(name, groups)}"
        )
    return groups[name]
