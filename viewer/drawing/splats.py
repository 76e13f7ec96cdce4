# SPDX-License-Identifier: Apache-2.0
"""Pictures of many points as small lit spheres, by Warp: no OpenGL is needed for them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp

from rheograd.kernels.dtypes import building
from rheograd.kernels.pictures.splatting import (
    ALL,
    BLOCK,
    EMPTY,
    LIGHTS,
    RUN,
    SEEN,
    SPARE,
    TILE,
    UNSEEN,
    splat_kernels,
)

from ..palettes import MISSING

_ROUNDS = ((ALL, 0, 1), (ALL, 1, 3), (ALL, 3, 7), (ALL, 7, BLOCK))
_AGAIN = ((SEEN, 0, BLOCK), (UNSEEN, 0, 3), (UNSEEN, 3, BLOCK))
_THREADS = 4
_SPLIT = 16_384
_AHEAD = 0.78
_BEYOND = 1.25


@dataclass(frozen=True)
class Viewpoint:
    """From where, and how, points are seen."""

    view: np.ndarray
    """From the world to axes right, up and toward the eye [m], shape (4, 4)."""
    projection: np.ndarray
    """From these to OpenGL's clip coordinates, shape (4, 4); without shear."""
    near: float
    """Distance of the near plane [m]; a point whose centre is not between the two is left out."""
    far: float
    """Distance of the far plane [m]."""
    size: tuple[int, int]
    """Width and height of the picture [pixels]."""


def headlight() -> tuple[np.ndarray, np.ndarray]:
    """Light from the eye: what colours are multiplied by, and what is added, each (LIGHTS^2, 3)."""
    gain = 1 - _AHEAD * (1 - normals()[:, 2:])
    return np.repeat(gain, 3, 1), np.zeros((LIGHTS**2, 3))


def normals() -> np.ndarray:
    """The normal (right, up, toward the eye) at each place of a table of lights, (LIGHTS^2, 3)."""
    line = (np.arange(LIGHTS) + 0.5) / (LIGHTS / 2) - 1
    x, y = np.meshgrid(line, line)
    size = np.maximum(np.hypot(x, y), 1.0)  # what lies beyond the rim is the rim
    x, y = x / size, y / size
    z = np.sqrt(np.maximum(1 - x**2 - y**2, 0.0))
    return np.stack([x, y, z], -1).reshape(-1, 3)


def rgba(picture: np.ndarray) -> np.ndarray:
    """Colours (height, width, 4), uint8, of a picture of `Splats`; alpha is 0 where nothing is."""
    code = picture[..., 1].astype(np.uint32)
    there = 255 * picture[..., 2]
    return np.stack([code >> 16, (code >> 8) & 255, code & 255, there], -1).astype(np.uint8)


class Splats:
    """Points as spheres of one radius, of which each pixel shows the nearest.

    A point that is not finite is not seen. On a CPU several threads share the work; what they draw
    does not depend on how many there are.

    Args:
        device: of Warp, by default the first GPU that CUDA has, or else the CPU.
        threads: on a CPU, by default up to four of the cores there are.
    """

    def __init__(self, *, device: str | None = None, threads: int | None = None) -> None:
        self.device: Any = wp.get_device(device or ("cuda:0" if wp.is_cuda_available() else "cpu"))
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        self._threads = 1 if self.device.is_cuda else threads or min(cores, _THREADS)
        self._pool = ThreadPoolExecutor(self._threads - 1) if self._threads > 1 else None
        self._size = (0, 0)
        self._parts = 1
        self._seen = wp.zeros(0, dtype=wp.uint8, device=self.device)
        self._known = False
        self.place(np.zeros((0, 3), np.float32), 1.0)
        self.paint(np.zeros((0, 3), np.uint8))
        self.light(*headlight())

    def place(self, x: np.ndarray, radius: float) -> None:
        """Put the points at x (n, 3) [m], float32 or float64, with a radius [m].

        Raises:
            ValueError: The shape or the radius has no meaning.
        """
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != 3 or not radius > 0:
            raise ValueError(
                f"points to draw: got x of shape {x.shape} with radius {radius:g}, expected (n, 3)"
                " and a positive radius"
            )
        double = x.dtype == np.float64
        self._kernels = splat_kernels(wp.float64 if double else wp.float32)
        x = np.ascontiguousarray(x, np.float64 if double else np.float32)
        self._x = self._array(x, wp.vec3d if double else wp.vec3f)
        self._radius = float(radius)
        if len(x) != len(self._seen):
            self._seen = wp.zeros(len(x), dtype=wp.uint8, device=self.device)
            self._known = False
        middle = x[len(x) // 2] if len(x) else np.zeros(3)
        self._origin = np.where(np.isfinite(middle), middle, 0.0).astype(float)

    def paint(self, colours: np.ndarray) -> None:
        """Give each point a colour (n, 3), uint8."""
        colours = np.asarray(colours, np.uint8).reshape(-1, 3)
        self._paint(colours, np.zeros(0), (0.0, 1.0), np.zeros((0, 3)))

    def paint_by(self, values: np.ndarray, table: np.ndarray, limits: tuple[float, float]) -> None:
        """Colour the points by values (n,), in a table (k, 3) uint8 over the range `limits`."""
        self._paint(np.zeros((0, 3), np.uint8), np.asarray(values).reshape(-1), limits, table)

    def _paint(self, colours: np.ndarray, values: np.ndarray, limits: Any, table: Any) -> None:
        self._painted = len(colours) + len(values)
        self._paints = (
            self._array(colours, wp.uint8),
            self._array(np.asarray(values, np.float32), wp.float32),
            wp.vec2(*(float(end) for end in limits)),
            self._array(np.asarray(table, np.float32), wp.vec3f),
            wp.vec3(*(float(c) for c in MISSING)),
        )

    def light(self, gain: np.ndarray, shine: np.ndarray) -> None:
        """Light by the normal: what colours are multiplied by, and what [of 255] is added.

        Both are (LIGHTS^2, 3), at the places of `normals`.
        """
        self._lights = tuple(
            self._array(np.asarray(table, np.float32), wp.vec3f) for table in (gain, shine)
        )

    def draw(self, viewpoint: Viewpoint, out: np.ndarray | None = None) -> np.ndarray:
        """The picture (height, width, 3), float32, from its lowest row upward.

        Of each pixel the depth in the window, 1 where nothing is, the colour in one number, see
        `rgba`, and the opacity, 1 or 0. With `out`, an array of that shape, it is written there.

        Raises:
            ValueError: The points are not as many as their colours, or `out` does not fit.
        """
        count = len(self._x)
        if self._painted != count:
            raise ValueError(
                f"colours of points: got {self._painted}, expected one for each of {count}"
            )
        wide, high = viewpoint.size
        if out is None:
            out = np.empty((high, wide, 3), np.float32)
        if out.shape != (high, wide, 3) or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise ValueError(
                f"a picture to draw into: got {out.dtype} of shape {out.shape}, expected contiguous"
                f" float32 of shape {(high, wide, 3)}"
            )
        self._prepare(wide, high)
        self._splat(camera := self._camera(viewpoint))
        picture = self._array(out.reshape(-1, 3), wp.vec3f, copied=False)
        given = [camera, self._x, self._radius, *self._paints, *self._lights]
        given += [self._parts, self._keys]
        self._seen.zero_()
        runs = -(-wide * high // RUN)
        self._share(
            self._kernels.shade, runs, lambda first, _: [*given, first, self._seen, picture]
        )
        self._known = True
        if self.device.is_cuda:
            out[:] = picture.numpy().reshape(out.shape)
        return out

    def _empty(self, count: int, dtype: Any) -> Any:
        return wp.empty(count, dtype=dtype, device=self.device)

    def _array(self, values: np.ndarray, dtype: Any, *, copied: bool = True) -> Any:
        """On the device; on a CPU it shares the memory."""
        if not copied and self.device.is_cuda:
            return self._empty(len(values), dtype)
        values = np.ascontiguousarray(values)
        if not values.flags.writeable:
            values = values.copy()
        return wp.array(values, dtype=dtype, device=self.device, copy=False)

    def _prepare(self, wide: int, high: int) -> None:
        """Memory for the pixels, a picture for each thread that draws."""
        parts = min(self._threads, 1 + len(self._x) // _SPLIT)
        if (wide, high, parts) == (*self._size, self._parts) and len(self._keys):
            return
        self._size, self._parts = (wide, high), parts
        self._keys = self._empty(parts * (wide * high + SPARE), wp.int64)
        tiles = -(-wide // TILE) * -(-high // TILE)
        self._bounds = self._empty(tiles, wp.uint32)
        self._around = wp.empty_like(self._bounds)

    def _camera(self, viewpoint: Viewpoint) -> Any:
        camera, origin = self._kernels.Camera(), self._origin
        view, m = viewpoint.view, viewpoint.projection
        turn = np.array(view[:3, :3], float) * np.array([[1.0], [1.0], [-1.0]])
        shift = (view @ [*origin, 1.0])[:3] * (1.0, 1.0, -1.0)
        perspective = bool(m[3, 2] != 0)
        ahead = -m[:2, 2] if perspective else m[:2, 3]
        half = np.array(viewpoint.size) / 2
        camera.origin = (wp.vec3d if self._x.dtype is wp.vec3d else wp.vec3f)(*origin)
        camera.turn, camera.shift = wp.mat33f(*turn.ravel()), wp.vec3f(*shift)
        camera.scale = wp.vec2f(*(half * (m[0, 0], m[1, 1])))
        camera.centre = wp.vec2f(*(half * (1 + ahead)))
        camera.near, camera.far = float(viewpoint.near), float(viewpoint.far)
        linear, inverse = (m[2, 2], m[2, 3]) if perspective else (-m[2, 3], m[2, 2])
        camera.depth = wp.vec2f(0.5 - 0.5 * linear, 0.5 * inverse * (1 if perspective else -1))
        camera.perspective = int(perspective)
        camera.width, camera.height = viewpoint.size
        return camera

    def _splat(self, camera: Any) -> None:
        """Find what each pixel shows."""
        wide, high = self._size
        size, kernels, blocks = wide * high + SPARE, self._kernels, -(-len(self._x) // BLOCK)
        tiles = wp.vec2i(-(-wide // TILE), -(-high // TILE))
        for bounds in (self._bounds, self._around):
            bounds.fill_(EMPTY >> 32)
        keys = [self._keys[part * size : (part + 1) * size] for part in range(self._parts)]
        self._together([lambda own=own: own.fill_(EMPTY) for own in keys])
        what = [camera, self._x, self._radius, self._reach(camera), self._seen]
        rounds = _AGAIN if self._known else _ROUNDS
        for number, ends in enumerate(rounds if blocks else ()):
            if number:
                given = [wide, high, self._parts, self._keys]
                self._share(
                    kernels.bound, len(self._bounds),
                    lambda first, _, given=given: [*given, first, self._bounds],
                )  # fmt: skip
                given = [tiles, self._bounds, self._around]
                self._record(kernels.spread, len(self._bounds), given).launch()
            self._share(
                kernels.splat, blocks,
                lambda first, part, ends=ends: [
                    *what, ends[0], first, *ends[1:], self._bounds, self._around, part * size,
                    self._keys,
                ],
            )  # fmt: skip

    def _reach(self, camera: Any) -> float:
        """The most pixels from a centre to the rim, at a depth of 1 m in perspective."""
        corner = [
            max(c, n - c) / s
            for c, n, s in zip(camera.centre, self._size, camera.scale, strict=True)
        ]
        slope = _BEYOND * max(corner) if camera.perspective else 0.0
        return float(self._radius * max(camera.scale) * np.sqrt(1 + slope**2))

    def _share(
        self, kernel: wp.Kernel, count: int, given: Callable[[int, int], Sequence[Any]]
    ) -> None:
        """Launch `count` threads of a kernel with what is given by the first and the part."""
        ends = [count * part // self._parts for part in range(self._parts + 1)]
        launches = [
            self._record(kernel, stop - first, given(first, part))
            for part, (first, stop) in enumerate(itertools.pairwise(ends))
        ]
        self._together([launch.launch for launch in launches])

    def _record(self, kernel: wp.Kernel, count: int, given: Sequence[Any]) -> wp.Launch:
        with building:
            launch = wp.launch(kernel, count, given, device=self.device, record_cmd=True)
        assert isinstance(launch, wp.Launch)
        return launch

    def _together(self, jobs: Sequence[Callable[[], Any]]) -> None:
        """Do all of them, side by side where there are threads."""
        waiting = [self._pool.submit(job) for job in jobs[1:]] if self._pool else []
        jobs[0]()
        for job in waiting:
            job.result()
