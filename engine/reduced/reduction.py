# SPDX-License-Identifier: Apache-2.0
"""From a data set to an operator: what it is for, its time step, its way to the full order."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..fit.run_folder import RunFolder
from ..fit.team import Team
from ..mpm import MPMSolver
from ..mpm.model import MPMModel
from ..scene import Scene
from .correction import Sample, map_error, teach
from .dataset import Case, Dataset
from .judging import GIVEN, NAIVE, error, naive_error
from .labels import SEEN, UNSEEN
from .material import keeps_form, parameters, structure
from .model import numbered
from .motions import Motion, motion
from .network import Architecture
from .operator import ReducedOperator, seeded
from .sampling import sparse_points
from .scope import Range, Scope, density_of, extent_of, fastest_of, speed_of, walls_of
from .training import Recipe, Tell, Training, set_scales
from .variation import ends

INSTANTS = 5
"""Frames that the way to the full order is taught on and tested by, of each motion."""
SAMPLES = 6
"""Motions that it is taught on."""
LESSONS = 150
"""Steps of that."""


def scope_of(dataset: Dataset, scenes: Sequence[Scene], extremes: Sequence[Scene]) -> Scope:
    """What an operator that is taught on some scenes of a data set will be good for.

    Args:
        dataset: That they are of.
        scenes: Those that are learned from.
        extremes: Others with options at the ends of their ranges; few draws do not come near those.

    Raises:
        ValueError: The bodies are of several laws, or a number of theirs varies down to 0.
    """
    bodies = [body for scene in scenes for body in scene.bodies]
    both = [*bodies, *(body for scene in extremes for body in scene.bodies)]
    held = [{k: float(v.detach()) for k, v in parameters(b.law).items()} for b in both]
    kinds = {structure(b.law) for b in both}
    if len(kinds) > 1:
        raise ValueError(
            f"the bodies of the data set are of several laws, {', '.join(sorted(kinds))}, expected"
            " one: an operator is told a material by the parameters of one law"
        )
    ranges = {name: _range([h[name] for h in held]) for name in held[0]}
    for name, (low, high) in ranges.items():
        if low < high and not low > 0.0:
            raise ValueError(
                f"{name} varies from {low:g} to {high:g} in {dataset.folder}, expected positive"
                " numbers: an operator is told its logarithm; vary it from a small one on"
            )
    return Scope(
        scene=dataset.scene,
        law=kinds.pop(),
        parameters=ranges,
        density=_range([density_of(b) for b in both]),
        speed=max(speed_of(b) for b in bodies),
        gravity=dataset.gravity,
        lower=dataset.domain.lower,
        upper=dataset.domain.upper,
        walls=walls_of(scenes[0]),
        frame=dataset.frame_interval,
        cell=dataset.cell,
        particles_per_cell=dataset.particles_per_cell,
        options=option_ranges(dataset, {*ranges, "density"}),
        extent=_range([extent_of(b) for b in both]),
        fastest=max(fastest_of(b) for b in bodies),
        duration=dataset.frames * dataset.frame_interval,
    )


def option_ranges(dataset: Dataset, others: Collection[str]) -> dict[str, Range]:
    """Ranges of the options that varied and are numbers; of vectors, as |spin|, of their length.

    Args:
        dataset: Its trajectories to train with are what is looked at, and what was drawn from.
        others: Names of numbers that are known in another way, such as elasticity.young.
    """
    known = {name.rpartition(".")[2] for name in others}
    found = {}
    for name, words in dataset.ranges.items():
        values = [case.options[name] for case in dataset.split("train")]
        if isinstance(values[0], tuple):
            found[f"|{name}|"] = (0.0, max(math.hypot(*v) for v in values))
        elif name not in known and all(isinstance(v, int | float) for v in values):
            found[name] = _range([*map(float, values), *map(float, ends(words))])
    return found


def _range(values: Sequence[float]) -> Range:
    return min(values), max(values)


@dataclass
class Reduction:
    """A data set on its way to an operator."""

    dataset: Dataset
    scene_of: Callable[[Mapping[str, Any]], Scene]
    """Builds the scene of a trajectory from its options."""
    shape: Architecture
    recipe: Recipe
    folder: RunFolder
    """Checkpoint and metrics."""
    seed: int = 0
    device: str = "cpu"
    threads: int = 2
    team: Team = field(default_factory=Team)
    tell: Tell = lambda metrics: None

    def __post_init__(self) -> None:
        """Find out what the operator will be for.

        Raises:
            ValueError: The data set has nothing to train or to validate with, too few frames,
                several laws, or a number of a law that varies down to 0.
        """
        for split in ("train", "validation"):
            if not self.dataset.split(split):
                raise ValueError(
                    f"{self.dataset.folder} has no trajectory of the split {split!r}: make a"
                    " larger data set"
                )
        least = max(self.shape.history + self.recipe.unroll, GIVEN)
        if self.dataset.frames < least:
            raise ValueError(
                f"the trajectories of {self.dataset.folder} have {self.dataset.frames} frames after"
                f" the first, expected {least} or more: make a data set of longer ones"
            )
        self.scenes = {c.number: self.scene_of(c.options) for c in self.dataset.cases}
        seen = [c for c in self.dataset.cases if c.split == "train"]
        scope = scope_of(self.dataset, [self.scenes[c.number] for c in seen], self._ends(seen[0]))
        solid = all(keeps_form(body.law) for c in seen for body in self.scenes[c.number].bodies)
        self.shape = replace(
            self.shape, code=len(scope.varied), wall_groups=len(scope.kinds),
            reference=self.shape.reference and solid,
        )  # fmt: skip
        self.operator = seeded(self.shape, scope, self.seed, sparse=self.recipe.sparse)
        self.operator.to(self.device)

    def _ends(self, case: Case) -> list[Scene]:
        """The scene of a trajectory with each option in turn at the ends of its range."""
        return [
            self.scene_of({**case.options, name: end})
            for name, words in self.dataset.ranges.items()
            for end in ends(words)
        ]

    def run(self) -> ReducedOperator:
        """Train, teach, judge."""
        recipe = self.recipe
        training = [
            found for c in self.dataset.split("train")
            for found in self.motions(c, recipe.counts())
        ]  # fmt: skip
        most = recipe.counts()[-1:]
        held = [m for c in self.dataset.split("validation") for m in self.motions(c, most)]
        stepper = self.operator.stepper
        set_scales(stepper, training)
        self.operator.errors["validation"] = Training(
            stepper, recipe, training, held, self.folder, seed=self.seed, threads=self.threads,
            team=self.team, tell=self.tell,
        ).run()  # fmt: skip
        taught = self.team.led(self._taught_correction)
        self.operator.correction.load_state_dict(taught)
        self.operator.errors |= self.team.led(lambda: self._judged(held))
        return self.operator

    def motions(self, case: Case, counts: Sequence[int]) -> Iterator[Motion]:
        """Sparse points of a trajectory, one set for each number of them."""
        scene = self.scenes[case.number]
        full, trajectory = self.particles(case), case.load()
        for k, count in enumerate(counts):
            yield motion(
                self.shape, self.operator.scope, scene, full, trajectory,
                min(count, trajectory.particles), seed=1000 * case.number + k,
            )  # fmt: skip

    def _taught_correction(self) -> dict[str, Tensor]:
        """Learn what interpolation alone misses, from the middle number of sparse points."""
        counts = self.recipe.counts()
        count = counts[len(counts) // 2]
        samples = [self._sample(c, count) for c in self.dataset.split("train")[:SAMPLES]]
        correction = self.operator.correction.to("cpu")
        teach(correction, samples, steps=LESSONS, seed=self.seed)
        held = [self._sample(c, count) for c in self.dataset.split("validation")]
        self.operator.errors["full order alone"] = _mean(map_error(correction, s) for s in held)
        correction.to(self.device)
        return {k: v.detach().cpu() for k, v in correction.state_dict().items()}

    def _sample(self, case: Case, count: int) -> Sample:
        """A few frames of a motion, and the sparse points in them."""
        full = self.particles(case)
        chosen = sparse_points(
            full, numbered(full.world, full.body), min(count, full.n // 2), seed=case.number
        )
        frames = torch.linspace(0, self.dataset.frames, INSTANTS + 1).long().tolist()
        with case.open() as reader:
            x = torch.stack([torch.from_numpy(reader.frame(k, ["x"])["x"]) for k in frames])
        return Sample.of(x[1:], chosen.cpu(), rest=x[0], body=full.body.cpu())

    def particles(self, case: Case) -> MPMModel:
        """The particles of a trajectory, as they were simulated."""
        scope = self.operator.scope
        solver = MPMSolver(
            scope.cell, case.dt, particles_per_cell=scope.particles_per_cell, device=self.device
        )
        return solver.discretize(self.scenes[case.number])

    def _judged(self, held: Sequence[Motion]) -> dict[str, float]:
        """Errors of whole roll-outs by name, of motions that were not trained on."""
        stepper = self.operator.stepper
        errors = {f"validation{NAIVE}": _mean(naive_error(m) for m in held)}
        for kind in (SEEN, UNSEEN):
            cases = [c for c in self.dataset.split("test") if c.geometry == kind]
            found = [m for c in cases for m in self.motions(c, self.recipe.counts()[-1:])]
            if found:
                errors[f"test {kind} geometry"] = _mean(error(stepper, m) for m in found)
                errors[f"test {kind} geometry{NAIVE}"] = _mean(naive_error(m) for m in found)
        return errors


def _mean(values: Iterator[float]) -> float:
    held = list(values)
    return sum(held) / len(held)
