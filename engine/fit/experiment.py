# SPDX-License-Identifier: Apache-2.0
"""A motion that was observed, and the scene of which it was one.

Beside the keywords of build() there are numbers that any scene and any camera has, by these names:
gravity.x [m/s²]; camera.scale, a factor on focal lengths (how large things look); camera.turn.x
[rad], about the camera's axes; camera.move.x [m], along the scene's; code.0 [-], the first number
of the constant field code, of all bodies whose law declares one. A name that ends in @THROW
belongs to the experiment THROW alone, such as velocity.x@THROW.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..constant_fields import with_values
from ..observations.joint import comparable as in_one_unit
from ..observations.observation import Observation
from ..scene import Scene
from ..suggestion import did_you_mean
from ..vision.camera import Camera, turned
from .parameter import AXES, CAMERA, GRAVITY, place

Build = Callable[..., Scene]


@dataclass(frozen=True)
class Experiment:
    """What was seen, and in what this scene differs from others."""

    observation: Observation
    """In time from the start of the simulation."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Keywords of build() that are not fitted."""
    name: str = ""
    others: Mapping[str, Observation] = field(default_factory=dict)
    """Longer ones of the same scene, by which a fit is judged, by name."""

    def own(self, values: Mapping[str, float]) -> dict[str, float]:
        """Those values that concern this experiment, without its name."""
        found = {}
        for name, value in values.items():
            plain, _, whose = name.partition("@")
            if not whose or whose == self.name:
                found[plain] = value
        return found

    def scene(self, build: Build, values: Mapping[str, float]) -> Scene:
        """The scene with values of parameters."""
        keywords = inspect.signature(build).parameters
        own = self.own(values)
        mine = {n: v for n, v in own.items() if n.partition(".")[0] in keywords}
        scene = build(**place(mine, self.given, build))
        fields: dict[str, dict[int, float]] = {}
        for name, value in own.items():
            base, _, number = name.partition(".")
            if base not in keywords and number.isdigit():
                fields.setdefault(base, {})[int(number)] = value
        scene = with_values(scene, fields)
        pull = [own.get(f"{GRAVITY}.{axis}") for axis in AXES]
        if GRAVITY in keywords or all(g is None for g in pull):
            return scene
        there = torch.as_tensor(scene.gravity).tolist()
        new = [old if g is None else g for g, old in zip(pull, there, strict=True)]
        return replace(scene, gravity=tuple(new))

    def observed(self, build: Build, values: Mapping[str, float]) -> Observation:
        """The observation through cameras with values of parameters."""
        if CAMERA in inspect.signature(build).parameters:
            return self.observation
        own = {n: v for n, v in self.own(values).items() if n.startswith(f"{CAMERA}.")}
        if not own:
            return self.observation
        if not self.observation.cameras:
            raise ValueError(
                f"{next(iter(own))} is of a camera, and {type(self.observation).__name__} were seen"
                " by none: leave it out"
            )
        return self.observation.through(tuple(_moved(c, own) for c in self.observation.cameras))


def require_known(names: Iterable[str], experiments: Sequence[Experiment]) -> None:
    """Refuse names of parameters of an experiment that there is not.

    Args:
        names: Of parameters, such as velocity.x@THROW.
        experiments: All of them.

    Raises:
        ValueError: One names no experiment.
    """
    there = [e.name for e in experiments]
    for name in names:
        _, at, whose = name.partition("@")
        if at and whose not in there:
            known = ", ".join(n for n in there if n) or "one without a name: leave the @ out"
            raise ValueError(
                f"{name} is of the experiment {whose!r}, which there is not"
                f"{did_you_mean(whose, there)}: there are {known}"
            )


def _moved(camera: Camera, values: Mapping[str, float]) -> Camera:
    """The camera with what is fitted of it."""

    def three(name: str) -> Tensor:
        return torch.tensor(
            [values.get(f"{CAMERA}.{name}.{axis}", 0.0) for axis in AXES], dtype=torch.float64
        )

    scale = values.get(f"{CAMERA}.scale", 1.0)
    there = replace(
        camera, focal=camera.focal * scale, position=camera.position + three("move")
    )  # fmt: skip
    return turned(there, three("turn"))


def comparable(experiments: Sequence[Experiment]) -> list[Experiment]:
    """The same in one unit: divided by their noise where units or noises differ.

    Raises:
        ValueError: There is none, two have one name, or one does not state its noise.
    """
    if not experiments:
        raise ValueError("got no experiments, expected one or more")
    names = [e.name for e in experiments]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"two experiments are called {twice[0]!r}: give each a name of its own")
    seen = in_one_unit([e.observation for e in experiments])
    return [replace(e, observation=o) for e, o in zip(experiments, seen, strict=True)]
