# SPDX-License-Identifier: Apache-2.0
"""The folder of a fit as it is now: how far it is, its numbers by epoch, its latest prediction."""

from __future__ import annotations

import ast
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rheograd.engine.fit.quantity import duration

from ..following import PATIENCE, SLOWER, clock, signature

CONFIG, METRICS, REPORT = "config.json", "metrics.jsonl", "report.json"
_FILES = (CONFIG, METRICS, REPORT)
_NAMES = {
    "loss": "training loss",
    "held_out": "validation: held-out frames",
    "validation": "validation",
    "rate": "learning rate",
    "segment": "steps between restarts",
    "gradient_elasticity": "elasticity gradient",
    "gradient_plasticity": "plasticity gradient",
    "caution": "damping of a step",
    "dt": "time step",
    "seconds": "time an epoch takes",
}
_UNITS = {"dt": "s", "seconds": "s"}
_SQUARES = {"Positions": "m²", "Markers": "m²", "PointClouds": "m²", "PixelTracks": "px²"}
_FIRST = ("loss", "held_out", "validation")
_LATE = ("rate", "segment", "gradient_elasticity", "gradient_plasticity", "caution", "dt")
_LAST = ("seconds",)
_LINEAR = ("segment", "dt", "seconds")
_DECADES = 30.0
"""Times its least value the largest of a parameter must be for a logarithmic axis."""


@dataclass(frozen=True)
class Curve:
    """One number by epoch."""

    name: str
    """What it is, in words."""
    unit: str
    """SI, "-" for none."""
    epochs: tuple[int, ...]
    """Where it is known."""
    values: tuple[float, ...]
    """There, in `unit`."""
    bands: tuple[tuple[float, float] | None, ...] = ()
    """95 % bands, as far as known; none of what has none."""
    logarithmic: bool = False
    """Whether factors matter, not differences; values of 0 then have no place on the axis."""
    final: tuple[float, float] | None = None
    """The 95 % band that the fit ended with, None before that is known."""


@dataclass
class FitFolder:
    """What is in the folder of a fit; `read` looks again.

    Args:
        path: The folder, as `rheograd fit` or `rheograd reduce` make them.

    Raises:
        ValueError: It is another kind of folder.
    """

    path: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    """What was asked; empty before that is known."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """What is known of each epoch that is over, in their order."""
    changed: float = 0.0
    """When anything in it was written last, in seconds since 1970."""
    reported: bool = False
    """Whether the report of all epochs is there."""
    final: dict[str, tuple[float, float]] = field(default_factory=dict)
    """95 % bands of parameters by name, as that report has them."""

    def __post_init__(self) -> None:
        """Refuse other folders, and read this one."""
        require_fit(self.path)
        self._seen: Any = None
        self._said = ""
        self.read()

    def read(self) -> bool:
        """Look again; whether anything is otherwise than before, if only the time that passed."""
        seen = {name: signature(self.path / name) for name in _FILES}
        if seen != self._seen:
            self._seen = seen
            self.config = _config(self.path / CONFIG) or self.config
            self.rows = _rows(self.path / METRICS)
            times = {name: there[2] for name, there in seen.items() if there}
            if times:
                self.changed = max(times.values()) / 1e9
            report, metrics = times.get(REPORT, 0), times.get(METRICS, 0)
            self.reported = bool(report) and report >= metrics
            self.final = _final(self.path / REPORT) if self.reported else {}
            self._said = self.said
            return True
        before, self._said = self._said, self.said
        return before != self._said

    @property
    def title(self) -> str:
        """What is fitted, and where."""
        told = self.config.get("scene")
        return f"{self.path.name}: {told}" if told else self.path.name

    @property
    def turn(self) -> str:
        """What a line of the metrics is of."""
        return "iteration" if self.config.get("kind") == "parameters" else "epoch"

    @property
    def planned(self) -> int | None:
        """Epochs in all, where that is known."""
        told = self.config.get("epochs")
        return told if isinstance(told, int) else None

    @property
    def finished(self) -> bool:
        """Whether nothing more is to come."""
        law = "law" in self.config or self.turn == "iteration"  # a report is made of these
        return self.reported or (not law and len(self.rows) == self.planned)

    @property
    def said(self) -> str:
        """How far it is, as a sentence."""
        seconds = [float(row["seconds"]) for row in self.rows if row.get("seconds")]
        count, turn = len(self.rows), self.turn
        if self.finished:
            took = f" in {duration(sum(seconds))}" if seconds else ""
            return f"finished: {count} {turn}{'s' if count != 1 else ''}{took}"
        patience = max(PATIENCE, SLOWER * max(seconds, default=0.0))
        idle = bool(self.changed) and time.time() - self.changed > patience
        if not count:
            since = f", last written at {clock(self.changed)}" if idle else ""
            return f"waiting for the first {turn}{since}"
        of = f" of {self.planned}" if self.planned else ""
        done = f"{turn} {count}{of}"
        if idle:
            return f"unfinished after {done}, last written at {clock(self.changed)}"
        return f"{done}, {duration(seconds[-1])} each" if seconds else done

    def curves(self) -> list[Curve]:
        """All numbers that are recorded by epoch: losses first, then parameters, then the rest."""
        known = {name for row in self.rows for name, value in row.items() if _number(value)}
        known -= {"epoch"}
        own = [n for n in self._parameters() if n in known]
        taken = {*_FIRST, *_LATE, *_LAST, *own}
        order = [*_FIRST, *own, *sorted(known - taken), *_LATE, *_LAST]
        return [self._curve(name) for name in order if name in known]

    def _parameters(self) -> Mapping[str, Any]:
        told = self.config.get("parameters")
        return told if isinstance(told, dict) else {}

    def _curve(self, name: str) -> Curve:
        rows = [row for row in self.rows if _number(row.get(name)) and _number(row.get("epoch"))]
        values = tuple(float(row[name]) for row in rows)
        epochs = tuple(int(row["epoch"]) for row in rows)
        if name in self._parameters():
            bands = tuple(_band(row, name) for row in rows)
            return Curve(
                name, _unit(self._parameters()[name]), epochs, values, bands,
                logarithmic=min(values) > 0 and max(values) >= _DECADES * min(values),
                final=self.final.get(name),
            )  # fmt: skip
        wide = min(values) >= 0 < max(values) and name not in _LINEAR
        words = _NAMES.get(name, name.replace("_", " "))
        if self.turn == "iteration":
            words = words.replace("epoch", self.turn)
        unit = self._squares() if name == "loss" else _UNITS.get(name, "-")
        return Curve(words, unit, epochs, values, logarithmic=wide)

    def _squares(self) -> str:
        """Unit of the loss of a fit of parameters."""
        told = self.config.get("experiments")
        kinds = [e["observation"]["kind"] for e in told] if isinstance(told, list) else []
        return _SQUARES.get(kinds[0], "-") if kinds else "-"


def folder_of(trajectories: Any) -> Path | None:
    """The one folder that is to be looked at, None where files or trajectories are.

    Raises:
        ValueError: It is not alone.
    """
    several = isinstance(trajectories, Sequence) and not isinstance(trajectories, str | Path)
    listed: list[Any] = list(trajectories) if several else [trajectories]
    folders = [Path(p) for p in listed if isinstance(p, str | Path) and Path(p).is_dir()]
    if folders and len(listed) > 1:
        raise ValueError(
            f"got {folders[0]}, a folder, among {len(listed)} things to look at, expected it alone:"
            " look at the folder of a fit in a window of its own"
        )
    return folders[0] if folders else None


def require_fit(path: Path) -> None:
    """Refuse a folder that is not that of a fit; an empty one may be just being made.

    Raises:
        ValueError: It is another one.
    """
    names = {one.name for one in path.iterdir()}
    if not names or names & {CONFIG, METRICS, f"{CONFIG}.tmp"}:
        return
    runs = sorted(name for name in names if name.endswith((".vtkhdf", ".npz")))
    if "index.json" in names:
        first = path / (runs[0] if runs else "RUN.vtkhdf")
        raise ValueError(
            f"{path} is a data set, expected files or the folder of a fit: look at its files, such"
            f" as rheograd view {first}"
        )
    hint = f"; the files in it can be looked at, such as {path / runs[0]}" if runs else ""
    raise ValueError(
        f"{path} is a folder without {CONFIG} and {METRICS}, expected that of a fit: name the"
        f" folder that was given to rheograd fit as --out{hint}"
    )


def _config(path: Path) -> Mapping[str, Any] | None:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def _rows(path: Path) -> list[dict[str, Any]]:
    """Whole lines; one that is being written, or that a kill cut off, is left out."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    rows = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if isinstance(row, dict):
            rows.append(row)
    return rows


def _number(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    )  # fmt: skip


def _band(row: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    told = row.get("bands")
    band = told.get(name) if isinstance(told, dict) else None
    if isinstance(band, list) and len(band) == 2 and all(_number(end) for end in band):
        return float(band[0]), float(band[1])
    return None


def _final(path: Path) -> dict[str, tuple[float, float]]:
    """The bands of a report, by parameter; none of what has none."""
    told = (_config(path) or {}).get("parameters")
    rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    return {
        str(row.get("name")): (float(row["low95"]), float(row["high95"]))
        for row in rows
        if _number(row.get("low95")) and _number(row.get("high95"))
    }


def _unit(told: Any) -> str:
    """Of a parameter, which the configuration has as it is written in Python."""
    try:
        return str(ast.literal_eval(told["unit"]))
    except (LookupError, TypeError, ValueError, SyntaxError):
        return "-"
