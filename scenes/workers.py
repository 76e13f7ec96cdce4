# SPDX-License-Identifier: Apache-2.0
"""Trajectories of a data set, made by several processes.

This process hands out the work, one trajectory after the other, and hears of each frame. Children
do nothing else than simulate and write: a trajectory is the same whoever makes it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from .draws import Row, Work

Frames = Callable[[int, int], None]
"""Is told the number of a trajectory and how many of its frames are done."""
Finished = Callable[[int, dict[str, Any]], None]
"""Is told the number of a trajectory, and what the index says of it more."""


class Child(NamedTuple):
    """A process that makes trajectories."""

    process: Any
    line: Connection
    """To hand it work, and to hear of it."""


def make_all(
    work: Work, rows: Sequence[Row], processes: int, frames: Frames, finished: Finished
) -> None:
    """Make trajectories.

    Args:
        work: What they have in common.
        rows: What the index says of each.
        processes: How many are made at the same time; one is made in this process.
        frames: Is told of frames.
        finished: Is told of trajectories, in the order in which they are done.

    Raises:
        ValueError: One cannot be made.
        RuntimeError: A process died.
    """
    count = min(processes, len(rows))
    if count <= 1:
        for row in rows:
            try:
                finished(row["number"], work.make(row, lambda k, row=row: frames(row["number"], k)))
            except ValueError as error:
                raise ValueError(f"{_named(row)}: {error}") from error
        return
    children = [_start(work) for _ in range(count)]
    try:
        _share_out(children, list(rows), frames, finished)
    finally:
        for child in children:
            child.line.close()
            child.process.terminate()
        for child in children:
            child.process.join()


def _start(work: Work) -> Child:
    context = multiprocessing.get_context("spawn")  # a fork would copy threads of torch and Warp
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(work, theirs, os.getpid()), daemon=True)
    # Ctrl-C reaches all of a terminal: a child must not hear it while it starts, nor later
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    theirs.close()
    return Child(process, ours)


def _share_out(
    children: Sequence[Child], waiting: list[Row], frames: Frames, finished: Finished
) -> None:
    """Give each child a trajectory whenever it has none, until all are done."""
    doing: dict[Connection, Row] = {}
    lines = {child.line: child for child in children}

    def give(line: Connection) -> None:
        doing.pop(line, None)
        if waiting:
            doing[line] = waiting.pop(0)
            line.send(doing[line])

    for line in lines:
        give(line)
    while doing:
        for line in wait(list(doing)):
            assert isinstance(line, Connection)
            row = doing[line]
            try:
                kind, said = line.recv()
            except EOFError:
                raise RuntimeError(_lost(lines[line], row)) from None
            if kind == "frames":
                frames(row["number"], said)
                continue
            if kind == "refused":
                raise ValueError(f"{_named(row)}: {said}")
            if kind == "broke":
                raise RuntimeError(f"{_named(row)}: {said}")
            finished(row["number"], said)
            give(line)


def _named(row: Row) -> str:
    return f"trajectory {row['number']}"


def _lost(child: Child, row: Row) -> str:
    child.process.join(5.0)
    code = child.process.exitcode
    how = f"was ended by signal {-code}" if code is not None and code < 0 else "ended"
    return (
        f"the process that made trajectory {row['number']} {how}: --resume goes on, with fewer"
        " --processes if memory was short"
    )


def serve(work: Work, line: Connection, parent: int) -> None:
    """What a child does until its parent has no more work, or is no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")  # it has told what there is to warn of
    os.environ["OMP_NUM_THREADS"] = "1"

    def told(frames: int) -> None:
        if os.getppid() != parent:
            raise SystemExit
        line.send(("frames", frames))

    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            row = line.recv()
            line.send(_made(work, row, told))


def _made(work: Work, row: Row, told: Callable[[int], None]) -> tuple[str, Any]:
    from .user_files import start_engine

    start_engine()
    import torch

    torch.set_num_threads(1)
    try:
        return "made", work.make(row, told)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except (ValueError, OSError) as error:
        return "refused", " ".join(str(error).split())
    except Exception as error:
        return "broke", f"{type(error).__name__}: {' '.join(str(error).split())}"
