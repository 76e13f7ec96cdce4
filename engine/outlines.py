# SPDX-License-Identifier: Apache-2.0
"""Outlines of convex primitives in a picture, and masks to compare them with.

Both are in pixels freed of the lens's distortion, where a convex body has a convex outline. What
a pixel is covered falls from 1 to 0 across a rim of constant width about that outline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from .primitives import Kind, Pose, hull_points
from .vision.camera import NEAR, Camera, distort, undistort

SECTORS = 16
"""Parts of a rim by direction from its middle; each may be drawn wrong as a whole."""
ROUNDING = 1.0 / np.sqrt(12.0)
"""Standard deviation of a straight run of a rim that is rounded to whole pixels [px]."""
OUTSIDE = 1e3
"""Distance from an outline that is none [px]."""


@dataclass(frozen=True, eq=False)
class Eye:
    """A camera as arrays."""

    place: np.ndarray
    """[m], shape (3,)."""
    rotation: np.ndarray
    """Shape (3, 3)."""
    focal: np.ndarray
    """Focal lengths [px], shape (2,)."""
    centre: np.ndarray
    """Where the axis meets the picture [px], shape (2,)."""

    @classmethod
    def of(cls, camera: Camera) -> Eye:
        """Without its distortion."""
        parts = (camera.position, camera.rotation, camera.focal, camera.centre)
        return cls(*(part.detach().numpy() for part in parts))

    def depth(self, points: np.ndarray) -> np.ndarray:
        """Distance along the axis [m], shape (n,), of points (n, 3)."""
        return (points - self.place) @ self.rotation[2]

    def flat(self, points: np.ndarray) -> np.ndarray:
        """Where points (n, 3) are without distortion [px], shape (n, 2)."""
        X = (points - self.place) @ self.rotation.T
        return X[:, :2] / np.maximum(X[:, 2:], NEAR) * self.focal + self.centre

    def ray(self, pixel: np.ndarray) -> np.ndarray:
        """Direction of a pixel without distortion, of length 1, shape (3,)."""
        ahead = np.append((pixel - self.centre) / self.focal, 1.0) @ self.rotation
        return ahead / np.linalg.norm(ahead)

    def hull(self, kind: Kind, pose: Pose, count: int) -> np.ndarray:
        """Edges of the outline, n u + m v + c < 0 within, shape (e, 3); none if it has no area."""
        from scipy.spatial import ConvexHull, QhullError

        points = self.flat(hull_points(kind, pose, self.place, count))
        try:
            return ConvexHull(points).equations
        except QhullError:
            return np.array([[0.0, 0.0, OUTSIDE]])

    def outline(self, kind: Kind, pose: Pose, camera: Camera, count: int = 256) -> np.ndarray:
        """Corners of the outline as the lens shows them [px], in turn, shape (n, 2)."""
        from scipy.spatial import ConvexHull

        points = self.flat(hull_points(kind, pose, self.place, count))
        corners = points[ConvexHull(points).vertices]
        share = np.linspace(0.0, 1.0, 33)[:-1, None, None]
        line = (corners + share * (np.roll(corners, -1, 0) - corners)).transpose(1, 0, 2)
        plane = torch.from_numpy((line.reshape(-1, 2) - self.centre) / self.focal)
        return distort(plane, camera.distortion).numpy() * self.focal + self.centre


@dataclass(frozen=True, eq=False)
class Rim:
    """Pixels of a mask, or blocks of them, that an outline is compared with."""

    eye: Eye
    pixels: np.ndarray
    """Their middles, without distortion [px], shape (m, 2)."""
    share: np.ndarray
    """Of each that the mask covers, shape (m,)."""
    half: float
    """Half the width of the soft rim [px]."""
    at: np.ndarray
    """Column and row of the first pixel of each, shape (m, 2), int64."""

    @classmethod
    def of(cls, mask: np.ndarray, camera: Camera, step: int, *, reach: int | None) -> Rim:
        """Blocks of a mask.

        Args:
            mask: Shape (height, width), bool.
            camera: What took the picture.
            step: Pixels along a block.
            reach: Blocks on either side of the mask's rim that count; None: all around it.
        """
        from cv2 import DIST_L2, distanceTransform

        rows, columns = np.nonzero(mask)
        low = np.array([columns.min(), rows.min()])
        high = np.array([columns.max(), rows.max()]) + 1
        more = (high - low).max() if reach is None else (reach + 1) * step
        limit = np.array(mask.shape[::-1])
        low, high = (low - more).clip(0, limit), (high + more).clip(0, limit)
        across, down = (high - low) // step
        part = mask[low[1] : low[1] + down * step, low[0] : low[0] + across * step]
        share = part.reshape(down, step, across, step).mean((1, 3))
        at = np.stack(np.meshgrid(np.arange(across), np.arange(down)), -1)
        kept = np.ones(share.shape, bool)
        if reach is not None:
            bright = (share > 0.5).astype(np.uint8)
            far = [distanceTransform(side, DIST_L2, 5) for side in (bright, 1 - bright)]
            kept = np.maximum(*far) <= reach
        seen = torch.from_numpy(low + step * at[kept] + 0.5 * (step - 1.0))
        plane = undistort((seen - camera.centre) / camera.focal, camera.distortion)
        pixels = (plane * camera.focal + camera.centre).numpy()
        return cls(Eye.of(camera), pixels, share[kept], float(step), low + step * at[kept])

    def distance(self, kind: Kind, pose: Pose, count: int) -> np.ndarray:
        """From the outline of a primitive, positive outside [px], shape (m,)."""
        edges = self.eye.hull(kind, pose, count)
        return (self.pixels @ edges[:, :2].T + edges[:, 2]).max(1)

    def cover(self, kind: Kind, pose: Pose, count: int) -> np.ndarray:
        """Share of each that a primitive covers, shape (m,)."""
        return np.clip(0.5 - self.distance(kind, pose, count) / (2.0 * self.half), 0.0, 1.0)


class Parts(NamedTuple):
    """Parts of the rim of a mask: sectors, and runs along rows or columns that are longer.

    A run is rounded to whole pixels as one; in a sector with many runs that averages out.
    """

    label: np.ndarray
    """Of each pixel, shape (m,), int64."""
    along: np.ndarray
    """Where in its part each is, from -1 to 1, shape (m,)."""
    rounding: np.ndarray
    """Standard deviation of each part [px], shape (k,)."""


def parts(mask: np.ndarray, at: np.ndarray) -> Parts:
    """Parts to which pixels of a mask belong.

    Args:
        mask: Shape (height, width), bool.
        at: Columns and rows of pixels, shape (m, 2).
    """
    rows, columns = np.nonzero(mask)
    middle = np.array([columns.mean(), rows.mean()])
    runs = _runs(mask)
    length = np.abs(runs[:, 1] - runs[:, 0]).sum(1) + 1.0
    turn, _ = _sector(0.5 * (runs[:, 0] + runs[:, 1]) - middle)
    long = length > max(length.sum() / SECTORS, 8.0)
    label, along = _sector(at - middle)
    few = np.maximum(np.bincount(turn[~long], minlength=SECTORS), 1)
    for number, (first, last) in enumerate(runs[long]):
        inside = ((at >= np.minimum(first, last) - 1.5) & (at <= last + 1.5)).all(1)
        label[inside] = SECTORS + number
        share = (at[inside] - first) @ (last - first) / max(float(((last - first) ** 2).sum()), 1.0)
        along[inside] = (2.0 * share - 1.0).clip(-1.0, 1.0)
    rounding = np.concatenate([ROUNDING / np.sqrt(few), np.full(int(long.sum()), ROUNDING)])
    return Parts(label, along, rounding)


def _sector(arm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sectors of directions (m, 2), and where in them those are, from -1 to 1."""
    turn = SECTORS * (np.arctan2(arm[:, 1], arm[:, 0]) / (2 * np.pi) + 0.5)
    sector = np.minimum(turn.astype(int), SECTORS - 1)
    return sector, 2.0 * (turn - sector) - 1.0


def _runs(mask: np.ndarray) -> np.ndarray:
    """Straight runs of the rim, from and to which column and row, shape (r, 2, 2)."""
    found = []
    for axis in (0, 1):
        step = np.diff(mask.astype(np.int8), axis=1 - axis)
        if axis == 1:
            step = step.T
        lines = np.zeros((step.shape[0] + 1, step.shape[1]), np.int8)
        lines[:-1] = step
        flat = lines.T.ravel()  # along the runs, a blank between one line and the next
        change = np.flatnonzero(np.diff(np.concatenate([[0], flat])))
        starts = change[flat[change] != 0]
        stops = change[np.searchsorted(change, starts, side="right")] - 1
        line, first = np.divmod(starts, lines.shape[0])
        last = stops - line * lines.shape[0]
        ends = [np.stack([line + 0.5, end], -1) for end in (first, last)]
        if axis == 1:
            ends = [end[:, ::-1] for end in ends]
        found.append(np.stack(ends, 1))
    return np.concatenate(found)
