# SPDX-License-Identifier: Apache-2.0
"""What is drawn, pixel by pixel and point by point: legend, timeline, chart, shadows, tracks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_fit_watch import fill, predict
from test_mesh_viewer import block
from test_picking import drawn, staged
from test_pixel_tracks import camera, motion, seen_by
from test_viewer import BOX, falling, recorded

from rheograd.engine.fit.prediction import OBSERVED
from rheograd.engine.trajectory import Trajectory
from rheograd.viewer import Looks, display
from rheograd.viewer.drawing import bodies
from rheograd.viewer.drawing.bodies import Cloud, Particles, Surface
from rheograd.viewer.drawing.camera import projected
from rheograd.viewer.drawing.splatter import Splatter
from rheograd.viewer.drawing.strip import TimeStrip
from rheograd.viewer.drawing.surroundings import Floor
from rheograd.viewer.files.export import export_frame
from rheograd.viewer.fit.charts import _chart
from rheograd.viewer.fit.folder import FitFolder
from rheograd.viewer.observed.ghosts import Ghost, Observed, _some
from rheograd.viewer.observed.tracked_film import FilmSheet, TrackedFilm, film_of_run
from rheograd.viewer.palettes import colour
from rheograd.viewer.picked.chart import _thinned
from rheograd.viewer.picked.marks import colour_of
from rheograd.viewer.picked.picking import Pick
from rheograd.viewer.source import Source
from rheograd.viewer.view import describe

WIDE = (1280, 480)
STRIP = 84
DONE, TRACK = (44, 111, 179), (221, 226, 231)


@pytest.fixture
def drawing() -> None:
    """Skip where nothing can be drawn."""
    if not display.render_window():
        pytest.skip("nothing can be drawn here: install libegl1 and libgl1-mesa-dri, or libosmesa6")


def of(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    """The colour of the pixel at x, y from the lower left."""
    return picture[len(picture) - 1 - round(y), round(x)].astype(int)


def alike(got: np.ndarray, expected: Any, reach: int = 12) -> bool:
    return bool(np.abs(got - np.asarray(expected, int)).max() <= reach)


@pytest.mark.parametrize("field", ["von Mises stress", "J", "initial height"])
def test_the_legend_has_the_colour_of_a_value_above_its_number(field: str) -> None:
    with staged(recorded(), WIDE, field=field) as stage:
        picture, strip = drawn(stage, 3), stage.strip
        scale = stage.view.scale(field)
        assert [float(tick.GetInput()) for tick in strip._ticks] == pytest.approx(
            [value * scale.factor for value in scale.ticks], rel=1e-5
        )
        inner = range(1, len(strip._ticks) - 1)
        assert len(inner) >= 2
        for k in inner:
            x, _ = strip._ticks[k].GetPosition()
            value = float(strip._ticks[k].GetInput()) / scale.factor
            expected = colour(np.array([value]), scale.field.table, scale.limits)[0]
            assert alike(of(picture, x, STRIP / 2), expected)


def test_the_timeline_is_filled_up_to_the_frame_shown() -> None:
    with staged(falling(), WIDE) as stage:
        strip, found = stage.strip, {}
        assert isinstance(strip, TimeStrip)
        picture = drawn(stage, 3)
        for x in range(WIDE[0]):
            if strip.frame_at(x, STRIP // 2) is not None:
                found.setdefault(strip.frame_near(x), []).append(of(picture, x, STRIP / 2))
        assert sorted(found) == list(range(11))
        for frame, colours in found.items():
            if frame != 3 and 0 < frame < 10:
                assert all(alike(one, DONE if frame < 3 else TRACK) for one in colours), frame
        assert strip._time.GetInput() == "0.06 s"
        assert strip._count.GetInput() == "of 0.20 s,  4 / 11"


def test_each_panel_shows_its_own_frame_of_one_time() -> None:
    def run(frames: int) -> Any:
        times = np.linspace(0, 0.2, frames)
        ball = {
            "kind": "sphere", "centre": [0.2, 0.3, 0.4], "radius": 0.1,
            "path": [[0, 2 * t, t] for t in times.tolist()],
        }  # fmt: skip
        return falling(frames, metadata={**BOX, "colliders": json.dumps([ball])})

    with staged([run(21), run(6)], (640, 404), field="displacement") as stage:
        plain = drawn(stage, 0)
        for place, own in ((8, 2), (20, 5)):
            picture = drawn(stage, place)[:-STRIP].astype(int)
            assert stage.view.frames[1][place] == own
            assert (picture[:, :318] != plain[:-STRIP, :318]).any(-1).mean() > 0.01
            # a line at the left of the second panel parts them
            np.testing.assert_allclose(picture[:, 4:318], picture[:, 324:638], atol=3)


class TestOwnFrames:
    """Of two runs the second has a quarter of the frames; at place 4 it is at its frame 1."""

    place, own = 4, 1

    def runs(self) -> tuple[Any, Any]:
        coarse = falling(6)
        coarse.x = coarse.x[0] + 3 * (coarse.x - coarse.x[0])
        return falling(21), coarse

    def test_what_is_picked_is_told_and_found_at_its_own(self) -> None:
        fine, coarse = self.runs()
        with staged([fine, coarse], WIDE, field="displacement") as stage:
            inspector, pick = stage.inspector, Pick(1, 0)
            inspector.picked = (pick,)
            drawn(stage, self.place)
            inspector.finish()
            drawn(stage, self.place)
            assert inspector._value(pick, 1) == "0.02352 m"  # three times g t^2 / 2 of 0.04 s
            np.testing.assert_allclose(inspector._marks[1].where(pick), coarse.x[self.own, 0])
            inspector.picked = ()
            drawn(stage, self.place)
            renderer, x = stage.plotter.renderers[1], coarse.x[self.own]
            eye = np.array(renderer.camera.position)
            front = int(np.linalg.norm(x - eye, axis=1).argmin())
            at = projected(renderer, x[[front]])[0] + renderer.GetOrigin()
            found = inspector.find(round(at[0]), round(at[1]))
            assert found == Pick(1, front)

    def test_each_is_written_at_its_own(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import pyvista

        runs = self.runs()
        monkeypatch.chdir(tmp_path)
        view = describe(list(runs))
        names = export_frame(view, self.place, "speed", "seen", numbers=True)
        for name, run, frame in zip(names, runs, (self.place, self.own), strict=True):
            held: Any = pyvista.read(name)
            np.testing.assert_array_equal(held.points, run.x[frame])
            assert held.field_data["TimeValue"] == pytest.approx(0.04)

    def test_a_ghost_and_a_run_over_another_are_at_their_own(self, drawing: None) -> None:
        fine, coarse = self.runs()
        aside = coarse.x + np.array([0.0, 0.0, 0.002])
        ghost = Ghost("seen", coarse.time, lambda k: aside[k], lambda x: x)
        with staged([fine, Observed(coarse, ghost)]) as stage:
            drawn(stage, self.place)
            ((panel, rings),) = stage._rings
            assert panel == 1
            np.testing.assert_allclose(rings._seen, aside[self.own])
        looks, pictures = Looks(overlay=True), []
        for second in (falling(6), falling(21)):
            second.x = second.x + np.array([0.15, 0.0, 0.0])
            with staged([falling(21), second], field="displacement") as stage:
                stage.dress(looks)
                pictures.append(drawn(stage, 8)[:-STRIP].astype(int))
        assert np.abs(pictures[0] - pictures[1]).max() <= 3


def test_the_camera_turns_to_the_right_and_up() -> None:
    with staged(falling()) as stage:
        right, up, forward = stage.view.axes
        stage.look(1)
        np.testing.assert_allclose(np.stack([right, up]) @ stage.toward(), 0, atol=1e-9)
        distance = np.linalg.norm(stage.toward())
        stage.turn(30.0, 0.0)
        np.testing.assert_allclose(
            stage.toward() / distance, 0.5 * right + 0.75**0.5 * forward, atol=1e-9
        )
        stage.look(1)
        stage.turn(0.0, 20.0)
        angle = np.radians(20)
        expected = np.sin(angle) * up + np.cos(angle) * forward
        np.testing.assert_allclose(stage.toward() / distance, expected, atol=1e-9)
        stage.turn(0.0, 500.0)  # never over the top
        assert stage.toward() @ forward > 0


class TestChart:
    def test_its_numbers_have_the_unit_that_is_written_over_it(self) -> None:
        run = recorded()
        with staged(run, WIDE, field="von Mises stress") as stage:
            stage.inspector.picked = (Pick(0, 17),)
            drawn(stage, 4)
            stage.inspector.finish()
            picture, chart = drawn(stage, 4), stage.inspector._chart
            shown = [one for one in chart.words._actors if one.GetVisibility()]
            told = {one.GetInput(): one.GetPosition() for one in shown}
            assert {"von Mises stress [kPa]", "5", "10"} <= set(told)
            # sigma = 3e4 (s - 1) / s is 5 kPa where the stretch s is 1.2, at 0.08 s
            assert run.time[4] == pytest.approx(0.08)
            x, y = chart._x(0.08), told["5"][1] + 4
            assert alike(of(picture, x, y), colour_of(0))
            assert not alike(of(picture, x, y + 12), colour_of(0), 40)

    def test_the_mark_of_each_run_is_at_its_own_frame(self) -> None:
        fine, coarse = falling(21), falling(6)
        coarse.x = coarse.x[0] + 2 * (coarse.x - coarse.x[0])
        with staged([fine, coarse], WIDE, field="displacement") as stage:
            stage.inspector.picked = (Pick(0, 5),)
            drawn(stage, 8)
            stage.inspector.finish()
            picture, chart = drawn(stage, 8), stage.inspector._chart
            fallen = 0.5 * 9.8 * 0.08**2
            for value in (fallen, 2 * fallen):
                x, y = (float(at) for at in (chart._x(0.08), chart._y(value)))
                for i, j in ((0, 0), (-2, 0), (2, 0), (0, -2), (0, 2)):  # a disc, not a line
                    assert alike(of(picture, x + i, y + j), colour_of(0), 60), (value, i, j)

    def test_of_many_points_the_lowest_and_highest_of_a_pixel_are_kept(self) -> None:
        x = np.repeat(np.arange(5.0), 50) + np.tile(np.linspace(0, 0.99, 50), 5)
        y = np.random.default_rng(0).normal(size=250)
        kept = _thinned(np.stack([x, y], -1))
        assert 10 <= len(kept) <= 12
        np.testing.assert_array_equal(kept[[0, -1]], np.stack([x, y], -1)[[0, -1]])
        assert (np.diff(kept[:, 0]) > 0).all()
        for column in range(5):
            own, all_of_it = (at[np.floor(at[:, 0]) == column, 1] for at in (
                kept, np.stack([x, y], -1)
            ))  # fmt: skip
            assert (own.min(), own.max()) == (all_of_it.min(), all_of_it.max())
        few = np.stack([x, y], -1)[::20]
        np.testing.assert_array_equal(_thinned(few), few)


class TestShadows:
    def darkest(self, place: list[float], upward: list[int]) -> tuple[np.ndarray, float]:
        """Where the floor of a box is darkest [m], and how dark, below one small disc."""
        from vtkmodules.util.numpy_support import vtk_to_numpy

        box, up = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 2.0]]), np.array(upward, float)
        floor = Floor(box, up)
        image = floor.texture.GetInput()
        wide, high, _ = image.GetDimensions()

        def texels() -> np.ndarray:
            held = vtk_to_numpy(image.GetPointData().GetScalars())
            return held.reshape(high, wide, -1)[..., 0].astype(float)

        before = texels()
        floor.shade(np.array([place]), 0.05)
        shade = texels() / before
        row, column = np.unravel_index(shade.argmin(), shade.shape)
        # from the picture to places by the corners of the floor
        share = (np.array([column, row]) + 0.5) / (wide, high)
        corners, at = np.asarray(floor.mesh.points), floor.mesh.active_texture_coordinates
        origin = corners[np.flatnonzero((at == [0, 0]).all(1))[0]]
        across = corners[np.flatnonzero((at == [1, 0]).all(1))[0]] - origin
        along = corners[np.flatnonzero((at == [0, 1]).all(1))[0]] - origin
        return origin + share[0] * across + share[1] * along, float(shade.min())

    @pytest.mark.parametrize("upward", [[0, 1, 0], [0, -1, 0], [1, 0, 0], [0, 0, 1]])
    def test_it_lies_below_what_casts_it(self, upward: list[int]) -> None:
        place = [0.2, 0.3, 0.7]
        at, dark = self.darkest(place, upward)
        aside = np.flatnonzero(np.array(upward) == 0)
        np.testing.assert_allclose(at[aside], np.array(place)[aside], atol=0.03)
        assert dark < 0.98

    def test_it_is_paler_below_what_is_higher(self) -> None:
        dark = [self.darkest([0.5, height, 0.5], [0, 1, 0])[1] for height in (0.05, 0.5, 0.95)]
        assert dark[0] < dark[1] - 0.02 < dark[2] - 0.04 < 1.0

    def test_some_of_many_particles_are_as_large_and_shade_as_much_in_all(
        self, monkeypatch: pytest.MonkeyPatch, drawing: None
    ) -> None:
        source = Source(falling(side=10))
        assert Particles(source, 0.02, None).radius == 0.02
        some = Particles(source, 0.02, 125)
        assert (some.radius, some.share) == pytest.approx((0.04, 0.125))  # of one volume in all
        monkeypatch.setattr(bodies, "_SHADOW", 250)
        with staged(falling()) as stage:
            cloud = Cloud(source, 0.02, stage.plotter.renderers[0])
            centres = cloud.show(0, stage.view.scale("speed"))
        assert len(centres) == 250
        assert 250 * cloud.radius**2 == pytest.approx(1000 * 0.02**2)

    def test_that_of_a_mesh_is_cast_from_all_over_its_surface(self, drawing: None) -> None:
        view = describe(block(2))
        source = view.sources[0]
        surface = Surface(source, source.cells, 1)
        x = source.positions(0)
        centres = surface.show(0, view.scale(view.field))
        low, high = x.min(0), x.max(0)
        sides = np.stack([np.abs(centres - low), np.abs(centres - high)])
        assert sides.min((0, 2)).max() < 1e-6
        a, b, c = high - low
        area = 2 * (a * b + b * c + c * a)
        assert len(centres) * (surface.radius / 0.62) ** 2 == pytest.approx(area, rel=1e-5)


@pytest.mark.usefixtures("drawing")
def test_a_cloud_knows_its_bounds_and_the_lights_that_are_on() -> None:
    from vtkmodules.vtkRenderingCore import vtkLight

    x = np.random.default_rng(0).uniform(-1, 1, (700, 3)).astype(np.float32)
    x[699] = (3.0, -4.0, 5.0)
    with staged(falling(), (200, 284)) as stage:
        renderer = stage.plotter.renderers[0]
        splatter = Splatter(renderer)
        for hidden in ([], [5, 300]):
            x[hidden] = np.nan
            splatter.place(x, 0.5)
            seen = x[np.isfinite(x).all(-1)]
            bounds = np.array(splatter.actor.GetBounds()).reshape(3, 2).T
            np.testing.assert_allclose(bounds, [seen.min(0) - 0.5, seen.max(0) + 0.5], rtol=1e-6)
        splatter.place(np.full((1, 3), 0.5, np.float32), 0.2)
        splatter.paint(np.array([[200, 200, 200]]))
        renderer.AddActor(splatter.actor)
        stage.plotter.render_window.Render()
        before = splatter._picture.copy()
        lamp = vtkLight()
        lamp.SetLightTypeToHeadlight()
        renderer.AddLight(lamp)
        lamp.SwitchOff()
        stage.plotter.render_window.Render()
        np.testing.assert_array_equal(splatter._picture, before)
        lamp.SwitchOn()
        stage.plotter.render_window.Render()
        assert (splatter._picture != before).any()


class TestFilm:
    def test_a_film_that_began_later_is_met_by_its_own_clock(self) -> None:
        run = motion()
        tracks, start = seen_by(camera(), run), float(run.time[2])
        late = replace(
            tracks, pixels=tracks.pixels[2:], time=tracks.time[2:] - tracks.time[2],
            camera=replace(camera(), start=start),
        )  # fmt: skip
        seen = film_of_run(late, run, path=None, camera=None, title="run")
        np.testing.assert_allclose(seen.time, run.time[2:], atol=1e-12)
        for frame in (0, 5):
            np.testing.assert_allclose(seen.predicted(frame), late.pixels[frame], atol=1.0)
        moved = np.linalg.norm(late.pixels[5] - late.pixels[3], axis=-1)
        assert np.median(moved) > 3.0  # two frames would be told apart

    def test_what_is_behind_the_camera_has_no_cross(self) -> None:
        run = motion()
        seen = film_of_run(seen_by(camera(), run), run, path=None, camera=None, title="run")
        assert seen.bound is not None
        there = camera()
        about = torch.diag(torch.tensor([-1.0, 1.0, -1.0])).to(there.rotation) @ there.rotation
        assert np.isfinite(seen.predicted(3)).all()
        seen.bound = replace(seen.bound, camera=replace(there, rotation=about))
        assert np.isnan(seen.predicted(3)).all()

    def test_a_track_is_held_to_where_it_began_and_its_tail_ends_where_it_is(self) -> None:
        tracks = seen_by(camera(), motion())
        pixels = tracks.pixels.copy()
        pixels[:2, 4] = np.nan
        film = TrackedFilm(replace(tracks, pixels=pixels))
        field = next(one for one in film.shown_fields() if one.name == "displacement")
        moved = field.values(Source(film), 6)
        np.testing.assert_allclose(moved[4], np.linalg.norm(pixels[6, 4] - pixels[2, 4]))
        np.testing.assert_allclose(moved[5], np.linalg.norm(pixels[6, 5] - pixels[0, 5]))
        assert np.isnan(field.values(Source(film), 1)[4])
        tails, owners = FilmSheet(Source(film), 1)._tails(6)
        assert owners == list(range(pixels.shape[1]))
        for k, tail in zip(owners, tails, strict=True):
            past = pixels[2 if k == 4 else 0 : 7, k] * (1, -1)
            np.testing.assert_array_equal(tail, past)


class TestFitMode:
    def test_the_chart_of_a_parameter_has_the_unit_of_its_title(self, tmp_path: Path) -> None:
        from matplotlib.figure import Figure

        folder = FitFolder(fill(tmp_path / "run", 4))
        axes = Figure().add_subplot()
        curve = next(one for one in folder.curves() if one.name == "young")
        _chart(axes, curve, 1000.0)
        assert axes.get_title("left") == "young [kPa]"
        assert axes.get_title("right") == "23"
        line: Any = axes.lines[0]
        np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 3])
        np.testing.assert_allclose(line.get_ydata(), [20, 21, 22, 23])
        corners = np.asarray(axes.collections[0].get_paths()[0].vertices)[:, 1]
        assert (corners.min(), corners.max()) == pytest.approx((10, 30))

    def test_what_was_observed_is_shown_at_the_time_of_the_frame(
        self, tmp_path: Path, drawing: None
    ) -> None:
        path = fill(tmp_path / "run", 2)
        predict(path, 1, 0.3)
        seen = Trajectory.load(path / OBSERVED)
        with staged(path) as stage:
            ((_, rings),) = stage._rings
            shown = _some(seen.x.shape[1])
            for frame in (0, 7, len(seen) - 1):
                drawn(stage, frame)
                expected = seen.x[frame].numpy()[shown]
                np.testing.assert_allclose(rings._seen, expected, atol=1e-6)
                assert rings.gap == pytest.approx(0.3 * np.sqrt(3) * float(seen.time[frame]))
