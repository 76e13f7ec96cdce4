# SPDX-License-Identifier: Apache-2.0
"""The bulk modulus of a law that tests of an incompressible body do not tell.

A law may have it as a number of its own, as a logarithm, as Poisson's ratio, or in a part that it
is made of, as the elasticity of a viscoelastic law.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from rheograd.materials.composition import Damped
from rheograd.materials.elastic import YoungPoissonElasticity
from rheograd.materials.known import poisson_of
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.viscous import Viscous

OWN = ("bulk", "log_bulk")
"""Names of a bulk modulus [Pa], or of its logarithm over the attribute `bulk`; scalars."""
AT_ONCE = 1e-9
"""Step [s] in which no branch of a viscoelastic law relaxes."""


def parts(law: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Names of the numbers that set a bulk modulus, and the modules whose they are."""
    for prefix, part in law.named_modules():
        before = f"{prefix}." if prefix else ""
        own = dict(part.named_parameters(recurse=False))
        if isinstance(part, YoungPoissonElasticity):
            yield f"{before}poisson", part
        else:
            yield from ((before + name, part) for name in OWN if name in own)


@torch.no_grad()
def set_bulk(law: nn.Module, bulk: float) -> None:
    """Give every part of a law that has a bulk modulus this one; shear moduli stay.

    Args:
        law: Is changed.
        bulk: K [Pa].
    """
    for name, part in parts(law):
        own = dict(part.named_parameters(recurse=False))
        if isinstance(part, YoungPoissonElasticity):
            mu = float(part.coefficients()[0])
            nu = poisson_of(bulk / mu)
            part.young.fill_(2 * (1 + nu) * mu)
            part.poisson.fill_(nu)
        elif name.rpartition(".")[2] == "bulk":
            own["bulk"].fill_(bulk)
        else:
            own["log_bulk"].fill_(math.log(bulk / float(getattr(part, "bulk", 1.0))))


def _rest_tangent(law: ConstitutiveLaw) -> Tensor:
    """Of a deformation at once, which a viscosity beside the law would not let happen."""
    while isinstance(law, Damped | Viscous):
        law = law.law
    reference = next(law.parameters(), torch.zeros((), dtype=torch.float64))
    identity = torch.eye(3, dtype=reference.dtype, device=reference.device)[None]
    return law.tangent(identity, law.rest_internal(1, identity), AT_ONCE)[0].detach()


def rest_shear(law: ConstitutiveLaw) -> float:
    """μ [Pa] at rest, by the tangent dτ₁₂/dF₁₂ at F = I."""
    return float(_rest_tangent(law)[0, 1, 0, 1])


def rest_bulk(law: ConstitutiveLaw) -> float:
    """K [Pa] at rest, by the tangent dτ_ii/dF_jj / 9 at F = I."""
    return float(torch.einsum("iijj->", _rest_tangent(law))) / 9.0
