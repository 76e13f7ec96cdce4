# SPDX-License-Identifier: Apache-2.0
"""A pinhole camera with lens distortion: where points of the scene are in the picture.

The camera's axes are x to the right, y down and z into the scene; (0, 0) is the middle of the first
pixel. Both, and the distortion (k1, k2, p1, p2, k3), are those of OpenCV (Brown 1971; Heikkilä and
Silvén 1997):

    a = X/Z, b = Y/Z, r² = a² + b²,  s = 1 + k1 r² + k2 r⁴ + k3 r⁶
    a' = a s + 2 p1 a b + p2 (r² + 2 a²),  b' = b s + p1 (r² + 2 b²) + 2 p2 a b
    u = fx a' + cx,  v = fy b' + cy
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..scene import typed
from ..suggestion import did_you_mean

NEAR = 1e-3
"""Points with less depth than this [m] are behind the camera."""
ROUNDS = 30
"""Of Newton's method that takes distortion away."""
EXACT = 1e-12
"""Where it ends, in the picture plane at distance 1."""
PRESETS = {
    "front": (0.0, 0.15, 1.0), "back": (0.0, 0.15, -1.0), "right": (1.0, 0.15, 0.0),
    "left": (-1.0, 0.15, 0.0), "top": (0.0, 1.0, 1e-3), "corner": (0.8, 0.5, 1.0),
}  # fmt: skip
"""Directions from the middle of the scene to the camera, y up."""
FILLED = 0.85
"""Share of the picture's smaller side that the sphere around a scene fills in a preset."""

Numbers = Sequence[float] | Tensor


class Pixels(NamedTuple):
    """Points in a picture."""

    at: Tensor
    """Right and down [px], shape (..., 2); of no meaning behind the camera."""
    depth: Tensor
    """Distance along the camera's axis [m], shape (...)."""

    @property
    def ahead(self) -> Tensor:
        """Whether a point is in front of the camera, shape (...), bool."""
        return self.depth > NEAR


@dataclass(frozen=True, eq=False)
class Camera:
    """Intrinsics, distortion, pose and clock of one camera, in float64.

    Raises:
        ValueError: A number is not finite or of another shape, the focal length is not positive, or
            the rotation is none.
    """

    size: tuple[int, int]
    """Width and height of the picture [px]."""
    focal: Tensor
    """Focal lengths fx, fy [px], shape (2,)."""
    centre: Tensor
    """Where the axis meets the picture, cx, cy [px], shape (2,)."""
    rotation: Tensor
    """From the scene's axes to the camera's, shape (3, 3)."""
    position: Tensor
    """Of the eye in the scene [m], shape (3,)."""
    distortion: Tensor
    """k1, k2, p1, p2, k3 [-], shape (5,)."""
    frame_rate: float | None = None
    """Frames per second [1/s], None if the video says."""
    start: float = 0.0
    """Time of the simulation at the first frame [s]."""

    def __post_init__(self) -> None:
        """See the class."""
        shapes = {
            "focal": (2,), "centre": (2,), "rotation": (3, 3), "position": (3,), "distortion": (5,),
        }  # fmt: skip
        for name, shape in shapes.items():
            value = torch.as_tensor(getattr(self, name), dtype=torch.float64)
            object.__setattr__(self, name, value)
            if value.shape != shape or not bool(torch.isfinite(value).all()):
                raise ValueError(
                    f"camera: got {name} = {value.tolist()}, expected finite numbers of shape"
                    f" {shape}"
                )
        if not all(isinstance(n, int) and n > 0 for n in self.size) or len(self.size) != 2:
            raise ValueError(f"camera: got size = {self.size}, expected width and height in pixels")
        if not bool((self.focal > 0).all()):
            raise ValueError(
                f"camera: got focal = {self.focal.tolist()} px, expected positive lengths"
            )
        if self.frame_rate is not None and not 0 < self.frame_rate < math.inf:
            raise ValueError(f"camera: got frame_rate = {self.frame_rate:g}, expected it positive")
        R = self.rotation.detach()
        off = float((R @ R.mT - torch.eye(3).to(R)).abs().max())
        if off > 1e-6 or not float(torch.linalg.cross(R[0], R[1]) @ R[2]) > 0:
            raise ValueError(
                "camera: the rotation is none: its rows must be right, down and forward, of length"
                f" 1 and at right angles (they are {off:.1g} off)"
            )

    @classmethod
    def look_at(
        cls,
        eye: Numbers,
        target: Numbers,
        *,
        size: tuple[int, int] = (960, 720),
        field_of_view: float = 35.0,
        up: Numbers = (0.0, 1.0, 0.0),
        frame_rate: float | None = None,
    ) -> Camera:
        """A camera without distortion that looks at a point.

        Args:
            eye: Where it is [m].
            target: What is in the middle of its picture [m].
            size: Width and height [px].
            field_of_view: Angle from the lowest to the highest line [degrees].
            up: Direction that is up in the picture.
            frame_rate: Frames per second [1/s].

        Raises:
            ValueError: It looks along `up`, at itself, or with an angle outside 0 to 180.
        """
        if not 0.0 < field_of_view < 180.0:
            raise ValueError(
                f"got a field of view of {field_of_view:g} degrees, expected between 0 and 180"
            )
        place, aim, above = (torch.as_tensor(v, dtype=torch.float64) for v in (eye, target, up))
        forward = aim - place
        right = torch.linalg.cross(forward, above)
        if not float(right.norm()) > 1e-9 * float(forward.norm() * above.norm()):
            raise ValueError(
                f"a camera at {place.tolist()} cannot look at {aim.tolist()} with {above.tolist()}"
                " up: move it, or choose another direction for up"
            )
        forward, right = forward / forward.norm(), right / right.norm()
        down = torch.linalg.cross(forward, right)
        width, height = size
        focal = 0.5 * height / math.tan(math.radians(0.5 * field_of_view))
        middle = torch.tensor([0.5 * (width - 1), 0.5 * (height - 1)], dtype=torch.float64)
        return cls(
            size, middle.new_tensor([focal, focal]), middle, torch.stack([right, down, forward]),
            place, middle.new_zeros(5), frame_rate,
        )  # fmt: skip

    @classmethod
    def preset(
        cls,
        name: str,
        lower: Numbers,
        upper: Numbers,
        *,
        size: tuple[int, int] = (960, 720),
        frame_rate: float | None = None,
    ) -> Camera:
        """A camera that sees the whole of a box.

        Args:
            name: One of `PRESETS`.
            lower: Lowest corner of the box [m].
            upper: Highest corner [m].
            size: Width and height [px].
            frame_rate: Frames per second [1/s].

        Raises:
            ValueError: There is no such preset, or the box is empty.
        """
        if name not in PRESETS:
            raise ValueError(
                f"got camera {name!r}{did_you_mean(name, PRESETS)}, expected one of"
                f" {', '.join(PRESETS)}, or a .toml file"
            )
        if not min(size) > 0:
            raise ValueError(f"camera: got size = {size}, expected width and height in pixels")
        low, high = (torch.as_tensor(v, dtype=torch.float64) for v in (lower, upper))
        radius = 0.5 * float((high - low).norm())
        if not radius > 0:
            raise ValueError("the box to look at is empty: give two corners that differ")
        angle = 35.0
        half = math.radians(0.5 * angle) * min(1.0, size[0] / size[1])
        direction = torch.tensor(PRESETS[name], dtype=torch.float64)
        middle = 0.5 * (low + high)
        eye = middle + direction / direction.norm() * radius / (FILLED * math.sin(half))
        return cls.look_at(eye, middle, size=size, field_of_view=angle, frame_rate=frame_rate)

    def project(self, x: Tensor) -> Pixels:
        """Where points are in the picture; differentiable in them and in the camera.

        Args:
            x: Points [m], shape (..., 3).
        """
        R, eye, lens, f, c = (
            a.to(x) for a in
            (self.rotation, self.position, self.distortion, self.focal, self.centre)
        )  # fmt: skip
        X = (x - eye) @ R.mT
        depth = X[..., 2]
        plane = X[..., :2] / torch.where(depth > NEAR, depth, torch.ones_like(depth))[..., None]
        return Pixels(distort(plane, lens) * f + c, depth)

    def rays(self, pixels: Tensor) -> Tensor:
        """Directions from the eye to what pixels show, in the scene's axes, of length 1.

        Args:
            pixels: Right and down [px], shape (..., 2).

        Raises:
            ValueError: The distortion has no inverse there.
        """
        at = pixels.double()
        plane = undistort((at - self.centre) / self.focal, self.distortion)
        ray = torch.cat([plane, torch.ones_like(plane[..., :1])], -1) @ self.rotation
        return ray / ray.norm(dim=-1, keepdim=True)

    def inside(self, pixels: Pixels) -> Tensor:
        """Whether points are ahead and within the picture, shape (...), bool."""
        edge = pixels.at.new_tensor(self.size) - 0.5
        within = ((pixels.at >= -0.5) & (pixels.at <= edge)).all(-1)
        return within & pixels.ahead

    def resized(self, factor: float) -> Camera:
        """The same camera with a picture `factor` times as wide and high."""
        width, height = (round(factor * n) for n in self.size)
        return replace(
            self, size=(width, height), focal=self.focal * factor,
            centre=(self.centre + 0.5) * factor - 0.5,
        )  # fmt: skip


def distort(plane: Tensor, lens: Tensor) -> Tensor:
    """Points of the plane at distance 1 as the lens shows them, shape (..., 2)."""
    k1, k2, p1, p2, k3 = lens.unbind()
    a, b = plane.unbind(-1)
    r2 = a * a + b * b
    s = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return torch.stack(
        [a * s + 2 * p1 * a * b + p2 * (r2 + 2 * a * a),
         b * s + p1 * (r2 + 2 * b * b) + 2 * p2 * a * b], -1,
    )  # fmt: skip


def undistort(seen: Tensor, lens: Tensor) -> Tensor:
    """The inverse of `distort` by Newton's method, shape (..., 2).

    Raises:
        ValueError: It does not converge: the point is where the lens folds the picture over.
    """
    if not bool(lens.any()):
        return seen
    k1, k2, p1, p2, k3 = lens.unbind()
    plane = seen.clone()
    for _ in range(ROUNDS):
        gap = distort(plane, lens) - seen
        if float(gap.detach().abs().max()) < EXACT:
            return plane
        a, b = plane.unbind(-1)
        r2 = a * a + b * b
        s = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        slope = 2 * (k1 + r2 * (2 * k2 + r2 * 3 * k3))  # of s by r2, times 2
        aa = s + a * a * slope + 2 * p1 * b + 6 * p2 * a
        ab = a * b * slope + 2 * p1 * a + 2 * p2 * b
        bb = s + b * b * slope + 6 * p1 * b + 2 * p2 * a
        det = aa * bb - ab * ab
        u, v = gap.unbind(-1)
        plane = plane - torch.stack([(bb * u - ab * v) / det, (aa * v - ab * u) / det], -1)
    raise ValueError(
        "the camera's distortion cannot be undone at some pixels: its coefficients"
        f" {[round(float(k), 4) for k in lens]} fold the picture over; calibrate with a board that"
        " reaches its corners"
    )


def turned(camera: Camera, turn: Tensor) -> Camera:
    """The camera turned about its eye by a rotation vector in its own axes [rad], shape (3,)."""
    x, y, z = typed(turn, camera.rotation).unbind()
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
    return replace(camera, rotation=torch.linalg.matrix_exp(cross) @ camera.rotation)
