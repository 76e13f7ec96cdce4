# SPDX-License-Identifier: Apache-2.0
"""Silhouettes in the pictures of a camera: which pixels bodies cover."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.pictures.discs import disc_kernels
from rheograd.materials.arrays import as_warp, current_stream, plain, precision

from ..carrying import Carried
from ..moving_surface import MovingSurface
from ..trajectory import Trajectory
from ..vision.camera import Camera
from .observation import Observation
from .same_start import check_same, started, starts

LINES = 120
"""Height of the pictures that are compared [px]; finer ones are averaged."""
RADIUS = 1.0
"""Of the discs that make a silhouette [px of those pictures]."""
INSET = 0.85
"""How deep their middles lie, in radii: faces come out a little too wide, edges too narrow."""
RIM = 1.0
"""Half the width of their soft rim [px]."""
FULL = 32
"""Power of the mean that keeps the cover of overlapping discs below 1."""
GREY = 0.05
"""Share of pixels neither dark nor bright from which on pictures are no masks."""
INSIDE = 0.97
"""Share of that depth that a middle must be away from the surface all around."""


@dataclass(frozen=True, eq=False)
class Silhouettes(Observation):
    """Share of each pixel that bodies cover, by discs of balls that fill their skin from inside.

    The balls are carried by the simulation; together they make the bodies, their edges rounded by
    a pixel or two. What leaves the picture counts no more, and what is hidden needs no care.
    """

    masks: Tensor
    """Share of each pixel that is covered, shape (t, h, w), float64, from 0 to 1."""
    times: Tensor
    """In the simulation [s], shape (t,), float64."""
    camera: Camera
    """What saw them, of pictures of that size."""
    carried: Carried
    """Middles of the balls."""
    radius: float
    """Of the balls [m]."""
    surface: MovingSurface
    """That they fill."""
    noise: float | None = None
    """Standard deviation of a pixel's share, mostly of the rims' [-]."""
    assumed: bool = False
    """Whether that was not stated but assumed."""
    unit: ClassVar[str] = "-"
    components: ClassVar[int] = 1

    @classmethod
    def bind(
        cls,
        masks: Iterable[np.ndarray],
        times: np.ndarray,
        surface: MovingSurface,
        rest: Tensor,
        *,
        camera: Camera,
        lines: int = LINES,
        noise: float | None = None,
    ) -> Silhouettes:
        """Fill the skin of the bodies with balls.

        Args:
            masks: Pictures (height, width), bright (over 127) or true where the bodies are.
            times: Of the pictures from the first one [s], shape (t,).
            surface: Of the bodies.
            rest: Particles or nodes at rest [m], shape (n, 3).
            camera: What took the pictures.
            lines: Height of the pictures that are compared [px].
            noise: Standard deviation of a pixel's share [-].

        Raises:
            ValueError: The pictures are of another size, empty, or the bodies are too thin.
        """
        factor = min(1.0, lines / camera.size[1])
        small = camera.resized(factor)
        reduced, grey = [], []
        for mask in masks:
            reduced.append(_reduced(mask, camera.size, small.size))
            grey.append(_middling(mask))
        if grey and float(np.mean(grey)) > GREY:
            raise ValueError(
                f"{100 * np.mean(grey):.0f} % of the pixels are neither black nor white, as in an"
                " ordinary film: expected masks, white where bodies are and black elsewhere; an"
                " ordinary film can be tracked, and its tracks fitted"
            )
        if len(reduced) != len(times) or len(times) < 2:
            raise ValueError(
                f"got {len(reduced)} masks and {len(times)} times, expected as many, two or more"
            )
        if not any(bool(mask.any()) for mask in reduced):
            raise ValueError("the masks are dark all over, expected them bright where bodies are")
        x = rest.detach().cpu().double()
        vertices = surface.vertices(x)
        pixels = small.project(vertices)
        if not bool(pixels.ahead.any()):
            raise ValueError("the bodies are behind the camera: check its pose")
        radius = RADIUS * float(pixels.depth[pixels.ahead].median() / small.focal.mean())
        balls = _balls(vertices, surface.triangles, radius)
        if not len(balls):
            raise ValueError(
                f"no ball of {radius:.3g} m fits into the bodies, at {RADIUS:g} pixels of pictures"
                f" of {small.size[1]} lines: compare finer ones"
            )
        at = torch.from_numpy(np.asarray(times, np.float64)) + camera.start
        carried = Carried.by(balls, x)
        return cls(torch.stack(reduced), at, small, carried, radius, surface, noise)

    def rebound(self, trajectory: Trajectory) -> Silhouettes:
        """See `Observation.rebound`; the same balls, known by where they start."""
        if not starts(trajectory):
            return self
        surface = replace(self.surface, carried=started(self.surface.carried, trajectory))
        return replace(self, carried=started(self.carried, trajectory), surface=surface)

    def carried_by(self, surface: MovingSurface, rest: Tensor) -> Silhouettes:
        """See `Observation.carried_by`; the same balls."""
        check_same(self.surface, surface)
        carried = Carried.by(self.carried.rest, rest.detach().cpu().double())
        return replace(self, carried=carried, surface=surface)

    @property
    def cameras(self) -> tuple[Camera, ...]:  # type: ignore[override]
        """See `Observation.cameras`."""
        return (self.camera,)

    def through(self, cameras: tuple[Camera, ...]) -> Silhouettes:
        """See `Observation.through`; of pictures of the same size."""
        return replace(self, camera=cameras[0])

    def window(self, start: int, stop: int) -> Silhouettes:
        """See `Observation.window`."""
        return replace(self, masks=self.masks[start:stop], times=self.times[start:stop])

    @property
    def time(self) -> Tensor:
        """See `Observation.time`."""
        return self.times

    def seen(self) -> Tensor:
        """See `Observation.seen`: every pixel, always, shape (t, h w)."""
        return torch.ones(len(self.masks), self.masks[0].numel(), dtype=torch.bool)

    def cover(self, trajectory: Trajectory) -> Tensor:
        """Share of each pixel that the simulated bodies cover, (t, h, w); differentiable."""
        middles = self.camera.project(self.carried.at(trajectory.x))
        depth = torch.where(middles.ahead, middles.depth, torch.ones_like(middles.depth))
        radius = self.radius * self.camera.focal.mean().to(depth) / depth
        shown = torch.where(middles.ahead, radius, torch.zeros_like(radius))
        width, height = self.camera.size
        return covered(middles.at, shown, RIM, (height, width))

    def residual(self, trajectory: Trajectory) -> Tensor:
        """See `Observation.residual`; shares of pixels, shape (t, h w, 1)."""
        if len(trajectory) != len(self.masks):
            raise ValueError(
                f"the simulated motion has {len(trajectory)} frames, the silhouettes"
                f" {len(self.masks)}: simulate at the times of the pictures"
            )
        cover = self.cover(trajectory)
        return (cover - self.masks.to(cover)).flatten(1)[..., None]


def covered(centre: Tensor, radius: Tensor, rim: float, shape: tuple[int, int]) -> Tensor:
    """Share of pixels that soft discs cover together, see rheograd.kernels.pictures.discs.

    Args:
        centre: [px], shape (p, k, 2).
        radius: [px], shape (p, k); 0 for none.
        rim: Half the width of the soft rim [px].
        shape: Height and width of the pictures.

    Returns:
        Shape (p, height, width); differentiable in centres and radii.
    """
    most: Tensor = _Covered.apply(centre, radius, float(rim), shape)
    # 1 where some discs lie over one another, most itself where it is below that
    return most * (1.0 + most**FULL) ** (-1.0 / FULL)


class _Covered(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, centre: Tensor, radius: Tensor, rim: float, shape: tuple[int, int]
    ) -> Tensor:
        centre, radius = plain(centre, radius)
        total = centre.new_zeros(len(centre), *shape)
        _launch("splat", centre, radius, rim, total)
        ctx.rim = rim
        ctx.save_for_backward(centre, radius, total)
        return total**0.125

    @staticmethod
    def backward(ctx: Any, *bars: Tensor) -> tuple[Tensor | None, ...]:
        centre, radius, total = ctx.saved_tensors
        (norm_bar,) = plain(bars[0])
        centre_bar, radius_bar = torch.zeros_like(centre), torch.zeros_like(radius)
        _launch("adjoint", centre, radius, ctx.rim, total, norm_bar, centre_bar, radius_bar)
        return centre_bar, radius_bar, None, None


def _launch(name: str, centre: Tensor, radius: Tensor, *rest: Tensor | float) -> None:
    """A thread for each disc of each picture."""
    scalar = precision(centre)
    arguments = [
        as_warp(a, scalar) if isinstance(a, Tensor) else a for a in (centre, radius, *rest)
    ]
    wp.launch(
        getattr(disc_kernels(scalar), name), dim=tuple(radius.shape), inputs=arguments,
        device=wp.device_from_torch(centre.device), stream=current_stream(centre.device),
    )  # fmt: skip


def _reduced(mask: np.ndarray, size: tuple[int, int], small: tuple[int, int]) -> Tensor:
    """A mask in fewer pixels, each the mean of those it stands for."""
    import cv2

    if mask.shape[:2] != size[::-1]:
        raise ValueError(
            f"a mask is {mask.shape[1]} x {mask.shape[0]} px, the camera's pictures"
            f" {size[0]} x {size[1]}: take masks of the video itself"
        )
    bright = mask if mask.dtype == bool else mask > 127
    found = cv2.resize(bright.astype(np.float64), small, interpolation=cv2.INTER_AREA)
    return torch.from_numpy(found)


def _middling(mask: np.ndarray) -> float:
    """Share of the pixels that are neither dark nor bright."""
    return 0.0 if mask.dtype == bool else float(((mask > 63) & (mask < 192)).mean())


def _balls(vertices: Tensor, triangles: Tensor, radius: float) -> Tensor:
    """Middles of balls below the surface, a radius apart, shape (k, 3)."""
    from scipy.spatial import KDTree
    from trimesh.remesh import subdivide_to_size

    cut: Any = subdivide_to_size(vertices.numpy(), triangles.numpy(), radius, max_iter=30)
    corners = np.asarray(cut[0])[np.asarray(cut[1])]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(across, axis=1, keepdims=True)
    normal = across / np.maximum(length, 1e-30)
    middle = corners.mean(1)
    balls = middle - INSET * radius * normal
    nearest, _ = KDTree(middle).query(balls)
    return torch.from_numpy(balls[nearest > INSIDE * INSET * radius])
