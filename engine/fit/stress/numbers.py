# SPDX-License-Identifier: Apache-2.0
"""A few numbers of a law fitted to stress tests by least squares, from several starts.

What is known of them afterwards is the Gauss–Newton covariance at the optimum, s² (JᵀJ)⁻¹, with the
variance s² of the residuals. Residuals of one curve go together, for a law that is wrong is wrong
for a while: with their correlation ρ from point to point along a curve, they are worth (1 − ρ)/(1 +
ρ) times as many independent ones (Bayley and Hammersley 1946), and the covariance is that larger.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from ...observations.stress_test import StressTest
from ..report import FittedParameter
from ..uncertainty import WIDEST, Uncertainty, entangled, known_directions
from .families import Family, Free, Numbers
from .task import Task

DIFFERENCE = 1e-5
"""Half a central difference in a free coordinate."""
NOWHERE = 1e3
"""Residual where a law has no answer: far from any that a fit keeps."""
TRIED, POLISHED = 60, 400
"""Evaluations from each start, and from the best few of them."""
KEPT = 2
"""Starts that are polished."""
PRIOR = 2.0
"""Standard deviation of a free coordinate before anything is measured, for bands of predictions:
on a logarithmic scale a factor of e²."""
NEAR = 1e-6
"""Of its bound a number is this close at most, relative, if it is at it."""
FARTHEST = 10.0
"""Change of a logarithm beyond which a number has no end."""
RIDGE = 1e-3
"""Residual of a number of a law without a family that changes by its size (Tikhonov 1963): it keeps
where they were those that the tests do not tell."""
MIXED = 0.1
"""Share of a combination that the tests do not tell, from which on a number is not determined."""
INSIDE = 1e-3
"""Share of the way from a bound to the usual start."""
EDGE, NEARLY = 1e-6, 1e-3
"""A free coordinate no farther from its bound is at it, or by its standard deviation, all others
known: a search within bounds ends just inside."""


@dataclass(frozen=True, eq=False)
class NumbersFit:
    """What came out."""

    family: Family
    numbers: Numbers
    """Coordinates, and where the best fit started."""
    free: np.ndarray
    """Coordinates at the optimum, shape (p,)."""
    residual: np.ndarray
    """In units of the task, shape (m,)."""
    covariance: np.ndarray
    """Of the free coordinates for predictions, with a wide prior, shape (p, p)."""
    quantile: float
    """Half width of a 95 % band in standard deviations."""
    parameters: tuple[FittedParameter, ...]
    correlation: tuple[tuple[float, ...], ...]
    inflation: float
    """Factor of the covariance for residuals that go together along a curve, 1 or more."""
    warnings: tuple[str, ...]
    incompressible: bool | None

    @property
    def values(self) -> dict[str, float]:
        """By name, SI."""
        return _values(self.numbers, self.free)

    @property
    def count(self) -> int:
        """Numbers that were fitted."""
        return len(self.free)

    @property
    def law(self) -> ConstitutiveLaw:
        """The fitted law, in float64."""
        return self.family.make(self.values)

    def predicted(self, test: StressTest) -> Tensor:
        """Stress in a test [Pa], shape (n, 3, 3)."""
        return _predicted(self.law, test, self.incompressible)

    def band(self, test: StressTest) -> Tensor:
        """Half width of the 95 % band of that, of what is not known of the numbers, (n, 3, 3)."""
        rows = []
        for k in range(len(self.free)):
            ends = []
            for sign in (1, -1):
                moved = self.free.copy()
                moved[k] += sign * DIFFERENCE
                law = self.family.make(_values(self.numbers, moved))
                ends.append(_predicted(law, test, self.incompressible))
            rows.append((ends[0] - ends[1]) / (2 * DIFFERENCE))
        J = torch.stack(rows, -1)
        C = torch.from_numpy(self.covariance)
        return self.quantile * ((J @ C) * J).sum(-1).clamp(min=0.0).sqrt()


@torch.no_grad()
def _predicted(law: ConstitutiveLaw, test: StressTest, incompressible: bool | None) -> Tensor:
    return test.predicted(law, incompressible=incompressible)


def _values(numbers: Numbers, free: np.ndarray) -> dict[str, float]:
    return {n: p.value(float(z)) for (n, p), z in zip(numbers.items(), free, strict=True)}


def fit_numbers(family: Family, task: Task, starts: Sequence[Numbers]) -> NumbersFit:
    """Fit from several starts and take the best.

    Args:
        family: Of laws.
        task: The loadings.
        starts: Where to begin, all with the same names.

    Raises:
        ValueError: There are more numbers than stresses, or the law has no answer at any start.
    """
    count = task.count
    if len(starts[0]) >= count:
        raise ValueError(
            f"got {count} stresses for {len(starts[0])} numbers, expected more stresses than"
            " numbers: fit a simpler law, or measure more"
        )
    tried = [(_solve(family, task, numbers, None, TRIED), numbers) for numbers in starts]
    kept = 1 if isinstance(family, Free) else KEPT
    tried = sorted(tried, key=lambda pair: pair[0].cost)[:kept]
    best = [(_solve(family, task, n, found.x, POLISHED), n) for found, n in tried]
    found, numbers = min(best, key=lambda pair: pair[0].cost)
    if not float(np.abs(found.fun).max()) < NOWHERE:
        raise ValueError(
            "the law has no stress at some stretch of the tests for any numbers that were tried:"
            " leave out the largest stretches, or fit another law"
        )
    return _known(family, task, numbers, found)


def _solve(
    family: Family, task: Task, numbers: Numbers, start: np.ndarray | None, most: int
) -> Any:
    from scipy.optimize import least_squares

    residual = _residual(family, task, numbers)
    slopes = _slopes(family, task, numbers)
    if start is None:
        start = np.array([p.free(p.start) for p in numbers.values()])
    low, high = _bounds(family, numbers)
    start = np.clip(start, low, high)
    if isinstance(family, Free):
        begun = np.array([p.free(p.start) for p in numbers.values()])
        return least_squares(
            lambda z: np.concatenate([residual(z), RIDGE * (z - begun)]), start,
            jac=lambda z: np.concatenate([slopes(z), RIDGE * np.eye(len(z))]),  # type: ignore[arg-type]
            bounds=(low, high), method="trf", x_scale="jac", ftol=1e-6, max_nfev=most // 3,
        )  # fmt: skip
    return least_squares(
        residual, start, jac=slopes,  # type: ignore[arg-type]
        bounds=(low, high), method="trf", x_scale="jac",
        xtol=1e-12, ftol=1e-13, gtol=1e-13, max_nfev=most,
    )  # fmt: skip


def _bounds(family: Family, numbers: Numbers) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(family, Free):
        low, high = family.limits(numbers)
        return np.array(low), np.array(high)
    p = len(numbers)
    return np.full(p, -math.inf), np.full(p, math.inf)


def _residual(family: Family, task: Task, numbers: Numbers) -> Any:
    @torch.no_grad()
    def at(free: np.ndarray) -> np.ndarray:
        try:
            law = family.make(_values(numbers, free))
        except ValueError:  # at a bound that floats cannot tell from it
            return np.full(task.count, NOWHERE)
        found = task.residual(law).numpy()
        return np.where(np.isfinite(found), found, NOWHERE).clip(-NOWHERE, NOWHERE)

    return at


def _slopes(family: Family, task: Task, numbers: Numbers) -> Callable[[np.ndarray], np.ndarray]:
    """Derivatives of the residual by free coordinates, (m, p): a function of these (p,)."""
    residual = _residual(family, task, numbers)
    low, high = _bounds(family, numbers)

    def at(free: np.ndarray) -> np.ndarray:
        if isinstance(family, Free) and family.law.twin is None:
            found = _by_autograd(family, task, numbers, free)
            if found is not None and np.isfinite(found).all():
                return found
        return _jacobian(residual, free, low, high)

    return at


def _by_autograd(family: Free, task: Task, numbers: Numbers, free: np.ndarray) -> np.ndarray | None:
    """The same by one backward pass for all residuals; None where a law cannot have that."""
    law = family.make(_values(numbers, free))
    named = dict(law.named_parameters())
    tensors = [named[name] for name in family.tensors]
    found = task.residual(law)
    try:
        rows = torch.autograd.grad(
            found, tensors, torch.eye(len(found)).to(found), is_grads_batched=True,
            allow_unused=True, materialize_grads=True,
        )  # fmt: skip
    except RuntimeError:  # a part of the law that computes a single backward pass at a time
        return None
    scale = np.array([p.slope(float(z)) for p, z in zip(numbers.values(), free, strict=True)])
    return torch.cat([r.reshape(len(found), -1) for r in rows], 1).numpy() * scale


def _jacobian(residual: Any, free: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Central differences, one-sided at a bound, shape (m, p)."""
    columns = []
    for k in range(len(free)):
        ends = []
        for sign in (1, -1):
            moved = free.copy()
            moved[k] = min(max(free[k] + sign * DIFFERENCE, low[k]), high[k])
            ends.append((moved[k], residual(moved)))
        (above, upper), (below, lower) = ends
        columns.append((upper - lower) / (above - below))
    return np.stack(columns, 1)


def along(task: Task, residual: np.ndarray) -> float:
    """Factor by which errors that go together along curves enlarge a variance, 1 or more."""
    product, square, start = 0.0, 0.0, 0
    for test in task.tests:
        part = residual[start : start + int(test.rows.sum())]
        start += len(part)
        product += float(part[1:] @ part[:-1])
        square += float(part @ part)
    together = min(max(product / max(square, 1e-300), 0.0), 0.95)
    return (1 + together) / (1 - together)


def _known(family: Family, task: Task, numbers: Numbers, found: Any) -> NumbersFit:
    """How well the numbers are known."""
    free, residual = np.asarray(found.x), np.asarray(found.fun)[: task.count]
    low, high = _bounds(family, numbers)
    J = _slopes(family, task, numbers)(free)
    noise = math.sqrt(float(residual @ residual) / max(len(residual) - len(free), 1))
    size = np.linalg.norm(J, axis=0)
    alone = np.divide(noise, size, out=np.zeros_like(size), where=size > 0)
    near = np.maximum(EDGE, NEARLY * alone)
    held = (free - low < near) | (high - free < near)
    J = np.where(held, 0.0, J)
    inflation = along(task, residual)
    m, p = J.shape
    variance = max(inflation * float(residual @ residual) / max(m - p, 1), 1e-300)
    covariance = variance * np.linalg.inv(J.T @ J + np.eye(p) * variance / PRIOR**2)
    covariance[held] = 0.0
    covariance[:, held] = 0.0
    length = np.linalg.norm(J, axis=0)
    _, blind = known_directions(J, residual)
    mixed = (np.abs(blind) > MIXED).any(0)
    std = np.sqrt(np.diag(covariance))
    sure = ~mixed & ~held & (length > 0.0) & (std < WIDEST)
    known = Uncertainty(
        np.where(np.outer(sure, sure), covariance, 0.0), sure, _quantile(m - p), False, blind
    )
    names = list(numbers)
    if isinstance(family, Free):
        left = [n for n, sure in zip(names, known.determined, strict=True) if not sure]
        warnings = [f"the tests do not determine {len(left)} of its {p} numbers: {', '.join(left)}"]
        warnings = warnings[: len(left)]
    else:
        warnings = [*entangled(known, names), *_runaways(numbers, free, held)]
    return NumbersFit(
        family, numbers, free, residual, covariance, _quantile(m - p),
        tuple(_rows(numbers, free, known)),
        tuple(tuple(float(v) for v in row) for row in known.correlation),
        inflation, tuple(warnings), task.incompressible,
    )  # fmt: skip


def _runaways(numbers: Numbers, free: np.ndarray, held: np.ndarray) -> list[str]:
    """What is said of numbers that went as far as they can."""
    said = []
    for (name, p), z, edge in zip(numbers.items(), free.tolist(), held.tolist(), strict=True):
        value = p.value(z)
        ends = [end for end in (p.lower, p.upper) if math.isfinite(end)]
        at = [end for end in ends if abs(value - end) < NEAR * max(abs(end), abs(p.start))]
        if edge or at:
            said.append(
                f"{name} went to the end of its range, {value:.3g}: no law is better inside"
            )
        elif abs(z - p.free(p.start)) > FARTHEST:
            grows = abs(value) > abs(p.start)
            said.append(
                f"{name} grows without end ({value:.1g}): the tests show no such limit"
                if grows
                else f"{name} vanishes ({value:.1g}): the tests have no need of it"
            )
    return said


def _quantile(freedom: int) -> float:
    from scipy import stats

    return float(stats.t.ppf(0.975, max(freedom, 1)))


def _rows(numbers: Numbers, free: np.ndarray, found: Uncertainty) -> list[FittedParameter]:
    rows = []
    for k, (name, p) in enumerate(numbers.items()):
        z, known = float(free[k]), bool(found.determined[k])
        reach = float(np.broadcast_to(found.reach, len(free))[k])
        rows.append(
            FittedParameter(
                name, p.value(z), p.unit, float(found.std[k]) * p.slope(z) if known else None,
                p.value(z - reach) if known else None, p.value(z + reach) if known else None,
                known, p.start,
            )
        )  # fmt: skip
    return rows


def started_at(numbers: Numbers, values: Mapping[str, float]) -> Numbers:
    """Coordinates that start at the values of a law of the same family.

    One that is at its bound, where the coordinate is infinite, starts `INSIDE` of the way from
    there to the usual start.

    Raises:
        ValueError: A value is out of bounds.
    """
    found: Numbers = {}
    for name, parameter in numbers.items():
        value = values[name]
        if value in (parameter.lower, parameter.upper):
            value += INSIDE * (parameter.start - value)
        try:
            found[name] = replace(parameter, start=value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return found
