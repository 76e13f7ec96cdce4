# SPDX-License-Identifier: Apache-2.0
"""What came out of a fit."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rheograd.materials.law import ConstitutiveLaw

from ..curves import STEP

Law = ConstitutiveLaw | Path | str


def command_line() -> str:
    """How this process was started, as one would type it."""
    program, *arguments = sys.argv
    script = ["python", program] if program.endswith(".py") else [Path(program).name]
    return shlex.join([*script, *arguments])


@dataclass(frozen=True)
class FittedParameter:
    """One number of an analytic law, scene or body, with how well the data knows it."""

    name: str
    value: float
    """In `unit`."""
    unit: str
    """SI, "-" for none."""
    std: float | None = None
    """Standard deviation in `unit`, None if not estimated."""
    low95: float | None = None
    """Lower end of the 95 % band in `unit`."""
    high95: float | None = None
    """Its upper end."""
    determined: bool = True
    """Whether the data determines it at all."""
    start: float | None = None
    """Value before the fit, in `unit`."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """Standard deviations by cause in `unit`, where more than the scatter along tracks is in it."""
    coarse: bool = False
    """Whether the data determine it, and particles and cells of the simulation leave it open."""


@dataclass(frozen=True)
class FitReport:
    """All that a fit has to say.

    Errors are means of squared components of differences over points and frames, in `unit` squared.

    Raises:
        ValueError: The pieces do not go together.
    """

    kind: Literal["law", "parameters"]
    """Whether a learned law or named parameters were fitted."""
    scene: str
    observation: str
    """Paths of what was seen, with commas between them."""
    settings: Mapping[str, Any]
    """What was asked, by name."""
    errors: Mapping[str, float]
    """Error of a simulation with the fitted law, by motion; infinite if it diverged."""
    losses: Sequence[float | None]
    """By epoch; None where an epoch gave none."""
    seconds: float
    """Duration of the fit [s]."""
    start_errors: Mapping[str, float] = field(default_factory=dict)
    """Errors of the same motions before the fit, as far as known."""
    trained: tuple[str, ...] = ("reconstruction",)
    """Names in `errors` of motions that the fit was trained on."""
    chose: tuple[str, ...] = ()
    """Names in `errors` of motions whose held-out frames chose the epoch that was taken."""
    size: float | None = None
    """Largest extent of the body at rest [m], to compare errors with."""
    unit: str = "m"
    """Of differences: m in space, px in pictures."""
    components: int = 3
    """Of a difference."""
    loss_unit: str = ""
    segments: Sequence[int] = ()
    """Steps between restarts in each epoch; losses of different lengths do not compare."""
    parameters: tuple[FittedParameter, ...] = ()
    correlation: Sequence[Sequence[float]] | None = None
    """Of the parameters' errors, in their order, shape (p, p)."""
    law_fitted: Law | None = None
    law_start: Law | None = None
    law_truth: Law | None = None
    """The law behind the observation, where it is known."""
    step: float = STEP
    """Length of a time step [s]: a learned flow acts once a step."""
    stretches: tuple[float, float] | None = None
    """Range of principal stretches that the observed motion went through [-]."""
    pictures: Mapping[str, Path] = field(default_factory=dict)
    """Paths of .png or .jpg files by caption."""
    movies: Mapping[str, Path] = field(default_factory=dict)
    """Paths of movies by caption, from the report's folder; they are linked, not embedded."""
    warnings: tuple[str, ...] = ()
    """Sentences on how far the fit is to be trusted."""
    excess: float | None = None
    """How many times the noise what is left is, if it is too much for 95 % bands to hold."""
    notes: tuple[str, ...] = ()
    """Sentences on what happened, such as rejected steps."""
    command: str = field(default_factory=command_line)
    """Command line that does it again."""
    resume: str = ""
    """Command line that goes on after an interruption."""

    def __post_init__(self) -> None:
        """Refuse pieces that do not go together."""
        if self.kind not in ("law", "parameters"):
            raise ValueError(f"got kind = {self.kind!r}, expected 'law' or 'parameters'")
        if not self.errors:
            raise ValueError("got no errors, expected at least one motion with its error")
        unknown = [n for n in self.start_errors if n not in self.errors]
        if unknown:
            raise ValueError(
                f"start_errors names {unknown[0]!r}, which errors lacks: give both for a motion"
            )
        if self.segments and len(self.segments) != len(self.losses):
            raise ValueError(
                f"got {len(self.segments)} segment lengths for {len(self.losses)} losses: "
                "give one an epoch"
            )
        p = len(self.parameters)
        rows = None if self.correlation is None else [len(row) for row in self.correlation]
        if rows is not None and rows != [p] * p:
            raise ValueError(
                f"got a correlation with rows of {rows} for {p} parameters: give shape ({p}, {p})"
            )

    def rms(self, mean_square: float) -> float:
        """Root mean square length of differences, in `unit`, from a mean squared component."""
        return math.sqrt(self.components * mean_square) if mean_square >= 0 else math.nan

    def share(self, mean_square: float) -> float | None:
        """The same in the body's size, where that is known and both are lengths."""
        return self.rms(mean_square) / self.size if self.size and self.unit == "m" else None

    @property
    def unseen(self) -> list[float]:
        """Errors of motions that had no part in the fit."""
        known = {*self.trained, *self.chose}
        return [error for name, error in self.errors.items() if name not in known]

    @property
    def sources(self) -> list[str]:
        """Names of the files of what was seen."""
        return [Path(part).name for part in self.observation.split(", ") if part]

    @property
    def turn(self) -> str:
        """What one of `losses` is of."""
        return "epoch" if self.kind == "law" else "iteration"

    @property
    def main(self) -> str:
        """The motion in `errors` that the headline speaks of: the first trained one."""
        return next((n for n in self.errors if n in self.trained), next(iter(self.errors)))
