# SPDX-License-Identifier: Apache-2.0
"""Parity with trajectories that the published NCLaw code computed, for its four materials."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rheograd.engine.fit.distance import mean_squared_error
from rheograd.scenes import nclaw

ONE_STEP = {"x": 1e-7, "v": 1e-5, "C": 1e-3, "F": 3e-6}
"""Largest difference after the first step in float32 [m, m/s, 1/s, -]."""


@pytest.mark.filterwarnings("ignore:.*particles a cell")
@pytest.mark.parametrize("material", nclaw.MATERIALS)
def test_matches_the_published_code(material: str, reference_data) -> None:
    data = np.load(reference_data(f"nclaw/{material}.npz"))
    solver = nclaw.solver()
    model = solver.discretize(nclaw.build(material=material))
    start = solver.start(model)
    one = solver.step(model, start)
    found = {"x": one.x, "v": one.v, "C": one.carry["C"], "F": one.F}
    for name, bound in ONE_STEP.items():
        reference = torch.from_numpy(data[f"state_{name}"][1])
        assert float((found[name] - reference).abs().max()) < bound, name
    frames = data["step"].tolist()[1:]
    path = solver.rollout(model, start, frames[-1], observe=frames).x
    reference = torch.from_numpy(data["x"][1:])
    assert float((path[frames.index(100)] - reference[frames.index(100)]).abs().max()) < 2e-5
    assert mean_squared_error(path, reference) < 1e-8
