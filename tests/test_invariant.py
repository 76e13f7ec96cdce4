# SPDX-License-Identifier: Apache-2.0
"""Learned laws on invariants: what holds for any weights, exact gradients, the graph-free path."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TypeVar, cast

import pytest
import torch
from material_states import relative
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw, Pullback, Response
from rheograd.materials.learned.blockwise import ROWS
from rheograd.materials.learned.invariant import (
    InvariantFull,
    InvariantFullElasticity,
    InvariantLaw,
    InvariantSmooth,
    InvariantSmoothElasticity,
)
from rheograd.materials.learned.invariant_only import Invariant, InvariantOnlyElasticity
from rheograd.materials.learned.polar import Polar, PolarElasticity

L = TypeVar("L", bound=ConstitutiveLaw)
LAWS: list[type[InvariantLaw]] = [InvariantSmooth, InvariantFull, Polar, Invariant]
PARTS = [
    InvariantSmoothElasticity, InvariantFullElasticity, PolarElasticity, InvariantOnlyElasticity,
]  # fmt: skip
SMOOTH = [law for law in (*LAWS, *PARTS) if law.smooth_at_rest]


def strained(q: int, dtype: torch.dtype = torch.float64, amount: float = 0.2) -> Tensor:
    """Deformation gradients away from coinciding singular values."""
    stretch = torch.diag(torch.tensor([1.3, 1.0, 0.8], dtype=dtype))
    return rotations(q, dtype) @ (stretch + amount * torch.rand(q, 3, 3, dtype=dtype))


def rotations(q: int, dtype: torch.dtype = torch.float64) -> Tensor:
    A = 3.0 * torch.randn(q, 3, 3, dtype=torch.float64)
    return torch.matrix_exp(A - A.mT).to(dtype)


def trained(law: type[L], dtype: torch.dtype = torch.float64) -> L:
    """An example with weights as if it had been fitted: none of the start's structure is left."""
    out = cast(L, law.example()).to(dtype)
    with torch.no_grad():
        for weight in out.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return out


def bars(F: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return 1e-5 * torch.randn_like(F), torch.randn_like(F), F.new_zeros(len(F), 0)


def respond(law: ConstitutiveLaw, F: Tensor) -> tuple[Tensor, Tensor]:
    out = law.update(F, law.rest_internal(len(F), F), 1e-3)
    return out.tau, out.F_elastic


@pytest.mark.parametrize("law", [*LAWS, *PARTS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rest_has_no_stress_and_does_not_flow(
    law: type[ConstitutiveLaw], dtype: torch.dtype
) -> None:
    rest = torch.eye(3, dtype=dtype).expand(4, 3, 3)
    for trace in (True, False):
        with torch.set_grad_enabled(trace):
            tau, F = respond(trained(law, dtype), rest)
        assert torch.equal(tau, torch.zeros_like(tau))
        assert torch.equal(F, rest)


@pytest.mark.parametrize("law", [*LAWS, *PARTS])
def test_a_rotated_state_is_the_state_rotated(law: type[ConstitutiveLaw]) -> None:
    made, F, Q = trained(law), strained(50), rotations(50)
    tau, F_elastic = respond(made, F)
    tau_Q, F_Q = respond(made, Q @ F)
    assert relative(tau_Q, Q @ tau @ Q.mT) < 1e-12
    assert relative(F_Q, Q @ F_elastic) < 1e-14


@pytest.mark.parametrize("law", [*LAWS, *PARTS])
def test_gradients_against_central_differences(law: type[ConstitutiveLaw]) -> None:
    made, F = trained(law), strained(3)
    assert largest_error(made, F) < 1e-6


@pytest.mark.parametrize("law", SMOOTH)
def test_smooth_gradients_where_singular_values_coincide(law: type[ConstitutiveLaw]) -> None:
    rest = torch.eye(3, dtype=torch.float64)
    twice = torch.diag(torch.tensor([1.2, 1.2, 0.9], dtype=torch.float64))
    inverted = torch.diag(torch.tensor([1.2, 1.2, -0.4], dtype=torch.float64))
    F = torch.stack([rest, 1.1 * rotations(1)[0], twice, twice @ rotations(1)[0], inverted])
    assert largest_error(trained(law), F) < 1e-6


def largest_error(law: ConstitutiveLaw, F: Tensor) -> float:
    """Of directional derivatives in F and in each parameter, relative to central differences."""
    tau_bar, F_bar, h_bar = bars(F)
    found = law.pullback(F, h_bar, 1e-3, tau_bar, F_bar, h_bar)

    def value(G: Tensor) -> Tensor:
        with torch.no_grad():
            tau, F_elastic = respond(law, G)
        return (tau_bar * tau).sum() + (F_bar * F_elastic).sum()

    def error(slope: Tensor, difference: Callable[[float], Tensor], size: Tensor) -> float:
        h = 1e-6
        expected = (difference(h) - difference(-h)) / (2 * h)
        return float((slope - expected).abs() / size.clamp_min(expected.abs()))

    errors = []
    for point in range(len(F)):
        direction = torch.zeros_like(F)
        direction[point] = torch.randn_like(F[point])
        slope = (found.F_trial * direction).sum()
        scale = found.F_trial[point].norm() * direction.norm()
        errors.append(error(slope, lambda h, d=direction: value(F + h * d), scale))
    for weight, gradient in zip(law.parameters(), found.parameters, strict=True):
        direction = torch.randn_like(weight)

        def moved(h: float, weight: Tensor = weight, direction: Tensor = direction) -> Tensor:
            kept = weight.detach().clone()
            with torch.no_grad():
                weight += h * direction
                out = value(F)
                weight.copy_(kept)
            return out

        errors.append(error((gradient * direction).sum(), moved, gradient.norm()))
    return max(errors)


@pytest.mark.parametrize("law", [*LAWS, *PARTS])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_both_paths_agree(law: type[ConstitutiveLaw], dtype: torch.dtype, limit: float) -> None:
    """With a graph and without; the batch is two full blocks and a part of one."""
    made, F = trained(law, dtype), strained(2 * ROWS["cpu"] + 300, dtype)
    tau, F_elastic = respond(made, F)
    assert tau.requires_grad
    with torch.no_grad():
        tau_fast, F_fast = respond(made, F)
    assert relative(tau_fast, tau.detach()) < limit
    assert relative(F_fast, F_elastic.detach()) < limit
    tau_bar, F_bar, h_bar = bars(F)
    fast = made.pullback(F, h_bar, 1e-3, tau_bar, F_bar, h_bar)
    graph = ConstitutiveLaw.pullback(made, F, h_bar, 1e-3, tau_bar, F_bar, h_bar)
    for a, b in zip(flat(fast), flat(graph), strict=True):
        assert relative(a, b) < limit


def flat(found: Pullback) -> tuple[Tensor, ...]:
    return (found.F_trial, *found.parameters)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("law", LAWS)
def test_what_is_kept_changes_no_bit(law: type[InvariantLaw], hidden: bool) -> None:
    made, F = trained(law, torch.float32), strained(5000, torch.float32)
    tau_bar, F_bar, h_bar = bars(F)
    with torch.no_grad():
        plain = made.update(F, h_bar, 1e-3)
    out, kept = (
        Response(torch.empty_like(F), torch.empty_like(F), h_bar),
        made.new_kept(5000, F, hidden=hidden),
    )
    made.update_into(F, h_bar, 1e-3, out, kept)
    assert torch.equal(out.tau, plain.tau)
    assert torch.equal(out.F_elastic, plain.F_elastic)
    without = made.pullback(F, h_bar, 1e-3, tau_bar, F_bar, h_bar)
    memory = F_bar.clone()
    with_kept = made.pullback(
        F, h_bar, 1e-3, tau_bar, memory, h_bar, kept=kept, F_elastic=out.F_elastic, out=memory
    )
    assert with_kept.F_trial is memory
    for a, b in zip(flat(without), flat(with_kept), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("law", [*LAWS, *PARTS])
def test_two_threads_get_what_one_gets(law: type[ConstitutiveLaw]) -> None:
    made = trained(law, torch.float32)
    shards = [strained(5000, torch.float32), strained(4500, torch.float32)]
    given = [bars(F) for F in shards]
    found: dict[int, list[tuple[Tensor, ...]]] = {0: [], 1: []}

    def work(shard: int) -> None:
        F, (tau_bar, F_bar, h_bar) = shards[shard], given[shard]
        for _ in range(5):
            with torch.no_grad():
                found[shard].append(respond(made, F))
            found[shard].append(flat(made.pullback(F, h_bar, 1e-3, tau_bar, F_bar, h_bar)))

    threads = [threading.Thread(target=work, args=(shard,)) for shard in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = {shard: results[:] for shard, results in found.items()}
    for shard, results in together.items():
        found[shard] = []
        work(shard)
        assert len(results) == len(found[shard]) == 10
        for a, b in zip(results, found[shard], strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_two_threads_may_be_the_first_to_run_a_law() -> None:
    """Kernels are compiled and loaded on first use."""
    program = """
import threading, torch
from rheograd.materials.learned.invariant import InvariantSmooth
law, F = InvariantSmooth.example(), torch.eye(3).repeat(100, 1, 1)
failures = []
def work():
    try:
        with torch.no_grad():
            law.update(F, law.rest_internal(100, F), 1e-3)
    except BaseException as error:
        failures.append(error)
threads = [threading.Thread(target=work) for _ in range(2)]
[t.start() for t in threads]
[t.join() for t in threads]
assert not failures, failures
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_empty_batch_and_strided_input() -> None:
    made = trained(InvariantSmooth, torch.float32)
    none = torch.zeros(0, 3, 3)
    with torch.no_grad():
        assert respond(made, none)[0].shape == (0, 3, 3)
    back = made.pullback(none, none[:, :0, 0], 1e-3, none, none, none[:, :0, 0])
    assert all(torch.equal(g, torch.zeros_like(g)) for g in back.parameters)
    F = strained(6, torch.float32)
    with torch.no_grad():
        assert torch.equal(respond(made, F.mT)[0], respond(made, F.mT.contiguous())[0])


def test_weights_of_another_precision_are_used_in_that_of_the_state() -> None:
    made, F = trained(InvariantSmooth, torch.float32), strained(5)
    tau_bar, F_bar, h_bar = bars(F)
    with torch.no_grad():
        tau, _ = respond(made, F)
    found = made.pullback(F, h_bar, 1e-3, tau_bar, F_bar, h_bar)
    assert tau.dtype == torch.float64
    assert all(g.dtype == torch.float32 for g in found.parameters)
    assert relative(tau, respond(made.double(), F)[0].detach()) < 1e-12


def test_a_new_smooth_law_is_an_isotropic_solid() -> None:
    law = InvariantSmooth(2e5).double()
    strain = 1e-6 * torch.tensor([[1.0, 0.3, 0], [0.3, -0.2, 0], [0, 0, 0.4]], dtype=torch.float64)
    F = (torch.eye(3, dtype=torch.float64) + strain)[None]
    tau, F_elastic = respond(law, F)
    lame = mu = 0.4 * 2e5
    expected = 2 * mu * strain + lame * torch.trace(strain) * torch.eye(3, dtype=torch.float64)
    assert relative(tau[0].detach(), expected) < 1e-5
    assert torch.equal(F_elastic, F)
    assert law.wave_modulus() == pytest.approx(lame + 2 * mu, rel=1e-6)


def test_weights_are_those_of_the_seed() -> None:
    a, b, c = InvariantFull(seed=3), InvariantFull(seed=3), InvariantFull(seed=4)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(next(a.parameters()), next(c.parameters()))
    parts = [list(a.elasticity.parameters()), list(a.plasticity.parameters())]
    assert [id(p) for part in parts for p in part] == [id(p) for p in a.parameters()]
    assert [tuple(p.shape) for p in parts[0]] == [(64, 13), (64, 64), (9, 64)]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: InvariantSmooth(0.0), r"got stress_scale = 0.0, expected a positive .*\[Pa\]"),
        (lambda: InvariantSmooth(1e5, -1.0), "got flow_scale = -1.0, expected a positive"),
        (lambda: InvariantFull(widths=()), r"got widths = \[\], expected 1 to 16"),
        (lambda: InvariantSmooth(widths=(7, 7)), "even widths of at least 24"),
    ],
)
def test_bad_arguments_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_other_precisions_are_refused() -> None:
    law, F = InvariantSmooth(), torch.eye(3, dtype=torch.float16)[None]
    with pytest.raises(TypeError, match=r"torch.float32 or torch.float64; got F of torch.float16"):
        law.stress(F, F[:, :0, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_that_changed_are_seen(dtype: torch.dtype) -> None:
    """In place, also where they are used in another precision, or put elsewhere."""
    law, F = trained(InvariantSmooth, dtype), strained(8, torch.float32)
    out = Response(torch.empty_like(F), torch.empty_like(F), F.new_zeros(8, 0))
    for elsewhere in (False, False, True):
        for weight in law.parameters():
            weight.data = 1.1 * weight.data if elsewhere else weight.data.mul_(1.1)
        law.update_into(F, out.internal, 1e-3, out)
        assert relative(out.tau, respond(law, F)[0]) < 1e-5


def test_both_kinds_start_as_the_same_elastic_solid() -> None:
    full, smooth = (kind(3e4, 1e-3, seed=2).double() for kind in (InvariantFull, InvariantSmooth))
    full.elasticity.start_elastic()
    full.plasticity.start_still()
    F = torch.eye(3, dtype=torch.float64) + 0.2 * torch.randn(6, 3, 3, dtype=torch.float64)
    none = F.new_zeros(6, 0)
    found, expected = (law.update(F, none, 1e-3) for law in (full, smooth))
    scale = float(expected.tau.detach().abs().max())
    assert float((found.tau - expected.tau).detach().abs().max()) < 1e-6 * scale  # float32 drawn
    assert torch.allclose(found.F_elastic, F, atol=1e-9)
