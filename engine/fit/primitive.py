# SPDX-License-Identifier: Apache-2.0
"""A box, sphere, cylinder or capsule fitted to the masks of one moment, by least squares.

What is compared is how much of each pixel near the rims is covered. The search begins on coarse
blocks of pixels with several orientations and goes on to single pixels. Bands are those of rims
whose sectors may each be wrong as a whole, by the rounding of a mask to pixels and by what the
primitive leaves, and in which single pixels are off by what is left there: within a sector a short
edge is rounded by more than the sector's mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..outlines import ROUNDING, Eye, Parts, Rim, parts
from ..primitives import (
    AXES,
    Freedom,
    Kind,
    Pose,
    below,
    kind_of,
    marks,
    plainest,
    pose_of,
    rotation_vector,
    solid,
)
from ..shapes import Solid
from ..vision.camera import NEAR, Camera
from .uncertainty import RANK, Uncertainty, entangled, estimate

COARSE = 16
"""Blocks across a mask with which the search begins."""
FINER = 3
"""How much smaller blocks become from one stage to the next."""
REACH = 4
"""Blocks around the rim that count after the first stage."""
CORNERS = (24, 48, 128)
"""Of a polygon that stands for a circle: in the first stage, between, with single pixels."""
KEPT = 4
"""Orientations that are followed after the first stage, at most."""
HOPELESS = 4.0
"""Cost, in the best one's, of orientations that are not."""
TURNS = (24, 12)
"""Orientations of a box that the search begins with, for one camera and for more."""
FEWEST = 30
"""Bright pixels of a mask."""
STEP = 1e-6
"""Of differences in free coordinates."""
ALIKE = 1.3
"""Cost of another orientation that fits as well, in the best one's."""
APART = 0.03
"""Distance of marks from which two solids are not the same, in their size."""
SAME = 1e-3
"""Change of a number, in the largest size, as the scale grows e-fold, that is none."""
PARALLEL = 1e-4
"""Smallest eigenvalue, of one, from which rays of several cameras have a place in common."""


_SCALE = (
    "size and distance go together: what is seen stays the same when the {kind} is scaled about the"
    " camera; give the floor that it rests on, one of its sizes, or a camera that stands elsewhere"
)


class Measure(NamedTuple):
    """A number of the primitive."""

    name: str
    value: float
    unit: str
    band: float | None
    """Half width of the 95 % band; 0: given, None: the masks do not determine it."""


@dataclass(frozen=True, eq=False)
class PrimitiveFit:
    """What came out."""

    kind: str
    shape: Solid
    """In the scene's axes."""
    measures: tuple[Measure, ...]
    """Sizes, place and rotation vector."""
    overlap: float
    """Area in common over area of either (intersection over union), least of all cameras."""
    rim: float
    """Root mean square distance of parts of the rim from the outline [px]."""
    along_pixels: float
    """Share of the rims that lies along rows or columns of pixels, where rounding does not average
    out: sizes may be off by a pixel then, and an orientation by more than its band."""
    undetermined: tuple[str, ...]
    """What the masks do not tell apart, a sentence for each combination."""
    rivals: tuple[Solid, ...]
    """Others that fit as well; none are told where something is not determined anyway."""
    pose: Pose
    """The shape as numbers."""


def fit_primitive(
    kind: str,
    masks: Sequence[np.ndarray],
    cameras: Sequence[Camera],
    *,
    start: Solid | None = None,
    on_floor: float | None = None,
    sizes: Mapping[str, float] | None = None,
    upright: bool = False,
) -> PrimitiveFit:
    """Fit a primitive to masks of one moment.

    One camera does not tell a large body far away from a small one near: give the floor that it
    rests on or one of its sizes.

    Args:
        kind: box, sphere, cylinder or capsule.
        masks: Pictures (height, width), bright (over 127) or true where the body is.
        cameras: One for each.
        start: Where the search begins; None: in several orientations.
        on_floor: Height at which its lowest point is [m], y up.
        sizes: Those that are known [m]: width, height, depth of a box along its own x, y, z;
            radius; height (of a capsule that of its straight part).
        upright: Whether its own y axis is up.

    Raises:
        ValueError: A mask says nothing, does not go with its camera, or nothing is there to fit.
    """
    form = kind_of(kind)
    freedom = Freedom(form, dict(sizes or {}), on_floor, upright)
    seen = [_checked(mask, camera, i) for i, (mask, camera) in enumerate(_pairs(masks, cameras))]
    bases = _starts(freedom, seen, cameras, start)
    extents = [max(int(np.ptp(part)) + 1 for part in np.nonzero(mask)) for mask in seen]
    stages = _stages(extents)
    found: list[tuple[float, Pose]] = []
    for number, steps in enumerate(stages):
        reach = REACH if number else None
        rims = [Rim.of(m, c, s, reach=reach) for m, c, s in zip(seen, cameras, steps, strict=True)]
        corners = CORNERS[-1] if number == len(stages) - 1 else CORNERS[min(number, 1)]
        found = sorted((_solved(freedom, rims, b, corners) for b in bases), key=lambda f: f[0])
        found = _promising(form, found)
        bases = [pose for _, pose in found]
    rims = [Rim.of(m, c, 1, reach=REACH) for m, c in zip(seen, cameras, strict=True)]
    poses = [plainest(form, pose, swap=not freedom.known and not upright) for pose in bases]
    best = poses[0]
    _refuse_behind(form, best, rims)
    rivals = [pose for (cost, _), pose in zip(found[1:], poses[1:], strict=True)
              if cost <= ALIKE * found[0][0]]  # fmt: skip
    return _result(freedom, best, rivals, rims, seen, cameras)


def _pairs(
    masks: Sequence[np.ndarray], cameras: Sequence[Camera]
) -> list[tuple[np.ndarray, Camera]]:
    if len(masks) != len(cameras) or not len(masks):
        raise ValueError(
            f"got {len(masks)} masks and {len(cameras)} cameras, expected one camera for each mask"
        )
    return list(zip(masks, cameras, strict=True))


def _checked(mask: np.ndarray, camera: Camera, number: int) -> np.ndarray:
    """A mask as bool."""
    who = f"mask {number + 1}"
    if mask.shape != camera.size[::-1]:
        raise ValueError(
            f"{who} has shape {mask.shape}, its camera's pictures are {camera.size[0]} x"
            f" {camera.size[1]} px: take masks of pictures of that size, and cameras in their order"
        )
    bright = mask if mask.dtype == bool else mask > 127
    if not bright.any():
        raise ValueError(f"{who} is dark all over, expected it bright where the body is")
    if bright.sum() < FEWEST:
        raise ValueError(
            f"{who} has {bright.sum()} bright pixels, expected {FEWEST} or more: take a picture"
            " that shows the body larger"
        )
    if bright[0].any() and bright[-1].any() and bright[:, 0].any() and bright[:, -1].any():
        raise ValueError(
            f"{who} reaches all four edges of the picture: the rim of the body is not seen; move"
            " the camera back, or draw the mask over the body alone"
        )
    return bright


def _stages(extents: Sequence[int]) -> list[list[int]]:
    """Pixels along a block, for each stage and camera."""
    steps = [max(1, round(extent / COARSE)) for extent in extents]
    stages = [steps]
    while max(steps) > 1:
        steps = [max(1, step // FINER) for step in steps]
        stages.append(steps)
    return stages


def _starts(
    freedom: Freedom, masks: Sequence[np.ndarray], cameras: Sequence[Camera], start: Solid | None
) -> list[Pose]:
    """Primitives that the search begins with."""
    kind = freedom.kind
    if start is not None:
        base = pose_of(kind, start)
        if freedom.upright:
            base = base._replace(turn=np.eye(3))
        return [base]
    centre, radius = _ball(freedom, masks, cameras)
    ratio = {"box": (1.5, 1.5, 1.5), "sphere": (1.0,), "cylinder": (0.9, 1.6)}
    share = np.array(ratio.get(kind.name, (0.8, 1.0)))
    return [Pose(radius * share, centre, turn) for turn in _turns(freedom, len(masks))]


def _turns(freedom: Freedom, cameras: int) -> list[np.ndarray]:
    """Rotations that are spread over all that look different."""
    from scipy.spatial.transform import Rotation

    if not freedom.turns:
        return [np.eye(3)]
    if freedom.upright:
        return [Rotation.from_rotvec([0.0, a, 0.0]).as_matrix() for a in (0.0, 0.4, 0.8, 1.2)]
    if len(freedom.turns) == 3:
        count = TURNS[min(cameras, 2) - 1]
        four = np.random.default_rng(0).standard_normal((count - 2, 4))
        some = Rotation.from_quat(four).as_matrix()
        return [np.eye(3), Rotation.from_rotvec([0.0, 0.8, 0.0]).as_matrix(), *some]
    axes = [(0, 1, 0), (1, 0, 0), (0, 0, 1), (1, 1, 0), (-1, 1, 0), (1, 0, 1), (-1, 0, 1),
            (0, 1, 1), (0, 1, -1)]  # fmt: skip
    return [Rotation.align_vectors([axis], [(0, 1, 0)])[0].as_matrix() for axis in axes]


def _ball(
    freedom: Freedom, masks: Sequence[np.ndarray], cameras: Sequence[Camera]
) -> tuple[np.ndarray, float]:
    """Where the body is [m], shape (3,), and half its width [m], roughly."""
    eyes = [Eye.of(camera) for camera in cameras]
    rays, widths = [], []
    for eye, mask, camera in zip(eyes, masks, cameras, strict=True):
        step = max(1, round(np.sqrt(mask.sum()) / COARSE))
        rim = Rim.of(mask, camera, step, reach=None)
        rays.append(eye.ray(np.average(rim.pixels, axis=0, weights=rim.share)))
        widths.append(np.sqrt(mask.sum() / np.pi) / float(eye.focal.mean()))
    across = [np.eye(3) - np.outer(ray, ray) for ray in rays]
    total = np.sum(across, 0)
    if len(eyes) > 1 and np.linalg.eigvalsh(total)[0] > PARALLEL:
        pulls = [side @ eye.place for side, eye in zip(across, eyes, strict=True)]
        centre = np.linalg.solve(total, np.sum(pulls, 0))
        depths = [float(eye.depth(centre[None])[0]) for eye in eyes]
        if min(depths) <= NEAR:
            raise ValueError(
                f"the rays of the masks meet behind camera {int(np.argmin(depths)) + 1}: check the"
                " poses of the cameras, and that they are in the order of the masks"
            )
        return centre, float(np.mean([w * d for w, d in zip(widths, depths, strict=True)]))
    eye, ray, width = eyes[0], rays[0], widths[0]
    if freedom.floor is not None:
        fall, rate = float(eye.place[1]) - freedom.floor, width - float(ray[1])
        if not fall / rate > NEAR:
            raise ValueError(
                f"no body on a floor at y = {freedom.floor:g} m is seen where the mask is: check"
                " the floor's height and the camera's pose"
            )
        distance = fall / rate
    elif freedom.known:
        distance = 0.5 * float(np.mean(list(freedom.known.values()))) / width
    else:
        ahead = -float(ray @ eye.place)
        distance = ahead if ahead > NEAR else 1.0
    return eye.place + distance * ray, width * distance


def _residual(kind: Kind, pose: Pose, rims: Sequence[Rim], corners: int) -> np.ndarray:
    return np.concatenate([rim.cover(kind, pose, corners) - rim.share for rim in rims])


def _slopes(freedom: Freedom, rims: Sequence[Rim], base: Pose) -> np.ndarray:
    """Derivative of the residual at a base by free coordinates, shape (m, p)."""
    columns = []
    for step in STEP * np.eye(len(freedom.names)):
        ends = [freedom.moved(base, sign * step) for sign in (1, -1)]
        plus, minus = (_residual(freedom.kind, end, rims, CORNERS[-1]) for end in ends)
        columns.append((plus - minus) / (2 * STEP))
    return np.stack(columns, 1)


def _solved(freedom: Freedom, rims: Sequence[Rim], base: Pose, corners: int) -> tuple[float, Pose]:
    """The cost of the best primitive near another, and that."""
    from scipy.optimize import least_squares

    count = len(freedom.names)
    if not count:
        pose = freedom.moved(base, [])
        return float((_residual(freedom.kind, pose, rims, corners) ** 2).sum()), pose

    def residual(free: np.ndarray) -> np.ndarray:
        return _residual(freedom.kind, freedom.moved(base, free), rims, corners)

    def slopes(free: np.ndarray) -> np.ndarray:
        here = residual(free)
        return np.stack([(residual(free + s) - here) / STEP for s in STEP * np.eye(count)], 1)

    method: Any = {"jac": slopes, "max_nfev": 60}
    found = least_squares(residual, np.zeros(count), xtol=1e-6, ftol=1e-6, gtol=1e-10, **method)
    return 2.0 * float(found.cost), freedom.moved(base, found.x)


def _refuse_behind(kind: Kind, pose: Pose, rims: Sequence[Rim]) -> None:
    for number, rim in enumerate(rims):
        if rim.eye.depth(marks(kind, pose)).min() <= NEAR:
            raise ValueError(
                f"the {kind.name} that fits best reaches behind camera {number + 1}: check its"
                " pose, and that cameras are in the order of the masks"
            )


class _Errors(NamedTuple):
    """What is wrong with the rims, of m pixels in k parts."""

    slope: np.ndarray
    """Change of the cover as the outline moves outwards [1/px], shape (m,)."""
    part: Parts
    """Of all cameras together."""
    offset: np.ndarray
    """How far parts of the rims are outside the outline [px], shape (k,)."""
    left: np.ndarray
    """Cover that the primitive leaves, shape (m,)."""

    @property
    def rim(self) -> float:
        """Root mean square of the offsets along the rims [px]."""
        return float(np.sqrt(np.mean(self.offset[self.part.label[self.slope > 0]] ** 2)))

    @property
    def along_pixels(self) -> float:
        """Share of the rims in long runs along rows or columns."""
        return float((self.part.rounding[self.part.label[self.slope > 0]] >= ROUNDING).mean())


def _errors(kind: Kind, pose: Pose, rims: Sequence[Rim], masks: Sequence[np.ndarray]) -> _Errors:
    each = [parts(mask, rim.at) for mask, rim in zip(masks, rims, strict=True)]
    before = np.cumsum([0, *(len(part.rounding) for part in each)])
    label = np.concatenate([b + p.label for b, p in zip(before, each, strict=False)])
    part = Parts(label, *(np.concatenate([p[i] for p in each]) for i in (1, 2)))
    cover = np.concatenate([rim.cover(kind, pose, CORNERS[-1]) for rim in rims])
    share = np.concatenate([rim.share for rim in rims])
    half = np.concatenate([np.full(len(rim.share), rim.half) for rim in rims])
    slope = np.where((cover > 0) & (cover < 1), 0.5 / half, 0.0)
    total, gap = (np.bincount(label, slope * v, len(part.rounding)) for v in (slope, share - cover))
    return _Errors(slope, part, gap / np.maximum(total, 1e-12), share - cover)


def _uncertainty(jacobian: np.ndarray, errors: _Errors) -> Uncertainty:
    """Of free coordinates, if parts of the rims are off and tilted, and single pixels are off."""
    met = errors.slope > 0
    label, along = errors.part.label[met], errors.part.along[met]
    rounding, J = errors.part.rounding[label], jacobian[met]
    off = errors.slope[met] * np.hypot(rounding, errors.offset[label])
    tilted = errors.slope[met] * rounding * along
    # thrice the rows at a third of the weight: the same normal equations, three kinds of errors
    root, count = np.sqrt(3.0), len(errors.part.rounding)
    return estimate(
        np.concatenate([J, J, J]) / root,
        root * np.concatenate([off, tilted, errors.left[met]]),
        np.concatenate([label, count + label, 2 * count + np.arange(len(label))]),
    )


def _result(
    freedom: Freedom,
    best: Pose,
    rivals: Sequence[Pose],
    rims: Sequence[Rim],
    masks: Sequence[np.ndarray],
    cameras: Sequence[Camera],
) -> PrimitiveFit:
    """Bands, and what else is to be said of the best."""
    kind = freedom.kind
    errors = _errors(kind, best, rims, masks)
    if not (errors.slope > 0).any():
        raise ValueError(
            f"no {kind.name} with what is given comes near the mask: check the floor, the sizes"
            " and the cameras"
        )
    measures, said = _measures(freedom, best, rims, errors)
    overlaps = []
    for mask, camera in zip(masks, cameras, strict=True):
        step = max(1, round(np.sqrt(mask.sum()) / 128))
        whole = Rim.of(mask, camera, step, reach=None)
        inside, bright = whole.distance(kind, best, CORNERS[1]) < 0, whole.share > 0.5
        overlaps.append(float((inside & bright).sum() / (inside | bright).sum()))
    return PrimitiveFit(
        kind.name, solid(kind, best), measures, min(overlaps),
        errors.rim, errors.along_pixels, tuple(said),
        tuple(solid(kind, pose) for pose in rivals if not said), best,
    )  # fmt: skip


def _measures(
    freedom: Freedom, best: Pose, rims: Sequence[Rim], errors: _Errors
) -> tuple[tuple[Measure, ...], list[str]]:  # fmt: skip
    """Numbers with bands, and what is not determined."""
    names = freedom.names
    values = _numbers(freedom.kind, best)
    if not names:
        return tuple(Measure(n, v, u, 0.0) for n, (v, u) in values.items()), []
    jacobian, change = _slopes(freedom, rims, best), _changes(freedom, best)
    scale = _scale(freedom, best, jacobian, [rim.eye.place for rim in rims])
    if scale is not None:
        # what does not change with the scale has the bands that it has with one size given
        names, jacobian, rows = names[1:], jacobian[:, 1:], change[:, 1:]
    else:
        rows = change
    known = _uncertainty(jacobian, errors)
    measures = []
    for number, (name, (value, unit)) in enumerate(values.items()):
        span = best.sizes.max() if unit == "m" else 1.0
        scaled = scale is not None and abs(float(change[number] @ scale)) > SAME * span
        band = None if scaled else _band(known, rows[number], span)
        measures.append(Measure(name, value, unit, band))
    shared = np.abs(known.blind).max(0, initial=0.0) > 0.05
    alone = [
        f"the masks do not determine {name}"
        for name, found, along in zip(
            names, known.determined.tolist(), shared.tolist(), strict=True
        )
        if not found and not along
    ]
    mixed = [] if scale is None else [_SCALE.format(kind=freedom.kind.name)]
    return tuple(measures), [*mixed, *entangled(known, names), *alone]


def _changes(freedom: Freedom, best: Pose) -> np.ndarray:
    """Derivatives of what is told of a primitive by free coordinates, shape (n, p)."""
    columns = []
    for step in STEP * np.eye(len(freedom.names)):
        ends = [_numbers(freedom.kind, freedom.moved(best, sign * step)) for sign in (1, -1)]
        plus, minus = (np.array([v for v, _ in end.values()]) for end in ends)
        columns.append((plus - minus) / (2 * STEP))
    return np.stack(columns, 1)


def _scale(
    freedom: Freedom, best: Pose, jacobian: np.ndarray, eyes: Sequence[np.ndarray]
) -> np.ndarray | None:
    """The change (p,) that scales the primitive about the eye of all cameras, if it is unseen."""
    if freedom.known or freedom.floor is not None:
        return None
    arm = (best.centre - eyes[0]) / best.sizes.max()
    along = np.concatenate([np.ones(len(freedom.sizes)), arm, np.zeros(len(freedom.turns))])
    change = jacobian @ along
    unseen = np.linalg.norm(change) < RANK * np.linalg.norm(jacobian * along)
    return along if unseen or not np.ptp(eyes, axis=0).any() else None


def _band(known: Uncertainty, row: np.ndarray, span: float) -> float | None:
    """Half the 95 % band of a number that changes by `row` with the free coordinates."""
    if (np.abs(row[~known.determined]) > 0.05 * span).any():
        return None
    if (np.abs(row) < STEP * span).all():
        return 0.0
    return float(np.max(known.quantile)) * float(np.sqrt(max(row @ known.covariance @ row, 0.0)))


def _numbers(kind: Kind, pose: Pose) -> dict[str, tuple[float, str]]:
    """What is told of a primitive, each with its unit."""
    turn = rotation_vector(kind, pose.turn)
    return {
        **{n: (float(v), "m") for n, v in zip(kind.sizes, pose.sizes, strict=True)},
        **{f"centre.{AXES[i]}": (float(pose.centre[i]), "m") for i in range(3)},
        "lowest": (float(pose.centre[1]) - below(kind, pose.sizes, pose.turn), "m"),
        **{f"turn.{AXES[i]}": (float(turn[i]), "rad") for i in kind.turns},
    }


def _promising(kind: Kind, found: Sequence[tuple[float, Pose]]) -> list[tuple[float, Pose]]:
    """The best few of those in order of their cost, none much like one before."""
    kept: list[tuple[float, Pose]] = []
    for cost, pose in found:
        if cost > HOPELESS * found[0][0] or len(kept) == KEPT:
            break
        if all(_differ(kind, pose, other) for _, other in kept):
            kept.append((cost, pose))
    return kept


def _differ(kind: Kind, one: Pose, other: Pose) -> bool:
    """Whether two primitives are not the same solid."""
    a, b = marks(kind, one), marks(kind, other)
    gaps = np.linalg.norm(a[:, None] - b[None], axis=-1)
    far = max(gaps.min(0).max(), gaps.min(1).max())
    size = max(one.sizes.max(), other.sizes.max())
    radii = 0.0 if kind.name == "box" else abs(float(one.sizes[0] - other.sizes[0]))
    return bool(max(float(far), radii) > APART * size)
