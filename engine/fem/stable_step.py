# SPDX-License-Identifier: Apache-2.0
"""How long an explicit step may be."""

from __future__ import annotations

import torch
from torch import Tensor

from ..mesh.elements import Element
from .geometry import geometry, lumped_masses, mass_matrices


def stable_step(
    kind: Element,
    X: Tensor,
    density: Tensor,
    modulus: Tensor,
    viscosity: Tensor,
    contact: Tensor | None = None,
) -> float:
    """Longest stable step of central differences [s].

    The fastest oscillation of a mesh is no faster than that of its fastest element by itself (Irons
    and Treharne 1971, "A bound theorem in eigenvalues"). With modulus M = lambda + 2 mu the energy
    of an element is at most M/2 times the larger of the integrals of (tr grad u)^2 and |grad u|^2.
    Springs k at nodes of mass m add at most the largest k/m to the square of its frequency. With
    damping ratio z at that frequency w the limit is 2/w (sqrt(1 + z^2) - z).

    Args:
        kind: Of the elements.
        X: Rest positions of their nodes [m], shape (e, a, 3).
        density: [kg/m³], shape (e,).
        modulus: Of longitudinal waves at rest [Pa], shape (e,).
        viscosity: Longitudinal, at rest [Pa s], shape (e,).
        contact: Largest k/m of the nodes of each element [1/s²], shape (e,).
    """
    own = geometry(kind, X)
    mass = lumped_masses(mass_matrices(kind, X, density))
    scaled = own.gradient / mass.sqrt()[:, None, :, None]
    shape = torch.einsum("eq,eqai,eqbi->eab", own.weight, scaled, scaled)
    volume = torch.einsum(
        "eqk,eql->ekl", own.weight.sqrt()[..., None] * scaled.flatten(2),
        own.weight.sqrt()[..., None] * scaled.flatten(2),
    )  # fmt: skip
    largest = torch.maximum(
        torch.linalg.eigvalsh(shape)[:, -1], torch.linalg.eigvalsh(volume)[:, -1]
    )
    omega = (modulus * largest).sqrt()
    ratio = 0.5 * omega * viscosity / modulus
    if contact is not None:
        ratio, omega = (
            ratio * omega / (omega.square() + contact).sqrt(),
            (omega.square() + contact).sqrt(),
        )
    return float((2.0 / omega * ((1.0 + ratio * ratio).sqrt() - ratio)).min())
