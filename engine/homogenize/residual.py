# SPDX-License-Identifier: Apache-2.0
"""How far a learned cell is off, told without solving it.

The modes of strain and those of stress are learned apart. Stresses of the phases' laws at the
strains of the modes, less the stresses of the modes, are the constitutive residual: zero for a cell
that is in balance and obeys its laws, since any stress of the modes is in balance and any strain of
them periodic (Eivazi et al. 2025, "EquiNO", whose training makes it small).
"""

from __future__ import annotations

import torch
from torch import Tensor

from rheograd.materials.homogenized.equino import EquiNO

from .cell import Cell
from .layout import layout
from .load_space import LoadSpace

SOME = 200
"""Points of a cell that stand for all."""
REST = 1e-6
"""Stress, by the law's unit, below which a cell is at rest and its residual nothing to divide."""


class ConstitutiveResidual:
    """Of a learned law and its cell.

    Args:
        law: The learned law.
        cell: What it was learned of; its phases have no memory.
        count: Points that are looked at, drawn by their volume; None: all.
    """

    def __init__(self, law: EquiNO, cell: Cell, count: int | None = SOME) -> None:
        self.law = law
        self.space = LoadSpace(law.lower, law.upper, law.small)
        points = layout(cell, law.nodes.new_zeros(())).points
        index, weight = torch.arange(len(points), device=points.weight.device), points.weight
        if count is not None and count < len(points):
            drawn = torch.Generator().manual_seed(0)
            index = torch.multinomial(weight.cpu(), count, generator=drawn).to(index)
            weight = torch.full_like(weight[index], 1.0 / count)
        self.points = points.pick(index, weight)
        self.strain, self.stress = law.strain_modes[index], law.stress_modes[index]

    @torch.no_grad()
    def __call__(self, z: Tensor) -> Tensor:
        """Norm of the residual by that of the stress, shape (k,), of mean strains (k, d)."""
        a, b = self.law.mode_coefficients(z)
        strain = torch.einsum("kr,pcr->kpc", a, self.strain)
        F = self.points.deformation(strain, self.space.deformation(z))
        P, _ = self.points.respond(F, self.points.rest_internal(len(z), F), 1.0)
        gap = P.flatten(2)[..., self.points.row] - torch.einsum("kr,psr->kps", b, self.stress)
        by = self.points.weight.sqrt()[:, None]
        size = (by * P.flatten(2)[..., self.points.row]).flatten(1).norm(dim=1)
        return (by * gap).flatten(1).norm(dim=1) / size.clamp_min(REST * self.law.unit)
