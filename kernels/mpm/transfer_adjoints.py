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

from ..dtypes import factory, types
from .transfers import POSITIVE, stencils


class TransferAdjoints(NamedTuple):
    """Adjoint kernels of one precision."""

    g2p: wp.Kernel
    p2g: wp.Kernel


PULL = """
#if defined(__CUDA_ARCH__)
    using V = wp::vec_t<4, SCALAR>;
    auto product = [](const V& a, const V& b) { return wp::cw_mul(a, b); };
#else
    #pragma clang fp contract(fast)
    typedef SCALAR V __attribute__((ext_vector_type(4)));
    auto product = [](const V& a, const V& b) { return a * b; };
#endif
    const auto load = [](const wp::vec_t<4, SCALAR>& a) {
        V out = {};
        for (int i = 0; i < 4; ++i) out[i] = a[i];
        return out;
    };
    const V* start = reinterpret_cast<const V*>(grid.data) + node;
    const V step_a = load(ax), step_b = load(ay), step_c = load(az);
    V total = {}, tx = {}, ty = {}, tz = {}, ex = {}, ey = {}, ez = {};
    V qa = load(q);
    #pragma unroll
    for (int a = 0; a < 3; ++a) {
        V qb = qa;
        #pragma unroll
        for (int b = 0; b < 3; ++b) {
            const V* n = start + (a * step_x + b * step_y);
            const V far = n[1] * wz[1] + n[2] * wz[2];
            const V line = far + n[0] * wz[0];
            const V qc = qb + step_c;
            const V e0 = product(n[0], qb), e1 = product(n[1], qc);
            const V e2 = product(n[2], qc + step_c);
            const V e = e0 * wz[0] + e1 * wz[1] + e2 * wz[2];
            const SCALAR w = wx[a] * wy[b];
            total = total + line * w;
            tz = tz + (far + n[2] * wz[2]) * w;
            if (b) ty = ty + line * (b * w);
            if (a) tx = tx + line * (a * w);
            ez = ez + (e0 * sz[0] + e1 * sz[1] + e2 * sz[2]) * w;
            ey = ey + e * (wx[a] * sy[b]);
            ex = ex + e * (sx[a] * wy[b]);
            qb = qb + step_b;
        }
        qa = qa + step_a;
    }
    wp::mat_t<5, 4, SCALAR> out;
    for (int i = 0; i < 4; ++i) {
        out.data[0][i] = total[i];
        out.data[1][i] = tx[i];
        out.data[2][i] = ty[i];
        out.data[3][i] = tz[i];
    }
    out.data[4][0] = (ex[0] + ex[1]) + (ex[2] + ex[3]);
    out.data[4][1] = (ey[0] + ey[1]) + (ey[2] + ey[3]);
    out.data[4][2] = (ez[0] + ez[1]) + (ez[2] + ez[3]);
    out.data[4][3] = 0;
    return out;
"""
"""Body of `pull`, in four-wide vectors as `transfers.GATHER`."""


@factory
def pulling(dtype: Any) -> Any:
    """(grid n, node, step_y, step_x, weights, slopes, q, ax, ay, az) -> five rows of four.

    sum w n; sum w a n, sum w b n, sum w c n with a, b, c = 0, 1, 2 along x, y, z; and the slopes
    sum grad w (n . (q + a ax + b ay + c az)) with respect to the position in cells.
    """
    t = types(dtype)
    vec3, vec4 = t.vec3, t.vec4
    native = {wp.float32: "wp::float32", wp.float64: "wp::float64"}[t.scalar]
    rows = wp.types.matrix(shape=(5, 4), dtype=t.scalar)

    @wp.func_native(PULL.replace("SCALAR", native))
    def pull(
        grid: wp.array[vec4],
        node: wp.int32,
        step_y: wp.int32,
        step_x: wp.int32,
        wx: vec3,
        wy: vec3,
        wz: vec3,
        sx: vec3,
        sy: vec3,
        sz: vec3,
        q: vec4,
        ax: vec4,
        ay: vec4,
        az: vec4,
    ) -> rows: ...

    return pull


@factory
def transfer_adjoints(dtype: Any) -> TransferAdjoints:
    """Adjoints of G2P (scatters to the grid) and of P2G (gathers from it)."""
    t = types(dtype)
    scalar, vec3, vec4, mat33 = t.scalar, t.vec3, t.vec4, t.mat33
    parts = stencils(dtype)
    locate, slopes = parts.locate, parts.slopes
    pull = pulling(dtype)
    four = scalar(4.0)
    module = f"rheograd.kernels.mpm.transfer_adjoints.{t.suffix}"

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
        r = u - B * near.f
        zero = scalar(0.0)
        q = vec4(r[0], r[1], r[2], zero)
        bx = vec4(B[0, 0], B[1, 0], B[2, 0], zero)
        by = vec4(B[0, 1], B[1, 1], B[2, 1], zero)
        bz = vec4(B[0, 2], B[1, 2], B[2, 2], zero)
        start = near.row * nodes[2] + near.k
        step_x = nodes[1] * nodes[2]
        found = pull(velocity, start, nodes[2], step_x, wx, wy, wz, sx, sy, sz, q, bx, by, bz)
        total = vec3(found[0, 0], found[0, 1], found[0, 2])
        grad = vec3(found[4, 0], found[4, 1], found[4, 2])
        x_bar_out[p] = xb + (grad - wp.transpose(B) * total) / h
        for a in range(3):
            qa = q
            for b in range(3):
                node = (start + a * step_x + b * nodes[2]) & POSITIVE
                w = wx[a] * wy[b]
                qc = qa + bz
                wp.atomic_add(velocity_bar_out, node, (w * wz[0]) * qa)
                wp.atomic_add(velocity_bar_out, node + 1, (w * wz[1]) * qc)
                wp.atomic_add(velocity_bar_out, node + 2, (w * wz[2]) * (qc + bz))
                qa += by
            q += bx

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
        r = m * v[p] - A * near.f
        zero = scalar(0.0)
        q = vec4(r[0], r[1], r[2], m)
        ax = vec4(A[0, 0], A[1, 0], A[2, 0], zero)
        ay = vec4(A[0, 1], A[1, 1], A[2, 1], zero)
        az = vec4(A[0, 2], A[1, 2], A[2, 2], zero)
        found = pull(
            momentum_bar, near.row * nodes[2] + near.k, nodes[2], nodes[1] * nodes[2],
            wx, wy, wz, sx, sy, sz, q, ax, ay, az,
        )  # fmt: skip
        total = found[0]
        tx = vec3(found[1, 0], found[1, 1], found[1, 2])
        ty = vec3(found[2, 0], found[2, 1], found[2, 2])
        tz = vec3(found[3, 0], found[3, 1], found[3, 2])
        grad = vec3(found[4, 0], found[4, 1], found[4, 2])
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
