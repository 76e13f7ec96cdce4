# SPDX-License-Identifier: Apache-2.0
"""A run that goes on for as long as it is looked at, in constant memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from ..boundaries import Collider
from ..errors import SimulationError
from ..scene import Scene
from ..solver import Solver
from ..state import State
from ..suggestion import did_you_mean
from .knobs import Knob, knobs_of, own_laws
from .spring import Spring
from .stepper import stepper_of

HOLD = 2.5
"""Reach of a hold, by the length that the discretization resolves."""
SHARE = 0.1
"""And at least this, by the longest side of the body."""
LAG = 0.05
"""Time in which a collider follows its slider [s]."""
FASTEST = 2.0
"""Diagonals of the domain that a collider is moved by in a second at most."""
HALF = 0.5
"""Share of a budget that is taken at once; the rest when it is known how long that took."""


class LiveRun:
    """Advances a scene step by step, forward only; only the present state is kept.

    Nothing of the scene is changed: laws are copies, the model is its own. Where nothing is
    touched, the states are those of `simulate`.
    """

    def __init__(self, scene: Scene, solver: Solver, *, every: int = 1) -> None:
        """Discretize and go to time 0.

        Args:
            scene: What to simulate.
            solver: How: MPMSolver, or FESolver with a dynamic integrator.
            every: Steps of the scene from frame to frame.

        Raises:
            ValueError: The scene cannot be run, or not live, with this solver.
        """
        self.scene = own_laws(scene)
        self.stepper = stepper_of(self.scene, solver)
        self.every = every
        self._colliders = [b for b in scene.boundaries if isinstance(b, Collider)]
        found = knobs_of(self.scene).values()
        self.knobs: Mapping[str, Knob] = {
            knob.name: knob
            for knob in found
            if knob.kind != "place" or self.stepper.movable(knob.index)
        }
        self.values: dict[str, float] = {name: knob.start for name, knob in self.knobs.items()}
        """Of each knob."""
        with torch.no_grad():
            self.begin = self.stepper.begin()
        self.state = self.begin
        self.spring: Spring | None = None
        """That pulls now."""
        self.failure = ""
        """Why it cannot go on, in a sentence."""
        self.sink: Callable[[State], None] | None = None
        """Is given each frame from now on."""
        self._displaced = torch.zeros(len(self._colliders), 3, dtype=torch.float64)
        low, high = (torch.tensor(c, dtype=torch.float64) for c in
                     (scene.domain.lower, scene.domain.upper))  # fmt: skip
        self._diagonal = float((high - low).norm())
        self._framed = 0.0
        self._cost = 0.0

    @property
    def dt(self) -> float:
        """Step [s], as it is now."""
        return self.stepper.dt

    @property
    def interval(self) -> float:
        """From frame to frame [s]."""
        return self.every * self.stepper.dt * self.stepper.substeps

    @property
    def _next(self) -> float:
        """When the next frame is due [s]."""
        return self._framed + self.interval

    @property
    def time(self) -> float:
        """Of the run [s]."""
        return self.state.time

    def fields(self, state: State) -> dict[str, Tensor]:
        """What there is of points beside x, shape (n, ...)."""
        model = self.stepper.model
        own = {"v": state.v, "F": state.F, **state.carry}
        return {
            **{name: a for name, a in own.items() if len(a) == model.n},
            **self.stepper.solver.fields(model, state),
        }

    def cell_fields(self, state: State) -> Mapping[str, Tensor]:
        """What there is of cells, shape (e, ...)."""
        return self.stepper.solver.cell_fields(self.stepper.model, state)

    def set(self, name: str, value: float) -> None:
        """Turn a knob, from the next step on; a value out of its range becomes the nearest in it.

        Raises:
            ValueError: There is none of that name, or the value is not a number.
        """
        if name not in self.knobs:
            raise ValueError(
                f"got {name!r}{did_you_mean(name, self.knobs)} to change in a live run, expected"
                f" one of {', '.join(self.knobs)}"
            )
        if math.isnan(value):
            raise ValueError(f"{name}: got {value}, expected a number")
        knob, stepper = self.knobs[name], self.stepper
        value = min(max(float(value), knob.low), knob.high)
        self.values[name] = value
        if knob.kind == "gravity":
            stepper.gravity(knob.index, value)
        elif knob.kind == "wall":
            for face in knob.faces:
                stepper.wall_friction(face, value)
        elif knob.kind == "friction":
            stepper.friction(knob.index, value)
        elif knob.parameter is not None:
            knob.parameter.data.fill_(value)
            self._resize()

    def _resize(self) -> None:
        """As many steps for one of the scene's as the laws ask for now."""
        needed = max(1, math.ceil(1.0 / self.stepper.stable() - 1e-6))
        if needed != self.stepper.substeps:
            self.state = self.stepper.resize(self.state, needed)

    def reset(self, *, knobs: bool = False) -> None:
        """Back to time 0, undeformed; with `knobs`, these go back as well."""
        self.release()
        self.failure = ""
        if knobs:
            for name, knob in self.knobs.items():
                self.set(name, knob.start)
        self._displaced = self._wanted()
        self.stepper.place(self._displaced)
        with torch.no_grad():
            self.state = self.begin = self.stepper.begin()
        self._framed = 0.0

    def grab(self, point: int, radius: float | None = None) -> Spring:
        """Take hold of a point, by its number, and of those of its body within a radius [m]."""
        model = self.stepper.model
        x, body = self.state.x, model.body
        if not 0 <= point < len(x):
            raise ValueError(f"got point {point} to hold, expected 0 to {len(x) - 1}")
        number = int(body[point])
        own = x[body == number]
        longest = float((own.amax(0) - own.amin(0)).amax())
        reach = max(HOLD * model.spacing, SHARE * longest) if radius is None else radius
        modulus = self.scene.bodies[number].law.wave_modulus()
        with torch.no_grad():
            self.spring = Spring(x, self.stepper.mass(), body, point, reach, modulus)
        return self.spring

    def drag(self, target: Sequence[float]) -> None:
        """Pull what is held towards a place [m]."""
        if self.spring is not None:
            self.spring.target = [float(c) for c in target]

    def release(self) -> None:
        """Let go."""
        self.spring = None

    def frame(self) -> None:
        """Go on to the next frame."""
        last = self._framed
        while not self.failure and self._framed == last:
            self._steps(self._to_frame())

    def advance(self, budget: float = math.inf, span: float = math.inf) -> float:
        """Go on for a while; a run that failed stays where it is.

        Args:
            budget: Time on the clock that it may take about [s]; at least one step is taken.
            span: Time of the run to go on for at most [s].

        Returns:
            Time of the run that it went on for [s].
        """
        if math.isinf(budget) and math.isinf(span):
            raise ValueError("got no budget and no span for a live run, expected one of them")
        clock, gone, first = time.perf_counter(), 0.0, True
        while not self.failure:
            left = budget - (time.perf_counter() - clock)
            room = math.floor((span - gone) / self.dt + 1e-6) if math.isfinite(span) else 2**31
            if room < 1 or (left <= 0 and not first):
                break
            quick = 1
            if math.isinf(left):
                quick = room
            elif self._cost > 0.0:
                quick = int((HALF if first else 1.0) * left / self._cost)
                if quick < 1 and not first:
                    break
            count = min(room, max(quick, 1), self._to_frame())
            began, dt = time.perf_counter(), self.dt
            self._steps(count)
            self._cost = (time.perf_counter() - began) / count
            gone, first = gone + count * dt, False
        return gone

    def _to_frame(self) -> int:
        """Steps until the next frame."""
        return max(1, round((self._next - self.state.time) / self.dt))

    def _steps(self, count: int) -> None:
        """Take steps, of which the last may be a frame."""
        speeds = self._speeds(count)
        try:
            self.state = self.stepper.advance(self.state, count, self.spring, speeds)
        except SimulationError as error:
            self.failure = f"at {self.state.time:.4g} s: {error}"
            self.release()
            return
        if speeds is not None:
            self._displaced += speeds.double().cpu() * count * self.dt
        if self.state.time > self._next - 0.5 * self.dt:
            self._framed = self.state.time
            if self.sink is not None:
                self.sink(self.state)

    def _wanted(self) -> Tensor:
        """Where sliders have the colliders, beside their own motion [m], shape (k, 3)."""
        wanted = torch.zeros_like(self._displaced)
        for name, knob in self.knobs.items():
            if knob.kind == "place":
                wanted[knob.index, knob.axis] = self.values[name]
        return wanted

    def _speeds(self, count: int) -> Tensor | None:
        """By which colliders follow their sliders for some steps [m/s], shape (k, 3), if any."""
        gap = self._wanted() - self._displaced
        if not bool(gap.any()):
            return None
        span = count * self.dt
        far = gap.norm(dim=1, keepdim=True)
        # the last bit at once, or a collider would creep for ever
        lag = torch.where(far > 1e-3 * self._diagonal, max(LAG, span), span)
        speeds = gap / lag
        most = FASTEST * self._diagonal
        speeds = speeds * (most / speeds.norm(dim=1, keepdim=True).clamp(min=1e-30)).clamp(max=1.0)
        return speeds.to(self.state.x)

    def poses(self) -> list[tuple[list[float], list[float]]]:
        """Of each collider the displacement from its place at time 0 [m] and its turn since.

        The turn is a quaternion (x, y, z, w) about its centre.
        """
        found = []
        for number, collider in enumerate(self._colliders):
            place, turn = self._displaced[number], torch.tensor([0.0, 0.0, 0.0, 1.0])
            if not collider.motion.at_rest:
                position, turns = self._courses[number]
                now = min(round(self.state.time / self._course_dt), len(position) - 1)
                place, turn = place + position[now], turns[now]
            found.append((place.tolist(), turn.tolist()))
        return found

    @property
    def _course_dt(self) -> float:
        return self.stepper.dt * self.stepper.substeps

    @cached_property
    def _courses(self) -> Mapping[int, tuple[Tensor, Tensor]]:
        """Of colliders that move by themselves, displacements (t, 3) [m] and turns (t, 4)."""
        dt, zero = self._course_dt, torch.zeros(3, dtype=torch.float64)
        steps = math.ceil(self.scene.duration / dt)
        with torch.no_grad():
            moving = {
                number: collider.motion.poses(zero, steps, dt)
                for number, collider in enumerate(self._colliders)
                if not collider.motion.at_rest
            }
        return {number: (poses[0], poses[1]) for number, poses in moving.items()}
