# SPDX-License-Identifier: Apache-2.0
"""What one check of a law found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

Verdict = Literal["pass", "fail", "warning", "information", "not applicable"]


@dataclass(frozen=True)
class Finding:
    """One property of a law: what was measured, what it should be, and where it is worst."""

    name: str
    verdict: Verdict
    """A "fail" breaks a law of mechanics, a "warning" is something to know before use, and
    "information" a choice of the law's: of that `worst` is given where it does not hold."""
    sentence: str
    """What was found, for a reader."""
    formula: str = ""
    """What is checked."""
    value: float | None = None
    """What was measured, in `unit`."""
    bound: float | None = None
    """What it may be at most or at least, in `unit`."""
    sense: Literal["≤", "≥", ">", ""] = ""
    """How value and bound are compared."""
    unit: str = "-"
    worst: Tensor | None = None
    """Deformation gradient where it is worst [-], shape (3, 3)."""

    @property
    def word(self) -> str:
        """The verdict for a table."""
        if self.verdict == "information":
            return "yes" if self.worst is None else "no"
        return "n/a" if self.verdict == "not applicable" else self.verdict

    def as_json(self) -> dict[str, Any]:
        """As values of JSON."""
        return {
            "name": self.name, "verdict": self.verdict, "formula": self.formula,
            "value": self.value, "sense": self.sense or None, "bound": self.bound,
            "unit": self.unit, "sentence": self.sentence,
            "worst_F": None if self.worst is None else self.worst.tolist(),
        }  # fmt: skip


def not_applicable(name: str, formula: str, reason: str) -> Finding:
    """A property that the law cannot have."""
    return Finding(name, "not applicable", reason, formula)
