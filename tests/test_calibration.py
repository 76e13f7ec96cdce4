# SPDX-License-Identifier: Apache-2.0
"""A board filmed by a camera that is known gives that camera again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rheograd.engine.vision.calibration import Board, calibrate, posed
from rheograd.engine.vision.camera import Camera
from rheograd.engine.vision.video import Video

BOARD = Board(7, 5, 0.03, 0.022)
SIZE = (640, 480)


def known() -> Camera:
    seen = Camera.look_at((0.1, 0.075, 0.5), (0.1, 0.075, 0.0), size=SIZE, frame_rate=30.0)
    return replace(
        seen, focal=torch.tensor([702.0, 698.0]), centre=torch.tensor([322.5, 236.0]),
        distortion=torch.tensor([-0.18, 0.05, 0.0, 0.0, 0.0]),
    )  # fmt: skip


class Filmed(Video):
    """The board before the camera, tilted otherwise in each frame; ray by ray."""

    def poses(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rotation and origin of the board in the scene for each frame."""
        turns = [(0, 0, 0), (0.6, 0.1, 0), (-0.6, 0, 0.1), (0, 0.6, -0.1), (0.1, -0.6, 0),
                 (0.4, 0.4, 0.3), (-0.4, 0.4, 0.1), (0.4, -0.4, 0.2), (-0.35, -0.4, 0)]  # fmt: skip
        shifts = [(0, 0, 0), (0.02, 0.03, 0.02), (-0.03, 0.02, -0.05), (0.02, -0.03, 0.05),
                  (0.03, 0.02, 0.0), (-0.04, 0.03, -0.1), (0.0, 0.0, 0.05), (0.02, 0.0, -0.05),
                  (0.05, 0.04, -0.1)]  # fmt: skip
        found = []
        for turn, shift in zip(turns[: self.frames], shifts, strict=False):
            rotation, _ = cv2.Rodrigues(np.array(turn, float))
            flip = np.diag([1.0, -1.0, -1.0])  # seen from +z with its lines downwards
            middle = np.array([0.105, 0.075, 0.0])
            matrix = rotation @ flip
            found.append((matrix, middle + np.array(shift) - matrix @ middle))
        return found

    def grey(self) -> Iterator[np.ndarray]:
        picture = BOARD.picture(120).astype(np.float32)
        c = known()
        at = np.stack(np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1])), -1).reshape(-1, 2)
        for matrix, origin in self.poses():
            total = np.zeros(len(at))
            for dx, dy in ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)):
                ray = c.rays(torch.from_numpy(at + np.array([dx, dy]))).numpy()
                eye = (c.position.numpy() - origin) @ matrix
                ray = ray @ matrix
                hit = eye - ray * (eye[2] / ray[:, 2])[:, None]
                pixels = (hit[:, :2] / BOARD.square * 120 - 0.5).astype(np.float32)
                total += cv2.remap(
                    picture, pixels[:, 0].reshape(SIZE[::-1]), pixels[:, 1].reshape(SIZE[::-1]),
                    cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_CONSTANT, borderValue=200,
                ).reshape(-1)  # fmt: skip
            yield (total / 4).round().reshape(SIZE[::-1]).astype(np.uint8)


def test_a_known_camera_comes_back() -> None:
    video = Filmed(Path("board"), SIZE, 9, 30.0)
    found = calibrate(video, BOARD)
    c, camera = known(), found.camera
    assert found.views == 9 and found.error < 0.1
    assert camera.focal.numpy() == pytest.approx(c.focal.numpy(), rel=3e-3)
    assert camera.centre.numpy() == pytest.approx(c.centre.numpy(), abs=1.5)
    assert float(camera.distortion[0]) == pytest.approx(-0.18, abs=0.03)
    assert camera.frame_rate == 30.0 and camera.size == SIZE
    # what counts: the board's corners of the first view are where they were seen
    matrix, origin = video.poses()[0]
    corners = BOARD.made().getChessboardCorners().astype(float)
    seen = c.project(torch.from_numpy(corners @ matrix.T + origin)).at
    assert camera.project(torch.from_numpy(corners)).at.numpy() == pytest.approx(
        seen.numpy(), abs=0.2
    )


def test_a_wrong_board_is_told() -> None:
    video = Filmed(Path("board.mp4"), SIZE, 5, 30.0)
    with pytest.raises(ValueError, match=r"not one of its markers.*--dictionary"):
        calibrate(video, Board(7, 5, 0.03, 0.022, "DICT_6X6_50"))
    with pytest.raises(ValueError, match="did you mean DICT_5X5_100"):
        Board(dictionary="DICT_5x5_100")
    with pytest.raises(ValueError, match="markers smaller"):
        Board(marker=0.03)


class Still(Filmed):
    """The board is not tilted."""

    def poses(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return super().poses()[:1] * self.frames


def test_views_that_are_alike_are_refused() -> None:
    with pytest.raises(ValueError, match="too alike"):
        calibrate(Still(Path("board"), SIZE, 5, 30.0), BOARD)


def test_a_pose_from_known_points() -> None:
    c = known()
    draw = torch.Generator().manual_seed(1)
    places = 0.2 * torch.rand(12, 3, generator=draw, dtype=torch.float64)
    pixels = c.project(places).at.numpy()
    elsewhere = Camera.look_at((1, 1, 1), (0, 0, 0), size=SIZE)
    start = replace(c, rotation=elsewhere.rotation, position=elsewhere.position)
    found, error = posed(start, places.numpy(), pixels)
    assert error < 1e-4
    assert found.position.numpy() == pytest.approx(c.position.numpy(), abs=1e-6)
    assert found.rotation.numpy() == pytest.approx(c.rotation.numpy(), abs=1e-6)
    with pytest.raises(ValueError, match="6 or more"):
        posed(start, places.numpy()[:5], pixels[:5])
