# SPDX-License-Identifier: Apache-2.0
"""Fibres in stress tests: a direction for each specimen, closed forms, recovery, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from rheograd.engine.fit.stress.compare import compare
from rheograd.engine.fit.stress.contenders import contender, of_law
from rheograd.engine.fit.stress.families import families
from rheograd.engine.fit.stress.fibred import fibred
from rheograd.engine.fit.stress.numbers import started_at
from rheograd.engine.fit.stress.task import Task
from rheograd.engine.observations.stress_test import StressTest
from rheograd.materials.energies.cann import CANN
from rheograd.materials.fibres import FibreReinforced
from rheograd.materials.law import ConstitutiveLaw
from rheograd.scenes.cli import main

SHEAR, K1, K2, KAPPA = 2e4, 3e4, 1.5, 0.08
STRETCH = torch.linspace(1.0, 1.5, 16, dtype=torch.float64)
ALONG, ACROSS = {"fibre": (1.0, 0.0, 0.0)}, {"fibre": (0.0, 3.0, 0.0)}
"""Directions; only that of the vector counts."""


def tissue(k2: float = K2, kappa: float = KAPPA) -> FibreReinforced:
    matrix = families()["neo-hookean"].make({"shear": SHEAR})
    return FibreReinforced(matrix, K1, k2, kappa)  # type: ignore[arg-type]


def specimen(
    name: str, fields: dict[str, tuple[float, ...]], law: ConstitutiveLaw | None = None
) -> StressTest:
    """A pull; its stress is that of a law, 0 of none."""
    blank = StressTest.of_kind("UT", STRETCH, torch.zeros_like(STRETCH), name=name)
    blank = StressTest(name, blank.F, blank.stress, blank.free, kind="UT", fields=fields)
    if law is None:
        return blank
    P = pull(law, blank)
    return StressTest(name, blank.F, blank.stress + torch.where(blank.mask, P[:, None, None], 0.0),
                      blank.free, kind="UT", fields=fields)  # fmt: skip


def pull(law: ConstitutiveLaw, test: StressTest, incompressible: bool = False) -> Tensor:
    return test.predicted(law, incompressible=incompressible)[:, 0, 0].detach()


def test_a_pull_along_parallel_fibres() -> None:
    """ψ = μ/2 (I₁ − 3) + k₁/2 (λ² − 1)² of k₂ = κ = 0: P = μ(λ − λ⁻²) + 2 k₁ λ (λ² − 1)."""
    s = STRETCH
    expected = SHEAR * (s - s**-2) + 2 * K1 * s * (s**2 - 1)
    law = tissue(0.0, 0.0)
    assert torch.allclose(pull(law, specimen("a", ALONG), True), expected, rtol=1e-9, atol=1e-6)
    assert torch.allclose(pull(law, specimen("a", ALONG)), expected, rtol=2e-3, atol=1e-6)
    together = Task((specimen("a", ALONG), specimen("b", ACROSS)), incompressible=True)
    found = together.predicted(law)[:, 0, 0].detach()
    assert torch.allclose(found[:16], expected, rtol=1e-9, atol=1e-6)
    assert torch.allclose(found[16:], SHEAR * (s - s**-2), rtol=1e-9, atol=1e-6), "slack"


def test_a_pull_across_dispersed_fibres() -> None:
    """The side along the fibres takes the stretch a of least energy of an isochoric body.

    With diag(λ, a, 1/(λa)): ψ = μ/2 (I₁ − 3) + k₁/(2k₂) (exp(k₂ E²) − 1), E = κ(I₁ − 3) + (1 −
    3κ)(a² − 1), and P = dψ/dλ of the least, by central differences here.
    """
    kappa = 0.25

    def energy(s: float, a: float) -> float:
        I1 = s**2 + a**2 + (s * a) ** -2
        E = max(kappa * (I1 - 3) + (1 - 3 * kappa) * (a**2 - 1), 0.0)
        return SHEAR / 2 * (I1 - 3) + K1 / (2 * K2) * float(
            torch.tensor(K2 * E**2).double().expm1()
        )

    def least(s: float) -> float:
        found = minimize_scalar(
            lambda a: energy(s, a), bounds=(0.5, 1.2), method="bounded", options={"xatol": 1e-10}
        )
        return float(found.fun)

    h = 1e-4
    expected = [(least(s + h) - least(s - h)) / (2 * h) for s in STRETCH[4:].tolist()]
    found = pull(tissue(kappa=kappa), specimen("across", ACROSS))[4:]
    assert found.tolist() == pytest.approx(expected, rel=3e-3), "K is 1000 μ here, none there"
    assert float(found[-1]) > 1.01 * SHEAR * (1.5 - 1.5**-2), "the fibres bear a part"


def test_loadings_are_solved_for_together() -> None:
    """In their order, each with its own direction and its own free sides."""
    law = tissue()
    s = STRETCH[:5]
    both = StressTest.of_kind("ET", s, torch.ones_like(s))
    both = StressTest("ET", both.F, both.stress, both.free, kind="ET", fields=ACROSS)
    tests = (specimen("across", ACROSS), both, specimen("along", ALONG))
    found = Task(tests, incompressible=False).predicted(law)
    alone = [test.predicted(law, incompressible=False) for test in tests]
    assert torch.allclose(found, torch.cat(alone), rtol=1e-9, atol=1e-6)
    assert not torch.allclose(alone[0][-1], alone[2][-1], rtol=0.1)


def test_a_saved_law_goes_on_as_its_family() -> None:
    family = fibred(7e5)["fibre-reinforced(gent)"]
    values = {"shear": 1e4, "limit": 40.0, "stiffness": K1, "exponential": K2, "dispersion": 0.1}
    law = family.make(values)
    assert family.fits(law) and family.read(law) == pytest.approx({**values, "bulk": 7e5})
    task = Task((specimen("along", ALONG, law),))
    found = of_law("mine", law, task.scales())
    assert found.name == "fibre-reinforced(gent) from mine"
    begun = started_at(family.starts(task.scales())[0], {**values, "dispersion": 0.0, "bulk": 7e5})
    assert 0.0 < begun["dispersion"].start < 1e-3 and begun["stiffness"].start == K1
    with pytest.raises(ValueError, match=r"dispersion: got a start of -0\.1"):
        started_at(begun, {**values, "dispersion": -0.1})
    other = FibreReinforced(law.matrix, K1, K2, 0.1, field="second")  # type: ignore[arg-type]
    assert not family.fits(other), "the family's fibres are in the field of the usual name"
    assert fibred()["fibre-reinforced"].fits(tissue())


def test_a_specimen_without_a_direction_is_refused() -> None:
    tests = (specimen("along", ALONG, tissue()), specimen("across", {}, tissue()))
    task = Task(tests[:1], incompressible=False)
    rivals = [contender("fibre-reinforced", task.scales())]
    with pytest.raises(ValueError, match=r"nothing says it of the specimen across.*fibre=1,0,0"):
        compare(rivals, task, tests)
    assert contender("cann", task.scales()).fields(task.scales()) == CANN.example().fields == {}
    with pytest.raises(ValueError, match="got 2 numbers for the constant field 'fibre'"):
        specimen("a", {"fibre": (1.0, 0.0)}).predicted(tissue())


class TestCommand:
    @pytest.fixture
    def files(self, tmp_path: Path) -> list[str]:
        found = []
        for name, fields in (("along", ALONG), ("across", ACROSS)):
            P = pull(tissue(kappa=0.2), specimen(name, fields))
            path = tmp_path / f"{name}.csv"
            rows = [f"{a:.9f},{b:.6f}\n" for a, b in zip(STRETCH, P, strict=True)]
            path.write_text("stretch,stress [Pa]\n" + "".join(rows))
            found.append(str(path))
        return found

    def test_both_directions_tell_matrix_and_fibres(
        self, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "fit"
        words = ["--constant", "fibre=1,0,0", "--constant", "fibre@across=0,1,0"]
        law = ["--law", "fibre-reinforced"]
        assert main(["fit", "stress", *files, *law, *words, "--out", str(out)]) == 0
        assert "the stretch of each side is solved for" in capsys.readouterr().err
        told = json.loads((out / "config.json").read_text())
        assert told["constant fields"] == "fibre=1,0,0, fibre@across=0,1,0"
        fitted = ConstitutiveLaw.load(out / "law.safetensors")
        assert isinstance(fitted, FibreReinforced)
        values = fibred()["fibre-reinforced"].read(fitted)
        expected = {"shear": SHEAR, "stiffness": K1, "exponential": K2, "dispersion": 0.2}
        assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-3)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("fibre-reinforced", "fibre"), "expected NAME=X,Y,... such as fibre=1,0,0"),
            (("fibre-reinforced", "fibre@acros=0,1,0"), "did you mean across?"),
            (("fibre-reinforced", "fibre@along=0,1,0"), "of the specimen across"),
            (("fibre-reinforced", "fiber=0,1,0"), "did you mean fibre?"),
            (("neo-hookean", "fibre=0,1,0"), "none of neo-hookean reads: leave it out"),
        ],
    )
    def test_refusals(
        self,
        files: list[str],
        words: tuple[str, str],
        said: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        law, word = words
        command = ["fit", "stress", *files, "--law", law, "--constant", word]
        assert main([*command, "--out", str(tmp_path / "fit")]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "fit").exists()
