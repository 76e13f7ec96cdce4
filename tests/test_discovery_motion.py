# SPDX-License-Identifier: Apache-2.0
"""Formulas that are found in the motion of a plate with a hole and the force that it took."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rheograd.engine.discovery.discover import discover
from rheograd.engine.discovery.from_motion import MotionEquations, held_by
from rheograd.engine.discovery.library import candidates, library
from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.generators import plate_with_hole
from rheograd.engine.observations.force_curve import ForceCurve
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.simulate import simulate
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.energies.symbolic import Symbolic
from rheograd.scenes.cli import main

TRUE = {"(I1bar - 3)": 2e5, "(I2bar - 3)": 1e5, "(J - 1)**2": 5e5}


@pytest.fixture(scope="module")
def pulled() -> Trajectory:
    law = Symbolic(" + ".join(f"{w}*{name}" for name, w in TRUE.items()))
    mesh = plate_with_hole(0.5, 0.2, (4, 4), element="quad8", length=1.0)
    body = Body(mesh, law, 1e3, name="plate")
    pull = Displacement("x+", (0.25, 0.0, 0.0), "x")
    domain = Domain((0.0, 0.0, -0.05), (1.5, 0.6, 0.05))
    scene = Scene(
        [body], [Fixed("x-", "x"), Fixed("y-", "y"), pull], (0.0, 0.0, 0.0), domain=domain
    )
    return simulate(scene, FESolver(integrator=Static(4)), frames=5).to(dtype=torch.float64)


def gripped(motion: Trajectory) -> ForceCurve:
    right = motion.x[0, :, 0] > motion.x[0, :, 0].max() - 1e-6
    nodes = torch.nonzero(right).flatten()
    force = motion.fields["reaction"][:, nodes, 0].sum(1).double()
    return ForceCurve(motion.time, force, nodes, torch.tensor([1.0, 0.0, 0.0]).double())


@pytest.mark.parametrize("noise", [0.0, 1e-5])
def test_finds_the_law_of_a_plate(pulled: Trajectory, noise: float) -> None:
    """Noise is a share of the pull; weights within 5 %."""
    torch.manual_seed(0)
    x = pulled.x.clone()
    x[1:, :, :2] += noise * 0.25 * torch.randn_like(x[1:, :, :2])
    motion = replace(pulled, x=x)
    equations = MotionEquations(motion, gripped(pulled), held_by(pulled))
    parts = candidates(library(equations.deformed.excess, ["mooney-rivlin", "volume"]))
    one = discover(equations, parts, most=4, draws=0)
    told = dict(zip((p.term.name for p in one.chosen.parts), one.chosen.weights, strict=True))
    assert told.keys() == TRUE.keys()
    for name, weight in TRUE.items():
        assert told[name] == pytest.approx(weight, rel=5e-2 if noise else 1e-4)


def test_from_files_on_the_command_line(pulled: Trajectory, tmp_path: Path) -> None:
    pulled.save(tmp_path / "plate.vtkhdf")
    force = gripped(pulled)
    rows = zip(force.times.tolist(), force.force.tolist(), strict=True)
    lines = ["time,force", *(f"{t!r},{f!r}" for t, f in rows)]
    (tmp_path / "force.csv").write_text("\n".join(lines) + "\n")
    words = ["discover", str(tmp_path / "plate.vtkhdf"), "--terms", "mooney-rivlin,volume"]
    words += ["--draws", "2", "--max-terms", "3"]
    for k, more in enumerate(([], ["--reaction", str(tmp_path / "force.csv")])):
        out = tmp_path / f"found{k}"
        assert main([*words, *more, "--out", str(out)]) == 0
        report = json.loads((out / "report.json").read_text())
        assert set(report["path"][2]["terms"]) == set(TRUE)
        assert (out / "law.safetensors").is_file() and (out / "report.html").is_file()
    assert main([*words, "--grip", "left", "--out", str(tmp_path / "c")]) == 2


def test_what_does_not_do_is_refused(pulled: Trajectory) -> None:
    force, held = gripped(pulled), held_by(pulled)
    with pytest.raises(ValueError, match="has no cells"):
        MotionEquations(replace(pulled, cells=None, cell_fields={}), force, held)
    with pytest.raises(ValueError, match="give a force for each frame"):
        MotionEquations(pulled, force.window(0, 3), held)
    with pytest.raises(ValueError, match="nothing sets the scale"):
        MotionEquations(pulled, replace(force, force=0 * force.force), held)
    with pytest.raises(ValueError, match="every node is held"):
        MotionEquations(pulled, force, torch.ones_like(held))
    x = pulled.x.clone()
    x[1, 3] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        MotionEquations(replace(pulled, x=x), force, held)
    mirrored = pulled.x.clone()
    mirrored[1:, :, 0] *= -1
    with pytest.raises(ValueError, match="inside out"):
        MotionEquations(replace(pulled, x=mirrored), force, held)
    with pytest.raises(ValueError, match="no field reaction"):
        held_by(replace(pulled, fields={}))
