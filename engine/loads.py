# SPDX-License-Identifier: Apache-2.0
"""What holds and loads a body on a part of it: displacements, tractions, pressure, springs, masses.

They act on the nodes of a mesh, so they are for finite elements; the particle solver says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .boundaries import Boundary, Vector
from .shapes import Solid

Region = str | Solid | Callable[[Tensor], Tensor]
"""A part of a body: the name of a group of its mesh, a solid that holds it at rest, or a function
of rest positions (n, 3) [m] that gives which belong to it (n,), bool."""

Value = float | Tensor | Callable[[Tensor], Tensor]
"""A number for all times, or a function of the time [s], a scalar tensor, that gives one."""

VectorValue = Vector | Tensor | Callable[[Tensor], Tensor]
"""A vector for all times, or a function of the time [s], a scalar tensor, that gives one, (3,).

A static solver takes what is constant for the full load and raises it from zero in its steps; a
function of time it takes as it is."""

VectorField = Vector | Tensor | Callable[[Tensor], Tensor]
"""A vector everywhere, or a function of rest positions (n, 3) [m] that gives one for each, (n, 3).

A static solver raises it from zero, as it does what is constant in time."""

COMPONENTS = "xyz"


def _check_vector(name: str, unit: str, value: VectorValue) -> None:
    """Refuse what is neither a function nor three numbers."""
    if callable(value):
        return
    shape = tuple(torch.as_tensor(value).shape)
    if shape[-1:] != (3,):
        raise ValueError(
            f"got {name} of shape {shape}, expected three numbers {unit} or a function that gives"
            " them"
        )


@dataclass(frozen=True)
class Load(Boundary):
    """Something that acts on a part of a body."""

    on: Region
    """Where."""


@dataclass(frozen=True)
class Displacement(Load):
    """Nodes that move as prescribed."""

    value: VectorValue = (0.0, 0.0, 0.0)
    """From the place at rest [m]."""
    components: str = "xyz"
    """Axes along which it is prescribed; along the others the nodes are free."""
    body: str | None = None
    """Name of the body; None: of all."""

    def __post_init__(self) -> None:
        """Refuse axes that there are not, and what is no vector."""
        _check_vector("a displacement", "[m]", self.value)
        if not self.components or set(self.components) - set(COMPONENTS):
            raise ValueError(
                f"got components={self.components!r}, expected some of the letters of 'xyz'"
            )


def Fixed(on: Region, components: str = "xyz", body: str | None = None) -> Displacement:
    """Nodes that stay where they are, along some axes."""
    return Displacement(on, (0.0, 0.0, 0.0), components, body)


@dataclass(frozen=True)
class Traction(Load):
    """A dead load on a side: its direction and its size per area at rest do not change."""

    value: VectorValue
    """[Pa]"""
    body: str | None = None
    """Name of the body; None: of all."""

    def __post_init__(self) -> None:
        """Refuse what is no vector."""
        _check_vector("a traction", "[Pa]", self.value)


@dataclass(frozen=True)
class Pressure(Load):
    """A follower load on a side: against the outward normal, per area as it deforms."""

    value: Value
    """[Pa]"""
    body: str | None = None
    """Name of the body; None: of all."""


@dataclass(frozen=True)
class BodyForce(Boundary):
    """A dead load in the volume, beside gravity: its size per volume at rest does not change."""

    field: VectorField
    """[N/m³]: a vector, or a function of rest positions (n, 3) [m] that gives one for each."""
    on: Region | None = None
    """Where: elements of which every node is in it; None: everywhere."""
    body: str | None = None
    """Name of the body; None: of all."""

    def __post_init__(self) -> None:
        """Refuse what is no vector."""
        _check_vector("a body force", "[N/m³]", self.field)


@dataclass(frozen=True)
class PointForce(Load):
    """A force, shared equally by the nodes of its part."""

    value: VectorValue
    """In all [N]."""
    body: str | None = None
    """Name of the body; None: of all."""

    def __post_init__(self) -> None:
        """Refuse what is no vector."""
        _check_vector("a force", "[N]", self.value)


@dataclass(frozen=True)
class Spring(Load):
    """Pulls the nodes of its part back to where they are at rest, each by an equal share."""

    stiffness: float | Tensor
    """In all [N/m], along every axis."""
    body: str | None = None
    """Name of the body; None: of all."""

    def __post_init__(self) -> None:
        """Refuse a spring that pushes away."""
        stiffness = float(torch.as_tensor(self.stiffness).detach())
        if not stiffness >= 0.0:
            raise ValueError(f"got stiffness={stiffness:g}, expected 0 or more [N/m]")


@dataclass(frozen=True)
class PointMass(Load):
    """A mass that moves along, with its weight, shared equally by the nodes of its part."""

    mass: float | Tensor
    """In all [kg]."""
    body: str | None = None
    """Name of the body; None: of all."""

    def __post_init__(self) -> None:
        """Refuse a negative mass."""
        mass = float(torch.as_tensor(self.mass).detach())
        if not mass >= 0.0:
            raise ValueError(f"got mass={mass:g}, expected 0 or more [kg]")
