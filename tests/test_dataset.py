# SPDX-License-Identifier: Apache-2.0
"""Data sets by command: what is in the folder, what a kill leaves, how it goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import SMALL, process

from rheograd.engine.boundaries import Floor, Wall
from rheograd.engine.reduced.dataset import INDEX, Dataset, boundaries_of
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.trajectory import TrajectoryWriter
from rheograd.materials.elastic import Corotated
from rheograd.scenes import drop
from rheograd.scenes.cli import main

pytestmark = pytest.mark.filterwarnings("ignore:.*particles a cell")

VARY = """
from rheograd.engine.reduced.variation import Choice, LogUniform, Uniform

VARY = {
    "velocity": {"velocity": Uniform((-1.0, -1.0, -1.0), (1.0, 0.0, 1.0))},
    "material": {"young": LogUniform(2e4, 8e4)},
    "turn": {"spinning": Choice((False,), unseen=(True,))},
    "throw": {"velocity": Choice(((0.0, -1.0, 0.0), (200.0, 0.0, 0.0), (0.0, 0.0, 1.0)))},
}
"""
PAUSED = """
import functools, os, time


def paused(make):
    @functools.wraps(make)
    def later(*given, **options):
        time.sleep(float(os.environ.get("PAUSE", 0)))
        return make(*given, **options)
    return later


build = paused(build)
"""
"""So that a run can be stopped in the middle, however fast the machine is."""
GROUPS = ("--vary", "velocity,material,turn")
SHORT = (*GROUPS, "--n", "5", "--frames", "3", "--duration", "0.04")
ONE = ("--processes", "1")


@pytest.fixture
def scene(tmp_path: Path) -> str:
    path = tmp_path / "varied.py"
    path.write_text(SMALL + VARY + PAUSED)
    return str(path)


def make(scene: str, out: Path, *words: object) -> int:
    return main(["dataset", scene, *SHORT, *ONE, "--out", str(out), *map(str, words)])


def index_of(out: Path) -> dict[str, Any]:
    return json.loads((out / INDEX).read_text())


def plan_of(out: Path) -> dict[str, Any]:
    """The index without what differs from run to run."""
    index = index_of(out)
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in index["trajectories"]]
    return {**index, "trajectories": rows, "command": ""}


def done_in(out: Path) -> list[str]:
    return [row["file"] for row in index_of(out)["trajectories"] if row["state"] == "done"]


def frames_of(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.vtkhdf"))}


def test_what_is_in_a_data_set(scene: str, tmp_path: Path) -> None:
    out = tmp_path / "data" / "small"
    assert make(scene, out, "--cell", "0.05", "--test", "2", "--seed", "7") == 0
    assert sorted(p.name for p in out.iterdir()) == [*(f"00{k}.vtkhdf" for k in range(5)), INDEX]
    data = Dataset.load(out)
    assert len(data) == 5 and data.scene == "small" and data.law == "Corotated"
    assert data.domain.upper == (1.0, 1.0, 1.0) and data.gravity == (0.0, -9.81, 0.0)
    assert (data.frames, data.cell, data.particles_per_cell, data.seed) == (3, 0.05, 8, 7)
    assert data.frame_interval == pytest.approx(0.04 / 3)
    assert data.ranges["young"] == "LogUniform(low=20000.0, high=80000.0)"
    assert [len(data.split(s)) for s in ("train", "validation", "test")] == [2, 1, 2]
    assert [c.geometry for c in data.split("test")] == ["seen", "unseen"]
    assert [c.options["spinning"] for c in data.cases] == [False] * 4 + [True]
    steps = set()
    for case in data.cases:
        assert case.parameters == {"young": case.options["young"], "poisson": 0.3}
        assert case.density == 1e3 and case.seconds is not None and case.seconds > 0
        run = case.load()
        assert run.x.shape == (4, case.particles, 3) and run.x.dtype == torch.float32
        assert run.v is not None
        torch.testing.assert_close(run.time, data.frame_interval * torch.arange(4.0).double())
        assert case.dt * case.steps == pytest.approx(0.04) and case.dt <= 1e-3
        assert case.steps % 3 == 0
        steps.add(case.steps)
        torch.testing.assert_close(
            run.v[0].mean(0), torch.tensor(case.options["velocity"]), rtol=0, atol=1e-5
        )
        with case.open() as reader:
            assert len(reader) == 4
    assert steps == {42}  # the longest step that divides 40/3 ms and is not over 1 ms


def test_the_step_follows_the_material(tmp_path: Path) -> None:
    """As long as the solver's own, but for what it takes to come out even."""
    out = tmp_path / "data"
    words = [
        "--n",
        "4",
        "--frames",
        "2",
        "--duration",
        "0.1",
        "--cell",
        "0.1",
        "--vary",
        "material",
    ]
    assert main(["dataset", "drop", *words, *ONE, "--size", "0.2", "--out", str(out)]) == 0
    cases = Dataset.load(out).cases
    assert len({case.dt for case in cases}) > 1
    for case in cases:
        law = drop.build(**case.options).bodies[0].law
        own = 0.3 * 0.1 * (case.density / law.wave_modulus()) ** 0.5
        every = case.steps // 2
        assert 0.05 / every <= own < 0.05 / (every - 1)


def test_the_same_whatever_the_number_of_processes_and_wherever_it_was_stopped(
    scene: str, tmp_path: Path
) -> None:
    """Ctrl-C reaches the whole group of processes; a killed one leaves a file without a name."""
    words: list[object] = ["dataset", scene, *GROUPS, "--n", 12, "--frames", 4, "--duration", 0.05]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main([*map(str, words), *ONE, "--out", str(whole)]) == 0
    command = process(*words, "--processes", 2, "--out", broken)
    slow = {**os.environ, "PAUSE": "0.6"}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=slow
    ) as child:
        end = time.monotonic() + 120
        while not (broken / INDEX).exists() or not done_in(broken):
            assert child.poll() is None and time.monotonic() < end
            time.sleep(0.005)
        os.killpg(child.pid, signal.SIGINT)
        assert child.stderr is not None
        said = child.stderr.read()
    assert child.returncode == 130, said
    assert "of 12 trajectories are in" in said and "--resume goes on" in said
    assert "Traceback" not in said
    assert 0 < len(done_in(broken)) < 12
    assert not list(broken.glob("*.part*")) and not list(broken.glob("*.tmp"))
    before = {name: (broken / name).stat().st_mtime_ns for name in frames_of(broken)}
    assert set(done_in(broken)) <= set(before)
    more = ["--processes", "2", "--out", str(broken), "--resume"]
    assert main([*map(str, words), *more]) == 0
    assert {name: (broken / name).stat().st_mtime_ns for name in before} == before
    assert frames_of(broken) == frames_of(whole)
    assert plan_of(broken) == plan_of(whole)


@pytest.mark.parametrize("stop", [1, 6, 19])
def test_stopped_in_one_process(
    scene: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert make(scene, whole) == 0
    append, taken = TrajectoryWriter.append, [0]

    def stopping(self: TrajectoryWriter, *frame: Any, **fields: Any) -> None:
        append(self, *frame, **fields)
        taken[0] += 1
        if taken[0] == stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrajectoryWriter, "append", stopping)
    assert make(scene, broken) == 130
    monkeypatch.undo()
    assert f"{(stop - 1) // 4} of 5 trajectories are in" in capsys.readouterr().err
    assert len(frames_of(broken)) == (stop - 1) // 4
    assert sorted(p.suffix for p in broken.iterdir()) == [".json", *[".vtkhdf"] * (stop // 4)][
        : 1 + (stop - 1) // 4]  # fmt: skip
    with pytest.raises(ValueError, match=r"is unfinished, \d of 5 .* made: .* --resume"):
        Dataset.load(broken)
    assert make(scene, broken, "--resume") == 0
    assert frames_of(broken) == frames_of(whole)
    assert plan_of(broken) == plan_of(whole)


def test_killed_between_a_file_and_the_index(scene: str, tmp_path: Path) -> None:
    """A finished trajectory is not made again, and what was half made goes."""
    out = tmp_path / "data"
    assert make(scene, out) == 0
    whole, plan = frames_of(out), plan_of(out)
    index = index_of(out)
    row = index["trajectories"][2]
    for name in ("size", "seconds", "particles", "dt", "steps"):
        del row[name]
    row["state"] = "planned"
    (out / INDEX).write_text(json.dumps(index))
    for rest in ("004.77.part.vtkhdf", "003.77.part.vtkhdf.tmp", f"{INDEX}.tmp"):
        (out / rest).write_text("half")
    age = (out / "002.vtkhdf").stat().st_mtime_ns
    assert make(scene, out, "--resume") == 0
    assert (out / "002.vtkhdf").stat().st_mtime_ns == age
    assert index_of(out)["trajectories"][2]["seconds"] is None
    assert frames_of(out) == whole and plan_of(out) == plan
    assert sorted(p.name for p in out.iterdir()) == [*whole, INDEX]


@pytest.mark.parametrize("harm", ["cut", "gone", "another", "short"])
def test_a_torn_file_is_noticed_and_made_again(scene: str, tmp_path: Path, harm: str) -> None:
    out = tmp_path / "data"
    assert make(scene, out) == 0
    whole, path = frames_of(out), out / "003.vtkhdf"
    if harm == "cut":
        os.truncate(path, path.stat().st_size - 100)
        expected: Any = pytest.raises(ValueError, match=r"003.vtkhdf is torn, \d+ of \d+ bytes")
    elif harm == "gone":
        path.unlink()
        expected = pytest.raises(FileNotFoundError, match=r"003.vtkhdf is missing")
    else:
        index = index_of(out)
        if harm == "short":
            assert make(scene, tmp_path / "short", "--frames", 2) == 0
            path.write_bytes((tmp_path / "short" / path.name).read_bytes())
        else:
            path.write_bytes(whole["002.vtkhdf"])
        del index["trajectories"][3]["size"]
        index["trajectories"][3]["state"] = "planned"
        (out / INDEX).write_text(json.dumps(index))
        expected = pytest.raises(ValueError, match="1 of 5 trajectories are still to be made")
    with expected:
        Dataset.load(out)
    age = (out / "002.vtkhdf").stat().st_mtime_ns
    assert make(scene, out, "--resume") == 0
    assert (out / "002.vtkhdf").stat().st_mtime_ns == age
    assert frames_of(out) == whole
    assert len(Dataset.load(out)) == 5


def test_the_index_is_replaced_in_one_go(
    scene: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every moment it is whole, and says nothing of what is not there."""
    from rheograd.engine.reduced import dataset

    out, write, seen = tmp_path / "data", dataset.write_index, []

    def watched(folder: Path, index: Any) -> None:
        if (folder / INDEX).exists():
            before = (folder / INDEX).stat().st_ino
            write(folder, index)
            assert (folder / INDEX).stat().st_ino != before  # another file, not the same rewritten
        else:
            write(folder, index)
        done = [row for row in index_of(folder)["trajectories"] if row["state"] == "done"]
        assert all((folder / row["file"]).stat().st_size == row["size"] for row in done)
        seen.append(len(done))

    monkeypatch.setattr(dataset, "write_index", watched)
    assert make(scene, out) == 0
    assert seen == [0, 1, 2, 3, 4, 5]


def test_failed_simulations(scene: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are told and left out; many of them are a failure of the command."""
    out = tmp_path / "data"
    words = ["--vary", "throw", "--n", "6", "--frames", "30", "--dt", "4e-3", *ONE]
    run = ["dataset", scene, *words, "--duration", "0.24", "--out", str(out)]
    assert main(run) == 1
    said = capsys.readouterr().err
    assert "error: 2 of 6 simulations failed, such as trajectory" in said
    rows = index_of(out)["trajectories"]
    failed = [row for row in rows if row["state"] == "failed"]
    assert len(failed) == 2 and all(row["options"]["velocity"][0] == 200.0 for row in failed)
    assert all("step" in row["reason"] for row in failed)
    assert [case.number for case in Dataset.load(out).cases] == [
        row["number"] for row in rows if row not in failed
    ]
    assert len(frames_of(out)) == 4
    assert main([*run, "--resume"]) == 1  # nothing is tried again
    assert index_of(out)["trajectories"] == rows


def test_refusals(scene: str, small: str, tmp_path: Path, refuse: Callable[..., str]) -> None:
    out = tmp_path / "data"

    def said(*words: object, of: str = scene) -> str:
        return refuse("dataset", of, "--out", out, "--n", 5, *words)

    assert "got 'materiel' (did you mean material?), expected some of velocity" in said(
        "--vary", "materiel"
    )
    assert "small does not say what can vary: add a table" in said(of=small)
    assert "got 3 trajectories, expected 4 or more" in said("--n", 3)
    assert "leaves none to train with" in said("--test", 3, "--validation", 2)
    assert "--vary material leaves nothing to vary: --young fix" in said(
        "--vary", "material", "--young", 3e4
    )
    assert "solved by FESolver, expected MPMSolver" in said("--solver", "fe", of="drop")
    assert "contact does not say what can vary" in said(of="contact")
    assert "cantilever does not say what can vary" in said(of="cantilever"), "it has an --n too"
    assert "--duration must be positive" in said("--duration", 0)
    assert "over the CFL limit" in said("--dt", 1.0, *GROUPS)
    assert "is not a whole number of cells" in said("--cell", 0.3)
    assert not out.exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    assert "holds other files, such as notes.txt" in said("--out", other)
    assert "is a file, expected a folder" in said("--out", other / "notes.txt")
    assert sorted(p.name for p in other.iterdir()) == ["notes.txt"]


def test_what_was_drawn_does_not_fit(
    scene: str, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    Path(scene).write_text(
        SMALL.replace("(0.5, 0.3, 0.5))", "(0.5, bodies * 0.3, 0.5))").replace("* bodies", "")
        + VARY.replace('"turn": {"spinning": Choice((False,), unseen=(True,))}',
                       '"turn": {"bodies": Choice((1,), unseen=(4,))}')
    )  # fmt: skip
    out = tmp_path / "data"
    words = ["dataset", scene, *SHORT, "--test", 2, "--out", out, *ONE]
    status = refuse(*words)
    assert status.startswith("trajectory 4: ") and "outside the domain" in status


def test_another_data_set_is_not_continued(
    scene: str, tmp_path: Path, refuse: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "data"
    assert make(scene, out) == 0
    before = frames_of(out)
    capsys.readouterr()
    run = ["dataset", scene, *SHORT, *ONE, "--out", out]
    assert "holds a data set already: add --resume" in refuse(*run)
    assert "was begun with --frames 3, got 4" in refuse(*run, "--resume", "--frames", 4)
    assert "was begun with --young unset, got 30000.0" in refuse(*run, "--resume", "--young", 3e4)
    assert "holds a data set of small, not of drop" in refuse(
        "dataset", "drop", "--n", 5, "--out", out, "--resume"
    )
    Path(scene).write_text((SMALL + VARY).replace("8e4)", "9e4)"))
    assert "was begun with another ranges: the scene has changed" in refuse(*run, "--resume")
    denser = (SMALL + VARY).replace("0.3), 1e3", "0.3), 2000.0")  # of another length: not cached
    Path(scene).write_text(denser)
    assert "was begun with another plan: the scene has changed" in refuse(*run, "--resume")
    assert frames_of(out) == before


def test_reading_what_is_no_data_set(scene: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no data set"):
        Dataset.load(tmp_path)
    out = tmp_path / "data"
    assert make(scene, out) == 0
    with pytest.raises(ValueError, match=r"split 'tests' \(did you mean test\?\)"):
        Dataset.load(out).split("tests")
    whole = (out / INDEX).read_text()
    for text, expected in (
        (whole[:500], "is not readable"),
        ("[]", "is not the index of a data set"),
        (whole.replace('"version": 1', '"version": 7'), "is of version 7, expected 1"),
        (whole.replace('"domain"', '"dominion"'), "is not a whole index"),
    ):
        (out / INDEX).write_text(text)
        with pytest.raises(ValueError, match=expected):
            Dataset.load(out)


def test_equal_boundaries_have_the_same_words() -> None:
    def scene(*boundaries: Wall) -> Scene:
        return Scene([Body(Box((0.1, 0.1, 0.1)), Corotated(1e5, 0.2), 1e3)], boundaries)

    a, b = Floor(friction=0.4), Wall("x-", "sticky")
    assert boundaries_of(scene(a, b)) == boundaries_of(scene(Wall("x-", "sticky"), a))
    assert boundaries_of(scene(a, b)) != boundaries_of(scene(Floor(friction=0.5), b))


def test_a_process_that_is_killed(tmp_path: Path, scene: str) -> None:
    """The others end too, what is done stays, and the error says which trajectory was lost."""
    Path(scene).write_text(
        SMALL.replace("def build(", "import os, signal\n\ndef build(").replace(
            "    cube =", "    if spinning and os.environ.get('OMP_NUM_THREADS') == '1' and"
            " __import__('multiprocessing').parent_process():\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n    cube ="
        ) + VARY
    )  # fmt: skip
    out = tmp_path / "data"
    words = ["dataset", scene, *SHORT, "--test", 2, "--processes", 2, "--out", out]
    done = subprocess.run(process(*words), capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "the process that made trajectory 4 was ended by signal 9: --resume" in done.stderr
    assert "Traceback" not in done.stderr
    assert {row["state"] for row in index_of(out)["trajectories"]} >= {"planned"}


def test_help_lists_what_a_scene_varies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataset", "drop", "--help"]) == 0
    said = capsys.readouterr().out
    assert "groups of drop for --vary, with the ranges of their options:" in said
    for line in (
        "    size   from 0.24 to 0.36",
        "    spin      from -6,-6,-6 to 6,6,6",
        "    young    from 20000 to 100000, by its logarithm",
        "    shape  one of box, cylinder, capsule; for tests sphere, ellipsoid",
    ):
        assert line in said
