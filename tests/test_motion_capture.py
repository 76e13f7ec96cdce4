# SPDX-License-Identifier: Apache-2.0
"""Markers from .c3d files: names, units, frame rate, gaps and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ezc3d
import numpy as np
import pytest

from rheograd.engine.motion_capture import read_c3d
from rheograd.engine.trajectory import Trajectory


def record(path: Path, x: np.ndarray, *, units: str | None = "mm") -> Path:
    """Write positions (t, n, 3) as a .c3d file."""
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [50.0]
    file["parameters"]["POINT"]["LABELS"]["value"] = tuple(f"m{k}" for k in range(x.shape[1]))
    if units is not None:
        file["parameters"]["POINT"]["UNITS"]["value"] = [units]
    points = np.ones((4, x.shape[1], len(x)))
    points[:3] = x.transpose(2, 1, 0)
    file["data"]["points"] = points
    file.write(str(path))
    return path


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).random((6, 2, 3)) * 100


def test_names_units_and_times(tmp_path: Path, x: np.ndarray) -> None:
    recording = read_c3d(record(tmp_path / "a.c3d", x))
    assert recording.names == ("m0", "m1")
    assert recording.x == pytest.approx(x * 1e-3, rel=1e-6)
    assert recording.time == pytest.approx(np.arange(6) / 50)


def test_gaps(tmp_path: Path, x: np.ndarray) -> None:
    x[2, 1], x[4, 0] = np.nan, 0
    trajectory = Trajectory.load(record(tmp_path / "a.c3d", x))
    assert trajectory.markers == ("m0", "m1")
    gaps = ~trajectory.present.numpy()
    assert np.argwhere(gaps).tolist() == [[2, 1], [4, 0]]
    x[:] = np.nan
    with pytest.raises(ValueError, match="no marker is seen"):
        Trajectory.load(record(tmp_path / "b.c3d", x))


def test_a_unit_is_asked_for(tmp_path: Path, x: np.ndarray) -> None:
    path = record(tmp_path / "a.c3d", x, units=None)
    with pytest.raises(
        ValueError, match=r"does not say its unit of length: give units \(--units\)"
    ):
        read_c3d(path)
    assert read_c3d(path, units="cm").x == pytest.approx(x * 1e-2, rel=1e-6)
    with pytest.raises(ValueError, match="expected one of"):
        read_c3d(path, units="ell")
    with pytest.raises(ValueError, match="unknown unit 'ell'"):
        read_c3d(record(tmp_path / "b.c3d", x, units="ell"))
    with pytest.raises(ValueError, match="is in mm, got units 'm'"):
        read_c3d(record(tmp_path / "c.c3d", x), units="m")


def test_a_frame_rate_is_asked_for(tmp_path: Path, x: np.ndarray) -> None:
    path = record(tmp_path / "a.c3d", x)
    path.write_bytes(path.read_bytes().replace(np.float32(50).tobytes(), bytes(4)))
    with pytest.raises(ValueError, match=r"give frame_rate \(--frame-rate\)"):
        read_c3d(path)
    assert read_c3d(path, frame_rate=10).time[-1] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="positive"):
        read_c3d(path, frame_rate=0)
    with pytest.raises(ValueError, match="says 50 frames a second, got frame_rate=10"):
        read_c3d(record(tmp_path / "b.c3d", x), frame_rate=10)


def test_cut_off_and_empty_files(tmp_path: Path, x: np.ndarray) -> None:
    path = record(tmp_path / "a.c3d", np.tile(x, (100, 1, 1)))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 5000])
    with pytest.raises(ValueError, match=r"cut off: it holds \d+ of 600 frames"):
        read_c3d(path)
    for size in (0, 1, 300, 600):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match="not a readable"):
            read_c3d(path)
    with pytest.raises(FileNotFoundError, match="check the path"):
        read_c3d(tmp_path / "none.c3d")


@pytest.mark.parametrize(
    ("name", "frames"),
    [("beam_gravity_V2_a", 500), ("beam_gravity_V2_b", 500), ("beam_load52_V2_a", 600)],
)
def test_measured_beam(reference_data: Callable[[str], Path], name: str, frames: int) -> None:
    trajectory = Trajectory.load(reference_data(f"beam/{name}.c3d"))
    assert trajectory.x.shape == (frames, 6, 3)
    assert trajectory.markers[0] == "Tip - 1" and trajectory.markers[3] == "Base - 1"
    assert trajectory.frame_rate == pytest.approx(100)
    assert bool(trajectory.present.all())
    length = trajectory.x[0, :3, 2].mean() - trajectory.x[0, 3:, 2].mean()
    assert 0.08 < float(length) < 0.12
