# SPDX-License-Identifier: Apache-2.0
"""A trained reduced operator: its time step, its way to the full order, and what it is good for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch
from torch import nn

from .correction import Correction
from .judging import NAIVE
from .network import Architecture, TimeStepper
from .scope import Scope


class ReducedOperator(nn.Module):
    """What `rheograd reduce` writes and `ReducedSolver` runs.

    Args:
        shape: Sizes of the network.
        scope: What it was trained for.
        sparse: Sparse points of a world, from fewest to most, in training.
        errors: Of roll-outs that were held back, relative to the distance travelled, by name.
    """

    def __init__(
        self,
        shape: Architecture,
        scope: Scope,
        sparse: tuple[int, int],
        errors: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.scope, self.sparse = shape, scope, sparse
        self.errors = dict(errors or {})
        self.stepper = TimeStepper(shape)
        self.correction = Correction.quadratic()

    def save(self, path: str | Path) -> None:
        """Write a .safetensors file; see `files.save_operator`."""
        from .files import save_operator

        save_operator(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read one; see `files.load_operator`."""
        from .files import load_operator

        found = load_operator(path)
        assert isinstance(found, cls)
        return found

    @property
    def plain_errors(self) -> dict[str, float | None]:
        """Its errors as JSON takes them: None of a roll-out that diverged."""
        return {name: e if math.isfinite(e) else None for name, e in self.errors.items()}

    @property
    def doubt(self) -> str:
        """On which motions that it has not seen it is of no use, as a sentence; empty if on none.

        Nothing is learned where a constant acceleration is as near.
        """
        pairs = {
            name.removesuffix(NAIVE): naive
            for name, naive in self.errors.items() if name.endswith(NAIVE)
        }  # fmt: skip
        told = [
            f"{name} ({100 * self.errors[name]:.3g} % off, that is {100 * naive:.3g} % off)"
            for name, naive in pairs.items() if not self.errors.get(name, 0.0) < naive
        ]  # fmt: skip
        if not told:
            return ""
        return (
            f"the operator is no better than a constant acceleration on motions of"
            f" {' and '.join(told)}: train longer (--epochs) or on more motions, or simulate in"
            " full"
        )

    @property
    def parameters_count(self) -> int:
        """Numbers that were learned."""
        return sum(p.numel() for p in self.parameters())


def seeded(
    shape: Architecture, scope: Scope, seed: int, *, sparse: tuple[int, int]
) -> ReducedOperator:
    """An untrained operator, the same for the same seed; see the class."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ReducedOperator(shape, scope, sparse)
