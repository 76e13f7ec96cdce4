# SPDX-License-Identifier: Apache-2.0
"""stretch(alpha) in an energy given as text: gradients where principal stretches all but coincide.

Of exponents ±2 and ±4 the sums are polynomials of the invariants (Newton's identities),

    stretch(2) = Ī₁ − 3,   stretch(4) = Ī₁² − 2 Ī₂ − 3,   stretch(−α): Ī₁ and Ī₂ change places,

whose derivatives need no principal directions.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rheograd.materials.elastic import det3
from rheograd.materials.energies.symbolic import Constant, Symbolic

VOLUME = " + 5e5*(J**2 - 1 - 2*log(J))"
SUMS = {
    2.0: "(I1bar - 3)",
    -2.0: "(I2bar - 3)",
    4.0: "(I1bar**2 - 2*I2bar - 3)",
    -4.0: "(I2bar**2 - 2*I1bar - 3)",
}
GAPS = (0.3, 1e-2, 1e-4, 1e-6, 1e-8, 1e-12, 0.0)
"""Between two principal stretches, relative."""
EXPONENTS = (1.3, -2.7, 0.4, 6.0)


def states(gap: float) -> Tensor:
    """Two stretches that differ by a gap, then all three, turned; shape (6, 3, 3)."""
    torch.manual_seed(3)
    two = torch.tensor([1.4, 1.4 * (1 + gap), 0.7], dtype=torch.float64)
    three = torch.tensor([1.1, 1.1 * (1 + gap), 1.1 * (1 - gap)], dtype=torch.float64)
    rest = torch.tensor([1.0, 1.0 + gap, 1.0 - gap], dtype=torch.float64)
    stretches = torch.diag_embed(torch.stack([two, three, rest])).repeat(2, 1, 1)
    turns = [torch.linalg.qr(torch.randn(6, 3, 3, dtype=torch.float64))[0] for _ in range(2)]
    found = turns[0] @ stretches @ turns[1].mT
    return found * det3(found).sign()[:, None, None]


def law(alpha: float) -> Symbolic:
    """With a weight and an exponent that are trained."""
    low, high = (0.1, 16.0) if alpha > 0 else (-16.0, -0.1)
    rows = [Constant("c", 3e5, "Pa", 0.0), Constant("alpha", alpha, "", low, high)]
    return Symbolic("c*stretch(alpha)/alpha**2" + VOLUME, rows)


def nothing(F: Tensor) -> Tensor:
    return torch.zeros(len(F), 0, dtype=torch.float64)


def central(value: Callable[[float], Tensor], h: float) -> Tensor:
    """By four points, to the fourth order."""
    near, far = value(h) - value(-h), value(2 * h) - value(-2 * h)
    return (8 * near - far) / (12 * h)


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("alpha", SUMS)
def test_even_exponents_are_polynomials_of_the_invariants(alpha: float, gap: float) -> None:
    F = states(gap)
    one = Symbolic(f"c*stretch({alpha:g})" + VOLUME, {"c": 2e5})
    other = Symbolic(f"c*{SUMS[alpha]}" + VOLUME, {"c": 2e5})
    size = other.wave_modulus()
    for name in ("energy", "stress"):
        found, expected = (getattr(x, name)(F, nothing(F)).detach() for x in (one, other))
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11 * size)
    found, expected = (x.tangent(F, nothing(F), 1.0) for x in (one, other))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * size)
    bar = torch.randn_like(F)
    got, want = (x.pullback(F, nothing(F), 1.0, bar, 0 * F, nothing(F)) for x in (one, other))
    torch.testing.assert_close(got.F_trial, want.F_trial, rtol=1e-9, atol=1e-9 * size)
    torch.testing.assert_close(got.parameters[0], want.parameters[0], rtol=1e-9, atol=1e-9 * size)


def test_more_sums_than_ogdens_law_has() -> None:
    F, parts = states(0.3), [f"{n + 1}e4*stretch({alpha:g})" for n, alpha in enumerate(SUMS)]
    polynomials = [f"{n + 1}e4*{text}" for n, text in enumerate(SUMS.values())]
    one, other = (Symbolic(" + ".join(texts) + VOLUME) for texts in (parts, polynomials))
    for name in ("energy", "stress"):
        found, expected = (getattr(x, name)(F, nothing(F)).detach() for x in (one, other))
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-5)


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("alpha", EXPONENTS)
def test_stress_is_the_slope_of_the_energy(alpha: float, gap: float) -> None:
    """τ = ∂ψ/∂F Fᵀ, with ψ by differences and by automatic differentiation."""
    F, one = states(gap), law(alpha)
    size = one.wave_modulus()
    with torch.no_grad():
        tau = one.stress(F, nothing(F))
    P = torch.zeros_like(F)
    for i in range(3):
        for j in range(3):
            E = torch.zeros(3, 3, dtype=torch.float64)
            E[i, j] = 1.0
            P[:, i, j] = central(lambda h, E=E: one.energy(F + h * E, nothing(F)).detach(), 1e-3)
    torch.testing.assert_close(P @ F.mT, tau, rtol=1e-7, atol=1e-8 * size)
    moved = F.clone().requires_grad_()
    (slope,) = torch.autograd.grad(one.energy(moved, nothing(F)).sum(), moved)
    torch.testing.assert_close(slope @ F.mT, tau, rtol=1e-10, atol=1e-10 * size)


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("alpha", EXPONENTS)
def test_gradients_against_central_differences(alpha: float, gap: float) -> None:
    """The tangent, and the gradients by F, weight and exponent of a sum of stresses."""
    F, one = states(gap), law(alpha)
    size = one.wave_modulus()

    def tau(F: Tensor) -> Tensor:
        with torch.no_grad():
            return one.update(F, nothing(F), 1.0).tau

    D = one.tangent(F, nothing(F), 1.0)
    for k in range(3):
        for m in range(3):
            E = torch.zeros(3, 3, dtype=torch.float64)
            E[k, m] = 1.0
            expected = central(lambda h, E=E: tau(F + h * E), 1e-3)
            torch.testing.assert_close(D[..., k, m], expected, rtol=1e-7, atol=1e-8 * size)
    bar = torch.randn_like(F)
    got = one.pullback(F, nothing(F), 1.0, bar, 0 * F, nothing(F))
    expected = torch.einsum("qij,qijkm->qkm", bar, D)
    torch.testing.assert_close(got.F_trial, expected, rtol=1e-9, atol=1e-9 * size)
    for k in range(2):

        def total(h: float, k: int = k) -> Tensor:
            with torch.no_grad():
                one.shifts[k] = h
                found = (bar * one.stress(F, nothing(F))).sum()
                one.shifts[k] = 0.0
            return found

        expected = central(total, 1e-3)
        torch.testing.assert_close(got.parameters[0][k], expected, rtol=1e-8, atol=1e-9 * size)
