# SPDX-License-Identifier: Apache-2.0
"""Isotropic elasticities whose stress is the derivative of an energy of three invariants.

    ψ = ψ(Ī₁, Ī₂, J),   J = det F,   b̄ = J^(−2/3) F Fᵀ,   Ī₁ = tr b̄,   Ī₂ = (Ī₁² − tr b̄²)/2

With ∂J/∂F = J F⁻ᵀ and dĪ₁ = 2 dev b̄ : dF F⁻¹, dĪ₂ = 2 dev(Ī₁ b̄ − b̄²) : dF F⁻¹, the Kirchhoff
stress τ = ∂ψ/∂F Fᵀ is (Holzapfel 2000, "Nonlinear Solid Mechanics", ch. 6.4)

    τ = 2 dev[(ψ₁ + Ī₁ ψ₂) b̄ − ψ₂ b̄²] + J ψ_J I,      dev A = A − tr A/3 I,  ψ₁ = ∂ψ/∂Ī₁, …

so first derivatives of ψ give it without a decomposition of F, and one pass of automatic
differentiation over them gives tangent and gradients. No energy can be made on a closed path; τ is
symmetric, turns with the body and knows no direction of the material, whatever ψ is. In a solver
only ∂ψ/∂Ī₁ and so on are torch's; what is before and after is kernels/learned/invariants.py. Terms
of the principal stretches can be added (Ogden 1972): all is then torch's, and the graph's.

J ≤ 0 is answered with a NaN, as by neo-Hookean: J^(−2/3) is no real number there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rheograd.kernels.dtypes import building
from rheograd.kernels.learned.invariants import invariant_kernels

from ..arrays import Launcher, matrices, plain, precision, view
from ..elastic import hencky_strains
from ..invariants import Invariants, invariants
from ..law import Elasticity, Pullback, Response, carried, free, with_frozen
from ..rubber import OgdenTerms


class Slopes(NamedTuple):
    """First derivatives of ψ [Pa], shape (q,) each."""

    I1: Tensor
    """∂ψ/∂Ī₁."""
    I2: Tensor
    """∂ψ/∂Ī₂."""
    log_J: Tensor
    """J ∂ψ/∂J: a third of the trace of τ."""


class InvariantEnergy(Elasticity, ABC):
    """An elasticity that gives ψ and its derivatives by the invariants."""

    symmetric = True

    @abstractmethod
    def density(self, at: Invariants) -> Tensor:
        """ψ [J/m³], shape (q,)."""

    @abstractmethod
    def slopes(self, at: Invariants) -> Slopes:
        """Derivatives of `density`, written out: they are differentiated once more."""

    def ogden_terms(self) -> OgdenTerms | None:
        """What ψ has beside `density`, of the principal stretches; None: nothing."""
        return None

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """ψ [J/m³], shape (q,)."""
        found, terms = self.density(invariants(F_elastic)[0]), self.ogden_terms()
        return found if terms is None else found + terms.energies(hencky_strains(F_elastic)).sum(1)

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """Kirchhoff stress [Pa], shape (q, 3, 3)."""
        at, b = invariants(F_elastic)
        slope = self.slopes(at)
        first = (slope.I1 + at.I1 * slope.I2)[:, None, None]
        inner = 2 * (first * b - slope.I2[:, None, None] * (b @ b))
        pressure = slope.log_J - inner.diagonal(dim1=1, dim2=2).sum(1) / 3
        found = inner + torch.diag_embed(pressure[:, None].expand(-1, 3))
        terms = self.ogden_terms()
        return found if terms is None else found + terms.stress(F_elastic)

    @torch.no_grad()
    def update_into(
        self, F_trial: Tensor, internal: Tensor, dt: float, out: Response, kept: Any = None
    ) -> None:
        """See `ConstitutiveLaw.update_into`."""
        if self.ogden_terms() is not None:
            return super().update_into(F_trial, internal, dt, out, kept)
        points = _Points(F_trial)
        points.stress(torch.stack(self.slopes(Invariants(*points.at))), out.tau)
        out.F_elastic.copy_(F_trial)
        if out.internal is not internal:
            out.internal.copy_(internal)

    def pullback(
        self,
        F_trial: Tensor,
        internal: Tensor,
        dt: float,
        tau_bar: Tensor,
        F_bar: Tensor,
        internal_bar: Tensor,
        *,
        kept: Any = None,
        F_elastic: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Pullback:
        """See `ConstitutiveLaw.pullback`: autograd over `slopes` alone."""
        if self.ogden_terms() is not None:
            return super().pullback(
                F_trial, internal, dt, tau_bar, F_bar, internal_bar,
                kept=kept, F_elastic=F_elastic, out=out,
            )  # fmt: skip
        (tau_bar,) = plain(tau_bar)
        points = _Points(F_trial)
        with torch.enable_grad():
            at = points.at.detach().requires_grad_()
            slopes = torch.stack(self.slopes(Invariants(*at)))
            at_bar, *found = torch.autograd.grad(
                slopes, (at, *free(self)), points.by_slopes(tau_bar), materialize_grads=True,
                allow_unused=True,
            )  # fmt: skip
        total = carried(F_bar, out)
        points.pull(slopes.detach(), at_bar.contiguous(), tau_bar, total)
        return Pullback(total, internal_bar, with_frozen(self, found))

    def linearize(
        self, F_trial: Tensor, internal: Tensor, dt: float, guess: Tensor | None = None
    ) -> tuple[Response, Tensor]:
        """See `ConstitutiveLaw.linearize`; six rows will do, as τ is symmetric."""
        F = F_trial.detach().requires_grad_()
        with torch.enable_grad():
            tau = self.stress(F, internal)
            rows = {
                (i, j): torch.autograd.grad(tau[:, i, j].sum(), F, retain_graph=True)[0]
                for i in range(3)
                for j in range(i, 3)
            }
        tangent = torch.stack(
            [rows[min(i, j), max(i, j)] for i in range(3) for j in range(3)], dim=1
        )
        found = Response(tau.detach(), F_trial.detach(), internal.detach())
        return found, tangent.reshape(-1, 3, 3, 3, 3)


class _Points:
    """Points of a batch, by kernels and without a graph; J ≤ 0 as in `invariants`."""

    def __init__(self, F: Tensor) -> None:
        """Measure deformation gradients, shape (q, 3, 3)."""
        (self.F,) = plain(F)
        with building:
            self.kernels = invariant_kernels(precision(F))
        self.launch = Launcher(self.F)
        self.at = self.F.new_empty(3, len(F))
        """Ī₁, Ī₂ and J, shape (3, q)."""
        self._run(self.kernels.measure, matrices(self.F), self.at)

    def stress(self, slopes: Tensor, tau_out: Tensor) -> None:
        """Kirchhoff stress [Pa], contiguous, shape (q, 3, 3), of slopes, shape (3, q)."""
        self._run(self.kernels.stress, matrices(self.F), slopes, matrices(tau_out))

    def by_slopes(self, tau_bar: Tensor) -> Tensor:
        """Gradient by the slopes, shape (3, q), given that by the stress, (q, 3, 3)."""
        out = torch.empty_like(self.at)
        self._run(self.kernels.by_slopes, matrices(self.F), matrices(tau_bar), out)
        return out

    def pull(self, slopes: Tensor, at_bar: Tensor, tau_bar: Tensor, F_bar: Tensor) -> None:
        """Add to F_bar, (q, 3, 3), what comes through `at` and the stress."""
        bars = (matrices(tau_bar), matrices(F_bar))
        self._run(self.kernels.pull, matrices(self.F), slopes, at_bar, *bars)

    def _run(self, kernel: Any, *arguments: Any) -> None:
        scalar = precision(self.F)
        given = [view(a, scalar) if isinstance(a, Tensor) else a for a in arguments]
        self.launch(kernel, len(self.F), given)
