# SPDX-License-Identifier: Apache-2.0
"""Point clouds and force curves: closed forms, derivatives, bad input."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.fit.least_squares import fit_parameters
from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.generators import box
from rheograd.engine.moving_surface import MovingSurface
from rheograd.engine.observations.force_curve import ForceCurve, read_curve
from rheograd.engine.observations.point_clouds import PointClouds, nearest, read_clouds
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import Hencky

TIMES = torch.tensor([0.0, 0.1], dtype=torch.float64)


def block() -> tuple[Trajectory, MovingSurface]:
    shape = Box((0.3, 0.2, 0.2), (0.5, 0.3, 0.5))
    rest = shape.sample(0.04).points
    surface = MovingSurface.of_particles([shape.surface()], rest, torch.zeros(len(rest)))
    return Trajectory(TIMES, torch.stack([rest, rest + 0.01])), surface


def test_a_cloud_that_is_the_surface_fits_exactly() -> None:
    run, surface = block()
    clouds = [x[torch.randperm(len(x))] for x in surface.vertices(run.x)]
    seen = PointClouds.bind(clouds, TIMES, surface)
    assert float(seen.misfit(run)) < 1e-24
    assert seen.seen().shape == (2, 2 * len(surface.rest)) and bool(seen.seen().all())


def test_a_shift_below_half_a_spacing_is_its_square() -> None:
    """Every point's nearest is its own, both ways: the mean squared component is |d|²/3."""
    run, surface = block()
    shift = torch.tensor([1e-3, -5e-4, 2e-4], dtype=torch.float64)
    seen = PointClouds.bind([x + shift for x in surface.vertices(run.x)], TIMES, surface)
    assert float(seen.misfit(run)) == pytest.approx(float(shift.square().sum()) / 3, rel=1e-9)
    assert torch.allclose(seen.residual(run), -shift.expand(1, 1, 3), atol=1e-12)


def test_a_cloud_of_a_part_does_not_pull_the_rest() -> None:
    run, surface = block()
    top = surface.rest[:, 1] > 0.399
    clouds = [x[top][: 5 + k] for k, x in enumerate(surface.vertices(run.x))]
    part = PointClouds.bind(clouds, TIMES, surface, whole=False)
    assert float(part.misfit(run)) < 1e-24
    assert part.seen().sum(1).tolist() == [5, 6]
    assert float(PointClouds.bind(clouds, TIMES, surface).misfit(run)) > 1e-3


def test_derivatives_of_clouds() -> None:
    run, surface = block()
    draw = torch.Generator().manual_seed(1)
    clouds = [x + 5e-3 * torch.randn(x.shape, generator=draw) for x in surface.vertices(run.x)]
    seen = PointClouds.bind([clouds[0], clouds[1][:20]], TIMES, surface)
    x = run.x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(seen.misfit(replace(run, x=x)), x)
    along = torch.randn(x.shape, generator=draw, dtype=torch.float64)
    h = 1e-7
    ends = [float(seen.misfit(replace(run, x=run.x + s * h * along))) for s in (1, -1)]
    assert float((slope * along).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)


def test_the_nearest_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rheograd.engine.observations.point_clouds.CHUNK", 30)
    draw = torch.Generator().manual_seed(2)
    a, b = torch.rand(17, 3, generator=draw), torch.rand(9, 3, generator=draw)
    assert torch.equal(nearest(a, b), (a[:, None] - b).norm(dim=2).argmin(1))


def test_clouds_from_files(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(3, 6, 3))
    points[1, 4:] = np.nan
    np.savez(tmp_path / "c.npz", points=points, time=np.array([0.0, 0.1, 0.2]))
    clouds, times = read_clouds(tmp_path / "c.npz", scale=1e-3)
    assert [len(c) for c in clouds] == [6, 4, 6] and times.tolist() == [0.0, 0.1, 0.2]
    assert clouds[2].numpy() == pytest.approx(1e-3 * points[2])
    folder = tmp_path / "scans"
    folder.mkdir()
    for k in (0, 2):
        trimesh.PointCloud(points[k]).export(folder / f"{k}.ply")
    clouds, times = read_clouds(folder, frame_rate=20.0)
    assert clouds[1].numpy() == pytest.approx(points[2], abs=1e-6)
    assert times.tolist() == [0.0, 0.05]
    with pytest.raises(ValueError, match="--frame-rate"):
        read_clouds(folder)
    with pytest.raises(FileNotFoundError, match="no point clouds"):
        read_clouds(tmp_path / "none")
    np.savez(tmp_path / "d.npz", x=points)
    with pytest.raises(ValueError, match="lacks points, time"):
        read_clouds(tmp_path / "d.npz")


def test_clouds_that_are_none_are_refused() -> None:
    run, surface = block()
    good = surface.rest
    bad: list[tuple[Any, str]] = [
        ([good], "got 1 clouds and 2 times"),
        ([good, good[:0]], "cloud 1 has shape .0, 3."),
        ([good, good[:, :2]], "cloud 1 has shape"),
        ([good, good / 0.0], "not finite"),
    ]
    for clouds, said in bad:
        with pytest.raises(ValueError, match=said):
            PointClouds.bind(clouds, TIMES, surface)
    three = Trajectory(torch.arange(3).double(), run.x[:1].expand(3, -1, -1))
    with pytest.raises(ValueError, match="3 frames, expected 2"):
        PointClouds.bind([good, good], TIMES, surface).residual(three)


BAR = box((2.0, 1.0, 1.0), (2, 1, 1), corner=(0, 0, 0))


def stretched(*, young: float = 1e4) -> Scene:
    """Uniaxial tension by 20 %, sides free: the force is E log(λ) A λ^-1 of a Hencky solid."""
    holds = [Fixed("x-", "x"), Fixed("y-", "y"), Fixed("z-", "z")]
    pull = Displacement("x+", (0.4, 0.0, 0.0), "x")
    return Scene([Body(BAR, Hencky(young, 0.3), 1e3)], [*holds, pull], (0, 0, 0), duration=1.0)


SOLVER = FESolver(integrator=Static(4), tolerance=1e-12)


def pulled(x: torch.Tensor) -> torch.Tensor:
    return x[:, 0] > 1.999


def curve(force: torch.Tensor) -> ForceCurve:
    times = torch.linspace(0.25, 1.0, 4, dtype=torch.float64)
    rest = SOLVER.discretize(stretched()).x0
    return ForceCurve.bind(times, force, rest, pulled, axis=(2.0, 0.0, 0.0))


def closed_form(young: float) -> torch.Tensor:
    """Kirchhoff stress E log λ along the bar, first Piola stress divided by λ; area 1 m²."""
    stretch = 1 + 0.2 * torch.linspace(0.25, 1.0, 4, dtype=torch.float64)
    return young * stretch.log() / stretch


def test_a_force_is_that_of_the_closed_form() -> None:
    run = simulate(stretched(), SOLVER)
    seen = curve(closed_form(1e4))
    later = run.window(1)
    assert seen.predicted(later).tolist() == pytest.approx(closed_form(1e4).tolist(), rel=1e-9)
    assert float(seen.misfit(later)) < 1e-8
    gaps = seen.force.clone()
    gaps[2] = torch.nan
    part = replace(seen, force=gaps + 2.0)
    assert part.seen()[:, 0].tolist() == [True, True, False, True]
    assert float(part.misfit(later)) == pytest.approx(4.0)


def test_a_modulus_is_found_from_a_force() -> None:
    found = fit_parameters(
        stretched, SOLVER, curve(closed_form(2.3e4)), {"young": Parameter(1e4, 1.0)}
    )
    assert found.values["young"] == pytest.approx(2.3e4, rel=1e-5)
    with pytest.raises(ValueError, match=r"steps of 0\.333333 s, and was observed every 0\.25 s"):
        fit_parameters(
            stretched, replace(SOLVER, integrator=Static(3)), curve(closed_form(2.3e4)),
            {"young": Parameter(1e4, 1.0)},
        )  # fmt: skip


def test_derivatives_of_a_force_by_the_law() -> None:
    seen = curve(closed_form(1.5e4))
    scene = stretched()
    run = simulate(scene, SOLVER, adjoint=Checkpoint())
    law = scene.bodies[0].law
    slope = torch.autograd.grad(seen.misfit(run.window(1)), list(law.parameters()))[0]
    h = 1.0
    with torch.no_grad():
        ends = [
            float(seen.misfit(simulate(stretched(young=1e4 + s * h), SOLVER).window(1)))
            for s in (1, -1)
        ]
    assert float(slope) == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)


def test_curves_that_are_none_are_refused(tmp_path: Path) -> None:
    seen = curve(closed_form(1e4))
    with pytest.raises(ValueError, match="4 times and 3 forces"):
        replace(seen, force=seen.force[:3])
    with pytest.raises(ValueError, match="no force of the curve"):
        replace(seen, force=seen.force * torch.nan)
    with pytest.raises(ValueError, match="no node is where"):
        replace(seen, nodes=seen.nodes[:0])
    run, _ = block()
    with pytest.raises(ValueError, match="has no reactions"):
        curve(closed_form(1e4)).predicted(run)
    with pytest.raises(ValueError, match="5 frames, the curve 4"):
        seen.residual(simulate(stretched(), SOLVER))
    path = tmp_path / "f.csv"
    path.write_text("time, force\n0, 1.5\n0.1, 2\n")
    assert read_curve(path).tolist() == [[0.0, 1.5], [0.1, 2.0]]
    with pytest.raises(ValueError, match=r"'strain': expected strain,force.*got time, force"):
        read_curve(path, columns=("strain", "force"))
    path.write_text("time,force\n0,x\n")
    with pytest.raises(ValueError, match="line 2: got 'x' in column force"):
        read_curve(path)
    with pytest.raises(FileNotFoundError, match="no curve"):
        read_curve(tmp_path / "none.csv")
