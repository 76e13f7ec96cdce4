# SPDX-License-Identifier: Apache-2.0
"""What a hand does to a live run, held against formulas: springs, sliders, colliders, the mouse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_live import NOTHING, ball, cube, solver

from rheograd.engine.boundaries import Collider, Floor, Motion, Wall
from rheograd.engine.live import LiveRecorder, LiveRun
from rheograd.engine.live.spring import Spring
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box, Sphere
from rheograd.engine.trajectory import TrajectoryReader
from rheograd.materials.elastic import NeoHookean
from rheograd.viewer import display
from rheograd.viewer.drawing.camera import projected
from rheograd.viewer.live import window
from rheograd.viewer.live.hand import Hand
from rheograd.viewer.live.present import put_colliders, view_of
from rheograd.viewer.live.strip import LiveStrip
from rheograd.viewer.live.window import LivePlayback
from rheograd.viewer.stage import Stage, plotter_for

DIAGONAL = 3**0.5
"""Of the domain of `cube` [m]."""


def beyond(friction: float = 0.1, **given: Any) -> Collider:
    """On the other side of the cube than `ball`."""
    return Collider(Sphere(0.12, (0.8, 0.5, 0.5)), friction, **given)


def one_step(run: LiveRun) -> None:
    assert run.advance(span=run.dt) == pytest.approx(run.dt)


class TestSpring:
    """Points of two bodies, 0 to 5 and 6 to 7, of which 0 is held."""

    reach = 1.5
    place = np.random.default_rng(3).uniform(0.0, 0.6, (8, 3))
    speed = np.random.default_rng(4).uniform(-0.5, 0.5, (8, 3))
    mass = np.random.default_rng(5).uniform(0.5, 2.0, 8)

    def pulled(self, by: list[float], dt: float, modulus: float = 1e12) -> tuple[Any, np.ndarray]:
        """The spring and the change of velocities, after a step with the target moved `by`."""
        x, v = torch.tensor(self.place), torch.tensor(self.speed)
        body = torch.tensor([0] * 6 + [1] * 2)
        spring = Spring(x, torch.tensor(self.mass), body, 0, self.reach, modulus)
        assert spring.target == pytest.approx(self.place[0])
        assert spring.where(x) == pytest.approx(self.place[0])
        spring.target = (self.place[0] + by).tolist()
        spring.pull(x, v, dt)
        return spring, v.numpy() - self.speed

    def expected(self, by: list[float], k: float, c: float) -> tuple[np.ndarray, np.ndarray]:
        """The force [N], and the share of each point in its impulse over their mass [1/kg]."""
        square = ((self.place - self.place[0]) ** 2).sum(1) / self.reach**2
        weight = np.where(np.arange(8) < 6, 1.0 - square, 0.0)
        held = weight * self.mass
        assert (weight[:6] > 0.1).all()
        u = held @ self.speed / held.sum()
        return k * np.array(by) - c * u, weight / held.sum()

    def check(self, by: list[float], dt: float, k: float, c: float) -> None:
        spring, change = self.pulled(by, dt)
        force, share = self.expected(by, k, c)
        np.testing.assert_allclose(change, dt * share[:, None] * force, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(spring.impulse[0], dt * force, rtol=1e-9)
        momentum = (self.mass[:, None] * change).sum(0)
        np.testing.assert_allclose(momentum, dt * force, rtol=1e-9)

    def test_a_pull_is_that_of_a_damped_spring_on_points_of_one_body(self) -> None:
        whole = self.mass[:6].sum()
        self.check([0.1, -0.3, 0.2], 1e-3, k=15.0**2 * whole, c=2 * 15.0 * whole)

    def test_of_long_steps_it_is_softer(self) -> None:
        square = ((self.place[:6] - self.place[0]) ** 2).sum(1) / self.reach**2
        held, dt = ((1.0 - square) * self.mass[:6]).sum(), 0.05
        self.check([0.1, -0.3, 0.2], dt, k=0.2 * held / dt**2, c=0.2 * held / dt)

    def test_it_tears_nothing(self) -> None:
        modulus, dt = 30.0, 1e-3
        spring, _ = self.pulled([2.0, 0.0, 0.0], dt, modulus)
        whole = self.mass[:6].sum()
        force, _ = self.expected([2.0, 0.0, 0.0], 15.0**2 * whole, 30.0 * whole)
        most = 0.25 * modulus * np.pi * self.reach**2
        assert np.linalg.norm(force) > 3 * most
        np.testing.assert_allclose(
            spring.impulse[0] / dt, most * force / np.linalg.norm(force), rtol=1e-9
        )


class TestColliders:
    def test_one_follows_its_slider_with_a_lag_and_then_is_there(self) -> None:
        run = LiveRun(cube(ball(), gravity=NOTHING), solver("particles"))
        run.set("collider x", -0.05)
        gap = 0.05
        for _ in range(5):
            one_step(run)
            gap *= 1 - run.dt / 0.05
            assert run.poses()[0][0] == pytest.approx([gap - 0.05, 0.0, 0.0], rel=1e-6)
        assert gap > 1e-3 * DIAGONAL
        run.advance(span=0.3)
        assert run.poses()[0][0] == pytest.approx([-0.05, 0.0, 0.0], abs=1e-12)

    def test_one_is_moved_by_two_diagonals_a_second_at_most(self) -> None:
        run = LiveRun(cube(beyond(), gravity=NOTHING), solver("particles"))
        run.set("collider x", 0.4)
        run.set("collider z", 0.3)
        for _ in range(4):
            one_step(run)
        way = 2 * DIAGONAL * run.time
        assert run.poses()[0][0] == pytest.approx([0.8 * way, 0.0, 0.6 * way], rel=1e-6)

    @pytest.mark.parametrize("kind", ["particles", "explicit"])
    def test_a_hand_moves_one_beside_its_own_motion(self, kind: str) -> None:
        own = Motion(velocity=(0.0, 0.5, 0.0))
        run = LiveRun(cube(beyond(motion=own), gravity=NOTHING), solver(kind))
        run.set("collider x", 0.1)
        run.advance(span=0.26)
        expected = [0.1, 0.5 * run.time, 0.0]
        assert run.poses()[0][0] == pytest.approx(expected, abs=1e-9)
        if kind == "particles":
            rows = run.stepper.model.colliders.position
            at = rows[run.state.step, 0, 0] - rows.new_tensor([0.8, 0.5, 0.5])
        else:
            stepper: Any = run.stepper
            at, _ = stepper.guides[0][0].at(run.time)
            at = at - at.new_tensor([0.8, 0.5, 0.5])
        assert at.tolist() == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize("kind", ["particles", "explicit"])
    def test_each_has_a_friction_of_its_own(self, kind: str) -> None:
        scene = cube(ball(), beyond(0.2), gravity=NOTHING)
        run = LiveRun(scene, solver(kind))
        run.set("collider 2 friction", 0.7)

        def frictions() -> list[float]:
            stepper: Any = run.stepper
            if kind == "particles":
                return stepper.model.colliders.friction[0].tolist()
            return [float(stepper.contacts["collider", k][0].friction) for k in (0, 1)]

        assert frictions() == pytest.approx([0.1, 0.7])
        run.set("young", 9e5)
        assert run.stepper.substeps == 3
        assert frictions() == pytest.approx([0.1, 0.7])

    def test_one_stays_where_it_is_when_steps_become_shorter(self) -> None:
        run = LiveRun(cube(beyond(), gravity=NOTHING), solver("particles"))
        run.set("collider x", 0.1)
        run.advance(span=0.3)
        run.set("young", 9e5)
        assert run.stepper.substeps == 3
        at = run.stepper.model.colliders.position[0, 0, 0]
        assert at.tolist() == pytest.approx([0.9, 0.5, 0.5], abs=1e-9)

    def test_what_is_recorded_of_each_is_its_own_path(self, tmp_path: Path) -> None:
        run = LiveRun(cube(ball(), beyond(), gravity=NOTHING), solver("particles"), every=5)
        recorder = LiveRecorder(run, tmp_path / "seen.vtkhdf")
        run.set("collider 2 z", 0.02)
        paths = [[0.0, 0.0, 0.0]]
        for _ in range(3):
            run.frame()
            paths.append(run.poses()[1][0])
        recorder.close()
        with TrajectoryReader(tmp_path / "seen.vtkhdf") as seen:
            first, second = json.loads(seen.metadata["colliders"])
        assert "path" not in first
        assert second["centre"] == [0.8, 0.5, 0.5]
        np.testing.assert_allclose(second["path"], paths, atol=1e-6)
        assert paths[-1][2] > 0.005

    def test_the_picture_has_each_where_it_is(self) -> None:
        run = LiveRun(cube(ball(), beyond(), gravity=NOTHING), solver("particles"))
        view = view_of(run, None, None)
        run.set("collider 2 y", 0.1)
        run.advance(span=0.3)
        put_colliders(view, run)
        first, second = view.colliders[0]
        assert first["path"][0] == [0.0, 0.0, 0.0]
        assert second["path"][0] == pytest.approx([0.0, 0.1, 0.0], abs=1e-9)
        assert second["turn"][0] == [0.0, 0.0, 0.0, 1.0]


class TestKnobs:
    def test_the_range_of_a_strong_gravity_holds_it(self) -> None:
        run = LiveRun(cube(gravity=(0.0, -50.0, 0.0)), MPMSolver(0.1))
        knob = run.knobs["gravity y"]
        assert (knob.low, knob.start, knob.high) == (-100.0, -50.0, 100.0)
        assert (run.knobs["gravity x"].low, run.knobs["gravity x"].start) == (-100.0, 0.0)

    def test_walls_that_are_alike_share_a_slider_and_the_floor_has_its_own(self) -> None:
        walls = [Floor(friction=0.2), Wall("x-", friction=0.3), Wall("z+", friction=0.3)]
        run = LiveRun(cube(*walls), MPMSolver(0.1))
        run.set("wall friction", 0.9)
        faces = run.stepper.model.walls.friction[0].tolist()
        assert faces == pytest.approx([0.9, 0.0, 0.2, 0.0, 0.0, 0.9])
        run.set("floor friction", 0.5)
        assert run.stepper.model.walls.friction[0, 2] == pytest.approx(0.5)
        apart = LiveRun(cube(walls[0], walls[1], Wall("x+", friction=0.1)), MPMSolver(0.1))
        assert {"floor friction", "wall x- friction", "wall x+ friction"} < set(apart.knobs)

    def test_a_body_is_born_when_the_scene_says_however_short_steps_are(self) -> None:
        cubes = [
            Body(Box((0.2, 0.2, 0.2), (at, 0.6, 0.5)), NeoHookean(1e5, 0.3), 1e3, life=(born, 9.0))
            for at, born in ((0.2, 0.0), (0.8, 0.06))
        ]
        run = LiveRun(Scene(cubes, [Floor()], duration=0.3), solver("particles"))
        for name in ("young", "body young", "young 2", "body young 2"):
            if name in run.knobs:
                run.set(name, 9e5)
        assert run.stepper.substeps == 3
        run.advance(span=0.1)
        second = run.stepper.model.body == 1
        assert float(run.state.v[~second, 1].mean()) == pytest.approx(-9.81 * 0.1, rel=0.03)
        assert float(run.state.v[second, 1].mean()) == pytest.approx(-9.81 * 0.04, rel=0.06)


@contextmanager
def handed(run: LiveRun, preset: int = 1) -> Iterator[tuple[Hand, Any]]:
    """A hand in a picture off screen, and the renderer, seen along z."""
    if not display.render_window():
        pytest.skip("nothing can be drawn here: install libegl1 and libgl1-mesa-dri, or libosmesa6")
    view = view_of(run, None, None)
    plotter = plotter_for(view, (640, 480), off_screen=True)
    try:
        stage = Stage(plotter, view, strip=LiveStrip(plotter.renderers[1], view, 1))
        stage.look(preset)
        plotter.render_window.Render()
        yield Hand(plotter.renderers[0], run, view), plotter.renderers[0]
    finally:
        plotter.close()


class TestHand:
    def test_it_takes_the_nearest_to_the_eye_and_pulls_in_its_plane(self) -> None:
        run = LiveRun(cube(gravity=NOTHING), solver("particles"))
        with handed(run) as (hand, renderer):
            x = run.state.x.numpy()
            eye = np.array(renderer.GetActiveCamera().GetPosition())
            seen = projected(renderer, x) + renderer.GetOrigin()
            middle = np.median(seen, axis=0)
            off = np.linalg.norm(seen - middle, axis=1)
            near = np.flatnonzero(off < off.min() + 4.0)
            front = near[np.linalg.norm(x[near] - eye, axis=1).argmin()]
            assert np.ptp(x[near, 2]) > 0.2  # there are others behind
            assert hand.take(*seen[front].tolist()) == "cube"
            assert run.spring is not None
            assert run.spring.target == pytest.approx(x[front])
            hand.move(seen[front, 0] + 40, seen[front, 1] - 25)
            target = np.array(run.spring.target)
            assert target[2] == pytest.approx(x[front, 2], abs=1e-9)
            at = projected(renderer, target[None])[0] + renderer.GetOrigin()
            np.testing.assert_allclose(at - seen[front], (40, -25), atol=1e-3)
            hand.let_go()
            assert not hand.holds
            assert hand.take(5, 300) == "" and not hand.holds

    def test_particles_are_not_pulled_out_of_the_domain(self) -> None:
        run = LiveRun(cube(gravity=NOTHING), solver("particles"))
        with handed(run) as (hand, renderer):
            seen = projected(renderer, run.state.x.numpy()).mean(0) + renderer.GetOrigin()
            assert hand.take(*seen.tolist()) == "cube"
            assert run.spring is not None
            depth = run.spring.target[2]
            far = np.array([5000.0, 4000.0])
            hand.move(*(seen - far).tolist())
            assert run.spring.target == pytest.approx([0.0, 0.0, depth])
            hand.move(*(seen + far).tolist())
            assert run.spring.target == pytest.approx([1.0, 1.0, depth])


def test_a_live_run_keeps_the_time_that_is_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    run = LiveRun(cube(), solver("particles"))
    now = [50.0]
    monkeypatch.setattr(window, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    playback = LivePlayback(view_of(run, None, None), run, True)
    playback.budget = 1e9  # the run may take all the time it needs
    for _ in range(12):
        now[0] += 0.02
        assert playback.advance()
    assert run.time == pytest.approx(0.24, abs=run.dt)
    assert playback.pace == "1x"
    playback.press("space", False)
    assert playback.pace == ""
    playback.press("space", False)
    playback.press("Down", False)
    playback.press("Down", False)
    now[0] += 100.0
    playback.advance()  # what was missed is not made up for
    assert run.time == pytest.approx(0.24 + 0.1 * 0.25, abs=2 * run.dt)
    begun = run.time
    for _ in range(24):
        now[0] += 0.05
        assert playback.advance()
    assert run.time == pytest.approx(begun + 0.25 * 1.2, abs=2 * run.dt)
    assert playback.pace == "0.25x"
