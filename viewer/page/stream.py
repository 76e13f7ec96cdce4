# SPDX-License-Identifier: Apache-2.0
"""Pictures on their way to the pages of a browser, and mouse and size on their way back."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

_AHEAD = 3
_PATIENCE = 1.0
_MOVING, _STILL = 80, 95


class Stream:
    """An area of trame-rca: it is handed pictures, and hands on what the pages say.

    A page answers each picture that it takes; no more than a few are under way at once, so that a
    slow network makes the picture jerk, not lag.

    Args:
        resized: called with the width and height of the picture in the page [pixels].
        moved: called with each event of the mouse, or of fingers, as vtk.js names them.
    """

    area_name = "picture"

    def __init__(
        self,
        resized: Callable[[int, int], None],
        moved: Callable[[dict[str, Any]], None],
    ) -> None:
        self._resized, self._moved = resized, moved
        self._streamer: Any = None
        self._encoder = ThreadPoolExecutor(1, "rheograd-encoder")
        self._number = 0
        self._under_way: dict[int, float] = {}
        self._sending: set[asyncio.Task] = set()

    @property
    def free(self) -> bool:
        """Whether a picture more may be sent."""
        now = time.monotonic()
        late = [number for number, sent in self._under_way.items() if now - sent > _PATIENCE]
        for number in late:
            del self._under_way[number]
        return len(self._under_way) < _AHEAD

    def send(self, pixels: np.ndarray, *, still: bool) -> None:
        """Send a picture (height, width, 3), uint8; in better quality where none follows soon."""
        self._number += 1
        self._under_way[self._number] = time.monotonic()
        task = asyncio.get_running_loop().create_task(self._send(self._number, pixels, still))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, number: int, pixels: np.ndarray, still: bool) -> None:
        loop = asyncio.get_running_loop()
        quality = _STILL if still else _MOVING
        content = await loop.run_in_executor(self._encoder, jpeg, pixels, quality)
        height, width, _ = pixels.shape
        described = {
            "type": "image/jpeg", "codec": "", "w": width, "h": height, "st": number, "key": "key",
            "quality": quality,
        }  # fmt: skip
        if self._streamer is not None:
            self._streamer.push_content(self.area_name, described, content)

    def arrived(self, number: int) -> None:
        """A page has taken a picture, and with it all before."""
        for earlier in [one for one in self._under_way if one <= number]:
            del self._under_way[earlier]

    def close(self) -> None:
        """Send nothing more."""
        for task in self._sending:
            task.cancel()
        self._encoder.shutdown(wait=False, cancel_futures=True)

    def set_streamer(self, streamer: Any) -> None:
        """Take that which publishes; called by trame-rca."""
        self._streamer = streamer

    def update_size(self, _: Any, size: dict[str, Any]) -> None:
        """Hear of the size of the picture in a page; called by trame-rca."""
        self._resized(round(size.get("w", 0)), round(size.get("h", 0)))

    def on_interaction(self, _: Any, event: dict[str, Any]) -> None:
        """Hear of mouse or fingers; called by trame-rca."""
        self._moved(event)

    def reset(self) -> None:
        """Start anew; called by trame-rca, and nothing to do for pictures."""

    def video_codecs(self) -> list[dict]:
        """None: there are pictures only; called by trame-rca."""
        return []

    def negotiate_video(self, _: list[str]) -> dict:
        """Refuse to send video; called by trame-rca."""
        return {"error": "not-a-video-stream"}


def jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """A picture (height, width, 3), uint8, as a file, at a quality of 1 to 100."""
    from PIL import Image

    out = io.BytesIO()
    sampling = 0 if quality >= _STILL else 2
    Image.fromarray(pixels).save(out, "jpeg", quality=quality, subsampling=sampling)
    return out.getvalue()


def png(pixels: np.ndarray) -> bytes:
    """A picture (height, width, 3), uint8, as a file without loss."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "png")
    return out.getvalue()
