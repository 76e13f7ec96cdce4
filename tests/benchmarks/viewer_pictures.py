# SPDX-License-Identifier: Apache-2.0
"""Makes the pictures of docs/viewer.md: python tests/benchmarks/viewer_pictures.py [--out docs]

Simulates a drop, soft and stiff, and a bent bar, and draws them off screen. The picture of the live
window is taken of the window itself, on the display that there is (Xvfb will do).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from rheograd import viewer
from rheograd.engine.live import LiveRun
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.simulate import simulate
from rheograd.scenes import cantilever, drop
from rheograd.viewer.drawing.images import drawn
from rheograd.viewer.live.present import view_of
from rheograd.viewer.live.window import LivePlayback, LiveWindow
from rheograd.viewer.looks import Clip, Looks

SIZE = (640, 400)
FRAMES = 60


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--no-window", action="store_true", help="leave the live window out")
    found = parser.parse_args()
    solver = MPMSolver(cell=0.025)
    soft, stiff = (
        simulate(
            drop.build(young=young, size=0.4, velocity=(0.4, -1.0, 0.0)), solver, frames=FRAMES
        )
        for young in (1e4, 6e4)
    )
    bent = simulate(cantilever.build(), cantilever.solver(n=8))
    middle = float(bent.x[0, :, 1].mean())
    how: dict[str, Any] = {"frame": 30, "size": SIZE, "field": "speed"}
    parts = [
        viewer.screenshot(soft, titles=["spheres"], **how),
        viewer.screenshot(
            bent, titles=["a mesh, cut open"], size=SIZE, field="von Mises stress", up="z",
            looks=Looks(clip=Clip.parse(f"-y={middle}"), axes=True, around="none"),
        ),
        viewer.screenshot(
            [soft, stiff], titles=["soft", "stiff"], **how, looks=Looks(overlay=True)
        ),
    ]  # fmt: skip
    write(found.out / "viewer.png", np.concatenate(parts, axis=1))
    middle = int((soft.x[0] - soft.x[0].mean(0)).norm(dim=1).argmin())
    low, high = int(soft.x[0, :, 1].argmin()), int(soft.x[0, :, 1].argmax())
    picked = viewer.screenshot(
        soft, titles=["drop"], frame=30, size=(960, 540), field="speed", picked=[low, middle, high]
    )
    write(found.out / "viewer_pick.png", picked)
    if not found.no_window:
        write(found.out / "viewer_live.png", live(solver))


def live(solver: MPMSolver) -> np.ndarray:
    """The window of a live run in which a body is pulled."""
    run = LiveRun(drop.build(young=3e4), solver)
    for _ in range(FRAMES):
        run.frame()
    highest = int(run.state.x[:, 1].argmax())
    run.grab(highest)
    run.drag((run.state.x[highest].numpy() + np.array([0.25, 0.15, 0.0])).tolist())
    for _ in range(FRAMES // 5):
        run.frame()
    playback = LivePlayback(view_of(run, "speed", None), run, playing=True)
    playback.told()
    window = LiveWindow(playback, (960, 540))
    window._draw()
    picture = drawn(window._plotter.render_window)
    window._plotter.close()
    return picture


def write(path: Path, picture: np.ndarray) -> None:
    """Write a picture and say so."""
    import imageio.v3

    imageio.v3.imwrite(path, picture)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
