# SPDX-License-Identifier: Apache-2.0
"""Which nodes of a box-shaped cell are one: those at the same place of opposite faces."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

NEAR = 1e-6
"""Distance at which two nodes are at one place, by the diagonal of the cell."""


class Periodicity(NamedTuple):
    """How a cell is continued."""

    masters: Tensor
    """For each node the number of the unknown that it shares, shape (n,), int64: 0 to m - 1."""
    pinned: int
    """The unknown that is held at zero: that of the corner with the least coordinates, or of the
    node nearest to it."""
    lower: Tensor
    """Least coordinates [m], shape (dim,)."""
    sides: Tensor
    """Lengths of the cell [m], shape (dim,)."""


def match(nodes: Tensor, dim: int) -> Periodicity:
    """Pair the nodes of opposite faces.

    Args:
        nodes: Positions [m], shape (n, 3).
        dim: 2 or 3.

    Raises:
        ValueError: A node on a face has no partner; says which and where.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    x = nodes.detach().cpu().double().numpy()[:, :dim]
    lower, upper = x.min(0), x.max(0)
    near = NEAR * float(np.linalg.norm(upper - lower))
    pairs = [_paired(x, axis, lower, upper, near) for axis in range(dim)]
    one, other = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(x), len(x)))
    _, label = connected_components(graph, directed=False)
    _, first, masters = np.unique(label, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    masters = rank[masters]
    corner = int(np.linalg.norm(x - lower, axis=1).argmin())
    return Periodicity(
        torch.from_numpy(masters.astype(np.int64)), int(masters[corner]),
        torch.from_numpy(lower), torch.from_numpy(upper - lower),
    )  # fmt: skip


def _paired(
    x: np.ndarray, axis: int, lower: np.ndarray, upper: np.ndarray, near: float
) -> np.ndarray:
    """Numbers of the nodes of the lower and of the upper face along an axis, shape (2, k)."""
    from scipy.spatial import KDTree

    low = np.flatnonzero(x[:, axis] < lower[axis] + near)
    high = np.flatnonzero(x[:, axis] > upper[axis] - near)
    across = np.delete(x, axis, axis=1)
    gap, partner = KDTree(across[high]).query(across[low])
    back, _ = KDTree(across[low]).query(across[high])
    name = "xyz"[axis]
    for here, numbers, gaps, there in (("-", low, gap, "+"), ("+", high, back, "-")):
        if (gaps > near).any():
            alone = numbers[gaps > near]
            place = ", ".join(f"{c:.6g}" for c in x[alone[0]])
            raise ValueError(
                f"the mesh is not periodic: {len(alone)} of {len(numbers)} nodes of the face "
                f"{name}{here} have no partner on {name}{there}, the first is node {alone[0]} at "
                f"({place}) m; expected the same places on both: mesh opposite faces alike (in "
                "Gmsh: Periodic Line, Periodic Surface)"
            )
    return np.stack([low, high[partner]])
