# SPDX-License-Identifier: Apache-2.0
"""Files that are still being written, followed in the window and on the page."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import test_browser
from processes import STRICT
from test_browser import address, process
from test_window import Driven, opened

from rheograd.engine.trajectory import TrajectoryWriter
from rheograd.viewer import following
from rheograd.viewer.playback import Playback
from rheograd.viewer.view import describe

chromium = test_browser.chromium

SLOW = """
import sys, time
import numpy as np
from rheograd.engine.trajectory import TrajectoryWriter
path, last, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
x = np.random.default_rng(0).uniform(0.3, 0.7, (64, 3)).astype(np.float32)
about = {"domain": "[[0, 0, 0], [1, 1, 1]]"}
with TrajectoryWriter(path, 64, metadata=about) as writer:
    for k in range(last + 1):
        writer.append(k, 0.02 * k, x + 0.004 * k)
        if k == 2:
            print("begun", flush=True)
            sys.stdin.readline()
        time.sleep(pause)
"""
LOOK = """
import json, sys
from dataclasses import asdict
from rheograd.viewer import play
tell = lambda shown: print(json.dumps(asdict(shown)), flush=True)
play({path!r}, size=(640, 480), watch=tell)
"""
SERVE = """
from rheograd.viewer import serve
serve({path!r}, ready=lambda url: print(url, flush=True))
"""


@contextmanager
def written(path: Path, last: int, pause: float) -> Iterator[subprocess.Popen[str]]:
    """A process that has written frames 0 to 2 to a file, and goes on to `last` once it is told."""
    writer = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(path), str(last), str(pause)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert writer.stdout is not None and writer.stdout.readline() == "begun\n"
        yield writer
    finally:
        writer.kill()
        writer.communicate()


def go_on(writer: subprocess.Popen[str]) -> None:
    """Tell it."""
    assert writer.stdin is not None
    writer.stdin.write("\n")
    writer.stdin.flush()


def until(holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it never holds")


def file_of(path: Path, frames: int, room: int, *, scale: float = 0.01) -> TrajectoryWriter:
    """A file that is being written, with so many frames now."""
    writer = TrajectoryWriter(path, 4, fields={"v": 3}, expected=room)
    for k in range(frames):
        append(writer, k, scale)
    return writer


def append(writer: TrajectoryWriter, k: int, scale: float = 0.01) -> None:
    x = np.eye(4, 3) * (1 + scale * k)
    writer.append(k, 0.1 * k, x, v=np.full((4, 3), 1.0 + k))


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at files at every chance."""
    monkeypatch.setattr(following, "INTERVAL", 0.0)
    monkeypatch.setattr(following, "COSTLY", 0.0)


@pytest.mark.usefixtures("eager")
class TestPlayback:
    def test_the_timeline_grows_and_playing_waits_at_its_end(self, tmp_path: Path) -> None:
        writer = file_of(tmp_path / "run.vtkhdf", 2, 5)
        view = describe(tmp_path / "run.vtkhdf")
        playback = Playback(view, 0, True)
        assert view.sources[0].remark == "being written"
        until(lambda: (playback.advance(), playback.shown.frame == 1)[1])
        time.sleep(0.1)
        playback.advance()
        assert playback.shown.playing and playback.shown.frame == 1
        top = view.scale("speed").limits[1]
        append(writer, 2)
        until(lambda: (playback.advance(), playback.shown.frame == 2)[1])
        assert playback.last == 2 and playback.shown.frames == 3
        np.testing.assert_allclose(view.times, [0, 0.1, 0.2])
        assert view.scale("speed").limits[1] > top  # v of the new frame is beyond it
        assert view.motion[1].max() == pytest.approx(1.02)
        for k in (3, 4):
            append(writer, k)
        writer.close()
        until(lambda: (playback.advance(), playback.shown.frame == 4)[1])
        assert view.sources[0].remark == "" and playback.shown.frames == 5
        until(lambda: (playback.advance(), playback.shown.frame < 4)[1])  # and now it loops

    def test_end_follows_until_one_goes_elsewhere(self, tmp_path: Path) -> None:
        writer = file_of(tmp_path / "run.vtkhdf", 2, 9)
        playback = Playback(describe(tmp_path / "run.vtkhdf"), 0, False)
        playback.press("End", False)
        append(writer, 2)
        assert playback.advance() and playback.shown.frame == 2
        playback.press("Left", False)
        append(writer, 3)
        assert playback.advance() and playback.shown.frame == 1
        playback.press("Right", False)
        playback.press("Right", False)
        append(writer, 4)
        assert playback.advance() and playback.shown.frames == 5
        assert playback.shown.frame == 3  # reached by steps, so it stays
        writer.close()

    def test_a_run_of_one_frame_starts_to_play(self, tmp_path: Path) -> None:
        writer = file_of(tmp_path / "run.vtkhdf", 1, 5)
        playback = Playback(describe(tmp_path / "run.vtkhdf"), 0, True)
        append(writer, 1)
        until(lambda: (playback.advance(), playback.shown.frame == 1)[1])
        writer.close()

    def test_frames_that_are_dropped_and_written_anew(self, tmp_path: Path) -> None:
        writer = file_of(tmp_path / "run.vtkhdf", 4, 9)
        view = describe(tmp_path / "run.vtkhdf")
        playback = Playback(view, -1, False)
        writer.rewind(1)
        assert playback.advance() and playback.shown.frame == 1 and len(view.times) == 2
        append(writer, 2, scale=0.5)
        assert playback.advance() and view.sources[0].positions(2).max() == 2.0
        writer.close()

    def test_another_run_under_the_same_name(self, tmp_path: Path) -> None:
        path = tmp_path / "run.vtkhdf"
        file_of(path, 3, 9).close()
        view = describe(path)
        playback = Playback(view, 0, False)
        with TrajectoryWriter(path, 7) as other:
            other.append(0, 0.0, np.zeros((7, 3)))
        assert playback.advance()
        assert view.sources[0].remark.startswith("replaced by another run")
        assert view.sources[0].positions(2).shape == (4, 3)  # the old one is still there

    def test_a_damaged_file_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "run.vtkhdf"
        file_of(path, 3, 9).close()
        view = describe(path)
        playback = Playback(view, 0, False)
        whole = path.read_bytes()
        (tmp_path / "torn").write_bytes(whole[:600])
        os.replace(tmp_path / "torn", path)
        for _ in range(3):
            assert not playback.advance()
        assert len(view.times) == 3 and view.sources[0].positions(2).shape == (4, 3)

    def test_when_a_file_was_written_last_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "run.vtkhdf"
        writer = file_of(path, 3, 9)
        view = describe(path)
        before = time.time() - 3600
        os.utime(path, (before, before))
        playback = Playback(view, 0, True)
        playback.advance()
        told = view.sources[0].remark
        assert told == f"unfinished, last written at {following.clock(before)}" and ":" in told
        assert view.ended(0, 0) == told
        assert view.following is not None and not view.following.awaited
        append(writer, 3)
        playback.advance()
        assert view.sources[0].remark == "being written"
        writer.close()

    def test_a_slow_writer_is_waited_for_four_times_as_long(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, begun = tmp_path / "run.vtkhdf", 1e9
        now = [begun]
        clock = SimpleNamespace(time=lambda: now[0], perf_counter=time.perf_counter)
        monkeypatch.setattr(following, "time", clock)
        writer = file_of(path, 2, 9)
        os.utime(path, (begun, begun))
        view = describe(path)
        assert view.following is not None
        view.following.refresh(view)
        for since, awaited in ((9.0, True), (11.0, False)):
            now[0] = begun + since
            assert view.following.awaited is awaited
        append(writer, 2)
        os.utime(path, (begun + 30, begun + 30))
        assert view.following.refresh(view)
        for since, awaited in ((119.0, True), (121.0, False)):
            now[0] = begun + 30 + since
            assert view.following.awaited is awaited
        writer.close()

    def test_a_look_that_takes_long_is_not_taken_often(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [0.0]
        monkeypatch.setattr(following, "time", SimpleNamespace(perf_counter=lambda: now[0]))
        monkeypatch.setattr(following, "INTERVAL", 0.5)
        monkeypatch.setattr(following, "COSTLY", 5.0)
        looks = []

        class Slow(following.Following):
            @property
            def awaited(self) -> bool:
                return True

            def refresh(self, view: Any) -> bool:
                looks.append(now[0])
                now[0] += 2.0
                return True

        slow, view = Slow(), describe(SimpleNamespace(x=np.zeros((1, 2, 3))))
        while now[0] < 30.0:
            slow.look(view)
            now[0] += 0.25
        assert looks == [0.5, 12.5, 24.5]

    def test_the_frames_of_an_unfinished_npz(self, tmp_path: Path) -> None:
        writer = file_of(tmp_path / "run.npz", 3, 9)
        view = describe(tmp_path / "run.npz.partial.vtkhdf")
        playback = Playback(view, 0, False)
        assert view.sources[0].remark == "being written"
        writer.close()
        playback.advance()
        assert view.sources[0].remark == "" and view.sources[0].positions(2).shape == (4, 3)


class TestWindow:
    def test_it_grows_waits_and_tells_of_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "run.vtkhdf"
        with (
            written(path, 30, 0.05) as writer,
            opened(tmp_path, LOOK.format(path=str(path))) as window,
        ):
            waits = window.until(lambda told: told["frame"] == 2)
            assert waits["playing"] and waits["frames"] == 3
            waited = self.title(window)
            window.do("key", "space", "key", "End")
            window.until(lambda told: not told["playing"])
            go_on(writer)
            window.until(lambda told: told["frame"] == told["frames"] - 1 == 30)
            assert writer.wait(20) == 0
            window.until(lambda told: (self.title(window) != waited).any())

    def test_a_writer_that_is_killed(self, tmp_path: Path) -> None:
        path = tmp_path / "run.vtkhdf"
        with written(path, 10_000, 0.02) as writer:
            with opened(tmp_path, LOOK.format(path=str(path))) as window:
                early = window.until(lambda told: told["frames"] == 3)
                go_on(writer)
                window.until(lambda told: told["frames"] > early["frames"])
                writer.kill()
                writer.wait(10)
                window.do("key", "space", "key", "End")
                window.until(lambda told: not told["playing"])
                time.sleep(1.0)
                last = window.told()[-1]
                assert last["frame"] == last["frames"] - 1
                before = self.title(window)
                past = time.time() - 60
                os.utime(path, (past, past))
                window.until(lambda told: told["news"] > last["news"])
                assert window.told()[-1]["frames"] == last["frames"] > early["frames"]
                assert (self.title(window) != before).any()
                window.do("key", "Escape")
                assert window.process.wait(10) == 0
                assert window.log.with_suffix(".err").read_text() == ""

    @staticmethod
    def title(window: Driven) -> np.ndarray:
        """The first line of the picture."""
        time.sleep(0.3)
        from PIL import ImageGrab

        display = window.environment["DISPLAY"]
        return np.asarray(ImageGrab.grab((0, 0, 640, 40), xdisplay=display))


def test_the_page(chromium: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.vtkhdf"
    log = tmp_path / "log"
    words = (*STRICT, "-c", SERVE.format(path=str(path)))
    with written(path, 30, 0.05) as writer, process(*words, log=log) as started:
        with test_browser.opened(chromium, address(log, started)) as page:
            assert page.page.get_attribute("#timeline", "max") == "2"
            page.page.keyboard.press("Space")
            page.until(lambda: not page.plays())
            page.page.keyboard.press("End")
            page.until(lambda: page.frame() == 2)
            go_on(writer)
            page.until(lambda: page.frame() == 30)
            assert page.page.get_attribute("#timeline", "max") == "30"
            assert page.page.inner_text("#clock").startswith("0.60 of 0.60 s, 31 / 31")
    assert len(log.read_text().splitlines()) == 1
