# SPDX-License-Identifier: Apache-2.0
"""Find a formula for the energy of a material, with the uncertainty of its numbers.

FILE is stress tests as of `rheograd fit stress`: an .h5 table (groups UT, ET, PS with F and
stress), a .csv with the columns stretch or strain [%], stress [MPa] and perhaps loading, or a .txt
of two columns; or the .vtkhdf of a mesh that moved, with the force on its grip, NaN where a node
was not seen. A few terms are chosen out of a library of invariants, powers of stretches, limits and
exponentials, all with weights above 0; cross-validation says how many. The folder --out gets
law.safetensors, a law as any other, report.html, report.json and config.json. With --propose the
formulas come from a function of your own, and only their numbers are fitted. docs/discovery.md
tells how it is done.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .. import stress_fit
from ..options import Parser, converter, count, number
from ..outputs import read_by, require_new
from ..progress import Progress, say
from ..repeat import repeated

if TYPE_CHECKING:
    from rheograd.engine.discovery.judged import Found

RANK = 3
WRITTEN = ("config.json", "law.safetensors", "report.json", "report.html")


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    add_arguments(parser)
    found = parser.read(tokens)
    folder = found.out or Path("runs") / f"{found.file[0].stem}-formula"
    from rheograd.engine.fit.stress.files import require_free

    require_free(folder, force=found.force)
    if folder.is_dir():
        kept = [folder / name for name in WRITTEN]
        require_new(kept, force=True, inputs=read_by(found, ("out",)))
    again = repeated(parser.prog, [t for t in tokens if t != "--force"], folder)
    if found.file[0].suffix == ".vtkhdf":
        from ..discovered_motion import from_motion

        return from_motion(found, folder, again)
    if found.force_noise is not None:
        raise ValueError("--force-noise is for the motion of a mesh (.vtkhdf): leave it out")
    if found.reaction is not None:
        raise ValueError("--reaction is for the motion of a mesh (.vtkhdf): leave it out")
    if found.propose is not None:
        from ..proposals import from_proposals

        return from_proposals(found, folder, again)
    return from_tests(found, folder, again)


def add_arguments(parser: Parser) -> None:
    """The options."""
    error, _ = converter(Literal["absolute", "relative"])
    parser.add_argument(
        "file", type=Path, nargs="+", metavar="FILE", help=".h5, .csv, .txt or .vtkhdf"
    )
    parser.add_argument(
        "--train", metavar="A,B", help="loadings to use, such as UT,PS (default: all)"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="(default: runs/FILE-formula)")
    parser.add_argument("--force", action="store_true", help="replace the fit in --out")
    group = parser.add_argument_group("the search")
    group.add_argument(
        "--terms", metavar="A,B",
        help="kinds of terms: mooney-rivlin, stretch, gent, exp, log, volume (default: all that"
        " the measurements tell)",
    )  # fmt: skip
    group.add_argument(
        "--max-terms", type=count, default=4, metavar="N", help="most terms (default: 4)"
    )
    group.add_argument(
        "--noise", type=number, metavar="X",
        help="standard deviation of a stress, in --unit, or relative with --error relative;"
        " of a motion: of a displacement [m] (default: found along)",
    )  # fmt: skip
    group.add_argument(
        "--error", type=error, default="absolute", metavar="absolute|relative",
        help="what counts: stress, or stress relative to itself (default: absolute)",
    )  # fmt: skip
    group.add_argument(
        "--bulk", type=number, metavar="PA",
        help="bulk modulus of the law [Pa], where no test tells it (default: 1000 shear moduli)",
    )  # fmt: skip
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap")
    group.add_argument(
        "--draws", type=count, default=60, metavar="N", help="of the bootstrap (default: 60)"
    )
    add_sources(parser)


def add_sources(parser: Parser) -> None:
    """Options of motions, of proposers, and of files that do not say."""
    group = parser.add_argument_group("from the motion of a mesh")
    group.add_argument(
        "--reaction", type=Path, metavar="FILE.csv",
        help="columns time, force [N]: of the grip, along its axis (default: as recorded)",
    )  # fmt: skip
    group.add_argument(
        "--force-noise", type=number, metavar="N",
        help="standard deviation of that force [N] (default: a thousandth of the largest)",
    )  # fmt: skip
    group.add_argument(
        "--grip",
        default="x+",
        metavar="SIDE",
        help="of the mesh at rest (default: x+)",
    )
    group = parser.add_argument_group("formulas from outside")
    group.add_argument(
        "--propose", metavar="FILE.py:FUNCTION",
        help="a function of your own that is given the history and returns a formula, or None",
    )  # fmt: skip
    group.add_argument(
        "--budget", type=count, default=20, metavar="N", help="most proposals (default: 20)"
    )
    stress_fit.add_reading(parser)


def from_tests(found: argparse.Namespace, folder: Path, again: str) -> int:
    """Find a formula in stress tests; `again` is the command that does the same once more."""
    import torch

    from rheograd.engine.discovery.files import discovery_json, write_discovery
    from rheograd.engine.discovery.judged import found_in_tests
    from rheograd.engine.discovery.page import tests_page
    from rheograd.engine.fit.report_files import environment
    from rheograd.engine.fit.stress.task import Task

    if found.bulk is not None and not found.bulk > 0.0:
        raise ValueError(f"--bulk: got {found.bulk:g} Pa, expected a modulus above 0")
    torch.set_num_threads(1)
    found.rate = None
    files = stress_fit.read(found)
    tests = stress_fit.named(found.file, files)
    relative = found.error == "relative"
    task = Task(stress_fit.chosen(found.train, tests), {}, relative)
    noise = found.noise
    if noise is not None and not relative:
        from rheograd.engine.observations.stress_files import UNITS

        noise *= UNITS[files[0].unit]
    families = None if found.terms is None else [w.strip() for w in found.terms.split(",")]
    with Progress("formula", 100, unit="%") as progress:
        result = found_in_tests(
            task, tests, families=families, most=found.max_terms, noise=noise, bulk=found.bulk,
            seed=found.seed, draws=found.draws,
            tell=lambda what, share: progress.to(int(100 * share), what),
        )  # fmt: skip
    notes = assumed(found, result, [f.unit for f in files if f.assumed])
    surroundings, told = environment(), settings(found, result)
    content = discovery_json(
        result.discovery, result.formula, told, surroundings, again,
        (*result.comparison.best.warnings, *notes),
    )  # fmt: skip
    scores = {n: s.r2 for n, s in result.comparison.best.scores.items()}
    content |= {"r2": result.r2, "r2_by_loading": scores}
    page = tests_page(result, told, surroundings, again, notes)
    write_discovery(folder, result.formula, told, content, page)
    sum_up(result, notes, folder)
    return 0


def assumed(found: argparse.Namespace, result: Found, units: Sequence[str]) -> tuple[str, ...]:
    """What was taken for granted, as sentences."""
    said = [*stress_fit.unit_notes(units)]
    if any(name == "K" for name in result.formula.law.values()):
        modulus = "1000 shear moduli" if found.bulk is None else f"{found.bulk:g} Pa"
        said.append(f"the tests do not determine the bulk modulus K, which is set to {modulus}")
    return tuple(said)


def settings(found: argparse.Namespace, result: Found) -> dict[str, object]:
    """What was asked, for the report."""
    return {
        "files": ", ".join(map(str, found.file)),
        "set": found.chosen or "–",
        "found in": ", ".join(t.name for t in result.comparison.task.tests),
        "held out": ", ".join(t.name for t in result.comparison.held) or "–",
        "terms": found.terms or "all",
        "most terms": found.max_terms,
        "error": found.error,
        "noise": found.noise if found.noise is not None else "found along",
        "bulk": "1000 shear moduli" if found.bulk is None else found.bulk,
        "seed": found.seed,
        "draws": found.draws,
    }


def sum_up(result: Found, notes: Sequence[str], folder: Path) -> None:
    """Print the path, the formula, its numbers, and where the report is."""
    from rheograd.engine.fit.quantity import quantity
    from rheograd.engine.fit.stress.page import r_squared

    for note in notes:
        say(f"note: {note}")
    tell_path(result)
    say(f"ψ [J/m³] = {result.formula.law.text}")
    for p in result.formula.parameters:
        text = f"{p.name} = {quantity(p.value, p.unit, digits=4, known_to=p.std)}"
        if p.determined and p.low95 is not None and p.high95 is not None:
            ends = (quantity(v, p.unit, known_to=p.std, like=p.value) for v in (p.low95, p.high95))
            say(f"{text} (95 %: {' to '.join(ends)})")
        else:
            say(f"{text}, which these tests do not determine")
    for words in result.comparison.best.warnings:
        say(f"warning: {words}")
    held = {t.name for t in result.comparison.held}
    scores = ", ".join(
        f"{name}{' (held out)' if name in held else ''} {r_squared(one.r2)}"
        for name, one in result.comparison.best.scores.items()
    )
    say(f"ψ [J/m³] = {result.formula.text}")
    say(f"R² {r_squared(result.r2)} over all points; {scores}")
    say(f"wrote {folder / 'law.safetensors'} and {folder / 'report.html'}")


def tell_path(result: Found) -> None:
    """Size against error."""
    for k, step in enumerate(result.discovery.path, 1):
        terms = " + ".join(map(str, step.chosen.parts))
        taken = "  <- taken" if k == result.discovery.size else ""
        say(
            f"{k} term{'s'[: k > 1]}: error {100 * step.error:.2g} %,"
            f" held back {100 * step.within:.2g} %: {terms}{taken}"
        )
