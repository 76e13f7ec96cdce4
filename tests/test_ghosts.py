# SPDX-License-Identifier: Apache-2.0
"""What was observed, over a run: rings in space, and tracks in their film."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import test_markers
import torch
from motions import meshed, moving
from test_pixel_tracks import SIZE, camera, motion, places, seen_by
from test_viewer import falling
from test_window import opened

from rheograd.engine.trajectory import Trajectory
from rheograd.engine.vision.camera_files import save_camera
from rheograd.engine.vision.tracks import Tracks
from rheograd.engine.vision.video import VideoWriter
from rheograd.scenes.cli import DONE, main
from rheograd.viewer import display, screenshot
from rheograd.viewer.drawing import bodies
from rheograd.viewer.drawing.camera import projected
from rheograd.viewer.observed.ghosts import (
    Ghost,
    Observed,
    Rings,
    ghost_of_markers,
    ghost_of_run,
    rings_and_lines,
)
from rheograd.viewer.observed.tracked_film import TrackedFilm, film_of_run
from rheograd.viewer.source import Source
from rheograd.viewer.stage import Stage, plotter_for
from rheograd.viewer.view import describe

AMBER = (255, 176, 0)
WATCHED = """
import json
from dataclasses import asdict
import rheograd.viewer
from rheograd.scenes.cli import main
played = rheograd.viewer.play
def play(*given, watch, **named):
    def tell(shown):
        watch(shown)
        print(json.dumps(asdict(shown)), flush=True)
    played(*given, paused=True, watch=tell, **named)
rheograd.viewer.play = play
main({words!r})
"""


@pytest.fixture
def drawing() -> None:
    """Skip where nothing can be drawn."""
    if not display.render_window():
        pytest.skip("nothing can be drawn here: install libegl1 and libgl1-mesa-dri, or libosmesa6")


def near(picture: np.ndarray, colour: tuple[int, ...], reach: int = 40) -> np.ndarray:
    """Which pixels have about a colour."""
    return np.asarray((np.abs(picture.astype(int) - colour) < reach).all(-1))


class TestGhost:
    def test_a_run_as_far_from_it_as_it_was_shifted(self) -> None:
        run = falling()
        seen = falling(x=run.x + np.array([0.003, 0.004, 0]) * np.linspace(0, 1, 11)[:, None, None])
        ghost = ghost_of_run(Source(seen), Source(run), "truth")
        assert ghost.places is not None
        for k in (0, 4, 10):
            at = ghost.at(float(run.time[k]))
            assert at is not None
            off = np.linalg.norm(at - ghost.places(run.x[k]), axis=-1)
            np.testing.assert_allclose(off, 0.005 * k / 10, atol=1e-9)

    def test_between_frames_it_is_on_a_straight_line(self) -> None:
        run = falling()
        ghost = ghost_of_run(Source(falling(x=run.x[::2], time=run.time[::2])), Source(run), "")
        at = ghost.at(float(run.time[3]))
        assert at is not None
        np.testing.assert_allclose(at, (run.x[2] + run.x[4]) / 2)
        assert ghost.at(-0.01) is None
        assert ghost.at(0.21) is None

    def test_of_very_many_some_are_drawn_and_it_says_so(self) -> None:
        run = falling(side=6)
        ghost = ghost_of_run(Source(run), Source(run), "truth")
        at = ghost.at(0.0)
        assert at is not None
        assert ghost.title == f"truth, {len(at)} of 216 points"
        assert len(at) == 100

    def test_those_of_very_many_are_held_against_the_same_points(self) -> None:
        run, aside = falling(side=6), np.array([0.003, 0.0, -0.001])
        ghost = ghost_of_run(Source(falling(side=6, x=run.x + aside)), Source(run), "truth")
        at = ghost.at(float(run.time[5]))
        assert at is not None and ghost.places is not None and len(at) == 100
        np.testing.assert_allclose(at - ghost.places(run.x[5]), np.tile(aside, (100, 1)))

    def test_other_points_of_the_same_body_have_no_lines(self) -> None:
        ghost = ghost_of_run(Source(falling(side=5)), Source(falling(side=4)), "truth")
        assert ghost.places is None

    def test_another_body_or_clock_is_refused(self) -> None:
        run = Source(falling(), "run")
        with pytest.raises(ValueError, match=r"expected from .* m, within"):
            ghost_of_run(Source(falling(x=3 * falling().x)), run, "truth")
        late = falling(time=falling().time + 5)
        with pytest.raises(ValueError, match=r"truth: got frames from 5 to 5.2 s.*another clock"):
            ghost_of_run(Source(late), run, "truth")

    def test_markers_are_bound_and_turned_into_the_axes_of_the_run(self) -> None:
        run = test_markers.rigid(test_markers.block())
        ghost = ghost_of_markers(test_markers.bound(), Source(run, "run"), "markers")
        assert ghost.places is not None
        inside = [k for k, t in enumerate(run.time.tolist()) if ghost.at(t) is not None]
        assert len(inside) > 10
        for k in inside[::5]:
            at = ghost.at(float(run.time[k]))
            assert at is not None
            far = np.linalg.norm(ghost.places(run.x[k].numpy()) - at, axis=-1)
            assert far.max() < 1e-4  # lines between frames cut the corners of a swing


class TestRings:
    def test_they_are_where_the_camera_sees_the_points(self, drawing: None) -> None:
        run = falling()
        ghost = ghost_of_run(Source(run), Source(run), "truth")
        view = describe(Observed(run, ghost))
        plotter = plotter_for(view, (400, 300), off_screen=True)
        try:
            stage = Stage(plotter, view)
            stage.show(4)
            stage.turn(25, 10)
            plotter.render_window.Render()
            (_, rings), renderer = stage._rings[0], plotter.renderers[0]
            got = projected(renderer, run.x[4])
            low = np.array(renderer.GetOrigin())
            for point, pixel in zip(run.x[4], got, strict=True):
                renderer.SetWorldPoint(*point, 1.0)
                renderer.WorldToDisplay()
                np.testing.assert_allclose(pixel + low, renderer.GetDisplayPoint()[:2], atol=0.01)
            assert rings.gap == pytest.approx(0, abs=1e-9)
        finally:
            plotter.close()

    @pytest.mark.parametrize("drawn_as", ["spheres", "splats", "mesh"])
    def test_they_stand_over_bodies(
        self, drawing: None, monkeypatch: pytest.MonkeyPatch, drawn_as: str
    ) -> None:
        monkeypatch.setattr(bodies, "without_gpu", lambda: drawn_as == "splats")
        monkeypatch.setattr(bodies, "_MANY", 10)
        run = meshed() if drawn_as == "mesh" else falling()
        plain = screenshot(run, frame=3, size=(480, 360), field="displacement", limits=(5, 6))
        ghost = ghost_of_run(Source(run), Source(run), "truth")
        shown = screenshot(
            Observed(run, ghost), frame=3, size=(480, 360), field="displacement", limits=(5, 6)
        )
        body = (plain[..., 2].astype(int) - plain[..., 1] > 40)[:260]  # the dark end: violet
        ring = near(shown, AMBER)[:260]
        assert ring.sum() > 200
        assert not near(plain, AMBER)[:260].any()
        assert (ring & body).sum() > 50

    def test_lines_go_from_the_rim_to_where_the_run_has_them(self) -> None:
        seen = np.array([(0.0, 0.0), (10, 10), (50, 50), (np.nan, 0)])
        there = np.array([(30.0, 40.0), (11, 10), (np.nan, 0), (1, 1)])
        rings, lines = rings_and_lines(seen, there, 5.0)
        np.testing.assert_allclose(lines, [[(3, 4), (30, 40)]])
        np.testing.assert_allclose(rings.mean(1), seen[:3], atol=1e-12)
        np.testing.assert_allclose(np.linalg.norm(rings[0], axis=-1), 5)

    def test_the_gap_is_the_root_of_the_mean_square(self) -> None:
        from vtkmodules.vtkRenderingCore import vtkRenderer

        run = falling()
        x = run.x.copy()
        x[:, ::2, 2] += 0.004
        x[:, 5] = np.nan
        ghost = Ghost("markers", run.time, lambda k: x[k], lambda x: x)
        rings = Rings(Source(Observed(run, ghost)), vtkRenderer(), 1)
        rings.show(3)
        assert rings.gap == pytest.approx(0.004 * (32 / 63) ** 0.5)
        assert (
            rings._words.GetInput() == "o  markers, 63 of 64 in sight, 2.85 mm from the run (RMS)"
        )

    def test_it_says_how_many_and_how_far(self, drawing: None) -> None:
        run = falling()
        x = run.x + np.array([0.002, 0, 0])
        x[5, :7] = np.nan
        ghost = Ghost("markers", run.time, lambda k: x[k], lambda x: x)
        view = describe(Observed(run, ghost))
        plotter = plotter_for(view, (400, 300), off_screen=True)
        try:
            stage = Stage(plotter, view)
            words = stage._rings[0][1]._words
            stage.show(5)
            assert words.GetInput() == "o  markers, 57 of 64 in sight, 2 mm from the run (RMS)"
            plotter.render_window.Render()
            stage.show(10)
            assert words.GetInput() == "o  markers, 2 mm from the run (RMS)"
        finally:
            plotter.close()


def film(path: Path, frames: int = 13) -> Path:
    """A film whose frames are plain, each of another brightness."""
    with VideoWriter(path, SIZE, 100.0, crf=0) as writer:
        for k in range(frames):
            writer.write(np.full((SIZE[1], SIZE[0], 3), 16 * k, np.uint8))
    return path


@pytest.fixture(scope="module")
def thrown() -> Trajectory:
    return motion()


@pytest.fixture
def files(thrown: Trajectory, tmp_path: Path) -> Path:
    """A folder with a run, tracks of it and their film."""
    film(tmp_path / "clip.mp4", len(thrown))
    replace(seen_by(camera(), thrown), source="clip.mp4").save(tmp_path / "tracks.npz")
    thrown.save(tmp_path / "run.vtkhdf")
    return tmp_path


class TestFilm:
    def test_frames_are_found_in_any_order(self, files: Path) -> None:
        shown = TrackedFilm(Tracks.load(files / "tracks.npz"), path=files / "clip.mp4")
        for k in (0, 5, 2, 12, 11, 0, 7):
            assert abs(float(shown.picture(k).mean()) - 16 * k) < 3

    def test_a_run_is_seen_where_its_points_were_tracked(self, thrown: Trajectory) -> None:
        tracks = seen_by(camera(), thrown)
        seen = film_of_run(tracks, thrown, path=None, camera=None, title="run")
        gap = next(field for field in seen.shown_fields() if field.unit == "px")
        assert gap.name == "distance from the run"
        far = np.array([gap.values(Source(seen), k) for k in range(len(thrown))])
        assert np.isfinite(far).all()
        assert far[0].max() < 1e-3
        assert far.max() < 1.0  # tracks were carried by other particles than the surface is
        softer = film_of_run(tracks, motion(young=5e3), path=None, camera=None, title="run")
        assert np.nanmax(gap_of(softer, len(thrown) - 1)) > 2 * far.max()

    def test_times_between_the_frames_of_the_run_are_met(self, thrown: Trajectory) -> None:
        tracks = seen_by(camera(), thrown)
        every = thrown.pick(torch.arange(0, len(thrown), 2))
        seen = film_of_run(tracks, every, path=None, camera=None, title="run")
        assert seen.bound is not None
        between = seen.bound.carried.at(thrown.x[[2, 4]].double().mean(0))
        np.testing.assert_allclose(seen.predicted(3), camera().project(between).at, atol=1e-3)
        short = film_of_run(tracks, thrown.window(0, 7), path=None, camera=None, title="run")
        assert np.isnan(gap_of(short, 9)).all()

    def test_only_the_points_on_the_body_have_crosses(self, thrown: Trajectory) -> None:
        tracks = seen_by(camera(), thrown)
        beside = tracks.pixels.copy()
        beside[:, 0] = 5.0
        seen = film_of_run(
            replace(tracks, pixels=beside), thrown, path=None, camera=None, title="run"
        )
        assert np.isnan(seen.predicted(0)[0]).all()
        assert np.isfinite(seen.predicted(0)[1:]).all()
        assert "crosses: 24 of them in run" in seen.words

    def test_it_is_looked_at_face_to_face(self, files: Path) -> None:
        view = describe(TrackedFilm(Tracks.load(files / "tracks.npz")))
        assert view.facing == 1
        np.testing.assert_allclose(view.motion[:, 2], 0)
        np.testing.assert_allclose(np.ptp(view.motion, 0)[:2], SIZE)


def gap_of(film: TrackedFilm, frame: int) -> np.ndarray:
    return np.linalg.norm(film.predicted(frame) - film.tracks.pixels[frame], axis=-1)


class TestCommand:
    def picture(self, folder: Path, *words: str, frame: int = 6) -> np.ndarray:
        import imageio.v3

        size = ("--size", "640,480", "--frame", str(frame), "--force")
        command = ["view", *words, "--screenshot", str(folder / "a.png"), *size]
        assert main(command) == DONE
        return imageio.v3.imread(folder / "a.png")

    @pytest.mark.parametrize("observed", [False, True])
    def test_tracks_are_shown_in_their_film(
        self, drawing: None, files: Path, observed: bool
    ) -> None:
        run, tracks = str(files / "run.vtkhdf"), str(files / "tracks.npz")
        words = [run, "--observed", tracks] if observed else [tracks]
        for k in (3, 9):
            shown = self.picture(files, *words, frame=k)
            sheet = near(shown, (16 * k,) * 3, 4)
            rows, columns = np.flatnonzero(sheet.any(1)), np.flatnonzero(sheet.any(0))
            assert np.ptp(columns) / np.ptp(rows) == pytest.approx(4 / 3, abs=0.02)
            blue = near(shown, (0, 114, 255))
            assert (blue.sum() > 50) == observed

    def test_a_film_that_is_gone_is_grey_and_said(
        self, drawing: None, files: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (files / "clip.mp4").rename(files / "other.mp4")
        shown = self.picture(files, str(files / "tracks.npz"), frame=3)
        assert "the film clip.mp4 is not there: they are drawn over a plain grey" in (
            capsys.readouterr().err
        )
        assert near(shown, (235,) * 3, 2).sum() > 50_000
        words = (str(files / "tracks.npz"), "--over", str(files / "other.mp4"))
        assert near(self.picture(files, *words, frame=3), (48,) * 3, 4).sum() > 50_000

    def test_what_does_not_go_together_is_one_sentence(
        self, files: Path, thrown: Trajectory, refuse: Callable[..., str], tmp_path: Path
    ) -> None:
        run, tracks = files / "run.vtkhdf", files / "tracks.npz"
        held = Tracks.load(tracks)
        replace(held, camera=None).save(tmp_path / "blind.npz")
        told = refuse("view", run, "--observed", tmp_path / "blind.npz")
        assert "does not say what camera saw it" in told
        assert "--camera FILE.toml" in told
        save_camera(replace(camera(), start=7.0), tmp_path / "late.toml")
        told = refuse("view", run, "--observed", tracks, "--camera", tmp_path / "late.toml")
        assert "got frames from 7 to 7.12 s" in told
        film(tmp_path / "short.mp4", 5)
        told = refuse("view", tracks, "--over", tmp_path / "short.mp4")
        assert "got 5 frames of 320 x 240 px, expected 13 or more" in told
        assert "over the run that they are of" in refuse("view", run, tracks)
        assert "goes with tracks in pixels" in refuse("view", run, "--over", files / "clip.mp4")
        assert "got 2 runs, expected one" in refuse("view", run, run, "--observed", tracks)
        assert "no place in space" in refuse("view", tracks, "--export", tmp_path / "a.glb")
        moving().save(tmp_path / "other.npz")
        told = refuse("view", run, "--observed", tmp_path / "other.npz")
        assert "comparison with run" in told
        told = refuse("view", run, "--observed", tracks, "--screenshot", tracks.with_suffix(".png"),
                      "--camera", tmp_path / "none.toml")  # fmt: skip
        assert "no camera" in told

    def test_markers_of_a_scene_that_says_nothing_of_them(
        self, drawing: None, files: Path, thrown: Trajectory, capsys: pytest.CaptureFixture[str]
    ) -> None:
        on_face = Trajectory(
            thrown.time, places(thrown)[None].repeat(len(thrown), 1, 1),
            metadata={"markers": json.dumps([f"m{k}" for k in range(25)])},
        )  # fmt: skip
        on_face.save(files / "markers.npz")
        words = (str(files / "run.vtkhdf"), "--observed", str(files / "markers.npz"))
        shown = self.picture(files, *words)
        assert "drawn in the axes of the file, without lines" in capsys.readouterr().err
        assert near(shown, AMBER).sum() > 100


@pytest.mark.parametrize("observed", ["tracks.npz", "run.vtkhdf"])
def test_a_window_plays_them(files: Path, observed: str) -> None:
    words = ["view", "run.vtkhdf", "--observed", observed, "--size", "640,480"]
    with opened(files, WATCHED.format(words=words)) as window:
        first = window.until(lambda told: told["frame"] == 0)
        px = first["field"] == "distance from the run"
        assert px == (observed == "tracks.npz")
        before = window.seen()
        window.do("key", "End")
        window.until(lambda told: told["frame"] == 12)
        window.until_seen_otherwise(before)
        window.do("key", "c")
        window.until(lambda told: told["field"] != first["field"])
        window.do("key", "v", "key", "r", "key", "space")
        window.until(lambda told: told["playing"] and 0 < told["frame"] < 12)
        window.do("key", "Escape")
        assert window.process.wait(10) == 0
