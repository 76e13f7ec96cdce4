# SPDX-License-Identifier: Apache-2.0
"""Von Mises plasticity of small strains: closed forms of loading, unloading and reversal."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.generators import box
from rheograd.engine.scene import Body, Scene
from rheograd.materials.j2_plasticity import J2Plasticity

EYE = torch.eye(3, dtype=torch.float64)
E, NU, Y0, H = 200e9, 0.3, 300e6, 2e9
LAWS = {
    "perfect": J2Plasticity(E, NU, Y0),
    "linear": J2Plasticity(E, NU, Y0, H),
    "voce": J2Plasticity(E, NU, Y0, H, saturation=150e6, rate=60.0),
}
EACH = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())


class Path:
    """A point that is strained step by step from rest."""

    def __init__(self, law: J2Plasticity) -> None:
        self.law, self.internal = law, law.rest_internal(1, EYE)
        self.plastic = torch.zeros_like(EYE)

    def to(self, strain: Tensor) -> Tensor:
        """Stress under a whole strain, shape (3, 3)."""
        found = self.law.update((EYE + strain - self.plastic)[None], self.internal, 1.0)
        self.internal = found.internal.detach()
        self.plastic = (EYE + strain - found.F_elastic[0]).detach()
        return found.tau[0].detach()


def uniaxial(sigma: float, plastic: float) -> Tensor:
    """Strain under a stress along x and a plastic strain along it."""
    e, lateral = sigma / E + plastic, -NU * sigma / E - plastic / 2
    return torch.diag(torch.tensor([e, lateral, lateral], dtype=torch.float64))


@EACH
def test_uniaxial_pull_unloading_and_reversal(law: J2Plasticity) -> None:
    """In uniaxial stress |σ| = Y(α) where it flows; unloading is elastic up to −Y."""

    def limit(alpha: float) -> float:
        voce = law.saturation.item() * (1 - torch.tensor(-law.rate.item() * alpha).exp().item())
        return Y0 + law.hardening.item() * alpha + voce

    path = Path(law)
    along = torch.zeros_like(EYE)
    along[0, 0] = 1.0

    def check(sigma: float, plastic: float, alpha: float) -> None:
        found = path.to(uniaxial(sigma, plastic))
        assert torch.allclose(found, sigma * along, rtol=0, atol=2e-7 * Y0)
        assert float(path.internal) == pytest.approx(alpha, rel=1e-7, abs=1e-16)
        expected = plastic * torch.diag(torch.tensor([1.0, -0.5, -0.5], dtype=torch.float64))
        assert torch.allclose(path.plastic, expected, rtol=0, atol=1e-9)

    check(0.9 * Y0, 0.0, 0.0)
    check(limit(0.01), 0.01, 0.01)
    check(limit(0.03), 0.03, 0.03)
    check(0.0, 0.03, 0.03)
    check(-0.99 * limit(0.03), 0.03, 0.03)
    check(-limit(0.05), 0.01, 0.05)
    check(limit(0.06), 0.02, 0.06)


def test_simple_shear_hardens_with_its_slope() -> None:
    """τ = τ_y + (γ − γ_y) μ h/(μ + h), h = H/3, τ_y = Y/√3: Simo and Hughes, section 1.2."""
    law = LAWS["linear"]
    mu, h, limit = E / (2 * (1 + NU)), H / 3, Y0 / 3**0.5
    path = Path(law)
    strain = torch.zeros_like(EYE)
    for gamma in (0.5 * limit / mu, limit / mu, 0.01, 0.02):
        strain[0, 1] = strain[1, 0] = gamma / 2
        expected = min(mu * gamma, limit + (gamma - limit / mu) * mu * h / (mu + h))
        found = path.to(strain)
        assert float(found[0, 1]) == pytest.approx(expected, rel=1e-10)
        assert float(found[0, 0].abs()) < 1e-6 * expected
    turned = limit + (0.02 - limit / mu) * mu * h / (mu + h)
    for back in (0.9 * turned / mu, 1.9 * turned / mu):
        strain[0, 1] = strain[1, 0] = (0.02 - back) / 2
        assert float(path.to(strain)[0, 1]) == pytest.approx(turned - mu * back, rel=1e-9)


def states(law: J2Plasticity, q: int = 24) -> tuple[Tensor, Tensor]:
    """Elastic trial states on both sides of the limit, and their history."""
    A = torch.randn(q, 3, 3, dtype=torch.float64)
    deviator = 0.5 * (A + A.mT)
    deviator = deviator / deviator.norm(dim=(1, 2), keepdim=True)
    size = Y0 / E * torch.linspace(0.3, 4.0, q, dtype=torch.float64)
    F = EYE + size[:, None, None] * deviator
    return F, 0.02 * torch.rand(q, 1, dtype=torch.float64)


@EACH
def test_tangent_and_its_symmetry(law: J2Plasticity) -> None:
    F, internal = states(law)
    found, D = law.linearize(F, internal, 1.0)
    flows = (found.internal > internal)[:, 0]
    assert 4 < int(flows.sum()) < len(F)
    again = law.update(F, internal, 1.0)
    assert torch.allclose(found.tau, again.tau, rtol=1e-13)
    assert torch.equal(found.internal, again.internal)
    C = D.flatten(3).flatten(1, 2)
    assert float((C - C.mT).abs().max() / C.abs().max()) < 1e-15
    h = 1e-8
    for k in range(3):
        for m in range(3):
            step = torch.zeros_like(EYE)
            step[k, m] = h
            with torch.no_grad():
                up, down = (law.update(F + s * step, internal, 1.0).tau for s in (1, -1))
            expected = (up - down) / (2 * h)
            assert float((D[..., k, m] - expected).abs().max() / E) < 1e-7


@EACH
def test_gradients(law: J2Plasticity) -> None:
    """By strain, history and parameters, where some points flow and some do not."""
    F, internal = states(law)
    tau_bar, F_bar = torch.randn_like(F) / E, torch.randn_like(F)
    internal_bar = torch.randn_like(internal)
    got = law.pullback(F, internal, 1.0, tau_bar, F_bar, internal_bar)

    def value(F: Tensor, internal: Tensor) -> float:
        with torch.no_grad():
            out = law.update(F, internal, 1.0)
        total = (tau_bar * out.tau).sum() + (F_bar * out.F_elastic).sum()
        return float(total + (internal_bar * out.internal).sum())

    dF, dh, h = torch.randn_like(F), torch.randn_like(internal), 1e-8
    expected = (value(F + h * dF, internal) - value(F - h * dF, internal)) / (2 * h)
    assert float((got.F_trial * dF).sum()) == pytest.approx(expected, rel=1e-6)
    expected = (value(F, internal + h * dh) - value(F, internal - h * dh)) / (2 * h)
    assert float((got.internal * dh).sum()) == pytest.approx(expected, rel=1e-6)
    for weight, slope in zip(law.parameters(), got.parameters, strict=True):
        before, values = weight.detach().clone(), []
        step = 1e-6 * max(float(before), 1.0)
        for sign in (1, -1):
            with torch.no_grad():
                weight.copy_(before + sign * step)
                values.append(value(F, internal))
                weight.copy_(before)
        expected = (values[0] - values[1]) / (2 * step)
        # the sum is of order 1, so that its differences are good to 1e-16/step
        assert float(slope) == pytest.approx(expected, rel=1e-5, abs=1e-14 / step)


def test_a_bar_of_finite_elements() -> None:
    """Pulled beyond yield and pushed back: the force of the closed form at each end."""
    law = LAWS["linear"]
    mesh = box((2.0, 1.0, 1.0), (2, 1, 1), element="hex8", corner=(0.0, 0.0, 0.0))
    strain, stress = 0.01, Y0 + (0.01 - Y0 / E) * E * H / (E + H)

    back = 1.5 * stress / E

    def pull(time: Tensor) -> Tensor:
        """Up to the strain in four steps of six, and back in two."""
        share = 6 * time
        amount = torch.where(share <= 4, strain * share / 4, strain - back * (share - 4) / 2)
        return torch.stack([2 * amount, 0 * amount, 0 * amount])

    sides = [Fixed("x-", "x"), Fixed("y-", "y"), Fixed("z-", "z"), Displacement("x+", pull, "x")]
    scene = Scene([Body(mesh, law, 1e3)], sides, (0.0, 0.0, 0.0), duration=1.0)
    solver = FESolver(integrator=Static(6), tolerance=1e-11)
    model = solver.discretize(scene)
    for steps, expected in ((4, stress), (6, -0.5 * stress)):
        state = solver.rollout(model, solver.start(model), steps).last
        tau, alpha = state.carry["tau"], state.internal
        assert torch.allclose(tau[:, 0, 0], tau.new_tensor(expected), rtol=1e-8)
        assert float(tau[:, 1:, 1:].abs().max()) < 1e-7 * stress
        assert torch.allclose(alpha, alpha.new_tensor(strain - stress / E), rtol=1e-8)


@pytest.mark.parametrize(
    ("more", "remedy"),
    [
        ({"poisson": 0.5}, "poisson < 0.5"),
        ({"yield_stress": 0.0}, "yield_stress > 0"),
        ({"hardening": -1.0}, "hardening >= 0"),
        ({"saturation": -1.0}, "saturation >= 0"),
        ({"rate": 0.0}, "rate > 0"),
    ],
)
def test_refused(more: dict[str, float], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        J2Plasticity(**{"young": E, "poisson": NU, "yield_stress": Y0, **more})
