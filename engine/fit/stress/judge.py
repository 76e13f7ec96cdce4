# SPDX-License-Identifier: Apache-2.0
"""How well a fitted law tells the stresses of each loading, fitted to or not, and how surely."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw, Elasticity

from ...observations.stress_test import StressTest, deformation
from ..report import FittedParameter
from .numbers import _quantile
from .task import FLOOR, Task

FINE = 101
"""Points of a drawn curve."""


class Answer(Protocol):
    """A fit that can be asked."""

    @property
    def law(self) -> ConstitutiveLaw:
        """The fitted law."""
        ...

    def predicted(self, test: StressTest) -> Tensor:
        """Stress in a test [Pa], shape (n, 3, 3)."""
        ...

    def band(self, test: StressTest) -> Tensor:
        """Half width of its 95 % band, shape (n, 3, 3)."""
        ...


@dataclass(frozen=True)
class Score:
    """Of one law in one loading."""

    trained: bool
    """Whether it was fitted to it."""
    r2: float
    """1 − Σ e²/Σ (P − mean P)² [-]; NaN where the law has no answer."""
    rms: float
    """Root mean square error [Pa]."""
    relative: float
    """Root mean square of errors over stresses, these no smaller than `FLOOR` of the largest."""
    inside: float
    """Share of the points in the law's own 95 % band of a measured point."""
    unanswered: int
    """Points at which the law has no finite stress."""
    points: int


@dataclass(frozen=True, eq=False)
class Line:
    """The stress of a law along a loading, as it is drawn."""

    x: Tensor
    """Stretch or shear, shape (k,)."""
    y: Tensor
    """The drawn component of the stress [Pa], shape (k,)."""
    band: Tensor
    """Half width of the 95 % band of a measured point there [Pa], shape (k,)."""


@dataclass(frozen=True, eq=False)
class FittedLaw:
    """One law, fitted and judged."""

    name: str
    law: ConstitutiveLaw
    count: int
    """Numbers that were fitted."""
    parameters: tuple[FittedParameter, ...]
    """Of a law of few numbers; empty for a network."""
    correlation: tuple[tuple[float, ...], ...]
    scores: Mapping[str, Score]
    """By loading."""
    lines: Mapping[str, Line]
    """By loading."""
    misfit: float
    """Mean squared residual in units of the task [-]."""
    aicc: float
    """Akaike's criterion for small samples (Hurvich and Tsai 1989); NaN if the law has too many
    numbers for it."""
    bic: float
    """Bayes' criterion (Schwarz 1978); likewise."""
    warnings: tuple[str, ...]
    seconds: float
    losses: tuple[float, ...] = ()
    members: int = 0
    """Of the ensemble that a network's band is of; 0 for a law of few numbers."""

    @property
    def rms(self) -> float:
        """Over all points that it was fitted to [Pa]."""
        return self._rms(True)

    @property
    def held_rms(self) -> float:
        """Over all points that were held out [Pa]; NaN if there are none."""
        return self._rms(False)

    def _rms(self, trained: bool) -> float:
        rows = [s for s in self.scores.values() if s.trained == trained]
        points = sum(s.points for s in rows)
        return math.sqrt(sum(s.rms**2 * s.points for s in rows) / points) if points else math.nan


def criteria(misfit: float, points: int, count: int) -> tuple[float, float]:
    """AICc and BIC of normal errors of unknown variance, which counts as a number.

    Args:
        misfit: Mean squared residual.
        points: Number of residuals m.
        count: Numbers that were fitted.
    """
    k = count + 1
    if points <= k + 1:
        return math.nan, math.nan
    fit = points * math.log(max(misfit, 1e-300))
    return fit + 2 * k + 2 * k * (k + 1) / (points - k - 1), fit + k * math.log(points)


def spread(task: Task, misfit: float, count: int) -> float:
    """Standard deviation of a residual in units of the task [-].

    Of a network, which has more numbers than points, half of the points count as free.
    """
    points = task.count
    return math.sqrt(misfit * points / max(points - min(count, points // 2), 1))


def scatter(task: Task, misfit: float, count: int, test: StressTest) -> Tensor:
    """Standard deviation of a measured stress about the law [Pa], shape (n, 3, 3)."""
    return spread(task, misfit, count) * task.units(test)


def score(answer: Answer, task: Task, test: StressTest, misfit: float, count: int) -> Score:
    """Judge a law in a loading."""
    rows = test.rows
    seen = test.stress[rows]
    P = answer.predicted(test)[rows]
    noise = _quantile(max(task.count - count, 1)) * scatter(task, misfit, count, test)[rows]
    band = answer.band(test)[rows]
    error = P - seen
    reach = (torch.where(torch.isfinite(band), band, 0.0).square() + noise.square()).sqrt()
    finite = torch.isfinite(P)
    size = seen.abs().clamp(min=FLOOR * float(seen.abs().max()))
    total = float((seen - seen.mean()).square().sum())
    return Score(
        test.name in {t.name for t in task.tests},
        1.0 - float(error.square().sum()) / total if total > 0.0 else math.nan,
        float(error.square().mean().sqrt()),
        float((error / size).square().mean().sqrt()),
        float((error.abs() <= reach)[finite].double().mean()) if bool(finite.any()) else 0.0,
        int((~finite).sum()), len(seen),
    )  # fmt: skip


def fine(test: StressTest, law: ConstitutiveLaw) -> StressTest:
    """The loading as it is drawn: from rest in small steps; as it was, of a law with history."""
    if not test.kind or not (isinstance(law, Elasticity) and law.conservative):
        return test
    rest = 0.0 if test.kind == "SS" else 1.0
    ends = (min(rest, float(test.amount.min())), max(rest, float(test.amount.max())))
    amount = torch.linspace(*ends, FINE, dtype=torch.float64)
    F = deformation(test.kind, amount)
    return replace(test, F=F, stress=torch.zeros_like(F), times=None, noise=None)


def line(answer: Answer, task: Task, test: StressTest, misfit: float, count: int) -> Line:
    """What is drawn of a law in a loading."""
    i, j = test.component
    drawn = fine(test, answer.law)
    if drawn is test:
        noise = scatter(task, misfit, count, test)[:, i, j]
    else:
        level = answer.predicted(drawn)[:, i, j].abs()
        unit = torch.full_like(level, task.size)
        if task.relative:
            largest = float(torch.where(test.mask, test.stress, 0.0).abs().max())
            unit = level.clamp(min=FLOOR * largest)
        noise = spread(task, misfit, count) * unit / task.weights.get(test.name, 1.0)
    band = answer.band(drawn)[:, i, j]
    band = torch.where(torch.isfinite(band), band, 0.0)
    noise = _quantile(max(task.count - count, 1)) * noise
    y = answer.predicted(drawn)[:, i, j]
    return Line(drawn.amount, y, (band.square() + noise.square()).sqrt())
