# SPDX-License-Identifier: Apache-2.0
"""Simulations at the times at which something was observed; several scenes run as worlds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..observations.observation import TICK, Observation
from ..scene import Scene
from ..solver import Checkpoint
from ..trajectory import Trajectory

PIECES = 20
"""In which a motion is simulated, to tell how far it is."""


def common_interval(time: Tensor) -> float:
    """The longest interval [s] of which all times are multiples, to within a tick of 0.1 µs.

    Args:
        time: Increasing, from 0 or later [s], shape (t,).

    Raises:
        ValueError: They start before 0, or have nothing in common.
    """
    _require_begun(time)
    interval = 0.0
    for t in time.tolist():
        interval = _common(interval, t)
    interval = float(time[-1]) / max(1, round(float(time[-1]) / interval))
    if len(time) * interval < 1e-2 * float(time[-1] - time[0]):
        raise ValueError(
            f"the observed times are multiples of {interval:g} s only: no step length meets them"
            " all; resample the observation at even times"
        )
    return interval


def _require_begun(time: Tensor) -> None:
    """Refuse times before the start of the simulation."""
    if float(time[0]) < -TICK or float(time[-1]) < TICK:
        raise ValueError(
            f"the observation is at {float(time[0]):g} to {float(time[-1]):g} s, expected times"
            " from 0, the start of the simulation, or later"
        )


def _common(a: float, b: float) -> float:
    """Greatest common divisor of two times [s] by Euclid; below a tick is nothing."""
    while b > TICK:
        a, b = b, abs(a - b * round(a / b))
    return a


def at_recorded_step(solver: Any, motions: Iterable[Trajectory]) -> Any:
    """The solver with the shortest step of the runs that made motions, where they tell it."""
    told = [float(m.metadata["dt"]) for m in motions if "dt" in m.metadata]
    return solver.at_step(min(told)) if solver.dt is None and told else solver


def fitting_step(solver: Any, scenes: Sequence[Scene], observation: Observation) -> float:
    """The solver's step [s] if it meets the observed times; else one that does, if it has none.

    An automatic step is shortened to divide the interval between the observed frames. Load steps
    stay as they are, and must meet the observed ones. Between the steps of a solver that has no
    choice of them the motion is interpolated.

    Raises:
        ValueError: The solver's own step does not meet them, or a scene cannot be run.
    """
    if solver.interpolated:
        _require_begun(observation.time)
        return float(solver.dt)
    interval = common_interval(observation.time)
    if solver.static:
        return _load_step(float(solver.discretize(scenes).dt), interval)
    if solver.dt is None:
        dt = float(solver.discretize(scenes).dt)
        return interval / math.ceil(interval / dt - 1e-9)
    count = interval / solver.dt
    if count < 0.5 or abs(count - round(count)) > 1e-6 * count:
        raise ValueError(
            f"the step dt = {solver.dt:g} s does not divide the {interval:g} s between observed"
            f" frames; take dt = {interval / math.ceil(count):.6g} s or leave it out"
        )
    return float(solver.dt)


def _load_step(dt: float, interval: float) -> float:
    """The step of a load whose times have an interval in common.

    Raises:
        ValueError: They lie between the steps.
    """
    count = interval / dt
    if count < 0.5 or abs(count - round(count)) > 1e-6 * count:
        raise ValueError(
            f"the load is raised in steps of {dt:g} s, and was observed every {interval:g} s:"
            " choose load steps that meet the observed ones"
        )
    return dt


def follow(
    scenes: Sequence[Scene],
    solver: Any,
    observation: Observation,
    *,
    dt: float | None = None,
    adjoint: Checkpoint | None = None,
    tell: Callable[[float], None] = lambda share: None,
) -> list[Trajectory]:
    """Simulate each scene, all at once, with a frame at each observed time.

    Args:
        scenes: Worlds of one model; each runs as long as was observed.
        solver: How.
        observation: When.
        dt: Step [s] that divides the times; None finds one.
        adjoint: How gradients are taken; None records nothing for them.
        tell: Without `adjoint`, is told now and then which share of the motion is done.

    Raises:
        ValueError: A scene cannot be run.
        SimulationError: A world failed.
    """
    time = observation.time
    if not solver.static:  # whose duration is that of the whole load
        scenes = [replace(scene, duration=float(time[-1])) for scene in scenes]
    if dt is None:
        dt = fitting_step(solver, scenes, observation)
    steps = (time / dt).round().long()
    between = solver.interpolated and float((time - dt * steps).abs().max()) > TICK
    if between:
        steps = torch.arange(math.ceil(float(time[-1]) / dt) + 1)
    solver = solver if solver.static else solver.at_step(dt)
    model = solver.discretize(scenes)
    motion = moved(solver, model, dt * steps if between else time, steps, adjoint, tell)
    if between:
        motion, steps = at_times(motion, time), torch.arange(len(time))
    seen = {"x": motion.x, "v": motion.v, **motion.fields}
    found = []
    for world in range(len(scenes)):
        mine = torch.nonzero(model.world == world).flatten()
        own: dict[str, Any] = {name: values[:, mine] for name, values in seen.items()}
        body = motion.body[mine]
        found.append(Trajectory(time, own.pop("x"), steps, own.pop("v"), own, body))
    return found


def at_times(motion: Trajectory, time: Tensor) -> Trajectory:
    """A motion at other times within its own, linear between its frames; differentiable.

    Args:
        motion: Of two frames or more.
        time: Increasing [s], shape (t,).
    """
    k = (torch.searchsorted(motion.time, time, right=True) - 1).clamp(0, len(motion) - 2)
    share = (time - motion.time[k]) / (motion.time[k + 1] - motion.time[k])

    def between(values: Tensor) -> Tensor:
        low, high = values[k.to(values.device)], values[(k + 1).to(values.device)]
        return low + (high - low) * share.to(values).reshape(-1, *[1] * (values.ndim - 1))

    return Trajectory(
        time, between(motion.x), torch.arange(len(time)),
        None if motion.v is None else between(motion.v),
        {name: between(values) for name, values in motion.fields.items()}, motion.body,
    )  # fmt: skip


def moved(
    solver: Any,
    model: Any,
    time: Tensor,
    step: Tensor,
    adjoint: Checkpoint | None = None,
    tell: Callable[[float], None] = lambda share: None,
) -> Trajectory:
    """The motion of a model, all of its worlds, from its start.

    Args:
        solver: Of the model.
        model: With its laws.
        time: Of the frames [s], shape (t,).
        step: Of the frames, increasing, from 0 or later, shape (t,), int64.
        adjoint: How gradients are taken; None records nothing for them.
        tell: Without `adjoint`, is told now and then which share of the motion is done.

    Raises:
        SimulationError: It failed.
    """
    state = solver.start(model)
    later = step[step > 0].tolist()
    size = len(later) if adjoint is not None else max(1, math.ceil(len(later) / PIECES))
    rows: list[dict[str, Tensor]] = []
    if int(step[0]) == 0:
        fields = {name: values[None] for name, values in solver.fields(model, state).items()}
        rows.append({"x": state.x[None], "v": state.v[None], **fields})
    for at in range(0, len(later), size):
        part = later[at : at + size]
        begun = state.step
        out = solver.rollout(
            model, state, part[-1] - begun, observe=[k - begun for k in part], adjoint=adjoint
        )
        state = out.last
        rows.append({"x": out.x, "v": out.v, **out.fields})
        tell(part[-1] / later[-1])
    seen = {name: torch.cat([row[name] for row in rows]) for name in rows[-1]}
    return Trajectory(time, seen.pop("x"), step, seen.pop("v"), seen, model.body.long())
