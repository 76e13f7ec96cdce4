# SPDX-License-Identifier: Apache-2.0
"""Spectral functions of F in torch: U diag(f) V^T and U diag(b) U^T with exact derivatives.

With F = U diag(1 + e) V^T, f and b numbers that were computed of e by any differentiable means.
Gradients reach F through e (de_i = u_i^T dF v_i) and through the axes, by the divided differences
of Daleckii and Krein (kernels/decompose.py), never through U and V alone. Stretches s_i and s_j are
tied that differ by no more than `NEAR` times |s_i| + |s_j|. Functions without a limit tie only
strains that differ by no more than `NEAR` times the sum of all strains.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from rheograd.kernels.learned.principal import NEAR

from ..arrays import precision
from .featured import measured


class Stretches(NamedTuple):
    """The singular value decomposition of a batch of F."""

    e: Tensor
    """Principal Biot strains, singular values less 1, in descending order [-], shape (q, 3)."""
    R: Tensor
    """Rotations U V^T [-], shape (q, 3, 3), without gradient."""
    V: Tensor
    """Axes at rest [-], shape (q, 3, 3), without gradient."""

    @property
    def U(self) -> Tensor:
        """Axes [-], shape (q, 3, 3), without gradient."""
        return self.R @ self.V


def decompose(F: Tensor) -> Stretches:
    """Of deformation gradients F, shape (q, 3, 3), float32 or float64."""
    return Stretches(*_Decompose.apply(F))


def mixed(F: Tensor, at: Stretches, f: Tensor, slopes: Tensor | None = None) -> Tensor:
    """U diag(f) V^T, shape (q, 3, 3).

    Args:
        F: What `at` was computed of, shape (q, 3, 3).
        at: Its decomposition.
        f: Numbers for the axes, shape (q, 3).
        slopes: What (f_j - f_i) / (e_j - e_i) tends to as e_i and e_j come together, shape
            (q, 3, 3), symmetric; None: f has no such limit, and is taken as constant there.
    """
    return _Compose.apply(F, f, *(t.detach() for t in at), slopes, False)  # type: ignore[no-any-return]


def left(F: Tensor, at: Stretches, b: Tensor, slopes: Tensor | None = None) -> Tensor:
    """U diag(b) U^T, shape (q, 3, 3); arguments as for `mixed`."""
    return _Compose.apply(F, b, *(t.detach() for t in at), slopes, True)  # type: ignore[no-any-return]


def kirchhoff(F: Tensor, at: Stretches, f: Tensor, slopes: Tensor | None = None) -> Tensor:
    """P F^T of P = U diag(f) V^T, shape (q, 3, 3); arguments as for `mixed`."""
    stretch = 1.0 + at.e
    if slopes is not None:
        s, own = stretch.detach(), f.detach()
        slopes = 0.5 * (own[:, :, None] + own[:, None] + (s[:, :, None] + s[:, None]) * slopes)
    return left(F, at, stretch * f, slopes)


class _Decompose(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, F: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        m = measured("full", F.detach().contiguous())
        assert m.V is not None
        ctx.save_for_backward(m.R, m.V)
        ctx.mark_non_differentiable(m.R, m.V)
        return m.x[:, :3].contiguous(), m.R, m.V

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, e_bar: Tensor, *_: Any) -> Tensor:
        R, V = ctx.saved_tensors
        return R @ (V * e_bar[:, None]) @ V.mT


class _Compose(torch.autograd.Function):
    """F is an argument so that it gets the gradient by the axes; that by e goes through f."""

    @staticmethod
    def forward(
        ctx: Any, F: Tensor, f: Tensor, e: Tensor, R: Tensor, V: Tensor, slopes: Tensor | None,
        left: bool,
    ) -> Tensor:  # fmt: skip
        U = R @ V
        ctx.save_for_backward(f, e, U, V, slopes)
        ctx.left = left
        return (U * f[:, None]) @ (U if left else V).mT

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, out_bar: Tensor) -> tuple[Tensor | None, ...]:
        f, e, U, V, slopes = ctx.saved_tensors
        H = U.mT @ out_bar @ (U if ctx.left else V)
        apart = e[:, None] - e[:, :, None]
        size = (1.0 + e).abs() if slopes is not None else e.abs().sum(1, keepdim=True)
        reach = size[:, None] + size[:, :, None] if slopes is not None else size[:, None]
        tied = apart.abs() <= NEAR[precision(e)] * reach
        rise = f[:, None] - f[:, :, None]
        limit = torch.zeros_like(rise) if slopes is None else slopes
        p = torch.where(tied, limit, rise / torch.where(tied, 1.0, apart))
        sums = 2.0 + e[:, None] + e[:, :, None]
        over = rise if ctx.left else f[:, None] + f[:, :, None]
        q = torch.where(over == 0.0, over, over / sums)
        even, odd = 0.5 * (H + H.mT), 0.5 * (H - H.mT)
        D = (p + q) * even if ctx.left else p * even + q * odd
        D.diagonal(dim1=1, dim2=2).zero_()
        return U @ D @ V.mT, H.diagonal(dim1=1, dim2=2).clone(), None, None, None, None, None
