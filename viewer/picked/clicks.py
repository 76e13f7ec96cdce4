# SPDX-License-Identifier: Apache-2.0
"""What a mouse button does in the picture, in a window or a page: clicks pick, charts scrub."""

from __future__ import annotations

from ..playback import Playback
from ..stage import Stage

_STILL = 3


class Clicks:
    """Tells clicks from drags, and has them pick.

    Args:
        playback: where what is picked is noted.
        stage: the picture; places are its pixels, from its lower left.
    """

    def __init__(self, playback: Playback, stage: Stage) -> None:
        self._playback, self._stage = playback, stage
        self._at: tuple[float, float] | None = None
        self._scrubbing = False

    def press(self, x: float, y: float) -> bool:
        """Take note that the left button goes down; whether that is on the card of the chart."""
        inspector, self._at = self._stage.inspector, None
        if not inspector.covers(x, y):
            if not self._stage.strip.covers(round(y)):
                self._at = (x, y)
            return False
        frame = inspector.frame_at(x, y)
        if frame is not None:
            self._scrubbing = self._playback.held = True
            self._playback.go(frame)
        return True

    def move(self, x: float) -> bool:
        """Go to another frame where the chart is held; whether it is."""
        if self._scrubbing:
            frame = self._stage.inspector.frame_near(x)
            if frame != self._playback.shown.frame:
                self._playback.go(frame)
        return self._scrubbing

    def release(self, x: float, y: float, add: bool) -> None:
        """Pick what was clicked on, beside what is picked with `add`; a drag picks nothing."""
        start, self._at = self._at, None
        if self._scrubbing:
            self._scrubbing = self._playback.held = False
            self._playback.go(self._playback.shown.frame)
        elif start is not None and max(abs(x - start[0]), abs(y - start[1])) <= _STILL:
            found = self._stage.inspector.find(round(start[0]), round(start[1]))
            self._playback.pick(found, add)
