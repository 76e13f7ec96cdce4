# SPDX-License-Identifier: Apache-2.0
"""Cells divided among the processes of torch.distributed.

Each process is asked for the same cells, solves a part of them, and learns the results of all.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from ..fem.newton import NewtonFailure
from .problem import CellProblem, Micro


def part(count: int) -> slice:
    """Which of so many cells this process solves: all where there is one process."""
    if not (dist.is_available() and dist.is_initialized()):
        return slice(0, count)
    rank, size = dist.get_rank(), dist.get_world_size()
    return slice(count * rank // size, count * (rank + 1) // size)


def shared(
    problem: CellProblem, F: Tensor, internal: Tensor, dt: float, guess: Tensor | None,
    tangent: bool,
) -> Micro:  # fmt: skip
    """As `CellProblem.solve`.

    Raises:
        NewtonFailure: A cell of any process finds no balance; raised by all.
    """
    own = part(len(F))
    start = None if guess is None else guess[own]
    failure: NewtonFailure | None = None
    found = None
    try:
        found = problem.solve(F[own], internal[own], dt, guess=start, tangent=tangent)
    except NewtonFailure as error:
        failure = error
    if own == slice(0, len(F)) and not (dist.is_available() and dist.is_initialized()):
        if failure is not None:
            raise failure
        assert found is not None
        return found
    failed = torch.tensor([float(failure is not None)], device=F.device)
    dist.all_reduce(failed)
    if failure is not None:
        raise failure
    if float(failed):
        raise NewtonFailure("a cell of another process found no balance")
    assert found is not None
    return Micro(*(None if t is None else _gathered(t, own, len(F)) for t in found))  # type: ignore[arg-type]


def _gathered(values: Tensor, own: slice, count: int) -> Tensor:
    """Rows of all processes: a sum in which every row has one that is not zero."""
    whole = values.new_zeros(count, *values.shape[1:])
    whole[own] = values
    dist.all_reduce(whole)
    return whole
