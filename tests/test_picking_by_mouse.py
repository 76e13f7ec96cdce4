# SPDX-License-Identifier: Apache-2.0
"""Clicks on what is known to be at a pixel, in a window and in a page, and what then is picked."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import STRICT
from test_browser import address, chromium, process
from test_browser import opened as page_at
from test_picking import front, pixels, staged, struck
from test_window import Driven, first_of_all
from test_window import opened as window_of

from rheograd.viewer.picked.picking import Pick
from rheograd.viewer.stage import Stage

RUN = """
import json
from dataclasses import asdict
from types import SimpleNamespace
import numpy as np
from rheograd.viewer import play, serve
from rheograd.viewer.drawing import bodies
x = np.random.default_rng(0).uniform(0.3, 0.7, (COUNT, 3)).astype(np.float32)
x = x * np.linspace(1, 1.4, 51, dtype=np.float32)[:, None, None]
fast = SimpleNamespace(x=x, time=np.linspace(0, 1, 51), metadata={"domain": "[[0,0,0],[1,1,1]]"})
slow = SimpleNamespace(x=x[::2], time=fast.time[::2])
tell = lambda shown: print(json.dumps(asdict(shown)), flush=True)
"""
TWO = RUN.replace("COUNT", "64") + (
    "play([fast, slow], titles=['a', 'b'], paused=True, size=(640, 480), watch=tell)\n"
    "print(json.dumps({'closed': True}), flush=True)\n"
)
CLOUD = RUN.replace("COUNT", "30_000") + (
    "bodies.without_gpu = lambda: True\nplay(fast, paused=True, size=(640, 480), watch=tell)\n"
)
SERVED = RUN.replace("COUNT", "64") + (
    "serve([fast, slow], paused=True, watch=tell, ready=lambda url: print(url, flush=True))\n"
)
SIZE = (640, 480)
browser = chromium


def runs(count: int) -> list[Any]:
    """The same as in the processes."""
    made: dict[str, Any] = {}
    exec(RUN.replace("COUNT", str(count)), made)
    return [made["fast"], made["slow"]]


def points(told: dict[str, Any]) -> list[int]:
    return [one["point"] for one in told["picked"]]


def beside(stage: Stage, x: np.ndarray, first: int) -> tuple[int, tuple[int, int]]:
    """Another particle that is seen in the second panel beside the words, and its pixel."""
    stage.inspector.picked = (Pick(0, first), Pick(0, 1, colour=1))
    stage.inspector.charted = False
    stage.show(0)
    for place in pixels(stage, x, 1):
        at = round(place[0]), round(place[1])
        number = struck(stage, x, at, 1)
        if number not in (-1, first) and not stage.inspector.covers(*at):
            return number, at
    raise AssertionError("all are covered")


class Clicked:
    """A window in which one clicks on places from the lower left."""

    def __init__(self, window: Driven, size: tuple[int, int] = SIZE) -> None:
        self.window, self.high = window, size[1]

    def click(self, x: float, y: float, shift: bool = False) -> None:
        if shift:
            self.window.do("keydown", "shift")
        self.window.do("mousemove", str(round(x)), str(self.high - 1 - round(y)), "click", "1")
        if shift:
            time.sleep(0.1)
            self.window.do("keyup", "shift")


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Driven]:
    with window_of(tmp_path, TWO) as driven:
        yield driven


class TestWindow:
    def test_clicks_pick_and_escape_clears(self, window: Driven) -> None:
        mouse = Clicked(window)
        with staged(runs(64), SIZE) as stage:
            x = stage.view.sources[0].positions(0)
            first, at = front(stage, x, 0)
            second, there = beside(stage, x, first)
        mouse.click(*at)
        told = window.until(lambda told: points(told) == [first])
        assert told["picked"][0]["panel"] == 0 and told["frame"] == 0
        window.do("key", "t")
        mouse.click(*there)
        told = window.until(lambda told: points(told) == [second])
        assert told["picked"][0]["panel"] == 1
        mouse.click(*at, shift=True)
        told = window.until(lambda told: points(told) == [second, first])
        assert [one["colour"] for one in told["picked"]] == [0, 1]
        mouse.click(*there, shift=True)
        window.until(lambda told: points(told) == [first])
        window.do("mousemove", "100", "200", "mousedown", "1", "mousemove", "140", "210")
        window.do("mouseup", "1")  # a drag picks nothing
        assert points(window.settled()) == [first]
        mouse.click(20, 200)
        window.until(lambda told: points(told) == [])
        mouse.click(*at)
        window.do("key", "v", "key", "v", "key", "r")
        mouse.click(*at)
        window.until(lambda told: points(told) == [first])
        window.do("key", "Escape")
        window.until(lambda told: points(told) == [])
        assert window.process.poll() is None
        window.do("key", "Escape")
        window.until(lambda told: told.get("closed", False))
        assert window.process.wait(10) == 0
        assert window.log.with_suffix(".err").read_text() == ""

    def test_the_chart_scrubs_and_is_written(self, window: Driven) -> None:
        mouse = Clicked(window)
        with staged(runs(64), SIZE) as stage:
            number, at = front(stage, stage.view.sources[0].positions(0), 0)
            stage.inspector.picked = (Pick(0, number),)
            stage.show(0)
            stage.inspector.finish()
            left, low, right, high = stage.inspector._chart._box
        window.do("key", "shift+x")
        mouse.click(*at)
        window.until(lambda told: points(told) == [number] and told["chart"])
        start = f"{round((left + right) / 2)}", f"{SIZE[1] - 1 - round((low + high) / 2)}"
        window.do("mousemove", *start, "mousedown", "1")
        held = window.until(lambda told: 23 <= told["frame"] <= 27)
        assert points(held) == [number]
        window.do("mousemove", str(round(right)), "20")
        window.until(lambda told: told["frame"] == 50)
        window.do("mouseup", "1", "mousemove", "100", "100")
        before = window.settled()
        assert points(before) == [number] and not before["playing"]
        window.do("key", "c", "key", "shift+x")
        folder, file = window.log.parent, window.log.parent / "rheograd-1.csv"
        for _ in range(200):
            if file.exists() and file.read_text().count("\n") == 52:
                break
            time.sleep(0.05)
        head, *rows = csv.reader(file.read_text().splitlines())
        assert head == ["time [s]", *(f"{r}: displacement of particle {number} [m]" for r in "ab")]
        x = runs(64)[0].x[:, number].astype(float)
        far = np.linalg.norm(x - x[0], axis=-1)
        assert [float(row[1]) for row in rows] == pytest.approx(far.tolist(), abs=1e-6)
        assert [row[2] for row in rows[1::2]] == [""] * 25
        window.do("key", "t")
        window.until(lambda told: not told["chart"])
        mouse.click((left + right) / 2, low)
        window.until(lambda told: points(told) != [number])  # there is no chart to be hit
        assert len(list(folder.glob("rheograd-*.csv"))) == 1


def test_a_cloud(tmp_path: Path) -> None:
    run = runs(30_000)[0]
    with staged(run, SIZE) as stage:
        _, at = front(stage, run.x[0])
        number = struck(stage, run.x[0], at)
    with window_of(tmp_path, CLOUD) as window:
        Clicked(window).click(*at)
        window.until(lambda told: points(told) == [number])
        window.do("key", "End", "key", "c")
        told = window.until(lambda told: told["frame"] == 50 and told["field"] == "displacement")
        assert points(told) == [number]


class TestPage:
    def test_clicks_pick_scrub_and_download(self, tmp_path: Path, browser: Any) -> None:
        log = tmp_path / "log"
        with process(*STRICT, "-c", SERVED, log=log) as started:
            first_of_all(started.pid)
            with page_at(browser, address(log, started)) as page:

                def told() -> dict[str, Any]:
                    lines = log.read_text().splitlines()
                    return json.loads(next(one for one in lines[::-1] if one.endswith("}")))

                box = page.page.locator(".picture img").bounding_box()
                size = round(box["width"]), round(box["height"])
                with staged(runs(64), size) as stage:
                    number, at = front(stage, stage.view.sources[0].positions(0), 0)
                    other, there = beside(stage, stage.view.sources[0].positions(0), number)
                    stage.inspector.picked = (Pick(0, number),)
                    stage.inspector.charted = True
                    stage.show(0)
                    stage.inspector.finish()
                    left, low, right, high = stage.inspector._chart._box
                mouse = page.page.mouse

                def click(x: float, y: float) -> None:
                    mouse.click(box["x"] + x, box["y"] + size[1] - 1 - y)

                before = page.settled()
                click(*at)
                page.until(lambda: points(told()) == [number])
                page.until_seen_otherwise(before)
                page.page.keyboard.press("t")
                page.until(lambda: not told()["chart"])
                page.page.keyboard.down("Shift")
                click(*there)
                page.page.keyboard.up("Shift")
                page.until(lambda: points(told()) == [number, other])
                page.page.keyboard.down("Shift")
                click(*there)
                page.page.keyboard.up("Shift")
                page.until(lambda: points(told()) == [number])
                page.page.keyboard.press("t")
                page.until(lambda: told()["chart"])
                mouse.move(box["x"] + (left + right) / 2, box["y"] + size[1] - (low + high) / 2)
                mouse.down()
                page.until(lambda: 23 <= page.frame() <= 27)
                mouse.move(box["x"] + right, box["y"] + 20, steps=3)
                mouse.up()
                page.until_frame(50)
                assert points(told()) == [number] and page.page.locator(".chosen").count() > 1
                with page.page.expect_download() as download:
                    page.page.keyboard.press("Shift+X")
                assert download.value.suggested_filename == "rheograd.csv"
                rows = list(csv.reader(Path(download.value.path()).read_text().splitlines()))
                assert rows[0][1] == f"run 1: speed of particle {number} [m/s]"
                assert len(rows) == 52 and float(rows[9][1]) > 0
                page.page.click("#chart")
                page.until(lambda: not told()["chart"])
                page.page.keyboard.press("Escape")
                page.until(lambda: points(told()) == [])
                page.page.wait_for_selector("#values[disabled]")
