# SPDX-License-Identifier: Apache-2.0
"""What a fit to stress tests says of itself, against figures that are worked out by hand."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.fit.stress.compare import Comparison
from rheograd.engine.fit.stress.contenders import newborn
from rheograd.engine.fit.stress.families import Family, Free, Scales, families, rest_shear
from rheograd.engine.fit.stress.files import fitted_over
from rheograd.engine.fit.stress.judge import FittedLaw, criteria, line, score, spread
from rheograd.engine.fit.stress.numbers import (
    NumbersFit,
    _by_autograd,
    _jacobian,
    _runaways,
    along,
    fit_numbers,
)
from rheograd.engine.fit.stress.relaxing import relaxing
from rheograd.engine.fit.stress.selection import TermsFit, fit_terms, subsets
from rheograd.engine.fit.stress.task import Task
from rheograd.engine.fit.stress.terms import Piece, Terms, formula, pieces_of
from rheograd.engine.fit.stress.weights import WeightsFit
from rheograd.engine.observations.stress_test import StressTest
from rheograd.materials.energies.cann import CANN
from rheograd.materials.energies.polyconvex import Polyconvex
from rheograd.materials.energies.symbolic import Symbolic
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.rubber import Gent, MooneyRivlin
from rheograd.scenes.stress_fit import assumed

S = torch.tensor([1.1, 1.4, 1.9, 2.3, 2.8, 3.2], dtype=torch.float64)
PULL = S - S**-2
"""P by μ of a neo-Hookean body that is pulled and keeps its volume."""
ERRORS = torch.tensor([3e3, 2e3, -1e3, -4e3, -2e3, 1e3], dtype=torch.float64)


def pulled(stress: Tensor, name: str = "UT", kind: str = "UT") -> StressTest:
    return StressTest.of_kind(kind, S, stress, name=name)


def neo_hookean(tests: tuple[StressTest, ...]) -> NumbersFit:
    task = Task(tests)
    family = families()["neo-hookean"]
    return fit_numbers(family, task, family.starts(task.scales()))


class Answered:
    """A law of three quarters of what it should be, of a known band."""

    law: ConstitutiveLaw = MooneyRivlin(1e5, 0.0, 1e8)

    def __init__(self, half: float = 0.0) -> None:
        self.half = half

    def predicted(self, test: StressTest) -> Tensor:
        with torch.no_grad():
            return 0.75 * test.predicted(self.law, incompressible=True)

    def band(self, test: StressTest) -> Tensor:
        return torch.full_like(test.F, self.half)


def test_what_residuals_are_divided_by() -> None:
    """The largest stress of all loadings, or each its own and at least 5 % of its loading's."""
    low = torch.tensor([0.2, 3.0, 20.0, 40.0, 60.0, 80.0], dtype=torch.float64)
    tests = pulled(low), pulled(2 * low, "PS", "PS")
    law, weights = MooneyRivlin(4.0, 1.0, 1e6), {"PS": 3.0}
    with torch.no_grad():
        gaps = [(t.predicted(law) - t.stress)[:, 0, 0] for t in tests]
        for relative, units in (
            (False, (torch.full((6,), 160.0), torch.full((6,), 160.0))),
            (True, (low.clamp(min=4.0), (2 * low).clamp(min=8.0))),
        ):
            found = Task(tests, weights, relative).residual(law)
            expected = torch.cat([gaps[0] / units[0], 3.0 * gaps[1] / units[1]])
            assert torch.allclose(found, expected, rtol=1e-12)


def test_invariants_that_were_seen() -> None:
    """Ī₁ − 3 = λ² + 2/λ − 3 and Ī₂ − 3 = 2λ + λ⁻² − 3 of a pull."""
    one, two = Task((pulled(PULL),)).excess()
    assert torch.allclose(one, S**2 + 2 / S - 3, rtol=1e-11)
    assert torch.allclose(two, 2 * S + S**-2 - 3, rtol=1e-11)
    scales = Task((pulled(2e5 * PULL),)).scales()
    assert scales.reach == pytest.approx((float(one[-1]), float(two[-1])))
    assert scales.shear == pytest.approx(2e5, rel=1e-9)
    assert scales.excess == pytest.approx(float(one[-1]))


def test_a_change_of_volume_is_no_excess() -> None:
    """Ī of a pull that swells, the same as without; I₁ − 3 = J^(2/3) Ī₁ − 3 counts that."""
    swollen = 1.3 * pulled(PULL).F
    free = torch.full_like(swollen, torch.nan)
    free[:, 0, 0] = PULL
    task = Task((StressTest("UT", swollen, free, (False, True, True)),), incompressible=False)
    one, two = task.excess()
    assert torch.allclose(one, S**2 + 2 / S - 3, rtol=1e-11)
    assert torch.allclose(two, 2 * S + S**-2 - 3, rtol=1e-11)
    largest = 1.3**2 * float(S[-1] ** 2 + 2 / S[-1]) - 3
    assert task.scales().excess == pytest.approx(largest)


@pytest.mark.parametrize("branches", [1, 2, 3])
def test_fits_of_relaxing_laws_start_at_half_of_the_stiffness(branches: int) -> None:
    """The equilibrium has the other half; times are shares of the longest test."""
    name = "viscoelastic" + (f"-{branches}" if branches > 1 else "")
    numbers = range(1, branches + 1)
    for start in relaxing()[name].starts(Scales(3e4, 1.0, duration=20.0)):
        values = {n: p.start for n, p in start.items()}
        assert values["shear"] == pytest.approx(1.5e4)
        assert sum(values[f"G{b}"] for b in numbers) == pytest.approx(1.5e4)
        times = [values[f"T{b}"] for b in numbers]
        assert times == sorted(times) and 0.0 < times[0] and times[-1] <= 10.0


def test_limits_lie_beyond_what_was_seen() -> None:
    """Of I₁ − 3 = 9: Gent's limit above 9, and chains of 4 links at least, whose I₁ is 3 N."""
    for name, number, least in (("gent", "limit", 9.0), ("arruda-boyce", "links", 4.0)):
        for start in families()[name].starts(Scales(1e5, 9.0)):
            p = start[number]
            assert least < p.lower < 1.01 * least < p.start


def test_numbers_that_run_away() -> None:
    """By more than e¹⁰ up or down, or to the end of their range."""
    number = Parameter(2.0, 0.0, math.inf)
    ended = Parameter(2.0, 1.0, 3.0)
    for free, held, words in (
        (math.log(2.0) + 11.0, False, "x grows without end"),
        (math.log(2.0) - 11.0, False, "x vanishes"),
        (math.log(2.0) + 9.0, False, ""),
        (math.log(2.0), True, "x went to the end of its range, 2:"),
    ):
        said = _runaways({"x": number}, np.array([free]), np.array([held]))
        assert said[0].startswith(words) if words else not said
    at_end = _runaways({"x": ended}, np.array([ended.free(3.0 - 1e-7)]), np.array([False]))
    assert at_end[0].startswith("x went to the end of its range, 3:")


class Nowhere(Family):
    """Laws whose limit was passed, whatever their stiffness."""

    def starts(self, scales: Scales) -> list[dict[str, Parameter]]:
        return [{"shear": Parameter(scales.shear, 0.0, math.inf, "Pa")}]

    def make(self, values: Mapping[str, float]) -> ConstitutiveLaw:
        return Gent(values["shear"], 0.5, 1e8)

    def read(self, law: ConstitutiveLaw) -> dict[str, float]:
        return {}

    def fits(self, law: ConstitutiveLaw) -> bool:
        return False


def test_a_law_without_an_answer_anywhere_is_refused() -> None:
    task = Task((pulled(1e5 * PULL),))
    family = Nowhere()
    with pytest.raises(ValueError, match="no stress at some stretch of the tests for any numbers"):
        fit_numbers(family, task, family.starts(task.scales()))


def test_what_the_tests_do_not_tell_stays_where_it_was() -> None:
    """Of a law without a family: in pure shear c₁ + c₂ is told, and by their sizes the least moves.

    Σ (Δc/c₀)² is least at a given Σ Δc where Δc goes with c₀².
    """
    task = Task((StressTest.of_kind("PS", S, 2 * 2e5 * (S - S**-3)),))
    family = Free(MooneyRivlin(1e5, 5e4, 1e8), 1e8)
    found = fit_numbers(family, task, family.starts(task.scales()))
    move = 2e5 - 1.5e5
    assert found.values["c1"] == pytest.approx(1e5 + move * 0.8, rel=1e-3)
    assert found.values["c2"] == pytest.approx(5e4 + move * 0.2, rel=1e-3)


def test_one_number_has_the_error_bar_and_the_band_of_linear_regression() -> None:
    """P = μ g: var μ = s²/Σ g², s² = Σ e²/(m − 1), times (1 + ρ)/(1 − ρ) of e along the curve."""
    y = 4e5 * PULL + ERRORS
    found = neo_hookean((pulled(y),))
    g, y = PULL.numpy(), y.numpy()
    mu = float(g @ y / (g @ g))
    e = mu * g - y
    rho = float(e[1:] @ e[:-1] / (e @ e))
    assert rho > 0.2, "so that errors that go together are felt"
    variance = float(e @ e) / 5 / float(g @ g) * (1 + rho) / (1 - rho)
    t = float(stats.t.ppf(0.975, 5))
    (p,) = found.parameters
    assert p.std is not None
    assert p.value == pytest.approx(mu, rel=1e-8)
    assert p.std == pytest.approx(variance**0.5, rel=1e-3)  # a prior of e² on μ weighs that much
    assert p.high95 == pytest.approx(mu * math.exp(t * variance**0.5 / mu), rel=1e-4)
    assert p.low95 == pytest.approx(mu * math.exp(-t * variance**0.5 / mu), rel=1e-4)
    other = StressTest.of_kind("ET", S, S)
    band = found.band(other)[:, 0, 0]
    assert torch.allclose(band, t * variance**0.5 * (S - S**-5), rtol=1e-3)


class Bounded(MooneyRivlin):
    name = "test-bounded-rubber"
    bounds = {"c1": (0.0, math.inf), "c2": (0.0, math.inf)}  # noqa: RUF012


def test_a_number_at_its_bound_is_known_and_the_other_as_if_alone() -> None:
    """c₂ ends at 0: var c₁ = s²/Σ (2 g)², s² = Σ e²/(m − 2), as of a law without c₂."""
    y = 4e5 * PULL - 9e4 * PULL / S + ERRORS
    task = Task((pulled(y),))
    family = Free(Bounded(1.5e5, 1e4, 1e8), 1e8)
    found = fit_numbers(family, task, family.starts(task.scales()))
    g, e = 2 * PULL.numpy(), (found.residual * task.size)
    c1, c2 = found.values["c1"], found.values["c2"]
    assert c2 == pytest.approx(0.0, abs=1.0) and any("c2" in words for words in found.warnings)
    assert c1 == pytest.approx(float(g @ y.numpy() / (g @ g)), rel=1e-4)
    variance = found.inflation * float(e @ e) / 4 / float(g @ g)
    scale = np.array([p.scale for p in found.numbers.values()], float)
    told = found.covariance * np.outer(scale, scale)
    assert told[0, 0] == pytest.approx(variance, rel=1e-3)
    assert told[0, 1] == told[1, 0] == told[1, 1] == 0.0
    known = [p.determined for p in found.parameters]
    assert known == [True, False]


def test_what_is_not_told_is_open_by_a_factor_of_e_squared() -> None:
    """In pure shear c₁ + c₂ alone is seen: across that log c has the standard deviation 2."""
    blank = StressTest.of_kind("PS", S, S)
    y = 2 * 1.2e5 * (S - S**-3) + ERRORS
    task = Task((StressTest.of_kind("PS", blank.amount, y),))
    family = families()["mooney-rivlin"]
    found = fit_numbers(family, task, family.starts(task.scales()))
    c = np.array([found.values["c1"], found.values["c2"]])
    across, along_it = np.array([c[1], -c[0]]), c
    across, along_it = (v / np.linalg.norm(v) for v in (across, along_it))
    assert across @ found.covariance @ across == pytest.approx(4.0, rel=1e-4)
    g, e = 2 * (S - S**-3).numpy(), found.residual * task.size
    variance = found.inflation * float(e @ e) / 4 / float(g @ g) / float(c @ c)
    assert along_it @ found.covariance @ along_it == pytest.approx(variance, rel=1e-3)
    assert not any(p.determined for p in found.parameters)


def test_a_score_by_hand() -> None:
    """R² about the mean, errors over stresses of at least 5 %, and the share within the band."""
    mu = 2e5
    seen = 0.75 * mu * PULL + ERRORS
    UT = pulled(seen)
    task = Task((UT,), {"UT": 2.0})
    P = 0.75 * mu * PULL
    e, size = (P - seen).numpy(), seen.numpy()
    misfit, count = 1e-6, 2
    one = score(Answered(), task, UT, misfit, count)
    assert one.trained and (one.points, one.unanswered) == (6, 0)
    assert one.r2 == pytest.approx(1 - (e @ e) / ((size - size.mean()) ** 2).sum(), rel=1e-12)
    assert one.rms == pytest.approx(math.sqrt(e @ e / 6), rel=1e-12)
    floor = np.maximum(size, 0.05 * size.max())
    assert one.relative == pytest.approx(math.sqrt(np.mean((e / floor) ** 2)), rel=1e-12)
    unit = size.max() / 2.0
    noise = stats.t.ppf(0.975, 4) * math.sqrt(misfit * 6 / 4) * unit
    for half in (0.0, 1.5e3, 3.5e3):
        inside = np.mean(np.abs(e) <= math.hypot(noise, half))
        assert score(Answered(half), task, UT, misfit, count).inside == pytest.approx(inside)
    shares = {score(Answered(h), task, UT, misfit, count).inside for h in (0.0, 1.5e3, 3.5e3)}
    assert len(shares) == 3, "noise and band both count"


@pytest.mark.parametrize("relative", [False, True])
def test_what_is_drawn_is_what_points_are_judged_by(relative: bool) -> None:
    """The band of a drawn curve is that of a measured point at the same stretch."""
    stress = 0.75 * 2e5 * PULL
    UT, PS = pulled(stress), pulled(3 * stress, "PS", "PS")
    task = Task((UT, PS), {"UT": 2.0}, relative)
    misfit, count = 4e-4, 3
    drawn = line(Answered(5e3), task, UT, misfit, count)
    assert float(drawn.x[0]) == 1.0 and float(drawn.x[-1]) == pytest.approx(float(S[-1]))
    level = 0.75 * 2e5 * (drawn.x - drawn.x**-2)
    assert torch.allclose(drawn.y, level, rtol=1e-10, atol=1e-6)
    largest = float(stress[-1])
    unit = level.clamp(min=0.05 * largest) if relative else torch.full_like(level, 3 * largest)
    noise = float(stats.t.ppf(0.975, 9)) * math.sqrt(misfit * 12 / 9) * (unit / 2.0)
    assert torch.allclose(drawn.band, (noise**2 + 5e3**2).sqrt(), rtol=1e-9)


class Torn(Answered):
    """Without a stress at the last two points."""

    def predicted(self, test: StressTest) -> Tensor:
        P = super().predicted(test)
        P[-2:] = torch.nan
        return P


def test_points_without_an_answer_are_counted_and_not_judged() -> None:
    """Of the other four one is beyond twice the noise: a share of 3/4 is inside."""
    stress = 0.75 * 2e5 * PULL
    stress[0] *= 3.0
    UT = pulled(stress)
    found = score(Torn(), Task((UT,)), UT, 1e-10, 1)
    assert (found.points, found.unanswered, found.inside) == (6, 2, 0.75)
    assert math.isnan(found.r2) and math.isnan(found.rms)


def test_a_network_leaves_half_of_the_points_free() -> None:
    """s² = Σ e²/(m − min(p, m/2)) of p numbers and m residuals; five of eleven for a network."""
    one, more = pulled(PULL), StressTest.of_kind("PS", S[:5], S[:5])
    for tests, count, freedom in (((one,), 2, 4), ((one,), 999, 3), ((one, more), 999, 6)):
        points = sum(len(t.F) for t in tests)
        expected = math.sqrt(0.04 * points / freedom)
        assert spread(Task(tests), 0.04, count) == pytest.approx(expected, rel=1e-12)


def test_errors_of_several_loadings_count_by_points() -> None:
    UT, PS = pulled(2e5 * PULL), pulled(1e5 * PULL, "PS", "PS")
    task = Task((UT,))
    one = score(Answered(), task, UT, 1e-6, 1)
    scores = {
        "a": replace(one, rms=3.0, points=1), "b": replace(one, rms=1.0, points=7),
        "c": replace(one, rms=5.0, points=4, trained=False),
    }  # fmt: skip
    assert not score(Answered(), task, PS, 1e-6, 1).trained
    law = FittedLaw("x", Answered.law, 1, (), (), scores, {}, 0.1, 0.0, 0.0, (), 0.0)
    assert law.rms == pytest.approx(math.sqrt((9 * 1 + 1 * 7) / 8))
    assert law.held_rms == pytest.approx(5.0)


def test_the_band_of_chosen_terms_holds_the_others() -> None:
    """Variance of the chosen numbers, and the mean square gap to the others by their shares."""
    chosen = neo_hookean((pulled(4e5 * PULL + ERRORS),))
    other = MooneyRivlin(1.5e5, 1e5, 1e8)
    ET = StressTest.of_kind("ET", S, S)
    found = TermsFit(chosen, (other, other), (0.2, 0.05), ())
    gap = (S - S**-5) * (2 * (1.5e5 + 1e5 * S**2) - chosen.values["shear"])
    own = chosen.band(ET)[:, 0, 0] / chosen.quantile
    expected = chosen.quantile * (own**2 + 0.25 * gap**2).sqrt()
    assert torch.allclose(found.band(ET)[:, 0, 0], expected, rtol=1e-9)


def test_other_choices_of_terms_count_by_their_criterion() -> None:
    """By exp(−Δ/2), Δ the difference of AICc by the factor for residuals that go together."""
    task = Task((pulled(4e5 * PULL + ERRORS), StressTest.of_kind("ET", S, 4e5 * (S - S**-5))))
    scales = task.scales()
    fit, found = fit_terms(task, scales), subsets(task, scales, False)
    assert [s.criterion for s in found] == sorted(s.criterion for s in found)
    for one in found[:3]:
        assert one.criterion == pytest.approx(criteria(one.misfit, 12, one.count)[0])
    best = formula(found[0].pieces, scales.shear, 1000 * scales.shear, scales.strain)
    with torch.no_grad():
        factor = along(task, task.residual(best).numpy())
    assert factor > 1.2 and len(fit.others) > 2
    names = [{p.name for p in pieces_of(law)} for law in fit.others if isinstance(law, CANN)]
    by_name = {frozenset(p.name for p in s.pieces): s.criterion for s in found}
    told = [by_name[frozenset(name)] for name in names]
    for k in range(1, len(told)):
        expected = math.exp(-0.5 * (told[k] - told[0]) / factor)
        assert fit.shares[k] / fit.shares[0] == pytest.approx(expected, rel=1e-6)
    assert sum(fit.shares) < 1.0


def test_the_band_of_networks_is_their_scatter() -> None:
    """Student's t of n − 1 degrees of freedom times the standard deviation of n members."""
    moduli = (1e5, 1.2e5, 1.7e5)
    fit = WeightsFit(tuple(MooneyRivlin(c, 0.0, 1e8) for c in moduli), (), 2, True)
    (UT,) = (pulled(PULL),)
    with torch.no_grad():
        found = fit.band(UT)[:, 0, 0]
    t = float(stats.t.ppf(0.975, 2))
    assert torch.allclose(found, t * float(np.std(moduli, ddof=1)) * 2 * PULL, rtol=1e-9)
    alone = WeightsFit(fit.members[:1], (), 2, True)
    assert bool(torch.isnan(alone.band(UT)).all())


def test_slopes_of_a_law_without_a_family() -> None:
    """By one backward pass as by differences, in coordinates of the numbers' own scales."""
    task = Task((pulled(2e5 * PULL), pulled(1e5 * PULL, "PS", "PS")))
    text = "c*(I1bar - 3) + d*(I2bar - 3) + e*(J - 1)**2"
    law = Symbolic(text, {"c": 1e5, "d": 2e4, "e": 1e8})
    with torch.no_grad():
        law.shifts.copy_(torch.tensor([0.3, -0.2, 0.05]).double())
    family = Free(law)
    (numbers,) = family.starts(task.scales())
    free = np.array([p.free(p.start) for p in numbers.values()])
    found = _by_autograd(family, task, numbers, free)
    assert found is not None
    assert [p.scale for p in numbers.values()] == pytest.approx([0.3, 0.2, 0.05])

    def residual(z: np.ndarray) -> np.ndarray:
        values = {n: p.value(float(v)) for (n, p), v in zip(numbers.items(), z, strict=True)}
        with torch.no_grad():
            return task.residual(family.make(values)).numpy()

    far = np.full(3, math.inf)
    np.testing.assert_allclose(found, _jacobian(residual, free, -far, far), rtol=1e-6, atol=1e-9)
    at_bound = _jacobian(lambda z: np.array([5.0 * z[0]]), np.zeros(1), np.zeros(1), np.ones(1))
    assert at_bound[0, 0] == pytest.approx(5.0), "one-sided at a bound"


def test_volumes_and_stretches_that_were_fitted_over() -> None:
    """Those of the fitted loadings, and rest."""
    a = torch.diag_embed(torch.tensor([[1.1, 1.1, 1.1], [1.2, 1.1, 1.3]]).double())
    b = torch.diag_embed(torch.tensor([[0.9, 1.0, 1.0], [0.8, 1.0, 1.0]]).double())
    P = torch.ones(2, 3, 3, dtype=torch.float64)
    grown, pressed = (StressTest(n, F, P, (False, False, False)) for n, F in (("a", a), ("b", b)))
    both = grown, pressed
    for tests, stretch, volume in (
        (both[:1], (1.0, 1.3), (1.0, 1.2 * 1.1 * 1.3)),
        (both[1:], (0.8, 1.0), (0.8, 1.0)),
        (both, (0.8, 1.3), (0.8, 1.2 * 1.1 * 1.3)),
    ):
        task = Task(tests, incompressible=False)
        known = fitted_over(Comparison((), both, task, Scales(1.0, 1.0)), "a.csv", "fit")
        assert known.stretch == pytest.approx(stretch) and known.volume == pytest.approx(volume)
        assert known.loading == ", ".join(t.name for t in tests)


def test_bulk_moduli_that_nothing_measured() -> None:
    """A thousand shear moduli, or what was asked for, whatever the law calls it."""
    cann, network = CANN(1e5, 3e5, exponents=(1.5,)), Polyconvex(1e5, 3e5, seed=1).double()
    for law in (cann, network):
        free = Free(law).finished(Free(law).law)
        assert isinstance(free, CANN | Polyconvex)
        assert free.bulk_modulus().item() == pytest.approx(1000 * rest_shear(free), rel=1e-6)
        held = Free(law, 7e6).finished(Free(law).law)
        assert isinstance(held, CANN | Polyconvex)
        assert held.bulk_modulus().item() == pytest.approx(7e6, rel=1e-6)
    pieces = [Piece("I1", 4e4, None), Piece("I2^2", 1e4, None), Piece("stretch+", 3e4, 2.5)]
    terms = Terms(pieces, Scales(1e5, 2.0), (2.0, 2.0))
    made = terms.make({"w I1": 4e4, "w I2^2": 1e4, "w stretch+": 3e4, "α stretch+": 2.5})
    assert rest_shear(made) == pytest.approx(2 * 4e4 + 3e4, rel=1e-9)
    assert terms.read(made)["bulk"] == pytest.approx(1000 * 1.1e5, rel=1e-9)
    new = newborn(Polyconvex, Scales(2e5, 6.0), 3)
    assert isinstance(new, Polyconvex)
    assert (new.energy_scale, new.bulk) == (2e5, 1000 * 2e5)
    assert new.strain_scale == pytest.approx(0.5 * (9**0.5 - 1)) and new.share == 0.5


@pytest.mark.parametrize(
    ("volume", "bulk", "said"),
    [
        (None, None, "set to 1000 times the shear modulus (--bulk changes it)"),
        ("incompressible", 2e7, "set to 2e+07 Pa (--bulk changes it)"),
        ("free", None, "held at 1000 times the shear modulus (--bulk fit fits it)"),
        ("free", 2e7, "held at 2e+07 Pa (--bulk fit fits it)"),
        ("free", "fit", None),
    ],
)
def test_what_is_said_of_the_bulk_modulus(
    volume: str | None, bulk: float | str | None, said: str | None
) -> None:
    """Where the volume is free it enters the fit, and a value that is held has to be told."""
    found = argparse.Namespace(volume=volume, bulk=bulk, train=None, constant=[])
    notes = assumed(found, [], [pulled(PULL)])
    assert [said in note for note in notes] == [True] if said else notes == ()
