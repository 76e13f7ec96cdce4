# SPDX-License-Identifier: Apache-2.0
"""The kernels of finite elements give the balance written in torch, and its derivative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from finite_elements import Fung, Hooke, block, network
from material_states import relative
from torch import Tensor
from volume_meshes import every_element
from walk import every

from rheograd.engine.fem import assembler, equilibrium
from rheograd.engine.fem.assembler import Assembler
from rheograd.engine.fem.equilibrium import Balance, Increment
from rheograd.engine.fem.geometry import invert
from rheograd.engine.fem.model import FEModel
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import (
    Fixed,
    Load,
    PointForce,
    PointMass,
    Pressure,
    Spring,
    Traction,
)
from rheograd.engine.scene import Body, Scene
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import (
    Corotated,
    Hencky,
    NeoHookean,
    StVenantKirchhoff,
    Volumetric,
)
from rheograd.materials.flows import HerschelBulkley, Snow
from rheograd.materials.law import ConstitutiveLaw, Plasticity
from rheograd.materials.plastic import DruckerPrager, FluidReset, HardeningVonMises, VonMises

DT = 0.02
INERTIA = (350.0, 0.7)
LOADS: list[Load] = [
    Fixed("x-"),
    Traction("x+", (10.0, -200.0, 30.0)),
    Pressure("y+", 400.0),
    PointForce(lambda x: x[:, 0] > 0.9, (3.0, 4.0, 0.0)),
    Spring("x+", 500.0),
    PointMass("x+", 70.0),
]
LAWS: dict[str, Callable[[], ConstitutiveLaw]] = {
    "neo-hookean": lambda: NeoHookean(1e4, 0.3),
    "corotated": lambda: Corotated(1e4, 0.3),
    "stvk": lambda: StVenantKirchhoff(1e4, 0.3),
    "yielding": lambda: ElastoPlastic(Hencky(1e4, 0.3), VonMises(400.0)),
    "sand": lambda: ElastoPlastic(Hencky(1e4, 0.3), DruckerPrager(35.0, 0.01)),
    "damped": lambda: Damped(Corotated(1e4, 0.3), 0.01, 0.5),
    "hardening": lambda: ElastoPlastic(Hencky(1e4, 0.3), HardeningVonMises(300.0, 2e3)),
    "damped-hardening": lambda: Damped(
        ElastoPlastic(Corotated(1e4, 0.3), HardeningVonMises(300.0, 2e3)), 0.01
    ),
    "paste": lambda: ElastoPlastic(Hencky(1e4, 0.3), HerschelBulkley(100.0, 40.0, 0.6)),
    "snow": lambda: ElastoPlastic(Corotated(1e4, 0.3), Snow(0.06, 0.03)),
    "damped-yielding": lambda: Damped(ElastoPlastic(Hencky(1e4, 0.3), VonMises(400.0)), 0.01),
    "network": network,
    "fung": Fung,
    "hooke": Hooke,
}
EVERY_LAW = pytest.mark.parametrize("law", list(LAWS))


class Case(NamedTuple):
    """An increment from a deformed state with a history, and positions that are no equilibrium."""

    model: FEModel
    start: Increment
    values: tuple[Tensor, ...]
    laws: tuple[tuple[Tensor, ...], ...]
    x: Tensor

    def plain(self, x: Tensor) -> Balance:
        with torch.no_grad():
            return equilibrium.balance(
                self.model, self.start, self.values, self.laws, x, DT, INERTIA
            )

    def kernels(self) -> Assembler:
        assembler = Assembler(self.model)
        assembler.begin(self.start, self.laws, DT)
        return assembler


def case(
    name: str, laws: Sequence[ConstitutiveLaw], loads: Sequence[Load] = LOADS,
    amount: float = 0.015, divisions: Sequence[int] = (3, 3, 1), **numerics: Any,
) -> Case:  # fmt: skip
    mesh = block(name, divisions)
    bent = mesh.nodes + 0.01 * torch.randn_like(mesh.nodes)
    bent[:, mesh.dim :] = 0.0
    mesh = replace(mesh, nodes=bent)
    shapes = [replace(mesh, nodes=mesh.nodes + 2.0 * k * torch.eye(3)[0]) for k in range(len(laws))]
    bodies = [
        Body(shape, law, 1e3 + 200 * k, name=f"body {k}")
        for k, (shape, law) in enumerate(zip(shapes, laws, strict=True))
    ]
    solver = FESolver(**numerics)
    model = solver.discretize(Scene(bodies, loads, gravity=(1.0, -9.0, 0.0)))
    assert len(model.nodes) % 8, "the last block of lanes is to be filled in part"
    state = solver.start(model)
    zero = torch.zeros_like(model.x0)
    groups = tuple(tuple(group.tensors()) for group in model.groups)
    values = model.load_values(model.moment(0.0, 1.0))
    rest = Increment(
        model.x0, state.F, state.internal, model.x0, model.density, model.stiffness,
        model.gravity, model.added_mass, model.x0, zero, zero,
    )  # fmt: skip

    def moved(x: Tensor) -> Tensor:
        shift = amount * noise(x)
        shift[:, model.kind.dim :] = 0.0
        return x + shift

    before = moved(model.x0)
    with torch.no_grad():
        first = equilibrium.balance(model, rest, values, groups, before, DT, (0.0, 1.0))
    start = rest._replace(
        before=before, F=first.F, internal=first.internal, Y=5 * noise(zero),
        Z=3 * noise(zero),
    )  # fmt: skip
    return Case(model, start, values, groups, moved(before))


def noise(like: Tensor) -> Tensor:
    """The same numbers in either precision."""
    return torch.randn(like.shape, dtype=torch.float64).to(like)


def check(case: Case, tolerance: float = 1e-11) -> None:
    """Balance with and without a tangent, then the matrix along random directions."""
    expected = case.plain(case.x)
    for tangent in (False, True):
        found = case.kernels().balance(case.x, case.values, INERTIA, tangent)
        for name, a, b in zip(Balance._fields, found, expected, strict=True):
            if b.numel():
                assert relative(a, b) < tolerance, (name, tangent)
    check_matrix(case)


def check_matrix(case: Case) -> None:
    assembler = case.kernels()
    assembler.balance(case.x, case.values, INERTIA, True)
    blocks = assembler.matrix(case.x, case.values, INERTIA)
    fixed, p = case.model.fixed, assembler.pattern
    for _ in range(2):
        d = torch.randn_like(case.x).masked_fill(fixed, 0.0)
        product = torch.einsum("zij,zj->zi", blocks, d[p.columns.long()])
        found = torch.zeros_like(d).index_add(0, p.row, product)
        h = 1e-6
        up, down = (case.plain(case.x + s * h * d).residual for s in (1, -1))
        expected = ((up - down) / (2 * h)).masked_fill(fixed, 0.0)
        assert relative(found, expected) < 1e-6
    held = torch.randn_like(case.x).masked_fill(~fixed, 0.0)
    product = torch.einsum("zij,zj->zi", blocks, held[p.columns.long()])
    through = torch.zeros_like(held).index_add(0, p.row, product)
    typical = through[fixed] / held[fixed]
    assert float(typical.std()) < 1e-9 * float(typical.mean())
    assert float(typical.mean()) > 0
    assert not bool(through[~fixed].any())


@every_element
def test_every_element(name: str) -> None:
    check(case(name, [LAWS["neo-hookean"]()]))


@EVERY_LAW
@pytest.mark.parametrize("name", ["hex8", "tri6"])
def test_every_law(name: str, law: str) -> None:
    made = case(name, [LAWS[law]()])
    if "yielding" in law:
        assert float((made.start.F - made.kernels().F_before).abs().max()) > 0.01
    check(made)


@pytest.mark.parametrize("law", ["neo-hookean", "yielding", "damped", "fung", "hooke"])
@pytest.mark.parametrize("name", ["hex8", "quad4"])
def test_mean_dilatation(name: str, law: str) -> None:
    check(case(name, [LAWS[law]()], mean_dilatation=True))


@pytest.mark.parametrize("name", ["tet4", "quad8"])
def test_bodies_of_different_laws(name: str) -> None:
    """Rows of coefficients, groups of laws and a law of torch side by side."""
    words = ("neo-hookean", "corotated", "fung", "yielding", "network")
    laws = [LAWS[word]() for word in words]
    check(case(name, [*laws, NeoHookean(3e4, 0.2)], divisions=(1, 3, 1)))


def test_two_laws_of_small_strain() -> None:
    check(case("hex8", [Hooke(1e4, 0.3), Hooke(2e4, 0.1)], divisions=(3, 1, 1)))


@pytest.mark.parametrize("law", ["neo-hookean", "yielding", "damped", "network"])
def test_float32_rounds_float64(law: str) -> None:
    torch.manual_seed(1)
    exact = case("hex20", [LAWS[law]()], divisions=(3, 1, 1))
    torch.manual_seed(1)
    made = LAWS[law]()
    rounded = case("hex20", [made], divisions=(3, 1, 1), precision="float32")
    if law == "network":
        made.float()
        rounded = rounded._replace(laws=tuple(tuple(g.tensors()) for g in rounded.model.groups))
    expected = exact.plain(exact.x)
    assembler = rounded.kernels()
    found = assembler.balance(rounded.x, rounded.values, INERTIA, True)
    assert found.net.dtype == torch.float32
    assert relative(found.residual.double(), expected.residual) < 2e-4
    blocks = assembler.matrix(rounded.x, rounded.values, INERTIA)
    whole = exact.kernels()
    whole.balance(exact.x, exact.values, INERTIA, True)
    assert relative(blocks.double(), whole.matrix(exact.x, exact.values, INERTIA)) < 2e-4


def piola_slopes(law: ConstitutiveLaw, F: Tensor, G: Tensor, internal: Tensor) -> Tensor:
    """dP/dF by central differences, shape (q, 9, 9)."""

    def P(F: Tensor) -> Tensor:
        with torch.no_grad():
            if law.kinematics == "small":
                return law.update(F, internal, DT).tau
            return law.update(F @ G, internal, DT).tau @ invert(F)[1].mT

    h, columns = 1e-5, []
    for k in range(9):
        E = torch.zeros(9, dtype=torch.float64)
        E[k] = h
        up, down = P(F + E.view(3, 3)), P(F - E.view(3, 3))
        columns.append(((up - down) / (2 * h)).flatten(1))
    return torch.stack(columns, 2)


SHEARED = (Corotated, NeoHookean, StVenantKirchhoff, Hencky)
PLASTICITIES: tuple[Callable[[], Plasticity], ...] = (
    lambda: VonMises(300.0),
    lambda: HardeningVonMises(300.0, 2e3),
    lambda: DruckerPrager(30.0, 0.01),
    lambda: HerschelBulkley(100.0, 40.0, 0.6),
    FluidReset,
)
COMBINED: list[Callable[[], ConstitutiveLaw]] = [
    *(kind.example for kind in every(ConstitutiveLaw)),
    *(lambda e=e: e(1e4, 0.3) for e in SHEARED),
    *(lambda e=e, p=p: ElastoPlastic(e(1e4, 0.3), p()) for e in SHEARED for p in PLASTICITIES),
    lambda: ElastoPlastic(Volumetric(1e4, 0.3), FluidReset()),
    lambda: Damped(Hencky(1e4, 0.3), 0.01),
    Fung,
    Hooke,
]


@pytest.mark.parametrize("make", COMBINED, ids=lambda make: " ".join(repr(make()).split())[:90])
def test_what_is_called_symmetric_is(make: Callable[[], ConstitutiveLaw]) -> None:
    """Of the tangent in an increment from a deformed state with a history, flowing or not."""
    law = make().double()
    with torch.no_grad():
        for weight in law.parameters():
            if weight.ndim:
                weight += 0.1 * torch.randn_like(weight)
    q = 24
    eye = torch.eye(3, dtype=torch.float64)
    spread = torch.logspace(-3, -0.7, q, dtype=torch.float64)[:, None, None]
    F_n = eye + spread * torch.randn(q, 3, 3, dtype=torch.float64)
    F_n = F_n * torch.where(invert(F_n)[0] > 0.3, 1.0, 0.0)[:, None, None]
    F_n = torch.where(invert(F_n)[0][:, None, None] > 0.3, F_n, eye)
    with torch.no_grad():
        before = law.update(F_n, law.rest_internal(q, F_n), DT)
    G = invert(F_n)[1] @ before.F_elastic
    F = F_n @ (eye + 0.3 * spread * torch.randn(q, 3, 3, dtype=torch.float64))
    A = piola_slopes(law, F, G, before.internal)
    skew = float((A - A.mT).abs().max() / A.abs().max())
    if law.symmetric:
        assert skew < 1e-6
    else:
        assert skew > 1e-4, "it is symmetric: a solver then needs half the matrix"


@pytest.mark.parametrize("name", ["hex8", "quad4"])
def test_mean_dilatation_in_pieces(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine elements whose stiffness is computed eight at a time, then the last."""
    monkeypatch.setattr(assembler, "DENSE", 8)
    check(case(name, [LAWS["neo-hookean"]()], mean_dilatation=True))
