# SPDX-License-Identifier: Apache-2.0
"""About how stiff a material is, before a law of it is learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rheograd.materials.elastic import Hencky
from rheograd.materials.law import ConstitutiveLaw

from ..observations.observation import Observation
from ..scene import Scene
from .experiment import Experiment, comparable
from .least_squares import fit_parameters
from .parameter import Parameter
from .run_folder import Tell
from .team import Team
from .trials import Trials

POISSON = 0.25
"""As that of a new learned law."""
START = 1e5
"""[Pa]"""
FACTOR = 4.0
"""Between the moduli that are tried first."""
EITHER_SIDE = 4
"""Of the start, moduli that are tried."""


def expected_young(
    scenes: Callable[[ConstitutiveLaw], Sequence[Scene]],
    solver: Any,
    observations: Sequence[Observation],
    *,
    start: float = START,
    team: Team | None = None,
    tell: Tell = lambda metrics: None,
) -> float:
    """Young's modulus [Pa] of the elastic solid that moves most like what was seen.

    Moduli a factor of four apart are tried, from 400 Pa to 25 MPa about the default start, then
    the best is fitted.

    Args:
        scenes: Makes the scenes with a law for what was seen.
        solver: How they are simulated.
        observations: Of each scene.
        start: What is tried first [Pa].
        team: Processes that share the scenes.
        tell: Is told how far it is.

    Raises:
        SimulationError: Not even a solid of the starting modulus can be simulated.
        ValueError: Likewise.
    """

    def build(*, young: float, number: int) -> Scene:
        return scenes(Hencky(young, POISSON))[number]

    experiments = comparable(
        [Experiment(seen, {"number": k}, str(k)) for k, seen in enumerate(observations)]
    )
    young = {"young": Parameter(start, 1.0, unit="Pa")}
    trials = Trials(build, solver, experiments, young, team or Team())
    steps = sorted(range(-EITHER_SIDE, EITHER_SIDE + 1), key=abs)
    free = [np.array([young["young"].free(start * FACTOR**k)]) for k in steps]
    misfits = []
    for k, point in enumerate(free):  # one by one: soft ones take longer steps than stiff ones
        tell({"doing": "expected stiffness", "share": k / len(free), "scenes": len(free)})
        misfits.append(trials.misfits([point])[0] if k == 0 else trials.or_infinite(point))
    best = trials.values(free[int(np.argmin(misfits))])
    found = fit_parameters(
        build, solver, experiments, {"young": Parameter(best["young"], 1.0, unit="Pa")},
        max_iterations=6, tolerance=1e-2, search=2, team=team,
    )  # fmt: skip
    return found.values["young"]
