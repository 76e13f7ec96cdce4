# SPDX-License-Identifier: Apache-2.0
"""Sand that does not gain volume: the volume correction of Tampubolon et al. 2017.

At the apex a Drucker-Prager flow forgets by how much the volume of the grains' space has grown, and
sand that was stretched would answer with pressure as soon as it is pushed back. The history
z = (v_c,) is that growth, log det F of all that flowed away ("Multi-species simulation of porous
sand and water mixtures"):

    eps' = eps + v_c / 3,    eps' flows,    v_c at the end = max(tr eps' - 3 h1, 0)

so that v_c is given back before the grains touch again. det F and exp v_c together are the volume
ratio of the whole.
"""

from typing import Any

import warp as wp

from ..dtypes import types
from .hencky import principal_plastic
from .parts import Plastic, PrincipalFlow, numbers, pair


def volume_correcting(plastic: Plastic, dtype: Any) -> Plastic:
    """The Drucker-Prager flow with a memory of the volume that it gave away."""
    assert plastic.principal
    t = types(dtype)
    scalar, none, vec1 = t.scalar, numbers(0, dtype), numbers(1, dtype)
    vec2, vec3 = pair(dtype), t.vec3
    zero, one, three, third = scalar(0.0), scalar(1.0), scalar(3.0), scalar(1.0 / 3.0)
    flow, flow_jacobian, flow_quotients, flow_pullback = plastic.principal

    @wp.func
    def shifted(eps: vec3, z: vec1):
        m = third * z[0]
        return eps + vec3(m, m, m)

    @wp.func
    def growth(eps: vec3, h: vec2):
        """Of the volume beyond the apex, of shifted strains."""
        return eps[0] + eps[1] + eps[2] - three * h[1]

    @wp.func
    def value(eps: vec3, k: vec2, h: vec2, z: vec1, dt: scalar):
        whole = shifted(eps, z)
        after, _none = flow(whole, k, h, none(), dt)
        return after, vec1(wp.max(growth(whole, h), zero))

    @wp.func
    def jacobian(eps: vec3, k: vec2, h: vec2, z: vec1, dt: scalar):
        return flow_jacobian(shifted(eps, z), k, h, none(), dt)

    @wp.func
    def quotients(eps: vec3, k: vec2, h: vec2, z: vec1, dt: scalar):
        return flow_quotients(shifted(eps, z), k, h, none(), dt)

    @wp.func
    def pullback(
        eps: vec3, k: vec2, h: vec2, z: vec1, dt: scalar, eps_out_bar: vec3, z_out_bar: vec1
    ):
        whole = shifted(eps, z)
        _eps_bar, k_bar, h_bar, _none = flow_pullback(whole, k, h, none(), dt, eps_out_bar, none())
        through = wp.transpose(flow_jacobian(whole, k, h, none(), dt)) * eps_out_bar
        z_bar = third * (through[0] + through[1] + through[2])
        grown_bar = zero
        if growth(whole, h) >= zero:
            grown_bar = z_out_bar[0]
        h_bar[1] -= three * grown_bar
        return grown_bar * vec3(one, one, one), k_bar, h_bar, vec1(z_bar + grown_bar)

    return principal_plastic(dtype, PrincipalFlow(value, jacobian, quotients, pullback), 2, 1)
