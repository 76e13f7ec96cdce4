# SPDX-License-Identifier: Apache-2.0
"""A clamped silicone beam, let go straight, swings under its own weight.

The beam of srl-ethz/diffPD_sim2real: Dragon Skin 10, 30 x 30 x 100 mm, axis +z, gravity -x. Their
fit: E = 263.8 kPa, ν = 0.499; a smaller ν allows longer steps and hardly changes how it bends.
"""

from __future__ import annotations

import math

import torch

from rheograd.engine.boundaries import Grip
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import Damped
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.law import ConstitutiveLaw

CELL = 0.0075
DURATION = 0.5
GRAVITY = 9.81
WIDTH, LENGTH, HELD = 0.03, 0.1, 0.015
"""Square section, free length, and what the clamp holds beyond it [m]."""
SEAT = 1e-4
"""How far the clamp reaches past z = 0 [m], so that the nodes of that plane are surely in it."""
DENSITY = 1070.0
YOUNG = 263.8e3
DOMAIN = Domain((-0.06, -0.03, -0.03), (0.06, 0.03, 0.12))


def build(
    law: ConstitutiveLaw | None = None,
    *,
    young: float = YOUNG,
    poisson: float = 0.45,
    damping: float = 0.0,
    density: float = DENSITY,
) -> Scene:
    """The scene.

    Args:
        law: What the beam is made of; neo-Hookean if None.
        young: Young's modulus of the default law [Pa].
        poisson: Poisson's ratio of the default law.
        damping: Kelvin-Voigt damping of the default law, as a time [s].
        density: [kg/m³]
    """
    silicone: ConstitutiveLaw = law or NeoHookean(young=young, poisson=poisson)
    if law is None and damping > 0.0:
        silicone = Damped(silicone, damping)
    bar = Box((WIDTH, WIDTH, LENGTH + HELD), (0.0, 0.0, (LENGTH - HELD) / 2))
    span = 2 * WIDTH
    clamp = Grip(Box((span, span, span), (0.0, 0.0, SEAT - span / 2)))
    body = Body(bar, silicone, density, name="beam")
    return Scene([body], [clamp], (-GRAVITY, 0.0, 0.0), DURATION, DOMAIN, name="beam")


def solver() -> MPMSolver:
    """Four cells across the beam: frequencies within a few per cent."""
    return MPMSolver(CELL)


def check(
    trajectory: Trajectory,
    *,
    young: float = YOUNG,
    poisson: float = 0.45,
    density: float = DENSITY,
) -> None:
    """It swings with the first frequency of a Timoshenko cantilever, within 5 %.

    Raises:
        AssertionError: It does not, or it slips out of the clamp.
    """
    x, time = trajectory.x.double(), trajectory.time
    held = x[0, :, 2] < -0.5 * HELD
    slip = float((x[:, held] - x[0, held]).norm(dim=2).max())
    assert slip < 0.1 * CELL, f"the beam slips out of the clamp, by {slip:.2g} m"
    tip = x[0, :, 2] > LENGTH - CELL
    fall = (x[:, tip, 0] - x[0, tip, 0]).mean(1)
    expected = first_frequency(young, poisson, density)
    if float(time[-1]) * expected < 2.0:
        return
    found = dominant_frequency(time, fall, expected)
    assert abs(found / expected - 1.0) < 0.05, (
        f"it swings at {found:.2f} Hz, expected {expected:.2f} Hz"
    )


def first_frequency(young: float, poisson: float, density: float) -> float:
    """Of the free length, bending and shear in series (Dunkerley) [Hz]."""
    bending = 1.8751**2 / (2 * math.pi) * math.sqrt(young * WIDTH**2 / (12 * density * LENGTH**4))
    shear_modulus = 0.85 * young / (2 * (1 + poisson))
    shear = math.sqrt(shear_modulus / density) / (4 * LENGTH)
    return 1.0 / math.hypot(1.0 / bending, 1.0 / shear)


def dominant_frequency(time: torch.Tensor, signal: torch.Tensor, near: float) -> float:
    """The frequency [Hz] between 0.5 and 2 times `near` whose sinusoid leaves least."""
    best, least = near, math.inf
    for factor in torch.logspace(-1, 1, 401, base=2.0).tolist():
        angle = 2 * math.pi * near * factor * time
        basis = torch.stack([torch.ones_like(time), angle.cos(), angle.sin()], 1)
        rest = signal - basis @ torch.linalg.lstsq(basis, signal[:, None]).solution[:, 0]
        if float(rest.square().sum()) < least:
            best, least = near * factor, float(rest.square().sum())
    return best
