# SPDX-License-Identifier: Apache-2.0
"""Learned laws on rotation-invariant features: elasticity, plasticity, and both together.

Ma et al. 2023, "Learning Neural Constitutive Laws From Motion Observations" (NCLaw). A perceptron
without biases turns features of F that vanish at rest (kernels/features.py) into a symmetric
matrix H(F); with the rotation R of F,

    elasticity:  P = stress_scale R H,   tau = P F^T
    plasticity:  F = F_trial + flow_scale R H

so that tau(I) = 0, tau(Q F) = Q tau(F) Q^T and F(Q F_trial) = Q F(F_trial) for any weights.

`InvariantFull` is the law as published. `InvariantSmooth`, our default, has features with
derivatives at rest too, outputs in units of a stress, and starts as an isotropic elastic solid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from rheograd.kernels.dtypes import types

from .arrays import as_warp
from .featured import (
    FeaturedNetwork,
    FlowPass,
    Measured,
    StressPass,
    blocks,
    empty_measured,
    precision,
)
from .law import ConstitutiveLaw, Elasticity, Plasticity, Pullback, Response

START_POISSON = 0.25


class Kept(NamedTuple):
    """Features of one `update`, for the `pullback` that follows it."""

    flow: Measured
    stress: Measured
    F_elastic: Tensor


def _traced(module: nn.Module, F: Tensor) -> bool:
    """Whether an autograd graph is asked for."""
    return torch.is_grad_enabled() and (
        F.requires_grad or any(p.requires_grad for p in module.parameters())
    )


def _view(F: Tensor) -> Any:
    return as_warp(F, types(precision(F)).mat33)


def _plain(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(t.detach().contiguous() for t in tensors)


class InvariantElasticity(Elasticity):
    """P = stress_scale R H(F), H the symmetric output of a perceptron."""

    features: ClassVar[str]

    def __init__(self, stress_scale: float, widths: Sequence[int], seed: int | None):
        """See the subclasses."""
        super().__init__()
        if not stress_scale > 0 or stress_scale == float("inf"):
            raise ValueError(f"stress_scale [Pa] must be positive and finite; got {stress_scale}")
        self.stress_scale = float(stress_scale)
        self.widths = tuple(widths)
        self.seed = seed
        self.network = FeaturedNetwork(self.features, self.widths, seed)

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """See `ConstitutiveLaw.stress`."""
        if _traced(self, F_elastic):
            H, R = self.network(F_elastic)
            return self.stress_scale * (R @ H @ F_elastic.mT)
        (F,) = _plain(F_elastic)
        tau = torch.empty_like(F)
        with torch.no_grad():
            stress = StressPass(self.network, F, self.stress_scale)
            known, out = _view(F), _view(tau)
            for start, points in blocks(F):
                stress.forward(start, points, known)
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
    ) -> Pullback:
        """See `ConstitutiveLaw.pullback`; without a graph."""
        F, tau_bar = _plain(F_trial, tau_bar)
        total = F_bar.detach().clone(memory_format=torch.contiguous_format)
        stress = StressPass(self.network, F, self.stress_scale)
        known, bar, out = _view(F), _view(tau_bar), _view(total)
        for start, points in blocks(F):
            stress.forward(start, points, known)
            stress.pull(start, points, known, bar, out)
        return Pullback(total, internal_bar, stress.parameter_gradients())


class InvariantPlasticity(Plasticity):
    """F = F_trial + flow_scale R H(F_trial), H the symmetric output of a perceptron."""

    features: ClassVar[str]

    def __init__(self, flow_scale: float, widths: Sequence[int], seed: int | None):
        """See the subclasses."""
        super().__init__()
        if not flow_scale > 0 or flow_scale == float("inf"):
            raise ValueError(f"flow_scale [-] must be positive and finite; got {flow_scale}")
        self.flow_scale = float(flow_scale)
        self.widths = tuple(widths)
        self.seed = seed
        self.network = FeaturedNetwork(self.features, self.widths, seed)

    def return_map(self, F_trial: Tensor) -> Tensor:
        """See `Plasticity.return_map`."""
        if _traced(self, F_trial):
            H, R = self.network(F_trial)
            return F_trial + self.flow_scale * (R @ H)
        (F_trial,) = _plain(F_trial)
        F = torch.empty_like(F_trial)
        with torch.no_grad():
            flow = FlowPass(self.network, F_trial, self.flow_scale)
            known, out = _view(F_trial), _view(F)
            for start, points in blocks(F):
                flow.forward(start, points, known)
                flow.write(start, points, known, out)
        return F


class InvariantFullElasticity(InvariantElasticity):
    """The elasticity of `InvariantFull`, by itself a law of elastic solids."""

    name = "invariant-full-elasticity"
    features = "full"

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
        super().__init__(stress_scale, widths, seed)

    @classmethod
    def example(cls) -> InvariantFullElasticity:
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
        super().__init__(flow_scale, widths, seed)


class InvariantSmoothElasticity(InvariantElasticity):
    """The elasticity of `InvariantSmooth`, by itself a law of elastic solids.

    New, it is P = R (mu (C - I) + lambda tr(S - I) I), whose Young's modulus at rest is
    stress_scale and whose Poisson's ratio is 0.25.
    """

    name = "invariant-smooth-elasticity"
    features = "smooth"

    def __init__(
        self,
        stress_scale: float = 1e5,
        *,
        widths: Sequence[int] = (64, 64),
        seed: int | None = None,
    ):
        """Draw weights.

        Args:
            stress_scale: Expected Young's modulus [Pa], the unit of the network's output.
            widths: Of the hidden layers: even, at least 24.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__(stress_scale, widths, seed)
        mu = 0.5 / (1 + START_POISSON)
        lame = START_POISSON / ((1 + START_POISSON) * (1 - 2 * START_POISSON))
        target = torch.zeros(9, self.network.perceptron.n_in)
        target[:, 2:11] = mu * torch.eye(9)
        target[::4, 0] = lame
        self.network.perceptron.start_linear(target)

    @classmethod
    def example(cls) -> InvariantSmoothElasticity:
        """See `ConstitutiveLaw.example`."""
        return cls(seed=1)


class InvariantSmoothPlasticity(InvariantPlasticity):
    """The plasticity of `InvariantSmooth`; new, it leaves F_trial as it is."""

    name = "invariant-smooth-plasticity"
    features = "smooth"

    def __init__(
        self,
        flow_scale: float = 1e-3,
        *,
        widths: Sequence[int] = (64, 64),
        seed: int | None = None,
    ):
        """Draw weights.

        Args:
            flow_scale: Unit of the network's output [-].
            widths: Of the hidden layers: even, at least 24.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__(flow_scale, widths, seed)
        self.network.perceptron.start_linear(torch.zeros(9, self.network.perceptron.n_in))


class InvariantLaw(ConstitutiveLaw):
    """A learned elasticity with a learned plasticity; the two share nothing."""

    elasticity: InvariantElasticity
    plasticity: InvariantPlasticity

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """See `ConstitutiveLaw.stress`."""
        return self.elasticity.stress(F_elastic, internal)

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """See `ConstitutiveLaw.update`; without a graph where none is asked for."""
        if _traced(self, F_trial):
            F = self.plasticity.return_map(F_trial)
            return Response(self.elasticity.stress(F, internal), F, internal)
        return self._respond(F_trial, internal, None, None)

    def update_keeping(self, F_trial: Tensor, internal: Tensor, dt: float) -> tuple[Response, Kept]:
        """`update` without a graph, and what saves time in the `pullback` at the same F_trial."""
        q, like = len(F_trial), F_trial
        flow = empty_measured(self.plasticity.features, q, like)
        stress = empty_measured(self.elasticity.features, q, like)
        response = self._respond(F_trial, internal, flow, stress)
        return response, Kept(flow, stress, response.F_elastic)

    @torch.no_grad()
    def _respond(
        self,
        F_trial: Tensor,
        internal: Tensor,
        flowing: Measured | None,
        straining: Measured | None,
    ) -> Response:
        (F_trial,) = _plain(F_trial)
        F, tau = torch.empty_like(F_trial), torch.empty_like(F_trial)
        plasticity, elasticity = self.plasticity, self.elasticity
        flow = FlowPass(plasticity.network, F, plasticity.flow_scale, slot=1, keep=flowing)
        stress = StressPass(elasticity.network, F, elasticity.stress_scale, keep=straining)
        trial, elastic, out = _view(F_trial), _view(F), _view(tau)
        for start, points in blocks(F):
            flow.forward(start, points, trial)
            flow.write(start, points, trial, elastic)
            stress.forward(start, points, elastic)
            stress.write(start, points, elastic, out)
        return Response(tau, F, internal)

    @torch.no_grad()
    def pullback(
        self,
        F_trial: Tensor,
        internal: Tensor,
        dt: float,
        tau_bar: Tensor,
        F_bar: Tensor,
        internal_bar: Tensor,
        kept: Kept | None = None,
    ) -> Pullback:
        """See `ConstitutiveLaw.pullback`; without a graph.

        Args:
            F_trial: As in `update`.
            internal: As in `update`.
            dt: As in `update`.
            tau_bar: Gradient with respect to tau, shape (q, 3, 3).
            F_bar: Gradient with respect to F_elastic, shape (q, 3, 3).
            internal_bar: Gradient with respect to the new history, shape (q, 0).
            kept: From `update_keeping` at the same F_trial and weights; None computes it again.
        """
        F_trial, tau_bar = _plain(F_trial, tau_bar)
        total = F_bar.detach().clone(memory_format=torch.contiguous_format)
        F = torch.empty_like(F_trial) if kept is None else kept.F_elastic
        flowing, straining, _F = kept or (None, None, None)
        again: Any = {"kept": kept is not None}
        plasticity, elasticity = self.plasticity, self.elasticity
        flow = FlowPass(plasticity.network, F, plasticity.flow_scale, slot=1, keep=flowing, **again)
        stress = StressPass(elasticity.network, F, elasticity.stress_scale, keep=straining, **again)
        trial, elastic, bar, out = map(_view, (F_trial, F, tau_bar, total))
        for start, points in blocks(F):
            flow.forward(start, points, trial)
            if kept is None:
                flow.write(start, points, trial, elastic)
            stress.forward(start, points, elastic)
            stress.pull(start, points, elastic, bar, out)
            flow.pull(start, points, trial, out)
        gradients = (*stress.parameter_gradients(), *flow.parameter_gradients())
        return Pullback(total, internal_bar, gradients)


class InvariantFull(InvariantLaw):
    """The law published as "invariant full": 13 features, outputs without a unit."""

    name = "invariant-full"

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
    def example(cls) -> InvariantFull:
        """See `ConstitutiveLaw.example`."""
        return cls(1e5, 1e-1, seed=1)


class InvariantSmooth(InvariantLaw):
    """Our default: 12 features smooth at rest, outputs in units of an expected stress.

    New, it is an isotropic elastic solid of Young's modulus stress_scale and Poisson's ratio 0.25
    without plastic flow.
    """

    name = "invariant-smooth"

    def __init__(
        self,
        stress_scale: float = 1e5,
        flow_scale: float = 1e-3,
        *,
        widths: Sequence[int] = (64, 64),
        seed: int | None = None,
    ):
        """Draw weights; see `InvariantSmoothElasticity` and `InvariantSmoothPlasticity`.

        Args:
            stress_scale: Expected Young's modulus [Pa], the unit of the elasticity's output.
            flow_scale: Unit of the plasticity's output [-].
            widths: Of the hidden layers: even, at least 24.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__()
        self.stress_scale, self.flow_scale = float(stress_scale), float(flow_scale)
        self.widths, self.seed = tuple(widths), seed
        other = None if seed is None else seed + 1
        self.elasticity = InvariantSmoothElasticity(stress_scale, widths=widths, seed=seed)
        self.plasticity = InvariantSmoothPlasticity(flow_scale, widths=widths, seed=other)

    @classmethod
    def example(cls) -> InvariantSmooth:
        """See `ConstitutiveLaw.example`."""
        return cls(seed=1)
