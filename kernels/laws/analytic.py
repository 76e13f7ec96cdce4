# SPDX-License-Identifier: Apache-2.0
"""The analytic laws as Warp functions: stresses and return maps, and their pullbacks.

Notation: F deformation gradient, J = det F, R its rotation, sigma its signed singular values,
eps = log sigma the Hencky strain, tau Kirchhoff stress [Pa], mu and lambda Lame [Pa]; `_bar`
marks the gradient of a scalar with respect to a quantity. k holds the coefficients of an
elasticity, (mu, lambda) here and more in rubber.py, h those of a plasticity, (h0, h1, ...), and z
what a law remembers or is told of a point, (z0, ...); see parts.py:

    corotated       tau = 2 mu (F - R) F^T + lambda J (J - 1) I
    neo-hookean     tau = mu (F F^T - I) + lambda log J I
    stvk            tau = F (2 mu E + lambda tr E I) F^T,  E = (F^T F - I) / 2
    hencky          tau = U diag(2 mu eps + lambda tr eps) U^T
    volumetric      tau = lambda J (J - 1) I
    tait            tau = lambda / k2 (J - J^(1 - k2)) I; see tait.py

    von-mises       |dev eps| <= h0 / (2 mu), without a factor sqrt(2/3)
    hardening-von-mises  the same with h0 + h1 z0 in place of h0; see hardening.py
    drucker-prager  h0 = sqrt(2/3) 2 sin(phi) / (3 - sin(phi)), h1 the Hencky strain at the apex;
                    Klar et al. 2016, "Drucker-Prager Elastoplasticity for Sand Animation"
    herschel-bulkley  |dev eps| relaxes to h0 + h1 |D_p|^h2; see viscoplastic.py
    drucker-prager-volume  the same with a memory of the volume given away; see sand.py
    snow            sigma in [1 - h0, 1 + h1], stiffer as it is packed; see snow.py
    fluid-reset     F = J^(1/3) I

Hencky strains are taken of max(sigma, 0.05). The neo-Hookean law and the fluid reset answer a
non-positive J with a NaN: it means a collapsed element and is left for the run-time check.

To add a law, write one function that builds its record and enter it in ELASTICITIES or
PLASTICITIES.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import warp as wp

from ..decompose import decompositions
from ..dtypes import types
from .fibres import active, fibre_reinforced
from .hardening import hardening_von_mises
from .hencky import deviator_functions, principal_elastic, principal_plastic
from .parts import (
    Elastic,
    Plastic,
    PrincipalStress,
    elasticity,
    numbers,
    pair,
    plasticity,
    principal_flow,
)
from .rubber import RUBBERS
from .sand import volume_correcting
from .snow import snow
from .tait import tait
from .viscoelastic import viscoelastic
from .viscoplastic import herschel_bulkley


def corotated(dtype: Any) -> Elastic:
    """Fixed corotated elasticity (Stomakhin et al. 2012)."""
    t = types(dtype)
    scalar, vec2, vec3, mat33 = t.scalar, pair(dtype), t.vec3, t.mat33
    one, two = scalar(1.0), scalar(2.0)
    d = decompositions(dtype)
    cofactor, polar, polar_pullback = d.cofactor, d.polar, d.polar_pullback

    @wp.func
    def stress(F: mat33, k: vec2):
        J = wp.determinant(F)
        p = k[1] * J * (J - one)
        return (two * k[0]) * ((F - polar(F)) * wp.transpose(F)) + wp.diag(vec3(p, p, p))

    @wp.func
    def pullback(F: mat33, k: vec2, tau_bar: mat33):
        R = polar(F)
        C = cofactor(F)
        J = F[0, 0] * C[0, 0] + F[0, 1] * C[0, 1] + F[0, 2] * C[0, 2]
        trace = wp.trace(tau_bar)
        A = tau_bar * F
        Q = F - R
        F_bar = (two * k[0]) * (A + wp.transpose(tau_bar) * Q - polar_pullback(F, R, A))
        F_bar += (k[1] * (two * J - one) * trace) * C
        return F_bar, vec2(two * wp.ddot(tau_bar, Q * wp.transpose(F)), J * (J - one) * trace)

    return elasticity(dtype, stress, pullback)


def neo_hookean(dtype: Any) -> Elastic:
    """Compressible neo-Hookean elasticity with a logarithmic volume term."""
    t = types(dtype)
    scalar, vec2, vec3, mat33 = t.scalar, pair(dtype), t.vec3, t.mat33
    one = scalar(1.0)
    cofactor = decompositions(dtype).cofactor

    @wp.func
    def stress(F: mat33, k: vec2):
        p = k[1] * wp.log(wp.determinant(F)) - k[0]
        return k[0] * (F * wp.transpose(F)) + wp.diag(vec3(p, p, p))

    @wp.func
    def pullback(F: mat33, k: vec2, tau_bar: mat33):
        C = cofactor(F)
        J = F[0, 0] * C[0, 0] + F[0, 1] * C[0, 1] + F[0, 2] * C[0, 2]
        trace = wp.trace(tau_bar)
        F_bar = k[0] * ((tau_bar + wp.transpose(tau_bar)) * F) + (k[1] * trace / J) * C
        strain = F * wp.transpose(F) - wp.diag(vec3(one, one, one))
        return F_bar, vec2(wp.ddot(tau_bar, strain), wp.log(J) * trace)

    return elasticity(dtype, stress, pullback)


def stvk(dtype: Any) -> Elastic:
    """Saint Venant-Kirchhoff: with b = F F^T, tau = mu b (b - I) + lambda/2 tr(b - I) b."""
    t = types(dtype)
    scalar, vec2, vec3, mat33 = t.scalar, pair(dtype), t.vec3, t.mat33
    half, one = scalar(0.5), scalar(1.0)

    @wp.func
    def stress(F: mat33, k: vec2):
        b = F * wp.transpose(F)
        e = b - wp.diag(vec3(one, one, one))
        return k[0] * (b * e) + (half * k[1] * wp.trace(e)) * b

    @wp.func
    def pullback(F: mat33, k: vec2, tau_bar: mat33):
        I = wp.diag(vec3(one, one, one))
        b = F * wp.transpose(F)
        e = b - I
        trace = wp.trace(e)
        T = half * (tau_bar + wp.transpose(tau_bar))
        along = wp.ddot(T, b)
        b_bar = k[0] * (T * e + b * T) + (half * k[1]) * (trace * T + along * I)
        F_bar = (b_bar + wp.transpose(b_bar)) * F
        return F_bar, vec2(wp.ddot(T, b * e), half * trace * along)

    return elasticity(dtype, stress, pullback)


def volumetric(dtype: Any) -> Elastic:
    """Pressure of a nearly incompressible fluid; k[0] is not used."""
    t = types(dtype)
    scalar, vec2, vec3, mat33 = t.scalar, pair(dtype), t.vec3, t.mat33
    zero, one, two = scalar(0.0), scalar(1.0), scalar(2.0)
    cofactor = decompositions(dtype).cofactor

    @wp.func
    def stress(F: mat33, k: vec2):
        J = wp.determinant(F)
        p = k[1] * J * (J - one)
        return wp.diag(vec3(p, p, p))

    @wp.func
    def pullback(F: mat33, k: vec2, tau_bar: mat33):
        J = wp.determinant(F)
        trace = wp.trace(tau_bar)
        F_bar = (k[1] * (two * J - one) * trace) * cofactor(F)
        return F_bar, vec2(zero, J * (J - one) * trace)

    return elasticity(dtype, stress, pullback)


def hencky(dtype: Any) -> Elastic:
    """Hencky elasticity: linear in the logarithmic strain."""
    t = types(dtype)
    scalar, vec2, vec3, mat33 = t.scalar, pair(dtype), t.vec3, t.mat33
    two = scalar(2.0)

    @wp.func
    def value(eps: vec3, k: vec2):
        p = k[1] * (eps[0] + eps[1] + eps[2])
        return (two * k[0]) * eps + vec3(p, p, p)

    @wp.func
    def jacobian(eps: vec3, k: vec2):
        a = two * k[0] + k[1]
        b = k[1]
        return mat33(a, b, b, b, a, b, b, b, a)

    @wp.func
    def quotients(eps: vec3, k: vec2):
        q = two * k[0]
        return vec3(q, q, q)

    @wp.func
    def coefficients_bar(eps: vec3, k: vec2, tau_bar: vec3):
        trace = eps[0] + eps[1] + eps[2]
        return vec2(two * wp.dot(eps, tau_bar), trace * (tau_bar[0] + tau_bar[1] + tau_bar[2]))

    return principal_elastic(dtype, PrincipalStress(value, jacobian, quotients, coefficients_bar))


def von_mises(dtype: Any) -> Plastic:
    """Perfect plasticity: |dev eps| is kept at h0 / (2 mu)."""
    t = types(dtype)
    scalar, vec1, vec2, vec3 = t.scalar, numbers(1, dtype), pair(dtype), t.vec3
    zero, half, one = scalar(0.0), scalar(0.5), scalar(1.0)
    deviator, complement = deviator_functions(dtype)

    @wp.func
    def value(eps: vec3, k: vec2, h: vec1):
        dev = deviator(eps)
        norm = wp.length(dev)
        limit = half * h[0] / k[0]
        after = eps
        if norm > limit:
            after = (eps - dev) + (limit / norm) * dev
        return after

    @wp.func
    def jacobian(eps: vec3, k: vec2, h: vec1):
        dev = deviator(eps)
        norm = wp.length(dev)
        limit = half * h[0] / k[0]
        slopes = wp.diag(vec3(one, one, one))
        if norm > limit:
            # I - P + (limit / norm) (P - n n^T), P the projection on deviators
            n = dev / norm
            slopes = slopes - complement(n) - wp.outer(n, n) + (limit / norm) * complement(n)
        return slopes

    @wp.func
    def quotients(eps: vec3, k: vec2, h: vec1):
        norm = wp.length(deviator(eps))
        limit = half * h[0] / k[0]
        kept = one
        if norm > limit:
            kept = limit / norm
        return vec3(kept, kept, kept)

    @wp.func
    def coefficients_bar(eps: vec3, k: vec2, h: vec1, eps_bar: vec3):
        dev = deviator(eps)
        norm = wp.length(dev)
        limit = half * h[0] / k[0]
        limit_bar = zero
        if norm > limit:
            limit_bar = wp.dot(dev, eps_bar) / norm
        return vec2(-limit_bar * limit / k[0], zero), vec1(half * limit_bar / k[0])

    flow = principal_flow(dtype, value, jacobian, quotients, coefficients_bar, 1)
    return principal_plastic(dtype, flow, 1)


def drucker_prager(dtype: Any) -> Plastic:
    """Sand: no tension beyond the apex, friction below it, no volume correction.

    With tr' = tr eps - 3 h1: tr' >= 0 returns to the apex eps = (h1, h1, h1); else the deviator
    is shortened by delta = |dev eps| + (3 lambda + 2 mu) / (2 mu) h0 tr' where that is positive,
    which implies |dev eps| > 0.
    """
    t = types(dtype)
    scalar, vec2, vec3, mat33 = t.scalar, pair(dtype), t.vec3, t.mat33
    zero, one, three, three_halves = scalar(0.0), scalar(1.0), scalar(3.0), scalar(1.5)
    deviator, complement = deviator_functions(dtype)

    @wp.func
    def excess(eps: vec3, k: vec2, h: vec2):
        """|dev eps|, tr', (3 lambda + 2 mu) / (2 mu) and delta."""
        norm = wp.length(deviator(eps))
        trace = eps[0] + eps[1] + eps[2] - three * h[1]
        ratio = one + three_halves * k[1] / k[0]
        return norm, trace, ratio, norm + ratio * h[0] * trace

    @wp.func
    def value(eps: vec3, k: vec2, h: vec2):
        norm, trace, _ratio, delta = excess(eps, k, h)
        after = eps
        if trace >= zero:
            after = vec3(h[1], h[1], h[1])
        elif delta > zero:
            after = eps - (delta / norm) * deviator(eps)
        return after

    @wp.func
    def jacobian(eps: vec3, k: vec2, h: vec2):
        norm, trace, ratio, delta = excess(eps, k, h)
        slopes = wp.diag(vec3(one, one, one))
        if trace >= zero:
            slopes = mat33()
        elif delta > zero:
            n = deviator(eps) / norm
            a = ratio * h[0]
            slopes = slopes - wp.outer(n, n + vec3(a, a, a)) - (delta / norm) * complement(n)
        return slopes

    @wp.func
    def quotients(eps: vec3, k: vec2, h: vec2):
        norm, trace, _ratio, delta = excess(eps, k, h)
        kept = one
        if trace >= zero:
            kept = zero
        elif delta > zero:
            kept = one - delta / norm
        return vec3(kept, kept, kept)

    @wp.func
    def coefficients_bar(eps: vec3, k: vec2, h: vec2, eps_bar: vec3):
        norm, trace, ratio, delta = excess(eps, k, h)
        k_bar = vec2()
        h_bar = vec2()
        if trace >= zero:
            h_bar = vec2(zero, eps_bar[0] + eps_bar[1] + eps_bar[2])
        elif delta > zero:
            delta_bar = -wp.dot(deviator(eps), eps_bar) / norm
            ratio_bar = delta_bar * h[0] * trace * three_halves / k[0]
            k_bar = vec2(-ratio_bar * k[1] / k[0], ratio_bar)
            h_bar = vec2(delta_bar * ratio * trace, -three * delta_bar * ratio * h[0])
        return k_bar, h_bar

    flow = principal_flow(dtype, value, jacobian, quotients, coefficients_bar, 2)
    return principal_plastic(dtype, flow, 2)


def drucker_prager_volume(dtype: Any) -> Plastic:
    """Sand with volume correction."""
    return volume_correcting(drucker_prager(dtype), dtype)


def fluid_reset(dtype: Any) -> Plastic:
    """A fluid keeps its volume and forgets its shape."""
    t = types(dtype)
    scalar, vec2, none = t.scalar, pair(dtype), numbers(0, dtype)
    vec3, mat33 = t.vec3, t.mat33
    third, three = scalar(1.0 / 3.0), scalar(3.0)
    cofactor = decompositions(dtype).cofactor

    @wp.func
    def return_map(F: mat33, k: vec2, h: none):
        c = wp.pow(wp.determinant(F), third)
        return wp.diag(vec3(c, c, c))

    @wp.func
    def pullback(F: mat33, k: vec2, h: none, F_bar: mat33):
        J = wp.determinant(F)
        slope = wp.pow(J, third) / (three * J)
        return (slope * wp.trace(F_bar)) * cofactor(F), vec2(), none()

    return plasticity(dtype, return_map, pullback, 0)


def unyielding(dtype: Any) -> Plastic:
    """No flow."""
    vec2, none, mat33 = pair(dtype), numbers(0, dtype), types(dtype).mat33

    @wp.func
    def return_map(F: mat33, k: vec2, h: none):
        return F

    @wp.func
    def pullback(F: mat33, k: vec2, h: none, F_bar: mat33):
        return F_bar, vec2(), none()

    return plasticity(dtype, return_map, pullback, 0)


ELASTICITIES: Mapping[str, Callable[[Any], Elastic]] = {
    "corotated": functools.cache(corotated),
    "neo-hookean": functools.cache(neo_hookean),
    "stvk": functools.cache(stvk),
    "hencky": functools.cache(hencky),
    "volumetric": functools.cache(volumetric),
    "tait": functools.cache(tait),
    **RUBBERS,
}

AROUND: Mapping[str, Callable[[Elastic, int, Any], Elastic]] = {
    "viscoelastic": viscoelastic,
    "fibre-reinforced": fibre_reinforced,
    "active": active,
}
"""What makes an elasticity of another one: of that, a whole number and the precision."""
_AROUND = re.compile(r"([a-z-]+)-(\d+)\((.+)\)")

PLASTICITIES: Mapping[str, Callable[[Any], Plastic]] = {
    "none": functools.cache(unyielding),
    "von-mises": functools.cache(von_mises),
    "hardening-von-mises": functools.cache(hardening_von_mises),
    "drucker-prager": functools.cache(drucker_prager),
    "drucker-prager-volume": functools.cache(drucker_prager_volume),
    "herschel-bulkley": functools.cache(herschel_bulkley),
    "snow": functools.cache(snow),
    "fluid-reset": functools.cache(fluid_reset),
}


def elastic_form(name: str, dtype: Any) -> Elastic:
    """The elasticity of a name: of ELASTICITIES, or such as viscoelastic-2(gent), of AROUND.

    Raises:
        KeyError: There is none.
    """
    found = _AROUND.fullmatch(name)
    if found is None or found[1] not in AROUND:
        if name not in ELASTICITIES:
            there = [*ELASTICITIES, *(f"{word}-N(...)" for word in AROUND)]
            raise KeyError(f"no elasticity is named {name!r}; there are {', '.join(there)}")
        return ELASTICITIES[name](dtype)
    return _around(found[1], int(found[2]), found[3], dtype)


@functools.cache
def _around(word: str, number: int, inner: str, dtype: Any) -> Elastic:
    return AROUND[word](elastic_form(inner, dtype), number, dtype)
