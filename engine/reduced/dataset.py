# SPDX-License-Identifier: Apache-2.0
"""A folder of trajectories of one scene, each with options, material and purpose of its own.

Beside the .vtkhdf files, one a trajectory, `index.json` says what all have in common and what each
was made with. It is replaced in one go whenever a trajectory is done, and a trajectory takes its
name when it is whole: a folder is in order whenever it is left.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..atomic import replacing
from ..boundaries import Vector
from ..scene import Domain, Scene
from ..suggestion import did_you_mean
from ..trajectory import Trajectory, TrajectoryReader
from .labels import DONE, PLANNED, SPLITS

FORMAT = "rheograd data set"
VERSION = 1
INDEX = "index.json"


@dataclass(frozen=True)
class Case:
    """One trajectory of a data set."""

    path: Path
    """Its .vtkhdf file."""
    number: int
    """From 0, in the data set."""
    split: str
    """train, validation or test."""
    geometry: str
    """seen, or unseen: a body of a kind that is only in the test set."""
    options: Mapping[str, Any]
    """Of the scene's build(), those that were drawn and those that were given to all."""
    parameters: Mapping[str, float]
    """Numbers of its law by name [SI]."""
    density: float
    """Rest density [kg/m³]."""
    particles: int
    dt: float
    """Time step of the simulation [s]; it divides the frame interval."""
    steps: int
    size: int
    """Of the file [bytes]."""
    seconds: float | None
    """That the simulation took, None where that was lost in a kill."""

    def open(self) -> TrajectoryReader:
        """The trajectory on disk, to be read frame by frame; close it after use."""
        return TrajectoryReader(self.path)

    def load(self) -> Trajectory:
        """The trajectory with all its frames."""
        return Trajectory.load(self.path)


@dataclass(frozen=True)
class Dataset:
    """Trajectories of one scene at the same times."""

    folder: Path
    scene: str
    """Its name."""
    script: str
    """What builds it: a scene of rheograd by name, or the path of a file."""
    command: str
    """That made it."""
    law: str
    """Classes of the law, such as ElastoPlastic(Hencky, VonMises)."""
    domain: Domain
    gravity: Vector
    """[m/s²]"""
    boundaries: str
    """As `boundaries_of` says them."""
    frames: int
    """After the first one."""
    frame_interval: float
    """[s]"""
    cell: float
    """Cell length of the simulations [m]."""
    particles_per_cell: int
    seed: int
    """Of the draws."""
    ranges: Mapping[str, str]
    """What was drawn, by option, such as young: LogUniform(low=20000.0, high=100000.0)."""
    cases: Sequence[Case]
    """Those whose simulation did not fail."""

    @classmethod
    def load(cls, folder: str | Path) -> Dataset:
        """Read the index; trajectories stay on disk.

        Args:
            folder: As `rheograd dataset` wrote it.

        Raises:
            FileNotFoundError: It has no index, or a file is missing.
            ValueError: The index is of another kind, the set is unfinished, or a file is not whole.
        """
        folder = Path(folder)
        index = read_index(folder)
        try:
            cases = [_case(folder, row) for row in index["trajectories"] if row["state"] == DONE]
            waiting = sum(row["state"] == PLANNED for row in index["trajectories"])
            lower, upper = (tuple(corner) for corner in index["domain"])
            found = cls(
                folder=folder, domain=Domain(lower, upper), gravity=tuple(index["gravity"]),
                cases=tuple(cases), script=index.get("script", index["scene"]),
                **{name: index[name] for name in _PLAIN},
            )  # fmt: skip
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(
                f"{folder / INDEX} is not a whole index ({type(error).__name__}: {error}): make the"
                " data set again"
            ) from error
        if waiting:
            raise ValueError(
                f"{folder} is unfinished, {waiting} of {len(index['trajectories'])} trajectories"
                f" are still to be made: {index['command']} --resume"
            )
        for case in cases:
            require_whole(case.path, case.size)
        return found

    def __len__(self) -> int:
        return len(self.cases)

    def split(self, name: str) -> list[Case]:
        """The trajectories to train, to validate or to test with.

        Raises:
            ValueError: There is no such split.
        """
        if name not in SPLITS:
            raise ValueError(
                f"got the split {name!r}{did_you_mean(name, SPLITS)}, expected one of"
                f" {', '.join(SPLITS)}"
            )
        return [case for case in self.cases if case.split == name]


_PLAIN = (
    "scene", "command", "law", "boundaries", "frames", "frame_interval", "cell",
    "particles_per_cell", "seed", "ranges",
)  # fmt: skip


def _case(folder: Path, row: Mapping[str, Any]) -> Case:
    plain = {
        name: row[name]
        for name in ("number", "split", "geometry", "parameters", "density", "particles", "dt",
                     "steps", "size", "seconds")
    }  # fmt: skip
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in row["options"].items()}
    return Case(path=folder / row["file"], options=options, **plain)


def read_index(folder: Path) -> dict[str, Any]:
    """What the index of a folder says.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no index of a data set, or one of another version.
    """
    path = folder / INDEX
    if not path.is_file():
        raise FileNotFoundError(
            f"no data set {folder}: it has no {INDEX}; rheograd dataset SCENE --out {folder} makes"
            " one"
        )
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not readable ({error}): make the data set again") from error
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise ValueError(f"{path} is not the index of a data set, expected format {FORMAT!r} in it")
    if index.get("version") != VERSION:
        raise ValueError(
            f"{path} is of version {index.get('version')}, expected {VERSION}: make the data set"
            " again with this rheograd, or read it with the one that made it"
        )
    return index


def write_index(folder: Path, index: Mapping[str, Any]) -> None:
    """Replace the index of a folder in one go."""
    with replacing(folder / INDEX) as draft:
        draft.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def require_whole(path: Path, size: int) -> None:
    """Refuse a file that is not as long as it was when it was made.

    Raises:
        FileNotFoundError: It is not there.
        ValueError: It has another length.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: the command that made the data set makes it again with --resume"
        )
    if (there := path.stat().st_size) != size:
        raise ValueError(
            f"{path} is torn, {there} of {size} bytes: the command that made the data set makes it"
            " again with --resume"
        )


def boundaries_of(scene: Scene) -> str:
    """Its boundaries in words which scenes with the same ones share, in whatever order."""
    words = sorted(repr(boundary) for boundary in scene.boundaries)
    return re.sub(r" at 0x[0-9a-f]+", "", f"[{', '.join(words)}]")
