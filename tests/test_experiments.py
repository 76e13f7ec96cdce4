# SPDX-License-Identifier: Apache-2.0
"""Several observations and several motions in one fit; what is fitted of the setup along."""

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from rheograd.engine.fit.experiment import Experiment, comparable
from rheograd.engine.fit.least_squares import ParameterFit, fit_parameters
from rheograd.engine.fit.parameter import choose
from rheograd.engine.fit.trials import Trials
from rheograd.engine.fit.uncertainty import entangled, estimate
from rheograd.engine.moving_surface import MovingSurface
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.observations.joint import Joint
from rheograd.engine.observations.observation import Observation, Positions
from rheograd.engine.observations.pixel_tracks import PixelTracks
from rheograd.engine.observations.silhouettes import Silhouettes
from rheograd.engine.raycasting import RayMesh
from rheograd.engine.scene import Scene
from rheograd.engine.simulate import simulate
from rheograd.engine.trajectory import Trajectory
from rheograd.engine.vision.camera import Camera
from rheograd.engine.vision.tracks import Tracks
from rheograd.scenes import drop

SIZE = (320, 240)
SOLVER = MPMSolver(cell=1 / 16, dt=5e-4, precision="float64")
TIMES = torch.tensor([0.0, 0.1, 0.2], dtype=torch.float64)


def build(
    *,
    young: float = 2e4,
    density: float = 1e3,
    velocity: tuple[float, float, float] = (0.5, -3.0, 0.0),
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Scene:
    scene = drop.build(
        young=young, density=density, size=0.25, height=0.08, turn=turn, velocity=velocity
    )
    return replace(scene, duration=0.1)


def front(**more: float) -> Camera:
    focal = more.pop("scale", 1.0)
    camera = Camera.look_at((0.5, 0.3, 2.2), (0.5, 0.2, 0.5), size=SIZE, field_of_view=25.0)
    return replace(camera, focal=camera.focal * focal)


def side() -> Camera:
    return Camera.look_at((2.2, 0.3, 0.5), (0.5, 0.2, 0.5), size=SIZE, field_of_view=25.0)


@cache
def motion(name: str = "", /, **chosen: float | tuple[float, float, float]) -> Trajectory:
    return simulate(build(**chosen), SOLVER, steps=200, every=20)  # type: ignore[arg-type]


def seen_by(camera: Camera, run: Trajectory, told: Camera | None = None) -> PixelTracks:
    """Exact tracks of a grid of pixels on the body, carried by its own surface.

    Args:
        camera: What sees them.
        run: The motion.
        told: The camera that they are said to be from.
    """
    surface = MovingSurface.of(run)
    grid = torch.cartesian_prod(torch.arange(90.0, 230, 20), torch.arange(40.0, 200, 20)).double()
    mesh = RayMesh(surface.vertices(run.x[0]), surface.triangles)
    spots, _, _ = mesh.hits(camera.position, camera.rays(grid), 10.0)
    pixels = camera.project(surface.spots(spots).at(run.x)).at.numpy()
    tracks = Tracks(pixels, run.time.numpy(), SIZE, None, told or camera, "made")
    return PixelTracks.bind(tracks, surface, run.x[0], noise=0.1)


def positions(times: torch.Tensor, shift: float, noise: float | None) -> Positions:
    x = torch.zeros(len(times), 2, 3, dtype=torch.float64) + shift
    return Positions(Trajectory(times, x), noise)


def fitted(
    seen: Observation | list[Experiment], names: dict[str, float | None], iterations: int = 12
) -> ParameterFit:
    return fit_parameters(
        build, SOLVER, seen, choose(build, names, {}), search=0, max_iterations=iterations
    )  # fmt: skip


class TestJoint:
    def test_squares_are_divided_by_each_noise(self) -> None:
        a = positions(TIMES, 0.3, 0.1)
        b = positions(torch.tensor([0.1, 0.15], dtype=torch.float64), -0.2, 0.4)
        both = Joint((a, b))
        assert both.time.tolist() == [0.0, 0.1, 0.15, 0.2]
        assert both.seen().sum(1).tolist() == [6, 12, 6, 6] and both.seen().shape == (4, 12)
        still = Trajectory(both.time, torch.zeros(4, 2, 3, dtype=torch.float64))
        rows = both.residual(still)[both.seen()]
        assert float(rows.square().sum()) == pytest.approx(18 * 3.0**2 + 12 * 0.5**2)
        assert float(both.error(still)) == pytest.approx((18 * 9.0 + 12 * 0.25) / 30)
        assert not bool(both.residual(still)[~both.seen()].any())

    def test_components_of_a_track_are_a_group(self) -> None:
        both = Joint((positions(TIMES, 0.0, 0.1), positions(TIMES, 0.0, 0.2)))
        assert both.groups().tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
        assert Joint((both.parts[0],)).groups().tolist() == [0, 0, 0, 1, 1, 1]

    def test_a_window_is_that_of_its_parts(self) -> None:
        late = positions(torch.tensor([0.2, 0.3], dtype=torch.float64), 0.0, 1.0)
        both = Joint((positions(TIMES, 0.0, 1.0), late))
        assert both.window(0, 2).time.tolist() == [0.0, 0.1]
        assert len(both.window(0, 2).parts) == 1 and len(both.window(1, 4).parts) == 2
        assert both.window(1, 4).time.tolist() == [0.1, 0.2, 0.3]
        other = positions(torch.tensor([0.05, 0.15], dtype=torch.float64), 0.0, 1.0)
        between = Joint((positions(TIMES, 0.0, 1.0), other)).window(0, 3)
        # one frame of the second is inside: it is left out, and its time is not
        assert between.time.tolist() == [0.0, 0.05, 0.1] and len(between.parts) == 1
        assert between.seen().any(1).tolist() == [True, False, True]
        with pytest.raises(ValueError, match="nothing was seen twice"):
            both.window(0, 1)

    def test_frames_that_are_apart_by_rounding_are_one(self) -> None:
        late = positions(TIMES + torch.tensor([3e-9, -2e-9, 1e-9]), 0.0, 1.0)
        both = Joint((positions(TIMES, 0.0, 1.0), late))
        assert both.time.tolist() == pytest.approx(TIMES.tolist(), abs=1e-8)
        assert bool(both.seen().all())

    def test_a_track_that_is_not_seen_leaves_out_its_own_components(self) -> None:
        run = motion()
        seen = seen_by(front(), run)
        pixels = seen.tracks.pixels + 3.0
        lost = int(seen.bound[1])
        pixels[2, lost] = np.nan
        both = Joint((replace(seen, tracks=replace(seen.tracks, pixels=pixels)), seen))
        gaps = torch.nonzero(~both.seen())
        assert gaps.tolist() == [[2, 2], [2, 3]]
        rows = both.residual(run)[..., 0]
        own = rows[:, : 2 * len(seen.bound)]
        assert own[2, 2:4].tolist() == [0.0, 0.0] and int((own == 0.0).sum()) == 2

    def test_parts_draw_in_outliers_and_are_bound_again(self) -> None:
        run = motion()
        astray = seen_by(front(), run)
        pixels = astray.tracks.pixels.copy()
        pixels[4:, astray.bound[2]] += 50.0
        both = Joint((replace(astray, tracks=replace(astray.tracks, pixels=pixels)),))
        assert float(both.misfit(run)) < 0.1 * float(both.error(run))
        (part,) = both.parts
        assert both.robust(run).flatten().tolist() == pytest.approx(
            (part.robust(run) / 0.1).flatten().tolist()
        )
        lower = replace(run, x=run.x - torch.tensor([0.0, 0.02, 0.0]))
        again = both.rebound(lower)
        assert not both.residual(lower)[0].abs().max() < 1.0
        assert again.residual(lower)[0].abs().max() < 0.01

    def test_each_part_has_its_own_cameras(self) -> None:
        run = motion()
        both = Joint((seen_by(front(), run), Positions(run, 1e-3), seen_by(side(), run)))
        new = (front(scale=1.1), replace(side(), position=side().position + 0.1))
        other = both.through(new)
        assert other.parts[1] is both.parts[1]
        for part, camera in zip((other.parts[0], other.parts[2]), new, strict=True):
            assert part.cameras == (camera,)

    def test_derivatives_of_two_cameras_and_a_silhouette(self) -> None:
        run = motion()
        surface = MovingSurface.of(run)
        masks = [np.zeros(SIZE[::-1], bool) for _ in run.time]
        for mask in masks:
            mask[40:160, 100:200] = True
        cover = Silhouettes.bind(
            masks, run.time.numpy(), surface, run.x[0], camera=front(), noise=0.2
        )  # fmt: skip
        both = Joint((seen_by(front(), run), seen_by(side(), run), cover))
        assert len(both.cameras) == 3
        draw = torch.Generator().manual_seed(3)
        x = run.x + 2e-3 * torch.randn(run.x.shape, generator=draw, dtype=torch.float64)
        x.requires_grad_()
        (slope,) = torch.autograd.grad(both.misfit(replace(run, x=x)), x)
        along = torch.randn(x.shape, generator=draw, dtype=torch.float64)
        h = 1e-6
        with torch.no_grad():
            ends = [float(both.misfit(replace(run, x=x + s * h * along))) for s in (1, -1)]
        assert float((slope * along).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * h), 1e-5)

    def test_refusals(self) -> None:
        with pytest.raises(ValueError, match="Positions do not state their noise"):
            Joint((positions(TIMES, 0.0, None),))
        with pytest.raises(ValueError, match="no observations to join"):
            Joint(())
        with pytest.raises(ValueError, match="4 frames, the observations 3 together"):
            both = Joint((positions(TIMES, 0.0, 1.0),))
            both.residual(Trajectory(torch.arange(4.0), torch.zeros(4, 2, 3)))


class TestExperiments:
    def test_two_throws_of_one_material(self) -> None:
        """Each with a velocity of its own that is not known."""
        across = (-0.4, -2.6, 0.3)
        seen = [
            Experiment(seen_by(front(), motion(young=2.6e4)), name="a"),
            Experiment(
                seen_by(front(), motion(young=2.6e4, velocity=across)), {"velocity": across}, "b"
            ),
        ]
        found = fitted(seen, {"young": None, "velocity.x@a": 0.3, "velocity.y@b": -2.4})
        assert found.values["young"] == pytest.approx(2.6e4, rel=1e-4)
        assert found.values["velocity.x@a"] == pytest.approx(0.5, rel=1e-4)
        assert found.values["velocity.y@b"] == pytest.approx(-2.6, rel=1e-4)
        assert found.converged and len(found.steps) == 2

    def test_residuals_and_tracks_are_those_of_one_experiment_after_another(self) -> None:
        """Of each with a step of its own."""
        seen = [
            Experiment(seen_by(front(), motion()), name="a"),
            Experiment(seen_by(side(), motion(young=2.6e4)).window(0, 8), name="b"),
        ]
        trials = Trials(build, SOLVER, seen, choose(build, {"young": 2.2e4}, {}))
        alone = [replace(trials, experiments=[e]) for e in seen]
        points, steps = [np.array([trials.parameters["young"].free(2.2e4)])], [5e-4, 2.5e-4]
        rows = [one.residuals(points, [dt])[0] for one, dt in zip(alone, steps, strict=True)]
        assert len(rows[0]) != len(rows[1])
        assert trials.residuals(points, steps)[0].tolist() == [*rows[0], *rows[1]]
        first, second = (one.groups for one in alone)
        assert trials.groups.tolist() == [*first, *(second + first.max() + 1)]

    def test_units_are_made_comparable(self) -> None:
        track = Experiment(seen_by(front(), motion()), name="a")
        place = Experiment(Positions(motion(), 1e-3), name="b")
        both = comparable([track, place])
        assert [type(e.observation) for e in both] == [Joint, Joint]
        rough = Experiment(Positions(motion(), 1e-2), name="c")
        assert [type(e.observation) for e in comparable([place, rough])] == [Joint, Joint]
        assert comparable([track]) == [track]
        with pytest.raises(ValueError, match="two experiments are called 'a'"):
            comparable([track, track])
        with pytest.raises(ValueError, match="Positions do not state their noise"):
            comparable([track, Experiment(Positions(motion()), name="b")])

    def test_pixels_do_not_tell_stiffness_from_density(self) -> None:
        """A motion under gravity and over a rigid floor depends on their ratio alone."""
        found = fitted(seen_by(front(), motion()), {"young": 2.4e4, "density": 1.1e3})
        assert [p.determined for p in found.parameters] == [False, False]
        ratio = found.values["young"] / found.values["density"]
        assert ratio == pytest.approx(20.0, rel=1e-3)
        (note,) = [n for n in found.warnings if "change together" in n]
        assert "young and density" in note or "density and young" in note
        assert "1 of 2 combinations" in note and "+1.00 : +1.00" in note


class TestSetup:
    def test_the_scale_of_a_camera(self) -> None:
        """It sees things larger by 2 % than it says."""
        found = fitted(
            seen_by(front(scale=1.02), motion(), told=front()),
            {"young": 2.3e4, "camera.scale": None},
        )  # fmt: skip
        assert found.values["camera.scale"] == pytest.approx(1.02, rel=2e-4)
        assert found.values["young"] == pytest.approx(2e4, rel=3e-3)

    def test_where_the_body_starts_and_how_fast(self) -> None:
        """Tracks are bound again to the body as it is turned."""
        run = motion(turn=(0.0, 0.1, 0.0))
        seen = seen_by(front(), run)
        begun = PixelTracks.bind(
            seen.tracks, MovingSurface.of(motion()), motion().x[0], noise=0.1
        )  # fmt: skip
        found = fitted(begun, {"turn.y": 0.04, "velocity.x": 0.4})
        assert found.values["turn.y"] == pytest.approx(0.1, abs=5e-3)
        assert found.values["velocity.x"] == pytest.approx(0.5, abs=5e-3)

    def test_the_direction_of_gravity(self) -> None:
        run = simulate(
            replace(build(), gravity=(1.5, -9.7, 0.0)), SOLVER, steps=200, every=20
        )  # fmt: skip
        found = fitted(seen_by(front(), run), {"gravity.x": None, "gravity.y": None})
        assert found.values["gravity.x"] == pytest.approx(1.5, abs=1e-3)
        assert found.values["gravity.y"] == pytest.approx(-9.7, abs=1e-3)

    def test_a_camera_that_is_turned_and_elsewhere(self) -> None:
        found = fitted(
            seen_by(front(), motion()), {"camera.turn.x": 0.01, "camera.move.y": 0.02}, 20
        )  # fmt: skip
        # seen from far away the two do nearly the same, apart from the perspective
        assert found.misfit < 1e-4 * found.start_misfit
        assert abs(found.values["camera.turn.x"]) < 2e-3
        assert abs(found.values["camera.move.y"]) < 5e-3

    def test_cameras_move_along_the_scene_and_see_it_turned_about_their_own_axes(self) -> None:
        seen = Experiment(seen_by(side(), motion()))
        (moved,) = seen.observed(build, {"camera.move.x": 0.02, "camera.move.z": -0.01}).cameras
        assert (moved.position - side().position).tolist() == pytest.approx([0.02, 0.0, -0.01])
        middle = torch.tensor([[0.5, 0.2, 0.5]], dtype=torch.float64)
        across = math.tan(0.05) * side().focal
        for axis, way in (("x", [0.0, -1.0]), ("y", [1.0, 0.0]), ("z", [0.0, 0.0])):
            (turned,) = seen.observed(build, {f"camera.turn.{axis}": 0.05}).cameras
            shift = (turned.project(middle).at - side().project(middle).at)[0] / across
            assert shift.tolist() == pytest.approx(way, abs=1e-9)

    def test_names_that_there_are_not(self) -> None:
        with pytest.raises(ValueError, match=r"no number 'camera.zoom'.*camera\.scale"):
            choose(build, {"camera.zoom": None}, {})
        with pytest.raises(ValueError, match="did you mean young"):
            choose(build, {"yuong@a": None}, {})
        with pytest.raises(ValueError, match="Positions were seen by none"):
            fitted(Positions(motion()), {"camera.scale": 1.1})


def test_the_combination_that_is_not_determined() -> None:
    """Of three columns the last is twice the first: their changes by +2 : -1 cancel."""
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(2, 60))
    found = estimate(np.stack([a, b, 2 * a], 1), 1e-3 * draw.normal(size=60), np.arange(60) % 12)
    assert found.determined.tolist() == [False, True, False]
    assert found.blind.shape == (1, 3)
    assert found.blind[0] == pytest.approx([1.0, 0.0, -0.5], abs=1e-6)
    (said,) = entangled(found, ["a", "b", "c"])
    assert "a and c change together (as +1.00 : -0.50" in said and "2 of 3" in said
    alone = estimate(np.stack([a, 0 * b], 1), 1e-3 * draw.normal(size=60), np.arange(60) % 12)
    assert alone.determined.tolist() == [True, False] and entangled(alone, ["a", "b"]) == []
    assert math.isfinite(float(alone.std[0]))


def test_no_folder_is_needed(tmp_path: Path) -> None:
    seen = [Experiment(seen_by(front(), motion()), name="a")]
    a = fit_parameters(
        build, SOLVER, seen, choose(build, {"young": 2.2e4}, {}), search=0, folder=tmp_path / "f"
    )  # fmt: skip
    b = fitted(seen, {"young": 2.2e4}, 20)
    assert a.parameters == b.parameters
    assert '"bands"' in (tmp_path / "f" / "metrics.jsonl").read_text()
