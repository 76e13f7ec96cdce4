# SPDX-License-Identifier: Apache-2.0
"""Where the numbers of a law come from, and over what strains they were found.

It travels with a law, as `ConstitutiveLaw.provenance` and in its file, for a law is worth nothing
beyond the deformations that it has seen.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

LONGEST = 2000
"""Characters of a text that is read."""


def now() -> str:
    """Date and time, as ISO 8601 has it."""
    return datetime.now().astimezone().isoformat(" ", "seconds")


@dataclass(frozen=True)
class Provenance:
    """What a law was fitted to.

    Raises:
        ValueError: A range is not one of positive numbers, low before high.
    """

    data: str = ""
    """What was seen: paths, and which parts of them."""
    loading: str = ""
    """How the material was deformed there, in words."""
    command: str = ""
    """Command line that made the law."""
    date: str = ""
    """When, as `now` tells it."""
    stretch: tuple[float, float] | None = None
    """Least and largest principal stretch that the fit saw [-]."""
    volume: tuple[float, float] | None = None
    """Least and largest volume ratio J that the fit saw [-]."""
    step: float | None = None
    """Time step of the simulations [s]: a learned flow acts once a step."""

    def __post_init__(self) -> None:
        """Refuse what is no range."""
        for name in ("stretch", "volume"):
            value = getattr(self, name)
            if value is not None and not 0 < value[0] <= value[1] < math.inf:
                raise ValueError(
                    f"got {name} = {value}, expected 0 < least <= largest: ratios to rest"
                )
        if self.step is not None and not 0 < self.step < math.inf:
            raise ValueError(f"got step = {self.step:g} s, expected a time step above 0")

    @property
    def hencky(self) -> tuple[float, float] | None:
        """Least and largest principal logarithmic strain that the fit saw [-]."""
        return None if self.stretch is None else (math.log(self.stretch[0]),
                                                  math.log(self.stretch[1]))  # fmt: skip

    def to_json(self) -> str:
        """As it stands in a file; what is not known is left out."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """Undo `to_json`; names that a later version may add are passed over.

        Raises:
            ValueError: It is something else.
        """
        try:
            given = json.loads(text)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise ValueError(f"got {text[:80]!r}, expected an object of JSON")
        found: dict[str, Any] = {}
        for name in ("data", "loading", "command", "date"):
            found[name] = str(given.get(name, ""))[:LONGEST]
        for name in ("stretch", "volume"):
            ends = given.get(name)
            if ends is not None and not _numbers(ends, 2):
                raise ValueError(f"got {name} = {str(ends)[:80]}, expected two numbers")
            found[name] = None if ends is None else (float(ends[0]), float(ends[1]))
        if (step := given.get("step")) is not None:
            if not _numbers([step], 1):
                raise ValueError(f"got step = {str(step)[:80]}, expected a number of seconds")
            found["step"] = float(step)
        return cls(**found)


def _numbers(values: Any, count: int) -> bool:
    kinds = (int, float)
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(v, kinds) and not isinstance(v, bool) for v in values)
    )
