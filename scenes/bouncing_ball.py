# SPDX-License-Identifier: Apache-2.0
"""An elastic ball dropped on the floor, and how long it touches it.

A ball of radius R and mass m that meets a rigid floor with speed v stays for

    t = 2.87 (m² / (R E'² v))^(1/5),    E' = E / (1 - ν²)

and is pressed in by d, with 8/15 E' √R d^(5/2) = m v²/2 + m g d (Hertz 1881; Johnson, Contact
Mechanics, 4.2 and 11.4), if it is slow beside its own waves and d is small beside R: here it is a
seventh. Then it comes back all but as high as it was, short of what goes into its oscillations.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from rheograd.engine.boundaries import Floor
from rheograd.engine.fem.integrators import CentralDifferences, GeneralizedAlpha, Integrator
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.mesh.elements import element
from rheograd.engine.mesh.volume_mesh import jacobians
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Sphere
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.law import ConstitutiveLaw

RADIUS = 0.1
"""[m]"""
GRAVITY = 9.81
WITHIN = 0.12
"""Of Hertz, whose contact is small beside the ball [-]."""

Time = Literal["explicit", "implicit"]


def build(
    law: ConstitutiveLaw | None = None,
    *,
    height: float = 0.1,
    young: float = 1e6,
    poisson: float = 0.3,
    density: float = 1e3,
) -> Scene:
    """The scene.

    Args:
        law: What the ball is made of; neo-Hookean if None.
        height: Of its lowest point over the floor [m].
        young: Young's modulus of the default law [Pa].
        poisson: Poisson's ratio of the default law.
        density: Rest density [kg/m³].
    """
    ball = Sphere(RADIUS, (0.0, height + RADIUS, 0.0))
    law = law or NeoHookean(young=young, poisson=poisson)
    body = Body(ball, law, density, name="ball")
    fall = math.sqrt(2 * height / GRAVITY)
    duration = 2 * fall + hertz(height, young, poisson, density).time
    top = 1.2 * (height + 2 * RADIUS)
    domain = Domain((-2 * RADIUS, 0.0, -2 * RADIUS), (2 * RADIUS, top, 2 * RADIUS))
    return Scene([body], [Floor()], (0.0, -GRAVITY, 0.0), duration, domain, name="bouncing_ball")


def solver(
    *, n: int = 4, time: Time = "explicit", step: float = 1e-3, contact: float = 5.0
) -> FESolver:
    """Hexahedra; explicit steps follow from their size.

    Args:
        n: Elements along the radius.
        time: explicit (central differences) or implicit (generalised-α).
        step: Of the implicit integrator [s].
        contact: Stiffness of the floor, by that of an element.
    """
    integrator: Integrator = CentralDifferences()
    if time == "implicit":
        integrator = GeneralizedAlpha(step)
    return FESolver(size=RADIUS / n, integrator=integrator, contact=contact)


class Impact(NamedTuple):
    """What Hertz says of one."""

    time: float
    """Of contact [s]."""
    depth: float
    """By which the ball is pressed in at most [m]."""


def hertz(height: float, young: float, poisson: float, density: float) -> Impact:
    """Of a ball that falls from a height [m]."""
    stiffness, mass = young / (1 - poisson**2), density * 4 / 3 * math.pi * RADIUS**3
    speed = math.sqrt(2 * GRAVITY * height)
    depth = 0.0
    for _ in range(20):
        energy = mass * GRAVITY * (height + depth)
        depth = (15 * energy / (8 * stiffness * math.sqrt(RADIUS))) ** 0.4
    return Impact(2.87 * (mass**2 / (RADIUS * stiffness**2 * speed)) ** 0.2, depth)


def centre_height(trajectory: Trajectory) -> Tensor:
    """Of the ball's centre of mass [m], shape (t,)."""
    assert trajectory.cells is not None
    kind, nodes = element(trajectory.cells.kind), trajectory.cells.nodes.long()
    rest = trajectory.x[0].detach().double().numpy()
    volumes = jacobians(kind, rest[nodes.numpy()], kind.mass.points) * kind.mass.weights
    share = torch.from_numpy(volumes @ kind.shape(kind.mass.points))
    weight = torch.zeros(len(rest), dtype=torch.float64)
    weight.index_add_(0, nodes.reshape(-1), share.reshape(-1))
    return trajectory.x[..., 1].double() @ (weight / weight.sum())


def contact_time(trajectory: Trajectory) -> float | None:
    """From where the lowest node meets the floor to where it leaves it [s]; None before that.

    Both are taken from its speed in the frames that are next to the contact.
    """
    v = trajectory.v
    assert v is not None
    low, node = trajectory.x[..., 1].double().min(1)
    down = (low <= 0).nonzero().flatten().tolist()
    if not down or not down[0] or down[-1] == len(low) - 1:
        return None

    def passage(k: int) -> float:
        speed = float(v[k, node[k], 1])
        return float(trajectory.time[k] - low[k] / speed)

    return passage(down[-1] + 1) - passage(down[0] - 1)


def results(trajectory: Trajectory) -> dict[str, Tensor]:
    """What the floor does to it.

    Returns:
        rebound [-], the height that its centre comes back to by that it fell from; depth [m], by
        which it is pressed in at most; contact_time [s], not a number before it has left the floor.
    """
    y = centre_height(trajectory)
    lowest = int(y.argmin())
    time = contact_time(trajectory)
    return {
        "rebound": (y[lowest:].max() - RADIUS) / (y[0] - RADIUS),
        "depth": RADIUS - y[lowest],
        "contact_time": torch.tensor(math.nan if time is None else time),
    }


def check(
    trajectory: Trajectory,
    *,
    height: float = 0.1,
    young: float = 1e6,
    poisson: float = 0.3,
    density: float = 1e3,
) -> None:
    """It falls freely, is in contact as Hertz says, within 12 %, and comes back.

    Raises:
        AssertionError: It does not.
    """
    y, time = centre_height(trajectory), trajectory.time
    falling = time < 0.95 * math.sqrt(2 * height / GRAVITY)
    off = float((y - y[0] + 0.5 * GRAVITY * time**2)[falling].abs().max())
    assert off < 1e-3 * height, f"in free fall its centre is {off:.2g} m from the parabola"
    found = {name: float(value) for name, value in results(trajectory).items()}
    touched = found["contact_time"]
    if math.isnan(touched):
        return
    assert found["rebound"] < 1.0, f"it comes back {found['rebound']:.4f} times as high as it was"
    if trajectory.metadata.get("laws", NeoHookean.name) != NeoHookean.name:
        return
    theory = hertz(height, young, poisson, density)
    for name, here, there in (
        ("touches the floor for", touched, theory.time),
        ("is pressed in by", found["depth"], theory.depth),
    ):
        assert abs(here / there - 1) < WITHIN, (
            f"it {name} {here:.4g}; Hertz: {there:.4g} (SI units)"
        )
    apex = math.sqrt(2 * height / GRAVITY) + theory.time
    if float(time[-1]) > 1.9 * apex:
        assert found["rebound"] > 0.9, f"it comes back to {found['rebound']:.3f} of its height"
