# SPDX-License-Identifier: Apache-2.0
"""Invariants of F, the stress of an energy of them given its slopes, and the adjoint of both.

Formulas are in kernels/laws/distortion.py; the slopes are what a network or a formula answers
between two launches.
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types
from ..laws.distortion import distortion_functions


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
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    module = f"rheograd.kernels.learned.invariants.{t.suffix}"
    functions = distortion_functions(dtype)
    distortion, invariants = functions.distortion, functions.invariants
    tau_of, slopes_bar_of, pull_of = functions.stress, functions.slopes_bar, functions.pull

    @wp.func
    def column(numbers: wp.array2d[scalar], i: int):
        return vec3(numbers[0, i], numbers[1, i], numbers[2, i])

    @wp.kernel(module=module, enable_backward=False)
    def measure(F: wp.array[mat33], at_out: wp.array2d[scalar]):
        i = wp.tid()
        J, b = distortion(F[i])
        I = invariants(b)
        at_out[0, i] = I[0]
        at_out[1, i] = I[1]
        at_out[2, i] = J

    @wp.kernel(module=module, enable_backward=False)
    def stress(F: wp.array[mat33], slopes: wp.array2d[scalar], tau_out: wp.array[mat33]):
        i = wp.tid()
        _J, b = distortion(F[i])
        tau_out[i] = tau_of(b, column(slopes, i))

    @wp.kernel(module=module, enable_backward=False)
    def by_slopes(F: wp.array[mat33], tau_bar: wp.array[mat33], slopes_bar_out: wp.array2d[scalar]):
        i = wp.tid()
        _J, b = distortion(F[i])
        s_bar = slopes_bar_of(b, tau_bar[i])
        for k in range(3):
            slopes_bar_out[k, i] = s_bar[k]

    @wp.kernel(module=module, enable_backward=False)
    def pull(
        F: wp.array[mat33],
        slopes: wp.array2d[scalar],
        at_bar: wp.array2d[scalar],
        tau_bar: wp.array[mat33],
        F_bar: wp.array[mat33],
    ):
        i = wp.tid()
        J, b = distortion(F[i])
        F_bar[i] += pull_of(F[i], J, b, column(slopes, i), column(at_bar, i), tau_bar[i])

    return InvariantKernels(measure, stress, by_slopes, pull)
