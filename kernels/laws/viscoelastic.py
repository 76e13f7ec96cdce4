# SPDX-License-Identifier: Apache-2.0
"""An elasticity with Maxwell branches beside it: springs whose strain fades.

A branch b multiplies F = F_e F_v, and its spring has the energy G |dev eps|^2 of the Hencky strain
eps = log sigma of F_e, so that

    tau = tau of the elasticity at F + sum_b U diag(2 G dev eps) U^T,    F_e = U diag(sigma) V^T

Its dashpot flows by D_v = dev eps / T, T the time of the branch. With an exponential map, backward
in time, that is linear in Hencky strains (Reese and Govindjee 1998, "A theory of finite
viscoelasticity and numerical aspects"; Simo 1992):

    dev eps = dev eps_trial / (1 + dt / T),    tr eps = tr eps_trial,    F_e,trial = F F_v,n^-1

1 / (1 + dt/T) rather than exp(-dt/T): at a constant rate of strain it ends at the stress of the
dashpot, 2 G T D, whatever dt / T is, where the exponential has one too small by a factor
(dt/T) / (e^(dt/T) - 1) and none at all for steps longer than T. It makes relaxation at rest as
exact as the step is short beside T, and the step is the gradient of an energy: its tangent is
symmetric.

A branch remembers F_v^-1 - I, row by row, which keeps the digits of steps far shorter than T. k
has the coefficients of the elasticity, then G of all branches, then T of all.
"""

from typing import Any, NamedTuple

import warp as wp

from ..decompose import decompositions
from ..dtypes import types
from .hencky import deviator_functions, log_stretch_functions, quotient_functions
from .parts import Elastic, Evolution, leading_functions, numbers


class Layout(NamedTuple):
    """Where the numbers of the branches stand."""

    branches: int
    moduli: int
    """Column of k of the first G."""
    times: int
    """Column of k of the first T."""
    first: int
    """Column of z of the first branch."""

    @property
    def columns(self) -> int:
        """Numbers of k."""
        return self.times + self.branches

    @property
    def internal(self) -> int:
        """Numbers of z."""
        return self.first + 9 * self.branches


def viscoelastic(inner: Elastic, branches: int, dtype: Any) -> Elastic:
    """Branches beside an elasticity.

    Args:
        inner: The elasticity, of constant fields at most.
        branches: Their number.
        dtype: wp.float32 or wp.float64.

    Raises:
        ValueError: The elasticity has history.
    """
    if inner.evolution is not None:
        raise ValueError(
            "branches stand beside an elasticity without history of its own: give all branches to "
            "one viscoelastic law"
        )
    layout = Layout(branches, inner.columns, inner.columns + branches, inner.internal)
    stress, pullback = _stress(inner, layout, dtype)
    evolution = _evolution(layout, dtype)
    return Elastic(stress, pullback, layout.columns, layout.internal, evolution=evolution)


def _stress(inner: Elastic, at: Layout, dtype: Any) -> tuple[wp.Function, wp.Function]:
    t = types(dtype)
    mat33, two = t.mat33, t.scalar(2.0)
    veck, vecz = numbers(at.columns, dtype), numbers(at.internal, dtype)
    branches, moduli = at.branches, at.moduli
    own_k, widened_k = leading_functions(inner.columns, at.columns, dtype)
    own_z, widened_z = leading_functions(inner.internal, at.internal, dtype)
    inner_stress, inner_pullback = inner.stress, inner.pullback
    held, put = _history(at, dtype)
    d = decompositions(dtype)
    spectral, left_pullback = d.spectral, d.left_pullback
    log_stretch, log_slope = log_stretch_functions(dtype)
    log_quotients, _exp_quotients = quotient_functions(dtype)
    deviator, complement = deviator_functions(dtype)
    vec3 = t.vec3

    @wp.func
    def stress(F: mat33, k: veck, z: vecz):
        tau = inner_stress(F, own_k(k), own_z(z))
        for b in range(branches):
            U, sigma, _V = spectral(F + F * held(z, b))
            spring = (two * k[moduli + b]) * deviator(log_stretch(sigma))
            tau += U * wp.diag(spring) * wp.transpose(U)
        return tau

    @wp.func
    def pullback(F: mat33, k: veck, z: vecz, tau_bar: mat33):
        F_bar, k_inner, z_inner = inner_pullback(F, own_k(k), own_z(z), tau_bar)
        k_bar = widened_k(k_inner)
        z_bar = widened_z(z_inner)
        for b in range(branches):
            H = held(z, b)
            U, sigma, V = spectral(F + F * H)
            G = k[moduli + b]
            dev = deviator(log_stretch(sigma))
            B = wp.transpose(U) * tau_bar * U
            slopes = (two * G) * (complement(vec3()) * wp.diag(log_slope(sigma)))
            D_bar = left_pullback(sigma, (two * G) * log_quotients(sigma), slopes, B)
            F_e_bar = U * D_bar * wp.transpose(V)
            F_bar += F_e_bar + F_e_bar * wp.transpose(H)
            k_bar[moduli + b] = two * wp.dot(dev, wp.get_diag(B))
            z_bar = put(z_bar, b, wp.transpose(F) * F_e_bar)
        return F_bar, k_bar, z_bar

    return stress, pullback


def _evolution(at: Layout, dtype: Any) -> Evolution:
    """H' = H + (I + H) E with E = V diag(exp(-c dev eps_trial) - 1) V^T, c = dt / (T + dt)."""
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    half, one, two = scalar(0.5), scalar(1.0), scalar(2.0)
    veck, vecz = numbers(at.columns, dtype), numbers(at.internal, dtype)
    branches, times = at.branches, at.times
    held, put = _history(at, dtype)
    d = decompositions(dtype)
    spectral, left_pullback = d.spectral, d.left_pullback
    log_stretch, log_slope = log_stretch_functions(dtype)
    log_quotients, exp_quotients = quotient_functions(dtype)
    deviator, complement = deviator_functions(dtype)

    @wp.func
    def expm1(x: scalar):
        """e^x - 1, with the digits of a small x."""
        return two * wp.exp(half * x) * wp.sinh(half * x)

    @wp.func
    def shrinking(dev: vec3, c: scalar):
        return vec3(expm1(-c * dev[0]), expm1(-c * dev[1]), expm1(-c * dev[2]))

    @wp.func
    def evolve(F: mat33, k: veck, z: vecz, dt: scalar):
        after = z
        for b in range(branches):
            H = held(z, b)
            _U, sigma, V = spectral(F + F * H)
            c = dt / (k[times + b] + dt)
            E = V * wp.diag(shrinking(deviator(log_stretch(sigma)), c)) * wp.transpose(V)
            after = put(after, b, H + (E + H * E))
        return after

    @wp.func
    def pullback(F: mat33, k: veck, z: vecz, dt: scalar, z_out_bar: vecz):
        F_bar = mat33()
        k_bar = veck()
        z_bar = z_out_bar
        for b in range(branches):
            H = held(z, b)
            H_out_bar = held(z_out_bar, b)
            U, sigma, V = spectral(F + F * H)
            whole = k[times + b] + dt
            c = dt / whole
            dev = deviator(log_stretch(sigma))
            e = shrinking(dev, c)
            E = V * wp.diag(e) * wp.transpose(V)
            E_bar = H_out_bar + wp.transpose(H) * H_out_bar
            # V diag(e) V^T is of F_e^T what U diag(b) U^T is of F_e
            B = wp.transpose(V) * E_bar * V
            by_dev = wp.cw_mul(vec3(-c, -c, -c), e + vec3(one, one, one))
            slopes = wp.diag(by_dev) * complement(vec3()) * wp.diag(log_slope(sigma))
            p = -c * wp.cw_mul(exp_quotients(-c * dev), log_quotients(sigma))
            D_bar = left_pullback(sigma, p, slopes, B)
            F_e_bar = U * wp.transpose(D_bar) * wp.transpose(V)
            F_bar += F_e_bar + F_e_bar * wp.transpose(H)
            by_c = -wp.cw_mul(dev, e + vec3(one, one, one))
            k_bar[times + b] = -wp.dot(wp.get_diag(B), by_c) * c / whole
            H_bar = H_out_bar + H_out_bar * E + wp.transpose(F) * F_e_bar
            z_bar = put(z_bar, b, H_bar)
        return F_bar, k_bar, z_bar

    return Evolution(evolve, pullback)


def _history(at: Layout, dtype: Any) -> tuple[wp.Function, wp.Function]:
    """held(z, b) -> F_v^-1 - I of a branch; put(z, b, it) -> z with it."""
    mat33, vecz, first = types(dtype).mat33, numbers(at.internal, dtype), at.first

    @wp.func
    def held(z: vecz, b: int):
        H = mat33()
        for i in range(3):
            for j in range(3):
                H[i, j] = z[first + 9 * b + 3 * i + j]
        return H

    @wp.func
    def put(z: vecz, b: int, H: mat33):
        out = z
        for i in range(3):
            for j in range(3):
                out[first + 9 * b + 3 * i + j] = H[i, j]
        return out

    return held, put
