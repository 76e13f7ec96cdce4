# SPDX-License-Identifier: Apache-2.0
"""Three bodies of different materials collide in free space."""

from __future__ import annotations

import torch

from rheograd.engine.boundaries import Vector
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box, Capsule, Sphere
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky, NeoHookean
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import VonMises

CELL = 1 / 25
DURATION = 0.25
DENSITY = {"jelly": 1000.0, "plasticine": 1800.0, "rubber": 1100.0}
"""[kg/m³]"""
SHAPES = {
    "jelly": Box((0.2, 0.2, 0.2), (0.28, 0.5, 0.5), (0.0, 0.3, 0.2)),
    "plasticine": Sphere(0.11, (0.55, 0.54, 0.5)),
    "rubber": Capsule(0.07, 0.14, (0.8, 0.47, 0.48), (0.5, 0.0, 0.0)),
}


def build(
    law: ConstitutiveLaw | None = None,
    *,
    speed: float = 2.0,
    spin: Vector = (0.0, 0.0, 6.0),
) -> Scene:
    """The scene.

    Args:
        law: What the box is made of; a soft corotated jelly if None.
        speed: At which the outer two approach the one in the middle [m/s].
        spin: Of the box [rad/s].
    """
    laws = {
        "jelly": law or Corotated(young=1e5, poisson=0.2),
        "plasticine": ElastoPlastic(Hencky(young=3e5, poisson=0.25), VonMises(yield_stress=5e3)),
        "rubber": NeoHookean(young=2e5, poisson=0.4),
    }
    velocities = {"jelly": (speed, 0.0, 0.0), "rubber": (-speed, 0.0, 0.0)}
    still = (0.0, 0.0, 0.0)
    bodies = [
        Body(
            SHAPES[name], laws[name], DENSITY[name], velocities.get(name, still),
            spin if name == "jelly" else still, name=name,
        )
        for name in SHAPES
    ]  # fmt: skip
    return Scene(bodies, gravity=still, duration=DURATION, name="contact")


def solver() -> MPMSolver:
    """Coarse enough to run in seconds."""
    return MPMSolver(CELL)


def check(trajectory: Trajectory) -> None:
    """Momentum is kept, energy is not made, and all three were moved by the others.

    Raises:
        AssertionError: It is not so.
    """
    assert trajectory.v is not None, "the velocities were not recorded"
    v = trajectory.v.double()
    mass = masses(trajectory.body)
    momentum = (mass[:, None] * v).sum(1)
    scale = float((mass * v[0].norm(dim=1)).sum())
    lost = float((momentum - momentum[0]).norm(dim=1).max()) / scale
    assert lost < 1e-4, f"{100 * lost:.2g} % of the momentum was lost or made"
    energy = (0.5 * mass * v.square().sum(-1)).sum(1)
    assert float(energy.max()) < 1.001 * float(energy[0]), "kinetic energy was made"
    centre = [v[:, trajectory.body == k].mean(1) for k in range(len(SHAPES))]
    if float(trajectory.time[-1]) >= 0.2:
        for name, own in zip(SHAPES, centre, strict=True):
            change = float((own[-1] - own[0]).norm())
            assert change > 0.1, f"{name} was not moved: its velocity changed by {change:.2g} m/s"


def masses(body: torch.Tensor) -> torch.Tensor:
    """Mass of each particle [kg], shape (n,), from the body it belongs to, shape (n,)."""
    mass = torch.zeros(len(body), dtype=torch.float64)
    for number, (name, shape) in enumerate(SHAPES.items()):
        own = body == number
        mass[own] = DENSITY[name] * shape.volume / int(own.sum())
    return mass
