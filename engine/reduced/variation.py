# SPDX-License-Identifier: Apache-2.0
"""Ranges from which the options of a scene are drawn.

A range maps shares, numbers from 0 to 1, to a value of an option: draws that cover the unit cube
evenly then cover the ranges.
"""

from __future__ import annotations

import ast
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DIGITS = 6
"""Significant digits of a number that is drawn: what the index says can be typed again."""


class Variation(ABC):
    """The values that an option takes."""

    @property
    def count(self) -> int:
        """Shares that one value takes."""
        return 1

    @abstractmethod
    def value(self, shares: Sequence[float]) -> Any:
        """The value at some shares, `count` numbers from 0 to 1."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What values there are, as help says it."""


Table = Mapping[str, Mapping[str, Variation]]
"""What a scene can vary: groups by name, and in each of them options of build()."""


@dataclass(frozen=True)
class Uniform(Variation):
    """A number, or each of several numbers, evenly between two bounds."""

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse bounds that do not match or are in the wrong order."""
        low, high = self._bounds
        one = isinstance(self.low, tuple) == isinstance(self.high, tuple)
        if not one or len(low) != len(high) or not all(a < b for a, b in self._pairs):
            raise ValueError(
                f"got Uniform({self.low}, {self.high}), expected two numbers, or two tuples of as"
                " many, the first less than the second"
            )

    @property
    def _bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        low, high = self.low, self.high
        return (
            low if isinstance(low, tuple) else (low,),
            high if isinstance(high, tuple) else (high,),
        )

    @property
    def _pairs(self) -> list[tuple[float, float]]:
        return list(zip(*self._bounds, strict=False))

    @property
    def count(self) -> int:
        """See `Variation.count`: one each."""
        return len(self._bounds[0])

    def value(self, shares: Sequence[float]) -> float | tuple[float, ...]:
        """See `Variation.value`."""
        found = tuple(
            _rounded(a + (b - a) * share, a, b)
            for (a, b), share in zip(self._pairs, shares, strict=True)
        )
        return found if isinstance(self.low, tuple) else found[0]

    @property
    def words(self) -> str:
        """See `Variation.words`."""
        low, high = (",".join(f"{v:g}" for v in bound) for bound in self._bounds)
        return f"from {low} to {high}"


@dataclass(frozen=True)
class LogUniform(Variation):
    """A positive number whose logarithm lies evenly between those of two bounds."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse bounds that are not positive or in the wrong order."""
        if not 0.0 < self.low < self.high:
            raise ValueError(
                f"got LogUniform({self.low}, {self.high}), expected two positive numbers, the"
                " first less than the second"
            )

    def value(self, shares: Sequence[float]) -> float:
        """See `Variation.value`."""
        (share,) = shares
        ratio = math.log(self.high / self.low)
        return _rounded(self.low * math.exp(ratio * share), self.low, self.high)

    @property
    def words(self) -> str:
        """See `Variation.words`."""
        return f"from {self.low:g} to {self.high:g}, by its logarithm"


@dataclass(frozen=True)
class Choice(Variation):
    """One of several values."""

    values: tuple[Any, ...]
    unseen: tuple[Any, ...] = ()
    """Kept for tests: no trajectory that is learned from has one of them."""

    def __post_init__(self) -> None:
        """Refuse a choice of nothing, and values that are both seen and unseen."""
        if not self.values or set(self.values) & set(self.unseen):
            raise ValueError(
                f"got Choice({self.values}, unseen={self.unseen}), expected one value or more, and"
                " others as unseen ones"
            )

    def value(self, shares: Sequence[float]) -> Any:
        """See `Variation.value`; not an unseen one."""
        (share,) = shares
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    @property
    def words(self) -> str:
        """See `Variation.words`."""
        kept = f"; for tests {', '.join(map(str, self.unseen))}" if self.unseen else ""
        return f"one of {', '.join(map(str, self.values))}{kept}"


def ends(words: str) -> tuple[Any, ...]:
    """The bounds of a range as an index states it, such as LogUniform(low=2e4, high=1e5).

    None of a choice.

    Raises:
        ValueError: The words are not those of a range.
    """
    kinds = {kind.__name__: kind for kind in (Uniform, LogUniform, Choice)}
    try:
        call = ast.parse(words, mode="eval").body
        if not isinstance(call, ast.Call):
            raise TypeError(words)
        given = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        found = kinds[ast.unparse(call.func)](**given)
    except (KeyError, SyntaxError, TypeError, ValueError) as error:
        raise ValueError(
            f"got {words!r}, expected a range such as Uniform(low=0.0, high=1.0)"
        ) from error
    return () if isinstance(found, Choice) else (found.low, found.high)


def _rounded(value: float, low: float, high: float) -> float:
    """To a few digits, and still between the bounds."""
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)
