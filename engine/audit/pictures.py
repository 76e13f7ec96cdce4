# SPDX-License-Identifier: Apache-2.0
"""The curves of a law, and what its audit found, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..atomic import replacing
from ..curves import Curve
from ..fit.plots import FITTED, INK, MUTED, STYLE, frame, limits
from ..fit.quantity import scale
from .finding import Finding

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHADE = "#eaf3f9"
MARKS = {
    "pass": ("●", "#00694e"), "fail": ("✖", "#b3261e"), "warning": ("▲", "#b35900"),
    "information": ("–", MUTED), "not applicable": ("–", MUTED),
}  # fmt: skip
"""Sign and colour of each verdict."""
WIDTH = 46
"""Letters in a line of words."""
STEEP, CUT = 4.0, 1.5
"""A compression that bears STEEP times the tension is shown as far as CUT times it."""
LINES = 16
"""Of words beside the curves."""


def draw(
    path: Path,
    title: str,
    words: Sequence[str],
    curves: Sequence[Curve],
    *,
    fitted: tuple[float, float] | None = None,
    findings: Sequence[Finding] = (),
) -> None:
    """Write a picture, in one go.

    Args:
        path: .png, .svg or .pdf.
        title: The law.
        words: What is said of it, a line each.
        curves: Of the law, up to five.
        fitted: Principal stretches that it was fitted over, to be shaded, or None.
        findings: Of its audit, if there was one.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(11.0, 6.4), layout="constrained")
        figure.suptitle(title, x=0.012, ha="left", fontsize=14.0, color=INK, fontweight="bold")
        places = figure.subplots(2, 3).flatten()
        for axes, curve in zip(places, curves, strict=False):
            _curve(axes, curve, fitted if curve.labels[0].startswith("stretch") else None)
        _words(places[-1], words, findings)
        with replacing(path) as draft:
            figure.savefig(draft, format=path.suffix[1:], dpi=150, facecolor="white")


def _curve(axes: Axes, curve: Curve, fitted: tuple[float, float] | None) -> None:
    finite = curve.y[curve.y.isfinite()].abs()
    least = 1e-3 * float(finite.max()) if len(finite) and float(finite.max()) > 0 else 1.0
    low, high = limits({"fitted": curve}, least)
    if low < -STEEP * high < 0:
        low = -CUT * high
        axes.text(0.98, 0.04, "cut off below", ha="right", fontsize=9.0, color=MUTED,
                  transform=axes.transAxes)  # fmt: skip
    stress = scale(max(abs(low), abs(high)), curve.units[1])
    x = curve.x.numpy()
    if fitted is not None and fitted[0] < x[-1] and fitted[1] > x[0]:
        ends = max(fitted[0], x[0]), min(fitted[1], x[-1])
        axes.axvspan(*ends, color=SHADE, linewidth=0, zorder=0)
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    axes.plot(x, curve.y.numpy() / stress.factor, color=FITTED, linewidth=2.0)
    frame(axes, curve, stress, (low, high))
    axes.set_title(curve.name, loc="right", fontsize=10.0, color=INK, fontweight="bold")


def _words(axes: Axes, words: Sequence[str], findings: Sequence[Finding]) -> None:
    import textwrap

    axes.set_axis_off()
    lines = [part for word in words for part in textwrap.wrap(word, WIDTH) or [""]]
    room = LINES - len(findings)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"{lines[room - 1][: WIDTH - 2]} …"]
    down = 1.0 / LINES
    for number, line in enumerate(lines):
        axes.text(0.0, 1.0 - number * down, line, fontsize=9.5, color=INK, va="top",
                  transform=axes.transAxes, parse_math=False)  # fmt: skip
    top = 1.0 - (len(lines) + 0.4) * down
    for number, finding in enumerate(findings):
        sign, colour = MARKS[finding.verdict]
        y = top - number * down
        axes.text(0.0, y, sign, fontsize=9.5, color=colour, va="top", transform=axes.transAxes)
        judged = finding.verdict in ("pass", "fail", "warning")
        said = finding.name if judged else f"{finding.name}: {finding.word}"
        axes.text(0.055, y, said, fontsize=9.5, color=colour if sign != "●" else INK, va="top",
                  transform=axes.transAxes)  # fmt: skip
