# SPDX-License-Identifier: Apache-2.0
"""The benchmark from clips to numbers: what is drawn, what is seen, and how it counts."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent / "benchmarks"))
chain: Any = importlib.import_module("video_chain")


@pytest.mark.parametrize("plastic", [False, True])
def test_truths_are_fixed_and_starts_are_far_off(plastic: bool) -> None:
    truths = [chain.Truth.draw(plastic, seed) for seed in range(20)]
    assert truths[3] == chain.Truth.draw(plastic, 3)
    for truth in truths:
        assert ("yield_stress" in truth.hidden) == plastic
        for name, value in truth.hidden.items():
            assert 0.3 <= abs(truth.start[name] / value - 1.0) <= 0.5
    assert len({truth.hidden["young"] for truth in truths}) == 20


def test_a_truth_has_other_particles_than_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "DURATION", 0.02)
    monkeypatch.setattr(chain, "SOLVER", replace(chain.SOLVER, cell=1 / 25))
    truth = chain.Truth.draw(False, 0)
    model = chain.SOLVER.discretize(chain.build(**truth.hidden))
    for doubled in (False, True):
        motion = truth.motion(0, doubled)
        assert motion.particles != model.n
        gap = torch.cdist(model.x0.double(), motion.x[0].double()).amin(1)
        assert float(gap.median()) > 0.05 * chain.SOLVER.cell * (0.5 if doubled else 1.0)
        assert motion.time.tolist() == pytest.approx([0.0, 0.01, 0.02])


def line(seed: int, off: float, low: float, high: float) -> dict[str, Any]:
    parts = {"tracks": 50.0, "particles": 100.0, "cells": 1000.0}
    young = {
        "true": 5e4, "start": 7e4, "value": 5e4 * (1 + off), "low": low, "high": high,
        "parts": parts,
    }  # fmt: skip
    return {
        "row": "elastic, same grid", "seed": seed, "cameras": 1, "tracks": 61,
        "parameters": {"young": young},
    }  # fmt: skip


def test_the_table_counts() -> None:
    # bands of tracks alone reach 0.20 %, with particles 0.50 % (9.3 degrees of freedom)
    lines = [
        line(0, 0.001, 4.9e4, 5.2e4), line(1, -0.004, 4.9e4, 5.1e4), line(2, 0.006, 4.9e4, 5.1e4),
        line(3, 0.03, 5.1e4, 5.2e4),
    ]  # fmt: skip
    row = chain.table(lines).splitlines()[-1]
    assert row.startswith("| elastic, same grid | 1 | young | +0.35 % | ")
    assert (
        "| 3.00 % | 3 of 4 | 3 of 4 | 2 of 4 | 1 of 4 | 2.0 % | 0.10 % | 0.20 % | 2.00 % |" in row
    )
    assert chain._reach(np.array([1e-3]), 61) == pytest.approx(2.0003e-3, rel=1e-4)
