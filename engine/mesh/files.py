# SPDX-License-Identifier: Apache-2.0
"""Files of volume meshes.

=============  ==================================================================================
.msh           Gmsh: physical groups by name, or by number where they have none. Written as 2.2.
.inp           Abaqus, CalculiX: NSET, ELSET and SURFACE; see `abaqus`.
.vtu .vtk      Groups are arrays of 0 and 1 named "region:…", "facets:…" and "points:…", sides are
               cells; other programs' files have none.
.bdf .nas ...  What else meshio reads: numbers of properties or references are the names.
=============  ==================================================================================

A named group of cells is a region if the cells are those of the body, a group of sides if they are
one dimension lower, else a group of nodes. Cells all numbered left-handed are turned, mid-side
nodes in another order are put in VTK's, and nodes of no cell and cells given twice left out.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch

from .elements import SOLIDS, element
from .sides import corners, family, same_rows
from .volume_mesh import FLAT, VolumeMesh, worst_jacobians

KINDS = {
    "vertex": "vertex", "line": "line2", "line3": "line3", "triangle": "tri3", "triangle6": "tri6",
    "quad": "quad4", "quad8": "quad8", "quad9": "quad9", "tetra": "tet4", "tetra10": "tet10",
    "hexahedron": "hex8", "hexahedron20": "hex20", "hexahedron27": "hex27",
}  # fmt: skip
"""Of meshio's names; others stay as they are."""
DIMENSIONS = {"vertex": 0, "line": 1, "tri": 2, "quad": 2}
"""Of a family; others are solids."""
TAGS = ("gmsh:physical", "nastran:ref", "medit:ref", "cell_tags")
"""Arrays of numbers of groups; 0 is none."""


class Refused(ValueError):
    """What a file holds cannot be taken; the message says why."""


class Contents(NamedTuple):
    """What a file holds, before it is a mesh."""

    nodes: np.ndarray
    """In units of the file, shape (n, 2) or (n, 3)."""
    cells: dict[str, np.ndarray]
    """Nodes of all cells of a kind, shape (e, a)."""
    groups: list[tuple[str, str, np.ndarray]]
    """Name, kind of cells, and which of that kind, shape (k,)."""
    points: dict[str, np.ndarray]
    """Named nodes, shape (k,)."""
    facets: dict[str, np.ndarray]
    """Corners of named sides that are no cells of their own, shape (f, c)."""


def load(path: Path, *, scale: float = 1.0, kind: str | None = None) -> VolumeMesh:
    """Read a mesh; see `VolumeMesh.load`."""
    from .abaqus import read_abaqus
    from .elevation import elevate

    if not path.is_file():
        raise FileNotFoundError(f"no mesh file {path}: check the path")
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"got scale={scale}, expected a positive number of metres per unit")
    read = read_abaqus if path.suffix.lower() == ".inp" else _read
    contents = _quietly(path, read)
    try:
        mesh = _assembled(contents, scale)
        return mesh if kind is None else elevate(mesh, kind)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def save(mesh: VolumeMesh, path: Path) -> Path:
    """Write a mesh; see `VolumeMesh.save`."""
    from .abaqus import write_abaqus

    writers = {
        ".inp": write_abaqus, ".msh": _write_gmsh, ".vtu": _write_vtk, ".vtk": _write_vtk,
    }  # fmt: skip
    if path.suffix.lower() not in writers:
        raise ValueError(
            f"got a mesh file {path.name}, expected a name that ends in one of {', '.join(writers)}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    _quietly(path, lambda place: writers[path.suffix.lower()](mesh, place))
    return path


def _quietly(path: Path, work: Callable[[Path], Any]) -> Any:
    """Call, with what meshio prints in the error if it fails."""
    said = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            warnings.simplefilter("ignore")
            return work(path)
    except Refused as error:
        raise ValueError(f"{path}: {error}") from error
    except (Exception, SystemExit) as error:
        reason = "" if isinstance(error, SystemExit) else str(error) or type(error).__name__
        words = " ".join(f"{said.getvalue()} {reason}".split())
        raise ValueError(
            f"{path} is not a mesh file that can be read or written ({words}): export it as .msh "
            "version 2.2, .vtu or .inp"
        ) from error


def _assembled(contents: Contents, scale: float) -> VolumeMesh:
    kind = _solid(contents)
    dim = element(kind).dim
    given = contents.cells[kind]
    which = same_rows(np.sort(given, 1))
    _, first, new = np.unique(which, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    cells, number = given[np.sort(first)], rank[new]
    nodes = _in_space(contents.nodes, cells, kind) * scale
    used = np.unique(cells)
    shorter = np.full(len(nodes), -1)
    shorter[used] = np.arange(len(used))
    regions, facets, points = {}, dict(contents.facets), dict(contents.points)
    for name, of, rows in contents.groups:
        if of == kind:
            regions[name] = np.union1d(regions.get(name, rows[:0]), number[rows])
        elif _dimension(of) == dim - 1:
            sides = contents.cells[of][rows][:, : corners(of)]
            facets[name] = _joined(name, facets.get(name), sides)
        elif _dimension(of) < dim:
            points[name] = np.union1d(points.get(name, rows[:0]), contents.cells[of][rows])
    facets = {
        name: shorter[sides[np.unique(same_rows(np.sort(sides, 1)), return_index=True)[1]]]
        for name, sides in facets.items()
    }
    for name, sides in facets.items():
        if (sides < 0).any():
            raise ValueError(
                f"group {name!r} has {int((sides < 0).any(1).sum())} facets that are no side of a "
                "cell, expected sides of the solid: shells are not simulated; mesh them as solids "
                "or take them out of the group"
            )
    points = {name: shorter[which][shorter[which] >= 0] for name, which in points.items()}
    cells = _turned(kind, nodes[used], _ordered(kind, nodes[used], shorter[cells]))
    tensors = [
        {
            name: torch.from_numpy(rows.astype(np.int64))
            for name, rows in groups.items()
            if len(rows)
        }
        for groups in (facets, points, regions)
    ]
    place = torch.from_numpy(np.ascontiguousarray(nodes[used]))
    return VolumeMesh(kind, place, torch.from_numpy(cells.astype(np.int64)), *tensors)


def _solid(contents: Contents) -> str:
    """The one kind of cell that the body is made of."""
    counts = {kind: len(cells) for kind, cells in contents.cells.items() if len(cells)}
    dim = max((_dimension(kind) for kind in counts), default=0)
    if dim < 2:
        raise ValueError(
            f"holds no solid ({_list(counts) or 'no cell'}), expected cells of one of "
            f"{', '.join(SOLIDS)}: mesh the volume, and in Gmsh put it in a physical group"
        )
    solids = {kind: count for kind, count in counts.items() if _dimension(kind) == dim}
    if len(solids) > 1:
        raise ValueError(
            f"mixes cells ({_list(solids)}), expected one kind: mesh with tetrahedra alone or "
            "hexahedra alone, all of one order"
        )
    (kind,) = solids
    if kind not in SOLIDS:
        raise ValueError(
            f"holds {_list(solids)} cells, expected one of {', '.join(SOLIDS)}: mesh with "
            "tetrahedra or hexahedra"
        )
    return kind


def _list(counts: dict[str, int]) -> str:
    return " and ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def _dimension(kind: str) -> int:
    return DIMENSIONS.get(family(kind), 3)


def _joined(name: str, before: np.ndarray | None, more: np.ndarray) -> np.ndarray:
    if before is not None and before.shape[1] != more.shape[1]:
        raise ValueError(f"group {name!r} mixes triangles and quadrilaterals, expected one of them")
    return more if before is None else np.concatenate([before, more])


def _in_space(nodes: np.ndarray, cells: np.ndarray, kind: str) -> np.ndarray:
    """Nodes of shape (n, 3), those of the plane at z = 0."""
    out = np.zeros((len(nodes), 3))
    out[:, : nodes.shape[1]] = nodes
    if element(kind).dim == 3:
        return out
    used = out[np.unique(cells)]
    width = np.ptp(used, axis=0)
    if not width[2] <= 1e-9 * width.max():
        raise ValueError(
            f"holds {len(cells)} {kind} cells, a surface in space, expected solids or a mesh of "
            'the plane z = 0: fill a closed surface by mesh_shape(MeshShape(path), "tet4", size)'
        )
    out[:, 2] = 0
    return out


def _ordered(kind: str, nodes: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Cells with their mid-side nodes where VTK has them, found by where they are."""
    from scipy.optimize import linear_sum_assignment

    e, count = element(kind), corners(kind)
    if e.order == 1 or not np.isfinite(nodes).all():
        return cells
    at = nodes[cells[:10_000]]
    straight = np.einsum("ab,ebi->eai", element(_first(kind)).shape(e.nodes), at[:, :count])
    width = np.maximum(np.ptp(at, axis=1).max(1), np.finfo(float).tiny)
    gaps = (straight[:, count:, None] - at[:, None, count:]) / width[:, None, None, None]
    picked = count + linear_sum_assignment((gaps**2).sum(-1).mean(0))[1]
    return np.concatenate([cells[:, :count], cells[:, picked]], 1)


def _first(kind: str) -> str:
    return f"{family(kind)}{corners(kind)}"


def _turned(kind: str, nodes: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Cells numbered right-handed if all are left-handed."""
    reference = element(kind).nodes
    swapped = reference.copy()
    swapped[:, [0, 1]] = reference[:, [1, 0]]
    mirror = np.abs(swapped[:, None] - reference[None]).sum(-1).argmin(1)
    mirrored = cells[:, mirror]
    left = np.isfinite(nodes).all() and (worst_jacobians(kind, nodes, cells) < FLAT).all()
    return mirrored if left and (worst_jacobians(kind, nodes, mirrored) > FLAT).all() else cells


def _read(path: Path) -> Contents:
    import meshio

    with _partly_tagged():
        mesh = meshio.read(path)
    cells: dict[str, list[np.ndarray]] = {}
    groups, named = [], {int(id_): {} for id_ in range(4)}
    for name, value in mesh.field_data.items():
        if len(np.atleast_1d(value)) == 2 and 0 <= int(value[1]) <= 3:
            named[int(value[1])][int(value[0])] = name
    for b, block in enumerate(mesh.cells):
        kind: str = KINDS.get(str(block.type), str(block.type))
        start = sum(map(len, cells.get(kind, [])))
        cells.setdefault(kind, []).append(np.asarray(block.data))
        sets = {
            name: np.asarray(blocks[b], np.int64)
            for name, blocks in mesh.cell_sets.items()
            if not name.startswith("gmsh:") and blocks[b] is not None
        }
        for key, arrays in mesh.cell_data.items():
            if key in TAGS:
                names = named[_dimension(kind)]
                tags = np.asarray(arrays[b]).ravel()
                for tag in np.unique(tags[tags != 0]).tolist():
                    sets.setdefault(names.get(tag, str(tag)), np.flatnonzero(tags == tag))
            elif key.startswith(("region:", "facets:")):
                sets[key.split(":", 1)[1]] = np.flatnonzero(arrays[b])
        groups += [(name, kind, start + rows) for name, rows in sets.items() if len(rows)]
    points = {name: np.asarray(rows) for name, rows in mesh.point_sets.items()}
    for key, flags in mesh.point_data.items():
        if key.startswith("points:"):
            points[key.split(":", 1)[1]] = np.flatnonzero(flags)
    together = {kind: np.concatenate(blocks).astype(np.int64) for kind, blocks in cells.items()}
    return Contents(np.asarray(mesh.points, float), together, groups, points, {})


@contextlib.contextmanager
def _partly_tagged() -> Iterator[None]:
    """Let meshio 5.3.5 read files of MSH 4.1 in which some cells are in no physical group.

    It fails on their numbers, which are then left out; named groups come beside them.
    """
    from meshio.gmsh import _gmsh41

    whole = _gmsh41.Mesh

    def lenient(points: Any, cells: Any, *, cell_data: Any, **rest: Any) -> Any:
        kept = {key: data for key, data in cell_data.items() if len(data) == len(cells)}
        return whole(points, cells, cell_data=kept, **rest)

    with patch.object(_gmsh41, "Mesh", lenient):
        yield


def _meshio_name(kind: str) -> str:
    return next(name for name, ours in KINDS.items() if ours == kind)


def _write_gmsh(mesh: VolumeMesh, path: Path) -> None:
    """Every group as cells of its own, as Gmsh does with cells of several groups."""
    import meshio

    cells, facet = mesh.cells.numpy(), mesh.kind.facet
    free = np.ones(len(cells), bool)
    blocks, names = [], {}
    for name, rows in mesh.regions.items():
        free[rows.numpy()] = False
        blocks.append((name, mesh.dim, mesh.element, cells[rows.numpy()]))
    blocks += [(name, mesh.dim - 1, facet, rows.numpy()) for name, rows in mesh.facets.items()]
    blocks += [(name, 0, "vertex", rows.numpy()[:, None]) for name, rows in mesh.points.items()]
    for number, (name, dim, _, _) in enumerate(blocks, 1):
        if name in names:
            raise Refused(
                f"two groups have the name {name!r}, which a .msh file keeps once: rename one, or "
                "save as .vtu"
            )
        names[name] = np.array([number, dim])
    tags = [np.full(len(rows), number) for number, (*_, rows) in enumerate(blocks, 1)]
    if free.any():
        blocks.insert(0, ("", mesh.dim, mesh.element, cells[free]))
        tags.insert(0, np.zeros(int(free.sum()), int))
    data = {"gmsh:physical": tags, "gmsh:geometrical": [np.maximum(t, 1) for t in tags]}
    typed: list[Any] = [(_meshio_name(kind), rows) for _, _, kind, rows in blocks]
    out = meshio.Mesh(mesh.nodes.detach().cpu().numpy(), typed, cell_data=data, field_data=names)
    meshio.write(path, out, file_format="gmsh22", binary=True)


def _write_vtk(mesh: VolumeMesh, path: Path) -> None:
    import meshio

    blocks = [(mesh.element, mesh.cells.numpy())]
    blocks += [(mesh.kind.facet, rows.numpy()) for rows in mesh.facets.values()]
    data: dict[str, Any] = {}
    for name, rows in mesh.regions.items():
        data[f"region:{name}"] = [np.zeros(len(b), np.int32) for _, b in blocks]
        data[f"region:{name}"][0][rows.numpy()] = 1
    for number, name in enumerate(mesh.facets, 1):
        data[f"facets:{name}"] = [
            np.full(len(b), int(k == number), np.int32) for k, (_, b) in enumerate(blocks)
        ]
    flags = {}
    for name, rows in mesh.points.items():
        flags[f"points:{name}"] = np.zeros(len(mesh.nodes), np.int32)
        flags[f"points:{name}"][rows.numpy()] = 1
    if path.suffix.lower() == ".vtk" and any(c.isspace() for key in [*data, *flags] for c in key):
        raise Refused("a group has a blank in its name, which .vtk cannot hold: save as .vtu")
    typed: list[Any] = [(_meshio_name(kind), rows) for kind, rows in blocks]
    nodes = mesh.nodes.detach().cpu().numpy()
    meshio.write(path, meshio.Mesh(nodes, typed, point_data=flags, cell_data=data))
