# SPDX-License-Identifier: Apache-2.0
"""Fit a box, sphere, cylinder or capsule to masks of one moment.

A mask (silhouette) is a picture that is bright where the body is, seen by a camera that is known.
The primitive is found by least squares on how much of each pixel is covered; --out gets it as a
closed mesh in the axes of the scene, for rheograd run drop --mesh. One camera alone cannot tell a
small body from a large one far away: say on which --floor it lies, or one --size. Of a body that
hangs or flies --floor is the height of its lowest point in this picture, not that of the ground.
Bands hold the rounding of masks to pixels and what the primitive leaves of them, not errors of the
camera, of --floor, of --size, or of a mask that is drawn too large or too small all around.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..options import Parser, number
from ..outputs import read_by, require_ending, require_new
from ..progress import say

if TYPE_CHECKING:
    from rheograd.engine.fit.primitive import Measure, PrimitiveFit
    from rheograd.engine.shapes import Solid

RANK = 6
EQUAL = 0.01
"""How much sizes of a form that has one size may differ."""
POOR = 0.95
"""Overlap below which another kind is worth a thought."""
LEANING = 0.09
"""Angle between the floor and a face from which a box stands on an edge [rad], about 5 degrees."""
FLOOR = 0.0
"""Height of the floor of the scene drop [m]."""
PLACE = 0.5
"""Where along x and z the scene drop puts the middle of its body [m]."""
ALIGNED = 0.5
"""Share of rims along rows and columns of pixels that is worth a word."""


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    parser.add_argument("masks", type=Path, nargs="+", metavar="MASK",
                        help="pictures of one moment, one of each camera")  # fmt: skip
    parser.add_argument("--camera", type=Path, nargs="+", required=True, metavar="FILE",
                        help=".toml of each camera, in the order of the masks")  # fmt: skip
    parser.add_argument("--kind", required=True, metavar="KIND",
                        help="box, sphere, cylinder or capsule")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="mesh: .ply, .stl or .obj")
    parser.add_argument("--json", type=Path, metavar="FILE", help="what is printed, as numbers")
    parser.add_argument("--overlay", type=Path, metavar="FILE.png",
                        help="the masks with the outline over them")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    group = parser.add_argument_group("what is known")
    group.add_argument("--floor", type=number, metavar="Y",
                       help="height of the body's lowest point in the picture [m]")  # fmt: skip
    group.add_argument("--size", type=known_sizes, metavar="NAME=M,...",
                       help="radius=0.1; height=0.3 (of a capsule: of its straight part); of a box"
                       " width, height, depth [m]")  # fmt: skip
    group.add_argument("--upright", action="store_true", help="its axis, or a face's normal, is y")
    found = parser.read(tokens)
    require_ending("--overlay", found.overlay, ".png", ".jpg", ".tif")
    inputs = read_by(found, ("out", "json", "overlay"))
    require_new((found.out, found.json, found.overlay), force=found.force, inputs=inputs)
    if found.out is not None and found.out.suffix.lower() not in (".ply", ".stl", ".obj"):
        raise ValueError(f"got --out {found.out}, expected a mesh that ends in .ply, .stl or .obj")
    return run(found)


def run(found: argparse.Namespace) -> int:
    """Fit, print, write."""
    from ..user_files import start_engine

    start_engine()
    from rheograd.engine.fit.primitive import fit_primitive
    from rheograd.engine.primitives import kind_of
    from rheograd.engine.vision.camera_files import load_camera
    from rheograd.engine.vision.seeds import read_mask

    kind_of(found.kind)
    cameras = [load_camera(path) for path in found.camera]
    if len(cameras) != len(found.masks):
        raise ValueError(
            f"got {len(found.masks)} masks and {len(cameras)} cameras, expected a camera for each"
            " mask, in the same order"
        )
    masks = [
        read_mask(mask, camera.size, camera=path)
        for mask, camera, path in zip(found.masks, cameras, found.camera, strict=True)
    ]
    fit = fit_primitive(
        found.kind, masks, cameras, on_floor=found.floor, sizes=found.size, upright=found.upright
    )
    options = "" if fit.undetermined else drop_options(fit)
    print("\n".join(told(fit)))
    for line in doubts(fit, found.floor):
        say(f"warning: {line}")
    if options:
        print(f"the same in the scene drop: {options}")
    if found.out is not None:
        write_mesh(fit, found.out)
    if not fit.undetermined:
        if found.out is not None:
            height = _rounded(fit, _height(fit))
            print(f"as a mesh: rheograd run drop --mesh {found.out} --turn 0,0,0 --height {height}")
        if options or found.out is not None:
            print("\n".join(moved(fit)))
    if found.json is not None:
        write_json(fit, options, found.json)
    if found.overlay is not None:
        draw(fit, masks, cameras, found.overlay)
    for path in (found.out, found.json, found.overlay):
        if path is not None:
            say(f"wrote {path}")
    return 0


def told(fit: PrimitiveFit) -> list[str]:
    """The lines of a result."""
    like = max(fit.pose.sizes.tolist())
    lines = [f"{fit.kind}, sizes and place with 95 % bands"]
    lines += [f"  {m.name:<10}{_value(m, like)}" for m in fit.measures]
    lines.append(
        f"overlap (intersection over union) {100 * fit.overlap:.2f} %; the rims are {fit.rim:.2f}"
        " px off (root mean square)"
    )
    return lines


def moved(fit: PrimitiveFit) -> list[str]:
    """What the options of drop do not carry over."""
    lines = []
    x, y, z = (_rounded(fit, _value_of(fit, n)) for n in ("centre.x", "lowest", "centre.z"))
    if _value_of(fit, "lowest") < FLOOR - EQUAL * max(fit.pose.sizes):
        lines.append(
            f"  drop has its floor at y = {FLOOR:g}; the body's lowest point was seen below it, at"
            f" y = {y} m, and is put on it"
        )
    else:
        lines.append(f"  --height is over the floor of drop, which is at y = {FLOOR:g}")
    if any(_rounded(fit, PLACE) != at for at in (x, z)):
        lines.append(
            f"  drop puts the middle of the body at x = {PLACE:g}, z = {PLACE:g} m; it was seen at"
            f" x = {x}, z = {z} m"
        )
    return lines


def doubts(fit: PrimitiveFit, floor: float | None = None) -> list[str]:
    """What a reader should know before the numbers are used."""
    lines = list(fit.undetermined)
    lean = math.acos(min(float(abs(fit.pose.turn[1]).max()), 1.0))
    if fit.kind == "box" and floor is not None and lean > LEANING:
        lines.append(
            f"the box stands on an edge or a corner, a face {math.degrees(lean):.0f} degrees from"
            f" level: if it hung or moved, --floor must be the height of its lowest point in this"
            f" picture (got {floor:g} m), and all sizes are wrong with a wrong one"
        )
    if fit.overlap < POOR:
        lines.append(
            f"a {fit.kind} covers the masks badly ({100 * fit.overlap:.0f} % overlap): try another"
            " --kind, or check masks, cameras, --floor and --size"
        )
    else:
        lines += [
            f"another one fits as well, a second camera may tell: {_described(rival)}"
            for rival in fit.rivals
        ]
    if fit.along_pixels > ALIGNED:
        lines.append(
            f"{100 * fit.along_pixels:.0f} % of the rims lie along rows or columns of pixels, where"
            " rounding does not average out: sizes may be off by a pixel, and turns by more than"
            " their bands; look at an angle, or say --upright if it is"
        )
    return lines


def drop_options(fit: PrimitiveFit) -> str:
    """Options of the scene drop that make the same body, or nothing."""
    sizes = [m.value for m in fit.measures if m.unit == "m"]
    one = {
        "box": lambda: (sizes[0], sizes[1], sizes[2]),
        "sphere": lambda: (2 * sizes[0],),
        "cylinder": lambda: (2 * sizes[0], sizes[1]),
        "capsule": lambda: (4 * sizes[0], 2 * sizes[1]),
    }[fit.kind]()
    size = sum(one) / len(one)
    if max(one) - min(one) > EQUAL * size:
        return ""
    turn = ",".join(f"{round(v, 4) + 0.0:g}" for v in fit.shape.turn)
    height = _rounded(fit, _height(fit))
    return f"--shape {fit.kind} --size {size:.4g} --turn {turn} --height {height}"


def _height(fit: PrimitiveFit) -> float:
    """Of the lowest point over the floor of drop [m]."""
    return max(_value_of(fit, "lowest") - FLOOR, 0.0)


def _value_of(fit: PrimitiveFit, name: str) -> float:
    return next(m.value for m in fit.measures if m.name == name)


def _rounded(fit: PrimitiveFit, length: float) -> str:
    """A length [m] to about a thousandth of the body."""
    places = 3 - math.floor(math.log10(max(fit.pose.sizes)))
    return f"{round(length, places) + 0.0:g}"


def write_mesh(fit: PrimitiveFit, path: Path) -> None:
    """Its surface as a closed mesh."""
    import trimesh

    surface = fit.shape.surface()
    made: Any = trimesh.Trimesh(surface.vertices.numpy(), surface.triangles.numpy(), process=False)
    made.export(str(path))


def write_json(fit: PrimitiveFit, options: str, path: Path) -> None:
    """The numbers in SI units; a band is half the 95 % interval, null if not determined."""
    import json
    from dataclasses import asdict

    summary = {
        "kind": fit.kind,
        "measures": {m.name: {"value": m.value, "unit": m.unit, "band": m.band}
                     for m in fit.measures},
        "overlap": fit.overlap,
        "rim": fit.rim,
        "undetermined": list(fit.undetermined),
        "rivals": [asdict(rival) for rival in fit.rivals],
        "drop": options or None,
    }  # fmt: skip
    path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def draw(fit: PrimitiveFit, masks: Sequence[Any], cameras: Sequence[Any], path: Path) -> None:
    """Masks with the outline over them, side by side."""
    import cv2
    import numpy as np
    from PIL import Image

    from rheograd.engine.outlines import Eye
    from rheograd.engine.primitives import kind_of

    height = max(mask.shape[0] for mask in masks)
    parts = []
    for mask, camera in zip(masks, cameras, strict=True):
        canvas = np.zeros((height, mask.shape[1], 3), np.uint8)
        canvas[: len(mask)] = np.where(mask[..., None], 150, 40)
        line = Eye.of(camera).outline(kind_of(fit.kind), fit.pose, camera)
        points = np.rint(16 * line).astype(np.int32)[:, None]
        parts.append(cv2.polylines(canvas, [points], True, (255, 150, 0), 1, cv2.LINE_AA, 4))
    Image.fromarray(np.concatenate(parts, 1)).save(path)


def known_sizes(text: str) -> dict[str, float]:
    """Names and lengths [m], as radius=0.1,height=0.3.

    Raises:
        argparse.ArgumentTypeError: It is something else.
    """
    found = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if not name or not value:
            raise argparse.ArgumentTypeError(
                f"got {text!r}, expected names and lengths in metres, such as radius=0.1,height=0.3"
            )
        found[name.strip()] = number(value)
    return found


def _value(measure: Measure, like: float) -> str:
    """A number with its band, in the unit that suits a length `like` [m]."""
    from rheograd.engine.fit.quantity import quantity

    value = quantity(measure.value, measure.unit, digits=4, known_to=measure.band, like=like)
    if measure.band is None:
        return f"{value}, not determined"
    if measure.band == 0.0:
        return f"{value}, given"
    return f"{value} ± {quantity(measure.band, measure.unit, digits=2, like=like)}"


def _described(shape: Solid) -> str:
    """A shape in a line, [m] and [rad]."""
    from dataclasses import asdict

    parts = []
    for name, value in asdict(shape).items():
        values = value if isinstance(value, tuple) else (value,)
        parts.append(f"{name} {', '.join(f'{v:.4g}' for v in values)}")
    return "; ".join(parts)
