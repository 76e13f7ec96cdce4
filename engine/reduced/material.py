# SPDX-License-Identifier: Apache-2.0
"""The numbers by which materials of one law differ."""

from __future__ import annotations

from itertools import chain

from torch import Tensor

from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import DruckerPrager, FluidReset


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


def keeps_form(law: ConstitutiveLaw) -> bool:
    """Whether a body of it is known by its shape at rest, and not a liquid or a heap of grains."""
    inner = law.law if isinstance(law, Damped) else law
    flows = isinstance(inner, ElastoPlastic) and isinstance(
        inner.plasticity, FluidReset | DruckerPrager
    )
    return not flows
