# SPDX-License-Identifier: Apache-2.0
"""A bar held at one end and twisted at the other, to large angles.

Nearly incompressible neo-Hookean, square or round. At small twist ψ per length the torque is
0.1406 G a⁴ ψ for a square of edge a (Timoshenko and Goodier, Theory of Elasticity, 109). For a
round bar of radius r and fixed length it is π/2 G r⁴ ψ at any angle, and the bar, which would grow
longer, presses on its ends with π/4 G r⁴ ψ²: the Poynting effect (Rivlin 1949, "Large elastic
deformations of isotropic materials VI"). Ends that stay plane stiffen a square bar by a little.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from rheograd.engine.boundaries import Grip, Motion
from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Fixed
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box, Cylinder, Shape
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.law import ConstitutiveLaw

WIDTH, LENGTH = 0.2, 1.0
"""Edge or diameter, and length along y [m]."""
JAW = 0.05
"""Thickness of the jaw that turns the upper end [m]."""
SMALL = 0.15
"""Twist times half the width up to which the theory of small strains is asked for."""

Section = Literal["square", "round"]


def build(
    law: ConstitutiveLaw | None = None,
    *,
    section: Section = "square",
    angle: float = 180.0,
    young: float = 1e6,
    poisson: float = 0.49,
) -> Scene:
    """The scene.

    Args:
        law: What the bar is made of; neo-Hookean if None.
        section: square or round.
        angle: By which the upper end is turned in the end [degrees].
        young: Young's modulus of the default law [Pa].
        poisson: Poisson's ratio of the default law.
    """
    middle = (0.0, LENGTH / 2, 0.0)
    bar: Shape = Box((WIDTH, LENGTH, WIDTH), middle)
    if section == "round":
        bar = Cylinder(WIDTH / 2, LENGTH, middle)
    rate = math.radians(angle)

    def turning(time: Tensor) -> Tensor:
        about = torch.where(time < 1.0 - 1e-9, rate, 0.0).to(time)
        return torch.stack([torch.zeros_like(about), about, torch.zeros_like(about)], 1)

    seat = LENGTH - 1e-6 + JAW / 2
    jaw = Box((1.5 * WIDTH, JAW, 1.5 * WIDTH), (0.0, seat, 0.0))
    body = Body(bar, law or NeoHookean(young=young, poisson=poisson), 1e3, name="bar")
    boundaries = [Fixed("y-"), Grip(jaw, Motion(spin=turning))]
    domain = Domain((-0.25, 0.0, -0.25), (0.25, LENGTH + 0.1, 0.25))
    return Scene([body], boundaries, (0.0, 0.0, 0.0), domain=domain, name="twisted_bar")


def solver(*, n: int = 3, load_steps: int = 20, mean_dilatation: bool = False) -> FESolver:
    """Second-order elements, which do not lock; --elements hex8 --mean-dilatation is the other way.

    Args:
        n: Elements across the bar.
        load_steps: Equilibria on the way to the full angle.
        mean_dilatation: Whether hex8 elements average their change of volume.

    Raises:
        ValueError: There is not one element.
    """
    if n < 1:
        raise ValueError(f"got n = {n} elements across the bar, expected 1 or more")
    return FESolver(
        size=WIDTH / n, elements="hex20", integrator=Static(load_steps),
        mean_dilatation=mean_dilatation,
    )  # fmt: skip


def history(trajectory: Trajectory) -> tuple[Tensor, Tensor]:
    """Torque [N m] and force [N] with which the bar is held at its lower end, shape (t,) each.

    The torque is positive against the turn, the force where the bar presses on the support.
    """
    place = trajectory.x[0].detach()
    held = place[:, 1] < 1e-6
    x, force = trajectory.x[:, held], trajectory.fields["reaction"][:, held]
    torque = (x[..., 2] * force[..., 0] - x[..., 0] * force[..., 2]).sum(1)
    return -torque, force[..., 1].sum(1)


def results(trajectory: Trajectory) -> dict[str, Tensor]:
    """How the bar resists.

    Returns:
        torque [N m] and axial_force [N] at the full angle, pressure positive; torques and
        axial_forces of every frame.
    """
    torque, force = history(trajectory)
    return {
        "torque": torque[-1], "axial_force": force[-1], "torques": torque, "axial_forces": force,
    }  # fmt: skip


def theory(section: Section, young: float, poisson: float, twist: Tensor) -> tuple[Tensor, Tensor]:
    """Torque [N m], and force on the ends of a round bar [N], at a twist per length [rad/m]."""
    G, r = young / (2 * (1 + poisson)), WIDTH / 2
    if section == "square":
        return 0.1406 * G * WIDTH**4 * twist, torch.full_like(twist, torch.nan)
    return math.pi / 2 * G * r**4 * twist, math.pi / 4 * G * r**4 * twist**2


def check(
    trajectory: Trajectory,
    *,
    section: Section = "square",
    angle: float = 180.0,
    young: float = 1e6,
    poisson: float = 0.49,
) -> None:
    """The torque is that of the theory, within 4 % (round: 2 %), and the bar presses on its ends.

    Raises:
        AssertionError: It is not.
    """
    torque, force = history(trajectory)
    turned = math.radians(angle) * trajectory.time.clamp(max=1.0).to(torque)
    later = turned.abs() > 0
    assert bool((torque[later] * turned[later] > 0).all()), "the bar does not resist the turn"
    if trajectory.metadata.get("laws", NeoHookean.name) != NeoHookean.name:
        return
    twist = turned / LENGTH
    tried = later if section == "round" else later & (twist.abs() * WIDTH / 2 < SMALL)
    expected, pressed = theory(section, young, poisson, twist)
    off = (torque / expected - 1)[tried]
    assert not len(off) or float(off.abs().max()) < (0.02 if section == "round" else 0.04), (
        f"its torque is {100 * float(off[off.abs().argmax()]):+.1f} % off the theory"
    )
    assert float(force[-1]) > 0, f"it pulls its ends with {-float(force[-1]):.3g} N at the end"
    if section == "round":
        ratio = float(force[-1] / pressed[-1])
        assert abs(ratio - 1) < 0.05, f"it presses on its ends {ratio:.3f} times as Rivlin says"
