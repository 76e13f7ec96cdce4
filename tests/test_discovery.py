# SPDX-License-Identifier: Apache-2.0
"""Formulas that are found in stress tests are those that the tests were made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rheograd.engine.discovery.discover import Discovery, discover
from rheograd.engine.discovery.from_stress import StressEquations
from rheograd.engine.discovery.judged import found_in_tests
from rheograd.engine.discovery.library import Candidate, Deformed, candidates, library
from rheograd.engine.fit.stress.task import Task
from rheograd.engine.material_point import drive
from rheograd.engine.observations.stress_files import Reading, read_stress
from rheograd.engine.observations.stress_test import FREE, StressTest, deformation
from rheograd.materials import rubber
from rheograd.materials.energies.symbolic import Symbolic
from rheograd.materials.law import ConstitutiveLaw

RUBBER = Path(__file__).resolve().parents[2] / "shared/data/rubber/rubber_tests.h5"
K = 1e8
I1, I2 = "(I1bar - 3)", "(I2bar - 3)"
GENT, STRETCH = "-log(1 - (I1bar - 3)/m)", "stretch(alpha)"
LAWS: dict[str, tuple[ConstitutiveLaw, dict[str, float], list[float]]] = {
    "neo-hookean": (Symbolic("2e5*(I1bar - 3) + 1e8*(J - 1)**2"), {I1: 2e5}, []),
    "mooney-rivlin": (rubber.MooneyRivlin(1.6e5, 4e4, K), {I1: 1.6e5, I2: 4e4}, []),
    "yeoh": (
        rubber.Yeoh(2e5, 4e4, 2e3, K),
        {I1: 2e5, I1 + "**2": 4e4, I1 + "**3": 2e3},
        [],
    ),
    "gent": (rubber.Gent(3e5, 30.0, K), {GENT: 1.5e5}, [30.0]),
    "isihara": (
        Symbolic("1.6e5*(I1bar - 3) + 3e4*(I2bar - 3) + 1e4*(I1bar - 3)**2 + 1e8*(J - 1)**2"),
        {I1: 1.6e5, I2: 3e4, I1 + "**2": 1e4},
        [],
    ),
}
"""Laws, the weights [Pa] of their terms, and the numbers of these."""


def measured(law: ConstitutiveLaw, noise: float, seed: int, points: int = 24) -> list[StressTest]:
    """Three loadings with errors of a share of each stress."""
    generator = np.random.default_rng(seed)
    found = []
    for kind, longest in (("UT", 5.0), ("ET", 3.0), ("PS", 4.5)):
        stretch = torch.linspace(1.0, longest, points + 1, dtype=torch.float64)[1:]
        with torch.no_grad():
            P = drive(law, deformation(kind, stretch), FREE[kind]).P[:, 0, 0]
        error = torch.from_numpy(generator.standard_normal(points))
        found.append(StressTest.of_kind(kind, stretch, P * (1 + noise * error)))
    return found


def found(tests: Sequence[StressTest], *, most: int = 4, draws: int = 0) -> Discovery:
    equations = StressEquations(Task(tuple(tests), relative=True))
    families = ("mooney-rivlin", "stretch", "gent", "exp", "log")
    parts = candidates(library(equations.deformed.excess, families))
    return discover(equations, parts, most=most, draws=draws)


@pytest.mark.parametrize("noise", [0.0, 1e-3, 1e-2])
@pytest.mark.parametrize("name", LAWS)
def test_finds_the_terms_of_a_known_law(name: str, noise: float) -> None:
    """Each true weight within four of its own standard deviations."""
    law, weights, numbers = LAWS[name]
    for seed in (0, 1) if noise > 1e-3 and len(weights) < 3 else (0,):
        one = found(measured(law, noise, seed))
        told = dict(zip((p.term.name for p in one.chosen.parts), one.chosen.weights, strict=True))
        assert told.keys() == weights.keys()
        for k, part in enumerate(one.chosen.parts):
            true = weights[part.term.name]
            assert abs(told[part.term.name] - true) < 4 * one.std[k] + 1e-6 * true
            assert one.std[k] < 0.2 * true
        got = [p.number for p in one.chosen.parts if p.number is not None]
        for number, true, std in zip(got, numbers, one.std[len(told) :], strict=True):
            assert abs(number - true) < 4 * std + 1e-6 * true
        if noise:
            assert one.path[one.size - 1].within == pytest.approx(noise, rel=0.4)


def test_finds_the_exponents_of_ogden() -> None:
    law = rubber.Ogden([1.2e5, -4e4], [3.4, -1.3], K)
    one = found(measured(law, 1e-3, 0))
    assert [p.term.name for p in one.chosen.parts] == [STRETCH, STRETCH]
    order = np.argsort([float(p.number or 0.0) for p in one.chosen.parts])
    for k, alpha, mu in zip(order, (-1.3, 3.4), (-4e4, 1.2e5), strict=True):
        assert abs((one.chosen.parts[k].number or 0.0) - alpha) < 4 * one.std[2 + k]
        assert abs(one.chosen.weights[k] - mu * alpha) < 4 * one.std[k]


@pytest.mark.parametrize("candidate", [c for c in candidates(library(2.0)) if c.number != 0.5])
def test_stress_of_a_term_is_that_of_its_law(candidate: Candidate) -> None:
    torch.manual_seed(0)
    F = torch.eye(3, dtype=torch.float64) + 0.15 * torch.randn(6, 3, 3, dtype=torch.float64)
    text = candidate.term.written("" if candidate.number is None else str(candidate.number))
    law = Symbolic(f"{text} + (J - 1)**2")
    bare = Symbolic("(J - 1)**2")
    internal = torch.zeros(6, 0, dtype=torch.float64)
    expected = law.stress(F, internal) - bare.stress(F, internal)
    torch.testing.assert_close(Deformed.of(F).tau(candidate), expected, rtol=1e-9, atol=1e-12)


def test_terms_of_the_volume_are_found_where_it_was_measured() -> None:
    law = Symbolic("2e5*(I1bar - 3) + 5e5*(J - 1)**2")
    stretch = torch.linspace(0.8, 1.6, 17, dtype=torch.float64)
    F = torch.diag_embed(torch.stack([stretch, stretch**-0.3, stretch**-0.3], 1))
    with torch.no_grad():
        P = law.stress(F, torch.zeros(17, 0, dtype=torch.float64)) @ torch.linalg.inv(F).mT
    test = StressTest("bar", F, P, (False, False, False))
    one = found_in_tests(Task((test,)), [test], draws=0)
    chosen = one.discovery.chosen
    told = dict(zip((p.term.name for p in chosen.parts), chosen.weights, strict=True))
    assert told == {I1: pytest.approx(2e5), "(J - 1)**2": pytest.approx(5e5)}
    assert one.r2 > 1 - 1e-9
    assert {p.name: p.value for p in one.formula.parameters}.keys() == {"c1", "c2"}


def test_the_law_saves_loads_and_has_the_bands_of_its_numbers(tmp_path: Path) -> None:
    tests = measured(LAWS["gent"][0], 1e-2, 3)
    task = Task(tuple(tests[:2]), relative=True)
    one = found_in_tests(task, tests, families=["gent", "mooney-rivlin"], most=2, draws=8)
    law = one.formula.law
    law.save(tmp_path / "law.safetensors")
    again = ConstitutiveLaw.load(tmp_path / "law.safetensors")
    torch.testing.assert_close(tests[2].predicted(again), tests[2].predicted(law), equal_nan=True)
    best = one.comparison.best
    assert best.scores["PS"].trained is False and best.scores["PS"].r2 > 0.99
    assert best.lines["PS"].band.min() > 0
    assert Symbolic(one.formula.text).constants == []
    assert "±" in one.formula.numbers and r"\pm" in one.formula.latex
    assert one.discovery.inclusion[GENT] > 0.8
    assert [p.name for p in one.formula.parameters] == ["c1", "m"]
    assert all(p.determined for p in one.formula.parameters)


def test_what_does_not_do_is_refused() -> None:
    tests = measured(LAWS["neo-hookean"][0], 0.0, 0)
    with pytest.raises(ValueError, match="four or more to choose terms by"):
        found([replace(tests[0], F=tests[0].F[:3], stress=tests[0].stress[:3])])
    with pytest.raises(ValueError, match="the stresses go against the stretches"):
        found([replace(t, stress=-t.stress) for t in tests])
    with pytest.raises(ValueError, match=r"got the terms 'ogden'.*stretch"):
        library(3.0, ["ogden"])
    with pytest.raises(ValueError, match="nothing is deformed"):
        library(0.0)
    with pytest.raises(ValueError, match="no stress is a number"):
        replace(tests[0], stress=tests[0].stress * torch.nan)
    with pytest.raises(ValueError, match="'volume', which these tests do not determine"):
        found_in_tests(Task(tuple(tests)), tests, families=["volume"])
    with pytest.raises(ValueError, match="a noise of -1"):
        found_in_tests(Task(tuple(tests)), tests, noise=-1.0)
    with pytest.raises(ValueError, match="0 terms at most"):
        found(tests, most=0)
    equations = StressEquations(Task(tuple(tests)))
    equations.seen[3] = np.nan
    with pytest.raises(ValueError, match="a measured value is not finite"):
        discover(equations, candidates(library(equations.deformed.excess)))


@pytest.mark.skipif(not RUBBER.is_file(), reason="no ../shared/data/rubber beside the project")
def test_treloar_gives_a_readable_formula() -> None:
    tests = read_stress(RUBBER, Reading(chosen="Treloar_1944")).tests
    one = found_in_tests(Task(tests), tests, draws=4)
    assert one.r2 > 0.99 and len(one.discovery.chosen.parts) <= 4
    assert len(one.formula.text) < 200
