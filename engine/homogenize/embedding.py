# SPDX-License-Identifier: Apache-2.0
"""The cell that a surrogate was made of, kept in its file, so that it can be solved again.

Laws of phases are kept by name and numbers; a law that needs more, such as a network, is not, and
then the surrogate has no cell to fall back on.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.homogenized.phase_parameters import built
from rheograd.materials.law import ConstitutiveLaw

from ..mesh.volume_mesh import VolumeMesh
from .cell import Cell
from .cell_files import digest


def described(cell: Cell) -> list[Any]:
    """Kind of element, digest of the mesh, and each phase with its law, or nothing of the laws."""
    laws = [[name, law.name, _arguments(law)] for name, law in cell.laws.items()]
    known = all(arguments is not None for _, _, arguments in laws)
    return [cell.mesh.element, digest(cell.mesh), laws if known else []]


def embed(law: EquiNO, cell: Cell) -> None:
    """Keep a cell in a law that was made with room for its mesh."""
    law.cell = described(cell)
    law.nodes.copy_(cell.mesh.nodes)
    law.cells.copy_(cell.mesh.cells)
    for number, name in enumerate(cell.laws):
        law.phase[cell.mesh.regions[name]] = number


def embedded(law: EquiNO) -> Cell | None:
    """The cell again; None where its laws are not kept.

    Where parameters of the phases vary, the cell has the very laws that the surrogate has.

    Raises:
        ValueError: The file was tampered with: the mesh is not the one that was described.
    """
    if len(law.cell) != 3 or not law.cell[2]:
        return None
    element, known, phases = law.cell
    regions = {name: (law.phase == k).nonzero()[:, 0] for k, (name, _, _) in enumerate(phases)}
    mesh = VolumeMesh(element, law.nodes.cpu(), law.cells.cpu(), {}, {}, regions)
    if digest(mesh) != known:
        raise ValueError(
            "the mesh in the file of the surrogate is not the one it was trained on: train it again"
        )
    if len(law.phases):  # the same objects, so that parameters are one and the same
        return Cell(mesh, dict(law.phases.items()))  # type: ignore[arg-type]
    return Cell(mesh, built(phases))  # type: ignore[arg-type]


def check_mesh(law: EquiNO, mesh: VolumeMesh) -> None:
    """Refuse a surrogate of another mesh.

    Raises:
        ValueError: It was trained on another one.
    """
    if len(law.cell) > 1 and law.cell[1] != digest(mesh):
        raise ValueError(
            "the surrogate was trained on another mesh than this one (digests "
            f"{law.cell[1][:12]} and {digest(mesh)[:12]}): train it again"
        )


def check_phases(law: EquiNO, cell: Cell) -> None:
    """Refuse a surrogate of other laws of the phases.

    Raises:
        ValueError: It was trained with others.
    """
    learned, given = law.cell[2] if len(law.cell) > 2 else [], described(cell)[2]
    if learned and not law.inputs and learned != given:
        raise ValueError(
            f"the surrogate was trained with other laws of the phases: {learned}, not {given}"
        )


def _arguments(law: ConstitutiveLaw) -> dict[str, Any] | None:
    """What makes a law, in plain numbers and words; None: it needs more."""
    import inspect

    found: dict[str, Any] = {}
    for name in inspect.signature(type(law)).parameters:
        value = getattr(law, name, None)
        if isinstance(value, nn.Parameter | torch.Tensor) and value.ndim == 0:
            value = value.item()
        if not isinstance(value, int | float | str | bool):
            return None
        found[name] = value
    return found
