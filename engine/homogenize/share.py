# SPDX-License-Identifier: Apache-2.0
"""Cells divided among the processes of torch.distributed.

Each process is asked for the same cells, solves a part of them, and learns the results of all.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from ..fem.newton import NewtonFailure
from .adjoint import pullback
from .problem import Micro, Worlds


def several() -> bool:
    """Whether there are other processes."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def part(count: int) -> slice:
    """Which of so many cells this process solves: all where there is one process."""
    if not several():
        return slice(0, count)
    rank, size = dist.get_rank(), dist.get_world_size()
    return slice(count * rank // size, count * (rank + 1) // size)


def shared(
    problem: Worlds, F: Tensor, internal: Tensor, dt: float, guess: Tensor | None,
    tangent: bool,
) -> Micro:  # fmt: skip
    """As `Worlds.solve`.

    Raises:
        NewtonFailure: A cell of any process finds no balance; raised by all.
    """
    if not several():
        return problem.solve(F, internal, dt, guess=guess, tangent=tangent)
    own = part(len(F))
    start = None if guess is None else guess[own]
    failure: NewtonFailure | None = None
    found: Micro | None = None
    try:
        found = problem.solve(F[own], internal[own], dt, guess=start, tangent=tangent)
    except NewtonFailure as error:
        failure = error
    failed = torch.tensor([float(found is None)], device=F.device)
    dist.all_reduce(failed)
    if failure is not None:
        raise failure
    if found is None or float(failed):
        raise NewtonFailure("a cell of another process found no balance")
    columns = [None if t is None else _gathered(t, own, len(F)) for t in found]
    return Micro(*columns)  # type: ignore[arg-type]


def shared_pullback(
    problem: Worlds, F_bar: Tensor, internal: Tensor, dt: float, w: Tensor,
    stress_bar: Tensor, history_bar: Tensor, parameters: Sequence[Tensor],
) -> tuple[Tensor, ...]:  # fmt: skip
    """As `adjoint.pullback`."""
    own = part(len(F_bar))
    F_own, internal_own, *sums = pullback(
        problem, F_bar[own], internal[own], dt, w[own], stress_bar[own], history_bar[own],
        parameters,
    )  # fmt: skip
    if not several():
        return F_own, internal_own, *sums
    for total in sums:
        dist.all_reduce(total)
    count = len(F_bar)
    return _gathered(F_own, own, count), _gathered(internal_own, own, count), *sums


def _gathered(values: Tensor, own: slice, count: int) -> Tensor:
    """Rows of all processes: a sum in which every row has one that is not zero."""
    whole = values.new_zeros(count, *values.shape[1:])
    whole[own] = values
    dist.all_reduce(whole)
    return whole
