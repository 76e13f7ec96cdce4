# SPDX-License-Identifier: Apache-2.0
"""The command line: its words, help and options, and how it refuses bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rheograd.materials.elastic import Corotated
from rheograd.scenes.cli import commands, main
from rheograd.scenes.options import Parser, join_negative, parameters

pytestmark = pytest.mark.filterwarnings("ignore:.*particles a cell")


class TestHelp:
    """Help of the whole and of each part."""

    def test_overview(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--help"]) == 0
        said = capsys.readouterr().out
        for command in commands():
            assert f"\n  {command}  " in said

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


class TestView:
    """Pictures from the command line; the viewer has tests of its own."""

    def test_screenshot_and_movie(
        self, small: str, tmp_path: Path, refuse: Callable[..., str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
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
        drawn = picture.read_bytes(), movie.read_bytes()
        capsys.readouterr()
        said = refuse("view", *runs, *words)
        assert f"{picture} is there already: add --force" in said
        assert (picture.read_bytes(), movie.read_bytes()) == drawn
        assert main(["view", *map(str, runs), *map(str, words), "--force"]) == 0


def test_bench_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rheograd.scenes.commands import bench

    monkeypatch.setattr(bench, "CASES", (bench.jelly_step, bench.jelly_gradient))
    out = tmp_path / "bench.json"
    assert main(["bench", "--repeats", "1", "--json", str(out)]) == 0
    told = json.loads(out.read_text())
    assert {"date", "machine", "versions", "results"} <= set(told)
    assert all(row["cpu_ms"] > 0 and row["wall_ms"] > 0 for row in told["results"])


class TestBadInput:
    """Each is one clear sentence and exit code 2."""

    def test_words(self, refuse: Callable[..., str]) -> None:
        assert "did you mean run?" in refuse("rum")
        assert "did you mean sand_column?" in refuse("run", "sand_colum")
        assert "did you mean --material?" in refuse("run", "nclaw", "--materail", "sand")
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
        assert "did you mean sand?" in refuse("run", "nclaw", "--material", "sadn")

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
