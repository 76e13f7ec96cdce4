# SPDX-License-Identifier: Apache-2.0
"""Gradients through a cell in balance, by the implicit function theorem.

With f(w, p) = 0, p the mean deformation, the history and the parameters of the phases, and a loss
L of the mean stress and the history at the end,

    Kᵀ l = dL/dw,    dL/dp = ∂L/∂p − l·∂f/∂p
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .problem import POINTS, Worlds


def pullback(
    problem: Worlds,
    F_bar: Tensor,
    internal: Tensor,
    dt: float,
    w: Tensor,
    stress_bar: Tensor,
    history_bar: Tensor,
    parameters: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """Gradients by F_bar, internal and each of the parameters.

    Args:
        problem: The cell, or what stands for it.
        F_bar: Mean deformation gradients, shape (w, 3, 3).
        internal: History at the start, shape (w, n_internal).
        dt: Length of the step [s].
        w: Fluctuations in balance, shape (w, size).
        stress_bar: Gradient of the loss by the mean stress, shape (w, 3, 3).
        history_bar: By the history at the end, shape (w, n_internal).
        parameters: Of the laws.
    """
    several = max(1, POINTS // len(problem.points))
    F_out, internal_out = torch.zeros_like(F_bar), torch.zeros_like(internal)
    sums = [torch.zeros_like(p) for p in parameters]
    for at in torch.arange(len(F_bar), device=F_bar.device).split(several):
        with torch.enable_grad():
            leaves = [t[at].detach().requires_grad_() for t in (F_bar, internal, w)]
            F, history, own = leaves
            points = problem.deformation(own, F)
            P, after = problem.points.respond(points, history, dt)
            loss = (stress_bar[at] * problem.points.mean(P)).sum() + (history_bar[at] * after).sum()
            (through,) = torch.autograd.grad(loss, own, retain_graph=True)
            with torch.no_grad():
                A = problem.points.linearize(points, history, dt)[2]
                adjoint = problem.system(A).solve(through[..., None], transposed=True)[..., 0]
            total = loss - (adjoint * problem.forces(P)[0]).sum()
            found = torch.autograd.grad(
                total, [F, history, *parameters], allow_unused=True, materialize_grads=True
            )
        F_out[at], internal_out[at] = found[:2]
        for total_of, part in zip(sums, found[2:], strict=True):
            total_of += part
    return F_out, internal_out, *sums
