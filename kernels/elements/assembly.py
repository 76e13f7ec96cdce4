# SPDX-License-Identifier: Apache-2.0
"""Deformation gradients, internal forces and the stiffness matrix of one kind of element.

Total Lagrangian: with u_a the displacement of node a, g_a the gradient of shape function a in the
reference configuration, w the weight of a quadrature point (Jacobian included), P the first Piola
stress and A = dP/dF,

    F_iJ = delta_iJ + sum_a u_a,i g_a,J
    f_a,i = sum_q w P_iJ g_a,J
    K_ab,ik = sum_q w g_a,J A_iJkL g_b,L

(Belytschko, Liu, Moran 2000, "Nonlinear Finite Elements for Continua and Structures", 4.9).

Elements come in blocks of `LANES`. Numbers of elements are kept number by number, the lanes of a
block side by side: an array (blocks, q, k, LANES). On a CPU a thread takes a block and computes on
vectors of lanes, as in lanes.py; on CUDA it takes one lane of a block, from the same source.
Spare lanes at the end repeat the first element and have weight 0.

The matrix is in block rows (BSR) of 3 x 3 blocks; `slot` tells where the block of nodes a and b of
an element is.
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types

LANES = 8
"""Elements in a block."""

_BEGIN = """
#if defined(__CUDA_ARCH__)
    typedef SCALAR V;
    const int first = lane, last = lane + 1;
    auto at = [&](const SCALAR* from, int k) { return from[k * LANES + lane]; };
    auto pick = [](V a, int) { return a; };
    auto put = [](V& a, int, SCALAR value) { a = value; };
    auto add = [](SCALAR* to, SCALAR value) { atomicAdd(to, value); };
#else
    typedef SCALAR V __attribute__((ext_vector_type(LANES), aligned(sizeof(SCALAR))));
    const int first = 0, last = LANES;
    auto at = [](const SCALAR* from, int k) {
        return *reinterpret_cast<const V*>(from + k * LANES);
    };
    auto pick = [](const V& a, int l) { return a[l]; };
    auto put = [](V& a, int l, SCALAR value) { a[l] = value; };
    auto add = [](SCALAR* to, SCALAR value) { *to += value; };
#endif
"""
"""Vectors of lanes; what of them this thread has is `first` to before `last`."""

_DEFORM = """
    const SCALAR* U = reinterpret_cast<const SCALAR*>(u.data);
    const int* own = cells.data + block * A * LANES;
    V here[3 * A];
    for (int a = 0; a < A; ++a)
        for (int i = 0; i < 3; ++i)
            for (int l = first; l < last; ++l)
                put(here[3 * a + i], l, U[3 * own[a * LANES + l] + i]);
    SCALAR* out = reinterpret_cast<SCALAR*>(F_out.data);
    for (int q = 0; q < Q; ++q) {
        const SCALAR* g = gradient.data + (block * Q + q) * 3 * A * LANES;
        V F[9] = {};
        for (int i = 0; i < 9; i += 4) F[i] += SCALAR(1);
        for (int a = 0; a < A; ++a)
            for (int i = 0; i < 3; ++i)
                for (int J = 0; J < 3; ++J) F[3 * i + J] += here[3 * a + i] * at(g, 3 * a + J);
        for (int l = first; l < last && block * LANES + l < elements; ++l)
            for (int k = 0; k < 9; ++k) out[9 * ((block * LANES + l) * Q + q) + k] = pick(F[k], l);
    }
"""

_FORCES = """
    V f[3 * A] = {};
    for (int q = 0; q < Q; ++q) {
        const SCALAR* g = gradient.data + (block * Q + q) * 3 * A * LANES;
        const SCALAR* P = stress.data + (block * Q + q) * 9 * LANES;
        for (int a = 0; a < A; ++a)
            for (int i = 0; i < 3; ++i)
                for (int J = 0; J < 3; ++J) f[3 * a + i] += at(P, 3 * i + J) * at(g, 3 * a + J);
    }
    const int* own = cells.data + block * A * LANES;
    SCALAR* to = reinterpret_cast<SCALAR*>(f_out.data);
    for (int a = 0; a < A; ++a)
        for (int i = 0; i < 3; ++i)
            for (int l = first; l < last; ++l)
                add(to + 3 * own[a * LANES + l] + i, pick(f[3 * a + i], l));
"""

_STIFFNESS = """
    V K[9 * A] = {};
    for (int q = 0; q < Q; ++q) {
        const SCALAR* g = gradient.data + (block * Q + q) * 3 * A * LANES;
        const SCALAR* C = tangent.data + (block * Q + q) * 81 * LANES;
        V T[27];  // T_iJk = A_iJkL g_b,L
        const V g0 = at(g, 3 * b), g1 = at(g, 3 * b + 1), g2 = at(g, 3 * b + 2);
        #pragma unroll
        for (int k = 0; k < 27; ++k)
            T[k] = at(C, 3 * k) * g0 + at(C, 3 * k + 1) * g1 + at(C, 3 * k + 2) * g2;
        for (int a = 0; a < (SYMMETRIC ? b + 1 : A); ++a) {
            const V h0 = at(g, 3 * a), h1 = at(g, 3 * a + 1), h2 = at(g, 3 * a + 2);
            #pragma unroll
            for (int i = 0; i < 3; ++i)
                #pragma unroll
                for (int k = 0; k < 3; ++k)
                    K[9 * a + 3 * i + k] += h0 * T[9 * i + k] + h1 * T[9 * i + 3 + k]
                        + h2 * T[9 * i + 6 + k];
        }
    }
    const int* own = slot.data + block * A * A * LANES;
    for (int a = 0; a < (SYMMETRIC ? b + 1 : A); ++a)
        for (int l = first; l < last; ++l) {
            SCALAR* to = values.data + 9 * own[(A * a + b) * LANES + l];
            for (int k = 0; k < 9; ++k) add(to + k, pick(K[9 * a + k], l));
            if (SYMMETRIC && a < b) {
                SCALAR* mirror = values.data + 9 * own[(A * b + a) * LANES + l];
                for (int k = 0; k < 9; ++k)
                    add(mirror + k, pick(K[9 * a + 3 * (k % 3) + k / 3], l));
            }
        }
"""


class AssemblyKernels(NamedTuple):
    """Kernels of one kind of element; each is launched over `threads(blocks)`."""

    deform: wp.Kernel
    """(elements, u, cells, gradient, F_out): F at the points, element by element."""
    forces: wp.Kernel
    """(cells, gradient, stress, f_out): adds w P g to the nodes."""
    stiffness: wp.Kernel
    """(gradient, tangent, slot, values): adds w g A g to the blocks; over threads(blocks) times the
    nodes of an element."""
    symmetric: wp.Kernel
    """The same for a symmetric A, of which half the blocks follow from the other half."""
    lanes: int
    """Threads a block: 1 on a CPU."""

    def threads(self, blocks: int) -> int:
        """Threads for so many blocks of elements."""
        return blocks * self.lanes


@factory
def assembly_kernels(nodes: int, points: int, dtype: Any, cpu: bool) -> AssemblyKernels:
    """The kernels of elements with so many nodes and quadrature points.

    Args:
        nodes: Of an element.
        points: Of its quadrature.
        dtype: wp.float32 or wp.float64.
        cpu: Whether a thread takes a whole block.
    """
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    lanes = 1 if cpu else LANES
    module = f"rheograd.assembly.{nodes}.{points}.{t.suffix}.{'cpu' if cpu else 'cuda'}"
    constants = {"SCALAR": f"wp::{scalar.__name__}", "LANES": LANES, "Q": points, "A": nodes}

    def source(text: str, **more: object) -> str:
        named = {**constants, **more}
        defined = "".join(f"#define {name} {value}\n" for name, value in named.items())
        undefined = "".join(f"#undef {name}\n" for name in named)
        return f"{defined}{_BEGIN}{text}\n{undefined}"

    @wp.func_native(source(_DEFORM))
    def deform_block(
        block: wp.int32,
        lane: wp.int32,
        elements: wp.int32,
        u: wp.array[vec3],
        cells: wp.array[wp.int32],
        gradient: wp.array[scalar],
        F_out: wp.array[mat33],
    ): ...

    @wp.func_native(source(_FORCES))
    def forces_block(
        block: wp.int32,
        lane: wp.int32,
        cells: wp.array[wp.int32],
        gradient: wp.array[scalar],
        stress: wp.array[scalar],
        f_out: wp.array[vec3],
    ): ...

    @wp.kernel(module=module, enable_backward=False)
    def deform(
        elements: wp.int32,
        u: wp.array[vec3],
        cells: wp.array[wp.int32],
        gradient: wp.array[scalar],
        F_out: wp.array[mat33],
    ):
        i = wp.tid()
        deform_block(i // lanes, i % lanes, elements, u, cells, gradient, F_out)

    @wp.kernel(module=module, enable_backward=False)
    def forces(
        cells: wp.array[wp.int32],
        gradient: wp.array[scalar],
        stress: wp.array[scalar],
        f_out: wp.array[vec3],
    ):
        i = wp.tid()
        forces_block(i // lanes, i % lanes, cells, gradient, stress, f_out)

    def stiffness_kernel(symmetric: bool) -> wp.Kernel:
        @wp.func_native(source(_STIFFNESS, SYMMETRIC=int(symmetric)))
        def stiffness_block(
            block: wp.int32,
            lane: wp.int32,
            b: wp.int32,
            gradient: wp.array[scalar],
            tangent: wp.array[scalar],
            slot: wp.array[wp.int32],
            values: wp.array[scalar],
        ): ...

        @wp.kernel(module=f"{module}.{int(symmetric)}", enable_backward=False)
        def stiffness(
            gradient: wp.array[scalar],
            tangent: wp.array[scalar],
            slot: wp.array[wp.int32],
            values: wp.array[scalar],
        ):
            i = wp.tid()
            column = i // lanes
            stiffness_block(
                column // nodes, i % lanes, column % nodes, gradient, tangent, slot, values
            )

        return stiffness

    return AssemblyKernels(deform, forces, stiffness_kernel(False), stiffness_kernel(True), lanes)
