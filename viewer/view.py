# SPDX-License-Identifier: Apache-2.0
"""What is to be seen, free of any drawing: window, movie and screenshot all start from a View.

Of a trajectory's metadata (text; JSON where it is more than a word) it reads, each optional:

========= ==========================================================================
domain    ``[[x0, y0, z0], [x1, y1, z1]]`` [m], drawn as a box with a floor
gravity   ``[gx, gy, gz]`` [m/s²]; up is against its largest component
colliders list of ``{"kind": "plane", "point", "normal"}``, ``{"kind": "sphere", "centre",
          "radius"}``, ``{"kind": "box", "centre", "size"}``, ``{"kind": "capsule", "start",
          "end", "radius"}`` or ``{"kind": "mesh", "vertices", "faces"}`` [m]; one that
          moves adds, for each frame, ``"path"``, its displacement [m], and ``"turn"``,
          a quaternion (x, y, z, w) about its centre
bodies    list of names, in the order of the trajectory's body indices
spacing   distance between neighbouring particles [m]
title     name of the run (or ``scene``)
field_units  JSON object, unit of each recorded field by name
========= ==========================================================================
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rheograd.engine.suggestion import did_you_mean

from .comparison import ERROR, Comparison
from .extra import Extra
from .fields import Field, Scale, exceeds, fields_of, scale_of
from .fit.folder import folder_of
from .following import Following, growth
from .source import Source, sources_of

_AXES = {"x": 0, "y": 1, "z": 2}
_MOTION_SAMPLES = 32
_FEW_SAMPLES = 5
_FILL = 0.62
_FEW = 32
_FAR_LARGER = 4.0
_FLAT = 1e-3
_SLACK = 1e-3


@dataclass(eq=False)
class View:
    """Everything a picture shows, over the whole run, as far as it is there; see `grow`."""

    sources: tuple[Source, ...]
    """One a panel."""
    times: np.ndarray
    """Timeline [s], shape (k,): a shown frame is an index of it."""
    frames: tuple[np.ndarray, ...]
    """For each source, the frame shown at each place of the timeline, shape (k,)."""
    fields: dict[str, Field]
    """What particles, or the nodes and cells of meshes, can be coloured by."""
    field: str
    """Name of the field shown first."""
    limits: tuple[float, float] | None
    """Range asked for that field [SI], or None for that of the run."""
    upward: np.ndarray
    """The axis, or its opposite, that points up, shape (3,)."""
    motion: np.ndarray
    """Lowest and highest corner of all positions over the run [m], shape (2, 3)."""
    domains: tuple[np.ndarray | None, ...]
    """Lowest and highest corner of each simulated domain [m], shape (2, 3)."""
    colliders: tuple[tuple[dict[str, Any], ...], ...]
    """As in the metadata of each source."""
    radii: tuple[float, ...]
    """Radius of a particle [m], one a source; 0 for a mesh."""
    following: Following | None = None
    """What brings it up to date while its files are written; None where nothing can change."""
    extras: tuple[Extra, ...] = ()
    """What is drawn beside or over the panels."""
    bare: bool = False
    """Whether there is no motion: its panel and the timeline give way to the extras."""
    successor: View | None = None
    """What is to be shown from now on instead of this."""
    version: int = 0
    """How often its frames have changed."""
    _scales: dict[str, Scale] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def scale(self, name: str) -> Scale:
        """Range and colours of a field, found once."""
        if name not in self._scales:
            limits = self.limits if name == self.field else None
            self._scales[name] = scale_of(self.fields[name], self.sources, limits)
        return self._scales[name]

    def rescale(self, scale: Scale) -> None:
        """Let a field have another range than that of the run, until frames come in."""
        self._scales[scale.field.name] = scale

    def grow(self, changed: Sequence[Source]) -> None:
        """Take over the frames that sources have now; ranges of colours widen where they must."""
        self.version += 1
        self.times, self.frames = _timeline(self.sources)
        newest = [(source, source.count - 1) for source in changed]
        for source, frame in newest:
            x = source.positions(frame)
            x = x[np.isfinite(x).all(-1)]
            if len(x):
                low, high = self.motion
                self.motion = np.stack([np.minimum(low, x.min(0)), np.maximum(high, x.max(0))])
        for name, scale in list(self._scales.items()):
            fixed = self.limits is not None and name == self.field
            if not fixed and any(exceeds(scale, *one) for one in newest):
                del self._scales[name]
                self.scale(name)

    def refill(self) -> None:
        """Take over other frames of the same points: times, bounds and ranges of colours."""
        self.version += 1
        self.times, self.frames = _timeline(self.sources)
        self.motion = _motion(self.sources)
        self._scales.clear()

    def ended(self, panel: int, place: int) -> str:
        """When the run of a panel ended, in words, where a frame more would be due by this place.

        Empty before that. A source of a single frame is a still, and never ends. One whose file is
        not finished says so instead.
        """
        source = self.sources[panel]
        if source.remark:
            return source.remark
        times = source.times
        lapse = float(np.median(np.diff(times))) if source.count > 1 else math.inf
        if self.times[place] < times[-1] + 0.99 * lapse:
            return ""
        return f"ended at {times[-1]:.{self.decimals}f} s"

    @property
    def extent(self) -> np.ndarray:
        """Corners of what the cameras frame [m], (2, 3): the domains unless they are far larger."""
        boxes = [self.motion, *(domain for domain in self.domains if domain is not None)]
        whole = np.stack([np.min(boxes, axis=0)[0], np.max(boxes, axis=0)[1]])
        sizes = [np.linalg.norm(box[1] - box[0]) for box in (whole, self.motion)]
        return self.motion if sizes[0] > _FAR_LARGER * sizes[1] else whole

    @property
    def axes(self) -> np.ndarray:
        """Right, up and toward who looks from the front, shape (3, 3)."""
        forward = np.roll(np.abs(self.upward), 1)
        return np.stack([np.cross(self.upward, forward), self.upward, forward])

    def place_at(self, share: float) -> int:
        """The place of the timeline nearest to a share of its time, from 0 to 1."""
        first, last = self.times[0], self.times[-1]
        return int(
            np.abs(self.times - (first + min(max(share, 0.0), 1.0) * (last - first))).argmin()
        )

    @property
    def facing(self) -> int:
        """Number of the side to look from at first: what is flat is seen face to face."""
        size = self.motion[1] - self.motion[0]
        across, above, deep = (float(np.abs(axis) @ size) for axis in self.axes)
        thin = _FLAT * max(size.max(), 1e-300)
        for side, (one, others) in enumerate(
            ((deep, (across, above)), (across, (deep, above)), (above, (across, deep))), 1
        ):
            if one < thin < min(others):
                return side
        return 0

    @property
    def decimals(self) -> int:
        """Digits after the point that tell neighbouring times apart."""
        if len(self.times) < 2:
            return 3
        lapse = float(np.median(np.diff(self.times)))
        return int(np.clip(math.ceil(-math.log10(lapse) - 1e-9), 0, 6)) if lapse > 0 else 3


def describe(
    trajectories: Any,
    *,
    field: str | None = None,
    titles: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
    up: str | None = None,
) -> View:
    """Look at one trajectory, or at several side by side.

    Args:
        trajectories: a trajectory, a path, or a sequence of these. Only `x` is needed. Or the
            folder of a fit, alone.
        field: what to colour by; by default the speed, of what stands still the displacement.
        titles: names shown above the panels.
        limits: range of that field in SI units; by default that of the whole run.
        up: an axis such as ``"z"`` or ``"-x"``; by default against gravity, or y without any.

    Raises:
        ValueError: for an unknown field or axis, an empty range, or titles that do not match.
    """
    if (folder := folder_of(trajectories)) is not None:
        from .fit.watch import watched

        return watched(folder, field=field, titles=titles, limits=limits, up=up)
    sources = sources_of(trajectories, titles)
    upward = _upward(sources[0], up)
    fields = fields_of(sources, upward)
    chosen = _first(fields, sources) if field is None else field
    if chosen not in fields:
        if chosen == ERROR:
            Comparison(sources)  # says why it cannot be shown
        raise ValueError(
            f"a field to colour by: got {chosen!r}{did_you_mean(chosen, fields)},"
            f" expected one of {', '.join(fields)}"
        )
    if limits is not None and not limits[0] < limits[1]:
        raise ValueError(f"limits: got {limits}, expected a lower and then a higher number")
    times, frames = _timeline(sources)
    return View(
        sources=sources,
        times=times,
        frames=frames,
        fields=fields,
        field=chosen,
        limits=limits,
        upward=upward,
        motion=_motion(sources),
        domains=tuple(_domain(source, sources[0]) for source in sources),
        colliders=tuple(_colliders(source, sources[0]) for source in sources),
        radii=tuple(_radius(source) for source in sources),
        following=growth(sources),
    )


def _first(fields: dict[str, Field], sources: Sequence[Source]) -> str:
    """The field shown at first: the speed, or of what has none the next, the displacement."""
    first, second = (*fields, *fields)[:2]
    values = [fields[first].values(s, int(k)) for s in sources for k in s.sampled(_FEW_SAMPLES)]
    still = first == "speed" and not any(np.any(v[np.isfinite(v)] > 0) for v in values)
    moved = any(source.count > 1 for source in sources)
    return second if still and moved else first


def _upward(source: Source, up: str | None) -> np.ndarray:
    """Unit vector along an axis, against gravity where nothing is asked for."""
    if up is not None:
        if up.removeprefix("-") not in _AXES:
            raise ValueError(f"up: got {up!r}, expected 'x', 'y', 'z', '-x', '-y' or '-z'")
        return np.eye(3)[_AXES[up.removeprefix("-")]] * (-1 if up.startswith("-") else 1)
    gravity = source.described("gravity", "[gx, gy, gz]", (3,))
    if gravity is None or not gravity.any():
        return np.eye(3)[1]
    axis = int(np.abs(gravity).argmax())
    return -np.sign(gravity[axis]) * np.eye(3)[axis]


def _timeline(sources: Sequence[Source]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """The times of the finest source, and those of any that begins before it or goes on after it.

    Each source shows the frame nearest in time: its first before it begins, its last when it ended.
    """
    order = sorted(sources, key=lambda s: (s.times[-1] - s.times[0]) / max(s.count - 1, 1))
    times = order[0].times
    for source in order[1:]:
        gap = np.diff(times).min() / 2 if len(times) > 1 else 0.0
        own = source.times
        times = np.concatenate([own[own < times[0] - gap], times, own[own > times[-1] + gap]])
    return times, tuple(_nearest(source.times, times) for source in sources)


def _nearest(recorded: np.ndarray, asked: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(recorded, asked), 0, len(recorded) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(recorded[before] - asked) < np.abs(recorded[after] - asked)
    return np.where(nearer, before, after)


def _motion(sources: Sequence[Source]) -> np.ndarray:
    corners = []
    for source in sources:
        if source.film is not None:
            corners.append(source.film.corners)
        for frame in source.sampled(_MOTION_SAMPLES):
            x = source.positions(int(frame))
            x = x[np.isfinite(x).all(-1)]
            if len(x):
                corners.append((x.min(0), x.max(0)))
    lows, highs = zip(*corners, strict=True)
    return np.stack([np.min(lows, axis=0), np.max(highs, axis=0)]).astype(float)


def _radius(source: Source) -> float:
    """A little over half the distance of neighbours, so that bodies look closed; markers small."""
    if source.cells is not None:
        return 0.0
    x = source.positions(0)
    x = x[np.isfinite(x).all(-1)].astype(float)
    size = float(np.linalg.norm(x.max(0) - x.min(0))) if len(x) > 1 else 0.0
    distance = source.spacing
    if size == 0.0 and distance == 0.0:
        return 0.01
    return min(_FILL * distance, size / 40) if len(x) < _FEW else _FILL * distance


def _domain(source: Source, first: Source) -> np.ndarray | None:
    """That of the source, or of the first where it does not say: recordings know of no box.

    None of a mesh that does not begin inside: it has no walls around it, and the box of its scene,
    by default a cube of one metre, says nothing of it.
    """
    told = source if "domain" in source.metadata else first
    box = told.described("domain", "[[x0, y0, z0], [x1, y1, z1]]", (2, 3))
    if box is None or source.cells is None:
        return box
    x = source.positions(0)
    x, slack = x[np.isfinite(x).all(-1)], _SLACK * float(np.max(box[1] - box[0]))
    return box if (x >= box[0] - slack).all() and (x <= box[1] + slack).all() else None


def _colliders(source: Source, first: Source) -> tuple[dict[str, Any], ...]:
    told = source if "colliders" in source.metadata else first
    listed = told.described("colliders", 'a JSON list such as [{"kind": "sphere", ...}]')
    return tuple(one for one in listed if isinstance(one, dict)) if isinstance(listed, list) else ()
