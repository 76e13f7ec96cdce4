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

from collections.abc import Sequence

import torch
from torch import Tensor

from ..law import Elasticity, Plasticity
from .perceptron import Perceptron
from .two_networks import TwoNetworks, expected


def _asked(network: Perceptron, F: Tensor) -> Tensor:
    """X, shape (q, 3, 3), of F (q, 3, 3)."""
    eye = torch.eye(3, dtype=F.dtype, device=F.device)
    return network((F - eye).flatten(1)).unflatten(1, (3, 3))


class PlainElasticity(Elasticity):
    """P = stress_scale X(F - I), by itself a law of elastic solids.

    New, it is P = stress_scale (2 mu sym(F - I) + lambda tr(F - I) I): linear elasticity, which
    takes a rotation for a strain of second order. Its Young's modulus is stress_scale, its
    Poisson's ratio 0.25.
    """

    name = "plain-elasticity"
    objective = False

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
        super().__init__()
        self.stress_scale = expected("stress_scale", "[Pa]", stress_scale)
        self.strain_scale = expected("strain_scale", "[-]", strain_scale)
        self.widths, self.seed = tuple(widths), seed
        self.network = Perceptron(9, 9, widths, seed)
        swapped = torch.eye(9).reshape(3, 3, 9).transpose(0, 1).reshape(9, 9)
        trace = torch.eye(3).reshape(9)
        linear = 0.4 * (torch.eye(9) + swapped) + 0.4 * torch.outer(trace, trace)
        self.network.start_linear(linear, 1 / self.strain_scale)

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """See `ConstitutiveLaw.stress`."""
        return self.stress_scale * (_asked(self.network, F_elastic) @ F_elastic.mT)

    @classmethod
    def example(cls) -> PlainElasticity:
        """See `ConstitutiveLaw.example`."""
        return cls(seed=1)


class PlainPlasticity(Plasticity):
    """F = F_trial + flow_scale X(F_trial - I); new, it leaves F_trial as it is."""

    name = "plain-plasticity"

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
        super().__init__()
        self.flow_scale = expected("flow_scale", "[-]", flow_scale)
        self.strain_scale = expected("strain_scale", "[-]", strain_scale)
        self.widths, self.seed = tuple(widths), seed
        self.network = Perceptron(9, 9, widths, seed)
        self.network.start_linear(torch.zeros(9, 9), 1 / self.strain_scale)

    def return_map(self, F_trial: Tensor) -> Tensor:
        """See `Plasticity.return_map`."""
        return F_trial + self.flow_scale * _asked(self.network, F_trial)


class Plain(TwoNetworks):
    """`PlainElasticity` with `PlainPlasticity`."""

    name = "plain"
    objective = False

    def _elasticity(self, seed: int | None) -> PlainElasticity:
        return PlainElasticity(
            self.stress_scale, strain_scale=self.elastic_strain, widths=self.widths, seed=seed
        )

    def _plasticity(self, seed: int | None) -> PlainPlasticity:
        return PlainPlasticity(
            self.flow_scale, strain_scale=self.plastic_strain, widths=self.widths, seed=seed
        )
