# SPDX-License-Identifier: Apache-2.0
"""Clouds of points on the surface of bodies, of which nobody knows which is which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..carrying import NEAREST, Carried
from ..moving_surface import MovingSurface
from ..trajectory import Trajectory
from .observation import Observation
from .same_start import check_same, started, starts

CHUNK = 4_000_000
"""Distances that are held at a time."""


@dataclass(frozen=True, eq=False)
class PointClouds(Observation):
    """Distances of the points of a cloud to the surface, and of the surface to the cloud.

    Each is to the nearest point of the other (Chamfer distance, both directions as residuals); the
    nearest is looked for anew in every simulation and held in its derivatives.
    """

    clouds: Sequence[Tensor]
    """Points of each frame [m], shape (m, 3) each."""
    times: Tensor
    """In the simulation [s], shape (t,), float64."""
    surface: MovingSurface
    """Whose k vertices are compared."""
    whole: bool = True
    """Whether clouds show all of the surface; if not, only their own points are compared."""
    noise: float | None = None
    """Standard deviation of a coordinate [m]."""
    outliers: ClassVar[bool] = True

    @classmethod
    def bind(
        cls,
        clouds: Sequence[Tensor],
        times: Tensor,
        surface: MovingSurface,
        *,
        whole: bool = True,
        noise: float | None = None,
    ) -> PointClouds:
        """Compare clouds with the vertices of a surface.

        Args:
            clouds: Points of each frame [m], shape (m, 3) each; m may differ.
            times: In the simulation [s], shape (t,).
            surface: Of the bodies; as finely cut as distances shall be known.
            whole: Whether clouds show all of it.
            noise: Standard deviation of a coordinate [m].

        Raises:
            ValueError: A cloud is empty or not of points, or times do not go with them.
        """
        if len(clouds) != len(times) or len(clouds) < 2:
            raise ValueError(
                f"got {len(clouds)} clouds and {len(times)} times, expected as many, two or more"
            )
        for number, cloud in enumerate(clouds):
            if cloud.ndim != 2 or cloud.shape[1] != 3 or not len(cloud):
                raise ValueError(
                    f"cloud {number} has shape {tuple(cloud.shape)}, expected (points, 3) with a"
                    " point at least"
                )
            if not bool(torch.isfinite(cloud).all()):
                raise ValueError(f"cloud {number} has places that are not finite: leave them out")
        return cls([c.double() for c in clouds], times.double(), surface, whole, noise)

    @property
    def carried(self) -> Carried:
        """The points of the surface."""
        return self.surface.carried

    def rebound(self, trajectory: Trajectory) -> PointClouds:
        """See `Observation.rebound`; the same points, known by where they start."""
        if not starts(trajectory):
            return self
        return replace(
            self, surface=replace(self.surface, carried=started(self.carried, trajectory))
        )

    def carried_by(self, surface: MovingSurface, rest: Tensor) -> PointClouds:
        """See `Observation.carried_by`; the same points, each by particles of its own body."""
        check_same(self.surface, surface)
        old, new, x = self.carried, surface.carried, rest.detach().cpu().double()
        carriers = torch.zeros(len(old.rest), NEAREST, dtype=torch.int64)
        weights = torch.zeros(len(old.rest), NEAREST, dtype=torch.float64)
        for body in self.surface.body.unique():
            mine, its = self.surface.body == body, surface.body == body
            own = new.carriers[its][new.weights[its] != 0.0].unique()
            found = Carried.by(old.rest[mine], x[own])
            width = found.carriers.shape[1]
            carriers[mine, :width], weights[mine, :width] = own[found.carriers], found.weights
        carried = Carried(old.rest, carriers, weights, len(x))
        return replace(self, surface=replace(self.surface, carried=carried))

    def window(self, start: int, stop: int) -> PointClouds:
        """See `Observation.window`."""
        return replace(self, clouds=self.clouds[start:stop], times=self.times[start:stop])

    @property
    def time(self) -> Tensor:
        """See `Observation.time`."""
        return self.times

    @property
    def _mine(self) -> int:
        """Residuals of the surface's own points."""
        return len(self.carried.rest) if self.whole else 0

    def seen(self) -> Tensor:
        """See `Observation.seen`; first the surface's points, then the cloud's, (t, k + m)."""
        most = max(len(cloud) for cloud in self.clouds)
        out = torch.zeros(len(self.clouds), self._mine + most, dtype=torch.bool)
        for row, cloud in zip(out, self.clouds, strict=True):
            row[: self._mine + len(cloud)] = True
        return out

    def residual(self, trajectory: Trajectory) -> Tensor:
        """See `Observation.residual`; [m], shape (t, k + m, 3)."""
        if len(trajectory) != len(self.clouds):
            raise ValueError(
                f"the simulated motion has {len(trajectory)} frames, expected {len(self.clouds)}:"
                " simulate at the times of the clouds"
            )
        x = self.carried.at(trajectory.x)
        rows = []
        for points, cloud in zip(x, self.clouds, strict=True):
            seen = cloud.to(points)
            parts = [points - seen[nearest(points, seen)]] if self.whole else []
            parts.append(points[nearest(seen, points)] - seen)
            rows.append(torch.cat(parts))
        most = max(len(row) for row in rows)
        padded = [torch.nn.functional.pad(row, (0, 0, 0, most - len(row))) for row in rows]
        return torch.stack(padded)


@torch.no_grad()
def nearest(points: Tensor, others: Tensor) -> Tensor:
    """For each of n points (n, 3) the number of the nearest of others (m, 3), shape (n,)."""
    size = max(1, CHUNK // len(others))
    return torch.cat([torch.cdist(part, others).argmin(1) for part in points.split(size)])


def read_clouds(
    path: str | Path, *, frame_rate: float | None = None, scale: float = 1.0
) -> tuple[list[Tensor], Tensor]:
    """Clouds and their times [s] from a folder of .ply files or an .npz file.

    Args:
        path: A folder, whose files are taken in the order of their names; or an .npz with `points`
            (t, m, 3), NaN where there are fewer, and `time` (t,) [s].
        frame_rate: Frames per second of a folder [1/s].
        scale: Metres per unit of the files.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: It holds no clouds, or does not say when they were taken.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no point clouds {path}: check the path")
    if path.is_dir():
        import trimesh

        files = sorted(path.glob("*.ply"))
        if frame_rate is None or not frame_rate > 0 or len(files) < 2:
            raise ValueError(
                f"{path} has {len(files)} .ply files, expected two or more and their --frame-rate"
            )
        loaded = [np.asarray(trimesh.load(file).vertices, np.float64) for file in files]  # type: ignore[union-attr]
        times = np.arange(len(files)) / frame_rate
        return [torch.from_numpy(scale * points) for points in loaded], torch.from_numpy(times)
    with np.load(path, allow_pickle=False) as held:
        missing = [name for name in ("points", "time") if name not in held.files]
        if missing:
            raise ValueError(f"{path} lacks {', '.join(missing)}: expected points and time")
        points, times = held["points"].astype(np.float64), held["time"].astype(np.float64)
    known = np.isfinite(points).all(-1)
    clouds = [torch.from_numpy(scale * p[k]) for p, k in zip(points, known, strict=True)]
    return clouds, torch.from_numpy(times)
