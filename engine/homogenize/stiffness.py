# SPDX-License-Identifier: Apache-2.0
"""Stiffness matrices of a cell in several worlds, and their solution.

Symmetric ones are factored by nested dissection, all worlds at once. The factor of an earlier
matrix serves as long as conjugate gradients need it a few times only: near the solution the matrix
hardly changes. Others go to SuperLU, one by one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from ..fem.linear import on_one_thread
from ..fem.newton import NewtonFailure
from .dissection import Factor
from .layout import Layout

MOST = 5
"""Iterations with the factor of an earlier matrix; a new factor costs about as much."""
ON_THE_DIAGONAL = {"SymmetricMode": True, "DiagPivotThresh": 0.01}
"""Of SuperLU: the structure is symmetric even where the numbers are not."""

Solve = Callable[..., Tensor]
"""Of right-hand sides (size, k) the solutions, or those of the transpose if `transposed`."""


class System(ABC):
    """Matrices of several worlds."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of worlds."""

    @abstractmethod
    def pick(self, worlds: Tensor) -> Self:
        """Those of some worlds, (k,)."""

    @abstractmethod
    def solve(self, b: Tensor, rtol: float | Tensor = 0.0, transposed: bool = False) -> Tensor:
        """The solution x of K x = b, both of shape (w, size, m).

        Args:
            b: Right-hand sides.
            rtol: Norm of the residual by that of b that an iteration may leave: one for all, or of
                each world, shape (w,).
            transposed: Whether with the transpose of K.

        Raises:
            NewtonFailure: A matrix is singular.
        """

    @abstractmethod
    def product(self, x: Tensor) -> Tensor:
        """K x, both of shape (w, size, m)."""


class Stiffness(System):
    """Matrices of one cell under several deformations."""

    def __init__(
        self, layout: Layout, matrices: Tensor, symmetric: bool, kept: Factor | None = None
    ) -> None:
        """Prepare; nothing is factored before a solve.

        Args:
            layout: The cell.
            matrices: Of the elements, shape (w, e, k, k).
            symmetric: Whether they are.
            kept: Factors of earlier matrices of the same worlds, to be tried first.
        """
        self.layout, self.matrices, self.symmetric = layout, matrices, symmetric
        self.kept = kept
        self.singles: list[Solve] = []

    def __len__(self) -> int:
        """See `System`."""
        return len(self.matrices)

    def pick(self, worlds: Tensor) -> Stiffness:
        """See `System.pick`."""
        kept = None if self.kept is None else self.kept.pick(worlds)
        return Stiffness(self.layout, self.matrices[worlds], self.symmetric, kept)

    def solve(self, b: Tensor, rtol: float | Tensor = 0.0, transposed: bool = False) -> Tensor:
        """See `System.solve`."""
        if self.kept is not None and not self.singles:
            x = self._iterate(b, rtol)
            if x is not None:
                return x
            self.kept = None
        if self.symmetric and not self.singles:
            factor = self.layout.dissection.factor(self.matrices)
            if bool(factor.sound.all()):
                self.kept = factor
                return factor.solve(b)
        if not self.singles:
            self.singles = [lu(self.layout, own) for own in self.matrices]
        return torch.stack([f(own, transposed) for f, own in zip(self.singles, b, strict=True)])

    def _iterate(self, b: Tensor, rtol: float | Tensor) -> Tensor | None:
        """Conjugate gradients with the kept factor, each column by itself; None if too slow."""
        assert self.kept is not None
        tiny = torch.finfo(b.dtype).tiny
        share = torch.as_tensor(rtol).to(b).reshape(-1, 1)
        whole = b.norm(dim=1)
        x, r = torch.zeros_like(b), b
        z = p = self.kept.solve(r)
        along = (r * z).sum(1, keepdim=True)
        for count in range(1, MOST + 1):
            moved = self.product(p)
            curvature = (p * moved).sum(1, keepdim=True)
            if not bool((curvature >= 0).all()):
                return None
            step = along / curvature.clamp_min(tiny)
            x, r = x + step * p, r - step * moved
            left = r.norm(dim=1) / whole.clamp_min(tiny)
            if bool((left <= share).all()):
                return x
            if bool((left ** (MOST / count) > share).any()):  # at this pace it takes too many
                return None
            z = self.kept.solve(r)
            before, along = along, (r * z).sum(1, keepdim=True)
            p = z + along / before.clamp_min(tiny) * p
        return None

    def product(self, x: Tensor) -> Tensor:
        """See `System.product`."""
        worlds, _, several = x.shape
        own = self.layout.unknowns
        padded = torch.cat([x.mT, x.new_zeros(worlds, several, 1)], 2).flatten(0, 1)
        each = padded.index_select(1, own.flatten()).view(worlds, several, *own.shape)
        moved = (each.transpose(1, 2) @ self.matrices.mT).transpose(1, 2)  # (w, m, e, k)
        out = torch.zeros_like(padded)
        out.index_add_(1, own.flatten(), moved.reshape(len(padded), -1))
        return out.view(worlds, several, -1)[..., :-1].mT


@on_one_thread
def lu(layout: Layout, matrices: Tensor) -> Solve:
    """What solves with the matrix of one world, of its elements (e, k, k).

    Raises:
        NewtonFailure: It is singular.
    """
    from scipy.sparse.linalg import splu

    structure = layout.sparse
    values = matrices.new_zeros(structure.count + 1)
    values = values.index_add(0, structure.slots.reshape(-1), matrices.reshape(-1))[:-1]
    try:
        found = splu(structure.matrix(values), permc_spec="MMD_AT_PLUS_A", options=ON_THE_DIAGONAL)
    except RuntimeError as error:
        raise NewtonFailure("the stiffness matrix of a cell is singular") from error

    @on_one_thread
    def solve(b: Tensor, transposed: bool = False) -> Tensor:
        x = found.solve(b.cpu().double().numpy(), "T" if transposed else "N")
        return torch.from_numpy(x).to(b)

    return solve
