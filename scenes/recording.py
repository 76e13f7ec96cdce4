# SPDX-License-Identifier: Apache-2.0
"""Frames of a run to a file, and beside it the state from which a killed run goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from rheograd.engine.cells import Cells
from rheograd.engine.resume import load_state, pack, save_state, unpack
from rheograd.engine.state import State
from rheograd.engine.trajectory import Trajectory, TrajectoryWriter, open_trajectory, partial

More = Callable[[State], Mapping[str, Tensor | float]]
"""What is recorded of a state that is not in it."""
INTERVAL = 1.0
"""Seconds between two saved states: what a kill loses at most, beside one frame."""


def state_path(out: Path) -> Path:
    """Where the state of an unfinished run to `out` is."""
    return out.with_name(out.name + ".state")


def require_free(out: Path) -> None:
    """Refuse to write over the frames of an earlier run.

    Raises:
        ValueError: There are some; says what can be done.
    """
    if state_path(out).is_file() or partial(out).is_file():
        raise ValueError(
            f"{out} holds a run that was stopped: add --resume to go on with it, or --force to"
            " start afresh"
        )
    if out.exists():
        raise ValueError(
            f"{out} is there already: add --force to replace it, or choose another name"
        )


class Recording:
    """A sink that writes each frame, and now and then the whole state."""

    def __init__(
        self,
        out: Path,
        particles: int,
        *,
        body: Tensor,
        metadata: Mapping[str, str],
        identity: Mapping[str, object],
        fields: Mapping[str, int | tuple[int, ...]] = MappingProxyType({"v": 3}),
        cells: Cells | None = None,
        cell_fields: Mapping[str, int | tuple[int, ...]] | None = None,
        totals: Collection[str] = (),
        more: More = lambda state: {},
        expected: int | None = None,
        resumed: State | None = None,
    ) -> None:
        """Open the file.

        Args:
            out: A .npz or .vtkhdf file.
            particles: Number of particles n; of a mesh, of its nodes.
            body: Body of each, shape (n,).
            metadata: Free text for the file.
            identity: What must be the same for a run to be continued.
            fields: What is recorded beside positions, and its shape at each particle.
            cells: The cells of a mesh.
            cell_fields: What is recorded of each cell, and its shape there.
            totals: Names of what is recorded of the whole state.
            more: Gives what of that is not in the state itself.
            expected: Number of frames in the end.
            resumed: The state to go on from; frames after it are dropped.

        Raises:
            ValueError: The frames in the file end before the state to go on from.
        """
        self.out, self.fields = out, (*fields, *(cell_fields or {}), *totals)
        self.more = more
        self._identity = json.dumps(identity, sort_keys=True)
        self._state: State | None = resumed
        self._saved = -1 if resumed is None else resumed.step
        self._clock = time.monotonic()
        if resumed is None:
            state_path(out).unlink(missing_ok=True)
        self.writer = TrajectoryWriter(
            out, particles, fields=fields, cells=cells,
            cell_fields=cell_fields, totals=totals, body=body, metadata=metadata,
            expected=expected, append=resumed is not None,
        )  # fmt: skip
        if resumed is not None:
            self.writer.rewind(resumed.step)
            if self.writer.last is None or self.writer.last[0] != resumed.step:
                self.writer.close()
                raise ValueError(
                    f"{out} has no frame of step {resumed.step}, at which the saved state"
                    f" {state_path(out)} is: delete that file and start afresh"
                )

    @property
    def step(self) -> int:
        """Step of the last frame."""
        return 0 if self.writer.last is None else self.writer.last[0]

    @property
    def frames(self) -> int:
        """Frames written."""
        return len(self.writer)

    def __call__(self, state: State) -> None:
        """Write a frame."""
        named = {"v": state.v, "F": state.F, **state.carry, **self.more(state)}
        self.writer.append(
            state.step, state.time, state.x, **{name: named[name] for name in self.fields}
        )
        self._state = state
        if time.monotonic() - self._clock >= INTERVAL:
            self.save()

    def save(self) -> None:
        """Save the state of the last frame."""
        state = self._state
        if state is not None and state.step != self._saved:
            tensors, texts = pack(state)
            save_state(state_path(self.out), tensors, {**texts, "run": self._identity})
            self._saved = state.step
        self._clock = time.monotonic()

    def close(self, *, finished: bool) -> None:
        """Finish the file; the state is removed from a finished run, else brought up to date."""
        if not finished:
            self.save()
        self.writer.close()
        if finished:
            state_path(self.out).unlink(missing_ok=True)


def saved(out: Path, identity: Mapping[str, object], device: str) -> State | None:
    """The state of an unfinished run to `out`; None where none was saved.

    Raises:
        ValueError: It belongs to a run with other settings.
    """
    path = state_path(out)
    if not path.is_file():
        return None
    tensors, texts = load_state(path, device=device)
    try:
        before = json.loads(texts["run"])
        state = unpack(tensors, texts)
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is not the state of a run ({error}): delete it and start afresh"
        ) from error
    _require_same(out, before, identity)
    return state


def _require_same(out: Path, before: Mapping[str, object], identity: Mapping[str, object]) -> None:
    """Refuse settings that differ from those of the frames in a file."""
    now = json.loads(json.dumps(identity))
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            raise ValueError(
                f"{out} was begun with {name} {_word(before.get(name))}, got"
                f" {_word(now.get(name))}: give the options it was begun with, or write another"
                " file"
            )


def unfinished(out: Path, last: int, identity: Mapping[str, object]) -> bool:
    """Whether a run to `out`, of which no state is saved, has still to be made, from its start.

    Args:
        out: The file.
        last: Step of the last frame wanted.
        identity: What must be the same for the file to be that run's.

    Raises:
        ValueError: The file is that of a shorter run that ended, and cannot be continued, or of a
            run with other settings.
    """
    if not out.is_file() or partial(out).is_file():
        return True
    there = open_trajectory(out)
    reached = int(there.step[-1]) if len(there) else 0
    planned, every = (int(there.metadata.get(name, 0)) for name in ("steps", "every"))
    told = there.metadata.get("run")
    if not isinstance(there, Trajectory):
        there.close()
    if reached >= last:
        if told is not None:
            _require_same(out, json.loads(told), identity)
        return False
    if planned and reached >= planned - planned % max(every, 1):
        raise ValueError(
            f"{out} is that of a run that ended at step {reached}, and its state is gone: run it"
            " afresh, without --resume, to get further"
        )
    return True


def _word(value: object) -> str:
    return "unset" if value is None else str(value)
