# SPDX-License-Identifier: Apache-2.0
"""What a fit to stress tests makes small: differences of stress, in a unit of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from rheograd.materials.elastic import NeoHookean
from rheograd.materials.law import ConstitutiveLaw, Elasticity

from ...material_point import drive, released
from ...observations.stress_test import StressTest
from .families import Scales

FLOOR = 0.05
"""Share of a loading's largest stress below which an error counts beside that share."""

SMALLEST = 1e-6
"""Ī − 3 below which a state is one of rest."""


@dataclass(frozen=True, eq=False)
class Task:
    """The loadings that a law is fitted to.

    Raises:
        ValueError: There is none, two have one name, or a weight is of none or not positive.
    """

    tests: tuple[StressTest, ...]
    weights: Mapping[str, float] = field(default_factory=dict)
    """By name of the loading: its residuals count so many times; 1 by default."""
    relative: bool = False
    """Whether errors are relative to the stress, or to the largest stress of all."""
    incompressible: bool | None = None
    """See `material_point.drive`."""

    def __post_init__(self) -> None:
        """See the class."""
        names = [test.name for test in self.tests]
        if not names:
            raise ValueError("got no loading to fit a law to, expected one or more")
        if len(set(names)) < len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise ValueError(f"two loadings have the name {twice!r}: give each one of its own")
        for test in self.tests:
            if not any(test.free) and (self.incompressible or test.isochoric):
                raise ValueError(
                    f"{test.name}: no side is free of stress, so that nothing sets the pressure of"
                    " an incompressible body: give the columns of the free side, or --volume free"
                )
        for name, weight in self.weights.items():
            if not (0 < weight < math.inf):
                raise ValueError(f"got the weight {weight:g} of {name}, expected it above 0")
            if name not in names:
                raise ValueError(
                    f"got a weight of {name!r}, which is not among the loadings that are fitted:"
                    f" {', '.join(names)}"
                )

    @property
    def isochoric(self) -> bool:
        """Whether the body is taken as incompressible."""
        return self.incompressible or (self.incompressible is None and self._isochoric)

    @property
    def size(self) -> float:
        """The largest stress [Pa]."""
        return max(float(t.stress[t.rows].abs().max()) for t in self.tests)

    @property
    def count(self) -> int:
        """Number of stresses."""
        return sum(int(test.rows.sum()) for test in self.tests)

    def units(self, test: StressTest) -> Tensor:
        """What a stress of a test is divided by [Pa], shape (n, 3, 3)."""
        stress = torch.where(test.mask, test.stress, 0.0).abs()
        size = torch.full_like(stress, self.size)
        if self.relative:
            size = stress.clamp(min=FLOOR * float(stress.max()))
        return size / self.weights.get(test.name, 1.0)

    def predicted(self, law: ConstitutiveLaw) -> Tensor:
        """Stress of all tests one after another [Pa], shape (n, 3, 3), differentiable."""
        elastic = isinstance(law, Elasticity) and law.conservative and law.kinematics == "finite"
        if elastic and self.incompressible is False:
            return self._with_free_sides(law)
        if elastic and self.isochoric:
            tau = law.stress(self._F, torch.cat([t.at_rest(law) for t in self.tests]))
            return released(tau, self._F, self._free)
        return torch.cat([t.predicted(law, incompressible=self.incompressible) for t in self.tests])

    def _with_free_sides(self, law: ConstitutiveLaw) -> Tensor:
        """Tests whose sides are free alike are solved for together; see `predicted`."""
        found = {}
        for free in dict.fromkeys(test.free for test in self.tests):
            alike = [test for test in self.tests if test.free == free]
            F = torch.cat([test.F for test in alike])
            rows = [row.expand(len(t.F), -1) for t in alike if (row := t.row(law)) is not None]
            fields = torch.cat(rows) if rows else None
            P = drive(law, F, free, incompressible=False, fields=fields).P
            sizes = [len(test.F) for test in alike]
            found |= dict(zip([t.name for t in alike], P.split(sizes), strict=True))
        return torch.cat([found[test.name] for test in self.tests])

    def residual(self, law: ConstitutiveLaw) -> Tensor:
        """Of all that a fit compares, in its units, shape (m,), differentiable."""
        return (self.predicted(law)[self._rows] - self._seen) / self._units

    def given_way(self, law: ConstitutiveLaw) -> float:
        """How far a law that was taken as incompressible is off with its own bulk modulus [-].

        The largest difference of stress by the largest stress, of points where it has an answer.
        """
        with torch.no_grad():
            held = self.predicted(law)[self._rows]
            off = (replace(self, incompressible=False).predicted(law)[self._rows] - held).abs()
        return max(off[torch.isfinite(off)].tolist(), default=0.0) / self.size

    @property
    def measured(self) -> Tensor:
        """The stresses that a fit compares, in its units, shape (m,)."""
        return self._seen / self._units

    @cached_property
    def _F(self) -> Tensor:
        return torch.cat([t.F for t in self.tests])

    @cached_property
    def _isochoric(self) -> bool:
        return all(t.isochoric for t in self.tests)

    @cached_property
    def _free(self) -> Tensor:
        rows = [torch.tensor([t.free], dtype=t.F.dtype).expand(len(t.F), 3) for t in self.tests]
        return torch.cat(rows)

    @cached_property
    def _rows(self) -> Tensor:
        return torch.cat([t.rows for t in self.tests])

    @cached_property
    def _seen(self) -> Tensor:
        return torch.cat([t.stress for t in self.tests])[self._rows]

    @cached_property
    def _units(self) -> Tensor:
        return torch.cat([self.units(t) for t in self.tests])[self._rows]

    def excess(self) -> tuple[Tensor, Tensor]:
        """Ī₁ − 3 and Ī₂ − 3 [-] of all states whose shape is changed, shape (k,)."""
        strain = torch.linalg.svdvals(self._F).log()
        isochoric = strain - strain.mean(1, keepdim=True)
        one, two = ((sign * 2 * isochoric).expm1().sum(1) for sign in (1, -1))
        seen = (one > SMALLEST) & (two > SMALLEST)
        return one[seen], two[seen]

    def misfit(self, law: ConstitutiveLaw) -> Tensor:
        """Mean squared residual, a scalar, differentiable in the law's parameters."""
        return self.residual(law).square().mean()

    def scales(self) -> Scales:
        """What the tests tell of sizes.

        The shear modulus is that of the neo-Hookean law that comes closest, linear least squares.
        """
        unit = NeoHookean(2 * 1.4995, 0.4995)
        with torch.no_grad():
            p = self.predicted(unit)[self._rows] / self._units
        y = self._seen / self._units
        shear = float((p * y).sum() / p.square().sum().clamp(min=1e-300))
        excess = max(float((t.F.square().sum((1, 2)) - 3.0).max()) for t in self.tests)
        if not excess > SMALLEST:
            raise ValueError("nothing is deformed in these tests: check the column of the stretch")
        if not shear > 0.0:
            raise ValueError(
                "the stresses go against the stretches (a neo-Hookean law of them has a negative"
                " modulus): check signs, and that stretch is 1 at rest"
            )
        one, two = (max(x.tolist(), default=0.0) for x in self.excess())
        lasted = [float(t.times.max() - t.times.min()) for t in self.tests if t.times is not None]
        return Scales(shear, excess, self.count, (one, two), max(lasted, default=0.0))
