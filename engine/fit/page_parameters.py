# SPDX-License-Identifier: Apache-2.0
"""The section of report.html on fitted parameters: values, 95 % ranges, correlations."""

from __future__ import annotations

import math
from html import escape

from .plots import MUTED
from .quantity import percent, quantity
from .report import FitReport, FittedParameter

ENTANGLED = 0.95
"""Correlation from which two parameters are said to be hardly told apart."""
PLAIN_NAMES = {
    "young": "Young's modulus",
    "poisson": "Poisson's ratio",
    "yield_stress": "yield stress",
    "friction_angle": "friction angle",
    "cohesion": "cohesion",
    "damping": "damping time",
    "time": "damping time",
    "density": "density",
    "friction": "friction coefficient",
}


def plain_name(name: str) -> str:
    """A parameter's name in words; of "body.young" the last part is looked up."""
    return PLAIN_NAMES.get(name.rpartition(".")[2], name)


def parameters(report: FitReport) -> str:
    """The section, empty if there are none."""
    if not report.parameters:
        return ""
    rows = "".join(_parameter_row(p, report.excess is None) for p in report.parameters)
    held = "With the range that holds the true value with a probability of 95 %, as far as the"
    if report.excess is not None:
        held = '<span class="warn">The 95 % range does not hold here.</span> It would if the'
    verb = "are right" if report.excess is None else "were right"
    return (
        f"<section><h2>The parameters</h2>\n<p>{held} law and the scene {verb}: "
        f"{_source(report)}</p>\n"
        '<div class="scroll"><table><thead><tr><th>parameter</th><th class="n">start</th>'
        '<th class="n">fitted</th><th class="n">95 % range</th><th>start ○, fitted ●</th>'
        f"<th>verdict</th></tr></thead><tbody>{rows}</tbody></table></div>\n"
        f"{_warning(report)}{_correlation(report)}</section>"
    )


def _warning(report: FitReport) -> str:
    """What the data do not determine, and what the simulation is too coarse for."""
    left = [p for p in report.parameters if not p.determined]
    unknown = ", ".join(plain_name(p.name) for p in left if not p.coarse)
    coarse = ", ".join(plain_name(p.name) for p in left if p.coarse)
    said = ""
    if unknown:
        said += (
            f'<p class="warn">This motion does not determine {escape(unknown)}: other '
            "values explain it as well. Observe a motion that depends on it, or fix its value.</p>"
        )
    if coarse:
        said += (
            f'<p class="warn">The grid is too coarse for {escape(coarse)}: other particles or half '
            "the cell would change it by more than a factor of e. Simulate with smaller cells, or "
            "observe a motion that it matters more to.</p>"
        )
    return said


def _source(report: FitReport) -> str:
    """What is in the ranges."""
    parted = [p for p in report.parameters if p.parts]
    scatter = "it comes from the scatter of the observation about the fit"
    if not parted:
        return f"{scatter}, not from errors of the model."
    shares = "; ".join(
        f"of {escape(plain_name(p.name))} "
        + ", ".join(
            f"{quantity(std, p.unit, digits=2)} ({cause})" for cause, std in p.parts.items()
        )
        for p in parted
    )
    return (
        f"{scatter} (tracks), from which particles the bodies happen to be made of (particles),"
        " and from the size of cells and steps, by what half of them changes (cells). Standard"
        f" deviations {shares}."
    )


def _said(p: FittedParameter, holds: bool) -> str:
    """The verdict on a parameter, for a table."""
    if p.coarse:
        return '<span class="warn">grid too coarse</span>'
    if not p.determined:
        return '<span class="warn">not determined</span>'
    if not holds:
        return '<span class="warn">range does not hold</span>'
    if p.std is None:
        return '<span class="muted">uncertainty not estimated</span>'
    if p.value and p.low95 is not None and p.high95 is not None:
        most = max(p.high95 - p.value, p.value - p.low95)
        return f'<span class="good">known to ± {percent(most / abs(p.value))}</span>'
    return '<span class="good">determined</span>'


def _parameter_row(p: FittedParameter, holds: bool) -> str:
    known_to = p.std
    start = "–" if p.start is None else quantity(p.start, p.unit, digits=None)
    spread = "–"
    if p.low95 is not None and p.high95 is not None:
        ends = (p.low95, p.high95)
        spread = " to ".join(quantity(e, p.unit, known_to=known_to, like=p.value) for e in ends)
    return (
        f'<tr><th scope="row">{escape(plain_name(p.name))} <code class="muted">{escape(p.name)}'
        f'</code></th><td class="n">{escape(start)}</td>'
        f'<td class="n main">{escape(quantity(p.value, p.unit, digits=4, known_to=known_to))}</td>'
        f'<td class="n">{escape(spread)}</td><td>{_strip(p, holds)}</td>'
        f'<td class="said">{_said(p, holds)}</td></tr>'
    )


def _strip(p: FittedParameter, holds: bool) -> str:
    """Start, value and band of a parameter on a line."""
    marks = [p.value, *(v for v in (p.start, p.low95, p.high95) if v is not None)]
    marks = [v for v in marks if math.isfinite(v)]
    low, high = min(marks), max(marks)
    if low == high:
        return ""

    def at(value: float) -> str:
        return f"{5 + 134 * (min(max(value, low), high) - low) / (high - low):.1f}"

    parts = ['<line x1="0" x2="144" y1="13" y2="13" stroke="#dfe5ea" stroke-width="2"/>']
    if p.low95 is not None and p.high95 is not None:
        colour = "#0072b2" if p.determined and holds else "#d98324"
        parts.append(
            f'<line x1="{at(p.low95)}" x2="{at(p.high95)}" y1="13" y2="13" stroke="{colour}" '
            'stroke-width="6" stroke-opacity="0.35" stroke-linecap="round"/>'
        )
    if p.start is not None:
        parts.append(
            f'<circle cx="{at(p.start)}" cy="13" r="4" fill="#fff" stroke="{MUTED}" '
            'stroke-width="1.6"/>'
        )
    parts.append(f'<circle cx="{at(p.value)}" cy="13" r="4.5" fill="#0072b2"/>')
    return f'<svg class="strip" viewBox="0 0 144 26" aria-hidden="true">{"".join(parts)}</svg>'


def _correlation(report: FitReport) -> str:
    if report.correlation is None or len(report.parameters) < 2:
        return ""
    names = [plain_name(p.name) for p in report.parameters]
    table = [[float(value) for value in row] for row in report.correlation]
    head = "".join(f'<th class="n">{escape(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{escape(names[i])}</th>'
        + "".join(_correlation_cell(value, i == j) for j, value in enumerate(row))
        + "</tr>"
        for i, row in enumerate(table)
    )
    close = [
        f"{names[i]} and {names[j]} ({table[i][j]:+.2f})".replace("-", "−")
        for i in range(len(names))
        for j in range(i)
        if abs(table[i][j]) >= ENTANGLED
    ]
    said = ""
    if close:
        said = (
            f'<p class="warn">Hardly told apart by this motion: {escape("; ".join(close))}. Only a '
            "combination of them is known well.</p>"
        )
    return (
        '<h3 style="margin-top:1.6rem">How their errors go together</h3>'
        '<p class="muted">Correlation: 0 independent, ±1 one cannot be changed without the other.'
        '</p><div class="scroll"><table class="square"><thead><tr><th></th>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>{said}"
    )


def _correlation_cell(value: float, own: bool) -> str:
    if own or not math.isfinite(value):
        return f'<td class="n muted">{"1" if own else "–"}</td>'
    rgb = "0,114,178" if value > 0 else "213,94,0"
    shade = f"background:rgba({rgb},{0.45 * min(1.0, abs(value)):.2f})"
    return f'<td class="n" style="{shade}">{f"{value:+.2f}".replace("-", "−")}</td>'
