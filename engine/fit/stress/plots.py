# SPDX-License-Identifier: Apache-2.0
"""The curves of a report on stress tests: what was measured, and what each law makes of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...observations.stress_test import KINDS, StressTest
from ..plots import INK, MUTED, STYLE, svg
from ..quantity import scale
from .compare import Comparison

COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#8c6d31",
    "#5a6875",
)  # fmt: skip
"""Of the laws in their order; the first six also for the colour-blind (Okabe and Ito 2008)."""
MOST = 4
"""Laws that are drawn beside the best, or the pictures are of lines only."""
BEYOND = 0.6
"""How far a picture reaches beyond the measured stresses, relative to their range."""


def colours(comparison: Comparison) -> Mapping[str, str]:
    """Of each law that is drawn, the best first."""
    names = [law.name for law in comparison.laws[: MOST + 1]]
    return dict(zip(names, COLOURS, strict=False))


def loading_plot(comparison: Comparison, test: StressTest) -> str:
    """One loading as an SVG element."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    i, j = test.component
    x, y = test.amount.numpy(), test.stress[:, i, j].numpy()
    low, high = min(0.0, float(np.nanmin(y))), max(0.0, float(np.nanmax(y)))
    unit = scale(max(abs(low), abs(high)), "Pa")
    reach = BEYOND * (high - low)
    with rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.5), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0.0, color=MUTED, linewidth=0.8)
        for order, (name, colour) in enumerate(reversed(list(colours(comparison).items()))):
            law = next(law for law in comparison.laws if law.name == name)
            drawn = law.lines[test.name]
            at, mean = drawn.x.numpy(), drawn.y.numpy() / unit.factor
            best = name == comparison.best.name
            if best:
                band = drawn.band.numpy() / unit.factor
                axes.fill_between(at, mean - band, mean + band, color=colour, alpha=0.16, lw=0)
            width = 2.2 if best else 1.3
            axes.plot(at, mean, color=colour, linewidth=width, zorder=3 + order)
        held = test in comparison.held
        axes.plot(
            x, y / unit.factor, "o", markersize=4.2, zorder=20, markeredgecolor=INK,
            markerfacecolor="white" if held else INK, markeredgewidth=1.1,
        )  # fmt: skip
        bottom = low - (reach if low < 0 else 0.06 * (high - low))
        axes.set_ylim(bottom / unit.factor, (high + 0.35 * reach) / unit.factor)
        axes.margins(x=0.03)
        axes.set_xlabel("shear γ" if test.kind == "SS" else "stretch λ")
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.set_title(f"nominal stress [{unit.unit}]", loc="left", fontsize=10.0, color=MUTED)
        words = KINDS.get(test.kind, test.name)
        return svg(figure, f"{test.name}, {words}: nominal stress measured and by the laws")
