# SPDX-License-Identifier: Apache-2.0
"""What a law learns from one observed motion: losses of stretches of it, and their gradients.

Positions of all particles are learned from in segments: each restarts from a recorded or estimated
state, or starts with the motion, and all of a batch run side by side as worlds of one model. Any
other observation does not tell the states in between, and is learned from the start of the motion.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import SimulationError
from ..observations.observation import Observation
from ..restarts import Restarts
from ..solver import Checkpoint, Solver
from .follow import moved
from .recipe import Recipe

SHARDS = 2
"""Parts of a batch that may run at the same time; fixed, so that results do not depend on cores."""
TELLING = 3.0
"""From how many standard deviations on a difference says something about the law."""
SILENT = 3e-5
"""Frames in which a law is off by less than this share of its largest error tell nothing."""
CENTIMETRE = 1e-2
"""Positions that do not state their noise count as if they were known so well [m]."""


class Piece(NamedTuple):
    """What one part of a batch gives."""

    loss: float
    gradients: list[Tensor]
    """With respect to the parameters of the law, in their order."""


Job = Callable[[], Piece]


class Lesson(ABC):
    """One observed motion, and the model of its scene with the law that is fitted."""

    last: int
    """Steps of the motion."""
    on_gpu: bool = False
    """Whether its simulations run there."""
    shortest: int = 0
    """Steps below which a stretch from the start tells nothing of the law."""

    def begin(self, epoch: int) -> None:  # noqa: B027 (most have nothing to prepare)
        """Prepare an epoch."""

    @abstractmethod
    def length(self, recipe: Recipe, epoch: int, reach: float) -> int:
        """Steps of a stretch in an epoch, given how many the law survives."""

    @abstractmethod
    def starts(
        self, length: int, updates: int, recipe: Recipe, draw: torch.Generator
    ) -> list[list[int]]:
        """Steps at which the stretches of each update start."""

    @abstractmethod
    def jobs(self, starts: Sequence[int], length: int) -> list[Job]:
        """Stretches in parts that may run at the same time; losses and gradients add up."""


@dataclass
class Shard:
    """What one part of the batches runs on: a solver with scratch memory of its own."""

    solver: Solver
    models: dict[tuple[int, int], Any] = field(default_factory=dict)

    def model(self, base: Any, starts: Sequence[int], length: int) -> Any:
        """The segments as worlds; kept where the clock makes no difference."""
        key = (len(starts), length)
        if not self.solver.timeless(base):
            return self.solver.segments(base, starts, length)
        if key not in self.models:
            self.models = {k: m for k, m in self.models.items() if k[1] == length}
            self.models[key] = self.solver.segments(base, starts, length)
        return self.models[key]


@dataclass
class PositionLesson(Lesson):
    """Positions of all particles at evenly spaced frames, learned from in segments."""

    solver: Solver
    model: Any
    """One world, from rest, with the law that is fitted."""
    parameters: Sequence[nn.Parameter]
    """Of the law."""
    x: Tensor
    """Observed positions [m], shape (f, n, 3)."""
    step: Tensor
    """Of the frames, shape (f,), int64, evenly spaced from 0."""
    restarts: Callable[[int], Restarts]
    """States at the frames, asked for anew at the start of each epoch (its number is given)."""
    noise: float | None = None
    """Standard deviation of a coordinate [m]; None takes a centimetre."""
    from_start: bool = False
    """Whether all stretches start with the motion."""

    def __post_init__(self) -> None:
        """Make room for the parts."""
        self.every = int(self.step[1] - self.step[0])
        self.last, self.on_gpu = int(self.step[-1]), self.model.x0.is_cuda
        self.shards = [Shard(replace(self.solver)) for _ in range(SHARDS)]
        self.known: Restarts
        self.shortest = 0
        if self.from_start:
            self.shortest = self._telling()

    @torch.no_grad()
    def _telling(self) -> int:
        """Step of the first frame that tells something of the law: free flight does not.

        0 where the law cannot run so far.
        """
        try:
            time = self.step.double() * self.model.dt
            motion = moved(self.solver, self.model, time, self.step, None)
        except SimulationError:
            return 0
        off = (motion.x - self.x).double().square().mean((1, 2)).sqrt()
        told = torch.nonzero(off > SILENT * off.max()).flatten()
        return int(self.step[told[0]]) if len(told) else 0

    def begin(self, epoch: int) -> None:
        """See `Lesson.begin`: the states at which segments restart."""
        self.known = self.restarts(epoch)

    def length(self, recipe: Recipe, epoch: int, reach: float) -> int:
        """See `Lesson.length`; a multiple of the steps between frames."""
        recipe = replace(recipe, shortest=max(recipe.shortest, self.shortest))
        wanted = recipe.length(epoch, self.every, self.last)
        if wanted <= reach:
            return wanted
        return max(self.every, int(reach) // self.every * self.every)

    def starts(
        self, length: int, updates: int, recipe: Recipe, draw: torch.Generator
    ) -> list[list[int]]:
        """See `Lesson.starts`: all of the motion, evenly, once.

        One update an epoch takes the segments one after another from the start, as published; see
        also `Recipe.from_start`.
        """
        count = math.ceil(self.last / length)
        if recipe.from_start or count == 1:
            return [[0]] * updates
        if recipe.updates == 1:
            return [[k * length for k in range(count)]]
        size = math.ceil(count / updates)
        total = size * updates
        room = (self.last - length) // self.every + 1
        jitter = torch.rand(total, generator=draw, dtype=torch.float64)
        at = ((torch.arange(total) + jitter) / total * room).floor().long().clamp(max=room - 1)
        at[0] = 0
        order = torch.randperm(total, generator=draw)
        starts = (at[order] * self.every).tolist()
        return [starts[k : k + size] for k in range(0, total, size)]

    def jobs(self, starts: Sequence[int], length: int) -> list[Job]:
        """See `Lesson.jobs`."""
        pieces = [list(starts[k::SHARDS]) for k in range(SHARDS)]
        return [
            partial(self._piece, shard, piece, length)
            for shard, piece in zip(self.shards, pieces, strict=True)
            if piece
        ]

    def _piece(self, shard: Shard, starts: list[int], length: int) -> Piece:
        model = shard.model(self.model, starts, length)
        n, every = self.model.n, self.every
        frames = torch.tensor([s // every for s in starts])
        with torch.enable_grad():
            state = shard.solver.restart(model, self.known.at(frames))
            offsets = torch.arange(every, length + 1, every)
            out = shard.solver.rollout(
                model, state, length, observe=offsets.tolist(), adjoint=Checkpoint(length)
            )
            # frame f of segment w is observed frame (start_w + offset_f) / every, if there is one
            wanted = frames[None] + (offsets // every)[:, None]
            inside = (wanted < len(self.x)).to(out.x)
            seen = self.x[wanted.clamp(max=len(self.x) - 1)]
            gap = out.x.reshape(len(offsets), len(starts), n, 3) - seen
            errors = gap.square().mean((2, 3)) * inside
            # as published: mean squared error a step, times 1e4 / steps a segment, over all steps
            loss = errors.sum() * every * 1e4 / length
            if self.noise is not None:
                loss = loss * (CENTIMETRE / self.noise) ** 2
            return differentiated(loss, self.parameters)


@dataclass
class SightLesson(Lesson):
    """Anything else that was seen of a motion, learned from its start on, over ever more frames.

    The first epochs take as many frames as it needs for the law as it is now to be off by more than
    the noise: a body in flight says nothing about its material. The loss is the mean squared
    residual component, in standard deviations where the observation states its noise, else in those
    of the law as it is now.
    """

    solver: Solver
    model: Any
    """One world, from rest, with the law that is fitted."""
    parameters: Sequence[nn.Parameter]
    """Of the law."""
    observation: Observation

    def __post_init__(self) -> None:
        """Find the fewest frames that can be compared."""
        self.step = torch.round(self.observation.time / self.model.dt).long()
        self.last, self.on_gpu = int(self.step[-1]), self.model.x0.is_cuda
        self.fewest = fewest_frames(self.observation)
        self.window: tuple[int, Observation] = (len(self.step), self.observation)
        noise = self.observation.noise
        self.shortest, usual = self._telling(noise or 0.0)
        self.scale = noise or usual

    @torch.no_grad()
    def _telling(self, noise: float) -> tuple[int, float]:
        """Step of the first frame in which the law is off by more than the noise; how far in all.

        0 and 1 where the law cannot run so far.
        """
        try:
            motion = moved(self.solver, self.model, self.observation.time, self.step, None)
        except SimulationError:
            return 0, 1.0
        squares = self.observation.robust(motion).double().square().sum((1, 2)).cpu()
        count = self.observation.seen().sum(1).cpu() * self.observation.components
        off = torch.nonzero(squares > (TELLING * noise) ** 2 * count).flatten()
        usual = float((squares.sum() / count.sum()).sqrt())
        return (int(self.step[off[0]]) if len(off) else 0), usual or 1.0

    def length(self, recipe: Recipe, epoch: int, reach: float) -> int:
        """See `Lesson.length`; the step of a frame."""
        recipe = replace(recipe, shortest=max(recipe.shortest, self.shortest))
        wanted = min(recipe.length(epoch, 1, self.last), reach)
        count = int((self.step <= wanted).sum())
        return int(self.step[max(count, self.fewest) - 1])

    def starts(
        self, length: int, updates: int, recipe: Recipe, draw: torch.Generator
    ) -> list[list[int]]:
        """See `Lesson.starts`: always the start."""
        return [[0]] * updates

    def jobs(self, starts: Sequence[int], length: int) -> list[Job]:
        """See `Lesson.jobs`: one."""
        return [partial(self._piece, length)]

    def _piece(self, length: int) -> Piece:
        count = int((self.step <= length).sum())
        if self.window[0] != count:
            self.window = (count, self.observation.window(0, count))
        view = self.window[1]
        with torch.enable_grad():
            motion = moved(self.solver, self.model, view.time, self.step[:count], Checkpoint())
            return differentiated(view.misfit(motion) / self.scale**2, self.parameters)


def fewest_frames(observation: Observation) -> int:
    """Of the first frames of an observation the fewest that are one by themselves.

    Raises:
        ValueError: There are none.
    """
    for count in range(2, len(observation.time)):
        try:
            observation.window(0, count)
            return count
        except ValueError:  # of several cameras none has two frames yet
            continue
    return len(observation.time)


def differentiated(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Piece:
    """A loss and its gradient."""
    gradients = torch.autograd.grad(
        loss, list(parameters), allow_unused=True, materialize_grads=True
    )
    return Piece(float(loss.detach()), list(gradients))
