# SPDX-License-Identifier: Apache-2.0
"""Energy laws on the command line: trained from nothing, saved, and run again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rheograd.materials.elastic import Corotated
from rheograd.materials.energies.cann import CANN
from rheograd.materials.energies.polyconvex import Polyconvex
from rheograd.materials.law import ConstitutiveLaw
from rheograd.scenes.cli import main
from rheograd.scenes.laws import ENERGY_LAWS, energy_law


def test_they_start_with_the_modulus_that_is_expected() -> None:
    for name, kind in zip(ENERGY_LAWS, (Polyconvex, CANN), strict=True):
        law = energy_law(name, 1e5, 0)
        assert isinstance(law, kind)
        assert law.wave_modulus() == pytest.approx(Corotated(1e5, 0.25).wave_modulus(), rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENERGY_LAWS)
def test_train_and_run_again(name: str, small: str, tmp_path: Path) -> None:
    seen, folder, again = tmp_path / "seen.npz", tmp_path / "fit", tmp_path / "again.npz"
    true = tmp_path / "true.safetensors"
    Corotated(2e4, 0.3).save(true)
    run = ["run", small, "--law", str(true), "--steps", "120", "--every", "5"]
    assert main([*run, "--out", str(seen)]) == 0
    words = ["--law", name, "--stress-scale", "1e4", "--epochs", "4", "--updates", "3"]
    assert main(["fit", small, str(seen), *words, "--rate", "0.01", "--out", str(folder)]) == 0
    (error, *_) = json.loads((folder / "report.json").read_text())["errors"]
    assert error["mean_square_m2"] < 0.9 * error["start_mean_square_m2"]
    law = folder / "law.safetensors"
    assert ConstitutiveLaw.load(law).name == name
    assert main(["run", small, "--law", str(law), "--steps", "20", "--out", str(again)]) == 0


def test_a_word_that_is_nearly_one_of_them(
    small: str, tmp_path: Path, refuse: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    seen = tmp_path / "seen.npz"
    assert main(["run", small, "--steps", "60", "--every", "5", "--out", str(seen)]) == 0
    capsys.readouterr()
    said = refuse("fit", small, seen, "--law", "polyconvx", "--out", tmp_path / "fit")
    assert "did you mean polyconvex?" in said
