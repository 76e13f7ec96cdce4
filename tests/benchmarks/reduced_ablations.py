# SPDX-License-Identifier: Apache-2.0
"""What each part of the reduced network and of its training is worth, at equal cost.

python tests/benchmarks/reduced_ablations.py DATASET [--seconds 240] [--only A,B] [--out F.json]

Each variant leaves one thing out of `rheograd reduce --size small`, or does it as the published
network does, and is trained for the same CPU time from the same seed: it takes as many updates as
fit. Errors are those of roll-outs from true first frames, of all motions of the test set, relative
to the distance travelled. One-step errors are of the part that moves and turns the body, and of the
rest, in mean squares of the acceleration. With --out it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from rheograd.engine.fit.run_folder import RunFolder
from rheograd.engine.reduced import latent_grid, training
from rheograd.engine.reduced.dataset import Dataset
from rheograd.engine.reduced.judging import GIVEN, error
from rheograd.engine.reduced.motions import Motion
from rheograd.engine.reduced.network import Architecture, TimeStepper, without_net_force
from rheograd.engine.reduced.reduction import Reduction
from rheograd.engine.reduced.stepping import advance
from rheograd.engine.reduced.training import (
    SIZES,
    Recipe,
    Training,
    set_scales,
)
from rheograd.scenes.commands.reduce import builder

SPARSE = 500
"""Points that errors are measured with."""
PROBE = 8
"""Updates by which the cost of one is measured."""
EPOCHS = 5


@dataclass(frozen=True)
class Variant:
    """What differs."""

    shape: Callable[[Architecture], Architecture] = lambda a: a
    recipe: Callable[[Recipe], Recipe] = lambda r: r
    motions: Callable[[Motion], Motion] = lambda m: m
    stepper: Callable[[TimeStepper], None] = lambda s: None
    optimizers: Callable[[TimeStepper, float], list[torch.optim.Optimizer]] = training.optimizers


def raw(stepper: TimeStepper) -> None:
    """Velocities in metres a frame, as they are."""
    stepper.velocity.fill_(1.0)


def absolute(stepper: TimeStepper) -> None:
    """Coordinates of the other end alone, as published: the query is not told apart."""
    grid = stepper.grid
    assert isinstance(grid, latent_grid.LatentGrid)
    to_grid, from_grid, place = grid.to_grid.forward, grid.from_grid.forward, grid.place

    def into(points: Tensor, s: latent_grid.Stencil) -> Tensor:
        nodes = place.repeat(s.worlds, 1)[s.node] + s.offset * (2.0 / (grid.nodes - 1))
        return to_grid(points, s._replace(offset=nodes))

    def back(nodes: Tensor, s: latent_grid.Stencil) -> Tensor:
        return from_grid(nodes, s._replace(offset=place.repeat(s.worlds, 1)[s.node]))

    grid.to_grid.forward, grid.from_grid.forward = into, back


def fixed_radius(motion: Motion) -> Motion:
    """The radius of a thousand points for any number: fewer find fewer neighbours."""
    n = len(motion.graph)
    spacing = motion.points.spacing * (n / 1000.0) ** (1 / 3)
    apart = motion.points.rest[motion.graph.clamp(min=0)] - motion.points.rest[:, None]
    near = apart.norm(dim=2) <= Architecture().reach * spacing
    graph = torch.where(near, motion.graph, -1)
    return motion._replace(graph=graph, points=motion.points._replace(spacing=spacing))


def without_code(motion: Motion) -> Motion:
    """Nothing is told of the material."""
    return motion._replace(points=motion.points._replace(code=0.0 * motion.points.code))


def adamw(stepper: TimeStepper, rate: float) -> list[torch.optim.Optimizer]:
    """One optimizer for all."""
    return [torch.optim.AdamW(stepper.parameters(), lr=rate, weight_decay=1e-4)]


VARIANTS = {
    "as it is": Variant(),
    "five velocities": Variant(shape=lambda a: replace(a, history=5)),
    "absolute coordinates in the operators": Variant(stepper=absolute),
    "raw velocities": Variant(stepper=raw),
    "fixed radius": Variant(motions=fixed_radius),
    "no shape at rest": Variant(shape=lambda a: replace(a, reference=False)),
    "momentum not conserved": Variant(shape=lambda a: replace(a, conserving=False)),
    "no material code": Variant(motions=without_code),
    "no latent grid": Variant(shape=lambda a: replace(a, grid=0)),
    "message passing alone, 10 layers": Variant(
        shape=lambda a: replace(a, grid=0, before=10, after=0)
    ),
    "no noise": Variant(recipe=lambda r: replace(r, noise=0.0)),
    "noise of a tenth": Variant(recipe=lambda r: replace(r, noise=0.1)),
    "five velocities, noise of a tenth": Variant(
        shape=lambda a: replace(a, history=5), recipe=lambda r: replace(r, noise=0.1)
    ),
    "errors of all kinds weigh alike": Variant(recipe=lambda r: replace(r, rigid=0.0)),
    "all frames equally often": Variant(recipe=lambda r: replace(r, quiet=1e3)),
    "always in one orientation": Variant(recipe=lambda r: replace(r, turned=False)),
    "three frames at once": Variant(recipe=lambda r: replace(r, unroll=3)),
    "AdamW alone": Variant(optimizers=adamw),
    "one expert": Variant(shape=lambda a: replace(a, experts=1)),
}


def trained(
    dataset: Dataset, variant: Variant, seconds: float, folder: Path
) -> tuple[Reduction, dict[str, Any]]:
    """A variant after so many seconds of CPU."""
    shape, recipe = SIZES["small"]
    shape, recipe = variant.shape(shape), variant.recipe(replace(recipe, epochs=EPOCHS, shards=1))
    config = RunFolder(folder, {}, resume=False)
    work = Reduction(dataset, builder(dataset), shape, recipe, config, threads=1)
    learned = [
        variant.motions(m)
        for c in dataset.split("train")
        for m in work.motions(c, recipe.counts()[:2])
    ]
    held = [variant.motions(m) for c in dataset.split("validation")
            for m in work.motions(c, [SPARSE])]  # fmt: skip
    stepper = work.operator.stepper
    set_scales(stepper, learned)
    variant.stepper(stepper)
    start = {k: v.clone() for k, v in stepper.state_dict().items()}
    briefly = [held[0].window(0, GIVEN + 1)]  # roll-outs are not to count
    cost = 0.0
    for number in (2, PROBE):  # the first ones warm up
        begun = time.process_time()
        probe = replace(recipe, epochs=1, updates=number)
        Training(stepper, probe, learned, briefly, config, threads=1).run()
        cost = (time.process_time() - begun) / number
        config.checkpoint.unlink()
    stepper.load_state_dict(start)
    updates = max(1, round(seconds / cost / EPOCHS))
    recipe = replace(recipe, updates=updates, warm=50)
    validation = Training(stepper, recipe, learned, held, config, threads=1).run()
    return work, {"updates": updates * EPOCHS, "validation": validation}


@torch.no_grad()
def one_step(stepper: TimeStepper, motion: Motion) -> tuple[float, float]:
    """Mean squares of the rigid part of one-step errors, and of the rest."""
    h, p = stepper.shape.history, motion.points
    sums = torch.zeros(2)
    times = range(h, len(motion.x) - 1, 3)
    for t in times:
        off = advance(stepper, p, motion.graph, motion.x[t - h : t + 1]) - motion.x[t + 1]
        off = off / stepper.acceleration
        inner = without_net_force(off, motion.x[t], p.mass, p.world, p.worlds)
        sums += torch.stack([(off - inner).square().mean(), inner.square().mean()])
    rigid, rest = (sums / len(times)).tolist()
    return rigid, rest


def main() -> None:
    """Train and judge each variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path)
    found = parser.parse_args()
    torch.set_num_threads(1)
    dataset = Dataset.load(found.dataset)
    rows = json.loads(found.out.read_text()) if found.out and found.out.exists() else {}
    for name, variant in VARIANTS.items():
        if name in rows or (found.only and name not in found.only.split(",")):
            continue
        optimizers = mock.patch.object(training, "optimizers", variant.optimizers)
        with tempfile.TemporaryDirectory() as folder, optimizers:
            work, told = trained(dataset, variant, found.seconds, Path(folder) / "run")
        stepper = work.operator.stepper
        tests = [
            (c.geometry, variant.motions(m))
            for c in dataset.split("test")
            for m in work.motions(c, [SPARSE])
        ]
        steps = [one_step(stepper, m) for _, m in tests]
        told |= {
            "parameters": sum(p.numel() for p in stepper.parameters()),
            "rigid": sum(s[0] for s in steps) / len(steps),
            "rest": sum(s[1] for s in steps) / len(steps),
            **{kind: [error(stepper, m) for k, m in tests if k == kind]
               for kind in ("seen", "unseen")},
        }  # fmt: skip
        rows[name] = told
        print(json.dumps({name: told}), flush=True)
        if found.out:
            found.out.write_text(json.dumps(rows, indent=1) + "\n")
    print("| variant | updates | rigid | rest | seen geometry, % | unseen geometry, % |")
    print("|---|---|---|---|---|---|")
    for name, r in rows.items():
        seen, unseen = (100 * sum(r[k]) / max(1, len(r[k])) for k in ("seen", "unseen"))
        print(
            f"| {name} | {r['updates']} | {r['rigid']:.3f} | {r['rest']:.3f} | {seen:.1f}"
            f" | {unseen:.1f} |"
        )


if __name__ == "__main__":
    main()
