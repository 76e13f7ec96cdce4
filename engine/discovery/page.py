# SPDX-License-Identifier: Apache-2.0
"""report.html of a formula that was found; all texts from outside are escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..fit.quantity import quantity
from ..fit.sheet import document, listing
from ..fit.stress.compare import Comparison
from ..fit.stress.page import r_squared
from ..fit.stress.plots import loading_plot
from ..fit.stress.volume import rest_bulk, rest_shear
from .discover import Discovery
from .formula import Formula
from .judged import Found
from .plots import one_error_above, path_plot

MUCH = 3.0
"""Of two errors of a loading held back the larger is this much larger: worth a sentence."""
WORDS = (
    "I1bar, I2bar: invariants Ī₁, Ī₂ of J<sup>−2/3</sup> F Fᵀ; stretch(α) ="
    " λ̄₁<sup>α</sup> + λ̄₂<sup>α</sup> + λ̄₃<sup>α</sup> − 3 of the stretches without volume;"
    " J = det F; ** is a power. All in SI units."
)


def tests_page(
    found: Found, settings: Mapping[str, Any], surroundings: Mapping[str, str], command: str,
    notes: tuple[str, ...] = (),
) -> str:  # fmt: skip
    """The page of a formula that was found in stress tests.

    Args:
        found: What came out.
        settings: What was asked, by name.
        surroundings: Versions, date and machine.
        command: Command line that does it again.
        notes: Sentences on what was assumed.
    """
    best = found.comparison.best
    drawn = curves(found.comparison)
    lede = (
        f"{len(found.discovery.chosen.parts)} of {found.discovery.library} candidate terms, R²"
        f" {r_squared(found.r2)} over all points."
    )
    moduli = (
        f"at rest μ = {quantity(rest_shear(best.law), 'Pa', digits=3)} and"
        f" K = {quantity(rest_bulk(best.law), 'Pa', digits=3)}"
    )
    said = (*best.warnings, *_other_loadings(found.discovery), *notes, moduli)
    sections = drawn + numbers(found.formula) + path(found.discovery) + inclusion(found.discovery)
    return page(found.formula, lede, sections, said, settings, surroundings, command)


def curves(comparison: Comparison) -> str:
    """The stresses of each loading, measured and of the best law, as HTML."""
    held = {t.name for t in comparison.held}
    figures = ""
    for test in comparison.tests:
        role = "held out" if test.name in held else "fitted to"
        score = comparison.best.scores[test.name]
        figures += (
            f'<figure><h3>{escape(test.name)} <span class="muted">· {role}</span></h3>'
            f"{loading_plot(comparison, test)}<figcaption>R² {r_squared(score.r2)},"
            f" {quantity(score.rms, 'Pa', digits=2)} RMS</figcaption></figure>"
        )
    return (
        "<section><h2>Measured and told</h2><p>Dots: measured, filled where fitted to; line: the"
        " formula; shaded: the 95 % band in which it expects a measured point.</p>"
        f'<div class="grid">{figures}</div></section>'
    )


def _other_loadings(discovery: Discovery) -> tuple[str, ...]:
    """A sentence if another number of terms foretells a loading that it has not seen far better."""
    known = {k: s.left_out for k, s in enumerate(discovery.path, 1) if not math.isnan(s.left_out)}
    taken = known.get(discovery.size)
    if taken is None or MUCH * min(known.values()) > taken:
        return ()
    better = min(known, key=lambda size: known[size])
    return (
        f"with a whole loading held back this formula is off by {100 * taken:.2g} %, and the one of"
        f" {better} term{'s'[: better > 1]} by {100 * known[better]:.2g} %: the number of terms is"
        " chosen by points held back of all loadings",
    )


def page(
    formula: Formula, lede: str, sections: str, said: Sequence[str], settings: Mapping[str, Any],
    surroundings: Mapping[str, str], command: str, title: str = "A formula that was found",
) -> str:  # fmt: skip
    """A page about a formula, whatever it was found in; `sections` is HTML already."""
    notes = "".join(f"<li>{escape(s[:1].upper() + s[1:])}</li>" for s in said)
    notes = f'<section class="notes mild"><h3>How far to trust it</h3><ul>{notes}</ul></section>'
    header = (
        f'<header><p class="kicker">rheograd discover · '
        f"{escape(surroundings.get('date', '')[:16])}</p>\n<h1>{title}</h1>\n"
        f'<p class="lede">{escape(lede)}</p>\n<p>ψ [J/m³] =</p><pre>{escape(formula.law.text)}\n'
        f"{escape(formula.numbers)}</pre><p>with its numbers:</p><pre>{escape(formula.text)}</pre>"
        f'<p class="muted">{WORDS}</p>'
        f"<p>As LaTeX:</p><pre>{escape(formula.latex)}</pre></header>"
    )
    again = (
        f"<section><h2>To do it again</h2><pre>{escape(command)}</pre>"
        f"{listing(settings)}{listing(surroundings)}</section>"
    )
    return document(title, [header, notes if said else "", sections, again])


def numbers(formula: Formula) -> str:
    """A table of the numbers of a formula and their ranges, as HTML."""
    rows = ""
    for p in formula.parameters:
        value = quantity(p.value, p.unit, digits=4, known_to=p.std)
        spread = "not determined"
        if p.determined and p.low95 is not None and p.high95 is not None:
            ends = (quantity(v, p.unit, known_to=p.std, like=p.value) for v in (p.low95, p.high95))
            spread = " to ".join(ends)
        rows += (
            f'<tr><th scope="row"><code>{escape(p.name)}</code></th><td class="n main">'
            f'{escape(value)}</td><td class="n">{escape(spread)}</td></tr>'
        )
    return (
        '<section><h2>Its numbers</h2><div class="scroll"><table><thead><tr><th>number</th>'
        '<th class="n">found</th><th class="n">95 % range, for these terms</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def path(discovery: Discovery) -> str:
    """The best formula of each number of terms, a picture and a table, as HTML."""
    rows = ""
    for k, step in enumerate(discovery.path, 1):
        left = "–" if math.isnan(step.left_out) else f"{100 * step.left_out:.3g} %"
        rows += (
            f"{terms(discovery, k)}"
            f'<td class="n">{100 * step.error:.3g} %</td><td class="n">{100 * step.within:.3g} %'
            f'</td><td class="n">{left}</td><td class="n">{step.ebic:.1f}</td></tr>'
        )
    return (
        "<section><h2>Terms against error</h2><p>The best formula of each size; errors are root"
        " mean squares relative to what was measured. Held back: every fifth point, terms chosen"
        f" anew each time.</p><p>{escape(why(discovery))}</p>"
        f"<figure>{path_plot(discovery)}<figcaption>Shaded: what was taken. Dashed: the least error"
        " of points held back and a standard error more.</figcaption></figure>"
        '<div class="scroll"><table><thead><tr><th>terms</th><th>formula'
        ' without weights</th><th class="n">error</th><th class="n">points<br>held back</th>'
        '<th class="n">loadings<br>held back</th><th class="n">EBIC</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def terms(discovery: Discovery, size: int) -> str:
    """The beginning of a row of a table: the number of terms, and which."""
    taken = ' <span class="good">taken</span>' if size == discovery.size else ""
    chosen = discovery.path[size - 1].chosen
    return (
        f'<tr><th scope="row">{size}{taken}</th><td>{escape(" + ".join(map(str, chosen.parts)))}'
        "</td>"
    )


def why(discovery: Discovery) -> str:
    """Why as many terms were taken, in a sentence or two."""
    path = discovery.path
    criterion = 1 + min(range(len(path)), key=lambda k: path[k].ebic)
    said = f"Taken: {discovery.size}. The criterion (EBIC) is least at {criterion}"
    limit = one_error_above(discovery)
    if math.isfinite(limit):
        near = next(k for k, step in enumerate(path, 1) if step.within <= limit)
        said += (
            f"; {near} is the smallest number whose error of points held back is within a standard"
            " error of the least; the smaller of the two is taken"
        )
    said += "."
    if discovery.size == len(path) and len(path) > 1:
        said += (
            " It is the largest number that was tried: more terms may tell it better (--max-terms)."
        )
    elif discovery.size > 1:
        fewer = path[discovery.size - 2]
        said += (
            f" With a term less the error is {100 * fewer.error:.2g} % instead of"
            f" {100 * path[discovery.size - 1].error:.2g} %: --max-terms {discovery.size - 1} gives"
            " that formula, if the easier one will do."
        )
    known = [k for k, step in enumerate(path, 1) if math.isfinite(step.left_out)]
    best = min(known, key=lambda k: path[k - 1].left_out, default=discovery.size)
    if best != discovery.size:
        said += (
            f" Loadings held back are told best by {best} terms"
            f" ({100 * path[best - 1].left_out:.2g} % against"
            f" {100 * path[discovery.size - 1].left_out:.2g} %), which a use in loadings that were"
            " not measured asks for."
        )
    return said


def inclusion(discovery: Discovery) -> str:
    """How often terms came back in the bootstrap, a table as HTML."""
    rows = "".join(
        f'<tr><th scope="row"><code>{escape(name)}</code></th><td class="n">{100 * share:.0f} %'
        "</td></tr>"
        for name, share in discovery.inclusion.items()
    )
    if not rows:
        return ""
    return (
        "<section><h2>Which terms come back</h2><p>When the points are drawn anew with replacement"
        " and as many terms are chosen from the grid.</p>"
        '<div class="scroll"><table><thead><tr><th>term</th><th class="n">share of draws</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div></section>"
    )
