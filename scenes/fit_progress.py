# SPDX-License-Identifier: Apache-2.0
"""What a fit says on stderr: how far it has come, and in the end what came out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .progress import Progress, say

if TYPE_CHECKING:
    from rheograd.engine.fit.parameter import Parameter
    from rheograd.engine.fit.report import FitReport

TRAINING = "preparing states, and the first run on a machine compiles kernels: this takes a while"
JUDGING = "simulating every motion with what was fitted and with the start, to compare them"


class FitProgress:
    """Shows the epochs of a fit as they end, notes as they come, then how far the judging is."""

    def __init__(
        self,
        title: str,
        total: int,
        unit: str,
        values: Mapping[str, Parameter] | None = None,
        *,
        remedy: str = "add --resume to go on",
        shown: bool = True,
    ) -> None:
        """Nothing is shown before the context is entered.

        Args:
            title: What is fitted.
            total: Number of epochs.
            unit: What they are called.
            values: Parameters to show beside the loss, with their bands.
            remedy: What to do after an interruption.
            shown: Whether anything is shown; one of several processes speaks.
        """
        self.remedy, self.shown = remedy, shown
        self.done, self.total, self.unit, self.values = 0, total, unit, dict(values or {})
        self._title = title
        self._progress = Progress(title, total, unit=unit, reason=TRAINING)
        self._judging = False

    def __enter__(self) -> Self:
        if self.shown:
            self._progress.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self.shown:
            self._progress.__exit__(kind, error, where)
        if kind is KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"after {self.done} of {self.total} {self.unit}; {self.remedy}"
            ) from None

    def __call__(self, metrics: Mapping[str, Any]) -> None:
        """Take what the fit tells."""
        if not self.shown:
            return
        if "note" in metrics:
            self._progress.say(str(metrics["note"]))
        elif "judged" in metrics:
            self._judge(metrics)
        elif "doing" in metrics:
            share = f"{100 * metrics['share']:.0f} % of {metrics['scenes']} simulations"
            self._progress.to(self.done, f"{metrics['doing']}: {share}")
        else:
            self.done = int(metrics["epoch"]) + 1
            words = [self._known(name, metrics) for name in self.values]
            if metrics.get("loss") is not None:
                words.append(f"loss {metrics['loss']:.3g}")
            self._progress.to(self.done, ", ".join(words))

    def _known(self, name: str, metrics: Mapping[str, Any]) -> str:
        """A parameter with half of its 95 % band."""
        from rheograd.engine.fit.quantity import quantity

        unit, value, band = self.values[name].unit, metrics[name], metrics["bands"][name]
        if band is None:
            return f"{name} {quantity(value, unit)} (unknown)"
        half = 0.5 * (band[1] - band[0])
        return f"{name} {quantity(value, unit, known_to=half)} ± {quantity(half, unit, digits=2)}"

    def _judge(self, metrics: Mapping[str, Any]) -> None:
        if not self._judging:
            self._judging = True
            self._progress.__exit__(None, None, None)
            self._progress = Progress(
                f"{self._title}, judged", metrics["of"], unit="simulations", reason=JUDGING
            )
            self._progress.__enter__()
        self._progress.to(metrics["judged"], metrics["motion"])


def sum_up(report: FitReport, folder: Path) -> int:
    """Print numbers, errors and where the report is; 1 if the motion diverges."""

    def apart(mean_square: float) -> str:
        size = report.rms(mean_square)
        return f"{1e3 * size:.3g} mm" if report.unit == "m" else f"{size:.3g} {report.unit}"

    for line in _parameters(report):
        say(line)
    for name, error in report.errors.items():
        before = report.start_errors.get(name, math.inf)
        start = f", {apart(before)} before"
        start = start if math.isfinite(before) else ", diverged before"
        square = f"its square over {report.components} coordinates"
        square = square if report.components > 1 else "its square"
        now = f"{apart(error)} RMS ({square}: {error:.3g} {report.unit}²)"
        say(f"{name}: {now if math.isfinite(error) else 'diverges'}{start}")
    for warning in report.warnings:
        say(f"warning: {warning}")
    if report.kind == "parameters":  # a law's training told its notes as they came
        for note in report.notes:
            say(f"note: {note}")
    say(f"wrote {folder / 'law.safetensors'} and {folder / 'report.html'}")
    return 0 if math.isfinite(report.errors[report.main]) else 1


def _parameters(report: FitReport) -> list[str]:
    from rheograd.engine.fit.quantity import quantity

    lines = []
    for p in report.parameters:
        text = f"{p.name}: {quantity(p.value, p.unit, known_to=p.std)}"
        if p.coarse:
            lines.append(f"{text}, for which the grid is too coarse")
            continue
        if not p.determined or p.low95 is None or p.high95 is None:
            lines.append(f"{text}, which this motion does not determine")
            continue
        low = quantity(p.low95, p.unit, known_to=p.std, like=p.value)
        high = quantity(p.high95, p.unit, known_to=p.std, like=p.value)
        held = "" if report.excess is None else ", which does not hold"
        lines.append(f"{text} (95 %: {low} to {high}{held})")
    return lines
