# SPDX-License-Identifier: Apache-2.0
"""Few quadrature points of a cell that stand for all of them.

The work of stresses in modes of strain, w σ : φ_i, is integrated over a few points with positive
weights of their own: the empirical cubature of Hernández, Caicedo and Ferrer 2017, "Dimensional
hyper-reduction of nonlinear finite element models via empirical cubature". The points are chosen
one after the other, each that along which the integrals still lack most, and weighted by least
squares without negative ones. Other than there, integrands count as much as they occur in the
snapshots, which takes a third fewer points for the same mean stress.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .modes import Modes
from .problem import CellProblem
from .snapshots import Snapshots


class MagicPoints(NamedTuple):
    """A rule of quadrature."""

    index: Tensor
    """Points of the cell, shape (m,), int64."""
    weight: Tensor
    """Theirs, by the volume of the box, shape (m,)."""
    error: float
    """What the integrals that it was made for are off, relative, in the norm of all."""


def magic_points(
    problem: CellProblem,
    modes: Modes,
    snapshots: Snapshots,
    *,
    tolerance: float = 1e-5,
    most: int = 1000,
) -> MagicPoints:
    """Choose points.

    Args:
        problem: The cell.
        modes: Of its strain.
        snapshots: Whose stresses are integrated: their work in every mode, and their mean.
        tolerance: Of the integrals, relative; the mean stress is off by about as much.
        most: Points, at most.
    """
    fields = _spanning(snapshots.point_stress, modes.weight, tolerance)
    shares = torch.einsum(
        "p,kps,psr->rkp", modes.weight, fields[..., : modes.strain.shape[1]], modes.strain
    )
    means = torch.einsum("p,kps->skp", modes.weight, fields)
    means = means / means.square().sum((1, 2), keepdim=True).sqrt()
    shares = shares / shares.square().sum((1, 2), keepdim=True).sqrt()
    rows = torch.cat([shares.flatten(0, 1), means.flatten(0, 1)])
    G = _compressed(rows / modes.weight.sqrt(), tolerance)
    G = torch.cat([G, modes.weight.sqrt()[None] / modes.weight.sqrt().norm()])
    basis = G.numpy()  # integrands by the square root of the weights
    target = basis @ modes.weight.sqrt().numpy()
    index, weight = _chosen(basis, target, tolerance, most)
    left = np.linalg.norm(basis[:, index] @ weight - target) / np.linalg.norm(target)
    scale = modes.weight.sqrt().numpy()[index]
    return MagicPoints(torch.from_numpy(index), torch.from_numpy(weight * scale), float(left))


def _spanning(stress: Tensor, weight: Tensor, tolerance: float) -> Tensor:
    """Few fields (m, p, s) in place of snapshots (k, p, s), with the same sums of squares.

    They are the snapshots' own modes, as large as there: paths have many snapshots alike.
    """
    flat = (stress * weight.sqrt()[:, None]).flatten(1)
    squares, vectors = torch.linalg.eigh(flat @ flat.T)
    kept = squares > (0.01 * tolerance) ** 2 * squares[-1]
    return torch.einsum("km,kps->mps", vectors[:, kept], stress)


def _compressed(rows: Tensor, tolerance: float) -> Tensor:
    """Orthogonal integrands (g, p), with the sums of squares of those given (k, p).

    Were all made of one length, points would be spent on integrands that hardly occur.
    """
    wide = len(rows) < rows.shape[1]
    squares, vectors = torch.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)
    kept = squares > (0.1 * tolerance) ** 2 * squares[-1]
    vectors, largest = vectors[:, kept], squares[-1].sqrt()
    return (vectors.T @ rows if wide else squares[kept, None].sqrt() * vectors.T) / largest


def _chosen(
    basis: np.ndarray, target: np.ndarray, tolerance: float, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points and factors (m,) with basis[:, points] @ factors near the target, none negative."""
    from scipy.optimize import nnls

    lengths = np.linalg.norm(basis, axis=0)
    lengths = np.where(lengths > 1e-6 * lengths.max(), lengths, np.inf)
    chosen: list[int] = []
    weight = np.zeros(0)
    left = target.copy()
    while len(chosen) < min(most, basis.shape[1]):
        along = (basis.T @ left) / lengths
        along[chosen] = -np.inf
        best = int(along.argmax())
        if not along[best] > 0:
            break
        chosen.append(best)
        weight, _ = nnls(basis[:, chosen], target)
        if (weight == 0).any():
            chosen = [point for point, w in zip(chosen, weight, strict=True) if w > 0]
            weight = weight[weight > 0]
        left = target - basis[:, chosen] @ weight
        if np.linalg.norm(left) <= tolerance * np.linalg.norm(target):
            break
    return np.array(chosen, np.int64), weight
