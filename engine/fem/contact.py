# SPDX-License-Identifier: Apache-2.0
"""Contact of a mesh's nodes with the walls and colliders of a scene, by a penalty.

A node that is by g below a surface is pushed out with k A g, A its share of the boundary at rest
and k a stiffness [Pa/m]; within a narrow band |g| < b the corner is rounded, k A (g + b)^2 / 4b, so
that Newton's method meets a surface that a body just touches. Friction opposes the slip s of the
node over the surface within a step,

    f_t = -mu f_n s / sqrt(s^2 + e^2)

with e a slip far below what matters: Coulomb's law without its corner. Explicit steps add the slip
mu f_n dt^2 / m to e (root of the sum of squares), so that friction stops a node and never turns it.
k, b and e are numerical choices, made from the law and the mesh once: gradients hold them constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..boundaries import FACES, Collider, HalfSpace, Motion, Wall
from ..mesh.elements import Element
from ..scene import Scene
from ..shapes import Box, Capsule, Shape, Solid, Sphere
from .forces import Blocks, Force, Moment, Place
from .geometry import Facets, facets
from .poses import Course, rotation_matrices

if TYPE_CHECKING:
    from .discretize import Piece

STICKING = 1.0e3
"""Coefficient of friction that stands for a sticky surface."""

BAND = 1e-4
"""Half width of the rounded corner of contact, by the size of an element."""

Distance = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From points (..., 3) about a collider to their distance (...) and the outward normal (..., 3)."""


@dataclass(frozen=True)
class Contact(Force):
    """Of some nodes with one surface."""

    follows = True
    nodes: Tensor
    """Shape (k,), int64."""
    area: Tensor
    """Of the boundary that each stands for, at rest [m²], shape (k,)."""
    distance: Distance
    course: Course
    """Of the surface."""
    stiffness: float
    """k [Pa/m]"""
    friction: Tensor
    """mu [-], scalar."""
    slip: float
    """e [m]"""
    band: float
    """b [m]"""
    sides: Facets
    """Of the elements' sides that `area` is of."""
    place: Tensor
    """Row of `area` for each node of a side, shape (f, b), int64."""
    mobility: Tensor
    """dt^2 / m of explicit steps [s²/kg], shape (k,), else 0."""

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        """Without friction."""
        return not float(self.friction.detach()) > 0.0

    def resolve(self, at: Moment) -> Tensor:
        """Friction, then position and rotation at the start and at the end; shape (25,)."""
        poses = [self.course.at(time) for time in (at.since, at.seconds)]
        flat = [part.reshape(-1) for pose in poses for part in pose]
        return torch.cat([self.friction.reshape(1), *flat]).to(at.time)

    def on_nodes(self, place: Place, value: Tensor) -> Tensor:
        """See `Force.on_nodes`."""
        x, before = place.x[self.nodes], place.before[self.nodes]
        forces = self._push(x, before, self._areas(place.x0), self.mobility, value)
        return torch.zeros_like(place.x).index_add(0, self.nodes, forces)

    def derivative(self, place: Place, value: Tensor) -> Blocks:
        """See `Force.derivative`."""
        x, before = place.x[self.nodes], place.before[self.nodes]
        near = self._gap(x, value) < self.band
        if x.is_cuda:  # all of them, rather than wait for the device to say which
            near = torch.ones_like(near)
        matrices = x.new_zeros(len(x), 3, 3)
        if x.is_cuda or bool(near.any()):
            own = before[near], self.area[near], self.mobility[near]
            with torch.enable_grad():
                at = x[near].detach().requires_grad_()
                forces = self._push(at, *own, value.detach())
                rows = [
                    torch.autograd.grad(forces[:, i].sum(), at, retain_graph=True)[0]
                    for i in range(3)
                ]
            matrices[near] = torch.stack(rows, 1)
        return Blocks(self.nodes[:, None], matrices[:, None, :, None])

    def _gap(self, x: Tensor, value: Tensor) -> Tensor:
        p, R = value[13:16], value[16:25].reshape(3, 3)
        return self.distance((x - p) @ R)[0]

    def _areas(self, x0: Tensor) -> Tensor:
        """Of the nodes at rest [m²], shape (k,); differentiable."""
        if not (x0.requires_grad and torch.is_grad_enabled()):
            return self.area
        return nodal_areas(self.sides, x0, self.place, len(self.nodes))

    def _push(
        self, x: Tensor, before: Tensor, area: Tensor, mobility: Tensor, value: Tensor
    ) -> Tensor:
        mu = value[0]
        p0, R0 = value[1:4], value[4:13].reshape(3, 3)
        p, R = value[13:16], value[16:25].reshape(3, 3)
        local = (x - p) @ R
        gap, normal = self.distance(local)
        normal = normal @ R.T
        b = self.band
        depth = torch.clamp(-gap - b, min=0.0) + torch.clamp(b - gap, 0.0, 2 * b).square() / (4 * b)
        pressed = self.stiffness * area * depth
        slipped = (x - before) - (local @ (R - R0).T + p - p0)
        slipped = slipped - (slipped * normal).sum(-1, keepdim=True) * normal
        least = self.slip**2 + (mu * pressed * mobility).square()
        length = ((slipped * slipped).sum(-1) + least).sqrt()[..., None]
        return pressed[..., None] * (normal - mu * slipped / length)


def contact(
    boundary: Collider | Wall,
    scene: Scene,
    piece: Piece,
    kind: Element,
    settings: ContactSettings,
    like: Tensor,
) -> Contact | None:
    """The contact of one body with a wall or collider; None for a wall that is open.

    Raises:
        ValueError: The collider's shape is none that finite elements can touch.
    """
    if boundary.mode == "open":
        return None
    nodes, area, place, sides = _boundary(kind, piece)
    friction = torch.as_tensor(boundary.friction, dtype=like.dtype).to(like.device)
    if boundary.mode == "sticky":
        friction = torch.full_like(friction, STICKING)
    elif boundary.mode == "slip":
        friction = torch.zeros_like(friction)
    shape, motion = _surface(boundary, scene)
    distance, position, rotation = _described(shape, like)
    poses = motion.poses(position, settings.steps, settings.dt)
    size = float(area.mean()) ** 0.5
    own = piece.numbers[nodes].to(like.device)
    mobility = torch.zeros_like(area).to(like)
    if settings.masses is not None:
        mobility = settings.dt**2 / settings.masses[own]
    return Contact(
        own, area.to(like), distance,
        Course(poses[0], rotation_matrices(poses[1]) @ rotation, settings.dt),
        _stiffness(settings.stiffness, piece, area), friction,
        settings.speed * settings.dt if settings.speed else 1e-4 * size, BAND * size,
        Facets(sides.kind, piece.numbers[sides.nodes].to(like.device)), place.to(like.device),
        mobility,
    )  # fmt: skip


def nodal_areas(sides: Facets, x0: Tensor, place: Tensor, count: int) -> Tensor:
    """Shares of the boundary at rest [m²], shape (count,), all positive.

    Args:
        sides: Of elements.
        x0: Places that the numbers of their nodes refer to [m].
        place: Row of the result for each node of a side, shape (f, b).
        count: Rows.
    """
    areas = sides.normals(x0).norm(dim=2)
    share = torch.einsum("fq,qb->fb", areas, sides.rule(areas).N ** 2)
    share = share * (areas.sum(1) / share.sum(1))[:, None]  # positive where an integral of N is not
    return areas.new_zeros(count).index_add(0, place.reshape(-1), share.reshape(-1))


def _boundary(kind: Element, piece: Piece) -> tuple[Tensor, Tensor, Tensor, Facets]:
    """Nodes of the boundary, their areas [m²], which of them are a side's, and the sides."""
    sides = facets(kind, piece.mesh.boundary())
    nodes, place = torch.unique(sides.nodes, return_inverse=True)
    area = nodal_areas(sides, piece.mesh.nodes.detach().double(), place, len(nodes))
    return nodes, area, place, sides


def _stiffness(factor: float, piece: Piece, area: Tensor) -> float:
    """Of contact [Pa/m]: k."""
    return factor * piece.modulus / float(area.mean()) ** 0.5


def contact_rates(
    factor: float, pieces: Sequence[Piece], scenes: Sequence[Scene], kind: Element, masses: Tensor
) -> Tensor:
    """Largest k A / m of each node that a surface can touch, else 0 [1/s²], shape (n,).

    Args:
        factor: As `ContactSettings.stiffness`.
        pieces: The bodies.
        scenes: The worlds.
        kind: Of their elements.
        masses: Lumped [kg], shape (n,).
    """
    out = torch.zeros_like(masses)
    for piece in pieces:
        surfaces = [b for b in scenes[piece.world].boundaries if isinstance(b, Collider | Wall)]
        if any(b.mode != "open" and (b.mode != "sticky" or isinstance(b, Wall)) for b in surfaces):
            nodes, area, _, _ = _boundary(kind, piece)
            own = piece.numbers[nodes].to(masses.device)
            out[own] = _stiffness(factor, piece, area) * area.to(masses) / masses[own]
    return out


@dataclass(frozen=True)
class ContactSettings:
    """What contact is made with."""

    steps: int
    """For which moving surfaces have poses."""
    dt: float
    """Of those [s]."""
    stiffness: float
    """By modulus and size of an element [-]."""
    speed: float
    """Below which a node counts as sticking [m/s]; 0: a ten-thousandth of an element a step."""
    masses: Tensor | None = None
    """Of nodes, for explicit steps [kg], shape (n,)."""


def _surface(boundary: Collider | Wall, scene: Scene) -> tuple[Shape | HalfSpace, Motion]:
    if isinstance(boundary, Collider):
        return boundary.shape, boundary.motion
    number = FACES.index(boundary.face)
    axis, upper = divmod(number, 2)
    corner = scene.domain.upper if upper else scene.domain.lower
    normal = [0.0, 0.0, 0.0]
    normal[axis] = -1.0 if upper else 1.0
    return HalfSpace(corner, (normal[0], normal[1], normal[2])), Motion()


def _described(shape: Shape | HalfSpace, like: Tensor) -> tuple[Distance, Tensor, Tensor]:
    """Distance about its own place, that place and its rotation matrix."""
    eye = torch.eye(3).to(like)
    if isinstance(shape, HalfSpace):
        normal = like.new_tensor(shape.normal)
        return _plane(normal / normal.norm()), like.new_tensor(shape.point), eye
    if isinstance(shape, Sphere):
        return _sphere(shape.radius), shape.centroid.to(like), eye
    if isinstance(shape, Capsule):
        return (
            _capsule(shape.radius, 0.5 * shape.height),
            shape.centroid.to(like),
            shape.matrix.to(like),
        )
    if isinstance(shape, Box):
        half = like.new_tensor(shape.extent)
        return _box(half), shape.centroid.to(like), shape.matrix.to(like)
    raise ValueError(
        f"got a collider of shape {type(shape).__name__}, expected a HalfSpace, Sphere, Capsule or "
        "Box for finite elements; the particle solver takes meshes as well"
    )


def _plane(normal: Tensor) -> Distance:
    return lambda x: ((x * normal).sum(-1), normal.expand(x.shape))


def _sphere(radius: float) -> Distance:
    def distance(x: Tensor) -> tuple[Tensor, Tensor]:
        length = ((x * x).sum(-1) + torch.finfo(x.dtype).tiny).sqrt()
        return length - radius, x / length[..., None]

    return distance


def _capsule(radius: float, half: float) -> Distance:
    ball = _sphere(radius)

    def distance(x: Tensor) -> tuple[Tensor, Tensor]:
        along = torch.zeros_like(x)
        along = torch.stack([along[..., 0], x[..., 1].clamp(-half, half), along[..., 2]], -1)
        return ball(x - along)

    return distance


def _box(half: Tensor) -> Distance:
    """Inside the nearest face counts; outside the nearest point, without a normal at corners."""
    ball = _sphere(0.0)

    def distance(x: Tensor) -> tuple[Tensor, Tensor]:
        beyond = x.abs() - half
        depth, axis = beyond.max(-1)
        face = torch.nn.functional.one_hot(axis, 3).to(x) * x.sign()
        outside, normal = ball(x - torch.maximum(torch.minimum(x, half), -half))
        within = depth < 0
        return torch.where(within, depth, outside), torch.where(within[..., None], face, normal)

    return distance


def contains(shape: Shape | HalfSpace, x: Tensor) -> Tensor:
    """Which points [m], shape (n, 3), are in a solid or behind a plane; shape (n,), bool."""
    if isinstance(shape, HalfSpace):
        normal = torch.tensor(shape.normal, dtype=x.dtype)
        return ((x - torch.tensor(shape.point, dtype=x.dtype)) @ normal) <= 1e-12
    if isinstance(shape, Solid):
        return shape.contains(x)
    raise ValueError(f"got a grip of shape {type(shape).__name__}, expected a solid")
