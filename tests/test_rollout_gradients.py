# SPDX-License-Identifier: Apache-2.0
"""Gradients of roll-outs with contact and friction against central differences, in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from rheograd.engine.boundaries import Collider, Floor, HalfSpace, Motion, Wall
from rheograd.engine.homogenize.fe2 import FE2
from rheograd.engine.mpm import MPMModel, MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box, Capsule, Particles, Sphere
from rheograd.engine.solver import Checkpoint
from rheograd.engine.state import State
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky
from rheograd.materials.flows import HerschelBulkley, Snow
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import HardeningVonMises
from tests.walk import every, fields_of

BOUND = 1e-6
STEPS = 20
N = 4

pytestmark = pytest.mark.filterwarnings("ignore:.*particles a cell")


def number(value: float | list[float]) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


@dataclass
class Case:
    """A small body that is thrown between a rough floor, a moving ball, paddle and ramp."""

    law: ConstitutiveLaw
    offset: float = 0.0
    inputs: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sound = math.sqrt(self.law.wave_modulus() / 1000.0)
        self.dt = min(1e-3, 0.03 / sound)
        strain = min(0.1, 1.0 / sound)  # a stiff law must not throw the particles apart
        self.h = max(1e-7, 1e-5 * strain)
        axis = torch.linspace(0.35, 0.6, N, dtype=torch.float64)
        x = torch.cartesian_prod(axis, axis, axis) + 0.01 * torch.rand(N**3, 3).double()
        x[:, 1] -= 0.24
        self.weights = [torch.randn(N**3, 3).double() for _ in range(6)]
        self.matrix = torch.randn(N**3, 3, 3).double()
        self.inputs = {
            "x": x.requires_grad_(),
            "v": (0.1 * torch.randn(N**3, 3).double()).requires_grad_(),
            "F": (torch.eye(3) + strain * torch.randn(N**3, 3, 3)).double().requires_grad_(),
            "C": torch.randn(N**3, 3, 3).double().requires_grad_(),
            "density": number(1000.0),
            "volumes": number([0.25**3 / N**3] * N**3),
            "gravity": number([0.3, -9.8, 0.2]),
            "velocity": number([2.0, -1.0, 0.3]),
            "spin": number([1.0, 2.0, -1.0]),
            "floor friction": number(0.3),
            "ball friction": number(0.25),
            "ball velocity": number([-3.0, 0.2, 0.1]),
            "ball spin": number([1.0, 2.0, 3.0]),
            "paddle velocity": number([0.2, 0.1, -1.0]),
            "paddle spin": number([2.0, -1.0, 1.0]),
        }

    def scene(self) -> Scene:
        given = self.inputs
        body = Body(
            Particles(given["x"], given["volumes"].detach()), self.law, given["density"],
            given["velocity"], given["spin"], fields=fields_of(self.law),
        )  # fmt: skip
        ball = Motion(given["ball velocity"], given["ball spin"])
        paddle = Motion(given["paddle velocity"], given["paddle spin"])
        return Scene(
            [body],
            [
                Floor(friction=given["floor friction"]),
                Wall("z+", "slip"),
                Collider(Sphere(0.15, (0.8, 0.3, 0.5)), given["ball friction"], ball),
                Collider(Capsule(0.08, 0.2, (0.47, 0.2, 0.75)), 0.1, paddle),
                Collider(Box((0.2, 0.2, 0.2), (0.18, 0.3, 0.4), (0.3, 0.2, 0.5)), motion=paddle),
                Collider(HalfSpace((0.0, 0.1, 0.0), (0.2, 1.0, 0.1)), mode="slip"),
            ],
            given["gravity"],
            duration=STEPS * self.dt,
        )

    def start(self, solver: MPMSolver, model: MPMModel) -> State:
        given = self.inputs
        moved = model.v0 + given["v"]
        return solver.state(model, model.x0, moved, given["F"], C=given["C"])

    def loss(self, every: int | None) -> Tensor:
        solver = MPMSolver(0.1, self.dt, precision="float64", mass_offset=self.offset)
        model = replace(solver.discretize(self.scene()), volume=self.inputs["volumes"])
        adjoint = None if every is None else Checkpoint(every)
        out = solver.rollout(
            model, self.start(solver, model), STEPS, observe=[7, 13, STEPS], adjoint=adjoint
        )
        w = self.weights
        total = sum((a * b).sum() for a, b in zip(out.x, w[:3], strict=True))
        total = total + 0.1 * sum((a * b).sum() for a, b in zip(out.v, w[3:], strict=True))
        return total + (self.matrix * (0.3 * out.last.F + 1e-3 * out.last.carry["C"])).sum()


def difference(case: Case, tensor: Tensor, direction: Tensor) -> float:
    """Central difference along a direction; fields move less, for contacts begin and end nearby.

    Weights, of which some hardly matter, move ten times as far: rounding is then below the bound.
    """
    h = case.h if tensor.ndim > 1 else 1e-5
    h = 10 * h if isinstance(tensor, torch.nn.Parameter) and tensor.ndim > 1 else h
    with torch.no_grad():
        before = tensor.detach().clone()
        values = []
        for shift in (h, -h):
            tensor.copy_(before + shift * direction)
            values.append(float(case.loss(None)))
        tensor.copy_(before)
    return (values[0] - values[1]) / (2 * h)


def close(case: Case, name: str, tensor: Tensor, gradient: Tensor) -> None:
    direction = tensor.detach().clone() if tensor.ndim == 0 else torch.randn_like(tensor)
    if name == "volumes":
        direction *= tensor.detach()
    expected = difference(case, tensor, direction)
    found = float((gradient * direction).sum())
    assert abs(found - expected) < BOUND * max(abs(expected), 1e-3), (name, found, expected)


@pytest.fixture(autouse=True)
def overlapping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let bodies start in contact: gradients there are the point."""
    monkeypatch.setattr("rheograd.engine.mpm.discretize._check_penetration", lambda model: None)


def test_every_input_of_a_scene_with_contact() -> None:
    law = Corotated(1e4, 0.3)
    case = Case(law)
    loss = case.loss(7)
    gradients = torch.autograd.grad(loss, list(case.inputs.values()))
    for (name, tensor), gradient in zip(case.inputs.items(), gradients, strict=True):
        close(case, name, tensor, gradient)


def test_nodes_with_a_mass_of_their_own() -> None:
    """The published experiment adds mass to every node, here as much as is on them."""
    law = Corotated(1e4, 0.3)
    case = Case(law, offset=0.3)
    names = ["x", "F", "density"]
    gradients = torch.autograd.grad(case.loss(7), [case.inputs[name] for name in names])
    for name, gradient in zip(names, gradients, strict=True):
        close(case, name, case.inputs[name], gradient)


FINITE = [
    kind
    for kind in every(ConstitutiveLaw)
    if kind.example().kinematics == "finite" and kind is not FE2  # slow; see test_fe2.py
]


@pytest.mark.parametrize("kind", FINITE, ids=lambda kind: kind.__name__)
def test_parameters_of_every_law(kind: type[ConstitutiveLaw]) -> None:
    law = kind.example().double()
    case = Case(law)
    watched = [case.inputs["x"], case.inputs["F"], *law.parameters()]
    gradients = torch.autograd.grad(case.loss(7), watched)
    for tensor, gradient in zip(watched, gradients, strict=True):
        close(case, kind.__name__, tensor, gradient)


class Hardened(Case):
    """A body that has flowed before it is thrown, here and there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.inputs["internal"] = (0.02 * torch.rand(N**3, 1).double()).requires_grad_()

    def start(self, solver: MPMSolver, model: MPMModel) -> State:
        given = self.inputs
        moved = model.v0 + given["v"]
        return solver.state(model, model.x0, moved, given["F"], given["C"], given["internal"])


def test_history_of_a_flow_that_hardens() -> None:
    """Of a limit that depends on all that flowed before, by its parameters and from the start."""
    law = ElastoPlastic(Hencky(1e4, 0.3), HardeningVonMises(300.0, 2e3))
    case = Hardened(law)
    watched = {name: case.inputs[name] for name in ("x", "v", "F", "internal", "density")}
    watched |= dict(law.named_parameters())
    gradients = torch.autograd.grad(case.loss(7), list(watched.values()))
    for (name, tensor), gradient in zip(watched.items(), gradients, strict=True):
        assert gradient.abs().max() > 1e-6, name
        close(case, name, tensor, gradient)


def test_a_flow_that_depends_on_rate() -> None:
    """Of a paste, by its three parameters and from the start."""
    case = Case(ElastoPlastic(Hencky(1e4, 0.3), HerschelBulkley(100.0, 40.0, 0.6)))
    watched = {name: case.inputs[name] for name in ("x", "v", "F", "density")}
    watched |= dict(case.law.named_parameters())
    gradients = torch.autograd.grad(case.loss(7), list(watched.values()))
    for (name, tensor), gradient in zip(watched.items(), gradients, strict=True):
        assert gradient.abs().max() > 1e-6, name
        close(case, name, tensor, gradient)


def test_snow() -> None:
    """By what bounds it and by how it hardens, and from the start."""
    case = Hardened(ElastoPlastic(Corotated(1e4, 0.3), Snow(0.03, 0.02, 5.0)))
    case.inputs["internal"] = (0.85 + 0.2 * torch.rand(N**3, 1).double()).requires_grad_()
    watched = {name: case.inputs[name] for name in ("x", "v", "F", "internal", "density")}
    watched |= dict(case.law.named_parameters())
    gradients = torch.autograd.grad(case.loss(7), list(watched.values()))
    for (name, tensor), gradient in zip(watched.items(), gradients, strict=True):
        assert (gradient * tensor.detach()).abs().max() > 1e-6, name
        close(case, name, tensor, gradient)


def test_recomputation_changes_no_bit() -> None:
    law = Corotated(1e4, 0.3)
    case = Case(law)
    inputs = [*case.inputs.values(), *law.parameters()]
    whole = torch.autograd.grad(case.loss(STEPS), inputs)
    pieces = torch.autograd.grad(case.loss(3), inputs)
    assert all(torch.equal(a, b) for a, b in zip(whole, pieces, strict=True))
