# SPDX-License-Identifier: Apache-2.0
"""A law that is learned from pixels alone, beside the same law learned from all particles.

    python tests/benchmarks/pixel_law.py --out runs/pixel-law

A box of a hidden material is thrown to the floor, and thrown once more otherwise. Each fit sees one
of these as: positions of all particles; exact tracks in the picture of one camera; tracks that the
tracker found in its clip; those of three cameras; and both throws in each of these ways. The laws
then move a ball in a throw that no fit saw, for twice as long; its root mean square error is set
beside that of the law from particles of as many throws. All fits have the same recipe.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rheograd.engine.boundaries import Vector
from rheograd.engine.errors import SimulationError
from rheograd.engine.fit.distance import distance, mean_squared_error
from rheograd.engine.fit.learn import fit
from rheograd.engine.fit.recipe import Recipe
from rheograd.engine.moving_surface import MovingSurface
from rheograd.engine.observations.joint import Joint
from rheograd.engine.observations.observation import Observation, Positions
from rheograd.engine.observations.pixel_tracks import PixelTracks
from rheograd.engine.scene import Scene
from rheograd.engine.simulate import simulate
from rheograd.engine.trajectory import Trajectory
from rheograd.engine.vision.camera import Camera
from rheograd.engine.vision.filming import Film, film_clip
from rheograd.engine.vision.tracker import Tracker
from rheograd.engine.vision.tracks import Tracks
from rheograd.engine.vision.video import open_video
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantSmooth
from rheograd.scenes import drop

DT, EVERY = 1e-3, 5
SOLVER = replace(drop.solver(), cell=1 / 16, dt=DT)
SIZE = (640, 480)
EXACT, FOUND = 0.05, 0.3
"""Noise that is stated of exact tracks and of the tracker's [px]."""


@dataclass(frozen=True)
class Throw:
    """How a box is thrown."""

    velocity: Vector
    spin: Vector
    turn: Vector

    def scene(self, law: ConstitutiveLaw) -> Scene:
        """It, of a material."""
        built = drop.build(
            law, size=0.3, height=0.1, turn=self.turn, velocity=self.velocity, spin=self.spin
        )
        return replace(built, duration=0.2)


THROWS = (
    Throw((0.6, -2.5, 0.4), (3.0, 2.0, -4.0), (0.3, 0.0, 0.5)),
    Throw((-0.5, -2.5, 0.3), (-2.0, 1.0, 3.0), (0.0, 0.4, -0.4)),
)


def truth() -> ConstitutiveLaw:
    """What no fit is told."""
    return NeoHookean(young=6e4, poisson=0.35)


def unseen(law: ConstitutiveLaw) -> Scene:
    """A motion that no fit saw."""
    scene = drop.build(law, shape="sphere", size=0.34, height=0.2, turn=(0.0, 0.0, 0.0),
                       velocity=(-0.5, -2.0, 0.3), spin=(-1.0, 1.0, 2.0))  # fmt: skip
    return replace(scene, duration=0.4)


def moved(scene: Scene) -> Trajectory:
    """Its motion."""
    return simulate(scene, SOLVER, every=EVERY)


@dataclass
class Clips:
    """Pictures of the throws, kept in a folder."""

    folder: Path

    def tracks(self, number: int, view: str, *, exact: bool) -> PixelTracks:
        """Tracks of a throw in the pictures of a camera, bound to the body."""
        throw = THROWS[number]
        stem = self.folder / f"throw{number}-{view}"
        files = {kind: stem.with_suffix(f".{kind}.npz") for kind in ("exact", "found")}
        if not files["found"].is_file():
            self._film(moved(throw.scene(truth())), view, stem, files)
        tracks = Tracks.load(files["exact" if exact else "found"])
        scene = throw.scene(truth())
        model = SOLVER.discretize(scene)
        surface = MovingSurface.of_scene(scene, model)
        return PixelTracks.bind(tracks, surface, model.x0, noise=EXACT if exact else FOUND)

    def _film(self, run: Trajectory, view: str, stem: Path, files: dict[str, Path]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        camera = Camera.preset(view, run.x.amin((0, 1)), run.x.amax((0, 1)), size=SIZE,
                               frame_rate=1 / (DT * EVERY))  # fmt: skip
        video = stem.with_suffix(".mp4")
        clip = film_clip(run, camera, video, film=Film(samples=2))
        clip.tracks.save(files["exact"])
        pixels, quality = Tracker().follow(open_video(video), clip.tracks.pixels[0], clip.mask)
        gap = np.linalg.norm(pixels - clip.tracks.pixels, axis=-1)
        gap = gap[np.isfinite(gap)]
        print(f"{stem.name}: {len(pixels[0])} points, tracked to {np.sqrt((gap**2).mean()):.2f} px",
              flush=True)  # fmt: skip
        replace(clip.tracks, pixels=pixels, quality=quality).save(files["found"])


def rows(clips: Clips) -> dict[str, Callable[[], list[tuple[int, Observation]]]]:
    """What each fit sees: the numbers of throws, with what was seen of them."""

    def found(number: int, *views: str) -> Observation:
        parts = [clips.tracks(number, view, exact=False) for view in views]
        return parts[0] if len(parts) == 1 else Joint(tuple(parts))

    def particles(number: int) -> Observation:
        return Positions(moved(THROWS[number].scene(truth())))

    def exact(number: int) -> Observation:
        return clips.tracks(number, "front", exact=True)

    return {
        "particles": lambda: [(0, particles(0))],
        "exact tracks, one camera": lambda: [(0, exact(0))],
        "tracked, one camera": lambda: [(0, found(0, "front"))],
        "tracked, three cameras": lambda: [(0, found(0, "front", "right", "top"))],
        "particles, two throws": lambda: [(k, particles(k)) for k in range(2)],
        "exact tracks, one camera, two throws": lambda: [(k, exact(k)) for k in range(2)],
        "tracked, one camera, two throws": lambda: [(k, found(k, "front")) for k in range(2)],
        "tracked, three cameras, two throws": lambda: [
            (k, found(k, "front", "right", "top")) for k in range(2)
        ],
    }


def error(law: ConstitutiveLaw, scene: Any) -> float:
    """RMS distance [m] of a motion from the true one; infinite if it diverges."""
    try:
        return distance(mean_squared_error(moved(scene(law)).x, moved(scene(truth())).x))
    except SimulationError:
        return math.inf


def run(name: str, seen: Sequence[tuple[int, Observation]], options: argparse.Namespace) -> Any:
    """Fit and judge."""
    law = InvariantSmooth(2e4, seed=options.seed)
    before = error(law, unseen)
    recipe = Recipe.suited(law, options.epochs, states="pixels")
    began = time.perf_counter()
    folder = options.out / f"{name.replace(', ', '-').replace(' ', '-')}-{options.seed}"
    report = fit(
        [THROWS[k].scene(law) for k, _ in seen], SOLVER, [o for _, o in seen], folder=folder,
        recipe=recipe, hold_out=0.1, threads=options.threads, resume=True,
        seed=options.seed, source=name, command="python tests/benchmarks/pixel_law.py",
        tell=lambda m: print(
            m.get("note") or {k: m[k] for k in ("epoch", "loss", "segment", "held_out", "seconds")
            if k in m} if "loss" in m or "note" in m else "", flush=True,
        ) if options.verbose else None,
    )  # fmt: skip
    return {
        "fit": name,
        "reconstruction": [report.rms(report.errors[label]) for label in report.trained],
        "unit": report.unit,
        "thrown alike": error(law, THROWS[0].scene),
        "unseen": error(law, unseen),
        "before": before,
        "epochs": len(report.losses),
        "seconds": time.perf_counter() - began,
        "notes": list(report.notes),
    }


def main() -> None:
    """A table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="ROW", help="some rows")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/pixel-law"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message=".*particles a cell")
    every = rows(Clips(options.out / "clips"))
    print("| seen | reconstruction | all particles of the first throw, mm | ball, mm | of that from"
          " particles | before, mm | epochs | s |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for name, seen in every.items():
        if options.only and name not in options.only:
            continue
        found = run(name, seen(), options)
        saved(options, name).write_text(json.dumps(found, indent=2) + "\n")
        like = "particles, two throws" if name.endswith("two throws") else "particles"
        base = saved(options, like)
        ratio = math.nan
        if base.is_file():
            ratio = found["unseen"] / json.loads(base.read_text())["unseen"]
        scale, unit = (1e3, "mm") if found["unit"] == "m" else (1.0, found["unit"])
        seen_as = ", ".join(f"{scale * e:.2f} {unit}" for e in found["reconstruction"])
        print(f"| {name} | {seen_as} | {1e3 * found['thrown alike']:.2f} |"
              f" {1e3 * found['unseen']:.2f} | {ratio:.2f} | {1e3 * found['before']:.1f} |"
              f" {found['epochs']} | {found['seconds']:.0f} |", flush=True)  # fmt: skip


def saved(options: argparse.Namespace, name: str) -> Path:
    """Where the figures of a row are kept."""
    return options.out / f"{name.replace(', ', '-').replace(' ', '-')}-{options.seed}.json"


if __name__ == "__main__":
    main()
