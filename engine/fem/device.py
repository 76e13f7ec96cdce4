# SPDX-License-Identifier: Apache-2.0
"""Linear systems on the device where the matrix is, by the iterations of warp.optim.linear."""

from __future__ import annotations

from typing import Any

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.dtypes import types
from rheograd.materials.arrays import as_warp, current_stream, precision

from .assembler import Pattern
from .linear import MOST_ITERATIONS, Factor, LinearFailure

DRIFT = 10.0
"""Residual of what BiCGSTAB found, by its goal, from which on it is not believed."""


class DeviceFactor(Factor):
    """Conjugate gradients, or BiCGSTAB and GMRES for a matrix that is not symmetric.

    The preconditioner is block Jacobi.
    """

    def __init__(self, pattern: Pattern, blocks: Tensor, symmetric: bool) -> None:
        """Keep the matrix; the transposed one is made when it is asked for."""
        self.pattern, self.blocks, self.symmetric = pattern, blocks.contiguous(), symmetric

    def solve(self, b: Tensor, rtol: float, transposed: bool = False) -> Tensor:
        """See `Factor.solve`."""
        size = b.detach().norm()
        if not float(size) > 0.0:
            return torch.zeros_like(b)
        # as numbers, for which Warp has its kernels ready: each of vectors would be one more, and
        # all of them would be compiled again with every one that is new
        scalar = types(precision(b)).scalar
        right = (b.detach() / size).reshape(-1).contiguous()  # rtol is atol there too
        x = torch.zeros_like(right)
        with wp.ScopedStream(current_stream(b.device)):
            out = self._iterate(as_warp(right, scalar), as_warp(x, scalar), rtol, transposed)
        count, error, goal = out
        if not float(error) <= 1.01 * float(goal):
            raise LinearFailure(
                f"the linear solver on the device stalled after {int(count)} iterations at a "
                f"relative residual of {float(error):.2g}, expected {float(goal):.2g}: the "
                "stiffness matrix is singular, not positive definite or very ill-conditioned; try "
                "more load steps, or device='cpu' with linear='lu'"
            )
        return x.reshape(b.shape) * size

    @property
    def bytes(self) -> int:
        """See `Factor.bytes`."""
        return self.blocks.numel() * self.blocks.element_size()

    def _iterate(
        self, b: wp.array, x: wp.array, rtol: float, transposed: bool
    ) -> tuple[Any, Any, Any]:
        """Iterations, residual and its goal; the solution goes into x."""
        from warp.optim.linear import bicgstab, cg, gmres, preconditioner
        from warp.sparse import bsr_transposed

        matrix = self._matrix()
        if transposed and not self.symmetric:
            matrix = bsr_transposed(matrix)
        M = preconditioner(matrix, "block_jacobi_direct")
        settings: Any = {"tol": rtol, "maxiter": 10 * MOST_ITERATIONS, "M": M}
        out: Any
        if self.symmetric:
            out = cg(matrix, b, x, **settings)
            return out
        out = bicgstab(matrix, b, x, **settings)
        found, goal = float(out[1]), float(out[2])
        if not (found <= 1.01 * goal and self._left(matrix, x, b) <= DRIFT * goal):
            x.zero_()
            out = gmres(matrix, b, x, restart=100, **settings)
        return out

    def _left(self, matrix: Any, x: wp.array, b: wp.array) -> float:
        """Norm of b − K x: that of BiCGSTAB's recurrence is not, once it divided by nearly 0."""
        from warp.sparse import bsr_mv

        left: Any = wp.clone(b)
        bsr_mv(matrix, x, left, alpha=-1.0, beta=1.0)
        return float(wp.to_torch(left).norm())

    def _matrix(self) -> Any:
        from warp.sparse import bsr_zeros

        p = self.pattern
        n = len(p.rows) - 1
        matrix: Any = bsr_zeros(n, n, types(precision(self.blocks)).mat33,
                           device=wp.device_from_torch(self.blocks.device))  # fmt: skip
        matrix.offsets = as_warp(p.rows, wp.int32)
        matrix.columns = as_warp(p.columns, wp.int32)
        matrix.values = as_warp(self.blocks, types(precision(self.blocks)).mat33)
        matrix.notify_nnz_changed(nnz=len(p.columns))
        return matrix
