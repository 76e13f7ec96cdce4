# SPDX-License-Identifier: Apache-2.0
"""Laws learned from several motions, from what cameras saw of them, and by several processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from processes import ends, start
from throws import EVERY, RECIPE, SHORT, SOLVER, STEPS, particles, pixels, scene, seen

from rheograd.engine.errors import SimulationError
from rheograd.engine.fit.expected import POISSON, expected_young
from rheograd.engine.fit.held import Held
from rheograd.engine.fit.judge import Case, judge
from rheograd.engine.fit.learn import fit
from rheograd.engine.fit.lesson import Lesson, Piece, SightLesson
from rheograd.engine.fit.recipe import Recipe
from rheograd.engine.fit.run_folder import RunFolder
from rheograd.engine.fit.shooting import Training
from rheograd.engine.fit.team import Team
from rheograd.engine.observations.joint import Joint
from rheograd.engine.observations.observation import Observation, Positions
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.materials.elastic import Corotated, Hencky
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantSmooth

FITS = """
import sys

sys.path.insert(0, {tests!r})

import torch
from throws import SHORT, SOLVER, scene, seen
from rheograd.engine.fit.judge import Case, judge
from rheograd.engine.fit.learn import fit
from rheograd.engine.fit.team import Team
from rheograd.materials.learned.invariant import InvariantSmooth
from rheograd.scenes import cli


def work(words):
    torch.set_num_threads(1)
    law = InvariantSmooth(1e4, seed=0)
    with Team.here() as team:
        fit([scene(law, k) for k in range(2)], SOLVER, seen("particles"), folder=words[0],
            recipe=SHORT, team=team, resume="--resume" in words, names=("a", "b"),
            tell=lambda metrics: print(metrics.get("epoch"), flush=True))


cli._dispatch = work
sys.exit(cli.main())
"""


RECIPES = {
    "particles": replace(RECIPE, epochs=3, longest=30),
    "pixels": replace(RECIPE, epochs=4, least=4, grown=0.5, rate_elasticity=1e-2),
}


def weights(law: ConstitutiveLaw) -> list[torch.Tensor]:
    return [p.detach().clone() for p in law.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("several", [False, True], ids=["one camera", "two cameras"])
def test_the_gradient_of_a_loss_in_pixels(several: bool) -> None:
    """Against central differences, in float64."""
    law = Corotated(3e4, 0.25)
    solver = replace(SOLVER, precision="float64")
    model = solver.discretize(scene(law))
    tracks = pixels()
    view = Joint((tracks, pixels(eye=(2.0, 0.4, 0.5), noise=0.4))) if several else tracks
    parameters = list(law.parameters())
    lesson = SightLesson(solver, model, parameters, view)
    length = 45
    (job,) = lesson.jobs([0], length)
    piece = job()
    assert piece.loss > 1.0
    motion = view.window(0, length // 5 + 1)
    assert len(lesson.window[1].time) == len(motion.time)
    for parameter, gradient in zip(parameters, piece.gradients, strict=True):
        step, value, losses = 1e-4 * abs(float(parameter.detach())), parameter.data.clone(), []
        for sign in (1.0, -1.0):
            parameter.data = value + sign * step
            losses.append(job().loss)
        parameter.data = value
        expected = (losses[0] - losses[1]) / (2 * step)
        assert float(gradient) == pytest.approx(expected, rel=2e-5)


def test_the_stiffness_that_is_expected() -> None:
    """Not only the best of the moduli that are tried, which are far apart."""
    run = simulate(scene(Hencky(3e4, POISSON)), SOLVER, steps=STEPS, every=EVERY)
    errors = 1e-4 * torch.randn(run.x.shape, generator=torch.Generator().manual_seed(0))
    seen = Positions(replace(run, x=run.x + errors))
    told: list[Mapping[str, Any]] = []
    young = expected_young(lambda law: [scene(law)], SOLVER, [seen], start=2.5e3, tell=told.append)
    assert young == pytest.approx(3e4, rel=0.01)
    assert [m["share"] for m in told] == [k / 9 for k in range(9)]


def test_lengths_meet_the_frames_of_what_was_seen() -> None:
    """And start where they tell something of the law, once there are two frames."""
    law = Corotated(4e4, 0.3)
    model = SOLVER.discretize(scene(law))
    late = pixels(eye=(2.0, 0.4, 0.5)).window(2, 9)
    lesson = SightLesson(SOLVER, model, list(law.parameters()), Joint((late, late)))
    recipe = Recipe(epochs=3, shortest=1, longest=40)
    assert lesson.last == 40
    assert [lesson.length(recipe, epoch, 1e9) for epoch in range(3)] == [15, 15, 40]
    assert lesson.length(recipe, 2, 23.7) == 20
    soft = Corotated(1e4, 0.3)
    early = SightLesson(SOLVER, SOLVER.discretize(scene(soft)), list(soft.parameters()), pixels())
    run = simulate(scene(soft), SOLVER, steps=STEPS, every=EVERY)
    off = early.observation.residual(run).square().mean((1, 2)).sqrt() > 3 * 0.1
    assert 10 < early.shortest == EVERY * int(off.nonzero()[0])
    assert early.length(recipe, 0, 1e9) == early.shortest


def test_a_loss_is_in_standard_deviations() -> None:
    """In those of the law as it is where none are stated."""
    law = Corotated(1e4, 0.3)
    model, parameters = SOLVER.discretize(scene(law)), list(law.parameters())
    run = simulate(scene(law), SOLVER, steps=STEPS, every=EVERY)

    def lesson(seen: Observation) -> SightLesson:
        return SightLesson(SOLVER, model, parameters, seen)

    def loss(seen: Observation) -> float:
        return lesson(seen).jobs([0], STEPS)[0]().loss

    tracks = pixels(noise=0.4)
    assert loss(tracks) == pytest.approx(float(tracks.misfit(run)) / 0.4**2, rel=1e-4)
    assert loss(Joint((tracks,))) == pytest.approx(loss(tracks), rel=1e-4)
    assert lesson(Joint((tracks,))).shortest == lesson(tracks).shortest > 0
    assert loss(particles()) == pytest.approx(1.0, rel=1e-4)


def test_a_fit_is_judged_by_how_far_it_is_off_from_where_it_starts() -> None:
    """Tracks that went astray count by their square."""
    law = Corotated(4e4, 0.3)
    body = scene(law).bodies[0]
    lower = replace(body, shape=Box((0.3, 0.2, 0.3), (0.5, 0.195, 0.5)))
    view = pixels()
    tracks = view.tracks.pixels.copy()
    tracks[8:, view.bound[3]] += 30.0
    view = replace(view, tracks=replace(view.tracks, pixels=tracks))
    begun = replace(scene(law), bodies=[lower])
    found = judge({"a": Case(scene(law), SOLVER, view)}, {"a": Case(begun, SOLVER, view)})
    run, other = (simulate(s, SOLVER, steps=STEPS, every=EVERY) for s in (scene(law), begun))
    assert found.errors["a"] == pytest.approx(float(view.error(run)), rel=1e-4)
    assert found.errors["a"] > 5.0 * float(view.misfit(run))
    expected = float(view.rebound(other).error(other))
    assert found.start_errors["a"] == pytest.approx(expected, rel=1e-4)
    assert abs(expected / float(view.error(other)) - 1.0) > 0.01


@pytest.mark.parametrize(("what", "worth"), [("particles", 0.2), ("pixels", 0.2)])
def test_one_law_learns_from_two_throws(what: str, worth: float, tmp_path: Path) -> None:
    law = InvariantSmooth(1e4, seed=0)
    told: list[Mapping[str, Any]] = []
    report = fit(
        [scene(law, k) for k in range(2)], SOLVER, seen(what), folder=tmp_path,
        recipe=RECIPES[what], names=("a.npz", "b.npz"), tell=told.append,
    )  # fmt: skip
    labels = ["a.npz: reconstruction", "b.npz: reconstruction"]
    assert list(report.trained) == labels
    for name in report.errors:
        assert report.errors[name] < worth * report.start_errors[name], name
    assert len(report.errors) == 4
    assert report.unit == ("m" if what == "particles" else "px")
    assert [m["judged"] for m in told if "judged" in m] == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8]
    assert {m["of"] for m in told if "judged" in m} == {8}


def test_particles_and_pixels_are_weighed_by_their_noise(tmp_path: Path) -> None:
    law = InvariantSmooth(1e4, seed=0)
    mixed = partial(fit, [scene(law, k) for k in range(2)], SOLVER, folder=tmp_path)
    short = replace(RECIPE, epochs=1, updates=1)
    with pytest.raises(ValueError, match="Positions do not state their noise"):
        mixed([particles(0), pixels(1)], recipe=short)
    report = mixed([replace(particles(0), noise=1e-3), pixels(1)], recipe=short)
    assert report.unit == "σ"
    assert report.trained == ("1: reconstruction", "2: reconstruction")


class Stretch(Lesson):
    """A stand-in that fails in one epoch."""

    last = 40

    def __init__(self, law: ConstitutiveLaw, fails: int = -1) -> None:
        self.law, self.fails, self.epoch = law, fails, 0

    def begin(self, epoch: int) -> None:
        self.epoch = epoch

    def length(self, recipe: Recipe, epoch: int, reach: float) -> int:
        return 40

    def starts(self, *settings: Any) -> list[list[int]]:
        return [[0]]

    def jobs(self, starts: Any, length: int) -> list[Any]:
        def job() -> Piece:
            if self.epoch == self.fails:
                raise SimulationError("at step 1, a particle left the grid", step=1)
            return Piece(1.0, [torch.ones_like(p) for p in self.law.parameters()])

        return [job]


def test_a_failure_in_one_motion_undoes_the_update_of_all(tmp_path: Path) -> None:
    law = Corotated(4e4, 0.3)
    lessons = [Stretch(law), Stretch(law, fails=2)]
    run = RunFolder(tmp_path, {}, resume=False)
    recipe = Recipe(epochs=3, updates=1, from_start=True, rate_elasticity=0.1)
    made = Training(lessons, law, recipe, run)
    after: list[list[torch.Tensor]] = []
    made.tell = lambda metrics: after.append(weights(law)) if "loss" in metrics else None
    made.run()
    assert [m["loss"] for m in run.metrics()] == [2.0, 2.0, None]
    assert same(after[2], after[0]) and not same(after[1], after[0])
    assert made.slowdown < 1.0 and "undone" in made.notes[0]


class Scripted(Held):
    """Held-out errors as told."""

    def __init__(self, errors: list[float], patience: int) -> None:
        super().__init__([], patience)
        self.told = errors

    def judge(self, law: Any, epoch: int, team: Team, pool: Any) -> float:
        error = self.told[epoch]
        self.tails = [_Known(error)]  # type: ignore[list-item]
        return super().judge(law, epoch, team, pool)


class _Known:
    """A tail of a known error."""

    def __init__(self, error: float) -> None:
        self.error = error

    def squares(self) -> tuple[float, int]:
        return 4 * self.error, 4


def test_the_best_law_on_held_out_frames_is_taken_and_ends_the_fit(tmp_path: Path) -> None:
    """A killed fit resumes to the same."""
    errors, laws, notes = [3.0, 1.0, float("inf"), 2.0, 1.5, 1.2, 0.1], [], []
    for folder, stop in (("whole", None), ("broken", 2)):
        law = Corotated(4e4, 0.3)
        after: list[list[torch.Tensor]] = []

        def tell(metrics: Mapping[str, Any]) -> None:
            after.append(weights(law))  # noqa: B023 (called within this turn)
            if metrics.get("epoch") == stop and len(after) == 3:  # noqa: B023
                raise KeyboardInterrupt

        recipe = Recipe(epochs=7, updates=1, from_start=True)
        make = partial(Training, [Stretch(law)], law, recipe, tell=tell)
        run = RunFolder(tmp_path / folder, {}, resume=False)
        made = make(folder=run, held=Scripted(errors, 4))
        if stop is not None:
            with pytest.raises(KeyboardInterrupt):
                made.run()
            law.load_state_dict(Corotated(1.0, 0.1).state_dict())
            made = make(folder=run, held=Scripted(errors, 4))
        made.run()
        assert same(weights(law), after[1])
        assert [m["held_out"] for m in run.metrics()] == [3.0, 1.0, None, 2.0, 1.5, 1.2]
        laws.append(weights(law))
        notes.append(made.notes)
    assert same(*laws)
    assert notes[0] == notes[1]
    assert "ended after epoch 5" in notes[0][0] and "after epoch 1 was taken" in notes[0][1]


def test_tails_count_by_what_was_seen_in_them() -> None:
    squares = (4.0, 4), (20.0, 12)
    tails: list[Any] = [SimpleNamespace(squares=partial(tuple, one)) for one in squares]
    held = Held(tails, 2)
    assert held.judge(Corotated(4e4, 0.3), 0, Team(), None) == pytest.approx(24.0 / 16.0)


def test_held_out_frames_are_those_that_the_fit_did_not_see(tmp_path: Path) -> None:
    """And tracks gone astray count there as little as in the fit."""
    law, view = InvariantSmooth(1e4, seed=0), pixels()
    recipe = replace(RECIPE, epochs=2, patience=5)
    report = fit(
        scene(law), SOLVER, view, folder=tmp_path, recipe=recipe, hold_out=0.25
    )  # fmt: skip
    lines = RunFolder(tmp_path, report.settings, resume=True).metrics()
    run = simulate(scene(law), SOLVER, steps=STEPS, every=EVERY)
    tail = view.robust(run)[13:]
    assert len(tail) == 4
    expected = float(tail.square().sum() / (2 * view.seen()[13:].sum()))
    assert min(m["held_out"] for m in lines) == pytest.approx(expected, rel=1e-5)
    assert any("was taken" in note for note in report.notes)


def test_two_processes_do_what_one_does_and_a_killed_fit_resumes(tmp_path: Path) -> None:
    """To the last bit."""
    law = InvariantSmooth(1e4, seed=0)
    fit(
        [scene(law, k) for k in range(2)], SOLVER, seen("particles"), folder=tmp_path / "one",
        recipe=SHORT, names=("a", "b"),
    )  # fmt: skip
    program, folder = tmp_path / "program.py", tmp_path / "two"
    program.write_text(FITS.format(tests=str(Path(__file__).parent)))
    leader, other = start(program, 2, [str(folder)])
    assert leader.stdout is not None
    while leader.stdout.readline() not in ("0\n", ""):
        pass
    other.kill()
    other.wait()
    first, _ = ends([leader, other])
    assert first.code == 1
    errors = [line for line in first.err.splitlines() if not line.startswith("Warp")]
    assert len(errors) == 1 and f"process 1 (pid {other.pid}) was lost" in errors[0]
    again = ends(start(program, 2, [str(folder), "--resume"]))
    assert [one.code for one in again] == [0, 0], again
    assert again[1].out == ""
    found = [ConstitutiveLaw.load(tmp_path / name / "law.safetensors") for name in ("one", "two")]
    assert same(weights(found[0]), weights(found[1]))
    reports = [json.loads((tmp_path / n / "report.json").read_text()) for n in ("one", "two")]
    for part in ("errors", "losses"):
        assert reports[0][part] == reports[1][part]
