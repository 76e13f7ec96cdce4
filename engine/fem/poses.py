# SPDX-License-Identifier: Apache-2.0
"""Rigid pieces that move as prescribed."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Course(NamedTuple):
    """Poses of a rigid piece."""

    position: Tensor
    """At each step [m], shape (t, 3); the last one stays."""
    rotation: Tensor
    """Matrices, shape (t, 3, 3)."""
    dt: float
    """Between those [s]."""

    def at(self, time: float) -> tuple[Tensor, Tensor]:
        """Position (3,) and rotation matrix (3, 3) at a time [s], linear between steps."""
        last = len(self.position) - 1
        place = min(time / self.dt, float(last))
        low = min(int(place), max(last - 1, 0))
        high, part = min(low + 1, last), place - low
        position, rotation = (
            values[low] + part * (values[high] - values[low])
            for values in (self.position, self.rotation)
        )
        return position, rotation


def rotation_matrices(q: Tensor) -> Tensor:
    """Of unit quaternions x, y, z, w, shape (t, 4); shape (t, 3, 3)."""
    x, y, z, w = q.unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))
