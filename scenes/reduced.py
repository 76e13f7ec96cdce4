# SPDX-License-Identifier: Apache-2.0
"""The part of a command line that runs a scene by a reduced operator."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .fit_progress import FitProgress
from .options import Parser, count
from .options import parameters as parameters_of
from .progress import say
from .selection import chosen_options, require_device

if TYPE_CHECKING:
    from rheograd.engine.fit.experiment import Experiment
    from rheograd.engine.fit.parameter import Parameter
    from rheograd.engine.fit.team import Team
    from rheograd.engine.reduced.solver import ReducedSolver
    from rheograd.engine.scene import Scene

    from .catalog import Script

ITERATIONS = 20
"""Of a fit by an operator, at most."""
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
    if made.operator.doubt:
        say(f"warning: {made.operator.doubt}")
    return made if found.dt is None else made.at_step(found.dt)


def warn_of_options(own: ReducedSolver, script: Script, found: argparse.Namespace) -> None:
    """Say which options of a scene are outside of what the data of an operator were drawn from."""
    scope = own.operator.scope
    options = {p.name: p.default for p in parameters_of(script.build)} | chosen_options(found)
    if strange := scope.unlike(options):
        say(
            f"warning: {scope.scene} was simulated for the operator with other options:"
            f" {'; '.join(strange)}; take the motion with care"
        )


def fewer(found: argparse.Namespace, model: Any) -> str:
    """That a body has fewer particles than sparse points were asked for; empty if it has enough."""
    if found.sparse is None or len(model.chosen) >= found.sparse:
        return ""
    return (
        f"--sparse {found.sparse}: the operator starts from {len(model.chosen)} particles, so"
        " there are no more sparse points"
    )


def started_by_operator(
    path: Path,
    build: Callable[..., Scene],
    solver: Any,
    seen: Sequence[Experiment],
    parameters: Mapping[str, Parameter],
    *,
    given: Mapping[str, Any] | None = None,
    team: Team | None = None,
) -> dict[str, Parameter]:
    """Parameters that start where a fit by an operator ends: that costs a part of a fit in full.

    Where a simulation in full says that this is no better than the start that was asked for, they
    stay as they are. Between frames of the operator its motion is interpolated to what was seen.

    Args:
        path: Of the operator.
        build: Makes the scene from keywords.
        solver: In full.
        seen: What was seen.
        parameters: Where that fit starts.
        given: Other keywords of build(), of all experiments.
        team: Processes that share the experiments.

    Raises:
        FileNotFoundError: There is no operator.
        ValueError: It was not trained for such scenes.
    """
    from rheograd.engine.fit.least_squares import fit_parameters
    from rheograd.engine.fit.team import Team
    from rheograd.engine.reduced.solver import ReducedSolver

    begun, team = time.monotonic(), team or Team()
    own = ReducedSolver.load(path, device=team.device)
    known = held_to_training(parameters, own.operator.scope.parameters)
    progress = FitProgress(
        "by the operator", ITERATIONS, "iterations", known, shown=team.leads,
        remedy="nothing of this part is kept: run it again, or leave --reduced out",
    )  # fmt: skip
    with progress:
        found = fit_parameters(
            build, own, seen, known, given=given, max_iterations=ITERATIONS, team=team,
            tell=progress,
        ).values  # fmt: skip
    taken = f", in {time.monotonic() - begun:.0f} s"
    there, asked = _misfits(
        build, solver, seen, parameters, given, team,
        [found, {name: p.start for name, p in parameters.items()}],
    )  # fmt: skip
    values = ", ".join(f"{name} = {value:.4g}" for name, value in found.items())
    if not there < asked:
        starts = ", ".join(f"{name} = {p.start:.4g}" for name, p in parameters.items())
        say(f"by the operator {values}{taken}, no better than the start {starts}: that is taken")
        return dict(parameters)
    say(f"by the operator {values}{taken}; from there on in full")
    return {name: replace(p, start=found[name]) for name, p in parameters.items()}


def _misfits(
    build: Callable[..., Scene], solver: Any, seen: Sequence[Experiment],
    parameters: Mapping[str, Parameter], given: Mapping[str, Any] | None, team: Team,
    points: Sequence[Mapping[str, float]],
) -> list[float]:  # fmt: skip
    """Mean squared residual in full at values of parameters; infinite where it diverges."""
    import numpy as np

    from rheograd.engine.errors import SimulationError
    from rheograd.engine.fit.experiment import comparable
    from rheograd.engine.fit.trials import Trials

    whole = comparable([replace(e, given={**(given or {}), **e.given}) for e in seen])
    trials = Trials(build, solver, whole, dict(parameters), team)
    free = [np.array([p.free(v[name]) for name, p in parameters.items()]) for v in points]
    try:
        return trials.misfits(free)
    except (SimulationError, ValueError):
        return [trials.or_infinite(point) for point in free]


def begun_with(
    folder: Path, parameters: Mapping[str, Parameter]
) -> dict[str, Parameter] | None:  # fmt: skip
    """Parameters as a fit in a folder was begun with them; None if there is none."""
    config = folder / "config.json"
    if not config.is_file():
        return None
    told = json.loads(config.read_text())
    if told.get("kind") != "parameters" or told["parameters"].keys() != parameters.keys():
        return dict(parameters)
    starts = {name: float(own["start"]) for name, own in told["parameters"].items()}
    return {name: replace(p, start=starts[name]) for name, p in parameters.items()}


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
