# SPDX-License-Identifier: Apache-2.0
"""Boxes, spheres, cylinders and capsules as a few numbers that may be moved.

All are convex, so what a camera sees of one is the convex hull of a few points of it: corners,
circles, and for balls the circle on which rays from the eye touch them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .shapes import Box, Capsule, Cylinder, Solid, Sphere, Vector
from .suggestion import did_you_mean

LARGEST = 20.0
"""Of the logarithm of a size, about where it starts."""
AXES = "xyz"


class Kind(NamedTuple):
    """What a primitive is made of."""

    name: str
    sizes: tuple[str, ...]
    """Names of its lengths, of a box those along its own x, y and z."""
    turns: tuple[int, ...]
    """Its own axes about which a turn can be seen."""


class Pose(NamedTuple):
    """One primitive of some kind."""

    sizes: np.ndarray
    """Lengths [m], as its kind names them."""
    centre: np.ndarray
    """[m], shape (3,)."""
    turn: np.ndarray
    """Rotation matrix, shape (3, 3); the axis of a cylinder or capsule is its second column."""


KINDS = {
    "box": Kind("box", ("width", "height", "depth"), (0, 1, 2)),
    "sphere": Kind("sphere", ("radius",), ()),
    "cylinder": Kind("cylinder", ("radius", "height"), (0, 2)),
    "capsule": Kind("capsule", ("radius", "height"), (0, 2)),
}
"""The height of a capsule is that of its straight part."""


def kind_of(name: str) -> Kind:
    """A kind by name.

    Raises:
        ValueError: There is none.
    """
    if name not in KINDS:
        raise ValueError(
            f"got kind {name!r}{did_you_mean(name, KINDS)}, expected one of {', '.join(KINDS)}"
        )
    return KINDS[name]


def solid(kind: Kind, pose: Pose) -> Solid:
    """The primitive as a shape."""
    centre, turn = _vector(pose.centre), _vector(rotation_vector(kind, pose.turn))
    if kind.name == "box":
        return Box(_vector(pose.sizes), centre, turn)
    if kind.name == "sphere":
        return Sphere(float(pose.sizes[0]), centre, turn)
    made = Cylinder if kind.name == "cylinder" else Capsule
    return made(float(pose.sizes[0]), float(pose.sizes[1]), centre, turn)


def pose_of(kind: Kind, shape: Solid) -> Pose:
    """The inverse of `solid`.

    Raises:
        ValueError: It is a shape of another kind.
    """
    if type(shape).__name__.lower() != kind.name:
        raise ValueError(f"got a {type(shape).__name__} to start from, expected a {kind.name}")
    lengths = shape.size if isinstance(shape, Box) else [getattr(shape, n) for n in kind.sizes]
    return Pose(np.array(lengths, float), shape.centroid.numpy(), shape.matrix.numpy())


def rotation_vector(kind: Kind, turn: np.ndarray) -> np.ndarray:
    """Of a rotation matrix [rad], shape (3,), without the part that nobody sees."""
    from scipy.spatial.transform import Rotation

    if not kind.turns:
        return np.zeros(3)
    if len(kind.turns) == 3:
        return Rotation.from_matrix(turn).as_rotvec()
    x, y, z = turn[:, 1]
    across = np.hypot(x, z)
    angle = np.arctan2(across, y)
    return np.array([z, 0.0, -x]) * (angle / across if across > 0 else 1.0)


def plainest(kind: Kind, pose: Pose, *, swap: bool) -> Pose:
    """The same solid, turned by the smallest angle that describes it.

    Args:
        kind: What it is.
        pose: The solid.
        swap: Whether the edges of a box may change their names.
    """
    from scipy.spatial.transform import Rotation

    if not kind.turns:
        return pose._replace(turn=np.eye(3))
    if len(kind.turns) == 2:
        turn = pose.turn if pose.turn[1, 1] >= 0 else pose.turn @ np.diag([1.0, -1.0, -1.0])
        vector = rotation_vector(kind, turn)
        return pose._replace(turn=Rotation.from_rotvec(vector).as_matrix())
    group = Rotation.create_group("O" if swap else "D2").as_matrix().round()
    turns = pose.turn @ group
    best = int(np.trace(turns, axis1=1, axis2=2).argmax())
    return Pose(np.abs(group[best].T @ pose.sizes), pose.centre, turns[best])


def below(kind: Kind, sizes: np.ndarray, turn: np.ndarray) -> float:
    """How far the lowest point is below the centre [m], y up."""
    if kind.name == "box":
        return float(0.5 * np.abs(turn[1]) @ sizes)
    if kind.name == "sphere":
        return float(sizes[0])
    up = abs(float(turn[1, 1]))
    side = 1.0 if kind.name == "capsule" else np.sqrt(max(1.0 - up * up, 0.0))
    return float(0.5 * up * sizes[1] + side * sizes[0])


def hull_points(kind: Kind, pose: Pose, eye: np.ndarray, count: int) -> np.ndarray:
    """Points whose hull looks from the eye as the primitive does [m], shape (n, 3).

    Args:
        kind: What it is.
        pose: The primitive.
        eye: Of the camera [m], shape (3,).
        count: Corners of a polygon that stands for a circle of the same area.
    """
    if kind.name == "box":
        signs = np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], float)
        return pose.centre + (0.5 * signs * pose.sizes) @ pose.turn.T
    radius = float(pose.sizes[0])
    if kind.name == "sphere":
        return _touched(pose.centre, radius, eye, count)
    axis = pose.turn[:, 1]
    ends = [pose.centre + s * 0.5 * pose.sizes[1] * axis for s in (-1, 1)]
    if kind.name == "cylinder":
        return np.concatenate([_circle(end, radius, axis, count) for end in ends])
    return np.concatenate([_touched(end, radius, eye, count) for end in ends])


def marks(kind: Kind, pose: Pose) -> np.ndarray:
    """Points that tell two solids of a kind apart [m], shape (n, 3): corners, or ends of axes."""
    if kind.name == "box":
        return hull_points(kind, pose, pose.centre, 0)
    if kind.name == "sphere":
        return pose.centre[None]
    half = 0.5 * pose.sizes[1] * pose.turn[:, 1]
    return pose.centre + np.stack([half, -half])


@dataclass(frozen=True)
class Freedom:
    """What of a primitive may change, in free coordinates of about one."""

    kind: Kind
    known: Mapping[str, float]
    """Sizes that are given [m]."""
    floor: float | None = None
    """Height at which its lowest point is [m], y up."""
    upright: bool = False
    """Whether its own y axis is up."""

    def __post_init__(self) -> None:
        """Refuse sizes that it does not have."""
        for name, value in self.known.items():
            if name not in self.kind.sizes:
                raise ValueError(
                    f"a {self.kind.name} has no {name!r}{did_you_mean(name, self.kind.sizes)}, its"
                    f" sizes are {', '.join(self.kind.sizes)}"
                )
            if not 0 < value < np.inf:
                raise ValueError(f"got {name} = {value:g} m, expected a positive length")

    @property
    def sizes(self) -> list[int]:
        """Numbers of the sizes that are sought."""
        return [i for i, name in enumerate(self.kind.sizes) if name not in self.known]

    @property
    def places(self) -> list[int]:
        """Axes along which the centre is sought."""
        return [0, 1, 2] if self.floor is None else [0, 2]

    @property
    def turns(self) -> list[int]:
        """Own axes about which a turn is sought."""
        return [i for i in self.kind.turns if i == 1 or not self.upright]

    @property
    def names(self) -> list[str]:
        """Of the free coordinates: logarithms of sizes, places in spans of the base, angles."""
        return [
            *(self.kind.sizes[i] for i in self.sizes),
            *(f"centre.{AXES[i]}" for i in self.places),
            *(f"tilt.{AXES[i]}" for i in self.turns),
        ]

    def moved(self, base: Pose, free: Sequence[float] | np.ndarray) -> Pose:
        """A primitive by free coordinates, which are 0 for the base (or for it on the floor)."""
        from scipy.spatial.transform import Rotation

        found = iter(np.asarray(free, float))
        sizes, centre, vector = base.sizes.copy(), base.centre.copy(), np.zeros(3)
        for i, name in enumerate(self.kind.sizes):
            if name in self.known:
                sizes[i] = self.known[name]
            else:
                sizes[i] *= np.exp(np.clip(next(found), -LARGEST, LARGEST))
        for i in self.places:
            centre[i] += base.sizes.max() * next(found)
        for i in self.turns:
            vector[i] = next(found)
        turn = base.turn @ Rotation.from_rotvec(vector).as_matrix()
        if self.floor is not None:
            centre[1] = self.floor + below(self.kind, sizes, turn)
        return Pose(sizes, centre, turn)


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(v) + 0.0 for v in values)
    return x, y, z


def _circle(middle: np.ndarray, radius: float, axis: np.ndarray, count: int) -> np.ndarray:
    """A polygon of the area of a circle, shape (count, 3)."""
    side = np.eye(3)[np.abs(axis).argmin()]
    a = np.cross(axis, side)
    a /= np.linalg.norm(a)
    b = np.cross(axis, a)
    step = 2.0 * np.pi / count
    angle = step * np.arange(count)
    reach = radius * np.sqrt(step / np.sin(step))
    return middle + reach * (np.cos(angle)[:, None] * a + np.sin(angle)[:, None] * b)


def _touched(middle: np.ndarray, radius: float, eye: np.ndarray, count: int) -> np.ndarray:
    """The circle on which rays from the eye touch a ball, shape (count, 3)."""
    arm = middle - eye
    distance = max(float(np.linalg.norm(arm)), 1e-12)
    share = min(radius / distance, 0.999)  # an eye within the ball sees nothing else
    nearer = eye + arm * (1.0 - share * share)
    return _circle(nearer, share * distance * np.sqrt(1.0 - share * share), arm / distance, count)
