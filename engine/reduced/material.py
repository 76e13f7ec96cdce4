# SPDX-License-Identifier: Apache-2.0
"""The numbers by which materials of one law differ."""

from __future__ import annotations

from itertools import chain

from torch import Tensor

from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.law import ConstitutiveLaw


def parameters(law: ConstitutiveLaw) -> dict[str, Tensor]:
    """All numbers of a law by name, such as young, or elasticity.young of one in parts.

    They are its own parameters and buffers, scalars in SI units: differentiable.
    """
    named = chain(law.named_parameters(), law.named_buffers())
    return {name: t for name, t in named if t.ndim == 0 and t.is_floating_point()}


def structure(law: ConstitutiveLaw) -> str:
    """Names of the classes of a law, such as ElastoPlastic(Hencky, VonMises)."""
    own = type(law).__name__
    if isinstance(law, ElastoPlastic):
        return f"{own}({structure(law.elasticity)}, {type(law.plasticity).__name__})"
    return f"{own}({structure(law.law)})" if isinstance(law, Damped) else own
