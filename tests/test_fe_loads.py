# SPDX-License-Identifier: Apache-2.0
"""Loads, holds and joints of meshes, each by what it does to a small body; the length of steps."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from finite_elements import NOTHING, block

from rheograd.engine.boundaries import Grip, Motion, Wall
from rheograd.engine.errors import SimulationError
from rheograd.engine.fem.integrators import CentralDifferences, GeneralizedAlpha, Newmark, Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import BodyForce, Displacement, Fixed, Traction
from rheograd.engine.mesh.generators import box
from rheograd.engine.scene import Body, Scene
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint
from rheograd.materials.composition import Damped
from rheograd.materials.elastic import Corotated, NeoHookean, StVenantKirchhoff

MOST = 7


def test_tractions_that_differ_act_each_on_its_own_sides() -> None:
    """Two in one world, and one in each of two worlds: the support bears their sum."""
    mesh = block("hex8", (2, 1, 1))  # 1.0 x 1.0 x 0.5: both sides have 0.5 m²
    first, second = (10.0, -200.0, 30.0), (-40.0, 5.0, 70.0)
    both = torch.tensor([first, second], dtype=torch.float64)
    law = NeoHookean(1e4, 0.3)

    def pulled(*loads: Traction) -> Scene:
        return Scene([Body(mesh, law, 1e3)], [Fixed("x-"), *loads], gravity=NOTHING)

    solver = FESolver(integrator=Static(1))
    out = simulate(pulled(Traction("x+", first), Traction("y+", second)), solver)
    found = out.fields["reaction"][-1].sum(0)
    assert found.tolist() == pytest.approx((-0.5 * both.sum(0)).tolist(), abs=1e-5)
    model = solver.discretize([pulled(Traction("x+", t)) for t in (first, second)])
    last = solver.rollout(model, solver.start(model), 1).last
    for world in (0, 1):
        found = last.carry["reaction"][model.world == world].sum(0)
        assert found.tolist() == pytest.approx((-0.5 * both[world]).tolist(), abs=1e-5)


def test_the_last_part_of_a_step_is_at_the_whole_load() -> None:
    """A step that is cut back ends where the same step taken whole ends."""
    mesh, law = block("hex8", (2, 1, 1)), Corotated(1e4, 0.3)
    loads = [Fixed("x-"), Traction("y+", (0.0, -600.0, 100.0))]
    scene = Scene([Body(mesh, law, 1e3)], loads, gravity=NOTHING)
    whole = simulate(scene, FESolver(integrator=Static(1), tolerance=1e-11))
    with pytest.raises(SimulationError):
        simulate(scene, FESolver(integrator=Static(1), tolerance=1e-11, iterations=5, cuts=0))
    parts = simulate(scene, FESolver(integrator=Static(1), tolerance=1e-11, iterations=5))
    assert torch.allclose(parts.x[-1], whole.x[-1], rtol=0, atol=1e-9)
    held = parts.fields["reaction"][-1].sum(0)
    assert held.tolist() == pytest.approx([0.0, 300.0, -50.0], abs=1e-6)


def test_parts_of_a_step_have_rates_of_their_own_length() -> None:
    """A damped law in a step cut in halves answers as in two steps."""
    law = Damped(Corotated(1e4, 0.3), 0.2)
    loads = [Fixed("x-"), Traction("y+", (0.0, -1500.0, 300.0))]
    scene = Scene([Body(block("hex8", (2, 1, 1)), law, 1e3)], loads, gravity=NOTHING)

    def ends(steps: int, iterations: int, cuts: int) -> Any:
        solver = FESolver(
            integrator=Static(steps), tolerance=1e-11, iterations=iterations, cuts=cuts
        )
        return simulate(scene, solver).x[-1]

    with pytest.raises(SimulationError):
        ends(1, MOST, 0)
    halves, two = ends(1, MOST, 1), ends(2, 25, 0)
    assert torch.allclose(halves, two, rtol=0, atol=1e-9)


def test_body_force_by_the_size_of_the_body() -> None:
    """The support of a body that is stretched by s bears b s³ V: its slope is 3 b V."""
    mesh = block("hex8", (2, 1, 1))
    size = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    body = Body(replace(mesh, nodes=size * mesh.nodes), NeoHookean(1e4, 0.3), 1e3)
    loads = [Fixed("x-"), BodyForce((0.0, -300.0, 0.0))]
    solver = FESolver(integrator=Static(1), tolerance=1e-12)
    out = simulate(Scene([body], loads, gravity=NOTHING), solver, adjoint=Checkpoint())
    held = out.fields["reaction"][-1, :, 1].sum()
    assert float(held.detach()) == pytest.approx(300.0 * mesh.volume, rel=1e-9)
    (slope,) = torch.autograd.grad(held, size)
    assert float(slope) == pytest.approx(900.0 * mesh.volume, rel=1e-8)


def test_a_spin_turns_by_the_right_hand() -> None:
    """v = w x (x - c), about the centre of the body, beside its velocity."""
    spin, velocity = (1.0, -2.0, 3.0), (0.5, 0.0, -1.0)
    mesh = box((0.4, 0.2, 0.3), (2, 1, 1), corner=(1.0, 2.0, 3.0))
    body = Body(mesh, NeoHookean(1e4, 0.3), 1e3, velocity, spin)
    solver = FESolver(integrator=Newmark(1e-3))
    model = solver.discretize(Scene([body], (), NOTHING))
    arm = model.x0 - torch.tensor([1.2, 2.1, 3.15], dtype=torch.float64)
    a, b, c = spin
    x, y, z = arm.unbind(1)
    expected = torch.stack([b * z - c * y, c * x - a * z, a * y - b * x], 1)
    expected = expected + torch.tensor(velocity, dtype=torch.float64)
    assert torch.allclose(solver.start(model).v, expected, rtol=0, atol=1e-12)


def test_a_grip_turns_about_its_own_centre() -> None:
    """Rodrigues: a quarter turn about z of nodes in a grip that also travels."""
    from rheograd.engine.shapes import Box

    mesh = box((1.0, 1.0, 1.0), (2, 1, 1), corner=(0, 0, 0))
    grip = Grip(Box((0.1, 2.0, 2.0), (1.0, 0.5, 0.5)), Motion((0.3, 0.0, 0.2), (0.0, 0.0, 0.5)))
    body = Body(mesh, NeoHookean(1e4, 0.3), 1e3)
    solver = FESolver(integrator=Static(8))
    model = solver.discretize(Scene([body], [Fixed("x-"), grip], NOTHING, duration=1.0))
    places = model.places(model.moment(0.0, 1.0))
    end = (model.x0[:, 0] - 1.0).abs() < 1e-9
    c, s = math.cos(0.5), math.sin(0.5)
    turn = torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    centre = torch.tensor([1.0, 0.5, 0.5], dtype=torch.float64)
    moved = centre + torch.tensor([0.3, 0.0, 0.2], dtype=torch.float64)
    expected = (model.x0[end] - centre) @ turn.T + moved
    assert torch.allclose(places[end], expected, rtol=0, atol=1e-12)


def test_bodies_that_touch_are_one() -> None:
    """A bar of two welded halves is the bar; halves of other laws share the force."""
    law, loads = NeoHookean(1e4, 0.3), [Traction("x+", (100.0, -50.0, 0.0), body="right")]
    held = Fixed("x-", body="left")
    one = box((2.0, 1.0, 1.0), (4, 2, 2), corner=(0, 0, 0))
    halves = [box((1.0, 1.0, 1.0), (2, 2, 2), corner=(x, 0, 0)) for x in (0, 1)]
    bodies = [Body(m, law, 1e3, name=n) for m, n in zip(halves, ("left", "right"), strict=True)]
    solver = FESolver(integrator=Static(1), tolerance=1e-11)
    whole = simulate(
        Scene([Body(one, law, 1e3)], [Fixed("x-"), replace(loads[0], body=None)], NOTHING), solver
    )
    model = solver.discretize(Scene(bodies, [held, *loads], NOTHING))
    assert model.n == len(one.nodes) < sum(len(m.nodes) for m in halves)
    x = solver.rollout(model, solver.start(model), 1).last.x
    order = (model.x0[:, None] - one.nodes).norm(dim=2).argmin(1)
    assert torch.allclose(x, whole.x[-1][order], rtol=0, atol=1e-9)


def test_a_moved_end_takes_the_rest_along() -> None:
    """The first guess goes along the tangent, from a loaded equilibrium too: few iterations."""
    end = lambda t: torch.stack([0.02 * t, -0.03 * t, 0.0 * t])  # noqa: E731
    loads = [Fixed("x-"), Traction("y+", (0.0, -200.0, 50.0)), Displacement("x+", end)]
    body = Body(block("hex8", (4, 2, 1)), NeoHookean(1e4, 0.3), 1e3)
    solver = FESolver(integrator=Static(4))
    model = solver.discretize(Scene([body], loads, NOTHING))
    last = solver.rollout(model, solver.start(model), 4).last
    assert solver.summary(model, last)["newton_iterations"] <= 9  # 12 without


@pytest.mark.parametrize("kind", [Newmark, GeneralizedAlpha])
def test_motion_that_is_prescribed_and_damped_has_its_order(kind: Any) -> None:
    """Mass-proportional damping acts on what is moved and on what moves along."""
    zero = torch.zeros((), dtype=torch.float64)
    shaken = lambda t: torch.stack([0.2 * torch.sin(40 * t), zero, zero])  # noqa: E731
    mesh = box((2.0, 1.0, 1.0), (2, 1, 1), corner=(0, 0, 0))
    body = Body(mesh, NeoHookean(1e3, 0.3), 1.0)
    scene = Scene([body], [Displacement("x-", shaken)], NOTHING, 0.08)
    ends = []
    for n in (16, 32, 256):
        integrator = kind(dt=scene.duration / n, mass_damping=60.0)
        solver = FESolver(integrator=integrator, tolerance=1e-11)
        model = solver.discretize(scene)
        ends.append(solver.rollout(model, solver.start(model), n).last)
    for pick in (lambda s: s.x, lambda s: s.v):
        coarse, fine = (float((pick(s) - pick(ends[-1])).norm()) for s in ends[:2])
        assert math.log2(coarse / fine) > 1.75


def test_damping_shortens_explicit_steps() -> None:
    """2/w (sqrt(1 + z²) - z) with the damping ratio z = w t / 2 at the frequency w of the mesh."""
    law, time = StVenantKirchhoff(1e6, 0.3), 2e-3
    mesh = box((1.0, 1.0, 1.0), (2, 2, 2))
    limits = []
    for made in (law, Damped(law, time)):
        solver = FESolver(integrator=CentralDifferences(share=1.0))
        limits.append(solver.discretize(Scene([Body(mesh, made, 1e3)], (), NOTHING)).dt)
    w = 2 / limits[0]
    z = 0.5 * w * time
    assert limits[1] == pytest.approx(2 / w * (math.sqrt(1 + z * z) - z), rel=1e-6)
    assert limits[1] < 0.8 * limits[0]


def test_contact_shortens_explicit_steps() -> None:
    """A cube of 2 x 2 x 2 elements of edge h: 1/limit² is that without contact plus a quarter of
    k A / m of a corner, 3/4 h² k by h³ rho / 8."""
    h, rho, factor, law = 0.1, 1e3, 5.0, NeoHookean(1e5, 0.3)
    body = Body(box((0.2, 0.2, 0.2), (2, 2, 2), corner=(0.4, 0.1, 0.4)), law, rho)
    solver = FESolver(integrator=CentralDifferences(share=0.5), contact=factor)
    free, touching = (
        solver.discretize(Scene([body], walls, NOTHING)).dt / 0.5
        for walls in ((), [Wall("y-", "contact")])
    )
    k = factor * law.wave_modulus() / math.sqrt(24 * h**2 / 26)
    expected = 2 / math.sqrt((2 / free) ** 2 + 6 * k / (rho * h))
    assert touching == pytest.approx(expected, rel=1e-9)
    assert touching < 0.8 * free
