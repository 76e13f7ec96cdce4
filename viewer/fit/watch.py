# SPDX-License-Identifier: Apache-2.0
"""A fit as it goes on: its numbers by epoch, and its latest prediction over what was observed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..comparison import ERROR, Comparison
from ..fields import Field
from ..following import Following, signature
from ..observed.ghosts import Ghost, ghost_of_fit, of_points
from ..source import Source
from ..view import View, describe
from .charts import FitCharts
from .folder import FitFolder

_WORDS = "orange: observed"
_MOTIONS = ("predicted.vtkhdf", "observed.vtkhdf")


class FitWatch(Following):
    """Watches the folder of a fit.

    Where there is no prediction yet, or none is made of such a fit, the charts fill the picture;
    with the first prediction another view comes in place of that.

    Args:
        path: The folder.
        field: What the motion is coloured by: None for the error if what was observed are the
            same points, else the speed.
        asked: `titles`, `limits` and `up`, as `describe` takes them.

    Raises:
        ValueError: It is no folder of a fit.
    """

    def __init__(self, path: Path, field: str | None, **asked: Any) -> None:
        super().__init__()
        self.folder = FitFolder(path)
        self._field, self._asked = field, asked
        self._seen: Any = None
        self._observed: Source | None = None

    @property
    def awaited(self) -> bool:
        """See `Following.awaited`: a motion comes as a whole."""
        return False

    def view(self) -> View:
        """What is to be seen now."""
        self._seen = self._signatures()
        predicted, observed = (self._load(name) for name in _MOTIONS)
        if predicted is None:
            nothing = SimpleNamespace(x=np.zeros((1, 1, 3)), metadata={"title": self.folder.title})
            view = describe(nothing, up=self._asked.get("up"))
            view.bare, view.sources[0].title = True, self.folder.title
            view.extras = (FitCharts(self.folder, alone=True),)
        else:
            view = self._moving(predicted, observed)
        view.following = self
        return view

    def _moving(self, predicted: Any, observed: Any) -> View:
        asked = {name: self._asked.get(name) for name in ("titles", "up")}
        view = describe(predicted, **asked)
        view.extras = (FitCharts(self.folder, alone=False),)
        self._observed = None if observed is None else Source(observed, "observed")
        if self._observed is not None:
            view.sources[0].ghost = self._ghost(view.sources[0])
            if (error := self._error(view.sources[0])) is not None:
                view.fields = {ERROR: error, **view.fields}
        chosen = self._field or next(iter(view.fields))
        if chosen not in view.fields:
            raise ValueError(
                f"a field to colour by: got {chosen!r}, expected one of {', '.join(view.fields)}"
            )
        view.field, view.limits = chosen, self._asked.get("limits")
        self._head(view.sources[0])
        return view

    def _head(self, source: Source) -> None:
        """Say above the motion what it is."""
        count = int(source.metadata.get("epoch", 0))
        turn = self.folder.turn
        said = f"predicted after {turn} {count}" if count else "predicted before the fit"
        source.remark = f"{said}; {_WORDS}" if self._observed is not None else said

    def _ghost(self, predicted: Source) -> Ghost | None:
        """What was observed, to be drawn over the prediction."""
        return None if self._observed is None else ghost_of_fit(self._observed, predicted)

    def _error(self, predicted: Source) -> Field | None:
        """How far the prediction is from what was observed; None where that is of other points."""
        if self._observed is None or not of_points(self._observed, predicted):
            return None
        try:
            comparison = Comparison([self._observed, predicted], same_points=True)
        except ValueError:  # no time in common
            return None
        return Field(ERROR, "m", comparison.values, local=False)

    def refresh(self, view: View) -> bool:
        """See `Following.refresh`."""
        changed = self.folder.read()
        if self._signatures() != self._seen:
            self._renew(view)
            return True
        return changed

    def _renew(self, view: View) -> None:
        """Show the prediction that is there now, in the same picture if its points are the same."""
        self._seen = self._signatures()
        predicted, observed = (self._load(name) for name in _MOTIONS)
        if predicted is None:
            return
        old = view.sources[0]
        same = not view.bare and old.particles == predicted.particles
        same = same and (observed is None) == (self._observed is None)
        if self._observed is not None and observed is not None:
            same = same and self._observed.particles == observed.particles
        if not same:
            view.successor = self.view()
            return
        old.metadata = dict(predicted.metadata)
        old.follow(predicted)
        if self._observed is not None:
            self._observed.follow(observed)
            old.ghost = self._ghost(old)
        view.refill()
        self._head(old)

    def _signatures(self) -> Any:
        return [signature(self.folder.path / name) for name in _MOTIONS]

    def _load(self, name: str) -> Any:
        """A motion in the folder; None of one that is not there, or not as it must be."""
        from rheograd.engine.trajectory import Trajectory

        try:
            return Trajectory.load(self.folder.path / name)
        except (OSError, ValueError):
            return None


def watched(path: Path, *, field: str | None, **asked: Any) -> View:
    """Look at the folder of a fit, as `describe` does at trajectories.

    Raises:
        ValueError: It is no folder of a fit, or its motion has no such field.
    """
    return FitWatch(path, field, **asked).view()
