# SPDX-License-Identifier: Apache-2.0
"""Analytic elasticities.

Each is the torch face of a Warp function in kernels/laws/analytic.py, where its formula stands.
Parameters are float64 and physical, in SI units; convert the module (`law.to(torch.float32)`) if
need be.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from rheograd.kernels.laws.analytic import ELASTICITIES
from rheograd.kernels.laws.hencky import SMALLEST_STRETCH

from . import bridge
from .law import Elasticity, Response, Twin


class AnalyticElasticity(Elasticity, ABC):
    """An isotropic elasticity with an energy and a device form; `name` is a key of ELASTICITIES."""

    symmetric = True

    @property
    def device_name(self) -> str:
        """Which entry of ELASTICITIES it is: that of its own name, or of its parent's."""
        return next(k.name for k in type(self).__mro__ if vars(k).get("name") in ELASTICITIES)

    @property
    def twin(self) -> Twin | None:
        """The device form; of a subclass that has a stress of its own none."""
        if type(self).stress is not AnalyticElasticity.stress:
            return None
        return Twin(self.device_name)

    @abstractmethod
    def coefficients(self) -> Tensor:
        """Lamé's mu and lambda [Pa] at rest, then what else the device form has, shape (c,)."""

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """Kirchhoff stress [Pa], shape (q, 3, 3)."""
        assert self.twin is not None
        return bridge.stress(self.twin, self.coefficients(), F_elastic, internal)

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """See `ConstitutiveLaw.update`; numbers of its own may change in the step."""
        if self.twin is None or not self.n_internal:
            return super().update(F_trial, internal, dt)
        return bridge.update(self.twin, self.coefficients(), F_trial, internal, dt)

    def wave_modulus(self) -> float:
        """λ + 2μ [Pa]."""
        mu, lam = self.coefficients().tolist()[:2]
        return lam + 2 * mu


class YoungPoissonElasticity(AnalyticElasticity, ABC):
    """An elasticity that is linear with Young's modulus and Poisson's ratio at rest.

    Args:
        young: Young's modulus E > 0 [Pa].
        poisson: Poisson's ratio nu [-], -1 < nu < 0.5.

    Raises:
        ValueError: A parameter is out of its range.
    """

    def __init__(self, young: float, poisson: float) -> None:
        super().__init__()
        self.young = positive(young, "young", "Young's modulus [Pa]")
        """E [Pa], scalar."""
        if not -1.0 < poisson < 0.5:
            raise ValueError(
                f"got poisson = {poisson:g}, expected -1 < poisson < 0.5: at 0.5 the material is "
                "incompressible and waves are infinitely fast; take 0.49 at most"
            )
        self.poisson = nn.Parameter(torch.tensor(poisson, dtype=torch.float64))
        """nu [-], scalar."""

    def coefficients(self) -> Tensor:
        """Lamé's mu and lambda [Pa], shape (2,)."""
        E, nu = self.young, self.poisson
        return torch.stack([E / (2 * (1 + nu)), E * nu / ((1 + nu) * (1 - 2 * nu))])

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        return f"young={self.young.item():.6g} Pa, poisson={self.poisson.item():.6g}"


class Corotated(YoungPoissonElasticity):
    """Fixed corotated: τ = 2μ (F − R) Fᵀ + λ J (J − 1) I. Survives inversion."""

    name: ClassVar[str] = "corotated"

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """ψ = μ |F − R|² + λ/2 (J − 1)²."""
        mu, lam = self.coefficients().to(F_elastic)
        J = det3(F_elastic)
        sigma = torch.linalg.svdvals(F_elastic)
        sigma = torch.cat([sigma[:, :2], torch.where(J < 0, -1.0, 1.0)[:, None] * sigma[:, 2:]], 1)
        return mu * (sigma - 1).square().sum(1) + 0.5 * lam * (J - 1).square()

    @classmethod
    def example(cls) -> Self:
        """A jelly."""
        return cls(young=1e5, poisson=0.2)


class NeoHookean(YoungPoissonElasticity):
    """Compressible neo-Hookean: τ = μ (F Fᵀ − I) + λ log J I. Not a number for J ≤ 0."""

    name: ClassVar[str] = "neo-hookean"

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """ψ = μ/2 (tr FᵀF − 3) − μ log J + λ/2 (log J)²."""
        mu, lam = self.coefficients().to(F_elastic)
        log_J = det3(F_elastic).log()
        squares = F_elastic.square().sum((1, 2))
        return 0.5 * mu * (squares - 3) - mu * log_J + 0.5 * lam * log_J.square()

    @classmethod
    def example(cls) -> Self:
        """A soft rubber."""
        return cls(young=1e6, poisson=0.45)


class StVenantKirchhoff(YoungPoissonElasticity):
    """τ = F (2μ E + λ tr E I) Fᵀ, E = (FᵀF − I)/2. Large rotations, small strains.

    It softens under compression: along an axis, stress peaks in magnitude at a stretch of 0.58.
    """

    name: ClassVar[str] = "stvk"

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """ψ = μ |E|² + λ/2 (tr E)²."""
        mu, lam = self.coefficients().to(F_elastic)
        E = 0.5 * (F_elastic.mT @ F_elastic - torch.eye(3).to(F_elastic))
        trace = E.diagonal(dim1=1, dim2=2).sum(1)
        return mu * E.square().sum((1, 2)) + 0.5 * lam * trace.square()

    @classmethod
    def example(cls) -> Self:
        """A wooden beam, taken as isotropic."""
        return cls(young=1e9, poisson=0.3)


class Hencky(YoungPoissonElasticity):
    """τ = U diag(2μ ε + λ tr ε) Uᵀ, ε = log max(σ, 0.05). The base of metal and sand plasticity."""

    name: ClassVar[str] = "hencky"

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """ψ = μ |ε|² + λ/2 (tr ε)²."""
        mu, lam = self.coefficients().to(F_elastic)
        strain = hencky_strains(F_elastic)
        return mu * strain.square().sum(1) + 0.5 * lam * strain.sum(1).square()

    @classmethod
    def example(cls) -> Self:
        """A stiff clay."""
        return cls(young=3e5, poisson=0.25)


class Volumetric(YoungPoissonElasticity):
    """The pressure of a fluid: τ = λ J (J − 1) I, λ from young and poisson. No shear stiffness."""

    name: ClassVar[str] = "volumetric"

    def __init__(self, young: float, poisson: float) -> None:
        super().__init__(young, poisson)
        if poisson <= 0:
            raise ValueError(
                f"got poisson = {poisson:g}, expected 0 < poisson < 0.5 for a fluid, whose only "
                "stiffness λ has to be positive"
            )

    def wave_modulus(self) -> float:
        """λ [Pa]."""
        return self.coefficients().tolist()[1]

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """ψ = λ/2 (J − 1)²."""
        lam = self.coefficients()[1].to(F_elastic)
        return 0.5 * lam * (det3(F_elastic) - 1).square()

    @classmethod
    def example(cls) -> Self:
        """A slow liquid."""
        return cls(young=1e5, poisson=0.3)


def det3(F: Tensor) -> Tensor:
    """Determinants, shape (q,), of matrices (q, 3, 3); their derivatives are those of a product."""
    return (F[:, 0] * torch.linalg.cross(F[:, 1], F[:, 2])).sum(1)


def hencky_strains(F: Tensor) -> Tensor:
    """Principal Hencky strains ε = log max(σ, 0.05) [-], shape (q, 3), of F (q, 3, 3)."""
    return torch.linalg.svdvals(F).clamp(min=SMALLEST_STRETCH).log()


def positive(value: float, name: str, meaning: str, *, zero: bool = False) -> nn.Parameter:
    """A float64 scalar parameter that has to be positive.

    Args:
        value: Its value.
        name: The argument's name, for the error.
        meaning: What it is, for the error.
        zero: Whether 0 is allowed as well.

    Raises:
        ValueError: The value is negative, zero unless allowed, or not finite.
    """
    if not (0 < value < float("inf") or (zero and value == 0)):
        sign = ">= 0" if zero else "> 0"
        raise ValueError(f"got {name} = {value:g}, expected {name} {sign}: {meaning}")
    return nn.Parameter(torch.tensor(value, dtype=torch.float64))
