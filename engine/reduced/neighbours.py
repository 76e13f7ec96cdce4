# SPDX-License-Identifier: Apache-2.0
"""The nearest points within a radius, a fixed number for each query."""

from __future__ import annotations

import contextlib
import math
import threading
from typing import Any

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.dtypes import types
from rheograd.kernels.points.neighbours import neighbour_kernels
from rheograd.materials.arrays import Launcher, as_warp, current_stream, precision, view

CELLS = 8
"""Cells of the hash grid for a point: what is far apart then seldom shares one."""
LARGEST = 128
"""Cells along an edge of the hash grid at most."""

_own = threading.local()


def neighbours(
    queries: Tensor,
    points: Tensor,
    radius: float,
    k: int,
    *,
    query_group: Tensor | None = None,
    point_group: Tensor | None = None,
    leave_out_self: bool = False,
) -> Tensor:
    """The k nearest points within a radius of each query; see `NeighbourSearch`, which this keeps.

    Args:
        queries: [m], shape (q, 3), float32 or float64.
        points: [m], shape (n, 3), likewise.
        radius: [m]; a point just as far counts.
        k: How many at most.
        query_group: World or body of each query, shape (q,), integers.
        point_group: Of each point, shape (n,); points of other groups are no neighbours.
        leave_out_self: Whether point i is no neighbour of query i; queries are the points then.

    Returns:
        Indices, shape (q, k), int64, by distance and then by index, -1 where there are fewer.

    Raises:
        TypeError: Precisions differ or are others.
        ValueError: A shape, the radius or k is impossible, or one of the groups is missing.
    """
    edge = _edge(len(points))
    searches = _own.__dict__.setdefault("searches", {})
    key = (points.device, points.dtype, edge)
    if key not in searches:
        searches[key] = NeighbourSearch(len(points), points)
    return searches[key](
        queries, points, radius, k, query_group=query_group, point_group=point_group,
        leave_out_self=leave_out_self,
    )  # fmt: skip


class NeighbourSearch:
    """A hash grid that is used again and again, by one thread at a time.

    A point that is not finite has no neighbours and is none. Nothing waits for a GPU.
    """

    def __init__(self, capacity: int, like: Tensor):
        """Make room.

        Args:
            capacity: Points for which the grid is made; any other number works, only slower.
            like: A tensor of the device and precision of the points.

        Raises:
            TypeError: It is neither float32 nor float64.
        """
        self.types = types(precision(like))
        self.device, self.dtype = like.device, like.dtype
        edge = _edge(capacity)
        self.grid = wp.HashGrid(
            edge, edge, edge, wp.device_from_torch(like.device), self.types.scalar
        )
        self.square = like.new_empty(0)

    def __call__(
        self,
        queries: Tensor,
        points: Tensor,
        radius: float,
        k: int,
        *,
        query_group: Tensor | None = None,
        point_group: Tensor | None = None,
        leave_out_self: bool = False,
    ) -> Tensor:
        """See `neighbours`."""
        self._check(queries, points, radius, k, leave_out_self)
        group = _groups(queries, points, query_group, point_group)
        index = torch.empty(len(queries), k, dtype=torch.int64, device=self.device)
        if not len(points) or not len(queries):
            return index.fill_(-1)
        queries, points = queries.detach().contiguous(), points.detach().contiguous()
        if self.square.numel() < index.numel():
            self.square = points.new_empty(index.numel())
        square = self.square[: index.numel()].view(index.shape)
        self._build(points, radius, group[1])
        Launcher(points)(
            neighbour_kernels(self.types.scalar).nearest, len(queries),
            [
                self.grid.id, view(points, self.types.vec3), view(queries, self.types.vec3),
                view(group[0], wp.int32), float(radius), int(leave_out_self),
                view(square, self.types.scalar), view(index, wp.int64),
            ],
        )  # fmt: skip
        return index

    def _build(self, points: Tensor, radius: float, group: Tensor) -> None:
        """Sort the points into the grid, on torch's stream."""
        stream = current_stream(self.device)
        scope: Any = contextlib.nullcontext() if stream is None else wp.ScopedStream(stream)
        with scope:
            self.grid.build(
                as_warp(points, self.types.vec3), float(radius),
                as_warp(group, wp.int32) if len(group) else None,
            )  # fmt: skip

    def _check(
        self, queries: Tensor, points: Tensor, radius: float, k: int, leave_out_self: bool
    ) -> None:
        for name, x in (("queries", queries), ("points", points)):
            if x.ndim != 2 or x.shape[1] != 3:
                raise ValueError(f"{name} have shape {tuple(x.shape)}, expected (count, 3)")
            if x.dtype != self.dtype or x.device != self.device:
                raise TypeError(
                    f"{name} are {x.dtype} on {x.device}, expected {self.dtype} on {self.device}:"
                    " convert them"
                )
        if not (radius > 0.0 and math.isfinite(radius)):
            raise ValueError(f"the radius is {radius} m: expected a positive, finite length")
        if k < 1:
            raise ValueError(f"got k = {k}: expected one neighbour or more")
        if leave_out_self and len(queries) != len(points):
            raise ValueError(
                f"leave_out_self needs the points themselves as queries; got {len(queries)}"
                f" queries and {len(points)} points"
            )


def _groups(
    queries: Tensor, points: Tensor, query_group: Tensor | None, point_group: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Of queries and of points, int32; both empty where there are none."""
    if query_group is None and point_group is None:
        empty = torch.empty(0, dtype=torch.int32, device=points.device)
        return empty, empty
    if query_group is None or point_group is None:
        missing = "query_group" if query_group is None else "point_group"
        raise ValueError(f"{missing} is missing: expected groups of both queries and points")
    for name, group, x in (
        ("query_group", query_group, queries), ("point_group", point_group, points),
    ):  # fmt: skip
        if group.shape != (len(x),) or group.is_floating_point():
            raise ValueError(
                f"{name} is {group.dtype} of shape {tuple(group.shape)}, expected integers of"
                f" shape ({len(x)},)"
            )
    first, second = (g.to(points.device, torch.int32) for g in (query_group, point_group))
    return first.contiguous(), second.contiguous()


def _edge(count: int) -> int:
    """Cells along an edge of a grid for so many points: a power of two."""
    wanted = math.ceil(math.log2(max(CELLS * count, 1)) / 3)
    return min(max(2**wanted, 4), LARGEST)
