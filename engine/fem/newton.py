# SPDX-License-Identifier: Apache-2.0
"""Newton's method for the balance of an increment."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor

from .assembler import Assembler
from .equilibrium import Balance
from .geometry import determinant
from .linear import Factor, LinearFailure, LinearSolver

STEEP = 1.0e3
"""A step along which the residual's slope grows by more is shortened."""
HALVINGS = 8
"""Of one step."""
TIGHT = 1.0e-10
"""Relative tolerance of a linear solve in an adjoint."""
LOOSE = 1.0e-2
"""And in the first iteration."""
PROBE = 1.0e-4
"""Share of a prescribed motion by which forces are differentiated along it."""
STALE = 0.3
"""Least reduction of the residual for which a factor of an earlier matrix is used on."""


@dataclass
class Convergence:
    """How the iterations of one increment went."""

    residual: float = 0.0
    """Norm of the free residual at the end by that of the forces; the largest of all worlds."""
    norms: list[float] = field(default_factory=list)
    """Largest norm of the free residual by its tolerance, over all worlds; at most 1 at the end."""

    @property
    def iterations(self) -> int:
        """Linear systems solved."""
        return max(len(self.norms) - 1, 0)


class NewtonFailure(RuntimeError):
    """No equilibrium was found; says why."""


@dataclass(frozen=True)
class Tolerance:
    """When an increment is converged."""

    relative: float
    """Of the largest of external, reaction and inertia forces."""
    most: int
    """Iterations."""


@dataclass
class Newton:
    """Solves the increments of one model."""

    assembler: Assembler
    linear: LinearSolver
    tolerance: Tolerance
    scale: Tensor
    """Force that a stress of the laws' modulus makes on an element [N], shape (worlds,)."""
    kept: tuple[tuple[float, float], Factor] | None = None
    """The last factor, and the integrator's factors that it is for."""
    adjoints: WeakSet[Any] = field(default_factory=WeakSet)
    """Solved increments that keep a factor for their adjoints."""

    def solve(
        self,
        x: Tensor,
        values: tuple[Tensor, ...],
        factors: tuple[float, float],
        reference: Tensor,
        keep: bool = False,
    ) -> tuple[Tensor, Balance, Convergence]:
        """Find x with no residual at free components, from a first guess that meets the others.

        Args:
            x: First guess [m], shape (n, 3).
            values: Of the loads.
            factors: Of the integrator.
            reference: Norm of the loads of each world, at least [N], shape (worlds,).
            keep: Whether a factor is used on as long as it serves, in later increments too: steps
                of dynamics hardly change it.

        Raises:
            NewtonFailure: It does not converge; says why.
        """
        report = Convergence()
        if not keep or self.kept is None or self.kept[0] != factors:
            self.kept = None
        tangent = self.kept is None
        found = self._balance(x, values, factors, tangent)
        before = None
        for count in range(self.tolerance.most + 1):
            free = self.free(found.residual)
            norm = self.norms(free)
            goal = self.tolerance.relative * torch.maximum(reference, self._acting(found))
            goal = goal + self._noise() * self.scale
            ratio = float((norm / goal).max())
            report.norms.append(ratio)
            if ratio <= 1.0:
                report.residual = ratio * self.tolerance.relative
                self.assembler.keep()
                return x, found, report
            if count == self.tolerance.most:
                break
            share = LOOSE if before is None else min(LOOSE, 0.3 * (ratio / before) ** 2)
            if self.kept is not None and before is not None and ratio > STALE * before:
                self.kept = None
            before = ratio
            if self.kept is None:
                if not tangent:
                    found = self._balance(x, values, factors, True)
                self.kept = (factors, self.factor(x, values, factors))
            tangent = not keep
            step = self._solve(self.kept[1], free, max(share, 0.3 / ratio, TIGHT))
            slope = float((free * step).sum().abs())
            x, found = self._along(x, -step, slope, values, factors, tangent)
            if not keep:
                self.kept = None
        raise NewtonFailure(
            f"Newton's method stopped after {self.tolerance.most} iterations with a residual of "
            f"{report.norms[-1]:.2g} tolerances, {min(report.norms):.2g} at best"
        )

    def predict(
        self, before: Tensor, x: Tensor, values: tuple[Tensor, ...], factors: tuple[float, float]
    ) -> Tensor:
        """A first guess where prescribed components move: the rest goes along by the tangent.

        Args:
            before: Balanced positions at the start [m], shape (n, 3).
            x: The same with prescribed components in their new places.
            values: Of the loads.
            factors: Of the integrator.

        Returns:
            x itself where the tangent is singular, as that of a body that nothing touches yet.
        """
        self.kept = None
        try:
            shifted = self._balance(before + PROBE * (x - before), values, factors, False).residual
            now = self._balance(before, values, factors, True).residual
            rest = self.free(now + (shifted - now) / PROBE)
            return x - self._solve(self.factor(before, values, factors), rest, LOOSE)
        except NewtonFailure:
            return x

    def factor(self, x: Tensor, values: tuple[Tensor, ...], factors: tuple[float, float]) -> Factor:
        """Of the derivative at x, after `Assembler.balance` there with a tangent."""
        blocks = self.assembler.matrix(x, values, factors)
        try:
            return self.linear.factor(blocks, x)
        except LinearFailure as error:
            raise NewtonFailure(str(error)) from error

    def _solve(self, factor: Factor, b: Tensor, rtol: float) -> Tensor:
        try:
            step = factor.solve(b, rtol)
        except LinearFailure as error:
            raise NewtonFailure(str(error)) from error
        if not bool(torch.isfinite(step.sum())):
            raise NewtonFailure("the linear solver gave a step that is not finite")
        return self.free(step)

    def _along(
        self,
        x: Tensor,
        step: Tensor,
        slope: float,
        values: tuple[Tensor, ...],
        factors: tuple[float, float],
        tangent: bool,
    ) -> tuple[Tensor, Balance]:
        """The full step, or a part of it where it turns elements inside out or is far too steep."""
        part = 1.0
        reason = ""
        for _ in range(HALVINGS + 1):
            trial = x + part * step
            try:
                found = self._balance(trial, values, factors, tangent)
                along = float((found.residual * step).sum().abs())
                if along <= STEEP * slope or part < 0.1:
                    return trial, found
                reason = "the residual grows along the step"
            except NewtonFailure as failure:
                reason = str(failure)
            part *= 0.5
        raise NewtonFailure(reason)

    def _balance(
        self,
        x: Tensor,
        values: tuple[Tensor, ...],
        factors: tuple[float, float],
        tangent: bool,
    ) -> Balance:
        found = self.assembler.balance(x, values, factors, tangent)
        J = determinant(self.assembler.F)
        least, total = torch.stack([J.min(), found.residual.sum()]).tolist()
        if not least > 0.0:
            point = int((~(J > 0)).nonzero()[0])
            element = point // self.assembler.size[1]
            raise NewtonFailure(
                f"{self.assembler.model.describe(element)} turned inside out (J = "
                f"{float(J[point]):.3g})"
            )
        if not math.isfinite(total):
            raise NewtonFailure("the forces are not finite: a law failed under this strain")
        return found

    def free(self, values: Tensor) -> Tensor:
        """The same with 0 at prescribed components."""
        return values.masked_fill(self.assembler.model.fixed, 0.0)

    def norms(self, values: Tensor) -> Tensor:
        """Of numbers at nodes (n, 3), in each world, shape (worlds,)."""
        model = self.assembler.model
        squares = values.square().sum(1)
        return squares.new_zeros(model.worlds).index_add(0, model.world, squares).sqrt()

    def _acting(self, found: Balance) -> Tensor:
        """Norm of the forces on prescribed components, in each world."""
        return self.norms(found.residual.masked_fill(~self.assembler.model.fixed, 0.0))

    def _noise(self) -> float:
        return 1e-12 if self.scale.dtype == torch.float64 else 1e-5
