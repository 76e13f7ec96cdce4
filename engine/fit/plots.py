# SPDX-License-Identifier: Apache-2.0
"""Plots of a report as SVG to be put into a page; texts stay texts in the page's own font."""

from __future__ import annotations

import io
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ..curves import Curve
from .quantity import Scale, number, scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE = "#1b2733", "#5a6875", "#dfe5ea"
FITTED, START, TRUTH = "#0072b2", "#8a949e", "#e69f00"
LINES: Mapping[str, Mapping[str, Any]] = {
    "truth": {"color": TRUTH, "linewidth": 5.0, "alpha": 0.55, "solid_capstyle": "butt"},
    "start": {"color": START, "linewidth": 1.6, "linestyle": (0, (5, 3))},
    "fitted": {"color": FITTED, "linewidth": 2.0},
}
"""How the line of each law looks, in the order of drawing: by colour, width and dashes."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rheograd",
    "font.size": 10.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "ytick.minor.size": 0.0,
}


def loss_plot(
    losses: Sequence[float | None], segments: Sequence[int], unit: str, turn: str = "epoch"
) -> str:
    """Loss by epoch, counted from 0, above the lengths of the segments; logarithmic if it can be.

    Args:
        losses: By epoch; None leaves a gap.
        segments: Steps between restarts by epoch, or nothing.
        unit: Of the losses.
        turn: What an epoch is called.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    y = np.array([np.nan if v is None else v for v in losses], float)
    epochs = np.arange(len(y))
    with rc_context(STYLE):
        figure = Figure(figsize=(9.2, 4.3 if segments else 3.2), layout="constrained")
        ratios = [2.8, 1.0] if segments else [1.0]
        axes = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)
        top, bottom = axes[0, 0], axes[-1, 0]
        if np.any(y > 0) and not np.any(y <= 0):
            logarithmic(top, np.nanmin(y), np.nanmax(y))
        top.plot(epochs, y, color=FITTED, linewidth=2.0)
        finite = np.flatnonzero(np.isfinite(y))
        if len(finite):
            top.plot(epochs[finite[-1]], y[finite[-1]], "o", color=FITTED, markersize=5)
        _above(top, f"loss [{unit}]" if unit else "loss")
        if segments:
            bottom.step(epochs, segments, where="mid", color=MUTED, linewidth=1.6)
            bottom.set_ylim(0, 1.15 * max(segments))
            _above(bottom, "steps between restarts")
        bottom.set_xlabel(turn)
        bottom.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        return svg(figure, f"Loss by {turn} of the fit")


def logarithmic(axes: Axes, low: float, high: float) -> None:
    """Make the vertical axis logarithmic, with room for values above 0 between two ends."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    axes.set_yscale("log")
    low, high = _room(low, high)
    axes.set_ylim(low, high)
    marks = log_marks(low, high)
    axes.yaxis.set_major_locator(FixedLocator([value for value, _ in marks]))
    axes.yaxis.set_major_formatter(FixedFormatter([words for _, words in marks]))
    axes.yaxis.set_minor_locator(NullLocator())


def _room(low: float, high: float) -> tuple[float, float]:
    """Ends of a logarithmic axis with some room beyond its data, and a fifth of them at least."""
    room = max(0.06 * math.log(high / low), 0.5 * math.log(1.2) - 0.5 * math.log(high / low), 0.02)
    return low * math.exp(-room), high * math.exp(room)


def log_marks(low: float, high: float) -> list[tuple[float, str]]:
    """Marks of a logarithmic axis with their labels: three or more, no two of them alike.

    Args:
        low: Lower end, above 0.
        high: Upper end.
    """
    from matplotlib.ticker import MaxNLocator

    powers = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    for digits in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
        values = [d * 10.0**power for power in powers for d in digits]
        values = [v for v in values if low <= v <= high]
        if len(values) >= 4 or (digits[-1] == 5.0 and len(values) == 3):
            values = values[:: math.ceil(len(values) / 7)]
            return [(v, number(v, digits=1)) for v in values]
    even = MaxNLocator(5, steps=[1, 2, 5, 10], min_n_ticks=3).tick_values(low, high)
    values = [float(v) for v in even if low <= v <= high]
    places = range(1, 12)
    most = max(next((d for d in places if _exact(v, d)), places[-1]) for v in values)
    return [(v, number(v, digits=most)) for v in values]


def _exact(value: float, digits: int) -> bool:
    """Whether so many significant digits say it all."""
    return math.isclose(float(f"{value:.{digits - 1}e}"), value, rel_tol=1e-9)


def curve_plot(
    curves: Mapping[str, Curve], least: float, seen: tuple[float, float] | None = None
) -> str:
    """One kind of loading, the laws over each other.

    Args:
        curves: By "fitted", "start" and "truth", as far as known.
        least: Height of the picture at least [Pa], so that rounding does not fill it.
        seen: Range of deformation to be shaded, or None.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    one = next(iter(curves.values()))
    low, high = limits(curves, least)
    stress = scale(max(abs(low), abs(high)), one.units[1])
    with rc_context(STYLE):
        figure = Figure(figsize=(4.5, 3.1), layout="constrained")
        axes = figure.subplots()
        if seen is not None:
            axes.axvspan(*seen, color="#eaf3f9", linewidth=0, zorder=0)
        axes.axhline(0.0, color=MUTED, linewidth=0.8)
        for label, style in LINES.items():
            if label in curves:
                curve = curves[label]
                axes.plot(curve.x.numpy(), curve.y.numpy() / stress.factor, **style)
        frame(axes, one, stress, (low, high))
        return svg(figure, f"{one.name}: {one.labels[1]} against {one.labels[0]}")


def limits(curves: Mapping[str, Curve], least: float) -> tuple[float, float]:
    """Stress range to be shown [Pa]; a start far off the others is cut off.

    Args:
        curves: By "fitted", "start" and "truth".
        least: Smallest range.
    """
    leading = [c for label, c in curves.items() if label != "start"] or list(curves.values())
    low, high = _extent(leading)
    start_low, start_high = _extent(list(curves.values()))
    room = max(high - low, least)
    low, high = max(start_low, low - room), min(start_high, high + room)
    short = max(0.0, least - (high - low))
    pad = 0.06 * (high - low + short) + 0.5 * short
    return low - pad, high + pad


def _extent(curves: Sequence[Curve]) -> tuple[float, float]:
    """Lowest and highest finite stress [Pa], zero included."""
    stresses = np.concatenate([[0.0], *(c.y.numpy() for c in curves)])
    stresses = stresses[np.isfinite(stresses)]
    return float(stresses.min()), float(stresses.max())


def frame(axes: Axes, curve: Curve, stress: Scale, ends: tuple[float, float]) -> None:
    """Axes of a curve: named, with a few marks.

    Args:
        axes: Of the curve.
        curve: Whose labels they get.
        stress: Unit of the vertical one.
        ends: Of the vertical one [Pa].
    """
    from matplotlib.ticker import MaxNLocator

    axes.set_ylim(ends[0] / stress.factor, ends[1] / stress.factor)
    axes.margins(x=0.02)
    axes.set_xlabel(curve.labels[0] + ("" if curve.units[0] == "-" else f" [{curve.units[0]}]"))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    _above(axes, f"{curve.labels[1]} [{stress.unit}]")


def _above(axes: Axes, text: str) -> None:
    """Name the vertical axis where it is read without turning the head."""
    axes.set_title(text, loc="left", fontsize=10.0, color=MUTED)


def svg(figure: Figure, meaning: str) -> str:
    """The figure as an SVG element whose ids clash with no other's on the page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    key = f"p{zlib.crc32((meaning + text).encode()):08x}"
    text = re.sub(r'\bid="', f'id="{key}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{key}-", text)
    label = escape(meaning, quote=True)
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
