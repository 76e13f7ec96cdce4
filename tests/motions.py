# SPDX-License-Identifier: Apache-2.0
"""Motions with every kind of field, for the tests of files."""

from __future__ import annotations

from dataclasses import replace

import torch

from rheograd.engine.cells import KINDS, Cells
from rheograd.engine.trajectory import Trajectory

FIELDS: dict[str, int | tuple[int, ...]] = {"v": 3, "F": (3, 3), "J": 1}
CELL_FIELDS: dict[str, int | tuple[int, ...]] = {"stress": (3, 3), "damage": 1}


def moving(frames: int = 5, particles: int = 4) -> Trajectory:
    x = torch.rand(frames, particles, 3)
    return Trajectory(
        time=torch.arange(frames, dtype=torch.float64) / 100,
        x=x,
        step=5 * torch.arange(frames),
        v=torch.rand(frames, particles, 3),
        fields={"F": torch.rand(frames, particles, 3, 3), "J": torch.rand(frames, particles)},
        body=torch.arange(particles) // 2,
        metadata={"scene": "drop", "units": "SI"},
    )


def meshed(frames: int = 5, kind: str = "hex8", count: int = 2) -> Trajectory:
    """Cells of a kind that share a node with the next, and all that `moving` has."""
    width = KINDS[kind].nodes
    start = (width - 1) * torch.arange(count)
    return replace(
        moving(frames, count * (width - 1) + 1),
        cells=Cells(kind, start[:, None] + torch.randperm(width)),
        cell_fields={
            "stress": torch.rand(frames, count, 3, 3),
            "damage": torch.rand(frames, count),
        },
    )
