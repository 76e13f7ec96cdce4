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
the cache. On a CPU the decompositions are of eight particles at once (lanes.py). Adjoints are
hand-written and launched forward.
"""

from typing import Any, NamedTuple

import warp as wp

from .decompose import decompositions
from .dtypes import factory, types
from .lanes import LANES, lane_functions

WIDTH = {"full": 13, "smooth": 12}
"""Number of features of each kind."""


class FeatureKernels(NamedTuple):
    """Kernels of one kind of features in one precision.

    Thread i of a launch takes particle p = start + i of arrays over all particles, row f = row + i
    of R, which may be kept for all particles or for the block only, and row i of arrays over the
    block. Thread i of those that take `points`, the size of the block, does so for the `lanes`
    particles from lanes * i on.

    V, the right singular vectors, is written for "full" only and otherwise None.
    """

    lanes: int
    measure: wp.Kernel
    """(start, row, points, F[p], R_out[f], x_out[i, :], V_out[i])"""
    recall: wp.Kernel
    """(start, row, points, F[p], R[f], x_out[i, :], V_out[i]): what `measure` wrote beside R."""
    follow: wp.Kernel
    """(start, row, points, F[p], R[f], R_out[i], x_out[i, :], V_out[i]): `measure` of what is
    most often R S with a positive definite S."""
    stress: wp.Kernel
    """(start, row, F[p], R[f], X[i, :], scale, tau_out[p])"""
    flow: wp.Kernel
    """(start, row, F_trial[p], R[f], X[i, :], scale, F_out[p])"""
    advance: wp.Kernel
    """(start, row, points, F_trial[p], R[f], X[i, :], scale, F_out[p], R_out[i], x_out[i, :],
    V_out[i]): `flow`, then `follow` of its result, whose rotation is most often that of F_trial."""
    measure_adjoint: wp.Kernel
    """(start, row, F[p], R[f], V[i], x_bar[i, :], R_bar[i], F_bar[p]); adds to F_bar."""
    stress_adjoint: wp.Kernel
    """(start, row, F[p], R[f], X[i, :], scale, tau_bar[p], X_bar_out[i, :], R_bar_out[i],
    F_bar[p]); adds to F_bar."""
    flow_adjoint: wp.Kernel
    """(start, row, R[f], X[i, :], scale, F_bar[p], X_bar_out[i, :], R_bar_out[i]); the gradient
    with respect to F_trial is F_bar and what `measure_adjoint` adds to it."""


@factory
def feature_kernels(kind: str, dtype: Any, wide: bool) -> FeatureKernels:
    """The kernels of a kind of features; nothing is compiled before the first launch.

    Args:
        kind: A key of `WIDTH`.
        dtype: wp.float32 or wp.float64.
        wide: Whether a thread takes several particles at once, for a CPU.

    Raises:
        KeyError: No features are called `kind`.
    """
    if kind not in WIDTH:
        raise KeyError(f"no features are called {kind!r}; there are {', '.join(WIDTH)}")
    module = f"rheograd.features.{kind}.{types(dtype).suffix}"
    forward = f"{module}.{'wide' if wide else 'forward'}"
    if wide:
        functions = lane_functions(dtype)
        rotate, describe = functions.rotate, functions.describe[kind]
    else:
        rotate = _rotate(dtype)
        describe = (_describe_full if kind == "full" else _describe_smooth)(dtype)
    lanes = LANES if wide else 1
    measure, recall = _measure(rotate, describe, lanes, dtype, forward)
    follow, advance = _advance(describe, lanes, dtype, forward)
    stress, flow = _outputs(dtype, forward)
    adjoints = _adjoints(kind, dtype, f"{module}.adjoint")
    return FeatureKernels(lanes, measure, recall, follow, stress, flow, advance, *adjoints)


@factory
def _adjoints(kind: str, dtype: Any, module: str) -> tuple[wp.Kernel, ...]:
    measure_adjoint = (_full_adjoint if kind == "full" else _smooth_adjoint)(dtype, module)
    return measure_adjoint, *_output_adjoints(dtype, module)


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


@factory
def _rotate(dtype: Any) -> wp.Function:
    mat33 = types(dtype).mat33
    polar = decompositions(dtype).polar

    @wp.func
    def rotate(F: wp.array[mat33], first: int, count: int, R_out: wp.array[mat33], row: int):
        R_out[row] = polar(F[first])

    return rotate


@factory
def _strain(dtype: Any) -> wp.Function:
    t = types(dtype)
    mat33, one = t.mat33, t.scalar(1.0)

    @wp.func
    def strain(F: mat33, R: mat33):
        """S - I, which loses no digits near rest."""
        E = wp.transpose(R) * F
        for a in range(3):
            E[a, a] = E[a, a] - one
        return E

    return strain


@factory
def _describe_full(dtype: Any) -> wp.Function:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    d = decompositions(dtype)
    eigenvectors, descending = d.eigenvectors, d.descending
    strain = _strain(dtype)
    write, _pull = _common(dtype)

    @wp.func
    def describe(
        F: wp.array[mat33],
        first: int,
        count: int,
        R: wp.array[mat33],
        row: int,
        x_out: wp.array2d[scalar],
        V_out: wp.array[mat33],
        to: int,
    ):
        Fp = F[first]
        e, V = eigenvectors(strain(Fp, R[row]))
        _W, e, V = descending(V, e, V)
        for a in range(3):
            x_out[to, a] = e[a]
        write(to, 3, Fp, x_out)
        V_out[to] = V

    return describe


@factory
def _describe_smooth(dtype: Any) -> wp.Function:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    half, two = scalar(0.5), scalar(2.0)
    strain = _strain(dtype)
    write, _pull = _common(dtype)

    @wp.func
    def describe(
        F: wp.array[mat33],
        first: int,
        count: int,
        R: wp.array[mat33],
        row: int,
        x_out: wp.array2d[scalar],
        V_out: wp.array[mat33],
        to: int,
    ):
        Fp = F[first]
        E = strain(Fp, R[row])
        e1 = wp.trace(E)
        x_out[to, 0] = e1
        x_out[to, 1] = two * e1 + half * (e1 * e1 - wp.ddot(E, E))
        write(to, 2, Fp, x_out)

    return describe


def _measure(
    rotate: wp.Function, describe: wp.Function, lanes: int, dtype: Any, module: str
) -> tuple[wp.Kernel, wp.Kernel]:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33

    @wp.kernel(module=module, enable_backward=False)
    def measure(
        start: int,
        row: int,
        points: int,
        F: wp.array[mat33],
        R_out: wp.array[mat33],
        x_out: wp.array2d[scalar],
        V_out: wp.array[mat33],
    ):
        i = lanes * wp.tid()
        count = wp.min(lanes, points - i)
        rotate(F, start + i, count, R_out, row + i)
        describe(F, start + i, count, R_out, row + i, x_out, V_out, i)

    @wp.kernel(module=module, enable_backward=False)
    def recall(
        start: int,
        row: int,
        points: int,
        F: wp.array[mat33],
        R: wp.array[mat33],
        x_out: wp.array2d[scalar],
        V_out: wp.array[mat33],
    ):
        i = lanes * wp.tid()
        describe(F, start + i, wp.min(lanes, points - i), R, row + i, x_out, V_out, i)

    return measure, recall


def _advance(
    describe: wp.Function, lanes: int, dtype: Any, module: str
) -> tuple[wp.Kernel, wp.Kernel]:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    zero = scalar(0.0)
    polar = decompositions(dtype).polar
    symmetric, _pull = _halves(dtype)

    @wp.func
    def near(F: mat33, R: mat33):
        """The rotation of F: R, if S = R^T F, known to be symmetric, is positive definite."""
        S = wp.transpose(R) * F
        minor = S[0, 0] * S[1, 1] - S[0, 1] * S[1, 0]
        out = R
        if not (S[0, 0] > zero and minor > zero and wp.determinant(F) > zero):
            out = polar(F)
        return out

    @wp.kernel(module=module, enable_backward=False)
    def follow(
        start: int,
        row: int,
        points: int,
        F: wp.array[mat33],
        R: wp.array[mat33],
        R_out: wp.array[mat33],
        x_out: wp.array2d[scalar],
        V_out: wp.array[mat33],
    ):
        i = lanes * wp.tid()
        count = wp.min(lanes, points - i)
        for lane in range(count):
            R_out[i + lane] = near(F[start + i + lane], R[row + i + lane])
        describe(F, start + i, count, R_out, i, x_out, V_out, i)

    @wp.kernel(module=module, enable_backward=False)
    def advance(
        start: int,
        row: int,
        points: int,
        F_trial: wp.array[mat33],
        R: wp.array[mat33],
        X: wp.array2d[scalar],
        scale: scalar,
        F_out: wp.array[mat33],
        R_out: wp.array[mat33],
        x_out: wp.array2d[scalar],
        V_out: wp.array[mat33],
    ):
        i = lanes * wp.tid()
        count = wp.min(lanes, points - i)
        for lane in range(count):
            p = start + i + lane
            f = row + i + lane
            F = F_trial[p] + scale * (R[f] * symmetric(i + lane, X))
            F_out[p] = F
            R_out[i + lane] = near(F, R[f])
        describe(F_out, start + i, count, R_out, i, x_out, V_out, i)

    return follow, advance


def _full_adjoint(dtype: Any, module: str) -> wp.Kernel:
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    polar_pullback = decompositions(dtype).polar_pullback
    _write, pull = _common(dtype)

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
        Fp = F[start + i]
        s_bar = wp.diag(vec3(x_bar[i, 0], x_bar[i, 1], x_bar[i, 2]))
        total = R[row + i] * (V[i] * s_bar * wp.transpose(V[i]))
        total += pull(i, 3, Fp, x_bar)
        total += polar_pullback(Fp, R[row + i], R_bar[i])
        F_bar[start + i] += total

    return measure_adjoint


def _smooth_adjoint(dtype: Any, module: str) -> wp.Kernel:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    polar_pullback = decompositions(dtype).polar_pullback
    _write, pull = _common(dtype)

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
        Fp = F[start + i]
        Rp = R[row + i]
        e1 = wp.ddot(Rp, Fp)
        total = (x_bar[i, 0] + x_bar[i, 1] * e1) * Rp - x_bar[i, 1] * Fp
        total += pull(i, 2, Fp, x_bar)
        total += polar_pullback(Fp, Rp, R_bar[i])
        F_bar[start + i] += total

    return measure_adjoint


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


def _outputs(dtype: Any, module: str) -> tuple[wp.Kernel, wp.Kernel]:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    symmetric, _pull = _halves(dtype)

    @wp.kernel(module=module, enable_backward=False)
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

    @wp.kernel(module=module, enable_backward=False)
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

    return stress, flow


def _output_adjoints(dtype: Any, module: str) -> tuple[wp.Kernel, wp.Kernel]:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    symmetric, pull = _halves(dtype)

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
