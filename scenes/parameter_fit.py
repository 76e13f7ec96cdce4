# SPDX-License-Identifier: Apache-2.0
"""Named numbers of a scene fitted to what was seen, with a report; see the command `fit`."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import selection
from .options import number
from .progress import Progress

if TYPE_CHECKING:
    from rheograd.engine.fit.parameter import Parameter
    from rheograd.engine.fit.parameters import ParameterFit
    from rheograd.engine.fit.report import FitReport
    from rheograd.engine.observation import Observation
    from rheograd.engine.trajectory import Trajectory

    from .catalog import Script

ITERATIONS = 20
HOLD_OUT = 0.1
"""Share of the motion of particles that is kept to judge the fit, unless told otherwise."""


def fit_numbers(found: argparse.Namespace, script: Script) -> int:
    """Fit, judge, report; the exit code."""
    from rheograd.engine.fit.parameter import choose
    from rheograd.engine.fit.parameters import fit_parameters
    from rheograd.engine.fit.report_files import write_report

    given = selection.chosen_options(found)
    folder = found.out or Path("runs") / script.name
    solver: Any = selection.make_solver(script, found)
    motions = observations(found, script, solver, given)
    seen = next(iter(motions.values()))
    solver = with_its_step(solver, seen)
    parameters = choose(script.build, starts(found.parameters), given)
    teller = Teller(script.name, found.epochs or ITERATIONS, tuple(parameters))
    try:
        with teller.progress:
            fitted = fit_parameters(
                script.build, solver, seen, parameters, given=given, folder=folder,
                max_iterations=found.epochs or ITERATIONS, resume=found.resume, tell=teller,
            )  # fmt: skip
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"after iteration {teller.iterations}; add --resume to go on"
        ) from None
    report = judged(found, script, solver, motions, parameters, given, fitted)
    report.law_fitted.save(folder / "law.safetensors")  # type: ignore[union-attr]
    write_report(folder, report)
    return sum_up(report, fitted, folder)


def starts(words: str) -> dict[str, float | None]:
    """Names with where they start: `young,damping=1e-3` leaves young to the scene.

    Raises:
        ValueError: A start is not a number, or a name comes twice.
    """
    named: dict[str, float | None] = {}
    for word in filter(None, words.split(",")):
        name, _, start = word.partition("=")
        if name in named:
            raise ValueError(f"--parameters: got {name!r} twice, expected each name once")
        try:
            named[name.replace("-", "_")] = number(start) if start else None
        except argparse.ArgumentTypeError as error:
            raise ValueError(f"--parameters: {name}: {error}") from None
    return named


def observations(
    found: argparse.Namespace, script: Script, solver: Any, given: Mapping[str, Any]
) -> dict[str, Observation]:
    """What is fitted, first, and longer motions by which the fit is judged.

    Raises:
        ValueError: The recording is of another kind than the scene can be compared with.
    """
    recording = observed(found, solver)
    if recording.markers:
        return markers(found, script, solver, given, recording)
    from rheograd.engine.observation import Positions

    share = HOLD_OUT if found.hold_out is None else found.hold_out
    if not 0.0 <= share < 1.0:
        raise ValueError(f"--hold-out is a share from 0 to below 1; got {share:g}")
    scene = selection.make_scene(script, None, given)
    last = float(recording.time[-1])
    if last > scene.duration * (1 + 1e-6):
        raise ValueError(
            f"the observation lasts {last:g} s, longer than the simulation of {scene.name},"
            f" {scene.duration:g} s: cut the observation, or give the scene a longer duration"
        )
    kept = max(2, math.ceil(len(recording) * (1.0 - share)))
    motions: dict[str, Observation] = {"reconstruction": Positions(recording.window(0, kept))}
    if kept < len(recording):
        motions["with the held-out tail"] = Positions(recording)
    return motions


def observed(found: argparse.Namespace, solver: Any) -> Trajectory:
    """The motion in the file; a file of steps without times has the solver's."""
    from rheograd.engine.trajectory import Trajectory

    step = None if found.frame_rate is not None else getattr(solver, "dt", None)
    if found.observation.suffix == ".c3d":
        step = None
    return Trajectory.load(
        found.observation, dt=step, frame_rate=found.frame_rate, units=found.units
    )


def markers(
    found: argparse.Namespace,
    script: Script,
    solver: Any,
    given: Mapping[str, Any],
    recording: Trajectory,
) -> dict[str, Observation]:
    """Markers bound to the particles of the scene by its own `observe`."""
    observe = getattr(script.module, "observe", None)
    if observe is None:
        raise ValueError(
            f"{found.observation} holds markers, and {script.name} does not say where they are:"
            " it needs observe(recording, rest, ...) -> Markers beside build()"
        )
    takes = inspect.signature(observe).parameters
    chosen = {name: value for name, value in given.items() if name in takes}
    rest = solver.discretize(selection.make_scene(script, None, given)).x0
    bound = observe(recording, rest, **chosen)
    motions: dict[str, Observation] = {"reconstruction": bound}
    seconds = takes["seconds"].default if "seconds" in takes else None
    if seconds is not None:
        longer = observe(recording, rest, **{**chosen, "seconds": 2 * seconds})
        if len(longer.time) > 1.5 * len(bound.time):
            motions["twice the time"] = longer
    return motions


def with_its_step(solver: Any, seen: Observation) -> Any:
    """The solver with the step of the simulation that made the motion, where the file tells it."""
    from rheograd.engine.observation import Positions

    if isinstance(seen, Positions) and solver.dt is None and "dt" in seen.trajectory.metadata:
        return dataclasses.replace(solver, dt=float(seen.trajectory.metadata["dt"]))
    return solver


def judged(
    found: argparse.Namespace,
    script: Script,
    solver: Any,
    motions: Mapping[str, Observation],
    parameters: Mapping[str, Parameter],
    given: Mapping[str, Any],
    fitted: ParameterFit,
) -> FitReport:
    """The report of a fit: errors on all motions before and after, laws, numbers."""
    from rheograd.engine.fit.parameter import place
    from rheograd.engine.fit.report import FitReport

    before = place({name: p.start for name, p in parameters.items()}, given, script.build)
    after = place(fitted.values, given, script.build)
    errors = {name: misfit(script, solver, motion, after) for name, motion in motions.items()}
    old = {name: misfit(script, solver, motion, before) for name, motion in motions.items()}
    scene, first = script.build(**after), script.build(**before)
    points = scene.bodies[0].shape.bounds
    notes = [*fitted.notes, *setup(script, solver, next(iter(motions.values())), after)]
    if not fitted.converged:
        notes.append("it ended before it converged: resume it with more --epochs")
    return FitReport(
        kind="parameters", scene=scene.name, observation=str(found.observation),
        settings={"parameters": found.parameters, **{k: str(v) for k, v in given.items()}},
        errors=errors, start_errors=old, losses=fitted.losses, seconds=fitted.seconds,
        size=float((points[1] - points[0]).max()), loss_unit="m²", parameters=fitted.parameters,
        correlation=fitted.correlation, law_fitted=scene.bodies[0].law,
        law_start=first.bodies[0].law, step=fitted.dt, notes=tuple(notes),
    )  # fmt: skip


def misfit(script: Script, solver: Any, motion: Observation, keywords: Mapping[str, Any]) -> float:
    """Mean squared distance per coordinate [m²]; infinite where the simulation fails."""
    import torch

    from rheograd.engine.errors import SimulationError
    from rheograd.engine.fit.follow import follow

    try:
        with torch.no_grad():
            return float(motion.misfit(follow([script.build(**keywords)], solver, motion)[0]))
    except SimulationError:
        return math.inf


def setup(script: Script, solver: Any, seen: Observation, keywords: Mapping[str, Any]) -> list[str]:
    """What was estimated of the cameras along with the fit of markers, as a sentence."""
    import torch

    from rheograd.engine.errors import SimulationError
    from rheograd.engine.fit.follow import follow
    from rheograd.engine.markers import Markers

    if not isinstance(seen, Markers):
        return []
    try:
        with torch.no_grad():
            pose = seen.pose(follow([script.build(**keywords)], solver, seen)[0])
    except SimulationError:
        return []
    turn = ", ".join(f"{math.degrees(angle):.2f}" for angle in pose.turn.tolist())
    place = ", ".join(f"{1e3 * metres:.1f}" for metres in pose.position.tolist())
    return [
        f"estimated along with it: the cameras' axes are turned by ({turn})° from the first guess,"
        f" the middle of the markers starts at ({place}) mm in the scene, and the recording's"
        f" clock is {1e3 * float(pose.clock):+.2f} ms off"
    ]


class Teller:
    """Shows iterations as they end, with the values they reached, and notes as they come."""

    def __init__(self, title: str, most: int, names: tuple[str, ...]) -> None:
        """Make the progress, which is not shown before it is entered."""
        self.iterations = 0
        self.names = names
        self.progress = Progress(title, most, unit="iterations")

    def __call__(self, metrics: Mapping[str, Any]) -> None:
        """Take what the fit tells."""
        if "note" in metrics:
            self.progress.say(str(metrics["note"]))
            return
        self.iterations = int(metrics["epoch"]) + 1
        values = ", ".join(f"{name} {metrics[name]:.4g}" for name in self.names)
        self.progress.to(self.iterations, f"{values}, misfit {metrics['loss']:.3g} m²")


def sum_up(report: FitReport, fitted: ParameterFit, folder: Path) -> int:
    """Print what was found; 1 if the motion diverges with it."""
    from rheograd.engine.fit.distance import distance
    from rheograd.engine.fit.quantity import quantity

    for p in fitted.parameters:
        text = f"{p.name}: {quantity(p.value, p.unit, known_to=p.std)}"
        if not p.determined or p.low95 is None or p.high95 is None:
            print(f"{text}, which this motion does not determine", file=sys.stderr)
            continue
        low = quantity(p.low95, p.unit, known_to=p.std, like=p.value)
        high = quantity(p.high95, p.unit, known_to=p.std, like=p.value)
        print(f"{text} (95 %: {low} to {high})", file=sys.stderr)
    for name, error in report.errors.items():
        apart = f"{1e3 * distance(error):.3g} mm RMS" if math.isfinite(error) else "diverges"
        print(f"{name}: {apart}", file=sys.stderr)
    print(f"wrote {folder / 'law.safetensors'} and {folder / 'report.html'}", file=sys.stderr)
    return 0 if math.isfinite(report.errors[report.main]) else 1
