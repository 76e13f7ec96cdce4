# SPDX-License-Identifier: Apache-2.0
"""A block, or a heap of sand, on an inclined plane: it sticks or slides as Coulomb says."""

from __future__ import annotations

import math
from typing import Literal

import torch

from rheograd.engine.boundaries import Collider, HalfSpace, Vector
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Hencky, NeoHookean
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import DruckerPrager

CELL = 0.04
GRAVITY = 9.81
DURATION = 0.5
HEAP_ANGLE = 25.0
"""Inner friction of the sand in triaxial compression [deg]."""
DOMAIN = Domain((0.0, 0.0, 0.0), (2.0, 1.2, 0.4))
FOOT = (0.3, 0.85, 0.2)
"""Where the body stands on the plane [m]; it descends along x."""


def build(
    law: ConstitutiveLaw | None = None,
    *,
    body: Literal["block", "heap"] = "block",
    angle: float = 25.0,
    friction: float = 0.2,
    young: float = 1e6,
    density: float = 1e3,
) -> Scene:
    """The scene.

    Args:
        law: What the body is made of; an elastic block or Drucker-Prager sand if None.
        body: block, or a brick of sand that slumps to a heap.
        angle: Of the plane to the horizontal [deg].
        friction: Coulomb coefficient of the plane; a block slides below tan(angle).
        young: Young's modulus of the default law [Pa].
        density: [kg/m³]
    """
    if not 0.0 <= angle < 60.0:
        raise ValueError(f"the angle of the slope is 0 to 60 degrees; got {angle:g}")
    tilt = math.radians(angle)
    normal = (math.sin(tilt), math.cos(tilt), 0.0)
    plane = Collider(HalfSpace(FOOT, normal), friction)
    if body == "heap":
        sand = ElastoPlastic(
            Hencky(young=young, poisson=0.3), DruckerPrager(friction_angle=HEAP_ANGLE)
        )
        solid, stuff = brick((0.24, 0.16, 0.24), tilt), law or sand
    else:
        solid, stuff = brick((0.32, 0.12, 0.24), tilt), law or NeoHookean(young=young, poisson=0.3)
    piece = Body(solid, stuff, density, name=body)
    gravity = (0.0, -GRAVITY, 0.0)
    return Scene([piece], [plane], gravity, DURATION, DOMAIN, name="slope")


def brick(size: Vector, tilt: float) -> Box:
    """A cuboid that lies on the plane."""
    x, y, z = FOOT
    centre = (x + math.sin(tilt) * size[1] / 2, y + math.cos(tilt) * size[1] / 2, z)
    return Box(size, centre, (0.0, 0.0, -tilt))


def solver() -> MPMSolver:
    """Coarse enough to run in seconds."""
    return MPMSolver(CELL)


def check(
    trajectory: Trajectory,
    *,
    body: str = "block",
    angle: float = 25.0,
    friction: float = 0.2,
) -> None:
    """A block slides with g (sin a - friction cos a), or sticks; a heap stays on a gentle slope.

    Raises:
        AssertionError: It does not.
    """
    tilt = math.radians(angle)
    down = torch.tensor([math.cos(tilt), -math.sin(tilt), 0.0], dtype=torch.float64)
    normal = torch.tensor([math.sin(tilt), math.cos(tilt), 0.0], dtype=torch.float64)
    x, time = trajectory.x.double(), trajectory.time
    height = (x - torch.tensor(FOOT, dtype=torch.float64)) @ normal
    assert float(height.min()) > -0.5 * CELL, "it sank into the plane"
    way = ((x - x[0]) @ down).mean(1)
    if float(time[-1]) < 0.2:
        return
    if body == "block":
        expected = GRAVITY * (math.sin(tilt) - friction * math.cos(tilt))
        found = acceleration(time, way)
        if expected > 0.0:
            assert abs(found - expected) < 0.02 * GRAVITY, (
                f"it slides with {found:.3f} m/s², expected {expected:.3f} m/s²"
            )
        else:
            assert abs(found) < 0.02 * GRAVITY, f"it slides with {found:.3f} m/s² but should stick"
    elif math.tan(tilt) < 0.8 * min(friction, math.tan(math.radians(HEAP_ANGLE))):
        speed = float(way[-1] - way[-2]) / float(time[-1] - time[-2])
        assert abs(speed) < 0.1, f"the heap still flows, at {speed:.2g} m/s"
    elif math.tan(tilt) > 1.2 * friction:
        assert acceleration(time, way) > 0.0, "the heap does not flow on a steep slope"


def acceleration(time: torch.Tensor, way: torch.Tensor) -> float:
    """Of a motion from rest, by least squares [m/s²]."""
    square = 0.5 * time**2
    return float((way * square).sum() / square.square().sum())
