# SPDX-License-Identifier: Apache-2.0
"""What an elasticity and a plasticity consist of, and how the two combine.

Besides F and its coefficients a law may read and write numbers z of the point, its columns of
`internal` (update.py): those of the elasticity, constant fields such as fibre directions first and
then history, after them those of the plasticity. A step goes

    F, z_flow = return_map(F_trial, moduli of k, h, z_flow, dt)
    k'        = k with mu and lambda times stiffening(h, z_flow)
    z_elastic = evolution(F, k', z_elastic, dt)
    tau       = stress(F, k', z_elastic)

and each part that a law leaves out costs nothing. Vectors of no numbers, which Warp does not have,
are of length 1 and never read or written.

Laws that are functions of the Hencky strains eps = log sigma alone are given as such; here they
meet the spectral decomposition, once for both where an elasticity and a flow of that kind go
together. Notation as in kernels/laws.py; laws without numbers of their own are written without z
and dt, and `elasticity`, `plasticity` and `principal_flow` give them those.
"""

from typing import Any, NamedTuple

import warp as wp

from .decompose import decompositions
from .dtypes import factory, types

SMALLEST_STRETCH = 0.05
"""Singular values are clamped here from below before their logarithm is taken [-]."""


class PrincipalStress(NamedTuple):
    """A stress as a function of Hencky strains."""

    value: wp.Function
    """value(eps, k) -> principal tau."""
    jacobian: wp.Function
    """jacobian(eps, k) -> dtau_i/deps_j."""
    coefficients_bar: wp.Function
    """coefficients_bar(eps, k, tau_bar) -> k_bar."""


class PrincipalFlow(NamedTuple):
    """A return mapping of Hencky strains; z does not change if the strains are permuted."""

    value: wp.Function
    """value(eps, k, h, z, dt) -> eps and z after the flow; eps itself, to the last bit, without."""
    jacobian: wp.Function
    """jacobian(eps, k, h, z, dt) -> d eps_i after / d eps_j before."""
    pullback: wp.Function
    """pullback(eps, k, h, z, dt, eps_out_bar, z_out_bar) -> eps_bar, k_bar, h_bar, z_bar, where
    eps_bar is only what comes through z_out: the rest is jacobian^T eps_out_bar."""


class Evolution(NamedTuple):
    """How the numbers of an elasticity change in a step, once F has flowed."""

    value: wp.Function
    """value(F, k, z, dt) -> z at the end of the step."""
    pullback: wp.Function
    """pullback(F, k, z, dt, z_out_bar) -> F_bar, k_bar, z_bar."""


class Stiffening(NamedTuple):
    """How a flow changes mu and lambda; the flow itself and damping read them as at rest."""

    value: wp.Function
    """value(h, z) -> the factor, of z after the flow."""
    pullback: wp.Function
    """pullback(h, z, factor_bar) -> h_bar, z_bar."""


class Elastic(NamedTuple):
    """An elasticity of one precision."""

    stress: wp.Function
    """stress(F, k, z) -> tau, of z at the end of the step."""
    pullback: wp.Function
    """pullback(F, k, z, tau_bar) -> F_bar, k_bar, z_bar."""
    columns: int = 2
    """How many numbers k has; the first are mu and lambda at rest."""
    internal: int = 0
    """How many numbers z has."""
    principal: PrincipalStress | None = None
    """Given by laws that need a spectral decomposition, so that a flow can share it; without z."""
    evolution: Evolution | None = None
    """None: z is constant."""


class Plastic(NamedTuple):
    """A plasticity of one precision; its k is (mu, lambda) at rest."""

    return_map: wp.Function
    """return_map(F, k, h, z, dt) -> F and z after the flow."""
    pullback: wp.Function
    """pullback(F, k, h, z, dt, F_out_bar, z_out_bar) -> F_bar, k_bar, h_bar, z_bar."""
    columns: int
    """How many numbers h has."""
    internal: int = 0
    """How many numbers z has."""
    principal: PrincipalFlow | None = None
    stiffening: Stiffening | None = None
    """None: the moduli are constant. Only for elasticities whose k is (mu, lambda)."""


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
    stress, stress_jacobian, stress_coefficients = elastic.principal
    flow, flow_jacobian, flow_pullback = plastic.principal
    stiffened, stiffened_pullback = _stiffened(plastic, dtype, elastic.columns)
    stiffens, remembers = plastic.stiffening is not None, plastic.internal > 0
    recompose = _recompose(dtype)

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
        D_bar = left_pullback(sigma, stress(after, stiff), jacobian * slopes, B)
        D_bar += mixed_pullback(sigma, stretch, wp.diag(stretch) * slopes, H)
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


def elasticity(dtype: Any, stress: wp.Function, pullback: wp.Function, columns: int = 2) -> Elastic:
    """Without numbers of its own: of stress(F, k) and pullback(F, k, tau_bar) -> F_bar, k_bar."""
    mat33, veck, none = types(dtype).mat33, numbers(columns, dtype), numbers(0, dtype)

    @wp.func
    def full_stress(F: mat33, k: veck, z: none):
        return stress(F, k)

    @wp.func
    def full_pullback(F: mat33, k: veck, z: none, tau_bar: mat33):
        F_bar, k_bar = pullback(F, k, tau_bar)
        return F_bar, k_bar, none()

    return Elastic(full_stress, full_pullback, columns)


def plasticity(dtype: Any, return_map: wp.Function, pullback: wp.Function, columns: int) -> Plastic:
    """Without history.

    Args:
        dtype: wp.float32 or wp.float64.
        return_map: return_map(F, k, h) -> F.
        pullback: pullback(F, k, h, F_bar) -> F_bar, k_bar, h_bar.
        columns: How many numbers h has.
    """
    t, none = types(dtype), numbers(0, dtype)
    mat33, vec2, vech, scalar = t.mat33, pair(dtype), numbers(columns, dtype), t.scalar

    @wp.func
    def full_map(F: mat33, k: vec2, h: vech, z: none, dt: scalar):
        return return_map(F, k, h), z

    @wp.func
    def full_pullback(
        F: mat33, k: vec2, h: vech, z: none, dt: scalar, F_out_bar: mat33, z_out_bar: none
    ):
        F_bar, k_bar, h_bar = pullback(F, k, h, F_out_bar)
        return F_bar, k_bar, h_bar, z_out_bar

    return Plastic(full_map, full_pullback, columns)


def principal_flow(
    dtype: Any, value: wp.Function, jacobian: wp.Function, coefficients_bar: wp.Function,
    columns: int,
) -> PrincipalFlow:  # fmt: skip
    """Without history.

    Args:
        dtype: wp.float32 or wp.float64.
        value: value(eps, k, h) -> eps.
        jacobian: jacobian(eps, k, h) -> d eps_i after / d eps_j before.
        coefficients_bar: coefficients_bar(eps, k, h, eps_bar) -> k_bar, h_bar.
        columns: How many numbers h has.
    """
    t, none = types(dtype), numbers(0, dtype)
    vec2, vec3, vech, scalar = pair(dtype), t.vec3, numbers(columns, dtype), t.scalar

    @wp.func
    def full_value(eps: vec3, k: vec2, h: vech, z: none, dt: scalar):
        return value(eps, k, h), z

    @wp.func
    def full_jacobian(eps: vec3, k: vec2, h: vech, z: none, dt: scalar):
        return jacobian(eps, k, h)

    @wp.func
    def full_pullback(
        eps: vec3, k: vec2, h: vech, z: none, dt: scalar, eps_out_bar: vec3, z_out_bar: none
    ):
        k_bar, h_bar = coefficients_bar(eps, k, h, eps_out_bar)
        return vec3(), k_bar, h_bar, z_out_bar

    return PrincipalFlow(full_value, full_jacobian, full_pullback)


def principal_elastic(dtype: Any, principal: PrincipalStress, columns: int = 2) -> Elastic:
    """The stress F -> U diag(value(eps)) U^T."""
    t = types(dtype)
    veck, mat33 = numbers(columns, dtype), t.mat33
    d = decompositions(dtype)
    spectral, left_pullback = d.spectral, d.left_pullback
    log_stretch, log_slope = log_stretch_functions(dtype)
    value, jacobian, coefficients_bar = principal

    @wp.func
    def stress(F: mat33, k: veck):
        U, sigma, _V = spectral(F)
        return U * wp.diag(value(log_stretch(sigma), k)) * wp.transpose(U)

    @wp.func
    def pullback(F: mat33, k: veck, tau_bar: mat33):
        U, sigma, V = spectral(F)
        eps = log_stretch(sigma)
        B = wp.transpose(U) * tau_bar * U
        slopes = jacobian(eps, k) * wp.diag(log_slope(sigma))
        D_bar = left_pullback(sigma, value(eps, k), slopes, B)
        return U * D_bar * wp.transpose(V), coefficients_bar(eps, k, wp.get_diag(B))

    return elasticity(dtype, stress, pullback, columns)._replace(principal=principal)


def principal_plastic(
    dtype: Any, principal: PrincipalFlow, columns: int, internal: int = 0,
    stiffening: Stiffening | None = None,
) -> Plastic:  # fmt: skip
    """The return map F -> U diag(exp(eps after the flow)) V^T."""
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    vec2, vech, vecz = pair(dtype), numbers(columns, dtype), numbers(internal, dtype)
    d = decompositions(dtype)
    spectral, mixed_pullback = d.spectral, d.mixed_pullback
    log_stretch, log_slope = log_stretch_functions(dtype)
    flow, flow_jacobian, flow_pullback = principal
    recompose, remembers = _recompose(dtype), internal > 0

    @wp.func
    def return_map(F: mat33, k: vec2, h: vech, z: vecz, dt: scalar):
        U, sigma, V = spectral(F)
        eps = log_stretch(sigma)
        after, flowed = flow(eps, k, h, z, dt)
        return recompose(F, U, sigma, V, eps, after), flowed

    @wp.func
    def pullback(
        F: mat33, k: vec2, h: vech, z: vecz, dt: scalar, F_out_bar: mat33, z_out_bar: vecz
    ):
        U, sigma, V = spectral(F)
        eps = log_stretch(sigma)
        after, _flowed = flow(eps, k, h, z, dt)
        stretch = vec3(wp.exp(after[0]), wp.exp(after[1]), wp.exp(after[2]))
        H = wp.transpose(U) * F_out_bar * V
        slopes = flow_jacobian(eps, k, h, z, dt) * wp.diag(log_slope(sigma))
        D_bar = mixed_pullback(sigma, stretch, wp.diag(stretch) * slopes, H)
        after_bar = wp.cw_mul(stretch, wp.get_diag(H))
        eps_bar, k_bar, h_bar, z_bar = flow_pullback(eps, k, h, z, dt, after_bar, z_out_bar)
        if wp.static(remembers):
            D_bar += wp.diag(wp.cw_mul(log_slope(sigma), eps_bar))
        return U * D_bar * wp.transpose(V), k_bar, h_bar, z_bar

    return Plastic(return_map, pullback, columns, internal, principal, stiffening)


@factory
def _recompose(dtype: Any) -> wp.Function:
    t = types(dtype)
    vec3, mat33 = t.vec3, t.mat33
    floor = t.scalar(SMALLEST_STRETCH)

    @wp.func
    def recompose(F: mat33, U: mat33, sigma: vec3, V: mat33, eps: vec3, after: vec3):
        """U diag(exp(after)) V^T, or F itself where nothing was clamped and nothing flowed."""
        out = F
        same = eps[0] == after[0] and eps[1] == after[1] and eps[2] == after[2]
        if not same or wp.min(sigma) < floor:
            stretch = vec3(wp.exp(after[0]), wp.exp(after[1]), wp.exp(after[2]))
            out = U * wp.diag(stretch) * wp.transpose(V)
        return out

    return recompose


@factory
def log_stretch_functions(dtype: Any) -> tuple[wp.Function, wp.Function]:
    """The clamped logarithm of singular values, and its derivative."""
    t = types(dtype)
    scalar, vec3 = t.scalar, t.vec3
    zero, one, floor = scalar(0.0), scalar(1.0), scalar(SMALLEST_STRETCH)

    @wp.func
    def slope(s: scalar):
        d = zero
        if s >= floor:
            d = one / s
        return d

    @wp.func
    def log_stretch(sigma: vec3):
        return vec3(
            wp.log(wp.max(sigma[0], floor)),
            wp.log(wp.max(sigma[1], floor)),
            wp.log(wp.max(sigma[2], floor)),
        )

    @wp.func
    def log_slope(sigma: vec3):
        return vec3(slope(sigma[0]), slope(sigma[1]), slope(sigma[2]))

    return log_stretch, log_slope


@factory
def numbers(count: int, dtype: Any) -> Any:
    """The type of so many numbers; of none a vector of one that nothing reads."""
    return wp.types.vector(length=max(count, 1), dtype=types(dtype).scalar)


def pair(dtype: Any) -> Any:
    """The type of the moduli (mu, lambda), and of the k of most laws."""
    return numbers(2, dtype)


@factory
def moduli_functions(columns: int, dtype: Any) -> tuple[wp.Function, wp.Function]:
    """moduli(k) -> (mu, lambda), which flows read; widened(moduli_bar) -> their share of k_bar."""
    vec2, veck = pair(dtype), numbers(columns, dtype)

    @wp.func
    def moduli(k: veck):
        return vec2(k[0], k[1])

    @wp.func
    def widened(moduli_bar: vec2):
        k_bar = veck()
        k_bar[0] = moduli_bar[0]
        k_bar[1] = moduli_bar[1]
        return k_bar

    return moduli, widened


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


@factory
def columns_functions(first: int, count: int, dtype: Any) -> tuple[wp.Function, wp.Function]:
    """load(table, r) -> the `count` numbers of row r from column `first` on; save(table, r, it)."""
    scalar, vector = types(dtype).scalar, numbers(count, dtype)

    @wp.func
    def load(table: wp.array2d[scalar], r: int):
        out = vector()
        for c in range(count):
            out[c] = table[r, first + c]
        return out

    @wp.func
    def save(table: wp.array2d[scalar], r: int, values: vector):
        for c in range(count):
            table[r, first + c] = values[c]

    return load, save


@factory
def deviator_functions(dtype: Any) -> tuple[wp.Function, wp.Function]:
    """deviator(a) of a diagonal matrix, and complement(n)."""
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    third, two_thirds = scalar(1.0 / 3.0), scalar(2.0 / 3.0)

    @wp.func
    def deviator(a: vec3):
        m = third * (a[0] + a[1] + a[2])
        return a - vec3(m, m, m)

    @wp.func
    def complement(n: vec3):
        """Projection on the deviators orthogonal to the unit deviator n."""
        p = two_thirds
        q = -third
        return mat33(p, q, q, q, p, q, q, q, p) - wp.outer(n, n)

    return deviator, complement
