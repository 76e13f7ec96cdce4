# SPDX-License-Identifier: Apache-2.0
"""Every scene builds, runs in a short form and passes its own check; some as a whole."""

from __future__ import annotations

import inspect
import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rheograd.engine.scene import Scene
from rheograd.engine.simulate import simulate
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import NeoHookean
from rheograd.scenes import beam, contact, dam_break, drop, sand_column, slope, taffy_pull
from rheograd.scenes.catalog import load_script, scene_files, summary
from rheograd.scenes.options import parameters
from rheograd.scenes.selection import run_check

SCENES = sorted(scene_files())


def run(name: str, *, steps: int | None = None, cell: float | None = None, **options: Any) -> Any:
    """A scene's trajectory and its check, called."""
    script = load_script(name)
    solver: Any = script.solver()
    if cell is not None:
        solver = replace(solver, cell=cell)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*particles a cell.*")
        trajectory = simulate(script.build(**options), solver, steps=steps, frames=40)
    assert script.check is not None
    run_check(script.check, trajectory, options)
    return trajectory


def test_all_scenes_are_found() -> None:
    assert set(SCENES) == {
        "beam", "bouncing_ball", "bracket", "cantilever", "contact", "cook_membrane", "dam_break",
        "drop", "inflated_block", "nclaw", "plate_with_hole", "rve", "sand_column", "slope",
        "taffy_pull", "twisted_bar",
    }  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_scene_builds_runs_and_checks(name: str) -> None:
    run(name, steps=40)


@pytest.mark.parametrize("name", SCENES)
def test_scene_follows_the_convention(name: str) -> None:
    script = load_script(name)
    assert summary(scene_files()[name])
    assert script.check is not None
    known = {p.name for p in parameters(script.build)}
    assert all(p.help for p in parameters(script.build)), "an option without help"
    checked = list(inspect.signature(script.check).parameters)[1:]
    assert set(checked) <= known, "check() takes what build() does not"
    scene = script.build()
    assert isinstance(scene, Scene)
    assert scene.name == name


def test_a_law_replaces_the_default() -> None:
    from rheograd.materials.elastic import Corotated

    law = Corotated(young=1e4, poisson=0.1)
    for name in SCENES:
        assert load_script(name).build(law).bodies[0].law is law


def test_sand_runs_out_as_published() -> None:
    run("sand_column")


def test_tall_sand_runs_out_as_published() -> None:
    run("sand_column", length=0.12, height=0.42)


def test_dam_breaks_as_measured() -> None:
    run("dam_break")


@pytest.mark.parametrize(
    ("angle", "friction"), [(25.0, 0.0), (25.0, 0.2), (40.0, 0.3), (25.0, 0.6)]
)
def test_block_slides_or_sticks_as_coulomb_says(angle: float, friction: float) -> None:
    trajectory = run("slope", angle=angle, friction=friction, young=2e5)
    x, tilt = trajectory.x.double(), math.radians(angle)
    down = torch.tensor([math.cos(tilt), -math.sin(tilt), 0.0], dtype=torch.float64)
    found = slope.acceleration(trajectory.time, ((x - x[0]) @ down).mean(1))
    expected = max(0.0, 9.81 * (math.sin(tilt) - friction * math.cos(tilt)))
    assert found == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(("angle", "friction"), [(15.0, 0.6), (40.0, 0.3)])
def test_heap_stays_or_flows(angle: float, friction: float) -> None:
    run("slope", body="heap", angle=angle, friction=friction, young=2e5)


def test_momentum_is_kept_in_a_collision() -> None:
    run("contact")


def test_taffy_thins() -> None:
    run("taffy_pull")


def test_beam_swings_at_its_frequency() -> None:
    run("beam", cell=0.01)


def test_drop_of_each_shape() -> None:
    for shape in ("sphere", "cylinder", "capsule", "ellipsoid"):
        run("drop", shape=shape, steps=20)
    with pytest.raises(ValueError, match="outside the domain"):
        run("drop", size=1.5)


@pytest.mark.parametrize("material", ["plasticine", "sand", "snow", "water"])
def test_drop_of_each_material(material: str) -> None:
    cell = 1 / 26 if material == "snow" else 1 / 20  # on a grid too coarse it floats
    trajectory = run("drop", material=material, cell=cell)
    assert torch.equal(trajectory.body, torch.zeros(trajectory.particles))


@pytest.mark.parametrize("material", ["sand", "water"])
def test_a_body_that_does_not_flow_is_no_sand(material: Any) -> None:
    trajectory = run("drop", shape="sphere", cell=1 / 20)
    with pytest.raises(AssertionError, match="does not flow"):
        drop.check(trajectory, material=material)


def test_drop_in_a_small_room() -> None:
    trajectory = run("drop", room=0.5, size=0.15, height=0.05, cell=1 / 40)
    assert 0.45 < float(trajectory.x[..., 0].max()) < 0.5


def test_materials_of_a_drop_have_numbers_of_their_own() -> None:
    sand, soft = drop.build(material="sand"), drop.build(material="sand", young=7e4, density=9e2)
    assert [b.density for b in (*sand.bodies, *soft.bodies)] == [1.6e3, 9e2]
    moduli = [float(b.law.wave_modulus()) for b in (*sand.bodies, *soft.bodies)]
    assert moduli[0] / moduli[1] == pytest.approx(2e5 / 7e4)
    jelly = drop.build().bodies[0]
    assert isinstance(jelly.law, NeoHookean)
    assert (jelly.law.young.item(), jelly.law.poisson.item()) == (5e4, 0.3)
    water = drop.build(material="water", bulk=8e4).bodies[0].law
    identity = torch.eye(3, dtype=torch.float64)[None]
    pressure = water.stress(1.001 ** (1 / 3) * identity, identity[:, 0, :0])[0, 0, 0]
    assert pressure.item() == pytest.approx(8e4 * 1e-3, rel=2e-3)


def test_drop_of_a_mesh(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    path = tmp_path / "ring.stl"
    trimesh.creation.torus(0.12, 0.05).export(path)
    trajectory = run("drop", steps=20, mesh=str(path))
    assert trajectory.x.shape[1] > 500


def still(trajectory: Trajectory) -> Trajectory:
    """The same points, not moving."""
    v = None if trajectory.v is None else torch.zeros_like(trajectory.v)
    return replace(trajectory, x=trajectory.x[:1].expand_as(trajectory.x), v=v)


@pytest.mark.parametrize("module", [beam, contact, dam_break, sand_column, slope, taffy_pull])
def test_checks_can_fail(module: Any) -> None:
    """A motion that is none passes no check."""
    scene = module.build()
    time = torch.linspace(0.0, scene.duration, 21, dtype=torch.float64)
    points = [body.shape.sample(module.CELL / 2).points for body in scene.bodies]
    body = torch.cat([torch.full((len(p),), k) for k, p in enumerate(points)])
    x = torch.cat(points).expand(21, -1, 3)
    v = torch.zeros_like(x)
    if module is contact:
        v = v.clone()
        v[:, body == 0, 0] = 2.0
    with pytest.raises(AssertionError, match=r"\w+ .* \w+"):
        module.check(Trajectory(time, x, v=v, body=body))
