# SPDX-License-Identifier: Apache-2.0
"""From sparse points to all others: the kernels, their adjoints, and the learned correction."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from reduced_points import operator_of
from torch import Tensor

from rheograd.engine.reduced.correction import Correction, Sample, corrected, teach
from rheograd.engine.reduced.full_order import FullOrderMap
from rheograd.engine.reduced.interpolation import moving_least_squares
from rheograd.engine.reduced.sampling import farthest_points

A = torch.tensor([[1.1, 0.3, -0.2], [0.4, -0.9, 0.5], [-0.7, 0.2, 1.3]], dtype=torch.float64)
B = torch.tensor([0.3, -1.2, 0.8], dtype=torch.float64)


def random_correction(seed: int = 0) -> Correction:
    """One whose last layer is not zero."""
    correction = Correction(seed=seed).double()
    torch.nn.init.normal_(correction.last.weight, std=0.5)
    return correction


def cloud(n: int = 150, q: int = 70) -> tuple[Tensor, Tensor]:
    return 1.2 * torch.rand(q, 3).double() - 0.1, torch.rand(n, 3).double()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_map_is_the_plain_sum(dtype: torch.dtype) -> None:
    queries, points = cloud()
    found = FullOrderMap(queries, points)
    index, value, slope = found.weights
    u = torch.randn(2, 3, 150, 3, dtype=dtype)
    for one in (u, u[0, 0]):
        at = one.double()[..., index, :]
        near = 1e-5 if dtype == torch.float32 else 1e-12
        moved = torch.einsum("qk,...qka->...qa", value, at)
        assert torch.allclose(found.displacement(one).double(), moved, atol=near, rtol=near)
        F = torch.eye(3) + torch.einsum("...qka,qkb->...qab", at, slope)
        assert torch.allclose(found.gradient(one).double(), F, atol=near, rtol=near)


def test_affine_motion_is_exact() -> None:
    queries, points = cloud()
    found = FullOrderMap(queries, points)
    u = points @ A.T + B
    assert float((found.displacement(u) - queries @ A.T - B).abs().max()) < 1e-12
    assert float((found.gradient(u) - A - torch.eye(3)).abs().max()) < 1e-11


def test_gradients_are_those_of_differences() -> None:
    """First and second derivatives of both, several frames at once."""
    queries, points = cloud(14, 9)
    found = FullOrderMap(queries, points, k=6)
    u = torch.randn(2, 14, 3).double().requires_grad_()
    for of in (found.displacement, found.gradient):

        def energy(u: Tensor, of: Any = of) -> Tensor:
            return torch.sin(of(u)).sum((1, 2))

        assert torch.autograd.gradcheck(energy, u)
        assert torch.autograd.gradgradcheck(energy, u)


def test_gradients_repeat_and_reach_strided_input() -> None:
    queries, points = cloud()
    found = FullOrderMap(queries, points)
    weight = torch.randn(4, 70, 3)
    grads = []
    for _ in range(2):
        u = torch.ones(4, 3, 150, requires_grad=True)
        (found.displacement(u.mT) * weight).sum().backward()
        grads.append(u.grad)
    assert grads[0] is not None
    assert torch.equal(grads[0], grads[1])
    expected = torch.zeros(4, 150, 3).double()
    index, value, _ = found.weights
    spread = weight.double()[:, :, None] * value[..., None]
    expected.index_add_(1, index.flatten(), spread.flatten(1, 2))
    assert torch.allclose(grads[0].double(), expected.mT, atol=1e-5)


def test_bodies_move_by_themselves() -> None:
    queries, points = cloud()
    point_body, query_body = torch.arange(150) % 2, torch.arange(70) % 2
    found = FullOrderMap(queries, points, query_body=query_body, point_body=point_body)
    u = point_body[:, None] * B
    assert torch.allclose(found.displacement(u), query_body[:, None] * B, atol=1e-13)


@pytest.mark.parametrize(
    ("u", "error", "said"),
    [
        (torch.zeros(149, 3), ValueError, "150, 3"),
        (torch.zeros(3), ValueError, "150, 3"),
        (torch.zeros(150, 3).half(), TypeError, "float16"),
    ],
)
def test_map_refuses(u: Tensor, error: type[Exception], said: str) -> None:
    found = FullOrderMap(*cloud())
    for of in (found.displacement, found.gradient):
        with pytest.raises(error, match=said):
            of(u)


def test_no_queries_and_no_frames() -> None:
    queries, points = cloud()
    assert FullOrderMap(queries[:0], points).displacement(points).shape == (0, 3)
    empty = torch.zeros(0, 150, 3, requires_grad=True)
    moved = FullOrderMap(queries, points).gradient(empty)
    assert moved.shape == (0, 70, 3, 3)
    moved.sum().backward()


def test_an_untaught_correction_is_moving_least_squares() -> None:
    queries, points = cloud()
    plain = moving_least_squares(queries, points, k=20)
    for part, same in zip(corrected(Correction(), queries, points), plain, strict=True):
        assert torch.equal(part, same)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("flat", [False, True])
def test_any_correction_keeps_affine_motion(dtype: torch.dtype, flat: bool) -> None:
    """With random weights, in either precision; in a plane along it."""
    queries, points = cloud()
    if flat:
        queries[:, 2] = points[:, 2] = 0.4
    correction = random_correction().to(dtype)
    weights = corrected(correction, queries, points)
    plain = moving_least_squares(queries, points, k=20)
    assert float((weights.value - plain.value).abs().max()) > 0.05
    moved = torch.einsum("qk,qka->qa", weights.value, (points @ A.T + B)[weights.index])
    assert float((moved - queries @ A.T - B).abs().max()) < 1e-11


def test_a_correction_turns_with_the_body() -> None:
    """Turned, mirrored, scaled and shifted: the same weights."""
    queries, points = cloud()
    turn, _ = torch.linalg.qr(torch.randn(3, 3).double())
    correction = random_correction()
    expected = corrected(correction, queries, points)
    found = corrected(correction, 3.0 * queries @ turn.T + B, 3.0 * points @ turn.T + B)
    assert torch.equal(found.index, expected.index)
    assert torch.allclose(found.value, expected.value, atol=1e-9)


def test_a_correction_does_not_depend_on_the_order_of_points() -> None:
    queries, points = cloud()
    order = torch.randperm(150)
    u = torch.sin(4.0 * points)
    correction = random_correction()
    expected = FullOrderMap(queries, points, correction=correction).displacement(u)
    found = FullOrderMap(queries, points[order], correction=correction).displacement(u[order])
    assert torch.allclose(found, expected, atol=1e-10)


def motion(x: Tensor, seed: int) -> Tensor:
    """Smooth displacements of random waves and quadratic fields, five of them."""
    draw = torch.Generator().manual_seed(seed)
    wave = 3.0 * torch.randn(5, 3, 3, generator=draw).double()
    phase, size = (torch.randn(5, 1, 3, generator=draw).double() for _ in range(2))
    bend = torch.randn(5, 3, 3, 3, generator=draw).double()
    bent = torch.einsum("tabc,qb,qc->tqa", bend, x, x)
    return size * torch.sin(x @ wave.mT + phase) + bent


def sample(seed: int, stretch: tuple[float, float, float]) -> Sample:
    draw = torch.Generator().manual_seed(seed)
    x = torch.rand(1500, 3, generator=draw).double() * torch.tensor(stretch).double()
    x = torch.cat([x[None], x + motion(x, seed)])
    return Sample.of(x, farthest_points(x[0], 250))


def error(of: Sample, correction: Correction | None) -> float:
    found = FullOrderMap(of.queries, of.points, k=20, correction=correction).displacement(of.u)
    return float((found - of.moved).square().mean().sqrt())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_teaching_helps_with_other_motions_of_other_shapes(dtype: torch.dtype) -> None:
    """Less than half the error of moving least squares, of the same and of its best number."""
    correction = Correction().to(dtype)
    errors = teach(
        correction, [sample(1, (1.0, 1.0, 1.0)), sample(2, (1.0, 0.5, 1.5))], steps=60, queries=512,
    )  # fmt: skip
    assert errors[0] > 0.6
    unseen = sample(3, (1.4, 1.0, 0.6))
    few = FullOrderMap(unseen.queries, unseen.points).displacement(unseen.u) - unseen.moved
    taught = error(unseen, correction)
    assert taught < 0.5 * error(unseen, None)
    assert taught < 0.6 * float(few.square().mean().sqrt())


def test_teaching_repeats() -> None:
    taught = []
    for _ in range(2):
        correction = Correction()
        teach(correction, [sample(1, (1.0, 1.0, 1.0))], steps=3, queries=100, seed=5)
        taught.append(torch.cat([p.detach().flatten() for p in correction.parameters()]))
    assert torch.equal(*taught)


def test_gradient_of_the_loss_is_that_of_differences() -> None:
    """What teaching descends, by the weights of the network."""
    from rheograd.engine.reduced.correction import _loss, _ready

    correction = random_correction()
    lesson = _ready(correction, sample(1, (1.0, 1.0, 1.0)), 0)
    some, when = torch.arange(20), torch.arange(4)

    def loss() -> Tensor:
        return _loss(correction, lesson, some, when)

    loss().backward()
    for parameter in correction.parameters():
        grad = parameter.grad
        assert grad is not None
        with torch.no_grad():
            way = torch.randn_like(parameter)
            values = []
            for step in (1e-5, -2e-5):
                parameter += step * way
                values.append(float(loss()))
            parameter += 1e-5 * way
        slope = float((grad * way).sum())
        expected = (values[0] - values[1]) / 2e-5
        assert slope == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_teaching_refuses() -> None:
    given = sample(1, (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="no samples"):
        teach(Correction(), [])
    with pytest.raises(ValueError, match="moved of sample 0"):
        teach(Correction(), [given._replace(moved=given.moved[:, 1:])])
    with pytest.raises(ValueError, match="teaches nothing"):
        teach(
            Correction(),
            [given._replace(moved=given.queries[None] @ A.T, u=given.points[None] @ A.T)],
        )
    with pytest.raises(ValueError, match="width 0"):
        Correction(width=0)


def test_quadratic_motion_is_nearly_exact_before_teaching() -> None:
    """By the weights that an operator begins with, inside; plain ones miss far more."""
    points = torch.rand(1000, 3).double()
    queries = 0.25 + 0.5 * torch.rand(200, 3).double()
    bend = torch.randn(3, 3, 3).double()

    def bent(x: Tensor) -> Tensor:
        return torch.einsum("abc,qb,qc->qa", bend, x, x)

    off = []
    for correction in (None, Correction.quadratic(), operator_of().correction):
        found = FullOrderMap(queries, points, k=20, correction=correction)
        off.append(float((found.displacement(bent(points)) - bent(queries)).square().mean()) ** 0.5)
    assert off[1] < 0.1 * off[0] and off[2] == pytest.approx(off[1], rel=1e-3)
