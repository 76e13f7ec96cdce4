# SPDX-License-Identifier: Apache-2.0
"""What was seen of a motion, and how far a simulated motion is from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor

from ..trajectory import Trajectory

if TYPE_CHECKING:
    from ..moving_surface import MovingSurface
    from ..vision.camera import Camera


TICK = 1e-7
"""Times that are closer than this are one [s]."""


OUTLIER = 3.0
"""From how many standard deviations on a residual counts less."""


class Observation(ABC):
    """Measured motion; compared with a simulated trajectory at its own times."""

    unit: ClassVar[str] = "m"
    """Of residuals."""
    components: ClassVar[int] = 3
    """Of a residual."""
    outliers: ClassVar[bool] = False
    """Whether some of it may be of something else, such as tracks that went astray."""
    noise: float | None = None
    """Standard deviation of a component as stated, in `unit`; None if it was not."""
    assumed: bool = False
    """Whether that was not stated but assumed."""
    cameras: tuple[Camera, ...] = ()
    """What took the pictures, if there are any."""

    @property
    @abstractmethod
    def time(self) -> Tensor:
        """Times of the observed frames [s], shape (t,), increasing, float64."""

    @abstractmethod
    def residual(self, trajectory: Trajectory) -> Tensor:
        """Differences simulated − observed in the observation's unit, differentiable.

        Args:
            trajectory: Frames at `time`, one for each.

        Returns:
            Shape (t, k, c): k tracks of c components; 0 where nothing was observed.

        Raises:
            ValueError: The trajectory has other frames or other particles than were observed.
        """

    @abstractmethod
    def seen(self) -> Tensor:
        """Which tracks were observed when, shape (t, k), bool."""

    @abstractmethod
    def window(self, start: int, stop: int) -> Self:
        """What was seen in the frames from `start` to before `stop`."""

    def groups(self) -> Tensor:
        """Which tracks have errors in common, by equal numbers, shape (k,), int64."""
        return torch.arange(self.seen().shape[1])

    def noises(self) -> tuple[str, ...]:
        """The noise of a component in words, such as "0.3 px (assumed)"; several where joined."""
        if self.noise is None:
            return ()
        unit = "" if self.unit == "-" else f" {self.unit}"
        return (f"{self.noise:g}{unit} ({'assumed' if self.assumed else 'stated'})",)

    def doubts(self) -> tuple[str, ...]:
        """Sentences on what may be wrong with it."""
        return ()

    def split(self, trajectory: Trajectory) -> Iterator[tuple[Observation, Trajectory]]:
        """Each part, and the frames of a motion that are its own."""
        yield self, trajectory

    def rebound(self, trajectory: Trajectory) -> Self:
        """The same bound to bodies where they start; itself where that makes no difference.

        Args:
            trajectory: Frames at `time`; the first shows the start if it is at time 0.
        """
        return self

    def carried_by(self, surface: MovingSurface, rest: Tensor) -> Self:
        """The same for bodies of the same shape that are made of other particles.

        Args:
            surface: Of the bodies, as those carry it.
            rest: The particles as they start [m], shape (n, 3).

        Raises:
            ValueError: It is of particles and nothing else.
        """
        raise ValueError(f"{type(self).__name__} are of the particles of one model, not of others")

    def through(self, cameras: tuple[Camera, ...]) -> Self:
        """The same as seen by other cameras, as many as there are."""
        return self

    def robust(self, trajectory: Trajectory) -> Tensor:
        """Residuals as a fit takes them.

        Where there may be outliers and the noise was stated, those beyond a few standard deviations
        count less than by their square (pseudo-Huber, Charbonnier et al. 1997): a track gone astray
        does not spoil a fit.
        """
        residual = self.residual(trajectory)
        if self.noise is None or not self.outliers:
            return residual
        return tempered(residual, OUTLIER * self.noise)

    def misfit(self, trajectory: Trajectory) -> Tensor:
        """Mean square of `robust` components over all that was observed: what a fit makes small."""
        return self._mean_square(self.robust(trajectory))

    def error(self, trajectory: Trajectory) -> Tensor:
        """Mean squared residual component over all that was observed: how far it really is."""
        return self._mean_square(self.residual(trajectory))

    def _mean_square(self, residual: Tensor) -> Tensor:
        return residual.square().sum() / (self.seen().sum() * residual.shape[-1])


@dataclass(frozen=True)
class Positions(Observation):
    """Positions of all particles, as from a simulation with the same particles."""

    trajectory: Trajectory
    noise: float | None = None
    """Standard deviation of a coordinate [m]."""

    def __post_init__(self) -> None:
        """Refuse a motion that does not move in time."""
        if len(self.trajectory.time) < 2:
            raise ValueError(f"a motion needs two frames or more; got {len(self.trajectory.time)}")

    @property
    def time(self) -> Tensor:
        """See `Observation.time`."""
        return self.trajectory.time

    def window(self, start: int, stop: int) -> Positions:
        """See `Observation.window`."""
        return replace(self, trajectory=self.trajectory.window(start, stop))

    def seen(self) -> Tensor:
        """See `Observation.seen`: everything, always."""
        return torch.ones(self.trajectory.x.shape[:2], dtype=torch.bool)

    def residual(self, trajectory: Trajectory) -> Tensor:
        """See `Observation.residual`; unit metres, shape (t, n, 3)."""
        mine = self.trajectory.x
        if trajectory.x.shape != mine.shape:
            raise ValueError(
                f"the simulated motion has frames × particles {tuple(trajectory.x.shape[:2])},"
                f" the observed one {tuple(mine.shape[:2])}: observe the same particles at the"
                " same times"
            )
        gap = (trajectory.time - self.time).abs().max()
        if float(gap) > 1e-6 * max(1.0, float(self.time[-1])):
            raise ValueError(
                f"the simulated frames are up to {float(gap):.3g} s away from the observed ones:"
                " choose a step that divides the frame interval"
            )
        return trajectory.x - mine.to(trajectory.x)


def tempered(gap: Tensor, outlier: float) -> Tensor:
    """Residuals (..., c) whose squares add up to the pseudo-Huber loss of their lengths.

    2 d² (sqrt(1 + |r|²/d²) − 1): the square where r is short, 2 d |r| where it is long.
    """
    square = gap.square().sum(-1, keepdim=True) / outlier**2
    # (sqrt(1 + s) - 1) 2 / s, without the difference of near equals
    return gap * (2.0 / ((1.0 + square).sqrt() + 1.0)).sqrt()
