# SPDX-License-Identifier: Apache-2.0
"""Sides of cells: which are on the boundary, and which one has given corners."""

from __future__ import annotations

import numpy as np

from .elements import Element

_CORNERS = {"line": 2, "tri": 3, "quad": 4, "tet": 4, "hex": 8}


def family(name: str) -> str:
    """What is common to the elements of one form: "tet", "hex", "tri", "quad" or "line"."""
    return name.rstrip("0123456789")


def corners(name: str) -> int:
    """How many nodes of an element, its first ones, are corners."""
    return _CORNERS[family(name)]


def boundary(kind: Element, cells: np.ndarray) -> np.ndarray:
    """The sides that belong to one cell only.

    Args:
        kind: Of the cells.
        cells: Nodes, shape (e, a).

    Returns:
        Their nodes in the order of the side's element, outward, shape (f, b).

    Raises:
        ValueError: Three or more cells share a side.
    """
    sides = _all(kind, cells).reshape(-1, len(kind.facets[0]))
    group = same_rows(np.sort(sides[:, : corners(kind.facet)], 1))
    uses = np.bincount(group)
    if uses.max() > 2:
        many = int((uses > 2).sum())
        spot = sides[np.argmax(uses[group] > 2)].tolist()
        raise ValueError(
            f"got {many} sides that three or more cells share, the first of nodes {spot}, expected "
            "one or two cells at a side: remove cells that lie in one another or come twice"
        )
    return sides[uses[group] == 1]


def neighbours(kind: Element, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells that share a side.

    Args:
        kind: Of the cells.
        cells: Nodes, shape (e, a).

    Returns:
        The two cells at each inner side, shape (s, 2), and the corners of that side, shape (s, c).
    """
    sides = _all(kind, cells)[..., : corners(kind.facet)]
    flat = sides.reshape(-1, sides.shape[-1])
    group = same_rows(np.sort(flat, 1))
    order = np.argsort(group, kind="stable")
    twice = np.flatnonzero(group[order][1:] == group[order][:-1])
    first, second = order[twice], order[twice + 1]
    count = sides.shape[1]
    return np.stack([first // count, second // count], 1), flat[first]


def matched(kind: Element, cells: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sides of cells that have given corners; of two cells at a side the first.

    Args:
        kind: Of the cells.
        cells: Nodes, shape (e, a).
        wanted: Corners of the sides in any order, shape (f, c).

    Returns:
        Nodes in the order of the side's element, outward of its cell, shape (f, b), and which were
        found, shape (f,), bool; rows of those that were not are meaningless.
    """
    count = corners(kind.facet)
    sides = _all(kind, cells)
    touched = np.zeros(int(cells.max()) + 1, bool)
    touched[wanted] = True
    near = sides[touched[sides[..., :count]].all(-1)]
    rows = np.concatenate([near[:, :count], wanted])
    group = same_rows(np.sort(rows, 1))
    first = np.full(int(group.max(initial=0)) + 1, -1)
    first[group[: len(near)][::-1]] = np.arange(len(near))[::-1]
    pick = first[group[len(near) :]]
    if not len(near):
        return np.zeros((len(wanted), sides.shape[-1]), np.int64), pick >= 0
    return near[pick], pick >= 0


def _all(kind: Element, cells: np.ndarray) -> np.ndarray:
    """Shape (e, s, b)."""
    return cells[:, np.array(kind.facets)]


def same_rows(rows: np.ndarray) -> np.ndarray:
    """A number for each row, the same for equal rows, shape (n,)."""
    order = np.lexsort(rows.T)
    ranked = rows[order]
    new = np.ones(len(rows), bool)
    new[1:] = (ranked[1:] != ranked[:-1]).any(1)
    group = np.empty(len(rows), np.int64)
    group[order] = np.cumsum(new) - 1
    return group
