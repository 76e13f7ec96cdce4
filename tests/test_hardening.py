# SPDX-License-Identifier: Apache-2.0
"""Von Mises plasticity that hardens or softens: closed forms, its limits, and what is recorded."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from finite_elements import NOTHING, block
from material_states import check_pullback, relative, rotations, strained
from torch import Tensor

from rheograd.engine.boundaries import Floor
from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Hencky
from rheograd.materials.j2_plasticity import J2Plasticity
from rheograd.materials.plastic import HardeningVonMises, VonMises

E, NU = 2e5, 0.3
MU = E / (2 * (1 + NU))
Y, H = 1e3, 6e4
ROOT = math.sqrt(1.5)
EYE = torch.eye(3, dtype=torch.float64)


def metal(hardening: float = H, yield_stress: float = Y) -> ElastoPlastic:
    return ElastoPlastic(Hencky(E, NU), HardeningVonMises(yield_stress, hardening))


class Point:
    """A point that is strained from rest, along axes that are turned."""

    def __init__(self, law: ElastoPlastic) -> None:
        self.law, self.strain = law, torch.zeros(3, dtype=torch.float64)
        self.axes = rotations(1)[0]
        self.F, self.internal = EYE[None], law.rest_internal(1, EYE)

    def to(self, strain: Tensor) -> Tensor:
        """Principal Kirchhoff stresses [Pa], shape (3,), at the principal Hencky strains (3,)."""
        move = self.axes @ torch.diag((strain - self.strain).exp()) @ self.axes.T
        with torch.no_grad():
            found = self.law.update(move @ self.F, self.internal, 1.0)
            held = self.law.stress(found.F_elastic, found.internal)
        assert torch.allclose(held, found.tau, rtol=0, atol=1e-12 * E)
        self.F, self.internal, self.strain = found.F_elastic, found.internal, strain
        tau = self.axes.T @ found.tau[0] @ self.axes
        assert (tau - tau.diag().diag()).abs().max() < 1e-10 * E
        return tau.diag()


def uniaxial(tau: float, plastic: float) -> Tensor:
    """Hencky strains under a stress along one axis and a plastic strain along it."""
    lateral = -NU * tau / E - plastic / 2
    return torch.tensor([tau / E + plastic, lateral, lateral], dtype=torch.float64)


def test_uniaxial_pull_unloading_and_reversal() -> None:
    """|τ| = √(3/2) (σ_y + H κ) where it flows, κ = √(3/2) Σ |Δε_p|; unloading is elastic."""
    path = Point(metal())

    def limit(kappa: float) -> float:
        return ROOT * (Y + H * kappa)

    def check(tau: float, plastic: float, kappa: float) -> None:
        found = path.to(uniaxial(tau, plastic))
        expected = torch.tensor([tau, 0.0, 0.0], dtype=torch.float64)
        assert torch.allclose(found, expected, rtol=0, atol=1e-9 * E)
        assert float(path.internal) == pytest.approx(kappa, rel=1e-9, abs=1e-16)

    a, b, c = 0.02 * ROOT, 0.05 * ROOT, 0.07 * ROOT
    check(0.9 * limit(0.0), 0.0, 0.0)
    check(limit(a), 0.02, a)
    check(limit(b), 0.05, b)
    check(0.0, 0.05, b)
    check(-0.99 * limit(b), 0.05, b)
    check(-limit(c), 0.03, c)
    check(0.98 * limit(c), 0.03, c)


def test_slope_of_the_flowing_branch() -> None:
    """dτ/dε = E 3/2 H / (E + 3/2 H) in uniaxial tension, by the consistent tangent as well."""
    law = metal()
    kappa = 0.03
    tau, plastic = ROOT * (Y + H * kappa), kappa / ROOT
    elastic = uniaxial(tau, 0.0)
    F = torch.diag(elastic.exp())[None]
    internal = torch.full((1, 1), kappa, dtype=torch.float64)
    small = 1e-9 * EYE[0]  # flows
    D = law.tangent(F * (1 + small), internal, 1.0)[0]
    D = torch.stack([torch.stack([D[i, i, j, j] * F[0, j, j] for j in range(3)]) for i in range(3)])
    across = torch.linalg.solve(D[1:, 1:], -D[1:, 0])
    slope = float(D[0, 0] + D[0, 1:] @ across)
    assert slope == pytest.approx(E * 1.5 * H / (E + 1.5 * H), rel=1e-6)
    assert plastic > 0


def test_without_hardening_it_is_perfect_plasticity() -> None:
    F = strained(40)
    perfect = ElastoPlastic(Hencky(E, NU), VonMises(Y))
    a = perfect.update(F, F.new_zeros(40, 0), 1.0)
    b = metal(0.0).update(F, F.new_zeros(40, 1), 1.0)
    assert relative(b.tau, a.tau) < 1e-12
    assert relative(b.F_elastic, a.F_elastic) < 1e-13


def test_small_strains_are_those_of_j2_plasticity() -> None:
    """With σ_y = √(2/3) yield_stress, H = 2/3 hardening and κ = √(3/2) α."""
    small = 1e-5
    j2 = J2Plasticity(E, NU, ROOT * Y * small, 1.5 * H)
    law = metal(yield_stress=Y * small)
    strain = 0.005 * small * torch.randn(30, 3, 3, dtype=torch.float64)
    F = EYE + 0.5 * (strain + strain.mT)
    alpha = 0.01 * small * torch.rand(30, 1, dtype=torch.float64)
    a, b = j2.update(F, alpha, 1.0), law.update(F, ROOT * alpha, 1.0)
    flowed = b.internal > ROOT * alpha
    assert 5 < int(flowed.sum()) < 30
    assert relative(b.tau, a.tau) < 1e-6
    assert relative(b.internal, ROOT * a.internal) < 1e-6


def test_softened_to_nothing_it_bears_pressure_alone() -> None:
    law = metal(-2e4)
    F = strained(30)
    internal = 0.06 * torch.rand(30, 1, dtype=torch.float64)  # σ_y/|H| is 0.05
    found = law.update(F, internal, 1.0)
    gone = found.internal[:, 0] >= 0.05
    assert 5 < int(gone.sum())
    deviator = found.tau - found.tau.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * EYE
    size = deviator.flatten(1).norm(dim=1)
    expected = (Y - 2e4 * found.internal[:, 0]).clamp_min(0)
    assert torch.allclose(size, expected, rtol=1e-9, atol=1e-9 * E)
    check_pullback(law, F, internal)


def test_a_limit_that_falls_too_fast_is_answered_with_a_nan() -> None:
    law = metal(-1e4)
    with torch.no_grad():
        dict(law.named_parameters())["plasticity.hardening"].fill_(-2.1 * MU)  # as a fit may
    F = torch.stack([EYE, torch.diag(torch.tensor([1.2, 1.0, 0.9], dtype=torch.float64))])
    tau = law.update(F, F.new_zeros(2, 1), 1.0).tau
    assert tau[0].isfinite().all() and tau[1].isnan().any()


def test_damping_stands_behind_the_history() -> None:
    law = Damped(metal(), 1e-3)
    rest = law.rest_internal(2, EYE)
    assert torch.equal(rest, torch.cat([EYE.new_zeros(1, 1), EYE.reshape(1, 9)], 1).repeat(2, 1))
    F = torch.diag(torch.tensor([1.1, 1.0, 0.95], dtype=torch.float64)).repeat(2, 1, 1)
    damped, plain = law.update(F, rest, 1e9), metal().update(F, rest[:, :1], 1e9)
    assert torch.equal(damped.internal[:, :1], plain.internal)
    assert torch.equal(damped.internal[:, 1:], plain.F_elastic.flatten(1))
    assert relative(damped.tau, plain.tau) < 1e-9
    assert torch.equal(law.recorded(damped.internal)["plastic_strain"], plain.internal[:, 0])


@pytest.mark.filterwarnings("ignore:.*particles a cell")
def test_particles_record_their_plastic_strain(tmp_path: Path) -> None:
    """Of a block that lands hard, beside an elastic one, which has none; the file holds it."""
    clay = Body(Box((0.2, 0.2, 0.2), (0.3, 0.1, 0.3)), metal(yield_stress=300.0), 1e3, (0, -3, 0))
    other = Body(Box((0.2, 0.2, 0.2), (0.7, 0.1, 0.3)), Hencky(E, NU), 1e3, (0, -3, 0))
    scene = Scene([clay, other], [Floor()], duration=0.02)
    out = simulate(scene, MPMSolver(0.05, precision="float64"), frames=4)
    kappa = out.fields["plastic_strain"]
    assert kappa.shape == out.x.shape[:2]
    assert not kappa[0].any() and not kappa[:, out.body == 1].any()
    assert float(kappa[-1].max()) > 0.01
    assert bool((kappa.diff(dim=0) >= 0).all())
    out.save(tmp_path / "clay.npz")
    again = Trajectory.load(tmp_path / "clay.npz")
    assert torch.equal(again.fields["plastic_strain"], kappa.float())


def test_elements_record_their_plastic_strain() -> None:
    """A bar pulled to a logarithmic strain has κ = √(3/2) of its plastic part."""
    loads = [
        Fixed("x-", "x"), Fixed("y-", "y"), Fixed("z-", "z"),
        Displacement("x+", (0.05, 0.0, 0.0), "x"),
    ]  # fmt: skip
    scene = Scene([Body(block("hex8", (2, 1, 1)), metal(), 1e3)], loads, gravity=NOTHING)
    out = simulate(scene, FESolver(integrator=Static(5), tolerance=1e-11))
    plastic = (E * math.log(1.05) - ROOT * Y) / (E + 1.5 * H)
    kappa = out.cell_fields["plastic_strain"][-1]
    assert kappa.shape == (2,)
    assert torch.allclose(kappa, torch.full_like(kappa, ROOT * plastic), rtol=1e-7)
