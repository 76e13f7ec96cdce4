# SPDX-License-Identifier: Apache-2.0
"""Cells from files: a mesh of meshio's with a region for each phase, or a folder of two tables.

The folder is that of the cells of Eivazi et al. 2025, "EquiNO": ``nodeCoordinates.csv`` has x and
y of a node in each row, ``elementIncidences.csv`` the number of an element, that of its phase, and
its nodes counted from 1: the corners, then those amid its sides.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch

from ..mesh.elements import SOLIDS, element
from ..mesh.volume_mesh import VolumeMesh

NODES, ELEMENTS = "nodeCoordinates.csv", "elementIncidences.csv"


def load(path: str | Path, *, scale: float = 1.0) -> VolumeMesh:
    """The mesh of a cell, with a region for each of its phases.

    Args:
        path: A mesh file, or a folder of tables.
        scale: Metres per unit of the file. The mean stress does not depend on it.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: It is not the mesh of a cell.
    """
    path = Path(path)
    return _tables(path, scale) if path.is_dir() else VolumeMesh.load(path, scale=scale)


def phases(mesh: VolumeMesh, names: tuple[str, ...] = ("matrix", "fibre")) -> dict[str, str]:
    """The region of each phase of a mesh.

    Regions of these names are taken as they are; without names in the order of their numbers:
    physical group 1 is the matrix, 2 the fibre.

    Raises:
        ValueError: The regions are fewer or more than the phases, or have other names.
    """
    regions = sorted(mesh.regions, key=_number)
    if set(names) <= set(regions):
        return {name: name for name in names}
    if len(regions) != len(names) or not all(region.isdigit() for region in regions):
        raise ValueError(
            f"got a mesh with {len(regions)} regions ({', '.join(regions) or 'none'}), expected "
            f"{len(names)}, one for each phase, named {', '.join(names)} or numbered 1, 2: in Gmsh "
            "put each phase in a physical group of that name; or name a law for every region, as "
            "in --phase REGION=LAW"
        )
    return dict(zip(names, regions, strict=True))


def digest(mesh: VolumeMesh) -> str:
    """SHA-256 of what a cell's answer depends on: kind, nodes, elements and regions."""
    found = hashlib.sha256(mesh.element.encode())
    found.update(mesh.nodes.detach().numpy().tobytes())
    found.update(mesh.cells.numpy().tobytes())
    for name in sorted(mesh.regions):
        found.update(name.encode() + mesh.regions[name].sort().values.numpy().tobytes())
    return found.hexdigest()


def _number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() else (2**31, name)


def _tables(folder: Path, scale: float) -> VolumeMesh:
    x = _table(folder / NODES, 2)
    rows = _table(folder / ELEMENTS, None).astype(np.int64)
    kinds = {len(element(kind).nodes): kind for kind in SOLIDS if element(kind).dim == 2}
    width = rows.shape[1] - 2
    if width not in kinds:
        raise ValueError(
            f"{folder / ELEMENTS} has {width + 2} columns, expected element, phase and its nodes: "
            f"{', '.join(f'{w} ({kind})' for w, kind in kinds.items())}"
        )
    cells = rows[:, 2:] - 1
    if cells.min() < 0 or cells.max() >= len(x):
        raise ValueError(
            f"{folder / ELEMENTS} has nodes from {cells.min() + 1} to {cells.max() + 1}, expected 1"
            f" to {len(x)}, as {NODES} has rows"
        )
    nodes = np.zeros((len(x), 3))
    nodes[:, :2] = x * scale
    regions = {
        str(p): torch.from_numpy(np.flatnonzero(rows[:, 1] == p)) for p in np.unique(rows[:, 1])
    }
    return VolumeMesh(
        kinds[width], torch.from_numpy(nodes), torch.from_numpy(cells), {}, {}, regions
    )


def _table(path: Path, columns: int | None) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(
            f"no file {path}: the folder of a cell holds {NODES} and {ELEMENTS}; or give a .msh or "
            ".vtu file"
        )
    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} is not a table of numbers parted by commas ({error})") from error
    if not table.size or (columns is not None and table.shape[1] != columns):
        raise ValueError(f"{path} has a table of shape {table.shape}, expected (rows, {columns})")
    return table
