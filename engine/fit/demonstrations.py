# SPDX-License-Identifier: Apache-2.0
"""Motions that a law is fitted to together: scenes, and what was seen of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch

from ..observations.joint import comparable
from ..observations.observation import Observation, Positions
from ..scene import Scene
from ..simulate import simulate
from ..solver import Solver
from ..trajectory import Trajectory
from .follow import common_interval, fitting_step, moved
from .judge import LONGER, SEEN, TAIL, held_out

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Demonstration:
    """One scene and what was seen of its motion: what a law learns from."""

    scene: Scene
    solver: Any
    """At the step of the fit, with scratch memory of its own."""
    model: Any
    """The scene as one world, with the law that is fitted."""
    motions: dict[str, Observation]
    """By the names of `judge`; the first is what the law is trained on."""
    truth: Scene | None = None
    """The scene with the law that made the observation, where that is known."""
    name: str = ""
    """Of the observation, where there are several."""

    def label(self, motion: str) -> str:
        """The name of a motion in a report."""
        return f"{self.name}: {motion}" if self.name else motion

    def predicted(self) -> tuple[Scene, Trajectory, Observation, Any]:
        """The scene, its motion by the law as it is, all that was seen of it, and the model.

        Raises:
            SimulationError: The law does not run so far.
        """
        seen = self.motions.get(TAIL, self.motions[SEEN])
        step = torch.round(seen.time / self.model.dt).long()
        motion = moved(replace(self.solver), self.model, seen.time, step, None)
        return self.scene, motion, seen, self.model

    @property
    def size(self) -> float:
        """Largest extent of the bodies at rest [m]."""
        x0 = self.model.x0
        return float((x0.amax(0) - x0.amin(0)).max())

    @property
    def described(self) -> str:
        """What makes it another fit if it changes, for the folder of a run."""
        seen = self.motions[SEEN]
        return f"{type(seen).__name__} in {len(seen.time)} frames to {float(seen.time[-1]):g} s"


def several(one: T | Sequence[T] | None) -> list[T]:
    """A list of what may be one, several or none."""
    if one is None:
        return []
    return list(one) if isinstance(one, (list, tuple)) else [one]  # type: ignore[list-item]


def arranged(
    scenes: Sequence[Scene],
    observations: Sequence[Observation],
    truths: Sequence[Scene],
    names: Sequence[str],
    solver: Solver,
    hold_out: float,
) -> tuple[list[Demonstration], Solver]:
    """Demonstrations at one common step, and the solver at that step.

    Args:
        scenes: With the law that is fitted.
        observations: Of each.
        truths: Of each, or none.
        names: Of each, or none.
        solver: How all are simulated.
        hold_out: Share of each motion that is kept from the fit.

    Raises:
        ValueError: The pieces do not go together.
    """
    counts = {"scenes": len(scenes), "observations": len(observations)}
    counts |= {"truths": len(truths)} if truths else {}
    counts |= {"names": len(names)} if names else {}
    if len(set(counts.values())) != 1 or not scenes:
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise ValueError(f"got {told}, expected as many of each, one or more")
    if len(scenes) == 1:
        names = ("",)
    elif len(set(names)) < len(scenes):
        names = [str(k + 1) for k in range(len(scenes))]
    alone = all(isinstance(o, Positions) for o in observations)  # weighed by their lessons
    judged = list(observations) if alone else comparable(observations)
    kept = [held_out(o, scene, hold_out) for o, scene in zip(judged, scenes, strict=True)]
    solver = solver.at_step(common_step(solver, scenes, observations))
    found = []
    for k, (scene, name) in enumerate(zip(scenes, names, strict=True)):
        own = replace(solver)
        model = own.discretize(scene)
        motions = dict(kept[k])
        truth = truths[k] if truths else None
        seen = motions[SEEN]
        if truth is not None and isinstance(seen, Positions):
            motions[LONGER] = twice(truth, own, seen)
        found.append(Demonstration(scene, own, model, motions, truth, name))
    return found, solver


def common_step(
    solver: Solver, scenes: Sequence[Scene], observations: Sequence[Observation]
) -> float:
    """A step [s] that meets the times of all observations.

    Raises:
        ValueError: The solver's own does not, or a scene cannot be run.
    """
    pairs = zip(scenes, observations, strict=True)
    steps = [fitting_step(solver, [scene], seen) for scene, seen in pairs]
    if len(set(steps)) == 1:
        return steps[0]
    times = torch.cat([seen.time for seen in observations]).sort().values
    interval = common_interval(times)
    return interval / math.ceil(interval / min(steps) - 1e-9)


def twice(truth: Scene, solver: Any, observation: Positions) -> Positions:
    """The motion of the true scene over twice the observed time, with frames as often."""
    last = float(observation.time[-1])
    assert solver.dt is not None
    every = round(last / (len(observation.time) - 1) / solver.dt)
    steps = 2 * (len(observation.time) - 1) * every
    longer = replace(truth, duration=steps * solver.dt)
    return Positions(simulate(longer, solver, steps=steps, every=every))
