# SPDX-License-Identifier: Apache-2.0
"""What all frames of a VTKHDF file have in common, and an empty file that has room for them.

Particles are PolyData, the nodes and cells of a mesh an UnstructuredGrid. What does not change,
the cells among it, is written once: every step refers to it by an offset of 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .cells import KINDS, Cells

VERSION = (2, 2)
"""Of the VTKHDF specification: the first with temporal data and groups of others beside it."""
Node = Any
"""A file, group or dataset of h5py, whose type stubs cannot tell which."""
TOPOLOGIES = ("Vertices", "Lines", "Polygons", "Strips")
RESERVED = frozenset({"x", "time", "step", "body", "metadata", "cells", "cell_kind"})
"""Names that no field can have."""


def check_names(
    fields: Iterable[str], cell_fields: Iterable[str], totals: Iterable[str] = ()
) -> None:
    """Refuse names of fields that mean two things.

    Args:
        fields: Names per particle or node.
        cell_fields: Names per cell.
        totals: Names of numbers of the whole scene.

    Raises:
        ValueError: If a name is reserved, or that of two kinds at once.
    """
    points, cells, whole = set(fields), set(cell_fields), set(totals)
    taken = RESERVED & (points | cells | whole) | {"v"} & (cells | whole)
    if taken:
        raise ValueError(f"field name {sorted(taken)[0]!r} is taken: choose another name")
    if points & cells:
        raise ValueError(
            f"field {sorted(points & cells)[0]!r} is one of points and of cells, expected distinct "
            "names: rename one of them"
        )
    if both := sorted((points | cells) & whole):
        raise ValueError(
            f"{both[0]!r} is a field and a total, expected distinct names: rename one of them"
        )


@dataclass(frozen=True)
class Layout:
    """What all frames of a file have in common."""

    particles: int
    """Number of particles or nodes n."""
    fields: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Shape of each field per particle: () scalar, (3,) vector, (3, 3) tensor."""
    body: np.ndarray | None = None
    """Body of each particle, shape (n,), int32; None: all are of body 0."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Free text about the whole file."""
    cells: Cells | None = None
    """The e cells whose nodes the particles are."""
    cell_fields: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Shape of each field per cell."""
    totals: tuple[str, ...] = ()
    """Names of the numbers that each frame holds of the whole scene."""

    def __post_init__(self) -> None:
        if self.particles < 1:
            raise ValueError(f"got {self.particles} particles, expected at least one")
        if self.body is not None and np.shape(self.body) != (self.particles,):
            raise ValueError(
                f"body has shape {np.shape(self.body)}, expected ({self.particles},): "
                "one number per particle"
            )
        check_names(self.fields, self.cell_fields, self.totals)
        if self.cells is not None:
            self.cells.within(self.particles)
        elif self.cell_fields:
            raise ValueError(
                f"got fields of cells {sorted(self.cell_fields)} without cells: give those too"
            )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array of a frame: x, the fields and those of the cells."""
        n, e = self.particles, 0 if self.cells is None else len(self.cells)
        return {
            "x": (n, 3),
            **{name: (n, *shape) for name, shape in self.fields.items()},
            **{name: (e, *shape) for name, shape in self.cell_fields.items()},
        }

    @property
    def paths(self) -> dict[str, str]:
        """Where in a file the datasets are that have something new in each frame."""
        return {
            "time": "VTKHDF/Steps/Values",
            "step": "VTKHDF/FieldData/step",
            "x": "VTKHDF/Points",
            **{name: f"VTKHDF/PointData/{name}" for name in self.fields},
            **{name: f"VTKHDF/CellData/{name}" for name in self.cell_fields},
            **{name: f"VTKHDF/FieldData/{name}" for name in self.totals},
        }

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        numbers = sum(int(np.prod(shape)) for shape in self.shapes.values())
        return 4 * numbers + 8 * len(self.totals)

    @property
    def words(self) -> str:
        """Particles, cells, fields and totals, for an error."""
        told = f"{self.particles} particles with {sorted(self.fields)}"
        if self.cells is not None:
            held = sorted(self.cell_fields)
            told = f"{told} and {len(self.cells)} {self.cells.kind} cells with {held}"
        return f"{told} and totals {sorted(self.totals)}" if self.totals else told

    def same(self, other: Layout) -> bool:
        """Whether frames of one fit into a file of the other; body and metadata may differ."""
        return (
            self.shapes == other.shapes
            and set(self.totals) == set(other.totals)
            and (other.cells is None if self.cells is None else self.cells.same(other.cells))
        )


def create(path: Path, layout: Layout, capacity: int) -> Node:
    """A file with room for `capacity` frames and none in it."""
    none, every = np.zeros(capacity, np.int64), np.arange(capacity, dtype=np.int64)
    file = h5py.File(path, "w", locking=False)
    root = file.create_group("VTKHDF")
    root.attrs["Version"] = np.array(VERSION, np.int64)
    steps = root.create_group("Steps")
    steps.attrs["NSteps"] = np.int64(0)
    steps.create_dataset(
        "Values", (0,), "f8", maxshape=(None,), chunks=(capacity,), fill_time="never"
    )
    steps["PartOffsets"] = none
    steps["NumberOfParts"] = none + 1
    if layout.cells is None:
        _vertices(root, layout.particles, capacity)
    else:
        _mesh(root, layout.cells, capacity)
    n = layout.particles
    root["NumberOfPoints"] = np.array([n], np.int64)
    steps["PointOffsets"] = every * n
    for group in ("PointData", "FieldData", *(() if layout.cells is None else ("CellData",))):
        root.create_group(group)
        steps.create_group(f"{group}Offsets")
    root["PointData/body"] = (
        np.zeros(n, np.int32) if layout.body is None else layout.body.astype("i4")
    )
    steps["PointDataOffsets/body"] = none
    for name, (rows, *shape) in layout.shapes.items():
        width = (3,) if name == "x" else (int(np.prod(shape)),) if shape else ()
        place = layout.paths[name].removeprefix("VTKHDF/")
        _reserve(root, place, (capacity * rows, *width), "f4")
        if name != "x":
            group = place.partition("/")[0]
            steps[f"{group}Offsets/{name}"] = every * rows
    for name in ("step", *layout.totals):
        _reserve(root, f"FieldData/{name}", (capacity,), "i8" if name == "step" else "f8")
        steps[f"FieldDataOffsets/{name}"] = every
        steps[f"FieldDataSizes/{name}"] = np.ones((capacity, 2), np.int64)
    ours = {
        "fields": {k: list(s) for k, s in layout.fields.items()},
        "cell_fields": {k: list(s) for k, s in layout.cell_fields.items()},
        "totals": list(layout.totals),
        "cell_kind": None if layout.cells is None else layout.cells.kind,
        "metadata": dict(layout.metadata),
    }
    file.create_group("rheograd")["layout"] = np.bytes_(json.dumps(ours))
    return file


def _vertices(root: Node, n: int, capacity: int) -> None:
    """Each particle as a vertex of PolyData."""
    root.attrs.create("Type", np.bytes_("PolyData"), dtype=h5py.string_dtype("ascii", 8))
    for kind in TOPOLOGIES:
        count = n if kind == "Vertices" else 0
        group = root.create_group(kind)
        group["NumberOfCells"] = group["NumberOfConnectivityIds"] = np.array([count], np.int64)
        group["Offsets"] = np.arange(count + 1, dtype=np.int64)
        group["Connectivity"] = np.arange(count, dtype=np.int64)
    offsets = np.zeros((capacity, len(TOPOLOGIES)), np.int64)
    root["Steps/CellOffsets"] = root["Steps/ConnectivityIdOffsets"] = offsets


def _mesh(root: Node, cells: Cells, capacity: int) -> None:
    """The cells of an UnstructuredGrid, the same in every step."""
    root.attrs.create("Type", np.bytes_("UnstructuredGrid"), dtype=h5py.string_dtype("ascii", 16))
    nodes = cells.nodes.cpu().numpy()
    count, width = nodes.shape
    root["NumberOfCells"] = np.array([count], np.int64)
    root["NumberOfConnectivityIds"] = np.array([nodes.size], np.int64)
    root["Connectivity"] = nodes.reshape(-1)
    root["Offsets"] = np.arange(count + 1, dtype=np.int64) * width
    root["Types"] = np.full(count, KINDS[cells.kind].vtk, np.uint8)
    root["Steps/CellOffsets"] = root["Steps/ConnectivityIdOffsets"] = np.zeros(capacity, np.int64)


def _reserve(group: Node, name: str, shape: tuple[int, ...], dtype: str) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.CONTIGUOUS)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    plist.set_obj_track_times(False)  # the same run makes the same file, to the byte
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(np.dtype(dtype)), space, plist)
