# SPDX-License-Identifier: Apache-2.0
"""What is picked: by pixel, by number, as it is told, charted and written."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imageio.v3
import numpy as np
import pytest
import torch
from test_mesh_viewer import block
from test_viewer import BOX, falling, recorded

from rheograd.engine.cells import Cells
from rheograd.engine.trajectory import Trajectory, TrajectoryReader
from rheograd.scenes.cli import BAD_INPUT, main
from rheograd.viewer import Looks, display, movie, screenshot
from rheograd.viewer.drawing import bodies
from rheograd.viewer.picked.history import Histories, write_new
from rheograd.viewer.picked.marks import colour_of
from rheograd.viewer.picked.picking import MOST, Pick, picks_of, repicked
from rheograd.viewer.playback import Playback
from rheograd.viewer.source import numpy_of
from rheograd.viewer.stage import Stage, plotter_for
from rheograd.viewer.view import describe

SIZE = (640, 480)


@contextmanager
def staged(
    trajectories: Any, size: tuple[int, int] = SIZE, *, most: int | None = None, **how: Any
) -> Iterator[Stage]:
    """The first frame, drawn off screen."""
    if not display.render_window():
        pytest.skip("nothing can be drawn here: install libegl1 and libgl1-mesa-dri, or libosmesa6")
    view = describe(trajectories, **how)
    plotter = plotter_for(view, size, off_screen=True)
    try:
        stage = Stage(plotter, view, most=most)
        drawn(stage)
        yield stage
    finally:
        plotter.close()


def drawn(stage: Stage, frame: int = 0) -> np.ndarray:
    """The picture of a frame (height, width, 3)."""
    stage.show(frame)
    stage.plotter.render_window.Render()
    return stage.plotter.screenshot(return_img=True)


def pixels(stage: Stage, x: np.ndarray, panel: int = 0) -> np.ndarray:
    """Where VTK puts points (n, 3) in the window, from its lower left, and how deep (n, 3)."""
    renderer, found = stage.plotter.renderers[panel], []
    for point in np.asarray(x, float):
        renderer.SetWorldPoint(*point, 1.0)
        renderer.WorldToDisplay()
        found.append(renderer.GetDisplayPoint())
    return np.array(found)


def front(stage: Stage, x: np.ndarray, panel: int = 0) -> tuple[int, tuple[int, int]]:
    """The nearest of x (n, 3), which nothing hides, and its pixel."""
    at = pixels(stage, x, panel)
    nearest = int(at[:, 2].argmin())
    return nearest, (round(at[nearest, 0]), round(at[nearest, 1]))


def struck(stage: Stage, x: np.ndarray, at: tuple[int, int], panel: int = 0) -> int:
    """Which sphere about x (n, 3) the line of sight of a pixel meets first; -1 if it is none."""
    renderer, radius = stage.plotter.renderers[panel], stage.view.radii[panel]
    renderer.SetDisplayPoint(at[0] + 0.5, at[1] + 0.5, 0.5)
    renderer.DisplayToWorld()
    beyond = np.array(renderer.GetWorldPoint())
    camera = np.array(renderer.camera.position)
    along = beyond[:3] / beyond[3] - camera
    along /= np.linalg.norm(along)
    ahead = (x - camera) @ along
    off = ((x.astype(float) - camera) ** 2).sum(-1) - ahead**2
    depth = ahead - np.sqrt(np.maximum(radius**2 - off, 0))
    depth[off > radius**2] = np.inf
    return int(depth.argmin()) if np.isfinite(depth).any() else -1


def close_to(picture: np.ndarray, at: Any, colour: Any, reach: int = 50, off: int = 40) -> int:
    """Pixels of about a colour around a place, from the lower left."""
    x, y = round(at[0]), picture.shape[0] - 1 - round(at[1])
    part = picture[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach].astype(int)
    return int((np.abs(part - np.array(colour)).max(-1) < off).sum())


def scattered(count: int, frames: int = 3, **changes: Any) -> Any:
    x = np.random.default_rng(3).uniform(0.2, 0.8, (count, 3)).astype(np.float32)
    growth = np.linspace(1, 1.2, frames, dtype=np.float32)[:, None, None]
    return SimpleNamespace(
        **{"x": x * growth, "time": np.linspace(0, 1, frames), "metadata": BOX, **changes}
    )


class TestByPixel:
    @pytest.mark.parametrize("cloud", [False, True])
    def test_the_nearest_sphere_on_the_line_of_sight(
        self, cloud: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bodies, "without_gpu", lambda: cloud)
        monkeypatch.setattr(bodies, "_MANY", 100)
        run = scattered(300)
        with staged(run) as stage:
            assert isinstance(stage.bodies[0], bodies.Cloud) is cloud
            for x, y, _ in pixels(stage, run.x[0])[::7]:
                at = round(x), round(y)
                found, expected = stage.inspector.find(*at), struck(stage, run.x[0], at)
                assert found == Pick(0, expected) or expected == -1

    def test_beside_a_body_there_is_nothing_and_next_to_it_something(self) -> None:
        run = scattered(1, x=np.full((3, 1, 3), 0.5))
        with staged(run) as stage:
            ((x, y, _),) = pixels(stage, run.x[0])
            x, y, find = round(x), round(y), stage.inspector.find
            radius = next(r for r in range(1, 99) if find(x + r, y) is None)
            row = drawn(stage)[SIZE[1] - 1 - y].astype(int)
            edge = next(r for r in range(1, 99) if np.ptp(row[x + r]) < 40)
            assert edge + 2 <= radius <= edge + 6  # pixels beside it count
            assert find(x, y - 4 * radius) is None  # the floor
            assert stage.inspector.find(5, 5) is None  # the strip

    def test_what_a_collider_hides_is_not_found(self) -> None:
        wall = {"kind": "box", "centre": [0.5, 0.5, 0.95], "size": [0.6, 0.6, 0.02]}
        hidden = scattered(8, metadata={**BOX, "colliders": json.dumps([wall])})
        for run, seen in ((scattered(8), True), (hidden, False)):
            with staged(run) as stage:
                stage.look(1)
                drawn(stage)
                _, (x, y) = front(stage, run.x[0])
                assert (stage.inspector.find(x, y) is not None) is seen

    def test_in_each_panel(self) -> None:
        first, second = scattered(40), scattered(30)
        with staged([first, second]) as stage:
            for panel, run in enumerate((first, second)):
                number, at = front(stage, run.x[0], panel)
                assert stage.inspector.find(*at) == Pick(panel, number)

    def test_many_particles_of_which_some_are_drawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "without_gpu", lambda: False)
        run = scattered(4000)
        with staged(run, most=50) as stage:
            body = stage.bodies[0]
            assert isinstance(body, bodies.Particles) and not isinstance(body.kept, slice)
            drawn(stage)
            number, at = front(stage, run.x[0][body.kept])
            found = stage.inspector.find(*at)
            assert found is not None and found.point == body.kept[number]

    def test_a_particle_beneath_a_skin(self) -> None:
        grid = np.stack(np.meshgrid(*[np.linspace(0.3, 0.7, 12)] * 3), -1).reshape(1, -1, 3)
        run = scattered(1, x=np.repeat(grid, 3, 0).astype(np.float32))
        with staged(run) as stage:
            stage.dress(Looks(shape="surface"))
            stage.look(1)  # straight at a face, from which the skin stands off
            drawn(stage)
            for place in ((0.5, 0.5, 0.7), (0.62, 0.41, 0.7)):
                ((x, y, _),) = pixels(stage, np.array([place]))
                found = stage.inspector.find(round(x), round(y))
                assert found is not None
                assert np.linalg.norm(run.x[0, found.point] - place) < 0.05  # spacing 0.036
            stage.dress(Looks())
            drawn(stage)
            assert stage.inspector.find(5, 5) is None

    def test_a_node_and_its_element(self) -> None:
        mesh = block(4)
        assert mesh.cells is not None
        nodes = numpy_of(mesh.cells.nodes)
        for frame in (0, 2):
            with staged(mesh) as stage:
                drawn(stage, frame)
                x = numpy_of(mesh.x[frame])
                number, at = front(stage, x)
                found = stage.inspector.find(*at)
                assert found is not None and found.point == number and number in nodes[found.cell]
                for cell in range(4):  # from the middle of its upper side, a bit toward a corner
                    side = x[nodes[cell]][x[nodes[cell]][:, 1] > 0.5]
                    middle = 0.9 * side.mean(0) + 0.1 * side[2]
                    ((px, py, _),) = pixels(stage, middle[None])
                    found = stage.inspector.find(round(px), round(py))
                    assert found is not None and found.cell == cell
                    assert np.allclose(x[found.point], side[2])

    def test_curved_elements(self) -> None:
        row = torch.arange(9)[None]
        place = [(0, 0), (2, 0), (2, 2), (0, 2), (1, 0), (2, 1), (1, 2), (0, 1), (1, 1)]
        x = torch.tensor([[(a, b, 0.1 * a * b) for a, b in place]]).float()
        mesh = Trajectory(torch.zeros(1).double(), x, cells=Cells("quad9", row))
        with staged(mesh) as stage:
            for node in (8, 4, 7):
                ((px, py, _),) = pixels(stage, 0.9 * numpy_of(x[0, [node]]) + [[0.1, 0.1, 0.01]])
                assert stage.inspector.find(round(px), round(py)) == Pick(0, node, 0)


class TestWhatIsPicked:
    def test_a_click_replaces_shift_adds_and_takes_away(self) -> None:
        picked: tuple[Pick, ...] = ()
        for point in range(MOST):
            picked = repicked(picked, Pick(0, point), True)
        assert [one.colour for one in picked] == list(range(MOST))
        assert len({colour_of(one.colour) for one in picked}) == MOST
        fewer = repicked(picked, Pick(1, 2), True)
        assert [one.point for one in fewer] == [0, 1, 3, 4, 5]
        assert repicked(fewer, Pick(0, 9), True)[-1] == Pick(0, 9, colour=2)
        assert [one.point for one in repicked(picked, Pick(0, 9), True)] == [1, 2, 3, 4, 5, 9]
        assert repicked(picked, None, True) == picked and repicked(picked, None, False) == ()
        assert repicked(picked, Pick(0, 3), False) == (Pick(0, 3),)

    def test_escape_clears_once(self) -> None:
        playback = Playback(describe(falling()), 0, False)
        playback.pick(Pick(0, 3), False)
        assert playback.press("Escape", False) and playback.shown.picked == ()
        assert not playback.press("Escape", False)
        assert playback.press("t", False) and not playback.shown.chart

    def test_by_number(self) -> None:
        mesh = block(4)
        assert mesh.cells is not None
        assert picks_of(describe(falling()), [3, 63]) == (Pick(0, 3), Pick(0, 63, colour=1))
        assert picks_of(describe(mesh, field="heat"), [2])[0].cell == 2
        node = picks_of(describe(mesh, field="speed"), [2])[0]
        assert node.point == 2 and 2 in numpy_of(mesh.cells.nodes)[node.cell]
        for wrong in ([64], [-1]):
            with pytest.raises(ValueError, match=r"particle .*expected numbers from 0 to 63"):
                picks_of(describe(falling()), wrong)
        with pytest.raises(ValueError, match="got element 4, expected numbers from 0 to 3"):
            picks_of(describe(mesh, field="heat"), [4])
        for wrong in ([1, 1], range(7)):
            with pytest.raises(ValueError, match="expected up to 6, each once"):
                picks_of(describe(falling()), list(wrong))


class TestHistory:
    def check(self, trajectory: Any, number: int) -> None:
        """Each field is what it is of the whole."""
        view = describe(trajectory)
        for name, field in view.fields.items():
            histories = Histories(view)
            histories.ask(name, picks_of(describe(trajectory, field=name), [number]))
            before = histories.value(histories.lines[0].pick, 0, 1)
            histories.finish()
            for line in histories.lines:
                source = view.sources[line.panel]
                whole = [field.values(source, k)[number] for k in range(source.count)]
                np.testing.assert_allclose(line.values, whole, rtol=1e-6, atol=1e-9, err_msg=name)
                if line.panel == 0 and field.local:
                    assert before == pytest.approx(whole[1], nan_ok=True)

    def test_of_each_field(self, tmp_path: Path) -> None:
        run = recorded()
        self.check(run, 17)
        run.save(tmp_path / "run.vtkhdf")
        self.check(tmp_path / "run.vtkhdf", 17)
        self.check(falling(frames=400), 17)  # in several pieces

    def test_of_a_mesh(self, tmp_path: Path) -> None:
        F = torch.eye(3).expand(3, 2, 3, 3) * torch.tensor([1.0, 1.1, 1.2])[:, None, None, None]
        mesh = block(2)
        mesh = block(2, cell_fields={**mesh.cell_fields, "F": F, "tau": 1e4 * F})
        self.check(mesh, 1)
        mesh.save(tmp_path / "mesh.vtkhdf")
        self.check(tmp_path / "mesh.vtkhdf", 1)

    def test_of_several_runs_and_their_error(self) -> None:
        other = falling()
        other.x = other.x + np.linspace(0, 0.1, 11)[:, None, None]
        self.check([falling(), other], 5)
        assert not describe([falling(), other]).fields["error"].local
        view = describe([falling(), falling(side=5), other])
        histories = Histories(view)
        histories.ask("speed", [Pick(0, 5), Pick(1, 6)])
        assert [(line.pick.point, line.panel) for line in histories.lines] == [
            (5, 0), (5, 2), (6, 1)
        ]  # fmt: skip

    def test_a_marker_out_of_sight_leaves_a_gap(self) -> None:
        run = falling()
        run.x[[0, 4, 5], 7] = np.nan
        self.check(run, 7)
        with staged(run) as stage:
            stage.inspector.picked = (Pick(0, 7),)
            drawn(stage, 5)
            drawn(stage, 8)

    def test_it_is_read_in_pieces(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        long = falling(frames=1001, side=2)
        Trajectory(torch.tensor(long.time), torch.tensor(long.x).float()).save(tmp_path / "a.npz")
        Trajectory.load(tmp_path / "a.npz").save(tmp_path / "a.vtkhdf")
        view = describe(tmp_path / "a.vtkhdf")
        read: list[tuple[str, int]] = []
        plain = TrajectoryReader.rows

        def rows(self: Any, name: str, rows: Any, frames: range) -> np.ndarray:
            read.append((name, len(frames)))
            return plain(self, name, rows, frames)

        monkeypatch.setattr(TrajectoryReader, "rows", rows)
        histories = Histories(view)
        histories.ask("displacement", [Pick(0, 3)])
        done = [histories.done]
        while histories.read(1e-9):
            done.append(histories.done)
        assert done[0] == 0 and done[-1] == 1 and len(done) > 5 and done == sorted(done)
        assert sum(count for _, count in read) < 1.2 * 1001
        histories.ask("displacement", [Pick(0, 3, colour=4)])
        assert histories.done == 1  # it is kept

    def test_rows_of_a_file(self, tmp_path: Path) -> None:
        mesh = block(3, frames=5)
        mesh.save(tmp_path / "mesh.vtkhdf")
        with TrajectoryReader(tmp_path / "mesh.vtkhdf") as reader:
            for name, rows in (("x", [3, 0]), ("height", [9]), ("heat", [2, 1])):
                for frames in (range(5), range(1, 3), range(2, 3)):
                    got = reader.rows(name, np.array(rows), frames)
                    want = np.stack([reader.frame(k)[name][rows] for k in frames])
                    np.testing.assert_array_equal(got, want)

    def test_as_a_table(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first, second = falling(frames=11), falling(frames=6)
        second.x = second.x.copy()
        second.x[2, 5, 0] = np.nan
        view = describe([first, second], field="displacement", titles=["a, or so", "b"])
        histories = Histories(view)
        with pytest.raises(ValueError, match="nothing that is picked"):
            histories.table()
        histories.ask("displacement", [Pick(0, 5), Pick(0, 9, colour=1)])
        monkeypatch.chdir(tmp_path)
        (tmp_path / "rheograd-1.csv").write_text("kept")
        assert write_new("rheograd", histories.table()) == "rheograd-2.csv"
        assert (tmp_path / "rheograd-1.csv").read_text() == "kept"
        with open("rheograd-2.csv", newline="") as file:
            head, *rows = csv.reader(file)
        assert head == [
            "time [s]",
            "a, or so: displacement of particle 5 [m]", "b: displacement of particle 5 [m]",
            "a, or so: displacement of particle 9 [m]", "b: displacement of particle 9 [m]",
        ]  # fmt: skip
        assert len(rows) == 11
        for k, row in enumerate(rows):
            assert float(row[0]) == pytest.approx(first.time[k])
            fall = 0.5 * 9.8 * first.time[k] ** 2
            assert [float(row[1]), float(row[3])] == pytest.approx([fall, fall], abs=1e-9)
            assert (row[2] == "") == (k % 2 == 1 or k == 4) and (row[4] == "") == (k % 2 == 1)


class TestPictures:
    def test_the_ring_follows_and_the_chart_marks_the_time(self) -> None:
        run = scattered(60, frames=21)
        with staged(run) as stage:
            number, _ = front(stage, run.x[0])
            plain = drawn(stage)
            stage.inspector.picked = (Pick(0, number),)
            cursors = []
            for frame in (0, 10, 20):
                picture = drawn(stage, frame)
                stage.inspector.finish()
                picture = drawn(stage, frame)
                (at,) = pixels(stage, run.x[frame, [number]])
                assert close_to(picture, at, colour_of(0)) > 25
                left, low, wide, high = stage.inspector._place
                card = picture[SIZE[1] - low - high : SIZE[1] - low, left : left + wide]
                blue = (np.abs(card.astype(int) - (44, 111, 179)).max(-1) < 30).sum(0)
                cursors.append(int(blue.argmax()))
                assert blue.max() > 40
                assert stage.inspector.frame_at(left + cursors[-1], low + high // 3) == frame
            assert cursors[0] < cursors[1] < cursors[2]
            stage.inspector.picked = ()
            assert (drawn(stage) == plain).all()

    def test_the_chart_can_be_hidden_and_covers_no_list_of_keys(self) -> None:
        with staged(scattered(10), field="displacement") as stage:
            inspector = stage.inspector
            inspector.picked = (Pick(0, 1),)
            drawn(stage)
            whole = inspector._place
            inspector.charted = False
            drawn(stage)
            assert 0 < inspector._place[3] < 0.5 * whole[3]
            assert inspector.frame_at(whole[0] + whole[2] / 2, whole[1] + 80) is None
            inspector.charted = inspector.covered = True
            drawn(stage)
            assert not inspector.covers(whole[0] + 5, whole[1] + 5)

    def test_the_words(self) -> None:
        run = recorded()
        run.metadata["bodies"] = '["ball"]'  # type: ignore[index]
        with staged(run, field="von Mises stress") as stage:
            stage.inspector.picked = (Pick(0, 0),)
            drawn(stage, 10)
            words = " ".join(a.GetInput() for a in stage.inspector._words._actors)
            assert "particle 0, ball" in words and "10 kPa" in words
            assert "at (0.3500, 0.1540, 0.3500) m" in words

    def test_an_element_is_outlined(self) -> None:
        mesh = block(4)
        with staged(mesh, field="heat") as stage:
            before = drawn(stage, 2)
            stage.inspector.picked = picks_of(stage.view, [3])
            stage.inspector.charted = False
            after = drawn(stage, 2)
            assert mesh.cells is not None
            corners = numpy_of(mesh.x[2])[numpy_of(mesh.cells.nodes)[3]]
            upper = corners[corners[:, 1] > 0.5]
            for a, b in ((0, 1), (1, 3), (3, 2), (2, 0)):
                (at,) = pixels(stage, (upper[[a]] + upper[[b]]) / 2)
                assert close_to(after, at, colour_of(0), 4) > close_to(before, at, colour_of(0), 4)

    def test_in_a_screenshot_and_a_movie(self, tmp_path: Path) -> None:
        if not display.render_window():
            pytest.skip("nothing can be drawn here")
        run = scattered(30, frames=4)
        plain = screenshot(run, size=SIZE, frame=1)
        marked = screenshot(run, size=SIZE, frame=1, picked=[4])
        with staged(run) as stage:
            ats = [pixels(stage, run.x[frame, [4]])[0] for frame in range(4)]
        assert close_to(marked, ats[1], colour_of(0)) > 25
        assert close_to(plain, ats[1], colour_of(0), off=70) == 0
        assert movie(run, tmp_path / "run.mp4", size=SIZE, picked=[4]) == 4
        for frame, picture in enumerate(imageio.v3.imiter(tmp_path / "run.mp4", plugin="pyav")):
            assert close_to(picture, ats[frame], colour_of(0), off=70) > 12  # of pale colours
        with pytest.raises(ValueError, match="got particle 30"):
            screenshot(run, picked=[30])

    def test_the_command(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        if not display.render_window():
            pytest.skip("nothing can be drawn here")
        run = falling()
        np.savez(tmp_path / "run.npz", x=run.x, time=run.time)
        words = ["view", str(tmp_path / "run.npz"), "--size", "320,240", "--screenshot"]
        assert main([*words, str(tmp_path / "a.png")]) == 0
        assert main([*words, str(tmp_path / "b.png"), "--pick", "3,60"]) == 0
        pictures = [imageio.v3.imread(tmp_path / f"{name}.png") for name in "ab"]
        assert (pictures[0] != pictures[1]).any(-1).mean() > 0.05
        capsys.readouterr()
        for wrong in ("3,64", "x"):
            assert main([*words, str(tmp_path / "c.png"), "--pick", wrong]) == BAD_INPUT
            assert wrong[-1] in capsys.readouterr().err
        assert not (tmp_path / "c.png").exists()
