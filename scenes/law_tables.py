# SPDX-License-Identifier: Apache-2.0
"""What a law is, its curves and its audit, as text on a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rheograd.engine.fit.quantity import number, quantity, scale

if TYPE_CHECKING:
    from rheograd.engine.audit.audit import Audit
    from rheograd.engine.audit.finding import Finding
    from rheograd.engine.audit.stiffness import Moduli
    from rheograd.engine.curves import Curve
    from rheograd.materials.law import ConstitutiveLaw

ROWS = 4
"""To either side of rest."""
SHORT = 60
"""Letters of an argument that is shown."""
COLOURS = {"pass": "green", "fail": "red", "warning": "yellow"}


def about(law: ConstitutiveLaw, described: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a law is: names and texts.

    Args:
        law: The law.
        described: What `files.describe` gives.
    """
    from rheograd.engine.fit.report_files import law_words

    learned = sum(p.numel() for p in law.parameters())
    rows = [("law", law_words(law)), ("class", f"{type(law).__module__}.{type(law).__qualname__}")]
    rows += list(_values(law, described))
    rows.append(("parameters", f"{learned}, in SI units"))
    if (formula := formula_of(law)) is not None:
        rows = [row for row in rows if row[1] != law.extra_repr() or formula not in row[1]]
        rows.append(("energy ψ", f"{formula} [J/m³]"))
    if law.fields:
        listed = ", ".join(f"{n} ({k} number{'s'[: k > 1]})" for n, k in law.fields.items())
        rows.append(("fields", f"{listed}, which a body gives; here --constant, else zero"))
    history = law.n_internal - sum(law.fields.values())
    rest = law.rest_internal(1, next(law.parameters(), _zero()))
    with_energy = law.energy(_identity(rest), rest) is not None
    rows.append(
        (
            "form",
            f"{law.kinematics} strain{'' if law.dim is None else f', {law.dim} dimensions'};"
            f" {'an energy' if with_energy else 'no energy'};"
            f" {f'{history} numbers of history' if history else 'no history'};"
            f" {'a device form' if law.twin is not None else 'runs as torch'}",
        )
    )
    return rows + list(_origin(law))


def formula_of(law: ConstitutiveLaw, *, latex: bool = False) -> str | None:
    """The energy in letters, of a law that writes one."""
    write = getattr(law, "formula", None)
    return str(write(latex=latex)) if callable(write) else None


def _zero() -> Any:
    import torch

    return torch.zeros((), dtype=torch.float64)


def _identity(like: Any) -> Any:
    import torch

    return torch.eye(3, dtype=like.dtype, device=like.device)[None]


def _values(law: ConstitutiveLaw, described: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Numbers that a law is made of; what is long is left out."""
    shown = law.extra_repr()
    if shown:
        yield "", shown
    for name, value in described.get("arguments", {}).items() if shown else ():
        if isinstance(value, dict):
            part = getattr(law, name)
            yield ("inner law" if name == "law" else name), f"{part.name}({part.extra_repr()})"
    if shown:
        return
    for name, value in described.get("arguments", {}).items():
        if isinstance(value, dict):
            part = getattr(law, name)
            yield name, f"{part.name}({part.extra_repr()})"
        elif value is not None and len(str(value)) <= SHORT:
            yield name, str(value)


def _origin(law: ConstitutiveLaw) -> Iterator[tuple[str, str]]:
    known = law.provenance
    if known is None:
        yield "fitted to", "not said"
        return
    yield "fitted to", ", ".join(filter(None, (known.data, known.loading))) or "not said"
    if known.stretch is not None:
        (low, high), (a, b) = known.stretch, known.hencky or (0.0, 0.0)
        volume = known.volume
        beside = "" if volume is None else f"; volume ratios {volume[0]:.4g} to {volume[1]:.4g}"
        yield (
            "over",
            f"principal stretches {low:.4g} to {high:.4g} (Hencky {a:.3g} to {b:.3g}){beside}",
        )
    if known.command:
        yield "to repeat", known.command
    if known.date:
        yield "on", known.date


def moduli_line(moduli: Moduli) -> str:
    """Elastic constants at rest."""
    if moduli.fluid:
        return f"K = {quantity(moduli.bulk, 'Pa')}, no stiffness of shape"
    values = [("E", moduli.young), ("K", moduli.bulk), ("μ", moduli.shear)]
    told = [f"{letter} = {quantity(float(f'{v:.9g}'), 'Pa', digits=4)}" for letter, v in values]
    told.insert(1, f"ν = {number(moduli.poisson, digits=None)}")
    return ", ".join(told)


def show(
    law: ConstitutiveLaw, described: Mapping[str, Any], moduli: Moduli, curves: Sequence[Curve]
) -> None:
    """Print what a law is and its curves."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in [*about(law, described), ("at rest", moduli_line(moduli))]:
        grid.add_row(Text(name), Text(text))
    console.print(grid)
    stretched = [c for c in curves if c.labels[0].startswith("stretch")]
    console.print(_curve_table("stretch λ", "nominal stress P", stretched))
    beside = Table.grid(padding=(0, 3))
    beside.add_row(*[_curve_table(*c.labels, [c]) for c in curves if c not in stretched])
    console.print(beside)


def _curve_table(across: str, what: str, curves: Sequence[Curve]) -> Any:
    """Curves of one deformation beside each other, at a few places; a dash where one has ended."""
    import numpy as np
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    sizes = [float(c.y[c.y.isfinite()].abs().max()) for c in curves if c.y.isfinite().any()]
    stress = scale(max(sizes, default=0.0), "Pa")
    title = f"{what} [{stress.unit}]".replace("[", r"\[")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column(across, justify="right")
    for curve in curves:
        table.add_column(curve.name, justify="right")
    for x in places(curves):
        row = [f"{x:.4g}"]
        for curve in curves:
            inside = float(curve.x[0]) * (1 - 1e-9) <= x <= float(curve.x[-1]) * (1 + 1e-9)
            y = float(np.interp(x, curve.x.numpy(), curve.y.numpy())) if inside else math.nan
            row.append(number(y / stress.factor, digits=4))
        table.add_row(*row)
    return table


def places(curves: Sequence[Curve]) -> list[float]:
    """Deformations that are shown, through rest and to the ends of the longest curve."""
    low, high = min(float(c.x[0]) for c in curves), max(float(c.x[-1]) for c in curves)
    if low <= 0:
        return [high * k / ROWS for k in range(2 * ROWS // 2 + 1)]
    below = [low ** (1 - k / ROWS) for k in range(ROWS)]
    return [*below, 1.0, *(high ** ((k + 1) / ROWS) for k in range(ROWS))]


def show_audit(audit: Audit) -> None:
    """Print the verdicts, and a sentence for each that is not a pass."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    box = audit.box
    table = Table(title="audit", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("property", no_wrap=True)
    table.add_column("verdict")
    table.add_column("found", justify="right", no_wrap=True)
    table.add_column("wanted", no_wrap=True)
    table.add_column("by", style="dim")
    for f in audit.findings:
        wanted = "" if f.bound is None else f"{f.sense} {f.bound:.2g}"
        found = "" if f.value is None else f"{f.value:.3g}"
        verdict = Text(f.word, style=COLOURS.get(f.verdict, "dim"))
        unit = f.unit.removeprefix("by ") if f.value is not None else ""
        table.add_row(f.name, verdict, found, wanted, unit)
    console.print(table)
    for finding in audit.findings:
        if line := said(finding):
            console.print(Text(line))
    console.print(
        Text(
            f"Principal stretches {box.stretch[0]:.4g} to {box.stretch[1]:.4g}, volume ratios"
            f" {box.volume[0]:.4g} to {box.volume[1]:.4g} ({box.source}); seed {audit.seed},"
            f" steps of {quantity(audit.dt, 's', digits=None)}.",
            style="dim",
        )
    )
    failed = [f.name for f in audit.findings if f.verdict == "fail"]
    warned = [f.name for f in audit.findings if f.verdict == "warning"]
    verdict = f"fails: {', '.join(failed)}" if failed else "passes"
    beside = f"; warnings: {', '.join(warned)}" if warned else ""
    console.print(Text(f"The law {verdict}{beside}."))


def said(finding: Finding) -> str:
    """The sentence of a finding that a reader should see, else nothing."""
    if finding.verdict == "pass":
        return ""
    if finding.verdict == "information" and finding.worst is None:
        return ""
    return f"{finding.name}: {finding.sentence}"
