# SPDX-License-Identifier: Apache-2.0
"""Points of a surface carried by the particles or nodes of a body.

Moving least squares (Lancaster and Salkauskas 1981): a point moves by the affine map that fits the
nearest particles best, so translations, rotations and uniform strains are carried exactly. The
weights are those at rest; a point is then a fixed sum of particles, x = sum_a N_a x_a.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NEAREST = 24
"""Particles that carry a point."""
FLAT = 1e-6
"""Share of the largest eigenvalue of the moments below which particles lie in a plane or line."""
LOST = 1e-6
"""How far from its place a point may be put at rest, in the distance of its particles."""


@dataclass(frozen=True, eq=False)
class Carried:
    """k points, each a weighted sum of m of n particles."""

    rest: Tensor
    """The points at rest [m], shape (k, 3)."""
    carriers: Tensor
    """Particles of each, shape (k, m), int64."""
    weights: Tensor
    """Of those, shape (k, m); they add up to 1."""
    n: int
    """Particles there are."""

    @classmethod
    def by(cls, points: Tensor, rest: Tensor, nearest: int = NEAREST) -> Carried:
        """Points carried by the particles nearest to them at rest.

        Args:
            points: At rest [m], shape (k, 3).
            rest: Particles at rest [m], shape (n, 3).
            nearest: Particles for each point.

        Raises:
            ValueError: There are fewer than four particles, or those near a point are in a plane.
        """
        from scipy.spatial import KDTree

        if len(rest) < 4:
            raise ValueError(f"got {len(rest)} particles, expected four or more to carry points")
        x, y = (a.detach().cpu().double() for a in (points, rest))
        m = min(nearest, len(y))
        found = KDTree(y.numpy()).query(x.numpy(), k=m)
        gaps, carriers = torch.from_numpy(found[0]), torch.from_numpy(found[1]).long()
        reach = 1.1 * gaps[:, -1:]
        kernel = (1 - (gaps / reach).square()).square()
        arms = (y[carriers] - x[:, None]) / reach[..., None]
        basis = torch.cat([torch.ones_like(arms[..., :1]), arms], -1)
        moment = torch.einsum("km,kmi,kmj->kij", kernel, basis, basis)
        values, vectors = torch.linalg.eigh(moment)
        kept = values > FLAT * values[:, -1:]
        share = vectors[:, 0] * torch.where(kept, values, torch.inf).reciprocal()
        first = torch.einsum("kij,kj->ki", vectors, share)
        weights = kernel * torch.einsum("kmi,ki->km", basis, first)
        weights = weights / weights.sum(1, keepdim=True)
        off = (torch.einsum("km,kmi->ki", weights, y[carriers]) - x).norm(dim=1)
        if float(off.max()) > LOST * float(reach.max()):
            raise ValueError(
                f"a point cannot be carried by the {m} particles nearest to it, which lie in a"
                f" plane or a line {float(off.max()):.2g} m away: fill the body more finely"
            )
        where = rest.device
        return cls(x.to(where), carriers.to(where), weights.to(where), len(y))

    def at(self, x: Tensor) -> Tensor:
        """Where the points are, shape (..., k, 3); differentiable.

        Args:
            x: Particles [m], shape (..., n, 3).

        Raises:
            ValueError: There are other particles than at rest.
        """
        if x.shape[-2] != self.n:
            raise ValueError(
                f"got {x.shape[-2]} particles, expected {self.n}: those that the points were bound"
                " to"
            )
        weights = self.weights.to(x)
        return torch.einsum("km,...kmi->...ki", weights, x[..., self.carriers.to(x.device), :])
