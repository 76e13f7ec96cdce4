# SPDX-License-Identifier: Apache-2.0
"""Weakly compressible water."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from .elastic import AnalyticElasticity, det3, positive


class Tait(AnalyticElasticity):
    """The pressure of water: p = K/γ (J⁻ᵞ − 1), τ = −J p I, without shear stiffness.

    See kernels/laws/tait.py. A liquid is ElastoPlastic(Tait(K), FluidReset()), with Viscous around
    it if its viscosity matters. Not a number for J ≤ 0.

    Args:
        bulk: K > 0 [Pa], the bulk modulus at rest: 2.2e9 of water, and what keeps J within a few
            per cent in a simulation, ρ (10 v)² for speeds up to v.
        exponent: γ > 1 [-], 7 of water.

    Raises:
        ValueError: A parameter is out of its range.
    """

    name: ClassVar[str] = "tait"

    def __init__(self, bulk: float, exponent: float = 7.0) -> None:
        super().__init__()
        self.bulk = positive(bulk, "bulk", "the bulk modulus [Pa]")
        """K [Pa], scalar."""
        if not 1 < exponent < float("inf"):
            raise ValueError(
                f"got exponent = {exponent:g}, expected more than 1, such as 7 of water: the "
                "energy of a fluid pressed to nothing is else bounded"
            )
        self.exponent = nn.Parameter(torch.tensor(exponent, dtype=torch.float64))
        """γ [-], scalar."""

    def coefficients(self) -> Tensor:
        """K twice and γ, shape (3,): the first stands for μ, which damping alone refers to."""
        return torch.stack([self.bulk, self.bulk, self.exponent])

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """ψ = K/γ (J − 1 + (J¹⁻ᵞ − 1)/(γ − 1))."""
        _mu, bulk, gamma = self.coefficients().to(F_elastic)
        J = det3(F_elastic)
        return bulk / gamma * (J - 1 + (J ** (1 - gamma) - 1) / (gamma - 1))

    def wave_modulus(self) -> float:
        """K [Pa]."""
        return self.bulk.item()

    @classmethod
    def example(cls) -> Self:
        """Water, far softer than in nature."""
        return cls(bulk=1e5)

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        return f"bulk={self.bulk.item():.6g} Pa, exponent={self.exponent.item():.6g}"
