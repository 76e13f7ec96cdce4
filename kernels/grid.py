# SPDX-License-Identifier: Apache-2.0
"""Grid momentum balance with walls and moving colliders, and its adjoint.

At a node: v = p / (m + offset) + dt g, then each wall and each collider in turn. With n the outward
normal, v_c the velocity of the collider there, r = v - v_c, a = r.n and t = r - a n:

    sticky   v' = v_c
    slip     v' = v_c + t
    contact  a >= 0: v' = v;  else v' = v_c + max(0, 1 + friction a / |t|) t   (Coulomb; 0 is free)

A node without mass is left with whatever velocity it had: whoever reads it has weight zero there.
The fourth number of a velocity means nothing.

Colliders are a table of one row per world and slot; a pose and a velocity per step and slot.
Signed distance and normal: half-space y <= 0, sphere, box, capsule along y, triangle mesh (wp.Mesh;
its normal is constant on a face and its adjoint treats it so).
"""

from typing import Any, NamedTuple

import warp as wp

from .dtypes import factory, types
from .transfers import POSITIVE

OPEN, STICKY, SLIP, CONTACT = 0, 1, 2, 3
"""What a wall or collider does to the velocity at a node."""
ABSENT, HALF_SPACE, SPHERE, BOX, CAPSULE, MESH = 0, 1, 2, 3, 4, 5
"""Shape of a collider."""

open_ = wp.constant(OPEN)
sticky = wp.constant(STICKY)
slip = wp.constant(SLIP)
contact = wp.constant(CONTACT)


class GridKernels(NamedTuple):
    """Momentum balance of one precision."""

    balance: wp.Kernel
    penetration: wp.Kernel


class GridAdjoint(NamedTuple):
    """Adjoint of the momentum balance of one precision."""

    balance: wp.Kernel
    ColliderBars: Any
    """Struct of the gradient arrays of the colliders."""


@factory
def distances(dtype: Any) -> Any:
    """shape_normal (signed distance and normal in the collider's frame) and its adjoint."""
    t = types(dtype)
    scalar, vec3, vec4 = t.scalar, t.vec3, t.vec4

    @wp.func
    def axis_point(shape: wp.int32, size: vec3, y: vec3):
        """Nearest point of the medial axis of a sphere (its centre) or a capsule."""
        if shape == wp.static(CAPSULE):
            return vec3(scalar(0.0), wp.clamp(y[1], -size[1], size[1]), scalar(0.0))
        return vec3()

    @wp.func
    def box_distance(size: vec3, y: vec3):
        """Distance (last) and normal of an axis-aligned box of half-lengths `size`."""
        q = vec3(wp.abs(y[0]) - size[0], wp.abs(y[1]) - size[1], wp.abs(y[2]) - size[2])
        face = int(0)
        if q[1] > q[0]:
            face = 1
        if q[2] > q[face]:
            face = 2
        n = vec3()
        n[face] = wp.where(y[face] < scalar(0.0), scalar(-1.0), scalar(1.0))
        return vec4(n[0], n[1], n[2], q[face])

    @wp.func
    def mesh_distance(mesh: wp.uint64, y: vec3):
        """Distance (last) and normal of a closed triangle mesh."""
        point = wp.vec3f(wp.float32(y[0]), wp.float32(y[1]), wp.float32(y[2]))
        query = wp.mesh_query_point_sign_normal(mesh, point, 1.0e6)
        near = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
        n = wp.mesh_eval_face_normal(mesh, query.face)
        d = query.sign * wp.length(point - near)
        return vec4(scalar(n[0]), scalar(n[1]), scalar(n[2]), scalar(d))

    @wp.func
    def shape_normal(shape: wp.int32, size: vec3, mesh: wp.uint64, y: vec3):
        """Normal (first three) and signed distance (last; negative inside) at the local point y."""
        if shape == wp.static(HALF_SPACE):
            return vec4(scalar(0.0), scalar(1.0), scalar(0.0), y[1])
        if shape == wp.static(BOX):
            return box_distance(size, y)
        if shape == wp.static(MESH):
            return mesh_distance(mesh, y)
        r = y - axis_point(shape, size, y)
        length = wp.length(r)
        n = vec3(scalar(0.0), scalar(1.0), scalar(0.0))
        if length > scalar(0.0):
            n = r / length
        return vec4(n[0], n[1], n[2], length - size[0])

    @wp.func
    def shape_normal_adjoint(shape: wp.int32, size: vec3, y: vec3, n_bar: vec3):
        """Gradient with respect to y through the normal; zero for flat faces."""
        if shape != wp.static(SPHERE) and shape != wp.static(CAPSULE):
            return vec3()
        axis = axis_point(shape, size, y)
        r = y - axis
        length = wp.length(r)
        if length == scalar(0.0):
            return vec3()
        n = r / length
        g = (n_bar - wp.dot(n, n_bar) * n) / length
        if shape == wp.static(CAPSULE) and wp.abs(y[1]) < size[1]:
            g[1] = scalar(0.0)
        return g

    class Distances(NamedTuple):
        shape_normal: Any
        shape_normal_adjoint: Any

    return Distances(shape_normal, shape_normal_adjoint)


@factory
def contacts(dtype: Any) -> Any:
    """Functions for one contact at one node: `find`, `apply`, and the walls' rule."""
    t = types(dtype)
    scalar, vec3, quat = t.scalar, t.vec3, t.quat
    shape_normal = distances(dtype).shape_normal

    @wp.struct
    class Walls:
        margin: wp.int32
        mode: wp.array2d[wp.int32]
        friction: wp.array2d[scalar]

    @wp.struct
    class Colliders:
        shape: wp.array2d[wp.int32]
        mode: wp.array2d[wp.int32]
        mesh: wp.array2d[wp.uint64]
        size: wp.array2d[vec3]
        friction: wp.array2d[scalar]
        position: wp.array3d[vec3]
        rotation: wp.array3d[quat]
        velocity: wp.array3d[vec3]
        spin: wp.array3d[vec3]

    @wp.struct
    class Contact:
        mode: wp.int32
        normal: vec3
        velocity: vec3
        friction: scalar

    @wp.func
    def wall(c: wp.int32, world: wp.int32, index: wp.vec3i, nodes: wp.vec3i, walls: Walls):
        """Wall c (0 to 5: low x, high x, low y, ...); the outermost `margin` + 1 nodes are in it.

        A grid of n cells between walls has nodes 0 .. n + 2 margin, and one unused beyond.
        """
        hit = Contact()
        axis = c // 2
        low = c % 2 == 0
        last = nodes[axis] - 2
        inside = wp.where(low, index[axis] <= walls.margin, index[axis] >= last - walls.margin)
        if inside:
            hit.mode = walls.mode[world, c]
            hit.friction = walls.friction[world, c]
            n = vec3()
            n[axis] = wp.where(low, scalar(1.0), scalar(-1.0))
            hit.normal = n
        return hit

    @wp.func
    def collider(k: wp.int32, world: wp.int32, now: wp.int32, x: vec3, table: Colliders):
        """Collider k of a world at the point x."""
        hit = Contact()
        shape = table.shape[world, k]
        if shape != wp.static(ABSENT):
            step = wp.min(now, table.position.shape[0] - 1)
            arm = x - table.position[step, world, k]
            turn = table.rotation[step, world, k]
            near = shape_normal(
                shape, table.size[world, k], table.mesh[world, k], wp.quat_rotate_inv(turn, arm)
            )
            if near[3] < scalar(0.0):
                hit.mode = table.mode[world, k]
                hit.friction = table.friction[world, k]
                hit.normal = wp.quat_rotate(turn, vec3(near[0], near[1], near[2]))
                hit.velocity = table.velocity[step, world, k] + wp.cross(
                    table.spin[step, world, k], arm
                )
        return hit

    @wp.func
    def find(
        c: wp.int32,
        world: wp.int32,
        now: wp.int32,
        index: wp.vec3i,
        nodes: wp.vec3i,
        x: vec3,
        walls: Walls,
        table: Colliders,
    ):
        """Contact c at a node: walls are 0 to 5, colliders from 6 on."""
        if c < 6:
            return wall(c, world, index, nodes, walls)
        return collider(c - 6, world, now, x, table)

    @wp.func
    def apply(v: vec3, hit: Contact):
        """Velocity after one contact."""
        if hit.mode == open_:
            return v
        if hit.mode == sticky:
            return hit.velocity
        r = v - hit.velocity
        a = wp.dot(r, hit.normal)
        tangent = r - a * hit.normal
        if hit.mode == slip:
            return hit.velocity + tangent
        if a >= scalar(0.0):
            return v
        if hit.friction == scalar(0.0):
            return hit.velocity + tangent
        length = wp.length(tangent)
        if length + hit.friction * a <= scalar(0.0):
            return hit.velocity
        return hit.velocity + (scalar(1.0) + hit.friction * a / length) * tangent

    class Contacts(NamedTuple):
        Walls: Any
        Colliders: Any
        Contact: Any
        find: Any
        apply: Any

    return Contacts(Walls, Colliders, Contact, find, apply)


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
    module = f"rheograd.kernels.grid.{t.suffix}"

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
    module = f"rheograd.kernels.grid_adjoint.{t.suffix}"

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
