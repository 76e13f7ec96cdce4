# SPDX-License-Identifier: Apache-2.0
"""Finite elements from the command line: results, gradients, files, solvers and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.generators import box
from rheograd.engine.mesh.volume_mesh import VolumeMesh
from rheograd.engine.scene import Body, Scene
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint
from rheograd.engine.state import State
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.learned.invariant import InvariantFull
from rheograd.scenes.cli import main
from rheograd.scenes.recording import Recording


def run(*words: object) -> None:
    assert main(["run", *map(str, words)]) == 0


def test_cantilever_writes_what_its_scene_says(tmp_path: Path) -> None:
    out, summary = tmp_path / "bar.vtkhdf", tmp_path / "result.json"
    run("cantilever", "--elements", "hex8", "--n", 2, "--out", out, "--json", summary)
    said = json.loads(summary.read_text())
    assert 15 <= said["newton_iterations"] <= 25 and said["steps"] == said["steps_taken"] == 5
    assert 0.0 < said["residual"] < 1e-8 and said["ended"] == "all steps were taken"
    assert (said["nodes"], said["elements"]) == (81, 32)
    assert said["reaction"][2] == pytest.approx(100.0, rel=1e-6)
    assert said["energies"]["elastic"] > 0.0
    motion = Trajectory.load(out)
    assert motion.cells is not None and motion.cells.kind == "hex8" and len(motion.cells) == 32
    assert {"reaction", "nodal_stress"} <= set(motion.fields)
    assert {"stress", "elastic_energy"} <= set(motion.cell_fields)
    moved = motion.x[-1].double() - motion.x[0].double()
    corner = int((motion.x[0] - torch.tensor([4.0, 0.0, 0.0])).norm(dim=1).argmin())
    assert moved[corner].tolist() == pytest.approx(said["corner"], abs=1e-5)


def test_gradient_is_that_of_differences(tmp_path: Path) -> None:
    def result(young: float, *more: object) -> dict[str, list[float]]:
        summary = tmp_path / f"{young}.json"
        run("cantilever", "--n", 1, "--young", young, "--json", summary, *more)
        return json.loads(summary.read_text())

    gradient = result(1e4, "--gradient", "young,poisson")
    low, high = (result(1e4 + d)["end_face_mean"] for d in (-5.0, 5.0))
    slope = [(b - a) / 10.0 for a, b in zip(low, high, strict=True)]
    assert gradient["gradient_young"] == pytest.approx(slope, rel=1e-5, abs=1e-11)
    assert len(gradient["gradient_poisson"]) == 3


def test_fields_can_be_chosen(
    tmp_path: Path, refuse: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bar.npz"
    run("cantilever", "--n", 1, "--fields", "reaction,stress", "--out", out)
    motion = Trajectory.load(out)
    assert motion.v is None and list(motion.fields) == ["reaction"]
    assert list(motion.cell_fields) == ["stress"]
    capsys.readouterr()
    said = refuse("run", "cantilever", "--n", 1, "--fields", "reactions")
    assert "got 'reactions' (did you mean reaction?)" in said


def test_a_mesh_of_ones_own(
    tmp_path: Path, refuse: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = box((4.0, 1.0, 1.0), (4, 1, 1), element="hex20", corner=(0.0, 0.0, 0.0))
    groups = {"wall": made.facets["x-"], "tip": made.facets["x+"]}
    VolumeMesh("hex20", made.nodes, made.cells, groups).save(tmp_path / "part.msh")
    out = tmp_path / "part.vtkhdf"
    run("cantilever", "--mesh", tmp_path / "part.msh", "--held", "wall", "--loaded", "tip",
        "--out", out, "--check")  # fmt: skip
    assert Trajectory.load(out).cells is not None
    capsys.readouterr()
    said = refuse("run", "cantilever", "--mesh", tmp_path / "part.msh", "--held", "wal")
    assert "'wal'" in said and "wall" in said


@pytest.mark.parametrize("law", [None, "full"])
def test_drop_on_a_mesh(tmp_path: Path, law: str | None) -> None:
    """With the law of the scene, and with a saved network that allows explicit steps only."""
    words: list[object] = ["drop", "--solver", "fe", "--mesh-size", 0.125, "--steps", 20]
    if law is not None:
        saved = tmp_path / "law.safetensors"
        InvariantFull(1e5, seed=0).save(saved)
        words += ["--law", saved]
    out = tmp_path / "drop.vtkhdf"
    run(*words, "--out", out)
    motion = Trajectory.load(out)
    assert motion.cells is not None and len(motion.cells) == 8
    assert bool(torch.isfinite(motion.x).all())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("cantilever", "--cell", 0.1), "--cell: FESolver of cantilever has none"),
        (("drop", "--solver", "fem"), "--solver: got 'fem'"),
        (("drop", "--mesh-size", 0.1), "--mesh-size: MPMSolver of drop has none"),
        (("cantilever", "--gradient", "young"), "--gradient needs --json"),
        (("cantilever", "--dt", 0.1), "time only orders equilibria"),
        (("cantilever", "--elements", "hex9"), "got 'hex9'"),
    ],
)
def test_refusals(words: tuple[object, ...], expected: str, refuse: Callable[..., str]) -> None:
    assert expected in refuse("run", *words)


def test_unknown_gradients(tmp_path: Path, refuse: Callable[..., str]) -> None:
    summary = tmp_path / "a.json"
    said = refuse("run", "cantilever", "--n", 1, "--gradient", "yong", "--json", summary)
    assert "'yong'" in said and "young" in said
    said = refuse("run", "drop", "--gradient", "young", "--json", summary)
    assert "has no results" in said


def test_a_load_that_is_too_large_says_so_and_keeps_what_converged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bar.vtkhdf"
    words = ["--n", "2", "--load-steps", "4", "--traction", "-3e6,0,-3e5", "--out", str(out)]
    assert main(["run", "cantilever", *words]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "no equilibrium beyond" in said and "% of the load" in said and "load steps" in said
    assert len(Trajectory.load(out)) >= 1


def test_a_run_that_fails_says_why_in_its_summary(tmp_path: Path) -> None:
    summary = tmp_path / "result.json"
    words = ["--n", "2", "--load-steps", "4", "--traction", "-3e6,0,-3e5", "--json", str(summary)]
    assert main(["run", "cantilever", *words]) == 1
    said = json.loads(summary.read_text())
    assert "no equilibrium beyond" in said["ended"]
    assert said["steps"] == 4 and said["steps_taken"] < 4
    assert said["frames"] == said["steps_taken"] + 1


TWO_BARS = """
from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Fixed, Traction
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.materials.elastic import NeoHookean

def build(law=None, *, soft: float = 1e4):
    bars = [
        Body(Box((2.0, 1.0, 1.0), (1.0, y, 0.5)), NeoHookean(young, 0.3), 1e3, name=name)
        for name, y, young in (("left", 0.5, soft), ("right", 2.5, 2e4))
    ]
    loads = [Fixed("x-"), Traction("x+", (0.0, 0.0, -50.0))]
    return Scene(bars, loads, gravity=(0.0, 0.0, 0.0), name="bars")

def solver():
    return FESolver(size=1.0, integrator=Static(2))

def results(trajectory):
    x = trajectory.x[-1] - trajectory.x[0]
    return {RESULT: x[:12].mean(0)}
"""


def test_parameters_of_one_name_are_told_apart_by_their_bodies(
    tmp_path: Path, refuse: Callable[..., str]
) -> None:
    scene, summary = tmp_path / "bars.py", tmp_path / "a.json"
    scene.write_text(TWO_BARS.replace("RESULT", "'left_mean'"))

    def mean(soft: float) -> torch.Tensor:
        run(scene, "--soft", soft, "--json", summary)
        return torch.tensor(json.loads(summary.read_text())["left_mean"], dtype=torch.float64)

    said = refuse("run", scene, "--gradient", "young", "--json", summary)
    assert "left.young, left.poisson, right.young, right.poisson" in said
    run(scene, "--gradient", "left.young,right.young", "--json", summary)
    told = json.loads(summary.read_text())
    slope = (mean(1e4 + 5.0) - mean(1e4 - 5.0)) / 10.0
    assert told["gradient_left.young"] == pytest.approx(slope.tolist(), rel=1e-5, abs=1e-11)
    assert told["gradient_right.young"] == [0.0, 0.0, 0.0]


def test_results_cannot_hide_what_the_summary_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = tmp_path / "bars.py"
    scene.write_text(TWO_BARS.replace("RESULT", "'steps'"))
    assert main(["run", str(scene), "--json", str(tmp_path / "a.json")]) == 2
    assert "results() gives steps" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["npz", "vtkhdf"])
def test_a_file_has_the_energies_of_each_frame(tmp_path: Path, ending: str) -> None:
    out, summary = tmp_path / f"bar.{ending}", tmp_path / "result.json"
    run("cantilever", "--n", 2, "--fields", "v", "--out", out, "--json", summary)
    totals = Trajectory.load(out).totals
    said = json.loads(summary.read_text())["energies"]
    assert {name: float(values[-1]) for name, values in totals.items()} == said
    assert said["elastic"] > 0.0 and bool((totals["elastic"].diff() > 0.0).all())
    assert all(values.shape == (6,) and values[0] == 0.0 for values in totals.values())


@pytest.mark.parametrize("ending", ["npz", "vtkhdf"])
def test_a_run_that_goes_on_has_the_totals_of_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    words = ["run", "cantilever", "--n", "2", "--fields", "reaction,point_stress"]
    whole, broken = tmp_path / f"whole.{ending}", tmp_path / f"broken.{ending}"
    assert main([*words, "--out", str(whole)]) == 0
    written = Recording.__call__

    def stopping(self: Recording, state: State) -> None:
        written(self, state)
        if self.frames > 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Recording, "__call__", stopping)
    assert main([*words, "--out", str(broken)]) == 130
    monkeypatch.undo()
    assert main([*words, "--out", str(broken), "--resume"]) == 0
    a, b = Trajectory.load(whole), Trajectory.load(broken)
    assert len(b) == 6 and a.totals.keys() == b.totals.keys() != set()
    assert all(torch.equal(values, b.totals[name]) for name, values in a.totals.items())
    assert torch.equal(a.cell_fields["point_stress"], b.cell_fields["point_stress"])


def test_stress_at_points_is_recorded_if_asked_for(
    tmp_path: Path, refuse: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bar.vtkhdf"
    run("cantilever", "--n", 1, "--elements", "hex20", "--out", out)
    assert "point_stress" not in Trajectory.load(out).cell_fields
    words = ["--fields", "stress,point_stress", "--out", out, "--force"]
    run("cantilever", "--n", 1, "--elements", "hex20", *words)
    found = Trajectory.load(out).cell_fields
    frames, cells = found["stress"].shape[:2]
    assert found["point_stress"].shape[:2] == (frames, cells) and frames == 6
    assert found["point_stress"].shape[2] >= 8 and found["point_stress"].shape[3:] == (3, 3)
    capsys.readouterr()
    said = refuse("run", "cantilever", "--n", 1, "--fields", "points_stress")
    assert "got 'points_stress' (did you mean point_stress?)" in said


def test_stress_at_points_of_a_uniform_state_is_that_of_the_law() -> None:
    law = NeoHookean(young=1e4, poisson=0.3)
    cube = Body(box((1.0, 1.0, 1.0), (2, 1, 1), element="hex20"), law, density=1e3)
    held = [Fixed(f"{axis}-", axis) for axis in "xyz"]
    pulled = [Displacement("x+", (0.2, 0.0, 0.0), "x"), Displacement("y+", (0.0, -0.1, 0.0), "y")]
    scene = Scene([cube], [*held, *pulled], gravity=(0.0, 0.0, 0.0))
    solver = FESolver(integrator=Static(2))
    motion = simulate(scene, solver, record=["point_stress"])
    stretch = motion.x.amax(1) - motion.x.amin(1)
    F = torch.diag_embed(stretch)
    tau = law.update(F, F.new_zeros(3, 0), 1.0).tau.detach()
    stress = tau / stretch.prod(1)[:, None, None]
    found = motion.cell_fields["point_stress"]
    assert found.shape[:2] == (3, 2) and float(stress[-1, 0, 0]) > 1e3
    assert found.shape[2] == solver.discretize(scene).points // 2
    torch.testing.assert_close(found, stress[:, None, None].expand_as(found), rtol=1e-7, atol=1e-4)
    elastic, work = (float(motion.totals[name][-1]) for name in ("elastic", "work"))
    assert elastic == pytest.approx(work, rel=0.05) and elastic > 0.0
    assert "point_stress" not in simulate(scene, solver).cell_fields
    with pytest.raises(ValueError, match=r"'point_stres' \(did you mean point_stress\?\)"):
        simulate(scene, solver, record=["point_stres"])
    with pytest.raises(ValueError, match="with adjoint"):
        simulate(scene, solver, record=["point_stress"], adjoint=Checkpoint())


def test_a_load_is_reached_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames divide the load steps; a part of the load is called so."""
    told = tmp_path / "r.json"
    command = ["run", "cantilever", "--n", "1", "--json", str(told)]

    def result(*more: str) -> dict[str, Any]:
        assert main([*command, *more]) == 0
        return json.loads(told.read_text())

    whole = result()
    assert whole["ended"] == "all steps were taken" and whole["reaction"][2] == pytest.approx(100)
    for frames in ("1", "2", "3"):
        assert result("--frames", frames)["end_face_mean"] == whole["end_face_mean"]
    part = result("--steps", "2")
    assert part["ended"] == "all steps were taken, to 40 % of the load"
    assert part["reaction"][2] == pytest.approx(40.0)
    capsys.readouterr()
    assert main([*command, "--every", "2"]) == 2
    assert "leaves out the last of 5 load steps, expected one of 1, 5" in capsys.readouterr().err
    assert main(["run", "cantilever", "--n", "0"]) == 2
    assert "got n = 0 elements" in capsys.readouterr().err
    assert main([*command[:-1], str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_a_finished_run_is_not_taken_for_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "c.npz")
    assert main(["run", "cantilever", "--n", "1", "--out", out]) == 0
    again = ["run", "cantilever", "--out", out, "--resume", "--n"]
    assert main([*again, "1"]) == 0
    assert "is complete" in capsys.readouterr().err
    assert main([*again, "2"]) == 2
    assert "was begun with --n 1, got 2" in capsys.readouterr().err
    assert main([*again, "1", "--json", str(tmp_path / "r.json")]) == 2
    assert "is complete, and --json is written along with a run" in capsys.readouterr().err
