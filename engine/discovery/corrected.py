# SPDX-License-Identifier: Apache-2.0
"""Equations for the weights of terms that know of the errors of measured displacements.

Errors of displacements are in the columns of virtual work, not in its right-hand side, and as
differences of neighbouring nodes: least squares of nodal forces weigh the noisiest combinations
most, and pull weights down (Jailin, Roux, Benady and Baranger 2026). Of displacements ũ with errors
of standard deviation s and forces R̃ with errors of t, the likeliest weights w and true
displacements u are where

    |ũ − u|²/s² + |R̃ − R|²/t²  is least under  c(u, w) = Σ_k w_k a_k(u) − (0, R) = 0

(the mixed model of Helmert 1907, Britt and Luecke 1973). About a guess (u₀, w₀) with C = ∂c/∂u that
is a linear least-squares problem,

    L⁻¹ (Σ_k w_k a_k(u₀) − (0, R̃) + C (ũ − u₀)),     L Lᵀ = s² C Cᵀ + t² e eᵀ,

whose rows have independent errors of 1, and u = ũ − s² Cᵀ (L Lᵀ)⁻¹ (…) is the next guess. C is the
tangent stiffness: forces are compared by the displacements that they stand for. So terms are chosen
as if displacements were fitted by simulations, one for each choice, yet no simulation is run. In
the end u is in equilibrium with the chosen law and nearest to what was measured. A displacement
that was not seen has `UNSEEN` times the error about its guess, which moves until it needs to move
no more: so a mesh can be finer than what was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from .from_motion import MeasuredMotion
from .library import Candidate
from .selection import Chosen

UNSEEN = 100.0
"""Error of a displacement that was not seen about the last guess of it, by that of others."""


class Unsettled(ValueError):
    """Terms that displacements cannot be corrected by, so far from the motion as they are.

    Their law has no stiffness, at rest or in the equilibrium of the free nodes, or none of them
    goes with the forces with a weight above 0.
    """


@dataclass(frozen=True, eq=False)
class CorrectedEquations:
    """`Equations` about a guess; see the module.

    Raises:
        Unsettled: The law is not stable enough there: the rows are not independent.
    """

    about: MeasuredMotion
    """At the guess of the true positions."""
    measured: Tensor
    """Positions [m], shape (frames, n, 3)."""
    law: ConstitutiveLaw
    """Of the guess."""
    noise: float
    """Standard deviation of a displacement, s [m]."""
    force_noise: float
    """Of a force, t [N]."""
    kept: dict[Candidate, np.ndarray] = field(default_factory=dict)
    """Columns that were asked for."""

    @cached_property
    def slopes(self) -> Any:
        """C [N/m], scipy CSR, shape (m, d)."""
        return self.about.stiffness(self.law)

    @cached_property
    def _factor(self) -> Factor:
        from scipy.sparse import diags_array

        spread = np.where(self.about.gripped, self.force_noise**2, 0.0)
        C = self.slopes * self._spread
        return Factor.of(C @ C.T + diags_array(spread))

    @cached_property
    def _spread(self) -> np.ndarray:
        """Standard deviations of displacements [m], shape (d,)."""
        return np.where(self.about.sure, self.noise, UNSEEN * self.noise)

    @property
    def freedom(self) -> int:
        """How many rows tell of weights: the others only place nodes that were not seen."""
        return len(self._right) - int((~self.about.sure).sum())

    @cached_property
    def _right(self) -> np.ndarray:
        """(0, R̃) − C (ũ − u₀) [N], shape (m,)."""
        return self.about.loads - self.slopes @ self._gap

    @cached_property
    def _gap(self) -> np.ndarray:
        """ũ − u₀ [m], 0 where ũ was not seen, shape (d,)."""
        moved = (self.measured[1:] - self.about.motion.x[1:]).double()
        gap = moved[:, self.about.moving].flatten().cpu().numpy()
        return np.where(self.about.sure, gap, 0.0)

    @property
    def seen(self) -> np.ndarray:
        """See `Equations`; errors have a standard deviation of 1."""
        return self._seen

    @cached_property
    def _seen(self) -> np.ndarray:
        return self._factor.whitened(self._right)

    @property
    def groups(self) -> np.ndarray:
        """See `Equations`: the frame."""
        return self._groups

    @cached_property
    def _groups(self) -> np.ndarray:
        return self.about.frame[self._factor.order]

    def column(self, candidate: Candidate) -> np.ndarray:
        """See `Equations`."""
        if candidate not in self.kept:
            self.kept[candidate] = self._factor.whitened(self.about.rows(candidate))
        return self.kept[candidate]

    def prepare(self, parts: Sequence[Candidate]) -> None:
        """Compute several columns at once, which is faster."""
        new = [p for p in parts if p not in self.kept]
        if new:
            told = self._factor.whitened(np.stack([self.about.rows(p) for p in new], 1))
            self.kept.update(zip(new, told.T, strict=True))

    def corrected(self, chosen: Chosen) -> Tensor:
        """Positions in equilibrium, to first order, with given weights [m], (frames, n, 3)."""
        rows = np.zeros(len(self._right))
        for part, weight in zip(chosen.parts, chosen.weights, strict=True):
            rows += weight * self.about.rows(part)
        balance = self._factor.solved(rows - self._right)
        move = self._gap - self._spread**2 * (self.slopes.T @ balance)
        x = self.about.motion.x.double().clone()
        x[1:, self.about.moving] += torch.from_numpy(move).to(x).reshape(len(x) - 1, -1)
        return x


@dataclass(frozen=True, eq=False)
class Factor:
    """L of a sparse symmetric positive definite matrix, with its rows in an order of few fill."""

    lower: Any
    """With ones on the diagonal, scipy CSR."""
    root: np.ndarray
    """Roots of the pivots, shape (m,)."""
    order: np.ndarray
    """Rows of the matrix in the order of L, shape (m,)."""

    @classmethod
    def of(cls, matrix: Any) -> Factor:
        """Factorize.

        Raises:
            Unsettled: The matrix is not positive definite.
        """
        from scipy.sparse.linalg import splu

        options = {"SymmetricMode": True, "DiagPivotThresh": 0.0}
        found = None
        try:
            found = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options=options)
            pivots = found.U.diagonal()
        except RuntimeError:
            pivots = np.zeros(1)
        if found is None or not (pivots > 0.0).all() or (found.perm_r != found.perm_c).any():
            raise Unsettled(
                "the equilibrium of the free nodes does not determine their displacements under the"
                " law so far: it has no stiffness in some direction; add terms of the volume, or"
                " take a mesh of which more nodes were seen"
            )
        return cls(found.L.tocsr(), np.sqrt(pivots), np.argsort(found.perm_r))

    def whitened(self, rows: np.ndarray) -> np.ndarray:
        """L⁻¹ of rows, in the order of L, shape (m,) or (m, k)."""
        from scipy.sparse.linalg import spsolve_triangular

        found = spsolve_triangular(self.lower, rows[self.order], lower=True, unit_diagonal=True)
        return (found.T / self.root).T

    def solved(self, rows: np.ndarray) -> np.ndarray:
        """The inverse of the matrix applied to rows, shape (m,)."""
        from scipy.sparse.linalg import spsolve_triangular

        inner = self.whitened(rows) / self.root
        ordered = spsolve_triangular(self.lower.T.tocsr(), inner, lower=False, unit_diagonal=True)
        found = np.empty_like(ordered)
        found[self.order] = ordered
        return found
