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

from collections.abc import Sequence

import torch
from torch import Tensor

from ..law import Elasticity, Plasticity
from .perceptron import Perceptron
from .spectral import decompose, kirchhoff, mixed
from .two_networks import TwoNetworks, expected


class SingularElasticity(Elasticity):
    """P = stress_scale U diag(f) V^T; by itself a law of elastic solids.

    New, it is f = 2 mu e + lambda (e1 + e2 + e3), whose Young's modulus is stress_scale and whose
    Poisson's ratio is 0.25: smooth until it is trained.
    """

    name = "singular-elasticity"
    smooth_at_rest = False

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
            widths: Of the hidden layers: even, at least 6.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__()
        self.stress_scale = expected("stress_scale", "[Pa]", stress_scale)
        self.strain_scale = expected("strain_scale", "[-]", strain_scale)
        self.widths, self.seed = tuple(widths), seed
        self.network = Perceptron(3, 3, widths, seed)
        self.network.start_linear(0.8 * torch.eye(3) + 0.4, 1 / self.strain_scale)

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """See `ConstitutiveLaw.stress`."""
        at = decompose(F_elastic)
        return kirchhoff(F_elastic, at, self.stress_scale * self.network(at.e))

    @classmethod
    def example(cls) -> SingularElasticity:
        """See `ConstitutiveLaw.example`."""
        return cls(seed=1)


class SingularPlasticity(Plasticity):
    """F = F_trial + flow_scale U diag(f) V^T; new, it leaves F_trial as it is."""

    name = "singular-plasticity"

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
        super().__init__()
        self.flow_scale = expected("flow_scale", "[-]", flow_scale)
        self.strain_scale = expected("strain_scale", "[-]", strain_scale)
        self.widths, self.seed = tuple(widths), seed
        self.network = Perceptron(3, 3, widths, seed)
        self.network.start_linear(torch.zeros(3, 3), 1 / self.strain_scale)

    def return_map(self, F_trial: Tensor) -> Tensor:
        """See `Plasticity.return_map`."""
        at = decompose(F_trial)
        return F_trial + mixed(F_trial, at, self.flow_scale * self.network(at.e))


class Singular(TwoNetworks):
    """`SingularElasticity` with `SingularPlasticity`."""

    name = "singular"
    smooth_at_rest = False

    def _elasticity(self, seed: int | None) -> SingularElasticity:
        return SingularElasticity(
            self.stress_scale, strain_scale=self.elastic_strain, widths=self.widths, seed=seed
        )

    def _plasticity(self, seed: int | None) -> SingularPlasticity:
        return SingularPlasticity(
            self.flow_scale, strain_scale=self.plastic_strain, widths=self.widths, seed=seed
        )
