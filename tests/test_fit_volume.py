# SPDX-License-Identifier: Apache-2.0
"""The bulk modulus of laws made of parts, fitted to tests of an incompressible body."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from rheograd.engine.fit.stress.compare import compare
from rheograd.engine.fit.stress.contenders import of_law
from rheograd.engine.fit.stress.families import Free
from rheograd.engine.fit.stress.task import Task
from rheograd.engine.fit.stress.volume import parts, rest_bulk, rest_shear, set_bulk
from rheograd.engine.material_point import drive
from rheograd.engine.observations.stress_test import FREE, StressTest, deformation
from rheograd.materials.composition import Damped
from rheograd.materials.elastic import NeoHookean, Volumetric, det3
from rheograd.materials.fibres import Active, FibreReinforced
from rheograd.materials.law import ConstitutiveLaw, Elasticity
from rheograd.materials.rubber import Gent, MooneyRivlin
from rheograd.materials.viscoelastic import Viscoelastic

SHEAR = 0.4e6
STRETCH = torch.linspace(1.0, 2.0, 7, dtype=torch.float64)
NOMINAL = SHEAR * (STRETCH - STRETCH**-2)
"""Of an incompressible neo-Hookean bar, P = μ (λ − λ⁻²) [Pa]."""


def soft() -> NeoHookean:
    return NeoHookean(young=3e4, poisson=0.4)


class Own(Elasticity):
    """A law of one's own, whose modulus of volume has a name that nobody knows."""

    name = "own-of-volume-test"

    def __init__(self) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.tensor(1e5, dtype=torch.float64))
        self.lam = nn.Parameter(torch.tensor(1e4, dtype=torch.float64))

    def stress(self, F_elastic: torch.Tensor, internal: torch.Tensor) -> torch.Tensor:
        eye = torch.eye(3).to(F_elastic)
        J = det3(F_elastic)[:, None, None]
        return self.mu * (F_elastic @ F_elastic.mT - eye) + self.lam * J.log() * eye

    @classmethod
    def example(cls) -> Own:
        return cls()


LAWS = {
    "viscoelastic": lambda: Viscoelastic(soft(), moduli=[1e4], times=[1.0]),
    "fibres": lambda: FibreReinforced(soft(), stiffness=2e4, exponential=3.0),
    "active": lambda: Active(soft(), tension=1e4),
    "rubber": lambda: Active(MooneyRivlin(5e3, 5e3, 1e5), tension=1e4),
}


@pytest.mark.parametrize("name", LAWS)
def test_parts_get_the_bulk_modulus_and_keep_their_shear(name: str) -> None:
    law = LAWS[name]().double()
    shear = rest_shear(law)
    set_bulk(law, 300.0 * shear)
    assert rest_shear(law) == pytest.approx(shear, rel=1e-9)
    assert rest_bulk(law) == pytest.approx(300.0 * shear, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "bulk"),
    [("viscoelastic", None), ("fibres", None), ("active", 5e7), ("rubber", None), ("rubber", 5e7)],
)
def test_a_pull_makes_a_law_that_keeps_its_volume(name: str, bulk: float | None) -> None:
    """Whose shear modulus is that of the bar, though Poisson's ratio is no number of the fit."""
    slack = {"fibre": (0.0, 0.0, 0.0), "activation": (0.0,)}
    test = replace(StressTest.of_kind("UT", STRETCH, NOMINAL, times=1.0 + STRETCH), fields=slack)
    task = Task((test,))
    rival = of_law("law", LAWS[name](), task.scales(), bulk)
    fitted = compare([rival], task, [test]).best
    wanted = 1000.0 * SHEAR if bulk is None else bulk
    if name != "viscoelastic":  # whose pull may be of its branch as well
        assert rest_shear(fitted.law) == pytest.approx(SHEAR, rel=1e-3)
        assert rest_bulk(fitted.law) == pytest.approx(wanted, rel=2e-3)
    assert rest_bulk(fitted.law) > 100.0 * rest_shear(fitted.law)
    assert not any("poisson" in p.name or "bulk" in p.name for p in fitted.parameters)
    assert fitted.scores["UT"].r2 > 0.9999
    assert not any("bulk modulus" in words for words in fitted.warnings)


def test_a_volume_that_gives_way_is_told() -> None:
    """Of Gent's law near its limit, where the stress is far beyond the shear modulus at rest."""
    s = torch.linspace(1.0, 3.0, 15, dtype=torch.float64)
    tests = []
    for kind in ("UT", "ET"):
        P = drive(Gent(SHEAR, 30.0, 1e9), deformation(kind, s), FREE[kind]).P[:, 0, 0].detach()
        tests.append(StressTest.of_kind(kind, s, P))
    task, law = Task(tuple(tests)), Gent(SHEAR, 30.0, 1e7)
    size = max(float(t.stress[t.mask].max()) for t in tests)
    gaps = [
        (t.predicted(law, incompressible=False) - t.predicted(law, incompressible=True))[:, 0, 0]
        for t in tests
    ]
    off = max(float(gap.detach().abs().max()) for gap in gaps) / size
    assert task.given_way(law) == pytest.approx(off, rel=1e-9) and off > 0.05
    for bulk, said in ((1e7, True), (1e9, False)):
        rival = of_law("law", law, task.scales(), bulk)
        warnings = compare([rival], task, tests).best.warnings
        assert any("its volume gives way" in words for words in warnings) is said


def test_numbers_of_parts_have_units_and_bounds() -> None:
    family = Free(LAWS["viscoelastic"](), None)
    assert family.unit("equilibrium.young") == "Pa" and family.unit("times") == "s"
    assert family.bounds("equilibrium.young") == (0.0, math.inf)
    assert family.bounds("moduli") == (0.0, math.inf)
    assert "equilibrium.poisson" in Free(LAWS["viscoelastic"](), "fit").tensors


def test_a_share_of_damping_is_no_bulk_modulus() -> None:
    law: ConstitutiveLaw = Damped(soft(), time=0.1, bulk=0.5)
    assert [name for name, _ in parts(law)] == ["law.poisson"]


def test_a_law_without_such_a_number_is_told() -> None:
    test = StressTest.of_kind("UT", STRETCH, NOMINAL)
    task = Task((test,))
    fitted = compare([of_law("own", Own(), task.scales())], task, [test]).best
    assert any("--bulk does not set" in words for words in fitted.warnings)


def test_a_fluid_keeps_its_bulk_modulus() -> None:
    """A thousand times no shear modulus would be none."""
    law = Volumetric(1e5, 0.3)
    kept = Free(law).law.state_dict()
    assert rest_bulk(Free(law).law) == pytest.approx(1e5 * 0.3 / (1.3 * 0.4), rel=1e-6)
    assert all(torch.equal(kept[n], t.double()) for n, t in law.state_dict().items())
