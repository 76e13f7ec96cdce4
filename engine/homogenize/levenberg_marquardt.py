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
    system = _LeastSquares(model, residual, data)
    theta = system.start()
    best, kept, damping = check(), theta, 1e-2
    for step in range(1, steps + 1):
        A, g, now = system.normal(theta)
        diagonal = A.diagonal().clamp_min(1e-10 * float(A.diagonal().max()))
        better = False
        for _ in range(TRIES):
            move, failed = torch.linalg.solve_ex(A + torch.diag(damping * diagonal), -g)
            better = not int(failed) and system.total(theta + move) < now
            if better:
                theta, damping = theta + move, max(0.25 * damping, LEAST)
                break
            damping *= 4.0
        if step % EVERY == 0 or step == steps or not better:
            system.put(theta)
            error = check()
            told(step, error)
            if error < best:
                best, kept = error, theta
        if not better:
            break
    system.put(kept)


class _LeastSquares:
    """Sums of squares of residuals as functions of all parameters in one vector θ, shape (n,)."""

    def __init__(
        self, model: nn.Module, residual: Callable[..., Tensor], data: Sequence[Tensor]
    ) -> None:
        self.called, self.data = _Called(model, residual), data
        self.shapes = {name: p.shape for name, p in self.called.named_parameters()}
        self.buffers = dict(self.called.named_buffers())
        own = (None, *(0 for _ in data))
        self.values, self.slopes = vmap(self._one, own), vmap(jacrev(self._one), own)

    def _one(self, theta: Tensor, *row: Tensor) -> Tensor:
        given = tuple(value[None] for value in row)
        return functional_call(self.called, {**self._parts(theta), **self.buffers}, given)[0]

    def _parts(self, theta: Tensor) -> dict[str, Tensor]:
        pieces = theta.split([shape.numel() for shape in self.shapes.values()])
        named = zip(self.shapes.items(), pieces, strict=True)
        return {name: piece.view(shape) for (name, shape), piece in named}

    def start(self) -> Tensor:
        """θ as the module has it."""
        return torch.cat([p.detach().reshape(-1) for p in self.called.parameters()])

    @torch.no_grad()
    def put(self, theta: Tensor) -> None:
        """Give it to the module."""
        for name, value in self._parts(theta).items():
            self.called.get_parameter(name).copy_(value)

    @torch.no_grad()
    def total(self, theta: Tensor) -> float:
        """Sum of the squares."""
        return float(self.values(theta, *self.data).square().sum())

    @torch.no_grad()
    def normal(self, theta: Tensor) -> tuple[Tensor, Tensor, float]:
        """JᵀJ (n, n), Jᵀr (n,) and the sum of the squares."""
        A, g, total = theta.new_zeros(len(theta), len(theta)), torch.zeros_like(theta), 0.0
        for start in range(0, len(self.data[0]), ROWS):
            rows = [value[start : start + ROWS] for value in self.data]
            J, r = self.slopes(theta, *rows).flatten(0, 1), self.values(theta, *rows).flatten()
            A.addmm_(J.T, J)
            g += J.T @ r
            total += float(r.square().sum())
        return A, g, total
