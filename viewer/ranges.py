# SPDX-License-Identifier: Apache-2.0
"""Which values the colours span: those of the run or the frame shown, or a range that is locked."""

from __future__ import annotations

from .fields import Scale, scale_of
from .looks import GIVEN, SPANS, Looks
from .view import View

_KEPT = 256


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
