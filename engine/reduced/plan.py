# SPDX-License-Identifier: Apache-2.0
"""Which trajectories a data set has: what is drawn for each, and what it is for.

A model is judged by motions that it has not seen, and by bodies that it has not seen: the two are
apart in the test set, by whole trajectories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .labels import SEEN, SPLITS, UNSEEN
from .variation import Choice, Variation

FEWEST = 4
"""Trajectories of a data set, at least."""


@dataclass(frozen=True)
class Draw:
    """One trajectory to be made."""

    number: int
    """From 0: of the point in the sequence that all are drawn from."""
    split: str
    """train, validation or test."""
    geometry: str
    """seen, or unseen: with a value that no trajectory outside the test set has."""
    options: Mapping[str, Any]
    """What was drawn, by the names of the scene's options."""


def split_sizes(
    n: int, *, validation: int | None = None, test: int | None = None
) -> tuple[int, int, int]:
    """Trajectories to train, to validate and to test with: 3/4, 1/8 and 1/8 of n, about.

    Args:
        n: Of all.
        validation: Of those to validate with, if not an eighth.
        test: Of those to test with, if not an eighth.

    Raises:
        ValueError: There are too few.
    """
    if n < FEWEST:
        raise ValueError(f"got {n} trajectories, expected {FEWEST} or more")
    eighth = max(1, round(n / 8))
    validation, test = (eighth if size is None else size for size in (validation, test))
    train = n - validation - test
    if train < 1:
        raise ValueError(
            f"got {n} trajectories, {validation} of them to validate and {test} to test with,"
            " which leaves none to train with: make more"
        )
    return train, validation, test


def plan(
    variations: Mapping[str, Variation],
    n: int,
    *,
    seed: int = 0,
    validation: int | None = None,
    test: int | None = None,
) -> list[Draw]:
    """Draws of all options at once, by a scrambled Sobol sequence, so that few cover the ranges.

    The training set is the beginning of the sequence, which covers them too. Half of the test set,
    its end, has unseen geometry where some range has unseen values.

    Args:
        variations: Ranges by option.
        n: Number of trajectories.
        seed: Of the scrambling.
        validation: Trajectories to validate with; an eighth if None.
        test: Trajectories to test with; an eighth if None.

    Raises:
        ValueError: There are too few, or nothing is varied.
    """
    sizes = split_sizes(n, validation=validation, test=test)
    width = sum(v.count for v in variations.values())
    if not width:
        raise ValueError("nothing is varied: all trajectories would be the same")
    sobol = torch.quasirandom.SobolEngine(width, scramble=True, seed=seed)
    points = sobol.draw(n, dtype=torch.float64).tolist()
    splits = [name for name, size in zip(SPLITS, sizes, strict=True) for _ in range(size)]
    kept = any(isinstance(v, Choice) and v.unseen for v in variations.values())
    first_unseen = n - sizes[2] // 2 if kept else n
    return [
        Draw(
            number,
            splits[number],
            SEEN if number < first_unseen else UNSEEN,
            _options(variations, point, number - first_unseen),
        )
        for number, point in enumerate(points)
    ]


def _options(
    variations: Mapping[str, Variation], point: list[float], unseen: int
) -> dict[str, Any]:
    """Values at a point; `unseen` counts from 0 the draws that have unseen ones."""
    options: dict[str, Any] = {}
    at = 0
    for name, variation in variations.items():
        shares = point[at : at + variation.count]
        at += variation.count
        if unseen >= 0 and isinstance(variation, Choice) and variation.unseen:
            options[name] = variation.unseen[unseen % len(variation.unseen)]
        else:
            options[name] = variation.value(shares)
    return options
