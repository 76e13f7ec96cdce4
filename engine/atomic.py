# SPDX-License-Identifier: Apache-2.0
"""Replacing a file in one go, so that a reader sees the old content or the new, never a part."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def temporary(path: Path) -> Path:
    """The name beside `path` under which its next content is written."""
    return path.with_name(path.name + ".tmp")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, and rename it to `path` at the end.

    The data reaches the disk before the rename. After an exception `path` is as it was.

    Args:
        path: The file to create or to replace; its folder must exist.

    Yields:
        The path to write to.
    """
    path = Path(path)
    draft = temporary(path)
    try:
        yield draft
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
