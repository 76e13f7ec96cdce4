# SPDX-License-Identifier: Apache-2.0
"""The experiments that a command line names: files, or a .toml that says more of them.

    [[experiment]]
    name = "throw"
    options = { velocity = [0.5, 0.0, 0.0] }    # of the scene, where experiments differ
    [[experiment.see]]
    file = "front.tracks.npz"                   # tracks, positions, markers, a video of masks,
    camera = "front.toml"                       # a folder or .npz of point clouds, a force .csv
    noise = 0.1                                 # of a component, in px, m, N, or shares of pixels

Files are sought beside the .toml. Several of one experiment were seen of one motion.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rheograd.engine.suggestion import did_you_mean

from . import selection
from .observing import Source, bound, markers
from .options import parameters
from .progress import say

if TYPE_CHECKING:
    from rheograd.engine.fit.experiment import Experiment
    from rheograd.engine.observations.observation import Observation
    from rheograd.engine.scene import Scene
    from rheograd.engine.trajectory import Trajectory
    from rheograd.engine.vision.tracks import Tracks

    from .catalog import Script


@dataclass(frozen=True)
class Named:
    """An experiment before anything is bound."""

    name: str
    sources: tuple[Source, ...]
    recordings: tuple[Trajectory | Tracks | None, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of its scene, beside those of the command line, which come first."""

    @property
    def motions(self) -> list[Trajectory]:
        """Those recordings that are in space."""
        from rheograd.engine.trajectory import Trajectory

        return [r for r in self.recordings if isinstance(r, Trajectory)]


def named(
    found: argparse.Namespace, script: Script, solver: Any, fitted: Iterable[str] = ()
) -> list[Named]:
    """What the command line names, read; several cameras of one motion are one experiment.

    Args:
        found: Has observation, camera, noise, frame_rate and units.
        script: The scene.
        solver: Its step times files of steps without times.
        fitted: Names of options that are not to be taken from files.

    Raises:
        FileNotFoundError: A file is not there.
        ValueError: One is not as it must be.
    """
    takes = {p.name for p in parameters(script.build)}
    raw: list[tuple[str, tuple[Source, ...], dict[str, Any]]] = []
    for path in found.observation:
        if path.suffix == ".toml":
            _only_here(found, path)
            raw += _tables(path, takes)
        else:
            source = Source(path, found.camera, found.noise, found.frame_rate, found.units)
            raw.append((path.name.partition(".")[0], (source,), {}))
    experiments = []
    for name, sources, options in raw:
        recordings = tuple(source.load(solver) for source in sources)
        made = [_made_with(r, script, takes - set(fitted), s.path) for r, s in
                zip(recordings, sources, strict=True)]  # fmt: skip
        own = {k: v for told in made for k, v in told.items()} | options
        chosen = selection.chosen_options(found)
        _say(name, {k: v for k, v in own.items() if k not in chosen and k not in options})
        experiments.append(Named(name, sources, recordings, {**own, **chosen}))
    return _apart(_joined(experiments))


def _only_here(found: argparse.Namespace, path: Path) -> None:
    given = [n for n in ("camera", "noise", "frame_rate", "units") if getattr(found, n) is not None]
    if given:
        raise ValueError(
            f"got --{given[0].replace('_', '-')} beside {path}: say it in that file, for each"
            f" observation, as {given[0]} = ..."
        )


def _tables(path: Path, takes: set[str]) -> list[tuple[str, tuple[Source, ...], dict[str, Any]]]:
    """Name, sources and options of each experiment in a .toml file."""
    if not path.is_file():
        raise FileNotFoundError(f"no experiments file {path}: check the path")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    _known(path, "file", table, ("experiment",))
    rows = table.get("experiment")
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path} has no [[experiment]], expected one or more")
    out = []
    for number, row in enumerate(rows):
        name = str(row.get("name", f"{path.stem} {number + 1}" if len(rows) > 1 else path.stem))
        _known(path, f"experiment {name!r}", row, ("name", "options", "see"))
        options = {k: tuple(v) if isinstance(v, list) else v
                   for k, v in row.get("options", {}).items()}  # fmt: skip
        _known(path, f"options of {name!r}", options, takes)
        seen = row.get("see")
        if not isinstance(seen, list) or not seen:
            raise ValueError(f"{path}: experiment {name!r} has no [[experiment.see]] with a file")
        if name in [other for other, _, _ in out]:
            raise ValueError(
                f"{path}: two experiments are called {name!r}, expected a name of its own for each"
            )
        out.append((name, tuple(_source(path, name, s) for s in seen), options))
    return out


def _source(path: Path, name: str, row: Mapping[str, Any]) -> Source:
    names = ["file", *(f.name for f in fields(Source) if f.name != "path")]
    _known(path, f"what was seen in {name!r}", row, names)
    if not isinstance(row.get("file"), str):
        raise ValueError(f"{path}: something seen in {name!r} has no file, expected file = ...")
    values: dict[str, Any] = {k: v for k, v in row.items() if k not in ("file", "camera", "axis")}
    if "camera" in row:
        values["camera"] = path.parent / str(row["camera"])
    if "axis" in row:
        values["axis"] = tuple(float(v) for v in row["axis"])
    return Source(path.parent / row["file"], **values)


def _known(path: Path, what: str, table: Mapping[str, Any], names: Iterable[str]) -> None:
    for key in table:
        if key not in names:
            raise ValueError(
                f"{path}: {what} has {key!r}{did_you_mean(key, names)}, expected some of"
                f" {', '.join(names)}"
            )


def _made_with(
    recording: Trajectory | Tracks | None, script: Script, takes: set[str], path: Path
) -> dict[str, Any]:
    """Options of the scene with which a recorded motion was made, as its file tells."""
    from rheograd.engine.trajectory import Trajectory

    if not isinstance(recording, Trajectory) or "options" not in recording.metadata:
        return {}
    try:
        told = json.loads(recording.metadata["options"])
        own = recording.metadata.get("scene") == script.name
        found = {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
    except (ValueError, AttributeError):
        raise ValueError(f"{path} does not say readably with which options it was made") from None
    return {k: v for k, v in found.items() if own and k in takes}


def _say(name: str, options: Mapping[str, Any]) -> None:
    if not options:
        return
    words = " ".join(
        f"--{k.replace('_', '-')} {','.join(map(str, v)) if isinstance(v, tuple) else v}"
        for k, v in options.items()
    )
    say(f"{name} was made with {words}: so is its scene here")


def _joined(experiments: Sequence[Named]) -> list[Named]:
    """Tracks and silhouettes of scenes without a difference are of one motion."""
    out: list[Named] = []
    for e in experiments:
        pictures = all(s.kind in ("tracks", "silhouettes") for s in e.sources)
        for k, other in enumerate(out):
            if pictures and other.options == e.options and other.name and all(
                s.kind in ("tracks", "silhouettes") for s in other.sources
            ):  # fmt: skip
                out[k] = replace(
                    other, sources=(*other.sources, *e.sources),
                    recordings=(*other.recordings, *e.recordings),
                )  # fmt: skip
                break
        else:
            out.append(e)
    return out


def _apart(experiments: Sequence[Named]) -> list[Named]:
    """Names of their own for experiments that are called alike."""
    names = [e.name for e in experiments]
    if len(set(names)) == len(names):
        return list(experiments)
    return [replace(e, name=f"{e.name} {k + 1}") for k, e in enumerate(experiments)]


def observed(e: Named, solver: Any, scene: Scene) -> Observation:
    """All that was seen of an experiment, bound to its scene.

    Raises:
        ValueError: Something was seen of another kind of scene.
    """
    from rheograd.engine.observations.joint import Joint

    parts = tuple(bound(s, r, solver, scene) for s, r in zip(e.sources, e.recordings, strict=True))
    return parts[0] if len(parts) == 1 else Joint(parts)


def judged(
    e: Named, found: argparse.Namespace, script: Script, solver: Any
) -> Experiment:  # fmt: skip
    """What numbers are fitted to, and longer motions by which the fit is judged.

    Raises:
        ValueError: Something was seen of another kind of scene.
    """
    from rheograd.engine.fit.experiment import Experiment
    from rheograd.engine.fit.judge import HOLD_OUT, SEEN, held_out

    scene = selection.make_scene(script, None, found, e.options)
    motions: Mapping[str, Observation]
    if any(m.markers for m in e.motions):
        if len(e.sources) > 1:
            raise ValueError(f"{e.name} has markers, which are fitted alone: leave the others out")
        rest = solver.discretize(scene).x0
        motions = markers(script, rest, e.options, e.motions[0], next(iter(e.sources)).path)
    else:
        share = HOLD_OUT if found.hold_out is None else found.hold_out
        motions = held_out(observed(e, solver, scene), scene, share)
    others = {name: seen for name, seen in motions.items() if name != SEEN}
    return Experiment(motions[SEEN], e.options, e.name, others)
