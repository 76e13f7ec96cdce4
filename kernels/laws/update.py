# SPDX-License-Identifier: Apache-2.0
"""Kernels that update the material points of one analytic law, and their adjoints.

Each thread takes one entry of `index`, the particles of that law. `row[p]` is the row of
`coefficients` that holds for particle p, so that bodies and worlds may differ; its columns are

    mu [Pa], lambda [Pa], further ones of the elasticity and those of the plasticity
    (analytic.py), then, if damped, a time [s], the share b [-] of the bulk modulus that is
    damped, and a number c, 0 or 1.

A damped law adds tau_v = J^c t (2 mu D' + b (lambda + 2/3 mu) tr D I), D the symmetric part of
L = (F_trial F_n^-1 - I) / dt and D' = D - tr D/3 I, where F_n is F at the end of the last step, row
by row in nine columns of `internal`, and J = det F_trial. With c = 0 that is Kelvin-Voigt damping
by Kirchhoff stress; with c = 1 Newton's fluid, whose viscosities are of the Cauchy stress tau / J.

The columns of `internal`, the numbers of each point, are

    the numbers z of the elasticity: constant fields, then history; those of the plasticity; F_n,
    if damped

and those beyond are left alone: a law without any may be given an `internal` of width 0. Constant
fields are handed on. Damping scales with mu and lambda as they are at rest.

All kernels are launched forward; the adjoints are hand-written. They compile into modules of
their own, so a run without gradients does not wait for them.
"""

import re
from typing import Any, NamedTuple

import warp as wp

from ..decompose import decompositions
from ..dtypes import factory, types
from .analytic import PLASTICITIES, elastic_form
from .parts import Elastic, Plastic, columns_functions, moduli_functions, pair
from .response import Respond, respond

DAMPING = 3
"""Coefficients of a damped law beside those of what it damps."""


class LawKernels(NamedTuple):
    """Kernels of one law in one precision."""

    stress: wp.Kernel
    """(index, F, internal, row, coefficients, tau_out): elastic stress of given states."""
    update: wp.Kernel
    """(index, F_trial, internal, dt, row, coefficients, tau_out, F_out, internal_out)"""
    adjoint: wp.Kernel
    """(index, F_trial, internal, dt, row, coefficients, tau_bar, F_bar, internal_out_bar,
    F_trial_bar_out, internal_bar_out, coefficients_bar): of `update`; overwrites the two `_out`
    at the particles of `index`, in the law's own columns, and adds to coefficients_bar."""
    stress_adjoint: wp.Kernel
    """(index, F, internal, row, coefficients, tau_bar, F_bar_out, internal_bar_out,
    coefficients_bar): of `stress`, likewise; F_n has no part in it and gets no gradient."""


class Columns(NamedTuple):
    """Where the numbers of a law stand."""

    elastic: int
    """Coefficients of the elasticity, the first."""
    plastic: int
    """Those of the plasticity, which follow."""
    z: int
    """Numbers of z, the first columns of `internal`."""
    damped: bool

    @property
    def damping(self) -> int:
        """The coefficient that follows, of a damped law."""
        return self.elastic + self.plastic

    @property
    def internal(self) -> int:
        """Columns of `internal` that the law has."""
        return self.z + 9 * int(self.damped)

    @staticmethod
    def of(elastic: Elastic, plastic: Plastic, damped: bool) -> "Columns":
        """Those of a law."""
        z = elastic.internal + plastic.internal
        return Columns(elastic.columns, plastic.columns, z, damped)


def coefficient_count(elasticity: str, plasticity: str, damped: bool) -> int:
    """Columns of `coefficients`."""
    columns = Columns.of(*parts(elasticity, plasticity, wp.float32), damped)
    return columns.damping + DAMPING * int(damped)


@factory
def internal_count(elasticity: str, plasticity: str, damped: bool) -> int:
    """Columns of `internal` that a law has."""
    return Columns.of(*parts(elasticity, plasticity, wp.float32), damped).internal


def parts(elasticity: str, plasticity: str, dtype: Any) -> tuple[Elastic, Plastic]:
    """What a law consists of.

    Raises:
        KeyError: A name is not in its table.
    """
    if plasticity not in PLASTICITIES:
        raise KeyError(
            f"no plasticity is named {plasticity!r}; there are {', '.join(PLASTICITIES)}"
        )
    return elastic_form(elasticity, dtype), PLASTICITIES[plasticity](dtype)


@factory
def law_kernels(elasticity: str, plasticity: str, damped: bool, dtype: Any) -> LawKernels:
    """The kernels of a law; nothing is compiled before the first launch.

    Args:
        elasticity: A name as `laws.elastic_form` knows it.
        plasticity: A key of `laws.PLASTICITIES`, "none" for an elastic law.
        damped: Whether Kelvin-Voigt damping is added.
        dtype: wp.float32 or wp.float64.

    Raises:
        KeyError: A name is not in its table.
    """
    elastic, plastic = parts(elasticity, plasticity, dtype)
    module = module_name(elasticity, plasticity, damped, types(dtype).suffix)
    columns = Columns.of(elastic, plastic, damped)
    both = respond(elastic, plastic, dtype)
    update = _update(both, columns, damped, dtype, module)
    adjoint = _adjoint(both, columns, damped, dtype, f"{module}.adjoint")
    stiffens = plastic.stiffening is not None
    stress, stress_adjoint = _stress(both, columns, stiffens, dtype, module)
    return LawKernels(stress, update, adjoint, stress_adjoint)


def module_name(elasticity: str, plasticity: str, damped: bool, *more: str) -> str:
    """Of the Warp module of a law."""
    words = ["rheograd.laws", elasticity, plasticity, *(["damped"] if damped else []), *more]
    return re.sub(r"[-()]+", "_", ".".join(words)).replace("_.", ".")


def _stress(
    both: Respond, columns: Columns, stiffens: bool, dtype: Any, module: str
) -> tuple[wp.Kernel, wp.Kernel]:
    mat33, scalar = types(dtype).mat33, types(dtype).scalar
    value, pullback, own, more = both.stress, both.stress_pullback, columns.elastic, columns.plastic
    load_k, _save_k = columns_functions(0, own, dtype)
    load_h, _save_h = columns_functions(own, more, dtype)
    load_z, save_z = columns_functions(0, columns.z, dtype)

    @wp.kernel(module=module, enable_backward=False)
    def stress(
        index: wp.array[wp.int32],
        F: wp.array[mat33],
        internal: wp.array2d[scalar],
        row: wp.array[wp.int32],
        coefficients: wp.array2d[scalar],
        tau_out: wp.array[mat33],
    ):
        p = index[wp.tid()]
        r = row[p]
        k = load_k(coefficients, r)
        tau_out[p] = value(F[p], k, load_h(coefficients, r), load_z(internal, p))

    @wp.kernel(module=f"{module}.adjoint", enable_backward=False)
    def stress_adjoint(
        index: wp.array[wp.int32],
        F: wp.array[mat33],
        internal: wp.array2d[scalar],
        row: wp.array[wp.int32],
        coefficients: wp.array2d[scalar],
        tau_bar: wp.array[mat33],
        F_bar_out: wp.array[mat33],
        internal_bar_out: wp.array2d[scalar],
        coefficients_bar: wp.array2d[scalar],
    ):
        p = index[wp.tid()]
        r = row[p]
        k = load_k(coefficients, r)
        h = load_h(coefficients, r)
        F_bar, k_bar, h_bar, z_bar = pullback(F[p], k, h, load_z(internal, p), tau_bar[p])
        F_bar_out[p] = F_bar
        save_z(internal_bar_out, p, z_bar)
        for c in range(own):
            wp.atomic_add(coefficients_bar, r, c, k_bar[c])
        if wp.static(stiffens):
            for c in range(more):
                wp.atomic_add(coefficients_bar, r, wp.static(own) + c, h_bar[c])

    return stress, stress_adjoint


def _update(both: Respond, columns: Columns, damped: bool, dtype: Any, module: str) -> wp.Kernel:
    mat33, scalar = types(dtype).mat33, types(dtype).scalar
    value, last = both.value, columns.damping
    load_k, _save_k = columns_functions(0, columns.elastic, dtype)
    load_h, _save_h = columns_functions(columns.elastic, columns.plastic, dtype)
    load_z, save_z = columns_functions(0, columns.z, dtype)
    load_d, _save_d = columns_functions(last, DAMPING, dtype)
    moduli, _widened = moduli_functions(columns.elastic, dtype)
    load, save = history_functions(columns.z, dtype)
    rate, viscous, _pullback = damping_functions(dtype)

    @wp.kernel(module=module, enable_backward=False)
    def update(
        index: wp.array[wp.int32],
        F_trial: wp.array[mat33],
        internal: wp.array2d[scalar],
        dt: scalar,
        row: wp.array[wp.int32],
        coefficients: wp.array2d[scalar],
        tau_out: wp.array[mat33],
        F_out: wp.array[mat33],
        internal_out: wp.array2d[scalar],
    ):
        p = index[wp.tid()]
        r = row[p]
        k = load_k(coefficients, r)
        F_in = F_trial[p]
        tau, F, z = value(F_in, k, load_h(coefficients, r), load_z(internal, p), dt)
        if wp.static(damped):
            D = rate(F_in, load(internal, p), dt)
            tau += viscous(moduli(k), load_d(coefficients, r), wp.determinant(F_in), D)
            save(internal_out, p, F)
        save_z(internal_out, p, z)
        tau_out[p] = tau
        F_out[p] = F

    return update


def _adjoint(both: Respond, columns: Columns, damped: bool, dtype: Any, module: str) -> wp.Kernel:
    mat33, scalar = types(dtype).mat33, types(dtype).scalar
    pullback, own, more, last = both.pullback, columns.elastic, columns.plastic, columns.damping
    load_k, _save_k = columns_functions(0, own, dtype)
    load_h, _save_h = columns_functions(own, more, dtype)
    load_z, save_z = columns_functions(0, columns.z, dtype)
    load_d, _save_d = columns_functions(last, DAMPING, dtype)
    moduli, widened = moduli_functions(own, dtype)
    load, save = history_functions(columns.z, dtype)
    _rate, _viscous, damping_pullback = damping_functions(dtype)

    @wp.kernel(module=module, enable_backward=False)
    def adjoint(
        index: wp.array[wp.int32],
        F_trial: wp.array[mat33],
        internal: wp.array2d[scalar],
        dt: scalar,
        row: wp.array[wp.int32],
        coefficients: wp.array2d[scalar],
        tau_bar: wp.array[mat33],
        F_bar: wp.array[mat33],
        internal_out_bar: wp.array2d[scalar],
        F_trial_bar_out: wp.array[mat33],
        internal_bar_out: wp.array2d[scalar],
        coefficients_bar: wp.array2d[scalar],
    ):
        p = index[wp.tid()]
        r = row[p]
        k = load_k(coefficients, r)
        h = load_h(coefficients, r)
        F_in = F_trial[p]
        tau_in = tau_bar[p]
        F_bar_in = F_bar[p]
        if wp.static(damped):
            F_bar_in += load(internal_out_bar, p)
        F_trial_bar, k_bar, h_bar, z_bar = pullback(
            F_in, k, h, load_z(internal, p), dt, tau_in, F_bar_in, load_z(internal_out_bar, p)
        )
        if wp.static(damped):
            d = load_d(coefficients, r)
            F_n = load(internal, p)
            F_v, F_n_bar, k_v, d_v = damping_pullback(F_in, F_n, dt, moduli(k), d, tau_in)
            F_trial_bar += F_v
            k_bar += widened(k_v)
            save(internal_bar_out, p, F_n_bar)
            for c in range(DAMPING):
                wp.atomic_add(coefficients_bar, r, wp.static(last) + c, d_v[c])
        save_z(internal_bar_out, p, z_bar)
        F_trial_bar_out[p] = F_trial_bar
        for c in range(own):
            wp.atomic_add(coefficients_bar, r, c, k_bar[c])
        for c in range(more):
            wp.atomic_add(coefficients_bar, r, wp.static(own) + c, h_bar[c])

    return adjoint


@factory
def history_functions(first: int, dtype: Any) -> tuple[wp.Function, wp.Function]:
    """load(internal, p) -> F_n and save(internal, p, F), of a damped law; `first` is its column."""
    mat33, scalar = types(dtype).mat33, types(dtype).scalar

    @wp.func
    def load(internal: wp.array2d[scalar], p: int):
        F = mat33()
        for i in range(3):
            for j in range(3):
                F[i, j] = internal[p, first + 3 * i + j]
        return F

    @wp.func
    def save(internal: wp.array2d[scalar], p: int, F: mat33):
        for i in range(3):
            for j in range(3):
                internal[p, first + 3 * i + j] = F[i, j]

    return load, save


@factory
def damping_functions(dtype: Any) -> tuple[wp.Function, wp.Function, wp.Function]:
    """rate, viscous stress and its pullback."""
    t = types(dtype)
    mat33, scalar, vec2, vec3 = t.mat33, t.scalar, pair(dtype), t.vec3
    cofactor = decompositions(dtype).cofactor
    half, one, two, third = t.scalar(0.5), t.scalar(1.0), t.scalar(2.0), t.scalar(1.0 / 3.0)

    @wp.func
    def rate(F_trial: mat33, F_n: mat33, dt: scalar):
        """Symmetric part of (F_trial F_n^-1 - I) / dt."""
        # (F_trial - F_n) F_n^-1 keeps the digits that F_trial F_n^-1 - I loses
        L = ((F_trial - F_n) * wp.inverse(F_n)) / dt
        return half * (L + wp.transpose(L))

    @wp.func
    def viscous(k: vec2, damping: vec3, J: scalar, D: mat33):
        time = (one + damping[2] * (J - one)) * damping[0]
        bulk = damping[1]
        # the factor of tr D is lambda itself, to the last bit, where all of the bulk is damped
        p = time * (bulk * k[1] - (one - bulk) * two * third * k[0]) * wp.trace(D)
        return (two * time * k[0]) * D + wp.diag(vec3(p, p, p))

    @wp.func
    def damping_pullback(
        F_trial: mat33, F_n: mat33, dt: scalar, k: vec2, damping: vec3, tau_bar: mat33
    ):
        """F_trial_bar, F_n_bar, k_bar and the gradients of time, share of the bulk and c."""
        J = wp.determinant(F_trial)
        share = damping[1]
        scale = one + damping[2] * (J - one)
        time = scale * damping[0]
        D = rate(F_trial, F_n, dt)
        traces = wp.trace(tau_bar) * wp.trace(D)
        L_bar = viscous(k, damping, J, half * (tau_bar + wp.transpose(tau_bar))) / dt
        F_trial_bar = L_bar * wp.transpose(wp.inverse(F_n))
        F_n_bar = -wp.transpose(F_trial * wp.inverse(F_n)) * F_trial_bar
        mu_bar = two * wp.ddot(tau_bar, D) - (one - share) * two * third * traces
        lambda_bar = share * traces
        along = k[0] * mu_bar + k[1] * lambda_bar
        F_trial_bar += (damping[2] * damping[0] * along) * cofactor(F_trial)
        by_share = time * (k[1] + two * third * k[0]) * traces
        damping_bar = vec3(scale * along, by_share, (J - one) * damping[0] * along)
        return F_trial_bar, F_n_bar, time * vec2(mu_bar, lambda_bar), damping_bar

    return rate, viscous, damping_pullback
