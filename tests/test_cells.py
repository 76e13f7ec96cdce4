# SPDX-License-Identifier: Apache-2.0
"""Cells by themselves: what is refused, whether VTK knows them, and a run that records them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rheograd.engine.cells import KINDS, Cells
from rheograd.engine.state import State
from rheograd.engine.trajectory import Trajectory
from rheograd.scenes.recording import Recording


@pytest.mark.parametrize("kind", KINDS)
def test_vtk_knows_the_kind(kind: str) -> None:
    common = pytest.importorskip("vtkmodules.vtkCommonDataModel")
    cell = common.vtkGenericCell.InstantiateCell(KINDS[kind].vtk)
    assert cell.GetNumberOfPoints() == KINDS[kind].nodes
    dimension = 2 if kind.startswith(("tri", "quad")) else 3
    assert cell.GetCellDimension() == dimension


@pytest.mark.parametrize(
    ("kind", "nodes", "words"),
    [
        ("hexa8", torch.arange(8)[None], r"'hexa8' \(did you mean hex8\?\), expected one of tet4"),
        ("tet4", torch.arange(8)[None], r"tet4 cells have shape \(1, 8\), expected \(cells, 4\)"),
        ("tet4", torch.arange(4), r"have shape \(4,\), expected \(cells, 4\)"),
        ("tet4", torch.zeros(0, 4, dtype=torch.int64), "at least one cell"),
        ("tet4", torch.rand(1, 4), "are torch.float32, expected node numbers in torch.int64"),
        ("tri3", torch.tensor([[0, 1, 2], [2, -1, 0]]), "cell 1 has node -1, expected numbers fr"),
    ],
)
def test_cells_that_are_refused(kind: str, nodes: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Cells(kind, nodes)


def test_nodes_that_there_are_not() -> None:
    cells = Cells("tri3", torch.tensor([[0, 1, 2], [2, 1, 3]]))
    assert cells.within(4) is cells and len(cells) == 2
    with pytest.raises(ValueError, match="cell 1 has node 3, expected at most 2: there are 3 node"):
        cells.within(3)


def test_same() -> None:
    nodes = torch.tensor([[0, 1, 2, 3]])
    cells = Cells("tet4", nodes)
    assert cells.same(Cells("tet4", nodes.clone())) and cells.same(cells.to("cpu"))
    assert not cells.same(Cells("quad4", nodes))
    assert not cells.same(Cells("tet4", nodes.flip(1))) and not cells.same(None)


def test_a_run_records_what_its_state_has_of_cells(tmp_path: Path) -> None:
    cells, out = Cells("tet4", torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])), tmp_path / "a.vtkhdf"
    x, stress = torch.rand(5, 3), torch.rand(2, 3, 3)
    state = State(0, 0.0, x, 0 * x, torch.eye(3).expand(2, 3, 3), x[:, :0], {"stress": stress})
    recording = Recording(
        out, 5, body=torch.zeros(5), metadata={}, identity={}, cells=cells,
        cell_fields={"stress": (3, 3)},
    )  # fmt: skip
    recording(state)
    recording.close(finished=True)
    trajectory = Trajectory.load(out)
    assert cells.same(trajectory.cells)
    assert torch.equal(trajectory.cell_fields["stress"][0], stress)
