# SPDX-License-Identifier: Apache-2.0
"""`rheograd run SCENE --live`: a window drives the simulation."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from . import fields
from .outputs import read_by, require_new

if TYPE_CHECKING:
    from rheograd.engine.live import LiveRecorder, LiveRun
    from rheograd.engine.scene import Scene
    from rheograd.engine.solver import Solver

_WITHOUT = {
    "resume": "a live run has no end to go on to",
    "check": "what is changed by hand fits no check",
    "json": "it sums up a run to its end",
    "gradient": "a live run goes forward only",
    "steps": "it goes on until the window is closed",
}
"""Options that a live run cannot have, and why."""


def add_arguments(parser: Any) -> None:
    """The options of a live run."""
    group = parser.add_argument_group("live")
    group.add_argument(
        "--live", action="store_true",
        help="open a window in which it runs, with sliders and bodies that can be pulled; h there"
        " lists the keys; --out FILE.vtkhdf records what was seen",
    )  # fmt: skip
    group.add_argument("--paused", action="store_true", help="wait for the space key")
    group.add_argument("--browser", action="store_true", help=argparse.SUPPRESS)


def check(found: argparse.Namespace) -> None:
    """Refuse options that do not go together.

    Raises:
        ValueError: Some do not.
    """
    if found.browser:
        raise ValueError(
            "got --browser, but a simulation is driven in a window only: record it by --out"
            " FILE.vtkhdf and look at that by rheograd view FILE.vtkhdf --browser"
        )
    if not found.live:
        if found.paused:
            raise ValueError("got --paused without --live, which it is for: add --live")
        return
    for name, why in _WITHOUT.items():
        if getattr(found, name):
            raise ValueError(f"got --live and --{name}, expected one of them: {why}")
    if found.out is not None and found.out.suffix != ".vtkhdf":
        raise ValueError(
            f"--out: got {found.out} with --live, expected a .vtkhdf file, which can grow for as"
            " long as it goes on"
        )


def drive(found: argparse.Namespace, scene: Scene, solver: Solver) -> int:
    """Open the window; returns when it is closed, with what was recorded finished.

    Raises:
        DisplayError: No window can be opened.
        ValueError: The scene cannot be run live, or the file is there already.
    """
    import torch

    from rheograd.engine.live import LiveRun
    from rheograd.engine.simulate import Schedule
    from rheograd.viewer.display import require_window
    from rheograd.viewer.live.window import drive as open_window

    from .recording import require_free

    _tell(f"opening a window on {scene.name} ...")
    require_window()
    require_new((found.out,), force=True, inputs=read_by(found, ("out",)))
    if found.out is not None and not found.force:
        require_free(found.out)
    torch.set_num_threads(1)
    run = LiveRun(scene, solver)
    run.every = Schedule.of(scene, run.dt, None, found.every, found.frames).every
    run.advance(span=run.dt)  # makes the kernels
    run.reset()
    model = run.stepper.model
    _tell(
        f"{scene.name}: {model.n} {'nodes' if hasattr(model, 'cells') else 'particles'} live, steps"
        f" of {1e3 * run.dt:.3g} ms; h in the window lists the keys"
    )
    recorder = _recorder(found, run) if found.out is not None else None

    def finish() -> None:
        from rheograd.engine.live import size_in_words

        if recorder is not None:
            recorder.close()
            size = found.out.stat().st_size
            _tell(f"{found.out}: {recorder.frames} frames, {size_in_words(size)}")

    if recorder is not None:
        _tell(_growth(recorder))
    try:
        open_window(run, paused=found.paused, finish=finish)
    finally:
        finish()
    return 0


def _growth(recorder: LiveRecorder) -> str:
    """How fast a record grows, and what makes it grow less."""
    from rheograd.engine.live import size_in_words

    run = recorder.run
    return (
        f"{recorder.path} grows by {size_in_words(recorder.frame_bytes)} a frame,"
        f" {size_in_words(recorder.frame_bytes / run.interval)} a second of the run, for as long as"
        " the window is open; --every N or --frames N record fewer"
    )


def _recorder(found: argparse.Namespace, run: LiveRun) -> LiveRecorder:
    """Writes what --fields names."""
    from rheograd.engine.live import LiveRecorder

    solver, model = run.stepper.solver, run.stepper.model
    points, cells = fields.chosen(found.fields, solver, model, run.state)
    names = [*points, *cells]

    def values(state: Any) -> dict[str, Any]:
        own = {"v": state.v, "F": state.F, **state.carry}
        return {**own, **fields.recorded(names, solver, run.stepper.model, state)}

    return LiveRecorder(run, found.out, fields=points, cell_fields=cells, values=values)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
