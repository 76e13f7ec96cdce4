# SPDX-License-Identifier: Apache-2.0
"""Laws that are functions of the Hencky strains eps = log sigma alone, given as laws of F."""

from typing import Any

import warp as wp

from .decompose import decompositions
from .dtypes import factory, types
from .law_parts import (
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
    flow, flow_jacobian, flow_pullback = principal
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
        D_bar = mixed_pullback(sigma, stretch, wp.diag(stretch) * slopes, H)
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
