# SPDX-License-Identifier: Apache-2.0
"""rheograd law: what is told of a law, in text, as a picture, a table and JSON; and exit codes."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_audit import LAMBDA, MU, POISSON, YOUNG
from test_cli_laws import SPRINGY

from rheograd.materials.elastic import NeoHookean
from rheograd.materials.fibres import FibreReinforced
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantFullElasticity
from rheograd.materials.provenance import Provenance
from rheograd.scenes import laws
from rheograd.scenes.cli import main

WOBBLY = '''
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.fibres import FibreReinforced


class Written(NeoHookean):
    """One that writes its energy."""

    name = "written"

    def __init__(self):
        super().__init__(1e5, 0.3)

    def formula(self, *, latex=False):
        return r"\\mu" if latex else "mu/2*(I1 - 3) + ..."
'''


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    law = NeoHookean(YOUNG, POISSON)
    law.provenance = Provenance("rubber.csv", "tension", "rheograd fit ...", "2026", (0.8, 1.5))
    law.save(tmp_path / "law.safetensors")
    return tmp_path / "law.safetensors"


def test_everything_at_once(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("law.png", "law.json", "law.csv")
    picture, numbers, table = (saved.with_name(name) for name in names)
    words = ["--audit", "--plot", picture, "--json", numbers, "--csv", table]
    assert main(["law", str(saved), *map(str, words)]) == 0
    told = capsys.readouterr().out
    for part in ("neo-hookean", "young=100000 Pa", "rubber.csv, tension", "stretches 0.8 to 1.5",
                 "E = 100.0 kPa, ν = 0.3", "equibiaxial", "The law passes."):  # fmt: skip
        assert part in told
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert not list(saved.parent.glob("*.tmp"))
    check_json(json.loads(numbers.read_text()))
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert set(rows[0]) == {"loading", "deformation", "value", "stress", "stress_Pa"}
    shear = [r for r in rows if r["loading"] == "simple shear"]
    for row in shear:
        assert float(row["stress_Pa"]) == pytest.approx(MU * float(row["value"]), abs=1e-3)
    assert {r["loading"] for r in rows} == {
        "uniaxial", "equibiaxial", "pure shear", "simple shear", "volumetric",
    }  # fmt: skip


def check_json(found: dict) -> None:
    assert (found["format"], found["version"], found["units"]) == ("rheograd law", 1, "SI")
    assert set(found) == {
        "format", "version", "units", "source", "law", "formula", "provenance", "at_rest",
        "curves", "audit", "constant_fields",
    }  # fmt: skip
    assert found["law"]["name"] == "neo-hookean"
    assert found["law"]["class"] == "rheograd.materials.elastic.NeoHookean"
    assert (found["law"]["parameters"], found["law"]["history"]) == (2, 0)
    assert found["law"]["device_form"] is True
    assert found["formula"] is None
    assert found["provenance"]["stretch"] == [0.8, 1.5]
    assert found["provenance"]["hencky"] == pytest.approx([math.log(0.8), math.log(1.5)])
    rest = found["at_rest"]
    assert rest["young_Pa"] == pytest.approx(YOUNG)
    assert rest["bulk_Pa"] == pytest.approx(LAMBDA + 2 / 3 * MU)
    assert len(found["curves"]) == 5
    for curve in found["curves"]:
        assert len(curve["x"]["values"]) == len(curve["y"]["values"]) > 20
        assert curve["y"]["unit"] == "Pa"
    audit = found["audit"]
    assert audit["passed"] is True
    assert audit["box"]["stretch"] == [0.8, 1.5]
    assert len(audit["findings"]) == 12
    for finding in audit["findings"]:
        assert set(finding) == {
            "name", "verdict", "formula", "value", "sense", "bound", "unit", "sentence", "worst_F",
        }  # fmt: skip
        assert finding["verdict"] in ("pass", "information")


def test_a_law_by_its_name_has_its_numbers_as_options(tmp_path: Path) -> None:
    path = tmp_path / "law.json"
    words = ["law", "neo-hookean", "--young", "2e5", "--range", "0.9,1.1", "--json", str(path)]
    assert main(words) == 0
    found = json.loads(path.read_text())
    assert found["at_rest"]["young_Pa"] == pytest.approx(2e5)
    assert found["at_rest"]["poisson"] == pytest.approx(0.45)  # of its example
    for curve in found["curves"][:3]:
        ends = curve["x"]["values"]
        assert (ends[0], ends[-1]) == pytest.approx((0.9, 1.1))
    assert found["audit"] is None
    words = ["law", "ogden", "--moduli", "4e5", "--exponents", "2", "--json", str(path), "--force"]
    assert main(words) == 0
    assert json.loads(path.read_text())["at_rest"]["shear_Pa"] == pytest.approx(4e5)


def test_each_loading_of_the_table_is_that_of_its_law(tmp_path: Path) -> None:
    """Of Hooke's law E ε, E/(1 − ν) ε, E/(1 − ν²) ε, μ γ and K tr ε, in Pa."""
    path = tmp_path / "law.csv"
    words = ["law", "linear-elastic", "--young", "2e5", "--poisson", "0.3", "--csv", str(path)]
    assert main([*words, "--range", "0.98,1.02", "--force"]) == 0
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    mu, bulk = 2e5 / 2.6, 2e5 / 1.2
    slopes = {
        "uniaxial": ("stretch λ", "nominal stress P", 2e5, 1.0),
        "equibiaxial": ("stretch λ", "nominal stress P", 2e5 / 0.7, 1.0),
        "pure shear": ("stretch λ", "nominal stress P", 2e5 / 0.91, 1.0),
        "simple shear": ("shear γ", "shear stress τ", mu, 0.0),
        "volumetric": ("volume ratio J", "mean stress", bulk, 1.0),
    }
    assert list(dict.fromkeys(r["loading"] for r in rows)) == list(slopes)
    for r in rows:
        deformation, stress, slope, rest = slopes[r["loading"]]
        assert (r["deformation"], r["stress"]) == (deformation, stress)
        expected = slope * (float(r["value"]) - rest)
        assert float(r["stress_Pa"]) == pytest.approx(expected, abs=6e-9 * slope), "of nine digits"
    ends = [float(r["value"]) for r in rows if r["loading"] == "uniaxial"]
    assert (ends[0], ends[-1]) == pytest.approx((0.98, 1.02))


def test_numbers_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """E, ν, K and μ at rest, and stresses at a few deformations, each in the unit that is told."""
    words = ["law", "linear-elastic", "--young", "2e5", "--poisson", "0.25"]
    assert main([*words, "--range", "0.98,1.02"]) == 0
    told = capsys.readouterr().out
    assert "E = 200.0 kPa, ν = 0.25, K = 133.3 kPa, μ = 80.00 kPa" in told
    table = told[told.index("nominal stress P [kPa]") :].splitlines()
    row = next(line.split() for line in table if line.split()[:1] == ["1.02"])
    expected = [200 * 0.02, 200 / 0.75 * 0.02, 200 / 0.9375 * 0.02]
    assert [float(word) for word in row[1:4]] == pytest.approx(expected, rel=1e-3)
    sheared = told[told.index("shear stress τ [") :]
    assert "simple shear" in sheared and "volumetric" in sheared
    assert main(["law", "volumetric", "--young", "2e5", "--poisson", "0.25"]) == 0
    told = capsys.readouterr().out
    assert "K = 80.0 kPa, no stiffness of shape" in told


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.safetensors"
    InvariantFullElasticity(1e5, seed=1).save(bad)
    path = tmp_path / "bad.json"
    assert main(["law", str(bad)]) == 0
    assert main(["law", str(bad), "--audit", "--json", str(path)]) == 1
    told = capsys.readouterr().out
    assert "The law fails: " in told
    assert "no work from cycles: A closed cycle of strain" in told
    assert json.loads(path.read_text())["audit"]["passed"] is False
    stvk = ["law", "stvk", "--audit", "--box", "0.8,1.1"]
    assert main(stvk) == 0
    told = capsys.readouterr().out
    assert "The law passes; warnings: strong ellipticity, Baker-Ericksen." in told
    assert main([*stvk, "--strict"]) == 1


def test_a_formula_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script, path = tmp_path / "written.py", tmp_path / "law.json"
    script.write_text(WOBBLY)
    picture = tmp_path / "law.svg"
    words = ["law", f"{script}:Written", "--json", str(path), "--plot", str(picture)]
    assert main(words) == 0
    assert "mu/2*(I1 - 3) + ..." in capsys.readouterr().out
    found = json.loads(path.read_text())
    assert found["formula"] == {"text": "mu/2*(I1 - 3) + ...", "latex": r"\mu"}
    assert picture.read_text().startswith("<?xml")


def test_laws_of_ones_own_of_small_strain_and_with_flow(tmp_path: Path) -> None:
    script = tmp_path / "springs.py"
    script.write_text(SPRINGY)
    assert main(["law", f"{script}:Springy"]) == 0
    path = tmp_path / "law.json"
    for name in ("j2-plasticity", "elasto-plastic", "volumetric"):
        assert main(["law", name, "--json", str(path), "--force"]) == 0
        assert json.loads(path.read_text())["law"]["name"] == name


def test_refusals(saved: Path, tmp_path: Path, refuse: Callable[..., str]) -> None:
    assert "there is no law at nothing.safetensors" in refuse("law", "nothing.safetensors")
    assert refuse("law", "neo-hokean").startswith("got 'neo-hokean' (did you mean")
    tensors = tmp_path / "other.safetensors"
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(3)}, tensors)
    assert "holds tensors of another program" in refuse("law", tensors)
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(saved.read_bytes()[:60])
    assert "is not a whole .safetensors file" in refuse("law", torn)
    outside = refuse("law", saved, "--box=1.1,1.4")
    assert "--box: got a box of principal stretches from 1.1 to 1.4" in outside
    assert "got '1', expected 2 numbers" in refuse("law", saved, "--box", "1")
    assert "--range: got a box of principal stretches" in refuse("law", saved, "--range", "0.5,0.9")
    assert "--step: got -1 s" in refuse("law", saved, "--step", "-1")
    assert "--strict needs --audit" in refuse("law", saved, "--strict")
    assert "ends in .png or .svg or .pdf" in refuse("law", saved, "--plot", tmp_path / "a.bmp")
    assert "create it first" in refuse("law", saved, "--json", tmp_path / "no" / "a.json")
    (tmp_path / "there.json").write_text("kept")
    assert "add --force" in refuse("law", saved, "--json", tmp_path / "there.json")
    assert (tmp_path / "there.json").read_text() == "kept"
    assert "expected -1 < poisson < 0.5" in refuse("law", "neo-hookean", "--poisson", "0.6")
    assert "unknown option --shear" in refuse("law", "neo-hookean", "--shear", "3")
    assert ConstitutiveLaw.load(saved).provenance is not None


def test_a_failed_picture_leaves_the_old_one(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    from matplotlib.figure import Figure

    picture = saved.with_name("law.png")
    picture.write_text("old")

    def broken(self: Figure, path: Path, **settings: object) -> None:
        Path(path).write_text("half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Figure, "savefig", broken)
    assert main(["law", str(saved), "--plot", str(picture), "--force"]) == 2
    assert picture.read_text() == "old"
    assert not list(saved.parent.glob("*.tmp"))


def test_fibres_are_audited_along_the_direction_that_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stiffer by 4 k₁ (1 − 2κ)² along them, and not isotropic; without, the matrix alone."""
    law = FibreReinforced(NeoHookean(YOUNG, POISSON), 5e4, 1.0)
    law.save(tmp_path / "law.safetensors")
    found = {}
    for name, words in (("matrix", []), ("along", ["--constant", "fibre=2,0,0"])):
        path = tmp_path / f"{name}.json"
        command = ["law", str(tmp_path / "law.safetensors"), "--audit", "--json", str(path), *words]
        assert main(command) == 0
        told = capsys.readouterr()
        assert ("zero here" in told.out + told.err) is (name == "matrix")
        found[name] = json.loads(path.read_text())
    verdicts = {
        name: {f["name"]: f for f in one["audit"]["findings"]} for name, one in found.items()
    }
    assert verdicts["matrix"]["isotropy"]["value"] < 1e-9
    assert verdicts["along"]["isotropy"]["value"] > 0.05
    assert verdicts["along"]["objectivity"]["verdict"] == "pass"
    assert verdicts["along"]["stress of the energy"]["verdict"] == "pass"
    assert found["along"]["constant_fields"] == {"fibre": [2.0, 0.0, 0.0]}
    one, other = (found[n]["curves"][0]["y"]["values"][-1] for n in ("along", "matrix"))
    assert one > 1.5 * other


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("fibre=1,0", "got 2 numbers for the constant field 'fibre', expected 3"),
        ("fiber=1,0,0", "did you mean fibre?"),
        ("fibre", "expected NAME=X,Y,... such as fibre=1,0,0"),
        ("fibre=1,0,inf", "expected NAME=X,Y,..."),
    ],
)
def test_bad_constants_are_refused(
    word: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["law", "fibre-reinforced", "--constant", word]) == 2
    assert said in capsys.readouterr().err


def test_words_that_are_no_law_say_what_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    NeoHookean(1e5, 0.3).save(tmp_path / "law.safetensors")
    for word, reason in (
        (
            "isotropic-plasticity",
            "a flow, rheograd.materials.learned.isotropic.IsotropicPlasticity",
        ),
        (str(tmp_path), f"expected the law in it, {tmp_path / 'law.safetensors'}"),
        ("natrual-rubber", "did you mean natural-rubber?"),
    ):
        assert main(["law", word]) == 2
        said = capsys.readouterr().err
        assert reason in said and said.count("\n") == 1
    with pytest.raises(ValueError, match=r"a law without its numbers, rheograd.*rubber\.Yeoh"):
        laws.load("yeoh", ["isotropic"])


def test_a_material_and_the_fields_of_a_law_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["law", "pdms"]) == 0
    assert "Johnston, McCluskey, Tan and Tracey 2014" in capsys.readouterr().out
    assert main(["law", "active"]) == 0
    said = capsys.readouterr().out
    assert "fibre (3 numbers), activation (1 number), which a body gives" in said
    assert "here --constant, else zero" in " ".join(said.split())
    assert "no history" in said and "neo-hookean(young=" in said
