# SPDX-License-Identifier: Apache-2.0
"""One trajectory of a data set: from what was drawn for it to its file."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rheograd.engine.reduced.labels import DONE, FAILED

from . import selection
from .catalog import Script, load_script

if TYPE_CHECKING:
    from rheograd.engine.scene import Scene
    from rheograd.engine.state import State

Row = Mapping[str, Any]
"""What the index says of a trajectory."""
Told = Callable[[int], None]
"""Is told how many frames of a trajectory are done."""
PART = ".part.vtkhdf"


@dataclass(frozen=True)
class Work:
    """What all trajectories of a data set have in common."""

    found: argparse.Namespace
    """The command line."""
    interval: float
    """Between frames [s]."""

    def scene(self, script: Script, options: Mapping[str, Any]) -> Scene:
        """The scene with the options of a trajectory, and as long as all."""
        chosen = {**options, **selection.chosen_options(self.found)}
        scene = selection.make_scene(script, None, self.found, chosen)
        return replace(scene, duration=self.interval * self.found.frames)

    def make(self, row: Row, told: Told) -> dict[str, Any]:
        """Simulate, and write the file of a trajectory; it takes its name when it is whole.

        The step is the longest one that divides the interval of the frames and is not longer than
        the solver's own for this scene.

        Returns:
            What the index says of it more.

        Raises:
            ValueError: The scene cannot be run with what was drawn.
        """
        from rheograd.engine.errors import SimulationError
        from rheograd.engine.simulate import simulate

        script = load_script(self.found.scene)
        begun = time.perf_counter()
        scene = self.scene(script, row["options"])
        solver: Any = selection.make_solver(script, self.found)
        every = math.ceil(self.interval / solver.discretize(scene).dt * (1 - 1e-9))
        solver = solver.at_step(self.interval / every)
        model = solver.discretize(scene)
        out = self.found.out / row["file"]
        steps = every * self.found.frames
        made = {"particles": model.n, "dt": model.dt, "steps": steps}
        draft = out.with_name(f"{out.stem}.{os.getpid()}{PART}")
        writer = self._writer(draft, scene, model, every, row)
        try:
            with writer:

                def sink(state: State) -> None:
                    writer.append(state.step, state.time, state.x, v=state.v)
                    told(state.step // every)

                simulate(
                    scene, solver, steps=steps, every=every, sink=sink, keep=False, model=model
                )
            with open(draft, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(draft, out)
        except SimulationError as failure:
            return {**made, "state": FAILED, "reason": " ".join(str(failure).split())}
        finally:
            remove(draft)
        seconds = round(time.perf_counter() - begun, 3)
        return {**made, "state": DONE, "size": out.stat().st_size, "seconds": seconds}

    def _writer(self, draft: Path, scene: Scene, model: Any, every: int, row: Row) -> Any:
        from rheograd.engine.simulate import Schedule, describe
        from rheograd.engine.trajectory import TrajectoryWriter

        frames = self.found.frames
        metadata = {
            **describe(scene, model, Schedule(every * frames, every)),
            "steps": str(every * frames),
            "options": json.dumps(row["options"]),
            "draw": identity(row),
        }
        return TrajectoryWriter(
            draft, model.n, fields={"v": 3}, body=model.body.cpu(), metadata=metadata,
            expected=frames + 1,
        )  # fmt: skip


def identity(row: Row) -> str:
    """What a trajectory was made with, as its file says it."""
    names = ("number", "options", "parameters", "density")
    return json.dumps({name: row[name] for name in names}, sort_keys=True)


def outcome_on_disk(folder: Path, row: Row, frames: int) -> dict[str, Any] | None:
    """What the index should say of a trajectory whose file is there and whole; None if it is not.

    A file that was finished just before a kill may not be in the index yet: how long it took is not
    known then.
    """
    from rheograd.engine.trajectory import TrajectoryReader

    path = folder / row["file"]
    size = path.stat().st_size if path.is_file() else 0
    if not size or row.get("size", size) != size:
        return None
    try:
        with TrajectoryReader(path) as reader:
            told, count, n = reader.metadata, len(reader), reader.particles
    except ValueError:
        return None
    if count != frames + 1 or told.get("draw") != identity(row):
        return None
    return {
        "particles": n, "dt": float(told["dt"]), "steps": int(told["steps"]), "state": DONE,
        "size": size, "seconds": row.get("seconds"),
    }  # fmt: skip


def remove(draft: Path) -> None:
    """Delete a file that was not finished, and what its writer had beside it."""
    for path in (draft, draft.with_name(draft.name + ".tmp")):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def sweep(folder: Path) -> None:
    """Delete what killed processes have left unfinished in a folder."""
    for path in [*folder.glob(f"*{PART}"), *folder.glob(f"*{PART}.tmp")]:
        path.unlink(missing_ok=True)
