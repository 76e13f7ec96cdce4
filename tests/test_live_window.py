# SPDX-License-Identifier: Apache-2.0
"""The window of a live run, driven by keys and mouse on a display of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ImageGrab
from test_window import Driven, opened

from rheograd.engine.trajectory import TrajectoryReader

LIVE = """
import json
from dataclasses import asdict, replace
from rheograd.engine.boundaries import Collider, Floor
from rheograd.engine.fem import FESolver
from rheograd.engine.fem.integrators import CentralDifferences
from rheograd.engine.live import LiveRun
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box, Sphere
from rheograd.materials.elastic import NeoHookean
from rheograd.viewer.drawing import bodies
from rheograd.viewer.live.window import drive

gravity, boundaries, solver, paused = (0.0, -9.81, 0.0), [Floor(friction=0.2)], MPMSolver(0.1), True
young, prepare = 1e5, lambda run: None
# CHANGES
cube = Body(Box((0.3,) * 3, (0.5,) * 3), NeoHookean(young, 0.3), 1e3, name="cube")
run = LiveRun(Scene([cube], boundaries, gravity, 0.3, name="cube"), solver, every=4)
run.advance(span=run.dt)
run.reset()
prepare(run)

def tell(shown):
    y = run.state.x[:, 1]
    place = run.poses()[0][0] if run.poses() else None
    told = {**asdict(shown), "height": float(y.mean()), "v": float(run.state.v[:, 1].mean())}
    print(json.dumps({**told, "substeps": run.stepper.substeps, "place": place}), flush=True)

drive(run, paused=paused, size=(640, 480), watch=tell)
print(json.dumps({"closed": True}), flush=True)
"""
MIDDLE = ("184", "198")
"""Of the scene, where the cube is at first; sliders take 272 of 640, the strip 84 of 480."""
MESH = "solver = FESolver(size=0.1, integrator=CentralDifferences())"
MANY = "solver, bodies.without_gpu = MPMSolver(0.04), lambda: True"
SPRING = (214, 96, 20)


@contextmanager
def live(folder: Path, *changes: str) -> Iterator[Driven]:
    with opened(folder, LIVE.replace("# CHANGES", "\n".join(changes))) as window:
        yield window


def slider(row: int, group: int = 0) -> str:
    """Height in the window of a track."""
    return str(44 + 40 * row + 14 * group)


def across(share: float) -> str:
    """Place in the window along the tracks."""
    return str(round(390 + 228 * share))


def screen(window: Driven) -> np.ndarray:
    picture = ImageGrab.grab((0, 0, 640, 480), xdisplay=window.environment["DISPLAY"])
    return np.asarray(picture)


def until(holds: Callable[[], Any]) -> None:
    for _ in range(200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it does not come about")


def quiet(window: Driven) -> bool:
    """Whether nothing was said but what a machine without a GPU says."""
    said = window.log.with_suffix(".err").read_text().splitlines()
    return [line for line in said if not line.startswith("Warp CUDA warning")] == []


def closed(window: Driven) -> bool:
    window.do("key", "Escape")
    return window.process.wait(20) == 0 and quiet(window)


def test_sliders(tmp_path: Path) -> None:
    with live(tmp_path) as window:
        window.do("mousemove", across(0.25), slider(1), "mousedown", "1")
        window.until(lambda told: told["held"] == "gravity y")
        window.do("mousemove", "500", "300")
        window.do("mousemove", "636", "300")
        up = window.until(lambda told: told["values"]["gravity y"] == pytest.approx(19.62))
        assert up["time"] == 0.0
        window.do("mouseup", "1")
        window.until(lambda told: told["held"] == "")
        window.do("key", "space")
        window.until(lambda told: told["height"] > 0.55 and told["v"] > 0)
        window.do("mousemove", across(0.8), slider(3, 1), "click", "1")
        stiff = window.until(lambda told: told["values"]["young"] > 5e5)
        assert stiff["values"]["young"] == pytest.approx(1e5 * 30**0.6, rel=0.05)
        assert stiff["substeps"] == 3
        time.sleep(0.6)
        window.do("click", "--repeat", "2", "--delay", "60", "1")
        window.until(lambda told: told["values"]["young"] == 1e5 and told["substeps"] == 1)
        assert closed(window)


def test_pause_frame_reset_and_keys(tmp_path: Path) -> None:
    with live(tmp_path, "prepare = lambda run: run.set('gravity x', 2.0)") as window:
        assert window.until(lambda told: told["time"] == 0.0)["playing"] is False
        window.do("key", "period")
        one = window.until(lambda told: told["step"] == 4)
        window.do("key", "period", "key", "period")
        assert window.until(lambda told: told["step"] == 12)["time"] == pytest.approx(
            3 * one["time"]
        )
        window.do("key", "space")
        window.until(lambda told: told["playing"] and told["step"] > 20)
        window.do("key", "space")
        stopped = window.until(lambda told: not told["playing"])
        time.sleep(0.3)
        assert window.told()[-1] == stopped
        window.do("key", "Home")
        begun = window.until(lambda told: told["time"] == 0.0)
        assert begun["values"]["gravity x"] == 2.0
        assert begun["height"] == pytest.approx(0.5, abs=1e-3)
        window.do("key", "shift+Home")
        window.until(lambda told: told["values"]["gravity x"] == 0.0)
        window.do("key", "c", "key", "h", "key", "Up")
        window.until(lambda told: told["help"] and told["speed"] == 2.0)
        assert window.told()[-1]["field"] == "displacement"
        # the button at the lower left
        window.do("key", "h", "mousemove", "34", "438", "click", "1")
        window.until(lambda told: told["playing"] and not told["help"])
        for dead in "fpswe":
            window.do("key", dead)
        assert closed(window)


@pytest.mark.parametrize("change", ["", MESH, MANY], ids=["particles", "mesh", "cloud"])
def test_a_body_is_pulled(tmp_path: Path, change: str) -> None:
    with live(tmp_path, "gravity = (0.0, 0.0, 0.0)", change) as window:
        window.do("mousemove", *MIDDLE, "mousedown", "1")
        window.until(lambda told: told["held"] == "cube")
        window.do("mousemove", "186", "150")
        window.do("mousemove", "190", "110")
        until(lambda: (np.abs(screen(window).astype(int) - SPRING).sum(-1) < 12).sum() > 30)
        window.do("key", "space")
        window.until(lambda told: told["height"] > 0.55)
        window.do("mouseup", "1")
        window.until(lambda told: told["held"] == "")
        until(lambda: (np.abs(screen(window).astype(int) - SPRING).sum(-1) < 12).sum() < 5)
        assert closed(window)


def test_beside_a_body_and_by_the_right_button_the_view_turns(tmp_path: Path) -> None:
    with live(tmp_path) as window:
        for place, button in ((("60", "330"), "1"), (MIDDLE, "3")):
            before = screen(window)[:, :360]
            window.do("mousemove", *place, "mousedown", button)
            window.do("mousemove", str(int(place[0]) + 40), place[1])
            window.do("mouseup", button)
            until(lambda before=before: (screen(window)[:, :360] != before).any(-1).mean() > 0.02)
        assert all(told["held"] == "" for told in window.told())
        window.do("key", "p")
        window.until(lambda told: not told["sliders"])
        until(lambda: screen(window)[100, 500].tolist() != [255, 255, 255])
        window.do("key", "x")
        until((tmp_path / "rheograd-1.png").exists)
        assert closed(window)


def test_a_collider_follows_its_slider(tmp_path: Path) -> None:
    ball = "boundaries = [Collider(Sphere(0.12, (0.2, 0.5, 0.5)))]"
    with live(tmp_path, ball, "gravity, paused = (0.0, 0.0, 0.0), False") as window:
        before = screen(window)
        # gravity, the material, then the friction and the place of the collider
        window.do("mousemove", across(0.5), slider(7, 2), "click", "1")
        window.do("mousemove", across(0.9), slider(7, 2), "click", "1")
        moved = window.until(lambda told: told["place"][1] > 0.3)
        assert moved["values"]["collider y"] == pytest.approx(0.4, abs=0.02)
        until(lambda: (screen(window)[:390, :360] != before[:390, :360]).any(-1).mean() > 0.01)
        assert closed(window)


def test_sliders_that_do_not_fit_are_scrolled_to(tmp_path: Path) -> None:
    balls = "boundaries = [Collider(Sphere(0.05, (0.1, 0.1 * k, 0.5))) for k in (1, 2, 3)]"
    with live(tmp_path, balls) as window:
        window.do("mousemove", "500", "200", "click", "--repeat", "30", "--delay", "10", "5")
        time.sleep(0.5)
        window.do("mousemove", across(0.9), slider(0), "click", "1")
        window.until(
            lambda told: any("collider" in n and v > 0.04 for n, v in told["values"].items())
        )
        assert closed(window)


def test_a_run_that_diverges_says_so_and_is_reset(tmp_path: Path) -> None:
    fast = "prepare = lambda run: setattr(run, 'state', replace(run.state, v=run.state.v - 1e6))"
    with live(tmp_path, fast) as window:
        before = screen(window)
        window.do("key", "space")
        failed = window.until(lambda told: told["failure"] != "")
        assert not failed["playing"]
        assert "particle" in failed["failure"]
        pale = lambda: (screen(window) == (253, 240, 238)).all(-1).mean()  # noqa: E731
        until(lambda: pale() > 0.05)
        assert (before == (253, 240, 238)).all(-1).mean() < 0.01
        window.do("key", "Home")
        window.until(lambda told: told["playing"] and not told["failure"] and told["step"] > 4)
        until(lambda: pale() < 0.01)
        assert closed(window)


@pytest.mark.parametrize("how", ["escape", "interrupt"])
def test_what_was_seen_is_whole_however_it_ends(tmp_path: Path, small: str, how: str) -> None:
    words = ["run", small, "--live", "--out", "seen.vtkhdf", "--frames", "40"]
    code = (
        "import json, sys; from rheograd.scenes import cli, live; "
        "from rheograd.viewer.live import window as v; from dataclasses import asdict; d = v.drive;"
        "v.drive = lambda run, **k: d(run, size=(640, 480), watch="
        "lambda s: print(json.dumps(asdict(s)), flush=True), **k);"
        f"sys.exit(cli.main({words!r}))"
    )
    with opened(tmp_path, code) as window:
        window.do("mousemove", *MIDDLE, "mousedown", "1")
        window.until(lambda told: told["time"] > 0.1)
        if how == "escape":
            window.do("key", "Escape")
        else:
            os.kill(window.process.pid, signal.SIGINT)
        status = window.process.wait(20)
        said = window.log.with_suffix(".err").read_text()
        assert status == (0 if how == "escape" else 130), said
        assert "seen.vtkhdf: " in said
        assert "Traceback" not in said
    with TrajectoryReader(tmp_path / "seen.vtkhdf") as seen:
        assert len(seen) > 5
        assert np.isfinite(seen.frame(-1)["x"]).all()
        assert float(seen.time[1]) == pytest.approx(0.2 / 40)


def test_without_a_display_it_says_so(tmp_path: Path, small: str) -> None:
    bare = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-m", "rheograd.scenes.cli", "run", small, "--live"],
        capture_output=True, text=True, env=bare, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no window can be opened: got no display" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--live", "--browser"), "got --browser, but a simulation is driven in a window only"),
        (("--live", "--check"), "got --live and --check, expected one of them"),
        (("--live", "--out", "seen.npz"), "--out: got seen.npz with --live, expected a .vtkhdf"),
        (("--paused",), "got --paused without --live"),
    ],
)
def test_what_does_not_go_together(
    words: tuple[str, ...], told: str, small: str, refuse: Callable[..., str]
) -> None:
    assert told in refuse("run", small, *words)


def test_fields_and_ranges_follow_the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    from rheograd.engine.live import LiveRun
    from rheograd.scenes import bouncing_ball
    from rheograd.viewer import ranges as rolling
    from rheograd.viewer.live import present

    run = LiveRun(bouncing_ball.build(), bouncing_ball.solver(n=2), every=10)
    view = present.view_of(run, None, None)
    assert {"speed", "displacement", "von Mises stress", "pressure"} <= set(view.fields)
    source = view.sources[0]
    for _ in range(3):
        run.frame()
        speed = view.fields["speed"].values(source, present.NOW)
        assert speed == pytest.approx(run.state.v.norm(dim=1).numpy())
        moved = view.fields["displacement"].values(source, present.NOW)
        assert moved == pytest.approx((run.state.x - run.begin.x).norm(dim=1).numpy())
        view.fields["von Mises stress"].values(source, present.NOW)
    clock = [100.0]
    monkeypatch.setattr(rolling.time, "perf_counter", lambda: clock[0])
    ranges, highs = rolling.RollingRanges(view), []
    for factor in (1.0, 40.0, 10.0, 10.0, 1e-3, 1e-3):
        run.state = replace(run.state, v=torch.full_like(run.state.v, 0.1 * factor))
        clock[0] += 1.5
        ranges.follow("speed")
        highs.append(view.scale("speed").limits[1])
    assert highs[0] < 1.0 < highs[1]
    assert highs[1] == highs[2] > highs[3] >= 1.0
    assert highs[4:] == highs[3:4] * 2


def test_pictures_wait_for_no_more_than_the_run_may_take() -> None:
    from rheograd.engine.live import LiveRun
    from rheograd.scenes import drop
    from rheograd.viewer.live.present import view_of
    from rheograd.viewer.live.window import LivePlayback

    run = LiveRun(drop.build(), drop.solver(), every=10)
    playback = LivePlayback(view_of(run, None, None), run, True)
    time.sleep(0.05)
    playback.advance()
    # no faster than real time, however quick the machine
    assert 0.0 < run.time < 0.2
    playback.press("Down", False)
    assert playback.shown.speed == 0.5
    playback.press("space", False)
    stood = run.time
    time.sleep(0.02)
    assert not playback.advance()
    assert run.time == stood
