# SPDX-License-Identifier: Apache-2.0
"""What a training step is made of: batches, their loss and gradient, states carried along."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from rheograd.engine.boundaries import Floor
from rheograd.engine.fit.recipe import Recipe
from rheograd.engine.fit.run_folder import RunFolder
from rheograd.engine.fit.shooting import Training
from rheograd.engine.fit.states import Kinematics, estimated, recorded
from rheograd.engine.mpm import MPMModel, MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.solver import Checkpoint
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky
from rheograd.materials.law import ConstitutiveLaw
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


def training(folder: Path, recipe: Recipe, seed: int = 0) -> Training:
    law = Corotated(4e4, 0.3)
    model = falling(law)
    step = torch.arange(0, STEPS + 1, EVERY)
    known = recorded(SOLVER, falling(Corotated(6e4, 0.2)), step)
    x = known.x + 1e-3 * torch.randn_like(known.x)
    run = RunFolder(folder, {}, resume=False)
    return Training(SOLVER, model, law, x, step, lambda epoch: known, recipe, run, seed=seed)


def test_loss_and_gradient_of_a_batch_are_those_of_its_segments(tmp_path: Path) -> None:
    """Each run by itself; the last one goes on after what was observed."""
    made = training(tmp_path, Recipe())
    known, length, starts = made.restarts(0), 12, [0, 20, 36]
    with ThreadPoolExecutor(1) as pool:
        loss, gradients = made._gradient(pool, known, starts, length)
    total = torch.zeros((), dtype=torch.float64)
    for start in starts:
        k = start // EVERY
        state = SOLVER.state(
            made.model, known.x[k], known.v[k], known.F[k], C=known.C[k],
            internal=known.internal[k],
        )  # fmt: skip
        observe = range(EVERY, length + 1, EVERY)
        out = SOLVER.rollout(
            made.model, state, length, observe=list(observe), adjoint=Checkpoint(length)
        )
        for offset, x in zip(observe, out.x, strict=True):
            if start + offset <= STEPS:
                total = total + (x - made.x[(start + offset) // EVERY]).square().mean()
    expected = total * EVERY * 1e4 / length
    assert loss == pytest.approx(float(expected.detach()), rel=1e-9)
    for a, b in zip(gradients, torch.autograd.grad(expected, made.parameters), strict=True):
        assert float(a) == pytest.approx(float(b), rel=1e-8)


@pytest.mark.parametrize("length", [4, 8, 12])
def test_batches_are_spread_over_all_of_the_motion(length: int, tmp_path: Path) -> None:
    made = training(tmp_path, Recipe(updates=3), seed=1)
    room = (STEPS - length) // EVERY + 1
    drawn: set[int] = set()
    for epoch in range(60):
        made.epoch = epoch
        batches = made._batches(length)
        assert len(batches) == 3
        starts = sorted(s for batch in batches for s in batch)
        assert starts[0] == 0
        for k, start in enumerate(starts):
            assert start % EVERY == 0
            assert k * room // len(starts) <= start / EVERY <= (k + 1) * room / len(starts)
        drawn |= set(starts)
    missing = set(range(0, STEPS - length + 1, EVERY)) - drawn
    assert missing <= set(range(EVERY, length, EVERY))  # within the one that starts at 0


def test_one_update_an_epoch_takes_all_segments_in_turn(tmp_path: Path) -> None:
    assert training(tmp_path, Recipe(updates=1))._batches(12) == [[0, 12, 24, 36]]


def test_states_carried_along_the_true_motion_flow_as_it_did() -> None:
    soft = ElastoPlastic(Hencky(4e4, 0.3), VonMises(5e2))
    model = falling(soft, Corotated(4e4, 0.3))
    steps = recorded(SOLVER, model, torch.arange(STEPS + 1))
    frames = torch.arange(0, STEPS + 1, EVERY)
    found = estimated(model, frames, steps.x[frames], Kinematics(steps.v, steps.C))
    assert torch.allclose(found.F, steps.F[frames], rtol=0, atol=1e-10)
    assert torch.allclose(found.C, steps.C[frames])


def test_a_burst_of_the_gradient_is_clipped_by_its_running_mean(tmp_path: Path) -> None:
    made = training(tmp_path, Recipe(burst=3.0))
    weight = torch.nn.Parameter(torch.zeros(2))
    for size, kept, mean in ((2.0, 2.0, 2.0), (50.0, 6.0, 2.2), (1.0, 1.0, 2.14)):
        weight.grad = size * torch.tensor([0.6, -0.8])
        assert made._clip("flow", [weight]) == pytest.approx(size)
        assert float(weight.grad.norm()) == pytest.approx(kept, rel=1e-5)
        assert made.usual["flow"] == pytest.approx(mean)
