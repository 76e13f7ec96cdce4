# SPDX-License-Identifier: Apache-2.0
"""A learned law without priors: an ablation.

A variant of Ma et al. 2023, "Learning Neural Constitutive Laws From Motion Observations", that
their code has beside the published law: the network is asked the nine entries of F - I and answers
nine numbers X,

    elasticity:  P = stress_scale X(F - I),   tau = P F^T
    plasticity:  F = F_trial + flow_scale X(F_trial - I)

A body at rest is free of stress as it stands, but not when it has been turned: the law is not
objective.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .perceptron import Perceptron
from .two_parts import LAME, SHEAR, LearnedElasticity, LearnedPlasticity, TwoNetworks


def _asked(network: Perceptron, F: Tensor) -> Tensor:
    """X, shape (q, 3, 3), of F (q, 3, 3)."""
    eye = torch.eye(3, dtype=F.dtype, device=F.device)
    return network((F - eye).flatten(1)).unflatten(1, (3, 3))


class PlainElasticity(LearnedElasticity):
    """P = stress_scale X(F - I), by itself a law of elastic solids.

    New, it is P = stress_scale (2 mu sym(F - I) + lambda tr(F - I) I): linear elasticity, which
    takes a rotation for a strain of second order. Its Young's modulus is stress_scale, its
    Poisson's ratio 0.25.
    """

    name = "plain-elasticity"
    objective = False

    network: Perceptron

    def _network(self) -> Perceptron:
        network = Perceptron(9, 9, self.widths, self.seed)
        swapped = torch.eye(9).reshape(3, 3, 9).transpose(0, 1).reshape(9, 9)
        trace = torch.eye(3).reshape(9)
        linear = SHEAR * (torch.eye(9) + swapped) + LAME * torch.outer(trace, trace)
        network.start_linear(linear, 1 / self.strain_scale)
        return network

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """See `ConstitutiveLaw.stress`."""
        return self.stress_scale * (_asked(self.network, F_elastic) @ F_elastic.mT)


class PlainPlasticity(LearnedPlasticity):
    """F = F_trial + flow_scale X(F_trial - I); new, it leaves F_trial as it is."""

    name = "plain-plasticity"

    network: Perceptron

    def _network(self) -> Perceptron:
        network = Perceptron(9, 9, self.widths, self.seed)
        network.start_linear(torch.zeros(9, 9), 1 / self.strain_scale)
        return network

    def return_map(self, F_trial: Tensor) -> Tensor:
        """See `Plasticity.return_map`."""
        return F_trial + self.flow_scale * _asked(self.network, F_trial)


class Plain(TwoNetworks):
    """`PlainElasticity` with `PlainPlasticity`."""

    name = "plain"
    objective = False
    parts = (PlainElasticity, PlainPlasticity)
