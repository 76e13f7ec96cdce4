# SPDX-License-Identifier: Apache-2.0
"""How a time step is trained: what weighs how much, what is drawn, and how fast it learns."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from reduced_points import TINY, moving, stepper_of
from test_reduced_training import SHAPE, SHORT, motions, still, trained

from rheograd.engine.fit.run_folder import RunFolder
from rheograd.engine.reduced import training
from rheograd.engine.reduced.motions import Motion
from rheograd.engine.reduced.network import TimeStepper
from rheograd.engine.reduced.stepping import roll
from rheograd.engine.reduced.training import (
    Recipe,
    Training,
    optimizers,
    set_scales,
    window_loss,
)


def test_forces_within_are_no_rigid_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two points pushed apart along their line, each by its mass: momentum is as it was."""
    still(monkeypatch)
    stepper, first = stepper_of(), moving(25)
    x = torch.cat([first.x, roll(stepper, first.points, first.graph, first.x)[-1:]]).detach()
    mass, made = first.points.mass, x.clone()
    push = 0.1 * (made[-1, 0] - made[-1, 1])
    made[-1, 0] += push / mass[0]
    made[-1, 1] -= push / mass[1]
    size = float(((made[-1] - x[-1]) / stepper.acceleration).square().mean())
    for rigid in (0.0, 20.0):
        recipe = Recipe(noise=0.0, rigid=rigid)
        loss = window_loss(stepper, first._replace(x=made), recipe, torch.Generator())
        assert float(loss.detach()) == pytest.approx(size, rel=1e-9)


def test_windows_are_seen_in_many_orientations() -> None:
    stepper, m = stepper_of(), moving(25, TINY.history + 2)
    for turned, count in ((True, 4), (False, 1)):
        recipe = Recipe(noise=0.0, turned=turned)
        draws = [torch.Generator().manual_seed(k) for k in range(4)]
        assert len({float(window_loss(stepper, m, recipe, d).detach()) for d in draws}) == count


def test_muon_learns_matrices_but_those_of_the_answer() -> None:
    stepper = TimeStepper(SHAPE)
    muon, adam = optimizers(stepper, 1e-3)
    assert isinstance(muon, torch.optim.Muon) and isinstance(adam, torch.optim.AdamW)
    taken = [{id(p) for g in o.param_groups for p in g["params"]} for o in (muon, adam)]
    for name, p in stepper.named_parameters():
        by_muon = p.ndim == 2 and name != "out.2.weight"
        assert (id(p) in taken[0], id(p) in taken[1]) == (by_muon, not by_muon), name
    assert muon.param_groups[0]["lr"] == pytest.approx(2e-3)
    assert adam.param_groups[0]["lr"] == pytest.approx(1e-3)


def test_rates_rise_and_fall_and_gradients_are_clipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a line while it is warm, times a cosine from the highest rate to a hundredth of it."""
    seen: list[tuple[list[float], float]] = []
    made: list[Training] = []
    recipe = replace(SHORT, epochs=2, updates=8, warm=5, clip=1e-3, rate=1e-2)
    build, step = Training.__post_init__, torch.optim.AdamW.step

    def watched(adam: torch.optim.AdamW) -> None:
        sizes = [p.grad.norm() for p in made[0].parameters if p.grad is not None]
        rates = [o.param_groups[0]["lr"] for o in made[0].optimizers]
        seen.append((rates, float(torch.stack(sizes).norm())))
        step(adam)

    monkeypatch.setattr(Training, "__post_init__", lambda t: (made.append(t), build(t))[1])
    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    trained(tmp_path / "run", recipe)
    assert len(seen) == 16
    for k, ((muon, adam), size) in enumerate(seen):
        fall = 0.01 + 0.99 * (1 + math.cos(math.pi * k / 16)) / 2
        assert adam == pytest.approx(1e-2 * min(1.0, (k + 1) / 5) * fall, rel=1e-6)
        assert muon == pytest.approx(2 * adam, rel=1e-6)
        assert size <= 1e-3 * (1 + 1e-4)
    assert max(size for _, size in seen) > 0.99e-3


def test_each_shard_draws_its_own_windows_by_their_own_chances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of motions of other lengths; no two draws of a training are the same."""
    seeds: list[int] = []
    lengths: set[int] = set()
    loss = training.window_loss

    def watched(stepper: TimeStepper, m: Motion, recipe: Recipe, draw: Any) -> torch.Tensor:
        seeds.append(draw.initial_seed())
        lengths.add(len(m.x))
        return loss(stepper, m, recipe, draw)

    monkeypatch.setattr(training, "window_loss", watched)
    every = motions(2)
    every[1] = every[1].window(0, SHAPE.history + 2)  # one window
    stepper = TimeStepper(SHAPE)
    set_scales(stepper, every)
    folder = RunFolder(tmp_path / "run", {}, resume=False)
    Training(stepper, SHORT, every, motions(1), folder, threads=1).run()
    assert len(set(seeds)) == len(seeds) == SHORT.epochs * SHORT.updates * SHORT.shards
    assert lengths == {SHAPE.history + 2}


@pytest.mark.parametrize("memory", [0.99, 0.1])
def test_what_is_kept_is_the_running_mean_of_the_weights(
    memory: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In closed form, for it begins with a short memory: m = k / (k + 9) at update k, or less."""
    n = 8
    seen: list[list[torch.Tensor]] = []
    update = Training._update

    def watched(t: Training, *given: Any) -> torch.Tensor:
        if not seen:
            seen.append([p.detach().clone() for p in t.parameters])
        found = update(t, *given)
        seen.append([p.detach().clone() for p in t.parameters])
        return found

    monkeypatch.setattr(Training, "_update", watched)
    made = trained(tmp_path / "run", replace(SHORT, epochs=1, updates=n, memory=memory))
    shares = [math.comb(k + 8, 8) / math.comb(n + 9, 9) for k in range(n + 1)]
    if memory == 0.1:  # that of the first update
        shares = [0.1**n, *(0.9 * 0.1 ** (n - k) for k in range(1, n + 1))]
    assert sum(shares) == pytest.approx(1.0) and len(seen) == n + 1
    kept = made.stepper.state_dict()
    for at, (name, _) in enumerate(made.stepper.named_parameters()):
        path = torch.stack([weights[at].double() for weights in seen])
        expected = torch.einsum("k,k...->...", torch.tensor(shares).double(), path)
        off = (kept[name].double() - expected).abs().max()
        assert float(off) < 1e-5 + 1e-3 * float((path[-1] - path[0]).abs().max()), name
