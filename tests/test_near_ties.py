# SPDX-License-Identifier: Apache-2.0
"""Gradients where principal stretches nearly coincide, as all of a stiff solid do that yields.

The direction in which a solid yields turns over a distance of its yield strain, which may be far
below what single precision calls nearly equal. References are differences of the formulas in fifty
digits, which share nothing with the kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import torch
from material_states import relative, rotations
from mpmath import mp
from torch import Tensor

from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Hencky
from rheograd.materials.flows import HerschelBulkley, Snow, VolumeCorrecting
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import DruckerPrager, HardeningVonMises, VonMises
from rheograd.materials.rubber import Ogden
from rheograd.materials.viscoelastic import Viscoelastic

MU, LAM, DT = 8e4, 1.2e5, 1e-3
NU = LAM / (2 * (LAM + MU))
STIFF = Hencky(2 * MU * (1 + NU), NU)
Flow = Callable[[list[Any], float], list[Any]]


def shortened(eps: list[Any], length: Callable[[Any, Any], Any]) -> list[Any]:
    """The strains with their deviator shortened by length(norm, trace)."""
    trace = mpmath.fsum(eps)
    dev = [e - trace / 3 for e in eps]
    norm = mpmath.sqrt(mpmath.fsum(d * d for d in dev))
    cut = max(length(norm, trace), mp.mpf(0))
    return [e - cut * d / norm for e, d in zip(eps, dev, strict=True)]


def perfect(eps: list[Any], scale: float) -> list[Any]:
    return shortened(eps, lambda norm, _trace: norm - scale)


def hardening(eps: list[Any], scale: float) -> list[Any]:
    return shortened(eps, lambda norm, _trace: (norm - scale) / (1 + mp.mpf(1e4) / (2 * MU)))


def bingham(eps: list[Any], scale: float) -> list[Any]:
    return shortened(eps, lambda norm, _trace: (norm - scale) / (1 + 100 / (2 * MU * mp.mpf(DT))))


def friction(eps: list[Any], scale: float) -> list[Any]:
    sine = mpmath.sin(mpmath.radians(35))
    slope = mpmath.sqrt(mp.mpf(2) / 3) * 2 * sine / (3 - sine) * (3 * LAM + 2 * MU) / (2 * MU)
    apex = mp.mpf(scale)
    if mpmath.fsum(eps) >= 3 * apex:
        return [apex] * 3
    return shortened(eps, lambda norm, trace: norm + slope * (trace - 3 * apex))


def snow(eps: list[Any], scale: float) -> list[Any]:
    low, high = mpmath.log(1 - mp.mpf(scale)), mpmath.log(1 + mp.mpf(scale) / 2)
    return [min(max(e, low), high) for e in eps]


FLOWS: dict[str, tuple[Flow, Callable[[float], ConstitutiveLaw]]] = {
    "elastic": (lambda eps, _scale: eps, lambda _scale: STIFF),
    "von-mises": (perfect, lambda s: ElastoPlastic(STIFF, VonMises(2 * MU * s))),
    "hardening": (hardening, lambda s: ElastoPlastic(STIFF, HardeningVonMises(2 * MU * s, 1e4))),
    "bingham": (bingham, lambda s: ElastoPlastic(STIFF, HerschelBulkley(2 * MU * s, 100.0, 1.0))),
    "sand": (friction, lambda s: ElastoPlastic(STIFF, DruckerPrager(35.0, s))),
    "snow": (snow, lambda s: ElastoPlastic(STIFF, Snow(s, s / 2, 0.0))),
}


def answers(F: Any, flow: Flow, scale: float) -> tuple[Any, Any]:
    """tau and F after the flow, of one F, in fifty digits."""
    squares, U = mp.eigsy(F * F.T)
    sigma = [mpmath.sqrt(squares[i]) for i in range(3)]
    after = flow([mpmath.log(s) for s in sigma], scale)
    trace = mpmath.fsum(after)
    tau = U * mp.diag([2 * MU * e + LAM * trace for e in after]) * U.T
    stretch = mp.diag([mpmath.exp(e) / s for e, s in zip(after, sigma, strict=True)])
    return tau, U * stretch * U.T * F


def slopes(F: Tensor, tau_bar: Tensor, F_bar: Tensor, flow: Flow, scale: float) -> Tensor:
    """Gradient of the sum of both bars with their answers at one F, by differences of 1e-18."""
    with mp.workdps(50):
        point, step, out = mp.matrix(F.tolist()), mp.mpf(10) ** -18, torch.empty_like(F)
        bars = mp.matrix(tau_bar.tolist()), mp.matrix(F_bar.tolist())

        def value(A: Any) -> Any:
            both = zip(answers(A, flow, scale), bars, strict=True)
            return mpmath.fsum(
                a * b for found, bar in both for a, b in zip(found, bar, strict=True)
            )

        for i in range(3):
            for j in range(3):
                move = mp.zeros(3)
                move[i, j] = step
                out[i, j] = float((value(point + move) - value(point - move)) / (2 * step))
    return out


def nearly_equal(q: int, scale: float, trace: float) -> Tensor:
    """Deformations of strains of this size about a third of a trace of so many times it."""
    eps = scale * torch.randn(q, 3, dtype=torch.float64)
    eps += scale * trace / 3 - eps.mean(1, keepdim=True)
    return (rotations(q) @ torch.diag_embed(eps.exp()) @ rotations(q)).float().double()


@pytest.mark.parametrize(("dtype", "scale"), [("f32", 2e-3), ("f64", 2e-3), ("f64", 1e-5)])
@pytest.mark.parametrize("name", FLOWS)
def test_gradients_of_a_flow_among_small_strains(name: str, dtype: str, scale: float) -> None:
    """Against fifty digits, inside and beyond what yields."""
    flow, make = FLOWS[name]
    law, F = make(scale), nearly_equal(12, 2 * scale, 0.5)
    internal = law.rest_internal(len(F), F)
    tau_bar, F_bar = torch.randn_like(F) / MU, torch.randn_like(F)
    kind = torch.float32 if dtype == "f32" else torch.float64
    bars = [a.to(kind) for a in (tau_bar, F_bar, torch.zeros_like(internal))]
    found = law.pullback(F.to(kind), internal.to(kind), DT, *bars).F_trial
    expected = torch.stack(
        [slopes(*each, flow, scale) for each in zip(F, tau_bar, F_bar, strict=True)]
    )
    rounded = torch.finfo(kind).eps / scale
    assert relative(found.double(), expected) < 3 * rounded
    left = law.update(F, internal, DT).F_elastic
    flowed = int(((left - F).abs().amax((1, 2)) > 0.1 * scale).sum())
    assert flowed >= 4 or name == "elastic"


@pytest.mark.parametrize(
    "law",
    [
        ElastoPlastic(STIFF, VolumeCorrecting(35.0, 1e-3)),
        ElastoPlastic(STIFF, HerschelBulkley(200.0, 20.0, 0.6)),
        Ogden([1e5, -2e4], [3.0, -2.0], 1e6),
        Viscoelastic(STIFF, [5e4], [2 * DT]),
    ],
    ids=lambda law: type(law).__name__ + type(getattr(law, "plasticity", None)).__name__,
)
@pytest.mark.parametrize("size", [1e-3, 1e-2, 0.1])
def test_float32_gradients_among_small_strains_are_those_of_float64(
    law: ConstitutiveLaw, size: float
) -> None:
    """With the gradient that comes back through the history."""
    F = nearly_equal(200, size, -0.5)
    internal = law.rest_internal(len(F), F)
    bars = torch.randn_like(F) / law.wave_modulus(), torch.randn_like(F), torch.randn_like(internal)
    found, expected = (
        law.pullback(F.to(kind), internal.to(kind), DT, *(bar.to(kind) for bar in bars))
        for kind in (torch.float32, torch.float64)
    )
    assert relative(found.F_trial.double(), expected.F_trial) < 1e-4
