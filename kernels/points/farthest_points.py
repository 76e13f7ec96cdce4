# SPDX-License-Identifier: Apache-2.0
"""Farthest-point sampling: each point chosen is the one farthest from those chosen before."""

from typing import NamedTuple

import warp as wp

from ..dtypes import factory


class FarthestKernels(NamedTuple):
    """A thread is a lane: points i, i + lanes, i + 2 lanes and so on."""

    advance: wp.Kernel


@factory
def farthest_kernels() -> FarthestKernels:
    """Make them, in float64: rounded distances would tie, and the order of points then matter."""

    @wp.kernel(module="rheograd.farthest_points", enable_backward=False)
    def advance(
        x: wp.array[wp.vec3d],
        round: int,
        lanes: int,
        distance: wp.array[wp.float64],
        best: wp.array2d[wp.float64],
        best_index: wp.array2d[wp.int32],
        chosen: wp.array[wp.int64],
    ):
        """Round r ≥ 1: names point r - 1, and takes it into account.

        Each lane finds the winner of all lanes by itself, so that a round is one launch; lanes
        write what the next round reads into the other row of `best` (2, lanes). `chosen` (count,)
        holds the first point, `distance` (n,) the least squared distance to those chosen, at the
        start infinite, or -1 for them.
        """
        lane = wp.tid()
        winner = int(chosen[0])
        if round > 1:
            row = (round - 1) % 2
            far = best[row, 0]
            winner = int(best_index[row, 0])
            for other in range(1, lanes):
                d = best[row, other]
                if d > far or (d == far and best_index[row, other] < winner):
                    far = d
                    winner = best_index[row, other]
        if lane == 0:
            chosen[round - 1] = wp.int64(winner)
        mine = wp.float64(-2.0)
        which = int(x.shape[0])
        centre = x[winner]
        for i in range(lane, x.shape[0], lanes):
            d = wp.min(distance[i], wp.length_sq(x[i] - centre))
            if i == winner:
                d = wp.float64(-1.0)
            distance[i] = d
            if d > mine:
                mine = d
                which = i
        best[round % 2, lane] = mine
        best_index[round % 2, lane] = which

    return FarthestKernels(advance)
