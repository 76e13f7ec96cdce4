# SPDX-License-Identifier: Apache-2.0
"""Herschel-Bulkley viscoplasticity as a return mapping of Hencky strains.

Above the yield stress h0 the deviatoric stress s = 2 mu |dev eps| relaxes along itself at the rate
g = |D_p| of the flow curve s = h0 + h1 g^h2 (Herschel and Bulkley 1926; in elastic-plastic
splitting Yue et al. 2015, "Continuum Foam", eq. 12), norms without a factor sqrt(2/3) or sqrt(1/2).
An implicit step of the exponential map (Simo 1992) from the trial strains shortens |dev eps| by
g dt:

    2 mu (|dev eps| - g dt) = h0 + h1 g^h2

With X = 2 mu |dev eps| - h0 > 0, u = 2 mu dt g / X and a = h1 (X / (2 mu dt))^h2 / X that is
u + a u^h2 = 1: at h2 = 1 (Bingham) u = 1 / (1 + a). Else Newton's method runs from above on

    a u^h2 + u = 1            if h2 > 1
    w^(1/h2) + a w = 1        if h2 < 1, w = u^h2

which are convex and increasing, from where one term alone is 1: not below the root and not beyond
twice of it, so it descends to it and no step needs a safeguard. The derivatives are those of the
implicit equation, with m = u / (u + h2 (1 - u)):

    d(g dt) = m (d|dev eps| + (|dev eps| - g dt) dmu / mu
                 - (dh0 + g^h2 dh1 + h1 g^h2 log g dh2) / (2 mu))
"""

from typing import Any

import warp as wp

from ..dtypes import factory, types
from .hencky import deviator_functions, principal_plastic, radial_functions
from .parts import Plastic, PrincipalFlow, numbers, pair

ITERATIONS = 40
"""Bound on Newton steps; they end where the iterate no longer descends, most often within 8."""


@factory
def share_function(dtype: Any) -> wp.Function:
    """share(a, n) -> u, w with u + a w = 1 and w = u^n, for a >= 0 and n > 0."""
    scalar = types(dtype).scalar
    zero, one = scalar(0.0), scalar(1.0)

    @wp.func
    def share(a: scalar, n: scalar):
        if n == one:
            return one / (one + a), one / (one + a)
        # alpha x^p + beta x = 1
        power = n
        alpha = a
        beta = one
        if n < one:
            power = one / n
            alpha = one
            beta = a
        x = one
        if a > one:
            x = one / a
            if n > one:
                x = wp.pow(a, -one / n)
        for _i in range(ITERATIONS):
            slope = wp.pow(x, power - one)
            down = (alpha * slope * x + beta * x - one) / (power * alpha * slope + beta)
            lower = x - down
            if not lower < x or x == zero:
                break
            x = lower
        if n < one:
            return wp.pow(x, power), x
        return x, wp.pow(x, power)

    return share


def herschel_bulkley(dtype: Any) -> Plastic:
    """Flow at the rate of the overstress."""
    t = types(dtype)
    scalar, none, vec2, vec3 = t.scalar, numbers(0, dtype), pair(dtype), t.vec3
    curve = numbers(3, dtype)
    zero, one, two = scalar(0.0), scalar(1.0), scalar(2.0)
    deviator, _complement = deviator_functions(dtype)
    shortened, shortening, kept = radial_functions(dtype)
    share = share_function(dtype)

    @wp.func
    def flow(norm: scalar, k: vec2, h: curve, dt: scalar):
        """The length g dt, its derivative m by `norm`, and g^h2."""
        over = two * k[0] * norm - h[0]
        delta = zero
        slope = zero
        power = zero
        if over > zero:
            fastest = over / (two * k[0] * dt)
            scale = wp.pow(fastest, h[2])
            u, w = share(h[1] * scale / over, h[2])
            if u > zero:
                delta = u * fastest * dt
                slope = u / (u + h[2] * (one - u))
                power = w * scale
        return delta, slope, power

    @wp.func
    def value(eps: vec3, k: vec2, h: curve, z: none, dt: scalar):
        delta, _slope, _power = flow(wp.length(deviator(eps)), k, h, dt)
        return shortened(eps, delta), z

    @wp.func
    def jacobian(eps: vec3, k: vec2, h: curve, z: none, dt: scalar):
        delta, slope, _power = flow(wp.length(deviator(eps)), k, h, dt)
        return shortening(eps, delta, slope)

    @wp.func
    def quotients(eps: vec3, k: vec2, h: curve, z: none, dt: scalar):
        delta, _slope, _power = flow(wp.length(deviator(eps)), k, h, dt)
        return kept(eps, delta)

    @wp.func
    def pullback(
        eps: vec3, k: vec2, h: curve, z: none, dt: scalar, eps_out_bar: vec3, z_out_bar: none
    ):
        dev = deviator(eps)
        norm = wp.length(dev)
        delta, slope, power = flow(norm, k, h, dt)
        k_bar = vec2()
        h_bar = curve()
        if delta != zero:
            along = -slope * wp.dot(dev, eps_out_bar) / norm
            k_bar[0] = along * (norm - delta) / k[0]
            stress_bar = -along / (two * k[0])
            h_bar = stress_bar * curve(one, power, h[1] * power * wp.log(delta / dt))
        return vec3(), k_bar, h_bar, z_out_bar

    return principal_plastic(dtype, PrincipalFlow(value, jacobian, quotients, pullback), 3)
