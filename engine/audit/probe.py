# SPDX-License-Identifier: Apache-2.0
"""A law as its audit sees it: a copy in float64, asked at states and led along paths."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from ..constant_fields import at_rest
from ..fem.piola import first_piola, piola_tangent

STILL = 1e-9
"""Change of F or of the history in a step, below which nothing flows [-]."""


class Path(NamedTuple):
    """What a law answered along some paths."""

    tau: Tensor
    """Kirchhoff stress [Pa], shape (k, q, 3, 3)."""
    F_elastic: Tensor
    """Shape (k, q, 3, 3)."""
    internal: Tensor
    """Shape (k, q, m)."""
    flows: bool
    """Whether the elastic deformation was not the whole one, or the history changed."""


class Probe:
    """One law with questions to it; everything is float64 and on the CPU.

    Args:
        law: The law; a copy is asked.
        dt: Length of a step [s].
        fields: Constant fields of the law at every point, shape (w,); None: zeros.
        drawn: Whether each point has constant fields of its own, normal random numbers.
    """

    def __init__(
        self,
        law: ConstitutiveLaw,
        dt: float,
        fields: Tensor | None = None,
        *,
        drawn: bool = False,
    ):
        self.fields = fields
        self.law = copy.deepcopy(law).to("cpu", torch.float64).requires_grad_(False)
        self.dt, self.drawn = dt, drawn
        self.small = law.kinematics == "small"
        self.dim = law.dim or 3
        self.identity = torch.eye(3, dtype=torch.float64)

    def deformation(self, strain: Tensor) -> Tensor:
        """Pure stretches F of symmetric strains, shape (..., 3, 3) both."""
        return self.identity + strain if self.small else torch.matrix_exp(strain)

    def principal(self, strains: Tensor, axes: Tensor) -> Tensor:
        """F, shape (q, 3, 3), of principal strains (q, dim) along the columns of axes (q, 3, 3)."""
        padded = torch.nn.functional.pad(strains, (0, 3 - self.dim))
        return self.deformation(axes @ torch.diag_embed(padded) @ axes.mT)

    def rotations(self, count: int, seed: int) -> Tensor:
        """Uniform rotations, shape (count, 3, 3); about z for a law of plane strain."""
        generator = torch.Generator().manual_seed(seed)
        if self.dim == 2:
            angle = 2 * torch.pi * torch.rand(count, generator=generator, dtype=torch.float64)
            spin = angle.new_zeros(count, 3, 3)
            spin[:, 1, 0], spin[:, 0, 1] = angle, -angle
            return torch.matrix_exp(spin)
        drawn = torch.randn(count, 3, 3, generator=generator, dtype=torch.float64)
        Q = torch.linalg.qr(drawn).Q
        handed = (Q[:, 0] * torch.linalg.cross(Q[:, 1], Q[:, 2])).sum(1)
        return Q * handed[:, None, None].sign()

    def rest(self, q: int) -> Tensor:
        """History at rest, shape (q, m); the same for the same q."""
        internal = at_rest(self.law, q, self.identity, self.fields)
        if not self.drawn:
            return internal
        width = sum(self.law.fields.values())
        generator = torch.Generator().manual_seed(0)
        fields = torch.randn(q, width, generator=generator, dtype=torch.float64)
        return torch.cat([fields, internal[:, width:]], 1)

    @torch.no_grad()
    def path(self, F: Tensor) -> Path:
        """Lead points from rest through the deformations F, shape (k, q, 3, 3), a step each."""
        q = F.shape[1]
        whole = elastic = self.identity.expand(q, 3, 3)
        internal, flows, answers = self.rest(q), False, []
        for new in F:
            if self.small:
                trial = elastic + new - whole
            else:
                trial = new @ torch.linalg.solve(whole, elastic)
            answer = self.law.update(trial, internal, self.dt)
            moved = bool(((answer.F_elastic - trial).abs() > STILL).any())
            flows = flows or moved or bool(((answer.internal - internal).abs() > STILL).any())
            whole, elastic, internal = new, answer.F_elastic, answer.internal
            answers.append(answer)
        return Path(
            torch.stack([a.tau for a in answers]), torch.stack([a.F_elastic for a in answers]),
            torch.stack([a.internal for a in answers]), flows,
        )  # fmt: skip

    def elastic_stress(self, F: Tensor) -> Tensor:
        """Kirchhoff stress [Pa] of elastic deformations F, shape (q, 3, 3), without flow."""
        return self.law.stress(F, self.rest(len(F)))

    def elastic_tangent(self, F: Tensor) -> tuple[Tensor, Tensor]:
        """P, (q, 3, 3), and A = dP/dF [Pa], (q, 3, 3, 3, 3), of elastic deformations F.

        By the law's own `linearize` where a step from rest to F is elastic, else by differentiation
        of `stress`.
        """
        found, D = self.law.linearize(F, self.rest(len(F)), self.dt)
        if self.path(F[None]).flows:
            tau, D = self._differentiated(F)
        else:
            tau = found.tau
        if self.small:
            return tau, D
        return first_piola(F, tau), piola_tangent(F, tau, D)

    def _differentiated(self, F: Tensor) -> tuple[Tensor, Tensor]:
        F = F.detach().requires_grad_()
        with torch.enable_grad():
            tau = self.elastic_stress(F)
            rows = [
                torch.autograd.grad(tau[:, i, j].sum(), F, retain_graph=True)[0]
                for i in range(3)
                for j in range(3)
            ]
        return tau.detach(), torch.stack(rows, 1).reshape(-1, 3, 3, 3, 3)

    def piola(self, F: Tensor, tau: Tensor) -> Tensor:
        """First Piola stress [Pa], shape (..., 3, 3), under whole deformations F."""
        if self.small:
            return tau
        flat = first_piola(F.reshape(-1, 3, 3), tau.reshape(-1, 3, 3))
        return flat.reshape(tau.shape)


def size(A: Tensor) -> Tensor:
    """Norm of each matrix, shape (...), of (..., 3, 3)."""
    return A.flatten(-2).norm(dim=-1)
