# SPDX-License-Identifier: Apache-2.0
"""A perceptron on features of F: through autograd, or block by block without a graph.

Without a graph, a block of points passes through all kernels and matrix products before the next
one is begun, so that it stays in the cache. The buffers of a block belong to the thread that runs
it; all results go into tensors of the call.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import warp as wp
from torch import Tensor, nn

from rheograd.kernels.dtypes import types
from rheograd.kernels.features import WIDTH, FeatureKernels, feature_kernels

from . import perceptron
from .arrays import as_warp
from .perceptron import Block, Perceptron

ROWS = {"cpu": 2048, "cuda": 1 << 17}
"""Points in a block: on a CPU the buffers of two networks then fill 9 MB in float32."""

MOST_SPACES = 8
"""Workspaces that a thread keeps."""

_SCALARS = {torch.float32: wp.float32, torch.float64: wp.float64}
_own = threading.local()
_building = threading.RLock()
_launched: set[tuple[wp.Kernel, str]] = set()


def precision(F: Tensor) -> Any:
    """The Warp scalar type of `F`.

    Raises:
        TypeError: It is neither float32 nor float64.
    """
    if F.dtype not in _SCALARS:
        raise TypeError(f"laws work in torch.float32 and torch.float64; got {F.dtype}")
    return _SCALARS[F.dtype]


def kernels_of(features: str, like: Tensor) -> FeatureKernels:
    """The kernels of a kind of features in the precision of `like`."""
    with _building:
        return feature_kernels(features, precision(like))


class Launcher:
    """Launches kernels on the current stream of a tensor's device.

    Warp compiles and loads modules at the first launch, which only one thread at a time may do.
    """

    def __init__(self, like: Tensor):
        """See the class."""
        self.device = wp.device_from_torch(like.device)
        self.stream = wp.stream_from_torch(like.device) if like.is_cuda else None

    def __call__(self, kernel: wp.Kernel, points: int, arguments: list[Any]) -> None:
        """Launch a forward kernel over `points`."""
        key = (kernel, self.device.alias)
        if key in _launched:
            wp.launch(kernel, points, arguments, device=self.device, stream=self.stream)
            return
        with _building:
            wp.launch(kernel, points, arguments, device=self.device, stream=self.stream)
            _launched.add(key)


class Measured(NamedTuple):
    """What the features of a batch of F leave behind; kept, it need not be computed again."""

    x: Tensor
    """Features [-], shape (q, k)."""
    R: Tensor
    """Rotations [-], shape (q, 3, 3)."""
    V: Tensor | None
    """Right singular vectors [-], shape (q, 3, 3), for features "full" only."""


def empty_measured(features: str, q: int, like: Tensor) -> Measured:
    """Memory for the features of `q` points, typed as `like`."""
    frame = like.new_empty(q, 3, 3)
    V = like.new_empty(q, 3, 3) if features == "full" else None
    return Measured(like.new_empty(q, WIDTH[features]), frame, V)


class _Features(torch.autograd.Function):
    """Features and rotation of F, with the exact adjoint of the kernels."""

    @staticmethod
    def forward(ctx: Any, F: Tensor, features: str) -> tuple[Tensor, Tensor]:
        F = F.detach().contiguous()
        scalar = precision(F)
        views = types(scalar)
        m = empty_measured(features, len(F), F)
        frames = [None if t is None else as_warp(t, views.mat33) for t in (m.R, m.V)]
        kernels = kernels_of(features, F)
        into = [as_warp(F, views.mat33), as_warp(m.x, scalar), *frames]
        Launcher(F)(kernels.measure, len(F), [0, 0, *into])
        ctx.save_for_backward(F, *m)
        ctx.kernels = kernels
        return m.x, m.R

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, x_bar: Tensor, R_bar: Tensor) -> tuple[Tensor, None]:
        F, _x, R, V = ctx.saved_tensors
        scalar = precision(F)
        views = types(scalar)
        F_bar = torch.zeros_like(F)
        x_bar, R_bar = x_bar.contiguous(), R_bar.contiguous()
        frames = [None if t is None else as_warp(t, views.mat33) for t in (F, R, V)]
        arrays = [*frames, as_warp(x_bar, scalar), as_warp(R_bar, views.mat33)]
        Launcher(F)(
            ctx.kernels.measure_adjoint, len(F), [0, 0, *arrays, as_warp(F_bar, views.mat33)]
        )
        return F_bar, None


class FeaturedNetwork(nn.Module):
    """A perceptron from the features of F to nine numbers, the entries of X row by row."""

    def __init__(self, features: str, widths: Sequence[int], seed: int | None):
        """See the class; `features` is a key of `kernels.features.WIDTH`."""
        super().__init__()
        self.features = features
        self.perceptron = Perceptron(WIDTH[features], 9, widths, seed)

    def forward(self, F: Tensor) -> tuple[Tensor, Tensor]:
        """H, symmetric, and the rotation R of F, both of shape (q, 3, 3), differentiable."""
        x, R = _Features.apply(F, self.features)
        X = self.perceptron(x).unflatten(1, (3, 3))
        return 0.5 * (X + X.mT), R


class Workspace:
    """Buffers of one network for one block."""

    def __init__(self, network: FeaturedNetwork, rows: int, like: Tensor):
        """See the class; buffers are typed as `like`."""
        scalar = precision(like)
        mat33 = types(scalar).mat33
        self.measured = empty_measured(network.features, rows, like)
        self.block = Block(network.perceptron, rows, like)
        self.part = self.block
        self.R_bar = like.new_empty(rows, 3, 3)
        self.y_view = as_warp(self.block.y, scalar)
        self.y_bar_view = as_warp(self.block.y_bar, scalar)
        self.x_bar_view = as_warp(self.block.x_bar, scalar)
        self.R_bar_view = as_warp(self.R_bar, mat33)

    def rows(self, points: int) -> Block:
        """The first `points` rows of the buffers."""
        if len(self.part.y) != points:
            self.part = self.block if len(self.block.y) == points else self.block.narrow(points)
        return self.part


def workspace(network: FeaturedNetwork, like: Tensor, slot: int) -> Workspace:
    """This thread's buffers; two networks that work in turns on a block need different slots.

    On CUDA they are allocated anew, which costs nothing there and suits streams and graph capture.
    """
    rows = ROWS[like.device.type]
    if like.is_cuda:
        return Workspace(network, min(rows, len(like)), like)
    spaces = _own.__dict__.setdefault("spaces", {})
    key = (slot, like.dtype, network.features, network.perceptron.widths)
    if key not in spaces:
        if len(spaces) >= MOST_SPACES:
            spaces.pop(next(iter(spaces)))
        spaces[key] = Workspace(network, rows, like)
    return spaces[key]


def blocks(like: Tensor) -> Iterator[tuple[int, int]]:
    """First point and number of points of every block of a batch."""
    rows = ROWS[like.device.type]
    for start in range(0, len(like), rows):
        yield start, min(rows, len(like) - start)


class Pass:
    """The work of one network within one call, block by block and without a graph."""

    def __init__(
        self,
        network: FeaturedNetwork,
        like: Tensor,
        scale: float,
        *,
        slot: int = 0,
        keep: Measured | None = None,
        kept: bool = False,
    ):
        """See the class.

        Args:
            network: The network.
            like: The batch of F, shape (q, 3, 3).
            scale: Of the output.
            slot: See `workspace`.
            keep: Where the features of the whole batch are stored; None forgets them.
            kept: Whether they are there already.
        """
        scalar = precision(like)
        self.launch = Launcher(like)
        self.kernels = kernels_of(network.features, like)
        self.network, self.scale = network, scale
        self.space = workspace(network, like, slot)
        self.weights = network.perceptron.packed(like)
        self.store = self.space.measured if keep is None else keep
        self.whole, self.kept = keep is not None, kept
        mat33 = types(scalar).mat33
        x, R, V = self.store
        self.views = (as_warp(x, scalar), as_warp(R, mat33), V if V is None else as_warp(V, mat33))
        self.gradients = perceptron.gradient_buffers(self.weights)

    def forward(self, start: int, points: int, F: wp.array) -> None:
        """Features and network outputs of a block."""
        row = start if self.whole else 0
        if not self.kept:
            self.launch(self.kernels.measure, points, [start, row, F, *self.views])
        x = self.store.x[row : row + points]
        perceptron.forward(self.weights, x, self.space.rows(points))

    def backward(self, start: int, points: int, F: wp.array, F_bar: wp.array) -> None:
        """From the gradients of a block's outputs and rotations add to those of F."""
        row = start if self.whole else 0
        x = self.store.x[row : row + points]
        block = self.space.rows(points)
        perceptron.backward(self.weights, x, block, self.gradients, add=start > 0)
        _x, R, V = self.views
        bars = [self.space.x_bar_view, self.space.R_bar_view, F_bar]
        self.launch(self.kernels.measure_adjoint, points, [start, row, F, R, V, *bars])

    def parameter_gradients(self) -> tuple[Tensor, ...]:
        """One per parameter of the network, over all blocks so far."""
        return perceptron.finished(self.gradients, self.network.perceptron)


class StressPass(Pass):
    """The stress of a block of F, and its pullback."""

    def write(self, start: int, points: int, F: wp.array, tau_out: wp.array) -> None:
        """After `forward`."""
        row = start if self.whole else 0
        known = [start, row, F, self.views[1], self.space.y_view, self.scale]
        self.launch(self.kernels.stress, points, [*known, tau_out])

    def pull(
        self, start: int, points: int, F: wp.array, tau_bar: wp.array, F_bar: wp.array
    ) -> None:
        """After `forward`: add to the gradient of F."""
        row = start if self.whole else 0
        space = self.space
        known = [start, row, F, self.views[1], space.y_view, self.scale, tau_bar]
        out = [space.y_bar_view, space.R_bar_view, F_bar]
        self.launch(self.kernels.stress_adjoint, points, [*known, *out])
        self.backward(start, points, F, F_bar)


class FlowPass(Pass):
    """The plastic flow of a block of F_trial, and its pullback."""

    def write(self, start: int, points: int, F_trial: wp.array, F_out: wp.array) -> None:
        """After `forward`."""
        row = start if self.whole else 0
        known = [start, row, F_trial, self.views[1], self.space.y_view, self.scale]
        self.launch(self.kernels.flow, points, [*known, F_out])

    def pull(self, start: int, points: int, F_trial: wp.array, F_bar: wp.array) -> None:
        """After `forward`: turn the gradient of F into that of F_trial, in place."""
        row = start if self.whole else 0
        space = self.space
        known = [start, row, self.views[1], space.y_view, self.scale, F_bar]
        out = [space.y_bar_view, space.R_bar_view]
        self.launch(self.kernels.flow_adjoint, points, [*known, *out])
        self.backward(start, points, F_trial, F_bar)
