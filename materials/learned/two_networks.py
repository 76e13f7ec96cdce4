# SPDX-License-Identifier: Apache-2.0
"""A learned elasticity with a learned plasticity that share nothing: how such laws are made."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

from torch import Tensor

from ..law import ConstitutiveLaw, Elasticity, Plasticity, Response


def expected(name: str, unit: str, value: float) -> float:
    """A scale of a learned law.

    Args:
        name: Of the argument, for the error.
        unit: In brackets, for the error.
        value: Its value.

    Raises:
        ValueError: It is not positive and finite.
    """
    if not 0 < value < float("inf"):
        raise ValueError(f"got {name} = {value}, expected a positive finite number {unit}")
    return float(value)


class TwoNetworks(ConstitutiveLaw):
    """What flows first, then the stress of what remains; subclasses make the two parts."""

    elasticity: Elasticity
    plasticity: Plasticity

    def __init__(
        self,
        stress_scale: float = 1e5,
        flow_scale: float = 1e-3,
        *,
        elastic_strain: float = 0.3,
        plastic_strain: float = 1.0,
        widths: Sequence[int] = (64, 64),
        seed: int | None = None,
    ):
        """Draw weights.

        Args:
            stress_scale: Expected Young's modulus [Pa], the unit of the elasticity's output.
            flow_scale: Unit of the plasticity's output [-].
            elastic_strain: Strain [-] at which hidden units of the elasticity bend at first.
            plastic_strain: Strain [-] at which those of the plasticity do.
            widths: Of the hidden layers: even, at least twice the numbers that a network is asked.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__()
        self.stress_scale, self.flow_scale = float(stress_scale), float(flow_scale)
        self.elastic_strain, self.plastic_strain = float(elastic_strain), float(plastic_strain)
        self.widths, self.seed = tuple(widths), seed
        self.elasticity = self._elasticity(seed)
        self.plasticity = self._plasticity(None if seed is None else seed + 1)

    @abstractmethod
    def _elasticity(self, seed: int | None) -> Elasticity: ...

    @abstractmethod
    def _plasticity(self, seed: int | None) -> Plasticity: ...

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """See `ConstitutiveLaw.stress`."""
        return self.elasticity.stress(F_elastic, internal)

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """See `ConstitutiveLaw.update`."""
        F = self.plasticity.return_map(F_trial)
        return Response(self.elasticity.stress(F, internal), F, internal)

    @classmethod
    def example(cls) -> Self:
        """See `ConstitutiveLaw.example`."""
        return cls(seed=1)
