# SPDX-License-Identifier: Apache-2.0
"""Weights of moving least squares: exact for affine fields, second order for others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rheograd.engine.reduced import interpolation
from rheograd.engine.reduced.interpolation import Weights, moving_least_squares, neighbourhoods

A = torch.tensor([[1.1, 0.3, -0.2], [0.4, -0.9, 0.5], [-0.7, 0.2, 1.3]], dtype=torch.float64)
B = torch.tensor([0.3, -1.2, 0.8], dtype=torch.float64)


def affine(x: Tensor) -> Tensor:
    return x @ A.T + B


def value(weights: Weights, u: Tensor) -> Tensor:
    return torch.einsum("qk,qka->qa", weights.value, u[weights.index])


def slope(weights: Weights, u: Tensor) -> Tensor:
    return torch.einsum("qka,qkb->qab", u[weights.index], weights.slope)


def lattice(n: int) -> Tensor:
    line = torch.linspace(0.0, 1.0, n, dtype=torch.float64)
    return torch.cartesian_prod(line, line, line)


CLOUDS = {
    "random": lambda: torch.rand(300, 3).double(),
    "lattice": lambda: lattice(6),
    "slab": lambda: torch.rand(300, 3).double() * torch.tensor([1.0, 1.0, 0.2]),
    "one side": lambda: torch.randn(300, 3).double().abs() ** 1.5,
    "four": lambda: torch.eye(4, 3).double(),
}


@pytest.mark.parametrize("k", [8, 12])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_affine_fields_are_exact(cloud: str, k: int) -> None:
    """Inside, on corners and sparse points themselves, and outside: values and gradients."""
    points = CLOUDS[cloud]()
    spread = points.amax(0) - points.amin(0)
    around = points.amin(0) + spread * (2.0 * torch.rand(400, 3).double() - 0.5)
    corner = torch.stack([points.amin(0), points.amax(0)])
    queries = torch.cat([points, around, corner])
    weights = moving_least_squares(queries, points, k=k)
    u = affine(points)
    assert float((weights.value.sum(1) - 1.0).abs().max()) < 2e-12
    assert float((value(weights, u) - affine(queries)).abs().max()) < 2e-12
    assert float((slope(weights, u) - A).abs().max()) < 1e-11


@pytest.mark.parametrize(("across", "n"), [(1, 200), (2, 40), (1, 4), (2, 2)])
def test_flat_bodies_are_exact_along_themselves(across: int, n: int) -> None:
    """A plane or a line, turned: affine along it, constant across it; constants always."""
    turn, _ = torch.linalg.qr(torch.randn(3, 3).double())
    kept = torch.ones(3).double()
    kept[3 - across :] = 0.0
    points = (kept * torch.rand(n, 3).double()) @ turn.T
    queries = torch.rand(300, 3).double() @ turn.T
    weights = moving_least_squares(queries, points)
    along = turn @ torch.diag(kept) @ turn.T  # the projector on its directions
    assert float((weights.value.sum(1) - 1.0).abs().max()) < 1e-12
    u = affine(points)
    assert float((value(weights, u) - affine(queries @ along)).abs().max()) < 1e-10
    assert float((slope(weights, u) - A @ along).abs().max()) < 1e-9


def test_one_point_moves_all() -> None:
    weights = moving_least_squares(torch.rand(7, 3), torch.tensor([[0.2, 0.1, 0.0]]))
    assert torch.equal(value(weights, B[None]), B.expand(7, 3))
    assert not bool(weights.slope.any())


def test_flat_neighbours_of_a_body_that_is_not_are_spread() -> None:
    """Far over a face the nearest lie in it; the field of the whole body goes on all the same."""
    points = lattice(5)
    queries = torch.tensor([[0.5, 0.5, 3.0], [0.4, 0.6, 1.5]], dtype=torch.float64)
    assert bool((points[neighbourhoods(queries, points).index][..., 2] < 1.0).any(1).all())
    weights = moving_least_squares(queries, points)
    assert float((value(weights, affine(points)) - affine(queries)).abs().max()) < 1e-10


def test_values_at_sparse_points_are_theirs() -> None:
    points = torch.rand(300, 3).double()
    u = torch.sin(5.0 * points)
    assert float((value(moving_least_squares(points, points), u) - u).abs().max()) < 1e-4


def test_quadratic_fields_converge_at_second_order() -> None:
    """Points in halved spacing: a quarter of the error, of gradients half."""
    H = torch.tensor([[1.0, 0.3, -0.5], [0.3, -0.8, 0.2], [-0.5, 0.2, 0.6]], dtype=torch.float64)

    def field(x: Tensor) -> Tensor:
        return torch.einsum("qa,ab,qb->q", x, H, x)[:, None] * B

    queries = 0.2 + 0.6 * torch.rand(2000, 3).double()
    errors, slopes = [], []
    counts = (7, 13, 25)
    for n in counts:
        points = lattice(n) + 0.4 / n * (torch.rand(n**3, 3).double() - 0.5)
        weights = moving_least_squares(queries, points)
        off = value(weights, field(points)) - field(queries)
        errors.append(float(off.square().mean().sqrt()))
        exact = 2.0 * torch.einsum("a,qb,bc->qac", B, queries, H)
        slopes.append(float((slope(weights, field(points)) - exact).square().mean().sqrt()))
    spacing = np.log(1.0 / (np.array(counts) - 1.0))
    assert np.polyfit(spacing, np.log(errors), 1)[0] == pytest.approx(2.0, abs=0.15)
    assert np.polyfit(spacing, np.log(slopes), 1)[0] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("cloud", ["random", "lattice"])
def test_order_of_points_and_queries_does_not_matter(cloud: str) -> None:
    """On a lattice many are equally far: those left out in favour of others have no weight."""
    points = CLOUDS[cloud]()
    queries = torch.cat([lattice(4) * 0.6 + 0.1, torch.rand(60, 3).double()])
    u = torch.sin(4.0 * points)
    expected = moving_least_squares(queries, points)
    order, turn = torch.randperm(len(points)), torch.randperm(len(queries))
    found = moving_least_squares(queries[turn], points[order])
    for of in (value, slope):
        assert torch.allclose(of(found, u[order]), of(expected, u)[turn], atol=1e-11, rtol=0)


def test_bodies_do_not_mix() -> None:
    """Two bodies that overlap, each as if it were alone, whatever numbers they bear."""
    points, queries = torch.rand(200, 3).double(), torch.rand(80, 3).double()
    point_body, query_body = torch.randint(0, 2, (200,)) * 7 - 3, torch.randint(0, 2, (80,)) * 7 - 3
    found = moving_least_squares(queries, points, query_body=query_body, point_body=point_body)
    for body in (-3, 4):
        own = (point_body == body).nonzero()[:, 0]
        mine = query_body == body
        alone = moving_least_squares(queries[mine], points[own])
        assert torch.equal(found.index[mine], own[alone.index])
        assert torch.allclose(found.value[mine], alone.value, atol=1e-13)


def test_many_queries_go_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    points, queries = torch.rand(100, 3).double(), torch.rand(95, 3).double()
    bodies: dict[str, Any] = {
        "query_body": torch.arange(95) % 2,
        "point_body": torch.arange(100) % 2,
    }
    whole = moving_least_squares(queries, points, **bodies)
    monkeypatch.setattr(interpolation, "CHUNK", 30)
    for part, all_at_once in zip(
        moving_least_squares(queries, points, **bodies), whole, strict=True
    ):
        assert torch.equal(part, all_at_once)
    assert moving_least_squares(queries[:0], points).value.shape == (0, 12)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"points": torch.rand(5, 2)}, r"\(5, 2\)"),
        ({"points": torch.full((5, 3), torch.nan)}, "finite"),
        ({"k": 0}, "k = 0"),
        ({"query_body": torch.zeros(4).long()}, "both or none"),
        (
            {"query_body": torch.ones(4).long(), "point_body": torch.zeros(5).long()},
            "no sparse points",
        ),
        ({"query_body": torch.zeros(4), "point_body": torch.zeros(5)}, "expected integers"),
    ],
)
def test_weights_refuse(change: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"queries": torch.rand(4, 3), "points": torch.rand(5, 3), **change}
    with pytest.raises(ValueError, match=said):
        moving_least_squares(**given)


def test_bodies_of_few_points() -> None:
    """No more is heard than there is: as if just so many were asked for."""
    points, queries = torch.rand(9, 3).double(), torch.rand(50, 3).double()
    u = torch.sin(4.0 * points)
    few, many = (moving_least_squares(queries, points, k=k) for k in (9, 12))
    for of in (value, slope):
        assert torch.allclose(of(many, u), of(few, u), atol=1e-11, rtol=0)


def test_a_point_fades_out_before_it_is_left_out() -> None:
    """Its weight and the slope of that are 0 from the reach on."""
    distance = torch.tensor([0.5, 1.0 - 1e-9, 1.0, 1.5], dtype=torch.float64, requires_grad=True)
    share = interpolation.share_of(distance)
    (slopes,) = torch.autograd.grad(share.sum(), distance)
    assert float(share.detach()[1:].abs().max()) < 1e-8 and float(slopes[1:].abs().max()) < 1e-8
    assert float(share.detach()[0]) > 0.5 and float(slopes[0]) < -1.0
