# SPDX-License-Identifier: Apache-2.0
"""The part of a command line that runs a scene by a reduced operator."""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import Parser, count
from .progress import say
from .selection import require_device

if TYPE_CHECKING:
    from rheograd.engine.fit.experiment import Experiment
    from rheograd.engine.fit.parameter import Parameter
    from rheograd.engine.reduced.solver import ReducedSolver
    from rheograd.engine.scene import Scene

EDGE = 0.02
"""Of a range, how far from its ends a search in it starts at least."""
FULL = ("cell", "mesh_size", "elements", "solver")
"""Options of solvers of the full order."""


def add_arguments(parser: Parser) -> None:
    """Options that go with --reduced."""
    group = parser.add_argument_group("reduced order")
    group.add_argument(
        "--reduced", type=Path, metavar="FILE", help="an operator that rheograd reduce wrote"
    )
    group.add_argument(
        "--points", type=count, metavar="N",
        help="whose motion is written, about (default: the particles that it was taught with)",
    )  # fmt: skip
    group.add_argument(
        "--sparse", type=count, metavar="N", help="points that carry the motion (default: 1000)"
    )
    group.add_argument(
        "--insist", action="store_true",
        help="run a scene unlike those that the operator was taught, with a warning",
    )  # fmt: skip


def solver(found: argparse.Namespace) -> ReducedSolver | None:
    """The solver that is asked for, None if none is.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no operator, or an option does not go with it.
    """
    given = {"points": found.points, "sparse": found.sparse}
    given = {name: value for name, value in given.items() if value is not None}
    if found.reduced is None:
        if given or found.insist:
            flag = next(iter(given), "insist")
            raise ValueError(f"--{flag} needs --reduced FILE: the operator that it is about")
        return None
    for name in FULL:
        if getattr(found, name) is not None:
            flag = name.replace("_", "-")
            raise ValueError(
                f"--{flag}: an operator moves points as it was taught to, without cells or"
                " elements of one's choice; leave it out, or run without --reduced"
            )
    from rheograd.engine.reduced.solver import ReducedSolver

    for name in ("device", "precision"):
        if getattr(found, name) is not None:
            given[name] = getattr(found, name)
    if "device" in given:
        require_device(given["device"])
    made = ReducedSolver.load(found.reduced, insist=found.insist, **given)
    return made if found.dt is None else made.at_step(found.dt)


def started_by_operator(
    path: Path,
    build: Callable[..., Scene],
    seen: Sequence[Experiment],
    parameters: Mapping[str, Parameter],
    **settings: Any,
) -> dict[str, Parameter]:
    """Parameters that start where a fit by an operator ends: that costs a part of a fit in full.

    Args:
        path: Of the operator.
        build: Makes the scene from keywords.
        seen: What was seen.
        parameters: Where that fit starts.
        settings: Of `fit_parameters`.

    Raises:
        FileNotFoundError: There is no operator.
        ValueError: It was not trained for such scenes, or its frames do not meet what was seen.
    """
    from rheograd.engine.fit.least_squares import fit_parameters
    from rheograd.engine.reduced.solver import ReducedSolver

    begun = time.monotonic()
    solver = ReducedSolver.load(path)
    known = held_to_training(parameters, solver.operator.scope.parameters)
    found = fit_parameters(build, solver, seen, known, **settings)
    values = ", ".join(f"{name} = {value:.4g}" for name, value in found.values.items())
    say(f"by the operator {values}, in {time.monotonic() - begun:.0f} s; from there on in full")
    return {name: replace(p, start=found.values[name]) for name, p in parameters.items()}


def held_to_training(
    parameters: Mapping[str, Parameter], ranges: Mapping[str, tuple[float, float]]
) -> dict[str, Parameter]:
    """Parameters held to what an operator was trained for, where it knows them by name."""
    known = {name.rpartition(".")[2]: bounds for name, bounds in ranges.items()}
    held = {}
    for name, p in parameters.items():
        low, high = known.get(name, (p.lower, p.upper))
        if name in known and high > low:
            edge = EDGE * (high - low)
            p = replace(p, lower=low, upper=high, start=min(max(p.start, low + edge), high - edge))
        held[name] = p
    return held


def identity(found: argparse.Namespace) -> dict[str, object]:
    """What a run that is resumed must have in common with its beginning."""
    if found.reduced is None:
        return {}
    return {"--reduced": hashlib.sha256(found.reduced.read_bytes()).hexdigest()}
