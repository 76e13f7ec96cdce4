# SPDX-License-Identifier: Apache-2.0
"""Closed triangle surfaces: reading them, refusing leaky ones, telling inside from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

BATCH = 4_000_000
"""Pairs of a triangle and a point looked at together."""


class Mesh(NamedTuple):
    """A closed surface, wound so that its volume is positive."""

    vertices: np.ndarray
    """[m], shape (m, 3), float64."""
    triangles: np.ndarray
    """Corners, counter-clockwise from outside, shape (k, 3), int64."""
    volume: float
    """[m³]"""
    centroid: np.ndarray
    """Centre of volume [m], shape (3,)."""


def read_mesh(path: Path, *, scale: float = 1.0, mend: bool = False) -> Mesh:
    """Read a surface and check that it encloses a volume.

    Args:
        path: A file that trimesh reads: obj, stl, ply, glb, off, ...
        scale: Metres per unit of the file.
        mend: Whether to close small holes and to turn triangles before the check.

    Returns:
        The surface.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is unreadable, empty, leaky or encloses nothing.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no mesh file {path}: check the path")
    import trimesh

    try:
        surface = trimesh.load_mesh(str(path), process=True)
        if isinstance(surface, trimesh.Scene):
            surface = surface.to_mesh()
    except Exception as error:
        raise ValueError(
            f"{path} is not a readable mesh: it is damaged or of an unknown kind; export it as"
            " .obj, .stl or .ply"
        ) from error
    if not isinstance(surface, trimesh.Trimesh) or not len(surface.faces):
        raise ValueError(f"{path} holds no triangle, expected a closed surface of triangles")
    surface.merge_vertices(merge_tex=True, merge_norm=True)
    surface.update_faces(surface.nondegenerate_faces())
    if not np.isfinite(surface.vertices).all():
        raise ValueError(f"{path} has corners that are not finite numbers: export it again")
    if mend:
        surface.update_faces(surface.unique_faces())
        trimesh.repair.fix_winding(surface)
    vertices = np.asarray(surface.vertices, np.float64)
    triangles = np.asarray(surface.faces, np.int64)
    if mend:
        vertices, triangles = close_holes(vertices, triangles)
    _refuse_leaks(path, vertices, triangles, mend)
    return _wound(path, scale * vertices, triangles)


def _edges(triangles: np.ndarray) -> np.ndarray:
    """The directed edges of the triangles, shape (3 k, 2)."""
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])


def close_holes(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Close every hole by a fan about the mean of its rim.

    Args:
        vertices: Shape (m, 3).
        triangles: Corners, all turned one way, shape (k, 3).

    Returns:
        Vertices and triangles with those of the lids behind them.
    """
    edges = _edges(triangles)
    names, uses = np.unique(np.sort(edges, 1), axis=0, return_counts=True)
    single = {tuple(edge) for edge in names[uses == 1].tolist()}
    after: dict[int, list[int]] = {}
    for a, b in edges.tolist():
        if (min(a, b), max(a, b)) in single:
            after.setdefault(b, []).append(a)
    lids, centres = [], []
    for loop in _loops(after):
        middle = len(vertices) + len(centres)
        centres.append(vertices[loop].mean(0))
        lids += [(a, b, middle) for a, b in zip(loop, [*loop[1:], loop[0]], strict=True)]
    if not lids:
        return vertices, triangles
    return np.concatenate([vertices, centres]), np.concatenate([triangles, lids])


def _loops(after: dict[int, list[int]]) -> Iterator[list[int]]:
    """The closed walks without a repeated corner that the edges from corner to corner make up."""
    for start in list(after):
        walk = [start]
        while after.get(walk[-1]):
            corner = after[walk[-1]].pop()
            if corner in walk:
                first = walk.index(corner)
                yield walk[first:]
                walk = walk[:first]
            walk.append(corner)


def _refuse_leaks(path: Path, vertices: np.ndarray, triangles: np.ndarray, mended: bool) -> None:
    edges = _edges(triangles)
    forward = edges[:, 0] < edges[:, 1]
    names, which = np.unique(np.sort(edges, 1), axis=0, return_inverse=True)
    leaky = np.bincount(which, np.where(forward, 1, -1), len(names)) != 0
    if not leaky.any():
        return
    uses = np.bincount(which, minlength=len(names))[leaky]
    if (uses == 1).any():
        kind, first = f"{int((uses == 1).sum())} edges belong to one triangle only", uses == 1
    elif (uses % 2).any():
        kind, first = f"{int((uses % 2).sum())} edges join three or more triangles", uses % 2 == 1
    else:
        kind, first = f"{len(uses)} edges join triangles that face opposite ways", uses > 0
    spot = ", ".join(f"{c:.4g}" for c in vertices[names[leaky][first][0]].mean(0))
    remedy = (
        "mend it in Blender (3D-Print Toolbox, Make Manifold) or MeshLab (Close Holes)"
        if mended
        else "try MeshShape(..., mend=True), which closes holes, or mend it in Blender "
        "(3D-Print Toolbox, Make Manifold) or MeshLab (Close Holes)"
    )
    raise ValueError(
        f"{path} is not watertight: {kind}, the first near ({spot}) in units of the file; {remedy}"
    )


def _wound(path: Path, vertices: np.ndarray, triangles: np.ndarray) -> Mesh:
    middle = 0.5 * (vertices.min(0) + vertices.max(0))
    a, b, c = (vertices[triangles[:, k]] - middle for k in range(3))
    parts = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6
    volume = float(parts.sum())
    if abs(volume) <= 1e-12 * float(np.prod(np.ptp(vertices, axis=0)) or 1.0):
        raise ValueError(f"{path} encloses no volume, expected a closed surface of a solid")
    centroid = middle + (parts[:, None] * (a + b + c)).sum(0) / (4 * volume)
    if volume < 0:
        triangles = triangles[:, ::-1].copy()
    return Mesh(vertices, triangles, abs(volume), centroid)


def inside(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Which points a closed surface winds around, by the crossings of a ray along +z.

    No ray slips through an edge or counts twice: an edge is judged in one direction for both of
    its triangles, and a point in line with it as if moved by (ε, ε²) (Edelsbrunner and Mücke 1990,
    "Simulation of simplicity"). Points are sorted into columns, so that a triangle is tried on
    those near it.

    Args:
        points: Shape (n, 3).
        vertices: Shape (m, 3).
        triangles: Corners, shape (k, 3).

    Returns:
        Shape (n,), bool.
    """
    lower, upper = vertices[:, :2].min(0), vertices[:, :2].max(0)
    count = int(np.clip(np.sqrt(len(points)), 1, 1024))
    width = np.maximum((upper - lower) / count, np.finfo(float).tiny)

    def column(xy: np.ndarray) -> np.ndarray:
        return np.clip(np.floor((xy - lower) / width), 0, count - 1).astype(np.int64)

    own = column(points[:, :2]) @ np.array([count, 1])
    order = np.argsort(own, kind="stable")
    first = np.searchsorted(own[order], np.arange(count * count + 1))
    corners = vertices[triangles]
    low, high = column(corners[..., :2].min(1)), column(corners[..., :2].max(1))
    spans = high - low + 1
    triangle, cell = _expand(spans.prod(1), np.arange(len(triangles)))
    row = low[triangle, 0] + cell // spans[triangle, 1]
    cell = row * count + low[triangle, 1] + cell % spans[triangle, 1]
    load = first[cell + 1] - first[cell]
    winding = np.zeros(len(points), np.int64)
    cuts = np.searchsorted(np.cumsum(load), np.arange(BATCH, load.sum() + BATCH, BATCH), "right")
    start = 0
    for stop in [*cuts.tolist(), len(load)]:
        pick = slice(start, stop)
        which, rank = _expand(load[pick], np.arange(start, stop))
        point = order[first[cell[which]] + rank]
        winding += _crossings(points, vertices, triangles, point, triangle[which])
        start = stop
    return winding != 0


def _expand(lengths: np.ndarray, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each owner repeated `lengths` times, and 0, 1, 2, ... within each."""
    starts = np.cumsum(lengths) - lengths
    return np.repeat(owners, lengths), np.arange(lengths.sum()) - np.repeat(starts, lengths)


def _crossings(
    points: np.ndarray,
    vertices: np.ndarray,
    triangles: np.ndarray,
    point: np.ndarray,
    triangle: np.ndarray,
) -> np.ndarray:
    """Signed number of triangles above each point, over the pairs given, shape (n,)."""
    p, sides = points[point], []
    for k in range(3):
        i, j = triangles[triangle, k], triangles[triangle, (k + 1) % 3]
        a, b = vertices[np.minimum(i, j)], vertices[np.maximum(i, j)]
        along = b - a
        area = along[:, 0] * (p[:, 1] - a[:, 1]) - along[:, 1] * (p[:, 0] - a[:, 0])
        tie = np.where(along[:, 1] == 0, along[:, 0], -along[:, 1])
        side = np.sign(np.where(area == 0, tie, area))
        sides.append(np.where(i < j, side, -side))
    within = (sides[0] != 0) & (sides[0] == sides[1]) & (sides[1] == sides[2])
    point, triangle, sign = point[within], triangle[within], sides[0][within]
    a, b, c = (vertices[triangles[triangle, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    above = np.einsum("ij,ij->i", normal, a - points[point]) * sign > 0
    return np.bincount(point, sign * above, len(points)).astype(np.int64)
