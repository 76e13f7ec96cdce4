# SPDX-License-Identifier: Apache-2.0
"""Proper orthogonal modes of snapshots, weighted by the volume that each point stands for.

Modes of strain come from fluctuations, so any combination of them is periodic; modes of stress
from stresses in balance, so any combination of them is in balance (Eivazi et al. 2025, "EquiNO").
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .problem import CellProblem
from .snapshots import Snapshots

ROUNDING = 1e-7
"""Singular values, by the largest, below which a mode is made of rounding alone."""


@dataclass(frozen=True, eq=False)
class Modes:
    """Of one cell; orthonormal in the mean over the cell."""

    fluctuation: Tensor
    """Displacements of the modes of strain [m], shape (size, r)."""
    strain: Tensor
    """Components of the modes of strain at the points [-], shape (p, c, r); see
    `CellProblem.strain`."""
    stress: Tensor
    """Components of the modes of stress at the points [Pa by its coefficient], shape (p, s, r)."""
    weight: Tensor
    """Of the points, by the volume of the box, shape (p,)."""
    metric: Tensor
    """Share of the square of each component in that of a strain's norm, shape (c,)."""
    values: tuple[Tensor, Tensor]
    """Singular values of strain and stress, descending, by the largest."""

    @property
    def mean_stress(self) -> Tensor:
        """Means of the modes of stress over the box, shape (s, r)."""
        return torch.einsum("p,psr->sr", self.weight, self.stress)

    def strain_coefficients(self, strain: Tensor) -> Tensor:
        """Of fluctuations of strain at the points (k, p, c), shape (k, r): those nearest to it."""
        return torch.einsum("p,c,pcr,kpc->kr", self.weight, self.metric, self.strain, strain)

    def stress_coefficients(self, stress: Tensor) -> Tensor:
        """Of stresses at the points (k, p, s), shape (k, r): those nearest to it."""
        return torch.einsum("p,psr,kps->kr", self.weight, self.stress, stress)


def modes(problem: CellProblem, snapshots: Snapshots, count: int) -> Modes:
    """The first modes of snapshots; fewer where what they span has fewer dimensions.

    Args:
        problem: The cell.
        snapshots: At least as many as modes.
        count: Number of modes r of each kind, at most. Those of strain are chosen by strain and
            displacement alike, each by its own size.

    Raises:
        ValueError: There are fewer snapshots.
    """
    if not 1 <= count <= len(snapshots):
        raise ValueError(
            f"got {count} modes of {len(snapshots)} snapshots, expected 1 to {len(snapshots)}"
        )
    weight = problem.points.weight
    metric = weight.new_tensor(
        [0.5 if problem.cell.small and i != j else 1.0 for i, j in problem.points.columns]
    )
    strain = problem.strain(snapshots.fluctuation)
    moved = problem.layout.displacement(snapshots.fluctuation).flatten(1)
    V, sizes = _right(_flat(strain * metric.sqrt(), weight), moved)
    combine = _orthonormal(strain, _scaled(V, sizes, count), weight, metric)
    fluctuation = snapshots.fluctuation.T @ combine
    U, values = _right(_flat(snapshots.point_stress, weight))
    stress = torch.einsum("kps,kr->psr", snapshots.point_stress, _scaled(U, values, count))
    return Modes(
        fluctuation, torch.einsum("kpc,kr->pcr", strain, combine), stress, weight, metric,
        (sizes / sizes[0], values / values[0]),
    )  # fmt: skip


def _scaled(vectors: Tensor, values: Tensor, count: int) -> Tensor:
    """From snapshots to modes of unit norm, shape (k, r); those of rounding are left out."""
    kept = min(count, int((values > ROUNDING * values[0]).sum()))
    return vectors[:, :kept] / values[:kept]


def _flat(fields: Tensor, weight: Tensor) -> Tensor:
    """Rows (k, p c) whose norm is that of fields (k, p, c) in the mean over the cell."""
    return (fields * weight.sqrt()[:, None]).flatten(1)


def _right(*fields: Tensor) -> tuple[Tensor, Tensor]:
    """Right singular vectors (k, k) and values (k,) of snapshots (k, n); fields count alike."""
    sizes = [f.square().sum() for f in fields]
    total = sum(f @ f.T * (sizes[0] / size) for f, size in zip(fields, sizes, strict=True))
    squares, vectors = torch.linalg.eigh(total)
    return vectors.flip(1), squares.flip(0).clamp_min(0.0).sqrt()


def _orthonormal(strain: Tensor, combine: Tensor, weight: Tensor, metric: Tensor) -> Tensor:
    """The same span (k, r), of modes that are orthonormal in the mean over the cell."""
    flat = _flat(strain * metric.sqrt(), weight)
    gram = combine.T @ (flat @ flat.T) @ combine
    return torch.linalg.solve_triangular(torch.linalg.cholesky(gram), combine.T, upper=False).T
