# SPDX-License-Identifier: Apache-2.0
"""Cells solved in modes: what a learned cell is taught.

Mean strains z and the stresses that go with them are those of load_space.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rheograd.materials.homogenized.strain_vectors import (
    NAMES,
    PAIRS,
    stress_vector,
    tensor_of_strain,
)

from .load_space import LoadSpace
from .magic_points import MagicPoints
from .modes import Modes
from .problem import Micro
from .reduced import ReducedProblem
from .rows import Rows


@dataclass(frozen=True, eq=False)
class Labels(Rows):
    """Cells solved in modes."""

    z: Tensor
    """Mean strains, shape (k, d)."""
    stress: Tensor
    """Their stresses as vectors, and the one out of the plane [Pa], shape (k, d + m)."""
    tangent: Tensor
    """Derivatives of those by z [Pa], shape (k, d + m, d)."""
    coefficients: Tensor
    """Of strain and of stress, shape (k, r + s)."""
    inputs: Tensor
    """Parameters of the phases, scaled to -1 to 1, shape (k, n); n is 0 where none vary."""


def labels(
    reduced: ReducedProblem, own: Modes, magic: MagicPoints | None, space: LoadSpace, z: Tensor,
    inputs: Tensor | None = None,
) -> Labels:  # fmt: skip
    """Solve load cases in the modes.

    The coefficients of stress are those nearest to the stresses at the points, in the mean over the
    cell or, at magic points, by least squares there.

    Args:
        reduced: The cell.
        own: Its modes.
        magic: Its points; None: all.
        space: Of the mean strains.
        z: Mean strains, shape (k, d).
        inputs: Scaled parameters that the phases have, the same for all, shape (n,).
    """
    F = space.deformation(z)
    micro = reduced.solve(F, reduced.rest_internal(len(F), F), 1.0)
    stress, tangent = conjugate(F, micro, space)
    P = micro.point_stress.flatten(2)[..., reduced.points.row]
    if magic is None:
        b = own.stress_coefficients(P)
    else:
        scale = reduced.points.weight.sqrt()[:, None, None]
        basis = (scale * own.stress[magic.index]).flatten(0, 1)
        b = torch.linalg.lstsq(basis, (scale * P.permute(1, 2, 0)).flatten(0, 1)).solution.T
    x = z.new_zeros(len(z), 0) if inputs is None else inputs.expand(len(z), -1)
    return Labels(z, stress, tangent, torch.cat([micro.fluctuation, b], 1), x)


def conjugate(F: Tensor, micro: Micro, space: LoadSpace) -> tuple[Tensor, Tensor]:
    """Stresses that go with z, then the one out of the plane, and their derivatives by z."""
    dim = space.dim
    S, A = micro.stress, micro.tangent
    assert A is not None
    if not space.small:
        inverse = torch.linalg.inv(F)
        S = inverse @ S
    s = stress_vector(S, dim)
    if dim == 2:
        s = torch.cat([s, S[:, 2:, 2]], 1)
    if space.small:
        i, j = torch.tensor(PAIRS[dim]).T
        rows = A[:, i, j][:, :, i, j]
        if dim == 2:
            rows = torch.cat([rows, A[:, 2, 2][:, i, j][:, None]], 1)
        return s, rows
    return s, _by_strain(F, S, A, dim)


def _by_strain(F: Tensor, S: Tensor, A: Tensor, dim: int) -> Tensor:
    """dS/dz for finite strains, of A = dP/dF at F without rotation (F = U, U² = 1 + 2E)."""
    d = len(NAMES[dim])
    inverse = torch.linalg.inv(F)
    rows = []
    squares, axes = torch.linalg.eigh(F)
    for c in range(d):
        unit = F.new_zeros(1, d)
        unit[0, c] = 1.0
        dE = tensor_of_strain(unit).expand_as(F)
        # dU of d(U²) = 2 dE, in the axes of U
        turned = axes.mT @ (2 * dE) @ axes
        dU = axes @ (turned / (squares[:, :, None] + squares[:, None, :])) @ axes.mT
        dP = torch.einsum("pijkl,pkl->pij", A, dU)
        dS = inverse @ (dP - dU @ S)
        row = stress_vector(0.5 * (dS + dS.mT), dim)
        rows.append(torch.cat([row, dS[:, 2:, 2]], 1) if dim == 2 else row)
    return torch.stack(rows, 2)
