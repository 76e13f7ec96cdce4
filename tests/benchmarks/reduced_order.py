# SPDX-License-Identifier: Apache-2.0
"""How far a reduced operator is off motions that it has not seen, and what it costs.

python tests/benchmarks/reduced_order.py DATASET OPERATOR [--dense OPERATOR] [--sweep]
    [--out FILE.json] [--picture FILE.png]

Every motion of the test set is run as a user runs it, from the scene: the first frames in full,
the rest by the operator, all particles from the sparse points. Beside it stand a constant
acceleration of the same first frames, a network of message passing alone (--dense, of rheograd
reduce --size dense), MPM in full, and MPM on as many particles and a grid as coarse, its motion
brought to all particles by the same map. Errors are mean distances from the full simulation over
the mean distance travelled, over all frames after the first six. Times are of the CPU, one thread,
a frame, the first frames included; memory is what a frame takes beyond what was there before it.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rheograd.engine.mpm import MPMSolver
from rheograd.engine.reduced.dataset import Case, Dataset
from rheograd.engine.reduced.full_order import FullOrderMap
from rheograd.engine.reduced.judging import GIVEN, extrapolated, relative_error
from rheograd.engine.reduced.model import ReducedModel, numbered
from rheograd.engine.reduced.operator import ReducedOperator
from rheograd.engine.reduced.solver import ReducedSolver
from rheograd.engine.scene import Scene
from rheograd.engine.simulate import simulate
from rheograd.engine.state import State
from rheograd.scenes.commands.reduce import builder

COUNTS = (500, 1000, 2000, 4000)
"""Sparse points that the same weights are run with."""
USUAL = 1000
"""Those at which all methods are compared."""
COSTS, ERRORS = (1, 2, 5, 10, 20, 50, 100, 200), (1, 2, 5, 10, 20, 50, 100)
"""Ticks of the picture."""
OURS, DENSE = "operator", "message passing alone"
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
    recent = truth[GIVEN - 1 - operator.shape.history : GIVEN, model.chosen]
    state = replace(solver.start(model), step=GIVEN - 1, carry={"recent": recent})
    steps = len(truth) - GIVEN
    run = solver.rollout(model, state, steps, observe=range(1, steps + 1))
    return torch.cat([truth[:GIVEN], run.x])


def in_full(scene: Scene, dataset: Dataset, case: Case) -> Tensor:
    """The simulation that made the data once more."""
    every = round(dataset.frame_interval / case.dt)
    solver = MPMSolver(dataset.cell, case.dt, particles_per_cell=dataset.particles_per_cell)
    return simulate(scene, solver, steps=every * dataset.frames, every=every).x


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
    fine = MPMSolver(dataset.cell, particles_per_cell=dataset.particles_per_cell).discretize(scene)
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
        runs: dict[str, Callable[[], Tensor]] = {}
        for name, operator in operators.items():
            runs[name] = partial(reduced, operator, scene, sparse, len(truth) - 1)
            if sparse == USUAL:
                again = partial(from_truth, operator, scene, truth, sparse)
                runs[f"{name}, true first frames"] = again
        runs["coarse MPM"] = partial(coarse, scene, dataset, sparse, truth)
        if sparse == USUAL:
            runs["constant acceleration"] = partial(held, truth, scene)
            runs["MPM in full"] = partial(in_full, scene, dataset, case)
        for label, run in runs.items():
            x, seconds = timed(run)
            rows.append(row(case, label, sparse, x[GIVEN:], truth, seconds))
            print(json.dumps(rows[-1]), flush=True)
    return rows


def held(truth: Tensor, scene: Scene) -> Tensor:
    """A constant acceleration of the first frames, stopped by the walls, (frames + 1, n, 3)."""
    x = torch.cat([truth[:GIVEN], extrapolated(truth[:GIVEN], len(truth) - GIVEN)])
    low, high = (x.new_tensor(corner) for corner in (scene.domain.lower, scene.domain.upper))
    return torch.minimum(torch.maximum(x, low), high)


def row(
    case: Case, method: str, sparse: int, x: Tensor, truth: Tensor, seconds: float
) -> dict[str, Any]:
    """One figure and what it is of."""
    return {
        "case": case.number, "geometry": case.geometry, "method": method, "sparse": sparse,
        "particles": truth.shape[1], "error": relative_error(x, truth, GIVEN),
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
    lines = ["| 32,000 points | CPU ms a frame | MiB |", "|---|---|---|"]
    costs = {}

    def measured(name: str, work: Callable[[], Any]) -> None:
        memory = peak(work)
        found = sorted(timed(work)[1] for _ in range(REPEATS))
        costs[name] = 1e3 * found[REPEATS // 2]
        lines.append(f"| {name} | {costs[name]:.0f} | {memory:.0f} |")

    for name, sparse in ((OURS, USUAL), (DENSE, 32000)):
        solver = ReducedSolver(operators[name], sparse=sparse, points=32000)
        model = solver.discretize(scene)
        state = solver.start(model)
        h = solver.operator.shape.history
        state = solver.rollout(model, state, h).last
        measured(f"{name} on {len(model.chosen)}", partial(one, solver, model, state))
    full = MPMSolver(solver.operator.scope.cell, model.full.dt)
    begun = full.start(model.full)
    measured(
        f"MPM in full, {model.full.n} particles",
        partial(full.rollout, model.full, begun, model.steps_a_frame),
    )
    ours, dense, _ = costs.values()
    solver = ReducedSolver(operators[OURS], points=100_000)
    model = solver.discretize(scene)
    measured(
        f"the map alone, {model.n} points from {len(model.chosen)}",
        partial(model.map.displacement, torch.zeros(len(model.chosen), 3)),
    )
    return "\n".join([*lines, f"message passing alone over operator: {dense / ours:.0f}"])


def one(solver: ReducedSolver, model: ReducedModel, state: State) -> Tensor:
    """The next frame of all points."""
    return solver.rollout(model, state, 1, observe=[1]).x


def peak(work: Callable[[], Any]) -> float:
    """Most memory that it takes beyond what is taken before [MiB]; Linux."""
    work()
    ctypes.CDLL(None).malloc_trim(0)  # what earlier work left must not hide what this takes
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts afresh
    before = _kilobytes("VmRSS")
    work()
    return (_kilobytes("VmHWM") - before) / 1024


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Error against cost: a line for each method, a point for each number of sparse points."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    figure = Figure((8.0, 3.6), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 2, sharey=True), ("seen", "unseen"), strict=True):
        own = [r for r in rows if r["geometry"] == kind]
        for method in dict.fromkeys(r["method"] for r in own):
            if "first frames" in method:
                continue
            mine = [[r for r in own if (r["method"], r["sparse"]) == (method, n)] for n in COUNTS]
            found = [group for group in mine if group]
            x = [sum(r["cpu_ms_a_frame"] for r in group) / len(group) for group in found]
            y = [100 * sum(r["error"] for r in group) / len(group) for group in found]
            if method == "MPM in full":
                axes.axvline(sum(x) / len(x), color="0.6", linestyle="--", label=method)
            elif method == "constant acceleration":
                axes.axhline(sum(y) / len(y), color="0.6", linestyle=":", label=method)
            else:
                axes.plot(x, y, "o-", label=method)
                for group, a, b in zip(found, x, y, strict=True):
                    axes.annotate(f" {group[0]['sparse']}", (a, b), fontsize=7)
        axes.set(
            xscale="log", yscale="log", xlabel="CPU ms a frame", title=f"{kind} geometry"
        )  # fmt: skip
        for axis, ticks in ((axes.xaxis, COSTS), (axes.yaxis, ERRORS)):
            axis.set_major_locator(FixedLocator(ticks))
            axis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in ticks]))
            axis.set_minor_locator(NullLocator())
    figure.axes[0].set_ylabel("error, % of the distance travelled")
    figure.axes[1].legend(fontsize=7)
    figure.savefig(path, dpi=150)


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
    parser.add_argument("--picture", type=Path, help="of error and cost")
    parser.add_argument("--sweep", action="store_true", help="all numbers of sparse points")
    found = parser.parse_args()
    torch.set_num_threads(1)
    dataset = Dataset.load(found.dataset)
    operators = {OURS: ReducedOperator.load(found.operator)}
    if found.dense:
        operators[DENSE] = ReducedOperator.load(found.dense)
    rows = []
    for sparse in COUNTS if found.sweep else (USUAL,):
        own = operators if sparse == USUAL else {OURS: operators[OURS]}
        rows += judge(dataset, dataset.split("test"), own, sparse)
    print(table(rows))
    if found.dense and found.sweep:
        large = {**dataset.split("test")[0].options, "shape": "box", "size": 0.25}
        print(pace(operators, builder(dataset)(large)))
    if found.out:
        found.out.write_text(json.dumps(rows, indent=1) + "\n")
    if found.picture:
        draw(rows, found.picture)


if __name__ == "__main__":
    main()
