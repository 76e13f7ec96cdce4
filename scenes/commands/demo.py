# SPDX-License-Identifier: Apache-2.0
"""The main job from end to end, in a few minutes: simulate, fit, simulate again, look.

A box of a soft material is thrown to the floor; that motion is all the fit sees. A learned law is
trained on it and then moves a body of another shape, thrown otherwise and for a longer time, beside
the truth. Pictures, a movie and report.html go to --out. Exits with 1 if on that unseen motion the
fitted law's mean squared error is more than a fifth of the unfitted one's.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..fit_progress import FitProgress
from ..options import Parser, count
from ..progress import Progress
from ..repeat import repeated

if TYPE_CHECKING:
    from rheograd.engine.fit.report import FitReport
    from rheograd.engine.scene import Scene
    from rheograd.engine.trajectory import Trajectory
    from rheograd.materials.law import ConstitutiveLaw

RANK = 0
WORTH = 0.2
"""Largest error on the unseen motion, as a share of the unfitted law's."""
MOVIE = "unseen.mp4"
DT = 5e-4
EVERY = 5


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    parser.add_argument("--out", type=Path, default=Path("demo-out"), metavar="FOLDER")
    parser.add_argument("--epochs", type=count, default=16, metavar="N", help="of the fit")
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

        from rheograd.engine.fit.distance import distance
        from rheograd.engine.fit.report_files import write_report
        from rheograd.materials.law import ConstitutiveLaw
        from rheograd.scenes import drop

        torch.set_num_threads(1)
        began = time.perf_counter()
        self.solver = replace(drop.solver(), cell=1 / 20, dt=DT)
        self._say("1 of 4: simulate a box of a material that the fit is not told")
        truth = self._thrown(self._truth())
        seen = self._run("truth", truth)
        seen.save(self.out / "seen.npz")
        self._say("2 of 4: fit a learned law to how the box moved")
        report, law = self._fit(seen)
        self._say("3 of 4: move another shape, thrown otherwise, for a longer time")
        start = ConstitutiveLaw.load(self.out / "law_start.safetensors")
        laws = {"truth": self._truth(), "fitted": law, "unfitted": start}
        runs = {name: self._run(name, self._unseen(law_)) for name, law_ in laws.items()}
        for name, run in runs.items():
            run.save(self.out / f"unseen-{name}.npz")
        errors = {name: _error(runs[name], runs["truth"]) for name in ("fitted", "unfitted")}
        self._say("4 of 4: draw")
        pictures = self._draw(runs, seen)
        movies = {"The same as a movie": Path(MOVIE)} if pictures else {}
        name = "another shape, a longer time"
        report = replace(
            report, pictures=pictures, movies=movies, law_truth=self._truth(),
            errors={**report.errors, name: errors["fitted"]},
            start_errors={**report.start_errors, name: errors["unfitted"]},
        )  # fmt: skip
        write_report(self.out, report)
        share = errors["fitted"] / errors["unfitted"]
        self._say(
            f"on the unseen motion the fitted law is {1e3 * distance(errors['fitted']):.3g} mm off"
            f" (RMS), the unfitted one {1e3 * distance(errors['unfitted']):.3g} mm;"
            f" {time.perf_counter() - began:.0f} s in all"
        )
        self._say(f"open {self.out / 'report.html'}")
        if share <= WORTH:
            return 0
        self._say(f"that is not enough: {share:.2g} of the unfitted error, expected {WORTH:g}")
        return 1

    def _truth(self) -> ConstitutiveLaw:
        from rheograd.materials.elastic import NeoHookean

        return NeoHookean(young=6e4, poisson=0.35)

    def _thrown(self, law: ConstitutiveLaw) -> Scene:
        from rheograd.scenes import drop

        scene = drop.build(law, size=0.3, height=0.1, turn=(0.3, 0.0, 0.5),
                           velocity=(0.6, -2.5, 0.4), spin=(3.0, 2.0, -4.0))  # fmt: skip
        return replace(scene, duration=0.35)

    def _unseen(self, law: ConstitutiveLaw) -> Scene:
        from rheograd.scenes import drop

        scene = drop.build(law, shape="sphere", size=0.34, height=0.2, turn=(0.0, 0.0, 0.0),
                           velocity=(-0.5, -2.0, 0.3), spin=(-1.0, 1.0, 2.0))  # fmt: skip
        return replace(scene, duration=0.55)

    def _run(self, title: str, scene: Scene) -> Trajectory:
        from rheograd.engine.simulate import simulate

        steps = round(scene.duration / DT)
        with Progress(title, steps) as progress:
            return simulate(
                scene, self.solver, steps=steps, every=EVERY,
                sink=lambda state: progress.to(state.step),
            )  # fmt: skip

    def _fit(self, seen: Trajectory) -> tuple[FitReport, ConstitutiveLaw]:
        from rheograd.engine.fit.learn import fit
        from rheograd.engine.fit.recipe import Recipe
        from rheograd.engine.observation import Positions
        from rheograd.materials.invariant import InvariantSmooth

        law = InvariantSmooth(2e4, seed=0)
        recipe = Recipe(epochs=self.epochs, longest=100)
        with FitProgress("fit", self.epochs, "epochs", remedy="run it again to go on") as progress:
            report = fit(
                self._thrown(law), self.solver, Positions(seen), folder=self.out,
                states="positions", hold_out=0.1, recipe=recipe,
                threads=self.threads, source="seen.npz", command=self.again, tell=progress,
                resume=True,
            )  # fmt: skip
        return report, law

    def _draw(self, runs: dict[str, Trajectory], seen: Trajectory) -> dict[str, Path]:
        """Pictures by caption; none, with a sentence, where nothing can be drawn."""
        from rheograd import viewer

        shown = [runs["truth"], runs["fitted"], runs["unfitted"]]
        titles = ["truth", "fitted law", "before the fit"]
        middle = len(shown[0]) // 3
        try:
            viewer.screenshot(seen, self.out / "seen.png", frame=len(seen) // 3, field="speed",
                              titles=["what the fit saw"])  # fmt: skip
            viewer.screenshot(
                shown, self.out / "unseen.png", frame=middle, field="speed", titles=titles
            )
            with Progress("movie", 0, unit="pictures") as progress:

                def drawn(done: int, total: int) -> None:
                    progress.total = total
                    progress.to(done)

                viewer.movie(shown, self.out / MOVIE, field="speed", titles=titles,
                             size=(960, 400), progress=drawn)  # fmt: skip
        except viewer.DisplayError as error:
            self._say(f"no pictures: {error}")
            return {}
        return {
            "What the fit saw: a box thrown to the floor": self.out / "seen.png",
            "A motion the fit did not see: another shape, thrown otherwise, for a longer time":
                self.out / "unseen.png",
        }  # fmt: skip

    def _say(self, line: str) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        print(line, file=sys.stderr, flush=True)


def _error(run: Trajectory, truth: Trajectory) -> float:
    from rheograd.engine.fit.distance import mean_squared_error

    return mean_squared_error(run.x, truth.x)
