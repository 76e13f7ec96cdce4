# SPDX-License-Identifier: Apache-2.0
"""Tell what a law is, draw its curves, and audit it.

LAW is a law.safetensors, FILE.py:CLASS, FILE.py:law.safetensors, a material such as natural-rubber,
or the name of a law, whose numbers are then options. With --audit the law is held to what mechanics
demands of any: finite stresses and none at rest, objectivity, a symmetric stress, a stress that is
that of its energy, no work out of closed cycles, a stable rest. A law without one of these fails,
and the command ends with 1. Curves that fall, lost ellipticity, the Baker-Ericksen inequalities and
a box beyond what the law was fitted over are warnings, with which it ends with 0 unless --strict is
given. docs/laws.md has the formulas.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import laws
from ..options import Parameter, Parser, converter, number
from ..outputs import read_by, require_ending, require_new
from ..progress import say

if TYPE_CHECKING:
    from torch import Tensor

    from rheograd.engine.audit.audit import Audit
    from rheograd.engine.audit.stiffness import Moduli
    from rheograd.engine.audit.strain_box import StrainBox
    from rheograd.engine.curves import Curve
    from rheograd.materials.law import ConstitutiveLaw

RANK = 4
PICTURES = (".png", ".svg", ".pdf")
FORMAT, VERSION = "rheograd law", 1


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    pair, _ = converter(tuple[float, float])
    parser.add_argument("law", metavar="LAW", help="law.safetensors, FILE.py:CLASS, or a name")
    parser.add_argument(
        "--audit", action="store_true", help="check the law; ends with 1 if it fails"
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="curves and verdicts: .png .svg .pdf"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="curves as a table, in Pa")
    parser.add_argument("--json", type=Path, metavar="FILE", help="everything, as numbers")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    group = parser.add_argument_group("where and how")
    group.add_argument("--range", type=pair, metavar="A,B",
                       help="stretches of the curves (default: those of the box)")  # fmt: skip
    group.add_argument("--box", type=pair, metavar="A,B",
                       help="principal stretches of the audit (default: those that the law was"
                       " fitted over, else 0.75,1.333; of small strains 0.98,1.02)")  # fmt: skip
    group.add_argument("--constant", action="append", default=[], metavar="NAME=X,Y,...",
                       help="a constant field of the point, such as fibre=1,0,0 or activation=0.5"
                       " (default: zeros, so no fibres); may be repeated")  # fmt: skip
    group.add_argument("--step", type=number, metavar="S",
                       help="length of a step [s], of matter where something flows (default: that"
                       " of the fit, else 0.0005)")  # fmt: skip
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the samples (default: 0)"
    )
    group.add_argument("--strict", action="store_true", help="ends with 1 for warnings too")
    kind, options = _by_name(parser, tokens)
    found = parser.read(tokens)
    require_ending("--plot", found.plot, *PICTURES)
    require_ending("--csv", found.csv, ".csv")
    outputs = ("plot", "csv", "json")
    require_new((found.plot, found.csv, found.json), force=found.force,
                inputs=read_by(found, outputs))  # fmt: skip
    if found.strict and not found.audit:
        raise ValueError("--strict needs --audit: it is for the warnings of an audit")
    return run(found, kind, options)


def _by_name(parser: Parser, tokens: Sequence[str]) -> tuple[Any, list[Parameter]]:
    """The class of a law that is named, and its options; None for one in a file."""
    word = next((t for t in tokens if not t.startswith("-")), "")
    if not word or word.endswith(laws.SAVED) or ".py" in word:
        return None, []
    from .. import named_laws
    from ..user_files import start_engine

    start_engine()
    kind = named_laws.named().get(word)
    if kind is None:
        return None, []
    group = parser.add_argument_group(f"numbers of {word}")
    return kind, named_laws.add_options(group, kind, parser._option_string_actions)


def run(found: argparse.Namespace, kind: Any, options: Sequence[Parameter]) -> int:
    """Read, tell, draw, check, write."""
    from ..user_files import start_engine

    start_engine()
    import torch

    torch.set_num_threads(1)
    from rheograd.engine.audit.audit import audit, box_for
    from rheograd.engine.audit.probe import Probe
    from rheograd.engine.audit.stiffness import moduli_at_rest
    from rheograd.engine.curves import STEP

    from .. import law_tables, named_laws

    law = read(found.law) if kind is None else named_laws.made(kind, found, options)
    known = law.provenance
    dt = found.step or (known.step if known is not None and known.step else STEP)
    if not dt > 0:
        raise ValueError(f"--step: got {dt:g} s, expected a length of time above 0")
    fields = constants(found.constant, law)
    moduli = moduli_at_rest(Probe(law, dt, fields))
    try:
        box = box_for(law, found.box, moduli)
    except ValueError as error:
        raise ValueError(f"--box: {error}") from error
    inner = curves_of(law, box, None, dt, fields)
    curves = inner if found.range is None else curves_of(law, box, found.range, dt, fields)
    described = description(law)
    law_tables.show(law, described, moduli, curves)
    verdict = None
    if found.audit:
        verdict = audit(law, box=box, dt=dt, seed=found.seed, curves=inner, fields=fields)
        law_tables.show_audit(verdict)
    if found.plot is not None:
        draw(found, law, moduli, curves, verdict)
    if found.csv is not None:
        write_csv(found.csv, curves)
    if found.json is not None:
        write_json(found.json, content(found.law, law, described, moduli, curves, verdict, fields))
    for path in (found.plot, found.csv, found.json):
        if path is not None:
            say(f"wrote {path}")
    return status(verdict, strict=found.strict)


def read(word: str) -> ConstitutiveLaw:
    """The law of a file, or a guess at the name that was meant.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There is no such law, or it cannot be made.
    """
    from .. import named_laws

    try:
        return laws.load(word, named_laws.named())
    except ValueError as error:
        raise ValueError(str(error).removeprefix("--law: ")) from error


def constants(words: Sequence[str], law: ConstitutiveLaw) -> Tensor | None:
    """Constant fields of the point, shape (w,); None of a law that reads none.

    Raises:
        ValueError: A word is not NAME=X,Y, or the law has no such field.
    """
    from rheograd.engine.constant_fields import row_of

    values = laws.constant_values(words)
    try:
        row = row_of(law, values)
    except ValueError as error:
        raise ValueError(f"--constant: {error}") from error
    zero = [name for name in law.fields if not any(values.get(name, ()))]
    if zero:
        say(f"constant fields that are zero here (--constant NAME=X,Y,...): {', '.join(zero)}")
    return row if law.fields else None


def status(verdict: Audit | None, *, strict: bool) -> int:
    """Exit code: 1 where a required property is missing, and where --strict one of the others."""
    if verdict is None:
        return 0
    warned = any(finding.verdict == "warning" for finding in verdict.findings)
    return int(not verdict.passed or (strict and warned))


def curves_of(
    law: ConstitutiveLaw, box: StrainBox, stretch: tuple[float, float] | None, dt: float,
    fields: Tensor | None,
) -> list[Curve]:  # fmt: skip
    """Curves within the box, or of stretches as they are given.

    Raises:
        ValueError: The stretches are not around 1.
    """
    from dataclasses import replace

    from rheograd.engine.audit import work
    from rheograd.engine.audit.loadings import curves_within
    from rheograd.engine.audit.probe import Probe

    flows = work.cycles(Probe(law, dt, fields), box, 0, count=8).path.flows
    if stretch is None:
        return curves_within(law, box, flows=flows, dt=dt, fields=fields)
    try:
        wider = replace(box, stretch=stretch)
    except ValueError as error:
        raise ValueError(f"--range: {error}") from error
    return curves_within(law, wider, flows=flows, dt=dt, every=True, fields=fields)


def description(law: ConstitutiveLaw) -> dict[str, Any]:
    """Name and arguments; of a class that does not keep its arguments the name alone."""
    from rheograd.materials.files import describe

    try:
        return describe(law)
    except TypeError:
        return {"name": law.name, "arguments": {}}


def draw(
    found: argparse.Namespace, law: ConstitutiveLaw, moduli: Moduli, curves: Sequence[Curve],
    verdict: Audit | None,
) -> None:  # fmt: skip
    """The picture."""
    from rheograd.engine.audit.pictures import draw as picture
    from rheograd.engine.audit.strain_box import fitted_stretch
    from rheograd.engine.fit.report_files import law_words

    from .. import law_tables

    fitted = fitted_stretch(law)
    constants = law_tables.moduli_line(moduli).split(", ")
    words = [", ".join(one.replace(" ", "\N{NO-BREAK SPACE}") for one in constants)]
    if fitted is not None:
        words.append(f"Shaded: fitted over stretches {fitted[0]:.3g} to {fitted[1]:.3g}")
    if (formula := law_tables.formula_of(law)) is not None:
        words.append(f"ψ = {formula}")
    title = law_words(law)
    if found.law.endswith(laws.SAVED):
        title += f"   {found.law.rpartition(':')[2]}"
    picture(found.plot, title, words, curves, fitted=fitted,
            findings=() if verdict is None else verdict.findings)  # fmt: skip


def write_csv(path: Path, curves: Sequence[Curve]) -> None:
    """A row a point: loading, deformation and its value, stress and its value [Pa]."""
    from rheograd.engine.atomic import replacing

    with replacing(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["loading", "deformation", "value", "stress", "stress_Pa"])
        for curve in curves:
            for x, y in zip(curve.x.tolist(), curve.y.tolist(), strict=True):
                rows.writerow(
                    [curve.name, curve.labels[0], f"{x:.9g}", curve.labels[1], f"{y:.9g}"]
                )


def content(
    word: str, law: ConstitutiveLaw, described: dict[str, Any], moduli: Moduli,
    curves: Sequence[Curve], verdict: Audit | None, fields: Tensor | None,
) -> dict[str, Any]:  # fmt: skip
    """What is told, as values of JSON."""
    from rheograd.engine.fit.report_files import curve_json, plain

    from .. import law_tables

    known = law.provenance
    formula = law_tables.formula_of(law)
    return plain({
        "format": FORMAT, "version": VERSION, "units": "SI", "source": word,
        "law": {
            **described, "class": f"{type(law).__module__}.{type(law).__qualname__}",
            "parameters": sum(p.numel() for p in law.parameters()),
            "history": law.n_internal, "kinematics": law.kinematics, "dim": law.dim,
            "device_form": law.twin is not None,
        },
        "formula": None if formula is None else {
            "text": formula, "latex": law_tables.formula_of(law, latex=True),
        },
        "provenance": None if known is None else {
            **json.loads(known.to_json()), "hencky": known.hencky,
        },
        "constant_fields": named_fields(law, fields),
        "at_rest": {
            "young_Pa": moduli.young, "poisson": moduli.poisson, "bulk_Pa": moduli.bulk,
            "shear_Pa": moduli.shear,
        },
        "curves": [curve_json(law.name, curve) for curve in curves],
        "audit": None if verdict is None else verdict.as_json(),
    })  # fmt: skip


def named_fields(law: ConstitutiveLaw, fields: Tensor | None) -> dict[str, list[float]]:
    """Constant fields (w,) by name."""
    if fields is None:
        return {}
    parts = fields.split(list(law.fields.values()))
    return {name: part.tolist() for name, part in zip(law.fields, parts, strict=True)}


def write_json(path: Path, found: dict[str, Any]) -> None:
    """In one go."""
    from rheograd.engine.atomic import replacing

    with replacing(path) as draft:
        text = json.dumps(found, indent=1, allow_nan=False, ensure_ascii=False)
        draft.write_text(text + "\n", encoding="utf-8")
