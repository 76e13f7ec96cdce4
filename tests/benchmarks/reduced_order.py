# SPDX-License-Identifier: Apache-2.0
"""How far a reduced operator is off motions that it has not seen, and what it costs.

python tests/benchmarks/reduced_order.py DATASET OPERATOR [--dense OPERATOR] [--out FILE.json]

Every motion of the test set is run as a user runs it, from the scene: the first frames in full,
the rest by the operator, all particles from the sparse points. Beside it stand a constant
acceleration of the same first frames, a network of message passing alone (--dense, of rheograd
reduce --size dense), and MPM on as many particles and a grid as coarse, its motion brought to all
particles by the same map. Errors are mean distances from the full simulation over the mean
distance travelled, all frames together. Times are of the CPU, one thread, a frame, the first
frames included.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rheograd.engine.mpm import MPMSolver
from rheograd.engine.reduced.dataset import Case, Dataset
from rheograd.engine.reduced.full_order import FullOrderMap
from rheograd.engine.reduced.model import numbered
from rheograd.engine.reduced.motions import extrapolated, relative_error
from rheograd.engine.reduced.operator import ReducedOperator
from rheograd.engine.reduced.solver import ReducedSolver
from rheograd.engine.scene import Scene
from rheograd.engine.simulate import simulate
from rheograd.scenes.commands.reduce import builder

COUNTS = (500, 1000, 2000, 4000)
"""Sparse points that the same weights are run with."""


REPEATS = 5
"""Measurements, of which the median counts."""


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the seconds of CPU that it took."""
    begun = time.process_time()
    return work(), time.process_time() - begun


def reduced(operator: ReducedOperator, scene: Scene, sparse: int, frames: int) -> Tensor:
    """All particles by the operator, (frames + 1, n, 3)."""
    solver = ReducedSolver(operator, sparse=sparse)
    return simulate(scene, solver, steps=frames, every=1).x


def from_truth(operator: ReducedOperator, scene: Scene, truth: Tensor, sparse: int) -> Tensor:
    """The same, but the first frames are those of the full simulation."""
    solver = ReducedSolver(operator, sparse=sparse)
    model = solver.discretize(scene)
    h = operator.shape.history
    state = solver.start(model)
    state.carry["recent"].copy_(truth[: h + 1, model.chosen])  # type: ignore[attr-defined]
    run = solver.rollout(model, state, len(truth) - 1, observe=range(1, len(truth)))
    return torch.cat([truth[:1], run.x])


def coarse(scene: Scene, dataset: Dataset, count: int, truth: Tensor) -> Tensor:
    """All particles by MPM on about `count` particles, (frames + 1, n, 3)."""
    volume = sum(body.shape.volume for body in scene.bodies)
    wanted = (volume * 8 / count) ** (1 / 3)
    room = scene.domain.upper[0] - scene.domain.lower[0]
    solver = MPMSolver(room / max(1, round(room / wanted)))
    model = solver.discretize(scene)
    steps = max(1, -(-dataset.frame_interval // model.dt))
    solver = solver.at_step(dataset.frame_interval / steps)
    run = simulate(scene, solver, steps=int(steps) * (len(truth) - 1), every=int(steps))
    fine = MPMSolver(dataset.cell).discretize(scene)
    full = FullOrderMap(
        fine.x0, model.x0, query_body=numbered(fine.world, fine.body),
        point_body=numbered(model.world, model.body),
    )  # fmt: skip
    return fine.x0 + full.displacement(run.x - model.x0)


def judge(
    dataset: Dataset, cases: Sequence[Case], operators: dict[str, ReducedOperator], sparse: int
) -> list[dict[str, Any]]:
    """A row for each method and motion."""
    build = builder(dataset)
    rows = []
    for case in cases:
        scene, truth = build(case.options), case.load().x
        first = max(operator.shape.history for operator in operators.values()) + 1
        runs: dict[str, Callable[[], Tensor]] = {}
        for name, operator in operators.items():
            runs[name] = partial(reduced, operator, scene, sparse, len(truth) - 1)
            runs[f"{name}, true first frames"] = partial(from_truth, operator, scene, truth, sparse)
        runs["constant acceleration"] = partial(held, truth, first, scene)
        runs["coarse MPM"] = partial(coarse, scene, dataset, sparse, truth)
        for label, run in runs.items():
            x, seconds = timed(run)
            rows.append(row(case, label, sparse, x[first:], truth, first, seconds))
            print(json.dumps(rows[-1]), flush=True)
    return rows


def held(truth: Tensor, first: int, scene: Scene) -> Tensor:
    """A constant acceleration of the first frames, stopped by the walls, (frames + 1, n, 3)."""
    x = torch.cat([truth[:first], extrapolated(truth[:first], len(truth) - first)])
    low, high = (x.new_tensor(corner) for corner in (scene.domain.lower, scene.domain.upper))
    return torch.minimum(torch.maximum(x, low), high)


def row(
    case: Case, method: str, sparse: int, x: Tensor, truth: Tensor, first: int, seconds: float
) -> dict[str, Any]:
    """One figure and what it is of."""
    return {
        "case": case.number, "geometry": case.geometry, "method": method, "sparse": sparse,
        "particles": truth.shape[1], "error": relative_error(x, truth, first),
        "last": relative_error(x[-1:], truth, len(truth) - 1),
        "cpu_ms_a_frame": 1e3 * seconds / (len(truth) - 1),
    }  # fmt: skip


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Means over the motions of each kind."""
    lines = [
        "| method | sparse points | seen geometry, % | unseen geometry, % | CPU ms a frame |",
        "|---|---|---|---|---|",
    ]
    keys = dict.fromkeys((r["method"], r["sparse"]) for r in rows)
    for method, sparse in keys:
        own = [r for r in rows if (r["method"], r["sparse"]) == (method, sparse)]
        cells = [
            mean([100 * r["error"] for r in own if r["geometry"] == kind])
            for kind in ("seen", "unseen")
        ]
        cost = mean([r["cpu_ms_a_frame"] for r in own])
        lines.append(f"| {method} | {sparse} | {cells[0]} | {cells[1]} | {cost} |")
    return "\n".join(lines)


def pace(operators: dict[str, ReducedOperator], scene: Scene) -> str:
    """A frame of 32,000 points: each a node of a network, or all carried by a thousand."""
    lines = ["| 32,000 points | CPU ms a frame |", "|---|---|"]
    found = {}
    for name, sparse in (("operator", 1000), ("message passing alone", 32000)):
        solver = ReducedSolver(operators[name], sparse=sparse, points=32000, insist=True)
        model = solver.discretize(scene)
        state = solver.start(model)
        state = solver.rollout(model, state, solver.operator.shape.history).last
        costs = [timed(partial(solver.step, model, state))[1] for _ in range(REPEATS)]
        found[name] = 1e3 * sorted(costs)[REPEATS // 2]
        lines.append(f"| {name} on {len(model.chosen)} | {found[name]:.0f} |")
    ratio = found["message passing alone"] / found["operator"]
    solver = ReducedSolver(operators["operator"], points=100_000, insist=True)
    model = solver.discretize(scene)
    u = torch.zeros(len(model.chosen), 3)
    costs = [timed(partial(model.map.displacement, u))[1] for _ in range(REPEATS)]
    up = 1e3 * sorted(costs)[REPEATS // 2]
    return "\n".join(
        [*lines, f"ratio {ratio:.0f}; {model.n} points from {len(u)}: {up:.1f} ms of CPU a frame"]
    )


def mean(values: Sequence[float]) -> str:
    """Of no values a dash."""
    return f"{sum(values) / len(values):.3g}" if values else "-"


def main() -> None:
    """Judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("operator", type=Path)
    parser.add_argument("--dense", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sweep", action="store_true", help="all numbers of sparse points")
    found = parser.parse_args()
    torch.set_num_threads(1)
    dataset = Dataset.load(found.dataset)
    operators = {"operator": ReducedOperator.load(found.operator)}
    if found.dense:
        operators["message passing alone"] = ReducedOperator.load(found.dense)
    rows = []
    for sparse in COUNTS if found.sweep else (1000,):
        rows += judge(dataset, dataset.split("test"), operators, sparse)
    print(table(rows))
    if found.dense:
        print(pace(operators, builder(dataset)(dataset.split("test")[0].options)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"largest memory of the process: {peak:.0f} MiB")
    if found.out:
        found.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
