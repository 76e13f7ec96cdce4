# SPDX-License-Identifier: Apache-2.0
"""Cells of which some components of the mean stress are given in place of the strain's."""

from __future__ import annotations

import torch
from torch import Tensor

from ..fem.newton import NewtonFailure
from .problem import CellProblem, Micro

ITERATIONS = 25
"""Of Newton's method for the mean deformation, each of which solves the cells."""


def controlled(
    problem: CellProblem,
    F_bar: Tensor,
    stress: Tensor,
    free: Tensor,
    internal: Tensor | None = None,
    dt: float = 1.0,
    *,
    tolerance: float = 1e-9,
) -> tuple[Tensor, Micro]:
    """Find the mean deformation under which the free components have a given stress.

    Args:
        problem: The cell.
        F_bar: Mean deformation gradients, shape (w, 3, 3), from which the free components start.
        stress: Mean stress that is wanted [Pa], first Piola for finite strains; (w, 3, 3).
        free: Components whose stress is given, shape (3, 3), bool.
        internal: History at the start, shape (w, n_internal); None: at rest.
        dt: Length of the step [s].
        tolerance: Of the stress, by the tangent's largest number times 1 % of strain.

    Returns:
        The mean deformation gradients, and the cells under them.

    Raises:
        ValueError: A component is free that a cell of the plane does not have, or only one half of
            a shear of small strain.
        NewtonFailure: There is no such deformation to be found: with all shears of finite strain
            free, a rotation is.
    """
    pairs = _free_pairs(problem, free)
    rows, columns = (torch.tensor([pair[k] for pair in pairs]) for k in (0, 1))
    F = F_bar.clone()
    history = problem.rest_internal(len(F), F) if internal is None else internal
    guess = None
    for _ in range(ITERATIONS + 1):
        micro = problem.solve(F, history, dt, guess=guess)
        assert micro.tangent is not None
        guess = micro.fluctuation
        missing = (stress - micro.stress)[:, rows, columns]
        stiff = micro.tangent[:, rows, columns][:, :, rows, columns]
        if bool((missing.abs().amax(1) <= 0.01 * tolerance * stiff.abs().amax((1, 2))).all()):
            return F, micro
        step, singular = torch.linalg.solve_ex(stiff, missing)
        if bool(singular.any()) or not bool(torch.isfinite(step).all()):
            break
        for n, (i, j) in enumerate(pairs):
            F[:, i, j] += 0.5 * step[:, n] if problem.cell.small and i != j else step[:, n]
            if problem.cell.small and i != j:
                F[:, j, i] = F[:, i, j]
    raise NewtonFailure(
        f"no mean deformation has the stress that is given within {tolerance:g}: hold more "
        "components (with every shear of finite strain free the cell turns), or take smaller steps"
    )


def _free_pairs(problem: CellProblem, free: Tensor) -> list[tuple[int, int]]:
    """Rows and columns of the free components, each shear of small strain once."""
    pairs = [(i, j) for i, j in problem.points.columns if bool(free[i, j])]
    kept = {(i, j) for i, j in torch.nonzero(free).tolist()}
    known = {*pairs, *((j, i) for i, j in pairs)} if problem.cell.small else set(pairs)
    if problem.cell.small and not torch.equal(free, free.T):
        raise ValueError("got one half of a shear that is free, expected xy and yx alike")
    if kept - known:
        names = ", ".join("xyz"[i] + "xyz"[j] for i, j in sorted(kept - known))
        raise ValueError(f"got free components {names}, which a cell in plane strain does not have")
    return pairs
