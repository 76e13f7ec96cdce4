# SPDX-License-Identifier: Apache-2.0
"""Which few columns of a linear least-squares problem tell it best, with weights above 0.

    min |A w − y|²  over w > 0 and the columns of A that are taken

The best subsets of each size (Bertsimas, King and Mazumder 2016): all of a size as long as there
are few, from then on those that extend the best ones of the size before. A subset is solved by its
normal equations, many at once, and left out if a weight is not above 0: then a smaller one does as
well. That ranks them; `positive` solves one to rounding, by non-negative least squares (Lawson and
Hanson 1974). How many columns to take, and which of the near-best, is for a criterion to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from math import comb

import numpy as np

RIDGE = 1e-14
"""Of the normal equations of columns of length 1."""


@dataclass(frozen=True)
class Search:
    """How much is tried."""

    sizes: int
    """Most columns of a subset."""
    width: int
    """Best subsets of a size that are extended."""
    exhaustive: int = 0
    """Subsets of a size that are all tried, if there are no more; else extensions alone."""
    alike: int | None = None
    """Of those that are extended, most of the same kinds; None: as many as there are."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Columns to choose from; see the module."""

    A: np.ndarray
    """Finite, shape (m, p)."""
    y: np.ndarray
    """Right-hand side, in the unit of A w, shape (m,)."""
    kinds: tuple[Hashable, ...]
    """Of each column, length p."""
    most: tuple[int, ...]
    """Columns of the same kind that a subset may have, by column, length p."""

    def rows(self, chosen: np.ndarray) -> Problem:
        """The same problem on fewer rows, or on rows that repeat."""
        return replace(self, A=self.A[chosen], y=self.y[chosen])

    def best(self, search: Search) -> list[np.ndarray]:
        """Subsets of 1, 2, ... columns that were tried, the least residual first.

        Of each size the numbers of the columns, ascending, shape (n, size), int.
        """
        found: list[np.ndarray] = []
        order = np.zeros((1, 0), dtype=np.int64)
        for size in range(1, search.sizes + 1):
            everything = comb(len(self.kinds), size) <= search.exhaustive
            tried = self._all(size) if everything else self._extended(self._kept(order, search))
            tried = tried[self._allowed(tried)]
            rss = self._rss(tried)
            tried = tried[np.isfinite(rss)]
            order = tried[np.argsort(rss[np.isfinite(rss)], kind="stable")]
            found.append(order)
        return found

    def solved(self, columns: np.ndarray) -> tuple[np.ndarray, float]:
        """See `positive`, of the columns of these numbers."""
        return positive(self.A[:, columns], self.y)

    @cached_property
    def _kind(self) -> np.ndarray:
        """Of each column, as a number from 0 on, shape (p,)."""
        numbers = {kind: k for k, kind in enumerate(dict.fromkeys(self.kinds))}
        return np.array([numbers[kind] for kind in self.kinds])

    @cached_property
    def _scaled(self) -> tuple[np.ndarray, np.ndarray]:
        """Gram matrix and right-hand side of columns and a y of length 1."""
        size = np.linalg.norm(self.A, axis=0)
        A = self.A / np.where(size > 0.0, size, 1.0)
        y = self.y / max(np.linalg.norm(self.y), 1e-300)
        return A.T @ A, A.T @ y

    def _all(self, size: int) -> np.ndarray:
        return np.array(list(combinations(range(len(self.kinds)), size)), dtype=np.int64)

    def _extended(self, order: np.ndarray) -> np.ndarray:
        p = len(self.kinds)
        more = np.tile(np.arange(p), len(order))[:, None]
        both = np.sort(np.concatenate([np.repeat(order, p, 0), more], 1), 1)
        return np.unique(both[(np.diff(both, axis=1) > 0).all(1)], axis=0)

    def _kept(self, order: np.ndarray, search: Search) -> np.ndarray:
        """Those that are extended."""
        if search.alike is None:
            return order[: search.width]
        seen: Counter[bytes] = Counter()
        kept = np.zeros(len(order), dtype=bool)
        for k, kinds in enumerate(np.sort(self._kind[order], 1)):
            seen[kinds.tobytes()] += 1
            kept[k] = seen[kinds.tobytes()] <= search.alike
        return order[kept][: search.width]

    def _allowed(self, tried: np.ndarray) -> np.ndarray:
        kind = self._kind[tried]
        alike = (kind[:, :, None] == kind[:, None, :]).sum(2)
        return (alike <= np.array(self.most)[tried]).all(1)

    def _rss(self, tried: np.ndarray) -> np.ndarray:
        """Relative to |y|², inf where a weight is not above 0, shape (n,)."""
        G, b = self._scaled
        inner = G[tried[:, :, None], tried[:, None, :]] + RIDGE * np.eye(tried.shape[1])
        right = b[tried]
        weights = np.linalg.solve(inner, right[..., None])[..., 0]
        energy = np.einsum("ni,nij,nj->n", weights, inner, weights)
        rss = 1.0 - 2 * (weights * right).sum(1) + energy
        return np.where((weights > 0.0).all(1), rss, np.inf)


def positive(A: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights >= 0 of given columns, shape (k,), and the sum of squared residuals.

    Args:
        A: Finite columns other than 0, shape (m, k).
        y: Right-hand side, shape (m,).
    """
    from scipy.optimize import nnls

    size = np.linalg.norm(A, axis=0)
    weights, norm = nnls(A / size, y)
    return weights / size, float(norm) ** 2
