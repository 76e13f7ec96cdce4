# SPDX-License-Identifier: Apache-2.0
"""How far a long task has come: a bar on a terminal, on a plain pipe a line now and then."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

PATIENCE = 5.0
"""Seconds without a first step after which the reason is told."""
_SOON, _BEAT = 1.0, 0.2
_MARKS, _WIPED = itertools.cycle("|/-\\"), "\r\x1b[K"
INTERVAL = 10.0
"""Seconds between lines on a pipe."""
REASON = "preparing: the first run on a machine compiles its kernels, which can take minutes"


def say(line: str) -> None:
    """A line on stderr, by the first of several processes."""
    if os.environ.get("RANK", "0") == "0":
        print(line, file=sys.stderr, flush=True)


class Progress:
    """Counts steps done of a total, with their rate and the time left, on stderr."""

    def __init__(
        self, title: str, total: int, *, done: int = 0, unit: str = "steps", reason: str = REASON
    ) -> None:
        """Nothing is shown before the context is entered.

        Args:
            title: What is being done.
            total: Number of steps at the end.
            done: Those done before, by an earlier run.
            unit: What is counted.
            reason: What is told if nothing is done for a while at first.
        """
        self.title, self.total, self.done, self.unit = title, total, done, unit
        self._begun = done
        self._reason = reason
        self._detail = ""
        self._first: tuple[float, int] | None = None
        self._printed = 0.0
        self._bar: Any = None
        self._task: Any = None
        self._timer = threading.Timer(PATIENCE, self._explain)

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._start_bar()
        self._printed = time.monotonic()
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._bar is not None:
            self._bar.stop()

    def say(self, line: str) -> None:
        """Write a line of its own."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def to(self, done: int, detail: str = "") -> None:
        """Tell that `done` of the total are done, and something about where that led.

        The rate is counted from the first that is done: what it takes to start is left out.
        """
        now = time.monotonic()
        self.done, self._detail = done, detail
        if done > self._begun:
            self._timer.cancel()
            self._first = self._first or (now, done)
        if self._bar is not None:
            note = self._note(now)
            self._bar.update(self._task, completed=done, total=self.total, note=note)
        elif now - self._printed >= INTERVAL:
            self._printed = now
            share = 100 * done / max(self.total, 1)
            counted = "" if self.unit == "%" else f" {done} of {self.total} {self.unit},"
            line = f"{self.title}:{counted} {share:.0f} %"
            print(", ".join(filter(None, [line, self._note(now)])), file=sys.stderr, flush=True)

    def _note(self, now: float) -> str:
        started, before = self._first or (now, self.done)
        if self.done == before or now <= started:
            return self._detail
        rate = (self.done - before) / (now - started)
        left = _clock((self.total - self.done) / rate)
        pace = f"{_short(rate)} {self.unit}/s"
        if rate < 0.5:
            pace = f"{_short(1 / rate)} s/{self.unit.removesuffix('s')}"
        return ", ".join(filter(None, [self._detail, pace, f"{left} left"]))

    def _explain(self) -> None:
        if self._bar is not None:
            self._bar.update(self._task, note=self._reason)
        else:
            print(self._reason, file=sys.stderr, flush=True)

    def _start_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
            TextColumn("{task.fields[note]}"), console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task(self.title, total=self.total, completed=self.done, note="")
        self._bar.start()


class Opening:
    """Says at once what is being opened; a terminal has a clock beside it from a second on."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._begun = time.monotonic()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        say(f"opening {self._what} ...")
        if sys.stderr.isatty():
            threading.Thread(target=self._turn, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.done()

    def done(self, *_: Any) -> None:
        """Stop the clock."""
        if not self._over.is_set() and sys.stderr.isatty():
            sys.stderr.write(_WIPED)
            sys.stderr.flush()
        self._over.set()

    def _turn(self) -> None:
        """Count the seconds; imports hold it up now and then."""
        wait = _SOON
        while not self._over.wait(wait):
            mark, wait = next(_MARKS), _BEAT
            sys.stderr.write(f"{_WIPED}{mark} {time.monotonic() - self._begun:.0f} s\r")
            sys.stderr.flush()


def _short(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d} min"
