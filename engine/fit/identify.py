# SPDX-License-Identifier: Apache-2.0
"""Fit named numbers of a scene to an observed motion, from the scene to the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..markers import Markers
from ..observation import Observation
from ..scene import Scene
from ..trajectory import Trajectory
from .judge import judge
from .least_squares import fit_parameters
from .parameter import Parameter, place
from .report import FitReport, command_line
from .report_files import write_report
from .run_folder import Tell


def identify(
    build: Callable[..., Scene],
    solver: Any,
    motions: Mapping[str, Observation],
    parameters: Mapping[str, Parameter],
    *,
    folder: Path | str,
    given: Mapping[str, Any] | None = None,
    max_iterations: int = 20,
    resume: bool = False,
    source: str = "",
    command: str = "",
    tell: Tell = lambda metrics: None,
) -> FitReport:
    """Fit parameters to the first motion and judge them by all.

    Args:
        build: Makes the scene from keywords.
        solver: How it is simulated.
        motions: What was seen, by name; the first is fitted.
        parameters: What is fitted, by keyword of build().
        folder: Where law.safetensors, metrics, checkpoint and report go.
        given: Other keywords of build().
        max_iterations: Steps at most.
        resume: Go on with the fit in `folder`.
        source: Path of the observation, for the report.
        command: Command line that does it again, for the report; by default that of the process.
        tell: Is told each iteration's metrics, notes, and how far the judging is.

    Returns:
        What was written as report.html and report.json.

    Raises:
        ValueError: The pieces do not go together, or `folder` holds another fit.
        SimulationError: The simulation diverges with the parameters as they start.
    """
    given, seen = dict(given or {}), next(iter(motions.values()))
    fitted = fit_parameters(
        build, solver, seen, parameters, given=given, folder=folder,
        max_iterations=max_iterations, resume=resume, tell=tell,
    )  # fmt: skip
    starts = {name: p.start for name, p in parameters.items()}
    before, scene = (build(**place(v, given, build)) for v in (starts, fitted.values))
    if not solver.static:  # another step would be another motion, by its numerical damping
        solver = solver.at_step(fitted.dt)
    judged = judge(before, scene, solver, motions, tell=tell)
    notes = list(fitted.notes)
    if isinstance(seen, Markers) and judged.motion is not None:
        notes.append(setup(seen, judged.motion))
    if not fitted.converged:
        notes.append("it ended before it converged: resume it with more --epochs")
    low, high = scene.bodies[0].shape.bounds
    report = FitReport(
        kind="parameters", scene=scene.name, observation=source,
        settings={"parameters": ", ".join(parameters), **{k: str(v) for k, v in given.items()}},
        errors=judged.errors, start_errors=judged.start_errors, losses=fitted.losses,
        seconds=fitted.seconds, size=float((high - low).max()), unit=seen.unit,
        components=seen.components, loss_unit=f"{seen.unit}²",
        parameters=fitted.parameters, correlation=fitted.correlation,
        law_fitted=scene.bodies[0].law, law_start=before.bodies[0].law, step=fitted.dt,
        notes=tuple(notes), command=command or command_line(),
    )  # fmt: skip
    scene.bodies[0].law.save(Path(folder) / "law.safetensors")
    write_report(folder, report)
    return report


def setup(markers: Markers, motion: Trajectory) -> str:
    """What is estimated of the cameras along with a fit, as a sentence.

    Args:
        markers: What they saw.
        motion: The simulated motion at the same times.
    """
    pose = markers.pose(motion)
    turn = ", ".join(f"{math.degrees(angle):.2f}" for angle in pose.turn.tolist())
    place = ", ".join(f"{1e3 * metres:.1f}" for metres in pose.position.tolist())
    return (
        f"estimated along with it: the cameras' axes are turned by ({turn})° from the first guess,"
        f" the middle of the markers starts at ({place}) mm in the scene, and the recording's"
        f" clock is {1e3 * float(pose.clock):+.2f} ms off"
    )
