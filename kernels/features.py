# SPDX-License-Identifier: Apache-2.0
"""Rotation-invariant features of a deformation gradient, around which learned laws are built.

With F = R S the polar decomposition, sigma the signed singular values in descending order,
C = F^T F, e1, e2 the first two elementary symmetric functions of sigma and J = det F:

    "full"    sigma - 1 (3), C - I (9, row by row), J - 1: as in Ma et al. 2023, "Learning
              Neural Constitutive Laws From Motion Observations" (NCLaw)
    "smooth"  e1 - 3, e2 - 3, C - I (9), J - 1: smooth also where singular values coincide

All are zero at rest and unchanged by F -> Q F for a rotation Q. Sorted singular values have kinks
where two coincide; there d sigma_i = u_i^T dF v_i for the u, v that the decomposition has chosen.

A network turns the features into nine numbers X, row by row, whose symmetric part H means

    tau = scale R H F^T        (Kirchhoff stress of an elasticity, P = scale R H)
    F   = F_trial + scale R H  (plastic flow)

Kernels work on a block of particles, so that a network between two of them finds its numbers in
the cache. Adjoints are hand-written and launched forward.
"""

from typing import Any, NamedTuple

import warp as wp

from .decompose import decompositions
from .dtypes import factory, types

WIDTH = {"full": 13, "smooth": 12}
"""Number of features of each kind."""


class FeatureKernels(NamedTuple):
    """Kernels of one kind of features in one precision.

    Thread i of a launch takes particle p = start + i of arrays over all particles, row f = row + i
    of what `measure` writes, which may be kept for all particles or for the block only, and row i
    of arrays over the block.
    """

    measure: wp.Kernel
    """(start, row, F[p], x_out[f, :], R_out[f], V_out[f]); V, the right singular vectors, is
    written for "full" only and otherwise None."""
    measure_adjoint: wp.Kernel
    """(start, row, F[p], R[f], V[f], x_bar[i, :], R_bar[i], F_bar[p]); adds to F_bar."""
    stress: wp.Kernel
    """(start, row, F[p], R[f], X[i, :], scale, tau_out[p])"""
    stress_adjoint: wp.Kernel
    """(start, row, F[p], R[f], X[i, :], scale, tau_bar[p], X_bar_out[i, :], R_bar_out[i],
    F_bar[p]); adds to F_bar."""
    flow: wp.Kernel
    """(start, row, F_trial[p], R[f], X[i, :], scale, F_out[p])"""
    advance: wp.Kernel
    """(start, row, F_trial[p], R[f], X[i, :], scale, F_out[p], x_out[f, :], R_out[f], V_out[f]):
    `flow`, then `measure` of its result, whose rotation is most often that of F_trial."""
    flow_adjoint: wp.Kernel
    """(start, row, R[f], X[i, :], scale, F_bar[p], X_bar_out[i, :], R_bar_out[i]); the gradient
    with respect to F_trial is F_bar and what `measure_adjoint` adds to it."""


@factory
def feature_kernels(kind: str, dtype: Any) -> FeatureKernels:
    """The kernels of a kind of features; nothing is compiled before the first launch.

    Args:
        kind: A key of `WIDTH`.
        dtype: wp.float32 or wp.float64.

    Raises:
        KeyError: No features are called `kind`.
    """
    if kind not in WIDTH:
        raise KeyError(f"no features are called {kind!r}; there are {', '.join(WIDTH)}")
    module = f"rheograd.features.{kind}.{types(dtype).suffix}"
    describe, measure_adjoint = (_full if kind == "full" else _smooth)(dtype, module)
    measure, flow, advance = _flow(describe, dtype, module)
    stress, stress_adjoint = _stress(dtype, module)
    return FeatureKernels(
        measure,
        measure_adjoint,
        stress,
        stress_adjoint,
        flow,
        advance,
        _flow_adjoint(dtype, module),
    )


@factory
def _common(dtype: Any) -> tuple[wp.Function, wp.Function]:
    """What both kinds share: C - I and J - 1 into ten columns of x, and the pullback of both."""
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    one = scalar(1.0)
    cofactor = decompositions(dtype).cofactor

    @wp.func
    def write(i: int, first: int, F: mat33, x_out: wp.array2d[scalar]):
        C = wp.transpose(F) * F
        for a in range(3):
            for b in range(3):
                x_out[i, first + 3 * a + b] = C[a, b]
            x_out[i, first + 4 * a] = C[a, a] - one
        x_out[i, first + 9] = wp.determinant(F) - one

    @wp.func
    def pull(i: int, first: int, F: mat33, x_bar: wp.array2d[scalar]):
        B = mat33()
        for a in range(3):
            for b in range(3):
                B[a, b] = x_bar[i, first + 3 * a + b] + x_bar[i, first + 3 * b + a]
        return F * B + x_bar[i, first + 9] * cofactor(F)

    return write, pull


def _full(dtype: Any, module: str) -> tuple[wp.Function, wp.Kernel]:
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    one = scalar(1.0)
    d = decompositions(dtype)
    spectral, descending, polar_pullback = d.spectral, d.descending, d.polar_pullback
    write, pull = _common(dtype)

    @wp.func
    def describe(
        f: int,
        F: mat33,
        guess: mat33,
        x_out: wp.array2d[scalar],
        R_out: wp.array[mat33],
        V_out: wp.array[mat33],
    ):
        U, sigma, V = spectral(F)
        U, sigma, V = descending(U, sigma, V)
        for a in range(3):
            x_out[f, a] = sigma[a] - one
        write(f, 3, F, x_out)
        R_out[f] = U * wp.transpose(V)
        V_out[f] = V

    @wp.kernel(module=f"{module}.adjoint", enable_backward=False)
    def measure_adjoint(
        start: int,
        row: int,
        F: wp.array[mat33],
        R: wp.array[mat33],
        V: wp.array[mat33],
        x_bar: wp.array2d[scalar],
        R_bar: wp.array[mat33],
        F_bar: wp.array[mat33],
    ):
        i = wp.tid()
        Fp = F[start + i]
        s_bar = wp.diag(vec3(x_bar[i, 0], x_bar[i, 1], x_bar[i, 2]))
        total = R[row + i] * (V[row + i] * s_bar * wp.transpose(V[row + i]))
        total += pull(i, 3, Fp, x_bar)
        total += polar_pullback(Fp, R[row + i], R_bar[i])
        F_bar[start + i] += total

    return describe, measure_adjoint


def _smooth(dtype: Any, module: str) -> tuple[wp.Function, wp.Kernel]:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    zero, half, one, two = scalar(0.0), scalar(0.5), scalar(1.0), scalar(2.0)
    d = decompositions(dtype)
    polar, polar_pullback = d.polar, d.polar_pullback
    write, pull = _common(dtype)

    @wp.func
    def is_rotation_of(F: mat33, R: mat33):
        """Whether S = R^T F, known to be symmetric, is positive definite."""
        S = wp.transpose(R) * F
        minor = S[0, 0] * S[1, 1] - S[0, 1] * S[1, 0]
        return S[0, 0] > zero and minor > zero and wp.determinant(F) > zero

    @wp.func
    def describe(
        f: int,
        F: mat33,
        guess: mat33,
        x_out: wp.array2d[scalar],
        R_out: wp.array[mat33],
        V_out: wp.array[mat33],
    ):
        R = guess
        if not is_rotation_of(F, guess):
            R = polar(F)
        E = wp.transpose(R) * F  # S - I below: e1 and e2 of it lose no digits near rest
        for a in range(3):
            E[a, a] = E[a, a] - one
        e1 = wp.trace(E)
        x_out[f, 0] = e1
        x_out[f, 1] = two * e1 + half * (e1 * e1 - wp.ddot(E, E))
        write(f, 2, F, x_out)
        R_out[f] = R

    @wp.kernel(module=f"{module}.adjoint", enable_backward=False)
    def measure_adjoint(
        start: int,
        row: int,
        F: wp.array[mat33],
        R: wp.array[mat33],
        V: wp.array[mat33],
        x_bar: wp.array2d[scalar],
        R_bar: wp.array[mat33],
        F_bar: wp.array[mat33],
    ):
        i = wp.tid()
        Fp = F[start + i]
        Rp = R[row + i]
        e1 = wp.ddot(Rp, Fp)
        total = (x_bar[i, 0] + x_bar[i, 1] * e1) * Rp - x_bar[i, 1] * Fp
        total += pull(i, 2, Fp, x_bar)
        total += polar_pullback(Fp, Rp, R_bar[i])
        F_bar[start + i] += total

    return describe, measure_adjoint


@factory
def _halves(dtype: Any) -> tuple[wp.Function, wp.Function]:
    """The symmetric part H of row i of X, and its pullback."""
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    half = scalar(0.5)

    @wp.func
    def symmetric(i: int, X: wp.array2d[scalar]):
        H = mat33()
        for a in range(3):
            for b in range(3):
                H[a, b] = half * (X[i, 3 * a + b] + X[i, 3 * b + a])
        return H

    @wp.func
    def pull(i: int, H_bar: mat33, X_bar_out: wp.array2d[scalar]):
        for a in range(3):
            for b in range(3):
                X_bar_out[i, 3 * a + b] = half * (H_bar[a, b] + H_bar[b, a])

    return symmetric, pull


def _stress(dtype: Any, module: str) -> tuple[wp.Kernel, wp.Kernel]:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    symmetric, pull = _halves(dtype)

    @wp.kernel(module=f"{module}.forward", enable_backward=False)
    def stress(
        start: int,
        row: int,
        F: wp.array[mat33],
        R: wp.array[mat33],
        X: wp.array2d[scalar],
        scale: scalar,
        tau_out: wp.array[mat33],
    ):
        i = wp.tid()
        P = R[row + i] * symmetric(i, X)
        tau_out[start + i] = scale * (P * wp.transpose(F[start + i]))

    @wp.kernel(module=f"{module}.adjoint", enable_backward=False)
    def stress_adjoint(
        start: int,
        row: int,
        F: wp.array[mat33],
        R: wp.array[mat33],
        X: wp.array2d[scalar],
        scale: scalar,
        tau_bar: wp.array[mat33],
        X_bar_out: wp.array2d[scalar],
        R_bar_out: wp.array[mat33],
        F_bar: wp.array[mat33],
    ):
        i = wp.tid()
        H = symmetric(i, X)
        T = scale * tau_bar[start + i]
        P_bar = T * F[start + i]
        pull(i, wp.transpose(R[row + i]) * P_bar, X_bar_out)
        R_bar_out[i] = P_bar * H
        F_bar[start + i] += wp.transpose(T) * (R[row + i] * H)

    return stress, stress_adjoint


def _flow(describe: wp.Function, dtype: Any, module: str) -> tuple[wp.Kernel, wp.Kernel, wp.Kernel]:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    symmetric, _pull = _halves(dtype)

    @wp.kernel(module=f"{module}.forward", enable_backward=False)
    def measure(
        start: int,
        row: int,
        F: wp.array[mat33],
        x_out: wp.array2d[scalar],
        R_out: wp.array[mat33],
        V_out: wp.array[mat33],
    ):
        i = wp.tid()
        describe(row + i, F[start + i], mat33(), x_out, R_out, V_out)

    @wp.kernel(module=f"{module}.forward", enable_backward=False)
    def flow(
        start: int,
        row: int,
        F_trial: wp.array[mat33],
        R: wp.array[mat33],
        X: wp.array2d[scalar],
        scale: scalar,
        F_out: wp.array[mat33],
    ):
        i = wp.tid()
        F_out[start + i] = F_trial[start + i] + scale * (R[row + i] * symmetric(i, X))

    @wp.kernel(module=f"{module}.forward", enable_backward=False)
    def advance(
        start: int,
        row: int,
        F_trial: wp.array[mat33],
        R: wp.array[mat33],
        X: wp.array2d[scalar],
        scale: scalar,
        F_out: wp.array[mat33],
        x_out: wp.array2d[scalar],
        R_out: wp.array[mat33],
        V_out: wp.array[mat33],
    ):
        i = wp.tid()
        F = F_trial[start + i] + scale * (R[row + i] * symmetric(i, X))
        F_out[start + i] = F
        describe(row + i, F, R[row + i], x_out, R_out, V_out)

    return measure, flow, advance


def _flow_adjoint(dtype: Any, module: str) -> wp.Kernel:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    symmetric, pull = _halves(dtype)

    @wp.kernel(module=f"{module}.adjoint", enable_backward=False)
    def flow_adjoint(
        start: int,
        row: int,
        R: wp.array[mat33],
        X: wp.array2d[scalar],
        scale: scalar,
        F_bar: wp.array[mat33],
        X_bar_out: wp.array2d[scalar],
        R_bar_out: wp.array[mat33],
    ):
        i = wp.tid()
        B = scale * F_bar[start + i]
        pull(i, wp.transpose(R[row + i]) * B, X_bar_out)
        R_bar_out[i] = B * symmetric(i, X)

    return flow_adjoint
