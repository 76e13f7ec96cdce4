# SPDX-License-Identifier: Apache-2.0
"""What a view shows beside its sources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .stage import Stage


class Extra(ABC):
    """Something drawn beside or over the panels of a stage."""

    share: float = 0.0
    """Of the width of the picture, at its right, that it takes from the panels."""

    @abstractmethod
    def begin(self, stage: Stage) -> None:
        """Make what is drawn; the panels are there, and not laid out yet."""

    def lay_out(self, stage: Stage) -> None:  # noqa: B027 (most follow their panel)
        """Fit to the size of the picture."""

    @abstractmethod
    def show(self, stage: Stage) -> None:
        """Show what belongs to the frame of the stage."""

    def end(self, stage: Stage) -> None:  # noqa: B027 (most leave with their panel)
        """Take away what is not in a panel: another stage comes in place of this one."""
