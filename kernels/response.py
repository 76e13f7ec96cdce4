# SPDX-License-Identifier: Apache-2.0
"""What an elasticity and a plasticity consist of, and how the two combine.

Laws that are functions of the Hencky strains eps = log sigma alone are given as such; here they
meet the spectral decomposition, once for both where an elasticity and a flow of that kind go
together. Notation as in kernels/laws.py.
"""

from typing import Any, NamedTuple

import warp as wp

from .decompose import decompositions
from .dtypes import factory, types

SMALLEST_STRETCH = 0.05
"""Singular values are clamped here from below before their logarithm is taken [-]."""


class PrincipalStress(NamedTuple):
    """A stress as a function of Hencky strains."""

    value: wp.Function
    """value(eps, k) -> principal tau."""
    jacobian: wp.Function
    """jacobian(eps, k) -> dtau_i/deps_j."""
    coefficients_bar: wp.Function
    """coefficients_bar(eps, k, tau_bar) -> k_bar."""


class PrincipalFlow(NamedTuple):
    """A return mapping of Hencky strains."""

    value: wp.Function
    """value(eps, k, h) -> eps after the flow; eps itself, to the last bit, without flow."""
    jacobian: wp.Function
    """jacobian(eps, k, h) -> d eps_i after / d eps_j before."""
    coefficients_bar: wp.Function
    """coefficients_bar(eps, k, h, eps_bar) -> k_bar, h_bar."""


class Elastic(NamedTuple):
    """An elasticity of one precision."""

    stress: wp.Function
    """stress(F, k) -> tau."""
    pullback: wp.Function
    """pullback(F, k, tau_bar) -> F_bar, k_bar."""
    principal: PrincipalStress | None = None
    """Given by laws that need a spectral decomposition, so that a flow can share it."""
    columns: int = 2
    """How many numbers k has; the first are mu and lambda at rest."""


class Plastic(NamedTuple):
    """A plasticity of one precision."""

    return_map: wp.Function
    """return_map(F, k, h) -> F after the flow."""
    pullback: wp.Function
    """pullback(F, k, h, F_bar) -> F_bar before the flow, k_bar, h_bar."""
    columns: int
    """How many entries of h are used."""
    principal: PrincipalFlow | None = None


class Respond(NamedTuple):
    """Elasticity and plasticity together."""

    value: wp.Function
    """value(F_trial, k, h) -> tau, F."""
    pullback: wp.Function
    """pullback(F_trial, k, h, tau_bar, F_bar) -> F_trial_bar, k_bar, h_bar."""


def respond(elastic: Elastic, plastic: Plastic, dtype: Any) -> Respond:
    """Return mapping, then stress; one spectral decomposition where both need one."""
    if elastic.principal and plastic.principal:
        return _respond_principal(elastic.principal, plastic.principal, elastic.columns, dtype)
    vec2, veck, mat33 = pair(dtype), numbers(elastic.columns, dtype), types(dtype).mat33
    moduli, widened = moduli_functions(elastic.columns, dtype)
    stress, stress_pullback = elastic.stress, elastic.pullback
    return_map, flow_pullback = plastic.return_map, plastic.pullback

    @wp.func
    def value(F_trial: mat33, k: veck, h: vec2):
        F = return_map(F_trial, moduli(k), h)
        return stress(F, k), F

    @wp.func
    def pullback(F_trial: mat33, k: veck, h: vec2, tau_bar: mat33, F_bar: mat33):
        through, k_bar = stress_pullback(return_map(F_trial, moduli(k), h), k, tau_bar)
        F_trial_bar, k_flow, h_bar = flow_pullback(F_trial, moduli(k), h, F_bar + through)
        return F_trial_bar, k_bar + widened(k_flow), h_bar

    return Respond(value, pullback)


def _respond_principal(
    elastic: PrincipalStress, plastic: PrincipalFlow, columns: int, dtype: Any
) -> Respond:
    t = types(dtype)
    vec2, veck, vec3, mat33 = pair(dtype), numbers(columns, dtype), t.vec3, t.mat33
    moduli, widened = moduli_functions(columns, dtype)
    d = decompositions(dtype)
    spectral, left_pullback, mixed_pullback = d.spectral, d.left_pullback, d.mixed_pullback
    log_stretch, log_slope = log_stretch_functions(dtype)
    stress, stress_jacobian, stress_coefficients = elastic
    flow, flow_jacobian, flow_coefficients = plastic
    recompose = _recompose(dtype)

    @wp.func
    def value(F_trial: mat33, k: veck, h: vec2):
        U, sigma, V = spectral(F_trial)
        eps = log_stretch(sigma)
        after = flow(eps, moduli(k), h)
        tau = U * wp.diag(stress(after, k)) * wp.transpose(U)
        return tau, recompose(F_trial, U, sigma, V, eps, after)

    @wp.func
    def pullback(F_trial: mat33, k: veck, h: vec2, tau_bar: mat33, F_bar: mat33):
        U, sigma, V = spectral(F_trial)
        eps = log_stretch(sigma)
        after = flow(eps, moduli(k), h)
        stretch = vec3(wp.exp(after[0]), wp.exp(after[1]), wp.exp(after[2]))
        B = wp.transpose(U) * tau_bar * U
        H = wp.transpose(U) * F_bar * V
        slopes = flow_jacobian(eps, moduli(k), h) * wp.diag(log_slope(sigma))
        jacobian = stress_jacobian(after, k)
        D_bar = left_pullback(sigma, stress(after, k), jacobian * slopes, B)
        D_bar += mixed_pullback(sigma, stretch, wp.diag(stretch) * slopes, H)
        b_bar = wp.get_diag(B)
        after_bar = wp.transpose(jacobian) * b_bar + wp.cw_mul(stretch, wp.get_diag(H))
        k_flow, h_bar = flow_coefficients(eps, moduli(k), h, after_bar)
        k_bar = stress_coefficients(after, k, b_bar) + widened(k_flow)
        return U * D_bar * wp.transpose(V), k_bar, h_bar

    return Respond(value, pullback)


def principal_elastic(dtype: Any, principal: PrincipalStress, columns: int = 2) -> Elastic:
    """The stress F -> U diag(value(eps)) U^T."""
    t = types(dtype)
    veck, mat33 = numbers(columns, dtype), t.mat33
    d = decompositions(dtype)
    spectral, left_pullback = d.spectral, d.left_pullback
    log_stretch, log_slope = log_stretch_functions(dtype)
    value, jacobian, coefficients_bar = principal

    @wp.func
    def stress(F: mat33, k: veck):
        U, sigma, _V = spectral(F)
        return U * wp.diag(value(log_stretch(sigma), k)) * wp.transpose(U)

    @wp.func
    def pullback(F: mat33, k: veck, tau_bar: mat33):
        U, sigma, V = spectral(F)
        eps = log_stretch(sigma)
        B = wp.transpose(U) * tau_bar * U
        slopes = jacobian(eps, k) * wp.diag(log_slope(sigma))
        D_bar = left_pullback(sigma, value(eps, k), slopes, B)
        return U * D_bar * wp.transpose(V), coefficients_bar(eps, k, wp.get_diag(B))

    return Elastic(stress, pullback, principal, columns)


def principal_plastic(dtype: Any, principal: PrincipalFlow, columns: int) -> Plastic:
    """The return map F -> U diag(exp(eps after the flow)) V^T."""
    t = types(dtype)
    vec2, vec3, mat33 = pair(dtype), t.vec3, t.mat33
    d = decompositions(dtype)
    spectral, mixed_pullback = d.spectral, d.mixed_pullback
    log_stretch, log_slope = log_stretch_functions(dtype)
    flow, flow_jacobian, flow_coefficients = principal
    recompose = _recompose(dtype)

    @wp.func
    def return_map(F: mat33, k: vec2, h: vec2):
        U, sigma, V = spectral(F)
        eps = log_stretch(sigma)
        return recompose(F, U, sigma, V, eps, flow(eps, k, h))

    @wp.func
    def pullback(F: mat33, k: vec2, h: vec2, F_bar: mat33):
        U, sigma, V = spectral(F)
        eps = log_stretch(sigma)
        after = flow(eps, k, h)
        stretch = vec3(wp.exp(after[0]), wp.exp(after[1]), wp.exp(after[2]))
        H = wp.transpose(U) * F_bar * V
        slopes = flow_jacobian(eps, k, h) * wp.diag(log_slope(sigma))
        D_bar = mixed_pullback(sigma, stretch, wp.diag(stretch) * slopes, H)
        k_bar, h_bar = flow_coefficients(eps, k, h, wp.cw_mul(stretch, wp.get_diag(H)))
        return U * D_bar * wp.transpose(V), k_bar, h_bar

    return Plastic(return_map, pullback, columns, principal)


@factory
def _recompose(dtype: Any) -> wp.Function:
    t = types(dtype)
    vec3, mat33 = t.vec3, t.mat33
    floor = t.scalar(SMALLEST_STRETCH)

    @wp.func
    def recompose(F: mat33, U: mat33, sigma: vec3, V: mat33, eps: vec3, after: vec3):
        """U diag(exp(after)) V^T, or F itself where nothing was clamped and nothing flowed."""
        out = F
        same = eps[0] == after[0] and eps[1] == after[1] and eps[2] == after[2]
        if not same or wp.min(sigma) < floor:
            stretch = vec3(wp.exp(after[0]), wp.exp(after[1]), wp.exp(after[2]))
            out = U * wp.diag(stretch) * wp.transpose(V)
        return out

    return recompose


@factory
def log_stretch_functions(dtype: Any) -> tuple[wp.Function, wp.Function]:
    """The clamped logarithm of singular values, and its derivative."""
    t = types(dtype)
    scalar, vec3 = t.scalar, t.vec3
    zero, one, floor = scalar(0.0), scalar(1.0), scalar(SMALLEST_STRETCH)

    @wp.func
    def slope(s: scalar):
        d = zero
        if s >= floor:
            d = one / s
        return d

    @wp.func
    def log_stretch(sigma: vec3):
        return vec3(
            wp.log(wp.max(sigma[0], floor)),
            wp.log(wp.max(sigma[1], floor)),
            wp.log(wp.max(sigma[2], floor)),
        )

    @wp.func
    def log_slope(sigma: vec3):
        return vec3(slope(sigma[0]), slope(sigma[1]), slope(sigma[2]))

    return log_stretch, log_slope


@factory
def numbers(count: int, dtype: Any) -> Any:
    """The type of so many coefficients."""
    return wp.types.vector(length=count, dtype=types(dtype).scalar)


def pair(dtype: Any) -> Any:
    """The type of the moduli (mu, lambda), of the k of most laws, and of h."""
    return numbers(2, dtype)


@factory
def moduli_functions(columns: int, dtype: Any) -> tuple[wp.Function, wp.Function]:
    """moduli(k) -> (mu, lambda), which flows read; widened(moduli_bar) -> their share of k_bar."""
    vec2, veck = pair(dtype), numbers(columns, dtype)

    @wp.func
    def moduli(k: veck):
        return vec2(k[0], k[1])

    @wp.func
    def widened(moduli_bar: vec2):
        k_bar = veck()
        k_bar[0] = moduli_bar[0]
        k_bar[1] = moduli_bar[1]
        return k_bar

    return moduli, widened


@factory
def coefficients_function(first: int, count: int, dtype: Any, length: int = 0) -> wp.Function:
    """load(coefficients, r) -> the `count` numbers of row r from column `first` on.

    With `length`, as many, of which those beyond `count` are 0.
    """
    scalar, vector = types(dtype).scalar, numbers(length or count, dtype)

    @wp.func
    def load(coefficients: wp.array2d[scalar], r: int):
        out = vector()
        for c in range(count):
            out[c] = coefficients[r, first + c]
        return out

    return load
