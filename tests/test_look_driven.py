# SPDX-License-Identifier: Apache-2.0
"""How bodies are looked at, as keys change it in a window and controls in a page."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageGrab
from test_browser import Page, address, changed, chromium, coloured, process
from test_browser import opened as page_opened
from test_window import Driven, opened

__all__ = ["chromium"]
RUNS = """
import json
from dataclasses import asdict
from types import SimpleNamespace
import numpy as np
from rheograd.viewer import play, serve
from rheograd.viewer.drawing import bodies
bodies.without_gpu = lambda: SPLATS
line = (np.arange(14) + 0.5) / 40 + 0.2
rest = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)
t = np.linspace(0, 1, 11)
x = rest + (0.3 * t[:, None, None] ** 2 * np.array([1, 0, 0])).astype(np.float32)
box = {"domain": "[[0,0,0],[1,1,1]]"}
one = SimpleNamespace(x=x, time=t, metadata=box)
two = SimpleNamespace(x=x + np.float32(0.1), time=t, metadata=box)
"""
WINDOW = (
    RUNS
    + """
tell = lambda shown: print(json.dumps(asdict(shown)), flush=True)
play([one, two], titles=["a", "b"], paused=True, size=(640, 480), watch=tell)
"""
)
SITE = (
    RUNS
    + """
from rheograd.engine.cells import Cells
import torch
corners = [[i, j, k] for k in (0, 1) for j, i in ((0, 0), (0, 1), (1, 1), (1, 0))]
growth = torch.linspace(0.4, 0.6, 11)[:, None, None]
bar = 0.3 + growth * torch.tensor(corners, dtype=torch.float32)
two = SimpleNamespace(x=bar, time=t, metadata=box, cells=Cells("hex8", torch.arange(8)[None]))
serve([one, two], titles=["a", "b"], paused=True, ready=lambda url: print(url, flush=True))
"""
)


def on_screen(window: Driven) -> np.ndarray:
    """All of the window, (480, 640, 3), as whole numbers."""
    picture = ImageGrab.grab((0, 0, 640, 480), xdisplay=window.environment["DISPLAY"])
    return np.asarray(picture).astype(int)[..., :3]


def bodied(picture: np.ndarray) -> int:
    """Pixels on bodies, dark ones too: others are grey, or nearly, or the pink of a clip plane."""
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    pink = (red > blue + 15) & (blue > green + 15)
    return int(((np.ptp(picture, axis=-1) > 35) & ~pink).sum())


def orange(picture: np.ndarray) -> int:
    """Pixels of a ghost."""
    return int((picture[:380, :, 0] - picture[:380, :, 2] > 40).sum())


class Keys:
    """A window, of which each key must change both what is told and what is seen."""

    def __init__(self, window: Driven) -> None:
        self.window = window

    def press(self, keys: str, part: Any = np.s_[60:380], **expected: Any) -> np.ndarray:
        """Press keys until the looks are as expected and a part of the window is not as before."""
        before = on_screen(self.window)[part]
        self.window.do("key", *keys.split())
        self.window.until(
            lambda told: all(told["looks"][name] == value for name, value in expected.items())
        )
        for _ in range(200):
            after = on_screen(self.window)
            if (np.abs(after[part] - before).max(-1) > 24).sum() > 40:
                return after
            time.sleep(0.05)
        raise AssertionError(f"{keys} changes nothing that is seen")


@pytest.mark.parametrize("splats", [True, False])
def test_keys_of_the_window(tmp_path: Path, splats: bool) -> None:
    with opened(tmp_path, WINDOW.replace("SPLATS", str(splats))) as window:
        keys, left = Keys(window), np.s_[60:380, :310]
        legend = np.s_[400:, 400:]
        keys.press("m", left, shape="surface")
        window.settled()
        whole = on_screen(window)
        clip = {"axis": 2, "place": 0.5, "sense": 1}
        keys.press("k", left, clip=clip)
        keys.press("bracketleft bracketleft bracketleft bracketleft", left)
        assert window.settled()["looks"]["clip"]["place"] == pytest.approx(0.4)
        assert bodied(on_screen(window)[left]) < 0.8 * bodied(whole[left])
        keys.press("shift+k", left, clip={"axis": 0, "place": 0.5, "sense": 1})
        keys.press("k", left, clip=None)
        keys.press("m", left, shape="points")
        keys.press("m", left, shape="spheres")
        window.do("key", "End")
        window.until(lambda told: told["frame"] == 10)
        window.do("key", "Left", "key", "Left", "key", "Left", "key", "Left")
        keys.press("g", legend, span="frame")
        window.do("key", "g")
        locked = window.until(lambda told: told["looks"]["span"] == "locked")["looks"]["locked"]
        assert locked[0] == "speed" and 0.3 < locked[2] < 0.6  # 0.6 t m/s at 0.6 s
        keys.press("g", legend, span="run", locked=None)
        assert orange(on_screen(window)) == 0
        over = keys.press("o", overlay=True)
        assert orange(over) > 200
        side = keys.press("o", overlay=False)
        assert orange(side) == 0
        assert (side[60:380, 320] != over[60:380, 320]).any()  # the divider is back
        keys.press("a", np.s_[250:390, :120], axes=True)
        for around in ("colliders", "box"):
            window.do("key", "b")
            window.until(lambda told, around=around: told["looks"]["around"] == around)
        keys.press("b", around="none")
        for dead in ("f", "p", "s", "w"):  # VTK's own
            window.do("key", dead)
        window.settled()
        window.do("key", "Escape")
        assert window.process.wait(10) == 0
        said = window.log.with_suffix(".err").read_text().splitlines()
        assert [line for line in said if not line.startswith("Warp CUDA warning")] == [], said


@pytest.fixture(scope="module")
def site(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of particles beside a mesh, paused."""
    log = tmp_path_factory.mktemp("looks") / "log"
    code = SITE.replace("SPLATS", "True")
    with process(sys.executable, "-c", code, log=log) as started:
        yield address(log, started)
        assert started.poll() is None, log.read_text()


def test_controls_of_the_page(chromium: Any, site: str) -> None:
    with page_opened(chromium, site) as one:
        page, left = one.page, (slice(40, 380), slice(0, 440))
        right = (slice(40, 380), slice(460, 900))
        page.keyboard.press("End")
        one.until_frame(10)
        whole = one.settled()
        page.select_option("#shape", "surface")
        one.until_seen_otherwise(whole, left)
        surface = one.settled()
        page.select_option("#clip-axis", "x")
        one.until(lambda: page.inner_text("#clip-words") == "0.5 m")
        for half in (left, right):
            one.until_seen_otherwise(surface, half)
        cut = one.settled()
        page.locator("#clip-place").fill("0.25")
        one.until(lambda: page.inner_text("#clip-words") == "0.25 m")
        one.until_seen_otherwise(cut, right)
        assert coloured(one.settled()[left]) < coloured(surface[left])
        page.keyboard.press("]")
        one.until(lambda: page.inner_text("#clip-words") == "0.275 m")
        page.keyboard.press("Shift+K")
        one.until(lambda: page.input_value("#clip-axis") == "y")
        page.select_option("#clip-axis", "")
        one.until(lambda: page.inner_text("#clip-words") == "")
        assert page.is_disabled("#clip-place")
        with_edges = one.settled()
        page.uncheck("#edges")
        one.until(lambda: changed(with_edges[right], one.seen()[right]) > 0.001)
        page.check("#edges")


def test_ranges_overlay_and_surroundings_in_the_page(chromium: Any, site: str) -> None:
    with page_opened(chromium, site) as one:
        page, legend = one.page, (slice(-84, None), slice(-330, None))
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        one.until_frame(1)
        page.select_option("#shape", "spheres")
        before = one.settled()
        page.select_option("#span", "frame")
        one.until_seen_otherwise(before, legend)
        page.keyboard.press("g")
        one.until(lambda: page.input_value("#span") == "locked")
        page.select_option("#span", "run")
        apart = one.settled()
        assert orange(apart.astype(int)) == 0
        page.check("#overlay")
        one.until(lambda: orange(one.seen().astype(int)) > 300)
        page.uncheck("#overlay")
        one.until(lambda: orange(one.seen().astype(int)) == 0)
        before = one.settled()
        page.check("#axes")
        corner = (slice(-230, -84), slice(0, 130))
        one.until_seen_otherwise(before, corner)
        page.select_option("#around", "none")
        one.until_seen_otherwise(before, (slice(40, 300), slice(0, 440)))
        page.keyboard.press("b")
        one.until(lambda: page.input_value("#around") == "all")


def test_a_page_takes_what_it_knows(chromium: Any, site: str) -> None:
    with page_opened(chromium, site) as one:
        assert isinstance(one, Page)
        one.page.evaluate("window.trame.trigger('act', ['set', 'shape', 'cubes'])")
        one.page.evaluate("window.trame.trigger('act', ['set', 'clip', 'y'])")
        one.page.select_option("#shape", "points")
        one.until(lambda: one.page.input_value("#shape") == "points")
