# SPDX-License-Identifier: Apache-2.0
"""What a field was over the whole run at what is picked, read piece by piece."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..fields import Field
from ..files.numbered import new_file
from ..source import Source
from ..view import View
from .picking import Pick, name_of, panels_of

_BLOCK = 128


class Line(NamedTuple):
    """A field over time at one thing that is picked, in one run."""

    pick: Pick
    panel: int
    times: np.ndarray
    """[s], shape (t,)."""
    values: np.ndarray
    """[SI], shape (t,); NaN where there is none, or where it is not read yet."""


class Histories:
    """Values over time of a field at whatever is picked, in all runs whose numbers agree.

    Of what is recorded on a disk only the rows of what is picked are read, some frames at a time,
    so that whoever draws can go on in between. What was read once is kept.

    Args:
        view: what is to be seen.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._read: dict[tuple[str, int, int], _Series] = {}
        self._asked: list[tuple[Pick, int, _Series]] = []
        self._field: Field | None = None

    def ask(self, name: str, picks: Sequence[Pick]) -> None:
        """Choose what is to be known: a field, and what is picked."""
        self._field = field = self._view.fields[name]
        self._asked = []
        for pick in picks:
            number = pick.number(field.on_cells)
            if number < 0:
                continue
            for panel in panels_of(self._view, pick):
                key = (name, panel, number)
                if key not in self._read:
                    self._read[key] = _Series(self._view.sources[panel], field, number)
                self._asked.append((pick, panel, self._read[key]))

    @property
    def lines(self) -> list[Line]:
        """What is known by now."""
        return [
            Line(pick, panel, self._view.sources[panel].times, series.values)
            for pick, panel, series in self._asked
        ]

    def value(self, pick: Pick, panel: int, frame: int) -> float | None:
        """At a frame of a run [SI]; None where that is not known yet."""
        for asked, where, series in self._asked:
            if asked == pick and where == panel:
                return series.value(frame)
        return None

    @property
    def done(self) -> float:
        """The part that has been read, from 0 to 1."""
        total = sum(len(series.values) for *_, series in self._asked)
        return sum(series.known for *_, series in self._asked) / total if total else 1.0

    def read(self, seconds: float) -> bool:
        """Read on for about some seconds; whether there was anything to read."""
        end = time.perf_counter() + seconds
        read = False
        while waiting := [one for *_, one in self._asked if one.known < len(one.values)]:
            first = min(waiting, key=lambda one: one.known)
            first.read([one for one in waiting if one is not first])
            read = True
            if time.perf_counter() >= end:
                break
        return read

    def finish(self) -> None:
        """Read all of it."""
        while self.read(1.0):
            pass

    def table(self) -> str:
        """All of it as CSV: a column of times [s], and one of values in SI units for each line.

        A cell is empty where a run has no frame at that time, or no finite value.
        """
        self.finish()
        field, lines = self._field, self.lines
        if field is None or not lines:
            raise ValueError("values to write: got nothing that is picked, expected something")
        times = np.unique(np.concatenate([line.times for line in lines]))
        several = len({line.panel for line in lines}) > 1
        columns, heads = [], ["time [s]"]
        for line in lines:
            source = self._view.sources[line.panel]
            run = f"{source.title or f'run {line.panel + 1}'}: " if several else ""
            told = name_of(source, line.pick, field.on_cells)
            heads.append(f"{run}{field.name} of {told} [{field.unit}]")
            column = np.full(len(times), np.nan)
            column[np.searchsorted(times, line.times)] = line.values
            columns.append(column)
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(heads)
        for row, at in enumerate(times):
            cells = [column[row] for column in columns]
            writer.writerow([f"{at:.9g}", *(f"{v:.9g}" if np.isfinite(v) else "" for v in cells)])
        return out.getvalue()


def write_new(stem: str, table: str) -> str:
    """Write a table to a new file in the working folder, with the next number; its name."""
    path = new_file(stem, ".csv")
    path.write_text(table, encoding="utf-8", newline="")
    return str(path)


class _Series:
    """A field over time at one particle, node or element of a source."""

    def __init__(self, source: Source, field: Field, number: int) -> None:
        self.source, self.field, self.number = source, field, number
        self.values = np.full(source.count, np.nan)
        self.known = 0
        self._rows = _Rows(source, number, field.on_cells) if field.local else None

    def value(self, frame: int) -> float | None:
        """At a frame; None where only reading all of it would tell."""
        if frame < self.known:
            return float(self.values[frame])
        return None if self._rows is None else float(self.field.values(self._rows, frame)[0])

    def read(self, beside: Sequence[_Series]) -> None:
        """Read some frames more; of a field of the whole, also into those that are as far."""
        if self._rows is not None:
            for frame in range(self.known, min(self.known + _BLOCK, len(self.values))):
                self.values[frame] = self.field.values(self._rows, frame)[0]
                self.known = frame + 1
            return
        frame = self.known
        values = self.field.values(self.source, frame)
        for one in (self, *beside):
            if one.source is self.source and one.field is self.field and one.known == frame:
                one.values[frame], one.known = values[one.number], frame + 1


class _Rows(Source):
    """One particle, node or element of a source as a source of its own.

    Args:
        whole: the source.
        number: of what is wanted.
        on_cells: whether that is an element.
    """

    def __init__(self, whole: Source, number: int, on_cells: bool) -> None:
        super().__init__(_Recorded(whole, number, on_cells), whole.title)

    def _check(self) -> None:
        """Take what is seen at times only."""


class _Recorded:
    """What is recorded of one thing, under the names by which a reader of a file is asked."""

    def __init__(self, whole: Source, number: int, on_cells: bool) -> None:
        self._whole, self._rows = whole, np.array([number])
        self._names = set(whole.cell_shapes) if on_cells else {"x", "v", *whole.shapes}
        self._kept: dict[tuple[str, bool], tuple[range, np.ndarray]] = {}
        self.particles, self.time, self.metadata = 1, whole.times, whole.metadata
        velocity = {"v": (3,)} if whole.has_velocity else {}
        self.fields = {} if on_cells else {**velocity, **whole.shapes}
        self.cell_fields = dict(whole.cell_shapes) if on_cells else {}
        self.body = np.zeros(1, int) if on_cells else whole.body[self._rows]

    def __len__(self) -> int:
        return self._whole.count

    def frame(self, k: int) -> Mapping[str, Any]:
        return _Frame(self, k)

    def at(self, name: str, k: int) -> np.ndarray:
        """A field at a frame, (1, ...), read with those that follow."""
        if name not in self._names:
            raise KeyError(name)
        key = (name, k == 0)  # differences from the first frame ask for that again and again
        frames, values = self._kept.get(key, (range(0), np.zeros(0)))
        if k not in frames:
            last = 1 if k == 0 else min(k + _BLOCK, len(self))
            frames = range(max(k - 1, 0), last)  # those of neighbours look back by one
            values = self._whole.rows(name, self._rows, frames)
            self._kept[key] = frames, values
        return values[k - frames.start]


class _Frame(Mapping[str, Any]):
    """A frame of which only what is asked for is read."""

    def __init__(self, recorded: _Recorded, k: int) -> None:
        self._recorded, self._k = recorded, k

    def __getitem__(self, name: str) -> np.ndarray:
        return self._recorded.at(name, self._k)

    def __iter__(self) -> Any:
        return iter(self._recorded.fields)

    def __len__(self) -> int:
        return len(self._recorded.fields)
