# SPDX-License-Identifier: Apache-2.0
"""Tracks of surface points in the pictures of a camera, compared where the camera saw them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from ..carrying import Carried
from ..moving_surface import MovingSurface, Spot
from ..raycasting import RayMesh
from ..trajectory import Trajectory
from ..vision.camera import Camera
from ..vision.tracks import Tracks
from .observation import Observation

NOISE = 0.3
"""Standard deviation of a track unless told otherwise [px]."""
RIM = 5.0
"""How near to an edge of the surface a track may be unless told otherwise [px]."""
BEND = 0.8
"""Cosine of the angle between normals from which on the surface has an edge between them."""
ENOUGH = 2.0 / 3.0
"""Share of the tracks on the body below which the camera or the scene is doubted."""
AROUND = 16
"""Directions in which an edge is looked for."""


@dataclass(frozen=True, eq=False)
class PixelTracks(Observation):
    """Reprojection errors of points that were bound to the surface in the first frame.

    Nothing is lifted into space: a point is where its ray met the surface at rest, and is carried
    by the simulation.
    """

    tracks: Tracks
    """As they were followed."""
    camera: Camera
    """What saw them; its `start` is the time of the first frame."""
    bound: Tensor
    """Numbers of the tracks that are used, shape (k,), int64."""
    carried: Carried
    """Their points on the surface."""
    surface: MovingSurface
    """On which they are."""
    rest: Tensor
    """Particles or nodes as they start [m], shape (n, 3), float64."""
    first: Tensor
    """Where the tracks were then, from where their rays are cast [px], shape (k, 2), float64."""
    noise: float = NOISE
    """Standard deviation of a track [px]."""
    assumed: bool = False
    """Whether that was not stated but assumed."""
    on_body: float = 1.0
    """Share of the tracks of the first frame that are on the body, its edges included."""
    unit: ClassVar[str] = "px"
    components: ClassVar[int] = 2
    outliers: ClassVar[bool] = True

    @classmethod
    def bind(
        cls,
        tracks: Tracks,
        surface: MovingSurface,
        rest: Tensor,
        *,
        camera: Camera | None = None,
        noise: float | None = None,
        rim: float = RIM,
    ) -> PixelTracks:
        """Bind each track to what its pixel of the first frame shows of the surface.

        Args:
            tracks: Pixels by frame; those not seen in the first frame are left out.
            surface: Of the bodies.
            rest: Particles or nodes at that time [m], shape (n, 3).
            camera: What saw them; that of the tracks if None.
            noise: Standard deviation of a track [px]; None assumes 0.3.
            rim: Tracks nearer than this to an edge of the surface, as the first frame shows it, are
                left out [px], unless all are: their patches show what lies on either side.

        Raises:
            ValueError: There is no camera, or no track is on the body.
        """
        camera = tracks.camera if camera is None else camera
        if camera is None:
            raise ValueError(
                "the tracks do not say what camera saw them: track with --camera FILE.toml, or name"
                " one"
            )
        if camera.size != tracks.size:
            raise ValueError(
                f"the camera takes pictures of {camera.size[0]} x {camera.size[1]} px, the tracks"
                f" are from {tracks.size[0]} x {tracks.size[1]}: give the camera of that video"
            )
        if noise is not None and not noise > 0:
            raise ValueError(f"got a noise of {noise:g} px, expected it positive")
        first = torch.nonzero(torch.from_numpy(tracks.seen[0])).flatten()
        rest = rest.detach().cpu().double()
        pixels = torch.from_numpy(tracks.pixels[0])[first]
        spot, hit = _cast(pixels, camera, surface, rest)
        if not bool(hit.any()):
            ahead = bool(camera.project(surface.vertices(rest)).ahead.any())
            why = "they lie beside it" if ahead else "the body is behind the camera"
            raise ValueError(
                f"none of {len(first)} tracks of {tracks.source or 'the video'} is on the body in"
                f" the first frame, {why}: check the camera's pose and the scene's first position"
            )
        used = hit & ~_at_rim(pixels, camera, surface, rest, rim)
        used = used if bool(used.any()) else hit
        on = Spot(spot.triangle[used], spot.weights[used])
        return cls(
            tracks, camera, first[used], surface.spots(on), surface, rest, pixels[used],
            NOISE if noise is None else noise, noise is None, float(hit.double().mean()),
        )  # fmt: skip

    def doubts(self) -> tuple[str, ...]:
        """See `Observation.doubts`."""
        if self.on_body >= ENOUGH:
            return ()
        count = int(self.tracks.seen[0].sum())
        return (
            f"only {round(self.on_body * count)} of {count} tracks of"
            f" {Path(self.tracks.source).name or 'the video'} are on the body where the scene has"
            " it in the first frame: check the pose of the camera, the body's size and first"
            " position in the scene, and that no other thing was tracked",
        )

    def rebound(self, trajectory: Trajectory) -> PixelTracks:
        """See `Observation.rebound`; what misses the body there goes to its nearest corner."""
        rest = trajectory.x[0].detach().cpu().double()
        same = float(trajectory.time[0]) > 0.0 or torch.equal(rest, self.rest)
        return self if same else self._bound(self.camera, rest)

    def carried_by(self, surface: MovingSurface, rest: Tensor) -> PixelTracks:
        """See `Observation.carried_by`."""
        return replace(self, surface=surface)._bound(self.camera, rest.detach().cpu().double())

    @property
    def cameras(self) -> tuple[Camera, ...]:  # type: ignore[override]
        """See `Observation.cameras`."""
        return (self.camera,)

    def through(self, cameras: tuple[Camera, ...]) -> PixelTracks:
        """See `Observation.through`; tracks are bound to what that camera shows of the surface."""
        return self._bound(cameras[0], self.rest)

    def _bound(self, camera: Camera, rest: Tensor) -> PixelTracks:
        spot, _ = _cast(self.first, camera, self.surface, rest)
        return replace(self, camera=camera, carried=self.surface.spots(spot), rest=rest)

    @property
    def time(self) -> Tensor:
        """Times in the simulation [s], shape (t,)."""
        return torch.from_numpy(self.tracks.time).double() + self.camera.start

    def seen(self) -> Tensor:
        """See `Observation.seen`."""
        return torch.from_numpy(self.tracks.seen)[:, self.bound]

    @property
    def used(self) -> Tracks:
        """The tracks that are bound, without the others."""
        t, own = self.tracks, self.bound.numpy()
        quality = None if t.quality is None else t.quality[:, own]
        return replace(t, pixels=t.pixels[:, own], quality=quality)

    def window(self, start: int, stop: int) -> PixelTracks:
        """The frames from `start` to before `stop`."""
        part = slice(start, stop)
        t = self.tracks
        quality = None if t.quality is None else t.quality[part]
        own = replace(t, pixels=t.pixels[part], time=t.time[part], quality=quality)
        return replace(self, tracks=own)

    def predicted(self, trajectory: Trajectory) -> Tensor:
        """Pixels of the points in a simulation, shape (t, k, 2); differentiable."""
        return self.camera.project(self.carried.at(trajectory.x)).at

    def residual(self, trajectory: Trajectory) -> Tensor:
        """See `Observation.residual`; [px], shape (t, k, 2)."""
        if len(trajectory) != len(self.tracks.time):
            raise ValueError(
                f"the simulated motion has {len(trajectory)} frames, the tracks"
                f" {len(self.tracks.time)}: simulate at the times of the tracks"
            )
        predicted = self.predicted(trajectory)
        seen = self.seen().to(predicted.device)[..., None]
        pixels = torch.from_numpy(self.tracks.pixels)[:, self.bound].to(predicted)
        return torch.where(seen, predicted - torch.where(seen, pixels, 0.0), 0.0)


def _cast(
    pixels: Tensor, camera: Camera, surface: MovingSurface, rest: Tensor
) -> tuple[Spot, Tensor]:
    """Where rays of pixels (k, 2) meet the surface, and which do, shape (k,).

    The others get the corner of the surface that is nearest to them in the picture.
    """
    vertices = surface.vertices(rest)
    reach = 10.0 * float((vertices - camera.position).norm(dim=1).max())
    mesh = RayMesh(vertices, surface.triangles)
    spot, hit, _ = mesh.hits(camera.position, camera.rays(pixels), reach)
    triangle = torch.zeros(len(pixels), dtype=torch.int64)
    weights = torch.zeros(len(pixels), 3, dtype=torch.float64)
    triangle[hit], weights[hit] = spot.triangle, spot.weights.to(weights)
    if not bool(hit.all()):
        seen = camera.project(vertices)
        far = torch.where(seen.ahead, 0.0, math.inf)
        corner = (torch.cdist(pixels[~hit], seen.at) + far).argmin(1)
        faces = surface.triangles == corner[:, None, None]
        triangle[~hit] = faces.any(2).int().argmax(1)
        weights[~hit] = faces[torch.arange(len(corner)), triangle[~hit]].to(weights)
    return Spot(triangle, weights), hit


def _at_rim(
    pixels: Tensor, camera: Camera, surface: MovingSurface, rest: Tensor, rim: float
) -> Tensor:
    """Which pixels (k, 2) have an edge or nothing of the surface near, (k,)."""
    vertices = surface.vertices(rest)
    reach = 10.0 * float((vertices - camera.position).norm(dim=1).max())
    mesh = RayMesh(vertices, surface.triangles)
    a, b, c = vertices[surface.triangles].unbind(1)
    normals = torch.linalg.cross(b - a, c - a)
    normals = normals / normals.norm(dim=1, keepdim=True)
    angle = torch.arange(AROUND, dtype=torch.float64) * (2.0 * math.pi / AROUND)
    ring = rim * torch.stack([angle.cos(), angle.sin()], 1)
    around = torch.cat([torch.zeros(1, 2, dtype=torch.float64), ring if rim > 0.0 else ring[:0]])
    near = pixels + around[:, None]
    spot, hit, _ = mesh.hits(camera.position, camera.rays(near).reshape(-1, 3), reach)
    shown = torch.zeros(len(hit), 3, dtype=torch.float64)
    shown[hit] = normals[spot.triangle]
    shown = shown.reshape(len(around), -1, 3)
    return ((shown * shown[0]).sum(-1) < BEND).any(0)
