# SPDX-License-Identifier: Apache-2.0
"""How long the steps of a run take."""

from __future__ import annotations

import time


class Clock:
    """Times a run, and apart from that the steps after the first frame.

    Until then kernels are compiled and memory is laid out.
    """

    def __init__(self) -> None:
        """Start; the first step may be another than 0."""
        self.begun = 0
        self._start = self._now = time.perf_counter()
        self._first: tuple[int, float] | None = None
        self._last = 0

    def to(self, step: int) -> None:
        """A frame is done."""
        self._now = time.perf_counter()
        self._last = step
        if self._first is None and step > self.begun:
            self._first = (step, self._now)

    @property
    def wall(self) -> float:
        """To the last frame [s]."""
        return self._now - self._start

    @property
    def rate(self) -> float | None:
        """Steps per second after the first frame; None without any."""
        if self._first is None or self._last == self._first[0]:
            return None
        return (self._last - self._first[0]) / max(self._now - self._first[1], 1e-9)
