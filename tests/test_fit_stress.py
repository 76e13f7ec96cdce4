# SPDX-License-Identifier: Apache-2.0
"""Laws fitted to stress tests: recovery, error bars, published quality, networks, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rheograd.engine.fit.stress.compare import compare
from rheograd.engine.fit.stress.contenders import Contender, contender, of_law
from rheograd.engine.fit.stress.families import Bulk, Free, families
from rheograd.engine.fit.stress.judge import criteria
from rheograd.engine.fit.stress.numbers import NumbersFit, along, fit_numbers, started_at
from rheograd.engine.fit.stress.task import Task
from rheograd.engine.fit.stress.volume import rest_shear
from rheograd.engine.fit.stress.weights import fit_weights
from rheograd.engine.observations.stress_files import Reading, read_stress
from rheograd.engine.observations.stress_test import StressTest
from rheograd.materials.known import KNOWN, known_law
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantSmoothElasticity
from rheograd.materials.rubber import MooneyRivlin, Yeoh

STRETCH = torch.linspace(1.05, 4.0, 15, dtype=torch.float64)
TRUTHS = {
    "neo-hookean": {"shear": 0.4e6},
    "mooney-rivlin": {"c1": 0.16e6, "c2": 0.02e6},
    "yeoh": {"c1": 0.2e6, "c2": -2e3, "c3": 60.0},
    "gent": {"shear": 0.3e6, "limit": 30.0},
    "arruda-boyce": {"shear": 0.3e6, "links": 12.0},
    "ogden-1": {"mu1": 0.3e6, "alpha1": 2.4},
    "ogden-2": {"mu1": 0.4e6, "alpha1": 1.6, "mu2": -0.02e6, "alpha2": -2.2},
}


def made(
    law: ConstitutiveLaw, *, noise: float = 0.0, seed: int = 0, kinds: str = "UT ET PS",
    stretch: Tensor = STRETCH, incompressible: bool = True,
) -> tuple[StressTest, ...]:  # fmt: skip
    """Tests of a law, with normal errors of a standard deviation [Pa]."""
    draw = torch.Generator().manual_seed(seed)
    tests = []
    for kind in kinds.split():
        blank = StressTest.of_kind(kind, stretch, torch.zeros_like(stretch))
        with torch.no_grad():
            P = blank.predicted(law, incompressible=incompressible)[:, 0, 0]
        error = noise * torch.randn(len(stretch), generator=draw, dtype=torch.float64)
        tests.append(StressTest.of_kind(kind, stretch, P + error))
    return tuple(tests)


def fitted(name: str, task: Task, bulk: Bulk = None) -> NumbersFit:
    family = families(bulk)[name]
    return fit_numbers(family, task, family.starts(task.scales()))


@pytest.mark.parametrize("name", TRUTHS)
def test_numbers_are_recovered(name: str) -> None:
    truth = families()[name].make(TRUTHS[name])
    found = fitted(name, Task(made(truth)))
    assert found.values == pytest.approx(TRUTHS[name], rel=1e-4)
    assert all(p.determined for p in found.parameters)
    assert families()[name].read(found.law) == pytest.approx(
        families()[name].read(truth), rel=1e-4
    ), "the bulk modulus too: 1000 shear moduli"


def test_error_bars_cover_the_truth() -> None:
    """Of 20 draws of the noise: nine tenths of the 95 % ranges at least, and all within 4.5 σ.

    Two standard deviations of the count of 40 ranges are 2.8: at least 35 are expected.
    """
    truth = TRUTHS["mooney-rivlin"]
    law = families()["mooney-rivlin"].make(truth)
    inside, scores = 0, []
    for seed in range(20):
        found = fitted("mooney-rivlin", Task(made(law, noise=2e4, seed=seed)))
        for p in found.parameters:
            assert p.std is not None and p.low95 is not None and p.high95 is not None
            inside += p.low95 <= truth[p.name] <= p.high95
            scores.append((p.value - truth[p.name]) / p.std)
    assert inside >= 35
    assert max(map(abs, scores)) < 4.5
    assert 0.6 < float(np.std(scores)) < 1.3, "nor are they much too wide"


def test_a_noisy_rubber_is_recovered_within_three_sigma() -> None:
    truth = families()["yeoh"].make(TRUTHS["yeoh"])
    found = fitted("yeoh", Task(made(truth, noise=1e4, seed=3)))
    for p in found.parameters:
        assert p.std is not None
        assert abs(p.value - TRUTHS["yeoh"][p.name]) < 3 * p.std


def test_errors_that_go_together_widen_the_bars() -> None:
    """Residuals of correlation ρ along a curve are worth (1 − ρ)/(1 + ρ) as many."""
    task = Task(made(MooneyRivlin(1e5, 1e4, 1e8)))
    draw = np.random.default_rng(0)
    independent = along(task, draw.normal(size=45))
    assert 1.0 <= independent < 1.6
    slow = np.cos(np.linspace(0, 3, 15))
    rho = float(slow[1:] @ slow[:-1] / (slow @ slow))
    assert along(task, np.tile(slow, 3)) == pytest.approx((1 + rho) / (1 - rho))
    wrong = fitted("neo-hookean", Task(made(Yeoh(2e5, -2e3, 60.0, 1e8))))
    assert wrong.inflation > 3.0


def test_bulk_modulus_through_free_sides() -> None:
    """Of a compressible rubber the sides tell it; held otherwise, it is what was said."""
    truth = families(1e6)["neo-hookean"].make({"shear": 0.4e6})
    stretch = torch.linspace(0.7, 2.5, 15, dtype=torch.float64)
    tests = made(truth, stretch=stretch, incompressible=False)
    found = fitted("neo-hookean", Task(tests, incompressible=False), "fit")
    assert found.values == pytest.approx({"shear": 0.4e6, "bulk": 1e6}, rel=1e-5)
    held = fitted("mooney-rivlin", Task(made(truth)), 3e6)
    assert held.law.state_dict()["bulk"].item() == 3e6


def test_what_the_tests_do_not_tell() -> None:
    """In pure shear c₁ and c₂ of Mooney and Rivlin act as their sum alone."""
    found = fitted("mooney-rivlin", Task(made(MooneyRivlin(1e5, 2e4, 1e8), kinds="PS", noise=1e3)))
    assert not any(p.determined for p in found.parameters)
    assert any("c1 and c2" in words or "c2 and c1" in words for words in found.warnings)
    total = found.values["c1"] + found.values["c2"]
    assert total == pytest.approx(1.2e5, rel=0.01)
    ET = made(MooneyRivlin(1e5, 2e4, 1e8), kinds="ET")[0]
    band = found.band(ET)[-1, 0, 0] / found.predicted(ET)[-1, 0, 0]
    assert float(band) > 0.5, "so that another loading is open"


def test_a_limit_that_was_not_seen_is_said() -> None:
    found = fitted("gent", Task(made(families()["neo-hookean"].make({"shear": 4e5}))))
    assert any("limit grows without end" in words for words in found.warnings)


def test_weights_and_relative_errors() -> None:
    truth = families()["yeoh"].make(TRUTHS["yeoh"])
    tests = made(truth)

    def gap(task: Task, name: str) -> float:
        found = fitted("neo-hookean", task)
        test = next(t for t in tests if t.name == name)
        return float((found.predicted(test) - test.stress)[test.rows].square().mean())

    assert gap(Task(tests, {"PS": 20.0}), "PS") < 0.5 * gap(Task(tests), "PS")
    small, neo = tests[0].stress[0, 0, 0], partial(fitted, "neo-hookean")
    errors = [
        (neo(Task(tests[:1], {}, relative)).predicted(tests[0])[0, 0, 0] - small).abs()
        for relative in (True, False)
    ]
    assert errors[0] < errors[1], "small stresses count more then"


def test_criteria_by_hand() -> None:
    aicc, bic = criteria(0.25, 20, 2)
    assert aicc == pytest.approx(20 * math.log(0.25) + 6 + 24 / 16)
    assert bic == pytest.approx(20 * math.log(0.25) + 3 * math.log(20))
    assert all(map(math.isnan, criteria(0.25, 4, 2)))


def test_the_simplest_law_that_explains_it_is_best() -> None:
    truth = families()["mooney-rivlin"].make(TRUTHS["mooney-rivlin"])
    tests = made(truth, noise=2e4, seed=1)
    task = Task(tests[:2])
    names = ("neo-hookean", "mooney-rivlin", "ogden-2")
    found = compare([contender(n, task.scales()) for n in names], task, tests)
    assert [law.name for law in found.laws] == ["mooney-rivlin", "ogden-2", "neo-hookean"]
    assert [t.name for t in found.held] == ["PS"]
    one = found.best.scores["PS"]
    assert not one.trained and one.r2 > 0.98 and one.inside > 0.8 and one.unanswered == 0
    assert found.best.rms == pytest.approx(2e4, rel=0.3)
    assert found.best.held_rms == pytest.approx(one.rms)


def test_beyond_the_limit_there_is_no_answer() -> None:
    law = families()["gent"].make({"shear": 3e5, "limit": 6.0})
    short, long = (torch.linspace(1.1, end, 8, dtype=torch.float64) for end in (2.4, 2.9))
    other = made(Yeoh(1e5, 0.0, 0.0, 1e8), kinds="ET", stretch=long)
    tests = (*made(law, kinds="UT", stretch=short), *other)
    task = Task(tests[:1])
    (best,) = compare([contender("gent", task.scales())], task, tests).laws
    one = best.scores["ET"]
    assert one.unanswered > 0 and math.isnan(one.r2) and math.isnan(best.held_rms)
    assert "beyond the stretch that it allows" in best.warnings[-1]


class TestFree:
    """Laws without a family."""

    class Bounded(MooneyRivlin):
        name = "bounded-rubber"
        bounds = {"c1": (0.0, math.inf), "c2": (0.0, math.inf)}  # noqa: RUF012

    def test_numbers_within_bounds(self) -> None:
        """A truth that asks for c₂ < 0 is met at c₂ = 0; else it is found."""
        begin = self.Bounded(1e5, 1e4, 1e8)
        for c2, expected in ((3e4, 3e4), (-1e4, 0.0)):
            truth = Yeoh(1e5, 0.0, 0.0, 1e8)
            tests = made(truth) if c2 < 0 else made(MooneyRivlin(1e5, c2, 1e8))
            if c2 < 0:
                lower = made(MooneyRivlin(1e5, -c2, 1e8))
                tests = tuple(
                    StressTest.of_kind(t.kind, t.amount, 2 * t.stress[:, 0, 0] - u.stress[:, 0, 0])
                    for t, u in zip(tests, lower, strict=True)
                )
            task = Task(tests)
            family = Free(begin)
            found = fit_numbers(family, task, family.starts(task.scales()))
            assert found.values["c2"] == pytest.approx(expected, rel=1e-5, abs=1.0)
            shear = 2 * (found.values["c1"] + found.values["c2"])
            assert found.law.state_dict()["bulk"].item() == pytest.approx(1000 * shear)

    def test_a_saved_law_goes_on(self) -> None:
        law = families()["gent"].make({"shear": 3e5, "limit": 30.0})
        task = Task(made(law))
        rival = of_law("old", law, task.scales())
        assert rival.family is not None and rival.own is not None
        numbers = started_at(rival.family.starts(task.scales())[0], rival.own)
        assert {n: p.start for n, p in numbers.items()} == {"shear": 3e5, "limit": 30.0}
        with pytest.raises(ValueError, match="limit: got a start of 1"):
            started_at(numbers, {"shear": 3e5, "limit": 1.0})

    def test_a_network_repeats_to_the_bit(self) -> None:
        task = Task(made(families()["neo-hookean"].make({"shear": 4e5}), kinds="UT", noise=1e4))
        scales = task.scales()
        rival = contender("invariant-smooth-elasticity", scales)
        assert rival.trained and rival.make is not None
        first, second = (fit_weights(rival.make, task, seeds=(1, 2), epochs=30) for _ in range(2))
        assert first.losses == second.losses and first.losses[-1] < 0.5 * first.losses[0]
        for one, other in zip(first.members, second.members, strict=True):
            assert all(torch.equal(t, other.state_dict()[n]) for n, t in one.state_dict().items())
        assert isinstance(first.law, InvariantSmoothElasticity)
        (UT,) = task.tests
        (ET,) = made(MooneyRivlin(2e5, 1e3, 1e8), kinds="ET")
        known, guessed = (first.band(t)[1:, 0, 0].mean() for t in (UT, ET))
        assert 0.0 < float(known) < float(guessed), "less sure of what it has not seen"

    def test_a_network_has_no_criterion(self) -> None:
        tests = made(families()["neo-hookean"].make({"shear": 4e5}), kinds="UT PS")
        task = Task(tests[:1])
        rivals = [contender(n, task.scales()) for n in ("invariant-smooth-elasticity", "yeoh")]
        found = compare(rivals, task, tests, members=2, epochs=20)
        assert [law.name for law in found.laws] == ["yeoh", "invariant-smooth-elasticity"]
        network = found.laws[1]
        assert math.isnan(network.aicc) and network.members == 2 and not network.parameters
        assert network.scores["PS"].inside > 0.0


class TestRefusals:
    def test_tasks(self) -> None:
        tests = made(MooneyRivlin(1e5, 1e4, 1e8))
        for more, words in (
            (((),), "expected one or more"),
            (((tests[0], tests[0]),), "two loadings have the name 'UT'"),
            ((tests, {"UT": 0.0}), "expected it above 0"),
            ((tests[:1], {"PS": 2.0}), "a weight of 'PS'"),
        ):
            with pytest.raises(ValueError, match=words):
                Task(*more)  # type: ignore[arg-type]

    def test_data(self) -> None:
        rest = StressTest.of_kind("UT", torch.ones(3).double(), torch.ones(3).double())
        with pytest.raises(ValueError, match="nothing is deformed"):
            Task((rest,)).scales()
        (test,) = made(MooneyRivlin(1e5, 1e4, 1e8), kinds="UT")
        flipped = StressTest.of_kind("UT", test.amount, -test.stress[:, 0, 0])
        with pytest.raises(ValueError, match="go against the stretches"):
            Task((flipped,)).scales()
        few = made(MooneyRivlin(1e5, 1e4, 1e8), kinds="UT", stretch=STRETCH[:5])
        with pytest.raises(ValueError, match="got 5 stresses for 6 numbers"):
            fitted("ogden-3", Task(few))

    def test_laws(self) -> None:
        scales = Task(made(MooneyRivlin(1e5, 1e4, 1e8))).scales()
        with pytest.raises(ValueError, match=r"did you mean yeoh\?"):
            contender("yeo", scales)
        with pytest.raises(ValueError, match="expected one of"):
            contender("linear-elastic", scales)


class TestKnownMaterials:
    @pytest.mark.parametrize("name", KNOWN)
    def test_each_is_a_sound_rubber(self, name: str) -> None:
        law = ConstitutiveLaw.from_material(name)
        shear = rest_shear(law)
        assert 100.0 < shear < 2e6
        lam = law.wave_modulus() - 2 * shear
        assert (lam + 2 / 3 * shear) / shear == pytest.approx(1000.0, rel=1e-6)
        assert KNOWN[name].source and KNOWN[name].numbers

    def test_figures_of_the_sources(self) -> None:
        """Half the sum of μα, Ogden's 4.225 kgf/cm²; silicones pulled to twice; μ of brain."""
        kgf_cm2 = 9.80665 / 1e-4
        assert rest_shear(known_law("natural-rubber")) == pytest.approx(4.225 * kgf_cm2, rel=1e-6)
        twice = torch.tensor([1.5, 2.0], dtype=torch.float64)
        (UT,) = made(known_law("ecoflex-00-30"), kinds="UT", stretch=twice)
        assert float(UT.stress[1, 0, 0]) == pytest.approx(68947.57, rel=1e-6)
        assert rest_shear(known_law("brain")) == pytest.approx(842.0, rel=1e-6)
        small = rest_shear(known_law("natural-rubber-small"))
        assert small == pytest.approx(4.0 * kgf_cm2, rel=1e-6)
        (UT,) = made(known_law("dragon-skin-10"), kinds="UT", stretch=twice)
        assert float(UT.stress[1, 0, 0]) == pytest.approx(22 * 6894.757, rel=0.02), "the maker's"
        for name, young in (("dragon-skin-10", 263.8e3), ("pdms", 1.32e6)):
            assert rest_shear(known_law(name)) == pytest.approx(young / 3, rel=1e-6), "E = 3μ"
        with pytest.raises(ValueError, match="expected one of natural-rubber"):
            known_law("wood")

    def test_stresses_of_the_sources(self) -> None:
        """Arruda and Boyce's chains of rubber and of VHB, by Cohen's inverse Langevin."""
        s = torch.tensor([1.5, 3.0, 6.0], dtype=torch.float64)
        e = s**2 + 2 / s - 3
        for name, modulus, links in (
            ("natural-rubber-chains", 0.27e6, 26.5),
            ("vhb-4910", 15.36e3, 5.99**2),
        ):
            (chains,) = made(known_law(name), kinds="UT", stretch=s)
            y = ((e + 3) / (3 * links)).sqrt()
            langevin = y * (3 - y**2) / (1 - y**2)
            expected = modulus / 3 * langevin / y * (s - s**-2)
            assert torch.allclose(chains.stress[:, 0, 0], expected, rtol=4e-3), "1/15N off Cohen's"

    def test_sums_of_powers_of_the_sources(self) -> None:
        """ψ = Σ μ/α (Σ λ^α − 3): a pull is P = Σ μ (λ^(α − 1) − λ^(−α/2 − 1))."""
        s = torch.tensor([0.8, 1.5, 3.0, 6.0], dtype=torch.float64)
        kgf_cm2 = 9.80665 / 1e-4
        for name, unit, terms in (
            ("natural-rubber", kgf_cm2, ((6.3, 1.3), (0.012, 5.0), (-0.1, -2.0))),
            ("brain", 842.0, ((2 / -4.7, -4.7),)),
        ):
            (UT,) = made(known_law(name), kinds="UT", stretch=s)
            each = [mu * (s ** (a - 1) - s ** (-a / 2 - 1)) for mu, a in terms]
            expected = unit * torch.stack(each).sum(0)
            assert torch.allclose(UT.stress[:, 0, 0], expected, rtol=1e-9)

    def test_vhb_is_between_loading_and_unloading(
        self, reference_data: Callable[[str], Path]
    ) -> None:
        """Of the slowest test to 2.5 (kPa): what is added going up has relaxed, and pulls back."""
        path = reference_data("vhb4910/stretch_2.5/0.01.txt")
        (test,) = read_stress(path, Reading(unit="kPa")).tests
        P = test.predicted(known_law("vhb-4910"), incompressible=True).detach()[:, 0, 0]
        ratio, s, top = P / test.stress[:, 0, 0], test.amount, int(test.amount.argmax())
        assert bool((ratio[1:top] < 1.0).all()) and float(ratio[top]) > 0.8
        back = ratio[top:][s[top:] < 1.9]
        assert len(back) > 5 and bool(((back > 1.0) | (back < 0.0)).all())


class TestTreloar:
    """Rubber of Treloar 1944, where the data are at hand."""

    QUALITY = {  # noqa: RUF012
        "neo-hookean": (0.80, 0.90), "yeoh": (0.985, 1.0), "gent": (0.98, 1.0),
        "arruda-boyce": (0.98, 1.0), "ogden-3": (0.997, 1.0),
    }  # fmt: skip
    """R² over all loadings together: Ogden's three terms tell them all, neo-Hookean fails."""

    @pytest.fixture
    def tests(self, reference_data: Callable[[str], Path]) -> tuple[StressTest, ...]:
        path = reference_data("rubber/rubber_tests.h5")
        return read_stress(path, Reading(chosen="Treloar_1944")).tests

    @pytest.mark.parametrize("name", QUALITY)
    def test_published_quality(self, name: str, tests: tuple[StressTest, ...]) -> None:
        found = fitted(name, Task(tests))
        seen = torch.cat([t.stress[t.rows] for t in tests])
        P = torch.cat([found.predicted(t)[t.rows] for t in tests])
        r2 = 1 - float((P - seen).square().sum() / (seen - seen.mean()).square().sum())
        low, high = self.QUALITY[name]
        assert low < r2 < high

    def test_chains_by_one_loading(self, tests: tuple[StressTest, ...]) -> None:
        """Arruda and Boyce 1993 have nkΘ = 0.27 MPa and N = 26.5, by eye, of the same pull."""
        found = fitted("arruda-boyce", Task(tuple(t for t in tests if t.name == "UT")))
        assert found.values["links"] == pytest.approx(26.5, rel=0.05)
        assert found.values["shear"] == pytest.approx(0.2763e6, rel=0.05)


def test_contenders_say_what_they_are() -> None:
    scales = Task(made(MooneyRivlin(1e5, 1e4, 1e8))).scales()
    assert contender("ogden", scales).name == "ogden-3"
    assert isinstance(contender("yeoh", scales), Contender)
    assert not contender("yeoh", scales).trained
