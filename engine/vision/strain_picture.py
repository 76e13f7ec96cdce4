# SPDX-License-Identifier: Apache-2.0
"""The strain of a flat specimen as a picture for a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .strain import LONG, Strain, nearest_gaps, neck
from .tension import Tension

FINE = 6
"""Cells of the map across the usual gap between points."""
BEYOND = 0.75
"""How far beyond points the map goes, in gaps."""
WITHIN = 1.2
"""And where a mask ends it."""
NEAREST = 8
"""Points from which a place of the map has its motion and its strain."""
SERIES = 6
"""Frames of which the strain along the specimen is drawn."""


def draw(
    picture: np.ndarray,
    pixels: np.ndarray,
    found: Strain,
    path: str | Path,
    *,
    mask: np.ndarray | None = None,
    tension: Tension | None = None,
    title: str = "",
) -> None:
    """The map over the last frame, the strain along the specimen, and that of the neck in time.

    Args:
        picture: The last frame, shape (height, width, 3), uint8.
        pixels: Of points of the specimen, as in `strain`.
        found: Their strain.
        path: The picture to write.
        mask: Where the specimen is in the first frame, shape (height, width), bool.
        tension: What was told of it.
        title: Above it; the length of the mean is added.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = picture.shape[:2]
    tall = float(np.clip(6.2 * height / width, 6.5, 9.0))
    figure = Figure(figsize=(6.6 + min(tall * width / height, 6.5), tall), layout="constrained")
    FigureCanvasAgg(figure)
    panels: dict[str, Any] = figure.subplot_mosaic(
        [["map", "along"], ["map", "time"]],
        width_ratios=[min(tall * width / height, 6.5) + 1.2, 5.2],
        height_ratios=[1.15, 1],
    )
    word = "neck" if tension is not None and tension.necked else "most"
    _map(figure, panels["map"], picture, pixels, found, mask, word)
    _along(figure, panels["along"], pixels, found)
    _in_time(panels["time"], pixels, found, tension)
    for axes, letter in ((panels["along"], "b"), (panels["time"], "c")):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(f"{letter}  {axes.get_title()}", loc="left", fontsize=11)
        axes.title.set_text("")
    count, mean = pixels.shape[1], 2 * found.reach
    figure.suptitle(f"{title}: strain of {count} points, a mean over {mean:.0f} px", fontsize=12)
    figure.savefig(path, dpi=150)


def _map(
    figure: Any, axes: Any, picture: np.ndarray, pixels: np.ndarray, found: Strain, mask: Any,
    word: str,
) -> None:  # fmt: skip
    """Larger principal strain over the last frame, and a word where it is most."""
    from matplotlib.ticker import MaxNLocator

    place, values, corners = mapped(pixels, found.principal[-1, :, 0], mask)
    axes.imshow(picture, cmap="gray")
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 1e-4)
    levels = MaxNLocator(nbins=30, steps=[1, 2, 5]).tick_values(low, high)
    shown = axes.tricontourf(
        *place.T, corners, values, levels, cmap="viridis", alpha=0.8, antialiased=True
    )
    axes.tricontour(*place.T, corners, values, levels[5::5], colors="white", linewidths=0.5)
    bar = figure.colorbar(shown, ax=axes, shrink=0.75, pad=0.02, ticks=levels[::5])
    bar.set_label("logarithmic strain ε, larger principal value [-]")
    bar.solids.set_alpha(1.0)
    thin = neck(pixels, found)
    if thin.found:
        side = np.array([-thin.axis[1], thin.axis[0]])
        side = side if side[0] > 0 or (side[0] == 0 and side[1] > 0) else -side
        ends = thin.now + np.outer([-0.75, 0.75], side) * thin.width
        axes.plot(*ends.T, "--", color="black", lw=1.1)
        axes.annotate(
            f"{word}\nε = {thin.strain:.2f}", ends[1], (4, 0), textcoords="offset points",
            va="center", fontsize=10,
        )  # fmt: skip
    axes.set_xlim(-0.5, picture.shape[1] - 0.5)
    axes.set_ylim(picture.shape[0] - 0.5, -0.5)
    axes.set(xlabel="x [px]", ylabel="y [px]")
    axes.set_title(f"a  strain in the last frame ({len(pixels) - 1})", loc="left", fontsize=11)


def _along(figure: Any, axes: Any, pixels: np.ndarray, found: Strain) -> None:
    """Strain of sections along the specimen in some frames."""
    import matplotlib

    thin = neck(pixels, found)
    place, axial = pixels[0] @ thin.axis, found.along(thin.axis)
    step = float(np.median(nearest_gaps(pixels[0])))
    label = np.floor((place - place.min()) / step).astype(int)
    pieces = [np.flatnonzero(label == n) for n in np.unique(label)]
    usual = np.median([len(piece) for piece in pieces])
    pieces = [piece for piece in pieces if 2 * len(piece) >= usual]
    at = [float(np.median(place[piece])) for piece in pieces]
    frames = np.unique(np.linspace(0, len(pixels) - 1, SERIES + 1).astype(int)[1:])
    colours = matplotlib.colormaps["viridis"](np.linspace(0.05, 0.9, len(frames)))
    for number, colour in zip(frames, colours, strict=True):
        row = [_median(axial[number, piece]) for piece in pieces]
        axes.plot(at, row, ".-", color=colour, ms=4, lw=1, label=str(number))
    if thin.found:
        axes.axvline(float(thin.place @ thin.axis), color="black", ls="--", lw=1)
    axes.legend(title="frame", frameon=False, fontsize=9)
    axes.set_xlabel("place along the specimen in the first frame [px]")
    axes.set_ylabel("ε along the specimen [-]")
    axes.set_title("sections (medians)")


def _in_time(axes: Any, pixels: np.ndarray, found: Strain, tension: Tension | None) -> None:
    """Median strain, that of where it is most, and the onset."""
    thin = neck(pixels, found)
    axial, there = found.along(thin.axis), thin.belt(pixels[0])
    time = np.arange(len(pixels))
    if thin.found:
        inner = [_median(row[there]) for row in axial]
        necked = tension is not None and tension.necked
        axes.plot(time, inner, color="tab:red", label="neck" if necked else "where it is most")
    axes.plot(time, [_median(row) for row in axial], color="tab:blue", label="median of all points")
    if tension is not None and tension.onset is not None:
        onset = tension.onset
        axes.axvline(onset.frame, color="grey", ls=":", lw=1.2)
        axes.annotate(
            f"onset of necking\nneck ε = {onset.neck.value:.3f},"
            f" outside {onset.outside.value:.3f}", (onset.frame, 0.97), (-5, 0),
            xycoords=("data", "axes fraction"), textcoords="offset points", ha="right", va="top",
            fontsize=9,
        )  # fmt: skip
    axes.legend(frameon=False, loc="center left", fontsize=9)
    axes.set_xlabel("frame")
    axes.set_ylabel("ε along the specimen [-]")
    axes.set_title("in time")


def mapped(
    pixels: np.ndarray, values: np.ndarray, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values at points as a fine map of the body, carried to the last frame.

    Each place of a fine lattice within reach of points moves by an affine fit to the nearest ones
    and has the mean of their values, both weighed by a bell of the width of the usual gap.

    Args:
        pixels: Shape (t, k, 2) [px].
        values: Shape (k,); NaN where unknown.
        mask: Where the body is in the first frame, shape (height, width), bool.

    Returns:
        Places in the last frame (n, 2), values (n,), and corners of triangles (m, 3).
    """
    from scipy.spatial import KDTree

    known = np.isfinite(values) & np.isfinite(pixels[-1]).all(-1)
    rest, last, values = pixels[0, known], pixels[-1, known], values[known]
    gap = float(np.median(nearest_gaps(pixels[0])))
    lattice, cells = _lattice(rest, gap, mask)
    far, near = KDTree(rest).query(lattice, k=min(NEAREST, len(rest)))
    weight = np.exp(-0.5 * np.square(far / gap)) + 1e-12
    weight /= weight.sum(1, keepdims=True)
    arms = rest[near] - lattice[:, None]
    basis = np.concatenate([np.ones((*arms.shape[:2], 1)), arms / gap], 2)
    normal = np.swapaxes(basis * weight[..., None], 1, 2) @ basis
    normal += 1e-9 * np.eye(3)
    right = np.swapaxes(basis * weight[..., None], 1, 2) @ (last - rest)[near]
    place = lattice + np.linalg.solve(normal, right)[:, 0]
    return place, (weight * values[near]).sum(1), cells


def _lattice(
    rest: np.ndarray, gap: float, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Places within reach of points and within the mask (n, 2), and triangles (m, 3)."""
    from matplotlib.tri import Triangulation

    step = gap / FINE
    reach = gap * (BEYOND if mask is None else WITHIN)
    low, high = rest.min(0) - reach, rest.max(0) + reach
    x, y = (np.arange(low[axis], high[axis] + step, step) for axis in (0, 1))
    places = np.stack(np.meshgrid(x, y), -1)
    inside = _covered(places.reshape(-1, 2), rest, gap, reach).reshape(places.shape[:2])
    if mask is not None:
        at = np.rint(places).astype(int)
        height, width = mask.shape
        held = ((at >= 0) & (at < (width, height))).all(-1)
        inside &= held & mask[at[..., 1].clip(0, height - 1), at[..., 0].clip(0, width - 1)]
    number = np.cumsum(inside).reshape(inside.shape) - 1
    a, b, c, d = (
        (slice(None, -1), slice(None, -1)), (slice(None, -1), slice(1, None)),
        (slice(1, None), slice(1, None)), (slice(1, None), slice(None, -1)),
    )  # fmt: skip
    found = []
    for three in ((a, b, c), (a, c, d)):
        whole = np.logical_and.reduce([inside[part] for part in three])
        found.append(np.stack([number[part][whole] for part in three], -1))
    corners = np.concatenate(found)
    used, again = np.unique(corners, return_inverse=True)
    places = places[inside][used]
    corners = again.reshape(-1, 3)
    return places, Triangulation(places[:, 0], places[:, 1], corners).get_masked_triangles()


def _covered(places: np.ndarray, rest: np.ndarray, gap: float, reach: float) -> np.ndarray:
    """Which places are near a point, or in a triangle of points that are neighbours, (n,)."""
    from scipy.spatial import Delaunay, KDTree

    near = KDTree(rest).query(places)[0] <= reach
    net = Delaunay(rest)
    corners = rest[net.simplices]
    sides = np.linalg.norm(corners - np.roll(corners, 1, 1), axis=-1).max(1)
    cell = net.find_simplex(places)
    return near | ((cell >= 0) & (sides[cell] < LONG * gap))


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan
