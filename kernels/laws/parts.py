# SPDX-License-Identifier: Apache-2.0
"""What an elasticity and a plasticity are made of; response.py combines them.

Notation as in analytic.py. Besides F and its coefficients a law may read and write numbers z of the
point, its columns of `internal` (update.py): of an elasticity constant fields such as fibre
directions first and then history, of a plasticity its history. Laws without such numbers are
written without z and dt, and `elasticity`, `plasticity` and `principal_flow` give them those.
Vectors of no numbers, which Warp does not have, are of length 1 and nothing reads them.
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types


class PrincipalStress(NamedTuple):
    """A stress as a function of Hencky strains."""

    value: wp.Function
    """value(eps, k) -> principal tau."""
    jacobian: wp.Function
    """jacobian(eps, k) -> dtau_i/deps_j."""
    quotients: wp.Function
    """quotients(eps, k) -> (tau_i - tau_j) / (eps_i - eps_j) of the pairs (1, 2), (2, 0), (0, 1),
    or their limits."""
    coefficients_bar: wp.Function
    """coefficients_bar(eps, k, tau_bar) -> k_bar."""


class PrincipalFlow(NamedTuple):
    """A return mapping of Hencky strains; z does not change if the strains are permuted."""

    value: wp.Function
    """value(eps, k, h, z, dt) -> eps and z after the flow; eps itself, to the last bit, without."""
    jacobian: wp.Function
    """jacobian(eps, k, h, z, dt) -> d eps_i after / d eps_j before."""
    quotients: wp.Function
    """quotients(eps, k, h, z, dt) -> difference after / difference before of the strains of the
    pairs (1, 2), (2, 0), (0, 1), or the limits."""
    pullback: wp.Function
    """pullback(eps, k, h, z, dt, eps_out_bar, z_out_bar) -> eps_bar, k_bar, h_bar, z_bar, where
    eps_bar is only what comes through z_out: the rest is jacobian^T eps_out_bar."""


class Evolution(NamedTuple):
    """How the numbers of an elasticity change in a step, once F has flowed."""

    value: wp.Function
    """value(F, k, z, dt) -> z at the end of the step."""
    pullback: wp.Function
    """pullback(F, k, z, dt, z_out_bar) -> F_bar, k_bar, z_bar."""


class Stiffening(NamedTuple):
    """How a flow changes mu and lambda; the flow itself and damping read them as at rest."""

    value: wp.Function
    """value(h, z) -> the factor, of z after the flow."""
    pullback: wp.Function
    """pullback(h, z, factor_bar) -> h_bar, z_bar."""


class Elastic(NamedTuple):
    """An elasticity of one precision."""

    stress: wp.Function
    """stress(F, k, z) -> tau, of z at the end of the step."""
    pullback: wp.Function
    """pullback(F, k, z, tau_bar) -> F_bar, k_bar, z_bar."""
    columns: int = 2
    """How many numbers k has; the first are mu and lambda at rest."""
    internal: int = 0
    """How many numbers z has."""
    principal: PrincipalStress | None = None
    """Given by laws that need a spectral decomposition, so that a flow can share it; without z."""
    evolution: Evolution | None = None
    """None: z is constant."""


class Plastic(NamedTuple):
    """A plasticity of one precision; its k is (mu, lambda) at rest."""

    return_map: wp.Function
    """return_map(F, k, h, z, dt) -> F and z after the flow."""
    pullback: wp.Function
    """pullback(F, k, h, z, dt, F_out_bar, z_out_bar) -> F_bar, k_bar, h_bar, z_bar."""
    columns: int
    """How many numbers h has."""
    internal: int = 0
    """How many numbers z has."""
    principal: PrincipalFlow | None = None
    stiffening: Stiffening | None = None
    """None: the moduli are constant. Only for elasticities whose k is (mu, lambda)."""


def elasticity(dtype: Any, stress: wp.Function, pullback: wp.Function, columns: int = 2) -> Elastic:
    """Without numbers of its own: of stress(F, k) and pullback(F, k, tau_bar) -> F_bar, k_bar."""
    mat33, veck, none = types(dtype).mat33, numbers(columns, dtype), numbers(0, dtype)

    @wp.func
    def full_stress(F: mat33, k: veck, z: none):
        return stress(F, k)

    @wp.func
    def full_pullback(F: mat33, k: veck, z: none, tau_bar: mat33):
        F_bar, k_bar = pullback(F, k, tau_bar)
        return F_bar, k_bar, none()

    return Elastic(full_stress, full_pullback, columns)


def plasticity(dtype: Any, return_map: wp.Function, pullback: wp.Function, columns: int) -> Plastic:
    """Without history.

    Args:
        dtype: wp.float32 or wp.float64.
        return_map: return_map(F, k, h) -> F.
        pullback: pullback(F, k, h, F_bar) -> F_bar, k_bar, h_bar.
        columns: How many numbers h has.
    """
    t, none = types(dtype), numbers(0, dtype)
    mat33, vec2, vech, scalar = t.mat33, pair(dtype), numbers(columns, dtype), t.scalar

    @wp.func
    def full_map(F: mat33, k: vec2, h: vech, z: none, dt: scalar):
        return return_map(F, k, h), z

    @wp.func
    def full_pullback(
        F: mat33, k: vec2, h: vech, z: none, dt: scalar, F_out_bar: mat33, z_out_bar: none
    ):
        F_bar, k_bar, h_bar = pullback(F, k, h, F_out_bar)
        return F_bar, k_bar, h_bar, z_out_bar

    return Plastic(full_map, full_pullback, columns)


def principal_flow(
    dtype: Any, value: wp.Function, jacobian: wp.Function, quotients: wp.Function,
    coefficients_bar: wp.Function, columns: int,
) -> PrincipalFlow:  # fmt: skip
    """Without history.

    Args:
        dtype: wp.float32 or wp.float64.
        value: value(eps, k, h) -> eps.
        jacobian: jacobian(eps, k, h) -> d eps_i after / d eps_j before.
        quotients: quotients(eps, k, h), see `PrincipalFlow`.
        coefficients_bar: coefficients_bar(eps, k, h, eps_bar) -> k_bar, h_bar.
        columns: How many numbers h has.
    """
    t, none = types(dtype), numbers(0, dtype)
    vec2, vec3, vech, scalar = pair(dtype), t.vec3, numbers(columns, dtype), t.scalar

    @wp.func
    def full_value(eps: vec3, k: vec2, h: vech, z: none, dt: scalar):
        return value(eps, k, h), z

    @wp.func
    def full_jacobian(eps: vec3, k: vec2, h: vech, z: none, dt: scalar):
        return jacobian(eps, k, h)

    @wp.func
    def full_quotients(eps: vec3, k: vec2, h: vech, z: none, dt: scalar):
        return quotients(eps, k, h)

    @wp.func
    def full_pullback(
        eps: vec3, k: vec2, h: vech, z: none, dt: scalar, eps_out_bar: vec3, z_out_bar: none
    ):
        k_bar, h_bar = coefficients_bar(eps, k, h, eps_out_bar)
        return vec3(), k_bar, h_bar, z_out_bar

    return PrincipalFlow(full_value, full_jacobian, full_quotients, full_pullback)


@factory
def numbers(count: int, dtype: Any) -> Any:
    """The type of so many numbers; of none a vector of one that nothing reads."""
    return wp.types.vector(length=max(count, 1), dtype=types(dtype).scalar)


def pair(dtype: Any) -> Any:
    """The type of the moduli (mu, lambda), and of the k of most laws."""
    return numbers(2, dtype)


@factory
def columns_functions(first: int, count: int, dtype: Any) -> tuple[wp.Function, wp.Function]:
    """load(table, r) -> the `count` numbers of row r from column `first` on; save(table, r, it)."""
    scalar, vector = types(dtype).scalar, numbers(count, dtype)

    @wp.func
    def load(table: wp.array2d[scalar], r: int):
        out = vector()
        for c in range(count):
            out[c] = table[r, first + c]
        return out

    @wp.func
    def save(table: wp.array2d[scalar], r: int, values: vector):
        for c in range(count):
            table[r, first + c] = values[c]

    return load, save


@factory
def leading_functions(count: int, columns: int, dtype: Any) -> tuple[wp.Function, wp.Function]:
    """leading(values) -> the first `count` of `columns` numbers; widened(them) -> zeros behind."""
    few, many = numbers(count, dtype), numbers(columns, dtype)

    @wp.func
    def leading(values: many):
        out = few()
        for c in range(count):
            out[c] = values[c]
        return out

    @wp.func
    def widened(values: few):
        out = many()
        for c in range(count):
            out[c] = values[c]
        return out

    return leading, widened


def moduli_functions(columns: int, dtype: Any) -> tuple[wp.Function, wp.Function]:
    """moduli(k) -> (mu, lambda), which flows read; widened(moduli_bar) -> their share of k_bar."""
    return leading_functions(2, columns, dtype)
