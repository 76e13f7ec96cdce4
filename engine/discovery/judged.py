# SPDX-License-Identifier: Apache-2.0
"""A formula that was found in stress tests, judged on each loading as fitted laws are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rheograd.materials.energies.symbolic import Symbolic

from ..fit.stress.compare import Comparison
from ..fit.stress.judge import FittedLaw, criteria, line, score
from ..fit.stress.numbers import _quantile
from ..fit.stress.task import Task
from ..observations.stress_test import StressTest
from .discover import DRAWS, Discovery, Tell, discover, doubts
from .formula import Formula, formula
from .from_stress import StressEquations
from .library import FAMILIES, candidates, library

SMALL = 1e-5
"""Change of a trained number of the law for its slopes."""
NAME = "formula"


@dataclass(frozen=True, eq=False)
class Found:
    """A formula, how it was found and how it does."""

    discovery: Discovery
    formula: Formula
    comparison: Comparison
    """With the one law."""
    seconds: float

    @property
    def r2(self) -> float:
        """Over all points of all tests, fitted to or not [-]."""
        return r2_of(self.comparison)


@dataclass(frozen=True, eq=False)
class Answered:
    """The answers of a formula; see `judge.Answer`."""

    law: Symbolic
    formula: Formula
    quantile: float
    incompressible: bool | None

    @torch.no_grad()
    def predicted(self, test: StressTest) -> Tensor:
        """Stress in a test [Pa], shape (n, 3, 3)."""
        return test.predicted(self.law, incompressible=self.incompressible)

    @torch.no_grad()
    def band(self, test: StressTest) -> Tensor:
        """Half width of its 95 % band, of what is not known of the numbers, (n, 3, 3)."""
        slopes = []
        names = [p.name for p in self.formula.parameters]
        for k, name in enumerate(names):
            ends = []
            for sign in (1, -1):
                self.law.shifts[k] = sign * SMALL
                ends.append((self.predicted(test), self.law.values()[name]))
            self.law.shifts[k] = 0.0
            slopes.append((ends[0][0] - ends[1][0]) / (ends[0][1] - ends[1][1]))
        J = torch.stack(slopes, -1)
        C = torch.from_numpy(self.formula.covariance)
        return self.quantile * ((J @ C) * J).sum(-1).clamp(min=0.0).sqrt()


def found_in_tests(
    task: Task, tests: Sequence[StressTest], *, families: Sequence[str] | None = None,
    most: int = 4, noise: float | None = None, bulk: float | None = None, seed: int = 0,
    draws: int = DRAWS, tell: Tell = lambda what, share: None,
) -> Found:  # fmt: skip
    """Find a formula in stress tests, and judge it on all of them.

    Args:
        task: What it is found in.
        tests: All loadings, those of the task among them.
        families: Of terms (`library.FAMILIES`); None: all, those of the volume if it changes.
        most: Largest number of terms.
        noise: Standard deviation of a stress [Pa]; with relative errors, of a stress by itself [-].
        bulk: Bulk modulus of the law [Pa], where the tests do not tell it.
        seed: Of the bootstrap.
        draws: Of the bootstrap.
        tell: Is told what is done.

    Raises:
        ValueError: What was measured does not do; says what and the remedy.
    """
    started = time.perf_counter()
    equations = StressEquations(task)
    told = not equations.incompressible
    chosen = tuple(families or (f for f in FAMILIES if told or f != "volume"))
    if "volume" in chosen and not told:
        raise ValueError(
            "got the terms 'volume', which these tests do not determine: their volume stays, so"
            " that a pressure frees the sides; leave it out"
        )
    if noise is not None and not noise > 0.0:
        raise ValueError(f"got a noise of {noise:g}, expected it above 0")
    unit = None if noise is None else noise if task.relative else noise / task.size
    terms = library(equations.deformed.excess, chosen)
    found = discover(
        equations, candidates(terms), most=most, noise=unit, seed=seed, draws=draws, tell=tell
    )
    measured = any(p.term.family == "volume" for p in found.chosen.parts)
    quantile = _quantile(max(len(equations.seen) - found.chosen.numbers, 1))
    law = formula(found.chosen, found.covariance, quantile, bulk=bulk, volume=measured)
    answer = Answered(law.law, law, quantile, task.incompressible)
    seconds = time.perf_counter() - started
    compared = judged(answer, found.chosen.numbers, task, tests, doubts(found), seconds)
    return Found(found, law, compared, seconds)


def judged(
    answer: Answered, count: int, task: Task, tests: Sequence[StressTest], doubted: Sequence[str],
    seconds: float,
) -> Comparison:  # fmt: skip
    """A comparison with one law.

    Args:
        answer: Of the law.
        count: How many numbers were fitted.
        task: What they were fitted to.
        tests: All loadings, those of the task among them.
        doubted: Sentences that go with the law.
        seconds: That it took.
    """
    trained = {test.name for test in task.tests}
    order = sorted(tests, key=lambda test: test.name not in trained)
    law = _judged(answer, count, task, tests, doubted, seconds)
    return Comparison((law,), tuple(order), task, task.scales())


def r2_of(comparison: Comparison) -> float:
    """R² of the best law over all points of all tests, fitted to or not [-]."""
    seen = torch.cat([t.stress[t.rows] for t in comparison.tests])
    scores = comparison.best.scores.values()
    error = sum(s.rms**2 * s.points for s in scores)
    return 1.0 - error / float((seen - seen.mean()).square().sum())


def _judged(
    answer: Answered, count: int, task: Task, tests: Sequence[StressTest], doubted: Sequence[str],
    seconds: float,
) -> FittedLaw:  # fmt: skip
    """As one law among others."""
    misfit = float(task.misfit(answer.law).detach())
    aicc, bic = criteria(misfit, task.count, count)
    scores = {t.name: score(answer, task, t, misfit, count) for t in tests}
    warnings = [
        f"{p.name} is not determined: other numbers make up for it"
        for p in answer.formula.parameters
        if not p.determined
    ]
    beyond = [f"{n} ({s.unanswered} of {s.points})" for n, s in scores.items() if s.unanswered]
    if beyond:
        warnings.append(f"it has no stress at points of {', '.join(beyond)}: beyond its stretch")
    warnings += doubted
    spread = answer.formula.covariance
    size = spread.diagonal() ** 0.5
    size = np.where(size > 0.0, size, 1.0)
    correlation = spread / (size[:, None] * size[None, :])
    return FittedLaw(
        NAME, answer.law, count, answer.formula.parameters,
        tuple(tuple(float(v) for v in row) for row in correlation), scores,
        {t.name: line(answer, task, t, misfit, count) for t in tests}, misfit, aicc, bic,
        tuple(warnings), seconds,
    )  # fmt: skip
