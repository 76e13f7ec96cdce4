# SPDX-License-Identifier: Apache-2.0
"""Constitutive curves: how one material point answers to stretching, shearing and squeezing.

The point starts at rest and is deformed in small steps through `ConstitutiveLaw.update`, with the
elastic deformation and the history carried on, so that plastic flow and damping show. Loading is
along +x, rates and steps are arguments: a learned flow acts once a step, as it does in a run.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from .constant_fields import at_rest

STEP = 5e-4
"""Length of a loading step [s]."""
RATE = 4.0
"""Strain rate of the loading [1/s]; with STEP a strain of 0.002 a step."""

CANDIDATES = 65
"""Lateral strains that are tried at once."""
ROUNDS = 2
"""Times that the lateral strain is narrowed down: to 1e-3 of a step, then interpolated; what is
left, near 1e-10, is made good in the next step."""
WIDEST = 1.0
"""Largest lateral strain that is looked for in one step [-]."""


@dataclass(frozen=True)
class Curve:
    """A stress against a deformation, from one end of the range to the other through rest."""

    name: str
    """Kind of loading: uniaxial, equibiaxial, pure shear, simple shear, sheared under pressure or
    volumetric."""
    x: Tensor
    """Deformation, shape (k,), float64, increasing."""
    y: Tensor
    """Stress, shape (k,), float64; not a number where the law has no answer."""
    units: tuple[str, str]
    """Of x and y."""
    labels: tuple[str, str]
    """What x and y are, in words."""
    loading: str
    """How the point was loaded, as a sentence."""
    dt: float = STEP
    """Length of a loading step [s]."""
    rate: float = RATE
    """Strain rate [1/s]."""

    @property
    def complete(self) -> bool:
        """Whether the law gave a finite stress everywhere."""
        return bool(self.y.isfinite().all())


class _Mode(NamedTuple):
    """A loading along the axes: which strains are driven, and which make their sides free."""

    name: str
    driven: tuple[float, float, float]
    free: tuple[float, float, float]
    loading: str


_UNIAXIAL = _Mode(
    "uniaxial", (1, 0, 0), (0, 1, 1),
    "Pulled or pressed along one axis with free sides: the mean lateral stress is zero.",
)  # fmt: skip
_EQUIBIAXIAL = _Mode(
    "equibiaxial", (1, 1, 0), (0, 0, 1),
    "Pulled or pressed alike along two axes, the third side free.",
)  # fmt: skip
_PURE_SHEAR = _Mode(
    "pure shear", (1, 0, 0), (0, 1, 0),
    "Pulled or pressed along one axis, the second side free, the third held: a wide strip.",
)  # fmt: skip
_IN_PLANE = {
    "uniaxial": _PURE_SHEAR._replace(
        name="uniaxial",
        loading="Pulled or pressed along one axis in plane strain, the other side free.",
    ),
    "equibiaxial": _Mode(
        "equibiaxial", (1, 1, 0), (0, 0, 0), "Pulled or pressed alike along both axes of the plane."
    ),
    "pure shear": _PURE_SHEAR,
}
"""Of laws of plane strain."""


def uniaxial(
    law: ConstitutiveLaw,
    *,
    stretch: tuple[float, float] = (0.7, 1.4),
    dt: float = STEP,
    rate: float = RATE,
    fields: Tensor | None = None,
) -> Curve:
    """Nominal stress P_xx against stretch, sides free: the mean of τ_yy and τ_zz is zero.

    Both sides have the same stretch. Where no lateral stretch frees them (a law far from its
    data), the curve ends. Of a law of plane strain one side is free.

    Args:
        law: Any law; a float64 copy on the CPU is used. For small strains the stretch is 1 + ε.
        stretch: Ends of the range [-], around 1.
        dt: Length of a loading step [s].
        rate: Rate of the logarithmic strain [1/s].
        fields: Constant fields of the law, shape (w,); None: zeros.

    Returns:
        Force per area at rest [Pa] against the ratio of the length to that at rest.

    Raises:
        ValueError: An argument is out of range.
    """
    return _stretched(law, _UNIAXIAL, stretch, dt, rate, fields)


def equibiaxial(
    law: ConstitutiveLaw,
    *,
    stretch: tuple[float, float] = (0.7, 1.4),
    dt: float = STEP,
    rate: float = RATE,
    fields: Tensor | None = None,
) -> Curve:
    """Nominal stress P_xx against the stretch along x and y, τ_zz = 0.

    Arguments, result and errors are those of `uniaxial`.
    """
    return _stretched(law, _EQUIBIAXIAL, stretch, dt, rate, fields)


def pure_shear(
    law: ConstitutiveLaw,
    *,
    stretch: tuple[float, float] = (0.7, 1.4),
    dt: float = STEP,
    rate: float = RATE,
    fields: Tensor | None = None,
) -> Curve:
    """Nominal stress P_xx against the stretch along x, τ_yy = 0, no strain along z.

    Planar tension, which is what tests of rubber call pure shear. Arguments, result and errors are
    those of `uniaxial`.
    """
    return _stretched(law, _PURE_SHEAR, stretch, dt, rate, fields)


def _stretched(
    law: ConstitutiveLaw, mode: _Mode, stretch: tuple[float, float], dt: float, rate: float,
    fields: Tensor | None,
) -> Curve:  # fmt: skip
    if law.dim == 2:
        mode = _IN_PLANE[mode.name]
    points, increments, counts = _halves(law, "stretch", stretch, dt, rate, fields)
    lateral = torch.zeros_like(increments)

    def further() -> Tensor:
        which = points.which
        lateral[which] = points.free_sides(mode, increments[which], lateral[which], dt)
        points.keep(lateral[which].isfinite())
        which = points.which
        if len(which) == 0:
            return lateral[which]
        return points.load(points.stretched(mode, increments[which], lateral[which]), dt)[:, 0, 0]

    tau_xx = _driven(points, points.tau()[:, 0, 0], counts, further)
    strain, tau_xx = _join(increments, counts, tau_xx)
    x = points.stretch(strain)
    return Curve(
        mode.name, x, tau_xx if points.small else tau_xx / x, ("-", "Pa"),
        ("stretch λ", "nominal stress P"), mode.loading, dt, rate,
    )  # fmt: skip


def simple_shear(
    law: ConstitutiveLaw,
    *,
    shear: float = 0.5,
    compression: float = 0.0,
    dt: float = STEP,
    rate: float = RATE,
    fields: Tensor | None = None,
) -> Curve:
    """Shear stress τ_xy against γ in F = s (I + γ e_x ⊗ e_y), s = (1 − compression)^{1/3}.

    Args:
        law: Any law; a float64 copy on the CPU is used.
        shear: Largest γ [-].
        compression: Share of the volume that is taken away before [-]. What a granular material
            bears depends on it; without pressure it bears nothing.
        dt: Length of a loading step [s].
        rate: Rate of γ and of the logarithmic volume strain [1/s].
        fields: Constant fields of the law, shape (w,); None: zeros.

    Returns:
        Kirchhoff shear stress [Pa]; without compression that is force per area at rest.

    Raises:
        ValueError: An argument is out of range.
    """
    (curve,) = simple_shears(law, (compression,), shear=shear, dt=dt, rate=rate, fields=fields)
    return curve


def simple_shears(
    law: ConstitutiveLaw,
    compressions: Sequence[float],
    *,
    shear: float = 0.5,
    dt: float = STEP,
    rate: float = RATE,
    fields: Tensor | None = None,
) -> list[Curve]:
    """What `simple_shear` gives for each of several compressions, computed together."""
    if not (math.isfinite(shear) and shear > 0):
        raise ValueError(f"got shear = {shear:g}, expected a largest shear above 0, such as 0.5")
    started = []
    for compression in compressions:
        if not 0 <= compression < 1:
            raise ValueError(f"got compression = {compression:g}, expected a share, 0 <= share < 1")
        point = _start(law, fields)
        if compression:
            squeeze, count = _increments(point.strain(1 - compression), dt, rate)
            for _ in range(count):
                point.load(point.swollen(squeeze), dt)
        started.append(point)
    points = _Points.together(started)
    increment, count = _increments(shear, dt, rate)
    move = torch.eye(3, dtype=torch.float64)
    move[0, 1] = increment
    counts = torch.full((len(started),), count)
    rows = _driven(
        points, points.tau()[:, 0, 1], counts, lambda: points.load(move, dt)[:, 0, 1]
    )  # fmt: skip
    x = increment * torch.arange(count + 1, dtype=torch.float64)
    return [_shear_curve(x, y, c, dt, rate) for y, c in zip(rows, compressions, strict=True)]


def _shear_curve(x: Tensor, y: Tensor, compression: float, dt: float, rate: float) -> Curve:
    squeezed = f" after taking {100 * compression:.3g} % of its volume away" if compression else ""
    return Curve(
        "sheared under pressure" if compression else "simple shear",
        x,
        y,
        ("-", "Pa"),
        ("shear γ", "shear stress τ"),
        f"Sheared at constant volume{squeezed}, planes kept parallel.",
        dt,
        rate,
    )


def volumetric(
    law: ConstitutiveLaw,
    *,
    volume: tuple[float, float] = (0.8, 1.2),
    dt: float = STEP,
    rate: float = RATE,
    fields: Tensor | None = None,
) -> Curve:
    """Mean Cauchy stress tr σ/3 against the volume ratio J in F = J^{1/3} I.

    Args:
        law: Any law; a float64 copy on the CPU is used. For small strains J is 1 + tr ε; of a law
            of plane strain the plane alone is strained.
        volume: Ends of the range [-], around 1.
        dt: Length of a loading step [s].
        rate: Rate of log J [1/s].
        fields: Constant fields of the law, shape (w,); None: zeros.

    Returns:
        Minus the pressure [Pa] against J.

    Raises:
        ValueError: An argument is out of range.
    """
    points, increments, counts = _halves(law, "volume", volume, dt, rate, fields)
    moves = torch.stack([points.swollen(float(strain)) for strain in increments])

    def further() -> Tensor:
        return _mean(points.load(moves[points.which], dt))

    tau = _driven(points, _mean(points.tau()), counts, further)
    strain, tau = _join(increments, counts, tau)
    x = points.stretch(strain)
    return Curve(
        "volumetric",
        x,
        tau if points.small else tau / x,
        ("-", "Pa"),
        ("volume ratio J", "mean stress"),
        "Squeezed or expanded equally in all directions.",
        dt,
        rate,
    )


class _Points:
    """Material points on their ways through loadings that are computed together.

    Strains are logarithmic, or for laws of small strains changes of length by that at rest.
    """

    def __init__(self, law: ConstitutiveLaw, F: Tensor, internal: Tensor) -> None:
        self.law = law
        self.small = law.kinematics == "small"
        self.F, self.internal = F, internal
        self.which = torch.arange(len(F))
        """Numbers of those that are still on their way, shape (q,), in the order of F."""

    @classmethod
    def together(cls, points: Sequence[_Points]) -> _Points:
        """Those of several, of one law."""
        F, internal = (torch.cat([getattr(p, n) for p in points]) for n in ("F", "internal"))
        return cls(points[0].law, F, internal)

    def keep(self, going: Tensor) -> None:
        """Leave the others where they are; shape (q,)."""
        if not bool(going.all()):
            self.F, self.internal = self.F[going], self.internal[going]
            self.which = self.which[going]

    def strain(self, stretch: float) -> float:
        """Of a stretch or a volume ratio."""
        return stretch - 1 if self.small else math.log(stretch)

    def stretch(self, strain: Tensor) -> Tensor:
        """Undoes `strain`."""
        return 1 + strain if self.small else strain.exp()

    def stretched(self, mode: _Mode, axial: Tensor | float, lateral: Tensor | float) -> Tensor:
        """What deforms by a driven and a free strain of one shape, shape (..., 3, 3)."""
        driven, free = (torch.tensor(v, dtype=torch.float64) for v in (mode.driven, mode.free))
        axial, lateral = (
            torch.as_tensor(v, dtype=torch.float64)[..., None] for v in (axial, lateral)
        )
        strains = axial * driven + torch.where(free > 0, lateral * free, 0.0)
        return torch.diag_embed(1 + strains if self.small else strains.exp())

    def swollen(self, strain: float) -> Tensor:
        """What changes the volume by a strain, alike in all directions; shape (3, 3)."""
        axes = (1, 1, 0) if self.law.dim == 2 else (1, 1, 1)
        each = _Mode("volumetric", axes, (0, 0, 0), "")
        return self.stretched(each, strain / sum(axes), 0.0)

    def moved(self, move: Tensor, F: Tensor) -> Tensor:
        """The deformation F and then `move`, shape (..., 3, 3)."""
        if self.small:
            return F + move - torch.eye(3, dtype=torch.float64)
        return move @ F

    @torch.no_grad()
    def tau(self) -> Tensor:
        """Kirchhoff stress of the states as they are [Pa], shape (q, 3, 3)."""
        return self.law.stress(self.F, self.internal)

    @torch.no_grad()
    def load(self, move: Tensor, dt: float) -> Tensor:
        """Deform by `move`, shape (3, 3) or (q, 3, 3); the stress then [Pa], shape (q, 3, 3)."""
        response = self.law.update(self.moved(move, self.F), self.internal, dt)
        self.F, self.internal = response.F_elastic, response.internal
        return response.tau

    def free_sides(self, mode: _Mode, axial: Tensor, near: Tensor, dt: float) -> Tensor:
        """Lateral strains, next to `near`, that leave the sides without stress, shape (q,).

        NaN where there is none up to WIDEST on either side; 0 where no side is free.
        """
        sides = [i for i, free in enumerate(mode.free) if free]
        if not sides:
            return torch.zeros_like(axial)
        found = torch.full_like(axial, math.nan)
        sought = near.isfinite() & self.F.isfinite().all(2).all(1)
        width = 2 * axial.abs()
        while True:
            at = torch.nonzero(found.isnan() & sought & (width <= WIDEST)).flatten()
            if len(at) == 0:
                return found

            @torch.no_grad()
            def pressing(lateral: Tensor, at: Tensor = at) -> Tensor:
                move = self.stretched(mode, axial[at, None].expand_as(lateral), lateral)
                moved = self.moved(move, self.F[at, None]).flatten(0, 1)
                internal = self.internal[at, None].expand(*lateral.shape, -1).flatten(0, 1)
                tau = self.law.update(moved, internal, dt).tau
                return tau[:, sides, sides].mean(1).view(lateral.shape)

            found[at] = _roots(pressing, near[at], width[at])
            width = 8 * width


def _start(law: ConstitutiveLaw, fields: Tensor | None, count: int = 1) -> _Points:
    """So many points at rest."""
    law = copy.deepcopy(law).to("cpu", torch.float64)
    F = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    return _Points(law, F, at_rest(law, count, F, fields))


def _halves(
    law: ConstitutiveLaw, name: str, ends: tuple[float, float], dt: float, rate: float,
    fields: Tensor | None,
) -> tuple[_Points, Tensor, Tensor]:  # fmt: skip
    """Two points at rest, the strain of a step of each (2,) and the steps (2,) to either end."""
    points = _start(law, fields, 2)
    pairs = [_increments(points.strain(end), dt, rate) for end in _range(name, ends, 1.0)]
    increments, counts = zip(*pairs, strict=True)
    return points, torch.tensor(increments, dtype=torch.float64), torch.tensor(counts)


def _driven(
    points: _Points, first: Tensor, counts: Tensor, further: Callable[[], Tensor]
) -> Tensor:
    """A stress of each point (q,) at rest and in each of its steps, shape (q, t).

    What comes after a point's last step, or where the law has no answer, is not a number.
    """
    last = int(counts.max())
    rows = torch.full((len(counts), last + 1), math.nan, dtype=torch.float64)
    rows[:, 0] = first
    for k in range(1, last + 1):
        points.keep((counts[points.which] >= k) & points.F.isfinite().all(2).all(1))
        if len(points.which) == 0:
            break
        rows[points.which, k] = further()
    return rows


def _mean(tau: Tensor) -> Tensor:
    return tau.diagonal(dim1=1, dim2=2).sum(1) / 3


def _roots(residual: Callable[[Tensor], Tensor], near: Tensor, width: Tensor) -> Tensor:
    """The sign changes of `residual` within near ± width that are closest to `near`, else NaN.

    Args:
        residual: Of numbers of shape (q, CANDIDATES), a row for each root.
        near: Shape (q,).
        width: Shape (q,).
    """
    middle, row, lost = near, torch.arange(len(near)), torch.zeros(len(near), dtype=torch.bool)
    ticks = torch.linspace(-1, 1, CANDIDATES, dtype=torch.float64)
    for _ in range(ROUNDS):
        grid = middle[:, None] + width[:, None] * ticks
        values = residual(grid)
        low, high = values[:, :-1], values[:, 1:]
        changes = (low * high <= 0) & low.isfinite() & high.isfinite()
        off = (0.5 * (grid[:, :-1] + grid[:, 1:]) - middle[:, None]).abs()
        k = torch.where(changes, off, math.inf).argmin(1)
        a, rise = low[row, k], (high - low)[row, k]
        share = torch.where(rise == 0, 0.5, -a / rise)
        width = grid[:, 1] - grid[:, 0]
        lost = lost | ~changes[row, k]
        middle = torch.where(lost, middle, grid[row, k] + share * width)
    return torch.where(lost, math.nan, middle)


def _range(name: str, ends: tuple[float, float], rest: float) -> tuple[float, float]:
    low, high = ends
    if not (0 < low < rest < high < math.inf):
        raise ValueError(
            f"got {name} = ({low:g}, {high:g}), expected 0 < low < {rest:g} < high: the loading "
            "starts at rest"
        )
    return low, high


def _increments(strain: float, dt: float, rate: float) -> tuple[float, int]:
    """Strain of a step and number of steps."""
    if not (0 < dt < math.inf and 0 < rate < math.inf):
        raise ValueError(f"got dt = {dt:g} s and rate = {rate:g} 1/s, expected both above 0")
    count = math.ceil(abs(strain) / (dt * rate) - 1e-9)
    return strain / count, count


def _join(increments: Tensor, counts: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Strain and stress of two points from rest to either end, made one from low to high."""
    (x_low, y_low), (x_high, y_high) = (
        (strain * torch.arange(int(count) + 1, dtype=torch.float64), row[: int(count) + 1])
        for strain, count, row in zip(increments, counts, rows, strict=True)
    )
    return torch.cat([x_low.flip(0)[:-1], x_high]), torch.cat([y_low.flip(0)[:-1], y_high])
