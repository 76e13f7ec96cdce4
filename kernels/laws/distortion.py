# SPDX-License-Identifier: Apache-2.0
"""The stress of an energy of three invariants, given its slopes, and the adjoint of both.

    J = det F,   b = J^(-2/3) F F^T,   I1 = tr b,   I2 = (I1^2 - tr b^2) / 2
    tau = 2 dev[(s1 + I1 s2) b - s2 b^2] + s3 I

s1 and s2 are the derivatives of the energy by I1 and I2, s3 is J times that by J (Holzapfel 2000,
"Nonlinear Solid Mechanics", ch. 6.4): of a law in closed form functions of the three, of a learned
one what a network or a formula answers between two launches.

With T the gradient by tau, D = dev sym T and A : B = tr(A^T B), that of T : tau by the slopes is

    2 D : b,   2 (I1 D : b - D : b^2),   tr T

and with b_bar = 2 ((s1 + I1 s2) D - s2 (D b + b D)) + (2 s2 D : b + I1_bar) I + I2_bar (I1 I - b),
I1_bar to J_bar what comes back through the slopes, that by F is

    F_bar = 2 J^(-2/3) b_bar F + (J_bar - 2/3 (b_bar : b) / J) cof F,   cof F = J F^-T
"""

from typing import Any, NamedTuple

import warp as wp

from ..decompose import decompositions
from ..dtypes import factory, types
from .parts import pair


class DistortionFunctions(NamedTuple):
    """Warp functions of one precision; s and at_bar are vectors of three, T is not symmetric."""

    distortion: wp.Function
    """distortion(F) -> J, b; b is not a number where J < 0."""
    invariants: wp.Function
    """invariants(b) -> the pair (I1, I2)."""
    stress: wp.Function
    """stress(b, s) -> tau."""
    slopes_bar: wp.Function
    """slopes_bar(b, T) -> the gradient by s."""
    pull: wp.Function
    """pull(F, J, b, s, at_bar, T) -> F_bar, at_bar the gradients by I1, I2 and J through s."""


@factory
def distortion_functions(dtype: Any) -> DistortionFunctions:
    """The functions in wp.float32 or wp.float64."""
    t = types(dtype)
    scalar, vec2, vec3, mat33 = t.scalar, pair(dtype), t.vec3, t.mat33
    half, two, third = scalar(0.5), scalar(2.0), scalar(1.0 / 3.0)
    power = scalar(-2.0 / 3.0)
    cofactor = decompositions(dtype).cofactor

    @wp.func
    def diagonal(a: scalar):
        return wp.diag(vec3(a, a, a))

    @wp.func
    def dev_sym(T: mat33):
        return half * (T + wp.transpose(T)) - diagonal(third * wp.trace(T))

    @wp.func
    def distortion(F: mat33):
        J = wp.determinant(F)
        return J, wp.pow(J, power) * (F * wp.transpose(F))

    @wp.func
    def invariants(b: mat33):
        I1 = wp.trace(b)
        return vec2(I1, half * (I1 * I1 - wp.ddot(b, b)))

    @wp.func
    def stress(b: mat33, s: vec3):
        inner = two * ((s[0] + wp.trace(b) * s[1]) * b - s[1] * (b * b))
        return inner + diagonal(s[2] - third * wp.trace(inner))

    @wp.func
    def slopes_bar(b: mat33, T: mat33):
        D = dev_sym(T)
        along = wp.ddot(D, b)
        return vec3(two * along, two * (wp.trace(b) * along - wp.ddot(D, b * b)), wp.trace(T))

    @wp.func
    def pull(F: mat33, J: scalar, b: mat33, s: vec3, at_bar: vec3, T: mat33):
        D = dev_sym(T)
        I1 = wp.trace(b)
        b_bar = two * ((s[0] + I1 * s[1]) * D - s[1] * (D * b + b * D)) - at_bar[1] * b
        b_bar += diagonal(two * s[1] * wp.ddot(D, b) + at_bar[0] + at_bar[1] * I1)
        J_bar = at_bar[2] + power * wp.ddot(b_bar, b) / J
        return two * wp.pow(J, power) * (b_bar * F) + J_bar * cofactor(F)

    return DistortionFunctions(distortion, invariants, stress, slopes_bar, pull)
