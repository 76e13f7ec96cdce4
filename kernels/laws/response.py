# SPDX-License-Identifier: Apache-2.0
"""An elasticity and a plasticity together.

A step goes

    F, z_flow = return_map(F_trial, moduli of k, h, z_flow, dt)
    k'        = k with mu and lambda times stiffening(h, z_flow)
    z_elastic = evolution(F, k', z_elastic, dt)
    tau       = stress(F, k', z_elastic)

and what a law leaves out costs nothing. The numbers z of a point are those of the elasticity, then
those of the plasticity. Where both are functions of Hencky strains, one spectral decomposition
serves both.
"""

from typing import Any, NamedTuple

import warp as wp

from ..decompose import decompositions
from ..dtypes import factory, types
from .hencky import log_stretch_functions, quotient_functions, recompose_function
from .parts import Elastic, Plastic, moduli_functions, numbers


class Respond(NamedTuple):
    """Elasticity and plasticity together; z holds the numbers of both."""

    value: wp.Function
    """value(F_trial, k, h, z, dt) -> tau, F, z."""
    pullback: wp.Function
    """pullback(F_trial, k, h, z, dt, tau_bar, F_bar, z_out_bar) -> F_trial_bar, k_bar, h_bar,
    z_bar."""
    stress: wp.Function
    """stress(F, k, h, z) -> tau of a state, without flow."""
    stress_pullback: wp.Function
    """stress_pullback(F, k, h, z, tau_bar) -> F_bar, k_bar, h_bar, z_bar."""


def respond(elastic: Elastic, plastic: Plastic, dtype: Any) -> Respond:
    """Return mapping, then stress; one spectral decomposition where both need one.

    Raises:
        ValueError: The flow stiffens moduli that are not all the elasticity has.
    """
    if plastic.stiffening and elastic.columns != 2:
        raise ValueError(
            f"a flow that stiffens mu and lambda needs an elasticity of these two alone, got one "
            f"of {elastic.columns} coefficients"
        )
    if elastic.principal and plastic.principal:
        value, pullback = _principal_step(elastic, plastic, dtype)
    else:
        value, pullback = _step(elastic, plastic, dtype)
    return Respond(value, pullback, *_state_stress(elastic, plastic, dtype))


def _step(elastic: Elastic, plastic: Plastic, dtype: Any) -> tuple[wp.Function, wp.Function]:
    t, total = types(dtype), elastic.internal + plastic.internal
    scalar, mat33, veck = t.scalar, t.mat33, numbers(elastic.columns, dtype)
    vech, vecz = numbers(plastic.columns, dtype), numbers(total, dtype)
    moduli, widened = moduli_functions(elastic.columns, dtype)
    own, flows, joined = _split(elastic.internal, plastic.internal, dtype)
    stress, stress_pullback = elastic.stress, elastic.pullback
    return_map, flow_pullback = plastic.return_map, plastic.pullback
    stiffened, stiffened_pullback = _stiffened(plastic, dtype, elastic.columns)
    evolves, stiffens = elastic.evolution is not None, plastic.stiffening is not None
    evolve, evolve_pullback = elastic.evolution or (None, None)

    @wp.func
    def value(F_trial: mat33, k: veck, h: vech, z: vecz, dt: scalar):
        F, flowed = return_map(F_trial, moduli(k), h, flows(z), dt)
        stiff = stiffened(k, h, flowed)
        held = own(z)
        if wp.static(evolves):
            held = evolve(F, stiff, held, dt)
        return stress(F, stiff, held), F, joined(held, flowed)

    @wp.func
    def pullback(
        F_trial: mat33, k: veck, h: vech, z: vecz, dt: scalar,
        tau_bar: mat33, F_bar: mat33, z_out_bar: vecz,
    ):  # fmt: skip
        F, flowed = return_map(F_trial, moduli(k), h, flows(z), dt)
        stiff = stiffened(k, h, flowed)
        held = own(z)
        if wp.static(evolves):
            held = evolve(F, stiff, held, dt)
        through, k_bar, held_bar = stress_pullback(F, stiff, held, tau_bar)
        held_bar += own(z_out_bar)
        if wp.static(evolves):
            F_e, k_e, held_bar = evolve_pullback(F, stiff, own(z), dt, held_bar)
            through += F_e
            k_bar += k_e
        flowed_bar = flows(z_out_bar)
        h_s = vech()
        if wp.static(stiffens):
            k_bar, h_s, z_s = stiffened_pullback(k, h, flowed, k_bar)
            flowed_bar += z_s
        F_trial_bar, k_flow, h_bar, before_bar = flow_pullback(
            F_trial, moduli(k), h, flows(z), dt, F_bar + through, flowed_bar
        )
        z_bar = joined(held_bar, before_bar)
        return F_trial_bar, k_bar + widened(k_flow), h_bar + h_s, z_bar

    return value, pullback


def _principal_step(
    elastic: Elastic, plastic: Plastic, dtype: Any
) -> tuple[wp.Function, wp.Function]:
    assert elastic.principal and plastic.principal and not elastic.internal
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    veck = numbers(elastic.columns, dtype)
    vech, vecz = numbers(plastic.columns, dtype), numbers(plastic.internal, dtype)
    moduli, widened = moduli_functions(elastic.columns, dtype)
    d = decompositions(dtype)
    spectral, left_pullback, mixed_pullback = d.spectral, d.left_pullback, d.mixed_pullback
    log_stretch, log_slope = log_stretch_functions(dtype)
    log_quotients, exp_quotients = quotient_functions(dtype)
    stress, stress_jacobian, stress_quotients, stress_coefficients = elastic.principal
    flow, flow_jacobian, flow_quotients, flow_pullback = plastic.principal
    stiffened, stiffened_pullback = _stiffened(plastic, dtype, elastic.columns)
    stiffens, remembers = plastic.stiffening is not None, plastic.internal > 0
    recompose = recompose_function(dtype)

    @wp.func
    def value(F_trial: mat33, k: veck, h: vech, z: vecz, dt: scalar):
        U, sigma, V = spectral(F_trial)
        eps = log_stretch(sigma)
        after, flowed = flow(eps, moduli(k), h, z, dt)
        tau = U * wp.diag(stress(after, stiffened(k, h, flowed))) * wp.transpose(U)
        return tau, recompose(F_trial, U, sigma, V, eps, after), flowed

    @wp.func
    def pullback(
        F_trial: mat33, k: veck, h: vech, z: vecz, dt: scalar,
        tau_bar: mat33, F_bar: mat33, z_out_bar: vecz,
    ):  # fmt: skip
        U, sigma, V = spectral(F_trial)
        eps = log_stretch(sigma)
        after, flowed = flow(eps, moduli(k), h, z, dt)
        stiff = stiffened(k, h, flowed)
        stretch = vec3(wp.exp(after[0]), wp.exp(after[1]), wp.exp(after[2]))
        B = wp.transpose(U) * tau_bar * U
        H = wp.transpose(U) * F_bar * V
        slopes = flow_jacobian(eps, moduli(k), h, z, dt) * wp.diag(log_slope(sigma))
        jacobian = stress_jacobian(after, stiff)
        kept = wp.cw_mul(flow_quotients(eps, moduli(k), h, z, dt), log_quotients(sigma))
        p = wp.cw_mul(stress_quotients(after, stiff), kept)
        D_bar = left_pullback(sigma, p, jacobian * slopes, B)
        p = wp.cw_mul(exp_quotients(after), kept)
        D_bar += mixed_pullback(sigma, stretch, p, wp.diag(stretch) * slopes, H)
        b_bar = wp.get_diag(B)
        after_bar = wp.transpose(jacobian) * b_bar + wp.cw_mul(stretch, wp.get_diag(H))
        k_bar = stress_coefficients(after, stiff, b_bar)
        flowed_bar = z_out_bar
        h_s = vech()
        if wp.static(stiffens):
            k_bar, h_s, z_s = stiffened_pullback(k, h, flowed, k_bar)
            flowed_bar += z_s
        eps_bar, k_flow, h_bar, z_bar = flow_pullback(
            eps, moduli(k), h, z, dt, after_bar, flowed_bar
        )
        if wp.static(remembers):
            D_bar += wp.diag(wp.cw_mul(log_slope(sigma), eps_bar))
        return U * D_bar * wp.transpose(V), k_bar + widened(k_flow), h_bar + h_s, z_bar

    return value, pullback


def _state_stress(
    elastic: Elastic, plastic: Plastic, dtype: Any
) -> tuple[wp.Function, wp.Function]:
    """The last two of `Respond`."""
    mat33, total = types(dtype).mat33, elastic.internal + plastic.internal
    veck, vech = numbers(elastic.columns, dtype), numbers(plastic.columns, dtype)
    vecz, vecf = numbers(total, dtype), numbers(plastic.internal, dtype)
    own, flows, joined = _split(elastic.internal, plastic.internal, dtype)
    value, pullback, stiffens = elastic.stress, elastic.pullback, plastic.stiffening is not None
    stiffened, stiffened_pullback = _stiffened(plastic, dtype, elastic.columns)

    @wp.func
    def stress(F: mat33, k: veck, h: vech, z: vecz):
        return value(F, stiffened(k, h, flows(z)), own(z))

    @wp.func
    def stress_pullback(F: mat33, k: veck, h: vech, z: vecz, tau_bar: mat33):
        F_bar, k_bar, own_bar = pullback(F, stiffened(k, h, flows(z)), own(z), tau_bar)
        h_bar = vech()
        flows_bar = vecf()
        if wp.static(stiffens):
            k_bar, h_bar, flows_bar = stiffened_pullback(k, h, flows(z), k_bar)
        return F_bar, k_bar, h_bar, joined(own_bar, flows_bar)

    return stress, stress_pullback


def _stiffened(
    plastic: Plastic, dtype: Any, columns: int
) -> tuple[wp.Function, wp.Function | None]:
    """stiffened(k, h, z) -> k', and its pullback(k, h, z, k'_bar) -> k_bar, h_bar, z_bar."""
    veck, vech = numbers(columns, dtype), numbers(plastic.columns, dtype)
    vecz = numbers(plastic.internal, dtype)
    if plastic.stiffening is None:

        @wp.func
        def same(k: veck, h: vech, z: vecz):
            return k

        return same, None

    factor, factor_pullback = plastic.stiffening

    @wp.func
    def stiffened(k: veck, h: vech, z: vecz):
        return factor(h, z) * k

    @wp.func
    def pullback(k: veck, h: vech, z: vecz, stiff_bar: veck):
        h_bar, z_bar = factor_pullback(h, z, wp.dot(k, stiff_bar))
        return factor(h, z) * stiff_bar, h_bar, z_bar

    return stiffened, pullback


@factory
def _split(own: int, flows: int, dtype: Any) -> tuple[wp.Function, wp.Function, wp.Function]:
    """Of z the numbers of the elasticity and those of the flow; and z of both."""
    whole, first, last = (numbers(count, dtype) for count in (own + flows, own, flows))

    @wp.func
    def of_elasticity(z: whole):
        out = first()
        for c in range(own):
            out[c] = z[c]
        return out

    @wp.func
    def of_flow(z: whole):
        out = last()
        for c in range(flows):
            out[c] = z[own + c]
        return out

    @wp.func
    def joined(a: first, b: last):
        z = whole()
        for c in range(own):
            z[c] = a[c]
        for c in range(flows):
            z[own + c] = b[c]
        return z

    return of_elasticity, of_flow, joined
