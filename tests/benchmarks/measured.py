# SPDX-License-Identifier: Apache-2.0
"""The cantilever that the finite element codes are timed on, and what each reports of it.

A side is a module with `solve(n, clock)` and, where the code differentiates, `gradient(n)`. The
problem is that of rheograd.scenes.cantilever: 4 x 1 x 1 m in 4n x n x n hex8, clamped at x = 0,
compressible neo-Hookean, a dead traction on the end face in five equal steps, Newton's method until
the residual is `TOLERANCE` of the full load.
"""

from __future__ import annotations

import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

LENGTH, YOUNG, POISSON, TRACTION, STEPS = 4.0, 1e4, 0.3, -100.0, 5
TOLERANCE = 1e-8
"""Norm of the residual at free nodes by that of the loads."""


def load_norm(n: int) -> float:
    """Norm of the nodal forces under the full load [N]."""
    return abs(TRACTION) * (n - 0.5) / n**2


class Solution(NamedTuple):
    """Under the full load."""

    mean: list[float]
    """Displacement of the end face [m]."""
    residual: float
    """Norm of the residual by that of the loads."""
    iterations: int
    """Of Newton's method, over all load steps."""
    method: str
    """How linear systems were solved."""


class Gradient(NamedTuple):
    """Of the mean u_z of the end face with respect to Young's modulus."""

    value: float
    """[m/Pa]"""
    forward: float
    """Solution with what the gradient needs kept, CPU [s]."""
    backward: float
    """Gradient after that, CPU [s]."""


class Stopwatch:
    """Processor time by section; a section within another is not counted to the outer one."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._open: list[str] = []
        self._mark = 0.0

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Count what is done inside to a section."""
        self._turn()
        self._open.append(name)
        self.calls[name] += 1
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    @contextmanager
    def watching(self, *places: tuple[Any, str, str]) -> Iterator[None]:
        """Count calls of functions, given by owner and name, to a section."""
        with ExitStack() as stack:
            for owner, name, section in places:
                stack.enter_context(
                    patch.object(owner, name, self._timed(getattr(owner, name), section))
                )
            yield

    def _timed(self, function: Callable[..., Any], section: str) -> Callable[..., Any]:
        @wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            with self.section(section):
                return function(*arguments, **named)

        return timed

    def _turn(self) -> None:
        now = time.process_time()
        if self._open:
            self.seconds[self._open[-1]] += now - self._mark
        self._mark = now


def peak_memory() -> float:
    """Of this process [MiB]; unlike ru_maxrss on Linux, without that of the process before exec."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
