# SPDX-License-Identifier: Apache-2.0
"""What is shown at a moment, and how keys and time change it: the same for window and page."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from . import keys
from . import looks as looking
from .looks import Looks
from .picked.picking import MOST, Pick, repicked
from .ranges import Ranges
from .view import View

SPEEDS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Times the normal speed."""
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


class Player(ABC):
    """What is shown of a view, and how actions change it; how time runs is for others to say.

    Args:
        view: what is to be seen.
        shown: of it at first.
    """

    place: str
    """Whose keys it answers: one of those of the table."""
    shown: Shown
    """What is shown."""

    def __init__(self, view: View, shown: Shown) -> None:
        self.view, self.shown = view, shown

    @property
    @abstractmethod
    def pace(self) -> str:
        """Seconds of the run that pass in a second, in words; empty where none is known."""

    @abstractmethod
    def advance(self) -> bool:
        """Go to what is due; whether anything has changed."""

    @abstractmethod
    def toggle(self) -> None:
        """Play or pause."""

    def change(self, **values: Any) -> None:
        """Change what is shown."""
        self.shown = replace(self.shown, **values)

    def next_field(self, by: int) -> None:
        """Colour by the field some places further on in the list of them."""
        names = list(self.view.fields)
        self.change(field=names[(names.index(self.shown.field) + by) % len(names)])

    def hasten(self, by: int) -> None:
        """Take a speed some places further on in the list of them, up to its ends."""
        place = SPEEDS.index(self.shown.speed) + by
        self.change(speed=SPEEDS[min(max(place, 0), len(SPEEDS) - 1)])

    @property
    def acts(self) -> Mapping[str, Callable[[], None]]:
        """The actions that there are now, by name."""
        return {
            "play": self.toggle,
            "faster": partial(self.hasten, 1),
            "slower": partial(self.hasten, -1),
            "next field": partial(self.next_field, 1),
            "previous field": partial(self.next_field, -1),
            "help": lambda: self.change(help=not self.shown.help),
        }

    def act(self, action: str) -> bool:
        """Do what an action is called; whether there is one of that name here."""
        acts = self.acts
        if action not in acts:
            return False
        acts[action]()
        return True

    def press(self, key: str, shift: bool) -> bool:
        """Do what a key stands for; whether it stands for anything here.

        Args:
            key: its name in X, for example ``"space"``, ``"Left"`` or ``"c"``.
            shift: whether shift is held too.
        """
        return self.act(keys.action(self.place, key, shift))


class Playback(Player):
    """What is shown of a view that is played.

    Args:
        view: what is to be seen.
        frame: place on the timeline, from the end where negative.
        playing: whether time runs at first.
        looks: how bodies are drawn at first.

    Raises:
        ValueError: for a frame that there is not, or one run that is to lie over another.
    """

    place = keys.WINDOW

    def __init__(self, view: View, frame: int, playing: bool, looks: Looks | None = None) -> None:
        count = len(view.times)
        if not -count <= frame < count:
            raise ValueError(f"frame: got {frame}, expected {-count} to {count - 1}")
        plays = playing and (count > 1 or (view.following is not None and view.following.awaited))
        super().__init__(view, Shown(
            frame % count, plays, view.field, 1.0, True, False, looking.settled(looks, view),
            frames=count,
        ))  # fmt: skip
        self.last = count - 1
        self._plays = playing
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
        super().change(**values)
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

    def follow(self) -> None:
        """Show the last frame, and each that comes in after it."""
        self.go(self.last)
        self._newest = True

    def step(self, by: int) -> None:
        """Pause some frames further on, or back."""
        self.change(playing=False)
        self.go(self.shown.frame + by)

    def pick(self, found: Pick | None, add: bool) -> None:
        """Pick what was clicked on, None for nothing; with `add`, beside what is picked."""
        before = self.shown.picked
        after = repicked(before, found, add)
        full = add and len(before) == len(after) == MOST and before != after
        self.change(moved=False, picked=after, remark=_OLDEST if full else "")

    def unpick(self) -> None:
        """Pick nothing."""
        self.change(moved=False, picked=(), remark="")

    @property
    def acts(self) -> Mapping[str, Callable[[], None]]:
        """See `Player.acts`; to leave is to pick nothing where something is picked."""
        shown = self.shown
        acts = {
            **super().acts,
            "back": partial(self.step, -1),
            "on": partial(self.step, 1),
            "ten back": partial(self.step, -10),
            "ten on": partial(self.step, 10),
            "first": partial(self.go, 0),
            "last": self.follow,
            "loop": lambda: self.change(loop=not shown.loop),
            "chart": lambda: self.change(moved=False, chart=not shown.chart),
            **{name: partial(self._dress, name) for name in looking.ACTIONS},
        }
        return acts | {"leave": self.unpick} if shown.picked else acts

    def _dress(self, action: str) -> None:
        """Change the looks by one of their actions."""
        looks = looking.acted(action, self.shown.looks, *self._seen())
        self.change(moved=False, looks=looks)

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
