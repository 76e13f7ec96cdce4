# SPDX-License-Identifier: Apache-2.0
"""Reduced order: about a thousand points carry the motion of any number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .solver import ReducedSolver

__all__ = ["ReducedSolver"]


def __getattr__(name: str) -> Any:
    """The solver, when it is asked for: labels and ranges are read by what needs no engine."""
    if name == "ReducedSolver":
        from .solver import ReducedSolver

        return ReducedSolver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
