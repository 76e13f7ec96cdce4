# SPDX-License-Identifier: Apache-2.0
"""From clips to numbers of a scene: are they found, and are they where their bands say?

python tests/benchmarks/video_chain.py --out FILE.jsonl [--seeds 20] [--only ROW]
python tests/benchmarks/video_chain.py --out FILE.jsonl --table

A slab is thrown along a floor on which it rests; it wobbles, or flows, and friction slows it down.
Stiffness, friction, yield stress and the throw are drawn by seed. The truth is a simulation with
other particles than the fit has, one at random in each cell of another lattice, on the same grid or
on one of half the cell and step. One or three cameras film it; the tracker follows features of the
first frame, and the fit starts 30 to 50 % off, with the step held. FILE gets one line for each fit;
those that it has are not made again. docs/video.md quotes the table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rheograd.engine.boundaries import Floor, Vector
from rheograd.engine.fit.least_squares import ParameterFit, fit_parameters
from rheograd.engine.fit.numerical_error import Numerics, Resampled
from rheograd.engine.fit.parameter import ORDINARY, Parameter
from rheograd.engine.moving_surface import MovingSurface
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.observations.joint import Joint
from rheograd.engine.observations.observation import Observation
from rheograd.engine.observations.pixel_tracks import PixelTracks
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.engine.trajectory import Trajectory
from rheograd.engine.vision.camera import Camera
from rheograd.engine.vision.filming import Film, film_clip
from rheograd.engine.vision.seeds import features
from rheograd.engine.vision.tracker import Tracker
from rheograd.engine.vision.tracks import Tracks
from rheograd.engine.vision.video import open_video
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Hencky, NeoHookean
from rheograd.materials.plastic import VonMises

SLAB = Box((0.36, 0.2, 0.12), (0.35, 0.1, 0.4))
DOMAIN = Domain((0.0, 0.0, 0.0), (1.4, 0.4, 0.8))
SOLVER = MPMSolver(cell=1 / 50)
DURATION, RATE, STEP = 0.3, 100.0, 1e-3
"""Of a clip [s], frames a second, time step [s]."""
PER_CELL = (6, 12)
"""Particles in a cell of a truth, at least and at most; a fit has 8."""
FILM = Film(samples=2, noise=2.0)
FEATURES, TRACKER = 60, Tracker(half=10)
"""Followed at most; patches for pictures of half the usual size."""
NOISE = 0.1
"""Standard deviation of a track that a fit is told [px]."""
EYES = ((0.55, 0.55, 1.9), (1.75, 0.5, 1.3), (0.5, 1.6, 0.9))
"""Places of the cameras [m]."""
WITHIN = {"young": 0.02, "friction": 0.05, "yield_stress": 0.05}
"""How close values shall come."""
NUMERICS = Numerics()


def build(
    law: Any = None,
    *,
    young: float = 5e4,
    friction: float = 0.3,
    yield_stress: float = 0.0,
    velocity: Vector = (1.0, 0.0, 0.0),
    spin: Vector = (0.0, 0.0, 0.0),
) -> Scene:
    """A slab on a floor; it does not yield if its yield stress is 0."""
    if law is None and yield_stress:
        law = ElastoPlastic(Hencky(young, 0.3), VonMises(yield_stress))
    body = Body(SLAB, law or NeoHookean(young, 0.3), 1e3, velocity, spin, name="slab")
    return Scene([body], [Floor(friction=friction)], duration=DURATION, domain=DOMAIN)


@dataclass(frozen=True)
class Truth:
    """What is hidden, and what is given."""

    hidden: dict[str, Any]
    start: dict[str, Any]
    throw: dict[str, Any]
    """Velocity [m/s] and spin [rad/s]."""
    per_cell: int
    """Particles."""

    @classmethod
    def draw(cls, plastic: bool, seed: int) -> Truth:
        """By seed."""
        draw = np.random.default_rng([int(plastic), seed])
        hidden = {"young": 3e4 * (2.0 if plastic else 8 / 3) ** draw.random()}
        hidden["friction"] = draw.uniform(0.2, 0.4)
        if plastic:
            hidden["yield_stress"] = draw.uniform(2e3, 3.5e3)
        down = draw.uniform(0.4, 0.6) if plastic else draw.uniform(0.0, 0.15)
        velocity = (draw.uniform(0.9, 1.4), -down, draw.uniform(-0.15, 0.15))
        spin = (0.0, draw.uniform(-2.0, 2.0), 0.0)
        off = {n: draw.uniform(0.3, 0.5) * draw.choice([-1.0, 1.0]) for n in hidden}
        start = {name: value * (1.0 + off[name]) for name, value in hidden.items()}
        throw = {"velocity": velocity, "spin": spin}
        return cls(hidden, start, throw, int(draw.integers(PER_CELL[0], PER_CELL[1] + 1)))

    def motion(self, seed: int, doubled: bool) -> Trajectory:
        """The true motion, of particles of its own."""
        share = 0.5 if doubled else 1.0
        solver = replace(
            SOLVER, cell=share * SOLVER.cell, dt=share * STEP, particles_per_cell=self.per_cell
        )
        scene = build(**self.hidden, **self.throw)
        body = replace(scene.bodies[0], shape=Resampled(SLAB, 10_000 + seed))
        every = round(1.0 / (RATE * share * STEP))
        return simulate(replace(scene, bodies=[body]), solver, every=every)


def cameras() -> list[Camera]:
    """Around the slab's way."""
    return [
        Camera.look_at(eye, (0.52, 0.1, 0.4), size=(480, 360), field_of_view=30.0, frame_rate=RATE)
        for eye in EYES
    ]


def film(motion: Trajectory, camera: Camera, seed: int) -> Tracks:
    """Film a motion and follow features of its first frame."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        clip = film_clip(motion, camera, path, film=replace(FILM, seed=seed), points=20)
        video = open_video(path)
        at = features(next(video.grey()), clip.mask, FEATURES, TRACKER.half)
        pixels, quality = TRACKER.follow(video, at, clip.mask)
    return Tracks(pixels, clip.tracks.time, camera.size, quality, camera, f"clip {seed}")


def bound(tracks: Tracks, truth: Truth) -> PixelTracks:
    """Tracks on the slab as the fit simulates it."""
    model = SOLVER.discretize(build(**truth.start))
    rest = model.x0.double()
    surface = MovingSurface.of_particles([SLAB.surface()], rest, model.body)
    return PixelTracks.bind(tracks, surface, rest, noise=NOISE)


def fit(seen: Observation, truth: Truth, numerics: Numerics | None = NUMERICS) -> ParameterFit:
    """Find what is hidden."""
    chosen = {n: Parameter(v, *ORDINARY[n][1:]) for n, v in truth.start.items()}
    return fit_parameters(
        build, SOLVER.at_step(STEP), seen, chosen, given=truth.throw, tolerance=1e-4, search=1,
        numerics=numerics,
    )  # fmt: skip


ROWS = {
    f"{'plastic' if plastic else 'elastic'}, {'doubled' if doubled else 'same'} grid": (
        plastic, doubled,
    )
    for plastic in (False, True) for doubled in (False, True)
}  # fmt: skip


def repetition(row: str, seed: int, counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    """A truth, its clips, and a fit to each number of cameras; lines of the file."""
    plastic, doubled = ROWS[row]
    truth = Truth.draw(plastic, seed)
    began = time.perf_counter()
    motion = truth.motion(seed, doubled)
    views = cameras()[: max(counts)]
    seen = [bound(film(motion, c, 100 * seed + n), truth) for n, c in enumerate(views)]
    filmed = time.perf_counter() - began
    for count in counts:
        began = time.perf_counter()
        done = fit(seen[0] if count == 1 else Joint(tuple(seen[:count])), truth)
        yield {
            "row": row, "seed": seed, "cameras": count, "converged": done.converged,
            "tracks": sum(len(part.bound) for part in seen[:count]), "rms": done.misfit**0.5,
            "filmed_s": filmed, "fit_s": time.perf_counter() - began, "notes": done.notes,
            "parameters": {
                p.name: {
                    "true": truth.hidden[p.name], "start": p.start, "value": p.value,
                    "low": p.low95, "high": p.high95, "parts": dict(p.parts),
                }
                for p in done.parameters
            },
        }  # fmt: skip


def table(lines: Sequence[dict[str, Any]]) -> str:
    """What came out, in markdown."""
    out = [
        "| scene, truth | cameras | parameter | median error | RMS | largest | close enough | in"
        " the band | of tracks and particles | of tracks alone | half the band | std of tracks |"
        " particles | cells |",
        "|---" * 14 + "|",
    ]
    for row in ROWS:
        for count in sorted({line["cameras"] for line in lines}):
            mine = [n for n in lines if n["row"] == row and n["cameras"] == count]
            for name in mine[0]["parameters"] if mine else ():
                found = [{**n["parameters"][name], "tracks": n["tracks"]} for n in mine]
                out.append(f"| {row} | {count} | {name} | {_summary(found, WITHIN[name])} |")
    return "\n".join(out)


def _summary(found: Sequence[dict[str, Any]], within: float) -> str:
    true, value = (np.array([f[key] for f in found]) for key in ("true", "value"))
    low, high = (np.array([f[key] for f in found], float) for key in ("low", "high"))
    off, total = value / true - 1.0, len(found)
    parts = np.array([list(f["parts"].values()) for f in found]) / true[:, None]
    some = [
        sum(abs(o) <= _reach(p[:n], f["tracks"]) for o, p, f in zip(off, parts, found, strict=True))
        for n in (2, 1)
    ]
    spread = " | ".join(f"{100 * part:.2f} %" for part in np.sqrt((parts**2).mean(0)))
    return (
        f"{100 * np.median(off):+.2f} % | {100 * np.sqrt((off**2).mean()):.2f} %"
        f" | {100 * np.abs(off).max():.2f} % | {(np.abs(off) <= within).sum()} of {total}"
        f" | {((low <= true) & (true <= high)).sum()} of {total}"
        f" | {some[0]} of {total} | {some[1]} of {total}"
        f" | {100 * np.median(0.5 * (high - low) / true):.1f} % | {spread}"
    )


def _reach(parts: Any, tracks: int) -> float:
    """Half a 95 % band that holds the scatter of tracks, or particles too, and no more."""
    from scipy import stats

    freedom = np.array([tracks - 1.0, NUMERICS.samplings])[: len(parts)]
    total = (parts**2).sum()
    return float(np.sqrt(total) * stats.t.ppf(0.975, total**2 / (parts**4 / freedom).sum()))


def main() -> None:
    """Make what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", choices=list(ROWS))
    parser.add_argument("--table", action="store_true", help="of what is there, and nothing more")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    text = asked.out.read_text(encoding="utf-8") if asked.out.exists() else ""
    lines = [json.loads(line) for line in text.splitlines()]
    there = {(line["row"], line["seed"], line["cameras"]) for line in lines}
    for seed in range(0 if asked.table else asked.seeds):
        for row in [asked.only] if asked.only else ROWS:
            counts = [n for n in (1, len(EYES)) if (row, seed, n) not in there]
            for line in repetition(row, seed, counts) if counts else ():
                lines.append(line)
                with asked.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
    print(table(lines))


if __name__ == "__main__":
    main()
