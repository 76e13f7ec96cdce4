# SPDX-License-Identifier: Apache-2.0
"""What was seen of a live run, to a file: frames as they are made, in bounded memory."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np

from ..boundaries import Collider
from ..description import described_collider, surroundings
from ..state import State
from ..writer import TrajectoryWriter
from .run import LiveRun

_POSE = 7
_NUMBER = 4
"""Bytes of a number in the file."""
_PREFIXES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def size_in_words(size: float) -> str:
    """A number of bytes, such as "2.4 MB"."""
    for least, name in _PREFIXES:
        if size >= least:
            return f"{size / least:.3g} {name}"
    return f"{size:.0f} bytes"


class LiveRecorder:
    """A sink of a live run; time runs on in the file where the run is reset.

    The file is whole at any time. With `close` it also tells where colliders went, for which 56
    bytes a frame and collider are kept.
    """

    def __init__(
        self,
        run: LiveRun,
        path: str | Path,
        *,
        fields: Mapping[str, int | tuple[int, ...]] = MappingProxyType({"v": 3}),
        cell_fields: Mapping[str, int | tuple[int, ...]] = MappingProxyType({}),
        values: Callable[[State], Mapping[str, Any]] | None = None,
    ) -> None:
        """Write the frame at which the run is, and be its sink from now on.

        Args:
            run: What is recorded.
            path: A .vtkhdf file; one that is there is replaced.
            fields: What is recorded of points beside positions, and its shape at each.
            cell_fields: What is recorded of cells, and its shape at each.
            values: Gives these of a state; None: as the run knows them.

        Raises:
            ValueError: The file ends otherwise.
        """
        self.path = Path(path)
        if self.path.suffix != ".vtkhdf":
            raise ValueError(
                f"got {self.path} for a live run, expected a .vtkhdf file, which can grow for as"
                " long as it goes on"
            )
        self.run = run
        self._names = (*fields, *cell_fields)
        self._values = values or (lambda state: {**run.fields(state), **run.cell_fields(state)})
        model = run.stepper.model
        listed = [b for b in run.scene.boundaries if isinstance(b, Collider)]
        self._described = [described_collider(c, run.dt, range(1)) for c in listed]
        self._poses = array("d")
        self._shift = 0.0
        self.writer = TrajectoryWriter(
            path, model.n, fields=fields, cell_fields=cell_fields,
            cells=getattr(model, "cells", None), body=model.body.cpu(),
            metadata={
                "scene": run.scene.name, "dt": repr(run.dt), "every": str(run.every),
                "laws": ", ".join(body.law.name for body in run.scene.bodies), "units": "SI",
                "live": "true", **surroundings(run.scene, run.dt, range(1)),
            },
        )  # fmt: skip
        cells = getattr(model, "cells", None)
        rows = ((model.n, {"x": 3, **fields}), (0 if cells is None else len(cells), cell_fields))
        self.frame_bytes = sum(
            _NUMBER * count * sum(int(np.prod(shape)) for shape in told.values())
            for count, told in rows
        )
        """How much a frame adds to the file [bytes]."""
        run.sink = self
        self(run.state)

    @property
    def frames(self) -> int:
        """Written so far."""
        return len(self.writer)

    @property
    def written(self) -> int:
        """Bytes of all frames so far."""
        return self.frames * self.frame_bytes

    def __call__(self, state: State) -> None:
        """Write a frame."""
        step, time = 0, state.time
        if self.writer.last is not None:
            step, last = self.writer.last[0] + self.run.every, self.writer.last[1]
            if time + self._shift <= last:
                self._shift = last + self.run.interval - time
        values = self._values(state)
        self.writer.append(
            step, time + self._shift, state.x, **{name: values[name] for name in self._names}
        )
        for place, turn in self.run.poses():
            self._poses.extend((*place, *turn))

    def close(self) -> None:
        """Finish the file."""
        if self.run.sink is self:
            self.run.sink = None
        frames = self.frames
        self.writer.close()
        if not len(self._poses):
            return
        poses = np.frombuffer(self._poses).reshape(frames, -1, _POSE).round(6)
        told = []
        for number, described in enumerate(self._described):
            own = poses[:, number]
            if described and (own != own[:1]).any():
                described = {**described, "path": own[:, :3].tolist(), "turn": own[:, 3:].tolist()}
            if described:
                told.append(described)
        _retell(self.path, {"colliders": json.dumps(told)})


def _retell(path: Path, metadata: Mapping[str, str]) -> None:
    """Change what a file says about the whole."""
    with h5py.File(path, "r+", locking=False) as file:
        group: Any = file["rheograd"]
        said = json.loads(bytes(group["layout"][()]).decode())
        said["metadata"] |= metadata
        del group["layout"]
        group["layout"] = np.bytes_(json.dumps(said))
