# SPDX-License-Identifier: Apache-2.0
"""Adjoint of the momentum balance at the grid nodes (grid.py), written by hand."""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types
from .contacts import contact, contacts, distances, open_, sticky
from .grid import private_grids


class GridAdjoint(NamedTuple):
    """Adjoint of the momentum balance of one precision."""

    balance: wp.Kernel
    ColliderBars: Any
    """Struct of the gradient arrays of the colliders."""


@factory
def grid_adjoint(dtype: Any) -> GridAdjoint:
    """Adjoint of the momentum balance; contacts are applied again up to each one in turn."""
    t = types(dtype)
    scalar, vec3, vec4, quat = t.scalar, t.vec3, t.vec4, t.quat
    parts = contacts(dtype)
    Walls, Colliders, Contact = parts.Walls, parts.Colliders, parts.Contact
    find, apply = parts.find, parts.apply
    shape_normal_adjoint = distances(dtype).shape_normal_adjoint
    total, clear = private_grids(dtype)
    module = f"rheograd.kernels.mpm.grid_adjoint.{t.suffix}"

    @wp.struct
    class ColliderBars:
        friction: wp.array2d[scalar]
        position: wp.array3d[vec3]
        rotation: wp.array3d[quat]
        velocity: wp.array3d[vec3]
        spin: wp.array3d[vec3]

    @wp.struct
    class ContactBar:
        v: vec3
        normal: vec3
        velocity: vec3
        friction: scalar

    @wp.func
    def apply_adjoint(v: vec3, hit: Contact, out_bar: vec3):
        """Gradients of `apply` with respect to v, the normal, the velocity and the friction."""
        bar = ContactBar()
        bar.v = out_bar
        if hit.mode == open_:
            return bar
        if hit.mode == sticky:
            bar.v = vec3()
            bar.velocity = out_bar
            return bar
        r = v - hit.velocity
        a = wp.dot(r, hit.normal)
        if hit.mode == contact and a >= scalar(0.0):
            return bar
        tangent = r - a * hit.normal
        t_bar = out_bar
        a_bar = scalar(0.0)
        length = wp.length(tangent)
        if hit.mode == contact and length + hit.friction * a <= scalar(0.0):
            t_bar = vec3()
        elif hit.mode == contact and length > scalar(0.0):
            e = tangent / length
            along = wp.dot(e, out_bar)
            t_bar = out_bar + (hit.friction * a / length) * (out_bar - along * e)
            a_bar = hit.friction * along
            bar.friction = a * along
        a_bar -= wp.dot(hit.normal, t_bar)
        r_bar = t_bar + a_bar * hit.normal
        bar.normal = a_bar * r - a * t_bar
        bar.v = r_bar
        bar.velocity = out_bar - r_bar
        return bar

    @wp.func
    def push(
        k: wp.int32,
        world: wp.int32,
        now: wp.int32,
        x: vec3,
        table: Colliders,
        hit: Contact,
        bar: ContactBar,
        bars: ColliderBars,
    ):
        """Add the gradients of a contact at x to those of collider k."""
        step = wp.min(now, table.position.shape[0] - 1)
        arm = x - table.position[step, world, k]
        turn = table.rotation[step, world, k]
        y_bar = shape_normal_adjoint(
            table.shape[world, k],
            table.size[world, k],
            wp.quat_rotate_inv(turn, arm),
            wp.quat_rotate_inv(turn, bar.normal),
        )
        g = wp.quat_rotate(turn, y_bar)
        arm_bar = g + wp.cross(bar.velocity, table.spin[step, world, k])
        # a small rotation w turns n by w x n, and the local point by -w x arm
        w_bar = scalar(2.0) * (wp.cross(hit.normal, bar.normal) - wp.cross(arm, g))
        wp.atomic_add(bars.friction, world, k, bar.friction)
        wp.atomic_add(bars.position, step, world, k, -arm_bar)
        wp.atomic_add(bars.velocity, step, world, k, bar.velocity)
        wp.atomic_add(bars.spin, step, world, k, wp.cross(arm, bar.velocity))
        pure = quat(w_bar[0], w_bar[1], w_bar[2], scalar(0.0))
        wp.atomic_add(bars.rotation, step, world, k, pure * turn)

    @wp.kernel(module=module, enable_backward=False)
    def balance_adjoint(
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
        grids: wp.int32,
        momentum: wp.array[vec4],
        velocity_bar: wp.array[vec4],
        momentum_bar_out: wp.array[vec4],
        gravity_bar_out: wp.array[vec3],
        wall_friction_bar_out: wp.array2d[scalar],
        bars: ColliderBars,
    ):
        row, lane = wp.tid()
        now = clock[0]
        if touched[row] != now:
            return
        j = row % nodes[1]
        i = (row // nodes[1]) % nodes[0]
        world = row // (nodes[0] * nodes[1])
        kick = dt * gravity[world]
        margin = walls.margin
        count = 6 + table.shape.shape[1]
        rim = (
            i <= margin
            or j <= margin
            or i >= nodes[0] - 2 - margin
            or j >= nodes[1] - 2 - margin
            or count > 6
        )
        gravity_bar = vec3()
        for k in range(lane, nodes[2], lanes):
            node = row * nodes[2] + k
            q = total(momentum, node, grids)
            if q[3] > scalar(0.0):
                s = scalar(1.0) / (q[3] + offset)
                mean = vec3(q[0] * s, q[1] * s, q[2] * s)
                b4 = total(velocity_bar, node, grids)
                b = vec3(b4[0], b4[1], b4[2])
                if rim or k <= margin or k >= nodes[2] - 2 - margin:
                    index = wp.vec3i(i, j, k)
                    x = origin + h * vec3(scalar(i), scalar(j), scalar(k))
                    for reverse in range(count):
                        c = count - 1 - reverse
                        hit = find(c, world, now, index, nodes, x, walls, table)
                        if hit.mode != open_:
                            v = mean + kick
                            for before in range(c):
                                v = apply(
                                    v, find(before, world, now, index, nodes, x, walls, table)
                                )
                            bar = apply_adjoint(v, hit, b)
                            b = bar.v
                            if c < 6:
                                wp.atomic_add(wall_friction_bar_out, world, c, bar.friction)
                            else:
                                push(c - 6, world, now, x, table, hit, bar, bars)
                gravity_bar += dt * b
                p_bar = s * b
                m_bar = -wp.dot(p_bar, mean)
                momentum_bar_out[node] = vec4(p_bar[0], p_bar[1], p_bar[2], m_bar)
                clear(momentum, node, grids)
                clear(velocity_bar, node, grids)
            else:
                momentum_bar_out[node] = vec4()
        wp.atomic_add(gravity_bar_out, world, gravity_bar)

    return GridAdjoint(balance_adjoint, ColliderBars)
