# SPDX-License-Identifier: Apache-2.0
"""A hand that pulls at a body by a spring."""

from __future__ import annotations

import math
from typing import Any

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.dtypes import building, types
from rheograd.kernels.points.springs import spring_kernels
from rheograd.materials.arrays import as_warp, current_stream, precision

RATE = 15.0
"""Angular frequency at which the whole body would swing on the spring [rad/s]."""
PRESSURE = 0.25
"""Of the wave modulus that the spring may put on the area it pulls at, so that nothing is torn."""
STABLE = 0.2
"""Of the masses pulled at, what the spring may change in a step: k dt²/M and c dt/M."""


class Spring:
    """Pulls points of one body towards a target; see kernels/points/springs.py.

    It is critically damped for the whole body, softer where steps are too long for that.
    """

    def __init__(
        self, x: Tensor, mass: Tensor, body: Tensor, point: int, radius: float, modulus: float
    ) -> None:
        """Take hold of a point and of its neighbours in the same body.

        Args:
            x: Positions [m], shape (n, 3).
            mass: Of the points [kg], shape (n,).
            body: Of each, shape (n,).
            point: The one taken hold of.
            radius: How far the hold reaches [m]; it fades towards there.
            modulus: Of waves in the body [Pa], which limits the force.
        """
        same = body == body[point]
        square = (x - x[point]).square().sum(1) / radius**2
        weight = torch.where(same, (1.0 - square).clamp(min=0.0), 0.0)
        weight[point] = 1.0
        self.index = weight.nonzero()[:, 0].int()
        own = self.index.long()
        self.weight = weight[own].to(x).contiguous()
        self.mass = mass.detach().to(x).contiguous()
        held = self.weight * self.mass[own]
        self.held = float(held.sum())
        """Mass of the points, each by its weight [kg]."""
        self.offset = (x[point] - (held @ x[own]) / self.held).tolist()
        self.target = x[point].tolist()
        """Where the point is pulled to [m]."""
        whole = float(self.mass[same].sum())
        self.stiffness = whole * RATE**2
        """k [N/m]"""
        self.damping = 2.0 * whole * RATE
        """c [N s/m]"""
        self.limit = PRESSURE * modulus * math.pi * radius**2
        """Largest force [N]."""
        self.sums = x.new_zeros(2, 4)
        self.impulse = x.new_zeros(1, 3)
        """Of all pulls so far [N s], shape (1, 3)."""
        self._kernels = spring_kernels(precision(x))
        self._recorded: dict[Any, Any] = {}

    def where(self, x: Tensor) -> list[float]:
        """Where the point that is held would be by the neighbours that are held with it [m]."""
        own = self.index.long()
        centre = ((self.weight * self.mass[own]) @ x[own]) / self.held
        return [c + o for c, o in zip(centre.tolist(), self.offset, strict=True)]

    def pull(self, x: Tensor, v: Tensor, dt: float) -> None:
        """Change velocities v (n, 3) [m/s], in place, by a step dt [s] of the spring."""
        t = types(precision(x))
        key = (x.data_ptr(), v.data_ptr(), dt)
        if key not in self._recorded:
            self._recorded = {key: self._record(x, v, dt)}
        gather, pull = self._recorded[key]
        target = [a - o for a, o in zip(self.target, self.offset, strict=True)]
        self.sums.zero_()
        stream = current_stream(x.device)
        gather.launch(stream)
        pull.set_param_at_index(3, t.vec3(*target))
        pull.launch(stream)

    def _record(self, x: Tensor, v: Tensor, dt: float) -> tuple[Any, Any]:
        """Both launches on x and v."""
        t = types(precision(x))
        index, weight = as_warp(self.index, wp.int32), as_warp(self.weight, t.scalar)
        sums = as_warp(self.sums, t.vec4)
        stiffness = min(self.stiffness, STABLE * self.held / dt**2)
        damping = min(self.damping, STABLE * self.held / dt)
        gathered = [
            index, weight, as_warp(self.mass, t.scalar), as_warp(x, t.vec3), as_warp(v, t.vec3),
            sums,
        ]  # fmt: skip
        pulled = [
            index, weight, sums, t.vec3(), stiffness, damping, self.limit, dt, as_warp(v, t.vec3),
            as_warp(self.impulse, t.vec3),
        ]  # fmt: skip
        device, count = wp.device_from_torch(x.device), len(self.index)
        with building:
            recorded = [
                wp.launch(kernel, count, inputs=given, device=device, record_cmd=True)
                for kernel, given in (
                    (self._kernels.gather, gathered),
                    (self._kernels.pull, pulled),
                )
            ]
        return recorded[0], recorded[1]
