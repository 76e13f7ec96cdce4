# SPDX-License-Identifier: Apache-2.0
"""What was observed, as the command line of a fit names it."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import selection

if TYPE_CHECKING:
    from rheograd.engine.observation import Observation
    from rheograd.engine.trajectory import Trajectory

    from .catalog import Script


def observed(found: argparse.Namespace, solver: Any) -> Trajectory:
    """The motion in the file; a file of steps without times has the solver's."""
    from rheograd.engine.trajectory import Trajectory

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
    recording: Trajectory,
) -> Mapping[str, Observation]:
    """What is fitted, first, and longer motions by which the fit is judged.

    Raises:
        ValueError: The recording is of another kind than the scene can be compared with.
    """
    from rheograd.engine.fit.judge import HOLD_OUT, held_out
    from rheograd.engine.observation import Positions

    scene = selection.make_scene(script, None, found)
    if recording.markers:
        rest = solver.discretize(scene).x0
        return _markers(found, script, rest, given, recording)
    share = HOLD_OUT if found.hold_out is None else found.hold_out
    return held_out(Positions(recording), scene, share)


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
