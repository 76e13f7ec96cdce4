# SPDX-License-Identifier: Apache-2.0
"""The arrays of a scene on particles and a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..law_groups import LawGroup

FOREVER = 2**31 - 1
"""A step that never comes."""


@dataclass(frozen=True)
class Grid:
    """The background grid of each world."""

    origin: tuple[float, float, float]
    """Position of node (0, 0, 0) [m]."""
    cell: float
    """Cell length [m]."""
    nodes: tuple[int, int, int]
    """Nodes along each axis."""
    margin: int
    """Cells between the first node and the wall."""

    @property
    def rows(self) -> int:
        """Rows of nodes along z."""
        return self.nodes[0] * self.nodes[1]


@dataclass(frozen=True)
class Walls:
    """What the six faces (x-, x+, y-, y+, z-, z+) of each world do."""

    mode: Tensor
    """kernels.contacts OPEN, STICKY, SLIP or CONTACT; shape (worlds, 6), int32."""
    friction: Tensor
    """Coulomb coefficient [-], shape (worlds, 6)."""


@dataclass(frozen=True)
class Colliders:
    """Obstacles, k slots a world; poses at t steps, the last one kept for ever after."""

    shape: Tensor
    """kernels.contacts shape code, shape (worlds, k), int32."""
    mode: Tensor
    """As in `Walls`, shape (worlds, k), int32."""
    mesh: Tensor
    """wp.Mesh id, shape (worlds, k), int64 (0: none)."""
    size: Tensor
    """Radius, half-length or half-lengths [m], shape (worlds, k, 3)."""
    friction: Tensor
    """[-], shape (worlds, k)."""
    position: Tensor
    """[m], shape (t, worlds, k, 3)."""
    rotation: Tensor
    """Quaternion x, y, z, w, shape (t, worlds, k, 4)."""
    velocity: Tensor
    """[m/s], shape (t, worlds, k, 3)."""
    spin: Tensor
    """[rad/s], shape (t, worlds, k, 3)."""
    keep: tuple[object, ...] = ()
    """Owners of the meshes."""


@dataclass(frozen=True)
class MPMModel:
    """Immutable arrays of one or several worlds; every float array may carry a gradient."""

    dt: float
    """Step [s]."""
    grid: Grid
    x0: Tensor
    """Initial positions [m], shape (n, 3)."""
    v0: Tensor
    """Initial velocities [m/s], shape (n, 3)."""
    density: Tensor
    """Rest density [kg/m³], shape (n,)."""
    volume: Tensor
    """Rest volume [m³], shape (n,)."""
    gravity: Tensor
    """[m/s²], shape (worlds, 3)."""
    mass_offset: float
    """Added to the mass of every node [kg]."""
    world: Tensor
    """World of each particle, shape (n,), int32."""
    body: Tensor
    """Body of each particle within its world, shape (n,), int32."""
    life: Tensor
    """First step and the step after the last, shape (n, 2), int32."""
    walls: Walls
    colliders: Colliders
    groups: Sequence[LawGroup]
    body_names: tuple[str, ...] = ()
    body_laws: tuple[str, ...] = ()

    @property
    def spacing(self) -> float:
        """Length that the discretization resolves [m]."""
        return self.grid.cell

    @property
    def n(self) -> int:
        """Particles in all worlds."""
        return len(self.x0)

    @property
    def worlds(self) -> int:
        """Independent worlds."""
        return len(self.gravity)

    @property
    def n_internal(self) -> int:
        """Columns of history: those of the law that has most."""
        return max(law.n_internal for group in self.groups for law in group.laws)

    def describe(self, particle: int) -> str:
        """Names a particle in an error: its number, body and material."""
        body = int(self.body[particle])
        name = self.body_names[body] if body < len(self.body_names) else "body"
        law = self.body_laws[body] if body < len(self.body_laws) else "unknown"
        return f"particle {particle} ({name}, material {law}, world {int(self.world[particle])})"
