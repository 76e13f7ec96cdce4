# SPDX-License-Identifier: Apache-2.0
"""The page for a browser, driven by Playwright in a headless Chromium of this machine."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio.v3
import numpy as np
import pytest
from glb import read_glb
from processes import STRICT
from test_viewer import falling

from rheograd.scenes.cli import STOPPED
from rheograd.viewer import display

SERVED = """
from types import SimpleNamespace
import numpy as np
from rheograd.viewer import serve
x = np.random.default_rng(0).uniform(0.3, 0.7, (64, 3)) * np.linspace(1, 1.4, 51)[:, None, None]
fast = SimpleNamespace(x=x, time=np.linspace(0, 1, 51), metadata={"domain": "[[0,0,0],[1,1,1]]"})
slow = SimpleNamespace(x=x[::2], time=fast.time[::2])
serve([fast, slow], titles=["a", "b"], paused=True, ready=lambda url: print(url, flush=True))
"""
MOVED = 0.01
ALL = (slice(None), slice(None))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium")
    if not display.render_window():
        pytest.skip("nothing can be drawn here: install libegl1 and libgl1-mesa-dri, or libosmesa6")
    sync = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install -e .[dev]")
    with sync.sync_playwright() as driver:
        one = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield one
        one.close()


@contextmanager
def process(*words: str, log: Path) -> Iterator[subprocess.Popen[str]]:
    """A process with no display, ended if it has not ended itself."""
    quiet = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    with log.open("w") as out:
        started = subprocess.Popen(words, stdout=out, stderr=out, text=True, env=quiet)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(20)
        finally:
            started.kill()


def address(log: Path, started: subprocess.Popen[str]) -> str:
    """The address that was printed."""
    for _ in range(1200):
        found = [word for word in log.read_text().split() if word.startswith("http://")]
        if found:
            return found[0]
        assert started.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def site(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of two runs side by side, paused at first."""
    log = tmp_path_factory.mktemp("site") / "log"
    with process(*STRICT, "-c", SERVED, log=log) as started:
        yield address(log, started)
        assert started.poll() is None, log.read_text()
    assert len(log.read_text().splitlines()) == 1  # whatever pages came and went


class Page:
    """A page, and what can be seen on it."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def frame(self) -> int:
        return int(self.page.input_value("#timeline"))

    def plays(self) -> bool:
        return "pause" in str(self.page.get_attribute("#play", "title"))

    def seen(self) -> np.ndarray:
        """The picture (height, width, 3)."""
        file = self.page.locator(".picture img").screenshot()
        return imageio.v3.imread(io.BytesIO(file))[..., :3]

    def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(200):
            if holds():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"frame {self.frame()}, {self.page.inner_text('#clock')!r}")

    def until_frame(self, frame: int) -> None:
        self.until(lambda: self.frame() == frame)

    def settled(self) -> np.ndarray:
        """The picture once it stays as it is."""
        before = self.seen()
        for _ in range(40):
            self.page.wait_for_timeout(400)
            now = self.seen()
            if before.shape == now.shape and changed(before, now) == 0:
                return now
            before = now
        raise AssertionError("the picture goes on to change")

    def until_seen_otherwise(self, before: np.ndarray, part: tuple[slice, slice] = ALL) -> None:
        self.until(lambda: changed(before[part], self.seen()[part]) > MOVED)

    def drag(self, start: tuple[int, int], by: tuple[int, int]) -> None:
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move(start[0] + by[0], start[1] + by[1], steps=4)
        mouse.up()


def changed(before: np.ndarray, after: np.ndarray) -> float:
    """Part of the pixels that differ by more than a JPEG does."""
    return float((np.abs(before.astype(int) - after).max(-1) > 24).mean())


def coloured(picture: np.ndarray) -> int:
    """Number of pixels on bodies: the surroundings are grey, or nearly."""
    return int((np.ptp(picture, axis=-1) > 60).sum())


@contextmanager
def opened(chromium: Any, url: str) -> Iterator[Page]:
    """A page of its own, with cookies of its own, on the first frame."""
    context = chromium.new_context(viewport={"width": 900, "height": 640})
    page = context.new_page()
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(url)
    page.wait_for_selector("#play", timeout=60_000)
    page.wait_for_selector(".picture img[src]", timeout=60_000)
    try:
        yield Page(page)
    finally:
        context.close()
    assert not failed


@pytest.fixture
def page(chromium: Any, site: str) -> Iterator[Page]:
    """A page, paused on the first frame and as the program starts otherwise too."""
    with opened(chromium, site) as one:
        if one.plays():
            one.page.keyboard.press("Space")
            one.until(lambda: not one.plays())
        one.page.keyboard.press("Home")
        one.until_frame(0)
        one.page.select_option("#field", "speed")
        one.page.select_option("#speed", "1")
        one.page.set_checked("#loop", True)
        one.page.click("#reset")
        yield one


class TestPage:
    def test_play_moves_the_frame(self, page: Page) -> None:
        before = page.settled()
        page.page.click("#play")
        page.until(lambda: page.plays() and page.frame() > 3)
        page.until_seen_otherwise(before)
        page.page.click("#play")
        page.until(lambda: not page.plays())
        page.page.wait_for_timeout(300)
        stopped = page.frame()
        page.page.wait_for_timeout(300)
        assert page.frame() == stopped
        seconds = float(page.page.inner_text("#clock").split()[0])
        assert seconds == pytest.approx(0.02 * stopped)

    def test_without_a_loop_it_ends_on_the_last_frame(self, page: Page) -> None:
        page.page.uncheck("#loop")
        page.page.keyboard.press("End")
        page.until_frame(50)
        for _ in range(3):
            page.page.click("#back")
        page.until_frame(47)
        page.page.click("#play")
        page.until(lambda: page.frame() == 50 and not page.plays())
        page.page.keyboard.press("l")
        page.until(lambda: page.page.is_checked("#loop"))

    def test_the_slider_scrubs(self, page: Page) -> None:
        before = page.settled()
        page.page.click("#play")
        page.until(lambda: page.frame() > 1)
        box = page.page.locator("#timeline").bounding_box()
        y, mouse = box["y"] + box["height"] / 2, page.page.mouse
        mouse.move(box["x"] + box["width"] / 2, y)
        mouse.down()
        page.until(lambda: page.page.inner_text("#clock").startswith("0.50 of 1.00 s, 26 / 51"))
        page.page.wait_for_timeout(300)
        assert page.frame() == 25 and page.plays()  # what is held stands still
        mouse.move(box["x"] + 0.9 * box["width"], y, steps=3)
        page.until(lambda: 42 < page.frame() < 48)
        page.until_seen_otherwise(before)
        mouse.up()
        page.until(lambda: page.frame() < 20)  # and then plays on, round the end

    def test_colour_by_another_field(self, page: Page) -> None:
        legend = (slice(-84, None), slice(-330, None))
        before = page.settled()
        page.page.select_option("#field", "displacement")
        page.until_seen_otherwise(before, legend)
        between = page.settled()
        page.page.keyboard.press("Shift+C")
        page.until(lambda: page.page.input_value("#field") == "speed")
        page.until_seen_otherwise(between, legend)
        assert changed(page.settled()[legend], before[legend]) < 1e-3

    def test_mouse_turns_moves_and_zooms_both_panels(self, page: Page) -> None:
        halves = [(slice(40, -90), part) for part in (slice(0, 440), slice(460, 900))]
        keyboard, mouse = page.page.keyboard, page.page.mouse
        for act in ("turn", "move", "zoom", "middle"):
            before = page.settled()
            if act == "move":
                keyboard.down("Shift")
            if act == "zoom":
                mouse.wheel(0, 300)
            elif act == "middle":
                mouse.move(200, 200)
                mouse.down(button="middle")
                mouse.move(160, 190, steps=3)
                mouse.up(button="middle")
            else:
                page.drag((200, 200), (70, 20))
            keyboard.up("Shift")
            for half in halves:
                page.until_seen_otherwise(before, half)
            if act == "zoom":  # away
                after = page.settled()
                for half in halves:
                    assert coloured(after[half]) < 0.8 * coloured(before[half])
        assert page.frame() == 0

    def test_sides_and_reset(self, page: Page) -> None:
        first = page.settled()
        for side in ("front", "side", "above"):
            before = page.settled()
            page.page.click(f"#look-{side}")
            page.until_seen_otherwise(before)
            page.page.wait_for_selector(f"#look-{side}.chosen")
        page.page.keyboard.press("r")
        page.until(lambda: changed(first, page.seen()) < 1e-3)
        page.page.keyboard.press("v")
        page.page.wait_for_selector("#look-front.chosen")

    def test_keys(self, page: Page) -> None:
        keyboard = page.page.keyboard
        keyboard.press("ArrowRight")
        page.until_frame(1)
        keyboard.press("Shift+ArrowRight")
        page.until_frame(11)
        keyboard.press("ArrowLeft")
        page.until_frame(10)
        keyboard.press("End")
        page.until_frame(50)
        keyboard.press("ArrowUp")
        page.until(lambda: page.page.input_value("#speed") == "2")
        keyboard.press("c")
        page.until(lambda: page.page.input_value("#field") == "displacement")
        keyboard.press("h")
        page.page.wait_for_selector(".help")
        assert "one frame back or on" in page.page.inner_text(".help")
        keyboard.press("h")
        page.page.wait_for_selector(".help", state="detached")
        page.page.focus("#on")
        keyboard.press("Home")
        page.until_frame(0)
        keyboard.press("Space")  # presses the button that has the keyboard, and does not play
        page.until_frame(1)
        assert not page.plays()

    def test_the_picture_is_downloaded(self, page: Page, tmp_path: Path) -> None:
        page.page.keyboard.press("End")
        page.until_frame(50)
        shown = page.settled()
        for k, act in enumerate(("click", "key")):
            with page.page.expect_download() as download:
                page.page.click("#save") if act == "click" else page.page.keyboard.press("x")
            assert download.value.suggested_filename == "rheograd.png"
            download.value.save_as(tmp_path / f"{k}.png")
            picture = imageio.v3.imread(tmp_path / f"{k}.png")
            assert picture.shape == shown.shape
            assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
            assert changed(picture[:-84], shown[:-84]) < 1e-3  # the page tells the time itself

    def test_the_shape_is_downloaded(self, page: Page, tmp_path: Path) -> None:
        page.page.keyboard.press("End")
        page.until_frame(50)
        for k, act in enumerate(("click", "key")):
            with page.page.expect_download() as download:
                page.page.click("#save-shape") if act == "click" else page.page.keyboard.press("w")
            assert download.value.suggested_filename == "rheograd.glb"
            download.value.save_as(tmp_path / f"{k}.glb")
            read = read_glb(tmp_path / f"{k}.glb")
            shown = [[read.content["nodes"][n]["name"] for n in read.frames(p)] for p in (0, 1)]
            assert shown == [["frame 50"], ["frame 25"]]

    def test_it_fits_the_page(self, page: Page) -> None:
        wide = page.settled().shape
        page.page.set_viewport_size({"width": 600, "height": 500})

        def drawn() -> list[int]:
            code = "(image) => [image.naturalWidth, image.naturalHeight]"
            return page.page.locator(".picture img").evaluate(code)

        page.until(lambda: drawn()[0] == 600)
        assert wide[1] == 900 and drawn()[1] == page.seen().shape[0] < wide[0]

    def test_pages_come_and_go(self, page: Page, chromium: Any, site: str) -> None:
        page.page.keyboard.press("Shift+ArrowRight")
        with opened(chromium, site) as other:
            other.until_frame(10)
            assert changed(page.settled(), other.settled()) < 1e-3
            other.page.click("#on")
            page.until_frame(11)
            other.page.click("#play")
            page.until(page.plays)
        page.page.close()
        with opened(chromium, site) as other:
            other.until(other.plays)
            before = other.seen()
            other.until_seen_otherwise(before)
            other.page.reload()
            other.page.wait_for_selector("#play")
            other.until_seen_otherwise(before)
            other.page.keyboard.press("Space")
            other.until(lambda: not other.plays())

    def test_the_key_is_asked_for(self, site: str) -> None:
        for url in (site.partition("?")[0], site[:-1], site.replace("/?", "/index.html?x")):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(url, timeout=10)
            assert refused.value.code == 403
            refused.value.close()


class TestCommand:
    @pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, STOPPED), (signal.SIGTERM, 0)])
    def test_it_serves_until_it_is_stopped(
        self, chromium: Any, tmp_path: Path, sign: int, code: int
    ) -> None:
        run = falling()
        np.savez(tmp_path / "run.npz", x=run.x, time=run.time)
        words = ("-m", "rheograd.scenes.cli", "view", str(tmp_path / "run.npz"), "--browser")
        log = tmp_path / "log"
        with process(sys.executable, *words, log=log) as started:
            url = address(log, started)
            assert url.startswith("http://127.0.0.1:")
            with opened(chromium, url) as page:
                page.until(page.plays)
                assert page.page.title() == "rheograd: run"
                started.send_signal(sign)
                page.page.wait_for_selector("text=has ended")
            assert started.wait(20) == code
        lines = log.read_text().splitlines()
        assert lines[0] == f"opening {tmp_path / 'run.npz'} ..."
        assert len(lines) == (3 if sign == signal.SIGINT else 2), lines

    def test_the_page_ends_it(self, chromium: Any, tmp_path: Path) -> None:
        log = tmp_path / "log"
        with process(*STRICT, "-c", SERVED, log=log) as started:
            with opened(chromium, address(log, started)) as page:
                page.page.click("#end")
                page.page.click("#end-no")
                page.page.click("#end")
                assert started.poll() is None
                page.page.click("#end-yes")
                page.page.wait_for_selector("text=has ended")
            assert started.wait(20) == 0
        assert len(log.read_text().splitlines()) == 1


class TestLayout:
    """In a window of 1280 x 720, as small laptops have it."""

    @pytest.fixture
    def wide(self, page: Page) -> Page:
        page.page.set_viewport_size({"width": 1280, "height": 720})
        page.page.wait_for_timeout(500)
        return page

    def test_all_keys_are_seen(self, wide: Page) -> None:
        wide.page.click("#help")
        board = wide.page.locator(".help").bounding_box()
        picture = wide.page.locator(".picture").bounding_box()
        assert board["y"] + board["height"] < picture["y"] + picture["height"]
        assert board["x"] + board["width"] < picture["x"] + picture["width"]
        sizes = "e => [e.scrollHeight - e.clientHeight, e.scrollWidth - e.clientWidth]"
        assert wide.page.locator(".help").evaluate(sizes) == [0, 0]
        wide.page.set_viewport_size({"width": 700, "height": 420})
        wide.page.wait_for_timeout(300)
        hidden, _ = wide.page.locator(".help").evaluate(sizes)
        assert hidden > 0  # and can be scrolled to
        wide.page.locator(".help").evaluate("e => e.scrollTo(0, e.scrollHeight)")
        assert wide.page.locator(".help").evaluate("e => e.scrollTop") > 0
        wide.page.click("#help")

    def test_picking_leaves_the_bar_as_it_is(self, wide: Page) -> None:
        def heights() -> list[float]:
            return [bar.bounding_box()["height"] for bar in wide.page.locator(".bar").all()]

        before = heights()
        assert wide.page.is_disabled("#values")
        seen = wide.settled().astype(int)
        rows, columns = np.nonzero(np.ptp(seen[100:400, 100:500], axis=-1) > 60)
        middle = len(rows) // 2
        wide.page.mouse.click(int(columns[middle]) + 100, int(rows[middle]) + 100)
        wide.until(lambda: wide.page.is_enabled("#values"))
        assert heights() == before
        wide.page.keyboard.press("Escape")
        wide.until(lambda: wide.page.is_disabled("#values"))

    def test_time_and_speed_are_told_once(self, wide: Page) -> None:
        assert wide.page.inner_text("#clock").split(", ")[1].endswith("/ 51")
        assert wide.page.inner_text("#clock").count("x") == 0
        paces = wide.page.locator("#speed option").all_inner_texts()
        assert paces[3] == "0.6x" and len(set(paces)) == len(paces)
        below = wide.settled()[-84:, :700].astype(int)
        assert (below < 200).sum() == 0  # no time in the strip of the picture
        with wide.page.expect_download() as kept:
            wide.page.click("#save")
        saved = imageio.v3.imread(kept.value.path())[-84:, :300, :3]
        assert (saved < 120).sum() > 50  # but in one that is saved
