# SPDX-License-Identifier: Apache-2.0
"""What of a running scene can be changed: gravity, material parameters, friction, colliders."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from ..boundaries import FACES, Collider, Wall
from ..fit.parameter import ORDINARY
from ..scene import Body, Scene

AXES = "xyz"
Kind = Literal["gravity", "law", "wall", "friction", "place"]
_EARTH = 9.81
_DECADES = 30.0
_FRICTION = 1.0
_FLOOR = "y-"
_MOST = 12
_UNITS = {name: unit for name, (_, _, _, unit) in ORDINARY.items()} | {"time": "s"}
_RANGES = {"poisson": (0.01, 0.49), "friction_angle": (1.0, 70.0)}
"""Of parameters that no law takes beyond."""
_REACH = {"cohesion": 0.05, "time": 0.01}
"""Upper ends of parameters that may be 0."""


@dataclass(frozen=True)
class Knob:
    """A number of the scene, and the range in which it can be changed while it runs."""

    name: str
    """What the user calls it, for example "young" or "collider 1 x"."""
    unit: str
    """SI, "-" for a pure number."""
    low: float
    high: float
    start: float
    """Where the scene has it."""
    kind: Kind
    index: int = 0
    """Axis of gravity, or number of a collider."""
    axis: int = 0
    """Along which a collider is moved."""
    faces: tuple[int, ...] = ()
    """Of walls, in the order of `FACES`."""
    log: bool = False
    """Whether equal ways on its slider are equal factors."""
    parameter: nn.Parameter | None = None
    """Of a law."""

    def share(self, value: float) -> float:
        """Place of a value in the range, from 0 to 1."""
        low, high, value = self._line(self.low), self._line(self.high), self._line(value)
        return min(max((value - low) / (high - low), 0.0), 1.0)

    def value(self, share: float) -> float:
        """The value at a place in the range, from 0 to 1."""
        low, high = self._line(self.low), self._line(self.high)
        found = low + (high - low) * min(max(share, 0.0), 1.0)
        found = math.exp(found) if self.log else found
        return min(max(found, self.low), self.high)

    def _line(self, value: float) -> float:
        return math.log(max(value, self.low)) if self.log else value


def own_laws(scene: Scene) -> Scene:
    """The same scene with laws of its own, so that changing their parameters changes no other."""
    memory: dict[int, object] = {}
    bodies = [replace(body, law=copy.deepcopy(body.law, memory)) for body in scene.bodies]
    for body in bodies:
        body.law.requires_grad_(False)
    return replace(scene, bodies=bodies)


def knobs_of(scene: Scene) -> dict[str, Knob]:
    """All that can be changed of a scene with laws of its own, by name, in the order of a list."""
    listed = [*_gravity(scene), *_laws(scene.bodies), *_walls(scene), *_colliders(scene)]
    return {knob.name: knob for knob in listed}


def _gravity(scene: Scene) -> Iterator[Knob]:
    pull = torch.as_tensor(scene.gravity, dtype=torch.float64).detach().tolist()
    most = max(2 * _EARTH, *(2 * abs(g) for g in pull))
    for axis, g in enumerate(pull):
        yield Knob(f"gravity {AXES[axis]}", "m/s²", -most, most, g, "gravity", axis)


def _laws(bodies: Sequence[Body]) -> Iterator[Knob]:
    """Scalar parameters of laws that have no others: weights of networks are no knobs."""
    laws = list({id(body.law): body for body in bodies}.values())
    seen: set[str] = set()
    for number, body in enumerate(laws, 1):
        parameters = dict(body.law.named_parameters())
        if len(parameters) > _MOST or any(p.ndim for p in parameters.values()):
            continue
        for path, parameter in parameters.items():
            word = path.rpartition(".")[2]
            name = word.replace("_", " ")
            name = f"{body.name} {name}" if len(laws) > 1 else name
            name = f"{name} {number}" if name in seen else name
            seen.add(name)
            yield _of_law(name, word, parameter)


def _of_law(name: str, word: str, parameter: nn.Parameter) -> Knob:
    start, unit = float(parameter.detach()), _UNITS.get(word, "-")
    log = False
    if word in _RANGES:
        low, high = _RANGES[word]
        low, high = min(low, start), max(high, start)
    elif word in _REACH or start <= 0.0:
        low, high = min(0.0, 2 * start), max(4 * abs(start), _REACH.get(word, 1.0))
    else:
        low, high, log = start / _DECADES, start * _DECADES, True
    return Knob(name, unit, low, high, start, "law", log=log, parameter=parameter)


def _walls(scene: Scene) -> Iterator[Knob]:
    """The floor, and the other walls together where they are alike."""
    walls = [b for b in scene.boundaries if isinstance(b, Wall) and b.mode == "contact"]
    starts = {wall.face: _number(wall.friction) for wall in walls}
    if _FLOOR in starts:
        yield _of_walls("floor friction", starts.pop(_FLOOR), (_FLOOR,))
    if len(set(starts.values())) == 1:
        yield _of_walls("wall friction", next(iter(starts.values())), tuple(starts))
        return
    for face, start in starts.items():
        yield _of_walls(f"wall {face} friction", start, (face,))


def _of_walls(name: str, start: float, faces: tuple[str, ...]) -> Knob:
    numbers = tuple(FACES.index(face) for face in faces)  # type: ignore[arg-type]
    return Knob(name, "-", 0.0, max(_FRICTION, 2 * start), start, "wall", faces=numbers)


def _colliders(scene: Scene) -> Iterator[Knob]:
    low, high = scene.domain.lower, scene.domain.upper
    listed = [b for b in scene.boundaries if isinstance(b, Collider)]
    for number, collider in enumerate(listed):
        noun = "grip" if collider.mode == "sticky" else "collider"
        name = f"{noun} {number + 1}" if len(listed) > 1 else noun
        if collider.mode == "contact":
            start = _number(collider.friction)
            yield Knob(
                f"{name} friction", "-", 0.0, max(_FRICTION, 2 * start), start, "friction", number
            )
        for axis, letter in enumerate(AXES):
            reach = 0.5 * (high[axis] - low[axis])
            yield Knob(f"{name} {letter}", "m", -reach, reach, 0.0, "place", number, axis)


def _number(value: float | Tensor) -> float:
    return float(value.detach()) if isinstance(value, Tensor) else float(value)
