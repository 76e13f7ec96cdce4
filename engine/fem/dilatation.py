# SPDX-License-Identifier: Apache-2.0
"""Mean dilatation: deformation gradients whose volume part is the element's average.

With J_q = det F_q, and J the volume of the deformed element by that at rest,

    F^_q = (J / J_q)^(1/3) F_q,    J = sum_q w_q J_q / sum_q w_q

The energy of F^ is that of the three-field method with constant pressure and dilatation (Q1P0;
Simo, Taylor and Pister 1985, "Variational and projection methods for the volume constraint"). Its
derivatives are taken exactly, so a hyperelastic law keeps a symmetric stiffness. A perturbation du
of the nodes changes F^ by s (dF + F (e . du)), s^3 = J / J_q, e_b = (g^_b - g_b) / 3, where g_b =
F^-T grad N_b and g^_b is its mean over the deformed element.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .geometry import determinant, invert


def mean_dilatation(F: Tensor, weight: Tensor) -> Tensor:
    """F^, shape (e, q, 3, 3), of F of that shape and weights (e, q)."""
    J = determinant(F)
    mean = (weight * J).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
    return (mean / J)[..., None, None] ** (1.0 / 3.0) * F


def pulled_back(F: Tensor, weight: Tensor, P: Tensor) -> Tensor:
    """What weighted stresses P, conjugate to F^, are conjugate to F; shape (e, q, 3, 3)."""
    J, inverse = invert(F)
    whole = weight.sum(1, keepdim=True)
    mean = (weight * J).sum(1, keepdim=True) / whole
    s = (mean / J) ** (1.0 / 3.0)
    along = s * (P * F).sum((2, 3)) / 3.0
    share = along.sum(1, keepdim=True) * weight * J / (whole * mean)
    return s[..., None, None] * P + (share - along)[..., None, None] * inverse.mT


def stiffness(F: Tensor, weight: Tensor, gradient: Tensor, P: Tensor, A: Tensor) -> Tensor:
    """Derivative of the forces on each element's nodes, shape (e, a, 3, a, 3) [N/m].

    Args:
        F: Deformation gradients without the mean, shape (e, q, 3, 3).
        weight: Of the points, shape (e, q).
        gradient: Of shape functions at rest, shape (e, q, a, 3).
        P: Weighted stresses conjugate to F^, shape (e, q, 3, 3).
        A: Weighted dP/dF^, shape (e, q, 3, 3, 3, 3).
    """
    J, inverse = invert(F)
    g = torch.einsum("eqaj,eqji->eqai", gradient, inverse)
    share = weight * J
    total = share.sum(1, keepdim=True)
    part = share / total
    mean = torch.einsum("eq,eqai->eai", part, g)
    e = (mean[:, None] - g) / 3.0
    s = (total / weight.sum(1, keepdim=True) / J) ** (1.0 / 3.0)
    # dF^_ij / du_ck = s (delta_ik N_c,j + F_ij e_ck)
    eye = torch.eye(3, dtype=F.dtype, device=F.device)
    B = torch.einsum("ik,eqcj->eqijck", eye, gradient) + torch.einsum("eqij,eqck->eqijck", F, e)
    B = (s[..., None, None, None, None] * B).flatten(4).flatten(2, 3)
    K = (B.mT @ A.flatten(4).flatten(2, 3) @ B).sum(1)
    K = K.unflatten(1, (-1, 3)).unflatten(3, (-1, 3))
    along = s * (P * F).sum((2, 3))
    pushed = s[..., None, None] * torch.einsum("eqij,eqaj->eqai", P, gradient)
    K = K + torch.einsum("eq,eqbi,eqck->ebick", along, e, e)
    K = (
        K
        + torch.einsum("eqbi,eqck->ebick", pushed, e)
        + torch.einsum("eqbi,eqck->ebick", e, pushed)
    )
    pair = torch.einsum("eq,eqbi,eqck->ebick", part, g, g)
    swapped = torch.einsum("eq,eqci,eqbk->ebick", part, g, g)
    change = pair - swapped - torch.einsum("ebi,eck->ebick", mean, mean)
    summed = along.sum(1)[:, None, None, None, None]
    local = torch.einsum("eq,eqci,eqbk->ebick", along, g, g)
    return K + (summed * change + local) / 3.0
