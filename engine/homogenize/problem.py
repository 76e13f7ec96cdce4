# SPDX-License-Identifier: Apache-2.0
"""The cell problem: fluctuations in balance under given mean deformations, in a batch of worlds.

    f(w) = ∫ Bᵀ P(F̄ + ∇w) dV = 0,    S = (1/V) ∫ P dV

by Newton's method, each world as far as it needs. The mean tangent is condensed with the matrix at
the solution (Miehe and Koch 2002, "Computational micro-to-macro transitions of discretized
microstructures"),

    C = (1/V) (∫ A dV − Lᵀ K⁻¹ L),    L = ∫ Bᵀ A dV,    K = ∫ Bᵀ A B dV

P is the first Piola stress and A its derivative; for small strains the stress and its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..fem.linear import on_one_thread
from ..fem.newton import NewtonFailure
from .cell import Cell
from .layout import Layout, layout
from .points import Points

POINTS = 40_000
"""Quadrature points of cells that are solved together, which bounds the memory."""
HALVINGS = 8
"""Of a Newton step that makes the residual grow or turns an element inside out."""
GROWTH = 2.0
"""Of the residual in a step, above which it is shortened."""
NOISE = 1e-14
"""Forces of rounding, by those of the stiffest law."""


class Micro(NamedTuple):
    """Cells in balance."""

    stress: Tensor
    """Mean stress [Pa], shape (w, 3, 3)."""
    tangent: Tensor | None
    """Its derivative by the mean deformation gradient [Pa], shape (w, 3, 3, 3, 3)."""
    fluctuation: Tensor
    """Free unknowns [m], shape (w, size)."""
    internal: Tensor
    """History at the end, shape (w, p * memory)."""
    iterations: Tensor
    """Of Newton's method, shape (w,), int64."""
    residual: Tensor
    """Norm of the forces that are left, by that of the elements' forces; shape (w,)."""
    point_stress: Tensor
    """At the quadrature points [Pa], shape (w, p, 3, 3)."""
    point_F: Tensor
    """Deformation gradients there, 1 + strain for small strains; shape (w, p, 3, 3)."""

    def hill_mandel(self, F_bar: Tensor, points: Points) -> Tensor:
        """|⟨P:(F − 1)⟩ − S:(F̄ − 1)| / |S:(F̄ − 1)|, shape (w,): 0 where the cell is in balance."""
        eye = torch.eye(3).to(F_bar)
        local = points.mean((self.point_stress * (self.point_F - eye)).sum((2, 3)))
        whole = (self.stress * (F_bar - eye)).sum((1, 2))
        return (local - whole).abs() / whole.abs().clamp_min(torch.finfo(whole.dtype).tiny)


class Worlds(ABC):
    """Something that is solved for many mean deformations, several at once."""

    cell: Cell
    """What it is."""
    points: Points
    """Where its laws are asked."""
    size: int
    """Unknowns of a world."""

    @property
    def n_internal(self) -> int:
        """Numbers of history of a cell."""
        return self.points.n_internal

    def rest_internal(self, worlds: int, like: Tensor) -> Tensor:
        """History of cells at rest, shape (w, n_internal)."""
        return self.points.rest_internal(worlds, like)

    @torch.no_grad()
    def solve(
        self,
        F_bar: Tensor,
        internal: Tensor,
        dt: float,
        *,
        guess: Tensor | None = None,
        tangent: bool = True,
    ) -> Micro:
        """Put cells in balance.

        Args:
            F_bar: Mean deformation gradients, shape (w, 3, 3); 1 + mean strain for small strains.
            internal: History at the start, shape (w, n_internal).
            dt: Length of the step [s].
            guess: Fluctuations to start from, shape (w, size); None: zero.
            tangent: Whether the mean tangent is wanted.

        Raises:
            NewtonFailure: A cell finds no balance; says under which deformation.
        """
        worlds = len(F_bar)
        start = F_bar.new_zeros(worlds, self.size) if guess is None else guess
        several = max(1, POINTS // len(self.points))
        parts = [
            self._solve(F_bar[at], internal[at], dt, start[at].clone(), tangent)
            for at in torch.arange(worlds, device=F_bar.device).split(several)
        ]
        if len(parts) == 1:
            return parts[0]
        columns = zip(*parts, strict=True)
        return Micro(*(None if c[0] is None else torch.cat(c) for c in columns))  # type: ignore[arg-type]

    def _failed(self, F_bar: Tensor, reason: str) -> str:
        H = (F_bar - torch.eye(3).to(F_bar)).tolist()
        rows = "; ".join(", ".join(f"{value:.4g}" for value in row) for row in H)
        return f"a cell found no balance under the mean displacement gradient [{rows}]: {reason}"

    @abstractmethod
    def deformation(self, w: Tensor, F_bar: Tensor) -> Tensor:
        """At the points, shape (w, p, 3, 3), of unknowns (w, size)."""

    @abstractmethod
    def forces(self, P: Tensor) -> tuple[Tensor, Tensor]:
        """On the unknowns, shape (w, size), and how large they are without cancelling, (w,).

        Of stresses at the points (w, p, 3, 3).
        """

    @abstractmethod
    def factor(self, A: Tensor) -> Any:
        """What solves with the matrix of one world, or its transpose: (size, k) to (size, k).

        Of its tangents (p, r, c).
        """

    @abstractmethod
    def _solve(self, F_bar: Tensor, internal: Tensor, dt: float, w: Tensor, tangent: bool) -> Micro:
        """As `solve`, of as many as the memory holds; w is where to start and may be changed."""


class CellProblem(Worlds):
    """Solves one cell under many mean deformations."""

    def __init__(
        self, cell: Cell, like: Tensor, *, tolerance: float = 1e-10, iterations: int = 25
    ) -> None:
        """Lay out.

        Args:
            cell: The cell.
            like: Gives device and precision.
            tolerance: Norm of the forces that may be left, by that of the elements' forces.
            iterations: Of Newton's method, at most.
        """
        self.cell, self.tolerance, self.most = cell, tolerance, iterations
        self.layout: Layout = layout(cell, like)
        self.points, self.size = self.layout.points, self.layout.size
        own = self.layout
        self.elements, self.q, self.c, self.k = own.B.shape
        self.B = own.B.flatten(1, 2).contiguous()  # (e, q c, k)
        moduli = [law.wave_modulus() for law in cell.laws.values()]
        share = 1.0 / self.elements
        across = share ** ((cell.dim - 1) / cell.dim) / cell.volume ** (1 / cell.dim)
        self.noise = NOISE * max(moduli) * across * own.size**0.5

    def _solve(self, F_bar: Tensor, internal: Tensor, dt: float, w: Tensor, tangent: bool) -> Micro:
        worlds = len(F_bar)
        out = empty(F_bar, self.layout.size, len(self.points), self.n_internal, tangent)
        active = torch.arange(worlds, device=F_bar.device)
        step, part = torch.zeros_like(w), w.new_ones(worlds)
        before = w.new_full((worlds,), torch.inf)
        for count in range(self.most + 1):
            F = self.deformation(w[active], F_bar[active])
            P, history, A = self.points.linearize(F, internal[active], dt)
            force, scale = self.forces(P)
            norm = force.norm(dim=1)
            sound = torch.isfinite(norm) & (self.points.least(F) > 0)
            goal = self.tolerance * scale + self.noise
            done = sound & (norm <= goal)
            residual = norm / scale.clamp_min(TINY)
            for k, world in enumerate(active.tolist()):
                if done[k]:
                    self._put(out, world, F[k], P[k], A[k])
                    out.fluctuation[world], out.internal[world] = w[world], history[k]
                    out.residual[world], out.iterations[world] = residual[k], count
                elif count and (not sound[k] or norm[k] > GROWTH * before[world]):
                    if part[world] < 0.5**HALVINGS:
                        reason = "an element turns inside out, or the forces grow along each step"
                        raise NewtonFailure(self._failed(F_bar[world], reason))
                    part[world] *= 0.5
                    w[world] -= part[world] * step[world]
                elif not sound[k]:
                    reason = "an element is inside out, or a law failed, before the first step"
                    raise NewtonFailure(self._failed(F_bar[world], reason))
                elif count < self.most:
                    step[world] = -self.factor(A[k])(force[k][:, None])[:, 0]
                    part[world], before[world] = 1.0, norm[k]
                    w[world] += step[world]
            if bool(done.all()):
                return out
            active, left = active[~done], (norm / goal)[~done]
        raise NewtonFailure(
            self._failed(
                F_bar[active[0]], f"{self.most} iterations left {float(left[0]):.2g} tolerances"
            )
        )

    def _put(self, out: Micro, world: int, F: Tensor, P: Tensor, A: Tensor) -> None:
        out.stress[world] = self.points.mean(P[None])[0]
        out.point_stress[world], out.point_F[world] = P, F
        if out.tangent is not None:
            out.tangent[world] = self.condensed(A)

    def strain(self, w: Tensor) -> Tensor:
        """Components at the points, shape (w, p, c), of the gradient of fluctuations (w, size).

        They are those of `Layout.columns`; shears of small strains count twice.
        """
        padded = torch.cat([w, w.new_zeros(len(w), 1)], 1)
        own = padded[:, self.layout.unknowns].permute(1, 2, 0)  # (e, k, w)
        return (self.B @ own).permute(2, 0, 1).reshape(len(w), -1, self.c)

    def deformation(self, w: Tensor, F_bar: Tensor) -> Tensor:
        """At the points, shape (w, p, 3, 3), of free unknowns (w, size)."""
        return self.points.deformation(self.strain(w), F_bar)

    def forces(self, P: Tensor) -> tuple[Tensor, Tensor]:
        """On free unknowns, shape (w, size), and the norm of the elements' own, shape (w,).

        By the volume of the box [N/m³], of stresses at the points (w, p, 3, 3).
        """
        worlds, points = len(P), self.points
        own = points.weight[:, None] * P.flatten(2)[:, :, points.column]
        each = self.B.mT @ own.reshape(worlds, self.elements, -1).permute(1, 2, 0)  # (e, k, w)
        total = P.new_zeros(self.layout.size + 1, worlds)
        total = total.index_add(0, self.layout.unknowns.reshape(-1), each.flatten(0, 1))
        return total[:-1].T, each.square().sum((0, 1)).sqrt()

    def stiffness(self, A: Tensor) -> Tensor:
        """Numbers of the matrix of one world, shape (z,), of its tangents (p, r, c)."""
        own = self.layout
        D = self.points.weight[:, None, None] * A[:, : self.c]
        DB = (D.reshape(self.elements, self.q, self.c, -1) @ own.B).flatten(1, 2)
        each = self.B.mT @ DB  # rows, columns
        structure = own.sparse
        values = A.new_zeros(structure.count + 1)
        return values.index_add(0, structure.slots.reshape(-1), each.reshape(-1))[:-1]

    @on_one_thread
    def factor(self, A: Tensor) -> Any:
        """What solves with the matrix of one world, or its transpose: (size, k) to (size, k)."""
        from scipy.sparse.linalg import splu

        matrix = self.layout.sparse.matrix(self.stiffness(A))
        try:
            found = splu(matrix, permc_spec="MMD_AT_PLUS_A", options=ON_THE_DIAGONAL)
        except RuntimeError as error:
            raise NewtonFailure("the stiffness matrix of a cell is singular") from error

        @on_one_thread
        def solve(b: Tensor, transposed: bool = False) -> Tensor:
            x = found.solve(b.cpu().double().numpy(), "T" if transposed else "N")
            return torch.from_numpy(x).to(b)

        return solve

    def condensed(self, A: Tensor) -> Tensor:
        """Mean tangent of one world, shape (3, 3, 3, 3), of its tangents (p, r, c)."""
        weighted = self.points.weight[:, None, None] * A
        by_rows = self._gathered(weighted.mT)  # (size, r): what stress does w make
        by_columns = by_rows[:, : self.c]
        if not self.cell.symmetric:
            by_columns = self._gathered(weighted[:, : self.c])
        moved = self.factor(A)(by_columns)
        return self.points.full(weighted.sum(0) - by_rows.T @ moved)

    def _gathered(self, stresses: Tensor) -> Tensor:
        """Forces (size, s) of s fields of weighted stresses by components, (p, c, s)."""
        own = stresses.reshape(self.elements, self.q * self.c, -1)
        each = self.B.mT @ own
        total = stresses.new_zeros(self.layout.size + 1, each.shape[2])
        return total.index_add(0, self.layout.unknowns.reshape(-1), each.flatten(0, 1))[:-1]


TINY = 1e-300
ON_THE_DIAGONAL = {"SymmetricMode": True, "DiagPivotThresh": 0.01}
"""Of SuperLU: the structure is symmetric even where the numbers are not."""


def empty(like: Tensor, size: int, points: int, history: int, tangent: bool) -> Micro:
    """Room for the results of cells."""
    worlds = len(like)
    count = torch.zeros(worlds, dtype=torch.int64, device=like.device)
    return Micro(
        stress=like.new_empty(worlds, 3, 3),
        tangent=like.new_empty(worlds, 3, 3, 3, 3) if tangent else None,
        fluctuation=like.new_empty(worlds, size),
        internal=like.new_empty(worlds, history),
        iterations=count,
        residual=like.new_empty(worlds),
        point_stress=like.new_empty(worlds, points, 3, 3),
        point_F=like.new_empty(worlds, points, 3, 3),
    )
