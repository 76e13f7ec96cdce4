# SPDX-License-Identifier: Apache-2.0
"""Tracks in pixels as an observation: where they are bound, their errors and derivatives."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rheograd.engine.fit.least_squares import fit_parameters
from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.moving_surface import MovingSurface
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.observations.joint import Joint
from rheograd.engine.observations.observation import tempered
from rheograd.engine.observations.pixel_tracks import PixelTracks
from rheograd.engine.scene import Scene
from rheograd.engine.simulate import simulate
from rheograd.engine.trajectory import Trajectory
from rheograd.engine.vision import comparison
from rheograd.engine.vision.camera import Camera
from rheograd.engine.vision.camera_files import save_camera
from rheograd.engine.vision.comparison import SEEN, SIMULATED, marked
from rheograd.engine.vision.tracks import Tracks
from rheograd.engine.vision.video import open_video
from rheograd.scenes import drop
from rheograd.scenes.cli import main

SIZE = (320, 240)
SOLVER = MPMSolver(cell=1 / 16, precision="float64")
FACE = torch.cartesian_prod(*[torch.linspace(-0.09, 0.09, 5)] * 2).double()
"""Places on the front face of the box, from its middle [m]."""


def build(*, young: float = 2e4, velocity: float = -3.0) -> Scene:
    scene = drop.build(
        young=young, size=0.25, height=0.08, turn=(0.0, 0.0, 0.0), velocity=(0.5, velocity, 0.0)
    )
    return replace(scene, duration=0.12)


def camera() -> Camera:
    return Camera.look_at((0.5, 0.3, 2.2), (0.5, 0.2, 0.5), size=SIZE, field_of_view=25.0)


def motion(**chosen: float) -> Trajectory:
    return simulate(build(**chosen), SOLVER.at_step(5e-4), steps=240, every=20)


def places(run: Trajectory) -> torch.Tensor:
    """On the front face at rest."""
    middle = run.x[0].mean(0)
    front = torch.full((len(FACE), 1), 0.125, dtype=torch.float64)
    return middle + torch.cat([FACE, front], 1)


def seen_by(camera: Camera, run: Trajectory) -> Tracks:
    """Exact tracks of the face, by the particles' own surface."""
    from rheograd.engine.carrying import Carried

    carried = Carried.by(places(run), run.x[0], 24)
    pixels = camera.project(carried.at(run.x)).at.numpy()
    return Tracks(pixels, run.time.numpy(), SIZE, None, camera, "made")


def bound(run: Trajectory, tracks: Tracks, **more: Any) -> PixelTracks:
    return PixelTracks.bind(tracks, MovingSurface.of(run), run.x[0], **more)


def test_tracks_are_bound_where_their_rays_meet_the_body() -> None:
    run = motion()
    found = bound(run, seen_by(camera(), run))
    assert found.bound.tolist() == list(range(len(FACE)))
    assert found.carried.rest.numpy() == pytest.approx(places(run).numpy(), abs=1e-6)
    # carried by the corners of its triangle, which bends a little otherwise than the particles
    gap = (found.predicted(run) - torch.from_numpy(found.tracks.pixels)).norm(dim=2)
    assert float(gap[0].max()) < 1e-4
    assert float(gap.max()) < 0.5 and float(gap.median()) < 0.1


def test_tracks_near_an_edge_are_left_out() -> None:
    """A patch there shows two faces, or what is behind."""
    run = motion()
    middle = run.x[0].mean(0)
    # 0.3 px, 3 px, 8 px and 30 px from the right edge of the front face, and on its top edge
    view = camera()
    inside = torch.tensor([0.3, 3.0, 8.0, 30.0]) / (view.focal[0] / 1.575)
    front = torch.stack([0.125 - inside, 0 * inside, 0 * inside + 0.125], 1)
    top = torch.tensor([[0.0, 0.125 - 1e-4, 0.125]])
    at = middle + torch.cat([front, top])
    pixels = view.project(at).at.numpy()[None].repeat(len(run), 0)
    tracks = Tracks(pixels, run.time.numpy(), SIZE, None, view, "made")
    assert bound(run, tracks).bound.tolist() == [2, 3]
    assert bound(run, tracks, rim=2.0).bound.tolist() == [1, 2, 3]
    assert bound(run, tracks, rim=0.0).bound.tolist() == [0, 1, 2, 3, 4]
    # where nothing else is seen they are better than nothing
    alone = replace(tracks, pixels=pixels[:, :1])
    assert bound(run, alone).bound.tolist() == [0]


def test_tracks_that_are_mostly_beside_the_body_are_doubted() -> None:
    """And the noise says whether it was stated."""
    run = motion()
    tracks = seen_by(camera(), run)
    assert bound(run, tracks).doubts() == ()
    beside = np.broadcast_to([5.0, 5.0], (len(tracks.time), tracks.pixels.shape[1], 2))
    both = replace(tracks, pixels=np.concatenate([tracks.pixels, beside], 1), quality=None)
    found = bound(run, both)
    (doubt,) = found.doubts()
    count = tracks.pixels.shape[1]
    assert f"only {count} of {2 * count} tracks" in doubt and "check the pose" in doubt
    assert found.noises() == ("0.3 px (assumed)",)
    stated = bound(run, tracks, noise=0.1)
    joined = Joint((found, stated))
    assert joined.doubts() == (doubt,)
    assert joined.noises() == ("0.3 px (assumed)", "0.1 px (stated)")


def test_what_misses_the_body_goes_to_its_nearest_corner_ahead() -> None:
    run = motion()
    found, surface = bound(run, seen_by(camera(), run)), MovingSurface.of(run)
    aside = replace(run, x=run.x + torch.tensor([0.13, 0.0, 0.0]))
    at = torch.from_numpy(found.tracks.pixels[0])
    corners = camera().project(surface.vertices(aside.x[0])).at
    nearest = corners[torch.cdist(at, corners).argmin(1)]
    bound_at = found.rebound(aside).predicted(aside)[0]
    met, missed = (bound_at - at).norm(dim=1) < 0.1, (bound_at - nearest).norm(dim=1) < 1e-6
    assert bool((met ^ missed).all()) and 5 < int(missed.sum()) < 20
    # a part of the body is behind this camera, beside which it is
    eye = run.x[0].mean(0) + torch.tensor([0.3, 0.0, 0.0])
    beside = Camera.look_at(
        tuple(eye.tolist()), tuple((eye - torch.tensor([0.0, 0.0, 1.0])).tolist()), size=SIZE
    )
    ahead = beside.project(surface.vertices(run.x[0])).ahead
    assert bool(ahead.any()) and not bool(ahead.all())
    assert bool(beside.project(found.through((beside,)).carried.rest).ahead.all())


def test_tracks_are_bound_again_where_the_body_starts_and_not_later() -> None:
    run = motion()
    found = bound(run, seen_by(camera(), run))
    assert found.rebound(run) is found
    lower = replace(run, x=run.x - torch.tensor([0.0, 0.02, 0.0]))
    gap = found.rebound(lower).predicted(lower)[0] - torch.from_numpy(found.tracks.pixels[0])
    assert float(gap.norm(dim=1).max()) < 1e-3
    later = found.window(3, 9)
    assert later.rebound(run.window(3, 9)) is later


def test_the_clock_of_the_tracks_starts_with_the_camera() -> None:
    run = motion()
    late = bound(run, seen_by(camera(), run), camera=replace(camera(), start=0.25))
    assert late.time.tolist() == pytest.approx((run.time + 0.25).tolist())


def test_the_residual_is_in_standard_deviations_and_counts_gaps_as_nothing() -> None:
    run = motion()
    tracks = seen_by(camera(), run)
    shifted = tracks.pixels + np.array([0.3, 0.0])
    shifted[2:4, 5] = np.nan
    found = bound(run, replace(tracks, pixels=shifted), noise=0.1)
    residual, exact = found.residual(run), bound(run, tracks, noise=0.1).residual(run)
    assert not bool(found.seen()[2:4, 5].any()) and not bool(residual[2:4, 5].any())
    # bound to the pixels of the first frame, which are shifted, too: later frames are consistent
    assert float((residual[0] - exact[0]).abs().max()) < 0.05
    other = replace(found, carried=bound(run, tracks).carried)
    expected = tempered(torch.tensor([-0.3, 0.0], dtype=torch.float64), 3.0 * 0.1)
    assert other.residual(run)[0, 0].tolist() == pytest.approx([-0.3, 0.0], abs=0.01)
    assert other.robust(run)[0, 0].tolist() == pytest.approx(expected.tolist(), abs=0.01)
    assert float(other.error(run)) > float(other.misfit(run))
    assert len(other.window(0, 4).time) == 4 and other.window(0, 4).seen().shape[0] == 4


def test_long_errors_count_by_their_length() -> None:
    r = torch.tensor([[0.01, 0.0], [0.0, 1e4]], dtype=torch.float64)
    out = tempered(r, 3.0).norm(dim=1)
    assert float(out[0]) == pytest.approx(0.01, rel=1e-5)
    assert float(out[1] ** 2) == pytest.approx(2 * 3 * 1e4 - 2 * 9, rel=1e-6)
    gaps = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda g: tempered(4 * g, 3.0), (gaps,))


def test_derivatives_by_positions_are_exact() -> None:
    run = motion()
    tracks = seen_by(camera(), run)
    pixels = tracks.pixels + np.random.default_rng(0).normal(0, 0.5, tracks.pixels.shape)
    pixels[1, 3] = np.nan
    found = replace(bound(run, tracks), tracks=replace(tracks, pixels=pixels))
    x = run.x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(found.misfit(replace(run, x=x)), x)
    along = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    h = 1e-6
    ends = [float(found.misfit(replace(run, x=run.x + s * h * along))) for s in (1, -1)]
    assert float((slope * along).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)
    assert bool((slope[0] == 0).all()) is False


def test_a_later_window_is_bound_by_the_first_frame() -> None:
    run = motion()
    whole = bound(run, seen_by(camera(), run))
    later = whole.window(3, 9)
    again = later.through(later.cameras)
    assert torch.equal(again.carried.weights, later.carried.weights)
    assert torch.equal(again.residual(run.window(3, 9)), whole.residual(run)[3:9])


def test_what_cannot_be_bound_is_refused() -> None:
    run = motion()
    tracks = seen_by(camera(), run)
    with pytest.raises(ValueError, match="what camera saw them"):
        bound(run, replace(tracks, camera=None))
    with pytest.raises(ValueError, match="640 x 480 px, the tracks are from 320 x 240"):
        bound(run, tracks, camera=camera().resized(2.0))
    with pytest.raises(ValueError, match="they lie beside it"):
        bound(run, replace(tracks, pixels=tracks.pixels * 0 + 3.0))
    away = Camera.look_at((0.5, 0.3, 2.2), (0.5, 0.3, 4.0), size=SIZE)
    with pytest.raises(ValueError, match="the body is behind the camera"):
        bound(run, tracks, camera=away)
    with pytest.raises(ValueError, match="noise of 0 px"):
        bound(run, tracks, noise=0.0)
    with pytest.raises(ValueError, match="4 frames, the tracks 13"):
        bound(run, tracks).residual(run.window(0, 4))


def test_rings_are_where_points_were_seen_and_crosses_where_they_are_simulated() -> None:
    seen = np.array([[60.0, 100.0], [np.nan, np.nan]])
    simulated = np.array([[200.0, 40.0], [150.0, 180.0]])
    drawn = marked(np.zeros((220, 330, 3), np.uint8), seen, simulated)
    for row, column in ((180, 152), (178, 150), (40, 202)):
        assert drawn[row, column].tolist() == pytest.approx(SIMULATED, abs=40)
    for row, column in ((97, 60), (103, 60), (100, 57)):
        assert drawn[row, column].tolist() == pytest.approx(SEEN, abs=80)
    assert not drawn[175:186, 160:].any() and not drawn[:30].any()


def test_a_film_of_both_is_as_fast_as_what_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = motion()
    tracks = seen_by(camera(), run)
    drawn: list[tuple[np.ndarray, np.ndarray]] = []

    def mark(picture: np.ndarray, seen: np.ndarray, simulated: np.ndarray) -> np.ndarray:
        drawn.append((seen, simulated))
        return picture

    monkeypatch.setattr(comparison, "marked", mark)
    simulated = tracks.pixels + 2.0
    comparison.compare(tracks, simulated, tmp_path / "a.mp4", tmp_path / "a.png")
    assert [len(rows) for rows in zip(*drawn, strict=True)] == [len(run)] * 2
    assert all((a == b).all() for (a, _), b in zip(drawn, tracks.pixels, strict=True))
    assert all((a == b).all() for (_, a), b in zip(drawn, simulated, strict=True))
    film = open_video(tmp_path / "a.mp4")
    assert film.size == SIZE and film.frames == len(run)
    assert film.frame_rate == pytest.approx(100.0)


@pytest.mark.slow
def test_a_stiffness_is_found_from_pixels() -> None:
    """Of one camera, with noise of a third of a pixel."""
    run = motion(young=3e4)
    tracks = seen_by(camera(), run)
    noisy = tracks.pixels + np.random.default_rng(7).normal(0, 0.3, tracks.pixels.shape)
    found = fit_parameters(
        build, SOLVER.at_step(5e-4), bound(run, replace(tracks, pixels=noisy)),
        {"young": Parameter(2e4, 1.0), "velocity": Parameter(-2.8)},
    )  # fmt: skip
    young, velocity = found.parameters
    assert young.value == pytest.approx(3e4, rel=0.02)
    assert velocity.value == pytest.approx(-3.0, rel=0.01)
    assert young.low95 is not None and young.high95 is not None
    assert young.low95 < 3e4 < young.high95


def test_the_command_line_fits_numbers_to_tracks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = motion()
    tracks = replace(seen_by(camera(), run), camera=None)
    tracks.save(tmp_path / "t.npz")
    save_camera(camera(), tmp_path / "c.toml")
    script = tmp_path / "thrown.py"
    script.write_text(
        "from test_pixel_tracks import SOLVER, drop, replace\n"
        "def build(law=None, *, young=2.6e4, poisson=0.3, velocity=-3.0):\n"
        "    scene = drop.build(law, young=young, poisson=poisson, size=0.25, height=0.08,"
        " turn=(0.0, 0.0, 0.0), velocity=(0.5, velocity, 0.0))\n"
        "    return replace(scene, duration=0.12)\n"
        "def solver():\n"
        "    return SOLVER.at_step(5e-4)\n"
    )
    fit = ["fit", str(script), str(tmp_path / "t.npz"), "--parameters", "young", "--out"]
    assert main([*fit, str(tmp_path / "a")]) == 2
    assert "do not say what camera saw them" in capsys.readouterr().err
    fit += [str(tmp_path / "b"), "--camera", str(tmp_path / "c.toml")]
    more = ["--law", "neo-hookean", "--hold-out", "0.25", "--epochs", "8", "--numerics"]
    assert main([*fit, *more]) == 0
    told = capsys.readouterr().err
    assert "25 of 25 tracks are on the body" in told and "px RMS" in told
    report = json.loads((tmp_path / "b" / "report.json").read_text())
    (young,) = report["parameters"]
    assert set(young["parts"]) == {"tracks", "particles", "cells"}
    assert young["value"] == pytest.approx(2e4, rel=0.02)
    assert report["errors"][0]["rms_distance_px"] < 0.3
    assert [e["name"] for e in report["errors"]] == ["reconstruction", "with the held-out tail"]
    assert "px²" in (tmp_path / "b" / "report.html").read_text()
    assert main([*fit, "--law", "corotatd"]) == 2
    assert "did you mean corotated" in capsys.readouterr().err
    law = ["fit", str(script), str(tmp_path / "t.npz"), "--law", "invariant-smooth"]
    assert main([*law, "--out", str(tmp_path / "c")]) == 2
    assert "do not say what camera saw them" in capsys.readouterr().err
