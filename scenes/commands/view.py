# SPDX-License-Identifier: Apache-2.0
"""Look at trajectories, or at a fit: a window, a browser, a movie or a picture.

Files are .npz, .vtkhdf or .c3d, several are shown side by side; or the folder of a fit, which is
watched as the fit goes on. A file that is being written is followed. A window opens unless
--browser, --movie, --screenshot or --export is given; in it, h lists the keys. --browser serves the
same to a browser, here or, with --host or through `ssh -L PORT:localhost:PORT`, on another machine;
Ctrl-C ends it. --dt or --frame-rate tell the times of a .npz that has none. --colour error shows
how far every point is from where the first file has it, whatever the numbers of points.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..look_options import add_options, looks_of
from ..options import Parser, converter, count, number
from ..outputs import require_new
from ..progress import Opening, Progress

if TYPE_CHECKING:
    from rheograd.viewer import Presentation

RANK = 3


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    from rheograd.viewer import ERROR

    pair, _ = converter(tuple[float, float])
    pixels, _ = converter(tuple[int, int])
    pair_of_frames, _ = converter(tuple[int, int])
    whole, _ = converter(int)
    several, _ = converter(tuple[int, ...])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE|FOLDER")
    parser.add_argument("--movie", type=Path, metavar="FILE", help="write .mp4 or .gif")
    parser.add_argument("--screenshot", type=Path, metavar="FILE", help="write .png or .jpg")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    parser.add_argument(
        "--colour", "--color", metavar="FIELD", help="such as speed, error or 'von Mises stress'"
    )
    parser.add_argument(
        "--error", action="store_true", help="the same as --colour error: how far runs are apart"
    )
    parser.add_argument("--limits", type=pair, metavar="LOW,HIGH", help="of the colours [SI]")
    parser.add_argument("--frame", type=int, metavar="K", help="frame to start from or to draw")
    parser.add_argument(
        "--pick", type=several, default=(), metavar="ID,ID", help="particles to mark and chart"
    )
    parser.add_argument("--up", metavar="AXIS", help="the axis that points up, such as z or -x")
    parser.add_argument("--titles", metavar="A,B", help="names above the panels")
    parser.add_argument("--size", type=pixels, default=(1280, 720), metavar="W,H", help="[pixels]")
    add_options(parser)
    parser.add_argument(
        "--speed", type=number, metavar="S", help="of a movie or .glb: run per second [s]"
    )
    group = parser.add_argument_group("what was observed, over the run")
    group.add_argument(
        "--observed", type=Path, metavar="FILE",
        help="markers (.c3d), another run, or tracks in pixels (.npz), shown in their film",
    )  # fmt: skip
    group.add_argument("--over", type=Path, metavar="CLIP", help="the film of tracks")
    group.add_argument("--camera", type=Path, metavar="FILE", help=".toml of what took it")
    group = parser.add_argument_group("for other programs")
    group.add_argument(
        "--export", type=Path, metavar="FILE",
        help="write .glb (glTF, animated) or .pvd (a series of VTK files for ParaView)",
    )  # fmt: skip
    group.add_argument("--frames", type=pair_of_frames, metavar="A,B", help="from A to B only")
    group.add_argument("--every", type=count, metavar="N", help="each Nth frame only")
    group = parser.add_argument_group("in a browser")
    group.add_argument("--browser", action="store_true", help="serve a page instead of a window")
    group.add_argument("--port", type=whole, metavar="N", help="to listen at, any free one if 0")
    group.add_argument("--host", metavar="H", help="to listen at: 127.0.0.1, 0.0.0.0 for all")
    group = parser.add_argument_group("files that do not say")
    group.add_argument("--dt", type=number, metavar="S", help="length of a time step [s]")
    group.add_argument("--frame-rate", type=number, metavar="HZ", help="frames per second")
    group.add_argument("--units", metavar="UNIT", help="of length: m, cm, mm, ...")
    found = parser.read(tokens)
    _require_one_way(found)
    found.colour = ERROR if found.error else found.colour
    looks_of(found)  # what does not go together is refused before any file is read
    with Opening(", ".join(map(str, found.files))) as opening:
        from ..observed import looked_at

        show(found, looked_at(found, lambda path: _open(path, found)), opening)
    return 0


def _require_one_way(found: Namespace) -> None:
    """Refuse what does not go together, before any file is read.

    Raises:
        ValueError: Two colours are asked for, a page beside a picture or movie, or half of what a
            page needs.
    """
    from rheograd.viewer import ERROR

    if found.error and found.colour not in (None, ERROR):
        raise ValueError(f"--error: got --colour {found.colour} too, expected one of them")
    files = [name for name in ("movie", "screenshot", "export") if getattr(found, name) is not None]
    if found.browser and files:
        raise ValueError(
            f"got --browser and --{files[0]}, expected one of them: run the command once for each"
        )
    if found.export is not None and (found.clip is not None or found.overlay or found.pick):
        given = "clip" if found.clip is not None else "overlay" if found.overlay else "pick"
        raise ValueError(
            f"--{given}: an export has whole bodies, coloured as they are; leave it out, or write a"
            " --screenshot or --movie"
        )
    parts = [name for name in ("frames", "every") if getattr(found, name) is not None]
    if parts and found.export is None:
        raise ValueError(f"got --{parts[0]} without --export, which it is for: add --export")
    served = [name for name in ("port", "host") if getattr(found, name) is not None]
    if served and not found.browser:
        raise ValueError(f"got --{served[0]} without --browser, which it is for: add --browser")
    if found.port is not None and not 0 <= found.port < 2**16:
        raise ValueError(f"got --port {found.port}, expected 0 to 65535")


def _open(path: Path, found: Namespace) -> Any:
    from rheograd.engine.trajectory import open_trajectory

    if path.is_dir():
        return path
    if not path.exists() and not path.suffix:
        raise FileNotFoundError(
            f"no file or folder {path}: check the path; rheograd fit makes the folder of a fit once"
            " it has read what was observed"
        )
    return open_trajectory(path, dt=found.dt, frame_rate=found.frame_rate, units=found.units)


def show(found: Namespace, trajectories: list[Any], opening: Opening) -> None:
    """Write what was asked for, or open a window or serve a page, until which it is opening.

    Raises:
        ValueError: A file is there already and is not to be replaced.
    """
    from rheograd import viewer

    from ..user_files import start_engine

    read = [path for path in _read(found) if not path.is_dir()]
    exported = () if found.export is None else viewer.written_by(found.export)
    if found.export is not None:
        found.export.parent.mkdir(parents=True, exist_ok=True)
    written = (found.screenshot, found.movie, *exported)
    require_new(written, force=found.force, inputs=read)
    window = found.screenshot is None and found.movie is None and found.export is None
    start_engine()  # by which many particles are drawn, and errors found
    titles = found.titles.split(",") if found.titles else [path.stem for path in found.files]
    presentation = viewer.Presentation(
        field=found.colour, titles=titles if found.titles or read else None, limits=found.limits,
        up=found.up, size=found.size, looks=looks_of(found), picked=found.pick,
    )  # fmt: skip
    if found.screenshot is not None:
        frame = -1 if found.frame is None else found.frame
        viewer.screenshot(trajectories, found.screenshot, presentation, frame=frame)
        opening.done()
        print(f"wrote {found.screenshot}", file=sys.stderr)
    if found.movie is not None:
        opening.done()
        with Progress(found.movie.name, 0, unit="pictures") as progress:

            def drawn(done: int, total: int) -> None:
                progress.total = total
                progress.to(done)

            viewer.movie(trajectories, found.movie, presentation, speed=found.speed, progress=drawn)
        print(f"wrote {found.movie}", file=sys.stderr)
    if found.export is not None:
        opening.done()
        _export(found, trajectories, presentation)
    if found.browser:

        def ready(url: str) -> None:
            opening.done()
            print(f"shown at {url} until Ctrl-C", file=sys.stderr, flush=True)

        viewer.serve(
            trajectories,
            presentation,
            frame=found.frame or 0,
            host=found.host or "127.0.0.1",
            port=found.port or 0,
            ready=ready,
        )
    elif window:
        viewer.play(trajectories, presentation, frame=found.frame or 0, watch=opening.done)
    elif found.colour == viewer.ERROR and not _recorded(trajectories):
        for line in _totals(trajectories, titles):
            print(line, file=sys.stderr)


def _export(found: Namespace, trajectories: list[Any], presentation: Presentation) -> None:
    """Write what other programs read, and say what it is."""
    from rheograd import viewer

    with Progress(found.export.name, 0, unit="frames") as progress:

        def done(count: int, total: int) -> None:
            progress.total = total
            progress.to(count)

        told = viewer.export(
            trajectories, found.export, presentation, frames=found.frames,
            every=found.every or 1, speed=found.speed, progress=done,
        )  # fmt: skip
    print(f"wrote {found.export}: {told}", file=sys.stderr)


def _read(found: Namespace) -> list[Path]:
    """Files that the command reads."""
    more = (found.observed, found.over, found.camera)
    return [*found.files, *(path for path in more if path is not None)]


def _recorded(trajectories: list[Any]) -> bool:
    """Whether the files hold a field of that name, which then is what is shown."""
    from rheograd.viewer import ERROR

    return all(ERROR in {**one.fields, **one.cell_fields} for one in trajectories)


def _totals(trajectories: list[Any], titles: list[str]) -> list[str]:
    """A line about each run but the first: how far it is from that."""
    from rheograd.viewer import error_totals

    lines = []
    for total in error_totals(trajectories, titles=titles):
        moved = f" ({100 * total.relative:.2g} % of the distance travelled)"
        lines.append(
            f"error of {total.title} against {titles[0]}: mean {1e3 * total.mean:.3g} mm"
            f"{moved if total.relative > 0 else ''}, largest {1e3 * total.largest:.3g} mm"
            f" at {total.when:.3g} s"
        )
    return lines
