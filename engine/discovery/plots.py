# SPDX-License-Identifier: Apache-2.0
"""Pictures of a report on a formula: error by number of terms, forces, and tried proposals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..fit.plots import FITTED, INK, MUTED, STYLE, TRUTH, svg
from .discover import Discovery
from .propose import Attempt

GOOD = "#009e73"
SMALLEST = 1e-9
"""Relative errors below are drawn here: a logarithm has no place for 0."""


def path_plot(discovery: Discovery) -> str:
    """Errors against the number of terms as an SVG element, with the size that was taken."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    path = discovery.path
    sizes = np.arange(1, len(path) + 1)
    lines = [
        ("error", [s.error for s in path], FITTED, "o"),
        ("points held back", [s.within for s in path], TRUTH, "s"),
        ("loadings held back", [s.left_out for s in path], GOOD, "^"),
    ]
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.axvspan(discovery.size - 0.22, discovery.size + 0.22, color=FITTED, alpha=0.1, lw=0)
        for name, errors, colour, mark in lines:
            y = 100 * np.maximum(np.array(errors), SMALLEST)
            if np.isfinite(y).any():
                axes.plot(sizes, y, marker=mark, color=colour, markersize=5.5, label=name)
        limit = one_error_above(discovery)
        if math.isfinite(limit):
            axes.axhline(100 * limit, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.set_yscale("log")
        axes.set_xticks(sizes)
        axes.set_xlim(0.6, len(path) + 0.4)
        axes.set_xlabel("terms")
        axes.set_title("error [% of what was measured]", loc="left", fontsize=10.0, color=MUTED)
        axes.legend(frameon=False, fontsize=9.0)
        return svg(figure, "Error by number of terms, of the points fitted to and held back")


def one_error_above(discovery: Discovery) -> float:
    """The least error of points held back, and a standard error more [-]; NaN if none were."""
    known = [step for step in discovery.path if math.isfinite(step.within)]
    if not known:
        return math.nan
    least = min(known, key=lambda step: step.within)
    return math.sqrt(least.within**2 + least.spread)


def residual_plot(residuals: Sequence[float], size: int) -> str:
    """Residuals in standard deviations against the number of terms as an SVG element."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    sizes = np.arange(1, len(residuals) + 1)
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.subplots()
        axes.axvspan(size - 0.22, size + 0.22, color=FITTED, alpha=0.1, lw=0)
        axes.axhline(1.0, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.plot(sizes, residuals, marker="o", color=FITTED, markersize=5.5)
        axes.set_yscale("log")
        axes.set_xticks(sizes)
        axes.set_xlim(0.6, len(residuals) + 0.4)
        axes.set_xlabel("terms")
        axes.set_title("residual [standard errors]", loc="left", fontsize=10.0, color=MUTED)
        return svg(figure, "Residual by number of terms, in standard errors of what was measured")


def force_plot(measured: np.ndarray, told: np.ndarray) -> str:
    """Forces [N] on the grip by frame as an SVG element, measured and of the formula (t,)."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    frames = np.arange(1, len(measured) + 1)
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.subplots()
        axes.plot(frames, told, color=FITTED, linewidth=2.2)
        axes.plot(frames, measured, "o", color=INK, markersize=4.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("frame")
        axes.set_title("force on the grip [N]", loc="left", fontsize=10.0, color=MUTED)
        return svg(figure, "Force on the grip by frame, measured and of the formula")


def history_plot(history: Sequence[Attempt]) -> str:
    """Errors of proposals in their order as an SVG element, with the best so far."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    order = np.arange(1, len(history) + 1)
    errors = np.array([a.error for a in history])
    fitted = np.isfinite(errors)
    y = 100 * np.where(fitted, np.maximum(errors, SMALLEST), np.nan)
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.4), layout="constrained")
        axes = figure.subplots()
        best = 100 * np.fmin.accumulate(np.maximum(errors, SMALLEST))
        axes.step(order[np.isfinite(best)], best[np.isfinite(best)], where="post", color=FITTED)
        axes.plot(order, y, "o", color=INK, markersize=5.0)
        top = axes.get_ylim()[1]
        axes.set_yscale("log")
        refused = order[~fitted]
        axes.plot(refused, np.full(len(refused), top), "x", color=TRUTH, markersize=7.0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(0.5, len(history) + 0.5)
        axes.set_xlabel("proposal")
        axes.set_title("error [% of the stresses]", loc="left", fontsize=10.0, color=MUTED)
        return svg(figure, "Error of each proposal, and the least so far; crosses were refused")
