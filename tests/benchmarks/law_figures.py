# SPDX-License-Identifier: Apache-2.0
"""What a learned law is like as a law: figures that no motion tells."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rheograd.engine.audit.probe import Probe, size
from rheograd.engine.audit.strain_box import StrainBox
from rheograd.engine.audit.work import cycles
from rheograd.materials.law import ConstitutiveLaw

AMPLITUDE = 0.1
"""Of closed loops and of states, as principal strain [-]."""
STATES = 512
LOOPS = 64


class Figures(NamedTuple):
    """Of the stress of elastic deformations; what flows is left out."""

    work_median: float
    """|∮ P : dF| of closed loops of strain by the largest work stored along each, median [-]."""
    work_worst: float
    """The same of the worst loop [-]."""
    skew: float
    """Skew part of τ by τ, root mean square over states of strain [-]."""
    anisotropy: float
    """Change of τ(F Q) with rotations Q by τ, likewise [-]."""

    @property
    def row(self) -> str:
        """Cells of a table."""
        shares = (float(f"{100 * value:.2g}") for value in self)  # two digits, without a power
        return " | ".join(f"{share:g} %" if share > 1e-4 else "0" for share in shares)


HEADS = "work of loops, median | worst | skew | anisotropy"


def figures(law: ConstitutiveLaw) -> Figures:
    """Of the elasticity of a law, in float64."""
    elastic = getattr(law, "elasticity", law)
    probe = Probe(elastic if isinstance(elastic, ConstitutiveLaw) else law, 1e-3)
    low, high = 1 - AMPLITUDE, 1 + AMPLITUDE
    found = cycles(probe, StrainBox((low, high), (low**3, high**3)), 0, LOOPS)
    shares = found.net.abs() / found.stored
    F = strained(AMPLITUDE, STATES)
    tau = probe.elastic_stress(F)
    turned = probe.elastic_stress(F @ probe.rotations(STATES, 0))
    return Figures(
        float(shares.median()), float(shares.max()),
        share(0.5 * (tau - tau.mT), tau), share(turned - tau, tau),
    )  # fmt: skip


def share(gap: Tensor, whole: Tensor) -> float:
    """Root mean square of matrices by that of others [-]."""
    return float((size(gap).square().sum() / size(whole).square().sum()).sqrt())


def strained(amplitude: float, count: int, seed: int = 0) -> Tensor:
    """Symmetric stretches whose strains are up to an amplitude, in any directions, (q, 3, 3)."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(count, 3, generator=generator, dtype=torch.float64) * 2 - 1
    axes = torch.linalg.qr(
        torch.randn(count, 3, 3, generator=generator, dtype=torch.float64)
    ).Q  # fmt: skip
    return axes @ torch.diag_embed((amplitude * drawn).exp()) @ axes.mT


def stress_error(law: ConstitutiveLaw, true: ConstitutiveLaw, F: Tensor) -> float:
    """Of τ at elastic deformations F, shape (q, 3, 3), by that of the true law [-]."""
    own, there = (Probe(one, 1e-3).elastic_stress(F.double()) for one in (law, true))
    return share(own - there, there)
