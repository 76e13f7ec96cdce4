# SPDX-License-Identifier: Apache-2.0
"""The analytic laws by name, and their formulas written down again in torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from material_states import DT
from torch import Tensor, nn

from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import (
    Corotated,
    Hencky,
    NeoHookean,
    StVenantKirchhoff,
    Volumetric,
    YoungPoissonElasticity,
)
from rheograd.materials.flows import HerschelBulkley, Snow, VolumeCorrecting
from rheograd.materials.law import ConstitutiveLaw, Plasticity
from rheograd.materials.plastic import DruckerPrager, FluidReset, HardeningVonMises, VonMises

MODULI = {"young": 2e5, "poisson": 0.28}
PLASTIC: dict[str, Callable[[], Plasticity]] = {
    "von-mises": lambda: VonMises(8e3),
    "hardening-von-mises": lambda: HardeningVonMises(8e3, 3e4),
    "drucker-prager": lambda: DruckerPrager(30.0, cohesion=0.02),
    "herschel-bulkley": lambda: HerschelBulkley(6e3, 600.0, 0.6),
    "drucker-prager-volume": lambda: VolumeCorrecting(30.0, cohesion=0.05),
    "snow": lambda: Snow(0.12, 0.06, 8.0, 3.0),
    "fluid-reset": FluidReset,
}
ELASTIC: dict[str, type[YoungPoissonElasticity]] = {
    law.name: law for law in (Corotated, NeoHookean, StVenantKirchhoff, Hencky, Volumetric)
}


def analytic(elasticity: str, plasticity: str = "none", damped: bool = False) -> ConstitutiveLaw:
    law: ConstitutiveLaw = ELASTIC[elasticity](**MODULI)
    if plasticity != "none":
        law = ElastoPlastic(law, PLASTIC[plasticity]())
    return Damped(law, 5e-3) if damped else law


def formula(
    law: ConstitutiveLaw, F_trial: Tensor, internal: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What an analytic law answers, written down again in torch with its own decomposition."""
    if isinstance(law, Damped):
        tau, F, after = formula(law.law, F_trial, internal[:, :-9])
        mu, lam = moduli(law.law)
        F_n = internal[:, -9:].unflatten(1, (3, 3))
        L = (F_trial @ torch.linalg.inv(F_n) - torch.eye(3).to(F_n)) / DT
        D = (L + L.mT) / 2
        after = torch.cat([after, F.flatten(1)], 1)
        return tau + law.time * (2 * mu * D + lam * trace(D)), F, after
    mu, lam = moduli(law)
    if isinstance(law, ElastoPlastic):
        F, U, eps, after = flow(law.plasticity, F_trial, internal, mu, lam)
        if isinstance(law.plasticity, Snow):
            factor = (law.plasticity.hardening * (1 - after)).clamp_max(math.log(3.0)).exp()
            mu, lam = factor * mu, factor * lam
            if isinstance(law.elasticity, Corotated):
                return corotated(U, eps, mu, lam), F, after
        if isinstance(law.elasticity, Hencky):  # another SVD would have no gradient at the apex
            return hencky(U, eps, mu, lam), F, after
        return stress(law.elasticity, F, mu, lam), F, after
    return stress(law, F_trial, mu, lam), F_trial, internal


def moduli(law: ConstitutiveLaw) -> tuple[Tensor, Tensor]:
    elasticity = law.elasticity if isinstance(law, ElastoPlastic) else law
    assert isinstance(elasticity, YoungPoissonElasticity)
    E, nu = elasticity.young, elasticity.poisson
    return E / (2 * (1 + nu)), E * nu / ((1 + nu) * (1 - 2 * nu))


def trace(A: Tensor) -> Tensor:
    return A.diagonal(dim1=1, dim2=2).sum(1)[:, None, None] * torch.eye(3, dtype=A.dtype)


def triple(F: Tensor) -> Tensor:
    """Determinant, shape (q, 1, 1)."""
    return (F[:, :, 0] * torch.linalg.cross(F[:, :, 1], F[:, :, 2])).sum(1)[:, None, None]


def stress(law: nn.Module, F: Tensor, mu: Tensor, lam: Tensor) -> Tensor:
    I = torch.eye(3, dtype=F.dtype)
    J = triple(F)
    if isinstance(law, Corotated):
        U, _, Vh = torch.linalg.svd(F)
        return 2 * mu * (F - U @ Vh) @ F.mT + lam * J * (J - 1) * I
    if isinstance(law, NeoHookean):
        return mu * (F @ F.mT - I) + lam * torch.log(J) * I
    if isinstance(law, StVenantKirchhoff):
        E = (F.mT @ F - I) / 2
        return F @ (2 * mu * E + lam * trace(E)) @ F.mT
    if isinstance(law, Hencky):
        U, sigma, _ = torch.linalg.svd(F)
        return hencky(U, sigma.clamp_min(0.05).log(), mu, lam)
    assert isinstance(law, Volumetric)
    return lam * J * (J - 1) * I


def hencky(U: Tensor, eps: Tensor, mu: Tensor, lam: Tensor) -> Tensor:
    return U @ torch.diag_embed(2 * mu * eps + lam * eps.sum(1, keepdim=True)) @ U.mT


def corotated(U: Tensor, eps: Tensor, mu: Tensor, lam: Tensor) -> Tensor:
    """Of its Hencky strains, which keep their gradient where two of them are equal."""
    sigma, J = eps.exp(), eps.sum(1, keepdim=True).exp()
    return U @ torch.diag_embed(2 * mu * (sigma - 1) * sigma + lam * J * (J - 1)) @ U.mT


def flow(
    law: nn.Module, F: Tensor, history: Tensor, mu: Tensor, lam: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """F after the flow, its principal directions and its Hencky strains; the history."""
    if isinstance(law, FluidReset):
        I = torch.eye(3, dtype=F.dtype).expand_as(F)
        J = triple(F)
        return J ** (1 / 3) * I, I, (J.log() / 3)[:, 0].expand(-1, 3), history
    U, sigma, Vh = torch.linalg.svd(F)
    eps = sigma.clamp_min(0.05).log()
    if isinstance(law, VolumeCorrecting):
        eps = eps + history / 3
        history = (eps.sum(1, keepdim=True) - 3 * law.cohesion).clamp_min(0)
    tr = eps.sum(1, keepdim=True)
    dev = eps - tr / 3
    norm = dev.norm(dim=1, keepdim=True)
    if isinstance(law, VonMises):
        excess = norm - law.yield_stress / (2 * mu)
        eps = torch.where(excess > 0, eps - excess * dev / norm, eps)
    elif isinstance(law, HardeningVonMises):
        y, H = law.yield_stress, law.hardening
        length = ((2 * mu * norm - y - H * history) / (2 * mu + H)).clamp_min(0)
        eps, history = eps - length * dev / norm, history + length
    elif isinstance(law, Snow):
        low, high = (1 - law.critical_compression).log(), (1 + law.critical_stretch).log()
        kept = torch.minimum(torch.maximum(eps, low), high)
        eps, history = kept, history * (tr - kept.sum(1, keepdim=True)).exp()
    elif isinstance(law, HerschelBulkley):
        eps = eps - viscoplastic_length(law, norm, mu) * dev / norm
    else:
        assert isinstance(law, DruckerPrager)
        sine = torch.sin(law.friction_angle * math.pi / 180)
        alpha = math.sqrt(2 / 3) * 2 * sine / (3 - sine)
        shifted = tr - 3 * law.cohesion
        excess = norm + (3 * lam + 2 * mu) / (2 * mu) * alpha * shifted
        returned = eps - excess.clamp_min(0) * dev / norm
        eps = torch.where(shifted < 0, returned, law.cohesion.expand_as(eps))
    return U @ torch.diag_embed(eps.exp()) @ Vh, U, eps, history


def viscoplastic_length(law: HerschelBulkley, norm: Tensor, mu: Tensor) -> Tensor:
    """Of an implicit step: bisected, then one Newton step, which has the derivatives."""
    y, K, n = law.yield_stress, law.consistency, law.exponent

    def excess(length: Tensor) -> Tensor:
        return 2 * mu * (norm - length) - y - K * (length / DT) ** n

    low, high = torch.zeros_like(norm), norm.detach()
    with torch.no_grad():
        for _ in range(200):
            middle = (low + high) / 2
            above = excess(middle) > 0
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    root = torch.where(2 * mu * norm > y, low, 1.0).detach()
    slope = -2 * mu - n * K * (root / DT) ** (n - 1) / DT
    return torch.where(2 * mu * norm > y, root - excess(root) / slope.detach(), 0.0)
