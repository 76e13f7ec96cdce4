# SPDX-License-Identifier: Apache-2.0
"""The loads of a mesh: nodal forces, and their derivative where they follow the deformation.

All are plain torch, differentiable in positions, rest positions and their own values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..mesh.elements import Element
from ..scene import typed
from .geometry import Facets, rule, volumes


class Moment(NamedTuple):
    """A moment at which loads are evaluated."""

    seconds: float
    """[s]"""
    since: float
    """Start of the increment that ends then [s]."""
    share: float
    """Of constant loads that acts: below 1 while a static solver raises them."""
    time: Tensor
    """`seconds` as functions of time are given it, scalar."""

    def value(self, value: Any) -> Tensor:
        """What a load's value is then, typed as the time."""
        if callable(value):
            return typed(value(self.time), self.time)
        return typed(value, self.time) * self.share


class Place(NamedTuple):
    """Where the nodes of a mesh are."""

    x: Tensor
    """Now [m], shape (n, 3)."""
    before: Tensor
    """At the start of the step [m], shape (n, 3)."""
    x0: Tensor
    """At rest [m], shape (n, 3)."""


class Blocks(NamedTuple):
    """A sum of small dense matrices over sets of nodes."""

    nodes: Tensor
    """Shape (m, b), int64."""
    matrices: Tensor
    """Derivative of force on node b by position of node c, shape (m, b, 3, b, 3) [N/m]."""


class Force(ABC):
    """A load on the nodes of a mesh."""

    follows: bool = False
    """Whether it depends on the deformation."""
    symmetric: bool = True
    """Whether its derivative is a symmetric matrix."""

    @abstractmethod
    def resolve(self, at: Moment) -> Tensor:
        """What it is at a moment, in numbers; differentiable."""

    @abstractmethod
    def on_nodes(self, place: Place, value: Tensor) -> Tensor:
        """Forces [N], shape (n, 3).

        Args:
            place: Where the nodes are.
            value: From `resolve`.
        """

    def derivative(self, place: Place, value: Tensor) -> Blocks:
        """By the positions now, where it follows the deformation.

        Raises:
            TypeError: It does not.
        """
        raise TypeError(f"{type(self).__name__} does not follow the deformation")


@dataclass(frozen=True)
class DeadTraction(Force):
    """Constant forces per area at rest."""

    facets: Facets
    row: Tensor
    """Which of the values acts on each side, shape (f,), int64."""
    values: tuple[Any, ...]
    """[Pa]"""

    def resolve(self, at: Moment) -> Tensor:
        """See `Force.resolve`; shape (values, 3)."""
        return torch.stack([at.value(value) for value in self.values])

    def on_nodes(self, place: Place, value: Tensor) -> Tensor:
        """See `Force.on_nodes`: sum over points of N_a t |dA|."""
        N = self.facets.rule(value).N
        area = self.facets.normals(place.x0).norm(dim=2)
        share = torch.einsum("fq,qb->fb", area, N)[..., None] * value[self.row][:, None]
        return _gathered(self.facets.nodes, share, place.x)


@dataclass(frozen=True)
class DeadBodyForce(Force):
    """A constant force per volume at rest."""

    kind: Element
    nodes: Tensor
    """Of its elements, shape (e, a), int64."""
    points: Tensor
    """Rest positions of the points of the mass rule [m], shape (e, q, 3)."""
    field: Any
    """[N/m³], or a function of positions (n, 3) that gives it."""

    def resolve(self, at: Moment) -> Tensor:
        """See `Force.resolve`; shape (e, q, 3)."""
        field = self.field
        if callable(field):
            field = torch.as_tensor(field(self.points.reshape(-1, 3))).reshape(self.points.shape)
        return at.value(field).expand(self.points.shape)

    def on_nodes(self, place: Place, value: Tensor) -> Tensor:
        """See `Force.on_nodes`: sum over points of N_a b dV."""
        weight = volumes(self.kind, place.x0[self.nodes])
        N = rule(self.kind, "mass", value).N
        share = torch.einsum("eq,qa,eqi->eai", weight, N, value)
        return _gathered(self.nodes, share, place.x)


@dataclass(frozen=True)
class FollowerPressure(Force):
    """A pressure on the deformed side; Bonet and Wood 2008, 8.5.2 (derivative)."""

    follows = True
    symmetric = False
    facets: Facets
    value: Any
    """[Pa]"""

    def resolve(self, at: Moment) -> Tensor:
        """See `Force.resolve`."""
        return at.value(self.value)

    def on_nodes(self, place: Place, value: Tensor) -> Tensor:
        """See `Force.on_nodes`: minus the sum over points of p N_a da."""
        N = self.facets.rule(value).N
        pushed = torch.einsum("fqi,qb->fbi", self.facets.normals(place.x), N)
        return _gathered(self.facets.nodes, -value * pushed, place.x)

    def derivative(self, place: Place, value: Tensor) -> Blocks:
        """See `Force.derivative`."""
        kind = self.facets.kind
        N, local, weights = self.facets.rule(value)
        first, second = self.facets.tangents(place.x)
        # a change d of node c changes the area vector by d N_c,1 x second + first x d N_c,2
        turn = torch.einsum("qc,fqij->fqcij", local[..., 0], -_cross(second))
        if kind.dim == 2:
            turn = turn + torch.einsum("qc,fqij->fqcij", local[..., 1], _cross(first))
        scale = -value * weights
        return Blocks(self.facets.nodes, torch.einsum("q,qb,fqcij->fbicj", scale, N, turn))


@dataclass(frozen=True)
class NodalForce(Force):
    """A force on some nodes."""

    nodes: Tensor
    """Shape (k,), int64."""
    value: Any
    """In all [N]."""

    def resolve(self, at: Moment) -> Tensor:
        """See `Force.resolve`."""
        return at.value(self.value)

    def on_nodes(self, place: Place, value: Tensor) -> Tensor:
        """See `Force.on_nodes`."""
        share = (value / len(self.nodes)).expand(len(self.nodes), 3)
        return torch.zeros_like(place.x).index_add(0, self.nodes, share)


@dataclass(frozen=True)
class NodalSpring(Force):
    """A pull of some nodes back to where they are at rest."""

    follows = True
    nodes: Tensor
    """Shape (k,), int64."""
    stiffness: Any
    """In all [N/m]."""

    def resolve(self, at: Moment) -> Tensor:
        """See `Force.resolve`; the same at all times."""
        return typed(self.stiffness, at.time)

    def on_nodes(self, place: Place, value: Tensor) -> Tensor:
        """See `Force.on_nodes`."""
        pull = value / len(self.nodes) * (place.x0 - place.x)[self.nodes]
        return torch.zeros_like(place.x).index_add(0, self.nodes, pull)

    def derivative(self, place: Place, value: Tensor) -> Blocks:
        """See `Force.derivative`."""
        eye = -value / len(self.nodes) * torch.eye(3).to(value)
        return Blocks(self.nodes[:, None], eye.expand(len(self.nodes), 3, 3)[:, None, :, None])


def merged(forces: list[Force]) -> list[Force]:
    """The same forces with all dead tractions as one, as a batch of many worlds has many."""
    dead = [force for force in forces if isinstance(force, DeadTraction)]
    if len(dead) < 2:
        return forces
    counts = [len(force.values) for force in dead]
    starts = [sum(counts[:k]) for k in range(len(dead))]
    one = DeadTraction(
        Facets(dead[0].facets.kind, torch.cat([force.facets.nodes for force in dead])),
        torch.cat([force.row + start for force, start in zip(dead, starts, strict=True)]),
        tuple(value for force in dead for value in force.values),
    )
    return [one, *(force for force in forces if not isinstance(force, DeadTraction))]


def _gathered(nodes: Tensor, forces: Tensor, like: Tensor) -> Tensor:
    return torch.zeros_like(like).index_add(0, nodes.reshape(-1), forces.reshape(-1, 3))


def _cross(a: Tensor) -> Tensor:
    """The matrix of a x, shape (..., 3, 3)."""
    zero = torch.zeros_like(a[..., 0])
    x, y, z = a.unbind(-1)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))
