# SPDX-License-Identifier: Apache-2.0
"""report.html of a formula that was found in a motion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..fit.quantity import quantity
from .motion_search import FoundInMotion
from .page import inclusion, numbers, page, terms
from .plots import force_plot, residual_plot


def motion_page(
    found: FoundInMotion, settings: Mapping[str, Any], surroundings: Mapping[str, str], command: str
) -> str:
    """The page.

    Args:
        found: What came out.
        settings: What was asked, by name.
        surroundings: Versions, date and machine.
        command: Command line that does it again.
    """
    discovery = found.discovery
    lede = (
        f"{discovery.size} of {discovery.library} candidate terms, from the motion of a mesh; its"
        f" displacements and the formula differ by {quantity(found.noise, 'm', digits=2)} at a node"
        f"{' as was told' if found.told else ''}."
    )
    sections = _force(found) + numbers(found.formula) + _path(found) + inclusion(discovery)
    return page(found.formula, lede, sections, found.notes, settings, surroundings, command)


def _force(found: FoundInMotion) -> str:
    """Of the corrected displacements, in the frames with a measured force."""
    about, chosen = found.equations.about, found.discovery.chosen
    told = np.zeros(int(about.gripped.sum()))
    for part, weight in zip(chosen.parts, chosen.weights, strict=True):
        told += weight * about.rows(part)[about.gripped]
    plot = force_plot(about.loads[about.gripped], told)
    return (
        "<section><h2>Measured and told</h2>"
        f"<figure>{plot}<figcaption>Points: measured. Line: of the formula, with displacements that"
        " are in equilibrium with it and nearest to the measured ones.</figcaption></figure>"
        "</section>"
    )


def _path(found: FoundInMotion) -> str:
    discovery = found.discovery
    rows, count, residuals = "", len(found.equations.seen), []
    for k, step in enumerate(discovery.path, 1):
        free = max(count - step.chosen.numbers, 1)
        residuals.append(math.sqrt(step.chosen.rss / free))
        rows += (
            f'{terms(discovery, k)}<td class="n">{residuals[-1]:.3g}</td>'
            f'<td class="n">{step.ebic:.1f}</td></tr>'
        )
    source = "that were told" if found.told else "that the terms of the whole library leave"
    return (
        "<section><h2>Terms against error</h2><p>The best formula of each size, and how far the"
        f" measured displacements and forces are from it, in the standard errors {source}; 1 is"
        " what a right formula comes to. Taken is the number of the least EBIC.</p>"
        f"<figure>{residual_plot(residuals, discovery.size)}<figcaption>Shaded: what was taken."
        '</figcaption></figure><div class="scroll"><table><thead><tr><th>terms</th><th>formula'
        ' without weights</th><th class="n">residual</th><th class="n">EBIC</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )
