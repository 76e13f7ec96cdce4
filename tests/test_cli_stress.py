# SPDX-License-Identifier: Apache-2.0
"""`rheograd fit stress` from the command line; the fits themselves have tests of their own."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rubber_tables import written

from rheograd.materials.known import KNOWN
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.rubber import MooneyRivlin, Ogden
from rheograd.scenes.cli import main


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Of a Mooney–Rivlin rubber, three loadings, rounded to 100 Pa."""
    return written(tmp_path / "rubber.csv", MooneyRivlin(0.16e6, 0.02e6, 1e8), 12)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*words: object) -> str:
        assert main(["fit", "stress", *map(str, words)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1
        return said

    return run


def test_from_a_table_to_a_law(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fit"
    words = ["fit", "stress", str(table), "--train", "UT,PS", "--out", str(out)]
    laws = ["--law", "neo-hookean", "--law", "mooney-rivlin", "--law", "gent"]
    assert main([*words, *laws]) == 0
    said = capsys.readouterr().err
    assert "mooney-rivlin c1: " in said and "ET (held out) R² 1.0000" in said
    assert "the tests do not determine the bulk modulus" in said
    report = json.loads((out / "report.json").read_text())
    assert report["best"] == "mooney-rivlin" == report["laws"][0]["name"]
    c1, c2 = report["laws"][0]["parameters"]
    assert c1["value"] == pytest.approx(0.16e6, rel=1e-3)
    assert c1["low95"] < 0.16e6 < c1["high95"] and c2["low95"] < 0.02e6 < c2["high95"]
    assert report["laws"][0]["scores"]["ET"]["trained"] is False
    assert [t["trained"] for t in report["tests"]] == [True, True, False]
    law = ConstitutiveLaw.load(out / "law.safetensors")
    assert isinstance(law, MooneyRivlin)
    assert law.bulk.item() == pytest.approx(1000 * law.shear_modulus().item())
    for entry in report["laws"]:
        assert ConstitutiveLaw.load(out / entry["file"]).name == entry["class"]
    page = (out / "report.html").read_text()
    assert page.count("<figure>") == 3 and "held out: no law has seen it" in page
    assert "<script" not in page
    config = json.loads((out / "config.json").read_text())
    assert config["kind"] == "stress tests" and config["held out"] == "ET"
    assert config["bulk"] == "1000 shear moduli"

    assert main([*words, *laws]) == 2
    assert "add --force to replace it" in capsys.readouterr().err
    assert main([*words, "--law", "yeoh", "--force"]) == 0
    command = shlex.split(json.loads((out / "report.json").read_text())["command"])
    assert command[:3] == ["rheograd", "fit", "stress"] and "--force" not in command
    assert main(command[1:]) == 0
    first, second = (
        ConstitutiveLaw.load(f / "law.safetensors").state_dict()
        for f in (out, out.with_name("fit-again"))
    )
    assert all(torch.equal(first[name], second[name]) for name in first), "to the last bit"


def test_a_law_goes_on_from_a_file_and_a_material(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "old.safetensors"
    MooneyRivlin(1e5, 1e4, 1e8).save(saved)
    out = tmp_path / "fit"
    words = ["fit", "stress", str(table), "--out", str(out), "--bulk", "2e7"]
    assert main([*words, "--law", str(saved)]) == 0
    law = ConstitutiveLaw.load(out / "law.safetensors")
    assert isinstance(law, MooneyRivlin) and law.bulk.item() == 2e7
    assert json.loads((out / "config.json").read_text())["bulk"] == 2e7
    assert law.c1.item() == pytest.approx(0.16e6, rel=1e-3)
    start = ["--start", "natural-rubber", "--force"]
    assert main([*words, *start]) == 0
    assert isinstance(ConstitutiveLaw.load(out / "law.safetensors"), Ogden)
    capsys.readouterr()
    assert main([*words, *start, "--law", "yeoh"]) == 2
    assert "a law of the kind ogden" in capsys.readouterr().err


def test_a_network_and_the_names_in_a_report(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = table.with_name("a<b>.csv")
    table.rename(evil)
    out = tmp_path / "fit"
    words = ["fit", "stress", str(evil), "--train", "UT", "--law", "invariant-smooth-elasticity"]
    assert main([*words, "--members", "2", "--epochs", "20", "--out", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "a<b>" not in page and "a&lt;b&gt;" in page and "2 members" in page
    (law,) = json.loads((out / "report.json").read_text())["laws"]
    assert law["aicc"] is None and law["members"] == 2 and len(law["losses"]) >= 10
    capsys.readouterr()
    more = ["--members", "1", "--epochs", "5", "--out", str(tmp_path / "on")]
    assert main(["fit", "stress", str(evil), "--law", str(out / "law.safetensors"), *more]) == 0


def test_several_files_at_several_rates(tmp_path: Path) -> None:
    """A rate-dependent law of the user's own, on two files of two columns."""
    script = tmp_path / "mine.py"
    script.write_text(
        "from rheograd.materials.composition import Damped\n"
        "from rheograd.materials.elastic import NeoHookean\n"
        "class Mine(Damped):\n"
        '    name = "mine"\n'
        "    def __init__(self, law=None, time=0.5, bulk=0.0):\n"
        "        super().__init__(law or NeoHookean(2e5, 0.45), time, bulk)\n"
    )
    rows = ["1.0 0", *(f"{1 + 0.1 * k} {20 * k}" for k in range(1, 9))]
    for name in ("0.01.txt", "0.05.txt"):
        (tmp_path / name).write_text("\n".join(rows))
    files = [str(tmp_path / name) for name in ("0.01.txt", "0.05.txt")]
    words = ["--unit", "kPa", "--rate", "0.01,0.05", "--law", f"{script}:Mine"]
    out = tmp_path / "fit"
    assert main(["fit", "stress", *files, *words, "--train", "0.01", "--out", str(out)]) == 0
    report = json.loads((out / "report.json").read_text())
    assert [t["name"] for t in report["tests"]] == ["0.01", "0.05"]
    assert report["tests"][1]["time_s"][-1] == pytest.approx(0.8 / 0.05)
    assert report["laws"][0]["scores"]["0.05"]["points"] == 9


def test_refusals(table: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    out = ["--out", tmp_path / "fit"]
    assert "no stress tests" in refused(tmp_path / "b.csv", *out)
    assert "did you mean UT?" in refused(table, "--train", "UTT", *out)
    assert "did you mean yeoh?" in refused(table, "--law", "yeo", *out)
    assert "expected each law once" in refused(table, "--law", "yeoh", "--law", "yeoh", *out)
    assert "expected NAME=X" in refused(table, "--weight", "UT", *out)
    assert "a weight of 'XX'" in refused(table, "--weight", "XX=1", *out)
    assert "no stress depends on the bulk" in refused(table, "--bulk", "fit", *out)
    assert "less than the shear modulus of these tests" in refused(table, "--bulk", "5", *out)
    assert "a modulus above 0" in refused(table, "--bulk", "-1", *out)
    assert "expected one, or one each" in refused(table, "--rate", "1,2", *out)
    assert "expected a number" in refused(table, "--rate", "fast", *out)
    assert "got the material 'wood'" in refused(table, "--start", "wood", *out)
    assert "law.safetensors" in refused(table, "--law", tmp_path / "law.safetensors", *out)
    assert "is a file, expected a folder" in refused(table, "--out", table)
    assert not (tmp_path / "fit").exists()


def test_a_word_that_is_nearly_stress(capsys: pytest.CaptureFixture[str]) -> None:
    for word, said in (("stres", "did you mean stress?"), ("drops", "unknown scene 'drops'")):
        assert main(["fit", word, "a.csv"]) == 2
        assert said in capsys.readouterr().err
    for words in (("--stress-scale", "1e5", "drops", "a.csv"), ("stress_.py", "a.csv")):
        assert main(["fit", *words]) == 2
        assert "did you mean stress" not in capsys.readouterr().err


def test_help_is_of_the_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "stress", "--help"]) == 0
    said = capsys.readouterr().out
    assert "usage: rheograd fit stress" in said and "--train" in said and "--frame-rate" not in said
    assert main(["fit", "--help"]) == 0
    assert "rheograd fit stress --help" in capsys.readouterr().out


def test_few_points_leave_out_laws_of_many_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "few.csv"
    path.write_text("strain [%],stress [MPa]\n5,0.1\n10,0.2\n20,0.35\n30,0.48\n")
    assert main(["fit", "stress", str(path), "--out", str(tmp_path / "fit")]) == 0
    assert "4 stresses are too few for the numbers of ogden-2, ogden-3" in capsys.readouterr().err
    report = json.loads((tmp_path / "fit" / "report.json").read_text())
    assert {"yeoh", "ogden-1"} <= {law["name"] for law in report["laws"]}


def test_the_help_names_all_materials(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "stress", "--help"]) == 0
    said = "".join(capsys.readouterr().out.split())
    assert all(name in said for name in KNOWN)
