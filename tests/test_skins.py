# SPDX-License-Identifier: Apache-2.0
"""Skins around particles, and cuts through meshes: where they are, and what they show."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import warp as wp
from scipy.spatial import ConvexHull
from test_mesh_viewer import SOLID, block, unit

from rheograd.engine.cells import Cells
from rheograd.viewer.drawing.reconstruction import Reconstruction, _smooth
from rheograd.viewer.drawing.section import Section
from rheograd.viewer.looks import Clip
from rheograd.viewer.source import Source
from rheograd.viewer.view import describe

pyvista = pytest.importorskip("pyvista")


def cube(side: int = 12, shift: float = 0.0) -> np.ndarray:
    """Particles (n, 3) in the middle of the cells of a cube from 0 to 1."""
    line = (np.arange(side) + 0.5) / side + shift
    return np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)


def made(x: np.ndarray, clip: Clip | None = None, **more: Any) -> tuple[Any, np.ndarray]:
    """The skin as a mesh of triangles, and which particles it covers, at the last of frames x."""
    frames = x if x.ndim == 3 else x[None]
    run = SimpleNamespace(x=frames, time=np.arange(len(frames)), **more)
    view = describe(run, field="initial height")
    skin = Reconstruction(view.sources[0])
    covered = skin.show(len(frames) - 1, view.scale("initial height"), clip)
    return pyvista.wrap(skin.actor.GetMapper().GetInput()), covered


class TestParticles:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_the_skin_is_where_the_body_ends(self, dtype: type) -> None:
        skin, covered = made(cube().astype(dtype))
        assert covered.all() and skin.n_open_edges == 0
        assert skin.volume == pytest.approx(1.0, rel=0.12)
        np.testing.assert_allclose(np.reshape(skin.bounds, (3, 2)), 3 * [[0.0, 1.0]], atol=0.04)
        outward = skin.point_data["Normals"][np.abs(skin.points[:, 1] - 0.5) < 0.2]
        assert np.abs(outward[:, 1]).mean() < 0.1  # the sides stand upright

    def test_it_moves_smoothly_with_the_body(self) -> None:
        volumes = [
            made(np.stack([cube(8), cube(8, shift)]))[0].volume for shift in (0.0, 0.031, 0.2)
        ]
        np.testing.assert_allclose(volumes, volumes[0], rtol=0.02)

    def test_values_are_those_around(self) -> None:
        skin, _ = made(cube())
        values = skin.point_data["value"]
        assert np.isfinite(values).all()
        assert np.abs(values - np.clip(skin.points[:, 1], 0.04, 0.96)).max() < 0.1

    def test_spray_is_left_to_be_drawn_on_its_own(self) -> None:
        x = np.concatenate([cube(), [[2.0, 0.5, 0.5], [np.nan, 0, 0]]])
        skin, covered = made(x)
        assert covered[:-2].all() and not covered[-2:].any()
        assert skin.bounds[1] < 1.1

    def test_a_layer_of_single_particles_has_a_skin(self) -> None:
        line = np.linspace(0, 1, 12)
        x = np.stack([*np.meshgrid(line, line), 0.3 * np.ones((12, 12))], -1).reshape(-1, 3)
        skin, covered = made(x)
        assert covered.mean() > 0.9 and skin.volume > 0

    def test_particles_put_by_chance_leave_no_holes(self) -> None:
        skin, covered = made(np.random.default_rng(0).uniform(0, 1, (3000, 3)))
        assert covered.mean() > 0.99
        assert skin.connectivity("largest").volume > 0.8
        assert skin.connectivity("largest").n_points > 0.97 * skin.n_points

    def test_bodies_that_touch_have_skins_of_their_own(self) -> None:
        x = cube()
        skin, _ = made(x, body=(x[:, 0] > 0.5).astype(int))
        assert skin.split_bodies().n_blocks == 2
        assert made(x)[0].split_bodies().n_blocks == 1

    @pytest.mark.parametrize("axis", range(3))
    @pytest.mark.parametrize("sense", [1, -1])
    def test_a_cut_is_closed_along_the_plane(self, axis: int, sense: int) -> None:
        clip = Clip(axis, 0.41, sense)
        whole, _ = made(cube())
        skin, _ = made(cube(), clip)
        flat = np.abs(skin.points[:, axis] - 0.41) < 1e-3
        # the skin itself is cut by the mapper, so the cap has come on top
        cap = skin.extract_points(flat, adjacent_cells=False).extract_surface(algorithm=None)
        outline = whole.slice(normal=clip.normal, origin=0.41 * np.ones(3)).points
        inside = ConvexHull(np.delete(outline, axis, 1)).volume
        assert cap.area == pytest.approx(inside, rel=0.01) and 1.0 < inside < 1.2
        assert (cap.point_data["Normals"] @ clip.normal > 0.99).all()
        first, second, third = np.moveaxis(cap.points[cap.triangulate().regular_faces], 1, 0)
        turned = np.cross(second - first, third - first) @ clip.normal
        assert turned.min() > -1e-9 and turned.sum() == pytest.approx(2 * cap.area, rel=1e-4)

    def test_one_far_away_does_not_ask_for_all_the_memory(self) -> None:
        skin, covered = made(np.concatenate([cube(), [[1e6, 0.5, 0.5]]]))
        assert covered[:-1].mean() > 0.9 and not covered[-1] and skin.volume > 0.5

    def test_all_gone(self) -> None:
        skin, covered = made(np.stack([cube(), np.full_like(cube(), np.nan)]))
        assert not covered.any() and skin.n_points == 0


def cut_of(run: Any, clip: Clip, field: str | None = None) -> tuple[Any, Any]:
    """The cut through a mesh at its first frame, and the outlines on it."""
    view = describe(run, field=field)
    section = Section(view.sources[0], 1)
    section.place(clip)
    section.show(0, view.scale(view.field))
    found = []
    for actor in (section.actor, section.edges):
        actor.GetMapper().Update()
        found.append(pyvista.wrap(actor.GetMapper().GetInput()))
    return found[0], found[1]


class TestMeshes:
    @pytest.mark.parametrize("kind", SOLID)
    def test_a_cut_through_one_cell(self, kind: str) -> None:
        x = unit(kind)
        run = SimpleNamespace(
            x=x[None], time=np.zeros(1), cells=Cells(kind, torch.arange(len(x))[None])
        )
        face, edges = cut_of(run, Clip(0, 0.3))
        area = 1.0 if kind.startswith("hex") else 0.5 * 0.7**2
        assert face.area == pytest.approx(area, rel=1e-5)
        around = 4.0 if kind.startswith("hex") else 0.7 * (2 + 2**0.5)
        assert edges.length > 0
        assert edges.compute_cell_sizes()["Length"].sum() == pytest.approx(around, rel=1e-5)

    def test_it_has_the_values_inside(self) -> None:
        across, _ = cut_of(block(across=4), Clip(0, 2.5), "heat")
        np.testing.assert_allclose(across.cell_data["value"], 2.0)
        along, edges = cut_of(block(across=4), Clip(1, 0.25), "height")
        np.testing.assert_allclose(along.point_data["value"], 0.25)
        assert along.area == pytest.approx(4.0)
        assert edges.compute_cell_sizes()["Length"].sum() == pytest.approx(2 * 4 + 5)

    def test_beside_the_mesh_there_is_no_cut(self) -> None:
        face, edges = cut_of(block(), Clip(2, 7.0))
        assert face.n_points == edges.n_points == 0


def test_the_width_of_the_grid_is_told_from_the_particles() -> None:
    skin = Reconstruction(Source(SimpleNamespace(x=cube(10)[None], time=np.zeros(1))))
    ((width, inside),) = skin._rests
    assert width == pytest.approx(0.1, rel=0.3) and 0.5 < inside < 1.5


def test_the_kernel_smooths_as_numpy_does() -> None:
    """A GPU takes the one, a CPU the other, which is quicker there."""
    nodes = np.random.default_rng(5).random((9, 7, 8)).astype(np.float32)
    skin = Reconstruction(Source(SimpleNamespace(x=cube()[None])))
    by_kernel = skin._filtered(wp.array(nodes, device="cpu")).numpy()
    by_numpy = nodes.copy()
    _smooth(by_numpy)
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(by_kernel[inner], by_numpy[inner], rtol=1e-6)
    assert np.abs(by_numpy[inner] - nodes[inner]).max() > 0.1
