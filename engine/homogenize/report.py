# SPDX-License-Identifier: Apache-2.0
"""report.html of a learned cell: what it was learned from, how far it is off, and its fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from html import escape
from pathlib import Path

import torch

from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.homogenized.strain_vectors import NAMES

from ..fit.quantity import duration
from ..fit.style import STYLE_SHEET
from . import pictures
from .load_space import LoadSpace
from .modes import Modes
from .problem import CellProblem
from .snapshots import Snapshots
from .validation import Errors


def write_report(
    path: Path,
    law: EquiNO,
    problem: CellProblem,
    space: LoadSpace,
    own: Modes,
    held: Snapshots,
    errors: Errors,
    seconds: Mapping[str, float],
    unit: tuple[str, float],
) -> None:
    """Write the page.

    Args:
        path: The file.
        law: What was learned.
        problem: The cell.
        space: The box of mean strains.
        own: Modes that it was learned in.
        held: Load cases that it was not taught.
        errors: On those.
        seconds: What each part of the training took.
        unit: Of stresses: its name, and how many pascals it is.
    """
    sections = [
        _header(problem, held, errors, seconds),
        _errors(errors),
        _fields(law, problem, held, errors, unit) if problem.cell.dim == 2 else "",
        _modes(law, problem, own),
        _settings(problem, space, seconds),
    ]
    path.write_text(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>A learned cell</title>\n<style>{STYLE_SHEET}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n",
        encoding="utf-8",
    )


def _header(
    problem: CellProblem, held: Snapshots, errors: Errors, seconds: Mapping[str, float]
) -> str:
    median, largest = errors.median(), errors.largest()
    cards = [
        (f"{median['mean stress']:.2g} %", "off in the mean stress, median"),
        (f"{largest['mean stress']:.2g} %", "at worst"),
        (f"{median['tangent']:.2g} %", "off in the tangent, median"),
        (duration(sum(seconds.values())), "of training, without the snapshots"),
    ]
    items = "".join(f"<li><b>{escape(a)}</b><span>{escape(b)}</span></li>" for a, b in cards)
    mesh = problem.cell.mesh
    return (
        f'<header><p class="kicker">rheograd cell report · {datetime.now():%Y-%m-%d %H:%M}</p>\n'
        "<h1>A learned law of a periodic cell</h1>\n"
        f'<p class="lede">{len(mesh.cells)} {mesh.element} elements stand behind each of its '
        f"points. On {len(held)} load cases that it was not taught its mean stress is off by "
        f"{median['mean stress']:.2g} % (median), and by {largest['mean stress']:.2g} % at worst. "
        "Beyond the box of strains that it was trained for it is not to be trusted: there "
        f'rheograd solves the cell itself.</p>\n<ul class="cards">{items}</ul></header>'
    )


def _errors(errors: Errors) -> str:
    median, largest = errors.median(), errors.largest()
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="n main">{median[name]:.3g}</td>'
        f'<td class="n">{largest[name]:.3g}</td></tr>'
        for name in median
    )
    plot = pictures.spread(
        {"mean stress": errors.mean, "tangent": errors.tangent}, "Errors of all load cases"
    )
    return (
        "<section><h2>How far from the cell</h2>\n<p>Each load case is solved by finite elements "
        "and compared: u is the displacement of the nodes from the middle of the cell, w what of "
        "it comes on top of the mean strain, σ (or P) the stress at the quadrature points. Errors "
        "are norms of the difference by the norm of what is expected. The residual is no error: it "
        "is what the laws of the phases make of the learned strains, less the learned stresses, "
        "which needs no cell to be solved.</p>"
        '<div class="pair"><div class="scroll"><table><thead><tr><th>quantity</th>'
        '<th class="n">median [%]</th><th class="n">largest [%]</th></tr></thead><tbody>'
        f"{rows}</tbody></table></div><figure>{plot}</figure></div></section>"
    )


def _fields(
    law: EquiNO, problem: CellProblem, held: Snapshots, errors: Errors, unit: tuple[str, float]
) -> str:
    total = torch.stack(list(errors.stress.values())).square().sum(0)
    number = int(total.argsort()[len(total) // 2])
    with torch.no_grad():
        found = law.local_fields(held.strain[number : number + 1])[2][0]
    shears = [pictures.shear(problem, s) for s in (held.point_stress[number], found)]
    values = [*shears, (shears[1] - shears[0]).abs()]
    shown = [pictures.of_elements(problem, v) / unit[1] for v in values]
    titles = ["finite elements", "learned", "difference"]
    plot = pictures.fields(problem, shown, titles, "Shear stress in the cell")
    pieces = zip(NAMES[2], held.strain[number].tolist(), strict=True)
    strain = ", ".join(f"{name} = {100 * value:.2f} %" for name, value in pieces)
    return (
        "<section><h2>Stress in the cell</h2>\n<p>Norm of the deviator of the stress "
        f"[{escape(unit[0])}] in the load case of middling error: {escape(strain)}.</p>"
        f"<figure>{plot}</figure></section>"
    )


def _modes(law: EquiNO, problem: CellProblem, own: Modes) -> str:
    plot = pictures.singular_values(own.values, (law.modes[0], law.modes[1]))
    figures = f"<figure>{plot}<figcaption>What the modes that are left out would add; the dashed "
    figures += "lines are where modes end that are used.</figcaption></figure>"
    drawn = ""
    if problem.cell.dim == 2:
        figures = f"<figure>{pictures.phases(problem)}</figure>" + figures
        first = [pictures.shear(problem, own.stress[..., k]) for k in range(min(4, law.modes[1]))]
        shown = [pictures.of_elements(problem, v) for v in first]
        titles = [f"stress mode {k + 1}" for k in range(len(shown))]
        drawn = f"<figure>{pictures.fields(problem, shown, titles, 'Modes of stress')}</figure>"
    return (
        "<section><h2>The cell and its modes</h2>\n<p>Strains in the cell are combinations of "
        f"{law.modes[0]} modes that are periodic, stresses of {law.modes[1]} modes that are in "
        f'balance.</p><div class="pair">{figures}</div>{drawn}</section>'
    )


def _settings(problem: CellProblem, space: LoadSpace, seconds: Mapping[str, float]) -> str:
    box = "".join(
        f"<dt>{escape(name)}</dt><dd>{a:g} to {b:g}</dd>"
        for name, a, b in zip(NAMES[space.dim], space.lower, space.upper, strict=True)
    )
    laws = "".join(
        f"<dt>{escape(name)}</dt><dd>{100 * share:.2f} % of the box, "
        f"{escape(str(problem.cell.laws[name]))}</dd>"
        for name, share in problem.cell.shares().items()
    )
    times = "".join(
        f"<dt>{escape(name)}</dt><dd>{duration(value)}</dd>" for name, value in seconds.items()
    )
    return (
        '<section><h2>What it was made of</h2><div class="pair"><div><h3>Phases</h3>'
        f"<dl>{laws}</dl><h3>Box of mean strains</h3><dl>{box}</dl></div><div>"
        f"<h3>Time</h3><dl>{times}</dl></div></div></section>"
    )
