# SPDX-License-Identifier: Apache-2.0
"""Does a bouncing body of a learned law gain energy?

    python tests/benchmarks/energy_drift.py --picture docs/energy_drift.png --json drift.json

Laws with an energy and laws without are trained on the same stresses: those of a neo-Hookean solid
at stretches up to 35 %, by the same number of steps. A cube of each is dropped, spinning, and runs
for 20,000 steps, by material points (whose transfers damp) and by finite elements with central
differences (which do not). Its energy is

    E = kinetic + weight + elastic (where the law has an energy)

and without the last term it is a lower bound: what a law without an energy stores is not counted.
By material points the affine part of the motion counts as kinetic energy. What E exceeds its value
at the start by is a gain; the analytic law's own, at the same step, is the integrator's.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from law_figures import HEADS, figures, share, strained
from torch import Tensor

from rheograd.engine.boundaries import Floor
from rheograd.engine.errors import SimulationError
from rheograd.engine.fem.energies import elastic_densities, kinetic_energies, momentum
from rheograd.engine.fem.integrators import CentralDifferences
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.mesh.generators import box
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.state import State
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.energies.cann import CANN
from rheograd.materials.energies.polyconvex import Polyconvex
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import (
    InvariantFull,
    InvariantFullElasticity,
    InvariantSmoothElasticity,
)
from rheograd.materials.learned.isotropic import IsotropicElasticity

YOUNG, POISSON, DENSITY = 1e5, 0.3, 1e3
SIDE, HEIGHT, GRAVITY = 0.4, 0.3, 9.81
"""Of the cube, and of its lowest face over the floor [m]; [m/s²]."""
SPIN = (1.0, 0.5, 0.8)
"""[rad/s]"""
STRETCH, POINTS = 0.3, 1024
"""Largest logarithmic strain of the stresses that are learned, and their number."""
EVERY = 20
"""Steps between two looks at the energy."""

LAWS: dict[str, tuple[Callable[[], ConstitutiveLaw], float]] = {
    "neo-hookean": (lambda: NeoHookean(young=YOUNG, poisson=POISSON), 0.0),
    "polyconvex": (lambda: Polyconvex(3e4, seed=0), 1e-2),
    "cann": (lambda: CANN(3e4), 1e-2),
    "isotropic-elasticity": (lambda: IsotropicElasticity(YOUNG, seed=0), 3e-3),
    "invariant-smooth-elasticity": (lambda: InvariantSmoothElasticity(YOUNG, seed=0), 3e-3),
    "invariant-full-elasticity": (lambda: InvariantFullElasticity(YOUNG, seed=0), 3e-3),
    "invariant-full": (lambda: InvariantFull(YOUNG, seed=0), 3e-3),
}
"""By name: the law before training, and the rate at which it is trained."""


def learn(name: str, epochs: int) -> tuple[ConstitutiveLaw, float]:
    """A law, trained on neo-Hookean stresses without flow, and its error of new stresses [-]."""
    make, rate = LAWS[name]
    law, true = make(), LAWS["neo-hookean"][0]()
    F, new = (strained(STRETCH, POINTS, seed).float() for seed in (1, 2))
    with torch.no_grad():
        tau, expected = (true.stress(f, true.rest_internal(POINTS, f)) for f in (F, new))
    free = [p for p in law.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(free, lr=rate or 1e-3)
    for step in range(epochs if rate else 0):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / epochs)
        out = law.update(F, law.rest_internal(POINTS, F), 1e-3)
        gap = (out.tau - tau).square().sum() / tau.square().sum()
        flow = (out.F_elastic - F).square().sum() / (F - torch.eye(3)).square().sum()
        optimizer.zero_grad()
        (gap + flow).backward()
        optimizer.step()
    law.requires_grad_(False)
    return law, share(law.stress(new, law.rest_internal(POINTS, new)) - expected, expected)


def scene(law: ConstitutiveLaw, shape: Any) -> Scene:
    """A spinning cube over the floor."""
    body = Body(shape, law, DENSITY, spin=SPIN, name="cube")
    domain = Domain((0.0, 0.0, 0.0), (1.4, 1.4, 1.4))
    return Scene([body], [Floor()], (0.0, -GRAVITY, 0.0), 1e3, domain, name="energy_drift")


def particles(law: ConstitutiveLaw, steps: int, dt: float) -> Iterator[float]:
    """Energy by material points [J], at the start and every EVERY steps."""
    solver = MPMSolver(cell=0.1, dt=dt)
    model = solver.discretize(scene(law, Box((SIDE, SIDE, SIDE), (0.7, HEIGHT + SIDE / 2, 0.7))))
    mass = (model.density * model.volume).double()

    def energy(state: State) -> float:
        C, x, v = state.carry["C"].double(), state.x.double(), state.v.double()
        affine = 0.25 * model.grid.cell**2 * C.square().sum((1, 2))
        kinetic = 0.5 * mass @ (v.square().sum(1) + affine)
        stored = law.energy(state.F, state.internal)
        elastic = 0.0 if stored is None else model.volume.double() @ stored.detach().double()
        return float(kinetic + GRAVITY * (mass @ (x[:, 1] - SIDE / 2)) + elastic)

    yield from _energies(solver, model, steps, energy)


def elements(law: ConstitutiveLaw, steps: int, dt: float) -> Iterator[float]:
    """Energy by finite elements [J], likewise."""
    solver = FESolver(integrator=CentralDifferences(dt))
    mesh = box((SIDE,) * 3, (2, 2, 2), corner=(0.5, HEIGHT, 0.5))
    model = solver.discretize(scene(law, mesh))

    def energy(state: State) -> float:
        weight = momentum(model, torch.ones_like(state.x))[:, 1].double()
        height = float(weight @ (state.x[:, 1].double() - SIDE / 2))
        stored, elastic = elastic_densities(model, state), 0.0
        if stored is not None:
            volume = model.geometry(model.x0.detach()).weight.reshape(-1)
            elastic = float((stored * volume).sum())
        return float(kinetic_energies(model, state.v).sum()) + GRAVITY * height + elastic

    yield from _energies(solver, model, steps, energy)


def _energies(
    solver: Any, model: Any, steps: int, energy: Callable[[State], float]
) -> Iterator[float]:
    state = solver.start(model)
    yield energy(state)
    for _ in range(steps // EVERY):
        try:
            state = solver.rollout(model, state, EVERY).last
        except SimulationError:
            return
        yield energy(state)


WAYS = {"particles": (particles, 1e-3), "elements": (elements, 1e-3)}
"""Discretizations, and their steps [s]."""


def run(name: str, way: str, steps: int, dt: float, law: ConstitutiveLaw) -> dict[str, Any]:
    """The energy of a law over a run, by that at the start."""
    began = time.perf_counter()
    energies = torch.tensor(list(WAYS[way][0](law, steps, dt)), dtype=torch.float64)
    shares = energies / energies[0]
    finite = bool(shares.isfinite().all()) and len(shares) == steps // EVERY + 1
    return {
        "law": name, "way": way, "dt": dt, "steps": steps, "gain": float(shares.max()) - 1,
        "last": float(shares[-len(shares) // 10 :].max()), "whole": finite,
        "ended": (len(shares) - 1) * EVERY, "shares": shares.tolist(),
        "seconds": time.perf_counter() - began,
    }  # fmt: skip


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Energies over time."""
    from matplotlib.figure import Figure

    ways = list(dict.fromkeys(one["way"] for one in found))
    figure = Figure(figsize=(5.5 * len(ways), 3.6), layout="constrained")
    for axis, way in zip(figure.subplots(1, len(ways), squeeze=False)[0], ways, strict=True):
        for one in found:
            if one["way"] == way and one["dt"] == WAYS[way][1]:
                time_of = [k * EVERY * one["dt"] for k in range(len(one["shares"]))]
                axis.plot(time_of, smooth(one["shares"]), label=one["law"], linewidth=1)
        axis.set(xlabel="time [s]", ylabel="largest E / E at the start", title=way, ylim=(0, 2))
        axis.axhline(1, color="grey", linewidth=0.5)
    figure.axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=110)


def smooth(shares: list[float], window: int = 25) -> Tensor:
    """The largest of half a second: what is stored in a contact is not always counted."""
    padded = torch.nn.functional.pad(torch.tensor(shares)[None], (window // 2,) * 2, value=0.0)
    return torch.nn.functional.max_pool1d(padded, window, 1)[0]


def main() -> None:
    """Train the laws, run them, print what they gained."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--laws", nargs="+", choices=LAWS, default=list(LAWS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=400, help="of training on stresses")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--earlier", nargs="*", type=Path, default=[],
                        help="JSON of other runs, which the picture shows too")  # fmt: skip
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message=".*particles a cell")
    laws = {name: learn(name, options.epochs) for name in options.laws}
    print(f"| law | stress error | {HEADS} |\n|---|---|---|---|---|---|")
    for name, (law, error) in laws.items():
        print(f"| {name} | {100 * error:.2g} % | {figures(law).row} |", flush=True)
    print("\n| law | way | step | gain | last tenth | steps | s |\n|---|---|---|---|---|---|---|")
    found = []
    for way in options.ways:
        for name, (law, _) in laws.items():
            steps = [WAYS[way][1] * f for f in ((1.0, 0.5) if name == "neo-hookean" else (1.0,))]
            for dt in steps:
                one = run(name, way, options.steps, dt, law)
                found.append(one)
                figures_of = f"{one['gain']:+.2e} | {one['last']:.3f} | {one['ended']}"
                print(f"| {name} | {way} | {dt:g} s | {figures_of} | {one['seconds']:.0f} |",
                      flush=True)  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(found) + "\n")
    if options.picture:
        earlier = [one for path in options.earlier for one in json.loads(path.read_text())]
        draw([*earlier, *found], options.picture)


if __name__ == "__main__":
    main()
