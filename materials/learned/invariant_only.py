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

from .invariant import InvariantElasticity, InvariantLaw, InvariantPlasticity
from .two_parts import TwoNetworks


class InvariantOnlyElasticity(InvariantElasticity):
    """P = stress_scale R H(invariants); by itself a law of what resists changes of volume.

    New, it is H = lambda tr(S - I) I with lambda = 0.4 stress_scale. Widths are at least 6.
    """

    name = "invariant-elasticity"
    features = "scalar"


class InvariantOnlyPlasticity(InvariantPlasticity):
    """F = F_trial + flow_scale R H(invariants); new, it leaves F_trial as it is."""

    name = "invariant-plasticity"
    features = "scalar"


class Invariant(InvariantLaw, TwoNetworks):
    """`InvariantOnlyElasticity` with `InvariantOnlyPlasticity`."""

    name = "invariant"
    parts = (InvariantOnlyElasticity, InvariantOnlyPlasticity)
