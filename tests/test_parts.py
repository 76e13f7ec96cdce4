# SPDX-License-Identifier: Apache-2.0
"""Particles dealt out to threads: the same motion and gradients, whoever comes first."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rheograd.engine.boundaries import Collider, Floor, Motion, Wall
from rheograd.engine.errors import SimulationError
from rheograd.engine.mpm import MPMSolver, launches
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box, Sphere
from rheograd.engine.solver import Checkpoint
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantFull
from rheograd.materials.plastic import DruckerPrager

LAWS = [
    Corotated(5e4, 0.3),
    Damped(Corotated(5e4, 0.3), 1e-3),
    ElastoPlastic(Hencky(5e4, 0.3), DruckerPrager(30.0)),
    InvariantFull(5e4, 1e-2, seed=0).double(),
]
STEPS = 40


def roll(law: ConstitutiveLaw) -> list[Tensor]:
    """Positions, then the gradients of everything that several particles add to."""
    inputs = [
        torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for value in (0.2, 0.3, [0.3, -9.0, 0.1], [0.5, 1.0, 0.0], 1000.0)
    ]
    floor, rough, gravity, push, density = inputs
    bodies = [
        Body(Box((0.2, 0.2, 0.2), (0.5, 0.5, 0.5)), law, density, (1.0, -1.5, 0.3)),
        Body(Box((0.2, 0.2, 0.2), (0.8, 0.15, 0.5)), Corotated(3e4, 0.2), 900.0),
    ]
    ball = Collider(Sphere(0.14, (0.5, 0.25, 0.5)), rough, Motion(push))
    scene = Scene(bodies, [Floor(friction=floor), ball], gravity, duration=STEPS * 1e-3)
    solver = MPMSolver(0.1, 1e-3, precision="float64")
    model = solver.discretize(scene)
    out = solver.rollout(
        model, solver.start(model), STEPS, observe=[STEPS], adjoint=Checkpoint(STEPS // 2)
    )
    free = solver.rollout(model, solver.start(model), STEPS, observe=[STEPS])
    weights = torch.randn(out.x.shape, generator=torch.Generator().manual_seed(0))
    learned = [*inputs, *law.parameters()]
    gradients = torch.autograd.grad((out.x * weights).sum(), learned, materialize_grads=True)
    return [out.x.detach(), free.x, *gradients]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize("parts", [2, 3])
def test_nothing_changes_but_rounding(
    law: ConstitutiveLaw, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = roll(law)
    monkeypatch.setattr(launches, "SPLIT", 1)
    monkeypatch.setattr(launches, "PARTS", parts)
    dealt, again = roll(law), roll(law)
    assert not all(torch.equal(a, b) for a, b in zip(whole, dealt, strict=True))
    for a, b, c in zip(whole, dealt, again, strict=True):
        assert float(a.abs().max()) > 0.0
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-9 * float(a.abs().max()))
        assert torch.equal(b, c)


def test_who_left_the_grid_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launches, "SPLIT", 1)
    bodies = [
        Body(Box((0.2, 0.2, 0.2), (0.4, 0.5, 0.5)), LAWS[0], 1000.0, name="calm"),
        Body(Box((0.2, 0.2, 0.2), (0.8, 0.5, 0.5)), LAWS[0], 1000.0, (8.0, 0, 0), name="fast"),
    ]
    scene = Scene(bodies, [Wall("x+", "open")], domain=Domain((0, 0, 0), (1, 1, 1)))
    solver = MPMSolver(0.1, 1e-3)
    model = solver.discretize(scene)
    with pytest.raises(SimulationError, match=r"particle \d+ \(fast") as found:
        solver.rollout(model, solver.start(model), 100)
    assert found.value.step is not None
    assert f"at step {found.value.step}," in str(found.value)
