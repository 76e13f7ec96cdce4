# SPDX-License-Identifier: Apache-2.0
"""Networks among the laws of stress tests: what they minimize, their order, and how laws rank."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from rheograd.engine.fit.stress import compare as comparing
from rheograd.engine.fit.stress import weights
from rheograd.engine.fit.stress.compare import compare
from rheograd.engine.fit.stress.contenders import contender
from rheograd.engine.fit.stress.families import Free
from rheograd.engine.fit.stress.judge import FittedLaw
from rheograd.engine.fit.stress.task import Task
from rheograd.engine.fit.stress.weights import SECOND, fit_weights, warmed
from rheograd.engine.observations.stress_test import StressTest
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.energies.polyconvex import Polyconvex
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.rubber import MooneyRivlin

S = torch.linspace(1.1, 2.5, 8, dtype=torch.float64)
PULL = S - S**-2
"""P by μ of a neo-Hookean body that is pulled and keeps its volume."""


def pulled(stress: torch.Tensor, name: str = "UT", kind: str = "UT") -> StressTest:
    return StressTest.of_kind(kind, S, stress, name=name)


def silent(epoch: int, loss: float) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "paid", "order"),
    [
        (lambda seed: Polyconvex(1e5 * (1 + seed), seed=0), [SECOND, 0.0] * 2, [2, 0, 3, 1]),
        (lambda seed: MooneyRivlin(1e5 * (1 + seed), 0.0, 1e8), [SECOND] * 4, [3, 1, 2, 0]),
    ],
    ids=["polyconvex", "other"],
)
def test_members_that_pay_for_the_second_invariant_come_first(
    make: Callable[[int], ConstitutiveLaw], paid: list[float], order: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Every other polyconvex network is spared; then the least that was reached decides."""
    reached = [[3.0, 2.0], [0.5], [1.0, 4.0], [0.1]]
    begun: list[float] = []
    told: list[int] = []

    def train(law: Any, task: Any, epochs: int, bulk: Any, tell: Any, second: float) -> list[float]:
        begun.append(second)
        tell(epochs, 0.0)
        return reached[len(begun) - 1]

    monkeypatch.setattr(weights, "_train", train)
    task = Task((pulled(2e5 * PULL),))
    fit = fit_weights(
        make, task, seeds=range(4), epochs=7, bulk=1e8, tell=lambda n, loss: told.append(n)
    )
    assert begun == paid and told == [7, 14, 21, 28]

    def size(law: Any) -> float:
        return law.energy_scale if isinstance(law, Polyconvex) else float(law.c1.detach())

    assert [size(law) for law in fit.members] == pytest.approx([1e5 * (1 + k) for k in order])
    assert fit.losses == tuple(reached[order[0]])
    assert fit.law is fit.members[0]


@pytest.mark.parametrize("second", [0.0, 0.7])
def test_a_network_pays_for_the_second_invariant(second: float) -> None:
    """What is minimized is the misfit and so many times the penalty; the best weights are kept."""
    task = Task((pulled(2e5 * PULL),))
    law = Polyconvex(1e5, 1e8, seed=1).double()
    with torch.no_grad():
        begun = float(task.misfit(law) + second * law.penalty())
    losses = weights._train(law, task, 4, 1e8, silent, rate=5.0, second=second)
    assert losses[0] == pytest.approx(begun, rel=1e-12)
    assert losses[1] > losses[0], "such a step goes too far"
    with torch.no_grad():
        assert float(task.misfit(law) + second * law.penalty()) == pytest.approx(min(losses))


class Bounded(MooneyRivlin):
    name = "test-bounded-rubber"
    bounds = {"c1": (0.0, math.inf), "c2": (0.0, math.inf)}  # noqa: RUF012


def test_gradient_steps_stay_within_bounds() -> None:
    """Tests that a c₂ below 0 would tell best are met at 0, whatever the length of a step."""
    task = Task((pulled(2e5 * PULL - 8e4 * PULL / S),))
    law = Bounded(1e5, 1e3, 1e8).double()
    law.c1.requires_grad_(False)
    losses = weights._train(law, task, 20, 1e8, silent, rate=2.0)
    c2 = float(law.c2.detach())
    assert 0.0 <= c2 < 1e3 and min(losses) < losses[0]
    with torch.no_grad():
        assert float(task.misfit(law)) == pytest.approx(min(losses), rel=1e-9)


def test_a_start_that_is_warmed_leaves_the_other_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "WARM", 3)
    family = Free(MooneyRivlin(8e4, 2e4, 1e8), 1e8)
    closer = warmed(family, Task((pulled(4e5 * PULL),)))
    assert float(family.law.get_parameter("c1").detach()) == 8e4
    assert float(closer.law.get_parameter("c1").detach()) > 8e4 and closer.bulk == 1e8


def test_seeds_of_members_count_on_and_an_error_names_its_law(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[int]] = []

    def stop(make: Any, task: Any, *, seeds: Any, **more: Any) -> None:
        asked.append(list(seeds))
        raise ValueError("it has no answer")

    monkeypatch.setattr(comparing, "fit_weights", stop)
    task = Task((pulled(2e5 * PULL),))
    rival = contender("invariant-smooth-elasticity", task.scales())
    with pytest.raises(ValueError, match=r"^invariant-smooth-elasticity: it has no answer$"):
        compare([rival], task, task.tests, seed=5, members=3)
    assert asked == [[5, 6, 7]]


def test_laws_rank_by_aicc_and_behind_them_by_misfit() -> None:
    def law(misfit: float, aicc: float, bic: float = 0.0) -> FittedLaw:
        return FittedLaw(
            "x", MooneyRivlin(1e5, 0.0, 1e8), 1, (), (), {}, {}, misfit, aicc, bic, (), 0.0
        )

    best, second = law(9.0, -5.0, 3.0), law(8.0, -4.0, 1.0)
    close, far = law(0.1, math.nan, -9.0), law(0.2, math.nan, -10.0)
    some = [far, second, close, best]
    assert sorted(some, key=comparing._rank) == [best, second, close, far]


@pytest.mark.parametrize(("times", "incompressible", "said"), [(5, None, True), (5, False, False),
                                                                (20, None, False)])  # fmt: skip
def test_a_body_taken_as_incompressible_whose_law_is_not(
    times: float, incompressible: bool | None, said: bool
) -> None:
    """Ten shear moduli are the limit, ν = 29/62; held loadings come after those that were fitted.

    With its volume measured a soft law is what was asked for.
    """
    tests = pulled(1e5 * (S - S**-3), "PS", "PS"), pulled(1e5 * PULL)
    task = Task(tests[1:], incompressible=incompressible)
    rival = contender("neo-hookean", task.scales(), times * 1e5)
    found = compare([rival], task, tests)
    assert [t.name for t in found.tests] == ["UT", "PS"]
    assert any("of its shear modulus" in words for words in found.best.warnings) == said


def test_a_fluid_is_not_told_that_it_is_soft() -> None:
    soft = NeoHookean(2.8e5, 0.4)  # K/μ = 14/3
    assert "is 4.7 of its shear modulus" in comparing._unset(soft)
    assert comparing._unset(NeoHookean(2.8e5, 0.49)) == ""
