# SPDX-License-Identifier: Apache-2.0
"""How far the motion of a scene is from what was seen, before a fit and after it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import torch

from ..errors import SimulationError
from ..observations.observation import Observation
from ..scene import Scene
from ..trajectory import Trajectory
from .follow import follow
from .run_folder import Tell

SEEN, TAIL, LONGER = "reconstruction", "with the held-out tail", "twice the time"
"""Names of motions: what the fit is made from, that with the rest of it, a longer one."""
HOLD_OUT = 0.1
"""Share of an observed motion, at its end, that is kept to judge a fit unless told otherwise."""


Seen = TypeVar("Seen", bound=Observation)


class Case(NamedTuple):
    """A motion that was seen, and a scene that is compared with it."""

    scene: Scene
    solver: Any
    observation: Observation


class Judgement(NamedTuple):
    """Errors by motion, mean squared residual components; infinite where one diverges."""

    errors: dict[str, float]
    start_errors: dict[str, float]
    """Before the fit."""
    motions: dict[str, Trajectory | None]
    """Of the fitted scenes at the times of the observations; None where one diverges."""


def held_out(observation: Seen, scene: Scene, share: float = HOLD_OUT) -> dict[str, Seen]:
    """What a fit is made from, first, and the whole motion by which it is judged.

    Args:
        observation: From the start of the simulation.
        scene: What is simulated.
        share: Of the motion, at its end, that is kept from the fit; at least one frame after the
            first is fitted.

    Raises:
        ValueError: The share is none, or the observation lasts longer than the scene.
    """
    if not 0.0 <= share < 1.0:
        raise ValueError(f"hold_out is a share from 0 to below 1; got {share:g}")
    last = float(observation.time[-1])
    if last > scene.duration * (1 + 1e-6):
        raise ValueError(
            f"the observation lasts {last:g} s, longer than the simulation of {scene.name},"
            f" {scene.duration:g} s: cut the observation, or give the scene a longer duration"
        )
    count = len(observation.time)
    kept = max(2, 1 + math.floor((count - 1) * (1.0 - share) + 1e-9))
    if kept == count:
        return {SEEN: observation}
    return {SEEN: observation.window(0, kept), TAIL: observation}


def judge(
    after: Mapping[str, Case],
    before: Mapping[str, Case],
    *,
    tell: Tell = lambda metrics: None,
) -> Judgement:
    """Simulate every observed motion with the scene as it was and as it was fitted.

    Args:
        after: What was seen and the scene after the fit, by name.
        before: Likewise before it.
        tell: Is told how many simulations are `judged` `of` all, before each and at the end.
    """
    motions: dict[str, Trajectory | None] = {}
    errors: list[dict[str, float]] = [{}, {}]
    total = len(after) + len(before)
    for number, name in enumerate(after):
        for side, cases in enumerate((after, before)):
            tell({"judged": 2 * number + side, "of": total, "motion": name})
            case = cases[name]
            run = replay(case.scene, case.solver, case.observation)
            errors[side][name] = _error(case.observation, run)
            motions.setdefault(name, run)
    tell({"judged": total, "of": total, "motion": ""})
    return Judgement(errors[0], errors[1], motions)


@torch.no_grad()
def _error(seen: Observation, run: Trajectory | None) -> float:
    return math.inf if run is None else float(seen.rebound(run).error(run))


@torch.no_grad()
def replay(scene: Scene, solver: Any, motion: Observation) -> Trajectory | None:
    """The motion of a scene at the times at which one was seen; None where it diverges."""
    try:
        return follow([scene], solver, motion)[0]
    except SimulationError:
        return None
