# SPDX-License-Identifier: Apache-2.0
"""The learned time step: from the recent motion of sparse points to their acceleration.

Encoders, interaction layers, a latent grid, interaction layers, a decoder: the sequence of GIOROM
(Viswanath et al. 2024, "Reduced-order neural operators"), with relative and normalized inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .features import Poses, WallGroups
from .interaction import MLP, Graph, Interaction
from .latent_grid import LatentGrid

START = 0.1
"""Of the usual size of first weights are those of the answer: it begins near a free fall."""
CROWD = 10.0
"""Points for each one that feels a wall, about: it bears the weight of as many."""
STRAINED = 5.0
"""Strains are of the order of its inverse."""


@dataclass(frozen=True)
class Architecture:
    """Sizes of the network, and what it is told."""

    width: int = 48
    """Numbers that a point and an edge hold."""
    before: int = 2
    """Interaction layers before the grid."""
    after: int = 2
    """Interaction layers after it."""
    grid: int = 6
    """Nodes along each axis of the latent grid; 0: none."""
    tokens: int = 48
    """Numbers that a node holds."""
    blocks: int = 2
    """Of attention."""
    heads: int = 4
    experts: int = 2
    neighbours: int = 12
    """At most, of each point."""
    reach: float = 2.5
    """Radius of a neighbourhood in spacings of the sparse points."""
    history: int = 1
    """Velocities that it is told. The published 5 hold past accelerations: a network that copies
    those into the next one looks good a step at a time and runs away in a roll-out."""
    reference: bool = True
    """Whether it knows the shape at rest (solids), or only the present (what flows)."""
    conserving: bool = True
    """Whether only walls and weight change the momentum of a world."""
    wall_groups: int = 2
    """Kinds of walls."""
    code: int = 0
    """Numbers that say what the material is."""

    @property
    def point_inputs(self) -> int:
        """Numbers that it is told of a point."""
        vectors = self.history + 1 + self.wall_groups + self.reference
        return 3 * vectors + self.wall_groups + self.code + 1

    @property
    def edge_inputs(self) -> int:
        """And of an edge."""
        return 4 * (1 + self.reference)


class SparsePoints(NamedTuple):
    """What does not change of the sparse points of some worlds."""

    rest: Tensor
    """Positions at rest [m], shape (n, 3)."""
    body: Tensor
    """Number over all worlds, shape (n,), int64."""
    bodies: int
    world: Tensor
    """Shape (n,), int64."""
    worlds: int
    spacing: Tensor
    """Of the sparse points of its world [m], shape (n, 1)."""
    widest: float
    """The largest spacing [m]."""
    mass: Tensor
    """Of what is nearest to it [kg], shape (n, 1)."""
    code: Tensor
    """What the material is, shape (n, code)."""
    gravity: Tensor
    """Of its world [m/frame²], shape (n, 3)."""
    walls: WallGroups


class TimeStepper(nn.Module):
    """Accelerations from motion, in units that `training.set_scales` takes from the data."""

    velocity: Tensor
    """Root mean square over the training data [m/frame], shape ()."""
    acceleration: Tensor
    """Likewise, without gravity [m/frame²], shape ()."""
    spacing: Tensor
    """Geometric mean [m], shape ()."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.shape = shape
        w = shape.width
        self.point = MLP(shape.point_inputs, w, w)
        self.edge = MLP(shape.edge_inputs, w, w)
        self.before = nn.ModuleList(Interaction(w) for _ in range(shape.before))
        self.after = nn.ModuleList(Interaction(w) for _ in range(shape.after))
        if shape.grid:
            self.grid = LatentGrid(
                w, shape.tokens, shape.grid, shape.blocks, shape.heads, shape.experts
            )
            self.join = MLP(2 * w, 2 * w, w)
        self.out = MLP(w, w, 6, norm=False)
        last = self.out[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.bias)
        last.weight.data.mul_(START)
        for name in ("velocity", "acceleration", "spacing"):
            self.register_buffer(name, torch.ones(()))

    def forward(
        self, recent: Tensor, points: SparsePoints, neighbours: Tensor, spun: Tensor | None = None
    ) -> Tensor:
        """Accelerations [m/frame²], shape (n, 3).

        Args:
            recent: The last positions, the present one last [m], shape (history + 1, n, 3).
            points: Which points these are.
            neighbours: Of each, -1 in an empty slot, shape (n, k).
            spun: Orthogonal matrices, one of each world, by which all that it is told is turned and
                its answer back, shape (worlds, 3, 3): for training.
        """
        shape, p, x = self.shape, points, recent[-1]
        # without a reference bodies mix, and all of a world are seen from one place
        piece, pieces = (p.body, p.bodies) if shape.reference else (p.world, p.worlds)
        poses = Poses.of(x, p.rest, piece, pieces, turning=shape.reference)
        turn = poses.turn[piece]
        spin = None if spun is None else spun[p.world]
        if spin is not None:
            turn = turn @ spin
        radius = shape.reach * p.spacing

        def local(v: Tensor) -> Tensor:  # (n, ..., 3) vectors in the frame of the body
            return torch.einsum("n...a,nab->n...b", v, turn)

        y = local(x - poses.centre[piece])
        Y = p.rest - poses.rest_centre[piece]
        if spin is not None:
            Y = torch.einsum("na,nab->nb", Y, spin)
        normals, near = p.walls.near(x, radius)
        vectors = [
            local((recent[1:] - recent[:-1]).transpose(0, 1)) / self.velocity,
            local(p.gravity)[:, None] / self.acceleration,
            local(normals),
        ]
        if shape.reference:
            vectors.append(((y - Y) / p.spacing)[:, None])
        told = [torch.cat(vectors, 1).flatten(1), near, p.code, (p.spacing / self.spacing).log()]
        h = self.point(torch.cat(told, 1))
        e, graph = self._edges(y, Y, radius, neighbours)
        for layer in self.before:
            h, e = layer(h, e, graph)
        if shape.grid:
            far = self.grid(h, Y if shape.reference else y, p.world, p.worlds)
            h = h + self.join(torch.cat([h, far], 1))
        for layer in self.after:
            h, e = layer(h, e, graph)
        inner, walls = (self.out(h) * self.acceleration).split(3, 1)
        out = torch.einsum("na,nba->nb", inner, turn)
        if shape.conserving:
            felt = near.amax(1, keepdim=True) * CROWD
            force = felt * torch.einsum("na,nba->nb", walls, turn)
            out = force + without_net_force(out - force, x, p.mass, p.world, p.worlds)
        return out + p.gravity

    def _edges(
        self, y: Tensor, Y: Tensor, radius: Tensor, neighbours: Tensor
    ) -> tuple[Tensor, Graph]:
        """What edges hold at first, shape (n, k, w), of places now and at rest."""
        missing = (neighbours < 0)[..., None]
        other = neighbours.clamp(min=0)
        place, rest = (
            (a[other] - a[:, None]).masked_fill(missing, 0.0) / radius[:, None] for a in (y, Y)
        )
        size = length(place)
        if not self.shape.reference:
            return self.edge(torch.cat([place, size], 2)), Graph.of(neighbours, size[..., 0])
        far = length(rest)
        parts = [(place - rest) * STRAINED, rest, far, (size - far) * STRAINED]
        return self.edge(torch.cat(parts, 2)), Graph.of(neighbours, far[..., 0])


def without_net_force(a: Tensor, x: Tensor, mass: Tensor, world: Tensor, worlds: int) -> Tensor:
    """Accelerations less the rigid ones of each world: what forces within it can do.

    Newton's third law leaves no sum of forces and, as they are central on average, no sum of
    torques about the centre of mass c: a - ā - ω x (x - c) with I ω = sum m (x - c) x a.

    Args:
        a: Accelerations, shape (n, 3).
        x: Positions, shape (n, 3).
        mass: Of each point, shape (n, 1).
        world: Of each point, shape (n,).
        worlds: How many there are.
    """
    sums = torch.cat([mass, mass * x, mass * a], 1)
    total = sums.new_zeros(worlds, 7).index_add(0, world, sums)
    mean = total[:, 1:] / total[:, :1]
    y, b = x - mean[world, :3], a - mean[world, 3:]
    moment = mass * torch.linalg.cross(y, b)
    spread = mass[:, :, None] * y[:, :, None] * y[:, None]
    both = torch.cat([moment[:, :, None], spread], 2)
    both = both.new_zeros(worlds, 3, 4).index_add(0, world, both)
    torque, S = both[:, :, 0], both[:, :, 1:]
    eye = torch.eye(3, dtype=x.dtype, device=x.device)
    size = S.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    limit = torch.finfo(x.dtype)
    # what has no breadth has no moment of inertia about its axis, and no torque
    inertia = (size * (1.0 + limit.eps) + limit.tiny**0.5) * eye - S
    omega = torch.linalg.solve_ex(inertia, torque[:, :, None]).result[:, :, 0]
    return b - torch.linalg.cross(omega[world], y)


def length(v: Tensor) -> Tensor:
    """Euclidean norms over the last dimension, kept, whose derivative at 0 is 0."""
    return (v.square().sum(-1, keepdim=True) + 1e-12).sqrt()
