# SPDX-License-Identifier: Apache-2.0
"""What bodies meet: the walls of the domain, colliders at rest or in motion, and grips.

All act on the velocities of grid nodes; kernels/mpm/contacts.py states the rules and their source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from .shapes import Shape

Mode = Literal["open", "sticky", "slip", "contact"]
"""open: nothing; sticky: moves with the wall; slip: stays in its plane, may not leave;
contact: may leave, slides with Coulomb friction (friction 0: freely)."""

Vector = tuple[float, float, float]
Course = Vector | Tensor | Callable[[Tensor], Tensor]
"""A vector for all times, one a step (shape (steps, 3)), or a function of times (t,) -> (t, 3)."""


class Boundary:
    """Something that bodies meet."""


def _check_friction(friction: float | Tensor) -> None:
    value = float(torch.as_tensor(friction).detach())
    if not value >= 0.0:
        raise ValueError(f"friction must be 0 or more; got {value:g}")


@dataclass(frozen=True)
class Wall(Boundary):
    """One face of the domain."""

    face: Literal["x-", "x+", "y-", "y+", "z-", "z+"]
    mode: Mode = "contact"
    friction: float | Tensor = 0.0
    """Coulomb coefficient [-]."""

    def __post_init__(self) -> None:
        """Refuse an unknown face or a negative friction."""
        if self.face not in FACES:
            raise ValueError(f"a wall is one of {', '.join(FACES)}; got {self.face!r}")
        _check_friction(self.friction)


FACES: tuple[Literal["x-", "x+", "y-", "y+", "z-", "z+"], ...] = (
    "x-",
    "x+",
    "y-",
    "y+",
    "z-",
    "z+",
)


def Floor(mode: Mode = "contact", friction: float | Tensor = 0.0) -> Wall:
    """The lower wall (y is up)."""
    return Wall("y-", mode, friction)


@dataclass(frozen=True)
class Motion:
    """Prescribed motion of a collider about its own position: a velocity and a spin."""

    velocity: Course = (0.0, 0.0, 0.0)
    """[m/s]"""
    spin: Course = (0.0, 0.0, 0.0)
    """Angular velocity [rad/s], about the collider's position."""

    @property
    def at_rest(self) -> bool:
        """Whether nothing moves at any time."""
        courses = (self.velocity, self.spin)
        return all(isinstance(c, tuple) and not any(c) for c in courses)

    def poses(self, start: Tensor, steps: int, dt: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Position (t, 3), quaternion (t, 4; x, y, z, w), velocity (t, 3) and spin (t, 3) a step.

        The pose at step k is the sum of the motions of the steps before; t is `steps`, or 1 at
        rest. Differentiable in the courses.
        """
        count = 1 if self.at_rest else steps
        velocity = _course(self.velocity, count, dt, start)
        spin = _course(self.spin, count, dt, start)
        moved = torch.cumsum(velocity, 0) * dt
        position = start + moved - velocity * dt
        turns = [torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=start.dtype, device=start.device)]
        if isinstance(self.spin, tuple) and not any(self.spin):
            rotation = turns[0].expand(count, 4)
        else:
            for omega in spin[:-1]:
                turns.append(quaternion_product(quaternion(omega * dt), turns[-1]))
            rotation = torch.stack(turns)
        return position, rotation, velocity, spin


def _course(course: Course, count: int, dt: float, like: Tensor) -> Tensor:
    if callable(course):
        times = torch.arange(count, dtype=like.dtype, device=like.device) * dt
        values = course(times)
    else:
        values = torch.as_tensor(course, dtype=like.dtype, device=like.device)
    if values.ndim == 1:
        values = values.expand(count, 3)
    if values.shape[-1] != 3 or len(values) < count:
        raise ValueError(
            f"a motion needs one vector, or a vector for each of {count} steps;"
            f" got shape {tuple(values.shape)}"
        )
    return values[:count].to(like.dtype)


def quaternion(turn: Tensor) -> Tensor:
    """Unit quaternion (x, y, z, w) of a rotation vector [rad], shape (3,)."""
    half = 0.5 * turn
    square = half.dot(half)
    if float(square.detach()) < 1e-12:  # series, so that the derivative exists at rest
        return torch.cat([half * (1 - square / 6), (1 - square / 2)[None]])
    angle = torch.sqrt(square)
    return torch.cat([half * (torch.sin(angle) / angle), torch.cos(angle)[None]])


def quaternion_product(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product of two quaternions (x, y, z, w)."""
    vector = a[3] * b[:3] + b[3] * a[:3] + torch.linalg.cross(a[:3], b[:3])
    return torch.cat([vector, (a[3] * b[3] - a[:3].dot(b[:3]))[None]])


@dataclass(frozen=True)
class HalfSpace:
    """All points on or below a plane."""

    point: Vector = (0.0, 0.0, 0.0)
    """A point of the plane [m]."""
    normal: Vector = (0.0, 1.0, 0.0)
    """Out of the solid side."""


@dataclass(frozen=True)
class Collider(Boundary):
    """A rigid obstacle."""

    shape: Shape | HalfSpace
    friction: float | Tensor = 0.0
    """Coulomb coefficient [-]."""
    motion: Motion = field(default_factory=Motion)
    mode: Mode = "contact"
    skin: float = 0.0
    """How much thicker it is to particles [m]: their grid lets them sink in by part of a cell
    before it feels a surface. Finite elements feel the surface itself."""

    def __post_init__(self) -> None:
        """Refuse a negative friction."""
        _check_friction(self.friction)


def Grip(shape: Shape, motion: Motion | None = None) -> Collider:
    """A region in which the material moves as prescribed: a clamp, the jaw of a machine."""
    return Collider(shape, 0.0, motion or Motion(), mode="sticky")


def box_walls(mode: Mode = "contact", friction: float | Tensor = 0.0) -> Sequence[Wall]:
    """The same wall on all six faces."""
    return [Wall(face, mode, friction) for face in FACES]  # type: ignore[arg-type]
