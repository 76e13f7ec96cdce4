# SPDX-License-Identifier: Apache-2.0
"""Terms that an energy may be a sum of, each with a weight that is not negative.

    (Ī₁ − 3)^i (Ī₂ − 3)^j                generalised Mooney–Rivlin (Rivlin and Saunders 1951)
    (s₁^α + s₂^α + s₃^α − 3)/α²          Ogden 1972
    −m log(1 − (Ī₁ − 3)/m)               limited stretch, Gent 1996
    (exp(b (Ī₁ − 3)) − 1)/b              stiffening, Fung 1967, Demiray 1972
    log(Ī₂/3)                            Gent and Thomas 1958
    (J − 1)², J² − 1 − 2 log J, log² J   of the volume, where the tests change it

All are linear in their weights. α, m and b are on a grid first and are refined once the terms are
chosen. The slopes of a term come from its text by automatic differentiation
(materials/energies/expression.py); exponents ±2 of stretches are left out, for they are Ī₁ − 3 and
Ī₂ − 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from rheograd.materials.energies.expression import Program, compiled
from rheograd.materials.invariants import invariants

EXPONENTS = (
    -4.0, -3.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0,
)  # fmt: skip
"""α of the grid [-]."""
SMALLEST_EXPONENT, LARGEST_EXPONENT = 0.1, 16.0
LIMITS = (1.02, 1.1, 1.3, 1.7, 3.0)
"""m of the grid, relative to the largest Ī₁ − 3."""
RATES = (0.3, 1.0, 2.0, 4.0, 8.0)
"""b of the grid times the largest Ī₁ − 3."""
DEGREE = 3
"""Largest i + j of (Ī₁ − 3)^i (Ī₂ − 3)^j."""
FAMILIES = ("mooney-rivlin", "stretch", "gent", "exp", "log", "volume")


@dataclass(frozen=True)
class Term:
    """One kind of term."""

    name: str
    """For reading, such as "(I1bar - 3)**2"."""
    text: str
    """For materials/energies/expression.py: {0} for its number, {1} where a sign needs brackets."""
    family: str
    """Of `FAMILIES`."""
    letter: str = ""
    """Of its number; "" if it has none."""
    grid: tuple[float, ...] = ()
    """Values of the number that are tried."""
    most: int = 1
    """How many of the kind may be in one energy."""

    def written(self, number: str) -> str:
        """The text with a number or a name for it."""
        return self.text.format(number, f"({number})" if number.startswith("-") else number)

    @cached_property
    def program(self) -> Program:
        """The term, then its slopes by Ī₁, Ī₂ and J."""
        names = ("I1bar", "I2bar", "J", "number")
        return compiled(self.written("number"), names, names[:3])

    def bounds(self, number: float) -> tuple[float, float]:
        """Between what a number is refined."""
        if self.family == "stretch":
            ends = (SMALLEST_EXPONENT, LARGEST_EXPONENT)
            return ends if number > 0 else (-ends[1], -ends[0])
        if self.family == "gent":
            least = self.grid[0] / LIMITS[0]
            return least * (1 + 1e-4), least * 40
        return self.grid[0] / 10, self.grid[-1] * 2


class Candidate(NamedTuple):
    """A term with its number."""

    term: Term
    number: float | None

    def __str__(self) -> str:
        return self.term.written("" if self.number is None else f"{self.number:.4g}")


@dataclass(frozen=True, eq=False)
class Deformed:
    """What terms need of deformation gradients, computed once."""

    F: Tensor
    """Shape (q, 3, 3), float64."""
    I1: Tensor
    """Ī₁ [-], shape (q,)."""
    I2: Tensor
    """Ī₂ [-], shape (q,)."""
    J: Tensor
    """Shape (q,)."""
    by_I1: Tensor
    """τ of ψ = Ī₁, shape (q, 3, 3)."""
    by_I2: Tensor
    """τ of ψ = Ī₂, shape (q, 3, 3)."""
    squares: Tensor
    """s², shape (q, 3)."""
    axes: Tensor
    """Principal directions of b, columns, shape (q, 3, 3)."""

    @classmethod
    def of(cls, F: Tensor) -> Deformed:
        """All of them, of F (q, 3, 3)."""
        F = F.detach().double()
        at, b = invariants(F)
        inner = at.I1[:, None, None] * b - b @ b
        squares, axes = torch.linalg.eigh(b)
        return cls(F, at.I1, at.I2, at.J, 2 * _dev(b), 2 * _dev(inner), squares, axes)

    @property
    def excess(self) -> float:
        """The largest Ī₁ − 3 [-]."""
        return float(self.I1.max()) - 3

    @cached_property
    def units(self) -> Tensor:
        """Kirchhoff stresses of which that of any term is a sum, shape (q, 6, 3, 3).

        Of ψ = Ī₁ and Ī₂, the identity, and n nᵀ of the principal directions.
        """
        dyads = torch.einsum("qik,qjk->qkij", self.axes, self.axes)
        identity = torch.eye(3, dtype=self.F.dtype, device=self.F.device).expand_as(self.F)
        first = torch.stack([self.by_I1, self.by_I2, identity], 1)
        return torch.cat([first, dyads], 1)

    def factors(self, candidate: Candidate) -> Tensor:
        """Of these, for the term with a weight of 1 [-], shape (q, 6)."""
        term, number = candidate
        found = torch.zeros(len(self.F), 6, dtype=self.F.dtype, device=self.F.device)
        if term.family == "stretch":
            assert number is not None
            along = self.squares.pow(0.5 * number) / number
            found[:, 3:] = along - along.mean(1, keepdim=True)
            return found
        known = {"I1bar": self.I1, "I2bar": self.I2, "J": self.J}
        if number is not None:
            known["number"] = self.J.new_tensor(number)
        for k, slope in enumerate(term.program(known)[1:]):
            found[:, k] = slope
        found[:, 2] *= self.J
        return found

    def tau(self, candidate: Candidate) -> Tensor:
        """Kirchhoff stress of the term with a weight of 1, shape (q, 3, 3)."""
        return torch.einsum("qu,quij->qij", self.factors(candidate), self.units)


def _dev(A: Tensor) -> Tensor:
    trace = A.diagonal(dim1=1, dim2=2).mean(1)
    return A - torch.diag_embed(trace[:, None].expand(-1, 3))


def library(excess: float, families: Sequence[str] = FAMILIES) -> list[Term]:
    """The terms.

    Args:
        excess: The largest Ī₁ − 3 of what was measured [-].
        families: Of `FAMILIES`.

    Raises:
        ValueError: A family is not known, or nothing is deformed.
    """
    from ..suggestion import did_you_mean

    for family in families:
        if family not in FAMILIES:
            raise ValueError(
                f"got the terms {family!r}{did_you_mean(family, FAMILIES)}, expected some of"
                f" {', '.join(FAMILIES)}"
            )
    if not (math.isfinite(excess) and excess > 1e-9):
        raise ValueError("nothing is deformed in what was measured: check the stretches")
    found = [
        Term(text, text, "mooney-rivlin")
        for i in range(DEGREE + 1)
        for j in range(DEGREE + 1 - i)
        if (text := _powers(i, j))
    ]
    found += [
        Term("stretch(alpha)", "stretch({0})/{1}**2", "stretch", "alpha", EXPONENTS, 2),
        Term("-log(1 - (I1bar - 3)/m)", "-{0}*log(1 - (I1bar - 3)/{0})", "gent", "m",
             tuple(excess * x for x in LIMITS)),
        Term("exp(b*(I1bar - 3)) - 1", "(exp({0}*(I1bar - 3)) - 1)/{0}", "exp", "b",
             tuple(x / excess for x in RATES)),
        Term("log(I2bar/3)", "log(I2bar/3)", "log"),
        Term("(J - 1)**2", "(J - 1)**2", "volume"),
        Term("J**2 - 1 - 2*log(J)", "(J**2 - 1 - 2*log(J))", "volume"),
        Term("log(J)**2", "log(J)**2", "volume"),
    ]  # fmt: skip
    return [term for term in found if term.family in families]


def candidates(terms: Sequence[Term]) -> list[Candidate]:
    """Every term with every number of its grid."""
    return [Candidate(t, n) for t in terms for n in (t.grid or (None,))]


def _powers(i: int, j: int) -> str:
    """(I1bar − 3)^i (I2bar − 3)^j as text."""
    parts = [
        f"({name} - 3)" + (f"**{power}" if power > 1 else "")
        for name, power in (("I1bar", i), ("I2bar", j))
        if power
    ]
    return "*".join(parts)
