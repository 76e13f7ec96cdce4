# SPDX-License-Identifier: Apache-2.0
"""States at which a fit may restart a motion: recorded ones, or ones estimated from positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .state import State

if TYPE_CHECKING:
    from .solver import Solver

Estimate = Callable[[Any], "Restarts"]
"""From a model, with the law as it is now, to states at the observed frames."""


@dataclass(frozen=True)
class Restarts:
    """States at the observed frames."""

    step: Tensor
    """Of each frame, shape (f,), int64."""
    x: Tensor
    """[m], shape (f, n, 3)."""
    v: Tensor
    """[m/s], shape (f, n, 3)."""
    F: Tensor
    """Elastic, of each material point, shape (f, p, 3, 3)."""
    internal: Tensor
    """Shape (f, p, m)."""
    carry: Mapping[str, Tensor] = field(default_factory=dict)
    """What only this solver needs, shape (f, ...)."""

    def at(self, frames: Tensor) -> State:
        """The states at some frames as one, world after world; its clock starts at 0."""
        x, v, F, internal = (
            values[frames].flatten(0, 1) for values in (self.x, self.v, self.F, self.internal)
        )
        carry = {name: values[frames].flatten(0, 1) for name, values in self.carry.items()}
        return State(0, 0.0, x, v, F, internal, carry)


@torch.no_grad()
def recorded(solver: Solver, model: Any, step: Tensor) -> Restarts:
    """States of a run of `model` at the given steps: what no camera sees, for comparison.

    Args:
        solver: Of the model.
        model: With the true laws.
        step: Increasing, from 0, shape (f,).
    """
    state = solver.start(model)
    taken = [state]
    for before, after in zip(step[:-1].tolist(), step[1:].tolist(), strict=True):
        state = solver.rollout(model, state, after - before).last
        taken.append(state)

    def all_of(name: str) -> Tensor:
        return torch.stack([getattr(s, name) for s in taken])

    carry = {name: torch.stack([s.carry[name] for s in taken]) for name in solver.restarted}
    return Restarts(step, all_of("x"), all_of("v"), all_of("F"), all_of("internal"), carry)
