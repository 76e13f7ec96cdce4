# SPDX-License-Identifier: Apache-2.0
"""Maxwell branches at finite strain: Prony's series, its limits, dissipation, gradients, motion."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from analytic_formulas import triple
from finite_elements import NOTHING
from material_states import check_pullback, relative, rotations, strained
from torch import Tensor

from rheograd.engine.audit.audit import audit
from rheograd.engine.audit.strain_box import StrainBox
from rheograd.engine.boundaries import Floor
from rheograd.engine.fem import CentralDifferences, FESolver, Static
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.material_point import drive
from rheograd.engine.mesh.generators import box
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint, Solver
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky, NeoHookean
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantSmoothElasticity
from rheograd.materials.plastic import HardeningVonMises
from rheograd.materials.rubber import Gent, Ogden
from rheograd.materials.viscoelastic import Viscoelastic

YOUNG, POISSON = 1e5, 0.4
MU = YOUNG / (2 * (1 + POISSON))
G, T = (4e4, 2e4), (0.5, 10.0)
EYE = torch.eye(3, dtype=torch.float64)


def acrylic(branches: int = 2) -> Viscoelastic:
    return Viscoelastic(NeoHookean(YOUNG, POISSON), (*G, 7e4)[:branches], (*T, 0.03)[:branches])


def rest(law: ConstitutiveLaw, q: int = 1) -> Tensor:
    return law.rest_internal(q, EYE)


def remembered(law: Viscoelastic, q: int) -> Tensor:
    """A history as steps before may have left it: without change of volume."""
    flow = torch.randn(q, len(law.moduli), 3, 3, dtype=torch.float64)
    flow = flow - flow.diagonal(dim1=2, dim2=3).mean(2)[..., None, None] * EYE
    own = law.equilibrium.rest_internal(q, EYE)
    return torch.cat([own, (torch.matrix_exp(0.15 * flow) - EYE).flatten(1)], 1)


def log_stretches(F: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U and V of F = U diag(σ) Vᵀ, and log σ."""
    U, sigma, Vh = torch.linalg.svd(F)
    return U, sigma.log(), Vh.mT


def formula(law: Viscoelastic, F: Tensor, internal: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """Stress and history after a step, with F_v⁻¹ = F⁻¹ F_e."""
    own = law.equilibrium.n_internal
    tau, after = law.equilibrium.stress(F, internal[:, :own]), [internal[:, :own]]
    for b in range(len(law.moduli)):
        P = internal[:, own + 9 * b : own + 9 * b + 9].unflatten(1, (3, 3)) + EYE
        U, eps, V = log_stretches(F @ P)
        dev = (eps - eps.mean(1, keepdim=True)) / (1 + dt / law.times[b])
        tau = tau + U @ torch.diag_embed(2 * law.moduli[b] * dev) @ U.mT
        F_e = U @ torch.diag_embed((dev + eps.mean(1, keepdim=True)).exp()) @ V.mT
        after.append((torch.linalg.inv(F) @ F_e - EYE).flatten(1))
    return tau, torch.cat(after, 1)


@pytest.mark.parametrize(
    "law",
    [
        acrylic(1), acrylic(2), acrylic(3),
        Viscoelastic(Gent(2e4, 30.0, 3e5), [1e4], [0.2]),
        Viscoelastic(Ogden([1e4], [3.0], 1e5), [1e4, 5e3], [0.2, 3.0]),
    ],
    ids=["one", "two", "three", "gent", "ogden"],
)  # fmt: skip
def test_device_form_is_the_formula(law: Viscoelastic) -> None:
    """Value and gradients of F, history and parameters; of short and long steps."""
    F = strained(20).requires_grad_()
    internal = remembered(law, 20).requires_grad_()
    for dt in (1e-3, 0.3, 50.0):
        found = law.update(F, internal, dt)
        tau, after = formula(law, F, internal, dt)
        assert torch.equal(found.F_elastic, F)
        assert relative(found.tau, tau) < 1e-12
        assert relative(found.internal, after) < 1e-12
        assert relative(law.stress(F, found.internal), found.tau) < 1e-12
        bars = [torch.randn_like(tau) / YOUNG, torch.randn_like(after)]
        inputs = (F, internal, *law.parameters())
        expected = torch.autograd.grad((tau, after), inputs, bars)
        got = torch.autograd.grad((found.tau, found.internal), inputs, bars)
        for a, b in zip(got, expected, strict=True):
            assert relative(a, b) < 1e-10


@pytest.mark.parametrize(
    "law",
    [
        acrylic(3),
        ElastoPlastic(acrylic(), HardeningVonMises(4e3, 2e4)),
        Damped(acrylic(), 1e-2),
    ],
    ids=["alone", "yielding", "damped"],
)
def test_gradients_against_central_differences(law: ConstitutiveLaw) -> None:
    F = strained(8)
    internal = rest(law, 8) + 0.03 * torch.randn(8, law.n_internal, dtype=torch.float64)
    check_pullback(law, F, internal)


def test_stress_is_the_derivative_of_the_energy_with_the_flow_held() -> None:
    law, internal = acrylic(), remembered(acrylic(), 12)
    F = strained(12).requires_grad_()
    energy = law.energy(F, internal)
    assert energy is not None
    (P,) = torch.autograd.grad(energy.sum(), F)
    assert relative(P @ F.mT, law.stress(F, internal)) < 1e-9


def sheared(law: Viscoelastic, gamma: Tensor, dt: float) -> Tensor:
    """Shear stress [Pa] of a history of simple shear, a step apart."""
    F, found = EYE.repeat(1, 1, 1), []
    internal = rest(law)
    for amount in gamma.tolist():
        F[0, 0, 1] = amount
        with torch.no_grad():
            out = law.update(F, internal, dt)
        internal = out.internal
        found.append(out.tau[0, 0, 1])
    return torch.stack(found)


def test_relaxation_of_small_strains_is_the_series_of_prony() -> None:
    """At first order: half the step, half the error."""
    law, gamma, errors = acrylic(), 1e-5, []
    for dt in (0.02, 0.01):
        times = dt * torch.arange(1, round(2.0 / dt) + 1, dtype=torch.float64)
        found = sheared(law, torch.full_like(times, gamma), dt) / gamma
        stepped, series = (torch.full_like(times, MU) for _ in range(2))
        for g, t in zip(G, T, strict=True):
            stepped += g * (1 + dt / t) ** (-times / dt)
            series += g * (-times / t).exp()
        assert relative(found, stepped) < 1e-9
        errors.append(float((found - series).abs().max() / series.max()))
    assert errors[0] < 8e-3
    assert errors[1] / errors[0] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("omega", [0.3, 2.0, 15.0])
def test_storage_and_loss_moduli(omega: float) -> None:
    """Of a small oscillation, once the start is forgotten: MU + Σ G (ωT)²/(1 + (ωT)²) and so on."""
    law = Viscoelastic(NeoHookean(YOUNG, POISSON), G, (0.1, 0.5))
    steps, cycles = 400, max(3, math.ceil(5.0 * omega / (2 * math.pi)))
    dt = 2 * math.pi / omega / steps
    phase = omega * dt * torch.arange(1, cycles * steps + 1, dtype=torch.float64)
    tau = sheared(law, 1e-5 * phase.sin(), dt)[-steps:] / 1e-5
    last = phase[-steps:]
    found = complex(2 * (tau * last.sin()).mean(), 2 * (tau * last.cos()).mean())
    x = [1j * omega * t for t in law.times.tolist()]
    exact = MU + sum(g * y / (1 + y) for g, y in zip(G, x, strict=True))
    assert abs(found - exact) < 0.01 * abs(exact)
    z = complex(math.cos(omega * dt), -math.sin(omega * dt))
    a = [1 / (1 + dt / t) for t in law.times.tolist()]
    stepped = MU + sum(g * s * (1 - z) / (1 - s * z) for g, s in zip(G, a, strict=True))
    assert abs(found - stepped) < 2e-4 * abs(stepped)


def test_relaxation_at_large_strain_is_in_closed_form() -> None:
    """Principal axes stay, and each deviatoric Hencky strain falls by 1 + dt/T a step."""
    law, dt = acrylic(), 0.2
    sigma = torch.tensor([2.5, 0.9, 0.5], dtype=torch.float64)
    Q, R = rotations(1), rotations(1)
    F, internal = Q @ sigma.diag() @ R, rest(law)
    dev = sigma.log() - sigma.log().mean()
    still = law.equilibrium.stress(F, internal[:, :0])
    for n in range(1, 30):
        out = law.update(F, internal, dt)
        internal = out.internal.detach()
        spring = sum(2 * g * (1 + dt / t) ** -n for g, t in zip(G, T, strict=True)) * dev
        assert relative(out.tau - still, Q @ spring.diag() @ Q.mT) < 1e-11


@pytest.mark.parametrize("dt", [0.01, 0.5, 20.0])
def test_a_steady_flow_has_the_stress_of_the_dashpots_at_any_step(dt: float) -> None:
    """Of T = 0.5 s, in a stretch at constant true rate: 2 G T D, exactly."""
    law, rate = Viscoelastic(NeoHookean(YOUNG, POISSON), [4e4], [0.5]), 0.02
    steps = max(20, round(10.0 / dt))
    D = rate * torch.tensor([1.0, -0.5, -0.5], dtype=torch.float64)
    F, internal, tau = EYE[None], rest(law), EYE[None]
    for n in range(1, steps + 1):
        F = (n * dt * D).exp().diag()[None]
        with torch.no_grad():
            out = law.update(F, internal, dt)
        internal, tau = out.internal, out.tau
    branch = tau - law.equilibrium.stress(F, internal[:, :0])
    left = 1 - (1 + dt / 0.5) ** -steps
    assert relative(branch[0], (2 * 4e4 * 0.5 * left * D).diag()) < 1e-9


def test_a_fast_step_is_instantaneous_and_a_slow_one_in_equilibrium() -> None:
    law, F = acrylic(), strained(10)
    still = law.equilibrium.stress(F, rest(law, 10)[:, :0])
    U, eps, _V = log_stretches(F)
    dev = eps - eps.mean(1, keepdim=True)
    springs = U @ torch.diag_embed(2 * sum(G) * dev) @ U.mT
    assert relative(law.update(F, rest(law, 10), 1e-12).tau, still + springs) < 1e-10
    assert relative(law.update(F, rest(law, 10), 1e12).tau, still) < 1e-10
    stiff = law.tangent(EYE[None], rest(law), 1e-12)[0, 0, 0, 0, 0]
    assert law.wave_modulus() == pytest.approx(float(stiff), rel=1e-9)


def walk(steps: int, size: float) -> list[Tensor]:
    """A random path of stretches and turns from rest, shape (6, 3, 3) each."""
    F, drift = EYE.repeat(6, 1, 1), torch.zeros(6, 3, 3, dtype=torch.float64)
    path = []
    for _ in range(steps):
        drift = 0.9 * drift + size * torch.randn(6, 3, 3, dtype=torch.float64)
        F = torch.matrix_exp(drift - 0.05 * torch.log(triple(F)) * EYE) @ F
        path.append(F)
    return path


def test_objectivity_and_isotropy_along_a_path() -> None:
    """The body turns otherwise at every step, and was turned before the first."""
    law, R = acrylic(), rotations(6)
    one, two, three = rest(law, 6), rest(law, 6), rest(law, 6)
    for F in walk(20, 0.03):
        Q = rotations(6)
        with torch.no_grad():
            a, b, c = (law.update(M, h, 0.1) for M, h in ((F, one), (Q @ F, two), (F @ R, three)))
        assert relative(b.tau, Q @ a.tau @ Q.mT) < 1e-10
        assert relative(c.tau, a.tau) < 1e-10
        one, two, three = a.internal, b.internal, c.internal
    flow = one.unflatten(1, (2, 3, 3)) + EYE
    assert torch.allclose(triple(flow[:, 0]), torch.ones(1, dtype=torch.float64), atol=1e-12)


def test_dissipation_is_not_negative() -> None:
    """What the flow of a step takes from the energy at that F: Σ G (1 − 1/(1 + dt/T)²) |dev ε|²."""
    law = acrylic()
    for dt in (1e-3, 0.2, 30.0):
        internal = rest(law, 6)
        for F in walk(40, 0.03):
            with torch.no_grad():
                after = law.update(F, internal, dt).internal
                before, now = law.energy(F, internal), law.energy(F, after)
            assert before is not None and now is not None
            lost = before - now
            assert bool((lost >= -1e-12 * before).all())
            internal = after
        assert float(lost.min()) > 0


def test_the_audit_finds_nothing() -> None:
    found = audit(acrylic(), box=StrainBox((0.7, 1.4), (0.9, 1.1)), curves=())
    assert found.flows
    assert [f.name for f in found.findings if f.verdict == "fail"] == []


def test_slow_flow_survives_single_precision() -> None:
    """A millionth of a relaxation time a step: a strain kept beside 1 would never move."""
    law = Viscoelastic(NeoHookean(YOUNG, POISSON), [4e4], [10.0])
    F = torch.diag(torch.tensor([1.02, 1.0, 0.98]))[None]
    internal = law.rest_internal(1, F)
    with torch.no_grad():
        for _ in range(1000):
            internal = law.update(F, internal, 1e-5).internal
        exact = law.update(F.double(), rest(law), 1e-2).internal
    assert relative(internal.double(), exact) < 2e-3


def falling(law: ConstitutiveLaw) -> Scene:
    block = Body(Box((0.2, 0.2, 0.2), (0.3, 0.11, 0.3)), law, 1e3, (0.5, -2.0, 0.0))
    return Scene([block], [Floor(friction=0.3)], duration=0.02)


def pulled(law: ConstitutiveLaw) -> Scene:
    body = Body(box((0.2, 0.1, 0.1), (2, 1, 1)), law, 1e3)
    return Scene(
        [body], [Fixed("x-"), Displacement("x+", (0.04, 0.02, 0.0))], NOTHING, duration=1.0
    )


def swung(law: ConstitutiveLaw) -> Scene:
    body = Body(box((0.2, 0.1, 0.1), (2, 1, 1)), law, 1e3, (0.0, 0.0, 2.0))
    return Scene([body], [Fixed("x-")], duration=0.05)


RUNS: dict[str, tuple[Callable[[ConstitutiveLaw], Scene], Solver]] = {
    "particles": (falling, MPMSolver(cell=0.1, dt=1e-3, precision="float64")),
    "static": (pulled, FESolver(integrator=Static(steps=3))),
    "explicit": (swung, FESolver(integrator=CentralDifferences(dt=5e-4))),
}


def measured(scene: Scene, solver: Solver, *, adjoint: Checkpoint | None = None) -> Tensor:
    """A number of the end of a run."""
    model = solver.discretize(scene)
    steps = 3 if isinstance(solver, FESolver) and isinstance(solver.integrator, Static) else 20
    last = solver.rollout(model, solver.start(model), steps, adjoint=adjoint).last
    weight = torch.linspace(-1.0, 2.0, last.x.numel(), dtype=torch.float64).view_as(last.x)
    total = (weight * last.x).sum()
    if "reaction" in last.carry:
        total = total + 1e-2 * (weight * last.carry["reaction"]).sum()
    return total


@pytest.mark.filterwarnings("ignore:.*particles a cell")
@pytest.mark.parametrize("run", RUNS)
def test_gradients_of_roll_outs(run: str) -> None:
    """Of moduli, times and the equilibrium, against central differences."""
    scene, solver = RUNS[run]
    law = Viscoelastic(NeoHookean(YOUNG, POISSON), G, (0.01, 0.3))
    measured(scene(law), solver, adjoint=Checkpoint(every=7)).backward()
    for name, weight in law.named_parameters():
        assert weight.grad is not None, name
        along, values = weight.detach().clone(), []
        if along.ndim:
            along *= torch.tensor([1.0, -0.7], dtype=torch.float64)
        for sign in (1, -1):
            with torch.no_grad():
                weight += sign * 1e-4 * along
                values.append(measured(scene(law), solver))
                weight -= sign * 1e-4 * along
        expected, slope = float(values[0] - values[1]) / 2e-4, weight.grad
        assert slope is not None
        assert float((slope * along).sum()) == pytest.approx(expected, rel=1e-5), name


def test_elements_relax_as_a_point_does() -> None:
    """A bar that is stretched at a constant rate, against the law driven alone."""
    law = acrylic()
    loads = [
        Fixed("x-", "x"), Fixed("y-", "y"), Fixed("z-", "z"),
        Displacement("x+", (0.06, 0.0, 0.0), "x"),
    ]  # fmt: skip
    scene = Scene([Body(box((0.2, 0.1, 0.1), (1, 1, 1)), law, 1e3)], loads, NOTHING, duration=4.0)
    out = simulate(scene, FESolver(integrator=Static(steps=8), tolerance=1e-11), frames=8)
    stretch = 1 + 0.3 * torch.arange(1, 9, dtype=torch.float64) / 8
    F = torch.diag_embed(torch.stack([stretch, stretch**-0.4, stretch**-0.4], 1))
    time = 0.5 * torch.arange(1, 9, dtype=torch.float64)
    driven = drive(law, F, (False, True, True), time=time, incompressible=False)
    assert out.x is not None
    front = out.x[0][:, 0] > 0.199 + float(out.x[0][:, 0].min())
    force = out.fields["reaction"][1:, front, 0].sum(1)
    assert relative(force / 0.01, driven.P[:, 0, 0]) < 1e-6
    strain = out.cell_fields["viscous_strain_1"][-1]
    assert float(strain.min()) > 0.1


def test_a_file_holds_it(tmp_path: Path) -> None:
    law = acrylic(3)
    law.save(tmp_path / "law.safetensors")
    again = ConstitutiveLaw.load(tmp_path / "law.safetensors")
    F, internal = strained(4), remembered(law, 4)
    assert torch.equal(again.update(F, internal, 0.1).tau, law.update(F, internal, 0.1).tau)


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (lambda: Viscoelastic(NeoHookean(1e5, 0.3), [1e4], [1.0, 2.0]), ValueError, "and 2 times"),
        (lambda: Viscoelastic(NeoHookean(1e5, 0.3), [], []), ValueError, "1 to 3"),
        (lambda: Viscoelastic(NeoHookean(1e5, 0.3), [1e4] * 4, [1.0] * 4), ValueError, "1 to 3"),
        (lambda: Viscoelastic(NeoHookean(1e5, 0.3), [-1.0], [1.0]), ValueError, r"moduli \[Pa\]"),
        (lambda: Viscoelastic(NeoHookean(1e5, 0.3), [1e4], [0.0]), ValueError, "numbers above 0"),
        (lambda: Viscoelastic(acrylic(), [1e4], [1.0]), ValueError, "which has history"),
        (
            lambda: Viscoelastic(InvariantSmoothElasticity(seed=0), [1e4], [1.0]),  # type: ignore[arg-type]
            TypeError, "expected an analytic elasticity",
        ),
        (lambda: Viscoelastic(Damped(Hencky(1e5, 0.3), 1.0), [1e4], [1.0]), TypeError, "analytic"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_bad_parts_are_refused(make: Callable[[], Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        make()


def test_tests_with_history_need_their_times() -> None:
    F = torch.diag_embed(torch.tensor([[1.0, 1.0, 1.0], [1.2, 1.2**-0.5, 1.2**-0.5]]).double())
    with pytest.raises(ValueError, match="remembers its past"):
        drive(acrylic(), F, (False, True, True))
    assert drive(Corotated(1e5, 0.3), F, (False, True, True)).P.shape == (2, 3, 3)
