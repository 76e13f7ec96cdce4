# SPDX-License-Identifier: Apache-2.0
"""Rubbers against closed forms of the literature, and the numbers that they are known by."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rheograd.materials.rubber import ArrudaBoyce, Gent, MooneyRivlin, Ogden, Rubber, Yeoh

BULK = 40e6
STRETCHES = torch.tensor([0.4, 0.8, 1.0, 1.3, 2.0, 4.0], dtype=torch.float64)
LAWS = [kind.example() for kind in (MooneyRivlin, Yeoh, Gent, ArrudaBoyce, Ogden)]
EACH = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)


def differences(law: Rubber | Ogden, sigma: Tensor) -> Tensor:
    """τ₁ − τ₃ [Pa], shape (q,), at principal stretches (q, 3) of no change of volume."""
    with torch.no_grad():
        tau = law.stress(torch.diag_embed(sigma), sigma.new_zeros(len(sigma), 0))
    assert torch.equal(tau, tau.diagonal(dim1=1, dim2=2).diag_embed()) or law.name == "ogden"
    return tau[:, 0, 0] - tau[:, 2, 2]


def uniaxial(s: Tensor) -> Tensor:
    return torch.stack([s, s**-0.5, s**-0.5], 1)


def equibiaxial(s: Tensor) -> Tensor:
    return torch.stack([s, s, s**-2], 1)


def pure_shear(s: Tensor) -> Tensor:
    return torch.stack([s, torch.ones_like(s), 1 / s], 1)


LOADS = {"uniaxial": uniaxial, "equibiaxial": equibiaxial, "pure shear": pure_shear}


def slopes(law: Rubber, I1: Tensor) -> tuple[Tensor, Tensor]:
    """∂W/∂I₁ and ∂W/∂I₂ as the literature gives them."""
    none = torch.zeros_like(I1)
    if isinstance(law, MooneyRivlin):
        return none + law.c1.item(), none + law.c2.item()
    if isinstance(law, Yeoh):
        c1, c2, c3 = (p.item() for p in (law.c1, law.c2, law.c3))
        return c1 + 2 * c2 * (I1 - 3) + 3 * c3 * (I1 - 3) ** 2, none
    if isinstance(law, Gent):
        mu, m = law.shear.item(), law.limit.item()
        return 0.5 * mu * m / (m - I1 + 3), none
    assert isinstance(law, ArrudaBoyce)
    mu, N = law.shear.item(), law.links.item()

    def langevin(y: Tensor) -> Tensor:  # Cohen 1991
        return y * (3 - y**2) / (1 - y**2)

    y = (I1 / (3 * N)).sqrt()
    chain = langevin(y) / y / 6
    start = torch.tensor((1 / N) ** 0.5, dtype=I1.dtype)
    return mu * chain / (2 * langevin(start) / start / 6), none


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("law", LAWS[:4], ids=lambda law: law.name)
def test_stress_of_three_tests(law: Rubber, load: str) -> None:
    """Rivlin: τ₁ − τ₃ = 2 (s₁² − s₃²) (W₁ + s₂² W₂) of an incompressible body."""
    s = LOADS[load](STRETCHES)
    W1, W2 = slopes(law, s.square().sum(1))
    expected = 2 * (s[:, 0] ** 2 - s[:, 2] ** 2) * (W1 + s[:, 1] ** 2 * W2)
    found = differences(law, s)
    assert torch.allclose(found, expected, rtol=1e-11, atol=1e-7)


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("terms", [1, 2, 3])
def test_stress_of_ogden(terms: int, load: str) -> None:
    """τ₁ − τ₃ = Σ μ_p (s₁^α_p − s₃^α_p)."""
    moduli, exponents = [0.63e6, 0.0012e6, -0.01e6], [1.3, 5.0, -2.0]
    law = Ogden(moduli[:terms], exponents[:terms], BULK)
    s = LOADS[load](STRETCHES)
    expected = sum(
        m * (s[:, 0] ** a - s[:, 2] ** a)
        for m, a in zip(moduli[:terms], exponents[:terms], strict=True)
    )
    assert torch.allclose(differences(law, s), torch.as_tensor(expected), rtol=1e-11, atol=1e-6)


@EACH
def test_pressure_of_a_change_of_volume(law: Rubber | Ogden) -> None:
    """tr τ/3 = K/2 (J² − 1) whatever the distortion, and nothing else without one."""
    J = torch.tensor([0.7, 0.99, 1.0, 1.2], dtype=torch.float64)
    F = J.pow(1 / 3)[:, None, None] * torch.eye(3, dtype=torch.float64)
    sheared = F @ torch.tensor([[1.0, 0.4, 0.0], [0.0, 1.0, 0.1], [0.0, 0.0, 1.0]]).double()
    expected = 0.5 * law.bulk.item() * (J.square() - 1)
    with torch.no_grad():
        for state in (F, sheared):
            tau = law.stress(state, J.new_zeros(4, 0))
            third = tau.diagonal(dim1=1, dim2=2).mean(1)
            assert torch.allclose(third, expected, rtol=1e-11, atol=1e-6)
        plain = law.stress(F, J.new_zeros(4, 0))
    assert torch.allclose(plain, expected[:, None, None] * torch.eye(3).double(), atol=1e-6)


@EACH
def test_stress_is_the_derivative_of_the_energy(law: Rubber | Ogden) -> None:
    F = torch.eye(3).double() + 0.2 * torch.randn(20, 3, 3).double()
    F.requires_grad_()
    energy = law.energy(F, F.new_zeros(20, 0))
    (P,) = torch.autograd.grad(energy.sum(), F)
    with torch.no_grad():
        tau = law.stress(F, F.new_zeros(20, 0))
        assert (P @ F.mT - tau).abs().max() < 1e-10 * tau.abs().max()
        rest = law.energy(torch.eye(3).double()[None], F.new_zeros(1, 0))
        assert rest.abs() < 1e-9


def test_two_terms_of_ogden_are_mooney_and_rivlin() -> None:
    c1, c2 = 0.16e6, 0.03e6
    one, other = MooneyRivlin(c1, c2, BULK), Ogden([2 * c1, -2 * c2], [2.0, -2.0], BULK)
    F = torch.eye(3).double() + 0.2 * torch.randn(20, 3, 3).double()
    with torch.no_grad():
        a, b = (law.stress(F, F.new_zeros(20, 0)) for law in (one, other))
    assert torch.allclose(a, b, rtol=1e-10, atol=1e-5)


def test_chains_of_many_links_and_a_far_limit_are_neo_hookean() -> None:
    s = uniaxial(STRETCHES)
    expected = 0.3e6 * (s[:, 0] ** 2 - s[:, 2] ** 2)
    for law in (ArrudaBoyce(0.3e6, 1e7, BULK), Gent(0.3e6, 1e7, BULK)):
        assert torch.allclose(differences(law, s), expected, rtol=1e-5)


def test_approximant_is_near_the_inverse_langevin_function() -> None:
    """Of a chain pulled to a share y of its length: within 5 % up to 0.999 (Cohen 1991)."""
    N = 26.5
    law = ArrudaBoyce(0.3e6, N, BULK)

    def inverse(y: float) -> float:
        low, high = 0.0, 1e6
        for _ in range(200):
            x = 0.5 * (low + high)
            L = 1 / math.tanh(x) - 1 / x if x > 1e-3 else x / 3
            low, high = (x, high) if y > L else (low, x)
        return low

    def force(y: float) -> float:  # W₁ is in proportion to inverse(y) / y
        return inverse(y) / y

    for y in (0.3, 0.6, 0.9, 0.99):
        I1 = torch.tensor([3 * N * y**2], dtype=torch.float64)
        ratio = float(slopes(law, I1)[0] / slopes(law, torch.tensor([3.0]).double())[0])
        assert ratio == pytest.approx(force(y) / force((1 / N) ** 0.5), rel=0.05)


@pytest.mark.parametrize("law", [Gent(0.3e6, 5.0, BULK), ArrudaBoyce(0.3e6, 2.0, BULK)])
def test_beyond_the_limit_there_is_no_stress(law: Rubber) -> None:
    s = uniaxial(torch.tensor([1.5, 4.0], dtype=torch.float64))
    found = differences(law, s[:1])
    assert found.isfinite().all()
    with torch.no_grad():
        beyond = law.stress(torch.diag_embed(s[1:]), s.new_zeros(1, 0))
    assert beyond.isnan().any()


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (lambda: MooneyRivlin(0.0, 1.0, 1.0), "c1 > 0"),
        (lambda: MooneyRivlin(1.0, -1.0, 1.0), "c2 >= 0"),
        (lambda: Yeoh(1.0, 0.0, -1.0, 1.0), "c3 >= 0"),
        (lambda: Gent(1.0, 0.0, 1.0), "limit > 0"),
        (lambda: Gent(1.0, 1.0, 0.0), "bulk > 0"),
        (lambda: ArrudaBoyce(1.0, 1.0, 1.0), "links > 1"),
        (lambda: Ogden([1.0], [2.0, 3.0], 1.0), "as many"),
        (lambda: Ogden([], [], 1.0), "1 to 3"),
        (lambda: Ogden([1.0], [-2.0], 1.0), "one sign"),
    ],
)
def test_bad_numbers_are_refused(make: object, remedy: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=remedy):
        make()
