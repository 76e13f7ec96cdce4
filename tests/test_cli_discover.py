# SPDX-License-Identifier: Apache-2.0
"""`rheograd discover` from the command line; the search itself has tests of its own."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from rubber_tables import written

from rheograd.materials.energies.symbolic import Symbolic
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.rubber import MooneyRivlin
from rheograd.scenes.cli import main


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Of a Mooney–Rivlin rubber, three loadings, rounded to 100 Pa."""
    return written(tmp_path / "rubber.csv", MooneyRivlin(0.16e6, 0.04e6, 1e8), 14)


def test_from_a_table_to_a_formula(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found"
    words = ["discover", str(table), "--train", "UT,ET", "--draws", "5", "--max-terms", "2"]
    assert main([*words, "--out", str(out), "--bulk", "1e9"]) == 0
    said = capsys.readouterr().err
    assert "<- taken" in said and "PS (held out) 1.0000" in said and "ψ [J/m³] = c1*(" in said
    report = json.loads((out / "report.json").read_text())
    values = [p["value"] for p in report["parameters"]]
    assert sorted(values) == pytest.approx([0.04e6, 0.16e6], rel=1e-2)
    assert report["terms"] == 2 and len(report["path"]) == 2 and report["r2"] > 0.9999
    assert report["inclusion"] == {"(I1bar - 3)": 1.0, "(I2bar - 3)": 1.0}
    law = ConstitutiveLaw.load(out / "law.safetensors")
    assert isinstance(law, Symbolic) and float(law.values()["K"].detach()) == pytest.approx(1e9)
    page = (out / "report.html").read_text()
    assert page.count("<figure>") == 4 and "Terms against error" in page and "<script" not in page
    assert "Taken: 2. The criterion (EBIC) is least at 2; 2 is the smallest number whose" in page
    assert "more terms may tell it better (--max-terms)" in page
    assert json.loads((out / "config.json").read_text())["held out"] == "PS"
    command = shlex.split(report["command"])
    assert command[:2] == ["rheograd", "discover"] and command[-1] == f"{out}-again"

    assert main([*words, "--out", str(out)]) == 2
    assert "add --force to replace it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--terms", "ogden"], "got the terms 'ogden'"),
        (["--train", "SS"], "--train: got 'SS'"),
        (["--bulk", "-1"], "--bulk: got -1 Pa"),
        (["--max-terms", "0"], "expected 1 or more"),
        (["--noise", "0"], "a noise of 0"),
        (["--unit", "psi"], "got the unit 'psi'"),
    ],
)
def test_what_does_not_do_is_refused(
    words: list[str], expected: str, table: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(["discover", str(table), "--out", str(tmp_path / "out"), *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and expected in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


PROPOSER = """
def propose(history):
    texts = ["c*(I1bar - 3", "c*(I1bar - 3)", "c1*(I1bar - 3) + c2*(I2bar - 3)"]
    return texts[len(history)] if len(history) < len(texts) else None
"""


def test_a_proposer_of_ones_own(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(PROPOSER)
    words = ["discover", str(table), "--propose", f"{tmp_path / 'mine.py'}:propose"]
    assert main([*words, "--out", str(tmp_path / "found")]) == 0
    said = capsys.readouterr().err
    assert "refused: c*(I1bar - 3: got" in said and "c1 = 1.6e+05 ±" in said
    report = json.loads((tmp_path / "found" / "report.json").read_text())
    assert len(report["history"]) == 3 and report["history"][0]["error"] is None
    assert report["best"]["parameters"] == {
        "c1": pytest.approx(1.6e5, rel=1e-2),
        "c2": pytest.approx(4e4, rel=1e-2),
    }
    assert {p["name"] for p in report["parameters"]} == {"c1", "c2"}
    assert all(0 < p["std"] < 1e-2 * p["value"] for p in report["parameters"])
    assert report["r2"] > 0.9999 and set(report["r2_by_loading"]) == {"UT", "ET", "PS"}
    page = (tmp_path / "found" / "report.html").read_text()
    assert page.count("<figure>") == 4 and "What was proposed" in page and "<script" not in page
    assert "The best of 3 proposals, 1 of them refused" in page and "c1*(I1bar - 3) + c2*" in page
    assert isinstance(ConstitutiveLaw.load(tmp_path / "found" / "law.safetensors"), Symbolic)
    assert main([*words[:-1], f"{tmp_path / 'mine.py'}:other", "--out", str(tmp_path / "b")]) == 2
    assert "has no function 'other'" in capsys.readouterr().err
    assert main([*words[:-1], f"{tmp_path / 'no.py'}:propose", "--out", str(tmp_path / "b")]) == 2
    assert "no.py" in capsys.readouterr().err
