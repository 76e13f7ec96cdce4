# SPDX-License-Identifier: Apache-2.0
"""Laws with fibres among those that are fitted to stress tests.

The direction of the fibres is not fitted: it is a constant field of each specimen. Pulls along the
fibres and across them tell the matrix and the fibres apart, one direction alone hardly does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from rheograd.materials.elastic import AnalyticElasticity
from rheograd.materials.fibres import FibreReinforced
from rheograd.materials.law import ConstitutiveLaw

from ..parameter import Parameter
from .families import Bulk, Family, Numbers, Scales, families

USUAL = "neo-hookean"
"""Matrix of a law that is asked for by its name alone."""
OWN = ("stiffness", "exponential", "dispersion")
STARTS = ((0.3, 0.1, 0.05), (1.0, 1.0, 0.2))
"""Fibres that fits start from: k₁ by the shear modulus, k₂ and κ [-]."""


class Fibred(Family):
    """One family of fibres in a matrix of another family."""

    def __init__(self, matrix: Family) -> None:
        """See `Family`.

        Args:
            matrix: What the fibres are in; has the bulk modulus.
        """
        super().__init__(matrix.bulk)
        self.matrix = matrix

    def starts(self, scales: Scales) -> list[Numbers]:
        """See `Family.starts`."""
        return [
            {
                **numbers,
                "stiffness": Parameter(share * scales.shear, 0.0, math.inf, "Pa"),
                "exponential": Parameter(exponential, 0.0),
                "dispersion": Parameter(dispersion, 0.0, 1 / 3),
            }
            for numbers in self.matrix.starts(scales)
            for share, exponential, dispersion in STARTS
        ]

    def make(self, values: Mapping[str, float]) -> ConstitutiveLaw:
        """See `Family.make`."""
        matrix = self.matrix.make({n: v for n, v in values.items() if n not in OWN})
        assert isinstance(matrix, AnalyticElasticity)
        k1, k2, kappa = (values[name] for name in OWN)
        return FibreReinforced(matrix, k1, k2, kappa)

    def read(self, law: ConstitutiveLaw) -> dict[str, float]:
        """See `Family.read`."""
        assert isinstance(law, FibreReinforced)
        return {**self.matrix.read(law.matrix), **{n: getattr(law, n).item() for n in OWN}}

    def fits(self, law: ConstitutiveLaw) -> bool:
        """See `Family.fits`."""
        return (
            type(law) is FibreReinforced and law.field == "fibre" and self.matrix.fits(law.matrix)
        )


def fibred(bulk: Bulk = None) -> dict[str, Family]:
    """By the names of the command line: fibre-reinforced, fibre-reinforced(gent) and so on.

    Args:
        bulk: Of their matrices.
    """
    word = FibreReinforced.name
    return {
        word if name == USUAL else f"{word}({name})": Fibred(matrix)
        for name, matrix in families(bulk).items()
    }
