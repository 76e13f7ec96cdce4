# SPDX-License-Identifier: Apache-2.0
"""Snow: singular values kept in a band, and moduli that follow the plastic volume.

Stomakhin et al. 2013, "A material point method for snow simulation":

    sigma   in [1 - h0, 1 + h1]
    J_p     grows by what the clamp takes from det F: det F J_p is the volume ratio of the whole
    mu, lambda  times exp(min(h2 (1 - J_p), h3))

The history z is (J_p,), 1 at rest: below 1 the snow is packed and hard, above it is loose. Without
h3 the published factor grows without bound, and with it the speed of sound, which explicit steps
have to resolve; J_p itself is not bounded. At the edges of the band the derivative is that of the
inside.
"""

from typing import Any

import warp as wp

from ..dtypes import types
from .hencky import principal_plastic
from .parts import Plastic, PrincipalFlow, Stiffening, numbers, pair


def snow(dtype: Any) -> Plastic:
    """The clamp as a flow of Hencky strains."""
    t = types(dtype)
    scalar, vec1, vec2, vec3 = t.scalar, numbers(1, dtype), pair(dtype), t.vec3
    band = numbers(4, dtype)
    zero, one = scalar(0.0), scalar(1.0)

    @wp.func
    def beyond(e: scalar, low: scalar, high: scalar):
        """-1 below the band, 1 above it, 0 inside."""
        side = zero
        if e < low:
            side = -one
        if e > high:
            side = one
        return side

    @wp.func
    def clamped(eps: vec3, h: band):
        """The strains in the band, and on which side of it they were."""
        low = wp.log(one - h[0])
        high = wp.log(one + h[1])
        after = vec3(
            wp.clamp(eps[0], low, high), wp.clamp(eps[1], low, high), wp.clamp(eps[2], low, high)
        )
        side = vec3(beyond(eps[0], low, high), beyond(eps[1], low, high), beyond(eps[2], low, high))
        return after, side

    @wp.func
    def growth(eps: vec3, after: vec3):
        return wp.exp((eps[0] - after[0]) + (eps[1] - after[1]) + (eps[2] - after[2]))

    @wp.func
    def value(eps: vec3, k: vec2, h: band, z: vec1, dt: scalar):
        after, _side = clamped(eps, h)
        return after, vec1(z[0] * growth(eps, after))

    @wp.func
    def jacobian(eps: vec3, k: vec2, h: band, z: vec1, dt: scalar):
        _after, side = clamped(eps, h)
        return wp.diag(vec3(one, one, one) - wp.cw_mul(side, side))

    @wp.func
    def quotient(eps: vec3, after: vec3, side: vec3, i: int, j: int):
        q = one - side[i] * side[i]
        if side[i] != side[j]:
            q = (after[i] - after[j]) / (eps[i] - eps[j])
        return q

    @wp.func
    def quotients(eps: vec3, k: vec2, h: band, z: vec1, dt: scalar):
        after, side = clamped(eps, h)
        return vec3(
            quotient(eps, after, side, 1, 2),
            quotient(eps, after, side, 2, 0),
            quotient(eps, after, side, 0, 1),
        )

    @wp.func
    def pullback(
        eps: vec3, k: vec2, h: band, z: vec1, dt: scalar, eps_out_bar: vec3, z_out_bar: vec1
    ):
        after, side = clamped(eps, h)
        g = growth(eps, after)
        grown_bar = z_out_bar[0] * z[0] * g
        h_bar = band()
        for i in range(3):
            edge_bar = eps_out_bar[i] - grown_bar
            if side[i] < zero:
                h_bar[0] -= edge_bar / (one - h[0])
            if side[i] > zero:
                h_bar[1] += edge_bar / (one + h[1])
        return grown_bar * wp.cw_mul(side, side), vec2(), h_bar, vec1(z_out_bar[0] * g)

    @wp.func
    def factor(h: band, z: vec1):
        return wp.exp(wp.min(h[2] * (one - z[0]), h[3]))

    @wp.func
    def factor_pullback(h: band, z: vec1, factor_bar: scalar):
        exponent = h[2] * (one - z[0])
        inner_bar = factor_bar * wp.exp(wp.min(exponent, h[3]))
        h_bar = band()
        z_bar = vec1()
        if exponent < h[3]:
            h_bar[2] = inner_bar * (one - z[0])
            z_bar[0] = -inner_bar * h[2]
        else:
            h_bar[3] = inner_bar
        return h_bar, z_bar

    flow = PrincipalFlow(value, jacobian, quotients, pullback)
    return principal_plastic(dtype, flow, 4, 1, Stiffening(factor, factor_pullback))
