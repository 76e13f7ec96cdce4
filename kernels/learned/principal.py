# SPDX-License-Identifier: Apache-2.0
"""Laws in principal stretches, between the passes of a network: values and exact adjoints.

With F = U diag(1 + e) V^T (decompose.py), e the principal Biot strains, one function phi of a
strain and of symmetric functions of all three serves each axis,

    y_a = phi(x_a),   x_a = (e_a, t, sqrt(d^2 + soft^2) - soft, J - 1)
    t = e1 + e2 + e3,   d^2 = ((e1 - e2)^2 + (e2 - e3)^2 + (e3 - e1)^2) / 3

    plasticity:  g = e + flow_scale y(e),             F = U diag(1 + g) V^T
    elasticity:  P = stress_scale U diag(y(g)) V^T,   tau = P F^T = U diag(b) U^T,
                 b_a = stress_scale (1 + g_a) y_a(g)

d is the norm of the deviator: what yields, yields by it. It has a corner where stretches coincide,
which `soft` [-] rounds off, a strain for the elasticity and one for the plasticity.

As phi is one for all axes, y commutes with permutations: tau and F are smooth functions of F_trial
wherever phi is smooth, also where stretches coincide. Their derivatives are those of spectral
functions, by the divided differences of Daleckii and Krein (Higham 2008, "Functions of Matrices",
section 3.2; decompose.py has the formulas). For two axes i and j the other inputs of phi are the
same, so

    (y_j - y_i) / (e_j - e_i) -> (phi'_i + phi'_j) / 2   as e_j -> e_i

phi' the derivative by the first input. The limit takes over where |e_j - e_i| is at most eps^(1/3)
times |e1| + |e2| + |e3|; the relative errors of quotient and limit are there both of the order of
eps^(2/3), 2.4e-5 in float32 and 3.7e-11 in float64.

Adjoints are hand-written and launched forward.
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types

INPUTS = 4
"""Numbers of x_a."""

NEAR = {wp.float32: 5.0e-3, wp.float64: 6.0e-6}
"""eps^(1/3), where rounding of a divided difference and the error of its limit are alike."""


class PrincipalKernels(NamedTuple):
    """Kernels of one precision.

    Thread i takes point p = start + i of arrays over all points, row f = row + i of R, row i of
    arrays over a block (V, e, g) and rows 3 i to 3 i + 2 of those over its axes (x, y, slopes,
    heads). e are the first three columns of an array that has more. `scales` are the stress_scale,
    the flow_scale, and `soft` of the elasticity and of the plasticity.
    """

    inputs: wp.Kernel
    """(e[i, :], soft, x_out): what phi is asked of the strains e."""
    flow: wp.Kernel
    """(start, row, R[f], V[i], e[i, :], y, scales, F_out[p], g_out[i], x_out): plasticity, and the
    inputs of the elasticity."""
    stress: wp.Kernel
    """(start, row, R[f], V[i], g[i], y, scales, tau_out[p])"""
    stress_heads: wp.Kernel
    """(start, row, R[f], V[i], g[i], scales, tau_bar[p], heads_out): gradient by the elasticity's
    y."""
    flow_heads: wp.Kernel
    """(start, row, R[f], V[i], g[i], y, slopes, scales, tau_bar[p], F_bar[p], heads_out): gradient
    by the plasticity's y; y and slopes are the elasticity's."""
    pull: wp.Kernel
    """(start, row, R[f], V[i], e[i, :], g[i], y, slopes, flow_slopes, scales, tau_bar[p],
    F_bar[p]): turns the gradient by F into that by F_trial, in place. slopes are the gradients of
    phi by its inputs."""
    tangent: wp.Kernel
    """(start, row, R[f], V[i], e[i, :], g[i], y, slopes, flow_slopes, scales, tangent_out[p, k]):
    the gradient of entry k of tau, row by row, by F_trial; 9 threads to a point."""


@factory
def principal_kernels(dtype: Any) -> PrincipalKernels:
    """The kernels in wp.float32 or wp.float64; nothing is compiled before the first launch."""
    module = f"rheograd.principal.{types(dtype).suffix}"
    pull, tangent = _pull(dtype, module)
    return PrincipalKernels(*_forward(dtype, module), *_heads(dtype, module), pull, tangent)


@factory
def _rows(dtype: Any) -> tuple[wp.Function, wp.Function, wp.Function]:
    t = types(dtype)
    scalar, vec3 = t.scalar, t.vec3
    third, one = scalar(1.0 / 3.0), scalar(1.0)

    @wp.func
    def squared(e: vec3):
        """d^2, of differences of strains: 0 of equal ones."""
        p = e[0] - e[1]
        q = e[1] - e[2]
        r = e[2] - e[0]
        return third * (p * p + q * q + r * r)

    @wp.func
    def rounded(e: vec3, soft: scalar):
        """sqrt(d^2 + soft^2)."""
        return wp.sqrt(squared(e) + soft * soft)

    @wp.func
    def write(i: int, e: vec3, soft: scalar, x_out: wp.array2d[scalar]):
        """The inputs of phi, without a difference of large numbers."""
        sum1 = e[0] + e[1] + e[2]
        sum2 = e[0] * e[1] + e[0] * e[2] + e[1] * e[2]
        deviator = squared(e) / (rounded(e, soft) + soft)
        for a in range(3):
            x_out[3 * i + a, 0] = e[a]
            x_out[3 * i + a, 1] = sum1
            x_out[3 * i + a, 2] = deviator
            x_out[3 * i + a, 3] = sum1 + sum2 + e[0] * e[1] * e[2]

    @wp.func
    def pull(i: int, e: vec3, soft: scalar, heads: vec3, slopes: wp.array2d[scalar]):
        """Gradient by e of the sum of heads_a y_a."""
        by_sum = scalar(0.0)
        by_deviator = scalar(0.0)
        by_volume = scalar(0.0)
        for a in range(3):
            by_sum += heads[a] * slopes[3 * i + a, 1]
            by_deviator += heads[a] * slopes[3 * i + a, 2]
            by_volume += heads[a] * slopes[3 * i + a, 3]
        own = vec3(
            heads[0] * slopes[3 * i, 0],
            heads[1] * slopes[3 * i + 1, 0],
            heads[2] * slopes[3 * i + 2, 0],
        )
        x = one + e[0]
        y = one + e[1]
        z = one + e[2]
        rise = third * by_deviator / rounded(e, soft)
        by_one = rise * (e[0] - e[1] + e[0] - e[2])
        by_two = rise * (e[1] - e[2] + e[1] - e[0])
        by_three = rise * (e[2] - e[0] + e[2] - e[1])
        shared = vec3(by_one, by_two, by_three) + by_volume * vec3(y * z, x * z, x * y)
        return own + shared + vec3(by_sum, by_sum, by_sum)

    @wp.func
    def axes(i: int, values: wp.array2d[scalar]):
        """The first column of the rows of a point."""
        return vec3(values[3 * i, 0], values[3 * i + 1, 0], values[3 * i + 2, 0])

    return write, pull, axes


@factory
def _forward(dtype: Any, module: str) -> tuple[wp.Kernel, ...]:
    t = types(dtype)
    scalar, vec3, vec4, mat33 = t.scalar, t.vec3, t.vec4, t.mat33
    one = vec3(1.0, 1.0, 1.0)
    write, _pull_rows, axes = _rows(dtype)

    @wp.kernel(module=module, enable_backward=False)
    def inputs(e: wp.array2d[scalar], soft: scalar, x_out: wp.array2d[scalar]):
        i = wp.tid()
        write(i, vec3(e[i, 0], e[i, 1], e[i, 2]), soft, x_out)

    @wp.kernel(module=module, enable_backward=False)
    def flow(
        start: int,
        row: int,
        R: wp.array[mat33],
        V: wp.array[mat33],
        e: wp.array2d[scalar],
        y: wp.array2d[scalar],
        scales: vec4,
        F_out: wp.array[mat33],
        g_out: wp.array[vec3],
        x_out: wp.array2d[scalar],
    ):
        i = wp.tid()
        g = vec3(e[i, 0], e[i, 1], e[i, 2]) + scales[1] * axes(i, y)
        stretch = V[i] * wp.diag(one + g) * wp.transpose(V[i])
        F_out[start + i] = R[row + i] * stretch
        g_out[i] = g
        write(i, g, scales[2], x_out)

    @wp.kernel(module=module, enable_backward=False)
    def stress(
        start: int,
        row: int,
        R: wp.array[mat33],
        V: wp.array[mat33],
        g: wp.array[vec3],
        y: wp.array2d[scalar],
        scales: vec4,
        tau_out: wp.array[mat33],
    ):
        i = wp.tid()
        U = R[row + i] * V[i]
        b = scales[0] * wp.cw_mul(one + g[i], axes(i, y))
        tau_out[start + i] = U * wp.diag(b) * wp.transpose(U)

    return inputs, flow, stress


@factory
def _gradients(dtype: Any) -> tuple[wp.Function, wp.Function]:
    """Gradients by the outputs of the networks, from B = U^T tau_bar U and H = U^T F_bar V."""
    t = types(dtype)
    scalar, vec3, vec4, mat33 = t.scalar, t.vec3, t.vec4, t.mat33
    one = vec3(1.0, 1.0, 1.0)
    _write, pull_rows, axes = _rows(dtype)

    @wp.func
    def by_stress(g: vec3, B: mat33, stress_scale: scalar):
        return stress_scale * wp.cw_mul(one + g, wp.get_diag(B))

    @wp.func
    def by_strain(
        i: int,
        g: vec3,
        y: wp.array2d[scalar],
        slopes: wp.array2d[scalar],
        B: mat33,
        H: mat33,
        scales: vec4,
    ):
        """By g."""
        direct = scales[0] * wp.cw_mul(axes(i, y), wp.get_diag(B))
        heads = by_stress(g, B, scales[0])
        return wp.get_diag(H) + direct + pull_rows(i, g, scales[2], heads, slopes)

    return by_stress, by_strain


@factory
def _heads(dtype: Any, module: str) -> tuple[wp.Kernel, wp.Kernel]:
    t = types(dtype)
    scalar, vec3, vec4, mat33 = t.scalar, t.vec3, t.vec4, t.mat33
    by_stress, by_strain = _gradients(dtype)

    @wp.kernel(module=module, enable_backward=False)
    def stress_heads(
        start: int,
        row: int,
        R: wp.array[mat33],
        V: wp.array[mat33],
        g: wp.array[vec3],
        scales: vec4,
        tau_bar: wp.array[mat33],
        heads_out: wp.array2d[scalar],
    ):
        i = wp.tid()
        U = R[row + i] * V[i]
        heads = by_stress(g[i], wp.transpose(U) * tau_bar[start + i] * U, scales[0])
        for a in range(3):
            heads_out[3 * i + a, 0] = heads[a]

    @wp.kernel(module=module, enable_backward=False)
    def flow_heads(
        start: int,
        row: int,
        R: wp.array[mat33],
        V: wp.array[mat33],
        g: wp.array[vec3],
        y: wp.array2d[scalar],
        slopes: wp.array2d[scalar],
        scales: vec4,
        tau_bar: wp.array[mat33],
        F_bar: wp.array[mat33],
        heads_out: wp.array2d[scalar],
    ):
        i = wp.tid()
        U = R[row + i] * V[i]
        B = wp.transpose(U) * tau_bar[start + i] * U
        H = wp.transpose(U) * F_bar[start + i] * V[i]
        heads = scales[1] * by_strain(i, g[i], y, slopes, B, H, scales)
        for a in range(3):
            heads_out[3 * i + a, 0] = heads[a]

    return stress_heads, flow_heads


@factory
def _frame_gradient(dtype: Any) -> wp.Function:
    t = types(dtype)
    scalar, vec3, vec4, mat33 = t.scalar, t.vec3, t.vec4, t.mat33
    zero, half, one, two = scalar(0.0), scalar(0.5), scalar(1.0), scalar(2.0)
    near = scalar(NEAR[dtype])
    _write, pull_rows, axes = _rows(dtype)
    _by_stress, by_strain = _gradients(dtype)

    @wp.func
    def frame_gradient(
        i: int,
        e: vec3,
        g: vec3,
        y: wp.array2d[scalar],
        slopes: wp.array2d[scalar],
        flow_slopes: wp.array2d[scalar],
        scales: vec4,
        B: mat33,
        H: mat33,
    ):
        """D with F_trial_bar = U D V^T."""
        outputs = axes(i, y)
        by_g = by_strain(i, g, y, slopes, B, H, scales)
        D = wp.diag(by_g + pull_rows(i, e, scales[3], scales[1] * by_g, flow_slopes))
        tied = near * (wp.abs(e[0]) + wp.abs(e[1]) + wp.abs(e[2]))
        for k in range(3):
            m = wp.where(k == 2, 1, 0)
            n = wp.where(k == 0, 1, 2)
            gm = one + g[m]
            gn = one + g[n]
            rise = scales[0] * (gn * outputs[n] - gm * outputs[m])
            apart = e[n] - e[m]
            p = one
            pb = zero
            if wp.abs(apart) > tied:
                p = (g[n] - g[m]) / apart
                pb = rise / apart
            else:
                p += half * scales[1] * (flow_slopes[3 * i + m, 0] + flow_slopes[3 * i + n, 0])
                by_stretch = gm * slopes[3 * i + m, 0] + gn * slopes[3 * i + n, 0]
                pb = half * p * scales[0] * (outputs[m] + outputs[n] + by_stretch)
            total = two + e[m] + e[n]
            q = one
            qb = zero
            if gm + gn != total:
                q = (gm + gn) / total
            if rise != zero:
                qb = rise / total
            B_sum = half * (B[m, n] + B[n, m])
            H_sum = p * half * (H[m, n] + H[n, m])
            H_skew = q * half * (H[m, n] - H[n, m])
            D[m, n] = (pb + qb) * B_sum + H_sum + H_skew
            D[n, m] = (pb - qb) * B_sum + H_sum - H_skew
        return D

    return frame_gradient


@factory
def _pull(dtype: Any, module: str) -> tuple[wp.Kernel, wp.Kernel]:
    t = types(dtype)
    scalar, vec3, vec4, mat33 = t.scalar, t.vec3, t.vec4, t.mat33
    frame_gradient = _frame_gradient(dtype)

    @wp.kernel(module=module, enable_backward=False)
    def pull(
        start: int,
        row: int,
        R: wp.array[mat33],
        V: wp.array[mat33],
        e: wp.array2d[scalar],
        g: wp.array[vec3],
        y: wp.array2d[scalar],
        slopes: wp.array2d[scalar],
        flow_slopes: wp.array2d[scalar],
        scales: vec4,
        tau_bar: wp.array[mat33],
        F_bar: wp.array[mat33],
    ):
        i = wp.tid()
        U = R[row + i] * V[i]
        strain = vec3(e[i, 0], e[i, 1], e[i, 2])
        B = wp.transpose(U) * tau_bar[start + i] * U
        H = wp.transpose(U) * F_bar[start + i] * V[i]
        D = frame_gradient(
            i, strain, g[i], y, slopes, flow_slopes, scales, B, H
        )  # fmt: skip
        F_bar[start + i] = U * D * wp.transpose(V[i])

    @wp.kernel(module=module, enable_backward=False)
    def tangent(
        start: int,
        row: int,
        R: wp.array[mat33],
        V: wp.array[mat33],
        e: wp.array2d[scalar],
        g: wp.array[vec3],
        y: wp.array2d[scalar],
        slopes: wp.array2d[scalar],
        flow_slopes: wp.array2d[scalar],
        scales: vec4,
        tangent_out: wp.array2d[mat33],
    ):
        thread = wp.tid()
        i = thread // 9
        k = thread - 9 * i
        U = R[row + i] * V[i]
        strain = vec3(e[i, 0], e[i, 1], e[i, 2])
        a = k // 3
        b = k - 3 * a
        B = wp.outer(vec3(U[a, 0], U[a, 1], U[a, 2]), vec3(U[b, 0], U[b, 1], U[b, 2]))
        D = frame_gradient(
            i, strain, g[i], y, slopes, flow_slopes, scales, B, mat33()
        )  # fmt: skip
        tangent_out[start + i, k] = U * D * wp.transpose(V[i])

    return pull, tangent
