# SPDX-License-Identifier: Apache-2.0
"""Laws that are functions of the Hencky strains eps = log sigma alone, given as laws of F."""

from typing import Any, NamedTuple

import warp as wp

from ..decompose import decompositions
from ..dtypes import factory, types
from .parts import (
    Elastic,
    Plastic,
    PrincipalFlow,
    PrincipalStress,
    Stiffening,
    elasticity,
    numbers,
    pair,
)

SMALLEST_STRETCH = 0.05
"""Singular values are clamped here from below before their logarithm is taken [-]."""


def principal_elastic(dtype: Any, principal: PrincipalStress, columns: int = 2) -> Elastic:
    """The stress F -> U diag(value(eps)) U^T."""
    t = types(dtype)
    veck, mat33 = numbers(columns, dtype), t.mat33
    d = decompositions(dtype)
    spectral, left_pullback = d.spectral, d.left_pullback
    log_stretch, log_slope = log_stretch_functions(dtype)
    log_quotients, _exp_quotients = quotient_functions(dtype)
    value, jacobian, quotients, coefficients_bar = principal

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
        p = wp.cw_mul(quotients(eps, k), log_quotients(sigma))
        D_bar = left_pullback(sigma, p, slopes, B)
        return U * D_bar * wp.transpose(V), coefficients_bar(eps, k, wp.get_diag(B))

    return elasticity(dtype, stress, pullback, columns)._replace(principal=principal)


def principal_plastic(
    dtype: Any, principal: PrincipalFlow, columns: int, internal: int = 0,
    stiffening: Stiffening | None = None,
) -> Plastic:  # fmt: skip
    """The return map F -> U diag(exp(eps after the flow)) V^T."""
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    vec2, vech, vecz = pair(dtype), numbers(columns, dtype), numbers(internal, dtype)
    d = decompositions(dtype)
    spectral, mixed_pullback = d.spectral, d.mixed_pullback
    log_stretch, log_slope = log_stretch_functions(dtype)
    log_quotients, exp_quotients = quotient_functions(dtype)
    flow, flow_jacobian, flow_quotients, flow_pullback = principal
    recompose, remembers = recompose_function(dtype), internal > 0

    @wp.func
    def return_map(F: mat33, k: vec2, h: vech, z: vecz, dt: scalar):
        U, sigma, V = spectral(F)
        eps = log_stretch(sigma)
        after, flowed = flow(eps, k, h, z, dt)
        return recompose(F, U, sigma, V, eps, after), flowed

    @wp.func
    def pullback(
        F: mat33, k: vec2, h: vech, z: vecz, dt: scalar, F_out_bar: mat33, z_out_bar: vecz
    ):
        U, sigma, V = spectral(F)
        eps = log_stretch(sigma)
        after, _flowed = flow(eps, k, h, z, dt)
        stretch = vec3(wp.exp(after[0]), wp.exp(after[1]), wp.exp(after[2]))
        H = wp.transpose(U) * F_out_bar * V
        slopes = flow_jacobian(eps, k, h, z, dt) * wp.diag(log_slope(sigma))
        p = wp.cw_mul(flow_quotients(eps, k, h, z, dt), log_quotients(sigma))
        p = wp.cw_mul(exp_quotients(after), p)
        D_bar = mixed_pullback(sigma, stretch, p, wp.diag(stretch) * slopes, H)
        after_bar = wp.cw_mul(stretch, wp.get_diag(H))
        eps_bar, k_bar, h_bar, z_bar = flow_pullback(eps, k, h, z, dt, after_bar, z_out_bar)
        if wp.static(remembers):
            D_bar += wp.diag(wp.cw_mul(log_slope(sigma), eps_bar))
        return U * D_bar * wp.transpose(V), k_bar, h_bar, z_bar

    return Plastic(return_map, pullback, columns, internal, principal, stiffening)


@factory
def recompose_function(dtype: Any) -> wp.Function:
    """recompose(F, U, sigma, V, eps, after) -> F after a flow of its Hencky strains."""
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
def quotient_functions(dtype: Any) -> tuple[wp.Function, wp.Function]:
    """Divided differences of `log_stretch` and of exp, of the pairs (1, 2), (2, 0) and (0, 1).

        (log a - log b) / (a - b) = atanh(x) / (x c),      x = (a - b) / (a + b),  c = (a + b) / 2
        (e^a - e^b) / (a - b)     = e^c sinh(x) / x,       x = (a - b) / 2

    where |x| is small by the first terms of their series, which leave out less than is rounded.
    Slopes of a chain of functions are the products of the links' own, so that nothing is divided
    that a caller subtracted.
    """
    t = types(dtype)
    scalar, vec3 = t.scalar, t.vec3
    zero, half, one, two = scalar(0.0), scalar(0.5), scalar(1.0), scalar(2.0)
    floor = scalar(SMALLEST_STRETCH)
    near = scalar(0.1 if dtype is wp.float32 else 0.01)
    third, fifth, seventh = scalar(1.0 / 3.0), scalar(1.0 / 5.0), scalar(1.0 / 7.0)
    sixth, twentieth, last = scalar(1.0 / 6.0), scalar(1.0 / 20.0), scalar(1.0 / 42.0)

    @wp.func
    def log_quotient(s: scalar, r: scalar):
        a = wp.max(s, floor)
        b = wp.max(r, floor)
        x = (a - b) / (a + b)
        q = zero
        if wp.abs(x) > near:
            q = (wp.log(a) - wp.log(b)) / (a - b)
        else:
            y = x * x
            q = two * (one + y * (third + y * (fifth + y * seventh))) / (a + b)
        if wp.min(s, r) < floor:
            if wp.max(s, r) < floor:
                q = zero
            else:
                q *= (a - b) / (s - r)
        return q

    @wp.func
    def exp_quotient(a: scalar, b: scalar):
        x = half * (a - b)
        y = x * x
        ratio = one + sixth * y * (one + twentieth * y * (one + last * y))
        if wp.abs(x) > near:
            ratio = wp.sinh(x) / x
        return wp.exp(half * (a + b)) * ratio

    @wp.func
    def log_quotients(sigma: vec3):
        return vec3(
            log_quotient(sigma[1], sigma[2]),
            log_quotient(sigma[2], sigma[0]),
            log_quotient(sigma[0], sigma[1]),
        )

    @wp.func
    def exp_quotients(eps: vec3):
        return vec3(
            exp_quotient(eps[1], eps[2]), exp_quotient(eps[2], eps[0]), exp_quotient(eps[0], eps[1])
        )

    return log_quotients, exp_quotients


@factory
def deviator_functions(dtype: Any) -> tuple[wp.Function, wp.Function]:
    """deviator(a) of a diagonal matrix, and complement(n)."""
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    third, two_thirds = scalar(1.0 / 3.0), scalar(2.0 / 3.0)

    @wp.func
    def deviator(a: vec3):
        m = third * (a[0] + a[1] + a[2])
        return a - vec3(m, m, m)

    @wp.func
    def complement(n: vec3):
        """Projection on the deviators orthogonal to the unit deviator n."""
        p = two_thirds
        q = -third
        return mat33(p, q, q, q, p, q, q, q, p) - wp.outer(n, n)

    return deviator, complement


class RadialFunctions(NamedTuple):
    """A flow along dev eps of a length delta, which is 0 or less than |dev eps| or equal to it."""

    value: wp.Function
    """(eps, delta) -> the strains that are left."""
    jacobian: wp.Function
    """(eps, delta, slope) -> their derivative by eps, slope that of delta by |dev eps|."""
    quotients: wp.Function
    """(eps, delta) -> their divided differences, all alike."""


@factory
def radial_functions(dtype: Any) -> RadialFunctions:
    """The functions in wp.float32 or wp.float64."""
    t = types(dtype)
    scalar, vec3 = t.scalar, t.vec3
    zero, one = scalar(0.0), scalar(1.0)
    deviator, complement = deviator_functions(dtype)

    @wp.func
    def value(eps: vec3, delta: scalar):
        after = eps
        if delta != zero:
            dev = deviator(eps)
            after = eps - (delta / wp.length(dev)) * dev
        return after

    @wp.func
    def jacobian(eps: vec3, delta: scalar, slope: scalar):
        slopes = wp.diag(vec3(one, one, one))
        if delta != zero:
            dev = deviator(eps)
            norm = wp.length(dev)
            n = dev / norm
            slopes = slopes - slope * wp.outer(n, n) - (delta / norm) * complement(n)
        return slopes

    @wp.func
    def quotients(eps: vec3, delta: scalar):
        kept = one
        if delta != zero:
            kept = one - delta / wp.length(deviator(eps))
        return vec3(kept, kept, kept)

    return RadialFunctions(value, jacobian, quotients)
