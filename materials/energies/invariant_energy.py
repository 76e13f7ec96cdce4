# SPDX-License-Identifier: Apache-2.0
"""Isotropic elasticities whose stress is the derivative of an energy of three invariants.

    ψ = ψ(Ī₁, Ī₂, J),   J = det F,   b̄ = J^(−2/3) F Fᵀ,   Ī₁ = tr b̄,   Ī₂ = (Ī₁² − tr b̄²)/2

With ∂J/∂F = J F⁻ᵀ and dĪ₁ = 2 dev b̄ : dF F⁻¹, dĪ₂ = 2 dev(Ī₁ b̄ − b̄²) : dF F⁻¹, the Kirchhoff
stress τ = ∂ψ/∂F Fᵀ is (Holzapfel 2000, "Nonlinear Solid Mechanics", ch. 6.4)

    τ = 2 dev[(ψ₁ + Ī₁ ψ₂) b̄ − ψ₂ b̄²] + J ψ_J I,      dev A = A − tr A/3 I,  ψ₁ = ∂ψ/∂Ī₁, …

so first derivatives of ψ give it without a decomposition of F, and one pass of automatic
differentiation over them gives tangent and gradients. No energy can be made on a closed path; τ is
symmetric, turns with the body and knows no direction of the material, whatever ψ is.

J ≤ 0 is answered with a NaN, as by neo-Hookean: J^(−2/3) is no real number there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from ..elastic import det3
from ..law import Elasticity, Response


class Invariants(NamedTuple):
    """Of deformation gradients, shape (q,) each."""

    I1: Tensor
    """Ī₁ [-], 3 at rest and nowhere less."""
    I2: Tensor
    """Ī₂ [-], 3 at rest and nowhere less."""
    J: Tensor
    """Volume by that at rest [-]."""


class Slopes(NamedTuple):
    """First derivatives of ψ [Pa], shape (q,) each."""

    I1: Tensor
    """∂ψ/∂Ī₁."""
    I2: Tensor
    """∂ψ/∂Ī₂."""
    log_J: Tensor
    """J ∂ψ/∂J: a third of the trace of τ."""


class InvariantEnergy(Elasticity, ABC):
    """An elasticity that gives ψ and its derivatives by the invariants."""

    symmetric = True

    @abstractmethod
    def density(self, at: Invariants) -> Tensor:
        """ψ [J/m³], shape (q,)."""

    @abstractmethod
    def slopes(self, at: Invariants) -> Slopes:
        """Derivatives of `density`, written out: they are differentiated once more."""

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """ψ [J/m³], shape (q,)."""
        return self.density(invariants(F_elastic)[0])

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """Kirchhoff stress [Pa], shape (q, 3, 3)."""
        at, b = invariants(F_elastic)
        slope = self.slopes(at)
        first = (slope.I1 + at.I1 * slope.I2)[:, None, None]
        inner = 2 * (first * b - slope.I2[:, None, None] * (b @ b))
        pressure = slope.log_J - inner.diagonal(dim1=1, dim2=2).sum(1) / 3
        return inner + torch.diag_embed(pressure[:, None].expand(-1, 3))

    def linearize(
        self, F_trial: Tensor, internal: Tensor, dt: float, guess: Tensor | None = None
    ) -> tuple[Response, Tensor]:
        """See `ConstitutiveLaw.linearize`; six rows will do, as τ is symmetric."""
        F = F_trial.detach().requires_grad_()
        with torch.enable_grad():
            tau = self.stress(F, internal)
            rows = {
                (i, j): torch.autograd.grad(tau[:, i, j].sum(), F, retain_graph=True)[0]
                for i in range(3)
                for j in range(i, 3)
            }
        tangent = torch.stack(
            [rows[min(i, j), max(i, j)] for i in range(3) for j in range(3)], dim=1
        )
        found = Response(tau.detach(), F_trial.detach(), internal.detach())
        return found, tangent.reshape(-1, 3, 3, 3, 3)


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
