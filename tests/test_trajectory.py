# SPDX-License-Identifier: Apache-2.0
"""Trajectories: in memory, as .npz, as VTKHDF written frame by frame, and after a kill."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from rheograd.engine.atomic import replacing
from rheograd.engine.resume import load_state, save_state
from rheograd.engine.trajectory import (
    Trajectory,
    TrajectoryReader,
    TrajectoryWriter,
    open_trajectory,
)

FIELDS: dict[str, int | tuple[int, ...]] = {"v": 3, "F": (3, 3), "J": 1}


def moving(frames: int = 5, particles: int = 4) -> Trajectory:
    x = torch.rand(frames, particles, 3)
    return Trajectory(
        time=torch.arange(frames, dtype=torch.float64) / 100,
        x=x,
        step=5 * torch.arange(frames),
        v=torch.rand(frames, particles, 3),
        fields={"F": torch.rand(frames, particles, 3, 3), "J": torch.rand(frames, particles)},
        body=torch.arange(particles) // 2,
        metadata={"scene": "drop", "units": "SI"},
    )


def same(a: Trajectory, b: Trajectory) -> bool:
    assert a.v is not None and b.v is not None
    return (
        all(torch.equal(p, q) for p, q in [(a.time, b.time), (a.step, b.step), (a.x, b.x)])
        and torch.equal(a.v, b.v)
        and torch.equal(a.body, b.body)
        and a.fields.keys() == b.fields.keys()
        and all(torch.equal(a.fields[k], b.fields[k]) for k in a.fields)
        and a.metadata == b.metadata
    )


def write(writer: TrajectoryWriter, trajectory: Trajectory, frames: range) -> None:
    for k in frames:
        frame = trajectory.frame(k)
        writer.append(frame.pop("step"), frame.pop("time"), frame.pop("x"), **frame)


@pytest.mark.parametrize("ending", ["npz", "vtkhdf"])
def test_saving_and_loading_keeps_everything(tmp_path: Path, ending: str) -> None:
    trajectory = moving()
    trajectory.save(tmp_path / f"a.{ending}")
    assert same(Trajectory.load(tmp_path / f"a.{ending}"), trajectory)
    assert [p.name for p in tmp_path.iterdir()] == [f"a.{ending}"]


def test_npz_layout(tmp_path: Path) -> None:
    moving().save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        kinds = {name: (file[name].dtype.str, file[name].shape) for name in file.files}
    assert kinds["step"] == ("<i8", (5,))
    assert kinds["time"] == ("<f8", (5,))
    assert kinds["x"] == kinds["v"] == ("<f4", (5, 4, 3))
    assert kinds["F"] == ("<f4", (5, 4, 3, 3))


def test_window_and_frame_rate() -> None:
    trajectory = moving(10)
    part = trajectory.window(2, 6)
    assert part.frames == len(part) == 4
    assert torch.equal(part.x, trajectory.x[2:6]) and torch.equal(part.time, trajectory.time[2:6])
    assert torch.equal(part.fields["F"], trajectory.fields["F"][2:6])
    assert part.frame_rate == pytest.approx(100)
    with pytest.raises(ValueError, match="at least one frame"):
        trajectory.window(6, 6)
    with pytest.raises(ValueError, match="two or more"):
        trajectory.window(0, 1).frame_rate  # noqa: B018
    with pytest.raises(ValueError, match="even spacing"):
        Trajectory(torch.tensor([0.0, 0.1, 0.5]), torch.rand(3, 2, 3)).frame_rate  # noqa: B018


def test_defaults_and_gradients() -> None:
    x = torch.rand(3, 2, 3, requires_grad=True)
    trajectory = Trajectory(torch.arange(3.0), x)
    assert trajectory.step.tolist() == [0, 1, 2] and trajectory.body.tolist() == [0, 0]
    trajectory.window(1).x.sum().backward()
    assert x.grad is not None and x.grad[0].abs().sum() == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": torch.rand(3, 2)}, "frames, particles, 3"),
        ({"x": torch.rand(3, 0, 3)}, "at least one particle"),
        ({"time": torch.arange(4.0)}, r"time has shape \(4,\), expected \(3,\)"),
        ({"v": torch.rand(3, 1, 3)}, "v has shape"),
        ({"fields": {"J": torch.rand(2, 2)}}, "J has shape"),
        ({"body": torch.zeros(3)}, "body has shape"),
    ],
)
def test_shapes_that_do_not_match(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Trajectory(**{"time": torch.arange(3.0), "x": torch.rand(3, 2, 3), **changes})


def test_npz_of_positions_alone_needs_the_length_of_a_step(tmp_path: Path) -> None:
    x, step = torch.rand(4, 2, 3).numpy(), np.arange(0, 20, 5)
    path = tmp_path / "a.npz"
    np.savez(path, x=x, step=step, state_x=x[:2], state_F=np.zeros((2, 2, 3, 3)))
    with pytest.raises(ValueError, match=r"no array 'time'.*--dt.*--frame-rate"):
        Trajectory.load(path)
    trajectory = Trajectory.load(path, dt=1e-3)
    assert trajectory.time.tolist() == pytest.approx([0, 5e-3, 1e-2, 1.5e-2])
    assert not trajectory.fields and trajectory.v is None
    assert Trajectory.load(path, frame_rate=50).time.tolist() == pytest.approx(
        [0, 0.02, 0.04, 0.06]
    )
    with pytest.raises(ValueError, match="positive"):
        Trajectory.load(path, dt=-1e-3)
    np.savez(path, x=x)
    with pytest.raises(ValueError, match="neither 'time' nor 'step'"):
        Trajectory.load(path, dt=1e-3)


def test_units_of_a_file(tmp_path: Path) -> None:
    path, x = tmp_path / "a.npz", np.full((2, 1, 3), 250.0)
    np.savez(path, x=x, time=np.arange(2.0))
    assert Trajectory.load(path, units="mm").x[0, 0, 0] == pytest.approx(0.25)
    with pytest.raises(ValueError, match="expected one of m, "):
        Trajectory.load(path, units="furlong")
    moving().save(path)
    with pytest.raises(ValueError, match="in metres"):
        Trajectory.load(path, units="mm")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, "no array 'x'"),
        ({"y": np.zeros(3)}, "no array 'x'.*it holds y"),
        ({"x": np.zeros((3, 2))}, r"of shape \(3, 2\), expected"),
        ({"x": np.zeros((0, 2, 3)), "time": np.zeros(0)}, "no frame"),
        ({"x": np.zeros((3, 0, 3)), "time": np.zeros(3)}, "at least one particle"),
        ({"x": np.full((3, 2, 3), np.nan), "time": np.arange(3.0)}, "x of particle 0 in frame 0"),
        ({"x": np.zeros((3, 2, 3)), "time": np.arange(2.0)}, r"time has shape \(2,\)"),
        ({"x": np.zeros((3, 2, 3)), "time": np.zeros(3)}, "do not increase"),
        ({"x": np.zeros((3, 2, 3)), "time": np.array([0, np.nan, 1])}, "do not increase"),
        ({"x": np.zeros((3, 2, 3)), "time": np.arange(3.0), "v": np.zeros((3, 2))}, "v has shape"),
        ({"x": np.zeros((3, 2, 3)), "time": np.arange(3.0), "metadata": "{"}, "metadata"),
        ({"x": np.array([["a"]]), "time": np.arange(1.0)}, "expected floats"),
    ],
)
def test_npz_that_holds_no_trajectory(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=words):
        Trajectory.load(tmp_path / "a.npz")


def test_gaps_are_allowed_for_markers_only(tmp_path: Path) -> None:
    x = torch.rand(3, 2, 3)
    x[1, 0] = float("nan")
    time = torch.arange(3, dtype=torch.float64)
    with pytest.raises(ValueError, match="x of particle 0 in frame 1 is not finite"):
        Trajectory(time, x).save(tmp_path / "a.npz")
    markers = Trajectory(time, x, metadata={"markers": json.dumps(["left", "right"])})
    markers.save(tmp_path / "a.npz")
    loaded = Trajectory.load(tmp_path / "a.npz")
    assert loaded.markers == ("left", "right")
    assert loaded.present.tolist() == [[True, True], [False, True], [True, True]]


@pytest.mark.parametrize("ending", ["npz", "vtkhdf"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_cut_off_files(tmp_path: Path, ending: str, share: float) -> None:
    path = tmp_path / f"a.{ending}"
    moving(20, 50).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match="cut off"):
        Trajectory.load(path)


@pytest.mark.parametrize("ending", ["npz", "vtkhdf", "c3d"])
def test_files_of_another_kind(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"not a trajectory" * 100)
    with pytest.raises(ValueError, match="not a readable"):
        Trajectory.load(path)


def test_pickles_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="not a readable"):
        Trajectory.load(tmp_path / "a.npz")


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="check the path"):
        Trajectory.load(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"expected \.npz, \.vtkhdf or \.c3d"):
        Trajectory.load(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError, match="no folder"):
        moving().save(tmp_path / "none" / "a.npz")
    with pytest.raises(ValueError, match="expected \\.npz or"):
        moving().save(tmp_path / "a.c3d")


@pytest.mark.parametrize("ending", ["npz", "vtkhdf"])
@pytest.mark.parametrize("expected", [None, 3, 12])
def test_writing_in_two_goes(tmp_path: Path, ending: str, expected: int | None) -> None:
    trajectory, path = moving(12), tmp_path / f"a.{ending}"
    given = {"fields": FIELDS, "body": trajectory.body, "metadata": trajectory.metadata}
    with TrajectoryWriter(path, 4, **given, expected=expected) as writer:
        write(writer, trajectory, range(7))
        assert writer.last == (30, pytest.approx(0.06))
    with TrajectoryWriter(path, 4, fields=FIELDS, append=True, expected=expected) as writer:
        assert len(writer) == 7 and writer.metadata == trajectory.metadata
        writer.rewind(27)
        assert len(writer) == 6 and writer.last == (25, pytest.approx(0.05))
        write(writer, trajectory, range(6, 12))
    assert same(Trajectory.load(path), trajectory)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_writer_without_a_frame_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.vtkhdf"
    with TrajectoryWriter(path, 4):
        pass
    assert not path.exists()
    moving().save(path)
    with TrajectoryWriter(path, 9):
        pass
    assert Trajectory.load(path).particles == 4


def test_frames_survive_an_error(tmp_path: Path) -> None:
    trajectory = moving()
    for name in ("a.npz", "a.vtkhdf"):
        with (
            pytest.raises(RuntimeError),
            TrajectoryWriter(tmp_path / name, 4, fields=FIELDS) as writer,
        ):
            write(writer, trajectory, range(3))
            raise RuntimeError
        assert len(Trajectory.load(tmp_path / name)) == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"step": 0}, "expected a later one"),
        ({"time": 0.0}, "expected a later one"),
        ({"x": torch.rand(3, 3)}, r"x has shape \(3, 3\), expected \(4, 3\)"),
        ({"x": torch.full((4, 3), float("nan"))}, "x of particle 0 is not finite"),
        ({"F": torch.rand(4, 2, 2)}, "F has shape"),
        ({"tau": torch.rand(4, 3, 3)}, "expected .*announced"),
    ],
)
def test_frames_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    trajectory = moving()
    with TrajectoryWriter(tmp_path / "a.vtkhdf", 4, fields=FIELDS) as writer:
        write(writer, trajectory, range(2))
        with pytest.raises(ValueError, match=words):
            writer.append(**{**trajectory.frame(2), **changes})
        assert len(writer) == 2
        write(writer, trajectory, range(2, 5))
    assert len(Trajectory.load(tmp_path / "a.vtkhdf")) == 5
    with pytest.raises(ValueError, match="is closed"):
        write(writer, trajectory, range(1))


def test_continuing_another_run(tmp_path: Path) -> None:
    moving().save(tmp_path / "a.vtkhdf")
    with pytest.raises(ValueError, match=r"holds 4 particles .* expected 5"):
        TrajectoryWriter(tmp_path / "a.vtkhdf", 5, fields=FIELDS, append=True)
    with pytest.raises(ValueError, match="continue it with the settings"):
        TrajectoryWriter(tmp_path / "a.vtkhdf", 4, fields={"v": 3}, append=True)


def test_following_a_file_while_it_is_written(tmp_path: Path) -> None:
    trajectory, path = moving(40), tmp_path / "a.vtkhdf"
    with TrajectoryWriter(path, 4, fields=FIELDS, expected=2) as writer:
        write(writer, trajectory, range(1))
        with TrajectoryReader(path) as reader:
            assert len(reader) == 1
            write(writer, trajectory, range(1, 40))
            assert np.array_equal(reader.frame(0)["x"], trajectory.x[0].numpy())
            assert reader.refresh() == 40
            assert np.array_equal(reader.frame(-1)["F"], trajectory.fields["F"][-1].numpy())
            assert set(reader.frame(0, ["v"])) == {"time", "step", "v"}


def test_opening_for_a_look(tmp_path: Path) -> None:
    trajectory = moving()
    trajectory.save(tmp_path / "a.vtkhdf")
    trajectory.save(tmp_path / "a.npz")
    with open_trajectory(tmp_path / "a.vtkhdf") as reader:  # type: ignore[union-attr]
        loaded = open_trajectory(tmp_path / "a.npz")
        for k in range(5):
            a, b = reader.frame(k), loaded.frame(k)
            assert a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def vtk_frames(path: Path) -> list[Any]:
    """All steps by VTK's own reader, as PyVista meshes."""
    pyvista = pytest.importorskip("pyvista")
    reader = pyvista.get_reader(str(path))
    reader.reader.UpdateInformation()
    frames = []
    for k in range(reader.reader.GetNumberOfSteps()):
        reader.reader.SetStep(k)
        reader.reader.UpdateInformation()
        frames.append(reader.read())
    return frames


def vtk_times(path: Path) -> list[float]:
    from vtkmodules.vtkCommonExecutionModel import vtkStreamingDemandDrivenPipeline as Pipeline
    from vtkmodules.vtkIOHDF import vtkHDFReader

    reader = vtkHDFReader()
    reader.SetFileName(str(path))
    reader.UpdateInformation()
    return list(reader.GetOutputInformation(0).Get(Pipeline.TIME_STEPS()))


def test_vtk_reads_the_file(tmp_path: Path) -> None:
    trajectory, path = moving(), tmp_path / "a.vtkhdf"
    trajectory.save(path)
    frames = vtk_frames(path)
    assert vtk_times(path) == pytest.approx(trajectory.time.tolist())
    assert len(frames) == 5
    for k, mesh in enumerate(frames):
        assert mesh.n_points == mesh.n_verts == 4
        assert np.array_equal(mesh.points, trajectory.x[k].numpy())
        assert np.array_equal(mesh["F"], trajectory.fields["F"][k].reshape(4, 9).numpy())
        assert np.array_equal(mesh["J"], trajectory.fields["J"][k].numpy())
        assert mesh["v"].shape == (4, 3)
        assert mesh["body"].tolist() == [0, 0, 1, 1]
        assert mesh.field_data["step"].tolist() == [5 * k]


def test_vtk_reads_a_file_with_room_for_more(tmp_path: Path) -> None:
    """VTK overruns its buffer where Steps/Values is longer than NSteps: it must never be."""
    trajectory, path = moving(), tmp_path / "a.vtkhdf"
    writer = TrajectoryWriter(path, 4, fields=FIELDS, expected=100)
    write(writer, trajectory, range(3))
    assert vtk_times(path) == pytest.approx(trajectory.time[:3].tolist())
    assert len(vtk_frames(path)) == 3
    writer.rewind(5)
    assert vtk_times(path) == pytest.approx(trajectory.time[:2].tolist())
    writer.close()


def test_a_step_count_ahead_of_its_time_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "a.vtkhdf"
    moving().save(path)
    with h5py.File(path, "r+", locking=False) as file:
        file["VTKHDF/Steps"].attrs.modify("NSteps", np.int64(6))
    assert len(vtk_frames(path)) == 6
    assert len(Trajectory.load(path)) == 5
    with TrajectoryWriter(path, 4, fields=FIELDS, append=True) as writer:
        write(writer, moving(7), range(5, 7))
    assert len(Trajectory.load(path)) == 7


def test_files_of_vtk_itself(tmp_path: Path) -> None:
    pyvista = pytest.importorskip("pyvista")
    from vtkmodules.vtkIOHDF import vtkHDFWriter

    writer = vtkHDFWriter()
    writer.SetFileName(str(tmp_path / "a.vtkhdf"))
    writer.SetInputData(pyvista.PolyData(torch.rand(4, 3).numpy()))
    writer.Write()
    with pytest.raises(ValueError, match="not a readable trajectory in temporal VTKHDF"):
        Trajectory.load(tmp_path / "a.vtkhdf")


class Disk:
    """Every write, truncation and rename of HDF5 files, to see what a kill after it leaves."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[Any, Any, Any]] = []
        self.open: list[io.FileIO] = []
        disk, opened, replaced = self, h5py.File, os.replace

        class Recorded(io.FileIO):
            def write(self, data: Any) -> int:
                disk.events.append((self, self.tell(), bytes(data)))
                return super().write(data)

            def truncate(self, size: int | None = None) -> int:
                disk.events.append((self, size, None))
                return super().truncate(size)

        def open_file(path: Path, mode: str, **options: Any) -> h5py.File:
            if mode == "r":
                return opened(path, mode, **options)
            self.open.append(Recorded(path, "w+"))
            self.events.append(("name", path, self.open[-1]))
            return opened(self.open[-1], mode)

        def replace(source: Path, target: Path) -> None:
            self.events.append(("rename", source, target))
            replaced(source, target)

        patch.setattr(h5py, "File", open_file)
        patch.setattr(os, "replace", replace)

    def states(self, path: Path) -> Iterator[bytes]:
        """What is in the file at `path` after each event, from when there is one."""
        names: dict[Path, Any] = {}
        files = {file: bytearray() for file in self.open}
        for who, place, what in self.events:
            if who == "name":
                names[place] = what
            elif who == "rename":
                names[what] = names.pop(place)
            else:
                size = place if what is None else place + len(what)
                files[who].extend(bytes(max(size - len(files[who]), 0)))
                if what is None:
                    del files[who][size:]
                else:
                    files[who][place:size] = what
            if path in names:
                yield bytes(files[names[path]])


def test_a_kill_after_any_write_leaves_a_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trajectory, path, after = moving(6), tmp_path / "a.vtkhdf", tmp_path / "after.vtkhdf"
    with monkeypatch.context() as patch:
        disk = Disk(patch)
        with TrajectoryWriter(path, 4, fields=FIELDS, expected=2) as writer:
            write(writer, trajectory, range(4))
            writer.rewind(10)
            write(writer, trajectory, range(3, 6))
        for file in disk.open:
            file.close()
    counts = []
    for content in disk.states(path):
        after.write_bytes(content)
        with TrajectoryReader(after) as reader:
            counts.append(len(reader))
            for k in range(len(reader)):
                frame = reader.frame(k)
                assert frame["step"] == 5 * k and frame["time"] == trajectory.time[k]
                assert np.array_equal(frame["x"], trajectory.x[k].numpy())
                assert np.array_equal(frame["F"], trajectory.fields["F"][k].numpy())
        with h5py.File(after, "r", locking=False) as file:
            steps: Any = file["VTKHDF/Steps"]
            assert len(steps["Values"]) <= steps.attrs["NSteps"] <= len(steps["Values"]) + 1
    assert counts[0] == 1 and counts[-1] == 6 and len(counts) > 100
    assert [b - a for a, b in pairwise(counts) if b != a] == [1] * 3 + [-1] + [1] * 3


WRITE = """
import sys, torch
from rheograd.engine.trajectory import TrajectoryWriter
path, expected = sys.argv[1], int(sys.argv[2])
writer = TrajectoryWriter(path, 200, fields={"v": 3}, expected=expected, append=True)
for k in range(len(writer), 100000):
    x = torch.full((200, 3), float(k))
    writer.append(k, k * 0.5, x, v=-x)
    if k == 3:
        print("going", flush=True)
"""


def killed(path: Path, expected: int, after: float) -> None:
    """Run a process that writes without end, and kill it."""
    command = [sys.executable, "-c", WRITE, str(path), str(expected)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        if not path.with_name(path.name + ".partial.vtkhdf").exists() and not path.exists():
            assert process.stdout.readline() == b"going\n"
        else:
            time.sleep(2.0)
        time.sleep(after)
        process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(("expected", "after"), [(8, 0.0), (8, 0.04), (100000, 0.11)])
def test_kill_keeps_the_frames(tmp_path: Path, expected: int, after: float) -> None:
    path = tmp_path / "a.vtkhdf"
    killed(path, expected, after)
    trajectory = Trajectory.load(path)
    count = len(trajectory)
    assert count >= 4
    numbers = torch.arange(count)
    assert torch.equal(trajectory.step, numbers) and torch.equal(trajectory.time, numbers * 0.5)
    assert torch.equal(trajectory.x, numbers[:, None, None].expand(-1, 200, 3).float())
    assert trajectory.v is not None and torch.equal(trajectory.v, -trajectory.x)
    assert vtk_frames(path)[3]["v"].max() == -3
    with TrajectoryWriter(path, 200, fields={"v": 3}, append=True) as writer:
        assert len(writer) == count
        x = torch.zeros(200, 3)
        writer.append(count, count * 0.5, x, v=x)
    assert len(Trajectory.load(path)) == count + 1


def test_kill_before_an_npz_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    killed(path, 64, 0.05)
    with pytest.raises(FileNotFoundError, match=r"unfinished run are in .*a\.npz\.partial\.vtkhdf"):
        Trajectory.load(path)
    count = len(Trajectory.load(tmp_path / "a.npz.partial.vtkhdf"))
    with TrajectoryWriter(path, 200, fields={"v": 3}, append=True) as writer:
        assert len(writer) == count >= 4
    assert len(Trajectory.load(path)) == count
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_replacing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as draft:
        draft.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    with replacing(path) as draft:
        draft.write_text("new")
    assert path.read_text() == "new" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_states_are_kept_to_the_last_bit(tmp_path: Path) -> None:
    path, base = tmp_path / "state.safetensors", torch.rand(4, 3, dtype=torch.float64)
    state = {
        "x": base,
        "part": base[1:3].T,
        "half": torch.rand(3).bfloat16(),
        "none": torch.zeros(0, 9),
        "random": torch.get_rng_state(),
        "odd": torch.tensor([float("nan"), -0.0, float("inf")]),
    }
    save_state(path, state, {"step": 7})  # type: ignore[dict-item]
    loaded, metadata = load_state(path)
    assert metadata == {"step": "7"}
    for name, tensor in state.items():
        assert loaded[name].dtype == tensor.dtype and loaded[name].shape == tensor.shape
        bits = [t.contiguous().view(torch.uint8).tolist() for t in (loaded[name], tensor)]
        assert bits[0] == bits[1]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="start afresh"):
        load_state(path)
    with pytest.raises(FileNotFoundError, match="without --resume"):
        load_state(tmp_path / "none.safetensors")


def test_reference_file(reference_data: Callable[[str], Path]) -> None:
    trajectory = Trajectory.load(reference_data("nclaw/jelly.npz"), dt=5e-4)
    assert trajectory.x.shape == (201, 1000, 3)
    assert trajectory.frame_rate == pytest.approx(400)
