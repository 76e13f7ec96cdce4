# SPDX-License-Identifier: Apache-2.0
"""What laws refuse, and input that is unusual: collapsed, strided, empty."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from analytic_formulas import MODULI, analytic
from material_states import DT, history, strained
from torch import nn

from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky, NeoHookean, Volumetric
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantSmoothElasticity
from rheograd.materials.plastic import DruckerPrager, HardeningVonMises, VonMises


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


@pytest.mark.parametrize("law", [NeoHookean(**MODULI), analytic("volumetric", "fluid-reset")])
def test_collapse_is_not_hidden(law: ConstitutiveLaw) -> None:
    F = torch.diag(torch.tensor([1.0, 1.0, -0.1], dtype=torch.float64))[None]
    assert law.update(F, F.new_zeros(1, 0), DT).tau.isnan().any()


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
