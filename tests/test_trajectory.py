# SPDX-License-Identifier: Apache-2.0
"""Trajectories in memory and as files of either kind; input that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from motions import CELL_FIELDS, FIELDS, meshed, moving

from rheograd.engine.cells import Cells
from rheograd.engine.trajectory import (
    Trajectory,
    TrajectoryReader,
    TrajectoryWriter,
    open_trajectory,
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
        and (b.cells is None if a.cells is None else a.cells.same(b.cells))
        and a.cell_fields.keys() == b.cell_fields.keys()
        and all(torch.equal(a.cell_fields[k], b.cell_fields[k]) for k in a.cell_fields)
        and a.totals.keys() == b.totals.keys()
        and all(torch.equal(a.totals[k], b.totals[k]) for k in a.totals)
    )


TOTALS = ("kinetic", "elastic")


def totalled(trajectory: Trajectory) -> Trajectory:
    """With numbers of the whole that no float32 is."""
    totals = {name: torch.rand(len(trajectory), dtype=torch.float64) for name in TOTALS}
    return replace(trajectory, totals=totals)


def write(writer: TrajectoryWriter, trajectory: Trajectory, frames: range) -> None:
    for k in frames:
        frame = trajectory.frame(k)
        writer.append(frame.pop("step"), frame.pop("time"), frame.pop("x"), **frame)


@pytest.mark.parametrize("ending", ["npz", "vtkhdf"])
@pytest.mark.parametrize(
    "trajectory",
    [moving(), meshed(), totalled(moving()), totalled(meshed())],
    ids=["particles", "mesh", "particles-totals", "mesh-totals"],
)
def test_saving_and_loading_keeps_everything(
    tmp_path: Path, ending: str, trajectory: Trajectory
) -> None:
    trajectory.save(tmp_path / f"a.{ending}")
    assert same(Trajectory.load(tmp_path / f"a.{ending}"), trajectory)
    assert [p.name for p in tmp_path.iterdir()] == [f"a.{ending}"]


def test_npz_layout(tmp_path: Path) -> None:
    totalled(moving()).save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        kinds = {name: (file[name].dtype.str, file[name].shape) for name in file.files}
    assert kinds["step"] == ("<i8", (5,))
    assert kinds["time"] == ("<f8", (5,))
    assert kinds["x"] == kinds["v"] == ("<f4", (5, 4, 3))
    assert kinds["F"] == ("<f4", (5, 4, 3, 3))
    assert kinds["totals/kinetic"] == ("<f8", (5,)) and "kinetic" not in kinds
    assert not {name for name in kinds if name.startswith("cell")}


def test_npz_layout_of_a_mesh(tmp_path: Path) -> None:
    trajectory = meshed()
    trajectory.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        assert str(file["cell_kind"]) == "hex8" and file["cells"].dtype == np.int64
        assert trajectory.cells is not None
        assert np.array_equal(file["cells"], trajectory.cells.nodes.numpy())
        assert file["cells/stress"].shape == (5, 2, 3, 3)
        assert file["cells/damage"].dtype == np.float32


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


def test_a_window_and_a_copy_keep_the_cells() -> None:
    trajectory = meshed()
    part = trajectory.window(1, 3).to("cpu", torch.float64)
    assert part.cells is not None and part.cells.same(trajectory.cells)
    damage = part.cell_fields["damage"]
    assert damage.dtype == torch.float64
    assert torch.equal(damage.float(), trajectory.cell_fields["damage"][1:3])
    frame = trajectory.frame(2)
    assert np.array_equal(frame["stress"], trajectory.cell_fields["stress"][2].numpy())
    assert set(trajectory.frame(0, ["damage"])) == {"time", "step", "damage"}


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
        ({"fields": {"time": torch.rand(3, 2)}}, "name 'time' is taken"),
        ({"cells": Cells("tri3", torch.tensor([[0, 1, 2]]))}, "cell 0 has node 2, expected at mos"),
        ({"cell_fields": {"J": torch.rand(3, 1)}}, r"fields of cells \['J'\] without cells"),
    ],
)
def test_shapes_that_do_not_match(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Trajectory(**{"time": torch.arange(3.0), "x": torch.rand(3, 2, 3), **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"damage": torch.rand(5, 3)}, r"damage has shape \(5, 3\), expected \(5, 2\): .* 2 cells"),
        ({"J": torch.rand(5, 2)}, "'J' is one of points and of cells"),
        ({"v": torch.rand(5, 2, 3)}, "'v' is taken"),
    ],
)
def test_fields_of_cells_that_do_not_match(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(meshed(), cell_fields=changes)


def test_a_cell_without_a_number_is_named(tmp_path: Path) -> None:
    trajectory = meshed()
    trajectory.cell_fields["stress"][3, 1, 0, 2] = float("inf")
    with pytest.raises(ValueError, match="stress of cell 1 in frame 3 is not finite"):
        trajectory.save(tmp_path / "a.npz")
    with TrajectoryWriter(
        tmp_path / "a.vtkhdf", 15, fields=FIELDS, cells=trajectory.cells, cell_fields=CELL_FIELDS
    ) as writer:
        write(writer, trajectory, range(3))
        with pytest.raises(ValueError, match="stress of cell 1 is not finite"):
            write(writer, trajectory, range(3, 4))
    assert len(Trajectory.load(tmp_path / "a.vtkhdf")) == 3


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"cells": np.array([[0, 1, 2]])}, "'cells' of int64 without 'cell_kind', expected node"),
        ({"cells": np.array([[0.0, 1, 2]]), "cell_kind": "tri3"}, "got 'cells' of float64, expect"),
        ({"cells": np.array([[0, 1, 2]]), "cell_kind": "tet4"}, r"a\.npz: the nodes of tet4 cells"),
        ({"cells": np.array([[0, 1, 4]]), "cell_kind": "tri3"}, r"a\.npz: cell 0 has node 4"),
        ({"cells/J": np.zeros((3, 1))}, "without cells"),
    ],
)
def test_npz_that_holds_no_mesh(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 4, 3)), time=np.arange(3.0), **arrays)
    with pytest.raises(ValueError, match=words):
        Trajectory.load(tmp_path / "a.npz")


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
@pytest.mark.parametrize("mesh", [False, True], ids=["particles", "mesh"])
def test_writing_in_two_goes(tmp_path: Path, ending: str, expected: int | None, mesh: bool) -> None:
    trajectory, path = meshed(12) if mesh else moving(12), tmp_path / f"a.{ending}"
    n, body, metadata = trajectory.particles, trajectory.body, trajectory.metadata
    kept: dict[str, Any] = {"fields": FIELDS, "expected": expected}
    if mesh:
        kept |= {"cells": trajectory.cells, "cell_fields": CELL_FIELDS}
    with TrajectoryWriter(path, n, **kept, body=body, metadata=metadata) as writer:
        write(writer, trajectory, range(7))
        assert writer.last == (30, pytest.approx(0.06))
    with TrajectoryWriter(path, n, **kept, append=True) as writer:
        assert len(writer) == 7 and writer.metadata == trajectory.metadata
        assert writer.last == (30, pytest.approx(0.06))
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


@pytest.mark.parametrize("ending", ["npz", "vtkhdf"])
def test_continuing_a_run_on_another_mesh(tmp_path: Path, ending: str) -> None:
    trajectory, path = meshed(), tmp_path / f"a.{ending}"
    trajectory.save(path)
    assert trajectory.cells is not None
    given: dict[str, Any] = {"fields": FIELDS, "append": True}
    for changes, words in (
        ({"cells": Cells("hex8", trajectory.cells.nodes.flip(0))}, "expected other cells"),
        ({"cells": None, "cell_fields": None}, "and 2 hex8 cells with .* expected 15 particles"),
        ({"cell_fields": {"damage": 1}}, r"expected .* 2 hex8 cells with \['damage'\]"),
    ):
        kept = {"cells": trajectory.cells, "cell_fields": CELL_FIELDS, **changes}
        with pytest.raises(ValueError, match=words):
            TrajectoryWriter(path, 15, **given, **kept)
    assert len(Trajectory.load(path)) == 5


def test_an_npz_that_cannot_be_continued_is_left_alone(tmp_path: Path) -> None:
    path, x = tmp_path / "a.npz", np.zeros((3, 4, 3))
    x[2, 1] = np.nan
    np.savez(path, x=x, time=np.arange(3.0))
    with pytest.raises(ValueError, match="x of particle 1 is not finite"):
        TrajectoryWriter(path, 4, append=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("trajectory", [moving(40), meshed(40)], ids=["particles", "mesh"])
def test_following_a_file_while_it_is_written(tmp_path: Path, trajectory: Trajectory) -> None:
    path, cells = tmp_path / "a.vtkhdf", trajectory.cells
    given = {} if cells is None else {"cells": cells, "cell_fields": CELL_FIELDS}
    with TrajectoryWriter(path, trajectory.particles, fields=FIELDS, expected=2, **given) as writer:
        write(writer, trajectory, range(1))
        with TrajectoryReader(path) as reader:
            assert len(reader) == 1
            assert reader.cells is None if cells is None else cells.same(reader.cells)
            write(writer, trajectory, range(1, 40))
            assert np.array_equal(reader.frame(0)["x"], trajectory.x[0].numpy())
            assert reader.refresh() == 40
            last = reader.frame(-1)
            for name, array in {**trajectory.fields, **trajectory.cell_fields}.items():
                assert np.array_equal(last[name], array[-1].numpy())
            assert set(reader.frame(0, ["v"])) == {"time", "step", "v"}


@pytest.mark.parametrize("trajectory", [moving(), meshed()], ids=["particles", "mesh"])
def test_opening_for_a_look(tmp_path: Path, trajectory: Trajectory) -> None:
    trajectory.save(tmp_path / "a.vtkhdf")
    trajectory.save(tmp_path / "a.npz")
    with open_trajectory(tmp_path / "a.vtkhdf") as reader:  # type: ignore[union-attr]
        loaded = open_trajectory(tmp_path / "a.npz")
        for k in range(5):
            a, b = reader.frame(k), loaded.frame(k)
            assert a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_reference_file(reference_data: Callable[[str], Path]) -> None:
    trajectory = Trajectory.load(reference_data("nclaw/jelly.npz"), dt=5e-4)
    assert trajectory.x.shape == (201, 1000, 3)
    assert trajectory.frame_rate == pytest.approx(400)


def test_a_window_and_a_copy_keep_the_totals() -> None:
    trajectory = totalled(meshed())
    part = trajectory.window(1, 3).to("cpu", torch.float32)
    assert torch.equal(part.totals["kinetic"], trajectory.totals["kinetic"][1:3])
    assert trajectory.frame(-1)["kinetic"] == float(trajectory.totals["kinetic"][4])
    assert set(trajectory.frame(0, ["elastic"])) == {"time", "step", "elastic"}


@pytest.mark.parametrize(
    ("totals", "words"),
    [
        ({"kinetic": torch.rand(4)}, r"kinetic has shape \(4,\), expected \(5,\)"),
        ({"kinetic": torch.rand(5, 2)}, r"kinetic has shape \(5, 2\), expected \(5,\)"),
        ({"damage": torch.rand(5)}, "'damage' is a field and a total"),
        ({"step": torch.rand(5)}, "'step' is taken"),
        ({"v": torch.rand(5)}, "'v' is taken"),
    ],
)
def test_totals_that_do_not_match(totals: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(meshed(), totals=totals)


def test_a_total_that_is_no_number_is_named(tmp_path: Path) -> None:
    trajectory = totalled(moving())
    frame = trajectory.frame(3)
    trajectory.totals["elastic"][3] = float("nan")
    with pytest.raises(ValueError, match="elastic in frame 3 is not finite"):
        trajectory.save(tmp_path / "a.npz")
    with TrajectoryWriter(tmp_path / "a.vtkhdf", 4, fields=FIELDS, totals=TOTALS) as writer:
        write(writer, trajectory, range(3))
        with pytest.raises(ValueError, match="elastic is nan, expected a finite number"):
            write(writer, trajectory, range(3, 4))
        with pytest.raises(ValueError, match=r"elastic has shape \(2,\), expected one number"):
            writer.append(**{**frame, "elastic": torch.rand(2)})
        with pytest.raises(ValueError, match=r"expected .*'elastic'.* announced"):
            writer.append(**{name: a for name, a in frame.items() if name != "elastic"})
    assert len(Trajectory.load(tmp_path / "a.vtkhdf")) == 3


@pytest.mark.parametrize("ending", ["npz", "vtkhdf"])
def test_writing_totals_in_two_goes(tmp_path: Path, ending: str) -> None:
    """Also past the room that a file was made with."""
    trajectory, path = totalled(meshed(12)), tmp_path / f"a.{ending}"
    kept: dict[str, Any] = {
        "fields": FIELDS, "cells": trajectory.cells, "cell_fields": CELL_FIELDS, "expected": 3,
    }  # fmt: skip
    about: dict[str, Any] = {"body": trajectory.body, "metadata": trajectory.metadata}
    with TrajectoryWriter(path, 15, **kept, **about, totals=TOTALS) as writer:
        write(writer, trajectory, range(7))
    for totals in ((), ("kinetic",), ("kinetic", "error")):
        with pytest.raises(ValueError, match=r"and totals \['elastic', 'kinetic'\], expected"):
            TrajectoryWriter(path, 15, **kept, totals=totals, append=True)
    with TrajectoryWriter(path, 15, **kept, totals=TOTALS[::-1], append=True) as writer:
        writer.rewind(27)
        write(writer, trajectory, range(6, 12))
    assert same(Trajectory.load(path), trajectory)


def test_following_totals_while_they_are_written(tmp_path: Path) -> None:
    trajectory, path = totalled(moving(9)), tmp_path / "a.vtkhdf"
    with TrajectoryWriter(path, 4, fields=FIELDS, totals=TOTALS, expected=20) as writer:
        write(writer, trajectory, range(2))
        with TrajectoryReader(path) as reader:
            assert np.array_equal(reader.totals["kinetic"], trajectory.totals["kinetic"][:2])
            write(writer, trajectory, range(2, 9))
            reader.refresh()
            assert np.array_equal(reader.totals["kinetic"], trajectory.totals["kinetic"])
            assert reader.frame(5, ["elastic"])["elastic"] == float(trajectory.totals["elastic"][5])
