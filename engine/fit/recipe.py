# SPDX-License-Identifier: Apache-2.0
"""How a learned law is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.invariant import InvariantFull


@dataclass(frozen=True)
class Recipe:
    """Numerical choices of a segment-parallel fit."""

    epochs: int = 60
    """Passes over the motion."""
    updates: int = 8
    """Optimizer steps an epoch, while there are enough segments to draw into batches."""
    smallest: int = 1
    """Segments that a batch has at least, unless there are fewer; few make rough gradients."""
    rate_elasticity: float = 5e-3
    """Learning rate of Adam at the start, for the stress."""
    rate_plasticity: float = 3e-4
    """Likewise for the flow; slower, as what flows in a step by mistake adds up over a run."""
    final: float = 0.05
    """Share of the learning rate that is left at the end of the cosine."""
    clip: float | None = None
    """Largest norm of each part's gradient; None does not clip."""
    burst: float | None = 3.0
    """Largest norm of each part's gradient as a multiple of its running mean; None for any."""
    shortest: int = 25
    """Steps of a segment in the first epoch."""
    longest: int = 1000
    """Steps of a segment in the last epoch, at most the whole motion. Long ones bring in what adds
    up over a run."""
    growth: Literal["geometric", "cosine"] = "geometric"
    """How the length grows between them: by the same factor each epoch, or as published."""
    grown: float = 1.0
    """Share of the epochs after which segments are longest."""
    from_start: bool = False
    """Whether all segments start with the motion, where the state is known; all that follows is
    carried along by the simulation. While it is short an epoch repeats the segment, for as many
    updates as `updates` says or the motion has steps for."""
    least: int = 1
    """Updates an epoch has at least where segments start with the motion, however long they are."""
    warm: float = 0.0
    """Share of all updates over which the learning rate rises from 0."""
    refresh: int = 4
    """Epochs between new estimates of the hidden states, where only positions are used."""
    rejections: int = 10
    """Failed updates in a row after which the fit ends with its last good law."""
    patience: int | None = None
    """Epochs without gain on held-out frames after which the fit ends; the law that was best there
    is taken. None looks at no held-out frames and takes the last law."""

    def __post_init__(self) -> None:
        """Refuse counts and rates that train nothing."""
        for name in (
            "epochs",
            "updates",
            "smallest",
            "least",
            "shortest",
            "longest",
            "refresh",
            "rejections",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more; got {getattr(self, name)}")
        if self.growth not in ("geometric", "cosine"):
            raise ValueError(f"growth is geometric or cosine; got {self.growth!r}")
        if not (self.rate_elasticity > 0.0 and self.rate_plasticity >= 0.0):
            raise ValueError(
                "learning rates must be positive; got"
                f" {self.rate_elasticity} and {self.rate_plasticity}"
            )
        if not 0.0 < self.grown <= 1.0:
            raise ValueError(f"grown is a share above 0, at most 1; got {self.grown:g}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be 1 epoch or more; got {self.patience}")

    @classmethod
    def published(cls, epochs: int = 300) -> Recipe:
        """Ma et al. 2023: one update an epoch, rates 1 and 0.1, gradients clipped at 0.1."""
        return cls(
            epochs=epochs,
            updates=1,
            rate_elasticity=1.0,
            rate_plasticity=0.1,
            final=0.0,
            clip=0.1,
            longest=200,
            growth="cosine",
            burst=None,
        )

    @classmethod
    def unscaled(cls, epochs: int = 60) -> Recipe:
        """For networks without a unit: published rates and clipping, our segments and updates.

        Segments grow to the whole motion; while they are short there are several updates an epoch.
        """
        return replace(
            cls.published(epochs), updates=4, smallest=8, longest=1000, growth="geometric",
        )  # fmt: skip

    @classmethod
    def polish(cls, epochs: int = 40) -> Recipe:
        """For a law that `published` has trained: a twentieth of its rates, the whole motion."""
        return replace(
            cls.published(epochs), rate_elasticity=0.05, rate_plasticity=0.005, shortest=100,
            longest=1000, growth="geometric",
        )  # fmt: skip

    @classmethod
    def suited(
        cls, law: ConstitutiveLaw, epochs: int = 60, *, states: str = "recorded"
    ) -> Recipe:  # fmt: skip
        """What has proved itself for a law; see docs/nclaw.md.

        Args:
            law: Before the fit.
            epochs: See the class.
            states: "recorded"; "positions" where no state but the first is known; "pixels" where
                only some points are seen.
        """
        bare = isinstance(law, InvariantFull) and law.stress_scale == 1.0
        if bare and states == "recorded":
            return cls.unscaled(epochs)
        found = cls.unscaled(epochs) if bare else cls(epochs=epochs)
        found = replace(found, from_start=True, shortest=50)
        if states != "pixels":
            return found
        faster = {} if bare else {"rate_elasticity": 1e-2}
        return replace(found, grown=0.5, least=4, patience=20, **faster)

    def length(self, epoch: int, unit: int, motion: int) -> int:
        """Steps of a segment in an epoch.

        Args:
            epoch: Counted from 0.
            unit: Steps between frames, of which the length is a multiple.
            motion: Steps in all, the most that a segment can have.
        """
        share = min(1.0, epoch / max(1, self.epochs - 1) / self.grown)
        longest = min(self.longest, motion)
        shortest = min(self.shortest, longest)
        if self.growth == "geometric":
            length = shortest * (longest / shortest) ** share
        else:
            length = longest + 0.5 * (shortest - longest) * (1.0 + math.cos(math.pi * share))
        return max(unit, int(length / unit + 0.5) * unit)

    def rate(self, share: float) -> float:
        """Factor on the learning rates after a share of the whole fit, 0 to 1."""
        if share < self.warm:
            return share / self.warm
        share = (share - self.warm) / (1.0 - self.warm)
        return self.final + 0.5 * (1.0 - self.final) * (1.0 + math.cos(math.pi * share))
