# SPDX-License-Identifier: Apache-2.0
"""Fit a learned law to observed motions of bodies, from the scenes to the report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from ..observations.observation import Observation, Positions
from ..restarts import Restarts, recorded
from ..scene import Scene
from ..solver import Solver
from .demonstrations import Demonstration, arranged, several
from .held import Held, Tail
from .judge import HOLD_OUT, SEEN, TAIL, Case, Judgement, judge
from .lesson import Lesson, PositionLesson, SightLesson
from .overlays import overlays, without_film
from .recipe import Recipe
from .report import FitReport, command_line
from .report_files import deliver
from .run_folder import RunFolder, Tell
from .shooting import Training
from .strains import Run
from .team import Team


def frame_steps(observation: Positions, model: Any) -> Tensor:
    """Steps of the observed frames, shape (f,), int64, evenly spaced from 0.

    Raises:
        ValueError: The frames are otherwise, are of other particles, have gaps, or do not start
            where the model does.
    """
    time, x = observation.time, observation.trajectory.x.detach()
    step = torch.round(time / model.dt).long()
    gaps = step.diff()
    if int(step[0]) != 0 or bool((gaps != gaps[0]).any()):
        raise ValueError(
            f"the observation has {len(time)} frames from {float(time[0]):g} s, the second at"
            f" {float(time[1]):g} s, expected them evenly spaced from 0: resample it"
        )
    if x.shape[1] != model.n:
        raise ValueError(
            f"the observation has {x.shape[1]} particles, the scene {model.n}: observe the"
            " particles that are simulated"
        )
    if not bool(torch.isfinite(x).all()):
        raise ValueError("the observation has positions that are not finite: fill or cut its gaps")
    gap = float((x[0].to(model.x0) - model.x0).abs().max())
    if gap > 0.5 * model.spacing:
        raise ValueError(
            f"the first observed frame is up to {gap:.3g} m away from the scene's start: give the"
            " scene the options with which the motion was made (velocity does not matter here)"
        )
    return step


def fitted_law(scenes: Sequence[Scene]) -> ConstitutiveLaw:
    """The one learned law of some scenes.

    Raises:
        ValueError: There is none, or more than one.
    """
    found = {id(b.law): b.law for scene in scenes for b in scene.bodies if b.law.twin is None}
    if len(found) != 1:
        names = ", ".join(dict.fromkeys(scene.name for scene in scenes))
        laws = ", ".join(b.law.name for scene in scenes for b in scene.bodies)
        raise ValueError(
            f"a fit needs one learned law in the scene; {names} has {len(found)} ({laws})"
            + (": build all scenes with the same law" if len(scenes) > 1 and found else "")
        )
    return next(iter(found.values()))


def fit(
    scene: Scene | Sequence[Scene],
    solver: Solver,
    observation: Observation | Sequence[Observation],
    *,
    folder: Path | str,
    truth: Scene | Sequence[Scene] | None = None,
    states: Literal["recorded", "positions"] = "positions",
    recipe: Recipe | None = None,
    hold_out: float | None = None,
    seed: int = 0,
    threads: int = 2,
    team: Team | None = None,
    resume: bool = False,
    predict: float = 0.0,
    source: str = "",
    names: Sequence[str] = (),
    command: str = "",
    tell: Tell = lambda metrics: None,
) -> FitReport:
    """Train the learned law of a scene, or of several, until all move as was observed.

    Args:
        scene: What was observed, with the law to fit, or several with the same law; it is trained
            in place.
        solver: How they are simulated.
        observation: Of each scene. Positions of all particles are learned from in segments,
            anything else from the start of the motion on.
        folder: Where law.safetensors, metrics, checkpoint and report go.
        truth: The same scenes with the law that made the observations, where that is known: for
            recorded states and to judge the fit.
        states: Where segments restart: from states "recorded" in a run of `truth`, or from
            estimates by "positions" alone; of no matter for a recipe with `from_start`.
        recipe: How the law is trained; by default what suits it.
        hold_out: Share of each motion, at its end, that is kept from the fit to judge it; by
            default 0.1, and nothing where a known truth gives other motions to judge by.
        seed: Of the batches.
        threads: At most this many parts of a batch run at a time; results do not depend on it.
        team: The processes that do this together, each of them calling this with the same; only
            the leader writes and tells. Results do not depend on their number.
        resume: Go on with the fit in `folder`.
        predict: Seconds between two predictions of the first motion that are written to `folder`
            for those who watch it; 0 for none.
        source: Path of the observations, for the report.
        names: Of the observations, for the report, where there are several; numbers by default.
        command: Command line that does it again, for the report; by default that of the process.
        tell: Is told each epoch's metrics, notes, and how far the judging is.

    Returns:
        What was written as report.html and report.json.

    Raises:
        ValueError: The pieces do not go together, or `folder` holds another fit.
        ProcessLost: Another process of the team died.
    """
    team = team or Team()
    tell = tell if team.leads else _silent
    scenes, observations, truths = several(scene), several(observation), several(truth)
    law = fitted_law(scenes)
    sights = not all(isinstance(o, Positions) for o in observations)
    recipe = recipe or Recipe.suited(law, states="pixels" if sights else states)
    if sights:
        recipe = replace(recipe, from_start=True)
    _check_states(states, truths, sights)
    if hold_out is None:
        hold_out = HOLD_OUT if truth is None else 0.0
    demonstrations, solver = arranged(scenes, observations, truths, names, solver, hold_out)
    for e in demonstrations:  # before anything is written
        seen = e.motions[SEEN]
        if isinstance(seen, Positions):
            frame_steps(seen, e.model)
    config = {
        "scene": ", ".join(dict.fromkeys(s.name for s in scenes)), "observation": source,
        "law": law.name, "states": "pixels" if sights else states, "hold_out": hold_out,
        "seed": seed, "motions": [e.described for e in demonstrations], **asdict(recipe),
    }  # fmt: skip
    run = team.led(lambda: RunFolder(folder, config, resume=resume, predict=predict))
    start = _start(run, law, team)
    law.load_state_dict(start.state_dict())
    lessons = [_lesson(e, law, states, recipe) for e in demonstrations]
    training = Training(
        lessons, law, recipe, run, seed=seed, threads=threads, team=team,
        held=_held(demonstrations, recipe), tell=tell, predict=demonstrations[0].predicted,
    )  # fmt: skip
    training.run()
    report = _report(training, demonstrations, start, command)
    if team.leads:
        seen = [Run(e.solver, e.model, e.motions[SEEN].time, law) for e in demonstrations]
        report = deliver(run.path, report, law, seen)
    return report


def _silent(metrics: Any) -> None:
    """Say nothing: the leader does."""


def _check_states(states: str, truths: Sequence[Scene], sights: bool) -> None:
    if states != "recorded":
        return
    if not truths:
        raise ValueError(
            "recorded states come from a run of the true scene, and none was given: name the"
            " material that made the observation, or use states='positions'"
        )
    if sights:
        raise ValueError(
            "got states='recorded' for what does not tell the positions of all particles: it is"
            " learned from the start of the motion, use states='positions'"
        )


def _lesson(e: Demonstration, law: ConstitutiveLaw, states: str, recipe: Recipe) -> Lesson:
    """What a law learns from a demonstration."""
    seen, parameters = e.motions[SEEN], list(law.parameters())
    if not isinstance(seen, Positions):
        return SightLesson(e.solver, e.model, parameters, seen)
    x = seen.trajectory.x.detach().to(e.model.x0)
    step = frame_steps(seen, e.model)
    true_model = None
    if states == "recorded" and e.truth is not None:
        true_model = e.solver.discretize(e.truth)
    restarts = _restarts(e.solver, e.model, true_model, x, step, recipe)
    return PositionLesson(e.solver, e.model, parameters, x, step, restarts, seen.noise,
                          recipe.from_start)  # fmt: skip


def _held(demonstrations: Sequence[Demonstration], recipe: Recipe) -> Held | None:
    """The tails of all motions, if the recipe wants to look at them and there are any."""
    tails = [
        Tail(e.solver, e.model, e.motions[TAIL], len(e.motions[SEEN].time))
        for e in demonstrations
        if TAIL in e.motions
    ]
    return Held(tails, recipe.patience) if tails and recipe.patience is not None else None


def with_law(scene: Scene, old: ConstitutiveLaw, new: ConstitutiveLaw) -> Scene:
    """The scene with another law in the bodies that have `old`."""
    bodies = [replace(b, law=new) if b.law is old else b for b in scene.bodies]
    return replace(scene, bodies=bodies)


def _start(run: RunFolder, law: ConstitutiveLaw, team: Team) -> ConstitutiveLaw:
    """The law before the fit, as the run began it."""
    path = run.path / "law_start.safetensors"

    def begun() -> bytes:
        if not path.is_file():
            law.save(path)
        return path.read_bytes()

    content = team.led(begun)
    if team.leads:
        return ConstitutiveLaw.load(path)
    with tempfile.TemporaryDirectory() as place:  # the folder may be on the leader's machine only
        copy = Path(place) / path.name
        copy.write_bytes(content)
        return ConstitutiveLaw.load(copy)


def _report(
    training: Training,
    demonstrations: Sequence[Demonstration],
    start: ConstitutiveLaw,
    command: str,
) -> FitReport:
    run, first, law, team = training.folder, demonstrations[0], training.law, training.team
    lines = team.led(run.metrics)
    jobs = [partial(_judged, e, law, start, k, demonstrations, training.tell)
            for k, e in enumerate(demonstrations)]  # fmt: skip
    found = team.share(jobs)
    missing = [note for e in demonstrations for note in without_film(_cases(e, e.scene))]
    doubts = [d for e in demonstrations for d in e.motions[SEEN].doubts()]
    pictures: dict[str, Path] = {}
    movies: dict[str, Path] = {}
    if team.leads:
        for e, judged in zip(demonstrations, found, strict=True):
            drawn = overlays(_cases(e, e.scene), judged.motions, run.path)
            pictures |= drawn[0]
            movies |= drawn[1]
    return FitReport(
        kind="law", scene=run.config["scene"], observation=run.config["observation"],
        settings=run.config,
        errors={name: value for judged in found for name, value in judged.errors.items()},
        start_errors={n: value for judged in found for n, value in judged.start_errors.items()},
        losses=[m["loss"] for m in lines], segments=[m["segment"] for m in lines],
        seconds=sum(m["seconds"] for m in lines), size=first.size,
        trained=tuple(e.label(SEEN) for e in demonstrations),
        chose=tuple(e.label(TAIL) for e in demonstrations if TAIL in e.motions and training.held),
        unit=first.motions[SEEN].unit, components=first.motions[SEEN].components,
        law_fitted=law, law_start=start,
        law_truth=None if first.truth is None else first.truth.bodies[0].law,
        step=first.model.dt, notes=(*training.notes, *dict.fromkeys(missing)),
        warnings=tuple(dict.fromkeys(doubts)), command=command or command_line(),
        pictures=pictures, movies=movies,
    )  # fmt: skip


def _cases(e: Demonstration, scene: Scene) -> dict[str, Case]:
    """A demonstration's motions by the names of a report, to be compared with a scene."""
    return {e.label(name): Case(scene, e.solver, seen) for name, seen in e.motions.items()}


def _judged(
    e: Demonstration,
    law: ConstitutiveLaw,
    start: ConstitutiveLaw,
    number: int,
    demonstrations: Sequence[Demonstration],
    tell: Tell,
) -> Judgement:
    """A demonstration's motions, fitted and before; of simulations only what is to be drawn."""
    before = 2 * sum(len(other.motions) for other in demonstrations[:number])
    count = 2 * sum(len(other.motions) for other in demonstrations)

    def told(metrics: Any) -> None:
        tell({**metrics, "judged": before + metrics["judged"], "of": count})

    judged = judge(_cases(e, e.scene), _cases(e, with_law(e.scene, law, start)), tell=told)
    return judged if e.motions[SEEN].cameras else judged._replace(motions={})


def _restarts(
    solver: Solver,
    model: Any,
    true_model: Any,
    x: Tensor,
    step: Tensor,
    recipe: Recipe,
) -> Callable[[int], Restarts]:
    """States at the frames by epoch: recorded in a run of the true model, or estimated from x."""
    if recipe.from_start:
        first = recorded(solver, model, step[:1])
        return lambda epoch: first
    if true_model is not None:
        known = recorded(solver, true_model, step)
        return lambda epoch: known
    estimate = solver.estimator(model, step, x)
    latest: dict[int, Restarts] = {}

    def restarts(epoch: int) -> Restarts:
        number = epoch // recipe.refresh
        if number not in latest:
            latest.clear()
            latest[number] = estimate(model)
        return latest[number]

    return restarts
