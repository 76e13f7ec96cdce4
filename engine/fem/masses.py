# SPDX-License-Identifier: Apache-2.0
"""Accelerations from forces by the consistent mass matrix, differentiable."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import SimulationError
from .equilibrium import inertia
from .model import FEModel

MOST = 1000
"""Iterations of conjugate gradients; tens are usual, as the matrix is well conditioned."""
ASK = 8
"""Iterations between two looks at the residual, for which the device has to be waited for."""
TOLERANCE = 1e-14
"""Relative, in double precision."""


def accelerations(model: FEModel, masses: Tensor, added: Tensor, forces: Tensor) -> Tensor:
    """Those of M a = f at free components, 0 at the others; shape (n, 3).

    Args:
        model: The mesh.
        masses: Of pairs of an element's nodes [kg], shape (e, a, a).
        added: Of nodes [kg], shape (n,).
        forces: f [N], shape (n, 3).
    """
    return _Accelerations.apply(model, masses, added, forces)  # type: ignore[no-any-return]


class _Accelerations(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, model: FEModel, masses: Tensor, added: Tensor, forces: Tensor) -> Tensor:
        a = _solved(model, masses, added, forces)
        ctx.model = model
        ctx.save_for_backward(masses, added, a)
        return a

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, bar: Tensor) -> tuple[Tensor | None, ...]:
        masses, added, a = ctx.saved_tensors
        nodes = ctx.model.nodes
        adjoint = _solved(ctx.model, masses, added, bar)
        own = -torch.einsum("eai,ebi->eab", adjoint[nodes], a[nodes])
        return None, own, -(adjoint * a).sum(1), adjoint


def _solved(model: FEModel, masses: Tensor, added: Tensor, forces: Tensor) -> Tensor:
    """By conjugate gradients, preconditioned with the diagonal."""
    own = masses.diagonal(dim1=1, dim2=2).reshape(-1)
    diagonal = added.index_add(0, model.nodes.reshape(-1), own)[:, None]
    r = forces.masked_fill(model.fixed, 0.0)
    a = torch.zeros_like(r)
    z = r / diagonal
    p, rz = z, (r * z).sum()
    goal = rz * max(TOLERANCE, torch.finfo(r.dtype).eps) ** 2
    for count in range(MOST):
        if count % ASK == 0 and not bool(rz > goal):
            return a
        q = inertia(model, masses, added, p).masked_fill(model.fixed, 0.0)
        step = torch.where(rz > goal, rz / (p * q).sum(), torch.zeros_like(rz))
        a, r = a + step * p, r - step * q
        z = r / diagonal
        new = (r * z).sum()
        p, rz = z + torch.where(rz > goal, new / rz, torch.zeros_like(rz)) * p, new
    raise SimulationError("the accelerations at the start were not found: a mass is negative", 0)
