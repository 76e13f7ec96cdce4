# SPDX-License-Identifier: Apache-2.0
"""Direct solution of cells by nested dissection, many matrices of one mesh at once.

The elements are halved again and again by planes. From the leaves up, each front gathers what its
elements or its two parts leave, eliminates the unknowns that nothing outside of it shares, and
hands the rest to the next level:

    A₁₁ = L Lᵀ,    X = L⁻¹ A₁₂,    A₂₂ − Xᵀ X  goes up

(George 1973, "Nested dissection of a regular finite element mesh"; Duff and Reid 1983, "The
multifrontal solution of indefinite sparse symmetric linear equations"). The fronts of a level are
dense matrices of one size, so that a level is a few batched calls on any device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

LEAF = 6
"""Elements of a leaf, about."""


class Level(NamedTuple):
    """Fronts that are eliminated together; unknowns that only fill up have the number `size`."""

    own: Tensor
    """Unknowns that are eliminated, shape (n, a), int64."""
    rim: Tensor
    """Unknowns shared with what is outside, shape (n, b), int64."""
    filled: Tensor
    """1 on the diagonal where `own` only fills up, shape (n, a, a)."""
    up: Tensor
    """Place of each pair of `rim` in the fronts of the next level, shape (n * b * b,), int64."""

    @property
    def numbers(self) -> int:
        """Of all its fronts, each of (a + b)²."""
        return len(self.own) * (self.own.shape[1] + self.rim.shape[1]) ** 2


@dataclass(frozen=True, eq=False)
class Dissection:
    """In which order the unknowns of a mesh are eliminated."""

    size: int
    """Unknowns."""
    levels: tuple[Level, ...]
    """From the leaves to the root."""
    slots: Tensor
    """Place of each pair of an element's unknowns in the leaves, shape (e * k * k,), int64."""

    def factor(self, matrices: Tensor) -> Factor:
        """Eliminate.

        Args:
            matrices: Of the elements, symmetric, shape (w, e, k, k).
        """
        worlds = len(matrices)
        sound = torch.ones(worlds, dtype=torch.bool, device=matrices.device)
        kept: list[tuple[Tensor, Tensor]] = []
        flat = matrices.new_zeros(worlds, self.levels[0].numbers + 1)
        flat.index_add_(1, self.slots, matrices.flatten(1))
        for number, level in enumerate(self.levels):
            n, a = level.own.shape
            whole = a + level.rim.shape[1]
            front = flat[:, :-1].view(worlds, n, whole, whole)
            L, failed = torch.linalg.cholesky_ex(front[..., :a, :a] + level.filled.to(front))
            sound &= (failed == 0).all(1)
            X = torch.linalg.solve_triangular(L, front[..., :a, a:], upper=False)
            kept.append((L, X))
            if number + 1 < len(self.levels):
                left = front[..., a:, a:] - X.mT @ X
                flat = matrices.new_zeros(worlds, self.levels[number + 1].numbers + 1)
                flat.index_add_(1, level.up, left.flatten(1))
        return Factor(self, tuple(kept), sound)


class Factor(NamedTuple):
    """Matrices that were eliminated."""

    order: Dissection
    levels: tuple[tuple[Tensor, Tensor], ...]
    """L and X of each level, shapes (w, n, a, a) and (w, n, a, b)."""
    sound: Tensor
    """Which of them are positive definite, shape (w,), bool; others have no solution here."""

    def pick(self, worlds: Tensor) -> Factor:
        """Those of some worlds, (k,)."""
        levels = tuple((L[worlds], X[worlds]) for L, X in self.levels)
        return Factor(self.order, levels, self.sound[worlds])

    def solve(self, b: Tensor) -> Tensor:
        """Solutions, of right-hand sides b, both of shape (w, size, m)."""
        worlds, _, several = b.shape
        x = torch.cat([b.mT, b.new_zeros(worlds, several, 1)], 2).flatten(0, 1)  # (w m, size + 1)

        def of(places: Tensor) -> Tensor:
            own = x.index_select(1, places.flatten())
            return own.view(worlds, several, *places.shape).transpose(1, 2)  # (w, n, m, ·)

        halves = []
        for level, (L, X) in zip(self.order.levels, self.levels, strict=True):
            y = torch.linalg.solve_triangular(L, of(level.own).mT, upper=False).mT
            halves.append(y)
            left = (-y @ X).transpose(1, 2).reshape(len(x), -1)
            x.index_add_(1, level.rim.flatten(), left)
        for level, (L, X), half in zip(
            reversed(self.order.levels), reversed(self.levels), reversed(halves), strict=True
        ):
            x[:, -1] = 0.0
            y = half - of(level.rim) @ X.mT
            own = torch.linalg.solve_triangular(L.mT, y.mT, upper=True)
            x[:, level.own.flatten()] = own.permute(0, 3, 1, 2).reshape(len(x), -1)
        return x.view(worlds, several, -1)[..., :-1].mT


def dissect(unknowns: Tensor, size: int, centres: Tensor) -> Dissection:
    """Order the unknowns of a mesh.

    Args:
        unknowns: Of each element, shape (e, k), int64; those held have the number `size`.
        size: Free unknowns.
        centres: Of the elements [m], shape (e, dim).
    """
    table = unknowns.cpu().numpy()
    depth = max(0, round(np.log2(len(table) / LEAF)))
    leaf = np.zeros(len(table), np.int64)
    _halve(np.arange(len(table)), depth, table, size, _directions(centres), leaf)
    least, most = np.full(size + 1, 2**depth), np.full(size + 1, -1)
    np.minimum.at(least, table, leaf[:, None])
    np.maximum.at(most, table, leaf[:, None])
    # the level on which the last front that has an unknown holds all of it
    final = np.full(size + 1, depth)
    apart = least != most
    while apart.any():
        final[apart] -= 1
        least[apart], most[apart] = least[apart] >> 1, most[apart] >> 1
        apart &= least != most
    fronts = [_fronts(table, leaf >> (depth - at), final, at, size) for at in range(depth, -1, -1)]
    levels = []
    for number, (own, rim, _) in enumerate(fronts):
        n, b = rim.shape
        up = np.zeros(0, np.int64)
        if number + 1 < len(fronts):
            parent = np.arange(n) // 2
            up = _pairs(fronts[number + 1], np.repeat(parent, b), rim.reshape(-1), b, size)
        filled = torch.diag_embed(torch.from_numpy((own == size).astype(float)))
        levels.append(Level(_put(own, unknowns), _put(rim, unknowns), filled.to(unknowns.device),
                            _put(up, unknowns)))  # fmt: skip
    slots = _pairs(fronts[0], np.repeat(leaf, table.shape[1]), table.reshape(-1),
                   table.shape[1], size)  # fmt: skip
    return Dissection(size, tuple(levels), _put(slots, unknowns))


def _put(numbers: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(numbers)).to(like.device)


def _directions(centres: Tensor) -> np.ndarray:
    """Coordinates along which elements are halved, shape (e, directions)."""
    x = centres.cpu().double().numpy()
    i, j = np.triu_indices(x.shape[1], 1)
    return np.concatenate([x, x[:, i] + x[:, j], x[:, i] - x[:, j]], 1)


def _halve(
    members: np.ndarray, depth: int, table: np.ndarray, size: int, along: np.ndarray,
    leaf: np.ndarray,
) -> None:  # fmt: skip
    """Number the leaves of some elements, by the halves that share the fewest unknowns."""
    if depth == 0:
        return
    middle, best, fewest = len(members) // 2, members, np.inf
    for direction in along.T:
        order = members[np.argsort(direction[members], kind="stable")]
        one, other = (np.zeros(size + 1, bool) for _ in range(2))
        one[table[order[:middle]]] = other[table[order[middle:]]] = True
        both = int((one & other)[:size].sum())
        if both < fewest:
            best, fewest = order, both
    leaf[best[middle:]] += 2 ** (depth - 1)
    _halve(best[:middle], depth - 1, table, size, along, leaf)
    _halve(best[middle:], depth - 1, table, size, along, leaf)


Fronts = tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]


def _fronts(
    table: np.ndarray, front: np.ndarray, final: np.ndarray, level: int, size: int
) -> Fronts:
    """Unknowns of the fronts (e,) of a level: own and rim; and where each pair of both is."""
    one = size + 1
    pairs = np.unique((front[:, None] * one + table).reshape(-1))
    pairs = pairs[pairs % one < size]
    place = np.full(len(pairs), -1)
    tables, before = [], 0
    for chosen in (final[pairs % one] == level, final[pairs % one] < level):
        own = pairs[chosen]
        counts = np.bincount(own // one, minlength=2**level)
        rank = np.arange(len(own)) - np.repeat(np.cumsum(counts) - counts, counts)
        filled = np.full((2**level, int(counts.max(initial=0))), size)
        filled[own // one, rank] = own % one
        place[chosen] = before + rank
        before += filled.shape[1]
        tables.append(filled)
    return tables[0], tables[1], (pairs, place)


def _pairs(
    fronts: Fronts, front: np.ndarray, unknown: np.ndarray, block: int, size: int
) -> np.ndarray:
    """Places in the fronts, row by row of all, of pairs of unknowns within blocks of them.

    Args:
        fronts: Of the level.
        front: Of each unknown, shape (n * block,).
        unknown: Shape (n * block,).
        block: Unknowns that make pairs with each other.
        size: Free unknowns.
    """
    own, rim, (pairs, place) = fronts
    whole = own.shape[1] + rim.shape[1]
    free = unknown < size
    found = np.zeros(len(unknown), np.int64)
    found[free] = place[np.searchsorted(pairs, front[free] * (size + 1) + unknown[free])]
    found, free, front = (t.reshape(-1, block) for t in (found, free, front))
    if not block:
        return np.zeros(0, np.int64)
    at = (front * whole + found)[:, :, None] * whole + found[:, None, :]
    at[~(free[:, :, None] & free[:, None, :])] = len(own) * whole * whole
    return at.reshape(-1)
