# SPDX-License-Identifier: Apache-2.0
"""Files that are saved by a key: none of an earlier time is replaced."""

from __future__ import annotations

import itertools
from pathlib import Path


def new_file(stem: str, suffix: str) -> Path:
    """A new file in the working folder, still empty: the stem and the next number."""
    for number in itertools.count(1):
        path = Path(f"{stem}-{number}{suffix}")
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            continue
        return path
    raise AssertionError
