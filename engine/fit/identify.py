# SPDX-License-Identifier: Apache-2.0
"""Fit named numbers of a scene to an observed motion, from the scene to the report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..observations.markers import Markers
from ..trajectory import Trajectory
from .assumptions import assumed
from .experiment import Build, Experiment, comparable
from .judge import SEEN, Case, Judgement, judge
from .least_squares import ParameterFit, fit_parameters
from .numerical_error import Numerics
from .overlays import overlays, without_film
from .parameter import Parameter
from .report import FitReport, command_line
from .report_files import deliver, law_words
from .run_folder import Tell
from .strains import Run
from .team import Team


def identify(
    build: Build,
    solver: Any,
    experiments: Sequence[Experiment],
    parameters: Mapping[str, Parameter],
    *,
    folder: Path | str,
    given: Mapping[str, Any] | None = None,
    max_iterations: int = 20,
    numerics: Numerics | None = None,
    resume: bool = False,
    predict: float = 0.0,
    source: str = "",
    command: str = "",
    settings: Mapping[str, Any] | None = None,
    team: Team | None = None,
    tell: Tell = lambda metrics: None,
) -> FitReport:
    """Fit parameters to what was seen of one or more motions, and judge them.

    Args:
        build: Makes the scene from keywords.
        solver: How it is simulated.
        experiments: What was seen.
        parameters: What is fitted, by keyword of build() or a name of `Experiment`.
        folder: Where law.safetensors, metrics, checkpoint and report go.
        given: Other keywords of build(), of all experiments.
        max_iterations: Steps at most.
        numerics: What is simulated in the end so that bands hold the error of particles and cells
            too; None: they do not.
        resume: Go on with the fit in `folder`.
        predict: Seconds between two predictions of the first motion that are written to `folder`
            for those who watch it; 0 for none.
        source: Path of the observation, for the report.
        command: Command line that does it again, for the report; by default that of the process.
        settings: What else is to be listed in the report, by name.
        team: Processes that share the experiments; the first of them judges and writes.
        tell: Is told each iteration's metrics, notes, and how far the judging is.

    Returns:
        What was written as report.html and report.json.

    Raises:
        ValueError: The pieces do not go together, or `folder` holds another fit.
        SimulationError: The simulation diverges with the parameters as they start.
    """
    given, team = dict(given or {}), team or Team()
    whole = comparable([replace(e, given={**given, **e.given}) for e in experiments])
    fitted = fit_parameters(
        build, solver, whole, parameters, folder=folder, max_iterations=max_iterations,
        numerics=numerics, resume=resume, predict=predict, team=team, tell=tell,
    )  # fmt: skip
    starts = {name: p.start for name, p in parameters.items()}

    def report() -> FitReport:
        after = _cases(build, solver, whole, fitted.steps, fitted.values)
        before = _cases(build, solver, whole, fitted.steps, starts)
        judged = judge(after, before, tell=tell)
        made = _report(fitted, after, before, judged, Path(folder))
        law = next(iter(after.values())).scene.bodies[0].law
        made = replace(
            made, observation=source, command=command or command_line(),
            settings={
                "parameters": ", ".join(parameters),
                "law": law_words(law),
                **assumed(build, whole, parameters), **(settings or {}),
            },
        )  # fmt: skip
        runs = [_run(c) for name, c in after.items() if name.endswith(SEEN)]
        return deliver(folder, made, law, runs)

    return team.led(report)


def _report(
    fitted: ParameterFit, after: Mapping[str, Case], before: Mapping[str, Case],
    judged: Judgement, folder: Path,
) -> FitReport:  # fmt: skip
    """All but what was asked; pictures go to the folder."""
    first, start = (next(iter(cases.values())) for cases in (after, before))
    warnings = list(fitted.warnings)
    if not fitted.converged:
        warnings.append("it ended before it converged: resume it with more iterations")
    warnings += dict.fromkeys(d for c in after.values() for d in c.observation.doubts())
    notes = (*fitted.notes, *_setups(after, judged), *without_film(after))
    low, high = first.scene.bodies[0].shape.bounds
    unit = first.observation.unit
    pictures, movies = overlays(after, judged.motions, folder)
    return FitReport(
        kind="parameters", scene=first.scene.name, observation="", settings={},
        errors=judged.errors, start_errors=judged.start_errors, losses=fitted.losses,
        trained=tuple(name for name in after if name.endswith(SEEN)),
        seconds=fitted.seconds, size=float((high - low).max()), unit=unit,
        components=first.observation.components, loss_unit=f"{unit}²",
        parameters=fitted.parameters, correlation=fitted.correlation,
        law_fitted=first.scene.bodies[0].law, law_start=start.scene.bodies[0].law,
        step=min(fitted.steps), notes=notes, warnings=tuple(warnings), excess=fitted.excess,
        pictures=pictures, movies=movies,
    )  # fmt: skip


def _cases(
    build: Build, solver: Any, experiments: Sequence[Experiment], steps: Sequence[float],
    values: Mapping[str, float],
) -> dict[str, Case]:  # fmt: skip
    """Each motion by its name, with the name of the experiment before it if there are several."""
    cases = {}
    for e, dt in zip(experiments, steps, strict=True):
        # another step would be another motion, by its numerical damping
        own = solver if solver.static else solver.at_step(dt)
        for name, observation in {SEEN: e.observation, **e.others}.items():
            title = f"{e.name}: {name}" if len(experiments) > 1 else name
            seen = replace(e, observation=observation).observed(build, values)
            cases[title] = Case(e.scene(build, values), own, seen)
    return cases


def _run(case: Case) -> Run:
    """The motion of a case's first body."""
    time = case.observation.time
    scene = case.scene
    if not case.solver.static:  # whose duration is that of the whole load
        scene = replace(scene, duration=float(time[-1]))
    return Run(case.solver, case.solver.discretize(scene), time, scene.bodies[0].law)


def _setups(cases: Mapping[str, Case], judged: Judgement) -> Iterator[str]:
    """What was estimated of markers' cameras along with the fit."""
    for name, case in cases.items():
        motion = judged.motions[name]
        if isinstance(case.observation, Markers) and motion is not None and name.endswith(SEEN):
            yield setup(case.observation, motion)


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
