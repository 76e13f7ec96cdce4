# SPDX-License-Identifier: Apache-2.0
"""Film a trajectory: a textured, lit clip with what is true of it.

Beside --out CLIP.mp4 it writes CLIP.camera.toml, CLIP.mask.png (where the body is in the first
frame) and CLIP.tracks.npz (points of its surface, exactly), so that a tracker and a fit can be held
to the truth. Blur, noise, compression and frame rate can be those of a worse camera.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..options import Parser, converter, count, number
from ..outputs import read_by, require_ending, require_new

if TYPE_CHECKING:
    from rheograd.engine.trajectory import Trajectory
    from rheograd.engine.vision.camera import Camera

RANK = 4
SIZE = (960, 720)
SIDES = (16, 16384)
"""Of a picture that H.264 holds [px]."""


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    pair, letters = converter(tuple[int, int], SIZE)
    parser.add_argument("trajectory", type=Path, metavar="FILE", help=".vtkhdf or .npz of a run")
    parser.add_argument("--out", type=Path, required=True, metavar="CLIP.mp4")
    parser.add_argument("--masks", type=Path, metavar="FILE", help=".mp4 of where the bodies are")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    group = parser.add_argument_group("the camera")
    group.add_argument("--camera", default="front", metavar="PRESET|FILE.toml",
                       help="front, back, left, right, top, corner, or a camera")  # fmt: skip
    group.add_argument("--size", type=pair, metavar=letters, help="of the picture [px]")
    group.add_argument("--frame-rate", type=number, metavar="HZ", help="(default: the run's)")
    group.add_argument("--shutter", type=number, default=0.0, metavar="SHARE",
                       help="open for a share of the time between frames: motion blur")  # fmt: skip
    group.add_argument("--noise", type=number, default=0.0, metavar="X", help="grey levels of 255")
    group.add_argument("--crf", type=count, default=18, metavar="N", help="compression, 1 to 51")
    group.add_argument("--samples", type=count, default=4, metavar="N", help="rays across a pixel")
    group = parser.add_argument_group("the body")
    group.add_argument("--contrast", type=number, default=0.7, metavar="X", help="of its texture")
    group.add_argument("--grain", type=number, default=0.0, metavar="M", help="width of spots [m]")
    group.add_argument("--points", type=count, default=120, metavar="N", help="tracks, about")
    found = parser.read(tokens)
    require_ending("--out", found.out, ".mp4")
    require_ending("--masks", found.masks, ".mp4")
    if found.frame_rate is not None and not found.frame_rate > 0:
        raise ValueError(f"--frame-rate: got {found.frame_rate:g}, expected it positive [1/s]")
    if found.size is not None:
        require_size(found.size, "--size")
    inputs = read_by(found, ("out", "masks"))
    outputs = (found.out, found.masks, *beside(found.out).values())
    require_new(outputs, force=found.force, inputs=inputs)
    return render(found)


def beside(out: Path) -> dict[str, Path]:
    """What is written with a clip, by the end of its name."""
    ends = (".camera.toml", ".mask.png", ".tracks.npz")
    return {end: out.with_name(out.stem + end) for end in ends}


def render(found: argparse.Namespace) -> int:
    """Film, write, sum up."""
    from ..user_files import start_engine

    start_engine()
    import numpy as np
    from PIL import Image

    from rheograd.engine.trajectory import Trajectory
    from rheograd.engine.vision.camera_files import save_camera
    from rheograd.engine.vision.filming import Film, film_clip

    from ..progress import Progress

    others = beside(found.out)
    film = Film(found.shutter, found.samples, found.noise, found.contrast, found.grain, found.crf)
    trajectory = Trajectory.load(found.trajectory)
    camera = chosen_camera(found, trajectory)
    with Progress("render", 0, unit="pictures") as progress:

        def drawn(done: int, total: int) -> None:
            progress.total = total
            progress.to(done)

        clip = film_clip(
            trajectory, camera, found.out, film=film, points=found.points, masks=found.masks,
            progress=drawn,
        )  # fmt: skip
    save_camera(camera, others[".camera.toml"])
    Image.fromarray(255 * clip.mask.astype(np.uint8)).save(others[".mask.png"])
    clip.tracks.save(others[".tracks.npz"])
    t, k, _ = clip.tracks.pixels.shape
    print(
        f"{found.out}: {t} pictures at {camera.frame_rate:g} a second, {k} tracks, of which"
        f" {100 * clip.tracks.seen.mean():.0f} % are in sight;"
        f" beside it {', '.join(path.name for path in others.values())}",
        file=sys.stderr,
    )
    return 0


def chosen_camera(found: argparse.Namespace, trajectory: Trajectory) -> Camera:
    """The camera of a file, or a preset that sees the whole motion."""
    from dataclasses import replace

    from rheograd.engine.vision.camera import Camera
    from rheograd.engine.vision.camera_files import load_camera

    rate = found.frame_rate or trajectory.frame_rate
    if found.camera.endswith(".toml"):
        if found.size is not None:
            raise ValueError("got --size with the .toml of a camera, which has a size of its own")
        camera = load_camera(found.camera)
        require_size(camera.size, found.camera)
        return replace(camera, frame_rate=found.frame_rate or camera.frame_rate or rate)
    x = trajectory.x[trajectory.present]
    return Camera.preset(
        found.camera, x.amin(0), x.amax(0), size=found.size or SIZE, frame_rate=rate
    )


def require_size(size: tuple[int, int], source: str) -> None:
    """Refuse pictures that no film holds.

    Raises:
        ValueError: A side is odd, too short or too long.
    """
    low, high = SIDES
    if any(side % 2 or not low <= side <= high for side in size):
        raise ValueError(
            f"{source}: got a picture of {size[0]} x {size[1]} px, expected even sides from {low}"
            f" to {high} px, as the film has them"
        )
