# SPDX-License-Identifier: Apache-2.0
"""What the motion of a flat specimen in tension tells of its material, without a force.

The force F(t) is the same in all sections X of a slow test, so with isochoric flow
(A = A₀ exp(-ε), ε the logarithmic strain along the specimen) and a true stress σ(ε) that is the
same everywhere and does not depend on rates, every section that is loading has

    F(t) = A₀(X) s(ε(X, t)),    s(ε) = σ(ε) exp(-ε)    the nominal stress.

*Nothing of the scale.* σ and c σ move alike: no modulus and no stress in Pa follows.

*Up to the largest force.* Of two sections at the same time

    ln σ(ε₁) - ln σ(ε₂) = ε₁ - ε₂ + ln(A₀₂ / A₀₁):

the relative flow curve follows if the areas at rest are known. If they are not, then a motion that
fits (ln s, ln A₀, ln F) fits λ times them as well: the contrast of s is in doubt, but not
where s is largest. There dσ/dε = σ (Considère 1885), and a power law σ = K εⁿ has n = ε there.

*At the largest force.* The weakest section passes that strain ε_u; the others have less, and as F
falls they stop: d ln s(ε_out) = d ln s(ε_neck), where the slope of s vanishes at ε_u, so that
ε_out reaches its end with no slope. With ln s a parabola there, and c = ε_u - ε_end,

    ε_u - ε_out = √(c² + (ε_u - ε_neck)²):

ε_u is the vertex of a hyperbola (fitted with a free factor and bend, for want of symmetry of s).
In a bar without imperfection ε_end = ε_u; in any other ε_end < ε_u.

*Afterwards.* The neck alone flows: one equation, F = A₀ s(ε_neck), for two unknown functions of
time. Any falling F fits, so the flow curve beyond ε_u is not determined. The sections outside
return elastically by (σ_u / E) (1 - F / F_u): that is the shape of F(t) where it can be
resolved, never its size. Stress in a neck is not uniaxial either (Bridgman 1952).

*The ratio.* ν = -ε_across / ε_along outside the neck. Of isochoric flow it is 1/2 if the solid is
isotropic; else the strain ratio of Lankford, across by through the sheet, is ν / (1 - ν). A change
of distance to the camera adds the same to both strains of all points: the slope within frames is
free of it.

*Rates.* Where the stress grows with the rate as well, sections outside go on for a while after the
largest force: then the neck's strain at their end is above ε_u, and the flow curve above holds the
ratio of rates.

Bands are of 95 %: Student's t over sections, each the median of points, farther apart than the
strain's neighbours reach, so that errors that go together along a track and among neighbours count
once. They hold scatter, not errors of the theory.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .strain import Strain, neck

AREAS = 0.01
"""Doubt about the ratio of two areas at rest, as a logarithm."""
GAUGE = 0.8
"""The gauge is where the strain is this share of the median or more."""
FAR = 2.0
"""Outside of the neck is this many widths from its middle."""
LEAST = 0.7
"""Share of the frames in which a point has to be seen."""
FEW = 3
"""Sections outside the neck that are needed."""
APART = 1.5
"""Between sections, in reaches of the neighbours."""
STOPPED = 0.05
"""What has stopped changes by no more than this share of its strain."""
WIDTHS = np.geomspace(0.01, 2.0, 9)
"""Of the bend before the end that are tried, as shares of the neck's last strain."""
NEAR_END = (0.15, 0.25, 0.4)
"""The hyperbola is sought where the strain outside lacks at most this share of its end."""


@dataclass(frozen=True)
class Estimate:
    """A number and its band of 95 %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"


@dataclass(frozen=True)
class Onset:
    """The largest force, as seen in the motion."""

    frame: int
    """From which on only the neck flows."""
    neck: Estimate
    """Logarithmic strain of the neck there, where (dσ/dε)/σ = 1: n of a power law; its band holds
    besides the scatter the choice of frames, and the neck's growth in one frame."""
    outside: Estimate
    """Logarithmic strain at which the rest stopped, mean of its sections."""
    power: Estimate
    """Exponent of the power law through both, for equal areas at rest within `AREAS`."""
    imperfection: float
    """ln(A₀ outside / A₀ neck) that a power law with n = `neck` needs."""
    back: Estimate
    """Change of the strain along the specimen outside, from there to the last frame."""
    back_across: Estimate
    """And of that across it."""

    @property
    def power_law(self) -> bool:
        """Whether a power law fits sections of equal area."""
        return self.power.low <= self.neck.high and self.neck.low <= self.power.high


@dataclass(frozen=True)
class Tension:
    """See the module."""

    sections: int
    """Outside the neck."""
    reach: float
    """Of `Strain` [px]: strains are means over twice that."""
    ratio: Estimate
    """-ε_across / ε_along outside the neck, while it loads."""
    ratio_by_strain: list[tuple[float, Estimate]]
    """The same at some mean strains along the specimen."""
    ratio_within: Estimate
    """Its slope within frames, to which the distance to the camera is nothing."""
    neck_strain: float
    """Logarithmic strain of the neck in the last frame."""
    neck_ratio: float
    """-ε_across / ε_along there."""
    onset: Onset | None
    """None where there is no neck, or the rest still stretches."""
    flow: list[tuple[float, float, Estimate]]
    """Relative flow curve up to the onset: ε outside, ε of the neck, σ(neck) / σ(outside)."""

    @property
    def necked(self) -> bool:
        """Whether one place is stretched most and went on while the rest stopped: a neck."""
        return self.onset is not None

    @property
    def lankford(self) -> float:
        """Strain across by strain through the sheet, of isochoric flow."""
        return self.ratio.value / (1.0 - self.ratio.value)

    def table(self) -> dict[str, Any]:
        """For a .json file."""
        named = {"lankford": self.lankford, "areas": AREAS, "band": "95 %, over sections"}
        return {**asdict(self), **named}

    def lines(self) -> list[str]:
        """Sentences for a person."""
        out = [
            f"-across/along outside the neck: {self.ratio}, within frames {self.ratio_within};"
            f" isochoric flow has 0.5 if isotropic, else across by through {self.lankford:.2f}"
        ]
        o = self.onset
        if o is None:
            out.append("no onset of necking: the specimen is uniform, or stretches everywhere")
        else:
            kept = "as" if o.power_law else "not as"
            out += [
                f"onset of necking at frame {o.frame}: the rest stops at a strain of {o.outside},"
                f" the neck has {o.neck}; (dσ/dε)/σ = 1 there, and n if the law is a power law",
                f"power law through both strains, for areas at rest equal to {100 * AREAS:.0f} %:"
                f" n = {o.power}, {kept} in the neck, which needs {100 * o.imperfection:.1f} %",
                f"from there to the end the rest changes by {o.back}: the fall of the force is"
                f" {'' if o.back.high < 0 else 'not '}seen",
            ]
        out.append("no stress in Pa and no modulus follows from motion: a force curve adds them")
        return out


@dataclass(frozen=True)
class _Sections:
    """Median strains of pieces of the gauge."""

    along: np.ndarray
    """Outside the neck, shape (t, b)."""
    across: np.ndarray
    """Shape (t, b)."""
    neck: np.ndarray
    """Along and across in the neck, shape (t, 2)."""


def tension(pixels: np.ndarray, found: Strain) -> Tension:
    """All that is said in the module.

    Args:
        pixels: Shape (t, k, 2) [px], of points of the specimen; NaN where one is not seen.
        found: Their strain.

    Raises:
        ValueError: There are too few points, or nothing is stretched.
    """
    cut = _sections(pixels, found)
    onset = _onset(cut) if neck(pixels, found).found else None
    end = len(pixels) if onset is None else onset.frame + 1
    flow = [] if onset is None else _flow(cut, end)
    load = cut.along[:end].mean(1)
    use = np.flatnonzero(load > 0.1 * load.max())
    x, y = cut.along[use], -cut.across[use]
    parts = np.array_split(np.argsort(load[use]), min(5, len(use)))
    middle = [v - v.mean(1, keepdims=True) for v in (x, y)]
    return Tension(
        x.shape[1], found.reach, _slope(x, y),
        [(float(load[use][p].mean()), _slope(x[p], y[p])) for p in parts],
        _slope(middle[0], middle[1]), float(cut.neck[-1, 0]),
        float(-cut.neck[-1, 1] / cut.neck[-1, 0]), onset, flow,
    )  # fmt: skip


def _sections(pixels: np.ndarray, found: Strain) -> _Sections:
    """Cut the gauge into pieces."""
    thin = neck(pixels, found)
    if not thin.median > 0:
        raise ValueError(f"the median strain is {thin.median:.3g}: nothing is stretched")
    normal = np.array([-thin.axis[1], thin.axis[0]])
    axial, lateral = _filled(found.along(thin.axis)), _filled(found.along(normal))
    known = np.isfinite(axial).all(0) & np.isfinite(lateral).all(0)
    rest = pixels[0]
    place = rest @ thin.axis - thin.place @ thin.axis
    gauge = known & (axial[-1] >= GAUGE * thin.median)
    outside = gauge & (np.abs(place) > FAR * thin.width * thin.found)
    label = np.floor(place / (APART * found.reach)).astype(int)
    pieces = [np.flatnonzero(outside & (label == n)) for n in np.unique(label[outside])]
    pieces = [piece for piece in pieces if len(piece) >= 3]
    if len(pieces) < FEW:
        raise ValueError(
            f"{len(pieces)} sections outside the neck have points enough, expected {FEW} or more:"
            " follow more points (--grid)"
        )
    there = known & thin.belt(rest)
    if not there.any():
        raise ValueError("no point in the neck is seen throughout: follow more points (--grid)")
    along, across = (
        np.stack([np.median(v[:, piece], 1) for piece in pieces], 1) for v in (axial, lateral)
    )
    inner = np.stack([np.median(v[:, there], 1) for v in (axial, lateral)], 1)
    return _Sections(along, across, inner)


def _filled(values: np.ndarray) -> np.ndarray:
    """Gaps in time filled linearly, of points known in the last frame and in most, (t, k)."""
    out = np.array(values)
    time = np.arange(len(values))
    for k in range(values.shape[1]):
        seen = np.isfinite(values[:, k])
        if seen[-1] and seen.mean() >= LEAST:
            out[:, k] = np.interp(time, time[seen], values[seen, k])
    return out


def _onset(cut: _Sections) -> Onset | None:
    """Where the sections outside stop, each by its own hyperbola."""
    inner = cut.neck[:, 0]
    fits = [[_vertex(inner, outer, share) for outer in cut.along.T] for share in NEAR_END]
    table = np.array(fits)  # shares, sections, (vertex, end, return)
    if not np.isfinite(table[1]).all():
        return None
    ends = _mean(table[1, :, 1])
    windows = np.nanmean(table[:, :, 0], 1)
    vertex = float(table[1, :, 0].mean())
    step = float(np.interp(vertex, inner[:-1], np.diff(inner)))
    doubt = np.hypot(0.5 * float(np.nanmax(windows) - np.nanmin(windows)), step)
    vertex = _mean(table[1, :, 0], more=float(doubt))
    frame = int(np.argmax(inner >= vertex.value))
    u, p = vertex.value, ends.value
    power = _power(p, u)
    late = slice(max(frame, len(inner) - 5), None)
    across = cut.across[late].mean(0) - cut.across[frame : frame + 5].mean(0)
    return Onset(
        frame, vertex, ends, power, float(u * np.log(u / p) - (u - p)), _mean(table[1, :, 2]),
        _mean(across),
    )  # fmt: skip


def _vertex(inner: np.ndarray, outer: np.ndarray, share: float) -> tuple[float, float, float]:
    """Least squares of end - g (√(d² + (u - inner)²) - d) before u, end - c (inner - u) after it.

    Returns:
        u, the end, and the change after u; NaN where the strain outside has no end in the clip.
    """
    nothing = (np.nan, np.nan, np.nan)
    top = float(np.median(outer[-max(3, len(outer) // 10) :]))
    first = int(np.argmax(outer >= (1 - share) * top))
    x, y = inner[first:], outer[first:]
    if len(x) < 8:
        return nothing
    u, d = (v.ravel() for v in np.meshgrid(np.linspace(x[2], x[-2], 240), WIDTHS * x[-1]))
    before, after = np.minimum(x - u[:, None], 0), np.maximum(x - u[:, None], 0)
    bend = np.hypot(before, d[:, None]) - d[:, None]
    basis = np.stack([np.ones_like(bend), -bend / bend.max(1, keepdims=True), -after / x[-1]], -1)
    flipped = np.swapaxes(basis, 1, 2)
    found = np.linalg.solve(flipped @ basis, (flipped @ y)[..., None])
    error = np.square(y - (basis @ found)[..., 0]).sum(1)
    found = found[..., 0]
    best = int(np.argmin(np.where(found[:, 1] > 0, error, np.inf)))
    vertex, end, change = u[best], found[best, 0], -found[best, 2] * (1 - u[best] / x[-1])
    late = vertex > x[-1] - 0.1 * (x[-1] - x[0])
    if late or abs(change) > STOPPED * end:
        return nothing
    return float(vertex), float(end), float(change)


def _power(outside: float, inside: float) -> Estimate:
    """Exponent of a power law from two strains at the same force, by the doubt about areas."""
    span = np.log(inside / outside) if inside > 1.001 * outside else np.nan
    found = [(inside - outside + doubt) / span for doubt in (0.0, -AREAS, AREAS)]
    return Estimate(*(float(n) for n in found))


def _flow(cut: _Sections, end: int) -> list[tuple[float, float, Estimate]]:
    """σ(ε_neck) / σ(ε_outside) at the same force, frame by frame."""
    out = []
    for inner, row in zip(cut.neck[:end, 0], cut.along[:end], strict=True):
        outer = _mean(row)
        apart = inner - outer.value
        if apart > 2e-3:
            doubt = float(np.hypot(AREAS, 0.5 * (outer.high - outer.low)))
            factor = np.exp([apart, apart - doubt, apart + doubt])
            out.append((outer.value, float(inner), Estimate(*(float(f) for f in factor))))
    return out


def _slope(x: np.ndarray, y: np.ndarray) -> Estimate:
    """Of y on x through the origin, (t, b) each; sections b are independent."""
    from scipy import stats

    slope = float((x * y).sum() / max(float((x * x).sum()), 1e-300))
    scores = (x * (y - slope * x)).sum(0)
    count = x.shape[1]
    deviation = float(np.sqrt(count / (count - 1) * np.square(scores).sum()) / (x * x).sum())
    half = float(stats.t.ppf(0.975, count - 1)) * deviation
    return Estimate(slope, slope - half, slope + half)


def _mean(values: np.ndarray, more: float = 0.0) -> Estimate:
    """Of independent sections, with another half width added by squares."""
    from scipy import stats

    count = len(values)
    half = float(stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count))
    half = float(np.hypot(half, more))
    middle = float(values.mean())
    return Estimate(middle, middle - half, middle + half)
