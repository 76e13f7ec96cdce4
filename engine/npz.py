# SPDX-License-Identifier: Apache-2.0
"""Trajectories as .npz files.

Of a motion of n points over t frames: `step` (t,), `time` (t,) [s], `x` [m] and `v` [m/s]
(t, n, 3), any fields (t, n, ...) under their names, `body` (n,), and `metadata`, a JSON object of
strings. Of a mesh of e cells in addition: `cells` (e, a), the nodes of each in VTK's order,
`cell_kind`, a word such as hex8, and each field NAME of the cells as `cells/NAME` (t, e, ...).
Numbers of the whole scene are `totals/NAME` (t,). Positions and fields are float32, totals float64.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from .atomic import replacing
from .cells import Cells
from .layout import RESERVED

PREFIX = "cells/"
"""Before the name of a field of the cells."""
TOTAL = "totals/"
"""Before the name of a number of the whole scene."""


class Frames(Protocol):
    """A sequence of frames: a Trajectory in memory or a TrajectoryReader on a file."""

    @property
    def time(self) -> Any:
        """Time of each frame [s], shape (t,)."""
        ...

    @property
    def step(self) -> Any:
        """Number of the time step of each frame, shape (t,)."""
        ...

    @property
    def body(self) -> Any:
        """Body of each particle, shape (n,)."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """Free text about the whole."""
        ...

    @property
    def cells(self) -> Cells | None:
        """The e cells of a mesh."""
        ...

    @property
    def cell_fields(self) -> Mapping[str, Any]:
        """Fields of the cells by name."""
        ...

    @property
    def totals(self) -> Mapping[str, Any]:
        """Numbers of the whole scene by name, each of shape (t,)."""
        ...

    def __len__(self) -> int: ...

    def frame(self, k: int, names: Collection[str] | None = None) -> dict[str, Any]:
        """One frame: `time`, `step`, and `x` and fields, or those named."""
        ...


def write_npz(path: str | Path, frames: Frames) -> None:
    """Write all frames, one at a time in memory, and replace `path` at the end.

    Args:
        path: The file.
        frames: At least one frame, on the CPU.
    """
    first = frames.frame(0)
    names = [name for name in first if name not in ("time", "step", *frames.totals)]
    small = {
        "step": np.asarray(frames.step, np.int64),
        "time": np.asarray(frames.time, np.float64),
        "body": np.asarray(frames.body, np.int32),
        "metadata": np.array(json.dumps(dict(frames.metadata))),
        **{TOTAL + name: np.asarray(a, np.float64) for name, a in frames.totals.items()},
    }
    if frames.cells is not None:
        small["cells"] = np.asarray(frames.cells.nodes, np.int64)
        small["cell_kind"] = np.array(frames.cells.kind)
    with replacing(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for name, array in small.items():
            with archive.open(name + ".npy", "w") as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
        for name in names:
            header = {
                "descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)),
                "fortran_order": False,
                "shape": (len(frames), *np.shape(first[name])),
            }
            key = PREFIX + name if name in frames.cell_fields else name
            with archive.open(key + ".npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array_header_1_0(entry, header)
                for k in range(len(frames)):
                    block = np.asarray(frames.frame(k, (name,))[name], np.float32)
                    entry.write(np.ascontiguousarray(block).data)


def read_npz(
    path: str | Path, *, dt: float | None = None, frame_rate: float | None = None
) -> dict[str, Any]:
    """Read the arrays of a trajectory.

    Args:
        path: The file.
        dt: Length of a time step [s], for a file with `step` and without `time`.
        frame_rate: Frames per second [1/s], for a file without `time`.

    Returns:
        `time`, `step`, `x`, `fields` (those shaped (t, n, ...)), `body` (or None), `metadata`,
        `cells` (or None), `cell_fields`, `totals`.

    Raises:
        ValueError: If the file is unreadable or something needed is missing.
    """
    arrays = _arrays(path)
    x = arrays["x"]
    step = arrays.get("step", np.arange(len(x)))
    fields = {
        name: array
        for name, array in arrays.items()
        if name not in RESERVED
        and not name.startswith((PREFIX, TOTAL))
        and array.shape[:2] == x.shape[:2]
        and array.dtype.kind in "fiu"
    }
    if "v" in arrays and arrays["v"].shape != x.shape:
        raise ValueError(f"{path}: v has shape {arrays['v'].shape}, expected that of x {x.shape}")
    return {
        "time": _times(path, arrays, step, dt, frame_rate),
        "step": step,
        "x": x,
        "fields": fields,
        "body": arrays.get("body"),
        "metadata": _metadata(path, arrays),
        "cells": _cells(path, arrays),
        "cell_fields": _under(PREFIX, arrays),
        "totals": {k: a for k, a in _under(TOTAL, arrays).items() if a.dtype.kind in "fiu"},
    }


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}


def _arrays(path: str | Path) -> dict[str, np.ndarray]:
    """All that the file holds, positions among it."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is not a readable .npz file: it is damaged, cut off or of another kind; write"
            " it again"
        ) from error
    if "x" not in arrays:
        held = ", ".join(sorted(arrays)) or "nothing"
        raise ValueError(
            f"{path} has no array 'x' of positions, shape (frames, particles, 3); it holds {held}"
        )
    x = arrays["x"]
    if x.ndim != 3 or x.shape[2] != 3 or x.dtype.kind not in "fiu":
        raise ValueError(
            f"{path}: x is {x.dtype} of shape {x.shape}, expected floats of shape "
            "(frames, particles, 3)"
        )
    return arrays


def _times(
    path: str | Path,
    arrays: Mapping[str, np.ndarray],
    step: np.ndarray,
    dt: float | None,
    frame_rate: float | None,
) -> np.ndarray:
    for name, value in (("dt", dt), ("frame_rate", frame_rate)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise ValueError(f"got {name}={value}, expected a positive number")
    if "time" in arrays:
        return arrays["time"]
    if frame_rate is not None:
        return np.arange(len(step)) / frame_rate
    if dt is not None and "step" in arrays:
        return step * float(dt)
    if "step" in arrays:
        raise ValueError(
            f"{path} has no array 'time': say how long a step is with dt (--dt, seconds) or how "
            "many frames there are a second with frame_rate (--frame-rate)"
        )
    raise ValueError(
        f"{path} has neither 'time' nor 'step': say how many frames there are a second with "
        "frame_rate (--frame-rate)"
    )


def _metadata(path: str | Path, arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    if "metadata" not in arrays:
        return {}
    try:
        metadata = json.loads(str(arrays["metadata"]))
        return {str(key): str(value) for key, value in metadata.items()}
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{path}: its metadata is not a JSON object of strings ({error}): remove or mend it"
        ) from error


def _cells(path: str | Path, arrays: Mapping[str, np.ndarray]) -> Cells | None:
    if "cells" not in arrays:
        return None
    nodes = arrays["cells"]
    if "cell_kind" not in arrays or nodes.dtype.kind not in "iu":
        held = f"of {nodes.dtype}" + ("" if "cell_kind" in arrays else " without 'cell_kind'")
        raise ValueError(
            f"{path}: got 'cells' {held}, expected node numbers, and 'cell_kind', a word such as "
            "hex8: add or mend them"
        )
    try:
        return Cells(str(arrays["cell_kind"]), torch.from_numpy(nodes.astype(np.int64)))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
