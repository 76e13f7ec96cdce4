# SPDX-License-Identifier: Apache-2.0
"""Rubbers as Warp functions: energies of the distortion, and one energy of the volume for all.

    psi = W(I1, I2) + U(J),    J U' = K/2 (J^2 - 1),    K = lambda + 2/3 mu

with the invariants and the stress of distortion.py (U: Simo and Taylor 1982, "Penalty function
formulations for incompressible nonlinear elastostatics"). k begins with mu and lambda at rest, so
that flows and damping find them there; W1 = dW/dI1:

    mooney-rivlin   W = c1 (I1 - 3) + c2 (I2 - 3),  c1 = k0/2 - c2,  c2 = k2
    yeoh            W = k0/2 e + k2 e^2 + k3 e^3,  e = I1 - 3
    gent            W = -k0/2 m log(1 - e/m),  m = k2 the largest e
    arruda-boyce    eight chains of N = k2 links: W1 = k0/2 g (9 N - I1) / (3 N - I1) with
                    g = (N - 1) / (3 N - 1), Cohen's approximant of the inverse Langevin function
    ogden           principal tau_i = sum_p m_p (s_i^a_p - mean_j s_j^a_p) + J U', of the
                    stretches s of the distortion; (m_p, a_p) are k2, k3, ...

A law of limited stretch beyond its limit, and any of J <= 0, is answered with a NaN.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import warp as wp

from ..dtypes import types
from .distortion import distortion_functions
from .hencky import principal_elastic, quotient_functions
from .parts import Elastic, PrincipalStress, elasticity, numbers, pair


class Distortional(NamedTuple):
    """W of a law, by its derivatives; I is the pair (I1, I2)."""

    slopes: wp.Function
    """slopes(I, k) -> (W1, W2)."""
    curvature: wp.Function
    """curvature(I, k) -> (W11, W12, W22)."""
    coefficients_bar: wp.Function
    """coefficients_bar(I, k, slopes_bar) -> k_bar."""
    columns: int
    """Numbers of k."""


def isochoric(dtype: Any, law: Distortional) -> Elastic:
    """The elasticity whose energy is W + U."""
    t = types(dtype)
    scalar, vec2, vec3, mat33 = t.scalar, pair(dtype), t.vec3, t.mat33
    veck = numbers(law.columns, dtype)
    half, one, two_thirds = scalar(0.5), scalar(1.0), scalar(2.0 / 3.0)
    functions = distortion_functions(dtype)
    distortion, invariants = functions.distortion, functions.invariants
    tau_of, slopes_bar_of, pull_of = functions.stress, functions.slopes_bar, functions.pull
    slopes, curvature, coefficients_bar = law.slopes, law.curvature, law.coefficients_bar

    @wp.func
    def pressure(J: scalar):
        """J U' of a bulk modulus of 1."""
        return half * (J - one) * (J + one)

    @wp.func
    def stress(F: mat33, k: veck):
        J, b = distortion(F)
        W = slopes(invariants(b), k)
        bulk = k[1] + two_thirds * k[0]
        return tau_of(b, vec3(W[0], W[1], bulk * pressure(J)))

    @wp.func
    def pullback(F: mat33, k: veck, tau_bar: mat33):
        J, b = distortion(F)
        I = invariants(b)
        W = slopes(I, k)
        H = curvature(I, k)
        bulk = k[1] + two_thirds * k[0]
        s = vec3(W[0], W[1], bulk * pressure(J))
        s_bar = slopes_bar_of(b, tau_bar)
        at_bar = vec3(
            H[0] * s_bar[0] + H[1] * s_bar[1],
            H[1] * s_bar[0] + H[2] * s_bar[1],
            bulk * J * s_bar[2],
        )
        k_bar = coefficients_bar(I, k, vec2(s_bar[0], s_bar[1]))
        bulk_bar = pressure(J) * s_bar[2]
        k_bar[0] += two_thirds * bulk_bar
        k_bar[1] += bulk_bar
        return pull_of(F, J, b, s, at_bar, tau_bar), k_bar

    return elasticity(dtype, stress, pullback, law.columns)


def mooney_rivlin(dtype: Any) -> Elastic:
    """Mooney 1940; Rivlin 1948."""
    vec2, vec3, veck = pair(dtype), types(dtype).vec3, numbers(3, dtype)
    zero, half = types(dtype).scalar(0.0), types(dtype).scalar(0.5)

    @wp.func
    def slopes(I: vec2, k: veck):
        return vec2(half * k[0] - k[2], k[2])

    @wp.func
    def curvature(I: vec2, k: veck):
        return vec3()

    @wp.func
    def coefficients_bar(I: vec2, k: veck, slopes_bar: vec2):
        return veck(half * slopes_bar[0], zero, slopes_bar[1] - slopes_bar[0])

    return isochoric(dtype, Distortional(slopes, curvature, coefficients_bar, 3))


def yeoh(dtype: Any) -> Elastic:
    """Yeoh 1993, "Some forms of the strain energy function for rubber"."""
    vec2, vec3, veck, scalar = (
        pair(dtype),
        types(dtype).vec3,
        numbers(4, dtype),
        types(dtype).scalar,
    )
    zero, half, two, three, six = (scalar(a) for a in (0.0, 0.5, 2.0, 3.0, 6.0))

    @wp.func
    def slopes(I: vec2, k: veck):
        e = I[0] - three
        return vec2(half * k[0] + e * (two * k[2] + three * k[3] * e), zero)

    @wp.func
    def curvature(I: vec2, k: veck):
        return vec3(two * k[2] + six * k[3] * (I[0] - three), zero, zero)

    @wp.func
    def coefficients_bar(I: vec2, k: veck, slopes_bar: vec2):
        e = I[0] - three
        a = slopes_bar[0]
        return veck(half * a, zero, two * e * a, three * e * e * a)

    return isochoric(dtype, Distortional(slopes, curvature, coefficients_bar, 4))


def gent(dtype: Any) -> Elastic:
    """Gent 1996, "A new constitutive relation for rubber"."""
    vec2, vec3, veck, scalar = (
        pair(dtype),
        types(dtype).vec3,
        numbers(3, dtype),
        types(dtype).scalar,
    )
    zero, half, three = scalar(0.0), scalar(0.5), scalar(3.0)

    @wp.func
    def left(I: vec2, k: veck):
        """What is left to the limit; no number beyond it."""
        root = wp.sqrt(k[2] - (I[0] - three))
        return root * root

    @wp.func
    def slopes(I: vec2, k: veck):
        return vec2(half * k[0] * k[2] / left(I, k), zero)

    @wp.func
    def curvature(I: vec2, k: veck):
        rest = left(I, k)
        return vec3(half * k[0] * k[2] / (rest * rest), zero, zero)

    @wp.func
    def coefficients_bar(I: vec2, k: veck, slopes_bar: vec2):
        rest = left(I, k)
        a = half * slopes_bar[0] / rest
        return veck(a * k[2], zero, a * k[0] * (three - I[0]) / rest)

    return isochoric(dtype, Distortional(slopes, curvature, coefficients_bar, 3))


def arruda_boyce(dtype: Any) -> Elastic:
    """Arruda and Boyce 1993 with the inverse Langevin function of Cohen 1991.

    "A three-dimensional constitutive model for the large stretch behavior of rubber elastic
    materials"; "A Pade approximant to the inverse Langevin function".
    """
    vec2, vec3, veck, scalar = (
        pair(dtype),
        types(dtype).vec3,
        numbers(3, dtype),
        types(dtype).scalar,
    )
    zero, half, one, two, three, six, nine = (
        scalar(a) for a in (0.0, 0.5, 1.0, 2.0, 3.0, 6.0, 9.0)
    )

    @wp.func
    def left(I: vec2, k: veck):
        """What is left to the limit; no number beyond it."""
        root = wp.sqrt(three * k[2] - I[0])
        return root * root

    @wp.func
    def share(k: veck):
        return (k[2] - one) / (three * k[2] - one)

    @wp.func
    def slopes(I: vec2, k: veck):
        return vec2(half * k[0] * share(k) * (nine * k[2] - I[0]) / left(I, k), zero)

    @wp.func
    def curvature(I: vec2, k: veck):
        rest = left(I, k)
        return vec3(three * k[0] * share(k) * k[2] / (rest * rest), zero, zero)

    @wp.func
    def coefficients_bar(I: vec2, k: veck, slopes_bar: vec2):
        rest = left(I, k)
        a = half * slopes_bar[0]
        ratio = (nine * k[2] - I[0]) / rest
        d = three * k[2] - one
        slope = two / (d * d) * ratio - share(k) * six * I[0] / (rest * rest)
        return veck(a * share(k) * ratio, zero, a * k[0] * slope)

    return isochoric(dtype, Distortional(slopes, curvature, coefficients_bar, 3))


def ogden(dtype: Any, terms: int) -> Elastic:
    """Ogden 1972, "Large deformation isotropic elasticity".

    Hencky strains are of max(sigma, 0.05), as in kernels/laws/analytic.py.
    """
    t = types(dtype)
    columns = 2 + 2 * terms
    scalar, vec3, mat33, veck = t.scalar, t.vec3, t.mat33, numbers(columns, dtype)
    zero, half, one, two = scalar(0.0), scalar(0.5), scalar(1.0), scalar(2.0)
    third, two_thirds = scalar(1.0 / 3.0), scalar(2.0 / 3.0)
    _log_quotients, exp_quotients = quotient_functions(dtype)

    @wp.func
    def expm1(x: scalar):
        """e^x - 1, with the digits of a small x."""
        return two * wp.exp(half * x) * wp.sinh(half * x)

    @wp.func
    def powers(eps: vec3, a: scalar):
        """s_i^a less one, which keeps the digits of small strains, and its mean."""
        m = third * (eps[0] + eps[1] + eps[2])
        e = vec3(expm1(a * (eps[0] - m)), expm1(a * (eps[1] - m)), expm1(a * (eps[2] - m)))
        return e, third * (e[0] + e[1] + e[2])

    @wp.func
    def value(eps: vec3, k: veck):
        bulk = k[1] + two_thirds * k[0]
        p = half * bulk * expm1(two * (eps[0] + eps[1] + eps[2]))
        tau = vec3(p, p, p)
        for n in range(terms):
            e, mean = powers(eps, k[3 + 2 * n])
            tau += k[2 + 2 * n] * (e - vec3(mean, mean, mean))
        return tau

    @wp.func
    def jacobian(eps: vec3, k: veck):
        bulk = k[1] + two_thirds * k[0]
        q = bulk * wp.exp(two * (eps[0] + eps[1] + eps[2]))
        out = mat33(q, q, q, q, q, q, q, q, q)
        for n in range(terms):
            a = k[3 + 2 * n]
            e, mean = powers(eps, a)
            c = k[2 + 2 * n] * a
            for i in range(3):
                out[i, i] = out[i, i] + c * (one + e[i])
                for j in range(3):
                    out[i, j] = out[i, j] - third * c * (one + e[i] + e[j] - mean)
        return out

    @wp.func
    def quotients(eps: vec3, k: veck):
        m = third * (eps[0] + eps[1] + eps[2])
        out = vec3()
        for n in range(terms):
            a = k[3 + 2 * n]
            out += k[2 + 2 * n] * a * exp_quotients(a * (eps - vec3(m, m, m)))
        return out

    @wp.func
    def coefficients_bar(eps: vec3, k: veck, tau_bar: vec3):
        k_bar = veck()
        bulk_bar = half * expm1(two * (eps[0] + eps[1] + eps[2]))
        bulk_bar *= tau_bar[0] + tau_bar[1] + tau_bar[2]
        k_bar[0] = two_thirds * bulk_bar
        k_bar[1] = bulk_bar
        m = third * (eps[0] + eps[1] + eps[2])
        mean_bar = third * (tau_bar[0] + tau_bar[1] + tau_bar[2])
        for n in range(terms):
            e, _mean = powers(eps, k[3 + 2 * n])
            at = zero
            slope = zero
            for i in range(3):
                inner = tau_bar[i] - mean_bar
                at += inner * e[i]
                slope += inner * (one + e[i]) * (eps[i] - m)
            k_bar[2 + 2 * n] = at
            k_bar[3 + 2 * n] = k[2 + 2 * n] * slope
        return k_bar

    principal = PrincipalStress(value, jacobian, quotients, coefficients_bar)
    return principal_elastic(dtype, principal, columns)


RUBBERS: Mapping[str, Callable[[Any], Elastic]] = {
    "mooney-rivlin": functools.cache(mooney_rivlin),
    "yeoh": functools.cache(yeoh),
    "gent": functools.cache(gent),
    "arruda-boyce": functools.cache(arruda_boyce),
    **{f"ogden-{n}": functools.cache(functools.partial(ogden, terms=n)) for n in (1, 2, 3)},
}
