# SPDX-License-Identifier: Apache-2.0
"""A chunk of steps as one differentiable operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import GradientError, SimulationError
from .model import FOREVER, MPMModel
from .workspace import INPUTS, Workspace

STATE = 6
"""x, v, C, F, tau, internal."""


@dataclass(frozen=True)
class Job:
    """Which steps a chunk takes and which of them are observed."""

    space: Workspace
    first: int
    """Step at which the chunk starts."""
    steps: int
    observe: tuple[int, ...]
    """Slots (1 to steps) after which positions and velocities are given out."""


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
    at, particle = (int(i) for i in space.failure.tolist())
    if at != FOREVER:
        raise SimulationError(
            f"at step {at}, {model.describe(particle)} left the grid or lost its position;"
            f" likely the step dt = {model.dt:g} s is over the CFL limit, or the law is not"
            " stable under this strain: take a smaller dt, or a larger domain"
        )
    for name in ("v", "F", "tau"):
        value = getattr(space.state, name)[slot]
        if not bool(torch.isfinite(value.sum())):
            bad = ~torch.isfinite(value.reshape(len(value), -1)).all(1)
            particle = int(bad.nonzero()[0]) if bool(bad.any()) else 0
            raise SimulationError(
                f"{steps}, {model.describe(particle)} has a non-finite {name};"
                f" likely the step dt = {model.dt:g} s is over the CFL limit, or the material"
                " was crushed (J <= 0): take a smaller dt"
            )


class _Chunk(torch.autograd.Function):
    """Forward: the steps. Backward: their adjoint, after computing them again where need be."""

    @staticmethod
    def forward(ctx: Any, job: Job, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        ctx.job = job
        ctx.token = object()
        _run(job, tensors, ctx.token)
        s = job.space.state
        seen = list(job.observe)
        final = tuple(history[job.steps].clone() for history in s)
        return s.x[seen], s.v[seen], *final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        job: Job = ctx.job
        space = job.space
        if space.owner is not ctx.token:
            _run(job, ctx.saved_tensors, ctx.token)
        found = _sweep(job, grads, watch=False)
        if not all(bool(torch.isfinite(g.sum())) for g in found):
            _run(job, ctx.saved_tensors, ctx.token)
            _sweep(job, grads, watch=True)
            raise GradientError(f"a gradient of steps {job.first} to {job.first + job.steps} is "
                                "not finite")  # fmt: skip
        return None, *found


def _run(job: Job, tensors: Sequence[Tensor], token: object) -> None:
    split = STATE + len(INPUTS)
    space = job.space
    space.owner = None
    space.load(tensors[:STATE], tensors[STATE:split], tensors[split:], job.first)
    space.forward(job.steps)
    check(space, job.steps, f"after step {job.first + job.steps}")
    space.owner = token


def _sweep(job: Job, grads: Sequence[Tensor | None], watch: bool) -> list[Tensor]:
    """Backward through all steps of the chunk; with `watch`, stop at the first bad number."""
    space, bars = job.space, job.space.bars
    x_seen, v_seen, *last = grads
    for name, value in zip(("x", "v", "C", "F", "tau", "internal"), last, strict=True):
        bars[name].zero_() if value is None else bars[name].copy_(value)
    for name in INPUTS:
        bars[name].zero_()
    for stage in space.stages:
        stage.start_backward()
    slot_of = {slot: i for i, slot in enumerate(job.observe)}
    space.clock.fill_(job.first + job.steps)
    for k in reversed(range(job.steps)):
        seen = slot_of.get(k + 1)
        if seen is not None and x_seen is not None:
            bars["x"] += x_seen[seen]
        if seen is not None and v_seen is not None:
            bars["v"] += v_seen[seen]
        space.backward_step(k)
        if watch:
            _watch(space, job.first + k)
    out = [bars[name].clone() for name in ("x", "v", "C", "F", "tau", "internal", *INPUTS)]
    for stage in space.stages:
        out += stage.gradients()
    return out


def _watch(space: Workspace, step: int) -> None:
    kernels = {
        "F_trial": "the law's adjoint", "velocity": "balance_adjoint", "x": "p2g_adjoint",
        "v": "p2g_adjoint", "C": "p2g_adjoint", "tau": "p2g_adjoint", "F": "g2p_adjoint",
    }  # fmt: skip
    for name, kernel in kernels.items():
        value = space.bars[name]
        if not bool(torch.isfinite(value).all()):
            raise GradientError(
                f"the gradient with respect to {name} is not finite at step {step}, behind"
                f" {kernel}: the roll-out is likely unstable there; take a smaller dt, shorter"
                " segments, or gentler parameters"
            )


def run_chunk(job: Job, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Observed x and v, then x, v, C, F, tau and internal after the last step; differentiable."""
    return _Chunk.apply(job, *tensors)
