# SPDX-License-Identifier: Apache-2.0
"""Criteria, errors and uncertainties of discovered formulas, against figures by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from rheograd.engine.cells import Cells
from rheograd.engine.discovery.discover import (
    Discovery,
    Step,
    chosen_size,
    discover,
    doubts,
    ebic,
    inflation,
    jacobian,
    ladder,
    prices_of,
)
from rheograd.engine.discovery.formula import filled, formula, parameter
from rheograd.engine.discovery.from_motion import MeasuredMotion
from rheograd.engine.discovery.from_stress import StressEquations
from rheograd.engine.discovery.judged import Answered, found_in_tests
from rheograd.engine.discovery.library import Candidate, Term, candidates, library
from rheograd.engine.discovery.selection import Chosen, Columns
from rheograd.engine.fit.stress.task import Task
from rheograd.engine.material_point import drive
from rheograd.engine.mesh.generators import box
from rheograd.engine.observations.force_curve import ForceCurve
from rheograd.engine.observations.stress_test import FREE, StressTest, deformation
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.energies.symbolic import Constant, Symbolic

I1, I2 = "(I1bar - 3)", "(I2bar - 3)"
S = torch.tensor([1.1, 1.3, 1.6, 2.0, 2.4, 2.9, 3.3], dtype=torch.float64)


class Made:
    """Equations whose columns are exp(number x), or x^k of terms without a number."""

    def __init__(self, x: np.ndarray, seen: np.ndarray, groups: np.ndarray) -> None:
        self.x, self.seen, self.groups = x, seen, groups

    def column(self, candidate: Candidate) -> np.ndarray:
        if candidate.number is None:
            return self.x ** float(candidate.term.name)
        return np.exp(candidate.number * self.x)


def power(k: int) -> Candidate:
    return Candidate(Term(str(k), str(k), "mooney-rivlin"), None)


def term(name: str, excess: float = 6.0) -> Term:
    return next(t for t in library(excess) if t.name == name)


def made(*values: float) -> Made:
    seen = np.array(values)
    return Made(np.ones(len(seen)), seen, np.zeros(len(seen), dtype=np.int64))


def step(size: int, ebic: float, within: float, spread: float) -> Step:
    chosen = Chosen(tuple(power(k) for k in range(size)), np.ones(size), 1.0)
    return Step(chosen, 0.1, ebic, within, spread, math.nan)


def test_the_criterion_by_hand() -> None:
    """m log(RSS/m) + n log m + 2 Σ log(choices); of known noise RSS/noise² in its place."""
    bent = Term("bent", "{0}", "exp", "b", (1.0, 2.0, 4.0))
    parts = [power(1), power(2), *(Candidate(bent, b) for b in bent.grid)]
    prices = prices_of(parts)
    assert prices == pytest.approx(
        {"1": 2 * math.log(3), "2": 2 * math.log(3), "bent": 2 * math.log(9)}
    )
    chosen = Chosen((parts[0], parts[3]), np.array([1.0, 2.0]), 0.4)
    price = 3 * math.log(20) + 2 * math.log(3) + 2 * math.log(9)
    assert ebic(chosen, 20, prices, None, 0.0) == pytest.approx(20 * math.log(0.02) + price)
    assert ebic(chosen, 20, prices, 0.1, 0.0) == pytest.approx(40 + price)
    assert ebic(chosen, 20, prices, None, 0.5) == pytest.approx(20 * math.log(0.5) + price)


def test_the_size_is_the_smaller_of_two_choices() -> None:
    """That of the least criterion, or the smallest within one standard error of the least."""
    path = [step(1, 5.0, 0.5, 0.0), step(2, 1.0, 0.2, 0.01), step(3, 0.0, 0.19, 0.01)]
    assert chosen_size(path) == 2, "0.2² is within 0.01 of 0.19²"
    close = [*path[:2], replace(path[2], spread=0.001)]
    assert chosen_size(close) == 3
    assert chosen_size([path[0], replace(path[1], ebic=-1.0), close[2]]) == 2


def test_residuals_go_together_within_a_curve() -> None:
    """ρ of neighbours in a group: nothing is made of the last of one and the first of the next."""
    residual, groups = np.array([1.0, 1.0, -2.0, -2.0]), np.array([0, 0, 1, 1])
    rho = (1.0 + 4.0) / 10.0
    assert inflation(residual, groups) == pytest.approx((1 + rho) / (1 - rho))
    together = (1.0 - 2.0 + 4.0) / 10.0
    assert inflation(residual, 0 * groups) == pytest.approx((1 + together) / (1 - together))
    assert inflation(np.array([1.0, -1.0, 1.0]), np.zeros(3)) == 1.0


def test_points_and_loadings_that_are_held_back() -> None:
    """One weight on a column of ones is the mean of what is left."""
    seen = np.array([2.0, 2.2, 1.8, 2.1, 1.7, 2.4, 1.9, 2.3, 2.05, 1.6])
    equations = made(*seen)
    found = discover(equations, [power(1)], most=1, draws=3).path[0]
    squares = []
    for fold in range(5):
        held = np.arange(10) % 5 == fold
        squares.append(np.mean((seen[~held].mean() - seen[held]) ** 2) / np.mean(seen**2))
    assert found.within == pytest.approx(math.sqrt(np.mean(squares)), rel=1e-9)
    assert found.spread == pytest.approx(np.std(squares, ddof=1) / math.sqrt(5), rel=1e-9)
    assert math.isnan(found.left_out), "there is one loading only"
    assert found.error == pytest.approx(seen.std() / math.sqrt(np.mean(seen**2)), rel=1e-9)
    groups = np.array([0] * 4 + [1] * 6)
    two = discover(Made(equations.x, seen, groups), [power(1)], most=1, draws=3)
    a, b = seen[:4], seen[4:]
    left = (((b.mean() - a) ** 2).sum() + ((a.mean() - b) ** 2).sum()) / 10 / np.mean(seen**2)
    assert two.path[0].left_out == pytest.approx(math.sqrt(left), rel=1e-9)
    assert two.inclusion == {"1": 1.0}


def test_terms_at_an_end_of_their_range_give_way() -> None:
    """exp(b x) tells exp(0.05 x) best, but b ends at 0.1; the constant beside it has no end."""
    x = np.linspace(0.0, 1.0, 12)
    equations = Made(x, np.exp(0.05 * x), np.zeros(12, dtype=np.int64))
    bent = Term("bent", "{0}", "exp", "b", (1.0, 2.0))
    assert bent.bounds(1.0) == (0.1, 4.0)
    parts = [Candidate(bent, 1.0), Candidate(bent, 2.0), power(0)]
    for given, names in ((parts, ["0"]), (parts[:2], ["bent"])):
        columns = Columns.of(equations, given)
        (best,) = ladder(equations, columns, None, 1, prices_of(given), None, 20)
        assert [p.term.name for p in best.parts] == names
    assert best.at_an_end, "and of nothing else it is taken"
    constant = Chosen((power(0),), np.array([1.0]), 0.0)
    assert not constant.at_an_end and replace(constant, weights=np.zeros(1)).at_an_end


@pytest.mark.parametrize(("count", "sizes"), [(4, 1), (7, 1), (8, 2), (10, 2), (11, 3), (30, 4)])
def test_a_term_takes_three_points(count: int, sizes: int) -> None:
    """No more terms are tried than (m − 2)/3."""
    x = np.linspace(0.1, 2.0, count)
    seen = 1.0 + x + x**2 + x**3
    equations = Made(x, seen, np.zeros(count, dtype=np.int64))
    found = discover(equations, [power(k) for k in range(4)], draws=0, hold_back=False)
    assert len(found.path) == sizes


def test_up_to_five_loadings_are_held_back() -> None:
    for count in (2, 5, 6):
        groups = np.repeat(np.arange(count), 3)
        seen = 1.0 + 0.1 * np.arange(3 * count) % 0.7
        found = discover(Made(np.ones(3 * count), seen, groups), [power(1)], most=1, draws=0)
        assert math.isnan(found.path[0].left_out) == (count == 6)


class Apart(Made):
    """Two points, each of which one of two terms tells."""

    def column(self, candidate: Candidate) -> np.ndarray:
        return np.array([1.0, 0.0] if candidate.term.name == "1" else [0.0, 1.0])


def test_points_of_a_loading_are_drawn_anew() -> None:
    """Of the four draws of two points the first is in three, and it has the larger stress."""
    seen, x = np.array([1.0, 0.9]), np.ones(2)
    one = discover(Apart(x, seen, np.zeros(2, int)), [power(1), power(2)], most=1, draws=400)
    assert one.inclusion["1"] == pytest.approx(0.75, abs=0.08)
    assert one.inclusion["1"] + one.inclusion["2"] == pytest.approx(1.0)
    two = discover(Apart(x, seen, np.arange(2)), [power(1), power(2)], most=1, draws=20)
    assert two.inclusion == {"1": 1.0}, "each loading keeps its number of points"


def test_standard_deviations_are_those_of_regression() -> None:
    """s² (AᵀA)⁻¹ of two powers, s² = RSS/(m − 2), enlarged for what goes together."""
    x = np.linspace(0.5, 2.0, 16)
    draw = np.random.default_rng(2)
    error = 0.02 * np.convolve(draw.standard_normal(18), np.ones(3) / 3, "valid")
    equations = Made(x, 3 * x + 2 * x**2 + error, np.zeros(16, dtype=np.int64))
    found = discover(equations, [power(1), power(2)], most=2, draws=1)
    A = np.stack([x, x**2], 1)
    weights, *_ = np.linalg.lstsq(A, equations.seen, rcond=None)
    np.testing.assert_allclose(found.chosen.weights, weights, rtol=1e-8)
    e = A @ weights - equations.seen
    rho = float(e[1:] @ e[:-1] / (e @ e))
    assert rho > 0.2
    bare = np.linalg.inv(A.T @ A) * (1 + rho) / (1 - rho)
    np.testing.assert_allclose(found.covariance, e @ e / 14 * bare, rtol=1e-6)
    np.testing.assert_allclose(found.std, np.sqrt(np.diag(found.covariance)), rtol=1e-12)
    known = discover(equations, [power(1), power(2)], most=2, noise=0.03, draws=1)
    np.testing.assert_allclose(known.covariance, 0.03**2 * bare, rtol=1e-6)


def test_derivatives_by_numbers_of_terms() -> None:
    """Of w exp(b x) by w and by b, in the order of all weights, then of the numbers."""
    x = np.linspace(0.0, 1.0, 5)
    bent = Term("bent", "{0}", "exp", "b", (1.0,))
    parts = (Candidate(bent, 1.5), power(2), Candidate(bent, -0.5))
    chosen = Chosen(parts, np.array([4.0, 7.0, 3.0]), 0.0)
    found = jacobian(Made(x, x, np.zeros(5, dtype=np.int64)), chosen)
    expected = [
        np.exp(1.5 * x), x**2, np.exp(-0.5 * x),
        4 * x * np.exp(1.5 * x), 3 * x * np.exp(-0.5 * x),
    ]  # fmt: skip
    np.testing.assert_allclose(found, np.stack(expected, 1), rtol=1e-7, atol=1e-9)


def test_numbers_of_a_formula_keep_their_uncertainties() -> None:
    """The covariance is of weights, then numbers; the formula has each weight and its number."""
    stretch, gent = term("stretch(alpha)"), term("-log(1 - (I1bar - 3)/m)")
    parts = (
        Candidate(stretch, 3.0), Candidate(term(I1), None),
        Candidate(gent, 9.0), Candidate(stretch, -2.5),
    )  # fmt: skip
    weights = np.array([1e4, 2e4, 3e4, 4e4])
    std = np.array([1e2, 2e2, 3e2, 4e2, 0.5, 0.6, 0.7])
    found = formula(Chosen(parts, weights, 0.0), np.diag(std**2), 2.0)
    rows = {p.name: p for p in found.parameters}
    assert list(rows) == ["c1", "alpha1", "c2", "c3", "m", "c4", "alpha2"]
    values = [1e4, 3.0, 2e4, 3e4, 9.0, 4e4, -2.5]
    order = [0, 4, 1, 2, 5, 3, 6]
    assert [p.value for p in rows.values()] == pytest.approx(values)
    assert [p.std for p in rows.values()] == pytest.approx(std[order].tolist())
    np.testing.assert_allclose(np.diag(found.covariance), std[order] ** 2)
    assert (rows["c3"].low95, rows["c3"].high95) == pytest.approx((3e4 - 600, 3e4 + 600))
    assert rows["alpha2"].high95 == pytest.approx(-2.5 + 1.4) and rows["alpha2"].unit == "-"
    held = float(found.law.values()["K"].detach())
    # stretches have w/α² (Σ s^α − 3), so the modulus w/2 at rest; Gent's −w m log(…) has 2 w
    shear = 0.5 * 1e4 + 2 * 2e4 + 2 * 3e4 + 0.5 * 4e4
    assert held == pytest.approx(1000 * shear, rel=1e-9)
    eye = torch.eye(3, dtype=torch.float64)[None]
    tangent = found.law.tangent(eye, torch.zeros(1, 0).double(), 1.0)[0]
    lam = float(tangent[0, 0, 1, 1].detach())
    assert lam + 2 / 3 * shear == pytest.approx(held, rel=1e-9), "K of K/4 (J² − 1 − 2 log J)"
    wide = formula(Chosen(parts[1:2], weights[1:2], 0.0), np.array([[(3e4) ** 2]]), 2.0)
    assert not wide.parameters[0].determined and "not determined" in wide.numbers
    asked = formula(Chosen(parts[1:2], weights[1:2], 0.0), np.eye(1), 2.0, bulk=5e6)
    assert float(asked.law.values()["K"].detach()) == pytest.approx(5e6)


def test_numbers_at_the_ends_of_their_range_make_a_law() -> None:
    stretch = term("stretch(alpha)")
    for number in (*stretch.bounds(1.0), *stretch.bounds(-1.0)):
        chosen = Chosen((Candidate(stretch, number),), np.array([1e4]), 0.0)
        law = formula(chosen, np.zeros((2, 2)), 2.0).law
        assert float(law.values()["alpha"].detach()) == pytest.approx(number, rel=1e-6)


def test_a_band_ends_at_zero_and_a_wide_one_is_none() -> None:
    """A number ± twice its standard deviation, which has to be below the number itself."""
    for value, low, high in ((2.0, 0.0, 5.0), (-2.0, -5.0, 0.0)):
        p = parameter(Constant("c", value), 1.5, 2.0)
        assert (p.determined, p.std, p.low95, p.high95) == (True, 1.5, low, high)
        narrow = parameter(Constant("c", value), 0.5, 2.0)
        assert (narrow.low95, narrow.high95) == (value - 1.0, value + 1.0)
        for std in (2.0, math.inf, math.nan):
            wide = parameter(Constant("c", value), std, 2.0)
            assert (wide.determined, wide.std, wide.low95, wide.high95) == (False, *[None] * 3)


def test_numbers_in_place_of_names() -> None:
    """Those below 0 in brackets, but for the whole of an argument."""
    text = "c1*(I1bar - 3) + log(a) + a*(a - 1)"
    assert (
        filled(text, {"c1": 2.00001, "a": -1.5})
        == "2*(I1bar - 3) + log(-1.5) + (-1.5)*((-1.5) - 1)"
    )


def test_terms_that_seldom_came_back_are_doubted() -> None:
    path = (step(1, 0.0, 0.1, 0.0), step(2, 0.0, 0.1, 0.0))
    found = Discovery(path, 2, np.zeros(2), np.zeros((2, 2)), {"0": 0.49, "7": 0.9, "1": 0.51}, 9)
    (said,) = doubts(found)
    assert said.startswith("0 came back in 49 % of the bootstrap only")
    (missed,) = doubts(replace(found, inclusion={"0": 0.6}))
    assert missed.startswith("1 came back in 0 %")
    assert doubts(replace(found, inclusion={})) == [], "nothing was drawn"


def test_nominal_stress_of_a_sheared_and_swollen_body() -> None:
    """P = τ F⁻ᵀ of ψ = Ī₁: rows are those of the law, in units of the task."""
    F = torch.eye(3, dtype=torch.float64).repeat(4, 1, 1)
    F[:, 0, 1] = torch.tensor([0.1, 0.3, 0.5, 0.9])
    F[:, 2, 2] = 1.2
    law = Symbolic(f"2e5*{I1} + 4e5*(J - 1)**2")
    with torch.no_grad():
        P = law.stress(F, torch.zeros(4, 0, dtype=torch.float64)) @ torch.linalg.inv(F).mT
    test = StressTest("sheared", F, P, (False, False, False))
    equations = StressEquations(Task((test,)))
    parts = [Candidate(term(name), None) for name in (I1, "(J - 1)**2")]
    told = 2e5 * equations.column(parts[0]) + 4e5 * equations.column(parts[1])
    np.testing.assert_allclose(told, equations.seen, rtol=1e-9, atol=1e-12)
    assert float((P[:, 0, 1] - P[:, 1, 0]).abs().min()) > 1e3, "so that F⁻ᵀ is no F⁻¹"


def measured(law: Symbolic, noise: float = 0.0) -> list[StressTest]:
    draw, tests = np.random.default_rng(1), []
    for kind in ("UT", "PS"):
        with torch.no_grad():
            P = drive(law, deformation(kind, S), FREE[kind]).P[:, 0, 0]
        error = noise * torch.from_numpy(draw.standard_normal(len(S)))
        tests.append(StressTest.of_kind(kind, S, P + error))
    return tests


def test_bands_of_a_formula_by_hand() -> None:
    """P = Σ w g with the covariance of the weights: t √(gᵀ C g); R² of all points together."""
    tests = measured(Symbolic(f"1.6e5*{I1} + 4e4*{I2} + 1e8*(J - 1)**2"), 2e3)
    found = found_in_tests(Task(tuple(tests)), tests, families=["mooney-rivlin"], most=2, draws=1)
    assert sorted(p.term.name for p in found.discovery.chosen.parts) == [I1, I2]
    C = found.formula.covariance
    answer = Answered(found.formula.law, found.formula, 2.3, None)
    ET = StressTest.of_kind("ET", S, S)
    by = {I1: 2 * (S - S**-5), I2: 2 * (S - S**-5) * S**2}
    g = torch.stack([by[p.term.name] for p in found.discovery.chosen.parts], 1)
    expected = 2.3 * ((g @ torch.from_numpy(C)) * g).sum(1).sqrt()
    assert torch.allclose(answer.band(ET)[:, 0, 0], expected, rtol=1e-6)
    assert float(found.formula.law.shifts.detach().abs().max()) == 0.0, "left as it was"
    seen = torch.cat([t.stress[t.rows] for t in tests])
    P = torch.cat([answer.predicted(t)[t.rows] for t in tests])
    r2 = 1 - float((P - seen).square().sum() / (seen - seen.mean()).square().sum())
    assert found.r2 == pytest.approx(r2, rel=1e-12)


@pytest.mark.parametrize("relative", [False, True])
def test_a_known_noise_is_one_of_stress(relative: bool) -> None:
    """In Pa, or relative to a stress by itself: the error bar of the weight is of that noise.

    It is enlarged for what is left and goes together, as that of an unknown noise.
    """
    tests = measured(Symbolic(f"2e5*{I1} + 1e8*(J - 1)**2"), 2e3)
    task, noise = Task(tuple(tests), relative=relative), 0.02 if relative else 3e3
    found = found_in_tests(task, tests, families=["mooney-rivlin"], most=1, noise=noise, draws=0)
    (weight,) = found.formula.parameters
    by = [(2 * (S - S**-2)).numpy(), (2 * (S - S**-3)).numpy()]
    units = [task.units(t)[:, 0, 0].numpy() if relative else np.ones(7) for t in tests]
    seen = [t.stress[:, 0, 0].numpy() for t in tests]
    gaps = [(weight.value * g - y) / u for g, y, u in zip(by, seen, units, strict=True)]
    product = sum(float(e[1:] @ e[:-1]) for e in gaps)
    rho = max(product / sum(float(e @ e) for e in gaps), 0.0)
    square = sum(float(((g / u) ** 2).sum()) for g, u in zip(by, units, strict=True))
    std = noise * math.sqrt((1 + rho) / (1 - rho) / square)
    assert weight.std == pytest.approx(std, rel=1e-6)


def test_free_sides_are_equations_where_the_volume_was_measured() -> None:
    """P₁₁ alone was measured; that P₂₂ = P₃₃ = 0 is what tells the term of the volume."""
    text = {I1: 2e5, "(J - 1)**2": 6e5}
    law = Symbolic(" + ".join(f"{w}*{name}" for name, w in text.items()))
    s = torch.linspace(1.05, 1.9, 12, dtype=torch.float64)
    with torch.no_grad():
        driven = drive(law, deformation("UT", s), FREE["UT"], incompressible=False)
    P = torch.full_like(driven.P, torch.nan)
    P[:, 0, 0] = driven.P[:, 0, 0]
    test = StressTest("UT", driven.F, P, FREE["UT"], None, None, "UT")
    equations = StressEquations(Task((test,)))
    assert not equations.incompressible and len(equations.seen) == 36
    assert np.count_nonzero(equations.seen) == 12
    parts = [Candidate(term(name), None) for name in text]
    left = sum(w * equations.column(p) for w, p in zip(text.values(), parts, strict=True))
    np.testing.assert_allclose(left, equations.seen, atol=1e-9)
    told = candidates(library(equations.deformed.excess, ["mooney-rivlin", "volume"]))
    found = discover(equations, told, most=2, draws=0).chosen
    weights = dict(zip((p.term.name for p in found.parts), found.weights, strict=True))
    assert weights == pytest.approx(text, rel=1e-6)


def stretched_cube(force: Tensor) -> MeasuredMotion:
    """A cube of 2 cm whose sides are held as it is pulled along x."""
    mesh = box((0.02, 0.02, 0.02), (2, 2, 2))
    stretches = torch.ones(4, 1, 3, dtype=torch.float64)
    stretches[:, 0, 0] = torch.tensor([1.0, 1.1, 1.25, 1.4])
    x = mesh.nodes * stretches
    middle = mesh.nodes.abs().amax(1) < 1e-6
    time = torch.arange(4.0, dtype=torch.float64)
    far = torch.nonzero(mesh.nodes[:, 0] > 0.01 - 1e-6).flatten()
    axis = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
    held = ~middle[:, None].expand(-1, 3)
    motion = Trajectory(time, x, cells=Cells(mesh.element, mesh.cells))
    return MeasuredMotion(motion, ForceCurve(time, force, far, axis), held)


def test_the_force_on_a_grip_is_stress_by_area() -> None:
    """P₁₁ = 4/3 (λ² − 1) λ^(−5/3) of Ī₁ in F = diag(λ, 1, 1), on 4 cm², 0.6 of it along the axis.

    A frame without a measured force has no such row, but its middle is in equilibrium as well.
    """
    force = torch.tensor([0.0, 20.0, torch.nan, 50.0], dtype=torch.float64)
    motion = stretched_cube(force)
    rows, grip = motion.rows(Candidate(term(I1), None)), motion.gripped
    assert motion.frame.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert np.flatnonzero(grip).tolist() == [3, 10]
    np.testing.assert_allclose(rows[~grip], 0.0, atol=1e-12)
    np.testing.assert_allclose(motion.loads, np.where(grip, [0] * 3 + [20.0] + [0] * 6 + [50.0], 0))
    s = np.array([1.1, 1.4])
    expected = 0.6 * 4e-4 * 4 / 3 * (s**2 - 1) * s ** (-5 / 3)
    np.testing.assert_allclose(rows[grip], expected, rtol=1e-6)
