# SPDX-License-Identifier: Apache-2.0
"""A measured force on a held or moved part of a body, against time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..tables import read_table
from ..trajectory import Trajectory
from .observation import Observation


@dataclass(frozen=True, eq=False)
class ForceCurve(Observation):
    """The sum of reactions on some nodes, as a testing machine measures it.

    Raises:
        ValueError: Times and forces do not go together, or no node is chosen.
    """

    times: Tensor
    """In the simulation [s], or shares of the load of a static run, shape (t,), float64."""
    force: Tensor
    """Measured along `axis` [N], shape (t,); NaN where it was not."""
    nodes: Tensor
    """Numbers of the nodes that are held or moved, shape (k,), int64."""
    axis: Tensor
    """Direction of the force that holds the part, of length 1, shape (3,)."""
    noise: float | None = None
    """Standard deviation of the force [N]."""
    unit: ClassVar[str] = "N"
    components: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """See the class."""
        if self.times.shape != self.force.shape or len(self.times) < 2:
            raise ValueError(
                f"got {len(self.times)} times and {len(self.force)} forces, expected as many, two"
                " or more"
            )
        if not bool(torch.isfinite(self.force).any()):
            raise ValueError("no force of the curve is a number")
        if not len(self.nodes):
            raise ValueError("no node is where the force was measured: choose another part")

    @classmethod
    def bind(
        cls,
        times: Tensor,
        force: Tensor,
        rest: Tensor,
        on: Callable[[Tensor], Tensor],
        *,
        axis: tuple[float, float, float],
        noise: float | None = None,
    ) -> ForceCurve:
        """Choose the nodes by their places at rest.

        Args:
            times: Shape (t,) [s].
            force: Shape (t,) [N].
            rest: Nodes at rest [m], shape (n, 3).
            on: Which of the places (n, 3) belong to the part, (n,), bool.
            axis: Direction of the force that holds the part.
            noise: Standard deviation of the force [N].
        """
        direction = torch.tensor(axis, dtype=torch.float64)
        nodes = torch.nonzero(on(rest.detach().cpu().double())).flatten()
        return cls(times.double(), force.double(), nodes, direction / direction.norm(), noise)

    def window(self, start: int, stop: int) -> ForceCurve:
        """See `Observation.window`."""
        return replace(self, times=self.times[start:stop], force=self.force[start:stop])

    @property
    def time(self) -> Tensor:
        """See `Observation.time`."""
        return self.times

    def seen(self) -> Tensor:
        """See `Observation.seen`, shape (t, 1)."""
        return torch.isfinite(self.force)[:, None]

    def predicted(self, trajectory: Trajectory) -> Tensor:
        """The force in a simulation [N], shape (t,); differentiable."""
        reaction = trajectory.fields.get("reaction")
        if reaction is None:
            raise ValueError(
                "the simulated motion has no reactions, expected one of finite elements: fit with"
                " an FESolver"
            )
        return reaction[:, self.nodes.to(reaction.device)].sum(1) @ self.axis.to(reaction)

    def residual(self, trajectory: Trajectory) -> Tensor:
        """See `Observation.residual`; [N], shape (t, 1, 1)."""
        if len(trajectory) != len(self.times):
            raise ValueError(
                f"the simulated motion has {len(trajectory)} frames, the curve {len(self.times)}:"
                " simulate at its times"
            )
        predicted = self.predicted(trajectory)
        known = torch.isfinite(self.force).to(predicted.device)
        measured = torch.where(known, self.force.to(predicted), 0.0)
        return torch.where(known, predicted - measured, 0.0)[:, None, None]


def read_curve(path: str | Path, *, columns: tuple[str, str] = ("time", "force")) -> np.ndarray:
    """Two columns of a .csv file with a line of names, shape (t, 2).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, or something is not a number.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no curve {path}: check the path")
    return read_table(path, columns, gaps=True)
