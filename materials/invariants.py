# SPDX-License-Identifier: Apache-2.0
"""Invariants of F that tell distortion from a change of volume.

J = det F,   b̄ = J^(−2/3) F Fᵀ,   Ī₁ = tr b̄,   Ī₂ = (Ī₁² − tr b̄²)/2
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from .elastic import det3


class Invariants(NamedTuple):
    """Of deformation gradients, shape (q,) each."""

    I1: Tensor
    """Ī₁ [-], 3 at rest and nowhere less."""
    I2: Tensor
    """Ī₂ [-], 3 at rest and nowhere less."""
    J: Tensor
    """Volume by that at rest [-]."""


def invariants(F: Tensor) -> tuple[Invariants, Tensor]:
    """Invariants and b̄, shape (q, 3, 3), of deformation gradients of the same shape."""
    J = det3(F)
    b = J.pow(-2 / 3)[:, None, None] * (F @ F.mT)
    I1 = b.diagonal(dim1=1, dim2=2).sum(1)
    I2 = 0.5 * (I1.square() - b.square().sum((1, 2)))
    return Invariants(I1, I2, J), b


def uniaxial(stretch: float) -> tuple[float, float]:
    """Ī₁ and Ī₂ of a pull along one axis by a stretch [-], at constant volume."""
    return stretch**2 + 2 / stretch, 2 * stretch + stretch**-2


def equibiaxial(stretch: float) -> tuple[float, float]:
    """Ī₁ and Ī₂ of a pull along two axes by a stretch [-], at constant volume."""
    return 2 * stretch**2 + stretch**-4, stretch**4 + 2 * stretch**-2
