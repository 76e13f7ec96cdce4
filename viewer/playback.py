# SPDX-License-Identifier: Apache-2.0
"""What is shown at a moment and how time runs: the same for the window and for the browser."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from .view import View

SPEEDS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Times the normal speed."""
KEYS = (
    ("space", "play or pause"),
    ("left, right", "one frame back or on; with shift ten"),
    ("home, end", "first or last frame; end follows a run"),
    ("up, down", "faster or slower"),
    ("l", "play in a loop or once"),
    ("c, shift-c", "colour by the next field, or the one before"),
    ("v", "look from the next side"),
    ("r", "reset the camera"),
)
"""Keys and what they do, wherever a run is played; the last two are for those who hold a camera."""
_RATE = 30.0
_LONGEST = 30.0


@dataclass(frozen=True)
class Shown:
    """What is shown at a moment."""

    frame: int
    """Place on the timeline."""
    playing: bool
    """Whether time runs."""
    field: str
    """What bodies are coloured by."""
    speed: float
    """Times the normal speed of thirty frames a second (more where a run would last for long)."""
    loop: bool
    """Whether it starts again at the end."""
    help: bool
    """Whether the keys are listed."""
    frames: int = 1
    """Length of the timeline, which grows where a file is followed."""
    news: int = 0
    """How often something new came in."""


class Playback:
    """What is shown of a view, and how keys and time change it.

    Args:
        view: what is to be seen.
        frame: place on the timeline, from the end where negative.
        playing: whether time runs at first.

    Raises:
        ValueError: for a frame that there is not.
    """

    def __init__(self, view: View, frame: int, playing: bool) -> None:
        count = len(view.times)
        if not -count <= frame < count:
            raise ValueError(f"frame: got {frame}, expected {-count} to {count - 1}")
        self.view = view
        self.last = count - 1
        self._plays = playing
        plays = playing and (count > 1 or (view.live is not None and view.live.awaited))
        self.shown = Shown(frame % count, plays, view.field, 1.0, True, False, count)
        self._newest = False  # whether the newest frame is followed
        self.held = False
        """Whether the timeline is held, so that time stands still."""
        self._rate = max(_RATE, count / _LONGEST)
        self._origin = (0.0, frame % count)

    @property
    def pace(self) -> str:
        """Seconds of the run that pass in a second, in words; empty for a still."""
        times = self.view.times
        if len(times) < 2:
            return ""
        lapse = float(times[-1] - times[0]) / (len(times) - 1)
        return f"{self._rate * self.shown.speed * lapse:.2g}x"

    def change(self, *, moved: bool = True, **values: Any) -> None:
        """Change what is shown; with `moved`, time runs on from here."""
        self.shown = replace(self.shown, **values)
        if moved:
            self._origin = (time.perf_counter(), self.shown.frame)

    def advance(self) -> bool:
        """Go to the frame that is due; whether that is another than before."""
        live = self.view.live
        grown = live is not None and live.look(self.view)
        if grown:
            self._grow()
        shown = self.shown
        if not shown.playing or self.held:
            return grown
        start, frame = self._origin
        due = frame + int((time.perf_counter() - start) * self._rate * shown.speed)
        if due == shown.frame:
            return grown
        if due <= self.last:
            self.change(moved=False, frame=due)
        elif live is not None and live.awaited:
            if shown.frame == self.last:
                return grown
            self.change(frame=self.last)
        elif shown.loop:
            self.change(frame=0)
        else:
            self.change(frame=self.last, playing=False)
        return True

    def _grow(self) -> None:
        """Take over frames that came in: wait no longer at the end, or go to the newest of them."""
        if self.view.successor is not None:
            self.view = self.view.successor
            self.change(field=self.view.field, playing=self._plays)
        before, count, rate = self.last, len(self.view.times), self._rate
        self.last, self._rate = count - 1, max(_RATE, count / _LONGEST)
        shown = self.shown
        ended = shown.frame >= before
        frame = self.last if ended and self._newest else min(shown.frame, self.last)
        values = {"frame": frame, "frames": count, "news": shown.news + 1}
        self.change(moved=ended or rate != self._rate, **values)

    def toggle(self) -> None:
        """Play or pause; from the last frame play starts over."""
        shown = self.shown
        self._plays = not shown.playing
        ended = shown.frame == self.last and not shown.playing
        self.change(playing=not shown.playing, frame=0 if ended else shown.frame)

    def go(self, frame: int) -> None:
        """Show a frame, the first or last instead of one beyond it; what plays goes on from it."""
        self._newest = False
        self.change(frame=min(max(frame, 0), self.last))

    def step(self, by: int) -> None:
        """Pause some frames further on, or back."""
        self.change(playing=False)
        self.go(self.shown.frame + by)

    def next_field(self, by: int) -> None:
        """Colour by the field some places further on in the list of them."""
        names = list(self.view.fields)
        self.change(field=names[(names.index(self.shown.field) + by) % len(names)])

    def press(self, key: str, shift: bool) -> bool:
        """Do what a key stands for; whether it stands for anything here.

        Args:
            key: its name in X, for example ``"space"``, ``"Left"`` or ``"c"``.
            shift: whether shift is held too.
        """
        shown = self.shown
        if key == "space":
            self.toggle()
        elif key in ("Left", "Right"):
            self.step((10 if shift else 1) * (1 if key == "Right" else -1))
        elif key in ("Home", "End"):
            self.go(0 if key == "Home" else self.last)
            self._newest = key == "End"  # which `go` ended
        elif key in ("Up", "Down"):
            place = SPEEDS.index(shown.speed) + (1 if key == "Up" else -1)
            self.change(speed=SPEEDS[min(max(place, 0), len(SPEEDS) - 1)])
        elif key in ("c", "C"):
            self.next_field(-1 if shift or key == "C" else 1)
        elif key == "l":
            self.change(loop=not shown.loop)
        elif key in ("h", "question", "F1"):
            self.change(moved=False, help=not shown.help)
        else:
            return False
        return True
