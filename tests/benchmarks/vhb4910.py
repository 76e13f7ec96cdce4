# SPDX-License-Identifier: Apache-2.0
"""A viscoelastic law of the acrylic VHB 4910, fitted to loading and asked about unloading.

python tests/benchmarks/vhb4910.py FOLDER [--branches N ...] [--out FILE]

FOLDER has stretch_2.5/RATE.txt and stretch_1.5/RATE.txt for the rates 0.01, 0.03 and 0.05 1/s,
each a column of stretches and one of nominal stresses [kPa], up to the largest stretch and back.
One law, Maxwell branches beside a Gent rubber, is fitted to the three loadings up to 2.5; their
unloading and all of the smaller cycles are predictions. Prints markdown: RMS errors over the peak
of each test, and the work lost in a cycle, measured and predicted, over the range of stretches that
was measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import torch

from rheograd.engine.fit.stress.families import Free
from rheograd.engine.fit.stress.numbers import fit_numbers
from rheograd.engine.fit.stress.task import Task
from rheograd.engine.observations.stress_files import Reading, read_stress
from rheograd.engine.observations.stress_test import StressTest
from rheograd.materials.rubber import Gent
from rheograd.materials.viscoelastic import Viscoelastic

RATES = ("0.01", "0.03", "0.05")
STRETCHES = ("2.5", "1.5")
THINNED = 4
BEGIN = {
    1: ([3e4], [40.0]),
    2: ([4e4, 1.5e4], [4.0, 100.0]),
    3: ([5e4, 2e4, 1e4], [1.0, 12.0, 150.0]),
}
"""Moduli [Pa] and times [s] where fits start."""


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--branches", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, help="where the last law goes (.safetensors)")
    found = parser.parse_args()
    torch.set_num_threads(1)
    cycles = {(s, r): cycle(found.folder, s, r) for s in STRETCHES for r in RATES}
    print(f"{date.today()}\n")
    for branches in found.branches:
        law = fitted([up(cycles["2.5", rate]) for rate in RATES], branches)
        print(f"**{branches} branches**: {law.equilibrium}; {law.extra_repr()}\n")
        print("| largest stretch | rate [1/s] | loading | unloading | lost [kJ/m³] | predicted |")
        print("|---|---|---|---|---|---|")
        for (stretch, rate), test in cycles.items():
            print(row(stretch, rate, test, law), flush=True)
        print()
        if found.out:
            law.save(found.out)


def cycle(folder: Path, stretch: str, rate: str) -> StressTest:
    """One test, there and back."""
    file = folder / f"stretch_{stretch}" / f"{rate}.txt"
    (test,) = read_stress(file, Reading(unit="kPa", rate=float(rate))).tests
    return replace(test, name=f"{stretch} at {rate}")


def up(test: StressTest) -> StressTest:
    """Its loading, every `THINNED`-th point, counted back from the peak."""
    kept = torch.arange(int(test.amount.argmax()), 0, -THINNED).flip(0)
    assert test.times is not None
    return replace(test, F=test.F[kept], stress=test.stress[kept], times=test.times[kept])


def fitted(tests: Sequence[StressTest], branches: int) -> Viscoelastic:
    """The law of least squares; the bulk modulus is not in the data and stays."""
    law = Viscoelastic(Gent(1.5e4, 100.0, 1.5e7), *BEGIN[branches])
    law.equilibrium.get_parameter("bulk").requires_grad_(False)
    family, task = Free(law), Task(tuple(tests), incompressible=True)
    found = fit_numbers(family, task, family.starts(task.scales())).law
    assert isinstance(found, Viscoelastic)
    return found


def row(stretch: str, rate: str, test: StressTest, law: Viscoelastic) -> str:
    """One line of a table."""
    top = int(test.amount.argmax()) + 1
    measured = test.stress[:, 0, 0]
    with torch.no_grad():
        told = test.predicted(law, incompressible=True)[:, 0, 0]
    error = (told - measured).square()
    shares = [
        f"{100 * float(part.mean().sqrt() / measured.max()):.1f} %"
        for part in (error[:top], error[top:])
    ]
    lost, predicted = (area(test.amount, values, top) for values in (measured, told))
    more = f"{predicted:.1f} ({100 * (predicted / lost - 1):+.0f} %)"
    return f"| {stretch} | {rate} | {shares[0]} | {shares[1]} | {lost:.1f} | {more} |"


def area(stretch: torch.Tensor, stress: torch.Tensor, top: int) -> float:
    """Work between loading and unloading, where both were measured [kJ/m³]."""
    least = stretch[-1]
    ahead = stretch[:top] >= least
    work = torch.trapezoid(stress[:top][ahead], stretch[:top][ahead])
    return float(work + torch.trapezoid(stress[top - 1 :], stretch[top - 1 :])) / 1e3


if __name__ == "__main__":
    main()
