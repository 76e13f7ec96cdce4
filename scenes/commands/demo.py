# SPDX-License-Identifier: Apache-2.0
"""The main job from end to end, in a few minutes: film, track, fit, simulate again, look.

A box of a soft material is thrown to the floor twice and filmed by one camera; the two clips are
all the fit sees. Points are tracked in them, and a learned law is trained on their pixels inside
the simulation; then it moves a body of another shape, thrown otherwise and for a longer time,
beside the truth.
Pictures, movies and report.html go to --out. Exits with 1 if on that unseen motion the fitted law's
mean squared error is more than a fifth of the unfitted one's.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..fit_progress import FitProgress
from ..options import Parser, count
from ..progress import Progress
from ..repeat import repeated

if TYPE_CHECKING:
    from rheograd.engine.fit.report import FitReport
    from rheograd.engine.observations.pixel_tracks import PixelTracks
    from rheograd.engine.scene import Scene
    from rheograd.engine.trajectory import Trajectory
    from rheograd.engine.vision.filming import Filmed
    from rheograd.materials.law import ConstitutiveLaw

RANK = 0
WORTH = 0.2
"""Largest error on the unseen motion, as a share of the unfitted law's."""
MOVIE = "unseen.mp4"
CELL, DT, EVERY = 1 / 16, 1e-3, 5
THROWS: dict[str, Any] = {
    "first": {"velocity": (0.6, -2.5, 0.4), "spin": (3.0, 2.0, -4.0), "turn": (0.3, 0.0, 0.5)},
    "second": {"velocity": (-0.5, -2.5, 0.3), "spin": (-2.0, 1.0, 3.0), "turn": (0.0, 0.4, -0.4)},
}
"""Options of the scene drop."""
SIZE = (480, 360)
"""Of the clip [px]."""
POINTS = 120
"""Of the surface that are tracked, at most."""
NOISE = 0.2
"""Of a track [px]."""


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    parser.add_argument("--out", type=Path, default=Path("demo-out"), metavar="FOLDER")
    parser.add_argument("--epochs", type=count, default=20, metavar="N", help="of the fit")
    parser.add_argument("--threads", type=count, default=os.cpu_count() or 1, metavar="N")
    found = parser.read(tokens)
    if (found.out / "report.html").exists():
        raise ValueError(
            f"{found.out} holds a finished demo: rm -r {found.out}, or choose another --out"
        )
    again = repeated(parser.prog, tokens, found.out)
    return Demo(found.out, found.epochs, found.threads, again).go()


@dataclass
class Demo:
    """One run of the demonstration."""

    out: Path
    epochs: int
    threads: int
    again: str
    """The command that does the same once more."""

    def go(self) -> int:
        """All stages; the exit code."""
        import torch

        from rheograd.engine.fit.report_files import write_report
        from rheograd.materials.law import ConstitutiveLaw
        from rheograd.scenes import drop

        torch.set_num_threads(1)
        began = time.perf_counter()
        self.solver = replace(drop.solver(), cell=CELL, dt=DT)
        self._say("1 of 5: simulate a box of a material that the fit is not told, and film it")
        thrown = {n: self._run(f"throw {n}", self._thrown(n, self._truth())) for n in THROWS}
        clips = {name: self._film(name, run) for name, run in thrown.items()}
        self._say("2 of 5: track points of it in the clips")
        seen = [self._track(name, clip, thrown[name]) for name, clip in clips.items()]
        self._say("3 of 5: fit a learned law to the tracks")
        report, law = self._fit(seen)
        self._say("4 of 5: move another shape, thrown otherwise, for a longer time")
        start = ConstitutiveLaw.load(self.out / "law_start.safetensors")
        laws = {"truth": self._truth(), "fitted": law, "unfitted": start}
        runs = {name: self._run(name, self._unseen(law_)) for name, law_ in laws.items()}
        for name, run in runs.items():
            run.save(self.out / f"unseen-{name}.npz")
        errors = {name: _error(runs[name], runs["truth"]) for name in ("fitted", "unfitted")}
        self._say("5 of 5: draw")
        pictures = self._draw(runs)
        movies = {"The same as a movie": Path(MOVIE)} if pictures else {}
        write_report(self.out, replace(
            report, law_truth=self._truth(), pictures={**pictures, **report.pictures},
            movies={**movies, **report.movies},
            notes=(*report.notes, _summary(errors)),
        ))  # fmt: skip
        self._say(f"{_summary(errors)}; {time.perf_counter() - began:.0f} s in all")
        self._say(f"open {self.out / 'report.html'}")
        share = errors["fitted"] / errors["unfitted"]
        if share <= WORTH:
            return 0
        self._say(f"that is not enough: {share:.2g} of the unfitted error, expected {WORTH:g}")
        return 1

    def _truth(self) -> ConstitutiveLaw:
        from rheograd.materials.elastic import NeoHookean

        return NeoHookean(young=6e4, poisson=0.35)

    def _thrown(self, name: str, law: ConstitutiveLaw) -> Scene:
        from rheograd.scenes import drop

        scene = drop.build(law, size=0.3, height=0.1, **THROWS[name])
        return replace(scene, duration=0.2)

    def _unseen(self, law: ConstitutiveLaw) -> Scene:
        from rheograd.scenes import drop

        scene = drop.build(law, shape="sphere", size=0.34, height=0.2, turn=(0.0, 0.0, 0.0),
                           velocity=(-0.5, -2.0, 0.3), spin=(-1.0, 1.0, 2.0))  # fmt: skip
        return replace(scene, duration=0.45)

    def _run(self, title: str, scene: Scene) -> Trajectory:
        from rheograd.engine.simulate import simulate

        steps = round(scene.duration / DT)
        with Progress(title, steps) as progress:
            return simulate(
                scene, self.solver, steps=steps, every=EVERY,
                sink=lambda state: progress.to(state.step),
            )  # fmt: skip

    def _film(self, name: str, thrown: Trajectory) -> Filmed:
        """The clip of a throw, with the camera and the mask beside it."""
        import numpy as np
        from PIL import Image

        from rheograd.engine.vision.camera import Camera
        from rheograd.engine.vision.camera_files import save_camera
        from rheograd.engine.vision.filming import Film, film_clip

        low, high = thrown.x.amin((0, 1)), thrown.x.amax((0, 1))
        camera = Camera.preset("front", low, high, size=SIZE, frame_rate=thrown.frame_rate)
        with Progress(f"film {name}", 0, unit="pictures") as progress:
            clip = film_clip(
                thrown, camera, self.out / f"{name}.mp4", film=Film(samples=3, noise=2.0),
                progress=_counting(progress),
            )  # fmt: skip
        save_camera(camera, self.out / f"{name}.camera.toml")
        Image.fromarray(255 * clip.mask.astype(np.uint8)).save(self.out / f"{name}.mask.png")
        return clip

    def _track(self, name: str, clip: Filmed, thrown: Trajectory) -> PixelTracks:
        """Features of the first frame, followed and bound to the box."""
        from rheograd.engine.moving_surface import MovingSurface
        from rheograd.engine.observations.pixel_tracks import PixelTracks
        from rheograd.engine.vision.overlay import overlay
        from rheograd.engine.vision.seeds import features
        from rheograd.engine.vision.tracker import Tracker
        from rheograd.engine.vision.tracks import Tracks
        from rheograd.engine.vision.video import open_video

        film = self.out / f"{name}.mp4"
        video = open_video(film)
        points = features(next(video.grey()), clip.mask, POINTS)
        with Progress(f"track {name}", video.frames, unit="frames") as progress:
            pixels, quality = Tracker().follow(
                video, points, clip.mask, progress=lambda frame: progress.to(frame + 1)
            )
        camera = clip.tracks.camera
        tracks = Tracks(pixels, video.time, video.size, quality, camera, str(film))
        tracks.save(self.out / f"{name}.tracks.npz")
        overlay(video, tracks, self.out / f"{name}.overlay.mp4")
        rest = thrown.x[0]  # where the box is at the start is known, and nothing else of its motion
        return PixelTracks.bind(tracks, MovingSurface.of(thrown), rest, noise=NOISE)

    def _fit(self, seen: list[PixelTracks]) -> tuple[FitReport, ConstitutiveLaw]:
        from rheograd.engine.fit.expected import expected_young
        from rheograd.engine.fit.learn import fit
        from rheograd.engine.fit.recipe import Recipe
        from rheograd.materials.learned.invariant import InvariantSmooth

        def scenes(law: ConstitutiveLaw) -> list[Scene]:
            return [self._thrown(name, law) for name in THROWS]

        with Progress("expected stiffness", 0, unit="trials"):
            young = expected_young(scenes, self.solver, seen)
        self._say(f"it moves about like an elastic solid of {young / 1e3:.3g} kPa: start there")
        law = InvariantSmooth(young, seed=0)
        recipe = Recipe.suited(law, self.epochs, states="pixels")
        with FitProgress("fit", self.epochs, "epochs", remedy="run it again to go on") as progress:
            report = fit(
                scenes(law), self.solver, seen, folder=self.out, hold_out=0.1, recipe=recipe,
                threads=self.threads, names=list(THROWS), command=self.again, tell=progress,
                source=", ".join(str(self.out / f"{name}.mp4") for name in THROWS), resume=True,
            )  # fmt: skip
        return report, law

    def _draw(self, runs: dict[str, Trajectory]) -> dict[str, Path]:
        """Pictures by caption; none, with a sentence, where nothing can be drawn."""
        from rheograd import viewer

        shown = [runs["truth"], runs["fitted"], runs["unfitted"]]
        titles = ["truth", "fitted law", "before the fit"]
        middle = len(shown[0]) // 3
        try:
            viewer.screenshot(
                shown, self.out / "unseen.png", frame=middle, field="speed", titles=titles
            )
            with Progress("movie", 0, unit="pictures") as progress:
                viewer.movie(shown, self.out / MOVIE, field="speed", titles=titles,
                             size=(960, 400), progress=_counting(progress))  # fmt: skip
        except viewer.DisplayError as error:
            self._say(f"no pictures: {error}")
            return {}
        return {
            "A motion the fit did not see: another shape, thrown otherwise, for a longer time":
                self.out / "unseen.png",
        }  # fmt: skip

    def _say(self, line: str) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        print(line, file=sys.stderr, flush=True)


def _counting(progress: Progress) -> Callable[[int, int], None]:
    def counted(done: int, total: int) -> None:
        progress.total = total
        progress.to(done)

    return counted


def _summary(errors: Mapping[str, float]) -> str:
    from rheograd.engine.fit.distance import distance

    fitted, unfitted = (1e3 * distance(errors[name]) for name in ("fitted", "unfitted"))
    return (
        f"on the unseen motion the fitted law is {fitted:.3g} mm off (RMS), the unfitted one"
        f" {unfitted:.3g} mm"
    )


def _error(run: Trajectory, truth: Trajectory) -> float:
    from rheograd.engine.fit.distance import mean_squared_error

    return mean_squared_error(run.x, truth.x)
