# SPDX-License-Identifier: Apache-2.0
"""The one table of keys: what each does, and where; from it keys are bound and help is made.

A stroke is a key by its name in X, such as ``"Left"`` or ``"c"``, with ``"shift-"`` before it where
shift is held. It stands for an action, such as ``"previous field"``, which whoever plays, draws or
serves knows how to do; buttons of the page name the same actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

WINDOW, PAGE, LIVE = "window", "page", "live window"
_PLAYED = (WINDOW, PAGE)
_DESKTOP = (WINDOW, LIVE)
_ALL = (WINDOW, PAGE, LIVE)
_SHIFT = "shift-"


class _Name(NamedTuple):
    """A key that is called differently in a browser, or in lists."""

    x: str
    browser: str
    listed: str


_NAMES = (
    _Name("space", " ", "space"),
    _Name("Left", "ArrowLeft", "left"),
    _Name("Right", "ArrowRight", "right"),
    _Name("Up", "ArrowUp", "up"),
    _Name("Down", "ArrowDown", "down"),
    _Name("Home", "Home", "home"),
    _Name("End", "End", "end"),
    _Name("Escape", "Escape", "escape"),
    _Name("period", ".", "."),
    _Name("question", "?", "?"),
    _Name("bracketleft", "[", "["),
    _Name("bracketright", "]", "]"),
)
_LISTED = {name.x: name.listed for name in _NAMES}
BROWSER = {name.browser: name.x for name in _NAMES}
"""Names in X of the keys that a browser calls otherwise."""


@dataclass(frozen=True)
class Key:
    """A line of the list of keys."""

    meaning: str
    """What they do, in words."""
    strokes: Mapping[str, str] = field(default_factory=dict)
    """Action of each stroke that is listed."""
    places: tuple[str, ...] = _ALL
    """Where it is valid."""
    also: Mapping[str, str] = field(default_factory=dict)
    """Action of strokes that go without saying: the meaning tells, or they are second names."""
    gesture: str = ""
    """What is done with the mouse instead."""

    @property
    def label(self) -> str:
        """The strokes as they are listed, for example ``"c, shift-c"``."""
        return self.gesture or ", ".join(_listed(stroke) for stroke in self.strokes)


KEYS = (
    Key("play or pause", {"space": "play"}, _PLAYED),
    Key("run or pause", {"space": "play"}, (LIVE,)),
    Key("go on by one frame", {"period": "frame"}, (LIVE,)),
    Key(
        "one frame back or on; with shift ten", {"Left": "back", "Right": "on"}, _PLAYED,
        {"shift-Left": "ten back", "shift-Right": "ten on"},
    ),
    Key("first or last frame; end follows a run", {"Home": "first", "End": "last"}, _PLAYED),
    Key(
        "back to the start; with shift sliders too", {"Home": "restart"}, (LIVE,),
        {"shift-Home": "restart with sliders"},
    ),
    Key("faster or slower", {"Up": "faster", "Down": "slower"}, _PLAYED),
    Key("as fast as twice or half of real time, ...", {"Up": "faster", "Down": "slower"}, (LIVE,)),
    Key("play in a loop or once", {"l": "loop"}, _PLAYED),
    Key(
        "colour by the next field, or the one before",
        {"c": "next field", "shift-c": "previous field"},
    ),
    Key("spheres, surface or points; edges of cells", {"m": "shape", "e": "edges"}, _PLAYED),
    Key(
        "clip plane on or off; across the next axis", {"k": "clip", "shift-k": "clip axis"}, _PLAYED
    ),
    Key(
        "move the clip plane", {"bracketleft": "clip back", "bracketright": "clip on"}, _PLAYED
    ),
    Key("colours over the run, this frame, or locked", {"g": "span"}, _PLAYED),
    Key("runs one over the other, or side by side", {"o": "overlay"}, _PLAYED),
    Key("axes; box and colliders", {"a": "axes", "b": "around"}, _PLAYED),
    Key("show or hide the sliders", {"p": "sliders"}, (LIVE,)),
    Key("look from the next side", {"v": "next side"}),
    Key("reset the camera", {"r": "reset camera"}),
    Key("pick what is there; with shift several", places=_PLAYED, gesture="click"),
    Key(
        "show or hide the chart of what is picked", {"t": "chart"}, _PLAYED, {"shift-t": "chart"}
    ),
    Key("save the values of the chart in this folder", {"shift-x": "save values"}, (WINDOW,)),
    Key("download the values of the chart", {"shift-x": "save values"}, (PAGE,)),
    Key("save a picture in this folder", {"x": "save picture"}, _DESKTOP),
    Key("download the picture", {"x": "save picture"}, (PAGE,)),
    Key(
        "save the shape as .glb, or its data for VTK",
        {"w": "save shape", "shift-w": "save data"}, _DESKTOP,
    ),
    Key("download the shape shown as .glb", {"w": "save shape"}, (PAGE,)),
    Key("show or hide this help", {"h": "help"}, also={"question": "help", "F1": "help"}),
    Key("pick nothing; then close", {"Escape": "leave"}, (WINDOW,)),
    Key("pick nothing", {"Escape": "leave"}, (PAGE,)),
    Key("close", {"q": "close"}, (WINDOW,)),
    Key("close", {"Escape": "leave", "q": "close"}, (LIVE,)),
    Key("drag turns, shift-drag moves, wheel zooms", places=_PLAYED, gesture="mouse"),
    Key("on a body pulls it, beside it turns the view", places=(LIVE,), gesture="left button"),
    Key("turns the view; shift-drag moves, wheel zooms", places=(LIVE,), gesture="right button"),
    Key("on a slider puts it back", places=(LIVE,), gesture="double click"),
)  # fmt: skip
"""In the order of the list."""


def listed(place: str) -> tuple[tuple[str, str], ...]:
    """Keys and what they do at a place, as its help lists them."""
    return tuple((key.label, key.meaning) for key in KEYS if place in key.places)


def labels(place: str) -> dict[str, str]:
    """The key that is listed of each action at a place."""
    return {
        action: _listed(stroke)
        for key in KEYS
        if place in key.places
        for stroke, action in key.strokes.items()
    }


def actions(place: str) -> dict[str, str]:
    """Action of each stroke at a place."""
    bound: dict[str, str] = {}
    for key in KEYS:
        if place in key.places:
            bound |= {**key.strokes, **key.also}
    return bound


def action(place: str, name: str, shift: bool) -> str:
    """What a key stands for at a place; empty where that is nothing.

    Shift makes another key of a letter; others stay what they are, unless there is an action for
    them with shift.

    Args:
        place: WINDOW, PAGE or LIVE.
        name: of the key in X, for example ``"space"``, ``"Left"`` or ``"c"``.
        shift: whether shift is held too.
    """
    bound = actions(place)
    if len(name) == 1 and name.isalpha():
        shift, name = shift or name.isupper(), name.lower()
        return bound.get(_SHIFT + name if shift else name, "")
    return bound.get(_SHIFT + name if shift else name, bound.get(name, ""))


def _listed(stroke: str) -> str:
    shift = _SHIFT if stroke.startswith(_SHIFT) else ""
    name = stroke.removeprefix(_SHIFT)
    return shift + _LISTED.get(name, name)
