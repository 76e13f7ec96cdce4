# SPDX-License-Identifier: Apache-2.0
"""Finite viscoelasticity: Maxwell branches beside an elasticity.

Each branch multiplies F = F_e F_v, and its stress is that of the Hencky strain of F_e,
2 G dev ε_e. The dashpot flows without change of volume, backward in time: dev ε_e = dev ε_trial /
(1 + dt/T). For small strains it is the generalized Maxwell model, whose relaxation modulus is
G(t) = μ + Σ G_b exp(−t/T_b) (Prony's series). Sources and the reason for that step are in
kernels/laws/viscoelastic.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from .elastic import AnalyticElasticity, NeoHookean, hencky_strains

MOST_BRANCHES = 3
"""One a decade covers what a test of days can tell from the next."""


class Viscoelastic(AnalyticElasticity):
    """An elasticity in equilibrium, and Maxwell branches whose stress fades.

    History: F_v⁻¹ − I of each branch, row by row. Moduli of branches are in shear; the volume
    answers as in equilibrium: in shear it begins with μ + Σ G and ends with μ.

    Args:
        equilibrium: An analytic elasticity without history, what is left after a long time.
        moduli: G_b > 0 [Pa], one to three.
        times: Relaxation times T_b > 0 [s], as many.

    Raises:
        TypeError: The elasticity has no device form.
        ValueError: It has history, the numbers of moduli and times differ, or one is not positive.
    """

    name: ClassVar[str] = "viscoelastic"
    conservative = False
    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {
        "moduli": (0.0, math.inf), "times": (1e-9, math.inf)
    }  # fmt: skip
    """Of its numbers, for fits."""

    def __init__(
        self, equilibrium: AnalyticElasticity, moduli: Sequence[float], times: Sequence[float]
    ) -> None:
        super().__init__()
        require_memoryless(equilibrium, "Viscoelastic")
        moduli, times = list(moduli), list(times)
        if not 1 <= len(moduli) == len(times) <= MOST_BRANCHES:
            raise ValueError(
                f"got {len(moduli)} moduli and {len(times)} times, expected as many of one as of "
                f"the other, 1 to {MOST_BRANCHES}: a pair for each branch"
            )
        for values, word in ((moduli, "moduli [Pa]"), (times, "relaxation times [s]")):
            if not all(0 < value < float("inf") for value in values):
                raise ValueError(f"got {word} {values}, expected numbers above 0")
        self.equilibrium = equilibrium
        self.moduli = nn.Parameter(torch.tensor(moduli, dtype=torch.float64))
        """G_b [Pa], shape (n,)."""
        self.times = nn.Parameter(torch.tensor(times, dtype=torch.float64))
        """T_b [s], shape (n,)."""
        self.fields = dict(equilibrium.fields)
        self.axes = equilibrium.axes
        self.n_internal = equilibrium.n_internal + 9 * len(moduli)

    @property
    def device_name(self) -> str:
        """Its branches around the form of its equilibrium."""
        return f"viscoelastic-{len(self.moduli)}({self.equilibrium.device_name})"

    def coefficients(self) -> Tensor:
        """Those of the equilibrium, then all moduli, then all times; shape (c,)."""
        inner = self.equilibrium.coefficients()
        return torch.cat([inner, self.moduli.to(inner), self.times.to(inner)])

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor | None:
        """That of the equilibrium and Σ G |dev ε_e|² [J/m³], shape (q,); see `energy` of a law."""
        own = self.equilibrium.n_internal
        energy = self.equilibrium.energy(F_elastic, internal[:, :own])
        if energy is None:
            return None
        for b, G in enumerate(self.moduli.to(F_elastic)):
            H = internal[:, own + 9 * b : own + 9 * (b + 1)].unflatten(1, (3, 3))
            strain = hencky_strains(F_elastic + F_elastic @ H)
            dev = strain - strain.mean(1, keepdim=True)
            energy = energy + G * dev.square().sum(1)
        return energy

    def rest_internal(self, q: int, like: Tensor) -> Tensor:
        """That of the equilibrium, then no flow: zeros; shape (q, n_internal)."""
        branches = like.new_zeros(q, 9 * len(self.moduli))
        return torch.cat([self.equilibrium.rest_internal(q, like), branches], 1)

    def recorded(self, internal: Tensor) -> Mapping[str, Tensor]:
        """See `ConstitutiveLaw.recorded`: the size of each branch's viscous strain."""
        own, found = self.equilibrium.n_internal, {}
        for b in range(len(self.moduli)):
            H = internal[:, own + 9 * b : own + 9 * (b + 1)].detach().unflatten(1, (3, 3))
            stretches = torch.linalg.svdvals(H + torch.eye(3).to(H))
            found[f"viscous_strain_{b + 1}"] = stretches.log().norm(dim=1)
        return {**self.equilibrium.recorded(internal[:, :own]), **found}

    def wave_modulus(self) -> float:
        """Of a step that leaves no time to flow: that of the equilibrium + 4/3 Σ G [Pa]."""
        return self.equilibrium.wave_modulus() + 4 / 3 * float(self.moduli.detach().sum())

    def stiffest(self, fields: Tensor) -> float:
        """See `ConstitutiveLaw.stiffest`; likewise."""
        return self.equilibrium.stiffest(fields) + 4 / 3 * float(self.moduli.detach().sum())

    @classmethod
    def example(cls) -> Self:
        """A soft acrylic with a fast and a slow branch."""
        return cls(NeoHookean(young=1e5, poisson=0.4), [4e4, 2e4], [0.5, 10.0])

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        return f"moduli={self.moduli.tolist()} Pa, times={self.times.tolist()} s"


def require_memoryless(law: AnalyticElasticity, around: str) -> None:
    """Refuse a part that has history of its own, or no device form.

    Args:
        law: The part.
        around: The class that it is a part of, for the error.

    Raises:
        TypeError: It has no device form.
        ValueError: It has history.
    """
    if not isinstance(law, AnalyticElasticity) or law.twin is None:
        raise TypeError(
            f"got {type(law).__name__}, expected an analytic elasticity for {around}, such as "
            "NeoHookean(young=1e5, poisson=0.4)"
        )
    if not law.conservative:
        raise ValueError(
            f"got {type(law).__name__}, which has history, as a part of {around}, expected an "
            f"elasticity without: take {type(law).__name__}({around}(...), ...) instead"
        )
