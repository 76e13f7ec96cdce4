# SPDX-License-Identifier: Apache-2.0
"""Constitutive curves against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from rheograd.engine.curves import (
    Curve,
    equibiaxial,
    pure_shear,
    simple_shear,
    simple_shears,
    uniaxial,
    volumetric,
)
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky, NeoHookean, Volumetric
from rheograd.materials.fibres import FibreReinforced
from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.j2_plasticity import J2Plasticity
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantFull, InvariantSmooth
from rheograd.materials.plastic import DruckerPrager, FluidReset, VonMises
from rheograd.materials.small_strain import LinearElastic

YOUNG, POISSON = 1e5, 0.3
MU = YOUNG / (2 * (1 + POISSON))
LAMBDA = YOUNG * POISSON / ((1 + POISSON) * (1 - 2 * POISSON))
SHORT = (0.9, 1.2)

Principal = Callable[[float, float], float]


def neo_hookean(stretch: float, volume: float) -> float:
    """Principal Kirchhoff stress: μ (λ² − 1) + λ_Lamé log J."""
    return MU * (stretch**2 - 1) + LAMBDA * math.log(volume)


def corotated(stretch: float, volume: float) -> float:
    """Principal Kirchhoff stress: 2μ (λ − 1) λ + λ_Lamé J (J − 1)."""
    return 2 * MU * (stretch - 1) * stretch + LAMBDA * volume * (volume - 1)


@pytest.mark.parametrize(
    ("law", "tau"),
    [(NeoHookean(YOUNG, POISSON), neo_hookean), (Corotated(YOUNG, POISSON), corotated)],
    ids=["neo-hookean", "corotated"],
)
def test_elastic_uniaxial(law: ConstitutiveLaw, tau: Principal) -> None:
    curve = uniaxial(law)
    assert curve.complete
    assert curve.units == ("-", "Pa")
    assert (float(curve.x[0]), float(curve.x[-1])) == pytest.approx((0.7, 1.4))
    assert bool((curve.x.diff() > 0).all())
    expected = []
    for x in curve.x.tolist():
        side = brentq(lambda a, x=x: tau(a, x * a * a), 0.5, 2.0, xtol=1e-15)
        expected.append(tau(x, x * side * side) / x)
    np.testing.assert_allclose(curve.y.numpy(), expected, rtol=0, atol=1e-9 * YOUNG)


def test_equibiaxial_and_pure_shear() -> None:
    """τ_zz = 0 of stretches (λ, λ, s), and τ_yy = 0 of (λ, s, 1), by the closed form."""
    law = NeoHookean(YOUNG, POISSON)
    for curve, volume in (
        (equibiaxial(law, stretch=SHORT), lambda x, s: x * x * s),
        (pure_shear(law, stretch=SHORT), lambda x, s: x * s),
    ):
        expected = []
        for x in curve.x.tolist():
            side = brentq(lambda s, x=x, v=volume: neo_hookean(s, v(x, s)), 0.5, 2.0, xtol=1e-15)
            expected.append(neo_hookean(x, volume(x, side)) / x)
        np.testing.assert_allclose(curve.y.numpy(), expected, rtol=0, atol=1e-9 * YOUNG)


def test_sides_of_a_body_with_fibres() -> None:
    """Fibres along y: both sides have one stretch, at which the mean of their stresses is 0."""
    law = FibreReinforced(NeoHookean(YOUNG, POISSON), 2e4, 3.0, 0.0)
    fields = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    curve = uniaxial(law, stretch=(0.8, 1.1), fields=fields)

    def tau(x: float, side: float) -> torch.Tensor:
        F = torch.tensor([x, side, side], dtype=torch.float64).diag()[None]
        return law.double().stress(F, fields[None])[0].detach().diagonal()

    for k in (0, 40, -1):
        x = float(curve.x[k])
        side: Any = brentq(lambda a, x=x: float(tau(x, a)[1:].sum()), 0.7, 1.4, xtol=1e-15)
        assert float(curve.y[k]) == pytest.approx(float(tau(x, side)[0]) / x, abs=1e-9 * YOUNG)
        along, across = tau(x, side)[1:]
        assert x > 1 or along - across > 1e-2 * YOUNG, "the fibres pull"


def test_small_strains() -> None:
    """Of Hooke's law E ε; E/(1 − ν) ε; E/(1 − ν²) ε; μ γ; K tr ε; and a metal's yield stress."""
    law, reach = LinearElastic(YOUNG, POISSON), (0.98, 1.03)
    bulk = LAMBDA + 2 / 3 * MU
    for curve, modulus, rest in (
        (uniaxial(law, stretch=reach), YOUNG, 1.0),
        (equibiaxial(law, stretch=reach), YOUNG / (1 - POISSON), 1.0),
        (pure_shear(law, stretch=reach), YOUNG / (1 - POISSON**2), 1.0),
        (simple_shear(law, shear=0.03), MU, 0.0),
        (volumetric(law, volume=reach), bulk, 1.0),
    ):
        expected = modulus * (curve.x - rest)
        torch.testing.assert_close(curve.y, expected, rtol=1e-9, atol=1e-9 * YOUNG)
        assert float(curve.x[-1]) == pytest.approx(rest + 0.03)
    metal = uniaxial(J2Plasticity(YOUNG, POISSON, 300.0), stretch=(0.98, 1.02), rate=0.2)
    assert float(metal.y[-1]) == pytest.approx(300.0, rel=1e-6)


def test_a_law_of_plane_strain_stays_in_its_plane() -> None:
    """One side is free: E/(1 − ν²) ε; along both axes (λ + 2μ + λ) ε, with nothing free."""
    law = EquiNO(True, (-0.04,) * 3, (0.04,) * 3, 1e-9, (8,), (8,), (1, 1))
    C = torch.tensor([[LAMBDA + 2 * MU, LAMBDA, 0], [LAMBDA, LAMBDA + 2 * MU, 0], [0, 0, MU]])
    law.potential.rest_tangent.copy_(C.double())
    reach = (0.99, 1.01)
    for curve, modulus in (
        (uniaxial(law, stretch=reach), YOUNG / (1 - POISSON**2)),
        (equibiaxial(law, stretch=reach), 2 * LAMBDA + 2 * MU),
    ):
        torch.testing.assert_close(curve.y, modulus * (curve.x - 1), rtol=1e-5, atol=1e-6 * YOUNG)


def test_slope_at_rest_is_youngs_modulus() -> None:
    curve = uniaxial(NeoHookean(YOUNG, POISSON), stretch=(0.999, 1.001), rate=0.2)
    slope = float((curve.y[-1] - curve.y[0]) / (curve.x[-1] - curve.x[0]))
    assert slope == pytest.approx(YOUNG, rel=1e-5)


def test_elastic_shear() -> None:
    curve = simple_shear(NeoHookean(YOUNG, POISSON))
    torch.testing.assert_close(curve.y, MU * curve.x, rtol=1e-11, atol=1e-6)
    squeezed = simple_shear(NeoHookean(YOUNG, POISSON), compression=0.1)
    torch.testing.assert_close(squeezed.y, MU * 0.9 ** (2 / 3) * curve.x, rtol=1e-11, atol=1e-6)
    assert squeezed.name != curve.name


def test_shears_under_several_pressures_are_those_of_each_alone() -> None:
    shares = (0.0, 0.1, 0.05)
    words = ("at constant volume, planes", "10 % of its volume away", "5 % of its volume away")
    for curve, share, said in zip(
        simple_shears(NeoHookean(YOUNG, POISSON), shares, shear=0.1), shares, words, strict=True
    ):
        expected = MU * (1 - share) ** (2 / 3) * curve.x
        torch.testing.assert_close(curve.y, expected, rtol=1e-11, atol=1e-6)
        assert said in curve.loading
    damped = Damped(NeoHookean(YOUNG, POISSON), time=1e-3)  # with a history of its own
    together = simple_shears(damped, shares, shear=0.02)
    for curve, share in zip(together, shares, strict=True):
        alone = simple_shear(damped, shear=0.02, compression=share)
        assert torch.equal(curve.y, alone.y) and torch.equal(curve.x, alone.x)


@pytest.mark.parametrize(
    ("law", "tau"),
    [
        (NeoHookean(YOUNG, POISSON), neo_hookean),
        (Corotated(YOUNG, POISSON), corotated),
        (Volumetric(YOUNG, POISSON), lambda _, volume: LAMBDA * volume * (volume - 1)),
    ],
    ids=["neo-hookean", "corotated", "volumetric"],
)
def test_elastic_volumetric(law: ConstitutiveLaw, tau: Principal) -> None:
    curve = volumetric(law)
    expected = [tau(J ** (1 / 3), J) / J for J in curve.x.tolist()]
    np.testing.assert_allclose(curve.y.numpy(), expected, rtol=0, atol=1e-10 * YOUNG)


def test_metal_yields() -> None:
    """‖dev τ‖ = σ_y: τ_xx = √(3/2) σ_y with free sides, about σ_y/√2 in shear."""
    strength = 5e3
    law = ElastoPlastic(Hencky(3e5, 0.25), VonMises(strength))
    pulled = uniaxial(law, stretch=SHORT)
    flowing = (pulled.x.log().abs() > 0.03).numpy()
    tau = (pulled.x * pulled.y).numpy()[flowing]
    np.testing.assert_allclose(np.abs(tau), math.sqrt(1.5) * strength, rtol=1e-7)
    elastic = (pulled.x.log().abs() < 0.02).numpy()
    hencky = 3e5 * pulled.x.log().numpy()[elastic]
    np.testing.assert_allclose((pulled.x * pulled.y).numpy()[elastic], hencky, atol=1e-3)
    sheared = simple_shear(law, shear=0.2)
    assert float(sheared.y[-1]) == pytest.approx(strength / math.sqrt(2), rel=2e-3)
    squeezed = volumetric(law, volume=SHORT)
    bulk = 3e5 / (3 * (1 - 2 * 0.25))
    torch.testing.assert_close(squeezed.y, bulk * squeezed.x.log() / squeezed.x)


def test_sand_bears_shear_under_pressure_only() -> None:
    law = ElastoPlastic(Hencky(1e6, 0.2), DruckerPrager(25.0))
    assert float(simple_shear(law, shear=0.1).y.abs().max()) < 1e-3
    assert float(uniaxial(law, stretch=SHORT).y.abs().max()) < 1e-3
    mu, lam = 1e6 / 2.4, 1e6 * 0.2 / (1.2 * 0.6)
    alpha = math.sqrt(2 / 3) * 2 * math.sin(math.radians(25)) / (3 - math.sin(math.radians(25)))
    deviator = -(3 * lam + 2 * mu) / (2 * mu) * alpha * math.log(0.99)
    strength = 2 * mu * deviator / math.sqrt(2)
    sheared = simple_shear(law, shear=0.2, compression=0.01)
    assert float(sheared.y[-1]) == pytest.approx(strength, rel=1e-3)
    squeezed = volumetric(law, volume=SHORT)
    assert float(squeezed.y[-1]) == 0.0
    assert float(squeezed.y[0]) < -1e4


def test_fluid_bears_pressure_only() -> None:
    law = ElastoPlastic(Volumetric(YOUNG, POISSON), FluidReset())
    assert float(simple_shear(law, shear=0.1).y.abs().max()) == 0.0
    assert float(uniaxial(law, stretch=SHORT).y.abs().max()) < 1e-6
    squeezed = volumetric(law, volume=SHORT)
    torch.testing.assert_close(squeezed.y, LAMBDA * (squeezed.x - 1), rtol=1e-9, atol=1e-6)


def test_damping_adds_its_stress_at_the_given_rate() -> None:
    """τ_xy gains μ t γ̇, to first order."""
    law = Damped(NeoHookean(YOUNG, POISSON), time=1e-3)
    plain = simple_shear(law.law, shear=0.02, rate=2.0)
    damped = simple_shear(law, shear=0.02, rate=2.0)
    gain = damped.y[1:] - plain.y[1:]
    torch.testing.assert_close(gain, torch.full_like(gain, MU * 1e-3 * 2.0), rtol=2e-3, atol=0)


def test_learned_laws() -> None:
    """A new smooth law is a solid of known modulus; a float32 law is left as it is."""
    law = InvariantSmooth(seed=1).to(torch.float32)
    curve = uniaxial(law, stretch=(0.999, 1.001), rate=0.2)
    slope = float((curve.y[-1] - curve.y[0]) / (curve.x[-1] - curve.x[0]))
    assert slope == pytest.approx(1e5, rel=1e-2)
    assert curve.y.dtype == torch.float64
    assert next(law.parameters()).dtype == torch.float32


def test_a_law_without_an_answer_ends_its_curve() -> None:
    curve = uniaxial(InvariantFull(1e5, 1e-1, seed=3))
    assert not curve.complete
    assert curve.x.isfinite().all()


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.1), (0.93, 9.9), (0.93, 1.1)])
def test_an_end_of_a_curve_leaves_the_other_as_it_is(low: float, high: float) -> None:
    """Beyond a stretch nothing frees the sides."""

    class Torn(NeoHookean):
        name = "torn"

        def stress(self, F_elastic: torch.Tensor, internal: torch.Tensor) -> torch.Tensor:
            whole = NeoHookean(YOUNG, POISSON).double().stress(F_elastic, internal)
            x = F_elastic[:, 0, 0]
            push = torch.where((x > high) | (x < low), 1e3 * YOUNG, 0.0)
            return whole + push[:, None, None] * torch.eye(3, dtype=torch.float64)

    torn, sound = (
        uniaxial(Torn(YOUNG, POISSON), stretch=SHORT),
        uniaxial(NeoHookean(YOUNG, POISSON), stretch=SHORT),
    )
    inside = (torn.x < high) & (torn.x > low)
    assert not torn.complete and torch.equal(torn.x, sound.x)
    assert torch.equal(torn.y.isfinite(), inside)
    torch.testing.assert_close(torn.y[inside], sound.y[inside], rtol=0, atol=1e-9 * YOUNG)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (uniaxial, {"stretch": (1.1, 1.4)}, "starts at rest"),
        (uniaxial, {"dt": 0.0}, "above 0"),
        (simple_shear, {"shear": -0.5}, "shear"),
        (simple_shear, {"compression": 1.0}, "compression"),
        (volumetric, {"volume": (0.0, 1.2)}, "volume"),
    ],
)
def test_bad_ranges(function: Callable[..., Curve], arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(NeoHookean(YOUNG, POISSON), **arguments)
