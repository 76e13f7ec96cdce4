# SPDX-License-Identifier: Apache-2.0
"""Rubbers: energies of the distortion, each with the same energy of the volume.

    ψ = W(I₁, I₂) + K/4 (J² − 1 − 2 log J),    I₁ = tr b,  I₂ = (I₁² − tr b²)/2,  b = J^(−2/3) F Fᵀ

In kernels/laws/rubber.py stand the stresses and their sources. K is the bulk modulus at rest;
rubber has some thousand times its shear modulus, at which explicit steps are short: what is nearly
incompressible moves much alike from fifty times on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from . import bridge
from .elastic import AnalyticElasticity, hencky_strains, positive
from .invariants import invariants
from .law import Twin

MOST_TERMS = 3
"""Of Ogden's sum."""


class Rubber(AnalyticElasticity, ABC):
    """An energy of the distortion beside a bulk modulus.

    Args:
        bulk: Bulk modulus at rest K > 0 [Pa].

    Raises:
        ValueError: It is not positive.
    """

    unitless: ClassVar[Sequence[str]] = ()
    """Parameters that are no stresses."""

    def __init__(self, bulk: float) -> None:
        super().__init__()
        self.bulk = positive(bulk, "bulk", "the bulk modulus [Pa]")
        """K [Pa], scalar."""

    @abstractmethod
    def shear_modulus(self) -> Tensor:
        """μ at rest [Pa], scalar."""

    def numbers(self) -> Sequence[Tensor]:
        """What its device form has beside μ and λ, scalars."""
        return ()

    @abstractmethod
    def distortion(self, I1: Tensor, I2: Tensor) -> Tensor:
        """W [J/m³] of the invariants, shape (q,) each."""

    def coefficients(self) -> Tensor:
        """See `AnalyticElasticity.coefficients`."""
        mu = self.shear_modulus()
        return torch.stack([mu, self.bulk - 2 / 3 * mu, *self.numbers()])

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """ψ [J/m³], shape (q,)."""
        (I1, I2, J), _ = invariants(F_elastic)
        return self.distortion(I1, I2) + volume_energy(self.bulk.to(J), J)

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        return ", ".join(
            f"{name}={p.item():.6g}{'' if name in self.unitless else ' Pa'}"
            for name, p in self.named_parameters()
        )


class MooneyRivlin(Rubber):
    """W = c₁ (I₁ − 3) + c₂ (I₂ − 3) (Mooney 1940, Rivlin 1948).

    Args:
        c1: c₁ > 0 [Pa].
        c2: c₂ >= 0 [Pa].
        bulk: K > 0 [Pa].

    Raises:
        ValueError: A parameter is out of its range.
    """

    name: ClassVar[str] = "mooney-rivlin"

    def __init__(self, c1: float, c2: float, bulk: float) -> None:
        super().__init__(bulk)
        self.c1 = positive(c1, "c1", "of the first invariant [Pa]")
        """c₁ [Pa], scalar."""
        self.c2 = positive(c2, "c2", "of the second invariant [Pa]", zero=True)
        """c₂ [Pa], scalar."""

    def shear_modulus(self) -> Tensor:
        """2 (c₁ + c₂) [Pa], scalar."""
        return 2 * (self.c1 + self.c2)

    def numbers(self) -> Sequence[Tensor]:
        """c₂ [Pa]."""
        return (self.c2,)

    def distortion(self, I1: Tensor, I2: Tensor) -> Tensor:
        """See `Rubber.distortion`."""
        return self.c1.to(I1) * (I1 - 3) + self.c2.to(I1) * (I2 - 3)

    @classmethod
    def example(cls) -> Self:
        """A natural rubber."""
        return cls(0.16e6, 0.02e6, 10e6)


class Yeoh(Rubber):
    """W = c₁ e + c₂ e² + c₃ e³, e = I₁ − 3 (Yeoh 1993).

    Args:
        c1: c₁ > 0 [Pa].
        c2: c₂ [Pa], mostly negative: it softens at first.
        c3: c₃ >= 0 [Pa]: it stiffens in the end.
        bulk: K > 0 [Pa].

    Raises:
        ValueError: A parameter is out of its range.
    """

    name: ClassVar[str] = "yeoh"

    def __init__(self, c1: float, c2: float, c3: float, bulk: float) -> None:
        super().__init__(bulk)
        self.c1 = positive(c1, "c1", "of the first power [Pa]")
        """c₁ [Pa], scalar."""
        self.c2 = nn.Parameter(torch.tensor(c2, dtype=torch.float64))
        """c₂ [Pa], scalar."""
        self.c3 = positive(c3, "c3", "of the third power [Pa]", zero=True)
        """c₃ [Pa], scalar."""

    def shear_modulus(self) -> Tensor:
        """2 c₁ [Pa], scalar."""
        return 2 * self.c1

    def numbers(self) -> Sequence[Tensor]:
        """c₂ and c₃ [Pa]."""
        return self.c2, self.c3

    def distortion(self, I1: Tensor, I2: Tensor) -> Tensor:
        """See `Rubber.distortion`."""
        e = I1 - 3
        return e * (self.c1.to(e) + e * (self.c2.to(e) + e * self.c3.to(e)))

    @classmethod
    def example(cls) -> Self:
        """A carbon-black filled rubber."""
        return cls(0.2e6, -2e3, 40.0, 20e6)


class Gent(Rubber):
    """W = −μ/2 m log(1 − (I₁ − 3)/m): stretch is limited (Gent 1996).

    Args:
        shear: μ > 0 at rest [Pa].
        limit: m > 0, the largest I₁ − 3 [-]; rubber has 50 to 100.
        bulk: K > 0 [Pa].

    Raises:
        ValueError: A parameter is out of its range.
    """

    name: ClassVar[str] = "gent"
    unitless = ("limit",)

    def __init__(self, shear: float, limit: float, bulk: float) -> None:
        super().__init__(bulk)
        self.shear = positive(shear, "shear", "the shear modulus at rest [Pa]")
        """μ [Pa], scalar."""
        self.limit = positive(limit, "limit", "the largest I1 - 3 [-]")
        """m [-], scalar."""

    def shear_modulus(self) -> Tensor:
        """μ [Pa], scalar."""
        return self.shear

    def numbers(self) -> Sequence[Tensor]:
        """The limit m [-]."""
        return (self.limit,)

    def distortion(self, I1: Tensor, I2: Tensor) -> Tensor:
        """See `Rubber.distortion`."""
        m = self.limit.to(I1)
        return -0.5 * self.shear.to(I1) * m * torch.log1p((3 - I1) / m)

    @classmethod
    def example(cls) -> Self:
        """A natural rubber."""
        return cls(0.3e6, 80.0, 20e6)


class ArrudaBoyce(Rubber):
    """Eight chains of N links each (Arruda and Boyce 1993): stretch is limited to √N in every way.

        W = μ/2 (N − 1)/(3N − 1) (I₁ − 3 − 6N log((3N − I₁)/(3N − 3)))

    is their energy with Cohen's (1991) approximant of the inverse Langevin function.

    Args:
        shear: μ > 0 at rest [Pa].
        links: N > 1 [-]; rubber has 15 to 40.
        bulk: K > 0 [Pa].

    Raises:
        ValueError: A parameter is out of its range.
    """

    name: ClassVar[str] = "arruda-boyce"
    unitless = ("links",)

    def __init__(self, shear: float, links: float, bulk: float) -> None:
        super().__init__(bulk)
        self.shear = positive(shear, "shear", "the shear modulus at rest [Pa]")
        """μ [Pa], scalar."""
        if not 1.0 < links < float("inf"):
            raise ValueError(f"got links = {links:g}, expected links > 1: those of a chain")
        self.links = nn.Parameter(torch.tensor(links, dtype=torch.float64))
        """N [-], scalar."""

    def shear_modulus(self) -> Tensor:
        """μ [Pa], scalar."""
        return self.shear

    def numbers(self) -> Sequence[Tensor]:
        """N [-]."""
        return (self.links,)

    def distortion(self, I1: Tensor, I2: Tensor) -> Tensor:
        """See `Rubber.distortion`."""
        mu, N = self.shear.to(I1), self.links.to(I1)
        left = torch.log((3 * N - I1) / (3 * N - 3))
        return 0.5 * mu * (N - 1) / (3 * N - 1) * (I1 - 3 - 6 * N * left)

    @classmethod
    def example(cls) -> Self:
        """A natural rubber."""
        return cls(0.3e6, 26.5, 20e6)


class OgdenTerms(NamedTuple):
    """Σ μ_p/α_p (s₁^α_p + s₂^α_p + s₃^α_p − 3), s = J^(−1/3) σ, without an energy of the volume."""

    moduli: Tensor
    """μ_p [Pa], shape (n,)."""
    exponents: Tensor
    """α_p [-], shape (n,)."""

    @property
    def device_name(self) -> str:
        """Which entry of ELASTICITIES they are; there are those of one to three terms."""
        return f"ogden-{len(self.moduli)}"

    def coefficients(self, mu: Tensor, lam: Tensor) -> Tensor:
        """What the device form is given, shape (2 + 2 n,), with moduli of Lamé [Pa], scalars."""
        pairs = torch.stack([self.moduli, self.exponents], 1).flatten()
        return torch.cat([torch.stack([mu, lam]), pairs])

    def energies(self, strain: Tensor) -> Tensor:
        """Of each term [J/m³], shape (q, n), at principal Hencky strains, shape (q, 3)."""
        mu, alpha = self.moduli.to(strain), self.exponents.to(strain)
        dev = strain - strain.mean(1, keepdim=True)
        return mu / alpha * (alpha * dev[..., None]).expm1().sum(1)

    def stress(self, F: Tensor) -> Tensor:
        """Kirchhoff stress [Pa], shape (q, 3, 3), of any number of terms at F, (q, 3, 3)."""
        tau, zero = torch.zeros_like(F), self.moduli.new_zeros(())
        for first in range(0, len(self.moduli), MOST_TERMS):
            some = OgdenTerms(*(numbers[first : first + MOST_TERMS] for numbers in self))
            coefficients = some.coefficients(zero, zero)  # no pressure
            tau = tau + bridge.stress(
                Twin(some.device_name), coefficients, F, F.new_empty(len(F), 0)
            )
        return tau


class Ogden(AnalyticElasticity):
    """ψ = Σ μ_p/α_p (Σᵢ sᵢ^α_p − 3) + K/4 (J² − 1 − 2 log J), sᵢ = J^(−1/3) σᵢ (Ogden 1972).

    Args:
        moduli: μ_p [Pa], one to three; each of the sign of its exponent.
        exponents: α_p [-], as many, none 0.
        bulk: K > 0 [Pa].

    Raises:
        ValueError: The numbers of moduli and exponents differ, or a term has a negative stiffness.
    """

    name: ClassVar[str] = "ogden"

    def __init__(self, moduli: Sequence[float], exponents: Sequence[float], bulk: float) -> None:
        super().__init__()
        if not 1 <= len(moduli) == len(exponents) <= MOST_TERMS:
            raise ValueError(
                f"got {len(moduli)} moduli and {len(exponents)} exponents, expected as many of one"
                f" as of the other, 1 to {MOST_TERMS}"
            )
        for mu, alpha in zip(moduli, exponents, strict=True):
            if not 0 < mu * alpha < float("inf"):
                raise ValueError(
                    f"got a modulus {mu:g} with an exponent {alpha:g}, expected both of one sign:"
                    " their product is a stiffness"
                )
        self.bulk = positive(bulk, "bulk", "the bulk modulus [Pa]")
        """K [Pa], scalar."""
        self.moduli = nn.Parameter(torch.tensor(list(moduli), dtype=torch.float64))
        """μ_p [Pa], shape (n,)."""
        self.exponents = nn.Parameter(torch.tensor(list(exponents), dtype=torch.float64))
        """α_p [-], shape (n,)."""

    @property
    def device_name(self) -> str:
        """Which entry of ELASTICITIES it is, by its number of terms."""
        return self.terms().device_name

    def terms(self) -> OgdenTerms:
        """The energy of the distortion."""
        return OgdenTerms(self.moduli, self.exponents)

    def shear_modulus(self) -> Tensor:
        """½ Σ μ_p α_p [Pa], scalar."""
        return 0.5 * (self.moduli * self.exponents).sum()

    def coefficients(self) -> Tensor:
        """See `AnalyticElasticity.coefficients`."""
        mu = self.shear_modulus()
        return self.terms().coefficients(mu, self.bulk - 2 / 3 * mu)

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """ψ [J/m³], shape (q,)."""
        strain = hencky_strains(F_elastic)
        volume = volume_energy(self.bulk.to(strain), strain.sum(1).exp())
        return self.terms().energies(strain).sum(1) + volume

    @classmethod
    def example(cls) -> Self:
        """Treloar's rubber, with Ogden's numbers."""
        return cls([0.63e6, 0.0012e6, -0.01e6], [1.3, 5.0, -2.0], 20e6)

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        return (
            f"moduli={self.moduli.tolist()} Pa, exponents={self.exponents.tolist()},"
            f" bulk={self.bulk.item():.6g} Pa"
        )


def volume_energy(bulk: Tensor, J: Tensor) -> Tensor:
    """U = K/4 (J² − 1 − 2 log J) [J/m³] of K, scalar [Pa], and J, shape (q,)."""
    return 0.25 * bulk * (J.square() - 1 - 2 * J.log())


def volume_pressure(bulk: Tensor, J: Tensor) -> Tensor:
    """J ∂U/∂J = K/2 (J² − 1) [Pa], shape (q,), without a difference of squares near rest."""
    return 0.5 * bulk * (J - 1) * (J + 1)
