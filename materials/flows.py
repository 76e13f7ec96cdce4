# SPDX-License-Identifier: Apache-2.0
"""Flows that depend on rate or on what a point went through; formulas in kernels/."""

from __future__ import annotations

import math
from typing import ClassVar, Self

import torch
from torch import Tensor

from .elastic import Hencky, positive
from .law import Elasticity
from .plastic import AnalyticPlasticity


class HerschelBulkley(AnalyticPlasticity):
    """Viscoplastic flow of pastes, foams and muds: ‖dev τ‖ = σ_y + K ‖D_p‖ⁿ where it flows.

    Norms are those of matrices, without factors, as in `VonMises`; see kernels/viscoplastic.py for
    the implicit step (Yue et al. 2015, "Continuum Foam"). K → 0 is perfect plasticity, n = 1 a
    Bingham fluid, σ_y = 0 and n = 1 a Maxwell fluid of relaxation time K/(2μ). A rheometer tells
    the shear stress over the shear rate Γ = √2 ‖D_p‖: for its numbers see `of_shear`.

    Args:
        yield_stress: σ_y, at least 0 [Pa].
        consistency: K, at least 0 [Pa sⁿ].
        exponent: n > 0 [-]; below 1 it thins under shear, above it thickens.

    Raises:
        ValueError: A parameter is out of its range.
    """

    name: ClassVar[str] = "herschel-bulkley"

    def __init__(self, yield_stress: float, consistency: float, exponent: float) -> None:
        super().__init__()
        self.yield_stress = positive(yield_stress, "yield_stress", "a stress [Pa]", zero=True)
        """σ_y [Pa], scalar."""
        self.consistency = positive(consistency, "consistency", "K of K ‖D_p‖ⁿ [Pa sⁿ]", zero=True)
        """K [Pa sⁿ], scalar."""
        self.exponent = positive(exponent, "exponent", "n of K ‖D_p‖ⁿ [-]")
        """n [-], scalar."""

    @classmethod
    def of_shear(cls, yield_stress: float, consistency: float, exponent: float) -> Self:
        """From the flow curve of simple shear τ = τ_y + κ Γⁿ, Γ the shear rate [1/s].

        With ‖dev τ‖ = √2 τ and ‖D_p‖ = Γ/√2: σ_y = √2 τ_y and K = √2ⁿ⁺¹ κ.

        Args:
            yield_stress: τ_y [Pa].
            consistency: κ [Pa sⁿ].
            exponent: n [-].
        """
        root = math.sqrt(2.0)
        return cls(root * yield_stress, root ** (exponent + 1) * consistency, exponent)

    def coefficients(self) -> Tensor:
        """σ_y [Pa], K [Pa sⁿ] and n [-], shape (3,)."""
        return torch.stack([self.yield_stress, self.consistency, self.exponent])

    def associated(self, elasticity: Elasticity) -> bool:
        """With Hencky strains, in which it relaxes along the stress."""
        return isinstance(elasticity, Hencky)

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        y, K, n = self.yield_stress.item(), self.consistency.item(), self.exponent.item()
        return f"yield_stress={y:.6g} Pa, consistency={K:.6g} Pa s^n, exponent={n:.6g}"
