# SPDX-License-Identifier: Apache-2.0
"""The numbers of a fit by epoch as charts, beside its motion or instead of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from rheograd.engine.fit.plots import FITTED, INK, MUTED, STYLE, log_marks
from rheograd.engine.fit.quantity import SUPERSCRIPT, scale

from ..drawing.images import image_of
from ..extra import Extra
from .folder import Curve, FitFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..stage import Stage

_SHARE = 0.4
_DPI = 96
_MOST = 12
_LEAST = 190
"""Least width and height of all of them [px]."""
_NARROW = 240
"""Least width of a chart [px]."""
_BAND = "#cfe3f1"
_DOT = 4.0
_LOW = 96
"""Least height of a chart with its name and ticks [px]."""
_LETTER = 6.2
"""Width of a letter [px]."""


class FitCharts(Extra):
    """Charts of a fit, drawn anew when there is something new in its folder.

    Args:
        folder: Of the fit.
        alone: Whether there is no motion to be seen, so that they fill the picture.
    """

    def __init__(self, folder: FitFolder, *, alone: bool) -> None:
        self._folder = folder
        self.share = 0.0 if alone else _SHARE
        self._alone = alone
        self._drawn: Any = None
        self._renderer: Any = None

    def begin(self, stage: Stage) -> None:
        """See `Extra.begin`."""
        from vtkmodules.vtkRenderingCore import vtkActor2D, vtkImageMapper, vtkRenderer

        self._mapper, actor = vtkImageMapper(), vtkActor2D()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        actor.SetMapper(self._mapper)
        self._drawn = None
        if self._alone:
            stage.plotter.renderers[0].AddViewProp(actor)
            return
        self._renderer = vtkRenderer()
        self._renderer.SetBackground(1, 1, 1)
        self._renderer.InteractiveOff()
        self._renderer.AddViewProp(actor)
        stage.plotter.render_window.AddRenderer(self._renderer)

    def lay_out(self, stage: Stage) -> None:
        """See `Extra.lay_out`."""
        if self._renderer is not None:
            self._renderer.SetViewport(1 - self.share, stage.below, 1, 1)
        self._draw(stage)

    def show(self, stage: Stage) -> None:
        """See `Extra.show`."""
        self._draw(stage)

    def end(self, stage: Stage) -> None:
        """See `Extra.end`."""
        if self._renderer is not None:
            stage.plotter.render_window.RemoveRenderer(self._renderer)

    def _draw(self, stage: Stage) -> None:
        width, height = stage.size
        # the edges of a viewport are rounded: a pixel more than less
        size = (math.ceil((self.share or 1.0) * width) + 1, math.ceil((1 - stage.below) * height))
        now = (size, len(self._folder.rows), self._folder.said, self._folder.changed)
        if now == self._drawn or min(size) < 32:
            return
        self._drawn = now
        self._mapper.SetInputData(image_of(picture(self._folder, size, stage.pixels)))


def picture(folder: FitFolder, size: tuple[int, int], pixels: int = 1) -> np.ndarray:
    """All charts of a fit below its name and how far it is, (height, width, 3), uint8.

    Args:
        folder: Of the fit.
        size: Width and height [px].
        pixels: Of the picture for one pixel of text and lines.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style = {**STYLE, "font.size": 8.5, "axes.titlesize": 8.5}
    with rc_context(style):
        dpi = _DPI * pixels
        figure = Figure(figsize=(size[0] / dpi, size[1] / dpi), dpi=dpi, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        unit = pixels / size[1]
        left = 24 * pixels / size[0]
        figure.text(left, 1 - 24 * unit, folder.title, fontsize=12.5, color=INK, va="center")
        letters = max(int((size[0] / pixels - 48) / _LETTER), 12)
        said = "\n".join(wrap(folder.said, letters)[:2])
        figure.text(left, 1 - 41 * unit, said, fontsize=9, color=MUTED, va="top")
        _charts(figure, folder, size, pixels)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _charts(figure: Figure, folder: FitFolder, size: tuple[int, int], pixels: int) -> None:
    """The losses large, all others in as many columns as there is room for."""
    curves = folder.curves()[:_MOST]
    wide, high = (side / pixels for side in size)
    if not curves or min(wide, high) < _LEAST:
        return
    columns = int(np.clip(wide // _NARROW, 1, 4))
    large = sum(curve.name.startswith(("training", "validation")) for curve in curves)
    rest = len(curves) - large
    rows = -(-rest // columns)
    heights = [1.6] * bool(large) + [1.0] * rows
    fits = max(1, int((high - 90) // _LOW))
    while len(heights) > 1 and sum(heights) > fits:
        heights.pop()
    grid = figure.add_gridspec(
        len(heights), 1, height_ratios=heights, left=66 / wide, right=1 - 26 / wide,
        top=1 - 96 / high, bottom=46 / high, hspace=0.62,
    )  # fmt: skip
    shown = 0
    for row in range(len(heights)):
        top = bool(large) and row == 0
        count = large if top else columns
        inner = grid[row].subgridspec(1, count, wspace=76 * count / max(wide - 92, 1))
        for column in range(count):
            if shown < len(curves):
                axes = figure.add_subplot(inner[column])
                _chart(axes, curves[shown], (wide - 92 - 76 * (count - 1)) / count)
                if row == len(heights) - 1:
                    axes.set_xlabel(folder.turn, labelpad=2)
                shown += 1


def short(value: float, digits: int) -> str:
    """A number in few letters, such as "10⁻⁵", "5.7e-15" or "0.25".

    Args:
        value: The number.
        digits: Significant ones at most.
    """
    if value == 0.0 or 1e-3 <= abs(value) < 1e5:
        plain = f"{float(f'{value:.{digits - 1}e}'):.12f}".rstrip("0").rstrip(".")
        return plain.replace("-", "\u2212")
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    if mantissa == "1":
        return f"10{str(int(power)).translate(SUPERSCRIPT)}"
    return f"{mantissa}e{int(power)}".replace("-", "\u2212")


def _told_apart(values: Sequence[float]) -> list[str]:
    """Different numbers in so many letters that no two of them look alike."""
    for digits in range(2, 9):
        words = [short(value, digits) for value in values]
        if len(set(words)) == len(words):
            return words
    return [f"{value:g}" for value in values]


def _chart(axes: Axes, curve: Curve, room: float) -> None:
    """One number by epoch, its name above, what it is now beside that if there is room [px]."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

    x, y = np.array(curve.epochs, float), np.array(curve.values, float)
    unit = scale(float(np.abs(y).max(initial=0.0)), curve.unit)
    y = y / unit.factor
    if any(b is not None for b in curve.bands):
        ends = np.array([(np.nan, np.nan) if b is None else b for b in curve.bands], float)
        low, high = (ends / unit.factor).T
        axes.fill_between(x, low, high, color=_BAND, linewidth=0, zorder=1)
    axes.plot(x, y, color=FITTED, linewidth=1.8, zorder=3, solid_joinstyle="round")
    axes.plot(x[-1:], y[-1:], "o", color=FITTED, markersize=_DOT, zorder=4)
    last = curve.final or next((band for band in curve.bands[::-1] if band is not None), None)
    if last is not None:
        _whisker(axes, x[-1], np.array(last) / unit.factor)
    axes.set_xlim(x[0] - 0.02 * max(np.ptp(x), 1), x[-1] + 0.03 * max(np.ptp(x), 1))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    if curve.logarithmic:
        axes.set_yscale("log", nonpositive="mask")
        bottom, top = float(y[y > 0].min()), float(y.max())
        if last is not None and last[0] > 0:
            bottom, top = min(bottom, last[0] / unit.factor), max(top, last[1] / unit.factor)
        more = math.exp(max(0.08 * math.log(top / bottom), 0.05))
        bottom, top = bottom / more, top * more
        axes.set_ylim(bottom, top)
        marks = log_marks(bottom, top)
        axes.yaxis.set_major_locator(FixedLocator([value for value, _ in marks]))
        axes.yaxis.set_major_formatter(FixedFormatter(_told_apart([value for value, _ in marks])))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        if curve.bands:
            _frame_bands(axes, y, None if last is None else np.array(last) / unit.factor)
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axes.ticklabel_format(axis="y", useOffset=False)
    words = curve.name + ("" if unit.unit in ("", "-") else f" [{unit.unit}]")
    axes.set_title(words, loc="left", color=MUTED, pad=5)
    now = short(float(y[-1]), 4)
    half = 0.0 if curve.final is None else (curve.final[1] - curve.final[0]) / 2 / unit.factor
    if curve.final is not None and _LETTER * (len(words) + len(now) + 9) < room:
        now += f" ± {short(half, 2)}"
    if _LETTER * (len(words) + len(now) + 2) < room:
        axes.set_title(now, loc="right", color=INK, pad=5)
    axes.tick_params(labelsize=7.5, labelcolor=MUTED, pad=2)


def _whisker(axes: Axes, at: float, band: np.ndarray) -> None:
    """The band at the end, which as an area would have no width there."""
    axes.plot(
        [at, at], band, color=FITTED, linewidth=1.1, marker="_", markersize=7.0, zorder=3.5,
        gid="band at the end",
    )  # fmt: skip


def _frame_bands(axes: Axes, y: np.ndarray, last: np.ndarray | None) -> None:
    """Let bands be cut off that are far wider than what the values have been, but the last."""
    low, high = axes.get_ylim()
    if last is not None:
        y = np.append(y, last)
    reach = 3.0 * max(float(np.ptp(y)), 0.02 * float(np.abs(y).max(initial=0.0)), 1e-300)
    axes.set_ylim(max(low, float(y.min()) - reach), min(high, float(y.max()) + reach))
