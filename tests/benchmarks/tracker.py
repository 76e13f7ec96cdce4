# SPDX-License-Identifier: Apache-2.0
"""The tracker beside exact tracks: clean, blurred, noisy, compressed, pale and slow clips.

python tests/benchmarks/tracker.py [--reference FOLDER]

A box that is dropped and bounces is filmed in each way and followed from the points whose tracks
are known; those well within the face that looks at the camera are told apart from all. --reference
names the folder of the reference clip (synthetic_box_960x720_30fps.mp4 and its ground truth).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from rheograd.engine.simulate import simulate
from rheograd.engine.vision.camera import Camera
from rheograd.engine.vision.filming import Film, film_clip
from rheograd.engine.vision.tracker import Tracker
from rheograd.engine.vision.video import open_video
from rheograd.scenes import drop

WITHIN = 8
"""Distance from the rim of the mask of points that count as well within [px]."""
CLIPS = {
    "clean": (Film(crf=1), 100.0),
    "motion blur, 180°": (Film(shutter=0.5), 100.0),
    "noise of 6 grey levels": (Film(noise=6.0), 100.0),
    "compressed, crf 30": (Film(crf=30), 100.0),
    "contrast 0.15": (Film(contrast=0.15), 100.0),
    "30 frames a second, 180°": (Film(shutter=0.5), 30.0),
    "10 frames a second": (Film(), 10.0),
}


def errors(found: np.ndarray, truth: np.ndarray, points: np.ndarray) -> str:
    """Root mean square, median and largest error [px], and the share of sights that was found."""
    error = np.linalg.norm(found - truth, axis=-1)[1:, points]
    there = np.isfinite(truth[1:, points]).all(-1)
    seen = np.isfinite(error)
    if not seen.any():
        return "– | – | – | 0 %"
    e = error[seen]
    rms, share = np.sqrt((e**2).mean()), 100 * seen.sum() / there.sum()
    return f"{rms:.3f} | {np.median(e):.3f} | {e.max():.2f} | {share:.0f} %"


def main() -> None:
    """A table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path)
    folder = parser.parse_args().reference
    torch.set_num_threads(1)
    print("| clip | points | RMS, px | median | largest | found | film, s | track, s |")
    print("|---|---|---|---|---|---|---|---|")
    if folder is not None:
        video = open_video(folder / "synthetic_box_960x720_30fps.mp4")
        truth = np.load(folder / "synthetic_box_groundtruth.npz")["gt_pixels"]
        began = time.perf_counter()
        found, _ = Tracker().follow(video, truth[0])
        took = time.perf_counter() - began
        everyone = np.ones(truth.shape[1], bool)
        print(f"| reference | all | {errors(found, truth, everyone)} | | {took:.1f} |", flush=True)
    run = simulate(drop.build(), drop.solver(), frames=60)
    low, high = run.x.amin((0, 1)), run.x.amax((0, 1))
    with tempfile.TemporaryDirectory() as where:
        for name, (film, rate) in CLIPS.items():
            camera = Camera.preset("front", low, high, frame_rate=rate)
            path, began = Path(where) / "clip.mp4", time.perf_counter()
            clip = film_clip(run, camera, path, film=film)
            filmed = time.perf_counter()
            truth = clip.tracks.pixels
            found, _ = Tracker().follow(open_video(path), truth[0], clip.mask)
            took = time.perf_counter() - filmed
            depth = ndimage.distance_transform_edt(clip.mask)
            near = np.rint(truth[0]).astype(int)
            front = (clip.places[:, 2] > clip.places[:, 2].max() - 1e-4).numpy()
            within = front & (depth[near[:, 1], near[:, 0]] >= WITHIN)  # type: ignore[index]
            for kind, points in (("within", within), ("all", np.ones(len(within), bool))):
                times = f"{filmed - began:.0f} | {took:.1f}" if kind == "all" else " | "
                print(f"| {name} | {kind} | {errors(found, truth, points)} | {times} |", flush=True)


if __name__ == "__main__":
    main()
