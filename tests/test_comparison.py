# SPDX-License-Identifier: Apache-2.0
"""The error of a run against another one, whose points are others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rheograd.engine.cells import Cells
from rheograd.engine.trajectory import Trajectory
from rheograd.scenes.cli import main
from rheograd.viewer import display, error_totals, screenshot
from rheograd.viewer.comparison import Comparison
from rheograd.viewer.source import sources_of
from rheograd.viewer.view import describe

CORNER = np.array([0.3, 0.4, 0.35])
SLOPE = np.array([[0.3, 0.8, -0.2], [0.1, -0.4, 0.5], [-0.6, 0.2, 0.7]])
DRIFT = np.array([0.4, -1.0, 0.2])
OFFSET = np.array([0.02, 0.0, -0.01])


def lattice(side: int, size: float = 0.3, corner: np.ndarray = CORNER) -> np.ndarray:
    """Centres of side³ cells that fill a cube, shape (side³, 3)."""
    place = (np.arange(side) + 0.5) * size / side
    return corner + np.stack(np.meshgrid(place, place, place, indexing="ij"), -1).reshape(-1, 3)


def affine(rest: np.ndarray, times: np.ndarray, **changes: Any) -> Any:
    """Points that move affinely, and linearly in time."""
    x = rest + times[:, None, None] * (rest @ SLOPE.T + DRIFT)
    return SimpleNamespace(**{"x": x, "time": times, **changes})


def later(rest: np.ndarray, times: np.ndarray, **changes: Any) -> Any:
    """The same with an offset that grows in time."""
    found = affine(rest, times, **changes)
    found.x = found.x + times[:, None, None] * OFFSET
    return found


TIMES = np.linspace(0.0, 0.5, 6)


class TestError:
    @pytest.mark.parametrize(("mine", "theirs"), [(5, 8), (8, 5)])
    def test_is_the_offset_whatever_the_points(self, mine: int, theirs: int) -> None:
        view = describe([affine(lattice(mine), TIMES), later(lattice(theirs), TIMES)])
        field = view.fields["error"]
        for frame in range(6):
            expected = TIMES[frame] * np.linalg.norm(OFFSET)
            got = field.values(view.sources[1], frame)
            assert got.shape == (theirs**3,)
            np.testing.assert_allclose(got, expected, atol=1e-12)
            np.testing.assert_array_equal(field.values(view.sources[0], frame), 0.0)
        assert view.scale("error").label == "error [mm]"
        assert view.scale("error").limits[0] == 0.0

    def test_at_frames_of_other_times(self) -> None:
        times = np.array([-0.05, 0.0, 0.13, 0.31, 0.5, 0.55, 0.6, 0.7])
        run = later(lattice(7), times)
        run.x[0] = lattice(7)
        view = describe([affine(lattice(5), TIMES), run])
        values = [view.fields["error"].values(view.sources[1], k) for k in range(8)]
        for k in range(1, 6):  # at 0.55 s no frame of the first is due yet
            np.testing.assert_allclose(values[k], times[k] * np.linalg.norm(OFFSET), atol=1e-12)
        for k in (0, 6, 7):
            assert np.isnan(values[k]).all()

    def test_between_frames_the_first_moves_along_straight_lines(self) -> None:
        rest, times = lattice(5), np.array([0.0, 0.1, 0.4])
        first = affine(rest, times)
        first.x[1] += [0.0, 0.0, 0.3]
        view = describe([first, affine(lattice(6), np.array([0.0, 0.05, 0.2]))])
        values = [view.fields["error"].values(view.sources[1], k) for k in range(3)]
        for got, expected in zip(values, (0.0, 0.15, 0.2), strict=True):
            np.testing.assert_allclose(got, expected, atol=1e-12)

    def test_listens_to_points_of_the_same_body_only(self) -> None:
        def pair(side: int) -> Any:
            touching = CORNER + np.array([0.3, 0.0, 0.0])
            rest = np.concatenate([lattice(side), lattice(side, corner=touching)])
            body = np.repeat([3, 7], side**3)
            x = rest + TIMES[:, None, None] * np.where(body == 3, 1.0, -1.0)[:, None] * DRIFT
            return SimpleNamespace(x=x, time=TIMES, body=body)

        view = describe([pair(4), pair(5)])
        got = view.fields["error"].values(view.sources[1], 5)
        np.testing.assert_allclose(got, 0.0, atol=1e-12)

    def test_of_the_same_points_is_the_distance_of_the_positions(self) -> None:
        rest, generator = lattice(4), np.random.default_rng(0)
        x = rest + generator.normal(0.0, 0.02, (6, *rest.shape)) * TIMES[:, None, None]
        first = SimpleNamespace(x=x, time=TIMES)
        aside = np.array([0.0, 0.0, 0.01])
        second = SimpleNamespace(x=x[::-1] + aside, time=TIMES)
        second.x[0] = rest + aside
        view = describe([first, second], titles=["truth", "fit"])
        for frame in range(6):
            expected = np.linalg.norm(second.x[frame] - first.x[frame], axis=-1)
            got = view.fields["error"].values(view.sources[1], frame)
            np.testing.assert_allclose(got, expected, atol=1e-15)

    def test_the_same_points_in_another_order(self) -> None:
        order = np.random.default_rng(0).permutation(125)
        first = affine(lattice(5), TIMES)
        second = later(lattice(5)[order], TIMES)
        view = describe([first, second])
        got = view.fields["error"].values(view.sources[1], 5)
        np.testing.assert_allclose(got, 0.5 * np.linalg.norm(OFFSET), atol=1e-12)

    def test_points_that_are_not_seen(self) -> None:
        first, second = affine(lattice(5), TIMES), later(lattice(6), TIMES)
        first.x[:, 7] = np.nan
        second.x[0, 3] = second.x[4, 5] = np.nan
        view = describe([first, second])
        got = view.fields["error"].values(view.sources[1], 4)
        assert np.isnan(got[[3, 5]]).all()
        seen = np.delete(got, [3, 5])
        np.testing.assert_allclose(seen, 0.4 * np.linalg.norm(OFFSET), atol=1e-12)

    def test_particles_against_nodes_of_a_mesh(self) -> None:
        corners = affine(lattice(2, size=0.6, corner=CORNER - 0.15), TIMES)
        cells = Cells("hex8", torch.tensor([[0, 4, 6, 2, 1, 5, 7, 3]]))
        mesh = Trajectory(torch.tensor(TIMES), torch.tensor(corners.x), cells=cells)
        view = describe([mesh, later(lattice(5), TIMES)])
        got = view.fields["error"].values(view.sources[1], 5)
        np.testing.assert_allclose(got, 0.5 * np.linalg.norm(OFFSET), atol=1e-12)

    def test_every_other_run_is_held_to_the_first(self) -> None:
        runs = [affine(lattice(n), TIMES) for n in (4, 5, 6)]
        runs[2].x += TIMES[:, None, None] * OFFSET
        view = describe(runs)
        ends = [view.fields["error"].values(source, 5) for source in view.sources]
        for got, factor in zip(ends, (0.0, 0.0, 0.5), strict=True):
            np.testing.assert_allclose(got, factor * np.linalg.norm(OFFSET), atol=1e-12)

    def test_is_met_by_the_key_that_steps_through_the_fields(self) -> None:
        runs = [affine(lattice(4), TIMES), affine(lattice(5), TIMES)]
        assert list(describe(runs).fields) == ["speed", "displacement", "error", "initial height"]
        assert "error" not in describe(runs[0]).fields

    def test_totals(self) -> None:
        runs = [affine(lattice(5), TIMES, title="full"), later(lattice(6), TIMES)]
        (total,) = error_totals(runs, titles=["full", "preview"])
        off, way = np.linalg.norm(OFFSET), lattice(5) @ SLOPE.T + DRIFT
        assert total.title == "preview"
        assert total.mean == pytest.approx(0.25 * off)
        assert total.largest == pytest.approx(0.5 * off)
        assert total.when == 0.5
        assert total.relative == pytest.approx(off / np.linalg.norm(way, axis=-1).mean())


class TestRefusals:
    @pytest.mark.parametrize(
        ("others", "message"),
        [
            (lambda: [], "a comparison: got one trajectory, expected two or more"),
            (
                lambda: [affine(lattice(6, size=0.4), TIMES)],
                r"comparison with full: got b from \(0.333, 0.433, 0.383\) to .* m at rest,"
                r" expected from \(0.3.* as in full; compare runs of the same bodies",
            ),
            (
                lambda: [affine(lattice(6, corner=CORNER + 0.1), TIMES)],
                r"got b from \(0.425, 0.525, 0.475\)",
            ),
            (
                lambda: [affine(lattice(6), TIMES, body=np.arange(216) % 2)],
                "got b with bodies: 2, expected 1 as in full",
            ),
            (
                lambda: [affine(lattice(6), TIMES), affine(lattice(7, size=0.2), TIMES)],
                "got c from",
            ),
            (
                lambda: [later(lattice(6), np.array([-1.0, 2.0]))],
                "got b with frames from -1 to 2 s, expected some from 0 to 0.5 s",
            ),
        ],
    )
    def test_other_bodies(self, others: Callable[[], list[Any]], message: str) -> None:
        runs = [affine(lattice(5), TIMES), *others()]
        if runs[-1].time[0] < 0:
            runs[-1].x[0] = lattice(6)
        titles = ["full", "b", "c"][: len(runs)]
        view = describe(runs, titles=titles)
        assert "error" not in view.fields
        with pytest.raises(ValueError, match=message):
            describe(runs, titles=titles, field="error")

    def test_weights_are_made_when_needed(self) -> None:
        sources = sources_of([affine(lattice(5), TIMES), affine(lattice(6), TIMES)])
        comparison = Comparison(sources)
        assert not comparison._carried
        comparison.values(sources[1], 3)
        (made,) = comparison._carried.values()
        comparison.values(sources[1], 4)
        assert list(comparison._carried.values()) == [made]


@pytest.fixture
def drawing() -> None:
    """Skip where nothing can be drawn."""
    if not display.render_window():
        pytest.skip("nothing can be drawn here: install libegl1 and libgl1-mesa-dri, or libosmesa6")


def half_off(side: int) -> Any:
    """A cube at rest, of which the upper half moves up."""
    rest = lattice(side)
    upper = rest[:, 1] > 0.55
    return SimpleNamespace(
        x=rest + TIMES[:, None, None] * np.where(upper, 0.2, 0.0)[:, None] * [0.0, 1.0, 0.0],
        time=TIMES,
        metadata={"domain": "[[0, 0, 0], [1, 1, 1]]"},
    )


@pytest.mark.usefixtures("drawing")
def test_a_picture_shows_where_the_error_is() -> None:
    still = affine(lattice(5), np.zeros(1), metadata={"domain": "[[0, 0, 0], [1, 1, 1]]"})
    still.x, still.time = np.repeat(still.x, 6, 0), TIMES
    picture = screenshot([still, half_off(6)], field="error", size=(640, 360)).astype(int)
    panels = picture[40:270, :318], picture[40:270, 322:]
    yellow, purple = (
        [(dominates(panel)).nonzero()[0] for panel in panels]
        for dominates in (
            lambda p: (p[..., 0] > 120) & (p[..., 1] - p[..., 2] > 80),
            lambda p: (p[..., 2] - p[..., 1] > 25) & (p[..., 0] < 120),
        )
    )
    assert len(yellow[0]) == 0 and len(purple[0]) > 300
    assert len(yellow[1]) > 150 and len(purple[1]) > 150
    assert yellow[1].mean() < purple[1].mean() - 10


class TestCommand:
    @pytest.fixture
    def runs(self, tmp_path: Path) -> list[str]:
        """Files of a run, of the same body with an offset, and of another body."""
        made = {
            "full": affine(lattice(5), TIMES),
            "preview": later(lattice(6), TIMES),
            "larger": affine(lattice(6, size=0.4), TIMES),
        }
        for name, run in made.items():
            box = {"domain": json.dumps([[0, 0, 0], [1, 1, 1]])}
            saved = Trajectory(torch.tensor(run.time), torch.tensor(run.x), metadata=box)
            saved.save(tmp_path / f"{name}.vtkhdf")
        return [str(tmp_path / f"{name}.vtkhdf") for name in made]

    @pytest.mark.usefixtures("drawing")
    def test_says_how_large_it_is(
        self, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        picture = str(tmp_path / "error.png")
        words = ["--colour", "error", "--screenshot", picture, "--size", "320,240"]
        assert main(["view", *runs[:2], *words]) == 0
        said = capsys.readouterr().err.splitlines()[1:]  # after what is opened
        off = np.linalg.norm(OFFSET)
        part = off / np.linalg.norm(lattice(5) @ SLOPE.T + DRIFT, axis=-1).mean()
        assert said == [
            f"wrote {picture}",
            f"error of preview against full: mean {250 * off:.3g} mm ({100 * part:.2g} % of the"
            f" distance travelled), largest {500 * off:.3g} mm at 0.5 s",
        ]

    @pytest.mark.usefixtures("drawing")
    def test_says_nothing_of_a_recorded_field_of_that_name(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        x = torch.tensor(affine(lattice(5), TIMES).x)
        kept = {"error": torch.ones(x.shape[:2])}
        Trajectory(torch.tensor(TIMES), x, fields=kept).save(tmp_path / "own.npz")
        picture = str(tmp_path / "error.png")
        words = ["--error", "--screenshot", picture, "--size", "320,240"]
        assert main(["view", str(tmp_path / "own.npz"), *words]) == 0
        assert capsys.readouterr().err.splitlines()[1:] == [f"wrote {picture}"]

    def test_refuses_other_bodies(
        self, runs: list[str], tmp_path: Path, refuse: Callable[..., str]
    ) -> None:
        picture = tmp_path / "error.png"
        said = refuse("view", runs[0], runs[1], "--error", "--colour", "speed")
        assert said == "--error: got --colour speed too, expected one of them"
        said = refuse("view", runs[0], runs[2], "--error", "--screenshot", picture)
        assert said.startswith("comparison with full: got larger from (0.333, 0.433, 0.383) to ")
        assert not picture.exists()
