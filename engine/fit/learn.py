# SPDX-License-Identifier: Apache-2.0
"""Fit a learned law to the observed motion of particles, from the scene to the report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from ..errors import SimulationError
from ..mpm import MPMModel, MPMSolver
from ..observation import Positions
from ..scene import Scene
from .distance import mean_squared_error
from .recipe import Recipe
from .report import FitReport
from .report_files import write_report
from .run_folder import RunFolder
from .shooting import Training
from .states import Restarts, estimated, kinematics, recorded

Tell = Callable[[Mapping[str, Any]], None]
"""Is told the metrics of each epoch, or a note."""


@dataclass(frozen=True)
class Frames:
    """The observed motion on the steps of a solver."""

    step: Tensor
    """Shape (f,), int64, evenly spaced from 0."""
    x: Tensor
    """[m], shape (f, n, 3), in the solver's precision."""

    @property
    def every(self) -> int:
        """Steps between frames."""
        return int(self.step[1])

    def upto(self, last: int) -> Frames:
        """The frames at or before a step."""
        keep = self.step <= last
        return Frames(self.step[keep], self.x[keep])


def on_steps(observation: Positions, scene: Scene, model: MPMModel) -> Frames:
    """The observed frames, checked against what will be simulated.

    Raises:
        ValueError: The observation lasts longer than the scene, has frames between steps, does
            not start at 0 or is not evenly spaced, or is of other particles.
    """
    time_, x = observation.time, observation.trajectory.x.detach()
    last = float(time_[-1])
    if last > scene.duration * (1 + 1e-6):
        raise ValueError(
            f"the observation lasts {last:g} s, longer than the simulation of {scene.name},"
            f" {scene.duration:g} s: cut the observation, or give the scene a longer duration"
        )
    step = torch.round(time_ / model.dt).long()
    off = float((step * model.dt - time_).abs().max())
    gaps = step.diff()
    if off > 1e-3 * model.dt or int(step[0]) != 0 or bool((gaps != gaps[0]).any()):
        raise ValueError(
            f"the observation's frames ({len(time_)} from {float(time_[0]):g} s, the second at"
            f" {float(time_[1]):g} s) must start at 0 and lie evenly on steps of {model.dt:g} s:"
            " choose dt so that it divides the frame interval, or resample the observation"
        )
    if x.shape[1] != model.n:
        raise ValueError(
            f"the observation has {x.shape[1]} particles, the scene {model.n}: observe the"
            " particles that are simulated"
        )
    if not bool(torch.isfinite(x).all()):
        raise ValueError("the observation has positions that are not finite: fill or cut its gaps")
    gap = float((x[0].to(model.x0) - model.x0).abs().max())
    if gap > 0.5 * model.grid.cell:
        raise ValueError(
            f"the first observed frame is up to {gap:.3g} m away from the scene's start: give the"
            " scene the options with which the motion was made (velocity does not matter here)"
        )
    return Frames(step, x.to(model.x0))


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


def error_of(solver: MPMSolver, model: MPMModel, frames: Frames) -> float:
    """Error of the motion that a model makes [m²]; infinite where it diverges."""
    try:
        out = solver.rollout(
            model, solver.start(model), int(frames.step[-1]), observe=frames.step[1:].tolist()
        )
    except SimulationError:
        return math.inf
    return mean_squared_error(torch.cat([model.x0[None], out.x]), frames.x)


def simulated(solver: MPMSolver, model: MPMModel, steps: int, every: int) -> Frames:
    """The motion of a model."""
    step = torch.arange(0, steps + 1, every)
    out = solver.rollout(model, solver.start(model), steps, observe=step[1:].tolist())
    return Frames(step, torch.cat([model.x0[None], out.x]))


def fit(
    scene: Scene,
    solver: MPMSolver,
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
            estimates by "positions" alone.
        recipe: How the law is trained.
        hold_out: Share of the motion, at its end, that is kept from the fit to judge it; by
            default 0.1, and nothing where a known truth gives other motions to judge by.
        seed: Of the batches.
        threads: At most this many parts of a batch run at a time; results do not depend on it.
        resume: Go on with the fit in `folder`.
        source: Path of the observation, for the report.
        tell: Is told each epoch's metrics.

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
    recipe = recipe or Recipe()
    hold_out = (0.0 if truth is not None else 0.1) if hold_out is None else hold_out
    if not 0.0 <= hold_out < 1.0:
        raise ValueError(f"hold_out is a share from 0 to below 1; got {hold_out}")
    law = fitted_law(scene)
    model = solver.discretize(scene)
    frames = on_steps(observation, scene, model)
    config = {
        "scene": scene.name, "observation": source, "law": law.name, "states": states,
        "hold_out": hold_out, "seed": seed, **asdict(recipe),
    }  # fmt: skip
    run = RunFolder(folder, config, resume=resume)
    if not (run.path / "law_start.safetensors").is_file():
        law.save(run.path / "law_start.safetensors")
    start_law = ConstitutiveLaw.load(run.path / "law_start.safetensors")
    last = int(frames.step[-1]) * (1.0 - hold_out)
    seen = frames.upto(max(frames.every, int(last // frames.every) * frames.every))
    true_model = None if truth is None else solver.discretize(truth)
    training = Training(
        solver, model, law, seen.x, seen.step,
        _restarts(solver, model, true_model, seen, states, recipe), recipe, run,
        seed=seed, threads=threads, tell=tell,
    )  # fmt: skip
    began = time.perf_counter()
    training.run()
    law.save(run.path / "law.safetensors")
    judge = _motions(solver, scene, frames, seen, true_model)
    errors = {name: error_of(solver, solver.discretize(scene), f) for name, f in judge.items()}
    before = solver.discretize(with_law(scene, law, start_law))
    starts = {name: error_of(solver, before, f) for name, f in judge.items()}
    lines = run.metrics()
    report = FitReport(
        kind="law", scene=scene.name, observation=source, settings=config, errors=errors,
        start_errors=starts, losses=[m["loss"] for m in lines],
        segments=[m["segment"] for m in lines],
        seconds=sum(m["seconds"] for m in lines) or time.perf_counter() - began,
        size=float((model.x0.amax(0) - model.x0.amin(0)).max()),
        law_fitted=law, law_start=start_law,
        law_truth=None if truth is None else truth.bodies[0].law,
        step=model.dt, notes=tuple(training.notes),
    )  # fmt: skip
    write_report(run.path, report)
    return report


def with_law(scene: Scene, old: ConstitutiveLaw, new: ConstitutiveLaw) -> Scene:
    """The scene with another law in the bodies that have `old`."""
    bodies = [replace(b, law=new) if b.law is old else b for b in scene.bodies]
    return replace(scene, bodies=bodies)


def _restarts(
    solver: MPMSolver,
    model: MPMModel,
    true_model: MPMModel | None,
    seen: Frames,
    states: str,
    recipe: Recipe,
) -> Callable[[int], Restarts]:
    if states == "recorded":
        assert true_model is not None
        known = recorded(solver, true_model, seen.step)
        return lambda epoch: known
    motion = kinematics(solver, model, seen.step, seen.x)
    latest: dict[int, Restarts] = {}

    def restarts(epoch: int) -> Restarts:
        number = epoch // recipe.refresh
        if number not in latest:
            latest.clear()
            latest[number] = estimated(model, seen.step, seen.x, motion)
        return latest[number]

    return restarts


def _motions(
    solver: MPMSolver, scene: Scene, frames: Frames, seen: Frames, true_model: MPMModel | None
) -> dict[str, Frames]:
    """Motions by which the fit is judged: the one it saw first."""
    motions = {"reconstruction": frames}
    if len(seen.step) < len(frames.step):
        motions = {"reconstruction": seen, "with the held-out tail": frames}
    if true_model is not None:
        twice = 2 * int(frames.step[-1])
        motions["twice the time"] = simulated(solver, true_model, twice, frames.every)
    return motions
