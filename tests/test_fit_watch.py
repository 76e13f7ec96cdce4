# SPDX-License-Identifier: Apache-2.0
"""Fits that are watched as they go on, in the window, on the page and in pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v3
import numpy as np
import pytest
import test_browser
import torch
from command_line import SMALL
from processes import STRICT
from test_browser import address, process
from test_markers import ARMS, block, bound, rigid
from test_window import Driven, opened
from throws import SOLVER, particles, pixels, scene

from rheograd.engine.fit.experiment import Experiment
from rheograd.engine.fit.least_squares import fit_parameters
from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.fit.prediction import OBSERVED, PREDICTED, Predictions, observed
from rheograd.engine.scene import Scene
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import Corotated
from rheograd.scenes.cli import main
from rheograd.viewer import following, movie, screenshot
from rheograd.viewer.fit.charts import _told_apart, picture, short
from rheograd.viewer.fit.folder import FitFolder
from rheograd.viewer.playback import Playback
from rheograd.viewer.view import describe

chromium = test_browser.chromium
pytestmark = pytest.mark.filterwarnings("ignore:.*particles a cell")

LOOK = """
import json
from dataclasses import asdict
from rheograd.viewer import play
tell = lambda shown: print(json.dumps(asdict(shown)), flush=True)
play({path!r}, size=(800, 480), watch=tell)
"""
SERVE = """
from rheograd.viewer import serve
serve({path!r}, ready=lambda url: print(url, flush=True))
"""
ASKED = {
    "kind": "parameters",
    "parameters": {"young": {"start": "20000.0", "unit": "'Pa'"}},
    "experiments": [{"observation": {"kind": "PixelTracks"}}],
}


def row(epoch: int, young: float = 2e4, band: list[float] | None = None) -> dict[str, Any]:
    return {
        "epoch": epoch, "loss": 0.5**epoch, "accepted": True, "dt": 1e-3, "seconds": 0.25,
        "young": young, "bands": {"young": band},
    }  # fmt: skip


def fill(folder: Path, rows: int, **asked: Any) -> Path:
    """The folder of a fit after so many iterations."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(asked or ASKED))
    lines = [json.dumps(row(k, 2e4 + 1e3 * k, [1e4, 3e4])) + "\n" for k in range(rows)]
    (folder / "metrics.jsonl").write_text("".join(lines))
    return folder


def build(*, young: float = 4e4) -> Scene:
    return scene(Corotated(young, 0.3))


def predict(folder: Path, epoch: int, off: float) -> None:
    """Write a prediction that drifts off by so much in each coordinate [m/s]."""
    seen = particles()
    made = build()
    motion = seen.trajectory
    x = motion.x + off * motion.time[:, None, None].float()
    moved = Trajectory(motion.time, x, motion.step, motion.v, body=motion.body)
    writer = Predictions(folder, 1.0)
    model = SOLVER.discretize(made)
    assert writer.offer(epoch, lambda: (made, moved, seen, model))


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at folders at every chance."""
    monkeypatch.setattr(following, "INTERVAL", 0.0)
    monkeypatch.setattr(following, "COSTLY", 0.0)


class TestPredictions:
    def test_at_most_every_so_often_and_the_last_in_any_case(self, tmp_path: Path) -> None:
        seen, made = particles(), build()
        model, calls = SOLVER.discretize(made), []

        def run() -> Any:
            calls.append(len(calls))
            return made, seen.trajectory, seen, model

        writer = Predictions(tmp_path, 60.0)
        assert writer.offer(0, run) and not writer.offer(1, run)
        assert not writer.offer(0, run, last=True) and writer.offer(1, run, last=True)
        assert len(calls) == 2
        assert {path.name for path in tmp_path.iterdir()} == {PREDICTED, OBSERVED}
        there = Trajectory.load(tmp_path / PREDICTED)
        assert there.metadata["epoch"] == "1" and json.loads(there.metadata["domain"])
        np.testing.assert_allclose(there.x, seen.trajectory.x)
        assert not Predictions(tmp_path, 0.0).offer(0, run, last=True)

    def test_tracks_lie_on_their_rays(self) -> None:
        seen = pixels()
        off = seen.tracks.pixels + np.array([3.0, -2.0])
        off[4, seen.bound[0]] = np.nan
        moved = replace(seen, tracks=replace(seen.tracks, pixels=off))
        ghost = observed(moved, particles().trajectory)
        assert ghost is not None and ghost.x.shape == (len(off), len(seen.bound), 3)
        assert bool(ghost.x[4, 0].isnan().all()) and bool(ghost.x[3].isfinite().all())
        there = seen.camera.project(ghost.x.double()).at
        told = off[:, seen.bound]
        known = np.isfinite(told)
        np.testing.assert_allclose(there.numpy()[known], told[known], atol=1e-3)

    def test_markers_lie_where_the_estimated_setup_puts_them(self) -> None:
        seen, motion = bound(gaps=True), rigid(block())
        ghost = observed(seen, motion)
        assert ghost is not None
        there = seen.seen()
        assert torch.equal(ghost.x.isfinite().all(-1), there) and not bool(there.all())
        off = seen.residual(motion)[there].norm(dim=-1)
        assert float(off.max()) < 1e-3
        # the block's centre goes along `travel`; markers stay at the length of their arms from it
        arms = ghost.x.double() - motion.x.mean(1, keepdim=True)
        length = ARMS.norm(dim=1).expand(len(arms), -1)
        torch.testing.assert_close(arms.norm(dim=-1)[there], length[there], rtol=0, atol=3e-3)

    def test_a_fit_of_numbers_writes_them_and_comes_out_as_without(self, tmp_path: Path) -> None:
        fits = [
            fit_parameters(
                build, SOLVER, [Experiment(particles())], {"young": Parameter(3e4, 1.0, unit="Pa")},
                folder=tmp_path / name, max_iterations=2, search=0, predict=every,
            )
            for name, every in (("with", 1e-9), ("without", 0.0))
        ]  # fmt: skip
        assert fits[0].values == fits[1].values and fits[0].losses == fits[1].losses
        assert not (tmp_path / "without" / PREDICTED).exists()
        there = Trajectory.load(tmp_path / "with" / PREDICTED)
        assert there.metadata["epoch"] == str(len(fits[0].losses))
        off = (there.x - particles().trajectory.x).square().mean()
        assert float(off) == pytest.approx(fits[0].misfit, rel=1e-3)


class TestFolder:
    def test_what_is_recorded_has_its_name_and_unit(self, tmp_path: Path) -> None:
        folder = FitFolder(fill(tmp_path / "run", 4))
        found = {curve.name: curve for curve in folder.curves()}
        assert list(found)[:2] == ["training loss", "young"]
        assert found["training loss"].unit == "px²" and found["training loss"].logarithmic
        assert found["young"].unit == "Pa" and found["young"].bands == ((1e4, 3e4),) * 4
        assert found["young"].values == (2e4, 2.1e4, 2.2e4, 2.3e4)
        assert "accepted" not in found and found["time an iteration takes"].unit == "s"

    def test_a_line_that_is_half_written(self, tmp_path: Path) -> None:
        path = fill(tmp_path / "run", 3)
        folder = FitFolder(path)
        with (path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row(3))[:30])
        assert folder.read() and len(folder.rows) == 3
        with (path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row(3))[30:] + "\n")
        assert folder.read() and len(folder.rows) == 4 and not folder.read()

    def test_it_says_how_far_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "run"
        path.mkdir()
        folder = FitFolder(path)
        assert folder.said == "waiting for the first epoch"
        fill(path, 0)
        assert folder.read() and folder.said == "waiting for the first iteration"
        fill(path, 2)
        assert folder.read() and folder.said == "iteration 2, 250 ms each"
        past = time.time() - 3600
        for name in ("config.json", "metrics.jsonl"):
            os.utime(path / name, (past, past))
        folder.read()
        told = f"unfinished after iteration 2, last written at {following.clock(past)}"
        assert folder.said == told
        (path / "report.json").write_text("{}")
        assert folder.read() and folder.said == "finished: 2 iterations in 500 ms"
        fill(path, 3)  # it is gone on with
        future = time.time() + 5
        os.utime(path / "metrics.jsonl", (future, future))
        assert folder.read() and folder.said == "iteration 3, 250 ms each"

    def test_a_training_without_a_report(self, tmp_path: Path) -> None:
        path = fill(tmp_path / "op.training", 2, epochs=2)
        assert FitFolder(path).said.startswith("finished: 2 epochs")

    @pytest.mark.parametrize(
        ("names", "words"),
        [
            (["index.json", "run-0.vtkhdf"], r"is a data set, .* such as rheograd view .*run-0"),
            (["notes.txt"], r"is a folder without config.json and metrics.jsonl, expected that"),
        ],
    )
    def test_other_folders(
        self, tmp_path: Path, names: list[str], words: str, refuse: Callable[..., str]
    ) -> None:
        for name in names:
            (tmp_path / name).write_text("")
        with pytest.raises(ValueError, match=words):
            describe(tmp_path)
        out = tmp_path.with_suffix(".png")
        assert refuse("view", tmp_path, "--screenshot", out).startswith(str(tmp_path))

    def test_a_folder_that_is_not_there_or_not_alone(
        self, tmp_path: Path, refuse: Callable[..., str]
    ) -> None:
        assert "no file or folder" in refuse("view", tmp_path / "none")
        np.savez(tmp_path / "a.npz", x=np.zeros((2, 1, 3)), time=[0.0, 1.0])
        folder = fill(tmp_path / "run", 1)
        told = refuse("view", folder, tmp_path / "a.npz", "--screenshot", tmp_path / "a.png")
        assert "expected it alone" in told


@pytest.mark.usefixtures("eager")
class TestWatching:
    def test_curves_alone_then_the_first_prediction_then_better_ones(self, tmp_path: Path) -> None:
        path = fill(tmp_path / "run", 1)
        playback = Playback(describe(path), 0, True)
        first = playback.view
        assert first.bare and not playback.advance()
        predict(path, 0, 0.1)
        assert playback.advance() and playback.view is not first
        view = playback.view
        assert not view.bare and next(iter(view.fields)) == "error" == playback.shown.field
        assert view.sources[0].remark == "predicted before the fit; orange: observed"
        off = view.fields["error"].values(view.sources[0], view.sources[0].count - 1)
        np.testing.assert_allclose(off, 0.1 * view.times[-1] * 3**0.5, rtol=1e-4)
        ghost = view.sources[0].ghost  # rings where it was observed, lines to where it is predicted
        x = view.sources[0].positions(view.sources[0].count - 1)
        gap = np.linalg.norm(ghost.places(x) - ghost.at(float(view.times[-1])), axis=-1)
        np.testing.assert_allclose(gap, 0.1 * view.times[-1] * 3**0.5, rtol=1e-4)
        top = view.scale("error").limits[1]
        predict(path, 5, 0.01)
        fill(path, 5)
        assert playback.advance() and playback.view is view
        assert "after iteration 5" in view.sources[0].remark
        assert view.fields["error"].values(view.sources[0], 10).max() < 2e-3
        assert view.scale("error").limits[1] < top

    def test_a_prediction_of_other_particles(self, tmp_path: Path) -> None:
        path = fill(tmp_path / "run", 1)
        predict(path, 0, 0.1)
        playback = Playback(describe(path), 0, False)
        view = playback.view
        other = Trajectory.load(path / PREDICTED)
        few = Trajectory(other.time, other.x[:, :9], other.step, metadata=other.metadata)
        few.save(path / "draft.vtkhdf")
        os.replace(path / "draft.vtkhdf", path / PREDICTED)
        assert playback.advance() and playback.view is not view
        assert playback.view.sources[0].particles == 9
        assert "error" not in playback.view.fields and playback.shown.field == "speed"
        assert playback.view.sources[0].ghost.places is None


def test_numbers_in_few_letters() -> None:
    told = [short(v, 3) for v in (0.0, 20.0, 1e-5, 5.678e-15, -2.5e7, 0.25)]
    assert told == ["0", "20", "10⁻⁵", "5.68e−15", "−2.5e7", "0.25"]
    assert _told_apart([2.401, 2.402, 2.45]) == ["2.401", "2.402", "2.45"]


def test_charts_change_with_what_is_in_the_folder(tmp_path: Path) -> None:
    path = fill(tmp_path / "run", 2)
    folder = FitFolder(path)
    before = picture(folder, (400, 500))
    assert before.shape == (500, 400, 3) and (before[110:] < 200).any()
    fill(path, 6)
    folder.read()
    assert (picture(folder, (400, 500))[110:] != before[110:]).any(-1).mean() > 0.005
    empty = tmp_path / "empty"
    empty.mkdir()
    blank = picture(FitFolder(empty), (400, 500))
    assert (blank[:70] < 200).any() and (blank[70:] == 255).all()  # a sentence and no more


class TestPictures:
    def test_a_screenshot_and_a_movie(self, tmp_path: Path) -> None:
        path = fill(tmp_path / "run", 3)
        with pytest.raises(ValueError, match="got no prediction of its motion"):
            movie(path, tmp_path / "a.mp4")
        bare = screenshot(path, size=(640, 360))
        predict(path, 3, 0.5)
        with_motion = screenshot(path, size=(640, 360))
        left, right = slice(0, 380), slice(390, 640)
        assert (bare[:, left] != with_motion[:, left]).any(-1).mean() > 0.3
        orange = (with_motion[:, left].astype(int) @ [1, 0, -1]) > 120
        assert orange.sum() > 50  # what was observed
        assert (with_motion[60:270, right] < 200).any()  # the curves
        assert (
            main(["view", str(path), "--movie", str(tmp_path / "a.gif"), "--size", "320,180"]) == 0
        )
        count = len(particles().trajectory)
        assert len(imageio.v3.imread(tmp_path / "a.gif", index=None)) == count


def patient(window: Driven, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait for something that a fit has to come to first."""
    for _ in range(8):
        try:
            return window.until(holds)
        except AssertionError:
            assert window.process.poll() is None, window.log.with_suffix(".err").read_text()
    return window.until(holds)


@contextmanager
def fitting(folder: Path, small: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A fit of a few seconds as a process of its own."""
    words = ["fit", str(small), str(small.with_name("a.npz")), "--parameters", "young=2e4"]
    words += ["--out", str(folder), "--predict", "0.01"]
    with (small.with_name("fit.log")).open("w") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "rheograd.scenes.cli", *words], stdout=log, stderr=log
        )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """A scene of one's own, and beside it what was seen of it."""
    path = tmp_path / "small.py"
    path.write_text(SMALL)
    words = ["--steps", "60", "--every", "4", "--out", str(tmp_path / "a.npz")]
    assert main(["run", str(path), *words]) == 0
    return path


def test_a_real_fit_in_the_window(tmp_path: Path, seen: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    with opened(tmp_path, LOOK.format(path=str(folder))) as window:
        assert window.until(lambda told: True)["frames"] == 1
        waits = screen(window)
        with fitting(folder, seen) as fit:
            patient(window, lambda told: told["frames"] == 14 and told["playing"])
            assert window.told()[-1]["field"] == "error"
            assert changed(waits, screen(window)) > 0.3
            assert fit.wait(120) == 0, (tmp_path / "fit.log").read_text()
        window.do("key", "space")
        window.until(lambda told: not told["playing"])
        news = window.until(lambda told: told["news"] > 2)["news"]
        window.do("key", "h")
        window.until(lambda told: told["help"])
        (folder / "report.json").unlink()  # unfinished then, and killed a while ago
        for path in folder.iterdir():
            os.utime(path, (time.time() - 99, time.time() - 99))
        window.until(lambda told: told["news"] > news)
        window.do("key", "Escape")
        assert window.process.wait(20) == 0
        assert window.log.with_suffix(".err").read_text() == ""


def screen(window: Driven) -> np.ndarray:
    from PIL import ImageGrab

    time.sleep(0.3)
    return np.asarray(ImageGrab.grab((0, 0, 800, 480), xdisplay=window.environment["DISPLAY"]))


def changed(before: np.ndarray, after: np.ndarray) -> float:
    return float((np.abs(before.astype(int) - after).max(-1) > 8).mean())


def test_the_page(chromium: Any, tmp_path: Path) -> None:
    path, log = fill(tmp_path / "run", 1), tmp_path / "log"
    words = (*STRICT, "-c", SERVE.format(path=str(path)))
    with process(*words, log=log) as started:
        with test_browser.opened(chromium, address(log, started)) as page:
            assert page.page.get_attribute("#timeline", "max") == "0"
            before = page.settled()
            fill(path, 6)
            page.until(lambda: test_browser.changed(before, page.seen()) > 1e-3)
            predict(path, 6, 0.5)
            page.until(lambda: page.page.get_attribute("#timeline", "max") == "16")
            page.until(lambda: page.page.input_value("#field") == "error")
            page.until_seen_otherwise(before)
    assert len(log.read_text().splitlines()) == 1
