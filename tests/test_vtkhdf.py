# SPDX-License-Identifier: Apache-2.0
"""VTKHDF files as VTK reads them, and what a killed process leaves of them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from motions import CELL_FIELDS, FIELDS, meshed, moving

from rheograd.engine.cells import KINDS
from rheograd.engine.trajectory import Trajectory, TrajectoryReader, TrajectoryWriter
from rheograd.viewer.fields import fields_of
from rheograd.viewer.source import Source


def write(writer: TrajectoryWriter, trajectory: Trajectory, frames: range) -> None:
    for k in frames:
        frame = trajectory.frame(k)
        writer.append(frame.pop("step"), frame.pop("time"), frame.pop("x"), **frame)


def announced(trajectory: Trajectory) -> dict[str, Any]:
    """What a writer of its frames has to be told."""
    given: dict[str, Any] = {"fields": FIELDS, "totals": tuple(trajectory.totals)}
    if trajectory.cells is None:
        return given
    return {**given, "cells": trajectory.cells, "cell_fields": CELL_FIELDS}


def totalled(trajectory: Trajectory) -> Trajectory:
    """With numbers of the whole that no float32 is."""
    totals = {name: torch.rand(len(trajectory)).double() / 3 for name in ("kinetic", "elastic")}
    return replace(trajectory, totals=totals)


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


@pytest.mark.parametrize("kind", KINDS)
def test_vtk_reads_a_mesh(tmp_path: Path, kind: str) -> None:
    trajectory, path = meshed(kind=kind), tmp_path / "a.vtkhdf"
    assert trajectory.cells is not None
    trajectory.save(path)
    frames = vtk_frames(path)
    assert vtk_times(path) == pytest.approx(trajectory.time.tolist())
    assert len(frames) == 5
    for k, mesh in enumerate(frames):
        assert type(mesh).__name__ == "UnstructuredGrid"
        assert np.array_equal(mesh.points, trajectory.x[k].numpy())
        assert set(mesh.celltypes) == {KINDS[kind].vtk}
        nodes = mesh.cell_connectivity.reshape(2, KINDS[kind].nodes)
        assert np.array_equal(nodes, trajectory.cells.nodes.numpy())
        assert set(mesh.point_data) == {"v", "F", "J", "body"}
        assert np.array_equal(mesh.point_data["J"], trajectory.fields["J"][k].numpy())
        assert set(mesh.cell_data) == {"stress", "damage"}
        stress = trajectory.cell_fields["stress"][k].reshape(2, 9)
        assert np.array_equal(mesh.cell_data["stress"], stress.numpy())
        assert np.array_equal(mesh.cell_data["damage"], trajectory.cell_fields["damage"][k])
        assert mesh.field_data["step"].tolist() == [5 * k]


@pytest.mark.parametrize("trajectory", [moving(), meshed()], ids=["particles", "mesh"])
def test_vtk_reads_the_totals_of_each_step(tmp_path: Path, trajectory: Trajectory) -> None:
    trajectory, path = totalled(trajectory), tmp_path / "a.vtkhdf"
    with TrajectoryWriter(
        path, trajectory.particles, **announced(trajectory), expected=100
    ) as writer:
        write(writer, trajectory, range(5))
        running = vtk_frames(path)
    for frames in (running, vtk_frames(path)):
        assert len(frames) == 5
        for k, mesh in enumerate(frames):
            assert mesh.field_data["step"].tolist() == [5 * k]
            for name, values in trajectory.totals.items():
                assert mesh.field_data[name].dtype == np.float64
                assert mesh.field_data[name].tolist() == [float(values[k])]


def test_a_file_made_before_there_were_totals(tmp_path: Path) -> None:
    trajectory, path = meshed(), tmp_path / "a.vtkhdf"
    trajectory.save(path)
    with h5py.File(path, "r+", locking=False) as file:
        group: Any = file["rheograd"]
        said = json.loads(bytes(group["layout"][()]).decode())
        del said["totals"], group["layout"], file["VTKHDF/Steps/FieldDataSizes"]
        group["layout"] = np.bytes_(json.dumps(said))
    assert [mesh.field_data["step"].tolist() for mesh in vtk_frames(path)] == [
        [5 * k] for k in range(5)
    ]
    assert torch.equal(Trajectory.load(path).x, trajectory.x) and not Trajectory.load(path).totals
    with TrajectoryWriter(path, 15, **announced(trajectory), append=True) as writer:
        writer.rewind(10)
        write(writer, trajectory, range(3, 5))
    assert torch.equal(
        Trajectory.load(path).cell_fields["stress"], trajectory.cell_fields["stress"]
    )


def test_values_at_the_points_of_cells(tmp_path: Path) -> None:
    """VTK has them as so many components of a cell."""
    stress = torch.rand(5, 2, 8, 3, 3)
    trajectory = replace(meshed(), cell_fields={"point_stress": stress})
    for name in ("a.npz", "a.vtkhdf"):
        trajectory.save(tmp_path / name)
        assert torch.equal(Trajectory.load(tmp_path / name).cell_fields["point_stress"], stress)
    for k, mesh in enumerate(vtk_frames(tmp_path / "a.vtkhdf")):
        assert np.array_equal(mesh.cell_data["point_stress"], stress[k].reshape(2, 72).numpy())


@pytest.mark.parametrize("ending", ["npz", "vtkhdf"])
def test_a_viewer_shows_files_with_totals_and_values_at_points(tmp_path: Path, ending: str) -> None:
    stress = torch.rand(5, 2, 8, 3, 3)
    trajectory = totalled(replace(meshed(), cell_fields={"point_stress": stress}))
    trajectory.save(tmp_path / f"a.{ending}")
    source = Source(tmp_path / f"a.{ending}")
    shown = fields_of([source], np.array([0.0, 0.0, 1.0]))
    assert not {*trajectory.totals} & {*shown}
    assert shown["|point_stress|"].values(source, 3) == pytest.approx(
        stress[3].flatten(1).norm(dim=1).numpy()
    )


@pytest.mark.parametrize("mesh", [False, True], ids=["particles", "mesh"])
def test_vtk_reads_a_file_with_room_for_more(tmp_path: Path, mesh: bool) -> None:
    """VTK overruns its buffer where Steps/Values is longer than NSteps: it must never be."""
    trajectory, path = meshed() if mesh else moving(), tmp_path / "a.vtkhdf"
    writer = TrajectoryWriter(path, trajectory.particles, **announced(trajectory), expected=100)
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


@pytest.mark.parametrize("trajectory", [totalled(moving(6)), meshed(6)], ids=["particles", "mesh"])
def test_a_kill_after_any_write_leaves_a_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trajectory: Trajectory
) -> None:
    path, after, n = tmp_path / "a.vtkhdf", tmp_path / "after.vtkhdf", trajectory.particles
    given, recorded = announced(trajectory), {**trajectory.fields, **trajectory.cell_fields}
    with monkeypatch.context() as patch:
        disk = Disk(patch)
        with TrajectoryWriter(path, n, **given, expected=2) as writer:
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
                for name, array in {**recorded, **trajectory.totals}.items():
                    assert np.array_equal(frame[name], array[k].numpy())
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


def test_a_frame_is_on_disk_before_it_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trajectory, path, counted = meshed(), tmp_path / "a.vtkhdf", h5py.AttributeManager.modify
    found: list[bool] = []

    def modify(self: Any, name: str, value: Any) -> None:
        numbers = [trajectory.fields["F"][2], trajectory.cell_fields["stress"][2], trajectory.x[2]]
        on_disk = path.read_bytes()
        found.append(all(v.numpy().astype("f4").tobytes() in on_disk for v in numbers))
        counted(self, name, value)

    with TrajectoryWriter(path, 15, **announced(trajectory), expected=3) as writer:
        write(writer, trajectory, range(2))
        monkeypatch.setattr(h5py.AttributeManager, "modify", modify)
        write(writer, trajectory, range(2, 3))
    assert found == [True]
