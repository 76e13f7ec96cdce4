# SPDX-License-Identifier: Apache-2.0
"""Sweeps and products over matrices in block rows, and the preconditioner made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import warp as wp
from finite_elements import NOTHING, block
from pyamg.relaxation.relaxation import block_gauss_seidel

from rheograd.engine.fem.assembler import pattern
from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.linear import rigid_motions
from rheograd.engine.fem.multigrid import Product, _launch, _seen, hierarchy
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Fixed
from rheograd.engine.mesh.generators import box
from rheograd.engine.scene import Body, Scene
from rheograd.kernels.elements.relaxation import relaxation_kernels
from rheograd.materials.elastic import NeoHookean


def matrix(cells: tuple[int, int, int], symmetric: bool) -> tuple[sp.bsr_matrix, np.ndarray]:
    """Blocks of a mesh, dominated by their diagonal, and where the diagonal blocks are."""
    mesh = box((4.0, 1.0, 1.0), cells)
    n = len(mesh.nodes)
    p = pattern(mesh.cells, n)
    random = np.random.default_rng(3)
    data = random.standard_normal((len(p.columns), 3, 3))
    A = sp.bsr_matrix((data, p.columns.numpy(), p.rows.numpy()), shape=(3 * n, 3 * n))
    if symmetric:
        A = (A + A.T).tobsr((3, 3))
    A.data[p.diagonal.numpy()] += 90.0 * np.eye(3)
    return A, p.diagonal.numpy()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("dtype, exact", [("float64", 1e-13), ("float32", 1e-5)])
def test_sweeps_and_residual(symmetric: bool, dtype: str, exact: float) -> None:
    """As by pyamg: forward from zero with its residual, then backward from there."""
    A, diagonal = matrix((5, 2, 3), symmetric)
    n = len(diagonal)
    b = np.random.default_rng(4).standard_normal(3 * n)
    expected = np.zeros(3 * n)
    block_gauss_seidel(A, expected, b, sweep="forward", blocksize=3)
    inverse = np.linalg.inv(A.data[diagonal])
    own = (A.indptr, A.indices, A.data.astype(dtype), diagonal.astype(np.int32))
    kept = (*own, inverse.astype(dtype), b.astype(dtype), np.zeros((n, 4), dtype))
    out = (np.empty(3 * n, dtype), np.empty((n, 4), dtype))
    kernels = relaxation_kernels(getattr(wp, dtype))
    arguments = [_seen(values) for values in kept]
    _launch(kernels.descend, [*arguments, _seen(out[0])])
    x = kept[-1]
    assert np.abs(x[:, :3].ravel() - expected).max() < exact * np.abs(expected).max()
    assert np.abs(out[0] - (b - A @ expected)).max() < exact * np.abs(b).max()
    before = x.copy()
    _launch(kernels.ascend, [*arguments, _seen(out[1])])
    block_gauss_seidel(A, expected, b, sweep="backward", blocksize=3)
    assert np.abs(x[:, :3].ravel() - expected).max() < exact * np.abs(expected).max()
    assert np.abs(x - before - out[1]).max() < exact * np.abs(expected).max()
    assert not x[:, 3].any()


def test_product() -> None:
    A, _ = matrix((4, 3, 2), False)
    x = np.random.default_rng(5).standard_normal(len(A.indptr) * 3 - 3)
    assert np.abs(Product(A) @ x - A @ x).max() < 1e-13 * np.abs(A @ x).max()


@pytest.mark.parametrize("cells", [(8, 2, 2), (40, 8, 8)], ids=["one level", "several"])
def test_a_cycle_is_symmetric_and_reduces_errors(cells: tuple[int, int, int]) -> None:
    A, diagonal = matrix(cells, True)
    modes = rigid_motions(box((4.0, 1.0, 1.0), cells).nodes)
    cycle = hierarchy(A, modes, diagonal)
    random = np.random.default_rng(6)
    a, b = random.standard_normal((2, len(modes)))
    assert abs(a @ cycle(b) - b @ cycle(a)) < 1e-7 * np.linalg.norm(a)
    assert np.linalg.norm(a - cycle(A @ a)) < 0.5 * np.linalg.norm(a)
    assert not cycle(np.zeros(len(modes))).any()
    assert cycle(1e-60 * b) == pytest.approx(1e-60 * cycle(b), rel=1e-4, abs=1e-66)


def test_the_pattern_has_its_columns_in_order() -> None:
    """The sweeps rely on it."""
    p = pattern(torch.tensor([[3, 1, 0, 2], [5, 4, 1, 3]]), 6)
    for i in range(6):
        row = p.columns[p.rows[i] : p.rows[i + 1]]
        assert bool((row.diff() > 0).all()) and int(p.columns[p.diagonal[i]]) == i


EYE = torch.eye(3, dtype=torch.float64)


def test_rigid_motions_are_rigid() -> None:
    """e_k, and e_k x (x - centre): what a rotation about axis k does to first order."""
    x = torch.randn(7, 3, dtype=torch.float64)
    found = torch.from_numpy(rigid_motions(x)).reshape(7, 3, 6)
    arm = x - x.mean(0)
    for k in range(3):
        axis = EYE[k].expand(7, 3)
        assert torch.equal(found[:, :, k], axis)
        assert torch.allclose(found[:, :, 3 + k], torch.linalg.cross(axis, arm), atol=1e-15)


@pytest.mark.parametrize("axis", "xyz")
def test_a_hinge_is_free_to_turn(axis: str) -> None:
    """A body held on a line along an axis: every rotation is found, not only one."""
    line = ["x", "y", "z"].index(axis)
    edge = lambda x: x.abs().sum(1) - x[:, line].abs() < 1e-9  # noqa: E731
    body = Body(block("hex8", (2, 1, 1)), NeoHookean(1e4, 0.3), 1e3, name="door")
    with pytest.raises(ValueError, match=f"1 motion, mainly rotation about {axis}, is free"):
        FESolver().discretize(Scene([body], [Fixed(edge)], NOTHING))


def test_bands_are_factorized_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    import scipy.linalg
    from threadpoolctl import threadpool_info

    seen: list[int] = []
    whole = scipy.linalg.cholesky_banded

    def spy(*args: Any, **more: Any) -> Any:
        seen.extend(i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas")
        return whole(*args, **more)

    monkeypatch.setattr(scipy.linalg, "cholesky_banded", spy)
    body = Body(box((1.0, 1.0, 1.0), (2, 1, 1)), NeoHookean(1e4, 0.3), 1e3)
    scene = Scene([body], [Fixed("x-")], gravity=(0.0, 0.0, -9.81))
    solver = FESolver(integrator=Static(1), linear="cholesky")
    model = solver.discretize(scene)
    solver.rollout(model, solver.start(model), 1)
    assert seen and set(seen) == {1}
