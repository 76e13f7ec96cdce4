# SPDX-License-Identifier: Apache-2.0
"""A way to advance a scene in time, and how its gradients are taken."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

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


class Solver(ABC):
    """A frozen dataclass of numerical choices that turns scenes into a model and advances it."""

    @abstractmethod
    def discretize(self, scenes: Scene | Sequence[Scene]) -> Any:
        """Immutable arrays of one scene, or of several as independent worlds.

        Raises:
            ValueError: The scenes cannot be run as they are; says what to change.
        """

    @abstractmethod
    def start(self, model: Any) -> State:
        """The state at time 0."""

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

    def step(self, model: Any, state: State, adjoint: Checkpoint | None = None) -> State:
        """Take one step: a pure function of the model and the state."""
        return self.rollout(model, state, 1, adjoint=adjoint).last
