# SPDX-License-Identifier: Apache-2.0
"""The points at which a cell's laws are asked: all of its quadrature, or a few magic ones.

History of a point: for laws with a memory nine numbers of what flow has left, then the law's own.
They are F_elastic − F for small strains and F⁻¹ F_elastic for finite ones, so that a trial state
follows from a deformation alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw, Elasticity, Response

from ..fem.geometry import determinant, invert
from ..fem.piola import first_piola, piola_tangent

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Points:
    """Of a cell; worlds w are independent copies of them."""

    weight: Tensor
    """Volume that each stands for, by that of the box, shape (p,)."""
    laws: tuple[tuple[ConstitutiveLaw, Tensor], ...]
    """Each law with its points, shape (k,), int64."""
    small: bool
    """Whether strains are small."""
    columns: Pairs
    """Components (i, j) that deform."""
    rows: Pairs
    """Components of stress that are kept; `columns` come first."""

    def __len__(self) -> int:
        return len(self.weight)

    def pick(self, index: Tensor, weight: Tensor) -> Points:
        """Some of them, (m,), with weights of their own."""
        place = torch.full((len(self),), -1, dtype=torch.int64, device=index.device)
        place[index] = torch.arange(len(index), device=index.device)
        laws = ((law, place[own][place[own] >= 0]) for law, own in self.laws)
        return replace(self, weight=weight, laws=tuple((law, own) for law, own in laws if len(own)))

    @cached_property
    def row(self) -> Tensor:
        """Place of each of `rows` in nine numbers, shape (r,)."""
        numbers = [3 * i + j for i, j in self.rows]
        return torch.tensor(numbers, device=self.weight.device)

    @cached_property
    def column(self) -> Tensor:
        """Place of each of `columns` in nine numbers, shape (c,)."""
        return self.row[: len(self.columns)]

    @cached_property
    def placing(self) -> Tensor:
        """From components to nine numbers, shape (c, 9); shears of small strains are halved."""
        out = self.weight.new_zeros(len(self.columns), 9)
        for c, (i, j) in enumerate(self.columns):
            out[c, 3 * i + j] = 1.0
            if self.small and i != j:
                out[c, [3 * i + j, 3 * j + i]] = 0.5
        return out

    @cached_property
    def memory(self) -> int:
        """Numbers of history at a point; 0 where no law remembers."""
        if all(isinstance(law, Elasticity) and not law.n_internal for law, _ in self.laws):
            return 0
        return 9 + max(law.n_internal for law, _ in self.laws)

    @property
    def n_internal(self) -> int:
        """Numbers of history of a world."""
        return len(self) * self.memory

    def rest_internal(self, worlds: int, like: Tensor) -> Tensor:
        """History at rest, shape (w, n_internal)."""
        if not self.memory:
            return like.new_zeros(worlds, 0)
        rest = like.new_zeros(len(self), self.memory)
        if not self.small:
            rest[:, :9] = torch.eye(3).to(like).reshape(9)
        for law, index in self.laws:
            rest[index, 9 : 9 + law.n_internal] = law.rest_internal(len(index), like)
        return rest.reshape(1, -1).repeat(worlds, 1)

    def deformation(self, strain: Tensor, F_bar: Tensor) -> Tensor:
        """Deformation gradients (w, p, 3, 3) of components (w, p, c) beside a mean (w, 3, 3)."""
        return F_bar[:, None] + (strain @ self.placing).unflatten(2, (3, 3))

    def least(self, F: Tensor) -> Tensor:
        """Least det F of each world, shape (w,); 1 for small strains."""
        return F.new_ones(len(F)) if self.small else determinant(F).amin(1)

    def mean(self, values: Tensor) -> Tensor:
        """Over the box, of values at the points (w, p, ...)."""
        return torch.einsum("wp...,p->w...", values, self.weight)

    def respond(self, F: Tensor, internal: Tensor, dt: float) -> tuple[Tensor, Tensor]:
        """First Piola stresses (w, p, 3, 3) and history at the end; differentiable."""
        worlds = len(F)
        history = internal.reshape(worlds, len(self), self.memory)
        P, parts = torch.zeros_like(F), history
        for law, index in self.laws:
            flat, before = F[:, index].flatten(0, 1), history[:, index].flatten(0, 1)
            found = law.update(self._trial(flat, before), before[:, 9 : 9 + law.n_internal], dt)
            stress = found.tau if self.small else first_piola(flat, found.tau)
            P = P.index_copy(1, index, stress.unflatten(0, (worlds, -1)))
            if self.memory:
                kept = self._kept(flat, before, found)
                parts = parts.index_copy(1, index, kept.unflatten(0, (worlds, -1)))
        return P, parts.flatten(1)

    def linearize(self, F: Tensor, internal: Tensor, dt: float) -> tuple[Tensor, Tensor, Tensor]:
        """As `respond`, and the tangent by components (w, p, r, c); without a graph."""
        worlds = len(F)
        history = internal.reshape(worlds, len(self), self.memory)
        P, parts = torch.empty_like(F), torch.empty_like(history)
        A = F.new_empty(worlds, len(self), len(self.row), len(self.column))
        for law, index in self.laws:
            flat, before = F[:, index].flatten(0, 1), history[:, index].flatten(0, 1)
            trial = self._trial(flat, before)
            found, D = law.linearize(trial, before[:, 9 : 9 + law.n_internal], dt)
            stress = found.tau
            if not self.small:
                if self.memory:
                    G = before[:, :9].unflatten(1, (3, 3))
                    D = torch.einsum("pijmn,pkn->pijmk", D, G)
                D, stress = piola_tangent(flat, found.tau, D), first_piola(flat, found.tau)
            P[:, index] = stress.unflatten(0, (worlds, -1))
            D = D.reshape(-1, 9, 9)[:, self.row[:, None], self.column]
            A[:, index] = D.unflatten(0, (worlds, -1))
            if self.memory:
                parts[:, index] = self._kept(flat, before, found).unflatten(0, (worlds, -1))
        return P, parts.flatten(1), A

    def full(self, C: Tensor) -> Tensor:
        """Tangents by components (..., r, c) as (..., 3, 3, 3, 3)."""
        out = C.new_zeros(*C.shape[:-2], 3, 3, 3, 3)
        for r, (i, j) in enumerate(self.rows):
            for c, (k, m) in enumerate(self.columns):
                entry = C[..., r, c]
                out[..., i, j, k, m] = entry
                if self.small:
                    out[..., j, i, k, m] = out[..., i, j, m, k] = out[..., j, i, m, k] = entry
        return out

    def _trial(self, F: Tensor, before: Tensor) -> Tensor:
        """Elastic deformation gradients if nothing flows."""
        if not self.memory:
            return F
        G = before[:, :9].unflatten(1, (3, 3))
        return F + G if self.small else F @ G

    def _kept(self, F: Tensor, before: Tensor, found: Response) -> Tensor:
        """History of points at the end."""
        G = found.F_elastic - F if self.small else invert(F)[1] @ found.F_elastic
        own = found.internal
        return torch.cat([G.flatten(1), own, before[:, 9 + own.shape[1] :]], 1)
