# SPDX-License-Identifier: Apache-2.0
"""A sparse energy of measurements: the best few terms of a library, and how surely they are these.

For each number of terms the best subset is searched for (engine/subsets.py), its exponents, limits
and rates are refined, and among the near-best ones (but for those with a number at the end of its
range: limits of simpler terms) that of the least extended Bayesian information
criterion is kept (Chen and Chen 2008),

    EBIC = m log(RSS/m) + n log m + 2 Σ log(choices),

which asks more of a term that was chosen among many and had a number to adjust. The size is then
that of the least EBIC, or, if that is smaller, the smallest one whose cross-validated error is
within one standard error of the least (Breiman et al. 1984). Folds hold back every fifth point of
each curve, and choose their terms anew; leaving out a loading at a time is told beside it.

Weights get a covariance s² (JᵀJ)⁻¹ for the chosen terms, enlarged for residuals that go together
along a curve; how often terms come back when the points are drawn anew with replacement (bootstrap)
says what that covariance does not: whether they are the right ones. Sparse regression on a library
of energies is EUCLID's idea (Flaschel, Kumar and De Lorenzis 2021; Marino, Flaschel, Kumar and De
Lorenzis 2023), with an exact search in place of their l_p penalty.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .library import Candidate
from .selection import Chosen, Columns, Equations, refined

FOLDS = 5
NEAR = 20
"""Near-best subsets of a size that are refined."""
NEAR_IN_FOLD = 2
EXACT = 1e-6
"""Root mean square residual, relative to the right-hand side's, below which none is told."""
DRAWS = 60
"""Of the bootstrap."""
DIFFERENCE = 1e-5
Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class Step:
    """The best formula of one size."""

    chosen: Chosen
    error: float
    """Root mean square residual, relative to that of the data [-]."""
    ebic: float
    within: float
    """Root mean square error of points that were held back, relative to that of the data [-].

    NaN if none were.
    """
    spread: float
    """Standard error of its square."""
    left_out: float
    """The same where whole loadings were held back; NaN if there is one only."""


@dataclass(frozen=True, eq=False)
class Discovery:
    """What came out."""

    path: tuple[Step, ...]
    """By number of terms, from 1 on."""
    size: int
    """How many terms were taken."""
    std: np.ndarray
    """Standard deviations of the weights [Pa], then of the numbers of terms [-], shape (n,)."""
    covariance: np.ndarray
    """Of the same, shape (n, n)."""
    inclusion: dict[str, float]
    """How often terms, by name, came back in the bootstrap [-], the most frequent first."""
    library: int
    """How many candidates there were."""

    @property
    def chosen(self) -> Chosen:
        """The terms that were taken."""
        return self.path[self.size - 1].chosen


def discover(
    equations: Equations, parts: Sequence[Candidate], *, most: int = 4, noise: float | None = None,
    seed: int = 0, draws: int = DRAWS, hold_back: bool = True,
    tell: Tell = lambda what, share: None,
) -> Discovery:  # fmt: skip
    """Find a formula.

    Args:
        equations: What was measured.
        parts: The library.
        most: Largest number of terms, 1 or more.
        noise: Standard deviation of a row in the equations' units, if it is known.
        seed: Of the bootstrap.
        draws: Of the bootstrap.
        hold_back: Whether to hold back points and loadings, too. Where the errors of rows are known
            to be independent the criterion alone says how many terms there are.
        tell: Is told what is done and which share of all.

    Raises:
        ValueError: Nothing was measured, or no term goes with it.
    """
    y = equations.seen
    if not np.isfinite(y).all():
        raise ValueError("a measured value is not finite, expected numbers: leave that point out")
    if most < 1:
        raise ValueError(f"got {most} terms at most, expected 1 or more")
    columns = Columns.of(equations, parts)
    most = min(most, len(columns.parts), max(1, (len(y) - 2) // 3))
    prices = prices_of(columns.parts)
    tell("the best terms", 0.0)
    found = ladder(equations, columns, None, most, prices, noise, NEAR)
    if not found:
        raise ValueError(
            "no term of the library goes with what was measured with a weight above 0: check the"
            " signs of stresses or forces"
        )
    unknown = [math.nan] * len(found)
    within, spread, left = unknown, unknown, unknown
    if hold_back:
        within, spread = _within(equations, columns, len(found), prices, noise, tell)
        left = _left_out(equations, columns, len(found), prices, noise, tell)
    floor = _floor(y)
    path = tuple(
        Step(c, _error(c, y), ebic(c, len(y), prices, noise, floor), *errors)
        for c, *errors in zip(found, within, spread, left, strict=True)
    )
    size = chosen_size(path)
    covariance = _covariance(equations, path[size - 1].chosen, noise)
    inclusion = inclusion_of(equations, columns, size, draws, seed, tell)
    tell("done", 1.0)
    return Discovery(
        path, size, np.sqrt(np.diag(covariance)), covariance, inclusion, len(columns.parts)
    )


def chosen_size(path: Sequence[Step]) -> int:
    """See the module."""
    by_criterion = 1 + int(np.argmin([step.ebic for step in path]))
    if math.isnan(path[0].within):
        return by_criterion
    errors = [max(step.within, EXACT) ** 2 for step in path]
    least = int(np.argmin(errors))
    near = [k for k, e in enumerate(errors, 1) if e <= errors[least] + path[least].spread]
    return min(by_criterion, near[0])


def prices_of(parts: Sequence[Candidate]) -> dict[str, float]:
    """2 log(choices) of a term, by name: the kinds of terms, and the grid of its number."""
    kinds = dict.fromkeys(p.term for p in parts)
    return {t.name: 2 * math.log(len(kinds)) + 2 * math.log(max(len(t.grid), 1)) for t in kinds}


def ebic(
    chosen: Chosen, rows: int, prices: dict[str, float], noise: float | None, floor: float
) -> float:
    """The criterion of the module; of known noise RSS/noise² in place of the logarithm."""
    price = chosen.numbers * math.log(rows) + sum(prices[p.term.name] for p in chosen.parts)
    if not math.isfinite(chosen.rss):
        return math.inf
    if noise is not None:
        return chosen.rss / noise**2 + price
    return rows * math.log(max(chosen.rss / rows, floor)) + price


def ladder(
    equations: Equations, columns: Columns, rows: np.ndarray | None, most: int,
    prices: dict[str, float], noise: float | None, near: int,
) -> list[Chosen]:  # fmt: skip
    """The best refined subset of each size on some rows."""
    part = columns if rows is None else columns.rows(rows)
    floor = _floor(part.problem.y)
    found: list[Chosen] = []
    for order in part.best(most, 40 * near):
        tried: dict[tuple[str, ...], int] = Counter()
        rivals = []
        for subset in order:
            parts = tuple(columns.parts[i] for i in subset)
            signature = tuple(sorted(p.term.name for p in parts))
            tried[signature] += 1
            if tried[signature] > 1 or len(tried) > near:
                continue
            rivals.append(refined(equations, parts, rows, exact=False))
        rivals = [c for c in rivals if not c.at_an_end] or rivals
        if not rivals:
            break
        best = min(rivals, key=lambda c: ebic(c, len(part.problem.y), prices, noise, floor))
        found.append(refined(equations, best.parts, rows))
    return found


def _floor(y: np.ndarray) -> float:
    return max(EXACT**2 * float(np.mean(y**2)), 1e-300)


def _error(chosen: Chosen, y: np.ndarray) -> float:
    return math.sqrt(chosen.rss / max(float((y**2).sum()), 1e-300))


def _held_back(equations: Equations, chosen: Chosen, rows: np.ndarray) -> np.ndarray:
    """Squared errors on rows, relative to the mean square of all."""
    A = np.stack([equations.column(p) for p in chosen.parts], 1)[rows]
    y = equations.seen
    error = A @ chosen.weights - y[rows]
    return np.where(np.isfinite(error), error, 1e3) ** 2 / np.mean(y**2)


def _within(
    equations: Equations, columns: Columns, sizes: int, prices: dict[str, float],
    noise: float | None, tell: Tell,
) -> tuple[list[float], list[float]]:  # fmt: skip
    """Error of points held back by size, and the standard error of its square over the folds."""
    groups = equations.groups
    place = np.zeros(len(groups), dtype=np.int64)
    for g in np.unique(groups):
        place[groups == g] = np.arange((groups == g).sum())
    means: list[list[float]] = [[] for _ in range(sizes)]
    for fold in range(FOLDS):
        tell("points held back", 0.15 + 0.1 * fold)
        held = np.nonzero((place + groups) % FOLDS == fold)[0]
        rest = np.setdiff1d(np.arange(len(groups)), held)
        if not len(held):
            continue
        found = ladder(equations, columns, rest, sizes, prices, noise, NEAR_IN_FOLD)
        for k in range(sizes):
            one = found[min(k, len(found) - 1)]
            means[k].append(float(_held_back(equations, one, held).mean()))
    errors = [math.sqrt(float(np.mean(m))) for m in means]
    return errors, [float(np.std(m, ddof=1) / math.sqrt(len(m))) for m in means]


def _left_out(
    equations: Equations, columns: Columns, sizes: int, prices: dict[str, float],
    noise: float | None, tell: Tell,
) -> list[float]:  # fmt: skip
    """Error of loadings held back, one at a time, by size."""
    groups = equations.groups
    kinds = np.unique(groups)
    if not 2 <= len(kinds) <= FOLDS:
        return [math.nan] * sizes
    squares: list[list[float]] = [[] for _ in range(sizes)]
    for n, g in enumerate(kinds):
        tell("loadings held back", 0.65 + 0.2 * n / len(kinds))
        held, rest = np.nonzero(groups == g)[0], np.nonzero(groups != g)[0]
        found = ladder(equations, columns, rest, sizes, prices, noise, NEAR_IN_FOLD)
        for k in range(sizes):
            one = found[min(k, len(found) - 1)]
            squares[k].extend(_held_back(equations, one, held).tolist())
    return [math.sqrt(float(np.mean(s))) for s in squares]


def jacobian(equations: Equations, chosen: Chosen) -> np.ndarray:
    """Derivatives of the rows by weights, then by the numbers of terms, shape (m, n)."""
    found = [equations.column(p) for p in chosen.parts]
    for part, weight in zip(chosen.parts, chosen.weights, strict=True):
        if part.number is None:
            continue
        h = DIFFERENCE * abs(part.number)
        up, down = (part._replace(number=part.number + s * h) for s in (1, -1))
        found.append(weight * (equations.column(up) - equations.column(down)) / (2 * h))
    return np.stack(found, 1)


def _covariance(equations: Equations, chosen: Chosen, noise: float | None) -> np.ndarray:
    J = jacobian(equations, chosen)
    A = np.stack([equations.column(p) for p in chosen.parts], 1)
    residual = A @ chosen.weights - equations.seen
    m, n = J.shape
    variance = noise**2 if noise is not None else chosen.rss / max(m - n, 1)
    variance *= inflation(residual, equations.groups)
    size = np.linalg.norm(J, axis=0)
    size = np.where(size > 0, size, 1.0)
    inner = np.linalg.pinv((J / size).T @ (J / size), rcond=1e-14, hermitian=True)
    return variance * inner / np.outer(size, size)


def inflation(residual: np.ndarray, groups: np.ndarray) -> float:
    """Factor of a variance for residuals that go together along a curve, 1 or more.

    (1 + ρ)/(1 − ρ) of their correlation ρ from one to the next (Bayley and Hammersley 1946).
    """
    product = square = 0.0
    for g in np.unique(groups):
        part = residual[groups == g]
        product += float(part[1:] @ part[:-1])
        square += float(part @ part)
    together = min(max(product / max(square, 1e-300), 0.0), 0.95)
    return (1 + together) / (1 - together)


def inclusion_of(
    equations: Equations, columns: Columns, size: int, draws: int, seed: int,
    tell: Tell = lambda what, share: None,
) -> dict[str, float]:  # fmt: skip
    """How often terms come back, by name, when rows are drawn anew from each group."""
    generator = np.random.default_rng(seed)
    groups = equations.groups
    seen: Counter[str] = Counter()
    done = 0
    for n in range(draws):
        tell("points drawn anew", 0.85 + 0.15 * n / max(draws, 1))
        drawn = [
            generator.choice(np.nonzero(groups == g)[0], (groups == g).sum())
            for g in np.unique(groups)
        ]
        order = columns.rows(np.concatenate(drawn)).best(size, 1)
        if len(order) < size or not len(order[-1]):
            continue
        done += 1
        seen.update({columns.parts[i].term.name for i in order[-1][0]})
    return {name: count / done for name, count in seen.most_common()}


def doubts(found: Discovery) -> list[str]:
    """Sentences on chosen terms that seldom came back in the bootstrap."""
    said = []
    for name in sorted({p.term.name for p in found.chosen.parts}):
        share = found.inclusion.get(name, 0.0)
        if found.inclusion and share < 0.5:
            said.append(
                f"{name} came back in {100 * share:.0f} % of the bootstrap only: other terms tell"
                " what was measured about as well"
            )
    return said
