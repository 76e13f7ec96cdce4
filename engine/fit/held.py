# SPDX-License-Identifier: Apache-2.0
"""Frames that are kept from a fit, and the law that was best on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SimulationError
from ..observations.observation import Observation
from .follow import moved
from .team import Team
from .weights import taken, weights

BEST = "best."
"""Before the names of tensors in a checkpoint: the law that was best on the held-out frames."""


@dataclass(frozen=True, eq=False)
class Tail:
    """Frames at the end of an observed motion."""

    solver: Any
    model: Any
    """One world, from rest, with the law that is fitted."""
    observation: Observation
    """Of the whole motion."""
    first: int
    """Number of the first frame that is kept from the fit."""

    @torch.no_grad()
    def squares(self) -> tuple[float, int]:
        """Sum of squared components of what a fit squares over its frames, and their number."""
        time = self.observation.time
        step = torch.round(time / self.model.dt).long()
        try:
            motion = moved(self.solver, self.model, time, step, None)
        except SimulationError:
            return math.inf, 1
        residual = self.observation.robust(motion)[self.first :]
        count = int(self.observation.seen()[self.first :].sum()) * residual.shape[-1]
        return float(residual.double().square().sum()), count


@dataclass
class Held:
    """The tails of all motions of a fit, and the best law so far."""

    tails: Sequence[Tail]
    patience: int
    """Epochs without gain after which a fit ends."""
    error: float = math.inf
    """Of the best law: mean squared residual component over all tails."""
    epoch: int = -1
    """After which it was."""
    best: dict[str, Tensor] = field(default_factory=dict)

    def judge(self, law: nn.Module, epoch: int, team: Team, pool: Executor | None) -> float:
        """The error of a law after an epoch; the law is kept if it is the best so far."""
        parts = team.share([tail.squares for tail in self.tails], pool)
        count = sum(part[1] for part in parts)
        error = math.fsum(part[0] for part in parts) / max(1, count)
        if error < self.error:
            self.error, self.epoch = error, epoch
            self.best = weights(law)
        return error

    def exhausted(self, epochs: int) -> bool:
        """Whether the patience is at its end after so many epochs."""
        return self.epoch >= 0 and epochs - 1 - self.epoch >= self.patience

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {BEST + name: value for name, value in self.best.items()}

    def counters(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"best_epoch": self.epoch, "best_error": self.error if self.best else None}

    def restore(self, tensors: dict[str, Tensor], counters: dict[str, Any]) -> None:
        """Undo `tensors` and `counters`."""
        self.best = taken(tensors, BEST)
        self.epoch = counters["best_epoch"]
        self.error = math.inf if counters["best_error"] is None else counters["best_error"]
