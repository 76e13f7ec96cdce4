# SPDX-License-Identifier: Apache-2.0
"""What every law owes: objectivity, rest, exact gradients, a wave modulus, its device form."""

from __future__ import annotations

import pytest
import torch
from analytic_formulas import PLASTIC
from material_states import DT, check_pullback, history, relative, rotations, strained
from torch import Tensor
from walk import every

from rheograd.kernels.laws.analytic import AROUND, ELASTICITIES, PLASTICITIES
from rheograd.materials.composition import Damped
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import AnalyticPlasticity

EVERY = pytest.mark.parametrize("law", every(ConstitutiveLaw), ids=lambda law: law.name)


def example(law: type[ConstitutiveLaw]) -> ConstitutiveLaw:
    """An example in float64; learned weights are moved off the structure they start with."""
    out = law.example().double()
    with torch.no_grad():
        for weight in out.parameters():
            if weight.ndim:
                weight += 0.1 * torch.randn_like(weight)
    return out


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


def test_every_device_law_has_a_class() -> None:
    twins = [law.example().twin for law in every(ConstitutiveLaw)]
    fewer = {"ogden-1", "ogden-2"}  # of the terms of its example
    names = {twin.elasticity for twin in twins if twin}
    around = {name.split("(")[0].rpartition("-")[0] for name in names if "(" in name}
    assert {name for name in names if "(" not in name} == set(ELASTICITIES) - fewer
    assert around == set(AROUND)
    assert {law.name for law in every(AnalyticPlasticity)} == set(PLASTICITIES) - {"none"}
    assert set(PLASTIC) == set(PLASTICITIES) - {"none"}
