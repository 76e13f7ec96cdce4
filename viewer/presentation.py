# SPDX-License-Identifier: Apache-2.0
"""How trajectories are presented: one value that window, page, pictures, movies and files take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict, Unpack

from .looks import Looks, settled
from .picked.picking import Pick, picks_of
from .playback import Playback
from .view import View, describe


class Presented(TypedDict, total=False):
    """The fields of a `Presentation` as keywords of the functions that take one."""

    field: str | None
    titles: Sequence[str] | None
    limits: tuple[float, float] | None
    up: str | None
    size: tuple[int, int]
    looks: Looks | None
    picked: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """What is shown of trajectories, whichever they are and wherever they are shown.

    Functions that take one take its fields as keywords too, which go before those of the value.
    """

    field: str | None = None
    """What to colour by, at first; for example ``"speed"``, ``"J"`` or ``"von Mises stress"``. By
    default the speed."""
    titles: Sequence[str] | None = None
    """Names shown above the panels, one a trajectory."""
    limits: tuple[float, float] | None = None
    """Range of that field [SI]; by default that of the whole run."""
    up: str | None = None
    """Axis that points up, for example ``"z"`` or ``"-x"``; by default against gravity."""
    size: tuple[int, int] = (1280, 720)
    """Width and height of the picture [pixels]; of a page until it says how large it is."""
    looks: Looks | None = None
    """How bodies are drawn, at first."""
    picked: Sequence[int] = ()
    """Numbers of particles, or of nodes or elements, that are marked and charted, at first."""

    @classmethod
    def of(cls, given: Presentation | None, **changes: Unpack[Presented]) -> Presentation:
        """One that is given, or the default, with other values for some of its fields."""
        return replace(given or cls(), **changes)

    def view(self, trajectories: Any) -> View:
        """What is to be seen of a trajectory, a path, or several of these.

        Raises:
            ValueError: As `describe`.
        """
        return describe(
            trajectories, field=self.field, titles=self.titles, limits=self.limits, up=self.up
        )

    def settled(self, view: View) -> tuple[Looks, tuple[Pick, ...]]:
        """The looks, made whole for a view, and what is picked in it.

        Raises:
            ValueError: There is no such number, or one run is to lie over another that is not.
        """
        return settled(self.looks, view), picks_of(view, self.picked)

    def playback(self, trajectories: Any, frame: int, *, playing: bool) -> Playback:
        """A playback from a place of the timeline on.

        Raises:
            ValueError: As `describe` and `settled`, or there is no such frame.
        """
        view = self.view(trajectories)
        playback = Playback(view, frame, playing, self.looks)
        playback.change(moved=False, picked=picks_of(view, self.picked))
        return playback
