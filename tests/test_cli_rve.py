# SPDX-License-Identifier: Apache-2.0
"""rheograd rve, and runs whose points are cells."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from rheograd.engine.homogenize import training
from rheograd.engine.homogenize.microstructures import round_inclusion
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.small_strain import LinearElastic
from rheograd.scenes.cells import micro_digest
from rheograd.scenes.cli import main

SHARED = Path(__file__).parents[2] / "shared" / "data" / "rve"
FEW = ["--cases", "14,4,4", "--modes", "6"]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("mesh") / "cell.msh"
    round_inclusion(0.25, (2, 1, 1), element="quad4").save(path)
    return str(path)


@pytest.fixture(scope="module")
def trained(mesh: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("law") / "new" / "law.safetensors"
    told = out.parent / "t.json"
    words = ["--unit", "MPa", "--train", *FEW, "--out", str(out), "--json", str(told)]
    quick = partial(training.Recipe, cases=150, widths=(10, 10), branch=(12,), iterations=150)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "Recipe", quick)
        assert main(["rve", mesh, *words]) == 0
    return out


def test_one_strain(mesh: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cell.json"
    words = ["--unit", "MPa", "--strain", "0.02,-0.01,0.03", "--json", str(out)]
    assert main(["rve", mesh, *words]) == 0
    found = json.loads(out.read_text())
    assert found["unit"] == "MPa"
    assert found["order"] == ["xx", "yy", "xy"]
    assert found["hill_mandel"] < 1e-12
    assert found["deformation"][0][1] == pytest.approx(0.015)  # gamma is twice the tensor's
    said = capsys.readouterr()
    assert "Hill and Mandel" in said.out
    assert "20 quad4 elements in plane strain, 38 unknowns; matrix 77.49 %, Hyperbolic(" in said.err
    assert main(["rve", mesh, "--strain", "0.02,-0.01,0.03", "--json", str(out)]) == 0
    pascals = json.loads(out.read_text())
    assert pascals["stress"][0] == pytest.approx(1e6 * found["stress"][0])
    assert pascals["stress_zz"] == pytest.approx(1e6 * found["stress_zz"])
    assert pascals["tangent"][2][2] == pytest.approx(1e6 * found["tangent"][2][2])


def test_a_strain_in_space(tmp_path: Path) -> None:
    """Six numbers in the order of the stresses, shears twice as in the tensor."""
    path, out = tmp_path / "cell.msh", tmp_path / "cell.json"
    round_inclusion(0.25, (2, 1, 1), element="hex8").save(path)
    words = ["--strain", "0.01,-0.02,0.03,0.002,0.004,0.006", "--json", str(out)]
    assert main(["rve", str(path), *words]) == 0
    found = json.loads(out.read_text())
    assert found["order"] == ["xx", "yy", "zz", "yz", "xz", "xy"]
    expected = [[1.01, 0.003, 0.002], [0.003, 0.98, 0.001], [0.002, 0.001, 1.03]]
    assert torch.allclose(torch.tensor(found["deformation"]), torch.tensor(expected))


@pytest.mark.skipif(not SHARED.is_dir(), reason="no reference data beside the project")
def test_reference(tmp_path: Path) -> None:
    """By the command, as an independent code has it: default phases, group 1 matrix, 2 fibre."""
    out = tmp_path / "cell.json"
    path = str(SHARED / "rve_one_fibre_quad4.msh")
    assert (
        main(["rve", path, "--unit", "MPa", "--strain", "0.02,-0.01,0.03", "--json", str(out)]) == 0
    )
    found = json.loads(out.read_text())
    results = json.loads((SHARED / "rve_reference.json").read_text())["results"]
    expected = next(v for k, v in results.items() if k.startswith("Q1"))["nl3d"]["mixed"]
    for key, theirs in (("stress", "S_xx_yy_xy"), ("tangent", "C_voigt_engineering")):
        ours, wanted = torch.tensor(found[key]), torch.tensor(expected[theirs])
        assert float((ours - wanted).norm() / wanted.norm()) < 1e-6


def test_finite_strain(
    mesh: str, tmp_path: Path, refuse: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    law = tmp_path / "law.safetensors"
    NeoHookean(1e6, 0.4).save(law)
    phases = ["--phase", f"matrix={law}", "--phase", f"fibre={law}"]
    out = tmp_path / "cell.json"
    words = ["--deformation", "1.2,0.1,0,0.9", "--json", str(out)]
    assert main(["rve", mesh, *phases, *words]) == 0
    found = json.loads(out.read_text())
    assert found["order"] == ["xx", "xy", "yx", "yy"]
    F = torch.eye(3, dtype=torch.float64)
    F[:2, :2] = torch.tensor([[1.2, 0.1], [0.0, 0.9]], dtype=torch.float64)
    expected = NeoHookean(1e6, 0.4).stress(F[None], F.new_zeros(1, 0))[0] @ torch.linalg.inv(F).T
    assert found["stress"] == pytest.approx(expected[:2, :2].flatten().tolist(), rel=1e-9)
    capsys.readouterr()
    said = refuse("rve", mesh, *phases, "--strain", "0,0,0")
    assert "of finite strain: give --deformation" in said


def test_trained(trained: Path) -> None:
    law = ConstitutiveLaw.load(trained)
    assert isinstance(law, EquiNO)
    assert (trained.parent / "report.html").read_text().count("<svg") >= 4
    told = json.loads((trained.parent / "t.json").read_text())
    assert told["median_percent"]["mean stress"] < 5.0
    assert dict(law.errors)["mean stress"] == told["median_percent"]["mean stress"]
    assert told["cases"] == [14, 4, 4]


def test_a_law_beside_its_cell(
    mesh: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    refuse: Callable[..., str],
) -> None:  # fmt: skip
    """The learned stress is told with its error; a law of a mesh that has changed is refused."""
    out, asked = tmp_path / "cell.json", ["--strain", "0.02,-0.01,0.05"]
    words = [*asked, "--law", str(trained), "--json", str(out)]
    assert main(["rve", mesh, *words]) == 0
    found = json.loads(out.read_text())
    own, learned = (torch.tensor(f["stress"]).double() for f in (found, found["learned"]))
    off = 100 * float((own - learned).norm() / own.norm())
    assert found["learned"]["off_percent"] == pytest.approx(off, rel=1e-3)
    assert found["learned"]["outside_box"] == pytest.approx(0.25)
    assert "outside its box by 25 %" in capsys.readouterr().out
    changed = str(tmp_path / "changed.msh")
    round_inclusion(0.26, (2, 1, 1), element="quad4").save(changed)
    assert "trained on another mesh" in refuse("rve", changed, *asked, "--law", str(trained))
    rubber = tmp_path / "rubber.safetensors"
    NeoHookean(1e6, 0.4).save(rubber)
    assert "expected one of rve --train" in refuse("rve", mesh, *asked, "--law", str(rubber))
    stiff = ["--phase", f"fibre={tmp_path / 'stiff.safetensors'}"]
    LinearElastic(80e9, 0.22).save(tmp_path / "stiff.safetensors")
    said = refuse("rve", mesh, *asked, *stiff, "--law", str(trained))
    assert "trained with other laws of the phases" in said
    train = ["--train", "--out", str(tmp_path / "l.safetensors")]
    assert "give --strain, not --train" in refuse("rve", mesh, *train, "--law", str(trained))


def test_cells_are_told_apart_by_their_mesh(mesh: str, tmp_path: Path) -> None:
    """Not by the name of the file, which may hold another one later."""
    path = tmp_path / "cell.msh"
    path.write_bytes(Path(mesh).read_bytes())
    assert micro_digest(None) is None
    assert micro_digest(f"fe2:{path}") == micro_digest(f"fe2:{mesh}")
    round_inclusion(0.26, (2, 1, 1), element="quad4").save(path)
    assert micro_digest(f"fe2:{path}") != micro_digest(f"fe2:{mesh}")


def test_a_trained_cell_in_a_scene(mesh: str, trained: Path, tmp_path: Path) -> None:
    figures = {}
    for name, word in (("fast", str(trained)), ("fe2", f"fe2:{mesh}")):
        out, told = tmp_path / f"{name}.vtkhdf", tmp_path / f"{name}.json"
        words = ["--micro", word, "--n", "1", "--load-steps", "1", "--out", str(out)]
        assert main(["run", "bracket", *words, "--json", str(told), "--check"]) == 0
        figures[name] = json.loads(told.read_text())
    assert figures["fe2"]["micro"]["cells_solved"] > 0
    assert figures["fast"]["micro"]["outside_box"]["of"] == 27
    assert figures["fast"]["force"] == pytest.approx(figures["fe2"]["force"], rel=0.05)
    fields = Trajectory.load(tmp_path / "fast.vtkhdf").cell_fields
    assert fields["outside_box"].shape == (2, 3)
    assert not fields["constitutive_residual"][0].any()  # at rest
    bent = figures["fast"]["micro"]["constitutive_residual"]
    assert bent["of"] == 27
    assert bent["largest"] < 1.0
    assert figures["fe2"]["phases"]["fibre"].startswith("LinearElastic(young=7.3e+10")


def test_phases_of_a_run(
    mesh: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    refuse: Callable[..., str],
) -> None:  # fmt: skip
    """A law for a phase, or for every region of a mesh whose names are its own."""
    LinearElastic(3e9, 0.3).save(tmp_path / "resin.safetensors")
    renamed = round_inclusion(0.25, (2, 1, 1), element="quad4")
    regions = {"resin": renamed.regions["matrix"], "glass": renamed.regions["fibre"]}
    replace(renamed, regions=regions).save(tmp_path / "renamed.msh")
    other, resin = str(tmp_path / "renamed.msh"), f"{tmp_path / 'resin.safetensors'}"
    assert "named matrix, fibre or numbered 1, 2" in refuse("rve", other, "--strain", "0.01,0,0")
    LinearElastic(73e9, 0.22).save(tmp_path / "glass.safetensors")
    both = ["--phase", f"resin={resin}", "--phase", f"glass={tmp_path / 'glass.safetensors'}"]
    found = []
    for cell, phases in ((mesh, ["--phase", f"matrix={resin}"]), (other, both)):
        told = tmp_path / "told.json"
        words = ["--micro", f"fe2:{cell}", *phases, "--n", "1", "--load-steps", "1", "--force"]
        assert main(["run", "bracket", *words, "--json", str(told)]) == 0
        found.append(json.loads(told.read_text())["force"])
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    few = ["--n", "1", "--load-steps", "2", "--sink", "0.01"]
    capsys.readouterr()
    assert main(["run", "bracket", "--micro", str(trained), *few]) == 0
    assert "points are outside the box that the law was trained for" in capsys.readouterr().err
    assert "--phase needs --micro" in refuse("run", "bracket", "--phase", f"matrix={resin}")
    said = refuse("run", "bracket", "--micro", str(trained), "--phase", f"matrix={resin}")
    assert "a trained cell has its own phases" in said


class TestRefusals:
    def test_strains(self, mesh: str, refuse: Callable[..., str]) -> None:
        assert "E11,E22,gamma12" in refuse("rve", mesh, "--strain", "0.01,0.02")
        assert "expected 3 numbers" in refuse("rve", mesh, "--strain", "a,b,c")
        assert "of small strain: give --strain" in refuse("rve", mesh, "--deformation", "1,0,0,1")
        assert "expected one of --strain" in refuse("rve", mesh)
        assert "expected one of Pa" in refuse("rve", mesh, "--unit", "bar", "--strain", "0,0,0")

    def test_cells(self, mesh: str, tmp_path: Path, refuse: Callable[..., str]) -> None:
        some = ["--strain", "0,0,0"]
        assert "no mesh file" in refuse("rve", str(tmp_path / "no.msh"), *some)
        assert "nodeCoordinates.csv" in refuse("rve", str(tmp_path), *some)
        assert "did you mean fibre" in refuse("rve", mesh, *some, "--phase", "fiber=x.safetensors")
        assert "NAME=LAW" in refuse("rve", mesh, *some, "--phase", "matrix")
        assert "there is no law" in refuse("rve", mesh, *some, "--phase", "matrix=no.safetensors")
        assert "expected 3d or plane" in refuse("rve", mesh, *some, "--norm", "2d")
        assert "add --train" in refuse("rve", mesh, *some, "--out", "law.safetensors")
        assert "--out FILE.safetensors" in refuse("rve", mesh, "--train")

    def test_training(
        self, mesh: str, trained: Path, refuse: Callable[..., str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        again = ["--train", *FEW, "--out", str(trained)]
        assert "add --force" in refuse("rve", mesh, *again)
        other = ["--train", "--cases", "15,4,4", "--modes", "6", "--out", str(trained), "--force"]
        assert main(["rve", mesh, *other]) == 2
        assert "of other load cases" in capsys.readouterr().err
        assert "at least 1" in refuse(
            "rve", mesh, "--train", "--cases", "5,0,1", "--out", str(trained), "--force"
        )

    def test_micro(
        self, mesh: str, trained: Path, tmp_path: Path, refuse: Callable[..., str]
    ) -> None:
        assert "expected fe2:MESH" in refuse("run", "bracket", "--micro", mesh)
        assert "one of them" in refuse(
            "run", "bracket", "--micro", "fe2:x", "--law", "y.safetensors"
        )
        law = tmp_path / "law.safetensors"
        NeoHookean(1e6, 0.4).save(law)
        assert "take --law" in refuse("run", "bracket", "--micro", str(law))
        assert "in space" in refuse("run", "cantilever", "--micro", str(trained))
