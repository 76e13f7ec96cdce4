# SPDX-License-Identifier: Apache-2.0
"""Segment-parallel multiple shooting: training a law inside the simulation.

The motion is cut into segments; each restarts from a recorded or estimated state, and all of a
batch run side by side as worlds of one model. Bock and Plitt 1984 for the idea, Ma et al. 2023
(NCLaw) for the growing length of the segments.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from rheograd.materials.law import ConstitutiveLaw

from ..errors import GradientError, SimulationError
from ..restarts import Restarts
from ..solver import Checkpoint, Solver
from .recipe import Recipe
from .run_folder import RunFolder, load_optimizer, optimizer_tensors

GOOD = "good."
"""Before the names of tensors in a checkpoint: the last law that ran, and its moments."""
SHARDS = 2
"""Parts of a batch that may run at the same time; fixed, so that results do not depend on cores."""

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

    solver: Solver
    model: Any
    """One world, from rest, with the law that is fitted."""
    law: ConstitutiveLaw
    x: Tensor
    """Observed positions [m], shape (f, n, 3)."""
    step: Tensor
    """Of the frames, shape (f,), int64, evenly spaced from 0."""
    restarts: Callable[[int], Restarts]
    """States at the frames, asked for anew at the start of each epoch (its number is given)."""
    recipe: Recipe
    folder: RunFolder
    seed: int = 0
    threads: int = 2
    tell: Callable[[dict[str, Any]], None] = lambda metrics: None

    def __post_init__(self) -> None:
        """Set the optimizer up and go back to the last checkpoint, if there is one."""
        self.every = int(self.step[1] - self.step[0])
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
        self.shards = [Shard(replace(self.solver)) for _ in range(SHARDS)]
        self.epoch = 0
        self.update = 0
        self.share = 0.0
        self.slowdown = 1.0
        self.in_a_row = 0
        self.reach = math.inf
        self.proven = 0
        self.typical = 0.0
        self.notes: list[str] = []
        self.usual: dict[str, float] = {}
        self.good = self._snapshot()
        found = self.folder.load()
        if found is not None:
            tensors, counters = found
            self._restore(tensors, counters)
            # an update may still prove bad after the checkpoint, and is then undone as without it
            self.good = {k.removeprefix(GOOD): v for k, v in tensors.items() if k.startswith(GOOD)}
            self.folder.rewind(self.epoch)

    def _restore(self, tensors: dict[str, Tensor], counters: dict[str, Any]) -> None:
        names = [n for n, _ in self.law.named_parameters()]
        with torch.no_grad():
            for name, parameter in zip(names, self.parameters, strict=True):
                parameter.copy_(tensors[f"law.{name}"])
        load_optimizer(self.optimizer, tensors)
        self.epoch, self.update = counters["epoch"], counters["update"]
        self.slowdown, self.in_a_row = counters["slowdown"], counters["in_a_row"]
        self.reach = counters["reach"] or math.inf
        self.typical, self.proven = counters["typical"], counters["proven"]
        self.notes, self.usual = counters["notes"], dict(counters["usual"])

    def _snapshot(self) -> dict[str, Tensor]:
        law = {f"law.{n}": p.detach().clone() for n, p in self.law.named_parameters()}
        moments = {k: v.clone() for k, v in optimizer_tensors(self.optimizer).items()}
        return law | moments

    def _counters(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch, "update": self.update, "slowdown": self.slowdown,
            "in_a_row": self.in_a_row, "notes": self.notes, "usual": self.usual,
            "reach": self.reach if math.isfinite(self.reach) else None, "typical": self.typical,
            "proven": self.proven,
        }  # fmt: skip

    def run(self) -> None:
        """Train to the last epoch, or until the law cannot be improved without diverging."""
        # on a GPU both would launch on the same stream
        workers = 1 if self.model.x0.is_cuda else max(1, min(self.threads, SHARDS))
        with ThreadPoolExecutor(workers) as pool:
            while self.epoch < self.recipe.epochs:
                began = time.perf_counter()
                restarts = self.restarts(self.epoch)
                losses: list[float] = []
                norms: list[dict[str, float]] = []
                batches = self._batches(self._length())
                for number, starts in enumerate(batches):
                    self.share = (self.epoch + number / len(batches)) / self.recipe.epochs
                    try:
                        loss, gradients = self._reachable(pool, restarts, starts)
                    except (SimulationError, GradientError) as error:
                        if self._reject(str(error)):
                            return
                        continue
                    self.in_a_row = 0
                    self.slowdown = min(1.0, RECOVERY * self.slowdown)
                    self.good = self._snapshot()
                    norms.append(self._step(gradients))
                    losses.append(loss)
                length = self._length()
                self.reach *= STRETCH
                self.epoch += 1
                self._finish_epoch(length, losses, norms, time.perf_counter() - began)

    def _length(self) -> int:
        """Steps of a segment now: as scheduled, or as many as the law survives."""
        wanted = self.recipe.length(self.epoch, self.every, int(self.step[-1]))
        if wanted <= self.reach:
            return wanted
        return max(self.every, int(self.reach) // self.every * self.every)

    def _reachable(
        self, pool: ThreadPoolExecutor, restarts: Restarts, starts: Sequence[int]
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
            length = self._length()
            try:
                loss, gradients = self._gradient(pool, restarts, starts, length)
                self._check_length(length, gradients)
                self.proven = length
                return loss, gradients
            except (SimulationError, GradientError) as error:
                step = getattr(error, "step", None)
                survived = SAFE * (length if step is None else step)
                to_blame = length <= self.proven and not self.in_a_row
                if to_blame or survived < min(self.recipe.shortest, length):
                    raise
                self.reach = survived
                exploded = isinstance(error, GradientError)
                what = "gradients exploded" if exploded else "then diverged"
                self.tell({"epoch": self.epoch, "note": (
                    f"epoch {self.epoch}: the law ran {step or length} steps, {what};"
                    f" segments shortened to {self._length()} steps"
                )})  # fmt: skip

    def _check_length(self, length: int, gradients: Sequence[Tensor]) -> None:
        """Compare the gradient over long segments with the geometric mean of those before.

        Raises:
            GradientError: It is `EXPLODED` times as long.
        """
        norm = math.sqrt(math.fsum(float(g.double().square().sum()) for g in gradients))
        long = length > self.recipe.shortest and self.typical > 0.0
        if long and norm > EXPLODED * self.typical:
            raise GradientError(
                f"the gradient is {norm / self.typical:.0e} times as long as it usually is: the"
                " motion is chaotic over so many steps; take shorter segments"
            )
        if norm > 0.0:
            new = norm**SHARE
            self.typical = self.typical ** (1.0 - SHARE) * new if self.typical > 0.0 else norm

    def _batches(self, length: int) -> list[list[int]]:
        """Steps at which the segments of each update start: all of the motion, evenly, once.

        Drawn from a generator of the seed and the epoch alone. One update an epoch takes the
        segments one after another from the start, as published; see also `Recipe.from_start`.
        """
        last = int(self.step[-1])
        count = math.ceil(last / length)
        if self.recipe.from_start:
            return [[0]] * min(count, self.recipe.updates)
        if self.recipe.updates == 1 or count == 1:
            return [[k * length for k in range(count)]]
        draw = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        updates = max(1, min(self.recipe.updates, count // self.recipe.smallest))
        size = math.ceil(count / updates)
        total = size * updates
        room = (last - length) // self.every + 1
        jitter = torch.rand(total, generator=draw, dtype=torch.float64)
        at = ((torch.arange(total) + jitter) / total * room).floor().long().clamp(max=room - 1)
        at[0] = 0
        order = torch.randperm(total, generator=draw)
        starts = (at[order] * self.every).tolist()
        return [starts[k : k + size] for k in range(0, total, size)]

    def _gradient(
        self, pool: ThreadPoolExecutor, restarts: Restarts, starts: Sequence[int], length: int
    ) -> tuple[float, list[Tensor]]:
        """Loss of a batch and its gradient with respect to the law's parameters."""
        pieces = [list(starts[k::SHARDS]) for k in range(SHARDS)]
        jobs = [
            pool.submit(self._shard_gradient, shard, restarts, piece, length)
            for shard, piece in zip(self.shards, pieces, strict=True)
            if piece
        ]
        failures = [job.exception() for job in jobs]
        for failure in failures:
            if failure is not None:
                raise failure
        results = [job.result() for job in jobs]
        loss = math.fsum(r[0] for r in results)
        gradients = [
            torch.stack(shards).sum(0) for shards in zip(*(r[1] for r in results), strict=True)
        ]
        return loss, gradients

    def _shard_gradient(
        self, shard: Shard, restarts: Restarts, starts: list[int], length: int
    ) -> tuple[float, list[Tensor]]:
        model = shard.model(self.model, starts, length)
        n, every = self.model.n, self.every
        frames = torch.tensor([s // every for s in starts])
        with torch.enable_grad():
            state = shard.solver.restart(model, restarts.at(frames))
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
            gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True,
                                            materialize_grads=True)  # fmt: skip
        return float(loss.detach()), list(gradients)

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
        self, length: int, losses: list[float], norms: list[dict[str, float]], seconds: float
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
        self.folder.report_epoch(metrics)
        good = {GOOD + name: value for name, value in self.good.items()}
        self.folder.save(self._snapshot() | good, self._counters())
        self.tell(metrics)
