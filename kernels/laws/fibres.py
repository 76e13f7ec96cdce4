# SPDX-License-Identifier: Apache-2.0
"""Fibres in an elasticity: what they bear, and how they pull.

A constant field a of the point tells the direction of the fibres at rest; only its direction
counts, n = a / |a|, and where a = 0 there are none. With f = F n, b = F F^T, I1 = tr b, I4 = f.f:

    fibre-reinforced  psi = k1 / (2 k2) (exp(k2 <E>^2) - 1),   <E> = max(E, 0),
                      E = kappa (I1 - 3) + (1 - 3 kappa) (I4 - 1)
                      tau = 2 k1 <E> exp(k2 <E>^2) (kappa b + (1 - 3 kappa) f f^T)
                      of the coefficients k1 [Pa], k2 and kappa, which follow those of the
                      elasticity. Holzapfel, Gasser and Ogden 2000, "A new constitutive framework
                      for arterial wall mechanics"; with dispersion kappa, 0 to 1/3: Gasser, Ogden
                      and Holzapfel 2006, "Hyperelastic modelling of arterial layers with
                      distributed collagen fibre orientations"
    active            tau = c T f f^T of the tension T [Pa], which follows, and the activation c,
                      the last constant field

The invariants are of F and not of its distortion, as is right for what changes its volume: the
split would let fibres swell in hydrostatic tension (Nolan et al. 2014, "A robust anisotropic
hyperelastic formulation for the modelling of soft tissue").
"""

from typing import Any

import warp as wp

from ..dtypes import factory, types
from .parts import Elastic, leading_functions, numbers


def fibre_reinforced(inner: Elastic, at: int, dtype: Any) -> Elastic:
    """Fibres in an elasticity without history.

    Args:
        inner: The elasticity.
        at: Where in z the direction begins; a new one stands behind what the elasticity has.
        dtype: wp.float32 or wp.float64.
    """
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    zero, half, one, two, three = (scalar(i) for i in (0.0, 0.5, 1.0, 2.0, 3.0))
    first = inner.columns
    columns, internal = first + 3, max(inner.internal, at + 3)
    veck, vecz = numbers(columns, dtype), numbers(internal, dtype)
    own_k, widened_k = leading_functions(first, columns, dtype)
    own_z, widened_z = leading_functions(inner.internal, internal, dtype)
    inner_stress, inner_pullback = inner.stress, inner.pullback
    direction, put_direction = _direction(at, internal, dtype)

    @wp.func
    def strain(b: mat33, f: vec3, kappa: scalar):
        """<E>; none without a direction."""
        E = zero
        I4 = wp.dot(f, f)
        if I4 > zero:
            E = kappa * (wp.trace(b) - three) + (one - three * kappa) * (I4 - one)
        return wp.max(E, zero)

    @wp.func
    def stress(F: mat33, k: veck, z: vecz):
        tau = inner_stress(F, own_k(k), own_z(z))
        f = F * direction(z)
        b = F * wp.transpose(F)
        kappa = k[first + 2]
        E = strain(b, f, kappa)
        if E > zero:
            slope = two * k[first] * E * wp.exp(k[first + 1] * E * E)
            tau += slope * (kappa * b + (one - three * kappa) * wp.outer(f, f))
        return tau

    @wp.func
    def pullback(F: mat33, k: veck, z: vecz, tau_bar: mat33):
        F_bar, k_inner, z_inner = inner_pullback(F, own_k(k), own_z(z), tau_bar)
        k_bar = widened_k(k_inner)
        z_bar = widened_z(z_inner)
        n = direction(z)
        f = F * n
        b = F * wp.transpose(F)
        kappa = k[first + 2]
        E = strain(b, f, kappa)
        if E > zero:
            grown = wp.exp(k[first + 1] * E * E)
            share = one - three * kappa
            T = half * (tau_bar + wp.transpose(tau_bar))
            along = wp.dot(f, T * f)
            across = wp.ddot(T, b)
            slope = two * k[first] * E * grown
            slope_bar = kappa * across + share * along
            E_bar = slope_bar * two * k[first] * grown * (one + two * k[first + 1] * E * E)
            b_bar = (slope * kappa) * T + (kappa * E_bar) * wp.diag(vec3(one, one, one))
            f_bar = two * share * (slope * (T * f) + E_bar * f)
            F_bar += two * (b_bar * F) + wp.outer(f_bar, n)
            z_bar = put_direction(z, z_bar, wp.transpose(F) * f_bar)
            k_bar[first] = slope_bar * two * E * grown
            k_bar[first + 1] = slope_bar * slope * E * E
            spread = wp.trace(b) - three - three * (wp.dot(f, f) - one)
            k_bar[first + 2] = E_bar * spread + slope * (across - three * along)
        return F_bar, k_bar, z_bar

    return Elastic(stress, pullback, columns, internal)


def active(inner: Elastic, at: int, dtype: Any) -> Elastic:
    """Fibres that pull, in an elasticity without history; arguments as of `fibre_reinforced`."""
    t = types(dtype)
    mat33, half, two = t.mat33, t.scalar(0.5), t.scalar(2.0)
    first, last = inner.columns, max(inner.internal, at + 3)
    columns, internal = first + 1, last + 1
    veck, vecz = numbers(columns, dtype), numbers(internal, dtype)
    own_k, widened_k = leading_functions(first, columns, dtype)
    own_z, widened_z = leading_functions(inner.internal, internal, dtype)
    inner_stress, inner_pullback = inner.stress, inner.pullback
    direction, put_direction = _direction(at, internal, dtype)

    @wp.func
    def stress(F: mat33, k: veck, z: vecz):
        f = F * direction(z)
        return inner_stress(F, own_k(k), own_z(z)) + (k[first] * z[last]) * wp.outer(f, f)

    @wp.func
    def pullback(F: mat33, k: veck, z: vecz, tau_bar: mat33):
        F_bar, k_inner, z_inner = inner_pullback(F, own_k(k), own_z(z), tau_bar)
        k_bar = widened_k(k_inner)
        z_bar = widened_z(z_inner)
        n = direction(z)
        f = F * n
        Tf = half * ((tau_bar + wp.transpose(tau_bar)) * f)
        f_bar = (two * k[first] * z[last]) * Tf
        z_bar = put_direction(z, z_bar, wp.transpose(F) * f_bar)
        k_bar[first] = z[last] * wp.dot(f, Tf)
        z_bar[last] = k[first] * wp.dot(f, Tf)
        return F_bar + wp.outer(f_bar, n), k_bar, z_bar

    return Elastic(stress, pullback, columns, internal)


@factory
def _direction(at: int, internal: int, dtype: Any) -> tuple[wp.Function, wp.Function]:
    """direction(z) -> n, or 0; put(z, z_bar, n_bar) -> z_bar with the gradient of a added."""
    t, vecz = types(dtype), numbers(internal, dtype)
    vec3, zero = t.vec3, t.scalar(0.0)

    @wp.func
    def direction(z: vecz):
        a = vec3(z[at], z[at + 1], z[at + 2])
        length = wp.length(a)
        n = vec3()
        if length > zero:
            n = a / length
        return n

    @wp.func
    def put(z: vecz, z_bar: vecz, n_bar: vec3):
        out = z_bar
        a = vec3(z[at], z[at + 1], z[at + 2])
        length = wp.length(a)
        if length > zero:
            n = a / length
            a_bar = (n_bar - wp.dot(n, n_bar) * n) / length
            for i in range(3):
                out[at + i] = out[at + i] + a_bar[i]
        return out

    return direction, put
