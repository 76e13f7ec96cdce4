# SPDX-License-Identifier: Apache-2.0
"""Named parameters fitted to motion: values, uncertainty, verdicts, resumption, refusals."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rheograd.engine.boundaries import Wall
from rheograd.engine.errors import SimulationError
from rheograd.engine.fit.experiment import Experiment
from rheograd.engine.fit.follow import common_interval, fitting_step, follow
from rheograd.engine.fit.least_squares import ParameterFit, fit_parameters
from rheograd.engine.fit.parameter import Parameter, choose, option_value, place
from rheograd.engine.fit.uncertainty import estimate
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.observations.observation import Positions
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.solver import Checkpoint
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import Damped
from rheograd.materials.elastic import Corotated
from rheograd.scenes import drop

pytestmark = pytest.mark.filterwarnings("ignore:.*particles a cell")

SOLVER = MPMSolver(cell=0.1, dt=2e-3, precision="float64")
TRUTH = {"young": 1e5, "damping": 2e-2}
STARTS = {
    "young": Parameter(7e4, 1e3, math.inf, "Pa"),
    "damping": Parameter(1.2e-2, 0.0, math.inf, "s"),
}


def build(
    *, young: float = 1e5, damping: float = 2e-2, density: float = 1e3, friction: float = 0.3,
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0), offset: float | None = None,
) -> Scene:  # fmt: skip
    """A block, two cells thick, that sticks to a wall and swings under its weight."""
    law = Damped(Corotated(young, 0.3), damping, bulk=0.0)
    body = Body(Box((0.5, 0.2, 0.2), (0.25, 0.6, 0.5)), law, density, velocity)
    return Scene([body], [Wall("x-", "sticky"), Wall("y-", "contact", friction)], duration=0.6)


TIMES = torch.arange(0, 26, dtype=torch.float64) * 0.02


def seen(noise: float = 0.0, seed: int = 0, times: Tensor = TIMES, **truth: Any) -> Positions:
    """Positions of all particles under the true parameters, with errors of a camera."""
    blank = Positions(Trajectory(times, torch.zeros(len(times), 1, 3, dtype=torch.float64)))
    keywords: dict[str, Any] = {**TRUTH, **truth}
    motion = follow([build(**keywords)], SOLVER, blank)[0]
    errors = torch.randn(motion.x.shape, generator=torch.Generator().manual_seed(seed)).double()
    return Positions(replace(motion, x=motion.x + noise * errors))


def recovered(fit: ParameterFit, within: float) -> bool:
    return all(abs(fit.values[n] / TRUTH[n] - 1) < within for n in TRUTH)


def test_parameters_are_recovered_in_single_precision() -> None:
    single = replace(SOLVER, precision="float32")
    fit = fit_parameters(build, single, seen(), STARTS)
    assert fit.converged
    assert recovered(fit, 1e-2)
    assert fit.misfit < 1e-4 * fit.start_misfit


def test_parameters_are_recovered_from_afar() -> None:
    """The swing has local optima, which the search steps over."""
    far = {"young": replace(STARTS["young"], start=4e4), "damping": STARTS["damping"]}
    times = torch.arange(0, 61, dtype=torch.float64) * 0.02
    fit = fit_parameters(build, SOLVER, seen(times=times), far)
    assert recovered(fit, 1e-5)


def test_truth_is_inside_the_band_and_the_band_is_as_wide_as_the_scatter() -> None:
    fits = [fit_parameters(build, SOLVER, seen(3e-4, s), STARTS, search=0) for s in range(8)]
    for name, truth in TRUTH.items():
        found = [next(p for p in fit.parameters if p.name == name) for fit in fits]
        assert all(p.determined and p.std is not None for p in found)
        inside = [p.low95 < truth < p.high95 for p in found]  # type: ignore[operator]
        assert sum(inside) >= 6  # 57 of 60 over more seeds, for either
        scatter = float(np.std([p.value for p in found], ddof=1))
        typical = float(np.mean([p.std for p in found]))  # type: ignore[arg-type]
        assert 0.5 < typical / scatter < 2.0
        assert scatter < 1e-2 * truth
    assert all(fit.by_track for fit in fits)


def test_jacobian_against_the_adjoint() -> None:
    """Gradient of the misfit: central differences of the fit against the exact adjoint."""
    law = Damped(Corotated(8e4, 0.3), 1.5e-2, bulk=0.0)
    scene = build()
    scene = replace(scene, bodies=[replace(scene.bodies[0], law=law)])
    observation = seen()
    motion = follow([scene], SOLVER, observation, adjoint=Checkpoint())[0]
    inputs = [*law.law.parameters(), law.time]
    gradients = torch.autograd.grad(observation.misfit(motion), inputs)
    young, time = gradients[0], gradients[-1]
    starts = {"young": Parameter(8e4, 1e3), "damping": Parameter(1.5e-2, 0.0)}
    step = 1e-4
    for name, exact in (("young", young), ("damping", time)):
        p = starts[name]
        ends = []
        for sign in (1, -1):
            values = {n: q.start for n, q in starts.items()}
            values[name] = p.value(p.free(p.start) + sign * step)
            moved = follow([build(**place(values, {}, build))], SOLVER, observation)[0]
            ends.append(float(observation.misfit(moved)))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert float(exact) * p.slope(p.free(p.start)) == pytest.approx(slope, rel=1e-6)


def test_worlds_do_not_disturb_each_other() -> None:
    scenes = [build(young=y) for y in (8e4, 1e5, 1.2e5)]
    together = follow(scenes, SOLVER, seen())
    alone = follow(scenes[1:2], SOLVER, seen())[0]
    assert torch.equal(together[1].x, alone.x)
    assert not torch.equal(together[0].x, alone.x)


def test_what_the_motion_does_not_determine_is_named() -> None:
    """Under gravity a swing tells the ratio of stiffness and density, and no friction."""
    parameters = {
        "young": STARTS["young"],
        "density": Parameter(9e2, 0.0, math.inf, "kg/m³"),
        "damping": STARTS["damping"],
        "friction": Parameter(0.3, 0.0),
    }
    fit = fit_parameters(build, SOLVER, seen(1e-4), parameters, search=0)
    found = {p.name: p for p in fit.parameters}
    assert [n for n, p in found.items() if p.determined] == ["damping"]
    assert found["friction"].std is None
    assert fit.values["young"] / fit.values["density"] == pytest.approx(100.0, rel=1e-2)
    assert fit.values["damping"] == pytest.approx(2e-2, rel=1e-2)


def test_vectors_and_other_numbers_of_a_scene() -> None:
    given = {"damping": 3e-2}
    parameters = choose(build, {"velocity.y": -0.1, "density": None}, given)
    assert parameters["velocity.y"].start == -0.1
    assert parameters["density"] == Parameter(1e3, 0.0, math.inf, "kg/m³")
    truth = {"velocity": (0.0, -0.4, 0.0), "density": 1.1e3, "damping": 3e-2}
    fit = fit_parameters(build, SOLVER, seen(**truth), parameters, given=given)
    assert fit.values["velocity.y"] == pytest.approx(-0.4, rel=1e-4)
    assert fit.values["density"] == pytest.approx(1.1e3, rel=1e-4)


def test_what_a_scene_settles_itself_is_read_off_it() -> None:
    """Moduli of a drop whose material has them, unless they are given."""
    chosen = choose(drop.build, {"young": None, "density": None}, {"material": "sand"})
    assert (chosen["young"].start, chosen["density"].start) == (2e5, 1.6e3)
    assert choose(drop.build, {"young": None}, {})["young"].start == 5e4
    assert choose(drop.build, {"young": None}, {"young": 7e4})["young"].start == 7e4
    assert option_value(drop.build, "mesh", {}) is None


def test_a_fit_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    """Killed in the middle of an iteration by the operating system, it ends with the same bits."""
    options: dict[str, Any] = {"search": 1, "tolerance": 1e-9, "max_iterations": 6}
    whole = fit_parameters(build, SOLVER, seen(1e-4), STARTS, folder=tmp_path / "whole", **options)
    script = f"""
import os, sys, warnings
sys.path.insert(0, {str(Path(__file__).parent)!r})
warnings.simplefilter("ignore")
from test_fit_parameters import SOLVER, STARTS, build, seen
from rheograd.engine.fit.least_squares import fit_parameters
from rheograd.engine.observations.observation import Positions
class Deadly(Positions):
    calls = 0
    def residual(self, trajectory):
        Deadly.calls += 1
        if Deadly.calls == 6 + 2 * 5 + 3:  # the search, two evaluations, half of the third
            os.kill(os.getpid(), 9)
        return super().residual(trajectory)
Positions.__name__, Deadly.__name__ = "Hidden", "Positions"
fit_parameters(build, SOLVER, Deadly(seen(1e-4).trajectory), STARTS, folder=sys.argv[1],
               search=1, tolerance=1e-9, max_iterations=6)
"""
    folder = tmp_path / "killed"
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True)
    assert done.returncode == -9, done.stderr
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1]
    with pytest.raises(ValueError, match="already holds a fit"):
        fit_parameters(build, SOLVER, seen(1e-4), STARTS, folder=folder, **options)
    resumed = fit_parameters(
        build, SOLVER, seen(1e-4), STARTS, folder=folder, resume=True, **options
    )
    assert resumed.parameters == whole.parameters
    assert resumed.losses == whole.losses
    assert resumed.correlation == whole.correlation
    told = [
        [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in text]
        for text in (
            (f / "metrics.jsonl").read_text().splitlines() for f in (folder, tmp_path / "whole")
        )
    ]
    assert told[0] == told[1]
    theirs = "the parameters young, .*, not young: resume with the same settings"
    with pytest.raises(ValueError, match=theirs):
        fit_parameters(
            build, SOLVER, seen(1e-4), {"young": STARTS["young"]}, folder=folder, resume=True,
            **options,
        )  # fmt: skip


def test_a_fit_that_is_stopped_while_it_searches_goes_on_there(tmp_path: Path) -> None:
    """It says how far it is, and simulates nothing twice."""
    options: dict[str, Any] = {"search": 1, "tolerance": 1e-9, "max_iterations": 3}
    told: list[Any] = []

    def stop(metrics: Any) -> None:
        told.append(metrics)
        if metrics.get("doing") == "search along damping":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_parameters(
            build, SOLVER, seen(1e-4), STARTS, folder=tmp_path / "a", tell=stop, **options
        )
    shares = [m["share"] for m in told if m.get("doing") == "search along young"]
    assert len(shares) > 3 and shares == sorted(shares) and shares[-1] == 1.0
    assert all(m["scenes"] == 3 for m in told)
    later: list[Any] = []
    found = fit_parameters(
        build, SOLVER, seen(1e-4), STARTS, folder=tmp_path / "a", resume=True, tell=later.append,
        **options,
    )  # fmt: skip
    whole = fit_parameters(build, SOLVER, seen(1e-4), STARTS, folder=tmp_path / "b", **options)
    assert not [m for m in later if m.get("doing") == "search along young"]
    assert found.parameters == whole.parameters and found.losses == whole.losses


def test_a_diverging_simulation_is_a_rejected_step() -> None:
    built: list[float] = []

    def brittle(*, young: float = 1e5, damping: float = 2e-2) -> Scene:
        built.append(young)
        if len(built) == 7:  # the first trial; before it the start and its four neighbours
            raise SimulationError("at step 7, particle 3 left the grid; take a smaller dt")
        return build(young=young, damping=damping)

    fit = fit_parameters(brittle, SOLVER, seen(), STARTS, search=0)
    assert fit.converged
    assert recovered(fit, 1e-3)
    (note,) = fit.notes
    assert note.startswith("iteration 1: step to young = ")
    assert note.endswith("rejected, the next is more cautious: at step 7, particle 3 left the grid")


def test_a_fit_that_cannot_start_says_why() -> None:
    def broken(*, young: float = 1e5) -> Scene:
        raise SimulationError("particle 3 left the grid")

    with pytest.raises(SimulationError, match="left the grid"):
        fit_parameters(broken, SOLVER, seen(), {"young": STARTS["young"]})
    with pytest.raises(ValueError, match="got no parameters to fit"):
        fit_parameters(build, SOLVER, seen(), {})


def test_steps_are_shortened_for_stiffer_parameters() -> None:
    free = replace(SOLVER, dt=None)
    start = {"young": Parameter(1.5e4, 1e3, math.inf, "Pa")}
    observation = seen()
    before = fitting_step(free, [build(young=1.5e4)], observation)
    fit = fit_parameters(build, free, observation, start, search=0)
    assert fit.steps[0] < before
    assert any("time step shortened" in note for note in fit.notes)
    assert fit.values["young"] == pytest.approx(1e5, rel=2e-2)  # steps differ from the truth's


def test_steps_stay_where_they_are_long_enough() -> None:
    """A little longer than they were chosen now: another step is another motion."""
    free, observation = replace(SOLVER, dt=None), seen()
    start = {"young": Parameter(8e4, 1e3, math.inf, "Pa")}
    before, after = (fitting_step(free, [build(young=y)], observation) for y in (8e4, 1e5))
    assert after < before
    fit = fit_parameters(build, free, observation, start, search=0)
    assert fit.steps == (before,) and fit.notes == ()


@pytest.mark.parametrize(("noise", "told"), [(None, False), (1e-4, False), (2e-5, True)])
def test_what_the_stated_noise_does_not_explain_is_told(noise: float | None, told: bool) -> None:
    observation = replace(seen(1e-4), noise=noise)
    fit = fit_parameters(build, SOLVER, observation, STARTS, search=0, max_iterations=4)
    assert [("times the noise of 2e-05 m (stated)" in w) for w in fit.warnings] == [True] * told
    assert (fit.excess is not None) == told


@pytest.mark.parametrize(
    "p",
    [
        Parameter(3e5, 1.0, math.inf), Parameter(2e-3, 0.0), Parameter(0.3, 0.0, 0.495),
        Parameter(3e5, 1e3, 1e8), Parameter(-2.0), Parameter(0.0, scale=0.1),
        Parameter(-3.0, upper=0.0),
    ],
    ids=str,
)  # fmt: skip
def test_coordinates_without_bounds(p: Parameter) -> None:
    z = p.free(p.start)
    assert p.value(z) == pytest.approx(p.start, rel=1e-12, abs=1e-15)
    for far in (-800.0, -30.0, 30.0, 800.0):
        assert p.lower <= p.value(far) <= p.upper
    assert p.slope(z) > 0
    assert p.value(z + p.width) > p.start
    assert p.lower < p.value(z - 3 * p.width)


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="start of 0, expected more than 0 s"):
        Parameter(0.0, 0.0, math.inf, "s")
    with pytest.raises(ValueError, match="start of nan"):
        Parameter(math.nan)
    with pytest.raises(ValueError, match="scale of -1"):
        Parameter(1.0, scale=-1.0)
    with pytest.raises(
        ValueError, match=r"^poisson: got a start of 0\.5, .* 0 and 0\.495, neither"
    ):
        choose(lambda *, poisson=0.3: build(), {"poisson": 0.5}, {})


def test_names_that_a_scene_does_not_have() -> None:
    expected = ": there are young, damping, density, friction, velocity.x"
    guess = r" \(did you mean velocity.x\?\)"
    for name, guessed in (("stiffness", ""), ("velocity", guess), ("velocity.w", guess)):
        with pytest.raises(ValueError, match=f"no number '{name}' to fit{guessed}{expected}"):
            choose(build, {name: None}, {})
    assert choose(build, {"damping": None}, {"damping": 0.0})["damping"].start == 1e-3
    assert choose(build, {"offset": None}, {})["offset"].start == 1.0
    assert place({"velocity.z": 2.0, "young": 1.0}, {"velocity": (1.0, 0.0, 0.0)}, build) == {
        "velocity": (1.0, 0.0, 2.0), "young": 1.0,
    }  # fmt: skip


def test_a_parameter_of_an_experiment_that_there_is_not_is_refused_at_once(tmp_path: Path) -> None:
    start = {"velocity.x@a": Parameter(0.0)}
    known = [Experiment(seen(), {}, "throw"), Experiment(seen(), {}, "slide")]
    with pytest.raises(ValueError, match="'a', which there is not: there are throw, slide"):
        fit_parameters(build, SOLVER, known, start, folder=tmp_path / "none")
    with pytest.raises(ValueError, match="leave the @ out"):
        fit_parameters(build, SOLVER, seen(), start)
    assert not (tmp_path / "none").exists()


def test_times_that_steps_can_meet() -> None:
    assert common_interval(torch.tensor([0.0, 0.02, 0.05])) == pytest.approx(0.01)
    assert common_interval(torch.tensor([0.06, 0.07])) == pytest.approx(0.01)
    odd = 2.5574183e-3 * torch.tensor([0.0, 4.0, 6.0, 400.0], dtype=torch.float64)
    assert common_interval(odd) == pytest.approx(2 * 2.5574183e-3, rel=1e-12)
    with pytest.raises(ValueError, match="resample the observation"):
        common_interval(torch.tensor([0.0, 0.1000003, 0.2]))
    with pytest.raises(ValueError, match="expected times from 0"):
        common_interval(torch.tensor([-0.1, 0.1]))
    with pytest.raises(ValueError, match=r"does not divide the 0\.02 s"):
        fitting_step(replace(SOLVER, dt=3e-3), [build()], seen())


def test_covariance_of_clustered_errors() -> None:
    """Errors common to all of a track are not mistaken for as many independent ones."""
    generator = np.random.default_rng(0)
    tracks, length = 40, 25
    track = np.repeat(np.arange(tracks), length)
    slopes = []
    stds = []
    for _ in range(200):
        J = np.ones((tracks * length, 1))
        error = np.repeat(generator.normal(size=tracks), length) + generator.normal(
            scale=0.1, size=tracks * length
        )
        slopes.append(error.mean())
        stds.append(estimate(J, error - error.mean(), track).std[0])
    assert np.mean(stds) == pytest.approx(np.std(slopes), rel=0.15)


def test_covariance_is_corrected_for_few_tracks() -> None:
    """t (m - 1) / ((t - 1) (m - p)) and t - 1 degrees of freedom for t tracks of m entries."""
    generator = np.random.default_rng(2)
    J, r = generator.normal(size=(12, 2)), generator.normal(size=12)
    found = estimate(J, r, np.repeat([7, 3, 5, 1], 3))
    scores = (J * r[:, None]).reshape(4, 3, 2).sum(1)
    bread = np.linalg.inv(J.T @ J)
    expected = 4 / 3 * 11 / 10 * bread @ scores.T @ scores @ bread
    assert np.allclose(found.covariance, expected, rtol=1e-12, atol=0)
    assert found.quantile == pytest.approx(3.182446, abs=1e-6)


def test_few_tracks_count_as_independent_entries() -> None:
    generator = np.random.default_rng(1)
    J, r = generator.normal(size=(60, 2)), generator.normal(size=60)
    found = estimate(J, r, np.repeat([0, 1], 30))
    assert not found.by_track
    assert np.allclose(found.covariance, np.linalg.inv(J.T @ J) * (r @ r) / 58)
    assert np.allclose(np.diag(found.correlation), 1.0)


def test_correlation_and_quantile_of_independent_entries() -> None:
    """C_ij / sqrt(C_ii C_jj) of parameters of different scales; t of m - p degrees of freedom."""
    generator = np.random.default_rng(1)
    J = generator.normal(size=(12, 2)) @ np.array([[1.0, 30.0], [0.0, 40.0]])
    found = estimate(J, 1e-2 * generator.normal(size=12), np.repeat([0, 1], 6))
    (a, c), (_, b) = np.linalg.inv(J.T @ J)
    expected = c / math.sqrt(a * b)
    assert 0.3 < abs(expected) < 0.9
    assert np.allclose(found.correlation, [[1.0, expected], [expected, 1.0]], rtol=1e-12, atol=0)
    assert found.quantile == pytest.approx(2.228139, abs=1e-6)
