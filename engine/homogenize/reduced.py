# SPDX-License-Identifier: Apache-2.0
"""The cell in a few modes of strain: Galerkin's method, integrated at all points or at magic ones.

    Σ_q ω_q φ_i(q) : P(F̄ + Σ_j a_j φ_j(q)) = 0,    S = Σ_q ω_q P

All worlds are solved together, each an r by r system. The mean stress is again the derivative of
an energy where those of the phases are. History is carried at the points that are used.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..fem.newton import NewtonFailure
from .magic_points import MagicPoints
from .modes import Modes
from .points import Points
from .problem import GROWTH, HALVINGS, TINY, CellProblem, Micro, Worlds, empty

NOISE = 1e-13
"""Of the modes' forces by the stress, that rounding leaves."""


class ReducedProblem(Worlds):
    """Solves one cell in modes under many mean deformations; as `CellProblem`.

    Its fluctuations are coefficients of the modes.
    """

    def __init__(
        self,
        cell: CellProblem,
        modes: Modes,
        magic: MagicPoints | None = None,
        *,
        tolerance: float = 1e-10,
        iterations: int = 40,
    ) -> None:
        """Take modes at all points of a cell, or at magic ones.

        Args:
            cell: The cell.
            modes: Of its strain.
            magic: Points and their weights; None: all.
            tolerance: Of the forces on modes, by those of the points alone.
            iterations: Of Newton's method, at most.

        Raises:
            ValueError: The modes are of another cell.
        """
        shape = (len(cell.points), len(cell.points.columns))
        if modes.strain.shape[:2] != shape:
            raise ValueError(
                f"got modes at {modes.strain.shape[0]} points with {modes.strain.shape[1]} "
                f"components, expected {shape[0]} with {shape[1]}, those of the cell: make modes "
                "of its own snapshots"
            )
        self.cell, self.tolerance, self.most = cell.cell, tolerance, iterations
        self.points: Points = cell.points
        self.phi = modes.strain.to(cell.points.weight)
        """Modes at the points, shape (m, c, r)."""
        if magic is not None:
            index, weight = (t.to(self.phi.device) for t in (magic.index, magic.weight))
            self.points = cell.points.pick(index, weight.to(self.phi))
            self.phi = self.phi[index]
        self.size = self.phi.shape[2]
        self.flat = self.phi.flatten(0, 1).contiguous()

    def deformation(self, a: Tensor, F_bar: Tensor) -> Tensor:
        """At the points, shape (w, m, 3, 3), of coefficients (w, r)."""
        strain = (a @ self.flat.T).unflatten(1, self.phi.shape[:2])
        return self.points.deformation(strain, F_bar)

    def forces(self, P: Tensor) -> tuple[Tensor, Tensor]:
        """On the modes, shape (w, r), and what they sum up to without cancelling, (w,)."""
        own = self.points.weight[:, None] * P.flatten(2)[:, :, self.points.column]
        force = own.flatten(1) @ self.flat
        return force, own.flatten(1).abs() @ self.flat.norm(dim=1)

    def matrices(self, A: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of forces and of stresses by coefficients, (w, r, r) and (w, rows, r)."""
        c = self.phi.shape[1]
        moved = self.points.weight[:, None, None] * (A @ self.phi)  # (w, m, rows, r)
        K = self.flat.T @ moved[:, :, :c].flatten(1, 2)
        return K, moved.sum(1)

    def factor(self, A: Tensor) -> Callable[..., Tensor]:
        """See `Worlds.factor`."""
        K = self.matrices(A[None])[0][0]

        def solve(b: Tensor, transposed: bool = False) -> Tensor:
            return torch.linalg.solve(K.T if transposed else K, b)

        return solve

    def condensed(self, A: Tensor) -> Tensor:
        """Mean tangents, shape (w, 3, 3, 3, 3), of tangents (w, m, r, c)."""
        c = self.phi.shape[1]
        K, by_rows = self.matrices(A)
        weighted = self.points.weight[:, None, None] * A
        by_columns = by_rows[:, :c].mT
        if not self.cell.symmetric:
            by_columns = torch.einsum("mcr,wmck->wrk", self.phi, weighted[:, :, :c])
        return self.points.full(weighted.sum(1) - by_rows @ torch.linalg.solve(K, by_columns))

    def _solve(self, F_bar: Tensor, internal: Tensor, dt: float, a: Tensor, tangent: bool) -> Micro:
        worlds = len(F_bar)
        out = empty(F_bar, self.size, len(self.points), self.n_internal, tangent)
        active = torch.arange(worlds, device=F_bar.device)
        step, part = torch.zeros_like(a), a.new_ones(worlds)
        before = a.new_full((worlds,), torch.inf)
        for count in range(self.most + 1):
            F = self.deformation(a[active], F_bar[active])
            P, history, A = self.points.linearize(F, internal[active], dt)
            force, scale = self.forces(P)
            norm = force.norm(dim=1)
            sound = torch.isfinite(norm) & (self.points.least(F) > 0)
            done = sound & (norm <= (self.tolerance + NOISE) * scale)
            if bool(done.any()):
                at = active[done]
                out.fluctuation[at], out.internal[at] = a[at], history[done]
                out.point_stress[at], out.point_F[at] = P[done], F[done]
                out.stress[at] = self.points.mean(P[done])
                out.residual[at] = (norm / scale.clamp_min(TINY))[done]
                out.iterations[at] = count
                if out.tangent is not None:
                    out.tangent[at] = self.condensed(A[done])
            if bool(done.all()):
                return out
            grown = ~done & (~sound | (norm > GROWTH * before[active])) & (count > 0)
            fresh = ~done & ~grown
            if bool((part[active][grown] < 0.5**HALVINGS).any()) or not bool(sound[fresh].all()):
                break
            back = active[grown]
            part[back] *= 0.5
            a[back] -= part[back, None] * step[back]
            ahead = active[fresh]
            step[ahead] = -torch.linalg.solve(self.matrices(A[fresh])[0], force[fresh])
            part[ahead], before[ahead] = 1.0, norm[fresh]
            a[ahead] += step[ahead]
            active = active[~done]
        raise NewtonFailure(self._failed(F_bar[active[0]], "its modes are not balanced"))
