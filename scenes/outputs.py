# SPDX-License-Identifier: Apache-2.0
"""Files that a command is about to write: nothing is replaced unless that was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def require_new(paths: Iterable[Path | None], *, force: bool) -> None:
    """Refuse files that are there already, and folders that are not; before any work is done.

    Args:
        paths: What will be written; None for what was not asked for.
        force: Whether files may be replaced.

    Raises:
        FileNotFoundError: There is no folder for one.
        ValueError: One is there already.
    """
    for path in paths:
        if path is None:
            continue
        if not path.parent.is_dir():
            raise FileNotFoundError(f"no folder {path.parent} to write {path.name} to")
        if path.exists() and not force:
            raise ValueError(
                f"{path} is there already: add --force to replace it, or choose another name"
            )
