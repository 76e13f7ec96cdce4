# SPDX-License-Identifier: Apache-2.0
"""States of particles estimated from their positions alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rheograd.kernels.mpm.contacts import OPEN

from ..law_groups import rest_internal
from ..restarts import Restarts
from .model import FOREVER, Colliders, MPMModel, Walls
from .rollout import law_tensors, model_inputs

if TYPE_CHECKING:
    from .solver import MPMSolver


@dataclass(frozen=True)
class Kinematics:
    """Velocities and velocity gradients at every step, from positions alone."""

    v: Tensor
    """v that carried x from the step before [m/s], shape (steps + 1, n, 3); the first is v0."""
    C: Tensor
    """[1/s], shape (steps + 1, n, 3, 3)."""


@torch.no_grad()
def kinematics(
    solver: MPMSolver, model: MPMModel, step: Tensor, x: Tensor, sweeps: int = 4
) -> Kinematics:
    """Velocities by a cubic spline through the frames, gradients through the simulation's grid.

    The grid velocities that carry the particles are found by defect correction: what P2G and G2P
    leave of the particles' velocities is transferred again, `sweeps` times; C follows from them as
    in a step.

    Args:
        solver: Of the model.
        model: Of one world, whose masses weigh the transfer; its initial velocities are used.
        step: Of the frames, increasing, from 0, shape (f,).
        x: Observed positions [m], shape (f, n, 3).
        sweeps: Transfers a step.
    """
    from scipy.interpolate import CubicSpline  # 45 MB that nothing else here needs

    spline = CubicSpline(step.numpy(), x.cpu().double().numpy(), bc_type="not-a-knot")
    last = int(step[-1])
    path = torch.from_numpy(spline(np.arange(last + 1))).to(model.x0)
    free = _free(model)
    space = solver.workspace(free, 0, adjoint=False)
    v = torch.empty_like(path)
    C = path.new_zeros(last + 1, model.n, 3, 3)
    v[0] = model.v0
    zero = path.new_zeros(model.n, 3, 3)
    eye = torch.eye(3, dtype=zero.dtype, device=zero.device).expand(model.n, 3, 3)
    start = (path[0], v[0], zero, eye, zero, path.new_zeros(model.n, model.n_internal))
    space.load(start, model_inputs(free), law_tensors(free), 0)
    s = space.state
    for k in range(1, last + 1):
        wanted = (path[k] - path[k - 1]) / model.dt
        found, slope, guess = torch.zeros_like(wanted), torch.zeros_like(zero), C[k - 1]
        for _ in range(sweeps):
            s.x[0].copy_(path[k - 1])
            s.v[0].copy_(wanted - found)
            s.C[0].copy_(guess)
            space.transfer()
            found, slope, guess = found + s.v[0], slope + s.C[0], zero
        v[k], C[k] = wanted, slope
    return Kinematics(v, C)


def _free(model: MPMModel) -> MPMModel:
    """The model without walls, colliders and gravity, so that the transfers only interpolate."""
    modes = torch.full_like(model.walls.mode, OPEN)
    c = model.colliders
    none = Colliders(
        c.shape[:, :0].contiguous(), c.mode[:, :0].contiguous(), c.mesh[:, :0].contiguous(),
        c.size[:, :0].contiguous(), c.friction[:, :0].contiguous(),
        c.position[:1, :, :0].contiguous(), c.rotation[:1, :, :0].contiguous(),
        c.velocity[:1, :, :0].contiguous(), c.spin[:1, :, :0].contiguous(),
    )  # fmt: skip
    return replace(
        model,
        gravity=torch.zeros_like(model.gravity),
        walls=Walls(modes, model.walls.friction),
        colliders=none,
        life=torch.tensor([0, FOREVER], dtype=torch.int32).repeat(model.n, 1).to(model.life),
    )


@torch.no_grad()
def estimated(model: MPMModel, step: Tensor, x: Tensor, seen: Kinematics) -> Restarts:
    """States with F carried from the known rest state along the observed motion.

    F_trial = (I + dt C) F at every step, then the model's law as it is now decides what flows.

    Args:
        model: Of one world, with the law that is being fitted.
        step: Of the frames, shape (f,).
        x: Observed positions [m], shape (f, n, 3).
        seen: From `kinematics`.
    """
    dt, n = model.dt, model.n
    F = torch.eye(3, dtype=seen.v.dtype, device=seen.v.device).repeat(n, 1, 1)
    internal = rest_internal(model.groups, model.n, F)
    wanted = set(step.tolist())
    pieces = [piece for group in model.groups for piece in group.points()]
    Fs, internals = [F.clone()], [internal.clone()]
    for k in range(1, int(step[-1]) + 1):
        F = F + dt * seen.C[k] @ F
        for law, i in pieces:
            out = law.update(F[i], internal[i, : law.n_internal], dt)
            F[i], internal[i, : law.n_internal] = out.F_elastic, out.internal
        if k in wanted:
            Fs.append(F.clone())
            internals.append(internal.clone())
    at = step.to(x.device)
    carry = {"C": seen.C[at]}
    return Restarts(step, x.to(F), seen.v[at], torch.stack(Fs), torch.stack(internals), carry)
