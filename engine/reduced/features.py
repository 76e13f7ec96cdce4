# SPDX-License-Identifier: Apache-2.0
"""What the network is told of a moment: recent motion, shape, walls, weight and material.

All of it is vectors in one frame and numbers, in units that training data set. With a reference
(solids) the frame turns with each body, so that a rigid motion is told apart from a deformation
once and for all; without (what flows) it stands still. Coordinates are relative throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rheograd.materials.elastic import det3

ROUNDS = 12
"""Newton's iterations for a rotation: far more than a body's mean deformation takes."""

SMALLEST = 1e-20
"""Mean square size of a body that is more than a point [m²]."""


INSET = 1e-5
"""Share of the domain's edge that points keep from the walls."""


@dataclass(frozen=True)
class WallGroups:
    """The faces of a domain, in groups that act alike."""

    lower: Tensor
    """[m], shape (3,)."""
    upper: Tensor
    """[m], shape (3,)."""
    group: Tensor
    """Of x-, x+, y-, y+, z-, z+, shape (6,), int64."""
    groups: int

    def inside(self, x: Tensor) -> Tensor:
        """Positions x [m], shape (..., 3), moved just off the walls if they are beyond them."""
        inset = INSET * (self.upper - self.lower)
        return torch.minimum(torch.maximum(x, self.lower + inset), self.upper - inset)

    def near(self, x: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
        """How near the walls are.

        Args:
            x: Positions [m], shape (n, 3).
            radius: At which a wall is not felt any more [m], shape (n, 1).

        Returns:
            For each group the sum of inward normals times 1 - d/r, shape (n, groups, 3), and the
            largest of these numbers, shape (n, groups).
        """
        below = 1.0 - (x - self.lower) / radius
        above = 1.0 - (self.upper - x) / radius
        felt = torch.stack([below, above], 2).flatten(1).clamp(0.0, 1.0)
        axes = torch.eye(3, dtype=x.dtype, device=x.device)
        inward = torch.stack([axes, -axes], 1).flatten(0, 1)
        member = torch.nn.functional.one_hot(self.group, self.groups).to(x)
        vectors = torch.einsum("nf,fg,fa->nga", felt, member, inward)
        return vectors, (felt[:, :, None] * member).amax(1)


def rotation(A: Tensor) -> Tensor:
    """The rotation R of the polar decomposition A = R S, shape (b, 3, 3).

    Newton's iteration R ← (γ R + (γ R)⁻ᵀ) / 2 with γ = |det R|^(-1/3) (Higham 1986), whose
    derivative is that of R; A must have a positive determinant. One that rounding tells from none
    gives a rotation too, and of A = 0, a single point, it is the identity.
    """
    size = A.detach().abs().amax((1, 2), keepdim=True).clamp(min=SMALLEST)
    eye = torch.eye(3, dtype=A.dtype, device=A.device)
    R = A / size + torch.finfo(A.dtype).eps * eye
    for _ in range(ROUNDS):
        R = R / det3(R).abs().pow(1 / 3)[:, None, None]
        R = 0.5 * (R + torch.linalg.inv_ex(R).inverse.mT)
    return R


def mean_by(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """Means of the rows of each group, shape (groups, ...)."""
    total = values.new_zeros(groups, *values.shape[1:]).index_add(0, group, values)
    count = torch.zeros(groups, dtype=values.dtype, device=values.device)
    count = count.index_add(0, group, torch.ones_like(group, dtype=values.dtype))
    return total / count.clamp(min=1.0).view(-1, *(1,) * (values.dim() - 1))


@dataclass(frozen=True)
class Poses:
    """Where each body is and how it is turned."""

    centre: Tensor
    """Of each body [m], shape (bodies, 3)."""
    turn: Tensor
    """From the rest shape, shape (bodies, 3, 3)."""
    rest_centre: Tensor
    """Of each body at rest [m], shape (bodies, 3)."""

    @classmethod
    def of(cls, x: Tensor, X: Tensor, body: Tensor, bodies: int, *, turning: bool) -> Poses:
        """From positions x and X at rest, (n, 3) each."""
        c, C = mean_by(x, body, bodies), mean_by(X, body, bodies)
        if not turning:
            eye = torch.eye(3, dtype=x.dtype, device=x.device)
            return cls(c, eye.expand(bodies, 3, 3), C)
        y, Y = x - c[body], X - C[body]
        # the rotation that fits best in the mean square: shape matching, Müller et al. 2005
        return cls(c, rotation(mean_by(y[:, :, None] * Y[:, None, :], body, bodies)), C)
