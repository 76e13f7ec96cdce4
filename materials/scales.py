# SPDX-License-Identifier: Apache-2.0
"""The units in which learned laws answer: numbers that are given and stay as they are."""

from __future__ import annotations


def above_zero(name: str, value: float, unit: str) -> float:
    """The value, if it is positive and finite.

    Args:
        name: Of the argument, for the error.
        value: Its value.
        unit: In brackets, for the error.

    Raises:
        ValueError: It is not.
    """
    if not 0 < value < float("inf"):
        raise ValueError(f"got {name} = {value}, expected a positive finite number {unit}")
    return float(value)
