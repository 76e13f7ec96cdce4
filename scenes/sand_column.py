# SPDX-License-Identifier: Apache-2.0
"""A column of sand let go in a narrow channel: it collapses and runs out to a heap.

Lube, Huppert, Sparks and Freundt 2005, "Collapses of two-dimensional granular columns"; and
Lajeunesse, Monnier and Homsy 2005, "Granular slumping on a horizontal surface": the run-out over
the column's length is 1.2 a for an aspect ratio a = height / length below 2.3, 1.9 a^(2/3) above,
and hardly depends on the grain.
"""

from __future__ import annotations

import math

from rheograd.engine.boundaries import Floor
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.reduced.variation import Choice, Table, Uniform
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Hencky
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import DruckerPrager

CELL = 0.02
DURATION = 0.7
CHANNEL = (0.8, 0.48, 0.06)
"""Length, height and width [m]; the column leans on the wall x-, as if mirrored there."""

VARY: Table = {
    "shape": {
        "length": Choice((0.1, 0.14, 0.18, 0.22), unseen=(0.08, 0.28)),
        "height": Uniform(0.1, 0.3),
    },
    "material": {"friction_angle": Uniform(22.0, 40.0)},
}


def build(
    law: ConstitutiveLaw | None = None,
    *,
    length: float = 0.14,
    height: float = 0.2,
    friction_angle: float = 30.0,
    young: float = 2e5,
    friction: float = 0.6,
    density: float = 1600.0,
) -> Scene:
    """The scene.

    Args:
        law: What the column is made of; Drucker-Prager sand if None.
        length: Of the column along the channel [m].
        height: Of the column [m].
        friction_angle: Inner friction of the default law in plane strain [deg].
        young: Young's modulus of the default law [Pa].
        friction: Coulomb coefficient of the floor.
        density: Of the packing [kg/m³].
    """
    grain = DruckerPrager(friction_angle=triaxial(friction_angle))
    sand = law or ElastoPlastic(Hencky(young=young, poisson=0.3), grain)
    width = CHANNEL[2]
    column = Box((length, height, width), (length / 2, height / 2, width / 2))
    body = Body(column, sand, density, name="column")
    domain = Domain((0.0, 0.0, 0.0), CHANNEL)
    return Scene(
        [body], [Floor(friction=friction)], duration=DURATION, domain=domain, name="sand_column"
    )


def triaxial(angle: float) -> float:
    """The angle in triaxial compression [deg] of a Drucker-Prager cone with one in plane strain.

    Without dilation q = √3 p sin(angle) in plane strain; the cone is q = p 6 sin φ / (3 - sin φ).
    """
    slope = math.sqrt(3.0) * math.sin(math.radians(angle))
    return math.degrees(math.asin(3.0 * slope / (6.0 + slope)))


def solver() -> MPMSolver:
    """Coarse enough to run in seconds."""
    return MPMSolver(CELL)


def check(trajectory: Trajectory, *, length: float = 0.14, height: float = 0.2) -> None:
    """The run-out is that of the experiments within a quarter, and the heap has come to rest.

    Raises:
        AssertionError: It is not.
    """
    x = trajectory.x.double()
    aspect = height / length
    assert float(x.amin()) > 0.0, "grains left the channel"
    if float(trajectory.time[-1]) < 3.3 * math.sqrt(height / 9.81):
        return  # still on its way, by Lajeunesse et al.
    published = 1.2 * aspect if aspect < 2.3 else 1.9 * aspect ** (2 / 3)
    runout = (float(x[-1, :, 0].max()) - length) / length
    assert abs(runout / published - 1.0) < 0.25, (
        f"the run-out is {runout:.2f} lengths, expected {published:.2f} at aspect {aspect:.2f}"
    )
    pause = float(trajectory.time[-1] - trajectory.time[-2])
    speed = float((x[-1] - x[-2]).norm(dim=1).mean()) / pause
    assert speed < 0.02, f"the heap still moves, at {speed:.2g} m/s"
