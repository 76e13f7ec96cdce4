# SPDX-License-Identifier: Apache-2.0
"""What is shown at a moment and how time runs: the same for the window and for the browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import looks as looking
from .looks import Looks
from .picked.picking import MOST, Pick, repicked
from .ranges import Ranges
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
    *looking.KEYS,
    ("v", "look from the next side"),
    ("r", "reset the camera"),
)
"""Keys and what they do, wherever a run is played; the last two are for those who hold a camera."""
_RATE = 30.0
_LONGEST = 30.0
_OLDEST = f"{MOST} are picked at most: the oldest is let go"


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
    looks: Looks
    """How bodies are drawn."""
    picked: tuple[Pick, ...] = ()
    """Particles, nodes or elements that are picked."""
    chart: bool = True
    """Whether what is picked is charted."""
    frames: int = 1
    """Length of the timeline, which grows where a file is followed."""
    news: int = 0
    """How often something new came in."""
    remark: str = ""
    """What is to be said about the last click."""


class Playback:
    """What is shown of a view, and how keys and time change it.

    Args:
        view: what is to be seen.
        frame: place on the timeline, from the end where negative.
        playing: whether time runs at first.
        looks: how bodies are drawn at first.

    Raises:
        ValueError: for a frame that there is not, or one run that is to lie over another.
    """

    def __init__(self, view: View, frame: int, playing: bool, looks: Looks | None = None) -> None:
        count = len(view.times)
        if not -count <= frame < count:
            raise ValueError(f"frame: got {frame}, expected {-count} to {count - 1}")
        self.view = view
        self.last = count - 1
        self._plays = playing
        plays = playing and (count > 1 or (view.following is not None and view.following.awaited))
        self.shown = Shown(
            frame % count, plays, view.field, 1.0, True, False, looking.settled(looks, view),
            frames=count,
        )  # fmt: skip
        self._newest = False  # whether the newest frame is followed
        self.toward: Callable[[], np.ndarray] = lambda: np.ones(3)
        """Direction to the eye, shape (3,): to be set by who holds a camera."""
        self._ranges = Ranges(view)
        self.held = False
        """Whether the timeline is held, so that time stands still."""
        self._rate = max(_RATE, count / _LONGEST)
        self._origin = (0.0, frame % count)

    @property
    def pace(self) -> str:
        """Seconds of the run that pass in a second, in words; empty for a still."""
        return self.pace_at(self.shown.speed) if len(self.view.times) > 1 else ""

    def pace_at(self, speed: float) -> str:
        """The same at another speed, times the normal one; of a still that speed."""
        times = self.view.times
        if len(times) < 2:
            return f"{speed:g}x"
        lapse = float(times[-1] - times[0]) / (len(times) - 1)
        return f"{self._rate * speed * lapse:.2g}x"

    def change(self, *, moved: bool = True, **values: Any) -> None:
        """Change what is shown; with `moved`, time runs on from here."""
        self.shown = replace(self.shown, **values)
        if moved:
            self._origin = (time.perf_counter(), self.shown.frame)

    def advance(self) -> bool:
        """Go to the frame that is due; whether that is another than before."""
        following = self.view.following
        grown = following is not None and following.look(self.view)
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
        elif following is not None and following.awaited:
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
            self._ranges = Ranges(self.view)
            self.change(field=self.view.field, playing=self._plays, picked=())
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

    def pick(self, found: Pick | None, add: bool) -> None:
        """Pick what was clicked on, None for nothing; with `add`, beside what is picked."""
        before = self.shown.picked
        after = repicked(before, found, add)
        full = add and len(before) == len(after) == MOST and before != after
        self.change(moved=False, picked=after, remark=_OLDEST if full else "")

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
        elif (looks := looking.pressed(key, shift, shown.looks, *self._seen())) is not None:
            self.change(moved=False, looks=looks)
        elif key in ("t", "T"):
            self.change(moved=False, chart=not shown.chart)
        elif key == "Escape" and shown.picked:
            self.change(moved=False, picked=())
        else:
            return False
        return True

    def choose(self, name: str, value: Any) -> None:
        """Set a control of the looks, see `looks.chosen`; what makes no sense is not set."""
        with suppress(ValueError):
            looks = looking.chosen(name, value, self.shown.looks, *self._seen())
            self.change(moved=False, looks=looks)

    def _seen(self) -> tuple[View, np.ndarray, tuple[str, float, float]]:
        """The view, the direction to the eye, and the field with the range shown now."""
        shown = self.shown
        limits = self._ranges.scale(shown.field, shown.frame, shown.looks).limits
        return self.view, self.toward(), (shown.field, float(limits[0]), float(limits[1]))
