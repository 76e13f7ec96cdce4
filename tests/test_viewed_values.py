# SPDX-License-Identifier: Apache-2.0
"""The numbers that are shown: fields, their units and ranges, errors, histories, and the clock."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_viewer import falling

from rheograd.engine.trajectory import Trajectory, open_trajectory
from rheograd.viewer import error_totals, playback
from rheograd.viewer.fields import Field, exceeds, scale_of
from rheograd.viewer.looks import Looks
from rheograd.viewer.picked.history import Histories
from rheograd.viewer.picked.picking import Pick
from rheograd.viewer.playback import Playback
from rheograd.viewer.ranges import Ranges
from rheograd.viewer.render import shown_frames
from rheograd.viewer.source import Source
from rheograd.viewer.view import describe


def values_of(run: Any, name: str, frame: int = 0) -> np.ndarray:
    view = describe(run)
    return view.fields[name].values(view.sources[0], frame)


def still(fields: dict[str, Any], count: int = 4, frames: int = 2) -> Any:
    """Points at rest with some fields."""
    x = np.broadcast_to(np.random.default_rng(0).random((count, 3)), (frames, count, 3))
    return SimpleNamespace(x=x, time=np.arange(frames) * 0.1, fields=fields)


class TestFields:
    def test_the_shear_rate_is_that_of_simple_shear_and_none_of_a_spin(self) -> None:
        C = np.zeros((2, 4, 3, 3))
        C[:, 0, 0, 1] = 3.0  # u = 3 y e_x
        C[:, 1, 0, 1], C[:, 1, 1, 0] = 2.0, -2.0  # turns, and does not change shape
        C[:, 2, 1, 1], C[:, 2, 2, 2] = 1.5, -1.5  # drawn along y, sqrt(2 D:D) = 2 * 1.5
        C[:, 3, 2, 0] = -0.5
        np.testing.assert_allclose(values_of(still({"C": C}), "shear rate"), [3.0, 0.0, 3.0, 0.5])

    def test_numbers_and_lengths_that_are_recorded(self) -> None:
        pressure, J = np.array([[-2e3, 1e3, 0, 5e2]] * 2), np.array([[0.9, 1.0, 1.05, 1.0]] * 2)
        heat = np.tile([3.0, 4.0, 12.0], (2, 4, 1))
        view = describe(still({"pressure": pressure, "J": J, "flux": heat}))
        assert view.scale("pressure").label == "pressure [kPa]"
        assert view.scale("pressure").limits == (-2e3, 2e3)  # around 0
        low, high = view.scale("J").limits
        assert (low + high) / 2 == pytest.approx(1.0)  # around no change of volume
        np.testing.assert_allclose(view.fields["|flux|"].values(view.sources[0], 0), 13.0)

    @pytest.mark.parametrize(
        ("unit", "largest", "label", "factor"),
        [
            ("Pa", 99.0, "Pa", 1.0),
            ("Pa", 150.0, "kPa", 1e-3),
            ("Pa", 2e6, "MPa", 1e-6),
            ("Pa", 3e9, "GPa", 1e-9),
            ("m", 0.02, "mm", 1e3),
            ("m", 0.06, "m", 1.0),
            ("m/s", 4e3, "m/s", 1.0),
            ("J", 3e-7, "µJ", 1e6),
            ("1/s", 5e-6, "1/s", 1.0),
        ],
    )
    def test_units_have_the_prefix_that_keeps_numbers_short(
        self, unit: str, largest: float, label: str, factor: float
    ) -> None:
        source = Source(still({}))
        field = Field("a", unit, lambda shown, frame: largest * np.array([0.0, 0.3, 0.8, 1.0]))
        scale = scale_of(field, [source])
        assert (scale.unit, scale.factor) == (label, pytest.approx(factor))
        assert scale.label == f"a [{label}]"
        told = [float(text) for text in scale.tick_labels]
        np.testing.assert_allclose(np.array(told), np.array(scale.ticks) * factor, rtol=1e-5)
        assert scale.limits[0] == 0.0 and largest <= scale.limits[1] * (1 + 1e-9) <= 1.7 * largest

    def test_values_beyond_either_end_of_a_scale(self) -> None:
        source = Source(still({}))
        field = Field("a", "-", lambda shown, frame: np.array([-1.0, 0.0, 0.5, 1.0]), floor=None)
        for limits, out in (((-1, 1), False), ((-2, 3), False), ((-0.5, 1), True), ((-1, 0), True)):
            assert exceeds(scale_of(field, [source], limits), source, 0) is out


class TestErrors:
    def test_the_mean_is_that_of_all_points_and_the_largest_has_its_time(self) -> None:
        first, second = falling(), falling()
        off = np.zeros((11, 64))
        off[3, :16], off[7, 5] = 0.01, 0.04  # most points are where they should be
        second.x = second.x + np.stack([0 * off, off, 0 * off], -1)
        (total,) = error_totals([first, second], titles=["a", "b"])
        assert total.mean == pytest.approx((16 * 0.01 + 0.04) / (11 * 64))
        assert (total.largest, total.when) == pytest.approx((0.04, first.time[7]))

    def test_histories_of_two_points_are_read_together_and_each_is_its_own(self) -> None:
        first, second = falling(), falling()
        by = np.linspace(0, 0.02, 11)[:, None] * np.arange(64)[None]
        second.x = second.x + np.stack([by, 0 * by, 0 * by], -1) / 64
        histories = Histories(describe([first, second]))
        histories.ask("error", [Pick(0, 5), Pick(0, 40, colour=1)])
        histories.finish()
        found = {(line.pick.point, line.panel): line.values for line in histories.lines}
        for point in (5, 40):
            np.testing.assert_array_equal(found[point, 0], 0.0)
            np.testing.assert_allclose(found[point, 1], by[:, point] / 64, atol=1e-15)


class TestRanges:
    def test_that_of_a_frame_is_of_the_frames_shown_of_every_run(self) -> None:
        fine, coarse = falling(21), falling(6)
        coarse.x = coarse.x[0] + 3 * (coarse.x - coarse.x[0])
        view = describe([fine, coarse])
        place = 4
        assert view.frames[1][place] == 1
        _, high = Ranges(view).scale("displacement", place, Looks(span="frame")).limits
        fallen = 3 * 0.5 * 9.8 * 0.04**2
        assert fallen <= high < 1.5 * fallen

    def test_that_of_a_frame_is_found_anew_when_its_values_are_others(self) -> None:
        run, faster = falling(), falling()
        faster.x = faster.x[0] + 10 * (faster.x - faster.x[0])
        view = describe(Trajectory(torch.tensor(run.time), torch.tensor(run.x)))
        ranges, looks = Ranges(view), Looks(span="frame")
        before = ranges.scale("displacement", 5, looks).limits[1]
        view.sources[0].follow(Trajectory(torch.tensor(run.time), torch.tensor(faster.x)))
        view.refill()
        assert ranges.scale("displacement", 5, looks).limits[1] == pytest.approx(10 * before)


def test_what_is_read_of_a_file_is_not_kept_beyond_it(tmp_path: Path) -> None:
    plain = falling(3)
    for k, name in enumerate(("a", "b")):
        run = Trajectory(torch.tensor(plain.time), torch.tensor(plain.x + k))
        run.save(tmp_path / f"{name}.vtkhdf")
    source = Source(tmp_path / "a.vtkhdf")
    np.testing.assert_allclose(source.positions(1), plain.x[1], atol=1e-6)
    source.follow(open_trajectory(tmp_path / "b.vtkhdf"))
    np.testing.assert_allclose(source.positions(1), plain.x[1] + 1, atol=1e-6)


@pytest.mark.parametrize(("flat", "side"), [(None, 0), (2, 1), (0, 2), (1, 3)])
def test_what_is_flat_is_seen_face_to_face(flat: int | None, side: int) -> None:
    run = falling()
    x = run.x * (1.0, 1.0, 0.5)
    if flat is not None:
        x[..., flat] = 0.3
    view = describe(SimpleNamespace(x=x, time=run.time))
    assert view.facing == side


def test_the_timeline_begins_with_the_first_run_to_begin() -> None:
    whole, fine = falling(11), falling(41)
    fine.time = 0.1 + fine.time / 4  # from 0.1 to 0.15 s
    view = describe([whole, fine])
    inner = np.linspace(0.1, 0.15, 41)
    expected = [0, 0.02, 0.04, 0.06, 0.08, *inner, 0.16, 0.18, 0.2]
    np.testing.assert_allclose(view.times, expected)
    own = [source.times[frames] for source, frames in zip(view.sources, view.frames, strict=True)]
    assert np.abs(own[0] - view.times).max() <= 0.01 + 1e-9
    np.testing.assert_allclose(own[1], np.clip(expected, 0.1, 0.15))
    still, late = falling(1), falling(3)
    late.time = late.time + 2.0
    np.testing.assert_allclose(describe([late, still]).times, [0.0, 2.0, 2.1, 2.2])


class TestClock:
    def test_how_fast_time_goes_is_said(self) -> None:
        played = Playback(
            describe(falling()), 0, False
        )  # a frame each 0.02 s, of which 30 a second
        assert played.pace == "0.6x"
        played.press("Up", False)
        assert played.pace == "1.2x"
        played.press("Down", False)
        played.press("Down", False)
        assert played.pace == "0.3x"
        still_picture = falling()
        still_picture.x, still_picture.time = still_picture.x[:1], still_picture.time[:1]
        assert Playback(describe(still_picture), 0, False).pace == ""

    def test_a_long_run_is_over_after_thirty_seconds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [10.0]
        monkeypatch.setattr(playback, "time", SimpleNamespace(perf_counter=lambda: now[0]))
        played = Playback(describe(falling(frames=1800, side=2)), 0, True)
        played.change()
        now[0] += 1.001
        assert played.advance() and played.shown.frame == 60
        assert played.pace == f"{60 * 0.2 / 1799:.2g}x"

    @pytest.mark.parametrize(("frames", "step"), [(900, 1), (901, 2), (1801, 3)])
    def test_a_movie_of_a_long_run_takes_every_other_frame(self, frames: int, step: int) -> None:
        shown = shown_frames(describe(falling(frames, side=2)), 30, None)
        np.testing.assert_array_equal(shown, np.arange(0, frames, step))
