# SPDX-License-Identifier: Apache-2.0
"""Colliders of scenes as the table that the grid kernels read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.mpm import contacts as codes

from ..boundaries import Collider, HalfSpace
from ..scene import Scene, typed
from ..shapes import Box, Capsule, MeshShape, Shape, Sphere
from .model import Colliders

MODES = {
    "open": codes.OPEN, "sticky": codes.STICKY, "slip": codes.SLIP, "contact": codes.CONTACT,
}  # fmt: skip


def collider_table(scenes: Sequence[Scene], steps: int, dt: float, like: Tensor) -> Colliders:
    """All colliders of all scenes; a scene with fewer than the most has empty slots."""
    lists = [[b for b in s.boundaries if isinstance(b, Collider)] for s in scenes]
    slots = max(len(row) for row in lists)
    worlds = len(scenes)
    moving = any(not c.motion.at_rest for row in lists for c in row)
    count = steps if moving else 1
    shape = torch.zeros(worlds, slots, dtype=torch.int32)
    mode = torch.zeros(worlds, slots, dtype=torch.int32)
    mesh = torch.zeros(worlds, slots, dtype=torch.int64)
    size = like.new_zeros(worlds, slots, 3)
    friction, poses, keep = [], [], []
    for w, row in enumerate(lists):
        for k in range(slots):
            if k >= len(row):
                friction.append(like.new_zeros(()))
                poses.append(_no_pose(count, like))
                continue
            collider = row[k]
            shape_in = _thickened(collider.shape, collider.skin)
            code, lengths, position, rotation, owner = _geometry(shape_in, like)
            shape[w, k], mode[w, k], size[w, k] = code, MODES[collider.mode], lengths
            if owner is not None:
                mesh[w, k] = owner.id
                keep.append(owner)
            friction.append(typed(collider.friction, like))
            poses.append(_poses(collider, position, rotation, count, dt))
    if not poses:
        return Colliders(
            shape.to(like.device), mode.to(like.device), mesh.to(like.device), size,
            like.new_zeros(worlds, 0), like.new_zeros(1, worlds, 0, 3),
            like.new_zeros(1, worlds, 0, 4), like.new_zeros(1, worlds, 0, 3),
            like.new_zeros(1, worlds, 0, 3),
        )  # fmt: skip
    x, q, v, spin = (
        torch.stack([pose[i] for pose in poses], 1).reshape(count, worlds, slots, -1).contiguous()
        for i in range(4)
    )
    return Colliders(
        shape.to(like.device), mode.to(like.device), mesh.to(like.device), size,
        torch.stack(friction).reshape(worlds, slots), x, q, v, spin, tuple(keep),
    )  # fmt: skip


def _no_pose(count: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    zero = like.new_zeros(count, 3)
    return zero, like.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(count, 4), zero, zero


def _poses(
    collider: Collider, position: Tensor, rotation: Tensor, count: int, dt: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x, q, v, spin = collider.motion.poses(position, count, dt)
    turned = _quaternion_products(q, rotation)
    if len(x) == 1 and count > 1:
        x, turned, v, spin = (a.expand(count, -1) for a in (x, turned, v, spin))
    return x, turned, v, spin


def _quaternion_products(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton products of quaternions (t, 4) with one quaternion (4,); x, y, z, w."""
    cross = torch.linalg.cross(a[:, :3], b[:3].expand(len(a), 3))
    vector = a[:, 3:] * b[:3] + b[3] * a[:, :3] + cross
    return torch.cat([vector, (a[:, 3] * b[3] - a[:, :3] @ b[:3])[:, None]], 1)


def _geometry(
    shape: Shape | HalfSpace, like: Tensor
) -> tuple[int, Tensor, Tensor, Tensor, wp.Mesh | None]:
    """Shape code, lengths, position, quaternion and mesh of a collider at the start."""
    upright = like.new_tensor([0.0, 0.0, 0.0, 1.0])
    if isinstance(shape, HalfSpace):
        normal = torch.tensor(shape.normal, dtype=torch.float64)
        normal = normal / normal.norm()
        return (codes.HALF_SPACE, like.new_zeros(3), like.new_tensor(shape.point),
                _from_y(normal).to(like), None)  # fmt: skip
    if isinstance(shape, MeshShape):
        surface = shape.surface()
        centre = shape.centroid
        device = wp.device_from_torch(like.device)
        owner = wp.Mesh(
            points=wp.array((surface.vertices - centre).float().numpy(), wp.vec3f, device=device),
            indices=wp.array(surface.triangles.reshape(-1).int().numpy(), wp.int32, device=device),
        )
        return codes.MESH, like.new_zeros(3), centre.to(like), upright, owner
    if isinstance(shape, Box):
        lengths, code = shape.extent, codes.BOX
    elif isinstance(shape, Sphere):
        lengths, code = (shape.radius, 0.0, 0.0), codes.SPHERE
    elif isinstance(shape, Capsule):
        lengths, code = (shape.radius, 0.5 * shape.height, 0.0), codes.CAPSULE
    else:
        raise ValueError(
            f"a collider is a half-space, sphere, box, capsule or mesh; got {type(shape).__name__}"
        )
    return code, like.new_tensor(lengths), shape.centroid.to(like), shape.quaternion.to(like), None


def _thickened(shape: Shape | HalfSpace, skin: float) -> Shape | HalfSpace:
    """The shape with its surface moved outward [m].

    Raises:
        ValueError: It is a mesh.
    """
    if not skin:
        return shape
    if isinstance(shape, HalfSpace):
        length = math.hypot(*shape.normal)
        x, y, z = (p + skin * n / length for p, n in zip(shape.point, shape.normal, strict=True))
        return replace(shape, point=(x, y, z))
    if isinstance(shape, Box):
        a, b, c = (length + 2 * skin for length in shape.size)
        return replace(shape, size=(a, b, c))
    if isinstance(shape, Sphere | Capsule):
        return replace(shape, radius=shape.radius + skin)
    raise ValueError(
        f"got a skin of {skin:g} m on a {type(shape).__name__}, expected one on a half-space, box, "
        "sphere or capsule: thicken the mesh itself"
    )


def _from_y(normal: Tensor) -> Tensor:
    """Quaternion (x, y, z, w) that turns +y into `normal`."""
    if float(normal[1]) < -1.0 + 1e-12:
        return torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=normal.dtype)
    axis = torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0], dtype=normal.dtype), normal)
    q = torch.cat([axis, (1.0 + normal[1])[None]])
    return q / q.norm()
