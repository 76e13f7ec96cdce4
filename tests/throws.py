# SPDX-License-Identifier: Apache-2.0
"""Two throws of a small box as particles and as pixels see them, for fits of laws."""

from __future__ import annotations

from dataclasses import replace

import torch

from rheograd.engine.boundaries import Floor, Vector
from rheograd.engine.fit.recipe import Recipe
from rheograd.engine.moving_surface import MovingSurface
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.observations.observation import Observation, Positions
from rheograd.engine.observations.pixel_tracks import PixelTracks
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.engine.vision.camera import Camera
from rheograd.engine.vision.tracks import Tracks
from rheograd.materials.elastic import Corotated
from rheograd.materials.law import ConstitutiveLaw

SOLVER = MPMSolver(0.1, 1e-3)
STEPS, EVERY = 80, 5
VELOCITIES: tuple[Vector, ...] = ((0.5, -3.0, 0.3), (-0.2, -4.0, 0.4))
RECIPE = Recipe(epochs=5, updates=3, shortest=20, longest=60)
SHORT = Recipe(epochs=3, updates=2, shortest=20, longest=30)
SIZE = (320, 240)


def scene(law: ConstitutiveLaw, number: int = 0) -> Scene:
    """A throw of a box of a material."""
    box = Box((0.3, 0.2, 0.3), (0.5, 0.2, 0.5))
    body = Body(box, law, 1000.0, VELOCITIES[number], (2.0, 1.0, 3.0))
    return Scene([body], [Floor(friction=0.2)], duration=STEPS * 1e-3)


def particles(number: int = 0) -> Positions:
    """A throw as it was, by all particles."""
    truth = scene(Corotated(4e4, 0.3), number)
    return Positions(simulate(truth, SOLVER, steps=STEPS, every=EVERY))


def pixels(number: int = 0, eye: Vector = (0.5, 0.4, 2.0), noise: float = 0.1) -> PixelTracks:
    """The same as a camera saw 25 points, exactly."""
    run = particles(number).trajectory
    camera = Camera.look_at(eye, (0.5, 0.2, 0.5), size=SIZE, field_of_view=25.0)
    middle = camera.project(run.x[0].double().mean(0)[None]).at[0]
    at = middle + torch.cartesian_prod(*[torch.linspace(-20, 20, 5, dtype=torch.float64)] * 2)
    still = at.expand(len(run), -1, -1).numpy()
    tracks = Tracks(still, run.time.numpy(), SIZE, None, camera, "made")
    bound = PixelTracks.bind(tracks, MovingSurface.of(run), run.x[0], noise=noise)
    moved = still.copy()
    moved[:, bound.bound] = bound.predicted(run).numpy()
    return replace(bound, tracks=replace(tracks, pixels=moved))


def seen(what: str) -> list[Observation]:
    """Both throws, as particles or as pixels."""
    return [particles(k) if what == "particles" else pixels(k) for k in range(len(VELOCITIES))]
