# SPDX-License-Identifier: Apache-2.0
"""Replaying work as one graph: when it is captured, and on a GPU that nothing else changes."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rheograd.engine.boundaries import Floor
from rheograd.engine.mpm import MPMSolver, graphs
from rheograd.engine.mpm.graphs import Replays
from rheograd.engine.mpm.workspace import Workspace
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.solver import Checkpoint
from rheograd.materials.elastic import Corotated
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantFull, InvariantSmooth


class Recorded:
    """A graph that writes down what happens to it."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def replay(self) -> None:
        self.log.append(f"replay {self.name}")


def test_work_is_done_then_captured_then_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []

    def capture(work: Callable[[], None], device: Any) -> Recorded:
        log.append("capture")
        return Recorded(log, "a")

    monkeypatch.setattr(graphs, "capture", capture)
    replays = Replays(torch.device("cuda"))
    for _ in range(3):
        replays.run("a", lambda: log.append("work a"))
    replays.run("b", lambda: log.append("work b"))
    assert log == ["work a", "capture", "replay a", "replay a", "work b"]


def test_graphs_of_memory_that_moved_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    monkeypatch.setattr(graphs, "capture", lambda work, device: Recorded(log, "old"))
    replays = Replays(torch.device("cuda"))
    for memory in (1, 1, 1, 2, 2):
        replays.expect(memory)
        replays.run("a", lambda: log.append("work"))
    assert log == ["work", "replay old", "replay old", "work", "replay old"]


@pytest.mark.parametrize(("device", "possible"), [("cpu", True), ("cuda", False)])
def test_work_that_cannot_be_captured_is_done_each_time(device: str, possible: bool) -> None:
    done: list[int] = []
    replays = Replays(torch.device(device), possible=possible)
    for k in range(3):
        replays.run("a", lambda k=k: done.append(k))
    assert done == [0, 1, 2]


def roll(law: ConstitutiveLaw, device: str) -> list[Tensor]:
    """Positions and gradients of the same roll-out, three times over."""
    law = law.to(device)
    body = Body(Box((0.2, 0.2, 0.2), (0.5, 0.15, 0.5)), law, 1000.0, (1.0, -1.5, 0.3))
    solver = MPMSolver(0.05, 2e-4, device=device)
    model = solver.discretize(Scene([body], [Floor(friction=0.3)], duration=0.02))
    found: list[Tensor] = []
    for _ in range(3):
        out = solver.rollout(
            model, solver.start(model), 60, observe=[20, 60], adjoint=Checkpoint(30)
        )
        gradients = torch.autograd.grad(out.x.square().sum(), list(law.parameters()))
        free = solver.rollout(model, solver.start(model), 20)
        found += [out.x.detach(), free.last.x, *gradients]
    return found


def test_a_workspace_goes_when_it_is_dropped() -> None:
    body = Body(Box((0.2, 0.2, 0.2), (0.5, 0.15, 0.5)), InvariantSmooth(seed=0), 1000.0)
    solver = MPMSolver(0.1, 2e-4)
    model = solver.discretize(Scene([body], duration=0.02))
    space = Workspace(model, 4, adjoint=True)
    gone = weakref.ref(space)
    del space
    assert gone() is None


@pytest.mark.gpu
@pytest.mark.parametrize(
    "law", [Corotated(5e4, 0.3), InvariantFull(5e4, seed=0), InvariantSmooth(5e4, seed=0)],
    ids=lambda law: law.name,
)  # fmt: skip
def test_graphs_change_nothing(law: ConstitutiveLaw) -> None:
    """Against the same on a CPU; atomics on a GPU add in any order."""
    cpu, gpu = roll(law, "cpu"), roll(law, "cuda")
    for a, b in zip(cpu, gpu, strict=True):
        assert torch.allclose(a, b.cpu(), rtol=1e-3, atol=1e-4 * float(a.abs().max()))


def test_a_law_whose_parameters_moved_is_captured_again() -> None:
    law = InvariantSmooth(seed=0)
    body = Body(Box((0.2, 0.2, 0.2), (0.5, 0.15, 0.5)), law, 1000.0)
    model = MPMSolver(0.1, 2e-4).discretize(Scene([body], duration=0.02))
    stage = Workspace(model, 1, adjoint=False).stages[0]
    before = stage.memory()
    next(law.parameters()).data = next(law.parameters()).data.clone()
    assert stage.memory() != before
