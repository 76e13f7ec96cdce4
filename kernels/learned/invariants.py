# SPDX-License-Identifier: Apache-2.0
"""Invariants of F, the stress of an energy of them given its slopes, and the adjoint of both.

    J = det F,   b = J^(-2/3) F F^T,   I1 = tr b,   I2 = (I1^2 - tr b^2) / 2
    tau = 2 dev[(s1 + I1 s2) b - s2 b^2] + s3 I

s1 and s2 are the derivatives of the energy by I1 and I2, s3 is J times that by J: what a network or
a formula answers between two launches (Holzapfel 2000, "Nonlinear Solid Mechanics", ch. 6.4).

With T the gradient by tau, D = dev sym T and A : B = tr(A^T B), that of T : tau by the slopes is

    2 D : b,   2 (I1 D : b - D : b^2),   tr T

and with b_bar = 2 ((s1 + I1 s2) D - s2 (D b + b D)) + (2 s2 D : b + I1_bar) I + I2_bar (I1 I - b),
I1_bar to J_bar what comes back through the slopes, that by F is

    F_bar = 2 J^(-2/3) b_bar F + (J_bar - 2/3 (b_bar : b) / J) cof F,   cof F = J F^-T
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types


class InvariantKernels(NamedTuple):
    """Kernels of one precision, a thread a point i; rows of three numbers have the shape (3, q)."""

    measure: wp.Kernel
    """(F[i], at_out[:, i]): I1, I2 and J."""
    stress: wp.Kernel
    """(F[i], slopes[:, i], tau_out[i])"""
    by_slopes: wp.Kernel
    """(F[i], tau_bar[i], slopes_bar_out[:, i])"""
    pull: wp.Kernel
    """(F[i], slopes[:, i], at_bar[:, i], tau_bar[i], F_bar[i]): adds to the last."""


@factory
def invariant_kernels(dtype: Any) -> InvariantKernels:
    """Kernels for wp.float32 or wp.float64."""
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    module = f"rheograd.kernels.learned.invariants.{t.suffix}"
    third, half, two = scalar(1.0 / 3.0), scalar(0.5), scalar(2.0)
    power = scalar(-2.0 / 3.0)

    @wp.func
    def isochoric(F: mat33):
        """The tensor b; not a number where J < 0."""
        return wp.pow(wp.determinant(F), power) * (F * wp.transpose(F))

    @wp.func
    def deviator(T: mat33):
        """Of the symmetric part."""
        return half * (T + wp.transpose(T)) - third * wp.trace(T) * wp.identity(n=3, dtype=scalar)

    @wp.kernel(module=module, enable_backward=False)
    def measure(F: wp.array[mat33], at_out: wp.array2d[scalar]):
        i = wp.tid()
        b = isochoric(F[i])
        first = wp.trace(b)
        at_out[0, i] = first
        at_out[1, i] = half * (first * first - wp.ddot(b, b))
        at_out[2, i] = wp.determinant(F[i])

    @wp.kernel(module=module, enable_backward=False)
    def stress(F: wp.array[mat33], slopes: wp.array2d[scalar], tau_out: wp.array[mat33]):
        i = wp.tid()
        b = isochoric(F[i])
        one = slopes[0, i] + wp.trace(b) * slopes[1, i]
        inner = two * (one * b - slopes[1, i] * (b * b))
        pressure = slopes[2, i] - third * wp.trace(inner)
        tau_out[i] = inner + pressure * wp.identity(n=3, dtype=scalar)

    @wp.kernel(module=module, enable_backward=False)
    def by_slopes(F: wp.array[mat33], tau_bar: wp.array[mat33], slopes_bar_out: wp.array2d[scalar]):
        i = wp.tid()
        b = isochoric(F[i])
        D = deviator(tau_bar[i])
        first = wp.ddot(D, b)
        slopes_bar_out[0, i] = two * first
        slopes_bar_out[1, i] = two * (wp.trace(b) * first - wp.ddot(D, b * b))
        slopes_bar_out[2, i] = wp.trace(tau_bar[i])

    @wp.kernel(module=module, enable_backward=False)
    def pull(
        F: wp.array[mat33],
        slopes: wp.array2d[scalar],
        at_bar: wp.array2d[scalar],
        tau_bar: wp.array[mat33],
        F_bar: wp.array[mat33],
    ):
        i = wp.tid()
        J = wp.determinant(F[i])
        b = isochoric(F[i])
        D = deviator(tau_bar[i])
        first = wp.trace(b)
        one = slopes[0, i] + first * slopes[1, i]
        b_bar = two * (one * D - slopes[1, i] * (D * b + b * D)) - at_bar[1, i] * b
        shared = two * slopes[1, i] * wp.ddot(D, b) + at_bar[0, i] + at_bar[1, i] * first
        b_bar += shared * wp.identity(n=3, dtype=scalar)
        cofactor = J * wp.transpose(wp.inverse(F[i]))
        by_volume = at_bar[2, i] + power * wp.ddot(b_bar, b) / J
        F_bar[i] = F_bar[i] + two * wp.pow(J, power) * (b_bar * F[i]) + by_volume * cofactor

    return InvariantKernels(measure, stress, by_slopes, pull)
