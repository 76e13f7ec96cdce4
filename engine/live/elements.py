# SPDX-License-Identifier: Apache-2.0
"""Live steps of finite elements, explicit or implicit."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..boundaries import FACES, Collider, Wall
from ..fem import FESolver
from ..fem.contact import Contact
from ..fem.model import FEModel, Gripped
from ..fem.poses import Course
from ..scene import Scene
from ..state import State
from .spring import Spring
from .stepper import Stepper


class Guided:
    """The course of a rigid piece that a hand moves beside its own motion."""

    def __init__(self, course: Course) -> None:
        """Start beside it by nothing."""
        self.course = course
        self.moved = course.position.new_zeros(3)
        """Displacement at `since` [m]."""
        self.speed = course.position.new_zeros(3)
        """From then on [m/s]."""
        self.since = 0.0

    @property
    def position(self) -> Tensor:
        """As of `Course`; twice where it is at rest, as a hand may move it."""
        own = self.course.position
        return own if len(own) > 1 else own.expand(2, 3)

    def at(self, time: float) -> tuple[Tensor, Tensor]:
        """See `Course.at`."""
        position, rotation = self.course.at(time)
        return position + self.moved + (time - self.since) * self.speed, rotation

    def go(self, time: float, speed: Tensor | None) -> None:
        """Move with a speed [m/s], shape (3,), from a time on [s]; None: stay."""
        self.moved = self.moved + (time - self.since) * self.speed
        self.since = time
        self.speed = torch.zeros_like(self.moved) if speed is None else speed.to(self.moved)


class ElementStepper(Stepper):
    """Of a mesh in dynamics."""

    solver: FESolver
    model: FEModel

    def __init__(self, scene: Scene, solver: FESolver) -> None:
        """Discretize.

        Raises:
            ValueError: As `FESolver.discretize`.
        """
        self.scene, self.solver = scene, replace(solver)
        model = self.solver.discretize(scene)
        self.whole_dt = model.dt
        colliders = [b for b in scene.boundaries if isinstance(b, Collider)]
        self.guides: list[list[Guided]] = [[] for _ in colliders]
        self.contacts: dict[tuple[str, int], list[Contact]] = {}
        forces, prescribed = self._owned(model, colliders)
        self.model = replace(
            model, gravity=model.gravity.clone(), forces=forces, prescribed=prescribed
        )
        self._modulus = [body.law.wave_modulus() for body in scene.bodies]

    def _owned(self, model: FEModel, colliders: list[Collider]) -> tuple[list, list]:
        """Forces and prescriptions of a model, those of colliders with courses to be guided.

        A model has them in the order of the boundaries, for each body in turn.
        """
        bodies = len(self.scene.bodies)
        touched = [b for b in self.scene.boundaries if isinstance(b, Collider | Wall)]
        touched = [b for b in touched if b.mode != "open"]
        touched = [b for b in touched if isinstance(b, Wall) or b.mode != "sticky"]
        order = iter([b for b in touched for _ in range(bodies)])
        forces = []
        for force in model.forces:
            if isinstance(force, Contact):
                force = replace(force, friction=force.friction.clone())
                boundary = next(order)
                if isinstance(boundary, Wall):
                    key = ("wall", FACES.index(boundary.face))
                else:
                    number = next(k for k, c in enumerate(colliders) if c is boundary)
                    key = ("collider", number)
                    guide = Guided(force.course)
                    self.guides[number].append(guide)
                    force = replace(force, course=guide)
                self.contacts.setdefault(key, []).append(force)
            forces.append(force)
        grips = [k for k, c in enumerate(colliders) if c.mode == "sticky"]
        prescribed = list(model.prescribed)
        gripped = [piece.course for piece in prescribed if isinstance(piece, Gripped)]
        courses = list({id(course): course for course in gripped}.values())
        if len(courses) == len(grips):  # else one holds nothing, and none can be told from another
            guided = {id(c): Guided(c) for c in courses}
            for number, course in zip(grips, courses, strict=True):
                self.guides[number].append(guided[id(course)])
            for place, piece in enumerate(prescribed):
                if isinstance(piece, Gripped):
                    prescribed[place] = replace(piece, course=guided[id(piece.course)])
        return forces, prescribed

    def mass(self) -> Tensor:
        """See `Stepper.mass`; of consistent masses the sums of rows."""
        model = self.model
        if model.lumped:
            return self.solver.advance(model).lumped
        own = model.masses(model.x0, model.density).sum(2).reshape(-1)
        return model.added_mass.index_add(0, model.nodes.reshape(-1), own)

    @torch.no_grad()
    def advance(
        self, state: State, steps: int, spring: Spring | None, speeds: Tensor | None
    ) -> State:
        """See `Stepper.advance`."""
        advance = self.solver.advance(self.model)
        for number, guides in enumerate(self.guides):
            for guide in guides:
                guide.go(state.time, None if speeds is None else speeds[number])
        for _ in range(steps):
            if spring is not None:
                v = state.v.clone()
                spring.pull(state.x, v, self.dt)
                state = replace(state, v=v)
            state = advance.step(state)
        advance.verify()
        for guide in (guide for guides in self.guides for guide in guides):
            guide.go(state.time, None)
        return state

    def stable(self) -> float:
        """See `Stepper.stable`; implicit steps are as long as ever."""
        if not self.solver.integrator.explicit:
            return 1.0
        now = [body.law.wave_modulus() for body in self.scene.bodies]
        return min((a / b) ** 0.5 for a, b in zip(self._modulus, now, strict=True))

    def resize(self, state: State, substeps: int) -> State:
        """See `Stepper.resize`."""
        dt = self.whole_dt / substeps
        step = round(state.time / dt)
        self.model = replace(self.model, dt=dt)
        self.substeps = substeps
        return replace(state, step=step, time=step * dt)

    def wall_friction(self, face: int, value: float) -> None:
        """See `Stepper.wall_friction`."""
        self._rub(("wall", face), value)

    def friction(self, collider: int, value: float) -> None:
        """See `Stepper.friction`."""
        self._rub(("collider", collider), value)

    def _rub(self, key: tuple[str, int], value: float) -> None:
        symmetric = self.model.symmetric
        for force in self.contacts.get(key, []):
            force.friction.fill_(value)
        if self.model.symmetric != symmetric:
            self.solver.scratch.clear()  # equations are solved otherwise from here

    def movable(self, collider: int) -> bool:
        """See `Stepper.movable`."""
        return bool(self.guides[collider])

    def place(self, displacements: Tensor) -> None:
        """See `Stepper.place`."""
        for number, guides in enumerate(self.guides):
            for guide in guides:
                guide.moved = displacements[number].to(guide.moved)
                guide.speed = torch.zeros_like(guide.moved)
