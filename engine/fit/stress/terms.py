# SPDX-License-Identifier: Apache-2.0
"""A CANN of a few given terms: a formula whose weights and rates are fitted as numbers.

Weights are positive, and rates within what the tests can tell: an exponential that no test bends
(b y < 0.05) is a power, and one that triples its slope many times over says nothing of what lies
beyond; a logarithm ends beyond the largest y that was seen. Of Ī₂ that is the largest y of any
state whose Ī₁ was seen: a pull reaches an Ī₁ at a small Ī₂, and a limit of Ī₂ just beyond that
would be a wall in equibiaxial tension which no test has shown. Exponents of stretches keep their
sign.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from rheograd.materials.energies.cann import CANN
from rheograd.materials.law import ConstitutiveLaw

from ..parameter import Parameter
from .families import Bulk, Family, Numbers, Scales

EXPONENTIAL = (0.05, 2.0)
"""Of b y at the largest y that was seen: bounds of an exponential."""
LEFT = (0.03, 0.95)
"""Of 1 − b y there: bounds of a logarithm."""
EXPONENT = (0.25, 8.0)
"""Of ∣α∣ [-]."""


class Piece(NamedTuple):
    """One term with its numbers."""

    name: str
    """As in `CANN.terms`, of stretches without the exponent."""
    weight: float
    """w [Pa]."""
    rate: float | None
    """b or α [-]; None of a power."""


def stretched(name: str) -> bool:
    """Whether it is a term of principal stretches."""
    return name.startswith("stretch")


def second(name: str) -> bool:
    """Whether it is more than a function of Ī₁."""
    return "I2" in name or stretched(name)


def at_rest(name: str) -> bool:
    """Whether the term has a shear modulus at rest."""
    return "^2" not in name


def rates(name: str, reach: Sequence[float]) -> tuple[float, float] | None:
    """Bounds of the rate of a term; None of a power.

    Args:
        name: See `Piece.name`.
        reach: The largest Ī₁ − 3 and Ī₂ − 3 that were seen [-].
    """
    if stretched(name):
        return (-EXPONENT[1], -EXPONENT[0]) if "-" in name else EXPONENT
    kind, _, inner = name.rstrip(")").rpartition("(")
    largest = reach[0] if inner.startswith("I1") else max(reach[1], biaxial(reach[0]))
    y = largest ** (2 if "^2" in inner else 1)
    if kind == "exp":
        return EXPONENTIAL[0] / y, EXPONENTIAL[1] / y
    return ((1 - LEFT[1]) / y, (1 - LEFT[0]) / y) if kind == "log" else None


def biaxial(one: float) -> float:
    """Ī₂ − 3 [-] of the equibiaxial tension of an Ī₁ − 3 [-]: no state of that Ī₁ has more.

    With x = λ² it is x² + 2/x − 3 at the largest root of 2 x³ − Ī₁ x² + 1 = 0.
    """
    sum_of_squares = one + 3.0
    angle = math.acos(max(1.0 - 54.0 / sum_of_squares**3, -1.0)) / 3
    x = sum_of_squares * (1.0 + 2.0 * math.cos(angle)) / 6
    return x**2 + 2.0 / x - 3.0


def formula(pieces: Sequence[Piece], scale: float, bulk: float, strain: float = 0.3) -> CANN:
    """The CANN of some terms and no others.

    Args:
        pieces: Its terms.
        scale: The unit of its weights [Pa].
        bulk: K [Pa].
        strain: Its strain scale [-].
    """
    exponents = [p.rate for p in pieces if stretched(p.name) and p.rate is not None]
    law = CANN(scale, bulk, strain_scale=strain, exponents=exponents)
    told: dict[str, float | tuple[float, float]] = {}
    for name, weight, rate in pieces:
        if stretched(name):
            told[f"stretch({rate:g})"] = weight
        else:
            told[name] = weight if rate is None else (weight, rate)
    law.set_terms(told)
    return law


class Terms(Family):
    """CANNs of the same terms."""

    def __init__(
        self, pieces: Sequence[Piece], scales: Scales, reach: Sequence[float], bulk: Bulk = None
    ) -> None:
        """See `Family`.

        Args:
            pieces: The terms, with the numbers that a fit starts from.
            scales: What the tests tell of sizes.
            reach: See `rates`.
            bulk: Of its laws.
        """
        super().__init__(bulk)
        self.pieces, self.scales, self.reach = tuple(pieces), scales, tuple(reach)

    def starts(self, scales: Scales) -> list[Numbers]:
        """See `Family.starts`: where the pieces are."""
        numbers: Numbers = {}
        for name, weight, rate in self.pieces:
            numbers[f"w {name}"] = Parameter(weight, 0.0, math.inf, "Pa")
            bounds = rates(name, self.reach)
            if rate is not None and bounds is not None:
                inner = 1e-6 * (bounds[1] - bounds[0])
                start = min(max(rate, bounds[0] + inner), bounds[1] - inner)
                label = ("α " if stretched(name) else "b ") + name
                numbers[label] = Parameter(start, *bounds, "-")
        return self.with_bulk([numbers], self.scales.shear)

    def make(self, values: Mapping[str, float]) -> ConstitutiveLaw:
        """See `Family.make`."""
        told = []
        for name, *_ in self.pieces:
            rate = values.get(f"α {name}", values.get(f"b {name}"))
            told.append(Piece(name, values[f"w {name}"], rate))
        shear = sum(p.weight * (1.0 if stretched(p.name) else 2.0) for p in told if at_rest(p.name))
        bulk = self.bulk_of(values, max(shear, 1e-6 * self.scales.shear))
        return formula(told, self.scales.shear, bulk, self.scales.strain)

    def read(self, law: ConstitutiveLaw) -> dict[str, float]:
        """See `Family.read`."""
        assert isinstance(law, CANN)
        found: dict[str, float] = {}
        for name, weight, rate in pieces_of(law):
            found[f"w {name}"] = weight
            if rate is not None:
                found[("α " if stretched(name) else "b ") + name] = rate
        return found | {"bulk": float(law.bulk_modulus().detach())}

    def fits(self, law: ConstitutiveLaw) -> bool:
        """See `Family.fits`."""
        return isinstance(law, CANN) and [p.name for p in pieces_of(law)] == [
            p.name for p in self.pieces
        ]


@torch.no_grad()
def pieces_of(law: CANN) -> list[Piece]:
    """The terms of a CANN that are there."""
    found = []
    count = {"stretch+": 0, "stretch-": 0}
    for name, (weight, rate) in law.terms().items():
        if not float(weight) > 0.0:
            continue
        label = name
        if stretched(name):
            sign = "stretch-" if float(rate or 0.0) < 0 else "stretch+"
            count[sign] += 1
            label = sign + "'" * (count[sign] - 1)
        found.append(Piece(label, float(weight), None if rate is None else float(rate)))
    return found


def grid(name: str, reach: Sequence[float], count: int) -> list[float | None]:
    """Rates to try, evenly spread over what they bend."""
    bounds = rates(name, reach)
    if bounds is None:
        return [None]
    if stretched(name):
        sizes = np.array([0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.25, 2.5, 3.0, 4.0, 5.0, 6.0])
        return list(-sizes if bounds[1] < 0 else sizes)
    if name.startswith("exp"):
        return list(np.geomspace(*bounds, count + 2)[1:-1])
    y = (1 - LEFT[0]) / bounds[1]
    return list((1 - np.geomspace(*LEFT, count + 2)[1:-1]) / y)
