# SPDX-License-Identifier: Apache-2.0
"""Fits from the command line; the fits themselves have tests of their own."""

from __future__ import annotations

import json
import shlex
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from throws import SOLVER, particles, pixels

from rheograd.engine.fem.solver import FESolver
from rheograd.engine.fit import expected, report_files
from rheograd.engine.fit.experiment import Experiment
from rheograd.engine.fit.numerical_error import Numerics
from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.fit.report import FitReport
from rheograd.engine.fit.team import Team
from rheograd.engine.observations.joint import Joint
from rheograd.engine.observations.observation import Observation
from rheograd.engine.scene import Scene
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantSmooth
from rheograd.scenes import cli, progress
from rheograd.scenes.cli import main
from rheograd.scenes.commands.demo import THROWS, Demo
from rheograd.scenes.commands.fit import STRESS, expected_stress, numerics
from rheograd.scenes.fit_progress import FitProgress, sum_up
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


@pytest.mark.parametrize(("rank", "says"), [("0", "stopped: after 0 of 9"), ("1", "")])
def test_of_several_processes_the_leader_says_that_it_was_stopped(
    rank: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(words: Any) -> int:
        with FitProgress("beam", 9, "iterations", shown=False):
            raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_dispatch", stopped)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    assert main(["fit"]) == cli.STOPPED
    said = capsys.readouterr().err
    assert said.startswith(says) and bool(said) == bool(says)


def test_figures_of_a_sum_agree(capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed as squared is the square of what is printed beside it, over coordinates."""
    report = FitReport(
        "parameters", "drop", "", {}, {"reconstruction": 39.2}, [], 1.0, unit="px", components=2
    )
    assert sum_up(report, Path("f")) == 0
    said = capsys.readouterr().err
    assert "reconstruction: 8.85 px RMS (its square over 2 coordinates: 39.2 px²)" in said
    one = replace(report, components=1, unit="σ", errors={"reconstruction": 4.0})
    sum_up(one, Path("f"))
    assert "reconstruction: 2 σ RMS (its square: 4 σ²)" in capsys.readouterr().err


def test_a_law_is_made_for_the_stress_that_is_given_or_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expected, "expected_young", lambda *given, **more: 3e4)

    def stress(given: float | None, *seen: Observation) -> float:
        return expected_stress(Namespace(stress_scale=given), lambda law: [], None, seen, Team())

    assert stress(None, particles(), particles()) == STRESS
    assert stress(None, particles(), pixels()) == 3e4
    assert stress(5.0, pixels()) == 5.0


def test_the_numerical_error_is_asked_for_or_suits_tracks_on_particles() -> None:
    track, place = pixels(), particles()
    both = Joint((track, track))
    mixed = Joint((track, replace(place, noise=1e-3)))

    def asked(given: bool | None, solver: Any, *seen: Observation) -> Numerics | None:
        return numerics(Namespace(numerics=given), solver, [Experiment(o) for o in seen])

    assert asked(None, SOLVER, track, both) == Numerics()
    for seen in ((place,), (track, place), (mixed,)):
        assert asked(None, SOLVER, *seen) is None
        assert asked(True, SOLVER, *seen) == Numerics()
    assert asked(None, FESolver(), track) is None
    assert asked(False, SOLVER, track) is None


@pytest.mark.parametrize(("off", "code"), [(0.04, 0), (0.05, 1)])
def test_the_demo_ends_well_if_the_law_is_better_on_the_unseen_motion(
    off: float, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Its simulations are still pictures here, and the fit is none."""
    shifts = {"fitted": off, "unfitted": 0.1}
    begun: dict[str, Scene] = {}

    def run(self: Demo, title: str, scene: Scene) -> Trajectory:
        begun[title] = scene
        x = torch.zeros(2, 3, 3, dtype=torch.float64) + shifts.get(title, 0.0)
        return Trajectory(torch.tensor([0.0, 0.1], dtype=torch.float64), x)

    def fit(self: Demo, seen: list[str]) -> tuple[FitReport, ConstitutiveLaw]:
        assert seen == ["tracks of first", "tracks of second"]
        InvariantSmooth(2.0).save(self.out / "law_start.safetensors")
        return FitReport("law", "drop", "", {}, {"": 0.0}, [], 0.0), InvariantSmooth(1.0)

    told: list[FitReport] = []
    monkeypatch.setattr(Demo, "_run", run)
    monkeypatch.setattr(Demo, "_film", lambda self, name, thrown: f"clip of {name}")
    monkeypatch.setattr(Demo, "_track", lambda self, name, clip, thrown: f"tracks of {name}")
    monkeypatch.setattr(Demo, "_fit", fit)
    monkeypatch.setattr(Demo, "_draw", lambda self, runs: {})
    monkeypatch.setattr(report_files, "write_report", lambda out, report: told.append(report))
    assert Demo(tmp_path, 1, 1, "again").go() == code
    line = f"the fitted law is {1e3 * off * 3**0.5:.3g} mm off (RMS), the unfitted one 173 mm"
    said = capsys.readouterr().err
    assert line in said and ("not enough" in said) == bool(code)
    assert any(line in note for note in told[0].notes)
    assert list(begun) == ["throw first", "throw second", "truth", "fitted", "unfitted"]
    for name, options in THROWS.items():
        assert begun[f"throw {name}"].bodies[0].velocity == options["velocity"]
    laws = [begun[name].bodies[0].law for name in ("truth", "fitted", "unfitted")]
    assert [law.name for law in laws] == ["neo-hookean", "invariant-smooth", "invariant-smooth"]
    assert [float(law.stress_scale) for law in laws[1:]] == [1.0, 2.0]  # type: ignore[arg-type]


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
        assert "invariant-smooth" in refuse("fit", small, seen, "--law", "invariant-smoth", *folder)
        x = Trajectory.load(seen).window(0, 20)
        np.savez(tmp_path / "few.npz", time=x.time, x=x.x[:, :100])
        assert "100 particles" in refuse("fit", small, tmp_path / "few.npz", *folder)
        np.savez(tmp_path / "fast.npz", x=x.x)
        rate = ["--frame-rate", "333"]
        assert "does not divide the" in refuse("fit", small, tmp_path / "fast.npz", *rate, *folder)
        assert not (tmp_path / "fit").exists()
