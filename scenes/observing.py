# SPDX-License-Identifier: Apache-2.0
"""What was observed, as the command line of a fit names it."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import selection

if TYPE_CHECKING:
    from rheograd.engine.observation import Observation
    from rheograd.engine.pixel_tracks import PixelTracks
    from rheograd.engine.scene import Scene
    from rheograd.engine.trajectory import Trajectory
    from rheograd.engine.vision.tracks import Tracks

    from .catalog import Script


def observed(found: argparse.Namespace, solver: Any) -> Trajectory | Tracks:
    """The motion in the file; a file of steps without times has the solver's."""
    from rheograd.engine.trajectory import Trajectory
    from rheograd.engine.vision.tracks import Tracks, holds_tracks

    if holds_tracks(found.observation):
        return Tracks.load(found.observation)
    if found.camera is not None:
        raise ValueError(f"got --camera, and {found.observation} is not a file of tracks")
    step = None if found.frame_rate is not None else getattr(solver, "dt", None)
    if found.observation.suffix == ".c3d":
        step = None
    return Trajectory.load(
        found.observation, dt=step, frame_rate=found.frame_rate, units=found.units
    )


def motions(
    found: argparse.Namespace,
    script: Script,
    solver: Any,
    given: Mapping[str, Any],
    recording: Trajectory | Tracks,
) -> Mapping[str, Observation]:
    """What is fitted, first, and longer motions by which the fit is judged.

    Raises:
        ValueError: The recording is of another kind than the scene can be compared with.
    """
    from rheograd.engine.fit.judge import HOLD_OUT, held_out
    from rheograd.engine.observation import Positions
    from rheograd.engine.vision.tracks import Tracks

    scene = selection.make_scene(script, None, found)
    if isinstance(recording, Tracks):
        share = HOLD_OUT if found.hold_out is None else found.hold_out
        return held_out(_tracks(found, solver, scene, recording), scene, share)
    if recording.markers:
        rest = solver.discretize(scene).x0
        return _markers(found, script, rest, given, recording)
    share = HOLD_OUT if found.hold_out is None else found.hold_out
    return held_out(Positions(recording), scene, share)


def _tracks(found: argparse.Namespace, solver: Any, scene: Scene, tracks: Tracks) -> PixelTracks:
    """Tracks bound to the surface of the scene's bodies at its start."""
    from rheograd.engine.moving_surface import MovingSurface
    from rheograd.engine.pixel_tracks import NOISE, PixelTracks
    from rheograd.engine.vision.camera_files import load_camera

    model = solver.discretize(scene)
    cells = getattr(model, "cells", None)
    if cells is not None:
        surface = MovingSurface.of_cells(cells, model.x0, model.body)
    else:
        shapes = [body.shape.surface() for body in scene.bodies]
        surface = MovingSurface.of_particles(shapes, model.x0.cpu().double(), model.body)
    camera = None if found.camera is None else load_camera(found.camera)
    bound = PixelTracks.bind(tracks, surface, model.x0, camera=camera, noise=found.noise or NOISE)
    print(
        f"{len(bound.bound)} of {tracks.pixels.shape[1]} tracks are on the body; its surface is"
        " carried by the simulation",
        file=sys.stderr,
    )
    return bound


def _markers(
    found: argparse.Namespace,
    script: Script,
    rest: Any,
    given: Mapping[str, Any],
    recording: Trajectory,
) -> Mapping[str, Observation]:
    """Markers bound to the particles of the scene, (n, 3) at rest, by its own `observe`."""
    from rheograd.engine.fit.judge import LONGER, SEEN

    observe = getattr(script.module, "observe", None)
    if observe is None:
        raise ValueError(
            f"{found.observation} holds markers, and {script.name} does not say where they are:"
            " it needs observe(recording, rest, ...) -> Markers beside build()"
        )
    takes = inspect.signature(observe).parameters
    chosen = {name: value for name, value in given.items() if name in takes}
    bound = observe(recording, rest, **chosen)
    bindings: dict[str, Observation] = {SEEN: bound}
    seconds = takes["seconds"].default if "seconds" in takes else None
    if seconds is not None:
        longer = observe(recording, rest, **{**chosen, "seconds": 2 * seconds})
        if len(longer.time) > 1.5 * len(bound.time):
            bindings[LONGER] = longer
    return bindings
