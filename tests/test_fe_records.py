# SPDX-License-Identifier: Apache-2.0
"""What is recorded of a motion of finite elements: stresses, energies, momenta, reactions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from finite_elements import NOTHING, Hooke, block
from torch import Tensor

from rheograd.engine.fem import energies
from rheograd.engine.fem.geometry import determinant
from rheograd.engine.fem.integrators import CentralDifferences, Newmark, Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Displacement, Fixed, PointMass, Traction
from rheograd.engine.mesh.generators import box
from rheograd.engine.scene import Body, Scene
from rheograd.engine.simulate import simulate
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Hencky, NeoHookean
from rheograd.materials.plastic import VonMises


def everywhere(x: Tensor) -> Tensor:
    return torch.ones(len(x), dtype=torch.bool)


def test_a_factor_on_the_stress_is_a_stiffer_law() -> None:
    """In positions, reactions, stresses and energies."""
    mesh = block("hex8", (2, 1, 1), distort=0.1)
    loads = [Fixed("x-"), Displacement("x+", (0.1, -0.05, 0.02))]
    found = []
    for young, factor in ((1e4, 3.0), (3e4, 1.0)):
        body = Body(mesh, NeoHookean(young, 0.3), 1e3, stiffness=factor)
        solver = FESolver(integrator=Static(2), tolerance=1e-12)
        out = simulate(Scene([body], loads, gravity=NOTHING), solver, record=["point_stress"])
        found.append({"x": out.x, **out.fields, **out.cell_fields, **out.totals})
    assert {"stress", "point_stress", "nodal_stress", "elastic_energy", "elastic"} <= set(found[0])
    for name, value in found[1].items():
        if name != "error":
            close = 1e-9 * float(value.abs().max())
            assert torch.allclose(found[0][name], value, rtol=0, atol=close), name


def test_nodal_stress_is_averaged_by_volume() -> None:
    """Of two elements with a node in common, of different lengths and strains."""
    law, slopes = NeoHookean(1e4, 0.3), (0.1, -0.05)
    mu, lam = law.coefficients().tolist()
    mesh = box((2.0, 1.0, 1.0), (2, 1, 1), corner=(0, 0, 0))
    nodes = mesh.nodes.clone()
    nodes[nodes[:, 0] > 1.5, 0] = 4.0  # elements of 1 m and 3 m
    mesh = replace(mesh, nodes=nodes)
    X = nodes[:, 0]
    u = torch.where(X > 2.0, slopes[0] + 3.0 * slopes[1], slopes[0] * X)
    solver = FESolver(integrator=Newmark(1.0))
    model = solver.discretize(Scene([Body(mesh, law, 1.0)], (), NOTHING))
    start = solver.start(model)
    moved = start.x + torch.stack([u, 0 * u, 0 * u], 1)
    F = start.F.clone()
    F[:, 0, 0] += torch.tensor(slopes).double().repeat_interleave(8)
    state = solver.advance(model).begun(replace(start, x=moved, F=F))
    stress = [(mu * (J * J - 1) + lam * math.log(J)) / J for J in (1.1, 0.95)]
    volume = [1.1, 3.0 * 0.95]
    mean = (volume[0] * stress[0] + volume[1] * stress[1]) / sum(volume)
    found = solver.fields(model, state)["nodal_stress"][:, 0, 0]
    for place, expected in ((0.0, stress[0]), (1.0, mean), (4.0, stress[1])):
        assert found[X == place].tolist() == pytest.approx([expected] * 4, rel=1e-9)


@pytest.mark.parametrize("integrator", [Newmark(1e-3), CentralDifferences(1e-3)])
def test_point_masses_have_momentum_and_kinetic_energy(integrator: Any) -> None:
    body = Body(box((1.0, 1.0, 1.0), (1, 1, 1)), NeoHookean(1e3, 0.3), 0.5, (3.0, 0.0, 4.0))
    solver = FESolver(integrator=integrator)
    model = solver.discretize(Scene([body], [PointMass("x+", 2.0)], NOTHING, duration=0.01))
    start = solver.start(model)
    found = energies.momentum(model, start.v).sum(0)
    assert found.tolist() == pytest.approx([7.5, 0.0, 10.0], rel=1e-12)
    assert solver.energies(model, start)["kinetic"] == pytest.approx(0.5 * 2.5 * 25.0, rel=1e-12)


@pytest.mark.parametrize("kind", [Newmark, CentralDifferences])
def test_reactions_move_a_rigid_body_against_its_damping(kind: Any) -> None:
    """x = b t² / 2 everywhere: M (b + m b t) and its work M (b t)² / 2 + m M b² t³ / 3."""
    mass, rate, push, t, dt = 0.5, 4.0, 2.0, 0.4, 1e-2
    zero = torch.zeros((), dtype=torch.float64)
    along = lambda time: torch.stack([0.5 * push * time**2, zero, zero])  # noqa: E731
    body = Body(box((1.0, 1.0, 1.0), (1, 1, 1)), NeoHookean(1.0, 0.3), mass)
    scene = Scene([body], [Displacement(everywhere, along)], NOTHING, t)
    solver = FESolver(integrator=kind(dt=dt, mass_damping=rate))
    model = solver.discretize(scene)
    last = solver.rollout(model, solver.start(model), round(t / dt)).last
    held = last.carry["reaction"].sum(0)
    assert held.tolist() == pytest.approx([mass * push * (1 + rate * t), 0.0, 0.0], rel=1e-3)
    found = solver.energies(model, last)
    lost = rate * mass * push**2 * t**3 / 3
    assert found["dissipated"] == pytest.approx(lost, rel=2e-3)
    assert found["work"] == pytest.approx(lost + 0.5 * mass * (push * t) ** 2, rel=2e-3)


def test_explicit_steps_balance_what_they_damp() -> None:
    """A bar that swings against its hold, by mass-proportional damping."""
    mesh = box((2.0, 1.0, 1.0), (2, 1, 1), corner=(0, 0, 0))
    body = Body(mesh, NeoHookean(1e3, 0.3), 1.0, (10.0, 4.0, 0.0))
    scene = Scene([body], [Fixed("x-")], NOTHING, 0.24)
    errors = []
    for dt in (2e-3, 1e-3):
        solver = FESolver(integrator=CentralDifferences(dt, mass_damping=5.0))
        model = solver.discretize(scene)
        start = solver.start(model)
        found = solver.energies(model, solver.rollout(model, start, round(0.24 / dt)).last)
        assert found["dissipated"] > 0.2 * solver.energies(model, start)["kinetic"]
        errors.append(abs(found["error"]) / found["dissipated"])
    assert errors[0] < 2e-3 and errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize("case", ["mean dilatation", "small strain"])
def test_stress_is_that_of_the_strain_that_the_law_sees(case: str) -> None:
    """tau / det F^ with the element's mean volume change; tau itself where strains are small."""
    law = Hooke(1e4, 0.3) if case == "small strain" else NeoHookean(1e4, 0.4)
    loads = [Fixed("x-"), Traction("x+", (0.0, -300.0, 100.0))]
    scene = Scene([Body(block("hex8", (2, 1, 1)), law, 1e3)], loads, gravity=NOTHING)
    solver = FESolver(integrator=Static(2), mean_dilatation=case == "mean dilatation")
    model = solver.discretize(scene)
    last = solver.rollout(model, solver.start(model), 2).last
    expected = law.stress(last.F, last.internal).detach()
    if case == "mean dilatation":
        J = determinant(last.F)
        assert float((J - 1).abs().max()) > 1e-3
        expected = expected / J[:, None, None]
    found = solver.more_cell_fields(model, last)["point_stress"].flatten(0, 1)
    assert torch.allclose(found, expected, rtol=0, atol=1e-9 * float(expected.abs().max()))


def test_what_one_of_two_bodies_dissipates() -> None:
    """An elastic bar beside one that yields loses nothing itself."""
    mesh = block("hex8", (2, 1, 1))
    away = replace(mesh, nodes=mesh.nodes + torch.tensor([0.0, 3.0, 0.0]))
    yields = ElastoPlastic(Hencky(1e4, 0.3), VonMises(200.0))
    bodies = [Body(away, yields, 1e3, name="b"), Body(mesh, Hencky(1e4, 0.3), 1e3, name="a")]
    loads = [Fixed("x-"), Displacement("x+", (0.1, 0.0, 0.0))]
    solver = FESolver(integrator=Static(4))

    def lost(*chosen: Body) -> float:
        model = solver.discretize(Scene(list(chosen), loads, NOTHING))
        last = solver.rollout(model, solver.start(model), 4).last
        return solver.energies(model, last)["dissipated"]

    alone = lost(bodies[0])
    assert alone > 1.0 and lost(bodies[1]) == 0.0
    # of the elastic one what the trapezoidal rule is off by
    assert lost(*bodies) == pytest.approx(alone, rel=0.05)
