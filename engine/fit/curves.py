# SPDX-License-Identifier: Apache-2.0
"""Constitutive curves: how one material point answers to stretching, shearing and squeezing.

The point starts at rest and is deformed in small steps through `ConstitutiveLaw.update`, with the
elastic deformation and the history carried on, so that plastic flow and damping show. Loading is
along +x, rates and steps are arguments: a learned flow acts once a step, as it does in a run.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from ..constant_fields import at_rest

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
    halves = []
    for end in _range("stretch", stretch, 1.0):
        point = _start(law, fields)
        increment, count = _increments(point.strain(end), dt, rate)
        rows, lateral = [(0.0, point.tau()[0, 0])], 0.0
        for k in range(1, count + 1):
            lateral = point.free_sides(mode, increment, lateral, dt)
            tau = point.load(point.stretched(mode, increment, lateral), dt)
            rows.append((k * increment, tau[0, 0]))
        halves.append(rows)
    strain, tau_xx = _join(halves)
    x = point.stretch(strain)
    return Curve(
        mode.name, x, tau_xx if point.small else tau_xx / x, ("-", "Pa"),
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
    if not (math.isfinite(shear) and shear > 0):
        raise ValueError(f"got shear = {shear:g}, expected a largest shear above 0, such as 0.5")
    if not 0 <= compression < 1:
        raise ValueError(f"got compression = {compression:g}, expected a share, 0 <= share < 1")
    point = _start(law, fields)
    if compression:
        squeeze, count = _increments(point.strain(1 - compression), dt, rate)
        for _ in range(count):
            point.load(point.swollen(squeeze), dt)
    increment, count = _increments(shear, dt, rate)
    move = torch.eye(3, dtype=torch.float64)
    move[0, 1] = increment
    rows = [(0.0, point.tau()[0, 1])]
    rows += [(k * increment, point.load(move, dt)[0, 1]) for k in range(1, count + 1)]
    x, y = _columns(rows)
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
    halves = []
    for end in _range("volume", volume, 1.0):
        point = _start(law, fields)
        increment, count = _increments(point.strain(end), dt, rate)
        move = point.swollen(increment)
        rows = [(0.0, point.tau().trace() / 3)]
        rows += [(k * increment, point.load(move, dt).trace() / 3) for k in range(1, count + 1)]
        halves.append(rows)
    strain, tau = _join(halves)
    x = point.stretch(strain)
    return Curve(
        "volumetric",
        x,
        tau if point.small else tau / x,
        ("-", "Pa"),
        ("volume ratio J", "mean stress"),
        "Squeezed or expanded equally in all directions.",
        dt,
        rate,
    )


class _Point:
    """One material point on its way through a loading.

    Strains are logarithmic, or for laws of small strains changes of length by that at rest.
    """

    def __init__(self, law: ConstitutiveLaw, fields: Tensor | None):
        self.law = law
        self.small = law.kinematics == "small"
        self.F = torch.eye(3, dtype=torch.float64)[None]
        self.internal = at_rest(law, 1, self.F, fields)

    def strain(self, stretch: float) -> float:
        """Of a stretch or a volume ratio."""
        return stretch - 1 if self.small else math.log(stretch)

    def stretch(self, strain: Tensor) -> Tensor:
        """Undoes `strain`."""
        return 1 + strain if self.small else strain.exp()

    def stretched(self, mode: _Mode, axial: float, lateral: float | Tensor) -> Tensor:
        """What deforms by a driven and a free strain, shape (..., 3, 3)."""
        driven, free = (torch.tensor(v, dtype=torch.float64) for v in (mode.driven, mode.free))
        lateral = torch.as_tensor(lateral, dtype=torch.float64)[..., None]
        strains = axial * driven + torch.where(free > 0, lateral * free, 0.0)
        return torch.diag_embed(1 + strains if self.small else strains.exp())

    def swollen(self, strain: float) -> Tensor:
        """What changes the volume by a strain, alike in all directions; shape (3, 3)."""
        axes = (1, 1, 0) if self.law.dim == 2 else (1, 1, 1)
        each = _Mode("volumetric", axes, (0, 0, 0), "")
        return self.stretched(each, strain / sum(axes), 0.0)

    def moved(self, move: Tensor) -> Tensor:
        """The present deformation and then `move`, shape (..., 3, 3)."""
        if self.small:
            return self.F + move - torch.eye(3, dtype=torch.float64)
        return move @ self.F

    @torch.no_grad()
    def tau(self) -> Tensor:
        """Kirchhoff stress of the state as it is [Pa], shape (3, 3)."""
        return self.law.stress(self.F, self.internal)[0]

    @torch.no_grad()
    def load(self, move: Tensor, dt: float) -> Tensor:
        """Deform by `move` (3, 3) from the present state; the stress then [Pa], shape (3, 3)."""
        response = self.law.update(self.moved(move), self.internal, dt)
        self.F, self.internal = response.F_elastic, response.internal
        return response.tau[0]

    def free_sides(self, mode: _Mode, axial: float, near: float, dt: float) -> float:
        """Lateral strain, next to `near`, that leaves the sides without stress.

        NaN if there is none up to WIDEST on either side; 0 where no side is free.
        """
        sides = [i for i, free in enumerate(mode.free) if free]
        if not sides:
            return 0.0

        @torch.no_grad()
        def pressing(lateral: Tensor) -> Tensor:
            internal = self.internal.expand(len(lateral), -1)
            moved = self.moved(self.stretched(mode, axial, lateral))
            tau = self.law.update(moved, internal, dt).tau
            return tau[:, sides, sides].mean(1)

        if not (math.isfinite(near) and self.F.isfinite().all()):
            return math.nan
        width = 2 * abs(axial)
        while width <= WIDEST:
            found = _root(pressing, near, width)
            if not math.isnan(found):
                return found
            width *= 8
        return math.nan


def _start(law: ConstitutiveLaw, fields: Tensor | None) -> _Point:
    return _Point(copy.deepcopy(law).to("cpu", torch.float64), fields)


def _root(residual: Callable[[Tensor], Tensor], near: float, width: float) -> float:
    """The sign change of `residual` within near ± width that is closest to `near`, else NaN."""
    middle = near
    for _ in range(ROUNDS):
        grid = torch.linspace(middle - width, middle + width, CANDIDATES, dtype=torch.float64)
        values = residual(grid)
        low, high = values[:-1], values[1:]
        changes = torch.nonzero((low * high <= 0) & low.isfinite() & high.isfinite()).flatten()
        if len(changes) == 0:
            return math.nan
        centres = 0.5 * (grid[changes] + grid[changes + 1])
        k = int(changes[(centres - middle).abs().argmin()])
        rise = float(high[k] - low[k])
        share = -float(low[k]) / rise if rise else 0.5
        spacing = float(grid[1] - grid[0])
        middle = float(grid[k]) + share * spacing
        width = spacing
    return middle


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


def _columns(rows: list[tuple[float, Tensor]]) -> tuple[Tensor, Tensor]:
    x = torch.tensor([strain for strain, _ in rows], dtype=torch.float64)
    return x, torch.stack([stress for _, stress in rows])


def _join(halves: list[list[tuple[float, Tensor]]]) -> tuple[Tensor, Tensor]:
    """From rest to either end, made one curve from low to high."""
    (x_low, y_low), (x_high, y_high) = (_columns(rows) for rows in halves)
    return torch.cat([x_low.flip(0)[:-1], x_high]), torch.cat([y_low.flip(0)[:-1], y_high])
