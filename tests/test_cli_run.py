# SPDX-License-Identifier: Apache-2.0
"""Runs from the command line: what they write, what they leave after a kill, how they go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import process

from rheograd.engine.trajectory import Trajectory, open_trajectory, partial
from rheograd.materials.elastic import Corotated
from rheograd.materials.learned.invariant import InvariantSmooth
from rheograd.scenes.cli import main
from rheograd.scenes.recording import state_path

pytestmark = pytest.mark.filterwarnings("ignore:.*particles a cell")


class TestRun:
    """Simulating from the command line."""

    def test_the_command_of_the_readme(self, tmp_path: Path) -> None:
        out = tmp_path / "jelly.npz"
        words = "run nclaw --material jelly --steps 40 --every 5 --out"
        assert main([*words.split(), str(out)]) == 0
        with np.load(out) as arrays:
            assert set(arrays) >= {"step", "time", "x", "v"}
            assert arrays["x"].shape == arrays["v"].shape == (9, 1000, 3)
            assert arrays["x"].dtype == arrays["v"].dtype == np.float32
            assert arrays["step"].tolist() == list(range(0, 41, 5))
        assert [path.name for path in tmp_path.iterdir()] == ["jelly.npz"]

    def test_velocity_and_spin(self, tmp_path: Path) -> None:
        out = tmp_path / "sand.npz"
        words = "run nclaw --material sand --velocity 1.1,-0.7,1.9 --spin -1.3,2.0,0.6 --steps 5"
        assert main([*words.split(), "--every", "5", "--out", str(out)]) == 0
        v = Trajectory.load(out).v
        assert v is not None
        torch.testing.assert_close(v[0].mean(0), torch.tensor([1.1, -0.7, 1.9]), rtol=0, atol=1e-5)

    def test_agrees_with_the_published_run(
        self, tmp_path: Path, reference_data: Callable[[str], Path]
    ) -> None:
        published = np.load(reference_data("nclaw/jelly.npz"))
        out = tmp_path / "jelly.npz"
        assert main(["run", "nclaw", "--steps", "100", "--every", "5", "--out", str(out)]) == 0
        assert np.abs(np.load(out)["x"] - published["x"][:21]).max() < 2e-5

    def test_options_fields_and_summary(self, small: str, tmp_path: Path) -> None:
        out, summary = tmp_path / "a.vtkhdf", tmp_path / "a.json"
        words = ["--velocity", "-1,0,0", "--spinning", "--fields", "v,F", "--frames", "4"]
        more = ["--steps", "20", "--out", out, "--json", summary, "--check", "--cell", "0.05"]
        assert main(["run", small, *words, *map(str, more)]) == 0
        seen = Trajectory.load(out)
        assert len(seen) == 5
        assert set(seen.fields) == {"F"}
        assert float(seen.x[-1, :, 0].mean()) < float(seen.x[0, :, 0].mean())
        assert json.loads(seen.metadata["domain"]) == [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
        told = json.loads(summary.read_text())
        assert told["steps"] == 20
        assert told["particles"] == seen.particles
        assert told["options"]["spinning"] == "True"

    def test_stated_points_are_as_many_as_meant(self) -> None:
        few = "cube has 0.1 particles a cell"
        for words, warned in (([], False), (["--cell", "0.025"], True)):
            command = process("run", "nclaw", "--steps", "1", *words)
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0
            assert ("particles a cell" in done.stderr) == (few in done.stderr) == warned

    def test_duration(self, small: str, tmp_path: Path) -> None:
        out = tmp_path / "a.npz"
        assert main(["run", small, "--duration", "0.05", "--every", "10", "--out", str(out)]) == 0
        assert float(Trajectory.load(out).time[-1]) == pytest.approx(0.05)

    def test_a_law_from_a_file(self, small: str, tmp_path: Path) -> None:
        law, out = tmp_path / "law.safetensors", tmp_path / "a.npz"
        Corotated(1e4, 0.1).save(law)
        for words in (["--law", str(law)], []):
            more = [*words, "--out", str(out), "--force"]
            assert main(["run", small, "--steps", "60", *more]) == 0
            x = Trajectory.load(out).x
            if words:
                with_law = x
        assert not torch.equal(with_law, x)  # pyright: ignore[reportPossiblyUnboundVariable]

    @pytest.mark.parametrize("precision", ["float32", "float64"])
    @pytest.mark.parametrize("learned", [False, True])
    def test_precision(self, small: str, tmp_path: Path, precision: str, learned: bool) -> None:
        law = tmp_path / "law.safetensors"
        (InvariantSmooth(4e4, seed=3) if learned else Corotated(1e4, 0.1)).save(law)
        words = ["--steps", "5", "--precision", precision, "--law", str(law)]
        assert main(["run", small, *words]) == 0

    def test_a_failing_check(self, small: str, refuse: Callable[..., str]) -> None:
        said = refuse("run", small, "--young", "2e5", "--steps", "5", "--check", code=1)
        assert said == "the cube is too stiff, 200000 Pa"

    def test_lines_on_a_pipe(self, small: str) -> None:
        done = subprocess.run(process("run", small), capture_output=True, text=True)
        assert done.returncode == 0
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert lines[0].startswith(
            "small: 216 particles (corotated) in 0.25 x 0.25 x 0.25 m, 200 steps of 1 ms"
        )
        assert "200 steps in" in lines[-1]


class TestOverwriting:
    """A run replaces an earlier one only if told to."""

    def test_a_finished_run(
        self, small: str, tmp_path: Path, refuse: Callable[..., str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        out = tmp_path / "a.npz"
        run = ["run", small, "--every", "4", "--out", str(out)]
        assert main([*run, "--steps", "20"]) == 0
        capsys.readouterr()
        before = out.read_bytes()
        said = refuse(*run, "--steps", "8")
        assert said == f"{out} is there already: add --force to replace it, or choose another name"
        assert "expected one of them" in refuse(*run, "--steps", "8", "--force", "--resume")
        assert out.read_bytes() == before
        assert main([*run, "--steps", "8", "--force"]) == 0
        assert len(Trajectory.load(out)) == 3

    @pytest.mark.parametrize("ending", ["npz", "vtkhdf"])
    def test_a_stopped_run(
        self, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str], refuse: Callable[..., str], ending: str,
    ) -> None:  # fmt: skip
        out = tmp_path / f"a.{ending}"
        run = ["run", small, "--steps", "40", "--every", "4", "--out", str(out)]
        TestResume.interrupt_at_frame(monkeypatch, 3)
        assert main(run) == 130
        monkeypatch.undo()
        capsys.readouterr()
        assert "add --resume to go on with it, or --force to start afresh" in refuse(*run)
        assert main([*run, "--force"]) == 0
        assert len(Trajectory.load(out)) == 11
        beside = {"small.py", "__pycache__"}
        assert {path.name for path in tmp_path.iterdir()} - beside == {out.name}


class TestProgress:
    """Lines on a pipe, and rates that leave out what it takes to start."""

    def test_lines_on_a_pipe(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from rheograd.scenes import progress

        monkeypatch.setattr(progress, "INTERVAL", 0.0)
        moments = iter([0.0, 100.0, 200.0, 202.0])
        monkeypatch.setattr(progress.time, "monotonic", lambda: next(moments))
        with progress.Progress("a", 8) as shown:
            shown.to(0)
            shown.to(2)
            shown.to(4)
        assert capsys.readouterr().err.splitlines() == [
            "a: 0 of 8 steps, 0 %", "a: 2 of 8 steps, 25 %",
            "a: 4 of 8 steps, 50 %, 1 steps/s, 4 s left",
        ]  # fmt: skip

    def test_percents_are_not_told_twice(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from rheograd.scenes import progress

        monkeypatch.setattr(progress, "INTERVAL", 0.0)
        with progress.Progress("a", 100, unit="%") as shown:
            shown.to(15)
        assert capsys.readouterr().err == "a: 15 %\n"

    def test_the_reason_for_a_wait_is_told(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from rheograd.scenes import progress

        monkeypatch.setattr(progress, "PATIENCE", 0.01)
        with progress.Progress("a", 8, done=2, reason="slow to start") as shown:
            shown.to(2)
            time.sleep(0.2)
            shown.to(3)
        assert capsys.readouterr().err == "slow to start\n"

    def test_the_rate_of_a_run(
        self, small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        summary = tmp_path / "a.json"
        run = ["run", small, "--steps", "40", "--json", str(summary), "--every"]
        assert main([*run, "4"]) == 0
        assert "steps/s once under way" in capsys.readouterr().err
        told = json.loads(summary.read_text())
        assert told["steps_per_second"] > 0.9 * 36 / told["wall_seconds"]
        assert main([*run, "40"]) == 0
        assert "steps/s, the start included" in capsys.readouterr().err
        assert json.loads(summary.read_text())["steps_per_second"] is None


class TestFailure:
    """A run that goes wrong ends with 1 and keeps its frames."""

    def test_a_run_that_explodes(
        self, small: str, tmp_path: Path, refuse: Callable[..., str]
    ) -> None:
        out = tmp_path / "a.npz"
        fast = ["--velocity", "200,0,0", "--steps", "60", "--every", "1"]
        said = refuse("run", small, *fast, "--dt", "4e-3", "--out", out, code=1)
        assert "at step" in said or "after step" in said
        assert len(Trajectory.load(out)) >= 1
        assert not state_path(out).exists()

    def test_debug_shows_the_traceback(
        self, small: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["run", small, "--dt", "1", "--debug"]) == 2
        assert "Traceback" in capsys.readouterr().err


class TestResume:
    """A run that was stopped goes on to the same bits."""

    WORDS = ("--steps", "200", "--every", "4", "--fields", "v,F")

    @pytest.mark.parametrize("ending", ["npz", "vtkhdf"])
    @pytest.mark.parametrize("learned", [False, True])
    def test_interrupted(
        self, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str], ending: str, learned: bool,
    ) -> None:  # fmt: skip
        words = list(self.WORDS)
        if learned:
            InvariantSmooth(4e4, seed=3).save(tmp_path / "law.safetensors")
            words += ["--law", str(tmp_path / "law.safetensors")]
        whole, broken = tmp_path / f"whole.{ending}", tmp_path / f"broken.{ending}"
        assert main(["run", small, *words, "--out", str(whole)]) == 0
        for stop in (3, 20):
            self.interrupt_at_frame(monkeypatch, stop)
            resume = ["--resume"] if stop > 3 else []
            assert main(["run", small, *words, "--out", str(broken), *resume]) == 130
            monkeypatch.undo()
            said = capsys.readouterr().err
            assert "--resume goes on" in said
            assert len(Trajectory.load(broken)) > stop
        assert main(["run", small, *words, "--out", str(broken), "--resume"]) == 0
        a, b = Trajectory.load(whole), Trajectory.load(broken)
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.fields["F"], b.fields["F"])
        assert torch.equal(a.time, b.time)
        assert not state_path(broken).exists()
        assert main(["run", small, *words, "--out", str(broken), "--resume"]) == 0
        assert "is complete" in capsys.readouterr().err

    @staticmethod
    def interrupt_at_frame(monkeypatch: pytest.MonkeyPatch, stop: int) -> None:
        from rheograd.scenes.recording import Recording

        write = Recording.__call__

        def stopping(self: Recording, state: Any) -> None:
            write(self, state)
            if self.frames > stop:
                raise KeyboardInterrupt

        monkeypatch.setattr(Recording, "__call__", stopping)

    @pytest.mark.parametrize("ending", ["npz", "vtkhdf"])
    def test_killed(self, tmp_path: Path, small: str, ending: str) -> None:
        words = ["run", small, "--steps", "1000", "--every", "2", "--cell", "0.05"]
        whole, broken = tmp_path / f"whole.{ending}", tmp_path / f"broken.{ending}"
        growing = partial(broken) if ending == "npz" else broken
        command = process(*words, "--out", broken, pause=0.1)
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as child:
            self.wait_for(state_path(broken), child)
            os.kill(child.pid, signal.SIGKILL)
        frames = len(open_trajectory(growing))
        assert 0 < frames < 501
        # VTK counts a frame a moment before its time is written; the kill may fall in between
        assert self.opens_in_pyvista(growing) - frames in (0, 1)
        assert main([*words, "--out", str(broken), "--resume"]) == 0
        assert main([*words, "--out", str(whole)]) == 0
        a, b = Trajectory.load(whole), Trajectory.load(broken)
        assert len(a) == len(b) == 501
        assert torch.equal(a.x, b.x)

    @staticmethod
    def wait_for(path: Path, child: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + 120
        while not path.exists():
            assert child.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < end, f"no {path}"
            time.sleep(0.02)

    @staticmethod
    def opens_in_pyvista(path: Path) -> int:
        pyvista = pytest.importorskip("pyvista")
        reader = pyvista.get_reader(str(path))
        reader.reader.UpdateInformation()
        frames = reader.reader.GetNumberOfSteps()
        reader.reader.SetStep(frames - 1)
        reader.reader.UpdateInformation()
        assert reader.read().n_points > 0
        return frames

    def test_other_options_are_refused(
        self, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str], refuse: Callable[..., str],
    ) -> None:  # fmt: skip
        out = tmp_path / "a.npz"
        self.interrupt_at_frame(monkeypatch, 3)
        assert main(["run", small, *self.WORDS, "--out", str(out)]) == 130
        monkeypatch.undo()
        capsys.readouterr()
        stiff = ["--young", "5e4"]
        said = refuse("run", small, *self.WORDS, *stiff, "--out", out, "--resume")
        assert "--young unset" in said
        assert "got 50000.0" in said

    def test_a_finished_shorter_run_is_not_continued(
        self, small: str, tmp_path: Path, refuse: Callable[..., str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        out = tmp_path / "a.npz"
        assert main(["run", small, "--steps", "20", "--every", "4", "--out", str(out)]) == 0
        capsys.readouterr()
        longer = ["--steps", "40", "--every", "4"]
        said = refuse("run", small, *longer, "--out", out, "--resume")
        assert "ended at step 20" in said

    def test_nothing_to_resume_is_a_start(self, small: str, tmp_path: Path) -> None:
        out = tmp_path / "a.npz"
        assert main(["run", small, "--steps", "20", "--out", str(out), "--resume"]) == 0
        assert out.exists()
