# SPDX-License-Identifier: Apache-2.0
"""Flows that depend on rate or on what a point went through; formulas in kernels/."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor

from .elastic import Hencky, positive
from .law import Elasticity
from .plastic import AnalyticPlasticity, DruckerPrager


class HerschelBulkley(AnalyticPlasticity):
    """Viscoplastic flow of pastes, foams and muds: ‖dev τ‖ = σ_y + K ‖D_p‖ⁿ where it flows.

    Norms are those of matrices, without factors, and stresses Kirchhoff's, as in `VonMises`: the
    flow is along the gradient of what it limits, so that it dissipates and its tangent is
    symmetric. Cauchy's stresses are 1/J of that, J = det F: the numbers of a rheometer hold for a
    paste that is hardly compressed, as far as J is 1. See kernels/laws/viscoplastic.py for the
    implicit step (Yue et al. 2015, "Continuum Foam"). K → 0 is perfect plasticity, n = 1 a Bingham
    fluid, σ_y = 0 and n = 1 a Maxwell fluid of relaxation time K/(2μ). A rheometer tells the shear
    stress over the shear rate Γ = √2 ‖D_p‖: for its numbers see `of_shear`.

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

    @classmethod
    def example(cls) -> Self:
        """A stiff foam."""
        return cls(1e3, 100.0, 0.5)

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        y, K, n = self.yield_stress.item(), self.consistency.item(), self.exponent.item()
        return f"yield_stress={y:.6g} Pa, consistency={K:.6g} Pa s^n, exponent={n:.6g}"


class Snow(AnalyticPlasticity):
    """Snow (Stomakhin et al. 2013): singular values σ of F in [1 − θ_c, 1 + θ_s], and hardening.

    What the clamp takes from det F goes into the plastic volume ratio J_p, the history, 1 at rest;
    μ and λ are those at rest times exp(ξ (1 − J_p)), at most `hardest` times. Published with
    `Corotated` (E = 1.4e5 Pa, ν = 0.2, 400 kg/m³); any other elasticity of μ and λ alone will do.

    Args:
        critical_compression: θ_c [-], 0 < θ_c < 1; less makes it powdery.
        critical_stretch: θ_s > 0 [-]; less makes it crumble.
        hardening: ξ, at least 0 [-]; more makes it icy.
        hardest: Bound on the factor of μ and λ [-], at least 1. Explicit steps are fitted to it, so
            that they are shorter by its root.

    Raises:
        ValueError: A parameter is out of its range.
    """

    name: ClassVar[str] = "snow"
    history: ClassVar[Mapping[str, float]] = {"plastic_volume": 1.0}

    def __init__(
        self,
        critical_compression: float = 2.5e-2,
        critical_stretch: float = 7.5e-3,
        hardening: float = 10.0,
        hardest: float = 10.0,
    ) -> None:
        super().__init__()
        words = "the share of its length by which snow is pressed before it packs [-]"
        self.critical_compression = positive(critical_compression, "critical_compression", words)
        """θ_c [-], scalar."""
        if not critical_compression < 1:
            raise ValueError(
                f"got critical_compression = {critical_compression:g}, expected less than 1: "
                + words
            )
        self.critical_stretch = positive(critical_stretch, "critical_stretch", "a strain [-]")
        """θ_s [-], scalar."""
        self.hardening = positive(hardening, "hardening", "ξ of exp(ξ (1 − J_p)) [-]", zero=True)
        """ξ [-], scalar."""
        if not 1 <= hardest < math.inf:
            raise ValueError(
                f"got hardest = {hardest:g}, expected at least 1: the largest factor by which "
                "packed snow is stiffer, such as 10"
            )
        self.hardest = float(hardest)
        """Bound on the factor [-]."""

    def coefficients(self) -> Tensor:
        """θ_c, θ_s, ξ and the logarithm of the bound, shape (4,)."""
        own = (self.critical_compression, self.critical_stretch, self.hardening)
        return torch.stack([*own, self.hardening.new_tensor(math.log(self.hardest))])

    def stiffening(self, history: Tensor) -> Tensor:
        """See `AnalyticPlasticity.stiffening`."""
        exponent = self.hardening.to(history) * (1 - history[:, 0])
        return exponent.clamp_max(math.log(self.hardest)).exp()

    @property
    def most_stiffening(self) -> float:
        """The bound, unless it does not harden at all."""
        return self.hardest if self.hardening.item() > 0 else 1.0

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        c, s, xi = (p.item() for p in self.parameters())
        return (
            f"critical_compression={c:.6g}, critical_stretch={s:.6g}, hardening={xi:.6g}, "
            f"hardest={self.hardest:g}"
        )


class VolumeCorrecting(DruckerPrager):
    """Sand that does not gain volume: Drucker-Prager flow after Tampubolon et al. 2017.

    What the apex gives away of log det F is the history v_c [-], "loosened" in trajectories; it is
    given back before the grains press on each other again. Without it a heap swells as it is
    stirred. The arguments are those of `DruckerPrager`.
    """

    name: ClassVar[str] = "drucker-prager-volume"
    history: ClassVar[Mapping[str, float]] = {"loosened": 0.0}
