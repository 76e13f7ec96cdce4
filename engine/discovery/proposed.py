# SPDX-License-Identifier: Apache-2.0
"""The best of the formulas that were proposed: uncertainty of its numbers, errors by loading."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rheograd.materials.energies.symbolic import Symbolic

from ..fit.stress.compare import Comparison
from ..fit.stress.numbers import _quantile
from ..fit.stress.task import Task
from ..observations.stress_test import StressTest
from .discover import inflation
from .formula import Formula, parameter
from .judged import Answered, judged
from .propose import BULK, Attempt, Proposed


@dataclass(frozen=True, eq=False)
class JudgedProposals:
    """What came out of a search, and how the best of it does."""

    history: tuple[Attempt, ...]
    best: Attempt
    formula: Formula
    comparison: Comparison
    """With the one law."""


def judged_proposals(
    result: Proposed, task: Task, tests: Sequence[StressTest], seconds: float | None = None
) -> JudgedProposals:
    """Judge the best attempt.

    Args:
        result: With an attempt that was fitted.
        task: What was fitted to.
        tests: All loadings, those of the task among them.
        seconds: That the search took; None: as long as this.

    Raises:
        ValueError: No attempt was fitted.
    """
    started = time.perf_counter()
    law, best = result.law, result.best
    if law is None or best is None:
        raise ValueError("no formula was fitted, expected one that was: see why each was refused")
    fitted = [c for c in law.constants if c.name != BULK]
    covariance = covariance_of(law, len(fitted), task)
    quantile = _quantile(max(task.count - len(fitted), 1))
    std = np.sqrt(np.diag(covariance))
    known = tuple(parameter(c, float(s), quantile) for c, s in zip(fitted, std, strict=True))
    formula = Formula(law, known, covariance)
    answer = Answered(law, formula, quantile, task.incompressible)
    taken = time.perf_counter() - started if seconds is None else seconds
    return JudgedProposals(
        result.history, best, formula, judged(answer, len(fitted), task, tests, (), taken)
    )


def covariance_of(law: Symbolic, count: int, task: Task) -> np.ndarray:
    """Covariance of the fitted numbers of a law, shape (count, count).

    That is s² (JᵀJ)⁻¹ with J by automatic differentiation, enlarged for residuals that go together
    along a curve as in discover.py.

    Args:
        law: As fitted, with the numbers first among its constants.
        count: How many they are.
        task: What they were fitted to.
    """
    if not count:
        return np.zeros((0, 0))
    residual = task.residual(law)
    rows = [torch.autograd.grad(r, law.shifts, retain_graph=True)[0][:count] for r in residual]
    moved = torch.stack(list(law.values().values())[:count]).sum()
    slopes = torch.autograd.grad(moved, law.shifts)[0][:count]
    J = (torch.stack(rows) / slopes).detach().numpy()
    gap = residual.detach().numpy()
    curve = np.repeat(np.arange(len(task.tests)), [int(t.rows.sum()) for t in task.tests])
    variance = float(gap @ gap) / max(len(gap) - count, 1) * inflation(gap, curve)
    size = np.linalg.norm(J, axis=0)
    size = np.where(size > 0.0, size, 1.0)
    inner = np.linalg.pinv((J / size).T @ (J / size), rcond=1e-14, hermitian=True)
    return variance * inner / np.outer(size, size)
