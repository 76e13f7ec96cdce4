# SPDX-License-Identifier: Apache-2.0
"""The box of mean strains that a surrogate is made for, and load cases in it.

A mean strain is a vector z of the components of a symmetric tensor: xx, yy, (zz,) and the shears as
engineers measure them, gamma_xy = 2 E_xy. It is the strain itself for small strains and the
Green-Lagrange strain E = (FᵀF − 1)/2 for finite ones, so that what is learned does not see
rotations. The stress that goes with it, σ or the second Piola stress, has the same components with
shears once: their product is work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rheograd.materials.homogenized.strain_vectors import NAMES, tensor_of_strain


@dataclass(frozen=True)
class LoadSpace:
    """A box of mean strains."""

    lower: tuple[float, ...]
    """Of each component [-]."""
    upper: tuple[float, ...]
    """Of each component [-]."""
    small: bool
    """Whether strains are small."""

    def __post_init__(self) -> None:
        if len(self.lower) not in (3, 6) or len(self.lower) != len(self.upper):
            raise ValueError(
                f"got a box of {len(self.lower)} and {len(self.upper)} strains, expected 3 in the "
                "plane (xx, yy, gamma_xy) or 6 in space"
            )
        if not all(a < 0 < b for a, b in zip(self.lower, self.upper, strict=True)):
            raise ValueError(
                f"got a box from {self.lower} to {self.upper}, expected one with rest inside: "
                "negative lower and positive upper bounds"
            )

    @classmethod
    def cube(cls, dim: int, extent: float, *, small: bool) -> LoadSpace:
        """Each component up to an extent, either way; dim is 2 or 3."""
        count = len(NAMES[dim])
        return cls((-extent,) * count, (extent,) * count, small)

    @property
    def dim(self) -> int:
        """2 or 3."""
        return 2 if len(self.lower) == 3 else 3

    def sample(self, count: int, seed: int) -> Tensor:
        """Load cases by a Latin hypercube, shape (count, d)."""
        from scipy.stats import qmc

        unit = latin_hypercube(count, len(self.lower), seed)
        return torch.from_numpy(qmc.scale(unit, self.lower, self.upper))

    def deformation(self, z: Tensor) -> Tensor:
        """Mean deformation gradients without rotation, shape (k, 3, 3), of strains (k, d).

        Raises:
            ValueError: No deformation has such a Green-Lagrange strain.
        """
        eye = torch.eye(3).to(z)
        E = tensor_of_strain(z)
        if self.small:
            return eye + E
        squares, axes = torch.linalg.eigh(eye + 2 * E)
        if not bool((squares > 0).all()):
            raise ValueError(
                "got a box of Green-Lagrange strains that reaches below -1/2, which no deformation"
                " has: make it smaller"
            )
        return (axes * squares.sqrt()[:, None, :]) @ axes.mT


def latin_hypercube(count: int, dim: int, seed: int | list[int]) -> np.ndarray:
    """Points of the unit cube, one in each of `count` slices along each axis; (count, dim)."""
    from scipy.stats import qmc

    return qmc.LatinHypercube(dim, rng=np.random.default_rng(seed)).random(count)
