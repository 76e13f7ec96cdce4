# SPDX-License-Identifier: Apache-2.0
"""The nearest points of each query, from a hash grid."""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types


class NeighbourKernels(NamedTuple):
    """Of one precision; a thread is a query."""

    nearest: wp.Kernel


@factory
def neighbour_kernels(dtype: Any) -> NeighbourKernels:
    """Make them."""
    t = types(dtype)
    scalar, vec3 = t.scalar, t.vec3

    @wp.kernel(module=f"rheograd.neighbours_{t.suffix}", enable_backward=False)
    def nearest(
        grid: wp.uint64,
        points: wp.array[vec3],  # type: ignore[valid-type]
        queries: wp.array[vec3],  # type: ignore[valid-type]
        group: wp.array[wp.int32],
        radius: scalar,  # type: ignore[valid-type]
        leave_out_self: int,
        square_out: wp.array2d[scalar],  # type: ignore[valid-type]
        index_out: wp.array2d[wp.int64],
    ):
        """Fills row i of (queries, k), by distance and then by index; -1 where there are fewer.

        An empty `group` is all one group, as the grid then is. The order in which the grid walks
        leaves no trace: a row is kept sorted while it grows.
        """
        i = wp.tid()
        x = queries[i]
        k = index_out.shape[1]
        mine = int(0)
        if group.shape[0] > 0:
            mine = group[i]
        reach = radius * radius
        count = int(0)
        for j in wp.hash_grid_query(grid, x, radius, mine):
            d = wp.length_sq(points[j] - x)
            if d <= reach and not (leave_out_self != 0 and j == i):
                at = int(count)
                if count == k:
                    at = k
                    last = square_out[i, k - 1]
                    if d < last or (d == last and wp.int64(j) < index_out[i, k - 1]):
                        at = k - 1
                if at < k:
                    moving = bool(at > 0)
                    while moving:
                        before = square_out[i, at - 1]
                        moving = d < before or (d == before and wp.int64(j) < index_out[i, at - 1])
                        if moving:
                            square_out[i, at] = before
                            index_out[i, at] = index_out[i, at - 1]
                            at -= 1
                            moving = at > 0
                    square_out[i, at] = d
                    index_out[i, at] = wp.int64(j)
                    count = wp.min(count + 1, k)
        for at in range(count, k):
            index_out[i, at] = wp.int64(-1)

    return NeighbourKernels(nearest)
