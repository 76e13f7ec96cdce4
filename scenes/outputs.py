# SPDX-License-Identifier: Apache-2.0
"""Files that a command is about to write: nothing is replaced unless that was asked for."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

READ_BY_FOLDER = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".csv", ".ply")
"""Endings of files that are read by the folder."""


def require_new(paths: Iterable[Path | None], *, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse files that cannot or must not be written; before any work is done.

    Args:
        paths: What will be written; None for what was not asked for.
        force: Whether files may be replaced.
        inputs: What the command reads, files or folders of them: never replaced.

    Raises:
        FileNotFoundError: There is no folder for one.
        ValueError: One is there already, is a folder, is read by the command, or comes twice.
    """
    read, taken = list(inputs), set()
    for path in paths:
        if path is None:
            continue
        if not path.parent.is_dir():
            raise FileNotFoundError(
                f"no folder {path.parent} to write {path.name} to: create it first"
            )
        if path.is_dir():
            raise ValueError(f"{path} is a folder, expected the name of a file to write")
        if any(_holds(one, path) for one in read):
            raise ValueError(
                f"{path} is read by this command and would be written over: choose another name,"
                " with --force too"
            )
        if path.resolve() in taken:
            raise ValueError(f"{path} would be written twice: give each file a name of its own")
        taken.add(path.resolve())
        if path.exists() and not force:
            raise ValueError(
                f"{path} is there already: add --force to replace it, or choose another name"
            )


def require_ending(option: str, path: Path | None, *endings: str) -> None:
    """Refuse a file of a kind that is not written; before any work is done.

    Args:
        option: That names it.
        path: The file; None if it was not asked for.
        endings: Of which it must have one.

    Raises:
        ValueError: It has another.
    """
    if path is not None and path.suffix not in endings:
        raise ValueError(
            f"got {option} {path}, expected a file that ends in {' or '.join(endings)}"
        )


def read_by(found: Namespace, written: Collection[str]) -> list[Path]:
    """All files and folders that a command line names, but for what it writes.

    Args:
        found: What was given.
        written: Names of those options that say where something is written.
    """
    named = (value for name, value in vars(found).items() if name not in written)
    return [path for value in named for path in _paths(value)]


def _paths(value: object) -> Iterator[Path]:
    """Of an option: a path, a word such as FILE.py:CLASS, or several."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from _paths(one)
    elif isinstance(value, Path):
        yield value
    elif isinstance(value, str):
        words = {value, *value.split(":"), value.partition(".py:")[0] + ".py"}
        yield from (Path(w) for w in words | {value.partition("=")[2]} if w and Path(w).exists())


def _holds(read: Path, path: Path) -> bool:
    """Whether a file is what is read, or one of the folder that is."""
    if read.is_dir():
        kept = path.exists() and path.suffix.lower() in READ_BY_FOLDER
        return kept and path.resolve().parent == read.resolve()
    if read.resolve() == path.resolve():
        return True
    return read.exists() and path.exists() and read.samefile(path)
