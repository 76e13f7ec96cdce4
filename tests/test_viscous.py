# SPDX-License-Identifier: Apache-2.0
"""Newtonian viscosity: its stress at a given rate, and the decay of a vortex in particles."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from finite_elements import NOTHING
from material_states import check_pullback, history, relative, strained

from rheograd.engine.boundaries import FACES, Wall
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Hencky, NeoHookean, det3
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import VonMises
from rheograd.materials.viscous import Viscous

EYE = torch.eye(3, dtype=torch.float64)
DENSITY = 1e3


def test_the_stress_of_a_fluid_at_a_given_rate() -> None:
    """σ = 2η D' + ζ tr D I − p I, however compressed it is; the pressure is of its volume."""
    bulk, eta, zeta, dt = 1e4, 7.0, 3.0, 1e-3
    law = Viscous.water(bulk, eta, zeta)
    L = 20 * torch.randn(10, 3, 3).double()
    F_n = EYE * (0.7 + 0.6 * torch.rand(10, 1, 1).double())
    F = (EYE + dt * L) @ F_n
    found = law.update(F, F_n.flatten(1), dt)
    D = (L + L.mT) / 2
    spread = D.diagonal(dim1=1, dim2=2).sum(1)[:, None, None] * EYE
    J = det3(F)[:, None, None]
    cauchy = 2 * eta * (D - spread / 3) + zeta * spread + bulk * (J - 1) * EYE
    assert relative(found.tau / J, cauchy) < 1e-12
    assert relative(found.F_elastic, J ** (1 / 3) * EYE) < 1e-14
    assert torch.equal(found.internal, found.F_elastic.flatten(1))
    assert law.viscosity() == pytest.approx(4 / 3 * eta + zeta)
    still = law.update(F_n, F_n.flatten(1), dt).tau
    assert relative(still, law.stress(F_n, F_n.flatten(1))) < 1e-14


def test_the_power_of_a_swelling_drop_is_that_of_its_current_volume() -> None:
    """∫ τ : D dt per volume at rest is ∫ ζ (tr D)² J dt = ζ r (J₁ − J₀) at tr D = r."""
    zeta, r, steps = 3.0, 40.0, 4000
    law, dt = Viscous.water(1e3, 1.0, zeta), 1 / (40.0 * 4000)
    F, work = 0.8 * EYE[None], 0.0
    internal = F.flatten(1)
    for _ in range(steps):
        moved = (1 + r * dt / 3) * F
        with torch.no_grad():
            found = law.update(moved, internal, dt)
            viscous = found.tau - law.stress(moved, moved.flatten(1))
        work += float(viscous[0].trace()) * r / 3 * dt
        F, internal = found.F_elastic, found.internal
    grown = float(det3(F)) - 0.512
    assert work == pytest.approx(zeta * r * grown, rel=1e-3)
    assert grown > 0.8


def test_it_damps_as_a_relaxation_time_does() -> None:
    """η = t μ and ζ = t b K are the Kelvin-Voigt damping of a solid, J times as much."""
    solid, t, b = NeoHookean(2e5, 0.3), 2e-3, 0.4
    mu, lam = solid.coefficients().tolist()
    damped = Damped(solid, t, b)
    viscous = Viscous(solid, t * mu, t * b * (lam + 2 / 3 * mu))
    F = strained(10)
    internal = history(damped, F)
    elastic = solid.update(F, internal[:, :0], 1e-3).tau
    a, c = damped.update(F, internal, 1e-3).tau, viscous.update(F, internal, 1e-3).tau
    assert relative(c - elastic, det3(F)[:, None, None] * (a - elastic)) < 1e-12
    assert viscous.viscosity() == pytest.approx(damped.viscosity(), rel=1e-12)


@pytest.mark.parametrize(
    "law",
    [
        Viscous.water(1e4, 5.0),
        Viscous.water(1e4, 1e-3, 2.0),
        Viscous(ElastoPlastic(Hencky(1e5, 0.3), VonMises(2e3)), 30.0, 4.0),
    ],
)
def test_gradients(law: ConstitutiveLaw) -> None:
    """Of F, F_n, the moduli and both viscosities."""
    F = strained(10)
    check_pullback(law, F, history(law, F))


@pytest.mark.filterwarnings("ignore:.*particles a cell")
def test_a_vortex_decays_at_the_rate_of_its_viscosity() -> None:
    """What η adds to the rate of decay is 2 ν k², within 2 %; energy falls all the time.

    The vortex of Taylor and Green (1923) in a box with slip walls, k = π per metre. The transfers
    of 16 cells at 6 ms a step add a rate of their own, 0.15/s for any η: that of 7.5 Pa s.
    """
    rates = {eta: decay(eta) for eta in (10.0, 40.0)}
    exact = {eta: 2 * eta / DENSITY * math.pi**2 for eta in rates}
    own = [rates[eta] - exact[eta] for eta in rates]
    assert all(0.0 < rate < 0.16 for rate in own)
    assert rates[40.0] - rates[10.0] == pytest.approx(exact[40.0] - exact[10.0], rel=0.02)


def decay(eta: float) -> float:
    """Rate at which the velocity of a vortex falls [1/s], from a quarter of a second to one."""
    cell, k, speed = 1 / 16, math.pi, 1e-2
    box = (1.0, 1.0, 2 * cell)
    body = Body(Box(box, (0.5, 0.5, cell)), Viscous.water(1e4, eta), DENSITY)
    walls = [Wall(face, "slip") for face in FACES]
    scene = Scene([body], walls, NOTHING, duration=1.0, domain=Domain((0.0, 0.0, 0.0), box))
    solver = MPMSolver(cell, precision="float64")
    model = solver.discretize([scene])
    x = model.x0
    a, b = k * x[:, 0], k * x[:, 1]
    v = speed * torch.stack([a.sin() * b.cos(), -a.cos() * b.sin(), 0 * a], 1)
    C = x.new_zeros(len(x), 3, 3)
    C[:, 0, 0], C[:, 0, 1] = k * speed * a.cos() * b.cos(), -k * speed * a.sin() * b.sin()
    C[:, 1, 1], C[:, 1, 0] = -C[:, 0, 0], -C[:, 0, 1]
    state = solver.state(model, x, v, EYE.repeat(len(x), 1, 1), C=C)
    steps = round(1.0 / model.dt)
    watched = [steps // 4, steps // 2, 3 * steps // 4, steps]
    with torch.no_grad():
        out = solver.rollout(model, state, steps, observe=watched)
    energies = [float(w.square().sum()) for w in (v, *out.v)]
    assert all(late < early for early, late in pairwise(energies))
    first, last = (float((w * v).sum()) for w in (out.v[0], out.v[-1]))
    return math.log(first / last) / (model.dt * (watched[-1] - watched[0]))


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="shear_viscosity > 0"):
        Viscous.water(1e4, 0.0)
    with pytest.raises(ValueError, match="bulk_viscosity >= 0"):
        Viscous.water(1e4, 1.0, -1.0)
    with pytest.raises(TypeError, match="undamped analytic law"):
        Viscous(Damped.example(), 1.0)
