# SPDX-License-Identifier: Apache-2.0
"""A preconditioner by smoothed aggregation, on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import warp as wp

from rheograd.kernels.elements.relaxation import relaxation_kernels

COARSE = 600
"""Unknowns at and below which a level is solved directly."""


def hierarchy(
    matrix: sp.bsr_matrix, modes: np.ndarray, diagonal: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """One V-cycle of smoothed aggregation as a function of the residual.

    Args:
        matrix: Blocks of 3 x 3, in ascending columns.
        modes: What a coarse level must represent exactly: rigid motions, shape (3 n, 6).
        diagonal: Index of each node's diagonal block, shape (n,).
    """
    import pyamg

    down = ("block_gauss_seidel", {"sweep": "forward"})
    strength: Any = ("symmetric", {"theta": 0.0})
    up = ("block_gauss_seidel", {"sweep": "backward"})
    levels: Any = pyamg.smoothed_aggregation_solver(
        matrix, B=modes, symmetry="symmetric", strength=strength,
        improve_candidates=None, max_coarse=COARSE, coarse_solver="splu",
        presmoother=down, postsmoother=up,
    )  # fmt: skip
    if len(levels.levels) == 1:
        return lambda r: _cycle(levels, 0, r)
    finest = Finest(levels.levels[0], diagonal)
    return lambda r: finest.cycle(r, lambda coarse: _cycle(levels, 1, coarse))


def _cycle(levels: Any, number: int, b: np.ndarray) -> np.ndarray:
    level = levels.levels[number]
    if number == len(levels.levels) - 1:
        return np.ravel(levels.coarse_solver(level.A, b))
    x = np.zeros_like(b)
    level.presmoother(level.A, x, b)
    x += level.P @ _cycle(levels, number + 1, level.R @ (b - level.A @ x))
    level.postsmoother(level.A, x, b)
    return x


class Finest:
    """The finest level, by our kernels in single precision: a preconditioner needs no more."""

    def __init__(self, level: Any, diagonal: np.ndarray) -> None:
        """Lay out."""
        A, n = level.A, len(diagonal)
        self.P, self.R = level.P.astype(np.float32), level.R.astype(np.float32)
        self.kernels = relaxation_kernels(wp.float32)
        inverse = np.linalg.inv(A.data[diagonal])
        matrix = (A.indptr, A.indices, A.data.astype(np.float32), diagonal.astype(np.int32))
        self.kept = (*matrix, inverse.astype(np.float32))
        self.b, self.r = np.zeros(3 * n, np.float32), np.zeros(3 * n, np.float32)
        self.x, self.step = np.zeros((n, 4), np.float32), np.zeros((n, 4), np.float32)
        self.matrix = [_seen(values) for values in self.kept]
        self.vectors = [_seen(values) for values in (self.b, self.x, self.r, self.step)]

    def cycle(self, b: np.ndarray, coarser: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Sweep forward, correct by the coarser levels, sweep backward."""
        scale = np.abs(b).max()
        if not scale > 0.0:
            return np.zeros_like(b)
        own, x, r, step = self.vectors
        np.divide(b, scale, out=self.b, casting="same_kind")
        self.x[:] = 0.0
        _launch(self.kernels.descend, [*self.matrix, own, x, r])
        found = coarser((self.R @ self.r).astype(np.float64))
        correction = self.P @ found.astype(np.float32)
        self.x[:, :3] += correction.reshape(-1, 3)
        _launch(self.kernels.ascend, [*self.matrix, own, x, step])
        return scale * self.x[:, :3].reshape(-1).astype(np.float64)


class Product:
    """Products with a matrix of 3 x 3 blocks."""

    def __init__(self, matrix: sp.bsr_matrix) -> None:
        """Lay out."""
        n = len(matrix.indptr) - 1
        self.kernels = relaxation_kernels(wp.float64)
        self.kept = (matrix.indptr, matrix.indices, np.ascontiguousarray(matrix.data, np.float64))
        self.x = np.zeros((n, 4))
        self.matrix = [_seen(values) for values in self.kept]

    def __matmul__(self, x: np.ndarray) -> np.ndarray:
        """The matrix times x."""
        self.x[:, :3] = x.reshape(-1, 3)
        y = np.empty(len(x))
        _launch(self.kernels.multiply, [*self.matrix, _seen(self.x), _seen(y)])
        return y


def _launch(kernel: wp.Kernel, arguments: list[wp.array]) -> None:
    wp.launch(kernel, 1, inputs=arguments, device="cpu")


def _seen(values: np.ndarray) -> wp.array:
    types = {np.dtype(np.int32): wp.int32, np.dtype(np.float32): wp.float32}
    return wp.array(
        ptr=values.ctypes.data, dtype=types.get(values.dtype, wp.float64), shape=(values.size,),
        device="cpu", copy=False,
    )  # fmt: skip
