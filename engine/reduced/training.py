# SPDX-License-Identifier: Apache-2.0
"""Training a time step on simulated motions.

Windows of a few frames are drawn from all motions, each seen in a random orientation; positions are
blurred by a random walk, as a roll-out's own errors will blur them, and the target is the frame
that undoes the blur of the velocity (Sanchez-Gonzalez et al. 2020). After each epoch whole motions
that are not trained on are rolled out, and the best operator by their error is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..fit.run_folder import RunFolder, load_optimizer, optimizer_tensors
from ..fit.team import Team
from .judging import error
from .motions import Motion, joined
from .network import Architecture, TimeStepper, without_net_force
from .stepping import advance

Tell = Callable[[Mapping[str, Any]], None]
BEST, MEAN = "best.", "mean."
"""Before the names of tensors in a checkpoint."""


@dataclass(frozen=True)
class Recipe:
    """How a time step is trained."""

    epochs: int = 20
    updates: int = 200
    """In an epoch."""
    batch: int = 2
    """Windows an update."""
    shards: int = 2
    """Pieces of a batch that threads or processes share."""
    rate: float = 1e-3
    """Of AdamW, at its highest; matrices are learned by Muon, at twice that."""
    warm: int = 50
    """Updates until then; afterwards it falls as a cosine."""
    noise: float = 0.3
    """Of the last velocity, in root mean squares of the acceleration."""
    rigid: float = 20.0
    """Weight of that part of an error which moves and turns a whole world: it stays for good, while
    waves die out."""
    quiet: float = 0.3
    """A window is drawn with a chance proportional to its acceleration, in root mean squares, plus
    this."""
    turned: bool = True
    """Whether each window is seen in a random orientation."""
    unroll: int = 1
    """Frames that a window is rolled out for."""
    sparse: tuple[int, int] = (300, 1000)
    """Fewest and most sparse points."""
    samplings: int = 3
    """Sets of sparse points of each motion, of numbers evenly between them in logarithm."""
    memory: float = 0.99
    """Of the running mean of the weights, which is what is kept, an update."""
    clip: float = 1.0
    """Largest norm of a gradient."""

    def counts(self) -> list[int]:
        """Sparse points of each sampling."""
        low, high = self.sparse
        n = max(self.samplings - 1, 1)
        return [round(low * (high / low) ** (k / n)) for k in range(self.samplings)]


SIZES: Mapping[str, tuple[Architecture, Recipe]] = {
    "tiny": (
        Architecture(width=16, tokens=16, grid=4, blocks=1, heads=2, neighbours=8),
        Recipe(epochs=2, updates=10, sparse=(60, 100), samplings=2),
    ),
    "small": (Architecture(), Recipe()),
    "dense": (Architecture(before=10, after=0, grid=0), Recipe()),
    "published": (
        Architecture(width=128, tokens=256, grid=16, blocks=2, heads=4, neighbours=32),
        Recipe(
            epochs=200, updates=1000, batch=8, shards=8, rate=5e-4, sparse=(500, 4000), samplings=6,
            memory=0.999,
        ),
    ),
}  # fmt: skip
"""Small learns something useful in ten minutes of two cores; dense is message passing alone, to
compare it with; published has the sizes of GIOROM and is for a GPU; tiny is for tests."""


def set_scales(stepper: TimeStepper, motions: Sequence[Motion]) -> None:
    """Take the units of the network from the motions that it is taught.

    Raises:
        ValueError: Nothing but weight acts in them.
    """
    squares = torch.zeros(2, dtype=torch.float64)
    for m in motions:
        v = m.x[1:] - m.x[:-1]
        a = v[1:] - v[:-1] - m.points.gravity
        squares += torch.stack([v.square().mean(), a.square().mean()]).double().cpu()
    velocity, acceleration = (squares / len(motions)).sqrt().tolist()
    if not acceleration > 0.0:
        raise ValueError("the motions are free falls: there is nothing to learn from them")
    stepper.velocity.fill_(velocity)
    stepper.acceleration.fill_(acceleration)
    spacings = torch.stack([m.points.spacing.mean().log() for m in motions])
    stepper.spacing.fill_(float(spacings.mean().exp()))


def random_walk(history: int, n: int, size: float, generator: torch.Generator) -> Tensor:
    """Blur of positions whose last velocity is off by `size`, shape (history + 1, n, 3)."""
    steps = torch.randn(history, n, 3, generator=generator) * (size / math.sqrt(history))
    return torch.cat([torch.zeros(1, n, 3), steps.cumsum(0).cumsum(0)])


def window_loss(
    stepper: TimeStepper, motion: Motion, recipe: Recipe, generator: torch.Generator
) -> Tensor:
    """Mean square error of the frames of a window after its first ones, as accelerations.

    Args:
        stepper: What is taught.
        motion: A window of history + 1 frames and those to be met.
        recipe: Says how much blur, and what weighs how much.
        generator: Of the blur and the orientation.
    """
    p = motion.points
    h = stepper.shape.history
    scale = stepper.acceleration
    recent, blur = motion.x[: h + 1], motion.x.new_zeros(())
    if recipe.noise > 0.0:
        walk = random_walk(h, recent.shape[1], recipe.noise, generator).to(recent) * scale
        recent, blur = recent + walk, walk[-1]
    spun = motion.spins(generator) if recipe.turned else None
    total = motion.x.new_zeros(())
    frames = motion.x[h + 1 :]
    for number, target in enumerate(frames, 1):
        x = advance(stepper, p, motion.graph, recent, spun=spun)
        off = (x - target - blur) / scale
        rigid = off - without_net_force(off, target, p.mass, p.world, p.worlds)
        loss = off.square().mean() + recipe.rigid * rigid.square().mean()
        total = total + loss / number**2
        recent = torch.cat([recent[1:], x[None]])
    return total / len(frames)


def chances(stepper: TimeStepper, motion: Motion, recipe: Recipe) -> Tensor:
    """Of each window of a motion to be drawn, unnormalized: impacts are short and matter most."""
    v = motion.x[1:] - motion.x[:-1]
    a = (v[1:] - v[:-1] - motion.points.gravity).square().mean((1, 2)).sqrt()
    first = stepper.shape.history - 1
    last = len(a) - recipe.unroll + 1
    return (a[first:last] / stepper.acceleration + recipe.quiet).cpu()


def optimizers(stepper: TimeStepper, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for matrices but those of the answer, AdamW for all else.

    Jordan et al. 2024, "Muon"; Liu et al. 2025 for rates that suit both.
    """
    answer = {id(p) for p in stepper.out[-1].parameters()}
    matrices = [p for p in stepper.parameters() if p.ndim == 2 and id(p) not in answer]
    chosen = {id(p) for p in matrices}
    others = [p for p in stepper.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(
            matrices, lr=2.0 * rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, lr=rate, weight_decay=1e-4),
    ]  # fmt: skip


@dataclass
class Training:
    """A time step, what it is taught, and where that stands."""

    stepper: TimeStepper
    recipe: Recipe
    motions: Sequence[Motion]
    """To learn from."""
    held: Sequence[Motion]
    """To validate with."""
    folder: RunFolder
    seed: int = 0
    threads: int = 2
    team: Team = field(default_factory=Team)
    tell: Tell = lambda metrics: None

    def __post_init__(self) -> None:
        """Set the optimizers up, and go back to the last checkpoint if there is one."""
        self.parameters = list(self.stepper.parameters())
        self.optimizers = optimizers(self.stepper, self.recipe.rate)
        self.rates = [[g["lr"] for g in o.param_groups] for o in self.optimizers]
        self.chances = [chances(self.stepper, m, self.recipe) for m in self.motions]
        self.epoch, self.error = 0, math.inf
        self.mean = self._weights()
        self.best = self._weights()
        found = self.team.led(self.folder.load)
        if found is not None:
            self._restore(*found)

    def _weights(self) -> dict[str, Tensor]:
        return {k: v.detach().clone() for k, v in self.stepper.state_dict().items()}

    def _restore(self, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> None:
        def those(prefix: str) -> dict[str, Tensor]:
            own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            return {k: v.to(self.mean[k]) for k, v in own.items()}

        self.mean, self.best = those(MEAN), those(BEST)
        self.stepper.load_state_dict(those("now."))
        for k, optimizer in enumerate(self.optimizers):
            own = {n.removeprefix(f"{k}."): t for n, t in tensors.items() if n.startswith(f"{k}.")}
            load_optimizer(optimizer, own)
        self.epoch, self.error = counters["epoch"], counters["error"]
        self.error = math.inf if self.error is None else self.error
        if self.team.leads:
            self.folder.rewind(self.epoch)

    def run(self) -> float:
        """Train to the last epoch; the stepper then is the best one. Its validation error."""
        workers = 1 if self.motions[0].x.is_cuda else max(1, self.threads)
        with ThreadPoolExecutor(workers) as pool:
            while self.epoch < self.recipe.epochs:
                self._run_epoch(pool)
        self.stepper.load_state_dict(self.best)
        return self.error

    def _run_epoch(self, pool: ThreadPoolExecutor) -> None:
        losses = [self._update(pool, k) for k in range(self.recipe.updates)]
        now = self._weights()
        self.stepper.load_state_dict(self.mean)
        errors = self.team.share([partial(error, self.stepper, m) for m in self.held], pool)
        self.stepper.load_state_dict(now)
        found = sum(errors) / len(errors)
        if found < self.error or not math.isfinite(self.error):
            self.error, self.best = found, {k: v.clone() for k, v in self.mean.items()}
        metrics = {
            "epoch": self.epoch, "loss": float(torch.stack(losses).mean()),
            "validation": found if math.isfinite(found) else None,
        }  # fmt: skip
        self.epoch += 1
        if self.team.leads:
            self.folder.report_epoch(metrics)
            self._save(now)
        self.tell(metrics)

    def _save(self, now: Mapping[str, Tensor]) -> None:
        tensors = {
            **{f"now.{k}": v for k, v in now.items()},
            **{f"{MEAN}{k}": v for k, v in self.mean.items()},
            **{f"{BEST}{k}": v for k, v in self.best.items()},
            **{
                f"{k}.{name}": t
                for k, optimizer in enumerate(self.optimizers)
                for name, t in optimizer_tensors(optimizer).items()
            },
        }
        error = self.error if math.isfinite(self.error) else None
        self.folder.save(tensors, {"epoch": self.epoch, "error": error})

    def _update(self, pool: ThreadPoolExecutor, number: int) -> Tensor:
        """One step of the optimizer; the loss before it, shape (), for which no host waits."""
        r = self.recipe
        count = self.epoch * r.updates + number
        jobs = [partial(self._piece, count, shard) for shard in range(r.shards)]
        pieces = self.team.share(jobs, pool)
        with torch.no_grad():
            for k, p in enumerate(self.parameters):
                p.grad = torch.stack([piece[1][k] for piece in pieces]).mean(0)
        nn.utils.clip_grad_norm_(self.parameters, r.clip)
        share = count / (r.epochs * r.updates)
        rate = min(1.0, (count + 1) / r.warm) * (0.505 + 0.495 * math.cos(math.pi * share))
        for optimizer, highest in zip(self.optimizers, self.rates, strict=True):
            for group, most in zip(optimizer.param_groups, highest, strict=True):
                group["lr"] = most * rate
            optimizer.step()
        memory = min(r.memory, (count + 1) / (count + 10))
        with torch.no_grad():
            for name, value in self.stepper.state_dict().items():
                self.mean[name].lerp_(value, 1.0 - memory)
        return torch.stack([piece[0] for piece in pieces]).mean()

    def _piece(self, count: int, shard: int) -> tuple[Tensor, list[Tensor]]:
        """Loss and gradient of a share of a batch."""
        r, h = self.recipe, self.stepper.shape.history
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + count) * 64 + shard)
        windows = []
        for _ in range(max(1, r.batch // r.shards)):
            number = int(torch.randint(len(self.motions), (), generator=generator))
            m = self.motions[number]
            first = int(torch.multinomial(self.chances[number], 1, generator=generator))
            windows.append(m.window(first, h + 1 + r.unroll))
        loss = window_loss(self.stepper, joined(windows), r, generator)
        return loss.detach(), list(torch.autograd.grad(loss, self.parameters))
