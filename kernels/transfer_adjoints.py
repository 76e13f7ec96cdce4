# SPDX-License-Identifier: Apache-2.0
"""Adjoints of the transfers, by hand.

A name with _bar is the gradient of a scalar with respect to that quantity. With B = C'_bar + dt
F_trial_bar F^T and u = v'_bar + dt x'_bar (x'_bar dropped where the position was clamped):

    G2P:  v_i_bar = sum_p w (u + 4/h^2 B d)
          x_bar   = x'_bar + sum_i (v_i . (u + 4/h^2 B d)) grad w - 4/h^2 w B^T v_i
          F_bar   = (I + dt C')^T F_trial_bar
    P2G:  with n_i = p_i_bar and m_i_bar from the grid:
          v_bar = m sum w n_i,  A_bar = sum w n_i d^T,  C_bar = m A_bar,
          tau_bar = -dt V0 4/h^2 A_bar
          x_bar = sum_i (m m_i_bar + n_i . (m v + A d)) grad w - w A^T n_i
          m_bar = sum_i w (m_i_bar + n_i . (v + C d)),  V0_bar = -dt 4/h^2 tau : A_bar
"""

from typing import Any, NamedTuple

import warp as wp

from .dtypes import factory, types
from .transfers import stencils


class TransferAdjoints(NamedTuple):
    """Adjoint kernels of one precision."""

    g2p: wp.Kernel
    p2g: wp.Kernel


@factory
def transfer_adjoints(dtype: Any) -> TransferAdjoints:
    """Adjoints of G2P (scatters to the grid) and of P2G (gathers from it)."""
    t = types(dtype)
    scalar, vec3, vec4, mat33 = t.scalar, t.vec3, t.vec4, t.mat33
    parts = stencils(dtype)
    locate, slopes = parts.locate, parts.slopes
    four = scalar(4.0)
    module = f"rheograd.kernels.transfer_adjoints.{t.suffix}"

    @wp.func
    def clamped(x: scalar, origin: scalar, h: scalar, n: wp.int32):
        low = origin + scalar(0.5) * h
        return x <= low or x >= origin + (scalar(n) - scalar(2.5)) * h

    @wp.kernel(module=module, enable_backward=False)
    def g2p_adjoint(
        x: wp.array[vec3],
        F: wp.array[mat33],
        x_new: wp.array[vec3],
        C_new: wp.array[mat33],
        world: wp.array[wp.int32],
        life: wp.array[wp.vec2i],
        clock: wp.array[wp.int32],
        origin: vec3,
        h: scalar,
        nodes: wp.vec3i,
        dt: scalar,
        velocity: wp.array[vec4],
        x_new_bar: wp.array[vec3],
        v_new_bar: wp.array[vec3],
        C_new_bar: wp.array[mat33],
        F_trial_bar: wp.array[mat33],
        velocity_bar_out: wp.array[vec4],
        x_bar_out: wp.array[vec3],
        F_bar_out: wp.array[mat33],
    ):
        p = wp.tid()
        span = life[p]
        now = clock[0]
        if now < span[0] or now >= span[1]:
            x_bar_out[p] = x_new_bar[p]
            F_bar_out[p] = F_trial_bar[p]
            return
        G = F_trial_bar[p]
        F_bar_out[p] = G + dt * (wp.transpose(C_new[p]) * G)
        xb = x_new_bar[p]
        for d in range(3):
            if clamped(x_new[p][d], origin[d], h, nodes[d]):
                xb[d] = scalar(0.0)
        u = v_new_bar[p] + dt * xb
        B = (C_new_bar[p] + dt * (G * wp.transpose(F[p]))) * (four / h)
        near = locate(x[p], world[p], origin, h, nodes)
        wx = near.wx
        wy = near.wy
        wz = near.wz
        sx = slopes(near.f[0])
        sy = slopes(near.f[1])
        sz = slopes(near.f[2])
        q = u - B * near.f
        bx = vec3(B[0, 0], B[1, 0], B[2, 0])
        by = vec3(B[0, 1], B[1, 1], B[2, 1])
        bz = vec3(B[0, 2], B[1, 2], B[2, 2])
        total = vec3()
        grad = vec3()
        for a in range(3):
            for b in range(3):
                node = (near.row + a * nodes[1] + b) * nodes[2] + near.k
                qa = q + scalar(float(a)) * bx + scalar(float(b)) * by
                wxy = wx[a] * wy[b]
                line = scalar(0.0)
                for c in range(3):
                    vi4 = velocity[node + c]
                    vi = vec3(vi4[0], vi4[1], vi4[2])
                    w = wxy * wz[c]
                    wp.atomic_add(
                        velocity_bar_out, node + c, w * vec4(qa[0], qa[1], qa[2], scalar(0.0))
                    )
                    e = wp.dot(vi, qa)
                    line += wz[c] * e
                    grad[2] = grad[2] + wxy * sz[c] * e
                    total += w * vi
                    qa = qa + bz
                grad[0] = grad[0] + sx[a] * wy[b] * line
                grad[1] = grad[1] + wx[a] * sy[b] * line
        x_bar_out[p] = xb + (grad - wp.transpose(B) * total) / h

    @wp.kernel(module=module, enable_backward=False)
    def p2g_adjoint(
        x: wp.array[vec3],
        v: wp.array[vec3],
        C: wp.array[mat33],
        tau: wp.array[mat33],
        mass: wp.array[scalar],
        volume: wp.array[scalar],
        world: wp.array[wp.int32],
        life: wp.array[wp.vec2i],
        clock: wp.array[wp.int32],
        origin: vec3,
        h: scalar,
        nodes: wp.vec3i,
        dt: scalar,
        momentum_bar: wp.array[vec4],
        x_bar_out: wp.array[vec3],
        v_bar_out: wp.array[vec3],
        C_bar_out: wp.array[mat33],
        tau_bar_out: wp.array[mat33],
        mass_bar_out: wp.array[scalar],
        volume_bar_out: wp.array[scalar],
    ):
        p = wp.tid()
        span = life[p]
        now = clock[0]
        if now < span[0] or now >= span[1]:
            tau_bar_out[p] = mat33()
            return
        m = mass[p]
        near = locate(x[p], world[p], origin, h, nodes)
        wx = near.wx
        wy = near.wy
        wz = near.wz
        sx = slopes(near.f[0])
        sy = slopes(near.f[1])
        sz = slopes(near.f[2])
        scale = dt * volume[p] * four / (h * h)
        A = (m * C[p] - scale * tau[p]) * h
        q = m * v[p] - A * near.f
        ax = vec3(A[0, 0], A[1, 0], A[2, 0])
        ay = vec3(A[0, 1], A[1, 1], A[2, 1])
        az = vec3(A[0, 2], A[1, 2], A[2, 2])
        total = vec4()
        tx = vec3()
        ty = vec3()
        tz = vec3()
        grad = vec3()
        for a in range(3):
            for b in range(3):
                node = (near.row + a * nodes[1] + b) * nodes[2] + near.k
                qa = q + scalar(float(a)) * ax + scalar(float(b)) * ay
                wxy = wx[a] * wy[b]
                line = scalar(0.0)
                row = vec3()
                for c in range(3):
                    n4 = momentum_bar[node + c]
                    n = vec3(n4[0], n4[1], n4[2])
                    w = wxy * wz[c]
                    total += w * n4
                    row += w * n
                    tz += (scalar(float(c)) * w) * n
                    e = m * n4[3] + wp.dot(n, qa)
                    line += wz[c] * e
                    grad[2] = grad[2] + wxy * sz[c] * e
                    qa = qa + az
                tx += scalar(float(a)) * row
                ty += scalar(float(b)) * row
                grad[0] = grad[0] + sx[a] * wy[b] * line
                grad[1] = grad[1] + wx[a] * sy[b] * line
        n_sum = vec3(total[0], total[1], total[2])
        tx = h * (tx - near.f[0] * n_sum)
        ty = h * (ty - near.f[1] * n_sum)
        tz = h * (tz - near.f[2] * n_sum)
        A_bar = wp.matrix_from_cols(tx, ty, tz)
        x_bar_out[p] = x_bar_out[p] + (grad - wp.transpose(A) * n_sum) / h
        v_bar_out[p] = m * n_sum
        C_bar_out[p] = m * A_bar
        tau_bar_out[p] = -scale * A_bar
        mass_bar_out[p] += total[3] + wp.dot(n_sum, v[p]) + wp.ddot(C[p], A_bar)
        volume_bar_out[p] += -(dt * four / (h * h)) * wp.ddot(tau[p], A_bar)

    return TransferAdjoints(g2p_adjoint, p2g_adjoint)
