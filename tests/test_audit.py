# SPDX-License-Identifier: Apache-2.0
"""The audit of laws: each flaw is caught by the check for it, and by that alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor

from rheograd.engine.audit import work
from rheograd.engine.audit.audit import Audit, audit, extrapolation
from rheograd.engine.audit.probe import Probe
from rheograd.engine.audit.stiffness import acoustic, least_acoustic, moduli_at_rest
from rheograd.engine.audit.strain_box import StrainBox, suited
from rheograd.engine.curves import uniaxial
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import (
    Corotated,
    Hencky,
    NeoHookean,
    StVenantKirchhoff,
    Volumetric,
    det3,
)
from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.j2_plasticity import J2Plasticity
from rheograd.materials.law import ConstitutiveLaw, Elasticity, Plasticity, Response
from rheograd.materials.learned.invariant import InvariantFull, InvariantFullElasticity
from rheograd.materials.plastic import VonMises
from rheograd.materials.provenance import Provenance
from rheograd.materials.rubber import MooneyRivlin, Ogden, Yeoh
from rheograd.materials.small_strain import Hyperbolic, LinearElastic

YOUNG, POISSON = 1e5, 0.3
MU = YOUNG / (2 * (1 + POISSON))
LAMBDA = YOUNG * POISSON / ((1 + POISSON) * (1 - 2 * POISSON))
BOX = StrainBox((0.8, 1.25), (0.6, 1.6))


class Double(Elasticity):
    """A neo-Hookean law to be spoilt."""

    name = "double"

    def good(self, F: Tensor) -> Tensor:
        """τ = μ (F Fᵀ − I) + λ log J I."""
        eye = torch.eye(3).to(F)
        return MU * (F @ F.mT - eye) + LAMBDA * det3(F).log()[:, None, None] * eye

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        return self.good(F_elastic)

    @classmethod
    def example(cls) -> Double:
        return cls()


class Turning(Double):
    """It answers in axes that do not turn along."""

    name = "turning"

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        values, axes = torch.linalg.eigh(F_elastic.mT @ F_elastic)
        return self.good(axes @ torch.diag_embed(values.sqrt()) @ axes.mT)


class Tense(Double):
    """It bears a stress at rest, a ten thousandth of its stiffness: ψ gains 1e-4 μ J."""

    name = "tense"

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        J = det3(F_elastic)[:, None, None]
        return self.good(F_elastic) + 1e-4 * MU * J * torch.eye(3).to(F_elastic)


class Twisting(Double):
    """Its stress has a torque, F W Fᵀ by the square of the strain's trace, W a skew matrix."""

    name = "twisting"

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        F = F_elastic
        W = torch.zeros(3, 3).to(F)
        W[0, 1], W[1, 0] = 1.0, -1.0
        trace = F.square().sum((1, 2)) - 3
        return self.good(F) + 0.01 * MU * trace.square()[:, None, None] * (F @ W @ F.mT)


class Swinging(Double):
    """Isotropic, but the derivative of no energy."""

    name = "swinging"

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        F = F_elastic
        eye, J = torch.eye(3).to(F), det3(F)[:, None, None]
        return MU * J**0.5 * (F @ F.mT - eye) + LAMBDA * J.log() * eye


class Boasting(NeoHookean):
    """It gives an energy a tenth too large."""

    name = "boasting"

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        return 1.1 * super().energy(F_elastic, internal)


class Yielding(Double):
    """A small strain in one direction is helped: a fibre along x pushes."""

    name = "yielding"

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        fibre = F_elastic[:, :, 0]
        push = 1.5 * YOUNG * (fibre.square().sum(1) - 1)
        return self.good(F_elastic) - push[:, None, None] * fibre[:, :, None] * fibre[:, None]


class Lost(Double):
    """Not a number where it is stretched by more than a fifth."""

    name = "lost"

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        far = F_elastic.square().sum((1, 2)) > 1.2**2 + 2
        return torch.where(far[:, None, None], torch.nan, self.good(F_elastic))


class Growing(Plasticity):
    """A flow backwards: elastic deviators grow by themselves, once a step."""

    name = "growing"

    def return_map(self, F_trial: Tensor) -> Tensor:
        U, sigma, Vh = torch.linalg.svd(F_trial)
        strain = sigma.log()
        deviator = strain - strain.mean(1, keepdim=True)
        beyond = (deviator.norm(dim=1, keepdim=True) > 0.02) * 2e-3
        return U @ torch.diag_embed((strain + beyond * deviator).exp()) @ Vh


def failed(found: Audit) -> set[str]:
    return {f.name for f in found.findings if f.verdict == "fail"}


def warned(found: Audit) -> set[str]:
    return {f.name for f in found.findings if f.verdict == "warning"}


@cache
def audited(kind: type[ConstitutiveLaw]) -> Audit:
    return audit(kind.example(), box=BOX, curves=())


@pytest.mark.parametrize(
    ("law", "name"),
    [
        (Turning(), "objectivity"),
        (Tense(), "rest without stress"),
        (Twisting(), "angular momentum"),
        (Swinging(), "no work from cycles"),
        (Boasting(YOUNG, POISSON), "stress of the energy"),
        (Lost(), "finite stress"),
        (ElastoPlastic(Hencky(YOUNG, POISSON), Growing()), "no work from cycles"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_flaw_is_caught_and_nothing_else(law: ConstitutiveLaw, name: str) -> None:
    found = audit(law, box=BOX)
    assert failed(found) == {name}
    assert not found.passed
    finding = found.named(name)
    assert finding.worst is not None
    assert finding.worst.shape == (3, 3)
    if not isinstance(law, (Turning, ElastoPlastic, Lost)):  # their tangents or curves suffer too
        assert not warned(found)


def test_an_unstable_rest_fails_with_what_follows_from_it() -> None:
    found = audit(Yielding(), box=BOX)
    assert failed(found) == {"stiffness at rest"}
    assert found.named("stiffness at rest").value < -0.1  # type: ignore[operator]


def test_the_sizes_of_flaws() -> None:
    """Of a rest stress 1e-4 μ by 3K, of an energy a tenth too large, and of lost numbers."""
    tense = audited(Tense).named("rest without stress").value
    bulk = LAMBDA + 2 / 3 * MU + 1e-4 * MU * 2 / 3  # the stress at rest adds to its own tangent
    assert tense == pytest.approx(math.sqrt(3) * 1e-4 * MU / (3 * bulk), rel=1e-3)
    boasting = (
        audit(Boasting(YOUNG, POISSON), box=BOX, curves=()).named("stress of the energy").value
    )
    assert boasting == pytest.approx(0.1, rel=1e-9)
    lost = audited(Lost).named("finite stress")
    assert 0 < lost.value < 1  # type: ignore[operator]


@pytest.mark.parametrize(
    "law",
    [
        NeoHookean(YOUNG, POISSON), Corotated.example(), Hencky.example(), MooneyRivlin.example(),
        Yeoh.example(), Ogden.example(), LinearElastic.example(), Hyperbolic.example(),
        J2Plasticity.example(), Damped.example(), Volumetric.example(),
    ],
    ids=lambda law: law.name,
)  # fmt: skip
def test_sound_laws_pass(law: ConstitutiveLaw) -> None:
    found = audit(law)
    assert found.passed
    assert not warned(found)
    assert found.named("isotropy").value < 1e-11  # type: ignore[operator]
    assert found.flows == isinstance(law, (Damped, J2Plasticity))
    assert all(f.sentence and f.formula for f in found.findings)


def test_perfect_plasticity_passes_and_tells_that_its_force_falls() -> None:
    """P = τ/λ falls where τ stays; a hardening metal's does not (above)."""
    found = audit(ElastoPlastic.example())
    assert found.passed
    assert found.flows
    assert warned(found) == {"rising curves"}
    assert "costs work" not in found.named("no work from cycles").sentence
    assert "cost work" in found.named("no work from cycles").sentence


def test_invariant_full_makes_work() -> None:
    """The elasticity as published, with random weights: no energy, and a torque."""
    found = audited(InvariantFullElasticity)
    assert {"no work from cycles", "angular momentum"} <= failed(found)
    made = found.named("no work from cycles")
    assert made.value > 0.05  # type: ignore[operator]
    assert "swing up" in made.sentence
    flowing = audit(InvariantFull(1e5, 1e-3, seed=1), box=BOX, curves=())
    assert flowing.flows
    assert "no work from cycles" in failed(flowing)


def test_net_work_against_the_area_of_a_cycle() -> None:
    """τ = c F W̃ Fᵀ, S = c E₂₂ e₁⊗e₁: the work of a cycle is c times its area in (E₁₁, E₂₂)."""

    class Areal(Double):
        name = "areal"

        def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
            F = F_elastic
            S = torch.zeros_like(F)
            S[:, 0, 0] = 3e4 * 0.5 * (F[:, :, 1].square().sum(1) - 1)
            return F @ S @ F.mT

    s = torch.arange(1, work.STEPS + 1, dtype=torch.float64) / work.STEPS
    E11 = 0.2 * torch.sin(2 * torch.pi * s)
    E22 = 0.1 * (1 - torch.cos(2 * torch.pi * s))
    stretches = torch.stack([(1 + 2 * E11).sqrt(), (1 + 2 * E22).sqrt(), torch.ones_like(s)], 1)
    F = torch.diag_embed(stretches)[:, None]
    probe = Probe(Areal(), 5e-4)
    found = work.worked(probe, F, probe.path(F))
    # ∮ E₂₂ dE₁₁, an ellipse of half-axes 0.2 and 0.1 against the clock: minus its area
    assert float(found.net[0]) == pytest.approx(-3e4 * math.pi * 0.2 * 0.1, rel=1e-12)
    assert float(found.unsure[0]) < 1e-9 * abs(float(found.net[0]))


def test_work_of_a_cycle_with_flow_against_its_closed_form() -> None:
    """Small strains, pure shear to and fro: what perfect plasticity costs is k times the flow."""
    law = J2Plasticity(2e5, 0.3, 300.0)
    mu = 2e5 / 2.6
    top = 0.01
    s = torch.arange(1, work.STEPS + 1, dtype=torch.float64) / work.STEPS
    e = top * torch.where(s < 0.25, 4 * s, torch.where(s < 0.75, 2 - 4 * s, 4 * s - 4))
    F = torch.eye(3, dtype=torch.float64).repeat(work.STEPS, 1, 1, 1)
    F[:, 0, 0, 0] += e
    F[:, 0, 1, 1] -= e
    probe = Probe(law, 5e-4)
    found = work.worked(probe, F, probe.path(F))
    assert found.path.flows
    k = 300.0 / math.sqrt(3)  # σ_xx = −σ_yy = k at yield, e_y = k/2μ
    e_y = k / (2 * mu)
    flow = (top - e_y) + (2 * top - 2 * e_y) + (top - 2 * e_y)
    # at the end e = 0, the elastic strain is +e_y (flowed back), energy 2 · ½ · 2μ e_y²
    expected = 2 * k * flow + 2 * mu * e_y**2
    assert float(found.net[0]) == pytest.approx(expected, rel=1e-3)
    assert abs(float(found.net[0]) - expected) < 5 * float(found.unsure[0])


def test_moduli_of_a_neo_hookean_law() -> None:
    found = moduli_at_rest(Probe(NeoHookean(YOUNG, POISSON), 5e-4))
    bulk = LAMBDA + 2 / 3 * MU
    expected = (YOUNG, POISSON, bulk, MU, 2 * MU, 3 * bulk)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert not found.fluid
    assert moduli_at_rest(Probe(Volumetric(YOUNG, POISSON), 5e-4)).fluid


def test_moduli_of_a_law_of_plane_strain() -> None:
    law = EquiNO(True, (-0.04,) * 3, (0.04,) * 3, 1e5, (8,), (8,), (1, 1))
    C = torch.tensor([[LAMBDA + 2 * MU, LAMBDA, 0], [LAMBDA, LAMBDA + 2 * MU, 0], [0, 0, MU]])
    law.potential.rest_tangent.copy_(C.double())
    found = moduli_at_rest(Probe(law, 5e-4))
    assert found.shear == pytest.approx(MU, rel=1e-6)
    assert found.young == pytest.approx(YOUNG, rel=1e-6)


def test_the_acoustic_tensor_at_rest_has_the_squares_of_two_waves() -> None:
    """Least eigenvalue μ; without shear directions, along N, λ + 2μ."""
    probe = Probe(NeoHookean(YOUNG, POISSON), 5e-4)
    A = probe.elastic_tangent(probe.identity[None])[1]
    assert float(acoustic(A)) == pytest.approx(MU, rel=1e-12)
    N = torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64) / math.sqrt(6)
    Q = torch.einsum("iJkL,J,L->ik", A[0], N, N)
    values = torch.linalg.eigvalsh(Q)
    np.testing.assert_allclose(values, [MU, MU, LAMBDA + 2 * MU], rtol=1e-12)


def test_directions_are_improved_beyond_those_that_are_tried() -> None:
    """A form whose minimum, 0, is at one pair of directions between all that are tried."""
    generator = torch.Generator().manual_seed(5)
    N, a = (torch.randn(3, generator=generator, dtype=torch.float64) for _ in range(2))
    N, a = N / N.norm(), a / a.norm()
    eye = torch.eye(3, dtype=torch.float64)
    # |a'|²|N'|² − (a·a')²(N·N')²
    A = torch.einsum("ik,JL->iJkL", eye, eye) - torch.einsum("i,J,k,L->iJkL", a, N, a, N)
    assert float(acoustic(A[None])) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("low", "lost"), [(0.89, False), (0.86, True)])
def test_st_venant_kirchhoff_loses_ellipticity_under_pressure(low: float, lost: bool) -> None:
    """At a stretch s of all axes a shear wave has Q = (3λ + 2μ)(s² − 1)/2 + μ s².

    It is lost from s² = (3λ + 2μ)/(3λ + 4μ) on, s = 0.874 for ν = 0.3.
    """
    law = StVenantKirchhoff(YOUNG, POISSON)
    limit = math.sqrt((3 * LAMBDA + 2 * MU) / (3 * LAMBDA + 4 * MU))
    assert limit == pytest.approx(0.8745, abs=1e-4)
    box = StrainBox((low, 1.1), (low**3, 1.1))
    value, F = least_acoustic(Probe(law, 5e-4), box, 0)
    expected = (3 * LAMBDA + 2 * MU) * (low**2 - 1) / 2 + MU * low**2
    assert value <= expected * (1 + math.copysign(1e-3, expected))
    assert (value < 0) == lost
    assert F is not None
    found = audit(law, box=box, curves=())
    assert found.passed
    assert ("strong ellipticity" in warned(found)) == lost


def test_waves_along_a_column_are_lost_at_the_known_stretch() -> None:
    """A column whose sides are held: dP/dλ = (λ + 2μ)(3 s² − 1)/2 is 0 at s = 1/√3 = 0.58."""
    probe = Probe(StVenantKirchhoff(YOUNG, POISSON), 5e-4)
    e = torch.eye(3, dtype=torch.float64)[0]

    def along(s: float) -> float:
        F = torch.diag(torch.tensor([s, 1.0, 1.0], dtype=torch.float64))[None]
        A = probe.elastic_tangent(F)[1][0]
        return float(torch.einsum("iJkL,i,J,k,L->", A, e, e, e, e))

    assert brentq(along, 0.4, 0.9, xtol=1e-12) == pytest.approx(1 / math.sqrt(3), abs=1e-10)
    assert along(0.8) == pytest.approx((LAMBDA + 2 * MU) * (3 * 0.64 - 1) / 2, rel=1e-10)


def test_lost_ellipticity_alone_is_a_warning() -> None:
    """λ log J softens where J grows: a nearly incompressible neo-Hookean law, blown up."""
    found = audit(NeoHookean(YOUNG, 0.49), box=StrainBox((0.7, 1.6), (0.35, 4.0)))
    assert found.passed
    assert warned(found) == {"strong ellipticity"}
    worst = found.named("strong ellipticity").worst
    assert worst is not None
    assert float(det3(worst[None])) > 2.5


def test_forces_that_fall_are_told_with_where() -> None:
    """Of Hencky's law P = E log λ/λ in uniaxial loading, which falls from e on."""
    law = Hencky(YOUNG, 0.0)
    found = audit(law, box=StrainBox((0.2, 4.0), (0.5, 2.0)), curves=[
        uniaxial(law, stretch=(0.9, 4.0), rate=40.0)
    ])  # fmt: skip
    finding = found.named("rising curves")
    assert finding.verdict == "warning"
    told = float(finding.sentence.rpartition("from ")[2].partition(" on")[0])
    assert told == pytest.approx(math.e, abs=0.06)


def test_baker_ericksen_at_rest_and_under_pressure() -> None:
    """(τᵢ − τⱼ)/(log λᵢ − log λⱼ) is 2μ of Hencky's law everywhere: value 1."""
    found = audited(Hencky).named("Baker-Ericksen")
    assert found.value == pytest.approx(1.0, abs=1e-9)
    box = StrainBox((0.75, 1.1), (0.43, 1.1))
    lost = audit(StVenantKirchhoff(YOUNG, POISSON), box=box, curves=())
    assert {"Baker-Ericksen", "strong ellipticity"} == warned(lost)


def test_beyond_what_it_was_fitted_over_is_told() -> None:
    law = NeoHookean(YOUNG, POISSON)
    law.provenance = Provenance(stretch=(0.9, 1.2))
    inside = audit(law, curves=())
    assert inside.named("within the fitted range").verdict == "pass"
    assert inside.box.stretch == (0.9, 1.2)
    wide = extrapolation(law, StrainBox((0.9, 1.5), (0.8, 1.3)))
    assert wide.verdict == "warning"
    assert wide.value == pytest.approx(1.5 / 1.2 - 1)
    assert "25 % beyond" in wide.sentence


def test_boxes() -> None:
    law = NeoHookean(YOUNG, 0.4999)
    bulk_by_shear = (LAMBDA + 2 / 3 * MU) / MU
    assert suited(law, bulk_by_shear).stretch == (0.75, 4 / 3)
    stiff = suited(law, 1000.0).volume
    assert stiff[1] == pytest.approx(math.exp(6 * math.log(4 / 3) / 1000), rel=1e-9)
    law.provenance = Provenance(stretch=(1.0, 3.0), volume=(0.8, 1.1))
    assert suited(law, 1000.0).stretch == (0.99, 3.0)
    assert suited(law, 1000.0).volume == (0.8, 1.1)
    box = StrainBox((0.7, 1.5), (0.9, 1.05))
    for small in (False, True):
        e = box.drawn(500, small=small, dim=3, seed=0)
        low, high = (v - 1 if small else math.log(v) for v in box.stretch)
        least, most = (v - 1 if small else math.log(v) for v in box.volume)
        assert float(e.min()) == pytest.approx(low)
        assert float(e.max()) == pytest.approx(high)
        assert least - 1e-12 <= float(e.sum(1).min()) < 0 < float(e.sum(1).max()) <= most + 1e-12
    for bad in ((1.1, 1.4), (0.0, 1.2), (0.5, math.inf)):
        with pytest.raises(ValueError, match="rest is inside"):
            StrainBox(bad, (0.9, 1.1))


@pytest.mark.parametrize("law", [NeoHookean(YOUNG, POISSON), LinearElastic.example()])
def test_cycles_fill_the_box_from_rest_to_rest(law: ConstitutiveLaw) -> None:
    probe = Probe(law, 5e-4)
    found = work.cycles(probe, BOX, 1)
    F = found.F
    assert torch.equal(F[-1], torch.eye(3, dtype=torch.float64).expand(F.shape[1:]))
    stretches = torch.linalg.svdvals(F)
    assert float(stretches.max()) <= 1.25 + 1e-9
    assert float(stretches.min()) >= 0.8 - 1e-9
    far = (stretches - 1).abs().amax((0, 2))
    assert float(far[0::2].min()) > 0.15
    assert float(far[1::2].max()) < 0.14


def test_the_same_seed_gives_the_same_findings() -> None:
    one, two, other = (audit(Swinging(), box=BOX, seed=s, curves=()) for s in (3, 3, 4))
    values: Sequence[Sequence[float | None]] = [
        [f.value for f in found.findings] for found in (one, two, other)
    ]
    assert values[0] == values[1]
    assert values[0] != values[2]
    assert one.as_json() == two.as_json()


def test_the_law_is_left_as_it_is() -> None:
    law = NeoHookean(YOUNG, POISSON).to(torch.float32)
    audit(law, box=BOX, curves=())
    assert law.young.dtype == torch.float32
    assert law.young.requires_grad


def test_a_history_turns_along() -> None:
    """A damped law keeps F of the last step, and is objective all the same."""
    found = audited(Damped)
    assert found.named("objectivity").value < 1e-11  # type: ignore[operator]
    assert found.named("isotropy").value < 1e-11  # type: ignore[operator]


class Fixed(Double):
    """A law that remembers how far it was, and then pushes along x."""

    name = "fixed"
    n_internal = 1

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        push = torch.zeros(3, 3).to(F_trial)
        push[0, 0] = 0.01 * MU
        tau = self.good(F_trial) + internal[:, :, None] * push
        return Response(tau, F_trial, F_trial.square().sum((1, 2))[:, None] - 3)


def test_a_history_in_fixed_axes_is_not_objective() -> None:
    assert "objectivity" in failed(audited(Fixed))


def test_strength_of_yield_is_kept() -> None:
    """Von Mises' flow within an elastic box: nothing flows, and cycles give all back."""
    law = ElastoPlastic(Hencky(YOUNG, POISSON), VonMises(10 * YOUNG))
    found = audit(law, box=BOX, curves=())
    assert not found.flows
    assert found.named("no work from cycles").value < 1e-9  # type: ignore[operator]
