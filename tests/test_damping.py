# SPDX-License-Identifier: Apache-2.0
"""How much of the bulk Kelvin-Voigt damping takes, and the time steps that damping allows."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.materials.composition import Damped
from rheograd.materials.elastic import Corotated
from rheograd.materials.law import ConstitutiveLaw

DT = 1e-2


def rubber(time: float, bulk: float) -> Damped:
    return Damped(Corotated(young=2e5, poisson=0.45), time, bulk)


def moving(q: int = 5) -> tuple[Tensor, Tensor]:
    """Deformation gradients at the end of a step and, as history, at its start."""
    F = torch.eye(3, dtype=torch.float64) + 0.1 * torch.randn(q, 3, 3, dtype=torch.float64)
    return F, (F + 0.02 * torch.randn_like(F)).flatten(1)


@pytest.mark.parametrize("bulk", [0.0, 0.3, 1.0])
def test_formula(bulk: float) -> None:
    law, (F, history) = rubber(5e-3, bulk), moving()
    mu, lam = law.law.coefficients().tolist()
    L = (F @ torch.linalg.inv(history.unflatten(1, (3, 3))) - torch.eye(3)) / DT
    D = 0.5 * (L + L.mT)
    tr_D = torch.diag_embed(D.diagonal(dim1=1, dim2=2).sum(1)[:, None].expand(-1, 3))
    expected = 5e-3 * (2 * mu * (D - tr_D / 3) + bulk * (lam + 2 / 3 * mu) * tr_D)
    found = law.update(F, history, DT).tau - law.law.update(F, history[:, :0], DT).tau
    found = found.detach()
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-12


def test_all_of_the_bulk_is_the_default() -> None:
    F, history = moving()
    by_default = Damped(Corotated(young=2e5, poisson=0.45), 5e-3).update(F, history, DT)
    assert torch.equal(
        by_default.tau.detach(), rubber(5e-3, 1.0).update(F, history, DT).tau.detach()
    )


def test_pullback_against_differences() -> None:
    law, (F, history) = rubber(5e-3, 0.3), moving(2)
    tau_bar, F_bar = torch.randn_like(F), torch.randn_like(F)
    internal_bar = torch.randn_like(history)

    def value(F: Tensor, history: Tensor) -> Tensor:
        with torch.no_grad():
            out = law.update(F, history, DT)
            parts = (tau_bar * out.tau, F_bar * out.F_elastic, internal_bar * out.internal)
            return sum((p.sum() for p in parts), torch.zeros(()))

    back = law.pullback(F, history, DT, tau_bar, F_bar, internal_bar)
    e, a, b = 1e-6, torch.randn_like(F), torch.randn_like(history)
    slope = (value(F + e * a, history + e * b) - value(F - e * a, history - e * b)) / (2 * e)
    found = (back.F_trial * a).sum() + (back.internal * b).sum()
    assert float(found) == pytest.approx(float(slope), rel=1e-7)
    for parameter, gradient in zip(law.parameters(), back.parameters, strict=True):
        step = 1e-5 * float(parameter.detach())
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * step
            values.append(float(value(F, history)))
            with torch.no_grad():
                parameter -= sign * step
        slope = (values[0] - values[1]) / (2 * step)
        assert float(gradient) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_shares_out_of_range_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match="0 <= bulk <= 1"):
        rubber(1e-3, share)


def test_share_is_kept_in_files(tmp_path: Path) -> None:
    rubber(1e-3, 0.25).save(tmp_path / "law.safetensors")
    law = ConstitutiveLaw.load(tmp_path / "law.safetensors")
    assert isinstance(law, Damped)
    assert law.bulk == 0.25


def block(law: ConstitutiveLaw) -> Scene:
    return Scene([Body(Box((0.4, 0.2, 0.2), (0.5, 0.3, 0.5)), law, 1e3)], duration=0.02)


@pytest.mark.parametrize(("bulk", "shorter"), [(0.0, 1.5), (1.0, 10.0)])
def test_automatic_steps_are_stable_under_damping(bulk: float, shorter: float) -> None:
    solver = MPMSolver(cell=0.1)
    free = solver.discretize(block(rubber(0.0, bulk))).dt
    model = solver.discretize(block(rubber(6e-2, bulk)))
    assert model.dt < free / shorter
    end = solver.rollout(model, solver.start(model), round(0.02 / model.dt)).last
    assert float(end.v.abs().max()) < 0.25


def test_steps_that_damping_forbids_are_refused() -> None:
    with pytest.raises(ValueError, match="the damping of body"):
        MPMSolver(cell=0.1, dt=1e-3).discretize(block(rubber(2e-2, 1.0)))
