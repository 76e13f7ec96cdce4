# SPDX-License-Identifier: Apache-2.0
"""What a run records of each point and each cell, as the command line names it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from rheograd.engine.suggestion import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from rheograd.engine.state import State

Shapes = dict[str, tuple[int, ...]]


def chosen(words: str | None, solver: Any, model: Any, state: State) -> tuple[Shapes, Shapes]:
    """Names of what is recorded of points and of cells, with their shapes.

    Args:
        words: Names separated by commas; None: v and all that the solver records by itself, which
            leaves out its `more_cell_fields`.
        solver: What runs.
        model: What it runs.
        state: Of that model.

    Raises:
        ValueError: A name is unknown.
    """
    own = {"v": state.v, "F": state.F, **state.carry}
    points = {name: a for name, a in own.items() if len(a) == model.n}
    usual = solver.fields(model, state)
    cells = dict(solver.cell_fields(model, state))
    points.update(usual)
    asked = ["v", *usual, *cells]
    if words is not None:
        asked = [name for name in words.split(",") if name]
        points |= solver.more_fields(model, state)
        cells |= solver.more_cell_fields(model, state)
    there = [*points, *cells]
    for name in asked:
        if name not in there:
            raise ValueError(
                f"--fields: got {name!r}{did_you_mean(name, there)}, expected some of"
                f" {', '.join(there)}"
            )
    return (
        {name: tuple(points[name].shape[1:]) for name in asked if name in points},
        {name: tuple(cells[name].shape[1:]) for name in asked if name in cells},
    )


def recorded(
    names: Collection[str], solver: Any, model: Any, state: State
) -> dict[str, Tensor | float]:
    """What is recorded of a state that is not in it, totals too.

    Args:
        names: Of the fields that are wanted; those that take time are worked out only for these.
        solver: What runs.
        model: What it runs.
        state: Of that model.
    """
    points, cells = solver.fields(model, state), solver.cell_fields(model, state)
    if not set(names) <= {"v", "F", *state.carry, *points, *cells}:
        points = {**points, **solver.more_fields(model, state)}
        cells = {**cells, **solver.more_cell_fields(model, state)}
    return {**points, **cells, **solver.totals(model, state)}
