# SPDX-License-Identifier: Apache-2.0
"""Fits from the command line; the fits themselves have tests of their own."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.law import ConstitutiveLaw
from rheograd.scenes import progress
from rheograd.scenes.cli import main
from rheograd.scenes.fit_progress import FitProgress
from rheograd.scenes.repeat import repeated

pytestmark = pytest.mark.filterwarnings("ignore:.*particles a cell")


def test_a_command_to_do_it_again(tmp_path: Path) -> None:
    tokens = ["nclaw", "a b.npz", "--out", "x", "--resume", "--epochs", "3"]
    out = tmp_path / "x"
    expected = f"rheograd fit nclaw 'a b.npz' --epochs 3 --out {tmp_path / 'x-again'}"
    assert repeated("rheograd fit", tokens, out) == expected
    assert repeated("rheograd fit", [*tokens[:2], "--out=x", "--epochs", "3"], out) == expected
    (tmp_path / "x-again").mkdir()
    assert repeated("rheograd demo", [], out) == f"rheograd demo --out {tmp_path / 'x-again-2'}"


def test_how_far_a_fit_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    with (
        pytest.raises(KeyboardInterrupt, match="after 1 of 9 iterations; add --resume to go on"),
        FitProgress("beam", 9, "iterations", {"young": Parameter(1e5, unit="Pa")}) as tell,
    ):
        tell({"epoch": 0, "loss": 2e-6, "young": 1e5, "bands": {"young": [9.9e4, 1.01e5]}})
        tell({"epoch": 1, "note": "a step was rejected"})
        tell({"judged": 0, "of": 4, "motion": "reconstruction"})
        tell({"judged": 2, "of": 4, "motion": "twice the time"})
        raise KeyboardInterrupt
    assert capsys.readouterr().err.splitlines() == [
        "beam: 1 of 9 iterations, 11 %, young 100.0 kPa ± 1.0 kPa, loss 2e-06",
        "a step was rejected",
        "beam, judged: 0 of 4 simulations, 0 %, reconstruction",
        "beam, judged: 2 of 4 simulations, 50 %, twice the time",
    ]  # fmt: skip


class TestFit:
    """Fitting from the command line; the fit has tests of its own."""

    WORDS = ("--epochs", "2", "--updates", "2", "--longest", "20", "--stress-scale", "1e4")

    def test_fit_and_use(self, small: str, tmp_path: Path) -> None:
        seen, folder, again = tmp_path / "a.npz", tmp_path / "runs" / "fit", tmp_path / "b.npz"
        assert main(["run", small, "--steps", "60", "--every", "5", "--out", str(seen)]) == 0
        words = ["--states", "recorded", *self.WORDS, "--out", str(folder)]
        assert main(["fit", small, str(seen), *words]) == 0
        files = {path.name for path in folder.iterdir()}
        assert {"law.safetensors", "metrics.jsonl", "report.html", "report.json"} <= files
        law = ["--law", str(folder / "law.safetensors"), "--steps", "20"]
        assert main(["run", small, *law, "--out", str(again)]) == 0
        command = json.loads((folder / "report.json").read_text())["command"]
        program, *rest = shlex.split(command)
        assert program == "rheograd"
        assert main(rest) == 0
        first, second = (
            ConstitutiveLaw.load(f / "law.safetensors").state_dict()
            for f in (folder, folder.with_name("fit-again"))
        )
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_numbers_of_a_scene(
        self, small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        seen, folder = tmp_path / "a.npz", tmp_path / "fit"
        words = ["--velocity", "0,-1.5,0", "--duration", "0.2", "--every", "5"]
        assert main(["run", small, *words, "--young", "3e4", "--out", str(seen)]) == 0
        capsys.readouterr()
        more = ["--velocity", "0,-1.5,0", "--parameters", "young=3.6e4", "--out", str(folder)]
        assert main(["fit", small, str(seen), *more]) == 0
        said = capsys.readouterr().err
        assert "young: 30.0" in said or "young: 3.0" in said or "young: 29.9" in said
        report = json.loads((folder / "report.json").read_text())
        (young,) = report["parameters"]
        assert young["value"] == pytest.approx(3e4, rel=1e-3)
        assert main(["fit", small, str(seen), *more, "--resume"]) == 0
        law = ["--law", str(folder / "law.safetensors"), "--steps", "5"]
        assert main(["run", small, *law]) == 0

    @pytest.mark.slow
    def test_the_beam(self, tmp_path: Path, reference_data: Callable[[str], Path]) -> None:
        seen = reference_data("beam/beam_gravity_V2_a.c3d")
        words = ["--parameters", "young,damping=2e-3", "--young", "3e5", "--cell", "0.015"]
        folder = tmp_path / "beam"
        more = ["--epochs", "2", "--out", str(folder)]
        assert main(["fit", "beam", str(seen), *words, *more]) == 0
        report = json.loads((folder / "report.json").read_text())
        young = report["parameters"][0]["value"]
        assert 2e5 < young < 4e5
        assert "twice the time" in [motion["name"] for motion in report["errors"]]

    def test_parameters_are_refused(
        self, small: str, tmp_path: Path, refuse: Callable[..., str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        seen, folder = tmp_path / "a.npz", ["--out", tmp_path / "fit"]
        assert main(["run", small, "--steps", "60", "--every", "5", "--out", str(seen)]) == 0
        capsys.readouterr()
        start = ["fit", small, seen, *folder, "--parameters"]
        assert "young" in refuse(*start, "stiffness")
        assert "expected a number" in refuse(*start, "young=stiff")
        assert "twice" in refuse(*start, "young,young")
        assert "trained without --parameters" in refuse(*start, "young", "--law", "invariant-full")
        assert "share from 0" in refuse(*start, "young", "--hold-out", "1.5")

    def test_a_second_fit_needs_resume(
        self, small: str, tmp_path: Path, refuse: Callable[..., str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        seen = tmp_path / "a.npz"
        assert main(["run", small, "--steps", "60", "--every", "5", "--out", str(seen)]) == 0
        words = [small, str(seen), *self.WORDS, "--out", str(tmp_path / "fit")]
        assert main(["fit", *words]) == 0
        capsys.readouterr()
        assert "--resume" in refuse("fit", *words)
        assert main(["fit", *words, "--resume"]) == 0

    def test_refusals(
        self, small: str, tmp_path: Path, refuse: Callable[..., str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        seen, folder = tmp_path / "a.npz", ["--out", tmp_path / "fit"]
        assert main(["run", small, "--steps", "400", "--every", "5", "--out", str(seen)]) == 0
        capsys.readouterr()
        assert "longer than the simulation" in refuse("fit", small, seen, *folder)
        assert "no such file" in refuse("fit", small, tmp_path / "b.npz", *folder)
        assert "invariant-smooth" in refuse("fit", small, seen, "--law", "invariant", *folder)
        x = Trajectory.load(seen).window(0, 20)
        np.savez(tmp_path / "few.npz", time=x.time, x=x.x[:, :100])
        assert "100 particles" in refuse("fit", small, tmp_path / "few.npz", *folder)
        np.savez(tmp_path / "fast.npz", x=x.x)
        rate = ["--frame-rate", "333"]
        assert "does not divide the" in refuse("fit", small, tmp_path / "fast.npz", *rate, *folder)
        assert not (tmp_path / "fit").exists()
