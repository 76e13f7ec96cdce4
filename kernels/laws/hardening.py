# SPDX-License-Identifier: Apache-2.0
"""Von Mises plasticity with linear isotropic hardening, as a return mapping of Hencky strains.

    |dev eps| <= Y(kappa) / (2 mu),    Y = max(h0 + h1 kappa, 0)

The history z = (kappa,) sums the lengths |Delta eps_p| of the flows, without a factor sqrt(2/3). A
flow of length delta along n = dev eps / |dev eps| ends on the limit, 2 mu (|dev eps| - delta) =
h0 + h1 (kappa + delta), so

    delta = (|dev eps| - (h0 + h1 kappa) / (2 mu)) / q,    q = 1 + h1 / (2 mu)

or |dev eps| where that is less: softened to nothing, a point bears pressure alone. Simo and Hughes
1998, "Computational Inelasticity", box 3.1, with the strains of Simo 1992, "Algorithms for static
and dynamic multiplicative plasticity". At q <= 0 no flow reaches the limit, and the answer is a
NaN.
"""

from typing import Any

import warp as wp

from ..dtypes import types
from .hencky import deviator_functions, principal_plastic, radial_functions
from .parts import Plastic, PrincipalFlow, numbers, pair


def hardening_von_mises(dtype: Any) -> Plastic:
    """The limit moves with the flow."""
    t = types(dtype)
    scalar, vec1, vec2, vec3 = t.scalar, numbers(1, dtype), pair(dtype), t.vec3
    zero, half, one = scalar(0.0), scalar(0.5), scalar(1.0)
    deviator, _complement = deviator_functions(dtype)
    shortened, shortening, kept = radial_functions(dtype)

    @wp.func
    def flow(norm: scalar, k: vec2, h: vec2, z: vec1):
        """Its length, and the derivatives of that by `norm` and by the limit Y / (2 mu)."""
        limit = half * (h[0] + h[1] * z[0]) / k[0]
        root = wp.sqrt(one + half * h[1] / k[0])
        delta = zero
        slope = zero
        by_limit = zero
        if norm > wp.max(limit, zero):
            slope = one / (root * root)
            by_limit = -slope
            delta = slope * (norm - limit)
            if delta > norm:
                delta = norm
                slope = one
                by_limit = zero
        return delta, slope, by_limit

    @wp.func
    def value(eps: vec3, k: vec2, h: vec2, z: vec1, dt: scalar):
        delta, _slope, _by_limit = flow(wp.length(deviator(eps)), k, h, z)
        return shortened(eps, delta), vec1(z[0] + delta)

    @wp.func
    def jacobian(eps: vec3, k: vec2, h: vec2, z: vec1, dt: scalar):
        delta, slope, _by_limit = flow(wp.length(deviator(eps)), k, h, z)
        return shortening(eps, delta, slope)

    @wp.func
    def quotients(eps: vec3, k: vec2, h: vec2, z: vec1, dt: scalar):
        delta, _slope, _by_limit = flow(wp.length(deviator(eps)), k, h, z)
        return kept(eps, delta)

    @wp.func
    def pullback(
        eps: vec3, k: vec2, h: vec2, z: vec1, dt: scalar, eps_out_bar: vec3, z_out_bar: vec1
    ):
        dev = deviator(eps)
        norm = wp.length(dev)
        delta, slope, by_limit = flow(norm, k, h, z)
        eps_bar = vec3()
        k_bar = vec2()
        h_bar = vec2()
        z_bar = z_out_bar
        if delta != zero:
            n = dev / norm
            eps_bar = (z_out_bar[0] * slope) * n
            limit_bar = by_limit * (z_out_bar[0] - wp.dot(n, eps_out_bar))
            # q delta = norm - limit: what q gains acts as the limit does, delta times as much
            above = half * limit_bar / k[0]
            yields = h[0] + h[1] * (z[0] + delta)
            k_bar[0] = -above * yields / k[0]
            h_bar = vec2(above, above * (z[0] + delta))
            z_bar = vec1(z_out_bar[0] + above * h[1])
        return eps_bar, k_bar, h_bar, z_bar

    return principal_plastic(dtype, PrincipalFlow(value, jacobian, quotients, pullback), 2, 1)
