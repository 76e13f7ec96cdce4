# SPDX-License-Identifier: Apache-2.0
"""A clamped silicone beam, held straight under its tip and let go, swings under its own weight.

The beam of srl-ethz/diffPD_sim2real: Dragon Skin 10, 30 x 30 x 100 mm, axis +z, gravity -x. Their
fit: E = 263.8 kPa, ν = 0.499. A smaller ν allows longer steps and asks for a larger E; damping
leaves the bulk alone, also for the sake of longer steps. docs/beam.md has what was fitted to their
motion capture, which `observe` reads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rheograd.engine.boundaries import Boundary, Collider, Grip, Motion
from rheograd.engine.fem.integrators import GeneralizedAlpha
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.observations.markers import Freedom, Markers, moving, release, select
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box, Capsule
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import Damped
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.law import ConstitutiveLaw

CELL = 0.0075
DURATION = 0.5
"""After the tip is let go [s]."""
HOLD = 0.06
"""How long the tip is held: the beam comes to rest on its support [s]."""
GRAVITY = 9.81
WIDTH, LENGTH, HELD = 0.03, 0.1, 0.025
"""Square section, free length, and what the clamp holds beyond it [m]."""
SEAT = 1e-4
"""How far the clamp reaches past z = 0 [m], so that the nodes of that plane are surely in it."""
FINGER, SKIN, AWAY = 0.0491, 9e-4, 10.0
"""Radius of the support [m], how much thicker it is to particles [m], how fast it leaves [m/s]."""
PATCH = 32
"""Particles that carry a marker."""
DENSITY = 1070.0
YOUNG = 263.8e3
DOMAIN = Domain((-0.06, -0.03, -0.03), (0.06, 0.03, 0.15))


def build(
    law: ConstitutiveLaw | None = None,
    *,
    young: float = YOUNG,
    poisson: float = 0.45,
    damping: float = 0.0,
    density: float = DENSITY,
    hold: float = HOLD,
    tilt: float = 0.0,
    load: float = 0.0,
    seat: float = 0.005,
) -> Scene:
    """The scene.

    Args:
        law: What the beam is made of; neo-Hookean if None.
        young: Young's modulus of the default law [Pa].
        poisson: Poisson's ratio of the default law.
        damping: Kelvin-Voigt damping of the default law, as a time [s].
        density: [kg/m³]
        hold: Time at which the support under the tip drops away [s]; 0 for none.
        tilt: Angle by which the axis points below the horizontal [degrees].
        load: Mass fixed to the end face [kg].
        seat: Distance of its centre from the end face [m].
    """
    silicone: ConstitutiveLaw = law or NeoHookean(young=young, poisson=poisson)
    if law is None and damping > 0.0:
        silicone = Damped(silicone, damping, bulk=0.0)
    bar = Box((WIDTH, WIDTH, LENGTH + HELD), (0.0, 0.0, (LENGTH - HELD) / 2))
    bodies = [Body(bar, silicone, density, name="beam")]
    if load > 0.0:
        block = Box((WIDTH, WIDTH, 2 * seat), (0.0, 0.0, LENGTH + seat))
        bodies.append(Body(block, silicone, load / block.volume, name="load"))
    span = 2 * WIDTH
    clamp = Grip(Box((span, span, span), (0.0, 0.0, SEAT - span / 2)))
    boundaries: list[Boundary] = [clamp, *([support(hold)] if hold > 0.0 else [])]
    angle = math.radians(tilt)
    gravity = (-GRAVITY * math.cos(angle), 0.0, GRAVITY * math.sin(angle))
    return Scene(bodies, boundaries, gravity, hold + DURATION, DOMAIN, name="beam")


def support(hold: float) -> Collider:
    """What the tip rests on until `hold` [s]: a wide finger without friction."""

    def course(time: Tensor) -> Tensor:
        down = torch.where(time < hold, 0.0, -AWAY).to(time)
        return torch.stack([down, torch.zeros_like(down), torch.zeros_like(down)], 1)

    finger = Capsule(FINGER, 2 * WIDTH, (-WIDTH / 2 - FINGER, 0.0, LENGTH + 0.005))
    return Collider(finger, motion=Motion(velocity=course), skin=SKIN)


def solver() -> MPMSolver:
    """Four cells across the beam: frequencies within a few per cent."""
    return MPMSolver(CELL)


def fe_solver() -> FESolver:
    """Two second-order elements across the beam, fifty steps to a swing."""
    integrator = GeneralizedAlpha(2.5e-3, spectral_radius=0.9)
    return FESolver(size=0.0125, elements="hex20", integrator=integrator)


def check(
    trajectory: Trajectory,
    *,
    young: float = YOUNG,
    poisson: float = 0.45,
    density: float = DENSITY,
    hold: float = HOLD,
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
    free = time >= hold
    if (float(time[-1]) - hold) * expected < 2.0:
        return
    found = swing(time[free], fall[free], expected).frequency
    assert abs(found / expected - 1.0) < 0.05, (
        f"it swings at {found:.2f} Hz, expected {expected:.2f} Hz"
    )


def first_frequency(young: float, poisson: float, density: float) -> float:
    """Of the free length, bending and shear in series (Dunkerley) [Hz]."""
    bending = 1.8751**2 / (2 * math.pi) * math.sqrt(young * WIDTH**2 / (12 * density * LENGTH**4))
    shear_modulus = 0.85 * young / (2 * (1 + poisson))
    shear = math.sqrt(shear_modulus / density) / (4 * LENGTH)
    return 1.0 / math.hypot(1.0 / bending, 1.0 / shear)


class Swing(NamedTuple):
    """A damped oscillation, rest + amplitude exp(−decay t) cos(2π frequency t + phase)."""

    frequency: float
    """[Hz]"""
    decay: float
    """[1/s]"""
    rest: float
    """In the unit of the signal, as is the amplitude."""
    amplitude: float


def swing(time: Tensor, signal: Tensor, near: float) -> Swing:
    """The damped oscillation that leaves least of a signal.

    Args:
        time: [s], shape (t,).
        signal: Shape (t,).
        near: Frequency to look around, from half to twice [Hz].
    """
    from scipy.optimize import least_squares

    t, y = (a.double().numpy() for a in (time - time[0], signal))
    scale = float(signal.std()) or 1.0

    def parts(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        angle, fading = 2 * np.pi * p[0] * t, np.exp(-p[1] * t)
        basis = np.stack([np.ones_like(t), fading * np.cos(angle), fading * np.sin(angle)], 1)
        weights = np.linalg.lstsq(basis, y, rcond=None)[0]
        return weights, (basis @ weights - y) / scale

    starts = near * np.logspace(-1, 1, 101, base=2.0)
    start = min(starts, key=lambda f: float((parts(np.array([f, 0.0]))[1] ** 2).sum()))
    found = least_squares(lambda p: parts(p)[1], [start, 0.0]).x
    weights, _ = parts(found)
    return Swing(float(found[0]), float(found[1]), float(weights[0]), float(np.hypot(*weights[1:])))


def observe(
    recording: Trajectory,
    rest: Tensor,
    *,
    hold: float = HOLD,
    tilt: float = 0.0,
    seconds: float = DURATION,
    freedom: Freedom | None = None,
) -> Markers:
    """Markers at the tip of the measured beam, from the moment it is let go.

    The cameras' axes are those of the scene, but for the tilt; in the last still frame the mean of
    the markers that move is taken to be at the centre of the end face, within a centimetre.

    Args:
        recording: Of the whole experiment, the beam held still at first.
        rest: The beam's particles [m], shape (n, 3).
        hold: As in `build`.
        tilt: As in `build`.
        seconds: How much of the swing is compared [s].
        freedom: How rough the setup is known.
    """
    tip = let_go(recording)
    angle = math.radians(tilt)
    c, s = math.cos(angle), math.sin(angle)
    axes = torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]], dtype=torch.float64)
    end = (0.0, 0.0, LENGTH)
    on_face = int((rest[:, 2] > LENGTH - SEAT).sum())  # nodes of a mesh; of particles none
    found = Markers.bind(
        tip, rest, position=end, axes=axes, freedom=freedom, start=hold,
        patch=PATCH if on_face == 0 else min(on_face, PATCH),
    )  # fmt: skip
    return found.between(0.0, seconds)


def let_go(recording: Trajectory) -> Trajectory:
    """The markers of a recording that move, from the moment they do."""
    tip = select(recording, moving(recording))
    return select(tip, range(tip.particles), release(tip))
