# SPDX-License-Identifier: Apache-2.0
"""Farthest points and neighbours, against plain loops and a k-d tree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree
from torch import Tensor

from rheograd.engine.reduced.neighbours import NeighbourSearch, neighbours
from rheograd.engine.reduced.sampling import farthest_points


def farthest_by_loop(x: np.ndarray, count: int, first: int) -> list[int]:
    chosen = [first]
    distance = np.full(len(x), np.inf)
    for _ in range(count - 1):
        distance = np.minimum(distance, ((x - x[chosen[-1]]) ** 2).sum(1))
        distance[chosen] = -1.0
        chosen.append(int(distance.argmax()))
    return chosen


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_farthest_points_are_those_of_a_loop(dtype: torch.dtype) -> None:
    x = torch.rand(700, 3, dtype=dtype)
    found = farthest_points(x, 60, first=13)
    assert found.dtype == torch.int64
    assert found.tolist() == farthest_by_loop(x.double().numpy(), 60, 13)


def test_farthest_points_of_a_lattice_go_by_index() -> None:
    """Where distances tie, as on a lattice, and where points coincide."""
    line = torch.arange(5.0, dtype=torch.float64)
    x = torch.cartesian_prod(line, line, line)
    x = torch.cat([x, x[:20]])
    assert farthest_points(x, len(x)).tolist() == farthest_by_loop(x.numpy(), len(x), 0)


def test_farthest_points_do_not_depend_on_the_order() -> None:
    x = torch.rand(500, 3)
    order = torch.randperm(500)
    first = int((order == 7).nonzero())
    there = order[farthest_points(x[order], 50, first=first)]
    assert torch.equal(there, farthest_points(x, 50, first=7))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": 11}, "11 of 10"),
        ({"count": 0}, "0 of 10"),
        ({"first": 10}, "from 0 to 9"),
        ({"x": torch.rand(10, 2)}, r"\(10, 2\)"),
        ({"x": torch.full((10, 3), torch.inf)}, "finite"),
    ],
)
def test_farthest_points_refuse(change: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"x": torch.rand(10, 3), "count": 3, "first": 0, **change}
    with pytest.raises(ValueError, match=said):
        farthest_points(given["x"], given["count"], first=given["first"])


def by_tree(q: Tensor, p: Tensor, radius: float, k: int) -> Tensor:
    _, found = KDTree(p.numpy()).query(q.numpy(), k, distance_upper_bound=radius)
    found = np.asarray(found).reshape(len(q), k)
    return torch.from_numpy(np.where(found == len(p), -1, found)).long()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("k", "radius"), [(1, 0.2), (8, 0.13), (40, 0.3), (5, 9.0)])
def test_neighbours_are_those_of_a_tree(dtype: torch.dtype, k: int, radius: float) -> None:
    """On both sides of zero, some queries outside; the hash grid's walk is short and long."""
    points = 1.4 * torch.rand(400, 3, dtype=dtype) - 0.7
    queries = 2.0 * torch.rand(150, 3, dtype=dtype) - 1.0
    found = neighbours(queries, points, radius, k)
    assert found.dtype == torch.int64
    assert torch.equal(found, by_tree(queries.double(), points.double(), radius, k))


def test_groups_do_not_mix() -> None:
    """Worlds in the same space, in one grid: each as if it were alone."""
    points, queries = torch.rand(600, 3).double(), torch.rand(90, 3).double()
    point_group, query_group = torch.randint(-2, 3, (600,)), torch.randint(-2, 4, (90,))
    found = neighbours(
        queries, points, 0.4, 9, query_group=query_group, point_group=point_group
    )  # fmt: skip
    for group in range(-2, 4):
        own = (point_group == group).nonzero()[:, 0]
        mine = query_group == group
        if not len(own):
            assert bool((found[mine] == -1).all())
            continue
        alone = by_tree(queries[mine], points[own], 0.4, 9)
        assert torch.equal(found[mine], torch.where(alone < 0, alone, own[alone]))


def test_a_point_is_not_its_own_neighbour_unless_asked() -> None:
    x = torch.rand(50, 3)
    assert torch.equal(neighbours(x, x, 0.3, 4)[:, 0], torch.arange(50))
    others = neighbours(x, x, 0.3, 4, leave_out_self=True)
    assert torch.equal(others[:, :3], neighbours(x, x, 0.3, 4)[:, 1:])


def test_ties_go_by_index_and_a_point_on_the_radius_counts() -> None:
    line = torch.arange(3.0, dtype=torch.float64)
    x = torch.cartesian_prod(line, line, line)
    order = torch.randperm(27)
    found = neighbours(x[13:14], x[order], 1.0, 8)
    six = sorted(int((order == j).nonzero()) for j in (4, 10, 12, 14, 16, 22))
    assert found.tolist() == [[int((order == 13).nonzero()), *six, -1]]


def test_a_search_is_used_again_for_other_sizes() -> None:
    search = NeighbourSearch(20, torch.empty(0, 3))
    for n in (20, 500, 0, 3):
        x = torch.rand(n, 3)
        expected = by_tree(x.double(), x.double(), 0.3, 5) if n else torch.empty(0, 5).long()
        assert torch.equal(search(x, x, 0.3, 5), expected)
    lost = torch.tensor([[torch.nan, 0.0, 0.0]])
    assert search(lost, torch.cat([lost, torch.zeros(1, 3)]), 0.3, 2).tolist() == [[-1, -1]]


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"radius": 0.0}, ValueError, "positive"),
        ({"radius": torch.inf}, ValueError, "positive"),
        ({"k": 0}, ValueError, "k = 0"),
        ({"queries": torch.rand(4, 2)}, ValueError, r"\(4, 2\)"),
        ({"queries": torch.rand(4, 3).double()}, TypeError, "float64"),
        ({"points": torch.rand(4, 3).half()}, TypeError, "float16"),
        ({"query_group": torch.zeros(4).int()}, ValueError, "point_group is missing"),
        (
            {"query_group": torch.zeros(4), "point_group": torch.zeros(4)},
            ValueError,
            "expected integers",
        ),
        ({"points": torch.rand(5, 3), "leave_out_self": True}, ValueError, "4 queries and 5"),
    ],
)
def test_neighbours_refuse(change: dict[str, Any], error: type[Exception], said: str) -> None:
    given: dict[str, Any] = {"queries": torch.rand(4, 3), "points": torch.rand(4, 3)}
    given |= {"radius": 0.5, "k": 2} | change
    with pytest.raises(error, match=said):
        neighbours(**given)
