# SPDX-License-Identifier: Apache-2.0
"""Temporal VTKHDF files of particles or a mesh, written frame by frame and safe against a kill.

The layout is that of the VTKHDF specification 2.x, so ParaView and PyVista open the files as they
are. Beside the group VTKHDF, which VTK reads, the group `rheograd` holds what VTK has no place for.

How a file survives `kill -9` at any instant:

- Room for `capacity` frames is reserved when the file is made (contiguous, sparse on disk). Adding
  a frame then writes raw numbers into reserved places and changes three fields of the HDF5
  metadata, each in place: `NSteps` and the length and content of `Steps/Values`.
- The frame's numbers are flushed first, then `NSteps`, then `Steps/Values`. VTK takes the number
  of frames from the first and overruns its buffer if the second is the longer; in this order it
  never is. Our own reader takes the smaller of the two.
- A file that is full is copied to one of twice the room, which then takes its name in one rename.

The file is opened without HDF5's lock, so that others can follow it while it grows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from .atomic import temporary
from .cells import Cells
from .layout import Layout, Node, create

ROOM = 256 * 2**20
"""Bytes reserved when the number of frames to come is not known."""


class FrameWriter:
    """Appends frames to a VTKHDF file; the file appears with the first frame."""

    def __init__(self, path: str | Path, layout: Layout, *, capacity: int | None = None) -> None:
        """Prepare a new file, which replaces any at `path` with the first frame.

        Args:
            path: The file.
            layout: What all its frames have in common.
            capacity: Number of frames to come, if known: saves copying.
        """
        self.path = Path(path)
        self.layout = layout
        self.frames = 0
        if capacity is None:
            capacity = min(max(ROOM // layout.frame_bytes, 4), 64)
        self._capacity = self._expected = max(int(capacity), 1)
        self._last: tuple[int, float] | None = None
        self._file: Node = None
        self._data: dict[str, Node] = {}

    @classmethod
    def reopen(cls, path: str | Path, *, capacity: int | None = None) -> FrameWriter:
        """Continue an existing file after its last complete frame.

        Args:
            path: The file, as this class wrote it.
            capacity: Number of frames it is to have in the end, if known.

        Raises:
            ValueError: If it is not readable or another program wrote it.
        """
        with TrajectoryReader(path) as reader:
            if not reader.ours:
                raise ValueError(
                    f"{path} was not written by this program, expected one of its own files to "
                    "continue: load it and save it under another name"
                )
            self = cls(path, reader.layout, capacity=capacity)
            temporary(self.path).unlink(missing_ok=True)  # of a copy that a kill cut short
            self._capacity, frames = reader.capacity, len(reader)
            if frames:
                self._last = int(reader.step[-1]), float(reader.time[-1])
        self._use(h5py.File(path, "r+", locking=False))
        self.frames = frames
        self._commit(frames)
        return self

    @property
    def last(self) -> tuple[int, float] | None:
        """Step and time [s] of the last frame, None before the first."""
        return self._last

    def append(self, step: int, time: float, x: np.ndarray, fields: Mapping[str, Any]) -> None:
        """Write one frame.

        Args:
            step: Number of the time step.
            time: [s].
            x: Positions [m], shape (n, 3).
            fields: One array per field of the layout, (n, ...), or (e, ...) of the cells, and one
                number per total.
        """
        if self._file is None:
            draft = temporary(self.path)
            self._use(create(draft, self.layout, self._capacity))
            self._write(0, step, time, x, fields)
            os.replace(draft, self.path)
        else:
            if self.frames == self._capacity:
                self._copy(max(2 * self._capacity, self._expected))
            self._write(self.frames, step, time, x, fields)

    def rewind(self, step: int) -> None:
        """Drop the frames after a step."""
        if self._file is None:
            return
        steps = np.asarray(self._data["step"])[: self.frames]
        self.frames = k = int((steps <= step).sum())
        times = self._data["time"]
        self._last = (int(steps[k - 1]), float(times[k - 1])) if k else None
        self._commit(k)

    def close(self, *, trim: bool = True) -> None:
        """Close the file.

        Args:
            trim: Whether to give back the room that was not used.
        """
        if self._file is None:
            return
        if trim and 0 < self.frames < self._capacity:
            self._copy(self.frames)
        if self._file is not None:
            self._file.close()
        self._file = None

    def _write(
        self, k: int, step: int, time: float, x: np.ndarray, fields: Mapping[str, Any]
    ) -> None:
        data = self._data
        for name, (rows, *_) in self.layout.shapes.items():
            block = x if name == "x" else fields[name]
            data[name][k * rows : (k + 1) * rows] = np.reshape(block, (rows, *data[name].shape[1:]))
        for name in self.layout.totals:
            data[name][k] = fields[name]
        data["step"][k] = step
        self._file.flush()
        self._commit(k + 1, time)
        self.frames, self._last = k + 1, (step, time)

    def _commit(self, frames: int, time: float | None = None) -> None:
        times = self._data["time"]
        if len(times) > frames:
            times.resize((frames,))
            self._file.flush()
        self._steps.attrs.modify("NSteps", np.int64(frames))
        self._file.flush()
        if time is not None:
            times.resize((frames,))
            times[frames - 1] = time
            self._file.flush()

    def _use(self, file: Node) -> None:
        self._file, self._steps = file, file["VTKHDF/Steps"]
        self._data = {name: file[path] for name, path in self.layout.paths.items()}

    def _copy(self, capacity: int) -> None:
        draft, old = temporary(self.path), TrajectoryReader(self.path)
        new = FrameWriter(draft, self.layout, capacity=capacity)
        new._use(create(draft, self.layout, capacity))
        try:
            for k in range(self.frames):
                frame = old.frame(k)
                new._write(k, frame["step"], frame["time"], frame["x"], frame)
            os.replace(draft, self.path)
        except BaseException:
            new._file.close()
            draft.unlink(missing_ok=True)
            raise
        finally:
            old.close()
        self._file.close()
        self._use(new._file)
        self._capacity = capacity


class TrajectoryReader:
    """A .vtkhdf trajectory on disk, read frame by frame; follows a file that is being written."""

    layout: Layout
    """What all frames have in common."""
    time: np.ndarray
    """Time of each frame [s], shape (t,), float64."""
    step: np.ndarray
    """Number of the time step of each frame, shape (t,), int64."""
    totals: Mapping[str, np.ndarray]
    """Numbers of the whole scene in each frame, shape (t,), float64."""
    capacity: int
    """Number of frames the file has room for."""
    ours: bool
    """Whether this program wrote it."""

    def __init__(self, path: str | Path) -> None:
        """Open the file.

        Args:
            path: The file.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is not a temporal VTKHDF file of points, constant in number.
        """
        self.path = Path(path)
        self._file: Node = None
        self.refresh()

    def refresh(self) -> int:
        """Open the file anew, to see frames written since; their number."""
        self.close()
        if not self.path.is_file():
            raise FileNotFoundError(f"no trajectory file {self.path}: check the path")
        try:
            self._file = h5py.File(self.path, "r", locking=False)
            self._open(self._file)
        except Exception as error:
            self.close()
            if not isinstance(error, OSError | LookupError | TypeError | ValueError | RuntimeError):
                raise
            reason = str(error).strip("'\"")
            raise ValueError(
                f"{self.path} is not a readable trajectory in temporal VTKHDF ({reason}): it is "
                "damaged, cut off or of another kind; write it again"
            ) from error
        return len(self)

    def _open(self, file: Node) -> None:
        root = file["VTKHDF"]
        kind = root.attrs["Type"]
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if kind not in ("PolyData", "UnstructuredGrid"):
            raise TypeError(f"it holds {kind}, expected PolyData or UnstructuredGrid")
        steps = root["Steps"]
        self.ours = "rheograd" in file
        self.time = np.asarray(steps["Values"], np.float64)[: int(steps.attrs["NSteps"])]
        if self.ours and len(self):  # a rewind that was cut short leaves zeros behind
            late = np.diff(self.time) <= 0
            self.time = self.time[: 1 + int(late.argmax() if late.any() else len(late))]
        t = len(self)
        self.capacity = len(steps["PointOffsets"])
        step = root.get("FieldData/step")
        self.step = np.arange(t) if step is None else np.asarray(step, np.int64)[:t]
        self.layout = _layout(file, _points(root, steps, max(t, 1)))
        self.totals = {
            name: np.asarray(root[f"FieldData/{name}"], np.float64)[:t]
            for name in self.layout.totals
        }
        self._starts = {}
        for name, path in self.layout.paths.items():
            group = path.removeprefix("VTKHDF/").partition("/")[0]
            where = "PointOffsets" if name == "x" else f"{group}Offsets/{name}"
            offsets = steps.get(where)
            self._starts[name] = np.zeros(t, np.int64) if offsets is None else offsets[:t]
        self._data = {n: file[path] for n, path in self.layout.paths.items() if path in file}
        for k in {0, t - 1} if t else ():
            self.frame(k)

    def __len__(self) -> int:
        return len(self.time)

    @property
    def particles(self) -> int:
        """Number of points n."""
        return self.layout.particles

    @property
    def body(self) -> np.ndarray:
        """Body of each particle, shape (n,), int32."""
        body = self.layout.body
        return np.zeros(self.particles, np.int32) if body is None else body

    @property
    def fields(self) -> Mapping[str, tuple[int, ...]]:
        """Shape per particle of each field, v among them."""
        return self.layout.fields

    @property
    def cells(self) -> Cells | None:
        """The cells of a mesh, None where there is none."""
        return self.layout.cells

    @property
    def cell_fields(self) -> Mapping[str, tuple[int, ...]]:
        """Shape per cell of each field of the cells."""
        return self.layout.cell_fields

    @property
    def metadata(self) -> Mapping[str, str]:
        """Free text about the whole."""
        return self.layout.metadata

    def frame(self, k: int, names: Collection[str] | None = None) -> dict[str, Any]:
        """One frame from the disk.

        Args:
            k: Its number, negative from the end.
            names: What to read, of x, the fields and the totals; None: all.

        Returns:
            `time` [s], `step`, `x` [m] of shape (n, 3), one array per field, (n, ...) or, of the
            cells, (e, ...), float32, and one number per total.
        """
        k = range(len(self))[k]
        frame: dict[str, Any] = {"time": float(self.time[k]), "step": int(self.step[k])}
        for name, shape in self.layout.shapes.items():
            if names is None or name in names:
                frame[name] = self._rows(name, k, shape)
        for name, values in self.totals.items():
            if names is None or name in names:
                frame[name] = float(values[k])
        return frame

    def rows(self, name: str, rows: np.ndarray, frames: range) -> np.ndarray:
        """What is recorded of a few points or cells, read without the others.

        Args:
            name: x, or a field.
            rows: Their numbers, shape (m,).
            frames: One after the other.

        Returns:
            Shape (frames, m, ...), float32.
        """
        starts = np.asarray(self._starts[name][frames.start : frames.stop], np.int64)
        data, shape = self._data[name], self.layout.shapes[name][1:]
        out = np.empty((len(starts), len(rows), *shape), np.float32)
        gaps = set(np.diff(starts).tolist())
        even = len(gaps) == 1 and min(gaps) > 0
        for place, row in enumerate(rows.tolist()):
            if even:
                found = data[starts[0] + row : starts[-1] + row + 1 : min(gaps)]
            else:
                found = np.array([data[start + row] for start in starts])
            out[:, place] = np.reshape(found, (len(starts), *shape))
        return out

    def arrays(self) -> dict[str, Any]:
        """All frames at once, as `read_npz` gives them.

        Raises:
            ValueError: If there is none.
        """
        t = len(self)
        if not t:
            raise ValueError(f"{self.path} holds no frame: the run that wrote it ended too soon")
        arrays = {k: np.empty((t, *shape), np.float32) for k, shape in self.layout.shapes.items()}
        for k in range(t):
            frame = self.frame(k, arrays)
            for name, array in arrays.items():
                array[k] = frame[name]
        return {
            "time": self.time,
            "step": self.step,
            "x": arrays["x"],
            "fields": {name: arrays[name] for name in self.fields},
            "body": self.body,
            "metadata": self.metadata,
            "cells": self.cells,
            "cell_fields": {name: arrays[name] for name in self.cell_fields},
            "totals": self.totals,
        }

    def _rows(self, name: str, k: int, shape: tuple[int, ...]) -> np.ndarray:
        count, start = shape[0], int(self._starts[name][k])
        rows = self._data[name][start : start + count]
        if len(rows) != count:
            raise ValueError(f"{name} ends after {start + len(rows)} of {start + count} rows")
        return rows.reshape(shape).astype(np.float32, copy=False)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def __enter__(self) -> TrajectoryReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _points(root: Node, steps: Node, frames: int) -> int:
    """The number of points, the same in all frames."""
    counts, first = np.asarray(root["NumberOfPoints"]), np.asarray(steps["PartOffsets"])[:frames]
    parts = np.asarray(steps["NumberOfParts"]) if "NumberOfParts" in steps else 1 + 0 * first
    sizes = {int(counts[p : p + m].sum()) for p, m in zip(first, parts, strict=False)}
    if len(sizes) != 1:
        raise TypeError("its number of points changes over time, expected a constant one")
    return sizes.pop()


def _layout(file: Node, n: int) -> Layout:
    """What a file of n points says of itself; of one that is not ours, the cells are left out."""
    root = file["VTKHDF"]
    data = root.get("PointData", {})
    body = np.asarray(data["body"], np.int32)[:n] if "body" in data else None
    if "rheograd" not in file:
        return Layout(n, {name: a.shape[1:] for name, a in data.items() if name != "body"}, body)
    said: dict[str, Any] = json.loads(bytes(file["rheograd/layout"][()]).decode())
    fields, cell_fields = (
        {name: tuple(shape) for name, shape in said.get(which, {}).items()}
        for which in ("fields", "cell_fields")
    )
    cells, kind = None, said.get("cell_kind")
    if kind is not None:
        nodes = np.asarray(root["Connectivity"], np.int64)
        cells = Cells(kind, torch.from_numpy(nodes.reshape(len(root["Types"]), -1)))
    totals = tuple(said.get("totals", ()))
    return Layout(n, fields, body, said["metadata"], cells, cell_fields, totals)
