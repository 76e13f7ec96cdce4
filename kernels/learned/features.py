# SPDX-License-Identifier: Apache-2.0
"""Rotation-invariant features of a deformation gradient, around which learned laws are built.

With F = R S the polar decomposition, sigma the signed singular values in descending order,
C = F^T F, e1, e2 the first two elementary symmetric functions of sigma and J = det F:

    "full"    sigma - 1 (3), C - I (9, row by row), J - 1: as in Ma et al. 2023, "Learning
              Neural Constitutive Laws From Motion Observations" (NCLaw)
    "smooth"  e1 - 3, e2 - 3, C - I (9), J - 1: smooth also where singular values coincide
    "polar"   S - I (9): smooth as well
    "scalar"  tr S - 3, tr C - 3, J - 1: all that an isotropic energy depends on, but not by itself
              a tensor; smooth as well

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

from ..decompose import decompositions
from ..dtypes import factory, types
from .feature_adjoints import adjoints, common, halves
from .lanes import LANES, lane_functions

WIDTH = {"full": 13, "smooth": 12, "polar": 9, "scalar": 3}
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
        entries = {
            "full": _entries_full,
            "smooth": _entries_smooth,
            "polar": _entries_polar,
            "scalar": _entries_scalar,
        }[kind](dtype)
        describe = _describe(entries, dtype)
    lanes = LANES if wide else 1
    measure, recall = _measure(rotate, describe, lanes, dtype, forward)
    follow, advance = _advance(describe, lanes, dtype, forward)
    stress, flow = _outputs(dtype, forward)
    backward = adjoints(kind, dtype, f"{module}.adjoint")
    return FeatureKernels(lanes, measure, recall, follow, stress, flow, advance, *backward)


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
def _entries_full(dtype: Any) -> wp.Function:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    d = decompositions(dtype)
    eigenvectors, descending = d.eigenvectors, d.descending
    strain = _strain(dtype)
    write, _pull = common(dtype)

    @wp.func
    def entries(
        F: mat33, R: mat33, x_out: wp.array2d[scalar], V_out: wp.array[mat33], to: int
    ):  # fmt: skip
        e, V = eigenvectors(strain(F, R))
        _W, e, V = descending(V, e, V)
        for a in range(3):
            x_out[to, a] = e[a]
        write(to, 3, F, x_out)
        V_out[to] = V

    return entries


@factory
def _entries_smooth(dtype: Any) -> wp.Function:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    half, two = scalar(0.5), scalar(2.0)
    strain = _strain(dtype)
    write, _pull = common(dtype)

    @wp.func
    def entries(
        F: mat33, R: mat33, x_out: wp.array2d[scalar], V_out: wp.array[mat33], to: int
    ):  # fmt: skip
        E = strain(F, R)
        e1 = wp.trace(E)
        x_out[to, 0] = e1
        x_out[to, 1] = two * e1 + half * (e1 * e1 - wp.ddot(E, E))
        write(to, 2, F, x_out)

    return entries


@factory
def _entries_polar(dtype: Any) -> wp.Function:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    strain = _strain(dtype)

    @wp.func
    def entries(
        F: mat33, R: mat33, x_out: wp.array2d[scalar], V_out: wp.array[mat33], to: int
    ):  # fmt: skip
        E = strain(F, R)
        for a in range(3):
            for b in range(3):
                x_out[to, 3 * a + b] = E[a, b]

    return entries


@factory
def _entries_scalar(dtype: Any) -> wp.Function:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    one, two = scalar(1.0), scalar(2.0)
    strain = _strain(dtype)

    @wp.func
    def entries(
        F: mat33, R: mat33, x_out: wp.array2d[scalar], V_out: wp.array[mat33], to: int
    ):  # fmt: skip
        E = strain(F, R)
        e1 = wp.trace(E)
        x_out[to, 0] = e1
        x_out[to, 1] = two * e1 + wp.ddot(E, E)
        x_out[to, 2] = wp.determinant(F) - one

    return entries


@factory
def _describe(entries: wp.Function, dtype: Any) -> wp.Function:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33

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
        entries(F[first], R[row], x_out, V_out, to)

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
    symmetric, _pull = halves(dtype)

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


def _outputs(dtype: Any, module: str) -> tuple[wp.Kernel, wp.Kernel]:
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    symmetric, _pull = halves(dtype)

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
