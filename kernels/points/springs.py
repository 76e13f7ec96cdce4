# SPDX-License-Identifier: Apache-2.0
"""A damped spring that pulls some points of a body by velocity changes.

The points p, with weights w, move a handle at a = sum w m x / M with velocity u = sum w m v / M,
M = sum w m. The spring pulls it towards a target t with

    f = k (t - a) - c u,   shortened to |f| <= limit,

by which each point gets dv = w f dt / M: the momentum of all changes by f dt, which is the
impulse of the spring.
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types


class SpringKernels(NamedTuple):
    """Of one precision; a thread is a point that is pulled."""

    gather: wp.Kernel
    """Adds up sum w m x, sum w m v (rows 0 and 1, of which the fourth number is sum w m)."""
    pull: wp.Kernel


@factory
def spring_kernels(dtype: Any) -> SpringKernels:
    """Make them."""
    t = types(dtype)
    scalar, vec3, vec4 = t.scalar, t.vec3, t.vec4
    module = f"rheograd.kernels.points.springs.{t.suffix}"

    @wp.kernel(module=module, enable_backward=False)
    def gather(
        index: wp.array[wp.int32],
        weight: wp.array[scalar],
        mass: wp.array[scalar],
        x: wp.array[vec3],
        v: wp.array[vec3],
        sums_out: wp.array[vec4],
    ):
        k = wp.tid()
        p = index[k]
        m = weight[k] * mass[p]
        a = m * x[p]
        u = m * v[p]
        wp.atomic_add(sums_out, 0, vec4(a[0], a[1], a[2], m))
        wp.atomic_add(sums_out, 1, vec4(u[0], u[1], u[2], m))

    @wp.kernel(module=module, enable_backward=False)
    def pull(
        index: wp.array[wp.int32],
        weight: wp.array[scalar],
        sums: wp.array[vec4],
        target: vec3,
        stiffness: scalar,
        damping: scalar,
        limit: scalar,
        dt: scalar,
        v_out: wp.array[vec3],
        impulse_out: wp.array[vec3],
    ):
        k = wp.tid()
        a = sums[0]
        u = sums[1]
        s = scalar(1.0) / a[3]
        stretch = target - s * vec3(a[0], a[1], a[2])
        f = stiffness * stretch - (damping * s) * vec3(u[0], u[1], u[2])
        size = wp.length(f)
        if size > limit:
            f = (limit / size) * f
        p = index[k]
        v_out[p] = v_out[p] + (weight[k] * dt * s) * f
        if k == 0:
            impulse_out[0] = impulse_out[0] + dt * f

    return SpringKernels(gather, pull)
