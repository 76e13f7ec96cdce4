# SPDX-License-Identifier: Apache-2.0
"""Stress tests as equations that are linear in the weights of terms.

A weight of 1 Pa gives a stress at every measured point, to which the pressure that frees the sides
is added if the material is incompressible (engine/material_point.py): linear too. If it is not, the
measured volume enters, and that nothing presses on the free sides are equations as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..fit.stress.task import Task
from ..material_point import released
from .library import Candidate, Deformed

MOST_KEPT = 4000
"""Columns."""


@dataclass(frozen=True, eq=False)
class StressEquations:
    """See the module.

    Raises:
        ValueError: There are too few stresses, or nothing is deformed.
    """

    task: Task
    kept: dict[Candidate, np.ndarray] = field(default_factory=dict)
    """Columns that were asked for."""

    def __post_init__(self) -> None:
        """See the class."""
        if self.task.count < 4:
            raise ValueError(
                f"got {self.task.count} stresses, expected four or more to choose terms by"
            )
        self.task.scales()

    @property
    def incompressible(self) -> bool:
        """Whether a pressure frees the sides."""
        told = self.task.incompressible
        return all(t.isochoric for t in self.task.tests) if told is None else told

    @cached_property
    def deformed(self) -> Deformed:
        """At all points."""
        return Deformed.of(torch.cat([t.F for t in self.task.tests]))

    @cached_property
    def _free(self) -> Tensor:
        rows = [torch.tensor([t.free]).double().expand(len(t.F), 3) for t in self.task.tests]
        return torch.cat(rows)

    @cached_property
    def _rows(self) -> Tensor:
        rows = torch.cat([t.rows for t in self.task.tests])
        return rows if self.incompressible else rows | torch.diag_embed(self._free > 0)

    @cached_property
    def _units(self) -> Tensor:
        return torch.cat([self.task.units(t) for t in self.task.tests])[self._rows]

    @property
    def seen(self) -> np.ndarray:
        """See `Equations`: stresses in units of the task."""
        return self._seen

    @cached_property
    def _seen(self) -> np.ndarray:
        stress = torch.cat([t.stress for t in self.task.tests])[self._rows]
        return (torch.where(torch.isfinite(stress), stress, 0.0) / self._units).numpy()

    @property
    def groups(self) -> np.ndarray:
        """See `Equations`: the number of the test."""
        return self._groups

    @cached_property
    def _groups(self) -> np.ndarray:
        tests = self.task.tests
        number = torch.cat([torch.full_like(t.F, k) for k, t in enumerate(tests)])
        return number[self._rows].numpy().astype(np.int64)

    @property
    def names(self) -> list[str]:
        """Of the groups."""
        return [t.name for t in self.task.tests]

    @cached_property
    def _points(self) -> Tensor:
        """To which point a row belongs, shape (m,)."""
        return torch.nonzero(self._rows)[:, 0]

    @cached_property
    def _told(self) -> Tensor:
        """What each of `Deformed.units` gives in a row, shape (m, 6)."""
        F, found = self.deformed.F, []
        for tau in self.deformed.units.unbind(1):
            if self.incompressible:
                P = released(tau, F, self._free)
            else:
                P = tau @ torch.linalg.inv(F).mT
            found.append(P[self._rows] / self._units)
        return torch.stack(found, 1)

    def column(self, candidate: Candidate) -> np.ndarray:
        """See `Equations`."""
        if candidate in self.kept:
            return self.kept[candidate]
        factors = self.deformed.factors(candidate)[self._points]
        found = (factors * self._told).sum(1).numpy()
        if len(self.kept) > MOST_KEPT:
            self.kept.clear()
        self.kept[candidate] = found
        return found
