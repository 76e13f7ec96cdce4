# SPDX-License-Identifier: Apache-2.0
"""Herschel-Bulkley flow: closed forms, its flow curve in shear, limits, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from material_states import check_pullback, relative, rotations, strained
from torch import Tensor

from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky, det3
from rheograd.materials.flows import HerschelBulkley
from rheograd.materials.plastic import VonMises

E, NU = 2e5, 0.3
MU = E / (2 * (1 + NU))
EYE = torch.eye(3, dtype=torch.float64)
EXPONENTS = (0.15, 0.4, 1.0, 1.7, 5.0)


def paste(yield_stress: float, consistency: float, exponent: float) -> ElastoPlastic:
    return ElastoPlastic(Hencky(E, NU), HerschelBulkley(yield_stress, consistency, exponent))


def none(F: Tensor) -> Tensor:
    return F.new_zeros(len(F), 0)


def deviator(tau: Tensor) -> Tensor:
    return tau - tau.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * EYE


def size(tau: Tensor) -> Tensor:
    """‖dev τ‖, shape (q,)."""
    return deviator(tau).flatten(1).norm(dim=1)


def elastic_size(F: Tensor) -> Tensor:
    return size(Hencky(E, NU).update(F, none(F), 1.0).tau)


def test_bingham_step_in_closed_form() -> None:
    """s = (K s_trial + 2μ dt σ_y)/(K + 2μ dt), along the trial stress; the volume is kept."""
    y, K, dt = 1e4, 300.0, 1e-3
    F = strained(40)
    trial = Hencky(E, NU).update(F, none(F), dt).tau
    found = paste(y, K, 1.0).update(F, none(F), dt)
    s = size(trial)
    expected = torch.where(s > y, (K * s + 2 * MU * dt * y) / (K + 2 * MU * dt), s)
    assert 5 < int((s > y).sum())
    assert relative(size(found.tau), expected) < 1e-12
    along = deviator(trial) * (expected / s)[:, None, None]
    assert relative(deviator(found.tau), along) < 1e-11
    assert relative(det3(found.F_elastic), det3(F)) < 1e-12


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("dt", [1e-6, 1e-3, 10.0])
def test_the_step_solves_its_equation(exponent: float, dt: float) -> None:
    """s = σ_y + K ((s_trial − s)/(2μ dt))ⁿ, over fourteen decades of consistencies."""
    y, F = 8e3, strained(20)
    trial = elastic_size(F)
    flows = trial > y
    for consistency in 10.0 ** torch.arange(-6.0, 9.0, 2.0).double():
        found = size(paste(y, consistency.item(), exponent).update(F, none(F), dt).tau)
        assert torch.allclose(found[~flows], trial[~flows], rtol=1e-12)
        s, s_trial = found[flows], trial[flows]
        # in the form whose terms do not cancel: one of overstress and relaxation is large
        rate = (s_trial - s).clamp_min(0) / (2 * MU * dt)
        by_curve = ((s - y).clamp_min(0) / consistency) ** (1 / exponent) * 2 * MU * dt
        slow = s_trial - s < 0.5 * (s_trial - y)
        assert torch.allclose((s_trial - s)[slow], by_curve[slow], rtol=1e-9, atol=1e-9 * E)
        by_rate = y + consistency * rate**exponent
        assert torch.allclose(s[~slow], by_rate[~slow], rtol=1e-9, atol=1e-9 * E)
    assert bool(flows.any())


def test_no_consistency_is_perfect_plasticity() -> None:
    F, y = strained(40), 1e4
    expected = ElastoPlastic(Hencky(E, NU), VonMises(y)).update(F, none(F), 1e-3)
    for exponent in EXPONENTS:
        found = paste(y, 0.0, exponent).update(F, none(F), 1e-3)
        assert relative(found.tau, expected.tau) < 1e-12
        nearly = paste(y, 1e-3 / 300.0**exponent, exponent).update(F, none(F), 1e-3)
        assert relative(nearly.tau, expected.tau) < 1e-6


def test_without_a_yield_stress_it_is_a_maxwell_fluid() -> None:
    """Held still, dev τ falls by 1/(1 + dt/t) a step, t = K/(2μ); at last exponentially."""
    K, steps = 50.0, 2000
    time = K / (2 * MU)
    F = strained(5)
    law, dt, total = paste(0.0, K, 1.0), 2.0 * time / steps, elastic_size(F)
    for _ in range(steps):
        F = law.update(F, none(F), dt).F_elastic
    found = size(law.stress(F, none(F))) / total
    assert torch.allclose(found, torch.full_like(found, (1 + 2.0 / steps) ** -steps), rtol=1e-9)
    assert torch.allclose(found, torch.full_like(found, math.exp(-2.0)), rtol=2e-3)


@pytest.mark.parametrize("exponent", [0.4, 1.0, 1.7])
def test_steady_shear_lies_on_the_flow_curve(exponent: float) -> None:
    """Shear stress over shear rate is τ_y + κ Γⁿ, of the numbers of a rheometer."""
    tau_y, kappa = 20.0, 5.0
    flow = HerschelBulkley.of_shear(tau_y, kappa, exponent)
    law = ElastoPlastic(Hencky(E, NU), flow)
    for shear_rate in (0.1, 1.0, 10.0):
        dt = 1e-4 / shear_rate
        grad = torch.zeros(1, 3, 3, dtype=torch.float64)
        grad[0, 0, 1] = shear_rate
        F, tau = EYE[None], grad
        for _ in range(500):
            found = law.update((EYE + dt * grad) @ F, none(F), dt)
            F, tau = found.F_elastic.detach(), found.tau.detach()
        expected = tau_y + kappa * shear_rate**exponent
        assert float(tau[0, 0, 1]) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("consistency", [0.3, 30.0, 3e3])
def test_gradients_in_every_regime(exponent: float, consistency: float) -> None:
    """Of thin and thick pastes: those that relax at once and those that hardly do."""
    F = strained(10)
    check_pullback(paste(5e3, consistency, exponent), F, none(F))


def test_turned_it_answers_turned_and_its_tangent_is_symmetric() -> None:
    law, F, Q = paste(5e3, 40.0, 0.5), strained(10), rotations(10)
    a, b = law.update(F, none(F), 1e-3), law.update(Q @ F, none(F), 1e-3)
    assert relative(b.tau, Q @ a.tau @ Q.mT) < 1e-12
    assert law.symmetric
    assert not ElastoPlastic(Corotated(E, NU), law.plasticity).symmetric


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ((-1.0, 1.0, 1.0), "yield_stress >= 0"),
        ((1.0, -1.0, 1.0), "consistency >= 0"),
        ((1.0, 1.0, 0.0), "exponent > 0"),
        ((1.0, math.nan, 1.0), "consistency >= 0"),
    ],
)
def test_bad_parameters_are_refused(given: tuple[float, float, float], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        HerschelBulkley(*given)
