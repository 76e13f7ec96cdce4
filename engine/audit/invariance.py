# SPDX-License-Identifier: Apache-2.0
"""Frame indifference, rest, angular momentum, and which way the material looks.

Truesdell and Noll 1965, "The Non-Linear Field Theories of Mechanics", sections 19, 31 and 85. A law
with a history is led through two deformations in a row, the second law of it through the same ones
turned, with a step of pure rotation before, so that its history turns along.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .finding import Finding
from .probe import Probe, size

EXACT = 1e-6
"""What rounding may leave of an identity, in weights too, by the stress."""
TURNED = "τ(QF) = Q τ(F) Qᵀ"
TURNED_SMALL = "τ(F + W) = τ(F), W skew"
ALIKE = "τ(FQ) = τ(F)"
RESTS = "τ(I) = 0"
MOMENTUM = "τ = τᵀ"


def finite_answers(probe: Probe, F: Tensor) -> Finding:
    """Whether the stress is a finite number at all states F, shape (q, 3, 3)."""
    tau = probe.path(F[None]).tau[0]
    lost = ~tau.isfinite().flatten(1).all(1)
    share = float(lost.double().mean())
    if not bool(lost.any()):
        return Finding("finite stress", "pass", "The stress is a number everywhere in the box.",
                       "|τ(F)| < ∞", 0.0, 0.0, "≤", "share of states")  # fmt: skip
    return Finding(
        "finite stress", "fail",
        f"The stress is not a number at {100 * share:.3g} % of the states in the box: what follows"
        " leaves these out; audit a smaller box.",
        "|τ(F)| < ∞", share, 0.0, "≤", "share of states", F[lost][0],
    )  # fmt: skip


def rest_stress(probe: Probe, stiffness: float) -> Finding:
    """Stress of the undeformed material, by its stiffness [Pa]."""
    tau = probe.path(probe.identity.expand(1, 1, 3, 3)).tau[0, 0]
    value = float(size(tau)) / stiffness
    good = value <= EXACT
    sentence = (
        "The undeformed material bears no stress."
        if good
        else f"The undeformed material bears a stress of {float(size(tau)):.3g} Pa: a body of it"
        " moves by itself."
    )
    return Finding("rest without stress", "pass" if good else "fail", sentence, RESTS, value, EXACT,
                   "≤", "by the stiffness", probe.identity)  # fmt: skip


def objectivity(probe: Probe, F: Tensor, seed: int) -> Finding:
    """Whether the stress turns with the material.

    Args:
        probe: The law.
        F: States, shape (2, q, 3, 3): two in a row for each point.
        seed: Of the rotations.
    """
    Q = probe.rotations(F.shape[1], seed)
    plain, turned, formula = _steps(probe, F), _steps(probe, Q @ F, Q), TURNED
    expected = Q @ plain @ Q.mT
    if probe.small:
        W = 0.5 * (Q - Q.mT)
        turned, formula = _steps(probe, F + W, probe.identity + W), TURNED_SMALL
        expected = plain
    value, worst = _largest(turned - expected, plain, F)
    good = value <= EXACT
    sentence = (
        "The stress turns with the material."
        if good
        else f"A rotation changes the stress by up to {_share(value)} of it, beyond turning it: a"
        " body that spins answers as if it were deformed."
    )
    return Finding("objectivity", "pass" if good else "fail", sentence, formula, value, EXACT, "≤",
                   "by the stress", worst)  # fmt: skip


def stress_symmetry(probe: Probe, F: Tensor) -> Finding:
    """Whether the stress exerts no torque; arguments as in `objectivity`."""
    tau = _steps(probe, F)
    value, worst = _largest(tau - tau.mT, tau, F)
    good = value <= EXACT
    sentence = (
        "The Kirchhoff stress is symmetric."
        if good
        else f"The Kirchhoff stress is up to {_share(value)} off symmetry: angular momentum is not"
        " conserved."
    )
    return Finding("angular momentum", "pass" if good else "fail", sentence, MOMENTUM, value, EXACT,
                   "≤", "by the stress", worst)  # fmt: skip


def isotropy(probe: Probe, F: Tensor, seed: int) -> Finding:
    """How far the answer depends on the direction of loading; arguments as in `objectivity`."""
    Q = probe.rotations(F.shape[1], seed)
    plain = _steps(probe, F)
    if probe.small:
        turned = Q @ _steps(probe, Q.mT @ F @ Q) @ Q.mT
    else:
        turned = _steps(probe, F @ Q, Q)
    value, worst = _largest(turned - plain, plain, F)
    alike = value <= EXACT
    sentence = (
        "The material is alike in all directions."
        if alike
        else f"The answer depends on the direction of loading, by up to {_share(value)} of the"
        " stress: right for fibres, and a flaw of what was to be isotropic."
    )
    return Finding("isotropy", "information", sentence, ALIKE, value, EXACT, "≤",
                   "by the stress", None if alike else worst)  # fmt: skip


def is_isotropic(finding: Finding) -> bool:
    """Whether `isotropy` found a law alike in all directions."""
    assert finding.value is not None
    return finding.value <= EXACT


def _steps(probe: Probe, F: Tensor, first: Tensor | None = None) -> Tensor:
    """Stresses [Pa] at states in a row, shape (k, q, 3, 3), after a first step to `first`."""
    start = probe.identity.expand(F.shape[1:]) if first is None else first.expand(F.shape[1:])
    return probe.path(torch.cat([start[None], F])).tau[1:]


def _largest(gap: Tensor, tau: Tensor, F: Tensor) -> tuple[float, Tensor | None]:
    """The largest gap by the stress, and the state there; what is not finite is left out.

    A stress far below the others counts as a hundredth of the largest.
    """
    known = (gap.isfinite() & tau.isfinite()).flatten(2).all(2)
    if not bool(known.any()):
        return float("nan"), None
    sizes = size(tau)[known]
    shares = size(gap)[known] / sizes.clamp_min(max(0.01 * float(sizes.max()), 1e-300))
    k = int(shares.argmax())
    return float(shares[k]), F[known][k]


def _share(value: float) -> str:
    return f"{100 * value:.0f} %" if value >= 1.0 else f"{100 * value:.2g} %"
