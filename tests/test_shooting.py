# SPDX-License-Identifier: Apache-2.0
"""What a training step is made of: batches, their loss and gradient, states carried along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from rheograd.engine.boundaries import Floor
from rheograd.engine.errors import GradientError, SimulationError
from rheograd.engine.fit.lesson import PositionLesson
from rheograd.engine.fit.recipe import Recipe
from rheograd.engine.fit.run_folder import RunFolder
from rheograd.engine.fit.shooting import Training
from rheograd.engine.mpm import MPMModel, MPMSolver
from rheograd.engine.mpm.estimation import Kinematics, estimated
from rheograd.engine.restarts import recorded
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.solver import Checkpoint
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantFull, InvariantSmooth
from rheograd.materials.plastic import VonMises

SOLVER = MPMSolver(0.1, 1e-3, precision="float64")
EVERY, STEPS = 4, 40


def falling(*laws: ConstitutiveLaw) -> MPMModel:
    places = [(0.3, 0.12, 0.3), (0.7, 0.12, 0.7)]
    bodies = [
        Body(Box((0.2, 0.2, 0.2), place), law, 1000.0, (0.5, -2.0, 0.3))
        for place, law in zip(places, laws, strict=False)
    ]
    return SOLVER.discretize(Scene(bodies, [Floor(friction=0.2)], duration=0.1))


def training(folder: Path, recipe: Recipe, seed: int = 0, resume: bool = False) -> Training:
    law = Corotated(4e4, 0.3)
    model = falling(law)
    step = torch.arange(0, STEPS + 1, EVERY)
    known = recorded(SOLVER, falling(Corotated(6e4, 0.2)), step)
    draw = torch.Generator().manual_seed(0)
    x = known.x + 1e-3 * torch.randn(known.x.shape, generator=draw, dtype=known.x.dtype)
    run = RunFolder(folder, {}, resume=resume)
    lesson = PositionLesson(SOLVER, model, list(law.parameters()), x, step, lambda epoch: known)
    lesson.begin(0)
    return Training([lesson], law, recipe, run, seed=seed)


def only(made: Training) -> PositionLesson:
    (lesson,) = made.lessons
    assert isinstance(lesson, PositionLesson)
    return lesson


def batches(made: Training, length: int) -> list[list[int]]:
    """Starts of the segments of each update."""
    return [starts for (starts,) in made._batches([length])]


def test_loss_and_gradient_of_a_batch_are_those_of_its_segments(tmp_path: Path) -> None:
    """Each run by itself; the last one goes on after what was observed."""
    made = training(tmp_path, Recipe())
    lesson, length, starts = only(made), 12, [0, 20, 36]
    known = lesson.known
    with ThreadPoolExecutor(1) as pool:
        loss, gradients = made._gradient(pool, [starts], [length])
    total = torch.zeros((), dtype=torch.float64)
    for start in starts:
        k = start // EVERY
        state = SOLVER.state(
            lesson.model, known.x[k], known.v[k], known.F[k], C=known.carry["C"][k],
            internal=known.internal[k],
        )  # fmt: skip
        observe = range(EVERY, length + 1, EVERY)
        out = SOLVER.rollout(
            lesson.model, state, length, observe=list(observe), adjoint=Checkpoint(length)
        )
        for offset, x in zip(observe, out.x, strict=True):
            if start + offset <= STEPS:
                total = total + (x - lesson.x[(start + offset) // EVERY]).square().mean()
    expected = total * EVERY * 1e4 / length
    assert loss == pytest.approx(float(expected.detach()), rel=1e-9)
    for a, b in zip(gradients, torch.autograd.grad(expected, made.parameters), strict=True):
        assert float(a) == pytest.approx(float(b), rel=1e-8)


def test_positions_count_by_their_noise(tmp_path: Path) -> None:
    """A centimetre unless it is stated."""
    lesson = only(training(tmp_path, Recipe()))
    losses = []
    for noise in (None, 1e-2, 1e-3):
        one = replace(lesson, noise=noise)
        one.begin(0)
        losses.append(one.jobs([0], 12)[0]().loss)
    assert losses == pytest.approx([losses[0], losses[0], 100.0 * losses[0]])


def failing_runs(
    made: Training, monkeypatch: pytest.MonkeyPatch, fails: Callable[[int, int], bool]
) -> tuple[list[str], list[int]]:
    """Notes of a training, and lengths of its epochs, that diverges at step 15 where `fails`."""
    real = Training._gradient

    def gradient(self: Training, pool: Any, starts: Any, lengths: Any) -> Any:
        if fails(self.epoch, max(lengths)):
            raise SimulationError("at step 15, a particle left the grid", step=15)
        return real(self, pool, starts, lengths)

    monkeypatch.setattr(Training, "_gradient", gradient)
    told: list[Mapping[str, Any]] = []
    made.tell = told.append
    made.run()
    notes = [line["note"] for line in told if "note" in line]
    return notes, [line["segment"] for line in told if "segment" in line]


SHORTER = "the law ran 15 steps, then diverged; segments shortened to 12 steps"


@pytest.mark.parametrize("updates", [1, 3])
def test_longer_segments_are_as_long_as_the_law_survives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, updates: int
) -> None:
    made = training(tmp_path, Recipe(epochs=12, updates=updates, shortest=8, longest=20))
    notes, lengths = failing_runs(made, monkeypatch, lambda epoch, L: epoch == 10 and L > 12)
    assert notes == [f"epoch 10: {SHORTER}"]
    assert lengths[9] == 16
    assert lengths[10:] == [12, 12]
    assert made.slowdown == 1.0


def test_an_update_is_undone_before_segments_are_shortened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the law before it came as far."""
    made = training(tmp_path, Recipe(epochs=12, updates=3, shortest=8, longest=20))
    notes, lengths = failing_runs(made, monkeypatch, lambda epoch, L: epoch == 9 and L > 12)
    assert notes[0].startswith("epoch 9: an update made the simulation diverge")
    assert notes[1:] == [f"epoch 9: {SHORTER}"]
    assert lengths[8:] == [16, 12, 12, 12]
    assert 0.5 < made.slowdown < 0.6


def test_segments_are_shortened_where_gradients_explode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = training(tmp_path, Recipe(epochs=12, updates=1, shortest=8, longest=20))
    real = Training._gradient

    def exploding(self: Training, pool: Any, starts: Any, lengths: Any) -> Any:
        loss, gradients = real(self, pool, starts, lengths)
        wild = self.epoch == 10 and max(lengths) > 16
        return loss, [1e3 * g for g in gradients] if wild else gradients

    monkeypatch.setattr(Training, "_gradient", exploding)
    told: list[Mapping[str, Any]] = []
    made.tell = told.append
    made.run()
    notes = [line["note"] for line in told if "note" in line]
    assert notes == [
        "epoch 10: the law ran 20 steps, gradients exploded; segments shortened to 16 steps"
    ]
    assert made.slowdown == 1.0


def test_a_bad_update_is_undone_after_a_checkpoint_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It proves bad in the first batch after a kill: the result is that of a whole run."""
    recipe = Recipe(epochs=3, updates=1, shortest=12, longest=12, rate_elasticity=0.1)
    real, failed = Training._gradient, set()

    def failing(self: Training, pool: Any, starts: Any, lengths: Any) -> Any:
        if self.epoch == 1 and self.folder.path not in failed:
            failed.add(self.folder.path)
            raise SimulationError("at step 3, a particle left the grid", step=3)
        return real(self, pool, starts, lengths)

    monkeypatch.setattr(Training, "_gradient", failing)
    laws = []
    for folder, stop in (("whole", None), ("broken", 0)):
        made = training(tmp_path / folder, recipe)
        first = [p.detach().clone() for p in made.parameters]

        def tell(line: Mapping[str, Any], stop: int | None = stop) -> None:
            if line["epoch"] == stop:
                raise KeyboardInterrupt

        made.tell = tell
        if stop is not None:
            with pytest.raises(KeyboardInterrupt):
                made.run()
            made = training(tmp_path / folder, recipe, resume=True)
        made.run()
        assert made.notes
        assert not all(map(torch.equal, made.parameters, first))
        laws.append(made.parameters)
    assert all(map(torch.equal, *laws))


def test_a_law_that_fails_at_once_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = training(tmp_path, Recipe(epochs=2, updates=1, shortest=12, longest=20))
    real = Training._gradient

    def failing(self: Training, pool: Any, starts: Any, lengths: Any) -> Any:
        if self.epoch == 1:
            raise SimulationError("at step 3, a particle left the grid", step=3)
        return real(self, pool, starts, lengths)

    monkeypatch.setattr(Training, "_gradient", failing)
    before = [p.detach().clone() for p in made.parameters]
    made.run()
    assert made.slowdown == 0.5
    assert all(map(torch.equal, made.parameters, before))
    assert "undone" in made.notes[0]


def test_a_recipe_suits_its_law() -> None:
    """Networks without a unit need the published rates, others learn slower."""
    bare, scaled = InvariantFull(), InvariantFull(1e5)
    assert Recipe.suited(bare, 30) == Recipe.unscaled(30)
    assert not Recipe.suited(bare, 30).from_start
    for recipe in (Recipe.suited(bare, states="positions"), Recipe.polish()):
        assert recipe.clip == Recipe.published().clip
    for law in (bare, scaled, InvariantSmooth()):
        assert Recipe.suited(law, 30, states="positions").from_start
    for law in (bare, scaled):
        seen = Recipe.suited(law, 30, states="pixels")
        assert seen.from_start and seen.patience and seen.least > 1 and seen.grown < 1.0
    assert (
        Recipe.suited(bare, states="pixels").rate_elasticity == Recipe.published().rate_elasticity
    )
    for states in ("recorded", "positions"):
        assert Recipe.suited(scaled, states=states).rate_elasticity == Recipe().rate_elasticity
        assert Recipe.suited(scaled, states=states).from_start


@pytest.mark.parametrize("growth", ["geometric", "cosine"])
def test_lengths_and_rates_of_a_recipe(growth: Literal["geometric", "cosine"]) -> None:
    recipe = Recipe(epochs=21, shortest=25, longest=400, growth=growth)
    lengths = [recipe.length(epoch, 5, 1000) for epoch in range(21)]
    assert lengths[0] == 25
    assert lengths[-1] == 400
    assert lengths == sorted(lengths)
    assert lengths[10] == {"geometric": 100, "cosine": 215}[growth]
    assert all(length % 5 == 0 for length in lengths)
    grown = replace(recipe, grown=0.5)
    assert [grown.length(epoch, 5, 1000) for epoch in range(21)] == [*lengths[::2], *[400] * 10]
    slow = replace(recipe, warm=0.2, final=0.1)
    rates = [slow.rate(share) for share in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.55, 0.1])


@pytest.mark.parametrize("length", [4, 8, 12])
def test_batches_are_spread_over_all_of_the_motion(length: int, tmp_path: Path) -> None:
    made = training(tmp_path, Recipe(updates=3), seed=1)
    room = (STEPS - length) // EVERY + 1
    drawn: set[int] = set()
    for epoch in range(60):
        made.epoch = epoch
        drawn_now = batches(made, length)
        assert len(drawn_now) == 3
        starts = sorted(s for batch in drawn_now for s in batch)
        assert starts[0] == 0
        for k, start in enumerate(starts):
            assert start % EVERY == 0
            assert k * room // len(starts) <= start / EVERY <= (k + 1) * room / len(starts)
        drawn |= set(starts)
    missing = set(range(0, STEPS - length + 1, EVERY)) - drawn
    assert missing <= set(range(EVERY, length, EVERY))  # within the one that starts at 0


def test_from_the_start_an_epoch_repeats_its_segment(tmp_path: Path) -> None:
    made = training(tmp_path, Recipe(from_start=True, updates=6))
    assert batches(made, 4) == [[0]] * 6
    assert batches(made, 12) == [[0]] * 4
    assert batches(made, STEPS) == [[0]]
    made.recipe = replace(made.recipe, least=3)
    assert batches(made, STEPS) == [[0]] * 3


def test_one_update_an_epoch_takes_all_segments_in_turn(tmp_path: Path) -> None:
    assert batches(training(tmp_path, Recipe(updates=1)), 12) == [[0, 12, 24, 36]]


def test_states_carried_along_the_true_motion_flow_as_it_did() -> None:
    soft = ElastoPlastic(Hencky(4e4, 0.3), VonMises(5e2))
    model = falling(soft, Corotated(4e4, 0.3))
    steps = recorded(SOLVER, model, torch.arange(STEPS + 1))
    frames = torch.arange(0, STEPS + 1, EVERY)
    found = estimated(model, frames, steps.x[frames], Kinematics(steps.v, steps.carry["C"]))
    assert torch.allclose(found.F, steps.F[frames], rtol=0, atol=1e-10)
    assert torch.allclose(found.carry["C"], steps.carry["C"][frames])


def test_a_burst_of_the_gradient_is_clipped_by_its_running_mean(tmp_path: Path) -> None:
    made = training(tmp_path, Recipe(burst=3.0))
    weight = torch.nn.Parameter(torch.zeros(2))
    for size, kept, mean in ((2.0, 2.0, 2.0), (50.0, 6.0, 2.2), (1.0, 1.0, 2.14)):
        weight.grad = size * torch.tensor([0.6, -0.8])
        assert made._clip("flow", [weight]) == pytest.approx(size)
        assert float(weight.grad.norm()) == pytest.approx(kept, rel=1e-5)
        assert made.usual["flow"] == pytest.approx(mean)


@pytest.mark.parametrize("wrong", [{"patience": 0}, {"grown": 0.0}, {"grown": 1.1}, {"least": 0}])
def test_recipes_that_train_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Recipe(**wrong)


def test_segments_are_no_longer_than_the_motion() -> None:
    recipe = Recipe(epochs=3, shortest=100, longest=400)
    assert [recipe.length(epoch, 5, 60) for epoch in range(3)] == [60, 60, 60]


def test_only_longer_segments_have_gradients_that_are_too_long(tmp_path: Path) -> None:
    made = training(tmp_path, Recipe(shortest=8))
    for length, size in ((8, 1e3), (12, 99.0)):
        made.typical = 1.0
        made._check_length(length, 1.0, [torch.tensor([0.6 * size]), torch.tensor([0.8 * size])])
        assert made.typical == pytest.approx(size**0.2, rel=1e-5)
    made.typical = 1.0
    with pytest.raises(GradientError, match=r"1e\+02 times"):
        made._check_length(12, 1.0, [torch.tensor(101.0)])
    assert made.typical == 1.0


def test_gradients_may_grow_as_the_loss_does(tmp_path: Path) -> None:
    """As where a body meets the floor for the first time: that is no chaos."""
    made = training(tmp_path, Recipe(shortest=8))
    made._check_length(12, 1e-6, [torch.tensor(1.0)])
    made._check_length(14, 1e-3, [torch.tensor(9e4)])
    assert made.typical_loss == pytest.approx(1e-6**0.8 * 1e-3**0.2)
    made.typical, made.typical_loss = 1.0, 1e-6
    with pytest.raises(GradientError):
        made._check_length(14, 1e-3, [torch.tensor(1.1e5)])
    assert made.typical_loss == 1e-6


def test_segments_are_not_shortened_to_what_tells_nothing(tmp_path: Path) -> None:
    made = training(tmp_path, Recipe(shortest=8))
    for lesson in made.lessons:
        lesson.shortest = 30
    assert made._shortest == 30


def test_the_rate_falls_from_update_to_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = training(tmp_path, Recipe(epochs=2, updates=2, shortest=8, longest=8))
    shares, real = [], Training._step
    monkeypatch.setattr(
        Training, "_step", lambda self, found: (shares.append(self.share), real(self, found))[1]
    )
    made.run()
    assert shares == [0.0, 0.25, 0.5, 0.75]


def test_segments_grow_back_to_their_schedule(tmp_path: Path) -> None:
    made = training(tmp_path, Recipe(epochs=3, updates=1, shortest=20, longest=20))
    made.reach = 16.0
    told: list[Mapping[str, Any]] = []
    made.tell = told.append
    made.run()
    assert [line["segment"] for line in told] == [16, 16, 20]
