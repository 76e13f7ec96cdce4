# SPDX-License-Identifier: Apache-2.0
"""The command line: what it does, what it leaves after a kill, and how it refuses bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rheograd.engine.trajectory import Trajectory, open_trajectory, partial
from rheograd.materials.elastic import Corotated
from rheograd.materials.invariant import InvariantSmooth
from rheograd.scenes.cli import main
from rheograd.scenes.options import Parser, join_negative, parameters
from rheograd.scenes.recording import state_path

pytestmark = pytest.mark.filterwarnings("ignore:.*particles a cell")

SMALL = '''
"""A small cube that falls."""

from typing import Literal

from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.materials.elastic import Corotated


def build(
    law=None,
    *,
    velocity: tuple[float, float, float] = (0.0, -1.0, 0.0),
    young: float = 4e4,
    grip: Literal["loose", "firm"] = "loose",
    bodies: int = 1,
    spinning: bool = False,
    name: str | None = None,
):
    """The scene.

    Args:
        law: Of the cube.
        velocity: Of its centre [m/s].
        young: Young's modulus [Pa], given on
            two lines.
    """
    cube = Box((0.3, 0.3, 0.3), (0.5, 0.3, 0.5))
    body = Body(cube, law or Corotated(young, 0.3), 1e3, velocity, (0, 0, 9.0 * spinning))
    return Scene([body] * bodies, duration=0.2, name="small")


def solver():
    return MPMSolver(0.1, 1e-3)


def check(trajectory, *, young=4e4):
    assert young < 1e5, f"the cube is too stiff, {young:g} Pa"
'''


@pytest.fixture
def small(tmp_path: Path) -> str:
    """A scene of one's own that takes milliseconds."""
    path = tmp_path / "small.py"
    path.write_text(SMALL)
    return str(path)


@pytest.fixture
def refuse(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must end with 2 (or `code`), and give its one sentence."""

    def run(*words: object, code: int = 2) -> str:
        status = main([str(word) for word in words])
        said = capsys.readouterr()
        assert status == code, said.err
        lines = [n for n in said.err.splitlines() if not n.startswith(("warning:", "small:"))]
        assert len(lines) == 1, said.err
        assert lines[0].startswith("error: ")
        return lines[0].removeprefix("error: ")

    return run


def process(*words: object, pause: float = 1.0) -> list[str]:
    """The same command line as a process of its own; `pause` is that between saved states."""
    code = "import sys; from rheograd.scenes import cli, recording; recording.INTERVAL = "
    return [sys.executable, "-c", f"{code}{pause}; sys.exit(cli.main())", *map(str, words)]


class TestHelp:
    """Help of the whole and of each part."""

    def test_overview(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--help"]) == 0
        said = capsys.readouterr().out
        for command in ("run", "fit", "view", "bench"):
            assert f"\n  {command} " in said

    @pytest.mark.parametrize("command", ["run", "fit", "view", "bench"])
    def test_command(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([command, "--help"]) == 0
        assert f"usage: rheograd {command}" in capsys.readouterr().out

    def test_scene_options(self, small: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["run", small, "--help"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "--young X" in said
        assert "given on two lines (default: 40000)" in said
        assert "--spinning, --no-spinning" in said
        assert "--grip loose|firm" in said

    def test_nothing_asked(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([]) == 2
        assert "commands:" in capsys.readouterr().out

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--version"]) == 0
        assert capsys.readouterr().out.startswith("rheograd 0")


class TestOptions:
    """Parameters of build() by inspection."""

    def test_values_reach_build(self) -> None:
        def build(
            *, a: int = 1, b: float | None = None, c: tuple[float, float] = (0.0, 0.0),
            d: Path | None = None, e: tuple[int, ...] = (1, 2, 3),
        ) -> None:  # fmt: skip
            """Nothing."""

        parser = Parser(prog="test")
        for parameter in parameters(build):
            parameter.add_to(parser)
        words = ["--a", "-3", "--b", "-1e-3", "--c", "-.5,2", "--d", "x.npz", "--e", "-1,0,4"]
        found = vars(parser.read(words))
        assert found == {
            "scene_a": -3, "scene_b": -1e-3, "scene_c": (-0.5, 2.0), "scene_d": Path("x.npz"),
            "scene_e": (-1, 0, 4),
        }  # fmt: skip

    def test_negative_numbers_are_values(self) -> None:
        words = ["nclaw", "--spin", "-1.3,2.0,0.6", "--steps", "5", "--x=-1", "-5"]
        assert join_negative(words) == [
            "nclaw", "--spin=-1.3,2.0,0.6", "--steps", "5", "--x=-1", "-5",
        ]  # fmt: skip

    def test_unusable_parameter(self) -> None:
        def build(*, a: dict) -> None:
            """Nothing."""

        with pytest.raises(ValueError, match="annotate it"):
            parameters(build)


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

    def test_duration(self, small: str, tmp_path: Path) -> None:
        out = tmp_path / "a.npz"
        assert main(["run", small, "--duration", "0.05", "--every", "10", "--out", str(out)]) == 0
        assert float(Trajectory.load(out).time[-1]) == pytest.approx(0.05)

    def test_a_law_from_a_file(self, small: str, tmp_path: Path) -> None:
        law, out = tmp_path / "law.safetensors", tmp_path / "a.npz"
        Corotated(1e4, 0.1).save(law)
        for words in (["--law", str(law)], []):
            assert main(["run", small, "--steps", "60", *words, "--out", str(out)]) == 0
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
        assert lines[0].startswith("small: 216 particles (corotated), 200 steps of 1 ms")
        assert "200 steps in" in lines[-1]


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


class TestView:
    """Pictures from the command line; the viewer has tests of its own."""

    def test_screenshot_and_movie(self, small: str, tmp_path: Path) -> None:
        from rheograd.viewer.display import render_window

        if not render_window():
            pytest.skip("nothing can be drawn on this machine")
        runs = [tmp_path / "a.npz", tmp_path / "b.vtkhdf"]
        for out in runs:
            assert main(["run", small, "--steps", "8", "--every", "4", "--out", str(out)]) == 0
        picture, movie = tmp_path / "a.png", tmp_path / "a.mp4"
        words = [
            "--screenshot",
            picture,
            "--movie",
            movie,
            "--size",
            "320,240",
            "--colour",
            "speed",
        ]
        assert main(["view", *map(str, runs), *map(str, words)]) == 0
        assert picture.stat().st_size > 1000
        assert movie.stat().st_size > 1000


def test_bench_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rheograd.scenes.commands import bench

    monkeypatch.setattr(bench, "CASES", (bench.jelly_step, bench.jelly_gradient))
    out = tmp_path / "bench.json"
    assert main(["bench", "--repeats", "1", "--json", str(out)]) == 0
    told = json.loads(out.read_text())
    assert {"date", "machine", "versions", "results"} <= set(told)
    assert all(row["cpu_ms"] > 0 and row["wall_ms"] > 0 for row in told["results"])


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
        assert "expected one of them" in refuse(*start, "young", "--law", "invariant-full")
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
        assert "no trajectory file" in refuse("fit", small, tmp_path / "b.npz", *folder)
        assert "invariant-smooth" in refuse("fit", small, seen, "--law", "invariant", *folder)
        x = Trajectory.load(seen).window(0, 20)
        np.savez(tmp_path / "few.npz", time=x.time, x=x.x[:, :100])
        assert "100 particles" in refuse("fit", small, tmp_path / "few.npz", *folder)
        np.savez(tmp_path / "fast.npz", x=x.x)
        rate = ["--frame-rate", "333"]
        assert "does not divide the" in refuse("fit", small, tmp_path / "fast.npz", *rate, *folder)
        assert not (tmp_path / "fit").exists()


class TestBadInput:
    """Each is one clear sentence and exit code 2."""

    def test_words(self, refuse: Callable[..., str]) -> None:
        assert "did you mean 'run'" in refuse("rum")
        assert "did you mean 'sand_column'" in refuse("run", "sand_colum")
        assert "did you mean --material" in refuse("run", "nclaw", "--materail", "sand")
        assert "required: SCENE" in refuse("run")
        assert "unexpected argument 'twice'" in refuse("run", "nclaw", "twice")
        assert "expected 3 numbers" in refuse("run", "nclaw", "--spin", "1,2")
        assert "expected a number" in refuse("run", "drop", "--young", "stiff")
        assert "expected 1 or more" in refuse("run", "nclaw", "--steps", "0")
        assert "expected one of box, sphere" in refuse("run", "drop", "--shape", "donut")

    def test_unknown_material(self, refuse: Callable[..., str]) -> None:
        said = refuse("run", "nclaw", "--material", "jam")
        assert "jam" in said
        assert "jelly" in said

    def test_scene_files(self, tmp_path: Path, refuse: Callable[..., str]) -> None:
        assert "check the path" in refuse("run", tmp_path / "none.py")
        (tmp_path / "empty.py").write_text("x = 1\n")
        assert "no build() and no solver()" in refuse("run", tmp_path / "empty.py")
        (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
        assert "failed on import" in refuse("run", tmp_path / "broken.py")

    def test_densities(self, refuse: Callable[..., str]) -> None:
        for density in ("0", "-1000"):
            assert "must be positive" in refuse("run", "drop", "--density", density)

    def test_numerics(self, small: str, refuse: Callable[..., str]) -> None:
        assert "over the CFL limit" in refuse("run", "nclaw", "--dt", "0.1")
        assert "must be positive" in refuse("run", small, "--dt", "-1")
        assert "whole number of cells" in refuse("run", small, "--cell", "0.3")
        assert "expected one of float32" in refuse("run", small, "--precision", "half")
        assert "this machine has" in refuse("run", small, "--device", "cuda:99")
        assert "expected cpu, cuda" in refuse("run", small, "--device", "tpu")
        assert "expected one of them" in refuse("run", small, "--steps", "5", "--duration", "1")

    def test_particles_outside(self, refuse: Callable[..., str]) -> None:
        assert "outside the domain" in refuse("run", "drop", "--height", "5")

    def test_meshes(self, tmp_path: Path, refuse: Callable[..., str]) -> None:
        trimesh = pytest.importorskip("trimesh")
        ball = trimesh.creation.icosphere(radius=0.1)
        ball.update_faces(np.arange(len(ball.faces)) > 0)
        ball.export(tmp_path / "leaky.stl")
        assert "not watertight" in refuse("run", "drop", "--mesh", tmp_path / "leaky.stl")
        assert "no mesh file" in refuse("run", "drop", "--mesh", tmp_path / "none.stl")

    def test_laws(self, small: str, tmp_path: Path, refuse: Callable[..., str]) -> None:
        from safetensors.torch import save_file

        law = tmp_path / "law.safetensors"
        assert "no law" in refuse("run", small, "--law", law)
        save_file({"weight": torch.zeros(3)}, law)
        assert "another program" in refuse("run", small, "--law", law)
        Corotated(1e4, 0.1).save(law)
        law.write_bytes(law.read_bytes()[:-20])
        assert "not a whole" in refuse("run", small, "--law", law)

    def test_outputs(self, small: str, tmp_path: Path, refuse: Callable[..., str]) -> None:
        steps = ["--steps", "5"]
        assert "create it first" in refuse("run", small, *steps, "--out", tmp_path / "no" / "a.npz")
        assert "expected .npz or .vtkhdf" in refuse("run", small, *steps, "--out", "a.csv")
        assert "needs --out" in refuse("run", small, "--resume")
        assert "expected some of" in refuse("run", small, "--fields", "v,J")

    def test_trajectories(self, tmp_path: Path, refuse: Callable[..., str]) -> None:
        picture = ["--screenshot", tmp_path / "a.png"]
        assert "no trajectory file" in refuse("view", tmp_path / "none.npz", *picture)
        times, x = np.arange(3) * 0.1, np.random.default_rng(0).random((3, 5, 3))
        cases: dict[str, tuple[dict[str, Any], str]] = {
            "nan": ({"time": times, "x": np.where(x < 0.1, np.nan, x)}, "not finite"),
            "flat": ({"time": times, "x": x[..., 0]}, "expected floats of shape"),
            "times": ({"time": times[:2], "x": x}, "time has shape"),
            "none": ({"time": times}, "no array 'x'"),
            "rate": ({"x": x}, "--frame-rate"),
        }
        for name, (arrays, expected) in cases.items():
            path = tmp_path / f"{name}.npz"
            np.savez(path, **arrays)
            assert expected in refuse("view", path, *picture)
        (tmp_path / "cut.npz").write_bytes((tmp_path / "rate.npz").read_bytes()[:200])
        assert "not a readable .npz" in refuse("view", tmp_path / "cut.npz", *picture)
        np.savez(tmp_path / "good.npz", time=times, x=x)
        assert "expected one of" in refuse(
            "view", tmp_path / "good.npz", *picture, "--colour", "taste"
        )
