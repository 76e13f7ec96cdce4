# SPDX-License-Identifier: Apache-2.0
"""The other laws of the NCLaw family: what each can and what it cannot."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from material_states import relative
from torch import Tensor

from rheograd.engine.fem import FESolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.kernels.learned.principal import NEAR
from rheograd.materials.arrays import precision
from rheograd.materials.elastic import Corotated
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant_only import Invariant, InvariantOnlyElasticity
from rheograd.materials.learned.plain import Plain, PlainElasticity, PlainPlasticity
from rheograd.materials.learned.polar import Polar, PolarElasticity
from rheograd.materials.learned.singular import (
    Singular,
    SingularElasticity,
    SingularPlasticity,
)
from rheograd.materials.learned.spectral import decompose, kirchhoff, left, mixed
from rheograd.materials.learned.spline import Curve, Spline, SplineElasticity

DT = 1e-3
LAWS: list[type[ConstitutiveLaw]] = [Polar, Invariant, Singular, Spline, Plain]
EYE = torch.eye(3, dtype=torch.float64)


def trained(kind: type[ConstitutiveLaw]) -> ConstitutiveLaw:
    made = kind.example().double()
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return made


def strained(q: int) -> Tensor:
    return EYE + 0.2 * torch.randn(q, 3, 3, dtype=torch.float64)


def rotation() -> Tensor:
    A = 3.0 * torch.randn(3, 3, dtype=torch.float64)
    return torch.matrix_exp(A - A.mT)


def diagonal(*stretches: float) -> Tensor:
    return torch.tensor(stretches, dtype=torch.float64).diag()[None]


def stress(law: ConstitutiveLaw, F: Tensor) -> Tensor:
    return law.stress(F, F.new_zeros(len(F), law.n_internal)).detach()


def test_the_network_of_polar_is_asked_the_stretch() -> None:
    law, F = trained(PolarElasticity), strained(20)
    assert isinstance(law, PolarElasticity)
    U, sigma, Vh = torch.linalg.svd(F)
    R, S = U @ Vh, Vh.mT @ torch.diag_embed(sigma) @ Vh
    X = law.network.perceptron((S - EYE).flatten(1)).unflatten(1, (3, 3))
    H = 0.5 * (X + X.mT)
    assert relative(stress(law, F), 1e5 * R @ H @ F.mT) < 1e-12


def test_the_network_of_invariant_is_asked_three_numbers() -> None:
    law, F = trained(InvariantOnlyElasticity), strained(20)
    assert isinstance(law, InvariantOnlyElasticity)
    U, sigma, Vh = torch.linalg.svd(F)
    traces = [sigma.sum(1) - 3, sigma.square().sum(1) - 3, sigma.prod(1) - 1]
    X = law.network.perceptron(torch.stack(traces, 1)).unflatten(1, (3, 3))
    assert relative(stress(law, F), 1e5 * (U @ Vh) @ (0.5 * (X + X.mT)) @ F.mT) < 1e-12


def test_the_network_of_singular_is_asked_strains_in_descending_order() -> None:
    """P = s U diag(f) Vᵀ and F + flow_scale U diag(f) Vᵀ, with the order of an SVD."""
    law, F = trained(Singular), strained(20)
    assert isinstance(law, Singular)
    assert isinstance(law.elasticity, SingularElasticity)
    assert isinstance(law.plasticity, SingularPlasticity)
    with torch.no_grad():
        U, sigma, Vh = torch.linalg.svd(F)
        flow = law.plasticity.network(sigma - 1)
        after = F + 1e-3 * U @ flow.diag_embed() @ Vh
        assert relative(law.plasticity.return_map(F), after) < 1e-12
        assert relative(after, F) > 1e-5
        f = law.elasticity.network(sigma - 1)
        assert (
            relative(law.stress(F, F[:, :0, 0]), 1e5 * U @ (f * sigma).diag_embed() @ U.mT) < 1e-12
        )


def test_the_network_of_plain_is_asked_nine_entries() -> None:
    """P = s X(F − I), row by row, and F + flow_scale X(F − I)."""
    law, F = trained(Plain), strained(20)
    assert isinstance(law, Plain)
    assert isinstance(law.elasticity, PlainElasticity)
    assert isinstance(law.plasticity, PlainPlasticity)
    with torch.no_grad():
        asked = (F - EYE).flatten(1)
        X = law.elasticity.network(asked).reshape(20, 3, 3)
        assert relative(law.stress(F, F[:, :0, 0]), 1e5 * X @ F.mT) < 1e-12
        flow = law.plasticity.network(asked).reshape(20, 3, 3)
        assert relative(law.plasticity.return_map(F) - F, 1e-3 * flow) < 1e-9


@pytest.mark.parametrize("kind", LAWS, ids=lambda kind: kind.__name__)
def test_new_laws_are_as_stiff_as_they_are_told_and_do_not_flow(
    kind: type[ConstitutiveLaw],
) -> None:
    """E = stress_scale and ν = 0.25: λ = μ = 0.4 E; invariants alone know λ tr ε."""
    law = kind(3e4).double()
    e = 1e-6 * torch.tensor([[1.0, 0.3, 0.1], [0.3, -0.2, 0.2], [0.1, 0.2, 0.4]]).double()
    tau = stress(law, (EYE + e)[None])[0]
    mu = 0.0 if kind is Invariant else 1.2e4
    assert relative(tau, 2 * mu * e + 1.2e4 * torch.trace(e) * EYE) < 1e-4
    F = strained(5)
    with torch.no_grad():
        assert relative(law.update(F, F[:, :0, 0], DT).F_elastic, F) < 1e-7


@pytest.mark.parametrize("kind", [Polar, Invariant, Singular, Plain], ids=lambda k: k.__name__)
def test_scales_go_to_their_networks(kind: type[Polar | Singular | Plain | Invariant]) -> None:
    """The elasticity's, the plasticity's, and 1/strain on the weights of the first layer."""
    one, other = (
        kind(1e5, 2e-3, elastic_strain=a, plastic_strain=b, seed=3)
        for a, b in ((0.1, 0.5), (0.3, 0.7))
    )
    for name, ratio in (("elasticity", 3.0), ("plasticity", 1.4)):
        first, second = (next(getattr(law, name).parameters()) for law in (one, other))
        assert torch.allclose(first, ratio * second, rtol=1e-5)
    assert one.elasticity.stress_scale == 1e5 and one.plasticity.flow_scale == 2e-3
    weights = [list(part.parameters()) for part in (one.elasticity, one.plasticity)]
    assert not torch.allclose(weights[0][0] * 0.1, weights[1][0] * 0.5), "drawn apart"


def first_piola(law: ConstitutiveLaw, F: Tensor) -> Tensor:
    return stress(law, F) @ torch.linalg.inv(F).mT


def test_invariants_do_not_tell_directions() -> None:
    """Stretched along x or along y, in its own frame the law answers the same."""
    law = trained(Invariant)
    x, y = diagonal(1.3, 1.0, 1.0), diagonal(1.0, 1.3, 1.0)
    assert relative(first_piola(law, x), first_piola(law, y)) < 1e-13
    isotropic = trained(Singular)
    assert relative(first_piola(isotropic, x), first_piola(isotropic, y)) > 0.1


@pytest.mark.parametrize("kind", LAWS, ids=lambda kind: kind.__name__)
def test_which_are_isotropic_and_of_symmetric_stress(kind: type[ConstitutiveLaw]) -> None:
    law, F, Q = trained(kind), strained(20), rotation()
    none = F.new_zeros(20, 0)
    with torch.no_grad():
        out, turned = law.update(F, none, DT), law.update(F @ Q, none, DT)
    if kind in (Singular, Spline):
        assert relative(turned.tau, out.tau) < 1e-11
        assert relative(turned.F_elastic, out.F_elastic @ Q) < 1e-13
        assert relative(out.tau.mT, out.tau) < 1e-14
    else:
        assert relative(turned.tau, out.tau) > 1e-2
        assert relative(out.tau.mT, out.tau) > 1e-3


def test_the_stress_of_singular_jumps_where_stretches_pass_each_other() -> None:
    """An arbitrarily small change of F turns the axes by a right angle, and the stress with them.

    That of the spline does not jump, and neither did that of Singular before it was trained.
    """
    shear = torch.zeros(3, 3, dtype=torch.float64)
    shear[0, 1] = shear[1, 0] = 1e-9
    apart = diagonal(1.2 + 1e-9, 1.2 - 1e-9, 0.9)
    one, other = apart, diagonal(1.2, 1.2, 0.9) + shear
    laws = [trained(SingularElasticity), trained(SplineElasticity), SingularElasticity.example()]
    jumps = [relative(stress(law, one), stress(law, other)) for law in laws]
    assert jumps[0] > 1e-2
    assert max(jumps[1:]) < 1e-5


def test_singular_is_refused_where_derivatives_at_rest_are_needed() -> None:
    body = Body(Box((0.2, 0.2, 0.2), (0.5, 0.5, 0.5)), Singular.example(), 1e3)
    with pytest.raises(ValueError, match="'singular', which has no derivative at rest"):
        FESolver(size=0.1).discretize(Scene([body]))


def test_a_new_spline_is_the_corotated_law() -> None:
    F = torch.cat([strained(20), diagonal(1.2, 0.9, -0.4), diagonal(3.0, 2.0, 1.5)])
    assert relative(stress(Spline(1e5).double(), F), stress(Corotated(1e5, 0.25), F)) < 1e-6


def test_the_stress_of_a_spline_is_the_slope_of_its_energy() -> None:
    """In and beyond the reach of the knots; the curves are independent of each other."""
    law = trained(SplineElasticity)
    F = torch.cat([strained(30), 2.5 * strained(5), 0.1 * strained(5), EYE[None]])
    none = F.new_zeros(len(F), 0)
    assert isinstance(law, SplineElasticity)
    assert float(law.energy(EYE[None], none[:1]).detach().abs()) < 1e-9
    F.requires_grad_()
    (P,) = torch.autograd.grad(law.energy(F, none).sum(), F)
    assert relative(stress(law, F.detach()), P @ F.detach().mT) < 1e-12


def test_a_curve_is_twice_differentiable_and_straight_beyond_its_ends() -> None:
    curve = Curve(torch.randn(11, dtype=torch.float64), 0.2, 2.0)
    x = torch.linspace(-1.0, 4.0, 601, dtype=torch.float64, requires_grad=True)
    value, slope = curve(x)
    (by_autograd,) = torch.autograd.grad(value.sum(), x, retain_graph=True)
    beyond = (x < 0.199) | (x > 2.001)
    assert relative(by_autograd, slope) < 1e-12
    (second,) = torch.autograd.grad(slope.sum(), x)
    assert bool((second[beyond] == 0).all())
    knots = torch.linspace(0.2, 2.0, 9, dtype=torch.float64)[1:-1]
    sides = []
    for side in (-1e-9, 1e-9):
        at = (knots + side).requires_grad_()
        (bend,) = torch.autograd.grad(curve(at)[1].sum(), at)
        sides.append(bend)
    assert relative(*sides) < 1e-6
    (by_integral,) = torch.autograd.grad(curve.integral(x).sum(), x)
    assert relative(by_integral, value.detach()) < 1e-12


TIES = [
    EYE, 1.1 * EYE, *diagonal(1.2, 1.2, 0.9), *diagonal(1.2, 1.2 + 1e-9, 0.9),
    *diagonal(1.2, 1.2 + 3e-6, 0.9), *diagonal(1.3, 1.3, -0.4), *diagonal(1.1, 0.9, 0.7),
]  # fmt: skip


def difference(value: Callable[[Tensor], Tensor], F: Tensor, d: Tensor) -> Tensor:
    h = 1e-6
    with torch.no_grad():
        return (value(F + h * d) - value(F - h * d)) / (2 * h)


@pytest.mark.parametrize("kind", [Spline, Polar, Invariant, Plain], ids=lambda kind: kind.__name__)
def test_gradients_where_stretches_coincide(kind: type[ConstitutiveLaw]) -> None:
    law, Q = trained(kind), rotation()
    F = torch.stack([*TIES, *(Q @ tie for tie in TIES)])
    none, weight = F.new_zeros(len(F), 0), torch.randn_like(F)

    def value(F: Tensor) -> Tensor:
        out = law.update(F, none, DT)
        return (weight * (1e-5 * out.tau + out.F_elastic)).sum((1, 2))

    d, leaf = torch.randn_like(F), F.clone().requires_grad_()
    (slope,) = torch.autograd.grad(value(leaf).sum(), leaf)
    found, expected = (slope * d).sum((1, 2)), difference(value, F, d)
    assert float(((found - expected).abs() / slope.norm(dim=(1, 2))).max()) < 1e-7


def test_spectral_functions_against_their_matrices() -> None:
    """C = F^T F gives U diag(s^3) V^T = F C and U diag(s^2) U^T = F F^T, with their gradients."""
    F = torch.stack([*TIES, *strained(5)]).requires_grad_()
    at = decompose(F)
    s = 1 + at.e
    pair = s.detach()
    sums = pair[:, :, None] + pair[:, None]
    cubes = sums.square() - pair[:, :, None] * pair[:, None]
    cases = [
        (mixed(F, at, s**3, cubes), F @ F.mT @ F),
        (left(F, at, s**2, sums), F @ F.mT),
        (kirchhoff(F, at, s**3, cubes), F @ F.mT @ F @ F.mT),
    ]
    for found, expected in cases:
        bar = torch.randn_like(F)
        (a,) = torch.autograd.grad(found, F, bar, retain_graph=True)
        (b,) = torch.autograd.grad(expected, F, bar, retain_graph=True)
        assert relative(found, expected) < 1e-13
        assert relative(a, b) < 1e-9
    assert NEAR[precision(F)] == pytest.approx(2.2e-16 ** (1 / 3), rel=0.02)


def test_plain_is_linear_elasticity_until_it_is_trained() -> None:
    """So it takes a rotation for a strain."""
    law = PlainElasticity(1e5).double()
    small = EYE + 1e-6 * torch.randn(5, 3, 3, dtype=torch.float64)
    assert relative(stress(law, small), stress(Corotated(1e5, 0.25), small)) < 1e-4
    turned = diagonal(-1.0, -1.0, 1.0)
    assert float(stress(law, turned).abs().max()) > 1e5
    with torch.no_grad():
        found = Plain().double().update(small, small[:, :0, 0], DT).F_elastic
    assert torch.allclose(found, small, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Polar(widths=(8, 8)), "even widths of at least 18"),
        (lambda: Plain(0.0), "got stress_scale = 0.0, expected a positive"),
        (lambda: Singular(1e5, -1.0), "got flow_scale = -1.0, expected a positive"),
        (lambda: Invariant(elastic_strain=0.0), "got strain_scale = 0.0, expected a positive"),
        (lambda: Spline(lower=1.0), "got curves from 1.0 to 2.0, expected 0 <= lower < 1 < upper"),
        (lambda: Spline(intervals=0), "got 0 intervals, expected 1 to 4096"),
        (lambda: Spline(float("nan")), "got stress_scale = nan, expected a positive"),
    ],
)
def test_bad_arguments_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
