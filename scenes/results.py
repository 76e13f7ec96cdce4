# SPDX-License-Identifier: Apache-2.0
"""What a scene says of its motion in numbers, and derivatives of the first of them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rheograd.engine.suggestion import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from rheograd.engine.scene import Scene
    from rheograd.engine.simulate import Schedule
    from rheograd.engine.trajectory import Trajectory

    from .catalog import Script


def named_results(
    script: Script, trajectory: Trajectory, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Numbers and lists by name, as JSON takes them."""
    import torch

    found = _call(script, trajectory, options)
    return {name: _listed(torch.as_tensor(value).detach()) for name, value in found.items()}


def _call(
    script: Script, trajectory: Trajectory, options: Mapping[str, Any]
) -> Mapping[str, Tensor]:
    assert script.results is not None
    takes = inspect.signature(script.results).parameters
    return script.results(trajectory, **{n: v for n, v in options.items() if n in takes})


class Gradients:
    """Derivatives of a scene's first result by parameters of its laws."""

    def __init__(self, script: Script, solver: Any, scene: Scene, words: str) -> None:
        """Find the parameters.

        Args:
            script: The scene's file.
            solver: How it is simulated.
            scene: What is simulated.
            words: Names of parameters, separated by commas; none for no gradient.

        Raises:
            ValueError: A name is unknown, or the scene says nothing of its motion.
        """
        self.script, self.solver, self.scene = script, solver, scene
        self.options: Mapping[str, Any] = {}
        there = _parameters(scene)
        self.parameters: dict[str, Tensor] = {}
        for name in filter(None, words.split(",")):
            if script.results is None:
                raise ValueError(
                    f"--gradient: {script.name} has no results(trajectory) to take it of"
                )
            if name not in there:
                raise ValueError(
                    f"--gradient: got {name!r}{did_you_mean(name, there)}, expected parameters of"
                    f" the scene's law: {', '.join(there)}"
                )
            self.parameters[name] = there[name]

    def take(self, model: Any, schedule: Schedule) -> dict[str, Any]:
        """`gradient_NAME` of each: the derivative of every number of the first result.

        Args:
            model: That the run is of.
            schedule: Its steps and frames.
        """
        if not self.parameters:
            return {}
        import torch

        from rheograd.engine.simulate import simulate
        from rheograd.engine.solver import Checkpoint

        trajectory = simulate(
            self.scene, self.solver, steps=schedule.steps, every=schedule.every, model=model,
            adjoint=Checkpoint(),
        )  # fmt: skip
        first = next(iter(_call(self.script, trajectory, self.options).values())).reshape(-1)
        leaves = list(self.parameters.values())
        rows = [
            torch.autograd.grad(number, leaves, retain_graph=True, materialize_grads=True)
            for number in first
        ]
        found = {}
        for name, columns in zip(self.parameters, zip(*rows, strict=True), strict=True):
            numbers = [_listed(column) for column in columns]
            found[f"gradient_{name}"] = numbers if len(numbers) > 1 else numbers[0]
        return found


def _listed(value: Tensor) -> Any:
    """Numbers as JSON takes them: None where there is none."""
    numbers = [x if math.isfinite(x) else None for x in value.double().reshape(-1).tolist()]
    return numbers[0] if value.ndim == 0 else numbers


def _parameters(scene: Scene) -> dict[str, Tensor]:
    """Of the scene's laws by name: young where one law has one, else BODY.young of each."""
    laws = {id(body.law): body for body in scene.bodies}
    named = [
        (body.name, name, parameter)
        for body in laws.values()
        for name, parameter in body.law.named_parameters()
    ]
    last = [name.rpartition(".")[2] for _body, name, _parameter in named]
    found = {}
    for (body, name, parameter), short in zip(named, last, strict=True):
        found[short if last.count(short) == 1 else f"{body}.{name}"] = parameter
    return found
