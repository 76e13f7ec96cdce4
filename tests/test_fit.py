# SPDX-License-Identifier: Apache-2.0
"""Training a law inside the simulation: it learns, repeats, resumes and refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rheograd.engine.boundaries import Floor
from rheograd.engine.fit.distance import mean_squared_error
from rheograd.engine.fit.judge import held_out
from rheograd.engine.fit.learn import fit
from rheograd.engine.fit.recipe import Recipe
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.observations.observation import Positions
from rheograd.engine.restarts import recorded
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.materials.elastic import Corotated, NeoHookean
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantSmooth

SOLVER = MPMSolver(0.1, 1e-3)
STEPS, EVERY = 120, 5
RECIPE = Recipe(epochs=6, updates=3, shortest=20, longest=60)
TRUTH = Corotated(4e4, 0.3)


def scene(law: ConstitutiveLaw) -> Scene:
    body = Body(
        Box((0.4, 0.3, 0.4), (0.5, 0.25, 0.5)), law, 1000.0, (0.5, -2.0, 0.3), (2.0, 1.0, 3.0)
    )
    return Scene([body], [Floor(friction=0.2)], duration=STEPS * 1e-3)


@pytest.fixture(scope="module")
def seen() -> Positions:
    return Positions(simulate(scene(TRUTH), SOLVER, steps=STEPS, every=EVERY))


def learned(seed: int = 0) -> InvariantSmooth:
    return InvariantSmooth(1e4, seed=seed)


class Stopped(Exception):
    """As if the process had been killed."""


def weights(law: ConstitutiveLaw) -> list[torch.Tensor]:
    return [p.detach().clone() for p in law.parameters()]


@pytest.mark.parametrize("states", ["recorded", "positions"])
def test_a_fit_brings_the_error_down(states: Any, seen: Positions, tmp_path: Path) -> None:
    report = fit(
        scene(learned()), SOLVER, seen, folder=tmp_path, states=states, recipe=RECIPE,
        truth=scene(TRUTH),
    )  # fmt: skip
    assert report.errors["reconstruction"] < 0.1 * report.start_errors["reconstruction"]
    assert report.errors["twice the time"] < 0.2 * report.start_errors["twice the time"]
    files = {p.name for p in tmp_path.iterdir()}
    assert {
        "law.safetensors",
        "metrics.jsonl",
        "report.html",
        "report.json",
        "config.json",
    } <= files
    again = ConstitutiveLaw.load(tmp_path / "law.safetensors")
    model = SOLVER.discretize(scene(again))
    path = SOLVER.rollout(model, SOLVER.start(model), STEPS, observe=range(EVERY, STEPS + 1, EVERY))
    assert mean_squared_error(path.x, seen.trajectory.x[1:]) == pytest.approx(
        report.errors["reconstruction"] * len(seen.time) / (len(seen.time) - 1), rel=1e-4
    )


def test_a_killed_fit_resumes_to_the_same_bits(seen: Positions, tmp_path: Path) -> None:
    laws, recipe = [], replace(RECIPE, epochs=4)
    for folder, stops in (("whole", ()), ("broken", (0, 2))):
        law = learned()
        for stop in (*stops, None):

            def tell(metrics: Mapping[str, Any], stop: int | None = stop) -> None:
                if stop is not None and metrics.get("epoch") == stop:
                    raise Stopped

            law = learned()  # a new process knows nothing
            try:
                fit(
                    scene(law), SOLVER, seen, folder=tmp_path / folder, truth=scene(TRUTH),
                    states="recorded", recipe=recipe, resume=stop != stops[0] if stops else False,
                    tell=tell,
                )  # fmt: skip
            except Stopped:
                continue
        laws.append(weights(law))
    assert all(torch.equal(a, b) for a, b in zip(*laws, strict=True))
    lines = [json.loads(t) for t in (tmp_path / "broken/metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(recipe.epochs))


def test_threads_change_no_bit(seen: Positions, tmp_path: Path) -> None:
    laws = []
    for threads in (1, 2):
        law = learned()
        fit(
            scene(law), SOLVER, seen, folder=tmp_path / str(threads), truth=scene(TRUTH),
            states="recorded", recipe=replace(RECIPE, epochs=2), threads=threads,
        )  # fmt: skip
        laws.append(weights(law))
    assert all(torch.equal(a, b) for a, b in zip(*laws, strict=True))


def test_a_diverging_update_is_undone(seen: Positions, tmp_path: Path) -> None:
    wild = replace(RECIPE, rate_elasticity=30.0, rate_plasticity=30.0, rejections=3, epochs=8)
    law = learned()
    report = fit(scene(law), SOLVER, seen, folder=tmp_path, recipe=wild)
    assert any("diverge" in note for note in report.notes)
    assert all(bool(torch.isfinite(w).all()) for w in weights(law))


def test_states_estimated_from_positions_are_near_the_recorded_ones(seen: Positions) -> None:
    model = SOLVER.discretize(scene(TRUTH))
    step = torch.arange(0, STEPS + 1, EVERY)
    true = recorded(SOLVER, model, step)
    found = SOLVER.estimator(model, step, seen.trajectory.x)(model)

    def rms(a: torch.Tensor) -> float:
        return float(a.square().mean().sqrt())

    assert rms(found.v - true.v) < 0.05 * rms(true.v)
    assert rms(found.F - true.F) < 0.15 * rms(true.F - torch.eye(3))


def test_judging_is_told_and_a_step_is_found(seen: Positions, tmp_path: Path) -> None:
    """Without a step of its own the solver takes one that meets the frames."""
    told: list[Mapping[str, Any]] = []
    short = replace(RECIPE, epochs=1, updates=1)
    report = fit(
        scene(learned()), replace(SOLVER, dt=None), seen, folder=tmp_path, recipe=short,
        tell=told.append,
    )  # fmt: skip
    assert EVERY * 1e-3 / report.step == pytest.approx(round(EVERY * 1e-3 / report.step), rel=1e-9)
    assert list(report.errors) == ["reconstruction", "with the held-out tail"]
    judged = [(m["judged"], m["of"]) for m in told if "judged" in m]
    assert judged == [(k, 4) for k in range(5)]


@pytest.mark.parametrize(("share", "kept"), [(0.0, 25), (0.1, 22), (0.5, 13), (0.999, 2)])
def test_what_is_held_out(seen: Positions, share: float, kept: int) -> None:
    motions = held_out(seen, scene(TRUTH), share)
    assert len(motions["reconstruction"].time) == kept
    assert list(motions)[1:] == ["with the held-out tail"] * (kept < 25)
    with pytest.raises(ValueError, match="share from 0 to below 1; got 1"):
        held_out(seen, scene(TRUTH), 1.0)


class TestErrors:
    """Each refusal is one sentence."""

    def test_observation_longer_than_the_simulation(self, tmp_path: Path) -> None:
        long = Positions(simulate(scene(TRUTH), SOLVER, steps=2 * STEPS, every=EVERY))
        with pytest.raises(ValueError, match="longer than the simulation"):
            fit(scene(learned()), SOLVER, long, folder=tmp_path)

    def test_other_particles(self, seen: Positions, tmp_path: Path) -> None:
        x = seen.trajectory.x[:, :50]
        body = seen.trajectory.body[:50]
        few = Positions(replace(seen.trajectory, x=x, v=None, body=body))
        with pytest.raises(ValueError, match=r"50 particles, the scene \d+"):
            fit(scene(learned()), SOLVER, few, folder=tmp_path)

    def test_frames_between_steps(self, seen: Positions, tmp_path: Path) -> None:
        off = Positions(replace(seen.trajectory, time=seen.trajectory.time * 0.9071))
        with pytest.raises(ValueError, match="does not divide the"):
            fit(scene(learned()), SOLVER, off, folder=tmp_path)

    def test_recorded_states_need_the_truth(self, seen: Positions, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="name the material"):
            fit(scene(learned()), SOLVER, seen, folder=tmp_path, states="recorded")

    def test_nothing_to_learn(self, seen: Positions, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="needs one learned law"):
            fit(scene(NeoHookean(1e4, 0.3)), SOLVER, seen, folder=tmp_path)

    def test_a_folder_with_another_fit(self, seen: Positions, tmp_path: Path) -> None:
        short = replace(RECIPE, epochs=1)
        fit(scene(learned()), SOLVER, seen, folder=tmp_path, recipe=short)
        with pytest.raises(ValueError, match="already holds a fit"):
            fit(scene(learned()), SOLVER, seen, folder=tmp_path, recipe=short)
        with pytest.raises(ValueError, match="epochs = 1, not 6"):
            fit(scene(learned()), SOLVER, seen, folder=tmp_path, recipe=RECIPE, resume=True)
