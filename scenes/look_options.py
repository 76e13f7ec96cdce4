# SPDX-License-Identifier: Apache-2.0
"""How bodies are drawn, as options of the command that looks at trajectories."""

from __future__ import annotations

from argparse import ArgumentTypeError, BooleanOptionalAction, Namespace
from typing import TYPE_CHECKING

from .options import Parser

if TYPE_CHECKING:
    from rheograd.viewer import Clip, Looks


def add_options(parser: Parser) -> None:
    """Add them, in a group of their own."""
    from rheograd.viewer.looks import AROUND, SHAPES, SPANS

    group = parser.add_argument_group("how bodies are drawn (in a window and page keys change it)")
    group.add_argument(
        "--as", dest="shape", choices=sorted(SHAPES),
        help="particles, or nodes as points (default: spheres, and the surface of meshes)",
    )  # fmt: skip
    group.add_argument(
        "--clip", type=_clip, metavar="x=X", help="leave out what is beyond it [m]; -x=X: below"
    )
    group.add_argument(
        "--overlay", action="store_true", help="runs one over the other, the later as ghosts"
    )
    group.add_argument(
        "--range", dest="span", choices=[span for span in SPANS if span != "locked"],
        help="whose values the colours span (default: run, or --limits)",
    )  # fmt: skip
    group.add_argument("--axes", action="store_true", help="show where the axes point")
    group.add_argument(
        "--around", choices=AROUND, help="what stands around: the box, with its floor, colliders"
    )
    group.add_argument(
        "--edges", action=BooleanOptionalAction, default=True, help="of the cells of meshes"
    )


def looks_of(found: Namespace) -> Looks:
    """The looks that were asked for.

    Raises:
        ValueError: One run is to lie over another and there is none, or the colours have two
            ranges.
    """
    from rheograd.viewer import Looks

    if found.overlay and len(found.files) < 2:
        raise ValueError("--overlay: got one file, expected two or more to lay over one another")
    if found.limits is not None and found.span == "frame":
        raise ValueError("--range frame: got --limits too, expected one of them")
    return Looks(
        shape=found.shape,
        edges=found.edges,
        clip=found.clip,
        span=found.span or "run",
        overlay=found.overlay,
        axes=found.axes,
        around=found.around or "all",
    )


def _clip(text: str) -> Clip:
    from rheograd.viewer import Clip

    try:
        return Clip.parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
