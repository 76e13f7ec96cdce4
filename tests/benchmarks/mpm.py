# SPDX-License-Identifier: Apache-2.0
"""Cost of particles and grid beside Taichi 1.7.4, of nclaw's steps and of an epoch of training.

python tests/benchmarks/mpm.py [--only forward|adjoint|nclaw|epoch ...] [--rounds N]

Both sides run in one process, in turns (A B A B), on one thread or on `--threads`; figures are
medians of processor time with the smallest in brackets, and the ratio of wall-clock times.
`adjoint` is left out by default: Taichi compiles its adjoint for about two minutes. Needs
`pip install "rheograd[bench]"` for forward and adjoint.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import date
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rheograd.engine.fit.lesson import PositionLesson
from rheograd.engine.fit.recipe import Recipe
from rheograd.engine.fit.run_folder import RunFolder
from rheograd.engine.fit.shooting import Training
from rheograd.engine.mpm import MPMSolver, launches
from rheograd.engine.restarts import recorded
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Particles
from rheograd.engine.solver import Checkpoint
from rheograd.materials.elastic import Corotated, NeoHookean, YoungPoissonElasticity
from rheograd.materials.learned.invariant import InvariantFull
from rheograd.scenes import nclaw

YOUNG, POISSON, DENSITY, GRAVITY = 1e5, 0.2, 1e3, -9.81
DT = 1e-4
SIZES = {10_000: 64, 100_000: 128}
"""Particles, about, and cells an edge."""
LAWS: dict[str, type[YoungPoissonElasticity]] = {"neo-Hookean": NeoHookean, "corotated": Corotated}
WARM = 10
"""Steps before the first measured one, so that nothing is at rest shape."""


class Sample(NamedTuple):
    """Times of a step, over rounds [ms]."""

    cpu: list[float]
    wall: list[float]

    @property
    def text(self) -> str:
        """Median and least processor time."""
        return f"{statistics.median(self.cpu):8.3f} ({min(self.cpu):.3f})"


def in_turns(sides: list[Callable[[], Any]], steps: int, rounds: int) -> list[Sample]:
    """Run all sides after one another, `rounds` times; each call takes `steps` steps."""
    samples = [Sample([], []) for _ in sides]
    for side in sides:
        side()
    for _ in range(rounds):
        for side, sample in zip(sides, samples, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            side()
            sample.cpu.append(1e3 * (time.process_time() - cpu) / steps)
            sample.wall.append(1e3 * (time.perf_counter() - wall) / steps)
    return samples


def ratio(theirs: Sample, ours: Sample) -> str:
    """Ratio of medians, and the smallest and largest ratio of a round."""
    each = [b / a for a, b in zip(ours.cpu, theirs.cpu, strict=True)]
    middle = statistics.median(theirs.cpu) / statistics.median(ours.cpu)
    return f"{middle:5.2f} [{min(each):.2f}, {max(each):.2f}]"


def cube(count: int, cells: int, law: YoungPoissonElasticity) -> tuple[Scene, MPMSolver]:
    """A cube that fills half of the domain's edge, moving and turning."""
    h, side = 1.0 / cells, round(count ** (1 / 3))
    axis = 0.25 + 0.5 * (torch.arange(side, dtype=torch.float64) + 0.5) / side
    x = torch.cartesian_prod(axis, axis, axis)
    shape = Particles(x, torch.full((len(x),), 0.125 / len(x), dtype=torch.float64))
    body = Body(shape, law, DENSITY, (0.3, -1.0, 0.2), (1.0, 2.0, -1.0))
    low, high = 2 * h, 1 - 2 * h
    domain = Domain((low, low, low), (high, high, high))
    scene = Scene([body], gravity=(0.0, GRAVITY, 0.0), domain=domain)
    return scene, MPMSolver(h, DT)


def peer(scene: Scene, solver: MPMSolver, slots: int, grad: bool) -> tuple[Any, Any, Any]:
    """Our model and start, and the same thing in Taichi."""
    from taichi_mpm import Settings, TaichiMPM

    model = solver.discretize(scene)
    law: Any = scene.bodies[0].law
    mu, lam = law.coefficients().tolist()
    settings = Settings(
        model.grid.cell, model.dt, model.grid.nodes[0], float(model.volume[0]), DENSITY,
        (mu, lam), GRAVITY, isinstance(law, Corotated),
    )  # fmt: skip
    shift = torch.tensor(model.grid.origin)
    start = solver.start(model)
    theirs = TaichiMPM(settings, (start.x - shift).numpy(), start.v.numpy(), slots, grad)
    theirs.C.from_numpy(start.carry["C"].numpy()[None].repeat(slots + 1, 0))
    return model, start, theirs


def forward(rounds: int) -> None:
    """Steps without gradients."""
    print("\nforward, ms a step: CPU median (least)")
    print(f"{'law':12} {'particles':>9} {'grid':>5} {'Taichi':>18} {'rheograd':>18}"
          f" {'Taichi / rheograd':>20} {'wall':>6} {'M steps/s':>9}  |x - x'|")  # fmt: skip
    for count, cells in SIZES.items():
        for name, law in LAWS.items():
            scene, solver = cube(count, cells, law(YOUNG, POISSON))
            model, start, theirs = peer(scene, solver, 0, grad=False)
            steps = 1_000_000 // count
            state = solver.rollout(model, start, WARM).last
            theirs.forward(WARM)
            mine = state.x - torch.tensor(model.grid.origin)
            gap = float((mine - torch.from_numpy(theirs.x.to_numpy()[0])).abs().max())
            sides = [partial(theirs.forward, steps), partial(solver.rollout, model, state, steps)]
            a, b = in_turns(sides, steps, rounds)
            rate = model.n / statistics.median(b.cpu) / 1e3
            wall = statistics.median(a.wall) / statistics.median(b.wall)
            print(f"{name:12} {model.n:9} {cells:4}³ {a.text:>18} {b.text:>18}"
                  f" {ratio(a, b):>20} {wall:6.2f} {rate:9.2f}  {gap:.1e}", flush=True)  # fmt: skip


def adjoint(rounds: int, steps: int = 4) -> None:
    """Forward and adjoint, gradient of sum |x|² after some steps by the initial velocity."""
    scene, solver = cube(100_000, 128, Corotated(YOUNG, POISSON))
    model, start, theirs = peer(scene, solver, steps, grad=True)

    def ours() -> torch.Tensor:
        v = start.v.clone().requires_grad_()
        moving = solver.state(model, start.x, v, start.F, C=start.carry["C"])
        out = solver.rollout(model, moving, steps, observe=[steps], adjoint=Checkpoint(steps))
        shift = torch.tensor(model.grid.origin)
        return torch.autograd.grad((out.x - shift).square().sum(), v)[0]

    began = time.perf_counter()
    theirs.gradient()
    compiled = time.perf_counter() - began
    mine, other = ours(), torch.from_numpy(theirs.v.grad.to_numpy()[0])
    gap = float((mine - other).abs().max() / mine.abs().max())
    a, b = in_turns([theirs.gradient, ours], steps, rounds)
    print(f"\nforward and adjoint, corotated, {model.n} particles, ms a step: Taichi {a.text},"
          f" rheograd {b.text}, ratio {ratio(a, b)}; Taichi's first call {compiled:.0f} s;"
          f" gradients differ by {gap:.1e} of the largest", flush=True)  # fmt: skip


def published_steps(rounds: int) -> None:
    """The nclaw scene: steps of 1000 particles."""
    print("\nnclaw, 1000 particles, ms a step: CPU median (least)")
    laws = {name: nclaw.published_law(name) for name in nclaw.MATERIALS}
    for name, law in {**laws, "invariant-full": InvariantFull()}.items():
        solver = nclaw.solver()
        model = solver.discretize(nclaw.build(law))
        start = solver.start(model)
        (took,) = in_turns([partial(solver.rollout, model, start, 200)], 200, rounds)
        print(f"{name:16} {took.text}", flush=True)


def epoch(threads: int, epochs: int) -> None:
    """One epoch of the published recipe (one update an epoch), in this process; prints a line."""
    solver, law = nclaw.solver(), InvariantFull()
    model = solver.discretize(nclaw.build(law))
    step = torch.arange(0, 1001, 5)
    known = recorded(solver, solver.discretize(nclaw.build(material="jelly")), step)
    lesson = PositionLesson(
        solver, model, list(law.parameters()), known.x, step, lambda number: known
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    marks: list[tuple[float, float]] = []

    class Enough(Exception):
        """Ends the training after some epochs."""

    def tell(metrics: Any) -> None:
        marks.append((time.process_time(), time.perf_counter()))
        if metrics and len(marks) >= epochs:
            raise Enough

    with tempfile.TemporaryDirectory() as folder:
        training = Training(
            [lesson], law, Recipe.published(300), RunFolder(Path(folder) / "run", {}, resume=False),
            threads=threads, tell=tell,
        )  # fmt: skip
        tell({})
        try:
            training.run()
        except Enough:
            pass
    cpu = [b[0] - a[0] for a, b in pairwise(marks)]
    wall = [b[1] - a[1] for a, b in pairwise(marks)]
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{threads} threads: CPU {statistics.median(cpu[1:]):.2f} ({min(cpu):.2f}) s,"
          f" wall {statistics.median(wall[1:]):.2f} ({min(wall):.2f}) s, peak memory"
          f" {after / 1e6:.2f} GB, {before / 1e6:.2f} GB before", flush=True)  # fmt: skip


def epochs(rounds: int) -> None:
    """An epoch of training in a process of its own, so that its memory is its own."""
    print("\nan epoch of invariant-full, 1000 particles, 1000 steps, published recipe", flush=True)
    for threads in (1, 2):
        subprocess.run(
            [sys.executable, __file__, "--one-epoch", str(threads), "--rounds", str(rounds)],
            check=True,
        )


def main() -> None:
    """Print the tables."""
    cases = {"forward": forward, "adjoint": adjoint, "nclaw": published_steps, "epoch": epochs}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(cases))
    parser.add_argument("--adjoint", action="store_true", help="also that beside Taichi's")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="of both sides")
    parser.add_argument("--one-epoch", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if options.one_epoch:
        epoch(options.one_epoch, options.rounds + 1)
        return
    chosen = options.only or [c for c in cases if c != "adjoint" or options.adjoint]
    packages = ", ".join(f"{p} {version(p)}" for p in ("warp-lang", "torch"))
    load = os.getloadavg()[0]
    print(
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, {packages}"
    )
    if {"forward", "adjoint"} & set(chosen):
        import taichi_mpm

        taichi_mpm.start(options.threads)
        launches.PARTS = options.threads
        print(f"Taichi {version('taichi')}, both on {options.threads} thread(s)")
    for name in chosen:
        cases[name](options.rounds)


if __name__ == "__main__":
    main()
