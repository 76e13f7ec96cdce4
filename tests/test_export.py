# SPDX-License-Identifier: Apache-2.0
"""Runs for other programs: glTF and series of VTK files, read back."""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from glb import Read, read_glb
from motions import meshed, moving
from scipy.spatial.transform import Rotation
from test_window import opened

from rheograd.engine.trajectory import Trajectory
from rheograd.scenes.cli import DONE, main
from rheograd.viewer import display, export
from rheograd.viewer.drawing.skin import skin
from rheograd.viewer.drawing.surroundings import pose
from rheograd.viewer.files import gltf
from rheograd.viewer.view import describe

PLAYED = """
import json
from dataclasses import asdict
from rheograd.viewer import play
tell = lambda shown: print(json.dumps(asdict(shown)), flush=True)
play("run.vtkhdf", paused=True, size=(640, 480), watch=tell)
"""


def positions(read: Read, node: int, primitive: int = 0) -> np.ndarray:
    return read.arrays[read.mesh_of(node)[primitive]["attributes"]["POSITION"]]


def colours(read: Read, node: int) -> np.ndarray:
    return read.arrays[read.mesh_of(node)[0]["attributes"]["COLOR_0"]]


def as_on_a_screen(linear: np.ndarray) -> np.ndarray:
    """Colours of glTF, uint8, as a screen has them."""
    part = linear[:, :3] / 255
    return 255 * np.where(part <= 0.0031308, 12.92 * part, 1.055 * part ** (1 / 2.4) - 0.055)


def rows(values: torch.Tensor) -> np.ndarray:
    """As VTK has them: tensors in rows of nine."""
    return (values.flatten(1) if values.ndim > 1 else values).numpy()


def expected(run: Any, field: str, frame: int) -> np.ndarray:
    view = describe(run, field=field)
    return view.scale(field).colours(view.sources[0], frame)


class TestGltf:
    def test_one_frame_at_a_time_is_shown_where_it_was(self, tmp_path: Path) -> None:
        run = meshed(frames=5, kind="tet4")
        export(run, tmp_path / "run.glb")
        read = read_glb(tmp_path / "run.glb")
        assert run.cells is not None
        found = skin("tet4", run.cells.nodes.numpy())
        for k in range(5):
            node = read.shown((k + 0.5) / 30)
            assert read.content["nodes"][node]["name"] == f"frame {k}"
            np.testing.assert_array_equal(positions(read, node), run.x[k].numpy()[found.points])
            faces = read.arrays[read.mesh_of(node)[0]["indices"]].reshape(-1, 3)
            np.testing.assert_array_equal(faces, found.triangles)
            edges = read.arrays[read.mesh_of(node)[1]["indices"]].reshape(-1, 2)
            np.testing.assert_array_equal(edges, found.edges)
        ends = [
            read.arrays[s["input"]][-1] for s in read.content["animations"][0]["samplers"]
        ]  # fmt: skip
        assert max(ends) == pytest.approx(5 / 30)
        assert read.content["asset"]["version"] == "2.0"
        assert "extensionsUsed" not in read.content

    def test_before_it_plays_only_the_first_frame_is_seen(self, tmp_path: Path) -> None:
        export(moving(frames=4), tmp_path / "run.glb")
        read = read_glb(tmp_path / "run.glb")
        scales = [read.content["nodes"][k].get("scale") for k in read.frames()]
        assert scales == [None, [0, 0, 0], [0, 0, 0], [0, 0, 0]]

    def test_colours_are_those_of_the_viewer(self, tmp_path: Path) -> None:
        run = moving(frames=3, particles=40)
        export(run, tmp_path / "run.glb", field="J")
        read = read_glb(tmp_path / "run.glb")
        for k in range(3):
            shown = as_on_a_screen(colours(read, read.shown((k + 0.5) / 30))[::12])
            assert np.abs(shown - expected(run, "J", k)).max() < 7  # of 255: dark ones are coarse
        assert read.content["scenes"][0]["extras"]["colours"] == "J [-]"

    @pytest.mark.parametrize("kind", ["tet10", "hex8", "quad9", "hex27"])
    def test_cells_have_a_colour_each(self, tmp_path: Path, kind: str) -> None:
        run = meshed(frames=2, kind=kind, count=3)
        export(run, tmp_path / "run.glb", field="damage")
        read = read_glb(tmp_path / "run.glb")
        assert run.cells is not None
        found = skin(kind, run.cells.nodes.numpy())
        node = read.shown(1.5 / 30)
        corners = positions(read, node).reshape(-1, 3, 3)
        np.testing.assert_array_equal(corners, run.x[1].numpy()[found.points][found.triangles])
        shown = as_on_a_screen(colours(read, node)).reshape(-1, 3, 3)
        assert (shown == shown[:, :1]).all()
        each = expected(run, "damage", 1)
        ends = positions(read, node)[read.arrays[read.mesh_of(node)[1]["indices"]]]
        np.testing.assert_array_equal(
            ends.reshape(-1, 2, 3), run.x[1].numpy()[found.points][found.edges]
        )
        for corner, tint in zip(corners, shown[:, 0], strict=True):
            nodes = {int(np.flatnonzero((run.x[1].numpy() == one).all(1))[0]) for one in corner}
            owners = [k for k, own in enumerate(run.cells.nodes.tolist()) if nodes <= set(own)]
            assert min(np.abs(tint - each[owner]).max() for owner in owners) < 7

    def test_particles_are_spheres_and_those_out_of_sight_are_not_there(
        self, tmp_path: Path
    ) -> None:
        x = np.random.default_rng(0).random((3, 5, 3))
        x[1, 2] = np.nan
        run = SimpleNamespace(x=x, time=np.arange(3.0), metadata={"spacing": "0.1"})
        export(run, tmp_path / "run.glb", speed=1.0)
        read = read_glb(tmp_path / "run.glb")
        radius = describe(run).radii[0]
        for k, seen in enumerate(([0, 1, 2, 3, 4], [0, 1, 3, 4], [0, 1, 2, 3, 4])):
            balls = positions(read, read.shown(k + 0.5)).reshape(-1, 12, 3)
            np.testing.assert_allclose(balls.mean(1), x[k, seen], atol=1e-6)
            far = np.linalg.norm(balls - balls.mean(1, keepdims=True), axis=-1)
            np.testing.assert_allclose(far, radius, rtol=1e-4)
            (ball,) = read.mesh_of(read.shown(k + 0.5))
            assert len(read.arrays[ball["indices"]]) == len(seen) * 60
            normals = read.arrays[ball["attributes"]["NORMAL"]]
            out = (balls.reshape(-1, 3) - np.repeat(x[k, seen], 12, 0)) / radius
            np.testing.assert_allclose(normals, out, atol=1e-4)
        assert read.content["animations"][0]["extras"] == {"seconds": 2.0}

    def test_triangles_of_spheres_are_seen_from_outside(self) -> None:
        corners, faces = gltf.icosahedron()
        a, b, c = np.moveaxis(corners[faces], 1, 0)
        assert (np.einsum("fi,fi->f", np.cross(b - a, c - a), a) > 0).all()
        assert len({frozenset(face) for face in faces.tolist()}) == 20
        np.testing.assert_allclose(np.linalg.norm(corners, axis=1), 1)

    def test_very_many_are_points(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gltf, "_SPHERES", 1000)
        run = moving(frames=2, particles=30)
        assert "points" in export(run, tmp_path / "run.glb")
        read = read_glb(tmp_path / "run.glb")
        (dots,) = read.mesh_of(read.shown(1.5 / 30))
        assert dots["mode"] == 0
        np.testing.assert_array_equal(read.arrays[dots["attributes"]["POSITION"]], run.x[1])

    @pytest.mark.parametrize("up", ["x", "-y", "z"])
    def test_up_is_y(self, tmp_path: Path, up: str) -> None:
        export(moving(), tmp_path / "run.glb", up=up)
        read = read_glb(tmp_path / "run.glb")
        turn = Rotation.from_quat(read.at(read.root, "rotation", 0))
        upward = np.eye(3)["xyz".index(up[-1])] * (-1 if up[0] == "-" else 1)
        np.testing.assert_allclose(turn.apply(upward), [0, 1, 0], atol=1e-12)

    def test_two_runs_stand_side_by_side_on_one_clock(self, tmp_path: Path) -> None:
        fine = moving(frames=5)
        coarse = fine.pick(torch.tensor([0, 4]))
        export([fine, coarse], tmp_path / "run.glb", titles=["a", "b"], up="y")
        read = read_glb(tmp_path / "run.glb")
        first, second = read.children(read.root)
        assert [read.content["nodes"][k]["name"] for k in (first, second)] == ["a", "b"]
        size = (fine.x.amax((0, 1)) - fine.x.amin((0, 1)))[0]
        assert read.at(second, "translation", 0)[0] == pytest.approx(1.15 * float(size), rel=1e-5)
        assert [len(read.frames(panel)) for panel in (0, 1)] == [5, 2]
        for k, own in enumerate((0, 0, 0, 1, 1)):
            node = read.shown((k + 0.5) / 30, 1)
            if k != 2:  # halfway either is the nearest
                assert read.content["nodes"][node]["name"] == f"frame {own}"

    def test_colliders_move_and_the_domain_is_there(self, tmp_path: Path) -> None:
        ball = {
            "kind": "sphere", "centre": [0.2, 0.3, 0.4], "radius": 0.1,
            "path": [[0, 0, 0.1 * k] for k in range(5)],
            "turn": [[0, 0, float(np.sin(0.2 * k)), float(np.cos(0.2 * k))] for k in range(5)],
        }  # fmt: skip
        run = moving()
        told = {"domain": "[[0,0,0],[1,2,3]]", "colliders": json.dumps([ball])}
        run = replace(run, metadata={**run.metadata, **told})
        export(run, tmp_path / "run.glb")
        read = read_glb(tmp_path / "run.glb")
        nodes = read.children(read.children(read.root)[0])
        named = {read.content["nodes"][k]["name"]: k for k in nodes}
        box = positions(read, named["domain"])
        np.testing.assert_array_equal([box.min(0), box.max(0)], [[0, 0, 0], [1, 2, 3]])
        point = positions(read, named["sphere"])[5]
        for k in range(5):
            turn, shift = (
                read.at(named["sphere"], what, (k + 0.5) / 30)
                for what in ("rotation", "translation")
            )
            there = Rotation.from_quat(turn).apply(point) + shift
            np.testing.assert_allclose(
                there, (pose(ball, k) @ [*point, 1])[:3], atol=1e-5
            )  # fmt: skip

    def test_a_part_of_a_run_begins_at_its_first_frame_and_ends_with_its_last(
        self, tmp_path: Path
    ) -> None:
        path = [[0, 0.1 * k * k, 0] for k in range(7)]
        ball = {"kind": "sphere", "centre": [0.2, 0.3, 0.4], "radius": 0.1, "path": path}
        run = moving(frames=7)
        times = torch.tensor([0.0, 0.1, 0.2, 0.4, 0.5, 0.8, 0.9], dtype=torch.float64)
        told = {**run.metadata, "colliders": json.dumps([ball])}
        run = replace(run, time=times, metadata=told)
        coarse = replace(
            run.pick(torch.tensor([0, 3, 5])),
            metadata={**told, "colliders": json.dumps([{**ball, "path": path[:3]}])},
        )
        export([run, coarse], tmp_path / "a.glb", frames=(1, 5), every=2, speed=0.5)
        read = read_glb(tmp_path / "a.glb")
        starts = [0.0, 0.6, 1.4]  # of the frames at 0.1, 0.4 and 0.8 s, at half the speed
        for k, own in enumerate((1, 3, 5)):
            node = read.shown(starts[k] + 1e-3)
            assert read.content["nodes"][node]["name"] == f"frame {own}"
        (animation,) = read.content["animations"]
        ends = [read.arrays[one["input"]][-1] for one in animation["samplers"]]
        assert max(ends) == pytest.approx(1.4 + 0.8)  # as long as the one before
        assert animation["extras"]["seconds"] == pytest.approx(0.7)
        for panel, frames in ((0, (1, 3, 5)), (1, (0, 1, 2))):
            nodes = read.children(read.children(read.root)[panel])
            (sphere,) = [k for k in nodes if read.content["nodes"][k]["name"] == "sphere"]
            for start, frame in zip(starts, frames, strict=True):
                at = read.at(sphere, "translation", start + 1e-3)
                np.testing.assert_allclose(at, path[frame], atol=1e-6)

    def test_spheres_have_the_radius_and_things_the_colour_of_the_viewer(
        self, tmp_path: Path
    ) -> None:
        told = {"domain": "[[0,0,0],[1,2,3]]", "spacing": "0.05"}
        run = replace(moving(frames=2), metadata=told)
        export(run, tmp_path / "a.glb", field="J")
        read = read_glb(tmp_path / "a.glb")
        (radius,) = describe(run).radii
        balls = positions(read, read.frames()[0]).reshape(-1, 12, 3)
        far = np.linalg.norm(balls - balls.mean(1, keepdims=True), axis=-1)
        np.testing.assert_allclose(far, radius, rtol=1e-4)
        grey = [0x9A / 255, 0xA5 / 255, 0xB1 / 255]  # of the box, as light: sRGB to the power 2.4
        linear = [((part + 0.055) / 1.055) ** 2.4 for part in grey]
        tints = [
            one["pbrMetallicRoughness"]["baseColorFactor"] for one in read.content["materials"]
        ]
        assert any(np.allclose(tint, [*linear, 1.0], atol=1e-6) for tint in tints)

    def test_trimesh_opens_it(self, tmp_path: Path) -> None:
        import trimesh

        run = meshed(frames=3)
        export(run, tmp_path / "mesh.glb")
        scene: Any = trimesh.load(tmp_path / "mesh.glb")
        solids = [one for one in scene.geometry.values() if isinstance(one, trimesh.Trimesh)]
        assert len(solids) == 3
        got = sorted(tuple(np.round(one.bounds.ravel(), 5)) for one in solids)
        want = sorted(
            tuple(np.round(torch.stack([x.amin(0), x.amax(0)]).numpy().ravel(), 5)) for x in run.x
        )
        np.testing.assert_allclose(got, want, atol=2e-5)

    def test_what_would_be_too_large_is_refused_with_what_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gltf, "LARGEST", 2000)
        run = moving(frames=50, particles=6)
        with pytest.raises(ValueError, match=r"got 50 frames.*--every 50.*\.pvd"):
            export(run, tmp_path / "run.glb")
        assert list(tmp_path.iterdir()) == []
        export(run, tmp_path / "run.glb", every=50)


class TestSeries:
    @pytest.mark.parametrize("run", [moving(), meshed()], ids=["particles", "mesh"])
    def test_pyvista_finds_all_that_was_recorded(self, tmp_path: Path, run: Trajectory) -> None:
        import pyvista

        run = replace(run, totals={"kinetic": torch.rand(5, dtype=torch.float64)})
        run.save(tmp_path / "in.vtkhdf")
        export(tmp_path / "in.vtkhdf", tmp_path / "run.pvd")
        reader: Any = pyvista.get_reader(tmp_path / "run.pvd")
        np.testing.assert_array_equal(reader.time_values, run.time)
        assert len(list((tmp_path / "run").iterdir())) == 5
        for k, when in enumerate(reader.time_values):
            reader.set_active_time_value(when)
            (data,) = reader.read()
            np.testing.assert_array_equal(data.points, run.x[k])
            assert run.v is not None
            np.testing.assert_array_equal(data.point_data["v"], run.v[k])
            np.testing.assert_array_equal(data.point_data["body"], run.body)
            for name, values in run.fields.items():
                np.testing.assert_array_equal(data.point_data[name], rows(values[k]))
            for name, values in run.cell_fields.items():
                np.testing.assert_array_equal(data.cell_data[name], rows(values[k]))
            assert data.field_data["TimeValue"] == run.time[k]
            assert data.field_data["kinetic"] == run.totals["kinetic"][k]
            if run.cells is not None:
                np.testing.assert_array_equal(data.cell_connectivity, run.cells.nodes.flatten())

    @pytest.mark.parametrize(("kind", "named"), [("hex20", "hexahedron20"), ("tri6", "triangle6")])
    def test_meshio_finds_the_cells(self, tmp_path: Path, kind: str, named: str) -> None:
        import meshio

        run = meshed(frames=2, kind=kind)
        export(run, tmp_path / "run.pvd")
        held = meshio.read(tmp_path / "run" / "run_001.vtu")
        assert run.cells is not None
        np.testing.assert_array_equal(held.cells_dict[named], run.cells.nodes)
        np.testing.assert_array_equal(held.points, run.x[1])
        np.testing.assert_array_equal(held.cell_data["damage"][0], run.cell_fields["damage"][1])

    def test_some_frames_keep_their_times(self, tmp_path: Path) -> None:
        import xml.etree.ElementTree as tree

        import pyvista

        run = moving(frames=7)
        run = replace(run, time=torch.tensor([0.0, 0.1, 0.2, 0.4, 0.5, 0.8, 0.9]).double())
        export(run, tmp_path / "a.pvd", frames=(1, 5), every=2)
        listed = tree.parse(tmp_path / "a.pvd").findall(".//DataSet")
        assert [float(one.attrib["timestep"]) for one in listed] == run.time[[1, 3, 5]].tolist()
        for one, frame in zip(listed, (1, 3, 5), strict=True):
            held: Any = pyvista.read(tmp_path / one.attrib["file"])
            np.testing.assert_array_equal(held.points, run.x[frame])
            assert held.field_data["TimeValue"] == run.time[frame]

    def test_markers_out_of_sight_are_left_out(self, tmp_path: Path) -> None:
        import pyvista

        x = np.random.default_rng(0).random((2, 4, 3))
        x[1, 1] = np.nan
        export(SimpleNamespace(x=x, time=np.arange(2.0)), tmp_path / "run.pvd")
        held: Any = pyvista.read(tmp_path / "run" / "run_001.vtp")
        np.testing.assert_array_equal(held.points, x[1, [0, 2, 3]])
        np.testing.assert_array_equal(held["particle"], [0, 2, 3])

    def test_one_frame_at_a_time_is_in_memory(self, tmp_path: Path) -> None:
        held, alive = moving(frames=40), []

        class Disk:
            fields: ClassVar[dict] = {}
            particles = held.particles
            time, body, metadata = held.time, held.body, held.metadata

            def __len__(self) -> int:
                return len(held)

            def frame(self, k: int) -> dict[str, Any]:
                x = held.x[k].numpy().copy()
                alive.append(weakref.ref(x))
                assert sum(one() is not None for one in alive) < 10
                return {"x": x}

        export(Disk(), tmp_path / "run.pvd")
        assert len(alive) >= 40

    def test_a_failure_leaves_nothing_new(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from rheograd.viewer.files import series

        export(moving(), tmp_path / "run.pvd")
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        good = series.dataset

        def fails(source: Any, frame: int) -> Any:
            if frame == 3:
                raise ValueError("no more room")
            return good(source, frame)

        monkeypatch.setattr(series, "dataset", fails)
        with pytest.raises(ValueError, match="no more room"):
            export(moving(), tmp_path / "run.pvd")
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


class TestCommand:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Path:
        moving(frames=9).save(tmp_path / "run.vtkhdf")
        return tmp_path / "run.vtkhdf"

    def test_writes_without_any_display(
        self, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(display, "_answer", lambda: ("", ""))
        words = ["view", str(run), "--export", str(run.with_name("a.glb"))]
        assert main([*words, "--frames", "2,-2", "--every", "3", "--colour", "J"]) == DONE
        assert "a.glb: 2 frames of spheres, coloured by J" in capsys.readouterr().err
        read = read_glb(run.with_name("a.glb"))
        names = [read.content["nodes"][k]["name"] for k in read.frames()]
        assert names == ["frame 2", "frame 5"]

    def test_never_writes_over_what_is_there(
        self, run: Path, refuse: Callable[..., str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        pvd = run.with_name("a.pvd")
        assert main(["view", str(run), "--export", str(pvd)]) == DONE
        capsys.readouterr()
        assert "is there already: add --force" in refuse("view", run, "--export", pvd)
        pvd.unlink()
        assert "a_000.vtp is there already" in refuse("view", run, "--export", pvd)
        words = ["view", str(run), "--export", str(pvd), "--force", "--every", "4"]
        assert main(words) == DONE
        capsys.readouterr()
        assert sorted(p.name for p in pvd.with_suffix("").iterdir()) == [
            "a_000.vtp", "a_004.vtp", "a_008.vtp"
        ]  # fmt: skip
        (pvd.with_suffix("") / "thesis.tex").touch()
        told = refuse("view", run, "--export", pvd, "--force")
        assert "holds thesis.tex, expected a folder for the frames of a.pvd alone" in told

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--export", "a.obj"), "got the type '.obj', expected .glb"),
            (("--export", "a.glb", "--browser"), "got --browser and --export"),
            (("--every", "2"), "got --every without --export"),
            (("--export", "a.glb", "--frames", "3,9"), "got 3 to 9, expected a first"),
            (("--export", "a.glb", "--frames", "5,4"), "got 5 to 4"),
            (("--export", "a.glb", "--every", "0"), "got 0, expected 1 or more"),
            (("--export", "a.glb", "--speed", "-1"), "expected a positive number"),
        ],
    )
    def test_bad_requests(
        self, run: Path, refuse: Callable[..., str], monkeypatch: pytest.MonkeyPatch,
        words: tuple[str, ...], message: str,
    ) -> None:  # fmt: skip
        monkeypatch.chdir(run.parent)
        assert message in refuse("view", run, *words)
        assert [p.name for p in run.parent.iterdir()] == ["run.vtkhdf"]

    @pytest.mark.parametrize("mesh", [False, True], ids=["particles", "mesh"])
    def test_keys_of_the_window_save_the_shape_shown(self, tmp_path: Path, mesh: bool) -> None:
        import pyvista

        run = meshed(frames=4) if mesh else moving(frames=4)
        run.save(tmp_path / "run.vtkhdf")
        ending = ".vtu" if mesh else ".vtp"
        with opened(tmp_path, PLAYED) as window:
            window.do("key", "Right", "key", "Right", "key", "c")
            window.until(lambda told: told["frame"] == 2 and told["field"] == "displacement")
            window.do("key", "w", "key", "shift+w", "key", "w")
            for _ in range(200):
                if (tmp_path / "rheograd-2.glb").exists():
                    break
                time.sleep(0.05)
            window.do("key", "Escape")
            assert window.process.wait(10) == 0
        names = sorted(p.name for p in tmp_path.glob("rheograd-*"))
        assert names == ["rheograd-1.glb", f"rheograd-1{ending}", "rheograd-2.glb"]
        held: Any = pyvista.read(tmp_path / f"rheograd-1{ending}")
        np.testing.assert_array_equal(held.points, run.x[2])
        read = read_glb(tmp_path / "rheograd-1.glb")
        assert [read.content["nodes"][k]["name"] for k in read.frames()] == ["frame 2"]
        assert read.content["scenes"][0]["extras"]["colours"].startswith("displacement")
        assert "animations" not in read.content

    def test_a_series_is_of_one_run(self, run: Path, refuse: Callable[..., str]) -> None:
        told = refuse("view", run, run, "--export", run.with_name("a.pvd"))
        assert "got 2 trajectories, expected one" in told
