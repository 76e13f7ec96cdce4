# SPDX-License-Identifier: Apache-2.0
"""Learned laws on rotation-invariant features: elasticity, plasticity, and both together.

Ma et al. 2023, "Learning Neural Constitutive Laws From Motion Observations" (NCLaw). A perceptron
without biases turns features of F that vanish at rest (kernels/learned/features.py) into a
symmetric matrix H(F); with the rotation R of F,

    elasticity:  P = stress_scale R H,   tau = P F^T
    plasticity:  F = F_trial + flow_scale R H

so that tau(I) = 0, tau(Q F) = Q tau(F) Q^T and F(Q F_trial) = Q F(F_trial) for any weights. tau is
not symmetric by construction (H F^T is where H commutes with the stretch, as in an isotropic
solid): what is skew of it turns a body that nothing touches.

`InvariantFull` is the law as published. `InvariantSmooth`, our default, has features with
derivatives at rest too, outputs in units of a stress, starts as an isotropic elastic solid, and
has hidden units of the size of the strains expected, so that Adam does with rates of 1e-3 to 1e-2
what the published law needs 1.0 and 0.1 for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from rheograd.kernels.learned.features import WIDTH

from ..arrays import matrices, plain
from ..law import Pullback, Response, carried, without_frozen
from .blockwise import BlockwiseLaw, blocks, traced
from .featured import FeaturedNetwork, FlowPass, StressPass
from .two_parts import (
    LAME,
    SHEAR,
    LearnedElasticity,
    LearnedPlasticity,
    TwoNetworks,
    TwoParts,
    declared,
)


class Kept(NamedTuple):
    """What one `update` leaves for the `pullback` that follows it."""

    R: Tensor
    """Rotations of F_trial [-], shape (q, 3, 3)."""
    z: tuple[Tensor, Tensor] | tuple[None, None] = (None, None)
    """Inputs of the last activation of flow and stress [-], shape (q, width), if kept too."""


def elastic_target(features: str) -> Tensor:
    """The linear map from features to mu (C - I) + lambda tr(S - I) I, shape (9, n_in).

    Young's modulus is 1. C - I is 2 (S - I) to first order where features have S alone, and nothing
    where they have invariants alone. See kernels/learned/features.py for which features there are.
    """
    target = torch.zeros(9, WIDTH[features])
    if features == "polar":
        target += 2 * SHEAR * torch.eye(9)
        target[::4, ::4] += LAME
        return target
    if features in ("full", "smooth"):
        first = 3 if features == "full" else 2
        target[:, first : first + 9] = SHEAR * torch.eye(9)
    target[::4, slice(0, 3) if features == "full" else 0] = LAME
    return target


def _elastic(network: FeaturedNetwork, strain_scale: float) -> None:
    network.perceptron.start_linear(elastic_target(network.features), 1 / strain_scale)


def _still(network: FeaturedNetwork, strain_scale: float) -> None:
    nothing = torch.zeros(9, WIDTH[network.features])
    network.perceptron.start_linear(nothing, 1 / strain_scale)


class InvariantElasticity(LearnedElasticity):
    """P = stress_scale R H(F), H the symmetric output of a perceptron."""

    network: FeaturedNetwork

    features: ClassVar[str] = declared()
    """What the network is asked: a key of `kernels.features.WIDTH`."""

    def _network(self) -> FeaturedNetwork:
        network = FeaturedNetwork(self.features, self.widths, self.seed)
        _elastic(network, self.strain_scale)
        return network

    def start_elastic(self, strain_scale: float = 0.3) -> None:
        """Choose weights that make it P = R (mu (C - I) + lambda tr(S - I) I).

        Young's modulus at rest is then stress_scale, Poisson's ratio 0.25.

        Args:
            strain_scale: Strain [-] at which hidden units bend at first.
        """
        _elastic(self.network, strain_scale)

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """See `ConstitutiveLaw.stress`."""
        if traced(self, F_elastic):
            H, R = self.network(F_elastic)
            return self.stress_scale * (R @ H @ F_elastic.mT)
        (F,) = plain(F_elastic)
        tau = torch.empty_like(F)
        with torch.no_grad():
            stress = StressPass(self.network, F, self.stress_scale)
            known, out = matrices(F), matrices(tau)
            for start, points in blocks(F):
                stress.measure(start, points, known)
                stress.evaluate(start, points, transient=True)
                stress.write(start, points, known, out)
        return tau

    @torch.no_grad()
    def pullback(
        self,
        F_trial: Tensor,
        internal: Tensor,
        dt: float,
        tau_bar: Tensor,
        F_bar: Tensor,
        internal_bar: Tensor,
        *,
        kept: None = None,
        F_elastic: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Pullback:
        """See `ConstitutiveLaw.pullback`; without a graph."""
        F, tau_bar = plain(F_trial, tau_bar)
        total = carried(F_bar, out)
        stress = StressPass(self.network, F, self.stress_scale, backward=True)
        known, bar, out = matrices(F), matrices(tau_bar), matrices(total)
        for start, points in blocks(F):
            stress.measure(start, points, known)
            stress.evaluate(start, points)
            stress.pull(start, points, known, bar, out)
        gradients = without_frozen(self, stress.parameter_gradients())
        return Pullback(total, internal_bar, gradients)


class InvariantPlasticity(LearnedPlasticity):
    """F = F_trial + flow_scale R H(F_trial), H the symmetric output of a perceptron."""

    network: FeaturedNetwork

    features: ClassVar[str] = declared()
    """What the network is asked: a key of `kernels.features.WIDTH`."""

    def _network(self) -> FeaturedNetwork:
        network = FeaturedNetwork(self.features, self.widths, self.seed)
        _still(network, self.strain_scale)
        return network

    def start_still(self, strain_scale: float = 1.0) -> None:
        """Choose weights that leave F_trial as it is; arguments as in `start_elastic`."""
        _still(self.network, strain_scale)

    def return_map(self, F_trial: Tensor) -> Tensor:
        """See `Plasticity.return_map`."""
        if traced(self, F_trial):
            H, R = self.network(F_trial)
            return F_trial + self.flow_scale * (R @ H)
        (F_trial,) = plain(F_trial)
        F = torch.empty_like(F_trial)
        with torch.no_grad():
            flow = FlowPass(self.network, F_trial, self.flow_scale)
            known, out = matrices(F_trial), matrices(F)
            for start, points in blocks(F):
                flow.measure(start, points, known)
                flow.evaluate(start, points, transient=True)
                flow.write(start, points, known, out)
        return F


class InvariantFullElasticity(InvariantElasticity):
    """The elasticity of `InvariantFull`, by itself a law of elastic solids."""

    name = "invariant-full-elasticity"
    features = "full"
    smooth_at_rest = False

    def __init__(
        self,
        stress_scale: float = 1.0,
        *,
        widths: Sequence[int] = (64, 64),
        seed: int | None = None,
    ):
        """Draw weights.

        Args:
            stress_scale: Unit of the network's output [Pa]; published: 1.
            widths: Of the hidden layers.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__(stress_scale, widths=widths, seed=seed)

    def _network(self) -> FeaturedNetwork:
        return FeaturedNetwork(self.features, self.widths, self.seed)

    @classmethod
    def example(cls) -> Self:
        """See `ConstitutiveLaw.example`."""
        return cls(1e5, seed=1)


class InvariantFullPlasticity(InvariantPlasticity):
    """The plasticity of `InvariantFull`."""

    name = "invariant-full-plasticity"
    features = "full"

    def __init__(
        self,
        flow_scale: float = 1e-3,
        *,
        widths: Sequence[int] = (64, 64),
        seed: int | None = None,
    ):
        """Draw weights.

        Args:
            flow_scale: Unit of the network's output [-]; published: 1e-3.
            widths: Of the hidden layers.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__(flow_scale, widths=widths, seed=seed)

    def _network(self) -> FeaturedNetwork:
        return FeaturedNetwork(self.features, self.widths, self.seed)


class InvariantSmoothElasticity(InvariantElasticity):
    """The elasticity of `InvariantSmooth`, by itself a law of elastic solids.

    New, it is P = R (mu (C - I) + lambda tr(S - I) I), whose Young's modulus at rest is
    stress_scale and whose Poisson's ratio is 0.25. Widths are at least 24.
    """

    name = "invariant-smooth-elasticity"
    features = "smooth"


class InvariantSmoothPlasticity(InvariantPlasticity):
    """The plasticity of `InvariantSmooth`; new, it leaves F_trial as it is."""

    name = "invariant-smooth-plasticity"
    features = "smooth"


class InvariantLaw(BlockwiseLaw, TwoParts):
    """A learned elasticity with a learned plasticity; the two share nothing."""

    elasticity: InvariantElasticity
    plasticity: InvariantPlasticity

    def _with_graph(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        return TwoParts.update(self, F_trial, internal, dt)

    @torch.no_grad()
    def update_into(
        self,
        F_trial: Tensor,
        internal: Tensor,
        dt: float,
        out: Response,
        kept: Kept | None = None,
    ) -> None:
        """`update` without a graph into memory that is there already, which saves page faults.

        Args:
            F_trial: As in `update`.
            internal: As in `update`; not copied to `out`, as the law has no history.
            dt: As in `update`.
            out: Contiguous tensors that take the result; F_elastic may not be F_trial.
            kept: From `new_kept`; filled with what shortens the `pullback` at this F_trial.
        """
        (F_trial,) = plain(F_trial)
        flow, stress = self._passes(F_trial, kept)
        trial, elastic, tau = map(matrices, (F_trial, out.F_elastic, out.tau))
        for start, points in blocks(F_trial):
            flow.measure(start, points, trial)
            flow.evaluate(start, points, transient=True)
            flow.advance(start, points, trial, elastic, stress)
            stress.evaluate(start, points, transient=True)
            stress.write(start, points, elastic, tau)

    def new_kept(self, q: int, like: Tensor, *, hidden: bool = False) -> Kept:
        """Memory for what `update_into` keeps of `q` points, to be used again and again.

        Args:
            q: Points.
            like: Gives precision and device.
            hidden: Whether to keep inputs of the last activations too: in float32 548 instead of
                36 bytes a point.
        """
        R = like.new_empty(q, 3, 3)
        if not hidden:
            return Kept(R)
        widths = [part.network.perceptron.widths[-1] for part in (self.plasticity, self.elasticity)]
        return Kept(R, (like.new_empty(q, widths[0]), like.new_empty(q, widths[1])))

    def _passes(
        self, like: Tensor, kept: Kept | None, *, slot: int = 0, backward: bool = False
    ) -> tuple[FlowPass, StressPass]:
        R, (flow_z, stress_z) = kept or (None, (None, None))
        flow, stress = self.plasticity, self.elasticity
        return (
            FlowPass(
                flow.network, like, flow.flow_scale, slot=slot, R=R, z=flow_z, backward=backward
            ),
            StressPass(stress.network, like, stress.stress_scale, z=stress_z, backward=backward),
        )

    @torch.no_grad()
    def pullback(
        self,
        F_trial: Tensor,
        internal: Tensor,
        dt: float,
        tau_bar: Tensor,
        F_bar: Tensor,
        internal_bar: Tensor,
        *,
        kept: Kept | None = None,
        F_elastic: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Pullback:
        """See `ConstitutiveLaw.pullback`; without a graph.

        `kept` is from `update_into` at the same F_trial and weights, with its result as F_elastic;
        where one of the two is None both are computed again.
        """
        F_trial, tau_bar = plain(F_trial, tau_bar)
        total = carried(F_bar, out)
        again = kept is None or F_elastic is None
        F = torch.empty_like(F_trial) if F_elastic is None else F_elastic
        flow, stress = self._passes(F_trial, kept, slot=int(again), backward=True)
        trial, elastic, bar, grad = map(matrices, (F_trial, F, tau_bar, total))
        for start, points in blocks(F):
            if again:
                flow.measure(start, points, trial)
                flow.evaluate(start, points)
                flow.advance(start, points, trial, elastic, stress)
            else:
                flow.recall(start, points, trial)
                flow.follow(start, points, elastic, stress)
            stress.evaluate(start, points, known=not again)
            stress.pull(start, points, elastic, bar, grad)
            if not again:
                flow.evaluate(start, points, known=True)
            flow.pull(start, points, trial, grad)
        gradients = (*stress.parameter_gradients(), *flow.parameter_gradients())
        return Pullback(total, internal_bar, without_frozen(self, gradients))


class InvariantFull(InvariantLaw):
    """The law published as "invariant full": 13 features, outputs without a unit."""

    name = "invariant-full"
    smooth_at_rest = False

    def __init__(
        self,
        stress_scale: float = 1.0,
        flow_scale: float = 1e-3,
        *,
        widths: Sequence[int] = (64, 64),
        seed: int | None = None,
    ):
        """Draw weights; see `InvariantFullElasticity` and `InvariantFullPlasticity`.

        Args:
            stress_scale: Unit of the elasticity's output [Pa]; published: 1.
            flow_scale: Unit of the plasticity's output [-]; published: 1e-3.
            widths: Of the hidden layers.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__()
        self.stress_scale, self.flow_scale = float(stress_scale), float(flow_scale)
        self.widths, self.seed = tuple(widths), seed
        other = None if seed is None else seed + 1
        self.elasticity = InvariantFullElasticity(stress_scale, widths=widths, seed=seed)
        self.plasticity = InvariantFullPlasticity(flow_scale, widths=widths, seed=other)

    @classmethod
    def example(cls) -> Self:
        """See `ConstitutiveLaw.example`."""
        return cls(1e5, 1e-1, seed=1)


class InvariantSmooth(InvariantLaw, TwoNetworks):
    """Our default: 12 features smooth at rest, outputs in units of an expected stress.

    New, it is an isotropic elastic solid of Young's modulus stress_scale and Poisson's ratio 0.25
    without plastic flow.
    """

    name = "invariant-smooth"
    parts = (InvariantSmoothElasticity, InvariantSmoothPlasticity)
