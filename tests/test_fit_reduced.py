# SPDX-License-Identifier: Apache-2.0
"""A fit whose start an operator finds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from reduced_points import SCOPE, operator_of, thrown

from rheograd.engine.fit.experiment import Experiment
from rheograd.engine.fit.follow import at_times, follow
from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.observations.observation import Positions
from rheograd.engine.reduced.solver import ReducedSolver
from rheograd.engine.scene import Scene
from rheograd.engine.trajectory import Trajectory
from rheograd.scenes import reduced
from rheograd.scenes.reduced import begun_with, held_to_training, started_by_operator

FRAMES = 8


def build(*, young: float) -> Scene:
    return thrown(float(young))


def test_a_search_stays_within_what_was_trained() -> None:
    free = Parameter(start=1e5, lower=1.0, upper=1e9, unit="Pa")
    other = Parameter(start=0.4, lower=0.0, unit="-")
    ranges = {"elasticity.young": (5e3, 2e4), "poisson": (0.3, 0.3)}
    held = held_to_training({"young": free, "friction": other, "poisson": other}, ranges)
    assert held["friction"] is other
    assert held["poisson"] is other, "it was the same in all data"
    assert (held["young"].lower, held["young"].upper) == (5e3, 2e4)
    assert held["young"].start == pytest.approx(2e4 - 0.02 * 1.5e4)
    low = held_to_training({"young": replace(free, start=10.0)}, ranges)["young"]
    assert low.start == pytest.approx(5e3 + 0.02 * 1.5e4)
    inside = held_to_training({"young": replace(free, start=7e3)}, ranges)["young"]
    assert inside.start == 7e3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    operator = operator_of(2)
    operator.stepper.acceleration.fill_(5e-3)
    operator.save(tmp_path / "operator.safetensors")
    return tmp_path / "operator.safetensors"


def made_by(path: Path, interval: float) -> Experiment:
    """What an operator makes of a body of 13 kPa."""
    times = torch.arange(FRAMES, dtype=torch.float64) * interval
    blank = Positions(Trajectory(times, torch.zeros(FRAMES, 1, 3)))
    (motion,) = follow([build(young=1.3e4)], ReducedSolver.load(path), blank)
    return Experiment(Positions(motion))


FULL = MPMSolver(SCOPE.cell)
ASKED = {"young": Parameter(2.5e4, 1e3, 1e6, "Pa")}


@pytest.mark.parametrize("interval", [SCOPE.frame, 0.97 * SCOPE.frame, 0.3 * SCOPE.frame])
def test_the_start_is_where_the_operator_ends(
    path: Path, interval: float, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a motion that it made itself, whatever its frames: the bounds stay as they were."""
    monkeypatch.setattr(reduced, "_misfits", lambda *_: [1.0, 2.0])
    seen = [made_by(path, interval)]
    found = started_by_operator(path, build, FULL, seen, ASKED)["young"]
    assert (found.lower, found.upper, found.unit) == (1e3, 1e6, "Pa")
    assert found.start == pytest.approx(1.3e4, rel=1e-2)
    said = capsys.readouterr().err
    assert "by the operator young = 1.3" in said and said.endswith("from there on in full\n")


def test_an_operator_that_leads_away_is_not_followed(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The motion is one in full, of which the operator knows nothing."""
    times = torch.arange(FRAMES, dtype=torch.float64) * SCOPE.frame
    blank = Positions(Trajectory(times, torch.zeros(FRAMES, 1, 3)))
    (motion,) = follow([build(young=1.4e4)], FULL, blank)
    asked = {"young": replace(ASKED["young"], start=1.4e4)}
    found = started_by_operator(path, build, FULL, [Experiment(Positions(motion))], asked)
    assert found == asked
    said = capsys.readouterr().err
    assert "no better than the start young = 1.4e+04: that is taken" in said
    far = {"young": replace(ASKED["young"], start=9e5)}
    found = started_by_operator(path, build, FULL, [Experiment(Positions(motion))], far)
    assert found["young"].start < 2e4, "any value that was trained is better than that"


def test_motions_at_other_times() -> None:
    times = torch.tensor([0.0, 0.1, 0.3], dtype=torch.float64)
    x = torch.tensor([[0.0, 0.0, 1.0], [0.2, 0.0, 1.0], [0.4, 1.0, 1.0]])[:, None]
    motion = Trajectory(times, x, v=2 * x, fields={"F": x[..., None] * torch.eye(3)})
    found = at_times(motion, torch.tensor([0.0, 0.05, 0.2, 0.3], dtype=torch.float64))
    expected = torch.tensor([[0.0, 0, 1], [0.1, 0, 1], [0.3, 0.5, 1], [0.4, 1, 1]])[:, None]
    torch.testing.assert_close(found.x, expected)
    assert found.v is not None
    torch.testing.assert_close(found.v, 2 * expected)
    torch.testing.assert_close(found.fields["F"], expected[..., None] * torch.eye(3))


def test_a_fit_that_is_resumed_starts_as_it_began(tmp_path: Path) -> None:
    assert begun_with(tmp_path, ASKED) is None
    told = {"kind": "parameters", "parameters": {"young": {"start": "13000.5"}}}
    (tmp_path / "config.json").write_text(json.dumps(told))
    assert begun_with(tmp_path, ASKED) == {"young": replace(ASKED["young"], start=13000.5)}
    other = {"poisson": ASKED["young"]}
    assert begun_with(tmp_path, other) == other, "a fit of something else: it will be refused"


def test_laws_are_not_fitted_by_operators(
    tiny_operator: Path, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    said = refuse("fit", "drop", "seen.npz", "--reduced", tiny_operator, "--out", tmp_path / "fit")
    assert said == "--reduced needs --parameters: an operator fits numbers, not laws"
