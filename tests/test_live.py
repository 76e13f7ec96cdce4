# SPDX-License-Identifier: Apache-2.0
"""Live runs: a run that is not touched is the run itself, and whatever touches it is felt."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rheograd.engine.boundaries import Collider, Floor, Motion
from rheograd.engine.fem import FESolver
from rheograd.engine.fem.integrators import CentralDifferences, GeneralizedAlpha
from rheograd.engine.live import LiveRecorder, LiveRun
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box, Sphere
from rheograd.engine.simulate import simulate
from rheograd.engine.trajectory import TrajectoryReader
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky, NeoHookean
from rheograd.materials.plastic import VonMises

NOTHING = (0.0, 0.0, 0.0)
SOLVERS: dict[str, Any] = {
    "particles": MPMSolver(0.1, precision="float64"),
    "explicit": FESolver(size=0.1, integrator=CentralDifferences()),
    "implicit": FESolver(size=0.1, integrator=GeneralizedAlpha(2e-3)),
}


def cube(*boundaries: Any, law: Any = None, **given: Any) -> Scene:
    """A cube of jelly over the floor."""
    law = law or NeoHookean(young=1e5, poisson=0.3)
    body = Body(Box((0.3, 0.3, 0.3), (0.5, 0.5, 0.5)), law, 1e3, name="cube")
    return Scene([body], boundaries or [Floor(friction=0.2)], duration=0.3, **given)


def solver(kind: str) -> Any:
    """Without what an earlier test left in it."""
    return replace(SOLVERS[kind])


def ball(**given: Any) -> Collider:
    """Beside the cube."""
    return Collider(Sphere(0.12, (0.2, 0.5, 0.5)), 0.1, **given)


def middle(run: LiveRun) -> Tensor:
    return run.state.x.mean(0)


@pytest.mark.parametrize("kind", SOLVERS)
def test_untouched_it_is_the_run_itself(kind: str) -> None:
    scene = cube(Floor(friction=0.2), ball(motion=Motion(velocity=(0.5, 0.0, 0.0))))
    whole = simulate(scene, solver(kind), steps=12, every=4)
    run = LiveRun(scene, solver(kind), every=4)
    for number in range(4):
        torch.testing.assert_close(run.state.x, whole.x[number], rtol=0, atol=1e-12)
        assert run.time == pytest.approx(float(whole.time[number]))
        run.frame()


@pytest.mark.parametrize("kind", SOLVERS)
def test_a_spring_gives_the_momentum_of_its_impulse(kind: str) -> None:
    scene = cube(law=NeoHookean(young=1e5, poisson=0.3), gravity=NOTHING)
    run = LiveRun(scene, solver(kind))
    mass = run.stepper.mass()
    spring = run.grab(0, radius=0.15)
    assert 4 < len(spring.index) < len(mass)
    start = run.state.x[0].tolist()
    run.drag([start[0] - 0.2, start[1] + 0.1, start[2]])
    for _ in range(5):
        run.advance(span=4 * run.dt)
    momentum = (mass[:, None] * run.state.v).sum(0)
    assert float(momentum.norm()) > 1e-3
    torch.testing.assert_close(momentum, spring.impulse[0], rtol=1e-9, atol=1e-12)
    run.release()
    run.advance(span=8 * run.dt)
    after = (mass[:, None] * run.state.v).sum(0)
    torch.testing.assert_close(after, momentum, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["particles", "explicit"])
def test_what_is_dragged_comes(kind: str) -> None:
    run = LiveRun(cube(gravity=NOTHING), solver(kind))
    top = run.state.x.new_tensor([0.5, 0.65, 0.5])
    point = int((run.state.x - top).norm(dim=1).argmin())
    place = run.state.x[point].tolist()
    run.grab(point)
    run.drag([place[0], place[1] + 0.2, place[2]])
    run.advance(span=0.4)
    assert not run.failure
    assert float(middle(run)[1]) == pytest.approx(0.7, abs=0.05)
    held = run.spring
    assert held is not None
    assert held.where(run.state.x)[1] == pytest.approx(place[1] + 0.2, abs=0.06)


@pytest.mark.parametrize("kind", SOLVERS)
def test_gravity_changes_with_the_next_step(kind: str) -> None:
    run = LiveRun(cube(), solver(kind))
    run.advance(span=0.02)
    down = float(run.state.v[:, 1].mean())
    assert down == pytest.approx(-9.81 * run.time, rel=1e-2)
    begun = run.time
    run.set("gravity y", 15.0)
    run.advance(span=0.02)
    risen = float(run.state.v[:, 1].mean()) - down
    # finite elements take the mean of the accelerations before and after the first step
    assert risen == pytest.approx(15.0 * (run.time - begun), abs=13.0 * run.dt)
    assert run.scene.gravity == (0.0, -9.81, 0.0)


@pytest.mark.parametrize("kind", ["particles", "explicit"])
def test_stiffer_takes_more_steps_and_never_the_callers_law(kind: str) -> None:
    law = Corotated(young=1e5, poisson=0.3)
    run = LiveRun(cube(law=law), solver(kind))
    first, interval = run.dt, run.interval
    run.advance(span=0.1)
    run.set("young", 9e5)
    assert run.stepper.substeps == 3
    assert run.dt == pytest.approx(first / 3)
    assert run.interval == pytest.approx(interval)
    assert run.time == pytest.approx(0.1, abs=first)
    run.advance(span=0.3)
    assert not run.failure
    assert float(run.state.x[:, 1].min()) > -0.05
    assert law.young.item() == 1e5
    run.set("young", 4e4)
    assert run.dt == pytest.approx(first)


def test_a_softer_law_is_pressed_flatter() -> None:
    least = []
    for young in (4e5, 3e4):
        run = LiveRun(cube(law=NeoHookean(1e5, 0.3)), solver("particles"))
        run.set("young", young)
        heights = []
        while run.time < 0.4:
            run.advance(span=0.02)
            heights.append(float(run.state.x[:, 1].max() - run.state.x[:, 1].min()))
        assert not run.failure
        least.append(min(heights))
    assert least[1] < least[0] - 0.03


def test_knobs_of_a_scene() -> None:
    law = ElastoPlastic(Hencky(3e5, 0.25), VonMises(5e3))
    run = LiveRun(cube(Floor(friction=0.2), ball(), law=law), MPMSolver(0.1))
    told = {name: (knob.unit, knob.log) for name, knob in run.knobs.items()}
    assert told == {
        "gravity x": ("m/s²", False), "gravity y": ("m/s²", False), "gravity z": ("m/s²", False),
        "young": ("Pa", True), "poisson": ("-", False), "yield stress": ("Pa", True),
        "floor friction": ("-", False), "collider friction": ("-", False),
        "collider x": ("m", False), "collider y": ("m", False), "collider z": ("m", False),
    }  # fmt: skip
    young = run.knobs["young"]
    assert young.value(young.share(3e5)) == pytest.approx(3e5)
    assert young.value(0.5) == pytest.approx(math.sqrt(young.low * young.high))
    run.set("young", 1e12)
    assert run.values["young"] == young.high
    with pytest.raises(ValueError, match=r"'yuong' \(did you mean young\?\).*one of gravity x"):
        run.set("yuong", 1.0)


@pytest.mark.parametrize("kind", SOLVERS)
def test_a_collider_that_is_moved_pushes(kind: str) -> None:
    run = LiveRun(cube(ball(), gravity=NOTHING), solver(kind))
    run.set("collider x", 0.1)
    run.advance(span=0.25)
    place, turn = run.poses()[0]
    assert place == pytest.approx([0.1, 0.0, 0.0], abs=1e-6)
    assert turn == [0.0, 0.0, 0.0, 1.0]
    # its surface was 0.03 beside the cube, and goes on 0.07 into where that was
    assert float(run.state.v[:, 0].mean()) > 0.1
    assert float(middle(run)[0]) > 0.52
    if kind == "particles":
        at = run.stepper.model.colliders.position[0, 0, 0]
        assert at.tolist() == pytest.approx([0.3, 0.5, 0.5])


@pytest.mark.parametrize("kind", ["particles", "explicit"])
def test_friction_holds_what_slid(kind: str) -> None:
    body = Body(Box((0.3, 0.2, 0.3), (0.5, 0.1, 0.5)), NeoHookean(1e5, 0.3), 1e3, (1.0, 0.0, 0.0))
    speeds = []
    for friction in (0.0, 0.9):
        run = LiveRun(Scene([body], [Floor(friction=0.0)]), solver(kind))
        run.set("floor friction", friction)
        run.advance(span=0.1)
        speeds.append(float(run.state.v[:, 0].mean()))
    assert speeds[0] == pytest.approx(1.0, abs=0.02)
    assert speeds[1] < 0.6


def test_reset_goes_back_and_keeps_or_drops_what_was_set() -> None:
    run = LiveRun(cube(Floor(), ball()), solver("particles"), every=5)
    run.frame()
    first = run.state.x
    run.set("gravity y", 3.0)
    run.set("collider y", 0.2)
    run.set("young", 4e5)
    run.advance(span=0.1)
    run.reset()
    assert (run.time, run.state.step, run.stepper.substeps) == (0.0, 0, 2)
    assert torch.equal(run.state.x, run.begin.x)
    assert run.poses()[0][0] == pytest.approx([0.0, 0.2, 0.0])
    run.reset(knobs=True)
    assert run.values["gravity y"] == -9.81
    run.frame()
    torch.testing.assert_close(run.state.x, first, rtol=0, atol=1e-12)


def test_a_run_that_diverges_says_so_and_can_be_reset() -> None:
    run = LiveRun(cube(), replace(solver("particles"), cfl=0.9))
    run.state = replace(run.state, v=run.state.v + 1e4 * torch.randn_like(run.state.v))
    run.advance(span=0.2)
    assert run.failure.startswith("at ")
    assert "particle" in run.failure
    stopped = run.time
    assert run.advance(span=0.1) == 0.0
    assert run.time == stopped
    run.reset()
    assert run.failure == ""
    run.advance(span=0.05)
    assert run.time == pytest.approx(0.05, abs=run.dt)
    assert bool(torch.isfinite(run.state.x).all())


def test_a_budget_is_kept() -> None:
    import time

    run = LiveRun(cube(), MPMSolver(1 / 40, precision="float32"))
    run.advance(budget=0.02)
    begun = time.process_time()
    gone = run.advance(budget=0.05)
    assert time.process_time() - begun < 0.2
    assert gone > 0.0
    assert run.advance(span=3.5 * run.dt) == pytest.approx(3 * run.dt)


def test_moving_colliders_come_to_rest_with_the_scene() -> None:
    scene = cube(Floor(), ball(motion=Motion(velocity=(0.0, 0.5, 0.0), spin=(0.0, 0.0, 1.0))))
    run = LiveRun(scene, solver("particles"))
    run.set("young", 3e5)
    run.advance(span=0.35)
    rows = run.stepper.model.colliders
    now = min(run.state.step, len(rows.velocity) - 1)
    assert not bool(rows.velocity[now].any())
    assert float(rows.position[now, 0, 0, 1]) == pytest.approx(0.65, abs=1e-3)
    assert run.poses()[0][0][1] == pytest.approx(0.15, abs=2e-3)


def test_solvers_without_steps_in_time_are_refused() -> None:
    from rheograd.engine.boundaries import Wall

    with pytest.raises(ValueError, match="FESolver with load steps for a live run"):
        LiveRun(cube(Wall("y-", "sticky")), FESolver(size=0.1))


def test_what_was_seen_is_recorded_through_a_reset(tmp_path: Path) -> None:
    run = LiveRun(cube(Floor(), ball()), solver("particles"), every=5)
    recorder = LiveRecorder(run, tmp_path / "seen.vtkhdf", fields={"v": 3, "F": (3, 3)})
    for _ in range(4):
        run.frame()
    run.set("collider x", -0.05)
    run.frame()
    run.reset()
    for _ in range(3):
        run.frame()
    last = run.state
    recorder.close()
    run.frame()
    with TrajectoryReader(tmp_path / "seen.vtkhdf") as seen:
        assert len(seen) == recorder.frames == 9
        assert np.all(np.diff(seen.time) > 0)
        assert np.diff(seen.time) == pytest.approx(run.interval)
        frame = seen.frame(-1)
        assert frame["x"] == pytest.approx(last.x.numpy(), abs=1e-6)
        assert frame["F"] == pytest.approx(last.F.numpy(), abs=1e-5)
        assert seen.frame(6)["x"] == pytest.approx(seen.frame(1)["x"], abs=1e-6)
        (sphere,) = json.loads(seen.metadata["colliders"])
    assert sphere["path"][0] == [0.0, 0.0, 0.0]
    assert sphere["path"][4] == [0.0, 0.0, 0.0]
    assert -0.05 < sphere["path"][5][0] < 0.0
    assert sphere["path"][6] == [-0.05, 0.0, 0.0]


def test_a_mesh_is_recorded_too_and_other_files_are_refused(tmp_path: Path) -> None:
    run = LiveRun(cube(), solver("explicit"), every=5)
    recorder = LiveRecorder(run, tmp_path / "mesh.vtkhdf", cell_fields={"stress": (3, 3)})
    run.frame()
    recorder.close()
    with TrajectoryReader(tmp_path / "mesh.vtkhdf") as seen:
        assert len(seen) == 2
        assert seen.cells is not None
        assert seen.frame(1)["stress"].shape == (27, 3, 3)
    with pytest.raises(ValueError, match=r"seen\.npz for a live run, expected a \.vtkhdf file"):
        LiveRecorder(run, tmp_path / "seen.npz")
