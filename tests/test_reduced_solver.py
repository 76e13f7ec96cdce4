# SPDX-License-Identifier: Apache-2.0
"""Motions by an operator: what a solver owes, whatever was learned."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from reduced_points import BOX, SCOPE, operator_of, reduced, rotation_matrix, thrown
from torch import Tensor

from rheograd.engine.boundaries import Collider, Floor, Wall
from rheograd.engine.errors import SimulationError
from rheograd.engine.fit.follow import follow
from rheograd.engine.fit.least_squares import fit_parameters
from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.observations.observation import Positions
from rheograd.engine.reduced.solver import ReducedSolver, not_inverted
from rheograd.engine.resume import pack, unpack
from rheograd.engine.scene import Domain, Scene
from rheograd.engine.shapes import Box, Sphere
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint
from rheograd.engine.state import State
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Corotated, NeoHookean, Volumetric
from rheograd.materials.plastic import FluidReset

STEPS = 8
HISTORY = 3
"""Frames after the first that particles make."""
EYE = torch.eye(3, dtype=torch.float64)


def far(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().abs().max())


@pytest.mark.parametrize("operator", [operator_of(), operator_of(calm=True)], ids=["any", "calm"])
def test_the_first_frames_are_those_of_particles(operator: Any) -> None:
    """Exactly for the sparse points; for others up to what the map misses of the deformation."""
    solver, scene = reduced(operator), thrown(shape=Box((0.3, 0.3, 0.3), (0.5, 0.16, 0.5)))
    model = solver.discretize(scene)
    assert model.steps_a_frame * model.full.dt == pytest.approx(SCOPE.frame, rel=1e-12)
    particles = MPMSolver(SCOPE.cell, model.full.dt, precision="float64")
    k = model.steps_a_frame
    truth = simulate(scene, particles, steps=HISTORY * k, every=k)
    start = solver.start(model)
    assert torch.equal(start.carry["recent"].detach(), truth.x[:, model.chosen])
    found = simulate(scene, solver, steps=HISTORY, every=1)
    assert not found.x.requires_grad
    assert truth.v is not None and found.v is not None
    torch.testing.assert_close(found.time, truth.time, rtol=1e-12, atol=0)
    assert torch.equal(found.v[0], truth.v[0])
    torch.testing.assert_close(
        found.x[:, model.chosen], truth.x[:, model.chosen], rtol=0, atol=1e-6
    )
    u = truth.x[-1] - truth.x[0]
    ones = torch.cat([truth.x[0], torch.ones(model.n, 1).double()], 1)
    fit = torch.linalg.lstsq(ones[model.chosen], u[model.chosen]).solution
    others = torch.ones(model.n, dtype=torch.bool).index_fill(0, model.chosen, False)
    bent = (ones @ fit - u).norm(dim=1)[others].mean()
    off = (found.x[-1] - truth.x[-1]).norm(dim=1)[others].mean()
    assert 1e-5 < float(bent), "nothing is bent"
    assert float(off) < float(bent), "one affine motion is better"
    whole = reduced(operator, sparse=model.n)
    every = simulate(scene, whole, steps=HISTORY, every=1)
    torch.testing.assert_close(every.x, truth.x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("points", [None, 500])
def test_a_calm_operator_lets_a_body_fall_along_the_parabola(points: int | None) -> None:
    """All its points, but for rounding; particles are a step of theirs ahead of g t² / 2."""
    solver = reduced(operator_of(calm=True), points=points)
    scene = thrown(spin=(0.0, 0.0, 0.0))
    model = solver.discretize(scene)
    frames: list[State] = []
    simulate(scene, solver, steps=STEPS, every=1, sink=frames.append, model=model)
    v, g = torch.tensor([0.5, 1.0, -0.3]).double(), torch.tensor(SCOPE.gravity).double()
    for state in frames:
        t = state.step * SCOPE.frame
        assert state.time == pytest.approx(t)
        expected = model.x0 + v * t + 0.5 * g * t * (t + model.full.dt)
        assert far(state.x, expected) < 1e-8  # velocities of float32 in the scene
        assert far(state.F, EYE.expand_as(state.F)) < 1e-12
    assert far(frames[-1].v, v + g * (t - 0.5 * SCOPE.frame + 0.5 * model.full.dt)) < 1e-7


def test_an_affine_motion_reaches_all_points_exactly() -> None:
    """The patch test: sparse points in linear motion carry the others, with its F, over steps."""
    solver = reduced(operator_of(calm=True), points=300)
    model = solver.discretize(thrown())
    model = replace(model, points=model.points._replace(gravity=0.0 * model.points.gravity))
    start = solver.start(model)
    L = 0.02 * torch.randn(3, 3).double()
    R = rotation_matrix(4)

    def motion(X: Tensor, frame: int) -> Tensor:
        return (X - 0.5) @ (R + frame * L).T + 0.5 + frame * 1e-3

    recent = torch.stack([motion(model.points.rest, k) for k in range(HISTORY + 1)])
    state = replace(start, step=HISTORY, carry={"recent": recent.detach()})
    for steps in (1, 4):
        last = solver.rollout(model, state, steps).last
        frame = HISTORY + steps
        assert far(last.x, motion(model.x0, frame)) < 1e-12
        assert far(last.F, (R + frame * L).expand_as(last.F)) < 1e-11
        rate = (motion(model.x0, 1) - motion(model.x0, 0)) / SCOPE.frame
        assert far(last.v, rate) < 1e-10


@pytest.mark.parametrize("reference", [True, False])
def test_a_body_in_flight_keeps_its_momenta(reference: bool) -> None:
    """Of what learned steps do, whatever was learned."""
    solver = reduced(operator_of(reference=reference))
    model = solver.discretize(thrown())
    model = replace(model, points=model.points._replace(gravity=0.0 * model.points.gravity))
    m = model.points.mass
    found = []
    state = solver.start(model)
    for _ in range(STEPS):
        state = solver.step(model, state)
        x, before = state.carry["recent"][-1], state.carry["recent"][-2]
        p = m * (x - before)
        found.append(torch.cat([p.sum(0), torch.linalg.cross(x - 0.5, p).sum(0)]))
    kept = torch.stack(found[HISTORY - 1 :]).detach()
    size = kept[0].norm()
    assert len(kept) > 4 and far(kept, kept[:1]) < 1e-12 * float(size)
    assert far(state.F.mT @ state.F, EYE.expand_as(state.F)) > 1e-3, "it does not deform"


@pytest.mark.parametrize("seed", [0, 1])
def test_no_point_leaves_the_room(seed: int) -> None:
    operator = operator_of(seed, conserving=False)
    operator.stepper.acceleration.fill_(0.2)  # 20 cm a frame and frame
    solver = reduced(operator, points=400)
    frames: list[State] = []
    found = simulate(thrown(), solver, steps=20, every=1, sink=frames.append)
    for x in (found.x, frames[-1].carry["recent"]):
        assert float(x.min()) > 0.0 and float(x.max()) < 1.0
    pressed = (found.x < 2e-5) | (found.x > 1 - 2e-5)
    assert int(pressed.sum()) > 20, "it did not get to the walls"


@pytest.mark.parametrize("at", [2, 5])
@pytest.mark.parametrize("reference", [True, False])
def test_a_run_resumed_is_the_whole_run(at: int, reference: bool) -> None:
    """To the last bit, before and after the particles' frames end, by another solver."""
    solver, scene = reduced(operator_of(reference=reference), precision="float32"), thrown()
    frames: list[State] = []
    whole = simulate(scene, solver, steps=STEPS, every=1, sink=frames.append)
    middle = unpack(*pack(frames[at]))
    rest = simulate(scene, replace(solver), steps=STEPS, every=1, start=middle)
    assert torch.equal(rest.x, whole.x[at + 1 :]) and len(rest) == STEPS - at
    assert rest.v is not None and whole.v is not None
    assert torch.equal(rest.v, whole.v[at + 1 :])


def test_frames_may_be_skipped() -> None:
    solver, scene = reduced(), thrown()
    each, third = (simulate(scene, solver, steps=6, every=k).x for k in (1, 3))
    assert torch.equal(third, each[::3])
    taken = simulate(scene, solver, steps=6, every=3, adjoint=Checkpoint()).x
    assert torch.equal(taken.detach(), third)


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("points", [None, 300])
def test_worlds_are_as_alone(reference: bool, points: int | None) -> None:
    solver = reduced(operator_of(reference=reference), points=points)
    scenes = [
        thrown(),
        thrown(2e4, Sphere(0.16, (0.3, 0.4, 0.5)), velocity=(0.0, -2.0, 0.0)),
        replace(thrown(7e3, velocity=(1.0, 0.0, 0.0)), gravity=SCOPE.gravity),
    ]
    model = solver.discretize(scenes)
    assert model.worlds == 3
    # one step of particles for all worlds, that of the stiffest
    alone = replace(solver, operator=copy.deepcopy(solver.operator))
    last = solver.rollout(model, solver.start(model), STEPS).last
    for k, scene in enumerate(scenes):
        one = alone.discretize(scene)
        stepped = MPMSolver(SCOPE.cell, model.full.dt, precision="float64").discretize(scene)
        one = replace(one, full=stepped, steps_a_frame=model.steps_a_frame)
        mine = alone.rollout(one, alone.start(one), STEPS).last
        assert far(last.x[model.world == k], mine.x) < 1e-10
        assert far(last.F[model.world == k], mine.F) < 1e-8


def number(*values: float) -> Tensor:
    made = torch.tensor(values, dtype=torch.float64)
    return made if len(values) > 1 else made[0].clone()


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("points", [None, 100])
def test_gradients_against_central_differences(reference: bool, points: int | None) -> None:
    """By velocity, spin, density and the law's numbers: through the first frames and the code."""
    solver = reduced(operator_of(reference=reference), points=points)
    law = NeoHookean(1e4, 0.3)
    given = {
        "velocity": number(0.5, 1.0, -0.3), "spin": number(3.0, -6.0, 5.0),
        "density": number(1e3), "gravity": number(*SCOPE.gravity),
    }  # fmt: skip
    given = {n: t.requires_grad_() for n, t in given.items()} | dict(law.named_parameters())
    weights: list[Tensor] = []

    def loss(adjoint: Checkpoint | None) -> Tensor:
        own: dict[str, Any] = {name: given[name] for name in ("velocity", "spin")}
        scene = thrown(law, **own)
        (body,) = scene.bodies
        scene = replace(
            scene, bodies=[replace(body, density=given["density"])], gravity=given["gravity"]
        )
        model = solver.discretize(scene)
        start = solver.start(model)
        middle = solver.rollout(model, start, 4, observe=[2, 4], adjoint=adjoint)
        out = solver.rollout(model, middle.last, 3, observe=[3], adjoint=adjoint)
        x, v = torch.cat([middle.x, out.x]), torch.cat([middle.v, out.v])
        if not weights:
            weights.extend(torch.randn(2, *x.shape).double())
            weights.append(torch.randn_like(out.last.F))
        told = (weights[0] * (x - 0.5)).sum() + 0.1 * (weights[1] * v).sum()
        return told + (weights[2] * out.last.F).sum()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        solver = replace(solver, insist=True)  # ends of differences are outside of ranges
        gradients = torch.autograd.grad(loss(Checkpoint(2)), list(given.values()))
        for (name, tensor), gradient in zip(given.items(), gradients, strict=True):
            direction = tensor.detach() * (1 + 0.3 * torch.randn_like(tensor))
            h, kept, ends = 1e-4, tensor.detach().clone(), []
            with torch.no_grad():
                for share in (h, -h):
                    tensor.copy_(kept + share * direction)
                    ends.append(float(loss(None)))
                tensor.copy_(kept)
            slope = (ends[0] - ends[1]) / (2 * h)
            assert abs(slope) > 1e-5, f"{name} does nothing"
            found = float((gradient * direction).sum())
            assert found == pytest.approx(slope, rel=2e-6, abs=1e-9), name


def test_the_code_alone_has_a_gradient() -> None:
    """Young's modulus matters to learned steps apart from the first frames."""
    solver, law = reduced(), NeoHookean(1e4, 0.3)
    code = SCOPE.code(law, torch.zeros(1, dtype=torch.float64))
    (slope,) = torch.autograd.grad(code[0], law.young)
    # from -1 to 1 over ln(2e4 / 5e3)
    assert float(code[0].detach()) == pytest.approx(0.0, abs=1e-12)
    assert float(slope) == pytest.approx(2 / torch.tensor(4.0).log().item() / 1e4)
    model = solver.discretize(thrown(law))
    start = solver.start(model)
    start = replace(start, carry={"recent": start.carry["recent"].detach()})
    last = solver.rollout(model, start, 6, adjoint=Checkpoint()).last
    (found,) = torch.autograd.grad(last.x[:, 0].sum(), law.young)
    assert float(found.abs()) > 0.0


def test_motion_that_is_not_finite_is_an_error() -> None:
    operator = operator_of()
    last = operator.stepper.out[2]
    assert isinstance(last, torch.nn.Linear)
    torch.nn.init.constant_(last.bias, float("nan"))
    solver = reduced(operator)
    model = solver.discretize(thrown())
    start = solver.start(model)
    assert bool(solver.rollout(model, start, HISTORY).last.x.isfinite().all())
    with pytest.raises(SimulationError, match=r"not finite before step 6.*simulate it in full"):
        solver.rollout(model, start, 6)


BIG = Domain((0.0, 0.0, 0.0), (1.0, 2.0, 1.0))
HARD = {
    "law": (thrown(Corotated(1e4, 0.3)), "trained on NeoHookean"),
    "young": (thrown(4e4), "young of body is 4e.04, trained from 5000 to 2e.04"),
    "domain": (replace(thrown(), domain=BIG), "domain is .*trained in"),
    "gravity": (replace(thrown(), gravity=(0.0, -1.6, 0.0)), "gravity"),
    "friction": (replace(thrown(), boundaries=[Floor(friction=0.3)]), "its walls are"),
    "walls": (replace(thrown(), boundaries=[Wall(f, "slip") for f in ("x-", "x+", "y-", "y+", "z-",
              "z+")]), "its walls are"),
    "obstacle": (replace(thrown(), boundaries=[Collider(Sphere(0.1, (0.5, 0.1, 0.5)))]),
                 "1 obstacle,"),
    "speed": (thrown(velocity=(4.0, 0.0, 0.0)), "starts at 4 m/s, trained up to 3 m/s"),
    "two": (Scene([*thrown().bodies, *thrown(shape=Sphere(0.1, (0.2, 0.2, 0.2))).bodies],
            name="thrown"), "2 bodies"),
    "density": (replace(thrown(), bodies=[replace(thrown().bodies[0], density=2e3)]),
                "the density"),
    "life": (thrown(life=(0.0, 0.05)), "life"),
}  # fmt: skip
UNFIT = ("obstacle", "life")
"""What cannot be insisted on."""


@pytest.mark.parametrize("name", list(HARD))
def test_scenes_unlike_the_training_are_refused(name: str) -> None:
    scene, said = HARD[name]
    with pytest.raises(ValueError, match=f"thrown.*{said}"):
        reduced().discretize(scene)
    insisting = reduced(insist=True)
    if name in UNFIT:
        with pytest.raises(ValueError, match=said):
            insisting.discretize(scene)
        return
    with pytest.warns(UserWarning, match=said):
        model = insisting.discretize(scene)
    assert bool(insisting.rollout(model, insisting.start(model), 4).last.x.isfinite().all())


def test_the_same_numbers_in_single_precision_are_within() -> None:
    """Friction of a float32 tensor, and a modulus at the end of the range."""
    operator = operator_of()
    frictions = (0.0, 0.0, 0.4, 0.0, 0.0, 0.0)
    operator.scope = replace(SCOPE, walls=[("contact", f) for f in frictions])
    scene = replace(thrown(2e4), boundaries=[Floor(friction=torch.tensor(0.4))])
    ReducedSolver(operator, sparse=60).discretize(scene)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: reduced(sparse=7), "at least 8 sparse points; got 7"),
        (lambda: reduced().at_step(0.02), "steps by 10 ms.*got 20 ms"),
        (lambda: reduced(points=0).discretize(thrown()), "at least one point"),
        (
            lambda: reduced().discretize(thrown(shape=Box((0.3, 0.3, 0.01), (0.5, 0.5, 0.5)))),
            "all but in one plane.*smaller --cell",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*particles a cell")
def test_settings_that_make_no_sense_are_refused(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_steps_are_frames_of_the_training() -> None:
    solver = reduced()
    assert solver.dt == SCOPE.frame and solver.at_step(0.01) is solver
    assert solver.discretize(thrown()).dt == SCOPE.frame


@pytest.mark.parametrize("points", [40, 1000, 3000])
def test_as_many_points_as_asked_for_fill_the_shape(points: int) -> None:
    solver = reduced(points=points)
    model = solver.discretize(thrown())
    assert model.n == pytest.approx(points, rel=0.35)
    assert len(model.chosen) == 60
    assert float((model.x0 - 0.5).abs().max()) < 0.15
    spacing = (BOX.volume / points) ** (1 / 3)
    nearest = torch.cdist(model.x0, model.x0).fill_diagonal_(9.0).amin(1)
    assert float(nearest.mean()) == pytest.approx(spacing, rel=0.15)
    assert far(model.v0.mean(0), torch.tensor([0.5, 1.0, -0.3])) < 1e-6
    assert model.noun == "points that follow 60 sparse ones"


def test_sparse_points_are_shared_by_volume() -> None:
    """Of two bodies in a world; masses are those of the particles nearest to each."""
    small = thrown(shape=Box((0.15, 0.15, 0.15), (0.2, 0.2, 0.2))).bodies
    scene = Scene([*thrown().bodies, *small], name="thrown")
    with pytest.warns(UserWarning, match="2 bodies"):
        model = reduced(insist=True, sparse=180).discretize(scene)
    p = model.points
    assert p.bodies == 2
    counts = p.body.bincount().tolist()
    assert counts == [160, 27]  # 180 * 8/9, and all that the small body has
    masses = torch.zeros(2).double().index_add(0, p.body, p.mass[:, 0])
    whole = model.full.density * model.full.volume
    assert float(masses[1]) == pytest.approx(float(whole[model.full.body == 1].sum()))
    assert float(masses.sum()) == pytest.approx(float(whole.sum()))
    apart = torch.cdist(p.rest, model.full.x0)
    apart[p.body[:, None] != model.full.body[None]] = 9.0
    least = apart.amin(0)
    tied = apart < least + 1e-9
    surely = (whole * (tied & (tied.sum(0) == 1))).sum(1)
    assert bool((p.mass[:, 0] > surely * (1 - 1e-9)).all())
    assert bool((p.mass[:, 0] < (whole * tied).sum(1) * (1 + 1e-9)).all())
    assert float(surely.sum()) > 0.3 * float(whole.sum())


def test_a_law_is_fitted_through_it() -> None:
    """Young's modulus of a motion that it made itself, by worlds of one model."""
    operator = operator_of(2)
    operator.stepper.acceleration.fill_(5e-3)
    solver = reduced(operator, insist=True, points=50)
    times = torch.arange(8, dtype=torch.float64) * SCOPE.frame

    def build(*, young: float) -> Scene:
        return thrown(float(young))

    blank = Positions(Trajectory(times, torch.zeros(8, 1, 3, dtype=torch.float64)))
    (motion,) = follow([build(young=1.3e4)], solver, blank)
    fit = fit_parameters(
        build, solver, Positions(motion), {"young": Parameter(9e3, 6e3, 1.9e4, "Pa")}
    )
    assert fit.converged
    assert fit.values["young"] == pytest.approx(1.3e4, rel=1e-4)
    assert fit.steps == (SCOPE.frame,)


def test_places_that_are_inside_out_are_as_thin_as_can_be() -> None:
    """Rotations and the larger stretches stay, and all of what is no worse than squeezed."""
    Q, R = rotation_matrix(1), rotation_matrix(2)
    stretches = ((1.3, 0.9, 0.2), (1.5, 0.8, 0.01), (1.2, 1.1, -0.4))
    F = torch.stack([Q @ torch.tensor(s, dtype=torch.float64).diag() @ R for s in stretches])
    found = not_inverted(F)
    assert torch.equal(found[0], F[0])
    for k in (1, 2):
        one, two, _ = stretches[k]
        expected = Q @ torch.tensor([one, two, 0.05 / (one * two)], dtype=torch.float64).diag() @ R
        assert far(found[k], expected) < 1e-12
    assert bool(not_inverted(torch.zeros(1, 3, 3)).isfinite().all())


def test_stress_follows_from_the_deformation() -> None:
    """Of elastic laws; of what flows there is none to tell."""
    solver = reduced(points=100)
    scene = thrown()
    model = solver.discretize([scene, replace(scene, bodies=thrown(1.7e4).bodies)])
    state = solver.rollout(model, solver.start(model), STEPS).last
    tau = solver.more_fields(model, state)["tau"]
    for world, young in enumerate((1e4, 1.7e4)):
        own = model.world == world
        law, F = NeoHookean(young, 0.3), state.F[own]
        assert int(own.sum()) > 50 and far(F, EYE.expand_as(F)) > 1e-3
        torch.testing.assert_close(tau[own], law.stress(F, F.new_zeros(len(F), 0)))
    torn = replace(state, F=state.F.index_copy(0, torch.tensor([3]), -EYE[None]))
    assert bool(solver.more_fields(model, torn)["tau"].isfinite().all())
    water = ElastoPlastic(Volumetric(1e4, 0.3), FluidReset())
    assert solver.more_fields(replace(model, laws=[(water, model.laws[0][1])]), state) == {}


def test_velocities_are_those_of_the_last_frame() -> None:
    """Of each point the way since the frame before, over its time: of particles' frames too."""
    solver = reduced(points=100)
    found = simulate(thrown(), solver, steps=STEPS, every=1)
    assert found.v is not None
    assert far(found.v[1:], found.x.diff(dim=0) / SCOPE.frame) < 1e-11


def test_the_first_frames_have_as_many_particles_as_the_training() -> None:
    operator = operator_of()
    operator.scope = replace(SCOPE, particles_per_cell=27)
    model = reduced(operator).discretize(thrown())
    expected = MPMSolver(SCOPE.cell, particles_per_cell=27, precision="float64")
    assert torch.equal(model.full.x0, expected.discretize(thrown()).x0)
    assert model.full.n > 1.5 * reduced().discretize(thrown()).full.n


def test_points_asked_for_turn_with_their_own_body() -> None:
    """Each is of the body that it lies in, and has its velocity and spin about its centre."""
    small = thrown(shape=Box((0.15, 0.15, 0.15), (0.2, 0.2, 0.2)), spin=(0.0, 4.0, 0.0))
    scene = Scene([*thrown().bodies, *small.bodies], name="thrown")
    with pytest.warns(UserWarning, match="2 bodies"):
        model = reduced(insist=True, points=400).discretize([scene])
    own = (model.x0[:, 0] < 0.3).long()
    assert torch.equal(model.body.long(), own) and 20 < int(own.sum()) < 100
    spin = torch.tensor([[3.0, -6.0, 5.0], [0.0, 4.0, 0.0]]).double()[own]
    centre = torch.tensor([0.5, 0.2]).double()[own, None]
    expected = torch.tensor([0.5, 1.0, -0.3]) + torch.linalg.cross(spin, model.x0 - centre)
    assert far(model.v0, expected) < 1e-6


LOWER = replace(thrown(), domain=Domain((-0.5, 0.0, 0.0), (1.0, 1.0, 1.0)))
NEARLY = {
    "young": (thrown(4.9e3), thrown(4e3)),
    "stiff": (thrown(2.01e4), thrown(2.2e4)),
    "density": tuple(
        replace(thrown(), bodies=[replace(thrown().bodies[0], density=d)]) for d in (1e3, 990.0)
    ),
    "speed": tuple(thrown(velocity=(v, -v, v)) for v in (1.8, 2.5)),  # 3.1 and 4.3 m/s
    "lower": (thrown(), LOWER),
}


@pytest.mark.parametrize("name", list(NEARLY))
def test_a_little_beyond_the_training_is_within(name: str) -> None:
    """Of either end; a tenth of the range beyond is not, nor is less of what did not vary."""
    near, beyond = NEARLY[name]
    SCOPE.require(near)
    with pytest.raises(ValueError, match="is outside of what the operator was trained for"):
        SCOPE.require(beyond)
