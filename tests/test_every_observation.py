# SPDX-License-Identifier: Apache-2.0
"""What every observation owes: exact gradients, frames and tracks that agree, windows, refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from walk import every

from rheograd.engine.moving_surface import MovingSurface
from rheograd.engine.observations.force_curve import ForceCurve
from rheograd.engine.observations.joint import Joint
from rheograd.engine.observations.markers import Freedom, Markers, skew
from rheograd.engine.observations.observation import Observation, Positions
from rheograd.engine.observations.pixel_tracks import PixelTracks
from rheograd.engine.observations.point_clouds import PointClouds
from rheograd.engine.observations.silhouettes import Silhouettes
from rheograd.engine.observations.stress_test import StressTest
from rheograd.engine.raycasting import RayMesh
from rheograd.engine.shapes import Box
from rheograd.engine.trajectory import Trajectory
from rheograd.engine.vision.camera import Camera
from rheograd.engine.vision.tracks import Tracks

BODY = Box((0.3, 0.25, 0.2), (0.5, 0.3, 0.5), (0.2, 0.3, 0.1))
CENTER = torch.tensor(BODY.center, dtype=torch.float64)
SIZE = (160, 120)
TIMES = torch.linspace(0.0, 0.25, 6, dtype=torch.float64)
WINDOW = (1, 5)
FRONT = Camera.look_at((0.5, 0.4, 2.0), (0.5, 0.3, 0.5), size=SIZE, field_of_view=30.0)


def vector(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def filled(spacing: float = 0.05, **more: Any) -> tuple[Tensor, MovingSurface]:
    """Particles of the body, and its surface as those carry it."""
    rest = BODY.sample(spacing, **more).points
    return rest, MovingSurface.of_particles([BODY.surface()], rest, torch.zeros(len(rest)))


def flown(rest: Tensor, times: Tensor = TIMES) -> Trajectory:
    """It flies to the side and turns, rigidly."""
    spin, velocity = skew(vector(0.8, -0.5, 1.1)), vector(0.3, -0.2, 0.1)
    turns = torch.linalg.matrix_exp(times[:, None, None] * spin)
    x = (rest - CENTER) @ turns.mT + CENTER + times[:, None, None] * velocity
    v = (x - CENTER - times[:, None, None] * velocity) @ spin.mT + velocity
    return Trajectory(times, x, v=v)


def simulated(rest: Tensor, times: Tensor = TIMES) -> Trajectory:
    """Nearly that, and bent."""
    draw = torch.Generator().manual_seed(5)
    run = flown(rest, times)
    assert run.v is not None
    off, rate, reaction = torch.randn(3, *run.x.shape, generator=draw, dtype=torch.float64)
    fields = {"reaction": reaction}
    return replace(run, x=run.x + 2e-3 * off, v=run.v + 1e-2 * rate, fields=fields)


@dataclass(frozen=True)
class Example:
    """An observation and a motion that is compared with it, with what only they can say."""

    observation: Any
    trajectory: Trajectory
    unit: str
    by: tuple[str, ...] = ("x",)
    """What of a motion its misfit depends on."""
    gaps: bool = True
    """Whether there are tracks that are not seen at times."""
    settled: Callable[[Any, Trajectory], Any] = lambda observation, trajectory: observation
    """The same without what it estimates from all frames together."""
    calm: Callable[[Any], Any] | None = None
    """The same without outliers; None where none are drawn in."""


def positions() -> Example:
    rest, _ = filled()
    return Example(Positions(flown(rest)), simulated(rest), "m", gaps=False)


def markers() -> Example:
    """Of corners of the body.

    The setup is optimal for the misfit and its prior together, so the gradient of the misfit alone
    is exact where the prior counts for nothing: the stated noise is small.

    It is estimated from all frames, and a clock that is off puts markers between two of them, so
    windows are compared with a setup that is known and a clock that is right.
    """
    rest, _ = filled()
    corners = (rest - CENTER).norm(dim=1).topk(6).indices
    x = flown(rest).x[:, corners].clone()
    x[2, 1], x[3:, 4] = torch.nan, torch.nan
    wide = Freedom(rotation=0.3, position=1.0, arm=0.05, clock=0.02, noise=1e-7)
    found = Markers.bind(
        Trajectory(TIMES, x), rest, position=x[0].mean(0), patch=20, freedom=wide
    )  # fmt: skip

    def settled(seen: Markers, run: Trajectory) -> Markers:
        return seen.known(seen.pose(run)._replace(clock=vector(0.0)[0]))

    return Example(found, simulated(rest), "m", ("v", "x"), settled=settled)


def tracks() -> Example:
    """Of a grid of pixels; one goes astray and one is lost."""
    rest, surface = filled()
    grid = torch.cartesian_prod(torch.arange(55.0, 110, 12), torch.arange(30.0, 95, 12)).double()
    mesh = RayMesh(surface.vertices(rest), surface.triangles)
    spots, _, _ = mesh.hits(FRONT.position, FRONT.rays(grid), 10.0)
    pixels = FRONT.project(surface.spots(spots).at(flown(rest).x)).at.numpy()
    seen = Tracks(pixels, TIMES.numpy(), SIZE, None, FRONT, "made")
    found = PixelTracks.bind(seen, surface, rest, noise=0.3)
    astray, lost = found.bound[[2, 5]].tolist()
    pixels[1:, astray] += 15.0
    pixels[3:, lost] = np.nan
    return Example(
        replace(found, tracks=replace(seen, pixels=pixels)), simulated(rest), "px",
        calm=lambda o: replace(o, noise=1e6),
    )  # fmt: skip


def silhouettes() -> Example:
    rest, surface = filled()
    mask = np.zeros(SIZE[::-1], bool)
    mask[40:85, 50:110] = True
    found = Silhouettes.bind([mask] * len(TIMES), TIMES.numpy(), surface, rest, camera=FRONT)
    return Example(found, simulated(rest), "-", gaps=False)


def clouds(times: Tensor = TIMES) -> Example:
    """Of fewer and fewer points, each of its own noise."""
    rest, surface = filled()
    draw = torch.Generator().manual_seed(6)
    found = [
        x[: len(x) - 7 * k] + 4e-3 * torch.randn(len(x) - 7 * k, 3, generator=draw)
        for k, x in enumerate(surface.vertices(flown(rest, times).x))
    ]
    seen = PointClouds.bind(found, times, surface, noise=4e-3)
    return Example(seen, simulated(rest, times), "m", calm=lambda o: replace(o, noise=1e6))


def curve() -> Example:
    rest, _ = filled()
    force = vector(1.0, 2.0, torch.nan, 3.0, -1.0, 0.5)
    found = ForceCurve.bind(TIMES, force, rest, lambda x: x[:, 0] < 0.45, axis=(1.0, 2.0, 0.0))
    return Example(found, simulated(rest), "N", ("reaction",))


def stress_test() -> Example:
    """Of an equibiaxial pull, of which a second component was measured at times."""
    rest, _ = filled()
    stretch = torch.linspace(1.0, 1.5, len(TIMES), dtype=torch.float64)
    found = StressTest.of_kind("ET", stretch, 0.3 * stretch, times=TIMES)
    found.stress[2:4, 1, 1] = torch.nan
    run = simulated(rest)
    draw = torch.Generator().manual_seed(7)
    shape = (*run.x.shape[:2], 3, 3)
    tau, turn = torch.randn(2, *shape, generator=draw, dtype=torch.float64)
    F = found.F[:, None] + 0.05 * turn
    return Example(
        found, replace(run, fields={**run.fields, "F": F, "tau": tau}), "Pa", ("F", "tau")
    )


def joint() -> Example:
    """Of tracks and clouds, these at some of their times."""
    rest, _ = filled()

    def calm(seen: Joint) -> Joint:
        return Joint(tuple(replace(part, noise=1e6) for part in seen.parts))  # type: ignore[type-var]

    parts = (tracks().observation, clouds(TIMES[1:4]).observation)
    return Example(Joint(parts), simulated(rest), "σ", calm=calm)


EXAMPLES: dict[type[Observation], Callable[[], Example]] = {
    Positions: positions,
    Markers: markers,
    PixelTracks: tracks,
    Silhouettes: silhouettes,
    PointClouds: clouds,
    ForceCurve: curve,
    StressTest: stress_test,
    Joint: joint,
}


def example(kind: type[Observation]) -> Example:
    assert kind in EXAMPLES, f"{kind.__name__} has no example: add one to EXAMPLES of this file"
    found = EXAMPLES[kind]()
    assert type(found.observation) is kind
    return found


EVERY = pytest.mark.parametrize("kind", every(Observation), ids=lambda kind: kind.__name__)
BOUND = pytest.mark.parametrize("kind", [Silhouettes, PointClouds], ids=lambda kind: kind.__name__)


def test_the_walk_meets_every_example() -> None:
    assert set(EXAMPLES) == set(every(Observation))


@EVERY
def test_gradients_against_central_differences(kind: type[Observation]) -> None:
    """By all that a motion tells; what the misfit does not depend on has no gradient."""
    given = example(kind)
    seen, run = given.observation, given.trajectory
    assert run.v is not None
    leaves = {"x": run.x, "v": run.v, **run.fields}
    leaves = {name: value.clone().requires_grad_() for name, value in leaves.items()}

    def misfit(at: dict[str, Tensor]) -> Tensor:
        fields = {name: at[name] for name in run.fields}
        return seen.misfit(replace(run, x=at["x"], v=at["v"], fields=fields))

    found = torch.autograd.grad(misfit(leaves), list(leaves.values()), allow_unused=True)
    slopes = {name: s for name, s in zip(leaves, found, strict=True) if s is not None}
    assert sorted(n for n, s in slopes.items() if bool(s.any())) == sorted(given.by)
    h = 1e-6
    for name, value in leaves.items():
        along = torch.randn_like(value)
        with torch.no_grad():
            ends = [float(misfit({**leaves, name: value + s * h * along})) for s in (1, -1)]
        difference = (ends[0] - ends[1]) / (2 * h)
        if name in given.by:
            slope = float((slopes[name] * along).sum())
            assert slope == pytest.approx(difference, rel=1e-6)
        else:
            assert difference == 0.0


@EVERY
def test_tracks_and_frames_agree(kind: type[Observation]) -> None:
    """Residuals are of as many tracks as are seen or grouped, and 0 where nothing was seen."""
    given = example(kind)
    seen, times = given.observation.seen(), given.observation.time
    residual = given.observation.residual(given.trajectory)
    assert seen.dtype == torch.bool and seen.shape == residual.shape[:2]
    assert times.shape == seen.shape[:1] and times.dtype == torch.float64
    assert bool((times.diff() > 0).all())
    assert bool(torch.isfinite(residual).all())
    assert residual.dtype == torch.float64
    assert bool((~seen).any()) == given.gaps
    assert not bool(residual[~seen].any())
    assert bool(residual[seen].any())
    groups = given.observation.groups()
    assert groups.shape == seen.shape[1:] and groups.dtype == torch.int64


@EVERY
def test_components_and_unit_are_declared(kind: type[Observation]) -> None:
    given = example(kind)
    residual = given.observation.residual(given.trajectory)
    assert kind.components == residual.shape[-1]
    assert kind.unit == given.unit


@EVERY
def test_a_window_is_a_slice(kind: type[Observation]) -> None:
    """Of what was seen: clouds are padded to the largest of the frames that are left."""
    given = example(kind)
    part = slice(*WINDOW)
    whole = given.settled(given.observation, given.trajectory)
    cut, rest = whole.window(*WINDOW), given.trajectory.window(*WINDOW)
    assert type(cut) is kind
    assert torch.equal(cut.time, whole.time[part])
    assert torch.equal(cut.seen().sum(1), whole.seen()[part].sum(1))
    for of in ("residual", "robust"):
        found, expected = getattr(cut, of)(rest), getattr(whole, of)(given.trajectory)
        assert bool(expected.any())
        mine, its = found[cut.seen()], expected[part][whole.seen()[part]]
        assert torch.allclose(mine, its, rtol=0, atol=1e-12 * float(its.abs().max()))


@EVERY
def test_outliers_are_drawn_in_and_nothing_else(kind: type[Observation]) -> None:
    given = example(kind)
    seen, run = given.observation, given.trajectory
    misfit, error = float(seen.misfit(run)), float(seen.error(run))
    if given.calm is None:
        assert misfit == error > 0.0
        return
    assert 0.0 < misfit < 0.9 * error
    calm = given.calm(seen)
    assert float(calm.misfit(run)) == pytest.approx(float(calm.error(run)), rel=1e-8)
    assert float(calm.misfit(run)) <= float(calm.error(run))


@EVERY
def test_the_same_cameras_change_nothing(kind: type[Observation]) -> None:
    given = example(kind)
    seen = given.observation
    assert bool(seen.cameras) == (kind in (PixelTracks, Silhouettes, Joint))
    again = seen.through(seen.cameras)
    assert type(again) is kind and len(again.cameras) == len(seen.cameras)
    expected = seen.residual(given.trajectory)
    assert torch.equal(again.residual(given.trajectory), expected)
    if seen.cameras:
        larger = [replace(c, focal=1.02 * c.focal) for c in seen.cameras]
        other = seen.through(tuple(larger)).residual(given.trajectory)
        assert float((other - expected).abs().max()) > 0.01


@EVERY
def test_other_frames_are_refused(kind: type[Observation]) -> None:
    given = example(kind)
    run = given.trajectory
    later = run.pick(torch.tensor([*range(len(run)), len(run) - 1]))
    for other in (run.window(0, len(run) - 1), later):
        with pytest.raises(ValueError, match=f"{len(other)} frames|frames × particles"):
            given.observation.residual(other)


@EVERY
def test_other_particles_carry_the_same_points(kind: type[Observation]) -> None:
    """A rigid motion is carried exactly by any; other observations say that they are of their own.

    Places of tracks are cast again in float32, on a surface that is cut otherwise.
    """
    given = example(kind)
    rest, _ = filled()
    other, surface = filled(0.04, pattern="jittered", seed=3)
    if kind.carried_by is Observation.carried_by:
        with pytest.raises(ValueError, match=f"{kind.__name__} are of the particles of one model"):
            given.observation.carried_by(surface, other)
        return
    assert len(other) != len(rest)
    expected = given.observation.residual(flown(rest))
    found = given.observation.carried_by(surface, other)
    assert torch.equal(found.seen(), given.observation.seen())
    bound = 1e-10 if kind in (Silhouettes, PointClouds) else 1e-3
    assert float((found.residual(flown(other)) - expected).abs().max()) < bound


@BOUND
def test_points_are_carried_on_where_the_body_starts(kind: type[Observation]) -> None:
    """A fit may turn and move the body; where points start is asked of its own particles first."""
    given = example(kind)
    turn, shift = torch.linalg.matrix_exp(skew(vector(0.1, 0.2, -0.1))), vector(0.02, 0.01, 0.0)
    rest, other = (
        (x - CENTER) @ turn.mT + CENTER + shift for x in (filled()[0], BODY.sample(0.04).points)
    )
    skin = BODY.surface()
    moved = skin._replace(vertices=(skin.vertices - CENTER) @ turn.mT + CENTER + shift)
    surface = MovingSurface.of_particles([moved], other, torch.zeros(len(other)))
    with pytest.raises(ValueError, match=r"body 0 starts .* from where points were bound"):
        given.observation.carried_by(surface, other)
    later = given.observation.rebound(flown(rest).window(1))
    assert later is given.observation, "that does not show the start"
    begun = given.observation.rebound(flown(rest))
    expected = given.observation.residual(flown(rest))
    assert torch.equal(begun.residual(flown(rest)), expected)
    found = begun.carried_by(surface, other).residual(flown(other))
    assert float((found - expected).abs().max()) < 1e-10


def test_points_stay_with_their_body() -> None:
    """Of two that touch and part, whatever particles they are made of."""
    boxes = [Box((0.2, 0.2, 0.2), (0.4 + 0.2 * k, 0.3, 0.5)) for k in range(2)]

    def pair(spacing: float) -> tuple[Tensor, Tensor, MovingSurface]:
        parts = [box.sample(spacing).points for box in boxes]
        rest = torch.cat(parts)
        body = torch.cat([torch.full((len(x),), k) for k, x in enumerate(parts)])
        return rest, body, MovingSurface.of_particles([b.surface() for b in boxes], rest, body)

    def parting(rest: Tensor, body: Tensor) -> Trajectory:
        gone = torch.where(body == 0, -1.0, 1.0)[:, None] * vector(0.1, 0.0, 0.0)
        return Trajectory(TIMES[:2], torch.stack([rest, rest + gone]))

    rest, body, surface = pair(0.05)
    other, its, skin = pair(0.04)
    seen = PointClouds.bind([surface.rest, surface.rest], TIMES[:2], surface)
    expected = seen.carried.at(parting(rest, body).x)
    found = seen.carried_by(skin, other).carried.at(parting(other, its).x)
    touching = (surface.rest[:, 0] - 0.5).abs() < 1e-6
    assert int(touching.sum()) > 8
    assert (expected[1] - expected[0])[touching, 0].sign().unique().tolist() == [-1.0, 1.0]
    assert float((found - expected).abs().max()) < 1e-10
    one = MovingSurface.of_particles([boxes[0].surface()], rest[body == 0], body[body == 0])
    with pytest.raises(ValueError, match="body 1 is in one of two scenes only"):
        seen.carried_by(one, rest[body == 0])
