# SPDX-License-Identifier: Apache-2.0
"""Elasticities of small strains: the stress follows from ε = sym F − I.

They are for finite elements, and for cells of a microstructure. Each gives its tangent in closed
form. Parameters are float64 and physical, in SI units.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from .elastic import positive
from .law import Elasticity, Response


class SmallStrainElasticity(Elasticity):
    """Isotropic: σ = K tr ε I + g(n) dev ε, with a function g of a norm n of dev ε.

    A subclass gives K and g; stress and tangent follow.
    """

    kinematics: ClassVar[str] = "small"
    symmetric = True

    @abstractmethod
    def bulk_modulus(self) -> Tensor:
        """K [Pa], scalar."""

    @abstractmethod
    def secant(self, n: Tensor) -> tuple[Tensor, Tensor]:
        """g(n) [Pa], twice the secant shear modulus, and its derivative; shaped as n."""

    def counted(self, deviator: Tensor) -> Tensor:
        """The part of dev ε whose norm n is, shape (q, 3, 3): all of it, unless overridden."""
        return deviator

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """Stress σ [Pa], shape (q, 3, 3)."""
        trace, deviator = split(strain(F_elastic))
        n = norm(self.counted(deviator))
        pressure = self.bulk_modulus().to(n) * trace
        return spherical(pressure) + self.secant(n)[0][:, None, None] * deviator

    def linearize(
        self, F_trial: Tensor, internal: Tensor, dt: float, guess: Tensor | None = None
    ) -> tuple[Response, Tensor]:
        """See `ConstitutiveLaw.linearize`.

        With s = dev ε and c its counted part, of norm n,

            dσ/dε = K I⊗I + g (1 − I⊗I/3) + g'/n s⊗dev c
        """
        with torch.no_grad():
            trace, s = split(strain(F_trial))
            c = self.counted(s)
            n = norm(c)
            g, slope = self.secant(n)
            K = self.bulk_modulus().to(n)
            tau = spherical(K * trace) + g[:, None, None] * s
            eye = torch.eye(3).to(s)
            both = 0.5 * (
                torch.einsum("ik,jl->ijkl", eye, eye) + torch.einsum("il,jk->ijkl", eye, eye)
            )
            square = torch.einsum("ij,kl->ijkl", eye, eye)
            parts = torch.stack([square.reshape(81), (both - square / 3).reshape(81)])
            D = torch.stack([K.expand_as(g), g], 1) @ parts
            along = split(c)[1].reshape(-1, 1, 9)
            steep = torch.where(n > 0, slope / n.clamp_min(TINY), 0.0)
            D = D.unflatten(1, (9, 9)).addcmul_(steep[:, None, None] * s.reshape(-1, 9, 1), along)
        return Response(tau, F_trial, internal), D.unflatten(1, (3, 3)).unflatten(3, (3, 3))

    def wave_modulus(self) -> float:
        """K + 4/3 μ at rest [Pa]."""
        K = self.bulk_modulus()
        return (K + 2 / 3 * self.secant(torch.zeros_like(K))[0]).item()


TINY = 1e-300


class LinearElastic(SmallStrainElasticity):
    """Hooke's law: σ = K tr ε I + 2μ dev ε.

    Args:
        young: Young's modulus E > 0 [Pa].
        poisson: Poisson's ratio nu [-], -1 < nu < 0.5.

    Raises:
        ValueError: A parameter is out of its range.
    """

    name: ClassVar[str] = "linear-elastic"

    def __init__(self, young: float, poisson: float) -> None:
        super().__init__()
        self.young = positive(young, "young", "Young's modulus [Pa]")
        """E [Pa], scalar."""
        if not -1.0 < poisson < 0.5:
            raise ValueError(f"got poisson = {poisson:g}, expected -1 < poisson < 0.5")
        self.poisson = nn.Parameter(torch.tensor(poisson, dtype=torch.float64))
        """nu [-], scalar."""

    def bulk_modulus(self) -> Tensor:
        """E / (3 (1 − 2 nu)) [Pa]."""
        return self.young / (3 * (1 - 2 * self.poisson))

    def secant(self, n: Tensor) -> tuple[Tensor, Tensor]:
        """2μ = E / (1 + nu) at any strain."""
        g = (self.young / (1 + self.poisson)).to(n)
        return g.expand_as(n), torch.zeros_like(n)

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """ψ = K/2 (tr ε)² + μ |dev ε|²."""
        trace, deviator = split(strain(F_elastic))
        K = self.bulk_modulus().to(trace)
        g = self.secant(trace)[0]
        return 0.5 * K * trace.square() + 0.5 * g * deviator.square().sum((1, 2))

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        return f"young={self.young.item():.6g} Pa, poisson={self.poisson.item():.6g}"

    @classmethod
    def example(cls) -> Self:
        """Glass fibres."""
        return cls(young=73e9, poisson=0.22)


class Hyperbolic(SmallStrainElasticity):
    """A shear stress that saturates: σ = K tr ε I + α₁ / (α₂ + n) dev ε, n = |dev ε|.

    |dev σ| grows from 0 with the slope α₁/α₂ and never reaches α₁: the hyperbola of Kondner (1963,
    "Hyperbolic stress-strain response"). The matrix of the cells of Eivazi et al. 2025, "EquiNO".

    Args:
        bulk: K > 0 [Pa].
        limit: α₁ > 0 [Pa].
        reference: α₂ > 0 [-], the strain at which half of the limit is reached.
        norm: "3d", |dev ε| with all components; or "plane", without that along z, as the program
            published with that paper computes it: its tangent is not symmetric.

    Raises:
        ValueError: A parameter is out of its range.
    """

    name: ClassVar[str] = "hyperbolic"

    def __init__(
        self, bulk: float, limit: float, reference: float, norm: Literal["3d", "plane"] = "3d"
    ) -> None:
        super().__init__()
        self.bulk = positive(bulk, "bulk", "the bulk modulus [Pa]")
        """K [Pa], scalar."""
        self.limit = positive(limit, "limit", "the limit of |dev σ| [Pa]")
        """α₁ [Pa], scalar."""
        self.reference = positive(reference, "reference", "a strain [-]")
        """α₂ [-], scalar."""
        if norm not in ("3d", "plane"):
            raise ValueError(f"got norm = {norm!r}, expected '3d' or 'plane'")
        self.norm = norm

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        """With the norm of all components."""
        return self.norm == "3d"

    def bulk_modulus(self) -> Tensor:
        """K [Pa]."""
        return self.bulk

    def secant(self, n: Tensor) -> tuple[Tensor, Tensor]:
        """α₁ / (α₂ + n)."""
        whole = self.reference.to(n) + n
        g = self.limit.to(n) / whole
        return g, -g / whole

    def counted(self, deviator: Tensor) -> Tensor:
        """All of it, or its part in the plane; see `norm`."""
        if self.norm == "3d":
            return deviator
        plane = torch.tensor([1.0, 1.0, 0.0]).to(deviator)
        return deviator * plane[:, None] * plane

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor | None:
        """ψ = K/2 (tr ε)² + α₁ (n − α₂ log(1 + n/α₂)); None with the norm in the plane."""
        if self.norm != "3d":
            return None
        trace, deviator = split(strain(F_elastic))
        K, limit, reference = (p.to(trace) for p in (self.bulk, self.limit, self.reference))
        n = norm(deviator)
        return 0.5 * K * trace.square() + limit * (n - reference * torch.log1p(n / reference))

    def extra_repr(self) -> str:
        """Parameters, for print()."""
        return (
            f"bulk={self.bulk.item():.6g} Pa, limit={self.limit.item():.6g} Pa, "
            f"reference={self.reference.item():.6g}, norm={self.norm!r}"
        )

    @classmethod
    def example(cls) -> Self:
        """An epoxy resin."""
        return cls(bulk=4.78e9, limit=50e6, reference=0.06)


def strain(F: Tensor) -> Tensor:
    """ε = sym F − I, shape (q, 3, 3)."""
    return 0.5 * (F + F.mT) - torch.eye(3).to(F)


def split(A: Tensor) -> tuple[Tensor, Tensor]:
    """Trace, shape (q,), and deviator, shape (q, 3, 3)."""
    trace = A.diagonal(dim1=1, dim2=2).sum(1)
    return trace, A - spherical(trace / 3)


def spherical(p: Tensor) -> Tensor:
    """P I, shape (q, 3, 3), of p of shape (q,)."""
    return p[:, None, None] * torch.eye(3).to(p)


def norm(A: Tensor) -> Tensor:
    """|A|, shape (q,), of (q, 3, 3), with the derivative 0 at 0."""
    squares = A.square().sum((1, 2))
    return torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)
