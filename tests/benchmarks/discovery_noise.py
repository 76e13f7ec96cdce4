# SPDX-License-Identifier: Apache-2.0
"""Terms found in the motion of a plate with a hole, against errors of its displacements.

python tests/benchmarks/discovery_noise.py [--noise X ...] [--seeds N] [--side N] [--finer N] ...

A quarter of a plate of 2 m by 1 m with a hole of 0.2 m in radius, N by N quad8 in plane strain, is
stretched by a quarter in four steps; each displacement of a node has an independent error, a share
X of the pull of 0.25 m (a quarter of the plate's length that is seen). The law is (Ī₁ − 3),
(Ī₂ − 3) and (J − 1)². With --finer the motion is that of a mesh of so many times as many elements
along each side, of which only the nodes nearest to those of the coarse one are seen. With --every M
only those nearest to nodes of a mesh of N/M elements along each side are seen.

Prints markdown: how often the terms were these, the root mean square error of each weight and of
the standard deviation that was told for it, and the error of displacements that was found along,
relative to the true one.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import torch

from rheograd.engine.discovery.from_motion import MeasuredMotion, held_by
from rheograd.engine.discovery.motion_search import found_in_motion
from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.generators import plate_with_hole
from rheograd.engine.observations.force_curve import ForceCurve
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.simulate import simulate
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.energies.symbolic import Symbolic

TRUE = {"(I1bar - 3)": 2e5, "(I2bar - 3)": 1e5, "(J - 1)**2": 5e5}
PULL = 0.25


def main() -> None:
    """Find and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--noise", type=float, nargs="+", default=[1e-5, 1e-4, 5e-4, 1e-3, 2e-3, 4e-3, 1e-2]
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--side", type=int, default=4)
    parser.add_argument("--finer", type=int, default=1)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--terms", default="mooney-rivlin,volume")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    exact, force = seen(asked.side, asked.finer)
    if asked.every > 1:
        few = torch.cdist(pulled(asked.side // asked.every).x[0], exact.x[0]).argmin(1)
        exact.x[1:, [k for k in range(exact.x.shape[1]) if k not in few.tolist()]] = torch.nan
    print("| noise | terms | error of weights | told | noise found | time |")
    print("|---|---|---|---|---|---|", flush=True)
    for noise in asked.noise:
        print(row(exact, force, noise, asked.seeds, asked.terms.split(",")), flush=True)


def pulled(side: int) -> Trajectory:
    """The motion of the plate."""
    law = Symbolic(" + ".join(f"{w}*{name}" for name, w in TRUE.items()))
    mesh = plate_with_hole(0.5, 0.2, (side, side), element="quad8", length=1.0)
    scene = Scene(
        [Body(mesh, law, 1e3, name="plate")],
        [Fixed("x-", "x"), Fixed("y-", "y"), Displacement("x+", (PULL, 0.0, 0.0), "x")],
        (0.0, 0.0, 0.0),
        domain=Domain((0.0, 0.0, -0.05), (1.5, 0.6, 0.05)),
    )
    return simulate(scene, FESolver(integrator=Static(4)), frames=5).to(dtype=torch.float64)


def seen(side: int, finer: int) -> tuple[Trajectory, ForceCurve]:
    """What is measured but for its errors: on the coarse mesh, and the force."""
    fine, coarse = pulled(side * finer), pulled(side)
    nearest = torch.cdist(coarse.x[0], fine.x[0]).argmin(1)
    if len(nearest.unique()) < len(nearest):
        raise ValueError("two nodes of the coarse mesh are one of the fine: choose another --finer")
    right = fine.x[0, :, 0] > fine.x[0, :, 0].max() - 1e-6
    force = fine.fields["reaction"][:, right, 0].sum(1)
    nodes = torch.nonzero(coarse.x[0, :, 0] > coarse.x[0, :, 0].max() - 1e-6).flatten()
    axis = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    return replace(coarse, x=fine.x[:, nearest]), ForceCurve(coarse.time, force, nodes, axis)


def row(exact: Trajectory, force: ForceCurve, noise: float, seeds: int, families: list[str]) -> str:
    """Of one size of errors."""
    right, errors, told, found, seconds = 0, [], [], [], time.perf_counter()
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        x = exact.x.clone()
        x[1:, :, :2] += noise * PULL * torch.randn(x[1:, :, :2].shape, generator=generator).double()
        measured = MeasuredMotion.of(replace(exact, x=x), force, held_by(exact))
        one = found_in_motion(measured, families=families, draws=0)
        chosen = one.discovery.chosen
        found.append(one.noise / (noise * PULL))
        if {p.term.name for p in chosen.parts} != TRUE.keys():
            continue
        right += 1
        by_name = {p.term.name: k for k, p in enumerate(chosen.parts)}
        order = [by_name[name] for name in TRUE]
        true = np.array(list(TRUE.values()))
        errors.append((chosen.weights[order] - true) / true)
        told.append(one.discovery.std[order] / true)
    taken = (time.perf_counter() - seconds) / seeds
    return (
        f"| {noise:.0e} | {right} of {seeds} | {_percent(errors)} | {_percent(told)} |"
        f" {np.mean(found):.2f} | {taken:.1f} s |"
    )


def _percent(rows: list[np.ndarray]) -> str:
    if not rows:
        return "–"
    return ", ".join(f"{100 * v:.2g}" for v in np.sqrt(np.mean(np.square(rows), 0))) + " %"


if __name__ == "__main__":
    main()
