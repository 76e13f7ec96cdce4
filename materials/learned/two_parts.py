# SPDX-License-Identifier: Apache-2.0
"""A learned elasticity with a learned plasticity that share nothing: how such laws are made.

The answers of networks are numbers of order one: `stress_scale` [Pa] and `flow_scale` [-] are their
units, and `strain_scale` [-] is the strain at which hidden units bend at first, so that one rate of
learning does for all. A new elasticity is a solid of Young's modulus stress_scale and Poisson's
ratio `POISSON`, as far as that is in its reach, and a new plasticity leaves F_trial as it is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from ..law import ConstitutiveLaw, Elasticity, Plasticity, Response
from ..scales import above_zero

POISSON = 0.25
"""Of a new elasticity."""
SHEAR = 0.5 / (1 + POISSON)
"""Its shear modulus mu [-], in units of Young's modulus."""
LAME = POISSON / ((1 + POISSON) * (1 - 2 * POISSON))
"""Its first Lamé parameter lambda [-], in units of Young's modulus."""


class _Declared:
    __isabstractmethod__ = True


def declared() -> Any:
    """Stands for a class attribute that subclasses give; a class without it is abstract."""
    return _Declared()


class LearnedElasticity(Elasticity):
    """A stress by a network; subclasses make the network and say what its answer means."""

    network: nn.Module

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
            widths: Of the hidden layers: even, at least twice the numbers that it is asked.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__()
        self.stress_scale = above_zero("stress_scale", stress_scale, "[Pa]")
        self.strain_scale = above_zero("strain_scale", strain_scale, "[-]")
        self.widths, self.seed = tuple(widths), seed
        self.network = self._network()

    @abstractmethod
    def _network(self) -> nn.Module:
        """The network of a new law."""

    @classmethod
    def example(cls) -> Self:
        """See `ConstitutiveLaw.example`."""
        return cls(seed=1)


class LearnedPlasticity(Plasticity):
    """A flow by a network; subclasses make the network and say what its answer means."""

    network: nn.Module

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
            widths: Of the hidden layers: even, at least twice the numbers that it is asked.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__()
        self.flow_scale = above_zero("flow_scale", flow_scale, "[-]")
        self.strain_scale = above_zero("strain_scale", strain_scale, "[-]")
        self.widths, self.seed = tuple(widths), seed
        self.network = self._network()

    @abstractmethod
    def _network(self) -> nn.Module:
        """The network of a new plasticity."""


class TwoParts(ConstitutiveLaw):
    """What flows first, then the stress of what remains."""

    elasticity: Elasticity
    plasticity: Plasticity

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """See `ConstitutiveLaw.stress`."""
        return self.elasticity.stress(F_elastic, internal)

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """See `ConstitutiveLaw.update`."""
        F = self.plasticity.return_map(F_trial)
        return Response(self.elasticity.stress(F, internal), F, internal)


class TwoNetworks(TwoParts):
    """Both parts by networks of their own."""

    parts: ClassVar[tuple[type[LearnedElasticity], type[LearnedPlasticity]]] = declared()
    """Classes of the elasticity and of the plasticity."""

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
        elasticity, plasticity = self.parts
        self.elasticity = elasticity(
            stress_scale, strain_scale=elastic_strain, widths=widths, seed=seed
        )
        other = None if seed is None else seed + 1
        self.plasticity = plasticity(
            flow_scale, strain_scale=plastic_strain, widths=widths, seed=other
        )

    @classmethod
    def example(cls) -> Self:
        """See `ConstitutiveLaw.example`."""
        return cls(seed=1)
