# SPDX-License-Identifier: Apache-2.0
"""Particles to grid and back: MLS-MPM with APIC and quadratic B-splines.

Hu et al. 2018, "A Moving Least Squares Material Point Method"; Jiang et al. 2015, "The Affine
Particle-In-Cell Method". With h the cell length, w the weight of a node and d = x_i - x_p:

    P2G:  m_i = sum w m,   p_i = sum w (m v + A d),   A = m C - dt V0 4/h^2 tau
    G2P:  v' = sum w v_i,  C' = 4/h^2 sum w v_i d^T,  x' = x + dt v',  F_trial = (I + dt C') F

A grid is flat: row r = (world * nx + i) * ny + j, node = r * nz + k, four numbers a node. Rows that
a particle touches are stamped with the step, so that grid work skips all others; whoever reads the
momentum last leaves it zero for the next step.

The adjoints (transfer_adjoints.py) are written by hand: faster to run and to compile than
generated ones; hence enable_backward=False. On a CPU the compiler vectorises little of what Warp
writes: the sums over a stencil are a native snippet of four-wide vectors, and an index that is
masked is known to be positive, which saves Warp's test for a negative one at each node.
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types

POSITIVE = wp.constant(2**31 - 1)
"""Mask that leaves an index as it is and tells the compiler that it is not negative."""


class TransferKernels(NamedTuple):
    """Forward kernels of one precision."""

    p2g: wp.Kernel
    g2p: wp.Kernel
    stretch: wp.Kernel
    """F_trial again, from F before and C after the step that the clock shows."""
    tick: wp.Kernel


class Stencils(NamedTuple):
    """How a particle finds its 27 nodes, in one precision."""

    Stencil: Any
    """Struct: first row and node, position f in cells from that node, weights w along each axis."""
    locate: Any
    """(x, world, origin, h, nodes) -> Stencil"""
    slopes: Any
    """f along one axis -> derivatives of its three weights."""
    gather: Any
    """(grid, node, step_y, step_x, wx, wy, wz) -> rows sum w q and sum w a q, a = 0, 1, 2 along
    x, y, z: the moments of four numbers a node over a stencil that starts at `node`."""


GATHER = """
#if defined(__CUDA_ARCH__)
    using V = wp::vec_t<4, SCALAR>;
#else
    #pragma clang fp contract(fast)
    typedef SCALAR V __attribute__((ext_vector_type(4)));
#endif
    const V* start = reinterpret_cast<const V*>(grid.data) + node;
    const V none = {};
    V g = none, gx = none, gy = none, gz = none;
    #pragma unroll
    for (int a = 0; a < 3; ++a) {
        V sum = none, sum_y = none, sum_z = none;
        #pragma unroll
        for (int b = 0; b < 3; ++b) {
            const V* q = start + (a * step_x + b * step_y);
            const V far = q[1] * wz[1] + q[2] * wz[2];
            const V line = far + q[0] * wz[0];
            const V line_z = far + q[2] * wz[2];
            sum = b ? sum + line * wy[b] : line * wy[b];
            sum_z = b ? sum_z + line_z * wy[b] : line_z * wy[b];
            if (b == 1) sum_y = line * wy[1];
            if (b == 2) sum_y = sum_y + line * (wy[2] + wy[2]);
        }
        g = a ? g + sum * wx[a] : sum * wx[a];
        gy = a ? gy + sum_y * wx[a] : sum_y * wx[a];
        gz = a ? gz + sum_z * wx[a] : sum_z * wx[a];
        if (a == 1) gx = sum * wx[1];
        if (a == 2) gx = gx + sum * (wx[2] + wx[2]);
    }
    wp::mat_t<4, 4, SCALAR> out;
    for (int i = 0; i < 4; ++i) {
        out.data[0][i] = g[i];
        out.data[1][i] = gx[i];
        out.data[2][i] = gy[i];
        out.data[3][i] = gz[i];
    }
    return out;
"""
"""Body of `Stencils.gather`."""


@factory
def stencils(dtype: Any) -> Stencils:
    """Quadratic B-splines on three nodes an axis."""
    t = types(dtype)
    scalar, vec3, vec4 = t.scalar, t.vec3, t.vec4
    mat44, native = {
        wp.float32: (wp.mat44f, "wp::float32"),
        wp.float64: (wp.mat44d, "wp::float64"),
    }[scalar]
    half, one, three_halves = scalar(0.5), scalar(1.0), scalar(1.5)
    three_quarters, two = scalar(0.75), scalar(2.0)

    @wp.struct
    class Stencil:
        row: wp.int32
        k: wp.int32
        f: vec3
        wx: vec3
        wy: vec3
        wz: vec3

    @wp.func
    def weights(f: scalar):
        """Of nodes 0, 1, 2 at distance f from node 0, in cells."""
        return vec3(
            half * (three_halves - f) * (three_halves - f),
            three_quarters - (f - one) * (f - one),
            half * (f - half) * (f - half),
        )

    @wp.func
    def slopes(f: scalar):
        """Derivatives of `weights` with respect to f."""
        return vec3(f - three_halves, two * (one - f), f - half)

    @wp.func
    def base(s: scalar, n: wp.int32):
        """First node of the stencil along one axis; kept inside, so that no NaN leaves memory."""
        return wp.clamp(wp.int32(s - half), 0, n - 3)

    @wp.func
    def locate(x: vec3, world: wp.int32, origin: vec3, h: scalar, nodes: wp.vec3i):
        s = (x - origin) * (one / h)
        i = base(s[0], nodes[0])
        j = base(s[1], nodes[1])
        k = base(s[2], nodes[2])
        near = Stencil()
        near.row = (world * nodes[0] + i) * nodes[1] + j
        near.k = k
        near.f = vec3(s[0] - scalar(i), s[1] - scalar(j), s[2] - scalar(k))
        near.wx = weights(near.f[0])
        near.wy = weights(near.f[1])
        near.wz = weights(near.f[2])
        return near

    @wp.func_native(GATHER.replace("SCALAR", native))
    def gather(
        grid: wp.array[vec4],
        node: wp.int32,
        step_y: wp.int32,
        step_x: wp.int32,
        wx: vec3,
        wy: vec3,
        wz: vec3,
    ) -> mat44: ...

    return Stencils(Stencil, locate, slopes, gather)


@factory
def transfers(dtype: Any) -> TransferKernels:
    """P2G, G2P, what it does to F, and the step counter, for wp.float32 or wp.float64."""
    t = types(dtype)
    scalar, vec3, vec4, mat33 = t.scalar, t.vec3, t.vec4, t.mat33
    parts = stencils(dtype)
    locate, gather = parts.locate, parts.gather
    four = scalar(4.0)
    module = f"rheograd.kernels.mpm.transfers.{t.suffix}"

    @wp.kernel(module=module, enable_backward=False)
    def p2g(
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
        momentum_out: wp.array[vec4],
        touched_out: wp.array[wp.int32],
    ):
        p = wp.tid()
        span = life[p]
        now = clock[0]
        if now < span[0] or now >= span[1]:
            return
        m = mass[p]
        near = locate(x[p], world[p], origin, h, nodes)
        wx = near.wx
        wy = near.wy
        wz = near.wz
        c = four / h
        A = (m * h) * C[p] - (dt * volume[p] * c) * tau[p]
        q = m * v[p] - A * near.f
        # momentum of nodes 0, 1, 2 along z, times their weights; X and Y step it along x and y
        zero = scalar(0.0)
        u = vec4(q[0], q[1], q[2], m)
        ax = vec4(A[0, 0], A[1, 0], A[2, 0], zero)
        ay = vec4(A[0, 1], A[1, 1], A[2, 1], zero)
        az = vec4(A[0, 2], A[1, 2], A[2, 2], zero)
        u0 = wz[0] * u
        u1 = wz[1] * (u + az)
        u2 = wz[2] * (u + az + az)
        x0 = wz[0] * ax
        x1 = wz[1] * ax
        x2 = wz[2] * ax
        y0 = wz[0] * ay
        y1 = wz[1] * ay
        y2 = wz[2] * ay
        start = near.row * nodes[2] + near.k
        step_x = nodes[1] * nodes[2]
        for a in range(3):
            r0 = u0
            r1 = u1
            r2 = u2
            for b in range(3):
                node = (start + a * step_x + b * nodes[2]) & POSITIVE
                w = wx[a] * wy[b]
                wp.atomic_add(momentum_out, node, w * r0)
                wp.atomic_add(momentum_out, node + 1, w * r1)
                wp.atomic_add(momentum_out, node + 2, w * r2)
                touched_out[(near.row + a * nodes[1] + b) & POSITIVE] = now
                r0 += y0
                r1 += y1
                r2 += y2
            u0 += x0
            u1 += x1
            u2 += x2

    @wp.func
    def contain(x: vec3, origin: vec3, h: scalar, nodes: wp.vec3i):
        """x, or the nearest point whose stencil is on the grid; NaN becomes some such point."""
        out = x
        for d in range(3):
            low = origin[d] + scalar(0.5) * h
            high = origin[d] + (scalar(nodes[d]) - scalar(2.5)) * h
            out[d] = wp.clamp(x[d], low, high)
        return out

    @wp.func
    def stretched(F: mat33, C: mat33, dt: scalar):
        return F + dt * (C * F)

    @wp.kernel(module=module, enable_backward=False)
    def g2p(
        x: wp.array[vec3],
        v: wp.array[vec3],
        C: wp.array[mat33],
        F: wp.array[mat33],
        world: wp.array[wp.int32],
        life: wp.array[wp.vec2i],
        clock: wp.array[wp.int32],
        origin: vec3,
        h: scalar,
        nodes: wp.vec3i,
        dt: scalar,
        velocity: wp.array[vec4],
        x_out: wp.array[vec3],
        v_out: wp.array[vec3],
        C_out: wp.array[mat33],
        F_trial_out: wp.array[mat33],
        failure_out: wp.array[wp.int32],
    ):
        p = wp.tid()
        span = life[p]
        now = clock[0]
        if now < span[0] or now >= span[1]:
            x_out[p] = x[p]
            v_out[p] = v[p]
            C_out[p] = C[p]
            F_trial_out[p] = F[p]
            return
        near = locate(x[p], world[p], origin, h, nodes)
        # moments of the nodal velocities
        start = near.row * nodes[2] + near.k
        moments = gather(velocity, start, nodes[2], nodes[1] * nodes[2], near.wx, near.wy, near.wz)
        g = moments[0]
        gx = moments[1]
        gy = moments[2]
        gz = moments[3]
        c = four / h
        gx = c * (gx - near.f[0] * g)
        gy = c * (gy - near.f[1] * g)
        gz = c * (gz - near.f[2] * g)
        v_new = vec3(g[0], g[1], g[2])
        C_new = mat33(
            gx[0], gy[0], gz[0],
            gx[1], gy[1], gz[1],
            gx[2], gy[2], gz[2],
        )  # fmt: skip
        x_new = x[p] + dt * v_new
        kept = contain(x_new, origin, h, nodes)
        if not (kept == x_new):
            wp.atomic_min(failure_out, 0, now)
            if failure_out[0] == now:
                failure_out[1] = p
        x_out[p] = kept
        v_out[p] = v_new
        C_out[p] = C_new
        F_trial_out[p] = stretched(F[p], C_new, dt)

    @wp.kernel(module=module, enable_backward=False)
    def stretch(
        C: wp.array[mat33],
        F: wp.array[mat33],
        life: wp.array[wp.vec2i],
        clock: wp.array[wp.int32],
        dt: scalar,
        F_trial_out: wp.array[mat33],
    ):
        p = wp.tid()
        span = life[p]
        now = clock[0]
        if now < span[0] or now >= span[1]:
            F_trial_out[p] = F[p]
        else:
            F_trial_out[p] = stretched(F[p], C[p], dt)

    @wp.kernel(module=module, enable_backward=False)
    def tick(by: wp.int32, clock_out: wp.array[wp.int32]):
        clock_out[0] = clock_out[0] + by

    return TransferKernels(p2g, g2p, stretch, tick)
