# SPDX-License-Identifier: Apache-2.0
"""The interactive window, driven by keys and mouse on a display of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageGrab
from processes import STRICT

DRIVEN = """
import json
from dataclasses import asdict
from types import SimpleNamespace
import numpy as np
from rheograd.viewer import play
x = np.random.default_rng(0).uniform(0.3, 0.7, (64, 3)) * np.linspace(1, 1.4, 51)[:, None, None]
fast = SimpleNamespace(x=x, time=np.linspace(0, 1, 51), metadata={"domain": "[[0,0,0],[1,1,1]]"})
slow = SimpleNamespace(x=x[::2], time=fast.time[::2])
tell = lambda shown: print(json.dumps(asdict(shown)), flush=True)
play([fast, slow], titles=["a", "b"], paused=True, size=(640, 480), watch=tell)
print(json.dumps({"closed": True}), flush=True)
"""

SLOW = """
import time
from rheograd.viewer.stage import Stage
quick = Stage.show
def show(self, frame):
    time.sleep(0.2)
    quick(self, frame)
Stage.show = show
"""

MESH = """
import json
from dataclasses import asdict
import torch
from rheograd.engine.cells import Cells
from rheograd.engine.trajectory import Trajectory
from rheograd.viewer import play
x = torch.tensor([[i, j, k] for k in (0, 1) for j, i in ((0, 0), (0, 1), (1, 1), (1, 0))]).float()
x = x * torch.linspace(1, 1.4, 11)[:, None, None]
cells = Cells("hex8", torch.arange(8)[None])
mesh = Trajectory(torch.arange(11.0), x, cells=cells, cell_fields={"heat": torch.rand(11, 1)})
tell = lambda shown: print(json.dumps(asdict(shown)), flush=True)
play(mesh, paused=True, size=(640, 480), watch=tell)
"""

CLOUD = """
import json
from dataclasses import asdict
from types import SimpleNamespace
import numpy as np
from rheograd.viewer import play
from rheograd.viewer.drawing import bodies
bodies.without_gpu = lambda: True
x = np.random.default_rng(0).uniform(0.3, 0.7, (70_000, 3)).astype(np.float32)
x = x * np.linspace(1, 1.4, 11, dtype=np.float32)[:, None, None] ** 2
many = SimpleNamespace(x=x, time=np.linspace(0, 1, 11), metadata={"domain": "[[0,0,0],[1,1,1]]"})
tell = lambda shown: print(json.dumps(asdict(shown)), flush=True)
play(many, paused=True, size=(640, 480), watch=tell)
"""

_START, _ANSWER = 120.0, 15.0
"""Seconds that a process may take to open its window, and a window to do what it is asked to."""


class Driven:
    """A window in a process of its own on a display of its own, and what it told."""

    def __init__(self, process: subprocess.Popen, log: Path, environment: dict[str, str]) -> None:
        self.process, self.log, self.environment = process, log, environment

    def told(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first thing told from now on, or the last before, for which `holds`."""
        end = time.monotonic() + (_ANSWER if self.told() else _START)
        while time.monotonic() < end:
            told = self.told()
            if told and holds(told[-1]):
                return told[-1]
            if self.process.poll() is not None and not (told and holds(told[-1])):
                break
            time.sleep(0.05)
        raise AssertionError(
            f"told only {self.told()[-3:]}; {self.log.with_suffix('.err').read_text()}"
        )

    def settled(self) -> dict[str, Any]:
        """What was told last, when nothing else has been for half a second."""
        for _ in range(20):
            told = self.told()
            time.sleep(0.5)
            if self.told() == told:
                return told[-1]
        raise AssertionError(f"goes on to tell {self.told()[-3:]}")

    def seen(self) -> np.ndarray:
        """What is on the screen in the left panel, (height, width, 3)."""
        picture = ImageGrab.grab((0, 60, 310, 380), xdisplay=self.environment["DISPLAY"])
        return np.asarray(picture)

    def until_seen_otherwise(self, before: np.ndarray) -> None:
        for _ in range(200):
            if (self.seen() != before).any(-1).mean() > 0.02:
                return
            time.sleep(0.05)
        raise AssertionError("the left panel stays as it is")

    def do(self, *arguments: str) -> None:
        subprocess.run(
            ["xdotool", *arguments],
            env=self.environment,
            check=True,
            timeout=20,
            capture_output=True,
        )


def first_of_all(*processes: int) -> None:
    """Let a window answer in time beside other tests, where the system lets us say so."""
    with suppress(OSError):
        for process in processes:
            os.setpriority(os.PRIO_PROCESS, process, -15)


@contextmanager
def opened(folder: Path, code: str) -> Iterator[Driven]:
    """A window that `code` opens; closed in the end if it still stands."""
    if not (shutil.which("Xvfb") and shutil.which("xdotool")):
        pytest.skip("no Xvfb or xdotool: apt-get install xvfb xdotool")
    read, write = os.pipe()
    server = subprocess.Popen(
        [
            "Xvfb",
            "-displayfd",
            str(write),
            "-screen",
            "0",
            "800x600x24",
            "-nolisten",
            "tcp",
            "-noreset",
        ],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.readline().strip()
    environment = {**os.environ, "DISPLAY": f":{number}"}
    log = folder / "told.log"
    with log.open("w") as out, log.with_suffix(".err").open("w") as err:
        process = subprocess.Popen(
            [*STRICT, "-c", code],
            stdout=out, stderr=err, env=environment, cwd=folder,
        )  # fmt: skip
    driven = Driven(process, log, environment)
    first_of_all(server.pid, process.pid)
    try:
        driven.until(lambda told: True)
        driven.do("mousemove", "300", "150")
        yield driven
    finally:
        for started in (process, server):
            started.terminate()
            started.wait()


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Driven]:
    """A window of its own for each test, paused on the first frame, that loops."""
    with opened(tmp_path, DRIVEN) as driven:
        yield driven


class TestWindow:
    def test_keys(self, window: Driven) -> None:
        assert window.until(lambda told: told["frame"] == 0)["playing"] is False
        window.do("key", "Right")
        window.until(lambda told: told["frame"] == 1)
        window.do("key", "shift+Right")
        window.until(lambda told: told["frame"] == 11)
        window.do("key", "Left")
        window.until(lambda told: told["frame"] == 10)
        window.do("key", "c")
        window.until(lambda told: told["field"] == "displacement")
        window.do("key", "shift+c")
        window.until(lambda told: told["field"] == "speed")
        window.do("key", "End")
        window.until(lambda told: told["frame"] == 50)
        window.do("key", "h")
        window.until(lambda told: told["help"])
        window.do("key", "h", "key", "Up", "key", "l", "key", "v", "key", "r")
        now = window.until(lambda told: told["speed"] == 2.0 and not told["loop"])
        assert now["frame"] == 50

    def test_space_plays_and_pauses(self, window: Driven) -> None:
        window.do("key", "space")
        window.until(lambda told: told["playing"] and told["frame"] > 2 and told["loop"])
        window.do("key", "space")
        stopped = window.until(lambda told: not told["playing"])
        time.sleep(0.3)
        assert window.told()[-1] == stopped
        window.do("key", "l", "key", "End", "key", "Left", "key", "Left")
        window.until(lambda told: told["frame"] == 48)
        window.do("key", "space")
        window.until(lambda told: told["frame"] == 50 and not told["playing"])

    def test_timeline_and_mouse(self, window: Driven) -> None:
        # the timeline of a window 640 wide is 0.8 as long: from 189 to 358, 42 above the bottom
        window.do("mousemove", "273", "438", "mousedown", "1")
        held = window.until(lambda told: 20 <= told["frame"] <= 30)
        window.do("mousemove", "315", "438")
        window.until(lambda told: held["frame"] + 10 <= told["frame"] < 45)
        window.do("mousemove", "600", "300")
        window.until(lambda told: told["frame"] == 50)
        window.do("mouseup", "1", "mousemove", "34", "438", "click", "1")
        window.until(lambda told: told["playing"] and told["frame"] > 2)
        window.do("click", "1")
        stopped = window.until(lambda told: not told["playing"])
        time.sleep(0.3)
        assert window.told()[-1] == stopped

    def test_clicks_in_quick_succession_all_count(self, window: Driven) -> None:
        window.do("mousemove", "34", "438")
        for clicks in ("2", "4"):
            window.do("click", "--repeat", clicks, "--delay", "50", "1")
            assert not window.settled()["playing"]
        window.do("click", "--repeat", "3", "--delay", "50", "1")
        window.until(lambda told: told["playing"])
        window.do("click", "1")
        assert not window.settled()["playing"]

    def test_wheel_and_shift_are_seen(self, window: Driven) -> None:
        window.do("mousemove", "150", "150")
        for act in (
            ("click", "--repeat", "3", "5"),
            ("keydown", "shift", "mousedown", "1", "mousemove", "190", "170", "mouseup", "1"),
        ):
            before = window.seen()
            window.do(*act)
            window.until_seen_otherwise(before)
        window.do("keyup", "shift")

    def test_turning_and_pictures(self, window: Driven) -> None:
        import imageio.v3

        folder = window.log.parent
        window.do("mousemove", "150", "150", "key", "x")
        window.do("mousedown", "1", "mousemove", "190", "160", "mouseup", "1", "key", "x")
        for _ in range(200):
            if (folder / "rheograd-2.png").exists():
                break
            time.sleep(0.05)
        time.sleep(0.2)
        before, after = (imageio.v3.imread(folder / f"rheograd-{k}.png")[100:350] for k in (1, 2))
        for half in (slice(0, 310), slice(330, 640)):
            assert (before[:, half] != after[:, half]).any(-1).mean() > 0.02

    def test_escape_closes_without_a_word(self, window: Driven) -> None:
        window.do("key", "Escape")
        window.until(lambda told: told.get("closed", False))
        assert window.process.wait(10) == 0
        assert window.log.with_suffix(".err").read_text() == ""


def test_a_slow_picture_answers_many_keys_at_once(tmp_path: Path) -> None:
    with opened(tmp_path, SLOW + DRIVEN) as window:
        window.do("key", *["Right"] * 40)
        window.until(lambda told: told["frame"] == 40)
        assert len(window.told()) < 30
        window.do("mousemove", "34", "438", "click", "1")
        window.until(lambda told: told["playing"] and told["frame"] != 40)
        window.do("click", "1")
        window.until(lambda told: not told["playing"])


def test_a_mesh(tmp_path: Path) -> None:
    with opened(tmp_path, MESH) as window:
        window.do("key", "c", "key", "c")
        window.until(lambda told: told["field"] == "heat")
        before = window.seen()
        window.do("key", "End")
        window.until(lambda told: told["frame"] == 10)
        window.until_seen_otherwise(before)
        window.do("key", "Escape")
        assert window.process.wait(10) == 0
        assert window.log.with_suffix(".err").read_text() == ""


def test_a_cloud_of_particles(tmp_path: Path) -> None:
    with opened(tmp_path, CLOUD) as window:
        for act in (
            ("key", "End"),
            (
                "mousemove",
                "150",
                "150",
                "mousedown",
                "1",
                "mousemove",
                "190",
                "160",
                "mouseup",
                "1",
            ),
            ("key", "c"),
            ("click", "--repeat", "2", "5"),
        ):
            before = window.seen()
            window.do(*act)
            window.until_seen_otherwise(before)
        window.do("key", "Escape")
        assert window.process.wait(10) == 0
        said = window.log.with_suffix(".err").read_text().splitlines()
        assert [line for line in said if not line.startswith("Warp CUDA warning")] == []
