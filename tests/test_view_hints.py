# SPDX-License-Identifier: Apache-2.0
"""What pictures say so that nobody has to guess: planes, single values, ends, what is opened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from test_fit_watch import fill, row

from rheograd.engine.live import LiveRecorder, LiveRun, size_in_words
from rheograd.engine.trajectory import Trajectory
from rheograd.scenes import cantilever, drop
from rheograd.scenes.cli import main
from rheograd.viewer import display, export, keys, screenshot
from rheograd.viewer.drawing.images import drawn
from rheograd.viewer.fields import exceeds
from rheograd.viewer.fit.charts import _chart
from rheograd.viewer.fit.folder import FitFolder
from rheograd.viewer.looks import Clip, Looks, beside
from rheograd.viewer.observed.ghosts import ended_early
from rheograd.viewer.picked.picking import MOST, Pick
from rheograd.viewer.playback import Playback
from rheograd.viewer.stage import Stage, plotter_for
from rheograd.viewer.view import describe

needs_display = pytest.mark.skipif(
    not display.render_window(), reason="nothing can be drawn here: install libegl1"
)
PLANE = (204, 41, 107)


def cube(frames: int = 3, **more: Any) -> SimpleNamespace:
    """A block of 512 particles that rises, in a box of a metre."""
    line = 0.3 + 0.4 * (np.arange(8) + 0.5) / 8
    rest = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    x = rest + 0.05 * np.arange(frames)[:, None, None] * np.array([0.0, 1.0, 0.0])
    metadata = {"domain": "[[0, 0, 0], [1, 1, 1]]", **more.pop("metadata", {})}
    return SimpleNamespace(x=x, time=0.1 * np.arange(frames), metadata=metadata, **more)


def near(picture: np.ndarray, colour: tuple[int, int, int], off: int = 40) -> int:
    """Pixels of about a colour."""
    return int((np.abs(picture.astype(int) - colour).sum(-1) < off).sum())


def coloured(picture: np.ndarray) -> int:
    return int((np.ptp(picture[:300].astype(int), axis=-1) > 60).sum())


@needs_display
def test_from_beneath_the_floor_hides_nothing() -> None:
    view = describe(cube())
    plotter = plotter_for(view, (400, 400), off_screen=True)
    try:
        stage, seen = Stage(plotter, view), []
        for upward in (0.0, -75.0):
            stage.turn(0.0, upward)
            plotter.render_window.Render()
            seen.append(coloured(drawn(plotter.render_window)))
    finally:
        plotter.close()
    assert seen[1] > 0.5 * seen[0] > 500


class TestClip:
    @needs_display
    def test_the_plane_is_outlined_and_numbered(self) -> None:
        bare, cut = (
            screenshot(cube(), size=(480, 360), looks=Looks(clip=clip))
            for clip in (None, Clip.parse("x=0.45"))
        )
        assert near(bare, PLANE, 90) == 0
        assert near(cut[:240], PLANE, 90) > 100  # its outline
        assert near(cut[240:276, 240:], PLANE, 120) > 40  # its place, in words

    @pytest.mark.parametrize(
        ("plane", "told"),
        [
            ("x=0.2", "all is left out: bodies are from x = 0.325 to 0.675 m"),
            ("-x=0.8", "all is left out: bodies are from x = 0.325 to 0.675 m"),
            ("y=0.9", "nothing is left out: bodies are from y = 0.325 to 0.775 m"),
            ("y=0.7", ""),
        ],
    )
    def test_one_beside_the_bodies_is_told_of(self, plane: str, told: str) -> None:
        view, clip = describe(cube()), Clip.parse(plane)
        assert beside(clip, view) == told
        if told:
            with pytest.warns(UserWarning, match=f"clip plane .* m, {told.partition(':')[0]}"):
                Playback(view, 0, False, Looks(clip=clip))


class TestOneValue:
    @pytest.mark.parametrize(
        ("name", "value", "tick"),
        [("J", 1.0, "1"), ("heat", 37.25, "37.25"), ("pressure", -2500.0, "-2.5"),
         ("heat", 0.0, "0")],
    )  # fmt: skip
    def test_the_legend_has_that_one(self, name: str, value: float, tick: str) -> None:
        run = cube(fields={name: np.full((3, 512), value)})
        scale = describe(run).scale(name)
        low, high = scale.limits
        assert scale.tick_labels == (tick,) and low <= value <= high and low < high
        colours = scale.colours(describe(run).sources[0], 1)
        assert (colours == colours[0]).all()

    def test_no_error_is_no_metre(self) -> None:
        view = describe([cube(), cube()], field="error")
        assert view.scale("error").only == 0.0 and view.scale("error").tick_labels == ("0",)

    def test_another_value_widens_it(self) -> None:
        heat = np.full((3, 512), 5.0)
        run = cube(fields={"heat": heat})
        view = describe(run)
        scale = view.scale("heat")
        assert not exceeds(scale, view.sources[0], 2)
        heat[2] = np.linspace(5.0, 5.01, 512)
        assert exceeds(scale, view.sources[0], 2)

    @needs_display
    def test_its_bar_has_one_colour(self) -> None:
        run = cube(fields={"heat": np.full((3, 512), 5.0)})
        bar = screenshot(run, size=(640, 360), field="heat")[-45:-40, 400:600]
        assert np.ptp(bar.reshape(-1, 3), axis=0).max() == 0


class TestFit:
    def test_losses_are_logarithmic_down_to_zero(self, tmp_path: Path) -> None:
        folder = fill(tmp_path / "fit", 3)
        rows = [{**row(k), "loss": loss} for k, loss in enumerate((1.0, 1e-3, 1e-6, 0.0))]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        curves = {curve.name: curve for curve in FitFolder(folder).curves()}
        assert curves["training loss"].logarithmic and not curves["young"].logarithmic
        axes = drawn_chart(curves["training loss"])
        assert axes.get_yscale() == "log" and 0.0 < axes.get_ylim()[0] < 1e-6

    def test_a_parameter_that_goes_over_decades_is_logarithmic(self, tmp_path: Path) -> None:
        folder = fill(tmp_path / "fit", 3)
        rows = [row(k, young) for k, young in enumerate((1e3, 4e4, 1e5))]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        curves = {curve.name: curve for curve in FitFolder(folder).curves()}
        assert curves["young"].logarithmic
        assert drawn_chart(curves["young"]).get_yscale() == "log"

    @pytest.mark.parametrize("reported", [False, True])
    def test_the_band_at_the_end_is_seen(self, tmp_path: Path, reported: bool) -> None:
        folder = fill(tmp_path / "fit", 3)
        if reported:
            told = {"name": "young", "value": 2.2e4, "low95": 1.2e4, "high95": 3.2e4}
            (folder / "report.json").write_text(json.dumps({"parameters": [told]}))
        curves = {curve.name: curve for curve in FitFolder(folder).curves()}
        axes = drawn_chart(curves["young"])
        whisker = next(line for line in axes.lines if line.get_gid() == "band at the end")
        expected = (12.0, 32.0) if reported else (10.0, 30.0)  # kPa
        assert whisker.get_ydata() == pytest.approx(expected)
        low, high = axes.get_ylim()
        assert low <= expected[0] and expected[1] <= high
        assert ("±" in axes.get_title(loc="right")) == reported

    def test_a_prediction_that_ends_early_is_told_of(self) -> None:
        seen = np.linspace(0.0, 0.6, 31)
        assert ended_early(seen[:16], seen) == "predicted until 0.3 s, observed until 0.6 s"
        assert ended_early(seen, seen) == ended_early(seen, seen[:16]) == ""


def drawn_chart(curve: Any) -> Any:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    _chart(axes, curve, 400.0)
    return axes


def test_a_pick_too_many_is_told_of() -> None:
    playback = Playback(describe(cube()), 0, False)
    for point in range(MOST):
        playback.pick(Pick(0, point), add=True)
    assert playback.shown.remark == ""
    playback.pick(Pick(0, 50), add=True)
    assert playback.shown.remark == "6 are picked at most: the oldest is let go"
    assert [one.point for one in playback.shown.picked] == [1, 2, 3, 4, 5, 50]
    playback.pick(Pick(0, 50), add=True)
    assert playback.shown.remark == "" and len(playback.shown.picked) == 5


def test_a_mesh_outside_the_box_of_its_scene_has_none() -> None:
    scene = cantilever.build()
    from rheograd.engine.simulate import simulate

    bent = simulate(scene, cantilever.solver(n=1))
    assert "domain" in bent.metadata
    assert describe(bent).domains == (None,)
    inside = Trajectory(
        bent.time, 0.2 * bent.x + 0.1, cells=bent.cells, metadata=dict(bent.metadata)
    )
    assert describe(inside).domains[0] is not None


@pytest.mark.parametrize("place", [keys.WINDOW, keys.LIVE])
def test_keys_that_close_and_start_over_are_listed(place: str) -> None:
    told = {key: meaning for names, meaning in keys.listed(place) for key in names.split(", ")}
    assert {"q", "escape", "home", "r"} <= set(told)
    assert told["r"] == "reset the camera"
    assert told["home"].startswith(("first or last frame", "back to the start"))


def test_what_is_opened_is_said_before_anything_else(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rheograd.scenes.cli", "view", str(tmp_path / "gone.vtkhdf")],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"opening {tmp_path / 'gone.vtkhdf'} ..."


@pytest.mark.parametrize("name", ["run.pvd", "run.glb"])
def test_an_export_makes_its_folder(tmp_path: Path, name: str) -> None:
    run = cube()
    np.savez(tmp_path / "run.npz", x=run.x, time=run.time)
    out = tmp_path / "series" / "first" / name
    assert main(["view", str(tmp_path / "run.npz"), "--export", str(out)]) == 0
    assert out.exists()
    assert "frames" in export(run, tmp_path / "other" / name)


def test_a_record_knows_how_it_grows(tmp_path: Path) -> None:
    run = LiveRun(drop.build(), drop.solver(), every=10)
    with_f = LiveRecorder(run, tmp_path / "seen.vtkhdf", fields={"v": 3, "F": (3, 3)})
    assert with_f.frame_bytes == 4 * run.stepper.model.n * 15
    sizes = []
    for _ in range(12):
        run.frame()
        sizes.append((tmp_path / "seen.vtkhdf").stat().st_size)
    assert with_f.written == 13 * with_f.frame_bytes
    with_f.close()
    assert (tmp_path / "seen.vtkhdf").stat().st_size == pytest.approx(with_f.written, rel=0.6)
    assert size_in_words(2.44e6) == "2.44 MB" and size_in_words(812) == "812 bytes"
