# SPDX-License-Identifier: Apache-2.0
"""Tables of numbers as .csv files with a line of names."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def read_table(path: Path, columns: Sequence[str], *, gaps: bool = False) -> np.ndarray:
    """Named columns of a .csv file, shape (rows, columns).

    Args:
        path: The file, which exists.
        columns: Their names in its first line; others are left out.
        gaps: Whether NaN may stand for what was not measured.

    Raises:
        ValueError: It is no table, a column is missing, or something is not a number.
    """
    rows = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            names = reader.fieldnames or []
            for column in columns:
                if column not in names:
                    there = ", ".join(names)[:60] or "none"
                    raise ValueError(
                        f"{path} has no column {column!r}: expected {','.join(columns)} in its"
                        f" first line, got {there}"
                    )
            for row in reader:
                at = f"{path}, line {reader.line_num}"
                rows.append([_number(row[column], column, at, gaps) for column in columns])
    except (UnicodeDecodeError, csv.Error):
        raise ValueError(
            f"{path} is not a table: expected text with {','.join(columns)} in its first line"
        ) from None
    if not rows:
        raise ValueError(f"{path} has no line of numbers under its names: add some")
    return np.array(rows)


def _number(cell: str | None, column: str, at: str, gaps: bool) -> float:
    try:
        value = float(cell or "")
    except ValueError:
        value = math.inf
    if math.isinf(value) or (math.isnan(value) and not gaps):
        raise ValueError(f"{at}: got {cell or 'nothing'!r} in column {column}, expected a number")
    return value
