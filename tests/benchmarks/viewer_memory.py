# SPDX-License-Identifier: Apache-2.0
"""Memory of the viewer: a long run of many particles is played off screen from begin to end.

python tests/benchmarks/viewer_memory.py [--frames 1000] [--particles 100000] [--size 640,360]

Makes a .vtkhdf file of positions and velocities in a temporary folder, frame by frame, as
`rheograd run` writes them (2.4 GB for the defaults), then draws each frame in a process of its own
and prints that process's resident memory after the first 100 frames and at its peak. Exits with 1
if the peak is more than a tenth above.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FIRST = 100
ALLOWED = 1.1


def written(path: Path, frames: int, particles: int) -> None:
    """A cloud that swells and falls."""
    from rheograd.engine.trajectory import TrajectoryWriter

    x = np.random.default_rng(0).uniform(0.3, 0.7, (particles, 3)).astype(np.float32)
    about = {"domain": "[[0, 0, 0], [1, 1, 1]]", "title": "memory"}
    with TrajectoryWriter(
        path, particles, fields={"v": 3}, metadata=about, expected=frames
    ) as writer:
        for k in range(frames):
            part = k / frames
            now = 0.5 + (x - 0.5) * (1 + 0.8 * part)
            writer.append(k, 0.01 * k, now, v=(x - 0.5) * (0.5 + part))


def resident() -> float:
    """Memory of this process now [MB]."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def played(path: Path, size: tuple[int, int]) -> dict[str, float]:
    """Resident memory while every frame is drawn [MB], and frames a second."""
    from rheograd.viewer.presentation import Presentation
    from rheograd.viewer.render import off_screen
    from rheograd.viewer.view import describe

    view = describe(path)
    opened, after, peak = resident(), 0.0, 0.0
    with off_screen(view, Presentation(size=size)) as draw:
        begun = time.perf_counter()
        for k in range(len(view.times)):
            draw(k)
            peak = max(peak, resident())
            if k < FIRST:
                after = peak
        seconds = time.perf_counter() - begun
    return {
        "opened_mb": opened, "first_frames_mb": after, "peak_mb": peak,
        "process_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "frames_per_second": len(view.times) / seconds,
    }  # fmt: skip


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--particles", type=int, default=100_000)
    parser.add_argument("--size", default="640,360")
    parser.add_argument("--play", type=Path, help=argparse.SUPPRESS)
    found = parser.parse_args()
    width, height = (int(side) for side in found.size.split(","))
    if found.play is not None:
        print(json.dumps(played(found.play, (width, height))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.vtkhdf"
        written(path, found.frames, found.particles)
        size = path.stat().st_size / 1e6
        words = [sys.executable, __file__, "--play", str(path), "--size", found.size]
        told = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
    memory = json.loads(told.splitlines()[-1])
    first, peak = memory["first_frames_mb"], memory["peak_mb"]
    print(f"{found.frames} frames of {found.particles} particles, a file of {size:.0f} MB")
    print(f"opened: {memory['opened_mb']:.0f} MB, process at most {memory['process_peak_mb']:.0f}")
    print(f"first {min(FIRST, found.frames)} frames: {first:.0f} MB")
    print(f"all frames: {peak:.0f} MB, {peak / first:.3f} times that")
    print(f"{memory['frames_per_second']:.1f} frames a second at {width} x {height}")
    return 0 if peak <= ALLOWED * first else 1


if __name__ == "__main__":
    sys.exit(main())
