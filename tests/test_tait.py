# SPDX-License-Identifier: Apache-2.0
"""Weakly compressible water: its pressure, energy and gradients, and a column at rest."""

from __future__ import annotations

import math

import pytest
import torch
from material_states import check_pullback, history, relative, rotations, strained

from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Volumetric, det3
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import FluidReset
from rheograd.materials.tait import Tait
from rheograd.materials.viscous import Viscous

EYE = torch.eye(3, dtype=torch.float64)


def test_pressure_in_closed_form() -> None:
    """Water of 2.2 GPa pressed by 1 % is under 23 MPa; sheared and turned it is the same."""
    law = Tait(2.2e9)
    shear = EYE.clone()
    shear[0, 1] = 0.4
    F = rotations(4) @ shear * 0.99 ** (1 / 3)
    expected = 2.2e9 / 7 * (0.99**-7 - 1)
    assert expected == pytest.approx(22.9e6, rel=5e-3)
    assert (
        relative(law.stress(F, F.new_zeros(4, 0)) / -0.99, expected * EYE.expand(4, 3, 3)) < 1e-10
    )


@pytest.mark.parametrize("exponent", [1.4, 7.0, 7.15])
def test_stress_is_the_slope_of_the_energy(exponent: float) -> None:
    law, F = Tait(1e5, exponent), strained(20).requires_grad_()
    none = F.detach().new_zeros(20, 0)
    energy = law.energy(F, none)
    assert float(law.energy(EYE[None], none[:1]).detach()) == 0.0
    assert bool((energy > 0).all())
    (slope,) = torch.autograd.grad(energy.sum(), F)
    assert relative(law.stress(F, none), slope @ F.mT) < 1e-12
    check_pullback(law, F.detach(), none)


def test_small_changes_of_volume_are_those_of_a_linear_fluid() -> None:
    F = EYE * (1 + 1e-6 * torch.randn(10, 1, 1).double())
    none = F.new_zeros(10, 0)
    linear = Volumetric(1e5, 0.3)
    bulk = linear.wave_modulus()
    assert relative(Tait(bulk).stress(F, none), linear.stress(F, none)) < 3e-5


@pytest.mark.parametrize(
    "law",
    [
        ElastoPlastic(Tait(1e5), FluidReset()),
        Viscous(ElastoPlastic(Tait(1e5), FluidReset()), 5.0, 2.0),
    ],
)
def test_gradients_of_a_liquid(law: ConstitutiveLaw) -> None:
    F = strained(10)
    check_pullback(law, F, history(law, F))
    found = law.update(F, history(law, F), 1e-2)
    J = det3(F)[:, None, None]
    assert relative(found.F_elastic, J ** (1 / 3) * EYE) < 1e-13
    assert law.wave_modulus() == 1e5


def test_collapse_is_not_hidden_and_bad_parameters_are_refused() -> None:
    F = torch.diag(torch.tensor([1.0, 1.0, -0.1], dtype=torch.float64))[None]
    assert Tait(1e5, 7.15).stress(F, F.new_zeros(1, 0)).isnan().any()
    with pytest.raises(ValueError, match="bulk > 0"):
        Tait(0.0)
    for exponent in (1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="more than 1"):
            Tait(1e5, exponent)
