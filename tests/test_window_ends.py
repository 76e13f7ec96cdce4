# SPDX-License-Identifier: Apache-2.0
"""Windows that others close, destroy or take away with the display."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_live_window import LIVE
from test_window import DRIVEN, Driven, opened

from rheograd.engine.trajectory import TrajectoryReader

RECORDED = LIVE.replace(
    "def tell(shown):",
    """
from rheograd.engine.live import LiveRecorder
recorder = LiveRecorder(run, "seen.vtkhdf")
def finish():
    print(json.dumps({"finished": recorder.frames}), flush=True)
    recorder.close()
def tell(shown):""",
).replace("watch=tell)", "watch=tell, finish=finish)")


def window_of(driven: Driven) -> str:
    """Its number in X."""
    found = subprocess.run(
        ["xdotool", "search", "--name", "rheograd"],
        env=driven.environment, capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    return found.stdout.split()[-1]


def ask_to_close(driven: Driven) -> None:
    """What a window manager sends when its cross is clicked: WM_DELETE_WINDOW."""
    x = ctypes.CDLL("libX11.so.6")
    for name in ("XOpenDisplay", "XInternAtom"):
        getattr(x, name).restype = ctypes.c_void_p
    display = ctypes.c_void_p(x.XOpenDisplay(driven.environment["DISPLAY"].encode()))
    number = ctypes.c_ulong(int(window_of(driven)))
    atoms = [x.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")]
    event = (ctypes.c_long * 24)()
    event[0], event[4], event[5], event[6], event[7] = 33, number.value, atoms[0], 32, atoms[1]
    assert x.XSendEvent(display, number, 0, ctypes.c_long(0), event)
    x.XCloseDisplay(display)


def said(window: Driven) -> list[str]:
    lines = window.log.with_suffix(".err").read_text().splitlines()
    return [line for line in lines if not line.startswith("Warp CUDA warning")]


def test_the_cross_of_a_window_manager_closes_it(tmp_path: Path) -> None:
    with opened(tmp_path, DRIVEN) as window:
        ask_to_close(window)
        window.until(lambda told: told.get("closed", False))
        assert window.process.wait(10) == 0
        assert said(window) == []


def test_one_that_is_destroyed_ends_as_if_closed(tmp_path: Path) -> None:
    with opened(tmp_path, DRIVEN) as window:
        window.settled()
        window.do("windowclose", window_of(window))
        window.until(lambda told: told.get("closed", False))
        assert window.process.wait(10) == 0
        assert said(window) == []


@pytest.mark.parametrize("playing", [False, True], ids=["paused", "playing"])
def test_a_lost_display_ends_the_process_with_a_word(tmp_path: Path, playing: bool) -> None:
    with opened(tmp_path, DRIVEN) as window:
        number = window_of(window)
        if playing:
            window.do("key", "space")
            window.until(lambda told: told["playing"] and told["frame"] > 2)
        window.do("windowkill", number)
        assert window.process.wait(10) == 0
        assert said(window) == ["the window is gone with its display: the viewer ends"]


def test_what_a_live_run_recorded_is_finished_then(tmp_path: Path) -> None:
    with opened(tmp_path, RECORDED.replace("# CHANGES", "paused = False")) as window:
        window.until(lambda told: told["step"] > 20)
        window.do("windowkill", window_of(window))
        assert window.process.wait(10) == 0
        assert said(window) == ["the window is gone with its display: the viewer ends"]
        finished = window.told()[-1]["finished"]
    with TrajectoryReader(tmp_path / "seen.vtkhdf") as seen:
        assert len(seen) == finished > 5
        assert np.isfinite(seen.frame(-1)["x"]).all()
