# SPDX-License-Identifier: Apache-2.0
"""Bodies of two scales: FE², the learned cell, both, and the microstructure resolved in full.

rheograd rve MESH --train --out runs/cell/law.safetensors
python tests/benchmarks/two_scales.py --cell MESH --law runs/cell/law.safetensors
python tests/benchmarks/two_scales.py

Without a cell a coarse one with a round fibre (20 quad4) is taken, and a law trained of it here.
Everything is timed in one process on one thread, by CPU seconds:

cells     a cell solved from rest with its tangent (median of unseen load cases), a plain scipy
          solution of the same (assembly by COO and a sparse LU in each iteration), and the learned
          stress with tangent in batches of 10,000 points
bodies    the bracket and the plate with a hole by each law: displacement, stress and force against
          FE², Newton's iterations, points out of the box, seconds; and on finer meshes
resolved  the bracket made of 3 (n N)² cells: N to the side of an element of the coarse mesh
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import splu
from torch import Tensor

from rheograd.engine.errors import SimulationError
from rheograd.engine.fem.integrators import Static
from rheograd.engine.homogenize.cell import Cell
from rheograd.engine.homogenize.fe2 import FE2
from rheograd.engine.homogenize.hybrid import Hybrid
from rheograd.engine.homogenize.load_space import LoadSpace
from rheograd.engine.homogenize.microstructures import parts, repeated, round_inclusion
from rheograd.engine.homogenize.problem import CellProblem
from rheograd.engine.homogenize.snapshots import make
from rheograd.engine.homogenize.training import Recipe, train
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.scene import Body, Scene
from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.law import ConstitutiveLaw
from rheograd.scenes import bracket, plate_with_hole
from rheograd.scenes.cells import published, read_cell

BATCH = 10_000
UNSEEN = 99
"""Seed of load cases that no training has seen."""
SMALL = Recipe(modes=8, cases=500, widths=(16, 16), branch=(16,), steps=40, iterations=200)
SETS = {"training": (40, 0), "validation": (10, 1), "test": (10, 2)}
SINK = 5e-3
"""Of the end of the bracket [m]."""
PULL = 2e7
"""Of the plate [Pa]."""


def coarse() -> Cell:
    """A round fibre, 30 %, in 20 elements."""
    return Cell(round_inclusion(0.3, (2, 1, 1), element="quad4"), published())


def learned(cell: Cell, extent: float, recipe: Recipe = SMALL) -> EquiNO:
    """A law of a cell, trained here."""
    problem = CellProblem(cell, torch.zeros((), dtype=torch.float64))
    space = LoadSpace.cube(2, extent, small=True)
    with tempfile.TemporaryDirectory() as folder:
        sets = make(problem, space, Path(folder) / "snapshots.h5", sets=SETS)
    return train(problem, space, sets, recipe).law


# cells


def scipy_solution(problem: CellProblem, F: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean stress and tangent by components, of one mean deformation (3, 3); nothing is kept.

    The laws are asked as in `CellProblem`; all else is as one writes it with scipy.
    """
    B, own = problem.B.numpy(), problem.layout.unknowns.numpy()
    weight, size, c = problem.points.weight.numpy(), problem.size, problem.c
    rows, columns = (np.broadcast_to(a, (*own.shape, own.shape[1])).ravel()
                     for a in (own[:, :, None], own[:, None, :]))  # fmt: skip
    w = np.zeros(size + 1)
    for _ in range(problem.most):
        at = problem.deformation(torch.from_numpy(w[None, :-1]), F[None])
        P, _, A = problem.points.linearize(at, F.new_zeros(1, 0), 1.0)
        stress = P.flatten(2)[0, :, problem.points.row].numpy() * weight[:, None]
        D = A[0].numpy() * weight[:, None, None]
        each = np.einsum("erk,er->ek", B, stress[:, :c].reshape(len(B), -1))
        force = np.bincount(own.ravel(), each.ravel(), size + 1)[:-1]
        DB = D[:, :c] @ B.reshape(-1, c, B.shape[2])
        K = np.swapaxes(B, 1, 2) @ DB.reshape(B.shape)
        matrix = sp.coo_matrix((K.ravel(), (rows, columns)), (size + 1, size + 1)).tocsc()
        factor = splu(matrix[:-1, :-1])
        if np.linalg.norm(force) <= problem.tolerance * np.linalg.norm(each):
            break
        w[:-1] -= factor.solve(force)
    by = np.swapaxes(B, 1, 2) @ np.swapaxes(D, 1, 2).reshape(len(B), -1, D.shape[1])
    L = np.stack(
        [np.bincount(own.ravel(), by[:, :, r].ravel(), size + 1) for r in range(len(D[0]))]
    )
    return stress.sum(0), D.sum(0) - L[:, :-1] @ factor.solve(L[:c, :-1].T)


@dataclass(frozen=True)
class Speed:
    """CPU seconds."""

    cell: float
    """Of a cell with its tangent, from rest; median of cells one by one."""
    batch: float
    """The same, mean of cells in one batch."""
    scipy: float
    """The same by scipy."""
    stress: float
    """Of a learned stress, a point."""
    tangent: float
    """Of a learned stress with its tangent, a point."""
    apart: float
    """Largest relative difference of the two tangents of cells."""


def spent(what: Any, times: int = 1) -> tuple[float, Any]:
    """Least CPU seconds of several calls, and what the last one gave."""
    best, out = float("inf"), None
    for _ in range(times):
        begun = time.process_time()
        out = what()
        best = min(best, time.process_time() - begun)
    return best, out


def speed(cell: Cell, law: EquiNO, cases: int, plain: int) -> Speed:
    """Of cells one by one, under load cases of the law's box, and of the law."""
    problem = CellProblem(cell, torch.zeros((), dtype=torch.float64))
    space = LoadSpace(law.lower, law.upper, small=True)
    F = space.deformation(space.sample(cases, UNSEEN))
    none = F.new_zeros(1, 0)
    problem.solve(F[:1], none, 1.0)  # orders the unknowns
    ours, theirs, apart = [], [], 0.0
    row, column = problem.points.row, problem.points.column
    for k in range(cases):
        seconds, found = spent(lambda k=k: problem.solve(F[k : k + 1], none, 1.0))
        ours.append(seconds)
        if k < plain:
            seconds, (_, C) = spent(lambda k=k: scipy_solution(problem, F[k]))
            theirs.append(seconds)
            own = found.tangent[0].reshape(9, 9)[row][:, column].numpy()
            apart = max(apart, float(np.linalg.norm(own - C) / np.linalg.norm(C)))
    batch, _ = spent(lambda: problem.solve(F, F.new_zeros(cases, 0), 1.0))
    many = space.deformation(space.sample(BATCH, UNSEEN + 1))
    empty = many.new_zeros(BATCH, 0)
    with torch.no_grad():
        stress, _ = spent(lambda: law.stress(many, empty), 5)
    tangent, _ = spent(lambda: law.linearize(many, empty, 1.0), 5)
    return Speed(
        median(ours), batch / cases, median(theirs), stress / BATCH, tangent / BATCH, apart
    )


# bodies


@dataclass(frozen=True)
class Run:
    """A body under its load."""

    x: Tensor
    """Displacements at the end [m], shape (n, 3)."""
    stress: Tensor
    """At the quadrature points [Pa], shape (p, 3, 3)."""
    force: float
    """On the end of the bracket [N]; of the plate its extension [m]."""
    iterations: int
    points: int
    strain: float
    """Largest component at a point [-]."""
    outside: int
    """Points beyond the box of the law at the end."""
    solved: int
    """Cells."""
    seconds: float


def bent(law: ConstitutiveLaw, n: int, kind: Any = "quad8", sink: float = SINK) -> Scene:
    """The bracket."""
    return bracket.build(law, kind=kind, n=n, sink=sink)


def holed(law: ConstitutiveLaw, n: int, kind: Any = "quad8", pull: float = PULL) -> Scene:
    """The plate."""
    return plate_with_hole.build(law, kind=kind, n=n, traction=pull)


def run(scene: Scene, steps: int = 4) -> Run:
    """Load a scene in steps."""
    solver = replace(bracket.solver(), integrator=Static(steps))
    begun = time.process_time()
    model = solver.discretize(scene)
    start = solver.start(model)
    state = solver.rollout(model, start, steps).last
    seconds = time.process_time() - begun
    summary = solver.summary(model, state)
    iterations, told = summary["newton_iterations"], summary.get("micro", {})
    x = (state.x - start.x).detach()
    far = start.x[:, 0] > start.x[:, 0].max() * (1 - 1e-6)
    force = float(x[far, 0].mean())
    if scene.name != "plate_with_hole":
        force = -float(state.carry["reaction"][far, 1].sum())
    outside = told.get("outside_box", {}).get("points", 0)
    H = state.F.detach() - torch.eye(3).to(x)
    largest = float(0.5 * (H + H.mT).abs().max())
    return Run(x, state.carry["tau"].detach(), force, iterations, len(state.F), largest, outside,
               told.get("cells_solved", 0), seconds)  # fmt: skip


def off(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference by that of what is expected."""
    return float((found - expected).norm() / expected.norm())


def compare(title: str, build: Any, cell: Cell, law: EquiNO, n: int) -> dict[str, Run]:
    """A body by each law, and the learned one on finer meshes; prints a table."""
    laws = {"FE²": FE2(cell), "EquiNO": law, "hybrid": Hybrid(law, FE2(cell))}
    runs: dict[str, Run] = {}
    for name, own in laws.items():
        try:
            runs[name] = run(build(own, n))
        except SimulationError as failure:  # a learned law far beyond its box
            print(f"{title}, {name}: {failure}")
    exact = runs["FE²"]
    print(f"\n{title}, n = {n}, {exact.points} points, strains up to "
          f"{100 * exact.strain:.2g} %: off FE² in percent")  # fmt: skip
    print("law          u       stress   force    Newton  outside  cells    CPU-s   ratio")
    for name, own in runs.items():
        errors = [off(own.x, exact.x), off(own.stress, exact.stress), own.force / exact.force - 1]
        told = "".join(f"{100 * abs(e):9.4f}" for e in errors)
        print(f"{name:<8}{told}{own.iterations:8d}{own.outside:9d}{own.solved:8d}"
              f"{own.seconds:9.2f}{exact.seconds / own.seconds:8.1f}", flush=True)  # fmt: skip
    return runs


def growth(build: Any, cell: Cell, law: EquiNO, exact: tuple[int, ...], most: int) -> None:
    """Seconds of whole runs by the number of points."""
    print("\nwhole runs of the bracket, CPU seconds\npoints   FE²      EquiNO   ratio    force [N]")
    a_cell = 0.0
    n = 1
    while n <= most:
        own = run(build(law, n))
        if n in exact:
            true = run(build(FE2(cell), n))
            a_cell = true.seconds / own.points
            said = f"{true.seconds:9.2f}{own.seconds:9.2f}{true.seconds / own.seconds:8.1f} "
        else:  # as many seconds a point as the last one
            guess = a_cell * own.points
            said = f"{guess:8.0f}*{own.seconds:9.2f}{guess / own.seconds:8.0f}*"
        print(f"{own.points:6d}{said}{own.force:12.6g}", flush=True)
        n *= 2
    print("* as many seconds a point as in the run before")


# in full


def resolved(cell: Cell, across: int, sink: float = SINK) -> Scene:
    """The bracket made of cells, so many across leg and arm."""
    side = bracket.SIDE / (2 * across)
    nodes = (cell.mesh.nodes - cell.mesh.nodes.amin(0)) * side / float(cell.periodicity.sides[0])
    small = replace(cell.mesh, nodes=nodes)
    whole = repeated(small, (2 * across, 2 * across), side)
    beyond = (whole.nodes[whole.cells].mean(1)[:, :2] > bracket.SIDE / 2).all(1)
    regions = {name: which[~beyond[which]] for name, which in whole.regions.items()}
    meshes = parts(replace(whole, regions=regions))
    bodies = [Body(meshes[name], law, 1.2e3, name=name) for name, law in cell.laws.items()]
    near = 1e-6 * bracket.SIDE
    boundaries = [
        Fixed(lambda X: X[:, 1] > bracket.SIDE - near, body="matrix"),
        Displacement(
            lambda X: X[:, 0] > bracket.SIDE - near, (0.0, -sink, 0.0), "y", body="matrix"
        ),
    ]
    return Scene(bodies, boundaries, (0.0, 0.0, 0.0), name="resolved")


def truth(cell: Cell, law: EquiNO, counts: tuple[int, ...], n: int) -> None:
    """The bracket in full against the learned law on a fine mesh, and FE² on the coarse one."""
    fine, solved = run(bent(law, 8)), run(bent(FE2(cell), n))
    print(f"\nthe bracket in full; force by EquiNO on {fine.points} points {fine.force:.6g} N, by "
          f"FE² on {solved.points} points {solved.force:.6g} N")  # fmt: skip
    print("cells across  unknowns   force [N]   EquiNO off   FE² off [%]   CPU-s")
    forces: list[float] = []
    for count in counts:
        own = run(resolved(cell, count))
        forces.append(own.force)
        errors = [100 * (r.force / own.force - 1) for r in (fine, solved)]
        print(f"{count:8d}{2 * len(own.x):14d}{own.force:14.6g}{errors[0]:12.3f}{errors[1]:14.3f}"
              f"{own.seconds:11.1f}", flush=True)  # fmt: skip
    if len(forces) > 2:
        a, b, c = forces[-3:]
        limit = c + (c - b) ** 2 / ((b - a) - (c - b))
        print(f"by Aitken's extrapolation of the last three {limit:.6g} N, which EquiNO is "
              f"{100 * (fine.force / limit - 1):.3f} % off")  # fmt: skip


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cell", type=Path, help="mesh of a cell; default: a coarse one")
    parser.add_argument("--law", type=Path, help="its law; default: trained here")
    parser.add_argument("--cases", type=int, default=50, help="cells that are timed")
    parser.add_argument("--plain", type=int, default=5, help="of these by scipy too")
    parser.add_argument("--n", type=int, default=2, help="elements across the bracket")
    parser.add_argument("--across", type=int, nargs="+", default=[4, 8, 16], metavar="N",
                        help="cells across the bracket in full")  # fmt: skip
    parser.add_argument("--only", choices=("cells", "bodies", "resolved"))
    found = parser.parse_args()
    torch.set_num_threads(1)
    cell = read_cell(found.cell) if found.cell else coarse()
    law = ConstitutiveLaw.load(found.law) if found.law else learned(cell, 0.04)
    assert isinstance(law, EquiNO)
    if found.only in (None, "cells"):
        own = speed(cell, law, found.cases, found.plain)
        print(f"a cell with tangent {1e3 * own.cell:.1f} ms, in a batch {1e3 * own.batch:.1f} ms, "
              f"by scipy {1e3 * own.scipy:.1f} ms (tangents {own.apart:.1e} apart)\nEquiNO "
              f"{1e6 * own.stress:.2f} us a point, with tangent {1e6 * own.tangent:.2f} us: ratio "
              f"{own.cell / own.tangent:.0f}, in a batch {own.batch / own.tangent:.0f}, of scipy "
              f"{own.scipy / own.tangent:.0f}", flush=True)  # fmt: skip
    if found.only in (None, "bodies"):
        compare("bracket", bent, cell, law, found.n)
        compare("plate with a hole", holed, cell, law, 3)
        growth(bent, cell, law, (1, 2), 8)
    if found.only in (None, "resolved") and found.cell is None:
        truth(cell, law, tuple(found.across), found.n)


if __name__ == "__main__":
    main()
