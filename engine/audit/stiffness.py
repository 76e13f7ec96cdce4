# SPDX-License-Identifier: Apache-2.0
"""Moduli at rest, strong ellipticity, and the Baker-Ericksen inequalities.

With A_iJkL = dP_iJ/dF_kL the acoustic tensor of a direction N is Q_ik = A_iJkL N_J N_L. Where a·Q a
is positive for all a and N, waves have real speeds and a body finds one way to deform; where it is
not, deformation gathers in bands as thin as a cell (Marsden and Hughes 1983, "Mathematical
Foundations of Elasticity", section 4.3; Baker and Ericksen 1954). At rest and for an isotropic law
its eigenvalues are μ, μ and λ + 2μ.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .finding import Finding, not_applicable
from .probe import Probe
from .strain_box import StrainBox

DIRECTIONS = 48
"""Normals that each state is tried with, before the best are improved."""
KEPT = 3
"""Of them."""
TURNS = 6
"""In which these are improved while states are compared; LAST of the one that is left."""
LAST = 100
STATES = 128
"""States of the box that are tried, before the worst are followed."""
FOLLOWED = 6
TRIES = 24
"""Steps about each of them in a round."""
ROUNDS = 14
LEAST = 1e-9
"""What counts as nothing, by the largest stiffness."""
NEAR = 1e-3
"""Difference of two principal strains, below which they are one [-]."""
NEARLY = 1e-3
"""Strain at which the moduli are taken of a law that has no derivative at rest [-]."""
RISE = "(τᵢ − τⱼ)(λᵢ − λⱼ) > 0"
ELLIPTIC = "min a·Q(N)a > 0, Q_ik = A_iJkL N_J N_L"
POSITIVE = "ε:C ε > 0 at F = I"


class Moduli(NamedTuple):
    """Elastic constants at rest, of the isotropic part of the tangent."""

    young: float
    """E [Pa]."""
    poisson: float
    """ν [-]."""
    bulk: float
    """K [Pa]."""
    shear: float
    """μ [Pa]."""
    least: float
    """Least eigenvalue of the tangent as a form of strain [Pa]; isotropic: 2μ or 3K."""
    largest: float
    """Largest one [Pa]."""

    @property
    def fluid(self) -> bool:
        """Whether there is no stiffness of shape."""
        return abs(self.shear) <= LEAST * self.largest

    @property
    def bulk_by_shear(self) -> float:
        """K/μ [-]."""
        return float("inf") if self.fluid else self.bulk / self.shear


def moduli_at_rest(probe: Probe) -> Moduli:
    """Elastic constants of the law at F = I.

    Of a law that has no derivative there, the mean of those at some strains of `NEARLY`.
    """
    C = probe.elastic_tangent(probe.identity[None])[1].mean(0)
    if not probe.law.smooth_at_rest or not bool(C.isfinite().all()):
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randn(64, probe.dim, generator=generator, dtype=torch.float64)
        C = probe.elastic_tangent(probe.principal(NEARLY * drawn, probe.rotations(64, 1)))[1]
        C = C[C.isfinite().flatten(1).all(1)].sum(0) / 64
    d = probe.dim
    C = C[:d, :d, :d, :d]
    trace, pairs = torch.einsum("iijj", C), torch.einsum("ijij", C)
    # trace = d (d λ + 2μ), pairs = d λ + d (d + 1) μ
    mu = float((pairs - trace / d) / (d * (d + 1) - 2))
    lam = (float(trace) / d - 2 * mu) / d
    bulk = lam + 2 / 3 * mu
    whole = 3 * bulk + mu
    eigenvalues = torch.linalg.eigvalsh(_as_form(C))
    return Moduli(
        9 * bulk * mu / whole if whole else 0.0, (3 * bulk - 2 * mu) / (2 * whole or 1.0),
        bulk, mu, float(eigenvalues[0]), float(eigenvalues[-1]),
    )  # fmt: skip


def _as_form(C: Tensor) -> Tensor:
    """The symmetric form of symmetric strains, in an orthonormal basis of them."""
    d = C.shape[0]
    basis = []
    for i in range(d):
        for j in range(i, d):
            E = C.new_zeros(d, d)
            E[i, j] = E[j, i] = 1.0 if i == j else 0.5**0.5
            basis.append(E)
    B = torch.stack(basis)
    form = torch.einsum("aij,ijkl,bkl->ab", B, C, B)
    return 0.5 * (form + form.T)


def stiffness_at_rest(moduli: Moduli) -> Finding:
    """Whether small strains from rest take work."""
    value = moduli.least / moduli.largest if moduli.largest > 0 else float("-inf")
    if moduli.fluid and value >= -LEAST:
        verdict, sentence = "pass", "Only changes of volume are resisted, as by a fluid."
    elif value > LEAST:
        verdict, sentence = "pass", "Every small strain from rest is resisted."
    else:
        verdict = "fail"
        sentence = "A small strain from rest is helped instead of resisted: rest is not stable."
    return Finding("stiffness at rest", verdict, sentence, POSITIVE, value, -LEAST, "≥",
                   "by the largest")  # fmt: skip


def ellipticity(probe: Probe, box: StrainBox, moduli: Moduli, seed: int) -> Finding:
    """The least acoustic stiffness over states and directions, both improved from samples.

    Args:
        probe: The law; of one that flows the elastic part is looked at.
        box: Where.
        moduli: At rest; its shear modulus is the unit.
        seed: Of states and steps.
    """
    name = "strong ellipticity"
    if moduli.fluid or moduli.shear < 0:
        return not_applicable(name, ELLIPTIC, "Rest itself has no stiffness of shape.")
    value, F = least_acoustic(probe, box, seed)
    if F is None:
        return not_applicable(name, ELLIPTIC, "No state has a finite tangent.")
    value /= moduli.shear
    good = value > LEAST
    sentence = (
        "All waves have real speeds in the box."
        if good
        else f"Waves lose their speed at principal stretches {_stretches(F)}: there deformation"
        " gathers in bands as thin as a cell, and an implicit solver finds several answers."
    )
    return Finding(name, "pass" if good else "warning", sentence, ELLIPTIC, value, 0.0, ">", "μ", F)


def least_acoustic(probe: Probe, box: StrainBox, seed: int) -> tuple[float, Tensor | None]:
    """The minimum of a·Q(N)a [Pa] over states of a box, |a| = |N| = 1; and F there.

    `STATES` of the box are tried, and from the worst of them random steps are taken downhill that
    halve in the end; directions are improved by turns, see `acoustic`.
    """
    e = box.drawn(STATES, small=probe.small, dim=probe.dim, seed=seed)
    axes = probe.rotations(STATES, seed + 1)
    values = _at(probe, e, axes)
    generator = torch.Generator().manual_seed(seed + 2)
    order = values.argsort()[:FOLLOWED]
    e, axes, values = e[order], axes[order], values[order]
    (low, high), _ = box.strains(probe.small)
    step = 0.25 * float(high - low)
    for number in range(ROUNDS):
        drawn = torch.randn(TRIES, len(e), probe.dim, generator=generator, dtype=torch.float64)
        turned = probe.rotations(TRIES * len(e), seed + 3 + number).reshape(TRIES, -1, 3, 3)
        share = step / float(high - low)
        turned = torch.linalg.qr(probe.identity + share * (turned - probe.identity)).Q
        tried = box.inside((e + step * drawn).flatten(0, 1), small=probe.small)
        ways = (axes @ turned).flatten(0, 1)
        found = _at(probe, tried, ways).reshape(TRIES, -1)
        best = found.argmin(0)
        better = found.gather(0, best[None])[0] < values
        pick = best * len(e) + torch.arange(len(e))
        e = torch.where(better[:, None], tried[pick], e)
        axes = torch.where(better[:, None, None], ways[pick], axes)
        values = torch.minimum(values, found.gather(0, best[None])[0])
        step *= 0.75
    k = int(values.argmin())
    if not bool(values[k].isfinite()):
        return float("nan"), None
    F = probe.principal(e, axes)[k]
    return float(acoustic(probe.elastic_tangent(F[None])[1], probe.dim)), F


def _at(probe: Probe, strains: Tensor, axes: Tensor) -> Tensor:
    """Least acoustic stiffness [Pa] of states, shape (q,); infinite where it is not a number."""
    A = probe.elastic_tangent(probe.principal(strains, axes))[1]
    known = A.isfinite().flatten(1).all(1)
    out = A.new_full((len(A),), torch.inf)
    if bool(known.any()):
        out[known] = acoustic(A[known], probe.dim, TURNS)
    return out


def acoustic(A: Tensor, dim: int = 3, turns: int = LAST) -> Tensor:
    """The minimum of a·Q(N)a [Pa] over unit vectors, shape (q,), of tangents (q, 3, 3, 3, 3).

    With N given a is an eigenvector of Q(N), with a given N is one of the same form the other way
    round; taking turns only goes down. It starts from the best of `DIRECTIONS`.
    """
    A = A[:, :dim, :dim, :dim, :dim]
    A = 0.5 * (A + A.permute(0, 3, 4, 1, 2))
    N = _directions(dim)
    least = _lowest(torch.einsum("qiJkL,nJ,nL->qnik", A, N, N))[0]
    N = N[least.argsort(1)[:, :KEPT]]
    value = least
    for _ in range(turns):
        _, a = _lowest(torch.einsum("qiJkL,qnJ,qnL->qnik", A, N, N))
        value, N = _lowest(torch.einsum("qiJkL,qni,qnk->qnJL", A, a, a))
    return value.amin(1)


def _lowest(Q: Tensor) -> tuple[Tensor, Tensor]:
    """Least eigenvalue (q, n) and its unit vector (q, n, d)."""
    values, vectors = torch.linalg.eigh(0.5 * (Q + Q.mT))
    return values[..., 0], vectors[..., 0]


def _directions(dim: int) -> Tensor:
    """Unit vectors on half a circle or, by the golden angle, half a sphere; shape (n, dim)."""
    k = torch.arange(DIRECTIONS, dtype=torch.float64)
    if dim == 2:
        angle = torch.pi * k / DIRECTIONS
        return torch.stack([angle.cos(), angle.sin()], 1)
    z = (k + 0.5) / DIRECTIONS
    angle, r = torch.pi * (3 - 5**0.5) * k, (1 - z.square()).sqrt()
    return torch.stack([r * angle.cos(), r * angle.sin(), z], 1)


def baker_ericksen(
    probe: Probe, box: StrainBox, moduli: Moduli, *, isotropic: bool, seed: int
) -> Finding:
    """Whether the larger principal stress goes with the larger stretch; arguments as above."""
    name = "Baker-Ericksen"
    if not isotropic:
        return not_applicable(name, RISE, "The law is not isotropic: axes of stress and of stretch"
                              " differ.")  # fmt: skip
    if moduli.fluid or moduli.shear < 0:
        return not_applicable(name, RISE, "Rest itself has no stiffness of shape.")
    e = box.drawn(STATES, small=probe.small, dim=probe.dim, seed=seed)
    F = probe.principal(e, probe.identity.expand(len(e), 3, 3))
    with torch.no_grad():
        tau = probe.elastic_stress(F).diagonal(dim1=1, dim2=2)[:, : probe.dim]
    i, j = torch.combinations(torch.arange(probe.dim)).T
    apart, rise = e[:, i] - e[:, j], tau[:, i] - tau[:, j]
    ratio = torch.where(apart.abs() > NEAR, rise / apart, torch.inf)
    ratio = torch.where(ratio.isnan(), torch.inf, ratio) / (2 * moduli.shear)
    k = int(ratio.amin(1).argmin())
    value = float(ratio[k].min())
    good = value > LEAST
    sentence = (
        "The larger stress goes with the larger stretch."
        if good
        else f"At principal stretches {_stretches(F[k])} the larger stress goes with the smaller"
        " stretch."
    )
    return Finding(name, "pass" if good else "warning", sentence, RISE, value, 0.0, ">",
                   "by that at rest", None if good else F[k])  # fmt: skip


def _stretches(F: Tensor) -> str:
    return ", ".join(f"{s:.3g}" for s in torch.linalg.svdvals(F).tolist())
