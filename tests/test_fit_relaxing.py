# SPDX-License-Identifier: Apache-2.0
"""Viscoelastic laws fitted to stress tests: all numbers recovered, and the bulk modulus held."""

from __future__ import annotations

import pytest
import torch

from rheograd.engine.fit.stress.contenders import contender, of_law
from rheograd.engine.fit.stress.families import Bulk, Scales
from rheograd.engine.fit.stress.numbers import NumbersFit, fit_numbers
from rheograd.engine.fit.stress.relaxing import relaxing
from rheograd.engine.fit.stress.task import Task
from rheograd.engine.observations.stress_test import StressTest
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.viscoelastic import Viscoelastic

TRUTH = {"shear": 2e4, "G1": 3e4, "T1": 4.0}
UP_AND_DOWN = torch.cat([torch.linspace(1.2, 2.0, 5), torch.linspace(1.8, 1.2, 4)]).double()


def stretched_at_rates(law: ConstitutiveLaw, incompressible: bool) -> tuple[StressTest, ...]:
    """Loading and unloading at two rates."""
    made = []
    for rate in (0.05, 0.5):
        path = torch.cat([torch.ones(1).double(), UP_AND_DOWN])
        times = path.diff().abs().cumsum(0) / rate
        blank = StressTest.of_kind("UT", UP_AND_DOWN, 0 * UP_AND_DOWN, times=times)
        with torch.no_grad():
            P = blank.predicted(law, incompressible=incompressible)[:, 0, 0]
        name = f"at {rate}"
        made.append(StressTest.of_kind("UT", UP_AND_DOWN, P, times=times, name=name))
    return tuple(made)


def fitted(name: str, task: Task, bulk: Bulk = None) -> NumbersFit:
    scales = task.scales()
    family = contender(name, scales, bulk).family
    assert family is not None
    return fit_numbers(family, task, family.starts(scales))


@pytest.mark.parametrize(("bulk", "expected"), [(None, 1000 * 2e4), (3e6, 3e6)])
def test_numbers_are_recovered_and_the_bulk_is_held(bulk: Bulk, expected: float) -> None:
    """It is no number of the fit: given, or 1000 times the shear modulus of the equilibrium."""
    truth = relaxing()["viscoelastic"].make(TRUTH)
    found = fitted("viscoelastic", Task(stretched_at_rates(truth, True)), bulk)
    assert found.values == pytest.approx(TRUTH, rel=1e-4)
    assert all(p.determined for p in found.parameters)
    assert isinstance(found.law, Viscoelastic)
    mu, lam = found.law.equilibrium.coefficients().tolist()
    assert lam + 2 / 3 * mu == pytest.approx(expected, rel=1e-4)


def test_a_bulk_modulus_may_be_one_of_the_numbers() -> None:
    """That of the equilibrium."""
    family = relaxing("fit")["viscoelastic-2"]
    starts = family.starts(Scales(3e4, 1.0, duration=20.0))
    assert all(set(n) == {"shear", "bulk", "G1", "T1", "G2", "T2"} for n in starts)
    values = {name: p.start for name, p in starts[0].items()}
    law = family.make({**values, "bulk": 7e5})
    assert family.fits(law) and family.read(law) == pytest.approx({**values, "bulk": 7e5})


def test_a_saved_law_goes_on_as_its_family() -> None:
    truth = relaxing()["viscoelastic-2(gent)"].make(
        {"shear": 1.6e4, "limit": 400.0, "G1": 2e4, "T1": 4.0, "G2": 1e4, "T2": 40.0}
    )
    task = Task(stretched_at_rates(truth, True))
    found = of_law("mine", truth, task.scales())
    assert found.name == "viscoelastic-2(gent) from mine" and found.own is not None
    assert found.own["T2"] == 40.0 and found.own["limit"] == 400.0


def test_tests_without_times_are_refused() -> None:
    """Nothing would relax in them."""
    task = Task((StressTest.of_kind("UT", UP_AND_DOWN, 1e4 * (UP_AND_DOWN - 1)),))
    with pytest.raises(ValueError, match="the tests tell no times"):
        fitted("viscoelastic", task)
