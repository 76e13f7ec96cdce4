# SPDX-License-Identifier: Apache-2.0
"""A scalar of many numbers brought down by L-BFGS with exact gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import SimulationError


@dataclass(frozen=True)
class Descent:
    """What came out."""

    values: Tensor
    """Of the numbers, in the shape of the start, float64."""
    losses: tuple[float, ...]
    """At the start and after each iteration."""
    reason: str
    """Why it ended."""


def descend(
    loss: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    iterations: int = 100,
    tolerance: float = 1e-8,
    bounds: tuple[float | None, float | None] = (None, None),
) -> Descent:
    """Minimize a differentiable scalar (L-BFGS-B of scipy; Byrd, Lu, Nocedal and Zhu 1995).

    Numbers of order one converge best: take logarithms of moduli, lengths by a typical one.

    Args:
        loss: From numbers in the shape of the start to a scalar; a SimulationError in it is taken
            for a step too far, and the step is shortened.
        start: Where to begin.
        iterations: At most.
        tolerance: Relative gain of an iteration below which it ends.
        bounds: Lowest and highest value of every number.

    Raises:
        SimulationError: At the start itself.
    """
    from scipy.optimize import minimize

    shape, worst = start.shape, [0.0]
    losses: list[float] = []

    def evaluate(flat: np.ndarray) -> tuple[float, np.ndarray]:
        x = torch.from_numpy(flat.copy()).reshape(shape).requires_grad_()
        try:
            value = loss(x)
        except SimulationError:
            if not losses:
                raise
            return 10.0 * worst[0], np.zeros_like(flat)
        (gradient,) = torch.autograd.grad(value, x)
        found = float(value.detach())
        worst[0] = max(worst[0], abs(found))
        if not losses:
            losses.append(found)
        return found, gradient.double().numpy().reshape(-1).copy()

    def after(intermediate_result: object) -> None:
        losses.append(float(intermediate_result.fun))  # type: ignore[attr-defined]

    first = start.detach().double().cpu().numpy().reshape(-1)
    found = minimize(
        evaluate, first, jac=True, method="L-BFGS-B", bounds=[bounds] * len(first),
        callback=after, options={"maxiter": iterations, "ftol": tolerance, "gtol": 0.0},
    )  # fmt: skip
    values = torch.from_numpy(np.asarray(found.x)).reshape(shape)
    return Descent(values, tuple(losses), str(found.message))
