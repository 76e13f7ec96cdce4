# SPDX-License-Identifier: Apache-2.0
"""What is shown, drawn off screen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rheograd.engine.trajectory import Trajectory
from rheograd.scenes.cli import BAD_INPUT, DONE, main
from rheograd.viewer import DisplayError, display, movie, play, screenshot
from rheograd.viewer.drawing.surroundings import collider, holds, pose
from rheograd.viewer.palettes import MISSING, categories, colour, diverging, sequential
from rheograd.viewer.render import shown_frames
from rheograd.viewer.view import describe

SMALL = (320, 240)
HIDE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
void *dlopen(const char *name, int flags) {
    void *(*real)(const char *, int) = dlsym(RTLD_NEXT, "dlopen");
    if (name && (strstr(name, "libEGL") || strstr(name, "OSMesa"))) return 0;
    return real(name, flags);
}
"""
"""For the linker: as if neither EGL nor OSMesa were installed."""
BOX = {"domain": "[[0, 0, 0], [1, 1, 1]]", "gravity": "[0, -9.8, 0]"}


@pytest.fixture
def drawing() -> None:
    """Skip where nothing can be drawn."""
    if not display.render_window():
        pytest.skip("nothing can be drawn here: install libegl1 and libgl1-mesa-dri, or libosmesa6")


def falling(frames: int = 11, side: int = 4, **changes: Any) -> Any:
    """A cube of particles that falls from rest, with nothing but positions."""
    place = np.linspace(0.35, 0.65, side)
    rest = np.stack(np.meshgrid(place, place, place, indexing="ij"), -1).reshape(-1, 3)
    times = np.linspace(0, 0.2, frames)
    x = rest + np.stack([0 * times, -0.5 * 9.8 * times**2, 0 * times], -1)[:, None]
    return SimpleNamespace(**{"x": x, "time": times, "metadata": BOX, **changes})


def recorded() -> Trajectory:
    """The same with stretch and stress at every particle, as a solver gives it."""
    plain = falling()
    stretch = torch.linspace(1.0, 1.5, 11, dtype=torch.float64)
    n = plain.x.shape[1]
    F = torch.eye(3, dtype=torch.float64).expand(11, n, 3, 3).clone()
    F[:, :, 0, 0] = stretch[:, None]
    tau = torch.zeros_like(F)
    tau[:, :, 0, 0] = 3e4 * (stretch[:, None] - 1)
    return Trajectory(
        time=torch.tensor(plain.time),
        x=torch.tensor(plain.x),
        fields={"F": F, "tau": tau, "heat": torch.ones(11, n)},
        metadata={**BOX, "field_units": '{"heat": "J"}', "scene": "pull"},
    )


class TestFields:
    def test_speed_by_differences(self) -> None:
        view = describe(falling())
        got = view.fields["speed"].values(view.sources[0], 5)
        np.testing.assert_allclose(got, 9.8 * 0.1, rtol=1e-12)

    def test_recorded_velocity_is_preferred(self) -> None:
        base = falling()
        view = describe(falling(v=np.full_like(base.x, 2.0)))
        np.testing.assert_allclose(view.fields["speed"].values(view.sources[0], 5), 12**0.5)

    def test_stress_and_stretch(self) -> None:
        view = describe(recorded())
        last = {name: f.values(view.sources[0], 10) for name, f in view.fields.items()}
        np.testing.assert_allclose(last["J"], 1.5)
        np.testing.assert_allclose(last["largest stretch"], 1.5)
        np.testing.assert_allclose(last["von Mises stress"], 1e4)
        np.testing.assert_allclose(last["pressure"], -1e4 / 3)
        np.testing.assert_allclose(last["displacement"], 0.5 * 9.8 * 0.04)
        assert view.scale("heat").label == "heat [J]"
        assert view.scale("von Mises stress").label == "von Mises stress [kPa]"
        assert view.scale("von Mises stress").tick_labels == ("0", "2.5", "5", "7.5", "10")

    def test_range_is_that_of_the_run_and_around_the_neutral_value(self) -> None:
        low, high = describe(recorded()).scale("J").limits
        assert low == pytest.approx(0.5)
        assert high == pytest.approx(1.5)

    def test_range_may_be_locked(self) -> None:
        view = describe(falling(), field="speed", limits=(0.0, 7.3))
        assert view.scale("speed").limits == (0.0, 7.3)
        assert view.scale("displacement").limits[1] < 1

    def test_a_few_outliers_do_not_set_the_range(self) -> None:
        values = np.ones((11, 1000))
        values[:, ::2] = 2.0
        values[:, 0] = 1e6
        shape = falling(side=10, fields={"a": values})
        assert describe(shape).scale("a").limits[1] < 10

    def test_bodies_have_names_and_colours(self) -> None:
        body = np.repeat([0, 1], 32)
        view = describe(falling(body=body, metadata={**BOX, "bodies": '["ball", "ramp"]'}))
        scale = view.scale("body")
        assert scale.tick_labels == ("ball", "ramp")
        np.testing.assert_array_equal(scale.colours(view.sources[0], 0)[0], categories(2)[0])
        np.testing.assert_array_equal(scale.colours(view.sources[0], 0)[-1], categories(2)[1])

    def test_colours(self) -> None:
        table = sequential()
        got = colour(np.array([0.0, 1.0, 9.0, np.nan]), table, (0.0, 1.0))
        np.testing.assert_array_equal(got, [table[0], table[-1], table[-1], MISSING])
        assert np.ptp(diverging()[127:129].astype(int), axis=-1).max() < 12
        brightness = table @ np.array([0.2126, 0.7152, 0.0722])
        assert (np.diff(brightness) > 0).mean() > 0.95

    def test_unknown_field_names_those_there_are(self) -> None:
        with pytest.raises(ValueError, match="got 'heat', expected one of speed, displacement"):
            describe(falling(), field="heat")


class TestView:
    def test_sources_of_other_rates_share_the_time(self) -> None:
        view = describe([falling(21), falling(6)])
        assert len(view.times) == 21
        assert view.frames[1][8] == 2
        np.testing.assert_allclose(view.sources[1].times[view.frames[1][8]], view.times[8])

    def test_the_longer_source_sets_the_end(self) -> None:
        longer = falling(6)
        longer.time = longer.time * 2
        view = describe([falling(21), longer])
        assert view.times[-1] == pytest.approx(0.4)
        assert view.frames[0][-1] == 20
        assert view.frames[1][-1] == 5

    def test_a_run_that_has_ended_says_so_from_the_first_frame_it_lacks(self) -> None:
        short, coarse, still = falling(), falling(4), falling()
        short.x, short.time = short.x[:6], short.time[:6]
        coarse.time = coarse.time * 0.97
        still.x, still.time = still.x[:1], still.time[:1]
        view = describe([falling(), short, coarse, still])
        assert [view.ended(1, place) for place in (0, 5)] == ["", ""]
        assert view.ended(1, 6) == view.ended(1, 10) == "ended at 0.10 s"
        assert {view.ended(panel, 10) for panel in (0, 2, 3)} == {""}

    def test_metadata_that_cannot_be_read_is_left_out_with_a_warning(self) -> None:
        with pytest.warns(UserWarning, match="'domain' is left out of the picture: got 'a cube'"):
            view = describe(falling(metadata={"domain": "a cube"}))
        assert view.domains == (None,)

    @pytest.mark.parametrize(
        ("asked", "gravity", "upward"),
        [
            (None, None, [0, 1, 0]),
            (None, "[0, 0, -9.8]", [0, 0, 1]),
            (None, "[9.8, 0, 0]", [-1, 0, 0]),
            ("-z", "[0, -9.8, 0]", [0, 0, -1]),
        ],
    )
    def test_up(self, asked: str | None, gravity: str | None, upward: list[int]) -> None:
        metadata = {} if gravity is None else {"gravity": gravity}
        got = describe(falling(metadata=metadata), up=asked).upward
        np.testing.assert_array_equal(got, upward)

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (lambda: describe([]), "got none, expected at least one"),
            (lambda: describe(falling(), up="w"), "up: got 'w'"),
            (lambda: describe(falling(), titles=["a", "b"]), "titles: got 2, expected one for"),
            (lambda: describe(falling(), limits=(1.0, 1.0)), "limits: got"),
            (lambda: describe(SimpleNamespace(x=np.zeros((3, 4)))), r"x of shape \(3, 4\)"),
            (lambda: describe(falling(time=np.zeros(11))), "do not increase"),
            (lambda: describe(falling(x=np.full((11, 2, 3), np.nan))), "no finite position"),
        ],
    )
    def test_bad_input_is_one_sentence(self, bad: Callable[[], Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            bad()

    def test_radius_closes_a_lattice(self) -> None:
        (radius,) = describe(falling()).radii
        assert 0.05 <= radius < 0.1
        (given,) = describe(falling(side=7, metadata={"spacing": "0.02"})).radii
        assert given == pytest.approx(0.0124)


class TestSurroundings:
    @pytest.mark.parametrize(
        ("described", "bounds"),
        [
            (
                {"kind": "sphere", "centre": [0.5, 0.5, 0.5], "radius": 0.2},
                (0.3, 0.7, 0.3, 0.7, 0.3, 0.7),
            ),
            (
                {"kind": "box", "centre": [0.5, 0.5, 0.5], "size": [0.2, 0.4, 0.6]},
                (0.4, 0.6, 0.3, 0.7, 0.2, 0.8),
            ),
            (
                {"kind": "capsule", "start": [0.3, 0, 0], "end": [0.7, 0, 0], "radius": 0.1},
                (0.2, 0.8, -0.1, 0.1, -0.1, 0.1),
            ),
            (
                {"kind": "plane", "point": [0, 0.25, 0], "normal": [0, 2, 0]},
                (0, 1, 0.25, 0.25, 0, 1),
            ),
            (
                {
                    "kind": "mesh",
                    "vertices": [[0, 0, 0], [1, 0, 0], [0, 1, 0]],
                    "faces": [[0, 1, 2]],
                },
                (0, 1, 0, 1, 0, 0),
            ),
        ],
    )
    def test_colliders(self, described: dict, bounds: tuple[float, ...]) -> None:
        surface = collider(described, np.array([[0.0] * 3, [1.0] * 3]))
        np.testing.assert_allclose(surface.bounds, bounds, atol=3e-3)

    def test_a_collider_of_no_known_kind(self) -> None:
        with pytest.warns(UserWarning, match="a collider is left out"):
            assert collider({"kind": "torus"}, np.array([[0.0] * 3, [1.0] * 3])) is None

    def test_a_grip_is_told_from_an_obstacle(self) -> None:
        box = {"kind": "box", "centre": [0.5, 0.5, 0.5], "size": [0.2, 0.2, 0.2]}
        surface = collider(box, np.array([[0.0] * 3, [1.0] * 3]))
        assert holds(surface, np.array([[0.9, 0.5, 0.5], [0.55, 0.5, 0.5]]))
        assert not holds(surface, np.array([[0.9, 0.5, 0.5], [0.5, 0.61, 0.5]]))

    def test_pose_turns_about_the_centre_and_moves(self) -> None:
        half = 0.5**0.5
        described = {
            "centre": [1, 0, 0],
            "path": [[0, 0, 0], [0, 2, 0]],
            "turn": [[0, 0, half, half]],
        }
        point = pose(described, 1) @ [2, 0, 0, 1]
        np.testing.assert_allclose(point, [1, 3, 0, 1], atol=1e-12)


@pytest.mark.usefixtures("drawing")
class TestPictures:
    def test_a_picture_shows_the_particles_in_their_colour(self) -> None:
        body = np.repeat([0, 1], 32)
        picture = screenshot(falling(body=body), field="body", size=SMALL).astype(int)
        assert picture.shape == (240, 320, 3)
        panel = picture[:156].reshape(-1, 3)
        blue = ((panel[:, 2] - panel[:, 0]) > 60).sum()
        orange = ((panel[:, 0] - panel[:, 2]) > 60).sum()
        assert blue > 100
        assert orange > 100

    def test_frames_differ_and_repeat(self, tmp_path: Path) -> None:
        trajectory = falling()
        first = screenshot(trajectory, tmp_path / "a.png", frame=0, size=SMALL)
        assert (tmp_path / "a.png").stat().st_size > 1000
        again = screenshot(trajectory, frame=-11, size=SMALL)
        last = screenshot(trajectory, frame=-1, size=SMALL)
        np.testing.assert_array_equal(first, again)
        assert (first != last).any(-1).mean() > 0.01

    def test_a_particle_out_of_sight_is_not_drawn(self) -> None:
        base = falling(metadata={**BOX, "spacing": "0.1"})
        hidden, dropped = base.x.copy(), base.x[:, 1:]
        hidden[5:, 0] = np.nan
        pictures = [
            screenshot(falling(x=x, metadata=base.metadata), frame=7, limits=(0, 5), size=SMALL)
            for x in (hidden, dropped, base.x)
        ]
        np.testing.assert_array_equal(pictures[0], pictures[1])
        assert (pictures[0] != pictures[2]).any()

    def test_side_by_side_from_a_file_on_disk(self, tmp_path: Path) -> None:
        path = tmp_path / "pull.vtkhdf"
        recorded().save(path)
        picture = screenshot([path, recorded()], field="J", size=(400, 240))
        left, right = picture[40:150, 2:198], picture[40:150, 202:398]
        assert np.abs(left.astype(int) - right).mean() < 1.0

    @pytest.mark.parametrize("title", ["b", "a title that is far longer than its panel is wide"])
    def test_a_run_that_has_ended_is_marked(self, title: str) -> None:
        still = falling()
        still.x = np.broadcast_to(still.x[0], still.x.shape)
        short = SimpleNamespace(**{**vars(still), "x": still.x[:6], "time": still.time[:6]})
        first, last = (
            screenshot([still, short], frame=frame, titles=["a", title], size=(500, 240))[:156]
            for frame in (5, 10)
        )
        changed = (first != last).any(-1)
        assert not changed[:, :250].any()
        assert not changed[40:].any()
        assert changed[:40, 250:].sum() > 50
        assert last[:40, 497:].min() > 150  # no ink at the edge

    def test_all_surroundings_at_once(self) -> None:
        colliders = [
            {"kind": "sphere", "centre": [0.2, 0.1, 0.2], "radius": 0.1, "path": [[0, 0, 0]] * 11},
            {"kind": "plane", "point": [0, 0.1, 0], "normal": [0.2, 1, 0]},
        ]
        plain = screenshot(falling(), size=SMALL)
        rich = screenshot(falling(metadata={**BOX, "colliders": json.dumps(colliders)}), size=SMALL)
        assert (plain != rich).any(-1).mean() > 0.005

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"path": "a.bmp"}, "expected .png or"),
            ({"path": "no/such/folder/a.png"}, "a folder that does not exist"),
            ({"frame": 11}, "frame: got 11, expected -11 to 10"),
        ],
    )
    def test_bad_requests(self, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            screenshot(falling(), **arguments)


@pytest.mark.usefixtures("drawing")
class TestMovies:
    @pytest.mark.parametrize("kind", ["mp4", "gif"])
    def test_a_movie_holds_every_frame(self, tmp_path: Path, kind: str) -> None:
        import imageio.v3

        out, told = tmp_path / f"fall.{kind}", []
        count = movie(
            falling(), out, size=(320, 180), progress=lambda done, total: told.append((done, total))
        )
        assert count == 11
        assert told[-1] == (11, 11)
        assert os.listdir(tmp_path) == [out.name]
        frames = imageio.v3.imread(out, plugin="pyav" if kind == "mp4" else "pillow")
        assert frames.shape[:3] == (11, 180, 320)
        assert np.abs(frames[0, ..., :3].astype(int) - frames[-1, ..., :3]).max() > 50

    def test_a_movie_that_fails_leaves_nothing(self, tmp_path: Path) -> None:
        def stop(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            movie(falling(), tmp_path / "fall.mp4", size=(160, 120), progress=stop)
        assert os.listdir(tmp_path) == []

    def test_speed(self) -> None:
        view = describe(falling())
        assert len(shown_frames(view, 30, None)) == 11
        np.testing.assert_array_equal(shown_frames(view, 30, 1.2), [0, 2, 4, 6, 8, 10])
        with pytest.raises(ValueError, match="expected positive"):
            shown_frames(view, 30, 0.0)

    def test_odd_sizes_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="expected even numbers"):
            movie(falling(), tmp_path / "fall.mp4", size=(161, 120))


class TestDisplay:
    @pytest.fixture(autouse=True)
    def fresh(self) -> Iterator[None]:
        yield
        display._probe.cache_clear()

    def test_a_crash_of_the_probe_is_an_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(display, "_PROBE", "import os; os.abort()")
        display._probe.cache_clear()
        monkeypatch.delenv("DISPLAY", raising=False)
        with pytest.raises(DisplayError, match=r"got no display.*apt-get install libegl1"):
            screenshot(falling())
        with pytest.raises(DisplayError, match="nothing can be drawn"):
            play(falling())

    def test_a_window_needs_a_display(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(display, "_PROBE", "print('render window: vtkEGLRenderWindow')")
        monkeypatch.setenv("DISPLAY", ":4242")
        display._probe.cache_clear()
        with pytest.raises(DisplayError, match=r"DISPLAY=:4242, which has no OpenGL.*xvfb-run"):
            play(falling())

    def test_the_command_says_so_in_a_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(display, "_PROBE", "raise SystemExit(1)")
        display._probe.cache_clear()
        recorded().save(tmp_path / "pull.vtkhdf")
        assert main(["view", str(tmp_path / "pull.vtkhdf")]) == BAD_INPUT
        told = capsys.readouterr()
        opening, refusal = told.err.splitlines()
        assert opening.startswith("opening ")
        assert refusal.startswith("error: nothing can be drawn here: got ") and not told.out

    @pytest.mark.parametrize("way", ["", "--screenshot a.png", "--movie a.mp4", "--browser"])
    def test_without_any_opengl_every_way_to_look_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        way: str,
    ) -> None:  # fmt: skip
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler to hide libraries with: apt-get install gcc")
        (tmp_path / "hide.c").write_text(HIDE)
        made = [compiler, "-shared", "-fPIC", "-o", "hide.so", "hide.c", "-ldl"]
        subprocess.run(made, cwd=tmp_path, check=True)
        (tmp_path / "hide.c").unlink()
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("LD_PRELOAD", str(tmp_path / "hide.so"))  # of the child that tries
        monkeypatch.chdir(tmp_path)
        display._probe.cache_clear()
        recorded().save("pull.vtkhdf")
        assert main(["view", "pull.vtkhdf", *way.split()]) == BAD_INPUT
        told = capsys.readouterr().err
        assert told == (
            "opening pull.vtkhdf ...\n"
            "error: nothing can be drawn here: got no display and neither EGL nor OSMesa, expected"
            " one of them; install one, on Debian and Ubuntu by `apt-get install libegl1"
            " libgl1-mesa-dri` or `apt-get install libosmesa6`\n"
        )
        assert {file.name for file in tmp_path.iterdir()} == {"pull.vtkhdf", "hide.so"}
        assert main(["view", "pull.vtkhdf", "--export", "pull.glb"]) == DONE
        assert Path("pull.glb").stat().st_size > 1000

    def test_the_answer_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = display.render_window()
        monkeypatch.setattr(display, "_PROBE", "raise SystemExit(1)")
        assert display.render_window() == before

    def test_importing_the_viewer_is_cheap(self) -> None:
        heavy = "{'pyvista', 'torch', 'vtkmodules'}"
        code = f"import sys, rheograd.viewer; print({heavy} & {{*sys.modules}})"
        out = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert out.stdout.strip() == "set()"
