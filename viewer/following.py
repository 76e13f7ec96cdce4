# SPDX-License-Identifier: Apache-2.0
"""What comes in while it is looked at: frames that are still being written to a file."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .source import Source
    from .view import View

INTERVAL = 0.5
"""Between two looks [s]."""
COSTLY = 5.0
"""How many times as long as a look took the next one is put off, at least."""
PATIENCE = 10.0
"""After which a file that is not written to is called unfinished [s]; see `Written`."""
SLOWER = 4.0
"""The same in the longest time that was between two of its frames."""
PARTIAL = ".partial.vtkhdf"
"""End of the name of a file that another one is made from and that then goes."""


def clock(when: float) -> str:
    """A time in seconds since 1970 on the clock of this place, with the day unless it is today."""
    told = datetime.fromtimestamp(when)
    today = told.date() == datetime.now().date()
    return told.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M")


def signature(path: Path) -> tuple[int, int, int] | None:
    """What changes whenever a file is written to or replaced; None where there is none."""
    try:
        there = path.stat()
    except OSError:
        return None
    return there.st_ino, there.st_size, there.st_mtime_ns


class Following(ABC):
    """What a view is of, looked at anew now and then."""

    def __init__(self) -> None:
        self._next = time.perf_counter() + INTERVAL

    @property
    @abstractmethod
    def awaited(self) -> bool:
        """Whether more frames are about to come, so that playing waits for them at the end."""

    @abstractmethod
    def refresh(self, view: View) -> bool:
        """Bring the view up to date; whether anything in it has changed."""

    def look(self, view: View) -> bool:
        """`refresh`, if it is time to; it takes a small part of the time, however long it takes."""
        now = time.perf_counter()
        if now < self._next:
            return False
        changed = self.refresh(view)
        after = time.perf_counter()
        self._next = after + max(INTERVAL, COSTLY * (after - now))
        return changed


class Written:
    """One file that may be written to while it is shown.

    A reader of the present content is opened beside the one in use, and takes its place only if
    that works: what a writer has half changed is left for the next look.
    """

    def __init__(self, source: Source, reader: Any) -> None:
        self.source, self._reader = source, reader
        self._path = Path(reader.path)
        self._seen: tuple[int, int, int] | None = None  # frames may have come since it was opened
        there = signature(self._path)
        self._changed = there[2] / 1e9 if there else time.time()
        self._longest = 0.0
        self.over = False
        """Whether it cannot be followed any more."""
        self.source.remark = self._remark()

    @property
    def complete(self) -> bool:
        """Whether whoever writes it has finished it."""
        return not self._reader.ours or len(self._reader) >= self._reader.capacity

    @property
    def awaited(self) -> bool:
        """Whether frames are about to come."""
        patience = max(PATIENCE, SLOWER * self._longest)
        return not (self.over or self.complete) and time.time() - self._changed < patience

    def refresh(self) -> tuple[bool, bool]:
        """Look at it; whether its frames are others than before, and whether anything is."""
        before, frames = self.source.remark, False
        if not self.over:
            frames = self._follow()
            self.source.remark = self._remark() if not self.over else self.source.remark
        return frames, frames or before != self.source.remark

    def _remark(self) -> str:
        if self.complete:
            return ""
        if self.awaited:
            return "being written"
        return f"unfinished, last written at {clock(self._changed)}"

    def _follow(self) -> bool:
        """Take over what has been written since; whether there are other frames now."""
        now = signature(self._path)
        if now is None:
            self._gone()
        if now is None or now == self._seen:
            return False
        fresh = self._opened()
        if fresh is None:
            return False  # half changed: the next look tells
        if not self._same(fresh):
            fresh.close()
            self.over, self.source.remark = True, "replaced by another run: open it anew"
            return False
        self._longest = max(self._longest, now[2] / 1e9 - self._changed if self._seen else 0.0)
        self._seen, self._changed = now, now[2] / 1e9
        old, self._reader = self._reader, fresh
        times = self.source.times
        self.source.follow(fresh)
        old.close()
        return not np.array_equal(times, self.source.times)

    def _opened(self) -> Any:
        from rheograd.engine.vtkhdf import TrajectoryReader

        try:
            reader = TrajectoryReader(self._path)
        except (OSError, ValueError):
            return None
        if len(reader) and bool((np.diff(reader.time) > 0).all()):
            return reader
        reader.close()
        return None

    def _same(self, fresh: Any) -> bool:
        return fresh.ours == self._reader.ours and fresh.layout.same(self._reader.layout)

    def _gone(self) -> None:
        """It has been taken away; of one that another file is made from that is the good end."""
        self.over = True
        name = self._path.name
        done = name.endswith(PARTIAL) and os.path.exists(
            self._path.with_name(name.removesuffix(PARTIAL))
        )
        self.source.remark = "" if done else "its file is gone"


class Growth(Following):
    """The files of a view, followed while they are written."""

    def __init__(self, files: Sequence[Written]) -> None:
        super().__init__()
        self._files = files

    @property
    def awaited(self) -> bool:
        """See `Following.awaited`."""
        return any(one.awaited for one in self._files)

    def refresh(self, view: View) -> bool:
        """See `Following.refresh`."""
        found = [one.refresh() for one in self._files]
        grown = [one.source for one, (frames, _) in zip(self._files, found, strict=True) if frames]
        if grown:
            view.grow(grown)
        return any(changed for _, changed in found)


def growth(sources: Sequence[Source]) -> Growth | None:
    """What follows those sources that are read from files; None where there is no such."""
    readers = [(source, source.reader) for source in sources]
    files = [Written(source, reader) for source, reader in readers if reader is not None]
    return Growth(files) if files else None
