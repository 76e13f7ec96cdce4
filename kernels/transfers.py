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
generated ones; hence enable_backward=False.
"""

from typing import Any, NamedTuple

import warp as wp

from .dtypes import factory, types


class TransferKernels(NamedTuple):
    """Forward kernels of one precision."""

    p2g: wp.Kernel
    g2p: wp.Kernel
    tick: wp.Kernel


class Stencils(NamedTuple):
    """How a particle finds its 27 nodes, in one precision."""

    Stencil: Any
    """Struct: first row and node, position f in cells from that node, weights w along each axis."""
    locate: Any
    """(x, world, origin, h, nodes) -> Stencil"""
    slopes: Any
    """f along one axis -> derivatives of its three weights."""


@factory
def stencils(dtype: Any) -> Stencils:
    """Quadratic B-splines on three nodes an axis."""
    t = types(dtype)
    scalar, vec3 = t.scalar, t.vec3
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
        s = (x - origin) / h
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

    return Stencils(Stencil, locate, slopes)


@factory
def transfers(dtype: Any) -> TransferKernels:
    """P2G, G2P and the step counter, for wp.float32 or wp.float64."""
    t = types(dtype)
    scalar, vec3, vec4, mat33 = t.scalar, t.vec3, t.vec4, t.mat33
    locate = stencils(dtype).locate
    four = scalar(4.0)
    module = f"rheograd.kernels.transfers.{t.suffix}"

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
        A = (m * C[p] - (dt * volume[p] * four / (h * h)) * tau[p]) * h
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
        for a in range(3):
            r0 = u0
            r1 = u1
            r2 = u2
            for b in range(3):
                row = near.row + a * nodes[1] + b
                node = row * nodes[2] + near.k
                w = wx[a] * wy[b]
                wp.atomic_add(momentum_out, node, w * r0)
                wp.atomic_add(momentum_out, node + 1, w * r1)
                wp.atomic_add(momentum_out, node + 2, w * r2)
                touched_out[row] = now
                r0 += wz[0] * ay
                r1 += wz[1] * ay
                r2 += wz[2] * ay
            u0 += wz[0] * ax
            u1 += wz[1] * ax
            u2 += wz[2] * ax

    @wp.func
    def contain(x: vec3, origin: vec3, h: scalar, nodes: wp.vec3i):
        """x, or the nearest point whose stencil is on the grid; NaN becomes some such point."""
        out = x
        for d in range(3):
            s = (x[d] - origin[d]) / h
            hi = scalar(nodes[d]) - scalar(2.5)
            if not (s >= scalar(0.5) and s <= hi):
                out[d] = origin[d] + h * wp.clamp(s, scalar(0.5), hi)
        return out

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
        wx = near.wx
        wy = near.wy
        wz = near.wz
        # moments of the nodal velocities along z, then y, then x
        g = vec4()
        gx = vec4()
        gy = vec4()
        gz = vec4()
        for a in range(3):
            s0 = vec4()
            sy = vec4()
            sz = vec4()
            for b in range(3):
                node = (near.row + a * nodes[1] + b) * nodes[2] + near.k
                l1 = wz[1] * velocity[node + 1]
                l2 = wz[2] * velocity[node + 2]
                line = wy[b] * (wz[0] * velocity[node] + l1 + l2)
                s0 += line
                sy += scalar(float(b)) * line
                sz += wy[b] * (l1 + l2 + l2)
            g += wx[a] * s0
            gx += (scalar(float(a)) * wx[a]) * s0
            gy += wx[a] * sy
            gz += wx[a] * sz
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
        F_trial_out[p] = F[p] + dt * (C_new * F[p])

    @wp.kernel(module=module, enable_backward=False)
    def tick(by: wp.int32, clock_out: wp.array[wp.int32]):
        clock_out[0] = clock_out[0] + by

    return TransferKernels(p2g, g2p, tick)
