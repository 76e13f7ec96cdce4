# SPDX-License-Identifier: Apache-2.0
"""How far motions are apart, in numbers that a reader and the literature take."""

from __future__ import annotations

import math

from torch import Tensor


def mean_squared_error(x: Tensor, reference: Tensor) -> float:
    """Mean over frames, particles and coordinates of the squared difference [m²].

    The error measure of the NCLaw experiments (Ma et al. 2023).

    Args:
        x: Positions [m], shape (f, n, 3).
        reference: Of the same shape.

    Raises:
        ValueError: The shapes differ.
    """
    if x.shape != reference.shape:
        raise ValueError(
            f"motions of different frames or particles: {tuple(x.shape)} and"
            f" {tuple(reference.shape)}; compare the same particles at the same times"
        )
    return float((x.double() - reference.double()).square().mean())


def distance(mean_square: float) -> float:
    """RMS distance between points [m], from a mean squared coordinate error [m²]."""
    return math.sqrt(3.0 * mean_square) if mean_square >= 0 else math.nan
