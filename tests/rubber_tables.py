# SPDX-License-Identifier: Apache-2.0
"""Tables of stress tests as a user has them, of a rubber that is known."""

from __future__ import annotations

from pathlib import Path

import torch

from rheograd.engine.material_point import drive
from rheograd.engine.observations.stress_test import FREE, deformation
from rheograd.materials.law import ConstitutiveLaw


def written(path: Path, law: ConstitutiveLaw, points: int) -> Path:
    """A .csv of three loadings up to a stretch of 3, each of some points, rounded to 100 Pa."""
    lines = ["stretch,stress [MPa],loading"]
    stretch = torch.linspace(1.0, 3.0, points, dtype=torch.float64)
    for kind in ("UT", "ET", "PS"):
        with torch.no_grad():
            P = drive(law, deformation(kind, stretch), FREE[kind]).P
        rows = zip(stretch.tolist(), P[:, 0, 0].tolist(), strict=True)
        lines += [f"{s:.4f},{p / 1e6:.4f},{kind}" for s, p in rows]
    path.write_text("\n".join(lines) + "\n")
    return path
