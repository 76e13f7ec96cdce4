# SPDX-License-Identifier: Apache-2.0
"""Make a camera from a clip of a ChArUco board, or find where it stands from known points.

Move and tilt the board before the camera; --out gets intrinsics, distortion and the pose of the
board's first view, whose axes are then those of the scene. --points places the camera in another
scene: a .csv with columns u, v [px] and x, y, z [m]. --print writes the board as a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..options import Parser, number
from ..outputs import read_by, require_ending, require_new
from ..progress import say

RANK = 6


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    parser.add_argument("clip", type=Path, nargs="?", metavar="BOARD-CLIP")
    parser.add_argument("--out", type=Path, metavar="FILE", help=".toml of the camera")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.add_argument("--frame-rate", type=number, metavar="HZ", help="if the clip does not say")
    parser.add_argument("--camera", type=Path, metavar="FILE",
                        help=".toml to be placed by --points, in place of a clip")  # fmt: skip
    parser.add_argument("--points", type=Path, metavar="FILE", help=".csv: u,v,x,y,z")
    group = parser.add_argument_group("the board")
    group.add_argument("--board", type=_squares, default=(7, 5), metavar="7x5", help="squares")
    group.add_argument("--square", type=number, default=0.03, metavar="M", help="edge [m]")
    group.add_argument("--marker", type=number, default=0.022, metavar="M", help="edge [m]")
    group.add_argument("--dictionary", default="DICT_5X5_100", metavar="NAME", help="of OpenCV")
    group.add_argument("--print", type=Path, dest="printed", metavar="FILE", help=".png to print")
    found = parser.read(tokens)
    require_ending("--out", found.out, ".toml")
    require_ending("--print", found.printed, ".png", ".jpg", ".tif")
    inputs = read_by(found, ("out", "printed"))
    require_new((found.out, found.printed), force=found.force, inputs=inputs)
    return run(found)


def run(found: Any) -> int:
    """Calibrate, place, write."""
    from rheograd.engine.vision.calibration import Board, calibrate, posed
    from rheograd.engine.vision.camera_files import load_camera, save_camera
    from rheograd.engine.vision.video import open_video

    from ..progress import Progress

    columns, rows = found.board
    board = Board(columns, rows, found.square, found.marker, found.dictionary)
    if found.printed is not None:
        from PIL import Image

        Image.fromarray(board.picture()).save(found.printed)
        say(f"wrote {found.printed}: print it so that a square measures {found.square:g} m")
        if found.clip is None:
            return 0
    if (found.clip is None) == (found.camera is None):
        raise ValueError("expected a BOARD-CLIP, or --camera with --points")
    if found.out is None:
        raise ValueError("--out is missing: the .toml file that the camera goes to")
    if found.clip is not None:
        video = open_video(found.clip, frame_rate=found.frame_rate)
        with Progress("calibrate", video.frames, unit="frames") as progress:
            result = calibrate(video, board, progress=lambda frame: progress.to(frame + 1))
        camera = result.camera
        f = camera.focal.tolist()
        say(
            f"{result.views} views, {result.error:.3f} px RMS; focal length {f[0]:.1f} ±"
            f" {result.spread[0]:.1f}, {f[1]:.1f} ± {result.spread[1]:.1f} px"
        )
    else:
        camera = load_camera(found.camera)
    if found.points is not None:
        places, pixels = read_points(found.points)
        camera, error = posed(camera, places, pixels)
        say(f"placed by {len(places)} points, {error:.3f} px RMS")
    elif found.clip is None:
        raise ValueError("--points is missing: where known points are in the picture")
    save_camera(camera, found.out)
    say(f"wrote {found.out}")
    return 0


def read_points(path: Path) -> tuple[Any, Any]:
    """Places [m] (k, 3) and pixels (k, 2) of a .csv file with a line of names.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing or something is not a number.
    """
    from rheograd.engine.tables import read_table

    if not path.is_file():
        raise FileNotFoundError(f"no points {path}: check the path")
    values = read_table(path, ("u", "v", "x", "y", "z"))
    return values[:, 2:], values[:, :2]


def _squares(text: str) -> tuple[int, int]:
    import argparse

    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected squares such as 7x5")
    return int(parts[0]), int(parts[1])
