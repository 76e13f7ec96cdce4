# SPDX-License-Identifier: Apache-2.0
"""Meshes of simple bodies by formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from .elements import Element, element
from .elevation import elevate, mapped
from .sides import corners, family
from .volume_mesh import VolumeMesh

_CUBE = element("hex8").nodes
_SQUARE = element("quad4").nodes
_TETS = ((0, 1, 2, 6), (0, 2, 3, 6), (0, 3, 7, 6), (0, 7, 4, 6), (0, 4, 5, 6), (0, 5, 1, 6))
"""Of a cube, about its diagonal 0-6: neighbours agree on the diagonals of their sides."""
_TRIANGLES = ((0, 1, 2), (0, 2, 3))
_BLOCK = {2: 0.5, 3: 0.45}
"""Half-width of the block in the middle of a unit disc or ball."""
_BULGE = 0.4
"""Share of the round in the form of that block."""


def box(
    size: Sequence[float],
    divisions: Sequence[int],
    *,
    element: str = "hex8",
    center: Sequence[float] | None = None,
    corner: Sequence[float] | None = None,
) -> VolumeMesh:
    """A cuboid of equal cells, in the plane a rectangle.

    Nodes are numbered along the last axis first: (i (n_y + 1) + j) (n_z + 1) + k, those of a
    second-order mesh on the lattice of half the spacing, without gaps. A cube is cut into six
    tetrahedra about its diagonal, a square into two triangles.

    Args:
        size: Edge lengths [m], three; two in the plane.
        divisions: Cubes along each axis, as many.
        element: Kind of the cells.
        center: Its centre [m]; the origin unless `corner` is given.
        corner: Its lowest corner [m].

    Returns:
        The mesh, with groups of sides x-, x+, y-, y+, z-, z+, named after their outward normal.

    Raises:
        ValueError: Sizes or divisions are not positive, or not as many as the element has axes.
    """
    kind = _kind(element)
    lengths, counts = _axes(kind, size, divisions)
    lower = -0.5 * lengths
    if center is not None and corner is not None:
        raise ValueError("got both center and corner of a box, expected one of them")
    place = center if corner is None else corner
    if place is not None:
        place = np.asarray(place, float)
        if place.shape != lengths.shape:
            raise ValueError(
                f"got a place {place.tolist()} of a {kind.name} box, expected {kind.dim} numbers"
            )
        lower = place if corner is not None else place + lower
    lattice = _lattice(kind, counts)
    steps = 2 * counts + 1
    flat = np.ravel_multi_index(tuple(np.moveaxis(lattice, -1, 0)), tuple(steps))
    used, cells = np.unique(flat, return_inverse=True)
    at = np.stack(np.unravel_index(used, tuple(steps)), -1)
    nodes = np.zeros((len(used), 3))
    nodes[:, : kind.dim] = lower + at / (2 * counts) * lengths
    cells = cells.reshape(flat.shape)
    facets = {}
    for d, axis in enumerate("xyz"[: kind.dim]):
        for end, sign in ((0, "-"), (2 * counts[d], "+")):
            facets[axis + sign] = torch.from_numpy(_sides_at(kind, cells, at[:, d] == end))
    return VolumeMesh(element, torch.from_numpy(nodes), torch.from_numpy(cells), facets)


def cylinder(
    radius: float, height: float, divisions: Sequence[int], *, element: str = "hex8"
) -> VolumeMesh:
    """A round bar along y about the origin, as `shapes.Cylinder`.

    A square in the middle is surrounded by rings; in a second-order mesh the nodes of the round
    side are on the circle. Tetrahedra come from cutting prisms.

    Args:
        radius: [m]
        height: From face to face [m].
        divisions: Cells across the square, which makes four times as many around; rings; layers.
        element: hex8, hex20, hex27, tet4 or tet10.

    Returns:
        The mesh, with groups of sides y-, y+ and side.

    Raises:
        ValueError: Lengths or divisions are not positive, or the element is of the plane.
    """
    kind = _solid(element, "cylinder")
    (_, high), (across, rings, layers) = _positive((radius, height), divisions, 3)
    plane, quads = rounded(2, int(across), int(rings))
    each, levels = len(plane), np.linspace(-high / 2, high / 2, layers + 1)
    nodes = np.empty((len(levels), each, 3))
    nodes[:, :, [2, 0]] = radius * plane
    nodes[:, :, 1] = levels[:, None]
    flat = quads if family(element) == "hex" else quads[:, _TRIANGLES].reshape(-1, 3)
    lower = flat + each * np.arange(layers)[:, None, None]
    prisms = np.stack([lower, lower + each], 2).reshape(-1, 2, flat.shape[1])
    place = nodes.reshape(-1, 3)
    cells = prisms.reshape(-1, 8) if family(element) == "hex" else _prisms_cut(prisms, place)
    name = f"{family(element)}{corners(element)}"
    mesh = VolumeMesh(name, torch.from_numpy(place), torch.from_numpy(cells))
    on = np.hypot(place[:, 0], place[:, 2]) > radius * (1 - 1e-9)
    level = np.arange(len(place)) // each
    marks = {"y-": level == 0, "y+": level == layers, "side": on}
    groups = {key: torch.from_numpy(_among(mesh, mark)) for key, mark in marks.items()}
    mesh = elevate(replace(mesh, facets=groups), kind.name)
    return _snapped(mesh, "side", radius, axes=(0, 2))


def ball(radius: float, divisions: Sequence[int], *, element: str = "hex8") -> VolumeMesh:
    """A ball about the origin: a cube in the middle surrounded by shells.

    Args:
        radius: [m]
        divisions: Cells along an edge of the cube; shells.
        element: hex8, hex20 or hex27.

    Returns:
        The mesh, with the group of sides surface.

    Raises:
        ValueError: Lengths or divisions are not positive, or the element is not a hexahedron.
    """
    kind = _solid(element, "ball")
    if family(element) != "hex":
        raise ValueError(
            f"got a ball of {element} cells, expected hex8, hex20 or hex27: for tetrahedra use "
            "mesh_shape(Sphere(radius), element, size)"
        )
    _, (across, shells) = _positive((radius,), divisions, 2)
    place, cells = rounded(3, int(across), int(shells))
    mesh = VolumeMesh("hex8", torch.from_numpy(radius * place), torch.from_numpy(cells))
    mesh = elevate(replace(mesh, facets={"surface": mesh.boundary()}), kind.name)
    return _snapped(mesh, "surface", radius, axes=(0, 1, 2))


def plate_with_hole(
    width: float,
    radius: float,
    divisions: Sequence[int],
    *,
    element: str = "quad8",
    thickness: float = 1.0,
    length: float | None = None,
    grading: float = 1.0,
) -> VolumeMesh:
    """A quarter of a plate about a round hole at the origin.

    Args:
        width: Half of the plate's edge along y [m].
        radius: Of the hole [m].
        divisions: Cells from the hole outward; around, an even number; in space through the
            thickness.
        element: Any; one in space makes a slab between z = 0 and the thickness.
        thickness: [m], used in space.
        length: Half of its edge along x [m]; None: as wide.
        grading: Power of the way outward by which cells grow; 1: all are equal.

    Returns:
        The mesh, with groups of sides hole, x-, y- (the planes of symmetry), x+, y+ and in space
        z-, z+.

    Raises:
        ValueError: The hole is not smaller than the plate, or the divisions around are odd.
    """
    kind = _kind(element)
    length = width if length is None else length
    if not 0 < radius < min(width, length):
        raise ValueError(
            f"got a hole of radius {radius:g} m in a width of {min(width, length):g} m, expected "
            "a smaller, positive radius"
        )
    if len(divisions) < 2 or divisions[1] % 2:
        raise ValueError(
            f"got divisions {list(divisions)} of a plate with a hole, expected an even second one: "
            "the corner is in the middle of the cells around"
        )
    unit = box(
        (1.0, 1.0, thickness)[: kind.dim], divisions, element=element, corner=(0,) * kind.dim
    )
    corner = torch.tensor([length, width], dtype=torch.float64)

    def around(nodes: torch.Tensor) -> torch.Tensor:
        out, turn = _graded(nodes[:, :1], divisions[0], grading), nodes[:, 1:2]
        angle = 0.5 * torch.pi * turn
        hole = radius * torch.cat([angle.cos(), angle.sin()], 1)
        edge = corner * torch.cat([2 - 2 * turn, 2 * turn], 1).clamp(max=1.0)
        return torch.cat([(1 - out) * hole + out * edge, nodes[:, 2:]], 1)

    mesh = mapped(unit, around)
    outer = mesh.facets["x+"]
    right = (unit.nodes[outer][..., 1] <= 0.5 + 1e-9).all(1)
    groups = {
        "hole": mesh.facets["x-"], "y-": mesh.facets["y-"], "x-": mesh.facets["y+"],
        "x+": outer[right], "y+": outer[~right],
    }  # fmt: skip
    groups |= {key: mesh.facets[key] for key in ("z-", "z+") if key in mesh.facets}
    return replace(mesh, facets=groups)


def _graded(place: torch.Tensor, count: int, power: float) -> torch.Tensor:
    """Places 0 to 1 in `count` cells whose ends go with a power; inside a cell all is linear."""
    low = (place * count).floor().clamp(max=count - 1)
    near, far = ((low + end).div(count) ** power for end in (0, 1))
    return near + (place * count - low) * (far - near)


def _kind(name: str) -> Element:
    return element(name)


def _solid(name: str, what: str) -> Element:
    kind = element(name)
    if kind.dim == 2:
        raise ValueError(f"got a {what} of {name} cells, expected tetrahedra or hexahedra")
    return kind


def _positive(
    lengths: Sequence[float], divisions: Sequence[int], count: int
) -> tuple[np.ndarray, np.ndarray]:
    size, counts = np.asarray(lengths, float), np.asarray(divisions)
    if not (np.isfinite(size).all() and (size > 0).all()):
        raise ValueError(f"got lengths {size.tolist()}, expected positive numbers of metres")
    whole = np.issubdtype(counts.dtype, np.integer)
    if counts.shape != (count,) or not whole or (counts < 1).any():
        raise ValueError(f"got divisions {counts.tolist()}, expected {count} whole numbers from 1")
    return size, counts.astype(np.int64)


def _axes(
    kind: Element, size: Sequence[float], divisions: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    lengths, counts = np.asarray(size, float), np.asarray(divisions)
    if lengths.shape != (kind.dim,) or counts.shape != (kind.dim,):
        raise ValueError(
            f"got size {lengths.tolist()} and divisions {counts.tolist()} of a {kind.name} box, "
            f"expected {kind.dim} numbers each"
        )
    return _positive(size, divisions, kind.dim)


def _lattice(kind: Element, counts: np.ndarray) -> np.ndarray:
    """Places of the nodes of cells on the lattice of half the spacing, shape (e, a, dim)."""
    origins = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), -1)
    unit = ((_SQUARE if kind.dim == 2 else _CUBE) + 1).astype(np.int64)
    blocks = 2 * origins.reshape(-1, 1, kind.dim) + unit
    shape = family(kind.name)
    parts = {"tet": _TETS, "tri": _TRIANGLES}.get(shape)
    if parts is not None:
        blocks = blocks[:, parts].reshape(-1, corners(kind.name), kind.dim)
    first = element({"tet": "tet4", "tri": "tri3", "hex": "hex8", "quad": "quad4"}[shape])
    return np.rint(np.einsum("ab,ebd->ead", first.shape(kind.nodes), blocks)).astype(np.int64)


def _sides_at(kind: Element, cells: np.ndarray, on: np.ndarray) -> np.ndarray:
    """Sides of which every node is one of those marked, cell by cell, shape (f, b)."""
    sides = cells[:, np.array(kind.facets)]
    return sides[on[sides].all(-1)]


def _among(mesh: VolumeMesh, on: np.ndarray) -> np.ndarray:
    """Sides of the boundary of which every node is one of those marked, shape (f, b)."""
    sides = mesh.boundary().numpy()
    return sides[on[sides].all(-1)]


def rounded(dim: int, across: int, shells: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and cells of the unit disc or ball: a bulged block, and shells about it."""
    block = box((2.0,) * dim, (across,) * dim, element="quad4" if dim == 2 else "hex8")
    cube, sides = block.nodes.numpy()[:, :dim], block.boundary().numpy()
    directions = np.tan(0.25 * np.pi * cube)
    length = np.linalg.norm(directions, axis=1, keepdims=True)
    directions /= np.where(length > 0, length, 1)
    inner = _BLOCK[dim] * (
        (1 - _BULGE) * cube + 1.15 * _BULGE * np.abs(cube).max(1, keepdims=True) * directions
    )
    rim = np.unique(sides)
    number = np.arange(shells + 1)[:, None] * len(rim) + len(cube) - len(rim)
    number = number + np.arange(len(rim))
    number[0] = rim
    share = np.linspace(0, 1, shells + 1)[1:, None, None]
    outer = (1 - share) * inner[rim] + share * directions[rim]
    at = number[:, np.searchsorted(rim, sides)]
    low, high = at[:-1].reshape(-1, sides.shape[1]), at[1:].reshape(-1, sides.shape[1])
    if dim == 2:
        shell = np.stack([low[:, 0], high[:, 0], high[:, 1], low[:, 1]], 1)
    else:
        shell = np.concatenate([low, high], 1)
    nodes = np.concatenate([inner, outer.reshape(-1, dim)])
    return nodes, np.concatenate([block.cells.numpy(), shell])


def _prisms_cut(prisms: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Three tetrahedra of each prism, shape (3 p, 4); neighbours agree by the order of numbers."""
    order = np.argsort(prisms[:, 0], 1)[:, None]
    (a, b, c), (d, e, f) = np.moveaxis(np.take_along_axis(prisms, order, 2), (1, 2), (0, 1))
    cells = np.stack([(a, b, c, f), (a, b, e, f), (a, d, e, f)], 1).T.reshape(-1, 4)
    at = nodes[cells]
    volume = np.einsum(
        "ei,ei->e", np.cross(at[:, 1] - at[:, 0], at[:, 2] - at[:, 0]), at[:, 3] - at[:, 0]
    )
    cells[volume < 0] = cells[volume < 0][:, [1, 0, 2, 3]]
    return cells


def _snapped(mesh: VolumeMesh, name: str, radius: float, *, axes: tuple[int, ...]) -> VolumeMesh:
    """The mesh with the nodes of a group at a distance from the origin or an axis."""
    which, nodes = mesh.nodes_of(name), mesh.nodes.clone()
    across = nodes[which][:, axes]
    nodes[which[:, None], torch.tensor(axes)] = radius * across / across.norm(dim=1, keepdim=True)
    return replace(mesh, nodes=nodes)
