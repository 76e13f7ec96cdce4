# SPDX-License-Identifier: Apache-2.0
"""Strain of a flat specimen that faces the camera, from tracks of its surface.

The deformation gradient at a point is that of the affine map that takes it and its nearest
neighbours from the first frame to where they are, by least squares; the strain is the logarithmic
one, ½ log FᵀF (Hencky). Right for a plane parallel to the picture, by a camera without distortion:
undistort others first. It is a mean over the neighbours' reach: a neck that is shorter than that is
sharper in truth.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

NEIGHBOURS = 12
"""Points with which a point's strain is found."""
NECK = 1.5
"""A neck is where the strain along the specimen is this many times its median."""
LONG = 2.5
"""Points are neighbours up to this many times the usual gap between nearest ones."""
STILL = 0.2
"""Motion below which a point may be a part of the background [px]."""
TEAR = 4.0
"""Neighbours that part this many times faster than others around them are of two bodies."""
SLACK = 0.03
"""And by this share of their distance at least."""


class Strain(NamedTuple):
    """Of tracked points in each frame, against the first."""

    gradient: np.ndarray
    """Deformation gradients in the picture, shape (t, k, 2, 2); NaN where unknown."""
    hencky: np.ndarray
    """Logarithmic strains, shape (t, k, 2, 2)."""
    reach: float = 0.0
    """Usual distance of the farthest neighbour: strains are means over twice that [px]."""

    @property
    def principal(self) -> np.ndarray:
        """The two principal strains, larger first, shape (t, k, 2)."""
        known = np.isfinite(self.hencky).all((-1, -2))
        out = np.full(self.hencky.shape[:-1], np.nan)
        out[known] = np.linalg.eigvalsh(self.hencky[known])[:, ::-1]
        return out

    def along(self, axis: np.ndarray) -> np.ndarray:
        """Strain along a direction in the first frame, shape (2,): (t, k)."""
        return np.einsum("i,tkij,j->tk", axis, self.hencky, axis)


class Neck(NamedTuple):
    """Where a specimen thins, in its last frame."""

    axis: np.ndarray
    """Direction along the specimen in the picture, shape (2,)."""
    place: np.ndarray
    """Middle of the neck in the first frame [px], shape (2,)."""
    now: np.ndarray
    """And in the last one, shape (2,)."""
    strain: float
    """Logarithmic strain along the specimen there, median of the `belt`."""
    median: float
    """And of all points."""
    width: float
    """Of the points across the specimen at the neck, in the first frame [px]."""

    half: float
    """Half the length of the piece that counts as the neck [px]."""

    def belt(self, rest: np.ndarray) -> np.ndarray:
        """Which points of the first frame (k, 2) are in the neck, shape (k,), bool."""
        return np.abs((rest - self.place) @ self.axis) <= self.half

    @property
    def found(self) -> bool:
        """Whether it may be a neck: see `Tension.necked` for whether the rest stopped."""
        return self.strain > NECK * max(self.median, 1e-3)

    def table(self) -> dict[str, Any]:
        """For a .json file."""
        place = [float(v) for v in self.place]
        return {
            "found": self.found, "place": place, "strain": self.strain, "median": self.median
        }  # fmt: skip


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
    gaps = _gaps(rest)
    near = np.argsort(gaps, 1)[:, : min(neighbours + 1, k)]
    reach = float(np.median(np.take_along_axis(gaps, near, 1)[:, -1]))
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
    normal = np.swapaxes(a, -1, -2) @ a
    size = np.trace(normal, axis1=-2, axis2=-1)
    flat = np.linalg.det(normal) < 1e-3 * np.square(size)
    use = (count[:, :, 0, 0] >= 4) & ~flat & np.isfinite(pixels).all(-1)
    normal[~use] = np.eye(2)
    gradient = np.swapaxes(b, -1, -2) @ a @ np.linalg.inv(normal)
    gradient[~use] = np.nan
    out = np.full_like(gradient, np.nan)
    values, vectors = np.linalg.eigh(np.swapaxes(gradient[use], -1, -2) @ gradient[use])
    logs = 0.5 * np.log(np.maximum(values, 1e-12))
    out[use] = np.einsum("mij,mj,mkj->mik", vectors, logs, vectors)
    return Strain(gradient, out, reach)


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
    gap = float(np.median(nearest_gaps(pixels[0])))
    across = _width(pixels[0][np.abs(along - places[peak]) <= gap], axis)
    thin = Neck(
        axis, pixels[0][there].mean(0), pixels[-1][there].mean(0), float(smooth[peak]),
        float(np.median(axial[known])), across, max(0.25 * across, 0.75 * gap),
    )  # fmt: skip
    belt = thin.belt(pixels[0]) & known
    if not belt.any():
        return thin
    return thin._replace(
        place=pixels[0][belt].mean(0), now=pixels[-1][belt].mean(0),
        strain=float(np.median(axial[belt])),
    )  # fmt: skip


def _width(at: np.ndarray, axis: np.ndarray) -> float:
    """Of points across an axis [px]."""
    return max(float(np.ptp(at @ np.array([-axis[1], axis[0]]))), 1.0)


def body(pixels: np.ndarray) -> np.ndarray:
    """Which points are of the body that deforms, and not of what is behind it or holds it.

    Points are joined to their neighbours (Delaunay, without long sides). What does not move
    although the moving points around it do is left out, sides along which neighbours part much
    faster than others nearby are cut, and of the pieces that are left the one that stretches most
    in all is the body. A grip that moves as the end of the specimen does cannot be told from it.

    Args:
        pixels: Shape (t, k, 2) [px]; NaN where a point is not seen.

    Returns:
        Shape (k,), bool.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    seen = np.asarray(np.isfinite(pixels).all(-1))
    usable = np.flatnonzero(seen[0] & (seen[1:].sum(0) > 0))
    out = np.zeros(pixels.shape[1], bool)
    if len(usable) < 6:
        out[usable] = True
        return out
    track = pixels[:, usable]
    move = track - track[0]
    i, j = _sides(track[0])
    kept = _moving(move, i, j, track[0])
    i, j = i[kept[i] & kept[j]], j[kept[i] & kept[j]]
    span = np.linalg.norm(track[0, i] - track[0, j], axis=-1)
    parted = _largest(np.linalg.norm(move[:, i] - move[:, j], axis=-1)) / span
    join = np.ones(len(i), bool)
    for _ in range(2):  # once more without the sides that were cut
        usual = _median_at_points(parted[join], i[join], j[join], len(usable))
        join &= parted <= SLACK + TEAR * np.minimum(usual[i], usual[j])
    graph = coo_matrix((np.ones(join.sum()), (i[join], j[join])), shape=(len(usable),) * 2)
    _, label = connected_components(graph, directed=False)
    lengths = np.linalg.norm(track[:, i] - track[:, j], axis=-1)
    stretch = _largest(np.abs(np.log(np.maximum(lengths, 1e-9) / span)))
    total = np.bincount(
        label[i[join]], np.maximum(stretch - STILL / span, 0.0)[join], label.max() + 1
    )
    size = np.bincount(label[kept], minlength=label.max() + 1)
    best = np.lexsort((size, total))[-1]
    out[usable[(label == best) & kept]] = True
    return out


def _moving(move: np.ndarray, i: np.ndarray, j: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Points that move, or are at rest where those around them say so, shape (k,), bool."""
    still = _largest(np.linalg.norm(move, axis=-1)) < STILL
    kept = ~still
    if not still.any() or not kept.any():
        return np.ones_like(still)
    last = np.array([np.flatnonzero(np.isfinite(m).all(-1))[-1] for m in move.swapaxes(0, 1)])
    ends = move[last, np.arange(len(last))]
    for k in np.flatnonzero(still):
        near = np.concatenate([j[i == k], i[j == k]])
        near = near[~still[near]]
        arms = rest[near] - rest[k]
        if len(near) < 3 or np.linalg.matrix_rank(arms - arms.mean(0), 1e-6) < 2:
            continue
        basis = np.column_stack([np.ones(len(near)), arms])
        told = np.linalg.lstsq(basis, ends[near], rcond=None)[0][0]
        kept[k] = np.linalg.norm(told) < STILL
    return kept


def _sides(rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of neighbours, two arrays of numbers, shape (e,)."""
    from scipy.spatial import Delaunay

    corners = Delaunay(rest).simplices
    pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    pairs = np.unique(np.sort(pairs, 1), axis=0)
    span = np.linalg.norm(rest[pairs[:, 0]] - rest[pairs[:, 1]], axis=-1)
    pairs = pairs[span < LONG * np.median(nearest_gaps(rest))]
    return pairs[:, 0], pairs[:, 1]


def _median_at_points(values: np.ndarray, i: np.ndarray, j: np.ndarray, count: int) -> np.ndarray:
    """Median at each point of what its sides have, shape (k,)."""
    ends, both = np.concatenate([i, j]), np.concatenate([values, values])
    order = np.argsort(ends, kind="stable")
    parts = np.split(both[order], np.cumsum(np.bincount(ends, minlength=count))[:-1])
    return np.array([np.median(part) if len(part) else 0.0 for part in parts])


def _largest(values: np.ndarray) -> np.ndarray:
    """Over frames, of those that are known, (t, ...) to (...); 0 where none is."""
    return np.where(np.isfinite(values), values, 0.0).max(0)


def _gaps(at: np.ndarray) -> np.ndarray:
    return np.linalg.norm(at[:, None] - at[None], axis=-1)


def nearest_gaps(at: np.ndarray) -> np.ndarray:
    """Distance of each point to the nearest other one [px], shape (k,)."""
    gaps = _gaps(at)
    np.fill_diagonal(gaps, np.inf)
    return gaps.min(1)
