# SPDX-License-Identifier: Apache-2.0
"""FE²: the law of a body each of whose points is a cell, solved there and then.

Feyel and Chaboche 2000, "FE² multiscale approach for modelling the elastoviscoplastic behaviour of
long fibre SiC/Ti composite materials". All points of the body are worlds of one batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rheograd.materials.elastic import NeoHookean
from rheograd.materials.law import ConstitutiveLaw, Response

from ..fem.piola import kirchhoff_tangent
from ..fem.solver import FESolver
from ..mesh.generators import box
from .adjoint import pullback
from .cell import Cell
from .magic_points import MagicPoints
from .modes import Modes
from .problem import CellProblem, Micro, Worlds
from .reduced import ReducedProblem
from .share import part, shared, shared_pullback

OUT_OF_PLANE = ((0, 2), (1, 2), (2, 0), (2, 1), (2, 2))
ROUNDING = 1e-6
"""Strain out of the plane that counts as none."""


class FE2(ConstitutiveLaw):
    """The mean stress of a periodic cell under a mean deformation.

    The history of a point is that of its whole cell. Its parameters are those of the laws of the
    phases, and gradients reach them, the mean deformation and the history by one adjoint solve.

    Args:
        cell: The cell. In the plane it is for bodies in plane strain.
        solver: Gives the tolerance and the number of iterations of Newton's method in the cell.
        share: Whether the processes of torch.distributed divide the points among them; each must
            then ask for the same ones.
        modes: Of the strain of the cell; None: all of its unknowns. Modes of cells that flow are
            made of paths, see paths.py.
        magic: Points and weights for the modes; None: all points. Then the history of a point of
            the body is that of these.

    Raises:
        ValueError: The modes are of another cell, or points are given without modes.
    """

    name: ClassVar[str] = "fe2"

    def __init__(
        self, cell: Cell, solver: FESolver | None = None, *, share: bool = False,
        modes: Modes | None = None, magic: MagicPoints | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if magic is not None and modes is None:
            raise ValueError("got magic points alone, expected the modes that they are for, too")
        self.cell = cell
        self.solver = solver or FESolver(tolerance=1e-10)
        self.share = share
        self.modes, self.magic = modes, magic
        self.phases = nn.ModuleList(cell.laws.values())
        self.problems: dict[tuple[torch.device, torch.dtype], Worlds] = {}
        self.solved = 0
        """Cells solved so far, by this process."""
        self.n_internal = self.problem(torch.zeros((), dtype=torch.float64)).n_internal

    @property
    def kinematics(self) -> str:  # type: ignore[override]
        """Of the laws of its phases."""
        return "small" if self.cell.small else "finite"

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Of its cell."""
        return self.cell.dim

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        """Whether the laws of all its phases are."""
        return self.cell.symmetric

    @property
    def smooth_at_rest(self) -> bool:  # type: ignore[override]
        """Whether the laws of all its phases are."""
        return all(law.smooth_at_rest for law in self.cell.laws.values())

    def problem(self, like: Tensor) -> Worlds:
        """What solves it on the device and in the precision of a tensor; laid out once."""
        key = (like.device, like.dtype)
        if key not in self.problems:
            numerics = {"tolerance": self.solver.tolerance, "iterations": self.solver.iterations}
            full = CellProblem(self.cell, like.new_zeros(()), **numerics)
            self.problems[key] = (
                full
                if self.modes is None
                else ReducedProblem(full, self.modes, self.magic, **numerics)
            )
        return self.problems[key]

    def rest_internal(self, q: int, like: Tensor) -> Tensor:
        """See `ConstitutiveLaw.rest_internal`."""
        return self.problem(like).rest_internal(q, like)

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """See `ConstitutiveLaw.stress`: in a step of no length from the history that is given."""
        return self.update(F_elastic, internal, 1.0).tau

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """See `ConstitutiveLaw.update`; what flows does so within the cell.

        Raises:
            NewtonFailure: A cell finds no balance.
            ValueError: A cell of the plane is deformed out of it.
        """
        self._check(F_trial)
        P, history = _Mean.apply(self, dt, F_trial, internal, *self.parameters())
        return Response(P if self.cell.small else P @ F_trial.mT, F_trial, history)

    def linearize(
        self, F_trial: Tensor, internal: Tensor, dt: float, guess: Tensor | None = None
    ) -> tuple[Response, Tensor]:
        """See `ConstitutiveLaw.linearize`; guesses are those of `Micro.guess`."""
        self._check(F_trial)
        F = F_trial.detach()
        micro = self.micro(F, internal.detach(), dt, guess)
        assert micro.tangent is not None
        tau, tangent = micro.stress, micro.tangent
        if not self.cell.small:
            tau, tangent = tau @ F.mT, kirchhoff_tangent(F, tau, tangent)
        return Response(tau, F_trial, micro.internal, micro.guess(F)), tangent

    def micro(
        self, F: Tensor, internal: Tensor, dt: float, guess: Tensor | None = None,
        tangent: bool = True,
    ) -> Micro:  # fmt: skip
        """The cells themselves; arguments as in `Worlds.solve`, but guesses of `Micro.guess`."""
        problem = self.problem(F)
        start = None if guess is None else problem.predicted(guess, F)
        own = part(len(F)) if self.share else slice(0, len(F))
        self.solved += own.stop - own.start
        if self.share:
            return shared(problem, F, internal, dt, start, tangent)
        return problem.solve(F, internal, dt, guess=start, tangent=tangent)

    def account(self) -> Mapping[str, int]:
        """See `ConstitutiveLaw.account`: cells solved, by this process."""
        return {"cells_solved": self.solved}

    def save(self, path: Path | str) -> None:
        """Refused: what it answers is computed with a mesh.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            "FE² computes with the mesh of its cell and is no file by itself: save mesh and "
            "laws of the phases, or train a surrogate (rheograd rve MESH --train)"
        )

    def _check(self, F: Tensor) -> None:
        if self.cell.dim == 3:
            return
        out = torch.stack([F.detach()[:, i, j] - float(i == j) for i, j in OUT_OF_PLANE])
        if not bool((out.abs() <= ROUNDING).all()):
            raise ValueError(
                f"got a strain out of the plane of up to {float(out.abs().max()):.3g} for a cell in"
                " plane strain, expected none: mesh the body in the plane, or take a cell in space"
            )

    @classmethod
    def example(cls) -> Self:
        """A soft block with a stiff corner, in space."""
        mesh = box((1.0, 1.0, 1.0), (2, 2, 2), element="hex8")
        regions = {"matrix": torch.arange(1, 8), "fibre": torch.arange(1)}
        laws = {"matrix": NeoHookean(1e6, 0.3), "fibre": NeoHookean(5e6, 0.25)}
        return cls(Cell(replace(mesh, regions=regions), laws))


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, law: FE2, dt: float, F: Tensor, internal: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        micro = law.micro(F.detach(), internal.detach(), dt, tangent=False)
        ctx.law, ctx.dt = law, dt
        ctx.save_for_backward(F, internal, micro.fluctuation)
        return micro.stress, micro.internal

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, P_bar: Tensor, history_bar: Tensor) -> tuple[Any, ...]:
        F, internal, w = ctx.saved_tensors
        problem = ctx.law.problem(F)
        parameters = tuple(ctx.law.parameters())
        back = shared_pullback if ctx.law.share else pullback
        found = back(problem, F, internal, ctx.dt, w, P_bar, history_bar, parameters)
        return None, None, *found
