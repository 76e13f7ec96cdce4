# SPDX-License-Identifier: Apache-2.0
"""From the device form of a law to torch: stress and update by the law kernels, differentiably.

First derivatives reach the deformation gradient, the history and the coefficients; a second
backward pass raises. Any device, float32 and float64, strided input.
"""

from __future__ import annotations

from typing import Any

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.dtypes import types
from rheograd.kernels.laws.update import LawKernels, internal_count, law_kernels

from .arrays import Launcher, plain, precision, view
from .law import Response, Twin


def stress(twin: Twin, coefficients: Tensor, F_elastic: Tensor, internal: Tensor) -> Tensor:
    """Elastic Kirchhoff stress [Pa], shape (q, 3, 3).

    Args:
        twin: The law.
        coefficients: What `ConstitutiveLaw.coefficients` gives, shape (c,).
        F_elastic: Elastic deformation gradient, shape (q, 3, 3).
        internal: Numbers of the points, as for `update`.

    Raises:
        TypeError: F_elastic is neither float32 nor float64.
        ValueError: F_elastic or internal has another shape.
    """
    _check(F_elastic)
    own = _own(twin, F_elastic, internal)
    return _Stress.apply(twin, coefficients.to(F_elastic), F_elastic, own)  # type: ignore[no-any-return]


def update(
    twin: Twin, coefficients: Tensor, F_trial: Tensor, internal: Tensor, dt: float
) -> Response:
    """Return mapping and stress, damped or not.

    Args:
        twin: The law.
        coefficients: What `ConstitutiveLaw.coefficients` gives, shape (c,).
        F_trial: Deformation gradient before plastic flow, shape (q, 3, 3).
        internal: Numbers of the points at the start of the step, in columns as
            kernels/laws/update.py has them; of a law without any, of any width and handed on.
        dt: Step length [s].

    Raises:
        TypeError: F_trial is neither float32 nor float64.
        ValueError: F_trial or internal has another shape.
    """
    _check(F_trial)
    own = _own(twin, F_trial, internal)
    tau, F, after = _Update.apply(twin, coefficients.to(F_trial), F_trial, own, float(dt))
    return Response(tau, F, after if after.shape[1] else internal)


def _own(twin: Twin, F: Tensor, internal: Tensor) -> Tensor:
    """`internal` if the law has columns in it, else one of width 0."""
    columns = internal_count(*twin)
    if not columns:
        return F.new_empty(len(F), 0)
    if internal.shape != (len(F), columns):
        raise ValueError(
            f"this law keeps {columns} numbers per point: expected internal of shape "
            f"({len(F)}, {columns}), got {tuple(internal.shape)}; start from rest_internal()"
        )
    return internal


class _Stress(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, twin: Twin, coefficients: Tensor, F: Tensor, internal: Tensor) -> Tensor:
        ctx.twin = twin
        ctx.save_for_backward(coefficients, F, internal)
        coefficients, F, internal = plain(coefficients, F, internal)
        tau = torch.empty_like(F)
        _launch(_kernels(twin, F).stress, F, internal, _rows(F), coefficients[None], tau)
        return tau

    @staticmethod
    def backward(ctx: Any, tau_bar: Tensor) -> tuple[Tensor | None, ...]:
        return None, *_StressAdjoint.apply(ctx.twin, *ctx.saved_tensors, tau_bar)


class _Update(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, twin: Twin, coefficients: Tensor, F: Tensor, internal: Tensor, dt: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.twin, ctx.dt = twin, dt
        ctx.save_for_backward(coefficients, F, internal)
        coefficients, F, internal = plain(coefficients, F, internal)
        tau, F_out, internal_out = (torch.empty_like(a) for a in (F, F, internal))
        kernel = _kernels(twin, F).update
        _launch(kernel, F, internal, dt, _rows(F), coefficients[None], tau, F_out, internal_out)
        return tau, F_out, internal_out

    @staticmethod
    def backward(ctx: Any, *bars: Tensor) -> tuple[Tensor | None, ...]:
        return None, *_UpdateAdjoint.apply(ctx.twin, ctx.dt, *ctx.saved_tensors, *bars), None


class _Last(torch.autograd.Function):
    """A derivative that has none itself, and says so rather than pass for a constant."""

    @staticmethod
    def backward(ctx: Any, *_bars: Tensor) -> Any:
        raise NotImplementedError(
            "analytic laws have first derivatives only: a Hessian needs central differences of "
            "the gradient, or a law of torch operations"
        )


class _StressAdjoint(_Last):
    @staticmethod
    def forward(
        ctx: Any, twin: Twin, coefficients: Tensor, F: Tensor, internal: Tensor, tau_bar: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        coefficients, F, internal, tau_bar = plain(coefficients, F, internal, tau_bar)
        F_bar, internal_bar = torch.empty_like(F), torch.zeros_like(internal)
        coefficients_bar = torch.zeros_like(coefficients)
        _launch(
            _kernels(twin, F).stress_adjoint, F, internal, _rows(F), coefficients[None], tau_bar,
            F_bar, internal_bar, coefficients_bar[None],
        )  # fmt: skip
        return coefficients_bar, F_bar, internal_bar


class _UpdateAdjoint(_Last):
    @staticmethod
    def forward(
        ctx: Any, twin: Twin, dt: float, coefficients: Tensor, F: Tensor, *rest: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        coefficients, F, internal, *bars = plain(coefficients, F, *rest)
        F_bar, internal_bar = torch.empty_like(F), torch.empty_like(internal)
        coefficients_bar = torch.zeros_like(coefficients)
        _launch(
            _kernels(twin, F).adjoint, F, internal, dt, _rows(F), coefficients[None], *bars,
            F_bar, internal_bar, coefficients_bar[None],
        )  # fmt: skip
        return coefficients_bar, F_bar, internal_bar


def _kernels(twin: Twin, like: Tensor) -> LawKernels:
    return law_kernels(twin.elasticity, twin.plasticity, twin.damped, precision(like))


def _launch(kernel: wp.Kernel, F: Tensor, *rest: Tensor | float) -> None:
    """Launch a law kernel over all points."""
    scalar = precision(F)
    index = torch.arange(len(F), dtype=torch.int32, device=F.device)
    dtypes = {1: wp.int32, 2: scalar, 3: types(scalar).mat33}
    arguments = [view(v, dtypes[v.ndim]) if isinstance(v, Tensor) else v for v in (index, F, *rest)]
    Launcher(F)(kernel, len(F), arguments)


def _rows(F: Tensor) -> Tensor:
    return torch.zeros(len(F), dtype=torch.int32, device=F.device)


def _check(F: Tensor) -> None:
    precision(F)
    if F.ndim != 3 or F.shape[1:] != (3, 3):
        raise ValueError(
            f"F has shape {tuple(F.shape)}, expected (q, 3, 3): one matrix per point, use reshape"
        )
