# SPDX-License-Identifier: Apache-2.0
"""From a data set to a preview by command: what is written, said and refused, how it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import SMALL
from processes import ends, start
from safetensors.torch import load_file

from rheograd.engine.reduced import ReducedSolver, reduction
from rheograd.engine.reduced.operator import ReducedOperator
from rheograd.engine.reduced.training import Training
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.learned.invariant import InvariantSmooth
from rheograd.scenes import drop
from rheograd.scenes.cli import main
from rheograd.scenes.recording import Recording

Refuse = Callable[..., str]
pytestmark = pytest.mark.filterwarnings("ignore:.*; take the motion with care")
"""Runs here are longer than the motions of the data."""


@pytest.fixture
def untaught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the way to the full order, which takes seconds and has tests of its own."""
    monkeypatch.setattr(reduction, "teach", lambda *_, **__: None)


def of_step(path: Path) -> dict[str, torch.Tensor]:
    """What was learned of the time step."""
    return {k: t for k, t in load_file(path).items() if k.startswith("stepper.")}


def same(a: Path, b: Path) -> bool:
    first, second = of_step(a), of_step(b)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_the_commands_of_the_guide(
    tiny_operator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A data set and an operator are made by the fixtures; then a preview of 2000 points."""
    out, summary = tmp_path / "preview.vtkhdf", tmp_path / "a.json"
    words = ["--points", "2000", "--sparse", "60", "--out", out, "--json", summary]
    assert main(["run", "drop", "--reduced", str(tiny_operator), *map(str, words)]) == 0
    said = capsys.readouterr().err
    seen = Trajectory.load(out)
    assert f"drop: {seen.particles} points that follow 60 sparse ones (neo-hookean)" in said.lower()
    assert seen.particles == pytest.approx(2000, rel=0.2)
    assert len(seen) == 31 and seen.v is not None and bool(seen.x.isfinite().all())
    torch.testing.assert_close(seen.time, 0.02 * torch.arange(31.0).double())
    assert float(seen.x.min()) > 0.0 and float(seen.x.max()) < 1.0
    size = ReducedSolver.load(tiny_operator).discretize(drop.build()).full.x0
    across = " x ".join(f"{metres:.3g}" for metres in (size.amax(0) - size.amin(0)).tolist())
    assert f" in {across} m, 30 steps" in said, "of the body, not of the points"
    told = json.loads(summary.read_text())
    assert told["dt"] == pytest.approx(0.02) and told["steps"] == 30
    assert told["particles"] == seen.particles and told["sparse_points"] == 60
    assert told["operator_errors"].keys() == ReducedOperator.load(tiny_operator).errors.keys()
    # in free flight it follows the parabola of the particles
    t = seen.time[:5]
    fallen = seen.x[:5, :, 1].double().mean(1) - seen.x[0, :, 1].double().mean()
    assert float((fallen + 0.5 * 9.81 * t**2).abs().max()) < 5e-3


def test_what_there_is_not_is_told(
    tiny_operator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """More frames than steps, more sparse points than particles; and that it learned nothing."""
    operator = ReducedOperator.load(tiny_operator)
    operator.errors |= {"validation": 0.7, "validation constant acceleration": 0.6}
    operator.errors |= {"test seen geometry": 0.1, "test seen geometry constant acceleration": 0.2}
    operator.save(tmp_path / "a.safetensors")
    words = ["--steps", "4", "--frames", "500", "--sparse", "100000"]
    assert main(["run", "drop", "--reduced", str(tmp_path / "a.safetensors"), *words]) == 0
    said = capsys.readouterr().err
    assert "--frames 500: there are 4 steps, so there are 4 frames after the first" in said
    assert "--sparse 100000: the operator starts from 512 particles" in said
    assert (
        "warning: the operator is no better than a constant acceleration on motions of validation"
        " (70 % off, that is 60 % off): train longer (--epochs)" in said
    )


def test_fields_and_frames_of_a_preview(tiny_operator: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.npz"
    words = ["--sparse", "60", "--duration", "0.2", "--every", "5", "--fields", "v,F", "--check"]
    assert main(["run", "drop", "--reduced", str(tiny_operator), *words, "--out", str(out)]) == 0
    seen = Trajectory.load(out)
    assert len(seen) == 3 and set(seen.fields) == {"F"}
    assert float((seen.fields["F"][0] - torch.eye(3)).abs().max()) < 1e-5


def test_what_a_training_writes(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], untaught: None
) -> None:
    out, summary = tmp_path / "x.safetensors", tmp_path / "x.json"
    words = ["--size", "tiny", "--epochs", "1", "--out", out, "--json", summary, "--seed", "4"]
    assert main(["reduce", str(tiny_data), *map(str, words), "--resume"]) == 0
    said = capsys.readouterr()
    assert f"{tmp_path / 'x.training'} holds no training to go on with: it starts" in said.err
    doubt = ReducedOperator.load(out).doubt
    assert ("is no better than" in said.err) == bool(doubt) and doubt in said.err
    assert f"wrote {out}" in said.err and "in percent of the distance travelled" in said.out
    told, found = json.loads(summary.read_text()), ReducedOperator.load(out)
    assert told["errors"] == pytest.approx(found.errors)
    assert set(told["errors"]) == {
        "validation", "full order alone", "validation constant acceleration", "test seen geometry",
        "test seen geometry constant acceleration",
    }  # fmt: skip
    assert told["parameters"] == found.parameters_count == sum(
        p.numel() for p in found.parameters()
    )  # fmt: skip
    assert [m["epoch"] for m in told["epochs"]] == [0] and told["recipe"]["epochs"] == 1
    assert told["size"] == "tiny" and told["seed"] == 4 and told["trajectories"] == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "x.json", "x.safetensors", "x.training",
    ]  # fmt: skip
    assert sorted(p.name for p in (tmp_path / "x.training").iterdir()) == [
        "checkpoint.safetensors", "config.json", "metrics.jsonl",
    ]  # fmt: skip


def test_stopped_trainings_go_on(
    tiny_data: Path, tiny_operator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    refuse: Refuse, capsys: pytest.CaptureFixture[str], untaught: None,
) -> None:  # fmt: skip
    """To the same time step; not with other settings, nor over what is there."""
    out = tmp_path / "x.safetensors"
    words = ["reduce", tiny_data, "--size", "tiny", "--out", out]
    save = Training._save

    def stopping(work: Training, now: Any) -> None:
        save(work, now)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_save", stopping)
        assert main([str(w) for w in words]) == 130
    folder = tmp_path / "x.training"
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"stopped: after 1 of 2 epochs, which are in {folder}; --resume goes on"
    assert not out.exists()
    assert refuse(*words) == (
        f"{folder} holds a training of 2 epochs: --resume goes on with it, --force starts afresh"
    )
    said = refuse(*words, "--resume", "--epochs", "3")
    assert said.startswith(f"{folder} holds a training of 2 epochs, got 3: its rate falls over")
    assert said.endswith("another number is a training afresh: --force")
    assert "seed = 0, not 1" in refuse(*words, "--resume", "--seed", "1")
    assert "expected one of them" in refuse(*words, "--resume", "--force")
    assert main([*map(str, words), "--resume"]) == 0
    assert same(out, tiny_operator)
    capsys.readouterr()
    summary, written = tmp_path / "x.json", out.stat().st_mtime_ns
    assert main([*map(str, words), "--resume", "--json", str(summary)]) == 0
    said = capsys.readouterr()
    assert said.err == f"{out} is complete, of 2 epochs: --force trains it afresh\n"
    assert not said.out and out.stat().st_mtime_ns == written
    told = json.loads(summary.read_text())
    assert told["errors"] == ReducedOperator.load(out).plain_errors and len(told["epochs"]) == 2
    assert "add --force to replace it" in refuse(*words)
    assert main([*map(str, words), "--force", "--seed", "1", "--epochs", "1"]) == 0
    assert not same(out, tiny_operator)


PROGRAM = """
import sys
from rheograd.engine.reduced import reduction
from rheograd.scenes.cli import main
reduction.teach = lambda *_, **__: None
sys.exit(main(sys.argv[1:]))
"""


def test_several_processes_train_the_same(
    tiny_data: Path, tiny_operator: Path, tmp_path: Path
) -> None:
    program, out = tmp_path / "program.py", tmp_path / "x.safetensors"
    program.write_text(PROGRAM)
    words = ["reduce", str(tiny_data), "--size", "tiny", "--out", str(out)]
    first, second = ends(start(program, 2, words))
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert same(out, tiny_operator)
    assert f"wrote {out}" in first.err and "wrote" not in second.err
    assert "validation" in first.out and not second.out


def test_data_that_are_none_are_refused(tmp_path: Path, tiny_data: Path, refuse: Refuse) -> None:
    out = tmp_path / "x.safetensors"
    assert "it has no index.json" in refuse("reduce", tmp_path, "--out", out)
    assert "ends in .safetensors" in refuse("reduce", tiny_data, "--out", tmp_path / "x.pt")
    assert "no folder" in refuse("reduce", tiny_data, "--out", tmp_path / "none" / out.name)
    said = refuse("reduce", tiny_data, "--out", out, "--size", "smal")
    assert "small" in said and "published" in said
    assert list(tmp_path.iterdir()) == []


def test_operators_and_options_that_do_not_fit_are_refused(
    tiny_operator: Path, tmp_path: Path, refuse: Refuse
) -> None:
    law = tmp_path / "law.safetensors"
    InvariantSmooth().save(law)
    run = ("run", "drop", "--reduced")
    assert "expected 'rheograd-operator'" in refuse(*run, law)
    said = refuse("run", "drop", "--law", tiny_operator)
    assert said.endswith("is an operator of rheograd reduce, expected a law: give it by --reduced")
    assert "there is no operator at" in refuse(*run, tmp_path / "none.safetensors")
    assert "--points needs --reduced FILE" in refuse("run", "drop", "--points", 100)
    assert "--sparse needs --reduced FILE" in refuse("run", "drop", "--sparse", 100)
    assert "--insist needs --reduced FILE" in refuse("run", "drop", "--insist")
    for words in (("--cell", 0.1), ("--solver", "fe"), ("--mesh-size", 0.1)):
        assert f"{words[0]}: an operator moves points" in refuse(*run, tiny_operator, *words)
    assert "steps by 20 ms" in refuse(*run, tiny_operator, "--dt", 0.01)
    said = refuse(*run, tiny_operator, "--young", 5e5)
    assert "young of box is 5e+05, trained from" in said
    assert "trained on NeoHookean" in refuse(*run, tiny_operator, "--material", "sand")
    assert "its domain is" in refuse(*run, tiny_operator, "--room", 2.0)


@pytest.mark.filterwarnings("default:drop is outside")
def test_one_may_insist(
    tiny_operator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--sparse", "60", "--young", "2e5", "--steps", "7", "--insist"]
    assert main(["run", "drop", "--reduced", str(tiny_operator), *words]) == 0
    assert "warning: drop is outside of what the operator was trained" in capsys.readouterr().err


def test_a_stopped_preview_goes_on(
    tiny_operator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuse: Refuse,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """To the last bit, with the same operator and points only."""
    whole, broken = tmp_path / "whole.vtkhdf", tmp_path / "broken.vtkhdf"
    words = ["--reduced", str(tiny_operator), "--sparse", "60", "--every", "2", "--duration", "0.3"]
    write = Recording.__call__

    def stopping(recording: Recording, state: Any) -> None:
        write(recording, state)
        if recording.frames > 4:
            raise KeyboardInterrupt

    assert main(["run", "drop", *words, "--out", str(whole)]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Recording, "__call__", stopping)
        assert main(["run", "drop", *words, "--out", str(broken)]) == 130
    other = tmp_path / "other.safetensors"
    operator = ReducedOperator.load(tiny_operator)
    operator.errors["validation"] = 0.0
    operator.save(other)
    go = ["--out", broken, "--resume"]
    capsys.readouterr()
    assert "--reduced" in refuse("run", "drop", "--reduced", other, *words[2:], *go)
    assert "particles 512, got" in refuse("run", "drop", *words, "--points", 100, *go)
    fewer = ["50" if word == "60" else word for word in words]
    assert "sparse=60" in refuse("run", "drop", *fewer, *go)
    other.write_bytes(tiny_operator.read_bytes())  # what it is counts, not its name
    assert main(["run", "drop", "--reduced", str(other), *words[2:], *map(str, go)]) == 0
    a, b = Trajectory.load(whole), Trajectory.load(broken)
    assert torch.equal(a.x, b.x) and torch.equal(a.time, b.time) and len(a) == 8


OWN = (
    SMALL
    + """

from rheograd.engine.reduced.variation import Uniform

VARY = {"velocity": {"velocity": Uniform((-1.0, -1.0, -1.0), (1.0, 0.0, 1.0))}}


def results(trajectory):
    return {"height": trajectory.x[-1, :, 1].mean()}
"""
)


@pytest.mark.filterwarnings("ignore:.*particles a cell")
def test_scenes_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untaught: None
) -> None:
    """Found again from another folder; and a derivative through the operator."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "own.py").write_text(OWN)
    monkeypatch.chdir(here)
    data, out, summary = tmp_path / "data", tmp_path / "x.safetensors", tmp_path / "a.json"
    words = "dataset own.py --n 4 --frames 10 --duration 0.2 --processes 1 --out"
    assert main([*words.split(), str(data)]) == 0
    monkeypatch.chdir(tmp_path)
    train = ["reduce", str(data), "--size", "tiny", "--epochs", "1", "--out", str(out)]
    assert main(train) == 0
    found = ReducedOperator.load(out)
    assert found.scope.scene == "small" and found.scope.varied == [] and found.shape.code == 0
    run = ["run", str(here / "own.py"), "--reduced", str(out), "--sparse", "60"]
    assert main([*run, "--json", str(summary), "--gradient", "young"]) == 0
    told = json.loads(summary.read_text())
    assert 0.0 < told["height"] < 0.4
    assert isinstance(told["gradient_young"], float) and told["gradient_young"] != 0.0


def test_the_scene_of_the_fixture_is_drop(tiny_operator: Path) -> None:
    scope = ReducedOperator.load(tiny_operator).scope
    scope.require(drop.build())
