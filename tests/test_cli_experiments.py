# SPDX-License-Identifier: Apache-2.0
"""Fits to several files and to a .toml of experiments, from the command line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_experiments import SIZE, SOLVER, build, front, motion, seen_by, side

from rheograd.engine.fit import identify
from rheograd.engine.moving_surface import MovingSurface
from rheograd.engine.observations.silhouettes import Silhouettes
from rheograd.engine.simulate import simulate
from rheograd.engine.vision.camera_files import save_camera
from rheograd.engine.vision.tracks import Tracks
from rheograd.engine.vision.video import VideoWriter
from rheograd.scenes.cli import main

ACROSS = (-0.4, -2.6, 0.3)
SCRIPT = """
from dataclasses import replace
import test_experiments
def build(law=None, *, young=2.3e4, velocity=(0.5, -3.0, 0.0)):
    scene = test_experiments.build(young=young, velocity=velocity)
    bodies = [replace(scene.bodies[0], law=law or scene.bodies[0].law)]
    return replace(scene, bodies=bodies, name="thrown")
def solver():
    return test_experiments.SOLVER
"""


@pytest.fixture
def thrown(tmp_path: Path) -> Path:
    """A scene's file, two tracks of one motion and one of another beside it."""
    (tmp_path / "thrown.py").write_text(SCRIPT)
    for name, camera, run in (
        ("front", front(), motion(young=2e4)),
        ("side", side(), motion(young=2e4)),
        ("across", front(), motion(young=2e4, velocity=ACROSS)),
    ):
        seen_by(camera, run).tracks.save(tmp_path / f"{name}.npz")
        save_camera(camera, tmp_path / f"{name}.toml")
    return tmp_path / "thrown.py"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().err


def young(folder: Path) -> float:
    (row,) = json.loads((folder / "report.json").read_text())["parameters"]
    assert row["low95"] < row["value"] < row["high95"]
    return row["value"]


def test_two_cameras_of_one_motion(thrown: Path, said: Callable[[], str]) -> None:
    out = thrown.parent / "fit"
    files = [str(thrown.with_name(f"{n}.npz")) for n in ("front", "side")]
    fit = ["fit", str(thrown), *files, "--parameters", "young", "--out", str(out)]
    assert main([*fit, "--noise", "0.1", "--epochs", "6"]) == 0
    assert "young: 20" in said()
    assert young(out) == pytest.approx(2e4, rel=2e-3)
    report = json.loads((out / "report.json").read_text())
    assert [e["name"] for e in report["errors"]] == ["reconstruction", "with the held-out tail"]
    assert len(report["pictures"]) == 2 and all(
        Path(p).is_file() for p in report["pictures"].values()
    )
    assert (out / "seen-with-the-held-out-tail-camera-2.mp4").is_file()


def test_two_motions_from_a_file_of_experiments(thrown: Path, said: Callable[[], str]) -> None:
    toml = thrown.with_name("throws.toml")
    toml.write_text(
        '[[experiment]]\nname = "down"\n[[experiment.see]]\nfile = "front.npz"\nnoise = 0.1\n'
        '[[experiment.see]]\nfile = "side.npz"\ncamera = "side.toml"\nnoise = 0.2\n'
        f'[[experiment]]\nname = "across"\noptions = {{ velocity = {list(ACROSS)} }}\n'
        '[[experiment.see]]\nfile = "across.npz"\nnoise = 0.1\n'
    )
    out = thrown.parent / "fit"
    fit = ["fit", str(thrown), str(toml), "--parameters", "young", "--out", str(out)]
    assert main([*fit, "--epochs", "6", "--hold-out", "0.3"]) == 0
    assert "side.npz: " in said()
    assert young(out) == pytest.approx(2e4, rel=2e-3)
    report = json.loads((out / "report.json").read_text())
    settings, errors = report["settings"], report["errors"]
    assert settings["law"] == "neo-hookean" and settings["noise of a coordinate"] == (
        "0.1 px (stated), 0.2 px (stated)"
    )
    assert settings["velocity, held"] == (
        f"down: (0.5, -3.0, 0.0) m/s; across: {tuple(ACROSS)} m/s"
    )
    assert settings["cameras"].startswith("as front.npz tells, ")
    assert "side.toml" in settings["cameras"] and "young, held" not in settings
    assert any("the film made of the tracks is not there" in note for note in report["notes"])
    page = (out / "report.html").read_text()
    assert "fitted to the motions in throws.toml" in page and "velocity, held" in page
    assert [(e["name"], e["trained"]) for e in errors] == [
        ("down: reconstruction", True), ("down: with the held-out tail", False),
        ("across: reconstruction", True), ("across: with the held-out tail", False),
    ]  # fmt: skip


def test_a_video_of_masks(thrown: Path) -> None:
    """What the simulated cover says is written as a video, and fitted to."""
    run = simulate(build(young=2e4), SOLVER, steps=200, every=40)
    blank = [np.ones(SIZE[::-1], bool)] * len(run.time)
    bound = Silhouettes.bind(
        blank, run.time.numpy(), MovingSurface.of(run), run.x[0], camera=front(), lines=SIZE[1]
    )  # fmt: skip
    with VideoWriter(thrown.with_name("mask.mp4"), SIZE, 1 / 0.02, crf=0) as film:
        for cover in bound.cover(run):
            film.write(np.repeat(255 * (cover.numpy() > 0.5).astype(np.uint8)[..., None], 3, -1))
    out = thrown.parent / "fit"
    fit = ["fit", str(thrown), str(thrown.with_name("mask.mp4")), "--parameters", "young"]
    assert main([*fit, "--out", str(out)]) == 2
    camera = ["--camera", str(thrown.with_name("front.toml"))]
    assert main([*fit, *camera, "--out", str(out), "--epochs", "8"]) == 0
    assert young(out) == pytest.approx(2e4, rel=0.03)


def test_point_clouds(thrown: Path) -> None:
    run = motion(young=2e4)
    points = MovingSurface.of(run).vertices(run.x).numpy()
    np.savez(thrown.with_name("clouds.npz"), points=1e3 * points, time=run.time.numpy())
    out = thrown.parent / "fit"
    fit = ["fit", str(thrown), str(thrown.with_name("clouds.npz")), "--parameters", "young"]
    assert main([*fit, "--units", "mm", "--out", str(out), "--epochs", "8"]) == 0
    assert young(out) == pytest.approx(2e4, rel=5e-3)
    assert main([*fit, "--units", "ell", "--out", str(out / "b")]) == 2


def test_refusals(thrown: Path, said: Callable[[], str]) -> None:
    toml = thrown.with_name("bad.toml")

    def refused(text: str, *more: str) -> str:
        toml.write_text(text)
        out = ["--out", str(thrown.parent / "none")]
        assert main(["fit", str(thrown), str(toml), "--parameters", "young", *out, *more]) == 2
        assert not (thrown.parent / "none").exists()
        return said()

    see = '[[experiment.see]]\nfile = "front.npz"\n'
    assert "is not TOML" in refused("[[")
    assert "has no [[experiment]]" in refused("")
    assert "has 'sea' (did you mean see?)" in refused("[[experiment]]\nsea = 1\n")
    assert "has no [[experiment.see]]" in refused("[[experiment]]\n")
    assert "did you mean velocity" in refused(f"[[experiment]]\noptions = {{ velocty = 1 }}\n{see}")
    assert "no such file" in refused('[[experiment]]\n[[experiment.see]]\nfile = "gone.npz"\n')
    assert "say it in that file" in refused(f"[[experiment]]\n{see}", "--noise", "0.1")
    assert "has no file" in refused("[[experiment]]\n[[experiment.see]]\nnoise = 0.1\n")
    both = f"[[experiment]]\nname = 'a'\n{see}[[experiment]]\nname = 'a'\n{see}"
    assert "two experiments are called 'a'" in refused(both)
    assert "hold_out is a share" in refused(f"[[experiment]]\n{see}", "--hold-out", "1.5")
    for noise in ("0", "-1.0", "true"):
        assert "front.npz: got a noise of" in refused(f"[[experiment]]\n{see}noise = {noise}\n")
    absent = refused(f"[[experiment]]\n{see}", "--parameters", "young,velocity.x@a")
    assert "velocity.x@a is of the experiment 'a', which there is not: there are bad" in absent


def test_refusals_of_the_command_line(thrown: Path, said: Callable[[], str]) -> None:
    fit = ["fit", str(thrown), str(thrown.with_name("front.npz")), "--parameters"]
    out = ["--out", str(thrown.parent / "none")]
    assert main([*fit, "young", *out, "--noise", "0"]) == 2
    assert "got a noise of 0.0, expected a number above 0" in said()
    assert main([*fit, "young=-5", *out]) == 2
    assert "young: got a start of -5, expected more than 1 Pa" in said()
    assert main([*fit, "young", "--out", str(thrown)]) == 2
    assert "thrown.py is a file, expected a folder" in said()
    assert not (thrown.parent / "none").exists()


def test_a_run_tells_how_its_scene_was_made(tmp_path: Path, said: Callable[[], str]) -> None:
    """Its initial velocity is taken from its file, unless it is given."""
    run = ["run", "drop", "--steps", "20", "--every", "2", "--cell", "0.1", "--young", "3e4"]
    assert main([*run, "--velocity", "0.5,0,0", "--out", str(tmp_path / "a.npz")]) == 0
    assert main([*run, "--velocity", "0,0,0.5", "--out", str(tmp_path / "b.npz")]) == 0
    said()
    fit = ["fit", "drop", str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "--cell", "0.1"]
    assert main([*fit, "--parameters", "velocity.y=-0.1", "--out", str(tmp_path / "f")]) == 0
    assert "a was made with --young 30000.0 --velocity 0.5,0.0,0.0: so is its scene" in said()
    config = json.loads((tmp_path / "f" / "config.json").read_text())
    assert [e["given"]["velocity"] for e in config["experiments"]] == [
        "(0.5, 0.0, 0.0)", "(0.0, 0.0, 0.5)",
    ]  # fmt: skip
    fit = [*fit, "--parameters", "young=2e4", "--velocity", "0,0,0", "--epochs", "1"]
    assert main([*fit, "--out", str(tmp_path / "g")]) == 0
    assert "was made with" not in said()
    config = json.loads((tmp_path / "g" / "config.json").read_text())
    assert [e["given"] for e in config["experiments"]] == [{"velocity": "(0.0, 0.0, 0.0)"}] * 2


def test_options_come_from_the_command_line_then_the_toml_then_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a run of another scene are not taken."""
    run = ["run", "drop", "--steps", "4", "--every", "2", "--cell", "0.1", "--young", "3e4"]
    assert main([*run, "--velocity", "0.5,0,0", "--out", str(tmp_path / "a.npz")]) == 0
    toml = tmp_path / "a.toml"
    toml.write_text(
        "[[experiment]]\noptions = { velocity = [0.0, 0.0, 0.3], density = 900.0 }\n"
        '[[experiment.see]]\nfile = "a.npz"\n'
    )
    (tmp_path / "other.py").write_text("from rheograd.scenes.drop import build, solver\n")
    given: list[Any] = []

    def fitted(build: Any, solver: Any, seen: Any, *more: Any, **others: Any) -> None:
        given.extend(e.given for e in seen)
        raise ValueError("that is enough")

    monkeypatch.setattr(identify, "identify", fitted)
    for scene in ("drop", str(tmp_path / "other.py")):
        fit = ["fit", scene, str(toml), "--parameters", "velocity.y=-0.1", "--density", "800"]
        assert main([*fit, "--cell", "0.1", "--out", str(tmp_path / "f")]) == 2
    assert given[1] == {"velocity": (0.0, 0.0, 0.3), "density": 800.0}
    assert given[0] == {**given[1], "young": 3e4}


def test_tracks_of_a_wrong_law_are_told(thrown: Path, said: Callable[[], str]) -> None:
    tracks = Tracks.load(thrown.with_name("front.npz"))
    shift = np.linspace(0.0, 8.0, len(tracks.time))[:, None, None] * np.array([1.0, 0.0])
    replace(tracks, pixels=tracks.pixels + shift).save(thrown.with_name("slid.npz"))
    fit = ["fit", str(thrown), str(thrown.with_name("slid.npz")), "--parameters", "young"]
    out = ["--out", str(thrown.parent / "fit"), "--noise", "0.1", "--epochs", "3"]
    assert main([*fit, *out]) == 0
    told = said()
    assert "times the noise of 0.1 px (stated) a coordinate" in told
    assert "the law or the scene is not that of what was seen" in told
    assert "which does not hold" in told
    assert torch.isfinite(torch.tensor(young(thrown.parent / "fit")))
    report = json.loads((thrown.parent / "fit" / "report.json").read_text())
    (caption,) = report["pictures"]
    off = report["errors"][1]["rms_distance_px"]
    assert report["excess_over_noise"] > 3.0
    assert any("bands do not hold" in warning for warning in report["warnings"])
    assert caption.startswith("with the held-out tail: tracked (rings) and simulated (crosses)")
    assert caption.endswith(f", {off:.2g} px apart (RMS)")
