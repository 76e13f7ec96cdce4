# SPDX-License-Identifier: Apache-2.0
"""The device forms of analytic laws against their formulas, alone and combined."""

from __future__ import annotations

import pytest
import torch
from analytic_formulas import ELASTIC, MODULI, PLASTIC, analytic, formula
from material_states import DT, branches, check_pullback, history, relative, rotations, strained
from torch import Tensor

from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky, YoungPoissonElasticity
from rheograd.materials.law import Pullback
from rheograd.materials.learned.invariant import (
    InvariantSmoothElasticity,
    InvariantSmoothPlasticity,
)
from rheograd.materials.plastic import FluidReset, VonMises

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


@TWINS
def test_gradients_of_combinations(combination: tuple[str, str, bool]) -> None:
    law = analytic(*combination)
    F = torch.cat([strained(10), 0.05 * strained(10) + 0.95 * torch.eye(3, dtype=torch.float64)])
    check_pullback(law, F, history(law, F))


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


def test_device_and_learned_parts_combine() -> None:
    learned_flow = ElastoPlastic(Corotated(**MODULI), InvariantSmoothPlasticity(seed=0).double())
    learned_stress = ElastoPlastic(InvariantSmoothElasticity(seed=0).double(), FluidReset())
    for law in (learned_flow, learned_stress):
        F = strained(5)
        assert law.twin is None
        check_pullback(law, F, F.new_zeros(5, 0))


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
