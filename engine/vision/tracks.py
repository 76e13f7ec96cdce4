# SPDX-License-Identifier: Apache-2.0
"""Tracks of points in a video, as `rheograd track` writes them."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .camera import Camera
from .camera_files import camera_text, parse_camera

REQUIRED = ("pixels", "time")
UNREADABLE = (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile)
"""What numpy raises where a file is no .npz."""


def holds_tracks(path: str | Path) -> bool:
    """Whether an .npz file is one of tracks."""
    path = Path(path)
    if path.suffix != ".npz" or not path.is_file():
        return False
    try:
        # numpy leaves a file open that it opened itself and cannot read
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            return "pixels" in file.files
    except UNREADABLE:
        return False


@dataclass(frozen=True, eq=False)
class Tracks:
    """Where points were in each frame.

    Raises:
        ValueError: Shapes do not go together, times do not grow, or nothing is seen.
    """

    pixels: np.ndarray
    """Right and down [px], shape (t, k, 2), float64; NaN where a point is not seen."""
    time: np.ndarray
    """Of each frame [s], shape (t,)."""
    size: tuple[int, int]
    """Width and height of the picture [px]."""
    quality: np.ndarray | None = None
    """Cross-correlation with the first frame, shape (t, k); 0 where a point is not seen."""
    camera: Camera | None = None
    """What took the picture, if known."""
    source: str = ""
    """Of the video."""

    def __post_init__(self) -> None:
        """See the class."""
        p, t = self.pixels, self.time
        if p.ndim != 3 or p.shape[2] != 2 or p.shape[1] == 0 or t.shape != p.shape[:1]:
            raise ValueError(
                f"tracks: got pixels of shape {p.shape} and times of shape {t.shape}, expected"
                " (frames, points, 2) and (frames,)"
            )
        if len(t) < 2 or not np.isfinite(t).all() or not (np.diff(t) > 0).all():
            raise ValueError("tracks: expected two frames or more, at times that grow [s]")
        if not np.isfinite(p).all(-1).any():
            raise ValueError("tracks: no point is seen in any frame")
        if self.quality is not None and self.quality.shape != p.shape[:2]:
            raise ValueError(
                f"tracks: got a quality of shape {self.quality.shape}, expected {p.shape[:2]}"
            )

    @property
    def seen(self) -> np.ndarray:
        """Shape (t, k), bool."""
        return np.asarray(np.isfinite(self.pixels).all(-1))

    def save(self, path: str | Path) -> None:
        """Write an .npz file.

        Raises:
            ValueError: Its name ends otherwise.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"got {path}, expected a file of tracks that ends in .npz")
        more: dict[str, Any] = {}
        if self.quality is not None:
            more["quality"] = self.quality.astype(np.float32)
        if self.camera is not None:
            more["camera"] = np.array(camera_text(self.camera))
        partial = path.with_name(f".{path.stem}.partial.npz")
        np.savez_compressed(
            partial, pixels=self.pixels, time=self.time, size=np.array(self.size),
            source=np.array(self.source), **more,
        )  # fmt: skip
        partial.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> Tracks:
        """Read one.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is none, or lacks something.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no tracks {path}: make them with rheograd track VIDEO")
        try:
            with np.load(path, allow_pickle=False) as file:
                held = {name: file[name] for name in file.files}
        except UNREADABLE:
            raise ValueError(
                f"{path} is not a file of tracks: expected an .npz file, as rheograd track VIDEO"
                " writes it"
            ) from None
        missing = [name for name in (*REQUIRED, "size") if name not in held]
        if missing:
            raise ValueError(
                f"{path} is not a file of tracks: it lacks {', '.join(missing)}; make it with"
                " rheograd track VIDEO"
            )
        camera = held.get("camera")
        width, height = (int(n) for n in held["size"])
        return cls(
            held["pixels"].astype(np.float64), held["time"].astype(np.float64), (width, height),
            held.get("quality"), None if camera is None else parse_camera(str(camera), str(path)),
            str(held.get("source", "")),
        )  # fmt: skip
