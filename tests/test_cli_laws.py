# SPDX-License-Identifier: Apache-2.0
"""Laws of one's own on the command line: a class in a file, and what is saved from it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import process

from rheograd.engine.trajectory import Trajectory
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.isotropic import ConditionalIsotropic
from rheograd.scenes import laws
from rheograd.scenes.cli import main

SPRINGY = '''
import torch
from torch import nn

from rheograd.materials.law import Elasticity


class Springy(Elasticity):
    """tau = stiffness * exp(s) * (B - I)."""

    name = "springy"

    def __init__(self, stiffness: float = 8e3) -> None:
        super().__init__()
        self.stiffness = stiffness
        self.s = nn.Parameter(torch.zeros(()))

    def stress(self, F_elastic, internal):
        eye = torch.eye(3).to(F_elastic)
        return self.stiffness * self.s.to(F_elastic).exp() * (F_elastic @ F_elastic.mT - eye)

    @classmethod
    def example(cls):
        return cls()


class Bare(Springy):
    name = "bare"

    def __init__(self, stiffness):
        super().__init__(stiffness)


class Forgetful(Springy):
    name = "forgetful"

    def __init__(self, factor: float = 2.0):
        super().__init__(1e4 * factor)


class Taken(Springy):
    name = "corotated"


class Broken(Springy):
    name = "broken"

    def __init__(self):
        raise RuntimeError("no luck")


class Half(Elasticity):
    pass
'''


@pytest.fixture
def springy(tmp_path: Path) -> Path:
    """A file with laws of one's own."""
    path = tmp_path / "springs.py"
    path.write_text(SPRINGY)
    return path


def test_run_fit_save_and_run_again(small: str, springy: Path, tmp_path: Path) -> None:
    seen, folder, again = tmp_path / "seen.npz", tmp_path / "fit", tmp_path / "again.npz"
    word = f"{springy}:Springy"
    true = tmp_path / "true.safetensors"
    type(laws.load(word))(2e4).save(true)
    run = ["run", small, "--law", f"{springy}:{true}", "--steps", "200", "--every", "5"]
    assert main([*run, "--out", str(seen)]) == 0
    words = ["--law", word, "--epochs", "6", "--updates", "4", "--rate", "0.2"]
    assert main(["fit", small, str(seen), *words, "--out", str(folder)]) == 0
    report = json.loads((folder / "report.json").read_text())
    (error, *_) = report["errors"]
    assert error["mean_square_m2"] < 0.5 * error["start_mean_square_m2"]
    assert main(["fit", small, str(seen), *words, "--out", str(folder), "--resume"]) == 0
    fitted = laws.load(f"{springy}:{folder / 'law.safetensors'}")
    assert type(fitted).__name__ == "Springy"
    assert next(fitted.parameters()).item() != 0.0
    steps = ["--steps", "20", "--precision", "float64"]
    saved = f"{springy}:{folder / 'law.safetensors'}"
    assert main(["run", small, "--law", saved, *steps, "--out", str(again)]) == 0
    assert main(["run", small, "--law", word, *steps]) == 0
    assert torch.isfinite(Trajectory.load(again).x).all()


def test_a_file_runs_only_if_it_is_named(small: str, springy: Path, tmp_path: Path) -> None:
    """In a process of its own the class is not known, though its file lies beside the law."""
    law = tmp_path / "law.safetensors"
    laws.load(f"{springy}:Springy").save(law)
    command = process("run", small, "--steps", "2", "--law", law)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "architecture 'springy'" in line
    assert line.endswith(f"its class is in springs.py; import that, as by --law springs.py:{law}")
    command = process("run", small, "--steps", "2", "--law", f"springs.py:{law}")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_refusals(
    small: str, springy: Path, tmp_path: Path, refuse: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def said(law: object, *words: object, command: str = "run") -> str:
        return refuse(command, small, *words, "--law", law)

    assert "did you mean Springy?" in said(f"{springy}:Sprigny")
    assert "there is Springy, Bare, " in said(f"{springy}:Nothing")
    assert "cannot be made without stiffness: give defaults" in said(f"{springy}:Bare")
    assert "Half lacks name, example, stress" in said(f"{springy}:Half")
    assert "'corotated' of a law of rheograd: choose another" in said(f"{springy}:Taken")
    assert "failed with RuntimeError: no luck" in said(f"{springy}:Broken")
    assert "without a class, expected" in said(springy)
    assert "no law file" in said(f"{tmp_path / 'none.py'}:Springy")
    assert "expected a .safetensors file, FILE.py:CLASS" in said("springy")
    seen = tmp_path / "seen.npz"
    assert main(["run", small, "--steps", "60", "--every", "5", "--out", str(seen)]) == 0
    capsys.readouterr()
    forgetful = refuse(
        "fit", small, seen, "--law", f"{springy}:Forgetful", "--out", tmp_path / "fit"
    )
    assert "'factor' is not kept; set self.factor" in forgetful
    assert not (tmp_path / "fit").exists()


def test_what_a_run_is_continued_with(springy: Path, tmp_path: Path) -> None:
    first = laws.digest(f"{springy}:Springy")
    assert first != laws.digest(f"{springy}:Bare")
    assert first == laws.digest(f"{springy}:Springy")
    springy.write_text(SPRINGY + "# changed\n")
    assert first != laws.digest(f"{springy}:Springy")
    law = tmp_path / "law.safetensors"
    laws.load(f"{springy}:Springy").save(law)
    assert laws.digest(str(law)) != laws.digest(f"{springy}:{law}")
    assert laws.digest(None) is None


def test_a_material_of_a_family_is_found_by_its_code(
    small: str, tmp_path: Path, refuse: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A frozen conditional law: run with a code, then the code is fitted to the motion."""
    law, seen, folder = (tmp_path / name for name in ("law.safetensors", "seen.npz", "fit"))
    made = ConditionalIsotropic(2, 2e4, seed=1)
    with torch.no_grad():
        for weight in made.elasticity.parameters():
            weight += 0.05 * torch.randn_like(weight)
    made.save(law)
    run = ["run", small, "--law", str(law), "--steps", "200"]
    assert main([*run, "--every", "10", "--constant", "code=0.4,-0.3", "--out", str(seen)]) == 0
    words = ["fit", small, str(seen), "--law", str(law), "--parameters", "code.0,code.1=-0.1"]
    assert main([*words, "--out", str(folder)]) == 0
    report = json.loads((folder / "report.json").read_text())
    found = {p["name"]: p["value"] for p in report["parameters"]}
    assert found["code.0"] == pytest.approx(0.4, abs=1e-2)
    assert found["code.1"] == pytest.approx(-0.3, abs=1e-2)
    capsys.readouterr()
    assert "reads the fields code (2 numbers), and no values for code" in refuse(*run)
    assert "got a value for code.2, and no law" in refuse(*run, "--constant", "code=1,2,3")
    assert "got a value for colour.0, and no law" in refuse(*run, "--constant", "colour=1")
    assert "got 1 of the 2 numbers of code" in refuse(*run, "--constant", "code=1")
    assert "(did you mean code?)" in refuse(*run, "--constant", "codes=1,2")
    assert "--constant code=X,Y" in refuse(*run)
    assert "'code=red', expected NAME=X,Y" in refuse(*run, "--constant", "code=red")
    words[-1] = "code.2"
    assert "got a value for code.2, and no law" in refuse(*words, "--out", tmp_path / "other")


@pytest.mark.parametrize("name", ["isotropic", "spline"])
def test_a_new_law_of_the_family_is_trained(name: str, small: str, tmp_path: Path) -> None:
    seen, folder = tmp_path / "seen.npz", tmp_path / "fit"
    run = ["run", small, "--velocity", "0,-6,0", "--steps", "40", "--every", "5"]
    assert main([*run, "--out", str(seen)]) == 0
    words = ["fit", small, str(seen), "--law", name, "--epochs", "2", "--updates", "2"]
    assert main([*words, "--out", str(folder)]) == 0
    assert ConstitutiveLaw.load(folder / "law.safetensors").name == name


def test_every_learned_law_can_be_started_by_name() -> None:
    for name, kind in laws.learned().items():
        law = kind(2e4, 1e-3, seed=0)
        assert law.name == name
        laws.require_savable(law)
        assert hasattr(law, "elasticity")
        assert hasattr(law, "plasticity")
