# SPDX-License-Identifier: Apache-2.0
"""Laws made of laws: an elasticity with a plasticity, and viscous damping around either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from . import bridge
from .elastic import Corotated, Hencky, positive
from .law import ConstitutiveLaw, Elasticity, Plasticity, Pullback, Response, Twin
from .plastic import AnalyticPlasticity, VonMises

OWN = 9
"""Numbers of a point that damping keeps, F_n."""


class ElastoPlastic(ConstitutiveLaw):
    """Return mapping, then the stress of what remains elastic.

    With both parts analytic the law has a device form; else it runs in torch, and a plasticity
    that needs the elastic moduli is refused.

    Args:
        elasticity: An elasticity; its numbers of a point, if any, are the first of `internal`.
        plasticity: A plasticity, whose history follows.

    Raises:
        TypeError: The plasticity needs moduli that the elasticity does not have, or stiffens them
            and they are not all it has, or an argument is not of its kind.
        ValueError: The plasticity refuses the elasticity's moduli.
    """

    name: ClassVar[str] = "elasto-plastic"
    yields = True

    def __init__(self, elasticity: Elasticity, plasticity: Plasticity) -> None:
        super().__init__()
        for value, kind in ((elasticity, Elasticity), (plasticity, Plasticity)):
            if not isinstance(value, kind):
                raise TypeError(
                    f"got {type(value).__name__}, expected a {kind.__name__}: "
                    "write ElastoPlastic(elasticity, plasticity)"
                )
        needs_moduli = (
            isinstance(plasticity, AnalyticPlasticity)
            and type(plasticity).return_map is AnalyticPlasticity.return_map
        )
        if needs_moduli and elasticity.twin is None:
            raise TypeError(
                f"{type(plasticity).__name__} reads elastic moduli, which "
                f"{type(elasticity).__name__} lacks: take an analytic elasticity or a learned "
                "plasticity"
            )
        if isinstance(plasticity, AnalyticPlasticity):
            if plasticity.stiffens and len(elasticity.coefficients()) != 2:
                raise TypeError(
                    f"{type(plasticity).__name__} stiffens μ and λ, which are not all moduli of "
                    f"{type(elasticity).__name__}: take Hencky or another elasticity of these two"
                )
            plasticity.require(elasticity)
        self.elasticity = elasticity
        self.plasticity = plasticity
        self.fields = dict(elasticity.fields)
        self.axes = elasticity.axes
        self.n_internal = elasticity.n_internal + len(self._history)

    @property
    def _history(self) -> Mapping[str, float]:
        flow = self.plasticity
        return flow.history if isinstance(flow, AnalyticPlasticity) else {}

    @property
    def twin(self) -> Twin | None:
        """The device form, if both parts are analytic."""
        elastic = self.elasticity.twin
        if elastic is None or not isinstance(self.plasticity, AnalyticPlasticity):
            return None
        return Twin(elastic.elasticity, self.plasticity.name)

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        """Of an elasticity that is, with a flow that is associated."""
        flow = self.plasticity
        associated = isinstance(flow, AnalyticPlasticity) and flow.associated(self.elasticity)
        return self.elasticity.symmetric and associated

    @property
    def smooth_at_rest(self) -> bool:  # type: ignore[override]
        """Whether its elasticity is."""
        return self.elasticity.smooth_at_rest

    def coefficients(self) -> Tensor:
        """Columns of the elasticity, then those of the plasticity, shape (c,)."""
        if not isinstance(self.plasticity, AnalyticPlasticity):
            return super().coefficients()
        elastic = self.elasticity.coefficients()
        return torch.cat([elastic, self.plasticity.coefficients().to(elastic)])

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """Kirchhoff stress [Pa], shape (q, 3, 3), without flow."""
        if self.twin is not None:
            return bridge.stress(self.twin, self.coefficients(), F_elastic, internal)
        return self.elasticity.stress(F_elastic, internal)

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor | None:
        """That of the elasticity, as stiff as it is; see `ConstitutiveLaw.energy`."""
        own, flowed = self._split(internal)
        energy = self.elasticity.energy(F_elastic, own)
        if energy is None or not isinstance(self.plasticity, AnalyticPlasticity):
            return energy
        factor = self.plasticity.stiffening(flowed)
        return energy if factor is None else factor * energy

    def _split(self, internal: Tensor) -> tuple[Tensor, Tensor]:
        """Columns of the elasticity and of the plasticity."""
        own = self.elasticity.n_internal
        return internal[:, :own], internal[:, own : self.n_internal]

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """See `ConstitutiveLaw.update`."""
        if self.twin is not None:
            return bridge.update(self.twin, self.coefficients(), F_trial, internal, dt)
        return self.elasticity.update(self.plasticity.return_map(F_trial), internal, dt)

    @torch.no_grad()
    def update_into(
        self, F_trial: Tensor, internal: Tensor, dt: float, out: Response, kept: Any = None
    ) -> None:
        """See `ConstitutiveLaw.update_into`."""
        if self.twin is not None:
            return super().update_into(F_trial, internal, dt, out, kept)
        self.elasticity.update_into(self.plasticity.return_map(F_trial), internal, dt, out)

    def pullback(
        self,
        F_trial: Tensor,
        internal: Tensor,
        dt: float,
        tau_bar: Tensor,
        F_bar: Tensor,
        internal_bar: Tensor,
        *,
        kept: Any = None,
        F_elastic: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Pullback:
        """See `ConstitutiveLaw.pullback`; through the elasticity, then through the flow."""
        if self.twin is not None:
            return super().pullback(
                F_trial, internal, dt, tau_bar, F_bar, internal_bar,
                kept=kept, F_elastic=F_elastic, out=out,
            )  # fmt: skip
        if F_elastic is None:
            with torch.no_grad():
                F_elastic = self.plasticity.return_map(F_trial)
        found = self.elasticity.pullback(F_elastic, internal, dt, tau_bar, F_bar, internal_bar)
        by_trial, flow = self.plasticity.pullback(F_trial, found.F_trial, out)
        return Pullback(by_trial, found.internal, (*found.parameters, *flow))

    def rest_internal(self, q: int, like: Tensor) -> Tensor:
        """As of the elasticity, then of the plasticity; shape (q, n_internal)."""
        flowed = like.new_tensor(list(self._history.values())).expand(q, -1)
        return torch.cat([self.elasticity.rest_internal(q, like), flowed], 1)

    def recorded(self, internal: Tensor) -> Mapping[str, Tensor]:
        """See `ConstitutiveLaw.recorded`: the history of the plasticity, shape (q,) each."""
        own, flowed = self._split(internal)
        history = dict(zip(self._history, flowed.unbind(1), strict=True))
        return {**self.elasticity.recorded(own), **history}

    def wave_modulus(self) -> float:
        """That of the elasticity [Pa], as stiff as its flow can make it."""
        modulus, flow = self.elasticity.wave_modulus(), self.plasticity
        return modulus * flow.most_stiffening if isinstance(flow, AnalyticPlasticity) else modulus

    @classmethod
    def example(cls) -> Self:
        """Plasticine."""
        return cls(Hencky(young=3e5, poisson=0.25), VonMises(yield_stress=5e3))


class Damped(ConstitutiveLaw):
    """Kelvin-Voigt: τ + t (2μ D' + b K tr D I), D the strain rate, D' = D − tr D/3 I, t a time.

    K = λ + 2μ/3 is the bulk modulus at rest. These are Kirchhoff stresses, as those of the law: a
    fluid of a viscosity in Pa s is `Viscous`. D is the symmetric part of (F_trial F_n⁻¹ − I)/dt,
    where F_n, the elastic deformation at the end of the last step, is its history, row by row, and
    stands behind the numbers of the law it damps.
    Explicit steps must be shorter than the diffusion of momentum takes across a cell: in a nearly
    incompressible rubber, whose bulk hardly dissipates, b = 0 allows far longer ones.

    Args:
        law: An analytic elasticity, or an ElastoPlastic law of analytic parts.
        time: t [s], at least 0. An oscillation of angular frequency ω has the damping ratio ω t/2.
        bulk: b, the share of K that is damped, from 0 to 1.

    Raises:
        TypeError: The law has no moduli μ and λ.
        ValueError: The time is negative, or the share not from 0 to 1.
    """

    name: ClassVar[str] = "damped"

    def __init__(self, law: ConstitutiveLaw, time: float, bulk: float = 1.0) -> None:
        super().__init__()
        if law.twin is None or law.twin.damped:
            raise TypeError(
                f"got {type(law).__name__}, expected an undamped analytic law, whose moduli scale "
                "the damping"
            )
        self.law = law
        self.fields = dict(law.fields)
        self.axes = law.axes
        self.yields = law.yields
        self.n_internal = law.n_internal + OWN
        self.time = positive(time, "time", "a relaxation time [s]", zero=True)
        """t [s], scalar."""
        if not 0.0 <= bulk <= 1.0:
            raise ValueError(
                f"got bulk = {bulk:g}, expected 0 <= bulk <= 1: the share of the bulk modulus that "
                "is damped, 1 for all"
            )
        self.bulk = float(bulk)
        """b [-]"""

    @property
    def twin(self) -> Twin:
        """The device form."""
        inner = self.law.twin
        assert inner is not None
        return Twin(inner.elasticity, inner.plasticity, True)

    def coefficients(self) -> Tensor:
        """Columns of the law, then the time, the share of the bulk and 0; shape (c,)."""
        inner = self.law.coefficients()
        own = inner.new_tensor([self.bulk, 0.0])
        return torch.cat([inner, self.time.reshape(1).to(inner), own])

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """Elastic part of the Kirchhoff stress [Pa], shape (q, 3, 3)."""
        return self.law.stress(F_elastic, internal[:, :-OWN])

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor | None:
        """Of the elastic part; see `ConstitutiveLaw.energy`."""
        return self.law.energy(F_elastic, internal[:, :-OWN])

    def recorded(self, internal: Tensor) -> Mapping[str, Tensor]:
        """See `ConstitutiveLaw.recorded`: what the law has beside F_n."""
        return self.law.recorded(internal[:, :-OWN])

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """See `ConstitutiveLaw.update`."""
        return bridge.update(self.twin, self.coefficients(), F_trial, internal, dt)

    def rest_internal(self, q: int, like: Tensor) -> Tensor:
        """What the law has, then the identity at every point, shape (q, n_internal)."""
        eye = torch.eye(3, dtype=like.dtype, device=like.device).reshape(1, OWN).repeat(q, 1)
        return torch.cat([self.law.rest_internal(q, like), eye], 1)

    def wave_modulus(self) -> float:
        """That of the law [Pa], without the viscous part, which vanishes with the rate."""
        return self.law.wave_modulus()

    def stiffest(self, fields: Tensor) -> float:
        """See `ConstitutiveLaw.stiffest`; that of the law."""
        return self.law.stiffest(fields)

    def viscosity(self) -> float:
        """Of shear and bulk, t (4/3 μ + b K) [Pa s]."""
        mu, lam = self.law.coefficients().tolist()[:2]
        return self.time.item() * (4 / 3 * mu + self.bulk * (lam + 2 / 3 * mu))

    @classmethod
    def example(cls) -> Self:
        """A damped rubber."""
        return cls(Corotated(young=1e5, poisson=0.3), time=1e-3)

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        return f"time={self.time.item():.6g} s, bulk={self.bulk:g}"
