# SPDX-License-Identifier: Apache-2.0
"""Cells in space under finite strain: modes, magic points, EquiNO, each against the full cell.

OMP_NUM_THREADS=1 python tests/benchmarks/finite_strain_cell.py [ball | balls] [--divisions 3]

A cube with a ball in the middle, or with balls at random (hex8, by voxels); neo-Hookean phases, E 1
to 10, nu 0.40 and 0.44. Load cases are Latin hypercubes in a box of Green and Lagrange's strains.
Errors are relative, in percent, median and largest over test cases, of the mean first Piola stress
and its tangent. CPU seconds are those of one thread and of a cell with its tangent; the reduced
cells are solved side by side. Points are chosen by empirical cubature, as the product does, or as
announced for EquiNO by a pivoted QR of the modes of stress, and these are used in two ways: with
weights of least squares for the same integrals, none negative, or without weights, by the least
difference between the law's stress there and a combination of modes of stress.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from rheograd.engine.fem.newton import NewtonFailure
from rheograd.engine.homogenize.cell import Cell
from rheograd.engine.homogenize.load_space import LoadSpace
from rheograd.engine.homogenize.magic_points import MagicPoints, magic_points
from rheograd.engine.homogenize.microstructures import random_balls, round_inclusion, voxels
from rheograd.engine.homogenize.modes import Modes, modes
from rheograd.engine.homogenize.paths import follow, snapshots_of, straight
from rheograd.engine.homogenize.problem import CellProblem, Worlds
from rheograd.engine.homogenize.reduced import ReducedProblem
from rheograd.engine.homogenize.snapshots import Snapshots
from rheograd.engine.homogenize.training import Recipe, train
from rheograd.engine.homogenize.validation import errors, relative
from rheograd.materials.elastic import NeoHookean

LIKE = torch.zeros((), dtype=torch.float64)
T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What it gives and its CPU seconds."""
    start = time.process_time()
    found = work()
    return found, time.process_time() - start


def cell(kind: str, n: int) -> Cell:
    """A cube of rubber with stiffer balls."""
    if kind == "ball":
        mesh = round_inclusion(0.2, (n, n // 2 + 1, n // 2 + 1), element="hex8")
    else:
        mesh = voxels(random_balls(6, 0.2, seed=1), 3 * n, element="hex8")
    return Cell(mesh, {"matrix": NeoHookean(1e6, 0.40), "fibre": NeoHookean(1e7, 0.44)})


def off(found: Tensor, expected: Tensor) -> Tensor:
    """In percent, of each row."""
    return 100 * relative(found, expected)


def pivoted(own: Modes, count: int) -> Tensor:
    """Points by QR of the modes of stress with pivots, shape (count,).

    Pivots are components at points; after as many as there are modes the rest is taken anew, as
    long as points are missing.
    """
    from scipy.linalg import qr

    p, s, r = own.stress.shape
    rows = (own.weight.sqrt()[:, None, None] * own.stress).reshape(p * s, r).numpy()
    left, chosen = np.arange(p * s), list[int]()
    while len(chosen) < count:
        pivots = left[qr(rows[left].T, mode="r", pivoting=True)[-1][:r]]
        for point in pivots // s:
            if point not in chosen and len(chosen) < count:
                chosen.append(int(point))
        left = np.setdiff1d(left, (np.array(chosen)[:, None] * s + np.arange(s)).ravel())
    return torch.tensor(chosen)


def weighted(own: Modes, shots: Snapshots, index: Tensor) -> MagicPoints:
    """Points that are given, with weights for the work in the modes, the mean, and the volume."""
    from scipy.optimize import nnls

    work = torch.einsum("kps,psr->rkp", shots.point_stress, own.strain).flatten(0, 1)
    mean = shots.point_stress.permute(2, 0, 1).flatten(0, 1)
    parts = [part / (own.weight * part.square()).sum().sqrt() for part in (work, mean)]
    rows = torch.cat([*parts, torch.ones_like(mean[:1])])
    target = rows @ own.weight
    weight, left = nnls(rows[:, index].numpy(), target.numpy())
    return MagicPoints(index, torch.from_numpy(weight), left / float(target.norm()))


def interpolated(problem: CellProblem, own: Modes, index: Tensor, F: Tensor) -> Tensor:
    """Mean stresses (k, rows) of the coefficients of least squares of the constitutive law.

    min over a, b of Σ |P(F̄ + φ a) − Ψ b|² at the points, by Gauss and Newton's method: what a
    network of EquiNO tends to that is taught at these points.
    """
    reduced = ReducedProblem(
        problem, own, MagicPoints(index, torch.ones(len(index), dtype=F.dtype), 0.0)
    )
    points, psi = reduced.points, own.stress[index].flatten(0, 1)
    Q = torch.linalg.qr(psi)[0]
    a, none = F.new_zeros(len(F), reduced.size), points.rest_internal(len(F), F)
    for _ in range(12):
        P, _, A = points.linearize(reduced.deformation(a, F), none, 1.0)
        flat = P.flatten(2)[..., points.row].flatten(1)
        J = (A @ reduced.phi).flatten(1, 2)
        missing, J = flat - (flat @ Q) @ Q.T, J - Q @ (Q.T @ J)
        a = a - torch.linalg.lstsq(J, missing[..., None]).solution[..., 0]
    b = torch.linalg.lstsq(psi, flat.T).solution
    return (own.mean_stress @ b).T


class Bench:
    """A cell and its snapshots."""

    def __init__(self, kind: str, n: int, extent: float, cases: int, steps: int) -> None:
        self.space = LoadSpace.cube(3, extent, small=False)
        self.problem = CellProblem(cell(kind, n), LIKE)
        mesh, count = self.problem.cell.mesh, len(self.problem.points)
        share = self.problem.cell.shares()["fibre"]
        print(f"{kind}, {share:.3f}: {len(mesh.cells)} hex8, {self.problem.size} unknowns,", end="")
        print(f" {count} points; box of {extent:g}, {cases} snapshots")
        sets = {"training": (cases, 0), "validation": (20, 1), "test": (50, 2)}
        self.sets, self.seconds = {}, 0.0
        for name, (k, seed) in sets.items():
            z = straight(self.space.sample(k, seed)[:, None], steps)
            answers, seconds = timed(lambda z=z: follow(self.problem, self.space, z))
            self.sets[name] = snapshots_of(self.problem, z[:, -1:], answers[-1:])
            self.seconds, self.path = seconds / k, z
        self.test = self.sets["test"]
        self.F = self.space.deformation(self.test.strain)
        self.row_of = self.problem.points.row
        print(f"a full cell, {steps} steps, with tangent: {1e3 * self.seconds:.1f} ms CPU\n")
        print(f"{'':34s} points     stress %         tangent %       CPU ratio")

    def row(self, name: str, problem: Worlds) -> None:
        """Errors and cost of what stands for the cell."""
        try:
            micro, seconds = timed(lambda: follow(problem, self.space, self.path)[-1])
        except NewtonFailure:
            print(f"{name:34s} {len(problem.points):6d}   no balance in some case")
            return
        assert micro.tangent is not None
        e, t = off(micro.stress, self.test.stress), off(micro.tangent, self.test.tangent)
        print(
            f"{name:34s} {len(problem.points):6d} {float(e.median()):8.4f} {float(e.max()):8.4f} "
            f"{float(t.median()):8.4f} {float(t.max()):8.4f} "
            f"{self.seconds * len(e) / seconds:9.1f}"
        )

    def compare(self, own: Modes, count: int) -> None:
        """Points of each kind, as many."""
        r, shots = own.strain.shape[2], self.sets["training"]
        magic = magic_points(self.problem, own, shots, tolerance=1e-6, most=count)
        self.row(f"{r} modes, cubature", ReducedProblem(self.problem, own, magic))
        index = pivoted(own, count)
        rule = weighted(own, shots, index)
        self.row(f"{r} modes, QR, weights", ReducedProblem(self.problem, own, rule))
        expected = self.test.stress.flatten(1)[:, self.row_of]
        for name, at in (("QR", index), ("cubature's", magic.index)):
            e = off(interpolated(self.problem, own, at, self.F), expected)
            text = f"{r} modes, {name}, modes of stress"
            print(f"{text:34s} {count:6d} {float(e.median()):8.4f} {float(e.max()):8.4f}")


def learn(bench: Bench, recipe: Recipe) -> None:
    """Train the law and tell its errors and its cost."""
    trained, seconds = timed(lambda: train(bench.problem, bench.space, bench.sets, recipe))
    law, magic = trained.law, trained.magic
    found = errors(law, bench.problem, bench.space, bench.test)
    points = len(magic.index) if magic is not None else len(bench.problem.points)
    parts = ", ".join(f"{name} {s:.0f}" for name, s in trained.seconds.items())
    print(f"\nEquiNO, {law.modes} modes, {points} magic points, {seconds:.0f} s CPU ({parts})")
    largest = found.largest()
    for name, value in found.median().items():
        print(f"  {name:12s} median {value:8.4f} %  largest {largest[name]:8.4f} %")
    F = bench.space.deformation(bench.space.sample(10_000, 7))
    none = F.new_zeros(len(F), 0)
    law.linearize(F, none, 1.0)
    _, cost = timed(lambda: law.linearize(F, none, 1.0))
    each = cost / len(F)
    print(f"stress and tangent {1e6 * each:.1f} µs a point in 10,000: {bench.seconds / each:.0f} ×")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", nargs="?", choices=("ball", "balls"), default="ball")
    parser.add_argument("--divisions", type=int, default=3, help="of the mesh; 4 is finer")
    parser.add_argument("--extent", type=float, default=0.15, help="of the box of strains")
    parser.add_argument("--snapshots", type=int, default=100)
    parser.add_argument("--steps", type=int, default=1, help="to each load case")
    parser.add_argument("--cases", type=int, default=2000, help="that teach EquiNO")
    given = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(given.kind, given.divisions, given.extent, given.snapshots, given.steps)
    for count in (8, 16, 32):
        own = modes(bench.problem, bench.sets["training"], count)
        bench.row(f"{count} modes", ReducedProblem(bench.problem, own))
        for most in (count, 2 * count, 4 * count):
            bench.compare(own, most)
    for tolerance in (1e-3, 1e-4):
        magic = magic_points(
            bench.problem, own, bench.sets["training"], tolerance=tolerance, most=1000
        )
        bench.row(f"32 modes, cubature, {tolerance:g}", ReducedProblem(bench.problem, own, magic))
    learn(bench, Recipe(modes=32, cases=given.cases, steps=40, iterations=1000, cubature=1e-4))


if __name__ == "__main__":
    main()
