# SPDX-License-Identifier: Apache-2.0
"""How far a learned cell is from the cell itself, on load cases that it was not taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rheograd.materials.homogenized.equino import EquiNO

from ..fem.piola import first_piola, piola_tangent
from .load_space import LoadSpace
from .points import Pairs
from .problem import CellProblem
from .residual import ConstitutiveResidual
from .snapshots import Snapshots


@dataclass(frozen=True)
class Errors:
    """Relative errors in the L2 norm [-], by quantity; each of shape (k,)."""

    displacement: Mapping[str, Tensor]
    """At the nodes, from the middle of the cell: "u_x", ...; and of its fluctuations: "w_x", ..."""
    stress: Mapping[str, Tensor]
    """Of the local stresses: "σ_xx", ..."""
    mean: Tensor
    """Of the mean stress, all components together."""
    tangent: Tensor
    """Of the mean tangent."""
    residual: Tensor
    """Not an error, but what is told of it without solving the cell; see residual.py."""

    def quantities(self) -> dict[str, Tensor]:
        """All of them by name."""
        means = {"mean stress": self.mean, "tangent": self.tangent, "residual": self.residual}
        return {**self.displacement, **self.stress, **means}

    def median(self) -> dict[str, float]:
        """Of all load cases, in percent."""
        return {name: 100.0 * float(own.median()) for name, own in self.quantities().items()}

    def largest(self) -> dict[str, float]:
        """Of all load cases, in percent."""
        return {name: 100.0 * float(own.max()) for name, own in self.quantities().items()}

    @classmethod
    def joined(cls, parts: Sequence[Errors]) -> Errors:
        """Of several sets of load cases, one after the other."""

        def together(columns: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
            return {name: torch.cat([own[name] for own in columns]) for name in columns[0]}

        return cls(
            together([part.displacement for part in parts]),
            together([part.stress for part in parts]),
            torch.cat([part.mean for part in parts]),
            torch.cat([part.tangent for part in parts]),
            torch.cat([part.residual for part in parts]),
        )


def names(pairs: Pairs) -> list[str]:
    """Of components: xx, yy, ..."""
    return ["xyz"[i] + "xyz"[j] for i, j in pairs]


@torch.no_grad()
def errors(law: EquiNO, problem: CellProblem, space: LoadSpace, held: Snapshots) -> Errors:
    """Of a law, against solved load cases."""
    w, _, s = law.local_fields(held.strain)
    F = space.deformation(held.strain)
    P, A = mean_response(law, F)
    seen = problem.points.columns
    i, j = torch.tensor(seen).T
    return Errors(
        displacement_errors(problem, F, w, held.fluctuation),
        stress_errors(problem, s, held.point_stress),
        relative(P[:, i, j], held.stress[:, i, j]),
        relative(A[:, i, j][:, :, i, j], held.tangent[:, i, j][:, :, i, j]),
        ConstitutiveResidual(law, problem.cell)(held.strain),
    )


def mean_response(law: EquiNO, F: Tensor) -> tuple[Tensor, Tensor]:
    """What a law says of the mean of the cell, as `Micro.stress` and `Micro.tangent` do.

    Args:
        law: The law.
        F: Mean deformation gradients, shape (k, 3, 3).
    """
    response, D = law.linearize(F, F.new_zeros(len(F), law.n_internal), 1.0)
    if law.small:
        return response.tau, D
    return first_piola(F, response.tau), piola_tangent(F, response.tau, D)


def displacement_errors(
    problem: CellProblem, F_bar: Tensor, found: Tensor, expected: Tensor
) -> dict[str, Tensor]:
    """By direction, of free unknowns (k, size) under mean deformations (k, 3, 3).

    The displacement is counted from the middle of the cell, which does not move by the mean.
    """
    nodes = problem.cell.mesh.nodes.to(F_bar)
    arm = nodes - 0.5 * (nodes.amin(0) + nodes.amax(0))
    mean = arm @ (F_bar - torch.eye(3).to(F_bar)).mT
    own = problem.layout.displacement
    a, b = own(found), own(expected)
    out = {}
    for name, base in (("u", mean), ("w", torch.zeros_like(mean))):
        for d in range(problem.cell.dim):
            parts = (base[..., d] + a[..., d], base[..., d] + b[..., d])
            out[f"{name}_{'xyz'[d]}"] = relative(*parts)
    return out


def stress_errors(problem: CellProblem, found: Tensor, expected: Tensor) -> dict[str, Tensor]:
    """By component, of stresses at the points (k, p, s); weighted by volume."""
    scale = problem.points.weight.sqrt()
    letter = "σ" if problem.cell.small else "P"
    return {
        f"{letter}_{name}": relative(scale * found[..., c], scale * expected[..., c])
        for c, name in enumerate(names(problem.points.rows))
    }


def relative(found: Tensor, expected: Tensor) -> Tensor:
    """Norm of the difference by that of what is expected, of each row."""
    gap = (found - expected).flatten(1).norm(dim=1)
    return gap / expected.flatten(1).norm(dim=1)
