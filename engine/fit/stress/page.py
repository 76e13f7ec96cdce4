# SPDX-License-Identifier: Apache-2.0
"""report.html of laws fitted to stress tests; all texts from outside are escaped."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from ...observations.stress_test import KINDS, StressTest
from ..quantity import duration, number, percent, quantity
from ..report import FittedParameter
from ..sheet import again, document, said
from .compare import Comparison
from .judge import FittedLaw, Score
from .plots import colours, loading_plot

FAILS = -10.0
"""R² below which it says no more than that a law fails."""
GOOD, FAIR = 0.99, 0.9
"""R² from which a law tells a loading well, or so-so."""
SURE = 0.8
"""Share of points in a 95 % band below which that is too narrow."""


def stress_page(
    comparison: Comparison, settings: Mapping[str, Any], surroundings: Mapping[str, str],
    command: str, notes: tuple[str, ...] = (),
) -> str:  # fmt: skip
    """The page.

    Args:
        comparison: What came out.
        settings: What was asked, by name.
        surroundings: Versions, date and machine.
        command: Command line that does it again.
        notes: Sentences on what was assumed.
    """
    title = headline(comparison)
    sections = [
        _header(comparison, title, surroundings), _notes(comparison, notes), _curves(comparison),
        _ranking(comparison), *(_parameters(law) for law in comparison.laws if law.parameters),
        _tests(comparison), again(settings, surroundings, command),
    ]  # fmt: skip
    return document(title, sections)


def headline(comparison: Comparison) -> str:
    """What was fitted to what."""
    names = said([_words(test) for test in comparison.task.tests])
    if len(comparison.laws) == 1:
        return f"{comparison.best.name}, fitted to {names}"
    return f"{len(comparison.laws)} laws, fitted to {names}; best: {comparison.best.name}"


def _words(test: StressTest) -> str:
    return KINDS[test.kind] if test.name == test.kind else test.name


def verdict(comparison: Comparison) -> str:
    """How good the best law is, in a few sentences."""
    best = comparison.best
    text = (
        f"On what it was fitted to, {best.name} is off by {quantity(best.rms, 'Pa', digits=2)} RMS,"
        f" {percent(best.rms / comparison.task.size)} of the largest stress."
    )
    held = [(test.name, best.scores[test.name]) for test in comparison.held]
    if not held:
        return text + " No loading was held out, so that nothing says how it does on others."
    for name, one in held:
        text += f" Of {name}, which it has not seen, it "
        if one.unanswered:
            text += f"has no answer at {one.unanswered} of {one.points} points."
            continue
        verb = "tells" if one.r2 >= FAIR else "fails to tell"
        text += (
            f"{verb} the stress: R² {r_squared(one.r2)}, {percent(one.inside)} of the points are in"
            " its own 95 % band"
        )
        text += "." if one.inside >= SURE else ", so that it is surer of itself than it should be."
    return text


def r_squared(value: float) -> str:
    """R² as a reader wants it: more digits the closer to 1."""
    if math.isnan(value):
        return "–"
    if value < FAILS:
        return f"below {FAILS:.0f}".replace("-", "−")
    return f"{value:.4f}".replace("-", "−") if value > 0.9 else f"{value:.2f}".replace("-", "−")


def _header(comparison: Comparison, title: str, surroundings: Mapping[str, str]) -> str:
    best = comparison.best
    cards = [
        (quantity(best.rms, "Pa", digits=2), "RMS error where it was fitted"),
    ]
    for test in comparison.held[:3]:
        cards.append((r_squared(best.scores[test.name].r2), f"R² of {test.name}, held out"))
    if best.parameters:
        known = sum(p.determined for p in best.parameters)
        cards.append((f"{known} of {len(best.parameters)}", "numbers determined by the tests"))
    else:
        cards.append((f"{best.count}", f"weights, {best.members} members"))
    cards.append((duration(sum(law.seconds for law in comparison.laws)), "for all laws"))
    items = "".join(f"<li><b>{escape(a)}</b><span>{escape(b)}</span></li>" for a, b in cards)
    date = surroundings.get("date", "")[:16]
    return (
        f'<header><p class="kicker">rheograd stress tests · {escape(date)}</p>\n'
        f'<h1>{escape(title)}</h1>\n<p class="lede">{escape(verdict(comparison))}</p>\n'
        f'<ul class="cards">{items}</ul></header>'
    )


def _notes(comparison: Comparison, notes: tuple[str, ...]) -> str:
    said = "".join(f"<li>{escape(s[:1].upper() + s[1:])}</li>" for s in notes)
    mild = f'<section class="notes mild"><h3>Assumed</h3><ul>{said}</ul></section>' if said else ""
    best = "".join(f"<li>{escape(s[:1].upper() + s[1:])}</li>" for s in comparison.best.warnings)
    if not best:
        return mild
    return f'<section class="notes"><h3>How far to trust it</h3><ul>{best}</ul></section>{mild}'


def _curves(comparison: Comparison) -> str:
    legend = "".join(
        f"<li>{_swatch(colour, name == comparison.best.name)}<span>{escape(name)}</span></li>"
        for name, colour in colours(comparison).items()
    )
    legend += f"<li>{_dot('#1b2733')}<span>measured, fitted to</span></li>"
    if comparison.held:
        legend += f"<li>{_dot('#fff')}<span>measured, held out</span></li>"
    figures = "".join(_figure(comparison, test) for test in comparison.tests)
    more = len(comparison.laws) - len(colours(comparison))
    rest = f" The {more} laws that rank below are in the table only." if more > 0 else ""
    return (
        "<section><h2>Measured and told</h2>\n<p>Shaded: the 95 % band in which the best law"
        f" expects a measured point.{rest}</p>\n"
        f'<ul class="legend">{legend}</ul>\n<div class="grid">{figures}</div></section>'
    )


def _figure(comparison: Comparison, test: StressTest) -> str:
    held = test in comparison.held
    said = "held out: no law has seen it" if held else "fitted to"
    words = f"{test.name}: {KINDS[test.kind]}" if test.kind == test.name else test.name
    best = comparison.best.scores[test.name]
    caption = f"{comparison.best.name}: R² {r_squared(best.r2)}, {_rms(best)} RMS"
    return (
        f'<figure><h3>{escape(words)} <span class="muted">· {said}</span></h3>'
        f"{loading_plot(comparison, test)}<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _rms(one: Score) -> str:
    return quantity(one.rms, "Pa", digits=2) if math.isfinite(one.rms) else "no"


def _swatch(colour: str, best: bool) -> str:
    return (
        '<svg viewBox="0 0 42 12" aria-hidden="true"><line x1="1" x2="41" y1="6" y2="6" '
        f'stroke="{colour}" stroke-width="{4 if best else 2}"/></svg>'
    )


def _dot(fill: str) -> str:
    return (
        '<svg viewBox="0 0 42 12" aria-hidden="true"><circle cx="21" cy="6" r="4.2" '
        f'fill="{fill}" stroke="#1b2733" stroke-width="1.4"/></svg>'
    )


def _ranking(comparison: Comparison) -> str:
    names = [test.name for test in comparison.tests]
    held = {test.name for test in comparison.held}
    head = "".join(
        f'<th class="n">{escape(n)}<br>{"held out" if n in held else "fitted to"}</th>'
        for n in names
    )
    rows = "".join(_row(law, names) for law in comparison.laws)
    return (
        "<section><h2>The laws, the best first</h2>\n<p>R² by loading. AICc and BIC weigh the"
        " error of what a law was fitted to against how many numbers it took; less is better, and"
        " a difference of 10 is decisive. A law with about as many numbers as stresses has none,"
        " and ranks after those that have. Neither says anything about loadings that were held"
        " out.</p>\n"
        '<div class="scroll"><table><thead><tr><th>law</th><th class="n">numbers</th>'
        f'{head}<th class="n">RMS error,<br>fitted to</th><th class="n">AICc</th>'
        f'<th class="n">BIC</th></tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def _row(law: FittedLaw, names: list[str]) -> str:
    cells = "".join(_score_cell(law.scores[name]) for name in names)
    ranks = "".join(
        f'<td class="n">{"–" if math.isnan(v) else f"{v:.1f}".replace("-", "−")}</td>'
        for v in (law.aicc, law.bic)
    )
    return (
        f'<tr><th scope="row">{escape(law.name)}</th><td class="n">{law.count}</td>{cells}'
        f'<td class="n">{quantity(law.rms, "Pa", digits=2)}</td>{ranks}</tr>'
    )


def _score_cell(one: Score) -> str:
    if one.unanswered:
        return f'<td class="n warn">no answer at {one.unanswered}</td>'
    style = "good" if one.r2 >= GOOD else "" if one.r2 >= FAIR else "warn"
    band = f'<span class="tag">{percent(one.inside)} in band</span>'
    return f'<td class="n"><span class="{style}">{r_squared(one.r2)}</span>{band}</td>'


def _parameters(law: FittedLaw) -> str:
    rows = "".join(_parameter(p) for p in law.parameters)
    said = "".join(f'<p class="muted">{escape(s[:1].upper() + s[1:])}.</p>' for s in law.warnings)
    formula: Callable[[], str] | None = getattr(law.law, "formula", None)
    text = f"<p>ψ [J/m³] =</p><pre>{escape(formula())}</pre>" if callable(formula) else ""
    return (
        f"<section><h2>Numbers of {escape(law.name)}</h2>\n{text}"
        '<div class="scroll"><table><thead><tr><th>number</th><th class="n">fitted</th>'
        '<th class="n">95 % range</th><th>verdict</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{said}</section>"
    )


def _parameter(p: FittedParameter) -> str:
    value = quantity(p.value, p.unit, digits=4, known_to=p.std)
    spread, said = "–", '<span class="warn">not determined</span>'
    if p.determined and p.low95 is not None and p.high95 is not None:
        ends = (p.low95, p.high95)
        spread = " to ".join(quantity(e, p.unit, known_to=p.std, like=p.value) for e in ends)
        most = max(p.high95 - p.value, p.value - p.low95)
        share = most / abs(p.value) if p.value else math.inf
        style = "good" if share < 1 else "warn"
        said = f'<span class="{style}">known to ± {percent(share)}</span>'
    return (
        f'<tr><th scope="row"><code>{escape(p.name)}</code></th>'
        f'<td class="n main">{escape(value)}</td><td class="n">{escape(spread)}</td>'
        f'<td class="said">{said}</td></tr>'
    )


def _tests(comparison: Comparison) -> str:
    rows = ""
    held = {test.name for test in comparison.held}
    for test in comparison.tests:
        x = test.amount
        largest = float(test.stress[test.rows].abs().max())
        span = f"{number(float(x.min()))} to {number(float(x.max()))}"
        weight = number(comparison.task.weights.get(test.name, 1.0), digits=None)
        role = "held out" if test.name in held else f"fitted to, weight {weight}"
        rows += (
            f'<tr><th scope="row">{escape(test.name)}</th><td>{escape(KINDS.get(test.kind, "–"))}'
            f'</td><td class="n">{len(test.F)}</td><td class="n">{escape(span)}</td>'
            f'<td class="n">{quantity(largest, "Pa")}</td><td>{escape(role)}</td></tr>'
        )
    return (
        '<section><h2>The tests</h2>\n<div class="scroll"><table><thead><tr><th>loading</th>'
        '<th>kind</th><th class="n">points</th><th class="n">stretch or shear</th>'
        '<th class="n">largest nominal stress</th><th>role</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )
