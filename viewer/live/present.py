# SPDX-License-Identifier: Apache-2.0
"""A run that goes on, as the viewer reads trajectories: its start and its present, no more."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rheograd.engine.boundaries import Collider
from rheograd.engine.description import described_collider, surroundings
from rheograd.engine.live import LiveRun

from ..fields import scale_of
from ..view import View, describe

NOW = 1
"""Frame of the present; that of the start is 0."""
_AROUND = 1.0
_LOOK = 0.25
_PATIENCE = 2.0
_ROOM = 0.4
_LEAST = 0.1


class _Array:
    """Of two frames, each worked out when it is asked for."""

    def __init__(self, shape: tuple[int, ...], read: Callable[[int], Any]) -> None:
        self.shape = (2, *shape)
        self._read = read

    def __getitem__(self, frame: int) -> Any:
        return self._read(frame)


class Present:
    """What `Source` asks of a trajectory, of a live run."""

    def __init__(self, run: LiveRun) -> None:
        model, self._run = run.stepper.model, run
        n = model.n
        self.x = _Array((n, 3), lambda frame: self._state(frame).x)
        self.v = _Array((n, 3), lambda frame: self._state(frame).v)
        self.time = np.arange(2.0)
        self.body = model.body.cpu()
        self.cells = getattr(model, "cells", None)
        self._known: dict[tuple[int, bool], tuple[Any, Mapping[str, Any]]] = {}
        self.fields, self.cell_fields = (self._arrays(cells) for cells in (False, True))
        self.metadata = {
            "title": run.scene.name,
            **surroundings(run.scene, run.dt, range(1)),
            "colliders": json.dumps(_colliders(run)),
        }

    def _state(self, frame: int) -> Any:
        return self._run.state if frame == NOW else self._run.begin

    def _arrays(self, cells: bool) -> dict[str, _Array]:
        """The fields of points, or of cells, that can be shown."""
        return {
            name: _Array(
                tuple(values.shape),
                lambda frame, name=name: self._fields(frame, cells)[name],
            )
            for name, values in self._fields(0, cells).items()
            if name not in _INNER
        }

    def _fields(self, frame: int, cells: bool) -> Mapping[str, Any]:
        """Of a frame, worked out once for each state."""
        state, key = self._state(frame), (frame, cells)
        if key not in self._known or self._known[key][0] is not state:
            found = self._run.cell_fields(state) if cells else self._run.fields(state)
            self._known[key] = (state, found)
        return self._known[key][1]


_INNER = {"v", "a", "net", "resisting", "work"}
"""What a state carries that says nothing by itself."""


def _colliders(run: LiveRun) -> list[dict[str, Any]]:
    """As in the metadata, each with its number and a pose, that of the present."""
    listed = [b for b in run.scene.boundaries if isinstance(b, Collider)]
    found = []
    for number, collider in enumerate(listed):
        described = described_collider(collider, run.dt, range(1))
        if described:
            described |= {"path": [[0.0] * 3], "turn": [[0.0, 0.0, 0.0, 1.0]], "number": number}
            found.append(described)
    return found


def view_of(run: LiveRun, field: str | None, up: str | None) -> View:
    """What is seen of a live run, with room around the bodies for where they may go.

    Raises:
        ValueError: As `view.describe`.
    """
    view = describe(
        Present(run), field=field or "speed", up=up
    )  # that it is 0 at first says nothing
    low, high = view.motion
    room = _AROUND * float((high - low).max())
    low, high = low - room, high + room
    box = view.domains[0]
    if box is not None:
        low, high = (
            np.minimum(np.maximum(low, box[0]), view.motion[0]),
            np.maximum(np.minimum(high, box[1]), view.motion[1]),
        )
    return replace(view, motion=np.stack([low, high]))


def put_colliders(view: View, run: LiveRun) -> None:
    """Have the colliders of a view stand where they are now."""
    poses = run.poses()
    for described in view.colliders[0]:
        described["path"][0], described["turn"][0] = poses[described["number"]]


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
