# SPDX-License-Identifier: Apache-2.0
"""Live steps of particles: the workspace of MPM, with a hand on it between the steps."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ..mpm import MPMModel, MPMSolver
from ..mpm.colliders import collider_table
from ..mpm.discretize import step_limits
from ..mpm.model import FOREVER, Colliders
from ..mpm.rollout import check, law_tensors, model_inputs
from ..mpm.solver import pack
from ..scene import Scene
from ..state import State
from .spring import Spring
from .stepper import Stepper


class ParticleStepper(Stepper):
    """Of MPM, on a grid that stays as it is."""

    solver: MPMSolver
    model: MPMModel

    def __init__(self, scene: Scene, solver: MPMSolver) -> None:
        """Discretize.

        Raises:
            ValueError: As `MPMSolver.discretize`.
        """
        self.scene, self.solver = scene, replace(solver)  # with a scratch of its own
        model = self.solver.discretize(scene)
        self.whole = model
        """As the scene is by itself."""
        self._moved = model.gravity.new_zeros(model.colliders.shape.shape[1], 3)
        walls = replace(model.walls, friction=model.walls.friction.clone())
        self.model = replace(
            model, gravity=model.gravity.clone(), walls=walls, colliders=self._colliders(model.dt)
        )
        self._limits = [step_limits(body, solver.cell) for body in scene.bodies]

    def mass(self) -> Tensor:
        """See `Stepper.mass`."""
        return self.model.density * self.model.volume

    @torch.no_grad()
    def advance(
        self, state: State, steps: int, spring: Spring | None, speeds: Tensor | None
    ) -> State:
        """See `Stepper.advance`."""
        model, carry = self.model, state.carry
        space = self.solver.workspace(model, 0, adjoint=False)
        now = (state.x, state.v, carry["C"], state.F, carry["tau"], state.internal)
        space.load(now, model_inputs(model), law_tensors(model), state.step)
        if spring is None and speeds is None:
            space.forward(steps)
        else:
            shift = None if speeds is None else model.dt * speeds
            if speeds is not None:
                space.inputs["velocity"] += speeds
            for _ in range(steps):
                if spring is not None:
                    spring.pull(space.state.x[0], space.state.v[0], model.dt)
                space.forward(1)
                if shift is not None:
                    space.inputs["position"] += shift
        check(space, 0, f"after step {state.step + steps}")
        if speeds is not None:
            model.colliders.position.copy_(space.inputs["position"])
            self._moved += steps * model.dt * speeds
        return pack(model, state.step + steps, [history[0].clone() for history in space.state])

    def stable(self) -> float:
        """See `Stepper.stable`."""
        now = [step_limits(body, self.solver.cell) for body in self.scene.bodies]
        pairs = zip(map(min, zip(*now, strict=True)), map(min, zip(*self._limits, strict=True)),
                    strict=True)  # fmt: skip
        return min(a / b for a, b in pairs)

    def resize(self, state: State, substeps: int) -> State:
        """See `Stepper.resize`: courses of colliders and lives of bodies are put on the clock."""
        dt = self.whole.dt / substeps
        step = round(state.step * self.model.dt / dt)
        life = self.whole.life
        life = torch.where(life == FOREVER, FOREVER, life * substeps)
        friction = self.model.colliders.friction
        colliders = replace(self._colliders(dt), friction=friction)
        self.model = replace(self.model, dt=dt, life=life.contiguous(), colliders=colliders)
        self.substeps = substeps
        return replace(state, step=step, time=step * dt)

    def _colliders(self, dt: float) -> Colliders:
        """At steps of dt, displaced as they are; they come to rest with the scene's duration."""
        model = self.whole
        table = model.colliders
        if dt != model.dt:
            steps = math.ceil(self.scene.duration / dt)
            table = collider_table([self.scene], steps, dt, model.x0)
        position, rotation = table.position, table.rotation
        velocity, spin = table.velocity, table.spin
        if len(position) > 1:
            position = torch.cat([position, position[-1:] + dt * velocity[-1:]])
            rotation = torch.cat([rotation, rotation[-1:]])
            velocity, spin = (torch.cat([a, torch.zeros_like(a[-1:])]) for a in (velocity, spin))
        return replace(
            table, position=position + self._moved, rotation=rotation, velocity=velocity.clone(),
            spin=spin, friction=table.friction.clone(),
        )  # fmt: skip

    def wall_friction(self, face: int, value: float) -> None:
        """See `Stepper.wall_friction`."""
        self.model.walls.friction[:, face] = value

    def friction(self, collider: int, value: float) -> None:
        """See `Stepper.friction`."""
        self.model.colliders.friction[:, collider] = value

    def place(self, displacements: Tensor) -> None:
        """See `Stepper.place`."""
        by = displacements.to(self._moved)
        self.model.colliders.position.add_(by - self._moved)
        self._moved = by.clone()
