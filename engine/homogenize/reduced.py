# SPDX-License-Identifier: Apache-2.0
"""The cell in a few modes of strain: Galerkin's method, integrated at all points or at magic ones.

    Σ_q ω_q φ_i(q) : P(F̄ + Σ_j a_j φ_j(q)) = 0,    S = Σ_q ω_q P

All worlds are solved together, each an r by r system. The mean stress is again the derivative of
an energy where those of the phases are. History is carried at the points that are used.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .magic_points import MagicPoints
from .modes import Modes
from .points import Points
from .problem import CellProblem, Worlds
from .stiffness import System

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
        self.symmetric = cell.symmetric
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

    def goal(self, scale: Tensor) -> Tensor:
        """See `Worlds.goal`."""
        return (self.tolerance + NOISE) * scale

    def gathered(self, stresses: Tensor) -> Tensor:
        """See `Worlds.gathered`."""
        return self.flat.T @ stresses.flatten(1, 2)

    def system(self, A: Tensor, before: System | None = None) -> Dense:
        """See `Worlds.system`."""
        return Dense(self.matrices(A)[0])


class Dense(System):
    """Small matrices (w, r, r)."""

    def __init__(self, matrices: Tensor) -> None:
        self.matrices = matrices

    def __len__(self) -> int:
        """See `System`."""
        return len(self.matrices)

    def pick(self, worlds: Tensor) -> Dense:
        """See `System.pick`."""
        return Dense(self.matrices[worlds])

    def solve(self, b: Tensor, rtol: float | Tensor = 0.0, transposed: bool = False) -> Tensor:
        """See `System.solve`; exact."""
        return torch.linalg.solve(self.matrices.mT if transposed else self.matrices, b)

    def product(self, x: Tensor) -> Tensor:
        """See `System.product`."""
        return self.matrices @ x
