# SPDX-License-Identifier: Apache-2.0
"""Points of an object followed through a video, each held to its look in the first frame.

A pyramid of Lucas and Kanade (OpenCV) says roughly where a patch went since the last frame; there
it is registered with the first frame, so that errors do not add up. A patch that does not look as
it did, or left its neighbours, is not there: its place is not made up, and it may come back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .registration import Array, Patches, Spline, at_rest
from .video import Video

NEIGHBOURS = 8
"""Points by whose motion one is judged, and found again."""
STRAY = 0.25
"""How far a point may be from where its neighbours say, in their distance."""
PATIENCE = 8
"""Frames for which a lost point is looked for in each; from then on in one of `SELDOM`."""
SELDOM = 5
CLOSER = 0.05
"""Change of the place where a lost point is thought to be [px] that is worth another look."""


@dataclass(frozen=True)
class Tracker:
    """How points are followed."""

    half: int = 15
    """A patch is 2 half + 1 pixels wide and high."""
    gate: float = 0.75
    """Least cross-correlation with the first frame at which a point counts as seen."""
    window: int = 25
    """Of Lucas and Kanade [px]."""
    levels: int = 4
    """Of their pyramid, each half as wide as the one before."""

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning."""
        if self.half < 4:
            raise ValueError(f"got patches of half {self.half} px, expected half 4 px or more")
        if not 0.0 < self.gate < 1.0:
            raise ValueError(f"got a gate of {self.gate:g}, expected a likeness between 0 and 1")
        if self.window < 5 or self.levels < 0:
            raise ValueError(
                f"got a window of {self.window} px and {self.levels} levels, expected 5 px or more"
                " and levels from 0"
            )

    def follow(
        self,
        video: Video,
        at: Array,
        mask: Array | None = None,
        *,
        progress: Callable[[int], None] = lambda frame: None,
    ) -> tuple[Array, Array]:
        """Follow points.

        Args:
            video: What is seen.
            at: Points in its first frame [px], shape (k, 2).
            mask: Where the object is in it, shape (height, width), bool.
            progress: Is told the number of each frame that is done.

        Returns:
            Pixels, shape (t, k, 2), NaN where a point is not seen, and the cross-correlation with
            the first frame, shape (t, k).

        Raises:
            ValueError: There is no point, or none that looks like anything.
        """
        frames = video.grey()
        first = next(frames)
        patches = Patches.cut(first, np.asarray(at, np.float64), self.half, mask)
        if not patches.usable.any():
            raise ValueError(
                f"none of {len(at)} points shows enough to be followed: {video.path} is flat or"
                " blurred there; put a speckle on the object, or choose other points"
            )
        pixels = np.full((video.frames, len(at), 2), np.nan)
        quality = np.zeros((video.frames, len(at)))
        pixels[0, patches.usable], quality[0, patches.usable] = patches.at[patches.usable], 1.0
        course = _Course(self, patches, first)
        progress(0)
        for number, picture in enumerate(frames, start=1):
            seen, correlation, warp = course.step(picture)
            pixels[number, seen] = warp[seen, :, 2]
            quality[number] = correlation
            progress(number)
        return pixels, quality


class _Course:
    """Where the points were last."""

    def __init__(self, tracker: Tracker, patches: Patches, first: Array) -> None:
        self.tracker, self.patches, self.picture = tracker, patches, first
        self.warp = at_rest(patches.at)
        self.before = self.warp.copy()
        self.seen = patches.usable.copy()
        self.missed = np.zeros(len(patches), int)
        gaps = np.linalg.norm(patches.at[:, None] - patches.at[None], axis=-1)
        self.gaps = np.where(np.eye(len(gaps), dtype=bool), np.inf, gaps)

    def step(self, picture: Array) -> tuple[Array, Array, Array]:
        """Which points are seen in the next frame (k,), how well (k,), and their warps."""
        spline = Spline(picture)
        start = self.warp.copy()
        start[:, :, 2] = self._flow(picture)
        everyone = np.arange(len(self.patches))
        found = self.patches.find(spline, start, everyone[self.seen])
        seen = found.correlation >= self.tracker.gate
        seen &= ~self._strays(found.warp, seen)
        warp, correlation = found.warp, np.where(seen, found.correlation, 0.0)
        sought = np.full_like(warp, np.inf)
        for _ in range(2):  # those it lost are looked for where their neighbours went
            guess, told = self._by_neighbours(warp, seen)
            worth = self._worth_a_look(guess, picture.shape)
            worth &= np.abs(guess - sought).max((1, 2)) > CLOSER
            missing = everyone[~seen & told & worth]
            if not len(missing):
                break
            sought[missing] = guess[missing]
            again = self.patches.find(spline, guess, missing)
            back = again.correlation >= self.tracker.gate
            warp = np.where(
                back[:, None, None], again.warp, np.where(seen[:, None, None], warp, guess)
            )
            back &= ~self._strays(warp, seen | back)
            correlation = np.where(back, again.correlation, correlation)
            if not back.any():
                break
            seen = seen | back
        guess, told = self._by_neighbours(warp, seen)
        lost = ~seen & told
        warp[lost] = guess[lost]
        self.missed = np.where(seen, 0, self.missed + 1)
        self.before, self.warp, self.seen, self.picture = self.warp, warp, seen, picture
        return seen, correlation, warp

    def _worth_a_look(self, guess: Array, shape: tuple[int, ...]) -> Array:
        """Which lost points may be found in this frame, shape (k,), bool."""
        often = (self.missed < PATIENCE) | ((self.missed + np.arange(len(guess))) % SELDOM == 0)
        room = np.array([shape[1], shape[0]]) - 1 + self.tracker.half
        within = ((guess[:, :, 2] >= -self.tracker.half) & (guess[:, :, 2] <= room)).all(1)
        return self.patches.usable & often & within

    def _flow(self, picture: Array) -> Array:
        """Places by Lucas and Kanade since the last frame, begun with the last velocity."""
        import cv2

        t = self.tracker
        here = self.warp[:, :, 2].astype(np.float32)
        guess = (2 * self.warp - self.before)[:, :, 2].astype(np.float32)
        flow: Any = cv2.calcOpticalFlowPyrLK
        options = {"winSize": (t.window, t.window), "maxLevel": t.levels}
        ahead, there, error = flow(
            self.picture, picture, here[:, None], guess[:, None].copy(),
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW, **options,
        )  # fmt: skip
        plain, also, other = flow(self.picture, picture, here[:, None], None, **options)
        better = (also[:, 0] > 0) & ((there[:, 0] == 0) | (other[:, 0] < error[:, 0]))
        return np.where(better[:, None], plain[:, 0], ahead[:, 0]).astype(np.float64)

    def _by_neighbours(self, warp: Array, seen: Array) -> tuple[Array, Array]:
        """Warps by an affine fit to the nearest points that are seen, and where there is one."""
        guess, told = self.warp.copy(), np.zeros(len(warp), bool)
        if seen.sum() < 4:
            return guess, told
        others = np.where(seen[None, :], self.gaps, np.inf)
        count = min(NEIGHBOURS, int(seen.sum()) - 1)
        near = np.argpartition(others, count - 1, axis=1)[:, :count]
        told = np.isfinite(np.take_along_axis(others, near, 1)).all(1)
        at = self.patches.at
        arms = at[near] - at[:, None]
        basis = np.concatenate([np.ones((*arms.shape[:2], 1)), arms], 2)
        scale = np.linalg.norm(arms, axis=-1).mean(1)[:, None] + 1e-9
        basis[:, :, 1:] /= scale[..., None]
        ends = warp[near][:, :, :, 2] - self.warp[near][:, :, :, 2]
        # towards a mere translation where neighbours lie on a line
        normal = np.einsum("kni,knj->kij", basis, basis) + np.diag([0.0, 1e-2, 1e-2])
        fit = np.linalg.solve(normal, np.einsum("kni,knj->kij", basis, ends))
        guess[told, :, 2] += fit[told, 0]
        change = np.swapaxes(fit[:, 1:], 1, 2) / scale[:, :, None]
        guess[told, :, :2] += change[told]
        return guess, told

    def _strays(self, warp: Array, seen: Array) -> Array:
        """Which points moved otherwise than their neighbours since the last frame, shape (k,)."""
        guess, told = self._by_neighbours(warp, seen)
        off = np.linalg.norm(warp[:, :, 2] - guess[:, :, 2], axis=-1)
        moved = np.linalg.norm(warp[:, :, 2] - self.warp[:, :, 2], axis=-1)
        near = np.sort(np.where(seen[None, :], self.gaps, np.inf), 1)[:, :NEIGHBOURS]
        reach = np.where(np.isfinite(near), near, 0.0).mean(1)
        return told & seen & (off > 2.0 + STRAY * np.minimum(reach, moved))
