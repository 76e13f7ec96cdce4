# SPDX-License-Identifier: Apache-2.0
"""A material point in a testing machine against closed forms, and stress tests from files."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor

from rheograd.engine.material_point import drive
from rheograd.engine.observations.stress_files import Reading, StressFile, read_stress
from rheograd.engine.observations.stress_test import FREE, KINDS, StressTest, deformation
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Hencky, NeoHookean, StVenantKirchhoff
from rheograd.materials.law import ConstitutiveLaw, Elasticity
from rheograd.materials.plastic import VonMises
from rheograd.materials.rubber import MooneyRivlin, Ogden
from rheograd.materials.small_strain import LinearElastic

STRETCH = torch.tensor([0.6, 0.9, 1.0, 1.3, 2.0, 4.0], dtype=torch.float64)
C1, C2 = 0.16e6, 0.02e6


def mooney_rivlin(kind: str, s: Tensor) -> Tensor:
    """Nominal stress of an incompressible body along the pull (Rivlin 1948)."""
    if kind == "UT":
        return 2 * (s - s**-2) * (C1 + C2 / s)
    if kind == "ET":
        return 2 * (s - s**-5) * (C1 + C2 * s**2)
    if kind == "PS":
        return 2 * (s - s**-3) * (C1 + C2)
    return 2 * (C1 + C2) * s  # simple shear


@pytest.mark.parametrize("kind", KINDS)
def test_incompressible_stress_in_closed_form(kind: str) -> None:
    """Whatever the bulk modulus, which pressure stands in for; free sides bear nothing."""
    amount = STRETCH - 1.0 if kind == "SS" else STRETCH
    for bulk in (1e5, 1e9):
        test = StressTest.of_kind(kind, amount, torch.zeros_like(amount))
        P = test.predicted(MooneyRivlin(C1, C2, bulk)).detach()
        i, j = test.component
        assert torch.allclose(P[:, i, j], mooney_rivlin(kind, amount), rtol=1e-11, atol=1e-6)
        for side in (k for k in range(3) if FREE[kind][k]):
            assert float(P[:, side, side].abs().max()) < 1e-6


def test_pure_shear_presses_on_the_held_side() -> None:
    """P₂₂ = 2 (c₁ (1 − λ⁻²) + c₂ (λ² − 1)): the difference τ₂ − τ₃ of Rivlin's form."""
    s = STRETCH
    P = drive(MooneyRivlin(C1, C2, 1e7), deformation("PS", s), FREE["PS"]).P.detach()
    expected = 2 * (1 - s**-2) * (C1 + C2 * s**2)
    assert torch.allclose(P[:, 1, 1], expected, rtol=1e-11, atol=1e-6)


@pytest.mark.parametrize("kind", ["UT", "ET", "PS"])
@pytest.mark.parametrize("poisson", [0.1, 0.3, 0.49])
def test_compressible_sides_against_an_independent_solve(kind: str, poisson: float) -> None:
    """Neo-Hookean by hand: μ (x² − 1) + λ log J = 0 of the free stretch x, by bisection."""
    law = NeoHookean(1e6, poisson)
    mu, lam = law.coefficients().tolist()
    F = deformation(kind, STRETCH)
    with torch.no_grad():
        found = drive(law, F, FREE[kind], incompressible=False)
    for k, s in enumerate(STRETCH.tolist()):
        held = {"UT": s, "ET": s * s, "PS": s}[kind]
        power = 2 if kind == "UT" else 1

        def side(x: float, held: float = held, power: int = power) -> float:
            return mu * (x * x - 1) + lam * np.log(held * x**power)

        x = float(brentq(side, 1e-4, 20.0, xtol=1e-15))  # type: ignore[arg-type]
        J = held * x**power
        expected = (mu * (s * s - 1) + lam * np.log(J)) / s
        assert float(found.F[k, 2, 2]) == pytest.approx(x, rel=1e-10)
        assert float(found.P[k, 0, 0]) == pytest.approx(expected, rel=1e-8, abs=1e-4)


@pytest.mark.parametrize("free", [(False, False, True), (False, False, False)])
def test_sheared_compressible_body_in_closed_form(free: tuple[bool, bool, bool]) -> None:
    """P = F S of St. Venant and Kirchhoff: S₃₃ = λ tr E + 2μ E₃₃ = 0, or E₃₃ = 0 where it is held.

    P is not symmetric, so that τ F⁻ᵀ and τ F⁻¹ differ.
    """
    law = StVenantKirchhoff(1e6, 0.3)
    mu, lam = law.coefficients().tolist()
    g = torch.tensor([0.1, 0.4, 0.7], dtype=torch.float64)
    with torch.no_grad():
        found = drive(law, deformation("SS", g), free, incompressible=False)
    E33 = -lam / (lam + 2 * mu) * g**2 / 2 if free[2] else torch.zeros_like(g)
    trace = g**2 / 2 + E33
    S11, S12, S22 = lam * trace, mu * g, lam * trace + mu * g**2
    expected = {
        (0, 0): S11 + g * S12, (0, 1): S12 + g * S22, (1, 0): S12, (1, 1): S22,
        (2, 2): (1 + 2 * E33).sqrt() * (lam * trace + 2 * mu * E33), (0, 2): 0.0 * g,
    }  # fmt: skip
    assert torch.allclose(found.F[:, 2, 2], (1 + 2 * E33).sqrt(), rtol=1e-10)
    for (i, j), P in expected.items():
        assert torch.allclose(found.P[:, i, j], P, rtol=1e-9, atol=1e-4)


class Across(Elasticity):
    """τ = μ F Fᵀ + c f fᵀ of fibres along y: a pull along x leaves its two sides unlike."""

    name = "test-across"

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        f = F_elastic[:, :, 1]
        return 3e5 * F_elastic @ F_elastic.mT + 2e5 * f[:, :, None] * f[:, None]

    @classmethod
    def example(cls) -> Across:
        return cls()


def test_the_pressure_of_unlike_sides_is_their_mean() -> None:
    """p = (τ₂₂ + τ₃₃)/2 = (μ + c/2)/λ, and what is left of the sides are ± c/(2λ)."""
    s = STRETCH
    P = drive(Across(), deformation("UT", s), FREE["UT"]).P
    assert torch.allclose(P[:, 0, 0], (3e5 * s**2 - 4e5 / s) / s, rtol=1e-12, atol=1e-6)
    assert torch.allclose(P[:, 1, 1], 1e5 / s * s**0.5, rtol=1e-12, atol=1e-6)
    assert torch.allclose(P[:, 2, 2], -P[:, 1, 1], rtol=1e-12, atol=1e-6)


def test_nearly_incompressible_is_nearly_so() -> None:
    F = deformation("UT", STRETCH)
    stiff, softer = (
        drive(MooneyRivlin(C1, C2, K), F, FREE["UT"], incompressible=False).P.detach()
        for K in (1e10, 1e9)
    )
    limit = drive(MooneyRivlin(C1, C2, 1e9), F, FREE["UT"]).P.detach()
    gaps = [float((P - limit)[:, 0, 0].abs().max()) for P in (stiff, softer)]
    assert gaps[0] < 2e-4 * float(limit[:, 0, 0].abs().max())
    assert gaps[1] == pytest.approx(10 * gaps[0], rel=0.01), "of first order in 1/K"


LAWS: dict[str, Callable[[], ConstitutiveLaw]] = {
    "mooney-rivlin": lambda: MooneyRivlin(C1, C2, 1e6),
    "ogden": lambda: Ogden([0.4e6, -0.05e6], [1.6, -2.5], 2e6),
    "neo-hookean": lambda: NeoHookean(1e6, 0.4),
    "damped": lambda: Damped(NeoHookean(1e6, 0.4), 0.7),
}


@pytest.mark.parametrize("incompressible", [True, False], ids=["pressure", "sides"])
@pytest.mark.parametrize("name", LAWS)
def test_gradients_by_parameters(name: str, incompressible: bool) -> None:
    """Of the misfit against central differences, through the lateral solve and through history."""
    law = LAWS[name]()
    stretch = torch.tensor([1.05, 1.3, 1.8, 1.4], dtype=torch.float64)
    times = torch.tensor([0.1, 0.4, 1.0, 1.5], dtype=torch.float64)
    tests = [
        StressTest.of_kind(kind, stretch, 1e5 * stretch, times=times) for kind in ("UT", "ET", "PS")
    ]

    def misfit(of: ConstitutiveLaw) -> Tensor:
        rows = [(t.predicted(of, incompressible=incompressible) - t.stress)[t.rows] for t in tests]
        return torch.cat(rows).square().mean()

    names, tensors = zip(*law.named_parameters(), strict=True)
    slopes = torch.autograd.grad(misfit(law), tensors, allow_unused=True, materialize_grads=True)
    for parameter, slope in zip(names, slopes, strict=True):
        flat = slope.flatten()
        for k in range(len(flat)):
            ends = []
            for sign in (1, -1):
                moved = copy.deepcopy(law)
                with torch.no_grad():
                    entry = moved.get_parameter(parameter).view(-1)[k : k + 1]
                    h = 1e-5 * float(entry.abs())
                    entry += sign * h
                    ends.append(float(misfit(moved)))
            difference = (ends[0] - ends[1]) / (2 * h)
            largest = float(law.get_parameter(parameter).detach().abs().max())
            scale = float(misfit(law).detach()) / largest
            assert float(flat[k]) == pytest.approx(difference, rel=2e-6, abs=1e-8 * scale)


def test_a_law_with_history_is_stepped_through_time() -> None:
    """Kelvin–Voigt by hand: the viscous part of uniaxial pull is t 2μ D', D = (F F₀⁻¹ − I)/dt."""
    E, nu, t = 1e6, 0.45, 0.3
    mu = E / (2 * (1 + nu))
    stretch = torch.tensor([1.2, 1.5, 1.1], dtype=torch.float64)
    times = torch.tensor([0.2, 0.4, 0.9], dtype=torch.float64)
    test = StressTest.of_kind("UT", stretch, torch.zeros(3), times=times)
    found = test.predicted(Damped(NeoHookean(E, nu), t)).detach()[:, 0, 0]
    before, now = 1.0, 0.0
    for k, (s, then) in enumerate(zip(stretch.tolist(), times.tolist(), strict=True)):
        dt = then - now
        D1, D2 = (s / before - 1) / dt, ((before / s) ** 0.5 - 1) / dt
        elastic = mu * (s - s**-2)
        assert float(found[k]) == pytest.approx(elastic + 2 * mu * t * (D1 - D2) / s, rel=1e-10)
        before, now = s, then


def test_a_plastic_law_yields() -> None:
    """Hencky, von Mises, incompressible: τ₁ − τ₃ = σ_y √(3/2) beyond yield, as ‖dev τ‖ = σ_y."""
    law = ElastoPlastic(Hencky(1e6, 0.45), VonMises(2e4))
    stretch = torch.linspace(1.0, 1.3, 13, dtype=torch.float64)
    test = StressTest.of_kind("UT", stretch, torch.zeros(13), times=torch.arange(13.0).double())
    P = test.predicted(law).detach()[:, 0, 0]
    assert float(P[0]) == 0.0
    tau = P[4:] * stretch[4:]
    assert torch.allclose(tau, torch.full_like(tau, 2e4 * 1.5**0.5), rtol=1e-12)


def test_a_plastic_law_is_sheared_step_by_step() -> None:
    """F_trial = F_k F_{k−1}⁻¹ F_e,{k−1}, of matrices that do not commute; P₁₂ = τ₁₂."""
    law = ElastoPlastic(Hencky(1e6, 0.45), VonMises(2e4))
    shear = torch.linspace(0.05, 0.6, 8, dtype=torch.float64)
    test = StressTest.of_kind("SS", shear, torch.zeros(8), times=torch.arange(1.0, 9.0).double())
    found = test.predicted(law).detach()[:, 0, 1]
    elastic, none = torch.eye(3, dtype=torch.float64)[None], torch.zeros(1, 0).double()
    for k in range(8):
        step = torch.eye(3, dtype=torch.float64)
        step[0, 1] = shear[k] - (shear[k - 1] if k else 0.0)
        out = law.update(step @ elastic, none, 1.0)
        elastic = out.F_elastic.detach()
        assert float(found[k]) == pytest.approx(float(out.tau[0, 0, 1].detach()), rel=1e-10)
    assert float(found[-1]) < 0.2 * 1e6 / 2.9 * 0.6, "it flowed"


def test_no_answer_is_not_a_number() -> None:
    """StVK softens in compression: no lateral stretch balances E₂₂ of a long pull at ν = 0.4.

    λ tr E + 2μ E₂₂ = 0 asks for x² = 1 − ν (s² − 1) of the free stretch x, positive up to s = 1.87.
    """
    F = deformation("UT", torch.tensor([1.5, 1.8, 2.0], dtype=torch.float64))
    found = drive(StVenantKirchhoff(1e6, 0.4), F, FREE["UT"], incompressible=False)
    F, P = found.F.detach(), found.P.detach()
    for k, s in enumerate((1.5, 1.8)):
        assert float(F[k, 1, 1]) == pytest.approx((1 - 0.4 * (s * s - 1)) ** 0.5, rel=1e-10)
        assert float(P[k, 0, 0]) == pytest.approx(1e6 * s * (s * s - 1) / 2, rel=1e-10)
    assert bool(torch.isnan(P[2]).any()) and not bool(torch.isnan(P[:2]).any())


def test_what_cannot_be_driven() -> None:
    F = deformation("UT", STRETCH)
    with pytest.raises(ValueError, match="give times, or the rate by --rate"):
        drive(Damped(NeoHookean(1e6, 0.4), 0.1), F, FREE["UT"])
    with pytest.raises(ValueError, match="nothing sets the pressure"):
        drive(NeoHookean(1e6, 0.4), F, (False, False, False))
    with pytest.raises(ValueError, match="small strains, expected one of finite"):
        drive(LinearElastic(1e6, 0.3), F, FREE["UT"])


def test_what_is_no_test() -> None:
    s = torch.tensor([1.0, 2.0], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"did you mean UT\?"):
        deformation("UTT", s)
    with pytest.raises(ValueError, match="expected stretches above 0"):
        deformation("UT", s - 1.0)
    for more, words in (
        ({"stress": torch.full((2,), torch.nan)}, "no stress is a number"),
        ({"stress": torch.tensor([0.0, torch.inf])}, "a stress is infinite"),
        ({"times": torch.tensor([1.0, 1.0])}, "times must be as many"),
        ({"noise": 0.0}, "expected it above 0 Pa"),
    ):
        with pytest.raises(ValueError, match=words):
            StressTest.of_kind("UT", s, **{"stress": s, **more})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="two points or more"):
        StressTest.of_kind("UT", s[:1], s[:1])


def test_equal_stresses_of_unequal_pulls_both_count() -> None:
    """Of an equibiaxial test one of two equal ones does."""
    P = torch.full((2, 3, 3), torch.nan, dtype=torch.float64)
    P[:, 0, 0] = P[:, 1, 1] = torch.tensor([0.0, 5e3], dtype=torch.float64)
    for side, counted in ((1.2, 1), (1.1, 2)):
        F = torch.diag_embed(torch.tensor([[1.0, 1.0, 1.0], [1.2, side, 0.7]]).double())
        test = StressTest("two", F, P, (False, False, True))
        assert test.rows.flatten(1).sum(1).tolist() == [1, counted]


def test_a_part_of_a_test_without_times_keeps_its_shares() -> None:
    s = torch.linspace(1.0, 2.0, 5, dtype=torch.float64)
    part = StressTest.of_kind("UT", s, s).window(1, 4)
    assert part.time.tolist() == [0.25, 0.5, 0.75]
    assert torch.equal(part.amount, s[1:4])


class TestFiles:
    def table(self, tmp_path: Path, text: str, name: str = "a.csv", **more: object) -> StressFile:
        path = tmp_path / name
        path.write_text(text)
        return read_stress(path, Reading(**more))  # type: ignore[arg-type]

    def test_a_table_of_loadings(self, tmp_path: Path) -> None:
        text = (
            "stretch, stress [kPa], loading, time\n1.0,0,UT,0\n1.5,30,UT,1\n1,0,PS,0\n1.2,9,PS,3\n"
        )
        found = self.table(tmp_path, text)
        one, two = found.tests
        assert (one.name, two.name, found.unit) == ("UT", "PS", "kPa")
        assert float(one.stress[1, 0, 0]) == 30e3 and float(two.times[1]) == 3.0  # type: ignore[index]
        assert torch.allclose(two.F[1].diagonal(), torch.tensor([1.2, 1.0, 1 / 1.2]).double())
        assert bool(torch.isnan(two.stress[:, 1, 1]).all()), "nobody measured the held side"

    def test_units_are_asked_for(self, tmp_path: Path) -> None:
        text = "stretch,stress\n1,0\n1.5,0.03\n"
        with pytest.raises(ValueError, match="give --unit MPa, kPa or Pa"):
            self.table(tmp_path, text)
        assert float(self.table(tmp_path, text, unit="MPa").tests[0].stress[1, 0, 0]) == 3e4
        with pytest.raises(ValueError, match=r"got the unit 'mPa' \(did you mean"):
            self.table(tmp_path, text, unit="mPa")

    def test_cauchy_stress(self, tmp_path: Path) -> None:
        """P = σ λ₁⁻¹ of an incompressible pull."""
        text = "stretch,stress [Pa]\n1,0\n1.5,300\n"
        P = self.table(tmp_path, text, measure="cauchy").tests[0].stress
        assert float(P[1, 0, 0]) == pytest.approx(200.0, rel=1e-14)

    @pytest.mark.parametrize(("unit", "pascals"), [("Pa", 1), ("kPa", 1e3), ("MPa", 1e6),
                                                  ("N/mm2", 1e6)])  # fmt: skip
    def test_units(self, tmp_path: Path, unit: str, pascals: float) -> None:
        """A newton on a square of a thousandth of a metre is a megapascal."""
        found = self.table(tmp_path, f"stretch,stress [{unit}]\n1,0\n1.5,0.25\n")
        assert float(found.tests[0].stress[1, 0, 0]) == 0.25 * pascals

    def test_cauchy_stress_of_a_sheared_and_swollen_body(self, tmp_path: Path) -> None:
        """P = J σ F⁻ᵀ by hand, of F = (1 + γ e₁⊗e₂) diag(1, 1, 1.2)."""
        text = "F12,F33,P11 [kPa],P12,P21,P22\n0,1,0,0,0,0\n0.5,1.2,100,30,30,50\n"
        P = self.table(tmp_path, text, measure="cauchy").tests[0].stress[1]
        expected = 1.2 * torch.tensor([[100e3 - 15e3, 30e3], [30e3 - 25e3, 50e3]]).double()
        assert torch.allclose(P[:2, :2], expected, rtol=1e-12)
        assert bool(torch.isnan(P[2]).all())

    def test_a_table_of_shear_components(self, tmp_path: Path) -> None:
        """F₁₂ and P₁₂ are in the first row, second column; what is not told was not measured."""
        (test,) = self.table(tmp_path, "F12,P12 [Pa]\n0.1,5\n0.2,9\n").tests
        assert test.F[:, 0, 1].tolist() == [0.1, 0.2] and float(test.F[1, 1, 0]) == 0.0
        assert test.stress[:, 0, 1].tolist() == [5.0, 9.0] and int(test.mask.sum()) == 2
        assert test.component == (0, 1)

    def test_shear_at_a_rate_begins_at_no_shear(self, tmp_path: Path) -> None:
        text = "stretch,stress [Pa]\n0.1,1\n0.3,2\n-0.1,3\n"
        (test,) = self.table(tmp_path, text, loading="SS", rate=0.1).tests
        assert test.times is not None
        assert torch.allclose(test.times, torch.tensor([1.0, 3.0, 7.0]).double())

    def test_components(self, tmp_path: Path) -> None:
        text = "F11,F22,F33,P11 [Pa],P22,P33\n1,1,1,0,0,0\n1.2,1.1,0.8,5,3,0\n1.3,1.2,0.7,nan,4,0\n"
        (test,) = self.table(tmp_path, text).tests
        assert test.free == (False, False, True) and not test.isochoric
        assert test.mask[:, [0, 1, 2], [0, 1, 2]].sum(0).tolist() == [2, 3, 0]
        assert float(test.stress[2, 1, 1]) == 4.0

    def test_a_side_that_moves_at_all_is_free_where_its_stress_is_not_told(
        self, tmp_path: Path
    ) -> None:
        """It is at rest in the first row, as every side is; one that stays there is held."""
        text = "F11,F22,F33,P11 [Pa]\n1,1,1,0\n1.2,0.9,1,5\n"
        assert self.table(tmp_path, text).tests[0].free == (False, True, False)

    def test_two_columns_at_a_rate(self, tmp_path: Path) -> None:
        """Times are path lengths over the rate; a point that repeats the one before is left out."""
        text = "1.0, 0\n1.2, 5\n1.2, 5\n1.1 3\n"
        (test,) = self.table(tmp_path, text, "0.05.txt", unit="kPa", rate=0.05).tests
        assert test.name == "0.05" and test.times is not None
        assert torch.allclose(test.times, torch.tensor([0.0, 4.0, 6.0]).double())

    @pytest.mark.parametrize(
        ("name", "text", "words"),
        [
            ("a.csv", "a,b\n1,2\n", "no columns of a stress test"),
            ("a.csv", "stretch,stress [Pa]\n", "no line of numbers"),
            ("a.csv", "stretch,stress [Pa]\n1,x\n", "line 2: got 'x'"),
            ("a.csv", "stretch,stress [psi]\n1,2\n2,3\n", "got the unit 'psi'"),
            ("a.csv", "stretch,stress [Pa],loading\n1,2,XX\n2,3,XX\n", "got the loading 'XX'"),
            ("a.csv", "F11,P11 [Pa],P22 [kPa]\n1,2,0\n", "use one unit"),
            ("a.csv", "stretch,stress [Pa]\n0.2,2\n-0.1,3\n", "expected stretches above 0"),
            ("a.txt", "1 2\n1.5 three\n", "line 2: got '1.5 three'"),
            ("a.txt", "1 2 3\n", "expected two numbers"),
            ("a.txt", "# nothing\n", "no line of numbers"),
            ("a.xls", "", r"ends in \.xls"),
            ("a.h5", "no", "not an HDF5 file"),
        ],
    )  # fmt: skip
    def test_refusals(self, tmp_path: Path, name: str, text: str, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            self.table(tmp_path, text, name, unit=None if "csv" in name else "Pa")

    def test_missing_file_and_bad_rate(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="check the path"):
            read_stress(tmp_path / "no.csv")
        with pytest.raises(ValueError, match="expected it above 0"):
            self.table(tmp_path, "1 2\n2 3\n", "a.txt", unit="Pa", rate=-1.0)

    def hdf5(self, path: Path, **attributes: str) -> Path:
        s = torch.tensor([1.0, 1.4, 2.0], dtype=torch.float64)
        with h5py.File(path, "w") as file:
            for kind in ("UT", "ET", "PS"):
                group = file.create_group(f"made/{kind}")
                F = deformation(kind, s)
                P = drive(MooneyRivlin(0.1, 0.02, 1.0), F, FREE[kind]).P.detach()
                P[:, 1, 1] *= kind == "ET"
                group["F"], group["stress"] = F.numpy(), P.numpy()
                group.attrs.update(attributes)
        return path

    def test_sets_of_loadings(self, tmp_path: Path) -> None:
        found = read_stress(self.hdf5(tmp_path / "a.h5"))
        assert [t.name for t in found.tests] == ["ET", "PS", "UT"]
        assert (found.unit, found.assumed) == ("MPa", True)
        ET, PS, UT = found.tests
        assert (UT.free, ET.free, PS.free) == (FREE["UT"], FREE["ET"], FREE["PS"])
        assert int(ET.mask.sum()) == 6 and int(ET.rows.sum()) == 3, "one of two equal pulls counts"
        assert int(PS.rows.sum()) == 3
        law = MooneyRivlin(0.1e6, 0.02e6, 1e6)
        for test in found.tests:
            P = test.predicted(law).detach()
            assert torch.allclose(P[test.rows], test.stress[test.rows], rtol=1e-9)

    def test_units_and_types_of_sets(self, tmp_path: Path) -> None:
        found = read_stress(self.hdf5(tmp_path / "a.h5", unit="kPa"))
        assert (found.unit, found.assumed) == ("kPa", False)
        told = 1e3 * 2 * (2.0 - 2.0**-2) * (0.1 + 0.02 / 2.0)
        assert float(found.tests[2].stress[2, 0, 0]) == pytest.approx(told, rel=1e-12)
        pressed = self.hdf5(tmp_path / "d.h5", unit="kPa", stress_type="Cauchy")
        for measure, P in ((None, told / 2), ("nominal", told), ("cauchy", told / 2)):
            UT = read_stress(pressed, Reading(measure=measure)).tests[2]  # type: ignore[arg-type]
            assert float(UT.stress[2, 0, 0]) == pytest.approx(P, rel=1e-12), "σ/λ of a pull"
        asked = read_stress(pressed, Reading(unit="Pa", measure="nominal"))
        assert (asked.unit, asked.assumed) == ("Pa", False), "what is asked for is believed"
        assert float(asked.tests[2].stress[2, 0, 0]) == pytest.approx(told / 1e3, rel=1e-12)
        with h5py.File(pressed, "a") as file:  # the nearest attribute counts, loading by loading
            file.attrs["unit"] = file["made"].attrs["unit"] = "Pa"
            file["made/UT/stress"].attrs["stress_type"] = "PK1"
        near = read_stress(pressed)
        assert (near.unit, near.tests[2].name) == ("kPa", "UT")
        assert float(near.tests[2].stress[2, 0, 0]) == pytest.approx(told, rel=1e-12)
        with pytest.raises(ValueError, match="of the type 'pk2'"):
            read_stress(self.hdf5(tmp_path / "b.h5", stress_type="PK2"))
        with h5py.File(tmp_path / "a.h5", "a") as file:
            file.copy("made", "other")
        with pytest.raises(ValueError, match="got no --set, expected one of made, other"):
            read_stress(tmp_path / "a.h5")
        with pytest.raises(ValueError, match=r"did you mean made\?"):
            read_stress(tmp_path / "a.h5", Reading(chosen="mad"))
        with h5py.File(tmp_path / "c.h5", "w") as file:
            file["x"] = [1.0]
        with pytest.raises(ValueError, match="holds no loadings"):
            read_stress(tmp_path / "c.h5")


def test_stress_of_a_simulated_specimen_is_the_mean_of_its_particles() -> None:
    """P₁₂ and P₁₁ of τ F⁻ᵀ by hand: F⁻ᵀ = 1 − γ e₂⊗e₁ of a simple shear."""
    shears = torch.tensor([[0.2, 0.4], [0.5, 0.7]], dtype=torch.float64)
    F = torch.eye(3, dtype=torch.float64).repeat(2, 2, 1, 1)
    F[..., 0, 1] = shears
    tau = torch.zeros(2, 2, 3, 3, dtype=torch.float64)
    tau[..., 0, 0], tau[..., 0, 1], tau[..., 1, 0] = 900.0, 300.0, 300.0
    tau[:, 1] *= 2
    measured = torch.full((2, 3, 3), torch.nan, dtype=torch.float64)
    measured[:, 0, 0], measured[:, 0, 1] = 50.0, 70.0
    test = StressTest("SS", deformation("SS", shears.mean(1)), measured, FREE["SS"])
    x = torch.zeros(2, 2, 3, dtype=torch.float64)
    run = Trajectory(torch.tensor([0.0, 1.0]).double(), x, fields={"F": F, "tau": tau})
    found = test.residual(run).reshape(2, 3, 3)
    for k in range(2):
        a, b = shears[k].tolist()
        P11 = ((900 - a * 300) + 2 * (900 - b * 300)) / 2
        assert float(found[k, 0, 0]) == pytest.approx(P11 - 50.0, rel=1e-12)
        assert float(found[k, 0, 1]) == pytest.approx(450.0 - 70.0, rel=1e-12)
    assert int((found != 0).sum()) == 4, "what was not measured has no residual"
