# SPDX-License-Identifier: Apache-2.0
"""Runs for other programs: .glb, animated, and series of VTK files; nothing is drawn for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Unpack

from ..presentation import Presentation, Presented
from ..source import Source
from ..view import View
from .numbered import new_file

ENDINGS = (".glb", ".pvd")
"""Of what can be written."""


def written_by(path: Path) -> list[Path]:
    """The file that an export to `path` makes, and those of an earlier one that it replaces.

    Raises:
        ValueError: The file is of no such kind, or the folder of a series holds other files.
    """
    from .series import held_by

    if path.suffix not in ENDINGS:
        raise ValueError(
            f"{path}: got the type {path.suffix!r}, expected .glb (glTF, animated) or .pvd (a"
            " series of VTK files)"
        )
    if path.suffix == ".glb":
        return [path]
    return [path, *held_by(path)]


def export(
    trajectories: Any,
    path: str | Path,
    presentation: Presentation | None = None,
    *,
    frames: tuple[int, int] | None = None,
    every: int = 1,
    speed: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    **presented: Unpack[Presented],
) -> str:
    """Write a run for other programs; an earlier file of that name is replaced.

    A folder that does not exist is made.

    Args:
        trajectories: one trajectory or path; for .glb several stand side by side.
        path: .glb, see `gltf`, or .pvd, with a .vtp or .vtu for each frame in a folder beside it.
        presentation: what a .glb is coloured by, and which axis points up in it; bodies are whole
            in both, and drawn by others.
        frames: first and last place of the timeline, from the end where negative.
        every: take each so manieth of these.
        speed: of a .glb, seconds of the run in a second; by default 30 frames a second.
        progress: called with the number of frames done and their total.
        **presented: fields of the presentation, such as ``field="speed"``.

    Returns:
        What was written, in words.

    Raises:
        ValueError: for a field, frame or file type that there is not, several runs for a .pvd, or
            an animation that is too large.
    """
    out = Path(path)
    written_by(out)
    view = Presentation.of(presentation, **presented).view(trajectories)
    if view.sources[0].film is not None:
        raise ValueError(
            "an export: got tracks in pixels, which have no place in space, expected a run; write a"
            " picture or movie of them instead (--screenshot, --movie)"
        )
    places = range(len(view.times))[_chosen(len(view.times), frames, every)]
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".pvd":
        return _series(view.sources, out, places, progress)
    from rheograd.engine.atomic import replacing

    from .gltf import scene_of

    glb, kinds = scene_of(view, places, speed=speed, progress=progress)
    with replacing(out) as draft, open(draft, "wb") as file:
        file.writelines(glb.parts())
    return f"{len(places)} frames of {' and '.join(kinds)}, coloured by {view.field}"


def _series(
    sources: Sequence[Source],
    out: Path,
    frames: Iterable[int],
    progress: Callable[[int, int], None] | None,
) -> str:
    from .series import ending, write_series

    if len(sources) != 1:
        raise ValueError(
            f"a series of VTK files: got {len(sources)} trajectories, expected one; run the command"
            " once for each"
        )
    count = write_series(sources[0], out, [*frames], progress=progress)
    return f"{count} frames as {ending(sources[0])} files"


def _chosen(count: int, frames: tuple[int, int] | None, every: int) -> slice:
    """Places of the timeline that are taken."""
    if every < 1:
        raise ValueError(f"frames to export: got every {every}th, expected 1 or more")
    first, last = (0, count - 1) if frames is None else frames
    if not all(-count <= k < count for k in (first, last)) or first % count > last % count:
        raise ValueError(
            f"frames to export: got {first} to {last}, expected a first and then a last one from"
            f" {-count} to {count - 1}"
        )
    return slice(first % count, last % count + 1, every)


def frame_bytes(view: View, place: int, field: str) -> bytes:
    """The frame at a place of the timeline as a .glb, coloured by a field."""
    from .gltf import scene_of

    return b"".join(scene_of(view, [place], field)[0].parts())


def export_frame(
    view: View, place: int, field: str, stem: str, *, numbers: bool = False
) -> list[str]:
    """Write the frame at a place of the timeline to new files in the working folder.

    Args:
        view: what is seen.
        place: of the timeline.
        field: what to colour by.
        stem: of the names, which a number follows.
        numbers: all that was recorded as .vtp or .vtu, a file for each run, instead of a .glb.

    Returns:
        Names of the files.
    """
    if not numbers:
        shape = frame_bytes(view, place, field)
        path = new_file(stem, ".glb")
        path.write_bytes(shape)
        return [str(path)]
    from .series import dataset, ending

    names = []
    for source, own in zip(view.sources, view.frames, strict=True):
        data, path = dataset(source, int(own[place])), new_file(stem, ending(source))
        data.save(path)
        names.append(str(path))
    return names
