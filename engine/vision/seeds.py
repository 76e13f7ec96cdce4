# SPDX-License-Identifier: Apache-2.0
"""Which points of the first frame are followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .registration import FLAT, Array
from .video import read_picture

MOST = 4000
"""Points that are followed at most."""
COUNT = 200
"""Features sought unless told otherwise."""
QUALITY = 0.02
"""Least corner strength of a feature, as a share of the strongest."""
TEXTURE = 0.25
"""Texture is where brightness varies by this share of its variation where that is largest."""
CROWDED = "patches that near show the same again, and each takes its time in every frame"
PIECE = 0.003
"""Smallest piece of texture, as a share of the picture."""


def read_mask(
    path: str | Path, size: tuple[int, int], *, camera: str | Path | None = None
) -> Array:
    """A picture that is bright where the object is, shape (height, width), bool.

    Args:
        path: Its file.
        size: Width and height that it should have [px].
        camera: The file of the camera that says so; None: a video does.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is none, has another size, or is dark all over.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no mask {path}: check the path")
    mask = read_picture(path).max(-1) > 127
    if mask.shape[::-1] != tuple(size):
        whose, over = "the video", "the first frame"
        if camera is not None:
            whose, over = f"a picture of the camera {camera}", "such a picture"
        raise ValueError(
            f"{path} is {mask.shape[1]} x {mask.shape[0]} px, {whose} {size[0]} x {size[1]}:"
            f" draw the mask over {over}"
        )
    if not mask.any():
        raise ValueError(f"{path} is dark all over, expected it bright where the object is")
    return mask


def textured(picture: Array, half: int = 15) -> Array:
    """Where the first frame shows texture, for want of a mask: shape (height, width), bool.

    All of it if that is nowhere.

    Args:
        picture: Brightness, shape (height, width).
        half: Of the patches that will be followed: brightness is looked at over so many pixels.
    """
    from scipy import ndimage

    values = np.asarray(picture, np.float32)
    fine = values - ndimage.gaussian_filter(values, 0.5 * half)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(np.square(fine), 2 * half + 1), 0.0))
    rough = spread > max(FLAT, TEXTURE * float(np.percentile(spread, 99)))
    # a window sees texture before its middle is there
    rough = ndimage.binary_fill_holes(
        ndimage.binary_erosion(rough, iterations=half, border_value=1)
    )
    pieces: Any = ndimage.label(rough)
    label = pieces[0]
    sizes = np.bincount(label.ravel())
    large = sizes >= PIECE * picture.size
    large[0] = False
    found = large[label]
    return found if found.any() else np.ones(picture.shape, bool)


def features(picture: Array, mask: Array | None, count: int = COUNT, half: int = 15) -> Array:
    """Corners that are easily found again (Shi and Tomasi 1994), shape (k, 2) [px].

    Args:
        picture: The first frame, brightness (height, width), uint8.
        mask: Where the object is; None: everywhere.
        count: At most.
        half: Of the patches that will be followed; so far from the rim of the mask and the picture.

    Raises:
        ValueError: There are fewer than four, or too many are asked for.
    """
    import cv2

    if count > MOST:
        raise ValueError(f"got {count} features, expected {MOST} at most: {CROWDED}; ask for fewer")
    inner = _inner(picture.shape, mask, half)
    room = float(inner.sum())
    apart = max(3.0, 0.6 * np.sqrt(room / max(count, 1)))
    found = cv2.goodFeaturesToTrack(
        picture, count, QUALITY, apart, mask=inner.astype(np.uint8), blockSize=7
    )
    number = 0 if found is None else len(found)
    if found is None or number < 4:
        where = "the picture" if mask is None else "the mask"
        raise ValueError(
            f"found {number} features in {where}, expected four or more: the object needs texture"
            " (speckles, a printed pattern), light without glare, and a mask that holds it"
        )
    return found.reshape(-1, 2).astype(np.float64)


def grid(picture: Array, mask: Array | None, across: int, half: int = 15) -> Array:
    """Points in rows, evenly spaced over the mask or the picture, shape (k, 2) [px].

    Args:
        picture: The first frame, brightness (height, width).
        mask: Where the object is; None: everywhere.
        across: Points along the shorter side.
        half: Of the patches that will be followed; so far from the rim.

    Raises:
        ValueError: No point is within the mask, or too many are.
    """
    inner = _inner(picture.shape, mask, half)
    rows, columns = np.nonzero(inner)
    low, high = (np.array([f(columns), f(rows)], float) for f in (np.min, np.max))
    step = max(float((high - low).min()) / max(across - 1, 1), 1.0)
    counts = np.floor((high - low) / step + 1e-9).astype(int) + 1
    starts = 0.5 * (low + high - (counts - 1) * step)
    lines = [starts[i] + step * np.arange(counts[i]) for i in (0, 1)]
    points = np.stack(np.meshgrid(*lines), -1).reshape(-1, 2)
    near = np.rint(points).astype(int)
    found = points[inner[near[:, 1], near[:, 0]]]
    if len(found) > MOST:
        apart = step * np.sqrt(len(found) / MOST)
        fewer = max(int(float((high - low).min()) / apart), 1)
        raise ValueError(
            f"a grid of {across} across has {len(found)} points, {step:.2g} px apart, expected"
            f" {MOST} at most: {CROWDED}; ask for {fewer} or fewer"
        )
    if not len(found):
        raise ValueError(f"no point of {across} across is within the mask: ask for more points")
    return found


def _inner(shape: tuple[int, ...], mask: Array | None, half: int) -> Array:
    """Where a patch lies well within the mask and the picture, bool.

    Raises:
        ValueError: Nowhere.
    """
    import cv2

    inside = np.ones(shape, np.uint8) if mask is None else mask.astype(np.uint8)
    inside[[0, -1]] = 0
    inside[:, [0, -1]] = 0
    # a patch may reach over the rim by its outer half: what is beyond has no weight
    side = 2 * (half // 2) + 1
    found = cv2.erode(inside, np.ones((side, side), np.uint8), borderValue=0) > 0
    if not found.any():
        place, remedy = "the picture", ""
        if mask is not None:
            place, remedy = "the mask", ", or draw a larger mask"
        raise ValueError(
            f"no place for a patch of {2 * half + 1} px in {place}: take smaller patches"
            f" (--half){remedy}"
        )
    return found
