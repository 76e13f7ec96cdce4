# SPDX-License-Identifier: Apache-2.0
"""An elastoplastic cell in few modes and at few points, against the full cell.

OMP_NUM_THREADS=1 python tests/benchmarks/plastic_cell.py [--divisions 4] [--element quad8]

A square of an aluminium alloy (J2Plasticity) with stiff fibres, 30 %: round ones at random, or one
in the middle, which is symmetric and so easier (--balls 0). Modes and magic points are made of
random paths of three straight ways in a box of ± 2 % of strain. Errors of the mean stress are
those along paths that were not seen, by the norm of the stress along the path: one that is loaded,
unloaded and loaded anew, and eight random ones. Modes of as many snapshots of
loading alone stand beside. Costs are CPU seconds of one thread, of cells side by side in a batch,
and of the cells of a plate that is pulled and let go.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.homogenize.cell import Cell
from rheograd.engine.homogenize.fe2 import FE2
from rheograd.engine.homogenize.load_space import LoadSpace
from rheograd.engine.homogenize.magic_points import MagicPoints, magic_points
from rheograd.engine.homogenize.microstructures import random_balls, round_inclusion, voxels
from rheograd.engine.homogenize.modes import Modes, modes
from rheograd.engine.homogenize.paths import follow, random_paths, snapshots_of, straight
from rheograd.engine.homogenize.problem import CellProblem, Micro, Worlds
from rheograd.engine.homogenize.reduced import ReducedProblem
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.generators import box
from rheograd.engine.scene import Body, Scene
from rheograd.materials.j2_plasticity import J2Plasticity
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.small_strain import LinearElastic

BOX = LoadSpace.cube(2, 0.02, small=True)
CYCLE = straight(
    torch.tensor(
        [[[0.016, -0.004, 0.008], [0.002, 0.001, -0.006], [0.018, -0.012, 0.01]]],
        dtype=torch.float64,
    ),
    10,
)
"""Loaded, unloaded, loaded anew."""


def timed(work: Callable[[], list[Micro]]) -> tuple[list[Micro], float]:
    """What it gives and its CPU seconds."""
    start = time.process_time()
    found = work()
    return found, time.process_time() - start


def errors(found: list[Micro], expected: list[Micro]) -> Tensor:
    """Of the mean stress along each path, in percent, shape (k,)."""
    a, b = (torch.stack([m.stress for m in each], 1).flatten(1) for each in (found, expected))
    return 100 * (a - b).norm(dim=1) / b.norm(dim=1)


def plate(law: ConstitutiveLaw) -> tuple[Tensor, float]:
    """Mean of τ_xx in a plate pulled and let go [Pa], after each of six steps; CPU seconds."""

    def pull(time: Tensor) -> Tensor:
        amount = 0.03 * torch.where(time <= 0.5, 2 * time, 2 - 2 * time)
        return torch.stack([amount, -0.3 * amount, 0 * amount])

    mesh = box((3.0, 2.0), (3, 2), element="quad4", corner=(0.0, 0.0))
    sides = [Fixed("x-"), Displacement("x+", pull)]
    scene = Scene([Body(mesh, law, 1e3)], sides, (0.0, 0.0, 0.0), duration=1.0)
    solver = FESolver(integrator=Static(6))
    model = solver.discretize(scene)
    start = time.process_time()
    state, stresses = solver.start(model), []
    advance = solver.advance(model)
    for _ in range(6):
        state = advance.step(state)
        stresses.append(state.carry["tau"][:, 0, 0].mean())
    return torch.stack(stresses), time.process_time() - start


class Bench:
    """A cell and the paths it is compared on."""

    def __init__(self, cell: Cell, paths: int) -> None:
        like = torch.zeros((), dtype=torch.float64)
        self.cell, self.problem = cell, CellProblem(cell, like)
        self.train = random_paths(BOX, paths, 3, 6, seed=0)
        answers, seconds = timed(lambda: follow(self.problem, BOX, self.train))
        self.snapshots = snapshots_of(self.problem, self.train, answers)
        self.unseen = random_paths(BOX, 8, 3, 6, seed=1)
        self.cycle, _ = timed(lambda: follow(self.problem, BOX, CYCLE))
        self.random, self.seconds = timed(lambda: follow(self.problem, BOX, self.unseen))
        size, points = self.problem.size, len(self.problem.points)
        print(f"{len(cell.mesh.cells)} {cell.mesh.element}, {size} unknowns, {points} points")
        print(f"{len(self.snapshots)} snapshots of {paths} paths: {seconds:.1f} s CPU")
        iterations = torch.stack([m.iterations for m in answers]).double().mean()
        each = 1e3 * self.seconds / self.unseen[..., 0].numel()
        print(f"a step of the full cell: {each:.1f} ms CPU, {float(iterations):.1f} iterations\n")

    def row(self, name: str, problem: Worlds) -> None:
        """Errors and cost of what stands for the cell."""
        cycle = errors(follow(problem, BOX, CYCLE), self.cycle)
        found, seconds = timed(lambda: follow(problem, BOX, self.unseen))
        random = errors(found, self.random)
        print(
            f"{name:28s} {len(problem.points):6d} {float(cycle):9.3f} {float(random.median()):9.3f}"
            f" {float(random.max()):9.3f} {self.seconds / seconds:8.1f}"
        )

    def loading(self) -> Modes:
        """Modes of ways from rest in six steps, of as many snapshots."""
        z = straight(BOX.sample(len(self.snapshots) // 6, 0)[:, None], 6)
        answers = follow(self.problem, BOX, z)
        return modes(self.problem, snapshots_of(self.problem, z, answers), 32)


def first(own: Modes, count: int) -> Modes:
    """The first of them."""
    return Modes(
        own.fluctuation[:, :count], own.strain[..., :count], own.stress[..., :count],
        own.weight, own.metric, own.values,
    )  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--divisions", type=int, default=4)
    parser.add_argument("--element", default="quad8")
    parser.add_argument("--balls", type=int, default=3, help="discs at random; 0: one fibre")
    parser.add_argument("--paths", type=int, default=12)
    given = parser.parse_args()
    torch.set_num_threads(1)
    n = given.divisions
    if given.balls:
        radius = (0.3 / given.balls / torch.pi) ** 0.5
        mesh = voxels(random_balls(given.balls, radius, dim=2), 4 * n, element=given.element)
    else:
        mesh = round_inclusion(0.3, (2 * n, n, n), element=given.element)
    alloy = J2Plasticity(70e9, 0.33, 250e6, 1e9, saturation=80e6, rate=15.0)
    bench = Bench(Cell(mesh, {"matrix": alloy, "fibre": LinearElastic(400e9, 0.2)}), given.paths)
    print(f"{'':28s} points   cycle %   median %  largest %   CPU ratio")
    whole, loading = modes(bench.problem, bench.snapshots, 32), bench.loading()
    kept: tuple[Modes, MagicPoints] | None = None
    for count in (8, 16, 32):
        own = first(whole, count)
        bench.row(f"{count} modes", ReducedProblem(bench.problem, own))
        other = first(loading, count)
        bench.row(f"{count} modes of loading alone", ReducedProblem(bench.problem, other))
        for tolerance in (3e-3, 3e-4):
            magic = magic_points(
                bench.problem, own, bench.snapshots, tolerance=tolerance, most=1000
            )
            name = f"{count} modes, magic, {tolerance:g}"
            bench.row(name, ReducedProblem(bench.problem, own, magic))
            if (count, tolerance) == (16, 3e-4):
                kept = own, magic
    assert kept is not None
    exact, slow = plate(FE2(bench.cell))
    found, fast = plate(FE2(bench.cell, modes=kept[0], magic=kept[1]))
    off = 100 * (found - exact).abs().max() / exact.abs().max()
    print(f"\nplate of 24 points pulled and let go, 16 modes, {len(kept[1].index)} points:")
    print(
        f"{slow:.1f} s and {fast:.1f} s CPU, {slow / fast:.1f} times; mean stress off {off:.3f} %"
    )


if __name__ == "__main__":
    main()
