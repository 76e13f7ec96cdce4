# SPDX-License-Identifier: Apache-2.0
"""Cells solved under many load cases, kept in a file as they are made.

One HDF5 file: inputs first, then a row a load case; `done` of a row is written last, so that a run
that is killed keeps what it has, and goes on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from .cell_files import digest
from .load_space import LoadSpace
from .points import Points
from .problem import CellProblem, Micro
from .rows import Rows

SETS = {"training": (100, 0), "validation": (25, 1), "test": (100, 2)}
"""Number of load cases and seed of each set, as published."""


@dataclass(frozen=True, eq=False)
class Snapshots(Rows):
    """Cells in balance under k load cases."""

    strain: Tensor
    """Mean strains [-], shape (k, d); see load_space.py."""
    stress: Tensor
    """Mean first Piola stress [Pa], for small strains the stress, shape (k, 3, 3)."""
    tangent: Tensor
    """Of that by the mean deformation gradient [Pa], shape (k, 3, 3, 3, 3)."""
    fluctuation: Tensor
    """Free unknowns [m], shape (k, size)."""
    point_stress: Tensor
    """By components at the quadrature points [Pa], shape (k, p, r); rows as in `Layout.rows`."""

    @classmethod
    def of(cls, strain: Tensor, found: Micro, points: Points) -> Snapshots:
        """Of cells that were solved with their tangents.

        Args:
            strain: Mean strains, shape (k, d).
            found: The cells under them.
            points: Theirs.
        """
        assert found.tangent is not None
        local = found.point_stress.flatten(2)[..., points.row]
        return cls(strain, found.stress, found.tangent, found.fluctuation, local)


COLUMNS = tuple(field.name for field in fields(Snapshots))


def key(problem: CellProblem, space: LoadSpace) -> str:
    """What snapshots depend on, in words: cell, laws and box."""
    laws = {name: f"{law}{_weights(law)}" for name, law in problem.cell.laws.items()}
    return f"{digest(problem.cell.mesh)} {sorted(laws.items())} {space}"


def _weights(law: ConstitutiveLaw) -> str:
    """SHA-256 of what a law has learned, which its words do not tell; none of one of numbers."""
    found = hashlib.sha256()
    arrays = [value for _, value in sorted(law.state_dict().items()) if value.ndim]
    for value in arrays:
        found.update(value.detach().cpu().numpy().tobytes())
    return f" {found.hexdigest()}" if arrays else ""


def make(
    problem: CellProblem,
    space: LoadSpace,
    path: Path,
    *,
    sets: dict[str, tuple[int, int]] | None = None,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Snapshots]:
    """Solve what the file does not have yet, and read all.

    Args:
        problem: The cell.
        space: The box of mean strains.
        path: The file, made if it is not there.
        sets: Number of load cases and seed of each set; None: those published.
        told: Called with the number of load cases that are done, and of all.

    Raises:
        ValueError: The file is of another cell, other laws, another box or other load cases.
        NewtonFailure: A cell finds no balance: make the box smaller.
    """
    import h5py

    sets = SETS if sets is None else sets
    total = sum(count for count, _ in sets.values())
    done = 0
    with h5py.File(path, "a") as file:
        known = file.attrs.get("key")
        if known is not None and known != key(problem, space):
            raise ValueError(
                f"{path} holds snapshots of another cell, other laws or another box: remove it, or "
                "choose another folder"
            )
        file.attrs["key"] = key(problem, space)
        for name, (count, seed) in sets.items():
            group = _group(file, name, problem, space.sample(count, seed))
            z = torch.from_numpy(group["strain"][:])
            F = space.deformation(z).to(problem.points.weight)
            for k in range(count):
                if not group["done"][k]:
                    _write(group, k, solved(problem, z[k : k + 1], F[k : k + 1]))
                    file.flush()
                    group["done"][k] = True
                    file.flush()
                done += 1
                told(done, total)
        return {name: _read(file[name]) for name in sets}


def _group(file: Any, name: str, problem: CellProblem, strain: Tensor) -> Any:
    if name in file:
        group = file[name]
        if group["strain"].shape != tuple(strain.shape) or not np.array_equal(
            group["strain"][:], strain.numpy()
        ):
            raise ValueError(
                f"the snapshots of {name} are of other load cases: remove the file, or ask for "
                "as many as before"
            )
        return group
    group = file.create_group(name)
    own, k = problem.layout, len(strain)
    group["strain"] = strain.numpy()
    shapes = {
        "stress": (k, 3, 3), "tangent": (k, 3, 3, 3, 3), "fluctuation": (k, own.size),
        "point_stress": (k, len(own.points), len(own.points.rows)),
    }  # fmt: skip
    for column, shape in shapes.items():
        group.create_dataset(column, shape, dtype="f8", chunks=(1, *shape[1:]))
    group.create_dataset("done", (k,), dtype=bool)
    return group


def solved(problem: CellProblem, z: Tensor, F: Tensor) -> Snapshots:
    """Cells from rest in one step each, under mean strains (k, d) and their F (k, 3, 3)."""
    return Snapshots.of(z, problem.solve(F, problem.rest_internal(len(F), F), 1.0), problem.points)


def _write(group: Any, k: int, one: Snapshots) -> None:
    for name in COLUMNS[1:]:
        group[name][k] = getattr(one, name)[0].cpu().numpy()


def _read(group: Any) -> Snapshots:
    return Snapshots(*(torch.from_numpy(group[name][:]) for name in COLUMNS))
