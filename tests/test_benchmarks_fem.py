# SPDX-License-Identifier: Apache-2.0
"""The benchmark of finite elements runs, without the codes it compares with."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "benchmarks" / "fem.py"


def run(folder: Path, *options: str) -> tuple[str, dict]:
    """What it prints and what it writes."""
    out = folder / "figures.json"
    command = [sys.executable, str(SCRIPT), "--sizes", "2", "--repeats", "1", "--json", str(out)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads(out.read_text(encoding="utf-8"))


def test_our_side_is_timed_and_printed(tmp_path: Path) -> None:
    text, figures = run(tmp_path, "--codes", "rheograd", "--batch", "3")
    assert "n = 2: 32 elements, 243 unknowns" in text
    assert "| rheograd (cholesky), 1 |" in text
    (own,) = figures["figures"]
    assert own["sections"].keys() >= {"model", "assembly", "set-up", "solve", "output"}
    assert 0.0 < sum(own["sections"].values()) <= 1.01 * max(own["cpu"])
    assert 0 < own["imports"] < 1.01 * own["memory"] < 1.03 * own["gradient_memory"]
    assert figures["batch"]["u"] < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("code, module", [("scikit-fem", "skfem"), ("torch-fem", "torchfem")])
def test_a_peer_agrees(tmp_path: Path, code: str, module: str) -> None:
    if find_spec(module) is None:
        pytest.skip(f"{code} is not installed")
    _, figures = run(tmp_path, "--codes", "rheograd", code, "--batch", "0")
    ours, theirs = (f["solution"] for f in figures["figures"])
    assert theirs[0] == pytest.approx(ours[0], abs=1e-8)
