# SPDX-License-Identifier: Apache-2.0
"""Terms of a CANN, and networks, that stress tests ask for: what is chosen, and how surely."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rheograd.engine.audit.audit import audit
from rheograd.engine.audit.strain_box import suited
from rheograd.engine.fit.stress import selection
from rheograd.engine.fit.stress.compare import Comparison, compare
from rheograd.engine.fit.stress.contenders import contender, of_law
from rheograd.engine.fit.stress.files import write_stress_fit
from rheograd.engine.fit.stress.judge import FittedLaw
from rheograd.engine.fit.stress.numbers import along
from rheograd.engine.fit.stress.selection import (
    Subset,
    TermsFit,
    chosen_of,
    fit_terms,
    single_loading,
    subsets,
)
from rheograd.engine.fit.stress.task import Task
from rheograd.engine.fit.stress.terms import Piece, Terms, biaxial, formula, pieces_of, rates
from rheograd.engine.observations.stress_files import Reading, read_stress
from rheograd.engine.observations.stress_test import StressTest
from rheograd.materials.energies.cann import CANN
from rheograd.materials.files import registered
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.rubber import MooneyRivlin, Yeoh
from tests.walk import every

STRETCH = torch.linspace(1.05, 3.5, 15, dtype=torch.float64)


def made(
    law: ConstitutiveLaw, kinds: str = "UT ET PS", noise: float = 0.0
) -> tuple[StressTest, ...]:
    """Tests of a law, with normal errors of a standard deviation [Pa]."""
    draw, tests = torch.Generator().manual_seed(0), []
    for kind in kinds.split():
        blank = StressTest.of_kind(kind, STRETCH, torch.zeros_like(STRETCH))
        with torch.no_grad():
            P = blank.predicted(law, incompressible=True)[:, 0, 0]
        error = noise * torch.randn(len(P), generator=draw, dtype=torch.float64)
        tests.append(StressTest.of_kind(kind, STRETCH, P + error))
    return tuple(tests)


def judged(
    name: str, trained: str, tests: tuple[StressTest, ...], members: int = 1, epochs: int = 100
) -> FittedLaw:
    task = Task(tuple(t for t in tests if t.name in trained.split()))
    return compare(
        [contender(name, task.scales())], task, tests, members=members, epochs=epochs
    ).best


def test_the_terms_that_made_the_data_are_found() -> None:
    """Of Mooney and Rivlin, and of Yeoh; their numbers are determined."""
    for truth, names in (
        (MooneyRivlin(1.5e5, 2e4, 1e8), ["I1", "I2"]),
        (Yeoh(1.5e5, 3e3, 0.0, 1e8), ["I1", "I1^2"]),
    ):
        task = Task(made(truth, noise=5e3))
        found = fit_terms(task, task.scales())
        assert isinstance(found.law, CANN)
        assert [p.name for p in pieces_of(found.law)] == names
        assert all(p.determined for p in found.parameters)
        assert sum(found.shares) < 1.0 and min(found.shares, default=0.0) >= 0.0


def test_one_loading_does_not_tell_the_invariants_apart() -> None:
    """The law is of Ī₁ alone, and its band in other loadings holds the truth, which is not."""
    tests = made(MooneyRivlin(1.2e5, 3e4, 1e8), noise=3e3)
    alone, both = Task(tests[:1]), Task(tests[:2])
    assert single_loading(alone) and not single_loading(both)
    found = fit_terms(alone, alone.scales())
    assert isinstance(found.law, CANN)
    assert all("I1" in p.name for p in pieces_of(found.law))
    assert "nothing tells terms of the first invariant" in found.warnings[0]
    told = judged("cann", "UT", tests)
    assert told.scores["ET"].r2 < 0.9, "as far as it goes the guess is wrong"
    assert told.scores["ET"].inside > 0.9 and told.scores["PS"].inside > 0.9
    UT, ET = tests[:2]
    known, guessed = (float(found.band(t)[-1, 0, 0] / t.stress[-1, 0, 0]) for t in (UT, ET))
    assert guessed > 5 * known
    sure = fit_terms(both, both.scales())
    assert float(sure.band(ET)[-1, 0, 0]) < 0.2 * float(found.band(ET)[-1, 0, 0])


def test_curves_without_a_kind() -> None:
    """A pull told by its F alone is one curve; with a pure shear it is two."""
    UT, PS = made(MooneyRivlin(1e5, 1e4, 1e8), "UT PS")
    plain = [StressTest(t.name, t.F, t.stress, t.free) for t in (UT, PS)]
    assert single_loading(Task((plain[0],)))
    assert not single_loading(Task(tuple(plain)))


def test_no_state_of_an_invariant_has_more_of_the_other_than_equibiaxial_tension() -> None:
    """Of principal stretches at random, and by hand: Ī₂ − 3 = λ⁴ + 2 λ⁻² − 3 of two equal ones."""
    for s in (1.0, 1.2, 3.0, 6.0):
        assert biaxial(2 * s**2 + s**-4 - 3) == pytest.approx(s**4 + 2 / s**2 - 3, rel=1e-9)
    strain = torch.randn(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    strain = strain - strain.mean(1, keepdim=True)
    one, two = ((sign * 2 * strain).exp().sum(1) - 3 for sign in (1, -1))
    most = torch.tensor([biaxial(x) for x in one.tolist()], dtype=torch.float64)
    assert bool((two <= most * (1 + 1e-9)).all())
    assert float((two / most).max()) > 0.99, "some come close"


def test_a_limit_of_the_second_invariant_is_no_wall_where_the_first_was_seen() -> None:
    """A pull and a shear to 3.5: the limit of log(Ī₂) lies beyond ET of the same Ī₁."""
    reach = Task(made(MooneyRivlin(1e5, 1e4, 1e8), "UT PS")).scales().reach
    s = torch.linspace(2.0, 2.55, 4, dtype=torch.float64)
    assert float(2 * s[-1] ** 2 + s[-1] ** -4 - 3) < reach[0], "a state whose Ī₁ was seen"
    for name in ("log(I2)", "log(I2^2)"):
        bounds = rates(name, reach)
        assert bounds is not None
        law = formula([Piece("I1", 1e5, None), Piece(name, 1e4, bounds[1])], 1e5, 1e8)
        blank = StressTest.of_kind("ET", s, torch.zeros_like(s))
        with torch.no_grad():
            assert bool(blank.predicted(law, incompressible=True).isfinite().all())


def test_alternatives_that_end_within_a_loading_do_not_count_there() -> None:
    """The band is that of the others, by hand: t² (σ² + Σ p (P − P₀)²/Σ p)."""
    tests = made(MooneyRivlin(1.2e5, 3e4, 1e8), noise=3e3)
    task = Task((tests[0], tests[2]))
    found, ET = fit_terms(task, task.scales()), tests[1]
    stiff = formula([Piece("I1", 2e5, None), Piece("I2", 4e4, None)], 1e5, 1e8)
    limit = 1.0 / float(STRETCH[7] ** 4)  # between two of the stretches in ET, beyond those of UT
    wall = formula([Piece("I1", 1e5, None), Piece("log(I2)", 1e4, limit)], 1e5, 1e8)

    def band(others: tuple[ConstitutiveLaw, ...], shares: tuple[float, ...]) -> torch.Tensor:
        some: TermsFit = replace(found, others=others, shares=shares)
        return some.band(ET)[:, 0, 0]

    own = found.chosen.band(ET)[:, 0, 0]
    with torch.no_grad():
        gap = ET.predicted(stiff, incompressible=True)[:, 0, 0] - found.predicted(ET)[:, 0, 0]
        assert bool(ET.predicted(wall, incompressible=True)[:7].isfinite().all())
    assert torch.equal(band((wall,), (0.3,)), own)
    share = 0.2 / (1.0 - 0.3)
    expected = (own.square() + share * (found.chosen.quantile * gap).square()).sqrt()
    assert torch.allclose(band((wall, stiff), (0.3, 0.2)), expected, rtol=1e-9)
    assert not torch.allclose(band((stiff,), (0.2,)), own, rtol=0.1)


def test_what_the_choice_of_terms_costs() -> None:
    """2 log of how many subsets of so many of the 14 terms there are, whatever the inflation."""
    task = Task(made(MooneyRivlin(1.5e5, 2e4, 1e8), noise=5e3))
    found = subsets(task, task.scales(), False)
    assert {len(s.pieces) for s in found} >= {1, 2, 3}
    for s in found:
        chance = 2 * math.log(math.comb(14, len(s.pieces)))
        assert s.price(2.0) == pytest.approx(0.5 * s.criterion + chance)
        assert any("^2" not in p.name for p in s.pieces), "else nothing is stiff at rest"


def choice(names: str, criterion: float, rates: int = 0) -> Subset:
    """A subset of terms, of which the first ones have a rate each."""
    pieces = (Piece(n, 1.0, 1.0 if k < rates else None) for k, n in enumerate(names.split()))
    return Subset(tuple(pieces), 1.0, criterion)


def test_of_choices_too_close_to_call_the_plainest_is_taken() -> None:
    """Within 2 of the least: the fewest terms beyond Ī₁, of these the fewest numbers, the least."""
    least = choice("I1 I2", 10.0)
    longer, other = choice("exp(I1) I1^2", 10.5, 1), choice("I1 I1^2", 11.8)
    same, short = choice("exp(I1)", 11.6, 1), choice("I1", 12.5)
    given = [short, other, same, longer, least]

    def taken(inflation: float, one: bool, some: list[Subset] = given) -> Subset:
        found, delta, best = chosen_of(some, inflation, one)
        assert [s.criterion for s in found] == sorted(s.criterion for s in some)
        expected = [(s.criterion - found[0].criterion) / inflation for s in found]
        assert delta == pytest.approx(expected)
        return found[best]

    assert taken(1.0, False) is same
    assert taken(1.0, False, [least, longer, other, short]) is other
    assert taken(1.0, False, [least, choice("stretch+", 10.4, 1), longer]) is longer
    assert taken(1.0, False, [least, short]) is least, "2.5 is beyond what is too close"
    assert taken(2.0, False) is short, "and 1.25 is not"
    far = [least, choice("I1 I1^2", 20.0), choice("exp(I1) I1^2", 19.0, 1), short]
    assert taken(1.0, True, far) is short
    assert taken(1.0, True, far[:3]) is far[1], "close to the least of Ī₁ alone"
    assert taken(1.0, False, far[:3]) is least
    chance = [least._replace(rivals=91), choice("I1 I1^2", 17.0)._replace(rivals=1)]
    found, delta, best = chosen_of(chance, 1.0, False)
    assert found[best] is chance[1], "2 log 91 is 9.02"
    assert delta[1] == pytest.approx(10.0 + 2 * math.log(91) - 17.0)


@pytest.mark.parametrize("most", [30, 3, 1])
def test_the_ensemble_is_what_is_not_out_of_the_question(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Choices within 10 of the least, the best of them, and the chosen one; shares sum up to 1."""
    monkeypatch.setattr(selection, "MEMBERS", most)
    task = Task(made(MooneyRivlin(1.2e5, 3e4, 1e8), "UT", noise=1e4))
    scales = task.scales()
    found = subsets(task, scales, True)
    law = formula(found[0].pieces, scales.shear, 1000 * scales.shear, scales.strain)
    with torch.no_grad():
        factor = along(task, task.residual(law).numpy())
    seen = {p.name for s in found for p in s.pieces}
    assert {n for n in seen if "I2" in n} == {"I2", "I2^2"}, "no exponential of what nothing tells"
    found, delta, best = chosen_of(found, factor, True)
    assert best >= 1, "the least is of Ī₂, and one loading does not tell that"
    assert delta[best] < 10.0, "so that its share matters"
    close = [k for k, d in enumerate(delta) if d <= 10.0]
    assert 3 < len(close) < len(delta), "so that it matters"
    members = {*close[:most], best}
    weights = {k: math.exp(-delta[k] / 2) for k in members}
    expected = [w / sum(weights.values()) for k, w in sorted(weights.items()) if k != best]
    assert fit_terms(task, scales).shares == pytest.approx(expected)


class Ended:
    """A chosen law that has no stress at the last point, and no doubt of its numbers."""

    quantile, incompressible = 2.0, True

    def predicted(self, test: StressTest) -> torch.Tensor:
        P = torch.zeros_like(test.F)
        P[-1] = torch.nan
        return P

    def band(self, test: StressTest) -> torch.Tensor:
        return torch.zeros_like(test.F)


def test_where_the_chosen_terms_end_others_count_before() -> None:
    """The band is t √(p P²/1) up to the end, P of the other law and p its share."""
    (UT,) = made(Yeoh(1e5, 0.0, 0.0, 1e8), "UT")
    chosen: Any = Ended()
    found = TermsFit(chosen, (Yeoh(1e5, 0.0, 0.0, 1e8),), (0.25,), ()).band(UT)[:, 0, 0]
    assert torch.allclose(found[:-1], 2.0 * 0.5 * UT.stress[:-1, 0, 0], rtol=1e-9)
    assert bool(found[-1].isnan())


def test_a_formula_goes_on_with_its_terms() -> None:
    tests = made(MooneyRivlin(1.5e5, 2e4, 1e8))
    task = Task(tests)
    begun = formula([Piece("I1", 1e5, None), Piece("I2", 1e3, None)], 1e5, 1e8)
    rival = of_law("old", begun, task.scales())
    assert isinstance(rival.family, Terms) and rival.family.fits(begun)
    assert rival.family.read(begun) == pytest.approx({"w I1": 1e5, "w I2": 1e3, "bulk": 1e8})
    best = compare([rival], task, tests).best
    assert isinstance(best.law, CANN)
    assert {p.name: p.weight for p in pieces_of(best.law)} == pytest.approx(
        {"I1": 1.5e5, "I2": 2e4}, rel=1e-4
    )
    stretched = formula([Piece("stretch+", 1e5, 1.5), Piece("stretch-", 2e4, -2.5)], 1e5, 1e8)
    assert [(p.name, p.rate) for p in pieces_of(stretched)] == [
        ("stretch+", 1.5), ("stretch-", -2.5)
    ]  # fmt: skip


def test_too_few_points() -> None:
    s = torch.tensor([1.2, 1.6], dtype=torch.float64)
    task = Task((StressTest.of_kind("UT", s, 1e5 * (s - s**-2)),))
    with pytest.raises(ValueError, match="got 2 stresses, of which no term has a criterion"):
        fit_terms(task, task.scales())


def test_where_laws_were_fitted_goes_with_them(tmp_path: Path) -> None:
    """Principal stretches of the fitted loadings; the audit takes them as its box."""
    tests = made(MooneyRivlin(1.5e5, 2e4, 1e8))
    task = Task(tests[:1])
    found: Comparison = compare([contender("yeoh", task.scales())], task, tests)
    write_stress_fit(tmp_path, found, {"files": "a.h5", "set": "B"}, "rheograd fit stress a.h5")
    law = ConstitutiveLaw.load(tmp_path / "law.safetensors")
    known = law.provenance
    assert known is not None and known.stretch is not None
    assert known.stretch == pytest.approx((3.5**-0.5, 3.5)) and known.volume is None
    assert (known.data, known.loading) == ("a.h5 B", "uniaxial tension")
    assert known.command == "rheograd fit stress a.h5"
    assert suited(law, 1000.0).stretch == pytest.approx(known.stretch)


class TestTreloar:
    """Rubber of Treloar 1944, where the data are at hand."""

    @pytest.fixture
    def tests(self, reference_data: Callable[[str], Path]) -> tuple[StressTest, ...]:
        path = reference_data("rubber/rubber_tests.h5")
        return read_stress(path, Reading(chosen="Treloar_1944")).tests

    def test_chosen_terms_tell_the_loadings(self, tests: tuple[StressTest, ...]) -> None:
        """All three better than Ogden's six numbers (1.0 %); the pull alone as well as any."""
        whole = judged("cann", "UT ET PS", tests)
        assert whole.count <= 8 and min(s.r2 for s in whole.scores.values()) > 0.999
        assert whole.rms < 0.006 * Task(tests).size
        pull = judged("cann", "UT", tests)
        assert pull.count <= 3 and all(p.determined for p in pull.parameters)
        assert pull.scores["ET"].r2 > 0.89 and pull.scores["PS"].r2 > 0.97
        assert pull.scores["ET"].inside > 0.95 and pull.scores["PS"].inside > 0.95

    def test_a_pull_and_a_shear_tell_more_than_the_pull(
        self, tests: tuple[StressTest, ...]
    ) -> None:
        """Of ET, which is held out; and its band has no needle where an alternative ends."""
        both = judged("cann", "UT PS", tests)
        assert both.scores["ET"].r2 > 0.98 and both.scores["ET"].inside > 0.95
        band = both.lines["ET"].band
        assert bool((band[1:] >= 0.999 * band[:-1]).all()), "it only widens"
        assert bool((band[20:] < 1.2 * band[19:-1]).all()), "and smoothly"

    def test_polyconvex_leaves_out_what_a_pull_does_not_tell(
        self, tests: tuple[StressTest, ...]
    ) -> None:
        pull = judged("polyconvex", "UT", tests, members=2, epochs=250)
        assert pull.scores["ET"].r2 > 0.89 and pull.scores["PS"].r2 > 0.97
        assert pull.scores["ET"].inside > 0.95, "for every other member reads it as of Ī₂"

    @pytest.mark.parametrize(("name", "sound"), [("cann", True), ("polyconvex", True),
                                                 ("plain", False)])  # fmt: skip
    def test_only_energies_pass_the_audit(
        self, name: str, sound: bool, tests: tuple[StressTest, ...]
    ) -> None:
        law = judged(name, "UT ET PS", tests, members=1, epochs=60).law
        found = audit(law)
        assert found.passed is sound
        if not sound:
            assert found.named("no work from cycles").verdict == "fail"
            assert found.named("angular momentum").verdict == "fail"


def test_each_registered_law_is_in_the_documentation() -> None:
    every(ConstitutiveLaw)  # loads those of engine/ too
    page = (Path(__file__).parents[1] / "docs" / "laws.md").read_text(encoding="utf-8")
    missing = [
        name
        for name, kind in registered().items()
        if kind.__module__.startswith("rheograd.") and f"`{name}`" not in page
    ]
    assert not missing
