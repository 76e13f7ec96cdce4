# SPDX-License-Identifier: Apache-2.0
"""A learned law that is asked three invariants and nothing else: an ablation.

A variant of Ma et al. 2023, "Learning Neural Constitutive Laws From Motion Observations", that
their code has beside the published law: the network is asked tr S - 3, tr C - 3 and J - 1 (the
published one takes 1 from tr C, and so has a stress at rest) and answers a symmetric H in the frame
of the rotation R (invariant.py has the formulas).

It is objective and free of stress at rest. But invariants do not tell directions: a stretch along x
and one along y give the same H, so no isotropic solid is in its reach, and a shear is answered to
second order only. What is in its reach are pressures: use it to see what the directions are worth.
"""

from __future__ import annotations

from collections.abc import Sequence

from .invariant import InvariantElasticity, InvariantLaw, InvariantPlasticity
from .two_networks import TwoNetworks, expected


class InvariantOnlyElasticity(InvariantElasticity):
    """P = stress_scale R H(invariants); by itself a law of what resists changes of volume.

    New, it is H = lambda tr(S - I) I with lambda = 0.4 stress_scale.
    """

    name = "invariant-elasticity"
    features = "scalar"

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
            stress_scale: Unit of the network's output [Pa].
            strain_scale: Strain [-] at which hidden units bend at first.
            widths: Of the hidden layers: even, at least 6.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__(stress_scale, widths, seed)
        self.strain_scale = expected("strain_scale", "[-]", strain_scale)
        self.start_elastic(self.strain_scale)

    @classmethod
    def example(cls) -> InvariantOnlyElasticity:
        """See `ConstitutiveLaw.example`."""
        return cls(seed=1)


class InvariantOnlyPlasticity(InvariantPlasticity):
    """F = F_trial + flow_scale R H(invariants); new, it leaves F_trial as it is."""

    name = "invariant-plasticity"
    features = "scalar"

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
            widths: Of the hidden layers: even, at least 6.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__(flow_scale, widths, seed)
        self.strain_scale = expected("strain_scale", "[-]", strain_scale)
        self.start_still(self.strain_scale)


class Invariant(InvariantLaw, TwoNetworks):
    """`InvariantOnlyElasticity` with `InvariantOnlyPlasticity`."""

    name = "invariant"

    def _elasticity(self, seed: int | None) -> InvariantOnlyElasticity:
        return InvariantOnlyElasticity(
            self.stress_scale, strain_scale=self.elastic_strain, widths=self.widths, seed=seed
        )

    def _plasticity(self, seed: int | None) -> InvariantOnlyPlasticity:
        return InvariantOnlyPlasticity(
            self.flow_scale, strain_scale=self.plastic_strain, widths=self.widths, seed=seed
        )
