# SPDX-License-Identifier: Apache-2.0
"""Follow points of an object through a video.

Points are features in the mask, a grid, or given ones; each is held to its look in the first frame,
so that errors do not add up, and is left out of frames in which it is not seen. --out gets them as
.npz, for rheograd fit; --overlay the video with the tracks; --strain a picture of the strain of a
flat specimen, with what it tells of the material without a force, which --json keeps. For --strain
without --mask points are chosen where the first frame shows texture, and those that do not deform
with the specimen are left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..options import Parser, count, number
from ..outputs import read_by, require_ending, require_new
from ..progress import say

if TYPE_CHECKING:
    from rheograd.engine.vision.strain import Neck
    from rheograd.engine.vision.tension import Tension
    from rheograd.engine.vision.video import Video

RANK = 5
WRITTEN = ("out", "overlay", "strain", "json")
"""Options that name what is written."""


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    add_arguments(parser)
    found = parser.read(tokens)
    if found.json is not None and found.strain is None:
        raise ValueError("got --json without --strain: it keeps what the strain tells")
    outputs = written(found)
    if not outputs:
        raise ValueError("got no --out, --overlay or --strain: nothing would be kept")
    require_ending("--out", found.out, ".npz")
    require_ending("--overlay", found.overlay, ".mp4")
    require_ending("--strain", found.strain, ".png", ".pdf", ".svg")
    require_new(outputs, force=found.force, inputs=read_by(found, WRITTEN))
    return run(found)


def add_arguments(parser: Parser) -> None:
    """All options."""
    parser.add_argument("video", type=Path, metavar="VIDEO", help="a film or a folder of pictures")
    parser.add_argument("--out", type=Path, metavar="FILE", help=".npz of the tracks")
    parser.add_argument("--overlay", type=Path, metavar="FILE", help=".mp4 of the video with them")
    parser.add_argument("--strain", type=Path, metavar="FILE", help=".png of the strain")
    parser.add_argument("--json", type=Path, metavar="FILE", help=".json of what the strain tells")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    parser.add_argument("--mask", type=Path, metavar="FILE",
                        help="picture, bright where the object is at first")  # fmt: skip
    parser.add_argument(
        "--camera", type=Path, metavar="FILE",
        help=".toml of the camera, kept in --out; its frame rate is that of pictures, and must"
        " agree with a film's own to 1 %%",
    )  # fmt: skip
    parser.add_argument(
        "--frame-rate", type=number, metavar="HZ", help="in place of the film's and the camera's"
    )
    group = parser.add_argument_group("points")
    group.add_argument("--features", type=count, metavar="N", help="as many at most (default: 200)")
    group.add_argument("--grid", type=count, metavar="N", help="N along the shorter side")
    group.add_argument("--points", type=Path, metavar="FILE",
                       help=".npz whose first frame of pixels gives them")  # fmt: skip
    group = parser.add_argument_group("the tracker")
    group.add_argument("--half", type=count, default=15, metavar="PX",
                       help="patches are 2 PX + 1 pixels wide (default: 15)")  # fmt: skip
    group.add_argument("--gate", type=number, default=0.75, metavar="X",
                       help="least likeness to the first frame (default: 0.75)")  # fmt: skip


def run(found: argparse.Namespace) -> int:
    """Track, write, sum up."""
    import numpy as np

    from rheograd.engine.vision.camera_files import load_camera
    from rheograd.engine.vision.overlay import overlay
    from rheograd.engine.vision.tracker import Tracker
    from rheograd.engine.vision.tracks import Tracks
    from rheograd.engine.vision.video import open_video

    from ..progress import Progress

    tracker = Tracker(half=found.half, gate=found.gate)
    camera = None if found.camera is None else load_camera(found.camera)
    video = open_video(
        found.video, frame_rate=found.frame_rate, camera=found.camera or "its camera",
        camera_rate=None if camera is None else camera.frame_rate,
    )  # fmt: skip
    if camera is not None and camera.size != video.size:
        raise ValueError(
            f"{found.camera} is of pictures of {camera.size[0]} x {camera.size[1]} px, the video"
            f" has {video.size[0]} x {video.size[1]}: calibrate with the video's own size"
        )
    points, mask = seeds(found, video)
    with Progress("track", video.frames, unit="frames") as progress:
        pixels, quality = tracker.follow(
            video, points, mask, progress=lambda frame: progress.to(frame + 1)
        )
    tracks = Tracks(pixels, video.time, video.size, quality, camera, str(found.video))
    seen = tracks.seen
    if not seen[1:].any():
        raise ValueError(
            f"all {len(points)} tracks are lost in the second frame of {found.video}: it may show a"
            " cut, or motion too fast for its frame rate; try larger patches (--half) or a lower"
            " --gate"
        )
    if found.out is not None:
        tracks.save(found.out)
    if found.overlay is not None:
        overlay(video, tracks, found.overlay, gate=found.gate)
    kept = int(seen[-1].sum())
    say(
        f"{len(points)} points in {video.frames} frames: {100 * seen.mean():.1f} % seen,"
        f" {kept} in the last frame, likeness {np.median(quality[seen]):.3f} in the median"
    )
    if found.strain is not None:
        tell_strain(video, pixels, mask, found)
    for path in written(found):
        say(f"wrote {path}")
    return 0


def written(found: argparse.Namespace) -> list[Path]:
    """Files that were asked for."""
    asked = (getattr(found, name) for name in WRITTEN)
    return [path for path in asked if path is not None]


def seeds(found: argparse.Namespace, video: Video) -> tuple[Any, Any]:
    """Points of the first frame (k, 2), and the mask or None.

    Raises:
        ValueError: Two ways to choose points are given, or a point is outside the picture.
    """
    import numpy as np

    from rheograd.engine.vision.seeds import COUNT, features, grid, read_mask, textured
    from rheograd.engine.vision.tracks import Tracks

    ways = [way for way in ("features", "grid", "points") if getattr(found, way) is not None]
    if len(ways) > 1:
        raise ValueError(f"got --{ways[0]} and --{ways[1]}, expected one of them")
    mask = None if found.mask is None else read_mask(found.mask, video.size)
    first = next(video.grey())
    if found.points is not None:
        points = Tracks.load(found.points).pixels[0]
        points = points[np.isfinite(points).all(1)]
        edge = np.array(video.size) - 1
        if not len(points) or not ((points >= 0) & (points <= edge)).all():
            raise ValueError(
                f"{found.points}: its first frame has no points, or some outside the picture of"
                f" {video.size[0]} x {video.size[1]} px"
            )
        return points, mask
    if found.strain is not None and mask is None:
        mask = textured(first, found.half)
    if found.grid is not None:
        return grid(first, mask, found.grid, found.half), mask
    return features(first, mask, found.features or COUNT, found.half), mask


def tell_strain(video: Video, pixels: Any, mask: Any, found: argparse.Namespace) -> None:
    """Draw the strain of the specimen; say and keep what it tells."""
    import numpy as np

    from rheograd.engine.vision.strain import body, neck, strain
    from rheograd.engine.vision.strain_picture import draw
    from rheograd.engine.vision.tension import LEAST, tension

    whole = found.mask is not None or found.points is not None
    kept = np.isfinite(pixels[0]).all(1) if whole else body(pixels)
    steady = kept & (np.isfinite(pixels).all(-1).mean(0) >= LEAST)
    kept = steady if steady.sum() >= 6 else kept
    followed = pixels[:, kept]
    field = strain(followed)
    thin = neck(followed, field)
    for picture in video.rgb():
        last = picture
    say(
        f"strain of {int(kept.sum())} points, each a mean over {2 * field.reach:.0f} px:"
        f" {thin.median:.3f} along the specimen in the median, {thin.strain:.3f} where it is most"
    )
    told, reason = None, ""
    try:
        told = tension(followed, field)
    except ValueError as error:
        reason = str(error)
    say(tell_neck(thin, told))
    for line in [f"nothing told of the material: {reason}"] if told is None else told.lines():
        say(line)
    draw(last, followed, field, found.strain, mask=mask, tension=told, title=video.path.name)
    if found.json is not None:
        table = {"nothing": reason} if told is None else told.table()
        place = {**thin.table(), "found": told is not None and told.necked}
        text = json.dumps({"neck": place, **table}, indent=2)
        found.json.write_text(text + "\n", encoding="utf-8")


def tell_neck(thin: Neck, told: Tension | None) -> str:
    """A sentence: a neck is where the strain goes on while the rest of a specimen stops."""
    place = ", ".join(f"{v:.0f}" for v in thin.place)
    if told is not None and told.necked:
        return f"a neck at ({place}) px of the first frame"
    if not thin.found:
        return "no neck"
    return f"no neck found: strain is most at ({place}) px, but the rest is not seen to stop"
