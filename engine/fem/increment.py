# SPDX-License-Identifier: Apache-2.0
"""One increment to equilibrium as a differentiable operation: the implicit function theorem.

With r(x, p) = 0 at free components, p all that the increment starts from, and a loss L of x and of
what the laws answer there,

    K_ff^T l_f = dL/dx_f,    dL/dp = dL/dp|_x - l . dr/dp,    K = dr/dx

and prescribed components, which are part of p, get dL/dx_c - K_fc^T l_f. The derivatives of r are
taken of its differentiable form in equilibrium.py; K comes from the kernels, at the solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.autograd.graph import saved_tensors_hooks

from ..errors import GradientError
from .equilibrium import Increment, balance
from .linear import Factor, LinearFailure
from .newton import TIGHT, Convergence, Newton

FIELDS = len(Increment._fields)


ROOM = 2**28
"""Memory for factors that are kept for further gradients of the same run [bytes]."""


@dataclass(eq=False)
class Task:
    """How an increment is solved."""

    newton: Newton
    guess: Tensor
    """Positions to start from [m], shape (n, 3)."""
    dt: float
    factors: tuple[float, float]
    reference: Tensor
    """Norm of the loads, shape (worlds,) [N]."""
    values: int
    """How many loads there are."""
    laws: tuple[int, ...]
    """How many tensors each group of laws has."""
    factor: Factor | None = None
    """Of the tangent at the solution, once an adjoint has been solved with it."""
    report: Convergence | None = None
    """How it went."""
    seen: tuple[Tensor, Tensor] | None = None
    """Kirchhoff stresses [Pa] and internal forces [N] at its end, without gradient."""

    def split(
        self, tensors: Sequence[Tensor]
    ) -> tuple[Increment, tuple[Tensor, ...], tuple[tuple[Tensor, ...], ...]]:
        """Increment, values of the loads and tensors of the laws."""
        start = Increment(*tensors[:FIELDS])
        at = FIELDS + self.values
        laws = []
        for count in self.laws:
            laws.append(tuple(tensors[at : at + count]))
            at += count
        return start, tuple(tensors[FIELDS : FIELDS + self.values]), tuple(laws)


def solve(
    task: Task, start: Increment, values: tuple[Tensor, ...], laws: Sequence[Sequence[Tensor]]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """x, net force, residual, elastic F and history at the end of an increment.

    Raises:
        NewtonFailure: There is no equilibrium to be found.
    """
    flat = [t for tensors in laws for t in tensors]
    return _Solve.apply(task, *start, *values, *flat)


def _alone(tensor: Tensor) -> Tensor:
    """Without its graph, which would hold the tensor in turn, for ever."""
    return tensor.detach()


def _same(tensor: Tensor) -> Tensor:
    return tensor


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, task: Task, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.task = task
        ctx.set_materialize_grads(False)
        start, values, laws = task.split(tensors)
        newton = task.newton
        newton.assembler.begin(start, laws, task.dt)
        model = newton.assembler.model
        guess = torch.where(model.fixed, start.places, task.guess)
        with saved_tensors_hooks(_alone, _same):  # those of a checkpoint are not for tangents
            if not task.factors[0] and not torch.equal(guess, start.before):
                guess = newton.predict(start.before, guess, values, task.factors)
            x, found, task.report = newton.solve(
                guess, values, task.factors, task.reference, keep=task.factors[0] > 0.0
            )
        task.seen = found.tau, found.resisting
        ctx.save_for_backward(x, *tensors)
        return x, found.net, found.residual, found.F, found.internal

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *bars: Tensor | None) -> tuple[Tensor | None, ...]:
        if all(bar is None for bar in bars):
            return None, *(None for _ in ctx.needs_input_grad[1:])
        task: Task = ctx.task
        x, *tensors = ctx.saved_tensors
        newton = task.newton
        model = newton.assembler.model
        needed = ctx.needs_input_grad[1:]
        with torch.enable_grad():
            leaves = [t.detach().requires_grad_(n) for t, n in zip(tensors, needed, strict=True)]
            leaves = _parameters(task, tensors, leaves)
            x1 = x.detach().requires_grad_()
            start, values, laws = task.split(leaves)
            at_end = balance(model, start, values, laws, x1, task.dt, task.factors)
            x_bar, *rest = bars
            pairs = zip(rest, (at_end.net, at_end.residual, at_end.F, at_end.internal), strict=True)
            direct = sum(((b * t).sum() for b, t in pairs if b is not None), x1.sum() * 0.0)
            (through,) = torch.autograd.grad(direct, x1, retain_graph=True)
            load = through if x_bar is None else through + x_bar
            adjoint = _adjoint(task, tensors, x, load.masked_fill(model.fixed, 0.0))
            total = direct - (adjoint * at_end.residual).sum()
            wanted = [leaf for leaf, n in zip(leaves, needed, strict=True) if n]
            found = torch.autograd.grad(total, [x1, *wanted], allow_unused=True)
        held = torch.zeros_like(x) if found[0] is None else found[0]
        held = held if x_bar is None else held + x_bar
        grads = iter(found[1:])
        out = [next(grads) if n else None for n in needed]
        places = Increment._fields.index("places")
        if needed[places]:
            own = torch.where(model.fixed, held, torch.zeros_like(held))
            before = out[places]
            out[places] = own if before is None else own + before
        sums = [g.sum() for g in out if g is not None]
        if sums and not bool(torch.isfinite(torch.stack(sums)).all()):
            raise GradientError(
                "the gradient of an increment is not finite, behind a law's adjoint"
            )
        return None, *out


def _parameters(task: Task, tensors: Sequence[Tensor], leaves: list[Tensor]) -> list[Tensor]:
    """Laws of torch find their own parameters, so these are the leaves themselves."""
    at = FIELDS + task.values
    groups = task.newton.assembler.model.groups
    for group, count in zip(groups, task.laws, strict=True):
        if group.twin is None:
            leaves[at : at + count] = list(group.laws[0].parameters())
        at += count
    return leaves


def _factor(task: Task, tensors: Sequence[Tensor], x: Tensor) -> Factor:
    """Of the tangent at the solution, kept for further gradients while there is room."""
    newton = task.newton
    start, values, laws = task.split([t.detach() for t in tensors])
    newton.assembler.begin(start, laws, task.dt)
    newton.assembler.balance(x, values, task.factors, tangent=True)
    factor = newton.factor(x, values, task.factors)
    if sum(t.factor.bytes for t in newton.adjoints if t.factor) + factor.bytes <= ROOM:
        task.factor = factor
        newton.adjoints.add(task)
    return factor


@torch.no_grad()
def _adjoint(task: Task, tensors: Sequence[Tensor], x: Tensor, load: Tensor) -> Tensor:
    """l, zero at prescribed components."""
    newton = task.newton
    try:
        factor = task.factor or _factor(task, tensors, x.detach())
        found = factor.solve(load, TIGHT, transposed=not newton.linear.symmetric)
    except (LinearFailure, RuntimeError) as error:
        raise GradientError(f"the adjoint of an increment failed: {error}") from error
    return found.masked_fill(newton.assembler.model.fixed, 0.0)
