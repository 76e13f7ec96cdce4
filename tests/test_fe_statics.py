# SPDX-License-Identifier: Apache-2.0
"""Static finite elements against what is known: patches, exact solutions, other codes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from finite_elements import NOTHING, at, block, mean_over, network
from material_states import relative
from scipy.optimize import brentq
from torch import Tensor
from torch.func import jacrev, vmap
from volume_meshes import every_element

from rheograd.engine.fem.geometry import determinant, invert, volumes
from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import BodyForce, Displacement, Fixed, PointMass, Traction
from rheograd.engine.mesh.elements import element
from rheograd.engine.mesh.generators import box
from rheograd.engine.mesh.volume_mesh import VolumeMesh
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint
from rheograd.engine.state import State
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import (
    Corotated,
    Hencky,
    NeoHookean,
    StVenantKirchhoff,
    YoungPoissonElasticity,
)
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import DruckerPrager, HardeningVonMises, VonMises

E, NU = 1e4, 0.3
MU, LAM = E / (2 * (1 + NU)), E * NU / ((1 + NU) * (1 - 2 * NU))


def run(
    mesh: VolumeMesh, law: ConstitutiveLaw, loads: Sequence[object], steps: int = 1,
    adjoint: Checkpoint | None = None, **numerics: Any,
) -> tuple[Trajectory, State | None]:  # fmt: skip
    """Without gravity; the last state comes along."""
    last: list[State] = []
    scene = Scene([Body(mesh, law, 1e3)], loads, gravity=NOTHING)  # type: ignore[arg-type]
    solver = FESolver(integrator=Static(steps), **numerics)
    sink = None if adjoint else last.append
    out = simulate(scene, solver, adjoint=adjoint, sink=sink)
    return out, last[-1] if last else None


def bounded(mesh: VolumeMesh) -> VolumeMesh:
    """With its whole boundary as a group of nodes."""
    return replace(mesh, points={"boundary": mesh.boundary().unique()})


@every_element
@pytest.mark.parametrize("law", [NeoHookean(E, NU), Corotated(E, NU), network()])
def test_patch(name: str, law: ConstitutiveLaw) -> None:
    """A linear displacement of the boundary is that of the whole, with one stress everywhere."""
    check_patch(bounded(block(name, (3, 3, 2), distort=0.2)), law)


@pytest.mark.parametrize("name", ["hex8", "quad4"])
def test_patch_with_mean_dilatation(name: str) -> None:
    mesh = bounded(block(name, (3, 3, 2), distort=0.2))
    check_patch(mesh, NeoHookean(E, 0.49), mean_dilatation=True)


def check_patch(mesh: VolumeMesh, law: ConstitutiveLaw, **numerics: Any) -> None:
    H = 0.12 * torch.randn(3, 3, dtype=torch.float64)
    H[:, mesh.dim :] = 0.0
    H[mesh.dim :] = 0.0
    where = mesh.points["boundary"]
    moved = Displacement("boundary", mesh.nodes[where] @ H.T)
    out, last = run(mesh, law, [moved], 2, tolerance=1e-12, **numerics)
    assert len(where) < len(mesh.nodes), "some nodes are to be found"
    assert relative(out.x[-1] - mesh.nodes, mesh.nodes @ H.T) < 1e-10
    assert last is not None
    assert float((last.F - (torch.eye(3) + H)).abs().max()) < 1e-10
    tau = law.stress(last.F, last.internal).detach()
    assert float((tau - tau[0]).abs().max()) < 1e-8 * float(tau.abs().max())


RATES = {
    "tri3": (2, (4, 8)), "quad4": (2, (4, 8)), "tri6": (3, (3, 6)), "quad8": (3, (3, 6)),
    "quad9": (3, (3, 6)), "tet4": (2, (3, 6)), "hex8": (2, (3, 6)), "tet10": (3, (2, 4)),
    "hex20": (3, (2, 4)), "hex27": (3, (2, 4)),
}  # fmt: skip
"""Declared order of the L2 error and two meshes that show it."""


def wavy(X: Tensor, dim: int) -> Tensor:
    """A displacement, smooth and not zero at the boundary; (3,) of (3,)."""
    x, y, z = X if dim == 3 else (X[0], X[1], 0.0 * X[0].detach())
    u = 0.05 * torch.sin(2.0 * x + 1.0 * y + 0.5 * z)
    v = 0.04 * torch.cos(1.5 * x - 1.8 * y + 0.7 * z)
    w = 0.05 * torch.sin(1.0 * x + 1.2 * y - 1.6 * z) if dim == 3 else torch.zeros_like(x)
    return torch.stack([u, v, w])


def needed_force(X: Tensor, dim: int) -> Tensor:
    """- Div P of the neo-Hookean law at that displacement, shape (n, 3)."""

    def P(X: Tensor) -> Tensor:
        F = torch.eye(3, dtype=X.dtype) + jacrev(wavy)(X, dim)
        J = F[0] @ torch.linalg.cross(F[1], F[2])
        rows = [torch.linalg.cross(F[i - 2], F[i - 1]) for i in range(3)]
        inverse_T = torch.stack(rows) / J
        return MU * (F - inverse_T) + LAM * J.log() * inverse_T

    return -vmap(lambda X: torch.einsum("iJJ->i", jacrev(P)(X)))(X)


def error(name: str, n: int, **numerics: Any) -> float:
    """In L2, of the manufactured solution."""
    dim = element(name).dim
    mesh = bounded(block(name, (n,) * 3, (1.0, 1.0, 1.0)))
    exact = vmap(lambda X: wavy(X, dim))
    where = mesh.points["boundary"]
    loads = [
        Displacement("boundary", exact(mesh.nodes[where])),
        BodyForce(lambda X: needed_force(X, dim)),
    ]
    out, _ = run(mesh, NeoHookean(E, NU), loads, **numerics)
    kind = mesh.kind
    N = torch.from_numpy(kind.shape(kind.mass.points))
    X = torch.einsum("qa,eai->eqi", N, mesh.nodes[mesh.cells])
    u = torch.einsum("qa,eai->eqi", N, (out.x[-1] - mesh.nodes)[mesh.cells])
    gap = u - exact(X.reshape(-1, 3)).reshape(X.shape)
    weight = volumes(kind, mesh.nodes[mesh.cells])
    return math.sqrt(float((weight[..., None] * gap.square()).sum()))


@pytest.mark.parametrize("name", list(RATES))
def test_rate_of_convergence(name: str) -> None:
    order, (coarse, fine) = RATES[name]
    rate = math.log2(error(name, coarse) / error(name, fine))
    assert order - 0.2 < rate < order + 0.6


@pytest.mark.parametrize("name", ["quad4", "hex8"])
def test_rate_with_mean_dilatation(name: str) -> None:
    order, (coarse, fine) = RATES[name]
    errors = [error(name, n, mean_dilatation=True) for n in (coarse, fine)]
    assert order - 0.2 < math.log2(errors[0] / errors[1]) < order + 0.6


def test_body_force_is_gravity_by_density() -> None:
    """And its gradient reaches the parameters of its function."""
    mesh = block("hex8", (2, 1, 1))
    size = torch.tensor(3e3, dtype=torch.float64, requires_grad=True)
    down = torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)
    forces = {
        "vector": BodyForce((0.0, -3e3, 0.0)),
        "function": BodyForce(lambda X: size * down.expand(len(X), 3)),
        "halves": BodyForce((0.0, -3e3, 0.0), on=lambda X: X[:, 0] < 0.6),
    }
    pulled = {}
    for key, force in forces.items():
        out, _ = run(mesh, NeoHookean(E, NU), [Fixed("x-"), force], adjoint=Checkpoint())
        pulled[key] = out.fields["reaction"][-1].sum(0)
    volume = mesh.volume
    for key, share in (("vector", 1.0), ("function", 1.0), ("halves", 0.5)):
        assert torch.allclose(pulled[key].detach(), -3e3 * share * volume * down, atol=1e-5)
    (slope,) = torch.autograd.grad(pulled["function"][1], size)
    assert float(slope) == pytest.approx(volume, rel=1e-9)


# Uniaxial stress: a bar pulled along x whose sides are free. With stretches a along and b across,
# the Kirchhoff stress of the sides vanishes, which gives b; the force is tau / a by area at rest.


def principal(law: type[YoungPoissonElasticity], a: float, b: float) -> tuple[float, float]:
    """Kirchhoff stress along and across."""
    J = a * b * b
    if law is NeoHookean:
        p = LAM * math.log(J)
        return MU * (a * a - 1) + p, MU * (b * b - 1) + p
    if law is Corotated:
        p = LAM * J * (J - 1)
        return 2 * MU * (a - 1) * a + p, 2 * MU * (b - 1) * b + p
    if law is StVenantKirchhoff:
        ea, eb = 0.5 * (a * a - 1), 0.5 * (b * b - 1)
        p = LAM * (ea + 2 * eb)
        return a * a * (2 * MU * ea + p), b * b * (2 * MU * eb + p)
    p = LAM * math.log(J)
    return 2 * MU * math.log(a) + p, 2 * MU * math.log(b) + p


def pulled_bar(
    law: ConstitutiveLaw, stretch: Callable[[Any], Any], steps: int, name: str = "hex8"
) -> tuple[list[float], list[float]]:
    """Stress by area at rest and stretch across of a bar at equal times up to 1."""
    mesh = block(name, (2, 2, 2), (1.0, 0.5, 0.5), distort=0.1)
    along = lambda t: torch.stack([stretch(t) - 1.0, 0.0 * t, 0.0 * t])  # noqa: E731
    loads = [
        Fixed("x-", "x"), Fixed("y-", "y"), Fixed("z-", "z"), Displacement("x+", along, "x"),
    ]  # fmt: skip
    out, _ = run(mesh, law, loads, steps, tolerance=1e-11)
    end = mesh.facets_of("x+").unique()
    side = mesh.facets_of("y+").unique()
    force = out.fields["reaction"][:, end, 0].sum(1) / 0.25
    across = out.x[:, side, 1].mean(1) / 0.5
    return force[1:].tolist(), across[1:].tolist()


@pytest.mark.parametrize("name", ["hex8", "tet10"])
@pytest.mark.parametrize("law", [NeoHookean, Corotated, StVenantKirchhoff, Hencky])
@pytest.mark.parametrize("final", [1.4, 0.8])
def test_bar(name: str, law: type[YoungPoissonElasticity], final: float) -> None:
    steps = 4
    force, across = pulled_bar(law(E, NU), lambda t: 1 + (final - 1) * t, steps, name)
    for k in range(steps):
        a = 1 + (final - 1) * (k + 1) / steps
        b: Any = brentq(lambda b, a=a: principal(law, a, b)[1], 0.7, 1.3, xtol=1e-15)
        assert across[k] == pytest.approx(b, rel=1e-8)
        assert force[k] == pytest.approx(principal(law, a, b)[0] / a, rel=1e-7)
    if law is Hencky:
        assert force[-1] == pytest.approx(E * math.log(final) / final, rel=1e-7)


def test_bar_that_yields_both_ways() -> None:
    """Von Mises: |tau| is at most sqrt(3/2) times the yield stress; unloading is elastic."""
    yields, steps = 200.0, 24
    limit = math.sqrt(1.5) * yields
    assert limit < 0.05 * E

    def stretch(t: Tensor | float) -> Tensor | float:  # up to 1.06, back to 0.98
        up = torch.as_tensor(t, dtype=torch.float64)
        return torch.where(up < 0.5, 1 + 0.12 * up, 1.06 - 0.16 * (up - 0.5))

    law = ElastoPlastic(Hencky(E, NU), VonMises(yields))
    force, across = pulled_bar(law, stretch, steps)
    tau, before, plastic, flowed = 0.0, 0.0, 0.0, 0.0
    for k in range(steps):
        a = float(stretch((k + 1) / steps))
        trial = tau + E * (math.log(a) - before)
        tau = max(-limit, min(limit, trial))
        plastic += (trial - tau) / E
        flowed += abs(trial - tau) / E
        before = math.log(a)
        assert force[k] == pytest.approx(tau / a, rel=1e-6)
        assert math.log(across[k]) == pytest.approx(-NU * tau / E - 0.5 * plastic, rel=1e-6)
    assert tau == -limit and flowed > 0.05


@pytest.mark.parametrize("hardening", [800.0, -600.0])
def test_bar_that_hardens_or_softens(hardening: float) -> None:
    """Uniaxial |tau| grows to sqrt(3/2) (yields + H kappa); pulled to 1.06, pushed back to 0.98.

    The slope of the flowing branch by logarithmic strain is E 3/2 H / (E + 3/2 H).
    """
    yields, steps = 200.0, 24

    def stretch(t: Tensor | float) -> Tensor | float:
        up = torch.as_tensor(t, dtype=torch.float64)
        return torch.where(up < 0.5, 1 + 0.12 * up, 1.06 - 0.16 * (up - 0.5))

    law = ElastoPlastic(Hencky(E, NU), HardeningVonMises(yields, hardening))
    force, across = pulled_bar(law, stretch, steps)
    tau, before, plastic, kappa, found = 0.0, 0.0, 0.0, 0.0, [0.0]
    slopes = []
    for k in range(steps):
        a = float(stretch((k + 1) / steps))
        trial = tau + E * (math.log(a) - before)
        over = abs(trial) - math.sqrt(1.5) * (yields + hardening * kappa)
        flow = math.copysign(max(over, 0.0) / (E + 1.5 * hardening), trial)
        tau = trial - E * flow
        plastic += flow
        kappa += math.sqrt(1.5) * abs(flow)
        found.append(force[k] * a)
        slopes.append((found[-1] - found[-2]) / (math.log(a) - before))
        before = math.log(a)
        assert force[k] == pytest.approx(tau / a, rel=1e-6)
        assert math.log(across[k]) == pytest.approx(-NU * tau / E - 0.5 * plastic, rel=1e-6)
    assert kappa > 0.05
    for k in (10, -1):
        assert slopes[k] == pytest.approx(E * 1.5 * hardening / (E + 1.5 * hardening), rel=1e-5)


def test_column_that_crumbles() -> None:
    """Drucker and Prager in compression; flow keeps the volume, so the strain that stays elastic
    is where norm(dev) + 3 K / 2 mu alpha (tr - 3 c) = 0."""
    angle, cohesion, steps = 30.0, 0.004, 6
    sine = math.sin(math.radians(angle))
    alpha = math.sqrt(2 / 3) * 2 * sine / (3 - sine)
    bulk = 3 * (LAM + 2 * MU / 3) / (2 * MU)
    slope = math.sqrt(2 / 3) * (1 + NU) - bulk * alpha * (1 - 2 * NU)
    limit = E * bulk * alpha * 3 * cohesion / slope
    law = ElastoPlastic(Hencky(E, NU), DruckerPrager(angle, cohesion))
    force, _ = pulled_bar(law, lambda t: 1 - 0.04 * t, steps)
    assert 0 < limit < 0.03 * E
    for k in range(steps):
        a = 1 - 0.04 * (k + 1) / steps
        assert force[k] == pytest.approx(max(E * math.log(a), -limit) / a, rel=1e-6)


# Near incompressibility.


def cooks(n: int, name: str) -> VolumeMesh:
    """Cook's membrane [mm]: a tapered panel, clamped at the left, sheared at the right."""
    kind = element(name)
    size = (1.0, 1.0, 1.0)[: kind.dim]
    mesh = box(size, (n, n, 1)[: kind.dim], element=name, corner=NOTHING[: kind.dim])
    s, t, z = mesh.nodes.unbind(1)
    nodes = torch.stack([48 * s, t * (44 - 28 * s) + 44 * s, z], 1)
    return replace(mesh, nodes=nodes)


def tip(n: int, name: str, **numerics: Any) -> float:
    """Vertical displacement of the upper right corner [mm] under 100 N on a slice of 1 mm.

    mu = 80.1938 and K = 40.0942e4 N/mm² (Simo and Armero 1992, "Geometrically non-linear enhanced
    strain mixed methods"; Brink and Stein 1996, "On some mixed finite element methods for
    incompressible and nearly incompressible finite elasticity"), whose converged tip is 6.9 mm.
    """
    mu, K = 80.1938, 40.0942e4
    lam = K - 2 * mu / 3
    law = NeoHookean(mu * (3 * lam + 2 * mu) / (lam + mu), lam / (2 * (lam + mu)))
    mesh = cooks(n, name)
    loads: list[object] = [Fixed("x-"), Traction("x+", (0.0, 100 / 16, 0.0))]
    if mesh.dim == 3:
        loads += [Fixed("z-", "z"), Fixed("z+", "z")]
    out, _ = run(mesh, law, loads, 5, **numerics)
    corner = at(mesh, 48.0, 60.0)
    return float(out.x[-1, corner, 1] - mesh.nodes[corner, 1])


def test_cooks_membrane_does_not_lock() -> None:
    found = {n: tip(n, "quad4", mean_dilatation=True) for n in (8, 16)}
    assert found[16] == pytest.approx(6.9, rel=0.02)
    assert abs(found[16] - 6.9) < abs(found[8] - 6.9) < 0.7
    assert tip(16, "quad4") < 0.75 * found[16], "the plain element locks: the test is sharp"
    assert tip(8, "hex8", mean_dilatation=True) == pytest.approx(found[8], rel=1e-6)


def squeezed(name: str, n: int, **numerics: Any) -> float:
    """How far the top of a cube clamped below goes down under a traction, at nu = 0.4999."""
    mesh = block(name, (n, n, n), (1.0, 1.0, 1.0))
    law = NeoHookean(E, 0.4999)
    loads = [Fixed("y-"), Fixed("y+", "xz"), Traction("y+", (0.0, -1500.0, 0.0))]
    out, _ = run(mesh, law, loads, 2, **numerics)
    return float(mean_over(mesh, "y+", mesh.nodes - out.x[-1])[1])


def test_clamped_cube_does_not_lock() -> None:
    coarse, fine = (squeezed("hex8", n, mean_dilatation=True) for n in (3, 5))
    assert coarse == pytest.approx(fine, rel=0.04)
    assert squeezed("tet10", 3) == pytest.approx(fine, rel=0.1)  # stiffer, and converges to it
    assert squeezed("hex8", 5) < 0.05 * fine, "the plain element locks: the test is sharp"


# Other codes.


@pytest.fixture(scope="module")
def cantilever_data(reference_data: Callable[[str], Path]) -> list[dict]:
    data = json.loads(reference_data("fe/cantilever_reference.json").read_text())
    return [row for row in data["results"] if row["code"].startswith("scikit-fem 12")]


def cantilever(name: str, n: int) -> tuple[Tensor, Tensor, NeoHookean]:
    mesh = block(name, (4 * n, n, n), (4.0, 1.0, 1.0))
    law = NeoHookean(1e4, 0.3)
    loads = [Fixed("x-"), Traction("x+", (0.0, 0.0, -100.0))]
    out, _ = run(mesh, law, loads, 5, Checkpoint())
    u = out.x[-1] - mesh.nodes
    return mean_over(mesh, "x+", u), u[at(mesh, 4.0, 0.0, 0.0)].detach(), law


@pytest.mark.parametrize(
    ("name", "n"),
    [
        ("hex8", 6),
        ("tet4", 6),
        pytest.param("hex8", 14, marks=pytest.mark.slow),
        pytest.param("tet10", 6, marks=pytest.mark.slow),
        pytest.param("hex27", 6, marks=pytest.mark.slow),
    ],
)
def test_cantilever_of_other_codes(name: str, n: int, cantilever_data: list[dict]) -> None:
    """To what a tolerance of 1e-8 on the residual leaves."""
    mean, corner, law = cantilever(name, n)
    rows = [r for r in cantilever_data if r["kind"] == name and r["n"] == n]
    assert rows
    close = 1e-9 if name in ("hex8", "tet4") else 1e-8
    for row in rows:
        assert float(mean[2].detach()) == pytest.approx(row["face_mean_uz"], rel=close)
        expected = torch.tensor(row["corner_400"], dtype=torch.float64)
        assert float((corner - expected).abs().max()) < 1e-8
    slopes = {6: 1.2409390217e-4, 14: 1.2429913347e-4}
    if name == "hex8":
        (slope,) = torch.autograd.grad(mean[2], law.young)
        assert float(slope) == pytest.approx(slopes[n], rel=1e-8)


# Many at once.


def test_worlds_are_single_runs() -> None:
    """64 bars of different stiffness in one model."""
    mesh = block("hex8", (2, 1, 1))
    weights = torch.randn(len(mesh.nodes), 3, dtype=torch.float64)

    def scene(law: ConstitutiveLaw) -> Scene:
        loads = [Fixed("x-"), Traction("x+", (50.0, -200.0, 80.0))]
        return Scene([Body(mesh, law, 100.0)], loads)

    solver = FESolver(integrator=Static(2), tolerance=1e-12)

    def final(laws: Sequence[ConstitutiveLaw]) -> Tensor:
        model = solver.discretize([scene(law) for law in laws])
        start = solver.start(model)
        out = solver.rollout(model, start, 2, observe=[2], adjoint=Checkpoint())
        return out.x[0].unflatten(0, (len(laws), -1))

    def made() -> list[NeoHookean]:
        return [NeoHookean(5e3 + 400 * k, 0.25 + 0.003 * k) for k in range(64)]

    together, alone = made(), made()
    whole = final(together)
    (weights * whole).sum().backward()
    singles = torch.cat([final([law]) for law in alone])
    (weights * singles).sum().backward()
    assert relative(whole, singles) < 1e-9
    for a, b in zip(together, alone, strict=True):
        assert a.young.grad is not None and b.young.grad is not None
        assert float(a.young.grad) == pytest.approx(float(b.young.grad), rel=1e-9)
        assert float(a.poisson.grad) == pytest.approx(float(b.poisson.grad), rel=1e-8)  # type: ignore[arg-type]


def test_reactions_carry_the_load() -> None:
    mesh = block("tet10", (2, 2, 2), (1.0, 1.0, 1.0))
    out, last = run(mesh, NeoHookean(E, NU), [Fixed("y-"), Traction("y+", (30.0, -200.0, 10.0))])
    pulled = out.fields["reaction"][-1].sum(0)
    assert torch.allclose(pulled, -torch.tensor([30.0, -200.0, 10.0]).double(), atol=1e-4)
    assert last is not None and bool((determinant(last.F) > 0).all())
    assert relative(invert(last.F)[1] @ last.F, torch.eye(3).expand_as(last.F)) < 1e-12


def test_a_shape_is_eight_elements_across_where_nothing_is_said() -> None:
    body = Body(Box((2.0, 1.0, 1.0)), NeoHookean(1e4, 0.3), 1e3)
    model = FESolver().discretize(Scene([body], [Fixed("x-")]))
    assert len(model.nodes) == 16 * 8 * 8
    corner = model.x0[model.nodes[0]]
    assert (corner.amax(0) - corner.amin(0)).tolist() == pytest.approx([0.125] * 3)


def test_numbers_keep_their_precision() -> None:
    """A density, mass or displacement given as a number of Python is taken in double precision."""
    on = {"on": "x-", "body": "bar"}
    loads = [Displacement(value=(0.1, 0.0, 0.0), **on), PointMass(mass=0.9, **on)]
    body = Body(Box((1.0, 1.0, 1.0)), NeoHookean(1e4, 0.3), 1000.1, name="bar")
    model = FESolver(size=0.5).discretize(Scene([body], loads))
    assert float(model.density[0]) == 1000.1
    assert float(model.added_mass.sum()) == pytest.approx(0.9, rel=1e-15)
    moved = model.places(model.moment(0.0, model.ramp)) - model.x0
    assert float(moved[:, 0].max()) == pytest.approx(0.1, rel=1e-14)
