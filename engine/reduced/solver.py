# SPDX-License-Identifier: Apache-2.0
"""A learned operator as a solver: a thousand points carry the motion of any number.

The first frame is that of the particles (MPM) that the operator learned from; from then on the
sparse points are advanced by it, a frame at a time, and all other points follow them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rheograd.materials.elastic import det3
from rheograd.materials.law import Elasticity

from ..errors import SimulationError
from ..mpm import MPMSolver
from ..scene import Scene
from ..solver import Checkpoint, Rollout, Solver
from ..state import State
from .full_order import FullOrderMap
from .model import ReducedModel, asked_for, laws_of, numbered, points_of
from .operator import ReducedOperator
from .sampling import sparse_points
from .stepping import graph, roll

SQUEEZED = 0.05
"""Least share of its volume that a place keeps in what laws are told."""


@dataclass(frozen=True)
class ReducedSolver(Solver):
    """A `ReducedOperator` and how it is run."""

    interpolated: ClassVar[bool] = True
    operator: ReducedOperator = field(repr=False)
    """What was trained; the solver has a copy of its own."""
    sparse: int = 1000
    """Points of a world that carry the motion."""
    points: int | None = None
    """Points of a world whose motion is given, about; None: the particles of the first frames."""
    precision: Literal["float32", "float64"] = "float32"
    """Of the first frames and of all that is learned."""
    device: str = "cpu"
    """Where it runs: cpu, cuda or cuda:N."""
    insist: bool = False
    """Whether a scene outside of what the operator was trained for is run with a warning."""

    def __post_init__(self) -> None:
        """Refuse too few points; put the operator where it runs."""
        if self.sparse < 8:
            raise ValueError(f"a motion needs at least 8 sparse points; got {self.sparse}")
        own = copy.deepcopy(self.operator).to(self.device, self.dtype)
        object.__setattr__(self, "operator", own.requires_grad_(False))

    @classmethod
    def load(cls, path: str | Path, **settings: Any) -> Self:
        """Of an operator's file.

        Args:
            path: A .safetensors file from `rheograd reduce`.
            settings: The other fields.

        Raises:
            FileNotFoundError: There is no file.
            ValueError: It holds no operator.
        """
        return cls(ReducedOperator.load(path), **settings)

    @property
    def dtype(self) -> torch.dtype:
        """The torch type of `precision`."""
        return {"float32": torch.float32, "float64": torch.float64}[self.precision]

    @property
    def dt(self) -> float:
        """A step: the time between frames of the training data [s]."""
        return self.operator.scope.frame

    def at_step(self, dt: float) -> ReducedSolver:
        """The same solver: its step is the frame of its training data.

        Raises:
            ValueError: Another step is asked for.
        """
        frame = self.dt
        if abs(dt - frame) > 1e-6 * frame:
            raise ValueError(
                f"the operator steps by {1e3 * frame:.4g} ms, the frames of its training data; got"
                f" {1e3 * dt:.4g} ms: train on frames of that length"
            )
        return self

    def discretize(self, scenes: Scene | Sequence[Scene]) -> ReducedModel:
        """See `Solver.discretize`.

        Raises:
            ValueError: A scene is outside of what the operator was trained for.
        """
        worlds = [scenes] if isinstance(scenes, Scene) else list(scenes)
        scope = self.operator.scope
        for scene in worlds:
            scope.require(scene, insist=self.insist)
        starter = self._starter(worlds)
        full = starter.discretize(worlds)
        number = numbered(full.world, full.body)
        chosen = sparse_points(full, number, self.sparse)
        points = points_of(self.operator.shape, scope, worlds, full, number, chosen)
        x0, v0, world, body = asked_for(worlds, full, self.points)
        rest = points.rest.detach()
        with torch.no_grad():
            full_order = FullOrderMap(
                x0.detach(), rest, query_body=numbered(world, body), point_body=points.body,
                correction=self.operator.correction,
            )  # fmt: skip
        return ReducedModel(
            dt=scope.frame, x0=x0, v0=v0, world=world, body=body, full=full,
            steps_a_frame=round(scope.frame / full.dt), chosen=chosen, points=points,
            rest_graph=graph(self.operator.shape, points, rest), map=full_order,
            laws=laws_of(worlds, world, body),
        )  # fmt: skip

    def _starter(self, scenes: Sequence[Scene]) -> MPMSolver:
        """The particles that the operator learned from, with a step that divides a frame."""
        scope = self.operator.scope
        made = MPMSolver(
            scope.cell, particles_per_cell=scope.particles_per_cell, precision=self.precision,
            device=self.device,
        )  # fmt: skip
        longest = made.discretize(scenes).dt
        return made.at_step(scope.frame / math.ceil(scope.frame / longest - 1e-9))

    def start(self, model: ReducedModel) -> State:
        """The state at time 0; the first frames are simulated in full here and kept.

        Differentiable in what the model and the laws hold.
        """
        history = self.operator.shape.history
        made = MPMSolver(
            self.operator.scope.cell, precision=self.precision, device=self.device, dt=model.full.dt
        )
        k = model.steps_a_frame
        tensors = [model.full.x0, model.full.v0, model.full.density, model.full.gravity,
                   *(t for group in model.full.groups for t in group.tensors())]  # fmt: skip
        wanted = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
        found = made.rollout(
            model.full, made.start(model.full), history * k,
            observe=range(k, history * k + 1, k), adjoint=Checkpoint() if wanted else None,
        )  # fmt: skip
        sparse = torch.cat([model.full.x0[None], found.x])[:, model.chosen]
        return self._state(model, 0, {"recent": sparse})

    def _state(self, model: ReducedModel, step: int, carry: Mapping[str, Tensor]) -> State:
        """A state whose points follow the sparse ones."""
        now, before = self._present(step, carry["recent"])
        x, v = self._points(model, now, before)
        F = model.map.gradient(now - model.points.rest)
        if step == 0:
            v = model.v0
        return State(step, step * model.dt, x, v, F, x.new_zeros(model.n, 0), carry)

    def _present(self, step: int, recent: Tensor) -> tuple[Tensor, Tensor]:
        """Sparse positions at a step and at the one before it."""
        at = min(step, len(recent) - 1)
        return recent[at], recent[max(at - 1, 0)]

    def _points(self, model: ReducedModel, now: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Positions and velocities of the points asked for."""
        x = model.x0 + model.map.displacement(now - model.points.rest)
        v = model.map.displacement(now - before) / model.dt
        return model.points.walls.inside(x), v

    def rollout(
        self,
        model: ReducedModel,
        state: State,
        steps: int,
        *,
        observe: Sequence[int] = (),
        adjoint: Checkpoint | None = None,
    ) -> Rollout:
        """See `Solver.rollout`."""
        seen = set(observe)
        if adjoint is None:
            with torch.no_grad():
                return self._run(model, state, steps, seen, self._advance)
        again = partial(checkpoint, self._advance, use_reentrant=False)
        return self._run(model, state, steps, seen, again)

    def _run(
        self, model: ReducedModel, state: State, steps: int, seen: set[int],
        advance: Callable[..., Tensor],
    ) -> Rollout:  # fmt: skip
        recent = state.carry["recent"]
        xs, vs = [], []
        for done in range(1, steps + 1):
            if state.step + done >= len(recent):
                recent = advance(recent, model)
            if done in seen:
                x, v = self._points(model, *self._present(state.step + done, recent))
                xs.append(x)
                vs.append(v)
        if not bool(torch.isfinite(recent).all()):
            raise SimulationError(
                f"the reduced motion is not finite before step {state.step + steps}: the scene is"
                " likely far from what the operator was trained for; simulate it in full"
            )
        last = self._state(model, state.step + steps, {"recent": recent})
        empty = last.x.new_zeros(0, model.n, 3)
        return Rollout(torch.stack(xs) if xs else empty, torch.stack(vs) if vs else empty, last)

    def _advance(self, recent: Tensor, model: ReducedModel) -> Tensor:
        """The last positions a frame later, shape (history + 1, n, 3)."""
        return roll(self.operator.stepper, model.points, model.rest_graph, recent)

    def fields(self, model: ReducedModel, state: State) -> Mapping[str, Tensor]:
        """Nothing beside positions and velocities; see `more_fields`."""
        return {}

    def more_fields(self, model: ReducedModel, state: State) -> Mapping[str, Tensor]:
        """Kirchhoff stress tau [Pa] of elastic laws, by the deformation of the points, (n, 3, 3).

        What flows or has numbers of its own has no stress by its deformation alone: nothing there.
        Where F is squeezed beyond what a law knows, see `not_inverted`.
        """
        if not all(isinstance(law, Elasticity) and not law.n_internal for law, _ in model.laws):
            return {}
        tau = torch.zeros_like(state.F)
        for law, index in model.laws:
            tau[index] = law.stress(not_inverted(state.F[index]), state.internal[index])
        return {"tau": tau}

    def summary(self, model: ReducedModel, state: State) -> Mapping[str, Any]:
        """How many points carried the motion, and the errors of the operator in training."""
        return {
            "sparse_points": len(model.chosen),
            "operator_errors": self.operator.plain_errors,
        }


def not_inverted(F: Tensor) -> Tensor:
    """F, but with its smallest principal stretch raised until det F is SQUEEZED, (n, 3, 3).

    Sparse points that a hard impact throws together can turn a place between them inside out, and
    no law tells the stress of that.
    """
    bad = (det3(F) < SQUEEZED).nonzero()[:, 0]
    U, s, Vh = torch.linalg.svd(F[bad])
    s = s[:, :2].clamp(min=SQUEEZED)
    side = (det3(U) * det3(Vh)).sign()  # of the third axis, so that what comes is no reflection
    third = side * SQUEEZED / s.prod(1)
    return F.index_copy(0, bad, U @ torch.cat([s, third[:, None]], 1).diag_embed() @ Vh)
