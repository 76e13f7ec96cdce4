# SPDX-License-Identifier: Apache-2.0
"""How bodies are looked at: one value that window, page, pictures and movies all start from."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rheograd.engine.suggestion import did_you_mean

from .view import View

SHAPES = ("spheres", "surface", "points")
"""What particles are drawn as, in the order of the key. A mesh is its nodes as points, or else its
surface."""
SPANS = {
    "run": "over the whole run",
    "frame": "in this frame",
    "locked": "range locked",
}
"""Whose values the range of the colours is, in the order of the key, and how the legend says so."""
GIVEN = "range given"
AROUND = ("all", "colliders", "box", "none")
"""What stands around bodies, in the order of the key: the box has a floor with shadows."""
AXES = "xyz"
ACTIONS = (
    "shape", "edges", "clip", "clip axis", "clip back", "clip on", "span", "overlay", "axes",
    "around",
)  # fmt: skip
"""What `acted` does, by the names that the table of keys has for it."""
_STEPS = 40


@dataclass(frozen=True)
class Clip:
    """A plane across an axis; what lies beyond it is left out."""

    axis: int
    """Number of the axis."""
    place: float
    """Where the plane crosses it [m]."""
    sense: int = 1
    """1 to leave out what lies further up the axis, -1 what lies further down."""

    @property
    def normal(self) -> np.ndarray:
        """Unit vector toward what is left out, shape (3,)."""
        return self.sense * np.eye(3)[self.axis]

    def depth(self, x: np.ndarray) -> np.ndarray:
        """How far x (..., 3) lies on the side that is kept [m], shape (...)."""
        return self.sense * (self.place - x[..., self.axis])

    @property
    def words(self) -> str:
        """As the command line has it."""
        return f"{'-' if self.sense < 0 else ''}{AXES[self.axis]}={self.place:.4g}"

    @property
    def told(self) -> str:
        """Where it is, with its unit."""
        return f"clip plane {AXES[self.axis]} = {self.place:.4g} m"

    @classmethod
    def parse(cls, text: str) -> Clip:
        """Read ``x=0.1``, which leaves out what has more, or ``-x=0.1``, what has less.

        Raises:
            ValueError: It is not of that form.
        """
        found = re.fullmatch(r"\s*(-?)([xyz])\s*=\s*(\S+)\s*", text)
        try:
            if found is None or not np.isfinite(place := float(found[3])):
                raise ValueError
        except ValueError:
            raise ValueError(
                f"a clip plane: got {text!r}, expected an axis and a place in metres such as"
                " x=0.1, to leave out what has more, or -x=0.1, what has less"
            ) from None
        return cls(AXES.index(found[2]), place, -1 if found[1] else 1)


@dataclass(frozen=True)
class Looks:
    """How bodies and what stands around them are drawn.

    Raises:
        ValueError: A word is not known.
    """

    shape: str | None = None
    """One of SHAPES; None for spheres, or the surface where there are only meshes."""
    edges: bool = True
    """Whether the edges of the cells of a mesh are drawn."""
    clip: Clip | None = None
    """What is left out, if anything."""
    span: str = "run"
    """Whose values the range of the colours is, one of SPANS."""
    locked: tuple[str, float, float] | None = None
    """A field and the range it is locked to [SI], where the span is ``"locked"``."""
    overlay: bool = False
    """Whether all runs are in one panel, the second and later as ghosts of one colour each."""
    axes: bool = False
    """Whether a cross in the corner shows where the axes point."""
    around: str = "all"
    """What stands around bodies, one of AROUND."""

    def __post_init__(self) -> None:
        for name, words in (("shape", SHAPES), ("span", tuple(SPANS)), ("around", AROUND)):
            got = getattr(self, name)
            if got not in words and not (got is None and name == "shape"):
                raise ValueError(
                    f"{name} of looks: got {got!r}{did_you_mean(str(got), words)},"
                    f" expected one of {', '.join(words)}"
                )

    @property
    def box(self) -> bool:
        """Whether the box of the domain is drawn, with its floor."""
        return self.around in ("all", "box")

    @property
    def colliders(self) -> bool:
        """Whether colliders are drawn."""
        return self.around in ("all", "colliders")


def settled(looks: Looks | None, view: View) -> Looks:
    """The looks asked for, made whole for a view; a clip plane beside the bodies is told of.

    Raises:
        ValueError: One run is to be laid over another, and there is none.
    """
    looks = _whole(looks or Looks(), view)
    if looks.clip is not None and (words := beside(looks.clip, view)):
        warnings.warn(f"{looks.clip.told}, {words}", stacklevel=3)
    return looks


def _whole(looks: Looks, view: View) -> Looks:
    if looks.overlay and len(view.sources) < 2:
        raise ValueError(
            "runs over one another (--overlay): got one, expected two or more; name more files"
        )
    if looks.shape is None:
        meshes = all(source.cells is not None for source in view.sources)
        looks = replace(looks, shape="surface" if meshes else "spheres")
    return looks


def shapes(view: View) -> tuple[str, ...]:
    """The shapes that differ in a view."""
    meshes = all(source.cells is not None for source in view.sources)
    return ("surface", "points") if meshes else SHAPES


def beside(clip: Clip, view: View) -> str:
    """What a clip plane that does not cut through the bodies leaves out, in words; else empty."""
    low, high = (float(end[clip.axis]) for end in view.motion)
    kept = [clip.sense * (clip.place - end) for end in (low, high)]
    if min(kept) < 0 <= max(kept):
        return ""
    what = "all is left out" if max(kept) < 0 else "nothing is left out"
    return f"{what}: bodies are from {AXES[clip.axis]} = {low:.3g} to {high:.3g} m"


def clipped(view: View, axis: int, toward: np.ndarray) -> Clip:
    """A plane through the middle across an axis, open to who looks from `toward` (3,)."""
    low, high = view.extent
    return Clip(axis, float(low[axis] + high[axis]) / 2, 1 if toward[axis] >= 0 else -1)


def moved(clip: Clip, view: View, steps: float) -> Clip:
    """The plane some fortieths of the scene further toward what is left out, never beyond it."""
    low, high = (float(end[clip.axis]) for end in view.extent)
    place = clip.place + clip.sense * steps * (high - low) / _STEPS
    return replace(clip, place=min(max(place, low), high))


def acted(
    action: str,
    looks: Looks,
    view: View,
    toward: np.ndarray,
    lock: tuple[str, float, float],
) -> Looks:
    """The looks after one of ACTIONS.

    Args:
        action: its name.
        looks: before.
        view: what is seen.
        toward: direction to the eye, shape (3,).
        lock: field and range shown now, to which the range may be locked.

    Raises:
        ValueError: There is no such action.
    """
    facing = int(np.abs(toward).argmax())
    if action == "shape":
        return replace(looks, shape=_next(shapes(view), looks.shape))
    if action == "clip axis":
        axis = facing - 1 if looks.clip is None else looks.clip.axis
        return replace(looks, clip=clipped(view, (axis + 1) % 3, toward))
    if action == "clip":
        return replace(looks, clip=None if looks.clip else clipped(view, facing, toward))
    if action in ("clip back", "clip on"):
        clip = looks.clip or clipped(view, facing, toward)
        return replace(looks, clip=moved(clip, view, 1 if action == "clip on" else -1))
    if action == "span":
        return ranged(looks, _next(tuple(SPANS), looks.span), lock)
    if action == "overlay":
        return replace(looks, overlay=not looks.overlay and len(view.sources) > 1)
    if action == "around":
        return replace(looks, around=_next(AROUND, looks.around))
    if action in ("axes", "edges"):
        return replace(looks, **{action: not getattr(looks, action)})
    raise ValueError(f"an action on the looks: got {action!r}, expected {', '.join(ACTIONS)}")


def ranged(looks: Looks, span: str, lock: tuple[str, float, float]) -> Looks:
    """With the range of colours that of the run or a frame, or locked as it is."""
    return replace(looks, span=span, locked=lock if span == "locked" else None)


def chosen(
    name: str,
    value: Any,
    looks: Looks,
    view: View,
    toward: np.ndarray,
    lock: tuple[str, float, float],
) -> Looks:
    """The looks after a control is set: a field of them, or ``"axis"`` and ``"place"`` of the clip.

    Raises:
        ValueError: There is no such control or choice.
    """
    if name == "axis":
        if value not in ("", *AXES):
            raise ValueError(f"axis of the clip plane: got {value!r}, expected x, y, z or none")
        clip = clipped(view, AXES.index(value), toward) if value else None
        return replace(looks, clip=clip)
    if name == "place":
        clip = looks.clip or clipped(view, int(np.abs(toward).argmax()), toward)
        low, high = (float(end[clip.axis]) for end in view.extent)
        part = min(max(float(value), 0.0), 1.0)
        return replace(looks, clip=replace(clip, place=low + part * (high - low)))
    if name == "span":
        return ranged(looks, str(value), lock)
    if name in ("shape", "around"):
        return replace(looks, **{name: str(value)})
    if name in ("edges", "axes", "overlay"):
        return _whole(replace(looks, **{name: bool(value)}), view)
    raise ValueError(f"a control of the looks: got {name!r}, expected one there is")


def _next(words: Sequence[str], word: str | None) -> str:
    """The word after another, round the end."""
    return words[(words.index(word) + 1) % len(words)] if word in words else words[0]
