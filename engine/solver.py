# SPDX-License-Identifier: Apache-2.0
"""A way to advance a scene in time, and how its gradients are taken."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from .restarts import Estimate
from .scene import Scene
from .state import State


@dataclass(frozen=True)
class Checkpoint:
    """Keep the state every so many steps forward, recompute the steps between on the way back.

    Griewank and Walther 2000, "Revolve", with one level: memory is O(steps / every + every).
    """

    every: int | None = None
    """Steps a chunk; None takes as many as the budget holds."""
    budget: float = 1.0e9
    """Memory for the states inside one chunk [bytes]."""

    def __post_init__(self) -> None:
        """Refuse a chunk without steps."""
        if self.every is not None and self.every < 1:
            raise ValueError(f"a chunk needs at least one step; got every={self.every}")

    def chunk(self, steps: int, bytes_a_step: int) -> int:
        """Steps in a chunk of a roll-out of `steps`."""
        if self.every is not None:
            return min(self.every, steps)
        return max(1, min(steps, int(self.budget // max(bytes_a_step, 1))))


@dataclass(frozen=True)
class Rollout:
    """Several steps at once."""

    x: Tensor
    """Positions after each observed step [m], shape (f, n, 3)."""
    v: Tensor
    """Velocities after each observed step [m/s], shape (f, n, 3)."""
    last: State
    """The state after the last step."""
    fields: Mapping[str, Tensor] = field(default_factory=dict)
    """What else was recorded of the points after each observed step, shape (f, n, ...)."""


@dataclass(frozen=True)
class Solver(ABC):
    """A frozen dataclass of numerical choices that turns scenes into a model and advances it."""

    @property
    def static(self) -> bool:
        """Whether its steps raise a load: time only orders them, and a step has no length."""
        return False

    interpolated: ClassVar[bool] = False
    """Whether its step is given and not chosen: between steps a motion is then interpolated."""

    @abstractmethod
    def at_step(self, dt: float) -> Solver:
        """The same solver with a step of its own [s]."""

    @abstractmethod
    def discretize(self, scenes: Scene | Sequence[Scene]) -> Any:
        """Immutable arrays of one scene, or of several as independent worlds.

        Raises:
            ValueError: The scenes cannot be run as they are; says what to change.
        """

    @abstractmethod
    def start(self, model: Any) -> State:
        """The state at time 0."""

    restarted: ClassVar[tuple[str, ...]] = ()
    """What of a state's carry a motion that is restarted needs; the rest follows from the state."""

    def segments(self, model: Any, starts: Sequence[int], length: int) -> Any:
        """A model whose worlds are stretches of the run of a model of one world.

        Args:
            model: Of one world.
            starts: Step at which each stretch starts; its own clock starts at 0.
            length: Steps that will be taken.

        Raises:
            TypeError: Motions of this solver cannot be cut, so a law cannot be trained on them.
        """
        raise TypeError(
            f"{type(self).__name__} cannot restart a motion, so no law can be trained in it: train "
            "in MPMSolver or FESolver"
        )

    def timeless(self, model: Any) -> bool:
        """Whether it makes no difference when a stretch starts."""
        return False

    def restart(self, model: Any, state: State) -> State:
        """A whole state of a model from `Restarts.at`; differentiable in the laws.

        Raises:
            TypeError: As `segments`.
        """
        return self.segments(model, [], 0)

    def estimator(self, model: Any, step: Tensor, x: Tensor) -> Estimate:
        """How states are estimated from positions alone.

        Args:
            model: Of one world, as it was observed.
            step: Of the frames, increasing, from 0, shape (f,).
            x: Observed positions [m], shape (f, n, 3).

        Raises:
            TypeError: As `segments`.
        """
        return self.segments(model, [], 0)

    @abstractmethod
    def rollout(
        self,
        model: Any,
        state: State,
        steps: int,
        *,
        observe: Sequence[int] = (),
        adjoint: Checkpoint | None = None,
    ) -> Rollout:
        """Take `steps` steps; `observe` names those (1 to steps) after which x and v are kept.

        Without `adjoint` nothing is recorded for gradients.

        Raises:
            SimulationError: A particle left the grid or a number became non-finite.
        """

    def fields(self, model: Any, state: State) -> Mapping[str, Tensor]:
        """What a trajectory records of a state's points beside x and v, shape (n, ...)."""
        return {}

    def more_fields(self, model: Any, state: State) -> Mapping[str, Tensor]:
        """What is recorded of points only if asked for by name, as it takes time, (n, ...)."""
        return {}

    def cell_fields(self, model: Any, state: State) -> Mapping[str, Tensor]:
        """What a trajectory records of a state's cells, shape (e, ...); of particles nothing."""
        return {}

    def more_cell_fields(self, model: Any, state: State) -> Mapping[str, Tensor]:
        """What is recorded of cells only if asked for by name, being large, shape (e, ...)."""
        return {}

    def totals(self, model: Any, state: State) -> Mapping[str, float]:
        """What a trajectory records of a whole state, such as energies [J]."""
        return {}

    def summary(self, model: Any, state: State) -> Mapping[str, Any]:
        """What is worth saying about a run that ended at a state, as JSON takes it."""
        return {}

    def step(self, model: Any, state: State, adjoint: Checkpoint | None = None) -> State:
        """Take one step: a pure function of the model and the state."""
        return self.rollout(model, state, 1, adjoint=adjoint).last
