# SPDX-License-Identifier: Apache-2.0
"""Errors of particles and cells in the bands of fitted parameters."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from rheograd.engine.boundaries import Floor
from rheograd.engine.carrying import Carried
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.fit import least_squares
from rheograd.engine.fit import numerical_error as module
from rheograd.engine.fit.experiment import Experiment
from rheograd.engine.fit.least_squares import ParameterFit, fit_parameters
from rheograd.engine.fit.numerical_error import (
    NumericalError,
    Numerics,
    Resampled,
    numerical_error,
    resampled,
)
from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.fit.trials import Trials
from rheograd.engine.fit.uncertainty import estimate
from rheograd.engine.moving_surface import MovingSurface
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.observations.joint import Joint
from rheograd.engine.observations.observation import Observation, Positions
from rheograd.engine.observations.pixel_tracks import PixelTracks
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box, Particles, Sphere
from rheograd.engine.simulate import simulate
from rheograd.engine.trajectory import Trajectory
from rheograd.engine.vision.camera import Camera
from rheograd.engine.vision.tracks import Tracks
from rheograd.materials.elastic import NeoHookean

SLAB = Box((0.3, 0.15, 0.15), (0.3, 0.075, 0.25))
SOLVER = MPMSolver(cell=1 / 40, precision="float64", dt=1e-3)
SIZE = (320, 240)
FRONT = Camera.look_at((0.4, 0.3, 1.6), (0.4, 0.1, 0.3), size=SIZE, field_of_view=25.0)
SIDE = Camera.look_at((1.3, 0.4, 1.1), (0.4, 0.1, 0.3), size=SIZE, field_of_view=25.0)
PLACES = torch.cartesian_prod(
    torch.linspace(-0.14, 0.14, 7), torch.linspace(-0.07, 0.07, 5)
).double()
"""Places on the front face, from its middle [m]."""
YOUNG, FRICTION = 4e4, 0.3
START = {"young": Parameter(3.6e4, 1.0), "friction": Parameter(0.34, 0.0)}


def build(*, young: float = YOUNG, friction: float = FRICTION) -> Scene:
    """A slab that slides on the floor on which it rests."""
    body = Body(SLAB, NeoHookean(young, 0.3), 1e3, (0.8, -0.1, 0.0))
    domain = Domain((0.0, 0.0, 0.0), (1.0, 0.4, 0.5))
    return Scene([body], [Floor(friction=friction)], duration=0.12, domain=domain)


def motion(solver: MPMSolver = SOLVER, make: Any = build) -> Trajectory:
    assert solver.dt is not None
    return simulate(make(), solver, every=round(0.01 / solver.dt))


def seen(run: Trajectory, camera: Camera = FRONT) -> PixelTracks:
    """Exact tracks of a motion, bound to the particles of the model."""
    places = SLAB.centroid + torch.cat([PLACES, torch.full((len(PLACES), 1), 0.075)], 1)
    carried = Carried.by(places, run.x[0].double())
    pixels = camera.project(carried.at(run.x.double())).at.numpy()
    tracks = Tracks(pixels, run.time.numpy(), SIZE, None, camera, "made")
    model = SOLVER.discretize(build())
    return PixelTracks.bind(tracks, on(model), model.x0, noise=0.3)


def on(model: Any) -> MovingSurface:
    return MovingSurface.of_particles([SLAB.surface()], model.x0.double(), model.body)


def fitted(observation: Observation, make: Any = build, **more: Any) -> ParameterFit:
    return fit_parameters(make, SOLVER, observation, START, search=0, tolerance=1e-9, **more)


class Linear(Trials):
    """Residuals J (θ − θ*) + offset, in which samplings and grids have offsets of their own."""

    slope = np.array([[1.0, 0.2], [0.3, 2.0], [-0.5, 1.0], [0.7, 0.1]])
    offsets = np.random.default_rng(5).normal(size=(4, 4))
    true = np.array([0.4, -0.3])

    def residuals(self, points: Any, steps: Any, tell: Any = None) -> list[np.ndarray]:
        shape = self.build().bodies[0].shape
        row = 1 + shape.seed // 1000 if isinstance(shape, Resampled) else 0
        if self.solver.cell < SOLVER.cell:
            row = 3
            assert list(steps) == [0.5e-3], "half the step goes with half the cell"
        return [self.slope @ (free - self.true) + self.offsets[row] for free in points]


def test_of_a_linear_model_the_refits_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_on_its_particles", lambda trials, free: trials)
    trials = Linear(build, SOLVER, (), {})
    J = Linear.slope

    def optimum(row: int) -> np.ndarray:
        return Linear.true - np.linalg.lstsq(J, Linear.offsets[row], rcond=None)[0]

    here = optimum(0)
    (residual,) = trials.residuals([here], [1e-3])
    both = np.array([True, True])
    found = numerical_error(trials, here, [1e-3], residual, J, both, Numerics(2))
    expected = [optimum(row) - here for row in (1, 2, 3)]
    assert found.samplings == pytest.approx(np.array(expected[:2]), abs=1e-12)
    assert found.refinement == pytest.approx(expected[2], abs=1e-12)
    later = numerical_error(
        trials, here, [1e-3], residual, J, both, Numerics(1, refined=False, seed=1)
    )
    assert later.samplings == pytest.approx(expected[1][None], abs=1e-12)
    # a parameter that the data do not determine does not move, and takes nothing from others
    one = numerical_error(
        trials, here, [1e-3], residual, J, np.array([True, False]), Numerics(2, refined=False)
    )
    alone = -(J[:, 0] @ (Linear.offsets[1] - Linear.offsets[0])) / (J[:, 0] @ J[:, 0])
    assert one.samplings[0].tolist() == pytest.approx([alone, 0.0], abs=1e-12)
    assert not one.refinement.any()


def test_variances_add_up_and_bands_have_the_freedom_of_the_sum() -> None:
    draw = np.random.default_rng(3)
    J, r = draw.normal(size=(60, 2)), 0.1 * draw.normal(size=60)
    alone = estimate(J, r, np.repeat(np.arange(12), 5))
    error = NumericalError(np.array([[0.3, 0.0], [-0.1, 0.0]]), np.array([0.0, 0.2]))
    found = error.added_to(alone)
    tracks = np.diag(alone.covariance)
    assert found.std**2 == pytest.approx([tracks[0] + 0.05, tracks[1] + 0.04])
    assert found.parts["tracks"] == pytest.approx(alone.std)
    assert found.parts["particles"] == pytest.approx([0.05**0.5, 0.0])
    assert found.parts["cells"] == pytest.approx([0.0, 0.2])
    freedom = (tracks[0] + 0.05) ** 2 / (tracks[0] ** 2 / 11 + 0.05**2 / 2)
    assert found.freedom == pytest.approx(freedom), "that of the parameter with the least"
    assert found.reach[0] == pytest.approx(stats.t.ppf(0.975, freedom) * found.std[0])
    # what comes from cells counts as known: the freedom grows beyond that of the tracks
    freedom = (tracks[1] + 0.04) ** 2 / (tracks[1] ** 2 / 11)
    assert found.reach[1] == pytest.approx(stats.t.ppf(0.975, freedom) * found.std[1])
    # what the data do not determine has no variance
    known = np.diag([1.0, 0.0])
    one = replace(alone, determined=np.array([True, False]), covariance=alone.covariance * known)
    assert error.added_to(one).std.tolist() == pytest.approx([found.std[0], 0.0])
    # with nothing to add it is what it was
    none = NumericalError(np.zeros((6, 2)), np.zeros(2)).added_to(alone)
    assert none.reach == pytest.approx(alone.reach)


def test_what_only_the_grid_leaves_open_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    error = NumericalError(np.zeros((1, 2)), np.array([0.0, 2.0]))
    monkeypatch.setattr(least_squares, "numerical_error", lambda *given: error)
    found = fitted(seen(motion()), numerics=Numerics(), max_iterations=1)
    young, friction = found.parameters
    assert young.determined and not young.coarse
    assert friction.coarse and not friction.determined and friction.low95 is None
    assert friction.parts["cells"] == pytest.approx(2.0 * START["friction"].slope(
        START["friction"].free(friction.value)), rel=1e-3)  # fmt: skip
    (warning,) = [w for w in found.warnings if "friction" in w]
    assert "take smaller cells" in warning


def test_bodies_of_a_scene_have_particles_of_their_own() -> None:
    def twice() -> Scene:
        return replace(build(), bodies=2 * list(build().bodies))

    points = [body.shape.sample(0.02).points for body in resampled(twice, 3)().bodies]
    assert len(points) == 2 and not torch.equal(*points)


def test_other_particles_fill_the_same_body() -> None:
    shape = Sphere(0.1, (0.5, 0.3, 0.5))
    first, same, other = (Resampled(shape, seed).sample(0.02) for seed in (1, 1, 2))
    assert torch.equal(first.points, same.points)
    assert not torch.equal(first.points[:50], other.points[:50])
    for sample in (first, other):
        assert bool(shape.contains(sample.points).all())
        assert float(sample.volumes.sum()) == pytest.approx(shape.volume)
    assert torch.equal(Resampled(shape).surface().vertices, shape.surface().vertices)
    stated = Particles(first.points, first.volumes)
    assert torch.equal(Resampled(stated, 3).sample(0.02).points, first.points)


@pytest.mark.slow
def test_a_refit_moves_as_predicted() -> None:
    """By other particles, and by a finer grid; of two cameras in one observation."""
    run = motion(make=resampled(build, 77))
    both = Joint((seen(run), seen(run, SIDE)))
    done = fitted(both, numerics=Numerics(2))
    trials = Trials(build, SOLVER, [Experiment(both)], START)
    free = np.array([START[n].free(v) for n, v in done.values.items()])
    at = module._on_its_particles(replace(trials, build=resampled(build, 0)), free)
    again = fitted(at.experiments[0].observation, resampled(build, 0))
    moved = np.array([START[n].free(v) for n, v in again.values.items()]) - free
    found = _predicted(trials, free, Numerics(1, refined=False)).samplings[0]
    assert np.abs(moved).max() > 1e-3, "nothing moved: there is nothing to compare"
    assert found == pytest.approx(moved, rel=0.1, abs=3e-4)
    # and the report says how much of a band is from what
    young = done.parameters[0]
    assert set(young.parts) == {"tracks", "particles", "cells"}
    assert young.std is not None
    assert young.std == pytest.approx(sum(v**2 for v in young.parts.values()) ** 0.5, rel=1e-6)
    assert young.parts["tracks"] < 0.5 * young.std, "the tracks are exact"


@pytest.mark.slow
def test_half_the_cell_tells_where_a_fit_to_a_finer_truth_is_off() -> None:
    truth = seen(motion(replace(SOLVER, cell=0.5 * SOLVER.cell, dt=5e-4)))
    done = fitted(truth, numerics=Numerics(2))
    plain = fitted(truth)
    assert done.values == plain.values, "bands are wider, values the same"
    young = done.parameters[0]
    off = np.log(young.value / YOUNG)
    scatter = plain.parameters[0].std
    assert scatter is not None and young.low95 is not None and young.high95 is not None
    assert abs(off) > 3.0 * scatter / YOUNG, "the scatter of tracks covers it"
    assert young.low95 < YOUNG < young.high95
    trials = Trials(build, SOLVER, [Experiment(truth)], START)
    free = np.array([START[n].free(v) for n, v in done.values.items()])
    shift = _predicted(trials, free, Numerics(0)).refinement[0]
    assert abs(off + shift) < 0.3 * abs(off)


def _predicted(trials: Trials, free: np.ndarray, numerics: Numerics) -> NumericalError:
    step = 1e-4 * np.eye(len(free))
    rows = trials.residuals([free, *(free + step), *(free - step)], [1e-3])
    p = len(free)
    J = np.stack([(rows[1 + i] - rows[1 + p + i]) / 2e-4 for i in range(p)], 1)
    return numerical_error(trials, free, [1e-3], rows[0], J, np.ones(p, bool), numerics)


def test_what_has_no_other_particles_is_refused_before_the_fit() -> None:
    run = motion()
    with pytest.raises(ValueError, match="Positions are of the particles of one model"):
        fitted(Positions(run), numerics=Numerics())
    with pytest.raises(ValueError, match="FESolver has none"):
        fit_parameters(build, FESolver(), seen(run), START, numerics=Numerics())
    with pytest.raises(ValueError, match="0 samplings and refined = False"):
        Numerics(0, refined=False)
