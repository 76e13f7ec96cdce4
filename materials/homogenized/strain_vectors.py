# SPDX-License-Identifier: Apache-2.0
"""Symmetric strains and stresses as vectors, in the plane (3) or in space (6).

The order is that of Voigt: xx, yy, xy in the plane and xx, yy, zz, yz, xz, xy in space. Strains
carry shears twice (gamma), stresses once, so that the product of the vectors is work.
"""

from __future__ import annotations

import torch
from torch import Tensor

PAIRS = {
    2: ((0, 0), (1, 1), (0, 1)),
    3: ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)),
}
"""Row and column of each component, by the dimension."""
NAMES = {
    2: ("xx", "yy", "gamma_xy"),
    3: ("xx", "yy", "zz", "gamma_yz", "gamma_xz", "gamma_xy"),
}
"""Of the components of strain."""
_DIM = {3: 2, 6: 3}


def pairs(z: Tensor) -> tuple[tuple[int, int], ...]:
    """Row and column of each component of vectors (..., d)."""
    return PAIRS[_DIM[z.shape[-1]]]


def tensor_of_strain(z: Tensor) -> Tensor:
    """Tensors, shape (k, 3, 3), of strains (k, d)."""
    out = z.new_zeros(*z.shape[:-1], 3, 3)
    for c, (i, j) in enumerate(pairs(z)):
        out[..., i, j] = out[..., j, i] = z[..., c] if i == j else 0.5 * z[..., c]
    return out


def tensor_of_stress(s: Tensor) -> Tensor:
    """Tensors, shape (k, 3, 3), of stresses (k, d)."""
    out = s.new_zeros(*s.shape[:-1], 3, 3)
    for c, (i, j) in enumerate(pairs(s)):
        out[..., i, j] = out[..., j, i] = s[..., c]
    return out


def strain_vector(E: Tensor, dim: int) -> Tensor:
    """Components (k, d) of symmetric strains (k, 3, 3)."""
    return torch.stack([E[..., i, j] * (1 if i == j else 2) for i, j in PAIRS[dim]], -1)


def stress_vector(S: Tensor, dim: int) -> Tensor:
    """Components (k, d) of symmetric stresses (k, 3, 3)."""
    return torch.stack([S[..., i, j] for i, j in PAIRS[dim]], -1)
