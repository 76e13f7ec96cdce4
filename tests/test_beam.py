# SPDX-License-Identifier: Apache-2.0
"""The silicone beam: fitted to markers of its own simulation, and to the measured ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchmarks.real_beam import LOAD, Study, predict, study

from rheograd.engine.fit.follow import follow
from rheograd.engine.fit.least_squares import fit_parameters
from rheograd.engine.fit.parameter import Parameter, place
from rheograd.engine.observations.markers import Freedom, Markers, skew
from rheograd.engine.trajectory import Trajectory
from rheograd.scenes import beam

CELL = 0.01
"""Of the fit to what was measured [m]."""
SOLVER = replace(beam.solver(), cell=0.015, dt=1.25e-4)
"""Of the fit to its own simulation, which no cell makes worse; steps of one length, as what the
grid dissipates depends on it."""
STARTS = {
    "young": Parameter(2.6e5, 1.0, math.inf, "Pa"),
    "damping": Parameter(1e-3, 0.0, math.inf, "s"),
}


def filmed(young: float, damping: float, noise: float) -> tuple[Trajectory, torch.Tensor]:
    """A recording as the cameras would make it of a simulated beam, and the beam at rest."""
    rest = SOLVER.discretize(beam.build()).x0.double()
    arms = torch.tensor([[0.012, 0.0, 0.1], [0.0, 0.02, 0.099], [-0.016, -0.02, 0.096]])
    time = torch.arange(26, dtype=torch.float64) / 100
    names = {"markers": json.dumps(["a", "b", "c"])}
    still = Trajectory(time, arms.double().expand(26, 3, 3).clone(), metadata=names)
    exact = Freedom(0.0, 0.0, 0.0, 0.0)
    markers = Markers.bind(still, rest, position=arms.mean(0), freedom=exact, start=beam.HOLD)
    motion = follow([beam.build(young=young, damping=damping)], SOLVER, markers)[0]
    x = markers.predicted(motion, markers.guess)
    turn = torch.linalg.matrix_exp(skew(torch.tensor([0.02, -0.03, 0.04]).double()))
    x = x @ turn.mT + torch.tensor([0.05, 0.03, -0.02]).double()
    held = x[:1].expand(20, 3, 3)
    x = torch.cat([held, x, x[-1:].expand(3, 3, 3)])
    x = x + noise * torch.randn_like(x)
    return Trajectory(torch.arange(len(x)).double() / 100, x, metadata=names), rest


@pytest.mark.slow
def test_stiffness_and_damping_are_recovered_from_markers() -> None:
    """With the pose of the cameras, the arms of the markers and their clock unknown."""
    recording, rest = filmed(3e5, 2e-3, noise=2e-5)
    tip = beam.let_go(recording)
    begin = len(recording) - len(tip)
    assert begin in (19, 20)
    markers = beam.observe(recording, rest, seconds=0.2)
    fit = fit_parameters(beam.build, SOLVER, markers, STARTS, search=0)
    assert fit.values["young"] == pytest.approx(3e5, rel=1e-2)
    assert fit.values["damping"] == pytest.approx(2e-3, rel=1e-2)
    motion = follow(
        [beam.build(**place(fit.values, {}, beam.build))], SOLVER, markers, dt=fit.steps[0]
    )[0]
    assert float(markers.pose(motion).clock) == pytest.approx(1e-2 * (begin - 20), abs=1e-3)


@pytest.fixture(scope="module")
def measured(reference_data: Callable[[str], Path]) -> tuple[Study, Path]:
    folder = reference_data("beam/beam_gravity_V2_a.c3d").parents[1]
    return study(folder, replace(beam.solver(), cell=CELL)), folder


@pytest.mark.slow
def test_fit_to_the_measured_beam(measured: tuple[Study, Path]) -> None:
    done, _ = measured
    assert done.fit.converged
    assert 2.95e5 < done.fit.values["young"] < 3.2e5
    assert 1.5e-3 < done.fit.values["damping"] < 2.6e-3
    assert math.sqrt(done.fit.misfit) < 1.3e-4
    assert all(p.determined for p in done.fit.parameters)


@pytest.mark.slow
def test_setup_of_the_measured_beam(measured: tuple[Study, Path]) -> None:
    """Where the markers are found agrees with their being stuck to the end face."""
    done, _ = measured
    places = done.pose.arms + done.markers.rest[done.markers.patches].mean(1)
    assert float((places[:, 2] - beam.LENGTH).abs().max()) < 0.015
    assert float(places[:, :2].abs().max()) < 0.03
    assert float(done.pose.turn.norm()) < math.radians(8.0)
    assert abs(float(done.pose.clock)) < 5e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gravity_V2_a", "gravity_V2_b"])
def test_prediction_of_the_first_second(measured: tuple[Study, Path], name: str) -> None:
    done, folder = measured
    found = predict(done, name, folder)
    assert found.measured == pytest.approx(7.72, abs=0.05)
    assert abs(found.off) < 0.02
    assert found.share < 0.10


@pytest.mark.slow
def test_prediction_under_a_load(measured: tuple[Study, Path]) -> None:
    done, folder = measured
    found = predict(done, "load52_V2_a", folder, load=LOAD, seat=0.0025)
    assert found.measured == pytest.approx(4.35, abs=0.05)
    assert abs(found.off) < 0.02
    assert found.share < 0.20


def test_swing_of_a_known_signal() -> None:
    time = torch.linspace(0.3, 1.3, 101, dtype=torch.float64)
    signal = 0.05 + 6e-3 * torch.exp(-2.5 * time) * torch.cos(2 * math.pi * 7.7 * time + 0.4)
    found = beam.swing(time, signal, 6.0)
    assert found.frequency == pytest.approx(7.7, rel=1e-6)
    assert found.decay == pytest.approx(2.5, rel=1e-5)
    assert found.rest == pytest.approx(0.05, rel=1e-8)
    assert found.amplitude == pytest.approx(6e-3 * math.exp(-2.5 * 0.3), rel=1e-5)


def test_a_longer_hold_and_a_tilt_are_in_the_scene() -> None:
    scene = beam.build(hold=0.1, tilt=90.0, load=0.05)
    assert scene.duration == pytest.approx(0.1 + beam.DURATION)
    assert torch.allclose(torch.tensor(scene.gravity), torch.tensor([0.0, 0.0, 9.81]), atol=1e-6)
    assert [body.name for body in scene.bodies] == ["beam", "load"]
    load = scene.bodies[1]
    assert float(load.density) * load.shape.volume == pytest.approx(0.05)  # type: ignore[attr-defined]
    assert len(beam.build(hold=0.0).boundaries) == 1
