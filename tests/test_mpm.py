# SPDX-License-Identifier: Apache-2.0
"""The MPM step: conservation, contact against closed forms, worlds, life spans, its errors."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trimesh
from torch import Tensor

from rheograd.engine.boundaries import (
    Collider,
    Floor,
    Grip,
    HalfSpace,
    Motion,
    Wall,
    box_walls,
)
from rheograd.engine.errors import GradientError, SimulationError
from rheograd.engine.mpm import MPMModel, MPMSolver
from rheograd.engine.mpm.segments import segments
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box, Capsule, MeshShape, Particles, Shape, Sphere
from rheograd.engine.solver import Checkpoint
from rheograd.engine.state import State
from rheograd.materials.elastic import Corotated, NeoHookean
from rheograd.materials.law import ConstitutiveLaw

SOLVER = MPMSolver(0.05, 5e-4, precision="float64")
LAW = Corotated(1e5, 0.3)
NOWHERE = (0.0, 0.0, 0.0)


def block(law: ConstitutiveLaw = LAW, center: tuple[float, float, float] = (0.5, 0.5, 0.5)) -> Body:
    return Body(Box((0.2, 0.2, 0.2), center), law, 1000.0)


def mass(model: MPMModel) -> Tensor:
    return (model.density * model.volume)[:, None]


def run(scene: Scene, steps: int, solver: MPMSolver = SOLVER) -> tuple[MPMModel, State, State]:
    model = solver.discretize(scene)
    start = solver.start(model)
    return model, start, solver.rollout(model, start, steps).last


def test_free_flight_keeps_momentum_and_follows_the_parabola() -> None:
    body = replace(block(), velocity=(0.5, 1.0, -0.3), spin=(1.0, -2.0, 3.0))
    model, start, end = run(Scene([body]), 100)
    t, g = end.time, torch.tensor([0.0, -9.81, 0.0], dtype=torch.float64)
    m = mass(model)
    momentum, before = (m * end.v).sum(0), (m * start.v).sum(0)
    assert torch.allclose(momentum, before + m.sum() * g * t, rtol=0, atol=1e-10)
    centre, first = (m * end.x).sum(0) / m.sum(), (m * start.x).sum(0) / m.sum()
    # symplectic Euler: the sum of k dt^2 g for k = 1 .. n
    expected = first + before / m.sum() * t + 0.5 * g * t * (t + model.dt)
    assert torch.allclose(centre, expected, rtol=0, atol=1e-12)


def test_angular_momentum_is_kept_by_apic() -> None:
    body = replace(block(), spin=(0.5, -1.0, 2.0))
    model = SOLVER.discretize(Scene([body], gravity=NOWHERE))
    # an affine start: C is the velocity gradient of the rotation
    w = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    C = torch.zeros(model.n, 3, 3, dtype=torch.float64)
    C[:, 2, 1] = w[0]
    C[:, 1, 2] = -w[0]
    C[:, 0, 2] = w[1]
    C[:, 2, 0] = -w[1]
    C[:, 1, 0] = w[2]
    C[:, 0, 1] = -w[2]
    eye = torch.eye(3, dtype=torch.float64).repeat(model.n, 1, 1)
    start = SOLVER.state(model, model.x0, model.v0, eye, C=C)

    def spin(state: State) -> Tensor:
        m = mass(model)
        own = SOLVER.cell**2 / 4 * m[:, :, None] * (state.carry["C"] - state.carry["C"].mT)
        skew = torch.stack([own[:, 2, 1], own[:, 0, 2], own[:, 1, 0]], 1).sum(0)
        return (m * torch.linalg.cross(state.x, state.v)).sum(0) + skew

    end = SOLVER.rollout(model, start, 100).last
    assert torch.allclose(spin(end), spin(start), rtol=1e-9)


def test_a_resting_block_stays_at_rest_without_gravity() -> None:
    _, start, end = run(Scene([block()], gravity=NOWHERE), 200)
    assert float((end.x - start.x).abs().max()) == 0.0


@pytest.mark.parametrize("friction", [0.1, 0.3])
def test_sliding_slows_by_the_coulomb_coefficient(friction: float) -> None:
    """A block on the floor with speed u loses mu g t, as long as it slides."""
    speed = 1.5
    law = Corotated(2e5, 0.0)
    body = Body(Box((0.2, 0.2, 0.2), (0.3, 0.1, 0.5)), law, 1000.0, (speed, 0.0, 0.0))
    solver = replace(SOLVER, dt=2e-4)
    model, _, end = run(Scene([body], [Floor(friction=friction)]), 1000, solver)
    m = mass(model)
    velocity = float((m * end.v).sum(0)[0] / m.sum())
    assert velocity == pytest.approx(speed - friction * 9.81 * end.time, abs=0.02 * speed)


def test_a_steep_ramp_lets_go_and_a_flat_one_holds() -> None:
    """Against the Coulomb angle: a = g (sin a - mu cos a) above it, rest below."""
    friction = 0.3
    for angle in (10.0, 30.0):
        a = math.radians(angle)
        down, normal = (math.cos(a), -math.sin(a), 0.0), (math.sin(a), math.cos(a), 0.0)
        # gravity is turned, not the ramp, so that the block lies flat on the floor
        gravity = (9.81 * math.sin(a), -9.81 * math.cos(a), 0.0)
        assert down[1] < 0 < normal[1]
        body = Body(Box((0.2, 0.1, 0.2), (0.3, 0.05, 0.5)), Corotated(4e5, 0.0), 1000.0)
        floor = Floor(friction=friction)
        model, _, end = run(Scene([body], [floor], gravity=gravity), 1500, replace(SOLVER, dt=2e-4))
        m = mass(model)
        found = float((m * end.v).sum(0)[0] / m.sum())
        pull = max(0.0, 9.81 * (math.sin(a) - friction * math.cos(a)))
        assert found == pytest.approx(pull * end.time, abs=0.03), angle


@pytest.mark.parametrize(
    "shape",
    [Sphere(0.2, (0.5, 0.3, 0.5)), Box((0.4, 0.4, 0.4), (0.5, 0.3, 0.5)),
     Capsule(0.2, 0.2, (0.5, 0.2, 0.5), (0.0, 0.0, 0.5 * math.pi)), HalfSpace((0.0, 0.5, 0.0))],
    ids=lambda s: type(s).__name__,
)  # fmt: skip
def test_no_particle_sinks_far_into_a_collider(shape: Shape | HalfSpace) -> None:
    body = Body(Box((0.15, 0.15, 0.15), (0.5, 0.6, 0.5)), LAW, 1000.0, (0.0, -1.0, 0.0))
    _, _, end = run(Scene([body], [Collider(shape)]), 400)
    lowest = float(end.x[:, 1].min())
    assert lowest > 0.5 - 1.5 * SOLVER.cell
    assert float(end.x[:, 1].mean()) < 0.62
    assert bool(torch.isfinite(end.v).all())


def test_a_mesh_collider_acts_as_the_box_it_is(tmp_path: Path) -> None:
    """Away from the grid's planes, where a node on a face or an edge is nobody's for sure."""
    box = Box((0.42, 0.41, 0.43), (0.504, 0.3, 0.507))
    surface = box.surface()
    path = tmp_path / "box.stl"
    trimesh.Trimesh(surface.vertices.numpy(), surface.triangles.numpy()).export(path)
    body = Body(Box((0.15, 0.15, 0.15), (0.5, 0.6, 0.5)), LAW, 1000.0, (0.3, -1.0, 0.0))
    ends = [
        run(Scene([body], [Collider(shape, 0.2)]), 300)[2].x for shape in (box, MeshShape(path))
    ]
    assert float((ends[0] - ends[1]).abs().max()) < 1e-5


def test_a_grip_moves_what_it_holds() -> None:
    bar = Body(Box((0.4, 0.1, 0.1), (0.5, 0.5, 0.5)), LAW, 1000.0)
    jaw = Grip(Box((0.1, 0.2, 0.2), (0.3, 0.5, 0.5)), Motion(velocity=(-0.2, 0.0, 0.0)))
    hold = Grip(Box((0.1, 0.2, 0.2), (0.7, 0.5, 0.5)))
    _, start, end = run(Scene([bar], [jaw, hold], gravity=NOWHERE), 400)
    left = start.x[:, 0] < 0.33
    right = start.x[:, 0] > 0.67
    moved = (end.x - start.x)[:, 0]
    assert torch.allclose(moved[left], torch.tensor(-0.04, dtype=torch.float64), atol=2e-3)
    assert float(moved[right].abs().max()) < 1e-3


def test_worlds_are_the_runs_that_they_stand_for() -> None:
    scenes = [
        Scene([replace(block(), velocity=(u, 0.0, 0.0))], [Floor(friction=f)])
        for u, f in ((0.5, 0.0), (1.0, 0.4), (-0.2, 0.1))
    ]
    model = SOLVER.discretize(scenes)
    together = SOLVER.rollout(model, SOLVER.start(model), 300).last.x
    alone = torch.cat([run(scene, 300)[2].x for scene in scenes])
    assert torch.equal(together, alone)


def test_segments_are_stretches_of_the_run() -> None:
    """With a moving collider and bodies that come and go, so that the clock matters."""
    paddle = Collider(Box((0.1, 0.3, 0.3), (0.25, 0.5, 0.5)), motion=Motion((0.6, 0.0, 0.0)))
    late = replace(block(center=(0.5, 0.8, 0.5)), life=(0.01, 1.0))
    scene = Scene([block(), late], [paddle], gravity=(0.0, -2.0, 0.0), duration=0.1)
    model = SOLVER.discretize(scene)
    states = [SOLVER.start(model)]
    for _ in range(4):
        states.append(SOLVER.rollout(model, states[-1], 40).last)
    cut = segments(model, [0, 40, 120], 40)
    picked = [states[0], states[1], states[3]]
    begin = SOLVER.state(
        cut, torch.cat([s.x for s in picked]), torch.cat([s.v for s in picked]),
        torch.cat([s.F for s in picked]), C=torch.cat([s.carry["C"] for s in picked]),
    )  # fmt: skip
    end = SOLVER.rollout(cut, begin, 40).last
    expected = torch.cat([states[k].x for k in (1, 2, 4)])
    assert torch.allclose(end.x, expected, rtol=0, atol=1e-12)


def test_a_body_waits_for_its_life() -> None:
    body = replace(block(), life=(0.01, 0.02), velocity=(0.0, 0.0, 0.0))
    model = SOLVER.discretize(Scene([body]))
    start = SOLVER.start(model)
    before = SOLVER.rollout(model, start, 20).last
    during = SOLVER.rollout(model, before, 20).last
    after = SOLVER.rollout(model, during, 20).last
    assert torch.equal(before.x, start.x)
    assert float((during.x - before.x)[:, 1].max()) < 0.0
    assert torch.equal(after.x, during.x)


def test_float32_and_float64_agree() -> None:
    scene = Scene([replace(block(), velocity=(0.5, -1.0, 0.2))], box_walls(friction=0.2))
    ends = [
        run(scene, 400, replace(SOLVER, precision=p))[2].x.double() for p in ("float32", "float64")
    ]
    assert float((ends[0] - ends[1]).abs().max()) < 1e-4


def test_gradients_of_a_thousand_steps_from_rest_are_finite() -> None:
    """All singular values are equal at the start: nothing may be masked, nothing may be NaN."""
    law = NeoHookean(5e4, 0.3)
    scene = Scene([Body(Sphere(0.12, (0.5, 0.3, 0.5)), law, 1000.0)], [Floor(friction=0.3)])
    solver = MPMSolver(0.05, 5e-4)
    model = solver.discretize(scene)
    out = solver.rollout(model, solver.start(model), 1000, observe=[1000], adjoint=Checkpoint(50))
    out.x.square().sum().backward()
    gradients = [p.grad for p in law.parameters() if p.grad is not None]
    assert len(gradients) == 2
    assert all(bool(torch.isfinite(g)) and float(g) != 0.0 for g in gradients)


class TestErrors:
    """Each failure is one sentence with what came, what was expected and what to do."""

    def test_step_over_the_acoustic_limit(self) -> None:
        with pytest.raises(ValueError, match=r"CFL limit.*body \(corotated\).*take dt <="):
            SOLVER.discretize(Scene([block(Corotated(1e9, 0.3))]))

    def test_density(self) -> None:
        for value in (0.0, -5.0):
            with pytest.raises(ValueError, match="density of body must be positive"):
                Body(Box((1.0, 1.0, 1.0)), LAW, value)

    def test_particles_outside(self) -> None:
        with pytest.raises(ValueError, match=r"outside the domain.*move the body or enlarge"):
            SOLVER.discretize(Scene([block(center=(0.95, 0.5, 0.5))]))

    def test_particles_inside_a_collider(self) -> None:
        with pytest.raises(ValueError, match="inside a collider"):
            SOLVER.discretize(Scene([block()], [Collider(Sphere(0.1, (0.5, 0.5, 0.5)))]))

    def test_few_particles_warn(self) -> None:
        with pytest.warns(UserWarning, match="particles a cell"):
            replace(SOLVER, particles_per_cell=1).discretize(Scene([block()]))

    def test_a_domain_of_broken_cells(self) -> None:
        with pytest.raises(ValueError, match="whole number of cells"):
            SOLVER.discretize(Scene([block()], domain=Domain((0.0, 0.0, 0.0), (1.0, 1.0, 1.02))))

    def test_an_exploding_run_names_step_particle_and_cause(self) -> None:
        solver = replace(SOLVER, dt=4e-3)
        wild = Scene([replace(block(NeoHookean(1e5, 0.3)), velocity=(0.0, -20.0, 0.0))])
        model = solver.discretize(wild)
        with pytest.raises(SimulationError, match=r"step \d+, particle \d+ \(body, material"):
            solver.rollout(model, solver.start(model), 400)

    def test_a_failed_run_leaves_nothing_behind(self) -> None:
        solver = replace(SOLVER, dt=4e-3)
        model = solver.discretize(Scene([block(NeoHookean(1e5, 0.3))]))
        start = solver.start(model)
        good = solver.rollout(model, start, 3).last.x
        with pytest.raises(SimulationError):
            solver.rollout(model, replace(start, v=start.v * float("nan")), 3)
        assert torch.equal(solver.rollout(model, start, 3).last.x, good)

    def test_leaving_through_an_open_wall(self) -> None:
        body = replace(block(), velocity=(4.0, 0.0, 0.0))
        scene = Scene([body], [Wall("x+", "open")], gravity=NOWHERE)
        model = SOLVER.discretize(scene)
        with pytest.raises(SimulationError, match="left the grid"):
            SOLVER.rollout(model, SOLVER.start(model), 400)

    def test_a_bad_gradient_names_step_and_kernel(self) -> None:
        model = SOLVER.discretize(Scene([block()]))
        start = SOLVER.start(model)
        x = start.x.clone().requires_grad_()
        out = SOLVER.rollout(model, replace(start, x=x), 5, observe=[5], adjoint=Checkpoint())
        with pytest.raises(GradientError, match=r"not finite at step \d+, behind"):
            (out.x * float("nan")).sum().backward()


def test_given_particles_keep_their_volume() -> None:
    x = 0.4 + 0.2 * torch.rand(50, 3, dtype=torch.float64)
    volumes = torch.rand(50, dtype=torch.float64) * 1e-5
    model = SOLVER.discretize(Scene([Body(Particles(x, volumes), LAW, 500.0)]))
    assert torch.allclose(model.volume, volumes)
    assert torch.allclose(model.density, torch.tensor(500.0, dtype=torch.float64))


def test_a_failed_run_leaves_no_numbers_where_nothing_is() -> None:
    """A node without mass keeps its velocity, and zero times one that is not finite is neither."""
    solver = MPMSolver(0.125, 1e-3, precision="float64")
    x, volume = torch.full((1, 3), 0.5625).double(), torch.tensor([1e-4]).double()
    body = Body(Particles(x, volume), LAW, 1000.0)
    model = solver.discretize(Scene([body], gravity=NOWHERE, domain=Domain((0, 0, 0), (1, 1, 1))))
    start = solver.start(model)
    good = solver.rollout(model, start, 2).last.x
    for d in (-0.125, 0.125):
        with pytest.raises(SimulationError):
            solver.rollout(model, replace(start, x=start.x + d, v=start.v * float("nan")), 2)
        assert torch.equal(solver.rollout(model, start, 2).last.x, good)
