# SPDX-License-Identifier: Apache-2.0
"""Energies of invariants: stress as their derivative, and polyconvexity where it is promised."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from finite_elements import block
from material_states import relative, rotations
from scipy.optimize import brentq
from torch import Tensor, nn

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import StVenantKirchhoff, det3
from rheograd.materials.energies.cann import CANN
from rheograd.materials.energies.invariant_energy import InvariantEnergy
from rheograd.materials.energies.polyconvex import ConvexNetwork, Polyconvex
from rheograd.materials.energies.symbolic import Symbolic
from rheograd.materials.files import load_law
from rheograd.materials.invariants import Invariants
from rheograd.materials.law import ConstitutiveLaw, Plasticity, Response
from rheograd.materials.learned.code_book import CodeBook
from rheograd.materials.learned.invariant import (
    InvariantSmooth,
    InvariantSmoothElasticity,
    InvariantSmoothPlasticity,
)
from rheograd.materials.learned.isotropic import Isotropic, IsotropicPlasticity
from rheograd.materials.rubber import MooneyRivlin, volume_energy

LAWS = (Polyconvex, CANN, Symbolic)
EACH = pytest.mark.parametrize("kind", LAWS, ids=lambda kind: kind.name)
NONE = torch.zeros(1, 0, dtype=torch.float64)
EYE = torch.eye(3, dtype=torch.float64)


def moved(kind: type[InvariantEnergy], amount: float = 0.3) -> InvariantEnergy:
    """An example off the parameters it starts with, in float64."""
    law = kind.example().double()
    assert isinstance(law, InvariantEnergy)
    with torch.no_grad():
        for weight in law.parameters():
            weight += amount * torch.randn_like(weight)
    return law


def strained(q: int, amount: float = 0.1) -> Tensor:
    return EYE + amount * torch.randn(q, 3, 3, dtype=torch.float64)


@EACH
def test_stress_is_the_derivative_of_the_energy(kind: type[InvariantEnergy]) -> None:
    """P = ∂ψ/∂F by central differences, P = τ F⁻ᵀ."""
    law, F, h = moved(kind), strained(30), 1e-5
    with torch.no_grad():
        tau = law.stress(F, NONE)
        P = torch.empty_like(F)
        for i in range(3):
            for j in range(3):
                E = torch.zeros(3, 3, dtype=torch.float64)
                E[i, j] = h
                P[:, i, j] = (law.energy(F + E, NONE) - law.energy(F - E, NONE)) / (2 * h)
    assert relative(P @ F.mT, tau) < 1e-8
    assert relative(tau.mT, tau) < 1e-14


@EACH
def test_energy_knows_no_direction(kind: type[InvariantEnergy]) -> None:
    """Neither of space nor of the material: ψ(Q F R) = ψ(F), τ(F R) = τ(F)."""
    law, F, Q, R = moved(kind), strained(30), rotations(30), rotations(30)
    with torch.no_grad():
        assert relative(law.energy(Q @ F @ R, NONE), law.energy(F, NONE)) < 1e-11
        assert relative(law.stress(F @ R, NONE), law.stress(F, NONE)) < 1e-11


@EACH
def test_rest(kind: type[InvariantEnergy]) -> None:
    law = moved(kind)
    with torch.no_grad():
        assert float(law.energy(EYE[None], NONE)) == pytest.approx(0.0, abs=1e-12 * 1e5)
        assert float(law.stress(EYE[None], NONE).abs().max()) < 1e-10


@EACH
def test_single_precision(kind: type[InvariantEnergy]) -> None:
    """Near rest too: strains of 1e-4 have three digits, as F has them."""
    law, law_32 = moved(kind), kind.example()
    law_32.load_state_dict(law.state_dict())
    law_32.float()
    for amount, bound in ((0.1, 2e-5), (1e-4, 5e-3)):
        F = strained(50, amount).float()
        with torch.no_grad():
            tau = law_32.stress(F, NONE.float())
            assert tau.dtype == torch.float32
            assert relative(tau.double(), law.stress(F.double(), NONE)) < bound


@EACH
def test_collapse_is_not_hidden(kind: type[InvariantEnergy]) -> None:
    with torch.no_grad():
        tau = kind.example().stress(torch.diag(torch.tensor([1.0, 1.0, -0.1]))[None], NONE)
    assert bool(tau.isnan().any())


@EACH
def test_six_rows_make_the_tangent(kind: type[InvariantEnergy]) -> None:
    law, F = moved(kind), strained(20)
    found, tangent = law.linearize(F, NONE, 1.0)
    expected, whole = ConstitutiveLaw.linearize(law, F, NONE, 1.0)
    assert torch.equal(found.tau, expected.tau)
    assert torch.allclose(tangent, whole, rtol=1e-12, atol=1e-12 * float(whole.abs().max()))


def without_stretches() -> list[InvariantEnergy]:
    formula = "c1*(I1 - 3 - 2*log(J)) + c2*(I2bar - 3)**2 + c3*(J - 1)**2"
    constants = {"c1": 2e4, "c2": 3e4, "c3": 5e4}
    return [Polyconvex.example(), CANN(1e5), CANN.example(), Symbolic(formula, constants)]


def solved(law: ConstitutiveLaw, F: Tensor) -> Response:
    """What a solver asks for."""
    out = Response(torch.empty_like(F), torch.empty_like(F), F.new_zeros(len(F), 0))
    law.update_into(F, out.internal, 1e-3, out)
    return out


@pytest.mark.parametrize("law", without_stretches(), ids=lambda law: law.name)
@pytest.mark.parametrize("flow", [None, IsotropicPlasticity, InvariantSmoothPlasticity])
def test_solvers_get_what_the_graph_of_the_stress_gives(
    law: InvariantEnergy, flow: type[Plasticity] | None
) -> None:
    law = copy.deepcopy(law)
    whole = (law if flow is None else ElastoPlastic(law, flow(1e-2, seed=2))).double()
    with torch.no_grad():
        for weight in whole.parameters():
            weight += 0.2 * weight.abs().mean() * torch.randn_like(weight)
    F = strained(30)
    none = F.new_zeros(len(F), 0)
    found, expected = solved(whole, F), whole.update(F, none, 1e-3)
    assert relative(found.tau, expected.tau.detach()) < 1e-13
    assert torch.equal(found.F_elastic, expected.F_elastic.detach())
    bars = torch.randn_like(F), 1e5 * torch.randn_like(F), none
    own = whole.pullback(F, none, 1e-3, *bars)
    graph = ConstitutiveLaw.pullback(whole, F, none, 1e-3, *bars)
    assert relative(own.F_trial, graph.F_trial) < 1e-12
    for got, wanted in zip(own.parameters, graph.parameters, strict=True):
        assert float((got - wanted).norm()) <= 1e-11 * float(wanted.norm())
    memory = bars[1].clone()
    known = whole.pullback(
        F, none, 1e-3, bars[0], memory, none, F_elastic=found.F_elastic, out=memory
    )
    assert known.F_trial is memory
    assert torch.equal(memory, own.F_trial)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ElastoPlastic(Polyconvex.example(), IsotropicPlasticity(1e-2, seed=2)),
        lambda: ElastoPlastic(Polyconvex.example(), InvariantSmoothPlasticity(1e-2, seed=2)),
        InvariantSmoothElasticity.example,
        InvariantSmooth.example,
        Isotropic.example,
        CodeBook.example,
    ],
)
def test_what_is_frozen_has_no_gradient_in_solvers(make: Callable[[], ConstitutiveLaw]) -> None:
    law = make().double()
    for number, parameter in enumerate(law.parameters()):
        parameter.requires_grad_(number % 3 > 0)
        parameter.data += 0.1
    F = strained(5)
    internal = F.new_full((5, law.n_internal), 0.5)
    found = law.pullback(F, internal, 1e-3, F, F, torch.zeros_like(internal)).parameters
    for parameter, gradient in zip(law.parameters(), found, strict=True):
        assert bool((gradient != 0).any()) == parameter.requires_grad


@EACH
def test_collapse_is_not_hidden_from_solvers(kind: type[InvariantEnergy]) -> None:
    F = torch.diag(torch.tensor([1.0, 1.0, -0.1]))[None]
    assert bool(solved(kind.example().float(), F).tau.isnan().any())


def test_no_points() -> None:
    for kind in LAWS:
        law = kind.example().double()
        F = EYE.expand(0, 3, 3)
        assert law.stress(F, NONE).shape == (0, 3, 3)
        assert law.energy(F, NONE).shape == (0,)
        none = F.new_zeros(0, 0)
        assert solved(law, F).tau.shape == (0, 3, 3)
        assert law.pullback(F, none, 1.0, F, F, none).F_trial.shape == (0, 3, 3)


# Polyconvexity. ψ as a function of F, of its cofactors H and of J, each on its own:


def of_minors(law: InvariantEnergy, F: Tensor, H: Tensor, J: Tensor) -> Tensor:
    """ψ with |F|² and |H|² in Ī₁ and Ī₂, F, H and J unrelated."""
    I1 = J.pow(-2 / 3) * F.square().sum((1, 2))
    I2 = J.pow(-4 / 3) * H.square().sum((1, 2))
    return law.density(Invariants(I1, I2, J))


def convexity_gap(law: InvariantEnergy, q: int = 20000) -> float:
    """Least (ψ(a) + ψ(b))/2 − ψ((a + b)/2) of random segments, by the largest ψ of each."""

    def end() -> tuple[Tensor, Tensor, Tensor]:
        F, H = (
            EYE * torch.rand(q, 1, 1).double() * 2 + torch.randn(q, 3, 3).double() * spread
            for spread in (0.8, 0.8)
        )
        return F, H, torch.exp(0.8 * torch.randn(q).double())

    a, b = end(), end()
    near = torch.rand(q).double().pow(2)  # short segments too
    b = tuple(x + (y - x) * near.view(-1, *[1] * (x.ndim - 1)) for x, y in zip(a, b, strict=True))
    middle = [0.5 * (x + y) for x, y in zip(a, b, strict=True)]
    with torch.no_grad():
        ends = torch.stack([of_minors(law, *a), of_minors(law, *b)])
        gap = ends.mean(0) - of_minors(law, *middle)
    return float((gap / ends.abs().amax(0)).min())


def lowest_acoustic(law: ConstitutiveLaw, F: Tensor) -> float:
    """Least eigenvalue of Q_ik = ∂²ψ/∂F_ij∂F_kl N_j N_l over directions N, by the largest."""
    F = F.clone().requires_grad_()
    energy = law.energy(F, NONE)
    assert energy is not None
    (P,) = torch.autograd.grad(energy.sum(), F, create_graph=True)
    rows = [
        torch.autograd.grad(P[:, i, j].sum(), F, retain_graph=True)[0]
        for i in range(3)
        for j in range(3)
    ]
    A = torch.stack(rows, 1).view(-1, 3, 3, 3, 3)
    N = nn.functional.normalize(torch.randn(400, 3).double(), dim=1)
    Q = torch.einsum("qijkl,nj,nl->qnik", A, N, N)
    found = torch.linalg.eigvalsh(0.5 * (Q + Q.mT))
    return float(found.min() / found.max())


@pytest.mark.parametrize("seed", range(4))
def test_any_weights_are_polyconvex(seed: int) -> None:
    torch.manual_seed(seed)
    assert convexity_gap(moved(Polyconvex, amount=(0.1, 0.3, 1.0, 3.0)[seed])) > -1e-12


def test_so_are_first_invariants_but_not_second_ones() -> None:
    """The measure tells: Ī₂ is not polyconvex, as Hartmann and Neff say."""
    first, second = CANN(1e5, 1e4), CANN(1e5, 1e4)
    first.set_terms({"I1": 1e5, "exp(I1)": (1e4, 0.01)})
    second.set_terms({"I2": 1e5})
    assert convexity_gap(first) > -1e-12
    assert convexity_gap(second) < -1e-6


@pytest.mark.parametrize("seed", range(3))
def test_waves_run_in_every_direction(seed: int) -> None:
    torch.manual_seed(seed)
    F = strained(60, 0.35)
    F = F[det3(F) > 0.1]
    assert len(F) > 20
    assert lowest_acoustic(moved(Polyconvex, amount=0.5), F) > 0
    squeezed = torch.diag(torch.tensor([0.4, 1.0, 1.0], dtype=torch.float64))[None]
    assert lowest_acoustic(Polyconvex.example().double(), squeezed) > 0
    assert lowest_acoustic(StVenantKirchhoff(1e5, 0.2), squeezed) < 0, "the measure tells"


def test_energy_grows_without_bound() -> None:
    """ψ ≥ E s/2 (Ī₁ − 3) + K/4 (J² − 1 − 2 log J) whatever the weights."""
    for amount in (0.1, 1.0, 3.0):
        law = moved(Polyconvex, amount)
        assert isinstance(law, Polyconvex)
        F = strained(2000, 0.8)
        F = F[det3(F) > 1e-3]
        J = det3(F)
        I1 = J.pow(-2 / 3) * F.square().sum((1, 2))
        share = 0.5 * law.energy_scale * law.log_share.exp()
        least = share * (I1 - 3) + volume_energy(law.bulk_modulus(), J)
        with torch.no_grad():
            psi = law.energy(F, NONE)
        assert float((psi - least.detach()).min()) > -1e-9 * float(psi.max())


def test_network_is_convex_and_rises() -> None:
    network = ConvexNetwork((7, 6, 5), seed=3).double()
    with torch.no_grad():
        for weight in network.parameters():
            weight += torch.randn_like(weight)
        a, b = 4 * torch.randn(2, 5000, 3, dtype=torch.float64)
        gap = 0.5 * (network(a) + network(b)) - network(0.5 * (a + b))
        assert float(gap.min()) > -1e-10 * float(network(a).max())
        assert float(gap.max()) > 0.1
        assert float(network.gradient(a)[:, :2].min()) >= 0
        assert float(network.gradient(a)[:, 2].min()) < 0
    x = a.requires_grad_()
    (expected,) = torch.autograd.grad(network(x).sum(), x)
    assert relative(network.gradient(x), expected) < 1e-12


def test_network_of_no_weight_is_neo_hookean() -> None:
    law, exact = Polyconvex(3e5, 8e5, seed=1).double(), MooneyRivlin(1.5e5, 0.0, 8e5)
    with torch.no_grad():
        law.network.output.zero_()
        law.log_share.zero_()
        F = strained(50, 0.2)
        assert relative(law.stress(F, NONE), exact.stress(F, NONE)) < 1e-13
        assert relative(law.energy(F, NONE), exact.energy(F, NONE)) < 1e-12


def test_new_it_has_the_moduli_asked_for() -> None:
    law = Polyconvex(3e5, 8e5, share=0.3, seed=2).double()
    tangent = law.tangent(EYE[None], NONE, 1.0)[0]
    assert float(tangent[0, 1, 0, 1]) == pytest.approx(3e5, rel=1e-6)
    near = Polyconvex(3e5, 8e5, seed=2).double()
    assert near.wave_modulus() == pytest.approx(8e5 + 4 / 3 * 3e5, rel=0.02)
    exact = MooneyRivlin(1.5e5, 0.0, 8e5)
    F = strained(50, 0.1)
    with torch.no_grad():
        assert relative(near.stress(F, NONE), exact.stress(F, NONE)) < 0.1


def test_penalty_is_of_the_second_invariant_alone() -> None:
    """The mean weight of x₂ where it enters, each weight the square of a parameter."""
    law = Polyconvex(1e5, widths=(3, 2), seed=4).double()
    with torch.no_grad():
        for weight, value in zip(law.network.inputs, (0.5, 2.0), strict=True):
            weight[:, 1] = value
    assert law.penalty().item() == pytest.approx((3 * 0.25 + 2 * 4.0) / 5)
    slopes = torch.autograd.grad(law.penalty(), list(law.network.inputs))
    assert all(bool((g[:, [0, 2]] == 0).all()) for g in slopes)


def test_softer_and_stiffer_than_neo_hookean() -> None:
    """One network learns both, in shear at constant volume; Adam, as a fit has it."""
    g = torch.linspace(0.05, 0.8, 16, dtype=torch.float64)
    F = EYE.repeat(16, 1, 1)
    F[:, 0, 1] = g
    for power in (-0.15, 0.5):
        expected = 1e5 * g * (1 + g.square() / 3).pow(power)
        law = Polyconvex(1e5, seed=0).double()
        optimizer = torch.optim.Adam(law.parameters(), lr=2e-2)
        for _ in range(150):
            optimizer.zero_grad()
            error = (law.stress(F, NONE)[:, 0, 1] / expected - 1).square().mean()
            error.backward()
            optimizer.step()
        assert float(error.detach()) < 0.01**2


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (lambda: Polyconvex(0.0), "got energy_scale = 0.0, expected a positive"),
        (lambda: Polyconvex(1.0, math.inf), "got bulk = inf"),
        (lambda: Polyconvex(1.0, share=1.0), "share = 1, expected one between 0 and 1"),
        (lambda: Polyconvex(1.0, strain_scale=-1.0), "strain_scale"),
        (lambda: Polyconvex(1.0, widths=()), "1 to 16 hidden layers"),
        (lambda: Polyconvex(1.0, widths=(10**6,)), "widths from 1 to 4096"),
    ],
)
def test_bad_numbers_are_refused(make: Callable[[], object], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        make()


# In solvers, and beside a learned flow.


def pulled(law: ConstitutiveLaw, stretch: float) -> tuple[float, float]:
    """Stress by area at rest and stretch across of a bar of finite elements with free sides."""
    mesh = block("hex8", (2, 2, 2), (1.0, 0.5, 0.5), distort=0.1)
    along = lambda t: torch.stack([(stretch - 1) * t, 0.0 * t, 0.0 * t])  # noqa: E731
    loads = [
        Fixed("x-", "x"), Fixed("y-", "y"), Fixed("z-", "z"), Displacement("x+", along, "x"),
    ]  # fmt: skip
    scene = Scene([Body(mesh, law, 1e3)], loads, gravity=(0.0, 0.0, 0.0))
    out = simulate(scene, FESolver(integrator=Static(4), tolerance=1e-11))
    end, side = mesh.facets_of("x+").unique(), mesh.facets_of("y+").unique()
    force = float(out.fields["reaction"][-1, end, 0].sum()) / 0.25
    return force, float(out.x[-1, side, 1].mean()) / 0.5


@EACH
def test_bar_of_finite_elements(kind: type[InvariantEnergy]) -> None:
    """Stretch across is where the energy is least, the force its slope along."""
    law = moved(kind, 0.1)

    def energy(a: float, b: float) -> float:
        F = torch.diag(torch.tensor([a, b, b], dtype=torch.float64))[None]
        with torch.no_grad():
            return float(law.energy(F, NONE))

    h, a = 1e-4, 1.5
    free: Any = brentq(lambda b: energy(a, b + h) - energy(a, b - h), 0.6, 1.2, xtol=1e-14)
    force, across = pulled(law, a)
    assert across == pytest.approx(free, rel=1e-6)
    assert force == pytest.approx((energy(a + h, free) - energy(a - h, free)) / (2 * h), rel=1e-6)


def learned_flow() -> ElastoPlastic:
    """With a flow that is at work."""
    flow = InvariantSmoothPlasticity(1e-2, widths=(24,), seed=2).double()
    with torch.no_grad():
        for weight in flow.parameters():
            weight += 0.2 * torch.randn_like(weight)
    return ElastoPlastic(Polyconvex(2e4, share=0.5, seed=1).double(), flow)


def thrown(law: ConstitutiveLaw, solver: MPMSolver, steps: int, adjoint: Checkpoint | None) -> Any:
    dt = solver.dt
    assert dt is not None
    body = Body(Box((0.2, 0.2, 0.2), center=(0.5, 0.5, 0.5)), law, 1e3, velocity=(0.4, 0.1, 0.0))
    model = solver.discretize(Scene([body], duration=steps * dt))
    start = solver.start(model)
    twist = EYE + torch.tensor([[0.1, 0.2, 0.0], [0.0, -0.1, 0.1], [0.1, 0.0, 0.05]]).double()
    F = twist.expand_as(start.F).clone()
    state = solver.state(model, start.x, start.v, F)
    return solver.rollout(model, state, steps, observe=[steps], adjoint=adjoint)


@pytest.mark.filterwarnings("ignore:.*particles a cell")
def test_an_energy_with_a_learned_flow_runs_and_has_exact_gradients() -> None:
    law, solver = learned_flow(), MPMSolver(0.1, 2e-4, precision="float64")

    def value(adjoint: Checkpoint | None) -> Tensor:
        out = thrown(law, solver, 10, adjoint)
        return (out.x[0] * torch.linspace(-1, 1, out.x[0].numel()).view_as(out.x[0])).sum()

    parameters = list(law.parameters())
    gradients = torch.autograd.grad(value(Checkpoint(4)), parameters)
    assert {"elasticity", "plasticity"} == {n.split(".")[0] for n, _ in law.named_parameters()}
    for group in (law.elasticity, law.plasticity):
        own = [
            (p, g)
            for p, g in zip(parameters, gradients, strict=True)
            for q in group.parameters()
            if p is q
        ]
        directions = [torch.randn_like(p) for p, _ in own]
        slope = sum(float((g * d).sum()) for (_, g), d in zip(own, directions, strict=True))
        ends, h, kept = [], 1e-4, [p.detach().clone() for p, _ in own]
        with torch.no_grad():
            for sign in (h, -h):
                for (p, _), d, before in zip(own, directions, kept, strict=True):
                    p.copy_(before + sign * d)
                ends.append(float(value(None)))
            for (p, _), before in zip(own, kept, strict=True):
                p.copy_(before)
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-5)


def test_an_energy_with_a_learned_flow_to_a_file_and_back(tmp_path: Path) -> None:
    law = learned_flow()
    law.save(tmp_path / "law.safetensors")
    again = load_law(tmp_path / "law.safetensors")
    F = strained(20)
    with torch.no_grad():
        one, other = law.update(F, NONE, 1e-3), again.update(F, NONE, 1e-3)
    assert torch.equal(one.tau, other.tau)
    assert torch.equal(one.F_elastic, other.F_elastic)
    assert relative(one.F_elastic, F) > 1e-6, "it flows"
