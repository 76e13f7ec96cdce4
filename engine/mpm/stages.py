# SPDX-License-Identifier: Apache-2.0
"""The constitutive update of a step: a Warp launch for analytic laws, torch for the rest."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.laws.update import law_kernels
from rheograd.materials.law import Response

from ..law_groups import LawGroup
from .launches import Phase, dealt
from .model import MPMModel

if TYPE_CHECKING:
    from .workspace import Workspace


class Stage(ABC):
    """The laws of one group, reading F_trial and the history at slot k, writing slot k + 1."""

    capturable: bool = True
    """Whether a CUDA graph may hold what it launches."""

    @abstractmethod
    def load(self, tensors: Sequence[Tensor]) -> int:
        """Take the group's tensors from the front of `tensors`; how many were taken."""

    def memory(self) -> tuple[int, ...]:
        """Addresses of what is not the stage's own and is read at each step."""
        return ()

    @abstractmethod
    def forward(self, k: int) -> None:
        """F_trial, internal[k] -> tau, F, internal at slot k + 1."""

    @abstractmethod
    def start_backward(self) -> None:
        """Forget gathered parameter gradients."""

    @abstractmethod
    def backward(self, k: int) -> None:
        """Gradients of tau, F and internal -> of F_trial and internal, and of the parameters."""

    @abstractmethod
    def gradients(self) -> list[Tensor]:
        """Of the tensors that `load` took."""


class AnalyticStage(Stage):
    """Laws with a device form: no torch operation in the time loop."""

    def __init__(self, group: LawGroup, model: MPMModel, space: Workspace) -> None:
        """Allocate coefficients; launches are recorded at first use of a slot."""
        assert group.twin is not None
        self.group, self.model = group, model
        self.space: Workspace = weakref.proxy(space)  # which owns this
        self.kernels = law_kernels(*group.twin, space.types.scalar)
        like = model.x0
        self.coefficients = like.new_zeros(
            len(group.laws), len(group.laws[0].coefficients())
        ).contiguous()
        self.coefficients_bar = self.coefficients.repeat(space.parts, 1, 1)
        self.nothing = like.new_zeros(1, 1)
        self.internal_bar = like.new_zeros(model.n, model.n_internal)
        self.parts = [
            (part.stop - part.start, space.as_warp(group.index[part], wp.int32))
            for part in dealt(len(group.index), space.parts)
        ]
        self.row = space.as_warp(group.row, wp.int32)
        self.updates: dict[int, Phase] = {}
        self.adjoints: dict[int, Phase] = {}

    def load(self, tensors: Sequence[Tensor]) -> int:
        """See `Stage.load`."""
        self.coefficients.copy_(tensors[0])
        return 1

    def _history(self, value: Tensor) -> wp.array:
        scalar = self.space.types.scalar
        return self.space.as_warp(value if value.shape[-1] else self.nothing, scalar)

    def forward(self, k: int) -> None:
        """See `Stage.forward`."""
        if k not in self.updates:
            t, view, s = self.space.types, self.space.as_warp, self.space.state
            recorder, after = self.space.recorder, min(k + 1, self.space.slots)
            self.updates[k] = recorder.phase([
                recorder.record(self.kernels.update, count, [
                    index, view(self.space.F_trial, t.mat33), self._history(s.internal[k]),
                    self.model.dt, self.row, view(self.coefficients, t.scalar),
                    view(s.tau[after], t.mat33), view(s.F[after], t.mat33),
                    self._history(s.internal[after]),
                ])
                for count, index in self.parts
            ])  # fmt: skip
        self.updates[k].run(self.space.stream())

    def start_backward(self) -> None:
        """See `Stage.start_backward`."""
        self.coefficients_bar.zero_()

    def backward(self, k: int) -> None:
        """See `Stage.backward`."""
        bars = self.space.bars
        if k not in self.adjoints:
            t, view, s = self.space.types, self.space.as_warp, self.space.state
            recorder = self.space.recorder
            self.adjoints[k] = recorder.phase([
                recorder.record(self.kernels.adjoint, count, [
                    index, view(self.space.F_trial, t.mat33), self._history(s.internal[k]),
                    self.model.dt, self.row, view(self.coefficients, t.scalar),
                    view(bars["tau"], t.mat33), view(bars["F"], t.mat33),
                    self._history(bars["internal"]), view(bars["F_trial"], t.mat33),
                    self._history(self.internal_bar), view(own, t.scalar),
                ])
                for (count, index), own in zip(self.parts, self.coefficients_bar, strict=True)
            ])  # fmt: skip
        self.adjoints[k].run(self.space.stream())
        if self.group.laws[0].n_internal:
            i = self.group.index
            bars["internal"][i] = self.internal_bar[i]

    def gradients(self) -> list[Tensor]:
        """See `Stage.gradients`."""
        return [self.coefficients_bar.sum(0)]


class TorchStage(Stage):
    """A law of torch, for all its particles at once."""

    def __init__(self, group: LawGroup, model: MPMModel, space: Workspace) -> None:
        """Remember which particles are served, and make room for what the law keeps a slot."""
        self.law = group.laws[0]
        self.capturable = self.law.capturable
        self.m = self.law.n_internal
        self.dt = model.dt
        self.space: Workspace = weakref.proxy(space)
        self.index = None if group.everything else group.index.long()
        count = len(group.index)
        self.kept = [self.law.new_kept(count, model.x0) for _ in range(space.slots)]
        self.total = [torch.zeros_like(p) for p in self.law.parameters()]

    def load(self, tensors: Sequence[Tensor]) -> int:
        """See `Stage.load`; the law itself holds its parameters."""
        return len(list(self.law.parameters()))

    def memory(self) -> tuple[int, ...]:
        """See `Stage.memory`."""
        return tuple(parameter.data_ptr() for parameter in self.law.parameters())

    def forward(self, k: int) -> None:
        """See `Stage.forward`."""
        s, i, m = self.space.state, self.index, self.m
        after = min(k + 1, self.space.slots)
        F_trial, internal = self.space.F_trial, s.internal[k]
        if i is None:
            out = Response(s.tau[after], s.F[after], s.internal[after][:, :m])
            kept = self.kept[k] if self.kept else None
            self.law.update_into(F_trial, internal[:, :m], self.dt, out, kept)
            return
        out = self.law.update(F_trial[i], internal[i, :m], self.dt)
        s.tau[after][i] = out.tau
        s.F[after][i] = out.F_elastic
        if m:
            s.internal[after][i, :m] = out.internal

    def start_backward(self) -> None:
        """See `Stage.start_backward`."""
        for total in self.total:
            total.zero_()

    def backward(self, k: int) -> None:
        """See `Stage.backward`."""
        bars, i, m, s = self.space.bars, self.index, self.m, self.space.state
        F_trial, internal = self.space.F_trial, s.internal[k]
        if i is None:
            back = self.law.pullback(
                F_trial, internal[:, :m], self.dt, bars["tau"], bars["F"],
                bars["internal"][:, :m], kept=self.kept[k], F_elastic=s.F[k + 1],
                out=bars["F_trial"],
            )  # fmt: skip
            if m:
                bars["internal"][:, :m] = back.internal
        else:
            back = self.law.pullback(
                F_trial[i], internal[i, :m], self.dt, bars["tau"][i], bars["F"][i],
                bars["internal"][i, :m],
            )  # fmt: skip
            bars["F_trial"][i] = back.F_trial
            if m:
                bars["internal"][i, :m] = back.internal
        for total, part in zip(self.total, back.parameters, strict=True):
            total += part

    def gradients(self) -> list[Tensor]:
        """See `Stage.gradients`."""
        return [total.clone() for total in self.total]
