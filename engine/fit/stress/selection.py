# SPDX-License-Identifier: Apache-2.0
"""Which terms of a CANN the tests ask for, and what other terms would have told them as well.

**Search.** With its rate given, the stress of a term is linear in its weight, w ≥ 0. So every term
is drawn once at each rate of a grid, and subsets grow one term at a time (engine/subsets.py); the
`BEAM` best of each size go on, `ALIKE` of the same terms at most, up to `MOST` terms. (That is
best-subset selection, the L₀ of McCulloch, St. Pierre, Linka and Kuhl 2024, "On sparse regression,
Lp-regularization, and automated model discovery".) Rates between those of the grid are made up for
by more terms: of data with little noise more may be chosen than made them.

**Choice.** By AICc over the factor by which residuals go together along curves (after QAICc,
Burnham and Anderson 2002, section 2.5, who divide the misfit alone), and by what the choice itself
costs: of many subsets the best is good by chance, too. With every number k of terms as likely as
any other, and likewise every subset of k, that is 2 log C(n, k) (the extended criterion of Chen and
Chen 2008, γ = 1). Of subsets within `TIE` of the least those with fewest terms beyond Ī₁ are taken,
of these the ones of fewest numbers, and of these the least.

**One loading.** There Ī₂ is a function of Ī₁, and nothing tells terms of the one from terms of the
other: what is found of Ī₂ is how the data stray from the form of the terms, and what it says of
other loadings is arbitrary. The law is then of Ī₁ alone, as chains make it. A pull and a push along
one axis count as one loading, too, though they do tell the two apart: a choice, made because the
law of one set of tests ran away without it (docs/stress_tests.md).

**Band.** The subsets within `TOLD` of the least make an ensemble, weighted by exp(−Δ/2). In a
loading only those count that have a stress all along it: one that ends on the way, at a limit that
no test has shown, puts a needle there and no knowledge. Their spread about the chosen law, beside
what is not known of the chosen numbers (unconditional variance, Burnham and Anderson 2002, section
4.3), is what the terms leave open: in one loading that is mostly Ī₂ against Ī₁, and other loadings
have wide bands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rheograd.materials.energies.cann import CANN
from rheograd.materials.law import ConstitutiveLaw

from ...observations.stress_test import StressTest
from ...subsets import Problem, Search
from ..report import FittedParameter
from .families import STIFF, Bulk, Scales
from .judge import criteria
from .numbers import NumbersFit, _predicted, along, fit_numbers
from .task import Task
from .terms import Piece, Terms, at_rest, formula, grid, second

BEAM, ALIKE, MOST, RATES = 40, 2, 4, 12
"""Subsets that grow, those of the same terms among them, most terms, and rates of each to try."""
TIE, TOLD = 2.0, 10.0
"""Differences of the criterion: too close to call, and out of the question."""
MEMBERS = 30
"""Of the ensemble, at most."""
APART = 0.05
"""Of log(Ī₂ − 3) about a cubic of log(Ī₁ − 3), RMS, beyond which the tests are several curves."""
TINY = 1e-300
"""Of a share, in place of 0."""
POWERS = ("I1", "I1^2", "I2", "I2^2")


class Subset(NamedTuple):
    """Terms with numbers that explain the tests."""

    pieces: tuple[Piece, ...]
    misfit: float
    """Mean squared residual."""
    criterion: float
    """AICc."""
    rivals: int = 1
    """Subsets of as many terms, this one among them."""

    @property
    def count(self) -> int:
        """Numbers that were fitted."""
        return sum(1 + (p.rate is not None) for p in self.pieces)

    @property
    def beyond(self) -> int:
        """How many of the terms are not of Ī₁."""
        return sum(second(p.name) for p in self.pieces)

    def price(self, inflation: float) -> float:
        """The criterion for residuals that are worth fewer, and what the choice of terms costs."""
        return self.criterion / inflation + 2 * math.log(self.rivals)


@dataclass(frozen=True, eq=False)
class TermsFit:
    """The chosen terms, and the others."""

    chosen: NumbersFit
    others: tuple[ConstitutiveLaw, ...]
    """The ensemble but for the chosen law."""
    shares: tuple[float, ...]
    """Weight of each of them; what is missing to 1 is that of the chosen law."""
    warnings: tuple[str, ...]

    @property
    def law(self) -> ConstitutiveLaw:
        """The fitted law, in float64."""
        return self.chosen.law

    @property
    def count(self) -> int:
        """Numbers that were fitted."""
        return len(self.chosen.free)

    @property
    def parameters(self) -> tuple[FittedParameter, ...]:
        """Of the chosen law."""
        return self.chosen.parameters

    @property
    def correlation(self) -> tuple[tuple[float, ...], ...]:
        """Of these."""
        return self.chosen.correlation

    def predicted(self, test: StressTest) -> Tensor:
        """Stress in a test [Pa], shape (n, 3, 3)."""
        return self.chosen.predicted(test)

    def band(self, test: StressTest) -> Tensor:
        """Half width of the 95 % band of that, (n, 3, 3).

        Of the others only those count that have a stress all along the test: one that has none has
        a limit there, and just below that says anything.
        """
        P = self.predicted(test)
        spread, counted = torch.zeros_like(P), 1.0 - sum(self.shares)
        for law, share in zip(self.others, self.shares, strict=True):
            gap = _predicted(law, test, self.chosen.incompressible) - P
            if bool((torch.isfinite(gap) | ~torch.isfinite(P)).all()):
                spread = spread + share * gap.square()
                counted += share
        variance = (self.chosen.band(test) / self.chosen.quantile).square()
        return self.chosen.quantile * (variance + spread / max(counted, TINY)).sqrt()


def fit_terms(task: Task, scales: Scales, bulk: Bulk = None) -> TermsFit:
    """Choose terms and fit their numbers.

    Args:
        task: The loadings.
        scales: What they tell of sizes.
        bulk: See `families.Bulk`.

    Raises:
        ValueError: There are too few stresses for any term, or a law has no answer.
    """
    one = single_loading(task)
    found = subsets(task, scales, one)
    if not found:
        raise ValueError(
            f"got {task.count} stresses, of which no term has a criterion: measure more than four"
        )
    found, delta, best = chosen_of(found, _inflation(task, found[0], scales), one)
    family = Terms(found[best].pieces, scales, scales.reach, bulk)
    chosen = fit_numbers(family, task, family.starts(scales))
    close = [k for k in range(len(found)) if k == best or delta[k] <= TOLD][:MEMBERS]
    weights = {k: math.exp(-0.5 * delta[k]) for k in close}
    total = sum(weights.values()) + (0.0 if best in weights else math.exp(-0.5 * delta[best]))
    others = [k for k in close if k != best]
    return TermsFit(
        chosen,
        tuple(_law(found[k].pieces, scales, bulk) for k in others),
        tuple(weights[k] / total for k in others),
        (*_said(one, [found[k] for k in others], found[best]), *chosen.warnings),
    )  # fmt: skip


def chosen_of(
    found: Sequence[Subset], inflation: float, one: bool
) -> tuple[list[Subset], list[float], int]:
    """The subsets in the order of their price, how much more each costs than the least, the choice.

    Args:
        found: All that are in question.
        inflation: Factor by which residuals go together, see `Subset.price`.
        one: Whether the tests are a single loading, so that terms beyond Ī₁ are out.
    """
    found = sorted(found, key=lambda s: s.price(inflation))
    delta = [s.price(inflation) - found[0].price(inflation) for s in found]
    allowed = [k for k, s in enumerate(found) if not (one and s.beyond)]
    least = min(delta[k] for k in allowed)
    ties = [k for k in allowed if delta[k] <= least + TIE]
    best = min(ties, key=lambda k: (found[k].beyond, found[k].count, delta[k]))
    return found, delta, best


def _said(one: bool, others: Sequence[Subset], chosen: Subset) -> list[str]:
    """What is said of the choice."""
    said = []
    if one:
        said.append(
            "in a single loading nothing tells terms of the first invariant from terms of the"
            " second: the law is of the first alone, and its band elsewhere holds laws of both"
        )
    elif others:
        names = [" + ".join(p.name for p in s.pieces) for s in others[:3]]
        own = " + ".join(p.name for p in chosen.pieces)
        said.append(
            f"{len(others)} other choices of terms explain the tests about as well as {own}, such"
            f" as {', '.join(names)}; the band holds them"
        )
    return said


def single_loading(task: Task) -> bool:
    """Whether the tests are of one kind, or on one curve of Ī₂ over Ī₁."""
    kinds = {test.kind for test in task.tests}
    if len(kinds) == 1 and kinds != {""}:
        return True
    one, two = task.excess()
    x, y = one.log().numpy(), two.log().numpy()
    if len(x) < 6:
        return len(task.tests) == 1
    fit = np.polynomial.Polynomial.fit(x, y, 3)
    return float(np.sqrt(np.mean((y - fit(x)) ** 2))) < APART


def subsets(task: Task, scales: Scales, one: bool) -> list[Subset]:
    """The best rates of each set of terms that there is a reason to look at, least AICc first.

    Args:
        task: The loadings.
        scales: What they tell of sizes.
        one: Whether these are on one curve; then of Ī₂ only powers are tried, for exponentials of
            what nothing tells say nothing anywhere else.
    """
    pieces, A, y = _dictionary(task, scales, one)
    names = tuple(p.name for p in pieces)
    problem = Problem(A, y, names, (1,) * len(names))
    best: dict[tuple[str, ...], Subset] = {}
    for order in problem.best(Search(MOST, BEAM, alike=ALIKE)):
        for columns in order:
            key = tuple(names[j] for j in columns)
            if key in best or not any(at_rest(name) for name in key):
                continue
            weights, rss = problem.solved(columns)
            told = tuple(pieces[j]._replace(weight=w * scales.shear)
                         for j, w in zip(columns, weights.tolist(), strict=True))  # fmt: skip
            misfit, rivals = rss / len(y), math.comb(len(set(names)), len(key))
            subset = Subset(told, misfit, 0.0, rivals)
            criterion = criteria(misfit, len(y), subset.count)[0]
            if math.isfinite(criterion) and (weights > 0.0).all():
                best[key] = subset._replace(criterion=criterion)
    return sorted(best.values(), key=lambda s: s.criterion)


def _dictionary(
    task: Task, scales: Scales, one: bool
) -> tuple[list[Piece], np.ndarray, np.ndarray]:
    """Terms at the rates that are tried, their residual by weight (m, n), and the stresses (m,)."""
    screen = task
    if all(any(test.free) for test in task.tests):
        screen = replace(task, incompressible=True)
    names = [n for n in CANN(1.0, 1.0).terms() if not (one and "I2" in n) or n in POWERS]
    names += ["stretch+", "stretch-"]
    kinds = [Piece(n, 0.0, r) for n in names for r in grid(n, scales.reach, RATES)]
    with torch.no_grad():
        y = screen.measured
        rows = [
            screen.residual(formula([p._replace(weight=scales.shear)], scales.shear, scales.shear))
            for p in kinds
        ]
        A = torch.stack([row + y for row in rows], 1).numpy()
    sound = np.flatnonzero(np.isfinite(A).all(0))
    return [kinds[k] for k in sound], A[:, sound], y.numpy()


def _inflation(task: Task, subset: Subset, scales: Scales) -> float:
    with torch.no_grad():
        residual = task.residual(_law(subset.pieces, scales, None)).numpy()
    return along(task, residual) if np.isfinite(residual).all() else 1.0


def _law(pieces: Sequence[Piece], scales: Scales, bulk: Bulk) -> ConstitutiveLaw:
    held = bulk if isinstance(bulk, float) else STIFF * scales.shear
    return formula(pieces, scales.shear, held, scales.strain)
