# SPDX-License-Identifier: Apache-2.0
"""A spinning cube thrown to the floor: the published NCLaw experiment, settings and all.

Ma et al. 2023, "Learning Neural Constitutive Laws From Motion Observations for Generalizable PDE
Dynamics". A cube of side 0.5 m and 1000 particles in a unit box of 20 nodes a side; steps of
5e-4 s; walls free-slip and separating.
"""

from __future__ import annotations

import torch

from rheograd.engine.boundaries import Vector
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.reduced.variation import Table, Uniform
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Particles
from rheograd.engine.suggestion import did_you_mean
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky, Volumetric
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import DruckerPrager, FluidReset, VonMises

CELL = 1 / 20
SIDE = 0.5
PER_SIDE = 10

MATERIALS = ("jelly", "plasticine", "sand", "water")

VARY: Table = {
    "velocity": {
        "velocity": Uniform((-2.0, -2.0, -2.0), (2.0, 0.0, 2.0)),
        "spin": Uniform((-4.0, -4.0, -4.0), (4.0, 4.0, 4.0)),
    }
}


def published_law(name: str) -> ConstitutiveLaw:
    """One of the four published materials.

    Raises:
        ValueError: There is no such material.
    """
    if name == "jelly":
        return Corotated(young=1e5, poisson=0.2)
    if name == "plasticine":
        return ElastoPlastic(Hencky(young=3e5, poisson=0.25), VonMises(yield_stress=5e3))
    if name == "sand":
        return ElastoPlastic(
            Hencky(young=1e6, poisson=0.2), DruckerPrager(friction_angle=25.0, cohesion=0.0)
        )
    if name == "water":
        return ElastoPlastic(Volumetric(young=1e5, poisson=0.3), FluidReset())
    raise ValueError(
        f"unknown material {name!r}{did_you_mean(name, MATERIALS)}: there are"
        f" {', '.join(MATERIALS)}"
    )


def cube() -> Particles:
    """The lattice of the published body: from face to face, ends included."""
    axis = torch.linspace(0.25, 0.75, PER_SIDE, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis, axis)
    return Particles(x, torch.full((len(x),), SIDE**3 / len(x), dtype=torch.float64))


def build(
    law: ConstitutiveLaw | None = None,
    *,
    material: str = "jelly",
    velocity: Vector = (1.0, -1.5, -2.0),
    spin: Vector = (4.0, 4.0, 4.0),
) -> Scene:
    """The scene.

    Args:
        law: What the cube is made of; the named material if None.
        material: jelly, plasticine, sand or water.
        velocity: Of the cube's centre [m/s].
        spin: About its centre [rad/s].
    """
    body = Body(cube(), law or published_law(material), 1e3, velocity, spin, name="cube")
    low, high = 2 * CELL, 1 - 2 * CELL
    domain = Domain((low, low, low), (high, high, high))
    return Scene([body], gravity=(0.0, -9.8, 0.0), duration=0.5, domain=domain, name="nclaw")


def solver() -> MPMSolver:
    """The published numerical choices."""
    return MPMSolver(CELL, 5e-4, mass_offset=1e-7)


def check(trajectory: Trajectory) -> None:
    """The cube stays in its box and comes lower than it started.

    Raises:
        AssertionError: It did not.
    """
    x = trajectory.x
    assert float(x.min()) > 0.0 and float(x.max()) < 1.0, "particles left the box"
    assert float(x[-1, :, 1].mean()) < float(x[0, :, 1].mean()), "the cube did not fall"
