# SPDX-License-Identifier: Apache-2.0
"""Momentum balance at the grid nodes.

At a node: v = p / (m + offset) + dt g, then each wall and each collider in turn (contacts.py).

A node without mass is left with whatever velocity it had: whoever reads it has weight zero there.
The fourth number of a velocity means nothing. Particles may have been added to several grids, one
behind the other in memory, each by a thread of its own; the balance reads their sum.
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types
from .contacts import contacts, open_
from .transfers import POSITIVE


class GridKernels(NamedTuple):
    """Momentum balance of one precision."""

    balance: wp.Kernel
    penetration: wp.Kernel


@factory
def private_grids(dtype: Any) -> Any:
    """Sum and clearing of a node over `grids` grids that lie one behind the other."""
    vec4 = types(dtype).vec4

    @wp.func
    def total(grid: wp.array[vec4], node: wp.int32, grids: wp.int32):
        size = grid.shape[0] // grids
        out = grid[node]
        for other in range(1, grids):
            out += grid[node + other * size]
        return out

    @wp.func
    def clear(grid: wp.array[vec4], node: wp.int32, grids: wp.int32):
        size = grid.shape[0] // grids
        for other in range(grids):
            grid[node + other * size] = vec4()

    class PrivateGrids(NamedTuple):
        total: Any
        clear: Any

    return PrivateGrids(total, clear)


@factory
def grid(dtype: Any) -> GridKernels:
    """Momentum balance at the nodes of touched rows, and the penetration check at build time."""
    t = types(dtype)
    scalar, vec3, vec4 = t.scalar, t.vec3, t.vec4
    parts = contacts(dtype)
    Walls, Colliders, find, apply = parts.Walls, parts.Colliders, parts.find, parts.apply
    total, clear = private_grids(dtype)
    module = f"rheograd.kernels.mpm.grid.{t.suffix}"

    @wp.kernel(module=module, enable_backward=False)
    def balance(
        origin: vec3,
        h: scalar,
        nodes: wp.vec3i,
        lanes: wp.int32,
        dt: scalar,
        offset: scalar,
        gravity: wp.array[vec3],
        clock: wp.array[wp.int32],
        touched: wp.array[wp.int32],
        walls: Walls,
        table: Colliders,
        keep: wp.int32,
        first: wp.int32,
        grids: wp.int32,
        momentum: wp.array[vec4],
        velocity_out: wp.array[vec4],
    ):
        line, lane = wp.tid()
        row = first + line
        now = clock[0]
        if touched[row] != now:
            return
        j = row % nodes[1]
        i = (row // nodes[1]) % nodes[0]
        world = row // (nodes[0] * nodes[1])
        fall = dt * gravity[world]
        kick = vec4(fall[0], fall[1], fall[2], scalar(0.0))
        margin = walls.margin
        count = 6 + table.shape.shape[1]
        rim = (
            i <= margin
            or j <= margin
            or i >= nodes[0] - 2 - margin
            or j >= nodes[1] - 2 - margin
            or count > 6
        )
        for k in range(lane, nodes[2], lanes):
            node = (row * nodes[2] + k) & POSITIVE
            q = momentum[node]
            if grids > 1:
                q = total(momentum, node, grids)
            if q[3] > scalar(0.0):
                s = scalar(1.0) / (q[3] + offset)
                v = s * q + kick
                if rim or k <= margin or k >= nodes[2] - 2 - margin:
                    x = origin + h * vec3(scalar(i), scalar(j), scalar(k))
                    u = vec3(v[0], v[1], v[2])
                    for c in range(count):
                        u = apply(u, find(c, world, now, wp.vec3i(i, j, k), nodes, x, walls, table))
                    v = vec4(u[0], u[1], u[2], scalar(0.0))
                velocity_out[node] = v
                if keep == 0:
                    momentum[node] = vec4()
                    if grids > 1:
                        clear(momentum, node, grids)

    @wp.kernel(module=module, enable_backward=False)
    def penetration(
        x: wp.array[vec3],
        world: wp.array[wp.int32],
        table: Colliders,
        hit_out: wp.array[wp.int32],
    ):
        p = wp.tid()
        hit_out[p] = -1
        for k in range(table.shape.shape[1]):
            found = find(6 + k, world[p], 0, wp.vec3i(), wp.vec3i(), x[p], Walls(), table)
            if found.mode != open_:
                hit_out[p] = k

    return GridKernels(balance, penetration)
