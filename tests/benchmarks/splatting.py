# SPDX-License-Identifier: Apache-2.0
"""Frames a second of moving points: the Warp splatter beside VTK's points and spheres.

python tests/benchmarks/splatting.py [--frames 12] [--counts 10000 100000 1000000]

A cube of points moves before each frame of 800 x 600 pixels, off screen in this process, and takes
new colours by a value. A frame is everything from new positions and values to the drawn scene;
`viewer` is one of the viewer's whole stage, with box, floor, shadow and strip.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from rheograd.viewer import display
from rheograd.viewer.drawing.shading import light
from rheograd.viewer.drawing.splatter import Splatter
from rheograd.viewer.palettes import colour, sequential
from rheograd.viewer.stage import Stage, plotter_for
from rheograd.viewer.view import describe

SIZE = (800, 600)
SLOW = 4
"""Frames of a way that takes over a second for one."""


def cube(count: int) -> tuple[np.ndarray, float]:
    """About `count` points (n, 3) on a lattice about the origin, and its spacing [m]."""
    side = round(count ** (1 / 3))
    line = (np.arange(side) + 0.5) / side - 0.5
    x = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    return x.astype(np.float32), 1 / side


def plotter_of_one() -> Any:
    """An empty scene."""
    import pyvista

    with display.chosen_window():
        plotter: Any = pyvista.Plotter(off_screen=True, notebook=False, window_size=list(SIZE))
    plotter.render_window.SetMultiSamples(0)
    plotter.set_background("white")
    plotter.camera_position = [(1.7, 1.3, 2.0), (0, 0, 0), (0, 1, 0)]
    plotter.renderer.ResetCameraClippingRange(-1, 1, -1, 1, -1, 1)
    return plotter


def by_splats(x: np.ndarray, spacing: float) -> Callable[[np.ndarray, np.ndarray], None]:
    """A frame with these positions and values."""
    plotter = plotter_of_one()
    splatter = Splatter(plotter.renderer)
    light(splatter.actor)
    plotter.renderer.AddActor(splatter.actor)

    def frame(x: np.ndarray, values: np.ndarray) -> None:
        splatter.place(x, 0.62 * spacing)
        splatter.paint_by(values, sequential(), (-1.0, 1.0))
        plotter.render_window.Render()

    return frame


def by_points(x: np.ndarray, spacing: float) -> Callable[[np.ndarray, np.ndarray], None]:
    """PyVista's points, as wide on the screen as the spacing, with its own colour map."""
    import pyvista

    plotter, data = plotter_of_one(), pyvista.PolyData(x)
    data["value"] = np.zeros(len(x), np.float32)
    width = max(1.0, 400 * spacing)
    plotter.add_mesh(
        data,
        scalars="value", clim=(-1, 1), style="points", point_size=width, cmap="viridis",
        show_scalar_bar=False, reset_camera=False,
    )  # fmt: skip

    def frame(x: np.ndarray, values: np.ndarray) -> None:
        data.points = x
        data["value"] = values
        plotter.render_window.Render()

    return frame


def by_spheres(x: np.ndarray, spacing: float) -> Callable[[np.ndarray, np.ndarray], None]:
    """VTK's spheres, a square for each whose fragments are shaded, as the viewer draws few."""
    import pyvista
    from vtkmodules.vtkRenderingCore import vtkActor
    from vtkmodules.vtkRenderingOpenGL2 import vtkOpenGLSphereMapper

    plotter, data = plotter_of_one(), pyvista.PolyData(x)
    data["colour"] = np.zeros((len(x), 3), np.uint8)
    data["radius"] = np.full(len(x), 0.62 * spacing, np.float32)
    data.GetPointData().SetActiveScalars("colour")
    mapper, actor = vtkOpenGLSphereMapper(), vtkActor()
    mapper.SetInputData(data)
    mapper.SetScaleArray("radius")
    mapper.SetColorModeToDirectScalars()
    actor.SetMapper(mapper)
    light(actor)
    plotter.renderer.AddActor(actor)

    def frame(x: np.ndarray, values: np.ndarray) -> None:
        data.points = x
        data["colour"] = colour(values, sequential(), (-1.0, 1.0))
        data.GetPointData().SetActiveScalars("colour")
        plotter.render_window.Render()

    return frame


def by_viewer(x: np.ndarray, spacing: float) -> Callable[[np.ndarray, np.ndarray], None]:
    """The viewer's stage, with the points as `bodies` chooses to draw them."""
    held = SimpleNamespace(
        x=np.stack([x, x]), v=np.zeros((2, *x.shape), np.float32), time=np.arange(2.0),
        metadata={"domain": "[[-0.8, -0.8, -0.8], [0.8, 0.8, 0.8]]", "spacing": str(spacing)},
    )  # fmt: skip
    held.v[:, :, 0] = x[:, 1]
    view = describe(held)
    plotter = plotter_for(view, SIZE, off_screen=True)
    stage = Stage(plotter, view)

    def frame(x: np.ndarray, values: np.ndarray) -> None:
        held.x[1] = x
        stage.show(1)
        plotter.render_window.Render()

    return frame


def measured(
    draw: Callable[[np.ndarray, np.ndarray], None], x: np.ndarray, frames: int
) -> tuple[float, float]:
    """Median time of a frame on the clock, and on the processor [s]; the first is not counted."""
    shown = [x + np.array([[0.02 * np.sin(k), 0.02 * np.cos(k), 0]], np.float32) for k in range(5)]
    values = [np.sin(9 * x[:, 0] + k).astype(np.float32) for k in range(5)]
    taken = []
    for k in range(frames + 1):
        began, worked = time.perf_counter(), time.process_time()
        draw(shown[k % 5], values[k % 5])
        taken.append((time.perf_counter() - began, time.process_time() - worked))
        if k >= SLOW and taken[1][0] > 1:
            break
    wall, cpu = np.median(taken[1:], 0)
    return float(wall), float(cpu)


def main() -> None:
    """A table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    asked = parser.parse_args()
    print(f"OpenGL by {display._answer()[1]}; frames a second (and processor time of one, ms)\n")
    print("| points | splats | PyVista's points | VTK's spheres | viewer | splats to points |")
    print("|---|---|---|---|---|---|")
    for count in asked.counts:
        x, spacing = cube(count)
        words, rates = [], []
        for way in (by_splats, by_points, by_spheres, by_viewer):
            wall, cpu = measured(way(x, spacing), x, asked.frames)
            rates.append(1 / wall)
            words.append(f"{1 / wall:.1f} ({1e3 * cpu:.0f})")
        print(f"| {len(x)} | {' | '.join(words)} | {rates[0] / rates[1]:.2g} |", flush=True)


if __name__ == "__main__":
    main()
