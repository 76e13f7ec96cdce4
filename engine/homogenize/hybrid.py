# SPDX-License-Identifier: Apache-2.0
"""A surrogate that is trusted within its box; points beyond are cells that are solved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor

from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.law import ConstitutiveLaw, Response

from .embedding import check_mesh, embedded
from .fe2 import FE2
from .residual import ConstitutiveResidual

CHUNK = 1000
"""Points whose residuals are found at once."""
LARGEST = "largest residual"
"""Among the errors that a law keeps [%]."""


class Hybrid(ConstitutiveLaw):
    """EquiNO within the box that it was trained for, FE² outside.

    Args:
        surrogate: The learned law.
        exact: The same cell to be solved; None: that kept in the surrogate.
        margin: How far within the box a strain counts as outside, by the half-width [-].

    Raises:
        ValueError: There is no cell, it is not the one learned, or the margin is not from 0 to
            below 1.
    """

    name: ClassVar[str] = "equino-fe2"

    def __init__(self, surrogate: EquiNO, exact: FE2 | None = None, *, margin: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= margin < 1.0:
            raise ValueError(f"got margin = {margin:g}, expected 0 to below 1")
        if exact is None:
            cell = embedded(surrogate)
            if cell is None:
                raise ValueError(
                    "the surrogate keeps no cell to fall back on, for a phase has a law that is "
                    "not made of numbers alone: give the cell, as FE2(cell)"
                )
            exact = FE2(cell)
        if exact.kinematics != surrogate.kinematics or exact.dim != surrogate.dim:
            raise ValueError(
                f"got a surrogate of {surrogate.kinematics} strain in {surrogate.dim} dimensions "
                f"and a cell of {exact.kinematics} strain in {exact.dim}, expected both alike"
            )
        check_mesh(surrogate, exact.cell.mesh)
        if exact.n_internal:
            raise ValueError("got a cell with a memory, which EquiNO does not have: take FE2")
        self.surrogate, self.exact, self.margin = surrogate, exact, margin
        self.asked = 0

    @property
    def kinematics(self) -> str:  # type: ignore[override]
        """Of both."""
        return self.surrogate.kinematics

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Of both."""
        return self.surrogate.dim

    @property
    def symmetric(self) -> bool:  # type: ignore[override]
        """Whether the cell is."""
        return self.exact.symmetric

    def beyond(self, F: Tensor) -> Tensor:
        """Which points are solved as cells, shape (q,), bool."""
        return self.surrogate.outside(F.detach()) > -self.margin

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """See `ConstitutiveLaw.stress`."""
        return self.update(F_elastic, internal, 1.0).tau

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """See `ConstitutiveLaw.update`."""
        found = self.surrogate.update(F_trial, internal, dt)
        beyond = self.beyond(F_trial)
        self.asked += len(F_trial)
        if not bool(beyond.any()):
            return found
        solved = self.exact.update(F_trial[beyond], internal[beyond], dt)
        tau = found.tau.index_put((beyond.nonzero()[:, 0],), solved.tau)
        return Response(tau, F_trial, internal)

    def linearize(
        self, F_trial: Tensor, internal: Tensor, dt: float, guess: Tensor | None = None
    ) -> tuple[Response, Tensor]:
        """See `ConstitutiveLaw.linearize`; guesses are those of the cells, if any are solved."""
        found, D = self.surrogate.linearize(F_trial, internal, dt)
        beyond = self.beyond(F_trial)
        self.asked += len(F_trial)
        if not bool(beyond.any()):
            return Response(found.tau, F_trial, internal, guess), D
        size = self.exact.problem(F_trial).guess_size
        guesses = F_trial.new_zeros(len(F_trial), size) if guess is None else guess.clone()
        solved, D_solved = self.exact.linearize(
            F_trial[beyond], internal[beyond], dt, guesses[beyond]
        )
        assert solved.guess is not None
        guesses[beyond], D[beyond] = solved.guess, D_solved
        tau = found.tau.clone()
        tau[beyond] = solved.tau
        return Response(tau, F_trial, internal, guesses), D

    def marks(self, F_elastic: Tensor, internal: Tensor) -> Mapping[str, Tensor]:
        """See `ConstitutiveLaw.marks`: also "constitutive_residual".

        It is told of points within the box, where it is larger than that of
        any load case of the validation; a surrogate without a validation marks none.
        """
        found = dict(self.surrogate.marks(F_elastic, internal))
        limit = dict(self.surrogate.errors).get(LARGEST)
        if limit is not None:
            F = F_elastic.detach().to(self.surrogate.nodes)
            own = ConstitutiveResidual(self.surrogate, self.exact.cell)
            r = torch.cat([own(self.surrogate.strain(part)) for part in F.split(CHUNK)])
            beyond = self.beyond(F) | (r <= 0.01 * limit)
            found["constitutive_residual"] = torch.where(beyond, 0.0, r).to(F_elastic)
        return found

    def account(self) -> Mapping[str, int]:
        """See `ConstitutiveLaw.account`: stresses asked for, and cells solved for them."""
        return {"stresses_asked": self.asked, **self.exact.account()}

    def save(self, path: Path | str) -> None:
        """Refused: save the surrogate, whose file keeps the cell.

        Raises:
            TypeError: Always.
        """
        raise TypeError("save the surrogate of a hybrid law: its file keeps the cell")

    @classmethod
    def example(cls) -> Self:
        """The cell of FE2's example, and a surrogate that was not trained for it."""
        return cls(EquiNO.example(), FE2.example())


def trusted(law: EquiNO) -> ConstitutiveLaw:
    """The law with its cell to fall back on; itself where it keeps none."""
    return law if embedded(law) is None else Hybrid(law)
