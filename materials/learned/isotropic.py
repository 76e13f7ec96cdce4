# SPDX-License-Identifier: Apache-2.0
"""A learned law that is isotropic by construction, in principal stretches, and of a family of them.

With F = U diag(1 + e) V^T, one network phi serves each axis (kernels/learned/principal.py):

    elasticity:  P = stress_scale U diag(phi_a) V^T,       tau = P F^T
    plasticity:  F = U diag(1 + e + flow_scale phi_a) V^T,
    phi_a = phi(e_a, e1 + e2 + e3, m, J - 1),   m = sqrt(|dev e|^2 + s^2) - s

m is the norm of the deviator with its corner at equal stretches rounded off. Materials yield by it:
s of the plasticity is a tenth of the strain scale; of the elasticity it is the strain scale, so
that m begins as a square, and far away grows no faster than the strain.

For any weights: tau and F are isotropic, tau is symmetric (what InvariantSmooth has to learn),
tau(Q F) = Q tau(F) Q^T, a body at rest is free of stress, and all derivatives exist, also where
stretches coincide. That stresses in principal stretches have this form is the representation
theorem of isotropic functions (Rivlin and Ericksen 1955, "Stress-deformation relations for
isotropic materials"); the form with one network for all axes is ours. An inverted state, det F < 0,
has a negative least stretch 1 + e_3 and an answer as any other; derivatives are infinite only where
two stretches sum to zero.

`ConditionalIsotropic` reads a material code too, the constant field "code" of a body: one network
for a family of materials. Trained on several bodies with codes of their own and frozen, it knows a
new material by its code alone, which is a few numbers to fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from ..arrays import plain
from ..law import (
    ConstitutiveLaw,
    Elasticity,
    Plasticity,
    Pullback,
    Response,
    carried,
    without_frozen,
)
from ..scales import above_zero
from . import principal
from .blockwise import BlockwiseLaw, traced
from .principal import Part, StretchNetwork
from .two_parts import LAME, SHEAR, TwoParts


class PrincipalLaw(BlockwiseLaw):
    """What laws of networks in principal stretches have in common."""

    @property
    def codes(self) -> int:
        """Numbers of the material code."""
        return self.elastic_part.network.codes

    @property
    def elastic_part(self) -> Part:
        """Network and scale of the elasticity."""
        raise NotImplementedError

    @property
    def plastic_part(self) -> Part | None:
        """Network and scale of the plasticity; None: there is no flow."""
        return None

    def _with_graph(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        codes = internal[:, : self.codes]
        F, tau = principal.answered(self.plastic_part, self.elastic_part, F_trial, codes)
        F = F_trial if self.plastic_part is None else F
        return Response(tau, F, internal)

    @torch.no_grad()
    def update_into(
        self,
        F_trial: Tensor,
        internal: Tensor,
        dt: float,
        out: Response,
        kept: Tensor | None = None,
    ) -> None:
        """See `ConstitutiveLaw.update_into`; `kept` are rotations (q, 3, 3) from `new_kept`."""
        flow, codes = self.plastic_part, internal[:, : self.codes]
        F_out = None if flow is None else out.F_elastic
        principal.answer(
            flow, self.elastic_part, F_trial, codes, F_out=F_out, tau_out=out.tau, R=kept
        )
        if flow is None:
            out.F_elastic.copy_(F_trial)
        if out.internal is not internal:
            out.internal.copy_(internal)

    def new_kept(self, q: int, like: Tensor) -> Tensor:
        """Memory for the rotations that `update_into` keeps of `q` points, shape (q, 3, 3)."""
        return like.new_empty(q, 3, 3)

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
        kept: Tensor | None = None,
        F_elastic: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Pullback:
        """See `ConstitutiveLaw.pullback`; without a graph.

        `kept` are rotations from `update_into` at the same F_trial, or None to compute them again;
        `F_elastic` is not needed.
        """
        total = carried(F_bar, out)
        codes = internal[:, : self.codes]
        parts = (self.plastic_part, self.elastic_part)
        codes_bar, gradients = principal.pull(*parts, F_trial, codes, tau_bar, total, R=kept)
        history_bar = internal_bar + codes_bar if self.codes else internal_bar
        return Pullback(total, history_bar, without_frozen(self, gradients))

    def linearize(
        self, F_trial: Tensor, internal: Tensor, dt: float, guess: Tensor | None = None
    ) -> tuple[Response, Tensor]:
        """See `ConstitutiveLaw.linearize`; by the divided differences, without a graph."""
        codes = internal[:, : self.codes]
        tau, F, tangent = principal.linearize(
            self.plastic_part, self.elastic_part, F_trial, codes
        )  # fmt: skip
        F = F_trial.detach() if self.plastic_part is None else F
        return Response(tau, F, internal.detach()), tangent


class IsotropicElasticity(PrincipalLaw, Elasticity):
    """P = stress_scale U diag(phi_a) V^T; by itself a law of elastic solids.

    New, it is phi_a = 2 mu e_a + lambda (e1 + e2 + e3), whose Young's modulus at rest is
    stress_scale and whose Poisson's ratio is 0.25.
    """

    name = "isotropic-elasticity"
    revision = 2

    def __init__(
        self,
        stress_scale: float = 1e5,
        *,
        strain_scale: float = 0.3,
        widths: Sequence[int] = (32, 32),
        codes: int = 0,
        seed: int | None = None,
    ):
        """Draw weights.

        Args:
            stress_scale: Expected Young's modulus [Pa], the unit of the network's output.
            strain_scale: Strain [-] at which hidden units bend at first.
            widths: Of the hidden layers: even, at least 8 for each number of the code and for 1.
            codes: Numbers of the material code, 0 for none.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__()
        self.stress_scale = above_zero("stress_scale", stress_scale, "[Pa]")
        self.strain_scale = above_zero("strain_scale", strain_scale, "[-]")
        self.widths, self.seed = tuple(widths), seed
        self.network = StretchNetwork(codes, self.widths, seed)
        self.network.start_linear(2 * SHEAR, LAME, 1 / self.strain_scale)
        self.fields = {"code": codes} if codes else {}
        self.n_internal = codes

    @property
    def elastic_part(self) -> Part:
        """See `PrincipalLaw`."""
        return Part(self.network, self.stress_scale, self.strain_scale)

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """See `ConstitutiveLaw.stress`."""
        return self.update(F_elastic, internal, 1.0).tau

    @classmethod
    def example(cls) -> Self:
        """See `ConstitutiveLaw.example`."""
        return cls(seed=1)


class IsotropicPlasticity(Plasticity):
    """F = U diag(1 + e + flow_scale phi_a) V^T; new, it leaves F_trial as it is."""

    name = "isotropic-plasticity"
    revision = 2

    def __init__(
        self,
        flow_scale: float = 1e-3,
        *,
        strain_scale: float = 1.0,
        widths: Sequence[int] = (32, 32),
        codes: int = 0,
        seed: int | None = None,
    ):
        """Draw weights.

        Args:
            flow_scale: Unit of the network's output [-].
            strain_scale: Strain [-] at which hidden units bend at first, such as that of yield.
            widths: See `IsotropicElasticity`.
            codes: Numbers of the material code, 0 for none; with one it is a part of
                `ConditionalIsotropic` alone.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__()
        self.flow_scale = above_zero("flow_scale", flow_scale, "[-]")
        self.strain_scale = above_zero("strain_scale", strain_scale, "[-]")
        self.widths, self.seed, self.codes = tuple(widths), seed, codes
        self.network = StretchNetwork(codes, self.widths, seed)
        self.network.start_linear(0.0, 0.0, 1 / self.strain_scale)

    @property
    def part(self) -> Part:
        """Network and scale."""
        return Part(self.network, self.flow_scale, self.strain_scale)

    def return_map(self, F_trial: Tensor) -> Tensor:
        """See `Plasticity.return_map`.

        Raises:
            ValueError: It reads a code, which only a whole law is given.
        """
        if self.codes:
            raise ValueError(
                f"this plasticity reads a code of {self.codes} numbers, which a return mapping is "
                "not given: take ConditionalIsotropic, or codes=0"
            )
        none = F_trial.new_empty(len(F_trial), 0)
        if traced(self, F_trial):
            return principal.answered(self.part, None, F_trial, none)[0]
        (F_trial,) = plain(F_trial)
        F = torch.empty_like(F_trial)
        principal.answer(self.part, None, F_trial, none, F_out=F)
        return F

    @torch.no_grad()
    def pullback(
        self, F_trial: Tensor, F_bar: Tensor, out: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `Plasticity.pullback`; without a graph."""
        total, none = carried(F_bar, out), F_trial.new_empty(len(F_trial), 0)
        tau_bar = torch.zeros_like(total)
        _, found = principal.pull(self.part, None, F_trial, none, tau_bar, total)
        return total, without_frozen(self, found)


class Isotropic(PrincipalLaw, TwoParts):
    """A learned isotropic elasticity with a learned isotropic plasticity; the two share nothing.

    New, it is an isotropic elastic solid of Young's modulus stress_scale and Poisson's ratio 0.25
    without plastic flow.
    """

    name = "isotropic"
    revision = 2
    elasticity: IsotropicElasticity
    plasticity: IsotropicPlasticity

    def __init__(
        self,
        stress_scale: float = 1e5,
        flow_scale: float = 1e-3,
        *,
        elastic_strain: float = 0.3,
        plastic_strain: float = 1.0,
        widths: Sequence[int] = (32, 32),
        seed: int | None = None,
    ):
        """Draw weights; see `IsotropicElasticity` and `IsotropicPlasticity`.

        Args:
            stress_scale: Expected Young's modulus [Pa], the unit of the elasticity's output.
            flow_scale: Unit of the plasticity's output [-].
            elastic_strain: Strain scale of the elasticity [-].
            plastic_strain: Strain scale of the plasticity [-].
            widths: Of the hidden layers: even, at least 8.
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        super().__init__()
        self._build(stress_scale, flow_scale, elastic_strain, plastic_strain, widths, seed, 0)

    def _build(
        self, stress_scale: float, flow_scale: float, elastic_strain: float, plastic_strain: float,
        widths: Sequence[int], seed: int | None, code: int,
    ) -> None:  # fmt: skip
        self.stress_scale, self.flow_scale = float(stress_scale), float(flow_scale)
        self.elastic_strain, self.plastic_strain = float(elastic_strain), float(plastic_strain)
        self.widths, self.seed = tuple(widths), seed
        other = None if seed is None else seed + 1
        self.elasticity = IsotropicElasticity(
            stress_scale, strain_scale=elastic_strain, widths=widths, codes=code, seed=seed
        )
        self.plasticity = IsotropicPlasticity(
            flow_scale, strain_scale=plastic_strain, widths=widths, codes=code, seed=other
        )

    @property
    def elastic_part(self) -> Part:
        """See `PrincipalLaw`."""
        return self.elasticity.elastic_part

    @property
    def plastic_part(self) -> Part:
        """See `PrincipalLaw`."""
        return self.plasticity.part

    @classmethod
    def example(cls) -> Self:
        """See `ConstitutiveLaw.example`."""
        return cls(seed=1)


class ConditionalIsotropic(Isotropic):
    """`Isotropic` for a family of materials: the constant field "code" tells which.

    With code 0 it is `Isotropic`; new, it is the same for any code.
    """

    name = "conditional-isotropic"

    def __init__(
        self,
        code: int = 2,
        stress_scale: float = 1e5,
        flow_scale: float = 1e-3,
        *,
        elastic_strain: float = 0.3,
        plastic_strain: float = 1.0,
        widths: Sequence[int] = (32, 32),
        seed: int | None = None,
    ):
        """Draw weights.

        Args:
            code: Numbers of the code, from 1.
            stress_scale: See `Isotropic`.
            flow_scale: See `Isotropic`.
            elastic_strain: See `Isotropic`.
            plastic_strain: See `Isotropic`.
            widths: Of the hidden layers: even, at least 8 (1 + code).
            seed: Of the weights; None takes torch's global generator.

        Raises:
            ValueError: An argument is out of range.
        """
        ConstitutiveLaw.__init__(self)
        if not isinstance(code, int) or code < 1:
            raise ValueError(
                f"got code = {code}, expected at least 1 number of a material code: without one, "
                "take Isotropic"
            )
        self.code = code
        self._build(stress_scale, flow_scale, elastic_strain, plastic_strain, widths, seed, code)
        self.fields, self.n_internal = {"code": code}, code
