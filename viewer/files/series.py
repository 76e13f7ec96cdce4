# SPDX-License-Identifier: Apache-2.0
"""A run as a series of VTK files, one a frame, and a .pvd that ParaView opens with its times."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from ..source import Source, numpy_of

_AXES = 3


def folder_of(path: Path) -> Path:
    """Where the frames of a series are: beside its .pvd, under its name."""
    return path.with_suffix("")


def held_by(path: Path) -> list[Path]:
    """Files of an earlier series of that name.

    Raises:
        ValueError: Their folder holds others too, or is a file.
    """
    folder = folder_of(path)
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is a file, expected no such name: the frames of {path.name} go into a folder"
            " of that name; choose another"
        )
    found = sorted(folder.iterdir())
    pattern = re.compile(re.escape(path.stem) + r"_\d+\.vt[pu]")
    others = [file.name for file in found if not pattern.fullmatch(file.name)]
    if others:
        raise ValueError(
            f"{folder} holds {others[0]}, expected a folder for the frames of {path.name} alone:"
            " choose another name"
        )
    return found


def dataset(source: Source, frame: int) -> Any:
    """A frame as a VTK data set: positions, velocities, all that was recorded, and the time.

    Tensors are rows of nine numbers, as in .vtkhdf. A particle that is not seen is left out.
    """
    import pyvista

    from rheograd.engine.cells import KINDS

    x = np.asarray(source.positions(frame))
    seen: Any = slice(None)
    if source.cells is not None:
        nodes = numpy_of(source.cells.nodes)
        kind = np.full(len(nodes), KINDS[source.cells.kind].vtk, np.uint8)
        rows = np.insert(nodes, 0, nodes.shape[1], axis=1)
        data: Any = pyvista.UnstructuredGrid(rows.ravel(), kind, x)
        for name in source.cell_shapes:
            data.cell_data[name] = _rows(source.recorded(name, frame))
    else:
        seen = np.isfinite(x).all(-1)
        data = pyvista.PolyData(x[seen])
        if not seen.all():
            data.point_data["particle"] = np.flatnonzero(seen)
    data.point_data["v"] = np.asarray(source.velocity(frame))[seen].astype(x.dtype)
    data.point_data["body"] = source.body[seen].astype(np.int32)
    for name in source.shapes:
        data.point_data[name] = _rows(source.recorded(name, frame))[seen]
    data.field_data["TimeValue"] = np.array([source.times[frame]])
    for name, value in source.totals(frame).items():
        data.field_data[name] = np.array([value])
    return data


def _rows(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    return values.reshape(len(values), -1) if values.ndim > 2 else values


def ending(source: Source) -> str:
    """Of the files of its frames."""
    return ".vtp" if source.cells is None else ".vtu"


def write_series(
    source: Source,
    path: Path,
    frames: Sequence[int],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write frames, one at a time in memory; the series appears when it is complete.

    Args:
        source: of the frames.
        path: the .pvd to write; an earlier series of that name is replaced.
        frames: of the source.
        progress: called with the number of frames done and their total.

    Returns:
        The number of files.

    Raises:
        ValueError: The folder of the frames holds other files.
    """
    from rheograd.engine.atomic import replacing, temporary

    folder, draft = folder_of(path), temporary(folder_of(path))
    held_by(path)
    digits = max(_AXES, len(str(int(max(frames)))))
    names = [f"{path.stem}_{frame:0{digits}d}{ending(source)}" for frame in frames]
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        for done, (frame, name) in enumerate(zip(frames, names, strict=True), 1):
            dataset(source, int(frame)).save(draft / name)
            if progress is not None:
                progress(done, len(names))
        for old in held_by(path):
            old.unlink()
        if folder.exists():
            folder.rmdir()
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    with replacing(path) as text:
        text.write_text(_index(folder.name, names, source.times[list(frames)]), encoding="utf-8")
    return len(names)


def _index(folder: str, names: Sequence[str], times: np.ndarray) -> str:
    """The .pvd: which file has which time."""
    rows = [
        f'    <DataSet timestep="{time:.17g}" part="0" file={quoteattr(f"{folder}/{name}")}/>'
        for name, time in zip(names, times, strict=True)
    ]
    head = ['<?xml version="1.0"?>', '<VTKFile type="Collection" version="0.1">', "  <Collection>"]
    return "\n".join([*head, *rows, "  </Collection>", "</VTKFile>", ""])
