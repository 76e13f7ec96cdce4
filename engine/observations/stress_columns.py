# SPDX-License-Identifier: Apache-2.0
"""The columns of a table of stress tests, as testing machines and spreadsheets write them.

A head is a quantity, words before it that say which, and a unit: `stretch`, `strain [%]`,
`Engineering Strain (%)`, `true stress [MPa]`, `time [min]`. Columns are apart by commas, by
semicolons (then a number may have a decimal comma) or by tabs. Empty lines, lines that begin with
`#`, and the mark that Excel puts before its first word are no part of the table.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..suggestion import did_you_mean
from .stress_test import KINDS

HEAD = re.compile(r"^\s*([^\W\d][\w ./-]*?)\s*(?:[\[(]\s*([^\])]*?)\s*[\])])?\s*$")
"""Words, and a unit in brackets of either kind."""
COMPONENT = re.compile(r"[FP][123]{2}")
AMOUNTS: Mapping[str, str] = {
    "stretch": "stretch", "stretch ratio": "stretch", "strain": "strain",
    "engineering strain": "strain", "nominal strain": "strain", "true strain": "true strain",
    "logarithmic strain": "true strain", "hencky strain": "true strain", "shear": "shear",
    "shear strain": "shear",
}  # fmt: skip
"""What says how far a specimen is deformed."""
OTHERS: Mapping[str, str] = {
    "stress": "stress", "engineering stress": "nominal stress", "nominal stress": "nominal stress",
    "true stress": "cauchy stress", "cauchy stress": "cauchy stress", "time": "time",
    "loading": "loading",
}  # fmt: skip
LARGEST = 30.0
"""Stretch, or shear, beyond which numbers are taken for percentages [-].

Rubber ends below 10, and tough gels near 20 (Sun et al. 2012, Nature 489, 133).
"""
LEAST_PERCENTAGE = 50.0
"""Numbers above it throughout are percentages of the length at rest, where 100 is rest."""
PURE: Mapping[str, float] = {"%": 0.01, "-": 1.0, "1": 1.0, "mm/mm": 1.0, "m/m": 1.0}
"""Units of strain [-]."""
SECONDS: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}
LOADINGS: Mapping[str, str] = {
    "tension": "UT", "uniaxial": "UT", "uniaxial tension": "UT", "compression": "UT",
    "uniaxial compression": "UT", "biaxial": "ET", "equibiaxial": "ET",
    "equibiaxial tension": "ET", "planar": "PS", "planar tension": "PS", "pure shear": "PS",
    "simple shear": "SS",
}  # fmt: skip
"""Words for `KINDS`."""


@dataclass(frozen=True)
class Column:
    """One column."""

    quantity: str
    """A value of `AMOUNTS` or `OTHERS`, or a component such as F11."""
    unit: str | None
    """As it is written, None where it is not."""
    head: str
    """All that is written over it."""
    place: int


@dataclass(frozen=True)
class Columns:
    """A table of stress tests."""

    path: Path
    columns: Mapping[str, Column]
    """By quantity."""
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    """Line of the file and cells of each row."""
    comma: bool
    """Whether numbers may have a decimal comma."""

    def numbers(self, quantities: Sequence[str]) -> np.ndarray:
        """Values in the units of the file, NaN for gaps, shape (rows, quantities).

        Raises:
            ValueError: Something is not a number, or there are no rows.
        """
        if not self.rows:
            raise ValueError(f"{self.path} has no line of numbers under its names: add some")
        chosen = [self.columns[quantity] for quantity in quantities]
        return np.array([[self._number(row, line, c) for c in chosen] for line, row in self.rows])

    def words(self, quantity: str) -> list[str]:
        """Cells of a column, as they are."""
        place = self.columns[quantity].place
        return [row[place] if place < len(row) else "" for _, row in self.rows]

    def amount(self) -> str:
        """The quantity that tells the deformation.

        Raises:
            ValueError: There are several.
        """
        found = [c for name, c in self.columns.items() if name in AMOUNTS.values()]
        if len(found) > 1:
            raise ValueError(
                f"{self.path} has {' and '.join(c.head for c in found)}, expected one column that"
                " tells the deformation: leave the others out"
            )
        return found[0].quantity

    def deformed(self, shear: bool, rows: np.ndarray) -> np.ndarray:
        """Stretches λ [-], or where that is asked for shears γ [-], shape (k,).

        Args:
            shear: Which of them.
            rows: Which rows, shape (rows,), bool.

        Raises:
            ValueError: A strain has no unit, or one that is not known, or the numbers can be no
                stretches or shears.
        """
        column = self.columns[self.amount()]
        values = self.numbers([column.quantity])[rows, 0]
        with np.errstate(over="ignore"):
            found = self._deformed(column, values, shear)
        percent = column.unit == "%"
        remedy = f"check the unit of {column.head}" if percent else f"write {column.quantity} [%]"
        if column.quantity == "stretch":
            remedy = (
                "if these are strains, name the column strain [%], or strain [-] where 1 is 100 %"
            )
        require_plausible(found, shear, values, f"{self.path}: got {column.head}", remedy)
        return found

    def _deformed(self, column: Column, values: np.ndarray, shear: bool) -> np.ndarray:
        if column.quantity == "stretch":
            self._unit(column, {u: f for u, f in PURE.items() if u != "%"}, "-")
            return values
        if column.quantity == "shear":
            return values * self._unit(column, PURE, "-")
        if column.unit is None:
            raise ValueError(
                f"{self.path} does not say the unit of {column.head}: write {column.head} [%], or"
                f" {column.head} [-] where 1 is 100 %"
            )
        strain = values * self._unit(column, PURE, "-")
        if shear and column.quantity == "true strain":
            raise ValueError(
                f"{self.path}: got {column.head} of simple shear, expected its shear γ, a"
                " displacement over a height: name that column shear"
            )
        if shear:
            return strain
        return np.exp(strain) if column.quantity == "true strain" else 1.0 + strain

    def seconds(self) -> np.ndarray | None:
        """Times [s], shape (rows,); None where there are none.

        Raises:
            ValueError: The unit is not known.
        """
        if "time" not in self.columns:
            return None
        factor = self._unit(self.columns["time"], SECONDS, "s")
        return factor * self.numbers(["time"])[:, 0]

    def _unit(self, column: Column, known: Mapping[str, float], default: str) -> float:
        unit = column.unit or default
        if unit not in known:
            raise ValueError(
                f"{self.path}: got {column.head!r}{did_you_mean(unit, known)}, expected its unit to"
                f" be one of {', '.join(known)}"
            )
        return known[unit]

    def _number(self, row: tuple[str, ...], line: int, column: Column) -> float:
        cell = row[column.place] if column.place < len(row) else ""
        try:
            value = float(cell.replace(",", ".") if self.comma else cell)
        except ValueError:
            value = math.inf
        if math.isinf(value):
            raise ValueError(
                f"{self.path}, line {line}: got {cell or 'nothing'!r} in column {column.head},"
                " expected a number, or nan for a gap"
            )
        return value


def require_plausible(
    amount: np.ndarray, shear: bool, written: np.ndarray, name: str, remedy: str
) -> None:
    """Refuse what can be no stretches or shears.

    Args:
        amount: Stretches λ, or shears γ [-], NaN for gaps, shape (n,).
        shear: Which of them.
        written: The numbers of the file that they come from, shape (n,).
        name: Of the file and the column, the begin of the error.
        remedy: What to do if the numbers are strains.

    Raises:
        ValueError: A stretch is not above 0, or a stretch or shear is beyond `LARGEST`.
    """
    known = amount[~np.isnan(amount)]
    if not len(known):
        return
    least, largest = float(known.min()), float(np.abs(known).max())
    if largest <= LARGEST and (shear or least > 0.0):
        return
    got = f"{name} from {np.nanmin(written):g} to {np.nanmax(written):g}"
    if shear:
        raise ValueError(f"{got}, expected shears up to {LARGEST:g}, 1 where it is 100 %: {remedy}")
    if least > LEAST_PERCENTAGE:
        remedy = "if 100 is the length at rest, divide the numbers by 100"
    raise ValueError(
        f"{got}, expected stretches above 0 and up to {LARGEST:g}, the length over the length at"
        f" rest: {remedy}"
    )


def read_columns(path: Path) -> Columns:
    """A table whose first line has names.

    Raises:
        ValueError: It is no such table, or its names tell no deformation or no stress.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(
            f"{path} is not text in UTF-8: save it as a .csv of stretch,stress in UTF-8"
        ) from None
    kept = [(n, t) for n, t in enumerate(lines, 1) if t.strip() and not t.lstrip().startswith("#")]
    head = kept[0][1] if kept else ""
    apart = next((mark for mark in ";\t" if mark in head), ",")
    cells = list(csv.reader([text for _, text in kept], delimiter=apart, skipinitialspace=True))
    columns = _heads(path, cells[0] if cells else [])
    rows = tuple(
        (number, tuple(cell.strip() for cell in row))
        for (number, _), row in zip(kept[1:], cells[1:], strict=True)
    )
    return Columns(path, columns, rows, apart != ",")


def _heads(path: Path, words: Sequence[str]) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for place, word in enumerate(words):
        match = HEAD.match(word)
        if match is None:
            continue
        said = " ".join(match[1].replace("_", " ").lower().split())
        quantity = AMOUNTS.get(said) or OTHERS.get(said)
        if quantity is None and COMPONENT.fullmatch(match[1]):
            quantity = match[1]
        if quantity is None:
            continue
        if quantity in found:
            raise ValueError(
                f"{path} has {found[quantity].head} and {word.strip()}: leave one of them out"
            )
        found[quantity] = Column(quantity, match[2] or None, word.strip(), place)
    stress = [q for q in found if q.endswith("stress")]
    parts = [q for q in found if q.startswith("P")]
    if len(stress) > 1:
        heads = " and ".join(found[q].head for q in stress)
        raise ValueError(f"{path} has {heads}, expected one of them: leave the others out")
    if not parts and not (stress and any(q in AMOUNTS.values() for q in found)):
        there = ", ".join(word.strip() for word in words)[:60] or "nothing"
        raise ValueError(
            f"{path} has no columns of a stress test: expected stretch,stress or strain [%],stress"
            f" or F11,...,P11,... in its first line, got {there}{_specimen(there)}"
        )
    return found


def _specimen(there: str) -> str:
    """What to do about forces and lengths."""
    if re.search(r"force|load|displacement|extension|elongation", there, re.IGNORECASE):
        return (
            "; a force over the area at rest is a stress, an elongation over the length at rest"
            " a strain"
        )
    return ""


def loading_of(word: str) -> str:
    """The abbreviation of a loading in the words of a table, else the word's first.

    Args:
        word: Such as "UT", "UT slow", "tension" or "pure shear".
    """
    first = word.split(maxsplit=1)[0] if word.split() else word
    if first.upper() in KINDS:
        return first.upper()
    return LOADINGS.get(word.strip().lower(), first)
