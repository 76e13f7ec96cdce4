# SPDX-License-Identifier: Apache-2.0
"""The motion of any number of points from that of the sparse ones: a fixed linear map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.dtypes import types
from rheograd.kernels.points.interpolation import interpolation_kernels
from rheograd.materials.arrays import Launcher, plain, precision, view

from .correction import Correction, corrected
from .interpolation import NEIGHBOURS, Weights, moving_least_squares

Kind = Literal["value", "slope"]


class FullOrderMap:
    """Displacement and deformation gradient of queries from displacements of sparse points.

    Weights are made once, at rest; a frame costs time proportional to the queries. Affine motions,
    so all rigid ones, are exact. Differentiable in the displacements, twice and more; sums have a
    fixed order, so results and gradients repeat to the last digit. Float32 and float64, on the
    device of the points.
    """

    def __init__(
        self,
        queries: Tensor,
        points: Tensor,
        *,
        query_body: Tensor | None = None,
        point_body: Tensor | None = None,
        k: int = NEIGHBOURS,
        correction: Correction | None = None,
    ):
        """Make the weights.

        Args:
            queries: At rest [m], shape (q, 3).
            points: The sparse points at rest [m], shape (n, 3).
            query_body: Body of each query, shape (q,), integers.
            point_body: Body of each sparse point, shape (n,).
            k: Sparse points that a query listens to; a correction brings its own.
            correction: What was learned about other motions; None is moving least squares alone.

        Raises:
            ValueError: See `moving_least_squares`.
        """
        bodies = {"query_body": query_body, "point_body": point_body}
        self.weights: Weights = (
            moving_least_squares(queries, points, k=k, **bodies)
            if correction is None
            else corrected(correction, queries, points, **bodies)
        )
        """In float64."""
        self.points = len(points)
        self._tables: dict[torch.dtype, _Table] = {}

    def __len__(self) -> int:
        """Queries."""
        return len(self.weights.value)

    def displacement(self, u: Tensor) -> Tensor:
        """Of the queries [m], shape (..., q, 3), from that of the sparse points u (..., n, 3).

        Raises:
            TypeError: u is neither float32 nor float64.
            ValueError: u has another shape, or is on another device than the points.
        """
        frames = self._frames(u)
        out: Tensor = _Linear.apply(self._table(u), "value", 0.0, frames)
        return out.view(*u.shape[:-2], len(self), 3)

    def gradient(self, u: Tensor) -> Tensor:
        """Deformation gradient I + Σ u ⊗ slope, shape (..., q, 3, 3), likewise."""
        frames = self._frames(u)
        out: Tensor = _Linear.apply(self._table(u), "slope", 1.0, frames)
        return out.view(*u.shape[:-2], len(self), 3, 3)

    def _frames(self, u: Tensor) -> Tensor:
        """Shape (f, n, 3)."""
        precision(u)
        if u.ndim < 2 or u.shape[-2:] != (self.points, 3):
            raise ValueError(
                f"displacements have shape {tuple(u.shape)}, expected (..., {self.points}, 3):"
                " of the sparse points that the weights were made for"
            )
        if u.device != self.weights.value.device:
            raise ValueError(
                f"displacements are on {u.device}, the weights on {self.weights.value.device}:"
                " make the map of points there"
            )
        return u.reshape(-1, self.points, 3)

    def _table(self, u: Tensor) -> _Table:
        if u.dtype not in self._tables:
            index, value, slope = self.weights
            self._tables[u.dtype] = _Table(
                index.to(torch.int32), value.to(u.dtype), slope.to(u.dtype), self.points
            )
        return self._tables[u.dtype]


@dataclass(frozen=True, eq=False)
class _Table:
    """Weights as the kernels take them."""

    index: Tensor
    value: Tensor
    slope: Tensor
    points: int

    @cached_property
    def transposed(self) -> tuple[Tensor, Tensor]:
        """Where each sparse point's entries start (n + 1,), and the entries (q k,), both int32."""
        flat = self.index.flatten().long()
        entry = torch.sort(flat, stable=True).indices
        count = torch.bincount(flat, minlength=self.points)
        start = torch.nn.functional.pad(count.cumsum(0), (1, 0))
        return start.to(torch.int32), entry.to(torch.int32)


class _Linear(torch.autograd.Function):
    """Σ value u or Σ u ⊗ slope, (f, n, 3) to (f, q, ...); `_Transposed` the way back."""

    @staticmethod
    def forward(ctx: Any, table: _Table, kind: Kind, diagonal: float, u: Tensor) -> Tensor:
        ctx.table, ctx.kind = table, kind
        (u,) = plain(u)
        shape = (len(u), len(table.index), *((3,) if kind == "value" else (3, 3)))
        out = u.new_empty(shape)
        extra = [] if kind == "value" else [diagonal]
        arguments = [table.index, *_weight(table, kind), *extra, u, out]
        _launch(getattr(_kernels(u), kind), u, shape[0] * shape[1], arguments)
        return out

    @staticmethod
    def backward(ctx: Any, *bars: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, _Transposed.apply(ctx.table, ctx.kind, bars[0])


class _Transposed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: _Table, kind: Kind, bar: Tensor) -> Tensor:
        ctx.table, ctx.kind = table, kind
        (bar,) = plain(bar)
        out = bar.new_empty(len(bar), table.points, 3)
        arguments = [*table.transposed, *_weight(table, kind), bar, out]
        kernel = getattr(_kernels(bar), f"{kind}_adjoint")
        _launch(kernel, bar, len(bar) * table.points, arguments)
        return out

    @staticmethod
    def backward(ctx: Any, *bars: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, _Linear.apply(ctx.table, ctx.kind, 0.0, bars[0])


def _weight(table: _Table, kind: Kind) -> list[Any]:
    """As a view: scalars and vectors are told apart by the kind, not by the shape."""
    scalar = precision(table.value)
    if kind == "value":
        return [view(table.value, scalar)]
    return [view(table.slope, types(scalar).vec3)]


def _kernels(like: Tensor) -> Any:
    return interpolation_kernels(precision(like))


def _launch(kernel: wp.Kernel, like: Tensor, threads: int, arguments: list[Any]) -> None:
    """Tensors of integers are scalars; of others, frames of vectors or of matrices."""
    if not threads:
        return  # strides of empty tensors say nothing
    t = types(precision(like))
    kinds = {3: t.vec3, 4: t.mat33}
    seen = [view(a, kinds.get(a.ndim, wp.int32)) if isinstance(a, Tensor) else a for a in arguments]
    Launcher(like)(kernel, threads, seen)
