# SPDX-License-Identifier: Apache-2.0
"""Gradients of static finite elements, by the implicit function theorem, against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from finite_elements import Fung, Hooke, at, block, network
from torch import Tensor
from volume_meshes import every_element

from rheograd.engine.boundaries import Boundary, Grip, Motion
from rheograd.engine.fem import increment, linear
from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.linear import Method
from rheograd.engine.fem.newton import Newton
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import (
    Displacement,
    Fixed,
    PointForce,
    PointMass,
    Pressure,
    Spring,
    Traction,
)
from rheograd.engine.mesh.elements import element
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky, NeoHookean, StVenantKirchhoff
from rheograd.materials.flows import HerschelBulkley
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import DruckerPrager, HardeningVonMises, VonMises

STEPS = 3
BOUND = 1e-6
"""Relative difference between an adjoint and a central difference."""
TIGHT = 1e-12


def number(*values: float) -> Tensor:
    made = torch.tensor(values, dtype=torch.float64)
    return (made[0] if len(values) == 1 else made).clone().requires_grad_()


def plane(vector: Sequence[float], dim: int) -> list[float]:
    return [v if axis < dim else 0.0 for axis, v in enumerate(vector)]


@dataclass
class Case:
    """A clamped block under every load, and a loss of where it goes and of what holds it."""

    name: str = "hex8"
    law: ConstitutiveLaw = field(default_factory=lambda: NeoHookean(1e4, 0.3))
    divisions: Sequence[int] = (2, 1, 1)
    scale: float = 1.0
    """Of all loads."""
    follower: bool = False
    grip: bool = False
    adjoint: Checkpoint = field(default_factory=Checkpoint)
    numerics: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dim = dim = element(self.name).dim
        mesh = block(self.name, self.divisions, (1.0, 0.5, 0.5), distort=0.1)
        self.mesh = replace(mesh, points={"corner": torch.tensor([at(mesh, 1.0, 0.5)])})
        f = self.scale
        self.inputs = {
            "density": number(20.0),
            "gravity": number(*plane((1.0, -9.0, 2.0), dim)),
            "traction": number(*plane((20 * f, -150 * f, 60 * f), dim)),
            "force": number(*plane((5 * f, 12 * f, -8 * f), dim)),
            "displacement": number(*plane((-0.01 * f, 0.02 * f, 0.015 * f), dim)),
            "stiffness": number(300.0),
            "mass": number(2.0),
            "nodes": self.mesh.nodes.clone().requires_grad_(),
        }
        if self.follower:
            self.inputs["pressure"] = number(90.0 * f)
            self.inputs["growing"] = number(60.0 * f)
        if self.grip:
            self.inputs["velocity"] = number(*plane((0.02, 0.03, -0.02), dim))
            self.inputs["spin"] = number(0.1 if dim == 3 else 0.0, 0.0, 0.2)
        self.weights = [torch.randn(STEPS + 1, len(self.mesh.nodes), 3).double() for _ in range(2)]

    def scene(self) -> Scene:
        i, dim = self.inputs, self.dim
        mesh = replace(self.mesh, nodes=i["nodes"])
        loads: list[Boundary] = [
            Fixed("x-", "xyz"[:dim]),
            Traction("y+", i["traction"]),
            PointForce("x+", i["force"]),
            Spring("y+", i["stiffness"]),
            PointMass("x+", i["mass"]),
        ]
        if self.grip:
            end = Box((0.02, 0.6, 0.6), center=(1.0, 0.25, 0.25 if dim == 3 else 0.0))
            loads.append(Grip(end, Motion(i["velocity"], i["spin"])))
        else:
            loads.append(Displacement("corner", i["displacement"], "xyz"[:dim]))
        if self.follower:
            loads.append(Pressure("y-", i["pressure"]))
            loads.append(Pressure("y+", lambda time: i["growing"] * time * (1 + time)))
        body = Body(mesh, self.law, i["density"])
        return Scene([body], loads, gravity=i["gravity"])

    def loss(self, adjoint: Checkpoint | None = None) -> Tensor:
        solver = FESolver(integrator=Static(STEPS), tolerance=TIGHT, **self.numerics)
        out = simulate(self.scene(), solver, adjoint=adjoint)
        assert len(out.x) == STEPS + 1
        along, pulled = self.weights
        return (along * out.x).sum() + 1e-3 * (pulled * out.fields["reaction"]).sum()

    def every(self) -> dict[str, Tensor]:
        return {**self.inputs, **dict(self.law.named_parameters())}

    def check(self, *names: str, together: bool = False) -> None:
        """Gradients along a random direction for each input, or along one for all."""
        everything = self.every()
        chosen = {name: everything[name] for name in (names or everything)}
        tensors = list(chosen.values())
        gradients = torch.autograd.grad(self.loss(self.adjoint), tensors)
        directions = [self.direction(name, tensor) for name, tensor in chosen.items()]
        pairs = list(zip(chosen, tensors, gradients, directions, strict=True))
        if together:
            slope = sum(float((g * d).sum()) for _, _, g, d in pairs)
            self.compare("all", slope, [(t, d) for _, t, _, d in pairs])
            return
        for name, tensor, gradient, direction in pairs:
            self.compare(name, float((gradient * direction).sum()), [(tensor, direction)])

    def direction(self, name: str, tensor: Tensor) -> Tensor:
        if name == "nodes":
            d = 0.05 * torch.randn_like(tensor)
            d[:, self.dim :] = 0.0
            return d
        if tensor.ndim == 0:
            return tensor.detach().clone()
        if name in self.inputs:
            return tensor.detach() * (1 + 0.3 * torch.randn_like(tensor))
        return 0.1 * torch.randn_like(tensor)

    def compare(self, name: str, slope: float, moves: list[tuple[Tensor, Tensor]]) -> None:
        h = 3e-5
        with torch.no_grad():
            kept = [t.detach().clone() for t, _ in moves]
            values = []
            for share in (h, -h):
                for (tensor, direction), before in zip(moves, kept, strict=True):
                    tensor.copy_(before + share * direction)
                values.append(float(self.loss()))
            for (tensor, _), before in zip(moves, kept, strict=True):
                tensor.copy_(before)
        expected = (values[0] - values[1]) / (2 * h)
        assert abs(expected) > 1e-6, f"{name} does nothing"
        assert abs(slope - expected) < BOUND * abs(expected), (name, slope, expected)


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equilibria to rounding: differences of them are taken."""
    monkeypatch.setattr(Newton, "_noise", lambda self: 1e-15)


@pytest.mark.parametrize("name", ["hex8", "tet10", "quad8"])
def test_every_input(name: str) -> None:
    Case(name).check()


@pytest.mark.parametrize("name", ["hex8", "tri6"])
def test_every_input_with_follower_loads(name: str) -> None:
    """The matrix is not symmetric."""
    Case(name, follower=True).check()


@pytest.mark.parametrize("name", ["hex8", "quad4"])
def test_motion_of_a_grip(name: str) -> None:
    Case(name, grip=True).check("velocity", "spin", "nodes", "young")


@every_element
def test_every_element(name: str) -> None:
    Case(name, divisions=(2, 1, 1)).check(together=True)


def hencky() -> Hencky:
    return Hencky(1e4, 0.3)


PLASTIC: dict[str, Callable[[], ConstitutiveLaw]] = {
    "von-mises": lambda: ElastoPlastic(hencky(), VonMises(250.0)),
    "von-mises-corotated": lambda: ElastoPlastic(Corotated(1e4, 0.3), VonMises(250.0)),
    "paste": lambda: ElastoPlastic(hencky(), HerschelBulkley(100.0, 100.0, 0.6)),
    "hardening": lambda: ElastoPlastic(hencky(), HardeningVonMises(200.0, 1e3)),
    "drucker-prager": lambda: ElastoPlastic(hencky(), DruckerPrager(30.0, 0.02)),
    "damped": lambda: Damped(NeoHookean(1e4, 0.3), 0.2),
    "damped-yielding": lambda: Damped(ElastoPlastic(hencky(), VonMises(250.0)), 0.2),
}


@pytest.mark.parametrize("name", ["hex8", "tet10", "quad8"])
@pytest.mark.parametrize("law", list(PLASTIC))
def test_history(name: str, law: str) -> None:
    """Of laws that remember, over steps of which each starts from what the last one left."""
    scale = {"hex8": 2.0, "tet10": 0.6, "quad8": 0.7}[name]
    made = PLASTIC[law]()
    if law == "drucker-prager":
        scale *= 0.5
        if name == "tet10":  # less would let it collapse
            made = ElastoPlastic(hencky(), DruckerPrager(30.0, 0.05))
    case = Case(name, made, scale=scale)
    case.check(together=True)
    if name == "hex8":
        case.check(*dict(case.law.named_parameters()))
    if law != "damped":
        before = float(case.loss().detach())
        inner = case.law.law if isinstance(case.law, Damped) else case.law
        assert isinstance(inner, ElastoPlastic)
        case.law = inner.elasticity  # type: ignore[assignment]
        assert abs(float(case.loss().detach()) - before) > 1e-4 * abs(before), "nothing yields"


@pytest.mark.parametrize("name", ["hex8", "tet10", "quad8"])
@pytest.mark.parametrize("law", [network, Fung, Hooke, lambda: StVenantKirchhoff(1e4, 0.2)])
def test_laws_of_torch_and_others(name: str, law: Callable[[], ConstitutiveLaw]) -> None:
    case = Case(name, law())
    case.check(together=True)
    if name == "hex8":
        case.check(*dict(case.law.named_parameters()))


@pytest.mark.parametrize("name", ["hex8", "quad4"])
@pytest.mark.parametrize("law", ["neo-hookean", "von-mises"])
def test_mean_dilatation(name: str, law: str) -> None:
    made = NeoHookean(1e4, 0.49) if law == "neo-hookean" else PLASTIC[law]()
    case = Case(name, made, numerics={"mean_dilatation": True})
    case.check(together=True)
    case.check("nodes", *dict(case.law.named_parameters()))


@pytest.mark.parametrize("linear", ["cholesky", "lu", "amg", "gmres", "warp"])
def test_every_linear_solver(linear: Method) -> None:
    Case("hex8", linear_law(), numerics={"linear": linear}).check(together=True)


@pytest.mark.parametrize("linear", ["lu", "gmres", "warp"])
def test_every_linear_solver_of_what_is_not_symmetric(linear: Method) -> None:
    case = Case("hex8", network(), follower=True, numerics={"linear": linear})
    case.check(together=True)


def linear_law() -> ConstitutiveLaw:
    return NeoHookean(1e4, 0.3)


@pytest.mark.parametrize("linear", ["amg", "gmres"])
def test_several_levels(linear: Method) -> None:
    """A mesh large enough for the preconditioner to have a coarse level."""
    case = Case("hex8", divisions=(8, 5, 5), numerics={"linear": linear})
    case.check("young", "traction")


@pytest.mark.parametrize("law", ["neo-hookean", "von-mises"])
def test_recomputation_changes_no_gradient(law: str) -> None:
    made = linear_law() if law == "neo-hookean" else PLASTIC[law]()
    case = Case("hex8", made, scale=2.0)
    tensors = list(case.every().values())
    whole = torch.autograd.grad(case.loss(Checkpoint()), tensors)
    pieces = torch.autograd.grad(case.loss(Checkpoint(every=1)), tensors)
    twos = torch.autograd.grad(case.loss(Checkpoint(every=2)), tensors)
    for a, b, c in zip(whole, pieces, twos, strict=True):
        assert torch.allclose(a, b, rtol=1e-13, atol=0)
        assert torch.allclose(a, c, rtol=1e-13, atol=0)


@pytest.mark.parametrize("room", [increment.ROOM, 0], ids=["kept", "made again"])
def test_further_gradients_of_a_run(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They use the factors that the first one made, and are what they would be without."""
    monkeypatch.setattr(increment, "ROOM", room)
    made = 0
    factor = Newton.factor

    def counted(self: Newton, *words: Any) -> Any:
        nonlocal made
        made += 1
        return factor(self, *words)

    law = NeoHookean(1e4, 0.3).double()
    loads = [Fixed("x-"), Traction("x+", (0.0, 0.0, -200.0))]
    body = Body(block("hex8", (2, 1, 1), (1.0, 0.5, 0.5)), law, 1e3)
    solver = FESolver(integrator=Static(STEPS), tolerance=TIGHT)
    out = simulate(Scene([body], loads), solver, adjoint=Checkpoint())
    end = out.x[-1].sum(0)
    monkeypatch.setattr(Newton, "factor", counted)
    rows = []
    for k, expected in enumerate((STEPS, STEPS if room else 2 * STEPS)):
        (row,) = torch.autograd.grad(end[2 * k], law.young, retain_graph=True)
        rows.append(float(row))
        assert made == expected
    again = simulate(Scene([body], loads), solver, adjoint=Checkpoint()).x[-1].sum(0)
    (alone,) = torch.autograd.grad(again[2], law.young)
    assert rows[1] == pytest.approx(float(alone), rel=1e-12)


def test_steps_that_are_cut_back() -> None:
    """A step too long for Newton's method is taken in parts, and gradients go through them."""
    case = Case("hex8", Corotated(1e4, 0.3), scale=4.0, numerics={"iterations": 4})
    case.check("young", "traction", "displacement", "nodes")


def test_initial_state() -> None:
    """Positions and history that a static run starts from."""
    case = Case("hex8", PLASTIC["damped"]())
    solver = FESolver(integrator=Static(STEPS), tolerance=TIGHT)
    model = solver.discretize(case.scene())
    rest = solver.start(model)
    F = rest.F.detach().clone().requires_grad_()
    internal = rest.internal.detach().clone().requires_grad_()

    def loss(adjoint: Checkpoint | None) -> Tensor:
        state = replace(rest, x=rest.x.detach(), F=F, internal=internal)
        out = solver.rollout(model, state, 2, observe=[1, 2], adjoint=adjoint)
        return (case.weights[0][:2] * out.x).sum() + (0.01 * out.last.F * tilt).sum()

    tilt = torch.randn_like(F)
    gradients = torch.autograd.grad(loss(Checkpoint()), (F, internal))
    for tensor, gradient in zip((F, internal), gradients, strict=True):
        direction, h = 0.1 * torch.randn_like(tensor), 3e-5
        values = []
        with torch.no_grad():
            kept = tensor.detach().clone()
            for share in (h, -h):
                tensor.copy_(kept + share * direction)
                values.append(float(loss(None)))
            tensor.copy_(kept)
        expected = (values[0] - values[1]) / (2 * h)
        assert abs(float((gradient * direction).sum()) - expected) < BOUND * abs(expected)


def test_factors_that_are_not_banded(monkeypatch: pytest.MonkeyPatch) -> None:
    """SuperLU's adjoint of a matrix that is not symmetric."""
    monkeypatch.setattr(linear, "BAND_LIMIT", 0.0)
    case = Case("hex8", network(), follower=True, numerics={"linear": "lu"})
    case.check(together=True)
