# SPDX-License-Identifier: Apache-2.0
"""Finding a modulus by an operator first: time beside the fit in full alone.

python tests/benchmarks/reduced_fit.py DATASET OPERATOR [--start 4e4]

Of each test motion with seen geometry Young's modulus is taken for unknown, and fitted to the
positions of all its particles, once in full from the start on, once by the operator and from its
answer on in full. Times are of the CPU, one thread.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from rheograd.engine.fit.experiment import Experiment
from rheograd.engine.fit.least_squares import fit_parameters
from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.observations.observation import Positions
from rheograd.engine.reduced.dataset import Dataset
from rheograd.engine.scene import Scene
from rheograd.scenes.commands.reduce import builder
from rheograd.scenes.reduced import started_by_operator


def main() -> None:
    """Fit both ways, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("operator", type=Path)
    parser.add_argument("--start", type=float, default=4e4, help="[Pa]")
    found = parser.parse_args()
    torch.set_num_threads(1)
    dataset = Dataset.load(found.dataset)
    scene_of = builder(dataset)
    print("| case | true E, Pa | way | E, Pa | simulations in full | CPU s |")
    print("|---|---|---|---|---|---|")
    for case in dataset.split("test"):
        if case.geometry != "seen":
            continue
        given = {k: v for k, v in case.options.items() if k != "young"}
        true = float(case.options["young"])

        def build(*, young: float, given: dict[str, Any] = given) -> Scene:
            return scene_of({**given, "young": float(young)})

        solver = MPMSolver(dataset.cell, case.dt, particles_per_cell=dataset.particles_per_cell)
        seen = [Experiment(Positions(case.load()))]
        asked = {"young": Parameter(found.start, 1e3, 1e6, "Pa")}
        for way in ("in full", "operator first"):
            begun = time.process_time()
            parameters = asked
            if way != "in full":
                parameters = started_by_operator(found.operator, build, solver, seen, asked)
                told = time.process_time() - begun
                guess = parameters["young"].start
                print(f"| {case.number} | {true:.4g} | operator | {guess:.4g} | 0 | {told:.0f} |")
            fit = fit_parameters(build, solver, seen, parameters, search=0)
            cost = time.process_time() - begun
            print(
                f"| {case.number} | {true:.4g} | {way} | {fit.values['young']:.4g} |"
                f" {3 * len(fit.losses)} | {cost:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
