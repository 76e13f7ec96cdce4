# SPDX-License-Identifier: Apache-2.0
"""The Python in the README runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from rheograd.engine.simulate import simulate

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block(mark: str) -> dict:
    """Names defined by the one block that contains `mark`."""
    (text,) = (text for text in BLOCKS if mark in text)
    names: dict = {"__name__": "readme"}
    exec(compile(text, "README.md", "exec"), names)
    return names


def test_first_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trajectory = block("trajectory.save")["trajectory"]
    assert (tmp_path / "cube.npz").exists()
    assert trajectory.x[-1, :, 1].mean() < trajectory.x[0, :, 1].mean()


def test_law_is_the_derivative_of_the_energy_it_names() -> None:
    law = block("class Fung")["Fung"].example()
    F = torch.eye(3, dtype=torch.float64) + 0.1 * torch.randn(4, 3, 3, dtype=torch.float64)
    F.requires_grad_()
    mu, lam, b = law.mu, law.lam, law.b
    J = (F[:, 0] * torch.linalg.cross(F[:, 1], F[:, 2])).sum(1)
    psi = mu / (2 * b) * torch.expm1(b * ((F * F).sum((1, 2)) - 3))
    psi = psi - mu * J.log() + lam / 2 * J.log() ** 2
    (P,) = torch.autograd.grad(psi.sum(), F)
    tau = law.update(F, law.rest_internal(4, F), 1e-4).tau
    torch.testing.assert_close(tau, P @ F.mT, rtol=1e-12, atol=1e-8)


def test_scene_runs() -> None:
    scene = block("def build")
    trajectory = simulate(scene["build"](height=0.12), scene["solver"](), steps=20)
    scene["check"](trajectory)


def test_finite_elements_example() -> None:
    """A stiffer bar sinks less, as far as linear elasticity says at small loads."""
    example = block("bent.x[-1, -1, 2].backward()")
    sunk, law = example["bent"].x[-1, -1, 2] - example["bent"].x[0, -1, 2], example["law"]
    linear = -sunk.item() / law.young.item()
    assert 0.5 * linear < law.young.grad.item() < linear
