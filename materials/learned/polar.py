# SPDX-License-Identifier: Apache-2.0
"""A learned law on the stretch S = R^T F of the polar decomposition.

A variant of Ma et al. 2023, "Learning Neural Constitutive Laws From Motion Observations", that
their code has beside the published law: the network is asked the nine entries of S - I instead of
invariants, and answers a symmetric H (invariant.py has the formulas). It is objective and smooth at
rest for any weights, without singular values; isotropy and a symmetric tau are left to training.
"""

from __future__ import annotations

from collections.abc import Sequence

from .invariant import InvariantElasticity, InvariantLaw, InvariantPlasticity
from .two_networks import TwoNetworks, expected


class PolarElasticity(InvariantElasticity):
    """P = stress_scale R H(S - I); by itself a law of elastic solids.

    New, it is H = 2 mu (S - I) + lambda tr(S - I) I, whose Young's modulus is stress_scale and
    whose Poisson's ratio is 0.25.
    """

    name = "polar-elasticity"
    features = "polar"

    def __init__(
        self,
        stress_scale: float = 1e5,
        *,
        strain_scale: float = 0.3,
        widths: Sequence[int] = (64, 64),
        seed: int | None = None,
    ):
        """Draw weights.

        Args:
            stress_scale: Expected Young's modulus [Pa], the unit of the network's output.
            strain_scale: Strain [-] at which hidden units bend at first.
            widths: Of the hidden layers: even, at least 18.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__(stress_scale, widths, seed)
        self.strain_scale = expected("strain_scale", "[-]", strain_scale)
        self.start_elastic(self.strain_scale)

    @classmethod
    def example(cls) -> PolarElasticity:
        """See `ConstitutiveLaw.example`."""
        return cls(seed=1)


class PolarPlasticity(InvariantPlasticity):
    """F = F_trial + flow_scale R H(S - I); new, it leaves F_trial as it is."""

    name = "polar-plasticity"
    features = "polar"

    def __init__(
        self,
        flow_scale: float = 1e-3,
        *,
        strain_scale: float = 1.0,
        widths: Sequence[int] = (64, 64),
        seed: int | None = None,
    ):
        """Draw weights.

        Args:
            flow_scale: Unit of the network's output [-].
            strain_scale: Strain [-] at which hidden units bend at first, such as that of yield.
            widths: Of the hidden layers: even, at least 18.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__(flow_scale, widths, seed)
        self.strain_scale = expected("strain_scale", "[-]", strain_scale)
        self.start_still(self.strain_scale)


class Polar(InvariantLaw, TwoNetworks):
    """`PolarElasticity` with `PolarPlasticity`; new, an isotropic elastic solid without flow."""

    name = "polar"

    def _elasticity(self, seed: int | None) -> PolarElasticity:
        return PolarElasticity(
            self.stress_scale, strain_scale=self.elastic_strain, widths=self.widths, seed=seed
        )

    def _plasticity(self, seed: int | None) -> PolarPlasticity:
        return PolarPlasticity(
            self.flow_scale, strain_scale=self.plastic_strain, widths=self.widths, seed=seed
        )
