# SPDX-License-Identifier: Apache-2.0
"""A bias-free perceptron, and its passes forward and backward without an autograd graph.

The graph-free passes work on a block of points that fits the cache, in buffers that the caller
owns, so that any number of threads may run the same network. Matrix products with few columns are
padded to `PAD`: twice as fast with MKL (53 to 28 ns a point for 64 x 9 in float32).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear

PAD = 16
WIDEST = 4096
DEEPEST = 16


def hidden_widths(widths: Sequence[int]) -> tuple[int, ...]:
    """The widths of hidden layers, if a network can have them.

    Raises:
        ValueError: There are not 1 to 16, or one is not between 1 and 4096.
    """
    possible = all(isinstance(w, int) and 1 <= w <= WIDEST for w in widths)
    if not possible or not 1 <= len(widths) <= DEEPEST:
        raise ValueError(
            f"got widths = {str(list(widths))[:80]}, expected 1 to {DEEPEST} hidden layers of"
            f" widths from 1 to {WIDEST}: give for example widths=(16, 16)"
        )
    return tuple(widths)


class Perceptron(nn.Module):
    """Linear layers without biases, GELU between them: zero is mapped to zero.

    The weights of a layer, shape (n_out, n_in), are drawn from Glorot's uniform distribution.
    """

    def __init__(self, n_in: int, n_out: int, widths: Sequence[int], seed: int | None = None):
        """See the class.

        Args:
            n_in: Inputs.
            n_out: Outputs.
            widths: Of the hidden layers, at least one.
            seed: Of the weights; None draws them from torch's global generator.

        Raises:
            ValueError: There are not 1 to 16 widths, or one is not between 1 and 4096.
        """
        super().__init__()
        self.n_in, self.n_out, self.widths = n_in, n_out, hidden_widths(widths)
        sizes = [n_in, *widths, n_out]
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        self.weights = nn.ParameterList(
            nn.init.xavier_uniform_(torch.empty(rows, columns), generator=generator)
            for columns, rows in pairwise(sizes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Outputs, shape (q, n_out), of inputs (q, n_in), computed in the precision of `x`."""
        *hidden, last = (weight.to(x.dtype) for weight in self.weights)
        for weight in hidden:
            x = gelu(linear(x, weight))
        return linear(x, last)

    @torch.no_grad()
    def start_linear(self, target: Tensor, gain: float = 1.0) -> None:
        """Choose weights with which the network is the linear map `target`, exactly.

        As gelu(z) - gelu(-z) = z, units in pairs of opposite weights pass on what they get. The
        directions of the pairs stay random, so training makes of them what it needs.

        Args:
            target: Shape (n_out, n_in).
            gain: Factor on the random weights of the first layer.

        Raises:
            ValueError: A width is odd, or too narrow to carry n_in numbers.
        """
        if any(w % 2 or w // 2 < self.n_in for w in self.widths):
            raise ValueError(
                f"a linear start needs even widths of at least {2 * self.n_in}; got {self.widths}"
            )
        self.weights[0].mul_(gain)
        carried = torch.eye(self.n_in, dtype=torch.float64)  # what the first of each pair receives
        for depth, weight in enumerate(self.weights[:-1]):
            half = weight.shape[0] // 2
            if depth == 0:
                block = weight[:half]
                weight[half:] = -block
            else:
                block = weight[:half, : weight.shape[1] // 2]
                weight.copy_(
                    torch.cat([torch.cat([block, -block], 1), torch.cat([-block, block], 1)])
                )
            carried = block.double().cpu() @ carried
        out = target.double().cpu() @ torch.linalg.pinv(carried)
        self.weights[-1].copy_(torch.cat([out, -out], 1))


class Packed:
    """Weights as the graph-free passes need them, and the sums of their gradients."""

    def __init__(self, network: Perceptron, like: Tensor):
        """Allocate the padded ones, typed as `like`."""
        first, *_, last = network.weights
        self._first = like.new_zeros(len(first), padded(network.n_in))
        self._last = like.new_zeros(padded(network.n_out), last.shape[1])
        self.forth: list[Tensor] = []
        """Each of shape (n_in, n_out), the last with padded n_out."""
        self.back: list[Tensor] = []
        """Each of shape (n_out, n_in), the first with padded n_in."""
        self.gradients: list[Tensor] = []
        """Of shape (n_out, n_in), but the first transposed."""
        self._taken: Sequence[tuple[Tensor, int]] = []
        self._plain: list[Tensor] = []
        self._ends = self._first[:, : network.n_in], self._last[: network.n_out]

    def load(self, network: Perceptron, *, backward: bool) -> None:
        """Take the present weights; for a backward pass, start the sums of gradients."""
        present = network.weights._parameters.values()  # the list itself is slow to go through
        weights = [(weight, weight.data_ptr()) for weight in present if weight is not None]
        if not self._holds(weights):
            plain = [weight.detach().to(self._last.dtype) for weight, _ in weights]
            self.forth = [*(weight.t() for weight in plain[:-1]), self._last.t()]
            self.back = [self._first, *plain[1:]]
            self._taken, self._plain = weights, plain
        self._ends[1].copy_(self._plain[-1])
        if backward:
            first, *others = self._plain
            self._ends[0].copy_(first)
            self.gradients = [w.new_zeros(w.shape) for w in (first.t(), *others)]

    def _holds(self, weights: Sequence[tuple[Tensor, int]]) -> bool:
        """Whether views of these weights, in the same places, were taken already."""
        return len(weights) == len(self._taken) and all(
            new is old and place == before and new.dtype is self._last.dtype
            for (new, place), (old, before) in zip(weights, self._taken, strict=True)
        )

    def finished(self, network: Perceptron) -> tuple[Tensor, ...]:
        """The gradients of `network.weights`."""
        oriented = [self.gradients[0].t().contiguous(), *self.gradients[1:]]
        pairs = zip(oriented, network.weights, strict=True)
        return tuple(gradient.to(weight.dtype) for gradient, weight in pairs)


def padded(columns: int) -> int:
    """The next multiple of PAD; one column stays one, for which there are faster routines."""
    return 1 if columns == 1 else -(-columns // PAD) * PAD


class Block:
    """What the passes over up to `rows` points write."""

    def __init__(self, network: Perceptron, rows: int, like: Tensor):
        """See the class; buffers are typed as `like`."""

        def empty(columns: int) -> Tensor:
            return torch.empty(rows, columns, dtype=like.dtype, device=like.device)

        self.z = [empty(width) for width in network.widths]
        """Inputs of the activations, shape (rows, width) each."""
        self.h = [empty(width) for width in network.widths]
        """Outputs of the activations."""
        self.y = empty(padded(network.n_out))
        """Outputs, then padding, shape (rows, padded n_out)."""
        self.y_bar = empty(network.n_out)
        """Gradients with respect to the outputs, shape (rows, n_out)."""
        self.x_bar = empty(padded(network.n_in))
        """Gradients with respect to the inputs, then padding, shape (rows, padded n_in)."""

    def narrow(self, rows: int) -> Block:
        """The first rows of each buffer."""
        part = Block.__new__(Block)
        for name, value in vars(self).items():
            many = isinstance(value, list)
            setattr(part, name, [v[:rows] for v in value] if many else value[:rows])
        return part


def forward(
    weights: Packed,
    x: Tensor,
    block: Block,
    *,
    transient: bool = False,
    last: Tensor | None = None,
    known: bool = False,
) -> list[Tensor]:
    """Fill y of a block, and z and h unless `transient`; the z, which `backward` wants.

    Args:
        weights: Loaded.
        x: Inputs, shape (rows, n_in).
        block: The buffers.
        transient: Whether no `backward` follows.
        last: Takes the place of the last z, shape (rows, width).
        known: Whether `last` is there already.
    """
    zs = block.z if last is None else [*block.z[:-1], last]
    for weight, z, h in zip(weights.forth, zs, block.h, strict=False):
        if z is not last or not known:
            torch.mm(x, weight, out=z)
        x = z if transient and z is not last else h  # in place, less has to pass the cache
        torch.ops.aten.gelu.out(z, out=x)
    torch.mm(x, weights.forth[-1], out=block.y)
    return zs


def backward(weights: Packed, x: Tensor, zs: Sequence[Tensor], block: Block) -> None:
    """Fill x_bar of a block from y_bar and what `forward` left in h, which is overwritten.

    The weights' gradients are added to `weights.gradients`.
    """
    gradients = weights.gradients
    above, matrix = block.y_bar, weights.back[-1]
    for k in range(len(zs) - 1, -1, -1):
        h, z = block.h[k], zs[k]
        gradients[k + 1].addmm_(above.t(), h)
        slope = torch.mm(above, matrix, out=h)
        torch.ops.aten.gelu_backward.grad_input(slope, z, grad_input=slope)
        above, matrix = slope, weights.back[k]
    gradients[0].addmm_(x.t(), above)
    torch.mm(above, matrix, out=block.x_bar)


def slopes(
    weights: Packed,
    x: Tensor,
    zs: Sequence[Tensor],
    block: Block,
    heads: Tensor | None = None,
) -> None:
    """Fill x_bar of a block with the gradient of a network's one output by its inputs.

    Args:
        weights: Loaded.
        x: Inputs, shape (rows, n_in).
        zs: What `forward` gave.
        block: What `forward` left; its h is overwritten.
        heads: Gradients by the outputs, shape (rows, 1); those by the weights are then added to
            `weights.gradients`.
    """
    gradients = weights.gradients
    above: Tensor | None = None
    matrix = weights.back[-1]
    for k in range(len(zs) - 1, -1, -1):
        h, z = block.h[k], zs[k]
        if heads is not None:
            h.mul_(heads)
            if above is None:
                gradients[k + 1] += h.sum(0)
            else:
                gradients[k + 1].addmm_(above.t(), h)
        slope = h.copy_(matrix.expand_as(h)) if above is None else torch.mm(above, matrix, out=h)
        torch.ops.aten.gelu_backward.grad_input(slope, z, grad_input=slope)
        above, matrix = slope, weights.back[k]
    assert above is not None
    if heads is not None:
        gradients[0].addmm_((heads * x).t(), above)
    torch.mm(above, matrix, out=block.x_bar)
