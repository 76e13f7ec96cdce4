# SPDX-License-Identifier: Apache-2.0
"""A learned law on sorted singular values: an ablation.

A variant of Ma et al. 2023, "Learning Neural Constitutive Laws From Motion Observations", that
their code has beside the published law: with F = U diag(1 + e) V^T and e in descending order, a
network is asked e (3) and answers f (3),

    elasticity:  P = stress_scale U diag(f(e)) V^T,   tau = P F^T
    plasticity:  F = F_trial + flow_scale U diag(f(e)) V^T

It is objective, isotropic, with a symmetric tau, and free of stress at rest. But f of sorted values
does not commute with permutations: where two stretches are equal, their f are not, and the stress
jumps as they pass each other. `Isotropic` is what becomes of it with one network for all axes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .perceptron import Perceptron
from .spectral import decompose, kirchhoff, mixed
from .two_parts import LAME, SHEAR, LearnedElasticity, LearnedPlasticity, TwoNetworks


class SingularElasticity(LearnedElasticity):
    """P = stress_scale U diag(f) V^T; by itself a law of elastic solids.

    New, it is f = 2 mu e + lambda (e1 + e2 + e3), whose Young's modulus is stress_scale and whose
    Poisson's ratio is 0.25: smooth until it is trained.
    """

    name = "singular-elasticity"
    smooth_at_rest = False

    network: Perceptron

    def _network(self) -> Perceptron:
        network = Perceptron(3, 3, self.widths, self.seed)
        network.start_linear(2 * SHEAR * torch.eye(3) + LAME, 1 / self.strain_scale)
        return network

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """See `ConstitutiveLaw.stress`."""
        at = decompose(F_elastic)
        return kirchhoff(F_elastic, at, self.stress_scale * self.network(at.e))


class SingularPlasticity(LearnedPlasticity):
    """F = F_trial + flow_scale U diag(f) V^T; new, it leaves F_trial as it is."""

    name = "singular-plasticity"

    network: Perceptron

    def _network(self) -> Perceptron:
        network = Perceptron(3, 3, self.widths, self.seed)
        network.start_linear(torch.zeros(3, 3), 1 / self.strain_scale)
        return network

    def return_map(self, F_trial: Tensor) -> Tensor:
        """See `Plasticity.return_map`."""
        at = decompose(F_trial)
        return F_trial + mixed(F_trial, at, self.flow_scale * self.network(at.e))


class Singular(TwoNetworks):
    """`SingularElasticity` with `SingularPlasticity`."""

    name = "singular"
    smooth_at_rest = False
    parts = (SingularElasticity, SingularPlasticity)
