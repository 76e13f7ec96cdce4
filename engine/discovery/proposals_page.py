# SPDX-License-Identifier: Apache-2.0
"""report.html of formulas that were proposed; their texts are escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from ..fit.stress.page import r_squared
from .judged import r2_of
from .page import curves, numbers, page
from .plots import history_plot
from .propose import Attempt
from .proposed import JudgedProposals


def proposals_page(
    found: JudgedProposals, settings: Mapping[str, Any], surroundings: Mapping[str, str],
    command: str, notes: tuple[str, ...] = (),
) -> str:  # fmt: skip
    """The page.

    Args:
        found: What came out.
        settings: What was asked, by name.
        surroundings: Versions, date and machine.
        command: Command line that does it again.
        notes: Sentences on what was assumed.
    """
    refused = sum(bool(a.refused) for a in found.history)
    lede = (
        f"The best of {len(found.history)} proposals, {refused} of them refused; R²"
        f" {r_squared(r2_of(found.comparison))} over all points."
    )
    sections = curves(found.comparison) + numbers(found.formula) + _history(found)
    said = (*found.comparison.best.warnings, *notes)
    title = "A formula that was proposed"
    return page(found.formula, lede, sections, said, settings, surroundings, command, title)


def _history(found: JudgedProposals) -> str:
    rows = "".join(_row(k, a, a is found.best) for k, a in enumerate(found.history, 1))
    return (
        "<section><h2>What was proposed</h2><p>In the order of the proposals; errors are root mean"
        " squares relative to the stresses that were fitted to.</p>"
        f"<figure>{history_plot(found.history)}<figcaption>Points: each proposal. Line: the least"
        " error so far. Crosses: refused.</figcaption></figure>"
        '<div class="scroll"><table><thead><tr><th></th><th>formula</th><th class="n">error</th>'
        f"<th>fitted numbers, or why it was refused</th></tr></thead><tbody>{rows}</tbody></table>"
        "</div></section>"
    )


def _row(order: int, attempt: Attempt, best: bool) -> str:
    error, said = "–", attempt.refused
    if math.isfinite(attempt.error):
        error = f"{100 * attempt.error:.3g} %"
        said = ", ".join(f"{name} = {value:.4g}" for name, value in attempt.parameters.items())
    mark = ' <span class="good">best</span>' if best else ""
    style = "warn" if attempt.refused else "muted"
    return (
        f'<tr><th scope="row">{order}{mark}</th><td><code>{escape(attempt.expression)}</code></td>'
        f'<td class="n">{error}</td><td><span class="{style}">{escape(said)}</span></td></tr>'
    )
