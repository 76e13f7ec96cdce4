# SPDX-License-Identifier: Apache-2.0
"""Deformation gradients and histories for tests of laws, and their gradients by differences."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rheograd.materials.composition import Damped
from rheograd.materials.law import ConstitutiveLaw

DT = 1e-2


def rotations(q: int) -> Tensor:
    A = 3 * torch.randn(q, 3, 3, dtype=torch.float64)
    return torch.matrix_exp(A - A.mT)


def strained(q: int, amount: float = 0.08) -> Tensor:
    """Deformation gradients whose singular values are well apart."""
    stretch = torch.diag(torch.tensor([1.25, 1.0, 0.8], dtype=torch.float64))
    return rotations(q) @ (stretch + amount * torch.randn(q, 3, 3, dtype=torch.float64))


def branches() -> Tensor:
    """States on every branch of the flows: small strain, yield, compression, tension, clamp."""
    Q, P = rotations(40), rotations(40)
    sigma = torch.tensor(
        [[1.002, 1.0, 0.997], [1.3, 1.05, 0.8], [0.9, 0.8, 0.6], [1.4, 1.3, 1.1], [1.1, 0.7, 0.04]],
        dtype=torch.float64,
    ).repeat(8, 1)
    return Q @ torch.diag_embed(sigma * (1 + 1e-3 * torch.rand(40, 3))) @ P


def history(law: ConstitutiveLaw, F: Tensor) -> Tensor:
    """A history as a step before F may have left it."""
    if isinstance(law, Damped):
        before = (F + 0.02 * torch.randn_like(F)).flatten(1)
        return torch.cat([history(law.law, F), before], 1)
    return law.rest_internal(len(F), F) + 0.1 * torch.rand(len(F), law.n_internal).to(F)


def relative(found: Tensor, expected: Tensor) -> float:
    """Largest difference by the largest expected number; 0 of nothing, as without a history."""
    found, expected = found.detach(), expected.detach()
    if not expected.numel():
        return 0.0
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-300))


def check_pullback(law: ConstitutiveLaw, F: Tensor, internal: Tensor) -> None:
    scale = law.wave_modulus()
    tau_bar, F_bar = torch.randn_like(F) / scale, torch.randn_like(F)
    internal_bar = torch.randn_like(internal)
    got = law.pullback(F, internal, DT, tau_bar, F_bar, internal_bar)

    def value(F: Tensor, internal: Tensor) -> Tensor:
        with torch.no_grad():
            out = law.update(F, internal, DT)
        total = (tau_bar * out.tau).sum() + (F_bar * out.F_elastic).sum()
        return total + (internal_bar * out.internal).sum()

    def agrees(slope: Tensor, along: Callable[[float], Tensor], size: Tensor) -> None:
        h = 1e-6
        expected = (along(h) - along(-h)) / (2 * h)
        assert (slope - expected).abs() <= 1e-7 * size.clamp_min(expected.abs())

    dF, dh = torch.randn_like(F), torch.randn_like(internal)
    slope = (got.F_trial * dF).sum() + (got.internal * dh).sum()
    agrees(slope, lambda h: value(F + h * dF, internal + h * dh), got.F_trial.norm())
    largest = value(F, internal).abs() + F_bar.norm()
    for weight, gradient in zip(law.parameters(), got.parameters, strict=True):
        direction = weight.detach().clone() if weight.ndim == 0 else torch.randn_like(weight)

        def moved(h: float, weight: Tensor = weight, direction: Tensor = direction) -> Tensor:
            kept = weight.detach().clone()
            with torch.no_grad():
                weight += h * direction
                out = value(F, internal)
                weight.copy_(kept)
            return out

        agrees((gradient * direction).sum(), moved, 0.1 * largest)
