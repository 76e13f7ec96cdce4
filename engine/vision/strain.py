# SPDX-License-Identifier: Apache-2.0
"""Strain of a flat specimen that faces the camera, from tracks of its surface.

The deformation gradient at a point is that of the affine map that takes it and its nearest
neighbours from the first frame to where they are, by least squares; the strain is the logarithmic
one, ½ log FᵀF (Hencky). Right for a plane parallel to the picture, by a camera without distortion:
undistort others first.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

NEIGHBOURS = 12
"""Points with which a point's strain is found."""
NECK = 1.5
"""A neck is where the strain along the specimen is this many times its median."""


class Strain(NamedTuple):
    """Of tracked points in each frame, against the first."""

    gradient: np.ndarray
    """Deformation gradients in the picture, shape (t, k, 2, 2); NaN where unknown."""
    hencky: np.ndarray
    """Logarithmic strains, shape (t, k, 2, 2)."""

    @property
    def principal(self) -> np.ndarray:
        """The two principal strains, larger first, shape (t, k, 2)."""
        known = np.isfinite(self.hencky).all((-1, -2))
        out = np.full(self.hencky.shape[:-1], np.nan)
        out[known] = np.linalg.eigvalsh(self.hencky[known])[:, ::-1]
        return out


class Neck(NamedTuple):
    """Where a specimen thins, in its last frame."""

    axis: np.ndarray
    """Direction along the specimen in the picture, shape (2,)."""
    place: np.ndarray
    """Middle of the neck in the first frame [px], shape (2,)."""
    now: np.ndarray
    """And in the last one, shape (2,)."""
    strain: float
    """Logarithmic strain along the specimen there."""
    median: float
    """And of all points."""

    @property
    def found(self) -> bool:
        """Whether it is a neck at all."""
        return self.strain > NECK * max(self.median, 1e-3)


def strain(pixels: np.ndarray, neighbours: int = NEIGHBOURS) -> Strain:
    """Strain from tracks.

    Args:
        pixels: Shape (t, k, 2) [px]; NaN where a point is not seen. All of the first frame are.
        neighbours: Points around each that are used.

    Raises:
        ValueError: There are fewer than six points.
    """
    k = pixels.shape[1]
    if k < 6:
        raise ValueError(f"got {k} tracks, expected six or more for a strain")
    rest = pixels[0]
    gaps = np.linalg.norm(rest[:, None] - rest[None], axis=-1)
    near = np.argsort(gaps, 1)[:, : min(neighbours + 1, k)]
    arms = rest[near] - rest[near].mean(1, keepdims=True)
    ends = pixels[:, near]
    known = np.asarray(np.isfinite(ends).all(-1))
    weight = known[..., None].astype(float)
    count = weight.sum(2, keepdims=True)
    ends = np.where(known[..., None], ends, 0.0)
    # centred on the neighbours that are seen
    middle = (weight * arms).sum(2, keepdims=True) / np.maximum(count, 1)
    a = weight * (arms - middle)
    b = weight * (ends - (weight * ends).sum(2, keepdims=True) / np.maximum(count, 1))
    normal = np.einsum("tkni,tknj->tkij", a, a)
    size = np.trace(normal, axis1=-2, axis2=-1)
    flat = np.linalg.det(normal) < 1e-3 * np.square(size)
    use = (count[:, :, 0, 0] >= 4) & ~flat & np.isfinite(pixels).all(-1)
    normal[~use] = np.eye(2)
    mixed = np.einsum("tkni,tknj->tkij", b, a)
    gradient = mixed @ np.linalg.inv(normal)
    gradient[~use] = np.nan
    out = np.full_like(gradient, np.nan)
    values, vectors = np.linalg.eigh(np.swapaxes(gradient[use], -1, -2) @ gradient[use])
    logs = 0.5 * np.log(np.maximum(values, 1e-12))
    out[use] = np.einsum("mij,mj,mkj->mik", vectors, logs, vectors)
    return Strain(gradient, out)


def neck(pixels: np.ndarray, found: Strain) -> Neck:
    """Where the specimen is stretched most, across its whole width.

    Args:
        pixels: As in `strain`.
        found: Its strain.

    Raises:
        ValueError: No strain is known in the last frame.
    """
    last = found.hencky[-1]
    known = np.isfinite(last).all((-1, -2))
    if not known.any():
        raise ValueError("no strain is known in the last frame: too many tracks were lost")
    values, vectors = np.linalg.eigh(np.median(last[known], 0))
    axis = vectors[:, int(np.argmax(values))]
    axis = axis * np.sign(axis[int(np.argmax(np.abs(axis)))])
    along = pixels[0] @ axis
    axial = np.einsum("i,kij,j->k", axis, last, axis)
    # the mean over each section as long as points are apart across it
    order = np.argsort(along[known])
    width = max(
        3, round(np.sqrt(known.sum() / max(np.ptp(along[known]) / _width(pixels[0], axis), 1)))
    )
    kernel = np.ones(min(width, len(order))) / min(width, len(order))
    smooth = np.convolve(axial[known][order], kernel, "valid")
    places = np.convolve(along[known][order], kernel, "valid")
    peak = int(np.argmax(smooth))
    there = np.abs(along - places[peak]) <= 0.5 * np.ptp(along[known]) / max(len(order) / width, 1)
    there &= known
    return Neck(
        axis, pixels[0][there].mean(0), pixels[-1][there].mean(0), float(smooth[peak]),
        float(np.median(axial[known])),
    )  # fmt: skip


def _width(at: np.ndarray, axis: np.ndarray) -> float:
    """Of points across an axis [px]."""
    return max(float(np.ptp(at @ np.array([-axis[1], axis[0]]))), 1.0)


def draw(
    picture: np.ndarray, pixels: np.ndarray, found: Strain, path: str | Path, *, title: str = ""
) -> None:
    """The larger principal strain over the last frame, and along the specimen for some frames.

    Args:
        picture: The last frame, shape (height, width, 3), uint8.
        pixels: As in `strain`.
        found: Its strain.
        path: The picture to write.
        title: Above it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    values = found.principal[-1, :, 0]
    known = np.isfinite(values)
    height, width = picture.shape[:2]
    figure = Figure(figsize=(10, 10 * height / width / 2 if height < 2 * width else 9))
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.imshow(picture)
    shown = left.tricontourf(
        *_triangles(pixels, known), values[known], 24, cmap="viridis", alpha=0.75
    )
    left.set_axis_off()
    figure.colorbar(shown, ax=left, label="larger principal logarithmic strain [-]", shrink=0.8)
    thin = neck(pixels, found)
    if thin.found:
        left.plot(*thin.now, "o", mfc="none", mec="white", ms=22, mew=2)
        left.annotate(
            f"neck: {thin.strain:.2f}", thin.now, (18, 0), textcoords="offset points",
            color="white", va="center", fontsize=11,
        )  # fmt: skip
    along = pixels[0] @ thin.axis
    frames = np.unique(np.linspace(1, len(pixels) - 1, 6).astype(int))
    for number in frames:
        axial = np.einsum("i,kij,j->k", thin.axis, found.hencky[number], thin.axis)
        right.plot(axial, along, ".", ms=4, label=f"frame {number}")
    right.set_xlabel("logarithmic strain along the specimen [-]")
    right.set_ylabel("place along it in the first frame [px]")
    if abs(thin.axis[1]) > abs(thin.axis[0]):
        right.invert_yaxis()
    right.legend(frameon=False)
    right.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def _triangles(pixels: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, ...]:
    return pixels[-1, known, 0], pixels[-1, known, 1]
