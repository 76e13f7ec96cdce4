# SPDX-License-Identifier: Apache-2.0
"""Each way to solve a linear system in block rows, against dense algebra."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rheograd.engine.fem import device as device_solver
from rheograd.engine.fem.assembler import pattern
from rheograd.engine.fem.linear import Factor, LinearFailure, LinearSolver, Method

NODES = 12
SYMMETRIC: list[Method] = ["cholesky", "lu", "amg", "gmres", "warp"]
GENERAL: list[Method] = ["lu", "gmres", "warp"]
DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])


def linked() -> Tensor:
    """Numbers at random where a node and the next one meet, shape (3 n, 3 n)."""
    node = torch.arange(NODES).repeat_interleave(3)
    near = (node[:, None] - node).abs() <= 1
    return torch.where(near, torch.randn(len(node), len(node), dtype=torch.float64), 0.0)


def definite() -> Tensor:
    """Symmetric, positive definite."""
    A = linked()
    return A + A.mT + 12.0 * torch.eye(len(A)).double()


def factor(K: Tensor, method: Method, symmetric: bool) -> Factor:
    """Of a matrix as `linked` makes them."""
    pairs = torch.stack([torch.arange(NODES - 1), torch.arange(1, NODES)], 1).to(K.device)
    about = pattern(pairs, NODES)
    blocks = K.unflatten(0, (-1, 3)).unflatten(2, (-1, 3))[about.row, :, about.columns.long()]
    fixed = torch.zeros(NODES, 3, dtype=torch.bool, device=K.device)
    x = torch.randn(NODES, 3, dtype=torch.float64).to(K.device)
    return LinearSolver(about, method, symmetric, fixed).factor(blocks.contiguous(), x)


def check(K: Tensor, method: Method, symmetric: bool, rtol: float = 1e-11) -> None:
    """With K and its transpose, of a right-hand side of any size and of none."""
    made, b = factor(K, method, symmetric), 1e4 * torch.randn(NODES, 3).to(K)
    for transposed, matrix in ((False, K), (True, K.mT)):
        x = made.solve(b, rtol, transposed)
        assert x.shape == b.shape and x.dtype == b.dtype and x.device == b.device
        left = matrix.double() @ x.double().flatten() - b.double().flatten()
        assert float(left.norm()) <= 10 * rtol * float(b.norm())
        assert torch.equal(made.solve(0 * b, rtol, transposed), 0 * b)
    assert made.bytes > 0


@pytest.mark.parametrize("method", SYMMETRIC)
def test_symmetric(method: Method) -> None:
    check(definite(), method, True)


@pytest.mark.parametrize("method", GENERAL)
def test_not_symmetric(method: Method) -> None:
    check(linked() + 8.0 * torch.eye(3 * NODES).double(), method, False)


@DEVICES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_on_the_device(device: str, dtype: torch.dtype) -> None:
    rtol = 1e-5 if dtype == torch.float32 else 1e-11
    check(definite().to(device, dtype), "warp", True, rtol)
    general = linked() + 8.0 * torch.eye(3 * NODES).double()
    check(general.to(device, dtype), "warp", False, rtol)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty iterations, which do for 36 unknowns."""
    monkeypatch.setattr(device_solver, "MOST_ITERATIONS", 4)


@DEVICES
@pytest.mark.usefixtures("impatient")
def test_on_the_device_where_bicgstab_breaks_down(device: str) -> None:
    """Of a matrix that is skew but for its diagonal, GMRES finds what BiCGSTAB does not."""
    A = linked()
    check((20.0 * (A - A.mT) + torch.eye(len(A)).double()).to(device), "warp", False, 1e-9)


@DEVICES
def test_on_the_device_where_bicgstab_divides_by_zero(device: str) -> None:
    """b · K b = 0 leaves no number in x; GMRES starts anew from zero.

    The first two nodes of x + N x = b, N = −2 from the second to the first, have 3 b and b.
    """
    K = torch.eye(3 * NODES, dtype=torch.float64)
    K[:3, 3:6] = -2.0 * torch.eye(3)
    b = torch.zeros(NODES, 3, dtype=torch.float64)
    b[:2] = 1.0
    assert float(b.flatten() @ K @ b.flatten()) == 0.0
    x = factor(K.to(device), "warp", False).solve(b.to(device), 1e-12).cpu()
    expected = torch.cat([3.0 * b[:1], b[1:]])
    assert torch.allclose(x, expected, rtol=1e-9, atol=1e-9)


@DEVICES
@pytest.mark.usefixtures("impatient")
def test_on_the_device_a_singular_matrix_is_refused(device: str) -> None:
    """One whose end nodes nothing holds: b is no combination of its columns."""
    K = definite()
    K[:3], K[:, :3] = 0.0, 0.0
    made = factor(K.to(device), "warp", True)
    with pytest.raises(LinearFailure, match=r"on the device stalled after .* singular"):
        made.solve(torch.ones(NODES, 3, dtype=torch.float64, device=device), 1e-10)
