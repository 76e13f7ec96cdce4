# SPDX-License-Identifier: Apache-2.0
"""What a live run needs of a solver: steps with a hand on the scene, arrays that may change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from ..scene import Scene
from ..solver import Solver
from ..state import State
from .spring import Spring


class Stepper(ABC):
    """Takes steps of a model of its own, whose arrays change between them.

    Laws are read at each step, so that changes of their parameters need nothing here.
    """

    solver: Any
    scene: Scene
    model: Any
    """Of the solver; no other holds it."""
    substeps: int = 1
    """Steps for one of those that the scene has by itself."""

    @property
    def dt(self) -> float:
        """Step [s]."""
        return self.model.dt

    @abstractmethod
    def mass(self) -> Tensor:
        """Of the points [kg], shape (n,): what a change of velocity of each is worth."""

    @abstractmethod
    def advance(
        self, state: State, steps: int, spring: Spring | None, speeds: Tensor | None
    ) -> State:
        """Take some steps.

        Args:
            state: To start from.
            steps: At least 1.
            spring: That pulls at each step.
            speeds: By which colliders are moved beside their own motion [m/s], shape (k, 3).

        Raises:
            SimulationError: As `Solver.rollout`.
        """

    @abstractmethod
    def stable(self) -> float:
        """How long steps may be by the laws as they are now, by those of the scene itself."""

    @abstractmethod
    def resize(self, state: State, substeps: int) -> State:
        """Take `substeps` for each step of the scene from now on; the state on the new clock."""

    @abstractmethod
    def wall_friction(self, face: int, value: float) -> None:
        """Set the coefficient of a wall."""

    @abstractmethod
    def friction(self, collider: int, value: float) -> None:
        """Set the coefficient of a collider."""

    @abstractmethod
    def place(self, displacements: Tensor) -> None:
        """Put the colliders beside where their own motion has them [m], shape (k, 3), at once."""

    def movable(self, collider: int) -> bool:
        """Whether a collider can be moved by hand."""
        return True

    def gravity(self, axis: int, value: float) -> None:
        """Set a component [m/s²]."""
        self.model.gravity[:, axis] = value

    def begin(self) -> State:
        """The state at time 0."""
        return self.solver.start(self.model)


def stepper_of(scene: Scene, solver: Solver) -> Stepper:
    """Made for the kind of solver.

    Raises:
        ValueError: It takes no steps in time, or cannot be driven.
    """
    from ..fem import FESolver
    from ..mpm import MPMSolver

    if isinstance(solver, MPMSolver):
        from .particles import ParticleStepper

        return ParticleStepper(scene, solver)
    if isinstance(solver, FESolver) and not solver.static:
        from .elements import ElementStepper

        return ElementStepper(scene, solver)
    what = type(solver).__name__
    if solver.static:
        raise ValueError(
            f"got {what} with load steps for a live run, in which nothing moves by itself: expected"
            " particles or dynamic finite elements, such as FESolver(integrator=CentralDifferences"
            "())"
        )
    raise ValueError(
        f"got {what} for a live run, expected MPMSolver, or FESolver with a dynamic integrator:"
        " its points cannot be pulled or its parameters changed while it runs"
    )
