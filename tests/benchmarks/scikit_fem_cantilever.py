# SPDX-License-Identifier: Apache-2.0
"""The cantilever of `fem.py` by scikit-fem 12, as a user who cares for speed would write it.

Mesh, bases, quadrature and the assembled matrix are scikit-fem's; element matrices come from
batched products instead of a form that is evaluated for each pair of shape functions (that takes
fifty times as long). Linear systems: SuperLU for few unknowns, otherwise conjugate gradients with
smoothed aggregation by pyamg on 3 x 3 blocks, made once a load step and with one sweep each way. A
new one for each matrix, pyamg's default sweeps and a Krylov tolerance of 1e-10 would take almost
twice as long. Needs `pip install "rheograd[bench]"`.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

import numpy as np
import pyamg
from measured import (
    LENGTH,
    POISSON,
    STEPS,
    TOLERANCE,
    TRACTION,
    YOUNG,
    Solution,
    Stopwatch,
    load_norm,
)  # fmt: skip
from scipy.sparse.linalg import cg, spsolve
from skfem import Basis, ElementHex1, ElementVector, FacetBasis, LinearForm, MeshHex
from skfem.assembly.form.coo_data import COOData

MU = YOUNG / (2 * (1 + POISSON))
LAMBDA = YOUNG * POISSON / ((1 + POISSON) * (1 - 2 * POISSON))
DIRECT = 10_000
"""Unknowns below which SuperLU is the faster."""
KRYLOV = 1e-3
"""Relative tolerance of conjugate gradients."""


class Cantilever:
    """Bases, loads and what of the element matrices does not change."""

    def __init__(self, n: int) -> None:
        across = np.linspace(0.0, 1.0, n + 1)
        mesh = MeshHex.init_tensor(np.linspace(0.0, LENGTH, 4 * n + 1), across, across)
        element = ElementVector(ElementHex1())
        self.basis = Basis(mesh, element, intorder=3)
        scalar = Basis(mesh, ElementHex1(), intorder=3)
        slopes = np.stack([np.asarray(shape[0].grad) for shape in scalar.basis], -1)
        self.gradient = np.ascontiguousarray(slopes.transpose(1, 2, 3, 0))
        """Of the shape functions, shape (elements, points, nodes, 3)."""
        self.weight = self.basis.dx
        end = FacetBasis(mesh, element, facets=mesh.facets_satisfying(lambda x: x[0] == LENGTH))
        self.share = [LinearForm(lambda v, _, i=i: v.value[i]).assemble(end) for i in range(3)]
        self.load = TRACTION * self.share[2]
        self.dofs = np.ascontiguousarray(self.basis.element_dofs.T)
        """Of each element, node by node, shape (elements, 24)."""
        held = self.basis.get_dofs(lambda x: x[0] == 0.0).all()
        self.free = self.basis.complement_dofs(held)
        i, j = np.broadcast_arrays(self.dofs[:, :, None], self.dofs[:, None, :])
        self.pairs = np.stack([i.ravel(), j.ravel()])
        self.modes = rigid_motions(mesh.p)[self.free]

    def deformation(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Deformation gradients and ln J at the points."""
        local = u[self.dofs].reshape(-1, 1, 8, 3)
        F = np.eye(3) + np.swapaxes(local, 2, 3) @ self.gradient
        return F, np.log(np.linalg.det(F))

    def forces(self, F: np.ndarray, lnJ: np.ndarray) -> np.ndarray:
        """Internal forces of all unknowns [N]."""
        inverse = np.linalg.inv(F)
        P = MU * F + (LAMBDA * lnJ - MU)[..., None, None] * np.swapaxes(inverse, 2, 3)
        P *= self.weight[..., None, None]
        local = (self.gradient @ np.swapaxes(P, 2, 3)).sum(1)
        return np.bincount(self.dofs.ravel(), local.ravel(), self.basis.N)

    def matrix(self, F: np.ndarray, lnJ: np.ndarray) -> Any:
        """Tangent of the free unknowns, in 3 x 3 blocks.

        With h = F^-T g: K_ab,ik = mu g_a.g_b d_ik + (mu - lam ln J) h_a,k h_b,i + lam h_a,i h_b,k
        """
        elements, points = lnJ.shape
        h = self.gradient @ np.linalg.inv(F)
        along = h.transpose(0, 2, 3, 1).reshape(elements, 24, points)
        across = np.swapaxes(along, 1, 2)
        K = (along * (self.weight * (MU - LAMBDA * lnJ))[:, None]) @ across
        K = K.reshape(elements, 8, 3, 8, 3).swapaxes(2, 4)
        K = K + (along * (LAMBDA * self.weight)[:, None] @ across).reshape(K.shape)
        weighted = self.gradient * (MU * self.weight)[..., None, None]
        plain = np.einsum("eqaj,eqbj->eab", weighted, self.gradient, optimize=True)
        for i in range(3):
            K[:, :, i, :, i] += plain
        size = (self.basis.N, self.basis.N)
        whole = COOData(self.pairs, K.ravel(), size, None).tocsr()
        return whole[self.free][:, self.free].tobsr((3, 3))


def rigid_motions(x: np.ndarray) -> np.ndarray:
    """Translations along and rotations about each axis, shape (3 nodes, 6)."""
    modes = np.zeros((x.shape[1], 3, 6))
    X, Y, Z = x
    for i in range(3):
        modes[:, i, i] = 1.0
    modes[:, 1, 3], modes[:, 2, 3] = -Z, Y
    modes[:, 0, 4], modes[:, 2, 4] = Z, -X
    modes[:, 0, 5], modes[:, 1, 5] = -Y, X
    return modes.reshape(-1, 6)


def hierarchy(K: Any, modes: np.ndarray) -> Any:
    """A V-cycle, as a linear operator."""
    levels = pyamg.smoothed_aggregation_solver(
        K, modes, symmetry="symmetric", improve_candidates=None,
        presmoother=("block_gauss_seidel", {"sweep": "forward"}),
        postsmoother=("block_gauss_seidel", {"sweep": "backward"}),
    )  # fmt: skip
    return levels.aspreconditioner()


def newton_step(K: Any, r: np.ndarray, precondition: Any, clock: Stopwatch) -> np.ndarray:
    """Solve K x = r, directly without a preconditioner."""
    with clock.section("solve"):
        if precondition is None:
            return np.asarray(spsolve(K.tocsc(), r))
        x, failed = cg(K, r, rtol=KRYLOV, maxiter=500, M=precondition)
    assert not failed, "conjugate gradients stalled"
    return x


def warm() -> None:
    """Nothing is compiled; caches of the libraries."""
    solve(2, Stopwatch())


def solve(n: int, clock: Stopwatch) -> Solution:
    """Newton's method, load step after load step."""
    with clock.section("model"):
        c = Cantilever(n)
    direct = len(c.free) < DIRECT
    u = np.zeros(c.basis.N)
    goal, norm, count = TOLERANCE * load_norm(n), 0.0, 0
    for step in range(1, STEPS + 1):
        precondition = None
        while True:
            with clock.section("assembly"):
                F, lnJ = c.deformation(u)
                r = (step / STEPS * c.load - c.forces(F, lnJ))[c.free]
            norm = float(np.linalg.norm(r))
            if norm <= goal:
                break
            with clock.section("assembly"):
                K = c.matrix(F, lnJ)
            if precondition is None and not direct:
                with clock.section("set-up"):
                    precondition = hierarchy(K, c.modes)
            u[c.free] += newton_step(K, r, precondition, clock)
            count += 1
    mean = [float(share @ u) for share in c.share]
    return Solution(mean, norm / load_norm(n), count, "direct" if direct else "amg")
