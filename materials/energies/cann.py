# SPDX-License-Identifier: Apache-2.0
"""A learned energy that reads as a formula: a constitutive artificial neural network (CANN).

Linka and Kuhl 2023, "A new family of constitutive artificial neural networks towards automated
model discovery"; with logarithms, twelve terms in all: Linka, St. Pierre and Kuhl 2023, "Automated
model discovery for human brain using constitutive artificial neural networks". It is

    ψ = Σ w y + Σ w/b (exp(b y) − 1) − Σ w/b log(1 − b y) + K/4 (J² − 1 − 2 log J),
    y of Ī₁ − 3, (Ī₁ − 3)², Ī₂ − 3, (Ī₂ − 3)²

with w >= 0 [Pa] and b > 0 [-] of each term its own. They write w for our w/b; divided by b, w is
the slope of the term at rest, so that the shear modulus there is twice the sum of those of y =
Ī − 3. Terms of the principal stretches can be added, s = J^(−1/3) σ (Ogden 1972; in a CANN: St.
Pierre, Linka and Kuhl 2023, "Principal-stretch-based constitutive neural networks"):

    Σ 2 w/α² (s₁^α + s₂^α + s₃^α − 3),  each with the shear modulus w at rest.

w is a stress times the square of a parameter, so never negative: ψ >= 0, ψ(I) = 0 and P(I) = 0
whatever the parameters. What is set to 0 stays so in training, which makes a formula sparse. A
logarithm beyond its limit, b y >= 1, is answered with a NaN, as by Gent's law, which is such a one.
Without the terms of Ī₂, and with every α >= 3/2 or <= -3, it is polyconvex; Ī₂ − 3 itself is not,
only its power 3/2 (Hartmann and Neff 2003).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from ..invariants import Invariants, equibiaxial, uniaxial
from ..rubber import MOST_TERMS, OgdenTerms, volume_energy, volume_pressure
from ..scales import above_zero
from .formula_text import LEAST_RATE, cann_formula
from .invariant_energy import InvariantEnergy, Slopes

SMALL = 0.02
"""Of the shear modulus at rest that each term but the first has at first."""
BENT = ((0.5, 0.1), (0.1, 0.01))
"""b y at first, of exponentials and logarithms by power, in an equibiaxial pull by the strain
scale. Logarithms then end at ten times its Ī − 3."""
KINDS = ("{y}", "exp({y})", "log({y})")
STRETCHES = "stretch({alpha:g})"


class Term(NamedTuple):
    """One of the sum."""

    weight: Tensor
    """w [Pa], scalar."""
    rate: Tensor | float | None
    """b [-] of an exponential or a logarithm, α [-] of stretches, scalar; None of a power."""


class CANN(InvariantEnergy):
    """The energy of this module; new, it is nearly neo-Hookean, with all other terms small.

    Args:
        stress_scale: Shear modulus to begin with, the unit of the weights > 0 [Pa].
        bulk: K > 0 at the start [Pa]; None: 5/3 of the shear modulus, Poisson's ratio 0.25.
        strain_scale: Strain [-] at which exponentials and logarithms bend at first.
        exponents: α [-] of terms of the principal stretches, at most three, none 0.

    Raises:
        ValueError: An argument is out of its range.
    """

    name: ClassVar[str] = "cann"
    alpha: Tensor

    def __init__(
        self, stress_scale: float = 1e5, bulk: float | None = None, *, strain_scale: float = 0.3,
        exponents: Sequence[float] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        bulk = 5 / 3 * stress_scale if bulk is None else bulk
        self.stress_scale = above_zero("stress_scale", stress_scale, "[Pa]")
        """[Pa]"""
        self.bulk = above_zero("bulk", bulk, "[Pa]")
        """K at the start [Pa]"""
        self.strain_scale = above_zero("strain_scale", strain_scale, "[-]")
        """[-]"""
        known = [a for a in exponents if 0 < abs(a) < math.inf]
        if len(known) < len(exponents) or len(set(known)) < len(known) or len(known) > MOST_TERMS:
            raise ValueError(
                f"got exponents {str(list(exponents))[:80]}, expected at most {MOST_TERMS} numbers,"
                " all different and none 0"
            )
        self.exponents = tuple(map(float, exponents))
        """α [-]"""
        alpha = torch.tensor(self.exponents, dtype=torch.float64)
        self.register_buffer("alpha", alpha, persistent=False)
        half = (0.5 * SMALL) ** 0.5
        roots = torch.full((2, 2, 3), half, dtype=torch.float64)
        roots[0, 0, 0] = (0.5 - (5 + len(known)) * 0.5 * SMALL) ** 0.5
        self.roots = nn.Parameter(roots)
        """Root of w by stress_scale: by invariant, power and kind, shape (2, 2, 3)."""
        reach = torch.tensor(equibiaxial(1 + self.strain_scale), dtype=torch.float64) - 3
        bent = torch.tensor(BENT, dtype=torch.float64)
        self.log_rates = nn.Parameter((bent / _powers(reach)[..., None]).log())
        """log b, of exponentials and logarithms: shape (2, 2, 2)."""
        stretch_roots = torch.full((len(known),), SMALL**0.5, dtype=torch.float64)
        self.stretch_roots = nn.Parameter(stretch_roots)
        """Root of w by stress_scale, shape (number of exponents,)."""
        self.log_bulk = nn.Parameter(torch.zeros((), dtype=torch.float64))
        """log of K by what it was at the start [-], scalar."""

    def bulk_modulus(self) -> Tensor:
        """K [Pa], scalar."""
        return self.bulk * self.log_bulk.exp()

    def shear_modulus(self) -> Tensor:
        """At rest [Pa], scalar."""
        invariant = 2 * self.roots[:, 0].square().sum()
        return self.stress_scale * (invariant + self.stretch_roots.square().sum())

    def terms(self) -> dict[str, Term]:
        """The terms by name, such as "I1", "I2^2", "exp(I1^2)", "log(I2)" and "stretch(1.5)"."""
        weights = self.stress_scale * self.roots.square()
        found = {}
        for i, power, kind, name in _names():
            rate = None if kind == 0 else self.log_rates[i, power, kind - 1].exp()
            found[name] = Term(weights[i, power, kind], rate)
        for root, alpha in zip(self.stretch_roots, self.exponents, strict=True):
            weight = self.stress_scale * root.square()
            found[STRETCHES.format(alpha=alpha)] = Term(weight, alpha)
        return found

    @torch.no_grad()
    def set_terms(self, terms: Mapping[str, float | tuple[float, float]]) -> None:
        """Give terms their weights, and all that are not named the weight 0.

        Args:
            terms: By name (see `terms`) w [Pa], or w and b [-].

        Raises:
            ValueError: A name is not known, a weight negative, or a rate not positive.
        """
        known = self.terms()
        if unknown := sorted(terms.keys() - known.keys()):
            raise ValueError(f"got the term {unknown[0]!r}, expected of {', '.join(known)}")
        for name, given in terms.items():
            weight, rate = given if isinstance(given, tuple) else (given, None)
            if not 0 <= weight < math.inf:
                raise ValueError(f"got a weight {weight:g} of {name}, expected at least 0 [Pa]")
            has_rate = isinstance(known[name].rate, Tensor)
            if rate is not None and not (has_rate and 0 < rate < math.inf):
                wanted = "one > 0 [-]" if has_rate else "none"
                raise ValueError(f"got a rate {rate:g} of {name}, expected {wanted}")

        def root(name: str) -> float:
            given = terms.get(name, 0.0)
            weight = given[0] if isinstance(given, tuple) else given
            return (weight / self.stress_scale) ** 0.5

        for i, power, kind, name in _names():
            self.roots[i, power, kind] = root(name)
            given = terms.get(name)
            if isinstance(given, tuple):
                self.log_rates[i, power, kind - 1] = math.log(given[1])
        for n, alpha in enumerate(self.exponents):
            self.stretch_roots[n] = root(STRETCHES.format(alpha=alpha))

    def penalty(self, power: float = 1.0) -> Tensor:
        """Σ (w / stress_scale)^power [-], scalar: added to what is minimized it thins the formula.

        Args:
            power: 1 for the lasso, down to 0.5, which spares large weights (bridge regression).

        Raises:
            ValueError: The power is not from 0.5 to 2: below, its gradient has no limit at 0.
        """
        if not 0.5 <= power <= 2:
            raise ValueError(f"got power = {power:g}, expected 0.5 to 2: 1 for the lasso")
        roots = torch.cat([self.roots.flatten(), self.stretch_roots])
        return roots.abs().pow(2 * power).sum()

    @torch.no_grad()
    def shares(self, stretch: float | None = None) -> dict[str, float]:
        """Of each term in the energy of distortion [-], of a pull along one axis or along two.

        Args:
            stretch: Along the axes; None: 1 + strain_scale. The larger share of the two counts.
        """
        s = 1 + self.strain_scale if stretch is None else stretch
        x = torch.tensor([uniaxial(s), equibiaxial(s)]).to(self.roots) - 3
        sigma = torch.tensor([[s, s**-0.5, s**-0.5], [s, s, s**-2]]).to(self.roots)
        terms, energies = self.ogden_terms(), self._energies(x).flatten(1)
        if terms is not None:
            energies = torch.cat([energies, terms.energies(sigma.log())], 1)
        found = (energies / energies.sum(1, keepdim=True)).amax(0).tolist()
        names = [name for *_, name in _names()]
        names += [STRETCHES.format(alpha=alpha) for alpha in self.exponents]
        return dict(zip(names, found, strict=True))

    @torch.no_grad()
    def prune(self, threshold: float = 1e-3, stretch: float | None = None) -> list[str]:
        """Set terms of less than a share of the energy to 0, where they stay; see `shares`.

        Returns:
            The names of those that are left.
        """
        shares = self.shares(stretch)
        left: dict[str, float | tuple[float, float]] = {}
        for name, (weight, rate) in self.terms().items():
            if weight > 0 and not shares[name] < threshold:
                has_rate = isinstance(rate, Tensor)
                left[name] = (float(weight), float(rate)) if has_rate else float(weight)
        self.set_terms(left)
        return list(left)

    @torch.no_grad()
    def formula(
        self, *, latex: bool = False, threshold: float = 1e-3, stretch: float | None = None,
        digits: int = 4,
    ) -> str:  # fmt: skip
        """ψ [J/m³] with its numbers, as text that `Symbolic` reads (but for stretches) or as LaTeX.

        Args:
            latex: Whether as LaTeX.
            threshold: Terms of less than this share of the energy are left out; see `shares`.
            stretch: See `shares`.
            digits: Of the numbers.
        """
        shares = self.shares(stretch)
        kept = {
            name: (float(term.weight), None if term.rate is None else float(term.rate))
            for name, term in self.terms().items()
            if float(term.weight) > 0 and not shares[name] < threshold
        }
        return cann_formula(kept, float(self.bulk_modulus()), latex=latex, digits=digits)

    def density(self, at: Invariants) -> Tensor:
        """See `InvariantEnergy.density`."""
        x = torch.stack([at.I1, at.I2], 1) - 3
        volume = volume_energy(self.bulk_modulus().to(x), at.J)
        return self._energies(x).sum((1, 2, 3)) + volume

    def slopes(self, at: Invariants) -> Slopes:
        """See `InvariantEnergy.slopes`."""
        x = torch.stack([at.I1, at.I2], 1) - 3
        weights, rates = self._numbers(x)
        by = rates * _powers(x)[..., None]
        bent = torch.stack([by[..., 0].exp(), 1 / _left(by[..., 1])], 3)
        slope = self.stress_scale * (
            weights[..., 0] + (weights[..., 1:] * bent).sum(3)
        )  # by the powers, shape (q, 2, 2)
        one, two = (slope[..., 0] + 2 * x * slope[..., 1]).unbind(1)
        return Slopes(one, two, volume_pressure(self.bulk_modulus().to(x), at.J))

    def ogden_terms(self) -> OgdenTerms | None:
        """See `InvariantEnergy.ogden_terms`."""
        if not self.exponents:
            return None
        alpha = self.alpha
        return OgdenTerms(
            2 * self.stress_scale * self.stretch_roots.square().to(alpha) / alpha, alpha
        )

    def _numbers(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Weights by stress_scale, (2, 2, 3), and b, (2, 2, 2), 0 where no weight needs it."""
        weights = self.roots.square()
        rates = torch.where(weights[..., 1:] > 0, self.log_rates.exp(), 0.0)
        return weights.to(like), rates.to(like)

    def _energies(self, x: Tensor) -> Tensor:
        """Of the terms of invariants [J/m³], shape (q, 2, 2, 3), at Ī − 3, shape (q, 2)."""
        weights, rates = self._numbers(x)
        y = _powers(x)[..., None]
        by = rates * y
        bent = torch.stack([by[..., 0].expm1(), -_left(by[..., 1]).log()], 3)
        straight = rates < LEAST_RATE
        by_rate = torch.where(straight, y, bent / torch.where(straight, 1.0, rates))
        return self.stress_scale * weights * torch.cat([y, by_rate], 3)

    @classmethod
    def example(cls) -> Self:
        """A soft solid, with a term of the stretches."""
        return cls(1e5, exponents=(1.5,))

    def extra_repr(self) -> str:
        """Its formula, for print()."""
        return f"{self.formula()} Pa"


def _names() -> list[tuple[int, int, int, str]]:
    """Invariant, power, kind and name of the terms of invariants, in the order of `CANN.roots`."""
    return [
        (i, power, kind, KINDS[kind].format(y=f"I{i + 1}" + ("^2" if power else "")))
        for i in range(2)
        for power in range(2)
        for kind in range(3)
    ]


def _powers(x: Tensor) -> Tensor:
    """X and its squares in a further last axis."""
    return torch.stack([x, x.square()], -1)


def _left(by: Tensor) -> Tensor:
    """1 − b y, what is left to the limit of a logarithm; a NaN beyond it."""
    return torch.where(by < 1, 1 - by, math.nan)
