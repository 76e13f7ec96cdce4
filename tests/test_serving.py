# SPDX-License-Identifier: Apache-2.0
"""What a page for a browser rests on, without a browser."""

from __future__ import annotations

import asyncio
import io
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import imageio.v3
import numpy as np
import pytest
from test_viewer import falling

from rheograd.viewer import DisplayError, display, playback, serve
from rheograd.viewer.drawing.strip import TimeStrip
from rheograd.viewer.page import connection, stream
from rheograd.viewer.stage import Stage, plotter_for
from rheograd.viewer.view import describe


@pytest.fixture
def drawing() -> None:
    """Skip where nothing can be drawn."""
    if not display.render_window():
        pytest.skip("nothing can be drawn here: install libegl1 and libgl1-mesa-dri, or libosmesa6")


class TestRefusals:
    @pytest.mark.usefixtures("drawing")
    def test_a_port_that_is_taken(self, refuse: Callable[..., str], tmp_path: Path) -> None:
        np.savez(tmp_path / "run.npz", x=falling().x, time=falling().time)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            said = refuse("view", tmp_path / "run.npz", "--browser", "--port", port)
        assert f"port {port} of 127.0.0.1" in said and "--port" in said

    @pytest.mark.parametrize(
        ("words", "names"),
        [
            (["--browser", "--movie", "a.mp4"], "--movie"),
            (["--browser", "--screenshot", "a.png"], "--screenshot"),
            (["--port", "8000"], "add --browser"),
            (["--host", "0.0.0.0", "--movie", "a.mp4"], "add --browser"),
            (["--browser", "--port", "70000"], "65535"),
        ],
    )
    def test_what_does_not_go_together(
        self, refuse: Callable[..., str], words: list[str], names: str
    ) -> None:
        assert names in refuse("view", "run.npz", *words)

    def test_without_trame(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "trame_rca.widgets.rca", None)
        with pytest.raises(DisplayError, match="pip install trame trame-rca"):
            serve(falling())

    def test_where_nothing_can_be_drawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(display, "_probe", lambda _: ("", ""))
        with pytest.raises(DisplayError, match="libosmesa6"):
            serve(falling())

    def test_within_an_event_loop(self) -> None:
        async def within() -> None:
            serve(falling())

        with pytest.raises(RuntimeError, match="got an event loop that runs"):
            asyncio.run(within())

    @pytest.mark.usefixtures("drawing")
    def test_what_fails_ends_it(self) -> None:
        def watch(shown: playback.Shown) -> None:
            raise ValueError(f"frame {shown.frame}")

        urls: list[str] = []
        with pytest.raises(ValueError, match="frame 3"):
            serve(
                falling(), frame=3, paused=True, open_browser=False, ready=urls.append, watch=watch
            )
        address = urls[0].removeprefix("http://").partition("/")[0].split(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address[0], int(address[1])), 5)

    def test_a_page_that_leaves_is_no_failure(self, caplog: pytest.LogCaptureFixture) -> None:
        loop = asyncio.new_event_loop()
        for error in (ConnectionResetError("left"), ValueError("wrong")):
            connection.untold(loop, {"message": str(error), "exception": error})
        loop.close()
        assert [record.message.partition("\n")[0] for record in caplog.records] == ["wrong"]

    def test_a_browser_is_opened_where_there_is_a_display(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: Queue[str] = Queue()
        monkeypatch.setattr("webbrowser.open", asked.put)
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        connection.open_page("http://none")
        monkeypatch.setenv("DISPLAY", ":7")
        connection.open_page("http://some")
        assert asked.get(timeout=10) == "http://some"

    def test_a_frame_that_there_is_not(self) -> None:
        with pytest.raises(ValueError, match="expected -11 to 10"):
            serve(falling(), frame=11)

    def test_what_it_is_called_from_afar(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket, "gethostname", lambda: "far")
        got = [connection.reached(host) for host in ("0.0.0.0", "127.0.0.1", "::1")]
        assert got == ["far", "127.0.0.1", "[::1]"]


class Sent:
    """Takes what a stream sends."""

    def __init__(self) -> None:
        self.got: list[tuple[dict, bytes]] = []

    def push_content(self, area: str, described: dict, content: bytes) -> None:
        self.got.append((described, content))


class TestStream:
    def test_no_more_under_way_than_a_page_takes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [0.0]
        monkeypatch.setattr(stream, "time", SimpleNamespace(monotonic=lambda: now[0]))
        pixels = np.random.default_rng(0).integers(0, 255, (32, 48, 3)).astype(np.uint8)

        async def run() -> list[tuple[dict, bytes]]:
            way, sent = stream.Stream(lambda w, h: None, lambda event: None), Sent()
            way.set_streamer(sent)
            for _ in range(3):
                assert way.free
                way.send(pixels, still=True)
            assert not way.free
            way.arrived(2)
            assert way.free
            for _ in range(2):
                way.send(pixels, still=False)
            assert not way.free
            now[0] = 1.5  # the pages are gone
            assert way.free
            while len(sent.got) < 5:
                await asyncio.sleep(0.01)
            way.close()
            return sent.got

        got = asyncio.run(run())
        assert [described["st"] for described, _ in got] == [1, 2, 3, 4, 5]
        assert (got[0][0]["w"], got[0][0]["h"]) == (48, 32)
        assert imageio.v3.imread(io.BytesIO(got[0][1])).shape == pixels.shape

    def test_still_pictures_are_better(self) -> None:
        smooth = np.linspace(0, 255, 64)[:, None, None] * np.ones((64, 64, 3))
        smooth[20:40, 20:40] = (255, 0, 0)
        pixels = smooth.astype(np.uint8)
        errors = []
        for quality in (80, 95):
            read = imageio.v3.imread(io.BytesIO(stream.jpeg(pixels, quality)))
            errors.append(np.abs(read.astype(int) - pixels).mean())
        assert errors[1] < 0.6 * errors[0]


class Slow:
    """What a `Site` plays with: a clock by hand that drawing and sleep move on."""

    def __init__(self, drawing: list[float], takes: Callable[[float], bool]) -> None:
        self.now, self.left, self.takes = 0.0, list(drawing), takes
        self.pauses: list[float] = []
        self.sent: list[tuple[float, bool]] = []
        """When, and whether a still picture."""
        self._due, self._still = True, False
        self._plotter = SimpleNamespace(render_window=None)
        self._stage = SimpleNamespace(inspector=SimpleNamespace(read=lambda seconds: False))
        self._playback = SimpleNamespace(advance=lambda: bool(self.left))
        self._stream = self

    @property
    def free(self) -> bool:
        return self.takes(self.now)

    def send(self, pixels: None, *, still: bool) -> None:
        self.sent.append((self.now, still))

    def _draw(self) -> None:
        self._due = False
        self.now += self.left.pop(0)

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0.0
        self.pauses.append(seconds)
        self.now += seconds
        if self.now > 9.0:
            raise asyncio.CancelledError

    def play(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("trame_rca")
        from rheograd.viewer.page import browser

        loop = SimpleNamespace(time=lambda: self.now)
        mine = SimpleNamespace(get_running_loop=lambda: loop, sleep=self.sleep)
        monkeypatch.setattr(browser, "asyncio", mine)
        monkeypatch.setattr(browser, "drawn", lambda window: None)
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(browser.Site._play(self))  # type: ignore[arg-type]


class TestPace:
    def test_slow_drawing_leaves_about_as_much_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """And a quick one none that would be seen."""
        drawing = [0.002, 0.4, 0.03, 1.2, 0.005, 0.6, 0.01]
        site = Slow(drawing, lambda now: True)
        site.play(monkeypatch)
        assert not site.left
        for took, pause in zip(drawing, site.pauses[1:], strict=False):
            if took > 0.3:
                assert 0.8 * took < pause <= took
            else:
                assert 0.0 < pause < 0.01

    def test_a_page_that_takes_nothing_is_asked_again_soon(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a slow picture, whose pause is over."""
        site = Slow([0.5, 0.001], lambda now: now < 0.5 or now > 2.0)
        site.play(monkeypatch)
        waited = [p for p in site.pauses[2:] if p > 0.01]
        assert not waited and [round(at, 1) for at, _ in site.sent[:2]] == [0.5, 2.0]

    def test_what_stands_still_is_sent_once_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        site = Slow([0.002] * 5, lambda now: True)
        site.play(monkeypatch)
        assert [still for _, still in site.sent] == [False] * 5 + [True]
        assert 0.2 < site.sent[-1][0] - site.sent[-2][0] < 0.4


class TestPlayback:
    def test_time_goes_by_the_clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [10.0]
        monkeypatch.setattr(playback, "time", SimpleNamespace(perf_counter=lambda: now[0]))
        played = playback.Playback(describe(falling(frames=31)), 0, True)
        played.change()
        now[0] += 0.51  # thirty frames a second
        assert played.advance() and played.shown.frame == 15
        assert not played.advance()
        played.press("Up", False)
        now[0] += 0.11
        assert played.advance() and played.shown.frame == 21
        played.held = True
        now[0] += 1.0
        assert not played.advance()
        played.held = False
        assert played.advance() and played.shown.frame == 0  # round the end
        played.press("l", False)
        played.press("End", False)
        now[0] += 0.1
        assert played.advance()
        assert played.shown.frame == 30 and not played.shown.playing
        played.press("space", False)
        assert played.shown.frame == 0 and played.shown.playing
        assert not played.press("F12", False)

    def test_steps_stop_at_the_ends(self) -> None:
        played = playback.Playback(describe(falling()), -1, True)
        assert played.shown.frame == 10
        played.press("Right", True)
        assert played.shown.frame == 10 and not played.shown.playing
        played.press("Left", True)
        played.press("Left", False)
        assert played.shown.frame == 0
        for _ in range(9):
            played.press("Down", False)
        assert played.shown.speed == 0.125


@pytest.mark.usefixtures("drawing")
def test_the_camera_moves_by_pixels_and_comes_nearer() -> None:
    view = describe([falling(), falling()])
    plotter = plotter_for(view, (640, 480), off_screen=True)
    stage = Stage(plotter, view)
    renderer, point = plotter.renderers[0], view.extent.mean(0)

    def place() -> np.ndarray:
        plotter.render_window.Render()
        renderer.SetWorldPoint(*point, 1.0)
        renderer.WorldToDisplay()
        return np.array(renderer.GetDisplayPoint()[:2])

    before = place()
    stage.move(30, -12)
    np.testing.assert_allclose(place() - before, (30, -12), atol=0.2)
    stage.look(0)
    distance = np.linalg.norm(np.array(renderer.camera.position) - renderer.camera.focal_point)
    stage.approach(1.5)
    nearer = np.linalg.norm(np.array(renderer.camera.position) - renderer.camera.focal_point)
    assert nearer == pytest.approx(distance / 1.5)
    np.testing.assert_allclose(place(), before, atol=0.2)
    plotter.close()


@pytest.mark.usefixtures("drawing")
def test_fingers_and_buttons_of_a_page_zoom_and_turn() -> None:
    pytest.importorskip("trame_rca")
    from rheograd.viewer.page.browser import Site

    view = describe(falling())
    plotter = plotter_for(view, (640, 480), off_screen=True)
    site = Site(playback.Playback(view, 0, False), plotter)
    camera = plotter.renderers[0].camera

    def distance() -> float:
        return float(np.linalg.norm(np.array(camera.position) - camera.focal_point))

    def tell(kind: str, x: float = 0, y: float = 0, **more: Any) -> float:
        """How much farther the camera is after an event."""
        before = distance()
        site._move({"type": kind, "x": x, "y": y, "w": 640, **more})
        return distance() / before

    assert tell("MouseWheel", spinY=-1) == pytest.approx(1 / 1.1)  # away from one: nearer
    assert tell("MouseWheel", spinY=2) == pytest.approx(1.1**2)
    tell("StartPinch", factor=2.0)
    assert tell("Pinch", factor=3.0) == pytest.approx(1 / 1.5)
    assert tell("Pinch", factor=1.5) == pytest.approx(2.0)
    tell("RightButtonPress", 320, 240)
    assert tell("MouseMove", 320, 260) == pytest.approx(1 / 1.1**2)  # up
    assert tell("MouseMove", 300, 230) == pytest.approx(1.1**3)
    tell("RightButtonRelease", 300, 230)
    site._look(1)
    right = view.axes[0]
    tell("LeftButtonPress", 500, 300)
    assert tell("MouseMove", 450, 300) == pytest.approx(1.0)  # the front goes left, the eye right
    toward = np.array(camera.position) - camera.focal_point
    assert toward @ right / distance() == pytest.approx(np.sin(np.radians(0.4 * 50)))
    tell("LeftButtonRelease", 450, 300)
    plotter.close()


@pytest.mark.usefixtures("drawing")
def test_the_strip_without_a_timeline() -> None:
    view = describe(falling())
    pictures = []
    for timeline in (True, False):
        plotter = plotter_for(view, (640, 240), off_screen=True)
        Stage(plotter, view, strip=TimeStrip(plotter.renderers[1], view, 1, timeline))
        plotter.render_window.Render()
        pictures.append(plotter.screenshot(return_img=True)[-84:])
        plotter.close()
    between = (slice(30, 54), slice(200, 350))
    assert (pictures[0][between] != 255).any(-1).mean() > 0.1
    assert (pictures[1][between] == 255).all()
    legend = (slice(None), slice(400, None))
    assert (pictures[0][legend] == pictures[1][legend]).all()


@pytest.mark.usefixtures("drawing")
def test_another_size_is_laid_out_as_if_it_had_been_the_first() -> None:
    view, narrow = describe([falling(), falling()], titles=["a", "b"]), (240, 600)
    pictures = []
    for size in ((640, 400), narrow):
        plotter = plotter_for(view, size, off_screen=True)
        stage = Stage(plotter, view, strip=TimeStrip(plotter.renderers[2], view, 1, timeline=False))
        plotter.render_window.SetSize(*narrow)
        stage.lay_out()
        stage.look(0)
        stage.show(0)
        plotter.render_window.Render()
        pictures.append(plotter.screenshot(return_img=True))
        plotter.close()
    assert pictures[0].shape == (600, 240, 3)
    np.testing.assert_array_equal(pictures[0], pictures[1])
