# SPDX-License-Identifier: Apache-2.0
"""Cost of finite elements beside scikit-fem 12 and torch-fem 0.14: the cantilever of three codes.

python tests/benchmarks/fem.py [--sizes N ...] [--codes NAME ...] [--threads N ...] [--repeats N]

One command runs all sides one after another on one machine, each in a process of its own, so that
its peak memory is its own, on one thread unless told otherwise. Times are processor time from the
mesh to the displacements, without imports and with warm kernels, the least of the repeats. All
sides solve to the same residual (see measured.py); the script fails if displacements or gradients
differ by more than 1e-8. Then many small cantilevers at once beside one after another. Peers need
`pip install "rheograd[bench]"`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib import import_module
from importlib.metadata import version
from math import inf
from pathlib import Path

from measured import TOLERANCE, Gradient, Solution, Stopwatch, peak_memory

MODULES = {
    "rheograd": "rheograd_cantilever",
    "scikit-fem": "scikit_fem_cantilever",
    "torch-fem": "torch_fem_cantilever",
}
OURS = "rheograd"
AGREE = 1e-8
"""How far mean displacements of the codes may differ [m]."""
SECTIONS = ("model", "assembly", "set-up", "solve", "output")
"""Building the model; residuals and matrices; factors or preconditioners; linear systems with them;
stresses and energies of frames."""
BATCH, BATCH_N, BATCH_AGREE = 64, 2, 1e-9


@dataclass
class Figures:
    """Of one code, size and number of threads."""

    code: str
    n: int
    threads: int
    cpu: list[float]
    """Of each repeat [s]."""
    wall: list[float]
    """Of each repeat [s]."""
    sections: dict[str, float]
    """Processor time by section, of the fastest repeat [s]."""
    solution: Solution
    imports: float
    """Peak memory before the first solution of this size [MiB]."""
    memory: float
    """And after the solutions [MiB]."""
    gradient: Gradient | None = None
    """With the least backward time."""
    gradient_memory: float = 0.0
    """Peak memory after the gradients [MiB]."""

    @property
    def both(self) -> float:
        """Solution with what the gradient needs, and gradient, CPU [s]."""
        return self.gradient.forward + self.gradient.backward if self.gradient else inf


def measure(code: str, n: int, threads: int, repeats: int) -> Figures:
    """One side, in this process."""
    if code != "scikit-fem":
        import torch

        torch.set_num_threads(threads)
    side = import_module(MODULES[code])
    side.warm()
    imports = peak_memory()
    cpu, wall, clocks, solution = [], [], [], None
    for _ in range(repeats):
        gc.collect()
        clocks.append(Stopwatch())
        began, began_wall = time.process_time(), time.perf_counter()
        solution = side.solve(n, clocks[-1])
        cpu.append(time.process_time() - began)
        wall.append(time.perf_counter() - began_wall)
    sections = dict(clocks[cpu.index(min(cpu))].seconds)
    assert solution is not None
    found = Figures(code, n, threads, cpu, wall, sections, solution, imports, peak_memory())
    if hasattr(side, "gradient"):
        found.gradient = min((side.gradient(n) for _ in range(repeats)), key=lambda g: g.backward)
        found.gradient_memory = peak_memory()
    return found


def measure_batch(count: int) -> dict[str, float]:
    """Many small cantilevers in one model and one after another, in this process."""
    import torch

    torch.set_num_threads(1)
    side = import_module(MODULES[OURS])
    for together in (True, False):
        side.batch(BATCH_N, 2, together)
    at_once, in_turn = (side.batch(BATCH_N, count, together) for together in (True, False))
    slopes = (at_once.slopes / in_turn.slopes - 1).abs().max()
    return {
        "count": count,
        "u": float((at_once.u - in_turn.u).abs().max() / in_turn.u.abs().max()),
        "slopes": float(slopes),
        "at_once": at_once.forward, "in_turn": in_turn.forward,
        "at_once_both": at_once.both, "in_turn_both": in_turn.both,
    }  # fmt: skip


def in_own_process(threads: int, *arguments: object) -> dict:
    """What this script prints as JSON when it is run with some arguments."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads))}
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def side(code: str, n: int, threads: int, repeats: int) -> Figures:
    """One side, in its own process."""
    found = in_own_process(threads, "--side", code, n, threads, repeats)
    found["solution"] = Solution(*found["solution"])
    if found["gradient"]:
        found["gradient"] = Gradient(*found["gradient"])
    return Figures(**found)


def row(cells: Iterable[object]) -> None:
    """A line of a table in Markdown."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def head(*cells: str) -> None:
    """The first two lines."""
    row(cells)
    row("---" for _ in cells)


def cost_table(figures: Sequence[Figures]) -> None:
    """Times, results and memory of one size."""
    n = figures[0].n
    unknowns = 3 * (4 * n + 1) * (n + 1) ** 2
    print(f"\nn = {n}: {4 * n**3:,} elements, {unknowns:,} unknowns\n")
    head(
        "code, threads", "CPU s", "wall s", "fastest peer / this", "Newton", "residual",
        "mean u_z, m", "difference", "gradient, CPU s", "with its forward pass",
        "fastest peer / this", "dE, m/Pa", "peak MiB", "with gradient",
    )  # fmt: skip
    for f in figures:
        peers = [p for p in figures if p.code != OURS and p.threads == f.threads]
        s, g = f.solution, f.gradient
        row([
            f"{f.code} ({s.method}), {f.threads}", f"{min(f.cpu):.2f}", f"{min(f.wall):.2f}",
            ratio([min(p.cpu) for p in peers], min(f.cpu)), s.iterations, f"{s.residual:.0e}",
            f"{s.mean[2]:.10f}", f"{gap(f, figures[0]):.0e}",
            f"{g.backward:.2f}" if g else "", f"{f.both:.2f}" if g else "",
            ratio([p.both for p in peers], f.both) if g else "", f"{g.value:.10e}" if g else "",
            f"{f.memory:.0f}", f"{f.gradient_memory:.0f}" if g else "",
        ])  # fmt: skip


def ratio(peers: Sequence[float], own: float) -> str:
    """The least of the peers by our own; nothing where there is none."""
    least = min(peers, default=inf)
    return f"{least / own:.1f}" if least < inf else ""


def gap(one: Figures, other: Figures) -> float:
    """Largest difference of the end face's displacements [m]."""
    pairs = zip(one.solution.mean, other.solution.mean, strict=True)
    return max(abs(a - b) for a, b in pairs)


def share_table(figures: Sequence[Figures]) -> None:
    """Where the time goes."""
    print("\nCPU s by section, of the fastest repeat\n")
    head("n, code, threads", *SECTIONS, "rest", "imports and warm-up, MiB")
    for f in figures:
        spent = [f.sections.get(name, 0.0) for name in SECTIONS]
        rest = min(f.cpu) - sum(spent)
        name = f"{f.n}, {f.code}, {f.threads}"
        row([name, *(f"{seconds:.2f}" for seconds in [*spent, rest]), f"{f.imports:.0f}"])


def batch_table(found: dict[str, float]) -> None:
    """Many small cantilevers."""
    print(
        f"\n{found['count']} cantilevers of n = {BATCH_N}, different Young's moduli: displacements "
        f"differ by {found['u']:.0e} of the largest, gradients by {found['slopes']:.0e} of each\n"
    )
    head("", "one model, CPU s", "one after another, CPU s", "ratio")
    for name, key in (("forward", ""), ("forward and gradient", "_both")):
        a, b = found[f"at_once{key}"], found[f"in_turn{key}"]
        row([name, f"{a:.2f}", f"{b:.2f}", f"{b / a:.1f}"])


def disagreements(figures: Sequence[Figures]) -> list[str]:
    """Sentences on what should be equal and is not."""
    out = []
    for f in figures:
        first = next(other for other in figures if other.n == f.n)
        if gap(f, first) > AGREE:
            out.append(f"{f.code} and {first.code} differ by {gap(f, first):.1e} m, n = {f.n}")
        if f.gradient and first.gradient:
            relative = abs(f.gradient.value / first.gradient.value - 1)
            if relative > AGREE:
                out.append(f"gradients of {f.code} and {first.code} differ by {relative:.1e}")
        if f.solution.residual > TOLERANCE:
            out.append(f"{f.code} stopped at a residual of {f.solution.residual:.1e}, n = {f.n}")
    return out


def machine(codes: Sequence[str]) -> str:
    """When and where."""
    packages = ["numpy", "scipy", "pyamg", "torch", "warp-lang", *(c for c in codes if c != OURS)]
    return (
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, " + ", ".join(f"{p} {version(p)}" for p in packages)
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", nargs="*", type=int, default=[6, 14, 23], metavar="N")
    parser.add_argument("--codes", nargs="+", choices=list(MODULES), default=list(MODULES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1], metavar="N")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")
    parser.add_argument("--batch", type=int, default=BATCH, help="small cantilevers, 0 for none")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--side", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--own-batch", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        code, *numbers = options.side
        print(json.dumps(asdict(measure(code, *map(int, numbers)))))
        return
    if options.own_batch:
        print(json.dumps(measure_batch(options.own_batch)))
        return
    where = machine(options.codes)
    print(f"{where}\neach side in a process of its own, one after another")
    figures: list[Figures] = []
    for n in options.sizes:
        runs = [(code, t) for t in options.threads for code in options.codes]
        figures += [side(code, n, t, options.repeats) for code, t in runs]
        cost_table([f for f in figures if f.n == n])
    if figures:
        share_table(figures)
    batch = in_own_process(1, "--own-batch", options.batch) if options.batch else None
    problems = disagreements(figures)
    if batch:
        batch_table(batch)
        if max(batch["u"], batch["slopes"]) > BATCH_AGREE:
            problems.append("a batch and its parts differ")
    if options.json:
        kept = {"machine": where, "figures": [asdict(f) for f in figures], "batch": batch}
        options.json.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
