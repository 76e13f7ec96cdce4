# SPDX-License-Identifier: Apache-2.0
"""What bodies can be coloured by: a number per particle or cell, with unit, range and colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .comparison import ERROR, Comparison
from .palettes import categories, colour, diverging, sequential
from .source import Source

_STRESSES = {"tau", "kirchhoff", "cauchy", "stress", "nodal_stress"}
_SAMPLES = 24
_OUTLIER = 1.5
_ROUNDING, _TINY = 1e-6, 1e-12
_PREFIXES = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


@dataclass(frozen=True)
class Field:
    """A number per particle, or per cell of a mesh, and how it is shown."""

    name: str
    """What the user calls it, for example ``speed``."""
    unit: str
    """SI unit, ``-`` for a pure number."""
    values: Callable[[Source, int], np.ndarray]
    """Values (n,), or (e,) of the cells, at a frame of a source, in SI units."""
    centre: float | None = None
    """Neutral value; colours diverge from it, and start at zero without one."""
    labels: tuple[str, ...] = ()
    """Names of the categories where values are indices of these."""
    floor: float | None = 0.0
    """Lower end of the scale of a quantity that has one."""
    on_cells: bool = False
    """Whether there is a value per cell."""
    local: bool = True
    """Whether a value depends on nothing but what is recorded of that particle, node or cell."""

    @property
    def table(self) -> np.ndarray:
        """Colours (k, 3) from low to high."""
        if self.labels:
            return categories(len(self.labels))
        return sequential() if self.centre is None else diverging()


@dataclass(frozen=True)
class Scale:
    """Colours and ticks of a field over a whole run, the same for all panels."""

    field: Field
    """What is shown."""
    limits: tuple[float, float]
    """Values at both ends, in SI units."""
    ticks: tuple[float, ...]
    """Values to label, in SI units."""
    factor: float
    """Times a value in SI units it is a number in `unit`."""
    unit: str
    """Unit with its prefix, for example ``kPa``."""
    only: float | None = None
    """The one value that there is, in SI units, None where there are others."""

    @property
    def label(self) -> str:
        """Heading of the legend, for example ``speed [m/s]``."""
        return self.field.name if self.field.labels else f"{self.field.name} [{self.unit}]"

    @property
    def tick_labels(self) -> tuple[str, ...]:
        """The ticks as written."""
        if self.field.labels:
            return self.field.labels
        return tuple(f"{tick * self.factor + 0.0:.6g}" for tick in self.ticks)

    def colours(self, source: Source, frame: int) -> np.ndarray:
        """Colours (n, 3), uint8, of the particles at a frame."""
        values = np.asarray(self.field.values(source, frame), float)
        return colour(values, self.field.table, self.limits)


def _length(vectors: np.ndarray) -> np.ndarray:
    if vectors.dtype.kind != "f":
        vectors = vectors.astype(float)
    columns = vectors.reshape(len(vectors), -1).T  # a sixth of the time of np.linalg.norm
    return np.sqrt(sum((column * column for column in columns[1:]), columns[0] * columns[0]))


def _matrices(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, float).reshape(-1, 3, 3)


def _determinant(matrices: np.ndarray) -> np.ndarray:
    rows = np.moveaxis(matrices, -2, 0)
    return (rows[0] * np.cross(rows[1], rows[2])).sum(-1)


def _stretch(matrices: np.ndarray) -> np.ndarray:
    finite = np.asarray(np.isfinite(matrices).all((-2, -1)))
    squares = np.swapaxes(matrices, -1, -2) @ matrices
    top = np.sqrt(np.linalg.eigvalsh(np.where(finite[:, None, None], squares, 0.0))[:, -1])
    return np.where(finite, top, np.nan)


def _von_mises(stress: np.ndarray) -> np.ndarray:
    mean = np.trace(stress, axis1=-2, axis2=-1) / 3
    return math.sqrt(1.5) * _length(stress - mean[:, None, None] * np.eye(3))


def _pressure(stress: np.ndarray) -> np.ndarray:
    return -np.trace(stress, axis1=-2, axis2=-1) / 3


def _shear_rate(gradient: np.ndarray) -> np.ndarray:
    symmetric = (gradient + np.swapaxes(gradient, -1, -2)) / 2
    return math.sqrt(2) * _length(symmetric)


def _displacement(source: Source, frame: int) -> np.ndarray:
    return _length(source.positions(frame).astype(float) - source.positions(0))


def _shape(source: Source, name: str) -> tuple[int, ...]:
    return source.cell_shapes[name] if name in source.cell_shapes else source.shapes[name]


def _is_tensor(source: Source, name: str) -> bool:
    return _shape(source, name) in {(3, 3), (9,)}


def _of_tensor(name: str, reduce: Callable[[np.ndarray], np.ndarray]) -> Callable:
    return lambda source, frame: reduce(_matrices(source.recorded(name, frame)))


def _stress_fields(source: Source, name: str) -> list[Field]:
    """Invariants of a recorded stress; a Kirchhoff stress is divided by J where F is known."""
    kirchhoff = name in {"tau", "kirchhoff"}
    beside = source.cell_shapes if name in source.cell_shapes else source.shapes
    by_volume = kirchhoff and "F" in beside and _is_tensor(source, "F")

    def stress(shown: Source, frame: int) -> np.ndarray:
        recorded = _matrices(shown.recorded(name, frame))
        if not by_volume:
            return recorded
        return recorded / _determinant(_matrices(shown.recorded("F", frame)))[:, None, None]

    measure = " (Kirchhoff)" if kirchhoff and not by_volume else ""
    return [
        Field(f"von Mises stress{measure}", "Pa", lambda shown, i: _von_mises(stress(shown, i))),
        Field(f"pressure{measure}", "Pa", lambda shown, i: _pressure(stress(shown, i)), centre=0.0),
    ]


def _recorded_fields(source: Source, name: str) -> list[Field]:
    """What can be shown of one recorded field."""
    width = int(np.prod(_shape(source, name)))
    if name in _STRESSES and _is_tensor(source, name):
        return _stress_fields(source, name)
    if name == "F" and _is_tensor(source, name):
        return [
            Field("J", "-", _of_tensor(name, _determinant), centre=1.0),
            Field("largest stretch", "-", _of_tensor(name, _stretch), centre=1.0),
        ]
    if name == "C" and _is_tensor(source, name):
        return [Field("shear rate", "1/s", _of_tensor(name, _shear_rate))]
    units = source.described("field_units", 'JSON such as {"heat": "J"}')
    unit = units.get(name, "-") if isinstance(units, dict) else "-"
    if width == 1:
        centre = {"J": 1.0, "pressure": 0.0}.get(name)
        unit = "Pa" if name == "pressure" and unit == "-" else unit
        single = lambda shown, i: shown.recorded(name, i).reshape(-1)  # noqa: E731
        return [Field(name, unit, single, centre=centre, floor=None)]
    return [Field(f"|{name}|", unit, lambda shown, i: _length(shown.recorded(name, i)))]


def _body_field(sources: Sequence[Source]) -> list[Field]:
    count = 1 + max(int(source.body.max()) for source in sources)
    if count == 1:
        return []
    told = next((source for source in sources if "bodies" in source.metadata), sources[0])
    named = told.described("bodies", 'a JSON list of names such as ["ball", "ramp"]')
    names = [str(name) for name in named] if isinstance(named, list) else []
    labels = [*names[:count], *(f"body {k}" for k in range(len(names), count))]
    return [Field("body", "-", lambda source, frame: source.body, labels=tuple(labels))]


def _error_field(sources: Sequence[Source]) -> list[Field]:
    """The distance from the first source, where the others show the same bodies."""
    try:
        comparison = Comparison(sources)
    except ValueError:
        return []
    return [Field(ERROR, "m", comparison.values, local=False)]


def _cell_fields(sources: Sequence[Source], taken: Sequence[Field]) -> list[Field]:
    """What can be shown of the fields of cells, under names that are not taken."""
    names = {field.name for field in taken}
    return [
        replace(
            field,
            name=f"{field.name} of cells" if field.name in names else field.name,
            on_cells=True,
        )
        for name in sources[0].cell_shapes
        if all(name in source.cell_shapes for source in sources)
        for field in _recorded_fields(sources[0], name)
    ]


def fields_of(sources: Sequence[Source], upward: np.ndarray) -> dict[str, Field]:
    """The fields that all sources can show, by name, in the order a key steps through them.

    Args:
        sources: what is looked at; the error of several runs of the same bodies against the first
            is a field as well.
        upward: unit vector that points up (3,), for the height a particle started at.
    """
    first = sources[0]
    if first.film is not None:
        return {field.name: field for field in first.film.shown_fields()}
    found = [
        Field("speed", "m/s", lambda source, i: _length(source.velocity(i))),
        Field("displacement", "m", _displacement),
    ]
    found += _error_field(sources)
    found += _body_field(sources)
    for name in first.shapes:
        if all(name in source.shapes for source in sources):
            found += _recorded_fields(first, name)
    found += _cell_fields(sources, found)
    height = lambda source, i: source.positions(0) @ upward  # noqa: E731
    found.append(Field("initial height", "m", height, floor=None))
    return {field.name: field for field in found}


def scale_of(
    field: Field,
    sources: Sequence[Source],
    limits: tuple[float, float] | None = None,
    frames: Sequence[int] | None = None,
) -> Scale:
    """Range and ticks of a field over all frames and sources, rounded to plain numbers.

    With `limits`, these; with `frames`, the range over one frame of each source.

    A few far values do not set the range: past half as much again as the 99.5th percentile they
    keep the colour of the end.
    """
    if field.labels:
        count = len(field.labels)
        return Scale(field, (-0.5, count - 0.5), tuple(range(count)), 1.0, "")
    low, high = limits or _extent(field, sources, frames)
    if limits is None and _alike(low, high):
        return _of_one(field, low)
    if field.centre is not None and limits is None:
        reach = max(abs(low - field.centre), abs(high - field.centre))
        low, high = field.centre - reach, field.centre + reach
    scale = replace(_prefixed(field, max(abs(low), abs(high))), limits=(low, high))
    step = plain_step((high - low) / 4)
    if limits is None:
        low, high = step * math.floor(low / step + 1e-6), step * math.ceil(high / step - 1e-6)
        if field.centre is not None:
            reach = step * math.ceil((high - field.centre) / step - 1e-6)
            low, high = field.centre - reach, field.centre + reach
    first = math.ceil(low / step - 1e-6)
    ticks = [step * k for k in range(first, math.floor(high / step + 1e-6) + 1)]
    return replace(scale, limits=(low, high), ticks=tuple(ticks))


def _alike(low: float, high: float) -> bool:
    """Whether values from one to the other are the same but for rounding."""
    return high - low <= _ROUNDING * max(abs(low), abs(high)) + _TINY


def _of_one(field: Field, value: float) -> Scale:
    """Of a field that is the same everywhere and always."""
    centre = value if field.centre is None else field.centre
    reach = max(abs(value - centre), 0.01 * abs(value)) or 1.0
    limits = centre - reach, centre + reach
    if field.centre is None and field.floor is not None:
        limits = (field.floor, max(value, field.floor) or 1.0)
    return replace(_prefixed(field, abs(value)), limits=limits, ticks=(value,), only=value)


def exceeds(scale: Scale, source: Source, frame: int) -> bool:
    """Whether more than a few values of a frame lie beyond the ends of a scale."""
    if scale.field.labels:
        return False
    values = np.asarray(scale.field.values(source, frame), float)
    values = values[np.isfinite(values)]
    if not values.size:
        return False
    low, high = np.percentile(values, (0.5, 99.5))
    if scale.only is not None:
        return not _alike(min(low, scale.only), max(high, scale.only))
    return bool(low < scale.limits[0] or high > scale.limits[1])


def _extent(
    field: Field, sources: Sequence[Source], frames: Sequence[int] | None = None
) -> tuple[float, float]:
    samples = [s.sampled(_SAMPLES) for s in sources] if frames is None else [[i] for i in frames]
    found = [
        field.values(s, int(i)) for s, some in zip(sources, samples, strict=True) for i in some
    ]
    values = np.concatenate([np.asarray(frame, float) for frame in found])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    middle = float(np.median(values)) if field.centre is None else field.centre
    far = [float(value) for value in np.percentile(values, (0.5, 99.5))]
    low = max(low, middle + _OUTLIER * (far[0] - middle)) if far[0] < middle else low
    high = min(high, middle + _OUTLIER * (far[1] - middle)) if far[1] > middle else high
    if field.centre is None and field.floor is not None and not _alike(low, high):
        low = field.floor
    return low, high


def plain_step(rough: float) -> float:
    """The plain number (1, 2, 2.5 or 5 times a power of ten) at or above `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(m for m in (1, 2, 2.5, 5, 10) if m * power >= rough * (1 - 1e-9))


def _prefixed(field: Field, largest: float) -> Scale:
    """A scale whose unit has the prefix that keeps numbers between 0.1 and 1000."""
    bare = Scale(field, (0.0, 1.0), (), 1.0, field.unit)
    if field.unit not in {"m", "m/s", "Pa", "N", "J"} or largest <= 0:
        return bare
    power = 3 * math.floor(math.log10(largest * 10) / 3)
    top = 0 if field.unit in {"m", "m/s"} else 9
    power = min(max(power, -9), top)
    if power == -3 and largest >= 0.05:
        power = 0
    return replace(bare, factor=10.0**-power, unit=_PREFIXES[power] + field.unit)
