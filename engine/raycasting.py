# SPDX-License-Identifier: Apache-2.0
"""What rays first meet of a surface, on the CPU: once for each track that is bound, or picture."""

from __future__ import annotations

from typing import Any

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.pictures.raycast import ray_kernels

from .moving_surface import Spot


class RayMesh:
    """Triangles that rays are cast at, whose corners may be moved."""

    def __init__(self, vertices: Tensor, triangles: Tensor) -> None:
        """Lay them out: corners [m] (m, 3), and which make a triangle (f, 3)."""
        self.points = _vectors(vertices)
        self.faces = wp.array(triangles.int().numpy().reshape(-1), dtype=int, device="cpu")
        self.mesh = wp.Mesh(self.points, self.faces)

    def move(self, vertices: Tensor) -> None:
        """Put the corners elsewhere [m], shape (m, 3)."""
        self.points.assign(_vectors(vertices))
        self.mesh.refit()

    def hits(self, eye: Tensor, rays: Tensor, reach: float) -> tuple[Spot, Tensor, Tensor]:
        """Where rays first meet the surface.

        Args:
            eye: Where all rays start [m], shape (3,).
            rays: Directions of length 1, shape (n, 3).
            reach: How far a ray goes [m].

        Returns:
            The spots of those that meet it, which do (n,), bool, and how far each went [m], (n,).
        """
        n = len(rays)
        face, far = (wp.zeros(n, dtype=kind, device="cpu") for kind in (int, float))
        weights: Any = wp.zeros(n, dtype=wp.vec3, device="cpu")
        wp.launch(
            ray_kernels().hit, dim=n, device="cpu",
            inputs=[self.mesh.id, wp.vec3(*eye.tolist()), _vectors(rays), reach],
            outputs=[face, weights, far],
        )  # fmt: skip
        found = torch.from_numpy(face.numpy()).long()
        hit = found >= 0
        spots = Spot(found[hit], torch.from_numpy(weights.numpy())[hit].double())
        return spots, hit, torch.from_numpy(far.numpy())


def _vectors(values: Tensor) -> Any:
    return wp.array(values.detach().cpu().float().contiguous().numpy(), dtype=wp.vec3, device="cpu")
