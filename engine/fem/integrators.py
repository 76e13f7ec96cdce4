# SPDX-License-Identifier: Apache-2.0
"""How a mesh is advanced in time: static load steps, implicit and explicit integrators.

An implicit integrator gives the acceleration and velocity at the end of a step as linear functions
of the position there,

    x1 = x + dt v + dt^2 (c a + beta a1),    v1 = v + dt (d a + gamma a1)

and the instant within the step at which forces balance,

    (1 - alpha_f) (f_int - f_ext)_1 + alpha_f (f_int - f_ext)_0
        + M ((1 - alpha_m) a1 + alpha_m a + m ((1 - alpha_f) v1 + alpha_f v)) = 0

with m the mass-proportional part of Rayleigh damping. Its stiffness-proportional part is the law
`Damped`. Newmark 1959, "A method of computation for structural dynamics"; Chung and Hulbert 1993,
"A time integration algorithm for structural dynamics with improved numerical dissipation".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Motion(NamedTuple):
    """At the start of a step."""

    x: Tensor
    """[m], shape (n, 3)."""
    v: Tensor
    """[m/s], shape (n, 3)."""
    a: Tensor
    """[m/s²], shape (n, 3)."""
    net: Tensor
    """f_int - f_ext [N], shape (n, 3)."""


class Terms(NamedTuple):
    """What the balance r(x1) = s net(x1) + M (A (x1 - x) + Y) + Z is made of."""

    A: float
    """[1/s²]"""
    s: float
    Y: Tensor
    """[m/s²], shape (n, 3)."""
    Z: Tensor
    """[N], shape (n, 3)."""


class Integrator(ABC):
    """How a step is taken."""

    @property
    def explicit(self) -> bool:
        """Whether no system of equations is solved."""
        return False

    @abstractmethod
    def terms(self, at: Motion, dt: float) -> Terms:
        """Of the balance at the end of a step."""

    @abstractmethod
    def guess(self, at: Motion, dt: float) -> Tensor:
        """Positions to start from [m], shape (n, 3)."""

    @abstractmethod
    def rates(self, at: Motion, x: Tensor, dt: float) -> tuple[Tensor, Tensor]:
        """Velocities and accelerations at the end of a step that ends at x."""


@dataclass(frozen=True)
class Static(Integrator):
    """Load steps from equilibrium to equilibrium; time only orders them.

    Constant loads and prescribed displacements are raised from zero over the scene's duration.
    """

    steps: int = 5
    """Equal load steps over the scene's duration."""

    def __post_init__(self) -> None:
        """Refuse to take no step."""
        if self.steps < 1:
            raise ValueError(f"got steps={self.steps}, expected at least one load step")

    def terms(self, at: Motion, dt: float) -> Terms:
        """No inertia."""
        zero = at.x.new_zeros(at.x.shape)
        return Terms(0.0, 1.0, zero, zero)

    def guess(self, at: Motion, dt: float) -> Tensor:
        """The last equilibrium."""
        return at.x

    def rates(self, at: Motion, x: Tensor, dt: float) -> tuple[Tensor, Tensor]:
        """None."""
        zero = x.new_zeros(x.shape)
        return zero, zero


@dataclass(frozen=True)
class Implicit(Integrator, ABC):
    """An integrator that solves for the end of a step."""

    dt: float
    """Step [s]."""
    mass_damping: float = 0.0
    """m [1/s]; an oscillation of angular frequency ω gets the damping ratio m / 2ω."""

    def __post_init__(self) -> None:
        """Refuse a step that is none."""
        if not self.dt > 0.0:
            raise ValueError(f"the step dt must be positive [s]; got {self.dt:g}")
        if not self.mass_damping >= 0.0:
            raise ValueError(f"the mass damping must be 0 or more [1/s]; got {self.mass_damping:g}")

    @property
    @abstractmethod
    def numbers(self) -> Numbers:
        """Which member of the family it is."""

    def terms(self, at: Motion, dt: float) -> Terms:
        """See `Terms`."""
        k, m = self.numbers, self.mass_damping
        A1 = 1.0 / (k.beta * dt * dt)
        a1 = -A1 * dt * at.v - k.c / k.beta * at.a  # at x1 = x
        v1 = at.v + dt * (k.d * at.a + k.gamma * a1)
        Y = (1.0 - k.alpha_m) * a1 + k.alpha_m * at.a
        Y = Y + m * ((1.0 - k.alpha_f) * v1 + k.alpha_f * at.v)
        A = (1.0 - k.alpha_m) * A1 + m * (1.0 - k.alpha_f) * k.gamma * dt * A1
        return Terms(A, 1.0 - k.alpha_f, Y, k.alpha_f * at.net)

    def held(self, at: Motion, v: Tensor, a: Tensor) -> Tensor:
        """A (x1 - x) + Y [m/s²], shape (n, 3), where the motion at the end is prescribed."""
        k, m = self.numbers, self.mass_damping
        moved = (1.0 - k.alpha_m) * a + k.alpha_m * at.a
        return moved + m * ((1.0 - k.alpha_f) * v + k.alpha_f * at.v)

    def guess(self, at: Motion, dt: float) -> Tensor:
        """Where constant acceleration leads."""
        return at.x + dt * at.v + 0.5 * dt * dt * at.a

    def rates(self, at: Motion, x: Tensor, dt: float) -> tuple[Tensor, Tensor]:
        """See the formulas above."""
        k = self.numbers
        a1 = (x - at.x - dt * at.v) / (k.beta * dt * dt) - k.c / k.beta * at.a
        return at.v + dt * (k.d * at.a + k.gamma * a1), a1


class Numbers(NamedTuple):
    """See the formulas above."""

    beta: float
    gamma: float
    c: float
    d: float
    alpha_m: float = 0.0
    alpha_f: float = 0.0


@dataclass(frozen=True)
class BackwardEuler(Implicit):
    """First order, damps every oscillation; for settling and for contact."""

    @property
    def numbers(self) -> Numbers:
        """x1 = x + dt v1, v1 = v + dt a1."""
        return Numbers(1.0, 1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Newmark(Implicit):
    """Second order without numerical damping at its defaults (trapezoidal rule)."""

    beta: float = 0.25
    gamma: float = 0.5

    @property
    def numbers(self) -> Numbers:
        """As published."""
        return Numbers(self.beta, self.gamma, 0.5 - self.beta, 1.0 - self.gamma)


@dataclass(frozen=True)
class GeneralizedAlpha(Implicit):
    """Second order; damps what the steps do not resolve."""

    spectral_radius: float = 0.8
    """For infinitely fast oscillations: 1 keeps them, 0 kills them in a step."""

    def __post_init__(self) -> None:
        """Refuse a radius outside 0 to 1."""
        super().__post_init__()
        if not 0.0 <= self.spectral_radius <= 1.0:
            raise ValueError(f"got spectral_radius={self.spectral_radius:g}, expected 0 to 1")

    @property
    def numbers(self) -> Numbers:
        """As published."""
        r = self.spectral_radius
        alpha_m, alpha_f = (2.0 * r - 1.0) / (r + 1.0), r / (r + 1.0)
        gamma = 0.5 - alpha_m + alpha_f
        beta = 0.25 * (1.0 - alpha_m + alpha_f) ** 2
        return Numbers(beta, gamma, 0.5 - beta, 1.0 - gamma, alpha_m, alpha_f)


@dataclass(frozen=True)
class CentralDifferences(Integrator):
    """Explicit, second order, with lumped masses (velocity Verlet)."""

    dt: float | None = None
    """Step [s]; None takes `share` of the estimated limit."""
    share: float = 0.8
    """Of the longest stable step."""
    mass_damping: float = 0.0
    """m [1/s], as for implicit integrators."""

    @property
    def explicit(self) -> bool:
        """It is."""
        return True

    def terms(self, at: Motion, dt: float) -> Terms:
        """There is no system to solve."""
        raise TypeError("central differences solve no system of equations")

    def guess(self, at: Motion, dt: float) -> Tensor:
        """Where the step ends."""
        return at.x + dt * at.v + 0.5 * dt * dt * at.a

    def rates(self, at: Motion, x: Tensor, dt: float) -> tuple[Tensor, Tensor]:
        """Not from positions alone."""
        raise TypeError("central differences take velocities from forces")
