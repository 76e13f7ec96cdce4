# SPDX-License-Identifier: Apache-2.0
"""The only time loop: a scene and a solver in, a trajectory out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .description import surroundings
from .scene import Scene
from .solver import Checkpoint, Solver
from .state import State
from .suggestion import did_you_mean
from .trajectory import Trajectory

Sink = Callable[[State], None]
"""Is given each frame as it is made: a file writer, a progress bar, a live view."""


@dataclass(frozen=True)
class Schedule:
    """Which steps are frames."""

    steps: int
    """Steps in all, a multiple of `every`."""
    every: int
    """Steps between frames; steps 0 and the last are frames."""

    @classmethod
    def of(
        cls,
        scene: Scene,
        dt: float,
        steps: int | None,
        every: int | None,
        frames: int | None,
        *,
        whole: bool = False,
    ) -> Schedule:
        """From what the caller gave; the scene's duration where it gave nothing.

        Frames are evenly spaced, and a run ends with one. Where `every` does not divide the steps
        the rest of them is left out, which a run to a load must not do.

        Args:
            scene: What runs.
            dt: Length of a step [s].
            steps: Steps in all.
            every: Steps between frames.
            frames: Frames after the first, about.
            whole: Whether all steps must be taken: `every` then divides them.

        Raises:
            ValueError: A count is below 1, both `every` and `frames` are given, or all steps must
                be taken and `every` does not divide them.
        """
        for name, value in (("steps", steps), ("every", every), ("frames", frames)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more; got {value}")
        if every is not None and frames is not None:
            raise ValueError("give the steps between frames or the number of frames, not both")
        total = steps if steps is not None else max(1, math.ceil(scene.duration / dt - 1e-9))
        if every is None:
            every = max(1, round(total / frames)) if frames else max(1, total // 100)
            if whole:
                every = next(k for k in range(every, 0, -1) if total % k == 0)
        elif whole and total % every:
            divisors = ", ".join(str(k) for k in range(1, total + 1) if total % k == 0)
            raise ValueError(
                f"a frame every {every} steps leaves out the last of {total} load steps, expected"
                f" one of {divisors}"
            )
        every = min(every, total)
        return cls(total - total % every, every)


class Frame(NamedTuple):
    """One frame of a run."""

    step: int
    x: Tensor
    v: Tensor
    fields: Mapping[str, Tensor]
    """What else the solver records of points."""
    cells: Mapping[str, Tensor] = MappingProxyType({})
    """And of cells; not with `adjoint`."""
    totals: Mapping[str, float] = MappingProxyType({})
    """And of the whole; not with `adjoint`."""


def simulate(
    scene: Scene,
    solver: Solver,
    *,
    steps: int | None = None,
    every: int | None = None,
    frames: int | None = None,
    adjoint: Checkpoint | None = None,
    sink: Sink | None = None,
    start: State | None = None,
    keep: bool = True,
    model: Any = None,
    begin: State | None = None,
    record: Sequence[str] = (),
) -> Trajectory:
    """Run a scene.

    Args:
        scene: What to simulate.
        solver: How.
        steps: Steps to take; None follows the scene's duration. Those after the last frame are
            left out.
        every: Steps between frames; None makes about 100 frames.
        frames: Frames to make after the first, about, instead of `every`.
        adjoint: How gradients are taken; None records nothing for them.
        sink: Is given each frame's state, the first (unless resuming) and last included.
        start: A state of the same scene and solver to go on from.
        keep: Whether the frames are returned as well; a long run with a sink needs not.
        model: What `solver.discretize(scene)` gave, if it is at hand.
        begin: What `solver.start(model)` gave, likewise.
        record: What to record of cells beside what the solver does by itself, such as
            "point_stress", by the names of `Solver.more_cell_fields`; not with `adjoint`.

    Returns:
        Positions and velocities at the frames (those from `start` on), differentiable if `adjoint`
        is given.

    Raises:
        ValueError: The scene cannot be run with this solver, or a name in `record` is unknown.
        SimulationError: The run failed; its message says when, where and likely why. Frames given
            to the sink before are whole.
    """
    if model is None:
        model = solver.discretize(scene)
    schedule = Schedule.of(
        scene, model.dt, steps, every, frames, whole=getattr(model, "ramp", 0.0) > 0.0
    )
    state = start or begin
    if state is None:
        with torch.set_grad_enabled(adjoint is not None and torch.is_grad_enabled()):
            state = solver.start(model)
    if record:
        _check_record(record, solver, model, state, adjoint)
    taken: list[Frame] = []
    if start is None:
        taken.append(_frame(solver, model, state, record))
        if sink is not None:
            sink(state)
    if adjoint is not None:
        taken += _differentiable(solver, model, state, schedule, adjoint)
    else:
        _loop(solver, model, state, schedule, sink, taken if keep else None, record)
    return _trajectory(scene, model, taken, schedule)


def _differentiable(
    solver: Solver, model: Any, state: State, schedule: Schedule, adjoint: Checkpoint
) -> list[Frame]:
    """The frames after a state, of one roll-out."""
    stops = range(state.step + schedule.every, schedule.steps + 1, schedule.every)
    seen = [stop - state.step for stop in stops]
    out = solver.rollout(model, state, schedule.steps - state.step, observe=seen, adjoint=adjoint)
    return [
        Frame(stop, out.x[k], out.v[k], {name: values[k] for name, values in out.fields.items()})
        for k, stop in enumerate(stops)
    ]


@torch.no_grad()
def _loop(
    solver: Solver,
    model: Any,
    state: State,
    schedule: Schedule,
    sink: Sink | None,
    taken: list[Frame] | None,
    record: Sequence[str],
) -> None:
    for stop in range(state.step + schedule.every, schedule.steps + 1, schedule.every):
        state = solver.rollout(model, state, stop - state.step).last
        if taken is not None:
            taken.append(_frame(solver, model, state, record))
        if sink is not None:
            sink(state)


def _check_record(
    record: Sequence[str], solver: Solver, model: Any, state: State, adjoint: Checkpoint | None
) -> None:
    if adjoint is not None:
        raise ValueError(f"got record={record!r} with adjoint, which records nothing of cells")
    more = solver.more_cell_fields(model, state)
    for name in record:
        if name not in more:
            expected = f"some of {', '.join(more)}" if more else "none with this solver"
            raise ValueError(f"record: got {name!r}{did_you_mean(name, more)}, expected {expected}")


def _frame(solver: Solver, model: Any, state: State, record: Sequence[str]) -> Frame:
    points, cells = solver.fields(model, state), dict(solver.cell_fields(model, state))
    if record:
        more = solver.more_cell_fields(model, state)
        cells |= {name: more[name] for name in record}
    return Frame(state.step, state.x, state.v, points, cells, solver.totals(model, state))


def describe(scene: Scene, model: Any, schedule: Schedule) -> Mapping[str, str]:
    """What a trajectory's file says about how it was made."""
    return {
        "scene": scene.name,
        "dt": repr(model.dt),
        "every": str(schedule.every),
        "laws": ", ".join(b.law.name for b in scene.bodies),
        "units": "SI",
        **surroundings(scene, model.dt, range(0, schedule.steps + 1, schedule.every)),
    }


def _trajectory(scene: Scene, model: Any, taken: list[Frame], schedule: Schedule) -> Trajectory:
    empty = model.x0.new_zeros(0, model.n, 3)
    fields, cell_fields = (_stacked([f.fields for f in taken]), _stacked([f.cells for f in taken]))
    totals = _common([f.totals for f in taken])
    at = torch.tensor([frame.step for frame in taken], dtype=torch.int64)
    return Trajectory(
        time=at.double() * model.dt,
        x=torch.stack([frame.x for frame in taken]) if taken else empty,
        step=at,
        v=torch.stack([frame.v for frame in taken]) if taken else empty,
        fields=fields,
        body=model.body.cpu(),
        metadata=describe(scene, model, schedule),
        cells=getattr(model, "cells", None),
        cell_fields=cell_fields,
        totals={name: torch.tensor(a, dtype=torch.float64) for name, a in totals.items()},
    )


def _stacked(frames: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Of all frames what each of them has."""
    return {name: torch.stack(values) for name, values in _common(frames).items()}


def _common(frames: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Of each name that all frames have the values in them."""
    names = [n for n in (frames[0] if frames else {}) if all(n in frame for frame in frames)]
    return {name: [frame[name] for frame in frames] for name in names}
