# SPDX-License-Identifier: Apache-2.0
"""A camera from pictures of a ChArUco board, or its pose from points whose places are known.

By OpenCV: Zhang's method (2000) for intrinsics and distortion, SQPnP with Levenberg and Marquardt
for a pose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from ..suggestion import did_you_mean
from .camera import Camera
from .video import Video

CORNERS = 6
"""Corners of the board that a view needs."""
VIEWS = 4
"""Views that a calibration needs."""
TILT = 20.0
"""Between some two of them [degrees]."""
MOST = 60
"""Views that are used, evenly spread over the clip: more tell nothing new."""
POINTS = 6
"""Known points that a pose needs."""


@dataclass(frozen=True)
class Board:
    """A ChArUco board, as it was printed."""

    columns: int = 7
    rows: int = 5
    """Squares across and down."""
    square: float = 0.03
    """Edge of a square [m]."""
    marker: float = 0.022
    """Edge of a marker in it [m]."""
    dictionary: str = "DICT_5X5_100"
    """Of the markers, as OpenCV calls it."""

    def __post_init__(self) -> None:
        """Refuse what no board is."""
        import cv2

        names = [name for name in dir(cv2.aruco) if name.startswith("DICT_")]
        if self.dictionary not in names:
            raise ValueError(
                f"got dictionary {self.dictionary!r}{did_you_mean(self.dictionary, names)},"
                " expected one of OpenCV's, such as DICT_5X5_100"
            )
        if min(self.columns, self.rows) < 3 or not 0 < self.marker < self.square:
            raise ValueError(
                f"got a board of {self.columns} x {self.rows} squares of {self.square:g} m with"
                f" markers of {self.marker:g} m, expected 3 x 3 squares or more and markers smaller"
                " than squares"
            )

    def made(self) -> Any:
        """The board of OpenCV."""
        import cv2

        known = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, self.dictionary))
        return cv2.aruco.CharucoBoard((self.columns, self.rows), self.square, self.marker, known)

    def picture(self, pixels_per_square: int = 120) -> np.ndarray:
        """The board to be printed, brightness (rows, columns), uint8; nothing around it."""
        size = (self.columns * pixels_per_square, self.rows * pixels_per_square)
        return self.made().generateImage(size, marginSize=0)


class Calibration(NamedTuple):
    """A camera and how well it fits."""

    camera: Camera
    """Its pose is that of the first view: the scene's axes are the board's as it was printed, x to
    the right, y down, z into it, its upper left corner the origin. `posed` gives another one."""
    error: float
    """Root mean square distance of corners from where the camera puts them [px]."""
    views: int
    """How many were used."""
    spread: tuple[float, float, float, float]
    """Standard deviations of fx, fy, cx, cy [px]."""


class _View(NamedTuple):
    board: np.ndarray
    pixels: np.ndarray


def calibrate(
    video: Video, board: Board, *, progress: Callable[[int], None] = lambda frame: None
) -> Calibration:
    """A camera from a clip of a board that is moved and tilted before it.

    Args:
        video: The clip.
        board: What is in it.
        progress: Is told the number of each frame that is done.

    Raises:
        ValueError: The board is not found in enough views, or all are alike.
    """
    import cv2

    views, markers = _views(video, board, progress)
    if len(views) < VIEWS:
        found = f"markers in {markers} frames" if markers else "not one of its markers"
        raise ValueError(
            f"the board of {board.columns} x {board.rows} squares ({board.dictionary}) is seen in"
            f" {len(views)} of {video.frames} frames of {video.path}, expected {VIEWS} or more"
            f" with {CORNERS} corners each; found {found}: check --board and --dictionary against"
            " what was printed, and that it fills a good part of the picture"
        )
    objects = [view.board[:, None].astype(np.float32) for view in views]
    pixels = [view.pixels[:, None].astype(np.float32) for view in views]
    guess: Any = None
    error, matrix, lens, turns, shifts, deviation, *_ = cv2.calibrateCameraExtended(
        objects, pixels, video.size, guess, guess
    )
    spread = tuple(float(s) for s in deviation[:4, 0])
    tilt = _tilt(turns)
    if tilt < TILT or not np.isfinite(deviation[:4]).all():
        raise ValueError(
            f"the {len(views)} views of the board in {video.path} are too alike, tilted by"
            f" {tilt:.0f} degrees at most, expected {TILT:.0f} or more: tilt it several ways"
        )
    camera = _camera(video.size, matrix, lens, turns[0], shifts[0], video.frame_rate)
    return Calibration(camera, float(error), len(views), (*spread,))  # type: ignore[arg-type]


def _tilt(turns: Any) -> float:
    """Largest angle between the boards of two views [degrees]."""
    import cv2

    normals = np.stack([cv2.Rodrigues(turn)[0][:, 2] for turn in turns])
    return float(np.degrees(np.arccos(np.clip(normals @ normals.T, -1.0, 1.0)).max()))


def _views(video: Video, board: Board, progress: Callable[[int], None]) -> tuple[list[_View], int]:
    """Views with enough corners, and how many frames show any marker."""
    import cv2

    made = board.made()
    detector = cv2.aruco.CharucoDetector(made)
    chosen = set(np.linspace(0, video.frames - 1, min(video.frames, MOST)).astype(int).tolist())
    views, markers = [], 0
    for number, picture in enumerate(video.grey()):
        progress(number)
        if number not in chosen:
            continue
        corners, names, _, seen = detector.detectBoard(picture)
        markers += seen is not None and len(seen) > 0
        if names is None or len(names) < CORNERS:
            continue
        flat = np.asarray(names).reshape(-1)
        places = np.array(made.getChessboardCorners())[flat.astype(int)]
        straight = np.linalg.matrix_rank(places[:, :2] - places[0, :2], tol=1e-6) < 2
        if not straight:
            views.append(_View(places, np.asarray(corners).reshape(-1, 2)))
    return views, markers


def posed(camera: Camera, places: np.ndarray, pixels: np.ndarray) -> tuple[Camera, float]:
    """A camera of known intrinsics, put where it sees known points as it does.

    Args:
        camera: Its pose is replaced.
        places: Points in the scene [m], shape (k, 3).
        pixels: Where they are in the picture [px], shape (k, 2).

    Returns:
        The camera, and the root mean square distance of the points from where it puts them [px].

    Raises:
        ValueError: There are too few points, or they do not determine a pose.
    """
    import cv2

    if len(places) != len(pixels) or len(places) < POINTS:
        raise ValueError(
            f"got {len(places)} places and {len(pixels)} pixels, expected {POINTS} or more of both"
        )
    f, c = camera.focal, camera.centre
    matrix = np.array([[float(f[0]), 0, float(c[0])], [0, float(f[1]), float(c[1])], [0, 0, 1]])
    lens = camera.distortion.numpy()
    x, u = places.astype(np.float64), pixels.astype(np.float64)
    done, turn, shift = cv2.solvePnP(x, u, matrix, lens, flags=cv2.SOLVEPNP_SQPNP)
    if not done:
        raise ValueError("the points do not determine where the camera is: choose them apart")
    turn, shift = cv2.solvePnPRefineLM(x, u, matrix, lens, turn, shift)
    found = _camera(camera.size, matrix, lens, turn, shift, camera.frame_rate)
    found = replace(found, start=camera.start)
    back = found.project(torch.from_numpy(x))
    if not bool(back.ahead.all()):
        raise ValueError("the points lie behind the camera: check the signs of their places")
    return found, float((back.at - torch.from_numpy(u)).square().sum(1).mean().sqrt())


def _camera(
    size: tuple[int, int], matrix: Any, lens: Any, turn: Any, shift: Any, rate: float | None
) -> Camera:
    import cv2

    rotation = torch.from_numpy(np.asarray(cv2.Rodrigues(turn)[0], np.float64))
    # Rodrigues leaves 1e-10 to the nearest rotation where the angle is large
    u, _, v = torch.linalg.svd(rotation)
    rotation = u @ v
    place = -rotation.mT @ torch.from_numpy(np.asarray(shift, np.float64)).reshape(3)
    lens = torch.from_numpy(np.asarray(lens, np.float64)).reshape(-1)[:5]
    focal, centre = (
        torch.tensor(pair, dtype=torch.float64)
        for pair in ([matrix[0, 0], matrix[1, 1]], [matrix[0, 2], matrix[1, 2]])
    )
    return Camera(size, focal, centre, rotation, place, lens, rate)
