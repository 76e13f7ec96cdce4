# SPDX-License-Identifier: Apache-2.0
"""The launches of a step, recorded once for each slot and replayed for every chunk.

On a CPU a launch runs on one thread. From `SPLIT` particles on, the particles are dealt out to
`PARTS` threads, each with a grid of its own, which the momentum balance adds up: results depend on
the number of particles, never on which thread came first or on how many cores there are.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import warp as wp
from torch import Tensor

from rheograd.kernels.dtypes import building
from rheograd.kernels.mpm.grid import grid
from rheograd.kernels.mpm.grid_adjoint import grid_adjoint
from rheograd.kernels.mpm.transfer_adjoints import transfer_adjoints
from rheograd.kernels.mpm.transfers import transfers

from .model import MPMModel

if TYPE_CHECKING:
    from .workspace import Workspace

PARTS = 2
"""Threads, and private grids, of a large model on a CPU."""
SPLIT = 32_768
"""Particles from which on they pay."""
TICK = 3
"""Place of the clock's tick among the phases of `Recorder.forward`."""


def parts_of(model: MPMModel) -> int:
    """Number of parts into which the particles of a model are dealt."""
    return PARTS if model.x0.device.type == "cpu" and model.n >= SPLIT else 1


def dealt(count: int, parts: int) -> list[slice]:
    """`count` things in `parts` stretches of nearly the same length."""
    return [slice(count * k // parts, count * (k + 1) // parts) for k in range(parts)]


@dataclass(frozen=True)
class Phase:
    """Launches of which none waits for another."""

    launches: Sequence[wp.Launch]
    pool: ThreadPoolExecutor | None

    def run(self, stream: wp.Stream | None) -> None:
        """Launch them, on a CPU side by side and without a stream."""
        first, *rest = self.launches
        waiting = [self.pool.submit(launch.launch) for launch in rest] if self.pool else []
        first.launch(stream)
        for job in waiting:
            job.result()


class Recorder:
    """Records what the steps of a workspace launch."""

    def __init__(self, space: Workspace) -> None:
        """Deal particles and grid rows out to the parts."""
        self.space: Workspace = weakref.proxy(space)  # which owns this
        model = space.model
        self.frame = (space.types.vec3(*model.grid.origin), model.grid.cell,
                      wp.vec3i(*model.grid.nodes))  # fmt: skip
        self.parts = dealt(model.n, space.parts)
        self.bands = dealt(len(space.touched), space.parts)
        self.nodes = dealt(len(space.momentum), space.parts)
        self.clock = space.as_warp(space.clock, wp.int32)
        self.touched = space.as_warp(space.touched, wp.int32)

    def forward(self, k: int) -> list[Phase]:
        """From slot k to k + 1, up to the laws."""
        kernels = transfers(self.space.types.scalar)
        g2p = [self._g2p(k, part, number) for number, part in enumerate(self.parts)]
        tick = self.record(kernels.tick, 1, [1, self.clock])
        return [*map(self.phase, (self._p2g(k), self._balance(keep=False), g2p, [tick]))]

    def again(self, k: int) -> list[Phase]:
        """Back by one step: the clock, and what the laws were given at slot k."""
        kernels = transfers(self.space.types.scalar)
        tick = self.record(kernels.tick, 1, [-1, self.clock])
        stretch = [self._stretch(k, part) for part in self.parts]
        return [*map(self.phase, ([tick], stretch))]

    def backward(self, k: int) -> list[Phase]:
        """From the gradients of slot k + 1, behind the laws, to those of slot k."""
        steps = (
            self._p2g(k), self._balance(keep=True), self._g2p_adjoint(k),
            [self._balance_adjoint()], self._p2g_adjoint(k),
        )  # fmt: skip
        return [*map(self.phase, steps)]

    def phase(self, launches: Sequence[wp.Launch]) -> Phase:
        """See `Phase`."""
        return Phase(launches, self.space.pool)

    def record(self, kernel: wp.Kernel, dim: Any, inputs: Sequence[Any]) -> wp.Launch:
        """Record a launch without running it."""
        with building:
            recorded = wp.launch(
                kernel, dim, inputs=inputs, device=self.space.device, record_cmd=True
            )
        assert isinstance(recorded, wp.Launch)
        return recorded

    def _views(self, part: slice, *named: tuple[Tensor, Any]) -> list[wp.array]:
        return [self.space.as_warp(value[part], dtype) for value, dtype in named]

    def _where(self, part: slice) -> list[Any]:
        model = self.space.model
        return [*self._views(part, (model.world, wp.int32), (model.life, wp.vec2i)), self.clock]

    def _carried(self, k: int, part: slice) -> list[wp.array]:
        """x, v, C, tau, mass and volume at slot k."""
        t, s, given = self.space.types, self.space.state, self.space.inputs
        return self._views(
            part, (s.x[k], t.vec3), (s.v[k], t.vec3), (s.C[k], t.mat33), (s.tau[k], t.mat33),
            (given["mass"], t.scalar), (given["volume"], t.scalar),
        )  # fmt: skip

    def _p2g(self, k: int) -> list[wp.Launch]:
        space = self.space
        kernel, vec4 = transfers(space.types.scalar).p2g, space.types.vec4
        return [
            self.record(kernel, part.stop - part.start, [
                *self._carried(k, part), *self._where(part), *self.frame, space.model.dt,
                space.as_warp(space.momentum[own], vec4), self.touched,
            ])
            for part, own in zip(self.parts, self.nodes, strict=True)
        ]  # fmt: skip

    def _balance_inputs(self) -> list[Any]:
        space, model = self.space, self.space.model
        return [
            *self.frame, space.lanes, model.dt, model.mass_offset,
            space.as_warp(space.inputs["gravity"], space.types.vec3), self.clock, self.touched,
            space.walls, space.table,
        ]  # fmt: skip

    def _balance(self, keep: bool) -> list[wp.Launch]:
        space, vec4 = self.space, self.space.types.vec4
        return [
            self.record(grid(space.types.scalar).balance, (band.stop - band.start, space.lanes), [
                *self._balance_inputs(), int(keep), band.start, space.parts,
                space.as_warp(space.momentum, vec4), space.as_warp(space.nodal_velocity, vec4),
            ])
            for band in self.bands
        ]  # fmt: skip

    def _g2p(self, k: int, part: slice, number: int) -> wp.Launch:
        space, t, s = self.space, self.space.types, self.space.state
        after = min(k + 1, space.slots)
        return self.record(transfers(t.scalar).g2p, part.stop - part.start, [
            *self._views(part, (s.x[k], t.vec3), (s.v[k], t.vec3), (s.C[k], t.mat33),
                         (s.F[k], t.mat33)),
            *self._where(part), *self.frame, space.model.dt,
            space.as_warp(space.nodal_velocity, t.vec4),
            *self._views(part, (s.x[after], t.vec3), (s.v[after], t.vec3), (s.C[after], t.mat33),
                         (space.F_trial, t.mat33)),
            space.as_warp(space.failure[number], wp.int32),
        ])  # fmt: skip

    def _stretch(self, k: int, part: slice) -> wp.Launch:
        space, t, s = self.space, self.space.types, self.space.state
        return self.record(transfers(t.scalar).stretch, part.stop - part.start, [
            *self._views(part, (s.C[k + 1], t.mat33), (s.F[k], t.mat33),
                         (space.model.life, wp.vec2i)),
            self.clock, space.model.dt, *self._views(part, (space.F_trial, t.mat33)),
        ])  # fmt: skip

    def _g2p_adjoint(self, k: int) -> list[wp.Launch]:
        space, t, s, bars = self.space, self.space.types, self.space.state, self.space.bars
        return [
            self.record(transfer_adjoints(t.scalar).g2p, part.stop - part.start, [
                *self._views(part, (s.x[k], t.vec3), (s.F[k], t.mat33), (s.x[k + 1], t.vec3),
                             (s.C[k + 1], t.mat33)),
                *self._where(part), *self.frame, space.model.dt,
                space.as_warp(space.nodal_velocity, t.vec4),
                *self._views(part, (bars["x"], t.vec3), (bars["v"], t.vec3), (bars["C"], t.mat33),
                             (bars["F_trial"], t.mat33)),
                space.as_warp(space.velocity_bar[own], t.vec4),
                *self._views(part, (bars["x"], t.vec3), (bars["F"], t.mat33)),
            ])
            for part, own in zip(self.parts, self.nodes, strict=True)
        ]  # fmt: skip

    def _balance_adjoint(self) -> wp.Launch:
        space, t, bars = self.space, self.space.types, self.space.bars
        rows = len(space.touched)
        return self.record(grid_adjoint(t.scalar).balance, (rows, space.lanes), [
            *self._balance_inputs(), space.parts, space.as_warp(space.momentum, t.vec4),
            space.as_warp(space.velocity_bar, t.vec4), space.as_warp(space.momentum_bar, t.vec4),
            space.as_warp(bars["gravity"], t.vec3),
            space.as_warp(bars["wall_friction"], t.scalar), space.collider_bars,
        ])  # fmt: skip

    def _p2g_adjoint(self, k: int) -> list[wp.Launch]:
        space, t, bars = self.space, self.space.types, self.space.bars
        return [
            self.record(transfer_adjoints(t.scalar).p2g, part.stop - part.start, [
                *self._carried(k, part), *self._where(part), *self.frame, space.model.dt,
                space.as_warp(space.momentum_bar, t.vec4),
                *self._views(part, (bars["x"], t.vec3), (bars["v"], t.vec3), (bars["C"], t.mat33),
                             (bars["tau"], t.mat33), (bars["mass"], t.scalar),
                             (bars["volume"], t.scalar)),
            ])
            for part in self.parts
        ]  # fmt: skip
