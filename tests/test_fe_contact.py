# SPDX-License-Identifier: Apache-2.0
"""Contact of meshes with rigid surfaces: balance, Hertz, friction, bouncing, distances."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from finite_elements import NOTHING
from torch import Tensor

from rheograd.engine.boundaries import Collider, Floor, HalfSpace, Motion, Wall
from rheograd.engine.fem.contact import Contact, _described, nodal_areas
from rheograd.engine.fem.energies import energies, momentum
from rheograd.engine.fem.forces import Place
from rheograd.engine.fem.integrators import (
    BackwardEuler,
    CentralDifferences,
    Integrator,
    Static,
)
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.generators import ball, box
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box, Capsule, Shape, Sphere
from rheograd.engine.solver import Checkpoint
from rheograd.materials.composition import Damped
from rheograd.materials.elastic import NeoHookean, StVenantKirchhoff

STILL = (0.0, 0.0, 0.0)
FLOOR = HalfSpace((0.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def block(divisions: int = 2, height: float = 0.0) -> Any:
    return box((0.2, 0.2, 0.2), (divisions,) * 3, corner=(0.4, height, 0.4))


def contact_forces(solver: FESolver, model: Any, state: Any) -> Tensor:
    """Of all surfaces on all nodes, in all [N], shape (3,)."""
    from rheograd.engine.fem.forces import Place

    at = model.moment(state.time, state.time)
    place = Place(state.x, state.x, model.x0)
    forces = [f.on_nodes(place, f.resolve(at)) for f in model.forces]
    return sum((f.sum(0) for f in forces), torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("element", ["hex8", "tet10", "hex20"])
@pytest.mark.parametrize("touching", [0.0, 1e-9, -1e-9])
def test_floor_bears_the_weight(element: str, touching: float) -> None:
    """A block that lies on a floor and is held sideways only: found from where it just touches."""
    mesh = box((0.2, 0.2, 0.2), (2, 2, 2), element=element, corner=(0.4, touching, 0.4))
    body = Body(mesh, NeoHookean(1e5, 0.3), 1e3)
    sides = [Fixed("x-", "x"), Fixed("z-", "z")]
    solver = FESolver(integrator=Static(2))
    model = solver.discretize(Scene([body], [Floor(), *sides]))
    last = solver.rollout(model, solver.start(model), 2).last
    weight = 1e3 * 0.2**3 * 9.81
    assert float(contact_forces(solver, model, last)[1]) == pytest.approx(weight, rel=1e-7)
    lowest = float(last.x[:, 1].min())
    assert -1e-3 < lowest < touching + 1e-9


def test_press_from_a_gap() -> None:
    """A plate is pushed down on a block through a gap: reaction is minus the contact force."""
    body = Body(block(3, 0.01), NeoHookean(1e5, 0.3), 1e3)
    press = Displacement("y+", (0.0, -0.03, 0.0))
    solver = FESolver(integrator=Static(3))
    model = solver.discretize(Scene([body], [Collider(FLOOR, 0.3), press], STILL))
    last = solver.rollout(model, solver.start(model), 3).last
    force = contact_forces(solver, model, last)[1]
    held = last.carry["reaction"].sum(0)[1]
    assert float(held) == pytest.approx(-float(force), rel=1e-6)
    clamped = 1e5 * 0.04 * 0.02 / 0.2  # without lateral strain it would be more, sliding less
    assert clamped < float(force) < 1.35 * clamped


def hertz(cells: int) -> float:
    """Force on a rigid ball pressed into a large block, by 4/3 E* sqrt(R) d^1.5, less 1."""
    E, nu, depth, size = 1e6, 0.3, 0.0025, 0.7
    mesh = box((1.0, 1.0, 1.0), (cells,) * 3, corner=(0, 0, 0))
    graded = mesh.nodes**2.5 * size
    graded[:, 1] = size * (1 - (1 - mesh.nodes[:, 1]) ** 2.5)
    body = Body(replace(mesh, nodes=graded), StVenantKirchhoff(E, nu), 1e3)
    rigid = Sphere(1.0, (0.0, size + 1.0, 0.0))
    pressed = Collider(rigid, 0.0, Motion((0.0, -depth, 0.0)))
    held = [Fixed("y-"), Fixed("x-", "x"), Fixed("z-", "z")]
    solver = FESolver(integrator=Static(2), contact=50.0)
    model = solver.discretize(Scene([body], [pressed, *held], STILL))
    last = solver.rollout(model, solver.start(model), 2).last
    force = -4 * float(contact_forces(solver, model, last)[1])
    return force / (4 / 3 * E / (1 - nu**2) * depth**1.5) - 1


def test_hertz() -> None:
    """The contact's radius is 0.05: two, then four cells. They are too stiff by their width."""
    coarse, fine = hertz(6), hertz(10)
    assert 0.0 < fine < 0.1
    assert fine < 0.6 * coarse


@pytest.mark.parametrize("integrator", [BackwardEuler(2e-3), CentralDifferences()])
@pytest.mark.parametrize("slope", [0.3, 0.6])
def test_slope(integrator: Integrator, slope: float) -> None:
    """A block sticks below the angle of friction and slides above it with g (sin - mu cos)."""
    scale = 9.81 / math.hypot(1, slope)
    body = Body(block(1), Damped(NeoHookean(1e6, 0.0), 2e-3), 1e3)
    scene = Scene([body], [Collider(FLOOR, 0.4)], (slope * scale, -scale, 0.0), duration=0.3)
    solver = FESolver(integrator=integrator)
    model = solver.discretize(scene)
    settled = round(0.1 / model.dt)
    early = solver.rollout(model, solver.start(model), settled).last
    last = solver.rollout(model, early, 2 * settled).last
    if slope < 0.4:
        # explicit steps creep by less than mu f_n dt / m, here of a node that bears another
        creep = 2e-3 + (1.5 * 0.4 * 2 * scale * model.dt if integrator.explicit else 0.0)
        assert float((last.x - early.x)[:, 0].abs().max()) < creep * (last.time - early.time)
        return
    gained = float((last.v - early.v)[:, 0].mean()) / (last.time - early.time)
    assert gained == pytest.approx((slope - 0.4) * scale, rel=0.02)


def test_bouncing_ball_keeps_its_energy() -> None:
    """By explicit steps at their defaults: what it loses of its fall is in its vibration."""
    mesh = ball(0.1, (2, 1))
    mesh = replace(mesh, nodes=mesh.nodes + torch.tensor([0.5, 0.102, 0.5]))
    body = Body(mesh, NeoHookean(1e5, 0.3), 1e3, (0.0, -1.0, 0.0))
    solver = FESolver(integrator=CentralDifferences())
    model = solver.discretize(Scene([body], [Floor()], STILL, duration=0.1))
    start = solver.start(model)
    last = solver.rollout(model, start, round(0.1 / model.dt)).last
    p0, p1 = (momentum(model, s.v).sum(0) for s in (start, last))
    assert float(contact_forces(solver, model, last)[1]) == 0.0
    assert 0.6 < -float(p1[1] / p0[1]) <= 1.0
    before, after = energies(model, start), energies(model, last)
    assert after["kinetic"] + after["elastic"] == pytest.approx(before["kinetic"], rel=0.005)
    assert after["work"] == pytest.approx(0.0, abs=0.005 * before["kinetic"])


@pytest.mark.parametrize("integrator", [BackwardEuler(1e-3), CentralDifferences()])
def test_piston_pushes(integrator: Integrator) -> None:
    """A surface that speeds up steadily takes a block with it."""
    piston = Collider(
        HalfSpace((0.4, 0.0, 0.0), (1.0, 0.0, 0.0)),
        motion=Motion(lambda t: 5.0 * t[:, None] * torch.tensor([1.0, 0.0, 0.0])),
    )
    law = Damped(NeoHookean(1e6, 0.0), 2e-3)
    solver = FESolver(integrator=integrator)
    model = solver.discretize(Scene([Body(block(1), law, 1e3)], [piston], STILL, duration=0.2))
    last = solver.rollout(model, solver.start(model), round(0.2 / model.dt)).last
    assert float(last.v[:, 0].mean()) == pytest.approx(1.0, rel=0.03)


def test_sticky_walls_hold_in_explicit_steps() -> None:
    """Friction may stop a node, never throw it."""
    body = Body(block(2), NeoHookean(1e5, 0.3), 1e3, (1.0, -1.0, 0.0))
    solver = FESolver(integrator=CentralDifferences())
    model = solver.discretize(Scene([body], [Floor("sticky")], duration=0.05))
    start = solver.start(model)
    last = solver.rollout(model, start, round(0.05 / model.dt)).last
    assert float(last.v.norm(dim=1).max()) < 5.0
    found = energies(model, last)
    assert found["kinetic"] + found["elastic"] < 1.05 * energies(model, start)["kinetic"]


@pytest.mark.parametrize(
    "shape",
    [
        Sphere(0.3, (0.1, 0.2, 0.3)),
        Capsule(0.2, 0.5, (0.1, 0.2, 0.3), (0.3, 0.4, 0.5)),
        Box((0.4, 0.6, 0.8), (0.1, 0.2, 0.3), (0.3, 0.4, 0.5)),
    ],
    ids=lambda s: type(s).__name__,
)
def test_distances(shape: Shape) -> None:
    """To the nearest of many points of the surface, and normals as the slope of that."""
    eye = torch.zeros((), dtype=torch.float64)
    distance, place, turn = _described(shape, eye)
    low, high = shape.bounds
    x = (torch.rand(400, 3).double() - 0.5) * 1.4 * (high - low) + place
    inside = shape.contains(x)  # type: ignore[attr-defined]
    x = x.requires_grad_()
    found, normal = distance((x - place) @ turn)
    vertices, triangles = shape.surface()
    share = torch.rand(60000 // len(triangles), 3).double()
    share = -share.log()
    share = share / share.sum(1, keepdim=True)
    corners = vertices[triangles]
    many = torch.einsum("tcd,sc->tsd", corners, share).reshape(-1, 3)
    brute = torch.cdist(x.detach(), torch.cat([many, vertices])).amin(1)
    assert float((found.detach().abs() - brute).abs().max()) < 0.02
    assert bool(((found < 0) == inside).all())
    assert 20 < int(inside.sum()) < 380
    (slope,) = torch.autograd.grad(found.sum(), x)
    assert float((slope - normal @ turn.T).detach().abs().max()) < 1e-9


@pytest.mark.parametrize("integrator", [BackwardEuler(1e-3), CentralDifferences(5e-4)])
def test_gradients_through_contact_and_friction(integrator: Integrator) -> None:
    """Of friction, colliders' motion, gravity, velocity and nodes, against central differences."""
    law = NeoHookean(1e4, 0.3)
    mesh = block(1, 0.0005)
    values = {
        "friction": torch.tensor(0.3), "speed": torch.tensor([1.0, -0.5, 0.2]),
        "spin": torch.tensor([1.0, 2.0, 0.5]), "velocity": torch.tensor([0.5, -1.0, 0.1]),
        "gravity": torch.tensor([1.0, -9.0, 0.5]), "nodes": mesh.nodes,
    }  # fmt: skip
    values = {name: value.double().clone() for name, value in values.items()}
    weights = torch.randn(2, 8, 3).double()
    solver = FESolver(integrator=integrator, tolerance=1e-10)
    steps = 12 if integrator.explicit else 4

    def loss(given: dict[str, Tensor], adjoint: Checkpoint | None) -> Tensor:
        paddle = Collider(
            Box((0.1, 0.3, 0.3), (0.3495, 0.1, 0.5), (0.0, 0.01, 0.0)), given["friction"],
            Motion(given["speed"], given["spin"]),
        )  # fmt: skip
        ramp = Collider(HalfSpace((0.0, 0.0, 0.0), (0.05, 1.0, 0.1)), given["friction"])
        body = Body(mesh, law, 1e3, given["velocity"])
        model = solver.discretize(
            Scene([body], [Floor(friction=0.2), ramp, paddle], given["gravity"])
        )
        x0 = given["nodes"]
        forces = [
            replace(f, area=nodal_areas(f.sides, x0.detach(), f.place, len(f.nodes)))
            for f in model.forces
            if isinstance(f, Contact)
        ]
        model = replace(model, x0=x0, forces=forces)
        out = solver.rollout(
            model, solver.start(model), steps, observe=[steps - 2, steps], adjoint=adjoint
        )
        return (weights * (out.x + 0.1 * out.v)).sum()

    leaves = {name: value.clone().requires_grad_() for name, value in values.items()}
    total = loss(leaves, Checkpoint(3))
    grads = torch.autograd.grad(total, list(leaves.values()))
    for (name, value), grad in zip(values.items(), grads, strict=True):
        d = torch.randn_like(value)
        h = 1e-5 if name in ("spin", "friction", "gravity") else 1e-6
        moved = [float(loss({**values, name: value + s * h * d}, None)) for s in (1, -1)]
        slope = (moved[0] - moved[1]) / (2 * h)
        assert abs(slope) > 1e-4, name
        assert float((grad * d).sum()) == pytest.approx(slope, rel=2e-6), name


def test_a_turntable_drags_along() -> None:
    """Friction on nodes at rest is mu f_n along the velocity w x r of the surface under them."""
    spin, mu = (0.0, 3.0, 0.0), 0.5
    plane = HalfSpace((0.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    mesh = box((0.2, 0.2, 0.2), (1, 1, 1), corner=(0.4, -1e-3, 0.3))
    body = Body(mesh, NeoHookean(1e5, 0.3), 1e3)
    table = Collider(plane, mu, Motion(spin=spin))
    solver = FESolver(integrator=BackwardEuler(1e-3))
    model = solver.discretize(Scene([body], [table], NOTHING, duration=0.01))
    (force,) = model.forces
    place = Place(model.x0, model.x0, model.x0)
    found = force.on_nodes(place, force.resolve(model.moment(0.0, 1e-3)))
    below = model.x0[:, 1] < 0
    speed = torch.linalg.cross(torch.tensor(spin).double().expand(8, 3), model.x0)[below]
    along = speed / speed[:, [0, 2]].norm(dim=1, keepdim=True)
    expected = mu * found[below, 1:2] * along
    assert float(found[below, 1].min()) > 0.0 and not bool(found[~below].any())
    assert torch.allclose(found[below][:, [0, 2]], expected[:, [0, 2]], rtol=0.005)


def test_slip_is_without_friction() -> None:
    """Whatever coefficient is given beside it."""
    plane = HalfSpace((0.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    body = Body(box((0.2, 0.2, 0.2), (1, 1, 1), corner=(0.4, 0.0, 0.4)), NeoHookean(1e5, 0.3), 1e3)
    scene = Scene([body], [Collider(plane, 0.9, mode="slip")], (3.0, -9.81, 0.0), duration=0.1)
    solver = FESolver(integrator=BackwardEuler(2e-3))
    model = solver.discretize(scene)
    last = solver.rollout(model, solver.start(model), 50).last
    assert float(last.v[:, 0].mean()) == pytest.approx(3.0 * 0.1, rel=1e-6)


@pytest.mark.parametrize("face", ["x-", "x+", "y-", "y+", "z-", "z+"])
def test_every_wall_bears_what_is_pressed_against_it(face: Any) -> None:
    axis, up = "xyz".index(face[0]), face[1] == "+"
    low = [0.4, 0.4, 0.4]
    low[axis] = 0.8 if up else 0.0
    body = Body(box((0.2, 0.2, 0.2), (1, 1, 1), corner=low), NeoHookean(1e5, 0.3), 1e3)
    gravity = torch.zeros(3).double()
    gravity[axis] = 9.81 if up else -9.81
    loads = [Wall(face), *(Fixed(f"{c}-", c) for c in "xyz" if c != face[0])]
    scene = Scene([body], loads, gravity, domain=Domain((0, 0, 0), (1, 1, 1)))
    solver = FESolver(integrator=Static(2))
    model = solver.discretize(scene)
    last = solver.rollout(model, solver.start(model), 2).last
    (wall,) = model.forces
    value = wall.resolve(model.moment(last.time, last.time))
    force = wall.on_nodes(Place(last.x, last.x, model.x0), value).sum(0)
    assert force.tolist() == pytest.approx((-1e3 * 0.2**3 * gravity).tolist(), rel=1e-6, abs=1e-6)
    assert float((last.x - model.x0).abs().max()) < 5e-3
