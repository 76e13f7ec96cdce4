# SPDX-License-Identifier: Apache-2.0
"""Simulate a scene many times, each with options of its own, for a reduced model to learn from.

Options are drawn from ranges that the scene states, in groups that --vary names; an option that is
given stays as it is. Files and an index.json come into a folder. A trajectory is there when it is
whole, so a command that was stopped loses the ones it was at; with --resume it makes those that are
missing or torn. Bodies of some kinds are kept for the test set.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rheograd.engine.reduced.labels import DONE, FAILED, PLANNED, SPLITS, UNSEEN
from rheograd.engine.suggestion import did_you_mean

from .. import selection
from ..options import Parser, count, number, parameters
from ..progress import Progress, say

if TYPE_CHECKING:
    from rheograd.engine.reduced.plan import Draw
    from rheograd.engine.reduced.variation import Table, Variation
    from rheograd.engine.scene import Scene

    from ..catalog import Script
    from ..draws import Work

RANK = 8
FRAMES = 100
TOO_MANY = 0.25
"""Share of failed simulations beyond which the command has failed."""
KEPT = ("number", "file", "split", "geometry", "options", "parameters", "density")
"""What a trajectory is, apart from what became of it."""


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    parser.epilog = f"{selection.scene_list()}\n\n{parser.epilog}"
    selection.add_scene_argument(parser)
    parser.add_argument("--n", type=count, required=True, metavar="N", help="trajectories to make")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--vary", metavar="A,B", help="groups of options (default: all)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws")
    parser.add_argument("--frames", type=count, default=FRAMES, metavar="N",
                        help=f"of a trajectory, after the first (default: {FRAMES})")  # fmt: skip
    parser.add_argument("--duration", type=number, metavar="S", help="time to simulate [s]")
    parser.add_argument("--validation", type=count, metavar="N",
                        help="trajectories to validate with (default: an eighth)")  # fmt: skip
    parser.add_argument("--test", type=count, metavar="N",
                        help="trajectories to test with (default: an eighth)")  # fmt: skip
    parser.add_argument("--processes", type=count, metavar="N",
                        help="that simulate at the same time (default: the cores)")  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="make what is missing or torn")
    if (varied := selection.script_of(parser, tokens)) is not None:
        if not hasattr(varied.module, "vary"):
            table_of(varied, {})  # before options of a scene that cannot vary get into the way
        if {"-h", "--help"} & {*tokens}:
            parser.epilog = f"{range_list(varied)}\n\n{parser.epilog}"
    found, script = selection.read(parser, tokens)
    assert script is not None
    if found.duration is not None and not found.duration > 0:
        raise ValueError(f"--duration must be positive [s]; got {found.duration:g}")
    if found.out.exists() and not found.out.is_dir():
        raise ValueError(f"{found.out} is a file, expected a folder: name another with --out")
    words = [word for word in tokens if word != "--resume"]
    return run(found, script, shlex.join(["rheograd", "dataset", *words]))


def run(found: argparse.Namespace, script: Script, command: str) -> int:
    """Plan, make what is not there, sum up."""
    import torch

    from ..draws import Work, outcome_on_disk, sweep

    torch.set_num_threads(1)
    ranges = chosen_ranges(script, found)
    interval = _duration(script, found) / found.frames
    work = Work(found, interval)
    index, first = planned(work, script, ranges, command)
    selection.make_solver(script, found).discretize(first)  # refuses and warns once, for all
    resumed = _opened(found, index)
    rows = index["trajectories"]
    for row in rows if resumed else ():
        if row["state"] != FAILED:
            _settle(row, outcome_on_disk(found.out, row, found.frames))
    sweep(found.out)
    missing = [row for row in rows if row["state"] == PLANNED]
    _announce(found, ranges, index, len(missing))
    _write(found.out, index)
    _make(work, index, missing)
    return _sum_up(found.out, rows)


def _make(work: Work, index: dict[str, Any], missing: list[dict[str, Any]]) -> None:
    """Make trajectories, and bring the index up to date after each."""
    from ..draws import sweep
    from ..workers import make_all

    found, rows = work.found, index["trajectories"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    all_frames, before = len(rows) * found.frames, (len(rows) - len(missing)) * found.frames
    done = {row["number"]: 0 for row in missing}
    waiting = {row["number"] for row in missing}
    with Progress(index["scene"], all_frames, done=before, unit="frames") as progress:

        def frames(number: int, k: int) -> None:
            done[number] = k
            progress.to(
                before + sum(done.values()), f"{len(rows) - len(waiting)} of {len(rows)} done"
            )

        def finished(number: int, more: dict[str, Any]) -> None:
            _settle(rows[number], more)
            waiting.discard(number)
            frames(number, found.frames)
            if more["state"] == FAILED:
                progress.say(f"trajectory {number} failed: {more['reason']}")
            _write(found.out, index)

        try:
            make_all(work, missing, found.processes or cores or 1, frames, finished)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{len(rows) - len(waiting)} of {len(rows)} trajectories are in {found.out},"
                " --resume goes on"
            ) from None
        finally:
            sweep(found.out)


def _settle(row: dict[str, Any], more: Mapping[str, Any] | None) -> None:
    """What became of a trajectory: nothing yet for None."""
    for name in [name for name in row if name not in KEPT]:
        del row[name]
    row.update({"state": PLANNED} if more is None else more)


def _write(folder: Path, index: Mapping[str, Any]) -> None:
    from rheograd.engine.reduced.dataset import write_index

    write_index(folder, index)


def table_of(script: Script, given: Mapping[str, Any]) -> Table:
    """What a scene can vary, with options that are given.

    Raises:
        ValueError: It does not say.
    """
    table = script.variations(given)
    if not table:
        raise ValueError(
            f"{script.name} does not say what can vary: add a table such as VARY ="
            ' {"material": {"young": LogUniform(2e4, 1e5)}} to its file, of'
            " rheograd.engine.reduced.variation"
        )
    return table


def range_list(script: Script) -> str:
    """The groups of what a scene varies unless its options say otherwise, for help."""
    lines = [f"groups of {script.name} for --vary, with the ranges of their options:"]
    for group, ranges in table_of(script, {}).items():
        width = max(map(len, ranges), default=0) + 2
        lines += [f"  {group}", *(f"    {name:<{width}}{v.words}" for name, v in ranges.items())]
    return "\n".join(lines)


def chosen_ranges(script: Script, found: argparse.Namespace) -> dict[str, Variation]:
    """Ranges of the options that vary: those of the groups, without what was given.

    Raises:
        ValueError: There is no such group, or nothing is left to vary.
    """
    given = selection.chosen_options(found)
    table = table_of(script, given)
    groups = list(table) if found.vary is None else found.vary.split(",")
    for group in groups:
        if group not in table:
            raise ValueError(
                f"--vary: got {group!r}{did_you_mean(group, table)}, expected some of"
                f" {', '.join(table)}"
            )
    takes = {p.name for p in parameters(script.build)}
    ranges = {name: v for group in groups for name, v in table[group].items()}
    if strange := sorted(set(ranges) - takes):
        raise ValueError(
            f"{script.name} varies {strange[0]!r}, expected parameters of its build(): mend VARY"
        )
    left = {name: v for name, v in ranges.items() if name not in given}
    if not left:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in ranges if name in given)
        why = f": {flags} fix all of it" if flags else ""
        raise ValueError(f"--vary {','.join(groups)} leaves nothing to vary{why}")
    return left


def _duration(script: Script, found: argparse.Namespace) -> float:
    """Of every trajectory [s]."""
    if found.duration is not None:
        return float(found.duration)
    return selection.make_scene(script, None, found).duration


def planned(
    work: Work, script: Script, ranges: Mapping[str, Variation], command: str
) -> tuple[dict[str, Any], Scene]:
    """The index before anything is made, and the scene of the first trajectory.

    Raises:
        ValueError: The scene is not one that a data set can be made of.
    """
    from rheograd.engine.mpm import MPMSolver
    from rheograd.engine.reduced import dataset
    from rheograd.engine.reduced.plan import plan

    found = work.found
    solver = selection.make_solver(script, found)
    if not isinstance(solver, MPMSolver):
        raise ValueError(
            f"{script.name} is solved by {type(solver).__name__}, expected MPMSolver: a data set is"
            " of particles"
        )
    draws = plan(ranges, found.n, seed=found.seed, validation=found.validation, test=found.test)
    scenes = [work.scene(script, draw.options) for draw in draws]
    for scene in scenes:
        if len(scene.bodies) != 1:
            raise ValueError(
                f"{script.name} has {len(scene.bodies)} bodies, expected one: a reduced model is of"
                " one material"
            )
    common = [_common(scene) for scene in scenes]
    if other := next((c for c in common if c != common[0]), None):
        what = next(name for name in other if other[name] != common[0][name])
        raise ValueError(
            f"{script.name}: {what} is {common[0][what]} with some of what was drawn and"
            f" {other[what]} with other, expected the same for all: mend VARY"
        )
    asked = {
        "n": found.n, "vary": sorted(ranges), "seed": found.seed, "frames": found.frames,
        "duration": found.duration, "validation": found.validation, "test": found.test,
        "dt": found.dt, "cell": found.cell, "precision": found.precision, **_given(found),
    }  # fmt: skip
    index = {
        "format": dataset.FORMAT, "version": dataset.VERSION, "scene": scenes[0].name,
        "script": _script(found.scene), "command": command, "asked": asked, **common[0],
        "frames": found.frames, "frame_interval": work.interval, "cell": solver.cell,
        "particles_per_cell": solver.particles_per_cell, "precision": solver.precision,
        "solver": repr(replace(solver, device="cpu")), "seed": found.seed,
        "ranges": {name: str(v) for name, v in ranges.items()},
        "trajectories": [
            _row(found, draw, scene) for draw, scene in zip(draws, scenes, strict=True)
        ],
    }  # fmt: skip
    return index, scenes[0]


def _script(scene: str) -> str:
    """Where the scene is found again from any folder."""
    return str(Path(scene).resolve()) if scene.endswith(".py") else scene


def _common(scene: Scene) -> dict[str, Any]:
    """What all trajectories must share."""
    import torch

    from rheograd.engine.reduced.dataset import boundaries_of
    from rheograd.engine.reduced.material import structure

    return {
        "law": structure(scene.bodies[0].law),
        "domain": [list(scene.domain.lower), list(scene.domain.upper)],
        "gravity": torch.as_tensor(scene.gravity, dtype=torch.float64).tolist(),
        "boundaries": boundaries_of(scene),
    }


def _given(found: argparse.Namespace) -> dict[str, Any]:
    """The scene's options that are the same for all, as JSON values."""
    chosen = selection.chosen_options(found)
    return {name: str(v) if isinstance(v, Path) else v for name, v in chosen.items()}


def _row(found: argparse.Namespace, draw: Draw, scene: Scene) -> dict[str, Any]:
    from rheograd.engine.reduced.material import parameters as numbers_of

    (body,) = scene.bodies
    digits = max(3, len(str(found.n - 1)))
    return {
        "number": draw.number,
        "file": f"{draw.number:0{digits}d}.vtkhdf",
        "split": draw.split,
        "geometry": draw.geometry,
        "options": {**_given(found), **draw.options},
        "parameters": {name: float(t.detach()) for name, t in numbers_of(body.law).items()},
        "density": float(body.density),
        "state": PLANNED,
    }


def _opened(found: argparse.Namespace, index: dict[str, Any]) -> bool:
    """Open or create the folder, and take over what became of trajectories that are there.

    Returns:
        Whether there was a data set.

    Raises:
        ValueError: The folder holds something else, or --resume is missing.
    """
    from rheograd.engine.reduced.dataset import INDEX, read_index

    folder: Path = found.out
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / INDEX).is_file():
        others = [path.name for path in folder.iterdir() if path.suffix != ".tmp"]
        if others:
            raise ValueError(
                f"{folder} holds other files, such as {sorted(others)[0]}: choose an empty folder,"
                " or one that does not exist"
            )
        return False
    if not found.resume:
        raise ValueError(
            f"{folder} holds a data set already: add --resume to go on with it, or choose another"
            " folder"
        )
    before = read_index(folder)
    _require_same(folder, before, index)
    for row, old in zip(index["trajectories"], before["trajectories"], strict=True):
        _settle(row, {name: value for name, value in old.items() if name not in KEPT})
    return True


def _require_same(folder: Path, before: dict[str, Any], index: dict[str, Any]) -> None:
    """Refuse to go on with a data set that was begun in another way."""
    now = json.loads(json.dumps(index))
    asked, had = now.pop("asked"), before["asked"]
    if before["scene"] != now["scene"]:
        raise ValueError(
            f"{folder} holds a data set of {before['scene']}, not of {now['scene']}: choose another"
            " folder"
        )
    for name in sorted({*asked, *had}, key=lambda name: (name == "vary", name)):
        if asked.get(name) != had.get(name):
            raise ValueError(
                f"{folder} was begun with --{name.replace('_', '-')} {_word(had.get(name))}, got"
                f" {_word(asked.get(name))}: give the options it was begun with, or choose another"
                " folder"
            )
    rows = [[{k: r[k] for k in KEPT} for r in i["trajectories"]] for i in (before, now)]
    apart = {"trajectories", "command", "asked", "script"}
    changed = [k for k in now if k not in apart and now[k] != before.get(k)]
    if changed or rows[0] != rows[1]:
        raise ValueError(
            f"{folder} was begun with another {(changed or ['plan'])[0]}: the scene has changed"
            " since, choose another folder"
        )


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "unset" if value is None else str(value)


def _announce(
    found: argparse.Namespace, ranges: Mapping[str, Variation], index: Mapping[str, Any], left: int
) -> None:
    rows = index["trajectories"]
    sizes = {name: sum(row["split"] == name for row in rows) for name in SPLITS}
    unseen = sum(row["geometry"] == UNSEEN for row in rows)
    say(
        f"{index['scene']}: {len(rows)} trajectories of {index['law']},"
        f" {', '.join(f'{size} {name}' for name, size in sizes.items())}"
        f" ({unseen} of unseen geometry), {found.frames} frames every"
        f" {1e3 * index['frame_interval']:.3g} ms; varies {', '.join(ranges)}"
        + (f"; {len(rows) - left} are there" if left < len(rows) else "")
    )


def _sum_up(folder: Path, rows: Sequence[Mapping[str, Any]]) -> int:
    """Say what there is.

    Raises:
        RuntimeError: Too many simulations failed.
    """
    done = [row for row in rows if row["state"] == DONE]
    failed = [row for row in rows if row["state"] == FAILED]
    if len(failed) > TOO_MANY * len(rows):
        raise RuntimeError(
            f"{len(failed)} of {len(rows)} simulations failed, such as trajectory"
            f" {failed[0]['number']}: {failed[0]['reason']}"
        )
    size = sum(row["size"] for row in done) / 1e6
    seconds = sum(row["seconds"] or 0.0 for row in done)
    told = f", {len(failed)} failed" if failed else ""
    say(f"{folder}: {len(done)} trajectories{told}, {size:.3g} MB, {seconds:.3g} s of simulation")
    return 0
