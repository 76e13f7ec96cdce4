# SPDX-License-Identifier: Apache-2.0
"""Cells that are followed along paths of mean strain, step by step from rest.

What a cell with a memory answers depends on how it came there, so that its modes and magic points
are made of snapshots along paths that load, unload and load anew elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .load_space import LoadSpace
from .problem import Micro, Worlds
from .snapshots import Snapshots


def random_paths(space: LoadSpace, count: int, turns: int, steps: int, seed: int) -> Tensor:
    """Paths from rest to points of a box one after the other, shape (count, turns steps, d).

    Each turn ends in a point of its own Latin hypercube: the way there unloads in some directions
    and loads in others.

    Args:
        space: The box.
        count: Number of paths k.
        turns: Straight ways of a path.
        steps: Of each way, equal.
        seed: Of the points.
    """
    ends = torch.stack([space.sample(count, 1000 * seed + turn) for turn in range(turns)], 1)
    return straight(ends, steps)


def straight(ends: Tensor, steps: int) -> Tensor:
    """Paths from rest through points (k, turns, d) in equal steps, shape (k, turns steps, d)."""
    starts = torch.cat([torch.zeros_like(ends[:, :1]), ends[:, :-1]], 1)
    share = torch.arange(1, steps + 1).to(ends) / steps
    ways = starts[:, :, None] + share[:, None] * (ends - starts)[:, :, None]
    return ways.flatten(1, 2)


def follow(
    problem: Worlds,
    space: LoadSpace,
    paths: Tensor,
    dt: float = 1.0,
    *,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> list[Micro]:
    """Solve a cell along paths, all at once; the answers of each step.

    Args:
        problem: The cell, or what stands for it.
        space: Says what the strains are.
        paths: Mean strains, shape (k, t, d).
        dt: Length of a step [s].
        told: Called with the number of steps that are done, and of all.

    Raises:
        NewtonFailure: A cell finds no balance: take smaller steps.
    """
    F = space.deformation(paths.flatten(0, 1)).unflatten(0, paths.shape[:2])
    internal = problem.rest_internal(len(F), F)
    guess, found = None, []
    for step in range(F.shape[1]):
        micro = problem.solve(F[:, step], internal, dt, guess=guess)
        internal, guess = micro.internal, micro.fluctuation
        found.append(micro)
        told(step + 1, F.shape[1])
    return found


def snapshots_of(problem: Worlds, paths: Tensor, answers: list[Micro]) -> Snapshots:
    """All steps of all paths, a snapshot each, path by path.

    Args:
        problem: The cell; modes are made of those of a full one.
        paths: Mean strains, shape (k, t, d).
        answers: Of `follow`.
    """
    steps = [Snapshots.of(paths[:, t], micro, problem.points) for t, micro in enumerate(answers)]
    count, several = paths.shape[:2]
    by_path = torch.arange(count * several).view(several, count).T.flatten()
    return Snapshots.joined(steps).pick(by_path)
