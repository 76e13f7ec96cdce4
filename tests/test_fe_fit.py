# SPDX-License-Identifier: Apache-2.0
"""Training and identification on meshes: stretches of a run, estimated states, numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rheograd.engine.boundaries import Grip, Motion
from rheograd.engine.fem.integrators import CentralDifferences, Newmark, Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.fit.follow import follow
from rheograd.engine.fit.learn import fit
from rheograd.engine.fit.least_squares import fit_parameters
from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.fit.recipe import Recipe
from rheograd.engine.loads import BodyForce, Displacement, Fixed, Traction
from rheograd.engine.mesh.generators import box
from rheograd.engine.observations.observation import Positions
from rheograd.engine.restarts import recorded
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky, NeoHookean
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantSmooth
from rheograd.materials.plastic import VonMises

SOLVER = FESolver(size=0.15, integrator=CentralDifferences(1e-3))
BAR = Box((0.6, 0.15, 0.15), (0.3, 0.5, 0.5))


def swinging(law: ConstitutiveLaw, *boundaries: object, duration: float = 0.06) -> Scene:
    """A bar held at one end that moves fast enough to bend."""
    body = Body(BAR, law, 1e3, velocity=(0.0, -2.0, 1.0), name="bar")
    held = [Fixed("x-"), Traction("x+", (500.0, 0.0, 0.0)), *boundaries]
    return Scene([body], held, duration=duration)  # type: ignore[arg-type]


def test_a_stretch_of_a_run_goes_on_as_the_run_did() -> None:
    """Restarted from what is recorded, worlds of one model follow the whole run."""
    model = SOLVER.discretize(swinging(Corotated(5e4, 0.3)))
    step = torch.arange(0, 61, 10)
    known = recorded(SOLVER, model, step)
    cut = SOLVER.segments(model, [10, 30], 20)
    state = SOLVER.restart(cut, known.at(torch.tensor([1, 3])))
    out = SOLVER.rollout(cut, state, 20, observe=[10, 20])
    expected = torch.cat([known.x[[2, 4]], known.x[[3, 5]]]).reshape(2, 2, model.n, 3)
    found = out.x.reshape(2, 2, model.n, 3)
    assert torch.allclose(found, expected, rtol=0, atol=1e-10)


def test_a_stretch_knows_what_time_it_is() -> None:
    """A displacement that is a function of time is that of the stretch's own clock."""

    def pulled(time: Tensor) -> Tensor:
        zero = torch.zeros_like(time)
        return torch.stack([2.0 * time**2, zero, zero])

    scene = swinging(Corotated(5e4, 0.3), Displacement("x+", pulled, "x"))
    model = SOLVER.discretize(scene)
    assert not SOLVER.timeless(model)
    known = recorded(SOLVER, model, torch.arange(0, 61, 10))
    cut = SOLVER.segments(model, [20], 20)
    out = SOLVER.rollout(cut, SOLVER.restart(cut, known.at(torch.tensor([2]))), 20, observe=[20])
    assert torch.allclose(out.x[0], known.x[4], rtol=0, atol=1e-9)


def test_what_cannot_be_cut_is_refused() -> None:
    grip = Grip(Box((0.1, 1.0, 1.0), (0.6, 0.5, 0.5)), Motion(velocity=(0.1, 0.0, 0.0)))
    model = SOLVER.discretize(swinging(Corotated(5e4, 0.3), grip))
    with pytest.raises(ValueError, match="a collider or grip that moves"):
        SOLVER.segments(model, [10], 20)
    two = SOLVER.discretize([swinging(Corotated(5e4, 0.3))] * 2)
    with pytest.raises(ValueError, match="model of one world; got 2"):
        SOLVER.segments(two, [10], 20)


@pytest.mark.parametrize(
    "law",
    [Corotated(5e4, 0.3), ElastoPlastic(Hencky(5e4, 0.3), VonMises(1.5e3))],
    ids=["elastic", "plastic"],
)
def test_states_from_positions_are_near_the_recorded_ones(law: ConstitutiveLaw) -> None:
    model = SOLVER.discretize(swinging(law))
    step = torch.arange(0, 61, 5)
    true = recorded(SOLVER, model, step)
    found = SOLVER.estimator(model, step, true.x)(model)
    assert torch.equal(found.x, true.x)
    speed = float(true.v.square().mean().sqrt())
    assert float((found.v - true.v).square().mean().sqrt()) < 0.02 * speed
    strain = float((true.F - torch.eye(3)).square().mean().sqrt())
    assert float((found.F - true.F).square().mean().sqrt()) < 0.02 * strain


@pytest.mark.slow
def test_a_network_learns_from_a_mesh(tmp_path: Path) -> None:
    """From positions of nodes alone."""
    solver = replace(SOLVER, precision="float32")
    truth = swinging(Corotated(5e4, 0.3), duration=0.2)
    seen = Positions(simulate(truth, solver, every=5))
    law = InvariantSmooth(5e4, seed=0).float()
    recipe = replace(Recipe.suited(law, states="positions"), epochs=16)
    report = fit(
        swinging(law, duration=0.2), solver, seen, folder=tmp_path, truth=truth,
        states="positions", recipe=recipe,
    )  # fmt: skip
    assert report.errors["reconstruction"] < 0.02 * report.start_errors["reconstruction"]


def test_numbers_are_recovered_from_nodes() -> None:
    """Scenes of an identification run as worlds; the step comes from the integrator."""
    solver = FESolver(size=0.15, integrator=Newmark(2e-3))

    def build(*, young: float = 3e4, density: float = 1e3) -> Scene:
        scene = swinging(NeoHookean(young, 0.3))
        return replace(scene, bodies=[replace(scene.bodies[0], density=density)])

    motion = simulate(build(young=5e4, density=1.3e3), solver, every=5)
    start = {
        "young": Parameter(3e4, 1.0, 1e7, "Pa"),
        "density": Parameter(1e3, 1.0, 1e5, "kg/m³"),
    }
    found = fit_parameters(build, solver, Positions(motion), start, search=0)
    assert found.values["young"] == pytest.approx(5e4, rel=1e-5)
    assert found.values["density"] == pytest.approx(1.3e3, rel=1e-5)


def test_followed_trajectories_hold_reactions() -> None:
    """A force curve can be compared: frames of an observation carry what the solver records."""
    solver = FESolver(size=0.15, integrator=Newmark(2e-3))
    seen = Positions(simulate(swinging(NeoHookean(5e4, 0.3)), solver, every=5))
    found = follow([swinging(NeoHookean(5e4, 0.3))], solver, seen)[0]
    assert found.fields["reaction"].shape == found.x.shape
    assert torch.allclose(found.x, seen.trajectory.x, rtol=0, atol=1e-7)


def test_load_steps_have_no_step_of_their_own() -> None:
    solver = FESolver(size=0.15, integrator=Static(2))
    assert solver.dt is None
    with pytest.raises(ValueError, match="time only orders equilibria"):
        solver.at_step(0.1)


def test_a_field_of_body_forces_is_no_function_of_time() -> None:
    """A motion with one can be cut: the field is asked for places, whenever a stretch starts."""
    pull = BodyForce(lambda X: 1e3 * X)
    model = SOLVER.discretize(swinging(Corotated(5e4, 0.3), pull))
    assert SOLVER.timeless(model)
    known = recorded(SOLVER, model, torch.arange(0, 41, 10))
    cut = SOLVER.segments(model, [20], 20)
    out = SOLVER.rollout(cut, SOLVER.restart(cut, known.at(torch.tensor([2]))), 20, observe=[20])
    assert torch.allclose(out.x[0], known.x[4], rtol=0, atol=1e-9)
    moving = swinging(Corotated(5e4, 0.3), pull, Displacement("x+", lambda t: t * torch.ones(3)))
    later = SOLVER.segments(SOLVER.discretize(moving), [20], 20)
    assert torch.equal(
        later.load_values(later.moment(0.0, 0.0))[1],
        model.load_values(model.moment(0.0, 0.0))[1],
    )


def test_a_stretch_knows_the_time_of_its_tractions() -> None:
    solver = FESolver(size=0.15, integrator=CentralDifferences(1e-3))

    def growing(time: Tensor) -> Tensor:
        zero = torch.zeros_like(time)
        return torch.stack([zero, -2e5 * time, zero])

    body = Body(box((0.6, 0.15, 0.15), (4, 1, 1)), Corotated(5e4, 0.3), 1e3, name="bar")
    scene = Scene([body], [Fixed("x-"), Traction("x+", growing)], duration=0.06)
    model = solver.discretize(scene)
    assert not solver.timeless(model)
    known = recorded(solver, model, torch.arange(0, 61, 10))
    cut = solver.segments(model, [20], 20)
    out = solver.rollout(cut, solver.restart(cut, known.at(torch.tensor([2]))), 20, observe=[20])
    assert torch.allclose(out.x[0], known.x[4], rtol=0, atol=1e-9)


def test_estimated_motions_start_as_they_were_told() -> None:
    """The first velocity is known, and is not read off the spline."""
    solver = FESolver(size=0.15, integrator=CentralDifferences(1e-3))
    body = Body(box((0.6, 0.15, 0.15), (4, 1, 1)), Corotated(5e4, 0.3), 1e3, (0.0, -2.0, 1.0))
    model = solver.discretize(Scene([body], [Fixed("x-")], duration=0.06))
    step = torch.arange(0, 61, 20)
    seen = recorded(solver, model, step)
    found = solver.estimator(model, step, seen.x)(model)
    assert torch.equal(found.v[0], solver.start(model).v)
