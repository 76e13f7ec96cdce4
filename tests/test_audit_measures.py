# SPDX-License-Identifier: Apache-2.0
"""What single checks of an audit measure, and in which units: against figures by hand."""

from __future__ import annotations

import math

import pytest
import torch
from test_audit import BOX, LAMBDA, MU, POISSON, YOUNG, Double
from torch import Tensor

from rheograd.engine.audit import invariance, loadings, stiffness, work
from rheograd.engine.audit.audit import audit, extrapolation
from rheograd.engine.audit.probe import Path, Probe
from rheograd.engine.audit.stiffness import Moduli, moduli_at_rest
from rheograd.engine.audit.strain_box import StrainBox, suited
from rheograd.materials.elastic import NeoHookean, det3
from rheograd.materials.fibres import Active, FibreReinforced
from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.law import ConstitutiveLaw, Elasticity, Response
from rheograd.materials.learned.code_book import CodeBook
from rheograd.materials.provenance import Provenance
from rheograd.materials.small_strain import LinearElastic

DT = 5e-4


def pairs(probe: Probe) -> Tensor:
    """Two deformations in a row of 32 points, shape (2, 32, 3, 3)."""
    strains = BOX.drawn(64, small=probe.small, dim=probe.dim, seed=0)
    return probe.principal(strains, probe.rotations(64, 1)).unflatten(0, (2, 32))


class Small(Elasticity):
    """Hooke's law, λ tr ε I + 2μ ε, to be spoilt."""

    name = "test-small"
    kinematics = "small"

    def strain(self, F: Tensor) -> Tensor:
        return 0.5 * (F + F.mT) - torch.eye(3).to(F)

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        e = self.strain(F_elastic)
        trace = e.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
        return LAMBDA * trace * torch.eye(3).to(e) + 2 * MU * e

    @classmethod
    def example(cls) -> Small:
        return cls()


class Spun(Small):
    """The infinitesimal rotation about z makes a pressure."""

    name = "test-spun"

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        spin = 0.5 * (F_elastic[:, 1, 0] - F_elastic[:, 0, 1])[:, None, None]
        return super().stress(F_elastic, internal) + MU * spin * torch.eye(3).to(spin)


class SmallFibred(Small):
    """Twice as stiff along x."""

    name = "test-small-fibred"

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        found = super().stress(F_elastic, internal)
        found[:, 0, 0] += 2 * MU * self.strain(F_elastic)[:, 0, 0]
        return found


class Fibred(Double):
    """Fibres along x at rest: ψ gains c/4 (|F e₁|² − 1)²."""

    name = "test-fibred-along-x"

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        f = F_elastic[:, :, 0]
        pull = MU * (f.square().sum(1) - 1)
        return self.good(F_elastic) + pull[:, None, None] * f[:, :, None] * f[:, None]


class Borrowing(Double):
    """What was far from rest holds 300 J/m³ more, which nobody worked for; stresses are sound."""

    name = "test-borrowing"
    n_internal = 1

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        far = F_trial.square().sum((1, 2)) > 3.1
        return Response(self.good(F_trial), F_trial, far[:, None].to(F_trial))

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        J = det3(F_elastic)
        shape = 0.5 * MU * (F_elastic.square().sum((1, 2)) - 3 - 2 * J.log())
        return shape + 0.5 * LAMBDA * J.log().square() + 300.0 * internal[:, 0]


@pytest.mark.parametrize("law", [Small(), Spun(), Double()], ids=lambda law: law.name)
def test_infinitesimal_rotations_are_tried_of_small_strains(law: ConstitutiveLaw) -> None:
    probe = Probe(law, DT)
    found = invariance.objectivity(probe, pairs(probe), 3)
    assert found.verdict == ("fail" if isinstance(law, Spun) else "pass")
    assert isinstance(law, Spun) == (found.value > 0.1)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("law", "alike"), [(Small(), True), (SmallFibred(), False), (Double(), True), (Fibred(), False)]
)  # fmt: skip
def test_the_direction_of_loading_is_seen(law: ConstitutiveLaw, alike: bool) -> None:
    """Fibres are no flaw, but they are told, and principal stresses are then not compared."""
    probe = Probe(law, DT)
    F = pairs(probe)
    found = invariance.isotropy(probe, F, 4)
    assert (found.verdict, found.word) == ("information", "yes" if alike else "no")
    assert invariance.is_isotropic(found) == alike
    assert (found.worst is None) == alike
    assert alike or found.value > 0.1  # type: ignore[operator]
    assert invariance.objectivity(probe, F, 3).verdict == "pass"
    rises = stiffness.baker_ericksen(
        probe, BOX, moduli_at_rest(probe), isotropic=invariance.is_isotropic(found), seed=6
    )
    assert rises.verdict == ("pass" if alike else "not applicable")


class Noisy(NeoHookean):
    """Near rest two of its stresses are off by 1e-4 Pa."""

    name = "test-noisy"

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        J = det3(F_elastic)[:, None, None]
        eye = torch.eye(3).to(F_elastic)
        found = MU * (F_elastic @ F_elastic.mT - eye) + LAMBDA * J.log() * eye
        near = found.flatten(1).norm(dim=1) < 1e3
        found[:, 0, 1] += torch.where(near, 1e-4, 0.0)
        found[:, 1, 2] += torch.where(near, 1e-4, 0.0)
        return found


def test_small_stresses_count_as_a_hundredth_of_the_largest() -> None:
    """So that rounding of a stress near rest is no flaw, and one of a real stress is."""
    probe = Probe(Noisy(YOUNG, POISSON), DT)
    F = torch.eye(3, dtype=torch.float64).repeat(2, 2, 1, 1)
    F[1, 0] *= 1.1
    F[1, 1] *= 1 + 1e-6
    largest = float(probe.elastic_stress(F[1, :1]).norm())
    found = invariance.stress_symmetry(probe, F)
    assert found.value == pytest.approx(2e-4 / (0.01 * largest), rel=1e-9)
    derived = work.stress_and_energy(probe, F[1])
    assert derived.value == pytest.approx(math.sqrt(2) * 1e-4 / (0.01 * largest), rel=1e-6)


def test_a_box_below_what_was_fitted_over_is_told() -> None:
    law = NeoHookean(YOUNG, POISSON)
    law.provenance = Provenance(stretch=(0.9, 1.2))
    low = extrapolation(law, StrainBox((0.8, 1.1), (0.8, 1.3)))
    assert low.verdict == "warning"
    assert low.value == pytest.approx(0.9 / 0.8 - 1)
    assert extrapolation(law, StrainBox((0.9, 1.2), (0.8, 1.3))).verdict == "pass"


@pytest.mark.parametrize("limits", [(0.5, 1.5), (0.6, 3.0)])
def test_free_sides_of_the_curves_stay_in_the_box(limits: tuple[float, float]) -> None:
    """At constant volume sides have λ^-½, λ⁻² and 1/λ; one end of each curve is at the box."""
    low, high = limits
    curves = loadings.curves_within(
        NeoHookean(YOUNG, 0.45), StrainBox(limits, (0.9, 1.1)), flows=False
    )
    powers = {"uniaxial": -0.5, "equibiaxial": -2.0, "pure shear": -1.0}
    for curve in curves[:3]:
        ends = curve.x[[0, -1]]
        all_of_it = torch.cat([ends, ends ** powers[curve.name]])
        assert float(all_of_it.min()) >= low - 1e-9 and float(all_of_it.max()) <= high + 1e-9
        for end, side in zip(ends.tolist(), (ends ** powers[curve.name]).tolist(), strict=True):
            assert min(abs(v - w) for v in (end, side) for w in limits) < 1e-9
    assert float(curves[4].x[0]) == pytest.approx(0.9)
    assert float(curves[4].x[-1]) == pytest.approx(1.1)
    for curve in loadings.curves_within(
        LinearElastic(YOUNG, 0.45), StrainBox((0.99, 1.03), (0.99, 1.01)), flows=False
    )[:3]:
        sides = 1 + {"uniaxial": -0.5, "equibiaxial": -2.0, "pure shear": -1.0}[curve.name] * (
            curve.x[[0, -1]] - 1
        )
        both = torch.cat([curve.x[[0, -1]], sides])
        assert float(both.min()) >= 0.99 - 1e-9 and float(both.max()) <= 1.03 + 1e-9


def test_slopes_are_told_by_those_at_rest() -> None:
    """Of Hooke's law E, E/(1 − ν), E/(1 − ν²) by E, and μ by μ: the least is 1."""
    law = LinearElastic(YOUNG, POISSON)
    box = StrainBox((0.98, 1.02), (0.97, 1.03))
    curves = loadings.curves_within(law, box, flows=False)
    found = loadings.rising(curves, moduli_at_rest(Probe(law, DT)))
    assert found.value == pytest.approx(1.0, rel=1e-6)
    (shear,) = (c for c in curves if c.name == "simple shear")
    alone = loadings.rising([shear], moduli_at_rest(Probe(law, DT)))
    assert alone.value == pytest.approx(1.0, rel=1e-9)


def test_acoustic_stiffness_is_told_in_shear_moduli() -> None:
    """Of Hooke's law it is μ everywhere."""
    law = LinearElastic(YOUNG, POISSON)
    probe = Probe(law, DT)
    found = stiffness.ellipticity(probe, StrainBox((0.98, 1.02), (0.97, 1.03)),
                                  moduli_at_rest(probe), 0)  # fmt: skip
    assert found.value == pytest.approx(1.0, rel=1e-9)


def test_a_fluid_that_grows_by_itself_is_not_stable() -> None:
    """K < 0 is no pass for want of a stiffness of shape."""
    for bulk, verdict in ((2e5, "pass"), (-2e5, "fail")):
        ends = sorted((0.0, 3 * bulk))
        moduli = Moduli(0.0, 0.5, bulk, 0.0, *ends)
        assert moduli.fluid
        assert stiffness.stiffness_at_rest(moduli).verdict == verdict
    weak = Moduli(0.0, 0.5, 1e5, 0.0, -1e3, 3e5)
    assert stiffness.stiffness_at_rest(weak).verdict == "fail"


def test_energy_that_nobody_worked_for_is_seen() -> None:
    """Its cycles cost nothing and give nothing; the work less the stored energy falls by 300."""
    probe = Probe(Borrowing(), DT)
    found = work.cycles(probe, BOX, 1)
    assert found.path.flows
    assert float((found.net / found.stored).abs().max()) < 0.02
    finding = work.closed_cycles(probe, found)
    assert finding.verdict == "fail"
    least = -float((300.0 / found.stored).max())
    assert finding.value == pytest.approx(least, rel=0.2)
    assert "second law" in finding.sentence


class Lent(Double):
    """Its energy, of which it bears no stress, is 5 J/m³ by a strain along x from 20 at rest on."""

    name = "test-lent"

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        return 20.0 + 5.0 * (F_elastic[:, 0, 0] - 1.0)


@pytest.mark.parametrize(
    ("strain", "done", "value"),
    [
        ([1.0, -0.4], [5.0, -2.0], -0.4),  # work that the cycle itself makes, all of it told
        ([1.0, 0.0], [5.0, 3.0], 0.0),  # 3 J/m³ of heat
        ([1.0, 0.0], [3.0, 5.0], -0.4),  # 2 J/m³ that nobody paid for, from rest on
        ([1.0, 0.8], [5.0, 3.0], -0.2),  # of the 4 J/m³ kept, 1 was not paid for
    ],
)
def test_work_and_heat_of_a_cycle_that_flows(
    strain: list[float], done: list[float], value: float
) -> None:
    """The lesser of the net work and of how far the work less the energy falls, by the largest."""
    F = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1, 1)
    F[:, 0, 0, 0] += torch.tensor(strain, dtype=torch.float64)
    spent = torch.tensor(done, dtype=torch.float64)[:, None]
    path = Path(torch.zeros_like(F), F, F.new_zeros(2, 1, 0), True)
    found = work.Cycles(F, path, spent, spent[-1], torch.zeros(1, dtype=torch.float64))
    finding = work.closed_cycles(Probe(Lent(), DT), found)
    assert finding.value == pytest.approx(value, abs=1e-12)
    assert finding.verdict == ("pass" if value == 0.0 else "fail")


def test_volumes_of_cycles_leave_room_for_shapes() -> None:
    """Half of what the stretches of the box allow, however wide its volumes are."""
    probe = Probe(NeoHookean(YOUNG, POISSON), DT)
    F = work.cycles(probe, StrainBox((0.8, 1.25), (0.2, 5.0)), 1).F
    log = det3(F.flatten(0, 1)).log()
    most = 1.5 * math.log(1.25)
    assert float(log.abs().max()) <= most * (1 + 1e-9)
    assert float(log.max()) > 0.9 * most and float(log.min()) < -0.9 * most


def test_cycles_of_a_law_of_plane_strain_stay_in_the_plane() -> None:
    law = EquiNO(True, (-0.04,) * 3, (0.04,) * 3, 1e5, (8,), (8,), (1, 1))
    probe = Probe(law, DT)
    F = work.cycles(probe, StrainBox((0.98, 1.02), (0.97, 1.03)), 1, count=4).F
    eye = torch.eye(3, dtype=torch.float64)
    assert torch.equal(F[..., 2, :], eye[2].expand_as(F[..., 2, :]))
    assert torch.equal(F[..., :, 2], eye[2].expand_as(F[..., :, 2]))
    assert float((F[..., :2, :2] - eye[:2, :2]).abs().max()) > 0.01


def test_volumes_of_a_box_of_small_strains() -> None:
    """1 + 3 ε of a soft law; of a stiff one as far as three times the largest deviator presses."""
    law = LinearElastic(YOUNG, POISSON)
    assert suited(law, 1.0).volume == pytest.approx((0.94, 1.06), rel=1e-12)
    assert suited(law, 1000.0).volume == pytest.approx((1 - 1.2e-4, 1 + 1.2e-4), rel=1e-12)
    assert suited(law, math.inf).volume == pytest.approx((0.94, 1.06), rel=1e-12)


class Told(Double):
    """Fibres whose number, a constant field, spoils a law in one of three ways."""

    name = "test-told"
    n_internal = 1
    fields = {"told": 1}  # noqa: RUF012

    def __init__(self, flaw: str) -> None:
        super().__init__()
        self.flaw = flaw

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        F, c = F_elastic, 0.1 * MU * internal[:, :1, None]
        found = self.good(F)
        if self.flaw == "objectivity":
            push = torch.zeros(3, 3).to(F)
            push[0, 0] = 1.0
            return found + c * push * (det3(F)[:, None, None] - 1)
        if self.flaw == "angular momentum":
            spin = torch.zeros(3, 3).to(F)
            spin[0, 1], spin[1, 0] = 1.0, -1.0
            return found + c * F @ spin @ F.mT
        return found + c * torch.eye(3).to(F)

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor | None:
        if self.flaw != "stress of the energy":
            return None
        J = det3(F_elastic)
        shape = 0.5 * MU * (F_elastic.square().sum((1, 2)) - 3 - 2 * J.log())
        return shape + 0.5 * LAMBDA * J.log().square()


@pytest.mark.parametrize("flaw", ["objectivity", "angular momentum", "stress of the energy"])
def test_flaws_that_constant_fields_make_are_seen(flaw: str) -> None:
    """At zeros of the field there is none of them."""
    found = audit(Told(flaw), box=BOX, curves=())
    assert [f.name for f in found.findings if f.verdict == "fail"] == [flaw]
    told = found.named("constant fields")
    assert told.verdict == "not applicable" and "random values of told" in told.sentence


@pytest.mark.parametrize(
    "law", [FibreReinforced.example(), Active.example(), CodeBook.example()],
    ids=lambda law: law.name,
)  # fmt: skip
def test_laws_with_constant_fields_keep_the_identities(law: ConstitutiveLaw) -> None:
    probe = Probe(law, DT, drawn=True)
    F = pairs(probe)
    assert invariance.objectivity(probe, F, 3).verdict == "pass"
    assert invariance.stress_symmetry(probe, F).verdict == "pass"
    assert work.stress_and_energy(probe, F[0]).verdict in ("pass", "not applicable")
    bare = Probe(law, DT)
    assert float((probe.path(F).tau - bare.path(F).tau).abs().max()) > 1.0, "they are felt"
