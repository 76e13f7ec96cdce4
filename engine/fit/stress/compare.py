# SPDX-License-Identifier: Apache-2.0
"""Several laws fitted to the same stress tests, judged on these and on others, and ranked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rheograd.materials.law import ConstitutiveLaw

from ...observations.stress_test import StressTest
from .contenders import Contender
from .families import Free, Scales
from .judge import Answer, FittedLaw, criteria, line, score
from .numbers import NumbersFit, fit_numbers, started_at
from .selection import TermsFit, fit_terms
from .task import Task
from .volume import rest_bulk, rest_shear
from .weights import WeightsFit, fit_weights, warmed

MEMBERS = 5
"""Of the ensemble of a network."""
EPOCHS = 600
"""Of each of them."""
MANY = 64
"""Most numbers whose correlations are told."""
SOFT = 10.0
"""Bulk over shear modulus up to which a law is far from incompressible: ν below 0.452."""
YIELDING = 0.02
"""Share of the largest stress by which a law may be off as its volume gives way."""
Tell = Callable[[str, float], None]
"""Is told what is fitted and which share of it is done."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What came out, the best law first."""

    laws: tuple[FittedLaw, ...]
    tests: tuple[StressTest, ...]
    """All loadings, held-out ones too."""
    task: Task
    scales: Scales

    @property
    def best(self) -> FittedLaw:
        """By AICc; of laws without one, the one of the least error of what it was fitted to."""
        return self.laws[0]

    @property
    def held(self) -> tuple[StressTest, ...]:
        """Loadings that no law was fitted to."""
        trained = {test.name for test in self.task.tests}
        return tuple(test for test in self.tests if test.name not in trained)


def compare(
    contenders: Sequence[Contender],
    task: Task,
    tests: Sequence[StressTest],
    *,
    seed: int = 0,
    members: int = MEMBERS,
    epochs: int = EPOCHS,
    tell: Tell = lambda name, share: None,
) -> Comparison:
    """Fit every law to the task, and judge it on all tests.

    Args:
        contenders: The laws.
        task: What they are fitted to.
        tests: All loadings, those of the task among them.
        seed: Of the first member of an ensemble; others count on.
        members: Of the ensemble of a network.
        epochs: Of each member.
        tell: Is told how far it is.

    Raises:
        ValueError: A law cannot be fitted; names it.
    """
    scales = task.scales()
    found = []
    for contender in contenders:
        tell(contender.name, 0.0)
        started = time.perf_counter()
        try:
            _require_fields(contender, scales, tests)
            answer = _fitted(contender, task, scales, seed, members, epochs, tell)
        except ValueError as error:
            raise ValueError(f"{contender.name}: {error}") from None
        seconds = time.perf_counter() - started
        found.append(_judged(contender.name, answer, task, tests, seconds))
    found.sort(key=_rank)
    trained = {test.name for test in task.tests}
    order = sorted(tests, key=lambda test: test.name not in trained)
    return Comparison(tuple(found), tuple(order), task, scales)


def _require_fields(contender: Contender, scales: Scales, tests: Sequence[StressTest]) -> None:
    """Refuse a law that reads what nobody says of a specimen.

    Raises:
        ValueError: Names the field.
    """
    fields = contender.fields(scales)
    for test in tests:
        for name, width in fields.items():
            if name not in test.fields:
                like = ",".join(["1"] + ["0"] * (width - 1))
                raise ValueError(
                    f"the law reads the constant field {name}, and nothing says it of the specimen"
                    f" {test.name}: give --constant {name}={like}, or"
                    f" '{name}@{test.name}={like}' of this one alone"
                )


def _rank(law: FittedLaw) -> tuple[bool, float]:
    unranked = math.isnan(law.aicc)
    return unranked, law.misfit if unranked else law.aicc


def _fitted(
    contender: Contender, task: Task, scales: Scales, seed: int, members: int, epochs: int,
    tell: Tell,
) -> NumbersFit | TermsFit | WeightsFit:  # fmt: skip
    if contender.sought:
        return fit_terms(task, scales, contender.bulk)
    if contender.family is not None:
        starts = contender.family.starts(scales)
        if isinstance(contender.family, Free):
            starts += warmed(contender.family, task).starts(scales)
        if contender.own is not None:
            starts = [started_at(starts[0], contender.own), *starts]
        return fit_numbers(contender.family, task, starts)
    assert contender.make is not None
    total = members * epochs
    return fit_weights(
        contender.make, task, seeds=range(seed, seed + members), epochs=epochs, bulk=contender.bulk,
        tell=lambda done, loss: tell(contender.name, done / total),
    )  # fmt: skip


def _unset(law: ConstitutiveLaw) -> str:
    """A warning if a law that was fitted as incompressible is far from that where it is used."""
    bulk, shear = rest_bulk(law), rest_shear(law)
    if not shear > 0.0 or bulk > SOFT * shear:
        return ""
    return (
        f"its bulk modulus at rest is {bulk / shear:.2g} of its shear modulus, which no test told"
        " and --bulk does not set: a scene would change the volume of what was taken as"
        " incompressible"
    )


def _yielding(law: ConstitutiveLaw, task: Task) -> str:
    """A warning if a law that was fitted as incompressible is much softer with its bulk modulus."""
    off, bulk = task.given_way(law), rest_bulk(law)
    if off <= YIELDING or not bulk > 0.0:
        return ""
    return (
        f"in a scene its volume gives way, by its bulk modulus of {bulk:.3g} Pa: there it is off by"
        f" up to {100 * off:.2g} % of the largest stress, as these tests go far; --bulk"
        f" {bulk * off / (0.5 * YIELDING):.1g} would make that about {50 * YIELDING:.2g} %, at the"
        " price of shorter steps"
    )


def _judged(
    name: str, answer: NumbersFit | TermsFit | WeightsFit, task: Task, tests: Sequence[StressTest],
    seconds: float,
) -> FittedLaw:  # fmt: skip
    asked: Answer = answer
    misfit = float(task.misfit(answer.law).detach())
    numbers = not isinstance(answer, WeightsFit)
    count = answer.count
    aicc, bic = criteria(misfit, task.count, count)
    scores = {test.name: score(asked, task, test, misfit, count) for test in tests}
    warnings = list(answer.warnings if numbers else ())
    beyond = [f"{n} ({s.unanswered} of {s.points})" for n, s in scores.items() if s.unanswered]
    if beyond:
        warnings.append(
            f"it has no stress at points of {', '.join(beyond)}: they are beyond the stretch that"
            " it allows"
        )
    if task.isochoric and (told := _unset(answer.law) or _yielding(answer.law, task)):
        warnings.append(told)
    return FittedLaw(
        name, answer.law, count, answer.parameters if numbers else (),
        answer.correlation if numbers else (), scores,
        {test.name: line(asked, task, test, misfit, count) for test in tests},
        misfit, aicc, bic, tuple(warnings), seconds,
        () if numbers else answer.losses, 0 if numbers else len(answer.members),
    )  # fmt: skip
