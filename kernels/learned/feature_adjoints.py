# SPDX-License-Identifier: Apache-2.0
"""Adjoints of features.py, hand-written and launched forward."""

from typing import Any

import warp as wp

from ..decompose import decompositions
from ..dtypes import factory, types


@factory
def adjoints(kind: str, dtype: Any, module: str) -> tuple[wp.Kernel, wp.Kernel, wp.Kernel]:
    """`measure_adjoint`, `stress_adjoint` and `flow_adjoint` of FeatureKernels."""
    pull = {
        "full": _full_pull,
        "smooth": _smooth_pull,
        "polar": _polar_pull,
        "scalar": _scalar_pull,
    }[kind](dtype)
    measure_adjoint = _measure_adjoint(pull, dtype, module)
    return measure_adjoint, *_output_adjoints(dtype, module)


@factory
def common(dtype: Any) -> tuple[wp.Function, wp.Function]:
    """C - I and J - 1 of "full" and "smooth" into ten columns of x, and the pullback of both."""
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


@factory
def halves(dtype: Any) -> tuple[wp.Function, wp.Function]:
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


@factory
def _full_pull(dtype: Any) -> wp.Function:
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    polar_pullback = decompositions(dtype).polar_pullback
    _write, pull_common = common(dtype)

    @wp.func
    def pull(
        i: int, F: mat33, R: mat33, V: wp.array[mat33], x_bar: wp.array2d[scalar], R_bar: mat33
    ):
        s_bar = wp.diag(vec3(x_bar[i, 0], x_bar[i, 1], x_bar[i, 2]))
        total = R * (V[i] * s_bar * wp.transpose(V[i]))
        total += pull_common(i, 3, F, x_bar)
        return total + polar_pullback(F, R, R_bar)

    return pull


@factory
def _smooth_pull(dtype: Any) -> wp.Function:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    polar_pullback = decompositions(dtype).polar_pullback
    _write, pull_common = common(dtype)

    @wp.func
    def pull(
        i: int, F: mat33, R: mat33, V: wp.array[mat33], x_bar: wp.array2d[scalar], R_bar: mat33
    ):
        e1 = wp.ddot(R, F)
        total = (x_bar[i, 0] + x_bar[i, 1] * e1) * R - x_bar[i, 1] * F
        total += pull_common(i, 2, F, x_bar)
        return total + polar_pullback(F, R, R_bar)

    return pull


@factory
def _polar_pull(dtype: Any) -> wp.Function:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    polar_pullback = decompositions(dtype).polar_pullback

    @wp.func
    def pull(
        i: int, F: mat33, R: mat33, V: wp.array[mat33], x_bar: wp.array2d[scalar], R_bar: mat33
    ):
        B = mat33()
        for a in range(3):
            for b in range(3):
                B[a, b] = x_bar[i, 3 * a + b]
        return R * B + polar_pullback(F, R, R_bar + F * wp.transpose(B))

    return pull


@factory
def _scalar_pull(dtype: Any) -> wp.Function:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    two = scalar(2.0)
    d = decompositions(dtype)
    polar_pullback, cofactor = d.polar_pullback, d.cofactor

    @wp.func
    def pull(
        i: int, F: mat33, R: mat33, V: wp.array[mat33], x_bar: wp.array2d[scalar], R_bar: mat33
    ):
        total = x_bar[i, 0] * R + two * x_bar[i, 1] * F + x_bar[i, 2] * cofactor(F)
        return total + polar_pullback(F, R, R_bar)

    return pull


def _measure_adjoint(pull: wp.Function, dtype: Any, module: str) -> wp.Kernel:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33

    @wp.kernel(module=module, enable_backward=False)
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
        F_bar[start + i] += pull(i, F[start + i], R[row + i], V, x_bar, R_bar[i])

    return measure_adjoint


def _output_adjoints(dtype: Any, module: str) -> tuple[wp.Kernel, wp.Kernel]:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    symmetric, pull = halves(dtype)

    @wp.kernel(module=module, enable_backward=False)
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

    @wp.kernel(module=module, enable_backward=False)
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

    return stress_adjoint, flow_adjoint
