# SPDX-License-Identifier: Apache-2.0
"""A number to be fitted: its start, its bounds, and the coordinate in which it is fitted."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..constant_fields import row, with_values
from ..scene import Scene
from ..suggestion import did_you_mean

AXES = "xyz"
GRAVITY, CAMERA = "gravity", "camera"


@dataclass(frozen=True)
class Parameter:
    """Fitted in a coordinate in which its bounds are at infinity.

    That is log((θ − lower)/(upper − θ)) of θ between two bounds, with logarithms of all three if
    the lower is positive; log(θ − lower) or −log(upper − θ) with one bound; θ/scale with none.
    """

    start: float
    lower: float = -math.inf
    upper: float = math.inf
    unit: str = "-"
    scale: float | None = None
    """Of a parameter without bounds: what counts as a change; its start, or 1, if None."""

    def __post_init__(self) -> None:
        """Refuse a start that is not strictly between the bounds."""
        if not (math.isfinite(self.start) and self.lower < self.start < self.upper):
            raise ValueError(f"got a start of {self.start:g}, expected {self._range}")
        if self.scale is not None and not self.scale > 0:
            raise ValueError(f"got a scale of {self.scale:g}, expected it positive")

    @property
    def _range(self) -> str:
        unit = "" if self.unit == "-" else f" {self.unit}"
        low, high = math.isfinite(self.lower), math.isfinite(self.upper)
        if low and high:
            return f"it between {self.lower:g} and {self.upper:g}{unit}, neither included"
        if low or high:
            return f"more than {self.lower:g}{unit}" if low else f"less than {self.upper:g}{unit}"
        return "a finite number"

    @property
    def _logarithmic(self) -> bool:
        return self.lower > 0 and math.isfinite(self.upper)

    @property
    def _scale(self) -> float:
        return self.scale or abs(self.start) or 1.0

    def free(self, value: float) -> float:
        """The coordinate of a value."""
        low, high = self.lower, self.upper
        if self._logarithmic:
            value, low, high = math.log(value), math.log(low), math.log(high)
        if math.isfinite(low) and math.isfinite(high):
            return math.log((value - low) / (high - value))
        if math.isfinite(low):
            return math.log(value - low)
        if math.isfinite(high):
            return -math.log(high - value)
        return value / self._scale

    def value(self, free: float) -> float:
        """The value at a coordinate; at a bound where floats cannot tell it from one."""
        low, high = self.lower, self.upper
        if self._logarithmic:
            low, high = math.log(low), math.log(high)
        if math.isfinite(low) and math.isfinite(high):
            share = 1.0 / (1.0 + math.exp(-free)) if free > -700 else 0.0
            value = low + (high - low) * share
        elif math.isfinite(low):
            value = low + math.exp(min(free, 700.0))
        elif math.isfinite(high):
            value = high - math.exp(min(-free, 700.0))
        else:
            value = free * self._scale
        value = math.exp(value) if self._logarithmic else value
        return min(max(value, self.lower), self.upper)

    def slope(self, free: float) -> float:
        """Change of the value per change of the coordinate, by a central difference."""
        step = 1e-6
        return (self.value(free + step) - self.value(free - step)) / (2 * step)

    @property
    def width(self) -> float:
        """A change of the coordinate that is a factor of 1.25 at the start, or a quarter of it."""
        slope = self.slope(self.free(self.start))
        near = [abs(self.start - b) for b in (self.lower, self.upper) if math.isfinite(b)]
        return 0.25 * min([*near, max(abs(self.start), self._scale)]) / slope


ORDINARY: Mapping[str, tuple[float, float, float, str]] = {
    "young": (1e5, 1.0, math.inf, "Pa"),
    "poisson": (0.3, 0.0, 0.495, "-"),
    "damping": (1e-3, 0.0, math.inf, "s"),
    "density": (1e3, 0.0, math.inf, "kg/m³"),
    "friction": (0.3, 0.0, math.inf, "-"),
    "friction_angle": (25.0, 0.0, 80.0, "°"),
    "cohesion": (1e-2, 0.0, math.inf, "-"),
    "yield_stress": (1e4, 0.0, math.inf, "Pa"),
    "velocity": (0.0, -math.inf, math.inf, "m/s"),
    "spin": (0.0, -math.inf, math.inf, "rad/s"),
    "gravity": (0.0, -math.inf, math.inf, "m/s²"),
    "camera.scale": (1.0, 0.0, math.inf, "-"),
    "camera.turn": (0.0, -math.inf, math.inf, "rad"),
    "camera.move": (0.0, -math.inf, math.inf, "m"),
}
"""A start for a scene that has none, bounds and unit, by the name of a parameter of build()."""
SMALL: Mapping[str, float] = {"camera.turn": 0.05, "camera.move": 0.05, "gravity": 1.0}
"""What counts as a change of numbers that may be 0."""


def choose(
    build: Callable[..., Scene], names: Mapping[str, float | None], given: Mapping[str, Any]
) -> dict[str, Parameter]:
    """Parameters of a scene by name, with ordinary bounds.

    Args:
        build: The scene's; its keyword parameters that are numbers, or three numbers of which one
            is written velocity.x, can be fitted, and what any scene has, see `Experiment`.
        names: What is fitted, with where it starts; None: where the scene has it.
        given: Values of the scene's parameters that were chosen otherwise.

    Raises:
        ValueError: There is no such parameter, or it is not a number.
    """
    return {name: _chosen(build, name, start, given) for name, start in names.items()}


def _chosen(
    build: Callable[..., Scene], name: str, start: float | None, given: Mapping[str, Any]
) -> Parameter:
    keywords = {
        name: p.default
        for name, p in inspect.signature(build).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    }
    plain = name.partition("@")[0]
    base, _, component = plain.partition(".")
    if base in (GRAVITY, CAMERA) and base not in keywords:
        return _setup(plain, start, build, given)
    if base not in keywords and component.isdigit():
        return _of_field(name, base, int(component), start, build(**given))
    default = option_value(build, base, given)
    if isinstance(default, tuple) and component in (*AXES,):
        default = default[AXES.index(component)]
    numeric = isinstance(default, int | float) and not isinstance(default, bool)
    if base not in keywords or not (numeric or default is None) or isinstance(default, bool):
        known = [k for k, v in keywords.items() if isinstance(v, float)]
        known += [f"{k}.x" for k, v in keywords.items() if isinstance(v, tuple)]
        known += [n for n in SETUP if n.partition(".")[0] not in keywords]
        raise ValueError(
            f"the scene has no number {name!r} to fit{did_you_mean(name, known)}: there are"
            f" {', '.join(known)}"
        )
    ordinary, lower, upper, unit = ORDINARY.get(base, (1.0, -math.inf, math.inf, "-"))
    value: Any = start if start is not None else default
    if value is None or (start is None and not lower < value < upper):
        value = ordinary
    return _named(name, value, lower, upper, unit)


def _of_field(name: str, base: str, place: int, start: float | None, scene: Scene) -> Parameter:
    """A number of a constant field, such as code.0, which the bodies that have it share."""
    with_values(scene, {base: {place: 0.0}})  # refuses fields that there are not
    there = {row(body, base)[place] for body in scene.bodies if base in body.law.fields}
    if start is None and len(there) > 1:
        raise ValueError(
            f"{name}: got bodies that start from {', '.join(f'{v:g}' for v in sorted(there))}, "
            f"expected one start for all: write {name}=X"
        )
    value = there.pop() if start is None else start
    return _named(name, value, -math.inf, math.inf, "-", 1.0)


def option_value(build: Callable[..., Scene], name: str, given: Mapping[str, Any]) -> Any:
    """What an option is: given, else its default; if that is None, what the scene makes of it.

    A scene of several materials leaves the moduli to the material: they are read off the law of its
    first body then, and the density off that body.
    """
    parameter = inspect.signature(build).parameters.get(name)
    value = given.get(name, None if parameter is None else parameter.default)
    if value is not None or parameter is None or name not in ORDINARY:
        return value
    body = build(**given).bodies[0]
    own = {key.rpartition(".")[2]: p for key, p in body.law.named_parameters() if p.ndim == 0}
    found = body.density if name == "density" else own.get(name)
    return None if found is None else float(torch.as_tensor(found).detach())


def _named(
    name: str, start: float, lower: float, upper: float, unit: str, scale: float | None = None
) -> Parameter:
    """A parameter whose errors say its name."""
    try:
        return Parameter(float(start), lower, upper, unit, scale)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


SETUP = (
    *(f"{GRAVITY}.{axis}" for axis in AXES), f"{CAMERA}.scale",
    *(f"{CAMERA}.{what}.{axis}" for what in ("turn", "move") for axis in AXES),
)  # fmt: skip
"""Numbers that any scene, or any camera, has."""


def _setup(
    name: str, start: float | None, build: Callable[..., Scene], given: Mapping[str, Any]
) -> Parameter:
    """A number of gravity or the cameras."""
    if name not in SETUP:
        raise ValueError(
            f"there is no number {name!r} to fit{did_you_mean(name, SETUP)}: there are"
            f" {', '.join(SETUP)}"
        )
    base = name if name in ORDINARY else name.rpartition(".")[0]
    ordinary, lower, upper, unit = ORDINARY[base]
    if start is None and base == GRAVITY:
        pull = torch.as_tensor(build(**given).gravity).tolist()
        start = pull[AXES.index(name[-1])]
    value = ordinary if start is None else start
    return _named(name, value, lower, upper, unit, SMALL.get(base))


def place(values: Mapping[str, float], given: Mapping[str, Any], build: Any) -> dict[str, Any]:
    """Keywords for build(): values of parameters, with velocity.x and the like put together."""
    out = dict(given)
    for name, value in values.items():
        base, _, component = name.partition(".")
        if not component:
            out[base] = value
            continue
        vector = list(out.get(base, inspect.signature(build).parameters[base].default))
        vector[AXES.index(component)] = value
        out[base] = tuple(vector)
    return out
