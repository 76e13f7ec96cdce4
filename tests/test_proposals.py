# SPDX-License-Identifier: Apache-2.0
"""Formulas of a proposer: fitted inside, refused into the history, never run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from rheograd.engine.discovery.propose import Attempt, constants_of, search, tried
from rheograd.engine.discovery.proposed import covariance_of
from rheograd.engine.fit.stress.task import Task
from rheograd.engine.material_point import drive
from rheograd.engine.observations.stress_test import FREE, StressTest, deformation
from rheograd.materials.energies.symbolic import Constant, Symbolic
from rheograd.materials.rubber import Gent


@pytest.fixture(scope="module")
def task() -> Task:
    tests = []
    for kind in ("UT", "ET"):
        stretch = torch.linspace(1.1, 2.6, 10, dtype=torch.float64)
        with torch.no_grad():
            P = drive(Gent(3e5, 25.0, 1e8), deformation(kind, stretch), FREE[kind]).P[:, 0, 0]
        tests.append(StressTest.of_kind(kind, stretch, P))
    return Task(tuple(tests))


def test_a_scripted_proposer_finds_the_law(task: Task) -> None:
    """It reads the history: a refusal is answered by another text, a poor fit by a limit."""
    seen: list[int] = []

    def propose(history: Sequence[Attempt]) -> str | None:
        seen.append(len(history))
        if not history:
            return "__import__('os').system('true')"
        if history[-1].refused:
            assert "expected" in history[-1].refused and math.isinf(history[-1].error)
            return "c*(I1bar - 3)"
        if history[-1].error > 1e-2:
            assert history[-1].parameters["c"] > 1e5
            return "-c*m*log(1 - (I1bar - 3)/m)"
        return None

    found = search(propose, task, budget=10)
    assert seen == [0, 1, 2, 3] and [bool(a.refused) for a in found.history] == [True, False, False]
    assert found.best is found.history[2] and found.history[2].error < 1e-5
    assert found.law is not None
    assert float(task.misfit(found.law).detach()) < 1e-10


def test_numbers_are_fitted_by_gradients(task: Task) -> None:
    attempt, law = tried("-a*m*log(1 - (I1bar - 3)/m)", task)
    assert law is not None and not attempt.refused
    assert attempt.error < 1e-5
    assert attempt.parameters["a"] == pytest.approx(1.5e5, rel=1e-3)
    assert attempt.parameters["m"] == pytest.approx(25.0, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("c*(I1bar - 3", "expected a formula"),
        ("c*I1bar.real", "expected numbers, names and functions"),
        ("c*I1", "the stress at rest"),
        (3.0, "expected text"),
        ("c*stretch(0)", "other than"),
        ("1e4*(I1bar - 3) - 1e3*log(1 - (I1bar - 3)/0.1)", "no finite energy"),
    ],
)
def test_what_is_no_formula_goes_into_the_history(task: Task, text: object, expected: str) -> None:
    attempt, law = tried(text, task)
    assert law is None and expected in attempt.refused and attempt.error == math.inf


def test_it_stops_at_the_budget_or_the_target(task: Task) -> None:
    assert len(search(lambda history: "c*(I1bar - 3)", task, budget=3).history) == 3
    assert len(search(lambda history: "c*(I1bar - 3)", task, budget=3, target=0.5).history) == 1
    assert search(lambda history: None, task).best is None
    with pytest.raises(ValueError, match="a budget of 0"):
        search(lambda history: None, task, budget=0)


def test_constants_are_the_other_names() -> None:
    text = "a*(I1bar - 3)**n + b*log(J)**2 + c*stretch(alpha)"
    assert constants_of(text) == ["a", "n", "b", "c", "alpha"]


def test_covariance_of_a_proposed_law_is_that_of_regression(task: Task) -> None:
    """P = c 2 (…) + d 2 (…) g: s² (AᵀA)⁻¹ at the least squares, by s² (1 + ρ)/(1 − ρ)."""
    by, seen = [], []
    for test in task.tests:
        s = test.amount
        over = s**2 if test.kind == "ET" else 1 / s
        one = 2 * (s - s**-5) if test.kind == "ET" else 2 * (s - s**-2)
        by.append(torch.stack([one, one * over], 1).numpy() / task.size)
        seen.append(test.stress[:, 0, 0].numpy() / task.size)
    A, y = np.concatenate(by), np.concatenate(seen)
    weights, *_ = np.linalg.lstsq(A, y, rcond=None)
    law = Symbolic("c*(I1bar - 3) + d*(I2bar - 3) + K*(J - 1)**2", [
        Constant("c", float(weights[0]), "Pa"), Constant("d", float(weights[1]), "Pa"),
        Constant("K", 1e8, "Pa"),
    ])  # fmt: skip
    e = A @ weights - y
    parts = e[:10], e[10:]
    rho = max(sum(float(p[1:] @ p[:-1]) for p in parts) / float(e @ e), 0.0)
    assert rho > 0.2, "so that residuals that go together are felt"
    expected = np.linalg.inv(A.T @ A) * float(e @ e) / 18 * (1 + rho) / (1 - rho)
    np.testing.assert_allclose(covariance_of(law, 2, task), expected, rtol=1e-6)
    assert covariance_of(law, 0, task).shape == (0, 0)
