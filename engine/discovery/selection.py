# SPDX-License-Identifier: Apache-2.0
"""Terms of a library, their weights, and their numbers once they are chosen.

Subsets of the columns of all candidates are ranked by engine/subsets.py; the exponents, limits and
rates of a few of them are then moved to where the residual is least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..subsets import Problem, Search, positive
from .library import Candidate

MOST = 12_000
"""Subsets of one size that are all tried."""
WIDTH = 250
"""Best subsets that are extended."""
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
    problem: Problem
    """A column for each of them."""

    @classmethod
    def of(cls, equations: Equations, parts: Sequence[Candidate]) -> Columns:
        """Of all rows; a column that is not finite or nothing is left out."""
        found = [(p, equations.column(p)) for p in parts]
        kept = [(p, a) for p, a in found if np.isfinite(a).all() and np.linalg.norm(a) > 0.0]
        terms = tuple(p.term for p, _ in kept)
        A = np.stack([a for _, a in kept], 1)
        problem = Problem(A, equations.seen, terms, tuple(t.most for t in terms))
        return cls(tuple(p for p, _ in kept), problem)

    def rows(self, chosen: np.ndarray) -> Columns:
        """The same on fewer rows, or on rows that repeat."""
        return replace(self, problem=self.problem.rows(chosen))

    def best(self, sizes: int, keep: int) -> list[np.ndarray]:
        """The best subsets of 1 to `sizes` columns, a row each, the best first, (<= keep, k)."""
        found = self.problem.best(Search(sizes, WIDTH, exhaustive=MOST))
        return [order[:keep] for order in found]


def solved(equations: Equations, parts: Sequence[Candidate], rows: np.ndarray | None) -> Chosen:
    """Weights of given terms by non-negative least squares on some rows, all if None."""
    A = np.stack([equations.column(p) for p in parts], 1)
    y = equations.seen
    if rows is not None:
        A, y = A[rows], y[rows]
    if not (np.isfinite(A).all() and (np.linalg.norm(A, axis=0) > 0.0).all()):
        return Chosen(tuple(parts), np.zeros(len(parts)), float("inf"))
    return Chosen(tuple(parts), *positive(A, y))


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
