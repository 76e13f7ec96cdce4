# SPDX-License-Identifier: Apache-2.0
"""What a reduced operator was trained for, and whether a scene is within that."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from ..boundaries import FACES, Wall
from ..scene import Body, Scene
from .material import parameters, structure

Range = tuple[float, float]
SLACK = 0.02
"""Of the width of a range, by which it may be left."""
SIMILAR = 1.25
"""Factor on the largest initial speed of training below which a scene is like it."""

MARGIN = 0.1
"""Of the width of a range, by which it may be left without a warning where leaving is allowed."""


def walls_of(scene: Scene) -> list[tuple[str, float]]:
    """Mode and friction of x-, x+, y-, y+, z- and z+."""
    found: dict[str, tuple[str, float]] = dict.fromkeys(FACES, ("contact", 0.0))
    for boundary in scene.boundaries:
        if isinstance(boundary, Wall):
            friction = float(torch.as_tensor(boundary.friction).detach())
            found[boundary.face] = (boundary.mode, round(friction, 6))  # the same in float32
    return list(found.values())


def density_of(body: Body) -> float:
    """Of a body at rest [kg/m³]."""
    return float(torch.as_tensor(body.density).detach())


def speed_of(body: Body) -> float:
    """Of a body at first, without its spin [m/s]."""
    return float(torch.as_tensor(body.velocity).detach().double().norm())


def extent_of(body: Body) -> float:
    """Diagonal of its bounding box at first [m]."""
    low, high = torch.as_tensor(body.shape.bounds).double()
    return float((high - low).norm())


def fastest_of(body: Body) -> float:
    """Speed that no point of it exceeds at first, with its spin [m/s]."""
    spin = float(torch.as_tensor(body.spin).detach().double().norm())
    return speed_of(body) + 0.5 * extent_of(body) * spin


@dataclass(frozen=True)
class Scope:
    """The conditions of the training data."""

    scene: str
    """Name of the scene."""
    law: str
    """Kind of law, as `material.structure` says it."""
    parameters: Mapping[str, Range]
    """Range of each of its parameters, in SI units."""
    density: Range
    """[kg/m³]"""
    speed: float
    """Largest initial speed [m/s]."""
    gravity: tuple[float, float, float]
    """[m/s²]"""
    lower: tuple[float, float, float]
    """Corner of the domain [m]."""
    upper: tuple[float, float, float]
    """Opposite corner [m]."""
    walls: Sequence[tuple[str, float]]
    """Mode and friction of each face."""
    frame: float
    """Time between frames, a step of the reduced solver [s]."""
    cell: float
    """Of the simulations that were learned from [m]."""
    particles_per_cell: int
    options: Mapping[str, Range] = field(default_factory=dict)
    """Ranges of the scene's options that varied; of vectors, as |spin|, those of their length."""
    extent: Range | None = None
    """Diagonal of the bounding box of a body [m]; None: not known."""
    fastest: float | None = None
    """Largest speed of a point of a body at first, with its spin [m/s]; None: not known."""
    duration: float | None = None
    """Of the motions [s]; None: not known."""

    @property
    def varied(self) -> list[str]:
        """Parameters of the law that were not the same in all motions: the material code."""
        return [name for name, (low, high) in self.parameters.items() if high > low]

    def code(self, law: ConstitutiveLaw, like: Tensor) -> Tensor:
        """Logarithms of the varied parameters, from -1 to 1 over their ranges, shape (code,).

        Differentiable in the law's parameters.
        """
        held = parameters(law)
        entries = []
        for name in self.varied:
            low, high = (torch.tensor(v, dtype=torch.float64).log() for v in self.parameters[name])
            entries.append((2 * held[name].double().log() - low - high) / (high - low))
        empty = torch.zeros(0, dtype=torch.float64)
        return (torch.stack(entries) if entries else empty).to(like)

    @property
    def kinds(self) -> list[tuple[str, float]]:
        """Mode and friction of walls, each once."""
        return list(dict.fromkeys(self.walls))

    def groups(self, scene: Scene) -> list[int]:
        """Which of the kinds each wall of a scene is, shape (6,).

        One of a kind that was not trained with is told as the one that stood there.
        """
        both = zip(walls_of(scene), self.walls, strict=True)
        return [self.kinds.index(own if own in self.kinds else there) for own, there in both]

    def require(self, scene: Scene, *, insist: bool = False) -> None:
        """Refuse a scene that is unlike the training data.

        Args:
            scene: What is to be simulated.
            insist: Whether to warn instead where that makes sense.

        Raises:
            ValueError: Says what the scene has, what was trained for and what to do.
        """
        for complaint in self._unfit(scene):
            raise ValueError(f"{scene.name}: {complaint}: simulate it in full, or train on such")
        found = list(self._outside(scene))
        if found and not insist:
            raise ValueError(
                f"{scene.name} is outside of what the operator was trained for: {found[0]}; "
                "simulate it in full, train on such scenes, or insist and take the motion with care"
            )
        for complaint in found:
            warnings.warn(
                f"{scene.name} is outside of what the operator was trained for: {complaint}",
                stacklevel=3,
            )
        self._require_cells(scene)
        if strange := list(self._strange(scene)):
            warnings.warn(
                f"{scene.name} is outside of what the operator was trained for: "
                f"{'; '.join(strange)}; take the motion with care",
                stacklevel=3,
            )

    def unlike(self, options: Mapping[str, object]) -> list[str]:
        """What of a scene's options is outside of the ranges that they were drawn from."""
        found: list[str] = []
        for name, value in options.items():
            if isinstance(value, tuple) and (trained := self.options.get(f"|{name}|")):
                length = math.hypot(*value)
                found += _beyond(f"the length of its {name}", length, trained, MARGIN)
            elif isinstance(value, int | float) and (trained := self.options.get(name)):
                found += _beyond(f"its {name}", float(value), trained, MARGIN)
        return found

    def _strange(self, scene: Scene) -> Iterator[str]:
        """What is larger, smaller, faster or longer than it was, which it may be at a risk."""
        for body in scene.bodies:
            if self.extent is not None:
                what = f"the diagonal of {body.name} [m]"
                yield from _beyond(what, extent_of(body), self.extent, MARGIN)
            slow = speed_of(body) <= SIMILAR * self.speed  # else that is told already
            if self.fastest is not None and slow:
                what = f"the largest speed in {body.name}, with its spin, [m/s]"
                yield from _beyond(what, fastest_of(body), (0.0, self.fastest), MARGIN)
        if self.duration is not None:
            yield from _beyond("its duration [s]", scene.duration, (0.0, self.duration), MARGIN)

    def _require_cells(self, scene: Scene) -> None:
        """Refuse a domain that the cells of the first frames do not fill.

        Raises:
            ValueError: An edge is not a whole number of them.
        """
        pairs = zip(scene.domain.lower, scene.domain.upper, strict=True)
        for edge in (high - low for low, high in pairs):
            count = edge / self.cell
            if abs(count - round(count)) > 1e-6 * count:
                fitting = [f"{k * self.cell:.6g}" for k in (math.floor(count), math.ceil(count))]
                raise ValueError(
                    f"{scene.name}: got a domain with an edge of {edge:g} m, expected a whole"
                    f" number of the operator's cells of {self.cell:g} m: {' or '.join(fitting)} m"
                    " would do"
                )

    def _unfit(self, scene: Scene) -> Iterator[str]:
        """What the operator cannot be told of at all."""
        for body in scene.bodies:
            kind = structure(body.law)
            if set(parameters(body.law)) != set(self.parameters):
                yield f"{body.name} is {kind}, the operator was trained on {self.law}"
            if body.life != (0.0, math.inf):
                yield f"{body.name} has a life from {body.life[0]:g} to {body.life[1]:g} s"
        others = [b for b in scene.boundaries if not isinstance(b, Wall)]
        if others:
            what = f"{len(others)} obstacle{'s' * (len(others) > 1)}"
            yield f"it has {what}, the operator knows none but walls"

    def _outside(self, scene: Scene) -> Iterator[str]:
        """What it was told of, and not of such."""
        if len(scene.bodies) > 1:
            yield f"it has {len(scene.bodies)} bodies, trained on one at a time"
        for body in scene.bodies:
            if structure(body.law) != self.law:
                yield f"{body.name} is {structure(body.law)}, trained on {self.law}"
            for name, value in parameters(body.law).items():
                trained = self.parameters[name]
                yield from _beyond(f"{name} of {body.name}", float(value.detach()), trained)
            yield from _beyond(
                f"the density of {body.name} [kg/m³]", density_of(body), self.density
            )
            speed = speed_of(body)
            if speed > SIMILAR * self.speed:
                yield f"{body.name} starts at {speed:.3g} m/s, trained up to {self.speed:.3g} m/s"
        for what, got, trained in (
            ("domain", (*scene.domain.lower, *scene.domain.upper), (*self.lower, *self.upper)),
            ("gravity [m/s²]", _numbers(scene.gravity), self.gravity),
        ):
            if not torch.allclose(torch.tensor(got), torch.tensor(trained), atol=1e-6):
                yield f"its {what} is {_words(got)}, trained in {_words(trained)}"
        walls = list(zip(FACES, walls_of(scene), self.walls, strict=True))
        if others := [wall for wall in walls if wall[1] != wall[2]]:
            now = ", ".join(f"{face} {_wall(own)}" for face, own, _ in others)
            there = ", ".join(f"{face} {_wall(before)}" for face, _, before in others)
            yield f"its walls are {now}, trained with {there}"


def _wall(wall: tuple[str, float]) -> str:
    """Mode and friction of a wall."""
    mode, friction = wall
    return f"of friction {friction:g}" if mode == "contact" else mode


def _numbers(value: object) -> tuple[float, ...]:
    return tuple(torch.as_tensor(value).detach().double().tolist())


def _words(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{v:.4g}" for v in values) + ")"


def _beyond(what: str, value: float, trained: Range, slack: float = SLACK) -> Iterator[str]:
    """Complaint about a value outside of a range, by more than a share of its width."""
    low, high = trained
    width = slack * (high - low) + 1e-6 * abs(high)
    if not low - width <= value <= high + width:
        span = f"from {low:.4g} to {high:.4g}" if high > low else f"at {low:.4g}"
        span = f"up to {high:.4g}" if low == 0.0 < high else span
        yield f"{what} is {value:.4g}, trained {span}"
