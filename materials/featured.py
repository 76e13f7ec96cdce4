# SPDX-License-Identifier: Apache-2.0
"""A perceptron on features of F: through autograd, or block by block without a graph.

Without a graph, a block of points passes through all kernels and matrix products before the next
one is begun, so that it stays in the cache. The buffers of a block belong to the thread that runs
it; all results go into tensors of the call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from rheograd.kernels.dtypes import building
from rheograd.kernels.features import WIDTH, FeatureKernels, feature_kernels

from . import perceptron
from .arrays import Launcher, matrices, precision, view
from .perceptron import Block, Packed, Perceptron

T = TypeVar("T")

ROWS = {"cpu": 4096, "cuda": 1 << 17}
"""Points in a block: on a CPU the buffers of two networks then fill 9 MB in float32."""

MOST_SPACES = 16
"""Workspaces that a thread keeps."""

_own = threading.local()


def kernels_of(features: str, like: Tensor) -> FeatureKernels:
    """The kernels of a kind of features in the precision of `like`."""
    with building:
        return feature_kernels(features, precision(like))


class Measured(NamedTuple):
    """What the features of a batch of F leave behind; kept, it need not be computed again."""

    x: Tensor
    """Features [-], shape (q, k)."""
    R: Tensor
    """Rotations [-], shape (q, 3, 3)."""
    V: Tensor | None
    """Right singular vectors [-], shape (q, 3, 3), for features "full" only."""
    z: Tensor | None = None
    """Inputs of the last activation [-], shape (q, width), if they are kept too."""

    def views(self) -> list[Any]:
        """As arguments of kernels."""
        frames = [None if t is None else matrices(t) for t in (self.R, self.V)]
        return [view(self.x, precision(self.x)), *frames]


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
        m = empty_measured(features, len(F), F)
        kernels = kernels_of(features, F)
        Launcher(F)(kernels.measure, len(F), [0, 0, matrices(F), *m.views()])
        ctx.save_for_backward(F, m.x, m.R, m.V)
        ctx.kernels = kernels
        return m.x, m.R

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, x_bar: Tensor, R_bar: Tensor) -> tuple[Tensor, None]:
        F, x, R, V = ctx.saved_tensors
        _x, *frames = Measured(x, R, V).views()
        F_bar = torch.zeros_like(F)
        x_bar, R_bar = x_bar.contiguous(), R_bar.contiguous()
        bars = [view(x_bar, precision(F)), matrices(R_bar), matrices(F_bar)]
        Launcher(F)(ctx.kernels.measure_adjoint, len(F), [0, 0, matrices(F), *frames, *bars])
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
        self.block = Block(network.perceptron, rows, like)
        self.part = self.block
        self.R_bar = like.new_empty(rows, 3, 3)
        self.y_view = view(self.block.y, scalar)
        self.y_bar_view = view(self.block.y_bar, scalar)
        self.x_bar_view = view(self.block.x_bar, scalar)
        self.R_bar_view = matrices(self.R_bar)

    def rows(self, points: int) -> Block:
        """The first `points` rows of the buffers."""
        if len(self.part.y) != points:
            self.part = self.block if len(self.block.y) == points else self.block.narrow(points)
        return self.part


class Store:
    """What a pass of one network needs for itself: features of a block, weights."""

    def __init__(self, network: FeaturedNetwork, rows: int, like: Tensor):
        """See the class; typed as `like`."""
        self.measured = empty_measured(network.features, rows, like)
        self.views = self.measured.views()
        self.weights = Packed(network.perceptron, like)


def reused(key: tuple[Any, ...], like: Tensor, make: Callable[[int], T]) -> T:
    """What `make` returns for the number of rows of a block, made once for each thread and key.

    On CUDA it is made anew, which costs nothing there and suits streams and graph capture.
    """
    rows = ROWS[like.device.type]
    if like.is_cuda:
        return make(min(rows, len(like)))
    spaces = _own.__dict__.setdefault("spaces", {})
    key = (*key, rows, like.dtype)
    if key not in spaces:
        if len(spaces) >= MOST_SPACES:
            spaces.pop(next(iter(spaces)))
        spaces[key] = make(rows)
    return spaces[key]


def blocks(like: Tensor) -> Iterator[tuple[int, int]]:
    """First point and number of points of every block of a batch."""
    rows = ROWS[like.device.type]
    for start in range(0, len(like), rows):
        yield start, min(rows, len(like) - start)


class Pass:
    """The work of one network within one call, block by block and without a graph.

    A block goes through `measure`, `evaluate` and what a subclass does with the output. Backward,
    it needs `evaluate` again unless nothing else used the workspace since.
    """

    def __init__(
        self,
        network: FeaturedNetwork,
        like: Tensor,
        scale: float,
        *,
        slot: int = 0,
        keep: Measured | None = None,
        backward: bool = False,
    ):
        """See the class.

        Args:
            network: The network.
            like: The batch of F, shape (q, 3, 3).
            scale: Of the output.
            slot: Of the workspace; two passes whose backward need what they left of a block, use
                different ones.
            keep: Where the features of the whole batch are stored; None forgets them.
            backward: Whether a backward pass follows.
        """
        self.launch = Launcher(like)
        self.kernels = kernels_of(network.features, like)
        self.network, self.scale = network.perceptron, scale
        key = (network.features, network.perceptron.widths)
        self.space = reused((*key, slot), like, lambda rows: Workspace(network, rows, like))
        store = reused((*key, type(self)), like, lambda rows: Store(network, rows, like))
        self.weights = store.weights
        self.weights.load(self.network, backward=backward)
        self.whole = keep is not None
        self.x = store.measured.x if keep is None else keep.x
        self.z = None if keep is None else keep.z
        self.zs: Sequence[Tensor] = ()
        self.views = store.views if keep is None else keep.views()

    def measure(self, start: int, points: int, F: Any) -> None:
        """Features of a block."""
        row = start if self.whole else 0
        self.launch(self.kernels.measure, points, [start, row, F, *self.views])

    def evaluate(
        self, start: int, points: int, *, transient: bool = False, known: bool = False
    ) -> None:
        """Network outputs of a block.

        Args:
            start: First point.
            points: Number of points.
            transient: Whether it is not followed by `backward`.
            known: Whether all that is kept is there from an earlier call.
        """
        row = start if self.whole else 0
        x, block = self.x[row : row + points], self.space.rows(points)
        last = None if self.z is None else self.z[row : row + points]
        self.zs = perceptron.forward(
            self.weights, x, block, transient=transient, last=last, known=known
        )

    def backward(self, start: int, points: int, F: Any, F_bar: Any) -> None:
        """From the gradients of a block's outputs and rotations add to those of F."""
        row = start if self.whole else 0
        x = self.x[row : row + points]
        block = self.space.rows(points)
        perceptron.backward(self.weights, x, self.zs, block)
        _x, R, V = self.views
        bars = [self.space.x_bar_view, self.space.R_bar_view, F_bar]
        self.launch(self.kernels.measure_adjoint, points, [start, row, F, R, V, *bars])

    def parameter_gradients(self) -> tuple[Tensor, ...]:
        """One per parameter of the network, over all blocks so far."""
        return self.weights.finished(self.network)


class StressPass(Pass):
    """The stress of a block of F, and its pullback."""

    def write(self, start: int, points: int, F: Any, tau_out: Any) -> None:
        """After `evaluate`."""
        row = start if self.whole else 0
        known = [start, row, F, self.views[1], self.space.y_view, self.scale]
        self.launch(self.kernels.stress, points, [*known, tau_out])

    def pull(self, start: int, points: int, F: Any, tau_bar: Any, F_bar: Any) -> None:
        """After `evaluate`: add to the gradient of F."""
        row = start if self.whole else 0
        space = self.space
        known = [start, row, F, self.views[1], space.y_view, self.scale, tau_bar]
        out = [space.y_bar_view, space.R_bar_view, F_bar]
        self.launch(self.kernels.stress_adjoint, points, [*known, *out])
        self.backward(start, points, F, F_bar)


class FlowPass(Pass):
    """The plastic flow of a block of F_trial, and its pullback."""

    def write(self, start: int, points: int, F_trial: Any, F_out: Any) -> None:
        """After `evaluate`."""
        row = start if self.whole else 0
        known = [start, row, F_trial, self.views[1], self.space.y_view, self.scale]
        self.launch(self.kernels.flow, points, [*known, F_out])

    def advance(self, start: int, points: int, F_trial: Any, F_out: Any, after: Pass) -> None:
        """After `evaluate`: `write`, and `after.measure` of what was written."""
        row = start if self.whole else 0
        known = [start, row, F_trial, self.views[1], self.space.y_view, self.scale]
        self.launch(self.kernels.advance, points, [*known, F_out, *after.views])

    def pull(self, start: int, points: int, F_trial: Any, F_bar: Any) -> None:
        """After `evaluate`: turn the gradient of F into that of F_trial, in place."""
        row = start if self.whole else 0
        space = self.space
        known = [start, row, self.views[1], space.y_view, self.scale, F_bar]
        out = [space.y_bar_view, space.R_bar_view]
        self.launch(self.kernels.flow_adjoint, points, [*known, *out])
        self.backward(start, points, F_trial, F_bar)
