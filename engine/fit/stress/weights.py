# SPDX-License-Identifier: Apache-2.0
"""A law with more numbers than can be told apart, trained on stress tests by gradients.

Adam first, then L-BFGS with a strong Wolfe line search, in float64 on all points at once: the same
seed gives the same bits. Several seeds make an ensemble; its scatter is what the law does not know
where nothing was measured (Lakshminarayanan et al. 2017).

A polyconvex network pays `SECOND` times `Polyconvex.penalty` for what it makes of Ī₂, which a
single loading cannot tell from Ī₁: there it is then left out. Every other member pays nothing. The
law is one of those that pay, and the scatter of all is its band, so that it holds both readings.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rheograd.materials.energies.polyconvex import Polyconvex
from rheograd.materials.law import ConstitutiveLaw

from ...observations.stress_test import StressTest
from .families import Bulk, Free
from .numbers import _predicted, _quantile
from .task import Task

RATE = 3e-3
"""Of Adam, relative to the size of a tensor's numbers where they are above 1."""
WARM, WARM_RATE = 300, 1e-2
"""Epochs before a fit of few numbers by least squares, and their rate."""
SHARE = 0.5
"""Of the epochs that are Adam's."""
SECOND = 1e-2
"""Mean squared residual that a unit of `Polyconvex.penalty` is worth."""


@dataclass(frozen=True, eq=False)
class WeightsFit:
    """What came out; the first member is the law."""

    members: tuple[ConstitutiveLaw, ...]
    """Of the ensemble: the law first, then the closest to the tests."""
    losses: tuple[float, ...]
    """What was made small for the first, by epoch: its misfit, and perhaps a penalty."""
    count: int
    """Numbers that were fitted."""
    incompressible: bool | None

    @property
    def law(self) -> ConstitutiveLaw:
        """The fitted law, in float64."""
        return self.members[0]

    def predicted(self, test: StressTest) -> Tensor:
        """Stress in a test [Pa], shape (n, 3, 3)."""
        return _predicted(self.law, test, self.incompressible)

    def band(self, test: StressTest) -> Tensor:
        """Half width of the 95 % band of that by the scatter of members, (n, 3, 3)."""
        if len(self.members) < 2:
            return torch.full_like(test.F, torch.nan)
        each = [_predicted(law, test, self.incompressible) for law in self.members]
        return _quantile(len(each) - 1) * torch.stack(each).std(0)


def fit_weights(
    make: Callable[[int], ConstitutiveLaw],
    task: Task,
    *,
    seeds: Sequence[int],
    epochs: int,
    bulk: Bulk = None,
    tell: Callable[[int, float], None] = lambda epoch, loss: None,
) -> WeightsFit:
    """Train an ensemble.

    Args:
        make: A law before the fit, by its seed.
        task: The loadings.
        seeds: Of the members.
        epochs: Passes over the tests of each.
        bulk: See `families.Bulk`.
        tell: Is told the number of passes done so far, of all members, and the misfit.

    Raises:
        ValueError: A law has no answer to begin with.
    """
    found = []
    for number, seed in enumerate(seeds):
        law = copy.deepcopy(make(seed)).to("cpu", torch.float64)
        done = number * epochs
        spared = isinstance(law, Polyconvex) and number % 2 == 1
        losses = _train(
            law, task, epochs, bulk, lambda k, loss, done=done: tell(done + k, loss),
            second=0.0 if spared else SECOND,
        )  # fmt: skip
        found.append((spared, min(losses), number, law, losses))
    found.sort(key=lambda row: row[:3])
    free = Free(found[0][3], bulk)
    return WeightsFit(
        tuple(free.finished(row[3]) for row in found), tuple(found[0][4]), free.count,
        task.incompressible,
    )  # fmt: skip


def warmed(family: Free, task: Task) -> Free:
    """The same law after some gradient steps, from which least squares find a better optimum.

    Where terms differ by orders of magnitude a Gauss–Newton step from a poor start goes astray;
    Adam's, of one size in every number, does not.
    """
    law = copy.deepcopy(family.law)
    _train(law, task, WARM, family.bulk, lambda epoch, loss: None, rate=WARM_RATE)
    return Free(law, family.bulk)


class _Best:
    """Counts evaluations and keeps the weights that were best."""

    def __init__(self, law: ConstitutiveLaw, tell: Callable[[int, float], None]) -> None:
        self.law, self.tell = law, tell
        self.losses: list[float] = []
        self.least, self.weights = math.inf, copy.deepcopy(law.state_dict())

    def saw(self, loss: float) -> None:
        """Take note of a misfit of the weights as they are."""
        self.losses.append(loss)
        if loss < self.least:
            self.least = loss
            self.weights = {n: t.detach().clone() for n, t in self.law.state_dict().items()}
        self.tell(len(self.losses), loss)


def _train(
    law: ConstitutiveLaw, task: Task, epochs: int, bulk: Bulk, tell: Callable[[int, float], None],
    rate: float = RATE, second: float = SECOND,
) -> list[float]:  # fmt: skip
    """Train in place; what is made small, of every epoch."""
    family = Free(law, bulk)
    tensors = dict(law.named_parameters())
    fitted = [tensors[name] for name in family.tensors]
    limits = [family.bounds(name) for name in family.tensors]
    with torch.no_grad():
        begun = float(task.misfit(law))
    if not math.isfinite(begun):
        raise ValueError(
            f"{law.name} has no stress at some stretch of the tests as it starts: leave out the"
            " largest stretches, or start from another law"
        )
    best = _Best(law, tell)

    def evaluated() -> Tensor:
        loss = task.misfit(law)
        if isinstance(law, Polyconvex) and second > 0.0:
            loss = loss + second * law.penalty()
        grads = torch.autograd.grad(loss, fitted, allow_unused=True, materialize_grads=True)
        for tensor, grad in zip(fitted, grads, strict=True):
            tensor.grad = grad
        best.saw(float(loss.detach()))
        return loss.detach()

    first = max(1, round(SHARE * epochs))
    groups = [{"params": [t], "lr": rate * max(1.0, float(t.detach().abs().max()))} for t in fitted]
    adam = torch.optim.Adam(groups)
    for _ in range(first):
        if not math.isfinite(float(evaluated())):
            break
        adam.step()
        with torch.no_grad():
            for tensor, (low, high) in zip(fitted, limits, strict=True):
                tensor.clamp_(low, high)
    law.load_state_dict(best.weights)
    bounded = any(math.isfinite(end) for pair in limits for end in pair)
    if epochs > first and not bounded:
        lbfgs = torch.optim.LBFGS(
            fitted, max_iter=epochs - first, max_eval=epochs - first, history_size=50,
            line_search_fn="strong_wolfe", tolerance_grad=1e-12, tolerance_change=1e-14,
        )  # fmt: skip
        lbfgs.step(evaluated)  # type: ignore[arg-type]
    law.load_state_dict(best.weights)
    return best.losses
