# SPDX-License-Identifier: Apache-2.0
"""The ways in which the engine fails, each with one readable sentence.

Bad input is a ValueError (or FileNotFoundError) raised where it is read; see the command line.
"""


class SimulationError(RuntimeError):
    """A run left the range in which its numbers mean anything; says when, where and likely why."""

    def __init__(self, message: str, step: int | None = None) -> None:
        """Keep the step at which it happened, where that is known."""
        super().__init__(message)
        self.step = step


class GradientError(RuntimeError):
    """A gradient is not finite; says at which step and behind which kernel."""


class ProcessLost(RuntimeError):
    """Another process of a fit died, or all were asked to end; says how to go on."""
