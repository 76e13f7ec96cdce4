# SPDX-License-Identifier: Apache-2.0
"""A motion with every kind of field, for the tests of files."""

from __future__ import annotations

import torch

from rheograd.engine.trajectory import Trajectory

FIELDS: dict[str, int | tuple[int, ...]] = {"v": 3, "F": (3, 3), "J": 1}


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
