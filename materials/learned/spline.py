# SPDX-License-Identifier: Apache-2.0
"""A law of three curves of the principal stretches, as splines.

Xu, Sin, Zhu and Barbic 2015, "Nonlinear Material Design Using Principal Stretches", which extends
the separable energies of Valanis and Landel 1967: with stretches s_i = 1 + e_i and
F = U diag(s) V^T,

    psi = sum_i A(s_i) + sum_(i<j) B(s_i s_j) + C(s_1 s_2 s_3)
    P   = U diag(p) V^T,   p_i = a(s_i) + sum_(j != i) s_j b(s_i s_j) + s_j s_k c(J)

with a = A', b = B', c = C' the curves. Here they are uniform cubic B-splines, so twice continuously
differentiable, and straight beyond their ends; a constant is taken from p, the stress of the curves
at rest, so that P(I) = 0 for any coefficients. The law has an energy, is isotropic and smooth,
and a person can read it: three curves. As a plasticity the same form is the flow,

    F = F_trial + flow_scale U diag(p) V^T
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..law import Elasticity, Plasticity
from ..scales import above_zero
from .spectral import Stretches, decompose, kirchhoff, mixed
from .two_parts import LAME, SHEAR, TwoParts

BASIS = ((1, 4, 1, 0), (-3, 0, 3, 0), (3, -6, 3, 0), (-1, 3, -3, 1))
"""Six times the four B-splines of an interval, a row for each power of where it is in that."""
SLOPES = ((-1, 0, 1, 0), (2, -4, 2, 0), (-1, 3, -3, 1))
"""Twice their derivatives, likewise."""
NEXT, LAST = [1, 2, 0], [2, 0, 1]
"""The two other axes of each."""
WITHOUT = [3, 2, 1, 2, 3, 0, 1, 0, 3]
"""The axis that is neither of two, row by row; 3 on the diagonal."""


class Curve(NamedTuple):
    """A uniform cubic B-spline, straight beyond its ends."""

    coefficients: Tensor
    """In units of the distance of knots, shape (n + 3,) for n intervals."""
    lower: float
    upper: float
    curves: int = 1
    """Of which `coefficients` has those, one after another."""

    @property
    def width(self) -> float:
        """Distance of knots."""
        return (self.upper - self.lower) / self.intervals

    @property
    def intervals(self) -> int:
        """Between knots."""
        return len(self.coefficients) // self.curves - 3

    def _place(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The nearest argument between the ends, its interval, and where it is in that, 0 to 1."""
        inside = x.clamp(self.lower, self.upper)
        place = (inside - self.lower) / self.width
        cell = place.detach().floor().long().clamp(0, self.intervals - 1)
        return inside, cell, place - cell

    def __call__(self, x: Tensor, first: Tensor | int = 0) -> tuple[Tensor, Tensor]:
        """Values and slopes at x, of its shape, where each has its first coefficient."""
        inside, cell, u = self._place(x)
        four = torch.arange(4, device=x.device)
        c = self.coefficients[(first + cell)[..., None] + four]
        powers = torch.stack([torch.ones_like(u), u, u * u, u * u * u], -1)
        value = (powers @ x.new_tensor(BASIS) * c).sum(-1) * (self.width / 6)
        slope = (powers[..., :3] @ x.new_tensor(SLOPES) * c).sum(-1) / 2
        return value + slope * (x - inside), slope

    def integral(self, x: Tensor) -> Tensor:
        """From the lower end to x, of its shape; of one curve alone."""
        inside, cell, u = self._place(x)
        v, square = 1.0 - u, self.width**2 / 24
        c = self.coefficients
        whole = square * (c[:-3] + 11 * c[1:-2] + 11 * c[2:-1] + c[3:])
        before = torch.cat([whole.new_zeros(1), whole.cumsum(0)])[cell]
        parts = (
            1 - v**4,
            3 * u**4 - 8 * u**3 + 16 * u,
            -3 * u**4 + 4 * u**3 + 6 * u**2 + 4 * u,
            u**4,
        )
        within = square * sum(part * c[cell + k] for k, part in enumerate(parts))
        value, slope = self(inside)
        beyond = x - inside
        return before + within + value * beyond + 0.5 * slope * beyond**2


class Curves(nn.Module):
    """The three curves, and the principal stresses p that they make."""

    def __init__(self, lower: float, upper: float, intervals: int):
        """All zero.

        Args:
            lower: Least argument up to which the curves bend, below 1.
            upper: Largest one, above 1.
            intervals: Between knots.

        Raises:
            ValueError: 1 is not between the ends, or there are not 1 to 4096 intervals.
        """
        super().__init__()
        if not 0 <= lower < 1 < upper < float("inf"):
            raise ValueError(
                f"got curves from {lower} to {upper}, expected 0 <= lower < 1 < upper: stretches "
                "of a body at rest are 1"
            )
        if not isinstance(intervals, int) or not 1 <= intervals <= 4096:
            raise ValueError(f"got {intervals} intervals, expected 1 to 4096 between the knots")
        self.lower, self.upper = float(lower), float(upper)
        self.coefficients = nn.Parameter(torch.zeros(3, intervals + 3))
        """Of a, b and c, in units of the distance of knots: slopes are their differences, shape
        (3, n + 3)."""

    @torch.no_grad()
    def start_linear(self, a: float, c: float) -> None:
        """Curves a (s - 1), 0 and c (J - 1): the corotated law with 2 mu = a and lambda = c."""
        n = self.coefficients.shape[1] - 3
        width = (self.upper - self.lower) / n
        at = self.lower + width * torch.arange(-1, n + 2, dtype=torch.float64) - 1
        self.coefficients.copy_(torch.stack([a * at, 0 * at, c * at]) / width)

    def _curves(self, like: Tensor) -> tuple[Curve, Curve, Curve]:
        a, b, c = (Curve(k, self.lower, self.upper) for k in self.coefficients.to(like))
        return a, b, c

    def energy(self, e: Tensor) -> Tensor:
        """Psi (q,) of strains e (q, 3), 0 at rest."""
        a, b, c = self._curves(e)
        one = torch.ones((), dtype=e.dtype, device=e.device)
        rest = a(one)[0] + 2 * b(one)[0] + c(one)[0]
        s = 1.0 + e
        own, areas = a.integral(s), b.integral(s * s[:, [1, 2, 0]])
        total = (own + areas - rest * e).sum(1) + c.integral(s.prod(1))
        return total - 3 * a.integral(one) - 3 * b.integral(one) - c.integral(one)

    def forward(self, e: Tensor) -> tuple[Tensor, Tensor]:
        """Principal stresses (q, 3) of strains e (q, 3); their limits at ties, see `mixed`."""
        s = 1.0 + e
        areas = s[:, NEXT] * s[:, LAST]  # without each axis
        x = torch.cat([s, areas, s.prod(1, keepdim=True)], 1)
        x = nn.functional.pad(x, (0, 0, 0, 1), value=1.0)  # and at rest
        size = self.coefficients.shape[1]
        every = Curve(self.coefficients.to(e).flatten(), self.lower, self.upper, 3)
        which = torch.tensor([0, 0, 0, 1, 1, 1, 2], device=e.device)
        values, slopes = every(x, size * which)
        a, b, c = values[:-1].split((3, 3, 1), 1)
        rest = values[-1, 0] + 2 * values[-1, 3] + values[-1, 6]
        p = a + s[:, NEXT] * b[:, LAST] + s[:, LAST] * b[:, NEXT] + areas * c - rest
        with torch.no_grad():
            limits = _limits(s, slopes[:-1, :3], slopes[:-1, 3:6], b, c)
        return p, limits


def _limits(s: Tensor, a_slope: Tensor, b_slope: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """(p_j - p_i) / (s_j - s_i) as s_i and s_j come together, shape (q, 3, 3), 0 on the diagonal.

    With k the third axis, a' + s_k^2 b'(s_k s) - b(s_i s_j) - s_k c(J), a' and b' in the mean;
    columns of b and its slope are of the areas without an axis.
    """
    own, to_k = (0.5 * (slope[:, NEXT] + slope[:, LAST]) for slope in (a_slope, b_slope))
    limit = own + s.square() * to_k - b - s * c
    return nn.functional.pad(limit, (0, 1))[:, WITHOUT].unflatten(1, (3, 3))


class SplineElasticity(Elasticity):
    """P = stress_scale U diag(p) V^T; by itself a law of elastic solids with an energy.

    New, it is the corotated law, whose Young's modulus at rest is stress_scale and whose Poisson's
    ratio is 0.25.
    """

    name = "spline-elasticity"
    symmetric = True

    def __init__(
        self,
        stress_scale: float = 1e5,
        *,
        lower: float = 0.2,
        upper: float = 2.0,
        intervals: int = 18,
    ):
        """Start as the corotated law.

        Args:
            stress_scale: Expected Young's modulus [Pa], the unit of the curves.
            lower: Least stretch, area or volume ratio [-] up to which the curves bend.
            upper: Largest one [-].
            intervals: Between knots.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__()
        self.stress_scale = above_zero("stress_scale", stress_scale, "[Pa]")
        self.lower, self.upper, self.intervals = lower, upper, intervals
        self.curves = Curves(lower, upper, intervals)
        self.curves.start_linear(2 * SHEAR, LAME)

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """See `ConstitutiveLaw.stress`."""
        at = decompose(F_elastic)
        return kirchhoff(F_elastic, at, *_scaled(self.curves, at, self.stress_scale))

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """Psi [J/m³], shape (q,); see `ConstitutiveLaw.energy`."""
        return self.stress_scale * self.curves.energy(decompose(F_elastic).e)

    @classmethod
    def example(cls) -> SplineElasticity:
        """See `ConstitutiveLaw.example`."""
        return cls()


def _scaled(curves: Curves, at: Stretches, scale: float) -> tuple[Tensor, Tensor]:
    p, limits = curves(at.e)
    return scale * p, scale * limits


class SplinePlasticity(Plasticity):
    """F = F_trial + flow_scale U diag(p) V^T; new, it leaves F_trial as it is."""

    name = "spline-plasticity"

    def __init__(
        self,
        flow_scale: float = 1e-3,
        *,
        lower: float = 0.2,
        upper: float = 2.0,
        intervals: int = 18,
    ):
        """Start without flow.

        Args:
            flow_scale: Unit of the curves [-].
            lower: As of `SplineElasticity`.
            upper: As of `SplineElasticity`.
            intervals: As of `SplineElasticity`.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__()
        self.flow_scale = above_zero("flow_scale", flow_scale, "[-]")
        self.lower, self.upper, self.intervals = lower, upper, intervals
        self.curves = Curves(lower, upper, intervals)

    def return_map(self, F_trial: Tensor) -> Tensor:
        """See `Plasticity.return_map`."""
        at = decompose(F_trial)
        return F_trial + mixed(F_trial, at, *_scaled(self.curves, at, self.flow_scale))


class Spline(TwoParts):
    """`SplineElasticity` with `SplinePlasticity`; the two share nothing."""

    name = "spline"
    elasticity: SplineElasticity
    plasticity: SplinePlasticity

    def __init__(
        self,
        stress_scale: float = 1e5,
        flow_scale: float = 1e-3,
        *,
        lower: float = 0.2,
        upper: float = 2.0,
        intervals: int = 18,
        seed: int | None = None,
    ):
        """Start as the corotated law without flow.

        Args:
            stress_scale: Expected Young's modulus [Pa], the unit of the elasticity's curves.
            flow_scale: Unit of the plasticity's curves [-].
            lower: Least stretch, area or volume ratio [-] up to which the curves bend.
            upper: Largest one [-].
            intervals: Between knots.
            seed: Nothing is drawn: there for laws to be made alike.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__()
        self.stress_scale, self.flow_scale, self.seed = float(stress_scale), float(flow_scale), seed
        self.lower, self.upper, self.intervals = lower, upper, intervals
        ends = {"lower": lower, "upper": upper, "intervals": intervals}
        self.elasticity = SplineElasticity(stress_scale, **ends)
        self.plasticity = SplinePlasticity(flow_scale, **ends)

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """That of the elasticity [J/m³], shape (q,)."""
        return self.elasticity.energy(F_elastic, internal)

    @classmethod
    def example(cls) -> Spline:
        """See `ConstitutiveLaw.example`."""
        return cls(1e5, 1e-1)
