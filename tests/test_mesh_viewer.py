# SPDX-License-Identifier: Apache-2.0
"""A mesh as it is drawn: its surface, its colours, and the pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rheograd.engine.cells import KINDS, Cells
from rheograd.engine.trajectory import Trajectory
from rheograd.viewer import display, movie, screenshot
from rheograd.viewer.drawing.skin import Skin, skin
from rheograd.viewer.palettes import MISSING, sequential
from rheograd.viewer.view import describe

SMALL = (320, 240)
SOLID = [kind for kind in KINDS if kind.startswith(("tet", "hex"))]
PLANE = [kind for kind in KINDS if kind not in SOLID]


@pytest.fixture
def drawing() -> None:
    """Skip where nothing can be drawn."""
    if not display.render_window():
        pytest.skip("nothing can be drawn here: install libegl1 and libgl1-mesa-dri, or libosmesa6")


def unit(kind: str) -> np.ndarray:
    """Where VTK puts the nodes of a cell."""
    common = pytest.importorskip("vtkmodules.vtkCommonDataModel")
    cell = common.vtkGenericCell.InstantiateCell(KINDS[kind].vtk)
    return np.reshape(cell.GetParametricCoords(), (-1, 3))


def block(across: int = 2, frames: int = 3, **changes: Any) -> Trajectory:
    """A row of hex8 cells that shears, with a number for each cell and for each node."""
    place = np.stack(np.meshgrid([0, 1], [0, 1], np.arange(across + 1), indexing="ij"), -1)
    rest = torch.tensor(place.reshape(-1, 3)[:, ::-1].copy(), dtype=torch.float32)
    row = torch.arange(across)
    base = torch.tensor([0, 1, across + 2, across + 1])
    ring = torch.cat([base, base + 2 * (across + 1)])
    time = torch.arange(frames) / 10
    x = rest + 2 * time[:, None, None] * rest[:, 1:2] * torch.tensor([1.0, 0, 0])
    return Trajectory(
        **{
            "time": time.double(),
            "x": x,
            "cells": Cells("hex8", row[:, None] + ring),
            "fields": {"height": x[:, :, 1]},
            "cell_fields": {"heat": row.float().expand(frames, across)},
            **changes,
        }
    )


def pull(trajectory: Trajectory, F: torch.Tensor, where: str) -> Trajectory:
    """With a stretch and a stress recorded on points or cells."""
    stress = torch.zeros_like(F)
    stress[..., 0, 0] = 3e4
    return replace(trajectory, **{where: {**getattr(trajectory, where), "F": F, "tau": stress}})


def areas(x: np.ndarray, surface: Skin) -> np.ndarray:
    """Of the triangles [m²], as vectors (k, 3) that point outward."""
    a, b, c = np.moveaxis(x[surface.points][surface.triangles], 1, 0)
    return np.cross(b - a, c - a) / 2


class TestSkin:
    @pytest.mark.parametrize("kind", SOLID)
    def test_of_one_cell_is_closed_and_turned_outward(self, kind: str) -> None:
        x = unit(kind)
        surface = skin(kind, np.arange(len(x))[None])
        area = areas(x, surface)
        middle = x[surface.points][surface.triangles].mean(1)
        volume, whole = (1.0, 6.0) if kind.startswith("hex") else (1 / 6, 1.5 + 0.75**0.5)
        assert (middle * area).sum() / 3 == pytest.approx(volume)
        assert np.linalg.norm(area, axis=-1).sum() == pytest.approx(whole)
        assert ((middle - x[: 4 if kind.startswith("tet") else 8].mean(0)) * area).sum(-1).min() > 0
        inside = 1 if kind == "hex27" else 0
        assert len(surface.points) == len(x) - inside
        halves = 1 if KINDS[kind].nodes in (4, 8) else 2
        assert len(surface.edges) == halves * (6 if kind.startswith("tet") else 12)
        ends = x[surface.points][surface.edges]
        length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=-1).sum()
        assert length == pytest.approx(12 if kind.startswith("hex") else 3 + 3 * 2**0.5)

    @pytest.mark.parametrize("kind", PLANE)
    def test_of_a_plane_cell_is_the_cell(self, kind: str) -> None:
        x = unit(kind)
        surface = skin(kind, np.arange(len(x))[None])
        area = areas(x, surface)
        assert area.sum(0) == pytest.approx([0, 0, 0.5 if kind.startswith("tri") else 1.0])
        assert (area[:, 2] > 0).all() and len(surface.points) == len(x)

    def test_leaves_out_the_sides_that_cells_share(self) -> None:
        trajectory = block(3)
        assert trajectory.cells is not None
        surface = skin("hex8", trajectory.cells.nodes.numpy())
        assert [part.shape for part in surface.facets] == [(14, 4)]
        assert np.bincount(surface.owners).tolist() == [5, 4, 5]
        assert len(surface.edges) == 28
        assert len({tuple(edge) for edge in np.sort(surface.edges, 1)}) == 28

    def test_is_that_of_pyvista(self) -> None:
        pyvista = pytest.importorskip("pyvista")
        grid = pyvista.ImageData(dimensions=(5, 4, 3)).to_tetrahedra(5)
        nodes = grid.cell_connectivity.reshape(-1, 4)
        expected = grid.extract_surface(algorithm="dataset_surface")
        surface = skin("tet4", nodes)
        assert len(surface.facets[0]) == expected.n_cells
        assert np.array_equal(
            np.sort(surface.owners), np.sort(expected.cell_data["vtkOriginalCellIds"])
        )


class TestFields:
    def test_those_of_cells_come_after_those_of_points(self) -> None:
        view = describe(block())
        assert list(view.fields) == ["speed", "displacement", "height", "heat", "initial height"]
        heat = view.fields["heat"]
        assert heat.on_cells and not view.fields["height"].on_cells
        np.testing.assert_array_equal(heat.values(view.sources[0], 1), [0, 1])
        table = sequential()
        colours = view.scale("heat").colours(view.sources[0], 0)
        np.testing.assert_array_equal(colours, [table[0], table[-1]])
        assert view.radii == (0.0,)

    def test_a_name_that_points_have_too_is_told_apart(self) -> None:
        twice = pull(block(), 2 * torch.eye(3).expand(3, 12, 3, 3), "fields")
        tripled = {"kirchhoff": 3e4 * torch.eye(3).expand(3, 2, 3, 3)}
        view = describe(replace(twice, cell_fields=tripled))
        names = [name for name in view.fields if "pressure" in name]
        assert names == ["pressure", "pressure (Kirchhoff)"]
        both = replace(twice, cell_fields={"cauchy": tripled["kirchhoff"]})
        view = describe(both)
        field = view.fields["pressure of cells"]
        assert field.on_cells
        np.testing.assert_allclose(field.values(view.sources[0], 0), [-3e4, -3e4])
        np.testing.assert_allclose(
            view.fields["pressure"].values(view.sources[0], 0), [-1e4 / 8] * 12
        )

    def test_a_stress_of_cells_is_divided_by_their_own_stretch(self) -> None:
        view = describe(pull(block(), 2 * torch.eye(3).expand(3, 2, 3, 3), "cell_fields"))
        got = view.fields["von Mises stress"].values(view.sources[0], 0)
        np.testing.assert_allclose(got, [3e4 / 8] * 2)

    def test_beside_particles_there_are_only_those_of_points(self) -> None:
        other = SimpleNamespace(x=np.random.default_rng(0).uniform(0, 1, (3, 9, 3)))
        view = describe([block(), other])
        assert "heat" not in view.fields
        assert view.radii[0] == 0 < view.radii[1]


def close_to(picture: np.ndarray, colour: np.ndarray) -> int:
    """Pixels of the hue of a colour, in light or shadow."""
    panel = picture[:156].reshape(-1, 3).astype(float)
    hue = colour / np.linalg.norm(colour)
    lit = panel / np.maximum(np.linalg.norm(panel, axis=1), 1)[:, None]
    return int((lit @ hue > 0.995).sum())


@pytest.mark.usefixtures("drawing")
class TestPictures:
    def test_each_cell_has_its_colour(self) -> None:
        picture = screenshot(block(), field="heat", size=SMALL, frame=0)
        table = sequential()
        assert close_to(picture, table[0]) > 300
        assert close_to(picture, table[-1]) > 300
        assert close_to(picture, table[128]) < 20

    def test_nodes_mix_values_and_not_colours(self) -> None:
        field = block().x[:, :, 1]
        picture = screenshot(block(fields={"a": field}), field="a", size=SMALL, frame=0)
        table = sequential()
        assert min(close_to(picture, table[k]) for k in (64, 128, 192)) > 100

    def test_a_value_that_is_missing_is_grey(self) -> None:
        heat = torch.tensor([0.0, float("nan")]).expand(3, 2)
        picture = screenshot(block(cell_fields={"heat": heat}), field="heat", size=SMALL)
        grey = picture[:156].astype(int)
        assert ((np.ptp(grey, axis=-1) < 2) & (abs(grey[..., 0] - MISSING[0]) < 70)).sum() > 300

    def test_it_moves(self) -> None:
        first, again, last = (
            screenshot(block(), field="heat", frame=k, size=SMALL)[:156] for k in (0, 0, 2)
        )
        np.testing.assert_array_equal(first, again)
        assert (first != last).any(-1).mean() > 0.02

    def test_a_node_out_of_sight_stays_where_it_was(self) -> None:
        still = block(x=block().x[:1].expand(3, -1, -1).clone())
        lost = replace(still, x=still.x.clone())
        lost.x[1:, 0] = float("nan")
        first, second = (screenshot(one, field="heat", size=SMALL) for one in (still, lost))
        np.testing.assert_array_equal(first, second)
        lost.x[0, 0] = float("nan")
        assert screenshot(lost, field="heat", size=SMALL).shape == (240, 320, 3)

    @pytest.mark.parametrize("ending", ["npz", "vtkhdf"])
    def test_from_a_file_beside_memory(self, tmp_path: Path, ending: str) -> None:
        path, box = tmp_path / f"a.{ending}", {"domain": "[[0, 0, 0], [3, 1, 1]]"}
        trajectory = block(metadata=box)
        trajectory.save(path)
        for field in ("heat", "height"):
            picture = screenshot([path, trajectory], field=field, size=(400, 240))
            left, right = picture[40:150, 2:198], picture[40:150, 202:398]
            assert np.abs(left.astype(int) - right).mean() < 1.0

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind(self, kind: str) -> None:
        x = torch.tensor(unit(kind), dtype=torch.float32)[None]
        cells = Cells(kind, torch.arange(x.shape[1])[None])
        one = Trajectory(
            torch.zeros(1), x, cells=cells, cell_fields={"heat": torch.ones(1, 1)},
            metadata={"domain": "[[0, 0, 0], [1, 1, 1]]"},
        )  # fmt: skip
        picture = screenshot(one, field="heat", limits=(0.0, 1.0), size=SMALL, up="z")
        assert close_to(picture, sequential()[-1]) > 300

    def test_a_movie(self, tmp_path: Path) -> None:
        assert movie(block(), tmp_path / "a.mp4", field="heat", size=(160, 120)) == 3
