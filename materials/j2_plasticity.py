# SPDX-License-Identifier: Apache-2.0
"""Von Mises plasticity of small strains with isotropic hardening.

Simo and Hughes 1998, "Computational Inelasticity", boxes 3.1 and 3.2; the hardening that saturates
is Voce's (1955, "A practical strain-hardening function").
"""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from .elastic import positive
from .law import ConstitutiveLaw, Response
from .small_strain import isotropic_tangent, norm, spherical, split, strain

ROUNDING = 1e-14
"""Of the yield condition, by the trial stress."""
ITERATIONS = 60
ROOT = (2 / 3) ** 0.5


class J2Plasticity(ConstitutiveLaw):
    """A metal that hardens alike in all directions.

        σ = K tr ε I + 2μ dev ε of the elastic strain ε,    |dev σ| ≤ √(2/3) Y(α),
        Y(α) = yield_stress + hardening α + saturation (1 − exp(−rate α))

    The history is α, the equivalent plastic strain √(2/3) ∫|dεᵖ|. The step backwards in time
    is one equation for |Δεᵖ|, and linear without saturation. In uniaxial tension Y is the stress.

    Args:
        young: Young's modulus E > 0 [Pa].
        poisson: Poisson's ratio nu [-], -1 < nu < 0.5.
        yield_stress: In uniaxial tension, > 0 [Pa].
        hardening: Slope of Y by α that stays, at least 0 [Pa].
        saturation: What Y gains beside, at least 0 [Pa].
        rate: Of that gain, by α, > 0 [-].

    Raises:
        ValueError: A parameter is out of its range.
    """

    name: ClassVar[str] = "j2-plasticity"
    yields = True
    n_internal = 1
    kinematics: ClassVar[str] = "small"
    symmetric = True

    def __init__(
        self, young: float, poisson: float, yield_stress: float, hardening: float = 0.0,
        saturation: float = 0.0, rate: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.young = positive(young, "young", "Young's modulus [Pa]")
        """E [Pa], scalar."""
        if not -1.0 < poisson < 0.5:
            raise ValueError(f"got poisson = {poisson:g}, expected -1 < poisson < 0.5")
        self.poisson = nn.Parameter(torch.tensor(poisson, dtype=torch.float64))
        """nu [-], scalar."""
        self.yield_stress = positive(yield_stress, "yield_stress", "a stress [Pa]")
        """Y(0) [Pa], scalar."""
        self.hardening = positive(hardening, "hardening", "a modulus [Pa]", zero=True)
        """[Pa], scalar."""
        self.saturation = positive(saturation, "saturation", "a stress [Pa]", zero=True)
        """[Pa], scalar."""
        self.rate = positive(rate, "rate", "a number by plastic strain [-]")
        """[-], scalar."""

    def moduli(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Bulk modulus K and shear modulus μ [Pa], scalars, typed as `like`."""
        E, nu = self.young.to(like), self.poisson.to(like)
        return E / (3 * (1 - 2 * nu)), E / (2 * (1 + nu))

    def limit(self, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """Y(α) and its derivative [Pa], each shaped as α."""
        start, slope, gain, rate = (
            p.to(alpha) for p in (self.yield_stress, self.hardening, self.saturation, self.rate)
        )
        left = torch.exp(-rate * alpha)
        return start + slope * alpha + gain * (1 - left), slope + gain * rate * left

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """Stress σ [Pa], shape (q, 3, 3), without flow."""
        trace, deviator = split(strain(F_elastic))
        K, mu = self.moduli(trace)
        return spherical(K * trace) + 2 * mu * deviator

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """ψ = K/2 (tr ε)² + μ |dev ε|², what unloading gives back."""
        trace, deviator = split(strain(F_elastic))
        K, mu = self.moduli(trace)
        return 0.5 * K * trace.square() + mu * deviator.square().sum((1, 2))

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """See `ConstitutiveLaw.update`: the radial return; no rate enters."""
        n, _, flow = self._returned(F_trial, internal[:, 0])
        F = F_trial - flow[:, None, None] * n
        alpha = internal + ROOT * flow[:, None]
        return Response(self.stress(F, alpha), F, alpha)

    def linearize(
        self, F_trial: Tensor, internal: Tensor, dt: float, guess: Tensor | None = None
    ) -> tuple[Response, Tensor]:
        """See `ConstitutiveLaw.linearize`; Simo and Hughes' box 3.2.

        With n = dev ε/|dev ε| of the trial state and the flow Δ = |Δεᵖ|

            dσ/dε = K I⊗I + 2μ θ (1 − I⊗I/3) − 2μ (1/(1 + Y'/(3μ)) − 1 + θ) n⊗n,
            θ = 1 − Δ/|dev ε|
        """
        with torch.no_grad():
            n, size, flow = self._returned(F_trial, internal[:, 0])
            F = F_trial - flow[:, None, None] * n
            alpha = internal + ROOT * flow[:, None]
            K, mu = self.moduli(size)
            slope = self.limit(alpha[:, 0])[1]
            theta = 1 - flow / torch.where(size > 0, size, 1.0)
            turn = torch.where(flow > 0, 1 - theta - 1 / (1 + slope / (3 * mu)), 0.0)
            D = isotropic_tangent(K.expand_as(size), 2 * mu * theta, 2 * mu * turn, n, n)
            return Response(self.stress(F, alpha), F, alpha), D

    def _returned(self, F_trial: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Direction of the flow (q, 3, 3), |dev ε| before it, and how far it goes, (q,) each."""
        deviator = split(strain(F_trial))[1]
        size = norm(deviator)
        mu = self.moduli(size)[1]
        with torch.no_grad():
            found = self._length(size, alpha)
            slope = 2 * mu + 2 / 3 * self.limit(alpha + ROOT * found)[1]
        # one more step of Newton's method, which carries the derivatives
        left = 2 * mu * (size - found) - ROOT * self.limit(alpha + ROOT * found)[0]
        flow = torch.where(found > 0, found + left / slope, 0.0)
        return deviator / torch.where(size > 0, size, 1.0)[:, None, None], size, flow

    def _length(self, size: Tensor, alpha: Tensor) -> Tensor:
        """|Δεᵖ|, shape (q,): 0, or where 2μ (size − |Δεᵖ|) = √(2/3) Y(α + √(2/3) |Δεᵖ|).

        Y is concave, so that Newton's method from 0 never goes too far.
        """
        mu = self.moduli(size)[1]
        flow = torch.zeros_like(size)
        for _ in range(ITERATIONS):
            Y, slope = self.limit(alpha + ROOT * flow)
            over = 2 * mu * (size - flow) - ROOT * Y
            going = over > ROUNDING * 2 * mu * size
            if not bool(going.any()):
                break
            flow = torch.where(going, flow + over / (2 * mu + 2 / 3 * slope), flow)
        return flow

    def wave_modulus(self) -> float:
        """K + 4/3 μ [Pa]."""
        K, mu = self.moduli(self.young)
        return (K + 4 / 3 * mu).item()

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        return (
            f"young={self.young.item():.6g} Pa, poisson={self.poisson.item():.6g}, "
            f"yield_stress={self.yield_stress.item():.6g} Pa, "
            f"hardening={self.hardening.item():.6g} Pa, "
            f"saturation={self.saturation.item():.6g} Pa, rate={self.rate.item():.6g}"
        )

    @classmethod
    def example(cls) -> Self:
        """An aluminium alloy."""
        return cls(70e9, 0.33, 250e6, 1e9, saturation=80e6, rate=15.0)
