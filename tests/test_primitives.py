# SPDX-License-Identifier: Apache-2.0
"""Boxes, spheres, cylinders and capsules come back from masks that rays made of fine meshes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from scipy import ndimage

from rheograd.engine.fit.primitive import (
    Measure,
    PrimitiveFit,
    _Errors,
    _uncertainty,
    fit_primitive,
)
from rheograd.engine.outlines import ROUNDING, SECTORS, Eye, Parts, parts
from rheograd.engine.primitives import (
    KINDS,
    Freedom,
    below,
    hull_points,
    marks,
    plainest,
    pose_of,
    solid,
)
from rheograd.engine.raycasting import RayMesh
from rheograd.engine.shapes import Box, Capsule, Cylinder, MeshShape, Solid, Sphere
from rheograd.engine.vision.camera import Camera
from rheograd.engine.vision.camera_files import save_camera
from rheograd.scenes import drop
from rheograd.scenes.cli import main

SIZE = (320, 240)
FRONT = Camera.look_at((0.4, 0.5, 1.8), (0.5, 0.15, 0.5), size=SIZE, field_of_view=26.0)
SIDE = Camera.look_at((1.8, 0.7, 0.9), (0.5, 0.15, 0.5), size=SIZE, field_of_view=26.0)
LENS = torch.tensor([-0.15, 0.05, 0.001, -0.001, 0.0])
CLOSE = 5e-3
"""Of sizes, relative; the masks are about 100 px across."""
BALL = Sphere(0.12, (0.5, 0.12, 0.5))
BRICK = Box((0.3, 0.22, 0.16), (0.52, 0.25, 0.5), (0.3, 0.5, 0.2))
ROD = Cylinder(0.08, 0.3, (0.5, 0.25, 0.5), (0.4, 0.0, 0.5))
PILL = Capsule(0.08, 0.2, (0.5, 0.25, 0.5), (-0.4, 0.0, 0.9))
POST = Cylinder(0.09, 0.24, (0.5, 0.12, 0.5))


def fine(shape: Solid) -> tuple[torch.Tensor, torch.Tensor]:
    """Vertices and triangles of a mesh that is round to 1e-4 of its radius."""
    if isinstance(shape, Box):
        return shape.surface()
    if isinstance(shape, Sphere):
        made = trimesh.creation.icosphere(5, shape.radius)
    elif isinstance(shape, Cylinder):
        made = trimesh.creation.cylinder(shape.radius, shape.height, sections=360)
    else:
        assert isinstance(shape, Capsule)
        made = trimesh.creation.capsule(shape.height, shape.radius, count=[240, 240])
        made.apply_translation(-made.bounds.mean(0))
    vertices = torch.from_numpy(np.array(made.vertices)[:, [1, 2, 0]])  # from its z to our y
    return vertices @ shape.matrix.T + shape.centroid, torch.from_numpy(np.array(made.faces))


def mask(shape: Solid, camera: Camera) -> np.ndarray:
    """Pixels whose middle shows the shape, (height, width), bool."""
    width, height = camera.size
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2)
    rays = camera.rays(torch.from_numpy(pixels.astype(float)))
    _, hit, _ = RayMesh(*fine(shape)).hits(camera.position, rays, 100.0)
    return hit.numpy().reshape(height, width)


def measured(fit: PrimitiveFit) -> dict[str, Measure]:
    return {m.name: m for m in fit.measures}


def apart(fit: PrimitiveFit, truth: Solid) -> float:
    """Largest distance of corners, or ends of the axis, from those of the truth [m]."""
    kind = KINDS[fit.kind]
    a, b = marks(kind, fit.pose), marks(kind, pose_of(kind, truth))
    return float(np.linalg.norm(a[:, None] - b, axis=-1).min(1).max())


def lengths(shape: Solid) -> list[float]:
    kind = KINDS[type(shape).__name__.lower()]
    return pose_of(kind, shape).sizes.tolist()


def test_a_sphere_on_the_floor_from_one_camera() -> None:
    found = fit_primitive("sphere", [mask(BALL, FRONT)], [FRONT], on_floor=0.0)
    said = measured(found)
    assert said["radius"].value == pytest.approx(0.12, rel=CLOSE)
    for axis, value in zip("xyz", (0.5, 0.12, 0.5), strict=True):
        number = said[f"centre.{axis}"]
        assert number.band is not None and 0 < number.band < 0.01
        assert abs(number.value - value) < number.band
    assert said["lowest"].value == pytest.approx(0.0, abs=1e-12) and said["lowest"].band == 0.0
    assert not found.undetermined and not found.rivals and found.overlap > 0.99


@pytest.mark.parametrize("truth", [BRICK, ROD, PILL], ids=["box", "cylinder", "capsule"])
def test_a_turned_body_from_two_cameras_with_lenses(truth: Solid) -> None:
    cameras = [replace(camera, distortion=LENS) for camera in (FRONT, SIDE)]
    kind = type(truth).__name__.lower()
    found = fit_primitive(kind, [mask(truth, camera) for camera in cameras], cameras)
    sizes = found.measures[: len(KINDS[kind].sizes)]
    for number, length in zip(sizes, lengths(truth), strict=True):
        assert number.value == pytest.approx(length, rel=CLOSE)
        assert number.band is not None and abs(number.value - length) < number.band < 0.02 * length
    assert apart(found, truth) < 2e-3
    assert found.overlap > 0.99 and found.rim < 0.2
    assert not found.undetermined and not found.rivals


def test_an_upright_cylinder_on_the_floor_from_one_camera() -> None:
    found = fit_primitive("cylinder", [mask(POST, FRONT)], [FRONT], on_floor=0.0, upright=True)
    assert lengths(found.shape) == pytest.approx([0.09, 0.24], rel=CLOSE)
    assert found.shape.centroid.numpy() == pytest.approx([0.5, 0.12, 0.5], abs=2e-3)
    assert found.shape.turn == (0.0, 0.0, 0.0)


def test_a_body_cut_by_the_rim_of_the_picture() -> None:
    aside = Camera.look_at((0.4, 0.5, 1.8), (0.85, 0.2, 0.5), size=SIZE, field_of_view=26.0)
    masks = [mask(BRICK, aside), mask(BRICK, SIDE)]
    assert masks[0][:, 0].any(), "it leaves the picture"
    found = fit_primitive("box", masks, [aside, SIDE])
    assert sorted(lengths(found.shape)) == pytest.approx(sorted(lengths(BRICK)), rel=2 * CLOSE)


def test_bands_hold_the_truth_of_what_one_camera_hardly_sees() -> None:
    """Of a depth that a few pixels tell, 95 of 100 bands should hold it."""
    eye = Camera.look_at((0.66, 0.51, 2.15), (0.66, 0.26, 0.5), size=SIZE, field_of_view=35.0)
    rng = np.random.default_rng(0)
    within = []
    for _ in range(12):
        x, y, z = (np.array([0.5, 0.36, 0.5]) + rng.uniform(-0.02, 0.02, 3)).tolist()
        truth = Box((0.25, 0.25, 0.25), (x, y, z), (0.0, 0.0, 0.35 + rng.uniform(-0.03, 0.03)))
        floor = float(truth.bounds[0, 1])
        found = fit_primitive("box", [mask(truth, eye)], [eye], start=truth, on_floor=floor)
        said = measured(found)
        for name, value in (("depth", 0.25), ("centre.z", truth.center[2])):
            band = said[name].band
            assert band is not None and band < 0.08
            within.append(abs(said[name].value - value) < band)
    assert sum(within) >= 21


def test_without_a_scale_no_length_is_known() -> None:
    found = fit_primitive("box", [mask(BRICK, FRONT)], [FRONT])
    (sentence,) = found.undetermined
    assert sentence.startswith("size and distance go together")
    for measure in found.measures:
        assert (measure.band is None) == (measure.unit == "m"), measure.name
    one = {"width": lengths(found.shape)[0]}
    ruled = fit_primitive("box", [mask(BRICK, FRONT)], [FRONT], start=found.shape, sizes=one)
    bands = [[measured(f)[f"turn.{axis}"].band for axis in "xyz"] for f in (found, ruled)]
    assert bands[0] == pytest.approx(bands[1], rel=0.05), "turns are as well known as with a size"


def test_one_camera_does_not_tell_size_from_distance() -> None:
    seen = mask(BALL, FRONT)
    found = fit_primitive("sphere", [seen], [FRONT])
    (sentence,) = found.undetermined
    assert sentence.startswith("size and distance go together")
    said = measured(found)
    assert said["radius"].band is None and said["centre.z"].band is None
    eye = FRONT.position.numpy()
    angles = [shape.radius / np.linalg.norm(np.array(shape.center) - eye)
              for shape in (found.shape, BALL) if isinstance(shape, Sphere)]  # fmt: skip
    assert angles[0] == pytest.approx(angles[1], rel=CLOSE), "the cone is known all the same"
    ruled = fit_primitive("sphere", [seen], [FRONT], sizes={"radius": 0.12})
    assert not ruled.undetermined
    said = measured(ruled)
    assert said["radius"].band == 0.0
    assert said["centre.z"].band is not None
    assert abs(said["centre.z"].value - 0.5) < said["centre.z"].band < 0.02


def test_a_tilt_towards_a_far_camera_or_away_from_it() -> None:
    """From afar both look the same: one is found, and the other is told."""
    far = Camera.look_at((0.5, 0.3, 30.0), (0.5, 0.3, 0.0), size=SIZE, field_of_view=1.6)
    tilts = [Capsule(0.08, 0.3, (0.5, 0.3, 0.0), (a, 0.0, 0.3)) for a in (0.6, -0.6)]
    sizes = {"radius": 0.08, "height": 0.3}
    found = fit_primitive("capsule", [mask(tilts[0], far)], [far], sizes=sizes)
    assert len(found.rivals) == 1 and not found.undetermined
    signs = [np.sign(shape.turn[0]) for shape in (found.shape, *found.rivals)]
    assert sorted(signs) == [-1.0, 1.0]
    for shape in (found.shape, *found.rivals):
        assert abs(shape.turn[0]) == pytest.approx(0.6, abs=0.03)
        assert shape.turn[2] == pytest.approx(0.3, abs=0.02)


def test_rims_along_pixels_are_told() -> None:
    """Rounding moves each whole edge there by up to half a pixel, and a size has two edges."""
    truth = Box((0.3, 0.22, 0.16), (0.5, 0.3, 0.5))
    eyes = ((0.5, 0.3, 1.8), (1.8, 0.3, 0.5))
    cameras = [Camera.look_at(eye, (0.5, 0.3, 0.5), size=SIZE) for eye in eyes]
    found = fit_primitive("box", [mask(truth, c) for c in cameras], cameras, upright=True)
    assert found.along_pixels > 0.9
    pixel = 1.3 / float(cameras[0].focal[0])
    for number, length in zip(found.measures[:3], truth.size, strict=True):
        assert abs(number.value - length) < pixel < 2.5e-2 * length
        assert number.band is not None and 0.25 * pixel < number.band
    turned = fit_primitive("sphere", [mask(BALL, FRONT)], [FRONT], on_floor=0.0)
    assert turned.along_pixels < 0.2


def test_another_kind_covers_the_masks_worse() -> None:
    masks = [mask(BRICK, camera) for camera in (FRONT, SIDE)]
    ball = fit_primitive("sphere", masks, [FRONT, SIDE])
    assert ball.overlap < 0.85 and ball.rim > 0.5


def test_the_overlap_is_that_of_the_worst_mask() -> None:
    drawn = ndimage.binary_dilation(mask(BALL, SIDE), iterations=10)
    found = fit_primitive("sphere", [mask(BALL, FRONT), drawn], [FRONT, SIDE])
    mine = mask(found.shape, SIDE)
    assert found.overlap == pytest.approx((mine & drawn).sum() / (mine | drawn).sum(), abs=0.01)
    assert found.overlap < 0.8


def test_parts_of_a_rim_may_be_tilted_and_off() -> None:
    """By the rounding of each: a number that tilts all, and one that moves all outwards; and single
    pixels by what is left of them."""
    count, rounding = 5, 0.1
    along = np.tile(np.linspace(-1.0, 1.0, 21), count)
    part = Parts(np.repeat(np.arange(count), 21), along, np.full(count, rounding))
    rows = np.stack([along, np.ones(len(along))], 1)
    errors = _Errors(np.ones(len(along)), part, np.zeros(count), np.zeros(len(along)))
    found = _uncertainty(rows, errors)
    groups = 2 * count + len(along)
    few = groups / (groups - 1) * (3 * len(along) - 1) / (3 * len(along) - 2)
    assert found.std == pytest.approx(np.full(2, rounding * np.sqrt(few / count)))
    more = _uncertainty(rows, errors._replace(left=np.full(len(along), 0.2)))
    pixels = 0.2 * np.sqrt(few / (rows**2).sum(0))
    assert more.std == pytest.approx(np.hypot(found.std, pixels))


@pytest.mark.parametrize("truth", [BALL, BRICK, ROD, PILL, POST])
def test_the_same_solid_in_other_words(truth: Solid) -> None:
    """Lowest points, plain rotations and rotation vectors describe the shape that was given."""
    kind = KINDS[type(truth).__name__.lower()]
    pose = pose_of(kind, truth)
    lowest = pose.centre[1] - below(kind, pose.sizes, pose.turn)
    assert lowest == pytest.approx(float(fine(truth)[0][:, 1].min()), abs=1e-5)
    flipped = pose._replace(turn=pose.turn @ np.diag([1.0, -1.0, -1.0]))
    plain = plainest(kind, flipped, swap=True)
    again = pose_of(kind, solid(kind, plain))
    for other in (plain, again):
        gaps = np.linalg.norm(marks(kind, other)[:, None] - marks(kind, pose), axis=-1)
        assert gaps.min(1).max() < 1e-9
    angle = np.linalg.norm(solid(kind, plain).turn)
    assert angle <= np.linalg.norm(solid(kind, pose).turn) + 1e-9


def test_rays_touch_a_sphere_on_the_circle_that_is_its_outline() -> None:
    eye = FRONT.position.numpy()
    points = hull_points(KINDS["sphere"], pose_of(KINDS["sphere"], BALL), eye, 200)
    arm = np.array(BALL.center) - eye
    rays = points - eye
    cosine = rays @ arm / np.linalg.norm(rays, axis=1) / np.linalg.norm(arm)
    assert np.arccos(cosine) == pytest.approx(np.arcsin(0.12 / np.linalg.norm(arm)), rel=2e-4)
    assert np.linalg.norm(points - BALL.center, axis=1) == pytest.approx(0.12, rel=2e-4)


def test_a_freedom_names_what_may_change() -> None:
    kind = KINDS["cylinder"]
    free = Freedom(kind, {"radius": 0.1}, floor=0.0)
    assert free.names == ["height", "centre.x", "centre.z", "tilt.x", "tilt.z"]
    moved = free.moved(pose_of(kind, ROD), [np.log(2.0), 1.0, 0.0, 0.0, 0.3])
    assert moved.sizes == pytest.approx([0.1, 0.6])
    assert moved.centre[0] == pytest.approx(0.5 + 0.3)
    assert moved.centre[1] == pytest.approx(below(kind, moved.sizes, moved.turn))
    assert Freedom(KINDS["box"], {}, upright=True).names[-1] == "tilt.y"
    assert Freedom(KINDS["sphere"], {}).names == ["radius", "centre.x", "centre.y", "centre.z"]


def test_runs_along_pixels_are_rounded_as_one() -> None:
    flat = np.zeros((60, 80), bool)
    flat[10:50, 20:70] = True
    rows, columns = np.nonzero(flat)
    found = parts(flat, np.stack([columns, rows], -1))
    assert len(found.rounding) == SECTORS + 4
    assert found.rounding[SECTORS:] == pytest.approx(ROUNDING)
    top = found.label[(rows == 10) & (columns > 25) & (columns < 65)]
    assert len(set(top.tolist())) == 1 and top[0] >= SECTORS
    share = found.along[(rows == 10) & (columns == 30)]
    assert share[0] == pytest.approx(2 * (30 - 20) / 49 - 1, abs=0.03)
    disc = np.hypot(*(np.indices((101, 101)) - 50)) < 40
    rows, columns = np.nonzero(disc)
    found = parts(disc, np.stack([columns, rows], -1))
    assert len(found.rounding) == SECTORS
    assert found.rounding.max() < 0.6 * ROUNDING, "many runs in each sector"


def test_what_cannot_be_fitted_is_refused() -> None:
    more: dict[str, Any]
    seen = mask(BALL, FRONT)
    dot = np.zeros_like(seen)
    dot[100:102, 100:102] = True
    away = Camera.look_at((0.4, 0.5, 1.8), (0.4, 0.5, 9.0), size=SIZE)
    for arguments, more, said in (
        (("sphre", [seen], [FRONT]), {}, r"did you mean sphere.*box, sphere, cylinder, capsule"),
        (("sphere", [seen], [FRONT, SIDE]), {}, "1 masks and 2 cameras"),
        (("sphere", [seen[:, 1:]], [FRONT]), {}, "320 x 240 px"),
        (("sphere", [seen & False], [FRONT]), {}, "mask 1 is dark all over"),
        (("sphere", [dot], [FRONT]), {}, "4 bright pixels"),
        (("sphere", [seen | True], [FRONT]), {}, "all four edges"),
        (("sphere", [seen, seen], [FRONT, away]), {}, "behind camera"),
        (("sphere", [seen], [FRONT]), {"on_floor": 2.0}, "no body on a floor at y = 2 m"),
        (("sphere", [seen], [FRONT]), {"sizes": {"raduis": 1.0}}, "did you mean radius"),
        (("sphere", [seen], [FRONT]), {"sizes": {"radius": -1.0}}, "expected a positive length"),
        (("sphere", [seen], [FRONT]), {"start": BRICK}, "got a Box to start from"),
    ):
        with pytest.raises(ValueError, match=said):
            fit_primitive(*arguments, **more)


@pytest.fixture
def filmed(tmp_path: Path) -> Callable[[Solid], list[str]]:
    """Writes the masks and cameras of a shape; their words on the command line."""

    def write(shape: Solid) -> list[str]:
        for name, camera in (("front", FRONT), ("side", SIDE)):
            picture = Image.fromarray(255 * mask(shape, camera).astype(np.uint8))
            picture.save(tmp_path / f"{name}.png")
            save_camera(camera, tmp_path / f"{name}.toml")
        ends = ("front.png", "side.png", "--camera", "front.toml", "side.toml")
        return [n if n.startswith("--") else str(tmp_path / n) for n in ends]

    return write


def test_the_command_makes_the_body_of_a_drop(
    filmed: Callable[[Solid], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cube = Box((0.25, 0.25, 0.25), (0.5, 0.2, 0.5), (0.2, 0.3, 0.1))
    out, numbers, picture = (tmp_path / n for n in ("body.ply", "body.json", "body.png"))
    words = ["shape", *filmed(cube), "--kind", "box", "--out", out, "--json", numbers]
    assert main([str(word) for word in [*words, "--overlay", picture]]) == 0
    said = capsys.readouterr()
    assert "width" in said.out and "±" in said.out and "warning" not in said.err
    assert "--shape box --size 0.2" in said.out and f"--mesh {out} --turn 0,0,0" in said.out
    mesh = MeshShape(out)
    assert mesh.volume == pytest.approx(0.25**3, rel=3 * CLOSE)
    assert mesh.bounds.numpy() == pytest.approx(cube.bounds.numpy(), abs=2e-3)
    held = json.loads(numbers.read_text())
    assert held["measures"]["width"]["value"] == pytest.approx(0.25, rel=CLOSE)
    assert held["measures"]["width"]["unit"] == "m" and held["undetermined"] == []
    options = held["drop"].split()
    given = dict(zip(options[::2], options[1::2], strict=True))
    scene = drop.build(
        shape="box", size=float(given["--size"]), height=float(given["--height"]),
        turn=tuple(float(v) for v in given["--turn"].split(",")),  # type: ignore[arg-type]
    )  # fmt: skip
    body = scene.bodies[0].shape
    assert body.bounds.numpy() == pytest.approx(cube.bounds.numpy(), abs=3e-3)
    mended = drop.build(mesh=str(out), turn=(0.0, 0.0, 0.0), height=float(given["--height"]))
    assert mended.bodies[0].shape.bounds.numpy() == pytest.approx(cube.bounds.numpy(), abs=3e-3)
    with Image.open(picture) as drawn:
        assert drawn.size == (2 * SIZE[0], SIZE[1])


def test_the_command_says_how_the_body_is_put_into_a_drop(
    filmed: Callable[[Solid], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The height is over the floor at y = 0, and places that drop does not take are told."""
    out = tmp_path / "body.ply"
    hung = Box((0.25, 0.2, 0.15), (0.4, 0.3, 0.6), (0.0, 0.2, 0.35))
    front, _, _, camera, _ = filmed(hung)
    words = ["shape", front, "--camera", camera, "--kind", "box", "--out", str(out), "--floor"]
    low = float(hung.bounds[0, 1])
    assert main([*words, f"{low}"]) == 0
    said = capsys.readouterr()
    assert f"--turn 0,0,0 --height {low:.4f}".rstrip("0") in said.out
    assert "it was seen at x = 0.39" in said.out and "stands on an edge" in said.err
    level = Box((0.25, 0.2, 0.15), (0.4, 0.1, 0.6), (0.0, 0.4, 0.0))
    filmed(level)
    assert main([*words, "0", "--force"]) == 0
    said = capsys.readouterr()
    assert "--height 0\n" in said.out and "stands on an edge" not in said.err
    assert main([*words, "-0.2", "--force"]) == 0
    assert "seen below it, at y = -0.2 m" in capsys.readouterr().out
    assert main([*words[:-1], "--force"]) == 0
    assert "rheograd run" not in capsys.readouterr().out, "no size is known"


def test_the_command_says_what_it_doubts(
    filmed: Callable[[Solid], list[str]],
    capsys: pytest.CaptureFixture[str],
    refuse: Callable[..., str],
) -> None:
    front, _, _, camera, _ = words = filmed(BALL)
    assert main(["shape", front, "--camera", camera, "--kind", "sphere"]) == 0
    said = capsys.readouterr()
    assert "not determined" in said.out and "size and distance go together" in said.err
    assert "the same in the scene drop" not in said.out
    one = ("shape", front, "--camera", camera, "--kind")
    assert main([*one, "sphere", "--size", "radius=0.12"]) == 0
    assert "--shape sphere --size 0.24" in capsys.readouterr().out
    assert "did you mean capsule" in refuse(*one, "capsul")
    Image.new("L", (9, 9), 255).save(small := str(Path(front).with_name("small.png")))
    said = refuse("shape", small, "--camera", camera, "--kind", "sphere")
    assert "9 x 9 px, a picture of the camera" in said and "video" not in said
    assert "2 masks and 1 cameras" in refuse("shape", *words[:4], "--kind", "box")
    assert "radius=0.1,height=0.3" in refuse(*one, "sphere", "--size", "0.1")
    assert "ends in .ply" in refuse(*one, "sphere", "--out", "body.txt")
    assert "--force" in refuse(*one, "sphere", "--json", front)


def test_an_outline_is_drawn_where_the_mask_ends() -> None:
    """Corners of the polygon lie on the rim of the mask, through the lens."""
    camera = replace(FRONT, distortion=LENS)
    kind = KINDS["box"]
    line = Eye.of(camera).outline(kind, pose_of(kind, BRICK), camera)
    seen = mask(BRICK, camera)
    middle = line.mean(0)
    for sign, bright in ((-1, True), (1, False)):
        arm = (line - middle) / np.linalg.norm(line - middle, axis=1, keepdims=True)
        column, row = np.rint(line + 2.0 * sign * arm).astype(int).T
        assert (seen[row, column] == bright).mean() > 0.98
