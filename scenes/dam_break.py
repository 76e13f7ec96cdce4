# SPDX-License-Identifier: Apache-2.0
"""A column of water let go: the dam break of Martin and Moyce.

Martin and Moyce 1952, "An experimental study of the collapse of liquid columns on a rigid
horizontal plane": of a column of base a and height 2a the front is at Z a after T √(a / 2g).
"""

from __future__ import annotations

import math

import numpy as np
import torch

from rheograd.engine.mpm import MPMSolver
from rheograd.engine.reduced.variation import Choice, LogUniform, Table, Uniform
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Volumetric
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import FluidReset

CELL = 0.02
DURATION = 0.36
CHANNEL = (0.96, 0.48, 0.06)
"""Length, height and width [m]; the column leans on the wall x-."""
GRAVITY = 9.81

T = (0.0, 0.41, 0.84, 1.19, 1.43, 1.63, 1.83, 1.98, 2.20, 2.32, 2.51, 2.65, 2.83, 2.98, 3.11, 3.33)
Z = (1.0, 1.11, 1.22, 1.44, 1.67, 1.89, 2.11, 2.33, 2.56, 2.78, 3.00, 3.22, 3.44, 3.67, 3.89, 4.11)
"""Measured front, a = 2.25 in."""

VARY: Table = {
    "shape": {
        "base": Choice((0.12, 0.16, 0.2, 0.24), unseen=(0.1, 0.3)),
        "height": Uniform(0.2, 0.36),
    },
    "material": {"bulk": LogUniform(5e4, 2e5)},
}


def build(
    law: ConstitutiveLaw | None = None,
    *,
    base: float = 0.16,
    height: float = 0.32,
    bulk: float = 1e5,
    density: float = 1e3,
) -> Scene:
    """The scene.

    Args:
        law: What the column is made of; water if None, softer than in nature.
        base: Of the column along the channel [m].
        height: Of the column [m].
        bulk: Bulk modulus of the default law [Pa].
        density: [kg/m³]
    """
    poisson = 0.3
    young = bulk * (1 + poisson) * (1 - 2 * poisson) / poisson
    water = law or ElastoPlastic(Volumetric(young=young, poisson=poisson), FluidReset())
    width = CHANNEL[2]
    column = Box((base, height, width), (base / 2, height / 2, width / 2))
    body = Body(column, water, density, name="water")
    domain = Domain((0.0, 0.0, 0.0), CHANNEL)
    gravity = (0.0, -GRAVITY, 0.0)
    return Scene([body], gravity=gravity, duration=DURATION, domain=domain, name="dam_break")


def solver() -> MPMSolver:
    """Coarse enough to run in seconds."""
    return MPMSolver(CELL)


def check(trajectory: Trajectory, *, base: float = 0.16, height: float = 0.32) -> None:
    """The front is where it was measured, within a tenth; the centre of mass falls.

    Measurements are for a column twice as high as wide; others are held to the fall only.

    The front is the 99th percentile of the particles: a few run ahead as spray.

    Raises:
        AssertionError: It is not.
    """
    x = trajectory.x.double()
    assert float(x.amin()) > 0.0, "water left the channel"
    times = trajectory.time * math.sqrt(2 * GRAVITY / base)
    front = torch.quantile(x[..., 0], 0.99, dim=1) / base
    for time, place in zip(times.tolist(), front.tolist(), strict=True):
        if time <= T[-1] and abs(height / base - 2.0) < 0.01:
            measured = float(np.interp(time, T, Z))
            assert abs(place / measured - 1.0) < 0.1, (
                f"at T = {time:.2f} the front is at {place:.2f} a, measured {measured:.2f} a"
            )
    heights = x[..., 1].mean(1)
    assert float(heights[-1]) < float(heights[0]), "the water did not fall"
