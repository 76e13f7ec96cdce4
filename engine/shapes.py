# SPDX-License-Identifier: Apache-2.0
"""Shapes of bodies and colliders: a volume to fill with particles and a surface to look at.

A shape is made about its centroid, turned by `rotation` and put at `center`. Axes of revolution
are y before the turn, for y is up.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .meshes import Mesh, inside, read_mesh

Vector = tuple[float, float, float]
Pattern = Literal["lattice", "jittered"]
"""lattice: the centres of cubic cells; jittered: one random point in each cell."""

SEGMENTS = 48
"""Around a surface of revolution."""
MOST = 100_000_000
"""Cells of a lattice beyond which a spacing is taken for a mistake."""


class Sample(NamedTuple):
    """Particles that fill a shape."""

    points: Tensor
    """Positions [m], shape (n, 3), float64."""
    volumes: Tensor
    """Rest volume of each [m³], shape (n,), float64; they add up to the shape's."""


class Surface(NamedTuple):
    """A triangulated surface."""

    vertices: Tensor
    """Positions [m], shape (m, 3), float64."""
    triangles: Tensor
    """Corners, counter-clockwise from outside, shape (k, 3), int64."""


@dataclass(frozen=True)
class Shape(ABC):
    """A solid in space.

    A subclass gives its volume, the half-lengths of a box about it, which points are inside and
    its surface, all about the origin and unturned.
    """

    @property
    @abstractmethod
    def volume(self) -> float:
        """Volume [m³]."""

    @property
    @abstractmethod
    def centroid(self) -> Tensor:
        """Centre of volume [m], shape (3,), float64."""

    @abstractmethod
    def sample(self, spacing: float, *, pattern: Pattern = "lattice", seed: int = 0) -> Sample:
        """Fill the shape with particles.

        Args:
            spacing: Distance between neighbours [m].
            pattern: How they are laid out.
            seed: Of the random points of a pattern that has some.

        Raises:
            ValueError: If the spacing is not positive, too large for the shape or far too small.
        """

    @abstractmethod
    def surface(self) -> Surface:
        """Its boundary in triangles."""

    @property
    def bounds(self) -> Tensor:
        """Lower and upper corner of the axis-aligned box about the surface [m], shape (2, 3)."""
        vertices = self.surface().vertices
        return torch.stack([vertices.amin(0), vertices.amax(0)])


@dataclass(frozen=True)
class Solid(Shape, ABC):
    """A shape that knows which points are inside."""

    @property
    @abstractmethod
    def extent(self) -> Vector:
        """Half-lengths of the unturned box about the shape [m]."""

    @abstractmethod
    def _inside(self, points: np.ndarray) -> np.ndarray:
        """Which points (n, 3), about the centroid and unturned, belong to the shape."""

    @abstractmethod
    def _surface(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (m, 3) about the centroid, unturned, and triangles (k, 3)."""

    @property
    @abstractmethod
    def turn(self) -> Vector:
        """Rotation vector [rad]."""

    @property
    def matrix(self) -> Tensor:
        """Rotation matrix of the shape, shape (3, 3), float64."""
        return _matrix(self.turn)

    @property
    def quaternion(self) -> Tensor:
        """Rotation of the shape as x, y, z, w, shape (4,), float64."""
        turn = torch.tensor(self.turn, dtype=torch.float64)
        half = 0.5 * turn.norm()
        return torch.cat([0.5 * turn * torch.sinc(half / math.pi), half.cos()[None]])

    def contains(self, points: Tensor) -> Tensor:
        """Which points [m], shape (n, 3), are inside; shape (n,), bool."""
        local = (points.detach().cpu().double() - self.centroid) @ self.matrix
        return torch.from_numpy(self._inside(local.numpy()))

    def sample(self, spacing: float, *, pattern: Pattern = "lattice", seed: int = 0) -> Sample:
        """Fill the shape with particles; see `Shape.sample`.

        The lattice is symmetric about the centroid. A box is divided into whole cells, as nearly
        cubes of the spacing as it allows; from other shapes those cells are kept whose particle
        is inside.
        """
        half = np.array(self.extent)
        cells = _cells(self, 2 * half, spacing, whole=isinstance(self, Box))
        size = 2 * half / cells if isinstance(self, Box) else np.full(3, float(spacing))
        axes = [(np.arange(c) - 0.5 * (c - 1)) * s for c, s in zip(cells, size, strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        if pattern == "jittered":
            points += (np.random.default_rng(seed).random(points.shape) - 0.5) * size
        elif pattern != "lattice":
            raise ValueError(f"got pattern {pattern!r}, expected 'lattice' or 'jittered'")
        points = points[self._inside(points)]
        if not len(points):
            raise ValueError(
                f"a spacing of {spacing:g} m leaves no particle in a {type(self).__name__} of "
                f"{self.volume:g} m³, expected a smaller one"
            )
        each = torch.full((len(points),), self.volume / len(points), dtype=torch.float64)
        return Sample(self._placed(points), each)

    def surface(self) -> Surface:
        """Its boundary in triangles, in place."""
        vertices, triangles = self._surface()
        return Surface(self._placed(vertices), torch.from_numpy(triangles.astype(np.int64)))

    def _placed(self, points: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(points)) @ self.matrix.T + self.centroid


class _Primitive(Solid, ABC):
    """A shape of a formula; its fields are those of the subclass."""

    center: Vector
    rotation: Vector

    @property
    def centroid(self) -> Tensor:
        """Centre of volume [m], shape (3,)."""
        return torch.tensor(self.center, dtype=torch.float64)

    @property
    def turn(self) -> Vector:
        """Rotation vector [rad]."""
        return self.rotation

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            numbers = np.asarray(value, float)
            size = name not in ("center", "rotation")
            if not np.isfinite(numbers).all() or (size and not (numbers > 0).all()):
                kind = "positive numbers" if size else "finite numbers"
                raise ValueError(f"{type(self).__name__}: got {name}={value}, expected {kind}")
            if name in ("center", "rotation", "size", "radii") and numbers.shape != (3,):
                raise ValueError(
                    f"{type(self).__name__}: got {name}={value}, expected three numbers"
                )


@dataclass(frozen=True)
class Box(_Primitive):
    """A cuboid."""

    size: Vector
    """Edge lengths [m]."""
    center: Vector = (0.0, 0.0, 0.0)
    """[m]"""
    rotation: Vector = (0.0, 0.0, 0.0)
    """Rotation vector about the centre [rad]."""

    @property
    def volume(self) -> float:
        """Volume [m³]."""
        return math.prod(self.size)

    @property
    def extent(self) -> Vector:
        """Half-lengths [m]."""
        a, b, c = self.size
        return a / 2, b / 2, c / 2

    def _inside(self, points: np.ndarray) -> np.ndarray:
        return np.all(np.abs(points) <= np.array(self.extent) * (1 + 1e-12), axis=-1)

    def _surface(self) -> tuple[np.ndarray, np.ndarray]:
        corners = np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], float)
        quads = np.array(
            [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
        )
        return corners * self.extent, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


@dataclass(frozen=True)
class Sphere(_Primitive):
    """A ball."""

    radius: float
    """[m]"""
    center: Vector = (0.0, 0.0, 0.0)
    """[m]"""
    rotation: Vector = (0.0, 0.0, 0.0)
    """Rotation vector about the centre [rad]: turns the lattice of particles."""

    @property
    def volume(self) -> float:
        """Volume [m³]."""
        return 4 / 3 * math.pi * self.radius**3

    @property
    def extent(self) -> Vector:
        """Half-lengths [m]."""
        return self.radius, self.radius, self.radius

    def _inside(self, points: np.ndarray) -> np.ndarray:
        return (points**2).sum(-1) <= self.radius**2

    def _surface(self) -> tuple[np.ndarray, np.ndarray]:
        return _revolve(_arc(self.radius, -0.5, 0.5))


@dataclass(frozen=True)
class Ellipsoid(_Primitive):
    """A stretched ball."""

    radii: Vector
    """Half-axes along x, y and z [m]."""
    center: Vector = (0.0, 0.0, 0.0)
    """[m]"""
    rotation: Vector = (0.0, 0.0, 0.0)
    """Rotation vector about the centre [rad]."""

    @property
    def volume(self) -> float:
        """Volume [m³]."""
        return 4 / 3 * math.pi * math.prod(self.radii)

    @property
    def extent(self) -> Vector:
        """Half-lengths [m]."""
        return self.radii

    def _inside(self, points: np.ndarray) -> np.ndarray:
        return ((points / np.array(self.radii)) ** 2).sum(-1) <= 1

    def _surface(self) -> tuple[np.ndarray, np.ndarray]:
        vertices, triangles = _revolve(_arc(1.0, -0.5, 0.5))
        return vertices * self.radii, triangles


@dataclass(frozen=True)
class Cylinder(_Primitive):
    """A round bar along y."""

    radius: float
    """[m]"""
    height: float
    """From face to face [m]."""
    center: Vector = (0.0, 0.0, 0.0)
    """[m]"""
    rotation: Vector = (0.0, 0.0, 0.0)
    """Rotation vector about the centre [rad]."""

    @property
    def volume(self) -> float:
        """Volume [m³]."""
        return math.pi * self.radius**2 * self.height

    @property
    def extent(self) -> Vector:
        """Half-lengths [m]."""
        return self.radius, self.height / 2, self.radius

    def _inside(self, points: np.ndarray) -> np.ndarray:
        across = points[:, 0] ** 2 + points[:, 2] ** 2 <= self.radius**2
        return across & (np.abs(points[:, 1]) <= self.height / 2)

    def _surface(self) -> tuple[np.ndarray, np.ndarray]:
        r, h = self.radius, self.height / 2
        return _revolve(np.array([(0, -h), (r, -h), (r, h), (0, h)]))


@dataclass(frozen=True)
class Capsule(_Primitive):
    """A round bar along y with a half ball on either end."""

    radius: float
    """[m]"""
    height: float
    """Length of the straight part, without the half balls [m]."""
    center: Vector = (0.0, 0.0, 0.0)
    """[m]"""
    rotation: Vector = (0.0, 0.0, 0.0)
    """Rotation vector about the centre [rad]."""

    @property
    def volume(self) -> float:
        """Volume [m³]."""
        return math.pi * self.radius**2 * (self.height + 4 / 3 * self.radius)

    @property
    def extent(self) -> Vector:
        """Half-lengths [m]."""
        return self.radius, self.height / 2 + self.radius, self.radius

    def _inside(self, points: np.ndarray) -> np.ndarray:
        along = np.maximum(np.abs(points[:, 1]) - self.height / 2, 0)
        return points[:, 0] ** 2 + along**2 + points[:, 2] ** 2 <= self.radius**2

    def _surface(self) -> tuple[np.ndarray, np.ndarray]:
        up = np.array([0, self.height / 2])
        lower, upper = _arc(self.radius, -0.5, 0.0) - up, _arc(self.radius, 0.0, 0.5) + up
        return _revolve(np.concatenate([lower, upper]))


@dataclass(frozen=True)
class MeshShape(Solid):
    """The solid that a closed surface encloses; obj, stl, ply, glb and what else trimesh reads."""

    path: str | Path
    """The file."""
    scale: float = 1.0
    """Metres per unit of the file: 1e-3 for one in mm."""
    center: Vector | None = None
    """Where its centre of volume goes [m]; None: where the file has it."""
    rotation: Vector = (0.0, 0.0, 0.0)
    """Rotation vector about the centre of volume [rad]."""
    mend: bool = False
    """Whether to close holes and turn triangles one way before the check."""

    def __post_init__(self) -> None:
        """Refuse a surface that does not enclose a volume."""
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"MeshShape: got scale={self.scale}, expected a positive number")
        _ = self._mesh

    @cached_property
    def _mesh(self) -> Mesh:
        return read_mesh(Path(self.path), scale=self.scale, mend=self.mend)

    @property
    def volume(self) -> float:
        """Volume [m³]."""
        return self._mesh.volume

    @property
    def centroid(self) -> Tensor:
        """Centre of volume [m], shape (3,)."""
        place = self._mesh.centroid if self.center is None else self.center
        return torch.tensor(np.asarray(place), dtype=torch.float64)

    @property
    def turn(self) -> Vector:
        """Rotation vector [rad]."""
        return self.rotation

    @property
    def extent(self) -> Vector:
        """Half-lengths of a box about the surface, centred at the centre of volume [m]."""
        a, b, c = np.abs(self._surface()[0]).max(0).tolist()
        return a, b, c

    def _inside(self, points: np.ndarray) -> np.ndarray:
        return inside(points, *self._surface())

    def _surface(self) -> tuple[np.ndarray, np.ndarray]:
        return self._mesh.vertices - self._mesh.centroid, self._mesh.triangles


@dataclass(frozen=True, eq=False)
class Particles(Shape):
    """Particles that are given, from a file or a formula; whatever the spacing asked for."""

    points: Tensor
    """Positions [m], shape (n, 3)."""
    volumes: Tensor
    """Rest volume of each [m³], shape (n,)."""

    def __post_init__(self) -> None:
        """Refuse shapes that do not match and volumes that are not positive."""
        points, volumes = self.points, self.volumes
        if points.ndim != 2 or points.shape[1] != 3 or volumes.shape != points.shape[:1]:
            raise ValueError(
                f"Particles: got points of shape {tuple(points.shape)} and volumes of shape "
                f"{tuple(volumes.shape)}, expected (n, 3) and (n,)"
            )
        if (
            not len(points)
            or not bool(torch.isfinite(points).all())
            or not bool((volumes > 0).all())
        ):
            raise ValueError(
                "Particles: got none, or positions that are not finite, or volumes that are not "
                "positive"
            )

    @property
    def volume(self) -> float:
        """Volume [m³]."""
        return float(self.volumes.double().sum())

    @property
    def centroid(self) -> Tensor:
        """Centre of volume [m], shape (3,)."""
        volumes = self.volumes.double()
        return (volumes[:, None] * self.points.double()).sum(0) / volumes.sum()

    def sample(self, spacing: float, *, pattern: Pattern = "lattice", seed: int = 0) -> Sample:
        """The particles themselves."""
        return Sample(self.points.double(), self.volumes.double())

    def surface(self) -> Surface:
        """The box about them, each particle taken for a cube."""
        half = 0.5 * self.volumes.double().max() ** (1 / 3)
        lower, upper = self.points.double().amin(0) - half, self.points.double().amax(0) + half
        a, b, c = (upper - lower).tolist()
        x, y, z = ((upper + lower) / 2).tolist()
        return Box((a, b, c), (x, y, z)).surface()


def _cells(shape: Shape, lengths: np.ndarray, spacing: float, *, whole: bool) -> np.ndarray:
    """Number of cells of the lattice along each axis, shape (3,)."""
    if not (math.isfinite(spacing) and spacing > 0):
        raise ValueError(f"got a spacing of {spacing}, expected a positive number of metres")
    ratio = lengths / spacing
    cells = np.maximum(np.round(ratio), 1) if whole else np.maximum(np.ceil(ratio - 1e-9), 1)
    if cells.prod() > MOST:
        raise ValueError(
            f"a spacing of {spacing:g} m cuts a {type(shape).__name__} {lengths.max():g} m long "
            f"into {cells.prod():.2g} cells, expected at most {MOST:.0e}: enlarge it, or check the "
            "unit of length of the shape"
        )
    return cells.astype(int)


def _matrix(turn: Vector) -> Tensor:
    """Rotation matrix (3, 3) of a rotation vector [rad]."""
    x, y, z = turn
    spin = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    return torch.linalg.matrix_exp(spin)


def _arc(radius: float, start: float, stop: float) -> np.ndarray:
    """Points (r, y) of a circle, angles in units of π from the equator, shape (m, 2)."""
    angle = np.linspace(start, stop, round(SEGMENTS * (stop - start) / 2) + 1) * np.pi
    return radius * np.stack([np.cos(angle), np.sin(angle)], -1)


def _revolve(profile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The closed surface that a profile (r, y), from lower to upper pole, sweeps about y."""
    rings, count = profile[1:-1], SEGMENTS
    angle = 2 * np.pi * np.arange(count) / count
    circle = np.stack([np.cos(angle), 0 * angle, -np.sin(angle)], -1)
    body = rings[:, None, :1] * circle + rings[:, None, 1:] * np.array([0.0, 1.0, 0.0])
    poles = np.array([(0, profile[0, 1], 0), (0, profile[-1, 1], 0)])
    vertices = np.concatenate([body.reshape(-1, 3), poles])
    here = np.arange(count)
    there, last, low = (here + 1) % count, (len(rings) - 1) * count, len(rings) * count
    faces = [np.stack([there, here, 0 * here + low], -1)]
    for a in range(0, last, count):
        faces.append(np.stack([a + here, a + there, a + there + count], -1))
        faces.append(np.stack([a + here, a + there + count, a + here + count], -1))
    faces.append(np.stack([last + here, last + there, 0 * here + low + 1], -1))
    return vertices, np.concatenate(faces)
