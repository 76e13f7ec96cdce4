# SPDX-License-Identifier: Apache-2.0
"""Clips of a trajectory as a camera would film it, with what is true of them: tracks and masks.

Every pixel is the mean of a few rays, each at a moment of its own while the shutter is open. No
display is needed. The texture sticks to the material, so that a tracker can be held to the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rheograd.engine.carrying import Carried
from rheograd.engine.moving_surface import MovingSurface, Spot
from rheograd.engine.observations.markers import hermite
from rheograd.engine.raycasting import RayMesh
from rheograd.engine.trajectory import Trajectory
from rheograd.engine.vision.camera import Camera
from rheograd.engine.vision.tracks import Tracks
from rheograd.engine.vision.video import VideoWriter

COLOURS = ((1.0, 0.97, 0.92), (0.80, 0.93, 1.0), (1.0, 0.85, 0.75), (0.85, 1.0, 0.82))
"""Of bodies, in turn."""
LAMP = (0.45, 1.0, 0.6)
"""Direction to the lamp, y up."""
MARGIN = 3
"""Pixels around bodies and shadows that are drawn anew in each picture."""
RELIEF = 2e-3
"""How much nearer than a point something must be to hide it, as a share of its distance."""


@dataclass(frozen=True)
class Film:
    """How a clip is taken.

    Raises:
        ValueError: A number has no meaning.
    """

    shutter: float = 0.0
    """Share of the time between frames for which the shutter is open: 0.5 is the film's 180°."""
    samples: int = 4
    """Rays along each side of a pixel."""
    noise: float = 0.0
    """Standard deviation added to brightness [grey levels of 255]."""
    contrast: float = 0.7
    """Of the texture: 0 is none."""
    grain: float = 0.0
    """Width of its spots [m]; 0: seven pixels' worth."""
    crf: int = 18
    """Compression of H.264, from 0 (none is lost) to 51."""
    seed: int = 0
    """Of the noise."""

    def __post_init__(self) -> None:
        """See the class."""
        if not 0.0 <= self.shutter <= 1.0 or not 0.0 <= self.contrast <= 1.0:
            raise ValueError(
                f"got shutter = {self.shutter:g} and contrast = {self.contrast:g}, expected shares"
                " from 0 to 1"
            )
        if not 1 <= self.samples <= 16 or self.noise < 0 or self.grain < 0:
            raise ValueError(
                f"got samples = {self.samples}, noise = {self.noise:g} and grain = {self.grain:g},"
                " expected 1 to 16 samples and nothing negative"
            )
        if not 0 <= self.crf <= 51:
            raise ValueError(f"got crf = {self.crf}, expected 0 to 51")


class Filmed(NamedTuple):
    """What was written, and what is true of it."""

    tracks: Tracks
    """Points of the surface that the first frame shows, exactly."""
    mask: np.ndarray
    """Where bodies are in the first frame, shape (height, width), bool."""
    places: Tensor
    """The points at rest [m], shape (k, 3)."""


class Scenery:
    """A trajectory's surfaces as a mesh of rays, at any time between its frames."""

    def __init__(self, trajectory: Trajectory, camera: Camera, film: Film) -> None:
        """Bind the surface and lay the mesh out.

        Raises:
            ValueError: The trajectory does not say what its bodies look like.
        """
        import json

        import warp as wp

        from rheograd.kernels.pictures.raycast import ray_kernels

        self.trajectory, self.camera, self.film = trajectory, camera, film
        self.surface = MovingSurface.of(trajectory)
        self.kernels = ray_kernels()
        vertices = self.surface.vertices(trajectory.x[0].double())
        self.mesh = RayMesh(vertices, self.surface.triangles)
        start = vertices.numpy()
        rest = self.surface.rest.numpy().astype(np.float32)
        self.rest = wp.array(rest, dtype=wp.vec3, device="cpu")
        paint = np.array(COLOURS, np.float32)[self.surface.body.numpy() % len(COLOURS)]
        self.paint = wp.array(paint, dtype=wp.vec3, device="cpu")
        gravity = np.array(json.loads(trajectory.metadata.get("gravity", "[0, -9.81, 0]")))
        up = -gravity / np.linalg.norm(gravity) if np.any(gravity) else np.array([0.0, 1.0, 0.0])
        domain = json.loads(trajectory.metadata.get("domain", "null"))
        low = start.min(0) if domain is None else np.array(domain[0])
        high = start.max(0) if domain is None else np.array(domain[1])
        self.up = up
        corners = np.stack([low, high])
        self.floor = float((corners * up).min(0).sum())
        eye = camera.position.numpy()
        self.far = 4.0 * float(np.linalg.norm(eye - corners.mean(0)) + np.linalg.norm(high - low))
        lamp = _onto(np.array([0.0, 1.0, 0.0]), up) @ np.array(LAMP)
        self.lamp = lamp / np.linalg.norm(lamp)
        distance = float(np.linalg.norm(eye - start.mean(0)))
        self.grain = film.grain or 7.0 * distance / float(camera.focal.mean())

    def particles(self, time: float) -> Tensor:
        """Positions at a time [s] by cubics through frames, shape (n, 3), float64."""
        t = self.trajectory
        times = t.time.double()
        k = int(torch.searchsorted(times, time, right=True).clamp(1, len(times) - 1)) - 1
        pair = slice(k, k + 2)
        since = torch.tensor(time, dtype=torch.float64) - times[k]  # negative in the first blur
        x = t.x[pair].double()
        if t.v is None:
            return torch.lerp(x[0], x[1], since / (times[k + 1] - times[k]))
        return hermite(times[pair], x, t.v[pair].double(), since)[0]

    def at(self, time: float) -> Tensor:
        """Move the mesh to a time [s]; the particles then, shape (n, 3)."""
        x = self.particles(time)
        self.mesh.move(self.surface.vertices(x))
        return x

    def window(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels that bodies and their shadows may touch at some times: first, and after the last.

        The mesh is left at the first of the times.
        """
        parts = []
        for time in times[::-1]:
            self.at(float(time))
            x = self.mesh.points.numpy().astype(float)
            drop = (x @ self.up - self.floor) / max(float(self.lamp @ self.up), 1e-3)
            parts += [x, x - drop[:, None] * self.lamp]
        found = self.camera.project(torch.from_numpy(np.concatenate(parts)))
        width, height = self.camera.size
        if not bool(found.ahead.all()):
            return np.zeros(2, int), np.array([width, height])
        at, most = found.at.numpy(), np.array([width, height])
        low = np.floor(at.min(0)).astype(int) - MARGIN
        high = np.ceil(at.max(0)).astype(int) + MARGIN + 1
        return low.clip(0, most), high.clip(low.clip(0, most), most)

    @cached_property
    def backdrop(self) -> np.ndarray:
        """The picture without bodies and shadows, shape (height, width, 3), from 0 to 1."""
        width, height = self.camera.size
        pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2)
        self.mesh.move(torch.full_like(self.surface.rest, 1e3 * self.far))
        found, _ = self.shaded(self.rays(pixels.astype(float)))
        self.at(float(self.trajectory.time[0]))
        return found.reshape(height, width, 3).astype(float)

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Directions of pixels (n, 2), shape (n, 3), float32."""
        return self.camera.rays(torch.from_numpy(pixels)).numpy().astype(np.float32)

    def shaded(self, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Colours (n, 3) from 0 to 1 of rays, and the faces they hit (n,)."""
        import warp as wp

        n = len(rays)
        ray = wp.array(np.ascontiguousarray(rays), dtype=wp.vec3, device="cpu")
        out = wp.zeros(n, dtype=wp.vec3, device="cpu")
        face = wp.zeros(n, dtype=int, device="cpu")
        wp.launch(
            self.kernels.shade, dim=n, device="cpu",
            inputs=[self.mesh.mesh.id, self.rest, self.mesh.faces, self.paint, self._eye, ray,
                    wp.vec3(*self.lamp), wp.vec3(*self.up), self.floor, self.far, self.grain,
                    self.film.contrast],
            outputs=[out, face],
        )  # fmt: skip
        return out.numpy(), face.numpy()

    def hits(self, rays: np.ndarray) -> tuple[Spot, np.ndarray, np.ndarray]:
        """Spots that rays (n, 3) meet, which do (n,), bool, and how far each went [m] (n,)."""
        spots, hit, far = self.mesh.hits(self.camera.position, torch.from_numpy(rays), self.far)
        return spots, hit.numpy(), far.numpy()

    @property
    def _eye(self) -> Any:
        import warp as wp

        return wp.vec3(*self.camera.position.tolist())


def film_clip(
    trajectory: Trajectory,
    camera: Camera,
    path: str | Path,
    *,
    film: Film | None = None,
    points: int = 120,
    masks: str | Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Filmed:
    """Film a trajectory.

    Args:
        trajectory: What moves, its first frame at rest.
        camera: What films it, from its `start` on at its `frame_rate`; by default one picture for
            each frame of the trajectory.
        path: The .mp4 to write.
        film: How.
        points: About how many exact tracks.
        masks: An .mp4 of where the bodies are, if wanted.
        progress: Is told how many pictures are done, of how many.

    Raises:
        ValueError: The trajectory says nothing of surfaces, is shorter than two pictures, or the
            camera does not see the body.
    """
    film = film or Film()
    rate = camera.frame_rate or trajectory.frame_rate
    times = np.arange(camera.start, float(trajectory.time[-1]) + 1e-9, 1.0 / rate)
    if len(times) < 2:
        raise ValueError(
            f"a motion of {float(trajectory.time[-1]) - camera.start:g} s gives {len(times)}"
            f" pictures at {rate:g} a second, expected two or more: film it faster"
        )
    stage = Scenery(trajectory, camera, film)
    first = _silhouette(stage, float(times[0]))
    if not first.any():
        raise ValueError(
            "the camera does not see the body in the first frame: it looks elsewhere, or the body"
            " is behind it; check its position and rotation"
        )
    spots = _spots(stage, first, points)
    pixels = np.full((len(times), len(spots.rest), 2), np.nan)
    draw = np.random.default_rng(film.seed)
    with ExitStack() as open_files:
        output = open_files.enter_context(VideoWriter(path, camera.size, rate, crf=film.crf))
        shapes = None
        if masks is not None:
            shapes = open_files.enter_context(VideoWriter(masks, camera.size, rate, crf=0))
        for number, time in enumerate(times):
            pixels[number] = _seen(stage, spots, float(time))
            picture = _picture(stage, float(time), film.shutter / rate)
            levels = 255.0 * picture + film.noise * draw.standard_normal((*picture.shape[:2], 1))
            output.write(levels.round().clip(0, 255).astype(np.uint8))
            if shapes is not None:
                shown = _silhouette(stage, float(time))
                shapes.write(np.repeat(255 * shown.astype(np.uint8)[..., None], 3, -1))
            progress(number + 1, len(times))
    tracks = Tracks(pixels, times - camera.start, camera.size, None, camera, str(path))
    return Filmed(tracks, first, spots.rest)


def _silhouette(stage: Scenery, time: float) -> np.ndarray:
    """Where bodies are, shape (height, width), bool."""
    width, height = stage.camera.size
    mask = np.zeros((height, width), bool)
    low, high = stage.window(np.array([time]))
    pixels = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True))), -1)
    _, hit, _ = stage.hits(stage.rays(pixels.reshape(-1, 2).astype(float)))
    mask[low[1] : high[1], low[0] : high[0]] = hit.reshape(pixels.shape[:2])
    return mask


def _picture(stage: Scenery, time: float, open_for: float) -> np.ndarray:
    """A picture, shape (height, width, 3), from 0 to 1; exposed around a time."""
    picture, side = stage.backdrop.copy(), stage.film.samples
    line = (np.arange(side) + 0.5) / side - 0.5
    offsets = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    moments = time + open_for * ((np.arange(len(offsets)) + 0.5) / len(offsets) - 0.5)
    low, high = stage.window(moments[[0, -1]] if open_for > 0.0 else moments[:1])
    pixels = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True))), -1)
    total = np.zeros((pixels[..., 0].size, 3))
    # moments are dealt out so that neighbours in time are not neighbours in the pixel
    order = np.random.default_rng(1).permutation(len(offsets))
    for k, moment in zip(order, moments, strict=True):
        if open_for > 0.0:
            stage.at(moment)
        total += stage.shaded(stage.rays(pixels.reshape(-1, 2) + offsets[k]))[0]
    drawn = (total / len(offsets)).reshape(*pixels.shape[:2], 3)
    picture[low[1] : high[1], low[0] : high[0]] = drawn
    return picture


def _spots(stage: Scenery, mask: np.ndarray, points: int) -> Carried:
    """Points of the surface under a grid of pixels of the first frame."""
    rows, columns = np.nonzero(mask)
    step = max(2.0, float(np.sqrt(len(rows) / max(points, 1))))
    u = np.arange(columns.min() + 0.5 * step, columns.max(), step)
    v = np.arange(rows.min() + 0.5 * step, rows.max(), step)
    pixels = np.stack(np.meshgrid(u, v), -1).reshape(-1, 2)
    inside = mask[np.rint(pixels[:, 1]).astype(int), np.rint(pixels[:, 0]).astype(int)]
    spots, _, _ = stage.hits(stage.rays(pixels[inside]))
    return stage.surface.spots(spots)


def _seen(stage: Scenery, spots: Carried, time: float) -> np.ndarray:
    """Pixels of points (k, 2) at a time; NaN where one is hidden or out of the picture."""
    camera = stage.camera
    x = spots.at(stage.at(time))
    pixels = camera.project(x)
    away = (x - camera.position).numpy()
    distance = np.linalg.norm(away, axis=1)
    _, _, met = stage.hits((away / distance[:, None]).astype(np.float32))
    visible = (met > distance * (1 - RELIEF)) & camera.inside(pixels).numpy()
    return np.where(visible[:, None], pixels.at.numpy(), np.nan)


def _onto(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A rotation that takes one direction to another."""
    v, c = np.cross(a, b), float(a @ b)
    if c < -0.999:
        return np.diag([1.0, -1.0, -1.0])
    K = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + K + K @ K / (1 + c)
