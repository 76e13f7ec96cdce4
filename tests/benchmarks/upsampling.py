# SPDX-License-Identifier: Apache-2.0
"""From a thousand sparse points to all others: milliseconds a frame, and errors on true motions.

python tests/benchmarks/upsampling.py [--cell 0.015625] [--steps 600] [--queries 8000]

Times are of one CPU core, medians, for 100,000 queries. Errors are of the scene `drop`, simulated
here: displacements of the sparse points are the true ones, those of other particles are compared,
root mean square over all frames and in units of the spacing of the sparse points. The correction is
taught on other shapes, thrown and spun otherwise.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.interpolate import LinearNDInterpolator, RBFInterpolator
from torch import Tensor

from rheograd.engine.mpm import MPMSolver
from rheograd.engine.reduced.correction import Correction, Sample, teach
from rheograd.engine.reduced.full_order import FullOrderMap
from rheograd.engine.reduced.neighbours import neighbours
from rheograd.engine.reduced.sampling import farthest_points
from rheograd.engine.simulate import simulate
from rheograd.scenes import drop

FRAMES = 30
COUNTS = (500, 1000, 2000)
TAUGHT = (
    {"shape": "sphere", "velocity": (-0.6, -0.5, 0.4), "spin": (0.0, 3.0, 2.0)},
    {"shape": "cylinder", "velocity": (0.2, -1.0, -0.5), "turn": (0.4, 0.0, 0.2)},
    {"shape": "capsule", "size": 0.35, "velocity": (0.0, -1.5, 0.3), "turn": (0.0, 0.3, 1.2)},
)
TESTED = {
    "box (scene's own)": {},
    "box, faster, spun": {"velocity": (-0.5, -1.5, 0.6), "spin": (2.0, 0.0, -3.0)},
}


def milliseconds(work: Callable[[], object], times: int = 21) -> float:
    """Median CPU time."""
    work()
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return 1e3 * float(np.median(taken))


def speed(queries: int, points: int) -> None:
    """A table of times."""
    X, P = torch.rand(queries, 3), torch.rand(points, 3)
    u = torch.randn(points, 3)
    print(f"\n{queries} queries, {points} sparse points, float32, CPU milliseconds a frame")
    print("| neighbours | weights at rest, s | displacement | by torch | F | by torch |")
    print("|---|---|---|---|---|---|")
    for name, k, correction in (("12", 12, None), ("20, corrected", 20, Correction.quadratic())):
        start = time.process_time()
        found = FullOrderMap(X, P, k=k, correction=correction)
        made = time.process_time() - start
        index, value, slope = found.weights
        value, slope = value.float(), slope.float()
        moved = milliseconds(lambda f=found: f.displacement(u))
        F = milliseconds(lambda f=found: f.gradient(u))
        plain = milliseconds(lambda i=index, w=value: torch.einsum("qk,qka->qa", w, u[i]))
        plain_F = milliseconds(lambda i=index, w=slope: torch.einsum("qka,qkb->qab", u[i], w))
        print(
            f"| {name} | {made:.2f} | {moved:.1f} | {plain:.1f} ({plain / moved:.1f}x)"
            f" | {F:.1f} | {plain_F:.1f} ({plain_F / F:.1f}x) |"
        )
    start = time.process_time()
    farthest_points(torch.rand(8 * points, 3), points)
    print(f"farthest {points} of {8 * points} points: {time.process_time() - start:.3f} s")
    for n, radius in ((1000, 0.17), (32000, 0.053)):
        x = torch.rand(n, 3)
        ms = milliseconds(lambda x=x, r=radius: neighbours(x, x, r, 24, leave_out_self=True))
        print(f"24 neighbours of {n} points: {ms:.2f} ms")


def run(cell: float, **scene: object) -> tuple[Tensor, Tensor, float]:
    """Positions (t, n, 3), F (t, n, 3, 3), and the volume of a body that is dropped [m³]."""
    F: list[Tensor] = []
    motion = simulate(
        drop.build(**scene),  # type: ignore[arg-type]
        MPMSolver(cell), frames=FRAMES, sink=lambda state: F.append(state.F.clone()),
    )  # fmt: skip
    volume = motion.x.shape[1] * (cell / 2) ** 3
    return motion.x.double(), torch.stack(F).double(), volume


def learned(cell: float, steps: int) -> Correction:
    """Taught on the shapes that are not tested, at three numbers of sparse points."""
    samples = []
    for scene in TAUGHT:
        x, _, _ = run(cell, **scene)
        for n in COUNTS:
            sparse = farthest_points(x[0], n)
            samples.append(Sample.of(x[::3], sparse, rest=x[0]))
    correction = Correction.quadratic()
    start = time.perf_counter()
    errors = teach(correction, samples, steps=steps)
    print(
        f"\ntaught on {len(samples)} motions in {time.perf_counter() - start:.0f} s: error"
        f" {np.mean(errors[-30:]):.2f} of moving least squares with {correction.k} neighbours"
    )
    return correction


def accuracy(cell: float, correction: Correction, queries: int) -> None:
    """A table of errors."""
    print("\n| motion | points | with | error, spacings | largest | F, RMS |")
    print("|---|---|---|---|---|---|")
    for name, scene in TESTED.items():
        x, F, volume = run(cell, **scene)
        for n in COUNTS:
            sparse = farthest_points(x[0], n)
            others = torch.ones(x.shape[1], dtype=torch.bool)
            others[sparse] = False
            some = others.nonzero()[:, 0]
            some = some[torch.randperm(len(some))[:queries]]
            rows(f"{name} | {n}", x, F, sparse, some, (volume / n) ** (1 / 3), correction)


def rows(
    name: str, x: Tensor, F: Tensor, sparse: Tensor, some: Tensor, spacing: float,
    correction: Correction,
) -> None:  # fmt: skip
    """Errors of each method for one motion."""
    X, P = x[0, some], x[0, sparse]
    u, truth = x[:, sparse] - P, x[:, some] - X
    maps = {
        "moving least squares, 12": FullOrderMap(X, P),
        "moving least squares, 20": FullOrderMap(X, P, k=20),
        "quadratic, untaught": FullOrderMap(X, P, correction=Correction.quadratic()),
        "with correction": FullOrderMap(X, P, correction=correction),
    }
    for method, found in maps.items():
        off = f"{float((found.gradient(u) - F[:, some]).square().sum((-1, -2)).mean().sqrt()):.4f}"
        print(f"| {name} | {method} | {said(found.displacement(u) - truth, spacing)} | {off} |")
    flat = u.transpose(0, 1).flatten(1).numpy()
    linear = LinearNDInterpolator(P.numpy(), flat)(X.numpy())
    within = ~np.isnan(linear).any(1)
    spline = RBFInterpolator(P.numpy(), flat, neighbors=50)(X.numpy())
    for method, found, which in (
        (f"linear Delaunay, the {100 * within.mean():.0f} % within the hull", linear, within),
        ("thin plates, 50 neighbours", spline, np.full(len(X), True)),
    ):
        moved = torch.from_numpy(found[which]).view(int(which.sum()), -1, 3).transpose(0, 1)
        off = moved - truth[:, torch.from_numpy(which)]
        print(f"| {name} | {method} | {said(off, spacing)} | |", flush=True)


def said(off: Tensor, spacing: float) -> str:
    """Root mean square and largest."""
    square = off.square().sum(-1)
    rms, most = float(square.mean().sqrt()) / spacing, float(square.max().sqrt()) / spacing
    return f"{rms:.4f} | {most:.3f}"


def main() -> None:
    """Tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cell", type=float, default=1 / 64, help="of the test motions [m]")
    parser.add_argument("--steps", type=int, default=600, help="of teaching")
    parser.add_argument("--queries", type=int, default=8000, help="particles that are compared")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    speed(100_000, 1000)
    correction = learned(given.cell, given.steps)
    accuracy(given.cell, correction, given.queries)


if __name__ == "__main__":
    main()
