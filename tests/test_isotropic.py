# SPDX-License-Identifier: Apache-2.0
"""The isotropic law: what holds for any weights, exact derivatives everywhere, material codes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from material_states import relative, rotations
from torch import Tensor

from rheograd.engine.fem import FESolver, Static
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.generators import box
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.solver import Checkpoint, Solver
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Corotated, det3
from rheograd.materials.law import ConstitutiveLaw, Pullback, Response
from rheograd.materials.learned.blockwise import ROWS
from rheograd.materials.learned.isotropic import (
    ConditionalIsotropic,
    Isotropic,
    IsotropicElasticity,
    IsotropicPlasticity,
    PrincipalLaw,
)
from rheograd.materials.learned.principal import SHARE, Part

pytestmark = pytest.mark.filterwarnings("ignore:.*particles a cell")

LAWS: list[type[PrincipalLaw]] = [Isotropic, IsotropicElasticity, ConditionalIsotropic]
EVERY = pytest.mark.parametrize("kind", LAWS, ids=lambda kind: kind.__name__)
DT = 1e-3
STRESS, FLOW, ELASTIC_STRAIN, PLASTIC_STRAIN = 2e5, 0.1, 0.25, 0.06
"""Scales of what is made here: other than the defaults, and than each other."""


def made(kind: type[PrincipalLaw]) -> PrincipalLaw:
    """A new law."""
    if issubclass(kind, Isotropic):
        return kind(
            stress_scale=STRESS, flow_scale=FLOW, elastic_strain=ELASTIC_STRAIN,
            plastic_strain=PLASTIC_STRAIN, seed=1,
        )  # fmt: skip
    return IsotropicElasticity(STRESS, strain_scale=ELASTIC_STRAIN, seed=1)


def trained(kind: type[PrincipalLaw], dtype: torch.dtype = torch.float64) -> PrincipalLaw:
    """One with weights as if it had been fitted, and a flow that is felt."""
    law = made(kind).to(dtype)
    with torch.no_grad():
        for weight in law.parameters():
            weight += 0.2 * torch.randn_like(weight)
    return law


def diagonal(*stretches: float) -> Tensor:
    return torch.tensor(stretches, dtype=torch.float64).diag()


def strained(q: int) -> Tensor:
    return torch.eye(3, dtype=torch.float64) + 0.2 * torch.randn(q, 3, 3, dtype=torch.float64)


def codes(law: ConstitutiveLaw, q: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return 0.5 * torch.randn(q, law.n_internal, dtype=torch.float64).to(dtype)


TIES = [
    (1.0, 1.0, 1.0), (1.1, 1.1, 1.1), (1.2, 1.2, 0.9), (1.2, 0.9, 0.9), (1.2, 1.2 + 1e-9, 0.9),
    (1 + 1e-9, 1.0, 1 - 1e-9), (1.2, 1.2 + 2.9e-6, 0.9), (1.2, 1.2 + 1e-5, 0.9),
    (1.2, 1.2 + 1e-4, 0.9), (1.3, 1.0, 0.7),
    (1.2, 1.0, -0.4), (1.2, 1.2, -0.4), (-0.5, 0.9, 0.9), (1.1, 0.0, 0.9),
]  # fmt: skip
"""Stretches: equal, nearly equal on both sides of the threshold, apart, inverted, collapsed."""


def tied() -> Tensor:
    each = [Q @ diagonal(*s) @ P for s in TIES for Q, P in [rotations(2)]]
    return torch.stack([torch.eye(3, dtype=torch.float64), diagonal(1.2, 1.2, 0.9), *each])


def by_definition(law: PrincipalLaw, F: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
    """tau and F written down again, by torch's own decomposition and automatic differentiation."""

    def phi(part: Part, e: Tensor, soft: float) -> Tensor:
        J = (1 + e).prod(1)
        deviator = (e - e.mean(1, keepdim=True)).square().sum(1)
        shared = torch.stack([e.sum(1), (deviator + soft**2).sqrt() - soft, J - 1], 1)
        answers = []
        for axis in range(3):
            x = torch.cat([e[:, axis : axis + 1], shared], 1)
            products = [x, *(x * code[:, b : b + 1] for b in range(code.shape[1]))]
            answers.append(part.network.perceptron(torch.cat(products, 1))[:, 0])
        return torch.stack(answers, 1)

    U, sigma, Vh = torch.linalg.svd(F)
    e = sigma - 1
    if law.plastic_part is not None:
        e = e + FLOW * phi(law.plastic_part, e, PLASTIC_STRAIN / 10)
    P = STRESS * phi(law.elastic_part, e, ELASTIC_STRAIN)
    return U @ torch.diag_embed(P * (1 + e)) @ U.mT, U @ torch.diag_embed(1 + e) @ Vh


@EVERY
def test_value_and_gradients_are_those_of_the_definition(kind: type[PrincipalLaw]) -> None:
    """Where torch has a derivative of the decomposition: away from ties."""
    law, F = trained(kind), strained(40).requires_grad_()
    code = codes(law, 40).requires_grad_()
    tau, elastic = by_definition(law, F, code)
    out = law.update(F, code, DT)
    assert relative(out.tau, tau) < 1e-12
    assert relative(out.F_elastic, elastic) < 1e-12
    bars = torch.randn_like(F) / 1e5, torch.randn_like(F)
    inputs = [F, *law.parameters()] + ([code] if code.numel() else [])
    found = torch.autograd.grad((out.tau, out.F_elastic), inputs, bars)
    expected = torch.autograd.grad((tau, elastic), inputs, bars)
    for a, b in zip(found, expected, strict=True):
        assert relative(a, b) < 1e-8  # torch's are less accurate where stretches are near


@EVERY
def test_isotropy_and_symmetric_stress(kind: type[PrincipalLaw]) -> None:
    law, F, Q, P = trained(kind), torch.cat([strained(20), tied()]), *rotations(2)
    code = codes(law, len(F))
    with torch.no_grad():
        out, turned = law.update(F, code, DT), law.update(Q @ F @ P, code, DT)
    assert relative(turned.tau, Q @ out.tau @ Q.mT) < 1e-12
    assert relative(turned.F_elastic, Q @ out.F_elastic @ P) < 1e-13
    assert relative(out.tau.mT, out.tau) < 1e-15


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rest_has_no_stress_for_any_code(kind: type[PrincipalLaw], dtype: torch.dtype) -> None:
    law, rest = trained(kind, dtype), torch.eye(3, dtype=dtype).expand(5, 3, 3)
    out = law.update(rest, 3.0 * codes(law, 5, dtype), DT)
    assert torch.equal(out.tau, torch.zeros_like(out.tau))
    assert torch.equal(out.F_elastic, rest)


@EVERY
def test_gradients_where_stretches_coincide(kind: type[PrincipalLaw]) -> None:
    """Of F, one point after the other, and of codes and weights, against central differences."""
    law, F = trained(kind), tied()
    code = codes(law, len(F))
    tau_bar, F_bar = torch.randn_like(F) / 1e5, torch.randn_like(F)
    none = torch.zeros_like(code)
    back = law.pullback(F, code, DT, tau_bar, F_bar, none)

    def value(F: Tensor, code: Tensor) -> Tensor:
        with torch.no_grad():
            out = law.update(F, code, DT)
        return ((tau_bar * out.tau) + (F_bar * out.F_elastic)).sum((1, 2))

    def difference(along: Callable[[float], Tensor]) -> Tensor:
        """Of order 8 (Fornberg 1988, table 1)."""
        h, steps = 2e-4, ((1, 4 / 5), (2, -1 / 5), (3, 4 / 105), (4, -1 / 280))
        return sum((c * (along(k * h) - along(-k * h)) for k, c in steps), torch.zeros(())) / h

    d = torch.randn_like(F)
    d = d / d.norm(dim=(1, 2), keepdim=True)
    expected = difference(lambda h: value(F + h * d, code))
    slopes, size = (back.F_trial * d).sum((1, 2)), back.F_trial.norm(dim=(1, 2))
    assert float(((slopes - expected).abs() / size).max()) < 1e-10
    if law.n_internal:
        d = torch.randn_like(code)
        expected = difference(lambda h: value(F, code + h * d))
        assert relative((back.internal * d).sum(1), expected) < 1e-7
    for weight, gradient in zip(law.parameters(), back.parameters, strict=True):
        d, kept = torch.randn_like(weight), weight.detach().clone()

        def moved(h: float, weight: Tensor = weight, d: Tensor = d, kept: Tensor = kept) -> Tensor:
            with torch.no_grad():
                weight.copy_(kept + h * d)
                out = value(F, code).sum()
                weight.copy_(kept)
            return out

        assert float(((gradient * d).sum() - difference(moved)).abs() / gradient.norm()) < 1e-7


@EVERY
def test_tangent_is_that_of_the_gradients(kind: type[PrincipalLaw]) -> None:
    """`linearize` against nine pullbacks, at ties and away from them."""
    law, F = trained(kind), torch.cat([tied(), strained(5)])
    code = codes(law, len(F))
    response, tangent = law.linearize(F, code, DT)
    expected_response, expected = ConstitutiveLaw.linearize(law, F, code, DT)
    assert relative(tangent, expected) < 1e-14
    assert torch.equal(response.tau, expected_response.tau)
    assert torch.equal(response.F_elastic, expected_response.F_elastic)


@EVERY
def test_float32_rounds_float64(kind: type[PrincipalLaw]) -> None:
    """Also of gradients, at ties and within the reach of either formula of the quotient."""
    law = trained(kind)
    base = torch.logspace(-6, -1, 60, dtype=torch.float64)
    near = torch.stack([diagonal(1.2, 1.2 + float(d), 0.9) for d in base])
    F = (rotations(1)[0] @ torch.cat([tied()[:-1], near]) @ rotations(1)[0]).float().double()
    code = codes(law, len(F)).float().double()
    tau_bar, F_bar = (t.float().double() for t in (torch.randn_like(F) / 1e5, torch.randn_like(F)))
    none = torch.zeros_like(code)
    exact = law.pullback(F, code, DT, tau_bar, F_bar, none)
    tau = law.stress(F, code).detach()
    low = law.float()
    given = [t.float() for t in (F, code, tau_bar, F_bar, none)]
    rounded = low.pullback(given[0], given[1], DT, given[2], given[3], given[4])
    size = exact.F_trial.norm(dim=(1, 2))[:, None, None]
    assert float(((rounded.F_trial.double() - exact.F_trial) / size).abs().max()) < 3e-4
    assert relative(low.stress(F.float(), code.float()).detach().double(), tau) < 1e-5


@EVERY
def test_float32_keeps_small_strains(kind: type[PrincipalLaw]) -> None:
    """Of 1e-5, where differences of numbers near 1 would have lost two figures and more."""
    law = trained(kind)
    F = torch.stack([diagonal(1 + 3 * 2.0**-18, 1 - 2.0**-19, 1 + 2.0**-17)])
    code = codes(law, 1).float().double()
    tau = law.stress(F, code).detach()
    low = law.float().stress(F.float(), code.float()).detach()
    assert relative(low.double(), tau) < 1e-5


def test_a_body_that_is_a_needle_still_passes_its_gradient_on() -> None:
    """Without a flow F is F_trial, and its gradient too, where two stretches are 0."""
    law = IsotropicElasticity(STRESS, seed=1).double()
    F = diagonal(1.1, 0.0, 0.0)[None]
    bar, none = torch.randn_like(F), F.new_zeros(1, 0)
    found = law.pullback(F, none, DT, torch.zeros_like(F), bar, none).F_trial
    assert torch.allclose(found, bar, rtol=0, atol=1e-14)


@EVERY
def test_blocks_do_not_matter_nor_what_is_kept(kind: type[PrincipalLaw]) -> None:
    """Two full blocks and a part of one, with rotations kept and without."""
    law = trained(kind, torch.float32)
    q = 2 * ROWS["cpu"] // SHARE + 300
    F, code = strained(q).float(), codes(law, q, torch.float32)
    bars = 1e-5 * torch.randn_like(F), torch.randn_like(F), torch.randn_like(code)
    out = Response(*(torch.empty_like(t) for t in (F, F, code)))
    kept = law.new_kept(q, F)
    law.update_into(F, code, DT, out, kept)
    assert torch.equal(out.internal, code)
    with torch.no_grad():
        for part in (slice(0, 500), slice(q - 40, q)):
            alone = law.update(F[part], code[part], DT)
            assert relative(out.tau[part], alone.tau) < 1e-5
            assert relative(out.F_elastic[part], alone.F_elastic) < 1e-6
    memory = bars[1].clone()
    with_kept = law.pullback(
        F, code, DT, bars[0], memory, bars[2], kept=kept, F_elastic=out.F_elastic, out=memory
    )
    assert with_kept.F_trial is memory
    for a, b in zip(flat(with_kept), flat(law.pullback(F, code, DT, *bars)), strict=True):
        assert torch.equal(a, b)


def flat(back: Pullback) -> tuple[Tensor, ...]:
    return (back.F_trial, back.internal, *back.parameters)


def test_two_threads_get_what_one_gets() -> None:
    law = trained(ConditionalIsotropic, torch.float32)
    shards = [(strained(n).float(), codes(law, n, torch.float32)) for n in (5000, 4500)]
    found: dict[int, list[tuple[Tensor, ...]]] = {}

    def work(shard: int) -> None:
        F, code = shards[shard]
        ones = torch.ones_like(F)
        found[shard] = [flat(law.pullback(F, code, DT, ones, ones, code)) for _ in range(4)]

    threads = [threading.Thread(target=work, args=(shard,)) for shard in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = dict(found)
    for shard, results in together.items():
        work(shard)
        for a, b in zip(results, found[shard], strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_new_law_is_an_isotropic_solid() -> None:
    """P = 2 mu (F - R) + lambda tr(S - I) R, without flow, whatever the code."""
    F = strained(6)
    U, sigma, Vh = torch.linalg.svd(F)
    sigma[:, 2] *= det3(U @ Vh)
    R = U @ Vh
    expected = 0.8e5 * (F - R) + 0.4e5 * (sigma.sum(1) - 3)[:, None, None] * R
    for law in (Isotropic(1e5).double(), ConditionalIsotropic(3, 1e5).double()):
        out = law.update(F, codes(law, 6), DT)
        assert relative(out.tau, expected @ F.mT) < 1e-5  # weights are drawn in float32
        assert torch.allclose(out.F_elastic, F, atol=1e-9)
        assert law.wave_modulus() == pytest.approx(1.2e5, rel=1e-5)


@pytest.mark.parametrize("kind", [IsotropicElasticity, IsotropicPlasticity])
def test_hidden_units_bend_at_the_strain_scale(
    kind: type[IsotropicElasticity | IsotropicPlasticity],
) -> None:
    """What they get of a strain is the same of one that is as much smaller as the scale is."""
    wide, narrow = (kind(strain_scale=scale, seed=1).network.perceptron for scale in (0.5, 0.02))
    x = torch.randn(4, wide.n_in)
    found, expected = x * 0.02 / 0.5 @ narrow.weights[0].mT, x @ wide.weights[0].mT
    assert relative(found, expected) < 1e-6


def test_an_inverted_body_is_pushed_back() -> None:
    """A state inside out has a stress along its inverted axis that opens it again."""
    F = diagonal(1.0, 1.0, -0.5)[None]
    law = Isotropic(1e5).double()
    P = law.stress(F, F.new_zeros(1, 0))[0] @ torch.linalg.inv(F[0]).mT
    assert P[2, 2] < -1e5
    assert law.pullback(F, F[:, :0, 0], DT, F, F, F[:, :0, 0]).F_trial.isfinite().all()


def test_the_flow_goes_with_an_analytic_elasticity() -> None:
    """Also at rest and at ties, where it has no strain of an elasticity to round corners off by."""
    plasticity = IsotropicPlasticity(0.1, seed=2).double()
    with torch.no_grad():
        for weight in plasticity.parameters():
            weight += 0.2 * torch.randn_like(weight)
    law = ElastoPlastic(Corotated(1e5, 0.3), plasticity)
    ties = torch.stack([diagonal(1.0, 1.0, 1.0), diagonal(1.1, 1.1, 1.1), diagonal(1.2, 0.9, 0.9)])
    F = torch.cat([strained(5), ties]).requires_grad_()
    none = F.new_zeros(len(F), 0)
    out = law.update(F, none, DT)
    with torch.no_grad():
        assert torch.equal(law.update(F, none, DT).tau, out.tau)
    d, h = torch.randn_like(F), 1e-6
    (slope,) = torch.autograd.grad(out.tau.square().sum(), F)
    with torch.no_grad():
        up, down = (law.update(F + s * h * d, none, DT).tau.square().sum() for s in (1, -1))
    assert float((slope * d).sum()) == pytest.approx(float(up - down) / (2 * h), rel=1e-7)
    with pytest.raises(ValueError, match="reads a code of 2 numbers, which a return mapping"):
        IsotropicPlasticity(codes=2).return_map(F)


def test_code_zero_is_the_law_without_a_code() -> None:
    law, plain = trained(ConditionalIsotropic), made(Isotropic).double()
    with torch.no_grad():
        for own, other in zip(plain.parameters(), law.parameters(), strict=True):
            own.copy_(other[:, : own.shape[1]])
    F = strained(20)
    out, expected = law.update(F, F.new_zeros(20, 2), DT), plain.update(F, F.new_zeros(20, 0), DT)
    assert relative(out.tau, expected.tau) < 1e-13
    other = law.update(F, codes(law, 20), DT)
    assert relative(other.tau, expected.tau) > 1e-2


def thrown(law: ConstitutiveLaw, code: object) -> Scene:
    body = Body(
        Box((0.3, 0.3, 0.3), (0.5, 0.5, 0.5)), law, 1e3, spin=(0.0, 6.0, 3.0), fields={"code": code}
    )
    return Scene([body], gravity=(0.0, 0.0, 0.0), duration=0.05)


def pulled(law: ConstitutiveLaw, code: object) -> Scene:
    body = Body(box((0.2, 0.1, 0.1), (2, 1, 1)), law, 1e3, fields={"code": code})
    return Scene([body], [Fixed("x-"), Displacement("x+", (0.04, 0.01, 0.0))], (0.0, 0.0, 0.0))


PARTICLES = MPMSolver(cell=0.1, dt=1e-3, precision="float64")
MESH = FESolver(integrator=Static(steps=2))
WAYS: list[tuple[Solver, Callable[[ConstitutiveLaw, object], Scene]]] = [
    (PARTICLES, thrown), (MESH, pulled),
]  # fmt: skip


def seen(
    law: ConstitutiveLaw, code: object, solver: Solver,
    scene: Callable[[ConstitutiveLaw, object], Scene], adjoint: Checkpoint | None = None,
) -> Tensor:  # fmt: skip
    """What a camera and a load cell would tell."""
    model = solver.discretize(scene(law, code))
    steps = 30 if solver is PARTICLES else 2
    last = solver.rollout(model, solver.start(model), steps, adjoint=adjoint).last
    return torch.cat([last.x.flatten(), 1e-3 * last.carry.get("reaction", last.x[:0]).flatten()])


def gentle() -> ConditionalIsotropic:
    """A solid whose stiffness depends on its code, in float64."""
    law = ConditionalIsotropic(2, 3e4, 1e-2, seed=1).double()
    with torch.no_grad():
        for weight in law.parameters():
            weight += 0.05 * torch.randn_like(weight)
    return law


@pytest.mark.parametrize(("solver", "scene"), WAYS)
def test_gradients_of_the_code_through_a_run(
    solver: Solver, scene: Callable[[ConstitutiveLaw, object], Scene]
) -> None:
    law, code = gentle(), torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    out = seen(law, code, solver, scene, Checkpoint(every=7))
    weight = torch.randn_like(out)
    slope, *weights = torch.autograd.grad((weight * out).sum(), [code, *law.parameters()])
    h, d = 1e-5, torch.tensor([0.8, 0.6], dtype=torch.float64)
    with torch.no_grad():
        up, down = (seen(law, code + s * h * d, solver, scene) for s in (1, -1))
    expected = float((weight * (up - down)).sum()) / (2 * h)
    assert float((slope * d).sum()) == pytest.approx(expected, rel=1e-6)
    assert all(w.isfinite().all() for w in weights)


@pytest.mark.parametrize(("solver", "scene"), WAYS)
def test_a_material_is_found_by_its_code_alone(
    solver: Solver, scene: Callable[[ConstitutiveLaw, object], Scene]
) -> None:
    """The weights are frozen and stay; two numbers are fitted by gradients through the run."""
    law, true = gentle().freeze(), torch.tensor([0.4, -0.3], dtype=torch.float64)
    before = [w.clone() for w in law.parameters()]
    observed = seen(law, true, solver, scene)
    code = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [code], max_iter=30, line_search_fn="strong_wolfe", tolerance_change=1e-14,
        tolerance_grad=1e-12,
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        misfit = 1e6 * (seen(law, code, solver, scene, Checkpoint()) - observed).square().sum()
        misfit.backward()
        return misfit

    optimizer.step(closure)
    assert torch.allclose(code.detach(), true, atol=1e-3)
    assert all(torch.equal(a, b) for a, b in zip(before, law.parameters(), strict=True))
    assert all(w.grad is None for w in law.parameters())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Isotropic(0.0), r"got stress_scale = 0.0, expected a positive .*\[Pa\]"),
        (lambda: Isotropic(1e5, -1.0), "got flow_scale = -1.0, expected a positive"),
        (lambda: Isotropic(elastic_strain=0.0), "got strain_scale = 0.0"),
        (lambda: Isotropic(widths=()), r"got widths = \[\], expected 1 to 16"),
        (lambda: Isotropic(widths=(7, 7)), "even widths of at least 8"),
        (lambda: ConditionalIsotropic(0), "got code = 0, expected at least 1 number"),
        (lambda: ConditionalIsotropic(4), "even widths of at least 40"),
        (lambda: IsotropicElasticity(codes=65), "got codes = 65, expected 0 to 64"),
    ],
)
def test_bad_arguments_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
