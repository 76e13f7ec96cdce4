# SPDX-License-Identifier: Apache-2.0
"""Energy: stress against its energy, and the work of closed cycles of strain.

A stress that is no derivative of an energy gives work away on some closed path, every time it is
gone through: such a body swings up by itself. Where something flows, a cycle from rest may only
cost work, as ψ is least at rest: W = ∮ P : dF ≥ 0, and at any time the work less the stored energy
does not fall (Clausius-Duhem; Truesdell and Noll 1965, section 79).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .finding import Finding, not_applicable
from .probe import Path, Probe, size
from .strain_box import StrainBox

CYCLES = 32
STEPS = 256
"""Of a cycle; even."""
WAVES = 3
"""Harmonics of a cycle."""
LOST = 1e-3
"""Net work of a cycle that is let pass, by the largest work stored along it [-]."""
DERIVED = 1e-6
"""Difference of the stress to that of the energy, by the stress."""
MATCHES = "τ = ∂ψ/∂F Fᵀ"
CONSERVED = "|∮ P : dF| = 0"
DISSIPATES = "∮ P : dF ≥ 0 from rest"


class Cycles(NamedTuple):
    """Closed paths of strain from rest, and what the law answered."""

    F: Tensor
    """Shape (STEPS, q, 3, 3); the last is the identity."""
    path: Path
    work: Tensor
    """Up to each step [J/m³], shape (STEPS, q)."""
    net: Tensor
    """Of the whole cycle [J/m³], shape (q,)."""
    unsure: Tensor
    """Error of the net work by the steps [J/m³], shape (q,), from half as many."""

    @property
    def stored(self) -> Tensor:
        """Largest work along each cycle [J/m³], shape (q,)."""
        return self.work.abs().amax(0).clamp_min(1e-300)


def stress_and_energy(probe: Probe, F: Tensor) -> Finding:
    """Whether the stress is the derivative of the energy that the law gives.

    Args:
        probe: The law.
        F: Elastic deformations, shape (q, 3, 3).
    """
    name = "stress of the energy"
    F = F.detach().requires_grad_()
    with torch.enable_grad():
        energy = probe.law.energy(F, probe.rest(len(F)))
        if energy is None:
            return not_applicable(name, MATCHES, "The law gives no energy: see the cycles.")
        (slope,) = torch.autograd.grad(energy.sum(), F)
    with torch.no_grad():
        tau = probe.elastic_stress(F)
        expected = slope if probe.small else slope @ F.mT
        gap, scale = size(expected - tau), size(tau)
        known = gap.isfinite() & scale.isfinite()
        if not bool(known.any()):
            return not_applicable(name, MATCHES, "No state has a finite energy.")
        shares = gap[known] / scale[known].clamp_min(0.01 * float(scale[known].max()))
    k = int(shares.argmax())
    value = float(shares[k])
    good = value <= DERIVED
    sentence = (
        "The stress is the derivative of the energy."
        if good
        else f"The stress is up to {100 * value:.2g} % off the derivative of the energy that the"
        " law gives: energies that are told of a run are wrong."
    )
    return Finding(name, "pass" if good else "fail", sentence, MATCHES, value, DERIVED, "≤",
                   "by the stress", F.detach()[known][k])  # fmt: skip


def cycles(probe: Probe, box: StrainBox, seed: int, count: int = CYCLES) -> Cycles:
    """Lead a law through random closed paths of pure stretch that fill a box.

    ε(s) = Σ_k B_k sin 2πks + C_k (1 − cos 2πks)/2 with symmetric matrices of normal numbers that
    fall with k, scaled until the path touches the box; every second one goes half as far. As a
    law does not see rotations, stretch is all it takes.
    """
    s = torch.arange(1, STEPS + 1, dtype=torch.float64) / STEPS
    generator = torch.Generator().manual_seed(seed)
    strain = torch.zeros(STEPS, count, 3, 3, dtype=torch.float64)
    for k in range(1, WAVES + 1):
        drawn = torch.randn(2, count, 3, 3, generator=generator, dtype=torch.float64) / k
        B, C = 0.5 * (drawn + drawn.mT)
        angle = 2 * torch.pi * k * s[:, None, None, None]
        strain += angle.sin() * B + 0.5 * (1 - angle.cos()) * C
    if probe.dim == 2:
        strain[..., 2, :] = strain[..., :, 2] = 0.0
    strain = _scaled(strain, probe, box)
    strain[:, 1::2] *= 0.5
    F = probe.deformation(strain)
    F[-1] = probe.identity
    return worked(probe, F, probe.path(F))


def _scaled(strain: Tensor, probe: Probe, box: StrainBox) -> Tensor:
    """Paths (k, q, 3, 3) with the largest volume, then the largest deviator, that the box has.

    The volume takes half of the stretches at most.
    """
    (low, high), (least, most) = box.strains(probe.small)
    d = probe.dim
    least, most = torch.maximum(least, 0.5 * d * low), torch.minimum(most, 0.5 * d * high)
    axes = torch.diag(torch.tensor([1.0] * d + [0.0] * (3 - d), dtype=torch.float64))
    trace = strain.diagonal(dim1=2, dim2=3).sum(2)
    deviator = strain - trace[..., None, None] / d * axes
    fit = torch.minimum(
        most / trace.amax(0).clamp_min(1e-12), least / trace.amin(0).clamp_max(-1e-12)
    )
    mean = trace * fit.clamp_max(1.0) / d
    values = torch.linalg.eigvalsh(deviator[..., :d, :d])
    room = torch.where(values > 0, high - mean[..., None], low - mean[..., None]) / values
    scale = torch.where(values.abs() > 1e-9, room, torch.inf).amin((0, 2)).clamp_min(0.0)
    return scale[None, :, None, None] * deviator + mean[..., None, None] * axes


def worked(probe: Probe, F: Tensor, path: Path) -> Cycles:
    """The work of closed paths.

    Where nothing flows the answer is a smooth periodic function of the path, and the sum over its
    steps, with dF/ds by Fourier's series, is exact to rounding. Else it is that of trapezia.
    """
    P = probe.piola(F, path.tau)
    start = torch.cat([P[-1:], P[:-1]])
    if path.flows:
        rest = probe.path(probe.identity.expand(1, *F.shape[1:])).tau
        start = torch.cat([probe.piola(probe.identity.expand(rest.shape), rest), P[:-1]])
    before = torch.cat([probe.identity.expand(1, *F.shape[1:]), F[:-1]])
    power = (0.5 * (start + P) * (F - before)).sum((2, 3))
    work = power.cumsum(0)
    if path.flows:
        every = torch.cat([start[:1], P[1::2]])
        places = torch.cat([before[:1], F[1::2]])
        coarse = (0.5 * (every[1:] + every[:-1]) * places.diff(dim=0)).sum((0, 2, 3))
        return Cycles(F, path, work, work[-1], (work[-1] - coarse).abs() / 3)
    rate = (P * _slope(F)).sum((2, 3))
    net, coarse = rate.mean(0), (P[1::2] * _slope(F[1::2])).sum((2, 3)).mean(0)
    return Cycles(F, path, work, net, (net - coarse).abs())


def _slope(F: Tensor) -> Tensor:
    """dF/ds of periodic paths, shape (k, q, 3, 3), s from 0 to 1."""
    k = len(F)
    order = torch.fft.fftfreq(k, 1 / k, dtype=torch.float64)
    order[k // 2] = 0.0
    turned = 2j * torch.pi * order[:, None, None, None]
    return torch.fft.ifft(turned * torch.fft.fft(F, dim=0), dim=0).real


def closed_cycles(probe: Probe, found: Cycles) -> Finding:
    """Whether cycles of strain make work: where nothing flows, any; else less than none."""
    if found.path.flows:
        return _dissipation(probe, found)
    name = "no work from cycles"
    known = found.work.isfinite().all(0)
    if not bool(known.any()):
        return not_applicable(name, CONSERVED, "No cycle has finite stresses throughout.")
    shares = ((found.net.abs() - found.unsure).clamp_min(0) / found.stored)[known]
    value, median = float(shares.max()), float(shares.median())
    good = value <= LOST
    sentence = (
        f"Cycles give back what they take (median {median:.1g})."
        if good
        else f"A closed cycle of strain makes or loses up to {100 * value:.2g} % of the work stored"
        f" along it, the median of {len(shares)} cycles {100 * median:.2g} %: the stress is the"
        " derivative of no energy, and a body can swing up by itself."
    )
    k = int(shares.argmax())
    worst = _farthest(found, int(known.nonzero()[k])) if not good else None
    return Finding(name, "pass" if good else "fail", sentence, CONSERVED, value, LOST, "≤",
                   "by the work stored", worst)  # fmt: skip


def _dissipation(probe: Probe, found: Cycles) -> Finding:
    name = "no work from cycles"
    known = found.work.isfinite().all(0)
    if not bool(known.any()):
        return not_applicable(name, DISSIPATES, "No cycle has finite stresses throughout.")
    gained = ((found.net + found.unsure).clamp_max(0) / found.stored)[known]
    energy = _energy(probe, found.path)
    lost = None
    if energy is not None:
        heat = found.work - energy
        fall = (heat.cummax(0).values.clamp_min(0.0) - heat).amax(0)  # it is 0 at rest
        lost = ((found.unsure - fall).clamp_max(0) / found.stored)[known]
        gained = torch.minimum(gained, lost)
    k = int(gained.argmin())
    value = float(gained[k])
    good = value >= -LOST
    costs = float((found.net / found.stored)[known].median())
    told = "" if lost is None else ", and the work less the energy stored never falls"
    sentence = (
        f"It flows: cycles from rest cost work (median {costs:.2g} of that stored){told}."
        if good
        else f"It flows, and a cycle from rest makes up to {-100 * value:.2g} % of the work stored"
        " along it out of nothing: the second law is broken."
    )
    worst = _farthest(found, int(known.nonzero()[k])) if not good else None
    return Finding(name, "pass" if good else "fail", sentence, DISSIPATES, value, -LOST, "≥",
                   "by the work stored", worst)  # fmt: skip


@torch.no_grad()
def _energy(probe: Probe, path: Path) -> Tensor | None:
    """ψ above that at rest along paths [J/m³], shape (k, q); None if the law has none."""
    k, q = path.F_elastic.shape[:2]
    found = probe.law.energy(path.F_elastic.flatten(0, 1), path.internal.flatten(0, 1))
    start = probe.law.energy(probe.identity[None], probe.rest(1))
    if found is None or start is None:
        return None
    return found.reshape(k, q) - start


def _farthest(found: Cycles, cycle: int) -> Tensor:
    """The largest deformation of a cycle, shape (3, 3)."""
    F = found.F[:, cycle]
    away = size(F - torch.eye(3, dtype=F.dtype))
    return F[int(away.argmax())]
