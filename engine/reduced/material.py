# SPDX-License-Identifier: Apache-2.0
"""The numbers by which materials of one law differ."""

from __future__ import annotations

from itertools import chain

from torch import Tensor

from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Volumetric
from rheograd.materials.flows import HerschelBulkley, Snow
from rheograd.materials.law import ConstitutiveLaw, Plasticity
from rheograd.materials.plastic import DruckerPrager, FluidReset
from rheograd.materials.tait import Tait

FLOWING = (FluidReset, DruckerPrager, HerschelBulkley, Snow)
"""Plasticities of liquids, pastes, grains and snow, with those that derive from them."""
LIQUID = (Volumetric, Tait)
"""Elasticities that resist no shear."""


def parameters(law: ConstitutiveLaw) -> dict[str, Tensor]:
    """All numbers of a law by name, such as young, or elasticity.young of one in parts.

    They are its own parameters and buffers, scalars in SI units: differentiable. Of an analytic law
    those in a row are taken one by one, such as moduli[0] of its branches; of a network none.
    """
    found: dict[str, Tensor] = {}
    for name, t in chain(law.named_parameters(), law.named_buffers()):
        if t.ndim == 0 and t.is_floating_point():
            found[name] = t
        elif t.ndim == 1 and law.twin is not None:
            found |= {f"{name}[{k}]": one for k, one in enumerate(t)}
    return found


def structure(law: ConstitutiveLaw) -> str:
    """Names of the classes of a law, such as ElastoPlastic(Hencky, VonMises)."""
    own = type(law).__name__
    if law.twin is None and not isinstance(law, ElastoPlastic):
        return own
    parts = []
    for part in law.children():
        if isinstance(part, ConstitutiveLaw):
            parts.append(structure(part))
        elif isinstance(part, Plasticity):
            parts.append(type(part).__name__)
    return f"{own}({', '.join(parts)})" if parts else own


def keeps_form(law: ConstitutiveLaw) -> bool:
    """Whether a body is known by its shape at rest: no liquid, paste, snow or heap of grains."""
    inner = law.law if isinstance(law, Damped) else law
    if isinstance(inner, ElastoPlastic):
        return keeps_form(inner.elasticity) and not isinstance(inner.plasticity, FLOWING)
    return not isinstance(inner, LIQUID)
