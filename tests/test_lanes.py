# SPDX-License-Identifier: Apache-2.0
"""Features of eight deformation gradients at once, beside one at a time as on a GPU."""

from __future__ import annotations

import pytest
import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.learned.features import WIDTH, FeatureKernels, feature_kernels
from rheograd.materials.arrays import SCALARS, Launcher, matrices, view

KINDS = pytest.mark.parametrize("kind", list(WIDTH))
LIMITS = pytest.mark.parametrize(
    ("dtype", "limit"), [(torch.float32, 3e-6), (torch.float64, 1e-14)], ids=["f32", "f64"]
)


def gradients(dtype: torch.dtype) -> Tensor:
    """Three full groups and a part of one: ordinary ones, and one of each awkward sort."""
    torch.manual_seed(0)
    F = torch.eye(3).double() + 0.3 * torch.randn(29, 3, 3, dtype=torch.float64)
    Q = torch.linalg.qr(F[0])[0]
    F[1], F[2], F[9] = torch.eye(3), 0.0, -Q if handed(Q[None]) < 0 else Q
    F[3] = torch.diag(torch.tensor([1.0, 1.0, -0.5]))
    F[12] = Q @ torch.diag(torch.tensor([2.0, 0.5, 0.0]).double()) @ Q.mT
    F[17], F[25] = 1e3 * F[17], 1e-6 * F[25]
    return F.to(dtype)


def handed(Q: Tensor) -> Tensor:
    """det Q of orthogonal matrices."""
    return (torch.linalg.cross(Q[:, :, 0], Q[:, :, 1]) * Q[:, :, 2]).sum(1)


def made(kind: str, like: Tensor, wide: bool) -> FeatureKernels:
    return feature_kernels(kind, SCALARS[like.dtype], wide)


def described(
    kind: str, F: Tensor, wide: bool, start: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """R, x and V of F by `measure`, or by `follow` from rotations `start`."""
    kernels, n = made(kind, F, wide), len(F)
    R, x, V = torch.zeros_like(F), F.new_zeros(n, WIDTH[kind]), torch.zeros_like(F)
    out = [matrices(R), view(x, SCALARS[F.dtype]), matrices(V) if kind == "full" else None]
    kernel, guess = kernels.measure, []
    if start is not None:
        kernel, guess = kernels.follow, [matrices(start)]
    Launcher(F)(kernel, -(-n // kernels.lanes), [0, 0, n, matrices(F), *guess, *out])
    return R, x, V


@KINDS
@LIMITS
@pytest.mark.parametrize("guessed", [False, True])
def test_eight_at_once_are_as_one_at_a_time(
    kind: str, dtype: torch.dtype, limit: float, guessed: bool
) -> None:
    F = gradients(dtype)
    start = described(kind, F, wide=False)[0] if guessed else None
    if start is not None:
        start[4], start[5] = -start[4], torch.nan  # are not taken
    (R, x, V), (R_one, x_one, V_one) = (described(kind, F, wide, start) for wide in (True, False))
    size = F.abs().amax((1, 2)).clamp_min(1.0)
    assert float((R - R_one).abs().max()) < limit
    assert float(((x - x_one).abs().amax(1) / size**3).max()) < limit
    if kind == "full":
        S = R.mT @ F
        for W in (V, V_one):
            assert torch.allclose(handed(W), W.new_ones(()), atol=limit)
            rest = W.mT @ S @ W - torch.diag_embed(1 + x[:, :3])
            assert float((rest.abs().amax((1, 2)) / size).max()) < limit


@KINDS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_neighbours_do_not_matter(kind: str, dtype: torch.dtype) -> None:
    F = gradients(dtype)
    F[20] = torch.nan
    order = torch.randperm(len(F))
    for a, b in zip(
        described(kind, F, wide=True), described(kind, F[order].contiguous(), wide=True),
        strict=True,
    ):  # fmt: skip
        assert torch.equal(a[order].nan_to_num(7.0), b.nan_to_num(7.0))


@KINDS
@pytest.mark.parametrize("wide", [False, True])
def test_what_was_forgotten_is_recalled(kind: str, wide: bool) -> None:
    F = gradients(torch.float32)
    R, x, V = described(kind, F, wide)
    kernels, n = made(kind, F, wide), len(F)
    again, W = torch.zeros_like(x), torch.zeros_like(V)
    out = [view(again, wp.float32), matrices(W) if kind == "full" else None]
    known = [0, 0, n, matrices(F), matrices(R)]
    Launcher(F)(kernels.recall, -(-n // kernels.lanes), [*known, *out])
    assert torch.equal(again, x)
    assert torch.equal(W, V)


@pytest.mark.parametrize("wide", [False, True])
def test_a_flow_that_turns_a_matrix_over_finds_its_rotation(wide: bool) -> None:
    n = 11
    F = torch.eye(3).double() + 0.1 * torch.randn(n, 3, 3, dtype=torch.float64)
    X, G, Q, x = F.new_zeros(n, 9), *torch.zeros_like(F).repeat(2, 1, 1, 1), F.new_zeros(n, 12)
    X[::2, 0], X[::3, 4] = -3.0, -3.0  # one or two stretches change their sign
    kernels = made("smooth", F, wide)
    first, *_ = described("smooth", F, wide)
    known = [0, 0, n, matrices(F), matrices(first), view(X, wp.float64)]
    out = [matrices(G), matrices(Q), view(x, wp.float64), None]
    Launcher(F)(kernels.advance, -(-n // kernels.lanes), [*known, 1.0, *out])
    R, described_x, _ = described("smooth", G, wide=False)
    assert torch.allclose(Q, R, atol=1e-12)
    assert torch.allclose(x, described_x, atol=1e-11)
