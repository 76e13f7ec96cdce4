# SPDX-License-Identifier: Apache-2.0
"""Newtonian viscosity around an analytic law: fluids of a viscosity in Pa s.

The device form is that of `Damped`, whose relaxation time and share follow from the viscosities and
the moduli of the law, differentiably; see kernels/laws/update.py.
"""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor

from .composition import Damped, ElastoPlastic
from .elastic import Volumetric, positive
from .law import ConstitutiveLaw
from .plastic import FluidReset


class Viscous(Damped):
    """Newtonian viscosity: Cauchy's stress is that of the law + 2η D' + ζ tr D I.

    D is the strain rate, the symmetric part of (F_trial F_n⁻¹ − I)/dt with F_n in the history as in
    `Damped`, and D' = D − tr D/3 I. What is added to the Kirchhoff stress is J times as much, as
    τ = J σ with J = det F_trial: the power per volume at rest is J σ : D (Batchelor 1967, "An
    Introduction to Fluid Dynamics", §3.3). J is the volume ratio as F tells it: of a flow that
    gives volume away, such as sand's, not that of the whole. Explicit steps must be shorter than
    the diffusion of momentum takes across a cell, as `viscosity` tells: dt of the order of
    ρ h²/(4η/3 + ζ).

    Args:
        law: An analytic elasticity, or an ElastoPlastic law of analytic parts; of a fluid
            ElastoPlastic(Volumetric(...), FluidReset()), for which `water` is shorter.
        shear_viscosity: η > 0 [Pa s].
        bulk_viscosity: ζ, at least 0 [Pa s].

    Raises:
        TypeError: The law has no device form, or is damped.
        ValueError: A viscosity is out of its range.
    """

    name: ClassVar[str] = "viscous"

    def __init__(
        self, law: ConstitutiveLaw, shear_viscosity: float, bulk_viscosity: float = 0.0
    ) -> None:
        super().__init__(law, 0.0)
        del self.time, self.bulk
        self.shear_viscosity = positive(shear_viscosity, "shear_viscosity", "η [Pa s]")
        """η [Pa s], scalar."""
        self.bulk_viscosity = positive(bulk_viscosity, "bulk_viscosity", "ζ [Pa s]", zero=True)
        """ζ [Pa s], scalar."""

    @classmethod
    def water(cls, bulk: float, shear_viscosity: float, bulk_viscosity: float = 0.0) -> Self:
        """A fluid of pressure λ (1 − J), without a memory of its shape.

        Args:
            bulk: λ, the bulk modulus [Pa]; far softer than in nature for longer steps.
            shear_viscosity: η [Pa s].
            bulk_viscosity: ζ [Pa s].
        """
        ratio = 0.3  # any will do: only λ matters
        young = bulk * (1 + ratio) * (1 - 2 * ratio) / ratio
        fluid = ElastoPlastic(Volumetric(young, ratio), FluidReset())
        return cls(fluid, shear_viscosity, bulk_viscosity)

    def coefficients(self) -> Tensor:
        """Columns of the law, then t = η/μ and b = ζ/(t K) as of `Damped`, and 1; shape (c,)."""
        inner = self.law.coefficients()
        time = self.shear_viscosity.to(inner) / inner[0]
        share = self.bulk_viscosity.to(inner) / (time * (inner[1] + 2 / 3 * inner[0]))
        return torch.cat([inner, torch.stack([time, share, torch.ones_like(time)])])

    def viscosity(self) -> float:
        """Of shear and bulk, 4/3 η + ζ [Pa s]."""
        return 4 / 3 * self.shear_viscosity.item() + self.bulk_viscosity.item()

    @classmethod
    def example(cls) -> Self:
        """A slow syrup."""
        return cls.water(1e5, 5.0, 1.0)

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        eta, zeta = self.shear_viscosity.item(), self.bulk_viscosity.item()
        return f"shear_viscosity={eta:.6g} Pa s, bulk_viscosity={zeta:.6g} Pa s"
