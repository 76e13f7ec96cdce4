# SPDX-License-Identifier: Apache-2.0
"""A trajectory to a file, frame by frame while it comes about."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from .cells import Cells
from .layout import Layout
from .npz import read_npz, write_npz
from .vtkhdf import FrameWriter, TrajectoryReader

_KINDS = ("fields", "cell_fields", "totals")


class TrajectoryWriter:
    """Writes a trajectory frame by frame; what was written outlives a killed process.

    A .vtkhdf file grows in place. A .npz file is made by `close`; until then the frames are in
    `NAME.npz.partial.vtkhdf` beside it.
    """

    def __init__(
        self,
        path: str | Path,
        particles: int,
        *,
        fields: Mapping[str, int | tuple[int, ...]] | None = None,
        cells: Cells | None = None,
        cell_fields: Mapping[str, int | tuple[int, ...]] | None = None,
        totals: Collection[str] = (),
        body: Any = None,
        metadata: Mapping[str, str] | None = None,
        expected: int | None = None,
        append: bool = False,
    ) -> None:
        """Start a file; it is created, or replaces an old one, with the first frame.

        Args:
            path: The file, .vtkhdf or .npz.
            particles: Number of particles n; of a mesh, of its nodes.
            fields: What frames hold beside x, and its shape per particle: {"v": 3, "F": (3, 3),
                "J": ()}; 1 means a scalar too.
            cells: The e cells of a mesh, the same in all frames.
            cell_fields: What frames hold of the cells, and its shape per cell.
            totals: Names of the numbers that frames hold of the whole scene.
            body: Body of each particle, shape (n,).
            metadata: Free text about the whole; values are made strings.
            expected: Number of frames to come, if known: saves copying.
            append: Continue an existing file after its last complete frame. Its body and metadata
                are kept. Without a file this is no different from a fresh start.

        Raises:
            FileNotFoundError: If the folder does not exist.
            ValueError: If the file to continue holds other particles, cells, fields or totals.
        """
        self.path = destination(path)
        texts = {name: str(text) for name, text in (metadata or {}).items()}
        body = None if body is None else np.asarray(body)
        layout = Layout(
            particles, _shapes(fields), body, texts, cells, _shapes(cell_fields), tuple(totals)
        )
        self._spool = partial(self.path) if self.path.suffix == ".npz" else self.path
        found = self._resume(layout, expected) if append else None
        self._writer = found or FrameWriter(self._spool, layout, capacity=expected)
        self._closed = False

    def _resume(self, layout: Layout, expected: int | None) -> FrameWriter | None:
        if self._spool.is_file():
            writer = FrameWriter.reopen(self._spool, capacity=expected)
        elif self.path.is_file():
            self._unpack()
            writer = FrameWriter.reopen(self._spool, capacity=expected)
        else:
            return None
        if not writer.layout.same(layout):
            writer.close()
            held, asked = writer.layout.words, layout.words
            raise ValueError(
                f"{self.path} holds {held}, expected {asked if asked != held else 'other cells'}: "
                "continue it with the settings it was made with, or write another file"
            )
        return writer

    def _unpack(self) -> None:
        """Bring the frames of a finished .npz file back to where they grow."""
        there = read_npz(self.path)
        shapes = [{name: a.shape[2:] for name, a in there[k].items()} for k in _KINDS[:2]]
        arrays = {name: a for k in _KINDS for name, a in there[k].items()}
        draft = partial(self._spool)
        try:
            with TrajectoryWriter(
                draft, there["x"].shape[1], fields=shapes[0], cells=there["cells"],
                cell_fields=shapes[1], totals=tuple(there["totals"]), body=there["body"],
                metadata=there["metadata"], expected=len(there["x"]),
            ) as writer:  # fmt: skip
                for k, (step, time) in enumerate(zip(there["step"], there["time"], strict=True)):
                    frame = {name: array[k] for name, array in arrays.items()}
                    writer.append(step, time, there["x"][k], **frame)
            os.replace(draft, self._spool)
        finally:
            draft.unlink(missing_ok=True)

    def __len__(self) -> int:
        return self._writer.frames

    @property
    def metadata(self) -> Mapping[str, str]:
        """Free text about the whole; of the file itself where one is continued."""
        return self._writer.layout.metadata

    @property
    def last(self) -> tuple[int, float] | None:
        """Step and time [s] of the last frame, None before the first."""
        return self._writer.last

    def append(self, step: int, time: float, x: Any, **fields: Any) -> None:
        """Write one frame; it is safe once this returns.

        Args:
            step: Number of the time step.
            time: [s]; larger than that of the frame before.
            x: Positions [m], shape (n, 3), tensor or array.
            fields: One array (n, ...) for each field announced, (e, ...) for one of the cells, and
                one number for each total.

        Raises:
            ValueError: If something is missing, misshapen or not finite.
        """
        if self._closed:
            raise ValueError(f"{self.path} is closed: open it with append=True to continue")
        shapes, totals = self._writer.layout.shapes, self._writer.layout.totals
        announced = {*shapes, *totals} - {"x"}
        if set(fields) != announced:
            raise ValueError(
                f"got fields {sorted(fields)}, expected {sorted(announced)}: those announced when "
                "the file was opened"
            )
        step, time = int(step), float(time)
        if self.last is not None and not (step > self.last[0] and time > self.last[1]):
            raise ValueError(
                f"got step {step} at {time:g} s after step {self.last[0]} at {self.last[1]:g} s, "
                "expected a later one: rewind first"
            )
        cell_fields = self._writer.layout.cell_fields
        arrays = {
            name: _block(name, array, shapes[name], "cell" if name in cell_fields else "particle")
            for name, array in {"x": x, **fields}.items()
            if name in shapes
        }
        numbers = {name: _number(name, fields[name]) for name in totals}
        self._writer.append(step, time, arrays.pop("x"), {**arrays, **numbers})

    def rewind(self, step: int) -> None:
        """Drop the frames after a step, to continue from a state saved at that step.

        Args:
            step: The last step to keep.
        """
        self._writer.rewind(step)

    def close(self) -> None:
        """Finish the file. Without a frame no file is left."""
        if self._closed:
            return
        self._closed = True
        if self._spool == self.path:
            self._writer.close()
            return
        written = len(self) > 0
        self._writer.close(trim=False)
        if written:
            with TrajectoryReader(self._spool) as reader:
                write_npz(self.path, reader)
            self._spool.unlink()

    def __enter__(self) -> TrajectoryWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def partial(path: str | Path) -> Path:
    """Where the frames of an unfinished .npz file are."""
    return Path(path).with_name(Path(path).name + ".partial.vtkhdf")


def destination(path: str | Path) -> Path:
    """Refuse a file that cannot be written.

    Raises:
        FileNotFoundError: If its folder does not exist.
        ValueError: If its ending is not known.
    """
    path = Path(path)
    if path.suffix not in (".npz", ".vtkhdf"):
        raise ValueError(f"{path} ends in {path.suffix!r}, expected .npz or .vtkhdf")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to write {path.name} to: create it first")
    return path


def _shapes(
    fields: Mapping[str, int | tuple[int, ...]] | None,
) -> dict[str, tuple[int, ...]]:
    return {
        name: () if shape == 1 else (shape,) if isinstance(shape, int) else tuple(shape)
        for name, shape in (fields or {}).items()
    }


def _block(name: str, array: Any, shape: tuple[int, ...], row: str) -> np.ndarray:
    block = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    if block.size != int(np.prod(shape)) or block.shape[:1] != shape[:1]:
        raise ValueError(f"{name} has shape {block.shape}, expected {shape}")
    block = block.reshape(shape)
    if not np.isfinite(block).all():
        number = int(np.argwhere(~np.isfinite(block))[0, 0])
        raise ValueError(f"{name} of {row} {number} is not finite, expected numbers")
    return block


def _number(name: str, value: Any) -> float:
    array = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value, np.float64)
    if array.size != 1:
        raise ValueError(f"{name} has shape {array.shape}, expected one number")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} is {array.item()}, expected a finite number")
    return array.item()
