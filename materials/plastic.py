# SPDX-License-Identifier: Apache-2.0
"""Analytic plasticities; formulas in kernels/laws/analytic.py.

A flow rule alone is not a law: `ElastoPlastic(elasticity, plasticity)` is. These are of finite
strain; a metal of small strains that hardens is `J2Plasticity`, a law by itself.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from . import bridge
from .elastic import Hencky, positive
from .law import Elasticity, Plasticity, Twin


class AnalyticPlasticity(Plasticity):
    """A plasticity with a device form, which reads μ and λ from the elasticity it goes with."""

    history: ClassVar[Mapping[str, float]] = {}
    """Names of what it remembers of a point, as trajectories record it, with the value at rest."""

    @abstractmethod
    def coefficients(self) -> Tensor:
        """Its own columns of the device form, after the elasticity's; shape (c,)."""

    def associated(self, elasticity: Elasticity) -> bool:
        """Whether a symmetric tangent stays so: it flows along the gradient of what it limits."""
        return False

    @classmethod
    def example(cls) -> Self:
        """An instance with ordinary parameters: its defaults, unless overridden."""
        return cls()

    @property
    def stiffens(self) -> bool:
        """Whether it has a `stiffening`."""
        return type(self).stiffening is not AnalyticPlasticity.stiffening

    def require(self, elasticity: Elasticity) -> None:
        """Refuse an elasticity that it has no answer with.

        Raises:
            ValueError: Says what to change.
        """

    def stiffening(self, history: Tensor) -> Tensor | None:
        """By what it multiplies μ and λ, shape (q,), given its history (q, h); None: by nothing.

        A device form that stiffens says the same; see `Stiffening` in kernels/laws/parts.py.
        """
        return None

    @property
    def most_stiffening(self) -> float:
        """The largest value of `stiffening` [-], to which explicit steps are fitted."""
        return 1.0

    def return_map(self, F_trial: Tensor) -> Tensor:
        """Only an `ElastoPlastic` law can answer.

        Raises:
            TypeError: Always, unless overridden.
        """
        raise TypeError(
            f"the flow of {type(self).__name__} depends on the elastic moduli: combine it with an "
            f"elasticity, as in ElastoPlastic(Hencky(...), {type(self).__name__}(...))"
        )


class VonMises(AnalyticPlasticity):
    """Perfect plasticity of metals and clays: ‖dev ε‖ ≤ σ_y/(2μ), without a factor √(2/3).

    Args:
        yield_stress: σ_y > 0 [Pa].

    Raises:
        ValueError: The yield stress is not positive.
    """

    name: ClassVar[str] = "von-mises"

    def __init__(self, yield_stress: float) -> None:
        super().__init__()
        self.yield_stress = positive(yield_stress, "yield_stress", "a stress [Pa]")
        """σ_y [Pa], scalar."""

    def coefficients(self) -> Tensor:
        """σ_y [Pa], shape (1,)."""
        return self.yield_stress.reshape(1)

    def associated(self, elasticity: Elasticity) -> bool:
        """With Hencky strains, in which it returns along the stress."""
        return isinstance(elasticity, Hencky)

    @classmethod
    def example(cls) -> Self:
        """Plasticine."""
        return cls(5e3)

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        return f"yield_stress={self.yield_stress.item():.6g} Pa"


class HardeningVonMises(AnalyticPlasticity):
    """Von Mises plasticity with linear isotropic hardening: ‖dev ε‖ ≤ max(σ_y + H κ, 0)/(2μ).

    κ = Σ ‖Δε_p‖ is the history, accumulated without a factor √(2/3), as the limit is without one.
    In uniaxial tension the stress is √(3/2) (σ_y + H κ), its slope 3/2 H by plastic strain. In
    terms of `J2Plasticity`: σ_y = √(2/3) yield_stress, H = 2/3 hardening, κ = √(3/2) α.

    With H < 0 it softens: κ = −σ_y/H leaves no strength. Deformation then gathers in a band as wide
    as the mesh or the grid resolves, so what follows depends on that.

    Args:
        yield_stress: σ_y > 0 at first [Pa].
        hardening: H [Pa]; above −2μ, for a limit that falls faster than the stress is not met.

    Raises:
        ValueError: The yield stress is not positive, or the hardening not finite.
    """

    name: ClassVar[str] = "hardening-von-mises"
    history: ClassVar[Mapping[str, float]] = {"plastic_strain": 0.0}

    def __init__(self, yield_stress: float, hardening: float) -> None:
        super().__init__()
        self.yield_stress = positive(yield_stress, "yield_stress", "a stress [Pa]")
        """σ_y [Pa], scalar."""
        if not math.isfinite(hardening):
            raise ValueError(f"got hardening = {hardening:g}, expected a finite modulus [Pa]")
        self.hardening = nn.Parameter(torch.tensor(hardening, dtype=torch.float64))
        """H [Pa], scalar."""

    def coefficients(self) -> Tensor:
        """σ_y and H [Pa], shape (2,)."""
        return torch.stack([self.yield_stress, self.hardening])

    def require(self, elasticity: Elasticity) -> None:
        """See `AnalyticPlasticity.require`: H > −2μ."""
        least, found = -2 * elasticity.coefficients()[0].item(), self.hardening.item()
        if not found > least:
            raise ValueError(
                f"got hardening = {found:g}, expected more than -2 mu = {least:g} Pa of "
                f"{type(elasticity).__name__}: soften less, or take a stiffer elasticity"
            )

    def associated(self, elasticity: Elasticity) -> bool:
        """With Hencky strains, in which it returns along the stress."""
        return isinstance(elasticity, Hencky)

    @classmethod
    def example(cls) -> Self:
        """Plasticine that hardens."""
        return cls(5e3, 1e4)

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        y, H = self.yield_stress.item(), self.hardening.item()
        return f"yield_stress={y:.6g} Pa, hardening={H:.6g} Pa"


class DruckerPrager(AnalyticPlasticity):
    """Frictional flow of sand (Klar et al. 2016), without volume correction.

    Args:
        friction_angle: φ [degrees], 0 < φ < 90.
        cohesion: Hencky strain of each axis up to which it bears tension [-], at least 0.

    Raises:
        ValueError: A parameter is out of its range.
    """

    name: ClassVar[str] = "drucker-prager"

    def __init__(self, friction_angle: float, cohesion: float = 0.0) -> None:
        super().__init__()
        if not 0 < friction_angle < 90:
            raise ValueError(
                f"got friction_angle = {friction_angle:g}, expected degrees between 0 and 90; "
                "dry sand has 25 to 40"
            )
        self.friction_angle = nn.Parameter(torch.tensor(friction_angle, dtype=torch.float64))
        """φ [degrees], scalar."""
        self.cohesion = positive(cohesion, "cohesion", "a Hencky strain [-]", zero=True)
        """Hencky strain at the apex [-], scalar."""

    def coefficients(self) -> Tensor:
        """α = √(2/3) 2 sin φ/(3 − sin φ) and the cohesion, shape (2,)."""
        sine = torch.sin(torch.deg2rad(self.friction_angle))
        return torch.stack([math.sqrt(2 / 3) * 2 * sine / (3 - sine), self.cohesion])

    @classmethod
    def example(cls) -> Self:
        """Dry sand."""
        return cls(35.0)

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        angle, cohesion = self.friction_angle.item(), self.cohesion.item()
        return f"friction_angle={angle:.6g} degrees, cohesion={cohesion:.6g}"


class FluidReset(AnalyticPlasticity):
    """A fluid keeps its volume and forgets its shape: F = J^{1/3} I. Not a number for J ≤ 0."""

    name: ClassVar[str] = "fluid-reset"

    def coefficients(self) -> Tensor:
        """None, shape (0,)."""
        return torch.zeros(0, dtype=torch.float64)

    def associated(self, elasticity: Elasticity) -> bool:
        """With any: what is left is a pressure, a function of J."""
        return True

    def return_map(self, F_trial: Tensor) -> Tensor:
        """J^{1/3} I, shape (q, 3, 3); no elastic moduli enter."""
        twin = Twin("volumetric", self.name)
        history = F_trial.new_empty(len(F_trial), 0)
        return bridge.update(twin, F_trial.new_zeros(2), F_trial, history, 1.0).F_elastic
