# SPDX-License-Identifier: Apache-2.0
"""Tracks drawn over their video: where points are, and a tail of where they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .tracks import Tracks
from .video import Video, VideoWriter

TAIL = 12
"""Frames of the tail."""
GOOD, FAIR, LOST = (40, 200, 90), (240, 180, 20), (220, 50, 50)
"""Colours by the cross-correlation with the first frame: 1, at the gate, and none."""


def overlay(video: Video, tracks: Tracks, path: str | Path, *, gate: float = 0.75) -> None:
    """Write the video with the tracks.

    Args:
        video: What was seen.
        tracks: What was followed in it.
        path: The .mp4 to write.
        gate: The least cross-correlation.
    """
    import cv2

    width, height = (n - n % 2 for n in video.size)
    radius = max(2, round(min(video.size) / 240))
    with VideoWriter(path, (width, height), video.frame_rate) as writer:
        for number, picture in enumerate(video.rgb()):
            canvas = np.ascontiguousarray(picture)
            for k in range(tracks.pixels.shape[1]):
                tail = tracks.pixels[max(0, number - TAIL) : number + 1, k]
                seen = np.asarray(np.isfinite(tail).all(1))
                colour = _colour(tracks, number, k, gate)
                if seen.sum() > 1:
                    line = np.rint(8 * tail[seen]).astype(np.int32)[:, None]
                    cv2.polylines(canvas, [line], False, colour, 1, cv2.LINE_AA, 3)
                if seen.any():
                    spot = np.rint(8 * tail[seen][-1]).astype(int)
                    if seen[-1]:
                        cv2.circle(canvas, spot, 8 * radius, colour, -1, cv2.LINE_AA, 3)
                    else:
                        cv2.circle(canvas, spot, 8 * radius, LOST, 1, cv2.LINE_AA, 3)
            writer.write(canvas[:height, :width])


def _colour(tracks: Tracks, frame: int, k: int, gate: float) -> tuple[int, int, int]:
    if tracks.quality is None:
        return GOOD
    share = float(np.clip((tracks.quality[frame, k] - gate) / (1.0 - gate), 0.0, 1.0))
    mixed = (round(share * a + (1 - share) * b) for a, b in zip(GOOD, FAIR, strict=True))
    return tuple(mixed)  # type: ignore[return-value]
