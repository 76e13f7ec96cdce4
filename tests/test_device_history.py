# SPDX-License-Identifier: Apache-2.0
"""What a device law may have beside F: fields, history, the step, moduli that a flow changes.

Two laws are made for it: fibres whose stress fades, and a swelling that softens. Both stand here a
second time in torch.
"""
# pyright: reportInvalidTypeForm=false, reportArgumentType=false

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import pytest
import torch
import warp as wp
from material_states import check_pullback, relative, strained
from torch import Tensor, nn

from rheograd.kernels.dtypes import types
from rheograd.kernels.laws import analytic as laws
from rheograd.kernels.laws.hencky import principal_plastic
from rheograd.kernels.laws.parts import (
    Elastic,
    Evolution,
    Plastic,
    PrincipalFlow,
    Stiffening,
    numbers,
    pair,
)
from rheograd.kernels.laws.response import respond
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import AnalyticElasticity, Hencky, NeoHookean
from rheograd.materials.plastic import AnalyticPlasticity, HardeningVonMises
from rheograd.materials.rubber import Gent

DT = 0.02


def fading(dtype: Any) -> Elastic:
    """mu (b - I) + g (I4 - q) f f^T, f = F a, I4 = f.f; q follows I4 with the rate k3.

    z = (a, q), k = (mu, lambda, g, rate); backward in time q' = (q + dt rate I4) / (1 + dt rate).
    """
    t = types(dtype)
    scalar, vec3, mat33, vec4 = t.scalar, t.vec3, t.mat33, numbers(4, dtype)
    one, two = scalar(1.0), scalar(2.0)

    @wp.func
    def stress(F: mat33, k: vec4, z: vec4):
        f = F * vec3(z[0], z[1], z[2])
        b = F * wp.transpose(F) - wp.diag(vec3(one, one, one))
        return k[0] * b + (k[2] * (wp.dot(f, f) - z[3])) * wp.outer(f, f)

    @wp.func
    def pullback(F: mat33, k: vec4, z: vec4, tau_bar: mat33):
        a = vec3(z[0], z[1], z[2])
        f = F * a
        over = wp.dot(f, f) - z[3]
        T = tau_bar + wp.transpose(tau_bar)
        along = wp.dot(f, tau_bar * f)
        f_bar = k[2] * (over * (T * f) + two * along * f)
        F_bar = k[0] * (T * F) + wp.outer(f_bar, a)
        b = F * wp.transpose(F) - wp.diag(vec3(one, one, one))
        k_bar = vec4()
        k_bar[0] = wp.ddot(tau_bar, b)
        k_bar[2] = over * along
        a_bar = wp.transpose(F) * f_bar
        return F_bar, k_bar, vec4(a_bar[0], a_bar[1], a_bar[2], -k[2] * along)

    @wp.func
    def evolve(F: mat33, k: vec4, z: vec4, dt: scalar):
        f = F * vec3(z[0], z[1], z[2])
        return vec4(z[0], z[1], z[2], (z[3] + dt * k[3] * wp.dot(f, f)) / (one + dt * k[3]))

    @wp.func
    def evolve_pullback(F: mat33, k: vec4, z: vec4, dt: scalar, z_out_bar: vec4):
        a = vec3(z[0], z[1], z[2])
        f = F * a
        s = one + dt * k[3]
        f_bar = (two * z_out_bar[3] * dt * k[3] / s) * f
        a_bar = wp.transpose(F) * f_bar
        k_bar = vec4()
        k_bar[3] = z_out_bar[3] * dt * (wp.dot(f, f) - z[3]) / (s * s)
        z_bar = vec4(
            z_out_bar[0] + a_bar[0], z_out_bar[1] + a_bar[1], z_out_bar[2] + a_bar[2],
            z_out_bar[3] / s,
        )  # fmt: skip
        return wp.outer(f_bar, a), k_bar, z_bar

    return Elastic(stress, pullback, 4, 4, evolution=Evolution(evolve, evolve_pullback))


def swelling(dtype: Any) -> Plastic:
    """A share c dt / (1 + c dt) of tr eps flows, and mu and lambda fall by exp(-x J) with its sum.

    z = (J,), h = (c, x, unused); the third number tells that h has any length.
    """
    t = types(dtype)
    scalar, vec3, mat33 = t.scalar, t.vec3, t.mat33
    vec1, vec2, h3 = numbers(1, dtype), pair(dtype), numbers(3, dtype)
    zero, one, third = scalar(0.0), scalar(1.0), scalar(1.0 / 3.0)

    @wp.func
    def value(eps: vec3, k: vec2, h: h3, z: vec1, dt: scalar):
        part = h[0] * dt / (one + h[0] * dt) * (eps[0] + eps[1] + eps[2])
        m = third * part
        return eps - vec3(m, m, m), vec1(z[0] + part)

    @wp.func
    def jacobian(eps: vec3, k: vec2, h: h3, z: vec1, dt: scalar):
        m = third * h[0] * dt / (one + h[0] * dt)
        return wp.diag(vec3(one, one, one)) - mat33(m, m, m, m, m, m, m, m, m)

    @wp.func
    def quotients(eps: vec3, k: vec2, h: h3, z: vec1, dt: scalar):
        return vec3(one, one, one)

    @wp.func
    def pullback(
        eps: vec3, k: vec2, h: h3, z: vec1, dt: scalar, eps_out_bar: vec3, z_out_bar: vec1
    ):
        s = one + h[0] * dt
        m = z_out_bar[0] * h[0] * dt / s
        outer = z_out_bar[0] - third * (eps_out_bar[0] + eps_out_bar[1] + eps_out_bar[2])
        c_bar = outer * (eps[0] + eps[1] + eps[2]) * dt / (s * s)
        return vec3(m, m, m), vec2(), h3(c_bar, zero, zero), z_out_bar

    @wp.func
    def factor(h: h3, z: vec1):
        return wp.exp(-h[1] * z[0])

    @wp.func
    def factor_pullback(h: h3, z: vec1, factor_bar: scalar):
        slope = -factor_bar * wp.exp(-h[1] * z[0])
        return h3(zero, slope * z[0], zero), vec1(slope * h[1])

    flow = PrincipalFlow(value, jacobian, quotients, pullback)
    return principal_plastic(dtype, flow, 3, 1, Stiffening(factor, factor_pullback))


def number(value: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(value, dtype=torch.float64))


class Fading(AnalyticElasticity):
    name: ClassVar[str] = "test-fading"
    n_internal = 4
    conservative = False

    def __init__(self) -> None:
        super().__init__()
        self.mu, self.fibre, self.rate = number(1e4), number(3e4), number(8.0)

    def coefficients(self) -> Tensor:
        return torch.stack([self.mu, 0.0 * self.mu, self.fibre, self.rate])

    def energy(self, F_elastic: Tensor, internal: Tensor) -> None:  # type: ignore[override]
        return None

    def rest_internal(self, q: int, like: Tensor) -> Tensor:
        return like.new_tensor([0.6, 0.0, 0.8, 1.0]).repeat(q, 1)

    @classmethod
    def example(cls) -> Self:
        return cls()


class Swelling(AnalyticPlasticity):
    name: ClassVar[str] = "test-swelling"
    history: ClassVar[Mapping[str, float]] = {"swelling": 0.0}

    def __init__(self) -> None:
        super().__init__()
        self.c, self.x = number(12.0), number(1.5)

    def coefficients(self) -> Tensor:
        return torch.stack([self.c, self.x, torch.zeros_like(self.c)])

    def stiffening(self, history: Tensor) -> Tensor:
        return (-self.x * history[:, 0]).exp()


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(laws.ELASTICITIES, Fading.name, fading)  # type: ignore[arg-type]
        patch.setitem(laws.PLASTICITIES, Swelling.name, swelling)  # type: ignore[arg-type]
        yield


def state(law: Any, q: int = 12) -> tuple[Tensor, Tensor]:
    """A trial deformation and a history as steps before may have left it."""
    F = strained(q)
    internal = law.rest_internal(q, F)
    internal = internal + 0.05 * torch.randn_like(internal)
    if isinstance(law, Damped):
        internal[:, -9:] = (F + 0.02 * torch.randn_like(F)).flatten(1)
    return F, internal


CASES = {
    "fading": lambda: Fading(),
    "fading-hardening-damped": lambda: Damped(
        ElastoPlastic(Fading(), HardeningVonMises(3e2, 2e3)), 1e-3
    ),
    "swelling": lambda: ElastoPlastic(NeoHookean(2e5, 0.3), Swelling()),
    "swelling-principal-damped": lambda: Damped(ElastoPlastic(Hencky(2e5, 0.3), Swelling()), 1e-3),
}
EVERY = pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())


@EVERY
def test_gradients_against_central_differences(make: Any) -> None:
    """Of F_trial, fields, history and parameters; of the stress of a state too."""
    law = make()
    F, internal = state(law)
    check_pullback(law, F, internal)
    weight = torch.randn_like(F) / law.wave_modulus()
    inputs = [F.requires_grad_(), internal.requires_grad_(), *law.parameters()]
    with torch.enable_grad():
        total = (weight * law.stress(*inputs[:2])).sum()
    gradients = torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True)
    for tensor, gradient in zip(inputs, gradients, strict=True):
        way = tensor.detach().clone() if tensor.ndim == 0 else torch.randn_like(tensor)
        h, values = 1e-6, []
        for sign in (1, -1):
            with torch.no_grad():
                tensor += sign * h * way
                values.append(float((weight * law.stress(*inputs[:2])).sum()))
                tensor -= sign * h * way
        expected = (values[0] - values[1]) / (2 * h)
        assert float((gradient * way).sum()) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@EVERY
def test_the_stress_of_a_step_is_that_of_the_state_it_leaves(make: Any) -> None:
    law = make()
    F, internal = state(law)
    if isinstance(law, Damped):
        law, internal = law.law, internal[:, :-9]
    found = law.update(F, internal, DT)
    assert not torch.equal(found.internal, internal)
    assert relative(law.stress(found.F_elastic, found.internal), found.tau) < 1e-13


def test_fields_are_handed_on_and_history_follows_its_formula() -> None:
    law = Fading()
    F, internal = state(law)
    F.requires_grad_()
    internal.requires_grad_()
    found = law.update(F, internal, DT)
    a, q = internal[:, :3], internal[:, 3]
    f = (F @ a[:, :, None])[..., 0]
    I4 = f.square().sum(1)
    q = (q + DT * law.rate * I4) / (1 + DT * law.rate)
    over = (I4 - q)[:, None, None]
    outer = f[:, :, None] * f[:, None, :]
    tau = law.mu * (F @ F.mT - torch.eye(3).to(F)) + law.fibre * over * outer
    after = torch.cat([a, q[:, None]], 1)
    assert relative(found.tau, tau) < 1e-13
    assert relative(found.internal, after) < 1e-14
    assert torch.equal(found.internal[:, :3], a)
    bars = [torch.randn_like(t) for t in (tau, after)]
    inputs = (F, internal, *law.parameters())
    expected = torch.autograd.grad((tau, after), inputs, bars)
    got = torch.autograd.grad((found.tau, found.internal), inputs, bars)
    for x, y in zip(got, expected, strict=True):
        assert relative(x, y) < 1e-11


def test_a_flow_that_softens_scales_stress_and_energy() -> None:
    """Of strains along fixed axes, where the stress is that of Hencky times exp(-x J)."""
    law = ElastoPlastic(Hencky(2e5, 0.3), Swelling())
    eps = 0.1 * torch.randn(6, 3, dtype=torch.float64)
    F = torch.diag_embed(eps.exp())
    before = 0.1 * torch.rand(6, 1, dtype=torch.float64)
    found = law.update(F, before, DT)
    part = 12.0 * DT / (1 + 12.0 * DT) * eps.sum(1)
    assert torch.allclose(found.internal[:, 0], before[:, 0] + part, rtol=0, atol=1e-14)
    left = (eps - part[:, None] / 3).exp().diag_embed()
    assert relative(found.F_elastic, left) < 1e-13
    factor = (-1.5 * found.internal[:, 0]).exp()
    plain, none = Hencky(2e5, 0.3), before[:, :0]
    expected = factor[:, None, None] * plain.stress(left, none)
    assert relative(found.tau, expected) < 1e-12
    energy = law.energy(found.F_elastic, found.internal)
    assert energy is not None
    assert relative(energy, factor * plain.energy(left, none)) < 1e-12
    assert torch.equal(law.recorded(found.internal)["swelling"], found.internal[:, 0])


def test_only_moduli_that_are_all_can_be_stiffened() -> None:
    with pytest.raises(ValueError, match="mu and lambda"):
        respond(laws.ELASTICITIES["gent"](wp.float64), swelling(wp.float64), wp.float64)
    with pytest.raises(TypeError, match="Gent"):
        ElastoPlastic(Gent.example(), Swelling())
