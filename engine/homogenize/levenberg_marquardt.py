# SPDX-License-Identifier: Apache-2.0
"""Levenberg and Marquardt's method for the weights of a small network.

    (JᵀJ + λ diag JᵀJ) d = −Jᵀ r

(Marquardt 1963, "An algorithm for least-squares estimation of nonlinear parameters"). With about a
thousand weights a step costs as much as some tens of gradients and does the work of hundreds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

ROWS = 250
"""Load cases whose derivatives are held at once."""
TRIES = 10
"""Values of λ in one step."""
LEAST = 1e-12
"""λ, at least."""
EVERY = 10
"""Steps between checks on what is held out."""


class _Called(nn.Module):
    """A module whose forward is a function of it."""

    def __init__(self, model: nn.Module, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self, *data: Tensor) -> Tensor:
        return self.function(self.model, *data)


def levenberg_marquardt(
    model: nn.Module,
    residual: Callable[..., Tensor],
    data: Sequence[Tensor],
    check: Callable[[], float],
    steps: int,
    told: Callable[[int, float], None],
) -> None:
    """Fit all parameters of a module; those of the least error on what is held out are kept.

    Args:
        model: The module.
        residual: Of the module and rows of the data, shape (k, m).
        data: Tensors of n rows each.
        check: The error on what is held out.
        steps: At most.
        told: Called now and then with the steps that are done and that error.
    """
    called = _Called(model, residual)
    names = [name for name, _ in called.named_parameters()]
    shapes = [p.shape for p in called.parameters()]
    sizes = [p.numel() for p in called.parameters()]
    buffers = dict(called.named_buffers())
    theta = torch.cat([p.detach().reshape(-1) for p in called.parameters()])

    def parts(theta: Tensor) -> dict[str, Tensor]:
        pieces = zip(names, theta.split(sizes), shapes, strict=True)
        return {name: piece.view(shape) for name, piece, shape in pieces}

    def one(theta: Tensor, *row: Tensor) -> Tensor:
        given = tuple(value[None] for value in row)
        return functional_call(called, {**parts(theta), **buffers}, given)[0]

    own = (None, *(0 for _ in data))
    values, slopes = vmap(one, own), vmap(jacrev(one), own)

    @torch.no_grad()
    def normal(theta: Tensor) -> tuple[Tensor, Tensor, float]:
        A, g, total = theta.new_zeros(len(theta), len(theta)), torch.zeros_like(theta), 0.0
        for start in range(0, len(data[0]), ROWS):
            rows = [value[start : start + ROWS] for value in data]
            J, r = slopes(theta, *rows).flatten(0, 1), values(theta, *rows).flatten()
            A.addmm_(J.T, J)
            g += J.T @ r
            total += float(r.square().sum())
        return A, g, total

    @torch.no_grad()
    def put(theta: Tensor) -> None:
        for name, value in parts(theta).items():
            called.get_parameter(name).copy_(value)

    best, kept, damping = check(), theta, 1e-2
    for step in range(1, steps + 1):
        A, g, now = normal(theta)
        diagonal = A.diagonal().clamp_min(1e-10 * float(A.diagonal().max()))
        for _ in range(TRIES):
            move, failed = torch.linalg.solve_ex(A + torch.diag(damping * diagonal), -g)
            with torch.no_grad():
                ahead = float(values(theta + move, *data).square().sum())
            if not int(failed) and ahead < now:
                theta, damping = theta + move, max(0.25 * damping, LEAST)
                break
            damping *= 4.0
        else:
            break
        if step % EVERY == 0 or step == steps:
            put(theta)
            error = check()
            told(step, error)
            if error < best:
                best, kept = error, theta
    put(kept)
