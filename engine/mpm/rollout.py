# SPDX-License-Identifier: Apache-2.0
"""A roll-out as one differentiable operation that recomputes from kept states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import GradientError, SimulationError
from .model import FOREVER, MPMModel
from .workspace import INPUTS, Workspace

NAMES = ("x", "v", "C", "F", "tau", "internal")
STATE = len(NAMES)


@dataclass(frozen=True)
class Job:
    """Which steps a roll-out takes and which of them are observed."""

    space: Workspace
    first: int
    """Step at which it starts."""
    steps: int
    chunk: int
    """Steps between kept states; the workspace has as many slots."""
    observe: tuple[int, ...]
    """Steps (1 to `steps`) after which positions and velocities are given out."""

    def chunks(self) -> list[tuple[int, int]]:
        """First step and number of steps of each chunk, counted from the roll-out's start."""
        return [(at, min(self.chunk, self.steps - at)) for at in range(0, self.steps, self.chunk)]


def model_inputs(model: MPMModel) -> list[Tensor]:
    """The model's float arrays in the order of `INPUTS`."""
    c = model.colliders
    values = {
        "mass": model.density * model.volume, "volume": model.volume, "gravity": model.gravity,
        "wall_friction": model.walls.friction, "friction": c.friction, "position": c.position,
        "rotation": c.rotation, "velocity": c.velocity, "spin": c.spin,
    }  # fmt: skip
    return [values[name] for name in INPUTS]


def law_tensors(model: MPMModel) -> list[Tensor]:
    """Coefficients and parameters of all law groups, coefficients in the model's precision."""
    out: list[Tensor] = []
    for group in model.groups:
        tensors = group.tensors()
        if group.twin is not None:
            tensors = [t.to(model.x0) for t in tensors]
        out += tensors
    return out


def check(space: Workspace, slot: int, steps: str) -> None:
    """Raise SimulationError where a particle left the grid or a number at `slot` is not finite."""
    model = space.model
    at, particle = space.first_failure()
    if at != FOREVER:
        space.reset()
        raise SimulationError(
            f"at step {at}, {model.describe(particle)} left the grid or lost its position;"
            f" likely the step dt = {model.dt:g} s is over the CFL limit, or the law is not"
            " stable under this strain: take a smaller dt, or a larger domain",
            step=at,
        )
    for name in ("v", "F", "tau"):
        value = getattr(space.state, name)[slot]
        if not bool(torch.isfinite(value.sum())):
            bad = ~torch.isfinite(value.reshape(len(value), -1)).all(1)
            particle = int(bad.nonzero()[0]) if bool(bad.any()) else 0
            space.reset()
            raise SimulationError(
                f"{steps}, {model.describe(particle)} has a non-finite {name};"
                f" likely the step dt = {model.dt:g} s is over the CFL limit, or the material"
                " was crushed (J <= 0): take a smaller dt"
            )


class _Rollout(torch.autograd.Function):
    """Forward: the steps, keeping the state at the start of each chunk.

    Backward: chunk after chunk from the last, each computed again from its start (the last one
    only if its memory was used for something else since), then swept.
    """

    @staticmethod
    def forward(ctx: Any, job: Job, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.job = job
        ctx.token = object()
        state, rest = tensors[:STATE], tensors[STATE:]
        space, s = job.space, job.space.state
        starts: list[Tensor] = []
        xs, vs = [], []
        for at, count in job.chunks():
            starts += state
            _run(job, at, count, state, rest)
            seen = [o - at for o in job.observe if at < o <= at + count]
            xs.append(s.x[seen])
            vs.append(s.v[seen])
            state = tuple(history[count].clone() for history in s)
        space.owner = ctx.token
        ctx.save_for_backward(*rest, *starts)
        ctx.split = len(rest)
        return torch.cat(xs), torch.cat(vs), *state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        found = _backward(ctx, grads, watch=False)
        if not all(bool(torch.isfinite(g.sum())) for g in found):
            ctx.job.space.reset()
            _backward(ctx, grads, watch=True)
            job: Job = ctx.job
            job.space.reset()
            raise GradientError(
                f"a gradient of steps {job.first} to {job.first + job.steps} overflowed"
            )
        return None, *found


def _run(job: Job, at: int, count: int, state: Sequence[Tensor], rest: Sequence[Tensor]) -> None:
    space = job.space
    space.owner = None
    space.load(state, rest[: len(INPUTS)], rest[len(INPUTS) :], job.first + at)
    space.forward(count)
    check(space, count, f"after step {job.first + at + count}")


def _backward(ctx: Any, grads: Sequence[Tensor | None], watch: bool) -> list[Tensor]:
    """All chunks; with `watch`, stop at the first number that is not finite."""
    job: Job = ctx.job
    space, bars = job.space, job.space.bars
    rest, starts = ctx.saved_tensors[: ctx.split], ctx.saved_tensors[ctx.split :]
    x_seen, v_seen, *last = grads
    for name, value in zip(NAMES, last, strict=True):
        bars[name].zero_() if value is None else bars[name].copy_(value)
    for name in INPUTS:
        bars[name].zero_()
    for stage in space.stages:
        stage.start_backward()
    for number, (at, count) in reversed(list(enumerate(job.chunks()))):
        if space.owner is not ctx.token:
            _run(job, at, count, starts[number * STATE : (number + 1) * STATE], rest)
        space.owner = None
        space.clock.fill_(job.first + at)
        seen = {
            step - at: (
                None if x_seen is None else x_seen[i],
                None if v_seen is None else v_seen[i],
            )
            for i, step in enumerate(job.observe)
            if at < step <= at + count
        }
        watching = partial(_watch, space, job.first + at) if watch else None
        space.backward(count, seen, watching)
    out = [bars[name].clone() for name in (*NAMES, *INPUTS)]
    for stage in space.stages:
        out += stage.gradients()
    return out


def _watch(space: Workspace, first: int, slot: int) -> None:
    kernels = {
        "F_trial": "the law's adjoint", "velocity": "balance_adjoint", "x": "p2g_adjoint",
        "v": "p2g_adjoint", "C": "p2g_adjoint", "tau": "p2g_adjoint", "F": "g2p_adjoint",
    }  # fmt: skip
    for name, kernel in kernels.items():
        value = space.bars[name]
        if not bool(torch.isfinite(value).all()):
            space.reset()
            raise GradientError(
                f"the gradient with respect to {name} is not finite at step {first + slot}, behind"
                f" {kernel}: the roll-out is likely unstable there; take a smaller dt, shorter"
                " segments, or gentler parameters"
            )


def run(job: Job, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Observed x and v, then x, v, C, F, tau and internal after the last step; differentiable."""
    return _Rollout.apply(job, *tensors)
