# SPDX-License-Identifier: Apache-2.0
"""Over what strains a law was fitted: those of a motion that it moves through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rheograd.materials.elastic import det3
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.provenance import Provenance, now

from ..errors import SimulationError
from ..restarts import recorded

FRAMES = 20
"""States of a motion that are looked at, at most."""
LEFT_OUT = 0.005
"""Share of the points and states beyond either end of a range: a few strayed ones do not count."""


class Strains(NamedTuple):
    """Ranges of the elastic deformation, each without `LEFT_OUT` of its values at either end."""

    stretch: tuple[float, float]
    """Principal stretches [-]."""
    volume: tuple[float, float]
    """Volume ratios J [-]."""


def strains_of(F: Tensor) -> Strains:
    """Ranges over points whose elastic deformation gradients are F, shape (q, 3, 3)."""
    F = F.detach().double().cpu()
    stretches = torch.linalg.svdvals(F)
    low, high = _inner(stretches[:, -1])[0], _inner(stretches[:, 0])[1]
    return Strains((low, high), _inner(det3(F)))


class Run(NamedTuple):
    """A motion that a law was fitted to, and how it is simulated."""

    solver: Any
    model: Any
    """Of one world, with the law."""
    time: Tensor
    """Of the observed frames [s], shape (f,)."""
    law: ConstitutiveLaw


def seen_strains(runs: Sequence[Run]) -> Strains | None:
    """What a law goes through in some motions, as simulated with it.

    Returns:
        None if a simulation fails, or the law is one of small strains.
    """
    found = [torch.zeros(0, 3, 3, dtype=torch.float64)]
    for run in runs:
        if run.law.kinematics != "finite":
            return None
        steps = (run.time / run.model.dt).round().long().cpu()
        shares = torch.linspace(0, len(steps) - 1, min(len(steps), FRAMES))
        taken = torch.cat([steps.new_zeros(1), steps[shares.round().long()]]).unique()
        try:
            states = recorded(run.solver, run.model, taken)
        except SimulationError:
            return None
        for group in run.model.groups:
            for law, points in group.points():
                if law is run.law:
                    seen = states.F[:, points.to(states.F.device)]
                    found.append(seen.flatten(0, 1).double().cpu())
    F = torch.cat(found)
    if not len(F) or not bool((det3(F) > 0).all()):
        return None
    return strains_of(F)


def fitted_to(
    data: str, loading: str, command: str, step: float, strains: Strains | None
) -> Provenance:
    """What is kept with a law that was fitted to motions just now.

    Args:
        data: What was seen.
        loading: The scenes.
        command: Command line.
        step: Time step [s].
        strains: What `seen_strains` found.
    """
    stretch, volume = strains or (None, None)
    return Provenance(data, loading, command, now(), stretch, volume, step)


def _inner(values: Tensor) -> tuple[float, float]:
    ordered = values.sort().values
    skipped = int(LEFT_OUT * len(ordered))
    return float(ordered[skipped]), float(ordered[-1 - skipped])
