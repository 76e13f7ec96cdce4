# SPDX-License-Identifier: Apache-2.0
"""Families of laws fitted to published tests of rubber: to all loadings, and to some of them.

python tests/benchmarks/rubber.py FILE [--laws NAME ...] [--sets NAME ...] [--train UT,PS ...] ...

FILE is an .h5 of stress tests with the sets Treloar_1944, Kawabata_1981 and Meunier_2008, each with
UT, ET and PS. Prints markdown: R² by loading, the RMS error over the largest stress of the set, and
the share of held-out points in the law's own 95 % band. A law takes part by its name, as in
`rheograd fit stress --law`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from math import isfinite, nan, sqrt
from pathlib import Path

import torch

from rheograd.engine.fit.stress.compare import compare
from rheograd.engine.fit.stress.contenders import contender
from rheograd.engine.fit.stress.families import COMPARED
from rheograd.engine.fit.stress.judge import FittedLaw, Score
from rheograd.engine.fit.stress.page import r_squared
from rheograd.engine.fit.stress.task import Task
from rheograd.engine.observations.stress_files import Reading, read_stress
from rheograd.engine.observations.stress_test import StressTest

SETS = ("Treloar_1944", "Kawabata_1981", "Meunier_2008")
LOADINGS = ("UT", "ET", "PS")
TRAINED = ("UT,ET,PS", "UT")
LEARNED = ("cann", "polyconvex", "plain", "isotropic", "invariant-smooth-elasticity")


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--laws", nargs="+", default=[*COMPARED, *LEARNED])
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--train", nargs="+", default=TRAINED, help="a table each, such as UT,PS")
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=400)
    found = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{date.today()}, {found.members} members of {found.epochs} epochs for networks\n")
    for name in found.sets:
        tests = read_stress(found.file, Reading(chosen=name)).tests
        for trained in found.train:
            rows(name, tests, trained.split(","), found.laws, found.members, found.epochs)


def rows(
    name: str, tests: Sequence[StressTest], trained: Sequence[str], laws: Sequence[str],
    members: int, epochs: int,
) -> None:  # fmt: skip
    """One table."""
    task = Task(tuple(t for t in tests if t.name in trained))
    size = Task(tuple(tests)).size
    print(f"**{name}, fitted to {', '.join(trained)}**\n")
    held = [n for n in LOADINGS if n not in trained]
    band = f" in band, {' and '.join(held)} |" if held else ""
    print(f"| law | numbers | {' | '.join(f'R² {n}' for n in LOADINGS)} | RMS error |{band}")
    print("|---|" + "---|" * (5 + bool(held)), flush=True)
    for law_name in laws:
        try:
            law = contender(law_name, task.scales())
        except ValueError:
            print(f"| {law_name} | |" + " |" * (4 + bool(held)), flush=True)
            continue
        best = compare([law], task, tests, members=members, epochs=epochs).best
        print(row(best, held, size), flush=True)
    print()


def row(law: FittedLaw, held: Sequence[str], size: float) -> str:
    """One line of a table."""
    scores = [law.scores[name] for name in LOADINGS]
    points = sum(s.points for s in scores)
    rms = sqrt(sum(s.rms**2 * s.points for s in scores) / points)
    share = f"{100 * rms / size:.1f} %" if isfinite(rms) and rms < 10 * size else "–"
    cells = [law.name, str(law.count), *(cell(s) for s in scores), share]
    if held:
        inside = [law.scores[name] for name in held]
        total = sum(s.points for s in inside)
        covered = sum(s.inside * s.points for s in inside) / total if total else nan
        cells.append(f"{100 * covered:.0f} %")
    return f"| {' | '.join(cells)} |"


def cell(score: Score) -> str:
    """R², or what is in its place."""
    return f"none at {score.unanswered}" if score.unanswered else r_squared(score.r2)


if __name__ == "__main__":
    main()
