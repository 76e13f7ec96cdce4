# SPDX-License-Identifier: Apache-2.0
"""Fit a learned law to the observed motion of a body, from the scene to the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from ..observation import Positions
from ..restarts import Restarts, recorded
from ..scene import Scene
from ..simulate import simulate
from ..solver import Solver
from .follow import fitting_step
from .judge import HOLD_OUT, LONGER, SEEN, Case, Judgement, held_out, judge
from .recipe import Recipe
from .report import FitReport, command_line
from .report_files import write_report
from .run_folder import RunFolder, Tell
from .shooting import Training


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


def fitted_law(scene: Scene) -> ConstitutiveLaw:
    """The one learned law of a scene.

    Raises:
        ValueError: There is none, or more than one.
    """
    found = {id(b.law): b.law for b in scene.bodies if b.law.twin is None}
    if len(found) != 1:
        raise ValueError(
            f"a fit needs one learned law in the scene; {scene.name} has {len(found)}"
            f" ({', '.join(b.law.name for b in scene.bodies)})"
        )
    return next(iter(found.values()))


def fit(
    scene: Scene,
    solver: Solver,
    observation: Positions,
    *,
    folder: Path | str,
    truth: Scene | None = None,
    states: Literal["recorded", "positions"] = "positions",
    recipe: Recipe | None = None,
    hold_out: float | None = None,
    seed: int = 0,
    threads: int = 2,
    resume: bool = False,
    source: str = "",
    command: str = "",
    tell: Tell = lambda metrics: None,
) -> FitReport:
    """Train the learned law of a scene until the scene moves as was observed.

    Args:
        scene: What was observed, with the law to fit; the law is trained in place.
        solver: How it is simulated.
        observation: Positions of all particles.
        folder: Where law.safetensors, metrics, checkpoint and report go.
        truth: The same scene with the law that made the observation, where that is known: for
            recorded states and to judge the fit.
        states: Where segments restart: from states "recorded" in a run of `truth`, or from
            estimates by "positions" alone; of no matter for a recipe with `from_start`.
        recipe: How the law is trained; by default what suits it.
        hold_out: Share of the motion, at its end, that is kept from the fit to judge it; by
            default 0.1, and nothing where a known truth gives other motions to judge by.
        seed: Of the batches.
        threads: At most this many parts of a batch run at a time; results do not depend on it.
        resume: Go on with the fit in `folder`.
        source: Path of the observation, for the report.
        command: Command line that does it again, for the report; by default that of the process.
        tell: Is told each epoch's metrics, notes, and how far the judging is.

    Returns:
        What was written as report.html and report.json.

    Raises:
        ValueError: The pieces do not go together, or `folder` holds another fit.
    """
    if states == "recorded" and truth is None:
        raise ValueError(
            "recorded states come from a run of the true scene, and none was given: name the"
            " material that made the observation, or use states='positions'"
        )
    law = fitted_law(scene)
    recipe = recipe or Recipe.suited(law, states=states)
    if hold_out is None:
        hold_out = HOLD_OUT if truth is None else 0.0
    motions = held_out(observation, scene, hold_out)
    solver = solver.at_step(fitting_step(solver, [scene], observation))
    model = solver.discretize(scene)
    x = motions[SEEN].trajectory.x.detach().to(model.x0)
    step = frame_steps(observation, model)[: len(x)]
    config = {
        "scene": scene.name, "observation": source, "law": law.name, "states": states,
        "hold_out": hold_out, "seed": seed, **asdict(recipe),
    }  # fmt: skip
    run = RunFolder(folder, config, resume=resume)
    start = _start(run, law)
    if truth is not None:
        motions[LONGER] = _twice(truth, solver, observation)
    true_model = solver.discretize(truth) if truth is not None and states == "recorded" else None
    training = Training(
        solver, model, law, x, step, _restarts(solver, model, true_model, x, step, recipe),
        recipe, run, seed=seed, threads=threads, tell=tell,
    )  # fmt: skip
    training.run()
    law.save(run.path / "law.safetensors")
    before = with_law(scene, law, start)
    sides = (
        {name: Case(side, solver, seen) for name, seen in motions.items()}
        for side in (scene, before)
    )
    judged = judge(*sides, tell=tell)
    true_law = None if truth is None else truth.bodies[0].law
    report = _report(training, judged, start, true_law, command)
    write_report(run.path, report)
    return report


def with_law(scene: Scene, old: ConstitutiveLaw, new: ConstitutiveLaw) -> Scene:
    """The scene with another law in the bodies that have `old`."""
    bodies = [replace(b, law=new) if b.law is old else b for b in scene.bodies]
    return replace(scene, bodies=bodies)


def _start(run: RunFolder, law: ConstitutiveLaw) -> ConstitutiveLaw:
    """The law before the fit, as the run began it."""
    path = run.path / "law_start.safetensors"
    if not path.is_file():
        law.save(path)
    return ConstitutiveLaw.load(path)


def _report(
    training: Training,
    judged: Judgement,
    start: ConstitutiveLaw,
    truth: ConstitutiveLaw | None,
    command: str,
) -> FitReport:
    run, x0 = training.folder, training.model.x0
    lines = run.metrics()
    return FitReport(
        kind="law", scene=run.config["scene"], observation=run.config["observation"],
        settings=run.config, errors=judged.errors, start_errors=judged.start_errors,
        losses=[m["loss"] for m in lines], segments=[m["segment"] for m in lines],
        seconds=sum(m["seconds"] for m in lines), size=float((x0.amax(0) - x0.amin(0)).max()),
        law_fitted=training.law, law_start=start, law_truth=truth, step=training.model.dt,
        notes=tuple(training.notes), command=command or command_line(),
    )  # fmt: skip


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


def _twice(truth: Scene, solver: Any, observation: Positions) -> Positions:
    """The motion of the true scene over twice the observed time, with frames as often."""
    last = float(observation.time[-1])
    assert solver.dt is not None
    every = round(last / (len(observation.time) - 1) / solver.dt)
    steps = 2 * (len(observation.time) - 1) * every
    longer = replace(truth, duration=steps * solver.dt)
    return Positions(simulate(longer, solver, steps=steps, every=every))
