# SPDX-License-Identifier: Apache-2.0
"""A learned law on the stretch S = R^T F of the polar decomposition.

A variant of Ma et al. 2023, "Learning Neural Constitutive Laws From Motion Observations", that
their code has beside the published law: the network is asked the nine entries of S - I instead of
invariants, and answers a symmetric H (invariant.py has the formulas). It is objective and smooth at
rest for any weights, without singular values; isotropy and a symmetric tau are left to training.
"""

from __future__ import annotations

from .invariant import InvariantElasticity, InvariantLaw, InvariantPlasticity
from .two_parts import TwoNetworks


class PolarElasticity(InvariantElasticity):
    """P = stress_scale R H(S - I); by itself a law of elastic solids.

    New, it is H = 2 mu (S - I) + lambda tr(S - I) I, whose Young's modulus is stress_scale and
    whose Poisson's ratio is 0.25. Widths are at least 18.
    """

    name = "polar-elasticity"
    features = "polar"


class PolarPlasticity(InvariantPlasticity):
    """F = F_trial + flow_scale R H(S - I); new, it leaves F_trial as it is."""

    name = "polar-plasticity"
    features = "polar"


class Polar(InvariantLaw, TwoNetworks):
    """`PolarElasticity` with `PolarPlasticity`; new, an isotropic elastic solid without flow."""

    name = "polar"
    parts = (PolarElasticity, PolarPlasticity)
