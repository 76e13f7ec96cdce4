# SPDX-License-Identifier: Apache-2.0
"""Simulations of all experiments at several values of the parameters, and their residuals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from ..errors import SimulationError
from ..observations.observation import Observation
from ..scene import Scene
from ..trajectory import Trajectory
from .experiment import Build, Experiment
from .follow import fitting_step, follow
from .parameter import Parameter
from .team import Team

Points = Sequence[np.ndarray]
"""Free coordinates, shape (p,) each."""
Doing = Callable[[float, int], None]
"""Is told which share of how many simulations is done."""


@dataclass(frozen=True)
class Trials:
    """What is simulated, and what it is compared with."""

    build: Build
    solver: Any
    experiments: Sequence[Experiment]
    """In one unit, see `comparable`."""
    parameters: Mapping[str, Parameter]
    team: Team = field(default_factory=Team)
    """Who shares the experiments."""

    def values(self, free: np.ndarray) -> dict[str, float]:
        """Of the parameters at free coordinates."""
        pairs = zip(self.parameters.items(), free, strict=True)
        return {name: p.value(float(z)) for (name, p), z in pairs}

    def scenes(self, experiment: Experiment, points: Points) -> list[Scene]:
        """Of one experiment, one for each point."""
        return [experiment.scene(self.build, self.values(free)) for free in points]

    def steps(self, points: Points) -> list[float]:
        """Of each experiment the step [s] in which all points can be simulated.

        Raises:
            ValueError: There is none.
        """
        return [
            fitting_step(self.solver, self.scenes(e, points), e.observation)
            for e in self.experiments
        ]

    def motions(
        self, experiment: Experiment, points: Points, dt: float,
        tell: Callable[[float], None] = lambda share: None,
    ) -> list[Trajectory]:  # fmt: skip
        """One for each point; they run as worlds of one model.

        Raises:
            SimulationError: One of them failed.
        """
        with torch.no_grad():
            scenes = self.scenes(experiment, points)
            return follow(scenes, self.solver, experiment.observation, dt=dt, tell=tell)

    def predicted(
        self, free: np.ndarray, steps: Sequence[float]
    ) -> tuple[Scene, Trajectory, Observation, Any]:
        """The first experiment at a point: its scene, motion, what was seen of it, and the model.

        Raises:
            SimulationError: It failed.
        """
        first, dt = self.experiments[0], steps[0]
        motion = self.motions(first, [free], dt)[0]
        (scene,) = self.scenes(first, [free])
        solver = self.solver if self.solver.static else self.solver.at_step(dt)
        seen = first.observed(self.build, self.values(free))
        return scene, motion, seen, solver.discretize(scene)

    def residuals(
        self, points: Points, steps: Sequence[float], tell: Doing = lambda share, scenes: None
    ) -> list[np.ndarray]:
        """Of all experiments, one after another, shape (m,) for each point.

        Raises:
            SimulationError: A simulation failed.
        """
        total = len(points) * len(self.experiments)

        def job(number: int) -> list[np.ndarray]:
            def told(share: float) -> None:
                tell((number + share) / len(self.experiments), total)

            experiment = self.experiments[number]
            motions = self.motions(experiment, points, steps[number], told)
            pairs = zip(points, motions, strict=True)
            return [self._residual(experiment, free, motion) for free, motion in pairs]

        columns = self.team.share([partial(job, k) for k in range(len(self.experiments))])
        return [np.concatenate(rows) for rows in zip(*columns, strict=True)]

    @torch.no_grad()
    def _residual(
        self, experiment: Experiment, free: np.ndarray, motion: Trajectory
    ) -> np.ndarray:  # fmt: skip
        seen = experiment.observed(self.build, self.values(free)).rebound(motion)
        rows = seen.robust(motion)[experiment.observation.seen()]
        return rows.reshape(-1).double().cpu().numpy()

    def misfits(self, points: Points, tell: Doing = lambda share, scenes: None) -> list[float]:
        """Mean squared residual at several points at once; infinite where it cannot be simulated.

        Raises:
            SimulationError: The first of them cannot.
            ValueError: Likewise.
        """
        try:
            rows = self.residuals(points, self.steps(points), tell)
        except (SimulationError, ValueError):
            if len(points) == 1:
                raise
            return [self.misfits(points[:1])[0], *(self.or_infinite(p) for p in points[1:])]
        return [float(r @ r) / len(r) for r in rows]

    def or_infinite(self, point: np.ndarray) -> float:
        """Mean squared residual at a point; infinite where it cannot be simulated."""
        try:
            return self.misfits([point])[0]
        except (SimulationError, ValueError):
            return math.inf

    @property
    def noise(self) -> float | None:
        """Standard deviation of a residual, as it was stated; None if it was not."""
        return self.experiments[0].observation.noise

    @cached_property
    def groups(self) -> np.ndarray:
        """Number of the track that each entry of the residual is of, shape (m,)."""
        found, count = [], 0
        for e in self.experiments:
            seen, own = e.observation.seen().cpu(), e.observation.groups()
            labels = count + own.expand_as(seen)[seen].numpy()
            found.append(np.repeat(labels, e.observation.components))
            count += int(own.max()) + 1
        return np.concatenate(found)
