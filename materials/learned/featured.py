# SPDX-License-Identifier: Apache-2.0
"""A perceptron on features of F: through autograd, or block by block without a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rheograd.kernels.dtypes import building
from rheograd.kernels.learned.features import WIDTH, FeatureKernels, feature_kernels

from ..arrays import Launcher, matrices, precision, view
from . import perceptron
from .blockwise import reused
from .perceptron import Block, Packed, Perceptron


def kernels_of(features: str, like: Tensor) -> FeatureKernels:
    """The kernels of a kind of features in the precision of `like`."""
    with building:
        return feature_kernels(features, precision(like), not like.is_cuda)


class Measured(NamedTuple):
    """Rotations and features of a batch of F."""

    R: Tensor
    """Rotations [-], shape (q, 3, 3)."""
    x: Tensor
    """Features [-], shape (q, k)."""
    V: Tensor | None
    """Right singular vectors [-], shape (q, 3, 3), for features "full" only."""

    def views(self) -> list[Any]:
        """As arguments of kernels."""
        V = None if self.V is None else matrices(self.V)
        return [matrices(self.R), view(self.x, precision(self.x)), V]


def empty_measured(features: str, q: int, like: Tensor) -> Measured:
    """Memory for the features of `q` points, typed as `like`."""
    frame = like.new_empty(q, 3, 3)
    V = like.new_empty(q, 3, 3) if features == "full" else None
    return Measured(frame, like.new_empty(q, WIDTH[features]), V)


def measured(features: str, F: Tensor) -> Measured:
    """Of a contiguous batch of F, shape (q, 3, 3), at once and without a graph."""
    found, kernels = empty_measured(features, len(F), F), kernels_of(features, F)
    threads = -(-len(F) // kernels.lanes)
    Launcher(F)(kernels.measure, threads, [0, 0, len(F), matrices(F), *found.views()])
    return found


class _Features(torch.autograd.Function):
    """Features and rotation of F, with the exact adjoint of the kernels."""

    @staticmethod
    def forward(ctx: Any, F: Tensor, features: str) -> tuple[Tensor, Tensor]:
        F = F.detach().contiguous()
        m = measured(features, F)
        ctx.save_for_backward(F, *m)
        ctx.features = features
        return m.x, m.R

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, x_bar: Tensor, R_bar: Tensor) -> tuple[Tensor, None]:
        F, *saved = ctx.saved_tensors
        R, _x, V = Measured(*saved).views()
        F_bar = torch.zeros_like(F)
        x_bar, R_bar = x_bar.contiguous(), R_bar.contiguous()
        bars = [view(x_bar, precision(F)), matrices(R_bar), matrices(F_bar)]
        kernel = kernels_of(ctx.features, F).measure_adjoint
        Launcher(F)(kernel, len(F), [0, 0, matrices(F), R, V, *bars])
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
        if self.part.y.shape[0] != points:
            self.part = self.block if len(self.block.y) == points else self.block.narrow(points)
        return self.part


class Store:
    """What a pass of one network needs for itself: features of a block, weights."""

    def __init__(self, network: FeaturedNetwork, rows: int, like: Tensor):
        """See the class; typed as `like`."""
        measured = empty_measured(network.features, rows, like)
        self.measured = measured
        self.R, self.x, self.V = measured.views()
        self.part = measured.x
        self.weights = Packed(network.perceptron, like)

    def features(self, points: int) -> Tensor:
        """The first `points` rows of the features."""
        if self.part.shape[0] != points:
            self.part = self.measured.x[:points]
        return self.part


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
        R: Tensor | None = None,
        z: Tensor | None = None,
        backward: bool = False,
    ):
        """See the class.

        Args:
            network: The network.
            like: The batch of F, shape (q, 3, 3).
            scale: Of the output.
            slot: Of the workspace; two passes whose backward need what they left of a block, use
                different ones.
            R: Where the rotations of the whole batch are kept; None forgets them.
            z: Where the inputs of the last activation are kept; None forgets them.
            backward: Whether a backward pass follows.
        """
        self.launch = Launcher(like)
        self.kernels = kernels_of(network.features, like)
        self.network, self.scale = network.perceptron, scale
        key = (network.features, network.perceptron.widths)
        self.space = reused((*key, slot), like, lambda rows: Workspace(network, rows, like))
        self.store = reused((*key, type(self)), like, lambda rows: Store(network, rows, like))
        self.weights = self.store.weights
        self.weights.load(self.network, backward=backward)
        self.whole = R is not None
        self.R = self.store.R if R is None else matrices(R)
        self.z = z
        self.zs: Sequence[Tensor] = ()

    def row(self, start: int) -> int:
        """Row of the rotation of the point `start`, the first of a block."""
        return start if self.whole else 0

    def groups(self, points: int) -> int:
        """Threads of a kernel whose threads take several points."""
        return -(-points // self.kernels.lanes)

    def measure(self, start: int, points: int, F: Any) -> None:
        """Rotations and features of a block."""
        known = [start, self.row(start), points, F]
        out = [self.R, self.store.x, self.store.V]
        self.launch(self.kernels.measure, self.groups(points), [*known, *out])

    def recall(self, start: int, points: int, F: Any) -> None:
        """What `measure` wrote of a block whose rotations are kept."""
        known = [start, self.row(start), points, F, self.R]
        self.launch(self.kernels.recall, self.groups(points), [*known, self.store.x, self.store.V])

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
        x, block = self.store.features(points), self.space.rows(points)
        last = None if self.z is None else self.z[start : start + points]
        self.zs = perceptron.forward(
            self.weights, x, block, transient=transient, last=last, known=known
        )

    def backward(self, start: int, points: int, F: Any, F_bar: Any) -> None:
        """From the gradients of a block's outputs and rotations add to those of F."""
        block = self.space.rows(points)
        perceptron.backward(self.weights, self.store.features(points), self.zs, block)
        known = [start, self.row(start), F, self.R, self.store.V]
        bars = [self.space.x_bar_view, self.space.R_bar_view, F_bar]
        self.launch(self.kernels.measure_adjoint, points, [*known, *bars])

    def parameter_gradients(self) -> tuple[Tensor, ...]:
        """One per parameter of the network, over all blocks so far."""
        return self.weights.finished(self.network)


class StressPass(Pass):
    """The stress of a block of F, and its pullback."""

    def write(self, start: int, points: int, F: Any, tau_out: Any) -> None:
        """After `evaluate`."""
        known = [start, self.row(start), F, self.R, self.space.y_view, self.scale]
        self.launch(self.kernels.stress, points, [*known, tau_out])

    def pull(self, start: int, points: int, F: Any, tau_bar: Any, F_bar: Any) -> None:
        """After `evaluate`: add to the gradient of F."""
        space = self.space
        known = [start, self.row(start), F, self.R, space.y_view, self.scale, tau_bar]
        out = [space.y_bar_view, space.R_bar_view, F_bar]
        self.launch(self.kernels.stress_adjoint, points, [*known, *out])
        self.backward(start, points, F, F_bar)


class FlowPass(Pass):
    """The plastic flow of a block of F_trial, and its pullback."""

    def write(self, start: int, points: int, F_trial: Any, F_out: Any) -> None:
        """After `evaluate`."""
        known = [start, self.row(start), F_trial, self.R, self.space.y_view, self.scale]
        self.launch(self.kernels.flow, points, [*known, F_out])

    def advance(self, start: int, points: int, F_trial: Any, F_out: Any, after: Pass) -> None:
        """After `evaluate`: `write`, and `after.measure` of what was written."""
        known = [start, self.row(start), points, F_trial, self.R, self.space.y_view, self.scale]
        out = [F_out, after.R, after.store.x, after.store.V]
        self.launch(self.kernels.advance, self.groups(points), [*known, *out])

    def follow(self, start: int, points: int, F: Any, after: Pass) -> None:
        """What `advance` leaves in `after`, of a known F; after `measure` or `recall`."""
        known = [start, self.row(start), points, F, self.R]
        out = [after.R, after.store.x, after.store.V]
        self.launch(self.kernels.follow, self.groups(points), [*known, *out])

    def pull(self, start: int, points: int, F_trial: Any, F_bar: Any) -> None:
        """After `evaluate`: turn the gradient of F into that of F_trial, in place."""
        space = self.space
        known = [start, self.row(start), self.R, space.y_view, self.scale, F_bar]
        out = [space.y_bar_view, space.R_bar_view]
        self.launch(self.kernels.flow_adjoint, points, [*known, *out])
        self.backward(start, points, F_trial, F_bar)
