# SPDX-License-Identifier: Apache-2.0
"""From the Kirchhoff stress of a law to the first Piola stress, and its derivative; in torch."""

from __future__ import annotations

import torch
from torch import Tensor

from .geometry import invert


def first_piola(F: Tensor, tau: Tensor) -> Tensor:
    """P = τ F⁻ᵀ [Pa], shape (q, 3, 3)."""
    return tau @ invert(F)[1].mT


def piola_tangent(F: Tensor, tau: Tensor, D: Tensor) -> Tensor:
    """A_iJkL = dP_iJ/dF_kL = F⁻¹_Jj D_ijkL − F⁻¹_Jk P_iL [Pa], shape (q, 3, 3, 3, 3).

    Args:
        F: Deformation gradients, shape (q, 3, 3).
        tau: Kirchhoff stresses there [Pa], shape (q, 3, 3).
        D: dτ_ij/dF_kL [Pa], shape (q, 3, 3, 3, 3).
    """
    inverse = invert(F)[1]
    P = tau @ inverse.mT
    moved = torch.einsum("pjk,pil->pijkl", inverse, P)
    return torch.einsum("pijkl,pmj->pimkl", D, inverse) - moved


def kirchhoff_tangent(F: Tensor, P: Tensor, A: Tensor) -> Tensor:
    """D_ijkL = dτ_ij/dF_kL = A_iJkL F_jJ + P_iL δ_jk [Pa]; undoes `piola_tangent`."""
    eye = torch.eye(3, dtype=F.dtype, device=F.device)
    return torch.einsum("piJkl,pjJ->pijkl", A, F) + torch.einsum("pil,jk->pijkl", P, eye)
