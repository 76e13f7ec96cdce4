# SPDX-License-Identifier: Apache-2.0
"""From the Kirchhoff stress of a law to the first Piola stress and its derivative.

In an increment from a known deformation F_n with elastic part F_e, the trial deformation is
F_trial = F G with G = F_n^-1 F_e. With D_ij = dtau_ij/dF_trial, the consistent tangent is

    P = tau F^-T
    A_iJkL = dP_iJ/dF_kL = F^-1_Jj (D_ij G^T)_kL - F^-1_Jk P_iL

Results are weighted and go into the lanes of elements/assembly.py. The nine D_ij of an analytic law
are pullbacks of unit stresses, so a law is written once, in analytic.py.
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types
from ..elements.assembly import LANES
from .parts import columns_functions, moduli_functions, numbers
from .response import respond
from .update import DAMPING, Columns, damping_functions, history_functions, module_name, parts


class PiolaKernels(NamedTuple):
    """Kernels for laws of any kind."""

    stress: wp.Kernel
    """(index, points, F, tau, weight, P_out): the weighted first Piola stress, into lanes."""


@factory
def piola_functions(dtype: Any) -> tuple[wp.Function, wp.Function]:
    """put_stress(...) and put_tangent(...), which write one point's numbers into lanes."""
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33

    @wp.func
    def put_stress(p: int, points: int, P: mat33, out: wp.array[scalar]):
        e = p // points
        at = ((e // LANES) * points + p % points) * 9 * LANES + e % LANES
        for i in range(3):
            for j in range(3):
                out[at + (3 * i + j) * LANES] = P[i, j]

    @wp.func
    def put_tangent(
        p: int, points: int, i: int, w: scalar, C: mat33, P: mat33,
        D0: mat33, D1: mat33, D2: mat33, out: wp.array[scalar],
    ):  # fmt: skip
        """The 27 numbers A_i... of one i; C is F^-1 and D_j are D_ij G^T."""
        e = p // points
        at = ((e // LANES) * points + p % points) * 81 * LANES + e % LANES
        for J in range(3):
            row = C[J, 0] * D0 + C[J, 1] * D1 + C[J, 2] * D2
            row -= wp.outer(vec3(C[J, 0], C[J, 1], C[J, 2]), vec3(P[i, 0], P[i, 1], P[i, 2]))
            for k in range(3):
                for L in range(3):
                    out[at + ((3 * i + J) * 9 + 3 * k + L) * LANES] = w * row[k, L]

    return put_stress, put_tangent


@factory
def piola_kernels(dtype: Any) -> PiolaKernels:
    """The kernels in wp.float32 or wp.float64."""
    t = types(dtype)
    scalar, mat33 = t.scalar, t.mat33
    put_stress, _put_tangent = piola_functions(dtype)
    module = f"rheograd.piola.{t.suffix}"

    @wp.kernel(module=module, enable_backward=False)
    def stress(
        index: wp.array[wp.int32],
        points: wp.int32,
        F: wp.array[mat33],
        tau: wp.array[mat33],
        weight: wp.array[scalar],
        P_out: wp.array[scalar],
    ):
        p = index[wp.tid()]
        P = tau[p] * wp.transpose(wp.inverse(F[p]))
        put_stress(p, points, weight[p] * P, P_out)

    return PiolaKernels(stress)


@factory
def linearize_kernel(elasticity: str, plasticity: str, damped: bool, dtype: Any) -> wp.Kernel:
    """`update` of an analytic law with the weighted P and A of its points, into lanes.

    (index, points, F, G, internal, dt, row, coefficients, weight, tau_out, F_out, internal_out,
    P_out, A_out); arguments as in update.py and above.
    """
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    one = t.scalar(1.0)
    elastic, plastic = parts(elasticity, plasticity, dtype)
    both, columns = respond(elastic, plastic, dtype), Columns.of(elastic, plastic, damped)
    value, pullback, last = both.value, both.pullback, columns.damping
    veck, vech, vecz = (numbers(c, dtype) for c in (columns.elastic, columns.plastic, columns.z))
    load_k, _save_k = columns_functions(0, columns.elastic, dtype)
    load_h, _save_h = columns_functions(columns.elastic, columns.plastic, dtype)
    load_z, save_z = columns_functions(0, columns.z, dtype)
    load_d, _save_d = columns_functions(last, DAMPING, dtype)
    moduli, _widened = moduli_functions(columns.elastic, dtype)
    load, save = history_functions(columns.z, dtype)
    rate, viscous, damping_pullback = damping_functions(dtype)
    put_stress, put_tangent = piola_functions(dtype)
    module = module_name(elasticity, plasticity, damped, t.suffix, "tangent")

    @wp.func
    def derivative(
        i: int, j: int, F: mat33, F_n: mat33, dt: scalar, k: veck, h: vech, z: vecz, damping: vec3
    ):
        """D_ij, of the history at the start of the step."""
        unit = mat33()
        unit[i, j] = one
        D, _k_bar, _h_bar, _z_bar = pullback(F, k, h, z, dt, unit, mat33(), vecz())
        if wp.static(damped):
            D_v, _F_n_bar, _k_v, _t_v = damping_pullback(F, F_n, dt, moduli(k), damping, unit)
            D += D_v
        return D

    @wp.kernel(module=module, enable_backward=False)
    def linearize(
        index: wp.array[wp.int32],
        points: wp.int32,
        F: wp.array[mat33],
        G: wp.array[mat33],
        internal: wp.array2d[scalar],
        dt: scalar,
        row: wp.array[wp.int32],
        coefficients: wp.array2d[scalar],
        weight: wp.array[scalar],
        tau_out: wp.array[mat33],
        F_out: wp.array[mat33],
        internal_out: wp.array2d[scalar],
        P_out: wp.array[scalar],
        A_out: wp.array[scalar],
    ):
        p = index[wp.tid()]
        r = row[p]
        k = load_k(coefficients, r)
        h = load_h(coefficients, r)
        z = load_z(internal, p)
        g = G[p]
        F_trial = F[p] * g
        tau, F_elastic, after = value(F_trial, k, h, z, dt)
        F_n = mat33()
        damping = vec3()
        if wp.static(damped):
            F_n = load(internal, p)
            damping = load_d(coefficients, r)
            D_n = rate(F_trial, F_n, dt)
            tau += viscous(moduli(k), damping, wp.determinant(F_trial), D_n)
            save(internal_out, p, F_elastic)
        save_z(internal_out, p, after)
        tau_out[p] = tau
        F_out[p] = F_elastic
        C = wp.inverse(F[p])
        P = tau * wp.transpose(C)
        w = weight[p]
        put_stress(p, points, w * P, P_out)
        B = wp.transpose(g)
        for i in range(3):
            D0 = derivative(i, 0, F_trial, F_n, dt, k, h, z, damping) * B
            D1 = derivative(i, 1, F_trial, F_n, dt, k, h, z, damping) * B
            D2 = derivative(i, 2, F_trial, F_n, dt, k, h, z, damping) * B
            put_tangent(p, points, i, w, C, P, D0, D1, D2, A_out)

    return linearize
