# SPDX-License-Identifier: Apache-2.0
"""Segment-parallel multiple shooting: training a law inside the simulation.

A motion is cut into segments; each restarts from a recorded or estimated state, and all of a
batch run side by side as worlds of one model. Bock and Plitt 1984 for the idea, Ma et al. 2023
(NCLaw) for the growing length of the segments. Several motions share each update.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from rheograd.materials.law import ConstitutiveLaw

from ..errors import GradientError, SimulationError
from ..observations.observation import Observation
from ..scene import Scene
from ..trajectory import Trajectory
from .held import Held
from .lesson import SHARDS, Lesson, Piece
from .recipe import Recipe
from .run_folder import RunFolder, Tell, load_optimizer, optimizer_tensors
from .team import Team
from .weights import install, taken, weights

REFRESHED = "refreshed."
"""Before the names of tensors in a checkpoint: the law by which hidden states were estimated."""
GOOD = "good."
"""Before the names of tensors in a checkpoint: the last law that ran, and its moments."""
RECOVERY = 1.02
"""Factor on a lowered learning rate after each update that worked, up to its schedule."""
MEMORY = 0.95
"""Of the running mean of gradient norms, an update."""
SAFE = 0.8
"""Share of the steps that a law survived which the next segments take."""
EXPLODED = 100.0
"""A gradient this many times as long as it usually is says nothing: the motion is chaotic there."""
SHARE = 0.2
"""Of the latest gradient in the geometric mean of their lengths."""
STRETCH = 1.15
"""Factor on shortened segments after each epoch, up to their schedule."""


def parts(law: ConstitutiveLaw) -> dict[str, list[nn.Parameter]]:
    """Parameters by learning rate: those of `law.plasticity`, and all others."""
    flow = getattr(law, "plasticity", None)
    flows = list(flow.parameters()) if isinstance(flow, nn.Module) else []
    known = {id(p) for p in flows}
    rest = [p for p in law.parameters() if id(p) not in known]
    return {"elasticity": rest, "plasticity": flows}


@dataclass
class Training:
    """A law, what it is fitted to, and where the fit stands."""

    lessons: Sequence[Lesson]
    law: ConstitutiveLaw
    """Of the models of all lessons."""
    recipe: Recipe
    folder: RunFolder
    seed: int = 0
    threads: int = 2
    team: Team = field(default_factory=Team)
    held: Held | None = None
    """Frames by which the law is chosen and the end is found; None takes the last law."""
    tell: Tell = lambda metrics: None
    predict: Callable[[], tuple[Scene, Trajectory, Observation, Any]] | None = None
    """Gives the leader's folder the motion by the law as it is; see `Predictions`."""

    def __post_init__(self) -> None:
        """Set the optimizer up and go back to the last checkpoint, if there is one."""
        groups = parts(self.law)
        rates = {
            "elasticity": self.recipe.rate_elasticity,
            "plasticity": self.recipe.rate_plasticity,
        }
        self.names = [name for name, group in groups.items() if group]
        self.base_rates = [rates[name] for name in self.names]
        self.optimizer = torch.optim.Adam(
            [{"params": groups[n], "lr": rates[n]} for n in self.names], lr=1e-3
        )
        self.parameters = list(self.law.parameters())
        self.epoch = 0
        self.update = 0
        self.share = 0.0
        self.slowdown = 1.0
        self.in_a_row = 0
        self.reach = math.inf
        self.proven = 0
        self.typical = self.typical_loss = 0.0
        self.notes: list[str] = []
        self.usual: dict[str, float] = {}
        self.good = self._snapshot()
        self.refreshed = weights(self.law)
        found = self.team.led(self.folder.load)
        if found is not None:
            tensors, counters = found
            self._restore(tensors, counters)
            # an update may still prove bad after the checkpoint, and is then undone as without it
            self.good = taken(tensors, GOOD)
            self._estimate_again(tensors)
            if self.held is not None:
                self.held.restore(tensors, counters)
            if self.team.leads:
                self.folder.rewind(self.epoch)

    def _restore(self, tensors: dict[str, Tensor], counters: dict[str, Any]) -> None:
        install(self.law, taken(tensors, "law."))
        load_optimizer(self.optimizer, tensors)
        self.epoch, self.update = counters["epoch"], counters["update"]
        self.slowdown, self.in_a_row = counters["slowdown"], counters["in_a_row"]
        self.reach = counters["reach"] or math.inf
        self.typical, self.proven = counters["typical"], counters["proven"]
        self.typical_loss = counters["typical_loss"]
        self.notes, self.usual = counters["notes"], dict(counters["usual"])

    def _estimate_again(self, tensors: dict[str, Tensor]) -> None:
        """The hidden states as they were estimated some epochs before the checkpoint."""
        if self.epoch % self.recipe.refresh == 0:
            return
        now = weights(self.law)
        self.refreshed = taken(tensors, REFRESHED)
        install(self.law, self.refreshed)
        for lesson in self.lessons:
            lesson.begin(self.epoch)
        install(self.law, now)

    def _snapshot(self) -> dict[str, Tensor]:
        law = {f"law.{n}": p for n, p in weights(self.law).items()}
        moments = {k: v.clone() for k, v in optimizer_tensors(self.optimizer).items()}
        return law | moments

    def _counters(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch, "update": self.update, "slowdown": self.slowdown,
            "in_a_row": self.in_a_row, "notes": self.notes, "usual": self.usual,
            "reach": self.reach if math.isfinite(self.reach) else None, "typical": self.typical,
            "proven": self.proven, "typical_loss": self.typical_loss,
        }  # fmt: skip

    def run(self) -> None:
        """Train to the last epoch, or until the law cannot be improved any more."""
        # on a GPU all would launch on the same stream
        on_gpu = any(lesson.on_gpu for lesson in self.lessons)
        workers = 1 if on_gpu else max(1, min(self.threads, SHARDS * len(self.lessons)))
        pool = ThreadPoolExecutor(workers)
        try:
            self._predict()
            while self.epoch < self.recipe.epochs and not self._patience_is_over():
                if self._run_epoch(pool):
                    break
                self._predict()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if self.held is not None and self.held.best:
            install(self.law, self.held.best)
            self.notes.append(
                f"the law after epoch {self.held.epoch} was taken, the best on the held-out"
                f" frames, which chose it: mean squared error {self.held.error:.3g} there"
            )
        self._predict(last=True)

    def _predict(self, *, last: bool = False) -> None:
        if self.predict is not None and self.team.leads:
            taken = self.held is not None and self.held.best and last
            epoch = self.held.epoch + 1 if self.held is not None and taken else self.epoch
            self.folder.predictions.offer(epoch, self.predict, last=last)

    def _patience_is_over(self) -> bool:
        if self.held is None or not self.held.exhausted(self.epoch):
            return False
        self.notes.append(
            f"ended after epoch {self.epoch - 1}: {self.held.patience} epochs brought no gain on"
            " the held-out frames"
        )
        return True

    def _run_epoch(self, pool: ThreadPoolExecutor) -> bool:
        """One pass over the motions; whether the fit ends here, before it is complete."""
        began = time.perf_counter()
        if self.epoch % self.recipe.refresh == 0:
            self.refreshed = weights(self.law)
        for lesson in self.lessons:
            lesson.begin(self.epoch)
        losses: list[float] = []
        norms: list[dict[str, float]] = []
        batches = self._batches(self._lengths())
        for number, starts in enumerate(batches):
            self.share = (self.epoch + number / len(batches)) / self.recipe.epochs
            try:
                loss, gradients = self._reachable(pool, starts)
            except (SimulationError, GradientError) as error:
                if self._reject(str(error)):
                    return True
                continue
            self.in_a_row = 0
            self.slowdown = min(1.0, RECOVERY * self.slowdown)
            self.good = self._snapshot()
            norms.append(self._step(gradients))
            losses.append(loss)
        length = max(self._lengths())
        self.reach *= STRETCH
        found = {}
        if self.held is not None:
            error = self.held.judge(self.law, self.epoch, self.team, pool)
            found["held_out"] = error if math.isfinite(error) else None
        self.epoch += 1
        self._finish_epoch(length, losses, norms, found, time.perf_counter() - began)
        return False

    def _lengths(self) -> list[int]:
        """Steps of a segment of each lesson now: as scheduled, or as many as the law survives."""
        return [lesson.length(self.recipe, self.epoch, self.reach) for lesson in self.lessons]

    def _reachable(
        self, pool: ThreadPoolExecutor, starts: Sequence[Sequence[int]]
    ) -> tuple[float, list[Tensor]]:
        """`_gradient` over segments as long as the law survives, at least `recipe.shortest`.

        A law half learned often runs well for a while and then blows up; what it does until then
        is worth learning from, and segments are shortened. Where the law before the last update
        came as far, that update is to blame, and is undone (`_reject`) unless one just was.

        Raises:
            SimulationError: The last update is to blame, or the segments would be too short.
            GradientError: Likewise.
        """
        while True:
            lengths = self._lengths()
            length = max(lengths)
            try:
                loss, gradients = self._gradient(pool, starts, lengths)
                self._check_length(length, loss, gradients)
                self.proven = length
                return loss, gradients
            except (SimulationError, GradientError) as error:
                step = getattr(error, "step", None)
                survived = SAFE * (length if step is None else step)
                to_blame = length <= self.proven and not self.in_a_row
                if to_blame or survived < min(self._shortest, length):
                    raise
                self.reach = survived
                exploded = isinstance(error, GradientError)
                what = "gradients exploded" if exploded else "then diverged"
                self.tell({"epoch": self.epoch, "note": (
                    f"epoch {self.epoch}: the law ran {step or length} steps, {what};"
                    f" segments shortened to {max(self._lengths())} steps"
                )})  # fmt: skip

    @property
    def _shortest(self) -> int:
        """Steps below which segments of some lesson tell nothing of the law."""
        return max(self.recipe.shortest, *(lesson.shortest for lesson in self.lessons))

    def _check_length(self, length: int, loss: float, gradients: Sequence[Tensor]) -> None:
        """Compare the gradient over long segments with the geometric mean of those before.

        It may grow as the loss does: where bodies meet for the first time both do.

        Raises:
            GradientError: It is `EXPLODED` times as long.
        """
        norm = math.sqrt(math.fsum(float(g.double().square().sum()) for g in gradients))
        long = length > self.recipe.shortest and self.typical > 0.0
        grown = max(1.0, loss / self.typical_loss) if self.typical_loss > 0.0 else 1.0
        if long and norm > EXPLODED * grown * self.typical:
            raise GradientError(
                f"the gradient is {norm / self.typical:.0e} times as long as it usually is: the"
                " motion is chaotic over so many steps; take shorter segments"
            )
        self.typical = _mean(self.typical, norm)
        self.typical_loss = _mean(self.typical_loss, loss)

    def _batches(self, lengths: Sequence[int]) -> list[list[list[int]]]:
        """Of each update, for each lesson, the steps at which segments start.

        Drawn from generators of the seed, the epoch and the lesson's number alone.
        """
        recipe = self.recipe
        counts = [math.ceil(k.last / n) for k, n in zip(self.lessons, lengths, strict=True)]
        if recipe.from_start:
            updates = max(recipe.least, min(max(counts), recipe.updates))
        else:
            updates = max(1, min(recipe.updates, sum(counts) // recipe.smallest))
        columns = []
        for number, (lesson, length) in enumerate(zip(self.lessons, lengths, strict=True)):
            seed = 1_000_003 * self.seed + self.epoch + 998_244_353 * number
            draw = torch.Generator().manual_seed(seed)
            columns.append(lesson.starts(length, updates, recipe, draw))
        return [list(row) for row in zip(*columns, strict=True)]

    def _gradient(
        self, pool: ThreadPoolExecutor, starts: Sequence[Sequence[int]], lengths: Sequence[int]
    ) -> tuple[float, list[Tensor]]:
        """Loss of a batch and its gradient with respect to the law's parameters.

        Args:
            pool: What does the jobs.
            starts: Of the segments of each lesson.
            lengths: Of the segments of each lesson.
        """
        batch = zip(self.lessons, starts, lengths, strict=True)
        jobs = [job for lesson, own, length in batch for job in lesson.jobs(own, length)]
        found: list[Piece] = self.team.share(jobs, pool)
        loss = math.fsum(piece.loss for piece in found)
        columns = zip(*(piece.gradients for piece in found), strict=True)
        return loss, [torch.stack(column).sum(0) for column in columns]

    def _step(self, gradients: Sequence[Tensor]) -> dict[str, float]:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        norms = {}
        factor = self.recipe.rate(self.share) * self.slowdown
        for name, group, rate in zip(
            self.names, self.optimizer.param_groups, self.base_rates, strict=True
        ):
            norms[name] = self._clip(name, group["params"])
            group["lr"] = rate * factor
        self.optimizer.step()
        self.update += 1
        return norms

    def _clip(self, name: str, parameters: Sequence[nn.Parameter]) -> float:
        """Bound the gradient of a part; its norm before."""
        recipe, mean = self.recipe, self.usual.get(name, 0.0)
        limit = math.inf if recipe.clip is None else recipe.clip
        if recipe.burst is not None and mean > 0.0:
            limit = min(limit, recipe.burst * mean)
        norm = float(nn.utils.clip_grad_norm_(parameters, limit))
        kept = min(norm, limit)
        self.usual[name] = kept if mean == 0.0 else MEMORY * mean + (1.0 - MEMORY) * kept
        return norm

    def _reject(self, why: str) -> bool:
        """Go back to the last law that ran, at half the rate; whether to end here."""
        self.slowdown *= 0.5
        self.in_a_row += 1
        self.update += 1
        self._restore(self.good, self._counters())
        cause = why.split(";", maxsplit=1)[0]
        self.notes.append(
            f"epoch {self.epoch}: an update made the simulation diverge ({cause}); undone,"
            f" learning rate now {self.slowdown:g} of its schedule"
        )
        self.tell({"epoch": self.epoch, "note": self.notes[-1]})
        if self.in_a_row >= self.recipe.rejections:
            self.notes.append(
                f"ended at epoch {self.epoch} after {self.in_a_row} failed updates in a row,"
                " with the last good law"
            )
            return True
        return False

    def _finish_epoch(
        self,
        length: int,
        losses: list[float],
        norms: list[dict[str, float]],
        found: dict[str, float | None],
        seconds: float,
    ) -> None:
        metrics: dict[str, Any] = {
            "epoch": self.epoch - 1,
            "loss": sum(losses) / len(losses) if losses else None,
            "segment": length,
            "rate": self.recipe.rate(self.share) * self.slowdown,
            "seconds": seconds,
        }
        for name in self.names:
            if norms:
                metrics[f"gradient_{name}"] = sum(n[name] for n in norms) / len(norms)
        metrics |= found
        tensors = self._snapshot()
        for prefix, values in ((GOOD, self.good), (REFRESHED, self.refreshed)):
            tensors |= {prefix + name: value for name, value in values.items()}
        counters = self._counters()
        if self.held is not None:
            tensors |= self.held.tensors()
            counters |= self.held.counters()
        if self.team.leads:
            self.folder.report_epoch(metrics)
            self.folder.save(tensors, counters)
        self.tell(metrics)


def _mean(before: float, now: float) -> float:
    """Geometric running mean of positive numbers."""
    if not now > 0.0:
        return before
    return before ** (1.0 - SHARE) * now**SHARE if before > 0.0 else now
