# SPDX-License-Identifier: Apache-2.0
"""A bar of plasticine between two grips, pulled until it thins."""

from __future__ import annotations

import torch

from rheograd.engine.boundaries import Grip, Motion
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Hencky
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import VonMises

CELL = 0.024
DURATION = 0.4
DOMAIN = Domain((0.0, 0.0, 0.0), (0.96, 0.312, 0.312))
LENGTH, WIDTH, HELD = 0.4, 0.12, 0.06
"""Of the bar, its square section, and how much of it each grip holds [m]."""
START = 0.06
"""Where the bar begins along x [m]."""


def build(
    law: ConstitutiveLaw | None = None,
    *,
    speed: float = 0.2,
    twist: float = 0.0,
    young: float = 3e5,
    poisson: float = 0.4,
    yield_stress: float = 1.5e4,
    density: float = 1500.0,
) -> Scene:
    """The scene.

    Args:
        law: What the bar is made of; plasticine if None.
        speed: Of the grip that moves [m/s].
        twist: Of that grip about the bar [rad/s].
        young: Young's modulus of the default law [Pa].
        poisson: Poisson's ratio of the default law.
        yield_stress: Of the default law [Pa].
        density: [kg/m³]
    """
    stuff = law or ElastoPlastic(
        Hencky(young=young, poisson=poisson), VonMises(yield_stress=yield_stress)
    )
    middle = 0.156
    bar = Box((LENGTH, WIDTH, WIDTH), (START + LENGTH / 2, middle, middle))
    jaw = (2 * HELD, WIDTH + 2 * CELL, WIDTH + 2 * CELL)
    still = Grip(Box(jaw, (START, middle, middle)))
    pulled = Grip(
        Box(jaw, (START + LENGTH, middle, middle)),
        Motion((speed, 0.0, 0.0), (twist, 0.0, 0.0)),
    )
    body = Body(bar, stuff, density, name="bar")
    return Scene([body], [still, pulled], (0.0, 0.0, 0.0), DURATION, DOMAIN, name="taffy_pull")


def solver() -> MPMSolver:
    """Coarse enough to run in seconds."""
    return MPMSolver(CELL)


def check(trajectory: Trajectory, *, speed: float = 0.2, twist: float = 0.0) -> None:
    """What the grips hold moves with them, and the bar thins between them.

    Raises:
        AssertionError: It does not.
    """
    x, time = trajectory.x.double(), trajectory.time
    along = x[0, :, 0] - START
    held, pulled = along < 0.5 * HELD, along > LENGTH - 0.5 * HELD
    slip = float((x[:, held] - x[0, held]).norm(dim=2).max())
    assert slip < 0.1 * CELL, f"the bar slips out of the grip at rest, by {slip:.2g} m"
    if twist == 0.0:
        way = x[:, pulled] - x[0, pulled]
        way[..., 0] -= speed * (time - time[0])[:, None]
        slip = float(way.norm(dim=2).max())
        assert slip < 0.1 * CELL, f"the bar slips out of the grip that moves, by {slip:.2g} m"
    before, after = thinnest(x[0]), thinnest(x[-1])
    stretch = speed * float(time[-1]) / (LENGTH - 2 * HELD)
    if twist == 0.0 and stretch > 0.15:
        assert after < 0.93 * before, (
            f"the bar is {after:.3g} m thick after a stretch of {100 * stretch:.0f} %, no less"
            f" than the {before:.3g} m before"
        )


def thinnest(x: torch.Tensor) -> float:
    """Least thickness [m] of slices across the bar; x of shape (n, 3)."""
    slices = torch.floor(x[:, 0] / (2 * CELL)).long()
    inner = slices.unique()[2:-2].tolist()
    spans = [x[slices == number, 1] for number in inner]
    return min(float(span.max() - span.min()) for span in spans if len(span))
