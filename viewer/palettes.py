# SPDX-License-Identifier: Apache-2.0
"""Colours that keep their order for every kind of colour vision.

A palette is a table of 256 colours (256, 3), uint8. Sequential: viridis, perceptually uniform.
Diverging: blue through grey to orange. Categories: the eight colours of Okabe and Ito (2008).
"""

from __future__ import annotations

import functools

import numpy as np

_DIVERGING = ("#1f4e79", "#5b9bd0", "#d9dcdf", "#e8924a", "#8f3511")
_CATEGORIES = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#56b4e9",
    "#cc79a7",
    "#f0e442",
    "#7f7f7f",
)
MISSING = np.array([176, 176, 176], np.uint8)
"""Colour of a value that is not finite, (3,)."""


def rgb(code: str) -> tuple[int, int, int]:
    """Of a code such as ``"#1f4e79"``."""
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


@functools.cache
def sequential() -> np.ndarray:
    """Table (256, 3) from dark to bright, for quantities that start at zero."""
    from matplotlib import colormaps

    return np.round(colormaps["viridis"](np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)


@functools.cache
def diverging() -> np.ndarray:
    """Table (256, 3) with grey in its middle, for quantities with a neutral value."""
    anchors = np.array([rgb(code) for code in _DIVERGING], float)
    at = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, k]) for k in range(3)]
    return np.round(np.stack(channels, -1)).astype(np.uint8)


def categories(count: int) -> np.ndarray:
    """Colours (count, 3) of bodies; they repeat after eight."""
    table = np.array([rgb(code) for code in _CATEGORIES], np.uint8)
    return table[np.arange(count) % len(table)]


def colour(values: np.ndarray, table: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Colours (n, 3), uint8, of `values` (n,) between `limits`; outside they keep the end's colour.

    A value that is not finite gets MISSING.
    """
    low, high = limits
    finite = np.isfinite(values)
    unit = (np.where(finite, values, low) - low) / (high - low)
    last = len(table) - 1
    index = np.clip(np.floor(unit * len(table)), 0, last).astype(np.intp)
    colours = table[index]
    colours[~finite] = MISSING
    return colours
