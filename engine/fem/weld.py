# SPDX-License-Identifier: Apache-2.0
"""Numbers of the nodes of several bodies: where nodes of two coincide at rest they are one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from torch import Tensor

NEAR = 1e-6
"""How far apart nodes of two bodies may be to be one, by the distance of nodes in a body [-]."""


def weld(nodes: Sequence[Tensor], worlds: Sequence[int]) -> tuple[list[Tensor], Tensor]:
    """Number the nodes of all bodies.

    Args:
        nodes: Of each body, at rest [m], shape (n, 3).
        worlds: Of each body; only bodies of one world are welded.

    Returns:
        For each body the numbers of its nodes, shape (n,), int64; and for each number the first
        node that has it, counted over all bodies one after the other, shape (m,), int64.
    """
    places = [x.detach().cpu().double().numpy() for x in nodes]
    starts = np.cumsum([0, *(len(x) for x in places)])
    pairs = [np.zeros((0, 2), np.int64)]
    for i, j in _neighbours(places, worlds):
        trees = (KDTree(places[i]), KDTree(places[j]))
        apart = trees[0].query(places[i][:64], k=2)[0][:, 1].min()
        lists = trees[0].query_ball_tree(trees[1], NEAR * float(apart))
        found = [(starts[i] + a, starts[j] + b) for a, row in enumerate(lists) for b in row]
        pairs.append(np.array(found, np.int64).reshape(-1, 2))
    joined = np.concatenate(pairs)
    total = int(starts[-1])
    graph = coo_matrix((np.ones(len(joined)), (joined[:, 0], joined[:, 1])), shape=(total, total))
    _, label = connected_components(graph, directed=False)
    _, first, number = np.unique(label, return_index=True, return_inverse=True)
    order = np.argsort(first)  # numbers in the order in which nodes come
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    numbers = torch.from_numpy(rank[number])
    cuts = [len(x) for x in places]
    return list(numbers.split(cuts)), torch.from_numpy(first[order])


def _neighbours(places: Sequence[np.ndarray], worlds: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of bodies of one world whose boxes touch."""
    boxes = [(x.min(0), x.max(0)) for x in places]
    together: dict[int, list[int]] = {}
    for body, world in enumerate(worlds):
        together.setdefault(world, []).append(body)
    found = []
    for i, j in (pair for bodies in together.values() for pair in combinations(bodies, 2)):
        low, high = boxes[i]
        slack = NEAR * (high - low).max()
        apart = (boxes[j][0] > high + slack) | (boxes[j][1] < low - slack)
        if not apart.any():
            found.append((i, j))
    return found
