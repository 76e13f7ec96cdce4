# SPDX-License-Identifier: Apache-2.0
"""Pictures and movies, drawn off screen at twice their size and averaged for smooth edges."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from .display import require_renderer
from .drawing.images import drawn
from .presentation import Presentation, Presented
from .stage import Stage, plotter_for
from .view import View

_OVERSAMPLING = 2
_LONGEST = 900
_QUALITY = 6
_MOVIES = (".mp4", ".gif")
_PICTURES = (".png", ".jpg", ".jpeg")


def screenshot(
    trajectories: Any,
    path: str | Path | None = None,
    presentation: Presentation | None = None,
    *,
    frame: int = -1,
    **presented: Unpack[Presented],
) -> np.ndarray:
    """Draw one frame.

    Args:
        trajectories: one trajectory or path, or several to be seen side by side.
        path: picture to write, .png or .jpg; none is written without it.
        presentation: how they are shown.
        frame: place on the timeline, from the end where negative.
        **presented: fields of the presentation, such as ``field="speed"``.

    Returns:
        The picture (height, width, 3), uint8.

    Raises:
        DisplayError: where nothing can be drawn.
        ValueError: for a frame, field, number or file type that there is not.
    """
    out = None if path is None else _writable(path, _PICTURES)
    asked = Presentation.of(presentation, **presented)
    view = asked.view(trajectories)
    count = len(view.times)
    if not -count <= frame < count:
        raise ValueError(f"frame: got {frame}, expected {-count} to {count - 1}")
    with off_screen(view, asked) as draw:
        picture = draw(frame % count)
    if out is not None:
        import imageio.v3

        imageio.v3.imwrite(out, picture)
    return picture


def movie(
    trajectories: Any,
    path: str | Path,
    presentation: Presentation | None = None,
    *,
    rate: int = 30,
    speed: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    **presented: Unpack[Presented],
) -> int:
    """Write a movie of the whole run.

    Args:
        trajectories: one trajectory or path, or several to be seen side by side.
        path: movie to write, .mp4 or .gif; it appears when it is complete.
        presentation: how they are shown; width and height are even numbers.
        rate: pictures a second.
        speed: seconds of the run that pass in a second of the movie; by default each frame is one
            picture (of a very long run every other, or fewer).
        progress: called with the number of pictures drawn and their total.
        **presented: fields of the presentation, such as ``field="speed"``.

    Returns:
        The number of pictures.

    Raises:
        DisplayError: where nothing can be drawn.
        ValueError: for a field, size, number or file type that there is not.
    """
    out = _writable(path, _MOVIES)
    asked = Presentation.of(presentation, **presented)
    size = asked.size
    if size[0] % 2 or size[1] % 2 or min(size) < 64:
        raise ValueError(f"size of a movie: got {size}, expected even numbers from 64")
    view = asked.view(trajectories)
    if view.bare:
        raise ValueError(
            f"a movie of {view.sources[0].title}: got no prediction of its motion, expected one;"
            " wait for it, or take a --screenshot of the curves"
        )
    frames = shown_frames(view, rate, speed)
    partial = out.with_name(f".{out.stem}.partial{out.suffix}")
    try:
        with (
            off_screen(view, asked) as draw,
            _encoder(partial, size, rate) as write,
        ):
            for count, frame in enumerate(frames, 1):
                write(draw(int(frame)))
                if progress is not None:
                    progress(count, len(frames))
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
    return len(frames)


def shown_frames(view: View, rate: int, speed: float | None) -> np.ndarray:
    """Places of the timeline that a movie of `rate` pictures a second shows, (k,)."""
    times = view.times
    if rate < 1 or (speed is not None and not speed > 0):
        raise ValueError(f"a movie: got rate {rate} and speed {speed}, expected positive numbers")
    if speed is None:
        return np.arange(0, len(times), -(-len(times) // _LONGEST))
    asked = np.arange(times[0], times[-1] + 1e-9, speed / rate)
    return np.abs(times[None, :] - asked[:, None]).argmin(-1)


def _writable(path: str | Path, suffixes: tuple[str, ...]) -> Path:
    out = Path(path)
    if out.suffix.lower() not in suffixes:
        raise ValueError(f"{out}: got the type {out.suffix!r}, expected {' or '.join(suffixes)}")
    if not out.parent.is_dir():
        raise ValueError(f"{out}: got a folder that does not exist, expected one that does")
    return out


@contextmanager
def off_screen(view: View, asked: Presentation) -> Iterator[Callable[[int], np.ndarray]]:
    """A plotter without a window, for as many frames as are asked for; closed at the end.

    Args:
        view: what is shown.
        asked: how, and in which size.

    Yields:
        A function from a frame of the view's timeline to its picture (height, width, 3), uint8.

    Raises:
        DisplayError: where nothing can be drawn.
    """
    looks, picked = asked.settled(view)
    require_renderer()
    many, size = _OVERSAMPLING, asked.size
    plotter = plotter_for(view, (many * size[0], many * size[1]), off_screen=True)
    try:
        stage = Stage(plotter, view, pixels=many)
        stage.dress(looks)
        stage.inspector.picked = picked
        window = plotter.render_window

        def draw(frame: int) -> np.ndarray:
            stage.show(frame)
            stage.inspector.finish()
            window.Render()
            large = drawn(window)
            rows = large[0::2].astype(np.uint16) + large[1::2]
            return ((rows[:, 0::2] + rows[:, 1::2] + 2) // 4).astype(np.uint8)

        yield draw
    finally:
        plotter.close()


@contextmanager
def _encoder(
    path: Path, size: tuple[int, int], rate: int
) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that appends a picture to a movie file."""
    import imageio_ffmpeg

    if path.suffix == ".gif":
        colours = "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=bayer:bayer_scale=4"
        codec, pixels = "gif", "pal8"
        extra = ["-filter_complex", colours, "-loop", "0"]
    else:
        codec, pixels = "libx264", "yuv420p"
        extra = ["-movflags", "+faststart"]
    writer = imageio_ffmpeg.write_frames(
        str(path),
        size,
        fps=rate,
        codec=codec,
        pix_fmt_out=pixels,
        quality=_QUALITY,
        macro_block_size=2,
        ffmpeg_log_level="error",
        output_params=extra,
    )
    writer.send(None)
    try:
        yield lambda picture: writer.send(np.ascontiguousarray(picture))
    finally:
        writer.close()
