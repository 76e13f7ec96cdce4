# SPDX-License-Identifier: Apache-2.0
"""Systems of cells: nested dissection, kept factors, and the guesses that follow from them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rheograd.engine.fem.newton import NewtonFailure
from rheograd.engine.homogenize.cell import Cell, mean_strain
from rheograd.engine.homogenize.fe2 import FE2
from rheograd.engine.homogenize.microstructures import round_inclusion
from rheograd.engine.homogenize.problem import CellProblem, Kept
from rheograd.engine.homogenize.stiffness import Stiffness
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.small_strain import Hyperbolic, LinearElastic

LIKE = torch.zeros((), dtype=torch.float64)
EYE = torch.eye(3, dtype=torch.float64)


def problem(
    element: str, small: bool = True, divisions: tuple[int, int, int] = (4, 2, 2)
) -> CellProblem:
    laws = {"matrix": Hyperbolic(5.0, 0.1, 0.06), "fibre": LinearElastic(70.0, 0.2)}
    if not small:
        laws = {"matrix": NeoHookean(1.0, 0.4), "fibre": NeoHookean(10.0, 0.3)}
    return CellProblem(Cell(round_inclusion(0.25, divisions, element=element), laws), LIKE)


def system(own: CellProblem, F: Tensor) -> Stiffness:
    """Of worlds without a fluctuation under mean deformations, (w, 3, 3)."""
    points = F[:, None].expand(-1, len(own.points), 3, 3)
    return own.system(own.points.linearize(points, F.new_zeros(len(F), 0), 1.0)[2])


def dense(own: CellProblem, matrices: Tensor) -> Tensor:
    """The matrix of elements (e, k, k), summed one by one."""
    out = torch.zeros(own.size + 1, own.size + 1, dtype=torch.float64)
    for places, matrix in zip(own.layout.unknowns, matrices, strict=True):
        for i, row in zip(places, matrix, strict=True):
            out[i].index_add_(0, places, row)
    return out[:-1, :-1]


STRAINS = torch.stack([mean_strain(xx=0.03, gamma_xy=0.02), mean_strain(yy=-0.02), EYE])


@pytest.mark.parametrize(
    ("element", "divisions"),
    [("quad4", (4, 2, 2)), ("quad8", (4, 2, 2)), ("quad9", (2, 1, 1)), ("hex8", (2, 1, 1))],
)
def test_against_dense_matrices(element: str, divisions: tuple[int, int, int]) -> None:
    """Solutions of three worlds at once, and of each of them picked out."""
    own = problem(element, divisions=divisions)
    found = system(own, STRAINS)
    b = torch.randn(3, own.size, 2, dtype=torch.float64)
    expected = torch.stack([dense(own, m) for m in found.matrices])
    assert torch.allclose(found.product(b), expected @ b, rtol=1e-12, atol=1e-12)
    x = found.solve(b)
    assert float((expected @ x - b).norm() / b.norm()) < 1e-10
    assert found.kept is not None
    assert len(own.layout.dissection.levels) > 1
    at = torch.tensor([2, 0])
    assert torch.allclose(found.kept.pick(at).solve(b[at]), x[at], rtol=1e-9, atol=1e-12)
    assert torch.allclose(found.pick(at).solve(b[at]), x[at], rtol=1e-9, atol=1e-12)


def test_a_kept_factor_serves_nearby_matrices_only(monkeypatch: pytest.MonkeyPatch) -> None:
    own = problem("quad8")
    first = system(own, STRAINS)
    b = torch.randn(3, own.size, 1, dtype=torch.float64)
    first.solve(b)
    near, far = (system(own, EYE + s * (STRAINS - EYE)) for s in (1.02, 9.0))
    near.kept = far.kept = first.kept
    for later, kept in ((near, True), (far, False)):
        x = later.solve(b, 1e-9)
        assert float((later.product(x) - b).norm() / b.norm()) < 1e-9
        assert (later.kept is first.kept) == kept


def test_systems_are_kept_of_the_worlds_solved_last() -> None:
    own = problem("quad4")
    kept, every = Kept(3, torch.device("cpu")), torch.arange(3)
    assert kept.of(every) is None
    first = system(own, STRAINS)
    kept.put(first, every)
    assert kept.of(every) is first
    some = kept.of(torch.tensor([2, 1]))
    assert isinstance(some, Stiffness)
    assert torch.equal(some.matrices, first.matrices[[2, 1]])
    last = system(own, STRAINS[1:2])
    kept.put(last, torch.tensor([1]))
    assert kept.of(torch.tensor([1])) is last
    assert kept.of(torch.tensor([0])) is None  # its matrix is older
    assert kept.of(every) is None


def test_a_matrix_that_is_not_definite() -> None:
    """It goes to LU, and so do those beside it."""
    own = problem("quad4", small=False)
    found = system(own, torch.stack([EYE, EYE]))
    found.matrices[1] *= -1.0
    b = torch.randn(2, own.size, 1, dtype=torch.float64)
    x = found.solve(b)
    assert found.kept is None
    assert float((found.product(x) - b).norm() / b.norm()) < 1e-9
    found.matrices[1] = 0.0
    with pytest.raises(NewtonFailure, match="singular"):
        Stiffness(own.layout, found.matrices, True).solve(b)


@pytest.mark.parametrize("small", [True, False], ids=["small", "finite"])
def test_guesses_follow_the_mean_deformation(small: bool) -> None:
    """The error of a predicted fluctuation falls by the square of the step; so do iterations."""
    own = problem("quad8", small)
    turn = torch.tensor([[[0.03, 0.02, 0.0], [0.02, -0.02, 0.0], [0.0, 0.0, 0.0]]]).double()
    if not small:
        turn[:, 0, 1] = -0.01
    none = turn.new_zeros(1, 0)
    base = own.solve(EYE + turn, none, 1.0)
    errors = []
    for share in (0.2, 0.1):
        F = EYE + (1 + share) * turn
        start = own.predicted(base.guess(EYE + turn), F)
        warm, cold = (own.solve(F, none, 1.0, guess=w) for w in (start, base.fluctuation))
        errors.append(float((start - cold.fluctuation).norm()))
        assert int(warm.iterations[0]) < int(cold.iterations[0])
        assert torch.allclose(warm.stress, cold.stress, rtol=1e-9, atol=1e-12)
    assert 3.3 < errors[0] / errors[1] < 4.7
    assert own.guess_size == base.guess(EYE + turn).shape[1]
    nothing = own.predicted(turn.new_zeros(1, own.guess_size), EYE + turn)
    assert not bool(nothing.any())


def test_a_guess_that_went_astray_is_left() -> None:
    law = FE2(problem("quad4", small=False).cell)
    F = EYE[None] + torch.diag(torch.tensor([0.05, 0.0, 0.0], dtype=torch.float64))
    none = F.new_zeros(1, 0)
    expected, D = law.linearize(F, none, 1.0)
    assert expected.guess is not None
    found, again = law.linearize(F, none, 1.0, 1e3 * torch.randn_like(expected.guess))
    assert torch.allclose(found.tau, expected.tau, rtol=1e-9, atol=1e-12)
    assert torch.allclose(again, D, rtol=1e-8, atol=1e-10)


def test_the_tangent_is_off_by_the_square_of_its_systems() -> None:
    own = problem("quad8")
    F = STRAINS[:1]
    micro = own.solve(F, F.new_zeros(1, 0), 1.0)
    A = own.points.linearize(micro.point_F, F.new_zeros(1, 0), 1.0)[2]
    exact = own.condensed(A, own.system(A))[0]
    noise = torch.randn(1, own.size, 4, dtype=torch.float64)
    errors = []

    class Sloppy(Stiffness):
        amount = 0.0

        def solve(self, b: Tensor, rtol: float | Tensor = 0.0, transposed: bool = False) -> Tensor:
            return super().solve(b) * (1 + self.amount * noise)

    for Sloppy.amount in (1e-2, 1e-3):
        sloppy = Sloppy(own.layout, own.system(A).matrices, True)
        errors.append(float((own.condensed(A, sloppy)[0] - exact).norm() / exact.norm()))
    assert errors[0] / errors[1] == pytest.approx(100.0, rel=1e-3)
