# SPDX-License-Identifier: Apache-2.0
"""Time the steps that everything else is made of, on this machine.

Each is repeated until it has run for a while, after its kernels are compiled; the best repetition
counts. Costs are in wall-clock and in processor time.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..options import Parser, count

if TYPE_CHECKING:
    from rheograd.engine.mpm import MPMSolver
    from rheograd.engine.scene import Scene

RANK = 5
BLOCK = 20
"""Steps in a repetition."""


class Measurement(NamedTuple):
    """What a step of some work costs."""

    name: str
    particles: int
    wall_ms: float
    """Wall-clock time of a step [ms]."""
    cpu_ms: float
    """Processor time of a step, all threads together [ms]."""

    @property
    def rate(self) -> float:
        """Particle steps per second of wall-clock time, in millions."""
        return self.particles / self.wall_ms / 1e3


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu, cuda or cuda:N")
    parser.add_argument(
        "--repeats", type=count, default=5, metavar="N", help=f"of {BLOCK} steps each (default: 5)"
    )
    found = parser.read(tokens)
    if found.json is not None and not found.json.parent.is_dir():
        raise FileNotFoundError(f"no folder {found.json.parent}: create it first")
    from ..selection import require_device
    from ..user_files import start_engine

    start_engine()
    import torch

    torch.set_num_threads(1)  # as a run does
    require_device(found.device)
    measured = []
    for case in CASES:
        print(f"{case.__doc__} ...", file=sys.stderr, flush=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            measured.append(case(found.device, found.repeats))
    about = machine(found.device)
    show(measured, about)
    if found.json is not None:
        rows = [{**m._asdict(), "particles_per_second": 1e6 * m.rate} for m in measured]
        text = json.dumps({**about, "results": rows}, indent=2)
        found.json.write_text(text + "\n", encoding="utf-8")
    return 0


def jelly_step(device: str, repeats: int) -> Measurement:
    """Forward steps, analytic law."""
    from rheograd.scenes import nclaw

    scene, solver = nclaw.build(material="jelly"), nclaw.solver()
    return forward("nclaw, corotated", scene, solver, device, repeats)


def neural_step(device: str, repeats: int) -> Measurement:
    """Forward steps, neural law."""
    from rheograd.materials.learned.invariant import InvariantFull
    from rheograd.scenes import nclaw

    scene, solver = nclaw.build(InvariantFull()), nclaw.solver()
    return forward("nclaw, invariant-full", scene, solver, device, repeats)


def jelly_gradient(device: str, repeats: int) -> Measurement:
    """Forward steps with their adjoint, analytic law."""
    from rheograd.scenes import nclaw

    scene, solver = nclaw.build(material="jelly"), nclaw.solver()
    return with_adjoint("nclaw, corotated, with adjoint", scene, solver, device, repeats)


def neural_gradient(device: str, repeats: int) -> Measurement:
    """Forward steps with their adjoint, neural law."""
    from rheograd.materials.learned.invariant import InvariantFull
    from rheograd.scenes import nclaw

    scene, solver = nclaw.build(InvariantFull()), nclaw.solver()
    return with_adjoint("nclaw, invariant-full, with adjoint", scene, solver, device, repeats)


def large_step(device: str, repeats: int) -> Measurement:
    """Forward steps of 10,648 particles."""
    scene, solver = cube_of(22)
    return forward("cube, neo-hookean", scene, solver, device, repeats)


CASES: tuple[Callable[[str, int], Measurement], ...] = (
    jelly_step, neural_step, jelly_gradient, neural_gradient, large_step,
)  # fmt: skip


def cube_of(side: int) -> tuple[Scene, MPMSolver]:
    """A falling neo-Hookean cube of side³ particles, eight a cell."""
    from rheograd.engine.mpm import MPMSolver
    from rheograd.engine.scene import Body, Scene
    from rheograd.engine.shapes import Box
    from rheograd.materials.elastic import NeoHookean

    cell = 1.0 / (2 * side)
    cube = Box((0.25, 0.25, 0.25), (0.5, 0.5, 0.5))
    body = Body(cube, NeoHookean(young=1e5, poisson=0.3), 1e3, spin=(1.0, 2.0, 3.0))
    return Scene([body], name="cube"), MPMSolver(cell)


def forward(name: str, scene: Scene, solver: MPMSolver, device: str, repeats: int) -> Measurement:
    """Steps without gradients."""
    solver = dataclasses.replace(solver, device=device)
    model = solver.discretize(scene)
    state = solver.start(model)

    def block() -> None:
        solver.rollout(model, state, BLOCK)

    return Measurement(name, model.n, *best(block, repeats, device))


def with_adjoint(
    name: str, scene: Scene, solver: MPMSolver, device: str, repeats: int
) -> Measurement:
    """Steps and their adjoint, gradients to the law's parameters."""
    from rheograd.engine.solver import Checkpoint

    solver = dataclasses.replace(solver, device=device)
    model = solver.discretize(scene)
    state = solver.start(model).detach()

    def block() -> None:
        out = solver.rollout(model, state, BLOCK, observe=[BLOCK], adjoint=Checkpoint(BLOCK))
        out.x.square().sum().backward()

    return Measurement(name, model.n, *best(block, repeats, device))


def best(block: Callable[[], None], repeats: int, device: str) -> tuple[float, float]:
    """Least wall-clock and processor time of a step over the repetitions [ms]."""
    import torch

    def wait() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)

    block()
    wait()
    walls, processors = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        block()
        wait()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return 1e3 * min(walls) / BLOCK, 1e3 * min(processors) / BLOCK


def machine(device: str) -> dict[str, Any]:
    """What the figures depend on."""
    import torch

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor()
    packages = ("rheograd", "warp-lang", "torch", "numpy")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "device": device, "name": name, "cores": os.cpu_count(),
            "threads": torch.get_num_threads(), "load": os.getloadavg()[0],
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {
            "python": platform.python_version(), **{p: version(p) for p in packages},
        },
    }  # fmt: skip


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def show(measured: Sequence[Measurement], about: dict[str, Any]) -> None:
    """Print a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{about['machine']['name']}, {about['machine']['cores']} cores")
    table.add_column("work")
    for heading in ("particles", "ms a step", "CPU ms a step", "million particle steps/s"):
        table.add_column(heading, justify="right")
    for m in measured:
        table.add_row(
            m.name, f"{m.particles}", f"{m.wall_ms:.3f}", f"{m.cpu_ms:.3f}", f"{m.rate:.2f}"
        )
    Console().print(table)
