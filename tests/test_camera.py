# SPDX-License-Identifier: Apache-2.0
"""Cameras: projection beside OpenCV's, its inverse and derivatives, files, presets, bad input."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rheograd.engine.vision.camera import PRESETS, Camera, turned, undistort
from rheograd.engine.vision.camera_files import camera_text, load_camera, parse_camera, save_camera

LENS = (-0.21, 0.08, 0.0013, -0.0009, -0.012)


def camera(lens: tuple[float, ...] = LENS) -> Camera:
    seen = Camera.look_at((0.9, 1.1, 2.3), (0.4, 0.3, 0.1), size=(960, 720), frame_rate=29.97)
    return replace(
        seen, distortion=torch.tensor(lens), focal=torch.tensor([1103.0, 1097.5]),
        centre=torch.tensor([470.25, 361.5]),
    )  # fmt: skip


def points(count: int = 40) -> torch.Tensor:
    draw = torch.Generator().manual_seed(3)
    return torch.rand(count, 3, generator=draw, dtype=torch.float64) * 0.8


def test_projection_is_that_of_opencv() -> None:
    c, x = camera(), points()
    turn, _ = cv2.Rodrigues(c.rotation.numpy())
    shift = -(c.rotation @ c.position).numpy()
    (fx, fy), (cx, cy) = c.focal.tolist(), c.centre.tolist()
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    expected, _ = cv2.projectPoints(x.numpy(), turn, shift, matrix, c.distortion.numpy())
    found = c.project(x)
    assert found.at.numpy() == pytest.approx(expected[:, 0], abs=1e-9)
    assert bool(found.ahead.all())


def test_rays_lead_back_to_the_points() -> None:
    c, x = camera(), points()
    found = c.project(x)
    ray = c.rays(found.at)
    away = (x - c.position).norm(dim=1, keepdim=True)
    assert (c.position + away * ray).numpy() == pytest.approx(x.numpy(), abs=1e-9)


def test_projection_has_derivatives_by_points_and_camera() -> None:
    c, x = camera(), points(4).requires_grad_()

    def project(place: torch.Tensor, eye: torch.Tensor, focal: torch.Tensor, lens: torch.Tensor):
        moved = replace(c, position=eye, focal=focal, distortion=lens)
        return moved.project(place).at

    leaves = [t.clone().requires_grad_() for t in (c.position, c.focal, c.distortion)]
    assert torch.autograd.gradcheck(project, (x, *leaves), eps=1e-7, atol=1e-3, rtol=1e-6)


def test_a_turned_camera_sees_the_rotated_scene() -> None:
    c, x = camera((0.0,) * 5), points()
    small = torch.tensor([0.02, -0.01, 0.03], dtype=torch.float64)
    about, _ = cv2.Rodrigues(small.numpy())
    seen = (x - c.position) @ c.rotation.mT @ torch.from_numpy(about).mT
    plane = seen[:, :2] / seen[:, 2:]
    assert torch.allclose(turned(c, small).project(x).at, plane * c.focal + c.centre, atol=1e-9)


def test_look_at_puts_its_target_in_the_middle_and_up_upwards() -> None:
    c = Camera.look_at((0.0, 0.0, 3.0), (0.0, 0.0, 0.0), size=(101, 51), field_of_view=90.0)
    at = c.project(torch.tensor([[0.0, 0, 0], [0, 1, 0], [1, 0, 0]], dtype=torch.float64)).at
    assert at[0].tolist() == pytest.approx([50.0, 25.0])
    assert at[1, 1] < 25.0 and at[2, 0] > 50.0
    # half the height is at the tangent of half the angle: 25.5 pixels at distance 3 for 3 m
    assert float(25.0 - at[1, 1]) == pytest.approx(25.5 / 3.0)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_see_the_whole_box(name: str) -> None:
    low, high = torch.tensor([-0.2, 0.0, 0.3]), torch.tensor([1.0, 0.7, 0.5])
    corners = torch.cartesian_prod(*torch.stack([low, high], 1)).double()
    for size in ((960, 720), (300, 900)):
        c = Camera.preset(name, low, high, size=size)
        assert bool(c.inside(c.project(corners)).all())


def test_resized_sees_the_same_at_another_size() -> None:
    c, x = camera(), points()
    half = c.resized(0.5)
    # the left rim of the picture stays its rim: pixel centres are at whole numbers
    assert torch.allclose(half.project(x).at + 0.5, 0.5 * (c.project(x).at + 0.5))
    assert half.size == (480, 360)


def test_points_behind_are_not_ahead_and_give_no_infinities() -> None:
    c = camera()
    x = torch.stack([c.position - c.rotation[2], c.position]).requires_grad_()
    found = c.project(x)
    assert not bool(found.ahead.any()) and not bool(c.inside(found).any())
    found.at.sum().backward()
    assert x.grad is not None and bool(torch.isfinite(x.grad).all())


def test_files_keep_every_bit(tmp_path: Path) -> None:
    c = camera()
    save_camera(c, tmp_path / "front.toml")
    back = load_camera(tmp_path / "front.toml")
    for name in ("focal", "centre", "rotation", "position", "distortion"):
        assert torch.equal(getattr(back, name), getattr(c, name)), name
    assert (back.size, back.frame_rate, back.start) == (c.size, c.frame_rate, c.start)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("size", "sise"), "did you mean size"),
        (("focal = [1103.0, 1097.5]", "focal = [1103.0]"), "focal"),
        (("focal = [1103.0, 1097.5]", "focal = [-1.0, 1.0]"), "positive"),
        (("position =", "# position ="), "lacks position"),
        (("centre = [470.25, 361.5]", "centre = ['a', 3]"), "front.toml"),
        (("frame_rate = 29.97", "frame_rate = 0.0"), "positive"),
        (("rotation = [[", "rotation = [[["), "front.toml is not a camera"),
    ],
)
def test_files_that_are_no_cameras_say_why(change: tuple[str, str], said: str) -> None:
    text = camera_text(camera()).replace(*change)
    with pytest.raises(ValueError, match=said):
        parse_camera(text, "front.toml")


def test_what_no_camera_is_is_refused() -> None:
    c = camera()
    with pytest.raises(ValueError, match="rotation is none"):
        replace(c, rotation=torch.diag(torch.tensor([1.0, 1.0, -1.0])))
    with pytest.raises(ValueError, match="rotation is none"):
        replace(c, rotation=1.1 * c.rotation)
    with pytest.raises(ValueError, match="cannot look at"):
        Camera.look_at((0, 0, 0), (0, 1, 0))
    with pytest.raises(ValueError, match="field of view"):
        Camera.look_at((0, 0, 1), (0, 0, 0), field_of_view=180.0)
    with pytest.raises(ValueError, match="did you mean"):
        Camera.preset("frnt", (0, 0, 0), (1, 1, 1))
    with pytest.raises(ValueError, match="empty"):
        Camera.preset("front", (0, 0, 0), (0, 0, 0))
    with pytest.raises(ValueError, match="fold"):
        undistort(torch.tensor([[3.0, 3.0]]).double(), torch.tensor([-0.5, 0, 0, 0, 0]).double())
    with pytest.raises(FileNotFoundError, match="no camera"):
        load_camera("nothing.toml")
    with pytest.raises(ValueError, match=r"\.toml"):
        save_camera(c, "front.json")
