# SPDX-License-Identifier: Apache-2.0
"""The arrays of a scene on a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from rheograd.materials.law import Elasticity

from ..cells import Cells
from ..law_groups import LawGroup
from ..mesh.elements import Element
from ..scene import Scene
from .forces import Force, Moment
from .geometry import Geometry, geometry, mass_matrices
from .poses import Course


@dataclass(frozen=True)
class Prescribed:
    """Nodes that move as prescribed from their place at rest."""

    nodes: Tensor
    """Shape (k,), int64."""
    axes: Tensor
    """Which axes are prescribed, shape (3,), bool."""
    value: Any
    """Displacement [m]: a vector or a function of time."""

    @property
    def still(self) -> bool:
        """Whether it is the same at all times, unless a static solver raises it."""
        return not callable(self.value)

    def displacement(self, x0: Tensor, at: Moment) -> Tensor:
        """Of its nodes [m], shape (k, 3)."""
        return at.value(self.value).expand(len(self.nodes), 3)


@dataclass(frozen=True)
class Gripped(Prescribed):
    """Nodes that move as one rigid piece; `value` is unused."""

    course: Course

    @property
    def still(self) -> bool:
        """See `Prescribed.still`."""
        return len(self.course.position) == 1

    def displacement(self, x0: Tensor, at: Moment) -> Tensor:
        """See `Prescribed.displacement`; between steps linear."""
        position, rotation = self.course.at(at.seconds)
        own = x0[self.nodes]
        return (own - self.course.position[0]) @ rotation.T + position - own


@dataclass(frozen=True)
class FEModel:
    """Immutable arrays of one or several worlds; every float array may carry a gradient."""

    dt: float
    """Step [s]; of a static solver the time from one equilibrium to the next."""
    kind: Element
    x0: Tensor
    """Positions at rest [m], shape (n, 3)."""
    v0: Tensor
    """Initial velocities [m/s], shape (n, 3)."""
    nodes: Tensor
    """Nodes of each element, shape (e, a), int64."""
    density: Tensor
    """At rest [kg/m³], shape (e,)."""
    stiffness: Tensor
    """Factor on the stress of each element [-], shape (e,)."""
    gravity: Tensor
    """[m/s²], shape (worlds, 3)."""
    added_mass: Tensor
    """Of point masses, for each node [kg], shape (n,)."""
    world: Tensor
    """Of each node, shape (n,), int64."""
    body: Tensor
    """Of each node within its world, shape (n,), int32."""
    groups: Sequence[LawGroup]
    """Laws of the quadrature points, element by element."""
    fixed: Tensor
    """Which components of which nodes are prescribed, shape (n, 3), bool."""
    prescribed: Sequence[Prescribed]
    forces: Sequence[Force]
    mean_dilatation: bool
    """Whether volume changes are averaged over each element."""
    ramp: float
    """Time over which constant loads are raised from zero [s]; 0: they act at once."""
    body_names: tuple[str, ...] = ()
    scenes: tuple[Scene, ...] = ()
    """What it was made of, shapes as meshes."""
    lumped: bool = False
    """Whether masses are those of single nodes, as explicit steps have them."""

    @cached_property
    def _still(self) -> tuple[Geometry, Tensor]:
        X = self.x0.detach()[self.nodes]
        own = Geometry(*(t.contiguous() for t in geometry(self.kind, X)))
        return own, mass_matrices(self.kind, X, self.density.detach())

    def geometry(self, x0: Tensor) -> Geometry:
        """Of its elements with the nodes at rest at x0, which are its own or a copy of them."""
        if x0.requires_grad and torch.is_grad_enabled():
            return geometry(self.kind, x0[self.nodes])
        return self._still[0]

    def masses(self, x0: Tensor, density: Tensor) -> Tensor:
        """Consistent masses of pairs of an element's nodes [kg], shape (e, a, a); as `geometry`."""
        if (x0.requires_grad or density.requires_grad) and torch.is_grad_enabled():
            return mass_matrices(self.kind, x0[self.nodes], density)
        return self._still[1]

    @property
    def spacing(self) -> float:
        """Length that the mesh resolves [m]: the mean distance of corners along an edge."""
        ends = self.x0.detach()[self.nodes[:, :2]]
        return float((ends[:, 1] - ends[:, 0]).norm(dim=1).mean())

    @property
    def n(self) -> int:
        """Nodes in all worlds."""
        return len(self.x0)

    @property
    def worlds(self) -> int:
        """Independent worlds."""
        return len(self.gravity)

    @property
    def points(self) -> int:
        """Quadrature points in all."""
        return len(self.nodes) * len(self.kind.stiffness.weights)

    @property
    def cells(self) -> Cells:
        """The mesh, as a trajectory records it."""
        return Cells(self.kind.name, self.nodes.cpu())

    @property
    def small(self) -> bool:
        """Whether its laws are of small strains."""
        return any(law.kinematics == "small" for group in self.groups for law in group.laws)

    @property
    def symmetric(self) -> bool:
        """Whether the derivative of the internal forces and loads is a symmetric matrix."""
        laws = all(law.symmetric for group in self.groups for law in group.laws)
        return laws and all(force.symmetric for force in self.forces)

    @property
    def remembers(self) -> bool:
        """Whether a law's answer depends on more than the deformation it is asked about."""
        laws = [law for group in self.groups for law in group.laws]
        return self.small or not all(
            isinstance(law, Elasticity) and law.conservative for law in laws
        )

    def moment(self, since: float, time: float) -> Moment:
        """The end of an increment from one time to another [s]."""
        share = 1.0 if self.ramp <= 0.0 else min(time / self.ramp, 1.0)
        now = torch.tensor(time, dtype=self.x0.dtype, device=self.x0.device)
        return Moment(time, since, share, now)

    def places(self, at: Moment) -> Tensor:
        """Where prescribed components of nodes are; others as at rest. Shape (n, 3) [m]."""
        x0 = x = self.x0
        for piece in self.prescribed:
            moved = x0[piece.nodes] + piece.displacement(x0, at)
            x = x.index_put((piece.nodes,), torch.where(piece.axes, moved, x[piece.nodes]))
        return x

    @property
    def moves(self) -> bool:
        """Whether what is prescribed moves."""
        return self.ramp > 0.0 or not all(piece.still for piece in self.prescribed)

    def held_motion(self, time: float, h: float) -> tuple[Tensor, Tensor] | None:
        """Velocities and accelerations of prescribed components, others 0; shape (n, 3) each.

        By second differences over h, one-sided within the first h; None: nothing moves.
        """
        if not self.moves:
            return None
        first = -1 if time >= h * (1 - 1e-9) else 0
        low, mid, high = (
            self.places(self.moment(time, time + k * h)) for k in range(first, first + 3)
        )
        if first:
            v = (high - low) / (2 * h)
        else:
            v = (4 * mid - 3 * low - high) / (2 * h)
        return v, (high - 2 * mid + low) / (h * h)

    def load_values(self, at: Moment) -> tuple[Tensor, ...]:
        """Of all forces at a moment."""
        return tuple(force.resolve(at) for force in self.forces)

    def describe(self, element: int) -> str:
        """Names an element in an error: its number, body and world."""
        node = int(self.nodes[element, 0])
        body = int(self.body[node])
        name = self.body_names[body] if body < len(self.body_names) else "body"
        return f"element {element} ({name}, world {int(self.world[node])})"
