# SPDX-License-Identifier: Apache-2.0
"""Memory for the steps of one chunk, forward and backward.

Slot k of a history holds the state after k steps of the chunk. What is launched between them is
recorded in launches.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.dtypes import Types, types
from rheograd.kernels.mpm.contacts import contacts
from rheograd.kernels.mpm.grid_adjoint import grid_adjoint
from rheograd.materials.arrays import as_warp, current_stream, precision

from .graphs import Replays
from .launches import TICK, Recorder, parts_of
from .model import FOREVER, MPMModel
from .stages import AnalyticStage, Stage, TorchStage

INPUTS = (
    "mass", "volume", "gravity", "wall_friction",
    "friction", "position", "rotation", "velocity", "spin",
)  # fmt: skip
"""Float arrays of the model that a roll-out reads and whose gradients it gives."""


class Histories(NamedTuple):
    """States at every slot; the first axis is the slot."""

    x: Tensor
    v: Tensor
    C: Tensor
    F: Tensor
    tau: Tensor
    internal: Tensor


class Workspace:
    """Scratch memory of a model: never state, as a next run may overwrite all of it."""

    def __init__(self, model: MPMModel, slots: int, adjoint: bool) -> None:
        """Allocate `slots` steps; 0 slots advance in place, forward only."""
        self.model = model
        self.slots = slots
        self.owner: object = None
        """The chunk whose states the slots hold."""
        like = model.x0
        self.types: Types = types(precision(like))
        self.parts = parts_of(model)
        self.pool = ThreadPoolExecutor(self.parts - 1) if self.parts > 1 else None
        self.device = wp.device_from_torch(like.device)
        self.state = self._histories(slots + 1)
        self.F_trial = like.new_zeros(model.n, 3, 3)
        nodes = model.worlds * model.grid.rows * model.grid.nodes[2]
        self.lanes = 32 if self.device.is_cuda else 1
        self.momentum = like.new_zeros(self.parts * nodes, 4)
        self.nodal_velocity = like.new_zeros(nodes, 4)
        self.touched = torch.full(
            (model.worlds * model.grid.rows,), -1, dtype=torch.int32, device=like.device
        )
        self.clock = torch.zeros(1, dtype=torch.int32, device=like.device)
        self.failure = torch.full((self.parts, 2), FOREVER, dtype=torch.int32, device=like.device)
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
        self._fill_structs()
        self.recorder = Recorder(self)
        self.stages: list[Stage] = [
            TorchStage(group, model, self) if group.twin is None
            else AnalyticStage(group, model, self)
            for group in model.groups
        ]  # fmt: skip
        possible = all(stage.capturable for stage in self.stages)
        self.replays = Replays(like.device, possible=possible)
        self.forward_phases = [self.recorder.forward(k) for k in range(max(slots, 1))]
        self.bars: dict[str, Tensor] = {}
        if adjoint:
            self._allocate_bars()
            self.seen: dict[tuple[str, int], Tensor] = {}
            self.again_phases = [self.recorder.again(k) for k in range(slots)]
            self.backward_phases = [self.recorder.backward(k) for k in range(slots)]

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
        """Memory that one more slot takes, with a rotation for learned laws [bytes]."""
        return model.n * (3 + 3 + 3 * 9 + 9 + model.n_internal) * model.x0.element_size()

    def as_warp(self, tensor: Tensor, dtype: Any) -> wp.array:
        """A view of `tensor`, which the caller keeps alive."""
        return as_warp(tensor, dtype)

    def _fill_structs(self) -> None:
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
        self.momentum_bar = torch.zeros_like(self.nodal_velocity)

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
        self.replays.expect([stage.memory() for stage in self.stages])
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

    def first_failure(self) -> tuple[int, int]:
        """First step at which a particle left the grid, FOREVER if none did, and the particle."""
        found = self.failure.tolist()
        part = min(range(self.parts), key=lambda k: found[k][0])
        step, particle = found[part]
        return step, particle + self.recorder.parts[part].start

    def stream(self) -> wp.Stream | None:
        """Torch's current stream, on which everything runs; None on a CPU."""
        return current_stream(self.model.x0.device)

    def forward(self, steps: int) -> None:
        """Take steps from slot to slot, or in place where there are no slots."""
        with torch.no_grad():
            if self.slots:
                self.replays.run(("forward", steps), lambda: self._advance(range(steps)))
                return
            for _ in range(steps):
                self.replays.run("in place", lambda: self._advance([0]))

    def _advance(self, slots: Sequence[int]) -> None:
        stream = self.stream()
        for k in slots:
            for phase in self.forward_phases[k]:
                phase.run(stream)
            for stage in self.stages:
                stage.forward(k)

    def transfer(self) -> None:
        """To the grid and back in place, without the laws and the clock."""
        stream = self.stream()
        for phase in self.forward_phases[0][:TICK]:
            phase.run(stream)

    def backward(
        self, steps: int, seen: Mapping[int, tuple[Tensor | None, Tensor | None]],
        watch: Callable[[int], None] | None = None,
    ) -> None:  # fmt: skip
        """From the gradients of slot `steps` to those of slot 0.

        Args:
            steps: Of the chunk; the states of its slots are there.
            seen: Slots whose x and v were observed, with gradients to add there, shape (n, 3).
            watch: Called after each step with its slot, to look at the gradients.
        """
        self.clock += steps
        for k, gradients in seen.items():
            for name, gradient in zip("xv", gradients, strict=True):
                if (name, k) not in self.seen:
                    self.seen[name, k] = torch.empty_like(self.bars[name])
                given = self.seen[name, k]
                given.zero_() if gradient is None else given.copy_(gradient)

        def sweep() -> None:
            stream = self.stream()
            for k in reversed(range(steps)):
                if k + 1 in seen:
                    self.bars["x"] += self.seen["x", k + 1]
                    self.bars["v"] += self.seen["v", k + 1]
                for phase in self.again_phases[k]:
                    phase.run(stream)
                for stage in self.stages:
                    stage.backward(k)
                for phase in self.backward_phases[k]:
                    phase.run(stream)
                if watch is not None:
                    watch(k)

        if watch is None:
            self.replays.run(("backward", steps, *seen), sweep)
        else:
            sweep()
