# SPDX-License-Identifier: Apache-2.0
"""What is simulated: bodies of some shape and law, what they meet, gravity and a duration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from .boundaries import Boundary, Vector
from .shapes import Shape


@dataclass(frozen=True)
class Body:
    """A piece of one material."""

    shape: Shape
    law: ConstitutiveLaw
    density: float | Tensor
    """Rest density [kg/m³]."""
    velocity: Vector | Tensor = (0.0, 0.0, 0.0)
    """Initial velocity of its centre [m/s]."""
    spin: Vector | Tensor = (0.0, 0.0, 0.0)
    """Initial angular velocity about its centre [rad/s]."""
    life: tuple[float, float] = (0.0, float("inf"))
    """It takes part from the first time to the second [s]; before and after it stands still."""
    stiffness: float | Tensor = 1.0
    """Factor on its stress [-]; on a mesh also one for each element, shape (e,)."""
    name: str = "body"
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Values of the constant fields that its law declares, by name: the numbers for the whole body,
    shape (k,), or one row for each material point, or on a mesh for each element, shape (n, k), or
    a function of rest positions (n, 3) [m] that answers either. Differentiable."""

    def __post_init__(self) -> None:
        """Refuse a density or a stiffness that is not positive."""
        stiffness = torch.as_tensor(self.stiffness).detach()
        if not bool((stiffness > 0.0).all()):
            raise ValueError(
                f"the factor on the stress of {self.name} must be positive [-]; got"
                f" {float(stiffness.min()):g}"
            )
        density = float(torch.as_tensor(self.density).detach())
        if not density > 0.0:
            raise ValueError(
                f"the density of {self.name} must be positive [kg/m³]; got {density:g}"
            )


@dataclass(frozen=True)
class Domain:
    """The axis-aligned box that the walls enclose."""

    lower: Vector = (0.0, 0.0, 0.0)
    """Corner [m]."""
    upper: Vector = (1.0, 1.0, 1.0)
    """Opposite corner [m]."""

    def __post_init__(self) -> None:
        """Refuse a box without volume."""
        if not all(b > a for a, b in zip(self.lower, self.upper, strict=True)):
            raise ValueError(f"the domain is empty: lower {self.lower}, upper {self.upper}")


@dataclass(frozen=True)
class Scene:
    """All that a solver must be told about the world."""

    bodies: Sequence[Body]
    boundaries: Sequence[Boundary] = ()
    """Particles stay in the domain: walls that are not named are free-slip and separating. Meshes
    may leave it: they meet the walls that are named."""
    gravity: Vector | Tensor = (0.0, -9.81, 0.0)
    """[m/s²]"""
    duration: float = 1.0
    """[s]"""
    domain: Domain = field(default_factory=Domain)
    name: str = "scene"

    def __post_init__(self) -> None:
        """Refuse a scene with nothing in it."""
        if not self.bodies:
            raise ValueError("a scene needs at least one body; got none")


def typed(value: Any, like: Tensor) -> Tensor:
    """Numbers as a tensor of the precision and device of `like`; differentiable where they are one.

    In one go: `torch.as_tensor(value).to(like)` rounds Python's numbers to single precision first.
    """
    return torch.as_tensor(value, dtype=like.dtype, device=like.device)


def vector(value: Vector | Tensor, like: Tensor) -> Tensor:
    """`value` as a tensor of shape (3,), typed as `like`; differentiable where it is a tensor."""
    out = typed(value, like)
    if out.shape != (3,):
        raise ValueError(f"expected a vector of three numbers; got shape {tuple(out.shape)}")
    return out
