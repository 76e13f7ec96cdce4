# SPDX-License-Identifier: Apache-2.0
"""Memory and recorded launches for the steps of one chunk, forward and backward.

Slot k of a history holds the state after k steps of the chunk. Launches are recorded once a slot
and replayed for every chunk, so a step costs a few microseconds of Python, and on a GPU one graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.dtypes import Types, building, types
from rheograd.kernels.grid import contacts, grid, grid_adjoint
from rheograd.kernels.transfer_adjoints import transfer_adjoints
from rheograd.kernels.transfers import transfers
from rheograd.materials.arrays import as_warp

from .model import FOREVER, MPMModel
from .stages import AnalyticStage, Histories, Stage, TorchStage

INPUTS = (
    "mass", "volume", "gravity", "wall_friction",
    "friction", "position", "rotation", "velocity", "spin",
)  # fmt: skip
"""Float arrays of the model that a roll-out reads and whose gradients it gives."""


class Workspace:
    """Scratch memory of a model: never state, as a next run may overwrite all of it."""

    def __init__(self, model: MPMModel, slots: int, adjoint: bool) -> None:
        """Allocate `slots` steps; 0 slots advance in place, forward only."""
        self.model = model
        self.slots = slots
        self.owner: object = None
        """The chunk whose states the slots hold."""
        like = model.x0
        self.types: Types = types(wp.float64 if like.dtype == torch.float64 else wp.float32)
        self.device = wp.device_from_torch(like.device)
        self.state = self._histories(slots + 1)
        self.F_trial = like.new_zeros(max(slots, 1), model.n, 3, 3)
        nodes = model.worlds * model.grid.rows * model.grid.nodes[2]
        self.lanes = 32 if self.device.is_cuda else 1
        self.momentum = like.new_zeros(nodes, 4)
        self.nodal_velocity = like.new_zeros(nodes, 4)
        self.touched = torch.full(
            (model.worlds * model.grid.rows,), -1, dtype=torch.int32, device=like.device
        )
        self.clock = torch.zeros(1, dtype=torch.int32, device=like.device)
        self.failure = torch.full((2,), FOREVER, dtype=torch.int32, device=like.device)
        colliders = model.colliders
        self.inputs = {
            "mass": torch.empty_like(model.volume),
            "volume": torch.empty_like(model.volume),
            "gravity": torch.empty_like(model.gravity),
            "wall_friction": torch.empty_like(model.walls.friction),
            "friction": torch.empty_like(colliders.friction),
            "position": torch.empty_like(colliders.position),
            "rotation": torch.empty_like(colliders.rotation),
            "velocity": torch.empty_like(colliders.velocity),
            "spin": torch.empty_like(colliders.spin),
        }
        self._record_structs()
        self.stages: list[Stage] = [
            TorchStage(group, model, self) if group.twin is None
            else AnalyticStage(group, model, self)
            for group in model.groups
        ]  # fmt: skip
        self.forward_launches = [self._record_forward(k) for k in range(max(slots, 1))]
        self.bars: dict[str, Tensor] = {}
        if adjoint:
            self._allocate_bars()
            self.backward_launches = [self._record_backward(k) for k in range(slots)]

    def _histories(self, count: int) -> Histories:
        n, m, like = self.model.n, self.model.n_internal, self.model.x0
        return Histories(
            x=like.new_zeros(count, n, 3),
            v=like.new_zeros(count, n, 3),
            C=like.new_zeros(count, n, 3, 3),
            F=like.new_zeros(count, n, 3, 3),
            tau=like.new_zeros(count, n, 3, 3),
            internal=like.new_zeros(count, n, m),
        )

    @staticmethod
    def bytes_a_step(model: MPMModel) -> int:
        """Memory that one more slot takes [bytes]."""
        return model.n * (3 + 3 + 4 * 9 + 9 + model.n_internal) * model.x0.element_size()

    def as_warp(self, tensor: Tensor, dtype: Any) -> wp.array:
        """A view of `tensor`, which the caller keeps alive."""
        return as_warp(tensor, dtype)

    def _record_structs(self) -> None:
        t, model, view = self.types, self.model, self.as_warp
        parts = contacts(t.scalar)
        self.walls = parts.Walls()
        self.walls.margin = model.grid.margin
        self.walls.mode = view(model.walls.mode, wp.int32)
        self.walls.friction = view(self.inputs["wall_friction"], t.scalar)
        self.table = parts.Colliders()
        self.table.shape = view(model.colliders.shape, wp.int32)
        self.table.mode = view(model.colliders.mode, wp.int32)
        self.table.mesh = view(model.colliders.mesh, wp.uint64)
        self.table.size = view(model.colliders.size, t.vec3)
        self.table.friction = view(self.inputs["friction"], t.scalar)
        self.table.position = view(self.inputs["position"], t.vec3)
        self.table.rotation = view(self.inputs["rotation"], t.quat)
        self.table.velocity = view(self.inputs["velocity"], t.vec3)
        self.table.spin = view(self.inputs["spin"], t.vec3)
        g = model.grid
        self.mass = view(self.inputs["mass"], t.scalar)
        self.volume = view(self.inputs["volume"], t.scalar)
        self.where = (view(model.world, wp.int32), view(model.life, wp.vec2i))
        self.clock_wp = view(self.clock, wp.int32)
        self.frame = (t.vec3(*g.origin), g.cell, wp.vec3i(*g.nodes))

    def launch(self, kernel: wp.Kernel, dim: Any, inputs: Sequence[Any]) -> wp.Launch:
        """Record a launch without running it."""
        with building:
            recorded = wp.launch(kernel, dim, inputs=inputs, device=self.device, record_cmd=True)
        assert isinstance(recorded, wp.Launch)
        return recorded

    def _balance_inputs(self) -> list[Any]:
        view, t = self.as_warp, self.types
        return [
            *self.frame, self.lanes, self.model.dt, self.model.mass_offset,
            view(self.inputs["gravity"], t.vec3), self.clock_wp,
            view(self.touched, wp.int32), self.walls, self.table,
        ]  # fmt: skip

    def _record_p2g(self, k: int) -> wp.Launch:
        t, view, s = self.types, self.as_warp, self.state
        return self.launch(transfers(t.scalar).p2g, self.model.n, [
            view(s.x[k], t.vec3), view(s.v[k], t.vec3), view(s.C[k], t.mat33),
            view(s.tau[k], t.mat33), self.mass, self.volume, *self.where, self.clock_wp,
            *self.frame, self.model.dt, view(self.momentum, t.vec4), view(self.touched, wp.int32),
        ])  # fmt: skip

    def _record_balance(self, keep: bool) -> wp.Launch:
        t, view = self.types, self.as_warp
        rows = self.model.worlds * self.model.grid.rows
        return self.launch(grid(t.scalar).balance, (rows, self.lanes), [
            *self._balance_inputs(), int(keep), 0, 1,
            view(self.momentum, t.vec4), view(self.nodal_velocity, t.vec4),
        ])  # fmt: skip

    def _record_forward(self, k: int) -> list[wp.Launch]:
        t, view, s = self.types, self.as_warp, self.state
        kernels = transfers(t.scalar)
        after = min(k + 1, self.slots)
        g2p = self.launch(kernels.g2p, self.model.n, [
            view(s.x[k], t.vec3), view(s.v[k], t.vec3), view(s.C[k], t.mat33),
            view(s.F[k], t.mat33), *self.where, self.clock_wp, *self.frame, self.model.dt,
            view(self.nodal_velocity, t.vec4), view(s.x[after], t.vec3), view(s.v[after], t.vec3),
            view(s.C[after], t.mat33), view(self.F_trial[k], t.mat33),
            view(self.failure, wp.int32),
        ])  # fmt: skip
        tick = self.launch(kernels.tick, 1, [1, self.clock_wp])
        return [self._record_p2g(k), self._record_balance(keep=False), g2p, tick]

    def _allocate_bars(self) -> None:
        model, like = self.model, self.model.x0
        n, m = model.n, model.n_internal
        shapes = {
            "x": (n, 3), "v": (n, 3), "C": (n, 3, 3), "F": (n, 3, 3), "tau": (n, 3, 3),
            "internal": (n, m), "F_trial": (n, 3, 3),
        }  # fmt: skip
        self.bars = {name: like.new_zeros(shape) for name, shape in shapes.items()}
        self.bars |= {name: torch.zeros_like(value) for name, value in self.inputs.items()}
        t, view = self.types, self.as_warp
        self.collider_bars = grid_adjoint(t.scalar).ColliderBars()
        self.collider_bars.friction = view(self.bars["friction"], t.scalar)
        self.collider_bars.position = view(self.bars["position"], t.vec3)
        self.collider_bars.rotation = view(self.bars["rotation"], t.quat)
        self.collider_bars.velocity = view(self.bars["velocity"], t.vec3)
        self.collider_bars.spin = view(self.bars["spin"], t.vec3)
        self.velocity_bar = torch.zeros_like(self.momentum)
        self.momentum_bar = torch.zeros_like(self.momentum)

    def _record_backward(self, k: int) -> list[wp.Launch]:
        t, view, s, bars = self.types, self.as_warp, self.state, self.bars
        adjoints = transfer_adjoints(t.scalar)
        n, dt = self.model.n, self.model.dt
        g2p = self.launch(adjoints.g2p, n, [
            view(s.x[k], t.vec3), view(s.F[k], t.mat33), view(s.x[k + 1], t.vec3),
            view(s.C[k + 1], t.mat33), *self.where, self.clock_wp, *self.frame, dt,
            view(self.nodal_velocity, t.vec4), view(bars["x"], t.vec3), view(bars["v"], t.vec3),
            view(bars["C"], t.mat33), view(bars["F_trial"], t.mat33),
            view(self.velocity_bar, t.vec4), view(bars["x"], t.vec3), view(bars["F"], t.mat33),
        ])  # fmt: skip
        rows = self.model.worlds * self.model.grid.rows
        balance = self.launch(grid_adjoint(t.scalar).balance, (rows, self.lanes), [
            *self._balance_inputs(), 1, view(self.momentum, t.vec4),
            view(self.velocity_bar, t.vec4), view(self.momentum_bar, t.vec4), view(bars["gravity"], t.vec3),
            view(bars["wall_friction"], t.scalar), self.collider_bars,
        ])  # fmt: skip
        p2g = self.launch(adjoints.p2g, n, [
            view(s.x[k], t.vec3), view(s.v[k], t.vec3), view(s.C[k], t.mat33),
            view(s.tau[k], t.mat33), self.mass, self.volume, *self.where, self.clock_wp,
            *self.frame, dt, view(self.momentum_bar, t.vec4), view(bars["x"], t.vec3),
            view(bars["v"], t.vec3), view(bars["C"], t.mat33), view(bars["tau"], t.mat33),
            view(bars["mass"], t.scalar), view(bars["volume"], t.scalar),
        ])  # fmt: skip
        tick = self.launch(transfers(t.scalar).tick, 1, [-1, self.clock_wp])
        return [tick, self._record_p2g(k), self._record_balance(keep=True), g2p, balance, p2g]

    def load(self, state: Sequence[Tensor], inputs: Sequence[Tensor], laws: Sequence[Tensor],
             step: int) -> None:  # fmt: skip
        """Copy a start (x, v, C, F, tau, internal), the model's arrays and the laws' tensors in."""
        for history, value in zip(self.state, state, strict=True):
            history[0].copy_(value)
        for name, value in zip(INPUTS, inputs, strict=True):
            self.inputs[name].copy_(value)
        at = 0
        for stage in self.stages:
            at += stage.load(laws[at:])
        self.clock.fill_(step)
        self.failure.fill_(FOREVER)

    def reset(self) -> None:
        """Empty the grids, which a run that failed leaves with numbers that are not finite."""
        self.owner = None
        grids = [self.momentum, self.nodal_velocity]
        if self.bars:
            grids += [self.velocity_bar, self.momentum_bar]
        for values in grids:
            values.zero_()

    def forward(self, steps: int) -> None:
        """Take steps from slot to slot, or in place where there are no slots."""
        with torch.no_grad():
            for k in range(steps):
                slot = k if self.slots else 0
                for launch in self.forward_launches[slot]:
                    launch.launch()
                for stage in self.stages:
                    stage.forward(slot)

    def backward_step(self, k: int) -> None:
        """From the gradients of slot k + 1 to those of slot k."""
        for stage in self.stages:
            stage.backward(k)
        for launch in self.backward_launches[k]:
            launch.launch()
