# SPDX-License-Identifier: Apache-2.0
"""How far fitted parameters depend on the particles and the cells of the simulation.

A body that was seen is not made of the particles of its model. The fitted scene is simulated again
with bodies of other particles, one at random in the place of each, and on a grid of half the cell
and the step. The change of the residual tells what those would have been fitted to: a refit moves
by dθ = −J⁺ (r′ − r), the first step of Gauss and Newton. Of samplings the mean square of dθ is a
variance with as many degrees of freedom as samplings. The dθ of the finer grid is taken for the
standard deviation of the error that the grid makes: with errors of first order in the cell the
limit of fine grids is two of them away, with those of second order 4/3.

The scatter along tracks says nothing of all this: such errors are common to all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import numpy as np
import torch

from ..moving_surface import MovingSurface
from ..mpm.solver import MPMSolver
from ..scene import Scene
from ..shapes import Pattern, Sample, Shape, Surface
from ..trajectory import Trajectory
from .experiment import Build, Experiment
from .trials import Trials
from .uncertainty import Uncertainty, widened


@dataclass(frozen=True)
class Numerics:
    """What is simulated again after a fit.

    Raises:
        ValueError: There is nothing to simulate.
    """

    samplings: int = 6
    """Bodies of other particles."""
    refined: bool = True
    """Whether half the cell and the step are tried: sixteen times the work of one simulation."""
    seed: int = 0
    """Of the particles."""

    @property
    def scenes(self) -> int:
        """How many simulations of each experiment that takes."""
        return self.samplings + int(self.refined)

    def __post_init__(self) -> None:
        """See the class."""
        if self.samplings < 0 or (self.samplings == 0 and not self.refined):
            raise ValueError(
                f"got {self.samplings} samplings and refined = {self.refined}: there is nothing to"
                " learn the numerical error from; ask for six samplings"
            )


@dataclass(frozen=True)
class NumericalError:
    """By how much refits would move, in free coordinates."""

    samplings: np.ndarray
    """With other particles, shape (k, p)."""
    refinement: np.ndarray
    """With half the cell and the step, shape (p,); 0 where that was not tried."""

    @property
    def sampling(self) -> np.ndarray:
        """Covariance by the choice of particles, shape (p, p)."""
        return self.samplings.T @ self.samplings / max(len(self.samplings), 1)

    @property
    def cell(self) -> np.ndarray:
        """Covariance by the size of cells, shape (p, p)."""
        return np.outer(self.refinement, self.refinement)

    def added_to(self, found: Uncertainty) -> Uncertainty:
        """The uncertainty of a fit with this in it."""
        parts = {"particles": (self.sampling, float(max(len(self.samplings), 1)))}
        return widened(found, {**parts, "cells": (self.cell, np.inf)})


@dataclass(frozen=True)
class Resampled(Shape):
    """A shape filled with one particle at random in each cell of its lattice."""

    shape: Shape
    """What is filled."""
    seed: int = 0
    """Of the particles."""

    @property
    def volume(self) -> float:
        """Volume [m³]."""
        return self.shape.volume

    @property
    def centroid(self) -> torch.Tensor:
        """Centre of volume [m], shape (3,)."""
        return self.shape.centroid

    def sample(self, spacing: float, *, pattern: Pattern = "jittered", seed: int = 0) -> Sample:
        """See `Shape.sample`; whatever pattern and seed are asked for."""
        return self.shape.sample(spacing, pattern="jittered", seed=self.seed)

    def surface(self) -> Surface:
        """See `Shape.surface`."""
        return self.shape.surface()


def check(trials: Trials, free: np.ndarray) -> None:
    """Refuse what has no other particles, before a fit.

    Args:
        trials: What will be fitted.
        free: Some free coordinates, shape (p,).

    Raises:
        ValueError: The solver is not of particles, or what was seen is of them and nothing else.
    """
    if not isinstance(trials.solver, MPMSolver):
        raise ValueError(
            "the numerical error is estimated with other particles, and"
            f" {type(trials.solver).__name__} has none: fit with MPMSolver, or do not ask for it"
        )
    _on_its_particles(_started(trials, free), free)


def numerical_error(
    trials: Trials,
    free: np.ndarray,
    steps: Sequence[float],
    residual: np.ndarray,
    jacobian: np.ndarray,
    determined: np.ndarray,
    numerics: Numerics,
) -> NumericalError:
    """Estimate it at the end of a fit.

    Args:
        trials: What was fitted.
        free: Fitted free coordinates, shape (p,).
        steps: Length of a step of each experiment's simulations [s].
        residual: There, shape (m,).
        jacobian: Its derivatives, shape (m, p).
        determined: Which parameters the data determine, shape (p,), bool.
        numerics: What is simulated.

    Raises:
        SimulationError: A simulation failed.
    """
    trials = _started(trials, free)
    inverse = np.zeros(jacobian.shape[::-1])
    inverse[determined] = np.linalg.pinv(jacobian[:, determined])

    def moved(other: Trials, share: float) -> np.ndarray:
        found = other.residuals([free], [share * dt for dt in steps])[0]
        return -inverse @ (found - residual)

    changes = [
        moved(_on_its_particles(replace(trials, build=resampled(trials.build, seed)), free), 1.0)
        for seed in range(numerics.seed, numerics.seed + numerics.samplings)
    ]
    refinement = np.zeros(len(free))
    if numerics.refined:
        finer = replace(trials.solver, cell=0.5 * trials.solver.cell)
        refinement = moved(_on_its_particles(replace(trials, solver=finer), free), 0.5)
    return NumericalError(np.array(changes).reshape(-1, len(free)), refinement)


def resampled(build: Build, seed: int) -> Build:
    """A build() of the same bodies of other particles; those that are stated one by one stay."""

    @wraps(build)
    def other(*given: Any, **words: Any) -> Scene:
        scene = build(*given, **words)
        bodies = [
            replace(body, shape=Resampled(body.shape, 1000 * seed + number))
            for number, body in enumerate(scene.bodies)
        ]
        return replace(scene, bodies=bodies)

    return other


def _started(trials: Trials, free: np.ndarray) -> Trials:
    """With observations that know where their points start, by the particles that carry them."""
    experiments: list[Experiment] = []
    for e in trials.experiments:
        model = trials.solver.discretize(e.scene(trials.build, trials.values(free)))
        x, frames = model.x0.detach().cpu().double(), len(e.observation.time)
        start = Trajectory(torch.zeros(frames), x.expand(frames, -1, -1))
        experiments.append(replace(e, observation=e.observation.rebound(start)))
    return replace(trials, experiments=experiments)


def _on_its_particles(trials: Trials, free: np.ndarray) -> Trials:
    """With observations that are carried by the particles of its own model."""
    experiments: list[Experiment] = []
    for e in trials.experiments:
        scene = e.scene(trials.build, trials.values(free))
        model = trials.solver.discretize(scene)
        rest = model.x0.detach().cpu().double()
        surface = MovingSurface.of_scene(scene, model)
        experiments.append(replace(e, observation=e.observation.carried_by(surface, rest)))
    return replace(trials, experiments=experiments)
