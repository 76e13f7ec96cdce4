# SPDX-License-Identifier: Apache-2.0
"""Contact of grid nodes with walls and moving colliders.

With n the outward normal, v_c the velocity of the collider at a node, r = v - v_c, a = r.n and
t = r - a n, a contact turns the velocity v into

    sticky   v' = v_c
    slip     v' = v_c + t
    contact  a >= 0: v' = v;  else v' = v_c + max(0, 1 + friction a / |t|) t   (Coulomb; 0 is free)

Colliders are a table of one row per world and slot; a pose and a velocity per step and slot.
Signed distance and normal: half-space y <= 0, sphere, box, capsule along y, triangle mesh (wp.Mesh;
its normal is constant on a face and its adjoint treats it so).
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types

OPEN, STICKY, SLIP, CONTACT = 0, 1, 2, 3
"""What a wall or collider does to the velocity at a node."""
ABSENT, HALF_SPACE, SPHERE, BOX, CAPSULE, MESH = 0, 1, 2, 3, 4, 5
"""Shape of a collider."""

open_ = wp.constant(OPEN)
sticky = wp.constant(STICKY)
slip = wp.constant(SLIP)
contact = wp.constant(CONTACT)


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
