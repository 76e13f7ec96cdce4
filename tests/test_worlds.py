# SPDX-License-Identifier: Apache-2.0
"""Worlds of one model: all of a world is its own, forward and back; grids that are no cubes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rheograd.engine.boundaries import Collider, Floor, Motion
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.mpm.segments import segments
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box, Sphere
from rheograd.engine.solver import Checkpoint
from rheograd.materials.elastic import Corotated

SOLVER = MPMSolver(0.1, 1e-3, precision="float64")
LAW = Corotated(5e4, 0.3)
STEPS = 30


def number(*values: float) -> Tensor:
    out = torch.tensor(values, dtype=torch.float64)
    return (out if len(values) > 1 else out[0]).requires_grad_()


def test_all_of_a_world_is_its_own() -> None:
    """Gravity, walls, shapes, friction and motions, and the gradients of each of them."""
    inputs = [
        [number(*g), number(floor), number(rough), number(*push), number(*push)]
        for g, floor, rough, push in (
            ((1.0, -9.0, 0.0), 0.1, 0.3, (0.5, 1.0, 0.0)),
            ((0.0, -4.0, 2.0), 0.4, 0.1, (0.0, 2.0, -0.5)),
        )
    ]
    shapes = Sphere(0.14, (0.5, 0.25, 0.5)), Sphere(0.19, (0.45, 0.2, 0.5))
    scenes = []
    for (g, floor, rough, push, spin), shape in zip(inputs, shapes, strict=True):
        thrown = (1.0, -1.5, 0.3)
        bodies = [
            Body(Box((0.2, 0.2, 0.2), (0.5, 0.5, 0.5)), LAW, 1000.0, thrown),
            Body(Box((0.2, 0.2, 0.2), (0.8, 0.1, 0.5)), LAW, 1000.0, thrown),
        ]
        ball = Collider(shape, rough, Motion(push, spin))
        scenes.append(Scene(bodies, [Floor(friction=floor), ball], g, duration=STEPS * 1e-3))
    weights: list[Tensor] = []

    def paths(worlds: list[Scene]) -> list[Tensor]:
        model = SOLVER.discretize(worlds)
        start = SOLVER.start(model)
        out = SOLVER.rollout(model, start, STEPS, observe=[STEPS], adjoint=Checkpoint(10))
        return list(out.x[0].chunk(len(worlds)))

    def gradients(found: list[Tensor]) -> list[Tensor]:
        total = sum(((x * w).sum() for x, w in zip(found, weights, strict=True)), torch.zeros(()))
        return list(torch.autograd.grad(total, [value for world in inputs for value in world]))

    together = paths(scenes)
    alone = [paths([scene])[0] for scene in scenes]
    weights.extend(torch.randn_like(x) for x in alone)
    for a, b in zip(together, alone, strict=True):
        assert torch.equal(a, b)
    for a, b in zip(gradients(together), gradients(alone), strict=True):
        assert float(b.abs().min()) > 0.0
        assert torch.allclose(a, b, rtol=1e-9, atol=0)


def test_axes_may_be_renamed() -> None:
    """On a grid with another number of nodes along each axis, forward and back."""
    sizes = torch.tensor([0.7, 1.1, 0.9], dtype=torch.float64)
    place = torch.tensor([0.4, 0.5, 0.2], dtype=torch.float64)
    thrown = torch.tensor([1.0, -0.5, -2.0], dtype=torch.float64)
    found = []
    for turn in range(3):

        def turned(a: Tensor, turn: int = turn) -> tuple[float, float, float]:
            x, y, z = a.roll(turn).tolist()
            return x, y, z

        domain = Domain(upper=turned(sizes))
        body = Body(Box((0.2, 0.2, 0.2), turned(place)), LAW, 1000.0, turned(thrown))
        model = SOLVER.discretize(Scene([body], gravity=turned(thrown), domain=domain))
        axes = [(0, 1, 2), (1, 2, 0), (2, 0, 1)][turn]
        order = torch.arange(model.n).reshape(4, 4, 4).permute(axes).flatten()
        x0 = model.x0[order].roll(-turn, 1)
        if found:
            assert torch.allclose(x0, found[0][0], rtol=0, atol=1e-12)
        start = SOLVER.start(model)
        x = start.x.clone().requires_grad_()
        out = SOLVER.rollout(model, replace(start, x=x), 100, observe=[100], adjoint=Checkpoint(20))
        out.x.pow(3).sum().backward()
        assert x.grad is not None
        ends = [a[order].roll(-turn, 1) for a in (out.x[0].detach(), x.grad)]
        found.append([x0, *ends])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert torch.allclose(a, b, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("stop", [0.025, 0.035])
def test_a_life_ends_within_a_segment(stop: float) -> None:
    body = Body(Box((0.2, 0.2, 0.2), (0.5, 0.5, 0.5)), LAW, 1000.0, life=(0.0, stop))
    model = SOLVER.discretize(Scene([body], duration=0.04))
    half = SOLVER.rollout(model, SOLVER.start(model), 20).last
    whole = SOLVER.rollout(model, half, 20).last
    cut = segments(model, [20], 20)
    begin = SOLVER.state(cut, half.x, half.v, half.F, C=half.carry["C"])
    assert torch.allclose(SOLVER.rollout(cut, begin, 20).last.x, whole.x, rtol=0, atol=1e-12)


def test_gradients_pass_through_a_life_that_has_ended() -> None:
    """What rests since then has the stress, and its gradients, of the last step before."""
    found = []
    for steps in (10, 20):
        body = Body(Box((0.2, 0.2, 0.2), (0.5, 0.5, 0.5)), LAW, 1000.0, life=(0.0, 0.01))
        model = SOLVER.discretize(Scene([body], duration=0.02))
        C = 20.0 * torch.randn(model.n, 3, 3, generator=torch.Generator().manual_seed(0)).double()
        F = torch.eye(3).double().repeat(model.n, 1, 1).requires_grad_()
        start = SOLVER.state(model, model.x0, model.v0, F, C=C)
        out = SOLVER.rollout(model, start, steps, observe=[steps], adjoint=Checkpoint(steps))
        out.last.carry["tau"].pow(2).sum().backward()
        found.append((out.last.carry["tau"].detach(), F.grad))
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-12 * float(a.abs().max()))
