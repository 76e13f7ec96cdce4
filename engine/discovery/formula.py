# SPDX-License-Identifier: Apache-2.0
"""Chosen terms as a law that runs, and as a formula with the uncertainty of each number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from rheograd.materials.energies import formula_text
from rheograd.materials.energies.symbolic import Constant, Symbolic

from ..fit.report import FittedParameter
from .selection import Chosen

STIFF = 1000.0
"""Bulk modulus by the shear modulus at rest where nothing measured tells it."""
VOLUME = "K/4*(J**2 - 1 - 2*log(J))"
WIDEST = 1.0
"""Standard deviation of a number, relative to itself, from which on it is not determined."""


@dataclass(frozen=True, eq=False)
class Formula:
    """A law and what is known of its numbers."""

    law: Symbolic
    parameters: tuple[FittedParameter, ...]
    """In the order of the law's constants, but for a bulk modulus that was not measured."""
    covariance: np.ndarray
    """Of the same, shape (n, n)."""

    @property
    def text(self) -> str:
        """ψ with its numbers, as materials/energies/expression.py reads it."""
        values = {name: float(v.detach()) for name, v in self.law.values().items()}
        return filled(self.law.text, values)

    @property
    def numbers(self) -> str:
        """The numbers by name, each ± its standard deviation."""
        said = []
        for p in self.parameters:
            error = " (not determined)" if p.std is None else f" ± {p.std:.2g}"
            unit = "" if p.unit == "-" else f" {p.unit}"
            said.append(f"{p.name} = {p.value:.4g}{error}{unit}")
        return ", ".join(said)

    @property
    def latex(self) -> str:
        """ψ and its numbers as LaTeX."""
        said = [formula_text.latex(self.law.text)]
        for p in self.parameters:
            name = formula_text.latex(p.name)
            unit = "" if p.unit == "-" else rf"\,\mathrm{{{p.unit}}}"
            value = formula_text.number(p.value, 4, latex=True)
            error = "" if p.std is None else rf" \pm {formula_text.number(p.std, 2, latex=True)}"
            said.append(f"{name} = {value}{error}{unit}")
        return r",\quad ".join(said)


def filled(text: str, values: Mapping[str, float], digits: int = 4) -> str:
    """The text with numbers in place of names; those below 0 in brackets."""

    def number(match: re.Match[str]) -> str:
        if match[0] not in values:
            return match[0]
        value = f"{values[match[0]]:.{digits}g}"
        enclosed = text[match.start() - 1 : match.start()] == "(" and text[match.end()] == ")"
        return f"({value})" if value.startswith("-") and not enclosed else value

    return re.sub(r"\b[A-Za-z]\w*\b", number, text)


def formula(
    chosen: Chosen, covariance: np.ndarray, quantile: float, *, bulk: float | None = None,
    volume: bool = False,
) -> Formula:  # fmt: skip
    """The law of chosen terms.

    Args:
        chosen: Terms, numbers and weights.
        covariance: Of the weights [Pa], then of the numbers [-], shape (n, n).
        quantile: Half width of a 95 % band in standard deviations.
        bulk: Bulk modulus [Pa]; None: `STIFF` times the shear modulus at rest.
        volume: Whether terms of the volume were measured, so that none is added.
    """
    parts, constants = [], []
    rows: list[tuple[Constant, int]] = []
    std = np.sqrt(np.diag(covariance))
    weights = len(chosen.parts)
    numbered = [p for p in chosen.parts if p.number is not None]
    letters = [p.term.letter for p in numbered]
    for k, (part, weight) in enumerate(zip(chosen.parts, chosen.weights, strict=True), 1):
        name, number = f"c{k}", ""
        rows.append((Constant(name, float(weight), "Pa", 0.0), k - 1))
        if part.number is not None:
            at = numbered.index(part)
            letter = part.term.letter
            twice = letters.count(letter) > 1
            number = f"{letter}{1 + letters[:at].count(letter)}" if twice else letter
            low, high = part.term.bounds(part.number)
            bounded = Constant(number, part.number, "", low * (1 - 1e-9), high * (1 + 1e-9))
            if low < 0:
                bounded = bounded._replace(low=low * (1 + 1e-9), high=high * (1 - 1e-9))
            rows.append((bounded, weights + at))
        word = part.term.written(number)
        parts.append(f"- {name}*{word[1:]}" if word.startswith("-") else f"+ {name}*{word}")
    constants = [row for row, _ in rows]
    text = " ".join(parts).removeprefix("+ ")
    if text.startswith("- "):
        text = f"-{text[2:]}"
    if not volume:
        trial = Symbolic(f"{text} + {VOLUME}", [*constants, Constant("K", 1.0, "Pa", 0.0)])
        size = _shear(trial) or float(chosen.weights.max())
        constants = [*constants, Constant("K", bulk or STIFF * size, "Pa", 0.0)]
        text = f"{text} + {VOLUME}"
    law = Symbolic(text, constants)
    order = [k for _, k in rows]
    known = tuple(parameter(row, float(std[k]), quantile) for row, k in rows)
    return Formula(law, known, covariance[np.ix_(order, order)])


def _shear(law: Symbolic) -> float:
    """μ [Pa] at rest."""
    identity = torch.eye(3, dtype=torch.float64)[None]
    tangent = law.tangent(identity, law.rest_internal(1, identity), 1.0)[0]
    return max(float(tangent[0, 1, 0, 1]), 0.0)


def parameter(row: Constant, std: float, quantile: float) -> FittedParameter:
    """A fitted number with a 95 % band that does not cross zero.

    Args:
        row: The constant.
        std: Its standard deviation, in the constant's unit.
        quantile: Half width of the band in standard deviations.
    """
    known = bool(np.isfinite(std)) and std < WIDEST * abs(row.value)
    reach = quantile * std
    low, high = row.value - reach, row.value + reach
    if row.value > 0:
        low = max(low, 0.0)
    else:
        high = min(high, 0.0)
    return FittedParameter(
        row.name, row.value, row.unit or "-", std if known else None, low if known else None,
        high if known else None, known,
    )  # fmt: skip
