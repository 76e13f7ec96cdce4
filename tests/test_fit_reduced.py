# SPDX-License-Identifier: Apache-2.0
"""A fit whose start an operator finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from reduced_points import SCOPE, operator_of, thrown

from rheograd.engine.fit.experiment import Experiment
from rheograd.engine.fit.follow import follow
from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.observations.observation import Positions
from rheograd.engine.reduced.solver import ReducedSolver
from rheograd.engine.scene import Scene
from rheograd.engine.trajectory import Trajectory
from rheograd.scenes.reduced import held_to_training, started_by_operator

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


def test_the_start_is_where_the_operator_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a motion that it made itself: the bounds in full stay as they were."""
    operator = operator_of(2)
    operator.stepper.acceleration.fill_(5e-3)
    path = tmp_path / "operator.safetensors"
    operator.save(path)
    times = torch.arange(FRAMES, dtype=torch.float64) * SCOPE.frame
    blank = Positions(Trajectory(times, torch.zeros(FRAMES, 1, 3)))
    (motion,) = follow([build(young=1.3e4)], ReducedSolver.load(path), blank)
    asked = {"young": Parameter(2.5e4, 1e3, 1e6, "Pa")}
    found = started_by_operator(path, build, [Experiment(Positions(motion))], asked)["young"]
    assert (found.lower, found.upper, found.unit) == (1e3, 1e6, "Pa")
    assert found.start == pytest.approx(1.3e4, rel=1e-2)
    assert "by the operator young = 1.3" in capsys.readouterr().err


def test_laws_are_not_fitted_by_operators(
    tiny_operator: Path, tmp_path: Path, refuse: Callable[..., str]
) -> None:
    said = refuse("fit", "drop", "seen.npz", "--reduced", tiny_operator, "--out", tmp_path / "fit")
    assert said == "--reduced needs --parameters: an operator fits numbers, not laws"
