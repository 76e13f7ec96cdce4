# SPDX-License-Identifier: Apache-2.0
"""What changes from step to step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor


@dataclass(frozen=True)
class State:
    """Everything a solver needs, beside its model, to take the next step."""

    step: int
    """Steps taken since the start."""
    time: float
    """Time since the start [s]."""
    x: Tensor
    """Positions [m], shape (n, 3)."""
    v: Tensor
    """Velocities [m/s], shape (n, 3)."""
    F: Tensor
    """Elastic deformation gradients [-], shape (n, 3, 3)."""
    internal: Tensor
    """History variables of the laws, shape (n, m)."""
    carry: Mapping[str, Tensor] = field(default_factory=dict)
    """What only this solver needs. MPM: C [1/s] and tau [Pa], shape (n, 3, 3) each."""

    def detach(self) -> State:
        """The same state, cut from the graph that computed it."""
        return replace(
            self,
            x=self.x.detach(),
            v=self.v.detach(),
            F=self.F.detach(),
            internal=self.internal.detach(),
            carry={name: value.detach() for name, value in self.carry.items()},
        )
