# SPDX-License-Identifier: Apache-2.0
"""From sparse points to all others and back, by weights that are fixed at rest.

Point i listens to the k sparse points index_i, with weights value_i and slope_i [1/m]. The way
back gathers over the transposed table: entries `entry[start[j] : start[j + 1]]`, each i k + m for
place m of point i, listen to sparse point j. So there are no atomics, and sums have one order.
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types


class InterpolationKernels(NamedTuple):
    """Of one precision; a thread is a point of a frame: thread f n + i is point i of frame f."""

    value: wp.Kernel
    value_adjoint: wp.Kernel
    slope: wp.Kernel
    slope_adjoint: wp.Kernel


@factory
def interpolation_kernels(dtype: Any) -> InterpolationKernels:
    """Make them."""
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    module = f"rheograd.interpolation_{t.suffix}"

    @wp.kernel(module=module, enable_backward=False)
    def value(
        index: wp.array2d[wp.int32],
        weight: wp.array2d[scalar],  # type: ignore[valid-type]
        u: wp.array2d[vec3],  # type: ignore[valid-type]
        u_out: wp.array2d[vec3],  # type: ignore[valid-type]
    ):
        """Σ value u at all points (frames, q) from u at sparse points (frames, n)."""
        thread = wp.tid()
        f = thread // index.shape[0]
        i = thread - f * index.shape[0]
        total = vec3()
        for m in range(index.shape[1]):
            total += weight[i, m] * u[f, index[i, m]]
        u_out[f, i] = total

    @wp.kernel(module=module, enable_backward=False)
    def value_adjoint(
        start: wp.array[wp.int32],
        entry: wp.array[wp.int32],
        weight: wp.array2d[scalar],  # type: ignore[valid-type]
        bar: wp.array2d[vec3],  # type: ignore[valid-type]
        u_bar_out: wp.array2d[vec3],  # type: ignore[valid-type]
    ):
        """Its transpose: (frames, q) to (frames, n)."""
        thread = wp.tid()
        f = thread // u_bar_out.shape[1]
        j = thread - f * u_bar_out.shape[1]
        k = weight.shape[1]
        total = vec3()
        for e in range(start[j], start[j + 1]):
            i = entry[e] // k
            total += weight[i, entry[e] - i * k] * bar[f, i]
        u_bar_out[f, j] = total

    @wp.kernel(module=module, enable_backward=False)
    def slope(
        index: wp.array2d[wp.int32],
        weight: wp.array2d[vec3],  # type: ignore[valid-type]
        diagonal: scalar,  # type: ignore[valid-type]
        u: wp.array2d[vec3],  # type: ignore[valid-type]
        F_out: wp.array2d[mat33],  # type: ignore[valid-type]
    ):
        """The diagonal, and Σ u ⊗ slope, at all points (frames, q)."""
        thread = wp.tid()
        f = thread // index.shape[0]
        i = thread - f * index.shape[0]
        total = wp.diag(vec3(diagonal, diagonal, diagonal))
        for m in range(index.shape[1]):
            total += wp.outer(u[f, index[i, m]], weight[i, m])
        F_out[f, i] = total

    @wp.kernel(module=module, enable_backward=False)
    def slope_adjoint(
        start: wp.array[wp.int32],
        entry: wp.array[wp.int32],
        weight: wp.array2d[vec3],  # type: ignore[valid-type]
        bar: wp.array2d[mat33],  # type: ignore[valid-type]
        u_bar_out: wp.array2d[vec3],  # type: ignore[valid-type]
    ):
        """The transpose of Σ u ⊗ slope: (frames, q) to (frames, n)."""
        thread = wp.tid()
        f = thread // u_bar_out.shape[1]
        j = thread - f * u_bar_out.shape[1]
        k = weight.shape[1]
        total = vec3()
        for e in range(start[j], start[j + 1]):
            i = entry[e] // k
            total += bar[f, i] * weight[i, entry[e] - i * k]
        u_bar_out[f, j] = total

    return InterpolationKernels(value, value_adjoint, slope, slope_adjoint)
