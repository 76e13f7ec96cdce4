# SPDX-License-Identifier: Apache-2.0
"""One law, two solvers: learned from particles and used on a mesh, and the other way round.

rheograd run nclaw --material jelly --steps 1000 --every 5 --out jelly.npz
rheograd fit nclaw jelly.npz --material jelly --law invariant-smooth --stress-scale 3e4 --out soft
python tests/benchmarks/two_solvers.py soft/law.safetensors [LAW.safetensors ...]

A law that was trained on a thrown cube of particles (jelly of Ma et al. 2023) moves a ball of
finite elements that falls on a floor, by implicit steps where it has a derivative at rest, else by
explicit ones. Then a network is trained on a shaken block of finite elements, from the positions of
its nodes alone, and moves a ball of particles. Each is compared with what the true law does in
the same solver, by the root mean square distance over all points and times, and with what the law
before its training does (law_start.safetensors beside the law).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from rheograd.engine.errors import SimulationError
from rheograd.engine.fem.integrators import CentralDifferences, GeneralizedAlpha
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.fit.learn import fit
from rheograd.engine.fit.recipe import Recipe
from rheograd.engine.loads import Fixed
from rheograd.engine.observations.observation import Positions
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Solver
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantSmooth
from rheograd.scenes import drop, nclaw

FRAMES = 60
STEP = 5e-4
"""Of all solvers [s], as in the training: the flow of a learned plasticity is so much a step."""
PARTICLES = replace(drop.solver(), dt=STEP)
SOFT = 3e4
"""Expected stress that networks start from [Pa]; one of 1e5 happens to start near the jelly."""


@dataclass(frozen=True)
class Comparison:
    """A motion by a learned law beside that by the true one."""

    distance: float
    """Root mean square over points and frames [m]."""
    path: float
    """The same of the true motion from where it starts [m]."""
    centre: float
    """Largest distance of the centres of mass [m]."""
    seconds: float


def compare(found: Trajectory, true: Trajectory, seconds: float) -> Comparison:
    """Two motions of the same points."""
    a, b = found.x.double(), true.x.double()
    return Comparison(
        float((a - b).square().sum(2).mean().sqrt()),
        float((b - b[0]).square().sum(2).mean().sqrt()),
        float((a.mean(1) - b.mean(1)).norm(dim=1).max()),
        seconds,
    )


def jelly() -> ConstitutiveLaw:
    """The true law."""
    return nclaw.build(material="jelly").bodies[0].law


def ball(law: ConstitutiveLaw) -> Scene:
    """Another shape than the law was trained on."""
    return drop.build(
        law, shape="sphere", size=0.3, height=0.05, velocity=(0.5, -2.0, 0.0), friction=0.0
    )


def beside(law: ConstitutiveLaw, solver: Solver) -> Comparison | None:
    """The ball by a law and by the true one; None if the law does not survive the fall."""
    begun = time.process_time()
    try:
        found = simulate(ball(law), solver, frames=FRAMES)
    except SimulationError as failure:
        print(f"    {failure}", flush=True)
        return None
    seconds = time.process_time() - begun
    return compare(found, simulate(ball(jelly()), solver, frames=FRAMES), seconds)


def mesh_solver(law: ConstitutiveLaw) -> FESolver:
    """Implicit steps where the law allows them."""
    if law.smooth_at_rest:
        return replace(drop.fe_solver(), integrator=GeneralizedAlpha(STEP), contact=10.0)
    return replace(drop.fe_solver(), integrator=CentralDifferences(STEP), contact=10.0)


def trained_on_a_mesh(epochs: int) -> tuple[ConstitutiveLaw, ConstitutiveLaw]:
    """A network that has seen the nodes of a shaken block, and the same before that.

    The block stands on a clamped base and nothing touches it: the stiffness of contact would be
    made of the network's own modulus and change as it learns.
    """
    solver = replace(
        drop.fe_solver(), size=1 / 16, integrator=CentralDifferences(STEP), precision="float32"
    )

    def block(law: ConstitutiveLaw) -> Scene:
        thrown = Body(Box((0.25, 0.25, 0.25)), law, 1e3, (1.5, -1.0, 0.8), (0.0, 8.0, 0.0))
        return Scene([thrown], [Fixed("y-")], duration=0.25, name="shaken")

    seen = Positions(simulate(block(jelly()), solver, every=5))
    law, start = (InvariantSmooth(SOFT, seed=0).float() for _ in range(2))
    recipe = replace(Recipe.suited(law, states="positions"), epochs=epochs)
    with tempfile.TemporaryDirectory() as folder:
        fit(block(law), solver, seen, folder=folder, truth=block(jelly()), recipe=recipe)
    return law, start


def tell(name: str, where: str, law: ConstitutiveLaw, start: ConstitutiveLaw) -> None:
    """A line on a law in one of the solvers, and on the law before its training."""
    meshed = where == "finite elements"
    kind = torch.float64 if meshed else torch.float32
    law, start = law.to(kind), start.to(kind)
    one, before = (
        beside(each, mesh_solver(each) if meshed else PARTICLES) for each in (law, start)
    )
    untrained = "fails" if before is None else f"{1e3 * before.distance:.1f} mm"
    said = "fails" if one is None else (
        f"{1e3 * one.distance:.2f} mm from the true motion,"
        f" {100 * one.distance / one.path:.1f} % of its path;"
        f" centre within {1e3 * one.centre:.2f} mm; {one.seconds:.0f} CPU-s"
    )  # fmt: skip
    print(f"{name}, {where}: {said}; before training {untrained}", flush=True)


def main() -> None:
    """All comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("laws", nargs="*", type=Path)
    parser.add_argument("--epochs", type=int, default=60)
    found = parser.parse_args()
    torch.set_num_threads(1)
    for path in found.laws:
        law = ConstitutiveLaw.load(path)
        start = ConstitutiveLaw.load(path.with_name("law_start.safetensors"))
        for where in ("particles", "finite elements"):
            tell(f"{law.name}, learned from particles", where, law, start)
    if found.epochs:
        law, start = trained_on_a_mesh(found.epochs)
        for where in ("particles", "finite elements"):
            tell(f"{law.name}, learned from a mesh", where, law, start)


if __name__ == "__main__":
    main()
