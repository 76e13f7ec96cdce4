# SPDX-License-Identifier: Apache-2.0
"""Parameters of the phases of a cell, such as the modulus of its fibres, as inputs of a surrogate.

Each has a range and is scaled to x from -1 to 1 over it, by its logarithm if the range is positive.
What depends on x alone is a sum of products of Chebyshev polynomials, T_a(x₁) T_b(x₂) ..., of a
total degree of at most `DEGREE`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

DEGREE = 5


@dataclass(frozen=True)
class PhaseParameter:
    """A number of the law of a phase that may vary.

    Raises:
        ValueError: The range is empty or not finite.
    """

    phase: str
    """Name of the phase."""
    name: str
    """Of the law's parameter, such as young."""
    lower: float
    """Least value, in SI units."""
    upper: float
    """Largest value."""

    def __post_init__(self) -> None:
        """See the class."""
        if not -math.inf < self.lower < self.upper < math.inf:
            raise ValueError(
                f"got {self.label} from {self.lower:g} to {self.upper:g}, expected a finite range, "
                "the lower end first"
            )

    @property
    def label(self) -> str:
        """As in fibre.young."""
        return f"{self.phase}.{self.name}"

    def of(self, laws: Mapping[str, nn.Module] | nn.ModuleDict) -> nn.Parameter:
        """The parameter itself among the laws of the phases, a scalar.

        Raises:
            ValueError: There is none of that name.
        """
        if self.phase not in laws:
            raise ValueError(
                f"got a range of {self.label}, expected a phase among {', '.join(laws.keys())}"
            )
        law = laws[self.phase]
        known = {name: p for name, p in law.named_parameters() if p.ndim == 0}
        if self.name not in known:
            raise ValueError(
                f"got a range of {self.label}, expected a parameter of {type(law).__name__}: "
                f"{', '.join(known) or 'it has none'}"
            )
        return known[self.name]

    def scaled(self, value: Tensor) -> Tensor:
        """From values to x, differentiable; beyond -1 and 1 out of the range.

        Raises:
            ValueError: The value is not finite, or not positive where the range is.
        """
        plain = float(value.detach())
        if not math.isfinite(plain) or (self.lower > 0 and not plain > 0):
            raise ValueError(
                f"got {self.label} = {plain:g}, expected one from {self.lower:g} to "
                f"{self.upper:g}, for which the surrogate was trained"
            )
        low, high = self.lower, self.upper
        if low > 0:
            value, low, high = value.log(), math.log(low), math.log(high)
        return (2.0 * value - (low + high)) / (high - low)

    def value(self, x: float) -> float:
        """From x to the value."""
        low, high = self.lower, self.upper
        if low > 0:
            return math.exp(0.5 * ((1 - x) * math.log(low) + (1 + x) * math.log(high)))
        return 0.5 * ((1 - x) * low + (1 + x) * high)


def built(described: Sequence[Sequence[Any]]) -> dict[str, nn.Module]:
    """Laws by phase, of the name of each phase, name of its law and the law's arguments."""
    from ..files import registered

    kinds = registered()
    return {phase: kinds[kind](**given) for phase, kind, given in described}


def laws_of(described: Sequence[Sequence[Any]], varied: Sequence[PhaseParameter]) -> nn.ModuleDict:
    """Laws of phases whose only parameters are those that vary; the others are buffers.

    Args:
        described: See `built`.
        varied: What varies.

    Raises:
        ValueError: The laws are not described by numbers, or there is no such parameter.
    """
    if not described:
        raise ValueError(
            f"got ranges of {', '.join(v.label for v in varied)} for a cell whose laws are not made"
            " of numbers alone, expected laws such as linear-elastic"
        )
    laws = nn.ModuleDict(built(described))
    kept = {id(v.of(laws)) for v in varied}
    for module in laws.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) not in kept:
                delattr(module, name)
                module.register_buffer(name, parameter.detach())
    return laws


def powers(count: int) -> list[tuple[int, ...]]:
    """Degrees of the factors of each polynomial of so many x; the first is 1."""
    every = product(range(DEGREE + 1), repeat=count)
    return sorted((p for p in every if sum(p) <= DEGREE), key=lambda p: (sum(p), p))


def polynomials(x: Tensor) -> Tensor:
    """Values of all of them, shape (t,), at x of shape (n,)."""
    each = [torch.ones_like(x), x]
    while len(each) <= DEGREE:
        each.append(2 * x * each[-1] - each[-2])
    table = torch.stack(each)  # (degree, n)
    index = torch.tensor(powers(len(x)), device=x.device)
    return table.gather(0, index).prod(1)
