# SPDX-License-Identifier: Apache-2.0
"""The surface of a mesh: the sides of cells that no other cell shares, as flat facets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_SIDES = {
    "tri": ((0, 1, 2),),
    "quad": ((0, 1, 2, 3),),
    "tet": ((0, 1, 3), (1, 2, 3), (2, 0, 3), (0, 2, 1)),
    "hex": ((0, 4, 7, 3), (1, 2, 6, 5), (0, 1, 5, 4), (3, 7, 6, 2), (0, 3, 2, 1), (4, 5, 6, 7)),
}
"""Corners of each side, seen from outside counter-clockwise; of a hex in the order of centres."""
_EDGES = {
    "tri": "01 12 20",
    "quad": "01 12 23 30",
    "tet": "01 12 20 03 13 23",
    "hex": "01 12 23 30 45 56 67 74 04 15 26 37",
}
"""Corners of each edge in the order of the nodes on them, which follow the corners."""
_CORNERS = {"tri": 3, "quad": 4, "tet": 4, "hex": 8}
_CENTRED = {"quad9", "hex27"}


class Skin(NamedTuple):
    """Facets and edges, which name nodes by their place in `points`."""

    points: np.ndarray
    """Numbers of the nodes on the surface, shape (m,)."""
    facets: tuple[np.ndarray, ...]
    """Corners of facets, an array (f, 3) or (f, 4) for each number of corners."""
    owners: np.ndarray
    """The cell of each facet, in the order of `facets`, shape (f,)."""
    edges: np.ndarray
    """Ends of the edges of cells, in straight parts, shape (l, 2)."""

    @property
    def triangles(self) -> np.ndarray:
        """Corners of the facets cut into triangles, shape (k, 3)."""
        fans = [f[:, [0, i, i + 1]] for f in self.facets for i in range(1, f.shape[1] - 1)]
        return np.concatenate(fans)


def skin(kind: str, nodes: np.ndarray) -> Skin:
    """The surface of cells; plane cells are all of them surface.

    Args:
        kind: Of the cells.
        nodes: Of each cell, in VTK's order, shape (e, a).
    """
    family = kind.rstrip("0123456789")
    table, corners = _sides(kind)
    sides = nodes[:, table]
    owners = np.repeat(np.arange(len(nodes)), len(table))
    sides = sides.reshape(-1, table.shape[1])
    if family in ("tet", "hex"):
        outer = _alone(np.sort(sides[:, :corners], 1))
        sides, owners = sides[outer], owners[outer]
    facets = [sides[:, pattern] for pattern in _facets(corners, table.shape[1])]
    widths = sorted({facet.shape[1] for facet in facets})
    ordered = [[facet for facet in facets if facet.shape[1] == width] for width in widths]
    ends = sides[:, _outline(corners, table.shape[1])]
    edges = np.sort(np.stack([ends, np.roll(ends, -1, 1)], -1).reshape(-1, 2), 1)
    edges = edges[_first(edges)]
    points = np.unique(sides)
    place = np.zeros(int(nodes.max()) + 1, np.int64)
    place[points] = np.arange(len(points))
    return Skin(
        points,
        tuple(place[np.concatenate(same)] for same in ordered),
        np.tile(owners, len(facets)),
        place[edges],
    )


def walls(kind: str, nodes: np.ndarray) -> tuple[np.ndarray, ...]:
    """All sides of cells, each once, as flat facets of nodes: arrays (f, 3) or (f, 4).

    Args:
        kind: Of the cells.
        nodes: Of each cell, in VTK's order, shape (e, a).
    """
    table, corners = _sides(kind)
    sides = nodes[:, table].reshape(-1, table.shape[1])
    sides = sides[_first(np.sort(sides[:, :corners], 1))]
    return tuple(sides[:, pattern] for pattern in _facets(corners, table.shape[1]))


def _sides(kind: str) -> tuple[np.ndarray, int]:
    """Nodes of each side of a cell (s, w), and how many are corners.

    After the k corners come the k nodes between them and one in the middle, where there are any.
    """
    family = kind.rstrip("0123456789")
    edges = {frozenset(map(int, edge)): k for k, edge in enumerate(_EDGES[family].split())}
    first = _CORNERS[family]
    quadratic = int(kind.removeprefix(family)) > first
    rows = []
    for number, side in enumerate(_SIDES[family]):
        row = list(side)
        if quadratic:
            pairs = zip(side, (*side[1:], side[0]), strict=True)
            row += [first + edges[frozenset(pair)] for pair in pairs]
        if kind in _CENTRED:
            row.append(first + len(edges) + number)
        rows.append(row)
    return np.array(rows), len(_SIDES[family][0])


def _facets(corners: int, width: int) -> list[list[int]]:
    """The flat parts of a side of so many corners and nodes."""
    k = corners
    if width == k:
        return [list(range(k))]
    if width > 2 * k:
        return [[i, k + i, 2 * k, k + (i - 1) % k] for i in range(k)]
    return [*([i, k + i, k + (i - 1) % k] for i in range(k)), list(range(k, 2 * k))]


def _outline(corners: int, width: int) -> list[int]:
    """The nodes around a side."""
    if width == corners:
        return list(range(corners))
    return [node for i in range(corners) for node in (i, corners + i)]


def _groups(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order of rows (r, w) in which equal ones are neighbours, and where each lot begins."""
    order = np.lexsort(rows.T)
    fresh = np.ones(len(rows), bool)
    fresh[1:] = (rows[order][1:] != rows[order][:-1]).any(1)
    return order, fresh


def _first(rows: np.ndarray) -> np.ndarray:
    """Numbers of rows such that each is there once."""
    order, fresh = _groups(rows)
    return np.sort(order[fresh])


def _alone(rows: np.ndarray) -> np.ndarray:
    """Numbers of the rows that no other equals."""
    order, fresh = _groups(rows)
    last = np.append(fresh[1:], True)
    return np.sort(order[fresh & last])
