# SPDX-License-Identifier: Apache-2.0
"""Linear systems in block rows: which method suits, and its factorization or preconditioner.

On a CPU: a banded Cholesky factorization (LAPACK) where that is cheap, conjugate gradients with
smoothed aggregation (pyamg) for what is larger; where the matrix is not symmetric or not positive
definite, LU in a band or SuperLU, and GMRES with the same preconditioner beyond. On CUDA: the
iterations of warp.optim.linear with block Jacobi.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np
import scipy.sparse as sp
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from .assembler import Pattern

Method = Literal["auto", "cholesky", "lu", "amg", "gmres", "warp"]
"""cholesky: banded, symmetric positive definite; lu: any; amg: conjugate gradients, symmetric
positive definite; gmres: any; warp: on the device."""

BAND_LIMIT = 3.0e9
"""Multiplications up to which a banded factorization is chosen."""
LU_LIMIT = 60_000
"""Unknowns up to which LU is chosen for a matrix that is not symmetric."""
DIAGONAL = 0.01
"""Of the largest in its column, above which LU of a symmetric matrix takes the diagonal as pivot:
other pivots cost the order that keeps it sparse."""
MOST_ITERATIONS = 1000
"""Of a Krylov method."""
SLOW = 24
"""Iterations at which a preconditioner kept from an earlier matrix is made anew."""


P = ParamSpec("P")
R = TypeVar("R")


@functools.cache
def _libraries() -> ThreadpoolController:
    """The linear algebra libraries that scipy has loaded."""
    import scipy.linalg

    assert scipy.linalg
    return ThreadpoolController()


def on_one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Decorates what calls LAPACK on narrow bands: there OpenBLAS's threads wait for one another.

    On two cores a factor of 963 unknowns in a band of 150 took 3 ms with one thread, 77 ms with
    two, and 600 ms with two while something else ran.
    """

    @functools.wraps(function)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        with _libraries().limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return alone


class LinearFailure(RuntimeError):
    """A system could not be solved; says why."""


class Factor(ABC):
    """One matrix, ready to be solved with."""

    @abstractmethod
    def solve(self, b: Tensor, rtol: float, transposed: bool = False) -> Tensor:
        """The solution of K x = b, or of its transpose; b and x of shape (n, 3).

        Args:
            b: Right-hand side.
            rtol: Norm of the residual by that of b at which an iteration stops.
            transposed: Whether with the transpose of K.

        Raises:
            LinearFailure: It does not get there.
        """

    @property
    @abstractmethod
    def bytes(self) -> int:
        """Memory that it holds."""


class LinearSolver:
    """Makes factors of the matrices of one pattern, and keeps what serves several of them."""

    def __init__(
        self,
        pattern: Pattern,
        method: Method,
        symmetric: bool,
        fixed: Tensor,
    ) -> None:
        """Choose a method.

        Args:
            pattern: Of the matrices.
            method: Which; "auto" chooses.
            symmetric: Whether they are.
            fixed: Components held by the identity, shape (n, 3), bool.
        """
        self.pattern, self.symmetric, self.fixed = pattern, symmetric, fixed
        self.n = len(fixed)
        self.chosen = method == "auto"
        self.method = self._choose() if method == "auto" else method
        if not symmetric and self.method in ("cholesky", "amg"):
            raise ValueError(
                f"got linear={method!r} for a matrix that is not symmetric (a law that is no "
                "energy, friction or a follower load), expected 'lu' or 'gmres', or 'auto'"
            )
        if self.fixed.is_cuda and self.method != "warp":
            raise ValueError(
                f"got linear={method!r} on a CUDA device, where only 'warp' solves: take that or "
                "'auto', or device='cpu'"
            )
        self.kept: Any = None

    def _choose(self) -> Method:
        if self.fixed.is_cuda:
            return "warp"
        if not self.symmetric:
            return "lu" if 3 * self.n <= LU_LIMIT else "gmres"
        return "cholesky" if self._banded(1.0) else "amg"

    def _banded(self, cost: float) -> bool:
        """Whether a factorization in the band is cheap, by its cost over that of Cholesky's."""
        return cost * 3.0 * self.n * self.bands[1] ** 2 <= BAND_LIMIT

    @cached_property
    def bands(self) -> tuple[np.ndarray, int]:
        """Order of the nodes that keeps the band narrow, and its half width in components."""
        from scipy.sparse.csgraph import reverse_cuthill_mckee

        rows, columns = (t.cpu().numpy() for t in (self.pattern.row, self.pattern.columns))
        shape = (self.n, self.n)
        graph = sp.csr_matrix((np.ones(len(columns), np.int8), (rows, columns)), shape=shape)
        orders = [np.arange(self.n), reverse_cuthill_mckee(graph, symmetric_mode=True)]
        found = []
        for order in orders:
            place = np.empty(self.n, np.int64)
            place[order] = np.arange(self.n)
            found.append((place, 3 * int(np.abs(place[rows] - place[columns]).max()) + 2))
        return min(found, key=lambda pair: pair[1])

    @on_one_thread
    def factor(self, blocks: Tensor, x: Tensor) -> Factor:
        """Prepare a matrix.

        Args:
            blocks: Shape (z, 3, 3), in the order of the pattern.
            x: Where the nodes are [m], shape (n, 3), for rigid motions.

        Raises:
            LinearFailure: It is singular.
        """
        if self.method == "warp":  # which fails by itself where the matrix is not finite
            from .device import DeviceFactor

            return DeviceFactor(self.pattern, blocks, self.symmetric)
        if not bool(torch.isfinite(blocks.sum())):
            raise LinearFailure("the stiffness matrix is not finite")
        if self.method == "cholesky":
            try:
                return Banded(self, blocks)
            except np.linalg.LinAlgError:  # past a limit point: not positive definite
                return self._lu(blocks)
        if self.method == "lu":
            return self._lu(blocks)
        return Multigrid(self, blocks, x)

    def _lu(self, blocks: Tensor) -> Factor:
        if self._banded(4.0):
            return BandedLU(self, blocks)
        return Direct(self.matrix(blocks), self.symmetric)

    @cached_property
    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column in the band's order of each number of the blocks, shape (z, 3, 3) each."""
        place, axis = self.bands[0], np.arange(3)
        rows, columns = (place[t.cpu().numpy()] for t in (self.pattern.row, self.pattern.columns))
        shape = (len(rows), 3, 3)
        i = np.broadcast_to(3 * rows[:, None, None] + axis[:, None], shape)
        j = np.broadcast_to(3 * columns[:, None, None] + axis, shape)
        return i, j

    def matrix(self, blocks: Tensor) -> sp.bsr_matrix:
        """As a scipy matrix on the same memory."""
        p = self.pattern
        parts = (blocks.cpu().numpy(), p.columns.cpu().numpy(), p.rows.cpu().numpy())
        return sp.bsr_matrix(parts, shape=(3 * self.n, 3 * self.n))


class Banded(Factor):
    """Cholesky in a band."""

    def __init__(self, solver: LinearSolver, blocks: Tensor) -> None:
        """Factorize; numpy.linalg.LinAlgError if the matrix is not positive definite."""
        from scipy.linalg import cholesky_banded

        place, width = solver.bands
        if solver.kept is None:
            i, j = solver.entries
            lower = i >= j
            solver.kept = (lower, (i - j)[lower], j[lower])
        lower, band, column = solver.kept
        table = np.zeros((width + 1, 3 * solver.n))
        table[band, column] = blocks.numpy()[lower]
        self.factor = cholesky_banded(table, overwrite_ab=True, lower=True, check_finite=False)
        self.place = place

    @on_one_thread
    def solve(self, b: Tensor, rtol: float, transposed: bool = False) -> Tensor:
        """See `Factor.solve`."""
        from scipy.linalg import cho_solve_banded

        order = np.argsort(self.place)
        ordered = b.detach().double().numpy()[order].reshape(-1)
        x = cho_solve_banded((self.factor, True), ordered, check_finite=False)
        return torch.from_numpy(x.reshape(-1, 3)[self.place]).to(b)

    @property
    def bytes(self) -> int:
        """See `Factor.bytes`."""
        return self.factor.nbytes


class BandedLU(Factor):
    """LU with row exchanges in a band."""

    def __init__(self, solver: LinearSolver, blocks: Tensor) -> None:
        """Factorize."""
        from scipy.linalg import get_lapack_funcs

        self.place, self.width = solver.bands
        i, j = solver.entries
        table = np.zeros((3 * self.width + 1, 3 * solver.n), order="F")
        table[2 * self.width + i - j, j] = blocks.numpy()
        factorize, self.solved = get_lapack_funcs(("gbtrf", "gbtrs"), (table,))
        self.factor, self.pivots, failed = factorize(
            table, self.width, self.width, overwrite_ab=True
        )
        if failed:
            raise LinearFailure("the stiffness matrix is singular")

    @on_one_thread
    def solve(self, b: Tensor, rtol: float, transposed: bool = False) -> Tensor:
        """See `Factor.solve`."""
        right = b.detach().double().numpy()[np.argsort(self.place)].reshape(-1)
        x, _ = self.solved(
            self.factor, self.width, self.width, right, self.pivots, trans=int(transposed)
        )
        return torch.from_numpy(x.reshape(-1, 3)[self.place]).to(b)

    @property
    def bytes(self) -> int:
        """See `Factor.bytes`."""
        return self.factor.nbytes


class Direct(Factor):
    """SuperLU."""

    def __init__(self, matrix: sp.bsr_matrix, symmetric: bool) -> None:
        """Factorize."""
        from scipy.sparse.linalg import splu

        options: dict[str, Any] = {}
        if symmetric:
            options = {"SymmetricMode": True, "DiagPivotThresh": DIAGONAL}
        order = "MMD_AT_PLUS_A" if symmetric else "COLAMD"
        try:
            self.factor = splu(matrix.tocsc().astype(np.float64), permc_spec=order, options=options)
        except RuntimeError as error:
            raise LinearFailure("the stiffness matrix is singular") from error

    @on_one_thread
    def solve(self, b: Tensor, rtol: float, transposed: bool = False) -> Tensor:
        """See `Factor.solve`."""
        right = b.detach().cpu().double().numpy().reshape(-1)
        x = self.factor.solve(right, "T" if transposed else "N")
        return torch.from_numpy(x.reshape(-1, 3)).to(b)

    @property
    def bytes(self) -> int:
        """See `Factor.bytes`: 12 a number, with its row."""
        return 12 * self.factor.nnz


class Multigrid(Factor):
    """A Krylov method with smoothed aggregation; the hierarchy serves while it is good enough.

    A hierarchy made for an earlier matrix is tried first, with the present matrix outside it.
    """

    def __init__(self, solver: LinearSolver, blocks: Tensor, x: Tensor) -> None:
        """Prepare; nothing is computed before a solve."""
        self.solver, self.x = solver, x
        self.matrix = solver.matrix(blocks)

    def solve(self, b: Tensor, rtol: float, transposed: bool = False) -> Tensor:
        """See `Factor.solve`."""
        matrix = self.matrix.T.tobsr(blocksize=(3, 3)) if transposed else self.matrix
        right = b.detach().double().numpy().reshape(-1)
        kept = self.solver.kept
        if kept is not None:
            found, count = self._iterate(matrix, right, rtol, kept[0], 2 * max(kept[1], SLOW))
            if found is not None:
                if count > max(SLOW, 2 * kept[1]):
                    self.solver.kept = None
                return torch.from_numpy(found.reshape(-1, 3)).to(b)
        precondition = self._hierarchy()
        found, count = self._iterate(matrix, right, rtol, precondition, MOST_ITERATIONS)
        if found is None and self.solver.chosen and 3 * self.solver.n <= LU_LIMIT:
            return self._given_up(count).solve(b, rtol, transposed)
        if found is None:
            raise LinearFailure(
                f"the linear solver stalled after {count} iterations: the stiffness matrix is "
                "singular, not positive definite or very ill-conditioned; try linear='lu'"
            )
        self.solver.kept = (precondition, count)
        return torch.from_numpy(found.reshape(-1, 3)).to(b)

    @property
    def bytes(self) -> int:
        """See `Factor.bytes`."""
        return self.matrix.data.nbytes

    def _given_up(self, count: int) -> Factor:
        """LU, for good where iterations went on in vain: a nearly incompressible solid."""
        if count >= MOST_ITERATIONS:
            self.solver.method, self.solver.kept = "lu", None
        return Direct(self.matrix, self.solver.symmetric)

    def _iterate(
        self, matrix: Any, b: np.ndarray, rtol: float, precondition: Any, most: int
    ) -> tuple[np.ndarray | None, int]:
        if self.solver.method == "gmres":
            return _gmres(matrix, b, rtol, precondition, most)
        from .multigrid import Product

        return _conjugate_gradients(Product(matrix), b, rtol, precondition, most)

    def _hierarchy(self) -> Callable[[np.ndarray], np.ndarray]:
        from .multigrid import hierarchy

        modes = rigid_motions(self.x)
        modes[self.solver.fixed.reshape(-1).numpy()] = 0.0
        return hierarchy(self.matrix, modes, self.solver.pattern.diagonal.numpy())


def rigid_motions(x: Tensor) -> np.ndarray:
    """Translations along and rotations about each axis, shape (3 n, 6)."""
    centred = (x - x.mean(0)).detach().double().cpu().numpy()
    X, Y, Z = centred.T
    modes = np.zeros((len(x), 3, 6))
    for i in range(3):
        modes[:, i, i] = 1.0
    modes[:, 1, 3], modes[:, 2, 3] = -Z, Y
    modes[:, 0, 4], modes[:, 2, 4] = Z, -X
    modes[:, 0, 5], modes[:, 1, 5] = -Y, X
    return modes.reshape(-1, 6)


def _conjugate_gradients(
    matrix: Any, b: np.ndarray, rtol: float, precondition: Any, most: int
) -> tuple[np.ndarray | None, int]:
    """Preconditioned; None on negative curvature or if it takes too long."""
    x, r = np.zeros_like(b), b.copy()
    goal = rtol * np.linalg.norm(b)
    z = precondition(r)
    p, along = z.copy(), r @ z
    for count in range(1, most + 1):
        Kp = matrix @ p
        curvature = p @ Kp
        if not curvature > 0.0:
            return (x if not b.any() else None), count
        step = along / curvature
        x += step * p
        r -= step * Kp
        if np.linalg.norm(r) <= goal:
            return x, count
        z = precondition(r)
        before, along = along, r @ z
        p *= along / before
        p += z
    return None, most


def _gmres(
    matrix: Any, b: np.ndarray, rtol: float, precondition: Any, most: int
) -> tuple[np.ndarray | None, int]:
    from scipy.sparse.linalg import LinearOperator, gmres

    count = 0

    def counted(_norm: float) -> None:
        nonlocal count
        count += 1

    M = LinearOperator(matrix.shape, matvec=precondition, dtype=np.float64)  # type: ignore[call-arg]
    x, failed = gmres(
        matrix, b, rtol=rtol, restart=100, maxiter=max(1, most // 100), M=M,
        callback=counted, callback_type="pr_norm",
    )  # fmt: skip
    return (None if failed else x), count
