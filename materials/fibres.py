# SPDX-License-Identifier: Apache-2.0
"""Fibres in an elasticity: stiff when stretched, and muscles.

Their direction at rest is a constant field of the points, `Body(fields={"fibre": ...})`: one
vector for a body, one for each point, or a function of the rest positions. Only its direction
counts, and where it is zero there are no fibres. Formulas and sources in kernels/laws/fibres.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from .elastic import AnalyticElasticity, NeoHookean, positive
from .viscoelastic import require_memoryless


class FibreReinforced(AnalyticElasticity):
    """Fibres that bear tension only, in a matrix (Holzapfel, Gasser and Ogden 2000, 2006).

        ψ = ψ of the matrix + k₁/(2k₂) (exp(k₂ ⟨E⟩²) − 1),
        E = κ (I₁ − 3) + (1 − 3κ) (I₄ − 1),   I₁ = |F|²,   I₄ = |F n|²,   ⟨E⟩ = max(E, 0)

    Where fibres go slack, at rest too, stress and energy are continuous and the tangent is not:
    ∂²ψ/∂E² falls from k₁ to 0, the modulus along the fibres by 4k₁ (1 − 2κ)². That is the model:
    thin fibres bear nothing under compression. Newton's method crosses the kink as it does the
    yield of metals, and a beam bends as one of two moduli. Several families of fibres are nested
    laws with a `field` each.

    Args:
        matrix: An analytic elasticity without history.
        stiffness: k₁ > 0 [Pa]; at rest the modulus along the fibres rises by 4k₁ (1 − 2κ)².
        exponential: k₂ >= 0 [-].
        dispersion: κ [-], 0 for parallel fibres to 1/3 for fibres in all directions.
        field: Name of the field of the direction.

    Raises:
        TypeError: The matrix has no device form.
        ValueError: The matrix has history, or a number is out of its range.
    """

    name: ClassVar[str] = "fibre-reinforced"

    def __init__(
        self, matrix: AnalyticElasticity, stiffness: float, exponential: float,
        dispersion: float = 0.0, field: str = "fibre",
    ) -> None:  # fmt: skip
        super().__init__()
        require_memoryless(matrix, "FibreReinforced")
        self.matrix = matrix
        self.stiffness = positive(stiffness, "stiffness", "of the fibres [Pa]")
        """k₁ [Pa], scalar."""
        self.exponential = positive(exponential, "exponential", "how fast they stiffen", zero=True)
        """k₂ [-], scalar."""
        if not 0.0 <= dispersion <= 1 / 3:
            raise ValueError(
                f"got dispersion = {dispersion:g}, expected 0 <= dispersion <= 1/3: 0 for parallel "
                "fibres, 1/3 for fibres in all directions"
            )
        self.dispersion = nn.Parameter(torch.tensor(dispersion, dtype=torch.float64))
        """κ [-], scalar."""
        self.field = field
        self.fields, self.axes = _with_direction(matrix, field)
        self.n_internal = sum(self.fields.values())

    @property
    def device_name(self) -> str:
        """The column of the direction, and the form of the matrix."""
        return f"fibre-reinforced-{_column(self, self.field)}({self.matrix.device_name})"

    def coefficients(self) -> Tensor:
        """Those of the matrix, then k₁, k₂ and κ; shape (c,)."""
        inner = self.matrix.coefficients()
        own = torch.stack([self.stiffness, self.exponential, self.dispersion])
        return torch.cat([inner, own.to(inner)])

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor | None:
        """See the class; [J/m³], shape (q,)."""
        energy = self.matrix.energy(F_elastic, internal[:, : self.matrix.n_internal])
        if energy is None:
            return None
        k1, k2, kappa = self.coefficients()[-3:].to(F_elastic)
        I4 = stretch_squared(F_elastic, internal, _column(self, self.field))
        I1 = F_elastic.square().sum((1, 2))
        E = (kappa * (I1 - 3) + (1 - 3 * kappa) * (I4 - 1)).clamp(min=0.0)
        E = torch.where(I4 > 0, E, torch.zeros_like(E))
        x = k2 * E.square()
        some = x > 0
        ratio = torch.where(some, torch.expm1(x) / torch.where(some, x, 1.0), 1.0)
        return energy + 0.5 * k1 * E.square() * ratio

    def recorded(self, internal: Tensor) -> Mapping[str, Tensor]:
        """See `ConstitutiveLaw.recorded`: that of the matrix."""
        return self.matrix.recorded(internal[:, : self.matrix.n_internal])

    def wave_modulus(self) -> float:
        """Along stretched fibres, at rest: that of the matrix + 4k₁ (1 − 2κ)² [Pa]."""
        return self.matrix.wave_modulus() + self._along()

    def stiffest(self, fields: Tensor) -> float:
        """See `ConstitutiveLaw.stiffest`; likewise."""
        return self.matrix.stiffest(fields[:, : self.matrix.n_internal]) + self._along()

    def _along(self) -> float:
        return 4 * self.stiffness.item() * (1 - 2 * self.dispersion.item()) ** 2

    @classmethod
    def example(cls) -> Self:
        """A soft tissue."""
        return cls(NeoHookean(young=3e4, poisson=0.4), 2e4, 3.0, 0.1)

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        k1, k2, kappa = self.coefficients().tolist()[-3:]
        return (
            f"stiffness={k1:.6g} Pa, exponential={k2:.6g}, dispersion={kappa:.6g}, "
            f"field={self.field!r}"
        )


class Active(AnalyticElasticity):
    """Muscle: fibres pull with a tension along their direction, τ + c T f fᵀ, f = F n.

    T is the tension per area at rest across the fibres at full activation, at the length of rest,
    and c the activation, a constant field "activation" of the points: 0 at rest, 1 for all. As c
    differs from point to point and is differentiable, it is what a fit finds to control a motion.
    Of a `law` that already has the direction it is the same one.

    Args:
        law: An analytic elasticity without history.
        tension: T > 0 [Pa].
        field: Name of the field of the direction.

    Raises:
        TypeError: The law has no device form.
        ValueError: The law has history or an activation of its own, or the tension is not positive.
    """

    name: ClassVar[str] = "active"

    def __init__(self, law: AnalyticElasticity, tension: float, field: str = "fibre") -> None:
        super().__init__()
        require_memoryless(law, "Active")
        if "activation" in law.fields:
            raise ValueError(
                f"got {type(law).__name__}, which is active itself, expected a law without the "
                "field 'activation': one tension per point"
            )
        self.law = law
        self.tension = positive(tension, "tension", "of full activation [Pa]")
        """T [Pa], scalar."""
        self.field = field
        fields, self.axes = _with_direction(law, field)
        self.fields = {**fields, "activation": 1}
        self.n_internal = sum(self.fields.values())

    @property
    def device_name(self) -> str:
        """The column of the direction, and the form of the law."""
        return f"active-{_column(self, self.field)}({self.law.device_name})"

    def coefficients(self) -> Tensor:
        """Those of the law, then T; shape (c,)."""
        inner = self.law.coefficients()
        return torch.cat([inner, self.tension.reshape(1).to(inner)])

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor | None:
        """Of the law, + c T/2 (I₄ − 1), of an activation that stays; [J/m³], shape (q,)."""
        energy = self.law.energy(F_elastic, internal[:, : self.law.n_internal])
        if energy is None:
            return None
        I4 = stretch_squared(F_elastic, internal, _column(self, self.field))
        pull = 0.5 * self.tension.to(F_elastic) * internal[:, self.n_internal - 1]
        return energy + torch.where(I4 > 0, pull * (I4 - 1), 0.0)

    def recorded(self, internal: Tensor) -> Mapping[str, Tensor]:
        """See `ConstitutiveLaw.recorded`: the activation, shape (q,)."""
        own = self.law.recorded(internal[:, : self.law.n_internal])
        return {**own, "activation": internal[:, self.n_internal - 1]}

    def wave_modulus(self) -> float:
        """Of the law under full activation: + 2T along the fibres [Pa]."""
        return self.law.wave_modulus() + 2 * self.tension.item()

    def stiffest(self, fields: Tensor) -> float:
        """See `ConstitutiveLaw.stiffest`; of the largest activation there."""
        most = float(fields[:, self.n_internal - 1].detach().max().clamp(min=0.0))
        return self.law.stiffest(fields[:, : self.law.n_internal]) + 2 * self.tension.item() * most

    @classmethod
    def example(cls) -> Self:
        """A soft actuator."""
        return cls(NeoHookean(young=3e4, poisson=0.4), 1e4)

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        return f"tension={self.tension.item():.6g} Pa, field={self.field!r}"


def stretch_squared(F: Tensor, internal: Tensor, at: int) -> Tensor:
    """I₄ = |F a|²/|a|², shape (q,), of directions from column `at` on; 0 where there is none."""
    a = internal[:, at : at + 3]
    size = a.square().sum(1)
    some = size > 0
    along = (F @ a[:, :, None])[..., 0].square().sum(1)
    return torch.where(some, along / torch.where(some, size, 1.0), 0.0)


def _with_direction(
    law: AnalyticElasticity, field: str
) -> tuple[Mapping[str, int], tuple[str, ...]]:
    """Its fields and those that are directions, with that of the fibres among them.

    Raises:
        ValueError: It has a field of that name that is no direction.
    """
    if field in law.fields and field not in law.axes:
        raise ValueError(
            f"got field = {field!r}, which is a field of {type(law).__name__} that is no direction:"
            " choose another name"
        )
    return {**law.fields, field: 3}, tuple(dict.fromkeys((*law.axes, field)))


def _column(law: AnalyticElasticity, field: str) -> int:
    """Where a field begins in the numbers of a point."""
    names = list(law.fields)
    return sum(law.fields[name] for name in names[: names.index(field)])
