# SPDX-License-Identifier: Apache-2.0
"""Stretches of a run as worlds of one model, and states estimated from positions alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..boundaries import Boundary, Collider
from ..law_groups import rest_internal
from ..restarts import Estimate, Restarts
from ..scene import Scene
from .contact import Contact
from .equilibrium import advanced, deformation, respond
from .model import FEModel, Gripped


def timeless(model: FEModel) -> bool:
    """Whether its loads and what it meets are the same at all times."""
    moving = [piece.course for piece in model.prescribed if isinstance(piece, Gripped)]
    moving += [force.course for force in model.forces if isinstance(force, Contact)]
    values = [getattr(piece, "value", None) for piece in (*model.prescribed, *model.forces)]
    values += [value for force in model.forces for value in getattr(force, "values", ())]
    still = all(len(course.position) == 1 for course in moving)
    return model.ramp == 0.0 and still and not any(callable(value) for value in values)


def shifted(scene: Scene, time: float) -> Scene:
    """The scene as it is from a time [s] on.

    Raises:
        ValueError: A collider moves.
    """
    return replace(scene, boundaries=[_later(b, time) for b in scene.boundaries])


def _later(boundary: Boundary, time: float) -> Boundary:
    if isinstance(boundary, Collider) and not boundary.motion.at_rest:
        raise ValueError(
            "got a collider or grip that moves, in a motion that is cut into stretches: prescribe "
            "it by Displacement(value=function of time), or train from the start"
        )
    value: Any = getattr(boundary, "value", None)
    if not callable(value):
        return boundary
    return replace(boundary, value=lambda t: value(t + time))  # type: ignore[type-var]


def estimator(model: FEModel, step: Tensor, x: Tensor) -> Estimate:
    """See `Solver.estimator`: velocities by a cubic spline, F from the positions of the nodes.

    Laws with a memory are carried along the spline, step by step.
    """
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(step.numpy() * model.dt, x.cpu().double().numpy(), bc_type="not-a-knot")
    v = torch.from_numpy(spline(step.numpy() * model.dt, 1)).to(model.x0)
    v[0] = model.v0.masked_fill(model.fixed, 0.0)
    seen = x.to(model.x0)
    own = model.geometry(model.x0.detach())

    def at(place: Tensor) -> Tensor:
        return deformation(model, own, (place - model.x0)[model.nodes])

    def without_memory(now: FEModel) -> Restarts:
        F = torch.stack([at(place) for place in seen])
        internal = rest_internal(now.groups, now.points, now.x0)
        return Restarts(step, seen, v, F, internal.expand(len(step), *internal.shape))

    @torch.no_grad()
    def along(now: FEModel) -> Restarts:
        last = int(step[-1])
        laws = tuple(tuple(group.tensors()) for group in now.groups)
        path = torch.from_numpy(spline(np.arange(last + 1) * now.dt)).to(now.x0)
        F = torch.eye(3).to(now.x0).repeat(now.points, 1, 1)
        internal = rest_internal(now.groups, now.points, now.x0)
        before, kept = at(path[0]), [(F, internal)]
        wanted = set(step.tolist())
        for k in range(1, last + 1):
            here = at(path[k])
            found = respond(now, advanced(now, here, before, F), internal, now.dt, laws)
            F, internal = found.F_elastic, found.internal
            before = here
            if k in wanted:
                kept.append((F, internal))
        Fs, histories = (torch.stack(values) for values in zip(*kept, strict=True))
        return Restarts(step, seen, v, Fs, histories)

    return along if model.remembers else without_memory


def stretches(
    scenes: Sequence[Scene], starts: Sequence[int], dt: float, still: bool
) -> list[Scene]:
    """The scene from each of some steps on.

    Raises:
        ValueError: There are several scenes already.
    """
    if len(scenes) != 1:
        raise ValueError(f"segments are cut from a model of one world; got {len(scenes)}")
    return [scenes[0] if still else shifted(scenes[0], start * dt) for start in starts]
