# SPDX-License-Identifier: Apache-2.0
"""Gradients of motions of a mesh against central differences, for each integrator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from finite_elements import NOTHING, block
from torch import Tensor

from rheograd.engine.boundaries import Grip, Motion
from rheograd.engine.fem.integrators import (
    BackwardEuler,
    CentralDifferences,
    GeneralizedAlpha,
    Integrator,
    Newmark,
)
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Displacement, Fixed, PointMass, Pressure, Traction
from rheograd.engine.mesh.generators import box
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.solver import Checkpoint
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Hencky, NeoHookean
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantFullElasticity, InvariantSmoothElasticity
from rheograd.materials.plastic import VonMises

STEPS = 5
INTEGRATORS: dict[str, Integrator] = {
    "euler": BackwardEuler(2e-3, mass_damping=3.0),
    "newmark": Newmark(2e-3, mass_damping=3.0),
    "alpha": GeneralizedAlpha(2e-3, mass_damping=3.0),
    "central": CentralDifferences(1e-3, mass_damping=3.0),
}
LAWS: dict[str, Callable[[], ConstitutiveLaw]] = {
    "neo-hookean": lambda: NeoHookean(1e4, 0.3),
    "plastic": lambda: ElastoPlastic(Hencky(1e4, 0.3), VonMises(100.0)),
    "damped": lambda: Damped(ElastoPlastic(Hencky(1e4, 0.3), VonMises(300.0)), 2e-3),
    "smooth": lambda: InvariantSmoothElasticity(1e4, widths=(24,), seed=1).double(),
    "full": lambda: InvariantFullElasticity(1e4, widths=(8,), seed=1).double(),
}
CASES = [(name, "neo-hookean") for name in INTEGRATORS] + [
    ("newmark", "plastic"), ("central", "plastic"), ("alpha", "damped"), ("central", "damped"),
    ("euler", "smooth"), ("alpha", "smooth"), ("central", "full"),
]  # fmt: skip


class Case:
    """A short bar, shaken at one end by a function and at the other by a grip, under loads."""

    def __init__(self, integrator: Integrator, law: ConstitutiveLaw) -> None:
        self.law, self.solver = law, FESolver(integrator=integrator, tolerance=1e-11)
        self.mesh = box((0.3, 0.1, 0.1), (3, 1, 1), corner=(0, 0, 0))
        n = len(self.mesh.nodes)
        given = {
            "density": torch.tensor(900.0), "velocity": torch.tensor([0.3, 1.0, -0.5]),
            "traction": torch.tensor([100.0, -200.0, 50.0]), "pressure": torch.tensor(300.0),
            "rate": torch.tensor(40.0), "shake": torch.tensor([0.01, -0.005, 0.004]),
            "grip": torch.tensor([0.4, 0.3, -0.2]), "spin": torch.tensor([1.0, 2.0, 3.0]),
            "mass": torch.tensor(0.2), "gravity": torch.tensor([1.0, -9.8, 2.0]),
            "nodes": self.mesh.nodes, "x": 1e-3 * torch.randn(n, 3), "v": 0.1 * torch.randn(n, 3),
        }  # fmt: skip
        self.given = {name: value.double().clone() for name, value in given.items()}
        self.weights = torch.randn(3, n, 3).double()

    def loss(self, given: dict[str, Tensor], adjoint: Checkpoint | None) -> Tensor:
        g = given
        body = Body(self.mesh, self.law, g["density"], g["velocity"])
        grip = Grip(Box((0.02, 0.2, 0.2), (0.3, 0.05, 0.05)), Motion(g["grip"], g["spin"]))
        loads = [
            Displacement("x-", lambda t: g["shake"] * torch.sin(g["rate"] * t), "xy"),
            grip, Traction("y+", g["traction"]), PointMass("y-", g["mass"]),
            Pressure("z+", lambda t: g["pressure"] * (1 + g["rate"] * t)),
        ]  # fmt: skip
        model = self.solver.discretize(Scene([body], loads, g["gravity"], duration=0.02))
        model = replace(model, x0=g["nodes"])
        start = self.solver.start(model)
        free = (~model.fixed).double()
        start = replace(start, x=start.x + free * g["x"], v=start.v + free * g["v"])
        out = self.solver.rollout(model, start, STEPS, observe=[2, 4, STEPS], adjoint=adjoint)
        return (self.weights * (10 * (out.x - self.mesh.nodes) + 0.1 * out.v)).sum()

    def slope(self, directions: dict[str, Tensor], h: float) -> float:
        ends = []
        for sign in (1, -1):
            moved = {name: self.given[name] + sign * h * d for name, d in directions.items()}
            ends.append(float(self.loss({**self.given, **moved}, None)))
        return (ends[0] - ends[1]) / (2 * h)


GROUPS = (
    ("density", "mass"), ("gravity",), ("velocity", "x", "v"), ("traction", "pressure"),
    ("rate", "shake"), ("grip", "spin"), ("nodes",),
)  # fmt: skip


@pytest.mark.parametrize(("integrator", "law"), CASES)
def test_gradients_against_differences(integrator: str, law: str) -> None:
    case = Case(INTEGRATORS[integrator], LAWS[law]())
    leaves = {name: value.clone().requires_grad_() for name, value in case.given.items()}
    parameters: list[Tensor] = list(case.law.parameters())
    total = case.loss(leaves, Checkpoint(2))
    wanted = [*leaves.values(), *parameters]
    grads = torch.autograd.grad(total, wanted, materialize_grads=True)
    whole = torch.autograd.grad(case.loss(leaves, Checkpoint()), wanted, materialize_grads=True)
    for a, b in zip(grads, whole, strict=True):
        assert torch.allclose(a, b, rtol=1e-7, atol=1e-8 * float(b.abs().max()))
    gradients = dict(zip(leaves, grads, strict=False))
    for group in GROUPS if law == "neo-hookean" else (tuple(leaves),):
        along = {}
        for name in group:
            value = case.given[name]
            scale = 0.01 if name in ("x", "v", "nodes") else float(value.abs().max())
            along[name] = scale * torch.randn_like(value)
        h = 1e-3 if group == ("traction", "pressure") else 1e-6 if law == "full" else 1e-5
        slope = case.slope(along, h)
        found = sum(float((gradients[name] * d).sum()) for name, d in along.items())
        assert abs(slope) > 1e-4, group
        assert found == pytest.approx(slope, rel=1e-6), group
    assert all(float(g.abs().max()) > 0 for g in grads[len(leaves) :]), "not plastic"
    directions = [torch.randn_like(p) * p.detach().abs().max() for p in parameters]
    slope = parameter_slope(case, parameters, directions)
    found = sum(float((g * d).sum()) for g, d in zip(grads[len(leaves) :], directions, strict=True))
    assert found == pytest.approx(slope, rel=1e-6)


def parameter_slope(case: Case, parameters: list[Tensor], directions: list[Tensor]) -> float:
    h = 1e-6
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            for p, d in zip(parameters, directions, strict=True):
                p += sign * h * d
        ends.append(float(case.loss(case.given, None)))
        with torch.no_grad():
            for p, d in zip(parameters, directions, strict=True):
                p -= sign * h * d
    return (ends[0] - ends[1]) / (2 * h)


def test_chunks_start_without_a_factor() -> None:
    """What is recomputed on the way back is what was computed: to the last bit as step by step."""
    body = Body(block("hex8", (2, 1, 1)), NeoHookean(1e4, 0.3), 1e3, (0.0, -2.0, 1.0))
    solver = FESolver(integrator=Newmark(2e-3), tolerance=1e-4)
    model = solver.discretize(Scene([body], [Fixed("x-")], NOTHING))
    chunks = solver.rollout(model, solver.start(model), 4, adjoint=Checkpoint(1)).last
    whole = solver.rollout(model, solver.start(model), 4).last
    state = solver.start(model)
    for _ in range(4):
        state = solver.step(model, state)
    assert torch.equal(chunks.x.detach(), state.x)
    assert not torch.equal(whole.x, state.x), "no factor is kept: the test is blunt"
