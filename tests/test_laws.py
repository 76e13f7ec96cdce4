# SPDX-License-Identifier: Apache-2.0
"""What every law owes: objectivity, rest, exact gradients; and the analytic laws their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from walk import every

from rheograd.kernels.laws.analytic import AROUND, ELASTICITIES, PLASTICITIES
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
from rheograd.materials.law import ConstitutiveLaw, Plasticity, Pullback
from rheograd.materials.learned.invariant import (
    InvariantSmoothElasticity,
    InvariantSmoothPlasticity,
)
from rheograd.materials.plastic import (
    AnalyticPlasticity,
    DruckerPrager,
    FluidReset,
    HardeningVonMises,
    VonMises,
)

DT = 1e-2
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


COMBINED = [
    *((e, "none", False) for e in ELASTIC),
    *(("hencky", p, False) for p in PLASTIC),
    ("corotated", "von-mises", False),
    ("corotated", "hardening-von-mises", False),
    ("corotated", "herschel-bulkley", False),
    ("corotated", "snow", False),
    ("volumetric", "fluid-reset", False),
    ("corotated", "none", True),
    ("hencky", "drucker-prager", True),
    ("hencky", "hardening-von-mises", True),
    ("hencky", "herschel-bulkley", True),
    ("corotated", "snow", True),
]
TWINS = pytest.mark.parametrize("combination", COMBINED, ids=lambda c: "-".join(map(str, c)))
EVERY = pytest.mark.parametrize("law", every(ConstitutiveLaw), ids=lambda law: law.name)


def example(law: type[ConstitutiveLaw]) -> ConstitutiveLaw:
    """An example in float64; learned weights are moved off the structure they start with."""
    out = law.example().double()
    with torch.no_grad():
        for weight in out.parameters():
            if weight.ndim:
                weight += 0.1 * torch.randn_like(weight)
    return out


def rotations(q: int) -> Tensor:
    A = 3 * torch.randn(q, 3, 3, dtype=torch.float64)
    return torch.matrix_exp(A - A.mT)


def strained(q: int, amount: float = 0.08) -> Tensor:
    """Deformation gradients whose singular values are well apart."""
    stretch = torch.diag(torch.tensor([1.25, 1.0, 0.8], dtype=torch.float64))
    return rotations(q) @ (stretch + amount * torch.randn(q, 3, 3, dtype=torch.float64))


def history(law: ConstitutiveLaw, F: Tensor) -> Tensor:
    """A history as a step before F may have left it."""
    if isinstance(law, Damped):
        before = (F + 0.02 * torch.randn_like(F)).flatten(1)
        return torch.cat([history(law.law, F), before], 1)
    return law.rest_internal(len(F), F) + 0.1 * torch.rand(len(F), law.n_internal).to(F)


def relative(found: Tensor, expected: Tensor) -> float:
    found, expected = found.detach(), expected.detach()
    if not expected.numel():
        return 0.0
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-300))


def spins(q: int) -> Tensor:
    """Skew matrices: rotations of small strain."""
    A = torch.randn(q, 3, 3, dtype=torch.float64)
    return A - A.mT


def rigid(law: ConstitutiveLaw, q: int) -> Tensor:
    """Deformation gradients of bodies that turn."""
    if law.kinematics == "small":
        return torch.eye(3, dtype=torch.float64) + spins(q)
    return rotations(q)


@EVERY
def test_objectivity(law: type[ConstitutiveLaw]) -> None:
    made, F, Q = example(law), strained(50), rotations(50)
    internal = history(made, F)
    if made.kinematics == "small":
        with torch.no_grad():
            tau, turned = (made.update(A, internal, DT).tau for A in (F, F + spins(50)))
        assert relative(turned, tau) < 1e-11
        return
    turned = (Q @ internal.unflatten(1, (3, 3))).flatten(1) if issubclass(law, Damped) else internal
    with torch.no_grad():
        a, b = made.update(F, internal, DT), made.update(Q @ F, turned, DT)
        stress, stress_Q = made.stress(F, internal), made.stress(Q @ F, turned)
    if not made.objective:
        assert relative(b.tau, Q @ a.tau @ Q.mT) > 1e-2
        assert relative(stress_Q, Q @ stress @ Q.mT) > 1e-2
        return
    assert relative(b.tau, Q @ a.tau @ Q.mT) < 1e-11
    assert relative(stress_Q, Q @ stress @ Q.mT) < 1e-11


@EVERY
def test_isotropy_but_for_what_is_declared(law: type[ConstitutiveLaw]) -> None:
    """A law with axes answers alike when the body and they are turned at rest."""
    made, F, Q = example(law), strained(50), rotations(50)
    if not made.axes:
        return
    internal, at = history(made, F), 0
    turned = internal.clone()
    for name, width in made.fields.items():
        if name in made.axes:
            axis = internal[:, at : at + width, None]
            turned[:, at : at + width] = (Q.mT @ axis)[..., 0]
        at += width
    tau = made.stress(F, internal)
    assert relative(made.stress(F @ Q, turned), tau) < 1e-11
    assert relative(made.stress(F @ Q, internal), tau) > 1e-3


@EVERY
def test_rest_is_free_of_stress_and_its_gradients_are_finite(law: type[ConstitutiveLaw]) -> None:
    made = example(law)
    rest = torch.cat([torch.eye(3, dtype=torch.float64)[None], rigid(made, 5)]).requires_grad_()
    internal = made.rest_internal(6, rest.detach())
    if issubclass(law, Damped):
        internal = rest.detach().flatten(1).clone()
    out = made.update(rest, internal, DT)
    scale = made.wave_modulus()
    assert out.tau[0].abs().max() < 1e-15 * scale
    if made.objective:
        assert out.tau.abs().max() < 1e-13 * scale
        assert made.stress(rest, internal).abs().max() < 1e-13 * scale
    else:
        assert out.tau[1:].abs().max() > 1e-2 * scale
    assert torch.allclose(out.F_elastic[:1], rest[:1], rtol=0, atol=1e-15)
    objective = (out.tau / scale).sum() + out.F_elastic.sum()
    gradients = torch.autograd.grad(
        objective, (rest, *made.parameters()), allow_unused=True, materialize_grads=True
    )
    assert all(g.isfinite().all() for g in gradients)


@EVERY
def test_tangent_against_central_differences(law: type[ConstitutiveLaw]) -> None:
    made, F = example(law), strained(10)
    internal = history(made, F)
    found = made.tangent(F, internal, DT)
    h = 1e-6
    for k in range(3):
        for m in range(3):
            E = torch.zeros(3, 3, dtype=torch.float64)
            E[k, m] = h
            with torch.no_grad():
                up, down = (made.update(F + s * E, internal, DT).tau for s in (1, -1))
            assert relative(found[..., k, m], (up - down) / (2 * h)) < 1e-6


@EVERY
def test_gradients_against_central_differences(law: type[ConstitutiveLaw]) -> None:
    """Of F_trial, history and every parameter, by `pullback`, along random directions."""
    made, F = example(law), strained(10)
    check_pullback(made, F, history(made, F))


@TWINS
def test_gradients_of_combinations(combination: tuple[str, str, bool]) -> None:
    law = analytic(*combination)
    F = torch.cat([strained(10), 0.05 * strained(10) + 0.95 * torch.eye(3, dtype=torch.float64)])
    check_pullback(law, F, history(law, F))


def check_pullback(law: ConstitutiveLaw, F: Tensor, internal: Tensor) -> None:
    scale = law.wave_modulus()
    tau_bar, F_bar = torch.randn_like(F) / scale, torch.randn_like(F)
    internal_bar = torch.randn_like(internal)
    got = law.pullback(F, internal, DT, tau_bar, F_bar, internal_bar)

    def value(F: Tensor, internal: Tensor) -> Tensor:
        with torch.no_grad():
            out = law.update(F, internal, DT)
        total = (tau_bar * out.tau).sum() + (F_bar * out.F_elastic).sum()
        return total + (internal_bar * out.internal).sum()

    def agrees(slope: Tensor, along: Callable[[float], Tensor], size: Tensor) -> None:
        h = 1e-6
        expected = (along(h) - along(-h)) / (2 * h)
        assert (slope - expected).abs() <= 1e-7 * size.clamp_min(expected.abs())

    dF, dh = torch.randn_like(F), torch.randn_like(internal)
    slope = (got.F_trial * dF).sum() + (got.internal * dh).sum()
    agrees(slope, lambda h: value(F + h * dF, internal + h * dh), got.F_trial.norm())
    largest = value(F, internal).abs() + F_bar.norm()
    for weight, gradient in zip(law.parameters(), got.parameters, strict=True):
        direction = weight.detach().clone() if weight.ndim == 0 else torch.randn_like(weight)

        def moved(h: float, weight: Tensor = weight, direction: Tensor = direction) -> Tensor:
            kept = weight.detach().clone()
            with torch.no_grad():
                weight += h * direction
                out = value(F, internal)
                weight.copy_(kept)
            return out

        agrees((gradient * direction).sum(), moved, 0.1 * largest)


@EVERY
def test_wave_modulus_is_that_of_the_tangent_at_rest(law: type[ConstitutiveLaw]) -> None:
    made = example(law)
    assert made.wave_modulus() > 0
    if made.twin is not None and not made.twin.damped:
        eye = torch.eye(3, dtype=torch.float64)[None]
        at_once = made.tangent(eye, made.rest_internal(1, eye), 1e-12)[0]
        expected = max(float(at_once[i, i, i, i]) for i in range(3))
        if made.fields:  # at rest without them
            assert made.wave_modulus() > expected
            return
        assert made.wave_modulus() == pytest.approx(expected, rel=1e-9)


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


def branches() -> Tensor:
    """States on every branch of the flows: small strain, yield, compression, tension, clamp."""
    Q, P = rotations(40), rotations(40)
    sigma = torch.tensor(
        [[1.002, 1.0, 0.997], [1.3, 1.05, 0.8], [0.9, 0.8, 0.6], [1.4, 1.3, 1.1], [1.1, 0.7, 0.04]],
        dtype=torch.float64,
    ).repeat(8, 1)
    return Q @ torch.diag_embed(sigma * (1 + 1e-3 * torch.rand(40, 3))) @ P


@TWINS
def test_device_form_is_the_formula(combination: tuple[str, str, bool]) -> None:
    """Value and gradients of F_trial, history and parameters, in float64."""
    law, F = analytic(*combination), branches().requires_grad_()
    internal = history(law, F.detach()).requires_grad_()
    scale = law.wave_modulus()
    tau_bar, F_bar, h_bar = (torch.randn_like(a) for a in (F, F, internal))

    def gradients(tau: Tensor, F_out: Tensor, after: Tensor) -> tuple[Tensor, ...]:
        total = (tau_bar * tau).sum() / scale + (F_bar * F_out).sum() + (h_bar * after).sum()
        inputs = (F, internal, *law.parameters())
        return torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True)

    out = law.update(F, internal, DT)
    tau, F_out, after = formula(law, F, internal)
    assert relative(out.tau, tau) < 1e-12
    assert relative(out.F_elastic, F_out) < 1e-12
    assert relative(out.internal, after) < 1e-12
    if isinstance(law, Damped):
        assert torch.equal(out.internal[:, -9:], out.F_elastic.flatten(1))
    found, expected = gradients(out.tau, out.F_elastic, out.internal), gradients(tau, F_out, after)
    for a, b in zip(found, expected, strict=True):
        assert relative(a, b) < 1e-11


@TWINS
def test_float32_rounds_float64(combination: tuple[str, str, bool]) -> None:
    law = analytic(*combination)
    F = branches().float()
    internal = history(law, F.double()).float()
    tau_bar, F_bar = torch.randn_like(F) / law.wave_modulus(), torch.randn_like(F)
    internal_bar = torch.zeros_like(internal)

    def answers(dtype: torch.dtype) -> tuple[list[Tensor], Pullback]:
        inputs = [a.to(dtype) for a in (F, internal, tau_bar, F_bar, internal_bar)]
        F_, h_, *bars = inputs
        out = law.update(F_, h_, DT)
        assert out.tau.dtype == dtype
        return [out.tau.detach(), out.F_elastic.detach()], law.pullback(F_, h_, DT, *bars)

    (tau, F_out), back = answers(torch.float32)
    (tau_64, F_64), back_64 = answers(torch.float64)
    viscous = 5e-3 / DT if isinstance(law, Damped) else 1.0
    scale = viscous * max(law.wave_modulus(), float(tau_64.abs().max()))
    assert float((tau.double() - tau_64).abs().max()) < 5e-6 * scale
    assert relative(F_out.double(), F_64) < 3e-6
    assert relative(back.F_trial.double(), back_64.F_trial) < 2e-4


def test_every_device_law_has_a_class() -> None:
    twins = [law.example().twin for law in every(ConstitutiveLaw)]
    fewer = {"ogden-1", "ogden-2"}  # of the terms of its example
    names = {twin.elasticity for twin in twins if twin}
    around = {name.split("(")[0].rpartition("-")[0] for name in names if "(" in name}
    assert {name for name in names if "(" not in name} == set(ELASTICITIES) - fewer
    assert around == set(AROUND)
    assert {law.name for law in every(AnalyticPlasticity)} == set(PLASTICITIES) - {"none"}
    assert set(PLASTIC) == set(PLASTICITIES) - {"none"}


def test_stress_of_a_state_knows_no_flow_and_no_rate() -> None:
    F = branches()
    expected = Hencky(**MODULI).stress(F, F.new_zeros(40, 0))
    for law in (analytic("hencky", "von-mises"), analytic("hencky", "none", True)):
        assert torch.equal(law.stress(F, history(law, F)), expected)


def test_von_mises_without_flow_returns_the_trial_state_to_the_last_bit() -> None:
    law = ElastoPlastic(Hencky(**MODULI), VonMises(1e9))
    F = strained(20).float()
    assert torch.equal(law.update(F, F.new_zeros(20, 0), DT).F_elastic, F)


@pytest.mark.parametrize("law", [Corotated, Hencky], ids=lambda law: law.name)
@pytest.mark.parametrize(
    "sigma", [(1, 1, 1), (2, 1, 1), (1.2, 1.2, 0.7), (1 + 1e-9, 1, 1 - 1e-9), (1.1, 0.8, -0.3)]
)
def test_gradients_at_coinciding_and_negative_singular_values(
    law: type[YoungPoissonElasticity], sigma: tuple[float, ...]
) -> None:
    F = rotations(8) @ torch.diag(torch.tensor(sigma, dtype=torch.float64)) @ rotations(8)
    made = law(**MODULI)
    check_pullback(made, F, F.new_zeros(8, 0))


def test_gradient_of_yield_at_two_equal_singular_values() -> None:
    """Uniaxial compression, where the published code's gradient is a masked NaN."""
    for plasticity in ("von-mises", "hardening-von-mises", "drucker-prager", "herschel-bulkley"):
        law = analytic("hencky", plasticity)
        F = rotations(8) @ torch.diag(torch.tensor([1.0, 1.0, 0.7], dtype=torch.float64))
        check_pullback(law, F @ rotations(8), history(law, F))


@pytest.mark.parametrize("law", [NeoHookean(**MODULI), analytic("volumetric", "fluid-reset")])
def test_collapse_is_not_hidden(law: ConstitutiveLaw) -> None:
    F = torch.diag(torch.tensor([1.0, 1.0, -0.1], dtype=torch.float64))[None]
    assert law.update(F, F.new_zeros(1, 0), DT).tau.isnan().any()


def test_device_and_learned_parts_combine() -> None:
    learned_flow = ElastoPlastic(Corotated(**MODULI), InvariantSmoothPlasticity(seed=0).double())
    learned_stress = ElastoPlastic(InvariantSmoothElasticity(seed=0).double(), FluidReset())
    for law in (learned_flow, learned_stress):
        F = strained(5)
        assert law.twin is None
        check_pullback(law, F, F.new_zeros(5, 0))


def test_strided_and_empty_input() -> None:
    law, F = analytic("hencky", "von-mises", damped=True), strained(6)
    internal = history(law, F)
    expected = law.update(F, internal, DT)
    strided = F.mT.contiguous().mT
    wide = torch.cat([internal, internal], 1)[:, :9]
    got = law.update(strided, wide, DT)
    assert torch.equal(got.tau, expected.tau)
    empty = law.update(F[:0], internal[:0], DT)
    assert empty.tau.shape == (0, 3, 3)


def test_second_derivatives_are_refused() -> None:
    law, F = Corotated(**MODULI), strained(2).requires_grad_()
    tau = law.stress(F, F.new_zeros(2, 0))
    (slope,) = torch.autograd.grad(tau.sum(), F, create_graph=True)
    with pytest.raises(NotImplementedError, match="first derivatives only"):
        slope.sum().backward()


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (lambda: Corotated(-1.0, 0.3), "young > 0"),
        (lambda: Corotated(math.nan, 0.3), "young > 0"),
        (lambda: Corotated(1e5, 0.5), "poisson < 0.5"),
        (lambda: Corotated(1e5, -1.0), "-1 < poisson"),
        (lambda: Volumetric(1e5, 0.0), "0 < poisson"),
        (lambda: VonMises(0.0), "yield_stress > 0"),
        (lambda: HardeningVonMises(0.0, 1e4), "yield_stress > 0"),
        (lambda: HardeningVonMises(1e3, math.inf), "finite modulus"),
        (lambda: ElastoPlastic(Hencky(1e5, 0.25), HardeningVonMises(1e3, -8e4)), "more than -2 mu"),
        (lambda: DruckerPrager(100.0), "degrees"),
        (lambda: DruckerPrager(30.0, -0.1), "cohesion >= 0"),
        (lambda: Damped(Corotated(1e5, 0.3), -1.0), "time >= 0"),
    ],
)
def test_bad_parameters_are_refused(make: Callable[[], nn.Module], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        make()


def test_bad_combinations_are_refused() -> None:
    with pytest.raises(TypeError, match="ElastoPlastic\\(Hencky"):
        VonMises(1e3).return_map(torch.eye(3)[None])
    with pytest.raises(TypeError, match="elastic moduli"):
        ElastoPlastic(InvariantSmoothElasticity(seed=0), VonMises(1e3))
    with pytest.raises(TypeError, match="expected a Plasticity"):
        ElastoPlastic(Hencky(1e5, 0.3), Corotated(1e5, 0.3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="undamped analytic law"):
        Damped(Damped.example(), 1e-3)


def test_bad_input_is_refused() -> None:
    law = Damped.example()
    with pytest.raises(TypeError, match="float16"):
        law.stress(torch.eye(3, dtype=torch.float16)[None], torch.zeros(1, 9))
    with pytest.raises(ValueError, match=r"\(q, 3, 3\)"):
        law.stress(torch.eye(3), torch.zeros(1, 9))
    with pytest.raises(ValueError, match="rest_internal"):
        law.update(torch.eye(3)[None], torch.zeros(1, 0), DT)
    hardening = analytic("hencky", "hardening-von-mises", damped=True)
    for columns in (1, 9, 11):
        with pytest.raises(ValueError, match=r"expected internal of shape \(1, 10\)"):
            hardening.update(torch.eye(3)[None], torch.zeros(1, columns), DT)
    with pytest.raises(ValueError, match=r"expected internal of shape \(1, 1\)"):
        hardening.stress(torch.eye(3)[None], torch.zeros(1, 9))


def test_a_subclass_of_an_analytic_law_has_its_device_form_or_its_own_stress() -> None:
    """Under another name it computes as its parent does; with a stress of its own in torch."""

    class Renamed(Corotated):
        name = "renamed"

    class Softened(Corotated):
        name = "softened"

        def stress(self, F_elastic: torch.Tensor, internal: torch.Tensor) -> torch.Tensor:
            return 0.5 * Corotated(self.young.item(), 0.3).stress(F_elastic, internal)

    F = torch.eye(3).double() + 0.1 * torch.randn(5, 3, 3, dtype=torch.float64)
    parent, none = Corotated(1e5, 0.3), torch.zeros(5, 0, dtype=torch.float64)
    assert Renamed(1e5, 0.3).twin == parent.twin
    expected = parent.update(F, none, 1e-3).tau
    assert torch.equal(Renamed(1e5, 0.3).update(F, none, 1e-3).tau, expected)
    assert Softened(1e5, 0.3).twin is None
    assert torch.equal(Softened(1e5, 0.3).update(F, none, 1e-3).tau, 0.5 * expected)
    with pytest.raises(TypeError, match="reads elastic moduli, which Softened lacks"):
        ElastoPlastic(Softened(1e5, 0.3), VonMises(1e3))
