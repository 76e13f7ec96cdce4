# SPDX-License-Identifier: Apache-2.0
"""Videos in and out, frame by frame: films, and folders of pictures.

Frames are as a player shows them: turned and mirrored as the film asks for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PICTURES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
UNEVEN = 0.02
"""How far the frames of a film may be from even spacing, in frames, before it is refused."""
AGREED = 0.01
"""How far the rate of a film may be from that of its camera, as a share."""


@dataclass(frozen=True)
class Video:
    """A film or a folder of pictures, of which one frame at a time is in memory."""

    path: Path
    size: tuple[int, int]
    """Width and height [px]."""
    frames: int
    """How many there are."""
    frame_rate: float
    """Frames per second [1/s]."""

    @property
    def time(self) -> np.ndarray:
        """Of each frame from the first [s], shape (t,)."""
        return np.arange(self.frames) / self.frame_rate

    def rgb(self) -> Iterator[np.ndarray]:
        """Frames in turn, shape (height, width, 3), uint8."""
        for frame in _decoded(self.path):
            yield _shown(frame, "rgb24") if self.path.is_file() else frame

    def grey(self) -> Iterator[np.ndarray]:
        """Brightness of frames in turn, shape (height, width), uint8."""
        for frame in _decoded(self.path):
            yield _shown(frame, "gray") if self.path.is_file() else _grey(frame)


def open_video(
    path: str | Path,
    *,
    frame_rate: float | None = None,
    camera_rate: float | None = None,
    camera: str | Path = "its camera",
) -> Video:
    """Look at all frames of a video once.

    Args:
        path: A film, or a folder of pictures that are taken in the order of their names.
        frame_rate: Frames per second [1/s], for pictures and for films that say otherwise: of slow
            motion, say, or of one frame a minute.
        camera_rate: That of the camera [1/s], if known: for pictures and films without times. A
            film that has them must agree, unless there is a `frame_rate`.
        camera: What errors call the camera.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read, holds fewer than two frames, frames of different sizes or
            uneven times, does not say how fast it is, or says otherwise than its camera.
    """
    path = Path(path)
    if frame_rate is not None and not 0 < frame_rate < math.inf:
        raise ValueError(f"got a frame rate of {frame_rate:g}, expected it positive [1/s]")
    if not path.exists():
        raise FileNotFoundError(f"no video {path}: check the path")
    if path.is_dir():
        return _series(path, frame_rate or camera_rate)
    times: list[float | None] = []
    sizes = set()
    for frame in _decoded(path):
        times.append(frame.time)
        sizes.add(_size(frame, path))
    _require_frames(path, len(times), sizes)
    told = None if camera_rate is None else (camera, camera_rate)
    return Video(path, sizes.pop(), len(times), frame_rate or _rate(path, times, told))


def _rate(path: Path, times: list[float | None], camera: tuple[str | Path, float] | None) -> float:
    """Frames per second of a film, from the times of its frames; the camera's if it has none."""
    known = np.array([np.nan if t is None else t for t in times], np.float64)
    gaps = np.diff(known)
    mean = (known[-1] - known[0]) / len(gaps)
    if not mean > 0:
        if camera is not None:
            return camera[1]
        raise ValueError(f"{path} does not say when its frames were taken: give --frame-rate")
    even = known[0] + mean * np.arange(len(known))
    # a clock that counts milliseconds rounds: that is not uneven
    uneven = float(np.abs(known - even).max()) > max(UNEVEN * mean, 1.1e-3)
    apart = f"frames that are {1e3 * gaps.min():.3g} to {1e3 * gaps.max():.3g} ms apart"
    if camera is not None and (uneven or abs(mean * camera[1] - 1) > AGREED):
        raise ValueError(
            f"{path} has {apart if uneven else f'{1 / mean:.4g} frames a second'}, {camera[0]} says"
            f" {camera[1]:.4g} a second: choose by --frame-rate"
        )
    if uneven:
        raise ValueError(
            f"{path} has {apart}, expected even times: convert it first (ffmpeg -i IN -vf"
            " fps=30 OUT.mp4), or give --frame-rate if they are even in truth"
        )
    return float(1.0 / mean)


def _series(folder: Path, frame_rate: float | None) -> Video:
    files = _pictures(folder)
    if frame_rate is None:
        raise ValueError(f"{folder} is a folder of pictures: give their --frame-rate [1/s]")
    sizes = {(frame.shape[1], frame.shape[0]) for frame in _decoded(folder)}
    _require_frames(folder, len(files), sizes)
    return Video(folder, sizes.pop(), len(files), frame_rate)


def _pictures(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURES)


def _require_frames(path: Path, count: int, sizes: set[tuple[int, int]]) -> None:
    if count < 2:
        raise ValueError(f"{path} holds {count} frames, expected a video of two or more")
    if len(sizes) > 1:
        raise ValueError(f"{path} has frames of {len(sizes)} sizes, expected one: {sorted(sizes)}")


def _decoded(path: Path) -> Iterator[Any]:
    """Frames of PyAV of a film; arrays of a folder."""
    if path.is_dir():
        for file in _pictures(path):
            yield read_picture(file)
        return
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path} has no pictures in it, expected a video")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield from container.decode(stream)
    except FFmpegError as error:
        raise ValueError(
            f"{path} cannot be read as a video ({error.strerror}): expected a film that ffmpeg"
            " reads, such as .mp4, .mov or .avi, or a folder of pictures"
        ) from None


def _matrix(frame: Any) -> np.ndarray:
    """How a player turns a frame: x' = x a + y c, y' = x b + y d as ((a, b), (c, d)), of -1, 0, 1.

    Raises:
        ValueError: It is turned by no right angle.
    """
    told = frame.side_data.get("DISPLAYMATRIX")
    if told is None:
        return np.eye(2, dtype=int)
    held = np.frombuffer(bytes(told), np.int32).reshape(3, 3)[:2, :2] / 65536
    size = np.abs(held).max()
    nearest = np.rint(held / size).astype(int) if size > 0 else np.zeros((2, 2), int)
    if abs(np.linalg.det(nearest)) != 1 or np.abs(held / size - nearest).max() > 1e-3:
        raise ValueError(
            "its frames are to be shown turned by no right angle: convert it first (ffmpeg -i IN"
            " OUT.mp4)"
        )
    return nearest


def _size(frame: Any, path: Path) -> tuple[int, int]:
    """Width and height as shown."""
    try:
        turned = _matrix(frame)[0, 0] == 0
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return (frame.height, frame.width) if turned else (frame.width, frame.height)


def _shown(frame: Any, kind: str) -> np.ndarray:
    """Pixels as a player shows them."""
    picture, ((a, b), (c, d)) = _pixels(frame, kind), _matrix(frame)
    if a == 0:
        picture, a, d = picture.swapaxes(0, 1), c, b
    return np.ascontiguousarray(picture[:: 1 if d > 0 else -1, :: 1 if a > 0 else -1])


def _pixels(frame: Any, kind: str) -> np.ndarray:
    if kind == "gray" and frame.format.name in ("yuv420p", "yuvj420p", "gray"):
        plane = frame.planes[0]  # brightness as it was coded, without a detour by colours
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        return rows[: frame.height, : frame.width].copy()
    return frame.to_ndarray(format=kind)


def read_picture(path: str | Path) -> np.ndarray:
    """A picture as (height, width, 3), uint8, writable, turned as its EXIF data ask for.

    A deep one is scaled by its own brightest pixel.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read as one.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as stored:
            picture = ImageOps.exif_transpose(stored)
            if picture.mode.startswith(("I", "F")):
                values = np.asarray(picture, np.float64)
                scaled = (255 * values / max(values.max(), 1.0)).astype(np.uint8)
                return np.repeat(scaled[..., None], 3, -1)
            return np.array(picture.convert("RGB"))
    except UnidentifiedImageError:
        raise ValueError(
            f"{path} cannot be read as a picture: expected .png, .jpg or .tif"
        ) from None
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError) as error:
        raise ValueError(
            f"{path} is damaged or cut off, expected a whole picture: copy it again"
        ) from error


def _grey(rgb: np.ndarray) -> np.ndarray:
    """Brightness of Rec. 601, as uint8."""
    weights = np.array([0.299, 0.587, 0.114])
    return (rgb @ weights).round().astype(np.uint8)


class VideoWriter:
    """Writes frames to an .mp4 that appears when it is complete."""

    def __init__(
        self, path: str | Path, size: tuple[int, int], frame_rate: float, *, crf: int = 18
    ) -> None:
        """Open it.

        Args:
            path: The file.
            size: Width and height [px], even.
            frame_rate: Frames per second [1/s].
            crf: Compression of H.264, from 0 (none is lost) to 51.

        Raises:
            ValueError: The file's ending or the size is another.
        """
        from fractions import Fraction

        import av

        self.path = Path(path)
        if self.path.suffix != ".mp4":
            raise ValueError(f"got {self.path}, expected a file that ends in .mp4")
        if size[0] % 2 or size[1] % 2:
            raise ValueError(f"got a picture of {size[0]} x {size[1]} px, expected even numbers")
        self._partial = self.path.with_name(f".{self.path.stem}.partial.mp4")
        self._container = av.open(str(self._partial), "w")
        rate = Fraction(frame_rate).limit_denominator(100_000)
        self._stream: Any = self._container.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": str(crf), "preset": "medium"}

    def write(self, rgb: np.ndarray) -> None:
        """Add a frame, shape (height, width, 3), uint8."""
        import av

        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def close(self) -> None:
        """Finish the file and give it its name."""
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._container.close()
        self._partial.replace(self.path)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self.close()
            return
        self._container.close()
        self._partial.unlink(missing_ok=True)
