# SPDX-License-Identifier: Apache-2.0
"""What a trajectory's file says about the scene, so that it can be drawn without the scene."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .boundaries import Collider, HalfSpace
from .mesh.volume_mesh import VolumeMesh
from .scene import Scene
from .shapes import Box, Capsule, MeshShape, Shape, Sphere

TRIANGLES = 50_000
"""A finer mesh is left out of the description."""


def surroundings(scene: Scene, dt: float, steps: Sequence[int]) -> dict[str, str]:
    """Domain, gravity, names and surfaces of bodies, and colliders, as JSON texts.

    Args:
        scene: What is simulated.
        dt: Step length [s].
        steps: The steps that are frames, for colliders that move.
    """
    colliders = [
        described_collider(boundary, dt, steps)
        for boundary in scene.boundaries
        if isinstance(boundary, Collider)
    ]
    return {
        "domain": json.dumps([list(scene.domain.lower), list(scene.domain.upper)]),
        "gravity": json.dumps(torch.as_tensor(scene.gravity, dtype=torch.float64).tolist()),
        "bodies": json.dumps([body.name for body in scene.bodies]),
        "surfaces": json.dumps([_surface(body.shape) for body in scene.bodies]),
        "colliders": json.dumps([c for c in colliders if c]),
    }


def described_collider(collider: Collider, dt: float, steps: Sequence[int]) -> dict[str, Any]:
    """Shape of a collider, with its poses at the steps if it moves; empty if it is too fine."""
    described = _shape(collider.shape)
    if not described or collider.motion.at_rest:
        return described
    centre = torch.tensor(described.get("centre", (0.0, 0.0, 0.0)), dtype=torch.float64)
    with torch.no_grad():
        position, turn, _, _ = collider.motion.poses(centre, max(steps) + 1, dt)
    at = torch.tensor(steps).clamp(max=len(position) - 1)
    described["path"] = _rounded(position[at] - centre)
    described["turn"] = _rounded(turn[at])
    return described


def _shape(shape: Shape | HalfSpace) -> dict[str, Any]:
    if isinstance(shape, HalfSpace):
        return {"kind": "plane", "point": list(shape.point), "normal": list(shape.normal)}
    centre = _rounded(shape.centroid)
    if isinstance(shape, Sphere):
        return {"kind": "sphere", "centre": centre, "radius": shape.radius}
    if isinstance(shape, Box) and not any(shape.rotation):
        return {"kind": "box", "centre": centre, "size": list(shape.size)}
    if isinstance(shape, Capsule):
        half = shape.matrix @ torch.tensor([0.0, 0.5 * shape.height, 0.0], dtype=torch.float64)
        ends = {"start": _rounded(shape.centroid - half), "end": _rounded(shape.centroid + half)}
        return {"kind": "capsule", "centre": centre, "radius": shape.radius, **ends}
    if isinstance(shape, Box | MeshShape):
        vertices, triangles = shape.surface()
        if len(triangles) <= TRIANGLES:
            faces = triangles.tolist()
            return {
                "kind": "mesh", "centre": centre, "vertices": _rounded(vertices), "faces": faces,
            }  # fmt: skip
    return {}


def _surface(shape: Shape) -> dict[str, Any]:
    """The boundary of a body in triangles; nothing where it is too fine, or of a mesh's cells."""
    if isinstance(shape, VolumeMesh):
        return {}
    vertices, triangles = shape.surface()
    if len(triangles) > TRIANGLES:
        return {}
    return {"vertices": _rounded(vertices), "faces": triangles.tolist()}


def _rounded(values: Tensor) -> list[Any]:
    return (values.double() * 1e6).round().div(1e6).tolist()
