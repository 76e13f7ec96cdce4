# SPDX-License-Identifier: Apache-2.0
"""Several observations of one motion, each weighted by its noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from ..trajectory import Trajectory
from .observation import TICK, Observation

if TYPE_CHECKING:
    from ..moving_surface import MovingSurface
    from ..vision.camera import Camera


@dataclass(frozen=True, eq=False)
class Joint(Observation):
    """All that was seen of one motion: several cameras, tracks and a force curve, and so on.

    Residuals are divided by the noise that each observation states, so that they have no unit and
    their squares add up to the negative logarithm of a likelihood.

    Raises:
        ValueError: There is none, or one does not state its noise.
    """

    parts: tuple[Observation, ...]
    times: Tensor | None = None
    """Of all frames [s], where in some of them nothing of these parts was seen, shape (t,)."""
    unit: ClassVar[str] = "σ"
    noise: ClassVar[float] = 1.0  # type: ignore[misc]
    components: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """See the class."""
        if not self.parts:
            raise ValueError("got no observations to join, expected one or more")
        for part in self.parts:
            if part.noise is None or not part.noise > 0.0:
                raise ValueError(
                    f"{type(part).__name__} do not state their noise [{part.unit}], which says how"
                    " much they count beside the others: give it as noise = X of that file in a"
                    " .toml of experiments, or as --noise X where one holds for all files"
                )

    @property
    def time(self) -> Tensor:
        """See `Observation.time`; by default when anything was seen."""
        if self.times is not None:
            return self.times
        every = torch.cat([part.time for part in self.parts]).sort().values
        new = torch.cat([torch.ones(1, dtype=torch.bool), every.diff() > TICK])
        return every[new]

    def _frames(self) -> Iterator[tuple[Observation, Tensor]]:
        """Each part, and which of all frames are its own, (t,), int64."""
        time = self.time
        for part in self.parts:
            own = torch.searchsorted(time, part.time - TICK)
            yield part, own

    def noises(self) -> tuple[str, ...]:
        """See `Observation.noises`."""
        return tuple(dict.fromkeys(words for part in self.parts for words in part.noises()))

    def doubts(self) -> tuple[str, ...]:
        """See `Observation.doubts`."""
        return tuple(words for part in self.parts for words in part.doubts())

    def split(self, trajectory: Trajectory) -> Iterator[tuple[Observation, Trajectory]]:
        """Each part, and the frames of a motion that are its own."""
        for part, own in self._frames():
            yield part, trajectory.pick(own.to(trajectory.x.device))

    def seen(self) -> Tensor:
        """See `Observation.seen`; a column for each component of each track."""
        columns = []
        for part, own in self._frames():
            seen = part.seen().repeat_interleave(part.components, 1)
            column = torch.zeros(len(self.time), seen.shape[1], dtype=torch.bool)
            column[own] = seen
            columns.append(column)
        return torch.cat(columns, 1)

    def groups(self) -> Tensor:
        """See `Observation.groups`: components of a track have errors in common."""
        found, count = [], 0
        for part in self.parts:
            own = part.groups()
            found.append(count + own.repeat_interleave(part.components))
            count += int(own.max()) + 1 if len(own) else 0
        return torch.cat(found)

    def residual(self, trajectory: Trajectory) -> Tensor:
        """See `Observation.residual`; in standard deviations, shape (t, k, 1)."""
        return self._columns(trajectory, lambda part, own: part.residual(own))

    def robust(self, trajectory: Trajectory) -> Tensor:
        """See `Observation.robust`; in standard deviations, shape (t, k, 1)."""
        return self._columns(trajectory, lambda part, own: part.robust(own))

    def _columns(
        self, trajectory: Trajectory, of: Callable[[Observation, Trajectory], Tensor]
    ) -> Tensor:
        if len(trajectory) != len(self.time):
            raise ValueError(
                f"the simulated motion has {len(trajectory)} frames, the observations"
                f" {len(self.time)} together: simulate at their times"
            )
        columns = []
        for part, own in self._frames():
            assert part.noise is not None
            rows = of(part, trajectory.pick(own.to(trajectory.x.device))) / part.noise
            blank = rows.new_zeros(len(trajectory), rows.shape[1] * rows.shape[2])
            columns.append(blank.index_copy(0, own.to(rows.device), rows.flatten(1)))
        return torch.cat([c.to(columns[0]) for c in columns], 1)[..., None]

    def window(self, start: int, stop: int) -> Joint:
        """See `Observation.window`; what was not seen at two times or more then is left out.

        Raises:
            ValueError: Nothing was.
        """
        parts = []
        for part, own in self._frames():
            inside = torch.nonzero((own >= start) & (own < stop)).flatten()
            if len(inside) > 1:
                parts.append(part.window(int(inside[0]), int(inside[-1]) + 1))
        if not parts:
            raise ValueError(
                f"in the frames {start} to {stop} nothing was seen twice: take more of them"
            )
        return Joint(tuple(parts), self.time[start:stop])

    def rebound(self, trajectory: Trajectory) -> Joint:
        """See `Observation.rebound`."""
        parts = tuple(part.rebound(own) for part, own in self.split(trajectory))
        return replace(self, parts=parts)

    def carried_by(self, surface: MovingSurface, rest: Tensor) -> Joint:
        """See `Observation.carried_by`."""
        return replace(self, parts=tuple(p.carried_by(surface, rest) for p in self.parts))

    @property
    def cameras(self) -> tuple[Camera, ...]:  # type: ignore[override]
        """See `Observation.cameras`, of all parts in their order."""
        return tuple(camera for part in self.parts for camera in part.cameras)

    def through(self, cameras: tuple[Camera, ...]) -> Joint:
        """See `Observation.through`."""
        parts, at = [], 0
        for part in self.parts:
            count = len(part.cameras)
            parts.append(part.through(cameras[at : at + count]) if count else part)
            at += count
        return replace(self, parts=tuple(parts))


def comparable(observations: Sequence[Observation]) -> list[Observation]:
    """The same in one unit: divided by their noise where units or noises differ.

    Raises:
        ValueError: One of them does not state its noise.
    """
    kinds = {(o.unit, o.noise) for o in observations}
    if len(kinds) <= 1:
        return list(observations)
    return [o if isinstance(o, Joint) else Joint((o,)) for o in observations]
