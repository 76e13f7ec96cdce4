# SPDX-License-Identifier: Apache-2.0
"""Which values the colours span: those of the run or the frame shown, or a range that is locked.

Of a run that goes on live they follow the present.
"""

from __future__ import annotations

import time

from .fields import Scale, scale_of
from .looks import GIVEN, SPANS, Looks
from .view import View

_KEPT = 256
_LOOK = 0.25
_PATIENCE = 2.0
_ROOM = 0.4
_LEAST = 0.1


class Ranges:
    """Scales of a view, each found once."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._found: dict[tuple, Scale] = {}

    def scale(self, name: str, place: int, looks: Looks) -> Scale:
        """Range and colours of a field at a place of the timeline."""
        view = self._view
        field = view.fields[name]
        if looks.span == "locked" and looks.locked is not None and looks.locked[0] == name:
            low, high = looks.locked[1:]
            return self._once((name, low, high), limits=(low, high))
        if looks.span == "frame" and not field.labels:
            frames = tuple(int(frames[place]) for frames in view.frames)
            return self._once((name, frames, view.version), frames=frames)
        return view.scale(name)

    def words(self, name: str, looks: Looks) -> str:
        """Whose values the range is, for the legend; empty where there is none."""
        view = self._view
        if view.fields[name].labels:
            return ""
        if looks.span == "frame":
            return SPANS["frame"]
        if looks.span == "locked" and looks.locked is not None and looks.locked[0] == name:
            return SPANS["locked"]
        return GIVEN if view.limits is not None and name == view.field else SPANS["run"]

    def _once(self, key: tuple, **how) -> Scale:
        if key not in self._found:
            if len(self._found) >= _KEPT:
                self._found.pop(next(iter(self._found)))
            view = self._view
            self._found[key] = scale_of(view.fields[key[0]], view.sources, **how)
        return self._found[key]


class RollingRanges:
    """Keeps the range of the colours wide enough for the present, and not far too wide.

    It grows at once, shrinks after two seconds in which less than four tenths of it were used, and
    never below a tenth of the widest yet, so that rest looks like rest.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._widest: dict[str, float] = {}
        self._looked = self._needed = 0.0

    def forget(self) -> None:
        """Begin anew."""
        self._widest.clear()
        self._looked = 0.0

    def follow(self, name: str) -> None:
        """Look at the present now and then."""
        now = time.perf_counter()
        field = self._view.fields[name]
        if field.labels or now - self._looked < _LOOK:
            return
        self._looked = now
        held, asked = self._view.scale(name), scale_of(field, self._view.sources)
        (low, high), (least, most) = held.limits, asked.limits
        if held.only is not None and asked.only is None:
            self._needed = now
            self._view.rescale(asked)
            return
        self._widest[name] = max(self._widest.get(name, 0.0), most - least)
        used = max(most - least, _LEAST * self._widest[name])
        if least < low - 1e-9 * (high - low) or most > high + 1e-9 * (high - low):
            self._needed = now
            self._view.rescale(
                scale_of(field, self._view.sources, (min(low, least), max(high, most)))
            )
        elif used > _ROOM * (high - low):
            self._needed = now
        elif now - self._needed > _PATIENCE:
            self._needed = now
            if most - least >= used:
                self._view.rescale(asked)
