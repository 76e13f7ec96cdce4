# SPDX-License-Identifier: Apache-2.0
"""An energy that is given as text, with constants that can be learned.

    Symbolic("mu/2*(I1 - 3 - 2*log(J)) + lam/2*log(J)**2", {"mu": 4e4, "lam": 6e4})

The text is in J = det F, I1 = tr C, I2 = ((tr C)² − tr C²)/2 and I3 = J² of C = FᵀF, in I1bar =
J^(−2/3) I1 and I2bar = J^(−4/3) I2, and in constants of one's own. expression.py reads it and
differentiates it by each of these as if they were independent; the derivatives by Ī₁, Ī₂ and J, of
which τ is made (invariant_energy.py), are then

    ψ₁ = ∂ψ/∂I1bar + J^(2/3) ∂ψ/∂I1,        ψ₂ = ∂ψ/∂I2bar + J^(4/3) ∂ψ/∂I2,
    J ψ_J = J ∂ψ/∂J + 2/3 I1 ∂ψ/∂I1 + 4/3 I2 ∂ψ/∂I2

Of the principal stretches s_i = J^(−1/3) σ_i a text has stretch(alpha) = s₁^α + s₂^α + s₃^α − 3,
added with a factor of constants (Ogden 1972); α is a constant or a number.

Rest has to be free of stress whatever the constants are: J ψ_J = 0 at F = I is checked for values
drawn within their bounds. A constant ψ(I) moves nothing and is taken off.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from ..invariants import Invariants
from ..rubber import OgdenTerms
from . import formula_text
from .expression import FUNCTIONS, NAME, Program, compiled
from .invariant_energy import InvariantEnergy, Slopes

INVARIANTS = ("I1", "I2", "I3", "J", "I1bar", "I2bar")
"""Names of a text, all positive."""
BY = ("I1", "I2", "J", "I1bar", "I2bar")
SQUARES = {"I3": "J"}
STRETCH = re.compile(r"\bstretch\(\s*(-?[\w.]+)\s*\)")
"""A sum of powers of the principal stretches, and its exponent."""
MOST_CONSTANTS = 32
TRIALS = 6
"""Sets of constants with which rest is checked."""
ROUNDING = 1e-9
"""Of the sizes of what cancels at rest."""


class Constant(NamedTuple):
    """A number of the formula, by name."""

    name: str
    """A letter, then letters, digits and _."""
    value: float
    """To begin with, within the bounds."""
    unit: str = ""
    """For reading, such as "Pa"; values are in SI units."""
    low: float | None = None
    """It stays above; None: no bound."""
    high: float | None = None
    """It stays below; None: no bound."""


class UnstableAtRest(ValueError):
    """A law without stiffness at rest, or with one below 0."""


class Symbolic(InvariantEnergy):
    """The energy of this module.

    What is trained of a constant c with the value c₀ at the start is a number x without a unit, 0
    at first: c = c₀ exp x above a bound of 0, likewise above or below any other, a logistic
    function between two, and c₀ + |c₀| x without any (c₀ + x for c₀ = 0).

    Args:
        text: The formula.
        constants: Values by name, then positive if they are at the start and in Pa in formulas;
            or rows as of `Constant`, which give units and bounds.

    Raises:
        TypeError: The text is no string.
        ValueError: The text is no formula in these names, a constant is bad, or rest is not free of
            stress; the message says which, and how large the stress is.
        UnstableAtRest: Rest is not stable.
    """

    name: ClassVar[str] = "symbolic"

    def __init__(
        self,
        text: str,
        constants: Mapping[str, float] | Sequence[Sequence[Any]] = (),
    ) -> None:
        super().__init__()
        self.text = text
        """As given."""
        self.constants = _rows(constants)
        """What was given of the constants."""
        self.shifts = nn.Parameter(torch.zeros(len(self.constants), dtype=torch.float64))
        """x of the constants [-], shape (c,)."""
        bare, self.exponents = _without_stretches(text, [c.name for c in self.constants])
        sums = [f"stretch_{k}" for k in range(len(self.exponents))]
        names = [*INVARIANTS, *(c.name for c in self.constants), *sums]
        self.program: Program = compiled(bare, names, [*BY, *sums], SQUARES)
        _require_linear(self.program, sums)
        self._check_rest()

    def values(self) -> dict[str, Tensor]:
        """The constants by name, scalars."""
        return {c.name: _moved(c, x) for c, x in zip(self.constants, self.shifts, strict=True)}

    def density(self, at: Invariants) -> Tensor:
        """ψ [J/m³] over that at rest, shape (q,)."""
        rest = Invariants(*(torch.full_like(at.J[:1], v) for v in (3.0, 3.0, 1.0)))
        return self._outputs(at)[0] - self._outputs(rest)[0]

    def slopes(self, at: Invariants) -> Slopes:
        """See `InvariantEnergy.slopes`."""
        _, I1, I2, J, I1bar, I2bar = self._outputs(at)[:6]
        one, two = at.J.pow(2 / 3) * I1, at.J.pow(4 / 3) * I2
        pressure = at.J * J + 2 / 3 * at.I1 * one + 4 / 3 * at.I2 * two
        return Slopes(I1bar + one, I2bar + two, pressure)

    def ogden_terms(self) -> OgdenTerms | None:
        """See `InvariantEnergy.ogden_terms`: what each stretch(alpha) is, with its factor."""
        if not self.exponents:
            return None
        values, like = self.values(), self.shifts
        rest = Invariants(*(like.new_tensor([v]) for v in (3.0, 3.0, 1.0)))
        alpha = torch.stack(
            [
                values[w].to(like) if w in values else like.new_tensor(float(w))
                for w in self.exponents
            ]
        )
        return OgdenTerms(torch.cat(self._outputs(rest)[6:]) * alpha, alpha)

    def formula(self, *, latex: bool = False, digits: int = 4) -> str:
        """ψ as text or as LaTeX, and the constants with their values and units."""
        said = [formula_text.latex(self.text) if latex else self.text]
        with torch.no_grad():
            values = [float(value) for value in self.values().values()]
        for constant, value in zip(self.constants, values, strict=True):
            said.append(f"{constant.name} = {value:.{digits}g} {constant.unit}".strip())
        return "; ".join(said)

    def _outputs(self, at: Invariants) -> list[Tensor]:
        """ψ and its derivatives by I1, I2, J, I1bar, I2bar and sums of stretches, shape (q,) each.

        In ψ the sums of stretches are left out.
        """
        known = {"I1bar": at.I1, "I2bar": at.I2, "J": at.J}
        known["I1"], known["I2"] = at.J.pow(2 / 3) * at.I1, at.J.pow(4 / 3) * at.I2
        known |= {name: value.to(at.J) for name, value in self.values().items()}
        known |= {f"stretch_{k}": torch.zeros_like(at.J) for k in range(len(self.exponents))}
        found = self.program(known)
        return [
            value.expand_as(at.J) if isinstance(value, Tensor) else torch.full_like(at.J, value)
            for value in found
        ]

    @torch.no_grad()
    def _check_rest(self) -> None:
        """Refuse what is under stress at rest, or not stable.

        Raises:
            ValueError: See the class.
            UnstableAtRest: Likewise.
        """
        rest = Invariants(*(torch.tensor([v], dtype=torch.float64) for v in (3.0, 3.0, 1.0)))
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randn(TRIALS, len(self.constants), generator=generator, dtype=torch.float64)
        drawn[0] = 0.0
        for x in 0.3 * drawn:
            self.shifts.copy_(x)
            found = self._outputs(rest)
            stress = float(self.slopes(rest).log_J)
            size = sum(abs(float(v)) * n for v, n in zip(found[1:6], (2, 4, 1, 2, 2), strict=True))
            if not all(map(math.isfinite, [*map(float, found), stress])):
                raise ValueError(f"{self._at()}ψ or a slope of it is no finite number at F = I")
            if abs(stress) > ROUNDING * size:
                raise ValueError(
                    f"{self._at()}the stress at rest is {stress:.4g} Pa, expected 0 for all values"
                    " of the constants: add a term in J that balances it, such as - mu*log(J)"
                )
        self.shifts.zero_()
        tangent = self.tangent(*(torch.eye(3).double()[None], torch.zeros(1, 0).double(), 1.0))[0]
        shear, wave = float(tangent[0, 1, 0, 1]), float(tangent[0, 0, 0, 0])
        if not (wave > 0 and shear >= -ROUNDING * wave):
            raise UnstableAtRest(
                f"{self._at()}the moduli at rest are μ = {shear:.4g} Pa and λ + 2μ = {wave:.4g} Pa,"
                " expected μ >= 0 and λ + 2μ > 0: mend the signs"
            )

    def _at(self) -> str:
        """For errors, where the constants are."""
        values = ", ".join(f"{name} = {float(v):.4g}" for name, v in self.values().items())
        return f"with {values} " if values else ""

    @classmethod
    def example(cls) -> Self:
        """Compressible neo-Hookean with a second invariant."""
        text = "mu/2*(I1 - 3 - 2*log(J)) + c*(I2bar - 3)**2 + lam/2*log(J)**2"
        rows = [Constant("mu", 4e4, "Pa", 0.0), Constant("lam", 6e4, "Pa", 0.0)]
        return cls(text, [*rows, Constant("c", 5e3, "Pa")])

    def extra_repr(self) -> str:
        """Formula and constants, for print()."""
        return self.formula()


def _without_stretches(text: str, constants: Collection[str]) -> tuple[str, list[str]]:
    """The text with a name in place of each stretch(alpha), and the exponents.

    Raises:
        TypeError: The text is no string.
        ValueError: An exponent is no constant and no number, or 0.
    """
    if not isinstance(text, str):
        raise TypeError(f"got a formula of {type(text).__name__}, expected text")
    found: list[str] = []

    def named(match: re.Match[str]) -> str:
        word = match[1]
        if word not in constants:
            try:
                known = 0 < abs(float(word)) < math.inf
            except ValueError:
                known = False
            if not known:
                raise ValueError(
                    f"the formula has {match[0][:40]!r}, expected a constant or a number other than"
                    " 0 as the exponent"
                )
        if word not in found:
            found.append(word)
        return f"stretch_{found.index(word)}"

    return STRETCH.sub(named, text), found


def _require_linear(program: Program, sums: Sequence[str]) -> None:
    """Refuse sums of stretches that are not added with factors of constants.

    Raises:
        ValueError: The factor of one depends on the deformation.
    """
    moving = {*INVARIANTS, *sums}
    for place in program.outputs[6:]:
        pending = [place]
        while pending:
            step = program.steps[pending.pop()]
            pending += step.arguments
            if step.word == "name" and step.given in moving:
                raise ValueError(
                    "the formula has stretch(...) within a product or function of what deforms,"
                    " expected it added with a constant factor, such as mu/alpha*stretch(alpha)"
                )


def _rows(constants: Mapping[str, float] | Sequence[Sequence[Any]]) -> list[Constant]:
    """The constants, checked.

    Raises:
        ValueError: There are too many, or one is bad.
    """
    rows: Sequence[Any] = constants  # type: ignore[assignment]
    if isinstance(constants, Mapping):
        rows = [
            (name, value, "", 0.0 if _finite(value) and value > 0 else None)
            for name, value in constants.items()
        ]
    if len(rows) > MOST_CONSTANTS:
        raise ValueError(f"got {len(rows)} constants, expected at most {MOST_CONSTANTS}")
    taken, found = {*INVARIANTS, *FUNCTIONS, "stretch"}, []
    for row in rows:
        found.append(_constant(row, taken))
        taken.add(found[-1].name)
    return found


def _constant(row: Any, taken: Collection[str]) -> Constant:
    """A constant, with a name that is not taken.

    Raises:
        ValueError: Its name, value, unit or bounds are bad.
    """
    if isinstance(row, str) or not isinstance(row, Sequence) or not 2 <= len(row) <= 5:
        raise ValueError(
            f"got the constant {str(row)[:60]!r}, expected name, value, unit, low, high"
        )
    name, value, unit, low, high = Constant(*row)
    if not isinstance(name, str) or not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ValueError(
            f"got the constant {str(name)[:40]!r}, expected a letter, then letters, digits and"
            " _, and no word of Python's: lam for lambda"
        )
    if name in taken:
        raise ValueError(f"got the constant {name!r}, which has a meaning already: rename it")
    if not isinstance(unit, str) or any(not (b is None or _finite(b)) for b in (low, high)):
        raise ValueError(
            f"got {name} with the unit {str(unit)[:20]!r} and the bounds {str((low, high))[:60]},"
            " expected text, and numbers or None"
        )
    least, most = -math.inf if low is None else low, math.inf if high is None else high
    if not _finite(value) or not least < value < most:
        raise ValueError(
            f"got {name} = {str(value)[:40]}, expected a number between {least:g} and {most:g}"
        )
    return Constant(name, float(value), unit, low, high)


def _finite(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < math.inf  # type: ignore[operator]


def _moved(c: Constant, x: Tensor) -> Tensor:
    """A constant of x, scalar; see `Symbolic`."""
    if c.low is not None and c.high is not None:
        odds = (c.value - c.low) / (c.high - c.value)
        return c.low + (c.high - c.low) * torch.sigmoid(x + math.log(odds))
    if c.low is not None:
        return c.low + (c.value - c.low) * x.exp()
    if c.high is not None:
        return c.high - (c.high - c.value) * x.exp()
    return c.value + (abs(c.value) or 1.0) * x
