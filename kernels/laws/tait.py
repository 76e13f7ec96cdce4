# SPDX-License-Identifier: Apache-2.0
"""The pressure of weakly compressible water, p = k1 / k2 (J^-k2 - 1).

Cole 1948, "Underwater Explosions", with k2 = 7 for water; so used in particles by Becker and
Teschner 2007, "Weakly compressible SPH for free surface flows". As Kirchhoff stress:

    tau = -J p I = k1 / k2 (J - J^(1 - k2)) I

Under pressure it stiffens, so that no J <= 0 is reached; such a J is answered with a NaN. k0 is not
used.
"""

from typing import Any

import warp as wp

from ..decompose import decompositions
from ..dtypes import types
from .parts import Elastic, elasticity, numbers


def tait(dtype: Any) -> Elastic:
    """A fluid without shear stiffness, of k = (unused, bulk modulus, exponent)."""
    t = types(dtype)
    scalar, veck, vec3, mat33 = t.scalar, numbers(3, dtype), t.vec3, t.mat33
    zero, one = scalar(0.0), scalar(1.0)
    cofactor = decompositions(dtype).cofactor

    @wp.func
    def stress(F: mat33, k: veck):
        J = wp.determinant(F)
        s = k[1] / k[2] * (J - wp.pow(J, one - k[2]))
        return wp.diag(vec3(s, s, s))

    @wp.func
    def pullback(F: mat33, k: veck, tau_bar: mat33):
        J = wp.determinant(F)
        trace = wp.trace(tau_bar)
        power = wp.pow(J, one - k[2])
        per_bulk = (J - power) / k[2]
        slope = k[1] / k[2] * (one - (one - k[2]) * power / J)
        by_exponent = k[1] / k[2] * (power * wp.log(J) - per_bulk)
        return (slope * trace) * cofactor(F), trace * veck(zero, per_bulk, by_exponent)

    return elasticity(dtype, stress, pullback, 3)
