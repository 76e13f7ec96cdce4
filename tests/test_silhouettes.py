# SPDX-License-Identifier: Apache-2.0
"""Silhouettes: what discs cover, how near that is to the true outline, and its derivatives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from rheograd.engine.moving_surface import MovingSurface
from rheograd.engine.observations.silhouettes import Silhouettes, covered
from rheograd.engine.shapes import Box, Shape, Sphere
from rheograd.engine.trajectory import Trajectory
from rheograd.engine.vision.camera import Camera

SIZE = (160, 120)
TIMES = np.array([0.0, 0.1])


def camera(**more: float) -> Camera:
    return Camera.look_at((0.5, 0.4, 2.0), (0.5, 0.3, 0.5), size=SIZE, field_of_view=30.0, **more)  # type: ignore[arg-type]


def still(shape: Shape) -> tuple[Trajectory, MovingSurface]:
    """Two frames of a body that rests."""
    rest = shape.sample(0.02).points
    surface = MovingSurface.of_particles([shape.surface()], rest, torch.zeros(len(rest)))
    return Trajectory(torch.from_numpy(TIMES), rest.expand(2, -1, -1).clone()), surface


def bound(shape: Shape, mask: np.ndarray | None = None, **more: int) -> Silhouettes:
    run, surface = still(shape)
    masks = [np.ones(SIZE[::-1], bool) if mask is None else mask] * 2
    return Silhouettes.bind(masks, TIMES, surface, run.x[0], camera=camera(), **more)


def test_a_disc_covers_its_area_and_two_what_either_does() -> None:
    centre = torch.tensor([[[20.3, 15.7], [26.0, 15.0]]], dtype=torch.float64)
    radius = torch.tensor([[6.2, 4.5]], dtype=torch.float64)
    one, other = (covered(centre[:, [k]], radius[:, [k]], 1.0, (32, 48)) for k in (0, 1))
    # of a rim that is symmetric about the radius: pi (R² + var of the rim)
    assert float(one.sum()) == pytest.approx(np.pi * 6.2**2, rel=0.02)
    assert float(one[0, 16, 20]) == pytest.approx(2 ** (-1 / 32)) and float(one[0, 2, 2]) == 0.0
    both, larger = covered(centre, radius, 1.0, (32, 48)), torch.maximum(one, other)
    assert bool((both >= larger - 1e-12).all())
    assert float((both - larger).max()) < 0.1 and float(both.max()) <= 1.0
    assert not bool(covered(centre, 0 * radius, 1.0, (32, 48)).any())


def test_derivatives_by_centres_and_radii() -> None:
    draw = torch.Generator().manual_seed(4)
    centre = 4 + 20 * torch.rand(2, 5, 2, generator=draw, dtype=torch.float64)
    centre[0, 0] = torch.tensor([-2.0, 10.0])  # reaches into the picture
    centre[1, 1] = torch.tensor([200.0, 10.0])  # far beyond it
    radius = 2 + 2 * torch.rand(2, 5, generator=draw, dtype=torch.float64)
    leaves = (centre.requires_grad_(), radius.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda c, r: covered(c, r, 1.0, (20, 28)), leaves, eps=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.4, 0.5, 0.2)])
def test_the_outline_of_a_box(turn: tuple[float, float, float]) -> None:
    """Its area is that of the corners' hull, to a quarter of a pixel along the rim."""
    shape = Box((0.3, 0.25, 0.2), (0.5, 0.3, 0.5), turn)
    run, _ = still(shape)
    corners = camera().project(shape.surface().vertices).at.numpy()
    hull = ConvexHull(corners)
    found = bound(shape).cover(run)[0]
    assert float(found.sum()) == pytest.approx(hull.volume, abs=0.25 * hull.area)
    middle = corners.mean(0).round().astype(int)
    assert float(found[middle[1], middle[0]]) > 0.999, "no holes"


def test_the_outline_of_a_sphere() -> None:
    """A cone about the eye: its tangent circle has the angle asin(R / d)."""
    shape = Sphere(0.15, (0.5, 0.3, 0.5))
    run, _ = still(shape)
    c = camera()
    distance = float((c.position - shape.centroid).norm())
    radius = float(c.focal[0]) * np.tan(np.arcsin(0.15 / distance))
    area = float(bound(shape).cover(run)[0].sum())
    assert area == pytest.approx(np.pi * radius**2, rel=0.03)


def test_the_misfit_and_its_derivatives_by_positions() -> None:
    """The body goes out of the picture's rim; parts beyond it count for nothing."""
    shape = Box((0.3, 0.25, 0.2), (0.5, 0.3, 0.5))
    run, _ = still(shape)
    seen = bound(shape)
    seen = replace(seen, masks=seen.cover(run))
    assert float(seen.misfit(run)) == 0.0
    moved = run.x + torch.tensor([0.28, 0.11, 0.1])
    moved[1] = moved[1] * torch.tensor([1.1, 0.9, 1.0])
    assert not bool(camera().inside(camera().project(moved)).all())
    x = moved.requires_grad_()
    misfit = seen.misfit(replace(run, x=x))
    (slope,) = torch.autograd.grad(misfit, x)
    along = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    h = 1e-6
    with torch.no_grad():
        ends = [float(seen.misfit(replace(run, x=x + s * h * along))) for s in (1, -1)]
    assert float((slope * along).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-5)
    shift = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    near = seen.misfit(replace(run, x=run.x + 0.02 + shift))
    (pull,) = torch.autograd.grad(near, shift)
    assert bool((pull[:2] > 0).all()), "a step against it leads back"


def test_finer_masks_are_averaged() -> None:
    shape = Box((0.3, 0.25, 0.2), (0.5, 0.3, 0.5))
    half = np.zeros(SIZE[::-1], np.uint8)
    half[:, :81] = 255
    found = bound(shape, half, lines=60)
    assert found.masks.shape == (2, 60, 80) and found.camera.size == (80, 60)
    assert float(found.masks[0, 30, 40]) == pytest.approx(0.5)
    assert float(found.masks[0, 30, 39]) == 1.0 and float(found.masks[0, 30, 41]) == 0.0


def test_what_is_no_silhouette_is_refused() -> None:
    shape = Box((0.3, 0.25, 0.2), (0.5, 0.3, 0.5))
    run, surface = still(shape)
    mask = np.ones(SIZE[::-1], bool)
    film = np.tile(np.linspace(30, 230, SIZE[0]).astype(np.uint8), (SIZE[1], 1))
    film[:40] = 20
    for masks, times, said in (
        ([mask[:50], mask], TIMES, "160 x 50 px, the camera's pictures 160 x 120"),
        ([mask], TIMES, "got 1 masks and 2 times"),
        ([~mask, ~mask], TIMES, "dark all over"),
        ([film, film], TIMES, "^42 % of the pixels are neither black nor white.*expected masks"),
    ):
        with pytest.raises(ValueError, match=said):
            Silhouettes.bind(masks, times, surface, run.x[0], camera=camera())
    with pytest.raises(ValueError, match="behind the camera"):
        away = Camera.look_at((0.5, 0.3, 2.0), (0.5, 0.3, 9.0), size=SIZE)
        Silhouettes.bind([mask] * 2, TIMES, surface, run.x[0], camera=away)
    with pytest.raises(ValueError, match="compare finer ones"):
        bound(Box((0.3, 0.25, 0.2), (0.5, 0.3, 0.5)), lines=4)
    with pytest.raises(ValueError, match="3 frames, the silhouettes 2"):
        three = Trajectory(torch.arange(3).double(), run.x[:1].expand(3, -1, -1))
        bound(shape).residual(three)
