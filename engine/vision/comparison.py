# SPDX-License-Identifier: Apache-2.0
"""Where points were seen and where a simulation has them, drawn over the pictures of a camera."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .tracks import Tracks
from .video import VideoWriter, open_video

SEEN, SIMULATED = (255, 176, 0), (0, 114, 255)
"""Colours of what was tracked (rings) and of the simulation (crosses)."""
BLANK = 235
"""Grey of a picture that is not at hand."""
MARGIN = 0.15
"""Of a strip's pictures around the points, in the extent of these."""
WIDTH = 420
"""Of a picture in a strip [px]."""
MOMENTS = (0.25, 0.6, 1.0)
"""Shares of the motion that a strip shows."""


def film_missing(tracks: Tracks) -> str:
    """Why the frames of tracks cannot be shown, as a sentence; nothing where they can."""
    if not tracks.source:
        return "the tracks do not say of which film they are: they are drawn over a plain grey"
    if not Path(tracks.source).exists():
        return (
            f"the film {tracks.source} of the tracks is not there: they are drawn over a plain"
            " grey; put it there, or fit where it lies, to see them over its frames"
        )
    return ""


def pictures(tracks: Tracks) -> Iterator[np.ndarray]:
    """Frames of the video that was tracked, (height, width, 3), uint8; blank if it is gone."""
    width, height = tracks.size
    blank = np.full((height, width, 3), BLANK, np.uint8)
    count = len(tracks.time)
    source = Path(tracks.source)
    if tracks.source and source.exists():
        rate = (count - 1) / float(tracks.time[-1] - tracks.time[0])
        video = open_video(source, frame_rate=rate)
        if video.size == tracks.size and video.frames >= count:
            for _, picture in zip(range(count), video.rgb(), strict=False):
                yield np.ascontiguousarray(picture)
            return
    for _ in range(count):
        yield blank.copy()


def marked(picture: np.ndarray, seen: np.ndarray, simulated: np.ndarray) -> np.ndarray:
    """Rings where points (k, 2) were seen, crosses where they are simulated, lines between them."""
    import cv2

    radius = max(3, round(min(picture.shape[:2]) / 110))
    for a, b in zip(seen, simulated, strict=True):
        if np.isfinite(b).all():
            x, y = np.rint(8 * b).astype(int)
            for dx, dy in ((8 * radius, 0), (0, 8 * radius)):
                cv2.line(picture, (x - dx, y - dy), (x + dx, y + dy), SIMULATED, 1, cv2.LINE_AA, 3)
        if np.isfinite(a).all():
            spot = np.rint(8 * a).astype(int)
            cv2.circle(picture, spot, 8 * radius, SEEN, 1, cv2.LINE_AA, 3)
            if np.isfinite(b).all():
                cv2.line(picture, spot, np.rint(8 * b).astype(int), SEEN, 1, cv2.LINE_AA, 3)
    return picture


def compare(tracks: Tracks, simulated: np.ndarray, film: Path, strip: Path) -> None:
    """Write the video with both, and some of its frames side by side.

    Args:
        tracks: What was seen.
        simulated: Pixels of the same points in a simulation, shape (t, k, 2).
        film: An .mp4 file.
        strip: A .png file.
    """
    from PIL import Image

    shown = {round(share * (len(tracks.time) - 1)) for share in MOMENTS}
    side = _side(tracks, simulated)
    width, height = (n - n % 2 for n in tracks.size)
    rate = (len(tracks.time) - 1) / float(tracks.time[-1] - tracks.time[0])
    kept = []
    with VideoWriter(film, (width, height), rate) as writer:
        for number, picture in enumerate(pictures(tracks)):
            canvas = marked(picture, tracks.pixels[number], simulated[number])
            writer.write(canvas[:height, :width])
            if number in shown:
                middle = _middle(tracks.pixels[number], simulated[number])
                left, top = (round(v - side / 2) for v in middle)
                part = Image.fromarray(canvas).crop((left, top, left + side, top + side))
                kept.append(part.resize((WIDTH, WIDTH), Image.Resampling.LANCZOS))
    wide = Image.new("RGB", (sum(p.width for p in kept) + 6 * (len(kept) - 1), kept[0].height),
                     (255, 255, 255))  # fmt: skip
    for number, part in enumerate(kept):
        wide.paste(part, (number * (WIDTH + 6), 0))
    wide.save(strip)


def _middle(seen: np.ndarray, simulated: np.ndarray) -> np.ndarray:
    """Of what is around all points (k, 2) of a frame, shape (2,)."""
    points = np.concatenate([seen, simulated])
    inside = points[np.isfinite(points).all(1)]
    return 0.5 * (inside.min(0) + inside.max(0))


def _side(tracks: Tracks, simulated: np.ndarray) -> int:
    """Of a square that holds the points of any one frame [px]."""
    both = np.concatenate([tracks.pixels, simulated], 1)
    extent = np.nanmax(both, 1) - np.nanmin(both, 1)
    return math.ceil((1.0 + 2.0 * MARGIN) * float(extent.max())) + 10
