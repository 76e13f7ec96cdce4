# SPDX-License-Identifier: Apache-2.0
"""Numbers as a reader wants them: rounded to what is known, with a unit of a handy size."""

from __future__ import annotations

import math
from typing import NamedTuple

PREFIXES = {
    "Pa": ((1e9, 1e9, "GPa"), (1e6, 1e6, "MPa"), (1e3, 1e3, "kPa"), (0.0, 1.0, "Pa")),
    "m": ((1.0, 1.0, "m"), (1e-4, 1e-3, "mm"), (0.0, 1e-6, "µm")),
    "s": ((1.0, 1.0, "s"), (1e-4, 1e-3, "ms"), (0.0, 1e-6, "µs")),
}
"""From which size on, divided by what, called what."""
DEGREES = ("degrees", "degree", "deg", "°")
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Scale(NamedTuple):
    """A unit that makes values of some size short to write."""

    factor: float
    """What a value in the plain unit is divided by."""
    unit: str


def scale(size: float, unit: str) -> Scale:
    """The scaled unit for values of about `size`; "m", "s" and "Pa" have some."""
    choices = PREFIXES.get(unit)
    if choices is None or size == 0.0 or not math.isfinite(size):
        return Scale(1.0, unit)
    return next(Scale(factor, name) for least, factor, name in choices if abs(size) >= least)


def number(value: float, *, digits: int | None = 3, known_to: float | None = None) -> str:
    """A number in plain or, far from 1, scientific notation.

    Args:
        value: The number; infinite and not-a-number are written as a dash.
        digits: Significant digits; None takes as many as it has, four at most.
        known_to: Its uncertainty, which if positive decides instead: two digits of it are shown.
    """
    if not math.isfinite(value):
        return "–"
    if value == 0.0:
        return "0"
    if known_to is not None and math.isfinite(known_to) and known_to > 0.0:
        digits = min(12, max(1, _power(value) - _power(known_to) + 2))
    if digits is None:
        digits = len(f"{value:.3e}".partition("e")[0].strip("-").replace(".", "").rstrip("0"))
    value = float(f"{value:.{digits - 1}e}")
    power = _power(value)
    if not -3 <= power <= 5:
        mantissa = f"{value / 10.0**power:.{digits - 1}f}".replace("-", "−")
        return f"{mantissa} × 10{str(power).translate(SUPERSCRIPT)}"
    return f"{value:.{max(0, digits - 1 - power)}f}".replace("-", "−")


def quantity(
    value: float,
    unit: str,
    *,
    digits: int | None = 3,
    known_to: float | None = None,
    like: float | None = None,
) -> str:
    """A number with its unit, such as "263.8 kPa"; a plain number for units "" and "-".

    Args:
        value: In `unit`.
        unit: SI.
        digits: See `number`.
        known_to: See `number`; in `unit`.
        like: Another value, whose scaled unit is to be used; None takes that of `value`.
    """
    if not math.isfinite(value):
        return "–"
    factor, scaled = scale(value if like is None else like, unit)
    text = number(
        value / factor, digits=digits, known_to=None if known_to is None else known_to / factor
    )
    if scaled in DEGREES:
        return f"{text}°"
    return text if scaled in ("", "-", "1") else f"{text} {scaled}"


def percent(share: float) -> str:
    """A share, such as "3.1 %"."""
    return f"{number(100 * share, digits=2)} %"


def duration(seconds: float) -> str:
    """A length of time, such as "4 min 12 s"."""
    if seconds < 60.0:
        return quantity(seconds, "s", digits=2)
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def _power(value: float) -> int:
    return math.floor(math.log10(abs(value)))
