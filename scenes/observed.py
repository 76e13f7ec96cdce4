# SPDX-License-Identifier: Apache-2.0
"""What `rheograd view` looks at: runs, with what was observed of them, or tracks in a film."""

from __future__ import annotations

import inspect
import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .progress import say

Opener = Callable[[Path], Any]
"""Opens a file as a trajectory."""


def looked_at(found: Namespace, opened: Opener) -> list[Any]:
    """What the files of a command line are.

    Args:
        found: `files`, `observed`, `over` and `camera`.
        opened: opens one as a trajectory.

    Raises:
        ValueError: They do not go together, or a file of tracks lacks its camera.
    """
    from rheograd.engine.vision.tracks import holds_tracks

    tracks = [path for path in found.files if holds_tracks(path)]
    if tracks and (len(found.files) > 1 or found.observed is not None):
        raise ValueError(
            f"{tracks[0]} holds tracks in pixels, expected it alone, or over the run that they are"
            f" of: rheograd view RUN --observed {tracks[0]}"
        )
    seen: Path | None = found.observed
    over_film = bool(tracks) or (seen is not None and holds_tracks(seen))
    for name in ("over", "camera"):
        if getattr(found, name) is not None and not over_film:
            raise ValueError(
                f"got --{name}, which goes with tracks in pixels: give those as the file to look"
                " at, or by --observed"
            )
    if tracks:
        return [_film(tracks[0], found, None)]
    if seen is not None and over_film:
        if len(found.files) > 1:
            raise ValueError(
                f"--observed {found.observed}: got {len(found.files)} runs, expected one to be seen"
                " by the camera of the tracks"
            )
        return [_film(seen, found, opened(found.files[0]))]
    runs = [opened(path) for path in found.files]
    if found.observed is None:
        return runs
    return [
        _with_ghost(run, path, found, opened) for run, path in zip(runs, found.files, strict=True)
    ]


def _film(path: Path, found: Namespace, run: Any) -> Any:
    """Tracks over their film, and the run they are of, if any."""
    from rheograd.engine.vision.camera_files import load_camera
    from rheograd.engine.vision.tracks import Tracks
    from rheograd.viewer.observed.tracked_film import TrackedFilm, film_of_run

    from .user_files import start_engine

    tracks = Tracks.load(path)
    clip = found.over or _clip(tracks.source, path)
    if run is None:
        return TrackedFilm(tracks, path=clip)
    start_engine()
    camera = None if found.camera is None else load_camera(found.camera)
    if camera is None and tracks.camera is None:
        raise ValueError(
            f"{path} does not say what camera saw it, by which the run is to be seen: give it by"
            " --camera FILE.toml, or track with --camera"
        )
    return film_of_run(tracks, run, path=clip, camera=camera, title=found.files[0].stem)


def _clip(source: str, tracks: Path) -> Path | None:
    """The film of tracks where it is, or beside them."""
    for path in (Path(source), tracks.parent / Path(source).name):
        if source and path.exists():
            return path
    name = f"the film {source} is not there" if source else "the tracks do not say of which film"
    say(f"warning: {name}: they are drawn over a plain grey; give it by --over")
    return None


def _with_ghost(run: Any, path: Path, found: Namespace, opened: Opener) -> Any:
    """A run with what was observed of it."""
    from rheograd.viewer.observed.ghosts import Observed, ghost_of_points, ghost_of_run
    from rheograd.viewer.source import Source

    from .user_files import start_engine

    start_engine()
    seen, source = opened(found.observed), Source(run, path.stem)
    title = found.observed.name
    if getattr(seen, "markers", ()):
        bound = _bound(seen, source, found.observed)
        if bound is not None:
            from rheograd.viewer.observed.ghosts import ghost_of_markers

            return Observed(run, ghost_of_markers(bound, source, title))
        return Observed(run, ghost_of_points(Source(seen), source, title))
    return Observed(run, ghost_of_run(Source(seen, found.observed.stem), source, title))


def _bound(recording: Any, source: Any, path: Path) -> Any:
    """Markers bound to a run by the scene it says it is of; None where that says nothing of them.

    Raises:
        ValueError: The scene cannot bind them.
    """
    import torch

    from .catalog import load_script, scene_files

    name = source.metadata.get("scene", "")
    observe = None
    if name in scene_files():
        observe = getattr(load_script(name).module, "observe", None)
    if observe is None:
        say(
            f"warning: {path} holds markers, and nothing says how they are tied to"
            f" {source.title}: they are drawn in the axes of the file, without lines"
        )
        return None
    takes = inspect.signature(observe).parameters
    told = json.loads(source.metadata.get("options", "{}"))
    chosen = {key: value for key, value in told.items() if key in takes}
    rest = torch.from_numpy(source.positions(0)).double()
    return observe(recording, rest, **chosen)
