# SPDX-License-Identifier: Apache-2.0
"""Which few columns of a linear least-squares problem tell it best, with weights >= 0.

The best subset of each size (Bertsimas, King and Mazumder 2016): all subsets as long as there are
few, from then on those that extend the best ones of the size before. A subset is solved by its
normal equations, many at once, and left out if a weight is negative: then a smaller one does as
well. Columns that were refined are solved by non-negative least squares (Lawson and Hanson 1974).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from math import comb
from typing import Protocol

import numpy as np

from .library import Candidate, Term

MOST = 12_000
"""Subsets of one size that are all tried."""
WIDTH = 250
"""Best subsets that are extended."""
RIDGE = 1e-14
"""Of the normal equations of columns of length 1."""
EDGE = 1e-3
"""A logarithm of a number no closer to its bound is inside."""


class Equations(Protocol):
    """A least-squares problem that is linear in the weights of terms."""

    @property
    def seen(self) -> np.ndarray:
        """Right-hand side [-], shape (m,)."""
        ...

    @property
    def groups(self) -> np.ndarray:
        """To which curve or frame a row belongs, shape (m,), int."""
        ...

    def column(self, candidate: Candidate) -> np.ndarray:
        """What a weight of 1 Pa gives, shape (m,)."""
        ...


@dataclass(frozen=True)
class Chosen:
    """Terms with their numbers and weights."""

    parts: tuple[Candidate, ...]
    weights: np.ndarray
    """[Pa], shape (k,)."""
    rss: float
    """Sum of squared residuals [-]."""

    @property
    def numbers(self) -> int:
        """How many were fitted: weights, and exponents, limits and rates."""
        return len(self.parts) + sum(p.number is not None for p in self.parts)

    @property
    def at_an_end(self) -> bool:
        """Whether a number was refined to the end of its range, or a weight to 0."""
        for part, weight in zip(self.parts, self.weights, strict=True):
            if not weight > 0.0:
                return True
            if part.number is not None:
                ends = part.term.bounds(part.number)
                if any(abs(np.log(part.number / end)) < EDGE for end in ends):
                    return True
        return False

    @property
    def signature(self) -> tuple[str, ...]:
        """Names of the terms, sorted."""
        return tuple(sorted(p.term.name for p in self.parts))


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of all candidates on some rows."""

    parts: tuple[Candidate, ...]
    A: np.ndarray
    """Shape (m, p)."""
    y: np.ndarray
    """Shape (m,)."""

    @classmethod
    def of(cls, equations: Equations, parts: Sequence[Candidate]) -> Columns:
        """Of all rows; a column that is not finite or nothing is left out."""
        found = [(p, equations.column(p)) for p in parts]
        kept = [(p, a) for p, a in found if np.isfinite(a).all() and np.linalg.norm(a) > 0.0]
        A = np.stack([a for _, a in kept], 1)
        return cls(tuple(p for p, _ in kept), A, equations.seen)

    def rows(self, chosen: np.ndarray) -> Columns:
        """The same problem on fewer rows, or on rows that repeat."""
        return replace(self, A=self.A[chosen], y=self.y[chosen])

    @cached_property
    def scaled(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gram matrix and right-hand side of columns of length 1, and their lengths."""
        size = np.linalg.norm(self.A, axis=0)
        size = np.where(size > 0.0, size, 1.0)
        A = self.A / size
        y = self.y / max(np.linalg.norm(self.y), 1e-300)
        return A.T @ A, A.T @ y, size

    def best(self, sizes: int, keep: int) -> list[np.ndarray]:
        """The best subsets of 1 to `sizes` columns, a row each, the best first, (<= keep, k)."""
        found: list[np.ndarray] = []
        order = np.zeros((1, 0), dtype=np.int64)
        for k in range(1, sizes + 1):
            everything = comb(len(self.parts), k) <= MOST
            tried = self._all(k) if everything else self._extended(order)
            tried = tried[self._allowed(tried)]
            rss = self._rss(tried)
            tried = tried[np.isfinite(rss)]
            order = tried[np.argsort(rss[np.isfinite(rss)], kind="stable")]
            found.append(order[:keep])
            order = order[:WIDTH]
        return found

    def _all(self, k: int) -> np.ndarray:
        return np.array(list(combinations(range(len(self.parts)), k)), dtype=np.int64)

    def _extended(self, order: np.ndarray) -> np.ndarray:
        p = len(self.parts)
        more = np.tile(np.arange(p), len(order))[:, None]
        both = np.concatenate([np.repeat(order, p, 0), more], 1)
        both = np.sort(both, 1)
        return np.unique(both[(np.diff(both, axis=1) > 0).all(1)], axis=0)

    def _allowed(self, tried: np.ndarray) -> np.ndarray:
        kinds: list[Term] = list(dict.fromkeys(p.term for p in self.parts))
        kind = np.array([kinds.index(p.term) for p in self.parts])
        counts = (kind[tried][..., None] == np.arange(len(kinds))).sum(1)
        return (counts <= np.array([t.most for t in kinds])).all(1)

    def _rss(self, tried: np.ndarray) -> np.ndarray:
        """Relative to |y|², inf where a weight is not positive."""
        G, b, _ = self.scaled
        k = tried.shape[1]
        inner = G[tried[:, :, None], tried[:, None, :]] + RIDGE * np.eye(k)
        right = b[tried]
        weights = np.linalg.solve(inner, right[..., None])[..., 0]
        energy = np.einsum("ni,nij,nj->n", weights, inner, weights)
        rss = 1.0 - 2 * (weights * right).sum(1) + energy
        return np.where((weights > 0.0).all(1), rss, np.inf)


def solved(equations: Equations, parts: Sequence[Candidate], rows: np.ndarray | None) -> Chosen:
    """Weights of given terms by non-negative least squares on some rows, all if None."""
    from scipy.optimize import nnls

    A = np.stack([equations.column(p) for p in parts], 1)
    y = equations.seen
    if rows is not None:
        A, y = A[rows], y[rows]
    size = np.linalg.norm(A, axis=0)
    if not np.isfinite(A).all() or not (size > 0.0).all():
        return Chosen(tuple(parts), np.zeros(len(parts)), float("inf"))
    weights, norm = nnls(A / size, y)
    return Chosen(tuple(parts), weights / size, float(norm) ** 2)


def refined(
    equations: Equations, parts: Sequence[Candidate], rows: np.ndarray | None = None,
    *, exact: bool = True,
) -> Chosen:  # fmt: skip
    """The same terms with their numbers moved to where the residual is least.

    `exact` to rounding, else in a few steps. Weights are eliminated from the search (variable
    projection, Golub and Pereyra 1973).
    """
    from scipy.optimize import least_squares

    free = [k for k, p in enumerate(parts) if p.number is not None]
    if not free:
        return solved(equations, parts, rows)
    given = np.array([parts[k].number for k in free], dtype=np.float64)
    signs = np.sign(given)
    bounds = [parts[k].term.bounds(number) for k, number in zip(free, given.tolist(), strict=True)]
    ends = np.sort(np.log(np.abs(bounds)), axis=1)

    def placed(z: np.ndarray) -> list[Candidate]:
        moved = list(parts)
        for k, number in zip(free, signs * np.exp(z), strict=True):
            moved[k] = moved[k]._replace(number=float(number))
        return moved

    def residual(z: np.ndarray) -> np.ndarray:
        found = solved(equations, placed(z), rows)
        A = np.stack([equations.column(p) for p in found.parts], 1)
        gap = A @ found.weights - equations.seen
        gap = gap if rows is None else gap[rows]
        return np.where(np.isfinite(gap), gap, 1e3)

    start = np.clip(np.log(np.abs(given)), ends[:, 0] + EDGE * 0.1, ends[:, 1] - EDGE * 0.1)
    found = least_squares(
        residual, start, bounds=(ends[:, 0], ends[:, 1]), xtol=1e-12 if exact else 1e-5,
        ftol=1e-12 if exact else 1e-5, gtol=1e-14, x_scale=0.1, max_nfev=60 if exact else 12,
    )  # fmt: skip
    return solved(equations, placed(found.x), rows)
