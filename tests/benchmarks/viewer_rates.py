# SPDX-License-Identifier: Apache-2.0
"""Frames a second of the viewer beside plain PyVista points, all points moving before each frame.

python tests/benchmarks/viewer_rates.py [--frames 20] [--counts 10000 100000 1000000] [--threads 2]

Both draw 800 x 600 pixels off screen in this process, in turn, a frame of one and a frame of the
other, so that whatever else the machine does falls on both alike. The viewer draws its whole stage:
box, floor, shadow, timeline and legend, with the points coloured by their speed; PyVista draws
points of one pixel's width and more, with its own colour map. Medians; the time on the processor,
all threads together, is that of the median frame, and says more on a machine that is busy.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence

import numpy as np
from splatting import SLOW, by_points, by_viewer, cube, display

Way = Callable[[np.ndarray, np.ndarray], None]


def in_turn(ways: Sequence[Way], x: np.ndarray, frames: int) -> np.ndarray:
    """Time of each frame of each way on the clock and on the processor [s], (ways, frames, 2).

    The first of each is not counted; a way that takes over a second has fewer, the rest are NaN.
    """
    shown = [x + np.array([[0.02 * np.sin(k), 0.02 * np.cos(k), 0]], np.float32) for k in range(5)]
    values = [np.sin(9 * x[:, 0] + k).astype(np.float32) for k in range(5)]
    taken = np.full((len(ways), frames + 1, 2), np.nan)
    for k in range(frames + 1):
        for own, draw in zip(taken, ways, strict=True):
            if k > SLOW and own[1, 0] > 1:
                continue
            began, worked = time.perf_counter(), time.process_time()
            draw(shown[k % 5], values[k % 5])
            own[k] = time.perf_counter() - began, time.process_time() - worked
    return taken[:, 1:]


def main() -> None:
    """A table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--threads", type=int, help="of the splatter (default: of the machine)")
    asked = parser.parse_args()
    if asked.threads is not None:
        from rheograd.viewer.drawing import splatter

        plain = splatter.Splats
        splatter.Splats = lambda: plain(threads=asked.threads)
    print(
        f"OpenGL by {display._answer()[1]}; {os.cpu_count()} cores, load"
        f" {os.getloadavg()[0]:.1f} at first; frames a second (processor time of one, ms)\n"
    )
    print("| points | viewer | PyVista's points | ratio |")
    print("|---|---|---|---|")
    for count in asked.counts:
        x, spacing = cube(count)
        ways = [way(x, spacing) for way in (by_viewer, by_points)]
        medians = np.nanmedian(in_turn(ways, x, asked.frames), 1)
        rates = 1 / medians[:, 0]
        words = [f"{r:.1f} ({1e3 * cpu:.0f})" for r, (_, cpu) in zip(rates, medians, strict=True)]
        print(f"| {len(x)} | {' | '.join(words)} | {rates[0] / rates[1]:.2g} |", flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f} at last")


if __name__ == "__main__":
    main()
